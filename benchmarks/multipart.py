"""MiB per second of a large file in a form, and what the server's memory grows by meanwhile."""

import http.client
from contextlib import closing
from functools import partial

from . import multipart_load
from .cases import MULTIPART, MultipartCase
from .contest import AnswersDiffer
from .cores import Cores
from .load import Load, LoadFailed
from .process import PAGE_BYTES, ServerFailed, ServerProcess
from .stats import Row
from .suite import Run, Suite, estimate_turns
from .throughput import Answers, compare

MEMORY_ROUNDS = 3
# Loads all that an upload ever needs, and is no file worth weighing.
SMALL = 1024


def suites() -> list[Suite]:
    case = MULTIPART
    return [
        Suite(
            name=case.name,
            measure=partial(measure, case),
            estimate=lambda run: estimate_turns(run, 2),
        ),
        Suite(
            name=case.memory_name,
            measure=partial(measure_memory, case),
            estimate=lambda run: MEMORY_ROUNDS * 2 * 2.0,
        ),
    ]


def measure(case: MultipartCase, run: Run) -> list[Row]:
    """One row, lowlevel beside aiohttp. What goes wrong is in its `failure`."""
    row = Row(case.name, case.title, run.loop, "aiohttp", "MiB/s", case.target)

    def upload(server: ServerProcess, seconds: float) -> Load:
        return multipart_load.run(server.port, case.size, seconds=seconds, core=run.cores.load)

    compare([row], prove, upload, run)
    return [row]


def prove(server: ServerProcess) -> Answers:
    """Raises AnswersDiffer unless the server takes a small upload."""
    try:
        with closing(multipart_load.connect(server.port)) as client:
            multipart_load.upload(client, SMALL)
    except LoadFailed as error:
        raise AnswersDiffer(f"{server.name}: {error}") from error
    return {}


def measure_memory(case: MultipartCase, run: Run) -> list[Row]:
    """One row: the peak over one upload in MiB, a fresh server for each sample."""
    title = f"{case.title}, peak memory"
    row = Row(case.memory_name, title, run.loop, "aiohttp", "MiB", case.memory_target)
    try:
        for number in range(1, MEMORY_ROUNDS + 1):
            run.progress(f"{run.loop}: {title}: round {number} of {MEMORY_ROUNDS}")
            row.ours.append(peak_mib(case.size, "lowlevel", run.loop, run.cores))
            row.theirs.append(peak_mib(case.size, "aiohttp", run.loop, run.cores))
    except (LoadFailed, ServerFailed, OSError, http.client.HTTPException) as error:
        row.failure = f"{type(error).__name__}: {error}"
    return [row]


def peak_mib(size: int, name: str, loop: str, cores: Cores) -> float:
    """How far the server's resident set rose above where it was, at any moment of one upload."""
    with (
        ServerProcess(name, loop, cores.server) as server,
        closing(multipart_load.connect(server.port)) as client,
    ):
        multipart_load.upload(client, SMALL)
        before = server.resident_bytes
        server.forget_peak()
        multipart_load.upload(client, size)
        # A page at least, as ratios are taken.
        return max(PAGE_BYTES, server.peak_resident_bytes - before) / multipart_load.MIB
