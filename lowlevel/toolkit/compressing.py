"""Compress what handlers answer, as far as the client accepts it and it is worth the work."""

from __future__ import annotations

from typing import Final

from ..exceptions import HTTPNotAcceptable
from ..handlers import Handler, Middleware
from ..options import check_count
from ..protocol.content_coding import ContentCoding, available, choose
from ..protocol.headers import contains_token
from ..request import BaseRequest
from ..response import StreamResponse

__all__ = ("compression",)

# Of equal weights, the first: what saves most for the work.
_PREFERENCE: Final = (
    ContentCoding.zstd,
    ContentCoding.br,
    ContentCoding.gzip,
    ContentCoding.deflate,
)

# What is compressed already, and would only become longer.
_COMPRESSED_KINDS: Final = ("audio/", "image/", "video/")
_COMPRESSED_TYPES: Final = frozenset(
    (
        "application/epub+zip",
        "application/gzip",
        "application/java-archive",
        "application/vnd.rar",
        "application/x-7z-compressed",
        "application/x-brotli",
        "application/x-bzip",
        "application/x-bzip2",
        "application/x-gzip",
        "application/x-rar-compressed",
        "application/x-xz",
        "application/zip",
        "application/zstd",
        "font/woff",
        "font/woff2",
    )
)
# Pictures that are text, or as long as their pixels.
_COMPRESSIBLE_TYPES: Final = frozenset(
    ("image/bmp", "image/svg+xml", "image/vnd.microsoft.icon", "image/x-icon")
)

# Successful, but without content.
_EMPTY: Final = frozenset((204, 205))

# A part of what is not compressed, and what says that the client knows it all. They stand for a response that may be
# compressed for others, so caches are told of it (RFC 9110 §15.3.7, §15.4.5).
_STAND_INS: Final = frozenset((206, 304))


def compression(minimum_size: int = 512) -> Middleware:
    """Return a middleware that compresses responses (RFC 9110 §8.4, §12.5.3).

    It is for all kinds of them: whole ones, files, streams, those that the handler prepares itself, and those that
    are raised. What is compressed is a response with a status from 200 to 299 that has no Content-Encoding yet, does
    not say ``Cache-Control: no-transform``, is not of a type that is compressed already (most pictures, audio, video,
    archives), and not shorter than ``minimum_size``, as far as its length is known. The client gets the coding that
    it weighs highest in Accept-Encoding, and of equals the first of zstd, br, gzip and deflate (the first two with
    the extra ``compress``). Caches are told by ``Vary: Accept-Encoding``, with a 206 or 304 too, which are not
    compressed. A response on which the handler called ``enable_compression()`` is left to it.

    The middleware is ``async (request, handler) -> response``, and raises HTTPNotAcceptable (406), before the handler
    runs, if the client refuses every coding there is and identity too.

    Args:
        minimum_size: The length of a body, in bytes, from which on it is worth the work. A client that refuses what is
            not compressed gets shorter ones compressed too.

    Raises:
        TypeError, ValueError: ``minimum_size`` is not an int, or negative.
    """
    check_count("minimum_size", minimum_size, 0)
    offered = tuple(coding for coding in _PREFERENCE if coding in available())

    async def compress(request: BaseRequest, handler: Handler) -> StreamResponse:
        accepted = request.headers.getall("Accept-Encoding", ())
        coding = choose(accepted, offered)
        if coding is None:
            raise HTTPNotAcceptable(
                text="406: Not Acceptable\n\nNone of the codings in Accept-Encoding is known here\n",
                headers={"Vary": "Accept-Encoding"},
            )
        # Whoever refuses what is not compressed wants short responses compressed too.
        least = 0 if choose(accepted, ()) is None else minimum_size

        def before_head(response: StreamResponse) -> None:
            if response.compression or not _is_compressible(response):
                return
            response._vary_by("Accept-Encoding")
            if response.status in _STAND_INS:
                return
            size = response.content_length
            if coding is not ContentCoding.identity and (size is None or size >= least):
                response.enable_compression(coding)

        request.writer.before_head = before_head
        return await handler(request)

    return compress


def _is_compressible(response: StreamResponse) -> bool:
    """Whether it is worth compressing, or stands for what is."""
    status = response.status
    if status in _EMPTY or not (200 <= status < 300 or status == 304):
        return False
    headers = response.headers
    if "Content-Encoding" in headers:
        return False
    if any(contains_token(value, "no-transform") for value in headers.getall("Cache-Control", ())):
        return False
    content_type = response.content_type
    if content_type in _COMPRESSIBLE_TYPES:
        return True
    return content_type not in _COMPRESSED_TYPES and not content_type.startswith(_COMPRESSED_KINDS)
