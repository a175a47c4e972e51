"""E35 to E40: the endpoints of Starlette."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

import lowlevel as web
from lowlevel.testing import TestClient
from tests.acceptance.wire import check, check_common, errors, program, refused, wire
from tests.support import Peer, request, serving, until, within
from tests.wsframes import BINARY, TEXT, WSPeer, close, frame, handshake, text

# --- E35: an endpoint as the whole program ------------------------------------------------


class App(web.HTTPEndpoint):
    async def get(self, request: web.BaseRequest) -> web.Response:
        return web.Response(text="Hello, world!")


class AppInAThread(web.HTTPEndpoint):
    def get(self, request: web.BaseRequest) -> web.Response:
        return web.Response(text="Hello, world!")


def e35_application() -> web.Handler:
    app = web.Application()

    @app.route("/{rest:path}")
    class Coerced(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest) -> str:
            return "Hello, world!"

    return app


def e35_router() -> web.Handler:
    router = web.Router()
    router.add_route("*", "/{rest:path}", App)
    return router


E35 = pytest.mark.parametrize(
    "make", [lambda: App, lambda: AppInAThread, e35_router, e35_application]
)


@E35
async def test_e35_get_head_post(make: Callable[[], web.Handler]) -> None:
    """E35: GET and HEAD at any path; POST is a 405 with Allow."""
    async with serving(make()) as site:
        for target in ("/", "/any/path?x=y"):
            answer = await check_common(site.port, target)
            assert (answer.status, answer.body) == (200, b"Hello, world!")
        async with wire(site.port) as client:
            for method in ("POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"):
                answer = await client.ask(method, "/")
                assert (answer.status, answer.headers["allow"]) == (405, ["GET, HEAD"])
            assert (await client.ask()).status == 200


async def test_e35_create_server() -> None:
    """E35: the class is all that a Server needs."""
    server = web.Server(App)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        answer = await check_common(listener.sockets[0].getsockname()[1])
        assert answer.body == b"Hello, world!"
    finally:
        listener.close()
        await server.shutdown(1)


@pytest.mark.parametrize("mounted", [False, True])
async def test_e35_self_is_not_shared(mounted: bool) -> None:
    """E35: two requests at once have an instance each."""
    both = asyncio.Barrier(2)
    instances: list[object] = []

    class Private(web.HTTPEndpoint):
        name: str

        async def get(self, request: web.BaseRequest) -> web.Response:
            assert not hasattr(self, "name")
            self.name = request.query["name"]
            instances.append(self)
            await within(both.wait())
            return web.Response(text=f"{self.name} {self.request.query['name']}")

    handler: web.Handler = Private
    if mounted:
        router = web.Router()
        router.mount("/", Private)
        handler = router
    async with serving(handler) as site, wire(site.port) as first, wire(site.port) as second:
        answers = await asyncio.gather(first.ask("GET", "/?name=a"), second.ask("GET", "/?name=b"))
    assert [answer.body for answer in answers] == [b"a a", b"b b"]
    assert instances[0] is not instances[1]


async def test_e35_method_not_allowed() -> None:
    """E35: what the other methods get can be written anew."""

    class Teapot(App):
        def method_not_allowed(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=418, text=f"no {request.method}")

    async with serving(Teapot) as site, wire(site.port) as client:
        answer = await client.ask("POST", "/")
        assert (answer.status, answer.body) == (418, b"no POST")
        assert (await client.ask()).body == b"Hello, world!"


# --- E36: routes and path values ----------------------------------------------------------


def e36_routes(router: Any) -> None:
    @router.route("/")
    class Homepage(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest) -> web.Response:
            return web.Response(text="Hello, world!")

    @router.route("/{username}")
    class User(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest, username: str) -> web.Response:
            assert request.match_info == {"username": username}
            return web.Response(text=f"Hello, {username}")


def e36_routes_keywords(router: Any) -> None:
    @router.route("/")
    class Homepage(web.HTTPEndpoint):
        def get(self, request: web.BaseRequest, **kwargs: Any) -> web.Response:
            assert kwargs == {}
            return web.Response(text="Hello, world!")

    @router.route("/{username}")
    class User(web.HTTPEndpoint):
        def get(self, request: web.BaseRequest, **kwargs: Any) -> web.Response:
            return web.Response(text="Hello, {username}".format(**kwargs))


def e36_routes_match_info(router: Any) -> None:
    @router.route("/")
    class Homepage(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest, username: str = "world!") -> web.Response:
            return web.Response(text=f"Hello, {username}")

    @router.route("/{username}")
    class User(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest) -> web.Response:
            return web.Response(text=f"Hello, {self.request.match_info['username']}")


@pytest.mark.parametrize("routes", [e36_routes, e36_routes_keywords, e36_routes_match_info])
@pytest.mark.parametrize("make", [web.Router, web.Application], ids=["router", "application"])
async def test_e36_users(make: Callable[[], Any], routes: Callable[[Any], None]) -> None:
    """E36: path values become arguments, decoded; two segments are a 404, DELETE a 405."""
    app = make()
    routes(app)
    async with serving(app) as site:
        for target, body in (
            ("/", "Hello, world!"),
            ("/bob", "Hello, bob"),
            ("/a%20b", "Hello, a b"),
            ("/a%2Fb", "Hello, a/b"),
            ("/%D1%8F", "Hello, я"),
        ):
            answer = await check_common(site.port, target)
            assert (answer.status, answer.body.decode()) == (200, body)
        async with wire(site.port) as client:
            assert (await client.ask("GET", "/a/b")).status == 404
            answer = await client.ask("DELETE", "/bob")
            assert (answer.status, answer.headers["allow"]) == (405, ["GET, HEAD"])


async def test_e36_typed() -> None:
    """E36: the argument is of the type that the path says."""
    router = web.Router()

    @router.route("/item/{number:int}", "/item/{number:int}/{rest:path}")
    class Item(web.HTTPEndpoint):
        async def get(
            self, request: web.BaseRequest, number: int, rest: str = "nothing"
        ) -> web.Response:
            return web.Response(text=f"{number + 1} {rest}")

    async with serving(router) as site:
        assert (await check_common(site.port, "/item/41")).body == b"42 nothing"
        assert (await check_common(site.port, "/item/-1/a/b")).body == b"0 a/b"
        assert (await check_common(site.port, "/item/x")).status == 404


# --- E37: a websocket endpoint of bytes ---------------------------------------------------


class Log:
    """What the methods of an endpoint were called with."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.connected = 0
        self.ended = asyncio.Event()

    async def code(self) -> int:
        """Wait for the one call of on_disconnect."""
        await within(self.ended.wait())
        [code] = self.codes
        return code


