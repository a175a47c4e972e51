"""The programs in examples/ports/asgi_tools/, each run as a process of its own."""

import asyncio
import io
import json
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import aiohttp
import pytest

import lowlevel as web
from tests.example import example
from tests.program import ROOT
from tests.support import DEADLINE, Peer, request, serving

FOLDER = ROOT / "examples/ports/asgi_tools"


async def test_app() -> None:
    async with example("ports/asgi_tools/app.py") as app:
        got = await app.ask("/")
        assert (got.status, got.text) == (200, "<p>Hello, World!</p>")
        assert got.headers["Content-Type"] == "text/html; charset=utf-8"
        await app.says("/a/b?x=1", 200, "PUT /a/b", method="PUT")


async def test_request_page() -> None:
    async with example("ports/asgi_tools/request_page.py") as app:
        for _ in range(2):  # on the same connection
            got = await app.ask(
                "/a%20b?x=1&y=2&x=<3>",
                "POST",
                data="Grüße".encode("latin-1"),
                headers={"Content-Type": "text/plain; charset=latin-1", "Cookie": "a=1; b=2"},
            )
            assert got.status == 200
            for name, value in (
                ("version", "1.1"),
                ("method", "POST"),
                ("scheme", "http"),
                ("path", "/a b"),
                ("content type", "text/plain"),
                ("charset", "latin-1"),
                ("seen", "1"),
                ("body", "Grüße"),
                ("b", "2"),
            ):
                assert f"<th>{name}<td>{value}" in got.text, name
            assert "<th>x<td>1<tr><th>y<td>2<tr><th>x<td>&lt;3&gt;" in got.text


async def test_request_json() -> None:
    async with example("ports/asgi_tools/request_json.py") as app:
        headers = {"X-Agent": "me", "Cookie": "a=1; b=2"}
        got = await app.ask("/p?x=1&y=2&x=3", "POST", data="text", headers=headers)
        assert got.headers["Content-Type"].startswith("application/json")
        said = json.loads(got.text)
        assert said["url"] == f"{app.program.url}p?x=1&y=2&x=3"
        assert said["query"] == [["x", "1"], ["y", "2"], ["x", "3"]]
        assert said["cookies"] == {"a": "1", "b": "2"}
        assert (said["charset"], said["content"]) == ("utf-8", "text")
        assert said["headers"]["X-Agent"] == "me"


async def test_echo() -> None:
    async def pieces():
        for number in range(10):
            yield bytes([number]) * 100_000

    async with example("ports/asgi_tools/echo.py") as app:
        headers = {"Content-Type": "image/png"}
        async with app.session.post("/", data=pieces(), headers=headers) as response:
            sent = b"".join(bytes([number]) * 100_000 for number in range(10))
            assert await response.read() == sent
            assert response.headers["Content-Type"] == "image/png"
        await app.says("/", 200, "", method="POST")
        async with Peer.connect(app.program.port) as peer:
            fields = ("Expect: 100-continue", "Content-Length: 2", "Content-Type: text/x-a")
            await peer.send(request("POST", "/", *fields))
            assert (await peer.read_head()).startswith(b"HTTP/1.1 100 ")
            await peer.send(b"hi")
            assert (await peer.answer()).body == b"hi"


async def test_body() -> None:
    async with example("ports/asgi_tools/body.py") as app:

        async def said(path: str, data: object, **options: object) -> object:
            got = await app.ask(path, "POST", data=data, **options)
            return json.loads(got.text) if got.status == 200 else got.status

        typed = {"Content-Type": "application/json"}
        assert await said("/read", bytes(1000)) == {"size": 1000}
        assert await said("/text", "Grüße") == {"text": "Grüße"}
        assert await said("/text", b"\xff") == 400
        assert await said("/json", "[1, 2]") == {"json": [1, 2]}
        assert await said("/json", "[1, 2") == 400
        assert await said("/form", {"a": "1", "b": "ü"}) == [["a", "1"], ["b", "ü"]]
        form = aiohttp.FormData()
        form.add_field("a", "1")
        form.add_field("f", io.BytesIO(b"hi"), filename="f.txt", content_type="text/x-f")
        assert await said("/form", form) == [["a", "1"], ["f", ["f.txt", "text/x-f", "hi"]]]
        assert await said("/form", {"a": "x" * 2000}) == 413
        assert await said("/data", "{}", headers=typed) == {"kind": "dict"}
        assert await said("/data", "{", headers=typed) == {"kind": "bytes"}
        assert await said("/data?strict", "{", headers=typed) == 400


