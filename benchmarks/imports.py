"""How long `import lowlevel` takes in a fresh interpreter, beside `import aiohttp.web`."""

import os
import subprocess
import sys
import time

from .cases import IMPORT_TARGET
from .cores import pinned
from .process import ROOT
from .stats import Row
from .suite import Run, Suite

ROUNDS = 11
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"


def suites() -> list[Suite]:
    return [
        Suite(name="import", measure=measure, estimate=_estimate, quick=True, loops="none"),
    ]


def _estimate(run: Run) -> float:
    return (ROUNDS + 1) * 0.4


def measure(run: Run) -> list[Row]:
    """One row in milliseconds, the start of the bare interpreter taken off each sample."""
    row = Row("import", "import, wall time", "-", "aiohttp", "ms", IMPORT_TARGET)
    programs = ("pass", "import lowlevel", "import aiohttp.web")
    try:
        for program in programs:  # Not counted: writes the .pyc files, fills the page cache.
            _seconds(program, run.cores.server)
        for number in range(1, ROUNDS + 1):
            run.progress(f"import: round {number} of {ROUNDS}")
            bare, ours, theirs = (_seconds(program, run.cores.server) for program in programs)
            row.ours.append((ours - bare) * 1000)
            row.theirs.append((theirs - bare) * 1000)
    except subprocess.CalledProcessError as error:
        row.failure = str(error)
    return [row]


def _seconds(program: str, core: int) -> float:
    # Without .pyc files it would be the time to compile.
    environment = {name: os.environ[name] for name in os.environ if name != NO_BYTECODE}
    with pinned(core):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True)
        return time.perf_counter() - began
