"""The pages docs/from-*.rst: their blocks run as they stand there, and the lines of their tables could."""

import aiohttp
import pytest

from tests.docpages import Page, asking, check_code

AIOHTTP = Page("docs/from-aiohttp.rst")
BAREASGI = Page("docs/from-bareasgi.rst")
ASGI_TOOLS = Page("docs/from-asgi-tools.rst")
STARLETTE = Page("docs/from-starlette.rst")

PAGES = {
    "aiohttp": AIOHTTP,
    "bareasgi": BAREASGI,
    "asgi-tools": ASGI_TOOLS,
    "starlette": STARLETTE,
}


async def text(
    client: aiohttp.ClientSession, path: str, method: str = "GET", **options: object
) -> tuple[int, str]:
    """Status and body of the answer to a request."""
    async with client.request(method, path, **options) as response:  # type: ignore[arg-type]
        return response.status, await response.text()


@pytest.mark.parametrize("name", PAGES)
def test_the_lines_of_the_tables(name: str) -> None:
    lines = list(PAGES[name].literals())
    assert len(lines) > 20
    for line in lines:
        check_code(line)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("web.Response(text=)", SyntaxError),
        ("web.Respond()", AssertionError),
        ("web.Response(txt='a')", AssertionError),
        ("@app.get('/')", None),
        ("class View(web.HTTPEndpoint)", None),
        ("await request.read()", None),
    ],
)
def test_lines_that_cannot_run(line: str, error: type[BaseException] | None) -> None:
    if error is None:
        check_code(line)
    else:
        with pytest.raises(error):
            check_code(line)


async def test_aiohttp() -> None:
    program = AIOHTTP.run("Applications")
    assert program["served"].args == (program["app"],)
    async with asking(program["app"]) as client:
        assert await text(client, "/") == (200, "Hello, Anonymous")
        assert await text(client, "/a%20b") == (200, "Hello, a b")


async def test_bareasgi() -> None:
    program = BAREASGI.run()
    assert program["served"].args == (program["app"],)
    assert program["served"].kwargs == {"port": 9009}
    async with asking(program["app"]) as client:
        assert await text(client, "/test") == (200, "This is not a test")
        async with client.post("/test") as response:
            assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


async def test_bareasgi_rest() -> None:
    async with BAREASGI.session("REST", name="app") as client:
        async with client.get("/info") as response:
            assert await response.json() == {"name": "Michael Caine"}
        assert (await text(client, "/info", "POST", json={"name": "Bob"}))[0] == 204
        assert (await text(client, "/info", "POST", data=b"{"))[0] == 400
        async with client.get("/info") as response:
            assert await response.json() == {"name": "Bob"}


async def test_bareasgi_websockets() -> None:
    async with BAREASGI.session("WebSockets", name="app") as client:
        async with client.ws_connect("/test") as ws:
            await ws.send_str("hi")
            assert await ws.receive_str() == "You said: hi"
        assert (await text(client, "/test"))[0] == 426
    async with BAREASGI.session("WebSockets", 1, name="app") as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect("/test")
        assert refused.value.status == 403
        async with client.ws_connect("/test", origin="http://a.test", protocols=["echo"]) as ws:
            assert ws.protocol == "echo"
            await ws.send_str("hi")
            assert await ws.receive_str() == "hi"
            assert (await ws.receive()).data == 1000


async def test_bareasgi_four_arguments() -> None:
    async with BAREASGI.session("Names: 3.x", name="app") as client:
        async with client.get("/test") as response:
            assert response.headers["Content-Type"] == "text/plain"
            assert await response.text() == "This is not a test"
        assert (await text(client, "/test", "POST", data="This is"))[0] == 204
        assert await text(client, "/test") == (200, "This is")


async def test_asgi_tools() -> None:
    program = ASGI_TOOLS.run()
    assert program["served"].args == (program["app"],)
    async with asking(program["app"]) as client:
        async with client.get("/") as response:
            assert (response.content_type, await response.text()) == ("text/html", "Hello World!")
        assert (await text(client, "/nowhere"))[0] == 404


async def test_asgi_tools_requests() -> None:
    heading = "Requests and responses without an application"
    async with ASGI_TOOLS.session(heading) as client:
        async with client.get("/a?b=1", headers={"Cookie": "c=2"}) as response:
            facts = await response.json()
        assert facts["url"].endswith("/a?b=1")
        assert facts["headers"]["Cookie"] == "c=2"
        assert (facts["query"], facts["cookies"], facts["charset"]) == (
            {"b": "1"},
            {"c": "2"},
            None,
        )
    async with ASGI_TOOLS.session(heading, 1) as client:
        for path in ("/status", "/stat"):
            assert await text(client, path) == (200, "STATUS")
        assert await text(client, "/only-post", "POST") == (201, "POSTED")
        assert await text(client, "/only-post") == (200, "Nothing here")
        assert await text(client, "/42/") == (200, "NUMBER")
        assert await text(client, "/42x") == (200, "Nothing here")
        assert await text(client, "/multiply/6/7") == (200, "42")


async def test_starlette() -> None:
    program = STARLETTE.run()
    assert program["served"].args == (program["App"],)
    async with asking(program["App"]) as client:
        assert await text(client, "/any/path") == (200, "Hello, world!")
        assert await text(client, "/", "HEAD") == (200, "")
        async with client.post("/") as response:
            assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")
    async with STARLETTE.session("", 1, name="router") as client:
        assert await text(client, "/") == (200, "Hello, world!")
        assert await text(client, "/bob") == (200, "Hello, bob")
        assert (await text(client, "/bob", "DELETE"))[0] == 405


async def test_starlette_websockets() -> None:
    async with (
        STARLETTE.session("WebSockets", name="App") as client,
        client.ws_connect("/") as ws,
    ):
        await ws.send_bytes(b"x")
        assert await ws.receive_bytes() == b"Message: x"
        await ws.send_str("x")
        assert (await ws.receive()).data == 1003
    async with STARLETTE.session("WebSockets", 1, name="router") as client:
        assert (await text(client, "/"))[0] == 200
        assert (await text(client, "/ws"))[0] == 426
        async with client.ws_connect("/ws") as ws:
            await ws.send_str("hi")
            assert await ws.receive_str() == "Message text was: hi"


def test_no_block_is_left_out() -> None:
    """A block that is new wants a test above."""
    assert AIOHTTP.counts == {"Applications": 1}
    assert BAREASGI.counts == {"": 1, "REST": 1, "WebSockets": 2, "Names: 3.x": 1}
    assert ASGI_TOOLS.counts == {"": 1, "Requests and responses without an application": 2}
    assert STARLETTE.counts == {"": 2, "WebSockets": 2}
