"""The body of a request that came compressed, as what it was before (RFC 9110 §8.4).

The connection feeds it like any body. What comes is kept as it is; it is decompressed when a read asks for it, in
steps, and no more than one step further than that. So a body, be it a bomb, costs no more memory than what its handler
asks for, a step, and the window of its coding. Between steps others have their turn, even if no read ever has to wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from .body import BodySource, StreamReader
from .errors import RequestPayloadError
from .exceptions import HTTPUnsupportedMediaType
from .protocol.content_coding import ContentCoding, ContentCodingError, read_codings
from .protocol.content_decoder import Decoder, decodable, make_decoder
from .protocol.head import Fields
from .threads import in_thread

__all__ = ("DecodedReader", "make_reader")

# Bytes that go in and come out in one step: some tenths of a millisecond, or two if they were made to be slow.
_INPUT: Final = 16384
_OUTPUT: Final = 65536

# Work between two turns of others. One is a result that a read returns: what the handler does with it counts, too.
_TURN: Final = 256
_STEP: Final = _TURN // 4


class DecodedReader(StreamReader):
    """Reads the body of a request and takes its content codings off.

    Besides what every StreamReader raises, reads raise HTTPUnsupportedMediaType (415) if a coding is not known here,
    and RequestPayloadError if the data is malformed or cut short.

    Args:
        source: The connection.
        limit: Half the compressed bytes that are buffered before the client is not read from.
        codings: The codings, first the one that was applied first; None if there is one that nobody knows.
    """

    decodes = True

    def __init__(
        self, source: BodySource | None, limit: int, codings: tuple[ContentCoding, ...] | None
    ) -> None:
        # What this reader holds is what reads have asked for: no reason to stop the client.
        super().__init__(None, limit)
        self._raw = StreamReader(source, limit)
        self._codings = codings
        self._decoder: Decoder | None = None
        self._decoding = False
        # Done since others had their turn.
        self._work = 0

    # What the connection calls.

    @property
    def received_bytes(self) -> int:
        """How many bytes have come so far, as they came."""
        return self._raw.total_bytes

    def feed_data(self, data: bytes) -> None:
        """Add bytes that came."""
        if self._exception is None:
            self._raw.feed_data(data)
        else:
            # Nobody will read it.
            self._raw.total_bytes += len(data)

    def end_chunk(self) -> None:
        """Chunks of what came mean nothing for what is read."""

    def feed_eof(self, trailers: Fields | None = None) -> None:
        """Note that the body is complete."""
        if trailers:
            self.trailers = trailers
        self._raw.feed_eof()

    def set_exception(self, exc: BaseException) -> None:
        """Let every read from now on raise ``exc``. What was buffered is dropped."""
        super().set_exception(exc)
        self._raw.set_exception(exc)
        self._decoder = None

    def _give_up(self, exc: Exception) -> None:
        """Let every read from now on raise ``exc``, and drop what still comes.

        It has to come, though: a client of which nothing is read cannot be seen to leave.
        """
        if self._raw._paused:
            self._raw._resume()
        self.set_exception(exc)

    # State.

    def is_eof(self) -> bool:
        """Return whether the body has come completely, read or not."""
        return self._raw.is_eof()

    def at_eof(self) -> bool:
        """Return whether the body has been read completely."""
        if self._chunks or self._decoding or self._exception is not None:
            return False
        if not self._eof and self._raw.is_eof():
            if self._decoder is None and not self._raw.at_eof():
                # Nobody has begun to read.
                return False
            # What was read may have been all, and only the checksum is left.
            self._decode_some(though_slow=False)
        return self._eof and not self._chunks

    def on_eof(self, callback: Callable[[], None]) -> None:
        """Call ``callback()`` once the body has come completely; now, if it has."""
        self._raw.on_eof(callback)

    async def wait_eof(self) -> None:
        """Wait until the body has come completely. Reads nothing: above the high mark somebody else has to."""
        await self._raw.wait_eof()

    # Reading: what differs from a plain body.

    def read_nowait(self, n: int = -1) -> bytes:
        """Read up to ``n`` bytes of what has come, without waiting, and without decompressing much of it.

        Raises:
            RuntimeError: Another read is waiting.
        """
        self._check()
        if self._decoding:
            raise RuntimeError("Called while some coroutine is waiting for incoming data.")
        if not self._chunks and not self._eof:
            self._decode_some(though_slow=True)
        return super().read_nowait(n)

    async def readuntil(self, separator: bytes = b"\n", *, max_size: int | None = None) -> bytes:
        """Read up to and including ``separator``, as a plain body does."""
        # It may find it again and again without ever asking for more.
        await self._wait_for(0)
        return await super().readuntil(separator, max_size=max_size)

    async def discard(self) -> None:
        """Read the rest and drop it, without decompressing it."""
        self._begin_read()
        try:
            await self._raw.discard()
        finally:
            self._decoding = False
        self._check()
        self._chunks.clear()
        self._size = self._offset = 0
        self._decoder = None
        self._eof = True

    def _begin_read(self) -> None:
        self._check()
        if self._decoding:
            raise RuntimeError("another coroutine is already waiting for incoming data")
        self._decoding = True

    async def _wait_for(self, n: int | None, or_end: bool = False) -> None:
        """Decompress until ``n`` bytes are buffered, or the body is complete; with None, until it is complete."""
        self._begin_read()
        try:
            await self._give_way()
            while not self._eof and (n is None or self._size < n):
                decoder = self._decoder or self._begin()
                if decoder.empty:
                    await self._pull()
                elif decoder.slow:
                    await self._step_in_thread(decoder)
                else:
                    self._step(decoder)
                    await self._give_way()
        finally:
            self._decoding = False

    async def _give_way(self) -> None:
        """What came in few bytes must not keep everybody else waiting, in one read or in many."""
        if self._work >= _TURN:
            self._work = 0
            await asyncio.sleep(0)
            self._check()

    async def _pull(self) -> None:
        """Get more of the body as it came, or its end. Cancelled, it has taken nothing."""
        data = await self._raw.read(_INPUT)
        self._check()
        self._supply(data)

    def _decode_some(self, *, though_slow: bool) -> None:
        """Do what can be done now, unless it is much."""
        try:
            for _ in range(_TURN // _STEP):
                decoder = self._decoder or self._begin()
                if decoder.empty:
                    if not self._raw._size and not self._raw.is_eof():
                        return
                    self._supply(self._raw.read_nowait(_INPUT))
                elif decoder.slow and not though_slow:
                    return
                else:
                    self._step(decoder)
                if self._chunks or self._eof:
                    return
        except (RequestPayloadError, HTTPUnsupportedMediaType):
            # Whoever reads next will see it.
            return

    def _supply(self, data: bytes) -> None:
        """Give the decoder what came; nothing is the end."""
        decoder = self._decoder or self._begin()
        if data:
            decoder.put(data)
            return
        try:
            decoder.finish()
        except ContentCodingError as exc:
            self._fail(exc)
        self._check()
        self._decoder = None
        self._eof = True

    def _step(self, decoder: Decoder) -> None:
        """Decompress a little into the buffer."""
        self._work += _STEP
        self._accept(_take_from(decoder))
        self._check()

    async def _step_in_thread(self, decoder: Decoder) -> None:
        self._work = 0
        self._accept(await in_thread(partial(_take_from, decoder), self._accept))
        self._check()

    def _accept(self, taken: bytes | ContentCodingError) -> None:
        if self._exception is not None:
            return
        if isinstance(taken, ContentCodingError):
            self._fail(taken)
        else:
            super().feed_data(taken)

    def _take(self, n: int) -> bytes:
        self._work += 1
        return super()._take(n)

    def _begin(self) -> Decoder:
        decoder = None if self._codings is None else make_decoder(self._codings)
        if decoder is None:
            refusal = HTTPUnsupportedMediaType(
                text="415: Unsupported Media Type\n\nThe Content-Encoding is not known here\n",
                # RFC 9110 §15.5.16
                headers={"Accept-Encoding": ", ".join([coding.value for coding in decodable()])},
            )
            self._give_up(refusal)
            raise refusal
        self._decoder = decoder
        return decoder

    def _fail(self, reason: ContentCodingError) -> None:
        self._give_up(RequestPayloadError(str(reason)))


def _take_from(decoder: Decoder) -> bytes | ContentCodingError:
    """Take a step; the error is returned, so that it is not lost where nobody waits for it any more."""
    try:
        return decoder.take(_OUTPUT)
    except ContentCodingError as exc:
        return exc


def make_reader(source: BodySource | None, limit: int, content_encoding: bytes) -> StreamReader:
    """Return the reader of a body with that Content-Encoding; a plain one if it is identity."""
    codings = read_codings(content_encoding.decode("latin-1"))
    if codings == ():
        return StreamReader(source, limit)
    return DecodedReader(source, limit, codings)
