"""A server under measurement: started on its core, watched, ended."""

import os
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from .cores import pinned

ROOT = Path(__file__).parents[1]
PROGRAMS = {
    "lowlevel": "benchmarks.servers.lowlevel_server",
    "aiohttp": "benchmarks.servers.aiohttp_server",
    "floor_asyncio": "benchmarks.servers.floor_asyncio",
    "floor_httptools": "benchmarks.servers.floor_httptools",
    "lowlevel_masker": "benchmarks.servers.lowlevel_masker",
    "lowlevel_no_masker": "benchmarks.servers.lowlevel_no_masker",
    "websockets": "benchmarks.servers.websockets_server",
    "picows": "benchmarks.servers.picows_server",
    "uvicorn": "benchmarks.servers.uvicorn_server",
    "floor_websocket": "benchmarks.servers.floor_websocket",
    "lowlevel_bare": "benchmarks.servers.lowlevel_bare",
    "lowlevel_router": "benchmarks.servers.lowlevel_router",
    "lowlevel_application": "benchmarks.servers.lowlevel_application",
    "lowlevel_middlewares": "benchmarks.servers.lowlevel_middlewares",
    "lowlevel_many_routes": "benchmarks.servers.lowlevel_many_routes",
    "bareASGI": "benchmarks.servers.bareasgi_server",
    "asgi-tools": "benchmarks.servers.asgi_tools_server",
    "Starlette": "benchmarks.servers.starlette_server",
}
START_SECONDS = 20.0
STOP_SECONDS = 5.0
IDLE_SECONDS = 2.0
COMPLAINT_BYTES = 1000
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ServerFailed(Exception):
    """The server did not start, or died."""


def missing(peers: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Those of the peers that lack one of their modules here."""
    return [peer for peer, modules in peers.items() if not all(find_spec(name) for name in modules)]


class ServerProcess:
    """One of PROGRAMS, as a context manager.

    `port` is known once it is entered. Entering raises ServerFailed. What the server says on stderr
    is kept aside: aiohttp logs a traceback for each client that leaves in the middle of an answer,
    which is how a load ends.
    """

    def __init__(self, name: str, loop: str, core: int) -> None:
        self.name = name
        self._loop = loop
        self._core = core

    def __enter__(self) -> "ServerProcess":
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        with pinned(self._core):
            self._process = subprocess.Popen(
                [sys.executable, "-m", PROGRAMS[self.name], "--loop", self._loop],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                text=True,
            )
        try:
            self.port = self._read_port()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    @property
    def cpu_seconds(self) -> float:
        """Processor time used so far, the kernel's part included."""
        # The name in brackets may hold spaces; the times are fields 14 and 15, proc(5).
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    @property
    def resident_bytes(self) -> int:
        return int(self._proc("statm").split()[1]) * PAGE_BYTES

    @property
    def peak_resident_bytes(self) -> int:
        """The most that `resident_bytes` has been, since `forget_peak` if that was called."""
        (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", self._proc("status"), re.MULTILINE)
        return int(peak) * 1024

    def forget_peak(self) -> None:
        """Let the peak be what is resident now."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")  # proc_pid_clear_refs(5)

    @property
    def complaints(self) -> str:
        """The end of what the server said on stderr."""
        # The server writes where the file's position is, so that must not be moved to read.
        file = self._stderr.fileno()
        end = os.fstat(file).st_size
        said = os.pread(file, COMPLAINT_BYTES, max(0, end - COMPLAINT_BYTES))
        return said.decode(errors="replace").strip()

    def wait_idle(self) -> None:
        """Return when the server has stopped working on what the last load left behind.

        The servers of a case share one core, so that work would count against the next one.
        """
        deadline = time.monotonic() + IDLE_SECONDS
        used = self.cpu_seconds
        while time.monotonic() < deadline:
            time.sleep(3 / TICKS_PER_SECOND)
            before, used = used, self.cpu_seconds
            if used == before:
                return

    def _proc(self, name: str) -> str:
        if self._process.poll() is not None:
            raise ServerFailed(f"{self.name} ended with status {self._process.returncode}")
        return Path(f"/proc/{self._process.pid}/{name}").read_text()

    def _read_port(self) -> int:
        output = self._process.stdout
        assert output is not None
        ready, _, _ = select.select([output], [], [], START_SECONDS)
        line = output.readline() if ready else ""
        if not line.strip().isdigit():
            raise ServerFailed(f"{self.name} on {self._loop} did not start: {self.complaints}")
        return int(line)

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._stderr.close()
