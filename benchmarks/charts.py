"""What is drawn, as plain data: the rows decide it here, `plots` only draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .amounts import bar_value, point, short, tick
from .labels import is_floor, label
from .sides import sides
from .stats import Row, Spread
from .tables import at_points, ranked, servers_of

# Above this quotient of the largest and the smallest value, a linear axis shows the large ones only.
_LINEAR_QUOTIENT = 20
_SAME = Spread(1.0, 1.0, 1.0)

# "even": each point as far from the next, whatever its value.
Scale = Literal["linear", "log", "even"]


@dataclass(frozen=True, slots=True)
class Bar:
    """target: where the value should reach to, or stay below."""

    label: str
    server: str
    value: Spread
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Bars:
    """Panels one above the other, with one axis. reference: where a line is drawn across."""

    title: str
    axis: str
    panels: Sequence[Panel]
    reference: float | None = None

    @property
    def alt(self) -> str:
        """All of it in words."""
        panels = [
            f"{panel.title + ': ' if panel.title else ''}"
            + ", ".join(f"{bar.label} {bar_value(bar.value.median)}" for bar in panel.bars)
            for panel in self.panels
        ]
        return f"Bars, {self.title} ({self.axis}). {'. '.join(panels)}."


@dataclass(frozen=True, slots=True)
class Line:
    server: str
    points: Sequence[tuple[float, Spread]]


@dataclass(frozen=True, slots=True)
class Lines:
    """ticks: the places on the x axis, with their names, in order."""

    title: str
    x_axis: str
    y_axis: str
    ticks: Sequence[tuple[float, str]]
    lines: Sequence[Line]
    x_scale: Scale

    @property
    def y_scale(self) -> Literal["linear", "log"]:
        values = [value.median for line in self.lines for _, value in line.points]
        spans = max(values, default=0) > _LINEAR_QUOTIENT * min(values, default=0) > 0
        return "log" if spans else "linear"

    @property
    def alt(self) -> str:
        """All of it in words."""
        names = dict(self.ticks)
        lines = [
            f"{label(line.server)} "
            + ", ".join(f"{names[x]} {short(value.median)}" for x, value in line.points)
            for line in self.lines
        ]
        return f"Lines, {self.title} ({self.y_axis} over {self.x_axis}). {'. '.join(lines)}."


Chart = Bars | Lines


def relative(title: str, groups: Mapping[str, Sequence[Row]]) -> Bars:
    """How much of lowlevel's rate the others reach, each in the same round; a panel a group."""
    panels = [Panel(name, _relative(rows)) for name, rows in groups.items()]
    unit = next(row.unit for rows in groups.values() for row in rows)
    return Bars(title, f"{unit}, lowlevel = 1", [each for each in panels if each.bars], 1.0)


def values(title: str, groups: Mapping[str, Sequence[Row]]) -> Bars:
    """What was measured of each server; a panel a group."""
    panels = [
        Panel(
            name,
            [
                Bar(label(side.server), side.server, side.spread)
                for side in ranked(sides(rows).values(), rows[0].unit)
            ],
        )
        for name, rows in groups.items()
    ]
    unit = next(row.unit for rows in groups.values() for row in rows)
    return Bars(title, unit, [each for each in panels if each.bars])


def ratios(title: str, rows: Sequence[Row], *, reference: str) -> Bars:
    """The ratio of each row, with its target; a panel for each loop."""
    good = [row for row in rows if not row.failure]
    panels = [
        Panel(
            "" if loop == "-" else f"on {loop}",
            [
                Bar(row.title, row.server, row.ratio, _on_ratio(row))
                for row in good
                if row.loop == loop
            ],
        )
        for loop in dict.fromkeys(row.loop for row in good)
    ]
    return Bars(title, f"ratio, {reference} = 1", panels, 1.0)


def growth(title: str, rows: Sequence[Row], x_axis: str, x_scale: Scale) -> Lines:
    """A line for each server over the points of a family."""
    points = at_points(rows)
    lines = [
        Line(
            server, [(at, found[server].spread) for at, found in points.items() if server in found]
        )
        for server in servers_of(points)
    ]
    ticks = [(at, tick(at) if x_scale == "log" else point(at, rows[0].family)) for at in points]
    return Lines(title, x_axis, rows[0].unit, ticks, lines, x_scale)


def _relative(rows: Sequence[Row]) -> Sequence[Bar]:
    bars = [
        Bar(label(side.server), side.server, _inverse(side.ratio) if side.ratio else _SAME)
        for side in sides(rows).values()
    ]
    return sorted(bars, key=lambda bar: (is_floor(bar.server), -bar.value.median))


def _inverse(of: Spread) -> Spread:
    return Spread(1 / of.median, 1 / of.most, 1 / of.least)


def _on_ratio(row: Row) -> float | None:
    return row.target.limit if row.target is not None and row.target.on == "ratio" else None
