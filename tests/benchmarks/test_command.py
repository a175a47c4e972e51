"""python -m benchmarks: its options, the order of what it measures, the file that it keeps."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import load
from benchmarks.stats import Row
from benchmarks.suite import Run, Suite
from tests.benchmarks.running import a_row, a_run, on_linux, with_wrk


@pytest.mark.parametrize(
    "arguments",
    [["--rounds", "0"], ["--seconds", "-1"], ["--case", "none"], ["--quick", "--full"]],
)
def test_wrong_options_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        command.main(arguments)
    assert refusal.value.code == 2


@on_linux
def test_without_wrk_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(load, "installed", lambda: False)
    assert command.main([]) == 2
    assert "apt-get install wrk" in capsys.readouterr().err


QUICK = [
    "plaintext",
    "json",
    "echo",
    "pipelined",
    "close",
    "tls-plaintext",
    "download",
    "form",
    "websocket-64",
    "toolkit-routes",
    "memory",
    "import",
]


@pytest.mark.parametrize(
    ("asked", "full", "chosen"),
    [
        (None, True, list(command.NAMES)),
        (None, False, QUICK),
        (["echo"], False, ["echo"]),
        (["import", "websocket-4k"], True, ["websocket-4k", "import"]),
        (
            ["websocket", "memory"],
            False,
            [
                "websocket-64",
                "websocket-64x16",
                "websocket-4k",
                "websocket-64k",
                "memory",
                "websocket-memory",
                "websocket-memory-deflate",
            ],
        ),
        (["websocket-memory"], False, ["websocket-memory"]),
        (["tls"], False, ["tls-plaintext", "tls-close"]),
        (
            ["growth-pipelining"],
            False,
            [f"growth-pipelining-{depth}" for depth in (1, 4, 16, 64)],
        ),
        (
            ["toolkit"],
            True,
            [
                "toolkit-routes",
                "toolkit-static",
                "toolkit-variable",
                "toolkit-middlewares",
                "toolkit-many-routes",
            ],
        ),
    ],
)
def test_the_cases_that_are_chosen(asked: list[str] | None, full: bool, chosen: list[str]) -> None:
    names = [each.name for each in command.SUITES if command.is_chosen(each, asked, full=full)]
    assert names == chosen


def test_no_two_cases_have_one_name() -> None:
    assert len(set(command.NAMES)) == len(command.NAMES)
    assert not set(command.GROUPS).intersection(command.NAMES)


@pytest.mark.parametrize("group", command.GROUPS)
def test_a_group_has_cases(group: str) -> None:
    assert any(command.is_chosen(each, [group], full=False) for each in command.SUITES)


# What make bench and make bench-full promise; the estimates were held against runs.
@pytest.mark.parametrize(
    ("arguments", "full", "minutes"), [(command.QUICK, False, 3), (command.FULL, True, 45)]
)
def test_the_sizes_are_estimated_to_be_what_they_promise(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[int, float], full: bool, minutes: float
) -> None:
    monkeypatch.setattr("benchmarks.suite.missing", lambda names: {})
    rounds, seconds = arguments
    run = a_run(loop="-", full=full, rounds=rounds, seconds=seconds)
    suites = [each for each in command.SUITES if command.is_chosen(each, None, full=full)]
    loops = ("uvloop", "asyncio") if full else ("uvloop",)
    estimates = [suite.estimate(on_loop) for suite, on_loop in command.jobs(suites, loops, run)]
    assert minutes / 2 < sum(estimates) / 60 <= minutes


def a_suite(name: str, *rows: Row, **changes: object) -> Suite:
    """Gives the rows; its progress is its name and loop."""

    def measure(run: Run) -> list[Row]:
        run.progress(f"{name} on {run.loop}")
        return list(rows)

    suite = Suite(name=name, measure=measure, estimate=lambda run: 60.0, quick=True)
    return replace(suite, **changes)  # type: ignore[arg-type]


def test_the_order_of_what_is_measured() -> None:
    suites = [
        a_suite("each"),
        a_suite("none", loops="none"),
        a_suite("first", loops="first"),
    ]
    todo = command.jobs(suites, ("uvloop", "asyncio"), a_run(loop="-"))
    assert [(suite.name, run.loop) for suite, run in todo] == [
        ("each", "uvloop"),
        ("first", "uvloop"),
        ("each", "asyncio"),
        ("none", "-"),
    ]


def run_command(
    monkeypatch: pytest.MonkeyPatch, suites: Sequence[Suite], file: Path, *options: str
) -> int:
    monkeypatch.setattr(command, "SUITES", suites)
    return command.main(["--json", str(file), *options])


@on_linux
@with_wrk
def test_progress_says_how_long_it_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suites = [a_suite("one", a_row()), a_suite("two", a_row(title="other"))]
    assert run_command(monkeypatch, suites, tmp_path / "results.json", "--loop", "both") == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("to measure: 4, which takes about 4:00")
    assert said[1].endswith("0:00 gone, 4:00 to go: one on uvloop")
    assert [line.rpartition(": ")[2] for line in said[2:]] == [
        "two on uvloop",
        "one on asyncio",
        "two on asyncio",
    ]


@on_linux
@with_wrk
def test_what_was_measured_is_kept_after_each_case(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "results.json"
    unfinished = tmp_path / "new" / "results.unfinished.json"

    def titles() -> list[str]:
        return [row["title"] for row in json.loads(unfinished.read_text())["rows"]]

    def interrupted(run: Run) -> list[Row]:
        assert titles() == ["plaintext", "other"]
        raise KeyboardInterrupt

    suites = [
        a_suite("one", a_row()),
        a_suite("two", a_row(title="other")),
        a_suite("three", measure=interrupted),
        a_suite("four", a_row(title="never")),
    ]
    file.parent.mkdir()
    file.write_text("what was there")
    assert run_command(monkeypatch, suites, file) == 1
    assert titles() == ["plaintext", "other"]
    assert json.loads(unfinished.read_text())["machine"]["unfinished"].startswith("interrupted")
    assert ":unfinished: interrupted" in capsys.readouterr().out
    assert file.read_text() == "what was there"

    assert run_command(monkeypatch, suites[:1], file) == 0
    assert [row["title"] for row in json.loads(file.read_text())["rows"]] == ["plaintext"]
    assert not unfinished.exists()


@on_linux
@with_wrk
def test_cases_that_are_measured_again_take_the_place_of_what_was_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.json"
    first = [a_suite("one", a_row(case="one", title="old")), a_suite("two", a_row(case="two"))]
    assert run_command(monkeypatch, first, file, "--full", "--loop", "uvloop") == 0
    again = [a_suite("one", a_row(case="one", title="new"))]
    assert run_command(monkeypatch, again, file, "--full", "--loop", "uvloop", "--add") == 0
    results = json.loads(file.read_text())
    assert [(row["case"], row["title"]) for row in results["rows"]] == [
        ("two", "plaintext"),
        ("one", "new"),
    ]
    assert results["machine"]["measured again"].startswith("one (")

    monkeypatch.setattr(command.machine, "facts", lambda: results["machine"] | {"python": "3.99"})
    assert run_command(monkeypatch, again, file, "--full", "--add") == 2
    assert "is of another machine: python" in capsys.readouterr().err
    assert json.loads(file.read_text()) == results


@on_linux
@with_wrk
def test_what_is_left_out_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def leave_out(run: Run) -> list[Row]:
        run.left_out["tornado"] = "no environment"
        return [a_row(failure="wrk: refused")]

    suites = [a_suite("one", measure=leave_out)]
    assert run_command(monkeypatch, suites, tmp_path / "results.json") == 1
    assert "tornado (no environment)" in capsys.readouterr().out
    machine = json.loads((tmp_path / "results.json").read_text())["machine"]
    assert machine["left out"] == "tornado (no environment)"


@on_linux
@with_wrk
def test_a_tiny_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results.json"
    # wrk needs its time to begin, on a machine that is busy with other tests.
    options = ["--rounds", "1", "--seconds", "1", "--loop", "asyncio"]
    status = command.main([*options, "--case", "form", "--json", str(results)])
    printed = capsys.readouterr()
    assert status == 0, printed.out
    (row,) = json.loads(results.read_text())["rows"]
    assert row["other"] == "aiohttp"
    assert row["ours"] > [0] and row["theirs"] > [0]
    assert row["cpu_per_request"] > [0, 0]
    assert "On asyncio" in printed.out
    assert "round 1 of 1" in printed.err
