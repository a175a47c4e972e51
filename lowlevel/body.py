"""The body of a request, as a stream that the connection fills and a handler reads.

Data leaves the buffer only when a read returns, so a cancelled read loses nothing. The buffer has two marks: above
the high one the connection stops reading from its client, below the low one it goes on. A read that needs more than
the high mark (``readexactly(n)``, ``read()``) raises it for as long as it waits.
"""

from __future__ import annotations

import asyncio
import warnings
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Generic, Protocol, TypeVar

from .errors import PayloadAccessError
from .protocol.head import Fields

__all__ = ("EMPTY_PAYLOAD", "BodySource", "StreamReader")

# What a buffered piece, or the end of a chunk, costs beside its bytes.
_OVERHEAD: Final = 64

# Pieces smaller than the first are joined to blocks up to the second: one byte by itself costs fifty times its size.
_SMALL: Final = 64
_BLOCK: Final = 4096

# More than any body has.
_ENDLESS: Final = 1 << 62

# Stands for the ends of chunks while there are none; it cannot hold any.
_NO_ENDS: Final[deque[int]] = deque(maxlen=0)

# A chunk that is so large is handed out as it is.
_PORTION: Final = 32768

# Iterating over so many lines takes a millisecond or two.
_LINES_AT_ONCE: Final = 512

_T = TypeVar("_T")


class BodySource(Protocol):
    """What a body needs of the connection it comes from."""

    def body_wanted(self) -> None:
        """A read waits: ask the client for the body if it waits to be asked (RFC 9110 §10.1.1)."""

    def pause_body(self) -> None:
        """The buffer is above its high mark."""

    def resume_body(self) -> None:
        """The buffer is below its low mark again."""


class ReadIterator(Generic[_T]):
    """Iterate over the results of a read function until one equals ``end``."""

    __slots__ = ("_end", "_read")

    def __init__(self, read: Callable[[], Awaitable[_T]], end: _T) -> None:
        self._read = read
        self._end = end

    def __aiter__(self) -> ReadIterator[_T]:
        return self

    async def __anext__(self) -> _T:
        data = await self._read()
        if data == self._end:
            raise StopAsyncIteration
        return data


