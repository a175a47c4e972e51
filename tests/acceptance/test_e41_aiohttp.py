"""E41 to E45: programs for aiohttp's low-level server, with only the import changed."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import lowlevel as web
from tests.acceptance.wire import check, check_common, errors, program, refused, wire
from tests.support import Peer, request, serving, until, within
from tests.wsframes import BINARY, TEXT, WSPeer, close, frame, handshake, text

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "TRACE")


# --- E41: the program of the documentation ------------------------------------------------


DOCUMENTATION = """
    import asyncio
    import sys

    import lowlevel as web

    async def handler(request):
        return web.Response(text="OK")

    async def main(port):
        server = web.Server(handler)
        runner = web.ServerRunner(server)
        await runner.setup()
        site = web.TCPSite(runner, "localhost", port)
        await site.start()
        print(f"======= Serving on http://127.0.0.1:{port}/ ======")
        await asyncio.sleep(100 * 3600)

    try:
        asyncio.run(main(int(sys.argv[1])))
    except KeyboardInterrupt:
        pass
"""


async def ok(request: web.BaseRequest) -> web.Response:
    return web.Response(text="OK")


async def test_e41_every_path_and_method() -> None:
    """E41: every path and method is answered with 200 OK."""
    async with serving(ok) as site, wire(site.port) as client:
        for method in METHODS:
            for target in ("/", "/a/b?c=d", "/%D1%8F", "//"):
                answer = await client.ask(method, target, body=b"x" if method == "POST" else b"")
                assert answer.status == 200
                assert answer.header("content-length") == "2"
                assert answer.header("content-type") == "text/plain; charset=utf-8"
                assert answer.body == (b"" if method == "HEAD" else b"OK")
        answer = await client.ask("OPTIONS", "*")
        assert (answer.status, answer.body) == (200, b"OK")


async def test_e41_common() -> None:
    """E41: what all rows have in common."""
    async with serving(ok) as site:
        answer = await check_common(site.port)
    assert (answer.status, answer.reason, answer.body) == (200, "OK", b"OK")


async def test_e41_ctrl_c(unused_tcp_port: int) -> None:
    """E41: Ctrl-C ends the program without a word; its port and idle connections are closed."""
    async with program(DOCUMENTATION, [unused_tcp_port]) as process:
        assert await process.port() == unused_tcp_port
        async with Peer.connect(unused_tcp_port) as peer:
            assert (await peer.ask(request())).body == b"OK"
            process.interrupt()
            assert await peer.read_eof() == b""
        assert await process.end() == (0, "", "")
        assert await refused(unused_tcp_port)


async def test_e41_cleanup() -> None:
    """E41: port 0 gives the real port; cleanup closes it, and the idle connections."""
    runner = web.ServerRunner(web.Server(ok))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        assert site.port > 0
        assert runner.addresses == [("127.0.0.1", site.port)]
        assert runner.sites == {site}
        async with Peer.connect(site.port) as peer:
            assert (await peer.ask(request())).body == b"OK"
            await within(runner.cleanup())
            assert await peer.read_eof() == b""
        assert await refused(site.port)
        assert runner.addresses == []
    finally:
        await runner.cleanup()


async def test_e41_localhost() -> None:
    """E41: the name localhost, as the program has it."""
    async with web.ServerRunner(web.Server(ok)) as runner:
        site = web.TCPSite(runner, "localhost", 0)
        await site.start()
        assert site.port in {address[1] for address in runner.addresses}
        async with Peer.connect(site.port) as peer:
            assert (await peer.ask(request())).body == b"OK"


# --- E42: one handler, four actions -------------------------------------------------------


async def actions(request: web.BaseRequest) -> web.StreamResponse:
    if request.path == "/length":
        return web.Response(text="a length")
    if request.path == "/stream":
        response = web.StreamResponse()
        response.content_type = "text/plain"
        await response.prepare(request)
        for piece in (b"one ", b"two ", b"three"):
            await response.write(piece)
        await response.write_eof()
        return response
    if request.path == "/ws":
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for msg in ws:
            if msg.type is web.WSMsgType.TEXT:
                await ws.send_str(msg.data)
            elif msg.type is web.WSMsgType.BINARY:
                await ws.send_bytes(msg.data)
        return ws
    raise web.HTTPNotFound(text=f"nothing at {request.path}")


async def test_e42_response() -> None:
    """E42: a Response with a length."""
    async with serving(actions) as site:
        answer = await check_common(site.port, "/length")
    assert (answer.status, answer.body) == (200, b"a length")
    assert answer.header("content-length") == "8"


async def test_e42_stream() -> None:
    """E42: a StreamResponse goes out in chunks, with a last chunk of no bytes."""
    async with serving(actions) as site:
        answer = await check_common(site.port, "/stream")
        assert answer.body == b"one two three"
        assert answer.header("transfer-encoding") == "chunked"
        async with Peer.connect(site.port) as peer:
            await peer.send(request("GET", "/stream", "Connection: close"))
            await peer.read_head()
            body = await peer.read_eof()
        assert body == b"4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n"


async def test_e42_raised() -> None:
    """E42: a raised HTTPException is the answer."""
    async with serving(actions) as site:
        answer = await check_common(site.port, "/lost")
    assert (answer.status, answer.body) == (404, b"nothing at /lost")


async def test_e42_websocket() -> None:
    """E42: a websocket echo of text and binary messages, and of the close."""
    async with serving(actions) as site, WSPeer.connect(site.port, path="/ws") as peer:
        await peer.send(text("hello"))
        assert await peer.read_text() == "hello"
        await peer.send(frame(BINARY, b"\0\xff"))
        assert await peer.read_message() == (BINARY, b"\0\xff")
        await peer.send(close(1000))
        assert (await peer.read_close())[0] == 1000
        await peer.eof()


async def test_e42_all_on_one_connection() -> None:
    """E42: the actions follow each other on one connection, the websocket last."""
    async with serving(actions) as site, Peer.connect(site.port) as peer:
        for target, status in (("/length", 200), ("/stream", 200), ("/lost", 404)):
            answer = await peer.ask(request("GET", target))
            check(answer)
            assert answer.status == status
        ws = WSPeer(peer.reader, peer.writer)
        await ws.shake_hands(handshake("/ws"))
        await ws.send(text("last"))
        assert await ws.read_message() == (TEXT, b"last")


# --- E43: what goes wrong in handlers -----------------------------------------------------


async def wrong(request: web.BaseRequest) -> web.StreamResponse:
    what = request.path.strip("/")
    if what == "value":
        raise ValueError("the secret")
    if what == "timeout":
        raise TimeoutError
    if what == "late":
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun")
        raise ValueError("too late")
    returned: object = {"none": None, "str": "text", "int": 200}.get(what)
    return returned  # type: ignore[return-value]


async def test_e43_error(caplog: pytest.LogCaptureFixture) -> None:
    """E43: ValueError is a 500 in plain text, closes the connection, is logged and not shown."""
    async with serving(wrong) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("GET", "/value"))
        assert await peer.read_eof() == b""
    assert answer.status == 500
    assert (answer.header("content-type") or "").startswith("text/plain")
    assert answer.header("connection") == "close"
    assert b"secret" not in answer.body
    assert b"Traceback" not in answer.body
    [line] = errors(caplog)
    assert "ValueError: the secret" in line


async def test_e43_debug(caplog: pytest.LogCaptureFixture) -> None:
    """E43: in debug mode the answer has the traceback."""
    async with serving(wrong, debug=True) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("GET", "/value"))
    assert answer.status == 500
    assert b"Traceback" in answer.body
    assert b"ValueError: the secret" in answer.body
    assert len(errors(caplog)) == 1


async def test_e43_late(caplog: pytest.LogCaptureFixture) -> None:
    """E43: once the head is out, the connection is cut: no last chunk and no second answer."""
    async with serving(wrong) as site, Peer.connect(site.port) as peer:
        await peer.send(request("GET", "/late"))
        assert (await peer.read_head()).startswith(b"HTTP/1.1 200 OK")
        assert await peer.read_eof() in (b"5\r\nbegun\r\n", b"")
    [line] = errors(caplog)
    assert "ValueError: too late" in line


@pytest.mark.parametrize("what", ["none", "str", "int"])
async def test_e43_no_response(what: str, caplog: pytest.LogCaptureFixture) -> None:
    """E43: None, or a str, is no response: 500, in the log with the handler, and the connection stays."""
    async with serving(wrong) as site, wire(site.port) as client:
        for _ in range(2):
            answer = await client.ask("GET", f"/{what}")
            assert answer.status == 500
            assert (answer.header("content-type") or "").startswith("text/plain")
    lines = errors(caplog)
    assert len(lines) == 2
    assert {"none": "NoneType", "str": "str", "int": "int"}[what] in lines[0]
    assert "wrong" in lines[0]


async def test_e43_timeout(caplog: pytest.LogCaptureFixture) -> None:
    """E43: a TimeoutError is a 500 like any other, and not a 504."""
    async with serving(wrong) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(request("GET", "/timeout"))).status == 500
    assert len(errors(caplog)) == 1


# --- E44: without a runner ----------------------------------------------------------------


async def test_e44_create_server() -> None:
    """E44: the Server is a protocol factory for the event loop itself."""
    server = web.Server(ok)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        answer = await check_common(port)
        assert (answer.status, answer.body) == (200, b"OK")
        assert server.requests_count == 3
    finally:
        listener.close()
        await server.shutdown(1)
    assert server.connections == []
    assert await refused(port)


# --- E45: the connection, byte by byte ----------------------------------------------------


async def raw(request: web.BaseRequest) -> web.StreamResponse:
    if request.path == "/stream":
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(3):
            await response.write(b"stream")
        return response
    if request.path == "/slow":
        await asyncio.sleep(0)
    if request.path == "/ws":
        return await upgraded(request)
    if request.path == "/lost":
        raise web.HTTPNotFound
    return web.Response(text=f"{request.method} {request.path}")


@web.websocket
async def upgraded(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
    async for _ in ws:
        pass


@asynccontextmanager
async def rawly() -> AsyncIterator[Peer]:
    async with serving(raw) as site, Peer.connect(site.port) as peer:
        yield peer


async def test_e45_pipelined() -> None:
    """E45: two requests sent at once are answered in their order."""
    async with rawly() as peer:
        await peer.send(request("GET", "/slow") + request("GET", "/quick"))
        assert (await peer.answer()).body == b"GET /slow"
        assert (await peer.answer()).body == b"GET /quick"


async def test_e45_unread_body() -> None:
    """E45: a body that no handler read is drained, however it is framed."""
    chunked = b"4\r\nGET \r\n2\r\n/x\r\n0\r\n\r\n"
    async with rawly() as peer:
        answer = await peer.ask(
            request("POST", "/a", body=b"GET /smuggled HTTP/1.1\r\n\r\n" * 9000)
        )
        assert answer.body == b"POST /a"
        await peer.send(request("POST", "/b", "Transfer-Encoding: chunked") + chunked)
        assert (await peer.answer()).body == b"POST /b"
        assert (await peer.ask(request("GET", "/c"))).body == b"GET /c"
        peer.finish()
        assert await peer.read_eof() == b""


async def test_e45_http_1_0() -> None:
    """E45: HTTP/1.0 without keep-alive: the connection closes behind the answer."""
    async with rawly() as peer:
        answer = await peer.ask(request("GET", "/old", version="1.0", host=""))
        assert (answer.status, answer.body) == (200, b"GET /old")
        assert "transfer-encoding" not in answer.headers
        assert await peer.read_eof() == b""


async def test_e45_http_1_0_kept() -> None:
    """E45: HTTP/1.0 with keep-alive: the connection stays, and the server says so."""
    async with rawly() as peer:
        for _ in range(2):
            answer = await peer.ask(request("GET", "/", "Connection: keep-alive", version="1.0"))
            assert answer.body == b"GET /"
            assert (answer.header("connection") or "").lower() == "keep-alive"


async def test_e45_http_1_0_stream() -> None:
    """E45: a stream for HTTP/1.0 is plain bytes that end with the connection."""
    async with rawly() as peer:
        answer = await peer.ask(
            request("GET", "/stream", "Connection: keep-alive", version="1.0", host="")
        )
        assert "transfer-encoding" not in answer.headers
        assert answer.body == b"stream" * 3


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no Host"),
        pytest.param(b"\x00\x01\x02\xff\r\n\r\n", id="garbage"),
        pytest.param(b"hello\r\n\r\n", id="no HTTP"),
        pytest.param(b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", id="long line"),
        pytest.param(request("GET", "/", "X: " + "a" * 20_000), id="long header"),
        pytest.param(
            request("POST", "/", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), id="two framings"
        ),
    ],
)
async def test_e45_refused(data: bytes) -> None:
    """E45: what is no good request is a 400, 414 or 431, and the connection closes; no handler runs."""
    async with rawly() as peer:
        await peer.send(data)
        answer = await peer.answer()
        assert answer.status in (400, 414, 431)
        assert answer.header("connection") == "close"
        assert await peer.read_eof() == b""


async def test_e45_good_then_bad() -> None:
    """E45: a good request in front of garbage deserves its answer."""
    async with rawly() as peer:
        await peer.send(request("GET", "/good") + b"garbage\r\n\r\n")
        assert (await peer.answer()).body == b"GET /good"
        assert (await peer.answer()).status == 400
        assert await peer.read_eof() == b""


async def test_e45_head_of_a_stream() -> None:
    """E45: HEAD for a handler that streams leaves no stray bytes on the connection."""
    async with serving(raw) as site:
        answer = await check_common(site.port, "/stream")
    assert answer.body == b"stream" * 3


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(handshake("/lost"), 404, id="unknown path"),
        pytest.param(request("GET", "/ws"), 426, id="no upgrade"),
        pytest.param(handshake("/ws", version="8"), 426, id="another version"),
        pytest.param(handshake("/ws", key=None), 400, id="no key"),
        pytest.param(handshake("/", upgrade="h2c"), 200, id="another protocol"),
    ],
)
async def test_e45_refused_upgrade(data: bytes, status: int) -> None:
    """E45: an upgrade that is refused keeps the connection usable, also for a websocket."""
    async with rawly() as peer:
        await peer.send(data)
        answer = await peer.answer()
        check(answer)
        assert answer.status == status
        assert (await peer.ask(request("POST", "/next", body=b"x"))).body == b"POST /next"
        ws = WSPeer(peer.reader, peer.writer)
        await ws.shake_hands(handshake("/ws"))
        await ws.send(close(1000))
        assert (await ws.read_close())[0] == 1000


async def test_e45_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    """E45: a client that leaves in the middle of a request, or of an answer, is no error."""
    caplog.set_level(logging.INFO)
    async with serving(raw) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(request("POST", "/", body=b"half")[:-2])
            peer.reset()
        async with Peer.connect(site.port) as peer:
            await peer.send(request("GET", "/stream"))
            peer.reset()
        await until(lambda: not site.server.connections, "both connections to end")
    assert errors(caplog) == []
