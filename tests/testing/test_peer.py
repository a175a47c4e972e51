"""Peer: the client that sends any bytes at any pace, and what it says when it waited in vain."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import lowlevel as web
from lowlevel.testing import Answer, Peer, request_bytes
from tests.support import DEADLINE, serving, turns, until

GET = request_bytes()

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]


@asynccontextmanager
async def talking(talk: Talk, **options: Any) -> AsyncIterator[int]:
    """A server that is a function of two streams; what it leaves open is closed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        try:
            await talk(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    tasks: list[asyncio.Task[Any]] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def say(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


@asynccontextmanager
async def saying(data: bytes, then: Talk | None = None) -> AsyncIterator[Peer]:
    """A peer whose server says this at once, whatever it is asked."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if then is not None:
            await then(reader, writer)

    async with talking(talk) as port, Peer.connect(port, deadline=0.05 if then else 5) as peer:
        yield peer


async def keep_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.get_running_loop().create_future()


class Recorder(asyncio.Protocol):
    """The server's end of one connection: what came, piece by piece, and how it ended."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.eof = False
        self.lost: list[Exception | None] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "pause_reading")
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)

    def eof_received(self) -> bool:
        self.eof = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[Recorder, int]]:
    recorder = Recorder()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: recorder, "127.0.0.1", 0)
    try:
        yield recorder, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if hasattr(recorder, "transport"):
            recorder.transport.abort()


async def hello(request: web.BaseRequest) -> web.Response:
    return web.Response(text=f"{request.method} {await request.text()}")


# --- Requests and answers -----------------------------------------------------------------


def test_request_bytes() -> None:
    assert request_bytes() == b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
    assert (
        request_bytes("POST", "/x?y", "A: b", "C:d", body=b"1234567890", version="1.0", host="")
        == b"POST /x?y HTTP/1.0\r\nContent-Length: 10\r\nA: b\r\nC:d\r\n\r\n1234567890"
    )
    assert request_bytes("G T", "/\xe9", host="a\r\nb").startswith(
        b"G T /\xe9 HTTP/1.1\r\nHost: a\r\nb"
    )
    with pytest.raises(UnicodeEncodeError):
        request_bytes(target="/\u20ac")


def test_answer() -> None:
    answer = Answer(b"HTTP/1.1 404 Not There\r\nA: 1\r\nB:x \r\na:  2\r\n\r\n", b"body")
    assert (answer.version, answer.status, answer.reason) == ("HTTP/1.1", 404, "Not There")
    assert answer.headers == {"a": ["1", "2"], "b": ["x"]}
    assert (answer.header("A"), answer.header("b"), answer.header("c")) == ("1, 2", "x", None)
    assert (answer.body, answer.trailers) == (b"body", {})
    assert repr(answer) == "<Answer 404, 4 bytes>"
    assert Answer(b"HTTP/1.0 200\r\n\r\n", b"").reason == ""


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 OK 200\r\n\r\n"])
def test_what_is_no_head(head: bytes) -> None:
    with pytest.raises(ValueError, match="no status line"):
        Answer(head, b"")


@pytest.mark.parametrize(
    ("fields", "rest", "body", "left"),
    [
        (b"Content-Length: 3\r\n", b"abcdef", b"abc", b"def"),
        (b"Content-Length: 0\r\n", b"def", b"", b"def"),
        (
            b"Transfer-Encoding: chunked\r\n",
            b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\ndef",
            b"abc",
            b"def",
        ),
        (b"transfer-encoding: gzip, chunked\r\n", b"0\r\n\r\ndef", b"", b"def"),
        (b"", b"abcdef", b"abcdef", b""),
    ],
)
async def test_bodies_of_answers(fields: bytes, rest: bytes, body: bytes, left: bytes) -> None:
    async with saying(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n" + rest) as peer:
        answer = await peer.answer()
        assert (answer.status, answer.body) == (200, body)
        assert await peer.read_eof() == left


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("GET", 100), ("GET", 103)]
)
async def test_answers_without_body(method: str, status: int) -> None:
    async with saying(b"HTTP/1.1 %d X\r\nContent-Length: 3\r\n\r\nabc" % status) as peer:
        assert (await peer.answer(method)).body == b""
        assert await peer.read_eof() == b"abc"


