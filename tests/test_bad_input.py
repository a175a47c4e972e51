"""Clients that send what no client should, one test per rule.

Each gets a clear status where one can still be sent, one quiet log line naming peer and reason, and a closed
connection; a connection beside it notices nothing.
"""

import asyncio
import logging
import ssl
from typing import Any

import pytest

import lowlevel as web
from tests.support import DEADLINE, Answer, Peer, Serving, request, serving

GET = request()
HEAD_END = b"\r\n\r\n"


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=await request.read())


class Log:
    """What the server says, at INFO and above."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        self._caplog = caplog

    def one_line(self, peer: Peer, *words: str) -> str:
        (record,) = ours(self._caplog)
        message = record.getMessage()
        assert record.name == "lowlevel.server"
        assert record.levelno == logging.INFO
        assert record.exc_info is None
        assert "\n" not in message and "Traceback" not in message
        host, port = peer.writer.get_extra_info("sockname")
        assert host in message and str(port) in message
        for word in words:
            assert word in message
        return message


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Without what asyncio says in its debug mode."""
    return [record for record in caplog.records if record.name.startswith("lowlevel")]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


async def refused(peer: Peer) -> Answer:
    """Read the one answer, and the end of the connection behind it."""
    answer = await peer.answer()
    assert answer.header("connection") == "close"
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    assert answer.header("date")
    assert b"Traceback" not in answer.body
    assert await peer.read_eof() == b""
    peer.finish()
    return answer


async def try_refused(
    log: Log, data: bytes, statuses: tuple[int, ...], *words: str, **options: Any
) -> None:
    """Send ``data`` beside a connection in the middle of a request, which must not notice."""
    async with (
        serving(echo, **options) as site,
        Peer.connect(site.port) as beside,
        Peer.connect(site.port) as peer,
    ):
        await beside.send(request("POST", "/", "Content-Length: 4") + b"bo")
        await peer.send(data)
        answer = await refused(peer)
        assert answer.status in statuses
        log.one_line(peer, *words)
        await beside.send(b"dy")
        assert (await beside.answer()).body == b"body"
        assert (await beside.ask(GET)).status == 200
        await alone(site, 1)


async def alone(site: Serving, left: int) -> None:
    async with asyncio.timeout(DEADLINE):
        while len(site.server.connections) > left:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    "data",
    [
        b"junk" + HEAD_END,
        b"\0" * 64 + HEAD_END,
        b"GET" + HEAD_END,
        b"GET / HTTP/1.1\nHost: a.test\n\n",
        b"GET / HTTP/1.1\r\nHost: a.test\r\nX : y" + HEAD_END,
        b"GET / HTTP/1.1\r\nHost: a.test\r\nX: y\r\n z" + HEAD_END,
        b"\xff\xfe\xfd" + HEAD_END,
        b'<?xml version="1.0"?>' + HEAD_END,
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"*1\r\n$4\r\nPING\r\n",
    ],
)
async def test_bad_syntax(log: Log, data: bytes) -> None:
    await try_refused(log, data, (400,))


@pytest.mark.parametrize("method", ["BREW", "X", "GETT", "get"])
async def test_unknown_method(log: Log, method: str) -> None:
    await try_refused(log, request(method), (501, 400), "method")


@pytest.mark.parametrize(
    "fields",
    [[], ["Host: a", "Host: a"], ["Host: a b"], ["Host: a/b"], ["Host: a:b"]],
    ids=["missing", "doubled", "space", "slash", "port"],
)
async def test_host(log: Log, fields: list[str]) -> None:
    await try_refused(log, request("GET", "/", *fields, host=""), (400,), "Host")


