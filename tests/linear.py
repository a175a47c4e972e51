"""What makes readers of header fields slow: values that lead them to try again, and ways to see that they do not."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

BAITS = [
    " ",
    "\t",
    ",",
    ";",
    '"',
    "\\",
    "=",
    ":",
    ".",
    "a",
    "0",
    "é",
    "\udce9",
    '""',
    '\\"',
    ", ",
    "; ",
]
BAITS += ["a=", "a=b", "a=b ", "a=b;", "a=b,", ";a=", 'a="', 'a="b,', 'a="\\', 'a="b";', 'a="b" ']
BAITS += [
    "a;q=0,",
    "a;q=0.",
    "q=",
    "/",
    "a/b,",
    'W/"',
    '"a",',
    '"a" ',
    "*,",
    "1:",
    "[",
    "%4",
    "a,;",
]
"""What, repeated, is bait for a reader that tries again from every place."""


def rounds(reader: Callable[[str], object], value: str) -> int:
    """How many calls, of Python and of C functions, a reader makes: the rounds of its loops."""
    count = 0

    def profile(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        reader(value)
    finally:
        sys.setprofile(None)
    return count


def backtracking_repeats(pattern: str, flags: int = 0) -> list[Any]:
    """Repetitions without a bound that may give back what they have read."""
    parser: Any = importlib.import_module("re._parser")
    backing = (parser.MAX_REPEAT, parser.MIN_REPEAT)
    found = []

    def walk(node: Any) -> None:
        if isinstance(node, parser.SubPattern):
            node = list(node)
        if isinstance(node, (list, tuple)):
            if len(node) == 2 and node[0] in backing and node[1][1] == parser.MAXREPEAT:
                found.append(node)
            for part in node:
                walk(part)

    walk(parser.parse(pattern, flags))
    return found


def patterns_of(module: ModuleType) -> list[re.Pattern[str]]:
    """The patterns of a module: those it keeps, and those of which it keeps a method."""
    kept = [getattr(value, "__self__", value) for value in vars(module).values()]
    return [pattern for pattern in kept if isinstance(pattern, re.Pattern)]
