"""The clock: what it counts, that it is coarse in the client's favour, and what it prepares."""

import asyncio
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from lowlevel.clock import NEVER, ServerClock


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
