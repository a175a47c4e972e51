"""Multipart bodies, part by part: ``request.multipart()``.

Nothing is read ahead: whoever reads a part pulls it through the parser, and a part that nobody reads keeps its client
waiting. ``next()`` drops what is left of the part before.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Protocol

from multidict import CIMultiDict, CIMultiDictProxy

from .exceptions import HTTPRequestEntityTooLarge, RequestDecodeError
from .json_error import InvalidJSON
from .protocol.charset import decode_text
from .protocol.disposition import parse_content_disposition
from .protocol.headers import parse_content_type
from .protocol.multipart import (
    Event,
    MultipartError,
    MultipartParser,
    PartHead,
    boundary_of,
)
from .protocol.transfer_encoding import TransferDecoder, transfer_decoder
from .urlencoded import parse_urlencoded

__all__ = ("BodyPartReader", "BodySource", "MultipartReader", "WholeBody")

# What is not content of a part alone is parsed in portions, and everybody else has a turn between them.
_PORTION: Final = 8192

# What a body that has been read already is handed out in.
_WHOLE_PORTION: Final = 65536

# How deep multipart bodies may be nested in one another.
_DEEPEST: Final = 16

# Longest line for readline(), in bytes.
_LONGEST_LINE: Final = 524288


class BodySource(Protocol):
    """Where the bytes of a body come from."""

    async def readany(self) -> bytes:
        """Read what there is; ``b""`` at the end."""


class WholeBody:
    """A body that has been read already, to be read again."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    async def readany(self) -> bytes:
        """Return the next 64 KiB; ``b""`` at the end."""
        start = self._position
        self._position += _WHOLE_PORTION
        if start:
            await asyncio.sleep(0)  # everybody else has a turn, as with a body that has to come
        return self._data[start : self._position]


