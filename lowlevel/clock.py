"""One coarse clock per server: the deadlines of its connections, and the fields of its responses that hold a time.

Nothing sets a timer per request. A connection notes when its present phase must end, and once in a while the server
looks over all of them. The clock counts only time in which the loop ran: after a handler blocked the loop for five
seconds, no client has grown five seconds older, since none had a chance to be heard.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from .protocol.headers import format_http_date

__all__ = ("NEVER", "SHORTEST_INTERVAL", "ServerClock")

NEVER: Final = float("inf")

SHORTEST_INTERVAL: Final = 0.01
"""Seconds between two ticks, however short a deadline is."""


class ServerClock:
    """Ticks while it is started.

    Attributes:
        now: Seconds, with no meaning but their differences. It is what the next tick will count at least, so that a
            deadline made of it never comes early.
        date: The value of Date (RFC 9110 §6.6.1).
        lasting: End of a head from behind the digits of Content-Length: Date, Server, and the empty line.
        closing: The same with ``Connection: close``.
    """

    __slots__ = (
        "_counted",
        "_handle",
        "_interval",
        "_last",
        "_loop",
        "_on_tick",
        "_server",
        "closing",
        "date",
        "lasting",
        "now",
    )

    def __init__(self, interval: float, server: str, on_tick: Callable[[float], None]) -> None:
        self._interval = interval
        self._server = server
        self._on_tick = on_tick
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._last = 0.0
        self._counted = 0.0
        self.now = interval
        self.date = ""
        self.lasting = self.closing = b""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to tick. Again: no effect."""
        if self._handle is None:
            self._loop = loop
            self._last = loop.time()
            self._tell_time()
            self._handle = loop.call_later(self._interval, self._tick, loop)

    def refine(self, seconds: float) -> None:
        """Tick at least four times in so many seconds from now on, but not more than a hundred times a second."""
        interval = max(SHORTEST_INTERVAL, seconds / 4)
        if interval < self._interval:
            if self._handle is not None and self._loop is not None:
                # What has passed since the last tick counts as before.
                self._count(self._loop.time())
                self._handle.cancel()
                self._handle = self._loop.call_later(interval, self._tick, self._loop)
            self._interval = interval
            self.now = self._counted + interval

    def stop(self) -> None:
        """Tick no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._count(loop.time())
        self.now = self._counted + self._interval
        self._tell_time()
        self._handle = loop.call_later(self._interval, self._tick, loop)
        self._on_tick(self._counted)

    def _count(self, now: float) -> None:
        self._counted += min(now - self._last, 2 * self._interval)
        self._last = now

    def _tell_time(self) -> None:
        date = format_http_date(time.time())
        if date != self.date:
            self.date = date
            fields = f"\r\nDate: {date}\r\nServer: {self._server}\r\n"
            self.lasting = f"{fields}\r\n".encode()
            self.closing = f"{fields}Connection: close\r\n\r\n".encode()
