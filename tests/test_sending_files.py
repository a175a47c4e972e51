"""Files that the system sends by itself: ResponseWriter.send_file() over real sockets.

What FileResponse makes of it is in test_file_response.py.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import random
import socket
import ssl
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

import lowlevel as web
from lowlevel import outlet
from lowlevel.sockets import is_cached
from lowlevel.writer import ResponseWriter
from tests.conftest import TLS
from tests.support import DEADLINE, Peer, Serving, request, serving, turns, until, within

pytestmark = pytest.mark.skipif(not hasattr(os, "sendfile"), reason="the system sends no files")

LARGE = 10 * 2**20
"""More than buffers of sockets hold: they grow to 4 MiB, those of slow_peer() do not."""

DATA = random.Random(0).randbytes(LARGE // 16) * 16
SMALL = 100_000

Send = Callable[[web.BaseRequest, ResponseWriter], Awaitable[None]]


@pytest.fixture(params=[True, False], ids=["cached", "not-cached"])
def cached(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether files pass for being in memory: or else threads send them."""
    monkeypatch.setattr(outlet, "is_cached", lambda fd, offset: request.param)
    return bool(request.param)


@pytest.fixture(scope="module")
def file() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        file.write(DATA)
        file.flush()
        yield file


def sends(size: int, send: Send, **headers: str) -> Any:
    """A handler whose response has so many bytes, which ``send(request, writer)`` sends."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/":
            return web.Response(text=request.path)
        response = web.StreamResponse(headers=headers)
        response.content_length = size
        writer = await response.prepare(request)
        assert writer is not None
        await send(request, writer)
        await response.write_eof()
        return response

    return handler


def descriptors() -> dict[str, str]:
    """What this process has open, by number."""
    if not os.path.isdir("/proc/self/fd"):
        return {}
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except OSError:  # that of the list itself
            continue
    return found


def copies() -> int:
    """How many sockets are open more than once."""
    sockets = [target for target in descriptors().values() if target.startswith("socket:")]
    return len(sockets) - len(set(sockets))


def waited_for() -> list[int]:
    """Numbers of closed descriptors that the event loop still watches."""
    loop, used = asyncio.get_running_loop(), descriptors()
    if not used:
        return []
    return [
        number for number in range(1000) if str(number) not in used and loop.remove_writer(number)
    ]


def high_water(request: web.BaseRequest) -> int:
    """How many bytes the transport takes before it asks to wait."""
    transport: Any = request.transport
    return int(transport.get_write_buffer_limits()[1])


class Sending:
    """A large file on its way: ``send`` is for sends(); ``task`` sends it, ``error`` is how that ended."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.request: web.BaseRequest | None = None
        self.task: asyncio.Task[int] | None = None
        self.error: BaseException | None = None

    async def send(self, request: web.BaseRequest, writer: ResponseWriter) -> None:
        self.request = request
        self.task = asyncio.create_task(writer.send_file(self.file.fileno(), 0, LARGE))
        try:
            await self.task
        except BaseException as exc:
            self.error = exc
            # Whoever sends should not be told so by a log.
            raise ConnectionResetError from None

    async def ended(self) -> BaseException:
        """Wait for its failure; no copy of the socket must be left then, nor be waited for."""
        await until(lambda: self.error is not None, "the end of send_file()")
        assert copies() == 0
        assert not waited_for()
        assert self.error is not None
        return self.error


