"""The tables of docs/security.rst: limits as they are in the code, and each of them gone beyond once."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import logging
import re
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import brotli  # type: ignore[import-untyped]
import pytest

import lowlevel as web
from lowlevel import connection, forms, multipart, server, urlencoded
from lowlevel.protocol import content_coding, content_decoder, http1
from lowlevel.protocol.content_coding import load_zstd
from lowlevel.protocol.http1 import ParserLimits
from lowlevel.toolkit import static
from tests.formdata import (
    CHUNKED,
    Forms,
    answered,
    field,
    in_chunks,
    part,
    sending,
)
from tests.formdata import multipart as parts
from tests.program import ROOT
from tests.support import Answer, Peer, request, serving, until, within
from tests.wsframes import PING, TEXT, WSPeer, frame, handshake, talk, text

PAGE = (ROOT / "docs/security.rst").read_text("utf-8")
zstd: Any = load_zstd()

# --- The tables ---------------------------------------------------------------------------

_BORDER = re.compile(r"^=+(?: +=+)+$")


def tables(heading: str) -> list[list[list[str]]]:
    """The tables below a heading: rows of cells, without their heads."""
    section = re.split(rf"^{heading}\n-+\n", PAGE, flags=re.MULTILINE)[1]
    lines = re.split(r"^-{3,}$", section, flags=re.MULTILINE)[0].splitlines()
    borders = [number for number, line in enumerate(lines) if _BORDER.match(line)]
    found = []
    for top, start, end in zip(borders[::3], borders[1::3], borders[2::3], strict=True):
        columns = [match.start() for match in re.finditer("=+", lines[top])]
        ends = [*columns[1:], None]
        rows: list[list[str]] = []
        for line in lines[start + 1 : end]:
            cells = [line[a:b].strip() for a, b in zip(columns, ends, strict=True)]
            if cells[0]:
                rows.append(cells)
            else:
                rows[-1] = [f"{a} {b}".strip() for a, b in zip(rows[-1], cells, strict=True)]
        found.append(rows)
    return found


class Limit(NamedTuple):
    """A row: where it stands, the option or what is limited, the limit, what is beyond it."""

    table: str
    name: str
    limit: str
    beyond: str

    def __str__(self) -> str:
        return f"{self.table}: {self.name}"


_TABLES = ("Server", "connection", "bodies", "WebSocket", "runner")
LIMITS = [
    Limit(table, row[0], row[1], row[-1])
    for table, rows in zip(_TABLES, tables("Limits"), strict=True)
    for row in rows
]

_UNITS = {"KiB": 1024, "MiB": 1024**2}


def number(shown: str) -> float | None:
    """The number that is meant by ``256 KiB``, ``30 s``, ``none``."""
    if shown == "none":
        return None
    count, _, unit = shown.partition(" ")
    return float(count) * _UNITS.get(unit, 1)


# --- Limits are those of the code ---------------------------------------------------------


def defaults_of(function: Callable[..., object]) -> dict[str, Any]:
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }


OPTIONS: dict[str, dict[str, Any]] = {
    "Server": defaults_of(web.Server),
    "WebSocket": defaults_of(web.WebSocketResponse),
    "runner": defaults_of(web.ServerRunner),
}


async def default_max_fields() -> int:
    found: list[int] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        found.append(request.client_max_fields)
        return web.Response()

    await answered(handler, request())
    return found[0]


_server = OPTIONS["Server"]
_parser = ParserLimits()

WITHOUT_OPTION: dict[str, object] = {
    "a head in all": _parser.max_head_size,
    "trailer fields": _server["max_headers"],
    "framing of chunks, extensions, trailers": (
        _parser.max_head_size + 2 * _parser.max_field_size + http1._CHUNK_ALLOWANCE
    ),
    "bytes read only to be dropped": connection._DRAIN_LIMIT,
    "bytes behind an offer of a WebSocket": _server["read_bufsize"],
    "lines a second about refused requests": server._REFUSALS_PER_SECOND,
    "fields that are no files, together": urlencoded.FIELDS_LIMIT,
    "a file in memory": forms._IN_MEMORY,
    "files in memory, together": forms._IN_MEMORY_TOGETHER,
    "files on disk": forms._OPEN_FILES,
    "multipart bodies in one another": multipart._DEEPEST,
    "header fields of a part": defaults_of(web.MultipartReader)["max_headers"],
    "a header field of a part": defaults_of(web.MultipartReader)["max_field_size"],
    "boundary": 70,
    "a line of a part": multipart._LONGEST_LINE,
    "a compressed body, inflated": _server["client_max_size"],
    "input above twice the output": content_decoder.SURPLUS,
    "gzip members or zstd frames": content_decoder._FREE_STREAMS,
    "window of zstd": 1 << content_decoder._ZSTD_WINDOW_BITS,
    "window of br": 1 << content_decoder._BROTLI_WINDOW_BITS,
    "content codings in one another": content_coding._MAX_CODINGS,
    "ranges in one ``Range``": 1,
    "entries of a listed folder": static._MOST_ENTRIES,
    "payload of a ping or pong": 125,
    "messages that nobody received": _server["read_bufsize"],
}


async def test_the_limits_are_those_of_the_code() -> None:
    wrong = []
    for limit in LIMITS:
        option = re.match("``([a-z_]+)``", limit.name)
        if option is None:
            actual = WITHOUT_OPTION[limit.name]
        elif option[1] == "client_max_fields":
            actual = await default_max_fields()
        else:
            actual = OPTIONS[limit.table][option[1]]
        if number(limit.limit) != actual:
            wrong.append(f"{limit} is {actual}, not {limit.limit}")
    assert not wrong


@pytest.mark.parametrize("table", ["Server", "WebSocket"])
def test_no_option_that_is_a_limit_is_left_out(table: str) -> None:
    """A number is a limit, but for one that has no effect; so is None where a number may be."""
    numbers = {
        name
        for name, default in OPTIONS[table].items()
        if type(default) in (int, float) and name != "timeout_ceil_threshold"
    }
    numbers |= {"receive_timeout", "heartbeat"} & OPTIONS[table].keys()
    assert {f"``{name}``" for name in numbers} <= {
        limit.name for limit in LIMITS if limit.table == table
    }


def test_the_memory_of_a_pipelining_client() -> None:
    whole = (_server["max_pipelined"] + 1) * 2 * _server["read_bufsize"]
    assert f"each with a body                     {whole / 2**20} MiB: " in PAGE


# --- And each is gone beyond --------------------------------------------------------------

Scenario = Callable[[], Awaitable[str]]
SCENARIOS: dict[str, Scenario] = {}


def beyond(name: str) -> Callable[[Scenario], Scenario]:
    """The function goes beyond this limit, and returns what came of it, as the table should tell."""

    def register(function: Scenario) -> Scenario:
        assert name not in SCENARIOS
        SCENARIOS[name] = function
        return function

    return register


async def hello(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="hello")


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=await request.read())


async def outcome(data: bytes, handler: Any = echo, **options: Any) -> str:
    """Send bytes; return the status, and whether the connection ends."""
    async with serving(handler, **options) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(data)
        if answer.header("connection") != "close":
            return str(answer.status)
        assert await peer.read_eof() == b""
        return f"{answer.status}, closed"


@beyond("``max_line_size``")
async def _() -> str:
    assert await outcome(request("GET", "/" + "a" * 8189)) == "200"
    return await outcome(request("GET", "/" + "a" * 8190))


@beyond("``max_field_size``")
async def _() -> str:
    assert await outcome(request("GET", "/", "X: " + "y" * 8190)) == "200"
    of_a_name = await outcome(request("GET", "/", "X" * 8191 + ": y"))
    assert of_a_name == await outcome(request("GET", "/", "X: " + "y" * 8191))
    return of_a_name


@beyond("``max_headers``")
async def _() -> str:
    assert await outcome(request("GET", "/", *["X: y"] * 127)) == "200"  # and Host
    return await outcome(request("GET", "/", *["X: y"] * 128))


@beyond("``head_timeout``")
async def _() -> str:
    return await outcome(b"GET / HTTP/1.1\r\n", head_timeout=0.05)


@beyond("``keepalive_timeout``")
async def _() -> str:
    async with serving(hello, keepalive_timeout=0.05) as site:
        for first in (b"", request()):
            async with Peer.connect(site.port) as peer:
                if first:
                    assert (await peer.ask(first)).status == 200
                assert await peer.read_eof() == b""
    return "closed"


@beyond("``body_timeout``")
async def _() -> str:
    return await outcome(request("POST", "/", "Content-Length: 2") + b"x", body_timeout=0.05)


@beyond("``write_timeout``")
async def _() -> str:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(2**20))

    async with (
        serving(handler, write_timeout=0.05) as site,
        Peer.connect(site.port, reading=False) as peer,
    ):
        await peer.send(request())
        await until(lambda: site.server.requests_count, "the request")
        await site.idle()
        return "cut off"


@beyond("``lingering_time``")
async def _() -> str:
    async with serving(hello, lingering_time=0.05) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("POST", "/", "Content-Length: 10") + b"never all")
        assert answer.status == 200
        assert await peer.read_eof() == b""
    return "closed"


@beyond("``client_max_size``")
async def _() -> str:
    body = bytes(2**20 + 1)
    assert await outcome(request("POST", "/", body=body[1:])) == "200"
    in_one = await outcome(request("POST", "/", f"Content-Length: {len(body)}"))
    head = request("POST", "/", CHUNKED)
    assert in_one == await outcome(head + in_chunks(body, end=b""))
    return in_one


def paused(site: Any) -> bool:
    return any(one._pauses for one in site.server.connections)


@beyond("``max_pipelined``")
async def _() -> str:
    """Small requests come many in one read: what counts is that no more is read then."""
    go = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await go.wait()
        return web.Response()

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        one = request()
        await peer.send(one)
        await until(lambda: site.server.requests_count, "the first")
        await peer.send(one * 31)
        [connection] = site.server.connections
        await until(lambda: len(connection._queue or ()) == 31, "those that wait")
        assert not paused(site)
        await peer.send(one)
        await until(lambda: paused(site), "a pause")
        go.set()
        for _ in range(33):
            assert (await peer.answer()).status == 200
    return "not read from"


@beyond("``read_bufsize``")
async def _() -> str:
    go = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await go.wait()
        return await echo(request)

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        size = 2**19
        await peer.send(request("POST", "/", f"Content-Length: {size + 2**18}"))
        await peer.send(bytes(size - 10_000))
        [connection] = site.server.connections
        await until(lambda: connection._body._size == size - 10_000, "what fits")
        assert not paused(site)
        await peer.send(bytes(2**18 + 10_000))
        await until(lambda: paused(site), "a pause")
        go.set()
        assert (await peer.answer()).status == 200
    return "not read from"


@beyond("a head in all")
async def _() -> str:
    return await outcome(request("GET", "/", *["X: " + "y" * 8000] * 10))


@beyond("trailer fields")
async def _() -> str:
    head = request("POST", "/", CHUNKED) + b"0\r\n"
    assert await outcome(head + b"X: y\r\n" * 128 + b"\r\n") == "200"
    return await outcome(head + b"X: y\r\n" * 129 + b"\r\n")


@beyond("framing of chunks, extensions, trailers")
async def _() -> str:
    head = request("POST", "/", CHUNKED)
    chunk = b"1;" + b"x" * 10_000 + b"\r\ny\r\n"
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        await peer.send(head)
        for _ in range(11):
            await peer.send(chunk)
        answer = await peer.answer()
        assert await peer.read_eof() == b""
        return f"{answer.status}, closed"


@beyond("bytes read only to be dropped")
async def _() -> str:
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(request("POST", "/", CHUNKED))).status == 200
        with pytest.raises(ConnectionError):
            for _ in range(64):
                await peer.send(in_chunks(bytes(2**20), end=b""))
        await site.idle()
    return "cut off"


@beyond("bytes behind an offer of a WebSocket")
async def _() -> str:
    go = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await go.wait()
        raise web.HTTPForbidden

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(handshake())
        await until(lambda: site.server.requests_count, "the handshake")
        await peer.send(bytes(2**18 + 1))
        await until(lambda: paused(site), "a pause")
        go.set()
        assert (await peer.answer()).status == 403
    return "not read from"


@beyond("lines a second about refused requests")
async def _() -> str:
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger = logging.Logger("refusals")
    logger.addHandler(Handler())
    async with serving(hello, logger=logger) as site:
        for _ in range(40):
            async with Peer.connect(site.port) as peer:
                assert (await peer.ask(b"junk\r\n\r\n")).status == 400
        await until(lambda: lines[-1].endswith("more"), "the count")
    assert len(lines) < 40
    assert all(line.startswith("Refused what ") for line in lines[:10])
    assert re.fullmatch(r"Refused \d+ more", lines[-1])
    return "counted"


async def of_a_form(data: bytes, *, post: dict[str, Any] | None = None) -> Answer:
    return await answered(Forms(**(post or {})).handle, data)


@beyond("``client_max_fields`` of a form")
async def _() -> str:
    kind = "application/x-www-form-urlencoded"
    assert (await of_a_form(sending(b"&".join([b"a=1"] * 1000), kind))).status == 200
    refused = await of_a_form(sending(b"&".join([b"a=1"] * 1001), kind))
    assert (await of_a_form(sending(parts(*[field("a", b"1")] * 1000)))).status == 200
    assert (await of_a_form(sending(parts(*[field("a", b"1")] * 1001)))).status == refused.status
    return str(refused.status)


@beyond("fields that are no files, together")
async def _() -> str:
    data = sending(parts(*[field("a", bytes(2**20))] * 10))
    return str((await of_a_form(data, post={"max_size": 2**25})).status)


async def files_on_disk(*sizes: int) -> list[bool]:
    """Send files of these sizes; return which of them are not in memory."""
    found: list[bool] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        form = await request.post(max_size=0)
        for value in form.values():
            assert isinstance(value, web.FileField)
            found.append(type(value.file).__name__ != "BytesIO")
        return web.Response()

    files = [field("f", bytes(size), filename="f") for size in sizes]
    assert (await answered(handler, sending(parts(*files)))).status == 200
    return found


@beyond("a file in memory")
async def _() -> str:
    assert await files_on_disk(2**20, 2**20 + 1) == [False, True]
    return "to disk"


@beyond("files in memory, together")
async def _() -> str:
    assert await files_on_disk(*[2**20] * 9) == [False] * 8 + [True]
    return "to disk"


@beyond("files on disk")
async def _() -> str:
    numbers = iter(range(201))

    def upload_to(filename: str) -> str:
        return str(folder() / f"{next(numbers)}")

    options = {"upload_to": upload_to}
    file = field("f", b"x", filename="f")
    assert (await of_a_form(sending(parts(*[file] * 100)), post=options)).status == 200
    return str((await of_a_form(sending(parts(*[file] * 101)), post=options)).status)


async def read_parts(request: web.BaseRequest) -> web.Response:
    """Read all there is, parts within parts."""

    async def read(reader: Any) -> None:
        async for one in reader:
            if isinstance(one, web.MultipartReader):
                await read(one)
            else:
                await one.read()

    await read(await request.multipart())
    return web.Response()


def nested(depth: int) -> bytes:
    """A body of so many multipart bodies, one in another."""
    body = parts(part(b"x", "Content-Type: text/plain"), boundary=f"b{depth}")
    for level in range(depth - 1, 0, -1):
        kind = f"Content-Type: multipart/mixed; boundary=b{level + 1}"
        body = parts(part(body, kind), boundary=f"b{level}")
    return sending(body, "multipart/mixed; boundary=b1")


@beyond("multipart bodies in one another")
async def _() -> str:
    assert (await answered(read_parts, nested(16))).status == 200
    return str((await answered(read_parts, nested(17))).status)


@beyond("header fields of a part")
async def _() -> str:
    fields = [f"X-{count}: y" for count in range(128)]
    assert (await of_a_form(sending(parts(field("a", b"1", *fields[1:]))))).status == 200
    return str((await of_a_form(sending(parts(field("a", b"1", *fields))))).status)


@beyond("a header field of a part")
async def _() -> str:
    return str((await of_a_form(sending(parts(field("a", b"1", "X: " + "y" * 8300))))).status)


@beyond("boundary")
async def _() -> str:
    statuses = []
    for size in (70, 71):
        mark = "b" * size
        body = parts(field("a", b"1"), boundary=mark)
        kind = f"multipart/form-data; boundary={mark}"
        statuses.append((await of_a_form(sending(body, kind))).status)
    assert statuses[0] == 200
    return str(statuses[1])


@beyond("a line of a part")
async def _() -> str:
    raised: list[str] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        reader = await request.multipart()
        first = await reader.next()
        assert isinstance(first, web.BodyPartReader)
        try:
            await first.readline()
        except ValueError as exc:
            raised.append(f"``{type(exc).__name__}``")
        return web.Response()

    for size in (2**19, 2**19 + 1):
        await answered(handler, sending(parts(field("a", b"x" * size + b"\n"))))
    assert len(raised) == 1 or raised[0] == raised[-1]
    return raised[-1]


async def of_a_coded_body(body: bytes, coding: str) -> str:
    data = request("POST", "/", f"Content-Encoding: {coding}", body=body)
    return str((await answered(echo, data)).status)


@beyond("a compressed body, inflated")
async def _() -> str:
    assert await of_a_coded_body(gzip.compress(bytes(2**20)), "gzip") == "200"
    return await of_a_coded_body(gzip.compress(bytes(2**20 + 1)), "gzip")


@beyond("input above twice the output")
async def _() -> str:
    """Empty blocks of deflate: bytes that say nothing."""
    empty = b"\x00\x00\x00\xff\xff"
    data = b"\x78\x9c" + empty * (2**20 // len(empty) + 10_000)
    head = request("POST", "/", "Content-Encoding: deflate", CHUNKED)
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        await peer.send(head)
        await peer.send(in_chunks(data, end=b""))
        return str((await peer.answer()).status)


@beyond("gzip members or zstd frames")
async def _() -> str:
    member = gzip.compress(b"")
    assert await of_a_coded_body(member * 64, "gzip") == "200"
    refused = await of_a_coded_body(member * 66, "gzip")
    assert await of_a_coded_body(zstd.compress(b"") * 66, "zstd") == refused
    return refused


@beyond("window of zstd")
async def _() -> str:
    statuses = []
    for log in (23, 24):
        options = {zstd.CompressionParameter.window_log: log}
        compressor = zstd.ZstdCompressor(options=options)
        # Known to be small, content would have a window of its size.
        data = compressor.compress(b"a" * 100) + compressor.compress(b"b") + compressor.flush()
        statuses.append(await of_a_coded_body(data, "zstd"))
    assert statuses[0] == "200"
    return statuses[1]


@beyond("window of br")
async def _() -> str:
    assert await of_a_coded_body(brotli.compress(b"a", lgwin=22), "br") == "200"
    return await of_a_coded_body(brotli.compress(b"a", lgwin=24), "br")


@beyond("content codings in one another")
async def _() -> str:
    twice = gzip.compress(zlib.compress(b"a"))
    assert await of_a_coded_body(twice, "deflate, gzip") == "200"
    return await of_a_coded_body(gzip.compress(twice), "deflate, gzip, gzip")


@beyond("ranges in one ``Range``")
async def _() -> str:
    path = folder() / "file"
    path.write_bytes(b"0123456789")

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.FileResponse(path)

    one = await answered(handler, request("GET", "/", "Range: bytes=1-2"))
    assert (one.status, one.body) == (206, b"12")
    two = await answered(handler, request("GET", "/", "Range: bytes=1-2,4-5"))
    assert two.body == b"0123456789"
    return str(two.status)


@beyond("entries of a listed folder")
async def _() -> str:
    def fill() -> Any:
        for count in range(10_001):
            (folder() / f"{count}").touch()
        return web.StaticFiles(folder(), show_index=True)

    page = (await answered(await asyncio.to_thread(fill), request())).body
    assert page.count(b"<li><a") == 10_000
    return '"and more"' if b"<li>and more</li>" in page else ""


async def receive_all(ws: web.WebSocketResponse) -> int | None:
    async for _ in ws:
        pass
    return ws.close_code


@beyond("``max_msg_size``")
async def _() -> str:
    async with talk(receive_all) as peer:
        await peer.send(frame(TEXT, b"x" * 2**22))
        await peer.send(frame(TEXT, b"x" * (2**22 + 1))[:100])  # the length is enough
        code, _ = await peer.read_close()
        return str(code)


@beyond("``timeout``")
async def _() -> str:
    async def close(ws: web.WebSocketResponse) -> int | None:
        await ws.close()
        return ws.close_code

    async with talk(close, timeout=0.05) as peer:
        assert (await peer.read_close())[0] == 1000
        assert await peer.end() == 1006
        await peer.site.idle()
    return "cut off"


@beyond("``receive_timeout``")
async def _() -> str:
    async def receive(ws: web.WebSocketResponse) -> str:
        try:
            await ws.receive()
        except Exception as exc:
            return type(exc).__name__
        return ""

    async with talk(receive, receive_timeout=0.05) as peer:
        await peer.read_close()
        return f"``{await peer.end()}``"


@beyond("``heartbeat``")
async def _() -> str:
    async with talk(receive_all, heartbeat=0.05) as peer:
        assert (await peer.read_frame()).opcode == PING
        assert await peer.end() == 1006
        await peer.site.idle()
    return "cut off"


@beyond("``writer_limit``")
async def _() -> str:
    sent: list[int] = []

    async def send(ws: web.WebSocketResponse) -> None:
        with pytest.raises(ConnectionResetError):
            while True:
                await ws.send_bytes(bytes(2**16), compress=0)
                sent.append(2**16)

    async with talk(send) as peer:
        peer.pause()
        [connection] = peer.site.server.connections
        await until(lambda: connection._write_paused, "the limit")
        transport = connection.transport
        assert transport is not None
        count, waiting = len(sent), transport.get_write_buffer_size()
        assert 2**18 <= waiting <= 2**18 + 2**17
        peer.reset()
        await within(asyncio.shield(peer.outcome))
        assert len(sent) <= count + 1
    return "sending waits"


@beyond("payload of a ping or pong")
async def _() -> str:
    async with talk(receive_all) as peer:
        await peer.send(frame(PING, b"x" * 125))
        assert (await peer.read_frame()).payload == b"x" * 125
        await peer.send(frame(PING, b"x" * 126))
        return str((await peer.read_close())[0])


@beyond("messages that nobody received")
async def _() -> str:
    go = asyncio.Event()

    async def receive_late(ws: web.WebSocketResponse) -> None:
        await go.wait()
        await receive_all(ws)

    async with talk(receive_late) as peer:
        await peer.send(text("x" * 100_000))
        await peer.send(text("x" * 100_000))
        assert not paused(peer.site)
        await peer.send(text("x" * 100_000))
        await until(lambda: paused(peer.site), "a pause")
        go.set()
        await until(lambda: not paused(peer.site), "the end of the pause")
    return "not read from"


@beyond("``shutdown_timeout``")
async def _() -> str:
    ended: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return web.Response()

    runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with Peer.connect(runner.addresses[0][1]) as peer:
        await peer.send(request())
        assert runner.server is not None
        server = runner.server
        await until(lambda: server.requests_count, "the request")
        await within(runner.cleanup())
    [outcome] = ended
    return outcome


_folder: list[Path] = []


def folder() -> Path:
    """A folder for the scenario that runs."""
    return _folder[-1]


@pytest.mark.parametrize("limit", LIMITS, ids=str)
async def test_beyond(limit: Limit, tmp_path: Path) -> None:
    _folder.append(tmp_path)
    try:
        assert await SCENARIOS[limit.name]() == limit.beyond
    finally:
        _folder.pop()


def test_every_scenario_is_in_a_table() -> None:
    assert SCENARIOS.keys() == {limit.name for limit in LIMITS}


async def test_what_a_pipelining_client_can_make_the_server_hold() -> None:
    go = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await go.wait()
        return web.Response()

    size = 500_000  # as large as does not stop the client by itself
    one = request("POST", "/", body=bytes(size))
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        sending = asyncio.create_task(peer.send(one * 50))
        await until(lambda: paused(site), "a pause")
        [connection] = site.server.connections
        waiting: list[Any] = list(connection._queue or ())
        held = [connection._body, *[body for _, body in waiting]]
        total = sum(body._size for body in held)
        assert 15 * 2**20 < total < 16 * 2**20 + 2**18 + 2**19
        go.set()
        for _ in range(50):
            assert (await peer.answer()).status == 200
        await sending


# --- Requests that are refused ------------------------------------------------------------

REFUSED = {row[0]: row[1] for row in tables("Requests that are refused")[0]}

BAD: dict[str, list[bytes]] = {
    "both ``Content-Length`` and ``Transfer-Encoding``": [
        request("POST", "/", CHUNKED, "Content-Length: 5") + b"0\r\n\r\n",
        request("POST", "/", "Content-Length: 5", CHUNKED) + b"0\r\n\r\n",
    ],
    "more than one ``Content-Length``, even equal ones": [
        request("POST", "/", "Content-Length: 1", "Content-Length: 1") + b"x",
        request("POST", "/", "Content-Length: 1, 1") + b"x",
    ],
    "a ``Content-Length`` that is no plain number": [
        request("POST", "/", f"Content-Length: {value}") + b"x"
        for value in ("+1", "-1", "0x1", "1 1", "1_0", "x", "9" * 30)
    ],
    "``Transfer-Encoding`` that does not end in ``chunked``": [
        request("POST", "/", f"Transfer-Encoding: {value}") + b"0\r\n\r\n"
        for value in ("gzip", "identity", "chunked, gzip", "xchunked", "chunked\t")
    ],
    "any coding beside ``chunked``": [
        request("POST", "/", "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n"
    ],
    "``Transfer-Encoding`` in HTTP/1.0": [
        request("POST", "/", CHUNKED, version="1.0") + b"0\r\n\r\n"
    ],
    "a chunk whose size is no plain hexadecimal number": [
        request("POST", "/", CHUNKED) + size + b"\r\nx\r\n0\r\n\r\n"
        for size in (b"0x1", b"+1", b"-1", b" 1", b"x", b"", b"1" + b"0" * 20)
    ],
    "lines that end in LF alone": [
        b"GET / HTTP/1.1\nHost: a.test\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.test\nX: y\r\n\r\n",
    ],
    "white space between a name and its colon": [request("GET", "/", "X : y")],
    "folded header lines": [request("GET", "/", "X: y", " z")],
    "NUL, CR or another control character in a field": [
        request("GET", "/", f"X: y{control}z") for control in ("\0", "\r", "\x01", "\x7f")
    ],
    "no ``Host`` in HTTP/1.1, more than one, or a malformed one": [
        request(host=""),
        request("GET", "/", "Host: b.test"),
        request(host="a b"),
        request(host="a/b"),
        request(host="a@b"),
        request(host="a:99999"),
    ],
    "a malformed target, user or password in it": [
        request("GET", target)
        for target in ("a", "*", "http://", "http://user:password@a.test/", "/\x7f")
    ],
    "a method that is not known": [request("BREW"), request("get")],
    "HTTP/0.9 by name, HTTP/2.0": [request(version="0.9"), request(version="2.0")],
    "a version that there is not, such as 1.2": [
        request(version=version) for version in ("1.2", "1.10", "3.0")
    ],
}


@pytest.mark.parametrize("row", list(REFUSED))
async def test_refused(row: str) -> None:
    """The status of the table, and the end of the connection."""
    for data in BAD[row]:
        assert await outcome(data) == f"{REFUSED[row]}, closed", data


def test_every_bad_request_is_in_the_table() -> None:
    assert BAD.keys() == REFUSED.keys()


# --- What else the page says --------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        request("GET", "/", "Connection: close") + request("GET", "/smuggled"),
        request("POST", "/", "Connection: Upgrade", "Upgrade: h2c", body=b"x" * 10),
    ],
    ids=["behind the last message", "an offer nobody takes"],
)
async def test_bytes_that_are_no_request(data: bytes) -> None:
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(data)).status == 200
        peer.finish()
        assert await peer.read_eof() == b""
        assert site.server.requests_count == 1


async def test_nothing_is_believed_of_a_proxy() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=f"{request.remote} {request.scheme} {request.host}")

    fields = [
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: b.test",
        "X-Real-IP: 1.2.3.4",
        "Forwarded: for=1.2.3.4;proto=https;host=b.test",
    ]
    answer = await answered(handler, request("GET", "/", *fields))
    assert answer.body == b"127.0.0.1 http a.test"


async def test_a_middleware_may_believe_its_proxy() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        request = request.clone(remote="1.2.3.4", scheme="https")
        return web.Response(text=f"{request.remote} {request.scheme}")

    assert (await answered(handler, request())).body == b"1.2.3.4 https"


@pytest.mark.parametrize(
    "target", ["/../secret", "/%2e%2e/secret", "/..%2fsecret", "/a%00", "/link"]
)
async def test_no_way_out_of_a_folder(tmp_path: Path, target: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "link").symlink_to(tmp_path / "secret")
    files = await asyncio.to_thread(web.StaticFiles, tmp_path / "public")
    assert (await answered(files, request("GET", target))).status == 404


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\0b"])
async def test_no_field_is_injected(value: str, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(headers={"X-Name": value})

    answer = await answered(handler, request())
    assert answer.status == 500
    assert "x" not in answer.headers
    assert b"Traceback" not in answer.body
    assert "header injection refused" in caplog.text


async def test_a_handshake_is_accepted_from_every_origin() -> None:
    """As the page says, so that nobody relies on it."""
    async with talk(receive_all, "Origin: https://evil.example") as peer:
        assert isinstance(peer, WSPeer)
        peer.reset()
