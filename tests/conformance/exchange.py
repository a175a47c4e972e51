"""Conversations over a WebSocket: a client's bytes there, the frames of the server back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

import lowlevel as web
from tests import wsframes
from tests.support import DEADLINE, serving
from tests.wsframes import BINARY, CLOSE, PING, PONG, Frame, WSPeer, frame, text

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Said = tuple[int, bytes | int | None]
"""A frame in short: its opcode, and its payload, or of CLOSE its code."""

LAST = (web.WSMsgType.CLOSE, web.WSMsgType.CLOSING, web.WSMsgType.CLOSED, web.WSMsgType.ERROR)


# --- Handlers -----------------------------------------------------------------------------


async def answer(ws: web.WebSocketResponse, msg: web.WSMessage) -> None:
    """Send a message back."""
    if msg.type is web.WSMsgType.TEXT:
        await ws.send_str(msg.data)
    elif msg.type is web.WSMsgType.BINARY:
        await ws.send_bytes(msg.data)


def echoing(**options: Any) -> Handler:
    """A handler that sends everything back; ``options`` are those of WebSocketResponse."""

    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse(**options)
        await ws.prepare(request)
        async for msg in ws:
            await answer(ws, msg)
        return ws

    return echo


class Witness:
    """A handler that sends everything back, and remembers what it saw up to the end."""

    ws: web.WebSocketResponse

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.messages: list[web.WSMessage] = []
        self.done = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.ws = web.WebSocketResponse(**self.options)
        await self.ws.prepare(request)
        while not self.messages or self.messages[-1].type not in LAST:
            msg = await self.ws.receive()
            self.messages.append(msg)
            await answer(self.ws, msg)
        self.done.set()
        return self.ws

    async def last(self) -> web.WSMessage:
        """The message that was the end."""
        async with asyncio.timeout(DEADLINE):
            await self.done.wait()
        return self.messages[-1]


# --- How the bytes come -------------------------------------------------------------------

Delivery = Callable[..., AbstractAsyncContextManager[WSPeer]]


@asynccontextmanager
async def glued(port: int, data: bytes, *fields: str) -> AsyncIterator[WSPeer]:
    """In one segment with the handshake."""
    async with WSPeer.connect(port, *fields, behind=data) as peer:
        yield peer


@asynccontextmanager
async def whole(port: int, data: bytes, *fields: str) -> AsyncIterator[WSPeer]:
    """In one segment behind the handshake."""
    async with WSPeer.connect(port, *fields) as peer:
        await peer.send(data)
        yield peer


@asynccontextmanager
async def bytewise(port: int, data: bytes, *fields: str) -> AsyncIterator[WSPeer]:
    """Byte by byte; of what is long only its ends, and the middle in odd portions."""
    async with WSPeer.connect(port, *fields) as peer:
        await drip(peer, data)
        yield peer


async def drip(peer: WSPeer, data: bytes, head: int = 300, tail: int = 20, odd: int = 8191) -> None:
    """Send bytes as ``bytewise`` does, as long as the server takes them."""
    end = max(head, len(data) - tail)
    pieces = [data[at : at + 1] for at in range(min(head, len(data)))]
    pieces += [data[at : min(at + odd, end)] for at in range(head, end, odd)]
    pieces += [data[at : at + 1] for at in range(end, len(data))]
    assert b"".join(pieces) == data
    for piece in pieces:
        try:
            await peer.send(piece)
        except ConnectionError:
            return
        # Once for the server to see that there is something, once to read it.
        await asyncio.sleep(0)
        await asyncio.sleep(0)


# Glued to the handshake, bytes come the same way as whole; few tests ask for all three.
each_delivery = pytest.mark.parametrize("deliver", [whole, bytewise])


# --- What comes back ----------------------------------------------------------------------


async def read_frames(peer: WSPeer) -> list[Frame]:
    """Read frames until the server ends the connection, which must be behind CLOSE."""
    frames: list[Frame] = []
    while not frames or frames[-1].opcode != CLOSE:
        frames.append(await peer.read_frame())
    await peer.eof()
    return frames


def said(frame: Frame) -> Said:
    """A frame in short; it must be whole and not compressed."""
    assert frame.fin
    assert frame.rsv == 0
    if frame.opcode != CLOSE:
        return frame.opcode, frame.payload
    if not frame.payload:
        return CLOSE, None
    assert len(frame.payload) >= 2
    assert frame.payload[2:].decode() is not None
    return CLOSE, int.from_bytes(frame.payload[:2], "big")


async def exchange(
    data: bytes,
    *fields: str,
    deliver: Delivery = whole,
    handler: Handler | None = None,
    **options: Any,
) -> list[Said]:
    """Send bytes to an echo; return all that it says until it ends the connection.

    Args:
        fields: Further lines of the handshake.
        handler: In place of the echo.
        options: Those of the echo's WebSocketResponse.
    """
    async with serving(handler or echoing(**options)) as site:
        async with deliver(site.port, data, *fields) as peer:
            frames = await read_frames(peer)
        await site.idle()
    return [said(frame) for frame in frames]


BYE = wsframes.close(1000)
GOODBYE: Said = (CLOSE, 1000)

GOOD = text("a") + frame(BINARY, b"b") + frame(PING, b"p")
"""Frames that are answered whatever comes behind them."""


async def refuses(
    bad: bytes, code: int, *fields: str, deliver: Delivery = whole, **options: Any
) -> None:
    """A bad frame is answered with CLOSE and ``code``, and the connection ends.

    So it is alone, and behind good frames, which are answered before. Nothing behind it is read.
    """
    assert await exchange(bad, *fields, deliver=deliver, **options) == [(CLOSE, code)]
    # Byte by byte the rest would meet a closed connection, and reset it.
    behind = (b"",) if deliver is bytewise else (b"", text("late") + BYE)
    for rest in behind:
        heard = await exchange(GOOD + bad + rest, *fields, deliver=deliver, **options)
        assert heard.count((PONG, b"p")) == 1
        heard.remove((PONG, b"p"))
        assert heard == [(wsframes.TEXT, b"a"), (BINARY, b"b"), (CLOSE, code)]
