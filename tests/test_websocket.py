"""WebSocketResponse: its whole surface, over real sockets, with frames by hand and with aiohttp's client.

How it ends by itself - handlers, clients and servers that leave - is in test_websocket_shutdown.py, and the letter
of the RFCs in conformance/.
"""

import array
import asyncio
import contextvars
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

import lowlevel as web
from tests.conftest import TLS
from tests.support import DEADLINE, Peer, request, serving, turns, until, within
from tests.wsframes import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    WSPeer,
    close,
    frame,
    handshake,
    talk,
    text,
)

GET = request()
Script = Callable[[Any], Awaitable[Any]]


async def echo(ws: web.WebSocketResponse) -> None:
    async for msg in ws:
        if msg.type is web.WSMsgType.TEXT:
            await ws.send_str(msg.data)
        elif msg.type is web.WSMsgType.BINARY:
            await ws.send_bytes(msg.data)


async def echo_handler(request: web.BaseRequest) -> web.StreamResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    await echo(ws)
    return ws


async def collect(ws: web.WebSocketResponse) -> list[Any]:
    """All messages up to the end."""
    return [msg async for msg in ws]


async def still(value: Callable[[], int], what: str) -> int:
    """Wait until a number has come to rest; return it."""
    async with asyncio.timeout(DEADLINE):
        while True:
            before = value()
            await asyncio.sleep(0.3)
            if before == value():
                return before


async def paused(ws: web.WebSocketResponse) -> None:
    """Wait until the client has ceased to read; little fits between the two."""
    shrink_buffers(ws)
    assert await ws.receive_str() == "paused"


def shrink_buffers(ws: web.WebSocketResponse) -> None:
    """Let the kernel hold little for the server's end, in both directions."""
    sock = ws.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)


@asynccontextmanager
async def client(url: str, **options: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """aiohttp's client, connected."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, **options) as ws,
    ):
        yield ws


# --- Names --------------------------------------------------------------------------------


def test_message_types() -> None:
    numbers = {
        "CONTINUATION": 0,
        "TEXT": 1,
        "BINARY": 2,
        "CLOSE": 8,
        "PING": 9,
        "PONG": 10,
        "CLOSING": 256,
        "CLOSED": 257,
        "ERROR": 258,
    }
    assert {kind.name: kind.value for kind in web.WSMsgType} == numbers
    for name in ("text", "binary", "close", "ping", "pong", "closing", "closed", "error"):
        assert getattr(web.WSMsgType, name) is web.WSMsgType[name.upper()]
    assert web.WSMsgType.TEXT == 1


def test_close_codes() -> None:
    numbers = {
        "OK": 1000,
        "GOING_AWAY": 1001,
        "PROTOCOL_ERROR": 1002,
        "UNSUPPORTED_DATA": 1003,
        "ABNORMAL_CLOSURE": 1006,
        "INVALID_TEXT": 1007,
        "POLICY_VIOLATION": 1008,
        "MESSAGE_TOO_BIG": 1009,
        "MANDATORY_EXTENSION": 1010,
        "INTERNAL_ERROR": 1011,
        "SERVICE_RESTART": 1012,
        "TRY_AGAIN_LATER": 1013,
        "BAD_GATEWAY": 1014,
    }
    assert {code.name: code.value for code in web.WSCloseCode} == numbers


def test_messages() -> None:
    msg = web.WSMessage(web.WSMsgType.TEXT, '{"a": 1}', None)
    assert (msg.type, msg.data, msg.extra) == (web.WSMsgType.TEXT, '{"a": 1}', None)
    assert msg.json() == {"a": 1}
    assert msg.json(loads=str.upper) == '{"A": 1}'
    assert web.WSMessage(web.WSMsgType.BINARY, b"[1]", None).json() == [1]
    with pytest.raises(ValueError, match="Expecting"):
        web.WSMessage(web.WSMsgType.TEXT, "{", None).json()


def test_errors() -> None:
    error = web.WebSocketError(1002, "nonsense")
    assert (error.code, str(error)) == (1002, "nonsense")
    assert issubclass(web.WSMessageTypeError, TypeError)


def test_readiness() -> None:
    assert web.WebSocketReady(True, None)
    assert not web.WebSocketReady(False, None)
    ready = web.WebSocketReady(True, "chat")
    assert (ready.ok, ready.protocol) == (True, "chat")
    assert ready == web.WebSocketReady(True, "chat")


def test_annotations_may_have_a_parameter() -> None:
    assert web.WebSocketResponse[bool] is not None
    assert issubclass(web.WebSocketResponse, web.StreamResponse)


# --- Options ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["timeout", "receive_timeout", "heartbeat"])
@pytest.mark.parametrize("value", [-1, -0.5, float("nan")])
def test_seconds_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        web.WebSocketResponse(**{name: value})


@pytest.mark.parametrize("name", ["timeout", "receive_timeout", "heartbeat"])
@pytest.mark.parametrize("value", ["1", True, [1]])
def test_seconds_of_a_wrong_type(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=name):
        web.WebSocketResponse(**{name: value})


@pytest.mark.parametrize("name", ["max_msg_size", "writer_limit"])
def test_sizes(name: str) -> None:
    for value in ("1", 1.5, None, True):
        with pytest.raises(TypeError, match=name):
            web.WebSocketResponse(**{name: value})
    with pytest.raises(ValueError, match=name):
        web.WebSocketResponse(**{name: -1})
    web.WebSocketResponse(max_msg_size=0)


@pytest.mark.parametrize("name", ["autoclose", "autoping", "decode_text"])
@pytest.mark.parametrize("value", [0, "yes", None])
def test_flags_of_a_wrong_type(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=name):
        web.WebSocketResponse(**{name: value})


@pytest.mark.parametrize("value", ["chat", b"chat", 1, None, (1,), [b"chat"]])
def test_protocols_of_a_wrong_type(value: Any) -> None:
    """A str is a sequence of strs, but not what was meant."""
    with pytest.raises(TypeError, match="protocols"):
        web.WebSocketResponse(protocols=value)


@pytest.mark.parametrize("value", ["", "two words", "a,b", "a\r\nb", "\u00e9"])
def test_protocols_are_tokens(value: str) -> None:
    """RFC 6455 §4.3."""
    with pytest.raises(ValueError, match="protocols"):
        web.WebSocketResponse(protocols=("good", value))


@pytest.mark.parametrize("value", ["yes", None, 1.5])
def test_compress_of_a_wrong_type(value: Any) -> None:
    with pytest.raises(TypeError, match="compress"):
        web.WebSocketResponse(compress=value)


@pytest.mark.parametrize("value", [-1, 5, 8, 16])
def test_compress_out_of_range(value: int) -> None:
    with pytest.raises(ValueError, match="compress"):
        web.WebSocketResponse(compress=value)


@pytest.mark.parametrize("value", [True, False, 0, *range(9, 16)])
def test_compress(value: int) -> None:
    web.WebSocketResponse(compress=value)


def test_unknown_options() -> None:
    with pytest.raises(TypeError, match="hartbeat"):
        web.WebSocketResponse(hartbeat=1)  # type: ignore[call-arg]


def test_options_are_keywords() -> None:
    with pytest.raises(TypeError):
        web.WebSocketResponse(10.0)  # type: ignore[call-arg]


# --- Before prepare() ---------------------------------------------------------------------


async def test_before_prepare() -> None:
    ws = web.WebSocketResponse()
    assert (ws.prepared, ws.closed, ws.close_code, ws.ws_protocol) == (False, False, None, None)
    assert ws.exception() is None
    assert ws.get_extra_info("peername") is None
    assert ws.get_extra_info("peername", "nobody") == "nobody"


CALLS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "send_str": lambda ws: ws.send_str("x"),
    "send_bytes": lambda ws: ws.send_bytes(b"x"),
    "send_json": lambda ws: ws.send_json(1),
    "send_json_bytes": lambda ws: ws.send_json_bytes(1, dumps=lambda _: b"1"),
    "send_frame": lambda ws: ws.send_frame(b"x", web.WSMsgType.TEXT),
    "ping": lambda ws: ws.ping(),
    "pong": lambda ws: ws.pong(),
    "receive": lambda ws: ws.receive(),
    "receive_str": lambda ws: ws.receive_str(),
    "receive_bytes": lambda ws: ws.receive_bytes(),
    "receive_json": lambda ws: ws.receive_json(),
    "async for": collect,
    "close": lambda ws: ws.close(),
    "write_eof": lambda ws: ws.write_eof(),
}
SENDS = [name for name in CALLS if name.startswith(("send", "p"))]


@pytest.mark.parametrize("name", CALLS)
async def test_calls_before_prepare(name: str) -> None:
    with pytest.raises(RuntimeError, match="prepare"):
        await CALLS[name](web.WebSocketResponse())


async def test_write_is_for_http() -> None:
    with pytest.raises(RuntimeError):
        await web.WebSocketResponse().write(b"x")

    async def script(ws: web.WebSocketResponse) -> None:
        with pytest.raises(RuntimeError):
            await ws.write(b"x")
        await ws.send_str("frames alone")

    async with talk(script) as peer:
        assert await peer.read_text() == "frames alone"


# --- prepare() ----------------------------------------------------------------------------


async def test_prepare_answers_101() -> None:
    """What a plain response says of its body has no place here."""

    async def script(ws: web.WebSocketResponse) -> None:
        assert (ws.prepared, ws.status, ws.closed) == (True, 101, False)

    async with talk(script) as peer:
        answer = peer.handshake
        assert (answer.status, answer.reason) == (101, "Switching Protocols")
        for name in ("transfer-encoding", "content-length", "content-type", "keep-alive"):
            assert answer.header(name) is None
        assert answer.header("sec-websocket-protocol") is None
        assert answer.header("sec-websocket-extensions") is None


async def test_the_status_is_101_whatever_was_set() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        ws.set_status(200, "Fine")
        await ws.prepare(request)
        assert ws.status == 101
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        assert await peer.read_close() == (1000, "")


async def test_prepare_twice() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        first = await ws.prepare(request)
        assert first is not None
        assert await ws.prepare(request) is first
        await ws.send_str("once")
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        assert await peer.read_text() == "once"
        assert await peer.read_close() == (1000, "")


async def test_one_request_is_one_websocket() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        for response in (web.WebSocketResponse(), web.StreamResponse()):
            with pytest.raises(RuntimeError):
                await response.prepare(request)
        await ws.send_str("the first")
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        assert await peer.read_text() == "the first"
        assert await peer.read_close() == (1000, "")


async def test_an_answered_request_is_no_websocket() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.Response(text="answered")
        await response.prepare(request)
        await response.write_eof()
        with pytest.raises(RuntimeError):
            await web.WebSocketResponse().prepare(request)
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            assert (await peer.ask(handshake())).body == b"answered"


async def test_prepare_in_another_task() -> None:
    """``wait_for`` makes one in Python 3.11."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await asyncio.create_task(ws.prepare(request))
        await asyncio.create_task(ws.send_str("here"))
        assert await asyncio.create_task(ws.receive_str()) == "there"
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        assert await peer.read_text() == "here"
        await peer.send(text("there"))
        assert await peer.read_close() == (1000, "")


async def test_extra_headers() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse(headers={"X-One": "1", "X-Two": "2"})
        ws.headers["X-Three"] = "3"
        ws.set_cookie("session", "abc")
        await ws.prepare(request)
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        answer = peer.handshake
        assert [answer.header(name) for name in ("X-One", "X-Two", "X-Three")] == ["1", "2", "3"]
        assert (answer.header("Set-Cookie") or "").startswith("session=abc")
        assert await peer.read_close() == (1000, "")


async def test_extra_headers_may_be_pairs() -> None:
    async def script(ws: web.WebSocketResponse) -> None: ...

    pairs = [("X-Many", "1"), ("X-Many", "2")]
    async with talk(script, headers=pairs) as peer:
        assert peer.handshake.headers["x-many"] == ["1", "2"]


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [
        (("a", "b"), ["a, b"], "a"),
        (("a", "b"), ["b, a"], "b"),
        (("a", "b"), ["c,b , a"], "b"),
        (("a", "b"), ["c", "b", "a"], "b"),
        (["a"], ["c"], None),
        (("chat",), ["Chat"], None),
        ((), ["a"], None),
        (("a", "b"), [], None),
    ],
)
async def test_subprotocols(ours: Any, theirs: list[str], chosen: str | None) -> None:
    """The first of the client's that the server knows (RFC 6455 §4.2.2)."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse(protocols=ours)
        ready = ws.can_prepare(request)
        await ws.prepare(request)
        assert ready == web.WebSocketReady(True, ws.ws_protocol)
        await ws.send_json(ws.ws_protocol)
        return ws

    fields = [f"Sec-WebSocket-Protocol: {value}" for value in theirs]
    async with serving(handler) as site, WSPeer.connect(site.port, *fields) as peer:
        assert peer.handshake.header("sec-websocket-protocol") == chosen
        assert json.loads(await peer.read_text()) == chosen


async def test_a_subprotocol_with_aiohttp() -> None:
    async def script(ws: web.WebSocketResponse) -> None: ...

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse(protocols=("v1", "v2"))
        await ws.prepare(request)
        return ws

    async with serving(handler) as site, client(site.url(), protocols=("v2", "v1")) as ws:
        assert ws.protocol == "v2"


async def test_can_prepare_chooses() -> None:
    """One handler for both."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        ready = ws.can_prepare(request)
        if not ready:
            assert ready == web.WebSocketReady(False, None)
            return web.Response(text="a page")
        assert not ws.prepared
        await ws.prepare(request)
        with pytest.raises(RuntimeError, match="Already started"):
            ws.can_prepare(request)
        await echo(ws)
        return ws

    async with (
        serving(handler) as site,
        WSPeer.connect(site.port) as peer,
        Peer.connect(site.port) as other,
    ):
        assert (await other.ask(GET)).body == b"a page"
        bad = handshake(key=None)
        assert (await other.ask(bad)).body == b"a page"
        await peer.send(text("hi"))
        assert await peer.read_text() == "hi"


