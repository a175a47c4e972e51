"""RFC 9110 (HTTP semantics), section by section, over real sockets: what the server itself is answerable for."""

import asyncio
import logging
import re
import subprocess
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

import lowlevel as web
from tests.support import DEADLINE, Peer, request, serving

GET = request()
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


async def hello(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="hello")


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=await request.read())


# --- 5.5 Field Values ---------------------------------------------------------------------


@pytest.mark.parametrize("where", ["name", "value", "reason", "content type", "cookie"])
@pytest.mark.parametrize("control", ["\r\n", "\n", "\r", "\0"])
async def test_no_injection_into_heads(
    where: str, control: str, caplog: pytest.LogCaptureFixture
) -> None:
    """§5.5: CR, LF and NUL in what we send would start a field or a message of somebody else's making."""
    evil = f"a{control}Evil: yes"

    async def handler(request: web.BaseRequest) -> web.Response:
        if request.path == "/good":
            return web.Response(text="good")
        if where == "reason":
            return web.Response(reason=evil)
        if where == "content type":
            return web.Response(text="x", content_type=evil)
        response = web.Response(text="x")
        if where == "cookie":
            response.set_cookie("name", evil)
        elif where == "name":
            response.headers[evil] = "x"
        else:
            response.headers["X"] = evil
        return response

    async with serving(handler) as site:
        async with Peer.connect(site.port) as peer:
            answer = await peer.ask(GET)
            if where == "cookie" and answer.status == 200:
                assert control not in "".join(
                    answer.headers["set-cookie"]
                )  # http.cookies has quoted it
                return
            assert answer.status == 500
            assert b"Evil: yes" not in answer.head
            assert await peer.read_eof() == b""
        async with Peer.connect(site.port) as peer:
            assert (await peer.ask(request(target="/good"))).body == b"good"


# --- 6.6.1 Date, 10.2.4 Server ------------------------------------------------------------


async def test_date_and_server() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/own":
            return web.Response(headers={"Date": "today", "Server": "mine"})
        if request.path == "/stream":
            return web.StreamResponse()
        return web.Response()

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for path in ("/", "/stream"):
            answer = await peer.ask(request(target=path))
            (date,) = answer.headers["date"]
            assert re.fullmatch(
                r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", date
            )
            assert parsedate_to_datetime(date)
            (server,) = answer.headers["server"]
            assert re.fullmatch(r"Python/\d+\.\d+ lowlevel/[\w.]+", server)
        answer = await peer.ask(request(target="/own"))
        assert (answer.headers["date"], answer.headers["server"]) == (["today"], ["mine"])


async def test_refusals_have_a_date() -> None:
    """§6.6.1: an origin server with a clock MUST send Date in 4xx too."""
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(b"junk\r\n\r\n")
        assert answer.status == 400
        assert answer.header("date")


# --- 7.8 Upgrade --------------------------------------------------------------------------

H2C = [
    "Connection: Upgrade, HTTP2-Settings",
    "Upgrade: h2c",
    "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
]


@pytest.mark.parametrize(
    "offer",
    [
        H2C,  # curl --http2, Java's HttpClient
        ["Connection: Upgrade", "Upgrade: foo/2, bar"],
        ["Connection: Upgrade", "Upgrade: TLS/1.0"],
        ["Connection: keep-alive, upgrade", "Upgrade: HTTP/3.0"],
        ["Upgrade: websocket"],
        ["Connection: Upgrade"],
    ],
)
@pytest.mark.parametrize("split", [False, True], ids=["whole", "split"])
async def test_offers_that_nobody_takes_are_ignored(offer: list[str], split: bool) -> None:
    """§7.8: a server MAY ignore Upgrade; then the request, its body and those behind it are HTTP as ever."""
    data = (
        request("POST", "/a", *offer, body=b"first")
        + request("PUT", "/b", *offer, "Transfer-Encoding: chunked")
        + b"3\r\nsec\r\n3\r\nond\r\n0\r\n\r\n"
        + request("GET", "/c", *offer)
        + request("POST", "/d", body=b"last")
    )
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        if split:
            for start in range(0, len(data), 7):
                await peer.send(data[start : start + 7])
                await asyncio.sleep(0)
        else:
            await peer.send(data)
        answers = [await peer.answer() for _ in range(4)]
        assert [answer.body for answer in answers] == [b"first", b"second", b"", b"last"]
        assert [answer.status for answer in answers] == [200] * 4
        assert [answer.header("upgrade") for answer in answers] == [None] * 4


