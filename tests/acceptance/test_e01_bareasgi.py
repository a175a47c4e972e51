"""E1, E1s, E1o, E2, E2o and E3: bareASGI's three programs, in its new and its old spelling."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import lowlevel as web
from lowlevel.testing import TestClient
from tests.acceptance.wire import check_common, errors, program, refused, wire
from tests.support import Peer, request, serving, within
from tests.wsframes import BINARY, WSPeer, close, frame, handshake, text

MESSAGE = "This is not a test"


# --- E1: simple ---------------------------------------------------------------------------


def e1_application(seen: list[Any]) -> web.Application:
    app = web.Application(info={"message": MESSAGE})

    @app.router.get("/test")
    async def test(request: web.BaseRequest) -> web.Response:
        seen.append(request.match_info)
        return web.Response(text=request.app["message"])

    return app


def e1_application_with_methods(seen: list[Any]) -> web.Application:
    app = web.Application(info={"message": MESSAGE})

    @app.route("/test", methods={"GET"})
    async def test(request: web.BaseRequest) -> web.Response:
        seen.append(request.match_info)
        return web.Response(text=request.app["message"])

    return app


def e1_application_with_a_thread(seen: list[Any]) -> web.Application:
    app = web.Application(info={"message": MESSAGE})

    @app.router.get("/test")
    def test(request: web.BaseRequest) -> str:
        seen.append(request.match_info)
        return web.Response(text=request.app["message"])  # type: ignore[return-value]

    return app


def e1_router_of_an_application(seen: list[Any]) -> web.Application:
    app = web.Application(router=e1_router(seen))
    app["message"] = MESSAGE
    return app


def e1_router(seen: list[Any]) -> web.Router:
    message = MESSAGE
    router = web.Router()

    async def test(request: web.BaseRequest) -> web.Response:
        seen.append(request.match_info)
        return web.Response(text=message)

    router.add_route({"GET"}, "/test", test)
    return router


def e1_router_with_a_thread(seen: list[Any]) -> web.Router:
    router = web.Router()

    @router.get("/test")
    def test(request: web.BaseRequest) -> web.Response:
        seen.append(request.match_info)
        return web.Response(text=MESSAGE)

    return router


E1 = pytest.mark.parametrize(
    "make",
    [
        e1_application,
        e1_application_with_methods,
        e1_application_with_a_thread,
        e1_router_of_an_application,
        e1_router,
        e1_router_with_a_thread,
    ],
)


@E1
async def test_e01_answers(make: Callable[[list[Any]], web.Handler]) -> None:
    """E1: GET and HEAD answer, POST is a 405 with Allow, /nope is a 404 with a body, twice."""
    seen: list[Any] = []
    async with serving(make(seen)) as site, wire(site.port) as client:
        answer = await client.ask("GET", "/test")
        assert (answer.status, answer.body) == (200, MESSAGE.encode())
        assert (answer.header("content-type") or "").startswith("text/plain")
        assert answer.header("content-length") == "18"

        head = await client.ask("HEAD", "/test")
        assert (head.status, head.body) == (200, b"")
        assert {**head.headers, "date": []} == {**answer.headers, "date": []}

        post = await client.ask("POST", "/test", body=b"x")
        assert post.status == 405
        assert post.headers["allow"] == ["GET, HEAD"]

        for _ in range(2):
            lost = await client.ask("GET", "/nope")
            assert lost.status == 404
            assert lost.body == b"404: Not Found"

        assert (await client.ask("GET", "/test/")).status == 404
        assert (await client.ask("GET", "/Test")).status == 404
    assert seen == [{}, {}]


@E1
async def test_e01_common(make: Callable[[list[Any]], web.Handler]) -> None:
    """E1: what all rows have in common."""
    async with serving(make([])) as site:
        for target in ("/test", "/nope"):
            await check_common(site.port, target)


@E1
async def test_e01_test_client(make: Callable[[list[Any]], web.Handler]) -> None:
    """E1: through TestClient."""
    async with TestClient(make([])) as client:
        response = await client.get("/test")
        assert response.status == 200
        assert await response.text() == MESSAGE
        assert (await client.post("/test")).headers["Allow"] == "GET, HEAD"
        assert (await client.get("/nope")).status == 404


@pytest.mark.parametrize("make", [e1_application, e1_router])
async def test_e01_runner(make: Callable[[list[Any]], web.Handler]) -> None:
    """E1: with ServerRunner and TCPSite."""
    async with web.ServerRunner(web.Server(make([]))) as runner:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        answer = await check_common(site.port, "/test")
        assert answer.body == MESSAGE.encode()


RUN_APPLICATION = """
    import sys
    import lowlevel as web

    app = web.Application(info={"message": "This is not a test"})

    @app.router.get("/test")
    async def test(request):
        return web.Response(text=request.app["message"])

    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
