"""The guard: what it counts does not vary, what it compares, and that it refuses a slow-down."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import guard, guard_record
from benchmarks.guard import CannotCount, Change
from benchmarks.guard_record import BadRecord, Record
from benchmarks.loops import LOOPS
from lowlevel.protocol.masking import unmask_in_python

ROOT = Path(__file__).parent.parent.parent
# Where a connection begins with a request, and where a small response is sent.
CONNECTION, BEGINS = "connection.py", "        server.requests_count += 1\n"
OUTLET, SENDS = "outlet.py", "        transport.write(data)\n        return "
# What is counted of each loop.
MEASURES = ["bytecode", "calls", "C calls", "transport calls", "cyclic garbage", "peak bytes"]

with_valgrind = pytest.mark.skipif(not shutil.which("valgrind"), reason="needs valgrind")


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=35,
        check=False,
    )


# ---- Counting --------------------------------------------------------------------------------


def test_counts_are_the_same_in_every_process() -> None:
    printed = [
        run(ROOT, "benchmarks.counting", "form", PYTHONHASHSEED=seed).stdout for seed in ("1", "2")
    ]
    assert printed[0] == printed[1]
    figures = json.loads(printed[0])["form"]
    assert list(figures) == MEASURES
    assert figures["bytecode"] > figures["calls"] > 10


def test_counts_do_not_depend_on_what_was_counted_before() -> None:
    printed = [
        json.loads(run(ROOT, "benchmarks.counting", *names).stdout)
        for names in (["plaintext", "Router, variable"], ["Router, variable", "plaintext"])
    ]
    for name in ("plaintext", "Router, variable"):
        first, second = printed[0][name], printed[1][name]
        # Memory does, a little. That is why the guard has a process for each loop.
        for measure in MEASURES[:-1]:
            assert first[measure] == second[measure]


@with_valgrind
@pytest.mark.timeout(120)  # valgrind makes a second of half a minute where all processors are busy
def test_valgrind_counts_the_difference() -> None:
    figures = guard.count_machine(["plaintext"])["plaintext"]
    # More than the bytecode alone, and less than starting Python.
    assert 10_000 < figures[guard.MACHINE] < 1_000_000


def test_what_fails_is_told() -> None:
    with pytest.raises(CannotCount, match="invalid choice"):
        guard.count(["no such loop"])


def test_what_never_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_SECONDS", 0.01)
    with pytest.raises(CannotCount, match=r"plaintext: not done after 0\.01 seconds"):
        guard.count(["plaintext"])


def test_options_of_python_and_packages_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    monkeypatch.setenv("COVERAGE_PROCESS_START", "setup.cfg")
    monkeypatch.setenv("MULTIDICT_NO_EXTENSIONS", "1")
    environment = guard._environment()
    assert "MULTIDICT_NO_EXTENSIONS" not in environment
    assert "PYTHONASYNCIODEBUG" not in environment
    assert "COVERAGE_PROCESS_START" not in environment
    assert environment["PATH"] == os.environ["PATH"]


# ---- Seen to fail ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "place", "slow_down", "measure"),
    [
        (CONNECTION, BEGINS, "for _ in range(20): pass", "bytecode"),
        (CONNECTION, BEGINS, "min(1, 2), min(1, 2)", "C calls"),
        (CONNECTION, BEGINS, "(lambda: None)(), (lambda: None)()", "calls"),
        (CONNECTION, BEGINS, "waste = bytearray(10_000)", "peak bytes"),
        (CONNECTION, BEGINS, "cycle = []; cycle.append(cycle)", "cyclic garbage"),
        (OUTLET, SENDS, "transport.write(data[:50]); data = data[50:]", "transport calls"),
    ],
)
def test_a_slow_down_is_refused(
    tmp_path: Path, module: str, place: str, slow_down: str, measure: str
) -> None:
    for package in ("lowlevel", "benchmarks"):
        ignored = shutil.ignore_patterns("__pycache__", "results", "peers", "guard.toml")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    arguments = ("benchmarks.guard", "--no-valgrind", "--loop", "plaintext")
    record = Record().add(
        {guard.python_key(): guard.count(["plaintext"])},
        date="2026-11-21",
        why="this test",
        packages=guard.packages(),
        changes=[],
    )
    guard_record.write(record, tmp_path / "benchmarks" / "guard.toml")
    patched = tmp_path / "lowlevel" / module
    code = patched.read_text()
    assert code.count(place) == 1
    patched.write_text(code.replace(place, f"        {slow_down}\n{place}"))

    slow = run(tmp_path, *arguments)
    assert slow.returncode == 1, slow.stdout + slow.stderr
    assert f"GREW by more than 5%: plaintext: {measure} " in slow.stdout

    patched.write_text(code)
    good = run(tmp_path, *arguments)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "Nothing grew by more than 5%." in good.stdout


# ---- Comparing -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "grew", "shrank"),
    [(105, False, False), (106, True, False), (95, False, False), (94, False, True)],
)
def test_the_tolerance(now: float, grew: bool, shrank: bool) -> None:
    change = Change("plaintext", "calls", 100, now)
    assert (change.grew, change.shrank) == (grew, shrank)


def test_from_nothing_to_something_is_growth() -> None:
    change = Change("plaintext", "cyclic garbage", 0, 0.05)
    assert change.grew
    assert guard.table([change]).endswith("0  0.05  from 0")
    same = Change("plaintext", "cyclic garbage", 0, 0)
    assert not (same.grew or same.shrank)
    assert same.percentage == "+0.0%"


FIGURES = {"plaintext": {"bytecode": 1000, "calls": 30}, "form": {"bytecode": 2000, "calls": 60}}


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The command with a file of its own, which it gets from here, that counts FIGURES."""
    file = tmp_path / "guard.toml"
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(guard, "FILE", file)
    monkeypatch.setattr(guard, "unmask", None)
    monkeypatch.setattr(guard, "count", lambda names: FIGURES)
    monkeypatch.setattr(guard, "count_machine", lambda names: {"form": {guard.MACHINE: 100_000}})
    return file


