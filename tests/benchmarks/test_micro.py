"""The parts of a request: that each does what its name says, and the file of results."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import lowlevel as web
from benchmarks import micro
from lowlevel.protocol.head import RequestHead

ROOT = Path(__file__).parent.parent.parent
HAS_PYPERF = find_spec("pyperf") is not None


@pytest.mark.parametrize("name", micro.PARTS)
def test_every_part_can_be_called_again_and_again(name: str) -> None:
    part = micro.PARTS[name]()
    for _ in range(3):
        part()


def call(name: str) -> Any:
    return micro.PARTS[name]()()


def test_heads_are_parsed() -> None:
    for name, size in (
        ("parse a head: 1 field", 1),
        ("parse a head: 12 fields of a browser", 12),
    ):
        (head,) = call(name)
        assert isinstance(head, RequestHead)
        assert len(head.fields) == size


def test_headers_are_made() -> None:
    headers = call("headers: 12 fields of a browser")
    assert len(headers) == 12
    assert headers["accept-language"] == "en-GB,en;q=0.9,de;q=0.8"


def test_whole_responses_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []

    def send(sink: object, data: bytes) -> bool:
        sent.append(data)
        return False

    monkeypatch.setattr(micro._Sink, "send", send)
    monkeypatch.setattr(micro._Sink, "send_whole", send)
    assert call("response: text") is True
    (answer,) = sent
    assert answer.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n")
    assert b"\r\nDate: " in answer
    assert answer.endswith(b"\r\n\r\nHello, world!")
    sent.clear()
    call("response: JSON, two fields of its own")
    answer = b"".join(sent)
    assert b"\r\nX-Request-ID: 8f14e45fceea167a\r\n" in answer
    assert answer.endswith(b'\r\n\r\n{"name": "Ada", "amount": 3, "tags": ["engines", "notes"]}')


@pytest.mark.parametrize("size", micro.MESSAGES)
def test_frames(size: str) -> None:
    payload = micro.MESSAGES[size]
    (message,) = call(f"websocket: a frame of {size} in")
    assert (message.type, message.data) == (web.WSMsgType.BINARY, payload)
    frame = call(f"websocket: a frame of {size} out")
    assert frame[0] == 0x82
    assert frame.endswith(payload)
    assert len(frame) == len(payload) + (2 if len(payload) < 126 else 4)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("route: static", "/about"),
        ("route: one variable", "/users/{name}"),
        ("route: one variable, behind 1,000 others", "/users/{name}"),
    ],
)
def test_routes_are_found(name: str, path: str) -> None:
    assert call(name).route.path == path


def test_forms_are_read_and_no_two_in_a_row_are_the_same() -> None:
    part: Any = micro.PARTS["form: 10 fields"]()
    first, second = part(), part()
    assert len(first) == len(second) == 10
    assert first["street"] == "12 St. James's Square"
    assert (first["amount"], second["amount"]) == ("000", "001")


def test_what_waits_is_no_part() -> None:
    class Waiting:
        def __await__(self) -> Any:
            yield

    async def wait() -> None:
        await Waiting()

    with pytest.raises(RuntimeError, match="waits"):
        micro._run(wait())


# ---- Results ---------------------------------------------------------------------------------


def results(names: list[str]) -> dict[str, Any]:
    """As pyperf writes them: what all benchmarks have in common comes once."""
    private = {"hostname": "a-host", "python_executable": "/a/path", "python_version": "3.11.7"}
    private["python_config_args"] = "--prefix=/a/path"
    benchmarks = [
        {
            "metadata": {"name": name, "command": "/a/path -m benchmarks.micro"},
            "runs": [
                {"metadata": {"calibrate_loops": 8}, "warmups": [[8, 9.0]]},
                {"metadata": {"hostname": "a-host"}, "values": [2e-6, 3e-6]},
                {"values": [7e-6]},
            ],
        }
        for name in names
    ]
    common: dict[str, Any] = {"unit": "second", **private}
    if len(names) == 1:
        common["name"] = benchmarks[0]["metadata"].pop("name")  # type: ignore[attr-defined]
    return {"benchmarks": benchmarks, "metadata": common, "version": "1.0"}


@pytest.mark.parametrize("names", [["parse"], ["parse", "match"]])
def test_figures_of_a_file(tmp_path: Path, names: list[str]) -> None:
    file = tmp_path / "micro.json"
    file.write_text(json.dumps(results(names)))
    figures = micro.figures(file)
    assert list(figures) == names
    for median, spread in figures.values():
        assert median == 3e-6
        assert spread == pytest.approx(2.6457513e-6)


def test_one_value_has_no_spread(tmp_path: Path) -> None:
    file = tmp_path / "micro.json"
    only = results(["parse"])
    only["benchmarks"][0]["runs"] = [{"values": [2e-6]}]
    file.write_text(json.dumps(only))
    assert micro.figures(file) == {"parse": (2e-6, 0.0)}


def test_what_is_published_names_no_machine(tmp_path: Path) -> None:
    source, file = tmp_path / "partial", tmp_path / "micro.json"
    source.write_text(json.dumps(results(["parse", "match"])))
    file.write_text("older results")
    micro._publish(source, file)
    assert not source.exists()
    text = file.read_text()
    assert "a-host" not in text
    assert "/a/path" not in text
    assert "3.11.7" in text
    assert list(micro.figures(file)) == ["parse", "match"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.micro", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.skipif(HAS_PYPERF, reason="needs an environment without pyperf")
def test_without_pyperf_it_says_so() -> None:
    done = run()
    assert done.returncode == 1
    assert done.stderr == "python -m benchmarks.micro needs pyperf: make bench-micro installs it\n"


@pytest.mark.timeout(120)
@pytest.mark.skipif(not HAS_PYPERF, reason="needs pyperf")
def test_a_tiny_run(tmp_path: Path) -> None:
    file = tmp_path / "micro.json"
    file.write_text("older results")
    done = run("--debug-single-value", "--quiet", "-o", str(file))
    assert done.returncode == 0, done.stderr
    assert list(micro.figures(file)) == list(micro.PARTS)
    assert list(tmp_path.iterdir()) == [file]
