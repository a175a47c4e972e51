"""The programs in examples/ports/bareasgi/, each run as a process of its own."""

import asyncio
import gzip
import json
from base64 import b64encode
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.example import Example, example
from tests.program import ROOT
from tests.support import DEADLINE, Peer, request

if TYPE_CHECKING:
    from tests.conftest import TLS

TEXT = "This is not a test"


@pytest.mark.parametrize("program", ["hello", "hello_without_application"])
async def test_hello(program: str) -> None:
    paths = {
        "hello": "ports/bareasgi/hello.py",
        "hello_without_application": "ports/bareasgi/hello_without_application.py",
    }
    async with example(paths[program]) as app:
        got = await app.ask("/test")
        assert (got.status, got.text, got.headers["Content-Length"]) == (200, TEXT, "18")
        assert got.headers["Content-Type"].startswith("text/plain")
        got = await app.ask("/test", "HEAD")
        assert (got.status, got.text, got.headers["Content-Length"]) == (200, "", "18")
        got = await app.ask("/test", "POST")
        assert (got.status, got.headers["Allow"]) == (405, "GET, HEAD")
        for _ in range(2):
            await app.says("/nope", 404, "404: Not Found")


async def test_chunking() -> None:
    text = (ROOT / "examples/ports/bareasgi/chunking.py").read_text("utf-8")
    size = str(len(text.encode()))
    async with example("ports/bareasgi/chunking.py") as app:
        assert "in_pieces_with_length" in (await app.ask("/")).text
        for path, length in (
            ("/in_chunks", None),
            ("/in_one_chunk", None),
            ("/with_length", size),
            ("/in_pieces_with_length", size),
        ):
            got = await app.ask(path)
            assert (got.status, got.text) == (200, text)
            assert got.headers.get("Content-Length") == length, path
            assert got.headers.get("Transfer-Encoding") == (None if length else "chunked"), path
        async with Peer.connect(app.program.port) as peer:
            await peer.send(request("GET", "/in_chunks", version="1.0"))
            answer = await peer.answer()
            assert (answer.body.decode(), answer.header("transfer-encoding")) == (text, None)


async def reads_and_updates(app: Example) -> None:
    """What all versions of the REST example do."""
    got = await app.ask("/info")
    assert (got.status, json.loads(got.text)) == (200, {"name": "Michael Caine"})
    assert got.headers["Content-Type"].startswith("application/json")
    got = await app.ask("/info", "POST", data='{"name": "Bob"}')
    assert (got.status, got.text, got.headers.get("Content-Length")) == (204, "", None)
    assert json.loads((await app.ask("/info")).text) == {"name": "Bob"}
    assert (await app.ask("/info", "POST", data='{"name": ')).status == 400
    assert json.loads((await app.ask("/info")).text) == {"name": "Bob"}
    got = await app.ask("/info", "PUT")
    assert (got.status, got.headers["Allow"]) == (405, "GET, HEAD, POST")


async def test_rest() -> None:
    async with example("ports/bareasgi/rest.py") as app:
        await reads_and_updates(app)


async def test_controller() -> None:
    async with example("ports/bareasgi/controller.py") as app:
        await reads_and_updates(app)


async def test_cors_rest() -> None:
    async with example("ports/bareasgi/cors_rest.py") as app:
        await reads_and_updates(app)
        asking = {"Origin": "http://a.test", "Access-Control-Request-Method": "POST"}
        got = await app.ask("/info", "OPTIONS", headers=asking)
        assert (got.status, got.headers["Access-Control-Allow-Methods"]) == (204, "GET, POST")
        for path, method in (("/info", "GET"), ("/info", "DELETE"), ("/nope", "GET")):
            got = await app.ask(path, method)
            assert got.headers["Access-Control-Allow-Origin"] == "*"
        assert got.status == 404


async def test_websocket() -> None:
    async with example("ports/bareasgi/websocket.py") as app:
        assert "new WebSocket" in (await app.ask("/")).text
        assert (await app.ask("/test")).status == 426
        await app.refuses("/nope", 404)
        async with app.session.ws_connect("/test") as ws:
            for text in ("hi", "ho", ""):
                await ws.send_str(text)
                assert await ws.receive_str() == f"You said: {text}"
            await ws.close(code=1001)
        async with app.session.ws_connect("/test") as ws:
            await ws.send_bytes(b"hi")
            message = await ws.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1000)
        assert "bytes" in await app.line()


async def test_web_page() -> None:
    async with example("ports/bareasgi/web_page.py") as app:
        got = await app.ask("/", allow_redirects=False)
        assert (got.status, got.headers["Location"]) == (303, "/example1")
        assert "<h1>Example 1</h1>" in (await app.ask("/")).text
        assert "<h1>Example 2</h1>" in (await app.ask("/example2")).text
        assert (await app.ask("/example3")).status == 404
        await app.says("/empty", 204, "")


async def test_middleware() -> None:
    async with example("ports/bareasgi/middleware.py") as app:
        text = "This is the first middleware. This is the second middleware."
        for method in ("GET", "POST", "PUT", "DELETE"):
            await app.says("/any", 200, text, method=method)


async def test_local_middleware() -> None:
    async with example("ports/bareasgi/local_middleware.py") as app:
        text = "This is the first middleware. This is the second middleware."
        await app.says("/with", 200, text)
        await app.says("/without", 200, "There was no middleware.")


