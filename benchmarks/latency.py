"""Tail latency at a fixed rate: how long an answer takes that was asked for at its time.

One rate for all servers, half of what the slowest of them can do, measured by wrk at the start of the
same rounds: so all have the same work, one sample of lowlevel stands beside each of the others, and
one picture can hold them all.

A request is due at its moment, whether those before it have been answered or not, and its time counts
from there. A server that stops for 100 ms thus has that against it in all the requests which were due
meanwhile; a load that waited for answers before it asked again would count it once for each
connection (what wrk2 calls coordinated omission).

The load can be stopped as well, by whoever else wants its core or by the machine below a virtual one. It
knows by its clock, looked at around everything it does, none of which takes long. What was on its way
then, or was due until some time later, counts for nobody; and where that is too much, the turn does not.
"""

import math
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from select import EPOLLIN, epoll
from statistics import median
from typing import Protocol

from . import load
from .contest import contest
from .cores import pinned
from .process import ServerProcess
from .stats import Row, title_beside
from .suite import WARM_UP_SECONDS, Run, Suite, estimate_turns
from .throughput import answer_to, check_alike, turn

PEERS = ("aiohttp", "uvicorn", "granian-rsgi")
PERCENTILES = (50.0, 99.0, 99.9)
SHARE = 0.5  # Of the slowest server's rate.
CONNECTIONS = 64
# The 99.9th percentile needs some thousands of requests.
LEAST_SECONDS = 4.0
PROBE_SECONDS = 1.0

ANSWER_SECONDS = 10.0
READ_BYTES = 64 * 1024
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

# The load is late where one thing it does takes longer than this. Then it has to catch up, and the
# server with it.
LATE_SECONDS = 0.001
SETTLE_SECONDS = 0.02
# A turn in which more requests than this share counted for nobody is taken again, so often; also one
# in which more than one of a thousand others was sent late, since there was too much to do.
MOST_VOID = 0.5
LATE_PERCENTILE = 99.9
TRIES = 5


@dataclass(slots=True)
class Samples:
    """What one turn has shown, in seconds.

    latencies: from the moment that each request was due to the end of its answer.
    lateness: of the load, for each of them that did not have to wait for its connection.
    void: how many requests count for nobody, as the load stood still.
    idle: how much of the time there was nothing to send and nothing to read.
    """

    latencies: list[float] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    void: int = 0
    seconds: float = 0.0
    idle: float = 0.0

    @property
    def busy(self) -> float:
        return 1 - self.idle / self.seconds

    @property
    def void_share(self) -> float:
        return self.void / (self.void + len(self.latencies))


