"""The body of a request that came compressed, as what it was before (RFC 9110 §8.4).

The connection feeds it like any body. What comes is kept as it is; it is decompressed when a read asks for it, in
steps, and never further than that, so that a body costs no more memory than what its handler asks for, be it a bomb.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from .body import BodySource, StreamReader
from .errors import RequestPayloadError
from .exceptions import HTTPUnsupportedMediaType
from .protocol.content_coding import ContentCoding, ContentCodingError, read_codings
from .protocol.content_decoder import Decoder, decodable, make_decoder
from .protocol.head import Fields

__all__ = ("DecodedReader", "make_reader")

# Bytes that go in and come out in one step: together, less than a millisecond of work.
_INPUT: Final = 16384
_OUTPUT: Final = 65536

# Steps between two turns of others.
_STEPS: Final = 4


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
            self._decode_some()
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
            self._decode_some()
        return super().read_nowait(n)

    async def discard(self) -> None:
        """Read the rest and drop it, without decompressing it."""
        await self._raw.discard()
        self._check()
        self._chunks.clear()
        self._size = self._offset = 0
        self._decoder = None
        self._eof = True

    async def _wait_for(self, n: int | None, or_end: bool = False) -> None:
        """Decompress until ``n`` bytes are buffered, or the body is complete; with None, until it is complete."""
        self._check()
        if self._decoding:
            raise RuntimeError("another coroutine is already waiting for incoming data")
        self._decoding = True
        steps = 0
        try:
            while not self._eof and (n is None or self._size < n):
                if not self._step():
                    await self._pull()
                    continue
                steps += 1
                if steps % _STEPS == 0:
                    # What came in few bytes must not keep everybody else waiting.
                    await asyncio.sleep(0)
                    self._check()
        finally:
            self._decoding = False

    async def _pull(self) -> None:
        """Get more of the body as it came, or its end. Cancelled, it has taken nothing."""
        data = await self._raw.read(_INPUT)
        self._check()
        self._supply(data)

    def _decode_some(self) -> None:
        """Do what can be done now, unless it is much."""
        try:
            for _ in range(_STEPS):
                if not self._step():
                    if not self._raw._size and not self._raw.is_eof():
                        return
                    self._supply(self._raw.read_nowait(_INPUT))
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
            raise self._fail(exc) from None
        self._decoder = None
        self._eof = True

    def _step(self) -> bool:
        """Decompress a little into the buffer; return False if there is nothing left to do that with."""
        decoder = self._decoder or self._begin()
        if decoder.empty:
            return False
        try:
            data = decoder.take(_OUTPUT)
        except ContentCodingError as exc:
            raise self._fail(exc) from None
        super().feed_data(data)
        return True

    def _begin(self) -> Decoder:
        decoder = None if self._codings is None else make_decoder(self._codings)
        if decoder is None:
            refusal = HTTPUnsupportedMediaType(
                text="415: Unsupported Media Type\n\nThe Content-Encoding is not known here\n",
                # RFC 9110 §15.5.16
                headers={"Accept-Encoding": ", ".join([coding.value for coding in decodable()])},
            )
            self.set_exception(refusal)
            raise refusal
        self._decoder = decoder
        return decoder

    def _fail(self, reason: ContentCodingError) -> RequestPayloadError:
        error = RequestPayloadError(str(reason))
        self.set_exception(error)
        return error


def make_reader(source: BodySource | None, limit: int, content_encoding: bytes) -> StreamReader:
    """Return the reader of a body with that Content-Encoding; a plain one if it is identity."""
    codings = read_codings(content_encoding.decode("latin-1"))
    if codings == ():
        return StreamReader(source, limit)
    return DecodedReader(source, limit, codings)
