"""Files over real sockets: what a client gets, and what happens while it does."""

from __future__ import annotations

import asyncio
import errno
import gzip
import hashlib
import logging
import mimetypes
import os
import resource
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import lowlevel as web
from lowlevel import file_response
from tests.conftest import LOOP_NAME, TLS
from tests.filesite import (
    AT,
    BEFORE,
    MTIME,
    Handler,
    check_not_modified,
    check_part,
    check_refused,
    check_whole,
    etag,
    fetch,
    noise,
    serves,
    write,
)
from tests.support import DEADLINE, Answer, Peer, Serving, request, serving, turns, until, within

CHUNK = 4096
"""A small ``chunk_size``."""

LARGE = 10 * 2**20
"""Bytes of a file that buffers of sockets cannot hold: they grow to 4 MiB, those of slow_peer() do not."""

GET = request()
HEAD = request("HEAD")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "file.txt")


@pytest.fixture(scope="session")
def large_data() -> bytes:
    return noise(LARGE // 16) * 16


@pytest.fixture
def large(tmp_path: Path, large_data: bytes) -> Iterator[Path]:
    path = write(tmp_path / "large.bin", large_data)
    yield path
    path.unlink(missing_ok=True)  # pytest keeps the folders of several runs


async def hello(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="hello")


def open_files() -> int:
    """How many files this process has open, where the system tells; pipes and sockets are not counted."""
    if not os.path.isdir("/proc/self/fd"):
        return 0
    count = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        count += target.startswith("/") and not target.startswith(("/dev/", "/proc/"))
    return count


@asynccontextmanager
async def no_file_left_open() -> AsyncIterator[None]:
    """What is opened inside must be closed soon after: files may be closed in a thread."""
    before = open_files()
    yield
    await until(lambda: open_files() == before, "files to be closed")


def quiet(caplog: pytest.LogCaptureFixture) -> bool:
    """Whether nothing was logged that a person would be shown."""
    return [r for r in caplog.records if r.levelno >= logging.INFO and r.name != "asyncio"] == []


class Recorder:
    """A handler that sends a file, and remembers its response and how the sending ended."""

    def __init__(self, path: Any, **options: Any) -> None:
        self.path = path
        self.options = options
        self.responses: list[web.FileResponse] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.errors: list[BaseException | None] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.FileResponse(self.path, **self.options)
        self.responses.append(response)
        self.tasks.append(request.task)
        try:
            await response.prepare(request)
            await response.write_eof()
        except BaseException as exc:
            self.errors.append(exc)
            raise
        self.errors.append(None)
        return response


@asynccontextmanager
async def slow_peer(port: int, **options: Any) -> AsyncIterator[Peer]:
    """A client that takes no more than it is asked to: the buffers on its side are small."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=16384, **options)
    try:
        yield Peer(reader, writer)
    finally:
        writer.transport.abort()


async def read_all(peer: Peer, size: int) -> bytes:
    """Read up to ``size`` bytes, fewer if the server ends the connection before."""
    data = bytearray()
    async with asyncio.timeout(DEADLINE):
        while len(data) < size:
            try:
                piece = await peer.reader.read(min(2**18, size - len(data)))
            except ConnectionError:
                break
            if not piece:
                break
            data += piece
    return bytes(data)


@asynccontextmanager
async def got(handler: Handler) -> AsyncIterator[aiohttp.ClientResponse]:
    """What aiohttp's client makes of the answer of a handler."""
    async with (
        serving(handler) as site,
        aiohttp.ClientSession() as session,
        session.get(site.url()) as response,
    ):
        yield response


def tls_options(tls: TLS) -> dict[str, Any]:
    return {"ssl": tls.client, "server_hostname": "localhost"}


@asynccontextmanager
async def serving_tls(handler: Handler, tls: TLS, **options: Any) -> AsyncIterator[Serving]:
    """Like serving(), over TLS."""
    server = web.Server(handler, access_log=None, **options)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, "127.0.0.1", 0, ssl=tls.server)
    try:
        yield Serving(server, listener.sockets[0].getsockname()[1])
    finally:
        listener.close()
        await server.shutdown(0.5)


# --- Construction -------------------------------------------------------------------------


def test_a_fresh_response() -> None:
    response = web.FileResponse("name.txt")
    assert isinstance(response, web.StreamResponse)
    assert (response.status, response.reason, response.prepared) == (200, "OK", False)


def test_arguments(path: Path) -> None:
    """The first ones may be given by position, as aiohttp's may."""
    response = web.FileResponse(path, 1024, 202, "Fine", {"X": "y"}, filename="a")
    assert (response.status, response.reason, response.headers["x"]) == (202, "Fine", "y")
    response = web.FileResponse(
        path=str(path), chunk_size=1, status=203, reason="R", headers=[("A", "1"), ("A", "2")]
    )
    assert (response.status, response.headers.getall("a")) == (203, ["1", "2"])


def test_nothing_is_opened_before_it_is_sent(tmp_path: Path) -> None:
    web.FileResponse(tmp_path / "missing")
    web.FileResponse(tmp_path)
    web.FileResponse("\0")


@pytest.mark.parametrize("value", [0, -1, 1.5, "1", None, True])
def test_chunk_size_is_a_count(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="chunk_size"):
        web.FileResponse("name", chunk_size=value)


@pytest.mark.parametrize("value", [None, 0, 3, object(), ["a"]])
def test_a_path_is_a_path(value: Any) -> None:
    """Above all no number, which would be a file descriptor of somebody else."""
    with pytest.raises(TypeError):
        web.FileResponse(value)


@pytest.mark.parametrize("value", [1, b"name", Path("name")])
def test_filename_is_text(value: Any) -> None:
    with pytest.raises(TypeError, match="filename"):
        web.FileResponse("name", filename=value)


def test_reason_and_status_are_checked() -> None:
    with pytest.raises(ValueError, match="Reason"):
        web.FileResponse("name", reason="a\r\nb: c")
    with pytest.raises(ValueError, match="status"):
        web.FileResponse("name", status=20)
    with pytest.raises(TypeError):
        web.FileResponse("name", nonsense=1)  # type: ignore[call-arg]


# --- The whole file -----------------------------------------------------------------------


async def test_the_answer(path: Path) -> None:
    answer = await fetch(path)
    check_whole(answer, path)
    answer.headers.pop("date")
    answer.headers.pop("server")
    assert answer.headers == {
        "content-type": ["text/plain"],
        "content-length": ["10"],
        "etag": [f'"{MTIME * 10**9:x}-a"'],
        "last-modified": [AT],
        "accept-ranges": ["bytes"],
    }


async def test_head_has_the_fields_of_get(path: Path) -> None:
    whole, head = await fetch(path), await fetch(path, method="HEAD")
    check_whole(head, path, "HEAD")
    for answer in (whole, head):
        answer.headers.pop("date")
    assert head.headers == whole.headers


SIZES = [0, 1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 65535, 65536, 65537, 300_001, 2**20]


