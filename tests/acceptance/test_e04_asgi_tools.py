"""E4 to E34: the examples of asgi-tools."""

import asyncio
import io
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import lowlevel as web
from lowlevel.testing import TestClient
from tests.acceptance.wire import check, check_common, errors, program, refused, wire
from tests.support import Peer, request, serving, until, within
from tests.wsframes import WSPeer, close, text

AnyFunction = Callable[[web.BaseRequest], Any]
Shape = Callable[[AnyFunction], web.Handler]


def bare(handler: AnyFunction) -> web.Handler:
    return handler


def coerced(handler: AnyFunction) -> web.Handler:
    return web.compose(handler, web.coerce)


def routed(handler: AnyFunction) -> web.Handler:
    router = web.Router()
    router.add_route("*", "/{rest:path}", handler)
    return router


def mounted(handler: AnyFunction) -> web.Handler:
    outer, inner = web.Application(), web.Application()
    inner.route("/{rest:path}")(handler)
    outer.mount("/", inner)
    return outer


def application(handler: AnyFunction) -> web.Handler:
    app = web.Application()
    app.route("/{rest:path}")(handler)
    return app


ANY_SHAPE = pytest.mark.parametrize("shape", [bare, coerced, routed, application, mounted])
"""For handlers that return responses."""
COERCING = pytest.mark.parametrize("shape", [coerced, application])
"""For handlers that return what is to become one."""


def content_type(answer: Any) -> str:
    return answer.header("content-type") or ""


# --- E4: the request line -----------------------------------------------------------------


@ANY_SHAPE
async def test_e04_request_line(shape: Shape) -> None:
    """E4: method and path, without the query."""

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(text=f"{request.method} {request.path}")

    async with serving(shape(handler)) as site, wire(site.port) as client:
        assert (await client.ask("PUT", "/a/b?x=1", body=b"x")).body == b"PUT /a/b"
        assert (await client.ask("DELETE", "/a%20b")).body == b"DELETE /a b"
        head = await client.ask("HEAD", "/a?x=1")
        assert head.header("content-length") == str(len("HEAD /a"))
        assert (await client.ask("GET", "/a?x=1")).body == b"GET /a"


@COERCING
async def test_e04_coerced(shape: Shape) -> None:
    """E4: the same, with the text itself returned."""

    async def handler(request: web.BaseRequest) -> str:
        return f"{request.method} {request.path}"

    async with serving(shape(handler)) as site, wire(site.port) as client:
        answer = await client.ask("PUT", "/a/b?x=1")
        assert (answer.status, answer.body) == (200, b"PUT /a/b")
        assert content_type(answer) == "text/html; charset=utf-8"


async def test_e04_no_response(caplog: pytest.LogCaptureFixture) -> None:
    """E4: a Server alone does not take the text for a response."""

    async def handler(request: web.BaseRequest) -> str:
        return "text"

    async with serving(handler) as site, wire(site.port) as client:
        assert (await client.ask()).status == 500
    [line] = errors(caplog)
    assert "str" in line


# --- E5: attributes and state -------------------------------------------------------------


@ANY_SHAPE
async def test_e05_attributes(shape: Shape) -> None:
    """E5: version, method, scheme, path; the state of one request is not that of the next."""
    key = web.RequestKey("k", str)

    async def handler(request: web.BaseRequest) -> web.Response:
        before = key in request
        request[key] = "v"
        return web.json_response(
            [
                list(request.version),
                request.method,
                request.scheme,
                request.path,
                before,
                request[key],
            ]
        )

    async with serving(shape(handler)) as site, wire(site.port) as client:
        for _ in range(2):
            answer = await client.ask("POST", "/a/b")
            assert json.loads(answer.body) == [[1, 1], "POST", "http", "/a/b", False, "v"]
        assert (await client.ask("HEAD", "/")).status == 200
        assert json.loads((await client.ask("GET", "/")).body)[1:4] == ["GET", "http", "/"]


