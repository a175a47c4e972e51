"""Latency at a fixed rate: exact percentiles, and a stall that is counted in full."""

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from benchmarks import latency, load, throughput
from benchmarks.cores import choose
from benchmarks.latency import Samples, drive, percentile
from benchmarks.process import ServerProcess
from tests.benchmarks.running import a_row, a_run, on_linux, with_wrk


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [
        (1, 50, 1),
        (1, 99.9, 1),
        (2, 50, 1),
        (3, 50, 2),
        (100, 50, 50),
        (100, 99, 99),
        (100, 99.9, 100),
        (1000, 99, 990),
        (1000, 99.9, 999),
        (1001, 99.9, 1000),
        (10_000, 99.9, 9990),
    ],
)
def test_percentiles_by_the_nearest_rank(count: int, percent: float, expected: float) -> None:
    assert percentile(range(1, count + 1), percent) == expected


def test_no_samples_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [([60_512.3, 20_250.0, 31_000.0], 10_100), ([250.0], 100), ([], 100)],
)
def test_the_rate_is_half_of_the_slowest(rates: list[float], expected: int) -> None:
    assert latency.fixed_rate(rates) == expected


TICK = 1 / 4096  # Exact in binary, so that nothing here is rounded.


@dataclass
class Imagined:
    """A server in a time of its own, which answers at once but for one stall; also the clock.

    stall: from when it does nothing, and until when.
    load_stall: the same for the load itself.
    """

    stall: tuple[float, float] = (0.0, 0.0)
    load_stall: tuple[float, float] = (0.0, 0.0)
    now: float = 0.0
    waiting: list[int] = field(default_factory=list)
    most_waiting: int = 0

    def clock(self) -> float:
        return self.now

    def send(self, connection: int) -> None:
        assert connection not in self.waiting, "two requests on one connection"
        self.waiting.append(connection)
        self.most_waiting = max(self.most_waiting, len(self.waiting))

    def answered(self) -> Iterable[int]:
        if not self.stall[0] <= self.now < self.stall[1]:
            answered, self.waiting = self.waiting, []
            yield from answered
        self.now += TICK
        if self.load_stall[0] <= self.now < self.load_stall[1]:
            self.now = self.load_stall[1]


# 1,024 a second, thus one for each fourth tick, over eight seconds.
RATE, REQUESTS = 1024, 8192


def test_a_stall_counts_for_each_request_that_was_due_in_it() -> None:
    server = Imagined(stall=(4.0, 4.125))
    samples = drive(server, rate=RATE, requests=REQUESTS, connections=64, clock=server.clock)
    ordered = sorted(samples.latencies)
    # 128 requests were due in it, at 4 s and each 1/1024 s after; the first has waited for all of it.
    # Each of the later half was sent when the answer on its connection was there, one look later.
    waited = [0.125 - number / RATE + (TICK if number >= 64 else 0) for number in range(128)]
    assert ordered[-128:] == sorted(waited)
    # What came after found the queue of its connection empty, but for the first few.
    assert ordered[-129] <= 2 * TICK
    # Of 8,192 the rank of p99.9 is 8,184: the ninth from the end.
    assert percentile(ordered, 99.9) == 0.125 - 8 / RATE
    assert percentile(ordered, 50) == 0
    # There is one request on its way on a connection, and half of those due had to wait for it.
    assert server.most_waiting == 64
    assert set(samples.lateness) == {0.0}
    # The other half, and the one that was due as it ended.
    assert len(samples.lateness) == REQUESTS - 65


def test_without_a_stall_nothing_waits() -> None:
    server = Imagined()
    samples = drive(server, rate=RATE, requests=REQUESTS, connections=64, clock=server.clock)
    assert set(samples.latencies) == {0.0}
    # It has looked four times for each request, and found something to do once.
    assert samples.busy == pytest.approx(0.25, abs=0.001)


def test_what_a_stall_of_the_load_touches_counts_for_nobody() -> None:
    server = Imagined(load_stall=(4.0, 4.125))
    samples = drive(server, rate=RATE, requests=REQUESTS, connections=256, clock=server.clock)
    # Due at 4 s and each 1/1024 s after, until 0.05 s after the end of the stall.
    assert samples.void == int((0.125 + latency.SETTLE_SECONDS) * RATE) + 1
    assert len(samples.latencies) == REQUESTS - samples.void
    assert set(samples.latencies) == set(samples.lateness) == {0.0}
    assert latency.what_is_wrong(samples) is None


def test_a_stall_of_the_load_takes_what_was_on_its_way_with_it() -> None:
    server = Imagined(stall=(3.9990, 4.125), load_stall=(4.0, 4.125))
    samples = drive(server, rate=RATE, requests=REQUESTS, connections=256, clock=server.clock)
    assert set(samples.latencies) == {0.0}
    assert samples.void == int((0.125 + latency.SETTLE_SECONDS) * RATE) + 2


def test_a_load_that_stood_still_too_often_says_so() -> None:
    samples = Samples(latencies=[0.001] * 8, lateness=[0.0] * 8, void=12)
    complaint = latency.what_is_wrong(samples)
    assert complaint == "the load stood still around 60% of its requests"
    assert latency.what_is_wrong(Samples(void=2)) is not None


