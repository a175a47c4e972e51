"""wrk: one run of it, and what it says."""

import math
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .cores import pinned

# Past what was asked for, wrk only closes its connections and prints.
GRACE_SECONDS = 10.0

_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)", re.MULTILINE)
# What wrk/steady.lua says instead, since it counts a part of the run.
_STEADY_RATE = re.compile(r"^Steady requests/sec:\s+(\S+)", re.MULTILINE)
_REFUSED = re.compile(r"^\s*Non-2xx or 3xx responses: .*$", re.MULTILINE)
_SOCKET_ERRORS = re.compile(r"^\s*Socket errors: .*$", re.MULTILINE)


class LoadFailed(Exception):
    """wrk could not run, or counted errors: the numbers beside them mean nothing."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run measured.

    rate: requests, messages or MiB per second.
    cpu_seconds: the processor time that the load itself took.
    seconds, server_cpu_seconds: how long the load lasted, and the server's processor time over it,
        where that is not the whole run, but what came after the connections were opened.
    """

    rate: float
    cpu_seconds: float
    seconds: float | None = None
    server_cpu_seconds: float | None = None


def installed() -> bool:
    return shutil.which("wrk") is not None


def version() -> str:
    said = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False)
    return " ".join(said.stdout.split("[")[0].split())


def run(
    url: str,
    *,
    seconds: float,
    connections: int,
    script: Path | None,
    core: int,
    arguments: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
) -> Load:
    """Load `url` for so long from one thread on `core`; the arguments are the script's.

    Raises LoadFailed.
    """
    # wrk takes whole seconds; at SIGINT it ends early and reports the time that it really ran.
    command = ["wrk", "-t1", f"-c{connections}", f"-d{math.ceil(seconds) + 1}s", "--timeout", "5s"]
    if script is not None:
        command += ["-s", str(script)]
    for name, value in (headers or {}).items():
        command += ["-H", f"{name}: {value}"]
    used = _children_cpu_seconds()
    with pinned(core):
        process = subprocess.Popen(
            [*command, url, "--", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        output = _interrupted_after(process, seconds)
    finally:
        process.kill()
        process.wait()
    return Load(read_rate(output), _children_cpu_seconds() - used)


def read_rate(output: str) -> float:
    """The rate in what wrk printed. Raises LoadFailed where it counted any error."""
    for complaint in (_SOCKET_ERRORS, _REFUSED):
        if found := complaint.search(output):
            raise LoadFailed(f"wrk: {found[0].strip()}")
    rate = _STEADY_RATE.search(output) or _RATE.search(output)
    if rate is None:
        raise LoadFailed(f"wrk said no rate: {output.strip()[-300:]!r}")
    if rate[1] == "none":
        raise LoadFailed("wrk ended before it began to count")
    if float(rate[1]) == 0:
        raise LoadFailed("wrk had no answer at all")
    return float(rate[1])


def _interrupted_after(process: "subprocess.Popen[str]", seconds: float) -> str:
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        try:
            output, _ = process.communicate(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise LoadFailed("wrk does not end") from error
    return output


def _children_cpu_seconds() -> float:
    """Of the children that were waited for: the servers still run, so only wrk moves it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