"""
RUN_ROUTER = """
    import sys
    import lowlevel as web

    message = "This is not a test"
    router = web.Router()

    @router.get("/test")
    async def test(request):
        return web.Response(text=message)

    web.run_app(router, host="127.0.0.1", port=int(sys.argv[1]))
"""


@pytest.mark.parametrize("source", [RUN_APPLICATION, RUN_ROUTER], ids=["application", "router"])
async def test_e01_run_app(source: str, unused_tcp_port: int) -> None:
    """E1: run_app serves it at the port that was asked for, until Ctrl-C."""
    async with program(source, [unused_tcp_port]) as process:
        assert await process.port() == unused_tcp_port
        answer = await check_common(unused_tcp_port, "/test")
        assert (answer.status, answer.body) == (200, MESSAGE.encode())
        process.interrupt()
        status, _, stderr = await process.end()
        assert (status, stderr) == (0, "")
        assert await refused(unused_tcp_port)


MODULE = """
import lowlevel as web

app = web.Application(info={"message": "This is not a test"})


@app.router.get("/test")
async def test(request):
    return web.Response(text=request.app["message"])


router = web.Router()
router.add_get("/test", lambda request: web.Response(text="This is not a test"))
"""


@pytest.mark.parametrize("name", ["app", "router"])
async def test_e01_command_line(name: str, tmp_path: Path, unused_tcp_port: int) -> None:
    """E1: the command line serves it by its name."""
    (tmp_path / "e01_program.py").write_text(MODULE)
    port = unused_tcp_port
    source = f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from lowlevel.cli import main
        main(["e01_program:{name}", "--host", "127.0.0.1", "--port", "{port}"])
    """
    async with program(source) as process:
        assert await process.port() == port
        answer = await check_common(port, "/test")
        assert (answer.status, answer.body) == (200, MESSAGE.encode())
        process.interrupt()
        assert (await process.end())[0] == 0


# --- E1s: the same, streamed --------------------------------------------------------------


def e1s_application() -> web.Application:
    app = web.Application(info={"message": MESSAGE})

    @app.router.get("/test")
    async def test(request: web.BaseRequest) -> web.Response:
        return web.Response(
            body=web.text_writer(request.app["message"], chunk_size=4), content_type="text/plain"
        )

    return app


def e1s_router() -> web.Router:
    router = web.Router()

    @router.get("/test")
    async def test(request: web.BaseRequest) -> web.Response:
        return web.Response(body=web.text_writer(MESSAGE, chunk_size=4))

    return router


E1S = pytest.mark.parametrize("make", [e1s_application, e1s_router])


@E1S
async def test_e01s_chunks(make: Callable[[], web.Handler]) -> None:
    """E1s: several chunks with the same text."""
    async with serving(make()) as site:
        answer = await check_common(site.port, "/test")
        assert (answer.status, answer.body) == (200, MESSAGE.encode())
        assert answer.header("transfer-encoding") == "chunked"
        async with Peer.connect(site.port) as peer:
            await peer.send(request("GET", "/test", "Connection: close"))
            await peer.read_head()
            pieces = [MESSAGE[start : start + 4].encode() for start in range(0, 18, 4)]
            wanted = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            assert await peer.read_eof() == wanted + b"0\r\n\r\n"


@E1S
async def test_e01s_http_1_0(make: Callable[[], web.Handler]) -> None:
    """E1s: an HTTP/1.0 client gets the plain bytes, and then the end of the connection."""
    async with serving(make()) as site, Peer.connect(site.port) as peer:
        await peer.send(request("GET", "/test", version="1.0"))
        head = await peer.read_head()
        assert b"transfer-encoding" not in head.lower()
        assert await peer.read_eof() == MESSAGE.encode()


# --- E1o: the same, in the old style ------------------------------------------------------


async def e1o(request: web.BaseRequest) -> Any:
    return (200, [(b"content-type", b"text/plain")], web.text_writer(MESSAGE, chunk_size=4))