class StreamReader:
    """Reads the body of a request: ``request.content``.

    One read at a time: a second one while the first waits raises RuntimeError. Every read may be cancelled without
    loss. Every read raises

    - ConnectionResetError when the client left before the body was complete;
    - RequestPayloadError when the body is malformed;
    - HTTPRequestTimeout when the client stopped sending for ``body_timeout`` seconds;
    - PayloadAccessError when the response has already been sent.

    ``async for line in request.content`` reads line by line; a line that is too long for ``readline()`` comes in
    pieces.

    Attributes:
        total_bytes: How many bytes have come so far.
        trailers: Raw trailer fields, complete at the end of a chunked body (RFC 9112 §7.1.2).
    """

    # Where most bodies never get to: defaults that live in the class cost a small body nothing.
    _offset = 0
    # Where chunks of a chunked body end, counted from its start; none that was read past.
    _ends: deque[int] = _NO_ENDS
    _last_end = 0
    _eof = False
    _eof_callbacks: tuple[Callable[[], None], ...] = ()
    _eof_waiter: asyncio.Future[None] | None = None
    _exception: BaseException | None = None
    _paused = False
    _waiter: asyncio.Future[None] | None = None
    # How far into the body the waiting read will take everything at once: no end before that matters.
    _wanted = 0
    # How many lines were read by iteration.
    _lines = 0
    # Replaced, never changed.
    trailers: Fields = []
    # Whether what is read is not what came, but what that was made of.
    decodes = False

    def __init__(self, source: BodySource | None, limit: int) -> None:
        self._source = source
        self._high = self._mark = limit * 2
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self.total_bytes = 0

    def __repr__(self) -> str:
        state = "eof" if self._eof else f"{self._size} bytes"
        return f"<{type(self).__name__} {state}{'' if self._exception is None else f' e={self._exception!r}'}>"

    # What the connection calls.

    def feed_data(self, data: bytes) -> None:
        """Add bytes that came."""
        if not data:
            return
        chunks = self._chunks
        if len(data) < _SMALL and chunks and len(chunks[-1]) < _BLOCK:
            chunks[-1] += data
        else:
            chunks.append(data)
        self._size += len(data)
        self.total_bytes += len(data)
        if self._waiter is not None:
            self._wake()
        if not self._paused and self._cost() > self._mark:
            self._pause()

    def end_chunk(self) -> None:
        """Note that a chunk of a chunked body ended here."""
        end = self.total_bytes
        if end == self._last_end or end < self._wanted:
            return
        self._last_end = end
        if self._ends is _NO_ENDS:
            self._ends = deque()
        self._ends.append(end)
        self._wake()
        if not self._paused and self._cost() > self._mark:
            self._pause()

    def feed_eof(self, trailers: Fields | None = None) -> None:
        """Note that the body is complete."""
        if trailers:
            self.trailers = trailers
        self._eof = True
        if self._paused:
            # What follows belongs to somebody else, who must not wait for this body to be read.
            self._resume()
        self._source = None
        if self._waiter is not None:
            self._wake()
        if self._eof_waiter is not None:
            self._wake_eof()
        if self._eof_callbacks:
            callbacks, self._eof_callbacks = self._eof_callbacks, ()
            for callback in callbacks:
                callback()

    def set_exception(self, exc: BaseException) -> None:
        """Let every read from now on raise ``exc``. What was buffered is dropped."""
        self._exception = exc
        self._chunks.clear()
        self._ends = _NO_ENDS
        self._eof_callbacks = ()
        self._size = self._offset = 0
        self._source = None
        self._wake()
        self._wake_eof()

    @property
    def received_bytes(self) -> int:
        """How many bytes have come so far, as they came."""
        return self.total_bytes

    @property
    def streamed(self) -> bool:
        """Whether part of the body has been read, with no error since."""
        return self._exception is None and self.total_bytes > self._size

    # State.

    def exception(self) -> BaseException | None:
        """Return what reads raise, or None."""
        return self._exception

    def is_eof(self) -> bool:
        """Return whether the body has come completely, read or not."""
        return self._eof

    def at_eof(self) -> bool:
        """Return whether the body has been read completely."""
        return self._eof and not self._chunks

    def on_eof(self, callback: Callable[[], None]) -> None:
        """Call ``callback()`` once the body has come completely; now, if it has."""
        if self._eof:
            callback()
        else:
            self._eof_callbacks += (callback,)

    async def wait_eof(self) -> None:
        """Wait until the body has come completely. Reads nothing: above the high mark somebody else has to."""
        self._check()
        if self._eof:
            return
        if self._source is not None:
            self._source.body_wanted()
        if self._eof_waiter is None:
            self._eof_waiter = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._eof_waiter)
        self._check()

    # Reading.

    async def read(self, n: int = -1) -> bytes:
        """Read up to ``n`` bytes, waiting for at least one; everything up to the end when ``n`` is negative.

        Returns ``b""`` at the end of the body. There is no limit on what is read up to the end: ``request.read()`` has
        one.
        """
        if n == 0:
            self._check()
            return b""
        if n < 0:
            await self._wait_for(None)
            return self._take(self._size)
        await self._wait_for(1)
        return self._take(min(n, self._size))

    async def readany(self) -> bytes:
        """Read what has come, waiting for at least one byte; ``b""`` at the end of the body.

        Much of it may be left for the next call, where putting it together would only cost a copy.
        """
        await self._wait_for(1)
        if self._size > _PORTION and len(self._chunks[0]) >= _PORTION:
            return self._take(len(self._chunks[0]) - self._offset)
        return self._take(self._size)

    async def readexactly(self, n: int) -> bytes:
        """Read exactly ``n`` bytes.

        Raises:
            asyncio.IncompleteReadError: The body ended first; ``partial`` has what there was.
            ValueError: ``n`` is negative.
        """
        if n < 0:
            raise ValueError("readexactly size can not be less than zero")
        await self._wait_for(n)
        if self._size < n:
            raise asyncio.IncompleteReadError(self._take(self._size), n)
        return self._take(n)

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        """Read one line with its line feed; at the end of the body, what is left.

        Args:
            max_line_length: Most bytes, the line feed included; by default the high mark (twice ``read_bufsize``).

        Raises:
            ValueError: The line is longer. Nothing is lost.
        """
        return await self.readuntil(b"\n", max_size=max_line_length)

    async def readuntil(self, separator: bytes = b"\n", *, max_size: int | None = None) -> bytes:
        """Read up to and including ``separator``; at the end of the body, what is left.

        Args:
            separator: What to look for, of one byte or more.
            max_size: Most bytes, the separator included; by default the high mark (twice ``read_bufsize``).

        Raises:
            ValueError: The separator is empty, or did not come within ``max_size`` bytes. Nothing is lost.
        """
        if not separator:
            raise ValueError("Separator should be at least one-byte string")
        limit = max_size or self._high
        overlap = len(separator) - 1
        scanned = index = 0
        tail = b""
        self._check()
        if self._chunks:
            # Mostly it is there, and nothing has to be copied to be searched.
            end = self._chunks[0].find(separator, self._offset) + len(separator) - self._offset
            if len(separator) <= end <= limit:
                return self._take(end)
        while True:
            # Not a plain loop over the deque: the last piece may grow, and what was searched needs no second look.
            while index < len(self._chunks):
                chunk = self._chunks[index]
                fresh = chunk[self._offset :] if index == 0 and self._offset else chunk
                window = tail + fresh if tail else fresh
                found = window.find(separator)
                if found >= 0:
                    end = scanned - len(tail) + found + len(separator)
                    if end > limit:
                        raise ValueError("Chunk too big")
                    return self._take(end)
                if index == len(self._chunks) - 1:
                    break
                scanned += len(fresh)
                index += 1
                tail = window[-overlap:] if overlap else b""
            if self._size > limit:
                raise ValueError("Chunk too big")
            if self._eof:
                return self._take(self._size)
            await self._wait_for(self._size + 1)

    async def readchunk(self) -> tuple[bytes, bool]:
        """Read ``(data, end)``: what has come of one chunk of a chunked body, and whether that chunk ended with it.

        ``(b"", True)`` when the end came later than the data before it. Without chunks, what has come and False.
        ``(b"", False)`` at the end of the body.
        """
        await self._wait_for(1, or_end=True)
        if not self._ends:
            return self._take(self._size), False
        end = self._ends.popleft()
        return self._take(end - (self.total_bytes - self._size)), True

    def read_nowait(self, n: int = -1) -> bytes:
        """Read up to ``n`` bytes of what has come, all of it when ``n`` is negative, without waiting.

        Raises:
            RuntimeError: Another read is waiting.
        """
        self._check()
        if self._waiter is not None and not self._waiter.done():
            raise RuntimeError("Called while some coroutine is waiting for incoming data.")
        return self._take(self._size if n < 0 else min(n, self._size))

    def unread_data(self, data: bytes) -> None:
        """Put ``data`` back, to be read next. Deprecated."""
        warnings.warn("unread_data() is deprecated", DeprecationWarning, stacklevel=2)
        if not data:
            return
        if self._offset:
            self._chunks[0] = self._chunks[0][self._offset :]
            self._offset = 0
        self._chunks.appendleft(data)
        self._size += len(data)
        self._wake()

    def __aiter__(self) -> ReadIterator[bytes]:
        """Iterate over lines; one that is too long for readline() comes in pieces."""
        return ReadIterator(self._read_line_or_piece, b"")

    async def _read_line_or_piece(self) -> bytes:
        self._lines += 1
        if not self._lines % _LINES_AT_ONCE:
            # What came at once has to be read at once by nobody.
            await asyncio.sleep(0)
        try:
            return await self.readline()
        except ValueError:
            return await self.read(self._high)

    def iter_any(self) -> ReadIterator[bytes]:
        """Iterate over data as it comes."""
        return ReadIterator(self.readany, b"")

    def iter_chunked(self, n: int) -> ReadIterator[bytes]:
        """Iterate over pieces of at most ``n`` bytes."""
        return ReadIterator(lambda: self.read(n), b"")

    def iter_chunks(self) -> ReadIterator[tuple[bytes, bool]]:
        """Iterate over the results of readchunk."""
        return ReadIterator(self.readchunk, (b"", False))

    async def read_whole(self, limit: int) -> bytes | None:
        """Read to the end, or return None as soon as there are more than ``limit`` bytes; 0 is no limit."""
        if not self._eof or self._exception is not None:
            await self._wait_for(limit + 1 if limit else None)
        if limit and self._size > limit:
            return None
        return self._take(self._size)

    async def discard(self) -> None:
        """Read the rest and drop it."""
        while not self.at_eof():
            await self.readany()

    # The buffer.

    def _check(self) -> None:
        if self._exception is not None:
            raise self._exception

    async def _wait_for(self, n: int | None, or_end: bool = False) -> None:
        """Wait until ``n`` bytes are buffered, or the end of a chunk if that will do, or the body is complete.

        With None, until it is complete.
        """
        self._check()
        if self._waiter is not None:
            raise RuntimeError("another coroutine is already waiting for incoming data")
        if self._eof or (n is not None and self._size >= n):
            return
        needed = _ENDLESS if n is None else n
        # What is small is joined, so overhead cannot be more than the data.
        self._mark = self._high + 2 * needed
        self._wanted = 0 if or_end else self.total_bytes - self._size + needed
        loop = asyncio.get_running_loop()
        try:
            while not self._eof and self._size < needed and not (or_end and self._ends):
                if self._paused:
                    self._resume()
                if self._source is not None:
                    self._source.body_wanted()
                self._waiter = loop.create_future()
                await self._waiter
                self._check()
        finally:
            self._waiter = None
            self._mark = self._high
            self._wanted = 0

    def _cost(self) -> int:
        return self._size + _OVERHEAD * (len(self._chunks) + len(self._ends))

    def _pause(self) -> None:
        self._paused = True
        if self._source is not None:
            self._source.pause_body()

    def _resume(self) -> None:
        self._paused = False
        if self._source is not None:
            self._source.resume_body()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _wake_eof(self) -> None:
        waiter = self._eof_waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _take(self, n: int) -> bytes:
        chunks = self._chunks
        if not chunks or n == 0:
            return b""
        self._size -= n
        first = chunks[0]
        left = len(first) - self._offset
        if n == left:
            chunks.popleft()
            data = first[self._offset :] if self._offset else first
            self._offset = 0
        elif n < left:
            data = first[self._offset : self._offset + n]
            self._offset += n
        else:
            data = self._join(n)
        if self._ends:
            self._drop_ends()
        if self._paused and self._cost() <= self._high // 2:
            self._resume()
        return data

    def _drop_ends(self) -> None:
        """Forget the ends that were read past."""
        ends, consumed = self._ends, self.total_bytes - self._size
        while ends and ends[0] < consumed:
            ends.popleft()

    def _join(self, n: int) -> bytes:
        chunks = self._chunks
        parts = []
        while n:
            chunk = chunks[0]
            left = len(chunk) - self._offset
            if n < left:
                parts.append(chunk[self._offset : self._offset + n])
                self._offset += n
                break
            parts.append(chunk[self._offset :] if self._offset else chunk)
            chunks.popleft()
            self._offset = 0
            n -= left
        return b"".join(parts)


class _EmptyStreamReader(StreamReader):
    """The body that is not there. One object serves every request without a body, so nothing may change it."""

    def __init__(self) -> None:
        super().__init__(None, 0)
        self._eof = True

    def feed_data(self, data: bytes) -> None:
        raise PayloadAccessError("the empty body takes no data")

    def feed_eof(self, trailers: Fields | None = None) -> None:
        """It has always been complete."""

    def end_chunk(self) -> None:
        """It has no chunks."""

    def unread_data(self, data: bytes) -> None:
        if data:
            raise PayloadAccessError("the empty body takes no data")

    def set_exception(self, exc: BaseException) -> None:
        """Nothing can go wrong with a body that is not there."""


EMPTY_PAYLOAD: Final = _EmptyStreamReader()
