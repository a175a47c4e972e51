"""What a handler sees of a request: every attribute, from bytes on a real connection."""

import asyncio
import gc
import json
import sys
import warnings
import weakref
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

import lowlevel as web
from lowlevel.body import EMPTY_PAYLOAD
from tests.support import DEADLINE, Answer, Peer, serving

Look = Callable[[web.BaseRequest], Any]


def raw(
    target: str = "/", *fields: str, method: str = "GET", version: str = "1.1", body: bytes = b""
) -> bytes:
    """The bytes of a request; ``Host: example.com:81`` unless there is another."""
    lines = [f"{method} {target} HTTP/{version}"]
    if not any(field.lower().startswith("host:") for field in fields):
        lines.append("Host: example.com:81")
    lines += fields
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def seen(data: bytes, look: Look, **options: Any) -> Any:
    """Send a request; return what ``look(request)`` gave, awaited if need be."""
    found: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        result = look(request)
        found.append(await result if asyncio.iscoroutine(result) else result)
        return web.Response()

    async with serving(handler, **options) as server, Peer.connect(server.port) as peer:
        answer = await peer.ask(data)
        assert answer.status == 200, answer.head
    return found[0]


async def answered(handler: Any, data: bytes, **options: Any) -> Answer:
    async with serving(handler, **options) as server, Peer.connect(server.port) as peer:
        return await peer.ask(data)


# --- Request line ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", "GET POST PUT PATCH DELETE OPTIONS TRACE PROPFIND".split())
async def test_method(method: str) -> None:
    assert await seen(raw(method=method), lambda request: request.method) == method


async def test_version() -> None:
    version = await seen(raw(), lambda request: request.version)
    assert version == web.HttpVersion11 == (1, 1)
    assert isinstance(version, web.HttpVersion)
    assert (version.major, version.minor) == (1, 1)
    assert await seen(raw(version="1.0"), lambda request: request.version) == web.HttpVersion10


# (target, path, path_qs, query_string, query)
TARGETS = [
    ("/", "/", "/", "", []),
    ("/path%20to?a=1", "/path to", "/path%20to?a=1", "a=1", [("a", "1")]),
    ("/a%2Fb%2fc", "/a/b/c", "/a%2Fb%2fc", "", []),
    # yarl tells a path that begins with two slashes from an authority by two slashes more.
    ("//", "//", "////", "", []),
    ("//host/path", "//host/path", "////host/path", "", []),
    ("//h:99/p?q", "//h:99/p", "////h:99/p?q", "q", [("q", "")]),
    ("/a//b", "/a//b", "/a//b", "", []),
    ("/a/./b/../c", "/a/./b/../c", "/a/./b/../c", "", []),
    ("/?", "/", "/", "", []),
    ("/a?#", "/a", "/a", "", []),
    ("/a?b=c#frag?x", "/a", "/a?b=c#frag?x", "b=c", [("b", "c")]),
    ("/a?b=1&c=&d&b=2", "/a", "/a?b=1&c=&d&b=2", "b=1&c=&d&b=2", None),
    ("/a?a=b;c=d", "/a", "/a?a=b;c=d", "a=b;c=d", [("a", "b;c=d")]),
    ("/a;p=1/b;q", "/a;p=1/b;q", "/a;p=1/b;q", "", []),
    ("/a+b?c+d=e+f", "/a+b", "/a+b?c+d=e+f", "c d=e f", [("c d", "e f")]),
    ("/a%2Bb?c%2Bd=e%2Bf", "/a+b", "/a%2Bb?c%2Bd=e%2Bf", "c%2Bd=e%2Bf", [("c+d", "e+f")]),
    ("/%ff", "/%ff", "/%ff", "", []),
    ("/%FF%FE?x=%ff", "/%FF%FE", "/%FF%FE?x=%ff", "x=%ff", None),
    ("/%c3%a9?%c3%a9=%C3%A9", "/\xe9", "/%c3%a9?%c3%a9=%C3%A9", "\xe9=\xe9", [("\xe9", "\xe9")]),
    ("/%zz%", "/%zz%", "/%zz%", "", []),
    ("/%2525", "/%25", "/%2525", "", []),
    ("/a?u=http://x/y?z", "/a", "/a?u=http://x/y?z", "u=http://x/y?z", [("u", "http://x/y?z")]),
    ("/a?x=%26&y=%3d", "/a", "/a?x=%26&y=%3d", "x=%26&y=%3D", [("x", "&"), ("y", "=")]),
    ("http://h.example:8/p%20q?x=1", "/p q", "/p%20q?x=1", "x=1", [("x", "1")]),
    ("http://h.example", "/", "/", "", []),
]


@pytest.mark.parametrize(("target", "path", "path_qs", "query_string", "query"), TARGETS)
async def test_target(
    target: str, path: str, path_qs: str, query_string: str, query: list[tuple[str, str]] | None
) -> None:
    def look(request: web.BaseRequest) -> None:
        reference = URL(target, encoded=True) if target[0] != "/" else None
        assert request.raw_path == target
        if reference is None:
            assert (request.path, request.path_qs) == (path, path_qs)
        else:
            assert request.rel_url == reference.relative()
            assert request.path == reference.relative().path
            assert request.path_qs == str(reference.relative())
        assert request.query_string == query_string
        assert request.query is request.query
        if query is not None:
            assert list(request.query.items()) == query
        assert isinstance(request.rel_url, URL) and isinstance(request.url, URL)
        assert not request.rel_url.absolute

    await seen(raw(target), look)


async def test_repeated_query_variables() -> None:
    query = await seen(raw("/?b=1&c=&d&b=2"), lambda request: request.query)
    assert query.getall("b") == ["1", "2"]
    assert (query["c"], query["d"]) == ("", "")
    assert query.get("e") is None