def e1o_application() -> web.Handler:
    app = web.Application()
    app.router.add_route("GET", "/test", e1o)
    return app


def e1o_router() -> web.Handler:
    router = web.Router()
    router.add_route({"GET"}, "/test", e1o)
    return web.compose(router, web.coerce)


def e1o_route() -> web.Handler:
    router = web.Router()
    router.add_get("/test", web.compose(e1o, web.coerce))
    return router


@pytest.mark.parametrize("make", [e1o_application, e1o_router, e1o_route])
async def test_e01o_tuple(make: Callable[[], web.Handler]) -> None:
    """E1o: status, headers and body writer; Content-Type is exactly what was said."""
    async with serving(make()) as site:
        answer = await check_common(site.port, "/test")
        assert (answer.status, answer.body) == (200, MESSAGE.encode())
        assert answer.headers["content-type"] == ["text/plain"]
        async with wire(site.port) as client:
            post = await client.ask("POST", "/test")
            assert (post.status, post.headers["allow"]) == (405, ["GET, HEAD"])
            for _ in range(2):
                lost = await client.ask("GET", "/nope")
                assert (lost.status, lost.body) == (404, b"404: Not Found")


# --- E2: REST -----------------------------------------------------------------------------


def e2_application(info: dict[str, Any]) -> web.Handler:
    app = web.Application(info=info)

    @app.router.get("/info")
    async def get_info(request: web.BaseRequest) -> web.Response:
        return web.json_response(dict(request.app))

    @app.router.post("/info")
    async def set_info(request: web.BaseRequest) -> web.Response:
        request.app.update(await request.json())
        return web.Response(status=204)

    return app


def e2_router(info: dict[str, Any]) -> web.Handler:
    router = web.Router()

    @router.get("/info")
    async def get_info(request: web.BaseRequest) -> web.Response:
        return web.json_response(info)

    @router.post("/info")
    async def set_info(request: web.BaseRequest) -> web.Response:
        info.update(await request.json())
        return web.Response(status=204)

    return router


def e2o_application(info: dict[str, Any]) -> web.Handler:
    app = web.Application(info=info)

    async def get_info(request: web.BaseRequest) -> Any:
        headers = [(b"content-type", b"application/json")]
        return (200, headers, web.text_writer(json.dumps(dict(request.app))))

    async def set_info(request: web.BaseRequest) -> int:
        request.app.update(json.loads(await web.text_reader(request.content)))
        return 204

    app.router.add_route({"GET"}, "/info", get_info)
    app.router.add_route({"POST"}, "/info", set_info)
    return app


def e2o_router(info: dict[str, Any]) -> web.Handler:
    router = web.Router()

    @router.route("/info", methods={"GET"})
    def get_info(request: web.BaseRequest) -> Any:
        headers = [(b"content-type", b"application/json")]
        return (200, headers, web.text_writer(json.dumps(info)))

    @router.route("/info", methods={"POST"})
    async def set_info(request: web.BaseRequest) -> int:
        data = await web.bytes_reader(request.content)
        info.update(json.loads(data))
        return 204

    return web.compose(router, web.coerce)


E2 = [e2_application, e2_router]
E2O = [e2o_application, e2o_router]


@pytest.mark.parametrize("make", [*E2, *E2O])
async def test_e02_rest(make: Callable[[dict[str, Any]], web.Handler]) -> None:
    """E2, E2o: get, set, get again, all on one connection; the 204 has no length and no body."""
    info = {"name": "Michael Caine"}
    async with serving(make(info)) as site, wire(site.port) as client:
        answer = await client.ask("GET", "/info")
        assert answer.status == 200
        assert (answer.header("content-type") or "").startswith("application/json")
        assert json.loads(answer.body) == {"name": "Michael Caine"}

        answer = await client.ask("POST", "/info", body=b'{"name":"Bob"}')
        assert answer.status == 204
        assert not {"content-length", "transfer-encoding"} & set(answer.headers)
        assert info == {"name": "Bob"}

        answer = await client.ask("GET", "/info")
        assert json.loads(answer.body) == {"name": "Bob"}

        answer = await client.ask("PUT", "/info", body=b"{}")
        assert (answer.status, answer.headers["allow"]) == (405, ["GET, HEAD, POST"])


