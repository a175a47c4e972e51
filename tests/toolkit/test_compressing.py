"""The compression middleware: who gets what in which coding, and what is left alone."""

import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import brotli
import pytest

import lowlevel as web
from lowlevel.protocol.content_coding import ContentCoding, load_zstd
from lowlevel.toolkit import compressing as module
from lowlevel.toolkit.compressing import compression
from tests.support import Answer, Peer, request, serving

zstd: Any = load_zstd()
LONG = b"long enough to be worth it\n" * 100

DECODE: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "deflate": zlib.decompress,
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": zstd.decompress,
}


def wrapped(handler: Any, minimum_size: int = 512) -> Any:
    middleware = compression(minimum_size)

    async def outer(request: web.BaseRequest) -> web.StreamResponse:
        return await middleware(request, handler)

    return outer


def answering(make: Callable[[], web.StreamResponse]) -> Any:
    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        return make()

    return handler


async def ask(handler: Any, accepted: str | None, method: str = "GET", size: int = 512) -> Answer:
    fields = [] if accepted is None else [f"Accept-Encoding: {accepted}"]
    async with serving(wrapped(handler, size)) as server, Peer.connect(server.port) as peer:
        return await peer.ask(request(method, "/", *fields))


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip, deflate", "gzip"),
        ("deflate", "deflate"),
        ("deflate,gzip;q=0.9", "deflate"),
        ("*", "zstd"),
        ("zstd;q=0, *", "br"),
        ("gzip;q=0.3, br;q=0.2", "gzip"),
        ("identity;q=0, *;q=0.1", "zstd"),
        ("identity, gzip;q=0.5", None),
        ("gzip;q=0", None),
        ("compress", None),
        ("", None),
        (None, None),
    ],
)
async def test_negotiation(accepted: str | None, coding: str | None) -> None:
    answer = await ask(answering(lambda: web.Response(body=LONG)), accepted)
    assert answer.status == 200
    assert answer.header("content-encoding") == coding
    assert answer.header("vary") == "Accept-Encoding"
    assert DECODE[coding](answer.body) == LONG


@pytest.mark.parametrize("accepted", ["identity;q=0", "*;q=0", "gzip;q=0, br;q=0, *;q=0"])
async def test_nothing_acceptable_is_a_406_before_the_handler_runs(accepted: str) -> None:
    called: list[int] = []

    def make() -> web.Response:
        called.append(1)
        return web.Response(body=LONG)

    answer = await ask(answering(make), accepted)
    assert answer.status == 406
    assert answer.header("vary") == "Accept-Encoding"
    assert not called


@pytest.mark.parametrize(
    ("size", "accepted", "compressed"),
    [
        (99, "gzip", False),
        (100, "gzip", True),
        (99, "gzip, identity;q=0", True),
        (0, "gzip, identity;q=0", False),
    ],
)
async def test_minimum_size(size: int, accepted: str, compressed: bool) -> None:
    answer = await ask(answering(lambda: web.Response(body=bytes(size))), accepted, size=100)
    assert (answer.header("content-encoding") == "gzip") is compressed
    assert answer.header("vary") == "Accept-Encoding"


async def test_unknown_length_is_always_compressed() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"few"

    answer = await ask(answering(lambda: web.Response(body=pieces())), "gzip")
    assert answer.header("content-encoding") == "gzip"
    assert gzip.decompress(answer.body) == b"few"


async def test_a_declared_length_of_a_stream_counts() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "3"})
        await response.prepare(request)
        await response.write(b"few")
        return response

    answer = await ask(handler, "gzip")
    assert answer.header("content-encoding") is None
    assert answer.body == b"few"


async def test_a_response_that_the_handler_prepares() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        # By a clone, as some programs do.
        await response.prepare(request.clone(method="GET"))
        await response.write(LONG)
        await response.write_eof(b"end")
        return response

    answer = await ask(handler, "br")
    assert answer.header("content-encoding") == "br"
    assert brotli.decompress(answer.body) == LONG + b"end"


async def test_a_response_that_is_raised() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        raise web.HTTPOk(text="fine " * 200)

    answer = await ask(handler, "gzip")
    assert gzip.decompress(answer.body) == b"fine " * 200


async def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(LONG * 1000)
    answer = await ask(answering(lambda: web.FileResponse(path)), "gzip")
    assert answer.header("content-encoding") == "gzip"
    assert answer.header("transfer-encoding") == "chunked"
    assert answer.header("vary") == "Accept-Encoding"
    assert str(answer.header("etag")).startswith('W/"')
    assert gzip.decompress(answer.body) == LONG * 1000
    path.with_suffix(".txt.br").write_bytes(brotli.compress(LONG))
    answer = await ask(answering(lambda: web.FileResponse(path)), "br, gzip")
    assert answer.header("content-encoding") == "br"
    assert str(answer.header("etag")).startswith('"')
    assert brotli.decompress(answer.body) == LONG


