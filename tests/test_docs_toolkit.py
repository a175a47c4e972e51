"""Every block of code of docs/toolkit.rst, run as it stands there."""

import asyncio
import io
import logging
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest

import lowlevel as web
from tests.docpages import Page, asking
from tests.support import DEADLINE

PAGE = Page("docs/toolkit.rst")


async def text(
    client: aiohttp.ClientSession, path: str, method: str = "GET", **options: Any
) -> Any:
    """Status and body of the answer to a request."""
    async with client.request(method, path, allow_redirects=False, **options) as response:
        return response.status, await response.text()


async def test_all_of_it_at_once() -> None:
    program = PAGE.run("All of it at once")
    assert program["served"].args == (program["app"],)
    assert program["served"].kwargs == {"port": 8080}
    async with asking(program["app"]) as client:
        async with client.get("/") as response:
            assert (response.content_type, await response.text()) == ("text/html", "Hello")
        async with client.get("/users/a%20b") as response:
            assert await response.json() == {"name": "a b"}
        for path in ("/", "/nowhere"):
            async with client.get(path) as response:
                assert response.headers["X-Served-By"] == "lowlevel"


async def test_routes() -> None:
    routes = PAGE.run("Routes")
    assert isinstance(routes["server"], web.Server)
    async with asking(routes["router"]) as client:
        assert await text(client, "/articles/1") == (200, "One")
        assert await text(client, "/articles/2") == (404, "There is no article 2.")
        assert await text(client, "/articles/one") == (404, "404: Not Found")
        assert await text(client, "/articles", "POST", data="Two") == (201, "")
        assert await text(client, "/articles/", "PUT", data="Three") == (201, "")
        assert await text(client, "/articles/3") == (200, "Three")
        assert await text(client, "/articles/3", "DELETE") == (204, "")
        assert (await text(client, "/articles/3"))[0] == 404
        async with client.put("/articles/1") as response:
            assert (response.status, response.headers["Allow"]) == (405, "DELETE, GET, HEAD")
        assert await text(client, "/articles/1", "HEAD") == (200, "")
    handler, match_info = routes["router"].resolve("GET", "/articles/1")
    assert (handler, match_info) == (routes["show"], {"number": 1})
    assert [route.path for route in routes["router"].routes()] == [
        "/articles/{number:int}",
        "/articles",
        "/articles/",
        "/articles/{number:int}",
    ]


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("/{name}", "/a%2Fb", {"name": "a/b"}),
        ("/{name}", "/", None),
        ("/{name:str}", "/caf%C3%A9", {"name": "café"}),
        ("/{name:int}", "/-1", {"name": -1}),
        ("/{name:int}", "/+1", None),
        ("/{name:int}", "/1_000", None),
        ("/{name:float}", "/-1.5e3", {"name": -1500.0}),
        ("/{name:float}", "/nan", None),
        (
            "/{name:uuid}",
            "/12345678-1234-1234-1234-123456789abc",
            {"name": UUID("12345678-1234-1234-1234-123456789abc")},
        ),
        ("/{name:uuid}", "/12345678123412341234123456789abc", None),
        ("/{name:datetime}", "/2026-01-02T03:04:05", {"name": datetime(2026, 1, 2, 3, 4, 5)}),
        ("/{name:datetime}", "/2026-01-02", {"name": datetime(2026, 1, 2)}),
        ("/{name:datetime:%d.%m.%Y}", "/02.01.2026", {"name": datetime(2026, 1, 2)}),
        ("/{name:datetime:%d.%m.%Y}", "/2026-01-02", None),
        ("/files/{name:path}", "/files/", {"name": ""}),
        ("/files/{name:path}", "/files/a//b/", {"name": "a//b/"}),
        ("/files/{name:path}", "/files", None),
        (r"/{name:\d{2,4}}", "/123", {"name": "123"}),
        (r"/{name:\d{2,4}}", "/1", None),
    ],
)
def test_the_table_of_patterns(pattern: str, path: str, values: dict[str, object] | None) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response()

    router = web.Router()
    router.add_get(pattern, handler)
    if values is None:
        with pytest.raises(web.HTTPNotFound):
            router.resolve("GET", path)
    else:
        assert router.resolve("GET", path) == (handler, values)


async def test_path_patterns() -> None:
    async with PAGE.session("Path patterns", name="router") as client:
        assert await text(client, "/2026-11.html") == (200, "2026, month 11")
        assert await text(client, "/x/") == (200, "x")
        assert (await text(client, "/x/y"))[0] == 404


async def test_mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a.txt").write_text("data")
    async with PAGE.session("Mounts", name="router") as client:
        assert await text(client, "/static/a.txt") == (200, "data")
        for path, expected in (
            ("/reports", "/reports | / | /reports"),
            ("/reports/", "/reports | / | /reports/"),
            ("/reports/a/b", "/reports | /a/b | /reports/a/b"),
        ):
            assert await text(client, path, "POST") == (200, expected)
        assert (await text(client, "/reportsfoo"))[0] == 404


async def test_classes_by_method() -> None:
    async with PAGE.session("Classes by method", name="router") as client:
        assert await text(client, "/articles/7") == (200, "Article 7")
        assert await text(client, "/articles/7", "HEAD") == (200, "")
        assert await text(client, "/articles/7", "DELETE") == (204, "")
        async with client.post("/articles/7") as response:
            assert (response.status, response.headers["Allow"]) == (405, "DELETE, GET, HEAD")