async def check_sizes(folder: Path, port: int, **options: Any) -> None:
    """Files of all sizes, whole and their tails, one behind the other on one connection."""
    async with Peer.connect(port, **options) as peer:
        for size in SIZES:
            path = folder / str(size)
            whole = request("GET", f"/{size}")
            check_whole(await peer.ask(whole), path)
            check_whole(await peer.ask(request("HEAD", f"/{size}")), path, "HEAD")
            if size > 1:
                part = request("GET", f"/{size}", f"Range: bytes={size // 3}-")
                check_part(await peer.ask(part), path, size // 3, size)


@pytest.fixture
def sizes(tmp_path: Path) -> Path:
    for size in SIZES:
        write(tmp_path / str(size), noise(size))
    return tmp_path


def serves_folder(folder: Path, **options: Any) -> Handler:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.FileResponse(folder / request.path[1:], **options)

    return handler


@pytest.mark.parametrize("chunk_size", [CHUNK, 262144])
async def test_sizes(sizes: Path, chunk_size: int) -> None:
    async with serving(serves_folder(sizes, chunk_size=chunk_size)) as site:
        await check_sizes(sizes, site.port)


@pytest.mark.parametrize("chunk_size", [CHUNK, 262144])
async def test_sizes_over_tls(sizes: Path, chunk_size: int, tls: TLS) -> None:
    async with serving_tls(serves_folder(sizes, chunk_size=chunk_size), tls) as site:
        await check_sizes(sizes, site.port, **tls_options(tls))


async def test_over_a_unix_socket(sizes: Path) -> None:
    server = web.Server(serves_folder(sizes), access_log=None)
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as folder:
        listener = await loop.create_unix_server(server, f"{folder}/s")
        reader, writer = await asyncio.open_unix_connection(f"{folder}/s")
        peer = Peer(reader, writer)
        for size in SIZES:
            check_whole(await peer.ask(request("GET", f"/{size}")), sizes / str(size))
        writer.close()
        listener.close()
        await server.shutdown(0.5)


async def test_where_the_loop_has_no_sendfile(sizes: Path) -> None:
    """A loop may say so only when it is asked."""
    if LOOP_NAME != "asyncio":
        pytest.skip("attributes of this loop cannot be replaced")

    async def sendfile(*args: Any, **options: Any) -> int:
        raise NotImplementedError

    asyncio.get_running_loop().sendfile = sendfile  # type: ignore[method-assign]
    async with serving(serves_folder(sizes)) as site:
        await check_sizes(sizes, site.port)


async def test_where_sockets_cannot_be_copied(
    large: Path, large_data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many files may be open for one more: then it is read, piece by piece."""

    def full(fd: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "dup", full)
    answer = await fetch(large)
    assert answer.status == 200
    assert answer.body == large_data


async def test_for_http_1_0(sizes: Path) -> None:
    async with serving(serves_folder(sizes)) as site:
        async with Peer.connect(site.port) as peer:
            for size in SIZES:
                ask = request("GET", f"/{size}", "Connection: keep-alive", version="1.0")
                answer = await peer.ask(ask)
                check_whole(answer, sizes / str(size))
                assert answer.header("connection") == "keep-alive"
        for size in SIZES:
            async with Peer.connect(site.port) as peer:
                check_whole(
                    await peer.ask(request("GET", f"/{size}", version="1.0")), sizes / str(size)
                )
                assert await peer.read_eof() == b""


async def test_a_large_file_to_a_slow_client(large: Path, large_data: bytes, tls: TLS) -> None:
    async def check(peer: Peer) -> None:
        await peer.send(GET)
        assert b"Content-Length: %d\r\n" % LARGE in await peer.read_head()
        data = b""
        for _ in range(20):
            data += await within(peer.reader.readexactly(1000))
            await turns(2)
        assert hashlib.sha1(data + await read_all(peer, LARGE - 20_000)).digest() == digest
        assert (await peer.ask(HEAD)).status == 200

    digest = hashlib.sha1(large_data).digest()
    async with no_file_left_open():
        async with serving(serves(large)) as site, slow_peer(site.port) as peer:
            await check(peer)
        async with (
            serving_tls(serves(large), tls) as site,
            slow_peer(site.port, **tls_options(tls)) as peer,
        ):
            await check(peer)


async def test_the_loop_watches_no_more_than_before(large: Path, large_data: bytes) -> None:
    """What was watched to go on sending, and is not any more, would keep a loop busy, or wake somebody else."""
    if LOOP_NAME != "asyncio":
        pytest.skip("this loop does not tell what it watches")
    watched = asyncio.get_running_loop()._selector.get_map()  # type: ignore[attr-defined]
    async with serving(serves(large)) as site, slow_peer(site.port) as peer:
        await peer.ask(HEAD)
        before = set(watched)
        await peer.send(GET)
        await peer.read_head()
        await until(lambda: set(watched) - before, "the socket to be full")
        assert await read_all(peer, LARGE) == large_data
        assert set(watched) == before


async def test_a_pipeline_of_files_and_others(sizes: Path) -> None:
    """Everything in the order it was asked for, whole."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/hello":
            return web.Response(text="hello")
        if request.path == "/stream":
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"streamed")
            return response
        return web.FileResponse(sizes / request.path[1:])

    targets = ["/1", "/hello", "/300001", "/stream", "/0", "/hello", "/65536", "/1048576", "/1"]
    methods = ["GET", "HEAD", "GET"]
    asked = [(method, target) for method in methods for target in targets]
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(b"".join(request(*ask) for ask in asked))
        for method, target in asked:
            answer = await peer.answer(method)
            if target == "/hello":
                assert answer.body == (b"" if method == "HEAD" else b"hello")
            elif target == "/stream":
                assert answer.body == (b"" if method == "HEAD" else b"streamed")
            else:
                check_whole(answer, sizes / target[1:], method)


async def test_the_last_answer_of_a_connection(large: Path, large_data: bytes) -> None:
    """What closes the connection waits until the file has been sent."""
    async with serving(serves(large)) as site, slow_peer(site.port) as peer:
        await peer.send(request("GET", "/", "Connection: close"))
        assert b"\r\nConnection: close\r\n" in await peer.read_head()
        assert await read_all(peer, LARGE + 1) == large_data
        await site.idle()


async def test_several_clients_at_once(large: Path, large_data: bytes, sizes: Path) -> None:
    async def download(session: aiohttp.ClientSession, target: str) -> None:
        async with session.get(site.url(target)) as response:
            assert response.status == 200
            assert await response.read() == (sizes / target[1:]).read_bytes()

    targets = ["/large.bin"] * 3 + ["/1048576"] * 10 + ["/1"] * 10
    async with (
        no_file_left_open(),
        serving(serves_folder(sizes)) as site,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        asyncio.timeout(DEADLINE),
        asyncio.TaskGroup() as group,
    ):
        for target in targets:
            group.create_task(download(session, target))


async def test_others_are_answered_meanwhile(large: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return await hello(request) if request.path == "/hello" else web.FileResponse(large)

    async with serving(handler) as site, slow_peer(site.port) as peer:
        await peer.send(GET)
        await peer.read_head()
        for _ in range(3):
            async with Peer.connect(site.port) as other:
                assert (await other.ask(request("GET", "/hello"))).body == b"hello"


async def test_other_methods_get_the_file(path: Path) -> None:
    """Which methods a resource has is for the handler to say."""
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        check_whole(await fetch(path, method=method), path)


async def test_in_answer_to_a_body(path: Path) -> None:
    """It is not read by the handler, and not in the way of what comes next."""
    async with serving(serves(path)) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            check_whole(await peer.ask(request("POST", "/", body=noise(300_000))), path)


async def test_a_link_to_a_file(path: Path) -> None:
    """FileResponse sends what its path leads to; which paths to take is for the handler."""
    link = path.with_name("link.html")
    link.symlink_to(path)
    answer = await fetch(link)
    check_whole(answer, path)
    assert answer.header("content-type") == "text/html"


async def test_a_relative_path(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    check_whole(await fetch("file.txt"), path)
    check_whole(await fetch(Path("../") / path.parent.name / "file.txt"), path)


@pytest.mark.parametrize("name", ["ünï cödé.txt", "a b%20c.txt", "-", "~", "a\nb", "\udcff.txt"])
async def test_names_of_all_kinds(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    check_whole(await fetch(path), path)
    check_whole(await fetch(str(path)), path)


# --- Fields -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.txt", "text/plain"),
        ("a.html", "text/html"),
        ("a.css", "text/css"),
        ("a.json", "application/json"),
        ("a.png", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("a.svg", "image/svg+xml"),
        ("a.pdf", "application/pdf"),
        ("a.mp4", "video/mp4"),
        ("a.zip", "application/zip"),
        ("a.wasm", "application/wasm"),
        ("A.PNG", "image/png"),
        ("a.b.png", "image/png"),
        # What is compressed is sent as it is: the client asked for the compressed file.
        ("a.gz", "application/gzip"),
        ("a.tar.gz", "application/gzip"),
        ("a.txt.gz", "application/gzip"),
        ("a.txt.br", "application/x-brotli"),
        ("a.txt.bz2", "application/x-bzip2"),
        ("a.txt.xz", "application/x-xz"),
        ("a.nonsense", "application/octet-stream"),
        ("a", "application/octet-stream"),
        (".png", "application/octet-stream"),
        ("a.", "application/octet-stream"),
    ],
)
async def test_content_type_is_guessed(tmp_path: Path, name: str, content_type: str) -> None:
    path = write(tmp_path / name)
    answer = await fetch(path)
    assert answer.headers["content-type"] == [content_type]
    assert answer.header("content-encoding") is None
    check_whole(answer, path)


async def test_types_that_a_program_adds(tmp_path: Path) -> None:
    """mimetypes is where Python programs say what they know of types."""
    path = write(tmp_path / "a.lowlevel-test")
    mimetypes.add_type("application/x-lowlevel-test", ".lowlevel-test")
    try:
        assert (await fetch(path)).headers["content-type"] == ["application/x-lowlevel-test"]
    finally:
        del mimetypes.types_map[".lowlevel-test"]


async def test_a_given_content_type_stays(path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.FileResponse(path)
        response.content_type = "application/x-mine"
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).headers["content-type"] == ["application/x-mine"]
    for fields in ("", "Range: bytes=1-2"):
        headers = {"content-TYPE": "text/x-mine; charset=koi8-r"}
        answer = await fetch(path, *filter(None, [fields]), headers=headers)
        assert answer.headers["content-type"] == ["text/x-mine; charset=koi8-r"]


async def test_given_headers_status_reason_and_cookies(path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        headers = {"X-Mine": "yes", "Cache-Control": "no-store"}
        response = web.FileResponse(path, status=203, reason="Really", headers=headers)
        response.set_cookie("a", "b", path="/x")
        response.headers["X-More"] = "too"
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(GET)
    assert answer.head.startswith(b"HTTP/1.1 203 Really\r\n")
    assert answer.headers["x-mine"] == ["yes"]
    assert answer.headers["x-more"] == ["too"]
    assert answer.headers["cache-control"] == ["no-store"]
    assert answer.headers["set-cookie"] == ["a=b; Path=/x"]
    assert answer.body == path.read_bytes()


async def test_given_headers_are_not_changed(path: Path) -> None:
    """A program may use one mapping for all its responses."""
    headers = {"X": "y"}
    for fields in ([], ["Range: bytes=0-1"], ["Range: bytes=50-"], ["If-None-Match: *"]):
        await fetch(path, *fields, headers=headers)
    assert headers == {"X": "y"}


async def test_a_given_length_does_not_lie(path: Path) -> None:
    for length in ("5", "50"):
        check_whole(await fetch(path, headers={"Content-Length": length}), path)


async def test_the_size_of_what_was_sent(path: Path, large: Path) -> None:
    """``body_length``, which access logs show: head and body."""
    for file in (path, large):
        recorder = Recorder(file)
        async with serving(recorder) as site, Peer.connect(site.port) as peer:
            answer = await peer.ask(GET)
            await peer.ask(HEAD)
        whole, empty = recorder.responses
        assert whole.body_length == len(answer.head) + file.stat().st_size
        assert 0 < empty.body_length <= len(answer.head)


async def test_chunked_encoding_may_be_asked_for(sizes: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.FileResponse(sizes / request.path[1:], chunk_size=CHUNK)
        response.enable_chunked_encoding()
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for size in SIZES:
            answer = await peer.ask(request("GET", f"/{size}"))
            assert answer.status == 200
            assert answer.body == (sizes / str(size)).read_bytes()


# --- Content-Disposition ------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "movie.mp4",
        "two words.mp4",
        'quo"ted.mp4',
        "back\\slash.mp4",
        "semi;colon, comma.mp4",
        "50%25.mp4",
        "résumé.mp4",
        "фильм.mp4",
        "\N{CLAPPER BOARD}.mp4",
        "filename*=UTF-8''x.mp4",
        "",
    ],
)
async def test_filename(path: Path, name: str) -> None:
    """A browser saves the file under that name."""
    async with got(serves(path, filename=name)) as response:
        assert response.content_disposition is not None
        assert response.content_disposition.type == "attachment"
        if name:
            assert response.content_disposition.filename == name
        assert response.content_type == ("video/mp4" if name else "text/plain")
        field = response.headers["Content-Disposition"]
        assert field.isascii()
        assert await response.read() == path.read_bytes()


async def test_filename_as_it_stands(path: Path) -> None:
    answer = await fetch(path, filename="movie.mp4")
    assert answer.headers["content-disposition"] == ['attachment; filename="movie.mp4"']
    answer = await fetch(path, filename="é.mp4")
    (field,) = answer.headers["content-disposition"]
    assert field.endswith("; filename*=UTF-8''%C3%A9.mp4")
    assert (await fetch(path)).header("content-disposition") is None


async def test_type_by_filename(tmp_path: Path) -> None:
    """By the name that is given, else by the path, else unknown; a given type stays."""
    path = write(tmp_path / "stored.png")
    for name, content_type in [
        ("a.html", "text/html"),
        ("a.tar.gz", "application/gzip"),
        ("a", "image/png"),
        ("a.nonsense", "image/png"),
    ]:
        assert (await fetch(path, filename=name)).header("content-type") == content_type
    answer = await fetch(write(tmp_path / "stored"), filename="a")
    assert answer.header("content-type") == "application/octet-stream"
    answer = await fetch(path, filename="a.html", headers={"Content-Type": "text/x-mine"})
    assert answer.header("content-type") == "text/x-mine"


async def test_a_given_disposition_stays(path: Path) -> None:
    headers = {"Content-Disposition": "inline"}
    answer = await fetch(path, filename="a.html", headers=headers)
    assert answer.headers["content-disposition"] == ["inline"]


async def test_filename_of_parts_and_of_errors(path: Path) -> None:
    answer = await fetch(path, "Range: bytes=0-1", filename="a.txt")
    check_part(answer, path, 0, 2)
    assert answer.headers["content-disposition"] == ['attachment; filename="a.txt"']
    for answer in (
        await fetch(path.with_name("missing"), filename="a.txt"),
        await fetch(path, "Range: bytes=50-", filename="a.txt"),
    ):
        # Or the browser would save the error under the name of the file.
        assert answer.status in (404, 416)
        assert answer.header("content-disposition") is None
        assert answer.header("content-type") == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "name",
    [
        "a\r\nEvil: yes",
        "a\nEvil: yes",
        "a\rEvil: yes",
        "a\0Evil: yes",
        'a"\r\n\r\n<script>',
        "a\u010d\u010aEvil: yes",  # CR and LF once cut down to eight bits
        "a\u2028Evil: yes",
        "\ud800\r\nEvil: yes",
    ],
)
async def test_no_header_is_injected_by_a_filename(path: Path, name: str) -> None:
    answer = await fetch(path, filename=name)
    check_whole(answer, path)
    assert "evil" not in answer.headers
    (field,) = answer.headers["content-disposition"]
    assert field.isascii() and field.isprintable()


@pytest.mark.parametrize("name", ['a.html".txt', 'x"; filename="evil.sh', 'a"; dummy=".txt'])
async def test_cve_2022_36359_parameters_in_a_filename(path: Path, name: str) -> None:
    """CVE-2022-36359 (Django): quotes in a name let its sender choose the name of the download."""
    async with got(serves(path, filename=name)) as response:
        assert response.content_disposition is not None
        assert response.content_disposition.filename == name
        assert set(response.content_disposition.parameters) <= {"filename", "filename*"}
        # Receivers that know only the old form get one name as well.
        old = response.headers["Content-Disposition"].split("; filename*=")[0]
        assert old.count('"') == 2


# --- What cannot be sent ------------------------------------------------------------------


async def check_answer(target: Any, expected: int, **options: Any) -> None:
    """GET and HEAD are refused alike, and the connection goes on."""
    recorder = Recorder(target, **options)
    async with no_file_left_open(), serving(recorder) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(GET)
        check_refused(answer, expected)
        head = await peer.ask(HEAD)
        check_refused(head, expected, "HEAD")
        assert head.header("content-length") == str(len(answer.body))
    assert [response.status for response in recorder.responses] == [expected, expected]
    assert recorder.errors == [None, None]


async def test_missing(path: Path) -> None:
    await check_answer(path.with_name("missing"), 404)
    await check_answer(path / "below a file", 404)
    await check_answer(path.parent / "missing" / ".." / "file.txt", 404)
    answer = await fetch("missing")
    assert answer.body == b"404: Not Found"


@pytest.mark.parametrize(
    "name",
    [
        "a\0b",
        "\0",
        "n" * 256,
        "n" * 100_000,
        "n/" * 3000 + "n",
        "\ud800",  # cannot be encoded
    ],
)
async def test_paths_that_cannot_be(tmp_path: Path, name: str) -> None:
    await check_answer(f"{tmp_path}/{name}", 404)
    await check_answer(tmp_path / name, 404)


async def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to(tmp_path / "missing")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for name in ("broken", "self", "a", "b/below"):
        await check_answer(tmp_path / name, 404)


async def test_a_directory(tmp_path: Path) -> None:
    await check_answer(tmp_path, 403)
    await check_answer(f"{tmp_path}/", 403)
    (tmp_path / "link").symlink_to(tmp_path)
    await check_answer(tmp_path / "link", 403)


async def test_a_fifo(tmp_path: Path) -> None:
    """To open one that nobody writes to would wait for ever, in a thread that others need."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "link").symlink_to(fifo)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return await hello(request) if request.path == "/hello" else web.FileResponse(fifo)

    async with serving(handler) as site, aiohttp.ClientSession() as session:

        async def ask(target: str) -> int:
            async with session.get(site.url(target)) as response:
                return response.status

        # More of them than the executor has threads.
        async with asyncio.timeout(DEADLINE):
            statuses = await asyncio.gather(*[ask("/") for _ in range(50)])
            assert statuses == [403] * 50
            assert await ask("/hello") == 200
    await check_answer(fifo, 403)
    await check_answer(tmp_path / "link", 403)


async def test_a_fifo_with_a_writer(tmp_path: Path) -> None:
    """It is left alone: not a byte of it is taken."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(fifo, os.O_WRONLY)
    try:
        os.write(writing, b"secret")
        await check_answer(fifo, 403)
        assert os.read(reading, 100) == b"secret"
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("name", ["/dev/null", "/dev/zero", "/dev/tty"])
async def test_a_device(name: str) -> None:
    await check_answer(name, 403)


async def test_a_socket() -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"{folder}/s")
        await check_answer(f"{folder}/s", 403)


@contextmanager
def unprivileged() -> Iterator[Path]:
    """Be somebody for whom permissions count, with a folder that is open to all."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)


@contextmanager
def as_owner() -> Iterator[None]:
    """Inside unprivileged(): for a moment the one who made the folder."""
    user = os.geteuid()
    if os.getuid() == 0:
        os.seteuid(0)
    try:
        yield
    finally:
        os.seteuid(user)


async def test_no_permission() -> None:
    with unprivileged() as folder:
        with as_owner():
            readable = write(folder / "readable.txt")
            unreadable = write(folder / "unreadable.txt")
            unreadable.chmod(0o000)
            closed = folder / "closed"
            closed.mkdir()
            write(closed / "file.txt")
            closed.chmod(0o000)
        check_whole(await fetch(readable), readable)
        await check_answer(unreadable, 403)
        await check_answer(closed / "file.txt", 403)
        await check_answer(closed / "missing.txt", 403)
        with as_owner():
            closed.chmod(0o755)


async def test_too_many_open_files_are_no_reason_to_say_404(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file is there: a 404 would be believed, and cached."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        response = web.FileResponse(path)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
            await response.prepare(request)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).status in (500, 503)
    assert caplog.records


@pytest.mark.parametrize("status", [201, 404])
async def test_a_given_status_does_not_hide_that_the_file_is_missing(
    tmp_path: Path, status: int
) -> None:
    await check_answer(tmp_path / "missing", 404, status=status)


async def test_a_given_reason_is_that_of_the_given_status(path: Path) -> None:
    for target, fields, line in [
        (path, [], b"HTTP/1.1 200 Fine\r\n"),
        (path.with_name("missing"), [], b"HTTP/1.1 404 Not Found\r\n"),
        (path.parent, [], b"HTTP/1.1 403 Forbidden\r\n"),
        (path, ["Range: bytes=0-1"], b"HTTP/1.1 206 Partial Content\r\n"),
        (path, ["If-None-Match: *"], b"HTTP/1.1 304 Not Modified\r\n"),
    ]:
        answer = await fetch(target, *fields, reason="Fine")
        assert answer.head.startswith(line)


async def test_a_given_type_is_not_that_of_an_error(path: Path) -> None:
    headers = {"Content-Type": "image/png", "Content-Length": "10", "ETag": '"mine"'}
    check_refused(await fetch(path.with_name("missing"), headers=headers), 404)


async def test_status_after_prepare(path: Path) -> None:
    """A handler may look at what became of it."""
    recorder = Recorder(path)
    async with serving(recorder) as site, Peer.connect(site.port) as peer:
        for fields in (
            [],
            ["Range: bytes=0-1"],
            ["If-None-Match: *"],
            ["If-Match: W/"],
            ["Range: bytes=50-"],
        ):
            answer = await peer.ask(request("GET", "/", *fields))
            assert recorder.responses[-1].status == answer.status
    statuses = [response.status for response in recorder.responses]
    assert statuses == [200, 206, 304, 412, 416]
    assert [response.reason for response in recorder.responses][:3] == [
        "OK",
        "Partial Content",
        "Not Modified",
    ]


async def test_a_handler_may_answer_in_another_way(tmp_path: Path) -> None:
    """A page of its own in place of a 404: ask before, as the answer goes out with prepare()."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        target = tmp_path / request.path[1:]
        if not await asyncio.to_thread(target.is_file):
            return web.FileResponse(tmp_path / "404.html", status=404)
        return web.FileResponse(target)

    page = write(tmp_path / "404.html", b"<p>Nothing here")
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("GET", "/missing", "If-None-Match: *", "Range: bytes=0-1"))
    assert (answer.status, answer.body) == (404, page.read_bytes())
    assert answer.header("content-type") == "text/html"


