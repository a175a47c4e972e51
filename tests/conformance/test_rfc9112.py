"""RFC 9112 (HTTP/1.1), section by section, over real sockets. The parser's own tests are in tests/protocol."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import lowlevel as web
from tests.support import Peer, request, serving

GET = request()


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    """Tell what came."""
    body = await request.read()
    return web.Response(text=f"{request.method} {request.path_qs} {body!r}")


async def hello(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="hello")


async def length(request: web.BaseRequest) -> web.StreamResponse:
    """Answer with as many bytes as the path says."""
    return web.Response(body=b"x" * int(request.path[1:]))


async def stream(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"one")
    await response.write(b"two")
    return response


async def still_serves(port: int) -> None:
    async with Peer.connect(port) as peer:
        assert (await peer.ask(GET)).status == 200


async def refused(data: bytes, handler: Any = echo, **options: Any) -> int:
    """Send bytes; return the status of the only answer, behind which the connection must be closed."""
    async with serving(handler, **options) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(data)
            answer = await peer.answer()
            assert answer.header("connection") == "close"
            assert answer.header("content-type") == "text/plain; charset=utf-8"
            assert await peer.read_eof() == b""
        await still_serves(site.port)
    return answer.status


# --- 2.1 Message Format, 2.2 Message Parsing ----------------------------------------------


@pytest.mark.parametrize("blank", [b"\r\n", b"\r\n\r\n", b"\r\n" * 8])
async def test_empty_lines_before_a_request_are_ignored(blank: bytes) -> None:
    """§2.2: a server SHOULD ignore at least one empty line received prior to the request-line."""
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        await peer.send(blank + GET)
        assert (await peer.answer()).body == b"hello"
        await peer.send(blank + GET)
        assert (await peer.answer()).body == b"hello"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: a.test\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.test\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.test\r\n\n",
        b"GET / HTTP/1.1\r\nHost: a.test\r\nX: a\rb\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.test\r\nX: a\0b\r\n\r\n",
    ],
)
async def test_bare_line_ends_and_nul_are_refused(data: bytes) -> None:
    """§2.2: bare CR is invalid; bare LF may be accepted, and is not: proxies disagree on it. RFC 9110 §5.5: NUL."""
    assert await refused(data) == 400


async def test_white_space_between_start_line_and_first_field_is_refused() -> None:
    """§2.2."""
    assert await refused(b"GET / HTTP/1.1\r\n Host: a.test\r\n\r\n") == 400


async def test_a_request_may_arrive_byte_by_byte() -> None:
    """§2.2."""
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        for byte in request("POST", "/path?q=1", body=b"body"):
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await peer.answer()).body == b"POST /path?q=1 b'body'"


# --- 2.3 HTTP Version ---------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_the_answer_has_the_version_of_the_request_at_most(version: str) -> None:
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request(version=version))
        assert answer.status == 200
        assert answer.version in ("HTTP/1.0", "HTTP/1.1")
        assert answer.version <= f"HTTP/{version}"


@pytest.mark.parametrize(
    "version",
    [
        "HTTP/1.2",
        "HTTP/2.0",
        "HTTP/0.9",
        "HTTP/3.0",
        "HTTP/1.10",
        "HTTP/x",
        "http/1.1",
        "HTTPS/1.1",
        "",
    ],
)
async def test_other_versions_are_refused(version: str) -> None:
    data = f"GET / {version}\r\nHost: a.test\r\n\r\n".encode()
    assert await refused(data) in (400, 505)


# --- 3 Request Line -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"GET\t/ HTTP/1.1",
        b"GET / HTTP/1.1 x",
        b"GET /a b HTTP/1.1",
        b"GET HTTP/1.1",
        b"GET",
        b" GET / HTTP/1.1",
        b"/ HTTP/1.1",
        b"G\xc3\x89T / HTTP/1.1",
        b"get / HTTP/1.1",
        b"GE(T / HTTP/1.1",
        b"\x00\x01\x02\x03",
        b"{}",
    ],
)
async def test_malformed_request_lines_are_refused(line: bytes) -> None:
    assert await refused(line + b"\r\nHost: a.test\r\n\r\n") == 400


@pytest.mark.parametrize("method", "GET HEAD POST PUT DELETE OPTIONS TRACE PATCH PROPFIND".split())
async def test_methods(method: str) -> None:
    """§3.1: the method is a token."""
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            answer = await peer.ask(request(method, "/x"))
            assert answer.status == 200
            assert answer.body == (b"" if method == "HEAD" else f"{method} /x b''".encode())


async def test_unknown_methods_are_refused() -> None:
    """§3.1, RFC 9110 §9.1: 501."""
    assert await refused(request("BREW", "/pot")) in (400, 501)


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        ("/", "/", "a.test"),
        ("/a%20b?c=%26", "/a b", "a.test"),
        ("//double//slash", "//double//slash", "a.test"),
        ("/a;b=c/../d", None, "a.test"),
        ("http://b.test/x?y", "/x", "b.test"),
        ("http://b.test:8080/x", "/x", None),
        ("http://b.test", "", "b.test"),
        ("https://b.test/x", "/x", "b.test"),
    ],
)
async def test_origin_and_absolute_form(target: str, path: str | None, host: str | None) -> None:
    """§3.2.1, §3.2.2: a server MUST accept the absolute-form, and its authority replaces Host."""

    async def handler(request: web.BaseRequest) -> web.Response:
        assert request.url.host
        return web.json_response([request.path, request.host, request.scheme, request.raw_path])

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request(target=target))
        assert answer.status == 200, answer.body
        import json

        seen = json.loads(answer.body)
        assert path is None or seen[0] == path
        assert host is None or seen[1] == host
        assert seen[2] == "http"
        assert seen[3] == target


async def test_asterisk_form() -> None:
    """§3.2.4."""
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("OPTIONS", "*"))
        assert answer.status == 200
        assert answer.body.startswith(b"OPTIONS ")
    assert await refused(request("GET", "*")) == 400


async def test_authority_form() -> None:
    """§3.2.3: for CONNECT alone. Declining it ends the connection, since what follows is not ours to understand."""

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(status=405, text=request.method)

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("CONNECT", "b.test:443", host="b.test:443"))
        assert (answer.status, answer.body) == (405, b"CONNECT")
        assert answer.header("connection") == "close"
        peer.finish()
        assert await peer.read_eof() == b""
    assert await refused(request("GET", "b.test:443")) == 400


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([], 400),
        (["Host: a.test", "Host: a.test"], 400),
        (["Host: a.test", "hOST: b.test"], 400),
        (["Host: a test"], 400),
        (["Host: a.test/path"], 400),
        (["Host: user@a.test"], 400),
        (["Host: a.test:port"], 400),
        (["Host: a.test:99999"], 400),
        (["Host: [::1"], 400),
        (["Host: a.test, b.test"], None),
        (["Host: "], 200),
        (["Host: a.test:80"], 200),
        (["Host: [::1]:8080"], 200),
        (["host: 127.0.0.1"], 200),
    ],
)
async def test_host(fields: list[str], status: int | None) -> None:
    """§3.2: without exactly one valid Host an HTTP/1.1 request MUST be answered with 400."""
    data = request("GET", "/", *fields, host="")
    if status == 200:
        async with serving(hello) as site, Peer.connect(site.port) as peer:
            assert (await peer.ask(data)).status == 200
            assert (await peer.ask(data)).status == 200
    elif status is not None:
        assert await refused(data) == status


async def test_http_1_0_needs_no_host() -> None:
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(request(host="", version="1.0"))).status == 200


# --- 5 Field Syntax -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"X : y",  # §5.1: no white space before the colon
        b"X\t: y",
        b": y",
        b"X(: y",
        b"X\xe9: y",
        b"no colon",
        b"X: y\r\n folded",  # §5.2: obsolete line folding
        b"X: y\r\n\tfolded",
    ],
)
async def test_malformed_fields_are_refused(line: bytes) -> None:
    assert await refused(b"GET / HTTP/1.1\r\nHost: a.test\r\n" + line + b"\r\n\r\n") == 400


async def test_white_space_around_values_is_no_part_of_them() -> None:
    """§5.1."""

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(text=repr(request.headers.getall("X")))

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("GET", "/", "X:none", "X:  some \t", "X:", "x: \t"))
        assert answer.body == b"['none', 'some', '', '']"


# --- 6 Message Body -----------------------------------------------------------------------


async def test_a_request_without_length_has_no_body() -> None:
    """§6.3 rule 7."""
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        await peer.send(request("POST", "/a") + GET)
        assert (await peer.answer()).body == b"POST /a b''"
        assert (await peer.answer()).body == b"GET / b''"


async def test_chunked() -> None:
    """§7.1, with extensions (§7.1.1), a trailer (§7.1.2), and sizes in any spelling."""
    trailers = []

    async def handler(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        trailers.extend(request.content.trailers)
        assert "X-Sum" not in request.headers  # §7.1.2: not merged
        return web.Response(body=body)

    head = request("POST", "/", "Transfer-Encoding: CHUNKED", "Trailer: X-Sum")
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(
            head + b'5;x=y;z="q"\r\nhello\r\n00A\r\n, world!!!\r\n0;last\r\nX-Sum: 1\r\n\r\n' + GET
        )
        assert (await peer.answer()).body == b"hello, world!!!"
        assert trailers == [(b"X-Sum", b"1")]
        assert (await peer.answer()).body == b""


@pytest.mark.parametrize(
    "fields",
    [
        ["Content-Length: 3", "Transfer-Encoding: chunked"],  # §6.3 rule 3
        ["Transfer-Encoding: chunked", "Content-Length: 3"],
        ["Content-Length: 3", "Content-Length: 3"],  # §6.3 rule 5
        ["Content-Length: 3", "Content-Length: 4"],
        ["Content-Length: 3, 3"],
        ["Content-Length: +3"],
        ["Content-Length: -3"],
        ["Content-Length: 0x3"],
        ["Content-Length: 3 3"],
        ["Content-Length: "],
        ["Content-Length: three"],
        ["Content-Length: 99999999999999999999999999"],
        ["Transfer-Encoding: gzip"],  # §6.3 rule 4: not ending in chunked
        ["Transfer-Encoding: chunked, gzip"],
        ["Transfer-Encoding: identity"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: chunked, chunked"],  # §6.1: not twice
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        ["Transfer-Encoding: \x0bchunked"],
        ["Transfer-Encoding : chunked"],
    ],
)
async def test_ambiguous_framing_is_refused(fields: list[str]) -> None:
    status = await refused(request("POST", "/", *fields) + b"3\r\nabc\r\n0\r\n\r\n")
    assert status in (
        (400, 501) if any("chunked, chunked" in f for f in fields) or len(fields) == 2 else (400,)
    )


async def test_unimplemented_transfer_codings_are_501() -> None:
    """§6.1: a server that does not understand a transfer coding SHOULD answer 501."""
    assert (
        await refused(request("POST", "/", "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n")
        == 501
    )


async def test_transfer_encoding_of_http_1_0_is_refused() -> None:
    """§6.1."""
    assert (
        await refused(
            request("POST", "/", "Transfer-Encoding: chunked", version="1.0") + b"0\r\n\r\n"
        )
        == 400
    )


@pytest.mark.parametrize(
    "chunks",
    [
        b"x\r\nabc\r\n0\r\n\r\n",
        b"\r\nabc\r\n0\r\n\r\n",
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"3 \r\nabc\r\n0\r\n\r\n",
        b"3\nabc\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"fffffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        b"3;\x00\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0\r\nbad trailer\r\n\r\n",
    ],
)
@pytest.mark.parametrize("split", [False, True], ids=["whole", "split"])
async def test_malformed_chunks_are_refused(chunks: bytes, split: bool) -> None:
    """§7.1: the handler's read raises, and the answer to that is 400."""
    head = request("POST", "/", "Transfer-Encoding: chunked")
    started = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        started.set()
        with pytest.raises(web.RequestPayloadError):
            await request.read()
        return await echo(request)

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        if split:
            await peer.send(head)
            async with asyncio.timeout(20):
                await started.wait()
            await peer.send(chunks)
        else:
            await peer.send(head + chunks)
        answer = await peer.answer()
        assert answer.status == 400
        assert answer.header("connection") == "close"
        assert await peer.read_eof() == b""


