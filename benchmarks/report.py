"""What a run prints, and what it writes for other programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from . import notes, tables
from .markup import fields, paragraphs, table
from .stats import Row

__all__ = ["as_json", "rst", "table"]


def rst(rows: Sequence[Row], facts: Mapping[str, str]) -> str:
    """The tables of each loop, what failed, what limits the numbers, and the machine."""
    single = [row for row in rows if not row.family]
    parts = []
    for loop in dict.fromkeys(row.loop for row in rows):
        heading = "Either loop" if loop == "-" else f"On {loop}"
        if here := [row for row in single if row.loop == loop]:
            parts.append(f"{heading}:\n\n{tables.ratios(here)}")
        for family in dict.fromkeys(row.family for row in rows if row.family):
            if grown := [row for row in rows if (row.family, row.loop) == (family, loop)]:
                parts.append(f"{heading}, {family}:\n\n{tables.growth(grown)}")
    if cpu := tables.cpu(single):
        parts.append(f"Processor time:\n\n{cpu}")
    parts += [f"FAILED {text}" for text in notes.failures(rows)]
    parts += [f"MISSED {text}" for text in notes.missed(rows)]
    parts += notes.costs(rows)
    parts += notes.cautions(single)
    parts.append(fields(facts))
    return paragraphs(*parts) + "\n"


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
                    asdict(row.ratio_per_cpu_second)
                    if row.server_busy and not row.failure
                    else None
                ),
                "cost": asdict(row.cost) if row.parts and not row.failure else None,
                "cpu_per_request": row.cpu_per_request if not row.failure else None,
                "limited_by_load": row.limited_by_load,
                "disturbed": row.disturbed,
                "met": row.met,
            }
            for row in rows
        ],
    }
