"""How WebSockets end by themselves: handlers that return or fail, clients that vanish or fall silent, shutdown."""

import asyncio
import gc
import logging
import re
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import pytest

import lowlevel as web
from tests.conftest import TLS
from tests.support import DEADLINE, Peer, request, serving, turns, until, within
from tests.wsframes import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    WSPeer,
    close,
    frame,
    handshake,
    talk,
    text,
)

GET = request()


async def opened(request: web.BaseRequest, **options: Any) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(**options)
    await ws.prepare(request)
    return ws


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    ws = await opened(request)
    async for msg in ws:
        await ws.send_str(msg.data)
    return ws


class Log:
    """What the server logged."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        self._caplog = caplog

    @property
    def records(self) -> list[logging.LogRecord]:
        return [one for one in self._caplog.records if one.name.startswith("lowlevel")]

    def one_traceback(self) -> BaseException:
        """The exception of the only record."""
        (record,) = self.records
        assert (record.name, record.levelno) == ("lowlevel.server", logging.ERROR)
        assert record.exc_info is not None
        error = record.exc_info[1]
        assert error is not None
        return error


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


# --- The handler returns ------------------------------------------------------------------


async def test_the_handler_returns(log: Log) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        await ws.send_str("bye")
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        assert await peer.read_text() == "bye"
        assert await peer.read_close() == (1000, "")
        await peer.send(close())
        await peer.eof()
        await site.idle()
    assert log.records == []


@pytest.mark.parametrize(
    ("result", "code"),
    [(None, 1000), (5, 1000), (web.Response(text="no place for it"), 1011)],
    ids=["None", "nonsense", "Response"],
)
async def test_the_handler_returns_something_else(result: Any, code: int, log: Log) -> None:
    """The connection is no HTTP any more: nothing but frames may be sent. And it is the handler's fault."""

    async def handler(request: web.BaseRequest) -> Any:
        await opened(request)
        return result

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        assert await peer.read_close() == (code, "")
        await peer.send(close())
        await peer.eof()
        await site.idle()
    (record,) = log.records
    assert (record.name, record.levelno) == ("lowlevel.server", logging.ERROR)


async def test_the_handler_returns_after_close() -> None:
    """There is one CLOSE."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        await ws.close(code=4000)
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        assert await peer.read_close() == (4000, "")
        await peer.send(close())
        await peer.eof()


async def test_the_handler_returns_and_the_client_is_silent(log: Log) -> None:
    """The closing handshake has its deadline."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return await opened(request, timeout=0.1)

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        assert await peer.read_close() == (1000, "")
        await peer.ended()
        await site.idle()
    assert log.records == []


async def test_the_handler_returns_while_the_client_sends() -> None:
    """What nobody will receive does not disturb the closing handshake."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        await ws.receive()
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        sending = asyncio.create_task(peer.send(frame(BINARY, b"x" * 1_000_000) * 10 + close(3000)))
        assert await peer.read_close() == (1000, "")
        await within(sending)
        await peer.eof()
        await site.idle()


# --- The handler fails --------------------------------------------------------------------

# Made in the test: one that was raised holds the frames it came through.
ERRORS: dict[type[Exception], tuple[Any, ...]] = {
    ValueError: ("mine",),
    TimeoutError: ("mine",),
    asyncio.IncompleteReadError: (b"", 1),
    ConnectionResetError: ("the database's",),
    web.HTTPForbidden: (),
    web.HTTPOk: (),
}


@pytest.mark.parametrize("kind", ERRORS)
async def test_the_handler_raises(kind: type[Exception], log: Log) -> None:
    """1011, and one traceback; also for what would have been an answer before, or a fault of another connection."""
    error = kind(*ERRORS[kind])

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        await ws.receive()
        await ws.send_str("so far")
        raise error

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        await peer.send(text("go"))
        assert await peer.read_text() == "so far"
        code, reason = await peer.read_close()
        assert code == 1011
        assert "mine" not in reason, "it is nobody's business"
        await peer.send(close(1011))
        await peer.eof()
        await site.idle()
    logged = log.one_traceback()
    assert error in (logged, logged.__context__), "the traceback leads to it"


async def test_the_handler_raises_and_the_client_is_silent() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await opened(request, timeout=0.1)
        raise ValueError

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        assert (await peer.read_close())[0] == 1011
        await peer.ended()
        await site.idle()


async def test_the_handler_raises_after_close(log: Log) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        await ws.close()
        raise LookupError("late")

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        assert await peer.read_close() == (1000, "")
        await peer.send(close())
        await peer.eof()
        await site.idle()
    assert isinstance(log.one_traceback(), LookupError)


async def test_the_handler_raises_before_prepare(log: Log) -> None:
    """It is HTTP still."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        raise LookupError("early")

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(handshake())).status == 500
    assert isinstance(log.one_traceback(), LookupError)


