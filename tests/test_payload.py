"""Files, streams and functions as bodies of responses."""

from __future__ import annotations

import asyncio
import bz2
import contextlib
import gzip
import io
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import pytest

import lowlevel as web
from lowlevel.payload import FilePayload, Payload, StreamPayload, as_payload
from tests.support import Answer, Peer, serving

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"


async def send(body: object, request: bytes = GET, **options: Any) -> Answer:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=body, **options)

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        return await peer.ask(request)


async def joined(payload: Payload) -> bytes:
    return b"".join([piece async for piece in payload.pieces()])


async def pieces(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        yield item


# What may be a body.


def test_a_payload_is_a_payload() -> None:
    payload = FilePayload(io.BytesIO(b"x"))
    assert as_payload(payload) is payload


@pytest.mark.parametrize(
    "body", [5, object(), [b"x"], {}, iter([b"x"]), str, Payload, NotImplemented]
)
def test_what_cannot_be_a_body(body: object) -> None:
    with pytest.raises(ValueError, match="Unsupported body type"):
        as_payload(body)


async def test_what_can_be_read_asynchronously_is_a_stream() -> None:
    class AsyncFile:
        """As libraries for asynchronous files make them."""

        def tell(self) -> int:
            return 0

        async def read(self, n: int = -1) -> bytes:
            return b""

        def __aiter__(self) -> AsyncIterator[bytes]:
            return pieces(b"one", b"two")

    payload = as_payload(AsyncFile())
    assert type(payload) is StreamPayload
    assert await joined(payload) == b"onetwo"


async def test_an_object_that_can_be_called_gives_a_stream() -> None:
    class Body:
        def __call__(self) -> AsyncIterator[bytes]:
            return pieces(b"called")

        def method(self) -> AsyncIterator[bytes]:
            return pieces(b"method")

    assert await joined(as_payload(Body())) == b"called"
    assert await joined(as_payload(Body().method)) == b"method"
    assert await joined(as_payload(lambda: pieces(b"lambda"))) == b"lambda"


@pytest.mark.parametrize("result", [b"x", None, [b"x"], iter([b"x"])])
async def test_a_function_that_gives_no_stream(result: object) -> None:
    with pytest.raises(TypeError, match="not an async iterable"):
        as_payload(lambda: result).pieces()


async def test_a_coroutine_function_gives_no_stream() -> None:
    async def body() -> bytes:
        return b"x"

    with pytest.raises(TypeError, match="returned coroutine"):
        as_payload(body).pieces()


async def test_closing_a_stream_that_was_never_read() -> None:
    started = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal started
        started = True
        yield b"x"

    await as_payload(body).close()
    generator = body()
    await as_payload(generator).close()
    assert not started
    with pytest.raises(StopAsyncIteration):
        await anext(generator)


async def test_closing_a_stream_that_cannot_be_closed() -> None:
    class Plain:
        def __aiter__(self) -> Plain:
            return self

        async def __anext__(self) -> bytes:
            raise StopAsyncIteration

    payload = as_payload(Plain())
    assert await joined(payload) == b""
    await payload.close()


# Files in memory.


@pytest.mark.parametrize(
    ("make", "content_type", "expected"),
    [
        (lambda: io.BytesIO(b"hello"), "application/octet-stream", b"hello"),
        (lambda: io.BytesIO(b""), "application/octet-stream", b""),
        (lambda: io.StringIO("hé"), "text/plain; charset=utf-8", "hé".encode()),
        (lambda: io.StringIO(""), "text/plain; charset=utf-8", b""),
    ],
)
async def test_files_in_memory(
    make: Callable[[], IO[Any]], content_type: str, expected: bytes
) -> None:
    answer = await send(make())
    assert answer.header("content-type") == content_type
    assert answer.header("content-length") == str(len(expected))
    assert "content-disposition" not in answer.headers
    assert answer.body == expected


async def test_a_file_is_sent_from_where_it_stands() -> None:
    binary, text = io.BytesIO(b"0123456789"), io.StringIO("éabcdef")
    binary.seek(4)
    text.seek(2)
    assert (await send(binary)).body == b"456789"
    assert (await send(text)).body == b"bcdef"


async def test_a_file_beyond_its_end_is_empty() -> None:
    file = io.BytesIO(b"x")
    file.seek(10)
    answer = await send(file)
    assert (answer.header("content-length"), answer.body) == ("0", b"")


async def test_a_file_in_memory_stays_open() -> None:
    file = io.BytesIO(b"hello")
    await send(file)
    assert file.getvalue() == b"hello"


async def test_a_given_charset_encodes_text() -> None:
    answer = await send(io.StringIO("é"), content_type="text/html", charset="latin-1")
    assert (answer.header("content-type"), answer.body) == ("text/html; charset=latin-1", b"\xe9")


@pytest.mark.parametrize("charset", ["utf-8", "latin-1", "utf-16"])
async def test_large_text_in_memory(charset: str) -> None:
    text = "é" * 300_000
    answer = await send(io.StringIO(text), content_type="text/plain", charset=charset)
    assert answer.header("content-length") == str(len(text.encode(charset)))
    assert answer.body == text.encode(charset)


def test_reading_text_of_a_file_leaves_it_to_be_sent() -> None:
    file = io.BytesIO(b"0123")
    file.seek(1)
    response = web.Response(body=file)
    assert response.text == "123"
    assert response.text == "123"
    assert response.content_length == 3


# Files on disk.


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.txt", "text/plain"),
        ("a.html", "text/html"),
        ("a.png", "image/png"),
        ("a.json", "application/json"),
        ("a", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
    ],
)
async def test_a_binary_file(tmp_path: Path, name: str, content_type: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x00content")
    with path.open("rb") as file:
        answer = await send(file)
        assert file.closed
    assert answer.header("content-type") == content_type
    assert answer.header("content-length") == "8"
    assert answer.header("content-disposition") == f'attachment; filename="{name}"'
    assert answer.body == b"\x00content"


@pytest.mark.parametrize("options", [{"buffering": 0}, {"buffering": 16}, {}])
async def test_a_large_file_from_its_middle(tmp_path: Path, options: dict[str, int]) -> None:
    content = os.urandom(600_000)
    (tmp_path / "a.bin").write_bytes(content)
    with (tmp_path / "a.bin").open("rb", **options) as file:
        file.read(3)
        answer = await send(file)
    assert answer.header("content-length") == str(len(content) - 3)
    assert answer.body == content[3:]


@pytest.mark.parametrize(
    ("name", "encoding", "content", "content_type"),
    [
        ("a.txt", "utf-8", "hé\r\nthere\n", "text/plain; charset=utf-8"),
        ("a.html", "UTF8", "hé", "text/html; charset=utf-8"),
        ("a", "latin-1", "hé", "text/plain; charset=iso8859-1"),
        ("a.txt", "utf-16", "hé", "text/plain; charset=utf-16"),
        ("a.txt", "utf-8-sig", "hé", "text/plain; charset=utf-8"),
        ("a.txt", "utf-8", "", "text/plain; charset=utf-8"),
    ],
)
async def test_a_text_file_is_sent_as_it_is(
    tmp_path: Path, name: str, encoding: str, content: str, content_type: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode(encoding))
    with path.open(encoding=encoding) as file:
        answer = await send(file)
        assert file.closed
    assert answer.header("content-type") == content_type
    assert answer.header("content-length") == str(len(path.read_bytes()))
    assert answer.body == path.read_bytes()


async def test_a_text_file_from_its_middle(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("éa\r\nb".encode())
    with path.open(encoding="utf-8") as file:
        file.read(1)
        response = web.Response(body=file)
        assert await asyncio.to_thread(lambda: response.text) == "a\r\nb"
        answer = await send(file)
    assert (answer.header("content-length"), answer.body) == ("4", b"a\r\nb")


async def test_a_type_and_disposition_that_are_given_stay(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")
    with (tmp_path / "a.json").open("rb") as file:
        answer = await send(file, headers={"Content-Type": "a/b", "Content-Disposition": "inline"})
    assert answer.header("content-type") == "a/b"
    assert answer.header("content-disposition") == "inline"
    with (tmp_path / "a.json").open("rb") as file:
        answer = await send(file, content_type="a/c")
    assert answer.header("content-type") == "a/c"


async def test_less_than_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1_000_000)
    with (tmp_path / "a").open("rb") as file:
        answer = await send(file, headers={"Content-Length": "4"})
        assert file.closed
    assert answer.body == b"xxxx"


async def test_a_file_that_grows_keeps_to_its_length(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    with path.open("rb") as file:
        response = web.Response(body=file)
        path.write_bytes(b"older")

        async def handler(request: web.BaseRequest) -> web.Response:
            return response

        async with serving(handler) as site, Peer.connect(site.port) as peer:
            assert (await peer.ask(GET)).body == b"old"


async def test_a_file_that_shrinks_cuts_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"long content")
    with path.open("rb") as file:
        response = web.Response(body=file)
        path.write_bytes(b"short")

        async def handler(request: web.BaseRequest) -> web.Response:
            return response

        async with serving(handler) as site, Peer.connect(site.port) as peer:
            await peer.send(GET)
            assert (await peer.read_eof()).endswith(b"\r\n\r\nshort")


async def test_head_of_a_file_closes_it_unread(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"hello")
    with (tmp_path / "a.txt").open("rb") as file:
        answer = await send(file, HEAD)
        assert file.closed
    assert answer.header("content-length") == "5"
    assert answer.header("content-type") == "text/plain"


@pytest.mark.parametrize(
    "name",
    [
        "é b.txt",
        'q"u.txt',
        "back\\slash.txt",
        "line\nend.txt",
        "carriage\r\nX-Injected: 1",
        "a%41.txt",
        "a;b.txt",
    ],
)
async def test_names_of_files_are_safe(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with (tmp_path / name).open("rb") as file:
        answer = await send(file)
    assert answer.body == b"x"
    assert "x-injected" not in answer.headers
    (disposition,) = answer.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="')
    assert disposition.isascii()


def test_a_closed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    for mode in "r", "rb":
        file = (tmp_path / "a").open(mode)
        file.close()
        with pytest.raises(ValueError, match="closed file"):
            web.Response(body=file)


# What is no plain file.


async def test_temporary_files() -> None:
    for make in tempfile.TemporaryFile, tempfile.NamedTemporaryFile:
        with make() as file:
            file.write(b"0123")
            file.seek(1)
            answer = await send(file)
        assert (answer.header("content-length"), answer.body) == ("3", b"123")
        with make("w+", encoding="utf-8") as text:
            text.write("é123")
            text.seek(0)
            answer = await send(text)
        assert (answer.header("content-length"), answer.body) == ("5", "é123".encode())


@pytest.mark.parametrize("size", [10, 100])
async def test_a_spooled_file(size: int) -> None:
    with tempfile.SpooledTemporaryFile(max_size=50) as file:
        file.write(b"x" * size)
        file.seek(0)
        assert (await send(file)).body == b"x" * size


@pytest.mark.parametrize("module", [gzip, bz2])
@pytest.mark.parametrize("mode", ["rb", "rt"])
async def test_files_that_decompress_have_no_known_length(
    tmp_path: Path, module: Any, mode: str
) -> None:
    with module.open(tmp_path / "a", "wb") as file:
        file.write(b"hello" * 1000)
    with module.open(tmp_path / "a", mode) as file:
        answer = await send(file)
    assert answer.header("transfer-encoding") == "chunked"
    assert answer.body == b"hello" * 1000


@pytest.mark.parametrize("mode", ["rb", "r"])
async def test_a_pipe(mode: str) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"hello")
    os.close(writing)
    with open(reading, mode) as file:
        answer = await send(file)
    assert answer.header("transfer-encoding") == "chunked"
    assert answer.body == b"hello"


async def test_a_text_file_in_the_middle_of_a_character(tmp_path: Path) -> None:
    """There is no such place in the bytes, so the text is encoded anew."""
    (tmp_path / "a").write_bytes(b"abc+AOkA6Q-x")
    with (tmp_path / "a").open(encoding="utf-7") as file:
        assert file.read(4) == "abcé"
        answer = await send(file)
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    assert answer.header("transfer-encoding") == "chunked"
    assert answer.body == "éx".encode()


async def test_an_object_that_reads_and_tells() -> None:
    class File:
        def __init__(self) -> None:
            self.left = [b"one", b"two"]
            self.closed = False

        def read(self, n: int = -1) -> bytes:
            return self.left.pop(0) if self.left else b""

        def tell(self) -> int:
            return 0

        def close(self) -> None:
            self.closed = True

    file = File()
    answer = await send(file)
    assert answer.body == b"onetwo"
    assert file.closed


async def test_a_file_that_cannot_be_read_is_cut(tmp_path: Path) -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            raise OSError("disk on fire")

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=Broken())

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        assert (await peer.read_eof()).endswith(b"\r\n\r\n")


async def test_a_file_is_closed_even_if_closing_is_cancelled(tmp_path: Path) -> None:
    free = threading.Event()
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as threads, (tmp_path / "a").open("wb+") as file:
        loop.set_default_executor(threads)
        blocked = loop.run_in_executor(None, free.wait)
        closing = asyncio.ensure_future(as_payload(file).close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        free.set()
        await blocked
        await loop.run_in_executor(None, int)  # behind whatever waits for the thread
        assert file.closed


async def test_a_file_is_closed_when_the_client_leaves(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 50_000_000)
    with (tmp_path / "a").open("rb") as file:

        async def handler(request: web.BaseRequest) -> web.Response:
            return web.Response(body=file)

        async with serving(handler) as site:
            async with Peer.connect(site.port) as peer:
                await peer.send(GET)
                await peer.read_head()
                peer.reset()
            async with asyncio.timeout(20):
                while not file.closed:
                    await asyncio.sleep(0.001)
            await site.idle()


async def test_the_body_of_a_request_as_the_body_of_its_response() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=request.content)

    body = bytes(range(256)) * 4000  # few line ends
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        assert answer.body == body


@pytest.mark.parametrize("as_function", [False, True], ids=["iterator", "function"])
async def test_a_body_that_was_given_up_is_no_answer(as_function: bool) -> None:
    """Returned all the same, it must not look complete, nor be sent from its beginning again."""

    async def endless() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.Event().wait()

    async def handler(request: web.BaseRequest) -> web.Response:
        response = web.Response(body=endless if as_function else endless())
        await response.prepare(request)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await response.write_eof()
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        said = await peer.read_eof()
    assert said.endswith(b"\r\n\r\n5\r\nfirst\r\n")