def test_a_load_that_has_too_much_to_do_says_so() -> None:
    samples = Samples(latencies=[0.004] * 8, lateness=[0.0025] * 8)
    complaint = latency.what_is_wrong(samples)
    assert complaint == "p99.9 of the load's own lateness was 2.5 ms"


def test_no_answer_fails_the_load() -> None:
    server = Imagined(stall=(1.0, 1000.0))
    with pytest.raises(load.LoadFailed, match="no answer within 10 seconds"):
        drive(server, rate=RATE, requests=REQUESTS, connections=4, clock=server.clock)


def test_a_round_gives_each_row_its_percentile_in_milliseconds() -> None:
    rows = [a_row(at=percent, ours=[], theirs=[]) for percent in (50.0, 99.0)]
    rows.append(a_row(other="uvicorn", at=50.0, ours=[], theirs=[]))
    latency.record(
        {
            "lowlevel": Samples(latencies=[0.003, 0.001, 0.002]),
            "aiohttp": Samples(latencies=[0.006, 0.005, 0.004]),
        },
        rows,
    )
    assert [(row.ours, row.theirs) for row in rows] == [
        ([2.0], [5.0]),
        ([3.0], [6.0]),
        ([], []),  # uvicorn has dropped out.
    ]


@on_linux
def test_real_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "LEAST_SECONDS", 0.1)
    monkeypatch.setattr(latency, "LATE_SECONDS", 60.0)
    with throughput.started(["lowlevel"], "asyncio", choose()) as servers:
        samples = latency.take(servers["lowlevel"], 500, a_run(seconds=0.2))
    assert len(samples.latencies) == 100
    assert min(samples.latencies) > 0
    assert 0 < samples.busy < 1


@on_linux
def test_a_load_that_stays_late_counts_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "LEAST_SECONDS", 0.05)
    monkeypatch.setattr(latency, "LATE_SECONDS", -1.0)
    driven = []
    real_drive = latency.drive

    def counting(*arguments: object, **options: object) -> Samples:
        driven.append(options["requests"])
        return real_drive(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(latency, "drive", counting)
    with throughput.started(["floor_asyncio"], "asyncio", choose()) as servers:
        assert latency.take(servers["floor_asyncio"], 200, a_run(seconds=0.05)) is None
    assert driven == [10] * latency.TRIES


@contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """The port of a server that answers its one connection with these, and closes after the last."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                for answer in answers:
                    connection.recv(4096)
                    connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@on_linux
@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ([GOOD, GOOD + b"!"], "longer than those before"),
        ([GOOD, GOOD[:-1]], "closed a connection"),
        ([GOOD[:-1]], "closed after 1 of 2 bytes"),
        ([b"HTTP/1.1 200 OK\r\n"], "closed after b'HTTP"),
        ([b"HTTP/1.1 200 OK\r\n\r\n"], "without one Content-Length"),
    ],
)
def test_answers_that_are_not_the_expected_ones(answers: list[bytes], complaint: str) -> None:
    with (
        answering(*answers) as port,
        pytest.raises(load.LoadFailed, match=complaint),
        latency.Sockets(port, 1) as wire,
    ):
        drive(wire, rate=1000, requests=5, connections=1)


@on_linux
@with_wrk
def test_a_tiny_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "LEAST_SECONDS", 0.1)
    monkeypatch.setattr(latency, "LATE_SECONDS", 60.0)
    rows = latency.measure(a_run(seconds=0.2))
    assert [(row.other, row.family, row.at) for row in rows] == [
        ("aiohttp", "latency", 50.0),
        ("aiohttp", "latency", 99.0),
        ("aiohttp", "latency", 99.9),
    ]
    assert [row.failure for row in rows] == [""] * 3
    median, p99, p999 = rows
    assert 0 < median.ours[0] <= p99.ours[0] <= p999.ours[0]
    assert 0 < median.theirs[0] <= p99.theirs[0] <= p999.theirs[0]
    assert median.title.startswith("latency at ") and median.title.endswith("00/s, p50")
    assert "late at p99.9" in median.note and "counted for nobody" in median.note
    assert median.unit == "ms" and median.cpu_per_request is None


@on_linux
@with_wrk
def test_a_server_that_fails_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "LEAST_SECONDS", 0.1)
    monkeypatch.setattr(latency, "LATE_SECONDS", 60.0)
    monkeypatch.setattr(latency, "PEERS", ("floor_httptools", "aiohttp"))
    real_take = latency.take

    def take(server: ServerProcess, rate: int, run: object) -> Samples | None:
        if server.name == "floor_httptools":
            raise load.LoadFailed("it closed")
        if server.name == late:
            return None
        return real_take(server, rate, run)  # type: ignore[arg-type]

    monkeypatch.setattr(latency, "take", take)
    late = None
    rows = latency.measure(a_run(seconds=0.2))
    failed, good = rows[:3], rows[3:]
    assert {row.failure for row in failed} == {"LoadFailed: it closed"}
    assert all(row.failure == "" and len(row.ours) == 1 for row in good)
    late = "lowlevel"
    rows = latency.measure(a_run(seconds=0.2))
    assert {row.failure for row in rows[3:]} == {
        "the load was late in all rounds, 5 times beside one of the servers"
    }
