"""The programs in examples/ports/starlette/, each run as a process of its own."""

import asyncio

import aiohttp

from tests.example import example


async def test_app() -> None:
    async with example("ports/starlette/app.py") as app:
        for path in ("/", "/any/path"):
            await app.says(path, 200, "Hello, world!")
        got = await app.ask("/", "HEAD")
        assert (got.status, got.text, got.headers["Content-Length"]) == (200, "", "13")
        got = await app.ask("/", "POST")
        assert (got.status, got.headers["Allow"]) == (405, "GET, HEAD")
        answers = await asyncio.gather(*(app.ask("/") for _ in range(10)))
        assert {answer.text for answer in answers} == {"Hello, world!"}


async def test_endpoints() -> None:
    async with example("ports/starlette/endpoints.py") as app:
        await app.says("/", 200, "Hello, world!")
        await app.says("/bob", 200, "Hello, bob")
        await app.says("/a%20b", 200, "Hello, a b")
        await app.says("/a/b", 404, "404: Not Found")
        assert (await app.ask("/bob", "DELETE")).status == 405


async def test_websocket_bytes() -> None:
    async with example("ports/starlette/websocket_bytes.py") as app:
        async with app.session.ws_connect("/") as ws:
            await ws.send_bytes(b"x")
            assert await ws.receive_bytes() == b"Message: x"
            await ws.close(code=4000)
        assert await app.line() == "Closed with 4000"
        async with app.session.ws_connect("/") as ws:
            await ws.send_str("x")
            message = await ws.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1003)
        assert await app.line() == "Closed with 1003"
        ws = await app.session.ws_connect("/")
        transport = ws._writer.transport
        assert transport is not None
        transport.abort()
        assert await app.line() == "Closed with 1006"
        assert (await app.ask("/")).status == 426


async def test_chat() -> None:
    async with example("ports/starlette/chat.py") as app:
        got = await app.ask("/")
        assert (got.status, got.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert "<form>" in got.text
        async with app.session.ws_connect("/ws") as ws:
            await ws.send_str("hi")
            assert await ws.receive_str() == "Message text was: hi"
            await ws.send_bytes(b"hi")
            assert (await ws.receive()).data == 1003
        assert (await app.ask("/", "POST")).status == 405
        assert (await app.ask("/ws")).status == 426


async def test_json_socket() -> None:
    log = "Error handling .*TypeError.*"
    async with example("ports/starlette/json_socket.py", log=log) as app:
        async with app.session.ws_connect("/") as ws:
            await ws.send_str("[1, 2]")
            assert await ws.receive_json() == {"sum": 3}
            await ws.send_bytes(b"[1.5]")
            assert await ws.receive_json() == {"sum": 1.5}
            await ws.send_str("[1,")
            assert (await ws.receive()).data == 1003
        async with app.session.ws_connect("/") as ws:
            await ws.send_str('["text"]')
            assert (await ws.receive()).data == 1011


async def test_guarded() -> None:
    async with example("ports/starlette/guarded.py") as app:
        await app.refuses("/rooms/attic", 403)
        await app.refuses("/rooms/attic?token=wrong", 403)
        await app.refuses("/attic", 404)
        async with app.session.ws_connect("/rooms/attic?token=citta") as ws:
            await ws.send_str("hello")
            assert await ws.receive_str() == "attic: hello"
        assert await app.line() == "Left with 1000"  # of those that were let in, and no other
