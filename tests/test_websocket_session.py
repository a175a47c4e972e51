"""The order of things in a WebSocket: what came before an end is received before it, and ends are told from faults."""

import asyncio
import gc
import logging
import threading
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import lowlevel as web
from lowlevel.clock import ServerClock
from lowlevel.protocol.websocket import Receiver
from lowlevel.protocol.websocket_message import WebSocketError, WSMsgType
from lowlevel.websocket_session import OPEN, WebSocketSession
from tests.conftest import TLS, Context
from tests.support import DEADLINE, serving
from tests.wsframes import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    WSPeer,
    close,
    frame,
    talk,
    text,
)

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"
BAD = frame(3)


def deflated(size: int) -> bytes:
    """The payload of a compressed message of so many zeros."""
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(bytes(size)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return data.removesuffix(b"\x00\x00\xff\xff")


def compressed(size: int) -> bytes:
    return frame(BINARY, deflated(size), rsv=4)


async def until(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await asyncio.sleep(0.001)
    except TimeoutError:
        pytest.fail(f"waited in vain for {what}")


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0.0005)


async def within(awaitable: Awaitable[Any]) -> Any:
    async with asyncio.timeout(DEADLINE):
        return await awaitable


async def opened(request: web.BaseRequest, **options: Any) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(**options)
    await ws.prepare(request)
    return ws


async def received(ws: web.WebSocketResponse) -> tuple[list[int], str, int | None]:
    """The sizes of all messages; what came behind them, and the code of the end."""
    sizes = []
    while True:
        message = await ws.receive()
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return sizes, message.type.name, ws.close_code
        sizes.append(len(message.data))


class Log:
    """What the server logged as a warning or worse."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    @property
    def records(self) -> list[logging.LogRecord]:
        return [
            one
            for one in self._caplog.records
            if one.name.startswith("lowlevel") and one.levelno >= logging.WARNING
        ]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


# --- What came before the client left -----------------------------------------------------

STALLS = {
    "WORK": (compressed(200_000), [200_000]),
    "ROOM": (compressed(60_000) * 8, [60_000] * 8),
    "TURN": (frame(PING) * 600 + text("hi"), [2]),
}
stalls = pytest.mark.parametrize(("data", "sizes"), STALLS.values(), ids=STALLS)
ends = pytest.mark.parametrize(
    ("last", "end"),
    [(close(3000), ("CLOSE", 3000)), (b"", ("CLOSED", 1006))],
    ids=["Close", "no Close"],
)


@stalls
@ends
async def test_everything_before_fin_is_received(
    data: bytes, sizes: list[int], last: bytes, end: tuple[str, int]
) -> None:
    """All of it, and FIN, has come when the handler opens the WebSocket."""
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await within(request.wait_for_disconnection())
        ws = await opened(request)
        outcome.set_result((await received(ws), ws.exception()))
        return ws

    async with serving(handler) as site, WSPeerLater(site.port) as peer:
        peer.open(DEFLATE, behind=data + last)
        peer.writer.write_eof()
        (got, *ending), error = await within(outcome)
    assert got == sizes
    assert tuple(ending) == end
    assert isinstance(error, ConnectionResetError) if end[0] == "CLOSED" else error is None


@ends
async def test_everything_before_the_end_of_tls_is_received(
    last: bytes, end: tuple[str, int], tls: TLS
) -> None:
    """With TLS, the end is read together with what comes before it."""
    data, sizes = STALLS["WORK"]
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        outcome.set_result(await received(ws))
        return ws

    server = web.Server(handler, access_log=None)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, "127.0.0.1", 0, ssl=tls.server)
    port = listener.sockets[0].getsockname()[1]
    try:
        async with WSPeer.connect(port, DEFLATE, ssl=tls.client) as peer:
            peer.writer.write(data + last)
            peer.writer.close()
            got, *ending = await within(outcome)
    finally:
        listener.close()
        await server.shutdown(1)
    assert (got, tuple(ending)) == (sizes, end)