# --- Compressed siblings ------------------------------------------------------------------


@pytest.fixture
def siblings(path: Path) -> Path:
    for suffix, mtime in ((".br", 1), (".zst", 2), (".gz", 3)):
        write(path.with_name(path.name + suffix), suffix.encode() * 3, MTIME + mtime)
    return path


def check_sibling(answer: Answer, path: Path, coding: str | None) -> None:
    suffix = {"br": ".br", "zstd": ".zst", "gzip": ".gz", None: ""}[coding]
    sent = path.with_name(path.name + suffix)
    check_whole(answer, sent)
    assert answer.header("content-encoding") == coding
    assert answer.header("content-type") == "text/plain"
    assert answer.header("etag") == etag(sent)
    if coding is not None:
        assert answer.header("vary") == "Accept-Encoding"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("GZip", "gzip"),
        ("BR", "br"),
        # As browsers say it.
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("gzip,zstd", "zstd"),
        ("deflate, gzip;q=1.0, *;q=0.5", "gzip"),
        # Weights.
        ("br;q=0.1, gzip;q=0.9", "gzip"),
        ("br;q=0.1, zstd;q=0.2, gzip;q=0.15", "zstd"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0.0, zstd;q=0.000, gzip;q=0", None),
        ("gzip ; q=0.5 , br ; q=0.4", "gzip"),
        ("*", "br"),
        ("*;q=0", None),
        ("gzip;q=0.5, *;q=0.4", "gzip"),
        ("gzip;q=0.5, *;q=0.6", "br"),
        ("br;q=0, *", "zstd"),
        ("gzip;q=0.5, identity;q=0.5", "gzip"),
        ("gzip;q=0.5, identity", None),
        # None of ours.
        ("", None),
        ("identity", None),
        ("deflate", None),
        ("compress, exi", None),
        ("gzipped", None),
        ("brotli", None),
        ("not-gzip, x-br", None),
        ("gzip;q=junk", None),
    ],
)
async def test_siblings(siblings: Path, accepted: str, coding: str | None) -> None:
    check_sibling(await fetch(siblings, f"Accept-Encoding: {accepted}"), siblings, coding)