async def test_lifespan() -> None:
    async with example("ports/bareasgi/lifespan.py") as app:
        assert app.program.said_before == ["Starting up"]
        await app.says("/", 200, TEXT)
        await app.says("/any/path", 200, TEXT)
        app.program.stop()
        assert await app.line() == "Shutting down"


async def test_background_task() -> None:
    async with example("ports/bareasgi/background_task.py") as app:
        async with asyncio.timeout(DEADLINE):
            while (await app.ask("/")).text in ("0 ticks", "1 ticks"):
                pass
        app.program.stop()
        assert await app.line() == "The ticker has stopped"


async def test_basic_auth() -> None:
    async with example("ports/bareasgi/basic_auth.py") as app:
        right = {"Authorization": "basic " + b64encode("Zoë:a:b".encode()).decode()}
        text = "Authenticated Zoë, who knows a password"
        await app.says("/authenticate", 200, text, headers=right)
        for value in (None, "Basic", "Basic !", "Basic YQ==", "Basic /w==", "Bearer YTpi"):
            headers = {} if value is None else {"Authorization": value}
            got = await app.ask("/authenticate", headers=headers)
            assert (got.status, got.headers["WWW-Authenticate"]) == (401, 'Basic realm="here"')


async def test_cookies() -> None:
    async with example("ports/bareasgi/cookies.py") as app:
        assert 'value="Mickey"' in (await app.ask("/")).text
        fields = {"first_name": "Zoë", "last_name": "<b>"}
        got = await app.ask("/post_form", "POST", data=fields)
        assert got.status == 200
        assert 'value="Zoë"' in got.text
        assert "<dt>last_name</dt><dd>&lt;b&gt;</dd>" in got.text
        assert 'value="Zoë"' in (await app.ask("/get_form")).text


async def test_form() -> None:
    async with example("ports/bareasgi/form.py") as app:
        assert 'action="/post_form"' in (await app.ask("/get_form")).text
        fields = {"first_name": "Minnie", "last_name": "Mouse"}
        await app.says("/post_form", 200, "Minnie Mouse", method="POST", data=fields)


async def test_compressed() -> None:
    text = (ROOT / "examples/ports/bareasgi/compressed.py").read_text("utf-8") * 10
    async with example("ports/bareasgi/compressed.py", auto_decompress=False) as app:
        async with app.session.get("/x", headers={"Accept-Encoding": "gzip"}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert gzip.decompress(await response.read()).decode() == text
        for path, accepted in (("/small", "gzip"), ("/x", "identity")):
            got = await app.ask(path, headers={"Accept-Encoding": accepted})
            assert (got.status, got.headers.get("Content-Encoding")) == (200, None)
        got = await app.ask("/x", headers={"Accept-Encoding": "unknown, *;q=0"})
        assert got.status == 406


async def test_consumer() -> None:
    async def pieces():
        for _ in range(30):
            yield bytes(100_000)

    async with example("ports/bareasgi/consumer.py") as app:
        await app.says("/consume", 200, "3000000 bytes", method="POST", data=pieces())
        await app.says("/consume", 200, "0 bytes", method="POST")


async def test_raising() -> None:
    async with example("ports/bareasgi/raising.py") as app:
        for path, text in (
            ("raise_none_exception", "401: Unauthorized"),
            ("raise_text_exception", "Unauthorized - text"),
            ("raise_status", "Unauthorized - by its number"),
            ("return_response", "Unauthorized - in pieces"),
        ):
            got = await app.ask(f"/{path}")
            assert (got.status, got.text) == (401, text)
            assert got.headers["WWW-Authenticate"] == "Bearer"


async def lines_of(app: Example, path: str, count: int, **options: object) -> list[str]:
    """The first lines of an answer that has no end."""
    async with app.session.request(options.pop("method", "GET"), path, **options) as response:
        assert response.status == 200
        return [(await response.content.readline()).decode() for _ in range(count)]


async def test_sse_simple() -> None:
    async with example("ports/bareasgi/sse_simple.py") as app:
        assert 'new EventSource("/events")' in (await app.ask("/")).text
        lines = await lines_of(app, "/events", 4)
        assert lines[0].startswith("data: 2")
        assert lines[1] == "\n"
        assert lines[2] > lines[0]


async def test_sse_queue() -> None:
    async with example("ports/bareasgi/sse_queue.py") as app:
        answers = await asyncio.gather(*(lines_of(app, "/events", 20) for _ in range(5)))
        for lines in answers:
            numbers = [int(line.removeprefix("data: tick ")) for line in lines[::2]]
            assert numbers == list(range(numbers[0], numbers[0] + 10))


async def test_streaming_fetch() -> None:
    async with example("ports/bareasgi/streaming_fetch.py") as app:
        lines = await lines_of(app, "/events", 3, method="POST", json={"message": "hello"})
        ticks = [{"type": "tick", "number": number, "message": "hello"} for number in (1, 2, 3)]
        assert [json.loads(line) for line in lines] == ticks
        assert (await app.ask("/events", "POST", data="{")).status == 400


async def test_preload() -> None:
    async with example("ports/bareasgi/preload.py") as app:
        got = await app.ask("/")
        assert (got.status, got.headers["Link"]) == (200, "</click.js>; rel=preload; as=script")
        got = await app.ask("/click.js")
        assert got.headers["Content-Type"] == "text/javascript; charset=utf-8"


async def test_https(tls: "TLS") -> None:
    files = (str(tls.certfile), str(tls.keyfile))
    async with example("ports/bareasgi/https.py", *files) as app:
        got = await app.ask("/", ssl=tls.client)
        assert "This came by https" in got.text
