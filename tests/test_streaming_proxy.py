"""examples/streaming_proxy.py as a process of its own, between aiohttp's client or bytes and servers of all kinds."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

import lowlevel as web
from tests.example import Example, example
from tests.support import DEADLINE, Peer, request, serving, within

PROGRAM = "streaming_proxy.py"
PIECE = bytes(65536)
MUCH = 1000
"""So many pieces are more than all buffers on the way can take."""


@asynccontextmanager
async def proxied(handler: web.Handler, log: str = "", **options: Any) -> AsyncIterator[Example]:
    async with (
        serving(handler, **options) as upstream,
        example(PROGRAM, upstream.url("/"), log=log, auto_decompress=False) as proxy,
    ):
        yield proxy


async def report(request: web.BaseRequest) -> web.StreamResponse:
    fields = [[name, value] for name, value in request.headers.items()]
    body = (await request.read()).decode()
    said = {"method": request.method, "target": request.raw_path, "fields": fields, "body": body}
    return web.json_response(said, headers={"X-Status": "fine"})


async def test_a_request_arrives_as_it_was_sent() -> None:
    async with proxied(report) as proxy, Peer.connect(proxy.program.port) as peer:
        sent = request("PATCH", "/a%2Fb%20c?d=%C3%A9&d=2", "X-A: 1", "X-A: 2", body=b"hello")
        said = json.loads((await peer.ask(sent)).body)
        assert (said["method"], said["target"]) == ("PATCH", "/a%2Fb%20c?d=%C3%A9&d=2")
        assert said["body"] == "hello"
        names = sorted(name for name, _ in said["fields"])
        assert names == ["Content-Length", "Host", "Via", "X-A", "X-A", "X-Forwarded-For"]
        assert ["X-Forwarded-For", "127.0.0.1"] in said["fields"]

        said = json.loads((await peer.ask(request("GET", "/"))).body)
        assert sorted(name for name, _ in said["fields"]) == ["Host", "Via", "X-Forwarded-For"]
        answer = await peer.ask(request("HEAD", "/"))
        assert (answer.status, answer.header("x-status")) == (200, "fine")
        assert int(answer.header("content-length") or 0) > 0
        for sent in (request("OPTIONS", "*"), request("CONNECT", "a.test:80")):
            async with Peer.connect(proxy.program.port) as other:
                assert (await other.ask(sent)).status == 502


async def test_fields_for_the_neighbour_are_not_passed_on() -> None:
    async with proxied(report) as proxy, Peer.connect(proxy.program.port) as peer:
        fields = (
            "Connection: keep-alive, X-Private,\tx-other",
            "Connection: TE",
            "X-Private: 1",
            "X-Other: 2",
            "X-Public: 3",
            "TE: trailers",
            "Trailer: X-Sum",
            "Keep-Alive: timeout=5",
            "Proxy-Connection: keep-alive",
            "Expect: 100-continue",
            "Transfer-Encoding: chunked",
        )
        await peer.send(request("POST", "/", *fields))
        assert (await peer.read_head()).startswith(b"HTTP/1.1 100 ")
        await peer.send(b"5\r\nhello\r\n0\r\n\r\n")
        said = json.loads((await peer.answer()).body)
        assert said["body"] == "hello"
        names = {name.lower() for name, _ in said["fields"]}
        assert names == {"host", "transfer-encoding", "via", "x-forwarded-for", "x-public"}


ANSWER = b"""\
HTTP/1.1 299 Strange
Connection: close, X-Private
Keep-Alive: timeout=5
X-Private: 1
X-Public: 2
Set-Cookie: a=1
Set-Cookie: b=2
Content-Encoding: gzip
Transfer-Encoding: chunked
Location: http://b.test/

5
hello
0

""".replace(b"\n", b"\r\n")


@asynccontextmanager
async def answering(data: bytes, asked: list[bytes] | None = None) -> AsyncIterator[str]:
    """A server that sends this, whatever it is asked, and closes; its URL. Heads of requests are kept in ``asked``."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if asked is not None:
                asked.append(head)
            writer.write(data)
            await writer.drain()
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        # A name: cookies of bare addresses are not kept by anybody.
        yield f"http://localhost:{server.sockets[0].getsockname()[1]}"


async def test_an_answer_arrives_as_it_was_sent() -> None:
    asked: list[bytes] = []
    async with (
        answering(ANSWER, asked) as url,
        example(PROGRAM, url, auto_decompress=False) as proxy,
    ):
        got = await proxy.ask("/", allow_redirects=False)
        assert (got.status, got.text) == (299, "hello")
        assert got.headers.getall("Set-Cookie") == ["a=1", "b=2"]
        assert (got.headers["X-Public"], got.headers["Content-Encoding"]) == ("2", "gzip")
        assert got.headers["Location"] == "http://b.test/"
        assert not {"x-private", "keep-alive"} & {name.lower() for name in got.headers}
        async with Peer.connect(proxy.program.port) as other:
            assert (await other.ask(request())).status == 299
        assert b"cookie" not in asked[1].lower()  # which are those of the first client alone


