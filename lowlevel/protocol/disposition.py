"""Reading ``Content-Disposition``: of a response (RFC 6266) and of a part of a form (RFC 7578 §4.2).

Writing it is ``headers.content_disposition``. Reading is total: what cannot be read is left out.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from .charset import decode_text

__all__ = ("file_name", "parse_content_disposition")

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_kind: Final = re.compile(rf"[ \t]*+({_TOKEN})?[^;]*+").match
# A missing last quote is forgiven, and whatever stands between a value and the next semicolon is skipped.
_parameter: Final = re.compile(
    rf';[ \t]*+(?:({_TOKEN})[ \t]*+=[ \t]*+(?:"((?:[^"\\]++|\\.?+)*+)"?|([^;"]*+)))?[^;]*+',
    re.DOTALL,
).match
# Browsers send a backslash in a file name as it is, curl escapes it: only these two are escapes to both.
_escape: Final = re.compile(r'\\(["\\])').sub

# name*, name*0, name*1*: one value in a character set, or in sections (RFC 8187 §3.2, RFC 2231 §3).
_extended: Final = re.compile(r"([^*]++)(?:\*([0-9]{1,3}))?(\*)?").fullmatch


def parse_content_disposition(value: str) -> tuple[str, dict[str, str]]:
    """Read a ``Content-Disposition``.

    Returns:
        The type in lower case, ``""`` if there is none, and its parameters: names in lower case, the first of several
        with one name. A value with a character set (``filename*=UTF-8''na%C3%AFve``) stands under the plain name,
        and wins over a plain value.
    """
    match = _kind(value)
    kind = (match[1] or "").lower() if match else ""
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    position = match.end() if match else 0
    while match := _parameter(value, position):
        position = match.end()
        name, quoted, bare = match.groups()
        if name is None:
            continue
        name = name.lower()
        text = bare.rstrip(" \t") if quoted is None else _escape(r"\1", quoted)
        if "*" not in name:
            plain.setdefault(name, text)
        elif parts := _extended(name):
            key, number, marked = parts.groups()
            sections.setdefault(key, {}).setdefault(int(number or 0), (text, marked is not None))
    for key, numbered in sections.items():
        joined = _join(numbered)
        if joined is not None:
            plain[key] = joined
    return kind, plain


def _join(sections: dict[int, tuple[str, bool]]) -> str | None:
    """Put a value in sections together; None if the first is missing or it is no text in its character set."""
    if 0 not in sections:
        return None
    first, marked = sections[0]
    charset = "utf-8"
    if marked:
        charset, quote, rest = first.partition("'")
        _, second_quote, first = rest.partition("'")
        if not quote or not second_quote:
            return None
    data = bytearray()
    number = 0
    while number in sections:
        text, marked = (first, marked) if number == 0 else sections[number]
        data += unquote_to_bytes(text) if marked else text.encode("utf-8", "surrogateescape")
        number += 1
    try:
        return decode_text(data, charset or "utf-8")
    except (LookupError, ValueError):
        return None


_unsafe: Final = re.compile(r"[\x00-\x1f\x7f]").sub


def file_name(sent: str) -> str:
    """Return what of a file name from a client may be used: its last component, control characters as ``_``.

    ``""`` if nothing is left, or only the name of a directory (RFC 7578 §4.2, RFC 6266 §4.3).
    """
    name = _unsafe("_", sent.replace("\\", "/").rpartition("/")[2])
    return "" if name in (".", "..") else name
