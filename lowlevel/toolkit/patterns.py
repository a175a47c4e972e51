"""Path patterns: what a route matches, and the values that it takes from a path.

One grammar: ``{name}`` is a part of a segment, not empty; ``{name:CONVERTER}`` is converted, and matches only what can
be; ``{name:datetime:FORMAT}`` is what strptime() reads; ``{name:REGEX}`` is anything else. Text and variables may be
mixed in a segment. A compiled regular expression is a pattern too: it has to match the whole path, its named groups
are the variables.

Paths are matched decoded, but for a slash in a segment, which came as ``%2F`` and must not end the segment: a lone
surrogate, which no UTF-8 can bring, stands for it. This is the normal form of a path. Text in a pattern is brought
into it too, so ``/caf%C3%A9`` and ``/café`` are one pattern. In values of variables the slash is a slash again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes
from uuid import UUID

__all__ = ("Pattern", "normalise", "parse_mount", "parse_pattern")


def normalise(path: str) -> str:
    """Return the normal form of a path: decoded, but for ``%2F``. A segment that is no UTF-8 stays as it came."""
    if "%" not in path:
        return path
    return "/".join(map(_normalise_segment, path.split("/")))


_SLASH: Final = "\udc2f"


def _normalise_segment(segment: str) -> str:
    try:
        return unquote_to_bytes(segment).decode().replace("/", _SLASH)
    except UnicodeDecodeError:
        return segment


# Converters.


class _Converter(NamedTuple):
    regex: str
    convert: Callable[[str], Any] | None = None
    spans: bool = False
    """Whether what it matches may go on behind a slash."""


def _to_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"too large for a float: {text}")
    return value


_ONE_SEGMENT: Final = "[^/]+"

# Python's own float() and int() take more: signs, underscores, blanks, other digits, nan.
_CONVERTERS: Final = {
    "str": _Converter(_ONE_SEGMENT),
    "int": _Converter("-?[0-9]+", int),
    "float": _Converter(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", _to_float),
    "uuid": _Converter("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", UUID),
    "datetime": _Converter(_ONE_SEGMENT, datetime.fromisoformat),
    "path": _Converter("(?s:.*)", spans=True),
}


def _datetime_converter(format: str) -> _Converter:
    moment = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
    try:
        datetime.strptime(moment.strftime(format), format)
    except (ValueError, re.error) as exc:
        raise ValueError(f"{format!r} is no format of a datetime: {exc}") from None
    slashes = format.count("/")
    regex = "/".join([_ONE_SEGMENT] * (slashes + 1))
    return _Converter(regex, lambda text: datetime.strptime(text, format), spans=slashes > 0)


# A regular expression that surely matches no slash: letters, digits, classes of them, groups, repetitions.
_SLASHLESS: Final = re.compile(
    r"(?: \\[dw] | \w | - | \[ (?: \\[dw] | \w-\w | \w | [.] )+ -? \] | \(\?: | [()|*+?] | \{[0-9,]+\} )+",
    re.VERBOSE | re.ASCII,
)
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _converter(text: str) -> _Converter:
    """Return what follows the first colon of a variable."""
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
    return _Converter(text, spans=_SLASHLESS.fullmatch(text) is None)


# Patterns.


class _Variable(NamedTuple):
    name: str
    kind: str
    converter: _Converter


class Pattern:
    """What a path has to look like.

    Attributes:
        literal: The one path it matches, in normal form; None if there are variables.
        key: Equal for patterns that match the same, whatever their variables are called.
        steps: What a path begins with, segment by segment: a whole segment, or with False the text that one begins
            with. The segments end where a variable may match a slash.
        spans: Whether the path may go on behind the steps.
        parent: If it is text and then a variable that is one segment, not converted, the text; else None.
        name: The name of that variable.
    """

    def __init__(
        self,
        regex: re.Pattern[str],
        converters: dict[str, Callable[[str], Any]],
        *,
        literal: str | None = None,
        key: object = None,
        steps: tuple[tuple[str, bool], ...] = (),
        spans: bool = True,
        parent: str | None = None,
    ) -> None:
        self._fullmatch = regex.fullmatch
        self.parent = parent
        self.name = next(iter(regex.groupindex), "")
        self._converters = tuple(converters.items())
        self.literal = literal
        self.key = (regex.pattern, regex.flags) if key is None else key
        self.steps = steps
        self.spans = spans

    def match(self, path: str) -> dict[str, Any] | None:
        """Return the values that a path in normal form has for the variables; None if it does not match."""
        found = self._fullmatch(path)
        if found is None:
            return None
        values: dict[str, Any] = found.groupdict()
        if _SLASH in path:
            for name, text in values.items():
                if text is not None:
                    values[name] = text.replace(_SLASH, "/")
        if self._converters:
            try:
                for name, convert in self._converters:
                    values[name] = convert(values[name])
            except ValueError:
                return None
        return values


def parse_pattern(path: str | re.Pattern[str], *, trim: bool = False) -> Pattern:
    """Read a pattern.

    Args:
        trim: Leave out slashes at its end.

    Raises:
        TypeError: It is neither a str nor a compiled regular expression of str.
        ValueError: It does not begin with a slash, or what is in braces is wrong.
    """
    if isinstance(path, re.Pattern):
        if not isinstance(path.pattern, str):
            raise TypeError("a regular expression for paths must be one of str, not of bytes")
        return Pattern(path, {})
    if not isinstance(path, str):
        raise TypeError(f"a path must be a str or a compiled regular expression, not {path!r}")
    if not path.startswith("/"):
        raise ValueError("a path begins with a slash")
    pieces = list(_pieces(path))
    if trim and isinstance(pieces[-1], str):
        pieces[-1] = pieces[-1].rstrip("/")
    variables = [piece for piece in pieces if isinstance(piece, _Variable)]
    names = [variable.name for variable in variables]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the variable {name!r} is there twice")
    converters = {
        name: converter.convert for name, _, converter in variables if converter.convert is not None
    }
    try:
        regex = re.compile("".join(map(_regex, pieces)))
    except re.error as exc:  # what was valid alone need not be so beside others
        raise ValueError(f"it is no regular expression: {exc}") from None
    steps, spans = _steps(pieces)
    return Pattern(
        regex,
        converters,
        literal=None if variables else "".join(map(str, pieces)),
        key=tuple(piece if isinstance(piece, str) else (piece.kind,) for piece in pieces),
        steps=steps,
        spans=spans,
        parent=_parent(pieces),
    )


def _parent(pieces: list[str | _Variable]) -> str | None:
    """Return the text in front of a segment that is a variable and all that is left."""
    if len(pieces) == 2:
        text, variable = pieces
        if isinstance(text, str) and isinstance(variable, _Variable) and variable.kind == "str":
            return text if text.endswith("/") else None
    return None


def parse_mount(prefix: str) -> Pattern:
    """Read the prefix of a mount, which is a path without variables; slashes at its end do not matter.

    Raises:
        As parse_pattern() does; also ValueError if there are variables.
    """
    if not isinstance(prefix, str):
        raise TypeError(f"a prefix must be a str, not {prefix!r}")
    literal = parse_pattern(prefix, trim=True).literal
    if literal is None:
        raise ValueError("the prefix of a mount has no variables")
    steps = tuple((name, True) for name in literal.split("/")[1:])
    return Pattern(re.compile(re.escape(literal) + "(?s:/.*)?"), {}, key=literal, steps=steps)


def _pieces(path: str) -> Iterator[str | _Variable]:
    """Take a pattern apart: text in normal form, and variables."""
    position = 0
    while position < len(path):
        start = path.find("{", position)
        text = path[position:] if start < 0 else path[position:start]
        if "}" in text:
            raise ValueError("there is a closing brace too many")
        if text:
            yield normalise(text)
        if start < 0:
            return
        end = _closing_brace(path, start)
        name, colon, rest = path[start + 1 : end].partition(":")
        if not (name.isidentifier() and name.isascii()):
            raise ValueError(f"{name!r} is no name of a variable")
        kind = rest if colon else "str"
        yield _Variable(name, kind, _converter(kind))
        position = end + 1


def _closing_brace(path: str, start: int) -> int:
    depth = 0
    for position in range(start, len(path)):
        if path[position] == "{":
            depth += 1
        elif path[position] == "}":
            depth -= 1
            if not depth:
                return position
    raise ValueError("a brace is not closed")


def _regex(piece: str | _Variable) -> str:
    if isinstance(piece, str):
        return re.escape(piece)
    return f"(?P<{piece.name}>{piece.converter.regex})"


def _steps(pieces: list[str | _Variable]) -> tuple[tuple[tuple[str, bool], ...], bool]:
    """Return the segments that a path begins with, and whether it may go on behind them."""
    steps: list[tuple[str, bool]] = []
    text, whole = "", True
    for piece in pieces:
        if isinstance(piece, _Variable):
            if piece.converter.spans:
                return tuple(steps[1:]), True
            whole = False
            continue
        first, *more = piece.split("/")
        if whole:
            text += first
        for segment in more:
            steps.append((text, whole))
            text, whole = segment, True
    steps.append((text, whole))
    return tuple(steps[1:]), False
