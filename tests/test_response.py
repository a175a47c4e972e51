"""Responses over real sockets: what a handler does, and which bytes the client gets."""

from __future__ import annotations

import array
import asyncio
import copy
import gc
import inspect
import io
import json
import logging
import pickle
import re
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict

import lowlevel as web
from tests.support import DEADLINE, Answer, Peer, Serving, serving

Handler = Callable[[web.BaseRequest], Awaitable[Any]]
BOTH = pytest.mark.parametrize("kind", [web.StreamResponse, web.Response])

GET = b"GET /path HTTP/1.1\r\nHost: a\r\n\r\n"
GET_CLOSE = b"GET /path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
GET_10 = b"GET /path HTTP/1.0\r\n\r\n"
GET_10_KEEP = b"GET /path HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
HEAD = b"HEAD /path HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD_CLOSE = b"HEAD /path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

FAILED = b"500 Internal Server Error\n\nServer got itself in trouble"

_changing = re.compile(rb"\r\n(Date|Server): [^\r]*")


def steady(data: bytes) -> bytes:
    """Leave out the values of Date and Server."""
    return _changing.sub(rb"\r\n\1: -", data)


async def raw(handler: Handler, request: bytes = GET_CLOSE, **options: Any) -> bytes:
    """Send a request that ends its connection; return everything that came."""
    async with serving(handler, **options) as site, Peer.connect(site.port) as peer:
        await peer.send(request)
        return steady(await peer.read_eof())


async def ask(handler: Handler, request: bytes = GET, **options: Any) -> Answer:
    async with serving(handler, **options) as site, Peer.connect(site.port) as peer:
        return await peer.ask(request)


async def check_persists(site: Serving, peer: Peer, request: bytes = GET) -> None:
    """Send another request on the same connection: stray bytes of the first answer would garble its answer."""
    answer = await peer.ask(request)
    assert answer.head.startswith(b"HTTP/1.")
    assert len(site.server.connections) == 1


def returns(make: Callable[[], Any]) -> Handler:
    async def handler(request: web.BaseRequest) -> Any:
        return make()

    return handler


def streams(*pieces: Any, **options: Any) -> Handler:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(**options)
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        return response

    return handler


