"""A server is all of its processes: what they take is added, and all of them end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks import peers, process
from benchmarks.cores import choose
from benchmarks.process import PROGRAMS, ServerFailed, ServerProcess
from tests.benchmarks import forking
from tests.benchmarks.running import on_linux

DEADLINE_SECONDS = 10.0


@pytest.fixture
def forking_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerProcess]:
    monkeypatch.setitem(PROGRAMS, "forking", "tests.benchmarks.forking")
    monkeypatch.setattr(process, "STOP_SECONDS", 0.2)
    with ServerProcess("forking", "asyncio", choose().server) as server:
        yield server


def alone(server: ServerProcess) -> ServerProcess:
    """The same server with its first process alone counted."""
    first = ServerProcess.__new__(ServerProcess)
    first.__dict__ = {**server.__dict__, "_pids": server._pids[:1]}
    return first


def has_ended(pid: int) -> bool:
    """Also where nobody has waited for it yet."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def wait_until_ended(pid: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not has_ended(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.01)


@on_linux
def test_times_and_memory_are_sums(forking_server: ServerProcess) -> None:
    first = alone(forking_server)
    # Times come in hundredths of a second, rounded down in each process.
    assert forking_server.cpu_seconds - first.cpu_seconds >= forking.BUSY_SECONDS * 0.9
    assert first.cpu_seconds >= forking.BUSY_SECONDS * 0.9  # The child that has ended.
    assert forking_server.resident_bytes - first.resident_bytes >= forking.CHILD_BYTES
    assert forking_server.peak_resident_bytes - first.peak_resident_bytes >= forking.CHILD_BYTES


@on_linux
def test_children_end_with_the_server_even_if_they_do_not_want_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(PROGRAMS, "forking", "tests.benchmarks.forking")
    with ServerProcess("forking", "asyncio", choose().server) as server:
        child = int(server.complaints)
        assert not has_ended(child)
    wait_until_ended(child)


@on_linux
def test_a_process_that_has_ended_is_a_server_that_has_died(
    forking_server: ServerProcess,
) -> None:
    child = int(forking_server.complaints)
    os.kill(child, signal.SIGKILL)
    wait_until_ended(child)
    with pytest.raises(ServerFailed, match="forking: one of its processes has ended"):
        forking_server.cpu_seconds  # noqa: B018
    os.kill(forking_server._pids[0], signal.SIGKILL)
    wait_until_ended(forking_server._pids[0])
    with pytest.raises(ServerFailed, match="forking ended with status -9"):
        forking_server.cpu_seconds  # noqa: B018


@on_linux
def test_a_server_that_is_paused_does_nothing_until_it_is_resumed() -> None:
    with ServerProcess("floor_asyncio", "asyncio", choose().server) as server:
        server.pause()
        with socket.create_connection(("127.0.0.1", server.port), timeout=0.2) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with pytest.raises(TimeoutError):
                client.recv(1)
            server.resume()
            client.settimeout(DEADLINE_SECONDS)
            assert client.recv(1) == b"H"


@on_linux
def test_a_server_that_is_paused_can_be_ended() -> None:
    with ServerProcess("floor_asyncio", "asyncio", choose().server) as server:
        server.pause()
    assert server._process.returncode == 0  # As it ends by itself: nobody had to kill it.


@on_linux
@pytest.mark.parametrize("then", ["pass", "server.pause()"])
def test_servers_end_with_a_benchmark_that_is_killed(then: str) -> None:
    program = (
        "import sys, time\n"
        "from benchmarks.process import PROGRAMS, ServerProcess\n"
        "PROGRAMS['forking'] = 'tests.benchmarks.forking'\n"
        "with ServerProcess('forking', 'asyncio', int(sys.argv[1])) as server:\n"
        f"    {then}\n"
        "    print(*server._pids, flush=True)\n"
        "    time.sleep(3600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(choose().server)],
        cwd=process.ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as benchmark:
        assert benchmark.stdout is not None
        pids = [int(pid) for pid in benchmark.stdout.readline().split()]
        assert [has_ended(pid) for pid in pids] == [False, False]
        benchmark.kill()
    for pid in pids:
        wait_until_ended(pid)


@on_linux
def test_a_program_whose_parent_has_ended_before_does_not_begin() -> None:
    command = [sys.executable, "-m", PROGRAMS["floor_asyncio"], "--parent", "1"]
    done = subprocess.run(
        command, cwd=process.ROOT, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert "the parent has ended" in done.stderr


@on_linux
def test_a_server_that_does_not_start_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "START_SECONDS", 0.0)
    ended: list[int] = []
    kill_group = os.killpg

    def note(group: int, number: int) -> None:
        ended.append(group)
        kill_group(group, number)

    monkeypatch.setattr(os, "killpg", note)
    with (
        pytest.raises(ServerFailed, match="floor_asyncio on asyncio did not start"),
        ServerProcess("floor_asyncio", "asyncio", choose().server),
    ):
        pass
    (group,) = set(ended)
    assert has_ended(group)


def test_a_server_that_is_missing_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "left_out", {"sanic": "no network", "lowlevel": None}.get)
    assert process.missing(["lowlevel", "sanic"]) == {"sanic": "no network"}
    with (
        pytest.raises(ServerFailed, match="sanic cannot run here: no network"),
        ServerProcess("sanic", "uvloop", 0),
    ):
        pass