async def test_asterisk_form() -> None:
    look: Look = lambda r: (r.raw_path, r.path, r.rel_url, r.host)  # noqa: E731
    found = await seen(raw("*", method="OPTIONS"), look)
    assert found == ("*", "*", URL("*"), "example.com:81")


async def test_authority_form() -> None:
    def look(request: web.BaseRequest) -> Any:
        return request.method, request.raw_path, request.host, request.url.host, request.url.port

    found = await seen(raw("example.org:443", method="CONNECT"), look)
    assert found == ("CONNECT", "example.org:443", "example.org", "example.org", 443)


@pytest.mark.parametrize(
    "target",
    [
        "http://a:99999/",
        "http://a:b/",
        "http://a:1:2/",
        "http://[::/",
        "http://[zz]/",
        "http://[::1]x/",
        "http://:80/",
        "http://@/",
        "http://u@/x",
        "http:///x",
        "http:/x",
        "x/y",
        "?a",
    ],
)
async def test_a_target_that_no_property_could_read_never_gets_to_a_handler(target: str) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(text=str(request.url))

    assert (await answered(handler, raw(target))).status == 400


@pytest.mark.parametrize("target", ["a:99999", ":443", "/x", "http://a/", "u@a:1"])
async def test_a_bad_authority_form(target: str) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(text=str(request.url))

    assert (await answered(handler, raw(target, method="CONNECT"))).status == 400


# --- Scheme, host, url, remote -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("example.com", "http://example.com/p?q=1"),
        ("example.com:80", "http://example.com/p?q=1"),
        ("Example.COM:8080", "http://example.com:8080/p?q=1"),
        ("[::1]:8080", "http://[::1]:8080/p?q=1"),
        ("1.2.3.4", "http://1.2.3.4/p?q=1"),
    ],
)
async def test_host(host: str, url: str) -> None:
    look: Look = lambda request: (request.host, request.url)  # noqa: E731
    assert await seen(raw("/p?q=1", f"Host: {host}"), look) == (host, URL(url))


async def test_path_with_two_slashes_is_no_host() -> None:
    def look(request: web.BaseRequest) -> Any:
        return request.host, request.url.host, request.url.path

    found = await seen(raw("//evil.example/path"), look)
    assert found == ("example.com:81", "example.com", "//evil.example/path")


async def test_absolute_form_sets_the_host_and_never_the_scheme() -> None:
    def look(request: web.BaseRequest) -> Any:
        return request.host, request.scheme, request.secure, request.url, request.headers["Host"]

    found = await seen(raw("https://other.example:99/p?q"), look)
    url = URL("http://other.example:99/p?q")
    assert found == ("other.example", "http", False, url, "example.com:81")


async def test_without_a_host() -> None:
    look: Look = lambda request: (request.host, str(request.url))  # noqa: E731
    found = await seen(b"GET /p HTTP/1.0\r\n\r\n", look)
    assert found == ("127.0.0.1", "http://127.0.0.1/p")
    assert (await seen(raw("/p", "Host:"), look))[0] == ""


async def test_without_a_host_on_ipv6() -> None:
    hosts: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        hosts.append((request.host, request.remote, str(request.url)))
        return web.Response()

    loop = asyncio.get_running_loop()
    server = web.Server(handler, access_log=None)
    try:
        listener = await loop.create_server(server, "::1", 0)
    except OSError:
        pytest.skip("no IPv6 here")
    reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname()[:2])
    writer.write(b"GET /p HTTP/1.0\r\n\r\n")
    async with asyncio.timeout(DEADLINE):
        await reader.read()
    writer.close()
    listener.close()
    await server.shutdown(1)
    assert hosts == [("[::1]", "::1", "http://[::1]/p")]


async def test_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    found: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        found.append((request.host, request.remote, request.scheme))
        return web.Response()

    server = web.Server(handler, access_log=None)
    listener = await asyncio.get_running_loop().create_unix_server(server, path)
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /p HTTP/1.0\r\n\r\n")
    async with asyncio.timeout(DEADLINE):
        await reader.read()
    writer.close()
    listener.close()
    await server.shutdown(1)
    host, remote, scheme = found[0]
    assert host == path and scheme == "http"
    assert remote in ("", None)


async def test_tls(tls: Any) -> None:
    found: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        info = request.get_extra_info("ssl_object")
        found.append((request.scheme, request.secure, str(request.url), info is not None))
        return web.Response()

    server = web.Server(handler, access_log=None)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, "127.0.0.1", 0, ssl=tls.server)
    port = listener.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as session:
        response = await session.get(f"https://127.0.0.1:{port}/p", ssl=tls.client)
        assert response.status == 200
    listener.close()
    await server.shutdown(1)
    assert found == [("https", True, f"https://127.0.0.1:{port}/p", True)]


async def test_what_clients_claim_has_no_influence() -> None:
    def look(request: web.BaseRequest) -> Any:
        return request.scheme, request.host, request.remote

    fields = ("X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-Forwarded-For: 6.6.6.6")
    assert await seen(raw("/", *fields), look) == ("http", "example.com:81", "127.0.0.1")


# --- Header fields ----------------------------------------------------------------------------------


async def test_headers() -> None:
    headers = await seen(
        raw("/", "X-One: 1", "x-one:   2 \t", "X-Empty:", "X-U: \xc3\xa9"),
        lambda request: request.headers,
    )
    assert isinstance(headers, CIMultiDictProxy)
    assert headers.getall("x-ONE") == ["1", "2"]
    assert headers["X-Empty"] == ""
    assert headers["X-U"] == "\xe9"
    assert "x-missing" not in headers
    with pytest.raises(TypeError):
        headers["X"] = "y"


async def test_a_value_that_is_no_utf_8_can_be_sent_back() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        value = request.headers["X-L"]
        assert value.encode("utf-8", "surrogateescape") == b"\xe9\xff"
        assert request.headers is request.headers
        return web.Response(text="ok")

    assert (await answered(handler, raw("/", "X-L: \xe9\xff"))).body == b"ok"


