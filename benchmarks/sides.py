"""The two servers of a row, each for itself."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from .labels import is_floor
from .stats import LOAD_LIMIT, SERVER_LEAST, Row, Spread, paired_ratios, spread


@dataclass(frozen=True, slots=True)
class Side:
    """What one server did in a row.

    cpu_microseconds: of the server's processor time for each request; None where none was loaded.
    ratio: the first lowlevel server / it, round by round; None for that one.
    """

    server: str
    samples: Sequence[float]
    ratio: Spread | None
    cpu_microseconds: float | None
    limited_by_load: bool
    disturbed: bool

    @property
    def spread(self) -> Spread:
        return spread(self.samples)


def sides(rows: Iterable[Row]) -> Mapping[str, Side]:
    """All servers of one load, by name: lowlevel's first, floors last, rows that failed left out.

    The rows of one load have been measured in the same rounds.
    """
    good = [row for row in rows if not row.failure]
    if not good:
        return {}
    first = good[0]
    ours = [_side(row, 0, row.ours, None if row is first else first) for row in good]
    theirs = [_side(row, 1, row.theirs, row) for row in good]
    found: dict[str, Side] = {}
    for side in [*ours, *sorted(theirs, key=lambda side: is_floor(side.server))]:
        found.setdefault(side.server, side)
    return found


def _side(row: Row, which: int, samples: Sequence[float], beside: Row | None) -> Side:
    """beside: the row whose `ours` is what it is compared to."""
    limited = _middle(row.load_busy, which, 0.0) > LOAD_LIMIT
    cpu = row.cpu_per_request
    return Side(
        server=(row.server, row.other)[which],
        samples=samples,
        ratio=spread(paired_ratios(beside.ours, samples)) if beside else None,
        cpu_microseconds=cpu[which] if cpu else None,
        limited_by_load=limited,
        disturbed=not limited and _middle(row.server_busy, which, 1.0) < SERVER_LEAST,
    )


def _middle(shares: Sequence[tuple[float, float]], which: int, without: float) -> float:
    return median(pair[which] for pair in shares) if shares else without
