"""A server on a free port, and waits that do not last for ever. The client that speaks bytes is ``Peer``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import lowlevel as web
from lowlevel.testing.peer import Answer, Peer
from lowlevel.testing.peer import request_bytes as request

__all__ = (
    "DEADLINE",
    "Answer",
    "Peer",
    "Serving",
    "request",
    "serving",
    "turns",
    "until",
    "within",
)

DEADLINE = 20.0
"""Seconds that anything expected may take."""


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