async def test_get_extra_info() -> None:
    async def script(ws: web.WebSocketResponse) -> Any:
        assert ws.get_extra_info("no such thing") is None
        assert ws.get_extra_info("no such thing", 1) == 1
        return ws.get_extra_info("peername")

    async with talk(script) as peer:
        assert await peer.end() == peer.writer.get_extra_info("sockname")


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (GET, 400, "Upgrade"),
        (handshake(upgrade=None), 400, "Upgrade"),
        (handshake(upgrade="h2c"), 400, "Upgrade"),
        (handshake(connection=None), 400, "Connection"),
        (handshake(connection="xupgrade"), 400, "Connection"),
        (handshake(key=None), 400, "Sec-WebSocket-Key"),
        (handshake(key="c2hvcnQ="), 400, "Sec-WebSocket-Key"),
        (handshake(key="no base64 at all"), 400, "Sec-WebSocket-Key"),
        (handshake(version=None), 400, "Sec-WebSocket-Version"),
        (handshake(version="12"), 426, "13"),
        (handshake(method="POST"), 405, ""),
    ],
    ids=[
        "plain GET",
        "no Upgrade",
        "h2c",
        "no Connection",
        "part of a token",
        "no key",
        "short key",
        "bad key",
        "no version",
        "version 12",
        "POST",
    ],
)
async def test_refused_handshakes(data: bytes, status: int, words: str) -> None:
    """They are answered as HTTP, tell what is missing, and another request may follow."""
    raised: list[web.HTTPException] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        if request.path == "/":
            assert ws.can_prepare(request) == web.WebSocketReady(False, None)
        try:
            await ws.prepare(request)
        except web.HTTPException as exc:
            raised.append(exc)
            raise
        return ws

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(data)
        assert answer.status == status == raised[0].status
        assert (answer.header("content-type") or "").startswith("text/plain")
        assert words in answer.body.decode()
        if status == 426:
            assert answer.header("Sec-WebSocket-Version") == "13"
            assert answer.header("Upgrade") == "websocket"
        if status == 405:
            assert answer.header("Allow") == "GET"
        await peer.send(handshake("/again"))
        assert (await peer.answer()).status == 101


async def test_a_handler_may_answer_a_refused_handshake_itself() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        try:
            await ws.prepare(request)
        except web.HTTPBadRequest:
            return web.Response(text="a page")
        return ws

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            answer = await peer.ask(handshake(key="bad"))
            assert (answer.status, answer.body) == (200, b"a page")