async def test_no_sibling_is_sent_unasked(siblings: Path) -> None:
    check_sibling(await fetch(siblings), siblings, None)


async def test_accept_encoding_in_several_lines(siblings: Path) -> None:
    answer = await fetch(siblings, "Accept-Encoding: deflate", "Accept-Encoding: gzip")
    check_sibling(answer, siblings, "gzip")


async def test_head_of_a_sibling(siblings: Path) -> None:
    whole = await fetch(siblings, "Accept-Encoding: zstd")
    head = await fetch(siblings, "Accept-Encoding: zstd", method="HEAD")
    for answer in (whole, head):
        del answer.headers["date"]
    assert (head.headers, head.body) == (whole.headers, b"")


async def test_the_sibling_that_there_is(path: Path) -> None:
    accepted = "Accept-Encoding: gzip, deflate, br, zstd"
    assert (await fetch(path, accepted)).header("content-encoding") is None
    for suffix, coding in ((".gz", "gzip"), (".zst", "zstd"), (".br", "br")):
        write(path.with_name(path.name + suffix))
        check_sibling(await fetch(path, accepted), path, coding)


async def test_a_sibling_alone(tmp_path: Path) -> None:
    """The plain file need not be there."""
    path = tmp_path / "file.txt"
    packed = write(tmp_path / "file.txt.gz", b"packed")
    answer = await fetch(path, "Accept-Encoding: gzip")
    check_whole(answer, packed)
    assert answer.header("content-encoding") == "gzip"
    assert answer.header("content-type") == "text/plain"
    check_refused(await fetch(path), 404)
    check_refused(await fetch(path, "Accept-Encoding: br"), 404)


