"""python -m benchmarks.guard: does a request take more than it did? Time is not looked at.

The loops of ``benchmarks/loops.py`` run without sockets and without a clock (``inprocess.py``), and
what they take is counted (``counting.py``): instructions of Python's bytecode, calls, calls into C,
calls of the transport, garbage in cycles and memory. That is the same on every run, on a busy
machine too. With valgrind, also the instructions of the processor are counted, which sees what C
does; they are compared where they were recorded for the very same Python and packages, else this is
said, and the rest decides.

A figure that is more than 5 % over the one in ``guard.toml`` fails. Whoever means it, says why::

    python -m benchmarks.guard --record "requests know the time of their arrival"

once with each Python that the file has figures for (the same reason on the same day is one entry).
Where nothing was recorded but 0, anything fails. A figure that shrank by more than 5 % is to be
recorded too, or it could grow again unseen: it fails where CI is set. A new release of a package, or
of Python, may be the reason as well: the report says what differs from the record.

Exit status 0: nothing grew; 1: something did, is not in the record, or shrank in CI; 2: cannot count
here.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from lowlevel.protocol.masking import unmask, unmask_in_python

from . import guard_record
from .counting import LONG, SHORT
from .guard_record import FILE, BadRecord, Figures
from .loops import LOOPS

TOLERANCE = 0.05
# Compiled and pure: what they do is part of the figures.
PACKAGES = (
    "httptools",
    "multidict",
    "propcache",
    "python-multipart",
    "websockets",
    "wsproto",
    "yarl",
)
MACHINE = "machine instructions"
# For one process that counts. All of them take half a minute on a machine that is not busy.
MOST_SECONDS = 300

_ROOT = Path(__file__).parent.parent


class CannotCount(Exception):
    """Something that is needed is missing, or did not work."""


@dataclass(frozen=True, slots=True)
class Change:
    """A figure then and now."""

    loop: str
    measure: str
    recorded: float
    now: float

    @property
    def growth(self) -> float:
        """How much of what was recorded came on top; negative if it became less."""
        if not self.recorded:
            return float("inf") if self.now else 0.0
        return round(self.now / self.recorded - 1, 6)

    @property
    def grew(self) -> bool:
        return self.growth > TOLERANCE

    @property
    def shrank(self) -> bool:
        return self.growth < -TOLERANCE

    @property
    def percentage(self) -> str:
        return f"{self.growth:+.1%}" if self.recorded or not self.now else "from 0"

    def __str__(self) -> str:
        return f"{self.loop}: {self.measure} {_number(self.recorded)} to {_number(self.now)}"


# ---- Counting --------------------------------------------------------------------------------


def count(names: Sequence[str]) -> Figures:
    """What is the same for all builds of a version of Python; each loop in a process of its own.

    Raises CannotCount.
    """
    figures: dict[str, Mapping[str, float]] = {}
    for name in names:
        figures |= json.loads(_run([sys.executable, "-m", "benchmarks.counting", name]))
    return figures


def count_machine(names: Sequence[str]) -> Figures:
    """The processor's instructions, as valgrind counts them. Raises CannotCount."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise CannotCount("valgrind is not installed")
    with tempfile.TemporaryDirectory() as folder:
        # One file for each process, %p is its id; without the simulation of caches.
        files = f"--cachegrind-out-file={folder}/%p"
        program = [sys.executable, "-m", "benchmarks.counting", "--machine", *names]
        printed = _run([valgrind, "--tool=cachegrind", "--cache-sim=no", files, *program])
        figures = {}
        for name, (short, long) in json.loads(printed).items():
            more = _total(Path(folder, str(long))) - _total(Path(folder, str(short)))
            exchanges = (LONG - SHORT) * LOOPS[name].requests
            figures[name] = {MACHINE: round(more / exchanges)}
        return figures


def _total(path: Path) -> int:
    for line in path.read_text().splitlines():
        if line.startswith("summary:"):
            return int(line.split()[1])
    raise CannotCount(f"valgrind wrote no summary to {path}")


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=_ROOT,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise CannotCount(f"{' '.join(command)}: not done after {MOST_SECONDS} seconds") from exc
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise CannotCount(f"{' '.join(command)}: {lines[-1]}")
    return done.stdout


def _environment() -> dict[str, str]:
    """Ours, without what makes Python, or a package, do other work than by itself."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "PYTHONPATH"
        or not (name.startswith(("PYTHON", "COVERAGE")) or name.endswith("_NO_EXTENSIONS"))
    }
    return kept | {"PYTHONHASHSEED": "0"}


# ---- What was counted with -------------------------------------------------------------------


def python_key() -> str:
    """What figures of bytecode belong to."""
    return f"Python {sys.version_info.major}.{sys.version_info.minor}"


def machine_key() -> str:
    """What figures of the processor's instructions belong to."""
    build = " ".join(sys.version.split())
    libc = " ".join(platform.libc_ver())
    return f"Python {build}, {packages()}, {libc}, {platform.machine()}"