async def pieces(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def outcome(
    act: Callable[[Any, web.BaseRequest], Any],
    make: Callable[[], Any] = web.StreamResponse,
    *,
    prepare: bool = True,
    end: bool = False,
    request: bytes = GET_CLOSE,
) -> Any:
    """Do something to a response within its handler; return the result or the exception."""
    results: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response: web.StreamResponse = make()
        if prepare:
            await response.prepare(request)
        if end:
            await response.write_eof()
        try:
            result = act(response, request)
            results.append(await result if inspect.isawaitable(result) else result)
        except Exception as exc:
            results.append(exc)
        return response

    await raw(handler, request)
    return results[0]


# --- Construction --------------------------------------------------------------------------------


@BOTH
def test_a_fresh_response(kind: type[web.StreamResponse]) -> None:
    response = kind()
    assert response.status == 200
    assert response.reason == "OK"
    assert not response.prepared
    assert response.task is None
    assert response.keep_alive is None
    assert response.body_length == 0
    assert not response.chunked
    assert not response.headers
    assert repr(response) == f"<{kind.__name__} OK not prepared>"


@pytest.mark.parametrize("kind", [web.StreamResponse, web.Response])
def test_arguments_are_keywords(kind: type[web.StreamResponse]) -> None:
    with pytest.raises(TypeError):
        kind(200)  # type: ignore[misc]
    with pytest.raises(TypeError):
        kind(nonsense=1)  # type: ignore[call-arg]


@BOTH
@pytest.mark.parametrize(
    ("status", "reason", "phrase"),
    [
        (200, None, "OK"),
        (404, None, "Not Found"),
        (418, None, "I'm a Teapot"),
        (299, None, ""),
        (200, "", ""),
        (200, "Very Well", "Very Well"),
        (299, "Odd", "Odd"),
    ],
)
def test_status_and_reason(
    kind: type[web.StreamResponse], status: int, reason: str | None, phrase: str
) -> None:
    given = kind(status=status, reason=reason)
    changed = kind(status=500, reason="x")
    changed.set_status(status, reason)
    for response in given, changed:
        assert response.status == status
        assert response.reason == phrase


@BOTH
@pytest.mark.parametrize("reason", ["a\rb", "a\nb", "\r\n", "a\r\nX-Injected: 1", "a\0b"])
def test_reasons_that_would_inject_a_header(kind: type[web.StreamResponse], reason: str) -> None:
    with pytest.raises(ValueError, match="Reason cannot contain"):
        kind(reason=reason)
    response = kind()
    with pytest.raises(ValueError, match="Reason cannot contain"):
        response.set_status(404, reason)
    assert (response.status, response.reason) == (200, "OK")


@BOTH
@pytest.mark.parametrize("status", [0, 99, 1000, -1])
def test_a_status_has_three_digits(kind: type[web.StreamResponse], status: int) -> None:
    with pytest.raises(ValueError, match="three digits"):
        kind(status=status)


@BOTH
def test_a_status_is_a_number(kind: type[web.StreamResponse]) -> None:
    with pytest.raises(ValueError):
        kind(status="good")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        kind(status=None)  # type: ignore[arg-type]


@BOTH
def test_a_response_is_a_mapping_of_its_own(kind: type[web.StreamResponse]) -> None:
    key = web.ResponseKey("key", int)
    response, other = kind(), kind()
    assert isinstance(response, MutableMapping)
    assert len(response) == 0
    assert bool(response)
    response[key] = 5
    assert response[key] == 5
    assert dict(response) == {key: 5}
    assert len(response) == 1
    assert key in response
    assert response == response
    assert response != other
    other[key] = 5
    assert response != other
    assert len({response, other, response}) == 2
    del response[key]
    with pytest.raises(KeyError):
        response[key]
    with pytest.raises(KeyError):
        del response[key]


@BOTH
def test_string_keys_warn(kind: type[web.StreamResponse]) -> None:
    response = kind()
    with pytest.warns(web.NotAppKeyWarning):
        response[f"test_response key of {kind.__name__}"] = 1


@BOTH
def test_weak_references_and_attributes(kind: type[web.StreamResponse]) -> None:
    response = kind()
    response.own = 1  # type: ignore[attr-defined]
    reference = weakref.ref(response)
    assert reference() is response
    del response
    assert reference() is None


def test_copy_of_a_whole_response() -> None:
    response = web.Response(text="x", status=201)
    twin = copy.copy(response)
    assert (twin.text, twin.status) == ("x", 201)


# Response: body and text.


def test_an_empty_response() -> None:
    response = web.Response()
    assert response.body is None
    assert response.text is None
    assert response.content_length == 0


def test_text() -> None:
    response = web.Response(text="é")
    assert response.text == "é"
    assert response.body == "é".encode()
    assert response.content_length == 2
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("arguments", "field", "body"),
    [
        ({"text": ""}, "text/plain; charset=utf-8", b""),
        ({"text": "é", "charset": "latin-1"}, "text/plain; charset=latin-1", b"\xe9"),
        ({"text": "x", "content_type": "text/html"}, "text/html; charset=utf-8", b"x"),
        ({"text": "x", "content_type": "a/b; v=1"}, "a/b; v=1; charset=utf-8", b"x"),
        (
            {"text": "é", "content_type": "a/b", "charset": "latin-1"},
            "a/b; charset=latin-1",
            b"\xe9",
        ),
        ({"text": "x", "headers": {"Content-Type": "a/b"}}, "a/b; charset=utf-8", b"x"),
        ({"text": "x", "headers": {"content-type": "a/b"}}, "a/b; charset=utf-8", b"x"),
        (
            {"text": "é", "headers": {"Content-Type": "a/b; charset=latin-1"}},
            "a/b; charset=latin-1",
            b"\xe9",
        ),
        ({"text": "x", "headers": {"X-A": "1"}}, "text/plain; charset=utf-8", b"x"),
        ({"body": b"x"}, None, b"x"),
        ({"body": b"x", "content_type": "a/b"}, "a/b", b"x"),
        ({"body": b"x", "content_type": "a/b", "charset": "KOI8-R"}, "a/b; charset=KOI8-R", b"x"),
        ({"body": b"x", "charset": "utf-8"}, None, b"x"),
        ({"body": "é"}, "text/plain; charset=utf-8", "é".encode()),
        (
            {"body": "é", "content_type": "a/b", "charset": "latin-1"},
            "a/b; charset=latin-1",
            b"\xe9",
        ),
        ({"body": bytearray(b"x")}, None, b"x"),
        ({"body": memoryview(b"x")}, "application/octet-stream", b"x"),
        ({"content_type": "text/html"}, "text/html", None),
        ({}, None, None),
    ],
)
def test_content_types(arguments: dict[str, Any], field: str | None, body: bytes | None) -> None:
    response = web.Response(**arguments)
    assert response.headers.get("Content-Type") == field
    assert response.body == body


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": "x", "body": b"x"}, "body and text are not allowed together"),
        ({"text": "", "body": b""}, "body and text are not allowed together"),
        ({"content_type": "text/html; charset=utf-8"}, "charset must not be in content_type"),
        (
            {"text": "x", "content_type": "a/b; charset=utf-8"},
            "charset must not be in content_type",
        ),
        (
            {"text": "x", "headers": {"Content-Type": "a/b"}, "content_type": "a/c"},
            "Content-Type header",
        ),
        ({"text": "x", "headers": {"content-type": "a/b"}, "charset": "c"}, "Content-Type header"),
        (
            {"body": b"x", "headers": {"Content-Type": "a/b"}, "content_type": "a/c"},
            "Content-Type header",
        ),
        ({"headers": {"Content-Type": "a/b"}, "charset": "c"}, "Content-Type header"),
        ({"body": 5}, "Unsupported body type"),
        ({"body": object()}, "Unsupported body type"),
        ({"body": [b"x"]}, "Unsupported body type"),
        ({"body": {}}, "Unsupported body type"),
        ({"body": True}, "Unsupported body type"),
        ({"body": bytes}, "Unsupported body type"),
    ],
)
def test_arguments_that_do_not_go_together(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        web.Response(**arguments)


@pytest.mark.parametrize("text", [b"x", 5, ["x"]])
def test_text_is_a_str(text: Any) -> None:
    with pytest.raises(TypeError, match="text argument must be str"):
        web.Response(text=text)
    response = web.Response(text="old")
    with pytest.raises(AssertionError, match="text argument must be str"):
        response.text = text
    assert response.text == "old"


def test_text_that_its_charset_lacks() -> None:
    with pytest.raises(UnicodeEncodeError):
        web.Response(text="é", charset="ascii")
    with pytest.raises(LookupError):
        web.Response(text="é", charset="no-such-charset")
    with pytest.raises(UnicodeEncodeError):
        web.Response(text="\udc80")


def test_setting_text() -> None:
    response = web.Response(body=b"x")
    response.text = "é"
    assert response.body == "é".encode()
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    response.content_type = "text/css"
    response.charset = "latin-1"
    response.text = "é"
    assert response.body == b"\xe9"
    assert response.headers["Content-Type"] == "text/css; charset=latin-1"


def test_setting_a_body() -> None:
    response = web.Response(text="old")
    response.body = b"new"
    assert (response.body, response.text, response.content_length) == (b"new", "new", 3)
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    response.body = None
    assert (response.body, response.text, response.content_length) == (None, None, 0)


def test_a_bad_body_leaves_the_old_one() -> None:
    response = web.Response(text="old")
    with pytest.raises(ValueError, match="Unsupported body type"):
        response.body = 5
    assert response.text == "old"


def test_text_of_other_bodies() -> None:
    assert web.Response(body="é").text == "é"
    assert web.Response(body=bytearray(b"x")).text == "x"
    assert web.Response(body=memoryview(b"x")).text == "x"
    assert web.Response(body=io.StringIO("é")).text == "é"
    assert web.Response(body=io.BytesIO("é".encode())).text == "é"
    assert web.Response(body=b"\xe9", content_type="text/plain", charset="latin-1").text == "é"
    with pytest.raises(UnicodeDecodeError):
        _ = web.Response(body=b"\xff").text


async def test_text_of_a_stream() -> None:
    with pytest.raises(TypeError):
        _ = web.Response(body=pieces(b"x")).text


async def test_content_length_follows_the_body() -> None:
    assert web.Response(text="é").content_length == 2
    assert web.Response(body=io.BytesIO(b"abc")).content_length == 3
    assert web.Response(body=pieces(b"x")).content_length is None
    assert web.Response(body=b"abc", headers={"Content-Length": "2"}).content_length == 2
    chunked = web.Response(text="x")
    chunked.enable_chunked_encoding()
    assert chunked.content_length is None


# json_response.


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"data": {"a": [1, None]}}, '{"a": [1, null]}'),
        ({"data": None}, "null"),
        ({"data": ""}, '""'),
        ({"data": []}, "[]"),
        ({"text": "[1]"}, "[1]"),
        ({"body": b"[1]"}, "[1]"),
        ({"data": [1], "dumps": lambda data: "other"}, "other"),
        ({}, None),
    ],
)
def test_json_response(arguments: dict[str, Any], text: str | None) -> None:
    response = web.json_response(**arguments)
    assert type(response) is web.Response
    assert response.text == text
    assert response.content_type == "application/json"
    assert response.status == 200


def test_json_response_takes_data_in_first_place_and_the_rest_by_name() -> None:
    response = web.json_response(
        {"é": 1},
        status=201,
        reason="Made",
        headers={"X-A": "1"},
        content_type="application/vnd.api+json",
    )
    assert json.loads(response.text or "") == {"é": 1}
    assert (response.status, response.reason, response.headers["X-A"]) == (201, "Made", "1")
    assert response.headers["Content-Type"] == "application/vnd.api+json; charset=utf-8"
    with pytest.raises(TypeError):
        web.json_response([1], "text")  # type: ignore[misc]


@pytest.mark.parametrize("arguments", [{"text": "x"}, {"body": b"x"}])
def test_json_response_of_too_much(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="only one of data, text, or body should be specified"):
        web.json_response(None, **arguments)


def test_json_response_of_what_is_no_json() -> None:
    with pytest.raises(TypeError):
        web.json_response(object())


def test_json_bytes_response() -> None:
    def dumps(data: object) -> bytes:
        return json.dumps(data).encode()

    response = web.json_bytes_response([1], dumps=dumps, status=201, headers={"X-A": "1"})
    assert (response.body, response.status, response.headers["X-A"]) == (b"[1]", 201, "1")
    assert response.headers["Content-Type"] == "application/json"
    assert web.json_bytes_response(body=b"[2]", dumps=dumps).body == b"[2]"
    with pytest.raises(ValueError, match="only one of data or body should be specified"):
        web.json_bytes_response([1], dumps=dumps, body=b"x")
    with pytest.raises(TypeError):
        web.json_bytes_response([1])  # type: ignore[call-arg]