async def test_raw_headers() -> None:
    found = await seen(raw("/", "x-ONE:  1 ", "X-One: \xff"), lambda request: request.raw_headers)
    assert found == ((b"Host", b"example.com:81"), (b"x-ONE", b"1"), (b"X-One", b"\xff"))
    assert isinstance(found, tuple)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((), ("application/octet-stream", None)),
        (("Content-Type: text/html",), ("text/html", None)),
        (("Content-Type: TEXT/Html; Charset=UTF-8",), ("text/html", "UTF-8")),
        (('Content-Type: text/html; charset="utf-8"; a=b',), ("text/html", "utf-8")),
        (("Content-Type: nonsense",), ("application/octet-stream", None)),
        (("Content-Type:",), ("application/octet-stream", None)),
    ],
)
async def test_content_type(fields: tuple[str, ...], expected: tuple[str, str | None]) -> None:
    look: Look = lambda request: (request.content_type, request.charset)  # noqa: E731
    assert await seen(raw("/", *fields), look) == expected


async def test_content_length() -> None:
    def look(request: web.BaseRequest) -> Any:
        return request.content_length

    assert await seen(raw(), look) is None
    assert await seen(raw("/", "Content-Length: 0", method="POST"), look) == 0
    assert await seen(raw(method="POST", body=b"hello"), look) == 5
    data = raw("/", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\r\n"
    assert await seen(data, look) is None


@pytest.mark.parametrize(
    ("version", "connection", "expected"),
    [
        ("1.1", None, True),
        ("1.1", "close", False),
        ("1.1", "keep-alive", True),
        ("1.0", None, False),
        ("1.0", "keep-alive", True),
    ],
)
async def test_keep_alive(version: str, connection: str | None, expected: bool) -> None:
    fields = [] if connection is None else [f"Connection: {connection}"]
    data = raw("/", *fields, version=version)
    assert await seen(data, lambda request: request.keep_alive) is expected


COOKIES = [
    ("a=1; b=2", {"a": "1", "b": "2"}),
    ("a=1; a=2", {"a": "2"}),
    ("{x}=1; a/b=2; a[3]=3", {"{x}": "1", "a/b": "2", "a[3]": "3"}),
    (
        "path=/; expires=x; domain=y; secure",
        {"path": "/", "expires": "x", "domain": "y", "secure": ""},
    ),
    ('q="a\\"b\\073c"', {"q": 'a"b;c'}),
    ("k=; bare", {"k": "", "bare": ""}),
    ("", {}),
]


@pytest.mark.parametrize(("value", "expected"), COOKIES)
async def test_cookies(value: str, expected: dict[str, str]) -> None:
    def look(request: web.BaseRequest) -> Any:
        assert request.cookies is request.cookies
        return request.cookies

    cookies = await seen(raw("/", f"Cookie: {value}"), look)
    assert cookies == expected
    assert isinstance(cookies, Mapping) and not isinstance(cookies, MutableMapping)
    with pytest.raises(TypeError):
        cookies["x"] = "y"


async def test_no_and_several_cookie_fields() -> None:
    assert await seen(raw(), lambda request: request.cookies) == {}
    data = raw("/", "Cookie: a=1", "Cookie: b=2; a=3")
    assert await seen(data, lambda request: request.cookies) == {"a": "3", "b": "2"}


async def test_forwarded() -> None:
    value = await seen(
        raw("/", 'Forwarded: For="[2001::1]:80";proto=https, by=_x', "Forwarded: for=unknown"),
        lambda request: request.forwarded,
    )
    assert value == ({"for": "[2001::1]:80", "proto": "https"}, {"by": "_x"}, {"for": "unknown"})
    assert isinstance(value, tuple) and isinstance(value[0], MappingProxyType)
    assert await seen(raw(), lambda request: request.forwarded) == ()


async def test_dates() -> None:
    def look(request: web.BaseRequest) -> Any:
        return request.if_modified_since, request.if_unmodified_since, request.if_range

    moment = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
    found = await seen(
        raw(
            "/",
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            "If-Unmodified-Since: Sunday, 06-Nov-94 08:49:37 GMT",
            "If-Range: Sun Nov  6 08:49:37 1994",
        ),
        look,
    )
    assert found == (moment, moment, moment)
    assert all(value.tzinfo is UTC for value in found)
    bad = ("If-Modified-Since: junk", "If-Unmodified-Since:", 'If-Range: "tag"')
    assert await seen(raw("/", *bad), look) == (None, None, None)
    assert await seen(raw(), look) == (None, None, None)


async def test_entity_tags() -> None:
    def look(request: web.BaseRequest) -> Any:
        return request.if_match, request.if_none_match

    found = await seen(raw("/", 'If-Match: "a", W/"b", bad, "c"', "If-None-Match: *"), look)
    assert found == ((web.ETag("a"), web.ETag("b", is_weak=True)), (web.ETag("*"),))
    assert await seen(raw("/", "If-Match: bad"), look) == ((), None)
    assert await seen(raw("/", "If-Match:"), look) == (None, None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, slice(None, None, 1)),
        ("bytes=0-9", slice(0, 10, 1)),
        ("BYTES=5-", slice(5, None, 1)),
        ("bytes=-5", slice(-5, None, 1)),
    ],
)
async def test_http_range(value: str | None, expected: slice) -> None:
    fields = [] if value is None else [f"Range: {value}"]
    assert await seen(raw("/", *fields), lambda request: request.http_range) == expected


@pytest.mark.parametrize("value", ["items=0-1", "bytes=9-0", "bytes=-", "bytes=0-1,3-4", ""])
async def test_a_bad_range_is_a_value_error(value: str) -> None:
    def look(request: web.BaseRequest) -> None:
        with pytest.raises(ValueError):
            request.http_range  # noqa: B018

    await seen(raw("/", f"Range: {value}"), look)