@pytest.mark.parametrize("way", ["return", "raise"])
async def test_refusing_before_prepare(way: str) -> None:
    """Any HTTP answer; what comes behind the handshake is HTTP then, and the next handshake may be taken."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/no":
            if way == "raise":
                raise web.HTTPForbidden(text="not you")
            return web.Response(status=403, text="not you")
        if request.path == "/page":
            return web.Response(text="page")
        return await echo_handler(request)

    async with (
        serving(handler) as site,
        WSPeer.connect(site.port) as _,
        WSPeer.connect(site.port) as _,
        Peer.connect(site.port) as http,
    ):
        peer = WSPeer(http.reader, http.writer)
        answer = await peer.ask(handshake("/no"))
        assert (answer.status, answer.body) == (403, b"not you")
        assert answer.header("connection") is None
        await peer.send(handshake("/no") + request("GET", "/page") + request("GET", "/page"))
        assert (await peer.answer()).status == 403
        assert (await peer.answer()).body == b"page"
        assert (await peer.answer()).body == b"page"
        await peer.shake_hands(handshake("/yes") + text("glued"))
        assert await peer.read_text() == "glued"


async def test_requests_in_front_of_the_handshake() -> None:
    """A pipeline: they are answered first, and frames at its end are not HTTP."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/page":
            await turns(5)
            return web.Response(text="page")
        return await echo_handler(request)

    page = request("GET", "/page")
    async with serving(handler) as site, Peer.connect(site.port) as http:
        peer = WSPeer(http.reader, http.writer)
        await peer.send(page + page)
        assert (await peer.answer()).body == b"page"
        assert (await peer.answer()).body == b"page"
        await peer.send(page + handshake() + text("glued"))
        assert (await peer.answer()).body == b"page"
        assert (await peer.answer()).status == 101
        assert await peer.read_text() == "glued"


# --- Bytes behind the handshake -----------------------------------------------------------


async def test_frames_glued_to_the_handshake() -> None:
    glued = text("one") + text("two") + frame(PING, b"p") + text("three")
    async with talk(echo, behind=glued) as peer:
        came = [await peer.read_frame() for _ in range(4)]
        assert [one.payload for one in came if one.opcode == TEXT] == [b"one", b"two", b"three"]
        assert [one.payload for one in came if one.opcode == PONG] == [b"p"]
        await peer.send(text("four"))
        assert await peer.read_text() == "four"


async def test_half_a_frame_glued_to_the_handshake() -> None:
    data = text("in two parts")
    for cut in range(1, len(data)):
        async with talk(echo, behind=data[:cut]) as peer:
            await peer.send(data[cut:])
            assert await peer.read_text() == "in two parts"


async def test_everything_at_once() -> None:
    """Handshake, a message and CLOSE in one segment."""
    async with talk(collect, behind=text("all") + close(1000, "done")) as peer:
        assert await peer.read_close() == (1000, "")
        await peer.eof()
        (msg,) = await peer.end()
        assert msg.data == "all"


async def test_a_handshake_byte_by_byte() -> None:
    async with serving(echo_handler) as site, Peer.connect(site.port) as http:
        http.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in handshake() + text("hi"):
            await http.send(bytes([byte]))
            await asyncio.sleep(0)
        peer = WSPeer(http.reader, http.writer)
        assert (await peer.answer()).status == 101
        assert await peer.read_text() == "hi"


@pytest.mark.parametrize("size", [1000, 1_000_000])
async def test_a_handler_that_prepares_late(size: int) -> None:
    """What came in the meantime is kept, or waits outside."""
    go = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await within(go.wait())
        return await echo_handler(request)

    async with serving(handler) as site, Peer.connect(site.port) as http:
        peer = WSPeer(http.reader, http.writer)
        await peer.send(handshake())
        await turns()
        sending = asyncio.create_task(
            peer.send(b"".join(frame(BINARY, bytes([n]) * size) for n in range(10)))
        )
        await turns()
        go.set()
        assert (await peer.answer()).status == 101
        for n in range(10):
            assert await peer.read_message() == (BINARY, bytes([n]) * size)
        await sending


# --- Receiving ----------------------------------------------------------------------------


async def test_messages_as_they_come() -> None:
    async with talk(collect) as peer:
        await peer.send(
            text("")
            + text("gr\u00fc\u00df Gott \U0001f600")
            + frame(BINARY)
            + frame(BINARY, b"\0\xff")
        )
        await peer.send(frame(TEXT, b"fra", fin=False) + frame(CONTINUATION, b"gments"))
        await peer.send(close())
        messages = await peer.end()
    assert [(msg.type, msg.data) for msg in messages] == [
        (web.WSMsgType.TEXT, ""),
        (web.WSMsgType.TEXT, "gr\u00fc\u00df Gott \U0001f600"),
        (web.WSMsgType.BINARY, b""),
        (web.WSMsgType.BINARY, b"\0\xff"),
        (web.WSMsgType.TEXT, "fragments"),
    ]
    assert all(type(msg.type) is web.WSMsgType for msg in messages)
    assert [type(msg.data) for msg in messages] == [str, str, bytes, bytes, str]


async def test_text_that_is_not_decoded() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        msg = await ws.receive()
        assert (msg.type, msg.data) == (web.WSMsgType.TEXT, b"caf\xc3\xa9")
        assert await ws.receive_str() == b"two"
        assert await ws.receive_json() == [3]
        assert await ws.receive_bytes() == b"four"

    async with talk(script, decode_text=False) as peer:
        await peer.send(text("caf\u00e9") + text("two") + text("[3]") + frame(BINARY, b"four"))


async def test_typed_receives() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        assert await ws.receive_str() == "text"
        assert await ws.receive_bytes() == b"bytes"
        assert await ws.receive_json() == {"a": [1, None]}
        assert await ws.receive_json(loads=str.upper) == "ABC"
        assert (await ws.receive()).json() == 5

    async with talk(script) as peer:
        await peer.send(text("text") + frame(BINARY, b"bytes"))
        await peer.send(text('{"a": [1, null]}') + text("abc") + text("5"))


async def test_typed_receives_of_other_types() -> None:
    """The message is gone; the connection stays."""

    async def script(ws: web.WebSocketResponse) -> None:
        with pytest.raises(web.WSMessageTypeError, match=r"2:b'bin'.* is not WSMsgType\.TEXT"):
            await ws.receive_str()
        with pytest.raises(web.WSMessageTypeError, match=r"1:'text' is not WSMsgType\.BINARY"):
            await ws.receive_bytes()
        with pytest.raises(web.WSMessageTypeError, match=r"is not WSMsgType\.TEXT"):
            await ws.receive_json()
        with pytest.raises(ValueError, match="Expecting"):
            await ws.receive_json()
        assert await ws.receive_str() == "more"

    async with talk(script) as peer:
        await peer.send(frame(BINARY, b"bin") + text("text") + frame(BINARY, b"[1]"))
        await peer.send(text("{") + text("more"))


async def test_typed_receives_after_the_end() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        with pytest.raises(web.WSMessageTypeError, match=r"^Received message 8:1000 is not"):
            await ws.receive_str()
        said = r"^Received message 257:None is not WSMsgType\.TEXT$"
        with pytest.raises(web.WSMessageTypeError, match=said):
            await ws.receive_str()
        with pytest.raises(TypeError, match=r"257:None is not WSMsgType\.BINARY"):
            await ws.receive_bytes()
        with pytest.raises(TypeError, match=r"257:None is not WSMsgType\.TEXT"):
            await ws.receive_json()

    async with talk(script) as peer:
        await peer.send(close())


@pytest.mark.parametrize("way", ["argument", "option", "asyncio.timeout"])
async def test_receive_timeout(way: str) -> None:
    """It leaves everything as it was: also what has come of a message."""
    timed_out = asyncio.Event()
    timeout = 0.05 if way == "argument" else None

    async def receive(ws: web.WebSocketResponse) -> Any:
        if way == "asyncio.timeout":
            async with asyncio.timeout(0.05):
                return await ws.receive()
        return await ws.receive(timeout)

    async def script(ws: web.WebSocketResponse) -> Any:
        for _ in range(2):
            with pytest.raises(asyncio.TimeoutError):
                await receive(ws)
        assert not ws.closed
        assert ws.exception() is None
        timed_out.set()
        return await ws.receive(DEADLINE)

    options: Any = {"receive_timeout": 0.05} if way == "option" else {}
    async with talk(script, **options) as peer:
        await peer.send(frame(TEXT, b"be", fin=False) + frame(CONTINUATION, b"gun")[:-1])
        await within(timed_out.wait())
        await peer.send(frame(CONTINUATION, b"gun")[-1:])
        assert (await peer.end()).data == "begun"


@pytest.mark.parametrize("name", ["receive_str", "receive_bytes", "receive_json"])
async def test_timeouts_of_typed_receives(name: str) -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await getattr(ws, name)(timeout=0.01)

    async with talk(script) as peer:
        await peer.end()