@asynccontextmanager
async def slow_peer(site: Serving) -> AsyncIterator[Peer]:
    """A client that takes no more than it is asked to: the buffers on its side are small."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", site.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=16384)
    try:
        yield Peer(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def stuck(file: BinaryIO, **options: Any) -> AsyncIterator[tuple[Serving, Peer, Sending]]:
    """A client that does not read on, and the file that is on its way to it."""
    sending = Sending(file)
    async with serving(sends(LARGE, sending.send), **options) as site, slow_peer(site) as peer:
        await peer.send(request())
        await peer.read_head()
        await within(peer.reader.readexactly(1000))
        await turns()
        assert sending.task is not None
        assert not sending.task.done()
        yield site, peer, sending


async def cut_off(peer: Peer) -> int:
    """Read to the end of a connection that ends too early; return how much came, LARGE or more if it does not."""
    size = 0
    async with asyncio.timeout(DEADLINE):
        while size < LARGE:
            try:
                piece = await peer.reader.read(2**16)
            except ConnectionError:
                return size
            if not piece:
                return size
            size += len(piece)
    return size


# --- Order --------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [b"", b"before", b"b" * 70_000, b"b" * 6_000_000])
async def test_what_is_written_before_and_after(
    cached: bool, file: BinaryIO, before: bytes
) -> None:
    """It arrives before and after, and the connection goes on."""
    sent: list[int] = []

    async def send(request: web.BaseRequest, writer: ResponseWriter) -> None:
        await writer.write(before)
        sent.append(await writer.send_file(file.fileno(), 3, SMALL))
        await writer.write(b"after")
        sent.append(await writer.send_file(file.fileno(), SMALL, SMALL))

    expected = before + DATA[3 : 3 + SMALL] + b"after" + DATA[SMALL : 2 * SMALL]
    async with serving(sends(len(expected), send)) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            answer = await peer.ask(request())
            assert answer.body == expected
            assert (await peer.ask(request("GET", "/next"))).body == b"/next"
    assert sent == [SMALL] * 4
    assert copies() == 0


async def test_what_was_put_without_waiting(cached: bool, file: BinaryIO) -> None:
    async def send(request: web.BaseRequest, writer: ResponseWriter) -> None:
        for _ in range(40):
            writer.put(b"b" * 50_000)
        assert await writer.send_file(file.fileno(), 0, SMALL) == SMALL
        for _ in range(40):
            writer.put(b"a" * 50_000)

    async with serving(sends(4_000_000 + SMALL, send)) as site, slow_peer(site) as peer:
        answer = await peer.ask(request())
        assert answer.body == b"b" * 2_000_000 + DATA[:SMALL] + b"a" * 2_000_000


async def test_in_a_pipeline(cached: bool, file: BinaryIO) -> None:
    """Answers that are held back for others leave before the file."""

    async def send(request: web.BaseRequest, writer: ResponseWriter) -> None:
        assert await writer.send_file(file.fileno(), 0, SMALL) == SMALL

    paths = ["/1", "/2", "/", "/3", "/", "/", "/4"]
    async with serving(sends(SMALL, send)) as site, Peer.connect(site.port) as peer:
        await peer.send(b"".join(request("GET", path) for path in paths))
        for path in paths:
            assert (await peer.answer()).body == (DATA[:SMALL] if path == "/" else path.encode())


async def test_what_the_transport_keeps_is_limited_as_before(cached: bool, file: BinaryIO) -> None:
    """All that was kept had to leave before the file; afterwards, writing does not wait for that."""
    limits: list[int] = []

    async def send(request: web.BaseRequest, writer: ResponseWriter) -> None:
        limits.append(high_water(request))
        await writer.write(b"b" * 1_000_000)
        await writer.send_file(file.fileno(), 0, SMALL)
        limits.append(high_water(request))

    async with serving(sends(1_000_000 + SMALL, send)) as site, Peer.connect(site.port) as peer:
        assert len((await peer.ask(request())).body) == 1_000_000 + SMALL
    assert limits[0] == limits[1] > 0


# --- Which part ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "count", "start", "stop"),
    [
        (0, 1, 0, 1),
        (LARGE - 1, 1, LARGE - 1, LARGE),
        (12345, 2**20 + 1, 12345, 12345 + 2**20 + 1),
        (0, LARGE, 0, LARGE),
        # No more than there is.
        (LARGE - 10, 100, LARGE - 10, LARGE),
        (0, LARGE + 1, 0, LARGE),
        (LARGE, 1, LARGE, LARGE),
        (LARGE + 1000, 10, LARGE, LARGE),
        (5, 0, 5, 5),
        (5, -1, 5, 5),
    ],
)
async def test_parts(
    cached: bool, file: BinaryIO, offset: int, count: int, start: int, stop: int
) -> None:
    sizes: list[int] = []

    async def send(request: web.BaseRequest, writer: ResponseWriter) -> None:
        head = writer.output_size
        sent = await writer.send_file(file.fileno(), offset, count)
        assert writer.output_size - head == sent
        sizes.append(sent)
        await writer.write(b"." * (LARGE + 10 - sent))

    file.seek(7)
    async with serving(sends(LARGE + 10, send)) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request())
    assert sizes == [stop - start]
    assert answer.body[: sizes[0]] == DATA[start:stop]
    assert answer.body[sizes[0] :].strip(b".") == b""
    assert file.tell() == 7  # where it was


async def test_no_more_than_the_length(cached: bool, file: BinaryIO) -> None:
    async def send(request: web.BaseRequest, writer: ResponseWriter) -> None:
        await writer.write(b"12")
        assert await writer.send_file(file.fileno(), 0, 100) == 8
        assert await writer.send_file(file.fileno(), 8, 100) == 0
        assert writer.full

    async with serving(sends(10, send)) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(request())).body == b"12" + DATA[:8]
        assert (await peer.ask(request("GET", "/next"))).body == b"/next"


async def test_to_a_slow_client(cached: bool, file: BinaryIO) -> None:
    async def send(request: web.BaseRequest, writer: ResponseWriter) -> None:
        assert await writer.send_file(file.fileno(), 0, LARGE) == LARGE

    async with serving(sends(LARGE, send), write_timeout=5) as site, slow_peer(site) as peer:
        await peer.send(request())
        await peer.read_head()
        size = 0
        while size < LARGE:
            piece = await within(peer.reader.readexactly(min(40_000, LARGE - size)))
            assert piece == DATA[size : size + len(piece)]
            size += len(piece)
            if size < 1_000_000:
                await turns(2)
        assert (await peer.ask(request("GET", "/next"))).body == b"/next"


# --- Where the system does not send -------------------------------------------------------


async def instead(send: Send, ask: bytes = request(), **options: Any) -> bytes:  # noqa: B008
    """Answer with the ten bytes that write() sends, since send_file() sent none."""
    called: list[bool] = []

    async def twice(request: web.BaseRequest, writer: ResponseWriter) -> None:
        await send(request, writer)
        await writer.write(b"0123456789")
        called.append(True)

    handler = sends(10, twice)
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(ask)
        assert (await peer.ask(request("GET", "/next"))).body == b"/next"
    assert called
    return answer.body


def sends_nothing_of(fd: int) -> Send:
    async def send(request: web.BaseRequest, writer: ResponseWriter) -> None:
        assert await writer.send_file(fd, 0, 10) == 0

    return send


async def test_a_file_in_memory(cached: bool) -> None:
    if not hasattr(os, "memfd_create"):
        pytest.skip("the system has no files in memory")
    fd = os.memfd_create("test")

    async def send(request: web.BaseRequest, writer: ResponseWriter) -> None:
        assert await writer.send_file(fd, 1, 10) == 5

    try:
        os.write(fd, b"012345")
        async with serving(sends(8, send)) as site, Peer.connect(site.port) as peer:
            await peer.send(request())
            await peer.read_head()
            assert await peer.read_eof() == b"12345"
    finally:
        os.close(fd)


async def test_a_pipe(cached: bool) -> None:
    """Its bytes have no places that could be asked for; they stay in it."""
    source, target = os.pipe()
    try:
        os.write(target, b"0123456789")
        assert await instead(sends_nothing_of(source)) == b"0123456789"
        assert os.read(source, 20) == b"0123456789"
    finally:
        os.close(source)
        os.close(target)


async def test_a_directory(cached: bool, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert await instead(sends_nothing_of(fd)) == b"0123456789"
    finally:
        os.close(fd)


async def test_a_closed_file(cached: bool, tmp_path: Path) -> None:
    assert await instead(sends_nothing_of(-1)) == b"0123456789"


async def test_a_file_that_cannot_be_read(cached: bool, tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(b"secret")
        file.flush()
        assert await instead(sends_nothing_of(file.fileno())) == b"0123456789"


async def test_a_system_that_sends_no_files(
    file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sendfile")
    assert await instead(sends_nothing_of(file.fileno())) == b"0123456789"


async def test_a_socket_that_cannot_be_copied(
    cached: bool, file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files: nothing was sent, so it can be sent in another way."""

    def full(fd: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def send(request: web.BaseRequest, writer: ResponseWriter) -> None:
        before = high_water(request)
        assert await writer.send_file(file.fileno(), 0, SMALL) == 0
        assert high_water(request) == before
        await writer.write(DATA[:SMALL])

    monkeypatch.setattr(os, "dup", full)
    async with serving(sends(SMALL, send)) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            assert (await peer.ask(request())).body == DATA[:SMALL]


async def test_no_body_to_send(cached: bool, file: BinaryIO) -> None:
    ask = request("HEAD")
    handler = sends(10, sends_nothing_of(file.fileno()))
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(ask)).header("content-length") == "10"
        assert (await peer.ask(request("GET", "/next"))).body == b"/next"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_body_of_unknown_length(cached: bool, file: BinaryIO, version: str) -> None:
    """Its chunks have frames around them; and without them, its end is that of the connection."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        writer = await response.prepare(request)
        assert writer is not None
        assert await writer.send_file(file.fileno(), 0, 10) == 0
        await response.write(b"0123456789")
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(request(version=version))).body == b"0123456789"


async def test_before_a_head(cached: bool, file: BinaryIO) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert await request.writer.send_file(file.fileno(), 0, 10) == 0
        return web.Response(text="hello")

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(request())).body == b"hello"


async def test_tls(cached: bool, file: BinaryIO, tls: TLS) -> None:
    """The system does not know the keys."""

    async def fallback(request: web.BaseRequest, writer: ResponseWriter) -> None:
        assert await writer.send_file(file.fileno(), 0, 10) == 0
        await writer.write(DATA[:10])

    async with (
        serving_tls(sends(10, fallback), tls.server) as port,
        Peer.connect(port, ssl=tls.client, server_hostname="localhost") as peer,
    ):
        for _ in range(2):
            assert (await peer.ask(request())).body == DATA[:10]


@asynccontextmanager
async def serving_tls(handler: Any, context: ssl.SSLContext) -> AsyncIterator[int]:
    server = web.Server(handler, access_log=None)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, "127.0.0.1", 0, ssl=context)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        await server.shutdown(0.5)


# --- Sending that ends early --------------------------------------------------------------


async def test_cancelled(cached: bool, file: BinaryIO) -> None:
    async with stuck(file) as (site, peer, sending):
        assert sending.task is not None
        sending.task.cancel()
        assert isinstance(await sending.ended(), asyncio.CancelledError)
        assert await cut_off(peer) < LARGE - 1000
        await site.idle()


async def test_a_handler_that_is_cancelled(cached: bool, file: BinaryIO) -> None:
    async with stuck(file) as (site, peer, sending):
        assert sending.request is not None
        sending.request.task.cancel()
        await sending.ended()
        assert await cut_off(peer) < LARGE - 1000
        await site.idle()


async def test_cancelled_while_what_was_written_before_leaves(file: BinaryIO) -> None:
    """What was written still arrives, and the transport keeps its limits."""
    done = asyncio.Event()
    limits: list[int] = []

    async def send(request: web.BaseRequest, writer: ResponseWriter) -> None:
        limits.append(high_water(request))
        for _ in range(LARGE // 100_000):
            writer.put(b"b" * 100_000)
        task = asyncio.create_task(writer.send_file(file.fileno(), 0, SMALL))
        await turns()
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(task)
        limits.append(high_water(request))
        done.set()
        raise asyncio.CancelledError

    size = LARGE // 100_000 * 100_000
    async with serving(sends(size + SMALL, send)) as site, slow_peer(site) as peer:
        await peer.send(request())
        await within(done.wait())
        await peer.read_head()
        assert await within(peer.reader.readexactly(size)) == b"b" * size
        assert await peer.read_eof() == b""
    assert limits[0] == limits[1] > 0


class SlowDisk:
    """A sendfile that waits in its thread: ``begun``, ``may_end``."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.sockets: list[int] = []
        self._sendfile = os.sendfile
        patch.setattr(outlet, "is_cached", lambda fd, offset: False)
        patch.setattr(os, "sendfile", self.sendfile)

    def sendfile(self, out: int, fd: int, offset: int, count: int) -> int:
        self.sockets.append(out)
        os.fstat(out)
        self.begun.set()
        if not self.may_end.wait(DEADLINE):
            raise TimeoutError("nobody let sendfile end")
        os.fstat(out)
        return self._sendfile(out, fd, offset, count)


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    disk = SlowDisk(monkeypatch)
    yield disk
    disk.may_end.set()


