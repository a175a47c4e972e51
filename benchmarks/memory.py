"""What one idle connection costs the server in resident memory: keep-alive HTTP and websockets."""

import resource
import select
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from . import websocket_client
from .cases import MEMORY_TARGET, WEBSOCKET_MEMORY_TARGET
from .cores import Cores
from .process import ServerFailed, ServerProcess
from .stats import Row, Target

ROUNDS = 2
ANSWER_SECONDS = 10.0
SETTLE_SECONDS = 0.3
SPARE_DESCRIPTORS = 200

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: idle/1.0\r\nAccept: */*\r\n\r\n"

# What has been echoed on a websocket before it falls idle. The handlers keep their last message.
SMALL = b"idle"
DOCUMENT = (b'{"id": 1024, "name": "an idle connection"},' * 25)[:1024]


class NoMeasurement(Exception):
    """The connections could not be opened, or were not kept alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCase:
    """One kind of idle connection.

    connect: opens one, which has had one answer, on the port.
    """

    name: str
    title: str
    connections: int
    connect: Callable[[int], socket.socket]
    target: Target | None = None


def measure(
    case: MemoryCase, loop: str, *, cores: Cores, progress: Callable[[str], None]
) -> list[Row]:
    """One row: KiB of each, a fresh server for each sample."""
    title = f"{case.title} ({case.connections:,} open)"
    row = Row(case.name, title, loop, "aiohttp", "KiB", case.target)
    try:
        _allow_descriptors(case.connections + SPARE_DESCRIPTORS)
        for number in range(1, ROUNDS + 1):
            progress(f"{loop}: {title}: round {number} of {ROUNDS}")
            ours = kib_per_connection(case, "lowlevel", loop, cores)
            theirs = kib_per_connection(case, "aiohttp", loop, cores)
            row.ours.append(ours)
            row.theirs.append(theirs)
    except (NoMeasurement, ServerFailed, OSError) as error:
        row.failure = f"{type(error).__name__}: {error}"
    return [row]


def kib_per_connection(case: MemoryCase, name: str, loop: str, cores: Cores) -> float:
    """Growth of the server's resident set over the case's connections."""
    with ServerProcess(name, loop, cores.server) as server, ExitStack() as opened:
        # What the first request ever builds belongs to the server, not to a connection.
        opened.enter_context(case.connect(server.port))
        before = _settled(server)
        idle = [opened.enter_context(case.connect(server.port)) for _ in range(case.connections)]
        after = _settled(server)
        if closed := count_closed(idle):
            raise NoMeasurement(f"{name} closed {closed} of {len(idle)} idle connections")
        return (after - before) / len(idle) / 1024


def count_closed(clients: Iterable[socket.socket]) -> int:
    """How many of these the server has closed; none of them may hold unread data."""
    readable = select.poll()
    for client in clients:
        readable.register(client, select.POLLIN)
    return len(readable.poll(0))


def _answered(port: int) -> socket.socket:
    """A connection that has had one whole answer and stays open."""
    client = socket.socket()
    try:
        client.settimeout(ANSWER_SECONDS)
        client.connect(("127.0.0.1", port))
        client.sendall(REQUEST)
        _read_answer(client)
    except BaseException:
        client.close()
        raise
    return client


def _read_answer(client: socket.socket) -> None:
    answer = b""
    while not answer.endswith(b"\r\n\r\nHello, world!"):
        more = client.recv(4096)
        if not more:
            raise NoMeasurement(f"the server closed after {answer!r}")
        answer += more


def _settled(server: ServerProcess) -> int:
    time.sleep(SETTLE_SECONDS)
    return server.resident_bytes


def _allow_descriptors(needed: int) -> None:
    """Raise the soft limit, here and in the servers started from here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise NoMeasurement(f"needs {needed} open files, and the hard limit is {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


CASES = (
    MemoryCase(
        name="memory",
        title="resident memory per idle connection",
        connections=4000,
        connect=_answered,
        target=MEMORY_TARGET,
    ),
    MemoryCase(
        name="websocket-memory",
        title="resident memory per idle websocket",
        connections=4000,
        connect=partial(
            websocket_client.connect_and_echo,
            path="/websocket",
            payload=SMALL,
            compressed=False,
        ),
        target=WEBSOCKET_MEMORY_TARGET,
    ),
    MemoryCase(
        name="websocket-memory-deflate",
        title="the same, 1 KiB was compressed both ways",
        # Fewer, as each takes ten times as much.
        connections=1000,
        connect=partial(
            websocket_client.connect_and_echo,
            path="/websocket/deflate",
            payload=DOCUMENT,
            compressed=True,
        ),
    ),
)