WEBSOCKET = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
]


@pytest.mark.parametrize("status", [200, 404, 426])
async def test_a_declined_websocket_leaves_the_connection_usable(status: int) -> None:
    """E45: pipelined requests behind it too, whether they came at once, cut in the middle, or later."""

    async def handler(request: web.BaseRequest) -> web.Response:
        if request.path == "/ws":
            assert request.is_websocket
            await asyncio.sleep(0.01)
            return web.Response(status=status, text="no")
        return web.Response(body=await request.read())

    more = request("POST", "/", body=b"more")
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for cut in (0, 10, len(more) - 2, len(more)):
            await peer.send(request("GET", "/ws", *WEBSOCKET) + more[:cut])
            answer = await peer.answer()
            assert (answer.status, answer.header("connection")) == (status, None)
            await peer.send(more[cut:])
            assert (await peer.answer()).body == b"more"


async def test_junk_behind_a_declined_offer() -> None:
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        await peer.send(request("GET", "/", *WEBSOCKET) + b"\x81\x85junkjunk")
        assert (await peer.answer()).status == 200
        assert (await peer.answer()).status == 400
        assert await peer.read_eof() == b""


async def test_requests_behind_a_declined_offer_of_a_client_that_has_said_all() -> None:
    """A client may send everything and FIN (RFC 9112 §9.6); what waited for the decision is answered too."""
    data = (
        request("GET", "/1", *WEBSOCKET)
        + request("GET", "/2", *WEBSOCKET)
        + request("POST", "/3", body=b"a")
    )
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        await peer.send(data)
        peer.finish()
        for _ in range(3):
            assert (await peer.answer()).status == 200
        assert await peer.read_eof() == b""
        await site.idle()


async def test_an_offer_behind_an_unread_body() -> None:
    """Both come in one read: the offer must not be declined before its request was seen."""
    order = []

    async def handler(request: web.BaseRequest) -> web.Response:
        order.append(request.path)
        return web.Response(text=request.path)

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("POST", "/body", "Content-Length: 5"))
        assert answer.body == b"/body"
        await peer.send(b"12345" + request("GET", "/ws", *WEBSOCKET) + request(target="/last"))
        assert (await peer.answer()).body == b"/ws"
        assert (await peer.answer()).body == b"/last"
    assert order == ["/body", "/ws", "/last"]


@pytest.mark.parametrize(
    "last", [request("GET", "/end", "Connection: close"), b"junk\r\n\r\n"], ids=["close", "junk"]
)
async def test_the_end_behind_an_unread_body(last: bytes) -> None:
    """RFC 9112 §9.6: what ends the connection comes in one read with the rest of a body, and is answered."""
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(request("POST", "/body", "Content-Length: 5"))).status == 200
        await peer.send(b"12345" + last)
        answer = await peer.answer()
        assert answer.status == (400 if last.startswith(b"junk") else 200)
        assert answer.header("connection") == "close"
        assert await peer.read_eof() == b""


async def test_curl_offers_h2c(curl: str) -> None:
    async with serving(echo) as site:

        def call(*arguments: str) -> bytes:
            command = [
                curl,
                "-sS",
                "--http2",
                "--max-time",
                "5",
                *arguments,
                site.url("/a"),
                site.url("/b"),
            ]
            return subprocess.run(command, capture_output=True, check=True, timeout=10).stdout

        assert await asyncio.to_thread(call) == b""
        assert await asyncio.to_thread(call, "--data", "body") == b"bodybody"
        assert site.server.requests_count == 4


# --- 9.3.2 HEAD, 9.3.6 CONNECT ------------------------------------------------------------


async def test_head_has_the_fields_of_get() -> None:
    """§9.3.2: the server SHOULD send the same fields, but no content."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/stream":
            response = web.StreamResponse(headers={"X": "y"})
            await response.prepare(request)
            await response.write(b"content")
            return response
        return web.Response(text="content", headers={"X": "y"})

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for path in ("/", "/stream"):
            got = await peer.ask(request("GET", path))
            head = await peer.ask(request("HEAD", path))
            for answer in (got, head):
                answer.headers.pop("transfer-encoding", None)
                answer.headers.pop("date")
            assert head.headers == got.headers
            assert head.status == got.status == 200


async def test_head_of_errors() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/404":
            raise web.HTTPNotFound
        if request.path == "/none":
            return None  # type: ignore[return-value]
        raise ValueError("oops")

    async with serving(handler) as site:
        for path, status in (("/404", 404), ("/none", 500), ("/oops", 500)):
            async with Peer.connect(site.port) as peer:
                await peer.send(request("HEAD", path, "Connection: close"))
                head, _, body = (await peer.read_eof()).partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 %d " % status)
                assert body == b""


async def test_a_tunnel() -> None:
    """§9.3.6: behind a 2xx answer to CONNECT both sides are a stream of bytes."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for data in request.content.iter_any():
            await response.write(data.upper())
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(request("CONNECT", "b.test:1", host="b.test:1"))
        head = await peer.read_head()
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"Content-Length" not in head and b"Transfer-Encoding" not in head


