"""Files opened and read without waiting, and the way to a thread where that cannot be."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lowlevel as web
from lowlevel import cached_files, threads
from lowlevel.cached_files import open_cached, read_cached
from tests.support import Peer, request, serving

FLAGS = os.O_RDONLY | os.O_CLOEXEC

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be asked")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a.txt"
    file.write_bytes(b"0123456789")
    os.utime(file, (1_700_000_000, 1_700_000_000))
    return file


@pytest.fixture
def fd(path: Path) -> Iterator[int]:
    fd = os.open(path, FLAGS)
    yield fd
    os.close(fd)


@pytest.fixture(scope="module", autouse=True)
def _kernel_that_can(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("probe") / "file"
    file.write_bytes(b"x")
    try:
        fd = open_cached(str(file), FLAGS)
    except BlockingIOError:
        pytest.skip("this kernel, or what watches over it, has no openat2 with RESOLVE_CACHED")
    try:
        read_cached(fd, 0, 1)
    except BlockingIOError:
        pytest.skip("this file system does not say what is in memory")
    finally:
        os.close(fd)


def test_opens_what_was_just_written(path: Path) -> None:
    fd = open_cached(str(path), FLAGS)
    try:
        assert os.read(fd, 100) == b"0123456789"
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("missing", errno.ENOENT),
        ("\udcff", errno.ENOENT),
    ],
)
def test_errors_are_those_of_open(path: Path, name: str, code: int) -> None:
    path.parent.joinpath("missing").exists()  # now it is known to be missing
    path.parent.joinpath("\udcff").exists()
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        open_cached(str(path.parent / name), FLAGS)
    assert caught.value.errno == code


def test_what_nobody_has_asked_for_may_have_to_be_waited_for(path: Path) -> None:
    with pytest.raises(BlockingIOError):
        open_cached(str(path.parent / f"never heard of {os.urandom(8).hex()}"), FLAGS)


@pytest.mark.parametrize("code", sorted(cached_files._LOOK_CLOSER))
def test_a_system_that_cannot_tell(path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class System:
        @staticmethod
        def syscall(*arguments: Any) -> int:
            return -1

    monkeypatch.setattr(cached_files, "_system", System)
    monkeypatch.setattr("ctypes.get_errno", lambda: code)
    with pytest.raises(BlockingIOError):
        open_cached(str(path), FLAGS)


def test_another_system(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached_files, "_system", None)
    with pytest.raises(BlockingIOError):
        open_cached(str(path), FLAGS)


@pytest.mark.parametrize(
    "way_out", ["../secret", "/etc/hostname", "up/secret", "absolute", "escape"]
)
def test_nothing_leads_out_of_a_folder(tmp_path: Path, way_out: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "a.txt").write_bytes(b"a")
    (folder / "up").symlink_to("..")
    (folder / "absolute").symlink_to(folder / "a.txt")
    (folder / "escape").symlink_to("../secret")
    (folder / "inside").symlink_to("a.txt")
    beneath = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        (folder / way_out).exists()
        with pytest.raises(BlockingIOError):
            open_cached(way_out, FLAGS, beneath)
        (folder / "inside").exists()
        os.close(open_cached("inside", FLAGS, beneath))
    finally:
        os.close(beneath)


@pytest.mark.parametrize(
    ("position", "size", "data"),
    [
        (0, 10, b"0123456789"),
        (3, 4, b"3456"),
        (8, 10, b"89"),
        (10, 5, b""),
        (50, 5, b""),
        (0, 0, b""),
    ],
)
def test_reads(fd: int, position: int, size: int, data: bytes) -> None:
    assert read_cached(fd, position, size) == data


def test_reads_in_pieces(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may give less than was asked for."""
    real = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, views, *rest: real(fd, [views[0][:3]], *rest))
    assert read_cached(fd, 1, 8) == b"12345678"


@pytest.mark.parametrize(
    "error", [BlockingIOError(errno.EAGAIN, ""), OSError(errno.EOPNOTSUPP, "")]
)
def test_what_is_not_in_memory(fd: int, error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> int:
        raise error

    monkeypatch.setattr(os, "preadv", refuse)
    with pytest.raises(BlockingIOError):
        read_cached(fd, 0, 10)


# --- What it is for -----------------------------------------------------------------------


@pytest.fixture(params=["file", "static"])
def handler(path: Path, request: pytest.FixtureRequest) -> Any:
    if request.param == "static":
        return web.StaticFiles(path.parent)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.FileResponse(path.parent / request.path[1:])

    return answer


async def test_a_file_in_memory_needs_no_thread(
    handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips = count_trips(monkeypatch)
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for fields in ([], ["Range: bytes=2-4"], ["If-None-Match: *"]):
            answer = await peer.ask(request("GET", "/a.txt", *fields))
            assert answer.status in (200, 206, 304)
    assert not trips


@pytest.mark.parametrize("missing", ["system", "data"])
async def test_else_a_thread_gives_the_same_answer(
    handler: Any, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        asked = [
            request("GET", "/a.txt"),
            request("GET", "/a.txt", "Range: bytes=2-4"),
            request("GET", "/a.txt", "Range: bytes=20-"),
            request("GET", "/a.txt", "If-None-Match: *"),
            request("GET", "/missing"),
        ]
        at_once = [await peer.ask(one) for one in asked]
        trips = count_trips(monkeypatch)
        if missing == "system":
            monkeypatch.setattr(cached_files, "_system", None)
            for name in ("O_PATH", "RWF_NOWAIT"):
                monkeypatch.delattr(os, name)
        else:
            monkeypatch.setattr(os, "RWF_NOWAIT", 1 << 30)  # no file system knows such a flag
        in_thread = [await peer.ask(one) for one in asked]
    assert trips
    for one, other in zip(at_once, in_thread, strict=True):
        assert (one.status, one.body) == (other.status, other.body)
        one.headers.pop("date"), other.headers.pop("date")
        assert one.headers == other.headers
    assert [one.status for one in at_once] == [200, 206, 416, 304, 404]


def count_trips(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    trips: list[Any] = []
    real = threads.in_thread

    def counted(function: Any, *undo: Any) -> Any:
        trips.append(function)
        return real(function, *undo)

    monkeypatch.setattr("lowlevel.file_response.in_thread", counted)
    return trips
