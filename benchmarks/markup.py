"""Pieces of reStructuredText."""

import re
from collections.abc import Iterable, Mapping, Sequence

NOTHING = "–"
"""An empty cell. A hyphen would begin a list there."""

_LITERAL_CHARACTERS = 300


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A simple table, the first column to the left, the others to the right."""
    widths = [max(len(line[column]) for line in (head, *lines)) for column in range(len(head))]
    rule = "  ".join("=" * width for width in widths)

    def text(line: Sequence[str]) -> str:
        first, *others = line
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        return "  ".join(cells).rstrip()

    return "\n".join([rule, text(head), rule, *(text(line) for line in lines), rule])


def bullets(entries: Iterable[str]) -> str:
    return "\n".join(f"- {entry}" for entry in entries)


def fields(entries: Mapping[str, str]) -> str:
    return "\n".join(f":{name}: {value}" for name, value in entries.items())


def figure(path: str, alt: str, caption: str) -> str:
    return f".. figure:: {path}\n   :alt: {alt}\n   :align: left\n\n   {caption}"


def escaped(text: str) -> str:
    """So that nothing in it is taken for markup."""
    return re.sub(r"([\\*`|_])", r"\\\1", text)


def literal(text: str) -> str:
    """What a program said, on one line and not without end."""
    line = " ".join(text.replace("`", "'").split())
    if len(line) > _LITERAL_CHARACTERS:
        line = line[: _LITERAL_CHARACTERS - 3] + "..."
    return f"``{line}``"


def paragraphs(*parts: str) -> str:
    """The parts that have something in them, with a blank line between any two."""
    return "\n\n".join(part for part in parts if part)
