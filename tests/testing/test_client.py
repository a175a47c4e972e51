"""TestClient: aiohttp's client for one server, and what it opens and closes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

import lowlevel as web
from lowlevel.testing import TestClient, TestServer, request_bytes
from tests.support import DEADLINE, until


async def echo(request: web.BaseRequest) -> web.Response:
    """What came, as JSON."""
    return web.json_response(
        {
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "cookies": dict(request.cookies),
            "body": (await request.read()).decode("latin-1"),
        }
    )


async def hello(request: web.BaseRequest) -> web.Response:
    return web.Response(text="OK")


async def asked(client: TestClient, *args: Any, **options: Any) -> dict[str, Any]:
    async with client.request(*args, **options) as response:
        assert response.status == 200
        result: dict[str, Any] = await response.json()
        return result


# --- Its life -----------------------------------------------------------------------------


async def test_a_request() -> None:
    async with TestClient(hello) as client:
        response = await client.get("/")
        assert isinstance(response, aiohttp.ClientResponse)
        assert response.status == 200
        assert await response.text() == "OK"


async def test_a_request_as_context() -> None:
    async with TestClient(hello) as client:
        async with client.get("/") as response:
            assert await response.text() == "OK"
        assert response.closed


async def test_requests_at_once() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        await barrier.wait()
        return web.Response(text=request.path)

    barrier = asyncio.Barrier(3)
    async with TestClient(handler) as client, asyncio.timeout(DEADLINE):
        first, *others = await asyncio.gather(
            asyncio.create_task(client.get("/1")), client.get("/2"), client.post("/3")
        )
        assert await first.text() == "/1"
        assert [await other.text() for other in others] == ["/2", "/3"]


async def test_start_and_close_by_hand() -> None:
    client = TestClient(hello)
    await client.close()
    await client.start_server()
    await client.start_server()
    assert (await client.get("/")).status == 200
    await client.close()
    await client.close()
    assert not client.server.started
    async with client:
        assert (await client.get("/")).status == 200


@pytest.mark.parametrize("closed", [False, True])
async def test_it_asks_only_while_it_is_open(closed: bool) -> None:
    client = TestClient(hello)
    if closed:
        async with client:
            pass
    with pytest.raises(RuntimeError, match="the client is not started"):
        client.session  # noqa: B018
    with pytest.raises(RuntimeError, match="the client is not started"):
        await client.get("/")
    with pytest.raises(RuntimeError, match="the client is not started"):
        await client.ws_connect("/")


async def test_a_request_that_is_not_sent() -> None:
    async with TestClient(hello) as client:
        client.get("/").close()
        opening = client.get("/")
        with pytest.raises(KeyError):
            opening.throw(KeyError())


async def test_it_has_the_names_of_others_test_clients() -> None:
    async with TestClient(hello) as client:
        assert isinstance(client.server, TestServer)
        assert isinstance(client.session, aiohttp.ClientSession)
        assert (client.host, client.port) == ("127.0.0.1", client.server.port)
        assert str(client.make_url("/x?y")) == f"http://127.0.0.1:{client.port}/x?y"
        assert repr(client) == f"<TestClient of <TestServer http://127.0.0.1:{client.port}>>"
        assert (await client.get(client.make_url("/"))).status == 200


async def test_it_closes_what_is_open() -> None:
    """A response that is not read, a WebSocket, connections: none of it holds the end up."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/ws":
            websocket = web.WebSocketResponse()
            await websocket.prepare(request)
            async for _ in websocket:
                pass
            codes.append(websocket.close_code)
            return websocket
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await request.wait_disconnected()
        left.append(request.path)
        return response

    codes: list[int | None] = []
    left: list[str] = []
    async with TestClient(handler) as client:
        response = await client.get("/stream")
        async with client.get("/context") as other:
            assert await other.content.readexactly(5) == b"first"
        websocket = await client.ws_connect("/ws")
        session = client.session
    assert response.closed and websocket.closed and session.closed
    assert (codes, sorted(left)) == ([1000], ["/context", "/stream"])


async def test_a_websocket_that_nobody_answers_does_not_hold_the_end_up() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        while not websocket.closed:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                stopped.set()
        return websocket

    stopped = asyncio.Event()
    server = TestServer(handler, shutdown_timeout=0.01)
    async with asyncio.timeout(DEADLINE), TestClient(server) as client:
        await client.ws_connect("/")
        await client.ws_connect("/")
    assert stopped.is_set()


async def test_it_asks_once() -> None:
    """What the server drops is an error, and not asked again."""

    async def drop(request: web.BaseRequest) -> web.Response:
        methods.append(request.method)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    methods: list[str] = []
    async with TestClient(drop) as client:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await client.get("/")
    assert methods == ["GET"]


