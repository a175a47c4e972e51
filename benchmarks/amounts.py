"""Numbers as they are read: with their unit, and with no more digits than they deserve."""

from .stats import Spread

_FAMILY_OF_BYTES = ("response body", "request body")


def amount(value: float, unit: str) -> str:
    """A measured value: ``47,189/s``, ``1,500 MiB/s``, ``5.9 KiB``, ``0.412 ms``."""
    if unit.endswith("/s") and unit != "MiB/s":
        return f"{plain(value, unit)}/s"
    return f"{plain(value, unit)} {unit}"


def plain(value: float, unit: str) -> str:
    """The same where the unit stands elsewhere."""
    if unit.endswith("/s"):
        return f"{value:,.0f}"
    return f"{value:.1f}" if unit in ("KiB", "MiB") else figures(value)


def figures(value: float) -> str:
    """Three figures, and all of those before the point."""
    if value >= 100 or not value:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def short(value: float) -> str:
    """Three figures in the least of room: ``1.20M``, ``47.2k``, ``812``, ``0.412``."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{figures(value / size)}{letter}"
    return figures(value)


def bar_value(value: float) -> str:
    """At the end of a bar: two digits after the point while there is room."""
    return f"{value:.2f}" if value < 100 else short(value)


def ratio(of: Spread) -> str:
    return f"{of.median:.2f} ({of.least:.2f}-{of.most:.2f})"


def farthest(of: Spread) -> str:
    """How far from the middle the sample is that is farthest from it: ``±4%``."""
    away = max(of.most - of.median, of.median - of.least)
    return f"±{away / of.median:.0%}" if of.median else "±0%"


def point(at: float, family: str) -> str:
    """A place on the axis of a family: ``1,000``, ``16 KiB``, ``p99.9``."""
    if family == "latency":
        return f"p{at:g}"
    if family in _FAMILY_OF_BYTES:
        return size(at)
    return f"{at:,.0f}"


def size(count: float) -> str:
    for unit, symbol in ((2**20, "MiB"), (2**10, "KiB")):
        if count >= unit:
            return f"{count / unit:g} {symbol}"
    return f"{count:g}"


def tick(at: float) -> str:
    """A place on an axis, in the least of room: powers of two as ``256K``, of ten as ``10,000``."""
    if at and not at % 2**10:
        return size(at).replace(" ", "").removesuffix("iB")
    return f"{at:,.0f}"
