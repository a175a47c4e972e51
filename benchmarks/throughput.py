"""Requests per second: the servers of one case take turns under load, round after round."""

import http.client
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import NamedTuple

from . import certificate, load
from .cases import CASES, Case
from .contest import AnswersDiffer, Contest, contest
from .cores import Cores
from .limits import TooFewDescriptors, allow_descriptors
from .process import CertificateAndKey, ServerProcess
from .stats import Row, title_beside
from .suite import WARM_UP_SECONDS, Run, Suite, estimate_turns

ANSWER_SECONDS = 10.0
# Whatever else a server and the load have open.
SPARE_DESCRIPTORS = 300

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

    def __str__(self) -> str:
        return f"{self.status}, {self.content_type}, {len(self.body)} bytes"


# What a server answers to each of the things that it is asked for, by their names.
Answers = Mapping[str, Answer]
Proof = Callable[[ServerProcess], Answers]


def suites() -> list[Suite]:
    return [suite(case) for case in CASES]


def suite(case: Case) -> Suite:
    """How a case of wrk is measured."""
    return Suite(
        name=case.name,
        measure=partial(measure, case),
        estimate=partial(estimate, case),
        quick=case.quick,
    )


def estimate(case: Case, run: Run) -> float:
    servers = 1 + len(run.present(list(case.compared(full=run.full))))
    return estimate_turns(run, servers, seconds=run.seconds * case.stretch + case.settle)


def measure(case: Case, run: Run, *, proof: Proof | None = None) -> list[Row]:
    """One row for each server beside lowlevel. What goes wrong is in the rows' `failure`.

    proof: instead of that of the case's own request.
    """
    rows = make_rows(case, run)

    def run_wrk(server: ServerProcess, seconds: float) -> load.Load:
        scheme = "https" if case.tls else "http"
        return load.run(
            f"{scheme}://127.0.0.1:{server.port}{case.path}",
            seconds=seconds * case.stretch + case.settle,
            connections=case.connections,
            script=case.script_file,
            core=run.cores.load,
            arguments=case.arguments,
            headers=case.headers,
        )

    with certificate.temporary() if case.tls else nullcontext() as tls:
        compare(
            rows,
            proof or partial(answers, case),
            run_wrk,
            run,
            sockets=case.connections,
            tls=tls,
        )
    return rows


def make_rows(case: Case, run: Run) -> list[Row]:
    compared = case.compared(full=run.full)
    return [
        Row(
            case.name,
            title_beside(case.title, other),
            run.loop,
            other,
            "requests/s",
            compared[other],
            family=case.family,
            at=case.at,
        )
        for other in run.present(list(compared))
    ]


def compare(
    rows: Sequence[Row],
    proof: Proof,
    loader: Loader,
    run: Run,
    *,
    sockets: int = 0,
    tls: CertificateAndKey | None = None,
) -> None:
    """Fill the rows of one case and one loop; what goes wrong is in their `failure`.

    A server that fails in any way fails its own rows, and takes no further part.

    proof: what a server answers, which must be alike for all.
    loader: loads one server for so many seconds; raises load.LoadFailed or OSError.
    sockets: that the load opens at a time; where the system does not allow so many, all rows fail.
    """
    if not rows:
        return
    try:
        allow_descriptors(sockets + SPARE_DESCRIPTORS)
    except TooFewDescriptors as error:
        for row in rows:
            row.failure = f"{type(error).__name__}: {error}"
        return
    with contest(rows, run, tls=tls) as taking_part:
        check_alike(taking_part, proof)
        taking_part.each(lambda server: turn(loader, server, WARM_UP_SECONDS))
        for number in range(1, run.rounds + 1):
            run.progress(f"{run.loop}: {rows[0].title}: round {number} of {run.rounds}")
            turns = taking_part.each(
                lambda server: turn(loader, server, run.seconds), number=number - 1
            )
            _record(turns, rows)


def check_alike(taking_part: Contest, proof: Proof) -> None:
    """Drop the servers that do not answer as the first one does."""
    found = taking_part.each(proof)
    if not found:
        return
    first, expected = next(iter(found.items()))
    for name, given in found.items():
        for what, answer in given.items():
            if answer != expected[what]:
                taking_part.drop(
                    name,
                    AnswersDiffer(f"{name} does not answer as {first} does to {what}: {answer}"),
                )
                break


@contextmanager
def started(names: Iterable[str], loop: str, cores: Cores) -> Iterator[Servers]:
    """Run these servers, all on the same core. Raises ServerFailed if one of them does not start."""
    with ExitStack() as running:
        yield {
            name: running.enter_context(ServerProcess(name, loop, cores.server)) for name in names
        }


def _record(turns: Mapping[str, Turn], rows: Sequence[Row]) -> None:
    for row in rows:
        if row.server not in turns or row.other not in turns:
            continue
        ours, theirs = turns[row.server], turns[row.other]
        row.ours.append(ours.rate)
        row.theirs.append(theirs.rate)
        row.server_busy.append((ours.server_busy, theirs.server_busy))
        row.load_busy.append((ours.load_busy, theirs.load_busy))


def turn(loader: Loader, server: ServerProcess, seconds: float) -> Turn:
    """Load the server for so long, and wait until it is idle again. Raises load.LoadFailed."""
    began, used = time.monotonic(), server.cpu_seconds
    try:
        done = loader(server, seconds)
    except (load.LoadFailed, OSError) as error:
        raise load.LoadFailed(f"{server.name}: {error}") from error
    took = done.seconds or time.monotonic() - began
    server_used = done.server_cpu_seconds
    if server_used is None:
        server_used = server.cpu_seconds - used
    server.wait_idle()
    return Turn(done.rate, server_used / took, done.cpu_seconds / took)


def answers(case: Case, server: ServerProcess) -> Answers:
    """What the server answers to the case's request. Raises AnswersDiffer unless that is a 200."""
    return {
        case.path: answer_to(
            case.path,
            server,
            sample=case.sample,
            content_type=case.content_type,
            headers=case.headers,
            tls=case.tls,
        )
    }


def answer_to(
    path: str,
    server: ServerProcess,
    *,
    sample: bytes | None = None,
    content_type: str = "",
    headers: Mapping[str, str] | None = None,
    tls: bool = False,
) -> Answer:
    """As `ask`; raises AnswersDiffer unless the answer is a 200."""
    answer = ask(path, server, sample, content_type, headers=headers, tls=tls)
    if answer.status != 200:
        raise AnswersDiffer(f"{server.name} answers {answer.status} to {path}")
    return answer


def ask(
    path: str,
    server: ServerProcess,
    sample: bytes | None = None,
    content_type: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    tls: bool = False,
) -> Answer:
    """What the server answers to a GET, or to a POST of the sample. Raises as http.client does.

    headers: besides Host; without any, two that the answer to /json holds.
    """
    client = _client(server.port, tls=tls)
    fields = dict(headers or {"User-Agent": "prove/1.0", "Accept-Language": "en"})
    if sample is not None:
        fields |= {"Content-Type": content_type, "Content-Length": str(len(sample))}
    try:
        # No field but these: servers may have a limit on how many there are.
        client.putrequest("GET" if sample is None else "POST", path, skip_accept_encoding=True)
        for name, value in fields.items():
            client.putheader(name, value)
        client.endheaders(sample)
        response = client.getresponse()
        return Answer(response.status, response.headers["Content-Type"], response.read())
    finally:
        client.close()


def _client(port: int, *, tls: bool) -> http.client.HTTPConnection:
    if not tls:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    # Whose certificate it is matters to nobody here; wrk does not look either.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=ANSWER_SECONDS, context=context)