async def test_classes_for_websockets(capsys: pytest.CaptureFixture[str]) -> None:
    async with PAGE.session("Classes for WebSockets", name="router") as client:
        async with client.ws_connect("/rooms/blue") as ws:
            assert await ws.receive_str() == "This is blue."
            await ws.send_str("hi")
            assert await ws.receive_str() == "hi"
            await ws.send_bytes(b"hi")
            assert (await ws.receive()).data == 1003
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect("/rooms/closed")
        assert refused.value.status == 403
        assert (await text(client, "/rooms/blue"))[0] == 426
    assert capsys.readouterr().out == "gone 1003\n"
    async with (
        PAGE.session("Classes for WebSockets", 1, name="router") as client,
        client.ws_connect("/echo") as ws,
    ):
        await ws.send_str("hi")
        assert await ws.receive_str() == "You said: hi"


async def test_middlewares(caplog: pytest.LogCaptureFixture) -> None:
    async with PAGE.session("Middlewares") as client:
        assert (await text(client, "/"))[0] == 401
        headers = {"Authorization": "Bearer secret"}
        assert await text(client, "/", headers=headers) == (403, "Not for you.")
    noted = [record.getMessage() for record in caplog.records if record.name == "refusals"]
    assert noted == ["GET /: 401", "GET /: 403"]


async def test_errors() -> None:
    async with PAGE.session("Errors") as client:
        assert await text(client, "/article") == (404, "There is no article.")
        assert await text(client, "/") == (404, "<h1>Not Found</h1>")


async def test_what_is_no_response() -> None:
    async with PAGE.session("What is no response") as client:
        assert await text(client, "/") == (200, '{"count":3}')


async def rows() -> Any:
    yield b"one"


class Named:
    def __str__(self) -> str:
        return "a name"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (web.Response(text="a"), (200, "text/plain", b"a")),
        ("a", (200, "text/html", b"a")),
        (b"a", (200, "text/html", b"a")),
        ({"a": [1]}, (200, "application/json", b'{"a":[1]}')),
        ([], (200, "application/json", b"[]")),
        (True, (200, "application/json", b"true")),
        (204, (204, "application/octet-stream", b"")),
        ((201, "a"), (201, "text/html", b"a")),
        ((201, [("Content-Type", "text/css")], "a"), (201, "text/css", b"a")),
        ((201, {"Content-Type": "text/css"}, b"a"), (201, "text/css", b"a")),
        ((202,), (202, "application/octet-stream", b"")),
        ((200, [(b"content-type", b"text/css")]), (200, "text/css", b"")),
        (rows, (200, "application/octet-stream", b"one")),
        (Named(), (200, "text/plain", b"a name")),
        (None, (500, "text/plain", None)),
        (object(), (500, "text/plain", None)),
    ],
)
async def test_the_table_of_results(value: object, expected: tuple[int, str, bytes | None]) -> None:
    async def handler(request: web.BaseRequest) -> Any:
        return value

    status, content_type, body = expected
    async with asking(web.compose(handler, web.coerce)) as client, client.get("/") as response:
        assert (response.status, response.content_type) == (status, content_type)
        assert body in (None, await response.read())


async def test_start_and_end() -> None:
    program = PAGE.run("Start and end")
    lifespan = program["lifespan"]
    assert program["served"].args == (program["handler"],)
    assert program["served"].kwargs == {"port": 8080, "lifespan": lifespan}
    runner = web.ServerRunner(web.Server(program["handler"], access_log=None), lifespan=lifespan)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{site.port}") as client:
        assert await text(client, "/") == (200, "open")
    await runner.cleanup()
    assert program["state"] == {"database": "closed"}


async def test_context_managers() -> None:
    chained = PAGE.run("Start and end", 1)
    async with chained["lifespan"]:
        assert chained["log"] == ["open"]
    assert chained["log"] == ["open", "closed"]


async def test_after_the_response() -> None:
    sent = asyncio.Queue[str]()
    definitions = PAGE.run("After the response")
    definitions["send_mail"].__globals__["send_mail"] = sent.put
    async with asking(definitions["handler"]) as client:
        assert (await text(client, "/"))[0] == 202
        async with asyncio.timeout(DEADLINE):
            assert await sent.get() == "someone@example.org"


async def test_application(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="visits")
    app = PAGE.run("Application")["app"]
    async with app.lifespan, asking(app) as client:
        assert await text(client, "/visits", "POST") == (204, "")
        assert await text(client, "/visits") == (200, '{"visits":1}')
        assert (await text(client, "/admin/"))[0] == 404
        async with client.ws_connect("/echo") as ws:
            await ws.send_str("hi")
            assert await ws.receive_str() == "hi"
    assert "another one" in [record.getMessage() for record in caplog.records]
    assert app["visits"] == 1


async def test_an_error_handler_of_an_application() -> None:
    app = PAGE.run("Application")["app"]

    @app.router.get("/wrong")
    async def wrong(request: web.BaseRequest) -> None:
        raise ValueError("That is wrong.")

    async with app.lifespan, asking(app) as client:
        assert await text(client, "/wrong") == (400, "That is wrong.")


async def test_streams() -> None:
    definitions = PAGE.run("Streams")
    async with asking(definitions["shout"]) as client:
        assert await text(client, "/", "POST", data="straße" * 1000) == (200, "STRASSE" * 1000)
        assert (await text(client, "/", "POST", data=io.BytesIO(b"x" * (2**20 + 1))))[0] == 413


def test_no_block_is_left_out() -> None:
    """A block that is new wants a test above."""
    assert PAGE.counts == {
        "All of it at once": 1,
        "Routes": 1,
        "Path patterns": 1,
        "Mounts": 1,
        "Classes by method": 1,
        "Classes for WebSockets": 2,
        "Middlewares": 1,
        "Errors": 1,
        "What is no response": 1,
        "Start and end": 2,
        "After the response": 1,
        "Application": 1,
        "Streams": 1,
    }