class MultipartReader:
    """The parts of a multipart body (RFC 2046 §5.1), in order: ``await reader.next()`` or ``async for``.

    Made by ``request.multipart()``, and by ``next()`` for a part that is multipart itself. Its methods may be cancelled
    without loss; besides what they name, they raise what reading ``request.content`` does.

    Args:
        headers: The header fields of the body, with its boundary in Content-Type.
        content: Where to read the body.
        client_max_size: Most bytes that a part may have for its ``read()`` and what stands on it; 0 is no limit.
        client_max_fields: Most fields of a part for its ``form()``; 0 is no limit.
        max_field_size: Longest header field of a part in bytes.
        max_headers: Most header fields of a part.

    Attributes:
        headers: The header fields of the body.

    Raises:
        RequestDecodeError: Content-Type is not multipart, or has no usable boundary.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        content: BodySource,
        *,
        client_max_size: int = 0,
        client_max_fields: int = 0,
        max_field_size: int = 8190,
        max_headers: int = 128,
    ) -> None:
        self.headers = headers
        self._content = content
        self._max_headers = max_headers
        self._max_field_size = max_field_size
        self.client_max_size = client_max_size
        self.client_max_fields = client_max_fields
        try:
            boundary = boundary_of(*parse_content_type(headers.get("Content-Type", "")))
        except MultipartError as exc:
            raise RequestDecodeError(text=str(exc)) from None
        self._parser = MultipartParser(
            boundary, max_headers=max_headers, max_field_size=max_field_size
        )
        self._events: deque[Event] = deque()
        # What came, and how much of it was parsed.
        self._pending = b""
        self._parsed = 0
        self._depth = 1
        self._error: RequestDecodeError | None = None
        self._part: BodyPartReader | None = None
        self._at_eof = False

    def at_eof(self) -> bool:
        """Return whether the whole body has been read."""
        return self._at_eof

    async def next(self) -> BodyPartReader | MultipartReader | None:
        """Return the next part, None behind the last. What is left of the part before is dropped.

        Raises:
            RequestDecodeError: The body is not multipart, or ended too early. A 400 and a ValueError.
        """
        if self._part is not None:
            await self._part.release()
            self._part = None
        event = await self.next_event()
        if event is None:
            return None
        if not isinstance(event, PartHead):
            raise RuntimeError("another coroutine reads the same part")
        self._part = part = BodyPartReader(self, event.headers)
        return self._nested(part) if part.media_type[0].startswith("multipart/") else part

    def _nested(self, part: BodyPartReader) -> MultipartReader:
        if self._depth == _DEEPEST:
            raise RequestDecodeError(text=f"Multipart bodies are nested deeper than {_DEEPEST}")
        reader = MultipartReader(
            part.headers,
            part,
            client_max_size=self.client_max_size,
            client_max_fields=self.client_max_fields,
            max_field_size=self._max_field_size,
            max_headers=self._max_headers,
        )
        reader._depth = self._depth + 1
        return reader

    async def release(self) -> None:
        """Read and drop the rest of the body. It raises what ``next()`` raises."""
        while await self.next() is not None:
            pass

    def __aiter__(self) -> MultipartReader:
        return self

    async def __anext__(self) -> BodyPartReader | MultipartReader:
        part = await self.next()
        if part is None:
            raise StopAsyncIteration
        return part

    async def next_event(self) -> Event | None:
        """Return what the parser says next, None at the end. For the parts of this reader."""
        while not self._events:
            if self._error is not None:
                raise self._error
            if self._at_eof:
                return None
            if self._parsed == len(self._pending):
                data = await self._content.readany()
                if data and self._parser.is_content(data):
                    return data
                self._pending, self._parsed = data, 0
            portion = self._pending[self._parsed : self._parsed + _PORTION]
            self._parsed += len(portion)
            self._parse(portion)
            if len(portion) == _PORTION:
                await asyncio.sleep(0)
        return self._events.popleft()

    def _parse(self, data: bytes) -> None:
        try:
            if data:
                self._events.extend(self._parser.receive_data(data))
            else:
                self._parser.receive_eof()
                self._at_eof = True
        except MultipartError as exc:
            self._error = RequestDecodeError(text=f"The request body is malformed: {exc}")
            raise self._error from None


class BodyPartReader:
    """One part of a multipart body, made by ``MultipartReader.next()``. ``async for`` gives its data as it comes.

    Its methods may be cancelled without loss; besides what they name, they raise what ``MultipartReader.next()`` does.

    Attributes:
        headers: The header fields of the part.
        media_type: Its media type and the parameters of that; ``text/plain`` if it has none (RFC 2046 §5.1).
        name: The name of its field; None if it has none.
        filename: The file name the client gave it, as it was sent; None if it gave none. It may be a path, and hostile.
    """

    def __init__(self, reader: MultipartReader, headers: CIMultiDict[str]) -> None:
        self._reader = reader
        self._ended = False
        # What came, and how much of it was read.
        self._rest = b""
        self._offset = 0
        self._whole: list[bytes] = []
        self.headers = CIMultiDictProxy(headers)
        self.media_type = parse_content_type(headers.get("Content-Type", "text/plain"))
        _, parameters = parse_content_disposition(headers.get("Content-Disposition", ""))
        self.name: str | None = parameters.get("name")
        self.filename: str | None = parameters.get("filename")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name!r} filename={self.filename!r}>"

    def at_eof(self) -> bool:
        """Return whether the part has been read completely."""
        return self._ended and self._offset == len(self._rest)

    async def _fill(self) -> bool:
        """Wait for more of the part if all that came was read; False at its end."""
        while self._offset == len(self._rest):
            if self._ended:
                return False
            event = await self._reader.next_event()
            if isinstance(event, bytes):
                self._rest, self._offset = event, 0
            else:
                self._ended = True
        return True

    async def readany(self) -> bytes:
        """Read what has come, waiting for at least one byte; ``b""`` at the end of the part."""
        await self._fill()
        return self._take(len(self._rest))

    def _take(self, end: int) -> bytes:
        data = self._rest[self._offset : end]
        self._offset = min(end, len(self._rest))
        return data

    async def read_chunk(self, size: int = 8192) -> bytes:
        """Read up to ``size`` bytes, waiting for at least one; ``b""`` at the end of the part."""
        if size < 1:
            raise ValueError(f"size must be at least 1: {size!r}")
        await self._fill()
        return self._take(self._offset + size)

    async def readline(self) -> bytes:
        """Read one line with its line end; at the end of the part, what is left.

        Raises:
            ValueError: The line is longer than 512 KiB. Nothing is lost.
        """
        pieces: list[bytes] = []
        size = 0
        try:
            while await self._fill():
                end = self._rest.find(b"\n", self._offset) + 1
                piece = self._take(end or len(self._rest))
                pieces.append(piece)
                size += len(piece)
                if size > _LONGEST_LINE:
                    raise ValueError(f"the line is longer than {_LONGEST_LINE} bytes")
                if end:
                    break
        except BaseException:
            self._rest = b"".join([*pieces, self._rest[self._offset :]])
            self._offset = 0
            raise
        return b"".join(pieces)

    async def read(self, *, decode: bool = False) -> bytes:
        """Read the rest of the part.

        Args:
            decode: Undo its Content-Transfer-Encoding.

        Raises:
            HTTPRequestEntityTooLarge: It is larger than ``client_max_size``.
            RequestDecodeError: It cannot be decoded. A 400 and a ValueError.
        """
        limit = self._reader.client_max_size
        size = sum(map(len, self._whole))
        while data := await self.readany():
            size += len(data)
            if limit and size > limit:
                raise HTTPRequestEntityTooLarge(max_size=limit)
            self._whole.append(data)
        whole, self._whole = self._whole, []
        body = b"".join(whole)
        return self.decode(body) if decode else body

    async def text(self, *, encoding: str | None = None) -> str:
        """Read the rest of the part as text. Besides what it names, it raises what ``read()`` raises.

        Args:
            encoding: What it is encoded in; by default its charset, or UTF-8.

        Raises:
            RequestDecodeError: The charset is unknown, or this is no text in it. A 400 and a ValueError.
        """
        data = await self.read(decode=True)
        charset = encoding or self.get_charset("utf-8")
        try:
            return decode_text(data, charset)
        except (LookupError, ValueError) as exc:
            name = self.name or ""
            raise RequestDecodeError(
                text=f"The part {name[:64]!r} is not text in {charset[:40]!r}"
            ) from exc

    async def json(
        self, *, encoding: str | None = None, loads: Callable[[str], Any] = json.loads
    ) -> Any:
        """Read the rest of the part as JSON, None if it is empty.

        Besides what it names, it raises what ``text()`` raises.

        Args:
            encoding: As for ``text()``.
            loads: Makes a value of the text.

        Raises:
            RequestDecodeError: It is not JSON. A 400 and a ValueError.
        """
        text = await self.text(encoding=encoding)
        if not text:
            return None
        try:
            return loads(text)
        except (ValueError, RecursionError) as exc:
            raise InvalidJSON(exc) from exc

    async def form(self, *, encoding: str | None = None) -> list[tuple[str, str]]:
        """Read the rest of the part as a urlencoded form, as names and values in order.

        Besides what it names, it raises what ``text()`` raises.

        Args:
            encoding: As for ``text()``.

        Raises:
            HTTPRequestEntityTooLarge: It has more than ``client_max_fields`` fields.
        """
        data = await self.read(decode=True)
        charset = encoding or self.get_charset("utf-8")
        form = await parse_urlencoded(data, charset, self._reader.client_max_fields)
        return list(form.items())

    async def next(self) -> bytes | None:
        """Read the rest of the part, None if there is nothing left."""
        return await self.read() or None

    async def release(self) -> None:
        """Read and drop the rest of the part."""
        self._whole.clear()
        while await self.readany():
            pass

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over data as it comes."""
        return self

    async def __anext__(self) -> bytes:
        data = await self.readany()
        if not data:
            raise StopAsyncIteration
        return data

    def get_charset(self, default: str) -> str:
        """Return the charset of the part, or ``default``."""
        return self.media_type[1].get("charset", default)

    def transfer_decoder(self) -> TransferDecoder:
        """Return what undoes the Content-Transfer-Encoding of this part piece by piece.

        Raises:
            RequestDecodeError: There is no such encoding.
        """
        encoding = self.headers.get("Content-Transfer-Encoding", "binary")
        try:
            return transfer_decoder(encoding)
        except ValueError as exc:
            raise RequestDecodeError(text=str(exc)) from None

    def decode(self, data: bytes) -> bytes:
        """Undo the Content-Transfer-Encoding of all of the part.

        Raises:
            RequestDecodeError: There is no such encoding, or the data is not in it.
        """
        decoder = self.transfer_decoder()
        try:
            return decoder.decode(data, last=True)
        except ValueError as exc:
            raise RequestDecodeError(
                text=f"The part {(self.name or '')[:64]!r} is not in its transfer encoding"
            ) from exc

    async def decode_iter(self, data: bytes) -> AsyncIterator[bytes]:
        """Iterate over what decode() returns."""
        yield self.decode(data)