@pytest.mark.parametrize("status", [204, 205, 301, 404, 500])
async def test_only_successful_answers(status: int) -> None:
    answer = await ask(answering(lambda: web.Response(status=status, body=LONG)), "gzip")
    assert answer.header("content-encoding") is None
    assert answer.header("vary") is None


@pytest.mark.parametrize("status", [206, 304])
@pytest.mark.parametrize(("kind", "vary"), [("text/plain", "Accept-Encoding"), ("image/png", None)])
async def test_what_stands_for_something_that_is_compressed(
    status: int, kind: str, vary: str | None
) -> None:
    """It is not compressed itself, but caches have to be told the same (RFC 9110 §15.4.5)."""
    answer = await ask(
        answering(lambda: web.Response(status=status, body=LONG, content_type=kind)), "gzip"
    )
    assert answer.header("content-encoding") is None
    assert answer.header("vary") == vary


async def test_parts_of_files_and_files_that_are_known(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(LONG)
    handler = wrapped(answering(lambda: web.FileResponse(path)))
    async with serving(handler) as server, Peer.connect(server.port) as peer:
        part = await peer.ask(request("GET", "/", "Accept-Encoding: gzip", "Range: bytes=0-9"))
        assert (part.status, part.body) == (206, LONG[:10])
        assert part.header("content-encoding") is None
        assert part.header("vary") == "Accept-Encoding"
        tag = f"If-None-Match: {part.header('etag')}"
        known = await peer.ask(request("GET", "/", "Accept-Encoding: gzip", tag))
        assert known.status == 304
        assert known.header("vary") == "Accept-Encoding"


@pytest.mark.parametrize("status", [200, 201, 202, 203, 299])
async def test_all_successful_answers(status: int) -> None:
    answer = await ask(answering(lambda: web.Response(status=status, body=LONG)), "gzip")
    assert answer.header("content-encoding") == "gzip"


@pytest.mark.parametrize(
    ("content_type", "compressed"),
    [
        ("text/html", True),
        ("application/json", True),
        ("application/octet-stream", True),
        ("image/svg+xml", True),
        ("image/bmp", True),
        ("font/ttf", True),
        ("image/png", False),
        ("IMAGE/PNG", False),
        ("image/jpeg", False),
        ("video/mp4", False),
        ("audio/mpeg", False),
        ("application/zip", False),
        ("application/gzip", False),
        ("font/woff2", False),
    ],
)
async def test_types(content_type: str, compressed: bool) -> None:
    answer = await ask(
        answering(lambda: web.Response(body=LONG, content_type=content_type)), "gzip"
    )
    assert (answer.header("content-encoding") == "gzip") is compressed
    assert (answer.header("vary") == "Accept-Encoding") is compressed


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Encoding": "identity"},
        {"Content-Encoding": "x-own"},
        {"Cache-Control": "no-transform"},
        {"Cache-Control": "max-age=3, No-Transform"},
    ],
)
async def test_what_the_handler_decided(headers: dict[str, str]) -> None:
    answer = await ask(answering(lambda: web.Response(body=LONG, headers=headers)), "gzip")
    assert answer.header("content-encoding") == headers.get("Content-Encoding")
    assert answer.header("vary") is None
    assert answer.body == LONG


async def test_a_response_that_has_enabled_compression_is_left_to_it() -> None:
    def make() -> web.Response:
        response = web.Response(body=b"short")
        response.enable_compression(ContentCoding.deflate)
        return response

    answer = await ask(answering(make), "gzip, br")
    assert answer.header("content-encoding") == "deflate"
    assert zlib.decompress(answer.body) == b"short"


async def test_head() -> None:
    def make() -> web.Response:
        return web.Response(body=LONG)

    got = await ask(answering(make), "gzip")
    told = await ask(answering(make), "gzip", "HEAD")
    assert told.header("content-encoding") == "gzip"
    assert told.header("content-length") == got.header("content-length")


async def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available", lambda: (ContentCoding.deflate, ContentCoding.gzip))
    answer = await ask(answering(lambda: web.Response(body=LONG)), "br, zstd, gzip;q=0.1")
    assert answer.header("content-encoding") == "gzip"
    answer = await ask(answering(lambda: web.Response(body=LONG)), "br, identity;q=0")
    assert answer.status == 406


async def test_a_websocket_passes() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("hello")
        await socket.close()
        return socket

    async with (
        serving(wrapped(handler)) as server,
        aiohttp.ClientSession() as client,
        client.ws_connect(server.url()) as socket,
    ):
        assert await socket.receive_str(timeout=10) == "hello"


async def test_many_requests_of_one_connection() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=LONG if request.path == "/long" else b"short")

    async with serving(wrapped(handler)) as server, Peer.connect(server.port) as peer:
        for path, encoding in (("/long", "gzip"), ("/short", None), ("/long", "gzip")):
            answer = await peer.ask(request("GET", path, "Accept-Encoding: gzip"))
            assert answer.header("content-encoding") == encoding


def test_minimum_size_is_checked() -> None:
    for wrong in ("1", 1.5, None, True):
        with pytest.raises(TypeError, match="minimum_size"):
            compression(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="minimum_size"):
        compression(-1)
    compression(0)
