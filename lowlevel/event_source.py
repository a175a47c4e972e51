"""Server-sent events: a response that goes on until somebody leaves (WHATWG HTML §9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from .errors import ClientGone
from .options import check_seconds
from .payload import StreamPayload
from .protocol.event_stream import COMMENT, format_event, format_item
from .request import BaseRequest
from .response import StreamResponse
from .response_fields import Headers
from .writer import Data, ResponseWriter

__all__ = ("EventSourceResponse",)

Item = str | bytes | Mapping[str, object]
Source = AsyncIterable[Item] | Callable[[], AsyncIterable[Item]]

_FIELDS: Final = (
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Cache-Control", "no-cache"),
    # nginx would wait until it has a buffer full of events.
    ("X-Accel-Buffering", "no"),
)


# Seconds after which a task that was being cancelled by others is looked at again.
_PATIENCE: Final = 0.1


class EventSourceResponse(StreamResponse):
    """A stream of events for the EventSource of a browser. Events are sent one by one::

        async with EventSourceResponse(request) as events:
            while True:
                await events.send(await news.get(), event="news")
        return events

    or made by an async iterable::

        return EventSourceResponse(ticks())

    When the client leaves, or the server shuts down, the block is left wherever it waits, and what follows it is
    run; the iterable is cancelled and closed likewise, with its ``finally`` blocks. To them it is a CancelledError,
    which must not be kept. So it is for HEAD, which asks for no events. A response that is prepared and used without
    a block tells by ``closed``.

    A client that comes back after a break tells in ``request.headers.get("Last-Event-ID")`` the last id it has seen.

    Args:
        source: The request, for ``async with``; or an async iterable, or a function without arguments that returns
            one. Its items are str or bytes, sent as they are and followed by an empty line, or mappings of field
            names to values.
        status: The status code. Browsers take 200 only; 204 tells them not to come back.
        headers: Header fields, a mapping or pairs; copied. Content-Type, Cache-Control and X-Accel-Buffering are
            added if missing.
        heartbeat: Seconds of silence after which a comment is sent, so that nobody on the way gives up on the
            connection, and a client that vanished is noticed. None or 0: never.

    Raises:
        TypeError, ValueError: An argument of a wrong type or value; the message names it.
    """

    _opener: BaseRequest | None = None
    _source: StreamPayload | None = None
    _over = False
    _guard: _Guard | None = None
    _watcher: asyncio.Task[bool] | None = None
    _timer: asyncio.TimerHandle | None = None
    _sending = 0
    _silent_since = 0.0

    def __init__(
        self,
        source: BaseRequest | Source | None = None,
        *,
        status: int = 200,
        headers: Headers | None = None,
        heartbeat: float | None = 15.0,
    ) -> None:
        super().__init__(status=status, headers=headers)
        self._heartbeat = check_seconds("heartbeat", heartbeat or 0)
        if isinstance(source, BaseRequest):
            self._opener = source
        elif isinstance(source, AsyncIterable) or (
            callable(source) and not isinstance(source, type)
        ):
            self._source = StreamPayload(source)
        elif source is not None:
            raise TypeError(
                "source must be a request, an async iterable or a function that returns one, not "
                + type(source).__name__
            )
        for name, value in _FIELDS:
            self.headers.setdefault(name, value)

    @property
    def closed(self) -> bool:
        """Whether no more events are wanted.

        The client has left, asked for none (HEAD), the server shuts down, or the response has ended.
        """
        return self._ended or self._over or (self._writer is not None and self._writer.full)

    # Beginning.

    async def prepare(self, request: BaseRequest) -> ResponseWriter | None:
        """Send the head as the answer to ``request``; from now on the client is watched, and heartbeats are sent.

        It returns and raises what ``StreamResponse.prepare()`` does. It does not wait, so there is nothing to cancel.
        """
        if self.prepared:
            return await super().prepare(request)
        writer = await super().prepare(request)
        loop = asyncio.get_running_loop()
        self._opener = None
        self._watcher = loop.create_task(request.wait_disconnected())
        self._watcher.add_done_callback(self._note_end)
        if self._heartbeat and not self.closed:
            self._silent_since = loop.time()
            self._timer = loop.call_later(self._heartbeat, self._beat)
        return writer

    async def __aenter__(self) -> Self:
        """Prepare, if that was not done before. Besides what it names, it raises what ``prepare()`` raises.

        Raises:
            RuntimeError: There is no request to prepare for.
        """
        if not self.prepared:
            if self._opener is None:
                raise RuntimeError("Call .prepare() first, or give the request")
            await self.prepare(self._opener)
        self._guard = guard = _Guard()
        if self.closed:
            asyncio.get_running_loop().call_soon(guard.cut)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """End the response, unless an exception leaves the block: then the server cuts it off."""
        guard, self._guard = self._guard, None
        if guard is not None and guard.leave(exc):
            return True
        if exc is not None:
            self._stop()
            return self._over and _is_client_gone(exc)
        with suppress(ClientGone):
            await self.write_eof()
        return False

    # Sending.

    async def send(
        self,
        data: str | Data | None = None,
        *,
        event: str | None = None,
        id: str | int | None = None,
        retry: int | None = None,
    ) -> None:
        """Send an event; wait while the client does not read.

        May be called by several tasks at once. Cancelling while it waits loses nothing.

        Args:
            data: What it tells, of any number of lines, which arrive ended by LF. Bytes are UTF-8. Without data the
                client's script sees no event, but ``id`` and ``retry`` have their effect.
            event: Its type; ``message`` by default.
            id: What the client sends in ``Last-Event-ID`` when it comes back; ``""`` for no more.
            retry: Milliseconds after which the client shall come back when the connection has ended.

        Raises:
            TypeError: An argument of another type.
            ValueError: CR or LF in ``event`` or ``id``, NUL in ``id``, a negative ``retry``, or nothing at all.
            RuntimeError: Before prepare() or after the end.
            ConnectionResetError: The client has gone, or took nothing for ``write_timeout`` seconds.
        """
        await self.write(format_event(data, event, id, retry))

    async def write(self, data: Data) -> None:
        """Send a piece of the stream as it is. It raises, and may be cancelled, as ``StreamResponse.write()``."""
        self._sending += 1
        try:
            await super().write(data)
        except ClientGone:
            self._leave()
            raise
        finally:
            self._sending -= 1
            self._silent_since = asyncio.get_running_loop().time()

    async def write_eof(self, data: Data = b"") -> None:
        """Send what the iterable makes, then a last piece, and end the response. A second call does nothing.

        It raises what ``StreamResponse.write_eof()`` does, and what the iterable raises. Cancelled, it closes the
        iterable, and the stream is over.
        """
        source = self._source
        try:
            if source is not None and self._writer is not None:
                self._source = None
                await self._send_all(source)
            await super().write_eof(data)
        finally:
            self._stop()

    async def _send_all(self, source: StreamPayload) -> None:
        outer, self._guard = self._guard, _Guard()
        try:
            with self._guard:
                if not self.closed:
                    items: AsyncIterator[Any] = source.pieces()
                    async for item in items:
                        await self.write(format_item(item))
        finally:
            self._guard = outer
            await source.close()

    # The end.

    def go_away(self) -> None:
        """The server ends: so does the stream, and its client comes back to the next one."""
        self._leave()

    def _leave(self) -> None:
        """No more events are wanted: let whoever makes them know."""
        if not self._over:
            self._over = True
            self._stop()
            if self._guard is not None:
                self._guard.cut()

    def _note_end(self, watcher: asyncio.Task[bool]) -> None:
        if watcher.cancelled():
            return
        if watcher.result():
            self._leave()
        else:
            self._stop()

    def _stop(self) -> None:
        """Watch the client no more, and send no heartbeats."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    async def _release(self) -> None:
        if self._source is not None:
            await self._source.close()

    # Heartbeats.

    def _beat(self) -> None:
        """Send a comment if it is time; not to a client that has not read what was sent before."""
        request, writer = self._request, self._writer
        if request is None or writer is None or writer.ended:
            return
        loop = asyncio.get_running_loop()
        left = self._silent_since + self._heartbeat - loop.time()
        if left <= 0:
            left = self._heartbeat
            if not self._sending and not request.protocol.congested:
                try:
                    writer.put(COMMENT)
                except ClientGone:
                    return
                self._silent_since = loop.time()
        self._timer = loop.call_later(left, self._beat)