async def test_the_handler_raises_while_the_client_does_not_read(log: Log) -> None:
    """A CLOSE that cannot be sent does not keep the connection."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request, timeout=0.2)
        await ws.receive()
        asyncio.create_task(quietly(ws.send_bytes(b"x" * 30_000_000)))
        await asyncio.sleep(0)
        raise ValueError

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        peer.pause()
        await peer.send(text("go"))
        await site.idle()
    assert isinstance(log.one_traceback(), ValueError)


async def quietly(awaitable: Awaitable[Any]) -> None:
    with suppress(ConnectionError):
        await awaitable


async def test_other_tasks_outlive_the_handler() -> None:
    """They hear that it is over."""
    errors: list[BaseException] = []

    async def tick(ws: web.WebSocketResponse) -> None:
        try:
            while True:
                await ws.send_str("tick")
                await asyncio.sleep(0.001)
        except ConnectionResetError as exc:
            errors.append(exc)

    tasks: list[asyncio.Task[None]] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        tasks.append(asyncio.create_task(tick(ws)))
        await turns(5)
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        while (came := await peer.read_frame()).payload == b"tick":
            pass
        assert came.payload == (1000).to_bytes(2, "big")
        await peer.send(close())
        await peer.eof()
        await within(tasks[0])
    assert errors


@pytest.mark.parametrize("end", ["close", "raise", "reset", "silence", "bad frame"])
async def test_the_access_log_tells_of_all(end: str) -> None:
    """One line with status 101, however it ended."""
    lines: list[Any] = ["truthy"]

    class Line:
        enabled = True

        def __init__(self, logger: Any, log_format: str) -> None: ...

        def log(self, request: Any, response: Any, time: float) -> None:
            lines.append((request.path, response.status))

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request, timeout=0.1, heartbeat=0.1)
        async for msg in ws:
            assert msg.type is web.WSMsgType.ERROR
            if end == "raise":
                break
        if end == "raise":
            raise ValueError
        return ws

    quiet = logging.Logger("quiet")
    options = {
        "access_log": lines,
        "access_log_class": Line,
        "logger": quiet,
        "lingering_time": 0.1,
    }
    async with serving(handler, **options) as site, WSPeer.connect(site.port) as peer:
        if end == "reset":
            await turns()
            peer.reset()
        elif end == "close":
            await peer.send(close())
        elif end != "silence":
            await peer.send(frame(7))
        await until(lambda: len(lines) == 2, "the line")
        await site.idle()
    assert lines[1:] == [("/", 101)]


@pytest.mark.parametrize(("closing", "code"), [(False, 1011), (True, 1001)])
async def test_the_handler_is_cancelled(closing: bool, code: int, log: Log) -> None:
    """It is nobody's fault; when the server is about to shut down, it says so."""
    tasks: list[asyncio.Task[Any]] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request, timeout=0.2)
        tasks.append(request.task)
        await ws.receive()
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        await until(lambda: tasks, "the handler")
        if closing:
            site.server.pre_shutdown()
        tasks[0].cancel()
        assert (await peer.read_close())[0] == code
        await peer.ended()
        await site.idle()
    assert [one for one in log.records if one.levelno >= logging.WARNING] == []


