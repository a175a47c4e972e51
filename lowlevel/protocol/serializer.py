"""Heads and framing of responses: what RFC 9112 §6 allows, decided in one place, and the bytes of it."""

from __future__ import annotations

import enum
import re
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from multidict import CIMultiDict

from .head import HttpVersion, HttpVersion11

__all__ = (
    "Framing",
    "default_reason",
    "frame",
    "plain_prefix",
    "serialize_head",
    "status_line",
)

LAST_CHUNK: Final = b"0\r\n\r\n"


class Framing(enum.Enum):
    """How a receiver knows where a response ends."""

    NONE = "there is no body, and nothing may be said of one"
    SILENT = "there is no body, but its length may be told: HEAD, 304"
    LENGTH = "Content-Length"
    CHUNKED = "Transfer-Encoding: chunked"
    UNTIL_CLOSE = "the end of the connection"


NONE: Final = Framing.NONE
SILENT: Final = Framing.SILENT
LENGTH: Final = Framing.LENGTH
CHUNKED: Final = Framing.CHUNKED
UNTIL_CLOSE: Final = Framing.UNTIL_CLOSE


def frame(
    method: str, status: int, version: HttpVersion, length: int | None, chunked: bool
) -> Framing:
    """Decide the framing of a response (RFC 9112 §6.3, RFC 9110 §6.4.1).

    Args:
        method: The method of the request.
        status: The status of the response.
        version: The version of the request.
        length: The length of the body in bytes, None when it is not known.
        chunked: Whether chunks are wanted although the length may be known.
    """
    if method == "HEAD" and status >= 200 and status != 204:
        return SILENT
    if status == 304:
        return SILENT
    if status < 200 or status == 204 or (method == "CONNECT" and status < 300):
        return NONE
    if length is not None and not chunked:
        return LENGTH
    return CHUNKED if version >= HttpVersion11 else UNTIL_CLOSE


_REASONS: Final[dict[int, str]] = {status.value: status.phrase for status in HTTPStatus}


def default_reason(status: int) -> str:
    """Return the usual reason phrase of a status, ``""`` if there is none."""
    return _REASONS.get(status, "")


# By the minor version, then by the status.
_STATUS_LINES: Final = [
    {
        status: f"HTTP/1.{minor} {status} {reason}\r\n".encode("ascii")
        for status, reason in _REASONS.items()
    }
    for minor in (0, 1)
]


def status_line(version: HttpVersion, status: int, reason: str | None) -> bytes:
    """Return the first line of a response (RFC 9112 §4); ``reason`` None is the usual one.

    Raises:
        ValueError: CR, LF or NUL in the reason.
    """
    if reason is None:
        line = _STATUS_LINES[version[1]].get(status)
        if line is not None:
            return line
        reason = default_reason(status)
    _refuse_controls(reason, "reason", 0)
    return f"HTTP/1.{version[1]} {status} {reason}\r\n".encode("utf-8", "surrogateescape")


def serialize_fields(headers: CIMultiDict[str]) -> bytes:
    """Return header field lines, each with its CRLF.

    Raises:
        ValueError: CR, LF or NUL in a value, or a name that is no token.
    """
    lines = []
    for name, value in headers.items():
        _check_name(name)
        lines.append(f"{name}: {value}\r\n")
    text = "".join(lines)
    _refuse_controls(text, "header field", len(lines))
    return text.encode("utf-8", "surrogateescape")


_is_token: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch


@lru_cache(maxsize=1024)
def _check_name(name: str) -> None:
    if not _is_token(name):
        raise ValueError(f"{name!r} is no name of a header field (RFC 9110 §5.1)")


def _refuse_controls(text: str, what: str, line_ends: int) -> None:
    """Counting is what tells our line ends from injected ones (CWE-113)."""
    if text.count("\n") != line_ends or text.count("\r") != line_ends or "\0" in text:
        raise ValueError(f"CR, LF or NUL in a {what}: header injection refused")


@lru_cache(maxsize=256)
def plain_prefix(status: int, content_type: str | None) -> bytes | None:
    """Return the head of an HTTP/1.1 response up to the digits of its Content-Length.

    For a usual reason, no field but Content-Type, and any method but HEAD and CONNECT. None if Content-Length is not
    the framing of the status.
    """
    if frame("GET", status, HttpVersion11, 0, False) is not LENGTH:
        return None
    line = status_line(HttpVersion11, status, None)
    if content_type is None:
        return line + b"Content-Length: "
    _refuse_controls(content_type, "content type", 0)
    encoded_type = content_type.encode("utf-8", "surrogateescape")
    return b"%bContent-Type: %b\r\nContent-Length: " % (line, encoded_type)


def serialize_head(
    version: HttpVersion,
    status: int,
    reason: str | None,
    headers: CIMultiDict[str],
    tail: bytes = b"\r\n",
) -> bytes:
    """Return a whole head; ``tail`` is ready-made lines and the empty line.

    Raises ValueError as status_line and serialize_fields do.
    """
    return status_line(version, status, reason) + serialize_fields(headers) + tail
