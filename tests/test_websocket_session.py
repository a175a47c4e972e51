"""The order of things in a WebSocket: what came before an end is received before it, and ends are told from faults."""

import asyncio
import gc
import logging
import re
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

import lowlevel as web
from lowlevel.clock import ServerClock
from lowlevel.protocol.websocket import Receiver
from lowlevel.protocol.websocket_message import WebSocketError, WSMsgType
from lowlevel.websocket_session import OPEN, WebSocketSession
from tests.conftest import TLS, Context
from tests.support import DEADLINE, Peer, serving, turns, until, within
from tests.wsframes import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    Frame,
    WSPeer,
    close,
    frame,
    handshake,
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


async def opened(request: web.BaseRequest, **options: Any) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(**options)
    await ws.prepare(request)
    return ws


async def received(ws: web.WebSocketResponse) -> tuple[list[int], str, int | None]:
    """The sizes of all messages; what came behind them, and the code of the end."""
    sizes: list[int] = []
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
        await within(request.wait_disconnected())
        ws = await opened(request)
        outcome.set_result((await received(ws), ws.exception()))
        return ws

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(handshake("/", DEFLATE) + data + last)
        peer.finish()
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


class Gate:
    """Holds the threads that work on messages until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        work = Receiver.work

        def slow(receiver: Receiver) -> None:
            self.entered.set()
            self.opened.wait(DEADLINE)
            work(receiver)

        monkeypatch.setattr(Receiver, "work", slow)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.opened.set()


@ends
async def test_everything_before_a_loss_is_received(
    last: bytes, end: tuple[str, int], gate: Gate
) -> None:
    """The connection is lost while a thread works on what came before."""
    async with talk(received, DEFLATE) as peer:
        await peer.send(compressed(200_000) + text("hi") + last)
        await until(gate.entered.is_set, "the work")
        (connection,) = peer.site.server.connections
        connection.abort()
        await until(lambda: connection.transport is None, "the loss")
        gate.opened.set()
        got, *ending = await peer.end()
    assert (got, tuple(ending)) == ([200_000, 2], end)


@pytest.mark.parametrize("closing", [False, True], ids=["open", "closing"])
async def test_a_loss_during_work_leaves_no_cycle(closing: bool, gate: Gate) -> None:
    """Also with a fragmented message, for which wsproto is at work."""
    payload = deflated(3_000_000)
    message = frame(BINARY, payload[:5], rsv=4, fin=False) + frame(CONTINUATION, payload[5:])

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        await (ws.close() if closing else received(ws))
        return ws

    gc.collect()
    gc.disable()
    try:
        async with serving(handler, logger=logging.getLogger("quiet")) as site:
            before = living()
            async with WSPeer.connect(site.port, DEFLATE) as peer:
                await peer.send(message + frame(PING) * 50)
                await until(gate.entered.is_set, "the work")
                during = living() - before
                for connection in site.server.connections:
                    connection.abort()
                del connection
                await peer.ended()
                await turns()
                gate.opened.set()
                await site.idle()
            await until(lambda: not living()["Receiver"], "the receiver to be freed")
            await turns()
            left = living() - before
    finally:
        gc.enable()
    assert during["Receiver"] == during["_Slow"] == 1
    assert left == {}


def living() -> Counter[str]:
    """The objects of wsproto and of the server, by the names of their types."""
    return Counter(
        type(one).__name__
        for one in gc.get_objects()
        if re.match(r"wsproto\.|lowlevel\.(?!testing\b)", str(type(one).__module__))
    )


# --- Whose fault it is --------------------------------------------------------------------


@pytest.mark.parametrize("last", [close(), BAD], ids=["Close", "fault"])
async def test_errors_of_other_connections_are_logged(last: bytes, log: Log) -> None:
    """Behind the end of the WebSocket, where no answer is cut off by them."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        with suppress(RuntimeError):
            while not ws.closed:
                await ws.receive()
        raise ConnectionRefusedError("the database is down")

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        await peer.send(last)
        await peer.ended()
        peer.writer.close()
        await site.idle()
    (record,) = log.records
    assert record.levelno == logging.ERROR
    assert "cut off" not in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ConnectionRefusedError)


@pytest.mark.parametrize("last", [close(), BAD], ids=["Close", "fault"])
async def test_sending_behind_the_end_is_nobodys_fault(last: bytes, log: Log) -> None:
    raised: list[BaseException] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        await ws.receive()
        try:
            await ws.send_str("too late")
        except ConnectionResetError as exc:
            raised.append(exc)
            raise
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        await peer.send(last)
        await peer.ended()
        peer.writer.close()
        await site.idle()
    assert len(raised) == 1
    assert log.records == []


