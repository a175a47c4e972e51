"""The table of a router: routes, and which of them a path may belong to.

A path without variables is found by one look-up. Of the others, those that can match at all are found by walking the
path through a tree of segments, so that a thousand routes cost no more regular expressions than the few that begin
like the path.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, Union, final

from ..request import BaseRequest
from ..response import StreamResponse
from .invoke import as_async, required_parameters
from .patterns import Pattern

__all__ = ("Entry", "Route", "Table", "is_plain")

# In a target, these stand for themselves; what others look like there is the client's choice.
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._~!$&'()*+,;=:@-]*")


def is_plain(path: str) -> bool:
    """Whether every client writes a path as it stands here."""
    return _PLAIN.fullmatch(path) is not None


class Route(NamedTuple):
    """One line of a router's table."""

    path: str | re.Pattern[str]
    """The pattern as it was given; for a mount, its prefix."""

    handler: Callable[..., Any]
    """The handler as it was given."""

    methods: tuple[str, ...]
    """Sorted; ``("*",)`` for any, ``("GET",)`` for a WebSocket."""

    hosts: tuple[str, ...] | None = None
    """The hosts it is for, sorted; None for all."""

    websocket: bool = False
    """Whether it takes handshakes of WebSockets, and nothing else."""

    mount: bool = False
    """Whether it takes all that is below its path."""


@final
class Entry:
    """A route, ready to be used.

    Attributes:
        answers: The methods it is for, HEAD among them if it follows from GET; ``"*"`` for any.
        call: What is called with a request.
        certain: Whether a path that finds it in the table matches.
        simple: Whether nothing but path and method matters.
        key: Equal for entries that the same requests find, but for their methods.
    """

    __slots__ = (
        "answers",
        "call",
        "certain",
        "hosts",
        "key",
        "order",
        "pattern",
        "route",
        "simple",
    )

    def __init__(self, route: Route, pattern: Pattern, order: int, heads: bool = False) -> None:
        self.route = route
        self.pattern = pattern
        self.order = order
        self.hosts = None if route.hosts is None else frozenset(route.hosts)
        self.answers = frozenset(route.methods)
        if heads:
            self.answers |= {"HEAD"}
        self.certain = pattern.literal is not None
        self.simple = not route.websocket and self.hosts is None
        self.key = (pattern.key, self.hosts, route.websocket, route.mount)
        self.call = _callable(route, len(pattern.steps))

    def takes(self, method: str) -> bool:
        """Whether it is for requests with this method."""
        answers = self.answers
        return method in answers or "*" in answers

    def hides(self, other: Entry) -> bool:
        """Whether it leaves nothing for some method of one that has the same key and comes behind it."""
        methods = self.route.methods
        return "*" in methods or any(method in methods for method in other.route.methods)

    def yield_head(self, other: Entry) -> None:
        """Leave HEAD to one that has the same key and is for it by name."""
        if "HEAD" in other.route.methods:
            self.answers = frozenset(self.route.methods)


def _callable(route: Route, depth: int) -> Callable[[BaseRequest], Awaitable[Any]]:
    """Return what to call with a request for a route; ``depth`` is how many segments a mount takes."""
    if not route.mount:
        if route.websocket and required_parameters(route.handler) == 2:
            # It loads what speaks the protocol, which routers without WebSockets do without.
            from ..websocket_response import websocket

            return websocket(as_async(route.handler))
        return as_async(route.handler)
    call = as_async(route.handler)

    async def enter(request: BaseRequest) -> Any:
        inner = request.below(depth)
        response = await call(inner)
        if not isinstance(response, StreamResponse):
            request._answered_by = inner._answered_by or route.handler
        return response

    return enter


def _by_order(entry: Entry) -> int:
    return entry.order


# Up to so many entries are tried one after another.
_FEW: Final = 4

# So many entries at most are repeated in every branch of a choice, since they may be behind any.
_MOST_REPEATED: Final = 8

_Index = Union[list[Entry], "_Choice", None]
"""Entries that may match, in their order; or a further choice between some; or None: look for them in the tree."""


@final
class _Choice(NamedTuple):
    """A segment of a path by which the entries that may match are told apart."""

    depth: int
    """Which one; the first one is 1."""

    by_text: dict[str, _Index]
    others: _Index