async def test_a_compressed_file_itself(tmp_path: Path) -> None:
    """Asked for by its own name it is no encoding of anything."""
    path = write(tmp_path / "file.tar.gz")
    answer = await fetch(path, "Accept-Encoding: gzip")
    check_whole(answer, path)
    assert answer.header("content-encoding") is None


async def test_siblings_of_a_name_with_dots(tmp_path: Path) -> None:
    for name in ("a.b.c.txt", "noext", ".hidden", "trailing."):
        path = write(tmp_path / name, b"plain")
        packed = write(tmp_path / f"{name}.gz", b"packed")
        check_whole(await fetch(path, "Accept-Encoding: gzip"), packed)


async def test_cve_2024_42367_links_as_siblings(path: Path, tmp_path: Path) -> None:
    """CVE-2024-42367 (aiohttp): a link beside a file led out of the folder that was served."""
    secret = write(tmp_path / "secret", b"secret")
    path.with_name("file.txt.gz").symlink_to(secret)
    path.with_name("file.txt.br").symlink_to(tmp_path / "missing")
    path.with_name("file.txt.zst").symlink_to("file.txt.zst")
    answer = await fetch(path, "Accept-Encoding: gzip, br, zstd")
    check_sibling(answer, path, None)
    answer = await fetch(tmp_path / "other", "Accept-Encoding: gzip")
    (tmp_path / "other.gz").symlink_to(secret)
    check_refused(await fetch(tmp_path / "other", "Accept-Encoding: gzip"), 404)


async def test_siblings_that_are_no_files(path: Path) -> None:
    path.with_name("file.txt.br").mkdir()
    os.mkfifo(path.with_name("file.txt.zst"))
    check_sibling(await fetch(path, "Accept-Encoding: gzip, br, zstd"), path, None)
    write(path.with_name("file.txt.gz"))
    check_sibling(await fetch(path, "Accept-Encoding: gzip, br, zstd"), path, "gzip")


async def test_vary_is_added_to_what_is_given(siblings: Path) -> None:
    """Caches have to heed both."""
    answer = await fetch(siblings, "Accept-Encoding: gzip", headers={"Vary": "Cookie"})
    tokens = {token.strip().lower() for token in (answer.header("vary") or "").split(",")}
    assert tokens == {"cookie", "accept-encoding"}


@pytest.mark.parametrize("weak", ["", "W/"], ids=["strong", "weak"])
async def test_a_given_entity_tag_is_that_of_the_plain_file(siblings: Path, weak: str) -> None:
    """RFC 9110 §8.8.3.3: with the same tag for another coding, clients would put parts of the two together."""
    packed = siblings.with_name("file.txt.gz")
    gzipped = "Accept-Encoding: gzip"

    async def get(*fields: str) -> Answer:
        return await fetch(siblings, *fields, headers={"ETag": f'{weak}"v1"'})

    for fields, file, coding, tag in (
        ((), siblings, None, '"v1"'),
        ((gzipped,), packed, "gzip", '"v1-gzip"'),
        (("Accept-Encoding: zstd",), siblings.with_name("file.txt.zst"), "zstd", '"v1-zstd"'),
    ):
        answer = await get(*fields)
        check_whole(answer, file)
        assert answer.header("content-encoding") == coding
        assert answer.headers["etag"] == [weak + tag]
        same = await get(*fields, f"If-None-Match: {tag}")
        assert (same.status, same.headers["etag"]) == (304, [weak + tag])
        check_whole(await get(*fields, 'If-None-Match: "v1-deflate"'), file)

    check_whole(await get('If-None-Match: "v1-gzip"'), siblings)
    check_whole(await get(gzipped, 'If-None-Match: "v1"'), packed)
    check_refused(await get(gzipped, 'If-Match: "v1"'), 412)


@pytest.mark.parametrize("given", [True, False])
async def test_no_download_is_resumed_in_another_coding(siblings: Path, given: bool) -> None:
    """The rest of what had begun in one coding, or all of it in another: never the rest in another."""
    packed = siblings.with_name("file.txt.gz")
    headers = {"ETag": '"v1"'} if given else {}
    tags = ('"v1"', '"v1-gzip"') if given else (etag(siblings), etag(packed))

    async def resume(tag: str, *fields: str) -> Answer:
        return await fetch(
            siblings, "Range: bytes=3-", f"If-Range: {tag}", *fields, headers=headers
        )

    plain, coded = tags
    gzipped = "Accept-Encoding: gzip"
    check_part(await resume(plain), siblings, 3, 10)
    check_part(await resume(coded, gzipped), packed, 3, 9)
    check_whole(await resume(plain, gzipped), packed)
    check_whole(await resume(coded), siblings)
    check_whole(await resume(coded, "Accept-Encoding: zstd"), siblings.with_name("file.txt.zst"))