class Watch:
    """The clock of the load, by which it knows that it stood still.

    void_until: no request that was due before and has not been answered counts.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()
        self.void_until = -math.inf

    def look(self) -> float:
        """The time. To be called before and behind everything that takes some."""
        now = self._clock()
        if now - self._last > LATE_SECONDS:
            self.void_until = now + SETTLE_SECONDS
        self._last = now
        return now


class Wire(Protocol):
    """Connections with numbers from 0. Both return at once."""

    def send(self, connection: int) -> None:
        """Send a request; the connection has no other on its way."""

    def answered(self) -> Iterable[int]:
        """The connections whose answer is here as a whole, each once."""


def suites() -> list[Suite]:
    return [Suite(name="latency", measure=measure, estimate=_estimate, loops="first")]


def _estimate(run: Run) -> float:
    servers = 1 + len(run.present(PEERS))
    return estimate_turns(run, servers, seconds=_seconds(run)) + servers * PROBE_SECONDS


def _seconds(run: Run) -> float:
    return max(run.seconds, LEAST_SECONDS)


def measure(run: Run) -> list[Row]:
    """One row for each percentile and each server beside lowlevel."""
    rows = [
        Row("latency", "latency", run.loop, peer, "ms", family="latency", at=percent)
        for peer in run.present(PEERS)
        for percent in PERCENTILES
    ]
    with contest(rows, run) as taking_part:
        check_alike(taking_part, lambda server: {"/": answer_to("/", server)})
        taking_part.each(lambda server: turn(partial(_wrk, run), server, WARM_UP_SECONDS))
        run.progress(f"{run.loop}: latency: how much each server can do")
        most = taking_part.each(lambda server: turn(partial(_wrk, run), server, PROBE_SECONDS))
        rate = fixed_rate([found.rate for name, found in most.items()])
        taken: list[Samples] = []
        for number in range(1, run.rounds + 1):
            run.progress(f"{run.loop}: latency at {rate:,}/s: round {number} of {run.rounds}")
            turns = taking_part.each(lambda server: take(server, rate, run), number=number - 1)
            samples = {name: each for name, each in turns.items() if each is not None}
            if len(samples) == len(turns):  # Else the round counts for nobody.
                taken += samples.values()
                record(samples, rows)
    for row in rows:
        if not row.ours and not row.failure:
            row.failure = (
                f"the load was late in all rounds, {TRIES} times beside one of the servers"
            )
        row.title = title_beside(f"latency at {rate:,}/s, {name_of(row.at)}", row.other)
        if taken:
            row.note = _about_the_load(taken)
    return rows


def name_of(percent: float | None) -> str:
    return f"p{percent:g}"


def fixed_rate(rates: Sequence[float]) -> int:
    """Half of the slowest, in whole hundreds, and something at least."""
    return max(100, int(min(rates, default=0) * SHARE) // 100 * 100)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest sample that so many percent of all are not above (nearest rank).

    Raises ValueError without samples.
    """
    if not ordered:
        raise ValueError("no samples")
    # As a ratio of integers: 99.9 % of 1,000 is 999, which floats miss by a little.
    rank = math.ceil(round(percent * 1000) * len(ordered) / 100_000)
    return ordered[max(rank, 1) - 1]


def record(samples: Mapping[str, Samples], rows: Sequence[Row]) -> None:
    """A round's percentiles, in milliseconds."""
    ordered = {name: sorted(taken.latencies) for name, taken in samples.items()}
    for row in rows:
        if row.server in ordered and row.other in ordered and row.at is not None:
            row.ours.append(percentile(ordered[row.server], row.at) * 1000)
            row.theirs.append(percentile(ordered[row.other], row.at) * 1000)


def take(server: ServerProcess, rate: int, run: Run) -> Samples | None:
    """One turn of one server; None if the load was late in each try. Raises load.LoadFailed."""
    requests = round(rate * _seconds(run))
    for _ in range(TRIES):
        try:
            with pinned(run.cores.load), Sockets(server.port, CONNECTIONS) as wire:
                samples = drive(wire, rate=rate, requests=requests, connections=CONNECTIONS)
        except OSError as error:
            raise load.LoadFailed(f"{server.name}: {error}") from error
        server.wait_idle()
        complaint = what_is_wrong(samples)
        if complaint is None:
            return samples
        run.progress(f"{server.name}: {complaint}, once more")
    return None


def what_is_wrong(samples: Samples) -> str | None:
    """Why the latencies are those of the load; None if they are not."""
    if samples.void_share > MOST_VOID:
        return f"the load stood still around {samples.void_share:.0%} of its requests"
    if (late := how_late(samples)) > LATE_SECONDS:
        return f"{name_of(LATE_PERCENTILE)} of the load's own lateness was {late * 1000:.1f} ms"
    return None


def how_late(samples: Samples) -> float:
    return percentile(sorted(samples.lateness), LATE_PERCENTILE) if samples.lateness else 0.0