# --- 10.1.1 Expect ------------------------------------------------------------------------

EXPECT = request("POST", "/", "Expect: 100-continue", "Content-Length: 4")


async def test_100_continue_on_the_first_read() -> None:
    """§10.1.1: not before somebody wants the body: the handler may answer without it."""
    started, go = asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        started.set()
        await go.wait()
        return web.Response(
            body=await request.content.readexactly(2) + await request.content.read()
        )

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            started.clear()
            go.clear()
            await peer.send(EXPECT)
            async with asyncio.timeout(DEADLINE):
                await started.wait()
            for _ in range(10):
                await asyncio.sleep(0.001)
            assert not peer.reader._buffer  # type: ignore[attr-defined]
            go.set()
            assert await peer.read_head() == INTERIM
            await peer.send(b"bo")
            await peer.send(b"dy")
            assert (await peer.answer()).body == b"body"


@pytest.mark.parametrize(
    "read",
    ["read", "text", "readany", "readline", "readchunk", "iter_any", "release"],
)
async def test_every_way_of_reading_asks_for_the_body(read: str) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        if read in ("read", "text", "release"):
            await getattr(request, read)()
        elif read == "iter_any":
            async for _ in request.content.iter_any():
                pass
        else:
            await getattr(request.content, read)()
        return web.Response(text="done")

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            await peer.send(EXPECT)
            assert await peer.read_head() == INTERIM
            await peer.send(b"body")
            answer = await peer.answer()
            assert (answer.status, answer.body) == (200, b"done")


async def test_no_100_for_a_body_that_has_come() -> None:
    """§10.1.1: a server MAY omit 100 if it has received some of the content."""
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        for data in (b"body", b"bo"):
            await peer.send(EXPECT + data)
            if len(data) < 4:
                async with asyncio.timeout(DEADLINE):
                    while site.server.requests_count < 2:
                        await asyncio.sleep(0.001)
                for _ in range(10):
                    await asyncio.sleep(0.001)
                assert not peer.reader._buffer  # type: ignore[attr-defined]
                await peer.send(b"dy")
            assert (await peer.answer()).body == b"body"


async def test_no_100_to_http_1_0() -> None:
    """§10.1.1: MUST ignore the expectation of an HTTP/1.0 client."""
    data = request("POST", "/", "Expect: 100-continue", "Content-Length: 4", version="1.0")
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        await peer.send(data)
        await asyncio.sleep(0.02)
        await peer.send(b"body")
        answer = await peer.answer()
        assert (answer.status, answer.body) == (200, b"body")


async def test_no_100_without_a_body() -> None:
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            answer = await peer.ask(request("POST", "/", "Expect: 100-continue"))
            assert (answer.status, answer.header("connection")) == (200, None)


async def test_a_final_answer_instead_of_100() -> None:
    """§10.1.1: the client may send the body or not; only closing keeps the two sides in step."""
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(EXPECT)
        assert (answer.status, answer.header("connection")) == (200, "close")
        await peer.send(b"body")
        assert await peer.read_eof() == b""


