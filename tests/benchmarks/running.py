"""What the tests of the benchmarks share: where they can run, and how a suite is run in them."""

import shutil
import sys
from dataclasses import replace

import pytest

from benchmarks.cores import choose
from benchmarks.stats import Row, Target
from benchmarks.suite import Run

on_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the benchmarks need Linux"
)
with_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")


def a_run(**changes: object) -> Run:
    """One short round on asyncio, beside whatever is here."""
    run = Run(loop="asyncio", rounds=1, seconds=1.0, full=True, cores=choose(), progress=print)
    return replace(run, **changes)  # type: ignore[arg-type]


def a_row(**changes: object) -> Row:
    values: dict[str, object] = {
        "case": "plaintext",
        "title": "plaintext",
        "loop": "uvloop",
        "other": "aiohttp",
        "unit": "requests/s",
        "target": Target("at least", 2.0),
        "ours": [300.0, 200.0, 100.0],
        "theirs": [100.0, 100.0, 100.0],
    }
    return Row(**(values | changes))  # type: ignore[arg-type]
