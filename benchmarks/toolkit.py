"""Requests per second with routes: the toolkit beside other toolkits, and what its parts cost."""

from collections.abc import Callable, Sequence

from . import load
from .cases import SCRIPTS, TOOLKIT_PEERS, ToolkitCase
from .cores import Cores
from .process import ServerProcess, missing
from .stats import Row
from .throughput import Servers, compare, prove_path

SCRIPT = SCRIPTS / "paths.lua"


def measure(
    case: ToolkitCase,
    loop: str,
    *,
    rounds: int,
    seconds: float,
    cores: Cores,
    progress: Callable[[str], None],
) -> list[Row]:
    """One row for each of the case's comparisons whose servers are installed here."""
    compared = rows(case, loop)

    def run_wrk(server: ServerProcess, seconds: float) -> load.Load:
        return load.run(
            f"http://127.0.0.1:{server.port}{case.paths[0]}",
            seconds=seconds,
            connections=case.connections,
            # A script that makes each request takes its time: one path does without.
            script=SCRIPT if len(case.paths) > 1 else None,
            core=cores.load,
            arguments=case.paths,
        )

    def proof(servers: Servers) -> None:
        prove(case, servers)

    if compared:
        compare(
            compared, proof, run_wrk, rounds=rounds, seconds=seconds, cores=cores, progress=progress
        )
    return compared


def missing_peers() -> Sequence[str]:
    """The peers that are not installed here."""
    return missing(TOOLKIT_PEERS)


def prove(case: ToolkitCase, servers: Servers) -> None:
    """Raises AnswersDiffer unless the servers answer alike on each of the case's paths."""
    for path in case.paths:
        prove_path(path, servers)


def rows(case: ToolkitCase, loop: str) -> list[Row]:
    left_out = missing_peers()
    return [
        Row(
            case.name,
            each.title,
            loop,
            each.other,
            "requests/s",
            each.target,
            each.server,
            parts=each.parts,
        )
        for each in case.compared
        if each.other not in left_out
    ]