async def test_is_websocket() -> None:
    def look(request: web.BaseRequest) -> Any:
        return request.is_websocket

    fields = ("Connection: Upgrade", "Upgrade: websocket")
    assert await seen(raw("/", *fields), look) is True
    assert await seen(raw("/", "Connection: Upgrade", "Upgrade: h2c"), look) is False
    assert await seen(raw("/", "Upgrade: websocket"), look) is False
    assert await seen(raw(), look) is False


# --- The mapping, identity, and what surrounds a request ---------------------------------------------


async def test_state() -> None:
    user = web.RequestKey("user", str)

    def look(request: web.BaseRequest) -> None:
        assert isinstance(request, MutableMapping)
        assert len(request) == 0 and request
        request[user] = "me"
        assert request[user] == "me" and list(request) == [user]
        with pytest.raises(KeyError):
            request[web.RequestKey("other", str)]
        web.BaseRequest._warned.clear()
        with pytest.warns(web.NotAppKeyWarning):
            request["name"] = 1
        request["name"] = 2
        assert request["name"] == 2

    await seen(raw(), look)


async def test_a_string_in_a_request_and_in_a_response_warn_both() -> None:
    def look(request: web.BaseRequest) -> None:
        with pytest.warns(web.NotAppKeyWarning, match="RequestKey"):
            request["the same name in both"] = 1
        with pytest.warns(web.NotAppKeyWarning, match="ResponseKey"):
            web.Response()["the same name in both"] = 1

    await seen(raw(), look)


async def test_state_is_of_one_request_alone() -> None:
    key = web.RequestKey("n", int)
    seen_before: list[bool] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        seen_before.append(key in request)
        request[key] = 1
        return web.Response()

    async with serving(handler) as server, Peer.connect(server.port) as peer:
        for _ in range(2):
            await peer.ask(raw())
    assert seen_before == [False, False]


async def test_identity() -> None:
    def look(request: web.BaseRequest) -> None:
        clone = request.clone()
        assert request == request and request != clone and request != {}
        assert len({request, clone}) == 2

    await seen(raw(), look)


async def test_custom_attributes() -> None:
    def look(request: web.BaseRequest) -> None:
        request.user = "me"  # type: ignore[attr-defined]
        assert request.user == "me"  # type: ignore[attr-defined]

    await seen(raw(), look)


@pytest.mark.parametrize(
    ("target", "shown"),
    [("/path", "/path"), ("/p?q", "/p"), ("/%C3%A9", "/\\xe9"), ("/%E2%82%AC", "/\\u20ac")],
)
async def test_repr(target: str, shown: str) -> None:
    assert await seen(raw(target), repr) == f"<BaseRequest GET {shown} >"


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="counts references")
async def test_a_request_that_is_answered_is_gone_without_the_collector() -> None:
    requests: list[weakref.ref[web.BaseRequest]] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        requests.append(weakref.ref(request))
        request.headers, request.url, request.cookies, request.writer  # noqa: B018
        await request.read()
        return web.Response()

    gc.collect()
    gc.disable()
    try:
        async with serving(handler) as server, Peer.connect(server.port) as peer:
            await peer.ask(raw(method="POST", body=b"hello"))
            await peer.ask(raw())
            async with asyncio.timeout(DEADLINE):
                while any(reference() is not None for reference in requests):
                    await asyncio.sleep(0.001)
    finally:
        gc.enable()
    assert len(requests) == 2


async def test_task_protocol_transport() -> None:
    def look(request: web.BaseRequest) -> None:
        assert request.task is asyncio.current_task()
        assert isinstance(request.protocol, web.RequestHandler)
        assert request.transport is not None
        peer = request.transport.get_extra_info("peername")
        assert peer == request.get_extra_info("peername") == request.protocol.peername
        assert request.get_extra_info("no such thing") is None
        assert request.get_extra_info("no such thing", 5) == 5
        assert request.client_max_size == 1024**2
        assert request.client_max_fields == 1000
        assert request.writer is request.writer

    await seen(raw(), look)