async def test_work_that_fails(
    monkeypatch: pytest.MonkeyPatch, allow_loop_errors: list[Context]
) -> None:
    """With something that is no fault of the peer: the connection is cut, and everybody is told."""
    error = MemoryError("no memory")

    def fail(receiver: Receiver) -> None:
        raise error

    monkeypatch.setattr(Receiver, "work", fail)

    async def script(ws: web.WebSocketResponse) -> Any:
        return await ws.receive(), ws.close_code, ws.exception()

    async with talk(script, DEFLATE) as peer:
        await peer.send(compressed(200_000))
        message, code, reason = await peer.end()
        assert await peer.ended() == b""
        await peer.site.idle()
    assert message.type is WSMsgType.ERROR
    assert message.data is reason is error
    assert code == 1006
    assert [context.get("exception") for context in allow_loop_errors] == [error]


async def test_a_fault_before_a_loss() -> None:
    """It ended the WebSocket, not the loss."""

    async def script(ws: web.WebSocketResponse) -> Any:
        await until(lambda: ws.closed, "the loss")
        return await ws.receive(), ws.exception()

    async with talk(script) as peer:
        await peer.send(frame(PING) + BAD)
        assert await peer.read_frame() == Frame(True, 0, PONG, b"")
        peer.reset()
        message, reason = await peer.end()
    assert message.type is WSMsgType.ERROR
    assert isinstance(reason, WebSocketError)
    assert message.data is reason


# --- Deadlines ----------------------------------------------------------------------------