# --- The head on the wire ------------------------------------------------------------------------

END = b"Date: -\r\nServer: -\r\n"
CLOSE = END + b"Connection: close\r\n"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (web.Response, b"200 OK\r\nContent-Length: 0\r\n" + CLOSE + b"\r\n"),
        (
            lambda: web.Response(text="hi"),
            b"200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n"
            + CLOSE
            + b"\r\nhi",
        ),
        (
            lambda: web.Response(body=b"hi"),
            b"200 OK\r\nContent-Length: 2\r\nContent-Type: application/octet-stream\r\n"
            + CLOSE
            + b"\r\nhi",
        ),
        (
            lambda: web.Response(body=b"hi", headers={"X-A": "1"}),
            b"200 OK\r\nX-A: 1\r\nContent-Length: 2\r\nContent-Type: application/octet-stream\r\n"
            + CLOSE
            + b"\r\nhi",
        ),
        (lambda: web.Response(body=b""), b"200 OK\r\nContent-Length: 0\r\n" + CLOSE + b"\r\n"),
        (
            lambda: web.Response(status=404, reason="Gone Fishing", text=""),
            b"404 Gone Fishing\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\n"
            + CLOSE
            + b"\r\n",
        ),
        (lambda: web.Response(status=299), b"299 \r\nContent-Length: 0\r\n" + CLOSE + b"\r\n"),
        (
            lambda: web.Response(reason="Größe"),
            "200 Größe\r\nContent-Length: 0\r\n".encode() + CLOSE + b"\r\n",
        ),
        (
            lambda: web.Response(headers={"X-A": "Größe"}),
            "200 OK\r\nX-A: Größe\r\nContent-Length: 0\r\n".encode() + CLOSE + b"\r\n",
        ),
        (
            lambda: web.json_response([1]),
            b"200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 3\r\n"
            + CLOSE
            + b"\r\n[1]",
        ),
        (
            web.StreamResponse,
            b"200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/octet-stream\r\n"
            + CLOSE
            + b"\r\n0\r\n\r\n",
        ),
    ],
)
async def test_bytes_of_a_response(make: Callable[[], Any], expected: bytes) -> None:
    assert await raw(returns(make)) == b"HTTP/1.1 " + expected


@pytest.mark.parametrize("fast", [True, False])
async def test_fields_of_a_plain_response_do_not_depend_on_the_way_it_takes(fast: bool) -> None:
    """Most responses leave without a multidict ever being made; whoever touches it must see no difference."""

    async def handler(request: web.BaseRequest) -> web.Response:
        response = web.Response(body=b"hi", content_type="text/html")
        if not fast:
            assert response.headers["Content-Type"] == "text/html"
        return response

    expected = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n" + CLOSE + b"\r\nhi"
    )
    assert await raw(handler) == expected


async def test_order_of_fields_of_a_whole_response() -> None:
    def make() -> web.Response:
        response = web.Response(body=b"hi", headers={"X-1": "a"})
        response.set_cookie("c", "v")
        response.set_cookie("d", "w")
        response.headers["X-2"] = "b"
        return response

    assert await raw(returns(make)) == (
        b"HTTP/1.1 200 OK\r\nX-1: a\r\nX-2: b\r\nContent-Length: 2\r\nSet-Cookie: c=v; Path=/\r\n"
        b"Set-Cookie: d=w; Path=/\r\nContent-Type: application/octet-stream\r\n" + CLOSE + b"\r\nhi"
    )


async def test_order_of_fields_of_a_stream() -> None:
    def make() -> web.StreamResponse:
        response = web.StreamResponse(headers={"X-1": "a"})
        response.set_cookie("c", "v")
        response.headers["X-2"] = "b"
        return response

    assert await raw(returns(make)) == (
        b"HTTP/1.1 200 OK\r\nX-1: a\r\nX-2: b\r\nSet-Cookie: c=v; Path=/\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/octet-stream\r\n" + CLOSE + b"\r\n0\r\n\r\n"
    )


@BOTH
async def test_date_and_server_are_what_the_handler_says(kind: type[web.StreamResponse]) -> None:
    answer = await ask(returns(lambda: kind(headers={"Date": "then", "server": "mine"})))
    assert answer.headers["date"] == ["then"]
    assert answer.headers["server"] == ["mine"]


@BOTH
async def test_date_and_server_are_added(kind: type[web.StreamResponse]) -> None:
    answer = await ask(returns(kind))
    (date,) = answer.headers["date"]
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", date)
    (server,) = answer.headers["server"]
    assert f"lowlevel/{web.__version__}" in server


@BOTH
async def test_repeated_fields_stay_separate(kind: type[web.StreamResponse]) -> None:
    headers = [("Vary", "a"), ("Link", "x"), ("vary", "b")]
    answer = await ask(returns(lambda: kind(headers=headers)))
    assert answer.headers["vary"] == ["a", "b"]


async def test_late_changes_of_headers_and_cookies_have_no_effect() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        response.headers["X-Late"] = "1"
        response.set_cookie("late", "1")
        return response

    assert b"late" not in (await raw(handler)).lower()


async def test_given_headers_are_not_changed_by_sending() -> None:
    given = CIMultiDict({"X-A": "1"})
    await raw(returns(lambda: web.Response(text="x", headers=given)))
    assert given == CIMultiDict({"X-A": "1"})


async def test_head_and_body_of_a_whole_response_leave_in_one_write() -> None:
    for make in (
        lambda: web.Response(text="x" * 1000),
        lambda: web.Response(text="x" * 1000, headers={"X-A": "1"}),
    ):
        async with serving(returns(make)) as site, Peer.connect(site.port) as peer:
            await peer.send(GET)
            async with asyncio.timeout(DEADLINE):
                first = await peer.reader.read(65536)
            assert first.endswith(b"\r\n\r\n" + b"x" * 1000)


# Connection (RFC 9112 §9.3, §9.6).


@pytest.mark.parametrize(
    ("request_", "headers", "connection", "lasts"),
    [
        (GET, {}, None, True),
        (GET_CLOSE, {}, "close", False),
        (GET_10, {}, None, False),
        (GET_10_KEEP, {}, "keep-alive", True),
        (GET, {"Connection": "close"}, "close", False),
        (GET, {"Connection": "Close"}, "Close", False),
        (GET, {"Connection": "x-fields, close"}, "x-fields, close", False),
        (GET, {"Connection": "not-close"}, "not-close", True),
        (GET, {"Connection": "keep-alive"}, "keep-alive", True),
        (GET_10_KEEP, {"Connection": "close"}, "close", False),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
async def test_connection(
    request_: bytes, headers: dict[str, str], connection: str | None, lasts: bool, whole: bool
) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if whole:
            return web.Response(text="x", headers=headers)
        response = web.StreamResponse(headers={**headers, "Content-Length": "1"})
        await response.prepare(request)
        assert response.keep_alive is lasts
        await response.write(b"x")
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request_)
        assert answer.body == b"x"
        assert answer.header("connection") == connection
        if lasts:
            await check_persists(site, peer, request_)
        else:
            assert await peer.read_eof() == b""


@BOTH
@pytest.mark.parametrize("request_", [GET, GET_10_KEEP])
async def test_force_close(kind: type[web.StreamResponse], request_: bytes) -> None:
    def make() -> web.StreamResponse:
        response = kind()
        response.force_close()
        assert response.keep_alive is False
        return response

    async with serving(returns(make)) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request_)
        assert answer.header("connection") == ("close" if request_ is GET else None)
        assert await peer.read_eof() == b""