def endpoint(
    log: Log, kind: str | None, receive: Callable[..., Any] | None = None
) -> type[web.WebSocketEndpoint]:
    class Endpoint(web.WebSocketEndpoint):
        encoding = kind  # type: ignore[assignment]

        async def on_connect(self, ws: web.WebSocketResponse) -> None:
            await ws.prepare(self.request)
            log.connected += 1

        async def on_receive(self, ws: web.WebSocketResponse, data: Any) -> None:
            if receive is not None:
                await receive(ws, data)
            elif isinstance(data, bytes):
                await ws.send_bytes(b"Message: " + data)
            elif isinstance(data, str):
                await ws.send_str(f"Message: {data}")
            else:
                await ws.send_json({"message": data})

        async def on_disconnect(self, ws: web.WebSocketResponse, close_code: int) -> None:
            log.codes.append(close_code)
            log.ended.set()

    return Endpoint


def alone(cls: type[web.WebSocketEndpoint]) -> web.Handler:
    return cls


def routed(cls: type[web.WebSocketEndpoint]) -> web.Handler:
    router = web.Router()
    router.websocket("/ws")(cls)
    return router


def application(cls: type[web.WebSocketEndpoint]) -> web.Handler:
    app = web.Application()
    app.websocket("/ws")(cls)
    return app


SHAPES = pytest.mark.parametrize("shape", [alone, routed, application])
Shape = Callable[[type[web.WebSocketEndpoint]], web.Handler]