@pytest.mark.parametrize("make", E2)
async def test_e02_invalid_json(make: Callable[[dict[str, Any]], web.Handler]) -> None:
    """E2: invalid JSON is a 400 on a connection that stays, and changes nothing."""
    async with serving(make({"name": "Bob"})) as site, wire(site.port) as client:
        for body in (b'{"name":', b"", b"\xff"):
            assert (await client.ask("POST", "/info", body=body)).status == 400
        assert json.loads((await client.ask("GET", "/info")).body) == {"name": "Bob"}


@pytest.mark.parametrize("make", E2O)
async def test_e02o_invalid_json(
    make: Callable[[dict[str, Any]], web.Handler], caplog: pytest.LogCaptureFixture
) -> None:
    """E2o: JSON that the handler itself cannot decode is its own ValueError, a 500 that changes nothing."""
    async with serving(make({"name": "Bob"})) as site:
        async with Peer.connect(site.port) as peer:
            assert (await peer.ask(request("POST", "/info", body=b"{"))).status == 500
        assert len(errors(caplog)) == 1
        assert json.loads((await check_common(site.port, "/info")).body) == {"name": "Bob"}


@pytest.mark.parametrize("make", [*E2, *E2O])
async def test_e02_test_client(make: Callable[[dict[str, Any]], web.Handler]) -> None:
    """E2, E2o: through TestClient."""
    async with TestClient(make({"name": "Michael Caine"})) as client:
        assert (await client.post("/info", json={"name": "Bob", "age": 3})).status == 204
        assert await (await client.get("/info")).json() == {"name": "Bob", "age": 3}


async def test_e02_info_is_the_very_dict() -> None:
    """E2: what handlers, and whoever made the application, see is one mapping."""
    info: dict[str, Any] = {"name": "Michael Caine"}
    app = web.Application(info=info)
    app["since"] = "then"
    assert info == {"name": "Michael Caine", "since": "then"}
    info["name"] = "Bob"
    assert app["name"] == "Bob"
    assert dict(app) == info
    assert (app.get("name"), app.get("missing", 5)) == ("Bob", 5)
    with pytest.raises(KeyError):
        app["missing"]


# --- E3: websocket ------------------------------------------------------------------------


class Ended:
    """Whether, and how often, the websocket handler came to its end."""

    def __init__(self) -> None:
        self.count = 0
        self.event = asyncio.Event()

    def set(self) -> None:
        self.count += 1
        self.event.set()


