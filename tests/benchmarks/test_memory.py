"""Idle connections are weighed."""

import dataclasses
import socket

import pytest

from benchmarks import limits, memory
from benchmarks.cases import HTTP_PEERS
from benchmarks.cores import choose
from benchmarks.process import PROGRAMS
from tests.benchmarks.running import a_run, on_linux


@on_linux
@pytest.mark.parametrize("server", ["lowlevel", "aiohttp"])
@pytest.mark.parametrize("case", memory.CASES, ids=lambda case: case.name)
def test_idle_connections_are_weighed(
    case: memory.MemoryCase, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "SETTLE_SECONDS", 0.05)
    # Few connections give no figure worth comparing, only one of the right order: no megabyte
    # each. That all are answered and stay open is checked inside.
    few = dataclasses.replace(case, connections=20)
    assert memory.kib_per_connection(few, server, "asyncio", choose()) < 1000


@on_linux
def test_a_connection_closed_by_the_server_is_no_idle_connection() -> None:
    first, its_peer = socket.socketpair()
    second, gone_peer = socket.socketpair()
    with first, its_peer, second:
        gone_peer.close()
        assert memory.count_closed([first, second]) == 1


@on_linux
def test_a_peer_that_fails_fails_its_own_row_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SETTLE_SECONDS", 0.05)
    monkeypatch.setitem(PROGRAMS, "floor_httptools", "benchmarks.servers.no_such_server")
    case = dataclasses.replace(memory.CASES[0], connections=10, peers=("floor_httptools",))
    good, failed = memory.measure(case, a_run())
    assert (good.other, good.failure) == ("aiohttp", "")
    assert len(good.ours) == len(good.theirs) == memory.ROUNDS
    assert failed.failure.startswith("ServerFailed: floor_httptools on asyncio did not start")
    assert failed.title.endswith(", beside floor_httptools")
    assert failed.target is None


def test_where_lowlevel_fails_no_other_is_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    weighed = []

    def weigh(case: memory.MemoryCase, name: str, *_: object) -> float:
        weighed.append(name)
        raise memory.NoMeasurement("closed 3 of 10 idle connections")

    monkeypatch.setattr(memory, "kib_per_connection", weigh)
    (row,) = memory.measure(dataclasses.replace(memory.CASES[0], peers=(), connections=10), a_run())
    assert row.failure == "NoMeasurement: closed 3 of 10 idle connections"
    assert weighed == ["lowlevel"]


def test_the_peers_are_weighed_in_a_full_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.suite.missing", lambda names: {})
    (idle, *websockets) = memory.CASES
    assert memory.beside(idle, a_run(loop="uvloop")) == ["aiohttp", *HTTP_PEERS]
    assert memory.beside(idle, a_run(loop="uvloop", full=False)) == ["aiohttp"]
    assert memory.beside(idle, a_run()) == ["aiohttp"]
    assert all(memory.beside(case, a_run(loop="uvloop")) == ["aiohttp"] for case in websockets)


@on_linux
def test_more_files_than_the_system_allows() -> None:
    with pytest.raises(limits.TooFewDescriptors, match="needs 1000000000 open files"):
        limits.allow_descriptors(1_000_000_000)
