"""Decompressing content in steps, so that what a few bytes inflate to is known before there is much of it.

``put()`` some bytes, then ``take(limit)`` until ``empty``, and again; at the end of the body ``finish()``. Each call
does a bounded amount of work if no more than some 16 KiB are put at a time.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final, Protocol

from .content_coding import ContentCoding, ContentCodingError, load_brotli, load_zstd

__all__ = ("Decoder", "decodable", "make_decoder")

# A body may be several streams, one behind the other (RFC 1952 §2.2, RFC 8878 §3). Each costs a decompressor, so
# after so many a call returns what it has.
_STREAMS_PER_CALL: Final = 32

# Log2 of the largest window that a decoder has to provide, and that we do (RFC 9659 §3).
_ZSTD_WINDOW_BITS: Final = 23

# Between two nested codings: how much is put at once, and how much there may be beyond what comes out in the end.
# A coding does not make content longer, or not by much.
_PORTION: Final = 16384
_MAX_BETWEEN: Final = 1024 * 1024


class Decoder(Protocol):
    """Decompresses one body."""

    @property
    def empty(self) -> bool:
        """Whether all that was put has been taken."""

    def put(self, data: bytes) -> None:
        """Add bytes. Everything before must have been taken."""

    def take(self, limit: int) -> bytes:
        """Return at most ``limit`` bytes; none does not mean that none will follow.

        Raises:
            ContentCodingError: The data is malformed.
        """

    def finish(self) -> None:
        """Note the end of the body. Everything before must have been taken.

        Raises:
            ContentCodingError: It is cut short. Nothing at all is an empty body.
        """


class _ZlibDecoder:
    """gzip, one member or several."""

    _bits = 16 + zlib.MAX_WBITS
    _name = "gzip"

    def __init__(self) -> None:
        self._input = b""
        self._zlib: zlib._Decompress | None = None
        self.empty = True

    def put(self, data: bytes) -> None:
        self._input = data
        self.empty = not data

    def take(self, limit: int) -> bytes:
        for _ in range(_STREAMS_PER_CALL):
            if self.empty:
                break
            try:
                data = self._inflate(limit)
            except zlib.error as exc:
                raise ContentCodingError(f"bad {self._name} data: {exc}") from None
            if data:
                return data
        return b""

    def _inflate(self, limit: int) -> bytes:
        if self._zlib is None:
            self._zlib = zlib.decompressobj(self._bits)
        data = self._zlib.decompress(self._input, limit)
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

    def _inflate(self, limit: int) -> bytes:
        if self._ended:
            raise ContentCodingError("there is something behind the deflate data")
        data = super()._inflate(limit)
        self._ended = self._zlib is None
        return data

    def finish(self) -> None:
        if self._first:
            raise ContentCodingError("the deflate data is cut short")
        super().finish()


def _is_zlib(data: bytes) -> bool:
    """Whether the first two bytes are a header of zlib (RFC 1950 §2.2)."""
    return data[0] & 15 == 8 and data[0] >> 4 <= 7 and (data[0] << 8 | data[1]) % 31 == 0


class _BrotliDecoder:
    def __init__(self, brotli: Any) -> None:
        self._error = brotli.error
        self._brotli = brotli.Decompressor()
        self._input = b""
        # The library returns whole buffers, which may be more than was asked for.
        self._surplus = b""
        self._drained = True
        self._began = False
        self.empty = True

    def put(self, data: bytes) -> None:
        self._input = data
        self._began = self._began or bool(data)
        self.empty = not data

    def take(self, limit: int) -> bytes:
        if self.empty:
            return b""
        data = self._surplus or self._process(limit)
        self._surplus = data[limit:]
        self.empty = self._drained and not self._surplus
        return data[:limit]

    def _process(self, limit: int) -> bytes:
        data, self._input = self._input, b""
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


class _ZstdDecoder:
    """zstd, one frame or several."""

    def __init__(self, zstd: Any) -> None:
        self._library = zstd
        self._input = b""
        self._zstd: Any = None
        self.empty = True

    def put(self, data: bytes) -> None:
        self._input = data
        self.empty = not data

    def take(self, limit: int) -> bytes:
        for _ in range(_STREAMS_PER_CALL):
            if self.empty:
                break
            try:
                data = self._decompress(limit)
            except self._library.ZstdError as exc:
                raise ContentCodingError(f"bad zstd data: {exc}") from None
            if data:
                return data
        return b""

    def _decompress(self, limit: int) -> bytes:
        if self._zstd is None:
            largest_window = self._library.DecompressionParameter.window_log_max
            self._zstd = self._library.ZstdDecompressor(options={largest_window: _ZSTD_WINDOW_BITS})
        data = bytes(self._zstd.decompress(self._input, limit))
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
        self._between = 0
        self._taken = 0

    @property
    def empty(self) -> bool:
        return self._inner.empty and self._outer.empty

    def put(self, data: bytes) -> None:
        self._outer.put(data)

    def take(self, limit: int) -> bytes:
        if self._inner.empty:
            data = self._outer.take(_PORTION)
            self._between += len(data)
            if self._between > 2 * self._taken + _MAX_BETWEEN:
                raise ContentCodingError("the content is much shorter than its inner coding")
            self._inner.put(data)
        data = self._inner.take(limit)
        self._taken += len(data)
        return data

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
