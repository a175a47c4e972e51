"""A server on a free port, and a client that speaks bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import lowlevel as web

DEADLINE = 20.0
"""Seconds that anything expected may take."""


def request(
    method: str = "GET",
    target: str = "/",
    *fields: str,
    body: bytes = b"",
    version: str = "1.1",
    host: str = "a.test",
) -> bytes:
    """The bytes of a request; Host is sent unless ``host`` is empty, Content-Length if there is a body."""
    lines = [f"{method} {target} HTTP/{version}"]
    if host:
        lines.append(f"Host: {host}")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    lines += fields
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition; fail with ``what`` was waited for when that takes too long."""
    try:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await asyncio.sleep(0.001)
    except TimeoutError:
        pytest.fail(f"waited in vain for {what}")


async def turns(count: int = 20) -> None:
    """Let the event loop do what is ready, and what that makes ready."""
    for _ in range(count):
        await asyncio.sleep(0.0005)


async def within(awaitable: Awaitable[Any]) -> Any:
    """Wait with a deadline."""
    async with asyncio.timeout(DEADLINE):
        return await awaitable


class Serving:
    """A running server: ``port``, ``server``, ``url("/path")``."""

    def __init__(self, server: web.Server, port: int) -> None:
        self.server = server
        self.port = port

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def idle(self) -> None:
        """Wait until no connection is left."""
        async with asyncio.timeout(DEADLINE):
            while self.server.connections:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(handler: Any, **options: Any) -> AsyncIterator[Serving]:
    """Serve ``handler`` on 127.0.0.1; what still runs at the end is cancelled."""
    options.setdefault("access_log", None)
    server = web.Server(handler, **options)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, "127.0.0.1", 0)
    try:
        yield Serving(server, listener.sockets[0].getsockname()[1])
    finally:
        listener.close()
        await server.shutdown(0.5)


class Answer:
    """One response as it came: ``status``, ``headers`` (lower-case names, lists of values), ``body``, ``head``."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.head = head
        self.body = body
        line, *fields = head.decode("latin-1").split("\r\n")
        self.version, status, *reason = line.split(" ", 2)
        self.status = int(status)
        self.reason = reason[0] if reason else ""
        self.headers: dict[str, list[str]] = {}
        for field in fields:
            if field:
                name, _, value = field.partition(":")
                self.headers.setdefault(name.lower(), []).append(value.strip())

    def header(self, name: str) -> str | None:
        values = self.headers.get(name.lower())
        return None if values is None else ", ".join(values)


class Peer:
    """A client that sends and reads bytes, each read with a deadline."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def connect(cls, port: int, **options: Any) -> AsyncIterator[Peer]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
        peer = cls(reader, writer)
        try:
            yield peer
        finally:
            writer.close()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(DEADLINE):
            await self.writer.drain()

    def finish(self) -> None:
        """Send FIN, go on reading."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Leave with RST."""
        import socket
        import struct

        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def read_eof(self) -> bytes:
        """Read everything up to the server's FIN."""
        async with asyncio.timeout(DEADLINE):
            return await self.reader.read()

    async def read_head(self) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def answer(self, method: str = "GET") -> Answer:
        """Read one whole response to a request with ``method``."""
        head = await self.read_head()
        answer = Answer(head, b"")
        async with asyncio.timeout(DEADLINE):
            if method == "HEAD" or answer.status in (204, 304) or answer.status < 200:
                pass
            elif "chunked" in (answer.header("transfer-encoding") or ""):
                answer.body = await self._chunks()
            elif answer.header("content-length") is not None:
                answer.body = await self.reader.readexactly(
                    int(answer.headers["content-length"][0])
                )
            else:
                answer.body = await self.reader.read()
        return answer

    async def _chunks(self) -> bytes:
        body = b""
        while True:
            size = int((await self.reader.readline()).split(b";")[0], 16)
            data = await self.reader.readexactly(size + 2)
            if size == 0:
                return body
            body += data[:-2]

    async def ask(self, request: bytes) -> Answer:
        await self.send(request)
        return await self.answer(request.split(b" ", 1)[0].decode("ascii", "replace"))
