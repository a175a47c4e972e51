"""Which core the servers run on, and which the load: they must not take each other's time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    server: int
    load: int

    @property
    def shared(self) -> bool:
        return self.server == self.load


def choose() -> Cores:
    """The first core that this process may use for the server, the next for the load."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(server=usable[0], load=usable[1] if len(usable) > 1 else usable[0])


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """What is started in the block runs on `core`, with all its threads, from its first moment."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
