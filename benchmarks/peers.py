"""python -m benchmarks.peers: make the environments of the peers, each with its pins alone.

They are folders `peers/NAME` of the environment that this runs in, made from peers/NAME.txt, again
only when that text has changed. A peer that cannot be had here is left out, and why is kept beside
its environment.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TypedDict

from .programs import ENVIRONMENTS, PROGRAMS

ROOT = Path(__file__).parents[1]
PINS = Path(__file__).with_name("peers")
HOME = Path(sys.prefix, "peers")
INSTALL_SECONDS = 600.0
IMPORT_SECONDS = 60.0
NOT_MADE = "no environment: python -m benchmarks.peers makes it"
OUTDATED = "its pins have changed: python -m benchmarks.peers installs it again"


class CannotMake(Exception):
    """An environment could not be made, or a program cannot be imported in it."""


class State(TypedDict):
    """What is known of an environment, in a file beside it.

    pins: what it was made from; left_out: its servers that cannot run, and why.
    """

    pins: str
    installed: bool
    left_out: dict[str, str]


def interpreter(server: str) -> str:
    """The Python that this server's program needs. For a peer that is missing there is none."""
    environment = ENVIRONMENTS.get(server)
    return sys.executable if environment is None else str(_python(environment))


def version(environment: str) -> str | None:
    """The version of the peer that this environment is for; None where it is not installed."""
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = HOME / environment / "lib" / python / "site-packages"
    found = metadata.distributions(name=environment, path=[str(packages)])
    return next((each.version for each in found), None)


def left_out(server: str) -> str | None:
    """Why this server cannot run here; None where it can."""
    environment = ENVIRONMENTS.get(server)
    if environment is None:
        return None
    state = _read_state(environment)
    if state is None:
        return NOT_MADE
    if state["pins"] != _fingerprint(environment):
        return OUTDATED
    return state["left_out"].get(server)


def make(environment: str) -> dict[str, str]:
    """Make it unless it is there with these pins. Its servers that cannot run, and why.

    One that failed before is tried again: the network may be back.
    """
    servers = [server for server, name in ENVIRONMENTS.items() if name == environment]
    try:
        if not _is_installed(environment):
            _install(environment)
    except CannotMake as error:
        reasons = dict.fromkeys(servers, str(error))
        _write_state(environment, installed=False, reasons=reasons)
        return reasons
    reasons = {server: why for server in servers if (why := _cannot_import(server))}
    _write_state(environment, installed=True, reasons=reasons)
    return reasons


def _python(environment: str) -> Path:
    return HOME / environment / "bin" / "python"


def _fingerprint(environment: str) -> str:
    """Of the pins and the Python that they are for."""
    pins = (PINS / f"{environment}.txt").read_bytes()
    return hashlib.sha256(pins + sys.version.encode()).hexdigest()


def _state_file(environment: str) -> Path:
    # Beside the environment, which does not exist where making it failed.
    return HOME / f"{environment}.json"


def _read_state(environment: str) -> State | None:
    try:
        state: State = json.loads(_state_file(environment).read_text())
    except FileNotFoundError:
        return None
    return state


def _write_state(environment: str, *, installed: bool, reasons: dict[str, str]) -> None:
    state = State(pins=_fingerprint(environment), installed=installed, left_out=reasons)
    HOME.mkdir(exist_ok=True)
    _state_file(environment).write_text(json.dumps(state, indent=2) + "\n")


def _is_installed(environment: str) -> bool:
    state = _read_state(environment)
    return (
        state is not None
        and state["installed"]
        and state["pins"] == _fingerprint(environment)
        and _python(environment).exists()
    )


def _install(environment: str) -> None:
    folder = HOME / environment
    _state_file(environment).unlink(missing_ok=True)  # Until it is whole, it is not there.
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], INSTALL_SECONDS)
    pip = [sys.executable, "-m", "pip", "--python", str(_python(environment)), "install"]
    # What would have to be compiled here is left out, and not waited for.
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:"]
    _run([*pip, *options, "--requirement", str(PINS / f"{environment}.txt")], INSTALL_SECONDS)


def _cannot_import(server: str) -> str | None:
    command = [interpreter(server), "-c", f"import {PROGRAMS[server]}"]
    try:
        _run(command, IMPORT_SECONDS)
    except CannotMake as error:
        return str(error)
    return None


def _run(command: Sequence[str], seconds: float) -> None:
    """Raises CannotMake with the last line of what the command said on stderr."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotMake(f"not done after {seconds:g} s") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise CannotMake(said[-1].strip())


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, whatever had to be left out; 2 outside of an environment."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description="Make the environments of the peers; those that do not install are left out.",
    )
    names = sorted(set(ENVIRONMENTS.values()))
    options.add_argument(
        "--only", action="append", choices=names, help="may be given more than once; default: all"
    )
    chosen = options.parse_args(arguments)
    if sys.prefix == sys.base_prefix:
        print("make a virtual environment first: the peers' are made inside it", file=sys.stderr)
        return 2
    for name in chosen.only or names:
        reasons = make(name)
        print(f"{name}: ready" if not reasons else f"{name}:", flush=True)
        for server, why in reasons.items():
            print(f"  {server} is left out: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
