"""Which core the servers run on, and which the load: they must not take each other's time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


@dataclass(frozen=True, slots=True)
class Cores:
    server: int
    load: int

    @property
    def shared(self) -> bool:
        return self.server == self.load


def choose() -> Cores:
    """Two of those that this process may use: the first, and one that is no part of the same core.

    Two processors that are threads of one core take each other's time. Where there is nothing else,
    they are taken, and so is one for both.
    """
    server, *others = sorted(os.sched_getaffinity(0))
    siblings = _siblings(server)
    apart = [core for core in others if core not in siblings]
    return Cores(server=server, load=next(iter(apart or others), server))


def _siblings(core: int) -> set[int]:
    """The processors that are threads of the same core; itself alone where nothing is known."""
    try:
        listed = Path(TOPOLOGY.format(core)).read_text()
    except OSError:
        return {core}
    found: set[int] = set()
    for part in listed.split(","):  # As in 0,4 or 0-1.
        first, _, last = part.strip().partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """What is started in the block runs on `core`, with all its threads, from its first moment."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
