"""Decompressing content in steps, so that what a few bytes inflate to is known before there is much of it.

``put()`` some bytes, then ``take(limit)`` until ``empty``, and again; at the end of the body ``finish()``. If no more
than some 16 KiB are put at a time, and 64 KiB taken, a call is less than a millisecond of work with what encoders
make, and a few milliseconds with what was made to be slow - but for decoders that say that they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final, Protocol

from .content_coding import ContentCoding, ContentCodingError, load_brotli, load_zstd

__all__ = ("SURPLUS", "Decoder", "decodable", "make_decoder")

SURPLUS: Final = 1024 * 1024
"""How many bytes more than twice what comes out may go in. A coding does not make content longer, or not by much; but
each has its ways to say nothing at length: empty blocks, empty streams, streams to be skipped."""

# A body may be several streams, one behind the other (RFC 1952 §2.2, RFC 8878 §3). Each costs a decompressor, some ten
# microseconds, and may be of a few bytes. So there may be one for so many bytes of content, and some more,
_BYTES_PER_STREAM: Final = 256
_FREE_STREAMS: Final = 64
# and after so many a call returns what it has.
_STREAMS_PER_CALL: Final = 32

# Log2 of the largest window that a decoder has to provide, and that we do (RFC 9659 §3).
_ZSTD_WINDOW_BITS: Final = 23

# The same for br, where there is no such rule (RFC 7932 §9.1): what its encoders use by default. The window is filled
# before the first byte of it comes out, so this is what a few bytes can cost in memory.
_BROTLI_WINDOW_BITS: Final = 22

# How much goes from one of two nested codings to the other at once.
_PORTION: Final = 16384


class Decoder(Protocol):
    """Decompresses one body."""

    @property
    def slow(self) -> bool:
        """Whether ``take()`` may be more work than an event loop should wait for. It lets other threads run."""

    @property
    def empty(self) -> bool:
        """Whether all that was put has been taken."""

    def put(self, data: bytes) -> None:
        """Add bytes. Everything before must have been taken."""

    def take(self, limit: int) -> bytes:
        """Return at most ``limit`` bytes; none does not mean that none will follow.

        Raises:
            ContentCodingError: The data is malformed, or far too much for what comes out.
        """

    def finish(self) -> None:
        """Note the end of the body. Everything before must have been taken.

        Raises:
            ContentCodingError: It is cut short. Nothing at all is an empty body.
        """


class _Measured:
    """What is the same for all codings: one stream or several, measured against what comes out of them."""

    slow = False

    def __init__(self) -> None:
        self._input = b""
        self.empty = True
        self._put = 0
        self._taken = 0
        self._streams = 0

    def put(self, data: bytes) -> None:
        self._input = data
        self._put += len(data)
        self.empty = not data

    def take(self, limit: int) -> bytes:
        if self._put > 2 * self._taken + SURPLUS:
            raise ContentCodingError("the content is much shorter than its coding")
        for _ in range(_STREAMS_PER_CALL):
            if self.empty:
                break
            data = self._decompress(limit)
            if data:
                self._taken += len(data)
                return data
        return b""

    def _decompress(self, limit: int) -> bytes:
        """Return what comes next, up to the end of a stream at most, and set ``empty``."""
        raise NotImplementedError

    def _count_stream(self) -> None:
        self._streams += 1
        if self._streams > _FREE_STREAMS + self._taken // _BYTES_PER_STREAM:
            raise ContentCodingError("there are very many streams of very little content")


class _ZlibDecoder(_Measured):
    """gzip, one member or several."""

    _bits = 16 + zlib.MAX_WBITS
    _name = "gzip"

    def __init__(self) -> None:
        super().__init__()
        self._zlib: zlib._Decompress | None = None

    def _decompress(self, limit: int) -> bytes:
        if self._zlib is None:
            self._count_stream()
            self._zlib = zlib.decompressobj(self._bits)
        try:
            data = self._zlib.decompress(self._input, limit)
        except zlib.error as exc:
            raise ContentCodingError(f"bad {self._name} data: {exc}") from None
        if self._zlib.eof:
            self._input = self._zlib.unused_data
            self._zlib = None
            self.empty = not self._input
        else:
            self._input = self._zlib.unconsumed_tail
            # With its input used up, zlib may still hold what did not fit the limit.
            self.empty = not self._input and len(data) < limit
        return data

    def finish(self) -> None:
        if self._zlib is not None:
            raise ContentCodingError(f"the {self._name} data is cut short")


class _DeflateDecoder(_ZlibDecoder):
    """deflate: the zlib format, or the raw one that some clients send (RFC 9110 §8.4.1.2)."""

    _name = "deflate"

    def __init__(self) -> None:
        super().__init__()
        self._first = b""
        self._known = False
        self._ended = False

    def put(self, data: bytes) -> None:
        if not self._known:
            data = self._first + data
            if len(data) < 2:
                self._first = data
                return
            self._known = True
            self._first = b""
            self._bits = zlib.MAX_WBITS if _is_zlib(data) else -zlib.MAX_WBITS
        super().put(data)

    def _decompress(self, limit: int) -> bytes:
        if self._ended:
            raise ContentCodingError("there is something behind the deflate data")
        data = super()._decompress(limit)
        self._ended = self._zlib is None
        return data

    def finish(self) -> None:
        if self._first:
            raise ContentCodingError("the deflate data is cut short")
        super().finish()


def _is_zlib(data: bytes) -> bool:
    """Whether the first two bytes are a header of zlib (RFC 1950 §2.2)."""
    return data[0] & 15 == 8 and data[0] >> 4 <= 7 and (data[0] << 8 | data[1]) % 31 == 0


class _BrotliDecoder(_Measured):
    # The library fills a whole window before it returns the first byte of it, whatever it is asked for; and the head of
    # a block can cost more than the block.
    slow = True

    def __init__(self, brotli: Any) -> None:
        super().__init__()
        self._error = brotli.error
        self._brotli = brotli.Decompressor()
        # The library returns whole buffers, which may be more than was asked for.
        self._surplus = b""
        self._drained = True
        self._began = False

    def _decompress(self, limit: int) -> bytes:
        data = self._surplus or self._process(limit)
        self._surplus = data[limit:]
        self.empty = self._drained and not self._surplus
        return data[:limit]

    def _process(self, limit: int) -> bytes:
        data, self._input = self._input, b""
        if data and not self._began:
            self._began = True
            if _brotli_window_bits(data[0]) > _BROTLI_WINDOW_BITS:
                raise ContentCodingError("the br window is larger than 4 MiB")
        if data and self._brotli.is_finished():
            raise ContentCodingError("there is something behind the br data")
        try:
            data = bytes(self._brotli.process(data, output_buffer_limit=limit))
        except self._error:
            raise ContentCodingError("bad br data") from None
        # With its input used up, it may still hold what did not fit the limit.
        self._drained = self._brotli.is_finished() or (
            len(data) < limit and self._brotli.can_accept_more_data()
        )
        return data

    def finish(self) -> None:
        if self._began and not self._brotli.is_finished():
            raise ContentCodingError("the br data is cut short")


def _brotli_window_bits(first: int) -> int:
    """Read WBITS from the first byte, lowest bits first (RFC 7932 §9.1). 17 stands for itself and all that is less."""
    large = first >> 1 & 7
    return 17 + large if first & 1 and large else 17


class _ZstdDecoder(_Measured):
    """zstd, one frame or several."""

    def __init__(self, zstd: Any) -> None:
        super().__init__()
        self._library = zstd
        self._options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_BITS}
        self._zstd: Any = None

    def _decompress(self, limit: int) -> bytes:
        if self._zstd is None:
            self._count_stream()
            self._zstd = self._library.ZstdDecompressor(options=self._options)
        try:
            data = bytes(self._zstd.decompress(self._input, limit))
        except self._library.ZstdError as exc:
            raise ContentCodingError(f"bad zstd data: {exc}") from None
        if self._zstd.eof:
            self._input = self._zstd.unused_data
            self._zstd = None
            self.empty = not self._input
        else:
            self._input = b""  # it keeps what it did not use
            self.empty = self._zstd.needs_input
        return data

    def finish(self) -> None:
        if self._zstd is not None:
            raise ContentCodingError("the zstd data is cut short")


class _NestedDecoder:
    """Two codings, one in the other."""

    def __init__(self, outer: Decoder, inner: Decoder) -> None:
        self._outer = outer
        self._inner = inner
        self.slow = outer.slow or inner.slow

    @property
    def empty(self) -> bool:
        return self._inner.empty and self._outer.empty

    def put(self, data: bytes) -> None:
        self._outer.put(data)

    def take(self, limit: int) -> bytes:
        if self._inner.empty:
            self._inner.put(self._outer.take(_PORTION))
        return self._inner.take(limit)

    def finish(self) -> None:
        self._outer.finish()
        self._inner.finish()


def decodable() -> tuple[ContentCoding, ...]:
    """Return the codings that can be decoded here. The first call loads what is installed."""
    codings = [ContentCoding.gzip, ContentCoding.deflate]
    if _load_bounded_brotli() is not None:
        codings.append(ContentCoding.br)
    if load_zstd() is not None:
        codings.append(ContentCoding.zstd)
    return tuple(codings)


def _load_bounded_brotli() -> Any:
    brotli = load_brotli()
    # Before 1.2 there was no way to stop it.
    return (
        brotli if hasattr(getattr(brotli, "Decompressor", None), "can_accept_more_data") else None
    )


def make_decoder(codings: Sequence[ContentCoding]) -> Decoder | None:
    """Return the decoder of one body, None if one of the codings cannot be decoded here.

    Args:
        codings: One or two of them, in the order they were applied; without identity.
    """
    decoder: Decoder | None = None
    for coding in codings:
        outer = _make_one(coding)
        if outer is None:
            return None
        decoder = outer if decoder is None else _NestedDecoder(outer, decoder)
    return decoder


def _make_one(coding: ContentCoding) -> Decoder | None:
    if coding is ContentCoding.gzip:
        return _ZlibDecoder()
    if coding is ContentCoding.deflate:
        return _DeflateDecoder()
    if coding is ContentCoding.br:
        brotli = _load_bounded_brotli()
        return None if brotli is None else _BrotliDecoder(brotli)
    zstd = load_zstd()
    return None if zstd is None else _ZstdDecoder(zstd)
