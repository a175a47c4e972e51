"""Forms that are ``multipart/form-data``: of what ``request.post()`` returns, that with files.

A file of a form is kept in memory while it is small, or else on disk; whatever takes time there is done in a thread.
All files are closed once the response has been sent, and leave nothing behind unless ``upload_to`` named a place.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import os
import stat
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from multidict import CIMultiDictProxy, MultiDict

from .exceptions import HTTPRequestEntityTooLarge, RequestDecodeError
from .multipart import BodyPartReader, BodySource, MultipartReader
from .protocol.charset import decode_text
from .protocol.disposition import file_name
from .threads import in_thread
from .urlencoded import FIELDS_LIMIT, too_many_fields

if TYPE_CHECKING:
    from .request import BaseRequest

__all__ = ("FileField", "FormValue", "UploadTo", "read_multipart")

UploadPath = str | os.PathLike[str] | None
UploadTo = Callable[[str], UploadPath | Awaitable[UploadPath]]

# A file of a form that is larger, in bytes, goes to disk; so does every one when others take so much already.
_IN_MEMORY: Final = 1024 * 1024
_IN_MEMORY_TOGETHER: Final = 8 * 1024 * 1024

# Bytes that go to a file in one trip to a thread.
_BATCH: Final = 1048576

# Of each file, so much stays in memory even when there is no room: an open file is more precious.
_ALWAYS_IN_MEMORY: Final = 16384

# Files of one form that may be on disk, and open.
_OPEN_FILES: Final = 100

# Pieces of a file that are kept until they are written, however small they are.
_MOST_PIECES: Final = 1024


@dataclass(frozen=True, slots=True)
class FileField:
    """A file of a form (RFC 7578 §4.2).

    Attributes:
        name: The name of the field.
        filename: The last component of the file name that the client gave.
        file: The bytes: a binary file that can be sought, at its start; ``file.name`` is the path if ``upload_to`` gave
            one. Closed when the response has been sent. Reading one that is on disk blocks: do it in a thread.
        content_type: The media type of the part, ``application/octet-stream`` if it has none.
        headers: All header fields of the part.
    """

    name: str
    filename: str
    file: io.BytesIO | io.BufferedRandom
    content_type: str
    headers: CIMultiDictProxy[str]


FormValue = str | bytearray | FileField


async def read_multipart(
    request: BaseRequest, body: BodySource, max_size: int, upload_to: UploadTo | None
) -> MultiDict[FormValue]:
    """Return the fields of a ``multipart/form-data`` body (RFC 7578).

    Args:
        request: The request.
        body: Its body.
        max_size: Most bytes of the body; 0 is no limit.
        upload_to: Gets the name of a file and says where to put it; None for a temporary one.

    Raises:
        RequestDecodeError: It is malformed.
        HTTPRequestEntityTooLarge: It has too many bytes or fields.
        OSError: A file cannot be written.
    """
    parts = MultipartReader(request.headers, _Metered(body, max_size))
    reader = _FormReader(parts, request.client_max_fields, upload_to)
    try:
        await reader.read()
    except BaseException:
        reader.discard()
        raise
    request.protocol.at_end(request, reader.close)
    return reader.form


class _Metered:
    """A body, counted."""

    def __init__(self, body: BodySource, limit: int) -> None:
        self._body = body
        self._limit = limit
        self._size = 0

    async def readany(self) -> bytes:
        data = await self._body.readany()
        self._size += len(data)
        if self._limit and self._size > self._limit:
            raise HTTPRequestEntityTooLarge(max_size=self._limit)
        return data


class _FormReader:
    """Puts a form together."""

    def __init__(self, parts: MultipartReader, max_fields: int, upload_to: UploadTo | None) -> None:
        self._parts = parts
        self._max_fields = max_fields
        self._upload_to = upload_to
        self._uploads: list[_Upload] = []
        self._fields_size = 0
        self._room = _IN_MEMORY_TOGETHER
        self._on_disk = 0
        self._charset = "utf-8"
        self.form: MultiDict[FormValue] = MultiDict()

    async def read(self) -> None:
        """Read all parts."""
        async for part in self._parts:
            if not isinstance(part, BodyPartReader):
                raise RequestDecodeError(text="A part of the form is multipart itself")
            if part.name is None:
                raise RequestDecodeError(text="Multipart field missing name")
            if 0 < self._max_fields <= len(self.form):
                raise too_many_fields(self._max_fields)
            self._count(sum(len(name) + len(text) for name, text in part.headers.items()))
            value = await (self._read_file if part.filename else self._read_field)(part)
            self.form.add(part.name, value)

    def _count(self, size: int) -> None:
        """Count bytes that stay in memory for good."""
        self._fields_size += size
        if self._fields_size > FIELDS_LIMIT:
            text = f"Form fields that are no files exceed {FIELDS_LIMIT} bytes together"
            raise HTTPRequestEntityTooLarge(max_size=FIELDS_LIMIT, text=text)

    async def _read_field(self, part: BodyPartReader) -> str | bytearray:
        data = bytearray()
        while piece := await part.readany():
            data += piece
            self._count(len(piece))
        if "Content-Transfer-Encoding" in part.headers:
            data = bytearray(part.decode(bytes(data)))
        if not part.media_type[0].startswith("text/"):
            return data
        charset = part.get_charset(self._charset)
        try:
            text = decode_text(data, charset)
        except (LookupError, ValueError) as exc:
            name = (part.name or "")[:64]
            raise RequestDecodeError(
                text=f"The field {name!r} is not text in {charset[:40]!r}"
            ) from exc
        if part.name == "_charset_":  # RFC 7578 §4.6
            self._charset = text
        return text

    async def _read_file(self, part: BodyPartReader) -> FileField:
        filename = file_name(part.filename or "")
        path = await self._choose_path(filename)
        upload = _Upload(path, max(_ALWAYS_IN_MEMORY, min(_IN_MEMORY, self._room)))
        self._uploads.append(upload)
        decode = _decoder_of(part)
        pieces: list[bytes] = []
        size = 0
        while piece := await part.readany():
            pieces.append(piece if decode is None else decode(piece, last=False))
            size += len(piece)
            if size >= _BATCH or len(pieces) >= _MOST_PIECES:
                await self._write(upload, pieces)
                pieces = []
                size = 0
        if decode is not None:
            pieces.append(decode(b"", last=True))
        await self._write(upload, pieces)
        file = await upload.finish()
        self._room -= upload.memory
        content_type = part.media_type[0]
        if "Content-Type" not in part.headers:
            content_type = "application/octet-stream"
        return FileField(part.name or "", filename, file, content_type, part.headers)

    async def _write(self, upload: _Upload, pieces: list[bytes]) -> None:
        if upload.write_in_memory(pieces):
            return
        if not upload.on_disk:
            self._on_disk += 1
            if self._on_disk > _OPEN_FILES:
                text = f"A form may have {_OPEN_FILES} files that are not kept in memory"
                raise HTTPRequestEntityTooLarge(max_size=_OPEN_FILES, text=text)
        await upload.write(pieces)

    async def _choose_path(self, filename: str) -> str | None:
        if self._upload_to is None:
            return None
        chosen = self._upload_to(filename)
        path = await chosen if inspect.isawaitable(chosen) else chosen
        if path is None:
            return None
        # Not left to open(), which takes a number for a file that is open already.
        path = os.fspath(path)
        if not isinstance(path, str):
            raise TypeError(f"upload_to must return a path of str, not {type(path).__name__}")
        return path

    def close(self) -> None:
        """Close the files: the response has been sent."""
        for upload in self._uploads:
            upload.end(upload.close)

    def discard(self) -> None:
        """Leave nothing behind: there will be no form."""
        for upload in self._uploads:
            upload.end(upload.discard)


class _Decode(Protocol):
    def __call__(self, data: bytes, *, last: bool) -> bytes: ...


def _decoder_of(part: BodyPartReader) -> _Decode | None:
    """Return what undoes the transfer encoding of a part, None if it has none."""
    if "Content-Transfer-Encoding" not in part.headers:
        return None
    decoder = part.transfer_decoder()

    def decode(data: bytes, *, last: bool) -> bytes:
        try:
            return decoder.decode(data, last=last)
        except ValueError as exc:
            name = (part.name or "")[:64]
            raise RequestDecodeError(
                text=f"The file {name!r} is not in its transfer encoding"
            ) from exc

    return decode


class _Upload:
    """A file that is being received: in memory first, then on disk."""

    def __init__(self, path: str | None, in_memory: int) -> None:
        self._path = path
        self._in_memory = in_memory
        self._memory: io.BytesIO | None = io.BytesIO() if path is None else None
        self._disk: io.BufferedRandom | None = None
        self._size = 0

    @property
    def memory(self) -> int:
        """How many bytes it keeps in memory."""
        return 0 if self._memory is None else self._size

    @property
    def on_disk(self) -> bool:
        """Whether it has left the memory."""
        return self._disk is not None

    def write_in_memory(self, pieces: list[bytes]) -> bool:
        """Add bytes if they may stay in memory; return whether they do."""
        size = self._size + sum(map(len, pieces))
        if self._memory is None or size > self._in_memory:
            return False
        self._size = size
        self._memory.writelines(pieces)
        return True

    async def write(self, pieces: list[bytes]) -> None:
        """Add bytes on disk."""
        await in_thread(partial(self._write_to_disk, pieces))

    async def finish(self) -> io.BytesIO | io.BufferedRandom:
        """Return the file, at its start."""
        if self._memory is not None:
            self._memory.seek(0)
            return self._memory
        if self._disk is None:
            raise RuntimeError("a file is in memory or on disk")
        await in_thread(partial(self._disk.seek, 0))
        return self._disk

    def _write_to_disk(self, pieces: list[bytes]) -> None:
        if self._disk is None:
            path = self._path
            self._disk = tempfile.TemporaryFile() if path is None else open(path, "w+b")  # noqa: SIM115
        if self._memory is not None:
            self._disk.write(self._memory.getbuffer())
            self._memory = None
        self._disk.writelines(pieces)

    def end(self, action: Callable[[], None]) -> None:
        """Do the last thing, in a thread if it takes time."""
        if self._disk is not None:
            asyncio.get_running_loop().run_in_executor(None, action)
        elif self._memory is not None:
            with contextlib.suppress(BufferError):  # somebody still looks at it
                self._memory.close()

    def close(self) -> None:
        """Close the file."""
        if self._disk is not None:
            with contextlib.suppress(OSError):
                self._disk.close()

    def discard(self) -> None:
        """Close the file, and remove it if it has a place of its own."""
        if self._path is not None and self._disk is not None:
            with contextlib.suppress(OSError):
                status = os.fstat(self._disk.fileno())
                # No device, and not another file that has taken the name since.
                if stat.S_ISREG(status.st_mode) and os.path.samestat(status, os.stat(self._path)):
                    os.unlink(self._path)
        self.close()
