"""Bytes and text as streams of bytes, and back."""

from __future__ import annotations

import codecs
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Final

from ..body import StreamReader
from ..exceptions import HTTPRequestEntityTooLarge
from ..options import check_count

__all__ = ("bytes_reader", "bytes_writer", "text_reader", "text_writer")

# What a client may send without being asked for so much: the client_max_size of requests, by default.
_REQUEST_LIMIT: Final = 1024**2


async def bytes_reader(source: AsyncIterable[bytes], *, max_size: int | None = None) -> bytes:
    """Read a stream to its end.

    What is read is lost if this is cancelled. Besides what it names, it raises what the source raises.

    Args:
        source: An async iterable of bytes: ``request.content``, for example.
        max_size: The most bytes to take; 0 is no limit. By default 1 MiB of what a client sends, and no limit for
            other sources.

    Raises:
        HTTPRequestEntityTooLarge: There are more.
        TypeError, ValueError: ``max_size`` is not an int, or negative; a piece is not bytes.
    """
    if max_size is None:
        limit = _REQUEST_LIMIT if isinstance(source, StreamReader) else 0
    else:
        limit = check_count("max_size", max_size, 0)
    if isinstance(source, StreamReader):
        source = source.iter_any()  # its own iteration is by lines
    pieces: list[bytes] = []
    size = 0
    async for piece in source:
        size += len(piece)
        if limit and size > limit:
            raise HTTPRequestEntityTooLarge(max_size=limit, actual_size=size)
        pieces.append(piece)
    return b"".join(pieces)


async def text_reader(
    source: AsyncIterable[bytes], encoding: str = "utf-8", *, max_size: int | None = None
) -> str:
    """Read a stream of text to its end. A character may come in two pieces.

    What is read is lost if this is cancelled. Besides what it names, it raises what ``bytes_reader()`` raises.

    Args:
        source: An async iterable of bytes.
        encoding: What the text is encoded in.
        max_size: The most bytes to take, as for ``bytes_reader()``.

    Raises:
        LookupError: There is no such encoding of text; nothing has been read then.
        UnicodeDecodeError: It is no text in that encoding, or ends within a character. A ValueError: for what a client
            sends, ``request.text()`` answers 400 instead.
    """
    _check_encoding(encoding)
    data = await bytes_reader(source, max_size=max_size)
    return data.decode(encoding)


def bytes_writer(
    data: bytes | bytearray | memoryview, chunk_size: int = -1
) -> AsyncGenerator[bytes, None]:
    """Return a stream of bytes, for ``Response(body=...)``.

    Args:
        data: What is in it.
        chunk_size: How many bytes its pieces have, but for the last one. -1 is one piece, even of nothing; otherwise
            there is none of nothing.

    Raises:
        TypeError: ``data`` is not bytes-like, or ``chunk_size`` not an int.
        ValueError: ``chunk_size`` is 0, or negative otherwise.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"data must be bytes-like, not {type(data).__name__}")
    # Copied, since its owner may go on to change it.
    return _slices(bytes(data), _check_chunk_size(chunk_size))


def text_writer(
    text: str, encoding: str = "utf-8", chunk_size: int = -1
) -> AsyncGenerator[bytes, None]:
    """Return a stream of encoded text, for ``Response(body=...)``, which does not say in what it is encoded.

    Args:
        text: What is in it.
        encoding: What it is encoded in.
        chunk_size: How many characters are in its pieces, as in bytes_writer().

    Raises:
        TypeError: ``text`` is not a str, or ``chunk_size`` not an int.
        ValueError: ``chunk_size`` is 0, or negative otherwise.
        LookupError: There is no such encoding of text.
        UnicodeEncodeError: While it is iterated over: the encoding does not know a character.
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, not {type(text).__name__}")
    chunk_size = _check_chunk_size(chunk_size)
    _check_encoding(encoding)
    return _encoded(text, codecs.getincrementalencoder(encoding)(), chunk_size)


async def _slices(data: bytes, chunk_size: int) -> AsyncGenerator[bytes, None]:
    if chunk_size < 0:
        yield data
        return
    for start in range(0, len(data), chunk_size):
        yield data[start : start + chunk_size]


async def _encoded(
    text: str, encoder: codecs.IncrementalEncoder, chunk_size: int
) -> AsyncGenerator[bytes, None]:
    if chunk_size < 0:
        yield encoder.encode(text, True)
        return
    for start in range(0, len(text), chunk_size):
        end = start + chunk_size
        # One encoder for all: a byte order mark belongs to the beginning alone, and some end with a sequence.
        yield encoder.encode(text[start:end], end >= len(text))


def _check_chunk_size(chunk_size: int) -> int:
    return chunk_size if chunk_size == -1 else check_count("chunk_size", chunk_size, 1)


def _check_encoding(encoding: str) -> None:
    """Raise LookupError unless text can be encoded so."""
    "".encode(encoding)