class _Guard:
    """Lets a task be cancelled in a part of what it does; that cancellation does not escape from there, as with
    asyncio.timeout(). One that comes from elsewhere does.
    """

    def __init__(self) -> None:
        self._task = task = asyncio.current_task()
        self._before = 0 if task is None else task.cancelling()
        self._was_cut = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        return self.leave(exc)

    def cut(self) -> None:
        """Cancel the task, unless it is the task itself that asks: it knows by an exception."""
        task = self._task
        if task is None or task is asyncio.current_task():
            return
        if task.cancelling() > self._before:
            # Somebody else has cancelled it. Its clean-up shall not be disturbed, but it may also stay after all.
            asyncio.get_running_loop().call_later(_PATIENCE, self.cut)
            return
        self._was_cut = True
        task.cancel()

    def leave(self, exc: BaseException | None) -> bool:
        """End the part. Return whether ``exc`` is nothing but our own cancellation."""
        task, self._task = self._task, None
        if task is None or not self._was_cut:
            return False
        return task.uncancel() <= self._before and isinstance(exc, asyncio.CancelledError)


def _is_client_gone(exc: BaseException) -> bool:
    """Whether an exception says no more than that the client has left, also to several tasks at once."""
    if isinstance(exc, BaseExceptionGroup):
        return exc.split(ClientGone)[1] is None
    return isinstance(exc, ClientGone)
