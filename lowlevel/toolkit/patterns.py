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

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from .converters import ONE_SEGMENT, Converter, find_converter

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


class _Variable(NamedTuple):
    name: str
    kind: str
    converter: Converter


_Piece = str | _Variable


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
        *,
        converters: Iterable[tuple[str, Callable[[str], Any]]] = (),
        splitters: Iterable[_Splitter] = (),
        longest: int | None = None,
        literal: str | None = None,
        key: object = None,
        steps: tuple[tuple[str, bool], ...] = (),
        spans: bool = True,
        parent: str | None = None,
    ) -> None:
        self._fullmatch = regex.fullmatch
        self._converters = tuple(converters)
        self._splitters = tuple(splitters)
        self._longest = longest
        self.literal = literal
        self.key = (regex.pattern, regex.flags) if key is None else key
        self.steps = steps
        self.spans = spans
        self.parent = parent
        self.name = next(iter(regex.groupindex), "")

    def match(self, path: str) -> dict[str, Any] | None:
        """Return the values that a path in normal form has for the variables; None if it does not match."""
        if self._longest is not None and self._is_too_long(path, self._longest):
            return None
        found = self._fullmatch(path)
        if found is None:
            return None
        values: dict[str, Any] = found.groupdict()
        for splitter in self._splitters:
            if not splitter.split(values):
                return None
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

    def _is_too_long(self, path: str, longest: int) -> bool:
        if len(path) <= longest:
            return False
        return self.spans or max(map(len, path.split("/"))) > longest


class _Splitter(NamedTuple):
    """Takes a segment of text and variables apart, which all match any text but none.

    A regular expression would try all the ways to do that; this finds the one that it would find, at once.
    """

    texts: tuple[str, ...]
    """What stands in front of the variables, and behind the last."""

    names: tuple[str, ...]

    def split(self, values: dict[str, Any]) -> bool:
        """Set the variables, of which the first is the whole segment up to now; False if it does not match."""
        segment = values[self.names[0]]
        first, *between, last = self.texts
        start, end = len(first), len(segment) - len(last)
        if end <= start or not segment.startswith(first) or not segment.endswith(last):
            return False
        for text, name in zip(reversed(between), reversed(self.names[1:]), strict=True):
            # Neither the variable behind it nor the one in front is empty.
            place = segment.rfind(text, start + 1, end - 1)
            if place < 0:
                return False
            values[name] = segment[place + len(text) : end]
            end = place
        values[self.names[0]] = segment[start:end]
        return True


# How long a segment may be - or a path, if several variables may match slashes - in which so many variables meet: a
# regular expression needs steps like the length to the power of their number.
_LONGEST: Final = {2: 1400, 3: 180, 4: 70, 5: 42}
_LONGEST_OF_MORE: Final = 24


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
        return Pattern(path)
    if not isinstance(path, str):
        raise TypeError(f"a path must be a str or a compiled regular expression, not {path!r}")
    if not path.startswith("/"):
        raise ValueError("a path begins with a slash")
    pieces = list(_pieces(path))
    if trim and isinstance(pieces[-1], str):
        pieces[-1] = pieces[-1].rstrip("/")
    variables = [piece for piece in pieces if isinstance(piece, _Variable)]
    if not variables:
        literal = "".join(map(str, pieces))
        return Pattern(re.compile(re.escape(literal)), literal=literal, key=(literal,))
    names = [variable.name for variable in variables]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the variable {name!r} is there twice")
    segments = _segments(pieces)
    splitters = {n: _splitter(segment) for n, segment in enumerate(segments) if _is_plain(segment)}
    regex = "/".join(
        f"(?P<{splitters[n].names[0]}>{ONE_SEGMENT})" if n in splitters else _segment_regex(segment)
        for n, segment in enumerate(segments)
    )
    try:
        compiled = re.compile(regex)
    except re.error as exc:  # what was valid alone need not be so beside others
        raise ValueError(f"it is no regular expression: {exc}") from None
    spanning = [n for n, segment in enumerate(segments) if any(map(_spans, segment))]
    return Pattern(
        compiled,
        converters=[
            (name, converter.convert)
            for name, _, converter in variables
            if converter.convert is not None
        ],
        splitters=splitters.values(),
        longest=_longest([segment for n, segment in enumerate(segments) if n not in splitters]),
        key=tuple(piece if isinstance(piece, str) else (piece.kind,) for piece in pieces),
        steps=tuple(map(_step, segments[1 : spanning[0] if spanning else None])),
        spans=bool(spanning),
        parent=_parent(pieces),
    )


