"""The clock: what it counts, that it is coarse in the client's favour, and what it prepares."""

import asyncio
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from lowlevel.clock import NEVER, SHORTEST_INTERVAL, ServerClock


class Loop:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, Any, tuple[Any, ...], Any]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Any, *arguments: Any) -> Any:
        class Handle:
            cancelled = False

            def cancel(self) -> None:
                self.cancelled = True

        handle = Handle()
        self.timers.append((self.now + delay, callback, arguments, handle))
        return handle

    def advance(self, seconds: float) -> None:
        """Block for a while, then run what is due, once."""
        self.now += seconds
        due = [timer for timer in self.timers if timer[0] <= self.now + 1e-9]
        self.timers = [timer for timer in self.timers if timer not in due]
        for _, callback, arguments, handle in due:
            if not handle.cancelled:
                callback(*arguments)


@pytest.fixture
def ticks() -> list[float]:
    return []


@pytest.fixture
def clock(ticks: list[float]) -> ServerClock:
    return ServerClock(0.5, "Python/x lowlevel/y", ticks.append)


def test_ticks(clock: ServerClock, ticks: list[float]) -> None:
    loop: Any = Loop()
    clock.start(loop)
    clock.start(loop)  # no second timer
    assert len(loop.timers) == 1
    for _ in range(3):
        loop.advance(0.5)
    assert ticks == [0.5, 1.0, 1.5]
    clock.stop()
    loop.advance(0.5)
    assert ticks == [0.5, 1.0, 1.5]
    clock.stop()


def test_deadlines_never_come_early(clock: ServerClock, ticks: list[float]) -> None:
    """A deadline made between two ticks is counted from the later one."""
    loop: Any = Loop()
    clock.start(loop)
    loop.advance(0.5)
    begin = loop.now = loop.now + 0.4
    deadline = clock.now + 1.0
    loop.advance(0.1)
    while ticks[-1] < deadline:
        loop.advance(0.5)
    assert 1.0 <= loop.now - begin <= 2.0


def test_time_in_which_the_loop_was_blocked_does_not_count(
    clock: ServerClock, ticks: list[float]
) -> None:
    loop: Any = Loop()
    clock.start(loop)
    loop.advance(60.0)
    assert ticks == [1.0]


def test_time_between_stop_and_start_does_not_count(clock: ServerClock, ticks: list[float]) -> None:
    loop: Any = Loop()
    clock.start(loop)
    loop.advance(0.5)
    clock.stop()
    loop.advance(100.0)
    clock.start(loop)
    loop.advance(0.5)
    assert ticks == [0.5, 1.0]


def test_a_failing_tick_does_not_stop_the_clock() -> None:
    seen: list[float] = []

    def tick(now: float) -> None:
        seen.append(now)
        raise ValueError

    clock = ServerClock(0.5, "s", tick)
    loop: Any = Loop()
    clock.start(loop)
    for _ in range(2):
        with pytest.raises(ValueError):
            loop.advance(0.5)
    assert seen == [0.5, 1.0]


def test_the_time_is_told(clock: ServerClock, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 784111777.5
    monkeypatch.setattr(time, "time", lambda: now)
    loop: Any = Loop()
    clock.start(loop)
    assert clock.date == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert (
        clock.lasting
        == b"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: Python/x lowlevel/y\r\n\r\n"
    )
    assert clock.closing == clock.lasting[:-2] + b"Connection: close\r\n\r\n"
    before = clock.lasting
    now += 0.4
    loop.advance(0.5)
    assert clock.lasting is before  # made once a second
    now += 0.2
    loop.advance(0.5)
    assert clock.date == "Sun, 06 Nov 1994 08:49:38 GMT"
    assert b"08:49:38" in clock.lasting and b"08:49:38" in clock.closing


# --- A clock that ticks faster ------------------------------------------------------------------------


def test_refined_ticks(clock: ServerClock, ticks: list[float]) -> None:
    """Four times in the seconds given, from then on."""
    loop: Any = Loop()
    clock.start(loop)
    loop.advance(0.5)
    clock.refine(1.0)
    for _ in range(4):
        loop.advance(0.25)
    assert ticks == [0.5, 0.75, 1.0, 1.25, 1.5]
    # The timer that was there before is not.
    assert len([timer for timer in loop.timers if not timer[3].cancelled]) == 1


@pytest.mark.parametrize("seconds", [2.0, 2.1, 3600.0, NEVER])
def test_a_clock_only_gets_finer(clock: ServerClock, ticks: list[float], seconds: float) -> None:
    loop: Any = Loop()
    clock.start(loop)
    clock.refine(seconds)
    loop.advance(0.25)
    assert ticks == []
    loop.advance(0.25)
    assert ticks == [0.5]
    clock.refine(0.4)
    clock.refine(1.0)
    loop.advance(0.1)
    assert ticks == [0.5, pytest.approx(0.6)]


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 0.04, 0.039])
def test_at_most_a_hundred_ticks_a_second(
    clock: ServerClock, ticks: list[float], seconds: float
) -> None:
    loop: Any = Loop()
    clock.start(loop)
    clock.refine(seconds)
    loop.advance(0.009)
    assert ticks == []
    loop.advance(0.001)
    assert ticks == [pytest.approx(SHORTEST_INTERVAL)]
    (due,) = [timer[0] for timer in loop.timers if not timer[3].cancelled]
    assert due == pytest.approx(loop.now + SHORTEST_INTERVAL)


def test_a_clock_may_be_refined_before_it_starts(clock: ServerClock, ticks: list[float]) -> None:
    loop: Any = Loop()
    clock.refine(0.4)
    assert loop.timers == []
    clock.start(loop)
    loop.advance(0.1)
    assert ticks == [pytest.approx(0.1)]


def test_refining_starts_no_clock_that_was_stopped(clock: ServerClock, ticks: list[float]) -> None:
    loop: Any = Loop()
    clock.start(loop)
    clock.stop()
    clock.refine(0.4)
    loop.advance(5.0)
    assert ticks == []
    clock.start(loop)
    loop.advance(0.1)
    assert ticks == [pytest.approx(0.1)]


@pytest.mark.parametrize("before", [0.0, 0.1, 0.4])
def test_refining_makes_no_deadline_early(
    clock: ServerClock, ticks: list[float], before: float
) -> None:
    """Neither one that was made before, nor one that is made after."""
    loop: Any = Loop()
    clock.start(loop)
    loop.advance(0.5)
    loop.now += before
    made = [(loop.now, clock.now + 1.0)]
    clock.refine(0.4)
    made.append((loop.now, clock.now + 1.0))
    for _ in range(30):
        loop.advance(0.1)
        for begin, deadline in made:
            if ticks[-1] >= deadline:
                assert loop.now - begin >= 1.0 - 1e-9
    assert all(ticks[-1] >= deadline for _, deadline in made)


async def test_on_a_real_loop() -> None:
    ticked = asyncio.Event()
    clock = ServerClock(0.01, "s", lambda now: ticked.set())
    clock.start(asyncio.get_running_loop())
    try:
        await asyncio.wait_for(ticked.wait(), 5)
        assert abs(parsedate_to_datetime(clock.date).timestamp() - time.time()) < 3
        assert clock.now < NEVER
    finally:
        clock.stop()
