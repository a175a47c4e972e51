"""Compression over real sockets, both ways: what clients send compressed, and what they get."""

import asyncio
import contextlib
import gzip
import io
import re
import subprocess
import sys
import threading
import zlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import brotli
import pytest

import lowlevel as web
from lowlevel import ContentCoding
from lowlevel.encoded_body import LARGE
from lowlevel.protocol.content_coding import load_zstd
from tests.support import Answer, Peer, request, serving, until, within

DEFLATE, GZIP, BR, ZSTD, IDENTITY = ContentCoding
CODINGS = (DEFLATE, GZIP, BR, ZSTD)
zstd: Any = load_zstd()

DECODE: dict[str, Callable[[bytes], bytes]] = {
    "deflate": zlib.decompress,
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": zstd.decompress,
}
ENCODE: dict[str, Callable[[bytes], bytes]] = {
    "deflate": zlib.compress,
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}

TEXT = "all work and no play makes jack a dull boy\n" * 100
MANY = TEXT.encode() * 100


def accepting(value: str, *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    return request(method, "/", f"Accept-Encoding: {value}", *fields, version=version)


async def ask(handler: Any, asked: bytes) -> Answer:
    async with serving(handler) as server, Peer.connect(server.port) as peer:
        return await peer.ask(asked)


def answering(make: Callable[[], web.StreamResponse]) -> Any:
    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        return make()

    return handler


def compressed_text(force: ContentCoding | None = None, **options: Any) -> web.Response:
    response = web.Response(text=TEXT, **options)
    response.enable_compression(force)
    return response


# --- Whole responses -----------------------------------------------------------------------------


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_whole_response(coding: ContentCoding) -> None:
    answer = await ask(answering(compressed_text), accepting(coding.value))
    assert answer.header("content-encoding") == coding.value
    assert answer.header("vary") == "Accept-Encoding"
    assert answer.header("transfer-encoding") is None
    assert answer.header("content-length") == str(len(answer.body))
    assert len(answer.body) < 200
    assert DECODE[coding.value](answer.body) == TEXT.encode()


@pytest.mark.parametrize("coding", CODINGS)
async def test_forced_whatever_the_client_accepts(coding: ContentCoding) -> None:
    answer = await ask(answering(lambda: compressed_text(coding)), accepting("identity"))
    assert answer.header("content-encoding") == coding.value
    assert answer.header("vary") is None
    assert DECODE[coding.value](answer.body) == TEXT.encode()


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip, deflate, br, zstd", "deflate"),
        ("gzip;q=0.9, deflate;q=0.8", "gzip"),
        ("*", "deflate"),
        ("br;q=1, gzip;q=0.5", "br"),
    ],
)
async def test_what_the_client_likes_best(accepted: str, chosen: str) -> None:
    answer = await ask(answering(compressed_text), accepting(accepted))
    assert answer.header("content-encoding") == chosen


@pytest.mark.parametrize("accepted", ["identity", "", "gzip;q=0", "compress", "identity;q=0"])
async def test_what_nobody_accepts_is_not_compressed(accepted: str) -> None:
    answer = await ask(answering(compressed_text), accepting(accepted))
    assert answer.header("content-encoding") is None
    assert answer.header("vary") == "Accept-Encoding"
    assert answer.body == TEXT.encode()


async def test_a_client_that_does_not_say() -> None:
    answer = await ask(answering(compressed_text), request())
    assert answer.header("content-encoding") is None
    assert answer.header("vary") == "Accept-Encoding"


