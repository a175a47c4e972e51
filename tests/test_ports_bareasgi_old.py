"""The programs in examples/ports/bareasgi_old/, each run as a process of its own."""

import json

from tests.example import example

TEXT = "This is not a test"


async def test_hello() -> None:
    async with example("ports/bareasgi_old/hello.py") as app:
        got = await app.ask("/test")
        assert (got.status, got.text, got.headers["Content-Type"]) == (200, TEXT, "text/plain")
        assert (await app.ask("/test", "POST")).headers["Allow"] == "GET, HEAD"
        for _ in range(2):
            await app.says("/nope", 404, "404: Not Found")


async def test_rest() -> None:
    async with example("ports/bareasgi_old/rest.py") as app:
        assert json.loads((await app.ask("/info")).text) == {"name": "Michael Caine"}
        got = await app.ask("/info", "POST", data='{"name": "Bob"}')
        assert (got.status, got.text, got.headers.get("Content-Length")) == (204, "", None)
        for data in (b'{"name": ', b"\xff"):
            assert (await app.ask("/info", "POST", data=data)).status == 400
        got = await app.ask("/info")
        assert json.loads(got.text) == {"name": "Bob"}
        assert got.headers["Content-Type"] == "application/json"


async def test_websocket() -> None:
    async with example("ports/bareasgi_old/websocket.py") as app:
        async with app.session.ws_connect("/test") as ws:
            await ws.send_str("hi")
            assert await ws.receive_str() == "You said: hi"
            await ws.send_bytes(b"hi")
            assert (await ws.receive()).data == 1000
        async with app.session.ws_connect("/test") as ws:
            await ws.close(code=1001)
            assert ws.close_code == 1001
        assert (await app.ask("/test")).status in (400, 426)


async def test_middleware() -> None:
    async with example("ports/bareasgi_old/middleware.py") as app:
        got = await app.ask("/any")
        assert got.text == "This is the first middleware. This is the second middleware."
        assert got.headers["X-Status"] == "200"
        assert (await app.ask("/a/b")).headers["X-Status"] == "404"


async def test_four_arguments() -> None:
    async with example("ports/bareasgi_old/four_arguments.py") as app:
        await app.says("/greet/Bob", 200, "Hello, Bob")
        await app.says("/greet/Bob", 204, "", method="POST", data="Grüß Gott")
        await app.says("/greet/Bob", 200, "Grüß Gott, Bob")
        assert (await app.ask("/greet/Bob", "PUT")).headers["Allow"] == "GET, HEAD, POST"