def packages() -> str:
    return ", ".join(f"{name} {_version(name)}" for name in PACKAGES)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(missing)"


# ---- Comparing -------------------------------------------------------------------------------


def compare(recorded: Figures, now: Figures) -> tuple[list[Change], list[str]]:
    """The figures that are on both sides, and the loops and measures that the record has not."""
    changes, missing = [], []
    for loop, measures in now.items():
        for measure, figure in measures.items():
            former = recorded.get(loop, {}).get(measure)
            if former is None:
                missing.append(f"{loop}: {measure}")
            else:
                changes.append(Change(loop, measure, former, figure))
    return changes, missing


def table(changes: Sequence[Change]) -> str:
    """For people to read, the figures of a loop together."""
    order = list(LOOPS)
    rows = [("loop", "per request", "recorded", "now", "change")]
    shown = ""
    for change in sorted(changes, key=lambda change: order.index(change.loop)):
        name, shown = "" if change.loop == shown else change.loop, change.loop
        numbers = _number(change.recorded), _number(change.now), change.percentage
        rows.append((name, change.measure, *numbers))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  "
        + "  ".join(f"{row[column]:>{widths[column]}}" for column in (2, 3, 4))
        for row in rows
    )


def _number(number: float) -> str:
    return f"{number:,.10g}"


def judge(changes: Sequence[Change], missing: Sequence[str]) -> int:
    """Say what came out; the exit status."""
    grown = [change for change in changes if change.grew]
    for change in grown:
        print(f"GREW by more than {TOLERANCE:.0%}: {change} ({change.percentage})")
    for name in missing:
        print(f"NOT IN THE RECORD: {name}")
    if grown or missing:
        print('If that is meant, say why: python -m benchmarks.guard --record "why"')
        return 1
    shrunk = [change for change in changes if change.shrank]
    for change in shrunk:
        print(f"Less than recorded: {change} ({change.percentage})")
    if shrunk:
        print('Keep it, or it may grow again: python -m benchmarks.guard --record "why"')
        return 1 if os.environ.get("CI") else 0
    print(f"Nothing grew by more than {TOLERANCE:.0%}.")
    return 0


# ---- The command -----------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.guard", description="Does a request take more than it did?"
    )
    options.add_argument("--record", metavar="WHY", help="make these the figures, for this reason")
    options.add_argument(
        "--loop", action="append", choices=LOOPS, help="count this one only; may be repeated"
    )
    options.add_argument(
        "--no-valgrind", action="store_true", help="leave out the processor's instructions"
    )
    chosen = options.parse_args(arguments)
    if chosen.record is not None and not chosen.record.strip():
        options.error("--record needs a reason")
    if chosen.record is not None and chosen.loop:
        options.error("--record counts all loops: leave out --loop")
    try:
        return _guard(chosen.loop or list(LOOPS), chosen.record, not chosen.no_valgrind)
    except (BadRecord, CannotCount) as exc:
        print(f"guard: {exc}", file=sys.stderr)
        return 1 if isinstance(exc, BadRecord) else 2


def _guard(names: Sequence[str], why: str | None, with_machine: bool) -> int:
    if unmask is unmask_in_python:
        raise CannotCount("the C masker is missing: install lowlevel with its extra `speed`")
    record = guard_record.read(FILE)
    counted = _count_all(names, with_machine)
    changes: list[Change] = []
    missing: list[str] = []
    for key, figures in counted.items():
        former = record.figures.get(key)
        if former is not None:
            compared, unknown = compare(former, figures)
            changes += compared
            missing += unknown
            if record.packages(key) != packages():
                print(f"{key} was recorded with {record.packages(key)}; here: {packages()}.")
        elif key == python_key():
            missing.append(f"anything for {key}")
        else:
            print(f"No {MACHINE} are recorded for {key}: the other figures decide.")
    if changes:
        print(table(changes))
    if why is None:
        return judge(changes, missing)
    beyond = [f"{python_key()}, {change}" for change in changes if change.grew or change.shrank]
    today = datetime.now(UTC).date().isoformat()
    later = record.add(counted, date=today, why=why, packages=packages(), changes=beyond)
    guard_record.write(later, FILE)
    print(f"Recorded for {', '.join(counted)}.")
    gone = sorted(record.figures.keys() - later.figures.keys())
    for key in gone:
        print(f"GONE FROM THE RECORD: {MACHINE} of {key}")
    if gone and machine_key() not in counted:
        print("Record again where valgrind is, or nothing guards them from now on.")
    return 0


def _count_all(names: Sequence[str], with_machine: bool) -> dict[str, Figures]:
    """By key; valgrind counts beside the others, and may fail."""
    with ThreadPoolExecutor() as beside:
        machine = beside.submit(count_machine, names) if with_machine else None
        counted = {python_key(): count(names)}
        if machine is not None:
            try:
                counted[machine_key()] = machine.result()
            except CannotCount as exc:
                print(f"No {MACHINE}: {exc}. The other figures decide.")
    return counted


if __name__ == "__main__":
    sys.exit(main())