def counted(
    monkeypatch: pytest.MonkeyPatch, *, bytecode: float = 1000, machine: float = 100_000
) -> None:
    figures = {**FIGURES, "plaintext": {"bytecode": bytecode, "calls": 30}}
    monkeypatch.setattr(guard, "count", lambda names: figures)
    monkeypatch.setattr(guard, "count_machine", lambda names: {"form": {guard.MACHINE: machine}})


def test_without_a_record_it_fails(command: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guard.main([]) == 1
    assert f"NOT IN THE RECORD: anything for {guard.python_key()}" in capsys.readouterr().out


def test_recording_and_comparing(
    command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guard.main(["--record", "the first figures"]) == 0
    assert guard.main([]) == 0
    assert "Nothing grew by more than 5%." in capsys.readouterr().out

    counted(monkeypatch, bytecode=1100)
    assert guard.main([]) == 1
    printed = capsys.readouterr().out
    assert "GREW by more than 5%: plaintext: bytecode 1,000 to 1,100 (+10.0%)" in printed
    assert "form: " not in printed
    assert "say why" in printed

    assert guard.main(["--record", "it does more"]) == 0
    assert guard.main([]) == 0
    last = guard_record.read(command).history[-1]
    assert last.why == "it does more"
    assert last.changes == [f"{guard.python_key()}, plaintext: bytecode 1,000 to 1,100"]


def test_growth_in_c_alone_is_refused(
    command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guard.main(["--record", "the first figures"])
    counted(monkeypatch, machine=110_000)
    assert guard.main([]) == 1
    assert "form: machine instructions 100,000 to 110,000" in capsys.readouterr().out


def test_less_than_recorded_passes_and_asks_to_be_recorded(
    command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guard.main(["--record", "the first figures"])
    counted(monkeypatch, bytecode=900)
    assert guard.main([]) == 0
    printed = capsys.readouterr().out
    assert "Less than recorded: plaintext: bytecode 1,000 to 900 (-10.0%)" in printed
    assert '--record "why"' in printed


def test_less_than_recorded_fails_in_ci(
    command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", "true")
    guard.main(["--record", "the first figures"])
    assert guard.main([]) == 0
    counted(monkeypatch, bytecode=900)
    assert guard.main([]) == 1
    printed = capsys.readouterr().out
    assert "Less than recorded: plaintext: bytecode 1,000 to 900 (-10.0%)" in printed
    assert 'Keep it, or it may grow again: python -m benchmarks.guard --record "why"' in printed


def test_figures_that_go_are_told(
    command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guard.main(["--record", "the first figures"])
    with_valgrind = guard.machine_key()
    monkeypatch.setattr(guard, "machine_key", lambda: f"{guard.python_key()}.99")
    guard.main(["--record", "another build"])
    printed = capsys.readouterr().out
    assert f"GONE FROM THE RECORD: machine instructions of {with_valgrind}\n" in printed
    assert "Record again" not in printed

    guard.main(["--no-valgrind", "--record", "nothing else"])
    printed = capsys.readouterr().out
    assert f"GONE FROM THE RECORD: machine instructions of {guard.python_key()}.99\n" in printed
    assert "Record again where valgrind is" in printed


def test_a_loop_that_is_not_recorded_fails(
    command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guard.main(["--record", "the first figures"])
    more = {**FIGURES, "16 pipelined": {"calls": 20}}
    monkeypatch.setattr(guard, "count", lambda names: more)
    assert guard.main([]) == 1
    assert "NOT IN THE RECORD: 16 pipelined: calls" in capsys.readouterr().out


def test_without_valgrind_the_rest_decides(
    command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guard.main(["--record", "the first figures"])

    def missing(names: object) -> None:
        raise CannotCount("valgrind is not installed")

    monkeypatch.setattr(guard, "count_machine", missing)
    assert guard.main([]) == 0
    printed = capsys.readouterr().out
    assert (
        "No machine instructions: valgrind is not installed. The other figures decide." in printed
    )
    counted(monkeypatch, bytecode=1100)
    monkeypatch.setattr(guard, "count_machine", missing)
    assert guard.main([]) == 1


def test_another_build_of_python_is_not_compared(
    command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guard.main(["--record", "the first figures"])
    counted(monkeypatch, machine=110_000)
    monkeypatch.setattr(guard, "machine_key", lambda: "another build")
    assert guard.main([]) == 0
    assert (
        "No machine instructions are recorded for another build: the other figures decide."
        in capsys.readouterr().out
    )


def test_other_packages_are_told(
    command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guard.main(["--record", "the first figures"])
    with_then = guard.packages()
    monkeypatch.setattr(guard, "packages", lambda: "yarl 99")
    guard.main(["--no-valgrind"])
    printed = capsys.readouterr().out
    assert f"{guard.python_key()} was recorded with {with_then}; here: yarl 99." in printed


def test_valgrind_is_found_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(CannotCount, match="valgrind is not installed"):
        guard.count_machine(["plaintext"])


def test_the_masker_in_python_is_no_measure(
    command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guard, "unmask", unmask_in_python)
    assert guard.main([]) == 2
    assert "the C masker is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["--record", ""], ["--record", "  "], ["--record"], ["--record", "why", "--loop", "form"]],
)
def test_what_cannot_be_recorded(command: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        guard.main(arguments)
    assert refused.value.code == 2
    assert not command.exists()


# ---- The file --------------------------------------------------------------------------------


def one_entry(why: str = "the first figures", key: str = "Python 3.11") -> Record:
    return Record().add(
        {key: FIGURES}, date="2026-11-21", why=why, packages="yarl 1", changes=["form: more"]
    )


def test_the_file_says_what_was_written(tmp_path: Path) -> None:
    file = tmp_path / "guard.toml"
    record = one_entry('a "quoted" reason, with ü, \\ and \x7f')
    guard_record.write(record, file)
    assert guard_record.read(file) == record
    assert guard_record.read(tmp_path / "other.toml") == Record()


def test_no_figures_without_a_reason() -> None:
    with pytest.raises(ValueError, match="with a reason"):
        one_entry(" ")


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ('why = "the first figures"', 'why = " "', "entry 1 of the history lacks its day or its"),
        ('date = "2026-11-21"', 'date = ""', "entry 1 of the history lacks its day or its reason"),
        ('why = "the first figures"\n', "", "missing 1 required keyword-only argument: 'why'"),
        ('"bytecode" = 1000', '"bytecode" = 1001', "its figures or earlier entries are not those"),
        ("[[history]]", "[[past]]", "history"),
        ("[[history]]", "[[history", "Expected"),
    ],
)
def test_changes_by_hand_are_refused(
    tmp_path: Path, written: str, instead: str, message: str
) -> None:
    file = tmp_path / "guard.toml"
    guard_record.write(one_entry(), file)
    text = file.read_text()
    assert written in text
    file.write_text(text.replace(written, instead))
    with pytest.raises(BadRecord, match=message):
        guard_record.read(file)


@pytest.mark.parametrize("written", ["a reason of old", "form: more"])
def test_changes_of_what_was_said_earlier_are_refused(tmp_path: Path, written: str) -> None:
    file = tmp_path / "guard.toml"
    record = one_entry("a reason of old").add(
        {"Python 3.11": FIGURES}, date="2026-11-22", why="more", packages="yarl 1", changes=[]
    )
    guard_record.write(record, file)
    assert guard_record.read(file) == record
    text = file.read_text()
    assert text.count(written) == 1
    file.write_text(text.replace(written, "nothing"))
    with pytest.raises(BadRecord, match="its figures or earlier entries are not those"):
        guard_record.read(file)


def test_a_bad_file_fails_the_guard(command: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.write_text("[figures]\n")
    assert guard.main([]) == 1
    assert "guard.toml: " in capsys.readouterr().err


def test_the_same_reason_for_another_python_is_the_same_entry() -> None:
    record = one_entry().add(
        {"Python 3.12": FIGURES},
        date="2026-11-21",
        why="the first figures",
        packages="yarl 1",
        changes=[],
    )
    (entry,) = record.history
    assert entry.keys == ["Python 3.11", "Python 3.12"]
    assert list(record.figures) == entry.keys
    later = record.add(
        {"Python 3.12": FIGURES}, date="2026-11-22", why="more", packages="yarl 2", changes=[]
    )
    assert [entry.why for entry in later.history] == ["the first figures", "more"]
    assert later.packages("Python 3.11") == "yarl 1"
    assert later.packages("Python 3.12") == "yarl 2"


def test_figures_of_a_build_go_when_its_python_is_recorded_again() -> None:
    record = one_entry().add(
        {"Python 3.11": FIGURES, "Python 3.11.7 (one)": FIGURES, "Python 3.12.1 (one)": FIGURES},
        date="2026-11-22",
        why="more",
        packages="yarl 1",
        changes=[],
    )
    same_day = record.add(
        {"Python 3.11": FIGURES, "Python 3.11.7 (two)": FIGURES},
        date="2026-11-22",
        why="more",
        packages="yarl 1",
        changes=[],
    )
    assert "Python 3.11.7 (one)" in same_day.figures
    later = same_day.add(
        {"Python 3.11": FIGURES}, date="2026-11-23", why="less", packages="yarl 1", changes=[]
    )
    assert sorted(later.figures) == ["Python 3.11", "Python 3.12.1 (one)"]


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_what_is_recorded_here(version: str) -> None:
    record = guard_record.read(guard_record.FILE)
    figures = record.figures[f"Python {version}"]
    assert list(figures) == list(LOOPS)
    for measures in figures.values():
        assert list(measures) == MEASURES
    assert all(len(entry.why) > 10 for entry in record.history)