@SHAPES
async def test_e37_bytes(shape: Shape, caplog: pytest.LogCaptureFixture) -> None:
    """E37: bytes come back as a binary frame; the client's close 4000 is on_disconnect's code."""
    log = Log()
    async with serving(shape(endpoint(log, "bytes"))) as site:
        async with WSPeer.connect(site.port, path="/ws") as peer:
            for data in (b"x", b"", b"\0\xff"):
                await peer.send(frame(BINARY, data))
                assert await peer.read_message() == (BINARY, b"Message: " + data)
            await peer.send(close(4000))
            assert (await peer.read_close())[0] == 4000
            await peer.eof()
        assert await log.code() == 4000
        await site.idle()
    assert (log.connected, log.codes) == (1, [4000])
    assert errors(caplog) == []


@SHAPES
async def test_e37_text_frame(shape: Shape, caplog: pytest.LogCaptureFixture) -> None:
    """E37: a text frame closes with 1003, which is what on_disconnect is told, once."""
    log = Log()
    async with serving(shape(endpoint(log, "bytes"))) as site:
        async with WSPeer.connect(site.port, path="/ws") as peer:
            await peer.send(text("x"))
            assert (await peer.read_close())[0] == 1003
            await peer.send(close(1003))
            await peer.eof()
        await site.idle()
    assert log.codes == [1003]
    assert not [line for line in errors(caplog) if line.startswith("ERROR")]