# --- The client vanishes ------------------------------------------------------------------


@pytest.mark.parametrize("way", ["FIN", "RST"])
@pytest.mark.parametrize(
    "last",
    [b"", text("part of a frame")[:5], frame(1, b"part of a message", fin=False)],
    ids=["between messages", "in a frame", "in a message"],
)
async def test_the_client_vanishes(way: str, last: bytes, log: Log) -> None:
    """What came before is received; then CLOSED, 1006 and a reason."""
    messages: list[Any] = []
    sockets: list[web.WebSocketResponse] = []
    gone = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        sockets.append(ws)
        messages.append(await ws.receive())
        if way == "FIN":  # what a reset destroys in the kernel is lost
            await within(gone.wait())
        for _ in range(2):
            messages.append(await ws.receive())
        assert (ws.closed, ws.close_code) == (True, 1006)
        with pytest.raises(ConnectionResetError):
            await ws.send_str("x")
        with pytest.raises(ConnectionResetError):
            await ws.ping()
        assert await ws.close() is False
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        await peer.send(text("one"))
        await until(lambda: messages, "the first message")
        await peer.send(text("two") + last)
        if way == "FIN":
            peer.finish()
            gone.set()
        else:
            await until(lambda: len(messages) == 2, "the second message")
            peer.reset()
        await site.idle()
        await until(lambda: len(messages) == 3, "the end")
    one, two, end = messages
    assert (one.data, two.data) == ("one", "two")
    assert end == (web.WSMsgType.CLOSED, None, None)
    reason = sockets[0].exception()
    assert isinstance(reason, ConnectionResetError)
    assert str(reason)
    assert log.records == []


async def test_the_client_vanishes_while_nobody_receives() -> None:
    """What came is kept."""
    go = asyncio.Event()
    received: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        await within(go.wait())
        async for msg in ws:
            received.append(msg.data)
        assert ws.close_code == 1006
        return ws

    async with serving(handler) as site:
        async with WSPeer.connect(site.port) as peer:
            await peer.send(text("one") + text("two"))
        await turns(50)
        go.set()
        await site.idle()
        await until(lambda: len(received) == 2, "the messages")


async def test_nobody_receives_that_the_client_left() -> None:
    """The connection does not stay for it."""
    go = asyncio.Event()

    async def script(ws: web.WebSocketResponse) -> None:
        await within(go.wait())
        assert (ws.closed, ws.close_code) == (True, 1006)
        assert (await ws.receive()).data == "before"
        assert (await ws.receive()).type is web.WSMsgType.CLOSED

    async with talk(script, timeout=0.1) as peer:
        await peer.send(text("before"))
        peer.finish()
        await peer.eof()
        await peer.site.idle()
        go.set()


