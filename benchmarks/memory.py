"""What one idle keep-alive connection costs the server in resident memory."""

import resource
import select
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack

from .cases import MEMORY_TARGET
from .cores import Cores
from .process import ServerFailed, ServerProcess
from .stats import Row

CONNECTIONS = 4000
ROUNDS = 2
ANSWER_SECONDS = 10.0
SETTLE_SECONDS = 0.3
SPARE_DESCRIPTORS = 200

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: idle/1.0\r\nAccept: */*\r\n\r\n"


class NoMeasurement(Exception):
    """The connections could not be opened, or were not kept alive."""


def measure(loop: str, *, cores: Cores, progress: Callable[[str], None]) -> list[Row]:
    """One row: KiB of each, a fresh server for each sample."""
    row = Row(
        "memory",
        f"resident memory per idle connection ({CONNECTIONS:,} open)",
        loop,
        "aiohttp",
        "KiB",
        MEMORY_TARGET,
    )
    try:
        _allow_descriptors(CONNECTIONS + SPARE_DESCRIPTORS)
        for number in range(1, ROUNDS + 1):
            progress(f"{loop}: idle connections: round {number} of {ROUNDS}")
            ours = kib_per_connection("lowlevel", loop, CONNECTIONS, cores)
            theirs = kib_per_connection("aiohttp", loop, CONNECTIONS, cores)
            row.ours.append(ours)
            row.theirs.append(theirs)
    except (NoMeasurement, ServerFailed, OSError) as error:
        row.failure = f"{type(error).__name__}: {error}"
    return [row]


def kib_per_connection(name: str, loop: str, connections: int, cores: Cores) -> float:
    """Growth of the server's resident set over so many connections, one request on each."""
    with ServerProcess(name, loop, cores.server) as server, ExitStack() as opened:
        # What the first request ever builds belongs to the server, not to a connection.
        opened.enter_context(_answered(server.port))
        before = _settled(server)
        idle = [opened.enter_context(_answered(server.port)) for _ in range(connections)]
        after = _settled(server)
        if closed := count_closed(idle):
            raise NoMeasurement(f"{name} closed {closed} of {connections} idle connections")
        return (after - before) / connections / 1024


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