async def begun(peer: Peer, disk: SlowDisk) -> None:
    await peer.send(request())
    await peer.read_head()
    await until(disk.begun.is_set, "sendfile to begin")


async def test_cancelled_while_a_thread_sends(file: BinaryIO, slow_disk: SlowDisk) -> None:
    """The thread must not send to a number that has become another connection."""
    sending = Sending(file)
    async with serving(sends(LARGE, sending.send)) as site, slow_peer(site) as peer:
        await begun(peer, slow_disk)
        assert sending.task is not None
        sending.task.cancel()
        await turns()
        assert not sending.task.done()
        os.fstat(slow_disk.sockets[0])
        slow_disk.may_end.set()
        assert isinstance(await sending.ended(), asyncio.CancelledError)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(slow_disk.sockets[0])
        assert len(slow_disk.sockets) == 1
        assert await cut_off(peer) < LARGE


async def test_the_loop_goes_on_while_a_thread_sends(file: BinaryIO, slow_disk: SlowDisk) -> None:
    sending = Sending(file)
    async with serving(sends(LARGE, sending.send)) as site, Peer.connect(site.port) as peer:
        await begun(peer, slow_disk)
        async with Peer.connect(site.port) as other:
            assert (await other.ask(request("GET", "/other"))).body == b"/other"
        slow_disk.may_end.set()
        assert await within(peer.reader.readexactly(LARGE)) == DATA


