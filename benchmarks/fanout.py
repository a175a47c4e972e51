"""One message to a thousand websockets: how many of them a second arrive as a whole."""

import select
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from . import websocket_client
from .contest import AnswersDiffer
from .cores import pinned
from .load import Load, LoadFailed
from .process import ServerProcess
from .stats import Row, title_beside
from .suite import Run, Suite, estimate_turns
from .throughput import Answers, compare

PATH = "/broadcast"
SOCKETS = 1000
SIZE = 64  # Bytes of the message.
GO = websocket_client.frame(b"go", first=websocket_client.TEXT)
ANSWER_SECONDS = 10.0
READ_BYTES = 4096

PEERS = ("aiohttp", "websockets", "picows", "uvicorn", "granian-rsgi", "socketify")

# To open a thousand connections, for estimates.
CONNECT_SECONDS = 0.5


def suites() -> list[Suite]:
    name = f"fanout-{SOCKETS}"
    return [
        Suite(name=name, measure=partial(measure, name), estimate=_estimate, loops="first"),
    ]


def _estimate(run: Run) -> float:
    servers = 1 + len(run.present(PEERS))
    return estimate_turns(run, servers, seconds=run.seconds + CONNECT_SECONDS)


def measure(name: str, run: Run, *, sockets: int = SOCKETS) -> list[Row]:
    """One row for each server beside lowlevel."""
    title = f"one message to {sockets:,} websockets"
    rows = [
        Row(
            name,
            title_beside(title, peer),
            run.loop,
            peer,
            "messages/s",
        )
        for peer in run.present(PEERS)
    ]

    def load(server: ServerProcess, seconds: float) -> Load:
        return broadcasts(server, sockets=sockets, seconds=seconds, core=run.cores.load)

    compare(rows, prove, load, run, sockets=sockets)
    return rows


def prove(server: ServerProcess) -> Answers:
    """Raises AnswersDiffer unless a "go" makes the server send one and the same message to all."""
    try:
        with ExitStack() as opened:
            clients = [_open(server, opened) for _ in range(3)]
            clients[1].sendall(GO)
            frames = {websocket_client.read_frame(client) for client in clients}
    except OSError as error:
        raise AnswersDiffer(f"{server.name}: {error}") from error
    if len(frames) != 1:
        raise AnswersDiffer(f"{server.name} sends the clients different frames: {frames}")
    ((first, message),) = frames
    if (first, len(message)) != (websocket_client.BINARY, SIZE):
        raise AnswersDiffer(f"{server.name} sends {first:#x} and {len(message)} bytes")
    return {}


def broadcasts(server: ServerProcess, *, sockets: int, seconds: float, core: int) -> Load:
    """For so long, one message after the other, each when the last has arrived everywhere.

    Raises LoadFailed, and OSError where a connection fails.
    """
    with pinned(core), ExitStack() as opened:
        clients = [_open(server, opened) for _ in range(sockets)]
        poll = opened.enter_context(select.epoll())
        for client in clients:
            client.settimeout(None)  # epoll knows when there is something to read.
            poll.register(client, select.EPOLLIN)
        used, server_used, began = time.process_time(), server.cpu_seconds, time.perf_counter()
        arrived = 0
        while time.perf_counter() < began + seconds:
            clients[0].sendall(GO)
            await_everywhere(clients, poll)
            arrived += sockets
        took = time.perf_counter() - began
        used, server_used = time.process_time() - used, server.cpu_seconds - server_used
        for client in clients:
            websocket_client.send_close(client)
    return Load(arrived / took, used, seconds=took, server_cpu_seconds=server_used)


def await_everywhere(clients: Sequence[socket.socket], poll: "select.epoll") -> None:
    """Return when each of the clients has had one whole frame, and nothing more."""
    missing = dict.fromkeys((client.fileno() for client in clients), _FRAME_BYTES)
    receive = {client.fileno(): client.recv_into for client in clients}
    buffer = bytearray(READ_BYTES)
    waiting = len(clients)
    while waiting:
        ready = poll.poll(ANSWER_SECONDS)
        if not ready:
            raise LoadFailed(f"{waiting} clients have nothing after {ANSWER_SECONDS:g} seconds")
        for number, _ in ready:
            received = receive[number](buffer)
            if not received:
                raise LoadFailed("the server closed a connection")
            missing[number] -= received
            if missing[number] < 0:
                raise LoadFailed("more than one message for one that was asked for")
            if not missing[number]:
                waiting -= 1


_FRAME_BYTES = len(websocket_client.answer(bytes(SIZE)))


def _open(server: ServerProcess, opened: ExitStack) -> socket.socket:
    return opened.enter_context(websocket_client.connect(server.port, PATH))
