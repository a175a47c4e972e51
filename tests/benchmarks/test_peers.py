"""The environments of the peers: made once, again for other pins, and left out by name."""

import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from benchmarks import machine, peers
from benchmarks.process import PROGRAMS
from benchmarks.programs import ENVIRONMENTS

Write = Callable[[str], None]

# A peer that is one wheel, of one module; its second server needs a module that nothing brings.
PEER = {"demo": "demo_server", "demo-other": "demo_other"}


@pytest.fixture
def write_pins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Write:
    """A place of its own for one peer; this writes its pins."""
    monkeypatch.setattr(peers, "HOME", tmp_path / "peers")
    monkeypatch.setattr(peers, "PINS", tmp_path)
    monkeypatch.setattr(peers, "ENVIRONMENTS", dict.fromkeys(PEER, "demo"))
    monkeypatch.setattr(peers, "PROGRAMS", PEER)

    def write(pins: str) -> None:
        (tmp_path / "demo.txt").write_text(pins)

    write("demo==1.0\n")
    return write


class Commands:
    """Stands in for `peers._run`: keeps what was to be run, and fails what begins with `broken`."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.broken: dict[str, str] = {}

    def __call__(self, command: list[str], seconds: float) -> None:
        joined = " ".join(command[1:])
        self.seen.append(joined)
        if "-m venv" in joined:
            python = Path(command[-1], "bin", "python")
            python.parent.mkdir(parents=True)
            python.touch()
        for part, reason in self.broken.items():
            if part in joined:
                raise peers.CannotMake(reason)

    @property
    def installed(self) -> int:
        return sum("--requirement" in command for command in self.seen)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, write_pins: Write) -> Commands:
    commands = Commands()
    monkeypatch.setattr(peers, "_run", commands)
    return commands


def test_every_peer_has_pins() -> None:
    assert set(ENVIRONMENTS) <= set(PROGRAMS)
    written = {file.stem for file in peers.PINS.glob("*.txt")}
    assert written == set(ENVIRONMENTS.values())
    for file in [*peers.PINS.glob("*.txt"), peers.PINS.with_name("requirements.txt")]:
        for line in file.read_text().splitlines():
            assert line.startswith(("#", "--")) or "==" in line, f"{file.name}: {line}"


def test_every_program_is_there() -> None:
    files = [peers.ROOT / f"{name.replace('.', '/')}.py" for name in PROGRAMS.values()]
    assert [file for file in files if not file.is_file()] == []


def test_a_server_of_no_peer_runs_in_this_environment() -> None:
    assert peers.left_out("lowlevel") is None
    assert peers.interpreter("lowlevel") == sys.executable


def test_an_environment_is_made_once(commands: Commands) -> None:
    assert peers.left_out("demo") == peers.NOT_MADE
    assert peers.make("demo") == peers.make("demo") == {}
    assert peers.left_out("demo") is None
    assert commands.installed == 1
    assert Path(peers.interpreter("demo")) == peers.HOME / "demo" / "bin" / "python"


def test_other_pins_make_it_again(commands: Commands, write_pins: Write) -> None:
    peers.make("demo")
    leftover = peers.HOME / "demo" / "leftover"
    leftover.touch()
    write_pins("demo==1.1\n")
    assert peers.left_out("demo") == peers.OUTDATED
    assert peers.make("demo") == {}
    assert commands.installed == 2
    assert peers.left_out("demo") is None
    assert not leftover.exists()


def test_an_environment_that_is_gone_is_made_again(commands: Commands) -> None:
    peers.make("demo")
    Path(peers.interpreter("demo")).unlink()
    peers.make("demo")
    assert commands.installed == 2


def test_a_peer_that_does_not_install_is_left_out_and_tried_again(commands: Commands) -> None:
    commands.broken = {"--requirement": "no network"}
    assert peers.make("demo") == {"demo": "no network", "demo-other": "no network"}
    assert peers.left_out("demo") == "no network"
    commands.broken = {}
    assert peers.make("demo") == {}
    assert peers.left_out("demo") is None
    assert commands.installed == 2


def test_a_program_that_is_not_imported_is_left_out_alone(commands: Commands) -> None:
    commands.broken = {"import demo_other": "no module of that name"}
    assert peers.make("demo") == {"demo-other": "no module of that name"}
    assert (peers.left_out("demo"), peers.left_out("demo-other")) == (
        None,
        "no module of that name",
    )
    commands.broken = {}
    assert peers.make("demo") == {}
    assert commands.installed == 1


def test_the_reason_is_the_last_line_of_what_was_said() -> None:
    program = "import sys; print('one', file=sys.stderr); sys.exit('the last')"
    with pytest.raises(peers.CannotMake, match="^the last$"):
        peers._run([sys.executable, "-c", program], 20)
    with pytest.raises(peers.CannotMake, match="^status 3$"):
        peers._run([sys.executable, "-c", "import sys; sys.exit(3)"], 20)
    with pytest.raises(peers.CannotMake, match="not done after 0.1 s"):
        peers._run([sys.executable, "-c", "import time; time.sleep(60)"], 0.1)


def test_a_real_environment(tmp_path: Path, write_pins: Write) -> None:
    wheel = tmp_path / "demo-1.5-py3-none-any.whl"
    with ZipFile(wheel, "w") as file:
        file.writestr("demo_server.py", "")
        file.writestr(
            "demo-1.5.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.5\n"
        )
        file.writestr(
            "demo-1.5.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        file.writestr("demo-1.5.dist-info/RECORD", "")
    write_pins(f"{wheel}\n")
    assert peers.version("demo") is None
    reasons = peers.make("demo")
    assert reasons == {"demo-other": "ModuleNotFoundError: No module named 'demo_other'"}
    assert peers.left_out("demo") is None
    assert peers.version("demo") == "1.5"


def test_the_command_says_what_is_left_out(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "base_prefix", "/elsewhere")
    commands.broken = {"import demo_other": "no module of that name"}
    assert peers.main([]) == 0
    assert capsys.readouterr().out == "demo:\n  demo-other is left out: no module of that name\n"
    commands.broken = {}
    assert peers.main(["--only", "demo"]) == 0
    assert capsys.readouterr().out == "demo: ready\n"


def test_outside_of_an_environment_nothing_is_made(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    assert peers.main([]) == 2
    assert "virtual environment" in capsys.readouterr().err
    assert commands.seen == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmarks need Linux")
def test_the_facts_name_the_peers_and_their_versions(commands: Commands) -> None:
    # In that place none is installed.
    assert "granian (missing), hypercorn (missing)" in machine.facts()["peers"]