async def test_order_of_the_head() -> None:
    def make() -> web.Response:
        response = web.Response(
            body=b"x" * 1000, headers={"X-Given": "1", "ETag": '"tag"', "Vary": "Origin"}
        )
        response.set_cookie("a", "b")
        response.enable_compression()
        return response

    answer = await ask(answering(make), accepting("gzip"))
    head = re.sub(r"(Date|Server|Content-Length): [^\r]*", r"\1", answer.head.decode())
    assert head.split("\r\n")[1:-2] == [
        "X-Given: 1",
        'ETag: W/"tag"',
        "Vary: Origin, Accept-Encoding",
        "Content-Length",
        "Set-Cookie: a=b; Path=/",
        "Content-Encoding: gzip",
        "Content-Type: application/octet-stream",
        "Date",
        "Server",
    ]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("*", "*"),
        ("accept-encoding", "accept-encoding"),
        ("Origin, Accept-Encoding", "Origin, Accept-Encoding"),
    ],
)
async def test_vary_is_not_said_twice(given: str, sent: str) -> None:
    answer = await ask(
        answering(lambda: compressed_text(headers={"Vary": given})), accepting("gzip")
    )
    assert answer.headers["vary"] == [sent]


@pytest.mark.parametrize(
    ("etag", "accepted", "sent"),
    [
        ('"a"', "gzip", 'W/"a"'),
        ('W/"a"', "gzip", 'W/"a"'),
        ('"a"', "identity", '"a"'),
    ],
)
async def test_a_strong_entity_tag_becomes_weak(etag: str, accepted: str, sent: str) -> None:
    answer = await ask(
        answering(lambda: compressed_text(headers={"ETag": etag})), accepting(accepted)
    )
    assert answer.header("etag") == sent


async def test_a_content_encoding_of_its_own_is_left_alone() -> None:
    packed = gzip.compress(b"packed before")

    def make() -> web.Response:
        response = web.Response(body=packed, headers={"Content-Encoding": "gzip", "ETag": '"a"'})
        response.enable_compression()
        return response

    answer = await ask(answering(make), accepting("br"))
    assert answer.header("content-encoding") == "gzip"
    assert answer.header("vary") is None
    assert answer.header("etag") == '"a"'
    assert answer.body == packed


@pytest.mark.parametrize("status", [204, 205, 206, 304])
async def test_statuses_that_are_left_alone(status: int) -> None:
    def make() -> web.Response:
        response = web.Response(status=status, body=b"part" * 100, headers={"ETag": '"a"'})
        response.enable_compression(GZIP)
        return response

    answer = await ask(answering(make), accepting("gzip"))
    assert answer.status == status
    assert answer.header("content-encoding") is None
    assert answer.header("etag") == '"a"'


@pytest.mark.parametrize("body", [None, b"", bytearray()])
async def test_an_empty_body_stays_empty(body: Any) -> None:
    def make() -> web.Response:
        response = web.Response(body=body)
        response.enable_compression(GZIP)
        return response

    answer = await ask(answering(make), accepting("gzip"))
    assert answer.header("content-encoding") is None
    assert answer.header("content-length") == "0"


async def test_head_is_told_what_get_would_be() -> None:
    async with serving(answering(compressed_text)) as server, Peer.connect(server.port) as peer:
        got = await peer.ask(accepting("gzip"))
        told = await peer.ask(accepting("gzip", method="HEAD"))
        again = await peer.ask(accepting("gzip"))
    assert told.body == b""
    assert told.headers == got.headers | {"date": told.headers["date"]}
    assert again.body == got.body


async def test_chunks_are_kept() -> None:
    def make() -> web.Response:
        response = compressed_text()
        response.enable_chunked_encoding()
        return response

    answer = await ask(answering(make), accepting("gzip"))
    assert answer.header("transfer-encoding") == "chunked"
    assert answer.header("content-length") is None
    assert gzip.decompress(answer.body) == TEXT.encode()


async def test_a_given_length_is_not_that_of_what_is_sent() -> None:
    answer = await ask(
        answering(lambda: compressed_text(headers={"Content-Length": str(len(TEXT))})),
        accepting("gzip"),
    )
    assert answer.headers["content-length"] == [str(len(answer.body))]
    assert gzip.decompress(answer.body) == TEXT.encode()


async def test_http10() -> None:
    answer = await ask(answering(compressed_text), accepting("gzip", version="1.0"))
    assert gzip.decompress(answer.body) == TEXT.encode()
    assert answer.header("content-length") == str(len(answer.body))