async def test_after_the_connection_is_lost() -> None:
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def handler(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        while request.transport is not None:
            await asyncio.sleep(0)
        assert request.get_extra_info("peername", "gone") == "gone"
        assert request.remote == "127.0.0.1" and request.host == "example.com:81"
        assert request.headers["Host"] == "example.com:81"
        done.set_result(None)
        return web.Response()

    async with serving(handler) as server, Peer.connect(server.port) as peer:
        await peer.send(raw())
        async with asyncio.timeout(DEADLINE):
            await done


async def test_deprecated() -> None:
    def look(request: web.BaseRequest) -> None:
        with pytest.warns(
            DeprecationWarning, match="request.loop property is deprecated"
        ) as caught:
            assert request.loop is asyncio.get_running_loop()
        assert caught[0].filename == __file__
        with pytest.warns(DeprecationWarning, match="Request.message is deprecated"):
            assert request.message.path == "/p"
        with pytest.warns(DeprecationWarning, match="use .can_read_body"):
            assert request.has_body is False

    await seen(raw("/p"), look)


# --- request_factory ---------------------------------------------------------------------------------


class MyRequest(web.BaseRequest):
    def __init__(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(message, payload, protocol, writer, task, loop, client_max_size=5)
        self.arguments = message, payload, protocol, writer, task

    @property
    def shout(self) -> str:
        return self.path.upper()


async def test_request_factory() -> None:
    def look(request: MyRequest) -> None:
        message, payload, protocol, writer, task = request.arguments
        assert (message.method, message.path, message.version) == ("GET", "/p?q", (1, 1))
        assert message.headers["host"] == "example.com:81"
        assert message.raw_headers == request.raw_headers
        assert message.url == request.rel_url and message.should_close is False
        assert payload is request.content is EMPTY_PAYLOAD
        assert protocol is request.protocol and writer is request.writer
        assert task is request.task is asyncio.current_task()
        assert request.shout == "/P" and repr(request) == "<MyRequest GET /p >"
        with pytest.warns(DeprecationWarning):
            assert request.loop is asyncio.get_running_loop()

    await seen(raw("/p?q"), look, request_factory=MyRequest)


async def test_the_limit_of_a_request_of_our_own() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=await request.read())

    data = raw(method="POST", body=b"123456")
    assert (await answered(handler, data, request_factory=MyRequest)).status == 413


async def test_a_factory_that_fails_is_a_500() -> None:
    def factory(*args: Any) -> Any:
        raise LookupError("no such request")

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response()

    assert (await answered(handler, raw(), request_factory=factory)).status == 500


async def test_a_request_may_be_made_with_only_what_matters() -> None:
    def look(request: web.BaseRequest) -> None:
        other = web.BaseRequest(
            request._message,
            request.content,
            request.protocol,
            request.writer,
            request.task,
            asyncio.get_running_loop(),
            client_max_size=1,
            client_max_fields=2,
            state={"a": 1},
            scheme="https",
            host="other.example",
            remote="1.2.3.4",
        )
        assert (other.client_max_size, other.client_max_fields) == (1, 2)
        assert dict(other) == {"a": 1}
        assert (other.scheme, other.secure, other.host) == ("https", True, "other.example")
        assert other.remote == "1.2.3.4"
        assert other.url == URL("https://other.example/p")

    await seen(raw("/p"), look)


# --- clone --------------------------------------------------------------------------------------------


async def test_a_clone_is_the_same_but_not_the_same() -> None:
    def look(request: web.BaseRequest) -> None:
        request[KEY] = 1
        clone = request.clone()
        assert type(clone) is type(request)
        for (
            name
        ) in "method version path raw_path rel_url url headers raw_headers host remote".split():
            assert getattr(clone, name) == getattr(request, name)
        assert clone.content is request.content and clone.protocol is request.protocol
        assert clone.writer is request.writer and clone.task is request.task
        assert clone[KEY] == 1
        clone[KEY] = 2
        assert request[KEY] == 1

    await seen(raw("/a%20b?c=d"), look)


KEY = web.RequestKey("key", int)


async def test_clone_with_a_method() -> None:
    def look(request: web.BaseRequest) -> Any:
        return request.clone(method="DELETE").method, request.method

    assert await seen(raw(), look) == ("DELETE", "GET")


@pytest.mark.parametrize("make", [str, URL])
async def test_clone_with_a_target(make: Any) -> None:
    def look(request: web.BaseRequest) -> None:
        request.path, request.query, request.url  # noqa: B018 - what is kept must not be copied
        clone = request.clone(rel_url=make("/b%20c?x=1"))
        assert (clone.path, clone.raw_path, clone.query_string) == ("/b c", "/b%20c?x=1", "x=1")
        assert dict(clone.query) == {"x": "1"}
        assert clone.url == URL("http://example.com:81/b%20c?x=1")
        assert request.path == "/a"

    await seen(raw("/a?q=1"), look)


async def test_clone_with_odd_targets() -> None:
    def look(request: web.BaseRequest) -> None:
        clone = request.clone(rel_url="http://other.example:82/x")
        assert (clone.host, clone.path) == ("other.example", "/x")
        assert clone.url == URL("http://other.example:82/x")
        assert request.clone(rel_url="/\xe9").path == "/\xe9"
        unquoted = request.clone(rel_url=URL("/\xe9", encoded=True))
        assert unquoted.path == unquoted.raw_path == "/\xe9"

    await seen(raw("/a?q=1"), look)


async def test_clone_with_headers() -> None:
    given = CIMultiDict({"Host": "other.example", "X-\xe9": "\xe9", "Content-Length": "7"})

    def look(request: web.BaseRequest) -> None:
        assert request.host == "example.com:81"
        clone = request.clone(headers=given)
        assert isinstance(clone.headers, CIMultiDictProxy)
        assert clone.headers == given
        given["X-Later"] = "1"
        assert "X-Later" not in clone.headers
        assert clone.raw_headers[1] == ("X-\xe9".encode(), "\xe9".encode())
        assert clone.host == "other.example" and clone.url.host == "other.example"
        assert clone.content_length == 7
        assert "X-\xe9" not in request.headers
        assert request.clone(headers=[("A", "1"), ("a", "2")]).headers.getall("A") == ["1", "2"]
        assert request.clone(headers={"Content-Length": "x"}).content_length is None

    await seen(raw(), look)


async def test_clone_with_another_origin() -> None:
    def look(request: web.BaseRequest) -> None:
        assert (request.scheme, request.host, request.remote) == (
            "http",
            "example.com:81",
            "127.0.0.1",
        )
        clone = request.clone(scheme="https", host="public.example:444", remote="1.2.3.4")
        assert (clone.scheme, clone.secure, clone.host) == ("https", True, "public.example:444")
        assert clone.remote == "1.2.3.4"
        assert clone.url == URL("https://public.example:444/p?q")
        again = clone.clone(method="PUT")
        assert (again.scheme, again.host, again.remote) == (clone.scheme, clone.host, clone.remote)

    await seen(raw("/p?q"), look)


async def test_clone_of_absolute_form_with_another_origin() -> None:
    def look(request: web.BaseRequest) -> Any:
        clone = request.clone(scheme="https", host="public.example")
        return clone.host, clone.url

    found = await seen(raw("http://inner.example:8080/p?q"), look)
    assert found == ("public.example", URL("https://public.example/p?q"))


async def test_clone_with_limits() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        clone = request.clone(client_max_size=10, client_max_fields=3)
        assert (clone.client_max_size, clone.client_max_fields) == (10, 3)
        assert clone.clone().client_max_fields == 3
        return web.Response(body=await clone.read())

    data = raw(method="POST", body=b"0123456")
    assert (await answered(handler, data, client_max_size=5)).body == b"0123456"


async def test_no_clone_after_the_body_was_read() -> None:
    async def look(request: web.BaseRequest) -> None:
        await request.read()
        with pytest.raises(RuntimeError, match="after reading"):
            request.clone()

    await seen(raw(method="POST", body=b"hello"), look)


async def test_a_response_may_be_prepared_with_a_clone() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request.clone(rel_url="/other"))
        await response.write(b"hello")
        return response

    assert (await answered(handler, raw())).body == b"hello"


