"""Files that are served: how to make one, how to ask for it, and what an answer must agree with."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import lowlevel as web
from tests.support import Answer, Peer, request, serving

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

MTIME = 1_700_000_000
"""When a file was last changed, if nothing else is said: a whole second of November 2023."""


def date(seconds: float) -> str:
    """A time as it stands in a header field."""
    return formatdate(seconds, usegmt=True)


AT = date(MTIME)
BEFORE = date(MTIME - 1)
AFTER = date(MTIME + 1)


def noise(size: int) -> bytes:
    """Bytes in which every place looks different, the same ones each time."""
    return random.Random(size).randbytes(size)


def write(path: Path, data: bytes = b"0123456789", mtime: float = MTIME) -> Path:
    """Make a file with the time of its last change."""
    path.write_bytes(data)
    os.utime(path, ns=(round(mtime * 1e9),) * 2)
    return path


def etag(path: Path) -> str:
    """The entity tag of a file as it is sent."""
    status = path.stat()
    return f'"{status.st_mtime_ns:x}-{status.st_size:x}"'


def serves(path: Any, **options: Any) -> Handler:
    """A handler that sends a file."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.FileResponse(path, **options)

    return handler


async def fetch(path: Any, *fields: str, method: str = "GET", **options: Any) -> Answer:
    """Ask for a file with fields of a request; ``options`` are those of FileResponse.

    The connection must go on behind the answer: no byte too many or too few was sent.
    """
    async with serving(serves(path, **options)) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request(method, "/", *fields))
        again = await peer.ask(request("GET", "/again"))
        assert again.head.startswith(b"HTTP/1.1 ")
        assert len(site.server.connections) == 1
    return answer


def check_whole(answer: Answer, path: Path, method: str = "GET") -> None:
    """The answer is the whole file."""
    data = path.read_bytes()
    assert answer.status == 200
    assert answer.header("content-range") is None
    assert answer.header("content-length") == str(len(data))
    assert answer.body == (b"" if method == "HEAD" else data)


def check_part(answer: Answer, path: Path, start: int, stop: int) -> None:
    """The answer is ``file[start:stop]`` and says so."""
    data = path.read_bytes()
    assert answer.status == 206
    assert answer.header("content-range") == f"bytes {start}-{stop - 1}/{len(data)}"
    assert answer.header("content-length") == str(stop - start)
    assert answer.body == data[start:stop]


def check_refused(answer: Answer, status: int, method: str = "GET") -> None:
    """The answer is an error that says what it is, and claims nothing of the file."""
    assert answer.status == status
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    for name in ("etag", "last-modified", "accept-ranges", "content-encoding"):
        assert answer.header(name) is None
    if method == "HEAD":
        assert answer.body == b""
    else:
        assert answer.body.startswith(f"{status}: ".encode())


def check_not_modified(answer: Answer, path: Path, *, weak: bool = False) -> None:
    """The answer is a 304 with the validators of the file, and nothing of its content."""
    assert answer.status == 304
    assert answer.header("etag") == ("W/" if weak else "") + etag(path)
    assert answer.header("last-modified") is not None
    for name in ("content-length", "content-type", "content-encoding", "content-range"):
        assert answer.header(name) is None
    assert answer.header("transfer-encoding") is None
