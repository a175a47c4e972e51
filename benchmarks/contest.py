"""The servers of some rows: one that fails takes its own rows with it, and no others."""

import http.client
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from . import load
from .process import CertificateAndKey, ServerFailed, ServerProcess
from .stats import Row
from .suite import Progress, Run

T = TypeVar("T")


class AnswersDiffer(Exception):
    """The servers do not give the same answer to the case's request."""


FAILURES = (AnswersDiffer, ServerFailed, load.LoadFailed, OSError, http.client.HTTPException)


class Contest:
    """Made by `contest`. `servers`: those that run, by name."""

    def __init__(self, rows: Sequence[Row], running: ExitStack, tell: Progress) -> None:
        self._rows = rows
        self._running = running
        self._tell = tell
        self._own: dict[str, ExitStack] = {}
        self.servers: dict[str, ServerProcess] = {}

    def start(self, server: ServerProcess) -> None:
        """Let it take part; where it does not start, its rows fail."""
        own = self._running.enter_context(ExitStack())
        try:
            self.servers[server.name] = own.enter_context(server)
            self._own[server.name] = own
            server.pause()
        except (ServerFailed, OSError) as error:
            self.drop(server.name, error)

    def each(self, act: Callable[[ServerProcess], T], *, number: int = 0) -> dict[str, T]:
        """What `act` gives for each server in turn; one that fails is dropped.

        The others stand still meanwhile: some of them poll, though there is nothing to do.

        number: of the round. Each round begins with another server, so that what comes back in equal
            times does not always meet the same ones.
        """
        results = {}
        names = list(self.servers)
        first = number % len(names) if names else 0
        for name in [*names[first:], *names[:first]]:
            if name not in self.servers:  # Dropped since, with the one it was compared to.
                continue
            server = self.servers[name]
            server.resume()
            try:
                results[name] = act(server)
            except FAILURES as error:
                self.drop(name, error)
            finally:
                if name in self.servers:
                    server.pause()
        return results

    def drop(self, name: str, error: Exception) -> None:
        """Fail the rows of this server, and end it; also those that no other row needs.

        What it said on stderr is for who looks on, and not for the rows: it is long, and full of
        the paths of this machine.
        """
        if name in self.servers and (said := self.servers[name].complaints):
            self._tell(f"{name} said: {said}")
        for row in self._rows:
            if name in (row.server, row.other) and not row.failure:
                row.failure = f"{type(error).__name__}: {error}"
        for gone in self.servers.keys() - self.needed():
            del self.servers[gone]
            self._own.pop(gone).close()

    def needed(self) -> set[str]:
        """The servers of the rows that have not failed."""
        return {name for row in self._rows if not row.failure for name in (row.server, row.other)}


@contextmanager
def contest(
    rows: Sequence[Row], run: Run, *, tls: CertificateAndKey | None = None
) -> Iterator[Contest]:
    """Run the servers of the rows, all on one core; the first row's own is the first."""
    names = dict.fromkeys(name for row in rows for name in (row.server, row.other))
    with ExitStack() as running:
        taking_part = Contest(rows, running, run.progress)
        for name in names:
            if name not in taking_part.needed():
                continue
            taking_part.start(ServerProcess(name, run.loop, run.cores.server, tls=tls))
        yield taking_part