# --- The body -----------------------------------------------------------------------------------------


CHUNKED = raw("/", "Transfer-Encoding: chunked", method="POST")


async def test_body_exists() -> None:
    def look(request: web.BaseRequest) -> Any:
        return request.body_exists, request.can_read_body

    assert await seen(raw(), look) == (False, False)
    assert await seen(raw("/", "Content-Length: 0", method="POST"), look) == (False, False)
    assert await seen(raw(method="POST", body=b"hello"), look) == (True, True)
    assert await seen(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", look) == (True, True)
    assert (await seen(CHUNKED + b"0\r\n\r\n", look))[0] is True


async def test_can_read_body_until_it_was_read() -> None:
    async def look(request: web.BaseRequest) -> None:
        assert await request.content.readexactly(5) == b"hello"
        await request.content.wait_eof()
        assert request.body_exists and not request.can_read_body

    await seen(raw(method="POST", body=b"hello"), look)


@pytest.mark.parametrize("chunks", [False, True])
async def test_read_is_kept(chunks: bool) -> None:
    async def look(request: web.BaseRequest) -> bytes:
        data = await request.read()
        assert isinstance(data, bytes)
        assert await request.read() is data
        assert await request.text() == data.decode()
        assert request.body_exists and not request.can_read_body
        assert await request.content.read() == b""
        return data

    framed = CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    data = framed if chunks else raw(method="POST", body=b"hello")
    assert await seen(data, look) == b"hello"


async def test_nothing_to_read() -> None:
    async def look(request: web.BaseRequest) -> None:
        assert await request.read() == await request.read() == b""
        assert await request.text() == ""
        await request.release()

    await seen(raw(), look)
    await seen(CHUNKED + b"0\r\n\r\n", look)


async def test_read_after_streaming() -> None:
    async def look(request: web.BaseRequest) -> None:
        assert await request.content.read(1) == b"h"
        with pytest.raises(RuntimeError, match="stream"):
            await request.read()
        assert await request.content.read() == b"ello"

    await seen(raw(method="POST", body=b"hello"), look)


async def test_release() -> None:
    async def look(request: web.BaseRequest) -> None:
        await request.release()
        assert await request.content.readany() == b""
        assert not request.can_read_body
        await request.release()

    await seen(raw(method="POST", body=b"x" * 100_000), look)


@pytest.mark.parametrize(
    ("size", "limit", "status"),
    [(10, 10, 200), (11, 10, 413), (100, 0, 200), (1024**2, 1024**2, 200), (0, 10, 200)],
)
@pytest.mark.parametrize("chunks", [False, True])
async def test_client_max_size(size: int, limit: int, status: int, chunks: bool) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    body = b"x" * size
    if chunks:
        framed = b"%x\r\n%b\r\n" % (size, body) if size else b""
        data = CHUNKED + framed + b"0\r\n\r\n"
    else:
        data = raw(method="POST", body=body)
    answer = await answered(handler, data, client_max_size=limit)
    assert answer.status == status
    if status == 413:
        assert answer.body.startswith(b"Maximum request body size 10 exceeded")


async def test_too_large_can_be_caught_and_is_known_before_it_is_read() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        with pytest.raises(web.HTTPRequestEntityTooLarge) as caught:
            await request.read()
        assert caught.value.text is not None
        assert caught.value.text.startswith("Maximum request body size 10 exceeded")
        return web.Response(text="caught")

    head = raw("/", "Content-Length: 11", method="POST")
    assert (await answered(handler, head, client_max_size=10)).body == b"caught"


async def test_the_limit_does_not_bind_streams() -> None:
    async def look(request: web.BaseRequest) -> int:
        return sum([len(part) async for part in request.content.iter_any()])

    data = raw(method="POST", body=b"x" * 5000)
    assert await seen(data, look, client_max_size=10) == 5000


@pytest.mark.parametrize(
    ("charset", "body", "text"),
    [
        (None, "h\xe9".encode(), "h\xe9"),
        ("latin-1", b"h\xe9", "h\xe9"),
        ("utf-16", "h\xe9".encode("utf-16"), "h\xe9"),
    ],
)
async def test_text(charset: str | None, body: bytes, text: str) -> None:
    kind = "text/plain" if charset is None else f"text/plain; charset={charset}"
    data = raw("/", f"Content-Type: {kind}", method="POST", body=body)
    assert await seen(data, lambda request: request.text()) == text


@pytest.mark.parametrize("charset", ["utf-8", "no-such-charset", "hex", "undefined", "a.b/c"])
async def test_text_that_is_none(charset: str) -> None:
    async def look(request: web.BaseRequest) -> None:
        for _ in range(2):
            with pytest.raises(ValueError) as caught:
                await request.text()
            assert isinstance(caught.value, web.HTTPBadRequest)
        assert await request.read() == b"\xff"

    data = raw("/", f"Content-Type: text/plain; charset={charset}", method="POST", body=b"\xff")
    await seen(data, look)


async def test_text_that_is_none_is_the_client_s_fault() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(text=await request.text())

    answer = await answered(handler, raw(method="POST", body=b"\xff"))
    assert answer.status == 400
    assert answer.header("connection") is None


async def test_json() -> None:
    async def look(request: web.BaseRequest) -> Any:
        assert await request.json(loads=lambda text: text.upper()) == '{"A": [1, "\xc9"]}'
        return await request.json()

    body = '{"a": [1, "\xe9"]}'.encode()
    assert await seen(raw(method="POST", body=body), look) == {"a": [1, "\xe9"]}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"nonsense"])
