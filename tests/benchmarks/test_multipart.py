"""Uploads of files in forms: what is counted, and what they weigh."""

import dataclasses

import pytest

from benchmarks import multipart, multipart_load, throughput
from benchmarks.cases import MULTIPART, Case
from benchmarks.cores import choose
from benchmarks.process import PROGRAMS
from tests.benchmarks.running import a_run, on_linux

# Larger than what either server keeps in memory, and no whole number of pieces.
SIZE = 2 * multipart_load.MIB + 12345


@on_linux
@pytest.mark.parametrize("server", ["lowlevel", "aiohttp"])
def test_files_are_uploaded(server: str) -> None:
    with throughput.started((server,), "asyncio", choose()) as servers:
        multipart.prove(servers[server])
        port, core = servers[server].port, choose().load
        # However little time there is, one file is sent as a whole.
        assert multipart_load.run(port, SIZE, seconds=1e-9, core=core).rate > 0


@on_linux
def test_a_server_that_takes_no_upload_fails_the_row() -> None:
    case = dataclasses.replace(MULTIPART, size=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROGRAMS, "aiohttp", PROGRAMS["floor_asyncio"])
        (failed,) = multipart.measure(case, a_run(seconds=1e-9))
    assert "aiohttp: the answer to the upload was 200 b'Hello, world!'" in failed.failure


@on_linux
def test_an_upload_is_weighed() -> None:
    case = dataclasses.replace(MULTIPART, size=SIZE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multipart, "MEMORY_ROUNDS", 1)
        (row,) = multipart.measure_memory(case, a_run())
    assert row.failure == ""
    # Of the right order: no more than a few times the file itself.
    assert 0 < row.ours[0] < 10
    assert 0 < row.theirs[0] < 10


@on_linux
def test_the_peak_is_forgotten() -> None:
    echo = Case(name="echo", title="echo", path="/echo", sample=bytes(multipart_load.MIB))
    with throughput.started(("lowlevel",), "asyncio", choose()) as servers:
        throughput.answers(echo, servers["lowlevel"])
        server = servers["lowlevel"]
        server.wait_idle()  # It may be at work still on what has reached the client.
        assert server.peak_resident_bytes - server.resident_bytes > multipart_load.MIB / 2
        server.forget_peak()
        assert server.peak_resident_bytes - server.resident_bytes < multipart_load.MIB / 2
