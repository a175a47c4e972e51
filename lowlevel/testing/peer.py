"""A client that sends bytes as they are given, at any pace, and can behave as badly as clients do."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Final, Self, TypedDict, cast

from ..options import check_count, check_seconds

__all__ = ("Answer", "Peer", "PeerOptions", "request_bytes")

_DEADLINE: Final = 20.0

_LINE_LIMIT: Final = 2**16

# What the system takes for a client that does not read, in bytes; Linux makes it a few thousand at least.
_SMALL_BUFFER: Final = 4096

# How much of what came an error message shows, in bytes.
_SHOWN: Final = 300


def request_bytes(
    method: str = "GET",
    target: str = "/",
    *fields: str,
    body: bytes = b"",
    version: str = "1.1",
    host: str = "a.test",
) -> bytes:
    """Return the bytes of a request (RFC 9112 §2.1). Nothing is checked: what is wrong is sent as it is.

    Args:
        method: The method.
        target: The target.
        fields: Further header lines without their line ends, such as ``"Accept: text/html"``.
        body: The body. ``Content-Length`` is added if it is not empty.
        version: The version, of the form ``"1.1"``.
        host: The value of ``Host``; empty for none.

    Raises:
        UnicodeEncodeError: A character outside of Latin-1.
    """
    lines = [f"{method} {target} HTTP/{version}"]
    if host:
        lines.append(f"Host: {host}")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    lines += fields
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class PeerOptions(TypedDict, total=False):
    """The options of ``Peer.connect()``; defaults and meaning are told there."""

    host: str
    ssl: SSLContext | None
    server_hostname: str | None
    reading: bool
    limit: int
    deadline: float


class Answer:
    """One response as it came.

    Args:
        head: The bytes of the head.
        body: The body.

    Attributes:
        head: The bytes of the head.
        version: ``"HTTP/1.1"``.
        status: The status, an int.
        reason: The reason phrase; ``""`` for none.
        headers: Lower-case names, each with the list of its values in order.
        body: The body; of a chunked one the data alone.
        trailers: The fields behind a chunked body, like ``headers``.

    Raises:
        ValueError: It is no head of a response.
    """

    def __init__(self, head: bytes, body: bytes) -> None:
        self.head = head
        self.body = body
        line, *fields = head.decode("latin-1").split("\r\n")
        self.version, status, self.reason = (*line.split(" ", 2), "", "")[:3]
        if not (status.isascii() and status.isdigit()):
            raise ValueError(f"no status line: {line[:_SHOWN]!r}")
        self.status = int(status)
        self.headers = _fields(fields)
        self.trailers: dict[str, list[str]] = {}

    def header(self, name: str) -> str | None:
        """Return the values of a header field, joined with ``", "``; None if it did not come."""
        values = self.headers.get(name.lower())
        return None if values is None else ", ".join(values)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}, {len(self.body)} bytes>"


def _fields(lines: list[str]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name.lower(), []).append(value.strip())
    return fields


class Peer:
    """One connection of a client that sends bytes, reads bytes, and misbehaves when it is told to.

    ``async with Peer.connect(port)`` makes one, and so do ``server.peer()`` and ``client.peer()``. Every wait has a
    deadline. When it passes, a TimeoutError says what was waited for and what had come so far; a
    server that closes too early is an ``asyncio.IncompleteReadError`` with a note that says the same. What was read
    by a call that failed or was cancelled may be lost.

    Args:
        reader: Reads from the connection, such as one to a Unix socket.
        writer: Writes to it; it stays the caller's to close.
        deadline: Seconds that each wait may take.

    Attributes:
        reader: As given, for what the methods do not do.
        writer: As given.
        deadline: As given.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        deadline: float = _DEADLINE,
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.deadline = check_seconds("deadline", deadline)
        self._reading = True

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        port: int,
        *,
        host: str = "127.0.0.1",
        ssl: SSLContext | None = None,
        server_hostname: str | None = None,
        reading: bool = True,
        limit: int = _LINE_LIMIT,
        deadline: float = _DEADLINE,
    ) -> AsyncIterator[Self]:
        """Connect; an async context manager that closes the connection on leaving. Cancelled, it leaves none open.

        Args:
            port: Where to.
            host: An address or a name.
            ssl: Speak TLS with it.
            server_hostname: The name that the certificate must have; default ``host``.
            reading: False takes nothing from the server before ``start_reading()``, and has a small buffer, so that
                what the server sends soon piles up on its side.
            limit: Half the bytes that are buffered here before no more is read; also the longest head.
            deadline: Seconds that connecting, and then each wait, may take.

        Raises:
            OSError: Nobody listens there.
            TimeoutError: The deadline passed. An OSError too.
        """
        check_count("limit", limit, 1)
        if server_hostname is not None and ssl is None:
            raise ValueError("server_hostname is for TLS: it needs ssl")
        try:
            async with asyncio.timeout(check_seconds("deadline", deadline)) as waiting:
                sock = None if reading else await _open_socket(host, port)
                reader, writer = await asyncio.open_connection(
                    None if sock else host,
                    None if sock else port,
                    sock=sock,
                    ssl=ssl,
                    server_hostname=server_hostname or (host if ssl else None),
                    limit=limit,
                )
        except TimeoutError as exc:
            if not waiting.expired():
                raise
            raise TimeoutError(f"no connection to {host}:{port} in {deadline:g} s") from exc
        peer = cls(reader, writer, deadline=deadline)
        if not reading:
            peer.stop_reading()
        try:
            yield peer
        finally:
            peer._close()

    # --- Sending

    async def send(self, data: bytes) -> None:
        """Send bytes; return when the system has taken most of them.

        Raises:
            ConnectionError: The server has closed the connection.
            TimeoutError: The server does not read.
        """
        async with self._awaiting(f"the server to take {len(data)} bytes"):
            if self.writer.is_closing():  # uvloop would raise RuntimeError
                raise self.reader.exception() or ConnectionResetError("the server has closed")
            self.writer.write(data)
            await self.writer.drain()

    async def send_split(self, data: bytes) -> int:
        """Send each byte alone: a write, and a packet, of its own. Return how many were sent.

        A server in this event loop reads each before the next is sent. Stops early when the server closes.

        Args:
            data: The bytes.
        """
        return await self._send_pieces(data, 1, None)

    async def send_slowly(self, data: bytes, pause: float, size: int = 1) -> int:
        """Send a few bytes at a time with a pause in between. Return how many were sent.

        Stops early when the server closes; what it said before can be read.

        Args:
            data: The bytes.
            pause: Seconds.
            size: How many bytes at a time.
        """
        check_seconds("pause", pause)
        return await self._send_pieces(data, check_count("size", size, 1), pause)

    async def _send_pieces(self, data: bytes, size: int, pause: float | None) -> int:
        for start in range(0, len(data), size):
            if start and await self._hung_up_within(pause):
                return start
            try:
                await self.send(data[start : start + size])
            except ConnectionError:
                return start
        return len(data)

    async def _hung_up_within(self, pause: float | None) -> bool:
        """Wait, and say whether the server has closed; None: the least in which a server in this loop reads."""
        if pause is None:
            # The loop looks at sockets after the first turn, and its callbacks run before the end of the second.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(pause)
        return self.writer.is_closing() or _ended(self.reader)

    def finish(self) -> None:
        """Send FIN and go on reading: the connection is half-closed.

        Nothing happens if the connection has ended.

        Raises:
            NotImplementedError: It speaks TLS, which cannot do that.
        """
        if not self.writer.is_closing():
            self.writer.write_eof()

    def reset(self) -> None:
        """Leave with RST, as a client does that crashed; what is not yet sent is lost.

        Nothing happens if the connection has ended.
        """
        if self.writer.is_closing():
            return
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    # --- Reading

    def stop_reading(self) -> None:
        """Take nothing more from the server, until ``start_reading``."""
        self._reading = False
        self._transport.pause_reading()

    def start_reading(self) -> None:
        """Take what the server sends, after ``reading=False`` or ``stop_reading``."""
        self._reading = True
        # A stream that is full goes on by itself, when it is read.
        if not getattr(self.reader, "_paused", False):
            self._transport.resume_reading()

    async def read_exactly(self, count: int) -> bytes:
        """Read ``count`` bytes."""
        async with self._awaiting(f"{count} bytes"):
            return await self.reader.readexactly(count)

    async def read_until(self, mark: bytes) -> bytes:
        """Read up to a mark, which is included."""
        async with self._awaiting(repr(mark)):
            return await self.reader.readuntil(mark)

    async def read_eof(self) -> bytes:
        """Read everything up to the server's FIN.

        Raises:
            ConnectionError: The server left with RST.
        """
        data = bytearray()
        await self._collect("the server to close", data)
        return bytes(data)

    async def read_head(self) -> bytes:
        """Read the head of a response, with the empty line at its end."""
        async with self._awaiting("the head of a response"):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def answer(self, method: str = "GET") -> Answer:
        """Read one whole response to a request with ``method``, on which it depends whether there is a body.

        An interim response (1xx) is one, too (RFC 9112 §6.3). With neither length nor chunks the body ends with the
        connection.

        Raises:
            ValueError: What came is no response.
        """
        answer = Answer(await self.read_head(), b"")
        if method == "HEAD" or answer.status in (204, 304) or answer.status < 200:
            return answer
        if method == "CONNECT" and answer.status < 300:
            return answer
        body = bytearray()
        what = f"the body of a response with status {answer.status}"
        if "chunked" in (answer.header("transfer-encoding") or "").lower():
            async with self._awaiting(what, body):
                await self._read_chunks(answer, body)
        elif answer.header("content-length") is not None:
            async with self._awaiting(what):
                body += await self.reader.readexactly(int(answer.headers["content-length"][0]))
        else:
            await self._collect(what, body)
        answer.body = bytes(body)
        return answer

    async def ask(self, request: bytes) -> Answer:
        """Send a request and read its answer."""
        await self.send(request)
        return await self.answer(request.split(b" ", 1)[0].decode("ascii", "replace"))

    async def _read_chunks(self, answer: Answer, body: bytearray) -> None:
        """Read a chunked body and its trailers (RFC 9112 §7.1)."""
        while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += await self.reader.readexactly(size)
            if (end := await self.reader.readexactly(2)) != b"\r\n":
                raise ValueError(f"a chunk of {size} bytes ends with {end!r}")
        lines = []
        while line := (await self.reader.readuntil(b"\r\n"))[:-2]:
            lines.append(line.decode("latin-1"))
        answer.trailers = _fields(lines)

    async def _collect(self, what: str, data: bytearray) -> None:
        """Read into ``data`` until the server closes."""
        async with self._awaiting(what, data):
            while piece := await self.reader.read(_LINE_LIMIT):
                data += piece

    # --- Deadlines, and what is told when they pass

    @asynccontextmanager
    async def _awaiting(self, what: str, taken: bytes | bytearray = b"") -> AsyncIterator[None]:
        """Limit a wait; say in any error what it was for, and what had come, with ``taken`` in front of the rest."""
        try:
            async with asyncio.timeout(self.deadline) as limit:
                yield
        except TimeoutError as exc:
            if not limit.expired():  # the system's ETIMEDOUT is one, too
                raise
            raise TimeoutError(
                f"waited {self.deadline:g} s for {what}; {self._came(taken)}"
            ) from exc
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError) as exc:
            exc.add_note(f"It waited for {what}; {self._came(taken)}")
            raise
        finally:
            if not self._reading:
                self._transport.pause_reading()  # the stream resumes when it has room

    def _came(self, taken: bytes | bytearray) -> str:
        # The stream has no other way to look without taking.
        data = bytes(taken) + bytes(getattr(self.reader, "_buffer", b""))
        shown = repr(data[:_SHOWN]) + ("..." if len(data) > _SHOWN else "")
        silent = "" if self._reading else "; it does not read before start_reading()"
        return (
            f"so far came {len(data)} bytes, {shown}{silent}" if data else f"nothing came{silent}"
        )

    @property
    def _transport(self) -> asyncio.Transport:
        return cast(asyncio.Transport, self.writer.transport)

    def _close(self) -> None:
        if self._reading:
            self.writer.close()
        else:
            self.writer.transport.abort()  # with TLS a good-bye would wait for an answer


async def _open_socket(host: str, port: int) -> socket.socket:
    """Connect a socket with a small buffer, which must be so before the connection is made."""
    loop = asyncio.get_running_loop()
    places = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, protocol, _, address in places:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
            await loop.sock_connect(sock, address)
        except BaseException as exc:
            sock.close()
            if not isinstance(exc, OSError) or address == places[-1][4]:
                raise
        else:
            return sock
    raise OSError(f"{host!r} has no address")


def _ended(reader: asyncio.StreamReader) -> bool:
    """Whether a server has closed. ``at_eof`` says so only when all is read that came before."""
    return reader.exception() is not None or bool(getattr(reader, "_eof", False))