async def test_json_that_is_none(body: bytes) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.json_response(await request.json())

    assert (await answered(handler, raw(method="POST", body=body))).status == 400


async def test_json_that_is_none_can_be_caught_as_everybody_does() -> None:
    async def look(request: web.BaseRequest) -> None:
        for kind in (json.JSONDecodeError, ValueError, web.HTTPBadRequest):
            with pytest.raises(kind):
                await request.json()
        with pytest.raises(json.JSONDecodeError) as caught:
            await request.json()
        assert (caught.value.pos, caught.value.lineno, caught.value.colno) == (1, 1, 2)
        assert caught.value.doc == "{" and caught.value.msg in str(caught.value)

    await seen(raw(method="POST", body=b"{"), look)


async def test_a_fault_of_loads_is_no_fault_of_the_client() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        def loads(text: str) -> Any:
            raise TypeError("ours")

        return web.json_response(await request.json(loads=loads))

    assert (await answered(handler, raw(method="POST", body=b"{}"))).status == 500


async def test_a_cancelled_read_loses_nothing() -> None:
    started = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await request.read()
        started.set()
        return web.Response(body=await request.read())

    async with serving(handler) as server, Peer.connect(server.port) as peer:
        await peer.send(raw("/", "Content-Length: 6", method="POST") + b"abc")
        async with asyncio.timeout(DEADLINE):
            await started.wait()
        await peer.send(b"def")
        assert (await peer.answer()).body == b"abcdef"


# --- The stream, over the wire ---------------------------------------------------------------------


async def test_chunks_of_the_wire() -> None:
    """``iter_chunks()`` gives the client's chunks, also when an end comes in a segment of its own."""
    got = asyncio.Event()
    found: list[bytes] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        part = b""
        async for data, end in request.content.iter_chunks():
            part += data
            got.set()
            if end:
                found.append(part)
                part = b""
        assert part == b""
        return web.Response()

    async with serving(handler) as server, Peer.connect(server.port) as peer:
        await peer.send(CHUNKED)
        for piece in (
            b"5\r\nhel",
            b"lo",
            b"\r\n",
            b"3\r\none\r\n3\r\ntwo\r\n",
            b"4\r\nlast\r\n0\r\n\r\n",
        ):
            got.clear()
            await peer.send(piece)
            if piece != b"\r\n":
                async with asyncio.timeout(DEADLINE):
                    await got.wait()
        assert (await peer.answer()).status == 200
    assert found == [b"hello", b"one", b"two", b"last"]


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ("iter_any", b"one\ntwo\nthree"),
        ("iter_chunked", b"one\ntwo\nthree"),
        ("__aiter__", b"one\ntwo\nthree"),
    ],
)
async def test_streams_byte_by_byte(read: str, expected: bytes) -> None:
    async def look(request: web.BaseRequest) -> list[bytes]:
        arguments = (4,) if read == "iter_chunked" else ()
        return [part async for part in getattr(request.content, read)(*arguments)]

    found: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        found.extend(await look(request))
        return web.Response()

    async with serving(handler) as server, Peer.connect(server.port) as peer:
        for byte in raw(method="POST", body=expected):
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)
        await peer.answer()
    assert b"".join(found) == expected
    if read == "__aiter__":
        assert found == [b"one\n", b"two\n", b"three"]


async def test_trailers_come_with_the_end() -> None:
    async def look(request: web.BaseRequest) -> Any:
        await request.read()
        return list(request.content.trailers)

    data = CHUNKED + b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n"
    assert await seen(data, look) == [(b"X-Sum", b"1")]


@pytest.mark.parametrize("how", ["read", "text", "json", "release", "readany", "readline", "iter"])
@pytest.mark.parametrize("reset", [False, True])
async def test_the_client_leaves_in_the_middle(how: str, reset: bool) -> None:
    ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    reading = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        try:
            if how == "iter":
                async for _ in request.content.iter_any():
                    reading.set()
            elif how in ("readany", "readline"):
                assert await request.content.readexactly(3) == b"abc"
                reading.set()
                await getattr(request.content, how)()
            else:
                reading.set()
                await getattr(request, how)()
        except ConnectionResetError as exc:
            assert request.content.exception() is exc
            ended.set_result("lost")
            with pytest.raises(ConnectionResetError):
                await request.content.readany()
            raise
        ended.set_result("whole")
        return web.Response()

    async with serving(handler) as server:
        async with Peer.connect(server.port) as peer:
            await peer.send(raw("/", "Content-Length: 6", method="POST") + b"abc")
            async with asyncio.timeout(DEADLINE):
                await reading.wait()
            if reset:
                peer.reset()
            else:
                peer.finish()
            async with asyncio.timeout(DEADLINE):
                assert await ended == "lost"
        await server.idle()


async def test_a_client_that_left_before_the_read_is_told_too() -> None:
    """Bytes that came and were not read must not make it look like a misuse."""
    ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def handler(request: web.BaseRequest) -> web.Response:
        while request.content.exception() is None:
            await asyncio.sleep(0)
        with pytest.raises(ConnectionResetError):
            await request.read()
        ended.set_result(None)
        return web.Response()

    async with serving(handler) as server:
        async with Peer.connect(server.port) as peer:
            await peer.send(raw("/", "Content-Length: 6", method="POST") + b"abc")
            peer.finish()
            async with asyncio.timeout(DEADLINE):
                await ended
        await server.idle()


async def test_a_malformed_body() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        with pytest.raises(web.RequestPayloadError):
            await request.read()
        with pytest.raises(web.RequestPayloadError):
            await request.content.readany()
        return web.Response(text="seen")

    answer = await answered(handler, CHUNKED + b"2\r\nhi\r\nzz\r\n")
    assert answer.body == b"seen" and answer.header("connection") == "close"