async def test_a_body_cut_short_is_no_body() -> None:
    """§8: an incomplete message is never taken for a complete one."""
    errors = []

    async def handler(request: web.BaseRequest) -> web.Response:
        try:
            await request.read()
        except Exception as exc:
            errors.append(exc)
            raise
        raise AssertionError("the body was complete?")

    for data in (
        request("POST", "/", "Content-Length: 10") + b"12345",
        request("POST", "/", "Transfer-Encoding: chunked") + b"5\r\n12345\r\n",
        request("POST", "/", "Transfer-Encoding: chunked") + b"5\r\n12345\r\n0\r\n",
    ):
        async with serving(handler) as site, Peer.connect(site.port) as peer:
            await peer.send(data)
            peer.finish()
            assert b" 200 " not in await peer.read_eof()
            await site.idle()
    assert [isinstance(error, ConnectionResetError) for error in errors] == [True] * 3


# --- 6.3 Message Body Length of responses -------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 300_000])
async def test_length_of_answers(size: int) -> None:
    """§6.2, §6.3 rule 6."""
    async with serving(length) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            answer = await peer.ask(request(target=f"/{size}"))
            assert answer.header("content-length") == str(size)
            assert answer.header("transfer-encoding") is None
            assert answer.body == b"x" * size


async def test_answers_of_unknown_length_are_chunked() -> None:
    """§6.1, §7.1."""
    async with serving(stream) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            await peer.send(GET)
            head = await peer.read_head()
            assert b"\r\nTransfer-Encoding: chunked\r\n" in head
            assert b"Content-Length" not in head
            async with asyncio.timeout(20):
                rest = await peer.reader.readuntil(b"0\r\n\r\n")
            assert rest == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