async def test_a_tunnel_has_no_body() -> None:
    async with saying(b"HTTP/1.1 200 OK\r\n\r\nhello") as peer:
        answer = await peer.ask(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
        assert (answer.status, answer.body) == (200, b"")
        assert await peer.read_exactly(5) == b"hello"


async def test_ask_knows_the_method() -> None:
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        head = await peer.ask(request_bytes("HEAD"))
        assert (head.header("content-length"), head.body) == ("5", b"")
        assert (await peer.ask(GET)).body == b"GET "


async def test_trailers() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with saying(head + b"1\r\na\r\n0\r\nX: 1\r\nY: 2\r\n\r\nz") as peer:
        answer = await peer.answer()
        assert (answer.body, answer.trailers) == (b"a", {"x": ["1"], "y": ["2"]})
        assert await peer.read_eof() == b"z"


@pytest.mark.parametrize(
    ("chunks", "message"),
    [(b"1\r\nabc\r\n", "a chunk of 1 bytes ends with b'bc'"), (b"x\r\n", "'x")],
)
async def test_bad_chunks(chunks: bytes, message: str) -> None:
    async with saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks) as peer:
        with pytest.raises(ValueError, match=message):
            await peer.answer()


async def test_read_until_and_exactly() -> None:
    async with saying(b"one two three") as peer:
        assert await peer.read_until(b" t") == b"one t"
        assert await peer.read_exactly(3) == b"wo "
        assert await peer.read_eof() == b"three"


# --- Sending ------------------------------------------------------------------------------


async def test_send_split_sends_every_byte_alone() -> None:
    data = bytes(range(256))
    async with recording() as (recorder, port), Peer.connect(port) as peer:
        assert await peer.send_split(data) == 256
        await until(lambda: len(b"".join(recorder.pieces)) == 256, "all bytes")
        assert recorder.pieces == [bytes([value]) for value in data]


async def test_a_split_request_is_answered() -> None:
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        await peer.send_split(request_bytes("POST", body=b"abc"))
        assert (await peer.answer()).body == b"POST abc"


async def test_send_slowly() -> None:
    async with recording() as (recorder, port), Peer.connect(port) as peer:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        assert await peer.send_slowly(b"0123456789", 0.01, 4) == 10
        assert loop.time() >= begin + 0.02
        await until(lambda: len(recorder.pieces) == 3, "three pieces")
        assert recorder.pieces == [b"0123", b"4567", b"89"]


async def test_send_slowly_sends_bytes_by_default() -> None:
    async with recording() as (recorder, port), Peer.connect(port) as peer:
        assert await peer.send_slowly(b"abc", 0.01) == 3
        await until(lambda: recorder.pieces == [b"a", b"b", b"c"], "three bytes")


async def test_a_slow_sender_hears_why_it_was_cut_off() -> None:
    async with serving(hello, head_timeout=0.1) as site, Peer.connect(site.port) as peer:
        data = b"GET / HTTP/1.1\r\nX: " + b"x" * 10_000
        assert 0 < await peer.send_slowly(data, 0.01) < len(data)
        assert (await peer.answer()).status == 408


@pytest.mark.parametrize("split", [False, True])
async def test_sending_stops_when_the_server_is_gone(split: bool) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.transport.abort()

    async with talking(leave) as port, Peer.connect(port) as peer:
        data = b"x" * 1000
        sent = peer.send_split(data) if split else peer.send_slowly(data, 0.001)
        assert 3 <= await sent < 1000


async def test_finish() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        await asyncio.sleep(0)
        return web.Response(text="read to its end")

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        peer.finish()
        assert (await peer.answer()).body == b"read to its end"
        assert await peer.read_eof() == b""


async def test_finish_is_half_a_close() -> None:
    async with recording() as (recorder, port), Peer.connect(port) as peer:
        peer.finish()
        await until(lambda: recorder.eof, "the FIN")
        recorder.transport.write(b"still here")
        assert await peer.read_exactly(10) == b"still here"
        assert recorder.lost == []