@pytest.mark.parametrize("way", ["cancel", "timeout"])
async def test_cancelled_receives_lose_nothing(way: str) -> None:
    """Whenever it is: also in the turn of the loop in which the message comes."""
    count = 150

    async def receive(ws: web.WebSocketResponse, n: int) -> str | None:
        if way == "timeout":
            try:
                return await ws.receive_str(timeout=0.0002 * (n % 7) + 1e-9)
            except TimeoutError:
                return None
        task = asyncio.create_task(ws.receive_str())
        for _ in range(n % 5):
            await asyncio.sleep(0)
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            return None

    async def script(ws: web.WebSocketResponse) -> tuple[list[str], int]:
        came: list[str] = []
        missed = 0
        for n in range(1_000_000):
            message = await receive(ws, n)
            if message is None:
                missed += 1
            else:
                came.append(message)
                await ws.send_str("next")
            if len(came) == count:
                break
        return came, missed

    async with talk(script) as peer:
        for n in range(count):
            await peer.send(text(str(n)))
            assert await peer.read_text() == "next"
        came, missed = await peer.end()
    assert came == [str(n) for n in range(count)]
    assert missed > 10, "no receive was ever cancelled"


async def test_cancelled_in_the_turn_of_the_message() -> None:
    """The message has come, and the task that waits for it is cancelled before it can run."""
    received: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        task = asyncio.create_task(ws.receive_str())
        await asyncio.sleep(0)
        transport: Any = request.transport
        transport.get_protocol().data_received(text("now"))
        task.cancel()
        try:
            received.append(await task)
        except asyncio.CancelledError:
            received.append(await ws.receive_str(timeout=DEADLINE))
        transport.get_protocol().data_received(text("then"))
        received.append(await ws.receive_str(timeout=DEADLINE))
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        assert await peer.read_close() == (1000, "")
    assert received == ["now", "then"]


async def test_concurrent_receives() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        first = asyncio.create_task(ws.receive_str())
        await asyncio.sleep(0)
        for call in (ws.receive, ws.receive_str, ws.receive_bytes, ws.receive_json):
            with pytest.raises(RuntimeError, match="receive"):
                await call()
        await ws.send_str("go")
        assert await within(first) == "for the first"
        assert await ws.receive_str() == "for all"

    async with talk(script) as peer:
        assert await peer.read_text() == "go"
        await peer.send(text("for the first") + text("for all"))


async def test_a_concurrent_receive_while_messages_wait() -> None:
    """Whoever receives alone may take them, one after another."""

    async def script(ws: web.WebSocketResponse) -> list[str]:
        await ws.receive()
        return [await asyncio.create_task(ws.receive_str()) for _ in range(3)]

    async with talk(script) as peer:
        await peer.send(b"".join(map(text, "0123")))
        assert await peer.end() == ["1", "2", "3"]


async def test_receiving_is_bounded() -> None:
    """A client cannot push more than a little to a handler that does not receive."""
    await flood(frame(BINARY, b"x" * 65536), 40 * 2**20, 2**20)


@pytest.mark.usefixtures("untraced")
async def test_receiving_is_bounded_for_small_messages() -> None:
    """They cost more than their bytes."""
    await flood(frame(BINARY), 3 * 2**19, 200_000)


async def flood(message: bytes, total: int, bound: int) -> None:
    """Send ``total`` bytes of messages; at first not more than ``bound`` of them may be taken, then all."""
    count = total // len(message)
    go = asyncio.Event()

    async def script(ws: web.WebSocketResponse) -> int:
        shrink_buffers(ws)
        await ws.send_str("ready")
        await within(go.wait())
        received = 0
        async for msg in ws:
            assert msg.type is web.WSMsgType.BINARY
            received += 1
        return received

    async with talk(script) as peer:
        assert await peer.read_text() == "ready"
        peer.narrow()
        sent = 0

        async def push() -> None:
            nonlocal sent
            at_once = max(1, 65536 // len(message))
            left = count
            while left:
                part = message * min(at_once, left)
                left -= len(part) // len(message)
                await peer.send(part)
                sent += len(part)

        sending = asyncio.create_task(push())
        taken = await still(lambda: sent, "what the server takes")
        assert taken <= bound
        assert not sending.done()
        go.set()
        await within(sending)
        await peer.send(close())
        assert await peer.end() == count


# --- CLOSE --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code", "reason", "close_code", "answer"),
    [
        (close(1000), 1000, "", 1000, 1000),
        (close(1001, "leaving"), 1001, "leaving", 1001, 1001),
        (close(3001, "caf\u00e9"), 3001, "caf\u00e9", 3001, 3001),
        (close(4999), 4999, "", 4999, 4999),
        (close(None), 0, "", 1005, 1000),
    ],
    ids=["1000", "1001", "3001", "4999", "empty"],
)
async def test_the_client_closes(
    data: bytes, code: int, reason: str, close_code: int, answer: int
) -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        assert await ws.receive() == (web.WSMsgType.CLOSE, code, reason)
        assert (ws.closed, ws.close_code, ws.exception()) == (True, close_code, None)
        assert ws.close_reason == reason
        assert await ws.close() is False

    async with talk(script) as peer:
        await peer.send(data)
        assert await peer.read_close() == (answer, "")
        await peer.eof()


async def test_receiving_after_the_client_closed() -> None:
    """A loop that does not notice is told in the end."""

    async def script(ws: web.WebSocketResponse) -> None:
        assert (await ws.receive()).type is web.WSMsgType.CLOSE
        for _ in range(4):
            assert await ws.receive() == (web.WSMsgType.CLOSED, None, None)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="closed"):
                await ws.receive()

    async with talk(script) as peer:
        await peer.send(close())


async def test_receiving_after_close() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        assert await ws.close()
        for _ in range(4):
            assert (await ws.receive()).type is web.WSMsgType.CLOSED
        with pytest.raises(RuntimeError, match="closed"):
            await ws.receive()

    async with talk(script) as peer:
        assert await peer.read_close() == (1000, "")
        await peer.send(close())


async def test_messages_before_close_may_be_answered() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        for n in range(3):
            assert await ws.receive_str() == str(n)
            assert not ws.closed
            await ws.send_str(f"answer {n}")
        assert (await ws.receive()).type is web.WSMsgType.CLOSE

    async with talk(script) as peer:
        await peer.send(text("0") + text("1") + text("2") + close(1001))
        for n in range(3):
            assert await peer.read_text() == f"answer {n}"
        assert await peer.read_close() == (1001, "")
        await peer.eof()


async def test_nobody_receives_the_close() -> None:
    """It is answered all the same, a little later."""
    go = asyncio.Event()

    async def script(ws: web.WebSocketResponse) -> None:
        await within(go.wait())
        assert (await ws.receive()).data == "before"
        assert (await ws.receive())[:2] == (web.WSMsgType.CLOSE, 3000)
        assert ws.close_code == 3000

    async with talk(script, timeout=0.1) as peer:
        await peer.send(text("before") + close(3000))
        assert await peer.read_close() == (3000, "")
        go.set()
        await peer.end()


async def test_async_for_ends_on_close() -> None:
    async with talk(collect) as peer:
        await peer.send(text("a") + close())
        assert [msg.data for msg in await peer.end()] == ["a"]


async def test_no_autoclose() -> None:
    """The handler answers the client's CLOSE, and may choose another code."""

    async def script(ws: web.WebSocketResponse) -> None:
        assert (await ws.receive())[:2] == (web.WSMsgType.CLOSE, 3000)
        assert (ws.closed, ws.close_code) == (False, 3000)
        for _ in range(10):
            assert await ws.receive() == (web.WSMsgType.CLOSING, None, None)
        assert not ws.closed
        assert await ws.close(code=4000, message="so be it")
        assert (ws.closed, ws.close_code) == (True, 3000)
        assert (await ws.receive()).type is web.WSMsgType.CLOSED
        assert await ws.close() is False

    async with talk(script, autoclose=False) as peer:
        await peer.send(close(3000))
        assert await peer.read_close() == (4000, "so be it")
        await peer.eof()


async def test_no_autoclose_and_the_handler_returns() -> None:
    async with talk(collect, autoclose=False) as peer:
        await peer.send(close(3000))
        code, _ = await peer.read_close()
        assert code in (1000, 3000)
        await peer.eof()


# --- close() ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999, web.WSCloseCode.OK]
)
@pytest.mark.parametrize("message", ["", "caf\u00e9", b"bytes"])
async def test_close(code: int, message: Any) -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        assert await ws.close(code=code, message=message) is True
        assert (ws.closed, ws.close_code, ws.exception()) == (True, 3333, None)
        assert await ws.close() is False

    async with talk(script) as peer:
        said = message.decode() if isinstance(message, bytes) else message
        assert await peer.read_close() == (code, said)
        await peer.send(close(3333))
        await peer.eof()


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536])
async def test_close_with_an_illegal_code(code: int) -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        with pytest.raises(ValueError, match=str(code)):
            await ws.close(code=code)
        assert not ws.closed
        await ws.send_str("open")

    async with talk(script) as peer:
        assert await peer.read_text() == "open"
        assert await peer.read_close() == (1000, "")


