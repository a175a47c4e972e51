"""Compression of messages: permessage-deflate (RFC 7692), as agreed on in the handshake.

Inflating is done in steps, so that what a few bytes inflate to is known before there is much of it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

from .websocket_message import WebSocketError, WSCloseCode

__all__ = ("Deflate", "Deflater", "Inflater")

# What a sender cuts off the end of each message, and a receiver puts back (RFC 7692 §7.2.1).
_TAIL: Final = b"\x00\x00\xff\xff"

# An empty last block. Where it does not end the stream, what came before was cut short in the middle of a block.
_LAST_BLOCK: Final = b"\x01\x00\x00\xff\xff"

# Deflate streams that may end within one message. One is legal, if odd (RFC 7692 §7.2.3.4); each costs a decompressor.
_MAX_STREAMS: Final = 16

# Memory level 5 needs 16 KiB for hashes where the default needs 128, and compresses messages nearly as well.
_LEVEL: Final = zlib.Z_BEST_SPEED
_MEMORY_LEVEL: Final = 5


@dataclass(frozen=True, slots=True)
class Deflate:
    """What was agreed on (RFC 7692 §7.1).

    Attributes:
        server_bits: Log2 of the window of messages that we send, 9 to 15.
        client_bits: The same for those of the client.
        server_keeps_context: Whether a message that we send may refer to earlier ones.
        client_keeps_context: The same for those of the client.
    """

    server_bits: int
    client_bits: int
    server_keeps_context: bool
    client_keeps_context: bool


class Inflater:
    """Inflates the messages of one client: ``put()`` what came, then ``take()`` until nothing is left."""

    __slots__ = (
        "_began",
        "_bits",
        "_input",
        "_keeps_context",
        "_last",
        "_streams",
        "_zlib",
        "empty",
    )

    def __init__(self, bits: int, keeps_context: bool) -> None:
        self._bits = bits
        self._keeps_context = keeps_context
        self._zlib: zlib._Decompress | None = None
        self._input = b""
        self._last = False
        self._began = False
        self._streams = 0
        self.empty = True
        """Whether all that was put has been taken."""

    def put(self, data: bytes, *, last: bool) -> None:
        """Add bytes of a message; ``last`` if they are its end. Everything before must have been taken."""
        self._input = data
        self._last = last
        self._began = self._began or bool(data)
        self.empty = not data

    def take(self, limit: int) -> bytes:
        """Return up to ``limit`` bytes of the message.

        Raises:
            WebSocketError: This is not deflate, or not all of it (1007), or a long chain of streams (1002).
        """
        try:
            data = b"" if self.empty else self._inflate(limit)
            if self._last and self.empty:
                self._end_message()
        except zlib.error:
            raise _bad_data() from None
        return data

    def _inflate(self, limit: int) -> bytes:
        if self._zlib is None:
            self._zlib = zlib.decompressobj(-self._bits)
        data = self._zlib.decompress(self._input, limit)
        if self._zlib.eof:
            # What may follow is a stream of its own.
            self._input = self._zlib.unused_data
            self._zlib = None
            self._streams += 1
            if self._streams > _MAX_STREAMS:
                raise WebSocketError(
                    WSCloseCode.PROTOCOL_ERROR, "too many deflate streams in one message"
                )
            self.empty = not self._input
        else:
            self._input = self._zlib.unconsumed_tail
            # With its input used up, zlib may still hold what did not fit the limit.
            self.empty = not self._input and len(data) < limit
        return data

    def _end_message(self) -> None:
        """Put back what was cut off, and forget what the next message may not refer to."""
        # Nothing at all is no deflate, but there are senders that take it for an empty message.
        if self._zlib is not None and self._began:
            surplus = self._zlib.decompress(_TAIL, 1)
            probe = self._zlib.copy() if self._keeps_context else self._zlib
            probe.decompress(_LAST_BLOCK, 1)
            if surplus or not probe.eof:
                raise _bad_data()
        self._began = False
        self._streams = 0
        if not self._keeps_context:
            self._zlib = None


def _bad_data() -> WebSocketError:
    return WebSocketError(WSCloseCode.INVALID_TEXT, "bad compressed data (RFC 7692 §7.2.2)")


class Deflater:
    """Deflates the messages of one server."""

    __slots__ = ("_keeps_context", "_zlib", "bits")

    def __init__(self, bits: int, keeps_context: bool) -> None:
        self.bits = bits
        self._keeps_context = keeps_context
        self._zlib: zlib._Compress | None = None

    def deflate(self, data: bytes, bits: int | None = None) -> bytes:
        """Return a compressed message; with ``bits``, one in a window of its own."""
        if bits is not None:
            # It moves the client's window, which a compressor that knows nothing of it would take for its own.
            self._zlib = None
        compressor = self._zlib or zlib.compressobj(
            _LEVEL, zlib.DEFLATED, -(bits or self.bits), _MEMORY_LEVEL
        )
        self._zlib = compressor if self._keeps_context and bits is None else None
        return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]

    def successor(self) -> Deflater:
        """Return one that knows nothing of the messages so far."""
        return Deflater(self.bits, self._keeps_context)
