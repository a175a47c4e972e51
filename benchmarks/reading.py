"""Results as they stand in a JSON file, read back into rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .stats import Row, Target

_KNOWN = frozenset(field.name for field in fields(Row))
_BOUNDS = {">=": "at least", "<=": "at most"}


class NotResults(Exception):
    """The file is there, and holds something else."""


@dataclass(frozen=True, slots=True)
class Results:
    """One run of the benchmarks: its file's name, where and with what it ran, and its rows."""

    name: str
    facts: Mapping[str, str]
    rows: Sequence[Row]


def read(path: Path) -> Results | None:
    """The run in a file that `report.as_json` made; None without the file.

    Raises NotResults.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    try:
        found = json.loads(text)
        return Results(path.name, found["machine"], [_row(values) for values in found["rows"]])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NotResults(f"{path} holds no results: {error!r}") from error


def _row(values: Mapping[str, Any]) -> Row:
    """Leaves out what is computed: the row computes it again."""
    kept = {name: value for name, value in values.items() if name in _KNOWN}
    for pairs in {"server_busy", "load_busy"} & kept.keys():
        kept[pairs] = [tuple(pair) for pair in kept[pairs]]
    return Row(**kept | {"target": _target(values["target"])})


def _target(text: str | None) -> Target | None:
    """What `str` made of a target. Those on lowlevel's own value have a unit, ratios have none."""
    if text is None:
        return None
    sign, limit, *unit = text.split()
    bound = _BOUNDS[sign]
    if unit:
        return Target(bound, float(limit), on="value", unit=" ".join(unit))  # type: ignore[arg-type]
    return Target(bound, float(limit))  # type: ignore[arg-type]
