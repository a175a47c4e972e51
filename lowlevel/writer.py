"""The sending side of one request: head, body in its framing, end. Nothing can be sent twice or after the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Final

from .channel import Channel, Upgraded
from .encoded_body import BodyEncoder
from .protocol.content_encoder import Encoder
from .protocol.serializer import CHUNKED, LAST_CHUNK, LENGTH, NONE, SILENT, Framing

if TYPE_CHECKING:
    from .response import StreamResponse

__all__ = ("ResponseWriter",)

Data = bytes | bytearray | memoryview

# From here on, a chunk is handed to the transport in parts instead of being copied into one.
_LARGE: Final = 65536

_INTERIM: Final = b"HTTP/1.1 100 "


class ResponseWriter:
    """Writes the response to one request: ``request.writer``, and what ``prepare()`` returns.

    Until a head was sent, ``write()`` sends bytes as they are: that is how a handler sends ``100 Continue`` or another
    interim response by itself.

    Attributes:
        output_size: How many bytes were written, framing included.
        framing: The framing of the response, None until its head was sent.
        response: The response whose head was sent.
        before_head: Called with a response before its head is made: a last chance to compress it.
        debug: Whether the client may see the traceback of what goes wrong, whatever the server says.
    """

    __slots__ = (
        "_channel",
        "_encoder",
        "_ended",
        "_left",
        "before_head",
        "debug",
        "framing",
        "output_size",
        "response",
    )

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.output_size = 0
        self.framing: Framing | None = None
        self.response: StreamResponse | None = None
        self.before_head: Callable[[StreamResponse], None] | None = None
        self.debug = False
        self._left = 0
        self._ended = False
        self._encoder: BodyEncoder | None = None

    @property
    def ended(self) -> bool:
        """Whether the response is complete, or will never be."""
        return self._ended

    @property
    def full(self) -> bool:
        """Whether no byte of a body can be sent: there is none, or Content-Length is reached."""
        framing = self.framing
        return framing is NONE or framing is SILENT or (framing is LENGTH and not self._left)

    def send_head(self, head: bytes, framing: Framing, length: int | None) -> None:
        """Send the head of the response; what follows is framed as told.

        Raises:
            RuntimeError: A head was sent already.
            ConnectionResetError: The client has gone.
        """
        if self.framing is not None or self._ended:
            raise RuntimeError("the head of a response to this request has already been sent")
        self._channel.send(head)
        self.output_size += len(head)
        self.framing = framing
        self._left = length or 0

    def encode_with(self, encoder: Encoder, executor: Executor | None) -> None:
        """Let the body, which has no declared length, go through an encoder; the executor does what is large."""
        self._encoder = BodyEncoder(encoder, executor, self._send_encoded)

    @property
    def encodes(self) -> bool:
        """Whether what is written is not what is sent."""
        return self._encoder is not None

    def upgrade(self, head: bytes, upgraded: Upgraded, write_limit: int) -> None:
        """Send the head of a 101, and let ``upgraded`` have the connection.

        Raises:
            RuntimeError: A head was sent already, or the request does not offer another protocol.
            ConnectionResetError: The client has gone.
        """
        if self.framing is not None or self._ended:
            raise RuntimeError("the head of a response to this request has already been sent")
        self._channel.upgrade(head, upgraded, write_limit)
        self.output_size += len(head)
        self.framing = NONE

    def abandon(self) -> None:
        """Let no more be sent, since it cannot arrive."""
        self._ended = True
        self.response = None
        if self._encoder is not None:
            self._encoder.close()

    async def write(self, data: Data) -> None:
        """Send a piece of the body; wait while the client does not read. Cancelling loses nothing already sent.

        What exceeds Content-Length, or belongs to no body (HEAD), is dropped.

        Raises:
            RuntimeError: The response has ended.
            ConnectionResetError: The client has gone.
        """
        if self.put(data):
            await self.pause()

    async def write_eof(self, data: Data = b"") -> None:
        """Send the last piece and the end of the body. A second call does nothing. Safe to cancel and to call again."""
        if self._ended:
            return
        if self._encoder is not None:
            await self._encoder.finish(bytes(data))
        else:
            self.put(data)
        if self._ended:
            return
        if self.end():
            await self._channel.drain()

    async def drain(self) -> None:
        """Wait until the client has taken most of what was sent. Safe to cancel."""
        await self._channel.drain()

    async def pause(self) -> None:
        """Do what put() asked for."""
        if self._encoder is not None:
            await self._encoder.pause()
        if self.full:
            # A handler that writes without end what nobody gets must not keep everybody else waiting.
            await asyncio.sleep(0)
        await self._channel.drain()

    def put(self, data: Data) -> bool:
        """Send a piece of the body without waiting; return whether to ``await pause()`` before the next."""
        if self._ended:
            raise RuntimeError("Cannot call write() after write_eof()")
        if type(data) is not bytes:
            # Copied, since its owner may go on to change it; and the length of a memoryview need not count bytes.
            data = bytes(data)
        if self._encoder is not None:
            return self._encoder.put(data)
        size = len(data)
        framing = self.framing
        if framing is CHUNKED and 0 < size < _LARGE:
            piece = b"%x\r\n%b\r\n" % (size, data)
            self.output_size += len(piece)
            return self._channel.send(piece)
        if size == 0:
            return False
        if framing is CHUNKED:
            line = b"%x\r\n" % size
            self.output_size += len(line) + size + 2
            return self._channel.send_parts([line, data, b"\r\n"])
        if self.full:
            return True
        if framing is LENGTH:
            data = data[: self._left]
            size = len(data)
            self._left -= size
        elif framing is None and data.startswith(_INTERIM):
            self._channel.note_interim()
        self.output_size += size
        return self._channel.send(data) if size < _LARGE else self._channel.send_parts([data])

    def _send_encoded(self, data: bytes) -> bool:
        if self.framing is CHUNKED:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        size = len(data)
        self.output_size += size
        return self._channel.send(data) if size < _LARGE else self._channel.send_parts([data])

    async def send_file(self, fd: int, offset: int, count: int) -> int:
        """Let the system send part of an open file as a piece of the body; return how many bytes it sent.

        Fewer than asked for, or none, means that the rest is to be sent in another way. Cancelled, it ends the answer:
        nobody knows how much of it the client has.

        Raises:
            ConnectionResetError: The client has gone.
        """
        if self.framing is not LENGTH:
            return 0
        try:
            sent = await self._channel.send_file(fd, offset, min(count, self._left))
        except BaseException:
            self.abandon()
            raise
        self._left -= sent
        self.output_size += sent
        return sent

    def end(self) -> bool:
        """Send the end of the body without waiting; return whether to drain.

        Raises:
            RuntimeError: Fewer bytes came than Content-Length promised; the connection has to be cut.
        """
        self._ended = True
        if self.framing is CHUNKED:
            self.output_size += len(LAST_CHUNK)
            return self._channel.send(LAST_CHUNK)
        if self.framing is LENGTH and self._left:
            raise RuntimeError(f"the response ended {self._left} bytes short of its Content-Length")
        return self._channel.drain_needed()