async def test_aborted_while_a_thread_sends(
    file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread finds the socket full, and the transport is gone: nobody would tell when that changes."""
    full, may_end = threading.Event(), threading.Event()
    sendfile = os.sendfile

    def send(out: int, fd: int, offset: int, count: int) -> int:
        try:
            return sendfile(out, fd, offset, count)
        except BlockingIOError:
            full.set()
            may_end.wait(DEADLINE)
            raise

    monkeypatch.setattr(outlet, "is_cached", lambda fd, offset: False)
    monkeypatch.setattr(os, "sendfile", send)
    sending = Sending(file)
    async with serving(sends(LARGE, sending.send)) as site, slow_peer(site) as peer:
        await peer.send(request())
        await until(full.is_set, "the socket to be full")
        assert sending.request is not None
        assert sending.request.transport is not None
        sending.request.transport.abort()
        await turns()
        may_end.set()
        assert isinstance(await sending.ended(), ConnectionResetError)


@pytest.mark.parametrize("leave", ["reset", "abort", "close"])
async def test_a_client_that_leaves(cached: bool, file: BinaryIO, leave: str) -> None:
    async with stuck(file) as (site, peer, sending):
        if leave == "reset":
            peer.reset()
        elif leave == "abort":
            peer.writer.transport.abort()
        else:
            peer.writer.close()
        assert isinstance(await sending.ended(), ConnectionResetError)
        await site.idle()


@pytest.mark.parametrize("size", [40_000, 200_000, LARGE])
@pytest.mark.parametrize("leave", ["reset", "abort", "close by the server"])
async def test_a_client_that_leaves_before_what_was_written_has_left(
    file: BinaryIO, caplog: pytest.LogCaptureFixture, leave: str, size: int
) -> None:
    """While the transport still holds bytes, nothing of the file has been sent; then there is no transport."""
    caplog.set_level(logging.INFO)
    errors: list[BaseException] = []
    waiting = asyncio.Event()

    async def fill(transport: Any, writer: ResponseWriter) -> None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        held = -1
        while held != transport.get_write_buffer_size() - 10_000:  # until the client takes no more
            held = transport.get_write_buffer_size()
            writer.put(b"b" * 10_000)
            await turns()
        writer.put(b"b" * size)

    async def send(request: web.BaseRequest, writer: ResponseWriter) -> None:
        transport: Any = request.transport
        try:
            await fill(transport, writer)
            task = asyncio.create_task(writer.send_file(file.fileno(), 0, LARGE))
            await turns()
            assert not task.done()
            assert transport.get_write_buffer_size()
            waiting.set()
            if leave == "close by the server":
                transport.close()
            await task
        except BaseException as exc:
            errors.append(exc)
            raise
        finally:
            waiting.set()

    async with serving(sends(3 * LARGE, send)) as site, slow_peer(site) as peer:
        await peer.send(request())
        await within(waiting.wait())
        if leave == "reset":
            peer.reset()
        elif leave == "abort":
            peer.writer.transport.abort()
        else:
            await peer.read_head()
            assert not (await peer.read_eof()).strip(b"b"), "part of the file was sent"
        await until(lambda: errors, "the error")
        await site.idle()
    assert isinstance(errors[0], ConnectionResetError)
    assert copies() == 0
    noise = [r for r in caplog.records if r.levelno >= logging.INFO and r.name != "asyncio"]
    assert noise == []


async def test_a_client_that_has_left(cached: bool, file: BinaryIO) -> None:
    errors: list[type[BaseException]] = []

    async def send(request: web.BaseRequest, writer: ResponseWriter) -> None:
        peer.reset()
        await until(lambda: request.transport is None, "the end of the connection")
        try:
            await writer.send_file(file.fileno(), 0, LARGE)
        except BaseException as exc:
            errors.append(type(exc))
            raise

    async with serving(sends(LARGE, send)) as site, Peer.connect(site.port) as peer:
        await peer.send(request())
        await until(lambda: errors, "the error")
    assert issubclass(errors[0], ConnectionResetError)


async def test_a_client_that_reads_nothing(cached: bool, file: BinaryIO) -> None:
    """It is cut off, and learns of it: a copy of the socket would keep the connection open."""
    async with stuck(file, write_timeout=0.3) as (site, peer, sending):
        assert isinstance(await sending.ended(), ConnectionResetError)
        await site.idle()
        assert await cut_off(peer) < LARGE - 1000


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_connection_that_the_handler_closes(cached: bool, file: BinaryIO, how: str) -> None:
    """The file is given up, and the copy of its socket does not keep the connection open."""
    async with stuck(file) as (site, peer, sending):
        assert sending.request is not None
        getattr(sending.request.transport, how)()
        assert isinstance(await sending.ended(), ConnectionResetError)
        assert await cut_off(peer) < LARGE - 1000
        await site.idle()


async def test_shutdown(cached: bool, file: BinaryIO) -> None:
    async with stuck(file) as (site, peer, sending):
        await within(site.server.shutdown(0.1))
        await sending.ended()
        assert await cut_off(peer) < LARGE - 1000


def failing(number: int, after: int) -> Callable[..., int]:
    """A sendfile with an error after so many calls."""
    calls = 0
    sendfile = os.sendfile

    def send(out: int, fd: int, offset: int, count: int) -> int:
        nonlocal calls
        calls += 1
        if calls > after:
            raise OSError(number, os.strerror(number))
        return sendfile(out, fd, offset, min(count, 1000))

    return send


async def test_a_disk_that_fails(
    cached: bool, file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sendfile", failing(errno.EIO, 2))
    sending = Sending(file)
    async with serving(sends(LARGE, sending.send)) as site, Peer.connect(site.port) as peer:
        await peer.send(request())
        await peer.read_head()
        assert await cut_off(peer) == 2000
        error = await sending.ended()
        assert isinstance(error, OSError)
        assert error.errno == errno.EIO


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT])
async def test_a_network_that_fails(
    cached: bool, file: BinaryIO, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Who sends is told that the client is gone, since that is no fault of the file."""
    monkeypatch.setattr(os, "sendfile", failing(number, 2))
    sending = Sending(file)
    async with serving(sends(LARGE, sending.send)) as site, Peer.connect(site.port) as peer:
        await peer.send(request())
        await peer.read_head()
        await cut_off(peer)
        assert isinstance(await sending.ended(), ConnectionResetError)


@pytest.mark.parametrize("more", [True, False])
async def test_nothing_follows_a_part_that_was_cut_off(
    cached: bool, file: BinaryIO, more: bool
) -> None:
    """How much of it the client has is unknown: what came next would be taken for its rest."""
    caught = asyncio.Event()

    async def send(request: web.BaseRequest, writer: ResponseWriter) -> None:
        task = asyncio.create_task(writer.send_file(file.fileno(), 0, LARGE))
        await turns()
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(task)
        caught.set()
        if more:
            await writer.write(b"\0" * LARGE)

    async with serving(sends(LARGE, send)) as site, slow_peer(site) as peer:
        await peer.send(request())
        await within(caught.wait())
        await peer.read_head()
        assert await cut_off(peer) < LARGE


# --- What is in memory --------------------------------------------------------------------


def test_what_cannot_be_asked_for_is_not_in_memory() -> None:
    source, target = os.pipe()
    os.close(target)
    try:
        assert not is_cached(source, 0)
    finally:
        os.close(source)
    assert not is_cached(-1, 0)


def test_a_system_that_does_not_tell(file: BinaryIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "RWF_NOWAIT", raising=False)
    assert not is_cached(file.fileno(), 0)


def test_what_was_just_written_is_in_memory(file: BinaryIO) -> None:
    try:
        os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
    except (AttributeError, OSError):
        pytest.skip("the system, or this file system, does not tell")
    assert is_cached(file.fileno(), 0)
    assert is_cached(file.fileno(), LARGE - 1)