@pytest.mark.filterwarnings("ignore::lowlevel.errors.NotAppKeyWarning")
@ANY_SHAPE
async def test_e05_plain_key(shape: Shape) -> None:
    """E5: plain strings are keys too, also across a middleware."""

    async def look(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
        assert "k" not in request
        request["k"] = 1
        return await handler(request)

    async def handler(request: web.BaseRequest) -> web.Response:
        request["k"] += 1
        return web.Response(text=str(request["k"]))

    async with serving(web.compose(shape(handler), look)) as site, wire(site.port) as client:
        for _ in range(2):
            assert (await client.ask()).body == b"2"


# --- E6: echo -----------------------------------------------------------------------------


async def echo(request: web.BaseRequest) -> web.Response:
    chunks = [chunk async for chunk in request.content]
    return web.Response(body=b"".join(chunks), content_type=request.content_type)


async def echo_any(request: web.BaseRequest) -> web.Response:
    chunks = [chunk async for chunk in request.content.iter_any()]
    return web.Response(body=b"".join(chunks), content_type=request.content_type)


@pytest.mark.parametrize("handler", [echo, echo_any])
@pytest.mark.parametrize(
    "data", [bytes(range(256)) * 4096, bytes(1024**2)], ids=["lines", "no lines"]
)
@ANY_SHAPE
async def test_e06_echo(shape: Shape, data: bytes, handler: AnyFunction) -> None:
    """E6: a chunked megabyte comes back as it was, with its type; so does nothing at all."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 100_000):
            yield data[start : start + 100_000]

    async with TestClient(shape(handler)) as client:
        headers = {"Content-Type": "application/x-thing"}
        async with client.post("/", data=pieces(), headers=headers) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "application/x-thing"
            assert await response.read() == data
        async with client.post("/", headers=headers) as response:
            assert response.headers["Content-Type"] == "application/x-thing"
            assert await response.read() == b""


@ANY_SHAPE
async def test_e06_expect(shape: Shape) -> None:
    """E6: who expects 100-continue gets it before the body is sent, once."""
    async with serving(shape(echo)) as site, Peer.connect(site.port) as peer:
        await peer.send(request("POST", "/", "Content-Length: 4", "Expect: 100-continue"))
        assert (await peer.answer()).status == 100
        await peer.send(b"body")
        answer = await peer.answer()
        check(answer)
        assert (answer.status, answer.body) == (200, b"body")
        assert (await peer.ask(request("POST", "/", body=b"next"))).body == b"next"


async def test_e06_common() -> None:
    """E6: what all rows have in common."""
    async with serving(echo) as site:
        await check_common(site.port)


# --- E7: what a request tells -------------------------------------------------------------


@ANY_SHAPE
async def test_e07_report(shape: Shape) -> None:
    """E7: headers in any case, two cookies, repeated query keys in order, charset, the url with its query."""

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.json_response(
            {
                "headers": [request.headers["x-THING"], "X-Thing" in request.headers],
                "cookies": dict(request.cookies),
                "query": list(request.query.items()),
                "all": request.query.getall("a"),
                "charset": request.charset,
                "content_type": request.content_type,
                "url": str(request.url),
            }
        )

    async with serving(shape(handler)) as site, wire(site.port) as client:
        answer = await client.ask(
            "POST",
            "/path?a=1&b=x%20y&a=2",
            "x-thing: value",
            "Cookie: one=1; two=zwei",
            "Content-Type: text/plain; charset=latin-1",
            body=b"x",
        )
        assert json.loads(answer.body) == {
            "headers": ["value", True],
            "cookies": {"one": "1", "two": "zwei"},
            "query": [["a", "1"], ["b", "x y"], ["a", "2"]],
            "all": ["1", "2"],
            "charset": "latin-1",
            "content_type": "text/plain",
            "url": "http://a.test/path?a=1&b=x%20y&a=2",
        }
        await check_common(site.port, "/?a=", "x-thing: y")


async def test_e07_defaults() -> None:
    """E7: without any of it: no cookies, no query, application/octet-stream, no charset."""

    async def handler(request: web.BaseRequest) -> web.Response:
        facts = [dict(request.cookies), list(request.query), request.content_type, request.charset]
        return web.json_response(facts)

    async with serving(handler) as site:
        answer = await check_common(site.port)
    assert json.loads(answer.body) == [{}, [], "application/octet-stream", None]


# --- E8: the body -------------------------------------------------------------------------


def told(value: object) -> Any:
    """What JSON can carry of a form, of a text, of bytes."""
    if isinstance(value, Mapping):
        return {name: told(item) for name, item in value.items()}
    if isinstance(value, web.FileField):
        return [value.name, value.filename, value.content_type, value.file.read().decode("latin-1")]
    if isinstance(value, bytes):
        return ["bytes", value.decode("latin-1")]
    return value


async def body_helpers(request: web.BaseRequest) -> web.Response:
    match request.path:
        case "/read":
            return web.json_response([told(await request.read()), told(await request.read())])
        case "/text":
            return web.json_response([await request.text(), await request.text()])
        case "/form":
            return web.json_response(told(await request.post()))
        case "/small":
            return web.json_response(told(await request.post(max_size=100)))
        case "/json":
            return web.json_response(await request.json())
        case "/data":
            return web.json_response(told(await request.data()))
        case _:
            return web.json_response(told(await request.data(raise_errors=True)))


URLENCODED = "Content-Type: application/x-www-form-urlencoded"
JSON = "Content-Type: application/json"
BOUNDARY = "Content-Type: multipart/form-data; boundary=xx"
MULTIPART = (
    b'--xx\r\nContent-Disposition: form-data; name="field"\r\n\r\nvalue\r\n'
    b'--xx\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
    b"Content-Type: application/x-thing\r\n\r\n\0\xff\r\n\r\n--xx--\r\n"
)


@ANY_SHAPE
async def test_e08_helpers(shape: Shape) -> None:
    """E8: read and text, twice; a form of either kind; JSON; data as the Content-Type says."""
    form = {"field": "value", "file": ["file", "a.bin", "application/x-thing", "\0\xff\r\n"]}
    cases: list[tuple[str, tuple[str, ...], bytes, Any]] = [
        ("/read", (), b"\0\xff", [["bytes", "\0\xff"]] * 2),
        ("/text", ("Content-Type: text/plain; charset=latin-1",), b"\xe4", ["ä", "ä"]),
        ("/text", (), "ä".encode(), ["ä", "ä"]),
        ("/form", (URLENCODED,), b"a=1&b=x+%C3%A4&c", {"a": "1", "b": "x ä", "c": ""}),
        ("/form", (BOUNDARY,), MULTIPART, form),
        ("/form", ("Content-Type: text/plain",), b"a=1", {}),
        ("/json", (), b'{"a": [1, null]}', {"a": [1, None]}),
        ("/json", (JSON,), b"5", 5),
        ("/data", (URLENCODED,), b"a=1", {"a": "1"}),
        ("/data", (BOUNDARY,), MULTIPART, form),
        ("/data", (JSON,), b"[1]", [1]),
        ("/data", ("Content-Type: text/x-thing",), b"text", "text"),
        ("/data", ("Content-Type: image/png",), b"png", ["bytes", "png"]),
        ("/data", (), b"none", ["bytes", "none"]),
        ("/data", (JSON,), b"{", ["bytes", "{"]),
    ]
    async with serving(shape(body_helpers)) as site:
        async with wire(site.port) as client:
            for target, fields, body, expected in cases:
                answer = await client.ask("POST", target, *fields, body=body)
                assert (answer.status, json.loads(answer.body)) == (200, expected), (target, body)
        await check_common(site.port, "/read")


@ANY_SHAPE
async def test_e08_bad_bodies(shape: Shape, caplog: pytest.LogCaptureFixture) -> None:
    """E8: what cannot be decoded is a 400, what is too large a 413, and neither is an error of ours."""
    cases: list[tuple[str, tuple[str, ...], bytes, int]] = [
        ("/json", (), b"{", 400),
        ("/json", (), b"", 400),
        ("/text", ("Content-Type: text/plain; charset=utf-8",), b"\xff", 400),
        ("/form", ("Content-Type: multipart/form-data",), MULTIPART, 400),
        ("/form", (BOUNDARY,), MULTIPART[:-20], 400),
        ("/data-strictly", (JSON,), b"{", 400),
        ("/small", (URLENCODED,), b"a=" + b"1" * 99, 413),
        ("/small", (BOUNDARY,), MULTIPART, 413),
    ]
    async with serving(shape(body_helpers)) as site:
        for target, fields, body, status in cases:
            async with Peer.connect(site.port) as peer:
                answer = await peer.ask(request("POST", target, *fields, body=body))
                assert answer.status == status, (target, body)
        async with wire(site.port) as client:
            small = await client.ask("POST", "/small", URLENCODED, body=b"a=" + b"1" * 98)
            assert small.status == 200
    assert errors(caplog) == []


async def test_e08_client_max_size() -> None:
    """E8: without max_size the limit is the server's, for whatever reads the body."""
    async with serving(body_helpers, client_max_size=10) as site:
        for target in ("/read", "/text", "/json", "/data"):
            async with Peer.connect(site.port) as peer:
                answer = await peer.ask(request("POST", target, body=b'"90123456789"'))
                assert answer.status == 413, target


# --- E9: responses of text, HTML, JSON ----------------------------------------------------


@pytest.mark.parametrize(
    ("make", "kind", "body"),
    [
        pytest.param(
            lambda: web.Response(text="Hello, world!", content_type="text/plain"),
            "text/plain; charset=utf-8",
            b"Hello, world!",
            id="Response",
        ),
        pytest.param(
            lambda: web.Response(text="Привет"),
            "text/plain; charset=utf-8",
            "Привет".encode(),
            id="text",
        ),
        pytest.param(
            lambda: web.Response(text="<p>ä", content_type="text/html"),
            "text/html; charset=utf-8",
            "<p>ä".encode(),
            id="html",
        ),
        pytest.param(
            lambda: web.json_response({"hello": [1, None, True]}),
            "application/json",
            b'{"hello": [1, null, true]}',
            id="json",
        ),
    ],
)
@ANY_SHAPE
async def test_e09_kinds(shape: Shape, make: Callable[[], Any], kind: str, body: bytes) -> None:
    """E9: 200 with the exact body, its type, and its length in bytes."""

    async def handler(request: web.BaseRequest) -> web.Response:
        response: web.Response = make()
        return response

    async with serving(shape(handler)) as site:
        answer = await check_common(site.port)
    assert answer.status == 200
    assert content_type(answer).removesuffix("; charset=utf-8") == kind.removesuffix(
        "; charset=utf-8"
    )
    if kind.startswith("text/"):
        assert content_type(answer) == kind
    assert answer.body == body
    assert answer.header("content-length") == str(len(body))


@pytest.mark.parametrize(
    ("value", "kind", "body"),
    [
        ("<p>ä", "text/html; charset=utf-8", "<p>ä".encode()),
        (b"<p>", "text/html; charset=utf-8", b"<p>"),
        ({"a": "ä"}, "application/json", '{"a":"ä"}'.encode()),
        ([1, 2], "application/json", b"[1,2]"),
        (True, "application/json", b"true"),
    ],
)
@pytest.mark.parametrize("in_a_thread", [False, True])
async def test_e09_values(value: object, kind: str, body: bytes, in_a_thread: bool) -> None:
    """E9: the same from plain values, of coroutine functions and of plain ones."""
    app = web.Application()

    async def handler(request: web.BaseRequest) -> object:
        return value

    def plain(request: web.BaseRequest) -> object:
        return value

    app.router.add_get("/", plain if in_a_thread else handler)
    async with serving(app) as site:
        answer = await check_common(site.port)
    assert (answer.status, answer.body) == (200, body)
    assert content_type(answer).startswith(kind)


# --- E10: cookies -------------------------------------------------------------------------


@ANY_SHAPE
async def test_e10_cookie(shape: Shape) -> None:
    """E10: a cookie with a path is one header, spelt exactly so."""

    async def handler(request: web.BaseRequest) -> web.Response:
        response = web.Response(text="OK")
        response.cookies["rocky"] = "road"
        response.cookies["rocky"]["path"] = "/cookie"
        return response

    async with serving(shape(handler)) as site:
        answer = await check_common(site.port)
    assert answer.headers["set-cookie"] == ["rocky=road; Path=/cookie"]


# --- E11, E12: redirects ------------------------------------------------------------------


@pytest.mark.parametrize("how", ["returned", "raised"])
@ANY_SHAPE
async def test_e11_redirect(shape: Shape, how: str) -> None:
    """E11: 307 with the location as it was given; the client follows it with its method."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/login":
            return web.Response(text=f"{request.method} login {await request.text()}")
        if how == "raised":
            raise web.HTTPTemporaryRedirect("/login")
        return web.HTTPTemporaryRedirect("/login")

    async with serving(shape(handler)) as site:
        answer = await check_common(site.port, "/other")
    assert (answer.status, answer.headers["location"]) == (307, ["/login"])
    async with TestClient(shape(handler)) as client:
        response = await client.post("/other", data="abc")
        assert (response.status, await response.text()) == (200, "POST login abc")
        assert [earlier.status for earlier in response.history] == [307]


@pytest.mark.parametrize(
    ("location", "sent"),
    [("/a b/c", "/a%20b/c"), ("/я", "/%D1%8F")],
)
async def test_e11_location(location: str, sent: str) -> None:
    """E11: the location is percent-encoded."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.HTTPFound(location)

    async with serving(handler) as site:
        answer = await check_common(site.port)
    assert answer.headers["location"] == [sent]


async def test_e11_location_of_two_lines() -> None:
    """E11: what would make two lines is no location."""
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        web.HTTPFound("/a\r\nSet-Cookie: b=c")


@COERCING
async def test_e12_guard(shape: Shape) -> None:
    """E12: 307 without Authorization, OK as HTML with it."""

    async def handler(request: web.BaseRequest) -> str:
        if not request.headers.get("Authorization"):
            raise web.HTTPTemporaryRedirect("/login")
        return "OK"

    async with serving(shape(handler)) as site:
        answer = await check_common(site.port)
        assert (answer.status, answer.headers["location"]) == (307, ["/login"])
        answer = await check_common(site.port, "/", "Authorization: Basic x")
        assert (answer.status, answer.body) == (200, b"OK")
        assert content_type(answer) == "text/html; charset=utf-8"


# --- E13 to E15: errors -------------------------------------------------------------------


@pytest.mark.parametrize("how", ["returned", "raised"])
@ANY_SHAPE
async def test_e13_error(shape: Shape, how: str) -> None:
    """E13: an error of any status, with its text."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if how == "raised":
            raise web.http_error(502, "Timeout")
        return web.http_error(502, "Timeout")

    async with serving(shape(handler)) as site:
        answer = await check_common(site.port)
    assert (answer.status, answer.reason, answer.body) == (502, "Bad Gateway", b"Timeout")


@COERCING
async def test_e14_bad_request(shape: Shape) -> None:
    """E14: 400 with a text unless POST, which gets OK."""

    async def handler(request: web.BaseRequest) -> str:
        if request.method != "POST":
            raise web.HTTPBadRequest(text="Invalid request data")
        return "OK"

    async with serving(shape(handler)) as site:
        answer = await check_common(site.port)
        assert (answer.status, answer.body) == (400, b"Invalid request data")
        async with wire(site.port) as client:
            answer = await client.ask("POST", "/", body=b"x")
            assert (answer.status, answer.body) == (200, b"OK")


@COERCING
async def test_e14_in_a_thread(shape: Shape) -> None:
    """E14: the same as a plain function, in a thread."""

    def handler(request: web.BaseRequest) -> str:
        if request.method != "POST":
            raise web.HTTPBadRequest(text=threading.current_thread().name)
        return "OK"

    async with serving(shape(handler)) as site, wire(site.port) as client:
        answer = await client.ask("GET", "/")
        assert answer.status == 400
        assert answer.body.decode() != threading.main_thread().name
        assert (await client.ask("POST", "/", body=b"x")).body == b"OK"


async def test_e15_some_errors() -> None:
    """E15: the three of the example."""
    made: dict[str, web.HTTPException] = {
        "/1": web.HTTPBadRequest(text="invalid data"),
        "/2": web.HTTPNotFound(),
        "/3": web.HTTPBadGateway(),
    }

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        raise type(made[request.path])(text=made[request.path].text)

    async with serving(handler) as site:
        answers = [await check_common(site.port, path) for path in made]
    assert [(answer.status, answer.reason, answer.body) for answer in answers] == [
        (400, "Bad Request", b"invalid data"),
        (404, "Not Found", b"404: Not Found"),
        (502, "Bad Gateway", b"502: Bad Gateway"),
    ]
    assert {content_type(answer) for answer in answers} == {"text/plain; charset=utf-8"}


async def test_e15_every_status() -> None:
    """E15: http_error for each 4xx and 5xx that HTTPStatus knows."""
    statuses = [status for status in HTTPStatus if status >= 400]
    assert len(statuses) >= 39

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        raise web.http_error(int(request.path[1:]))

    async with serving(handler) as site, wire(site.port) as client:
        for status in statuses:
            answer = await client.ask("GET", f"/{status.value}")
            assert (answer.status, answer.reason) == (status.value, status.phrase)
            assert answer.body == f"{status.value}: {status.phrase}".encode()


def test_e15_a_class_for_every_status() -> None:
    """E15: each has a class of its own, also those that aiohttp does not know."""
    classes = [getattr(web, name) for name in dir(web) if name.startswith("HTTP")]
    known = {
        cls.status_code
        for cls in classes
        if isinstance(cls, type) and issubclass(cls, web.HTTPException)
    }
    assert {status.value for status in HTTPStatus if status >= 400} <= known
    for name, status in (
        ("HTTPImATeapot", 418),
        ("HTTPLocked", 423),
        ("HTTPTooEarly", 425),
        ("HTTPLoopDetected", 508),
    ):
        assert getattr(web, name)().status == status
        assert type(web.http_error(status)) is getattr(web, name)


@pytest.mark.parametrize("status", [200, 302, 100, 0, 399, 600])
def test_e15_no_error(status: int) -> None:
    """E15: http_error is for errors."""
    with pytest.raises(ValueError, match=str(status)):
        web.http_error(status)


# --- E16: streams -------------------------------------------------------------------------


class Steps:
    """A source of pieces, each made only when the client has seen the one before."""

    def __init__(self, pieces: list[Any]) -> None:
        self.pieces = pieces
        self.seen = asyncio.Semaphore(0)
        self.made = 0
        self.ended = asyncio.Event()

    async def __call__(self) -> AsyncIterator[Any]:
        try:
            for piece in self.pieces:
                self.made += 1
                yield piece
                await self.seen.acquire()
        finally:
            self.ended.set()


def streaming(body: Any) -> AnyFunction:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=body(), content_type="plain/text")

    return handler


@pytest.mark.parametrize("kind", ["generator", "function"])
@ANY_SHAPE
async def test_e16_numbers(shape: Shape, kind: str) -> None:
    """E16: ten numbers, each at the client before the next one is made."""
    steps = Steps([b"%d" % number for number in range(10)])
    source = steps if kind == "generator" else lambda: steps
    async with TestClient(shape(streaming(source))) as client:
        async with client.get("/") as response, asyncio.timeout(20):
            assert response.headers["Content-Type"] == "plain/text"
            assert response.headers["Transfer-Encoding"] == "chunked"
            pieces = []
            async for piece in response.content.iter_any():
                pieces.append(piece)
                assert steps.made == len(pieces)
                steps.seen.release()
        assert b"".join(pieces) == b"0123456789"
        assert steps.ended.is_set()


@pytest.mark.parametrize("kind", ["generator", "function"])
@COERCING
async def test_e16_coerced(shape: Shape, kind: str) -> None:
    """E16: an async generator, or its function, is itself a stream where values are coerced."""

    async def numbers() -> AsyncIterator[bytes]:
        for number in range(10):
            yield b"%d" % number

    async def handler(request: web.BaseRequest) -> Any:
        return numbers() if kind == "generator" else numbers

    async with serving(shape(handler)) as site:
        answer = await check_common(site.port)
    assert (answer.status, answer.body) == (200, b"0123456789")
    assert content_type(answer) == "application/octet-stream"


@ANY_SHAPE
async def test_e16_reset(shape: Shape, caplog: pytest.LogCaptureFixture) -> None:
    """E16: a client that resets the connection ends the generator where it waits, without a word in the log."""
    steps = Steps([b"0"] * 10)
    async with serving(shape(streaming(steps))) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(request())
            await peer.read_head()
            assert await within(peer.reader.readexactly(6)) == b"1\r\n0\r\n"
            peer.reset()
            await within(steps.ended.wait())
        await site.idle()
    assert steps.made == 1
    assert errors(caplog) == []


@ANY_SHAPE
async def test_e16_leaving(shape: Shape, caplog: pytest.LogCaptureFixture) -> None:
    """E16: a client that closes early ends the generator when it has more to send."""
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"0"
                await asyncio.sleep(0.001)
        finally:
            ended.set()

    async with TestClient(shape(streaming(endless))) as client:
        async with client.get("/") as response:
            assert await within(response.content.readany()) == b"0"
            response.close()
        await within(ended.wait())
        assert (await client.head("/")).status == 200
    assert errors(caplog) == []


# --- E17: server-sent events --------------------------------------------------------------


@ANY_SHAPE
async def test_e17_events(shape: Shape) -> None:
    """E17: text as it is, a mapping line by line; each event arrives before the next one is made."""
    steps = Steps(["data: message text", {"event": "ping", "data": 12}])

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.EventSourceResponse(steps())

    async with (
        TestClient(shape(handler)) as client,
        client.get("/") as response,
        asyncio.timeout(20),
    ):
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"] == "no-cache"
        assert await response.content.readuntil(b"\n\n") == b"data: message text\n\n"
        assert steps.made == 1
        steps.seen.release()
        assert await response.content.readuntil(b"\n\n") == b"event: ping\ndata: 12\n\n"
        steps.seen.release()
        assert await response.read() == b""


async def test_e17_client_leaves(caplog: pytest.LogCaptureFixture) -> None:
    """E17: a client that leaves ends the source."""
    steps = Steps(["data: 1", "data: 2"])

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.EventSourceResponse(steps())

    async with serving(handler) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(request())
            await peer.read_head()
        await within(steps.ended.wait())
        await site.idle()
    assert errors(caplog) == []


# --- E18: files ---------------------------------------------------------------------------


@pytest.fixture
def selfie(tmp_path: Path) -> Path:
    path = tmp_path / "selfie.jpeg"
    path.write_bytes(b"jpeg!")
    return path


def e18_router(path: Path, name: str) -> web.Handler:
    router = web.Router()

    @router.get("/selfie")
    async def inline(request: web.BaseRequest) -> web.StreamResponse:
        return web.FileResponse(path)

    @router.get("/missing")
    async def missing(request: web.BaseRequest) -> web.StreamResponse:
        return web.FileResponse(path.parent / "missing.jpeg")

    @router.get("/folder")
    async def folder(request: web.BaseRequest) -> web.StreamResponse:
        return web.FileResponse(path.parent)

    @router.get("/{rest:path}")
    async def download(request: web.BaseRequest) -> web.StreamResponse:
        return web.FileResponse(path, filename=name)

    return router


async def test_e18_inline(selfie: Path) -> None:
    """E18: type, length, Last-Modified, a quoted ETag, ranges, and no Content-Disposition."""
    async with serving(e18_router(selfie, "movie.mp4")) as site:
        answer = await check_common(site.port, "/selfie")
        assert (answer.status, answer.body) == (200, b"jpeg!")
        assert content_type(answer) == "image/jpeg"
        assert answer.header("content-length") == "5"
        assert answer.header("last-modified")
        assert answer.header("accept-ranges") == "bytes"
        assert re.fullmatch(r'(W/)?"[^"]+"', answer.header("etag") or "")
        assert "content-disposition" not in answer.headers


@pytest.mark.parametrize("name", ["movie.mp4", "фильм.mp4"])
async def test_e18_download(selfie: Path, name: str) -> None:
    """E18: as an attachment, with the name and the type of the name."""
    async with serving(e18_router(selfie, name)) as site:
        answer = await check_common(site.port, "/anything")
    disposition = answer.header("content-disposition") or ""
    assert disposition.startswith("attachment")
    if name.isascii():
        assert 'filename="movie.mp4"' in disposition or "filename=movie.mp4" in disposition
    else:
        assert "filename*=utf-8''%D1%84%D0%B8%D0%BB%D1%8C%D0%BC.mp4" in disposition.replace(
            "UTF", "utf"
        )
    assert content_type(answer) == "video/mp4"


async def test_e18_conditions(selfie: Path) -> None:
    """E18: ranges, a bad range, If-None-Match, a missing file, a folder."""
    async with serving(e18_router(selfie, "movie.mp4")) as site, wire(site.port) as client:
        part = await client.ask("GET", "/selfie", "Range: bytes=1-2")
        assert (part.status, part.body) == (206, b"pe")
        assert part.header("content-range") == "bytes 1-2/5"
        bad = await client.ask("GET", "/selfie", "Range: bytes=9-")
        assert (bad.status, bad.header("content-range")) == (416, "bytes */5")
        etag = part.header("etag")
        same = await client.ask("GET", "/selfie", f"If-None-Match: {etag}")
        assert (same.status, same.body, same.header("etag")) == (304, b"", etag)
        assert (await client.ask("GET", "/missing")).status == 404
        assert (await client.ask("GET", "/folder")).status in (403, 404)
        assert (await client.ask("GET", "/selfie")).body == b"jpeg!"


# --- E19: websocket -----------------------------------------------------------------------


async def ping_pong(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
    while True:
        msg = await ws.receive_str()
        if msg == "ping":
            await ws.send_str("pong")
        elif msg == "bye":
            return


def e19_handler() -> web.Handler:
    return web.websocket(ping_pong)


def e19_router() -> web.Handler:
    router = web.Router()
    router.websocket("/websocket")(ping_pong)
    return router


def e19_application() -> web.Handler:
    app = web.Application()
    app.websocket("/websocket")(ping_pong)
    return app


E19 = pytest.mark.parametrize("make", [e19_handler, e19_router, e19_application])


@E19
async def test_e19_ping_pong(make: Callable[[], web.Handler]) -> None:
    """E19: ping is answered with pong; on return the server closes with 1000."""
    async with serving(make()) as site, WSPeer.connect(site.port, path="/websocket") as peer:
        for _ in range(3):
            await peer.send(text("ping"))
            assert await peer.read_text() == "pong"
        await peer.send(text("bye"))
        assert (await peer.read_close())[0] == 1000
        await peer.send(close(1000))
        await peer.eof()


@E19
async def test_e19_without_upgrade(make: Callable[[], web.Handler]) -> None:
    """E19: a request without upgrade is told to upgrade."""
    async with serving(make()) as site:
        assert (await check_common(site.port, "/websocket")).status == 426


# --- E20 to E22: middlewares --------------------------------------------------------------


def auth(handler: web.Handler) -> web.Handler:
    async def inner(request: web.BaseRequest) -> web.StreamResponse:
        if "Authorization" not in request.headers:
            return web.HTTPUnauthorized(text="who are you?")
        return await handler(request)

    return inner


async def hello(request: web.BaseRequest) -> web.Response:
    return web.Response(text="hello")


def e20_by_hand() -> web.Handler:
    return auth(hello)


def e20_compose() -> web.Handler:
    return web.compose(hello, auth)


def e20_decorator() -> web.Handler:
    app = web.Application()
    app.middleware(auth)
    app.router.get("/")(hello)
    return app


def e20_argument() -> web.Handler:
    app = web.Application(middlewares=[auth])
    app.router.get("/")(hello)
    return app


def e20_appended() -> web.Handler:
    app = web.Application()
    app.router.get("/")(hello)
    app.middlewares.append(auth)
    return app


@pytest.mark.parametrize(
    "make", [e20_by_hand, e20_compose, e20_decorator, e20_argument, e20_appended]
)
async def test_e20_wrapper(make: Callable[[], web.Handler]) -> None:
    """E20: 401 without Authorization, the response of the handler inside with it."""
    async with serving(make()) as site:
        answer = await check_common(site.port)
        assert (answer.status, answer.body) == (401, b"who are you?")
        answer = await check_common(site.port, "/", "Authorization: x")
        assert (answer.status, answer.body) == (200, b"hello")


def test_e20_decorator_returns_the_wrapper() -> None:
    """E20: what decorates a middleware gives it back."""
    app = web.Application()
    assert app.middleware(auth) is auth
    assert list(app.middlewares) == [auth]


async def forbidden(request: web.BaseRequest) -> web.Response:
    raise web.HTTPForbidden(text="no")


async def agent(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
    response = await handler(request)
    response.headers["x-agent"] = "SimpleX"
    return response


def e21_compose() -> web.Handler:
    router = web.Router()
    router.add_get("/", hello)
    router.add_get("/forbidden", forbidden)
    router.add_websocket("/ws", web.websocket(ping_pong))
    return web.compose(router, agent)


def e21_application() -> web.Handler:
    app = web.Application()
    app.middleware(agent)
    app.router.get("/")(hello)
    app.router.get("/forbidden")(forbidden)
    app.websocket("/ws")(ping_pong)
    return app


E21 = pytest.mark.parametrize("make", [e21_compose, e21_application])


@E21
async def test_e21_header_on_everything(make: Callable[[], web.Handler]) -> None:
    """E21: the header is on a 200, on the router's 404 and 405, and on a raised 403."""
    async with serving(make()) as site:
        for target, status in (("/", 200), ("/nope", 404), ("/forbidden", 403), ("/ws", 426)):
            answer = await check_common(site.port, target)
            assert (answer.status, answer.headers["x-agent"]) == (status, ["SimpleX"])
        async with wire(site.port) as client:
            answer = await client.ask("POST", "/")
            assert (answer.status, answer.headers["x-agent"]) == (405, ["SimpleX"])
            assert answer.headers["allow"] == ["GET, HEAD"]


@E21
async def test_e21_websocket(
    make: Callable[[], web.Handler], caplog: pytest.LogCaptureFixture
) -> None:
    """E21: a websocket goes through the middleware and nothing breaks."""
    async with serving(make()) as site:
        async with WSPeer.connect(site.port, path="/ws") as peer:
            await peer.send(text("ping"))
            assert await peer.read_text() == "pong"
            await peer.send(text("bye"))
            assert (await peer.read_close())[0] == 1000
            await peer.send(close(1000))
            await peer.eof()
        await site.idle()
    assert errors(caplog) == []


def logging_mw(name: str, log: list[str]) -> web.Middleware:
    async def middleware(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
        log.append(f"{name} in")
        response = await handler(request)
        log.append(f"{name} out {response.status}")
        return response

    return middleware


@pytest.mark.parametrize("how", ["compose", "application", "decorators"])
async def test_e22_order(how: str) -> None:
    """E22: the first middleware is the first in and the last out, on a 404 as well."""
    log: list[str] = []
    first, second = logging_mw("first", log), logging_mw("second", log)
    router = web.Router()
    router.add_get("/", hello)
    if how == "compose":
        app: web.Handler = web.compose(router, first, second)
    elif how == "application":
        app = web.Application(router=router, middlewares=[first, second])
    else:
        decorated = web.Application(router=router)
        decorated.middleware(first)
        decorated.middleware(second)
        app = decorated
    async with serving(app) as site, wire(site.port) as client:
        assert (await client.ask()).status == 200
        assert log == ["first in", "second in", "second out 200", "first out 200"]
        log.clear()
        assert (await client.ask("GET", "/nope")).status == 404
        assert log == ["first in", "second in", "second out 404", "first out 404"]


def e22_application(handled: list[str]) -> web.Handler:
    app = web.Application()

    @app.on_error(ValueError)
    async def on_value_error(request: web.BaseRequest, exc: ValueError) -> Any:
        handled.append(str(exc))
        return 418, "handled"

    @app.middleware
    async def failing(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
        if request.path == "/middleware":
            raise ValueError("from the middleware")
        return await handler(request)

    @app.route("/middleware", "/handler")
    async def handler(request: web.BaseRequest) -> web.Response:
        raise ValueError("from the handler")

    return app


def e22_compose(handled: list[str]) -> web.Handler:
    on_errors = web.ErrorHandlers()

    @on_errors.on(ValueError)
    def on_value_error(request: web.BaseRequest, exc: ValueError) -> Any:
        handled.append(str(exc))
        return web.Response(status=418, text="handled")

    async def failing(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
        if request.path == "/middleware":
            raise ValueError("from the middleware")
        return await handler(request)

    async def handler(request: web.BaseRequest) -> web.Response:
        raise ValueError("from the handler")

    return web.compose(handler, failing, on_errors)


@pytest.mark.parametrize("make", [e22_application, e22_compose])
async def test_e22_failing_middleware(
    make: Callable[[list[str]], web.Handler], caplog: pytest.LogCaptureFixture
) -> None:
    """E22: the error of a middleware is a 500 and not on_error's; the same from the handler is."""
    handled: list[str] = []
    async with serving(make(handled)) as site:
        answer = await check_common(site.port, "/handler")
        assert (answer.status, answer.body) == (418, b"handled")
        assert errors(caplog) == []
        assert handled == ["from the handler"] * 3
        async with Peer.connect(site.port) as peer:
            assert (await peer.ask(request("GET", "/middleware"))).status == 500
        [line] = errors(caplog)
        assert "ValueError: from the middleware" in line
        assert handled == ["from the handler"] * 3


async def test_e22_caught_outside() -> None:
    """E22: who wants the errors of middlewares too, composes handlers of errors around them."""
    outside = web.ErrorHandlers({ValueError: lambda request, exc: (418, str(exc))})

    async def failing(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
        raise ValueError("from the middleware")

    async with serving(web.compose(hello, outside, failing)) as site:
        answer = await check_common(site.port)
    assert (answer.status, answer.body) == (418, b"from the middleware")


async def test_e22_wrong_middleware(caplog: pytest.LogCaptureFixture) -> None:
    """E22: a middleware that returns no response is a 500 whose log line names it and the type."""

    async def forgetful(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
        await handler(request)
        return None  # type: ignore[return-value]

    async with serving(web.compose(hello, forgetful)) as site, wire(site.port) as client:
        assert (await client.ask()).status == 500
    [line] = errors(caplog)
    assert "forgetful" in line
    assert "NoneType" in line


# --- E23: error handlers ------------------------------------------------------------------


async def failing_by_path(request: web.BaseRequest) -> web.Response:
    what = request.path.strip("/")
    raise {
        "key": KeyError("k"),
        "index": IndexError("i"),
        "value": ValueError("v"),
        "forbidden": web.HTTPForbidden(text="no"),
        "json": web.HTTPNotFound(),
    }[what]


def e23_application() -> web.Handler:
    app = web.Application()
    app.route("/{rest:path}")(failing_by_path)

    @app.on_error(Exception)
    def outdated(request: web.BaseRequest, exc: Exception) -> str:
        raise AssertionError("registered again below")

    @app.on_error(LookupError)
    def on_lookup(request: web.BaseRequest, exc: LookupError) -> Any:
        return 404, f"lookup {type(exc).__name__} at {request.path}"

    @app.on_error(Exception)
    async def on_any(request: web.BaseRequest, exc: Exception) -> Any:
        return {"error": type(exc).__name__}

    return app


def e23_compose() -> web.Handler:
    on_errors = web.ErrorHandlers()

    @on_errors.on(Exception)
    async def on_any(request: web.BaseRequest, exc: Exception) -> Any:
        return {"error": type(exc).__name__}

    @on_errors.on(IndexError, LookupError)
    async def outdated(request: web.BaseRequest, exc: LookupError) -> str:
        return "outdated"

    @on_errors.on(IndexError, LookupError)
    def on_lookup(request: web.BaseRequest, exc: LookupError) -> Any:
        return 404, f"lookup {type(exc).__name__} at {request.path}"

    return web.compose(failing_by_path, on_errors)


E23 = pytest.mark.parametrize("make", [e23_application, e23_compose])


@E23
async def test_e23_nearest_class(make: Callable[[], web.Handler]) -> None:
    """E23: LookupError's takes KeyError, Exception's takes ValueError, neither takes HTTPForbidden."""
    async with serving(make()) as site:
        answer = await check_common(site.port, "/key")
        assert (answer.status, answer.body) == (404, b"lookup KeyError at /key")
        assert (await check_common(site.port, "/index")).body == b"lookup IndexError at /index"
        answer = await check_common(site.port, "/value")
        assert (answer.status, json.loads(answer.body)) == (200, {"error": "ValueError"})
        answer = await check_common(site.port, "/forbidden")
        assert (answer.status, answer.body) == (403, b"no")


async def test_e23_http_errors() -> None:
    """E23: an entry for an HTTPException takes the raised, the returned, and the router's own."""
    app = web.Application()

    @app.on_error(web.HTTPNotFound)
    async def on_not_found(request: web.BaseRequest, exc: web.HTTPNotFound) -> Any:
        return 404, f"no {request.path}"

    @app.on_error(web.HTTPClientError)
    async def on_client_error(request: web.BaseRequest, exc: web.HTTPClientError) -> Any:
        return web.Response(
            status=exc.status, text="yours", headers={"Allow": exc.headers["Allow"]}
        )

    @app.router.get("/returned")
    async def returned(request: web.BaseRequest) -> web.StreamResponse:
        return web.HTTPNotFound()

    async with serving(app) as site:
        assert (await check_common(site.port, "/nope")).body == b"no /nope"
        assert (await check_common(site.port, "/returned")).body == b"no /returned"
        async with wire(site.port) as client:
            answer = await client.ask("POST", "/returned")
            assert (answer.status, answer.body) == (405, b"yours")
            assert answer.headers["allow"] == ["GET, HEAD"]


async def test_e23_value_error_is_not_bad_json() -> None:
    """E23: on_error(ValueError) does not take the 400 of a body that is no JSON, though it is a ValueError."""
    app = web.Application()

    @app.on_error(ValueError)
    async def on_value_error(request: web.BaseRequest, exc: ValueError) -> Any:
        return 418, "taken"

    @app.router.post("/")
    async def post(request: web.BaseRequest) -> Any:
        return await request.json()

    async with serving(app) as site, wire(site.port) as client:
        assert (await client.ask("POST", "/", body=b"{")).status == 400


# --- E24: routing -------------------------------------------------------------------------


def e24_routes(router: web.Router | web.Application) -> None:
    @router.route("/status", "/stat")
    async def status(request: web.BaseRequest) -> web.Response:
        return web.Response(text="STATUS")

    @router.route("/only-post", methods="post")
    async def only_post(request: web.BaseRequest) -> web.Response:
        return web.Response(text="POST")

    @router.route(re.compile(r"/\d+/?"))
    async def number(request: web.BaseRequest) -> web.Response:
        return web.Response(text=f"number {dict(request.match_info)}")

    @router.route("/hello/{name}")
    async def greet(request: web.BaseRequest) -> web.Response:
        return web.Response(text=f"Hello {request.match_info['name'].title()}")

    @router.route(r"/multiply/{first:\d+}/{second:\d+}")
    def multiply(request: web.BaseRequest) -> web.Response:
        first, second = map(int, request.match_info.values())
        return web.Response(text=str(first * second))


async def default(request: web.BaseRequest) -> web.Response:
    assert request.match_info == {}
    return web.Response(text=f"default {request.method}")


def e24_router() -> web.Handler:
    router = web.Router(fallback=default)
    e24_routes(router)
    return router


def e24_application() -> web.Handler:
    app = web.Application(router=web.Router(fallback=default))
    e24_routes(app)
    return app


def e24_application_in_front() -> web.Handler:
    """A handler that is no Router is the fallback of one."""
    app = web.Application(router=default)
    e24_routes(app)
    return app


@pytest.mark.parametrize("make", [e24_router, e24_application, e24_application_in_front])
@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/status", "STATUS"),
        ("GET", "/stat", "STATUS"),
        ("PUT", "/stat", "STATUS"),
        ("GET", "/status/", "default GET"),
        ("POST", "/only-post", "POST"),
        ("GET", "/only-post", "default GET"),
        ("GET", "/42", "number {}"),
        ("GET", "/42/", "number {}"),
        ("GET", "/42x", "default GET"),
        ("GET", "/42//", "default GET"),
        ("GET", "/hello/john", "Hello John"),
        ("GET", "/hello/john%20doe", "Hello John Doe"),
        ("GET", "/hello/", "default GET"),
        ("GET", "/hello/a/b", "default GET"),
        ("GET", "/multiply/6/7", "42"),
        ("GET", "/multiply/6/x", "default GET"),
        ("GET", "/", "default GET"),
        ("DELETE", "/nope", "default DELETE"),
    ],
)
async def test_e24_routes(
    make: Callable[[], web.Handler], method: str, target: str, body: str
) -> None:
    """E24: several paths, one method, a compiled regex, variables, and a default handler for the rest."""
    async with serving(make()) as site, wire(site.port) as client:
        for _ in range(2):
            answer = await client.ask(method, target)
            assert (answer.status, answer.body.decode()) == (200, body)


@pytest.mark.parametrize("make", [e24_router, e24_application])
async def test_e24_common(make: Callable[[], web.Handler]) -> None:
    """E24: what all rows have in common."""
    async with serving(make()) as site:
        for target in ("/status", "/42", "/hello/a"):
            await check_common(site.port, target)


async def test_e24_without_default() -> None:
    """E24: without the default handler they are a 404 and a 405 with Allow."""
    router = web.Router()
    e24_routes(router)
    async with serving(router) as site, wire(site.port) as client:
        assert (await client.ask("GET", "/42x")).status == 404
        answer = await client.ask("GET", "/only-post")
        assert (answer.status, answer.headers["allow"]) == (405, ["POST"])


def test_e24_resolve() -> None:
    """E24: what would answer can be asked without a request."""
    router = web.Router()

    @router.route("/hello/{name}", "/hi/{name}")
    async def greet(request: web.BaseRequest) -> web.Response:
        return web.Response()

    handler, match_info = router.resolve("GET", "/hi/bob")
    assert (handler, match_info) == (greet, {"name": "bob"})
    with pytest.raises(web.HTTPNotFound):
        router.resolve("GET", "/nope")
    assert [route.path for route in router.routes()] == ["/hello/{name}", "/hi/{name}"]


# --- E25: lifespan ------------------------------------------------------------------------


def e25_lifespan(log: list[str]) -> web.Lifespan:
    async def start() -> None:
        log.append("start")

    def finish() -> None:
        log.append("finish")

    return web.Lifespan(on_startup=start, on_shutdown=[finish])


def e25_decorated(log: list[str]) -> web.Lifespan:
    lifespan = web.Lifespan()

    @lifespan.on_startup
    async def start(owner: object) -> None:
        assert owner is lifespan
        log.append("start")

    @lifespan.on_shutdown
    async def finish(owner: object) -> None:
        assert owner is lifespan
        log.append("finish")

    return lifespan


E25 = pytest.mark.parametrize("make", [e25_lifespan, e25_decorated])


@E25
async def test_e25_async_with(make: Callable[[list[str]], web.Lifespan]) -> None:
    """E25: by itself, around anything."""
    log: list[str] = []
    async with make(log):
        assert log == ["start"]
    assert log == ["start", "finish"]


def logging_handler(log: list[str], go_on: asyncio.Event | None = None) -> web.Handler:
    async def handler(request: web.BaseRequest) -> web.Response:
        log.append("request")
        if go_on is not None:
            await go_on.wait()
        log.append("response")
        return web.Response(text="OK")

    return handler


@E25
async def test_e25_runner(make: Callable[[list[str]], web.Lifespan]) -> None:
    """E25: started before anything is accepted; finished after the last response, with no connection left."""
    log: list[str] = []
    go_on = asyncio.Event()
    server = web.Server(logging_handler(log, go_on))
    runner = web.ServerRunner(server, lifespan=make(log))
    await runner.setup()
    assert log == ["start"]
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with Peer.connect(site.port) as idle, Peer.connect(site.port) as peer:
        await peer.send(request())
        await until(lambda: "request" in log, "the request")
        cleanup = asyncio.create_task(runner.cleanup())
        assert await idle.read_eof() == b""
        assert "finish" not in log
        go_on.set()
        assert (await peer.answer()).body == b"OK"
        await within(cleanup)
    assert log == ["start", "request", "response", "finish"]
    assert server.connections == []
    assert await refused(site.port)


async def test_e25_application() -> None:
    """E25: an application brings its own, whose callbacks get the application."""
    log: list[Any] = []
    app = web.Application()

    @app.on_startup
    async def start(owner: web.Application) -> None:
        owner["started"] = True
        log.append(owner is app)

    @app.on_shutdown
    def finish() -> None:
        log.append("finish")

    @app.router.get("/")
    async def handler(request: web.BaseRequest) -> Any:
        return {"started": request.app["started"]}

    async with web.ServerRunner(web.Server(app)) as runner:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert json.loads((await check_common(site.port)).body) == {"started": True}
        assert log == [True]
    assert log == [True, "finish"]


@pytest.mark.parametrize("how", ["lifespan", "application"])
async def test_e25_failing_start(how: str) -> None:
    """E25: when the start fails, setup raises it, nothing can listen, and nothing is finished."""
    log: list[str] = []

    async def start() -> None:
        log.append("start")
        raise OSError("no database")

    def finish() -> None:
        log.append("finish")

    lifespan = web.Lifespan(start, finish)
    if how == "lifespan":
        runner = web.ServerRunner(web.Server(hello), lifespan=lifespan)
    else:
        app = web.Application(lifespan=lifespan)
        runner = web.ServerRunner(web.Server(app))
    with pytest.raises(OSError, match="no database"):
        await runner.setup()
    assert log == ["start"]
    with pytest.raises(RuntimeError):
        web.TCPSite(runner, "127.0.0.1", 0)
    assert runner.addresses == []
    await runner.cleanup()
    assert log == ["start"]


RUN_LIFESPAN = """
    import sys
    import lowlevel as web

    app = web.Application()

    @app.on_startup
    async def start(app):
        print("start")
        if len(sys.argv) > 2:
            raise ValueError("not today")

    @app.on_shutdown
    async def finish(app):
        print("finish")

    @app.router.get("/")
    async def hello(request):
        return "hello"

    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
"""


async def test_e25_run_app(unused_tcp_port: int) -> None:
    """E25: run_app: started before it serves, finished when it ends."""
    async with program(RUN_LIFESPAN, [unused_tcp_port]) as process:
        assert await process.line() == "start"
        assert await process.port() == unused_tcp_port
        assert (await check_common(unused_tcp_port)).body == b"hello"
        process.interrupt()
        status, stdout, stderr = await process.end()
        assert (status, stdout.splitlines()[-1], stderr) == (0, "finish", "")


async def test_e25_run_app_failing(unused_tcp_port: int) -> None:
    """E25: run_app: a start that fails ends the program with its error, and nothing ever listened."""
    async with program(RUN_LIFESPAN, [unused_tcp_port, "fail"]) as process:
        status, stdout, stderr = await process.end()
    assert status != 0
    assert stdout == "start\n"
    assert "ValueError: not today" in stderr
    assert await refused(unused_tcp_port)


# --- E26: static files --------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    (first / "a.txt").write_text("first a")
    (second / "a.txt").write_text("second a")
    (second / "b.txt").write_text("second b")
    (first / "sub" / "c.txt").write_text("first c")
    (first / "link.txt").symlink_to(tmp_path / "secret.txt")
    return first, second


async def e26_fallback(request: web.BaseRequest) -> web.Response:
    return web.Response(text=f"fallback {request.path}")


def e26_router(folders: tuple[Path, Path]) -> web.Handler:
    router = web.Router()
    router.mount("/static", web.StaticFiles(*folders))
    return router


def e26_router_with_fallback(folders: tuple[Path, Path]) -> web.Handler:
    router = web.Router(fallback=e26_fallback)
    router.mount("/static", web.StaticFiles(*folders))
    return router


def e26_application(folders: tuple[Path, Path]) -> web.Handler:
    app = web.Application()
    app.mount("/static", web.StaticFiles(*folders))
    app.router.get("/page")(hello)
    return app


E26 = pytest.mark.parametrize("make", [e26_router, e26_router_with_fallback, e26_application])


@E26
async def test_e26_static(
    make: Callable[[tuple[Path, Path]], web.Handler], folders: tuple[Path, Path]
) -> None:
    """E26: the first folder that has it; folders, what is missing, or outside, are 404; POST is a 405."""
    async with serving(await asyncio.to_thread(make, folders)) as site:
        for target, body in (
            ("/static/a.txt", b"first a"),
            ("/static/b.txt", b"second b"),
            ("/static/sub/c.txt", b"first c"),
        ):
            answer = await check_common(site.port, target)
            assert (answer.status, answer.body) == (200, body)
        async with wire(site.port) as client:
            for target in (
                "/static",
                "/static/",
                "/static/sub",
                "/static/sub/",
                "/static/missing.txt",
                "/static/link.txt",
                "/static/../secret.txt",
                "/static/sub/../../../secret.txt",
                "/static/%2e%2e/secret.txt",
                "/static/..%2fsecret.txt",
                "/static/sub%2f..%2f..%2f..%2fsecret.txt",
                "/static/a.txt/",
                "/static//a.txt",
            ):
                answer = await client.ask("GET", target)
                assert answer.status == 404, target
                assert b"secret" not in answer.body
            answer = await client.ask("POST", "/static/a.txt", body=b"x")
            assert (answer.status, answer.headers["allow"]) == (405, ["GET, HEAD"])


async def test_e26_prefix_ends_at_a_slash(folders: tuple[Path, Path]) -> None:
    """E26: /staticfoo is not below /static."""
    make = asyncio.to_thread
    async with serving(await make(e26_router_with_fallback, folders)) as site:
        assert (await check_common(site.port, "/staticfoo")).body == b"fallback /staticfoo"
        assert (await check_common(site.port, "/")).body == b"fallback /"
    async with serving(await make(e26_router, folders)) as site:
        assert (await check_common(site.port, "/staticfoo")).status == 404
    async with serving(await make(e26_application, folders)) as site:
        assert (await check_common(site.port, "/page")).body == b"hello"


async def test_e26_mounted_application() -> None:
    """E26: a mounted application sees the rest of the path, and what was cut as its prefix."""
    inner = web.Application(info={"name": "inner"})
    outer = web.Application(info={"name": "outer"})

    @inner.router.get("/where/{what}")
    async def where(request: web.BaseRequest) -> Any:
        url = request.url.path_qs
        return [request.app["name"], request.prefix, request.path, url, dict(request.match_info)]

    started: list[str] = []
    inner.on_startup.append(lambda app: started.append(app["name"]))
    outer.on_startup.append(lambda app: started.append(app["name"]))
    outer.mount("/a/b", inner)

    async with TestClient(outer) as client:
        assert sorted(started) == ["inner", "outer"]
        response = await client.get("/a/b/where/x?y=1")
        assert await response.json() == [
            "inner",
            "/a/b",
            "/where/x",
            "/a/b/where/x?y=1",
            {"what": "x"},
        ]
        assert (await client.get("/a/b")).status == 404


async def test_e26_longer_prefix() -> None:
    """E26: of a prefix of two segments the second one counts as well, to its end."""
    router = web.Router(fallback=e26_fallback)

    async def mounted(request: web.BaseRequest) -> web.Response:
        return web.Response(text=f"mounted {request.prefix} {request.path}")

    router.mount("/a/b", mounted)
    async with serving(router) as site:
        for target, body in (
            ("/a/b", b"mounted /a/b /"),
            ("/a/b/", b"mounted /a/b /"),
            ("/a/b/c", b"mounted /a/b /c"),
            ("/a/bc/d", b"fallback /a/bc/d"),
            ("/a/x/y", b"fallback /a/x/y"),
            ("/a", b"fallback /a"),
        ):
            assert (await check_common(site.port, target)).body == body


# --- E27: background ----------------------------------------------------------------------


class Background:
    """A handler with two pieces of work behind its response, and what happened when."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.go_on = asyncio.Event()

    async def first(self) -> None:
        self.log.append("first begins")
        await self.go_on.wait()
        self.log.append("first ends")

    async def second(self) -> None:
        self.log.append("second")
        raise ValueError("in the background")

    async def third(self) -> None:
        self.log.append("third")

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/work":
            request.background(self.first())
            request.background(self.second())
            request.background(self.third())
            self.log.append("handled")
        if request.method == "POST":
            return web.Response(body=web.text_writer("streamed", chunk_size=2))
        return web.Response(text="OK")


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@ANY_SHAPE
async def test_e27_background(shape: Shape, method: str, caplog: pytest.LogCaptureFixture) -> None:
    """E27: behind the response, in order, with the next request answered meanwhile; errors are logged alone."""
    work = Background()
    async with serving(shape(work)) as site, wire(site.port) as client:
        answer = await client.ask(method, "/work")
        assert answer.status == 200
        await until(lambda: len(work.log) > 1, "the work to begin")
        assert work.log == ["handled", "first begins"]
        for _ in range(3):
            assert (await client.ask("GET", "/next")).body == b"OK"
        assert work.log == ["handled", "first begins"]
        work.go_on.set()
        await until(lambda: "third" in work.log, "the work to end")
        assert work.log == ["handled", "first begins", "first ends", "second", "third"]
    [line] = errors(caplog)
    assert "ValueError: in the background" in line


@ANY_SHAPE
async def test_e27_shutdown_waits(shape: Shape) -> None:
    """E27: the end of the server waits for the work."""
    work = Background()
    runner = web.ServerRunner(web.Server(shape(work), access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with Peer.connect(site.port) as peer:
        assert (await peer.ask(request("GET", "/work"))).body == b"OK"
        cleanup = asyncio.create_task(runner.cleanup())
        assert await peer.read_eof() == b""
        assert "first ends" not in work.log
        assert not cleanup.done()
        work.go_on.set()
        await within(cleanup)
    assert work.log[-1] == "third"


async def test_e27_before_the_lifespan_ends() -> None:
    """E27: what it needs is still there: the lifespan ends after the work."""
    work = Background()
    lifespan = web.Lifespan(on_shutdown=lambda: work.log.append("shutdown"))
    async with web.ServerRunner(web.Server(work, access_log=None), lifespan=lifespan) as runner:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with Peer.connect(site.port) as peer:
            await peer.ask(request("GET", "/work"))
        await until(lambda: "first begins" in work.log, "the work to begin")
        asyncio.get_running_loop().call_soon(work.go_on.set)
    assert work.log[-2:] == ["third", "shutdown"]


async def test_e27_no_response_no_work(caplog: pytest.LogCaptureFixture) -> None:
    """E27: without a complete response the work is not done, and nothing is left behind."""
    work = Background()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        request.background(work.third())
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise ValueError("cut here")

    async with serving(handler) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(request())
            await peer.read_eof()
        await site.idle()
    assert work.log == []
    assert len(errors(caplog)) == 1


# --- E28: endpoint ------------------------------------------------------------------------


class View(web.HTTPEndpoint):
    async def get(self, request: web.BaseRequest) -> web.Response:
        return web.Response(text="Hello from GET")

    async def post(self, request: web.BaseRequest) -> web.Response:
        return web.Response(text=f"Hello from POST {await request.text()}")


def e28_class() -> web.Handler:
    return View


def e28_router() -> web.Handler:
    router = web.Router()
    router.route("/")(View)
    return router


def e28_application() -> web.Handler:
    app = web.Application()

    @app.route("/")
    class Coerced(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest) -> str:
            return "Hello from GET"

        async def post(self, request: web.BaseRequest) -> str:
            return f"Hello from POST {await request.text()}"

    return app


@pytest.mark.parametrize("make", [e28_class, e28_router, e28_application])
async def test_e28_view(make: Callable[[], web.Handler]) -> None:
    """E28: a method for each verb; others are a 405 with Allow."""
    async with serving(make()) as site:
        assert (await check_common(site.port)).body == b"Hello from GET"
        async with wire(site.port) as client:
            assert (await client.ask("POST", "/", body=b"x")).body == b"Hello from POST x"
            answer = await client.ask("PUT", "/", body=b"x")
            assert (answer.status, answer.headers["allow"]) == (405, ["GET, HEAD, POST"])


# --- E29 to E34: the client for tests -----------------------------------------------------


@COERCING
async def test_e29_client(shape: Shape) -> None:
    """E29: GET, its status and its text."""

    async def handler(request: web.BaseRequest) -> str:
        return "OK"

    async with TestClient(shape(handler)) as client:
        response = await client.get("/")
        assert response.status == 200
        assert await response.text() == "OK"


async def test_e29_server() -> None:
    """E29: of a Server that somebody has made."""
    async with TestClient(web.Server(hello, access_log=None)) as client:
        async with client.get("/") as response:
            assert (response.status, await response.text()) == (200, "hello")
        async with client.head("/") as response:
            assert (response.status, await response.read()) == (200, b"")


@pytest.mark.parametrize("kind", ["generator", "function"])
@ANY_SHAPE
async def test_e30_streamed_request(shape: Shape, kind: str) -> None:
    """E30: a GET with a streamed body; the handler has the first chunk before the last is sent."""
    first_arrived = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        body = b""
        async for chunk in request.content.iter_any():
            body += chunk
            first_arrived.set()
        return web.Response(body=body)

    async def chunks() -> AsyncIterator[bytes]:
        for number in range(10):
            if number == 9:
                await within(first_arrived.wait())
            yield b"chunk" + bytes(number)

    async with TestClient(shape(handler)) as client:
        response = await client.get("/", data=chunks() if kind == "generator" else chunks)
        assert response.status == 200
        assert await response.read() == b"".join(b"chunk" + bytes(number) for number in range(10))


@pytest.mark.parametrize("kind", ["generator", "function"])
@ANY_SHAPE
async def test_e31_streamed_response(shape: Shape, kind: str) -> None:
    """E31: the response in pieces, each before the handler's stream goes on."""
    steps = Steps([b"chunk" + bytes(number) for number in range(10)])

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=steps() if kind == "generator" else steps)

    async with TestClient(shape(handler)) as client:
        response = await client.get("/")
        assert response.status == 200
        count = 0
        async with asyncio.timeout(20):
            async for piece in response.content.iter_any():
                assert piece == b"chunk" + bytes(count)
                assert not steps.ended.is_set()
                count += 1
                steps.seen.release()
        assert count == 10


@E19
async def test_e32_websocket(make: Callable[[], web.Handler]) -> None:
    """E32: ping and pong; the server's close is a CLOSE message with its code."""
    async with TestClient(make()) as client, client.ws_connect("/websocket", autoclose=False) as ws:
        await ws.send_str("ping")
        msg = await ws.receive(timeout=10)
        assert (msg.type, msg.data) == (aiohttp.WSMsgType.TEXT, "pong")
        await ws.send_str("bye")
        msg = await ws.receive(timeout=10)
        assert (msg.type, msg.data) == (aiohttp.WSMsgType.CLOSE, 1000)
        assert ws.close_code == 1000


async def test_e33_lifespan() -> None:
    """E33: started inside the context, not finished; finished after it."""
    effects = {"started": False, "finished": False}
    lifespan = web.Lifespan()

    @lifespan.on_startup
    def start() -> None:
        effects["started"] = True

    @lifespan.on_shutdown
    async def finish() -> None:
        effects["finished"] = True

    async with TestClient(hello, lifespan=lifespan) as client:
        assert effects == {"started": True, "finished": False}
        assert (await client.get("/")).status == 200
    assert effects == {"started": True, "finished": True}


async def test_e33_application() -> None:
    """E33: an application's own lifespan."""
    effects: list[str] = []
    app = web.Application()
    app.on_startup(lambda app: effects.append("started"))
    app.on_shutdown(lambda app: effects.append("finished"))
    async with TestClient(app):
        assert effects == ["started"]
    assert effects == ["started", "finished"]


async def test_e33_failing_start() -> None:
    """E33: a start that fails comes out of entering the client."""

    def start() -> None:
        raise ValueError("not today")

    with pytest.raises(ValueError, match="not today"):
        async with TestClient(hello, lifespan=web.Lifespan(start)):
            pytest.fail("it started")


def e34_application() -> web.Handler:
    app = web.Application()

    @app.router.get("/set")
    async def set_cookies(request: web.BaseRequest) -> web.Response:
        response = web.Response(text="OK")
        response.set_cookie("everywhere", "1")
        response.set_cookie("here", "2", path="/cookies/here")
        return response

    @app.router.get("/cookies/{rest:path}")
    async def cookies(request: web.BaseRequest) -> Any:
        return dict(request.cookies)

    @app.route("/echo")
    async def report(request: web.BaseRequest) -> Any:
        body = await request.text()
        return [request.method, request.query_string, request.headers.get("X-Thing"), body]

    @app.route("/redirect/{status:int}")
    async def redirect(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=request.match_info["status"], headers={"Location": "/echo"})

    @app.router.post("/upload")
    async def upload(request: web.BaseRequest) -> Any:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        data = await asyncio.to_thread(file.file.read)
        return [form["field"], file.filename, file.content_type, data.decode("latin-1")]

    return app


async def test_e34_cookies() -> None:
    """E34: cookies that the server set are sent back, where their path says."""
    async with TestClient(e34_application()) as client:
        assert await (await client.get("/cookies/")).json() == {}
        await client.get("/set")
        assert await (await client.get("/cookies/")).json() == {"everywhere": "1"}
        here = {"everywhere": "1", "here": "2"}
        assert await (await client.get("/cookies/here")).json() == here
        assert await (await client.get("/cookies/here/too")).json() == here
        own = await client.get("/cookies/", cookies={"own": "3"})
        assert await own.json() == {"everywhere": "1", "own": "3"}
    async with TestClient(e34_application()) as client:
        assert await (await client.get("/cookies/here")).json() == {}


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [(301, "GET", ""), (302, "GET", ""), (303, "GET", ""), (307, "POST", "x"), (308, "POST", "x")],
)
async def test_e34_redirects(status: int, method: str, body: str) -> None:
    """E34: 301, 302 and 303 turn a POST into a GET; 307 and 308 keep method and body."""
    async with TestClient(e34_application()) as client:
        response = await client.post(f"/redirect/{status}", data="x")
        assert await response.json() == [method, "", None, body]
        assert [earlier.status for earlier in response.history] == [status]
        response = await client.post(f"/redirect/{status}", data="x", allow_redirects=False)
        assert (response.status, response.headers["Location"]) == (status, "/echo")


async def test_e34_upload() -> None:
    """E34: a file goes up as multipart."""
    async with TestClient(e34_application()) as client:
        form = aiohttp.FormData()
        form.add_field("field", "value")
        form.add_field(
            "file", io.BytesIO(b"\0\xff"), filename="a.bin", content_type="application/x-thing"
        )
        response = await client.post("/upload", data=form)
        assert await response.json() == ["value", "a.bin", "application/x-thing", "\0\xff"]


async def test_e34_headers_query_verbs() -> None:
    """E34: headers, a query, and any verb; those of the client are in each request."""
    async with TestClient(e34_application(), headers={"X-Thing": "mine"}) as client:
        response = await client.request("PROPFIND", "/echo", params={"a": "1"}, data="b")
        assert await response.json() == ["PROPFIND", "a=1", "mine", "b"]
        response = await client.put("/echo?c=d", headers={"X-Thing": "other"})
        assert await response.json() == ["PUT", "c=d", "other", ""]
        response = await client.patch("/echo", json={"e": 1})
        assert (await response.json())[3] == '{"e": 1}'
        for method in ("delete", "options", "get", "post"):
            response = await getattr(client, method)("/echo")
            assert (await response.json())[0] == method.upper()


async def test_e34_connection_is_reused() -> None:
    """E34: one request after another on one connection."""
    peers: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        peers.append(request.get_extra_info("peername"))
        return web.Response(text="OK")

    async with TestClient(handler) as client:
        for _ in range(3):
            await (await client.get("/")).read()
    assert len(peers) == 3
    assert len(set(peers)) == 1
