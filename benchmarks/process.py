"""A server under measurement: started on its core, watched, ended with all its processes."""

import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from . import peers
from .cores import pinned
from .programs import PROGRAMS as PROGRAMS

ROOT = Path(__file__).parents[1]
START_SECONDS = 20.0
STOP_SECONDS = 5.0
IDLE_SECONDS = 2.0
COMPLAINT_BYTES = 1000
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

# A file in PEM with the certificate, and one with its key.
CertificateAndKey = tuple[Path, Path]


class ServerFailed(Exception):
    """The server did not start, or died."""


def missing(names: Iterable[str]) -> dict[str, str]:
    """Those of the servers that cannot run here, each with the reason."""
    return {name: reason for name in names if (reason := peers.left_out(name)) is not None}


class ServerProcess:
    """One of PROGRAMS, as a context manager.

    `port` is known once it is entered. Entering raises ServerFailed. A server may consist of more
    processes than one: times and memory are their sums, and all of them end with it. What it says
    on stderr is kept aside: aiohttp logs a traceback for each client that leaves in the middle of
    an answer, which is how a load ends.

    tls: serve HTTPS with these.
    """

    def __init__(
        self, name: str, loop: str, core: int, *, tls: CertificateAndKey | None = None
    ) -> None:
        self.name = name
        self._loop = loop
        self._core = core
        self._tls = tls
        self._pids: list[int] = []

    def __enter__(self) -> "ServerProcess":
        if self.name in (reasons := missing([self.name])):
            raise ServerFailed(f"{self.name} cannot run here: {reasons[self.name]}")
        options = ["--loop", self._loop, "--parent", str(os.getpid())]
        if self._tls is not None:
            options += ["--tls", *map(str, self._tls)]
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        with pinned(self._core):
            self._process = subprocess.Popen(
                [peers.interpreter(self.name), "-m", PROGRAMS[self.name], *options],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                text=True,
                # Its processes are those of its session.
                start_new_session=True,
            )
        try:
            self.port = self._read_port()
            self._pids = _session(self._process.pid)
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
        ticks = 0
        for stat in self._proc("stat"):
            fields = _after_name(stat)
            # utime and stime, and those of the children that have ended, proc_pid_stat(5).
            ticks += sum(int(field) for field in fields[11:15])
        return ticks / TICKS_PER_SECOND

    @property
    def resident_bytes(self) -> int:
        return sum(int(statm.split()[1]) for statm in self._proc("statm")) * PAGE_BYTES

    @property
    def peak_resident_bytes(self) -> int:
        """The most that `resident_bytes` has been, since `forget_peak` if that was called.

        With more processes than one, their peaks may not have been at the same moment.
        """
        peaks = re.findall(r"^VmHWM:\s+(\d+) kB$", "".join(self._proc("status")), re.MULTILINE)
        return sum(int(peak) for peak in peaks) * 1024

    def forget_peak(self) -> None:
        """Let the peak be what is resident now."""
        for pid in self._pids:
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc_pid_clear_refs(5)

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

    def pause(self) -> None:
        """Let it do nothing until `resume`; the kernel goes on to accept connections for it.

        socketify, for one, takes a twentieth of its core for seconds after its last request.
        """
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def _proc(self, name: str) -> list[str]:
        """This file of /proc of each process. Raises ServerFailed where one of them is gone."""
        if self._process.poll() is not None:
            raise ServerFailed(f"{self.name} ended with status {self._process.returncode}")
        try:
            return [Path(f"/proc/{pid}/{name}").read_text() for pid in self._pids]
        except (FileNotFoundError, ProcessLookupError) as error:
            raise ServerFailed(f"{self.name}: one of its processes has ended") from error

    def _read_port(self) -> int:
        output = self._process.stdout
        assert output is not None
        ready, _, _ = select.select([output], [], [], START_SECONDS)
        line = output.readline() if ready else ""
        if not line.strip().isdigit():
            raise ServerFailed(f"{self.name} on {self._loop} did not start: {self.complaints}")
        return int(line)

    def _send(self, number: signal.Signals) -> None:
        """To all processes that are left."""
        # Nobody else can have this number as long as the first process is not waited for, nor as
        # long as one of its group is left.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _stop(self) -> None:
        # The first process ends the others, if it can.
        self._process.terminate()
        self.resume()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self._send(signal.SIGKILL)
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._stderr.close()


def _session(leader: int) -> list[int]:
    """The processes of this session, the leader first."""
    pids = []
    for folder in Path("/proc").iterdir():
        # Others come and go meanwhile.
        with suppress(FileNotFoundError, ProcessLookupError):
            if folder.name.isdigit() and int(_after_name(_read(folder / "stat"))[3]) == leader:
                pids.append(int(folder.name))
    return sorted(pids)


def _read(file: Path) -> str:
    return file.read_text(errors="replace")


def _after_name(stat: str) -> list[str]:
    """The fields of /proc/PID/stat from the third on: the name in brackets may hold spaces."""
    return stat.rpartition(")")[2].split()
