"""Bodies of responses that are not plain bytes: files and streams, sent piece by piece."""

from __future__ import annotations

import asyncio
import codecs
import inspect
import io
import mimetypes
import os
import stat
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import IO, Any, Final

from .body import StreamReader
from .protocol.headers import content_disposition

__all__ = ("FilePayload", "Payload", "StreamPayload", "as_payload", "guess_type")

_CHUNK_SIZE: Final = 262144

UNKNOWN_TYPE: Final = "application/octet-stream"


class Payload:
    """A body that is sent in pieces.

    Attributes:
        size: Its length in bytes, None when it is not known.
        content_type: The media type to use when none is given.
        headers: Further header fields to use when not given.
    """

    size: int | None = None
    content_type = UNKNOWN_TYPE
    headers: dict[str, str]

    def __init__(self) -> None:
        self.headers = {}

    def decode(self, encoding: str = "utf-8") -> str:
        """Return the body as text.

        Raises:
            TypeError: It can be read only once, while it is sent.
        """
        raise TypeError(f"{type(self).__name__} cannot be read as text")

    def pieces(self) -> AsyncIterator[bytes]:
        """Iterate over the body."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of what the body holds. Called whether it was sent or not."""


class StreamPayload(Payload):
    """An async iterable of bytes, or a function without arguments that returns one."""

    def __init__(self, source: AsyncIterable[Any] | Callable[[], AsyncIterable[Any]]) -> None:
        super().__init__()
        self._source = source
        self._iterator: AsyncIterator[Any] | None = None

    def pieces(self) -> AsyncIterator[bytes]:
        source = self._source
        if not isinstance(source, AsyncIterable):
            source = source()
            if not isinstance(source, AsyncIterable):
                if inspect.iscoroutine(source):
                    source.close()  # or Python would complain that nobody awaited it
                raise TypeError(
                    f"the body function returned {type(source).__name__}, not an async iterable"
                )
        self._iterator = aiter(source)
        return self._iterator

    async def close(self) -> None:
        """Close the iterator if it can be closed, so that an abandoned generator cleans up now."""
        iterator = self._iterator
        if iterator is None and isinstance(self._source, AsyncIterator):
            iterator = self._source
        aclose = getattr(iterator, "aclose", None)
        if aclose is not None:
            await aclose()


class FilePayload(Payload):
    """An open file, binary or text, sent from where it stands.

    A file on disk is read in a thread and closed when done; one in memory stays open. Of a text file
    on disk the bytes are sent as they are, so that their number is known before.
    """

    def __init__(self, file: IO[Any], encoding: str | None = None) -> None:
        super().__init__()
        self._file = file
        self._in_memory = isinstance(file, (io.BytesIO, io.StringIO))
        self._encoding = encoding or "utf-8"
        self._source = source = _bytes_of(file)
        filename = _name_of(file)
        if filename:
            self.headers["Content-Disposition"] = content_disposition(filename)
            self.content_type = guess_type(filename)
        if isinstance(file, io.TextIOBase) or isinstance(source, io.TextIOBase):
            if source is not file:
                self._encoding = file.encoding or self._encoding
            if self.content_type == Payload.content_type:
                self.content_type = "text/plain"
            self.content_type += f"; charset={_charset_of(self._encoding)}"
        self.size = self._measure()

    def _measure(self) -> int | None:
        source = self._source
        if isinstance(source, io.StringIO):
            return len(source.getvalue()[source.tell() :].encode(self._encoding))
        if isinstance(source, io.BytesIO):
            return max(source.getbuffer().nbytes - source.tell(), 0)
        # Of what only reads from a file - one that decompresses, say - the size of the file tells nothing.
        raw = getattr(source, "raw", source) if isinstance(source, io.IOBase) else None
        if not isinstance(raw, io.FileIO):
            return None
        status = os.fstat(raw.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None
        return max(status.st_size - source.tell(), 0)

    def decode(self, encoding: str = "utf-8") -> str:
        """Return the body as text; it can still be sent."""
        position = self._source.tell()
        data = self._source.read()
        self._source.seek(position)
        return data if isinstance(data, str) else bytes(data).decode(encoding)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Iterate over the rest of the file."""
        encoder: codecs.IncrementalEncoder | None = None
        while True:
            read = self._source.read
            data = (
                read(_CHUNK_SIZE) if self._in_memory else await asyncio.to_thread(read, _CHUNK_SIZE)
            )
            if not data:
                break
            if isinstance(data, str):
                # Not str.encode(): some encodings begin with a mark that may not come again.
                encoder = encoder or codecs.getincrementalencoder(self._encoding)()
                data = encoder.encode(data)
            yield data
        if encoder is not None:
            yield encoder.encode("", True)

    async def close(self) -> None:
        """Close the file, unless it is in memory and costs nobody anything."""
        if not self._in_memory:
            # Whoever is cancelled meanwhile does not take the file along.
            closing = asyncio.get_running_loop().run_in_executor(None, self._file.close)
            await asyncio.shield(closing)


def _bytes_of(file: IO[Any]) -> IO[Any]:
    """Return the binary file below a text file, at the same place; ``file`` itself if there is none."""
    # NamedTemporaryFile wraps one.
    inner: IO[Any] = file if isinstance(file, io.IOBase) else getattr(file, "file", file)
    if not isinstance(inner, io.TextIOWrapper):
        return inner
    try:
        position = inner.tell()
    except OSError:  # not seekable
        return inner
    if position >= 2**63:  # no place between two bytes, but a state of the decoder
        return inner
    inner.seek(position)
    binary: IO[bytes] = inner.buffer
    return binary


def _name_of(file: IO[Any]) -> str | None:
    name = getattr(file, "name", None)
    if not isinstance(name, str) or name.startswith("<"):
        return None
    return os.path.basename(name)


# What a compressed file is, not what was compressed: Content-Encoding is not for us to set.
_COMPRESSED: Final = {
    ".br": "application/x-brotli",
    ".bz2": "application/x-bzip2",
    ".gz": "application/gzip",
    ".xz": "application/x-xz",
}


# What Python 3.11 does not know, or by an old name.
_NEWER: Final = {
    ".avif": "image/avif",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}


def guess_type(filename: str) -> str:
    """Return the media type that the end of a file name stands for."""
    # mimetypes.guess_type() would first look for the tables of the system, and block the event loop meanwhile. Without
    # them, there are those of Python and what the program added.
    suffix = os.path.splitext(filename)[1].lower()
    return (
        _NEWER.get(suffix)
        or mimetypes.types_map.get(suffix)
        or _COMPRESSED.get(suffix)
        or UNKNOWN_TYPE
    )


def _charset_of(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name.removesuffix("-sig")
    except LookupError:
        return encoding


def as_payload(body: object, encoding: str | None = None) -> Payload:
    """Make a payload of what a handler gave as a body.

    Args:
        encoding: How to encode text, unless the body is a file that knows; UTF-8 by default.

    Raises:
        ValueError: It is nothing that can be sent.
    """
    if isinstance(body, Payload):
        return body
    if isinstance(body, StreamReader):
        return StreamPayload(body.iter_any())  # its own iteration is by lines
    if isinstance(body, io.IOBase):
        return FilePayload(body, encoding)  # type: ignore[arg-type]
    if isinstance(body, AsyncIterable):
        return StreamPayload(body)
    if hasattr(body, "read") and hasattr(body, "tell"):
        return FilePayload(body, encoding)  # type: ignore[arg-type]
    if callable(body) and not isinstance(body, type):
        return StreamPayload(body)
    raise ValueError(f"Unsupported body type {type(body)!r}")
