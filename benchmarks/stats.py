"""Medians, pairwise ratios, and the targets they are held against."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

# Above this share of its core, the load is as much what is measured as the server is.
LOAD_LIMIT = 0.85
# A server under load that had less of its core than this shared it with something else.
SERVER_LEAST = 0.7
# Processor time comes in ticks of 10 ms: a short turn on a busy machine may show none at all.
LEAST_SHARE = 0.001


@dataclass(frozen=True, slots=True)
class Target:
    """What a row should reach: a bound on the ratio lowlevel / other, or on lowlevel's value."""

    bound: Literal["at least", "at most"]
    limit: float
    on: Literal["ratio", "value"] = "ratio"
    unit: str = ""

    def __str__(self) -> str:
        sign = ">=" if self.bound == "at least" else "<="
        return f"{sign} {self.limit:g} {self.unit}".rstrip()

    def met_by(self, measured: float) -> bool:
        return measured >= self.limit if self.bound == "at least" else measured <= self.limit


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some samples, with the smallest and the largest of them."""

    median: float
    least: float
    most: float


def spread(samples: Sequence[float]) -> Spread:
    """Raises ValueError without samples."""
    if not samples:
        raise ValueError("no samples")
    return Spread(median(samples), min(samples), max(samples))


def paired_ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Each of `ours` over the one of `theirs` that was measured in the same round.

    The two of a round stand beside each other in time, so a busy moment of the machine touches
    both; dividing two medians would lose that.
    """
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def title_beside(title: str, other: str) -> str:
    """The title of a row: only beside aiohttp it goes without saying who the other is."""
    return title if other == "aiohttp" else f"{title}, beside {other}"


@dataclass(slots=True)
class Row:
    """One line of the report: lowlevel beside one other, sample by sample.

    `server_busy` and `load_busy` hold, for each sample, which share of its core each of the two
    servers took, and which share the load took against each of the two; empty where nothing is loaded.
    `parts`: how many like parts `server` has more than `other`, where it is their cost that counts.
    `family`, `at`: rows of one family are points of one line, each at its place on the axis.
    `note`: what a reader of these figures should know of how they were taken.
    """

    case: str
    title: str
    loop: str
    other: str
    unit: str
    target: Target | None = None
    server: str = "lowlevel"
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    server_busy: list[tuple[float, float]] = field(default_factory=list)
    load_busy: list[tuple[float, float]] = field(default_factory=list)
    failure: str = ""
    parts: int = 0
    family: str = ""
    at: float | None = None
    note: str = ""

    @property
    def ratio(self) -> Spread:
        return spread(paired_ratios(self.ours, self.theirs))

    @property
    def ratio_per_cpu_second(self) -> Spread:
        """The ratio of requests per second of the servers' processor time."""
        shares = [tuple(max(share, LEAST_SHARE) for share in pair) for pair in self.server_busy]
        ours = [rate / share for rate, (share, _) in zip(self.ours, shares, strict=True)]
        theirs = [rate / share for rate, (_, share) in zip(self.theirs, shares, strict=True)]
        return spread(paired_ratios(ours, theirs))

    @property
    def cpu_per_request(self) -> tuple[float, float] | None:
        """Microseconds of the servers' processor time per request (message, MiB): ours, theirs.

        None where no server was loaded, or where what was measured is no rate.
        """
        if not self.server_busy or not self.unit.endswith("/s"):
            return None
        ours = [busy / rate for rate, (busy, _) in zip(self.ours, self.server_busy, strict=True)]
        theirs = [
            busy / rate for rate, (_, busy) in zip(self.theirs, self.server_busy, strict=True)
        ]
        return median(ours) * 1e6, median(theirs) * 1e6

    @property
    def cost(self) -> Spread:
        """The time that each of the parts adds to a request, as a share of the request without any.

        Raises ZeroDivisionError where there are no parts.
        """
        return self._cost(self.ratio)

    @property
    def cost_per_cpu_second(self) -> Spread:
        """The same by the servers' processor time."""
        return self._cost(self.ratio_per_cpu_second)

    def _cost(self, ratio: Spread) -> Spread:
        # The smallest ratio is the largest cost.
        return Spread(
            *((1 / of - 1) / self.parts for of in (ratio.median, ratio.most, ratio.least))
        )

    @property
    def limited_by_load(self) -> bool:
        """Whether the load had no time left, so that a faster server could not have shown it."""
        return bool(self.load_busy) and median(map(max, self.load_busy)) > LOAD_LIMIT

    @property
    def disturbed(self) -> bool:
        """Whether the servers lacked processor time, and the load did not: the machine was busy."""
        if self.limited_by_load or not self.server_busy:
            return False
        return median(map(min, self.server_busy)) < SERVER_LEAST

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is no target. A failed row misses."""
        if self.target is None:
            return None
        if self.failure:
            return False
        on_ratio = self.target.on == "ratio"
        return self.target.met_by(self.ratio.median if on_ratio else median(self.ours))
