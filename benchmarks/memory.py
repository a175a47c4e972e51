"""What one idle connection costs the server in resident memory: keep-alive HTTP and websockets."""

import select
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from . import websocket_client
from .cases import HTTP_PEERS, MEMORY_TARGET, WEBSOCKET_MEMORY_TARGET
from .cores import Cores
from .limits import allow_descriptors
from .process import ServerFailed, ServerProcess
from .stats import Row, Target, title_beside
from .suite import START_SECONDS, Run, Suite

ROUNDS = 2
ANSWER_SECONDS = 10.0
SETTLE_SECONDS = 0.3
SPARE_DESCRIPTORS = 200
# To open a connection and have its answer, for estimates.
CONNECT_SECONDS = 0.0006

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
    peers: measured beside aiohttp in a full run.
    quick: whether the case belongs to the quick table.
    """

    name: str
    title: str
    connections: int
    connect: Callable[[int], socket.socket]
    target: Target | None = None
    peers: Sequence[str] = ()
    quick: bool = False


def suites() -> list[Suite]:
    return [
        Suite(
            name=case.name,
            measure=partial(measure, case),
            estimate=partial(_estimate, case),
            quick=case.quick,
        )
        for case in CASES
    ]


def _estimate(case: MemoryCase, run: Run) -> float:
    each = START_SECONDS + 2 * SETTLE_SECONDS + case.connections * CONNECT_SECONDS
    return ROUNDS * (1 + len(beside(case, run))) * each


def measure(case: MemoryCase, run: Run) -> list[Row]:
    """One row beside each: KiB of each connection, a fresh server for each sample."""
    title = f"{case.title} ({case.connections:,} open)"
    rows = [
        Row(
            case.name,
            title_beside(title, other),
            run.loop,
            other,
            "KiB",
            case.target if other == "aiohttp" else None,
        )
        for other in beside(case, run)
    ]
    for number in range(1, ROUNDS + 1):
        run.progress(f"{run.loop}: {title}: round {number} of {ROUNDS}")
        _one_round(case, rows, run)
    return rows


def beside(case: MemoryCase, run: Run) -> list[str]:
    return run.present(["aiohttp", *(case.peers if run.full else ())])


def _one_round(case: MemoryCase, rows: Sequence[Row], run: Run) -> None:
    """A sample for each of the rows that have not failed."""
    ours = _weigh(case, "lowlevel", rows, run)
    for row in rows:
        theirs = _weigh(case, row.other, [row], run)
        if ours is not None and theirs is not None:
            row.ours.append(ours)
            row.theirs.append(theirs)


def _weigh(case: MemoryCase, name: str, rows: Sequence[Row], run: Run) -> float | None:
    """KiB per connection of this server; where that fails, so do the rows."""
    if all(row.failure for row in rows):
        return None
    try:
        allow_descriptors(case.connections + SPARE_DESCRIPTORS)
        return kib_per_connection(case, name, run.loop, run.cores)
    except (NoMeasurement, ServerFailed, OSError) as error:
        for row in rows:
            row.failure = row.failure or f"{type(error).__name__}: {error}"
        return None


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


CASES = (
    MemoryCase(
        name="memory",
        title="resident memory per idle connection",
        connections=4000,
        connect=_answered,
        target=MEMORY_TARGET,
        peers=HTTP_PEERS,
        quick=True,
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