async def test_a_request_that_is_still_under_way() -> None:
    async def slow(request: web.BaseRequest) -> web.Response:
        begun.set()
        await begin_to_end.wait()
        return web.Response()

    begun, begin_to_end = asyncio.Event(), asyncio.Event()
    async with TestClient(slow) as client:
        task = asyncio.create_task(client.get("/"))
        async with asyncio.timeout(DEADLINE):
            await begun.wait()
        asyncio.get_running_loop().call_soon(begin_to_end.set)
    with pytest.raises(aiohttp.ClientError):
        await task


async def test_any_number_may_be_open() -> None:
    @web.websocket
    async def listen(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
        async for _ in ws:
            pass

    async with TestClient(listen, timeout=5) as client:
        for _ in range(101):
            await client.ws_connect("/")


async def test_options_that_aiohttp_refuses_leave_nothing_open() -> None:
    client = TestClient(hello, ssl=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="ssl"):
        await client.start_server()
    assert not client.server.started


async def test_a_close_that_was_cancelled_can_go_on() -> None:
    async def slow(request: web.BaseRequest) -> web.Response:
        begun.set()
        await end.wait()
        return web.Response()

    begun, end = asyncio.Event(), asyncio.Event()
    client = TestClient(slow)
    await client.start_server()
    async with client.peer() as peer:
        await peer.send(request_bytes())
        async with asyncio.timeout(DEADLINE):
            await begun.wait()
        closing = asyncio.create_task(client.close())
        await until(lambda: client.server.server.closing, "the beginning of the end")
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert client.server.started
        end.set()
        await client.close()
        assert not client.server.started


async def test_it_remembers_only_what_is_open() -> None:
    async with TestClient(hello) as client:
        for _ in range(10):
            async with client.get("/") as response:
                await response.read()
        assert len(client._responses) == 1


# --- Servers ------------------------------------------------------------------------------


async def test_a_server_that_is_made() -> None:
    server = web.Server(hello, access_log=None)
    async with TestClient(server) as client:
        assert (await client.get("/")).status == 200
        assert client.server.server is server


async def test_who_starts_the_server_closes_it() -> None:
    async with TestServer(hello) as server:
        async with TestClient(server) as one, TestClient(server) as two:
            await one.close()
            assert (await two.get("/")).status == 200
        assert server.started
    server = TestServer(hello)
    async with TestClient(server) as client:
        assert client.server is server
        assert server.started
    assert not server.started


async def test_lifespan() -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        events.append("begin")
        yield
        events.append("end")

    async def handler(request: web.BaseRequest) -> web.Response:
        events.append("request")
        return web.Response()

    events: list[str] = []
    async with TestClient(handler, lifespan=lifespan()) as client:
        assert events == ["begin"]
        await client.get("/")
    assert events == ["begin", "request", "end"]


async def test_the_lifespan_of_an_application() -> None:
    async def startup(app: web.Application) -> None:
        app["words"] = ["Hello"]

    async def shutdown(app: web.Application) -> None:
        app["words"].append("Bye")

    app = web.Application()
    app.on_startup.append(startup)
    app.on_shutdown.append(shutdown)

    async def words(request: web.BaseRequest) -> web.Response:
        return web.Response(text=request.app["words"][0])

    app.router.add_get("/", words)
    async with TestClient(app) as client:
        assert await (await client.get("/")).text() == "Hello"
    assert app["words"] == ["Hello", "Bye"]


async def test_errors_of_the_lifespan_come_out() -> None:
    @asynccontextmanager
    async def begins() -> AsyncIterator[None]:
        raise OSError("begin")
        yield

    @asynccontextmanager
    async def ends() -> AsyncIterator[None]:
        yield
        raise OSError("end")

    client = TestClient(hello, lifespan=begins())
    with pytest.raises(OSError, match="begin"):
        await client.start_server()
    assert not client.server.started

    client = TestClient(hello, lifespan=ends())
    await client.start_server()
    session = client.session
    with pytest.raises(OSError, match="end"):
        await client.close()
    assert session.closed
    assert not client.server.started


async def test_peer() -> None:
    async with TestClient(echo) as client, client.peer(deadline=5) as peer:
        assert peer.deadline == 5
        answer = await peer.ask(request_bytes("PROPFIND", "/x"))
        assert json.loads(answer.body)["method"] == "PROPFIND"


async def test_tls(tls: Any) -> None:
    server = TestServer(hello, ssl_context=tls.server)
    async with server, TestClient(server, ssl=tls.client) as client:
        assert str(client.make_url("/")).startswith("https://")
        assert (await client.get("/")).status == 200
        async with client.peer(ssl=tls.client) as peer:
            assert (await peer.ask(request_bytes())).status == 200
    async with server, TestClient(server, ssl=False) as client:
        assert (await client.get("/")).status == 200
    async with server, TestClient(server) as client:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await client.get("/")
        assert (await client.get("/", ssl=tls.client)).status == 200


# --- Requests -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_methods(method: str) -> None:
    async with TestClient(echo) as client:
        response = await getattr(client, method.lower())("/x", params={"a": "b"})
        came = await response.json()
        assert (came["method"], came["path"], came["query"]) == (method, "/x", {"a": "b"})


async def test_any_method() -> None:
    async with TestClient(echo) as client:
        assert (await asked(client, "PROPFIND", "/"))["method"] == "PROPFIND"


async def test_head() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        if request.path == "/":
            raise web.HTTPFound("/x")
        return web.Response(text="x")

    async with TestClient(handler) as client:
        response = await client.head("/x")
        assert (response.status, response.headers["Content-Length"]) == (200, "1")
        assert await response.read() == b""
        assert (await client.head("/")).status == 302
        assert (await client.head("/", allow_redirects=True)).status == 200


async def test_headers_cookies_and_json() -> None:
    async with TestClient(echo, headers={"X-All": "1"}, cookies={"all": "2"}) as client:
        came = await asked(
            client, "POST", "/", headers={"X-One": "3"}, cookies={"one": "4"}, json={"a": [1, None]}
        )
        assert (came["headers"]["x-all"], came["headers"]["x-one"]) == ("1", "3")
        assert came["cookies"] == {"all": "2", "one": "4"}
        assert json.loads(came["body"]) == {"a": [1, None]}
        assert came["headers"]["content-type"] == "application/json"
        came = await asked(client, "POST", "/", skip_auto_headers=["User-Agent"])
        assert "user-agent" not in came["headers"]
        assert came["cookies"] == {"all": "2"}


async def test_cookies_are_kept() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        if request.path != "/set":
            return web.json_response(dict(request.cookies))
        response = web.Response()
        response.set_cookie("a", "1")
        response.set_cookie("b", "2", path="/b")
        return response

    async with TestClient(handler) as client:
        await client.get("/set")
        assert await asked(client, "GET", "/") == {"a": "1"}
        assert await asked(client, "GET", "/b") == {"a": "1", "b": "2"}
    async with TestClient(handler, cookie_jar=aiohttp.DummyCookieJar()) as client:
        await client.get("/set")
        assert await asked(client, "GET", "/") == {}


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [
        (301, "GET", ""),
        (302, "GET", ""),
        (303, "GET", ""),
        (307, "POST", "abc"),
        (308, "POST", "abc"),
    ],
)
async def test_redirects(status: int, method: str, body: str) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        if request.path == "/old":
            return web.Response(status=status, headers={"Location": "/new"})
        return await echo(request)

    async with TestClient(handler) as client:
        came = await asked(client, "POST", "/old", data=b"abc")
        assert (came["path"], came["method"], came["body"]) == ("/new", method, body)
        response = await client.post("/old", data=b"abc", allow_redirects=False)
        assert (response.status, response.headers["Location"]) == (status, "/new")


