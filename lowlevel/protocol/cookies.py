"""Cookies that a client sends back (RFC 6265 §4.2, §5.4): the ``Cookie`` field, in; never an error.

A server reads what many different pens wrote, so this takes far more than RFC 6265 §4.1.1 lets
anybody send: names with ``[]{}()/<>`` in them, values with spaces, commas, JSON or letters beyond
ASCII. In this field there are only names and values; ``path`` or ``expires`` are cookies like any
other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ("cookie_pairs", "cookie_values", "is_cookie_name", "parse_cookie", "unquote_value")

# A value in quotes may hold semicolons, but only if it is closed and nothing follows but the end of
# the pair; otherwise a quote is a character like any other. Browsers never send such values: for
# them a semicolon ends the value, whatever stands around it. The pattern matches at any place, so
# the pairs it finds are the whole text. Possessive, it never backs up over what it has read.
_pairs: Final = re.compile(
    r'([^=;]*+)(?:=[ \t]*+("(?:[^"\\]++|\\.)*+"(?=[ \t]*+(?:;|\Z))|[^;]*+))?+[ \t]*+(?:;|\Z)',
    re.DOTALL,
).finditer
is_cookie_name: Final = re.compile(r"[!#-+\-.-:<>-\[\]-~]++").fullmatch
"""Match printable ASCII without space, quote, comma, semicolon, equals sign and backslash."""
_escape: Final = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))", re.DOTALL)


def parse_cookie(value: str) -> dict[str, str]:
    """Read the value of a ``Cookie`` field; several fields are one value when joined with ``; ``.

    Returns:
        The cookies by name; the last of several with one name wins. A cookie without a value, or
        without even an equals sign, has the value ``""``. A value in quotes is unquoted, its escapes
        ``\\"``, ``\\\\`` and ``\\012`` (three octal digits) undone. A cookie whose name is empty or has
        in it a character that is not printable ASCII, a space, a quote, a comma or a backslash is
        left out.
    """
    return dict(cookie_pairs(value))


def cookie_values(value: str) -> dict[str, list[str]]:
    """Read the value of a ``Cookie`` field (RFC 6265 §4.2, §5.4); never raises.

    A cookie without a value, or without even an equals sign, has the value ``""``; a value in quotes is unquoted,
    escapes undone; a cookie whose name is empty, or has in it a character that is not printable ASCII, a space, a
    quote, a comma or a backslash, is left out.

    Returns:
        All values of each name in the order they came, where ``request.cookies`` has the last one.
    """
    cookies: dict[str, list[str]] = {}
    for name, text in cookie_pairs(value):
        cookies.setdefault(name, []).append(text)
    return cookies


def cookie_pairs(value: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of every cookie that ``parse_cookie`` would read, in order."""
    for match in _pairs(value):
        name = match[1].strip(" \t")
        if is_cookie_name(name):
            yield name, unquote_value((match[2] or "").strip(" \t"))


def unquote_value(value: str) -> str:
    """Undo what ``http.cookies`` and its ancestors do to values (RFC 2109 §4.1)."""
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    return _escape.sub(_unescape, value[1:-1])


def _unescape(match: re.Match[str]) -> str:
    octal, character = match.groups()
    return chr(int(octal, 8)) if octal else str(character)