@pytest.mark.parametrize("late", [False, True])
async def test_a_client_that_sends_all_and_then_fin(late: bool) -> None:
    """Handshake, message and FIN at once: the message can still be answered."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if late:
            await turns()
        ws = await opened(request)
        async for msg in ws:
            await ws.send_str("You said: " + msg.data)
        assert ws.close_code == 1006
        return ws

    async with serving(handler) as site, Peer.connect(site.port) as http:
        http.writer.write(handshake() + text("hi"))
        http.finish()
        assert (await http.answer()).status == 101
        peer = WSPeer(http.reader, http.writer)
        assert await peer.read_text() == "You said: hi"
        await peer.eof()
        await site.idle()


async def test_receiving_after_the_client_vanished() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        for _ in range(5):
            assert (await ws.receive()).type is web.WSMsgType.CLOSED
        with pytest.raises(RuntimeError, match="closed"):
            for _ in range(2):
                await ws.receive()

    async with talk(script) as peer:
        peer.reset()
        await peer.end()


@pytest.mark.parametrize("how", ["sends", "raises", "streams"])
async def test_a_handler_hears_that_the_client_left(how: str, log: Log) -> None:
    """ConnectionResetError from sending is the common way to end, and no news."""
    ended = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        try:
            if how == "sends":
                while True:
                    await ws.send_str("tick")
                    await asyncio.sleep(0.001)
            if how == "streams":
                while True:
                    await ws.send_bytes(b"x" * 100_000)
            await within(
                request.wait_disconnected()
                if hasattr(request, "wait_disconnected")
                else ws.receive()
            )
            await turns()
            await ws.send_str("too late")
        finally:
            ended.set()
        raise AssertionError("it was sent")

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        await turns()
        peer.reset()
        await within(ended.wait())
        await site.idle()
    assert log.records == []


async def test_a_handler_that_does_not_care_runs_on() -> None:
    """Without handler_cancellation a handler runs to its end."""
    go = asyncio.Event()
    ended: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        await within(go.wait())
        ended.append("well")
        return ws

    async with serving(handler) as site:
        async with WSPeer.connect(site.port) as peer:
            peer.reset()
        await turns()
        go.set()
        await until(lambda: ended, "the end")


async def test_handler_cancellation(log: Log) -> None:
    ended: list[BaseException] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        try:
            await asyncio.sleep(DEADLINE)
        except asyncio.CancelledError as exc:
            ended.append(exc)
            raise
        return ws

    async with (
        serving(handler, handler_cancellation=True) as site,
        WSPeer.connect(site.port) as peer,
    ):
        await turns()
        peer.reset()
        await until(lambda: ended, "the cancellation")
        await site.idle()
    assert [one for one in log.records if one.levelno >= logging.WARNING] == []


async def test_the_client_vanishes_while_the_server_closes() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        assert await within(ws.close()) is True
        assert ws.close_code == 1006
        assert ws.exception() is not None

    async with talk(script, timeout=DEADLINE) as peer:
        assert await peer.read_close() == (1000, "")
        peer.reset()
        await peer.end()
        await peer.site.idle()


async def test_the_client_vanishes_while_a_sender_waits(log: Log) -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        await ws.receive()
        sending = asyncio.create_task(ws.send_bytes(b"x" * 30_000_000))
        await turns()
        assert not sending.done()
        peer.reset()
        with pytest.raises(ConnectionResetError):
            await within(sending)

    async with talk(script) as peer:
        peer.pause()
        await peer.send(text("go"))
        await peer.end()
    assert log.records == []


async def test_prepare_when_the_client_has_left(log: Log) -> None:
    errors: list[BaseException] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await until(lambda: request.transport is None, "the reset")
        try:
            await opened(request)
        except ConnectionResetError as exc:
            errors.append(exc)
            raise
        raise AssertionError("it was prepared")

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(handshake())
        await turns()
        peer.reset()
        await until(lambda: errors, "the error")
    assert log.records == []


async def test_a_client_that_takes_nothing_is_cut_off(log: Log) -> None:
    """The server's ``write_timeout`` holds here, too."""

    async def script(ws: web.WebSocketResponse) -> None:
        await ws.receive()
        with pytest.raises(ConnectionResetError):
            while True:
                await within(ws.send_bytes(b"x" * 1_000_000))
        assert ws.closed

    async with talk(script, server={"write_timeout": 0.2}) as peer:
        peer.pause()
        await peer.send(text("go"))
        await peer.end()
        await peer.site.idle()
    assert log.records == []


# --- Heartbeat ----------------------------------------------------------------------------