async def test_reading_after_the_response() -> None:
    ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def late(request: web.BaseRequest, answered: asyncio.Event) -> None:
        try:
            await answered.wait()
            with pytest.raises(web.PayloadAccessError):
                await request.content.readany()
            with pytest.raises(web.PayloadAccessError):
                await request.read()
        except BaseException as exc:
            ended.set_exception(exc)
        else:
            ended.set_result(None)

    over = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        tasks.append(asyncio.ensure_future(late(request, over)))
        return web.Response()

    async with serving(handler) as server, Peer.connect(server.port) as peer:
        await peer.ask(raw(method="POST", body=b"hello"))
        over.set()
        async with asyncio.timeout(DEADLINE):
            await ended


async def test_a_slow_reader_pauses_the_client() -> None:
    """64 MiB to a handler that does not read: the server stops reading, and holds little."""
    look_now, go_on = asyncio.Event(), asyncio.Event()
    held: list[int] = []
    size = 64 * 2**20

    async def handler(request: web.BaseRequest) -> web.Response:
        await request.content.readexactly(1)
        await look_now.wait()
        held.append(request.content.total_bytes)
        go_on.set()
        total = 1
        async for part in request.content.iter_any():
            total += len(part)
        return web.Response(text=str(total))

    async with serving(handler, read_bufsize=2**16) as server, Peer.connect(server.port) as peer:
        await peer.send(raw("/", f"Content-Length: {size}", method="POST"))

        async def upload() -> None:
            for _ in range(64):
                peer.writer.write(b"x" * 2**20)
                await peer.writer.drain()

        upload_task = asyncio.ensure_future(upload())
        connection = server.server.connections[0] if server.server.connections else None
        async with asyncio.timeout(DEADLINE):
            while connection is None or not connection._pauses:
                await asyncio.sleep(0.001)
                connection = server.server.connections[0] if server.server.connections else None
            look_now.set()
            await go_on.wait()
        async with asyncio.timeout(4 * DEADLINE):
            await upload_task
            assert (await peer.answer()).body == str(size).encode()
    assert held[0] < 2 * 2**16 + 2**20


# --- wait_disconnected ------------------------------------------------------------------------------


@asynccontextmanager
async def watching(clone: bool) -> Any:
    """A server whose handler waits for the client to leave, in a task beside it."""
    results: asyncio.Queue[bool] = asyncio.Queue()
    answer_now, waiting = asyncio.Event(), asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    async def watch(request: web.BaseRequest) -> None:
        waiting.set()
        await results.put(await request.wait_disconnected())

    async def handler(request: web.BaseRequest) -> web.Response:
        tasks.append(asyncio.ensure_future(watch(request.clone() if clone else request)))
        await answer_now.wait()
        return web.Response()

    async with serving(handler) as server, Peer.connect(server.port) as peer:
        await peer.send(raw())
        async with asyncio.timeout(DEADLINE):
            await waiting.wait()
        assert results.empty()
        yield peer, results, answer_now
        answer_now.set()


@pytest.mark.parametrize("clone", [False, True])
async def test_wait_disconnected_ends_with_the_request(clone: bool) -> None:
    async with watching(clone) as (peer, results, answer_now):
        await asyncio.sleep(0)
        assert results.empty()
        answer_now.set()
        await peer.answer()
        async with asyncio.timeout(DEADLINE):
            assert await results.get() is False


@pytest.mark.parametrize("clone", [False, True])
@pytest.mark.parametrize("how", ["finish", "reset"])
async def test_wait_disconnected_ends_with_the_client(how: str, clone: bool) -> None:
    async with watching(clone) as (peer, results, _):
        getattr(peer, how)()
        async with asyncio.timeout(DEADLINE):
            assert await results.get() is True


async def test_wait_disconnected_of_a_request_that_has_ended() -> None:
    kept: list[web.BaseRequest] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        kept.append(request)
        return web.Response()

    async with serving(handler) as server, Peer.connect(server.port) as peer:
        await peer.ask(raw())
        async with asyncio.timeout(DEADLINE):
            assert await kept[0].wait_disconnected() is False


# --- With a real client ----------------------------------------------------------------------------


async def test_aiohttp_s_client() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return web.json_response(
                {
                    "method": request.method,
                    "path": request.path,
                    "query": dict(request.query),
                    "cookies": dict(request.cookies),
                    "type": request.content_type,
                    "json": await request.json(),
                    "exists": request.body_exists,
                }
            )

    async with serving(handler) as server, aiohttp.ClientSession() as session:
        url = URL(server.url("/a b/\xe9")).with_query({"q": "\xfc &=+"})
        response = await session.put(url, json={"k": ["v"]}, cookies={"a": "b"})
        assert response.status == 200
        assert await response.json() == {
            "method": "PUT",
            "path": "/a b/\xe9",
            "query": {"q": "\xfc &=+"},
            "cookies": {"a": "b"},
            "type": "application/json",
            "json": {"k": ["v"]},
            "exists": True,
        }


async def test_aiohttp_s_client_streams() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        assert request.content_length is None
        return web.Response(body=await request.read())

    async def pieces() -> Any:
        for number in range(100):
            yield b"%d," % number

    async with serving(handler) as server, aiohttp.ClientSession() as session:
        response = await session.post(server.url(), data=pieces())
        assert await response.read() == b"".join(b"%d," % number for number in range(100))


async def test_response_begun() -> None:
    """Seen by clones and by what is mounted, whoever began; and to ask makes no writer."""
    seen: list[bool] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        inner = request.below(0)
        copy = request.clone()
        seen.extend(each.response_begun for each in (request, inner, copy))
        response = web.StreamResponse()
        await response.prepare(inner)
        seen.extend(each.response_begun for each in (request, inner, copy, inner.below(0)))
        return response

    async def asking(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.below(0).response_begun)
        assert request._writer is None
        return web.Response()

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
    assert seen == [False] * 3 + [True] * 4
    async with serving(asking) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
    assert seen[7:] == [False]