def _index(entries: list[Entry], depth: int = 1) -> _Index:
    """Sort entries by segments that are all text, from one on, as far as this leaves fewer to be tried."""
    if len(entries) <= _FEW:
        return entries
    deepest = max(len(entry.pattern.steps) for entry in entries)
    for place in range(depth, deepest + 1):
        others: list[Entry] = []
        by_text: dict[str, list[Entry]] = {}
        for entry in entries:
            steps = entry.pattern.steps
            text, whole = steps[place - 1] if place <= len(steps) else ("", False)
            (by_text.setdefault(text, []) if whole else others).append(entry)
        if by_text and len(others) <= min(_MOST_REPEATED, len(entries) // 2):
            branches = {
                text: _index(sorted(some + others, key=_by_order), place + 1)
                for text, some in by_text.items()
            }
            return _Choice(place, branches, _index(others, place + 1))
    return entries if len(entries) <= _MOST_REPEATED else None


class _Node:
    """A place in the tree of segments."""

    __slots__ = ("ends", "lengths", "literals", "prefixes", "tails")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.prefixes: dict[str, _Node] = {}
        self.lengths: tuple[int, ...] = ()
        self.ends: list[Entry] = []
        self.tails: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Take in an entry, here or below."""
        node = self
        for text, whole in entry.pattern.steps:
            branches = node.literals if whole else node.prefixes
            node.lengths = tuple({*node.lengths, *([] if whole else [len(text)])})
            node = branches.setdefault(text, _Node())
        (node.tails if entry.pattern.spans else node.ends).append(entry)

    def walk(self, path: str) -> list[Entry]:
        """Return the entries that a path may match, in their order."""
        nodes = [self]
        found = list(self.tails)
        for segment in path[1:].split("/"):
            nodes = [child for node in nodes for child in node.below(segment)]
            if not nodes:
                break
            for node in nodes:
                found += node.tails
        for node in nodes:
            found += node.ends
        found.sort(key=_by_order)
        return found

    def children(self, parent: str) -> list[Entry]:
        """Return the entries for paths that have one more segment than a path that ends with a slash."""
        nodes = [self]
        found = list(self.tails)
        for segment in parent[1:-1].split("/") if parent != "/" else ():
            nodes = [child for node in nodes for child in node.below(segment)]
            for node in nodes:
                found += node.tails
        for node in nodes:
            for child in (*node.literals.values(), *node.prefixes.values()):
                found += child.tails + child.ends
        found.sort(key=_by_order)
        return found

    def below(self, segment: str) -> Iterator[_Node]:
        """Return the places that a segment leads to."""
        child = self.literals.get(segment)
        if child is not None:
            yield child
        for length in self.lengths:
            child = self.prefixes.get(segment[:length]) if length <= len(segment) else None
            if child is not None:
                yield child


class Table:
    """Entries by their paths.

    Attributes:
        entries: All of them, in the order of registration.
        plain: Whether a path without percent signs that is not found as a static one is none.
        parents: Entries by the text of a path in front of its last slash, for what most with variables look like.
    """

    def __init__(self, *, plain: bool) -> None:
        self.entries: list[Entry] = []
        self.plain = plain
        self.parents: dict[bytes, list[Entry]] = {}
        self._static: dict[str, list[Entry]] = {}
        # The others, in the tree; and as far as possible in an index, made when it is first needed.
        self._tree = _Node()
        self._choices: _Index = None
        self._indexed = False

    def add(self, entry: Entry) -> None:
        """Take in an entry."""
        self.entries.append(entry)
        if entry.pattern.literal is not None:
            self._static.setdefault(entry.pattern.literal, []).append(entry)
        else:
            self._tree.add(entry)
            self._indexed = False
            self.parents.clear()

    def static(self, path: str) -> Iterable[Entry]:
        """Return the entries for exactly this path, in the order of registration."""
        return self._static.get(path, ())

    def dynamic(self, path: str) -> list[Entry]:
        """Return the entries whose pattern may match a path in normal form, in the order of registration."""
        if not self._indexed:
            self._make_index()
        index = self._choices
        if type(index) is _Choice:
            segments = path.split("/")
            while type(index) is _Choice:
                if index.depth < len(segments):
                    index = index.by_text.get(segments[index.depth], index.others)
                else:
                    index = index.others
        return self._tree.walk(path) if index is None else index

    def _make_index(self) -> None:
        entries = [entry for entry in self.entries if entry.pattern.literal is None]
        self._choices = _index(entries)
        for parent in {entry.pattern.parent for entry in entries}:
            if parent is not None and is_plain(parent):
                children = self._tree.children(parent)
                if len(children) <= _MOST_REPEATED:
                    self.parents[parent[:-1].encode()] = children
        self._indexed = True
