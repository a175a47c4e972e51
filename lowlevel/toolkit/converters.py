"""What a variable in a path may match: converters by name, formats of datetimes, regular expressions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

__all__ = ("ONE_SEGMENT", "Converter", "find_converter")


class Converter(NamedTuple):
    """What a variable matches, and what becomes of it."""

    regex: str
    convert: Callable[[str], Any] | None = None
    spans: bool = False
    """Whether what it matches may go on behind a slash."""


def _to_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"too large for a float: {text}")
    return value


ONE_SEGMENT: Final = "[^/]+"

# Python's own float() and int() take more: signs, underscores, blanks, other digits, nan.
_CONVERTERS: Final = {
    "str": Converter(ONE_SEGMENT),
    "int": Converter("-?[0-9]+", int),
    "float": Converter(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", _to_float),
    "uuid": Converter("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", UUID),
    "datetime": Converter(ONE_SEGMENT, datetime.fromisoformat),
    "path": Converter("(?s:.*)", spans=True),
}


def _datetime_converter(format: str) -> Converter:
    moment = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
    try:
        datetime.strptime(moment.strftime(format), format)
    except (ValueError, re.error) as exc:
        raise ValueError(f"{format!r} is no format of a datetime: {exc}") from None
    slashes = format.count("/")
    regex = "/".join([ONE_SEGMENT] * (slashes + 1))
    return Converter(regex, lambda text: datetime.strptime(text, format), spans=slashes > 0)


# A regular expression that surely matches no slash: letters, digits, classes of them, groups, repetitions.
_SLASHLESS: Final = re.compile(
    r"(?: \\[dw] | \w | - | \[ (?: \\[dw] | \w-\w | \w | [.] )+ -? \] | \(\?: | [()|*+?] | \{[0-9,]+\} )+",
    re.VERBOSE | re.ASCII,
)
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def find_converter(text: str) -> Converter:
    """Return what stands behind the first colon of a variable: a converter, one with a format, a regular expression.

    Raises:
        ValueError: It is none of these.
    """
    if not text or text == "datetime:":
        raise ValueError("there is nothing behind the colon")
    word, colon, argument = text.partition(":")
    if word in _CONVERTERS:
        if not colon:
            return _CONVERTERS[word]
        if word != "datetime":
            raise ValueError(f"the converter {word} takes no argument")
        return _datetime_converter(argument)
    if _WORD.fullmatch(word) and (colon or word == text):
        known = ", ".join(_CONVERTERS)
        raise ValueError(f"{word!r} is no converter: these are {known}, and regular expressions")
    try:
        groups = re.compile(text).groupindex
    except re.error as exc:
        raise ValueError(
            f"{text!r} is neither a converter nor a regular expression: {exc}"
        ) from None
    if groups:
        raise ValueError(f"{text!r}: the name of the variable is the only name there can be")
    return Converter(text, spans=_SLASHLESS.fullmatch(text) is None)