@pytest.mark.parametrize(
    "options", [{"code": "1000"}, {"code": 1000.5}, {"message": 1}, {"message": None}]
)
async def test_close_with_wrong_types(options: Any) -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        with pytest.raises(TypeError, match=next(iter(options))):
            await ws.close(**options)
        assert not ws.closed

    async with talk(script) as peer:
        assert await peer.read_close() == (1000, "")


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("x" * 122 + "\u00e9", "x" * 122),
        ("\U0001f600" * 31, "\U0001f600" * 30),
        (("x" * 121 + "\u20ac").encode(), "x" * 121),
        (b"x" * 1000, "x" * 123),
    ],
)
async def test_a_long_close_message_is_cut(message: Any, sent: str) -> None:
    """At a character; a control frame holds 125 bytes (RFC 6455 §5.5)."""

    async def script(ws: web.WebSocketResponse) -> None:
        await ws.close(message=message)

    async with talk(script) as peer:
        assert await peer.read_close() == (1000, sent)
        await peer.send(close())


async def test_close_waits_for_the_client() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        closing = asyncio.create_task(ws.close(code=4000))
        await turns()
        assert not closing.done()
        assert ws.closed
        assert await ws.close() is False  # one of them is enough
        await within(closing)
        assert closing.result() is True
        assert ws.close_code == 4001

    async with talk(script) as peer:
        assert await peer.read_close() == (4000, "")
        await turns(60)
        await peer.send(close(4001))
        await peer.eof()


async def test_close_without_an_answer() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        assert await within(ws.close()) is True
        assert (ws.closed, ws.close_code) == (True, 1006)
        assert isinstance(ws.exception(), asyncio.TimeoutError)

    async with talk(script, timeout=0.05) as peer:
        assert await peer.read_close() == (1000, "")
        await peer.eof()
        await peer.site.idle()


async def test_close_has_one_deadline() -> None:
    """A client that keeps sending gains nothing."""

    async def script(ws: web.WebSocketResponse) -> None:
        assert await within(ws.close()) is True
        assert ws.close_code == 1006
        assert isinstance(ws.exception(), asyncio.TimeoutError)

    async with talk(script, timeout=0.3) as peer:
        assert await peer.read_close() == (1000, "")
        while not (peer.reader.at_eof() or peer.writer.is_closing()):
            with suppress(ConnectionError):
                await peer.send(text("more") + frame(PING))
            await asyncio.sleep(0.01)
        await peer.end()


@pytest.mark.parametrize("size", [10, 100_000])
async def test_close_discards_what_comes(size: int) -> None:
    """Also what waits in front of a bounded queue."""

    async def script(ws: web.WebSocketResponse) -> None:
        await turns()
        assert await within(ws.close()) is True
        assert (ws.close_code, ws.exception()) == (3000, None)
        assert (await ws.receive()).type is web.WSMsgType.CLOSED

    async with talk(script) as peer:
        await peer.send(frame(BINARY, b"x" * size) * 200 + frame(PING, b"?") + close(3000))
        code, _ = await last_frame(peer)
        assert code == 1000
        await peer.eof()
        await peer.end()


async def last_frame(peer: WSPeer) -> tuple[int | None, str]:
    """The CLOSE frame; what is before it does not matter."""
    while True:
        came = await peer.read_frame()
        if came.opcode == CLOSE:
            return int.from_bytes(came.payload[:2], "big"), came.payload[2:].decode()


async def test_both_close_at_once() -> None:
    """The client's CLOSE has come, but nobody has received it."""

    async def script(ws: web.WebSocketResponse) -> None:
        assert await ws.receive_str() == "glued"
        await turns()
        assert await within(ws.close(code=4000)) is True
        assert (ws.close_code, ws.exception()) == (3000, None)

    async with talk(script) as peer:
        await peer.send(text("glued") + close(3000))
        code, _ = await peer.read_close()
        assert code == 4000
        await peer.eof()


@pytest.mark.parametrize("loop", [False, True])
async def test_close_wakes_receive(loop: bool) -> None:
    """Another task closes: whoever receives is told, and the call does not take the client's CLOSE from it."""

    async def script(ws: web.WebSocketResponse) -> None:
        receiving = asyncio.create_task(collect(ws) if loop else ws.receive())
        await turns(3)
        assert await within(ws.close(code=4000)) is True
        assert ws.close_code == 4001
        if loop:
            assert await within(receiving) == []
        else:
            assert await within(receiving) == (web.WSMsgType.CLOSING, None, None)
        assert (await ws.receive()).type is web.WSMsgType.CLOSED

    async with talk(script) as peer:
        assert await peer.read_close() == (4000, "")
        await peer.send(close(4001))
        await peer.eof()


async def test_close_wakes_receive_at_once() -> None:
    """Not only when the client has answered."""

    async def script(ws: web.WebSocketResponse) -> None:
        receiving = asyncio.create_task(ws.receive())
        await turns(3)
        closing = asyncio.create_task(ws.close())
        assert (await within(receiving)).type is web.WSMsgType.CLOSING
        assert not closing.done()
        await ws_answered.wait()
        assert await within(closing) is True

    ws_answered = asyncio.Event()
    async with talk(script, timeout=DEADLINE) as peer:
        assert await peer.read_close() == (1000, "")
        await turns()
        await peer.send(close())
        ws_answered.set()


async def test_a_cancelled_close() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        closing = asyncio.create_task(ws.close())
        await turns(5)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert (ws.closed, ws.close_code) == (True, 1006)

    async with talk(script, timeout=DEADLINE) as peer:
        assert await peer.read_close() == (1000, "")
        await peer.end()
        await peer.ended()
        await peer.site.idle()


async def test_close_while_the_client_does_not_read() -> None:
    """The deadline holds for sending as well."""

    async def script(ws: web.WebSocketResponse) -> None:
        await paused(ws)
        sending = asyncio.create_task(ws.send_bytes(b"x" * 10_000_000))
        await turns()
        assert not sending.done()
        assert await within(ws.close()) is True
        assert ws.close_code == 1006
        with pytest.raises(ConnectionError):
            await within(sending)

    async with talk(script, timeout=0.1) as peer:
        peer.pause()
        await peer.send(text("paused"))
        await peer.end()
        await peer.site.idle()


async def test_write_eof_closes() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        await ws.write_eof()
        assert ws.closed
        await ws.write_eof()

    async with talk(script) as peer:
        assert await peer.read_close() == (1000, "")
        await peer.send(close())
        await peer.eof()


async def test_close_without_drain() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        assert await ws.close(drain=False) is True

    async with talk(script) as peer:
        assert await peer.read_close() == (1000, "")
        await peer.send(close())


async def test_the_server_closes_tcp() -> None:
    """Keep-alive is off: it does not wait for the client (RFC 6455 §7.1.1)."""
    async with talk(echo, server={"keepalive_timeout": 3600}) as peer:
        await peer.send(close())
        assert await peer.read_close() == (1000, "")
        await peer.eof()
        await peer.site.idle()


# --- Pings --------------------------------------------------------------------------------


async def test_pings_are_answered() -> None:
    async with talk(echo) as peer:
        for payload in (b"", b"are you there?", b"x" * 125):
            await peer.send(frame(PING, payload))
            assert await peer.read_frame() == (True, 0, PONG, payload)
        await peer.send(frame(PONG, b"nobody asked") + text("next"))
        assert await peer.read_text() == "next"


async def test_pings_are_answered_without_receive() -> None:
    done = asyncio.Event()

    async def script(ws: web.WebSocketResponse) -> None:
        await within(done.wait())

    async with talk(script) as peer:
        for n in range(3):
            await peer.send(text("not received") + frame(PING, b"%d" % n))
            assert await peer.read_frame() == (True, 0, PONG, b"%d" % n)
        done.set()


async def test_pings_between_fragments() -> None:
    async with talk(echo) as peer:
        await peer.send(frame(TEXT, b"fra", fin=False) + frame(PING, b"now"))
        assert await peer.read_frame() == (True, 0, PONG, b"now")
        await peer.send(frame(CONTINUATION, b"gment"))
        assert await peer.read_text() == "fragment"