async def test_reset() -> None:
    async with recording() as (recorder, port), Peer.connect(port) as peer:
        await peer.send(b"x")
        await until(lambda: recorder.pieces, "a byte")
        peer.reset()
        await until(lambda: recorder.lost, "the end")
        assert isinstance(recorder.lost[0], ConnectionResetError)
        assert not recorder.eof


async def test_a_connection_that_has_ended() -> None:
    """On every event loop: bytes are refused, and the rest is as good as done."""

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.transport.abort()

    async with talking(leave) as port, Peer.connect(port) as peer:
        with pytest.raises(ConnectionResetError):
            await peer.read_eof()
        with pytest.raises(ConnectionResetError):
            await peer.send(b"x")
        assert await peer.send_split(b"xy") == 0
        peer.reset()
        peer.finish()
        peer.stop_reading()
        peer.start_reading()


async def test_leaving_closes() -> None:
    async with recording() as (recorder, port):
        async with Peer.connect(port):
            pass
        await until(lambda: recorder.eof, "the FIN")


# --- Not reading --------------------------------------------------------------------------

MUCH = 30_000_000


async def test_a_peer_that_does_not_read_takes_little() -> None:
    """What the server sends stays with it; then everything is there."""
    async with recording() as (recorder, port), Peer.connect(port, reading=False) as peer:
        await peer.send(b"x")
        await until(lambda: recorder.pieces, "a byte")
        recorder.transport.write(b"y" * MUCH)
        await turns()
        assert recorder.transport.get_write_buffer_size() > MUCH - 10_000_000
        sock = peer.writer.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < 20_000
        peer.start_reading()
        assert await peer.read_exactly(MUCH) == b"y" * MUCH


async def test_nothing_reaches_a_peer_that_does_not_read() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        handled.set()
        return web.Response(body=b"x" * MUCH)

    handled = asyncio.Event()
    async with (
        serving(handler, write_timeout=0.1) as site,
        Peer.connect(site.port, reading=False, deadline=0.05) as peer,
    ):
        await peer.send(GET)
        async with asyncio.timeout(DEADLINE):
            await handled.wait()
        with pytest.raises(
            TimeoutError, match="nothing came; it does not read before start_reading"
        ):
            await peer.read_head()
        await site.idle()


async def test_stop_reading_in_between() -> None:
    async with recording() as (recorder, port), Peer.connect(port, deadline=0.05) as peer:
        await peer.send(b"x")
        await until(lambda: recorder.pieces, "a byte")
        recorder.transport.write(b"one")
        assert await peer.read_exactly(3) == b"one"
        peer.stop_reading()
        recorder.transport.write(b"two")
        with pytest.raises(TimeoutError, match="start_reading"):
            await peer.read_exactly(3)
        peer.start_reading()
        assert await peer.read_exactly(3) == b"two"


async def test_what_is_there_is_read_and_no_more() -> None:
    async with recording() as (recorder, port), Peer.connect(port, limit=10, deadline=0.05) as peer:
        await peer.send(b"x")
        await until(lambda: recorder.pieces, "a byte")
        recorder.transport.write(b"one")
        await until(lambda: not peer.reader.at_eof() and "one" in peer._came(b""), "three bytes")
        recorder.transport.write(b"y" * MUCH)
        # The stream is full, and has paused the transport by itself.
        await until(lambda: "yyy" in peer._came(b""), "much")
        peer.stop_reading()
        await peer.read_exactly(len(peer.reader._buffer))  # type: ignore[attr-defined]
        with pytest.raises(TimeoutError, match="nothing came; it does not read"):
            await peer.read_exactly(1)
        assert recorder.transport.get_write_buffer_size() > 0


async def test_reading_again_keeps_to_the_limit() -> None:
    async with recording() as (recorder, port), Peer.connect(port, limit=10) as peer:
        await peer.send(b"x")
        await until(lambda: recorder.pieces, "a byte")
        recorder.transport.write(b"y" * MUCH)
        await until(lambda: "yyy" in peer._came(b""), "much")
        peer.stop_reading()
        peer.start_reading()
        assert not peer.writer.transport.is_reading()  # type: ignore[attr-defined]
        assert await peer.read_exactly(MUCH) == b"y" * MUCH