# --- Framing (RFC 9112 §6) -----------------------------------------------------------------------


async def test_a_stream_is_chunked() -> None:
    data = await raw(streams(b"one", b"", b"three"))
    assert data.partition(b"\r\n\r\n")[2] == b"3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"


@pytest.mark.parametrize("request_", [GET_10, GET_10_KEEP])
async def test_a_stream_for_http_1_0_ends_with_the_connection(request_: bytes) -> None:
    assert await raw(streams(b"one", b"two"), request_) == (
        b"HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n" + END + b"\r\nonetwo"
    )


async def test_a_stream_with_a_length() -> None:
    handler = streams(b"one", b"two", headers={"Content-Length": "6"})
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(GET)
        assert "transfer-encoding" not in answer.headers
        assert answer.body == b"onetwo"
        await check_persists(site, peer)


@pytest.mark.parametrize("request_", [GET_10, GET_10_KEEP])
async def test_a_stream_with_a_length_for_http_1_0(request_: bytes) -> None:
    answer = await ask(streams(b"onetwo", headers={"Content-Length": "6"}), request_)
    assert answer.header("connection") == ("keep-alive" if request_ is GET_10_KEEP else None)
    assert answer.body == b"onetwo"


@pytest.mark.parametrize(
    ("given", "expected"),
    [((b"toolong",), b"tool"), ((b"to", b"olong", b"er"), b"tool"), ((b"tool", b"x"), b"tool")],
)
async def test_more_than_the_length_is_cut_off(given: tuple[bytes, ...], expected: bytes) -> None:
    handler = streams(*given, headers={"Content-Length": "4"})
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(GET)
        assert answer.body == expected
        await check_persists(site, peer)


@pytest.mark.parametrize(
    "handler",
    [
        streams(b"one", headers={"Content-Length": "10"}),
        streams(headers={"Content-Length": "10"}),
        returns(lambda: web.Response(body=b"one", headers={"Content-Length": "10"})),
        returns(lambda: web.Response(headers={"Content-Length": "10"})),
        returns(lambda: web.Response(body=pieces(b"one"), headers={"Content-Length": "10"})),
    ],
)
async def test_less_than_the_length_cuts_the_connection(
    handler: Handler, caplog: pytest.LogCaptureFixture
) -> None:
    data = await raw(handler, GET)
    assert b"Content-Length: 10\r\n" in data
    assert len(data.partition(b"\r\n\r\n")[2]) < 10
    assert "short of its Content-Length" in caplog.text


async def test_a_whole_body_longer_than_its_length_is_cut_off() -> None:
    handler = returns(lambda: web.Response(body=b"toolong", headers={"Content-Length": "4"}))
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(GET)
        assert answer.body == b"tool"
        await check_persists(site, peer)


@BOTH
@pytest.mark.parametrize("value", ["x", "-1", "+5", "5,5", "", " 5", "5 ", "٥", "0x5"])
async def test_a_length_that_is_no_number(kind: type[web.StreamResponse], value: str) -> None:
    answer = await ask(returns(lambda: kind(headers={"Content-Length": value})))
    assert (answer.status, answer.body) == (500, FAILED)


@pytest.mark.parametrize("name", ["Content-Length", "content-length"])
@pytest.mark.parametrize("kind", [web.StreamResponse, web.Response])
async def test_two_lengths_never_go_out(kind: type[web.StreamResponse], name: str) -> None:
    answer = await ask(returns(lambda: kind(headers=[("Content-Length", "1"), (name, "2")])))
    assert answer.status == 500
    assert len(answer.headers["content-length"]) == 1


async def test_chunked_although_the_length_is_known() -> None:
    def make() -> web.Response:
        response = web.Response(text="hello")
        response.enable_chunked_encoding()
        return response

    data = await raw(returns(make))
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked" in head
    assert b"Content-Length" not in head
    assert body == b"5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize("kind", [web.StreamResponse, web.Response])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_chunks_are_forbidden_for_http_1_0(
    kind: type[web.StreamResponse], method: str
) -> None:
    errors: list[Exception] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = kind()
        response.enable_chunked_encoding()
        try:
            await response.prepare(request)
        except RuntimeError as exc:
            errors.append(exc)
            raise
        return response

    data = await raw(handler, f"{method} / HTTP/1.0\r\n\r\n".encode())
    assert data.startswith(b"HTTP/1.0 500 ")
    assert str(errors[0]) == "Using chunked encoding is forbidden for HTTP/1.0"


async def test_transfer_encoding_given_as_a_field_means_chunks() -> None:
    for make in (
        lambda: web.Response(body=b"abc", headers={"Transfer-Encoding": "chunked"}),
        lambda: web.Response(
            body=b"abc", headers={"Transfer-Encoding": "Chunked", "Content-Length": "3"}
        ),
    ):
        data = await raw(returns(make))
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.lower().count(b"transfer-encoding: chunked") == 1
        assert b"Content-Length" not in head
        assert body == b"3\r\nabc\r\n0\r\n\r\n"


async def test_transfer_encoding_given_as_a_field_is_dropped_for_http_1_0() -> None:
    """A proxy that copies the fields of an answer cannot know who asks (RFC 9112 §6.1)."""
    data = await raw(streams(b"abc", headers={"Transfer-Encoding": "chunked"}), GET_10)
    assert data.startswith(b"HTTP/1.0 200 ")
    assert b"Transfer-Encoding" not in data
    assert data.endswith(b"\r\n\r\nabc")


async def test_a_transfer_encoding_that_we_do_not_do_is_dropped() -> None:
    data = await raw(
        returns(lambda: web.Response(body=b"abc", headers={"Transfer-Encoding": "gzip"}))
    )
    assert b"Transfer-Encoding" not in data
    assert data.endswith(b"\r\n\r\nabc")


# No body: HEAD, 1xx, 204, 304, CONNECT (RFC 9110 §6.4.1, §8.6, §9.3.2, §15).


@pytest.mark.parametrize(
    "handler",
    [
        streams(b"one", b"two"),
        streams(b"one", headers={"Content-Length": "3"}),
        streams(b"one", headers={"Transfer-Encoding": "chunked"}),
        returns(web.StreamResponse),
        returns(web.Response),
        returns(lambda: web.Response(text="one")),
        returns(lambda: web.Response(body=b"one")),
        returns(lambda: web.Response(body=b"")),
        returns(lambda: web.Response(body=b"one", headers={"X-A": "1"})),
        returns(lambda: web.Response(body=io.BytesIO(b"one"))),
        returns(lambda: web.Response(body=pieces(b"one"))),
        returns(lambda: web.Response(body=pieces(b"one"), headers={"Content-Length": "3"})),
        returns(lambda: web.json_response([1])),
        returns(lambda: web.HTTPNotFound()),
    ],
)
async def test_head_is_told_what_get_is_told(handler: Handler) -> None:
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        head = await peer.ask(HEAD)
        get = await peer.ask(GET)
        again = await peer.ask(HEAD)
    assert head.status == get.status
    assert steady(head.head) == steady(again.head)
    same = {name: value for name, value in get.headers.items() if name != "transfer-encoding"}
    if not get.body and "content-length" not in head.headers:
        # An empty Response may stand for one whose body the handler did not care to make.
        same.pop("content-length", None)
    assert {**head.headers, "date": 0} == {**same, "date": 0}