async def test_an_upload() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        return web.json_response([form["name"], file.filename, file.file.read().decode()])

    form = aiohttp.FormData({"name": "value"})
    form.add_field("file", b"content", filename="a.txt")
    async with TestClient(handler) as client:
        assert await (await client.post("/", data=form)).json() == ["value", "a.txt", "content"]


async def test_a_response_piece_by_piece() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(5):
            await response.write(b"chunk%d" % number)
            await taken.acquire()
        return response

    taken = asyncio.Semaphore(0)
    async with TestClient(handler) as client, client.get("/") as response:
        pieces = []
        async for piece in response.content.iter_any():
            pieces.append(piece)
            taken.release()
        assert pieces == [b"chunk%d" % number for number in range(5)]


@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_piece_by_piece(called: bool, method: str) -> None:
    async def generate() -> AsyncIterator[bytes]:
        for number in range(10):
            yield b"chunk" + bytes(number)
            async with asyncio.timeout(DEADLINE):
                await came.acquire()

    async def handler(request: web.BaseRequest) -> web.Response:
        body = b""
        async for piece in request.content.iter_any():
            body += piece
            came.release()
        return web.Response(body=body)

    came = asyncio.Semaphore(0)
    async with TestClient(handler) as client:
        data = generate() if called else generate
        async with client.request(method, "/", data=data) as response:
            assert await response.read() == b"".join(b"chunk" + bytes(n) for n in range(10))


async def test_other_hosts_are_not_asked() -> None:
    async with TestClient(hello) as client:
        with pytest.raises(ValueError, match="is not on this server"):
            await client.get("http://127.0.0.1:9/")