async def test_responses() -> None:
    async with example("ports/asgi_tools/responses.py") as app:
        for path, content_type, text in (
            ("/text", "text/plain; charset=utf-8", "Hello, Wörld!"),
            ("/html", "text/html; charset=utf-8", "<h1>Hello, Wörld!</h1>"),
            ("/json", "application/json; charset=utf-8", None),
        ):
            got = await app.ask(path)
            assert (got.status, got.headers["Content-Type"]) == (200, content_type)
            assert int(got.headers["Content-Length"]) == len(got.text.encode())
            assert got.text == text or json.loads(got.text) == {"Hello": "Wörld!"}
        got = await app.ask("/cookie")
        assert got.headers.getall("Set-Cookie") == ["rocky=road; Path=/cookie"]
        await app.says("/error", 502, "Timeout")
        for status in HTTPStatus:
            got = await app.ask(f"/error/{status.value}")
            if status >= 400:
                assert (got.status, got.text[:4]) == (status, f"{status.value}:")
            else:
                assert got.status == 400


async def test_login() -> None:
    async with example("ports/asgi_tools/login.py") as app:
        for path in ("/", "/private"):
            got = await app.ask(path, "PUT", allow_redirects=False)
            assert (got.status, got.headers["Location"]) == (307, "/login")
            await app.says(path, 200, "PUT: who are you?", method="PUT")
        got = await app.ask("/private", headers={"Authorization": "Bearer x"})
        assert (got.status, got.text) == (200, "OK")
        assert got.headers["Content-Type"] == "text/html; charset=utf-8"
        await app.says("/post", 400, "Invalid request data")
        await app.says("/post", 200, "OK", method="POST")


async def test_stream() -> None:
    async with example("ports/asgi_tools/stream.py") as app:
        for path in ("/generator", "/function"):
            async with app.session.get(path) as response:
                assert response.headers["Content-Type"] == "plain/text"
                assert await response.content.readany() == b"0"
                assert await response.content.read() == b"123456789"
            assert await app.line() == "The stream is over"
        async with Peer.connect(app.program.port) as peer:
            await peer.send(request("GET", "/generator"))
            await peer.read_head()
            peer.reset()
        assert await app.line() == "The stream is over"


async def test_sse() -> None:
    async with example("ports/asgi_tools/sse.py") as app:
        assert 'new EventSource("/sse")' in (await app.ask("/")).text
        async with app.session.get("/sse") as response:
            assert response.content_type == "text/event-stream"
            assert response.headers["Cache-Control"] == "no-cache"
            first = [(await response.content.readline()).decode() for _ in range(5)]
            assert first[:3] == ["data: start stream\n", "\n", "event: ping\n"]
            assert (first[3][:6], first[4]) == ("data: ", "\n")
            rest = await response.text()
            assert rest.count("event: ping\n") == 19
            assert rest.endswith("\n\ndata: stream is over\n\n")


async def test_files() -> None:
    picture = (FOLDER / "files/selfie.svg").read_text("utf-8")
    async with example("ports/asgi_tools/files.py") as app:
        got = await app.ask("/selfie")
        assert (got.status, got.text) == (200, picture)
        assert got.headers["Content-Type"] == "image/svg+xml"
        assert "Content-Disposition" not in got.headers
        got = await app.ask("/selfie", headers={"If-None-Match": got.headers["ETag"]})
        assert (got.status, got.text) == (304, "")
        got = await app.ask("/selfie", headers={"Range": "bytes=1-2"})
        assert (got.status, got.text) == (206, picture[1:3])
        assert (await app.ask("/selfie", headers={"Range": "bytes=9999-"})).status == 416
        async with app.session.head("/download") as response:
            assert response.content_disposition is not None
            assert response.content_disposition.filename == "Grüße.svg"
        assert (await app.ask("/missing")).status == 404


async def test_websocket() -> None:
    async with example("ports/asgi_tools/websocket.py") as app:
        assert "new WebSocket" in (await app.ask("/")).text
        async with app.session.ws_connect("/websocket") as ws:
            await ws.send_str("ping")
            assert await ws.receive_str() == "pong"
            message = await ws.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1000)
        assert (await app.ask("/websocket")).status == 426


async def test_auth() -> None:
    async with example("ports/asgi_tools/auth.py") as app:
        await app.says("/", 200, "For everybody")
        for path, text in (("/one", "Welcome"), ("/private", "Welcome to all of it")):
            assert (await app.ask(path)).status == 401
            await app.says(path, 200, text, headers={"Authorization": "Bearer x"})
        assert (await app.ask("/private/nope")).status == 401


async def test_middleware() -> None:
    log = r"Error handling .*ValueError: a middleware is outside of the error handlers\n"
    async with example("ports/asgi_tools/middleware.py", log=log) as app:
        for path, method, status in (
            ("/", "GET", 200),
            ("/nope", "GET", 404),
            ("/", "DELETE", 405),
            ("/forbidden", "GET", 403),
            ("/wrong", "GET", 400),
        ):
            got = await app.ask(path, method)
            assert (got.status, got.headers["X-Agent"]) == (status, "SimpleX")
        assert got.text == "Wrong: a handler is inside"
        assert (await app.ask("/broken")).status == 500


async def test_on_error() -> None:
    async with example("ports/asgi_tools/on_error.py") as app:
        await app.says("/key", 404, "Not known: ")
        await app.says("/value", 500, '{"error":"ValueError"}')
        await app.says("/forbidden", 403, "403: Forbidden")
        await app.says("/teapot", 418, "Our own page for 418")
        await app.says("/nope", 404, "Our own page for 404")


