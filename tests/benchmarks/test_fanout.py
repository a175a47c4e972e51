"""One message to all: who sends what is proved, and every socket must have it as a whole."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from select import EPOLLIN, epoll

import pytest

from benchmarks import fanout, load, throughput, websocket_client
from benchmarks.contest import AnswersDiffer
from benchmarks.cores import choose
from benchmarks.process import missing
from benchmarks.suite import PEERS_LOOP
from tests.benchmarks.running import a_run, on_linux

FRAME = websocket_client.answer(bytes(fanout.SIZE))


@on_linux
@pytest.mark.parametrize("server", ["lowlevel", *fanout.PEERS])
def test_the_servers_send_to_all(server: str) -> None:
    pytest.importorskip("uvloop")
    if why := missing([server]):
        pytest.skip(str(why))
    with throughput.started([server], PEERS_LOOP, choose()) as servers:
        fanout.prove(servers[server])
        done = fanout.broadcasts(servers[server], sockets=5, seconds=0.05, core=choose().load)
    assert done.rate > 0
    assert done.seconds is not None and done.seconds >= 0.05
    assert done.server_cpu_seconds is not None


@on_linux
def test_a_server_that_sends_nothing_is_refused() -> None:
    with (
        throughput.started(["floor_asyncio"], "asyncio", choose()) as servers,
        pytest.raises(AnswersDiffer, match="floor_asyncio: no websocket"),
    ):
        fanout.prove(servers["floor_asyncio"])


@contextmanager
def pairs(count: int) -> Iterator[tuple[list[socket.socket], list[socket.socket], epoll]]:
    """Clients, their servers' ends, and an epoll that watches the clients."""
    both = [socket.socketpair() for _ in range(count)]
    with epoll() as poll:
        for client, _ in both:
            poll.register(client, EPOLLIN)
        try:
            yield [client for client, _ in both], [server for _, server in both], poll
        finally:
            for client, server in both:
                client.close()
                server.close()


@on_linux
def test_a_message_in_pieces_has_arrived_with_the_last() -> None:
    with pairs(3) as (clients, servers, poll):
        for server in servers[:2]:
            server.sendall(FRAME)
        servers[2].sendall(FRAME[:10])
        servers[2].sendall(FRAME[10:])
        fanout.await_everywhere(clients, poll)
        assert poll.poll(0) == []


def nothing(server: socket.socket) -> None:
    pass


@on_linux
@pytest.mark.parametrize(
    ("last", "complaint"),
    [
        (nothing, "1 clients have nothing"),
        (lambda server: server.sendall(FRAME[:-1]), "1 clients have nothing"),
        (lambda server: server.sendall(FRAME + FRAME[:1]), "more than one message"),
        (lambda server: server.close(), "closed a connection"),
    ],
)
def test_anything_else_fails_the_load(
    monkeypatch: pytest.MonkeyPatch, last: Callable[[socket.socket], None], complaint: str
) -> None:
    monkeypatch.setattr(fanout, "ANSWER_SECONDS", 0.1)
    with pairs(3) as (clients, servers, poll):
        for server in servers[:2]:
            server.sendall(FRAME)
        last(servers[2])
        with pytest.raises(load.LoadFailed, match=complaint):
            fanout.await_everywhere(clients, poll)


@on_linux
def test_a_tiny_run() -> None:
    (row,) = fanout.measure("fanout-20", a_run(seconds=0.1), sockets=20)
    assert (row.failure, row.case, row.other) == ("", "fanout-20", "aiohttp")
    assert row.title == "one message to 20 websockets"
    assert row.ours > [0] and row.theirs > [0]
    assert row.cpu_per_request is not None