async def test_heartbeat_pings() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        assert (await ws.receive()).data == "enough"

    async with talk(script, heartbeat=0.1) as peer:
        for _ in range(4):
            ping = await peer.read_frame()
            assert ping.opcode == PING
            await peer.send(frame(PONG, ping.payload))
        await peer.send(text("enough"))
        assert await peer.read_close() == (1000, "")


async def test_anything_is_a_sign_of_life() -> None:
    """A message in place of a pong, or one byte of a frame."""

    async def script(ws: web.WebSocketResponse) -> None:
        assert (await ws.receive()).data == "x"
        assert (await ws.receive()).data == "x" * 20
        assert not ws.closed

    slow = text("x" * 20)
    async with talk(script, heartbeat=0.2) as peer:
        assert (await peer.read_frame()).opcode == PING
        await peer.send(text("x"))
        for n in range(len(slow)):
            await peer.send(slow[n : n + 1])
            await asyncio.sleep(0.04)
        assert (await peer.end()) is None


async def test_no_ping_without_silence() -> None:
    async def script(ws: web.WebSocketResponse) -> int:
        return len([msg async for msg in ws])

    async with talk(script, heartbeat=1) as peer:
        for _ in range(30):
            await peer.send(text("busy"))
            await asyncio.sleep(0.05)
        await peer.send(close())
        assert await peer.read_close() == (1000, "")  # and no ping before it
        assert await peer.end() == 30


@pytest.mark.parametrize("receiving", [True, False])
async def test_silence(receiving: bool, log: Log) -> None:
    """No pong: the connection is cut, whether anybody receives or not."""
    cut = asyncio.Event()

    async def script(ws: web.WebSocketResponse) -> None:
        if not receiving:
            await within(cut.wait())
        msg = await ws.receive()
        assert (msg.type, msg.extra) == (web.WSMsgType.ERROR, None)
        assert isinstance(msg.data, TimeoutError)
        assert str(msg.data) == "No PONG received after 0.025 seconds"
        assert ws.exception() is msg.data
        assert (ws.closed, ws.close_code) == (True, 1006)
        assert (await ws.receive()).type is web.WSMsgType.CLOSED
        with pytest.raises(ConnectionResetError):
            await ws.send_str("x")

    async with talk(script, heartbeat=0.05) as peer:
        assert (await peer.read_frame()).opcode == PING
        await peer.ended()
        cut.set()
        await peer.end()
        await peer.site.idle()
    assert log.records == []


async def test_silence_after_messages() -> None:
    """They are received first."""
    cut = asyncio.Event()

    async def script(ws: web.WebSocketResponse) -> None:
        await within(cut.wait())
        assert (await ws.receive()).data == "before"
        assert (await ws.receive()).type is web.WSMsgType.ERROR

    async with talk(script, heartbeat=0.05) as peer:
        await peer.send(text("before"))
        await peer.ended()
        cut.set()