async def test_siblings_are_what_clients_unpack(path: Path, tls: TLS) -> None:
    write(path, noise(1000) * 100)
    packed = path.with_name("file.txt.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    async with got(serves(path)) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["Content-Length"] == str(packed.stat().st_size)
        assert await response.read() == path.read_bytes()


# --- Compression on the way ---------------------------------------------------------------


def compresses(path: Path, *, force: bool = True) -> Handler:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.FileResponse(path)
        response.enable_compression(web.ContentCoding.gzip if force else None)
        return response

    return handler


async def test_compressed_on_the_way(path: Path) -> None:
    """How long it will be nobody knows, so there are chunks and no ranges; other bytes, so the tag is weak."""
    write(path, b"all the same " * 50_000)
    tag = etag(path)
    async with (
        no_file_left_open(),
        serving(compresses(path)) as site,
        Peer.connect(site.port) as peer,
    ):
        for fields in ([], ["Range: bytes=2-5"], ["Range: bytes=2-5", f"If-Range: {tag}"]):
            answer = await peer.ask(request("GET", "/", *fields))
            assert answer.status == 200
            assert answer.header("content-encoding") == "gzip"
            assert answer.header("transfer-encoding") == "chunked"
            assert answer.header("content-length") is None
            assert answer.header("content-range") is None
            assert answer.header("accept-ranges") in (None, "none")
            assert answer.header("etag") == f"W/{tag}"
            assert len(answer.body) < 20_000
            assert gzip.decompress(answer.body) == path.read_bytes()
        head = await peer.ask(HEAD)
        assert (head.status, head.body, head.header("content-length")) == (200, b"", None)
        answer = await peer.ask(request("GET", "/", f"If-None-Match: W/{tag}"))
        check_not_modified(answer, path, weak=True)


async def test_compressed_on_the_way_for_http_1_0(path: Path) -> None:
    write(path, b"all the same " * 50_000)
    async with serving(compresses(path)) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request(version="1.0"))
        assert answer.header("content-encoding") == "gzip"
        assert gzip.decompress(answer.body) == path.read_bytes()


async def test_what_is_not_compressed_on_the_way(path: Path) -> None:
    """An empty file, an error, and a file for a client that accepts no coding: that one has its ranges."""
    async with serving(compresses(path, force=False)) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(GET)
        check_whole(answer, path)
        assert answer.headers["vary"] == ["Accept-Encoding"]
        assert (answer.header("etag"), answer.header("accept-ranges")) == (etag(path), "bytes")
        check_part(await peer.ask(request("GET", "/", "Range: bytes=2-5")), path, 2, 6)
    for options in ({"force": True}, {"force": False}):
        async with serving(compresses(path, **options)) as site, Peer.connect(site.port) as peer:
            accepting = request("GET", "/", "Accept-Encoding: gzip")
            write(path, b"")
            check_whole(await peer.ask(accepting), path)
            path.unlink()
            check_refused(await peer.ask(accepting), 404)


@pytest.mark.parametrize("force", [True, False])
async def test_refusals_are_not_compressed(path: Path, force: bool) -> None:
    """They are short, and no part of what the entity tag is for."""
    write(path, b"all the same " * 5000)
    packed = write(path.with_name("file.txt.gz"), b"packed")
    async with serving(compresses(path, force=force)) as site, Peer.connect(site.port) as peer:

        async def get(*fields: str, method: str = "GET") -> Answer:
            return await peer.ask(request(method, "/", "Accept-Encoding: gzip", *fields))

        refused = [(412, 'If-Match: "x"'), (412, f"If-Unmodified-Since: {BEFORE}")]
        if not force:
            refused.append((416, "Range: bytes=1000000-"))
        for status, field in refused:
            answer = await get(field)
            check_refused(answer, status)
            assert answer.header("content-length") == str(len(answer.body))
            assert answer.header("transfer-encoding") is None
        packed.unlink()
        for status, field in refused[:2]:
            check_refused(await get(field), status)
        check_refused(await get("If-None-Match: *", method="POST"), 412)
        path.unlink()
        check_refused(await get(), 404)


async def test_a_sibling_is_not_compressed_again(path: Path) -> None:
    packed = write(path.with_name("file.txt.gz"), b"packed")
    async with serving(compresses(path, force=False)) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("GET", "/", "Accept-Encoding: gzip"))
        check_whole(answer, packed)
        assert answer.headers["content-encoding"] == ["gzip"]
        assert answer.headers["vary"] == ["Accept-Encoding"]
        assert answer.header("etag") == etag(packed)
        # Who accepts nothing gets the plain file as it is.
        check_whole(await peer.ask(GET), path)


# --- Files that change while they are sent ------------------------------------------------


