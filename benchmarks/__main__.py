"""python -m benchmarks: measure, say how far it is, print the table."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from . import (
    fanout,
    growth,
    imports,
    latency,
    load,
    machine,
    memory,
    multipart,
    reading,
    report,
    throughput,
    toolkit,
    websocket,
)
from .cores import choose
from .pace import Pace, minutes
from .reading import Results
from .stats import Row
from .suite import LOOPS, Run, Suite

SUITES = (
    *throughput.suites(),
    *multipart.suites(),
    *websocket.suites(),
    *toolkit.suites(),
    *growth.suites(),
    *fanout.suites(),
    *latency.suites(),
    *memory.suites(),
    *imports.suites(),
)
NAMES = tuple(suite.name for suite in SUITES)
# What `--case` also takes, for all cases whose names begin so.
GROUPS = (
    "websocket",
    "toolkit",
    "tls",
    "growth",
    "growth-connections",
    "growth-headers",
    "growth-response",
    "growth-request",
    "growth-pipelining",
)
# (rounds, seconds of one turn): quick takes about two minutes, full about forty.
QUICK, FULL = (3, 0.4), (5, 1.0)

# What has to be the same for rows of two runs to stand in one file.
SAME = ("processor", "kernel", "python", "packages", "peers")

# A suite, and how it is run.
Job = tuple[Suite, Run]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 measured, 1 some row failed, 2 cannot run here."""
    chosen = _options().parse_args(arguments)
    if not sys.platform.startswith("linux"):
        print("the benchmarks need Linux: they pin processes and read /proc", file=sys.stderr)
        return 2
    if not load.installed():
        print("wrk is missing: apt-get install wrk", file=sys.stderr)
        return 2
    facts = machine.facts()
    earlier = reading.read(chosen.json) if chosen.add and chosen.json is not None else None
    if earlier is not None and (
        other := [name for name in SAME if earlier.facts[name] != facts[name]]
    ):
        print(f"{chosen.json} is of another machine: {', '.join(other)}", file=sys.stderr)
        return 2
    cores = choose()
    if cores.shared:
        facts["note"] = "one core only: server and load generator took turns on it"
    suites = [suite for suite in SUITES if is_chosen(suite, chosen.case, full=chosen.full)]
    loops = _loops(chosen.loop, full=chosen.full)
    usual_rounds, usual_seconds = FULL if chosen.full else QUICK
    run = Run(
        loop="-",
        rounds=chosen.rounds or usual_rounds,
        seconds=chosen.seconds or usual_seconds,
        full=chosen.full,
        cores=cores,
        progress=_say,
    )
    facts["method"] = (
        f"median of {run.rounds} rounds of {run.seconds:g} s, servers in turn on one core"
    )
    if any(suite.name.startswith("growth-") for suite in suites):
        facts["method"] += f"; {growth.fewer(run).rounds} rounds where something grows"
    options = {
        "rounds": run.rounds,
        "seconds": run.seconds,
        "loops": loops,
        "cases": [suite.name for suite in suites],
    }
    unfinished = None
    if chosen.json is not None:
        unfinished = chosen.json.with_name(f"{chosen.json.stem}.unfinished.json")
    rows: list[Row] = []
    again: dict[str, str] = {}
    if earlier is not None:
        names = ", ".join(suite.name for suite in suites)
        before = [earlier.facts["measured again"]] if "measured again" in earlier.facts else []
        again = {
            **earlier.facts,
            "measured again": "; ".join([*before, f"{names} ({facts['date']})"]),
        }

    def keep() -> None:
        if run.left_out:
            facts["left out"] = ", ".join(f"{name} ({why})" for name, why in run.left_out.items())
        if unfinished is not None:
            kept = other_cases(earlier, rows)
            _write(unfinished, report.as_json([*kept, *rows], facts | again, options))

    interrupted = False
    try:
        for more in measured(jobs(suites, loops, run)):
            rows += more
            keep()
    except KeyboardInterrupt:
        interrupted = True
        facts["unfinished"] = "interrupted: the cases after these are missing"
        keep()
    print(report.rst(rows, facts))
    if unfinished is not None and chosen.json is not None and not interrupted:
        os.replace(unfinished, chosen.json)
    return 1 if interrupted or any(row.failure for row in rows) else 0


def other_cases(earlier: Results | None, rows: Sequence[Row]) -> Sequence[Row]:
    """The rows of an earlier run that these do not replace."""
    measured_now = {(row.case, row.loop) for row in rows}
    old = () if earlier is None else earlier.rows
    return [row for row in old if (row.case, row.loop) not in measured_now]


def is_chosen(suite: Suite, asked: Sequence[str] | None, *, full: bool) -> bool:
    """Without a case being asked for: all, or those of the quick table."""
    if not asked:
        return full or suite.quick
    return suite.name in asked or any(
        group in asked and suite.name.startswith(f"{group}-") for group in GROUPS
    )


def jobs(suites: Sequence[Suite], loops: Sequence[str], run: Run) -> list[Job]:
    """All of the first loop before those of the next; what has none at the end."""
    on_loops = [
        (suite, replace(run, loop=loop))
        for loop in loops
        for suite in suites
        if suite.loops == "each" or (suite.loops == "first" and loop == loops[0])
    ]
    return [*on_loops, *((suite, run) for suite in suites if suite.loops == "none")]


def measured(todo: Sequence[Job]) -> Iterator[list[Row]]:
    """The rows of one job after the other."""
    estimates = [suite.estimate(run) for suite, run in todo]
    _say(f"to measure: {len(todo)}, which takes about {minutes(sum(estimates))} (minutes:seconds)")
    pace = Pace(estimates, _say)
    for suite, run in todo:
        yield suite.measure(replace(run, progress=pace.tell))
        pace.part_done()


def _loops(asked: str | None, *, full: bool) -> Sequence[str]:
    asked = asked or ("both" if full else LOOPS[0])
    return LOOPS if asked == "both" else (asked,)


def _write(path: Path, results: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="lowlevel beside other servers: requests per second under wrk, websocket "
        "messages and MiB of uploads per second, latency, memory, time to import.",
        epilog=f"Cases: {', '.join(NAMES)}. Groups of them: {', '.join(GROUPS)}.",
    )
    options.add_argument(
        "--loop", choices=(*LOOPS, "both"), help="default: uvloop; with --full both"
    )
    options.add_argument(
        "--case",
        action="append",
        choices=(*NAMES, *GROUPS),
        metavar="NAME",
        help="a case or a group, see below; may be given more than once",
    )
    size = options.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_true", help="about two minutes, more noise; this is the default"
    )
    size.add_argument(
        "--full", action="store_true", help="every case beside every server, about forty minutes"
    )
    options.add_argument(
        "--rounds", type=_positive_int, help=f"default: {QUICK[0]}; with --full {FULL[0]}"
    )
    options.add_argument(
        "--seconds",
        type=_positive_float,
        help=f"of one turn of one server, default: {QUICK[1]:g}; with --full {FULL[1]:g}",
    )
    options.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write every sample there too, when all is measured; until then to FILE.unfinished.json",
    )
    options.add_argument(
        "--add",
        action="store_true",
        help="keep what that file has of other cases: measure some again",
    )
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
    # So that the servers end with the command, however it is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