async def test_a_slow_receiver_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for the answer to a Close begins anew as long as somebody receives what came before it."""
    expired = asyncio.Event()
    expire = WebSocketSession._expire

    def tell(session: WebSocketSession) -> None:
        expire(session)
        expired.set()

    monkeypatch.setattr(WebSocketSession, "_expire", tell)

    async def script(ws: web.WebSocketResponse) -> Any:
        async for message in ws:
            # Each takes as long as there would be for all.
            await within(expired.wait())
            expired.clear()
            await ws.send_str(message.data)
        return ws.close_code

    words = ["a", "b", "c", "d"]
    async with talk(script, timeout=0.25) as peer:
        await peer.send(b"".join(map(text, words)) + close(3000))
        assert [await peer.read_text() for _ in words] == words
        assert await peer.read_close() == (3000, "")
        assert await peer.end() == 3000


class FakeChannel:
    """A connection with a clock that stands still; ``sent`` are the frames."""

    def __init__(self) -> None:
        self.clock = ServerClock(0.5, "s", lambda now: None)
        self.read_bufsize = 2**16
        self.congested = False
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> bool:
        self.sent.append(data)
        return False

    def pinged(self, session: WebSocketSession, now: float) -> bool:
        """Whether a tick of the clock lets the session ping."""
        del self.sent[:]
        session.check_deadline(now)
        return bool(self.sent)


def session_of(channel: Any, **options: Any) -> WebSocketSession:
    options = {"timeout": 10.0, "autoclose": True, "autoping": True, "heartbeat": 0.0} | options
    return WebSocketSession(channel, Receiver(0, None), None, **options)


async def test_the_first_ping_is_in_time() -> None:
    """The clock is made finer before it is asked: not the old, long tick is what the first one may be late."""
    channel = FakeChannel()
    session = session_of(channel, heartbeat=0.2)
    interval = channel.clock.now
    assert interval <= 0.2 / 4
    assert not channel.pinged(session, 0.2 - 0.001)
    assert channel.pinged(session, 0.2 + interval + 0.001)


# --- Without autoclose --------------------------------------------------------------------


@pytest.mark.parametrize("is_received", [False, True], ids=["unread", "received"])
async def test_no_ping_behind_the_close_of_the_peer(is_received: bool) -> None:
    channel = FakeChannel()
    session = session_of(channel, heartbeat=0.2, autoclose=False)
    session.data_received(close())
    if is_received:
        assert session.last_message(waited=False).type is WSMsgType.CLOSE
    assert [channel.pinged(session, float(now)) for now in range(10)] == [False] * 10
    assert session.state is OPEN


async def test_receiving_behind_a_close_lets_others_run() -> None:
    async def script(ws: web.WebSocketResponse) -> Any:
        assert (await ws.receive()).type is WSMsgType.CLOSE
        count = 0

        async def other() -> None:
            nonlocal count
            while True:
                count += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        kinds = {(await ws.receive()).type for _ in range(100)}
        task.cancel()
        await ws.close(code=3001)
        return count, kinds

    async with talk(script, autoclose=False) as peer:
        await peer.send(close(3000))
        count, kinds = await peer.end()
        assert await peer.read_close() == (3001, "")
    assert count >= 99
    assert kinds == {WSMsgType.CLOSING}


@pytest.mark.parametrize("way", ["fin", "reset"])
async def test_leaving_behind_a_close_is_in_order(way: str) -> None:
    async def script(ws: web.WebSocketResponse) -> Any:
        kinds = [(await ws.receive()).type.name]
        await ws.send_str("go")
        await within(ws._request.wait_disconnected())  # type: ignore[union-attr]
        if way == "reset":
            await until(lambda: ws.closed, "the loss")
        await turns()
        await ws.close()
        return kinds, ws.close_code, ws.close_reason, ws.exception()

    async with talk(script, autoclose=False) as peer:
        await peer.send(close(3000, "bye"))
        assert await peer.read_text() == "go"
        peer.finish() if way == "fin" else peer.reset()
        assert await peer.end() == (["CLOSE"], 3000, "bye", None)


async def test_fin_before_the_close_is_received() -> None:
    async def script(ws: web.WebSocketResponse) -> Any:
        await within(ws._request.wait_disconnected())  # type: ignore[union-attr]
        await turns()
        return (await ws.receive()).type, await ws.close(), ws.close_code, ws.exception()

    async with talk(script, autoclose=False) as peer:
        await peer.send(close(3000))
        peer.finish()
        assert await peer.end() == (WSMsgType.CLOSE, True, 3000, None)


# --- Senders ------------------------------------------------------------------------------


async def test_cancelled_senders_leave_nothing() -> None:
    """The client reads nothing, and each try to send is given up."""

    def futures() -> int:
        return sum(type(one) is asyncio.Future for one in gc.get_objects())

    async def script(ws: web.WebSocketResponse) -> Any:
        assert (await ws.receive_str()) == "go"
        first = asyncio.create_task(ws.send_bytes(bytes(8_000_000)))
        await turns()
        assert not first.done()
        counts = []
        for _ in range(2):
            for _ in range(100):
                task = asyncio.create_task(ws.send_bytes(b""))
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            del task
            gc.collect()
            counts.append(futures())
        ws._request.transport.abort()  # type: ignore[union-attr]
        with suppress(ConnectionError):
            await first
        return counts

    async with talk(script, writer_limit=1000) as peer:
        peer.pause()
        await peer.send(text("go"))
        before, after = await peer.end()
    assert after - before < 10


# --- Small things -------------------------------------------------------------------------


async def test_iterating_calls_the_receive_of_a_subclass() -> None:
    class Counting(web.WebSocketResponse):
        calls = 0

        async def receive(self, timeout: float | None = None) -> Any:
            self.calls += 1
            return await super().receive(timeout)

    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = Counting()
        await ws.prepare(request)
        data = [message.data async for message in ws]
        outcome.set_result((ws.calls, data))
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        await peer.send(text("a") + text("b") + close())
        assert await within(outcome) == (3, ["a", "b"])


async def test_options_that_can_be_read_once_serve_every_connection() -> None:
    @web.websocket(protocols=(one for one in ("a", "b")), headers=iter([("X-One", "1")]))
    async def handler(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
        await ws.send_str(ws.ws_protocol or "none")

    async with serving(handler) as site:
        for _ in range(2):
            async with WSPeer.connect(site.port, "Sec-WebSocket-Protocol: b") as peer:
                assert peer.handshake.header("x-one") == "1"
                assert peer.handshake.header("sec-websocket-protocol") == "b"
                assert await peer.read_text() == "b"


# --- handler_cancellation -----------------------------------------------------------------


@pytest.mark.parametrize(
    "last", [close(), text("b") + close(), BAD], ids=["Close", "text and Close", "fault"]
)
async def test_cleaning_up_is_not_cancelled(last: bytes) -> None:
    """The WebSocket ended in order: that its connection goes too is no news to the handler."""
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        try:
            async for _ in ws:
                pass
            await until(lambda: request.transport is None, "the end of the connection")
            await turns()
        except asyncio.CancelledError:
            outcome.set_result("cancelled")
            raise
        outcome.set_result("cleaned up")
        return ws

    async with (
        serving(handler, handler_cancellation=True) as site,
        WSPeer.connect(site.port) as peer,
    ):
        await peer.send(last)
        peer.finish()
        await peer.ended()
        peer.writer.close()
        assert await within(outcome) == "cleaned up"


async def test_a_client_that_vanishes_cancels_the_handler() -> None:
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        await ws.send_str("go")
        try:
            await asyncio.sleep(DEADLINE)
        except asyncio.CancelledError:
            outcome.set_result("cancelled")
            raise
        return ws

    async with (
        serving(handler, handler_cancellation=True) as site,
        WSPeer.connect(site.port) as peer,
    ):
        assert await peer.read_text() == "go"
        peer.reset()
        assert await within(outcome) == "cancelled"
        await site.idle()