async def test_answers_of_unknown_length_to_http_1_0_end_with_the_connection() -> None:
    """§6.1: no Transfer-Encoding to a client that did not say HTTP/1.1; §6.3 rule 8."""
    async with serving(stream) as site, Peer.connect(site.port) as peer:
        await peer.send(request("GET", "/", "Connection: keep-alive", version="1.0"))
        head = await peer.read_head()
        assert b"Transfer-Encoding" not in head
        assert b"keep-alive" not in head.lower()
        assert await peer.read_eof() == b"onetwo"


@pytest.mark.parametrize("handler", [hello, stream], ids=["whole", "stream"])
@pytest.mark.parametrize("status", [200, 204, 304])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_no_stray_bytes_where_there_is_no_body(
    method: str, status: int, handler: Callable[..., Any]
) -> None:
    """§6.3 rules 1 and 2: HEAD, 204 and 304 end with the empty line; the next answer starts right behind."""

    async def with_status(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/next":
            return web.Response(text="next")
        if handler is hello:
            return web.Response(status=status, text="hello")
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        await response.write(b"stray")
        await response.write_eof(b"more")
        return response

    async with serving(with_status) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request(method))
        assert answer.status == status
        if status == 204:
            assert answer.header("content-length") is None  # §6.2
        if status != 200 or method == "HEAD":
            assert answer.header("transfer-encoding") is None or method == "HEAD"  # §6.1
        assert (await peer.ask(request(target="/next"))).body == b"next"