async def cut(path: Path, large_data: bytes, change: Callable[[], None], tls: TLS | None) -> bytes:
    """Change the file when a client has its first bytes; return what body it got in the end.

    No client gets more than was announced, nor an answer to its next request in the middle of a body.
    """
    options = {} if tls is None else tls_options(tls)
    server = serving(serves(path)) if tls is None else serving_tls(serves(path), tls)
    async with no_file_left_open(), server as site, slow_peer(site.port, **options) as peer:
        await peer.send(GET + HEAD)
        assert b"Content-Length: %d\r\n" % LARGE in await peer.read_head()
        data = await within(peer.reader.readexactly(100_000))
        assert data == large_data[:100_000]
        await asyncio.to_thread(change)
        data += await read_all(peer, LARGE - len(data))
        if len(data) == LARGE:
            assert (await peer.answer("HEAD")).status in (200, 404)
        else:
            await site.idle()
    return data


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("size", [0, 1_000_000, LARGE - 1])
async def test_truncated_while_sending(
    large: Path, large_data: bytes, tls: TLS, secure: bool, size: int, caplog: Any
) -> None:
    """The announced length cannot be kept: the client must see that the answer is not complete."""
    data = await cut(large, large_data, lambda: os.truncate(large, size), tls if secure else None)
    assert len(data) < LARGE
    # Pages in flight may lose what is cut off, nothing else.
    end = min(len(data), size)
    assert data[:end] == large_data[:end]


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_overwritten_while_sending(
    large: Path, large_data: bytes, tls: TLS, secure: bool
) -> None:
    """The length is right, the content a mixture: that must not pass for the file of the entity tag."""

    def change() -> None:
        with large.open("r+b") as file:
            file.seek(LARGE // 2)
            file.write(bytes(LARGE // 2))
        os.utime(large, ns=(MTIME, MTIME * 10**9 + 1))

    data = await cut(large, large_data, change, tls if secure else None)
    assert len(data) < LARGE


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_grown_while_sending(large: Path, large_data: bytes, tls: TLS, secure: bool) -> None:
    """A log file, say: what was announced and not a byte more, or the connection is cut."""

    def change() -> None:
        with large.open("ab") as file:
            file.write(b"more")

    data = await cut(large, large_data, change, tls if secure else None)
    assert data == large_data[: len(data)]


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("how", ["replace", "unlink"])
async def test_replaced_while_sending(
    large: Path, large_data: bytes, tls: TLS, secure: bool, how: str
) -> None:
    """Programs that put a new file in the place of the old one disturb nobody who has it open."""

    def change() -> None:
        if how == "replace":
            os.replace(write(large.with_name("new"), b"new"), large)
        else:
            large.unlink()

    assert await cut(large, large_data, change, tls if secure else None) == large_data


class Restless:
    """A small file that is changed ``times`` times, each time just after it was read."""

    def __init__(self, path: Path, times: int, patch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.reads = 0
        self._times = times
        self._pread, self._read_cached = file_response._pread, file_response.read_cached
        patch.setattr(file_response, "_pread", self.pread)
        patch.setattr(file_response, "read_cached", self.read_cached)

    def change(self) -> None:
        self.reads += 1
        if self.reads <= self._times:
            os.truncate(self.path, 10 + self.reads)
            os.utime(self.path, (MTIME + self.reads,) * 2)

    def pread(self, fd: int, size: int, position: int) -> bytes:
        data = self._pread(fd, size, position)
        self.change()
        return data

    def read_cached(self, fd: int, position: int, size: int) -> bytes:
        data = self._read_cached(fd, position, size)
        self.change()
        return data


@pytest.mark.parametrize("times", [1, 2, 3, 4])
async def test_a_small_file_that_changes_while_it_is_read(
    path: Path, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read again: the answer is the file as it was at one moment, with its own tag and date."""
    async with no_file_left_open(), serving(serves(path)) as site, Peer.connect(site.port) as peer:
        restless = Restless(path, times, monkeypatch)
        answer = await peer.ask(GET)
        check_whole(answer, path)
        assert restless.reads == times + 1
        assert answer.body == b"0123456789" + bytes(times)
        assert answer.header("etag") == etag(path)
        part = await peer.ask(request("GET", "/", "Range: bytes=-2", f"If-Range: {etag(path)}"))
        check_part(part, path, len(answer.body) - 2, len(answer.body))


async def test_a_small_file_that_never_stops_changing(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not for ever: nothing of it is sent, and the log says why."""
    async with no_file_left_open(), serving(serves(path)) as site, Peer.connect(site.port) as peer:
        restless = Restless(path, 10**9, monkeypatch)
        assert (await peer.ask(GET)).status == 500
        assert 2 < restless.reads < 10
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "changed" in str(record.exc_info[1])


async def test_a_temporary_file(large: Path, large_data: bytes) -> None:
    """It may go as soon as it is open, and that it is after prepare()."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.FileResponse(large)
        await response.prepare(request)
        await asyncio.to_thread(large.unlink)
        if request.path == "/ended":
            await response.write_eof()
            assert (response.status, response.ended) == (200, True)
        return response

    for target in ("/", "/ended"):
        write(large, large_data)
        async with serving(handler) as site, slow_peer(site.port) as peer:
            await peer.send(request("GET", target))
            await peer.read_head()
            assert await read_all(peer, LARGE) == large_data
            check_refused(await peer.ask(GET), 404)


# --- Clients that leave, handlers that are cancelled --------------------------------------


async def started(peer: Peer) -> None:
    """Ask for a file and wait for its first bytes."""
    await peer.send(GET)
    await peer.read_head()
    await within(peer.reader.readexactly(50_000))


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_a_client_that_leaves(
    large: Path, tls: TLS, secure: bool, leave: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    recorder = Recorder(large)
    options = tls_options(tls) if secure else {}
    server = serving_tls(recorder, tls) if secure else serving(recorder)
    async with no_file_left_open(), server as site:
        for _ in range(3):
            async with slow_peer(site.port, **options) as peer:
                await started(peer)
                if leave == "reset":
                    peer.reset()
                else:
                    peer.writer.close()
            await site.idle()
        await until(lambda: len(recorder.errors) == 3, "the handlers")
        for error in recorder.errors:
            assert isinstance(error, (ConnectionResetError, asyncio.CancelledError, type(None)))
    assert quiet(caplog)


async def test_a_client_that_leaves_at_once(
    large: Path, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for file in (large, path):
        async with no_file_left_open(), serving(serves(file)) as site:
            for _ in range(10):
                async with Peer.connect(site.port) as peer:
                    await peer.send(GET)
                    peer.reset()
            await site.idle()
    assert quiet(caplog)


async def test_a_client_that_leaves_cancels_the_handler_if_told_to(
    large: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    recorder = Recorder(large)
    async with no_file_left_open(), serving(recorder, handler_cancellation=True) as site:
        async with slow_peer(site.port) as peer:
            await started(peer)
            peer.reset()
        await site.idle()
        await until(lambda: recorder.errors, "the handler")
    assert quiet(caplog)


async def test_a_client_that_says_it_will_send_no_more(large: Path, large_data: bytes) -> None:
    """A FIN is no reason to stop: it may read on."""
    async with serving(serves(large)) as site, slow_peer(site.port) as peer:
        await started_with_fin(peer)
        assert await read_all(peer, LARGE) == large_data[50_000:]


async def started_with_fin(peer: Peer) -> None:
    await started(peer)
    peer.finish()


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_handler_that_is_cancelled(
    large: Path, tls: TLS, secure: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer cannot be completed: the connection is cut, and nobody is told."""
    caplog.set_level(logging.INFO)
    recorder = Recorder(large)
    options = tls_options(tls) if secure else {}
    server = serving_tls(recorder, tls) if secure else serving(recorder)
    async with no_file_left_open(), server as site:
        async with slow_peer(site.port, **options) as peer:
            await started(peer)
            assert recorder.tasks[0].cancel()
            assert len(await read_all(peer, LARGE - 50_000)) < LARGE - 50_000
            await site.idle()
        assert isinstance(recorder.errors[0], asyncio.CancelledError)
    assert quiet(caplog)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_returned_after_its_sending_was_cancelled(
    large: Path, tls: TLS, secure: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody knows what the client has: the connection is cut, and no descriptor is used that is closed by then."""
    may_stop = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.FileResponse(large)
        sending = asyncio.ensure_future(response.prepare(request))
        await may_stop.wait()
        assert not sending.done()
        sending.cancel()
        await asyncio.wait([sending])
        assert sending.cancelled()
        return response

    options = tls_options(tls) if secure else {}
    server = serving_tls(handler, tls) if secure else serving(handler)
    async with no_file_left_open(), server as site, slow_peer(site.port, **options) as peer:
        await started(peer)
        may_stop.set()
        assert len(await read_all(peer, LARGE)) < LARGE - 50_000
        await site.idle()
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert type(record.exc_info[1]) is RuntimeError
    assert "cut off" in record.getMessage()


async def test_a_handler_that_gives_a_file_limited_time(large: Path, large_data: bytes) -> None:
    """The rest of what was announced cannot come."""
    gave_up = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.FileResponse(large)
        try:
            async with asyncio.timeout(0.2):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            gave_up.set()
        return response

    async with no_file_left_open(), serving(handler) as site, slow_peer(site.port) as peer:
        await started(peer)
        await within(gave_up.wait())
        data = await read_all(peer, LARGE - 50_000)
        assert len(data) < LARGE - 50_000
        assert data == large_data[50_000:][: len(data)]
        await site.idle()


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_client_that_reads_nothing_is_cut_off(
    large: Path, tls: TLS, secure: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    options = tls_options(tls) if secure else {}
    server = serving_tls if secure else serving
    arguments: Any = (serves(large), tls) if secure else (serves(large),)
    async with (
        no_file_left_open(),
        server(*arguments, write_timeout=0.2) as site,
        slow_peer(site.port, **options) as peer,
    ):
        await peer.send(GET)
        await peer.read_head()
        await site.idle()
    assert quiet(caplog)


async def test_a_client_that_reads_slowly_is_not_cut_off(large: Path, large_data: bytes) -> None:
    """write_timeout counts from the last byte that was taken, not from the last third of a socket's buffer."""
    async with serving(serves(large), write_timeout=0.5) as site, slow_peer(site.port) as peer:
        await started(peer)
        data = b""
        for _ in range(80):
            data += await within(peer.reader.readexactly(16384))
            await asyncio.sleep(0.01)
        data += await read_all(peer, LARGE - 50_000 - len(data))
        assert data == large_data[50_000:]


@pytest.mark.parametrize("size", [1000, 30_000, 100_000, 300_000])
async def test_a_client_that_leaves_before_the_file_began(
    large: Path, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    """What was answered before still waits to be sent; nothing of the file has been."""
    caplog.set_level(logging.INFO)
    recorder = Recorder(large)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/file":
            return await recorder(request)
        transport: Any = request.transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return web.Response(body=b"b" * size)

    async with no_file_left_open(), serving(handler) as site, slow_peer(site.port) as peer:
        asked = [request()] * (LARGE // 2 // size if size > 30_000 else 20)
        await peer.send(b"".join([*asked, request("GET", "/file")]))
        await peer.read_head()
        await turns()
        peer.reset()
        await site.idle()
        await until(lambda: len(recorder.errors) == len(recorder.responses), "the handler")
    assert quiet(caplog)


# --- Shutdown -----------------------------------------------------------------------------


async def test_shutdown_waits_for_a_file_under_way(large: Path, large_data: bytes) -> None:
    async with no_file_left_open(), serving(serves(large)) as site, slow_peer(site.port) as peer:
        await started(peer)
        shutdown = asyncio.create_task(site.server.shutdown(DEADLINE))
        await turns()
        assert not shutdown.done()
        assert await read_all(peer, LARGE) == large_data[50_000:]
        await within(shutdown)


async def test_shutdown_does_not_wait_for_ever(large: Path) -> None:
    async with no_file_left_open(), serving(serves(large)) as site, slow_peer(site.port) as peer:
        await started(peer)
        await within(site.server.shutdown(0.1))
        assert not site.server.connections


# --- The response as an object ------------------------------------------------------------


async def test_a_handler_may_prepare_and_end_it(path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.FileResponse(path)
        await response.prepare(request)
        assert response.prepared
        await response.prepare(request)
        await response.write_eof()
        await response.write_eof()
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for _ in range(3):
            check_whole(await peer.ask(GET), path)


async def test_opened_by_the_handler(path: Path, large: Path) -> None:
    """``open()`` tells what the answer is going to be, while another can still be given."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.FileResponse(path.with_name(request.path[1:]))
        await response.open(request)
        await response.open(request)
        assert not response.prepared
        if response.status == 404:
            return web.Response(status=404, text="my own page")
        if request.query:
            return web.Response(text="changed my mind")
        response.headers["X-Length"] = response.headers["Content-Length"]
        return response

    async with no_file_left_open(), serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(request("GET", "/missing"))).body == b"my own page"
        for target in ("/large.bin?x", "/file.txt?x"):
            assert (await peer.ask(request("GET", target))).body == b"changed my mind"
        for file in (path, large):
            answer = await peer.ask(request("GET", f"/{file.name}"))
            check_whole(answer, file)
            assert answer.header("x-length") == answer.header("content-length")


async def test_cancelled_while_it_is_opened(large: Path) -> None:
    """The file that the thread has opened by then is closed."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        for turns_of_the_loop in range(20):
            opening = asyncio.ensure_future(web.FileResponse(large).open(request))
            for _ in range(turns_of_the_loop):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait([opening])
        return web.Response(text="done")

    async with no_file_left_open(), serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).body == b"done"


async def test_a_subclass_may_do_something_before(path: Path) -> None:
    class Counted(web.FileResponse):
        count = 0

        async def prepare(self, request: web.BaseRequest) -> Any:
            Counted.count += 1
            self.headers["X-Count"] = str(Counted.count)
            return await super().prepare(request)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return Counted(path)

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(GET)
        check_whole(answer, path)
        assert answer.headers["x-count"] == ["1"]


async def test_a_second_response_never_goes_out(path: Path) -> None:
    """One request, one answer: what has begun is cut when something else is returned."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await web.FileResponse(path).prepare(request)
        return web.Response(text="second")

    async with no_file_left_open(), serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        data = await peer.read_eof()
        assert data.count(b"HTTP/1.1 ") == 1
        assert b"second" not in data


async def test_returned_twice(path: Path) -> None:
    """A response answers one request; the second gets an error or the file, but no silence and no half."""
    response = web.FileResponse(path)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        check_whole(await peer.ask(GET), path)
        await peer.send(GET)
        assert (await peer.answer()).status in (200, 500)


async def test_no_answer_leaves_a_file_open(siblings: Path) -> None:
    asks: list[tuple[str, list[str]]] = [
        ("GET", []),
        ("HEAD", []),
        ("POST", []),
        ("GET", ["Range: bytes=0-1"]),
        ("GET", ["Range: bytes=50-"]),
        ("GET", ["If-None-Match: *"]),
        ("GET", ["If-Match: W/"]),
        ("POST", ["If-None-Match: *"]),
        ("GET", ["Accept-Encoding: gzip"]),
        ("HEAD", ["Accept-Encoding: gzip"]),
    ]
    async with (
        no_file_left_open(),
        serving(serves(siblings)) as site,
        Peer.connect(site.port) as peer,
    ):
        for method, fields in asks * 3:
            await peer.ask(request(method, "/", *fields))


# --- curl ---------------------------------------------------------------------------------


class Curl:
    """The program curl, which is given a server's address."""

    def __init__(self, program: str, site: Serving) -> None:
        self.program = program
        self.site = site

    async def __call__(self, *arguments: Any, code: int = 0, target: str = "/") -> bytes:
        command = [self.program, "-sS", "--max-time", "10", *map(str, arguments)]
        command.append(self.site.url(target))
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=15)
        assert done.returncode == code, done.stderr
        return done.stdout


@pytest.fixture
def data(path: Path) -> bytes:
    return write(path, noise(100_000)).read_bytes()


async def test_curl_gets_parts(path: Path, data: bytes, curl: str) -> None:
    async with serving(serves(path)) as site:
        call = Curl(curl, site)
        assert await call() == data
        assert await call("-r", "0-99") == data[:100]
        assert await call("-r", "99000-") == data[99_000:]
        assert await call("-r", "-100") == data[-100:]
        assert await call("-r", "0-0,5-6") == data
        assert await call("-r", "100000-", "-f", code=22) == b""
        code = "%{http_code} %{size_download} %header{content-range}"
        assert await call("-r", "5-8", "-o", "/dev/null", "-w", code) == b"206 4 bytes 5-8/100000"


async def test_curl_resumes_a_download(path: Path, data: bytes, curl: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    async with serving(serves(path)) as site:
        call = Curl(curl, site)
        for size in (0, 1, 50_000, 99_999):
            copy.write_bytes(data[:size])
            await call("-C", "-", "-o", copy)
            assert copy.read_bytes() == data
        # Nothing is left to get: 416 with the size, which curl takes for success.
        await call("-C", "-", "-o", copy)
        assert copy.read_bytes() == data


async def test_curl_asks_by_time(path: Path, data: bytes, curl: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    async with serving(serves(path)) as site:
        call = Curl(curl, site)
        assert await call("-z", "Tue, 14 Nov 2023 22:13:20 GMT") == b""
        assert await call("-z", "Tue, 14 Nov 2023 22:13:19 GMT") == data
        assert await call("-z", "-Tue, 14 Nov 2023 22:13:21 GMT") == data
        # -R gives the copy the time of the original, -z asks for what is newer than the copy.
        await call("-R", "-o", copy)
        assert copy.stat().st_mtime == MTIME
        code = "%{http_code}"
        assert await call("-z", copy, "-o", tmp_path / "not", "-w", code) == b"304"
        write(path, b"new", MTIME + 1)
        assert await call("-z", copy, "-o", tmp_path / "new", "-w", code) == b"200"


async def test_curl_asks_by_entity_tag(path: Path, data: bytes, curl: str, tmp_path: Path) -> None:
    saved = tmp_path / "etag"
    async with serving(serves(path)) as site:
        call = Curl(curl, site)
        assert await call("--etag-save", saved) == data
        assert saved.read_text().strip() == etag(path)
        assert await call("--etag-compare", saved, "-w", "%{http_code}") == b"304"
        write(path, b"new", MTIME + 1)
        assert await call("--etag-compare", saved, "--etag-save", saved) == b"new"
        assert await call("--etag-compare", saved, "-w", "%{http_code}") == b"304"


async def test_curl_takes_compressed_siblings(path: Path, data: bytes, curl: str) -> None:
    packed = path.with_name("file.txt.gz")
    packed.write_bytes(gzip.compress(data))
    async with serving(serves(path)) as site:
        call = Curl(curl, site)
        assert await call("--compressed") == data
        assert await call("-H", "Accept-Encoding: gzip") == packed.read_bytes()
        assert await call() == data


async def test_curl_looks_at_the_head(path: Path, data: bytes, curl: str) -> None:
    async with serving(serves(path, filename="né w.txt")) as site:
        head = (await Curl(curl, site)("-I")).decode()
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert "\r\nContent-Length: 100000\r\n" in head
    assert "\r\nAccept-Ranges: bytes\r\n" in head


async def test_curl_saves_under_the_name_it_is_told(
    path: Path, data: bytes, curl: str, tmp_path: Path
) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    async with serving(serves(path, filename="a movie.mp4")) as site:
        await Curl(curl, site)("-OJ", "--output-dir", folder, target="/x")
    assert (folder / "a movie.mp4").read_bytes() == data