async def test_head_keeps_the_length_that_the_handler_gives() -> None:
    answer = await ask(returns(lambda: web.Response(headers={"Content-Length": "12345"})), HEAD)
    assert answer.header("content-length") == "12345"


async def test_head_says_nothing_of_the_length_of_a_body_that_was_not_made() -> None:
    answer = await ask(returns(web.Response), HEAD)
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize(
    "options",
    [{}, {"headers": {"Content-Length": "3"}}, {"headers": {"Transfer-Encoding": "chunked"}}],
)
@pytest.mark.parametrize("request_", [GET, HEAD, GET_10_KEEP])
async def test_no_content(status: int, options: dict[str, Any], request_: bytes) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if "whole" in request.query:
            return web.Response(status=status, body=b"one", **options)
        return await streams(b"one", status=status, **options)(request)

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for target in (b"/", b"/?whole"):
            answer = await peer.ask(request_.replace(b"/path", target))
            assert answer.status == status
            assert "transfer-encoding" not in answer.headers
            assert "content-length" not in answer.headers
            assert "content-type" not in answer.headers
        await check_persists(site, peer, request_)


@pytest.mark.parametrize("status", [204, 304])
async def test_no_content_without_a_body(status: int) -> None:
    assert await raw(returns(lambda: web.Response(status=status))) == (
        b"HTTP/1.1 %d %b\r\n" % (status, b"No Content" if status == 204 else b"Not Modified")
        + CLOSE
        + b"\r\n"
    )


async def test_not_modified_keeps_a_given_type() -> None:
    answer = await ask(returns(lambda: web.Response(status=304, content_type="text/html")))
    assert answer.header("content-type") == "text/html"


async def test_an_interim_status_as_the_answer_ends_the_connection() -> None:
    data = await raw(returns(lambda: web.Response(status=103, body=b"x")), GET)
    assert data.startswith(b"HTTP/1.1 103 ")
    assert data.endswith(b"\r\n\r\n")
    assert b"Content-Length" not in data


@pytest.mark.parametrize("status", [200, 299])
async def test_success_of_connect_has_no_framing(status: int) -> None:
    request = b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"
    handler = returns(
        lambda: web.Response(status=status, headers={"Content-Length": "3"}, body=b"one")
    )
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(request)
        head = await peer.read_head()
    assert b"Content-Length" not in head
    assert b"Transfer-Encoding" not in head


async def test_failure_of_connect_has_a_body() -> None:
    handler = returns(lambda: web.Response(status=403, text="no"))
    answer = await ask(handler, b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.status, answer.body) == (403, b"no")


async def test_a_handler_that_writes_to_head_without_end_lets_others_run() -> None:
    """Nothing is sent, so nothing would ever make such a handler wait."""
    stopped = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET":
            return web.Response(text="alive")
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x")
        finally:
            stopped.set()

    async with serving(handler) as site:
        async with Peer.connect(site.port) as stuck:
            await stuck.send(HEAD)
            await stuck.read_head()
            async with Peer.connect(site.port) as peer:
                assert (await peer.ask(GET)).body == b"alive"
            stuck.reset()
        async with asyncio.timeout(DEADLINE):
            await stopped.wait()


# --- Bodies of all kinds -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: web.Response(body=b"hello"),
        lambda: web.Response(body=bytearray(b"hello")),
        lambda: web.Response(body=memoryview(b"hello")),
        lambda: web.Response(body="hello"),
        lambda: web.Response(text="hello"),
        lambda: web.Response(body=io.BytesIO(b"hello")),
        lambda: web.Response(body=io.StringIO("hello")),
        lambda: web.Response(body=pieces(b"he", b"", b"llo")),
        lambda: web.Response(body=pieces(bytearray(b"he"), memoryview(b"llo"))),
        lambda: web.Response(body=lambda: pieces(b"hello")),
        lambda: web.Response(body=pieces(b"hello"), headers={"Content-Length": "5"}),
    ],
)
@pytest.mark.parametrize("request_", [GET, GET_10, GET_10_KEEP])
async def test_bodies(make: Callable[[], web.Response], request_: bytes) -> None:
    answer = await ask(returns(make), request_)
    assert (answer.status, answer.body) == (200, b"hello")


@pytest.mark.parametrize("size", [65535, 65536, 200_000, 3_000_000])
@pytest.mark.parametrize("headers", [None, {"X-A": "1"}])
async def test_large_bodies(size: int, headers: dict[str, str] | None) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    answer = await ask(returns(lambda: web.Response(body=body[:size], headers=headers)))
    assert answer.header("content-length") == str(size)
    assert answer.body == body[:size]


async def test_pieces_of_all_sizes() -> None:
    given = [b"a", b"b" * 65535, b"c" * 65536, b"d" * 300_000, b"e"]
    answer = await ask(streams(*given))
    assert answer.body == b"".join(given)
    answer = await ask(streams(*given), GET_10)
    assert answer.body == b"".join(given)
    size = sum(map(len, given))
    answer = await ask(streams(*given, headers={"Content-Length": str(size)}))
    assert answer.body == b"".join(given)


@pytest.mark.parametrize("request_", [GET, GET_10])
async def test_a_memoryview_of_wider_items_counts_bytes(request_: bytes) -> None:
    numbers = array.array("I", [1, 2, 3])
    view = memoryview(numbers)
    answer = await ask(streams(view, b"end"), request_)
    assert answer.body == bytes(view) + b"end"
    answer = await ask(streams(view, headers={"Content-Length": "5"}), request_)
    assert answer.body == bytes(view)[:5]
    answer = await ask(returns(lambda: web.Response(body=view)), request_)
    assert answer.body == bytes(view)


async def test_what_was_written_may_be_changed_afterwards() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for size in (10, 100_000):
            data = bytearray(b"a" * size)
            await response.write(data)
            data[:] = b"b" * size
        return response

    answer = await ask(handler)
    assert answer.body == b"a" * 100_010


@pytest.mark.parametrize("error", [ValueError, KeyError, web.HTTPNotFound])
async def test_a_stream_that_fails_is_cut(error: type[Exception]) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        raise error

    data = await raw(returns(lambda: web.Response(body=body())), GET)
    assert data.endswith(b"\r\n\r\n3\r\none\r\n")


