"""The file of the guard: the figures that were recorded, and why each time.

Figures are by key, loop and measure. A key is the Python that they are the same for: ``Python
3.11``, or one build of it, ``Python 3.11.7 (...`` and what else its figures depend on. Each entry of
the history says which keys it recorded; the last one has a checksum of all figures and of the
entries before it, so that none changes without a reason.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("guard.toml")

Figures = Mapping[str, Mapping[str, float]]
"""By loop and measure."""

_HEAD = """\
# What the loops of benchmarks/loops.py take. Written by `python -m benchmarks.guard --record "why"`,
# and only by that: a checksum in the history tells if something was changed in another way.
"""


class BadRecord(Exception):
    """The file is not as the guard writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One time that figures were recorded.

    date: the day, as in 2026-11-21.
    why: the reason.
    packages: what was counted with.
    keys: of the figures.
    changes: what was more than the tolerance away from the figures before.
    checksum: of all figures in the file, from then on, and of the earlier entries.
    """

    date: str
    why: str
    packages: str
    keys: list[str]
    changes: list[str]
    checksum: str


@dataclass(frozen=True, slots=True)
class Record:
    """All that the file says."""

    history: list[Entry] = field(default_factory=list)
    figures: dict[str, Figures] = field(default_factory=dict)

    def packages(self, key: str) -> str:
        """What the figures of a key were counted with."""
        return next((entry.packages for entry in reversed(self.history) if key in entry.keys), "")

    def add(
        self,
        figures: dict[str, Figures],
        *,
        date: str,
        why: str,
        packages: str,
        changes: list[str],
    ) -> "Record":
        """A record that has these figures too, in place of others of the same keys.

        Figures of single builds of the same Python go: they were counted with older code. With the
        same day, reason and packages as the last entry, that one is continued.
        Raises ValueError without a reason.
        """
        if not why.strip():
            raise ValueError("figures are recorded with a reason")
        history, keys = list(self.history), list(figures)
        if history and (history[-1].date, history[-1].why, history[-1].packages) == (
            date,
            why,
            packages,
        ):
            last = history.pop()
            keys = [*last.keys, *(key for key in keys if key not in last.keys)]
            changes = [*last.changes, *changes]
        builds = tuple(f"{key}." for key in figures)
        together = {
            key: former
            for key, former in self.figures.items()
            if key in keys or not key.startswith(builds)
        } | figures
        history.append(
            Entry(
                date=date,
                why=why,
                packages=packages,
                keys=keys,
                changes=changes,
                checksum=_checksum(history, together),
            )
        )
        return Record(history, together)


def read(path: Path) -> Record:
    """The file; an empty record if there is none.

    Raises BadRecord: not TOML, an entry without a day or a reason, figures or earlier entries changed
    by hand.
    """
    if not path.exists():
        return Record()
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        record = Record([Entry(**entry) for entry in found["history"]], found["figures"])
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as exc:
        raise BadRecord(f"{path.name}: {exc}") from exc
    for number, entry in enumerate(record.history, 1):
        if not (entry.date and entry.why.strip()):
            raise BadRecord(
                f"{path.name}: entry {number} of the history lacks its day or its reason"
            )
    checksums = [entry.checksum for entry in record.history[-1:]]
    if checksums != [_checksum(record.history[:-1], record.figures)]:
        raise BadRecord(
            f"{path.name}: its figures or earlier entries are not those that the last entry was"
            ' written with; figures are changed by `python -m benchmarks.guard --record "why"`'
        )
    return record


def write(record: Record, path: Path) -> None:
    """Write the file."""
    parts = [_HEAD]
    for entry in record.history:
        lines = [f"{name} = {_value(value)}\n" for name, value in asdict(entry).items()]
        parts.append("[[history]]\n" + "".join(lines))
    for key, loops in sorted(record.figures.items()):
        table = "".join(f"{_value(name)} = {_value(loops[name])}\n" for name in loops)
        parts.append(f"[figures.{_value(key)}]\n{table}")
    path.write_text("\n".join(parts), encoding="utf-8")


def _checksum(earlier: Sequence[Entry], figures: Mapping[str, Figures]) -> str:
    covered = [[asdict(entry) for entry in earlier], figures]
    return hashlib.sha256(json.dumps(covered, sort_keys=True).encode()).hexdigest()[:16]


def _value(value: Any) -> str:
    """In TOML. Strings, numbers and lists look as in JSON, but for DEL."""
    if isinstance(value, Mapping):
        pairs = (f"{_value(name)} = {item}" for name, item in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list) and value:
        return "[\n" + "".join(f"    {_value(item)},\n" for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