def e3_handler(ended: Ended, careful: bool) -> Callable[..., Any]:
    async def say(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
        try:
            async for msg in ws:
                await ws.send_str("You said: " + msg.data)
        except TypeError:
            if not careful:
                raise
        finally:
            ended.set()

    return say


def e3_application(ended: Ended, careful: bool = True) -> web.Handler:
    app = web.Application()
    app.websocket("/test")(e3_handler(ended, careful))
    return app


def e3_router(ended: Ended, careful: bool = True) -> web.Handler:
    router = web.Router()
    router.websocket("/test")(e3_handler(ended, careful))
    return router


def e3_router_wrapped(ended: Ended, careful: bool = True) -> web.Handler:
    router = web.Router()
    router.websocket("/test")(web.websocket(e3_handler(ended, careful)))
    return router


def e3_router_added(ended: Ended, careful: bool = True) -> web.Handler:
    router = web.Router()
    router.add_websocket("/test", web.websocket(e3_handler(ended, careful)))
    return router


def e3_plain_handler(ended: Ended, careful: bool = True) -> web.Handler:
    """The handler of one argument, which makes its websocket itself."""
    say = e3_handler(ended, careful)
    router = web.Router()

    @router.websocket("/test")
    async def test(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await say(request, ws)
        return ws

    return router


E3 = pytest.mark.parametrize(
    "make", [e3_application, e3_router, e3_router_wrapped, e3_router_added, e3_plain_handler]
)


@E3
async def test_e03_rounds(make: Callable[..., web.Handler]) -> None:
    """E3: replies in order; a close with 1001 ends the loop, is echoed, and the handler finishes."""
    ended = Ended()
    async with serving(make(ended)) as site:
        async with WSPeer.connect(site.port, path="/test") as peer:
            await peer.send(text("hi"))
            assert await peer.read_text() == "You said: hi"
            await peer.send(b"".join(text(str(number)) for number in range(20)))
            replies = [await peer.read_text() for _ in range(20)]
            assert replies == [f"You said: {number}" for number in range(20)]
            await peer.send(close(1001))
            assert (await peer.read_close())[0] == 1001
            await peer.eof()
        await within(ended.event.wait())
        await site.idle()
        assert ended.count == 1


@E3
async def test_e03_binary_caught(
    make: Callable[..., web.Handler], caplog: pytest.LogCaptureFixture
) -> None:
    """E3: the handler catches its own TypeError at a binary frame: the socket closes with 1000."""
    async with serving(make(Ended())) as site, WSPeer.connect(site.port, path="/test") as peer:
        await peer.send(frame(BINARY, b"hi"))
        assert (await peer.read_close())[0] == 1000
        await peer.send(close(1000))
        await peer.eof()
    assert errors(caplog) == []


@E3
async def test_e03_binary_not_caught(
    make: Callable[..., web.Handler], caplog: pytest.LogCaptureFixture
) -> None:
    """E3: without the try, the TypeError closes with 1011 and is logged once."""
    async with (
        serving(make(Ended(), careful=False)) as site,
        WSPeer.connect(site.port, path="/test") as peer,
    ):
        await peer.send(frame(BINARY, b"hi"))
        assert (await peer.read_close())[0] == 1011
        await peer.send(close(1011))
        await peer.eof()
    [line] = errors(caplog)
    assert "TypeError" in line


@E3
async def test_e03_without_upgrade(make: Callable[..., web.Handler]) -> None:
    """E3: without an upgrade, GET is a 426 that names websocket; other methods are a 405."""
    async with serving(make(Ended())) as site:
        answer = await check_common(site.port, "/test")
        assert (answer.status, answer.header("upgrade")) == (426, "websocket")
        async with wire(site.port) as client:
            post = await client.ask("POST", "/test")
            assert (post.status, post.headers["allow"]) == (405, ["GET"])


@E3
async def test_e03_unknown_path(make: Callable[..., web.Handler]) -> None:
    """E3: an upgrade on an unknown path is a 404, and the connection still good for a websocket."""
    async with serving(make(Ended())) as site, Peer.connect(site.port) as peer:
        await peer.send(handshake("/nope"))
        assert (await peer.answer()).status == 404
        ws = WSPeer(peer.reader, peer.writer)
        await ws.shake_hands(handshake("/test"))
        await ws.send(text("hi"))
        assert await ws.read_text() == "You said: hi"


@pytest.mark.parametrize("first", ["websocket", "http"])
@pytest.mark.parametrize("make", [web.Application, web.Router], ids=["application", "router"])
async def test_e03_http_route_beside(make: Callable[[], Any], first: str) -> None:
    """E3: with an HTTP route at the same path each gets its own requests, whichever came first."""

    async def page(request: web.BaseRequest) -> web.Response:
        return web.Response(text="a page")

    app = make()
    if first == "http":
        app.route("/test", methods="GET")(page)
    app.websocket("/test")(e3_handler(Ended(), True))
    if first == "websocket":
        app.route("/test", methods="GET")(page)

    async with serving(app) as site:
        assert (await check_common(site.port, "/test")).body == b"a page"
        async with WSPeer.connect(site.port, path="/test") as peer:
            await peer.send(text("hi"))
            assert await peer.read_text() == "You said: hi"


@E3
async def test_e03_test_client(make: Callable[..., web.Handler]) -> None:
    """E3: through TestClient."""
    ended = Ended()
    async with TestClient(make(ended)) as client:
        async with client.ws_connect("/test") as ws:
            for word in ("hi", "привет", ""):
                await ws.send_str(word)
                assert await ws.receive_str(timeout=10) == f"You said: {word}"
            await ws.close(code=1001)
            assert ws.close_code == 1001
        await within(ended.event.wait())
        with pytest.raises(aiohttp.WSServerHandshakeError) as info:
            await client.ws_connect("/nope")
        assert info.value.status == 404


async def test_e03_middleware() -> None:
    """E3: the middlewares of an application see its websockets as well."""
    seen: list[tuple[str, bool]] = []
    app = web.Application()

    @app.middleware
    async def look(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
        seen.append((request.path, request.is_websocket))
        return await handler(request)

    app.websocket("/test")(e3_handler(Ended(), True))
    async with serving(app) as site, WSPeer.connect(site.port, path="/test") as peer:
        await peer.send(text("hi"))
        assert await peer.read_text() == "You said: hi"
    assert seen == [("/test", True)]