async def test_a_peer_that_does_not_read_finds_its_server_by_name() -> None:
    async with (
        recording() as (recorder, port),
        Peer.connect(port, host="localhost", reading=False) as peer,
    ):
        await peer.send(b"x")
        await until(lambda: recorder.pieces, "a byte")


async def test_nobody_may_listen_at_the_first_address_of_a_name(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    if not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
        pytest.skip("this loop asks for addresses in its own way")
    kind = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
    async with recording() as (recorder, port):
        addresses = [(*kind, ("127.0.0.1", number)) for number in (unused_tcp_port, port)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: addresses)
        async with Peer.connect(port, host="a.test", reading=False) as peer:
            await peer.send(b"x")
            await until(lambda: recorder.pieces, "a byte")
        with pytest.raises(ConnectionRefusedError):
            del addresses[1]
            async with Peer.connect(port, host="a.test", reading=False):
                pytest.fail("nobody listens")


@pytest.mark.parametrize("reading", [True, False])
async def test_nobody_listens(reading: bool, unused_tcp_port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        async with Peer.connect(unused_tcp_port, reading=reading):
            pytest.fail("somebody does")


# --- Deadlines ----------------------------------------------------------------------------


async def read_head(peer: Peer) -> None:
    await peer.read_head()


async def read_eof(peer: Peer) -> None:
    await peer.read_eof()


async def read_exactly(peer: Peer) -> None:
    await peer.read_exactly(100)


async def read_until(peer: Peer) -> None:
    await peer.read_until(b"mark")


async def answer(peer: Peer) -> None:
    await peer.answer()


HEAD = b"HTTP/1.1 200 OK\r\n"
BODY = "the body of a response with status 200"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
WITH_AN_END = [
    (read_head, HEAD, "the head of a response", HEAD),
    (read_exactly, b"abc", "100 bytes", b"abc"),
    (read_until, b"abc", "b'mark'", b"abc"),
    (answer, HEAD + b"Content-Length: 4\r\n\r\nabc", BODY, b"abc"),
    (answer, CHUNKED + b"3\r\nabc\r\n2\r\nd", BODY, b"abcd"),
]
UNTIL_THE_CLOSE = [
    (read_eof, b"abc", "the server to close", b"abc"),
    (answer, HEAD + b"\r\nabc", BODY, b"abc"),
]


@pytest.mark.parametrize(("wait", "said", "what", "came"), [*WITH_AN_END, *UNTIL_THE_CLOSE])
async def test_waiting_in_vain(
    wait: Callable[[Peer], Awaitable[None]], said: bytes, what: str, came: bytes
) -> None:
    async with saying(said, keep_open) as peer:
        with pytest.raises(TimeoutError) as caught:
            await wait(peer)
    assert str(caught.value) == f"waited 0.05 s for {what}; so far came {len(came)} bytes, {came!r}"


async def test_nothing_came() -> None:
    async with saying(b"", keep_open) as peer:
        with pytest.raises(TimeoutError, match="^waited 0.05 s for b'x'; nothing came$"):
            await peer.read_until(b"x")


async def test_much_came() -> None:
    async with saying(b"x" * 1000, keep_open) as peer:
        with pytest.raises(TimeoutError, match=r"so far came 1000 bytes, b'x{300}'\.\.\.$"):
            await peer.read_eof()


@pytest.mark.parametrize(("wait", "said", "what", "came"), WITH_AN_END)
async def test_a_server_that_closes_too_early(
    wait: Callable[[Peer], Awaitable[None]], said: bytes, what: str, came: bytes
) -> None:
    async with saying(said) as peer:
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await wait(peer)
    assert f"It waited for {what}; " in caught.value.__notes__[0]


async def test_a_head_that_is_too_long() -> None:
    head = b"HTTP/1.1 200 OK\r\n" + b"x" * 500
    async with (
        talking(lambda _, writer: say(writer, head)) as port,
        Peer.connect(port, limit=100) as peer,
    ):
        with pytest.raises(asyncio.LimitOverrunError) as raised:
            await peer.read_head()
        assert "the head of a response; so far came" in raised.value.__notes__[0]


async def test_a_server_that_resets() -> None:
    async with recording() as (recorder, port), Peer.connect(port) as peer:
        await peer.send(b"x")
        await until(lambda: recorder.pieces, "a byte")
        sock = recorder.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        recorder.transport.abort()
        with pytest.raises(ConnectionResetError) as caught:
            await peer.read_head()
    assert "It waited for the head of a response; nothing came" in caught.value.__notes__[0]


async def test_a_server_that_does_not_read() -> None:
    async with recording() as (recorder, port), Peer.connect(port, deadline=0.05) as peer:
        await peer.send(b"x")
        await until(lambda: recorder.pieces, "a byte")
        recorder.transport.pause_reading()
        with pytest.raises(
            TimeoutError, match=f"for the server to take {MUCH} bytes; nothing came"
        ):
            await peer.send(b"x" * MUCH)
        peer.reset()


async def test_a_connection_that_is_not_made(tls: Any) -> None:
    """Nobody answers its part of TLS."""
    async with recording() as (_, port):
        with pytest.raises(TimeoutError, match=rf"^no connection to 127.0.0.1:{port} in 0.05 s$"):
            async with Peer.connect(port, ssl=tls.client, deadline=0.05):
                pytest.fail("it is made")


async def test_the_deadline_of_somebody_else_is_theirs() -> None:
    async with saying(b"", keep_open) as peer:
        peer.deadline = DEADLINE
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.01):
                await peer.read_eof()
        assert "waited" not in str(caught.value)


async def test_a_deadline_of_the_system_is_told_as_it_is() -> None:
    async with saying(b"") as peer:
        peer.reader.set_exception(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))
        with pytest.raises(TimeoutError, match="Connection timed out") as caught:
            await peer.read_head()
        assert caught.value.errno == errno.ETIMEDOUT