@pytest.mark.parametrize("how", ["writer", "writer in pieces", "transport", "protocol.transport"])
@pytest.mark.parametrize("then", ["answers", "raises", "streams"])
async def test_a_handler_may_send_100_by_itself(how: str, then: str) -> None:
    """It is not doubled by ours, and an answer can follow."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if how == "writer":
            await request.writer.write(INTERIM)
            request.writer.output_size = 0
        elif how == "writer in pieces":
            await request.writer.write(bytearray(INTERIM))
            request.writer.output_size = 0
        elif how == "transport":
            assert request.transport is not None
            request.transport.write(INTERIM)
        else:
            request.protocol.transport.write(INTERIM)  # type: ignore[union-attr]
        body = await request.read()
        if then == "raises":
            raise web.HTTPBadRequest(body=None, text=body.decode())
        if then == "streams":
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(body)
            return response
        return web.Response(body=body)

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            await peer.send(EXPECT)
            assert await peer.read_head() == INTERIM
            await peer.send(b"body")
            answer = await peer.answer()
            assert answer.status == (400 if then == "raises" else 200)
            assert answer.body == b"body"
            assert answer.header("connection") is None


async def test_a_transport_that_waits_for_100_is_a_transport() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        transport = request.transport
        assert transport is not None
        assert isinstance(transport, asyncio.Transport)
        assert not transport.is_closing()
        assert transport.get_extra_info("peername") == request.get_extra_info("peername")
        transport.set_write_buffer_limits(high=1000)
        assert transport.get_write_buffer_size() == 0
        return web.Response(body=await request.read())

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(EXPECT)
        assert await peer.read_head() == INTERIM
        await peer.send(b"body")
        assert (await peer.answer()).body == b"body"


@pytest.mark.parametrize("expect", ["200-ok", "100-continue, more", "x", ""])
async def test_unknown_expectations(expect: str) -> None:
    """§10.1.1: 417."""
    called = []

    async def handler(request: web.BaseRequest) -> web.Response:
        called.append(1)
        return web.Response()

    async with serving(handler) as site:
        async with Peer.connect(site.port) as peer:
            answer = await peer.ask(request("POST", "/", f"Expect: {expect}", "Content-Length: 4"))
            assert (answer.status, answer.header("connection")) == (417, "close")
            assert await peer.read_eof() == b""
        async with Peer.connect(site.port) as peer:
            assert (await peer.ask(request("GET", "/", f"Expect: {expect}"))).status == 417
    assert not called


@pytest.mark.parametrize("value", ["100-continue", "100-Continue", "100-CONTINUE"])
async def test_the_expectation_has_no_case(value: str) -> None:
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        await peer.send(request("POST", "/", f"eXpect:  {value} ", "Transfer-Encoding: chunked"))
        assert await peer.read_head() == INTERIM
        await peer.send(b"4\r\nbody\r\n0\r\n\r\n")
        assert (await peer.answer()).body == b"body"


async def test_100_of_a_pipelined_request_waits_for_its_turn() -> None:
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        await peer.send(GET + EXPECT)
        assert (await peer.answer()).status == 200
        assert await peer.read_head() == INTERIM
        await peer.send(b"body")
        assert (await peer.answer()).body == b"body"


# --- 15 Status Codes ----------------------------------------------------------------------


async def test_interim_answers_before_the_final_one() -> None:
    """§15.2: a handler may send 103 by itself."""

    async def handler(request: web.BaseRequest) -> web.Response:
        await request.writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        return web.Response(text="final")

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            answer = await peer.ask(GET)
            assert answer.status == 103
            answer = await peer.answer()
            assert (answer.status, answer.body) == (200, b"final")


@pytest.mark.parametrize("status", [201, 203, 206, 226, 299, 301, 400, 418, 451, 499, 503, 599])
async def test_any_status(status: int) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(status=status, text="x")

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            answer = await peer.ask(GET)
            assert (answer.status, answer.body) == (status, b"x")


@pytest.mark.parametrize("status", [204, 205, 304])
async def test_statuses_without_content(status: int) -> None:
    """§15.3.5, §15.3.6, §15.4.5."""

    async def handler(request: web.BaseRequest) -> web.Response:
        if request.path == "/raise":
            raise {204: web.HTTPNoContent, 205: web.HTTPResetContent, 304: web.HTTPNotModified}[
                status
            ]
        return web.Response(status=status)

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for path in ("/", "/raise"):
            answer = await peer.ask(request(target=path))
            assert (answer.status, answer.body) == (status, b"")
            assert answer.header("content-type") is None


async def test_413_closes(caplog: pytest.LogCaptureFixture) -> None:
    """§15.5.14: the server MAY close the connection to stop the client from sending."""
    caplog.set_level(logging.INFO)

    async def handler(request: web.BaseRequest) -> Any:
        return web.Response(body=await request.read())

    async with serving(handler, client_max_size=10) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(
            request("POST", "/", "Content-Length: 1000000")
        )  # not a byte of it is sent
        assert (answer.status, answer.header("connection")) == (413, "close")
        assert b"10" in answer.body
        peer.finish()
        async with asyncio.timeout(DEADLINE):
            assert await peer.reader.read() == b""
