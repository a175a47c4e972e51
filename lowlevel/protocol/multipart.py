"""Multipart bodies (RFC 2046 §5.1, RFC 7578): bytes in, events out. python-multipart finds the boundaries.

What it leaves open is settled here: a preamble is dropped, a body must have its last boundary, and every error is a
MultipartError. The events of a part come in this order: a PartHead, any number of bytes objects, PART_END.
"""

from __future__ import annotations

import enum
import logging
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import python_multipart
from multidict import CIMultiDict
from python_multipart.exceptions import FormParserError

__all__ = (
    "PART_END",
    "Event",
    "MultipartError",
    "MultipartParser",
    "PartHead",
    "boundary_of",
)

# The parser logs what it refuses: anybody could fill a log with that.
_silent: Final = logging.Logger("lowlevel.multipart")
_silent.disabled = True

# RFC 2046 §5.1.1; some clients send other visible characters, and nothing is wrong with them.
_is_boundary: Final = re.compile(r"[!-~ ]{0,69}[!-~]").fullmatch


# Most blanks behind the first boundary (RFC 2046 §5.1.1 allows any number); they are kept until something follows.
_LONGEST_PADDING: Final = 1024

_splits_lines: Final = re.compile(r"[\r\n\0]").search


class MultipartError(ValueError):
    """The body is not multipart, or not all of it has come."""


class PartHead(NamedTuple):
    """A part begins."""

    headers: CIMultiDict[str]


class _End(enum.Enum):
    PART = "a part ends"


PART_END: Final = _End.PART

Event = PartHead | bytes | _End


def boundary_of(media_type: str, parameters: Mapping[str, str]) -> bytes:
    """Return the boundary that a parsed Content-Type tells of.

    Raises:
        MultipartError: It is no multipart type, or has no boundary, or one that is none.
    """
    if not media_type.startswith("multipart/"):
        raise MultipartError(f"Content-Type is {media_type}, not multipart")
    boundary = parameters.get("boundary", "")
    if not _is_boundary(boundary):
        raise MultipartError("Content-Type has no boundary of 1 to 70 characters (RFC 2046 §5.1.1)")
    return boundary.encode("ascii")


class MultipartParser:
    """Makes events of the bytes of one body.

    Args:
        boundary: What stands between the parts, without its hyphens.
        max_headers: Most header fields of a part.
        max_field_size: Longest header field of a part in bytes.
    """

    def __init__(
        self, boundary: bytes, *, max_headers: int = 128, max_field_size: int = 8190
    ) -> None:
        self._delimiter = b"\r\n--" + boundary
        # A boundary at the very start needs no line end before it.
        self._preamble: bytes | None = b"\r\n"
        self._events: list[Event] = []
        self._name: list[bytes] = []
        self._value: list[bytes] = []
        self._headers: CIMultiDict[str] = CIMultiDict()
        # Whether what comes belongs to a part until a delimiter does, and none may have begun.
        self._inside = False
        self.complete = False
        """Whether the last boundary has come."""
        self._parser = python_multipart.MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_name,
                "on_header_value": self._add_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
            max_header_count=max_headers,
            # A line is measured with its colon, and the blank behind it.
            max_header_size=max_field_size + 2,
        )
        self._parser.logger = _silent

    def is_content(self, data: bytes) -> bool:
        """Whether the next bytes are nothing but content of the present part: then they need not be received."""
        return self._inside and self._delimiter not in data and not self._ends_early(data)

    def _ends_early(self, data: bytes) -> bool:
        """Whether the end of the bytes may be the beginning of a delimiter."""
        start = data.rfind(b"\r", max(0, len(data) - len(self._delimiter) + 1))
        return start >= 0 and self._delimiter.startswith(data[start:])

    def _ends_inside(self, data: bytes) -> bool:
        """Whether the end of the bytes, which have content in them, is content beyond doubt."""
        last = data.rfind(self._delimiter)
        headers_end = data.find(b"\r\n\r\n", last + len(self._delimiter))
        return not self._ends_early(data) and (last < 0 or headers_end >= 0)

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes; return what they complete.

        Raises:
            MultipartError: They are not multipart. Nothing more can be parsed.
        """
        if self._preamble is not None:
            data = self._skip_preamble(self._preamble + data)
        if self.complete or not data:
            return []
        try:
            self._parser.write(data)
        except FormParserError as exc:
            raise MultipartError(str(exc)) from None
        events, self._events = self._events, []
        if events:
            self._inside = events[-1] is not PART_END
        self._inside = self._inside and self._ends_inside(data)
        return events

    def receive_eof(self) -> None:
        """The body has ended.

        Raises:
            MultipartError: The last boundary is missing.
        """
        if not self.complete:
            raise MultipartError("the body ended before its last boundary (RFC 2046 §5.1)")

    def _skip_preamble(self, data: bytes) -> bytes:
        """Return what begins with the first boundary, without the blanks behind it; nothing until it is there."""
        found = data.find(self._delimiter)
        if found < 0:
            self._preamble = data[-len(self._delimiter) :]
            return b""
        end = found + len(self._delimiter)
        rest = data[end:].lstrip(b" \t")
        if not rest and len(data) - end < _LONGEST_PADDING:
            self._preamble = data[found:]
            return b""
        self._preamble = None
        return data[found + 2 : end] + rest

    # What the parser calls.

    def _begin_part(self) -> None:
        self._headers = CIMultiDict()

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name.append(data[start:end])

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value.append(data[start:end])

    def _end_header(self) -> None:
        name = b"".join(self._name).decode("ascii")
        # What is no UTF-8 is marked, not kept: a name is likely to be sent to somebody, who could not be sent that.
        value = b"".join(self._value).strip(b" \t").decode("utf-8", "replace")
        self._name.clear()
        self._value.clear()
        if _splits_lines(value):
            raise MultipartError(f"CR, LF or NUL in a header field of a part: {name}")
        self._headers.add(name, value)

    def _end_headers(self) -> None:
        self._events.append(PartHead(self._headers))

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _end_part(self) -> None:
        self._events.append(PART_END)

    def _end(self) -> None:
        self.complete = True