def _segments(pieces: list[_Piece]) -> list[list[_Piece]]:
    """Return the text and the variables of each segment; the first one is what is in front of the first slash."""
    segments: list[list[_Piece]] = [[]]
    for piece in pieces:
        if isinstance(piece, _Variable):
            segments[-1].append(piece)
            continue
        for n, text in enumerate(piece.split("/")):
            if n:
                segments.append([])
            if text:
                segments[-1].append(text)
    return segments


def _spans(piece: _Piece) -> bool:
    return isinstance(piece, _Variable) and piece.converter.spans


def _step(segment: list[_Piece]) -> tuple[str, bool]:
    """Return the text that a segment is, or else begins with."""
    if all(isinstance(piece, str) for piece in segment):
        return "".join(map(str, segment)), True
    return segment[0] if isinstance(segment[0], str) else "", False


def _is_plain(segment: list[_Piece]) -> bool:
    """Whether a segment has several variables, and none that is converted."""
    kinds = [piece.kind for piece in segment if isinstance(piece, _Variable)]
    return len(kinds) > 1 and set(kinds) == {"str"}


def _splitter(segment: list[_Piece]) -> _Splitter:
    texts, names = [""], []
    for piece in segment:
        if isinstance(piece, _Variable):
            names.append(piece.name)
            texts.append("")
        else:
            texts[-1] += piece
    return _Splitter(tuple(texts), tuple(names))


def _longest(segments: list[list[_Piece]]) -> int | None:
    """Return how long a segment may be, or a path that may go on, for a regular expression not to take too long."""
    counts = [sum(isinstance(piece, _Variable) for piece in segment) for segment in segments]
    spanning = sum(_spans(piece) for segment in segments for piece in segment)
    count = max(counts) if not spanning else spanning + max(counts) - 1
    return None if count < 2 else _LONGEST.get(count, _LONGEST_OF_MORE)


def _parent(pieces: list[_Piece]) -> str | None:
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
    return Pattern(re.compile(re.escape(literal) + "(?s:/.*)?"), key=literal, steps=steps)


def _pieces(path: str) -> Iterator[_Piece]:
    """Take a pattern apart: text in normal form, and variables."""
    position = 0
    while position < len(path):
        start = path.find("{", position)
        text = path[position:] if start < 0 else path[position:start]
        if "}" in text:
            raise ValueError("there is a closing brace too many")
        if "?" in text or "#" in text:
            raise ValueError("a path ends in front of a question mark or a number sign")
        if text:
            yield normalise(text)
        if start < 0:
            return
        end = _closing_brace(path, start)
        name, colon, rest = path[start + 1 : end].partition(":")
        if not (name.isidentifier() and name.isascii()):
            raise ValueError(f"{name!r} is no name of a variable")
        kind = rest if colon else "str"
        yield _Variable(name, kind, find_converter(kind))
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


def _segment_regex(segment: list[_Piece]) -> str:
    regex = "".join(map(_regex, segment))
    variables = sum(isinstance(piece, _Variable) for piece in segment)
    if variables < 2 or any(map(_spans, segment)):
        return regex
    # Of the ways to take a segment apart the first will do, whatever comes behind it: or their numbers multiply.
    return f"(?>{regex}(?![^/]))"


def _regex(piece: _Piece) -> str:
    if isinstance(piece, str):
        return re.escape(piece)
    return f"(?P<{piece.name}>{piece.converter.regex})"