async def test_a_short_answer_is_cut_off() -> None:
    """§6.3 rule 6, §8: fewer bytes than promised must not look complete, nor be filled by the next answer."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "10"})
        await response.prepare(request)
        await response.write(b"12345")
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET + GET)
        head = await peer.read_head()
        assert b"Content-Length: 10" in head
        assert await peer.read_eof() == b"12345"


async def test_a_long_answer_is_clipped() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "3"})
        await response.prepare(request)
        await response.write(b"12")
        await response.write(b"345")
        await response.write(b"6")
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).body == b"123"
        assert (await peer.ask(GET)).body == b"123"


# --- 9.3 Persistence ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "field", "lasts", "said"),
    [
        ("1.1", None, True, None),
        ("1.1", "Connection: keep-alive", True, None),
        ("1.1", "Connection: close", False, "close"),
        ("1.1", "Connection: CLOSE", False, "close"),
        ("1.1", "Connection: foo, close", False, "close"),
        ("1.1", "Connection: foo", True, None),
        ("1.0", None, False, None),
        ("1.0", "Connection: keep-alive", True, "keep-alive"),
        ("1.0", "Connection: Keep-Alive", True, "keep-alive"),
        ("1.0", "Connection: close", False, None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_persistence(
    version: str, field: str | None, lasts: bool, said: str | None, method: str
) -> None:
    data = request(
        method,
        "/",
        *([field] if field else []),
        version=version,
        body=b"abc" if method == "POST" else b"",
    )
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(data)
        assert answer.status == 200
        assert answer.header("connection") == said
        if lasts:
            assert (await peer.ask(data)).status == 200
        else:
            assert await peer.read_eof() == b""


@pytest.mark.parametrize("how", ["force_close", "header", "keep_alive"])
async def test_a_handler_may_close(how: str) -> None:
    """§9.6: the answer that ends the connection says so."""

    async def handler(request: web.BaseRequest) -> web.Response:
        response = web.Response(text="last")
        if how == "force_close":
            response.force_close()
        elif how == "header":
            response.headers["Connection"] = "close"
        else:
            request.protocol.keep_alive(False)
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(GET)
        assert (answer.body, answer.headers["connection"]) == (b"last", ["close"])
        assert await peer.read_eof() == b""


async def test_what_follows_close_is_ignored() -> None:
    """§9.6: a server MUST NOT process requests behind the one that closes; the answer arrives all the same."""
    seen = []

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append(request.path)
        return web.Response(text="last")

    for junk in (request(target="/second"), b"\0junk" * 100, b"x" * 100_000):
        seen.clear()
        async with serving(handler) as site, Peer.connect(site.port) as peer:
            await peer.send(request("GET", "/first", "Connection: close") + junk)
            assert (await peer.answer()).body == b"last"
            assert await peer.read_eof() == b""
            assert seen == ["/first"]


# --- 9.3.2 Pipelining ---------------------------------------------------------------------


async def test_pipelined_requests_are_answered_in_order() -> None:
    """§9.3.2, also when the first takes longest; one at a time."""
    running = 0

    async def handler(request: web.BaseRequest) -> web.Response:
        nonlocal running
        running += 1
        assert running == 1
        for _ in range(20 - int(request.path[1:])):
            await asyncio.sleep(0)
        running -= 1
        return web.Response(text=request.path)

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(b"".join(request(target=f"/{number}") for number in range(20)))
        for number in range(20):
            assert (await peer.answer()).body == f"/{number}".encode()
        assert site.server.requests_count == 20


async def test_many_pipelined_requests_with_bodies() -> None:
    parts = []
    for number in range(100):
        parts.append(request("POST", f"/{number}", body=b"%d" % number))
        parts.append(
            request("PUT", f"/{number}", "Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n\r\n"
        )
        parts.append(request("GET", f"/{number}"))
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        sending = asyncio.create_task(peer.send(b"".join(parts)))
        for number in range(100):
            assert (await peer.answer()).body == f"POST /{number} b'{number}'".encode()
            assert (await peer.answer()).body == f"PUT /{number} b'x'".encode()
            assert (await peer.answer()).body == f"GET /{number} b''".encode()
        await sending


async def test_pipelined_bodies_nobody_reads() -> None:
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        await peer.send(b"".join(request("POST", "/", body=b"x" * 5000) for _ in range(10)))
        for _ in range(10):
            assert (await peer.answer()).body == b"hello"


async def test_good_requests_before_a_bad_one_are_answered() -> None:
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        await peer.send(GET + GET + b"junk\r\n\r\n")
        assert (await peer.answer()).status == 200
        assert (await peer.answer()).status == 200
        assert (await peer.answer()).status == 400
        assert await peer.read_eof() == b""


@pytest.mark.parametrize(
    "last",
    [
        request("POST", "/last", "Transfer-Encoding: chunked") + b"3\r\nabc\r\nzz\r\n",
        request("POST", "/last", "Content-Length: 10") + b"abc",
    ],
    ids=["malformed", "incomplete"],
)
async def test_a_bad_body_harms_only_its_own_request(last: bytes) -> None:
    """Requests in front of it wait for their turn while the body fails, and are answered."""
    go = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        await go.wait()
        return await echo(request)

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(request(target="/1") + request(target="/2") + last)
        peer.finish()
        async with asyncio.timeout(20):
            while not site.server.requests_count:
                await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0.001)
        go.set()
        assert (await peer.answer()).body == b"GET /1 b''"
        assert (await peer.answer()).body == b"GET /2 b''"
        rest = await peer.read_eof()
        assert rest == b"" or (b" 400 " in rest and b"abc" not in rest)


# --- 9.6 Tear-down ------------------------------------------------------------------------


async def test_half_close_gets_its_answer() -> None:
    """§9.6: a client may close its sending half behind its last request."""

    async def handler(request: web.BaseRequest) -> web.Response:
        await asyncio.sleep(0.05)
        return web.Response(text=request.path)

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(request(target="/1") + request(target="/2"))
        peer.finish()
        answer = await peer.answer()
        assert (answer.body, answer.header("connection")) == (b"/1", None)
        answer = await peer.answer()
        assert (answer.body, answer.header("connection")) == (b"/2", "close")
        assert await peer.read_eof() == b""
        await site.idle()


async def test_the_answer_behind_a_bad_body_says_that_it_is_the_last() -> None:
    """§9.6: also when its handler does not care for the body, and the fault was there before its turn came."""

    async def handler(request: web.BaseRequest) -> web.Response:
        await asyncio.sleep(0.02)
        return web.Response(text=request.path)

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        bad = request("POST", "/2", "Transfer-Encoding: chunked") + b"zz\r\n"
        await peer.send(request(target="/1") + bad)
        answer = await peer.answer()
        assert (answer.body, answer.header("connection")) == (b"/1", None)
        answer = await peer.answer()
        assert (answer.body, answer.header("connection")) == (b"/2", "close")
        assert await peer.read_eof() == b""


async def test_half_close_with_a_body_and_a_long_answer() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        await asyncio.sleep(0.02)
        return web.Response(body=body * 10)

    async with serving(handler, client_max_size=0) as site, Peer.connect(site.port) as peer:
        await peer.send(request("POST", body=b"x" * 500_000))
        peer.finish()
        assert (await peer.answer()).body == b"x" * 5_000_000
        assert await peer.read_eof() == b""


async def test_the_answer_to_an_unread_upload_arrives() -> None:
    """§9.6: closing on unread bytes would reset the connection and destroy the answer."""

    async def handler(request: web.BaseRequest) -> web.Response:
        response = web.Response(status=403, text="no")
        response.force_close()
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(request("POST", "/", "Content-Length: 8000000"))
        for _ in range(80):
            await peer.send(b"x" * 100_000)
        answer = await peer.answer()
        assert (answer.status, answer.body) == (403, b"no")
        assert await peer.read_eof() == b""


async def test_an_unread_body_is_drained() -> None:
    """§9.3: to persist, the server has to read the body it did not want."""
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        for _ in range(3):
            await peer.send(request("POST", "/", "Content-Length: 3000000"))
            for _ in range(30):
                await peer.send(b"x" * 100_000)
            answer = await peer.answer()
            assert answer.body == b"hello"
            assert answer.header("connection") is None
