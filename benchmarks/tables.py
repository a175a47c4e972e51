"""Rows as tables, for the terminal and for the pages alike."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from .amounts import amount, farthest, figures, plain, point, ratio, short
from .labels import is_floor, label
from .markup import NOTHING, paragraphs, table
from .sides import Side, sides
from .stats import Row

HEAD = ("case", "lowlevel", "other", "ratio (spread)", "target", "met")
LOWER_IS_BETTER = ("ms", "µs", "KiB", "MiB")
# Where a unit is one request or message, not a MiB.
_COUNTED = ("requests/s", "messages/s")

_LIMITED = "†"
_DISTURBED = "‡"
_MARKS = {
    _LIMITED: "the load generator had no time left on its core, a faster server could not show it.",
    _DISTURBED: "server and load waited for each other, or the machine had other work.",
}


def ratios(rows: Sequence[Row]) -> str:
    """Each row on a line."""
    return table(HEAD, [_line(row) for row in rows])


def beside(rows: Sequence[Row]) -> str:
    """All servers of one load, the best first, floors last; empty where every row failed."""
    found = list(sides(rows).values())
    if not found:
        return ""
    unit = rows[0].unit
    order = ranked(found, unit)
    head = ["server", unit, f"{label(found[0].server)} / it"]
    lines = [
        [
            label(side.server),
            f"{plain(side.spread.median, unit)} {farthest(side.spread)}{_mark(side)}",
            ratio(side.ratio) if side.ratio else "1",
        ]
        for side in order
    ]
    if any(side.cpu_microseconds is not None for side in found):
        head.append("CPU µs")
        for line, side in zip(lines, order, strict=True):
            line.append(
                NOTHING if side.cpu_microseconds is None else figures(side.cpu_microseconds)
            )
    return paragraphs(table(head, lines), _legend(found))


def ranked(found: Iterable[Side], unit: str) -> Sequence[Side]:
    """The best first, floors last."""
    sign = 1 if unit in LOWER_IS_BETTER else -1
    return sorted(found, key=lambda side: (is_floor(side.server), sign * side.spread.median))


def growth(rows: Sequence[Row]) -> str:
    """The servers of one family on one loop, over its points."""
    family = rows[0].family
    points = at_points(rows)
    head = [rows[0].unit, *(point(at, family) for at in points)]
    lines = [
        [
            label(server),
            *(_around(found[server]) if server in found else NOTHING for found in points.values()),
        ]
        for server in servers_of(points)
    ]
    marked = [side for found in points.values() for side in found.values()]
    return paragraphs(table(head, lines), _legend(marked))


def at_points(rows: Sequence[Row]) -> Mapping[float, Mapping[str, Side]]:
    """The servers at each point of a family, in order."""
    points = sorted({row.at for row in rows if row.at is not None})
    return {at: sides([row for row in rows if row.at == at]) for at in points}


def servers_of(points: Mapping[float, Mapping[str, Side]]) -> Sequence[str]:
    """All servers of a family: lowlevel first, floors last."""
    return sorted(dict.fromkeys(name for each in points.values() for name in each), key=is_floor)


def cpu(rows: Sequence[Row]) -> str:
    """The processor time of one request, or message, in each row that has it."""
    lines = [
        (f"{row.title} ({row.loop})", figures(ours), figures(theirs), figures(theirs / ours))
        for row in rows
        if not row.failure and row.unit in _COUNTED and row.cpu_per_request is not None
        for ours, theirs in [row.cpu_per_request]
    ]
    return (
        table(("CPU µs of each", "lowlevel", "other", "other / lowlevel"), lines) if lines else ""
    )


def _line(row: Row) -> tuple[str, ...]:
    target = str(row.target) if row.target else NOTHING
    if row.failure:
        return (row.title, NOTHING, NOTHING, "FAILED", target, "no")
    return (
        row.title,
        amount(median(row.ours), row.unit),
        amount(median(row.theirs), row.unit),
        ratio(row.ratio),
        target,
        {None: NOTHING, True: "yes", False: "no"}[row.met],
    )


def _around(side: Side) -> str:
    return f"{short(side.spread.median)} {farthest(side.spread)}{_mark(side)}"


def _mark(side: Side) -> str:
    return _LIMITED if side.limited_by_load else _DISTURBED if side.disturbed else ""


def _legend(found: Iterable[Side]) -> str:
    """What the marks mean that some of these have."""
    used = dict.fromkeys(_mark(side) for side in found)
    return " ".join(f"{mark} {_MARKS[mark]}" for mark in used if mark)