async def test_other_kinds_of_responses() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/json":
            response = web.json_response({"text": TEXT})
        elif request.path == "/bytearray":
            response = web.Response(body=bytearray(MANY))
        else:
            failure = web.HTTPNotFound(text=TEXT)
            failure.enable_compression()
            raise failure
        response.enable_compression()
        return response

    async with serving(handler) as server, aiohttp.ClientSession() as client:
        async with client.get(server.url("/json")) as response:
            assert response.headers["Content-Encoding"] == "deflate"
            assert await response.json() == {"text": TEXT}
        async with client.get(server.url("/bytearray")) as response:
            assert await response.read() == MANY
        async with client.get(server.url("/error")) as response:
            assert response.status == 404
            assert response.headers["Content-Encoding"] == "deflate"
            assert await response.text() == TEXT


async def test_large_bodies_are_compressed_in_a_thread() -> None:
    threads: list[str] = []

    class Noting(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            threads.append("used")
            return super().submit(*args, **kwargs)

    with Noting(1) as executor:

        def make(size: int, limit: int | None = None) -> web.Response:
            response = web.Response(
                body=bytes(size), zlib_executor_size=limit, zlib_executor=executor
            )
            response.enable_compression(GZIP)
            return response

        for size, limit, used in ((LARGE, None, 0), (LARGE + 1, None, 1), (11, 10, 2), (10, 10, 2)):
            answer = await ask(answering(lambda: make(size, limit)), request())  # noqa: B023
            assert gzip.decompress(answer.body) == bytes(size)
            assert len(threads) == used


# --- Streams -------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_stream(coding: ContentCoding, version: str) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "123"})
        response.enable_compression()
        writer = await response.prepare(request)
        assert writer is request.writer
        for size in (1, 100, 10_000, 100_000, 5):
            await response.write(MANY[:size])
        await request.writer.write(memoryview(b"through the writer"))
        await response.write_eof(b"end")
        assert response.body_length == request.writer.output_size
        return response

    answer = await ask(handler, accepting(coding.value, version=version))
    assert answer.header("content-encoding") == coding.value
    assert answer.header("content-length") is None
    assert answer.header("transfer-encoding") == ("chunked" if version == "1.1" else None)
    sizes = (1, 100, 10_000, 100_000, 5)
    expected = b"".join(MANY[:size] for size in sizes) + b"through the writer" + b"end"
    assert DECODE[coding.value](answer.body) == expected


@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize("coding", [GZIP, BR, ZSTD])
async def test_a_stream_arrives_when_it_is_written(coding: ContentCoding, size: int) -> None:
    received = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_compression(coding)
        await response.prepare(request)
        for letter in (b"a", b"b", b"c"):
            await response.write(letter * size)
            await within(received.wait())
            received.clear()
        return response

    async with (
        serving(handler) as server,
        aiohttp.ClientSession() as client,
        client.get(server.url()) as response,
    ):
        for letter in (b"a", b"b", b"c"):
            data = b""
            async with asyncio.timeout(10):
                while len(data) < size:
                    data += await response.content.readany()
            assert data == letter * size
            received.set()
        assert await response.read() == b""


async def test_pieces_of_one_turn_are_compressed_together() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async def lines() -> AsyncIterator[bytes]:
            for line in MANY[:20000].splitlines(keepends=True):
                yield line

        response = web.Response(body=lines())
        response.enable_compression(GZIP)
        return response

    answer = await ask(handler, request())
    assert gzip.decompress(answer.body) == MANY[:20000]
    assert len(answer.body) < 300


@pytest.mark.parametrize("kind", ["iterable", "bytesio", "file"])
async def test_payloads(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(MANY)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(MANY), 50_000):
            yield MANY[start : start + 50_000]

    sources: dict[str, Callable[[], Any]] = {
        "iterable": pieces,
        "bytesio": lambda: io.BytesIO(MANY),
        "file": lambda: file,
    }
    with path.open("rb") as file:

        def make() -> web.Response:
            response = web.Response(body=sources[kind]())
            response.enable_compression()
            return response

        answer = await ask(answering(make), accepting("br"))
    assert answer.header("content-encoding") == "br"
    assert answer.header("content-length") is None
    assert brotli.decompress(answer.body) == MANY


async def test_head_of_a_stream() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_compression()
        await response.prepare(request)
        await response.write(MANY)
        return response

    async with serving(handler) as server, Peer.connect(server.port) as peer:
        told = await peer.ask(accepting("gzip", method="HEAD"))
        got = await peer.ask(accepting("gzip"))
    assert told.header("content-encoding") == "gzip"
    assert told.header("transfer-encoding") is None
    assert gzip.decompress(got.body) == MANY


async def test_two_tasks_write_in_order() -> None:
    """What a thread is busy with comes out before what was written meanwhile."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_compression(GZIP)
        await response.prepare(request)
        async with asyncio.TaskGroup() as group:
            group.create_task(response.write(b"a" * 300_000))
            group.create_task(response.write(b"b"))
            group.create_task(response.write(b"c" * 300_000))
        return response

    answer = await ask(handler, request())
    assert gzip.decompress(answer.body) == b"a" * 300_000 + b"b" + b"c" * 300_000


async def test_a_write_that_times_out_loses_nothing() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_compression(GZIP)
        await response.prepare(request)
        writing = asyncio.ensure_future(response.write(MANY))
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])
        assert writing.cancelled()
        await response.write(b"more")
        return response

    answer = await ask(handler, request())
    assert gzip.decompress(answer.body) == MANY + b"more"


async def test_a_write_beside_the_end_is_refused() -> None:
    refused: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_compression(GZIP)
        await response.prepare(request)
        ending = asyncio.ensure_future(response.write_eof(b"e" * (LARGE + 1)))
        await asyncio.sleep(0)
        for size in (10, LARGE + 1):
            with pytest.raises(RuntimeError, match="after write_eof"):
                await response.write(bytes(size))
            refused.append("once")
        await ending
        return response

    answer = await ask(handler, request())
    assert len(refused) == 2
    assert gzip.decompress(answer.body) == b"e" * (LARGE + 1)


async def test_an_answer_that_nobody_compresses_any_more_is_cut() -> None:
    executor = ThreadPoolExecutor(1)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_compression(GZIP)
        response._executor = executor
        await response.prepare(request)
        await response.write(b"first")
        executor.shutdown()
        with contextlib.suppress(RuntimeError):
            await response.write(bytes(LARGE + 1))
        return response

    async with serving(handler) as server, Peer.connect(server.port) as peer:
        await peer.send(request())
        received = await peer.read_eof()
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert not received.endswith(b"0\r\n\r\n")


async def test_a_client_that_leaves_makes_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[BaseException] = []
    writing = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_compression(GZIP)
        await response.prepare(request)
        try:
            while True:
                writing.set()
                await response.write(threading.current_thread().name.encode() * 10_000)
        except BaseException as exc:
            ended.append(exc)
            raise

    async with serving(handler) as server:
        async with Peer.connect(server.port) as peer:
            await peer.send(request())
            await within(writing.wait())
            peer.reset()
        await until(lambda: ended, "the end of the handler")
        await server.idle()
    assert isinstance(ended[0], ConnectionResetError)
    assert not caplog.records


async def test_enable_compression_checks_its_arguments() -> None:
    response = web.StreamResponse()
    assert response.compression is False
    for force in ("gzip", 1, object()):
        with pytest.raises(TypeError, match="force"):
            response.enable_compression(force)  # type: ignore[arg-type]
    for strategy in ("1", 1.0, True):
        with pytest.raises(TypeError, match="strategy"):
            response.enable_compression(strategy=strategy)  # type: ignore[arg-type]
    for strategy in (-1, 5):
        with pytest.raises(ValueError, match="strategy"):
            response.enable_compression(strategy=strategy)
    assert response.compression is False
    response.enable_compression(strategy=zlib.Z_FIXED)
    assert response.compression is True
    with pytest.raises(TypeError, match="zlib_executor_size"):
        web.Response(zlib_executor_size="1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="zlib_executor_size"):
        web.Response(zlib_executor_size=-1)


@pytest.mark.parametrize(("force", "sent"), [(True, "deflate"), (False, None)])
async def test_bools_are_deprecated(force: bool, sent: str | None) -> None:
    response = web.Response(text=TEXT)
    with pytest.warns(DeprecationWarning, match="boolean"):
        response.enable_compression(force)
    answer = await ask(answering(lambda: response), accepting("gzip"))
    assert answer.header("content-encoding") == sent
    assert answer.header("vary") is None


async def test_strategy() -> None:
    def make(strategy: int | None) -> web.Response:
        response = web.Response(text=TEXT)
        response.enable_compression(GZIP, strategy)
        return response

    plain = await ask(answering(lambda: make(None)), request())
    huffman = await ask(answering(lambda: make(zlib.Z_HUFFMAN_ONLY)), request())
    assert gzip.decompress(huffman.body) == TEXT.encode()
    assert len(huffman.body) > 10 * len(plain.body)


async def test_forced_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowlevel.response.available", lambda: (DEFLATE, GZIP))
    response = web.Response(text=TEXT)
    for coding in (BR, ZSTD):
        with pytest.raises(RuntimeError, match=r"lowlevel\[compress\]"):
            response.enable_compression(coding)
    answer = await ask(answering(compressed_text), accepting("br, gzip;q=0.1"))
    assert answer.header("content-encoding") == "gzip"


async def test_curl(curl: str, tmp_path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.Response(body=await request.read())
        response.enable_compression()
        return response

    path = tmp_path / "body"
    path.write_bytes(gzip.compress(MANY))
    async with serving(handler) as server:
        process = await asyncio.create_subprocess_exec(
            *(curl, "-sS", "--compressed", "--data-binary", f"@{path}", "--max-time", "20"),
            *("-H", "Content-Encoding: gzip", "-D", "-", server.url()),
            stdout=subprocess.PIPE,
        )
        output, _ = await within(process.communicate())
    head, _, body = output.partition(b"\r\n\r\n")
    if b" 100 " in head:
        head, _, body = body.partition(b"\r\n\r\n")
    assert b"Content-Encoding: " in head
    assert body == MANY


# --- Bodies of requests --------------------------------------------------------------------------


async def echo(request: web.BaseRequest) -> web.Response:
    return web.Response(body=await request.read())


def sending(data: bytes, coding: str, *fields: str) -> bytes:
    return request("POST", "/", f"Content-Encoding: {coding}", *fields, body=data)


@pytest.mark.parametrize("coding", ENCODE)
async def test_a_compressed_request(coding: str) -> None:
    answer = await ask(echo, sending(ENCODE[coding](MANY), coding))
    assert answer.status == 200
    assert answer.body == MANY


async def test_raw_deflate_and_other_spellings() -> None:
    assert (await ask(echo, sending(zlib.compress(MANY, wbits=-15), "deflate"))).body == MANY
    assert (await ask(echo, sending(gzip.compress(MANY), "X-GZIP"))).body == MANY
    assert (await ask(echo, sending(b"plain", "identity"))).body == b"plain"


async def test_two_codings() -> None:
    data = brotli.compress(gzip.compress(MANY))
    assert (await ask(echo, sending(data, "gzip, br"))).body == MANY
    twice = request("POST", "/", "Content-Encoding: gzip", "content-encoding: br", body=data)
    assert (await ask(echo, twice)).body == MANY


async def test_a_compressed_request_in_chunks_and_pieces() -> None:
    data = gzip.compress(MANY)
    head = request("POST", "/", "Content-Encoding: gzip", "Transfer-Encoding: chunked")
    async with serving(echo) as server, Peer.connect(server.port) as peer:
        await peer.send(head)
        for start in range(0, len(data), 7):
            piece = data[start : start + 7]
            await peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await peer.send(b"0\r\n\r\n")
        assert (await peer.answer()).body == MANY
        assert (await peer.ask(sending(data, "gzip"))).body == MANY


async def test_the_next_request_of_a_connection() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        if request.path == "/echo":
            return await echo(request)
        return web.Response(text="not read")

    data = gzip.compress(MANY)
    async with serving(handler) as server, Peer.connect(server.port) as peer:
        assert (await peer.ask(sending(data, "gzip"))).body == b"not read"
        pipelined = request("POST", "/echo", "Content-Encoding: gzip", body=data)
        await peer.send(sending(data, "nonsense") + pipelined + pipelined)
        assert (await peer.answer()).body == b"not read"
        assert (await peer.answer()).body == MANY
        assert (await peer.answer()).body == MANY


async def test_auto_decompress_off() -> None:
    data = gzip.compress(MANY)
    async with serving(echo, auto_decompress=False) as server, Peer.connect(server.port) as peer:
        assert (await peer.ask(sending(data, "gzip"))).body == data
        assert (await peer.ask(sending(data, "nonsense"))).body == data


async def test_an_unknown_coding_is_a_415() -> None:
    async with serving(echo) as server, Peer.connect(server.port) as peer:
        answer = await peer.ask(sending(b"data", "compress"))
        assert answer.status == 415
        assert answer.header("accept-encoding") == "gzip, deflate, br, zstd"
        assert (await peer.ask(sending(gzip.compress(b"1"), "gzip"))).body == b"1"


async def test_an_unknown_coding_with_expect() -> None:
    """Whoever asks first does not need to send what nobody can read."""
    async with serving(echo) as server, Peer.connect(server.port) as peer:
        await peer.send(
            request(
                "POST",
                "/",
                "Content-Encoding: nonsense",
                "Content-Length: 1000",
                "Expect: 100-continue",
            )
        )
        assert (await peer.answer()).status == 415
        assert await peer.read_eof() == b""


async def test_expect() -> None:
    data = gzip.compress(MANY)
    async with serving(echo) as server, Peer.connect(server.port) as peer:
        length = f"Content-Length: {len(data)}"
        await peer.send(
            request("POST", "/", "Content-Encoding: gzip", length, "Expect: 100-continue")
        )
        assert (await peer.read_head()).startswith(b"HTTP/1.1 100 ")
        await peer.send(data)
        assert (await peer.answer()).body == MANY


async def test_a_missing_library_is_a_415(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowlevel.protocol.content_decoder.load_brotli", lambda: None)
    answer = await ask(echo, sending(brotli.compress(b"1"), "br"))
    assert answer.status == 415
    assert answer.header("accept-encoding") == "gzip, deflate, zstd"


@pytest.mark.parametrize(
    "data",
    [b"not gzip", gzip.compress(MANY)[:-1], gzip.compress(MANY) + b"junk"],
    ids=["other", "cut", "more"],
)
async def test_bad_data_is_a_400(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    answer = await ask(echo, sending(data, "gzip"))
    assert answer.status == 400
    assert answer.header("connection") == "close"
    assert b"gzip" in answer.body
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_bad_data_can_be_handled() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        try:
            await request.read()
        except web.RequestPayloadError as exc:
            assert request.content.exception() is exc
            return web.Response(text="handled")
        return web.Response(text="nothing happened")

    async with serving(handler) as server, Peer.connect(server.port) as peer:
        assert (await peer.ask(sending(b"not gzip", "gzip"))).body == b"handled"
        await peer.send(request("POST", "/", "Content-Encoding: gzip", "Content-Length: 100000"))
        await peer.send(b"not gzip")
        assert (await peer.answer()).body == b"handled"
        await peer.send(bytes(100000 - 8))
        assert (await peer.ask(sending(gzip.compress(b"1"), "gzip"))).body == b"nothing happened"


async def test_a_body_that_is_cut_off() -> None:
    failures: list[BaseException] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        try:
            await request.read()
        except ConnectionResetError as exc:
            failures.append(exc)
            raise
        raise AssertionError("it was never complete")

    data = gzip.compress(MANY)
    async with serving(handler) as server:
        async with Peer.connect(server.port) as peer:
            await peer.send(sending(data, "gzip")[:-5])
        await until(lambda: failures, "the end of the handler")
        await server.idle()


async def test_reading_after_the_response() -> None:
    late: list[BaseException] = []
    requests: list[web.BaseRequest] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        requests.append(request)
        assert await request.content.readexactly(3) == MANY[:3]
        return web.Response(text="early")

    async with serving(handler) as server, Peer.connect(server.port) as peer:
        assert (await peer.ask(sending(gzip.compress(MANY), "gzip"))).body == b"early"
        try:
            await requests[0].content.readany()
        except web.PayloadAccessError as exc:
            late.append(exc)
    assert late


async def test_text_and_json() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.json_response({"got": await request.json()})

    answer = await ask(handler, sending(gzip.compress(b'{"a": 1}'), "gzip"))
    assert answer.body == b'{"got": {"a": 1}}'


async def test_release() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        await request.release()
        assert not request.can_read_body
        return web.Response(body=await request.content.readany())

    assert (await ask(handler, sending(gzip.compress(MANY), "gzip"))).body == b""


async def test_the_declared_length_says_nothing_of_the_limit() -> None:
    small = gzip.compress(b"small") + gzip.compress(b"") * 50
    assert len(small) > 1000
    async with serving(echo, client_max_size=1000) as server, Peer.connect(server.port) as peer:
        assert (await peer.ask(sending(small, "gzip"))).body == b"small"
        assert (await peer.ask(sending(gzip.compress(bytes(1000)), "gzip"))).status == 200
        assert (await peer.ask(sending(gzip.compress(bytes(1001)), "gzip"))).status == 413


async def test_a_declared_length_far_beyond_the_limit_is_a_413_at_once() -> None:
    """Nothing that is worth its coding is twice as long, and a MiB more."""
    most = 2 * 1000 + 2**20
    async with serving(echo, client_max_size=1000) as server:
        async with Peer.connect(server.port) as peer:
            await peer.send(
                request("POST", "/", "Content-Encoding: gzip", f"Content-Length: {most + 1}")
            )
            assert (await peer.answer()).status == 413
        async with Peer.connect(server.port) as peer:
            await peer.send(
                request("POST", "/", "Content-Encoding: gzip", f"Content-Length: {most}")
            )
            await peer.send(gzip.compress(b"waited for") + bytes(100))
            # The zeros are no gzip.
            assert (await peer.answer()).status == 400


async def test_nothing_at_length_is_a_400() -> None:
    """Empty blocks without end: no limit of what comes out would ever be reached."""
    nothing = b"\x78\x9c" + b"\0\0\0\xff\xff" * 600_000
    async with serving(echo, client_max_size=0) as server, Peer.connect(server.port) as peer:
        await peer.send(sending(nothing, "deflate"))
        answer = await peer.answer()
    assert answer.status == 400
    assert b"much shorter than its coding" in answer.body


async def test_a_handler_that_outlives_bad_data_sees_the_client_leave() -> None:
    """What came behind it had stopped the reading."""
    left = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        await until(lambda: request.content.received_bytes > 2**17, "more than is buffered")
        with pytest.raises(web.RequestPayloadError):
            await request.content.readany()
        assert await request.wait_disconnected()
        left.set()
        return web.Response()

    async with serving(handler, read_bufsize=2**16) as server:
        async with Peer.connect(server.port) as peer:
            head = request("POST", "/", "Content-Encoding: gzip", "Content-Length: 100000000")
            await peer.send(head + b"no gzip" + bytes(2**19))
        await within(left.wait())


# --- Bombs ---------------------------------------------------------------------------------------

GIB = 2**30


def bombs() -> dict[str, tuple[str, bytes]]:
    """What is small and inflates to a GiB, or to one that inflates to more."""
    block = bytes(2**24)
    gzipped = gzip.compress(block, 6) * 64
    zstded = zstd.compress(block) * 64
    compressor = brotli.Compressor(quality=1)
    brotlied = b"".join(compressor.process(block) for _ in range(64)) + compressor.finish()
    return {
        "gzip": ("gzip", gzipped),
        "br": ("br", brotlied),
        "zstd": ("zstd", zstded),
        "gzip, gzip": ("gzip, gzip", gzip.compress(gzipped)),
        "gzip, br": ("gzip, br", brotli.compress(gzipped, quality=5)),
        "br, zstd": ("br, zstd", zstd.compress(brotlied)),
    }


# Serves itself one bomb, read in each way, and tells how much memory that took.
_SERVE_A_BOMB = """
import asyncio, re, sys
import lowlevel as web

async def handler(request):
    if request.path == "/read":
        return web.Response(body=await request.read())
    if request.path == "/release":
        await request.release()
        return web.Response(text="released")
    size = 0
    async for piece in request.content.iter_any():
        size = max(size, len(piece))
        if request.content.total_bytes > 50_000_000:
            break
    return web.Response(text=str(size))

def peak():
    # Not ru_maxrss, which begins with what the parent had.
    with open("/proc/self/status") as status:
        return int(re.search("VmHWM:\\\\s+([0-9]+) kB", status.read())[1])

async def send(port, path, coding, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\nContent-Encoding: {coding}"
    writer.write(f"{head}\\r\\nContent-Length: {len(data)}\\r\\n\\r\\n".encode() + data)
    answer = await reader.read()
    writer.close()
    return answer

async def main():
    coding = sys.argv[1]
    data = sys.stdin.buffer.read()
    server = web.Server(handler, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    await send(port, "/read", "identity", b"x")
    before = peak()
    for path in ("/read", "/release", "/stream"):
        answer = await send(port, path, coding, data)
        print(answer.split()[1].decode(), answer.split()[-1].decode())
    print((peak() - before) // 1024)
    listener.close()
    await server.shutdown(1)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def all_bombs() -> dict[str, tuple[str, bytes]]:
    return bombs()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", ["gzip", "br", "zstd", "gzip, gzip", "gzip, br", "br, zstd"])
def test_a_bomb_in_a_request_body_as_in_cve_2025_69223(
    name: str, all_bombs: dict[str, tuple[str, bytes]]
) -> None:
    """aiohttp held all that a compressed body inflated to. Here it costs the limit, windows and buffers."""
    coding, data = all_bombs[name]
    assert len(data) < 1_100_000
    result = subprocess.run(
        [sys.executable, "-c", _SERVE_A_BOMB, coding],
        input=data,
        capture_output=True,
        timeout=35,
        cwd=Path(__file__).parent.parent,
    )
    assert result.returncode == 0, result.stderr.decode()
    read, released, streamed, mebibytes = result.stdout.decode().splitlines()
    assert read.startswith("413 ")
    assert released == "200 released"
    status, largest = streamed.split()
    assert status == "200"
    assert int(largest) <= 65536
    # The limit of 1 MiB twice while it is joined, what came, libraries and their windows of some MiB.
    assert int(mebibytes) < 16, f"{mebibytes} MiB"


async def test_bombs_do_not_stop_others(all_bombs: dict[str, tuple[str, bytes]]) -> None:
    coding, data = all_bombs["gzip"]
    reading = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        if request.method == "GET":
            return web.Response(text="fine")
        async for _ in request.content.iter_any():
            reading.set()
            if request.content.total_bytes > GIB // 4:
                break
        return web.Response(text="done")

    async with (
        serving(handler) as server,
        Peer.connect(server.port) as bomber,
        Peer.connect(server.port) as peer,
    ):
        await bomber.send(sending(data, coding))
        await within(reading.wait())
        for _ in range(5):
            assert (await peer.ask(request())).body == b"fine"
        assert (await bomber.answer()).body == b"done"