async def test_no_autoping() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        ping, pong = await ws.receive(), await ws.receive()
        assert (ping.type, ping.data) == (web.WSMsgType.PING, b"one")
        assert (pong.type, pong.data) == (web.WSMsgType.PONG, b"two")
        assert type(ping.data) is type(pong.data) is bytes
        with pytest.raises(web.WSMessageTypeError, match="9:b'three'"):
            await ws.receive_str()
        await ws.pong(b"mine")

    async with talk(script, autoping=False) as peer:
        await peer.send(frame(PING, b"one") + frame(PONG, b"two") + frame(PING, b"three"))
        assert await peer.read_frame() == (True, 0, PONG, b"mine")
        assert await peer.read_close() == (1000, "")


async def test_pings_and_pongs_to_the_client() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        await ws.ping()
        await ws.ping(b"are you there?")
        await ws.pong(b"yes")
        await ws.ping(b"x" * 125)
        with pytest.raises(ValueError, match="125"):
            await ws.ping(b"x" * 126)
        with pytest.raises(ValueError, match="125"):
            await ws.pong(b"x" * 126)

    async with talk(script) as peer:
        assert await peer.read_frame() == (True, 0, PING, b"")
        assert await peer.read_frame() == (True, 0, PING, b"are you there?")
        assert await peer.read_frame() == (True, 0, PONG, b"yes")
        assert await peer.read_frame() == (True, 0, PING, b"x" * 125)
        assert await peer.read_close() == (1000, "")


@pytest.mark.usefixtures("untraced")
async def test_a_flood_of_pings_from_a_client_that_does_not_read() -> None:
    """What waits for it does not grow; when it reads again, the newest ping is answered."""
    count = 12_000
    done = asyncio.Event()
    transports: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse(writer_limit=65536)
        await ws.prepare(request)
        shrink_buffers(ws)
        transports.append(request.transport)
        await within(done.wait())
        return ws

    async with serving(handler) as site, WSPeer.connect(site.port) as peer:
        peer.pause()
        for first in range(0, count, 400):
            numbers = range(first, first + 400)
            await peer.send(b"".join(frame(PING, b"%0125d" % n) for n in numbers))
            assert transports[0].get_write_buffer_size() < 300_000
        peer.resume()
        pongs = 0
        last = -1
        while last < count - 1:
            came = await peer.read_frame()
            assert came.opcode == PONG
            assert last < int(came.payload), "in order"
            last = int(came.payload)
            pongs += 1
        assert pongs < count / 2, "they were kept"
        done.set()


# --- Sending ------------------------------------------------------------------------------


async def test_sending() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        await ws.send_str("")
        await ws.send_str("caf\u00e9 \U0001f600")
        await ws.send_bytes(b"")
        await ws.send_bytes(b"\0\xff")
        await ws.send_bytes(bytearray(b"array"))
        await ws.send_bytes(memoryview(b"a view")[2:])
        await ws.send_json({"a": [1, None]})
        await ws.send_json([1], dumps=lambda value: f"<{value}>")
        await ws.send_json_bytes([1], dumps=lambda value: f"<{value}>".encode())

    async with talk(script) as peer:
        for expected in (
            (TEXT, b""),
            (TEXT, "caf\u00e9 \U0001f600".encode()),
            (BINARY, b""),
            (BINARY, b"\0\xff"),
            (BINARY, b"array"),
            (BINARY, b"view"),
            (TEXT, b'{"a": [1, null]}'),
            (TEXT, b"<[1]>"),
            (BINARY, b"<[1]>"),
        ):
            assert await peer.read_message() == expected


@pytest.mark.parametrize("size", [125, 126, 65535, 65536, 300_000])
async def test_sizes_of_messages(size: int) -> None:
    async with talk(echo) as peer:
        for kind, data in ((BINARY, bytes(range(256)) * (size // 256 + 1)), (TEXT, b"t" * size)):
            await peer.send(frame(kind, data[:size]))
            assert await peer.read_message() == (kind, data[:size])


async def test_views_are_sent_as_their_bytes() -> None:
    """Items may be wider than a byte, or lie apart."""
    numbers = array.array("H", [1, 2, 3])

    async def script(ws: web.WebSocketResponse) -> None:
        await ws.send_bytes(memoryview(numbers))
        await ws.send_bytes(memoryview(b"abcdef")[::2])

    async with talk(script) as peer:
        assert await peer.read_message() == (BINARY, numbers.tobytes())
        assert await peer.read_message() == (BINARY, b"ace")


async def test_a_buffer_may_be_used_again() -> None:
    """What was sent does not change with it, however long it waits."""

    async def script(ws: web.WebSocketResponse) -> None:
        await paused(ws)
        buffer = bytearray(200_000)
        for n in range(1, 4):
            buffer[:] = bytes([n]) * len(buffer)
            await ws.send_bytes(buffer)
        buffer[:] = b"\xff" * len(buffer)
        await ws.send_str("end")

    async with talk(script, writer_limit=2**22) as peer:
        peer.pause()
        await peer.send(text("paused"))
        await peer.end()
        peer.resume()
        for n in range(1, 4):
            _, payload = await peer.read_message()
            assert set(payload) == {n}
        assert await peer.read_text() == "end"


async def test_send_frame() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        await ws.send_frame(b"text", web.WSMsgType.TEXT)
        await ws.send_frame(b"binary", web.WSMsgType.BINARY)
        await ws.send_frame(b"ping", web.WSMsgType.PING)
        await ws.send_frame(b"pong", web.WSMsgType.PONG)

    async with talk(script) as peer:
        for opcode, payload in (
            (TEXT, b"text"),
            (BINARY, b"binary"),
            (PING, b"ping"),
            (PONG, b"pong"),
        ):
            assert await peer.read_frame() == (True, 0, opcode, payload)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("send_str", b"x"),
        ("send_str", 1),
        ("send_str", None),
        ("send_bytes", "x"),
        ("send_bytes", 1),
        ("send_bytes", None),
        ("send_bytes", [1, 2]),
        ("ping", "x"),
        ("ping", 1),
        ("pong", "x"),
        ("pong", 1),
        ("send_json", {1, 2}),
    ],
)
async def test_sending_wrong_types(name: str, value: Any) -> None:
    """Nothing is sent."""

    async def script(ws: web.WebSocketResponse) -> None:
        with pytest.raises(TypeError):
            await getattr(ws, name)(value)
        await ws.send_str("only this")

    async with talk(script) as peer:
        assert await peer.read_text() == "only this"


async def test_sending_json_bytes_of_a_wrong_type() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        with pytest.raises(TypeError):
            await ws.send_json_bytes(1, dumps=json.dumps)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            await ws.send_json(1, dumps=lambda _: b"1")  # type: ignore[arg-type,return-value]

    async with talk(script) as peer:
        assert await peer.read_close() == (1000, "")


async def test_surrogates_cannot_be_sent() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        with pytest.raises(UnicodeEncodeError):
            await ws.send_str("\ud800")
        await ws.send_str("open")

    async with talk(script) as peer:
        assert await peer.read_text() == "open"


@pytest.mark.parametrize("name", SENDS)
@pytest.mark.parametrize("who", ["client", "server"])
async def test_sending_after_close(name: str, who: str) -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        if who == "server":
            await ws.close()
        else:
            await ws.receive()
        with pytest.raises(ConnectionResetError):
            await CALLS[name](ws)

    async with talk(script) as peer:
        await peer.send(close())
        await peer.read_close()
        await peer.eof()


async def test_sending_while_closing() -> None:
    """Nothing may follow a CLOSE (RFC 6455 §5.5.1)."""

    async def script(ws: web.WebSocketResponse) -> None:
        closing = asyncio.create_task(ws.close())
        await turns(3)
        for name in SENDS:
            with pytest.raises(ConnectionResetError):
                await CALLS[name](ws)
        await within(closing)

    async with talk(script) as peer:
        assert await peer.read_close() == (1000, "")
        await peer.send(frame(PING, b"no answer") + close())
        await peer.eof()


@pytest.mark.parametrize("compress", [0, 15])
async def test_many_tasks_send(compress: int) -> None:
    """Frames stay whole, and each sender's messages in order; large ones are compressed beside the event loop."""
    senders, count = 8, 6

    async def send(ws: web.WebSocketResponse, sender: int) -> None:
        for n in range(count):
            size = (10, 3000, 70_000, 400_000)[(sender + n) % 4]
            data = f"{sender} {n} " + str(sender) * size
            if n % 2:
                await ws.send_str(data)
            else:
                await ws.send_bytes(data.encode())
            await ws.ping(b"between")

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse(writer_limit=4096)
        await ws.prepare(request)
        shrink_buffers(ws)
        await asyncio.gather(*(send(ws, sender) for sender in range(senders)))
        return ws

    async with serving(handler) as site, client(site.url(), compress=compress) as ws:
        assert ws.compress == compress
        came: dict[int, list[int]] = {}
        async with asyncio.timeout(DEADLINE):
            async for msg in ws:
                data = msg.data if msg.type is aiohttp.WSMsgType.TEXT else msg.data.decode()
                sender, n, rest = data.split(" ")
                assert set(rest) == {sender}
                came.setdefault(int(sender), []).append(int(n))
        assert ws.close_code == 1000
    assert came == {sender: list(range(count)) for sender in range(senders)}


@pytest.mark.parametrize("size", [50, 65536])
async def test_sending_waits_for_a_client_that_does_not_read(size: int) -> None:
    """Above the limit the sender waits; when the client reads, it goes on."""
    total, bound = (12_000_000, 1_000_000) if size > 1000 else (800_000, 400_000)
    count = total // size
    sent = 0

    async def script(ws: web.WebSocketResponse) -> None:
        nonlocal sent
        await paused(ws)
        for n in range(count):
            await ws.send_bytes(b"%050d" % n + b"x" * (size - 50))
            sent += size

    async with talk(script, writer_limit=65536) as peer:
        peer.pause()
        await peer.send(text("paused"))
        waiting = await still(lambda: sent, "what the handler sends")
        assert waiting < bound
        assert not peer.outcome.done()
        peer.resume()
        for n in range(count):
            _, payload = await peer.read_message()
            assert int(payload[:50]) == n
        await peer.end()


async def test_a_waiting_sender_may_be_cancelled() -> None:
    """Its message goes out all the same: half a frame would be the end."""

    async def script(ws: web.WebSocketResponse) -> None:
        await paused(ws)
        sending = asyncio.create_task(ws.send_bytes(b"x" * 5_000_000))
        await turns()
        assert not sending.done()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        peer.resume()
        await ws.send_str("next")

    async with talk(script, writer_limit=65536) as peer:
        peer.pause()
        await peer.send(text("paused"))
        assert await peer.read_message() == (BINARY, b"x" * 5_000_000)
        assert await peer.read_text() == "next"


async def test_receiving_while_a_sender_waits() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        await paused(ws)
        sending = asyncio.create_task(ws.send_bytes(b"x" * 5_000_000))
        await turns()
        assert await ws.receive_str() == "meanwhile"
        assert not sending.done()
        peer.resume()
        await within(sending)

    async with talk(script, writer_limit=65536) as peer:
        peer.pause()
        await peer.send(text("paused"))
        await peer.send(text("meanwhile"))
        assert await peer.read_message() == (BINARY, b"x" * 5_000_000)


# --- Errors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"unmasked", mask=None), 1002),
        (frame(3, b"reserved"), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(BINARY, b"x" * 1001), 1009),
        (close(1006), 1002),
    ],
    ids=["unmasked", "reserved opcode", "bad UTF-8", "too big", "illegal code"],
)
async def test_bad_frames(data: bytes, code: int) -> None:
    """What came before is received and answered; then ERROR, and nothing more."""

    async def script(ws: web.WebSocketResponse) -> None:
        assert await ws.receive_str() == "before"
        await ws.send_str("answer")
        msg = await ws.receive()
        assert (msg.type, msg.extra) == (web.WSMsgType.ERROR, None)
        assert isinstance(msg.data, web.WebSocketError)
        assert (msg.data.code, ws.close_code, ws.closed) == (code, code, True)
        assert str(msg.data)
        assert ws.exception() is msg.data
        assert (await ws.receive()).type is web.WSMsgType.CLOSED

    async with talk(script, max_msg_size=1000, timeout=1) as peer:
        await peer.send(text("before") + data + text("after"))
        assert await peer.read_text() == "answer"
        assert (await peer.read_close())[0] == code
        await peer.eof()


