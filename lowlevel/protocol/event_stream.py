"""The bytes of an event stream (WHATWG HTML §9.2): text/event-stream, as an EventSource reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ("COMMENT", "format_event", "format_fields", "format_item")

COMMENT: Final = b":\n"
"""A line that means nothing; something to send where there is nothing to say."""

# In the name of a field, what would end it; in an id, clients ignore the whole id for a NUL.
_NOT_IN_NAMES: Final = re.compile(r"[\r\n:]")
_FORBIDDEN: Final = {"event": re.compile(rb"[\r\n]"), "id": re.compile(rb"[\r\n\0]")}


def format_event(
    data: str | bytes | bytearray | memoryview | None = None,
    event: str | None = None,
    id: str | int | None = None,
    retry: int | None = None,
) -> bytes:
    """Return one event.

    Args:
        data: What the event tells; of several lines, ended by CRLF, CR or LF, each arrives, ended by LF. Bytes are
            UTF-8. Without data no event reaches the script, but ``id`` and ``retry`` have their effect.
        event: Its type; ``message`` by default.
        id: What the client sends in ``Last-Event-ID`` when it comes back; ``""`` for no more.
        retry: Milliseconds after which the client shall come back.

    Raises:
        TypeError: An argument of another type.
        ValueError: CR or LF in ``event`` or ``id``, NUL in ``id``, a negative ``retry``, text that is not Unicode (a
            lone surrogate), or nothing at all.
    """
    lines: list[bytes] = []
    if id is not None:
        if isinstance(id, bool) or not isinstance(id, str | int):
            raise TypeError(f"id must be str or int, not {type(id).__name__}")
        lines.append(_line("id", str(id).encode()))
    if event is not None:
        if not isinstance(event, str):
            raise TypeError(f"event must be str, not {type(event).__name__}")
        lines.append(_line("event", event.encode()))
    if retry is not None:
        if isinstance(retry, bool) or not isinstance(retry, int):
            raise TypeError(f"retry must be an int, not {type(retry).__name__}")
        if retry < 0:
            raise ValueError(f"retry must be a number of milliseconds: {retry!r}")
        lines.append(b"retry: %d\n" % retry)
    if data is not None:
        lines += [b"data: %b\n" % line for line in _split(_encode("data", data))]
    if not lines:
        raise ValueError("an event needs data, event, id or retry")
    lines.append(b"\n")
    return b"".join(lines)


def format_fields(fields: Mapping[str, object]) -> bytes:
    """Return an event made of fields: a line for each, in their order; for a value of several lines, one for each.

    Args:
        fields: By name; values are bytes in UTF-8, or anything else as ``str()`` shows it.

    Raises:
        TypeError: A name that is not a str.
        ValueError: An empty name, or CR, LF or a colon in one; what format_event() refuses in ``event`` or ``id``.
    """
    lines: list[bytes] = []
    for name, value in fields.items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a field must be str, not {type(name).__name__}")
        if not name or _NOT_IN_NAMES.search(name):
            raise ValueError(f"{name!r} cannot be the name of a field of an event")
        text = value if isinstance(value, bytes) else str(value).encode()
        if name in _FORBIDDEN:
            lines.append(_line(name, text))
        else:
            lines += [b"%b: %b\n" % (name.encode(), line) for line in _split(text)]
    lines.append(b"\n")
    return b"".join(lines)


def format_item(item: object) -> bytes:
    """Return an event given as text in the format itself, or as a mapping of fields.

    Args:
        item: str or bytes go out as they are, with an empty line behind them; a mapping as format_fields() says.

    Raises:
        TypeError: It is something else.
        As format_fields() otherwise.
    """
    if isinstance(item, Mapping):
        return format_fields(item)
    return _encode("an event", item) + b"\n\n"


def _encode(what: str, text: object) -> bytes:
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, bytes | bytearray | memoryview):
        return bytes(text)
    raise TypeError(f"{what} must be str or bytes, not {type(text).__name__}")


def _line(name: str, value: bytes) -> bytes:
    if _FORBIDDEN[name].search(value):
        raise ValueError(f"{value[:64]!r} cannot be the {name} of an event")
    return b"%b: %b\n" % (name.encode(), value)


def _split(text: bytes) -> list[bytes]:
    """Return the lines of a text, ended by CRLF, CR or LF; at least one."""
    # str.splitlines() would know other line ends too.
    lines = text.splitlines()
    if not text or text.endswith((b"\r", b"\n")):
        lines.append(b"")
    return lines
