"""python -m benchmarks: measure, say how far it is, print the table."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from . import imports, load, machine, memory, multipart, report, throughput, toolkit, websocket
from .cases import CASES, MULTIPART, TOOLKIT_CASES, WEBSOCKET_CASES
from .cores import Cores, choose
from .stats import Row

LOOPS = ("uvloop", "asyncio")
NAMES = (
    *(case.name for case in CASES),
    MULTIPART.name,
    *(case.name for case in (*WEBSOCKET_CASES, *TOOLKIT_CASES, *memory.CASES)),
    MULTIPART.memory_name,
    "import",
)
# What `--case` also takes, for all cases whose names begin so.
GROUPS = ("websocket", "toolkit")
# (rounds, seconds of one turn): quick takes about two minutes for everything, the usual one
# about twenty, full more than an hour.
QUICK, USUAL, FULL = (3, 0.4), (5, 2.0), (9, 5.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 measured, 1 some row failed, 2 cannot run here."""
    chosen = _options().parse_args(arguments)
    if not sys.platform.startswith("linux"):
        print("the benchmarks need Linux: they pin processes and read /proc", file=sys.stderr)
        return 2
    if not load.installed():
        print("wrk is missing: apt-get install wrk", file=sys.stderr)
        return 2
    usual_rounds, usual_seconds = QUICK if chosen.quick else FULL if chosen.full else USUAL
    rounds, seconds = chosen.rounds or usual_rounds, chosen.seconds or usual_seconds
    facts = machine.facts()
    cores = choose()
    if cores.shared:
        facts["note"] = "one core only: server and load generator took turns on it"
    loop = chosen.loop or (LOOPS[0] if chosen.quick else "both")
    loops = LOOPS if loop == "both" else (loop,)
    cases = [name for name in NAMES if is_chosen(name, chosen.case)]
    if left_out := _left_out(cases):
        facts["left out"] = f"{', '.join(left_out)} (not installed)"
    rows = _measure(loops, cases, rounds, seconds, cores)
    facts["method"] = f"median of {rounds} rounds of {seconds:g} s, servers in turn on one core"
    print(report.rst(rows, facts))
    if chosen.json is not None:
        options = {"rounds": rounds, "seconds": seconds, "loops": loops, "cases": cases}
        chosen.json.write_text(json.dumps(report.as_json(rows, facts, options), indent=2) + "\n")
    return 1 if any(row.failure for row in rows) else 0


def is_chosen(name: str, asked: Sequence[str] | None) -> bool:
    return not asked or name in asked or any(group in asked for group in _groups(name))


def _groups(name: str) -> Sequence[str]:
    return [group for group in GROUPS if name.startswith(group)]


def _left_out(cases: Sequence[str]) -> Sequence[str]:
    """The peers of these cases that are not installed."""
    peers: list[str] = []
    for measured, missing in (
        (WEBSOCKET_CASES, websocket.missing_peers),
        (TOOLKIT_CASES, toolkit.missing_peers),
    ):
        if any(case.name in cases for case in measured):
            peers += missing()
    return peers


def _measure(
    loops: Sequence[str], cases: Sequence[str], rounds: int, seconds: float, cores: Cores
) -> list[Row]:
    rows = []
    for loop in loops:
        for case in CASES:
            if case.name in cases:
                rows += throughput.measure(
                    case, loop, rounds=rounds, seconds=seconds, cores=cores, progress=_progress
                )
        if MULTIPART.name in cases:
            rows += multipart.measure(
                MULTIPART, loop, rounds=rounds, seconds=seconds, cores=cores, progress=_progress
            )
        for messages in WEBSOCKET_CASES:
            # Seven servers a case: they are compared on one loop.
            if messages.name in cases and loop == loops[0]:
                rows += websocket.measure(
                    messages, loop, rounds=rounds, seconds=seconds, cores=cores, progress=_progress
                )
        for routed in TOOLKIT_CASES:
            # Five servers in one of the cases: on one loop for the same reason.
            if routed.name in cases and loop == loops[0]:
                rows += toolkit.measure(
                    routed, loop, rounds=rounds, seconds=seconds, cores=cores, progress=_progress
                )
        for idle in memory.CASES:
            if idle.name in cases:
                rows += memory.measure(idle, loop, cores=cores, progress=_progress)
        if MULTIPART.memory_name in cases:
            rows += multipart.measure_memory(MULTIPART, loop, cores=cores, progress=_progress)
    if "import" in cases:
        rows += imports.measure(cores=cores, progress=_progress)
    return rows


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="lowlevel beside aiohttp's low-level server: requests per second under wrk, "
        "websocket messages and MiB of uploads per second, memory, time to import.",
    )
    options.add_argument(
        "--loop", choices=(*LOOPS, "both"), help="default: both; with --quick uvloop"
    )
    options.add_argument(
        "--case",
        action="append",
        choices=(*NAMES, *GROUPS),
        help=f"may be given more than once; {' or '.join(GROUPS)}: all of those; default: all",
    )
    speed = options.add_mutually_exclusive_group()
    speed.add_argument("--quick", action="store_true", help="about two minutes, more noise")
    speed.add_argument("--full", action="store_true", help="more than an hour, less noise")
    options.add_argument("--rounds", type=_positive_int, help=f"default: {USUAL[0]}")
    options.add_argument(
        "--seconds", type=_positive_float, help=f"of one turn of one server, default: {USUAL[1]:g}"
    )
    options.add_argument("--json", type=Path, metavar="FILE", help="write every sample there too")
    return options


def _positive_int(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _positive_float(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be more than 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