async def test_pieces_arrive_as_they_are_sent() -> None:
    """Each waits for the answer to the one before."""

    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for piece in request.content.iter_any():
            await response.write(piece.upper())
        return response

    async with proxied(echo) as proxy, Peer.connect(proxy.program.port) as peer:
        await peer.send(request("POST", "/", "Transfer-Encoding: chunked"))
        await peer.send(b"1\r\na\r\n")
        await peer.read_head()
        assert await peer.read_exactly(6) == b"1\r\nA\r\n"
        await peer.send(b"1\r\nb\r\n")
        assert await peer.read_exactly(6) == b"1\r\nB\r\n"
        await peer.send(b"0\r\n\r\n")
        assert await peer.read_exactly(5) == b"0\r\n\r\n"


async def test_a_slow_client_holds_up_the_answer() -> None:
    """The server upstream gets rid of no more than fits into buffers until the client reads."""
    sent = itertools.count()
    stuck = asyncio.Event()

    async def pour(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(TimeoutError):
            for _ in range(MUCH):
                async with asyncio.timeout(1):
                    await response.write(PIECE)
                next(sent)
        stuck.set()
        return response

    async with proxied(pour) as proxy, Peer.connect(proxy.program.port, reading=False) as peer:
        await peer.send(request(version="1.0"))
        await within(stuck.wait())
        assert next(sent) < MUCH
        peer.start_reading()
        await peer.read_head()
        assert await peer.read_exactly(10**6) == bytes(10**6)


async def test_a_slow_server_holds_up_the_upload() -> None:
    reading = asyncio.Event()

    async def wait(request: web.BaseRequest) -> web.StreamResponse:
        await reading.wait()
        size = 0
        async for piece in request.content.iter_any():
            size += len(piece)
        return web.Response(text=str(size))

    async with proxied(wait, body_timeout=0) as proxy, Peer.connect(proxy.program.port) as peer:
        await peer.send(request("PUT", "/", f"Content-Length: {MUCH * len(PIECE)}"))
        for _ in range(MUCH):
            sending = asyncio.ensure_future(peer.send(PIECE))
            done, _ = await asyncio.wait([sending], timeout=1)
            if not done:
                reading.set()
            await sending
        assert reading.is_set()
        assert (await peer.answer()).body == b"%d" % (MUCH * len(PIECE))


@pytest.mark.parametrize("when", ["before the answer", "in the answer", "in the body"])
async def test_a_client_that_leaves_is_told_upstream(when: str) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def stay(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        if when == "in the answer":
            await response.prepare(request)
            await response.write(b"x")
        asked.set()
        try:
            await asyncio.sleep(DEADLINE)
        finally:
            left.set()
        return response

    async with (
        proxied(stay, handler_cancellation=True) as proxy,
        Peer.connect(proxy.program.port) as peer,
    ):
        more = ("Content-Length: 10",) if when == "in the body" else ()
        await peer.send(request("POST", "/", *more) + (b"half" if more else b""))
        await within(asked.wait())
        peer.reset()
        await within(left.wait())


async def test_no_server_is_502(unused_tcp_port: int) -> None:
    async with example(PROGRAM, f"http://127.0.0.1:{unused_tcp_port}") as proxy:
        await proxy.says("/", 502, "502: Bad Gateway")
        await proxy.says("/", 502, "502: Bad Gateway", method="POST", data="x" * 100_000)


@pytest.mark.parametrize("data", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-A"])
async def test_no_answer_is_502(data: bytes) -> None:
    async with answering(data) as url, example(PROGRAM, url) as proxy:
        await proxy.says("/", 502, "502: Bad Gateway")


async def test_an_answer_that_breaks_off_is_cut_off() -> None:
    log = "Error handling request from 127.0.0.1, cut off\n.*ClientPayloadError.*"
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
    async with answering(data) as url, example(PROGRAM, url, log=log) as proxy:
        with pytest.raises(aiohttp.ClientPayloadError):
            await proxy.ask("/")


async def test_a_broken_body_is_the_clients_fault() -> None:
    async with proxied(report, log=".*") as proxy, Peer.connect(proxy.program.port) as peer:
        await peer.send(
            request("POST", "/", "Transfer-Encoding: chunked") + b"1\r\na\r\nnonsense\r\n"
        )
        assert (await peer.answer()).status == 400