@SHAPES
@pytest.mark.parametrize("how", ["reset", "finish"])
async def test_e37_cut(shape: Shape, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """E37: a connection that is cut is 1006."""
    log = Log()
    async with serving(shape(endpoint(log, "bytes"))) as site:
        async with WSPeer.connect(site.port, path="/ws") as peer:
            await until(lambda: log.connected, "on_connect")
            if how == "reset":
                peer.reset()
            else:
                peer.finish()
            assert await log.code() == 1006
        await site.idle()
    assert log.codes == [1006]
    assert errors(caplog) == []


@SHAPES
async def test_e37_no_code(shape: Shape) -> None:
    """E37: a close without a code is 1005."""
    log = Log()
    async with serving(shape(endpoint(log, "bytes"))) as site:
        async with WSPeer.connect(site.port, path="/ws") as peer:
            await peer.send(close(None))
            assert (await peer.read_close())[0] in (None, 1000)
            await peer.eof()
        await site.idle()
    assert log.codes == [1005]


@SHAPES
async def test_e37_own_close(shape: Shape) -> None:
    """E37: what the endpoint closes with itself."""
    log = Log()

    async def leave(ws: web.WebSocketResponse, data: bytes) -> None:
        await ws.close(code=4001, message=data)

    async with serving(shape(endpoint(log, "bytes", leave))) as site:
        async with WSPeer.connect(site.port, path="/ws") as peer:
            await peer.send(frame(BINARY, b"bye"))
            assert await peer.read_close() == (4001, "bye")
            await peer.send(close(4001))
            await peer.eof()
        await site.idle()
    assert log.codes == [4001]


@pytest.mark.parametrize("kind", [None, "text"])
async def test_e37_other_encodings(kind: str | None) -> None:
    """E37: without an encoding both kinds of frame come as they are; text takes no binary."""
    log = Log()
    async with serving(endpoint(log, kind)) as site, WSPeer.connect(site.port) as peer:
        await peer.send(text("a"))
        assert await peer.read_message() == (TEXT, b"Message: a")
        await peer.send(frame(BINARY, b"b"))
        if kind is None:
            assert await peer.read_message() == (BINARY, b"Message: b")
        else:
            assert (await peer.read_close())[0] == 1003
        await peer.send(close(1000))
        await log.code()
    assert log.codes == ([1000] if kind is None else [1003])


def test_e37_bad_encoding() -> None:
    """E37: an encoding that does not exist is an error where the class is made."""
    with pytest.raises(TypeError, match="encoding"):
        endpoint(Log(), "pickle")


async def test_e37_in_order() -> None:
    """E37: messages are taken one after another."""
    log = Log()
    running: list[int] = []

    async def slow(ws: web.WebSocketResponse, data: bytes) -> None:
        running.append(1)
        assert len(running) == 1
        await asyncio.sleep(0)
        running.pop()
        await ws.send_bytes(data)

    async with serving(endpoint(log, "bytes", slow)) as site, WSPeer.connect(site.port) as peer:
        await peer.send(b"".join(frame(BINARY, b"%d" % number) for number in range(10)))
        received = [(await peer.read_message())[1] for _ in range(10)]
    assert received == [b"%d" % number for number in range(10)]


# --- E38: chat ----------------------------------------------------------------------------


CHAT = """
    import sys
    import lowlevel as web

    HTML = "<!DOCTYPE html><form action='' onsubmit='say(event)'><input id='text'></form>"
    app = web.{kind}()

    @app.route("/")
    class Homepage(web.HTTPEndpoint):
        async def get(self, request):
            return web.Response(text=HTML, content_type="text/html")

    @app.websocket("/ws")
    class Echo(web.WebSocketEndpoint):
        encoding = "text"

        async def on_receive(self, ws, data):
            await ws.send_str("Message text was: " + data)

    web.run_app(app, host="0.0.0.0", port=int(sys.argv[1]))
"""


@pytest.mark.parametrize("kind", ["Router", "Application"])
async def test_e38_chat(kind: str, unused_tcp_port: int) -> None:
    """E38: a page, a websocket that answers text, 1003 for binary, 405, 426, and Ctrl-C."""
    port = unused_tcp_port
    async with program(CHAT.format(kind=kind), [port]) as process:
        assert await process.port() == port
        page = await check_common(port)
        assert page.status == 200
        assert (page.header("content-type") or "").startswith("text/html")
        assert b"<form" in page.body
        assert (await check_common(port, "/ws")).status == 426
        async with wire(port) as client:
            answer = await client.ask("POST", "/")
            assert (answer.status, answer.headers["allow"]) == (405, ["GET, HEAD"])
        async with WSPeer.connect(port, path="/ws") as peer:
            await peer.send(text("hi"))
            assert await peer.read_text() == "Message text was: hi"
            await peer.send(frame(BINARY, b"hi"))
            assert (await peer.read_close())[0] == 1003
        async with WSPeer.connect(port, path="/ws") as peer:
            process.interrupt()
            assert (await peer.read_close())[0] == 1001
            await peer.send(close(1001))
            await peer.eof()
        status, _, stderr = await process.end()
        assert (status, stderr) == (0, "")
        assert await refused(port)


async def test_e38_test_client() -> None:
    """E38: the websocket through TestClient."""

    class Echo(web.WebSocketEndpoint):
        encoding = "text"

        async def on_receive(self, ws: web.WebSocketResponse, data: Any) -> None:
            await ws.send_str(f"Message text was: {data}")

    router = web.Router()
    router.websocket("/ws")(Echo)
    async with TestClient(router) as client, client.ws_connect("/ws", autoclose=False) as ws:
        await ws.send_str("hi")
        assert await ws.receive_str(timeout=10) == "Message text was: hi"
        await ws.send_bytes(b"hi")
        msg = await ws.receive(timeout=10)
        assert (msg.type, msg.data) == (aiohttp.WSMsgType.CLOSE, 1003)


# --- E39: JSON ----------------------------------------------------------------------------


@SHAPES
async def test_e39_json(shape: Shape) -> None:
    """E39: JSON in text and in binary frames alike; what is none closes with 1003."""
    log = Log()
    async with serving(shape(endpoint(log, "json"))) as site:
        async with WSPeer.connect(site.port, path="/ws") as peer:
            for value in ({"a": [1, None]}, "text", 5, None):
                for opcode in (TEXT, BINARY):
                    await peer.send(frame(opcode, json.dumps(value).encode()))
                    reply = await peer.read_text()
                    if isinstance(value, str):
                        assert reply == f"Message: {value}"
                    else:
                        assert json.loads(reply) == {"message": value}
            await peer.send(text("{malformed"))
            assert (await peer.read_close())[0] == 1003
            await peer.send(close(1003))
            await peer.eof()
        await site.idle()
    assert log.codes == [1003]


@pytest.mark.parametrize("data", [b"{", b"", b"\xff\xfe{"])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_e39_malformed(opcode: int, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """E39: malformed JSON of any kind is the client's fault."""
    log = Log()
    async with serving(endpoint(log, "json")) as site:
        async with WSPeer.connect(site.port) as peer:
            await peer.send(frame(opcode, data))
            # Text that is no UTF-8 is refused by the protocol itself (RFC 6455 §8.1).
            wanted = 1007 if opcode == TEXT and data.startswith(b"\xff") else 1003
            assert (await peer.read_close())[0] == wanted
        assert await log.code() == wanted
        await site.idle()
    assert not [line for line in errors(caplog) if line.startswith("ERROR")]


@SHAPES
async def test_e39_error(shape: Shape, caplog: pytest.LogCaptureFixture) -> None:
    """E39: on_receive that raises closes with 1011, in both places, and is logged."""
    log = Log()

    async def fail(ws: web.WebSocketResponse, data: Any) -> None:
        raise ValueError("on_receive fails")

    async with serving(shape(endpoint(log, "json", fail))) as site:
        async with WSPeer.connect(site.port, path="/ws") as peer:
            await peer.send(text("1"))
            assert (await peer.read_close())[0] == 1011
            await peer.send(close(1011))
            await peer.eof()
        await site.idle()
    assert log.codes == [1011]
    [line] = errors(caplog)
    assert "ValueError: on_receive fails" in line


# --- E40: refusing ------------------------------------------------------------------------


def refusing(log: Log, how: str) -> type[web.WebSocketEndpoint]:
    class Refusing(web.WebSocketEndpoint):
        async def on_connect(self, ws: web.WebSocketResponse) -> Any:
            if how == "raised":
                raise web.HTTPForbidden(text="not you")
            return web.HTTPForbidden(text="not you")

        async def on_disconnect(self, ws: web.WebSocketResponse, close_code: int) -> None:
            log.codes.append(close_code)

    return Refusing


@SHAPES
@pytest.mark.parametrize("how", ["raised", "returned"])
async def test_e40_refused(shape: Shape, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """E40: the handshake is answered with 403 on a connection that stays; on_disconnect is not called."""
    log = Log()
    async with serving(shape(refusing(log, how))) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            await peer.send(handshake("/ws"))
            answer = await peer.answer()
            check(answer)
            assert (answer.status, answer.body) == (403, b"not you")
        assert (await peer.ask(request("GET", "/ws"))).status == 426
    assert log.codes == []
    assert errors(caplog) == []


async def test_e40_test_client() -> None:
    """E40: as aiohttp's client sees it."""
    async with TestClient(refusing(Log(), "raised")) as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as info:
            await client.ws_connect("/")
    assert info.value.status == 403


async def test_e40_failing(caplog: pytest.LogCaptureFixture) -> None:
    """E40: on_connect that fails otherwise is a 500, without on_disconnect."""
    log = Log()

    class Failing(refusing(log, "raised")):  # type: ignore[misc]
        async def on_connect(self, ws: web.WebSocketResponse) -> None:
            raise ValueError("no connection")

    async with serving(Failing) as site, Peer.connect(site.port) as peer:
        await peer.send(handshake("/"))
        assert (await peer.answer()).status == 500
    assert log.codes == []
    assert len(errors(caplog)) == 1


async def test_e40_path_values() -> None:
    """E40: on_connect has the values of the path, and decides by them."""
    log = Log()
    router = web.Router()

    @router.websocket("/rooms/{room}")
    class Room(web.WebSocketEndpoint):
        encoding = "text"

        async def on_connect(self, ws: web.WebSocketResponse, room: str) -> None:
            if room == "closed":
                raise web.HTTPForbidden
            self.room = room

        async def on_receive(self, ws: web.WebSocketResponse, data: Any) -> None:
            await ws.send_str(f"{self.room}: {data}")

        async def on_disconnect(self, ws: web.WebSocketResponse, close_code: int) -> None:
            log.codes.append(close_code)

    async with serving(router) as site:
        async with WSPeer.connect(site.port, path="/rooms/open%20one") as peer:
            await peer.send(text("hi"))
            assert await peer.read_text() == "open one: hi"
            await peer.send(close(1000))
            assert (await peer.read_close())[0] == 1000
            await peer.eof()
        async with Peer.connect(site.port) as client:
            await client.send(handshake("/rooms/closed"))
            assert (await client.answer()).status == 403
        await site.idle()
    assert log.codes == [1000]