@pytest.mark.parametrize(
    "fields",
    [
        ["Content-Length: 3", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 3"],
        ["Content-Length: 3", "Content-Length: 3"],
        ["Content-Length: 3", "Content-Length: 5"],
        ["Transfer-Encoding: gzip"],
        ["Transfer-Encoding: chunked, identity"],
    ],
)
async def test_framing(log: Log, fields: list[str]) -> None:
    await try_refused(log, request("POST", "/", *fields) + b"3\r\nabc\r\n0\r\n\r\n", (400,))


async def test_transfer_encoding_of_http_1_0(log: Log) -> None:
    data = request("POST", "/", "Transfer-Encoding: chunked", version="1.0") + b"0\r\n\r\n"
    await try_refused(log, data, (400,), "HTTP/1.0")


async def test_http_2_preface(log: Log) -> None:
    data = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    await try_refused(log, data, (505, 400), "HTTP/2")


@pytest.mark.parametrize("version", ["2.0", "3.0", "1.2"])
async def test_version(log: Log, version: str) -> None:
    await try_refused(log, request(version=version), (505, 400), "HTTP")


async def test_tls_on_a_plain_port(log: Log) -> None:
    """The bytes of a real handshake: closed, since no answer would be understood."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="a.test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    async with (
        serving(echo) as site,
        Peer.connect(site.port) as beside,
        Peer.connect(site.port) as peer,
    ):
        assert (await beside.ask(GET)).status == 200
        await peer.send(outgoing.read())
        assert await peer.read_eof() == b""
        log.one_line(peer, "TLS")
        assert (await beside.ask(GET)).status == 200


async def test_a_tls_client_on_a_plain_port(log: Log) -> None:
    """It fails at once, with an error of its own, instead of waiting."""
    async with serving(echo) as site, asyncio.timeout(DEADLINE):
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", site.port, ssl=ssl.create_default_context())


@pytest.mark.parametrize("size", [9_000, 60_000, 1_000_000])
async def test_target_too_long(log: Log, size: int) -> None:
    await try_refused(log, request("GET", "/" + "x" * size), (414,), "target")


async def test_target_limit() -> None:
    for length, status in ((100, 200), (101, 414)):
        async with serving(echo, max_line_size=100) as site, Peer.connect(site.port) as peer:
            assert (await peer.ask(request("GET", "/" + "x" * (length - 1)))).status == status


@pytest.mark.parametrize("size", [9_000, 60_000, 1_000_000])
async def test_field_too_large(log: Log, size: int) -> None:
    await try_refused(log, request("GET", "/", "X: " + "y" * size), (431,), "head")


async def test_head_too_large(log: Log) -> None:
    fields = [f"X-{number}: " + "y" * 2000 for number in range(100)]
    await try_refused(log, request("GET", "/", *fields), (431,), "head")


async def test_too_many_fields(log: Log) -> None:
    fields = [f"X-{number}: y" for number in range(200)]
    await try_refused(log, request("GET", "/", *fields), (431,), "header")


async def test_endless_head(log: Log) -> None:
    """It is refused while it comes, not when it is complete."""
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n")
        sent = 0
        while not peer.reader.at_eof() and sent < 50_000_000 and not peer.reader._buffer:  # type: ignore[attr-defined]
            await peer.send(b"X: y\r\n" * 1000)
            sent += 6000
            await asyncio.sleep(0)
        answer = await peer.answer()
        assert answer.status == 431
        assert sent < 5_000_000
        log.one_line(peer)


async def test_slow_head(log: Log) -> None:
    async with (
        serving(echo, head_timeout=0.2) as site,
        Peer.connect(site.port) as beside,
        Peer.connect(site.port) as peer,
    ):
        assert (await beside.ask(GET)).status == 200
        await peer.send(b"GET / HTTP/1.1\r\nHost:")
        assert (await refused(peer)).status == 408
        log.one_line(peer, "head")
        assert (await beside.ask(GET)).status == 200


async def test_stalled_body(log: Log) -> None:
    async with (
        serving(echo, body_timeout=0.2) as site,
        Peer.connect(site.port) as beside,
        Peer.connect(site.port) as peer,
    ):
        assert (await beside.ask(GET)).status == 200
        await peer.send(request("POST", "/", "Content-Length: 10") + b"12345")
        assert (await refused(peer)).status == 408
        log.one_line(peer, "body")
        assert (await beside.ask(GET)).status == 200


async def test_declared_body_over_client_max_size(log: Log) -> None:
    """Refused before it is read."""
    await try_refused(
        log, request("POST", "/", "Content-Length: 100000000"), (413,), "1000", client_max_size=1000
    )


async def test_chunked_body_over_client_max_size(log: Log) -> None:
    data = request("POST", "/", "Transfer-Encoding: chunked") + b"400\r\n" + b"x" * 1024 + b"\r\n"
    await try_refused(log, data, (413,), "1000", client_max_size=1000)


async def test_bad_chunk(log: Log) -> None:
    data = request("POST", "/", "Transfer-Encoding: chunked") + b"3\r\nabc\r\nzz\r\n"
    await try_refused(log, data, (400,), "chunk")


async def test_too_much_chunk_framing(log: Log) -> None:
    data = request("POST", "/", "Transfer-Encoding: chunked") + b"1;" + b"x" * 200_000
    await try_refused(log, data, (400,), "chunk")


async def test_client_that_does_not_read(caplog: pytest.LogCaptureFixture) -> None:
    """It is cut off after ``write_timeout``, and costs only what fits into buffers until then."""
    caplog.set_level(logging.DEBUG, "lowlevel.server")
    written = 0
    ended: list[BaseException] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal written
        if request.path == "/beside":
            return web.Response()
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 100_000)
                written += 100_000
        except BaseException as exc:
            ended.append(exc)
            raise

    async with (
        serving(handler, write_timeout=0.3) as site,
        Peer.connect(site.port) as beside,
        Peer.connect(site.port, limit=1) as peer,
    ):
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await peer.send(GET)
        async with asyncio.timeout(DEADLINE):
            while not ended:
                assert (await beside.ask(request(target="/beside"))).status == 200
        assert isinstance(ended[0], ConnectionResetError)
        assert written < 50_000_000
        await alone(site, 1)
    assert all(record.levelno == logging.DEBUG and not record.exc_info for record in ours(caplog))
    assert any("reads nothing" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("way", ["fin", "rst"])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: a.test\r\n",
        GET,
        GET + b"GET / HT",
        GET + GET,
        request("POST", "/", "Content-Length: 10"),
        request("POST", "/", "Content-Length: 10") + b"12345",
        request("POST", "/", "Transfer-Encoding: chunked") + b"5\r\n123",
        request("POST", "/", "Expect: 100-continue", "Content-Length: 10"),
        request("GET", "/", "Connection: Upgrade", "Upgrade: websocket") + b"abc",
        request("POST", "/unread", "Content-Length: 10") + b"12345",
    ],
)
async def test_client_that_leaves(caplog: pytest.LogCaptureFixture, data: bytes, way: str) -> None:
    """A debug line at most; reads and writes raise ConnectionResetError."""
    caplog.set_level(logging.DEBUG)
    errors: list[BaseException] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        try:
            if request.path == "/unread":
                return web.Response()
            await request.read()
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(b"x" * 10_000)
        except BaseException as exc:
            errors.append(exc)
            raise

    async with serving(handler) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(data)
            for _ in range(5):
                await asyncio.sleep(0.001)
            if way == "rst":
                peer.reset()
        await site.idle()
        async with asyncio.timeout(DEADLINE):
            while len(errors) < (b"\r\n\r\n" in data and b"/unread" not in data):
                await asyncio.sleep(0.001)
    assert all(isinstance(error, ConnectionResetError) for error in errors)
    for record in ours(caplog):
        assert record.levelno == logging.DEBUG
        assert record.exc_info is None


async def test_client_that_leaves_in_a_body_behind_an_offer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was held for the decision on the offer is cut short by a departure, not malformed."""
    caplog.set_level(logging.DEBUG)
    gone = asyncio.Event()
    errors: list[BaseException] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        if request.is_websocket:
            await request.wait_disconnected()
            return web.Response()
        try:
            await request.read()
        except BaseException as exc:
            errors.append(exc)
            gone.set()
            raise
        return web.Response()

    offer = request("GET", "/", "Connection: Upgrade", "Upgrade: websocket")
    async with serving(handler) as site:
        async with Peer.connect(site.port) as peer, asyncio.timeout(DEADLINE):
            await peer.send(offer + request("POST", "/", "Content-Length: 10") + b"12345")
            peer.finish()
            await gone.wait()
        await site.idle()
    assert isinstance(errors[0], ConnectionResetError)
    assert all(record.levelno == logging.DEBUG for record in ours(caplog))


async def test_many_refusals_fill_no_disk(caplog: pytest.LogCaptureFixture) -> None:
    """A scanner gets every answer, but the log has a bound."""
    caplog.set_level(logging.INFO)
    async with serving(echo, head_timeout=100.0) as site:
        for _ in range(100):
            async with Peer.connect(site.port) as peer:
                await peer.send(b"junk\r\n\r\n")
                assert (await peer.answer()).status == 400
        async with Peer.connect(site.port) as peer, asyncio.timeout(DEADLINE):
            while not any("more" in record.getMessage() for record in caplog.records):
                await asyncio.sleep(0.01)
    assert len(ours(caplog)) < 40


async def test_the_bound_ends_when_nobody_stays(caplog: pytest.LogCaptureFixture) -> None:
    """Peers that come and go one by one are counted too, and do not silence the log for ever."""
    caplog.set_level(logging.INFO)

    def told(word: str) -> bool:
        return any(word in record.getMessage() for record in ours(caplog))

    async def come_and_go(port: int, data: bytes) -> None:
        async with Peer.connect(port) as peer:
            await peer.send(data)
            await peer.read_eof()

    async with serving(echo, head_timeout=0.5) as site, asyncio.timeout(DEADLINE):
        while not told("more"):
            await come_and_go(site.port, b"junk\r\n\r\n")
            await site.idle()
        # On a slow machine the first of these still fall into the second that was spent.
        while not told("version"):
            await come_and_go(site.port, b"GET / HTTP/7.0\r\n\r\n")
            await site.idle()


async def test_refusals_are_in_the_access_log() -> None:
    class Logger(web.AbstractAccessLogger):
        def log(self, request: Any, response: Any, time: float) -> None:
            lines.append((request.remote, response.status, response.body_length))

    lines: list[Any] = []
    log = logging.getLogger("test.access")
    async with (
        serving(echo, access_log=log, access_log_class=Logger) as site,
        Peer.connect(site.port) as peer,
    ):
        await peer.send(b"junk\r\n\r\n")
        answer = await peer.answer()
    assert lines == [("127.0.0.1", 400, len(answer.head) + len(answer.body))]
