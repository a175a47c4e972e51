"""The rows of websockets: what is compared, and that all servers echo."""

import pytest

from benchmarks import throughput, websocket, websocket_load
from benchmarks.cases import WEBSOCKET_CASES, WEBSOCKET_PEERS
from benchmarks.contest import AnswersDiffer
from benchmarks.cores import choose
from benchmarks.process import missing
from benchmarks.suite import LOOPS, runs_on
from tests.benchmarks.running import a_run, on_linux


@on_linux
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    "server", ["lowlevel_masker", "lowlevel_no_masker", "aiohttp", *WEBSOCKET_PEERS]
)
def test_the_servers_echo_every_case(server: str, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    if server == "lowlevel_masker":
        pytest.importorskip("websockets.speedups")
    if not runs_on(server, loop):
        pytest.skip(f"{server} is not measured on {loop}")
    if why := missing([server]):
        pytest.skip(str(why))
    with throughput.started((server,), loop, choose()) as servers:
        for case in WEBSOCKET_CASES:
            websocket.prove(case, servers[server])
            done = websocket_load.run(
                servers[server].port,
                websocket.PATH,
                case.payload,
                in_flight=case.in_flight,
                connections=2,
                seconds=0.05,
                core=choose().load,
            )
            assert done.rate > 0


@on_linux
def test_a_server_that_does_not_echo_fails() -> None:
    with (
        throughput.started(("floor_asyncio",), "asyncio", choose()) as servers,
        pytest.raises(AnswersDiffer, match="floor_asyncio: no websocket"),
    ):
        websocket.prove(WEBSOCKET_CASES[0], servers["floor_asyncio"])


def test_a_case_has_a_payload_of_its_size() -> None:
    assert [len(case.payload) for case in WEBSOCKET_CASES] == [64, 64, 4096, 65536]


def test_peers_that_are_not_installed_have_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    why = {"picows": "does not compile"}
    monkeypatch.setattr("benchmarks.suite.missing", lambda names: why)
    run = a_run(loop="uvloop")
    rows = websocket.rows(WEBSOCKET_CASES[0], run)
    peers = [peer for peer in WEBSOCKET_PEERS if peer != "picows"]
    assert [each.other for each in rows] == ["aiohttp", "aiohttp", *peers]
    assert [each.server for each in rows] == [
        "lowlevel_masker",
        "lowlevel_no_masker",
        *["lowlevel_masker"] * len(peers),
    ]
    assert run.left_out == why


@on_linux
def test_a_tiny_run_of_websockets(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("websockets.speedups")
    monkeypatch.setattr(throughput, "WARM_UP_SECONDS", 0.01)
    (case,) = (case for case in WEBSOCKET_CASES if case.name == "websocket-64x16")
    rows = websocket.measure(case, a_run(seconds=0.1))
    assert [(each.server, each.other) for each in rows] == [
        ("lowlevel_masker", "aiohttp"),
        ("lowlevel_no_masker", "aiohttp"),
        ("lowlevel_masker", "floor_websocket"),
    ]
    assert [each.failure for each in rows] == ["", "", ""]
    masker, no_masker, floor = rows
    assert masker.ours == floor.ours != no_masker.ours
    assert masker.theirs == no_masker.theirs != floor.theirs