async def test_heartbeat_and_a_handler_that_is_slow() -> None:
    """The server has ceased to read; the client is not to blame that its bytes and pongs wait."""

    async def script(ws: web.WebSocketResponse) -> int:
        await asyncio.sleep(0.8)
        return sum([len(msg.data) async for msg in ws])

    total = 20_000_000
    async with talk(script, heartbeat=0.1) as peer:

        async def pong() -> None:
            while (came := await peer.read_frame()).opcode == PING:
                peer.writer.write(frame(PONG, came.payload))

        answering = asyncio.create_task(pong())
        await peer.send(frame(BINARY, b"x" * 1_000_000) * (total // 1_000_000))
        await peer.send(close())
        assert await peer.end() == total
        await within(answering)


async def test_heartbeat_and_sending() -> None:
    """What we send is no sign of life of the client."""

    async def script(ws: web.WebSocketResponse) -> None:
        with pytest.raises(ConnectionResetError):
            while True:
                await ws.send_str("tick")
                await asyncio.sleep(0.005)
        assert isinstance(ws.exception(), TimeoutError)

    async with talk(script, heartbeat=0.1) as peer:
        assert b"tick" in await peer.ended()
        await peer.end()


async def test_http_deadlines_are_for_http() -> None:
    """A WebSocket may be silent as long as it likes."""
    options = {
        "keepalive_timeout": 0.1,
        "head_timeout": 0.1,
        "body_timeout": 0.1,
        "write_timeout": 0.1,
        "lingering_time": 0.1,
    }
    async with serving(echo, **options) as site, WSPeer.connect(site.port) as peer:
        for n in range(2):
            await asyncio.sleep(0.5)
            await peer.send(text(str(n)))
            assert await peer.read_text() == str(n)


async def test_the_heartbeat_ends_with_the_conversation() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        await ws.receive()
        await asyncio.sleep(0.3)

    async with talk(script, heartbeat=0.05) as peer:
        await peer.send(close())
        assert await peer.read_close() == (1000, "")
        await peer.eof()


# --- Server.shutdown() --------------------------------------------------------------------


async def test_shutdown_says_going_away(log: Log) -> None:
    """And waits for the handlers, which hear of it."""
    ended: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        async for msg in ws:
            await ws.send_str(msg.data)
        await turns(10)  # its clean-up
        ended.append("well")
        return ws

    async with (
        serving(handler) as site,
        WSPeer.connect(site.port) as one,
        WSPeer.connect(site.port) as two,
    ):
        await one.send(text("hi"))
        assert await one.read_text() == "hi"
        down = asyncio.create_task(site.server.shutdown(DEADLINE))
        for peer in (one, two):
            assert (await peer.read_close())[0] == 1001
            await peer.send(close(1001))
            await peer.eof()
        await within(down)
        assert ended == ["well", "well"]
        assert site.server.connections == []
    assert [one for one in log.records if one.levelno >= logging.WARNING] == []


async def test_shutdown_and_what_receivers_see() -> None:
    seen: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        seen.append(await ws.receive())
        with pytest.raises(ConnectionResetError):
            await ws.send_str("too late")
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        await until(lambda: site.server.requests_count, "the request")
        await turns()
        down = asyncio.create_task(site.server.shutdown(DEADLINE))
        assert (await peer.read_close())[0] == 1001
        await peer.send(close(1001))
        await within(down)
    (msg,) = seen
    assert msg.type in (web.WSMsgType.CLOSING, web.WSMsgType.CLOSED)


async def test_shutdown_and_a_silent_client() -> None:
    """The deadline of the shutdown holds, not that of the closing handshake."""
    async with serving(echo) as site, WSPeer.connect(site.port) as peer:
        await peer.send(text("hi"))
        assert await peer.read_text() == "hi"
        await within(site.server.shutdown(0.1))
        assert site.server.connections == []
        assert (await peer.read_close())[0] == 1001
        await peer.ended()


async def test_shutdown_and_a_handler_that_does_not_listen() -> None:
    """It is cancelled at the deadline; the client has long been told."""
    ended: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        await turns()
        down = asyncio.create_task(site.server.shutdown(0.5))
        assert (await peer.read_close())[0] == 1001
        assert not down.done()
        assert ended == []
        await peer.send(close(1001))
        await within(down)
        assert ended == ["cancelled"]
        await peer.eof()


async def test_shutdown_and_a_handler_that_swallows_its_cancellation() -> None:
    """It is waited for."""
    ended: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0.1)
            ended.append("late")
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        await turns()
        await within(site.server.shutdown(0.05))
        assert ended == ["late"]
        assert (await peer.read_close())[0] == 1001
        await peer.ended()


async def test_shutdown_and_a_client_that_does_not_read() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        await ws.receive()
        while True:
            await ws.send_bytes(b"x" * 1_000_000)

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        peer.pause()
        await peer.send(text("go"))
        await turns(50)
        await within(site.server.shutdown(0.1))
        assert site.server.connections == []


async def test_shutdown_before_prepare() -> None:
    """A handshake under way is a request under way; the socket it becomes is told at once."""
    go = asyncio.Event()
    ended: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await within(go.wait())
        ws = await opened(request)
        async for msg in ws:
            await ws.send_str(msg.data)
        ended.append("well")
        return ws

    async with serving(handler) as site, Peer.connect(site.port) as http:
        await http.send(handshake())
        await until(lambda: site.server.requests_count, "the request")
        down = asyncio.create_task(site.server.shutdown(DEADLINE * 2))
        await turns()
        go.set()
        assert (await http.answer()).status == 101
        peer = WSPeer(http.reader, http.writer)
        assert (await peer.read_close())[0] == 1001
        await peer.send(close(1001))
        await peer.eof()
        await within(down)
    assert ended == ["well"]


async def test_shutdown_while_closing() -> None:
    """There is one CLOSE."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        await ws.close(code=4000)
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        assert await peer.read_close() == (4000, "")
        down = asyncio.create_task(site.server.shutdown(DEADLINE))
        await turns()
        await peer.send(close())
        await peer.eof()
        await within(down)


async def test_pre_shutdown_leaves_websockets_alone() -> None:
    async with (
        serving(echo) as site,
        WSPeer.connect(site.port) as peer,
        Peer.connect(site.port) as idle,
    ):
        await peer.send(text("before"))
        assert await peer.read_text() == "before"
        await until(lambda: len(site.server.connections) == 2, "both")
        site.server.pre_shutdown()
        assert await idle.read_eof() == b""
        for n in range(3):
            await peer.send(text(str(n)))
            assert await peer.read_text() == str(n)
        await peer.send(close())
        assert await peer.read_close() == (1000, "")


async def test_shutdown_over_tls(tls: TLS) -> None:
    server = web.Server(echo, access_log=None)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, "127.0.0.1", 0, ssl=tls.server)
    port = listener.sockets[0].getsockname()[1]
    try:
        async with WSPeer.connect(port, ssl=tls.client) as peer:
            await peer.send(text("hi"))
            assert await peer.read_text() == "hi"
            down = asyncio.create_task(server.shutdown(DEADLINE))
            assert (await peer.read_close())[0] == 1001
            await peer.send(close(1001))
            await peer.ended()
            await within(down)
            assert server.connections == []
    finally:
        listener.close()


@pytest.mark.parametrize("way", ["abort", "close"])
async def test_the_client_vanishes_over_tls(way: str, tls: TLS) -> None:
    """With or without closing TLS in order."""
    codes: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        async for msg in ws:
            codes.append(msg.data)
        codes.append(ws.close_code)
        return ws

    server = web.Server(handler, access_log=None)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, "127.0.0.1", 0, ssl=tls.server)
    port = listener.sockets[0].getsockname()[1]
    try:
        async with WSPeer.connect(port, ssl=tls.client) as peer:
            await peer.send(text("hi"))
            await until(lambda: codes, "the message")
            getattr(peer.writer.transport, way)()
        await until(lambda: codes == ["hi", 1006], "the end")
    finally:
        listener.close()
        await server.shutdown(1)


# --- Runners ------------------------------------------------------------------------------


class HookedRunner(web.ServerRunner):
    """Closes the sockets of the program in its shutdown hook."""

    sockets: set[web.WebSocketResponse]

    async def shutdown(self) -> None:
        for ws in set(self.sockets):
            await ws.close(code=web.WSCloseCode.GOING_AWAY, message="Server shutdown")


async def test_cleanup_with_a_hook_that_closes() -> None:
    """As programs written for aiohttp do it."""
    sockets: set[web.WebSocketResponse] = set()
    ended: list[int | None] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = await opened(request)
        sockets.add(ws)
        try:
            async for msg in ws:
                await ws.send_str(msg.data)
        finally:
            sockets.discard(ws)
        ended.append(ws.close_code)
        return ws

    runner = HookedRunner(web.Server(handler, access_log=None), shutdown_timeout=DEADLINE)
    runner.sockets = sockets
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _, port = runner.addresses[0]
    async with WSPeer.connect(port) as one, WSPeer.connect(port) as two:
        await until(lambda: len(sockets) == 2, "both sockets")
        cleanup = asyncio.create_task(runner.cleanup())
        peers = {one, two}

        async def leave(peer: WSPeer) -> None:
            assert await peer.read_close() == (1001, "Server shutdown")
            await peer.send(close(1001))
            await peer.eof()

        await asyncio.gather(*map(leave, peers))
        await within(cleanup)
        assert len(ended) == 2
        assert sockets == set()
    assert runner.server is None


async def test_cleanup_without_a_hook() -> None:
    runner = web.ServerRunner(web.Server(echo, access_log=None), shutdown_timeout=DEADLINE)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _, port = runner.addresses[0]
    async with WSPeer.connect(port) as peer:
        await peer.send(text("hi"))
        assert await peer.read_text() == "hi"
        cleanup = asyncio.create_task(runner.cleanup())
        assert (await peer.read_close())[0] == 1001
        await peer.send(close(1001))
        await peer.eof()
        await within(cleanup)


# --- What is left behind ------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [
        "client",
        "server",
        "returns",
        "raises",
        "reset",
        "bad frame",
        "cancelled",
        "silence",
        "waits",
    ],
)
async def test_no_reference_cycles(end: str) -> None:
    """What a conversation held is freed when it is over, without the garbage collector."""
    done: list[bool] = []
    quiet = logging.Logger("quiet")
    quiet.addHandler(logging.NullHandler())

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        options: dict[str, Any] = {"heartbeat": 0.05} if end == "silence" else {}
        ws = await opened(request, timeout=0.5, **options)
        request.task.add_done_callback(lambda _: done.append(True))
        msg = await ws.receive()
        if end == "waits":
            waiting = asyncio.create_task(ws.receive())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        if end == "server":
            await ws.close(code=4000)
        elif end == "raises":
            raise ValueError
        elif end == "cancelled":
            request.task.cancel()
            await asyncio.sleep(1)
        elif end != "returns":
            while msg.type not in (web.WSMsgType.CLOSE, web.WSMsgType.CLOSED, web.WSMsgType.ERROR):
                msg = await ws.receive()
        return ws

    gc.collect()
    gc.disable()
    try:
        async with serving(handler, logger=quiet) as site:
            before = living()
            async with WSPeer.connect(site.port) as peer:
                await peer.send(text("go"))
                await until(lambda: living() - before, "objects")
                if end == "reset":
                    await turns()
                    peer.reset()
                else:
                    if end == "bad frame":
                        await peer.send(frame(7))
                    if end != "silence":
                        await peer.send(close())
                    await peer.ended()
            await until(lambda: done, "the end of the handler")
            await site.idle()
            await turns()
            left = living() - before
    finally:
        gc.enable()
    assert left == {}


def living() -> Counter[str]:
    """The objects of the server, and the tasks that are done, by the names of their types."""
    return Counter(
        type(one).__name__
        for one in gc.get_objects()
        if re.match(r"lowlevel\.(?!testing\b)", str(type(one).__module__))
        or (isinstance(one, asyncio.Task) and one.done())
    )


async def test_nothing_waits_after_many_conversations() -> None:
    """No task, no timer and no connection stays."""
    async with serving(echo) as site:
        before = len(asyncio.all_tasks())
        for n in range(20):
            async with WSPeer.connect(site.port) as peer:
                await peer.send(frame(1, b"a", fin=False) + frame(CONTINUATION, b"b"))
                assert await peer.read_text() == "ab"
                if n % 2:
                    await peer.send(close())
                    await peer.read_close()
        await site.idle()
        await until(lambda: len(asyncio.all_tasks()) == before, "the tasks")
