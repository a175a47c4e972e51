"""The benchmarks measure what they say: figures, table, failures, and one tiny real run."""

import json
import os
import shutil
import socket
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import load, memory, profile, report, stats, throughput
from benchmarks.cases import CASES, Case
from benchmarks.cores import choose, pinned
from benchmarks.process import ServerFailed, ServerProcess
from benchmarks.stats import Row, Target

on_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the benchmarks need Linux"
)
with_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")

QUIET_RUN = """\
Running 2s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  121034 requests in 2.00s, 18.58MB read
Requests/sec:  60512.33
Transfer/sec:      9.29MB
"""


def row(**changes: object) -> Row:
    values: dict[str, object] = {
        "case": "plaintext",
        "title": "plaintext",
        "loop": "uvloop",
        "other": "aiohttp",
        "unit": "requests/s",
        "target": Target("at least", 2.0),
        "ours": [300.0, 200.0, 100.0],
        "theirs": [100.0, 100.0, 100.0],
    }
    return Row(**(values | changes))  # type: ignore[arg-type]


# ---- Figures ---------------------------------------------------------------------------------


def test_spread_is_median_least_and_most() -> None:
    assert stats.spread([5.0, 1.0, 2.0]) == stats.Spread(median=2.0, least=1.0, most=5.0)
    with pytest.raises(ValueError, match="no samples"):
        stats.spread([])


def test_ratios_are_taken_within_a_round() -> None:
    assert stats.paired_ratios([100.0, 10.0], [50.0, 5.0]) == [2.0, 2.0]
    with pytest.raises(ValueError):
        stats.paired_ratios([1.0], [])


def test_a_target_on_the_ratio() -> None:
    assert row().met is True
    assert row(target=Target("at least", 2.01)).met is False
    assert row(target=Target("at most", 0.5)).met is False
    assert row(target=None).met is None
    assert str(Target("at least", 2.0)) == ">= 2"


def test_a_target_on_the_value() -> None:
    small = Target("at most", 5.0, on="value", unit="KiB")
    assert row(target=small, ours=[4.9], theirs=[9.0]).met is True
    assert row(target=small, ours=[5.1], theirs=[1.0]).met is False
    assert str(small) == "<= 5 KiB"


def test_a_failed_row_misses_its_target() -> None:
    assert row(failure="wrk: refused").met is False


def test_the_ratio_by_processor_time() -> None:
    busy = row(ours=[120.0], theirs=[100.0], server_busy=[(0.5, 1.0)], load_busy=[(0.95, 0.9)])
    assert busy.limited_by_load
    assert busy.ratio_per_cpu_second.median == pytest.approx(2.4)
    none = row(server_busy=[(0.0, 0.0)] * 3, load_busy=[(0.0, 0.0)] * 3)
    assert none.ratio_per_cpu_second.median == 2.0


def test_what_limited_a_row() -> None:
    def limits(server: float, wrk: float) -> tuple[bool, bool]:
        measured = row(server_busy=[(server, 1.0)] * 3, load_busy=[(wrk, 0.1)] * 3)
        return measured.limited_by_load, measured.disturbed

    assert limits(server=0.95, wrk=0.5) == (False, False)
    assert limits(server=0.5, wrk=0.95) == (True, False)
    assert limits(server=0.5, wrk=0.5) == (False, True)
    assert not row().limited_by_load
    assert not row().disturbed


# ---- What wrk says ---------------------------------------------------------------------------


def test_the_rate_is_read() -> None:
    assert load.read_rate(QUIET_RUN) == 60512.33


@pytest.mark.parametrize(
    "line",
    [
        "  Socket errors: connect 0, read 12, write 0, timeout 0\n",
        "  Non-2xx or 3xx responses: 7\n",
    ],
)
def test_any_error_counted_by_wrk_is_a_failure(line: str) -> None:
    with pytest.raises(load.LoadFailed, match=line.strip()):
        load.read_rate(QUIET_RUN.replace("Requests/sec", f"{line}Requests/sec"))


@pytest.mark.parametrize("said", ["unable to connect to 127.0.0.1:1 Connection refused\n", ""])
def test_no_rate_is_a_failure(said: str) -> None:
    with pytest.raises(load.LoadFailed, match="no rate"):
        load.read_rate(said)


def test_no_answer_is_a_failure() -> None:
    with pytest.raises(load.LoadFailed, match="no answer"):
        load.read_rate("Requests/sec:      0.00\n")


# ---- The table -------------------------------------------------------------------------------


def test_the_table_is_restructured_text() -> None:
    assert report.table(("case", "x"), [("long name", "1"), ("b", "1,000")]) == "\n".join(
        [
            "=========  =====",
            "case           x",
            "=========  =====",
            "long name      1",
            "b          1,000",
            "=========  =====",
        ]
    )


