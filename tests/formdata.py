"""Forms and multipart bodies, written byte by byte, and handlers that keep what was made of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import lowlevel as web
from lowlevel.body import StreamReader
from lowlevel.protocol.head import HttpVersion11, RequestHead
from tests.support import Answer, Peer, request, serving

BOUNDARY = "AaB03x"
FORM_DATA = f"multipart/form-data; boundary={BOUNDARY}"
MIXED = f"multipart/mixed; boundary={BOUNDARY}"
URLENCODED = "application/x-www-form-urlencoded"

CHUNKED = "Transfer-Encoding: chunked"

# --- Writing ------------------------------------------------------------------------------


def part(body: bytes, *fields: str) -> bytes:
    """A part: its header fields, the empty line and its body."""
    return "".join(f"{field}\r\n" for field in fields).encode() + b"\r\n" + body


def disposition(name: str, filename: str | None = None) -> str:
    """The Content-Disposition of a field, with quotes and backslashes escaped."""
    line = f'Content-Disposition: form-data; name="{escaped(name)}"'
    return line if filename is None else f'{line}; filename="{escaped(filename)}"'


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def field(name: str, body: bytes, *fields: str, filename: str | None = None) -> bytes:
    """A part of a form: Content-Disposition, further header fields, and the body."""
    return part(body, disposition(name, filename), *fields)


def multipart(
    *parts: bytes, boundary: str = BOUNDARY, preamble: bytes = b"", epilogue: bytes = b"\r\n"
) -> bytes:
    """A multipart body (RFC 2046 §5.1.1)."""
    line = b"--" + boundary.encode()
    return (
        preamble + b"".join(line + b"\r\n" + p + b"\r\n" for p in parts) + line + b"--" + epilogue
    )


def sending(body: bytes, kind: str | None = FORM_DATA, *fields: str, method: str = "POST") -> bytes:
    """A request with a body of this type; None is no Content-Type."""
    types = [] if kind is None else [f"Content-Type: {kind}"]
    return request(method, "/", *types, *fields, body=body)


def in_chunks(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + end


def sending_chunks(*pieces: bytes, kind: str = FORM_DATA) -> bytes:
    """A request with a chunked body."""
    return request("POST", "/", f"Content-Type: {kind}", CHUNKED) + in_chunks(*pieces)


# --- What came of it ----------------------------------------------------------------------


class File(NamedTuple):
    """A FileField with what was in its file."""

    filename: str
    content_type: str
    body: bytes


Entries = list[tuple[str, str | bytearray | File]]


async def shown(form: Any) -> Entries:
    """The fields of a form, with files read and put back to their start."""
    return [(name, await _shown(value)) for name, value in form.items()]


async def _shown(value: Any) -> str | bytearray | File:
    if not isinstance(value, web.FileField):
        assert type(value) in (str, bytearray)
        return value  # type: ignore[no-any-return]
    return File(value.filename, value.content_type, await content(value))


async def content(value: Any) -> bytes:
    """What is in a FileField, whose file must be at its start, and stays there."""
    assert isinstance(value, web.FileField)

    def read() -> bytes:
        assert value.file.tell() == 0
        data = value.file.read()
        value.file.seek(0)
        return data

    return await asyncio.to_thread(read)


class Forms:
    """A handler that reads forms, and keeps what it got; ``options`` are those of ``post``."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.got: list[Entries] = []
        self.errors: list[BaseException] = []
        self.files: list[Any] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            form = await request.post(**self.options)
        except BaseException as exc:
            self.errors.append(exc)
            raise
        self.files += [value.file for value in form.values() if isinstance(value, web.FileField)]
        self.got.append(await shown(form))
        return web.Response(text="taken")


async def posted(data: bytes, **options: Any) -> Entries:
    """Send a request; return what ``request.post()`` gave. ``options`` are the server's."""
    forms = Forms()
    answer = await answered(forms.handle, data, **options)
    assert answer.status == 200, (answer.head, answer.body)
    return forms.got[0]


async def answered(handler: Any, data: bytes, **options: Any) -> Answer:
    """Send a request; return the answer. ``options`` are the server's."""
    async with serving(handler, **options) as site, Peer.connect(site.port) as peer:
        return await peer.ask(data)


async def refused_form(data: bytes, **options: Any) -> web.RequestDecodeError:
    """Send a form that is none: a 400, and that is what post() raised."""
    forms = Forms()
    answer = await answered(forms.handle, data, **options)
    assert answer.status == 400, (answer.head, answer.body, forms.got)
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    (error,) = forms.errors
    assert isinstance(error, web.RequestDecodeError)
    assert isinstance(error, ValueError)
    return error


# --- Without a socket: for every way a body can be cut ------------------------------------


class _Source:
    """The connection as a body knows it."""

    def body_wanted(self) -> None: ...

    def pause_body(self) -> None: ...

    def resume_body(self) -> None: ...

    def at_end(self, request: web.BaseRequest, callback: Callable[[], None]) -> None: ...


class Fed:
    """A request whose body comes in pieces, each of them read before the next comes."""

    def __init__(self, kind: str, pieces: Iterable[bytes], **options: Any) -> None:
        head = RequestHead("POST", b"/", HttpVersion11, [(b"Content-Type", kind.encode())], True)
        self.pieces = pieces
        source: Any = _Source()
        self.body = StreamReader(source, 2**16)
        nobody: Any = None
        self.request = web.BaseRequest(
            head, self.body, source, nobody, nobody, asyncio.get_running_loop(), **options
        )
        self.feeder: asyncio.Task[None] | None = None

    async def _feed(self) -> None:
        for piece in self.pieces:
            self.body.feed_data(piece)
            for _ in range(3):
                await asyncio.sleep(0)
        self.body.feed_eof()

    async def __aenter__(self) -> web.BaseRequest:
        self.feeder = asyncio.create_task(self._feed())
        return self.request

    async def __aexit__(self, *exc_info: object) -> None:
        assert self.feeder is not None
        await self.feeder


class AllThere:
    """A body that has come: nobody who reads it ever waits."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def readany(self) -> bytes:
        data, self._data = self._data, b""
        return data


@asynccontextmanager
async def others_turns() -> AsyncIterator[list[int]]:
    """Another task, which counts its turns of the event loop in the only number of the list."""
    count = [0]

    async def run() -> None:
        while True:
            count[0] += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(run())
    try:
        yield count
    finally:
        other.cancel()


def every_split(data: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Cut bytes in two at every place."""
    return ((data[:at], data[at:]) for at in range(1, len(data)))


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


# --- What is left -------------------------------------------------------------------------


def open_under(folder: Path) -> list[str]:
    """The files below a folder that this process has open, removed ones too."""
    links = Path("/proc/self/fd")
    if not links.exists():
        pytest.skip("open files cannot be listed here")
    found = []
    for link in links.iterdir():
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith(str(folder)):
            found.append(target)
    return found
