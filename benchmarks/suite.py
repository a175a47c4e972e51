"""What the command runs: suites, each of which fills some rows, all called and timed alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .cores import Cores
from .process import missing
from .programs import ENVIRONMENTS
from .stats import Row

LOOPS = ("uvloop", "asyncio")
# Peers are measured on this one alone: it is the faster set-up of those that have a choice.
PEERS_LOOP = LOOPS[0]

Progress = Callable[[str], None]

# For estimates, in seconds: a server's start, proof and end, what each load takes before and after.
START_SECONDS = 1.0
TURN_SECONDS = 0.15
WARM_UP_SECONDS = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a suite measures.

    loop: the event loop of the servers; "-" for a suite that has none.
    rounds, seconds: how many, and how long one turn of one server is.
    full: whether every server is compared, not only those of the quick table.
    progress: told what happens, one line at a time.
    left_out: filled by the suites; what could not be measured, by name, and why.
    """

    loop: str
    rounds: int
    seconds: float
    full: bool
    cores: Cores
    progress: Progress
    left_out: dict[str, str] = field(default_factory=dict)

    def present(self, names: Sequence[str]) -> list[str]:
        """Those of the servers that can run here on this loop; the others are noted."""
        on_this_loop = [name for name in names if runs_on(name, self.loop)]
        absent = missing(on_this_loop)
        self.left_out.update(absent)
        return [name for name in on_this_loop if name not in absent]


def runs_on(name: str, loop: str) -> bool:
    return loop == PEERS_LOOP or name not in ENVIRONMENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Some rows that are measured together.

    name: what `--case` takes.
    measure: gives the rows; what goes wrong is in their `failure`.
    estimate: about how many seconds that takes.
    quick: whether it belongs to the table of the README.
    loops: on each that was asked for, on the first of them, or not on any.
    """

    name: str
    measure: Callable[[Run], list[Row]]
    estimate: Callable[[Run], float]
    quick: bool = False
    loops: Literal["each", "first", "none"] = "each"


def estimate_turns(run: Run, servers: int, *, seconds: float | None = None) -> float:
    """About how long so many servers take, in turns of `seconds`; the run's without."""
    turn = TURN_SECONDS + (run.seconds if seconds is None else seconds)
    return servers * (START_SECONDS + WARM_UP_SECONDS + run.rounds * turn)
