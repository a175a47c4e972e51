"""Requests per second: the servers of one case take turns under load, round after round."""

import http.client
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from . import load
from .cases import Case
from .cores import Cores
from .process import ServerFailed, ServerProcess
from .stats import Row

WARM_UP_SECONDS = 0.4
ANSWER_SECONDS = 10.0

Progress = Callable[[str], None]
Servers = Mapping[str, ServerProcess]
Loader = Callable[[ServerProcess, float], load.Load]


class Turn(NamedTuple):
    """What was counted per second, and the shares of their cores that the two sides took."""

    rate: float
    server_busy: float
    load_busy: float


class Answer(NamedTuple):
    """What all servers of a case must agree on."""

    status: int
    content_type: str | None
    body: bytes


class AnswersDiffer(Exception):
    """The servers do not give the same answer to the case's request."""


FAILURES = (AnswersDiffer, ServerFailed, load.LoadFailed, OSError, http.client.HTTPException)


def measure(
    case: Case, loop: str, *, rounds: int, seconds: float, cores: Cores, progress: Progress
) -> list[Row]:
    """One row for each server beside lowlevel. What goes wrong is in the rows' `failure`."""
    rows = [
        Row(case.name, _title(case, other), loop, other, "requests/s", target)
        for other, target in case.beside.items()
    ]

    def run_wrk(server: ServerProcess, seconds: float) -> load.Load:
        return load.run(
            f"http://127.0.0.1:{server.port}{case.path}",
            seconds=seconds,
            connections=case.connections,
            script=case.script_file,
            core=cores.load,
        )

    def proof(servers: Servers) -> None:
        prove(case, servers)

    compare(rows, proof, run_wrk, rounds=rounds, seconds=seconds, cores=cores, progress=progress)
    return rows


def compare(
    rows: Sequence[Row],
    proof: Callable[[Servers], None],
    loader: Loader,
    *,
    rounds: int,
    seconds: float,
    cores: Cores,
    progress: Progress,
) -> None:
    """Fill the rows of one case and one loop; what goes wrong is in their `failure`.

    proof: raises AnswersDiffer unless the servers answer alike.
    loader: loads one server for so many seconds; raises load.LoadFailed or OSError.
    """
    names = dict.fromkeys(name for row in rows for name in (row.server, row.other))
    loop, title = rows[0].loop, rows[0].title
    try:
        with started(names, loop, cores) as servers:
            proof(servers)
            for server in servers.values():
                _turn(loader, server, WARM_UP_SECONDS)
            for number in range(1, rounds + 1):
                progress(f"{loop}: {title}: round {number} of {rounds}")
                turns = {name: _turn(loader, server, seconds) for name, server in servers.items()}
                _record(turns, rows)
    except FAILURES as error:
        for row in rows:
            row.failure = f"{type(error).__name__}: {error}"


@contextmanager
def started(names: Iterable[str], loop: str, cores: Cores) -> Iterator[Servers]:
    """Run these servers, all on the same core."""
    with ExitStack() as running:
        yield {
            name: running.enter_context(ServerProcess(name, loop, cores.server)) for name in names
        }


def _title(case: Case, other: str) -> str:
    return case.title if other == "aiohttp" else f"{case.title}, beside {other}"


def _record(turns: Mapping[str, Turn], rows: Sequence[Row]) -> None:
    for row in rows:
        ours, theirs = turns[row.server], turns[row.other]
        row.ours.append(ours.rate)
        row.theirs.append(theirs.rate)
        row.server_busy.append((ours.server_busy, theirs.server_busy))
        row.load_busy.append((ours.load_busy, theirs.load_busy))


def _turn(loader: Loader, server: ServerProcess, seconds: float) -> Turn:
    began, used = time.monotonic(), server.cpu_seconds
    try:
        done = loader(server, seconds)
    except (load.LoadFailed, OSError) as error:
        raise load.LoadFailed(f"{server.name}: {error}\n{server.complaints}") from error
    took = time.monotonic() - began
    turn = Turn(
        done.rate,
        (server.cpu_seconds - used) / took,
        done.cpu_seconds / took,
    )
    server.wait_idle()
    return turn


def prove(case: Case, servers: Servers) -> None:
    """Raises AnswersDiffer unless all servers give the same body to the same request."""
    prove_path(case.path, servers, sample=case.sample, content_type=case.content_type)


def prove_path(
    path: str, servers: Servers, *, sample: bytes | None = None, content_type: str = ""
) -> None:
    """The same for one path; the request has a body where there is a sample, of that type."""
    first, *others = servers.values()
    expected = ask(path, first, sample, content_type)
    if expected.status != 200:
        raise AnswersDiffer(f"{first.name} answers {expected.status} to {path}\n{first.complaints}")
    for other in others:
        if (answer := ask(path, other, sample, content_type)) != expected:
            raise AnswersDiffer(
                f"{other.name} does not answer as {first.name} does to {path}: "
                f"{answer.status}, {answer.content_type}, {len(answer.body)} bytes"
            )


def ask(
    path: str, server: ServerProcess, sample: bytes | None = None, content_type: str = ""
) -> Answer:
    """What the server answers to a GET, or to a POST of the sample. Raises as http.client does."""
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=ANSWER_SECONDS)
    method = "GET" if sample is None else "POST"
    headers = {"User-Agent": "prove/1.0", "Accept-Language": "en"}
    if sample is not None:
        headers["Content-Type"] = content_type
    try:
        client.request(method, path, body=sample, headers=headers)
        response = client.getresponse()
        return Answer(response.status, response.headers["Content-Type"], response.read())
    finally:
        client.close()
