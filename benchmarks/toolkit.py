"""Requests per second with routes: the toolkit beside other toolkits, and what its parts cost."""

from functools import partial

from . import load
from .cases import SCRIPTS, TOOLKIT_CASES, ToolkitCase
from .process import ServerProcess
from .stats import Row
from .suite import Run, Suite, estimate_turns
from .throughput import Answers, answer_to, compare

SCRIPT = SCRIPTS / "paths.lua"


def suites() -> list[Suite]:
    return [
        Suite(
            name=case.name,
            measure=partial(measure, case),
            estimate=partial(_estimate, case),
            quick=case.quick,
            loops="first",  # Five servers in one of the cases: they are compared on one loop.
        )
        for case in TOOLKIT_CASES
    ]


def _estimate(case: ToolkitCase, run: Run) -> float:
    servers = {name for row in rows(case, run) for name in (row.server, row.other)}
    return estimate_turns(run, len(servers))


def measure(case: ToolkitCase, run: Run) -> list[Row]:
    """One row for each of the case's comparisons whose servers are here."""
    compared = rows(case, run)

    def run_wrk(server: ServerProcess, seconds: float) -> load.Load:
        return load.run(
            f"http://127.0.0.1:{server.port}{case.paths[0]}",
            seconds=seconds,
            connections=case.connections,
            # A script that makes each request takes its time: one path does without.
            script=SCRIPT if len(case.paths) > 1 else None,
            core=run.cores.load,
            arguments=case.paths,
        )

    compare(compared, partial(answers, case), run_wrk, run)
    return compared


def answers(case: ToolkitCase, server: ServerProcess) -> Answers:
    """What the server answers on each of the case's paths. Raises AnswersDiffer unless with 200."""
    return {path: answer_to(path, server) for path in case.paths}


def rows(case: ToolkitCase, run: Run) -> list[Row]:
    present = run.present([each.other for each in case.compared])
    return [
        Row(
            case.name,
            each.title,
            run.loop,
            each.other,
            "requests/s",
            each.target,
            each.server,
            parts=each.parts,
        )
        for each in case.compared
        if each.other in present
    ]
