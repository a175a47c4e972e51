"""The rows as a table that can be pasted into README.rst, and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from .stats import Row

HEAD = ("case", "lowlevel", "other", "ratio (spread)", "target", "met")


def rst(rows: Sequence[Row], facts: Mapping[str, str]) -> str:
    """A simple table for each loop, what failed, what limits the numbers, and the machine."""
    parts = []
    for loop in dict.fromkeys(row.loop for row in rows):
        here = [row for row in rows if row.loop == loop]
        heading = "Either loop" if loop == "-" else f"On {loop}"
        parts.append(f"{heading}:\n\n{table(HEAD, [_cells(row) for row in here])}")
    parts += [f"FAILED {row.title} ({row.loop}): {row.failure}" for row in rows if row.failure]
    parts += [_cost(row) for row in rows if row.parts and not row.failure]
    parts += [_caution(row) for row in rows if row.limited_by_load or row.disturbed]
    parts.append("\n".join(f":{name}: {value}" for name, value in facts.items()))
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A reStructuredText simple table, the first column to the left, the others to the right."""
    widths = [max(len(line[column]) for line in (head, *lines)) for column in range(len(head))]
    rule = "  ".join("=" * width for width in widths)

    def text(line: Sequence[str]) -> str:
        first, *others = line
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        return "  ".join(cells).rstrip()

    return "\n".join([rule, text(head), rule, *(text(line) for line in lines), rule])


def as_json(
    rows: Sequence[Row], facts: Mapping[str, str], options: Mapping[str, object]
) -> dict[str, Any]:
    """Every sample of every row, for other programs."""
    return {
        "machine": dict(facts),
        "options": dict(options),
        "rows": [
            asdict(row)
            | {
                "target": str(row.target) if row.target else None,
                "ratio": asdict(row.ratio) if not row.failure else None,
                "ratio_per_cpu_second": (
                    asdict(row.ratio_per_cpu_second) if row.server_busy else None
                ),
                "cost": asdict(row.cost) if row.parts and not row.failure else None,
                "limited_by_load": row.limited_by_load,
                "disturbed": row.disturbed,
                "met": row.met,
            }
            for row in rows
        ],
    }


def _cells(row: Row) -> tuple[str, ...]:
    target = str(row.target) if row.target else "-"
    if row.failure:
        return (row.title, "-", "-", "FAILED", target, "no")
    ratio = row.ratio
    return (
        row.title,
        _amount(median(row.ours), row.unit),
        _amount(median(row.theirs), row.unit),
        f"{ratio.median:.2f} ({ratio.least:.2f}-{ratio.most:.2f})",
        target,
        {None: "-", True: "yes", False: "no"}[row.met],
    )


def _amount(value: float, unit: str) -> str:
    if unit == "MiB/s":
        return f"{value:,.0f} {unit}"
    return f"{value:,.0f}/s" if unit.endswith("/s") else f"{value:.1f} {unit}"


def _cost(row: Row) -> str:
    cost = row.cost
    each = "adds" if row.parts == 1 else "adds, each,"
    return (
        f"{row.title} on {row.loop}: {each} {cost.median:.1%} ({cost.least:.1%} to {cost.most:.1%}) "
        f"to a request, {row.cost_per_cpu_second.median:.1%} by the servers' processor time."
    )


def _caution(row: Row) -> str:
    why = (
        "the load generator had no time left on its core"
        if row.limited_by_load
        else "the servers had to share their core with other work of this machine"
    )
    ratio = row.ratio_per_cpu_second
    return (
        f"{row.title} on {row.loop}: {why}. By the servers' processor time the ratio is "
        f"{ratio.median:.2f} ({ratio.least:.2f}-{ratio.most:.2f})."
    )
