"""Compress what handlers answer, as far as the client accepts it and it is worth the work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from ..exceptions import HTTPNotAcceptable
from ..options import check_count
from ..protocol.content_coding import ContentCoding, available, choose
from ..protocol.headers import contains_token
from ..request import BaseRequest
from ..response import StreamResponse

__all__ = ("compression",)

Handler = Callable[[BaseRequest], Awaitable[StreamResponse]]
Middleware = Callable[[BaseRequest, Handler], Awaitable[StreamResponse]]

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

# Successful, but without content, or with a part of what was not compressed.
_NOT_COMPRESSED: Final = frozenset((204, 205, 206))


def compression(minimum_size: int = 512) -> Middleware:
    """Return a middleware that compresses responses (RFC 9110 §8.4, §12.5.3).

    It is for all kinds of them: whole ones, files, streams, those that the handler prepares itself, and those that
    are raised. What is compressed is a response with a status from 200 to 299 that has no Content-Encoding yet, does
    not say ``Cache-Control: no-transform``, is not of a type that is compressed already (most pictures, audio, video,
    archives), and not shorter than ``minimum_size``, as far as its length is known. The client gets the coding that
    it weighs highest in Accept-Encoding, and of equals the first of zstd, br, gzip and deflate (the first two with
    the extra ``compress``). Caches are told by ``Vary: Accept-Encoding``. A response on which the handler called
    ``enable_compression()`` is left to it.

    Args:
        minimum_size: The length of a body, in bytes, from which on it is worth the work. A client that refuses what is
            not compressed gets shorter ones compressed too.

    Raises:
        TypeError, ValueError: ``minimum_size`` is not an int, or negative.

    The middleware is ``async (request, handler) -> response``, and raises HTTPNotAcceptable (406), before the handler
    runs, if the client refuses every coding there is and identity too.
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
            size = response.content_length
            if coding is not ContentCoding.identity and (size is None or size >= least):
                response.enable_compression(coding)

        request.writer.before_head = before_head
        return await handler(request)

    return compress


def _is_compressible(response: StreamResponse) -> bool:
    if not 200 <= response.status < 300 or response.status in _NOT_COMPRESSED:
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