async def test_a_failing_stream_for_http_1_0_is_reset() -> None:
    """Only that tells a broken end from a good one where the connection ends the body."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one")
        raise ValueError

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET_10)
        with pytest.raises(ConnectionResetError):
            await peer.read_eof()


@pytest.mark.parametrize("item", ["text", 5, None])
async def test_a_stream_of_what_is_no_bytes(item: object) -> None:
    data = await raw(returns(lambda: web.Response(body=pieces(b"one", item))), GET)
    assert data.endswith(b"\r\n\r\n3\r\none\r\n")


async def test_pieces_arrive_when_they_are_made() -> None:
    go_on = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        await go_on.wait()
        yield b"two"

    async with (
        serving(returns(lambda: web.Response(body=body()))) as site,
        Peer.connect(site.port) as peer,
    ):
        await peer.send(GET_CLOSE)
        await peer.read_head()
        async with asyncio.timeout(DEADLINE):
            assert await peer.reader.readexactly(8) == b"3\r\none\r\n"
        go_on.set()
        assert await peer.read_eof() == b"3\r\ntwo\r\n0\r\n\r\n"


async def test_the_head_arrives_before_the_first_piece() -> None:
    go_on = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await go_on.wait()
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET_CLOSE)
        assert (await peer.read_head()).startswith(b"HTTP/1.1 200 OK\r\n")
        go_on.set()
        assert await peer.read_eof() == b"0\r\n\r\n"


class Generator:
    """An async iterator that knows whether it was closed."""

    def __init__(self, *items: bytes, endless: bool = False) -> None:
        self.items = list(items)
        self.endless = endless
        self.read = 0
        self.closed = asyncio.Event()

    def __aiter__(self) -> Generator:
        return self

    async def __anext__(self) -> bytes:
        if self.endless:
            await asyncio.sleep(0)
        elif self.read >= len(self.items):
            raise StopAsyncIteration
        self.read += 1
        return self.items[(self.read - 1) % len(self.items)]

    async def aclose(self) -> None:
        self.closed.set()


@pytest.mark.parametrize("request_", [GET, HEAD, GET_10])
async def test_a_generator_is_closed(request_: bytes) -> None:
    generator = Generator(b"one", b"two")
    await ask(returns(lambda: web.Response(body=generator)), request_)
    assert generator.closed.is_set()
    assert generator.read == (0 if request_ is HEAD else 2)


@pytest.mark.parametrize("status", [204, 304])
async def test_a_generator_that_may_not_be_sent_is_closed(status: int) -> None:
    generator = Generator(b"one")
    await ask(returns(lambda: web.Response(body=generator, status=status)))
    assert generator.closed.is_set()
    assert generator.read == 0


async def test_a_generator_is_closed_when_the_head_cannot_be_sent() -> None:
    generator = Generator(b"one")
    answer = await ask(returns(lambda: web.Response(body=generator, headers={"X-A": "\n"})))
    assert answer.status == 500
    assert generator.closed.is_set()
    assert generator.read == 0


@pytest.mark.parametrize("leave", ["reset", "finish and close"])
async def test_a_generator_is_closed_when_the_client_leaves(leave: str) -> None:
    generator = Generator(b"x" * 1000, endless=True)
    async with serving(returns(lambda: web.Response(body=generator))) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(GET)
            await peer.read_head()
            if leave == "reset":
                peer.reset()
            else:
                peer.writer.close()
            async with asyncio.timeout(DEADLINE):
                await generator.closed.wait()
        await site.idle()


async def test_a_generator_that_waits_is_closed_when_the_client_leaves() -> None:
    started, finished = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # what cleans up may have to wait
            finished.set()

    async with serving(returns(lambda: web.Response(body=body()))) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(GET)
            async with asyncio.timeout(DEADLINE):
                await started.wait()
            peer.reset()
            async with asyncio.timeout(DEADLINE):
                await finished.wait()
        await site.idle()


async def test_a_generator_that_cleans_up_is_not_disturbed() -> None:
    """The write fails first, the loss of the connection is told later."""
    cleaned: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def body(request: web.BaseRequest) -> AsyncIterator[bytes]:
        try:
            yield b"one"
            assert request.transport is not None
            request.transport.abort()
            yield b"two"
        finally:
            try:
                for _ in range(10):
                    await asyncio.sleep(0)
            except asyncio.CancelledError:
                cleaned.set_result(False)
                raise
            cleaned.set_result(True)

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=body(request))

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        async with asyncio.timeout(DEADLINE):
            assert await cleaned
        await site.idle()


async def test_a_generator_is_closed_at_the_end_of_its_content_length() -> None:
    generator = Generator(b"abc", endless=True)
    handler = returns(lambda: web.Response(body=generator, headers={"Content-Length": "7"}))
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(GET)
        assert answer.body == b"abcabca"
        async with asyncio.timeout(DEADLINE):
            await generator.closed.wait()
    assert generator.read == 3


async def test_a_body_function_is_called_for_each_response_and_not_for_head() -> None:
    calls = 0

    def body() -> AsyncIterator[bytes]:
        nonlocal calls
        calls += 1
        return pieces(b"%d" % calls)

    async with (
        serving(returns(lambda: web.Response(body=body))) as site,
        Peer.connect(site.port) as peer,
    ):
        assert (await peer.ask(GET)).body == b"1"
        assert (await peer.ask(HEAD)).body == b""
        assert (await peer.ask(GET)).body == b"2"


async def test_a_client_that_does_not_read_makes_the_handler_wait() -> None:
    written = 0
    blocked = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1000):
            write = asyncio.ensure_future(response.write(b"x" * 100_000))
            done, _ = await asyncio.wait([write], timeout=0.5)
            if not done:
                blocked.set()
            await write
            written += 100_000
        return response

    async with serving(handler) as site, Peer.connect(site.port, limit=1024) as peer:
        await peer.send(GET_CLOSE)
        async with asyncio.timeout(DEADLINE):
            await blocked.wait()
        assert written < 50_000_000
        data = await peer.read_eof()
    assert data.endswith(b"\r\n0\r\n\r\n")
    assert len(data) > 100_000_000


# --- The life of a response ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "prepare", "end", "text"),
    [
        (web.StreamResponse, False, False, "<StreamResponse OK not prepared>"),
        (web.StreamResponse, True, False, "<StreamResponse OK GET /path >"),
        (web.StreamResponse, True, True, "<StreamResponse OK eof>"),
        (web.Response, False, False, "<Response OK not prepared>"),
        (web.Response, True, False, "<Response OK GET /path >"),
        (web.Response, True, True, "<Response OK eof>"),
    ],
)
async def test_repr(kind: type[web.StreamResponse], prepare: bool, end: bool, text: str) -> None:
    assert await outcome(lambda response, _: repr(response), kind, prepare=prepare, end=end) == text


async def test_repr_of_a_whole_response_that_was_sent() -> None:
    response = web.Response(text="x")
    await raw(returns(lambda: response))
    assert repr(response) == "<Response OK eof>"
    assert response.prepared


async def test_prepared_and_task() -> None:
    seen: list[object] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        seen.append((response.prepared, response.task))
        await response.prepare(request)
        seen.append((response.prepared, response.task is asyncio.current_task()))
        await response.write_eof()
        seen.append((response.prepared, response.task))
        return response

    await raw(handler)
    assert seen == [(False, None), (True, True), (True, None)]


async def test_prepare_gives_the_writer_of_the_request() -> None:
    async def act(response: web.StreamResponse, request: web.BaseRequest) -> bool:
        writer = await response.prepare(request)
        return (
            writer is not None
            and writer is request.writer
            and writer is await response.prepare(request)
        )

    assert await outcome(act, prepare=False) is True


async def test_prepare_after_the_end_gives_none() -> None:
    assert await outcome(lambda response, request: response.prepare(request), end=True) is None


@BOTH
async def test_prepare_with_a_clone(kind: type[web.StreamResponse]) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = kind(headers={"X-A": "1"})
        clone = request.clone(method="POST", rel_url="/other")
        await response.prepare(clone)
        assert await response.prepare(request) is clone.writer
        assert repr(response) == f"<{kind.__name__} OK POST /other >"
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(GET)
        assert (answer.status, answer.header("x-a"), answer.body) == (200, "1", b"")
        await check_persists(site, peer)


async def test_body_length_counts_everything_sent() -> None:
    for make in (
        lambda: web.Response(text="hello"),
        lambda: web.Response(text="hello", headers={"X-A": "1"}),
        lambda: web.Response(body=pieces(b"he", b"llo")),
        web.StreamResponse,
    ):
        response: web.StreamResponse = make()
        async with serving(returns([response].pop)) as site, Peer.connect(site.port) as peer:
            await peer.send(GET_CLOSE)
            data = await peer.read_eof()
        assert response.body_length == len(data)


async def test_output_length_is_deprecated() -> None:
    async def act(response: web.StreamResponse, _: object) -> bool:
        await response.write(b"x" * 100)
        with pytest.warns(DeprecationWarning, match="output_length"):
            return response.output_length > 100

    assert await outcome(act) is True


async def test_drain_is_deprecated() -> None:
    async def act(response: web.StreamResponse, _: object) -> None:
        with pytest.warns(
            DeprecationWarning, match="drain method is deprecated, use await resp.write\\(\\)"
        ):
            await response.drain()

    assert await outcome(act) is None


async def test_write_eof_ends_the_response_before_the_handler() -> None:
    go_on = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one")
        await response.write_eof(b"two")
        await response.write_eof()
        await response.write_eof(b"three")
        await go_on.wait()
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(GET)
        assert answer.body == b"onetwo"
        go_on.set()
        await check_persists(site, peer)


async def test_an_explicit_end_of_a_whole_response() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        response = web.Response(text="hello")
        await response.prepare(request)
        await response.write_eof()
        await response.write_eof()
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).body == b"hello"
        await check_persists(site, peer)


async def test_a_handler_may_prepare_and_return_a_whole_response() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        response = web.Response(text="hello")
        await response.prepare(request)
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).body == b"hello"
        await check_persists(site, peer)


async def test_subclasses_may_have_their_own_prepare_and_write_eof() -> None:
    class Own(web.Response):
        async def prepare(self, request: web.BaseRequest) -> Any:
            self.headers["X-Own"] = "1"
            return await super().prepare(request)

        async def write_eof(self, data: Any = b"") -> None:
            self.body = b"own"
            await super().write_eof(data)

    answer = await ask(returns(lambda: Own(text="old")))
    assert (answer.header("x-own"), answer.body) == ("1", b"own")


# Misuse.


@BOTH
@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda response: response.write(b"x"), RuntimeError, "before prepare"),
        (lambda response: response.write("x"), AssertionError, "byte-ish"),
        (lambda response: response.write_eof(), AssertionError, "not been started"),
        (lambda response: response.drain(), AssertionError, "not been started"),
    ],
)
async def test_misuse_before_prepare(
    kind: type[web.StreamResponse],
    act: Callable[[Any], Awaitable[None]],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        await act(kind())


@BOTH
@pytest.mark.parametrize("data", ["text", 5, None, [b"x"], {}])
async def test_writing_what_is_no_bytes(kind: type[web.StreamResponse], data: Any) -> None:
    result = await outcome(lambda response, _: response.write(data), kind)
    assert isinstance(result, AssertionError)
    assert "byte-ish" in str(result)


async def test_ending_with_what_is_no_bytes() -> None:
    assert isinstance(await outcome(lambda response, _: response.write_eof("x")), AssertionError)


async def test_a_whole_response_ends_without_more_data() -> None:
    result = await outcome(lambda response, _: response.write_eof(b"x"), web.Response)
    assert isinstance(result, AssertionError)


@BOTH
@pytest.mark.parametrize("data", [b"x", b""])
async def test_writing_after_the_end(kind: type[web.StreamResponse], data: bytes) -> None:
    result = await outcome(lambda response, _: response.write(data), kind, end=True)
    assert isinstance(result, RuntimeError)
    assert str(result) == "Cannot call write() after write_eof()"


async def test_draining_after_the_end() -> None:
    assert isinstance(await outcome(lambda response, _: response.drain(), end=True), AssertionError)


@BOTH
@pytest.mark.parametrize("end", [False, True])
async def test_changing_the_status_after_the_head(
    kind: type[web.StreamResponse], end: bool
) -> None:
    result = await outcome(lambda response, _: response.set_status(404), kind, end=end)
    assert isinstance(result, AssertionError)
    assert "after the headers have been sent" in str(result)


async def test_misuse_that_nobody_catches_is_a_500() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.write(b"x")
        return response

    answer = await ask(handler)
    assert (answer.status, answer.body) == (500, FAILED)


async def test_the_same_response_returned_twice(caplog: pytest.LogCaptureFixture) -> None:
    """It was sent; to answer nothing at all, as aiohttp does, leaves the client waiting."""
    for make in (
        lambda: web.Response(text="x"),
        lambda: web.Response(text="x", headers={"X-A": "1"}),
    ):
        response = make()
        handler = returns([response, response].pop)
        async with serving(handler) as site, Peer.connect(site.port) as peer:
            assert (await peer.ask(GET)).body == b"x"
            answer = await peer.ask(GET)
            assert (answer.status, answer.body) == (500, FAILED)
    assert ["has been sent before" in str(record.exc_info) for record in caplog.records] == [
        True
    ] * 2


@pytest.mark.parametrize("first", [web.StreamResponse, lambda: web.Response(text="first")])
@pytest.mark.parametrize(
    "second",
    [
        lambda: web.Response(text="second"),
        lambda: web.HTTPNotFound(headers={"X-A": "1"}),
        web.HTTPNotFound,
    ],
)
@pytest.mark.parametrize("raising", [True, False])
async def test_a_second_response_to_one_request_never_goes_out(
    first: Callable[[], web.StreamResponse],
    second: Callable[[], web.StreamResponse],
    raising: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await first().prepare(request)
        response = second()
        if raising and isinstance(response, web.HTTPException):
            raise response
        return response

    data = await raw(handler, GET)
    assert data.count(b"HTTP/1.1") == 1
    assert data.endswith(b"\r\n\r\n")
    assert b"second" not in data
    assert "Error handling request" in caplog.text


async def test_a_second_response_after_a_complete_one_never_goes_out() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.Response(text="first")
        await response.prepare(request)
        await response.write_eof()
        return web.Response(text="second")

    data = await raw(handler, GET)
    assert data.count(b"HTTP/1.1") == 1
    assert data.endswith(b"\r\n\r\nfirst")


async def test_a_response_to_one_request_does_not_answer_another() -> None:
    kept: list[web.StreamResponse] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if not kept:
            kept.append(web.StreamResponse())
            await kept[0].prepare(request)
        return kept[0]

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).status == 200
        assert (await peer.ask(GET)).status == 500


async def test_an_exception_after_the_head_cuts_the_connection() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one")
        raise ValueError

    assert (await raw(handler, GET)).endswith(b"\r\n\r\n3\r\none\r\n")


async def test_writes_of_several_tasks_are_whole() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)

        async def speak(letter: bytes) -> None:
            for size in (1, 100, 70_000, 10, 200_000):
                await response.write(letter * size)

        await asyncio.gather(*[speak(letter) for letter in (b"a", b"b", b"c")])
        return response

    answer = await ask(handler)  # fails unless every chunk is well formed
    assert sorted(set(answer.body)) == sorted(b"abc")
    assert [answer.body.count(letter) for letter in (b"a", b"b", b"c")] == [270_111] * 3


async def test_writing_to_a_client_that_has_left() -> None:
    failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x")
                await asyncio.sleep(0)
        except Exception as exc:
            failed.set_result(exc)
            raise

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        await peer.read_head()
        peer.reset()
        async with asyncio.timeout(DEADLINE):
            assert isinstance(await failed, ConnectionResetError)
        await site.idle()


async def test_preparing_for_a_client_that_has_left() -> None:
    arrived = asyncio.Event()
    failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        arrived.set()
        await request.wait_disconnected()
        response = web.StreamResponse()
        try:
            await response.prepare(request)
        except Exception as exc:
            failed.set_result(exc)
            raise
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        async with asyncio.timeout(DEADLINE):
            await arrived.wait()
            peer.reset()
            assert isinstance(await failed, ConnectionResetError)
        await site.idle()


@pytest.mark.parametrize(
    "make", [lambda: web.Response(text="x"), lambda: web.Response(body=Generator(b"x"))]
)
async def test_answering_a_client_that_has_left(
    make: Callable[[], web.Response], caplog: pytest.LogCaptureFixture
) -> None:
    arrived = asyncio.Event()
    made: list[web.Response] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        arrived.set()
        await request.wait_disconnected()
        made.append(make())
        return made[0]

    caplog.set_level(logging.INFO)
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        async with asyncio.timeout(DEADLINE):
            await arrived.wait()
        peer.reset()
        await site.idle()
        async with asyncio.timeout(DEADLINE):
            while not made:
                await asyncio.sleep(0)
    assert [record for record in caplog.records if record.name.startswith("lowlevel")] == []


async def test_a_sent_response_holds_nothing_of_its_connection() -> None:
    kept: list[web.StreamResponse] = []
    requests: list[weakref.ref[web.BaseRequest]] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        requests.append(weakref.ref(request))
        response = web.StreamResponse() if len(kept) % 2 else web.Response(text="x")
        kept.append(response)
        await response.prepare(request)
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        gc.disable()
        try:
            for _ in range(4):
                await peer.ask(GET)
            await site.server.shutdown(0.1)
            await peer.read_eof()
            await site.idle()
            assert [reference() for reference in requests] == [None] * 4
        finally:
            gc.enable()


# --- Injection (CWE-113) -------------------------------------------------------------------------

EVIL = ["a\r\nX-Injected: 1", "a\nX-Injected: 1", "a\rX-Injected: 1", "a\0X-Injected: 1", "\n"]


@pytest.mark.parametrize("evil", EVIL)
@BOTH
@pytest.mark.parametrize("place", ["value", "name", "content type", "cookie", "cookie attribute"])
async def test_no_header_is_injected(
    kind: type[web.StreamResponse], place: str, evil: str, caplog: pytest.LogCaptureFixture
) -> None:
    def make() -> web.StreamResponse:
        response = kind()
        if place == "value":
            response.headers["X-A"] = evil
        elif place == "name":
            response.headers[evil] = "1"
        elif place == "content type":
            response.content_type = evil
        elif place == "cookie":
            response.set_cookie("n", evil)
        else:
            response.cookies["n"] = "v"
            response.cookies["n"]["path"] = evil
        return response

    data = await raw(returns(make), GET)
    assert data.startswith(b"HTTP/1.1 500 ")
    assert data.endswith(FAILED)
    assert b"Injected" not in data
    assert "Error handling request" in caplog.text


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("argument", ["content_type", "charset"])
@pytest.mark.parametrize("body", [{"body": b"x"}, {"text": "x"}])
async def test_no_header_is_injected_by_arguments(
    argument: str, evil: str, body: dict[str, Any]
) -> None:
    arguments = {"content_type": "a/b", **body, argument: evil}
    data = await raw(returns(lambda: web.Response(**arguments)), GET)
    assert data.startswith(b"HTTP/1.1 500 ")
    assert b"Injected" not in data


@pytest.mark.parametrize(
    "name", ["", " ", "X A", "X:A", "\tX-Folded", "X-A ", "X(A)", "Größe", "X\x01"]
)
async def test_names_that_are_no_tokens_never_go_out(name: str) -> None:
    data = await raw(returns(lambda: web.Response(text="x", headers={name: "1"})), GET)
    assert data.startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize("evil", EVIL)
async def test_no_header_is_injected_by_raised_responses(evil: str) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.query["by"] == "reason":
            raise web.HTTPNotFound(reason=evil)
        if request.query["by"] == "header":
            raise web.HTTPNotFound(headers={"X-A": evil})
        if request.query["by"] == "type":
            raise web.HTTPNotFound(text="x", content_type=evil)
        raise web.HTTPFound(f"/a{evil}")

    for by in ("reason", "header", "type", "location"):
        data = await raw(
            handler, b"GET /?by=%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % by.encode()
        )
        assert b"\r\nX-Injected" not in data
        assert b"\nX-Injected" not in data
        assert b"\0" not in data
        assert data.startswith((b"HTTP/1.1 500 ", b"HTTP/1.1 302 "))


# --- Raised responses ----------------------------------------------------------------------------


@pytest.mark.parametrize("raising", [True, False])
async def test_cookies_and_headers_of_a_raised_response(raising: bool) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.HTTPForbidden(text="no", headers={"X-A": "1"})
        response.set_cookie("n", "v")
        response.del_cookie("old")
        if raising:
            raise response
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(GET)
        assert (answer.status, answer.body, answer.header("x-a")) == (403, b"no", "1")
        assert [cookie.partition("=")[0] for cookie in answer.headers["set-cookie"]] == ["n", "old"]
        await check_persists(site, peer)


@pytest.mark.parametrize("error", [web.HTTPNoContent, web.HTTPNotModified, web.HTTPResetContent])
async def test_raised_responses_without_a_body(error: type[web.HTTPException]) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        raise error

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(GET)
        assert (answer.status, answer.body) == (error.status_code, b"")
        assert "content-type" not in answer.headers
        assert ("content-length" in answer.headers) is (error is web.HTTPResetContent)
        await check_persists(site, peer)


def test_a_response_that_was_raised_can_be_pickled() -> None:
    twin = pickle.loads(pickle.dumps(web.HTTPNotFound(text="x")))
    assert (twin.status, twin.text) == (404, "x")


# --- With aiohttp's client -----------------------------------------------------------------------


async def test_with_the_client_of_aiohttp() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        match request.path:
            case "/json":
                response: web.StreamResponse = web.json_response({"é": [1, 2]})
                response.set_cookie("seen", "yes")
                return response
            case "/stream":
                return web.Response(
                    body=pieces(b"a" * 1000, b"b" * 100_000), content_type="text/plain"
                )
            case "/echo":
                return web.Response(body=request.content)
            case "/redirect":
                raise web.HTTPFound("/json")
        raise web.HTTPNotFound

    async with serving(handler) as site, aiohttp.ClientSession() as session:
        async with session.get(site.url("/json")) as answer:
            assert await answer.json() == {"é": [1, 2]}
            assert answer.cookies["seen"].value == "yes"
        async with session.get(site.url("/stream")) as answer:
            assert await answer.text() == "a" * 1000 + "b" * 100_000
            assert answer.content_type == "text/plain"
        async with session.get(site.url("/redirect")) as answer:
            assert answer.url.path == "/json"
        async with session.head(site.url("/stream")) as answer:
            assert await answer.read() == b""
        async with session.post(site.url("/echo"), data=b"no line end " * 50_000) as answer:
            assert await answer.read() == b"no line end " * 50_000
        async with session.get(site.url("/missing")) as answer:
            assert (answer.status, await answer.text()) == (404, "404: Not Found")
        assert site.server.requests_count == 7
        assert len(site.server.connections) == 1