# --- TLS, streams, options ----------------------------------------------------------------


@pytest.mark.parametrize("reading", [True, False])
async def test_tls(tls: Any, reading: bool) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(3))
        await keep_open(reader, writer)

    async with (
        talking(talk, ssl=tls.server) as port,
        Peer.connect(port, ssl=tls.client, reading=reading) as peer,
    ):
        await peer.send_split(b"abc")
        peer.start_reading()
        assert await peer.read_exactly(3) == b"abc"


async def test_tls_for_another_name(tls: Any) -> None:
    async with talking(keep_open, ssl=tls.server) as port:
        async with Peer.connect(port, ssl=tls.client, server_hostname="localhost"):
            pass
        with pytest.raises(OSError, match="a.test"):
            async with Peer.connect(port, ssl=tls.client, server_hostname="a.test"):
                pytest.fail("the certificate is for others")


async def test_streams_of_ones_own() -> None:
    async with serving(hello) as site:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", site.port), deadline=5)
        assert (await peer.ask(GET)).status == 200
        peer.writer.close()


async def test_subclasses() -> None:
    class Shouting(Peer):
        async def shout(self, data: bytes) -> None:
            await self.send(data.upper())

    async with recording() as (recorder, port), Shouting.connect(port) as peer:
        await peer.shout(b"x")
        await until(lambda: recorder.pieces == [b"X"], "a shout")


@pytest.mark.parametrize(
    ("options", "error", "name"),
    [
        ({"deadline": -1}, ValueError, "deadline"),
        ({"deadline": "1"}, TypeError, "deadline"),
        ({"limit": 0}, ValueError, "limit"),
        ({"server_hostname": "a.test", "reading": False}, ValueError, "server_hostname"),
    ],
)
async def test_bad_options(options: dict[str, Any], error: type[Exception], name: str) -> None:
    with pytest.raises(error, match=name):
        async with Peer.connect(1, **options):
            pytest.fail("it connects")


async def test_bad_options_of_send_slowly() -> None:
    async with recording() as (_, port), Peer.connect(port) as peer:
        with pytest.raises(ValueError, match="size"):
            await peer.send_slowly(b"x", 0, 0)
        with pytest.raises(ValueError, match="pause"):
            await peer.send_slowly(b"x", -1)