async def test_a_client_that_goes_on_after_its_fault() -> None:
    """It is not reset: the CLOSE would be lost on it."""
    async with talk(collect, timeout=0.2) as peer:
        await peer.send(frame(7) + b"x" * 300_000)
        for _ in range(20):
            await peer.send(b"x" * 10_000)
            await asyncio.sleep(0.001)
        assert (await peer.read_close())[0] == 1002
        peer.finish()
        await peer.eof()
        await peer.site.idle()


async def test_nobody_receives_the_error() -> None:
    """The client is told all the same, a little later."""
    go = asyncio.Event()

    async def script(ws: web.WebSocketResponse) -> None:
        await within(go.wait())
        assert (await ws.receive()).data == "before"
        msg = await ws.receive()
        assert (msg.type, ws.close_code) == (web.WSMsgType.ERROR, 1002)

    async with talk(script, timeout=0.1) as peer:
        await peer.send(text("before") + frame(7))
        assert (await peer.read_close())[0] == 1002
        go.set()


async def test_text_that_is_not_decoded_is_checked() -> None:
    async with talk(collect, decode_text=False, timeout=0.2) as peer:
        await peer.send(frame(TEXT, b"\xff"))
        assert (await peer.read_close())[0] == 1007


async def test_async_for_yields_errors() -> None:
    async with talk(collect, timeout=0.2) as peer:
        await peer.send(text("good") + frame(TEXT, b"\xff"))
        good, bad = await peer.end()
        assert (good.data, bad.type, bad.data.code) == ("good", web.WSMsgType.ERROR, 1007)


async def test_typed_receives_of_errors() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        with pytest.raises(web.WSMessageTypeError, match="258:"):
            await ws.receive_str()

    async with talk(script, timeout=0.2) as peer:
        await peer.send(frame(TEXT, b"\xff"))
        assert (await peer.read_close())[0] == 1007


async def test_max_msg_size() -> None:
    """The whole message counts, not the frame; 0 is no limit."""
    async with talk(echo, max_msg_size=10) as peer:
        await peer.send(frame(BINARY, b"x" * 10))
        assert await peer.read_message() == (BINARY, b"x" * 10)
        await peer.send(frame(BINARY, b"x" * 6, fin=False) + frame(CONTINUATION, b"x" * 5))
        assert (await peer.read_close())[0] == 1009
    async with talk(echo, max_msg_size=0) as peer:
        await peer.send(frame(BINARY, b"x" * 5_000_000))
        assert await peer.read_message() == (BINARY, b"x" * 5_000_000)


async def test_the_default_max_msg_size() -> None:
    async with talk(echo) as peer:
        await peer.send(frame(BINARY, b"x" * 2**22))
        assert (await peer.read_message())[1] == b"x" * 2**22
        await peer.send(frame(BINARY, b"", length=2**22 + 1))  # the header is enough
        assert (await peer.read_close())[0] == 1009


# --- Compression, from outside ------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "agreed"),
    [
        (True, 15, 15),
        (True, 0, 0),
        (False, 15, 0),
        (0, 15, 0),
        (15, 15, 15),
        (True, 11, 11),
        (11, 15, 11),
    ],
)
async def test_compression_with_aiohttp(ours: Any, theirs: int, agreed: int) -> None:
    windows: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse(compress=ours)
        await ws.prepare(request)
        windows.append(ws.compress)
        await echo(ws)
        return ws

    async with serving(handler) as site, client(site.url(), compress=theirs) as ws:
        assert windows[0] == agreed
        assert bool(ws.compress) == bool(agreed)
        for n in range(3):
            for size in (1, 100, 200_000):
                data = f"{n}" * size
                await ws.send_str(data)
                assert await ws.receive_str(timeout=DEADLINE) == data
                await ws.send_bytes(data.encode())
                assert await ws.receive_bytes(timeout=DEADLINE) == data.encode()


@pytest.mark.parametrize("compress", [None, 0, 9, 12, 15])
async def test_compression_of_a_message(compress: int | None) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        for n in range(3):
            await ws.send_str(f"{n}" * 1000, compress)
            await ws.send_bytes(b"%d" % n * 100_000, compress=compress)
            await ws.send_json([n], compress)
            await ws.send_str("as agreed " * 10)
        return ws

    async with serving(handler) as site, client(site.url(), compress=15) as ws:
        assert ws.compress
        for n in range(3):
            assert await ws.receive_str(timeout=DEADLINE) == f"{n}" * 1000
            assert await ws.receive_bytes(timeout=DEADLINE) == b"%d" % n * 100_000
            assert await ws.receive_json(timeout=DEADLINE) == [n]
            assert await ws.receive_str(timeout=DEADLINE) == "as agreed " * 10