def drive(
    wire: Wire,
    *,
    rate: float,
    requests: int,
    connections: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Samples:
    """Send so many requests at so many a second, and wait for the last of the answers.

    They are due on the connections in turn. One that is due while its connection waits for an answer
    is sent after that, and its time runs meanwhile. Nothing here sleeps: it looks again and again.

    Raises load.LoadFailed if no answer comes, and what the wire raises.
    """
    samples = Samples()
    watch = Watch(clock)
    due_times: list[deque[float]] = [deque() for _ in range(connections)]
    due_number = 0
    began = now = heard = watch.look()
    while len(samples.latencies) + samples.void < requests:
        worked = False
        while due_number < requests and (due := began + due_number / rate) <= now:
            connection = due_number % connections
            due_times[connection].append(due)
            if len(due_times[connection]) == 1:
                sent = watch.look()
                if due > watch.void_until:
                    samples.lateness.append(sent - due)
                wire.send(connection)
            due_number += 1
            worked = True
        for connection in wire.answered():
            heard = watch.look()
            due = due_times[connection].popleft()
            if due > watch.void_until:
                samples.latencies.append(heard - due)
            else:
                samples.void += 1
            if due_times[connection]:
                wire.send(connection)
            worked = True
        before, now = now, watch.look()
        if not worked:
            samples.idle += now - before
            if now - heard > ANSWER_SECONDS:
                raise load.LoadFailed(f"no answer within {ANSWER_SECONDS:g} seconds")
    samples.seconds = now - began
    return samples


class Sockets:
    """Connections that have had an answer: the length of theirs is known. A Wire as a context."""

    def __init__(self, port: int, connections: int) -> None:
        self._address = ("127.0.0.1", port)
        self._count = connections
        self._buffer = bytearray(READ_BYTES)

    def __enter__(self) -> "Sockets":
        with ExitStack() as opened:
            self._poll = opened.enter_context(epoll())
            self._clients = []
            for _ in range(self._count):
                client = opened.enter_context(
                    socket.create_connection(self._address, ANSWER_SECONDS)
                )
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._size = _first_answer(client)
                client.settimeout(None)  # Spares a system call each time: epoll knows better.
                self._poll.register(client, EPOLLIN)
                self._clients.append(client)
            self._numbers = {each.fileno(): number for number, each in enumerate(self._clients)}
            self._received = [0] * self._count
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def send(self, connection: int) -> None:
        self._clients[connection].sendall(REQUEST)

    def answered(self) -> Iterable[int]:
        for descriptor, _ in self._poll.poll(0):
            connection = self._numbers[descriptor]
            received = self._clients[connection].recv_into(self._buffer)
            if not received:
                raise load.LoadFailed("the server closed a connection")
            self._received[connection] += received
            if self._received[connection] > self._size:
                raise load.LoadFailed("an answer is longer than those before it")
            if self._received[connection] == self._size:
                self._received[connection] = 0
                yield connection


def _first_answer(client: socket.socket) -> int:
    """Ask once; how many bytes the answer has, head and body."""
    client.sendall(REQUEST)
    head = b""
    while b"\r\n\r\n" not in head:
        more = client.recv(4096)
        if not more:
            raise load.LoadFailed(f"the server closed after {head!r}")
        head += more
    fields, _, body = head.partition(b"\r\n\r\n")
    found = [line for line in fields.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    if len(found) != 1:
        raise load.LoadFailed(f"an answer without one Content-Length: {fields!r}")
    length = int(found[0].partition(b":")[2])
    while len(body) < length:
        more = client.recv(4096)
        if not more:
            raise load.LoadFailed(f"the server closed after {len(body)} of {length} bytes")
        body += more
    return len(fields) + 4 + length


def _wrk(run: Run, server: ServerProcess, seconds: float) -> load.Load:
    return load.run(
        f"http://127.0.0.1:{server.port}/",
        seconds=seconds,
        connections=CONNECTIONS,
        script=None,
        core=run.cores.load,
    )


def _about_the_load(taken: Sequence[Samples]) -> str:
    late = median(map(how_late, taken)) * 1000
    busy = median(samples.busy for samples in taken)
    void = median(samples.void_share for samples in taken)
    return (
        f"the load itself was {late:.2f} ms late at {name_of(LATE_PERCENTILE)}, busy for {busy:.0%} "
        f"of its time, and {void:.1%} of the requests counted for nobody, since it stood still"
    )