def test_the_report_names_figures_failures_limits_and_machine() -> None:
    rows = [
        row(),
        row(title="broken", failure="wrk: Non-2xx or 3xx responses: 7"),
        row(title="heavy", server_busy=[(1.0, 1.0)] * 3, load_busy=[(0.9, 0.9)] * 3),
        row(title="late", server_busy=[(0.4, 0.4)] * 3, load_busy=[(0.3, 0.3)] * 3),
        row(loop="-", title="import", unit="ms", target=Target("at most", 0.5)),
    ]
    printed = report.rst(rows, {"python": "CPython 3.11.0"})
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "On uvloop:" in lines
    assert "Either loop:" in lines
    assert "plaintext 200/s 100/s 2.00 (1.00-3.00) >= 2 yes" in lines
    assert "broken - - FAILED >= 2 no" in lines
    assert "FAILED broken (uvloop): wrk: Non-2xx or 3xx responses: 7" in lines
    assert any(line.startswith("heavy on uvloop: wrk had no time left") for line in lines)
    assert any(line.startswith("late on uvloop: the servers had to share") for line in lines)
    assert ":python: CPython 3.11.0" in lines


def test_the_json_holds_every_sample() -> None:
    written = json.dumps(report.as_json([row(), row(failure="x")], {"a": "b"}, {"rounds": 3}))
    good, failed = json.loads(written)["rows"]
    assert good["ours"] == [300.0, 200.0, 100.0]
    assert good["target"] == ">= 2"
    assert good["ratio"] == {"median": 2.0, "least": 1.0, "most": 3.0}
    assert failed["ratio"] is None
    assert failed["met"] is False


# ---- The command -----------------------------------------------------------------------------


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


def test_every_script_of_a_case_is_there() -> None:
    scripts = [case.script_file for case in CASES if case.script_file is not None]
    assert scripts
    assert [script for script in scripts if not script.is_file()] == []


# ---- Real servers ----------------------------------------------------------------------------


@on_linux
@with_wrk
def test_a_tiny_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results.json"
    few = ["--rounds", "1", "--seconds", "1", "--loop", "asyncio"]
    status = command.main([*few, "--case", "plaintext", "--json", str(results)])
    printed = capsys.readouterr()
    assert status == 0, printed.out
    rows = json.loads(results.read_text())["rows"]
    assert [each["other"] for each in rows] == ["aiohttp", "floor_httptools", "floor_asyncio"]
    assert all(each["ours"] > [0] and each["theirs"] > [0] for each in rows)
    assert "On asyncio:" in printed.out
    assert "round 1 of 1" in printed.err


@on_linux
@pytest.mark.parametrize("loop", command.LOOPS)
def test_the_servers_answer_every_case_alike(loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    with throughput.started(("lowlevel", "aiohttp"), loop, choose()) as servers:
        for case in CASES:
            throughput.prove(case, servers)


@on_linux
def test_an_answer_that_is_not_200_fails_the_row() -> None:
    case = Case(name="none", title="none", path="/none", beside={"floor_asyncio": None})
    (failed,) = throughput.measure(
        case, "asyncio", rounds=1, seconds=1, cores=choose(), progress=print
    )
    assert "lowlevel answers 500" in failed.failure


@on_linux
def test_an_answer_that_differs_fails_the_row() -> None:
    case = Case(name="json", title="json", path="/json", beside={"floor_asyncio": None})
    (failed,) = throughput.measure(
        case, "asyncio", rounds=1, seconds=1, cores=choose(), progress=print
    )
    assert "floor_asyncio does not answer as lowlevel does" in failed.failure


@on_linux
def test_what_is_pinned_stays_there_alone() -> None:
    before = os.sched_getaffinity(0)
    core = choose().load
    with pinned(core):
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before


@on_linux
def test_a_server_that_does_not_start_says_why() -> None:
    with (
        pytest.raises(ServerFailed, match="invalid choice: 'nonsense'"),
        ServerProcess("floor_asyncio", "nonsense", choose().server),
    ):
        pass


@on_linux
@pytest.mark.parametrize("server", ["lowlevel", "aiohttp"])
def test_idle_connections_are_weighed(server: str) -> None:
    # Few connections give no figure worth comparing, only one of the right order: no megabyte
    # each. That all are answered and stay open is checked inside.
    assert memory.kib_per_connection(server, "asyncio", 20, choose()) < 1000


@on_linux
def test_a_connection_closed_by_the_server_is_no_idle_connection() -> None:
    first, its_peer = socket.socketpair()
    second, gone_peer = socket.socketpair()
    with first, its_peer, second:
        gone_peer.close()
        assert memory.count_closed([first, second]) == 1


@pytest.mark.parametrize("server", profile.MODULES)
@pytest.mark.parametrize("case", profile.REQUESTS)
async def test_requests_without_sockets(server: str, case: str) -> None:
    request, answers = profile.REQUESTS[case]
    assert await profile.drive(server, request, answers, 3) > 0