@pytest.mark.parametrize("compress", ["9", 1.5, 1, 8, 16, -1])
@pytest.mark.parametrize("offered", [True, False])
async def test_wrong_compression_of_a_message(compress: Any, offered: bool) -> None:
    """It is wrong also where there is no compression."""

    async def script(ws: web.WebSocketResponse) -> None:
        with pytest.raises((TypeError, ValueError), match="compress"):
            await ws.send_str("x" * 100, compress)
        with pytest.raises((TypeError, ValueError), match="compress"):
            await ws.send_bytes(b"x" * 100, compress)

    fields = ["Sec-WebSocket-Extensions: permessage-deflate"] if offered else []
    async with talk(script, *fields) as peer:
        assert await peer.read_close() == (1000, "")


# --- TLS ----------------------------------------------------------------------------------


async def test_over_tls(tls: TLS) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        assert request.secure
        assert ws.get_extra_info("sslcontext") is tls.server
        await echo(ws)
        return ws

    server = web.Server(handler, access_log=None)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, "127.0.0.1", 0, ssl=tls.server)
    port = listener.sockets[0].getsockname()[1]
    try:
        async with client(f"wss://127.0.0.1:{port}/", ssl=tls.client) as ws:
            for size in (5, 5_000, 500_000):
                await ws.send_bytes(b"x" * size)
                assert await ws.receive_bytes(timeout=DEADLINE) == b"x" * size
            assert await within(ws.close(code=3000))
            assert ws.close_code == 3000
        async with WSPeer.connect(port, ssl=tls.client, behind=text("glued")) as peer:
            assert await peer.read_text() == "glued"
            await peer.send(frame(PING, b"p") + close(1001))
            assert (await peer.read_frame()).opcode == PONG
            assert await peer.read_close() == (1001, "")
            await peer.eof()
    finally:
        listener.close()
        await server.shutdown(1)


# --- websocket() --------------------------------------------------------------------------


async def test_the_decorator() -> None:
    """An echo of what was said (E3)."""

    @web.websocket
    async def said(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
        """Say it again."""
        async for msg in ws:
            try:
                await ws.send_str("You said: " + msg.data)
            except TypeError:
                break

    assert (said.__name__, said.__doc__) == ("said", "Say it again.")
    async with serving(said) as site:
        async with client(site.url("/test")) as ws:
            await ws.send_str("hi")
            assert await ws.receive() == (aiohttp.WSMsgType.TEXT, "You said: hi", "")
            for n in range(10):
                await ws.send_str(str(n))
            for n in range(10):
                assert await ws.receive_str(timeout=DEADLINE) == f"You said: {n}"
            assert await within(ws.close(code=1001))
            assert ws.close_code == 1001
        async with client(site.url("/test")) as ws:
            await ws.send_bytes(b"hi")
            msg = await ws.receive(DEADLINE)
            assert (msg.type, msg.data) == (aiohttp.WSMsgType.CLOSE, 1000)
        await site.idle()


async def test_the_decorator_and_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """E3 without the try."""

    @web.websocket
    async def said(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
        async for msg in ws:
            await ws.send_str("You said: " + msg.data)

    async with serving(said) as site, client(site.url("/test")) as ws:
        await ws.send_bytes(b"hi")
        msg = await ws.receive(DEADLINE)
        assert (msg.type, msg.data) == (aiohttp.WSMsgType.CLOSE, 1011)
        await within(ws.close())
        await site.idle()
    (record,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], TypeError)


async def test_the_decorator_and_ping_pong() -> None:
    """The server closes when the function returns (E19)."""

    @web.websocket
    async def ping_pong(request: web.BaseRequest, ws: web.WebSocketResponse) -> Any:
        message = await ws.receive_str()
        assert message == "ping"
        await ws.send_str("pong")
        return "ignored"

    async with serving(ping_pong) as site, client(site.url("/websocket")) as ws:
        await ws.send_str("ping")
        assert await ws.receive_str(timeout=DEADLINE) == "pong"
        msg = await ws.receive(DEADLINE)
        assert (msg.type, msg.data) == (aiohttp.WSMsgType.CLOSE, 1000)


async def test_the_decorator_with_options() -> None:
    @web.websocket(protocols=("chat",), headers={"X-Extra": "1"}, max_msg_size=5)
    async def chat(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
        assert ws.ws_protocol == "chat"
        assert request.path == "/room"
        await echo(ws)

    assert chat.__name__ == "chat"
    async with serving(chat) as site:
        fields = ["Sec-WebSocket-Protocol: chat"]
        async with WSPeer.connect(site.port, *fields, path="/room") as peer:
            assert peer.handshake.header("X-Extra") == "1"
            await peer.send(text("12345") + text("123456"))
            assert await peer.read_text() == "12345"
            assert (await peer.read_close())[0] == 1009


async def test_the_decorator_and_what_is_no_handshake() -> None:
    @web.websocket
    async def never(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
        pytest.fail("it was called")

    async with serving(never) as site, Peer.connect(site.port) as peer:
        for data in (GET, request("GET", "/", "Upgrade: h2c", "Connection: upgrade")):
            answer = await peer.ask(data)
            assert (answer.status, answer.header("Upgrade")) == (426, "websocket")
            assert "upgrade" in (answer.header("Connection") or "").lower()
            assert answer.body
        assert (await peer.ask(handshake(key="bad"))).status == 400
        assert (await peer.ask(handshake(version="12"))).status == 426


async def test_the_decorator_with_wrong_arguments() -> None:
    """It tells at once, not when the first client comes."""
    with pytest.raises(TypeError):
        web.websocket(1)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="hartbeat"):
        web.websocket(hartbeat=1)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="heartbeat"):
        web.websocket(heartbeat=-1)


async def test_the_decorated_as_an_inner_handler() -> None:
    """It is a handler like others: a middleware sees a response when all is over."""
    seen: list[Any] = []

    @web.websocket
    async def inner(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
        await echo(ws)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/forbidden":
            raise web.HTTPForbidden
        response = await inner(request)
        seen.append(response)
        return response

    async with serving(handler) as site:
        async with Peer.connect(site.port) as peer:
            assert (await peer.ask(handshake("/forbidden"))).status == 403
        async with WSPeer.connect(site.port) as peer:
            await peer.send(text("x") + close(3000))
            assert await peer.read_text() == "x"
            await peer.read_close()
            await peer.eof()
        await site.idle()
    (response,) = seen
    assert (response.status, response.close_code) == (101, 3000)


# --- The request around it ----------------------------------------------------------------


class Line:
    """An access logger that remembers."""

    lines: list[tuple[str, int, float]]
    enabled = True

    def __init__(self, logger: Any, log_format: str) -> None:
        self.logger = logger

    def log(self, request: Any, response: Any, time: float) -> None:
        self.logger.append((request.path, response.status, color.get(), time))


color = contextvars.ContextVar("color", default="none")


async def test_the_access_log_and_the_context() -> None:
    """One line, when it is over, with status 101; and the handler's own context."""
    lines: list[Any] = ["truthy"]

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        color.set(request.path)
        assert request.task is asyncio.current_task()
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for msg in ws:
            assert color.get() == request.path
            await ws.send_str(msg.data)
        return ws

    options = {"access_log": lines, "access_log_class": Line}
    async with serving(handler, **options) as site:
        async with (
            WSPeer.connect(site.port, path="/red") as red,
            WSPeer.connect(site.port, path="/blue") as blue,
        ):
            for peer in (red, blue, red):
                await peer.send(text("hi"))
                assert await peer.read_text() == "hi"
            assert lines == ["truthy"]
            await blue.send(close())
            await blue.ended()
            await until(lambda: len(lines) == 2, "the first line")
            await asyncio.sleep(0.06)
            await red.send(close())
            await red.ended()
        await site.idle()
    _, (path1, status1, color1, time1), (path2, status2, color2, time2) = lines
    assert (path1, status1, color1) == ("/blue", 101, "/blue")
    assert (path2, status2, color2) == ("/red", 101, "/red")
    assert 0 <= time1 <= time2 >= 0.05


async def test_is_websocket() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(request.is_websocket)

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(handshake())).body == b"true"
        assert (await peer.ask(GET)).body == b"false"


async def test_many_conversations_at_once() -> None:
    async with serving(echo_handler) as site:

        async def converse(number: int) -> None:
            async with WSPeer.connect(site.port) as peer:
                for n in range(20):
                    await peer.send(text(f"{number} {n}"))
                    assert await peer.read_text() == f"{number} {n}"
                await peer.send(close())
                assert await peer.read_close() == (1000, "")
                await peer.eof()

        await asyncio.gather(*(converse(number) for number in range(30)))
        assert site.server.requests_count == 30
        await site.idle()
