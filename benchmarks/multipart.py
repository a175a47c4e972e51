"""MiB per second of a large file in a form, and what the server's memory grows by meanwhile."""

import http.client
from collections.abc import Callable
from contextlib import closing

from . import multipart_load
from .cases import MultipartCase
from .cores import Cores
from .load import Load, LoadFailed
from .process import PAGE_BYTES, ServerFailed, ServerProcess
from .stats import Row
from .throughput import AnswersDiffer, Servers, compare

MEMORY_ROUNDS = 3
# Loads all that an upload ever needs, and is no file worth weighing.
SMALL = 1024

Progress = Callable[[str], None]


def measure(
    case: MultipartCase,
    loop: str,
    *,
    rounds: int,
    seconds: float,
    cores: Cores,
    progress: Progress,
) -> list[Row]:
    """One row, lowlevel beside aiohttp. What goes wrong is in its `failure`."""
    row = Row(case.name, case.title, loop, "aiohttp", "MiB/s", case.target)

    def upload(server: ServerProcess, seconds: float) -> Load:
        return multipart_load.run(server.port, case.size, seconds=seconds, core=cores.load)

    compare([row], prove, upload, rounds=rounds, seconds=seconds, cores=cores, progress=progress)
    return [row]


def prove(servers: Servers) -> None:
    """Raises AnswersDiffer unless every server takes a small upload."""
    for server in servers.values():
        try:
            with closing(multipart_load.connect(server.port)) as client:
                multipart_load.upload(client, SMALL)
        except LoadFailed as error:
            raise AnswersDiffer(f"{server.name}: {error}\n{server.complaints}") from error


def measure_memory(
    case: MultipartCase, loop: str, *, cores: Cores, progress: Progress
) -> list[Row]:
    """One row: the peak over one upload in MiB, a fresh server for each sample."""
    title = f"{case.title}, peak memory"
    row = Row(case.memory_name, title, loop, "aiohttp", "MiB", case.memory_target)
    try:
        for number in range(1, MEMORY_ROUNDS + 1):
            progress(f"{loop}: {title}: round {number} of {MEMORY_ROUNDS}")
            row.ours.append(peak_mib(case.size, "lowlevel", loop, cores))
            row.theirs.append(peak_mib(case.size, "aiohttp", loop, cores))
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