async def test_router() -> None:
    async with example("ports/asgi_tools/router.py") as app:
        for path in ("/status", "/stat"):
            await app.says(path, 200, "Everything is fine")
        await app.says("/only-post", 200, "POST", method="POST")
        for path in ("/42", "/42/"):
            await app.says(path, 200, "Number 42")
        await app.says("/hello/bob", 200, "Hello Bob")
        await app.says("/multiply/6/7", 200, "42")
        await app.says("/post/7", 200, "Post #7")
        for path in ("/", "/only-post", "/42x", "/hello/", "/multiply/6/x", "/post/x"):
            await app.says(path, 200, "Default page {}")


async def test_lifespan() -> None:
    async with example("ports/asgi_tools/lifespan.py") as app:
        assert app.program.said_before == ["Started"]
        await app.says("/", 200, '{"started": true}')
        app.program.stop()
        assert await app.line() == "Finished"


async def test_static() -> None:
    async with example("ports/asgi_tools/static.py") as app:
        picture = (FOLDER / "files/selfie.svg").read_text("utf-8")
        await app.says("/static/selfie.svg", 200, picture)
        assert (await app.ask("/static/style.css")).headers["Content-Type"].startswith("text/css")
        for path in ("/static/", "/static/nope", "/static/..%2fstatic.py"):
            assert (await app.ask(path)).status == 404, path
        async with Peer.connect(app.program.port) as peer:
            for target in ("/static/../static.py", "/static/%2e%2e/static.py"):
                assert (await peer.ask(request("GET", target))).status == 404
        await app.says("/staticfoo", 200, "There is /staticfoo too")
        assert (await app.ask("/static/selfie.svg", "POST")).status == 405


async def test_upload_image(tmp_path: Path) -> None:
    async with example("ports/asgi_tools/upload_image.py", str(tmp_path)) as app:
        assert (await app.ask("/image")).status == 404
        for data in (b"\x89PNG one", b"\x89PNG two"):
            got = await app.ask("/", "POST", data={"image": io.BytesIO(data)})
            assert (got.status, '<img src="/image?' in got.text) == (200, True)
            async with app.session.get("/image") as response:
                assert await response.read() == data
                assert response.content_type == "image/png"
        assert (await app.ask("/", "POST", data={"image": "no file"})).status == 400
    assert [path.name for path in tmp_path.iterdir()] == ["image.png"]


async def test_background() -> None:
    log = "[^\n]*POST[^\n]*\n.*LookupError: There is no such list\n"
    async with example("ports/asgi_tools/background.py", log=log) as app:
        await app.says("/", 200, "[]", method="POST", data="bob@a.test")
        await app.says("/", 200, "[]")  # on the same connection, while the mail is on its way
        async with asyncio.timeout(DEADLINE):
            while (await app.ask("/")).text == "[]":
                await asyncio.sleep(0.01)
        await app.says("/", 200, '["bob@a.test"]')


async def test_view() -> None:
    async with example("ports/asgi_tools/view.py") as app:
        await app.says("/custom", 200, "Hello from GET")
        await app.says("/custom", 200, "Hello from POST, text", method="POST", data="text")
        got = await app.ask("/custom", "PUT")
        assert (got.status, got.headers["Allow"]) == (405, "GET, HEAD, POST")


async def test_rates() -> None:
    async def rates(request: web.BaseRequest) -> web.StreamResponse:
        base = request.query["base"]
        if base == "XXX":
            return web.json_response({"error": "not supported"}, status=400)
        return web.json_response({"base": base, "rates": {"GBP": 0.85, "<b>": 2}})

    async with (
        serving(rates) as upstream,
        example("ports/asgi_tools/rates.py", upstream.url("/latest")) as app,
    ):
        got = await app.ask("/")
        assert (got.status, "<h1>Rates for USD</h1>" in got.text) == (200, True)
        assert "<a href='/base/GBP'>GBP</a><td>0.850" in got.text
        assert "&lt;b&gt;" in got.text
        assert "Rates for EUR" in (await app.ask("/base/EUR")).text
        assert (await app.ask("/base/XXX")).status == 404
        assert (await app.ask("/base/eur")).status == 404
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", upstream.port)
    async with example("ports/asgi_tools/rates.py", upstream.url("/latest")) as app:
        await app.says("/", 502, "<h1>There are no rates at the moment</h1>")


async def test_tested_app(tmp_path: Path) -> None:
    async with example("ports/asgi_tools/tested_app.py") as app:
        await app.says("/", 200, "OK")
        await app.says("/size", 200, '{"size":5}', method="POST", data="chunk")
        async with app.session.ws_connect("/websocket") as ws:
            await ws.send_str("ping")
            assert await ws.receive_str() == "pong"
    program = str(FOLDER / "tested_app.py")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-c", "pytest.ini", program]
    options = ["-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        command + options,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout.decode()
    assert b"1 passed" in done.stdout
