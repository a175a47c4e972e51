"""How long it has taken, and about how long it will."""

import time
from collections.abc import Callable, Sequence

# The estimates are corrected by what they were worth so far, once so many seconds are behind.
KNOWN_AFTER = 30.0


class Pace:
    """Of parts that follow one another, each with an estimate in seconds.

    say: is told what `tell` is, with both times before it.
    """

    def __init__(
        self,
        estimates: Sequence[float],
        say: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._estimates = estimates
        self._say = say
        self._clock = clock
        self._began = self._part_began = clock()
        self._done = 0

    def tell(self, text: str) -> None:
        self._say(f"{minutes(self.elapsed)} gone, {minutes(self.remaining)} to go: {text}")

    def part_done(self) -> None:
        self._done += 1
        self._part_began = self._clock()

    @property
    def elapsed(self) -> float:
        return self._clock() - self._began

    @property
    def remaining(self) -> float:
        """About how many seconds the rest takes; never less than nothing."""
        rest = self._estimates[self._done :]
        if not rest:
            return 0.0
        done = self._part_began - self._began
        behind = sum(self._estimates[: self._done])
        factor = done / behind if behind > KNOWN_AFTER else 1.0
        in_part = self._clock() - self._part_began
        return max(rest[0] * factor - in_part, 0.0) + sum(rest[1:]) * factor


def minutes(seconds: float) -> str:
    """As 0:07, or 12:34."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"
