"""Servers in turn under wrk: the same answers from all, and a failure that is nobody else's."""

import dataclasses
import os
import signal

import pytest

from benchmarks import load, throughput
from benchmarks.cases import CASES, HTTP_PEERS, Case
from benchmarks.cores import choose
from benchmarks.process import PROGRAMS, ServerFailed, ServerProcess
from benchmarks.suite import LOOPS, PEERS_LOOP
from tests.benchmarks.running import a_row, a_run, on_linux, with_wrk


@on_linux
@pytest.mark.parametrize("loop", LOOPS)
def test_the_servers_answer_every_case_alike(loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    names = {"lowlevel": None, **{name: None for case in CASES for name in case.beside}}
    with throughput.started(names, loop, choose()) as servers:
        for case in CASES:
            case = dataclasses.replace(case, tls=False)  # Those below are the same with TLS.
            first, *others = (servers[name] for name in ("lowlevel", *case.beside))
            expected = throughput.answers(case, first)
            for other in others:
                assert throughput.answers(case, other) == expected, other.name


@on_linux
@with_wrk
@pytest.mark.parametrize("name", ["tls-plaintext", "tls-close"])
def test_tls(name: str) -> None:
    pytest.importorskip("trustme")
    (case,) = (case for case in CASES if case.name == name)
    case = dataclasses.replace(case, beside={"aiohttp": None}, peers="never", connections=4)
    (row,) = throughput.measure(case, a_run())
    assert row.failure == ""
    assert row.ours > [0] and row.theirs > [0]


def test_the_peers_of_a_case_are_there_in_its_sizes() -> None:
    case = Case(name="x", title="x", path="/", beside={"aiohttp": None})
    assert list(case.compared(full=True)) == ["aiohttp"]
    in_full = dataclasses.replace(case, peers="full")
    assert list(in_full.compared(full=False)) == ["aiohttp"]
    assert list(in_full.compared(full=True)) == ["aiohttp", *HTTP_PEERS]
    always = dataclasses.replace(case, peers="always")
    assert list(always.compared(full=False)) == ["aiohttp", *HTTP_PEERS]


def test_peers_have_rows_on_their_loop_and_where_they_are_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    why = {"tornado": "not for this Python"}
    monkeypatch.setattr(
        "benchmarks.suite.missing",
        lambda names: {name: why[name] for name in names if name in why},
    )
    case = Case(name="x", title="x", path="/", beside={"aiohttp": None}, peers="always")
    on_asyncio = a_run()
    assert [row.other for row in throughput.make_rows(case, on_asyncio)] == ["aiohttp"]
    assert on_asyncio.left_out == {}
    run = a_run(loop=PEERS_LOOP)
    rows = throughput.make_rows(case, run)
    assert [row.other for row in rows] == [
        "aiohttp",
        *(name for name in HTTP_PEERS if name != "tornado"),
    ]
    assert [row.title for row in rows[:2]] == ["x", "x, beside uvicorn"]
    assert run.left_out == why


@on_linux
def test_an_answer_that_is_not_200_fails_the_row() -> None:
    case = Case(name="none", title="none", path="/none", beside={"floor_asyncio": None})
    (failed,) = throughput.measure(case, a_run())
    assert "lowlevel answers 500 to /none" in failed.failure


@on_linux
@with_wrk
def test_an_answer_that_differs_fails_its_own_row_alone() -> None:
    case = Case(
        name="json", title="json", path="/json", beside={"floor_asyncio": None, "aiohttp": None}
    )
    differs, good = throughput.measure(case, a_run())
    assert "floor_asyncio does not answer as lowlevel does to /json: 200, text" in differs.failure
    assert differs.ours == []
    assert good.failure == ""
    assert good.ours > [0] and good.theirs > [0]


@on_linux
@with_wrk
def test_a_server_that_does_not_start_fails_its_own_row_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(PROGRAMS, "floor_asyncio", "benchmarks.servers.no_such_server")
    case = Case(name="/", title="/", path="/", beside={"floor_asyncio": None, "aiohttp": None})
    failed, good = throughput.measure(case, a_run())
    assert failed.failure.startswith("ServerFailed: floor_asyncio on asyncio did not start")
    assert good.failure == ""


@on_linux
def test_where_lowlevel_fails_no_other_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Recorded(ServerProcess):
        def __enter__(self) -> ServerProcess:
            started.append(self.name)
            return super().__enter__()

    monkeypatch.setattr("benchmarks.contest.ServerProcess", Recorded)
    monkeypatch.setitem(PROGRAMS, "lowlevel", "benchmarks.servers.no_such_server")
    case = Case(name="/", title="/", path="/", beside={"floor_asyncio": None, "aiohttp": None})
    rows = throughput.measure(case, a_run())
    assert [row.other for row in rows] == ["floor_asyncio", "aiohttp"]
    assert all("lowlevel on asyncio did not start" in row.failure for row in rows)
    assert started == ["lowlevel"]


@on_linux
def test_a_server_that_dies_is_dropped_from_later_rounds() -> None:
    rows = [a_row(other=other, ours=[], theirs=[]) for other in ("floor_asyncio", "aiohttp")]
    loaded = []

    def loader(server: ServerProcess, seconds: float) -> load.Load:
        loaded.append(server.name)
        if len(loaded) == 7:  # The second round begins with it, after the warm-up and one more.
            raise load.LoadFailed("wrk: Socket errors: connect 0, read 12")
        return load.Load(100.0, 0.01)

    throughput.compare(rows, lambda server: {}, loader, a_run(rounds=3, seconds=0.01))
    names = ["lowlevel", "floor_asyncio", "aiohttp"]
    assert loaded == [*names * 2, *names[1:], names[0], names[0], names[2]]
    failed, good = rows
    assert failed.failure.startswith("LoadFailed: floor_asyncio: wrk: Socket errors")
    assert (len(failed.theirs), len(good.theirs)) == (1, 3)
    assert good.failure == ""


@on_linux
def test_where_lowlevel_dies_all_rows_fail() -> None:
    rows = [a_row(other=other, ours=[], theirs=[]) for other in ("floor_asyncio", "aiohttp")]
    loaded = []

    def loader(server: ServerProcess, seconds: float) -> load.Load:
        loaded.append(server.name)
        os.kill(server._process.pid, signal.SIGKILL)
        server._process.wait()
        raise load.LoadFailed("no answer")

    throughput.compare(rows, lambda server: {}, loader, a_run(seconds=0.01))
    assert loaded == ["lowlevel"]
    assert all(row.failure.startswith("LoadFailed: lowlevel: no answer") for row in rows)


@on_linux
def test_the_shares_are_those_of_the_loaded_stretch_where_the_load_knows_it() -> None:
    def loader(server: ServerProcess, seconds: float) -> load.Load:
        return load.Load(10.0, 0.1, seconds=0.5, server_cpu_seconds=0.25)

    with throughput.started(["floor_asyncio"], "asyncio", choose()) as servers:
        turn = throughput.turn(loader, servers["floor_asyncio"], 1.0)
    assert turn == throughput.Turn(10.0, server_busy=0.5, load_busy=0.2)


@on_linux
def test_a_server_that_does_not_start_says_why() -> None:
    with (
        pytest.raises(ServerFailed, match="invalid choice: 'nonsense'"),
        ServerProcess("floor_asyncio", "nonsense", choose().server),
    ):
        pass
