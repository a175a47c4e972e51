"""The sending half of a connection: small writes leave together, and nobody sends faster than the client reads.

What is sent is collected and handed to the transport once per turn of the loop, or as soon as it is much. Answers of a
pipeline whose handlers do not wait are held back for one another. When the transport holds more than it should,
``drain()`` waits; when the client takes nothing at all for ``write_timeout`` seconds, it is cut off.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from .clock import NEVER, ServerClock
from .errors import ClientGone
from .sockets import is_cached, unsent_size
from .threads import in_thread

if TYPE_CHECKING:
    from .server import Server

__all__ = ("Outlet",)

# Up to this many bytes, one write of a copy is faster than two.
_JOIN_SIZE: Final = 131072

# What the system says of a connection that is no more.
_NETWORK_ERRORS: Final = frozenset(
    (
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENOTCONN,
        errno.EPIPE,
        errno.ETIMEDOUT,
    )
)

# Most bytes of a file that the system is asked to send at once.
_FILE_STEP: Final = 1048576

# Small writes of one turn of the loop leave together, up to this many bytes.
_CORK_SIZE: Final = 65536


class Outlet(asyncio.Protocol):
    """Sends; what is received, and what it means, is for the class that derives from this one.

    Attributes:
        clock: The clock of the server.
    """

    __slots__ = (
        "_flush_due",
        "_loop",
        "_out",
        "_out_size",
        "_queue",
        "_sent_size",
        "_served",
        "_server",
        "_stall_deadline",
        "_streaming",
        "_transport",
        "_write_paused",
        "_writers",
        "_yield_due",
        "clock",
        "peername",
    )

    def __init__(self, server: Server) -> None:
        self._server = server
        self.clock: ServerClock = server.clock
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self.peername: Any = None
        # What waits for its turn behind the present response, and how many of it have had theirs.
        self._queue: deque[Any] | None = None
        self._served = 0
        # Whether it is the server that sends a stream, not a handler.
        self._streaming = False
        self._out: list[bytes | memoryview] = []
        self._out_size = 0
        self._flush_due = False
        self._write_paused = False
        self._writers: list[asyncio.Future[None]] | None = None
        self._yield_due = False
        self._stall_deadline = NEVER
        self._sent_size = 0

    def _is_gone(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def _write_error(self) -> ClientGone:
        # It ends whoever streams; to be cancelled as well would disturb the clean-up of the stream.
        self._streaming = False
        return ClientGone("Cannot write to closing transport")

    def send(self, data: bytes) -> bool:
        """Send bytes within this turn of the loop, together with others. Part of Channel."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise self._write_error()
        self._out.append(data)
        self._out_size += len(data)
        if self._out_size >= _CORK_SIZE:
            self._flush()
            self._yield_due = True
        elif not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush_turn, self._served)
        return self._write_paused or self._yield_due

    def send_whole(self, data: bytes) -> bool:
        """Send a whole small response: at once, unless others of the same pipeline go with it. Part of Channel."""
        transport = self._transport
        if self._out or self._queue:
            return self.send(data)
        if transport is None or transport.is_closing():
            raise self._write_error()
        transport.write(data)
        return self._write_paused or self._yield_due

    def send_parts(self, parts: Sequence[bytes | memoryview]) -> bool:
        """Send large parts without joining them, unless a copy costs less than calls. Part of Channel."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise self._write_error()
        if self._out_size + sum(map(len, parts)) <= _JOIN_SIZE:
            self._out.extend(parts)
            self._flush()
        else:
            self._flush()
            for part in parts:
                transport.write(part)
        self._yield_due = True
        return True

    def _flush_turn(self, served: int) -> None:
        self._flush_due = False
        if self._queue and self._served != served:
            # Handlers of a pipeline answer one after another without waiting: let their answers leave together.
            self._flush_due = True
            self._loop.call_soon(self._flush_turn, self._served)
        else:
            self._flush()

    def _flush(self) -> None:
        out = self._out
        if out:
            data = out[0] if len(out) == 1 else b"".join(out)
            out.clear()
            self._out_size = 0
            if self._transport is not None and not self._transport.is_closing():
                self._transport.write(data)

    def pause_writing(self) -> None:
        """The transport holds more than it should. Part of asyncio.Protocol."""
        self._write_paused = True
        if self._transport is not None and self._server.write_timeout:
            self._sent_size = unsent_size(self._transport)
            self._stall_deadline = self.clock.now + self._server.write_timeout

    def resume_writing(self) -> None:
        """The transport has sent enough. Part of asyncio.Protocol."""
        self._write_paused = False
        self._stall_deadline = NEVER
        self._wake_writers(None)

    def drain_needed(self) -> bool:
        """Whether a writer should wait. Part of Channel."""
        return self._write_paused or self._yield_due

    @property
    def congested(self) -> bool:
        """Whether the transport holds more than it should. Part of Channel."""
        return self._write_paused

    async def drain(self) -> None:
        """Wait until the client has taken most of what was sent. Part of Channel; safe to cancel."""
        if self._is_gone():
            raise self._write_error()
        self._flush()
        if self._yield_due:
            # A client as fast as the handler must not keep everybody else waiting.
            self._yield_due = False
            await asyncio.sleep(0)
        if not self._write_paused:
            return
        waiter = self._loop.create_future()
        if self._writers is None:
            self._writers = []
        self._writers.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if self._writers is not None and waiter in self._writers:
                self._writers.remove(waiter)
            raise
        finally:
            # The traceback of its exception leads here: no cycle.
            del waiter

    # Files.

    async def send_file(self, fd: int, offset: int, count: int) -> int:
        """Let the system send part of a file. Part of Channel."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise self._write_error()
        sock = transport.get_extra_info("socket")
        if (
            count <= 0
            or sock is None
            or not hasattr(os, "sendfile")
            or transport.get_extra_info("ssl_object") is not None
        ):
            return 0
        await self._drain_all(transport)
        if self._is_gone():
            raise self._write_error()
        # The loop lets nobody watch the socket of a transport, and a copy works with every loop. Closing a transport
        # does not end a connection that has a copy: it is never kept longer than this call.
        try:
            copy = os.dup(sock.fileno())
        except OSError:  # too many open files
            return 0
        try:
            return await self._send_from(fd, offset, count, copy)
        finally:
            os.close(copy)

    async def _drain_all(self, transport: asyncio.Transport) -> None:
        """Wait until the transport holds nothing."""
        self._flush()
        transport.set_write_buffer_limits(high=0)
        try:
            while not self._is_gone() and transport.get_write_buffer_size():
                await self.drain()
        finally:
            if not self._is_gone():
                transport.set_write_buffer_limits()

    async def _send_from(self, fd: int, offset: int, count: int, sock: int) -> int:
        position, end = offset, offset + count
        while position < end:
            if self._is_gone():
                raise self._write_error()
            size = min(end - position, _FILE_STEP)
            try:
                if is_cached(fd, position) and is_cached(fd, position + size - 1):
                    sent = os.sendfile(sock, fd, position, size)
                else:
                    sent = await in_thread(partial(os.sendfile, sock, fd, position, size))
            except BlockingIOError:
                if not self._is_gone():
                    await self._wait_writable(sock)
                continue
            except OSError as exc:
                if self._is_gone() or exc.errno in _NETWORK_ERRORS:
                    raise self._write_error() from None
                if position > offset:
                    raise
                return 0  # not from this kind of file
            if not sent:
                break
            position += sent
            # A client as fast as the disk must not keep everybody else waiting.
            await asyncio.sleep(0)
        return position - offset

    async def _wait_writable(self, sock: int) -> None:
        """Wait until the socket takes more, ``write_timeout`` seconds at most."""
        waiter = self._loop.create_future()
        if self._writers is None:
            self._writers = []
        self._writers.append(waiter)
        if self._server.write_timeout and self._transport is not None:
            self._sent_size = unsent_size(self._transport)
            self._stall_deadline = self.clock.now + self._server.write_timeout
        self._loop.add_writer(sock, _wake, waiter)
        try:
            await waiter
        finally:
            self._loop.remove_writer(sock)
            self._stall_deadline = NEVER
            if self._writers is not None and waiter in self._writers:
                self._writers.remove(waiter)
            del waiter

    def _wake_writers(self, exc: Exception | None) -> None:
        writers, self._writers = self._writers, None
        for waiter in writers or ():
            if waiter.done():
                continue
            if exc is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(exc)

    def _check_stall(self, now: float) -> None:
        """A client that takes nothing at all of what waits for it is cut off."""
        if self._transport is None:
            return
        waiting = unsent_size(self._transport)
        if waiting < self._sent_size:
            self._sent_size = waiting
            self._stall_deadline = now + self._server.write_timeout
            return
        self._server.logger.debug(
            "%s reads nothing, cut off with %d bytes unsent", self.peername, waiting
        )
        self._stall_deadline = NEVER
        self._transport.abort()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