async def test_timeout() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        await request.wait_disconnected()
        return web.Response()

    async with TestClient(handler, timeout=0.05) as client:
        with pytest.raises(TimeoutError):
            await client.get("/")
    async with TestClient(handler, timeout=aiohttp.ClientTimeout(sock_read=0.05)) as client:
        with pytest.raises(TimeoutError):
            await client.get("/")
    async with TestClient(handler, timeout=None) as client:
        for timeout in (0.05, aiohttp.ClientTimeout(total=0.05)):
            with pytest.raises(TimeoutError):
                await client.get("/", timeout=timeout)


# --- WebSockets ---------------------------------------------------------------------------


async def chat(request: web.BaseRequest) -> web.StreamResponse:
    websocket = web.WebSocketResponse(protocols=("chat",))
    await websocket.prepare(request)
    async for message in websocket:
        if message.data == "bye":
            await websocket.close(code=4001, message=b"as you like")
        elif message.data != "silence":
            await websocket.send_str(f"{request.path_qs} {message.data}")
    return websocket


async def test_websocket() -> None:
    async with TestClient(chat) as client:
        websocket = await client.ws_connect("/x?y", protocols=["chat"])
        assert isinstance(websocket, aiohttp.ClientWebSocketResponse)
        assert websocket.protocol == "chat"
        for word in ("one", "two"):
            await websocket.send_str(word)
            assert await websocket.receive_str() == f"/x?y {word}"
        await websocket.send_str("bye")
        message = await websocket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4001)
        assert (websocket.close_code, message.extra) == (4001, "as you like")


async def test_websocket_as_context() -> None:
    async with TestClient(chat) as client:
        async with client.ws_connect("/") as websocket:
            await websocket.send_str("one")
            assert await websocket.receive_str() == "/ one"
        assert websocket.closed
        await until(lambda: websocket.close_code == 1000, "the server's good-bye")


async def test_no_websocket() -> None:
    async with TestClient(hello) as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await client.ws_connect("/")
        assert caught.value.status == 200


async def test_a_websocket_that_says_nothing() -> None:
    async with TestClient(chat, timeout=0.05) as client:
        websocket = await client.ws_connect("/")
        await websocket.send_str("silence")
        with pytest.raises(TimeoutError):
            await websocket.receive()
        timeout = aiohttp.ClientWSTimeout(ws_receive=0.05)
        websocket = await client.ws_connect("/", timeout=timeout)
        with pytest.raises(TimeoutError):
            await websocket.receive()


# --- Options ------------------------------------------------------------------------------


async def test_options_of_the_server() -> None:
    async with TestClient(echo, client_max_size=2) as client:
        assert (await client.post("/", data=b"abc")).status == 413


@pytest.mark.parametrize(
    ("options", "error", "name"),
    [
        ({"timeout": "1"}, TypeError, "timeout"),
        ({"timeout": True}, TypeError, "timeout"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"client_max_size": -1}, ValueError, "client_max_size"),
        ({"no_option": 1}, TypeError, "no_option"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], name: str) -> None:
    with pytest.raises(error, match=name):
        TestClient(hello, **options)


async def test_bad_options_of_a_request() -> None:
    async with TestClient(hello) as client:
        with pytest.raises(TypeError, match="no_option"):
            await client.get("/", no_option=1)  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="timeout"):
            await client.get("/", timeout=-1)


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    yield


def test_options_of_a_server_that_is_made() -> None:
    with pytest.raises(ValueError, match="debug: give that to the TestServer"):
        TestClient(TestServer(hello), debug=True)
    with pytest.raises(ValueError, match="lifespan: give that to the TestServer"):
        TestClient(TestServer(hello), lifespan=nothing())
    with pytest.raises(ValueError, match="debug"):
        TestClient(web.Server(hello), debug=True)


def test_pytest_does_not_collect_it() -> None:
    assert TestClient.__test__ is False


# --- What is loaded -----------------------------------------------------------------------


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_only_what_is_asked_for_is_loaded() -> None:
    assert run("""if True:
        import sys
        import lowlevel.testing
        from lowlevel.testing import Answer, Peer, TestServer, request_bytes
        print(sorted({"aiohttp", "pytest", "_pytest"} & set(sys.modules)))
        lowlevel.testing.TestClient
        print(sorted({"aiohttp", "pytest", "_pytest"} & set(sys.modules)))
    """).splitlines() == ["[]", "['aiohttp']"]


def test_without_aiohttp() -> None:
    assert "pip install '.[testing]'" in run("""if True:
        import sys
        sys.modules["aiohttp"] = None
        from lowlevel.testing import Peer, TestServer
        try:
            from lowlevel.testing import TestClient
        except ImportError as exc:
            print(exc)
    """)


def test_names() -> None:
    import lowlevel.testing

    for name in lowlevel.testing.__all__:
        assert getattr(lowlevel.testing, name) is not None
    assert set(lowlevel.testing.__all__) <= set(dir(lowlevel.testing))
    with pytest.raises(AttributeError, match="no_name"):
        lowlevel.testing.no_name  # noqa: B018
