"""What stands around a server that is deployed: proxies, units of systemd, a client of Unix sockets.

Each is the program itself where it is installed; else the test is skipped, and says what is missing.
"""

from __future__ import annotations

import http.client
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import DEADLINE

CLIENT = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago, below those that outgoing connections get."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def installed(program: str) -> str:
    """The path of a program; the test is skipped where there is none."""
    path = shutil.which(program, path="/usr/sbin:/usr/local/sbin:/sbin:") or shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


class UnixConnection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=DEADLINE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(str(self._path))


class Answer(NamedTuple):
    """What a server said."""

    status: int
    text: str
    headers: Message


def ask(address: int | Path, path: str = "/", body: str | None = None, **fields: str) -> Answer:
    """Ask a port of 127.0.0.1, or a Unix socket, on a connection of its own: POST with a body, else GET.

    The client of a port has the address ``CLIENT``.
    """
    if isinstance(address, int):
        connection = http.client.HTTPConnection(
            "127.0.0.1", address, timeout=DEADLINE, source_address=(CLIENT, 0)
        )
    else:
        connection = UnixConnection(address)
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    with closing(connection):
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode(), answer.headers)


@contextmanager
def nginx_before(configuration: str, port: int, folder: Path) -> Iterator[None]:
    """Run nginx, with a text that belongs into the ``http`` block of its configuration."""
    program = installed("nginx")
    home = folder / "nginx"
    home.mkdir()
    temporary = "".join(
        f"{kind}_temp_path {home}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if Path("/").owner() == Path(home).owner() else ""
    file = home / "nginx.conf"
    file.write_text(
        f"{user}daemon off;\nworker_processes 1;\npid {home}/pid;\nerror_log stderr warn;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{configuration}\n}}\n"
    )
    yield from _proxy([program, "-p", str(home), "-c", str(file)], port, home / "log")


@contextmanager
def haproxy_before(configuration: str, port: int, folder: Path) -> Iterator[None]:
    """Run HAProxy with a configuration."""
    program = installed("haproxy")
    file = folder / "haproxy.cfg"
    file.write_text(configuration)
    yield from _proxy([program, "-db", "-f", str(file)], port, folder / "haproxy.log")


def _proxy(command: list[str], port: int, log: Path) -> Iterator[None]:
    """Run a proxy, which is there when its port is."""
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + DEADLINE
        while not _answers(port):
            assert process.poll() is None, f"{command}\n{log.read_text()}"
            assert time.monotonic() < deadline, f"{command} does not listen\n{log.read_text()}"
            time.sleep(0.01)
        yield
        assert process.poll() is None, f"{command} has ended\n{log.read_text()}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE)


def _answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def verify_units(units: dict[str, str], folder: Path) -> None:
    """Let systemd look for mistakes in units, given by file name; the programs of ``ExecStart`` need not be there."""
    program = installed("systemd-analyze")
    paths = []
    for name, text in units.items():
        path = folder / name
        path.write_text(re.sub(r"^(ExecStart=)\S+", r"\1/bin/true", text, flags=re.MULTILINE))
        paths.append(str(path))
    done = subprocess.run(
        [program, "verify", "--man=no", *paths],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    named = [line for line in done.stderr.splitlines() if any(unit in line for unit in units)]
    assert not named, done.stderr
    assert done.returncode == 0, done.stderr
