"""RFC 9110 §14 (range requests), section by section: a file, asked for over real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

import lowlevel as web
from tests.filesite import (
    AT,
    BEFORE,
    check_part,
    check_refused,
    check_whole,
    etag,
    fetch,
    noise,
    serves,
    write,
)
from tests.support import Answer, Peer, request, serving

SIZE = 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "file.txt", noise(SIZE))


async def ask(path: Path, value: str, method: str = "GET") -> Answer:
    return await fetch(path, f"Range: {value}", method=method)


def check_unsatisfiable(answer: Answer, size: int = SIZE) -> None:
    check_refused(answer, 416)
    assert answer.headers["content-range"] == [f"bytes */{size}"]


def check_consistent(answer: Answer, path: Path) -> None:
    """Where the RFC leaves a choice: nothing is sent that is not what the answer says it is."""
    if answer.status == 206:
        assert answer.header("content-range") is not None
        first, last = str(answer.header("content-range"))[6:].split("/")[0].split("-")
        check_part(answer, path, int(first), int(last) + 1)
    elif answer.status == 416:
        check_unsatisfiable(answer)
    else:
        check_whole(answer, path)


# --- 14.1.2 Byte Ranges -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-4", 0, 5),
        ("bytes=2-5", 2, 6),
        ("bytes=9-9", 9, 10),
        ("bytes=0-9", 0, 10),
        # To the end.
        ("bytes=0-", 0, 10),
        ("bytes=5-", 5, 10),
        ("bytes=9-", 9, 10),
        # The last ones.
        ("bytes=-1", 9, 10),
        ("bytes=-3", 7, 10),
        ("bytes=-10", 0, 10),
        # §14.1.2: more than there is means all there is.
        ("bytes=-11", 0, 10),
        ("bytes=-1000", 0, 10),
        ("bytes=0-10", 0, 10),
        ("bytes=9-10", 9, 10),
        ("bytes=5-1000", 5, 10),
        # Numbers of any size, and with zeros before them.
        ("bytes=002-0005", 2, 6),
        ("bytes=5-4294967296", 5, 10),
        ("bytes=5-9223372036854775807", 5, 10),
        ("bytes=5-18446744073709551616", 5, 10),
        ("bytes=-9223372036854775809", 0, 10),
        ("bytes=-18446744073709551616", 0, 10),
        ("bytes=5-" + "9" * 100, 5, 10),
        # §14.1: the names of units are not case-sensitive.
        ("Bytes=2-5", 2, 6),
        ("BYTES=2-5", 2, 6),
    ],
)
async def test_ranges(path: Path, value: str, start: int, stop: int) -> None:
    check_part(await ask(path, value), path, start, stop)


@pytest.mark.parametrize(
    "value",
    [
        "bytes=10-",
        "bytes=10-20",
        "bytes=11-",
        "bytes=1000-1000",
        "bytes=-0",
        "bytes=-000",
        "bytes=4294967296-",
        "bytes=9223372036854775807-",
        "bytes=18446744073709551616-18446744073709551617",
    ],
)
async def test_ranges_that_cannot_be_satisfied(path: Path, value: str) -> None:
    """§14.1.2: the first byte is beyond the end, or there are no bytes in it."""
    check_unsatisfiable(await ask(path, value))


@pytest.mark.parametrize(
    "value",
    [
        "bytes=",
        "bytes=-",
        "bytes=--1",
        "bytes=5",
        "bytes=5-4",
        "bytes=a-b",
        "bytes=2-b",
        "bytes=a-5",
        "bytes=1-2-3",
        "bytes=2 - 5",
        "bytes=2-5;",
        "bytes=0x2-0x5",
        "bytes=+2-5",
        "bytes=2-+5",
        "bytes=-+5",
        "bytes=1_0-",
        "bytes=2.0-5",
        "bytes=2-5 junk",
        "bytes=*",
        "bytes=2-5/10",
        "bytes=²-5",  # a digit to str.isdigit()
        "bytes=\N{ARABIC-INDIC DIGIT TWO}-".encode().decode("latin-1"),  # and to int()
    ],
)
async def test_malformed_ranges(path: Path, value: str) -> None:
    """§14.2: they may be ignored or refused; they are refused."""
    check_unsatisfiable(await ask(path, value))


async def test_an_empty_file(tmp_path: Path) -> None:
    """§14.1.2: it has no first byte."""
    path = write(tmp_path / "empty", b"")
    for value in ("bytes=0-", "bytes=0-0", "bytes=-0"):
        check_unsatisfiable(await ask(path, value), 0)
    answer = await ask(path, "bytes=-5")
    assert answer.status in (200, 416)
    check_whole(await fetch(path), path)


@pytest.mark.parametrize("digits", [639, 640, 641, 4300, 4301, 8000])
@pytest.mark.parametrize("value", ["bytes={}-", "bytes=0-{}", "bytes=-{}", "bytes={}-{}"])
async def test_numbers_without_end(path: Path, value: str, digits: int) -> None:
    """Python refuses to convert more than 4300 digits; that must not show."""
    value = value.replace("{}", "9" * (digits // value.count("{}")))
    answer = await ask(path, value)
    if value.startswith("bytes=9"):
        check_unsatisfiable(answer)
    else:
        assert answer.status in (206, 416)
        check_consistent(answer, path)


# --- 14.2 Range ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["items=2-5", "lines=1-2,4-5", "none=", "seconds=0.5-1.5", "bytess=2-5", "byte=2-5", "x=50-"],
)
async def test_other_units_are_ignored(path: Path, value: str) -> None:
    """§14.2: an origin server MUST ignore a unit it does not understand."""
    check_whole(await ask(path, value), path)


@pytest.mark.parametrize("value", ["bytes=2-5", "bytes=50-", "bytes=junk"])
async def test_ranges_are_for_get(path: Path, value: str) -> None:
    """§14.2: MUST be ignored with a method for which it is not defined."""
    for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
        check_whole(await ask(path, value, method), path, method)


@pytest.mark.parametrize(
    "value",
    [
        "bytes=0-1,5-6",
        "bytes=0-1, 5-6",
        "bytes=0-1 ,\t5-6",
        "bytes=0-,-1",
        "bytes=-1,0-0",
        "bytes=0-0,50-",
        "bytes=50-,60-",
    ],
)
async def test_several_ranges(path: Path, value: str) -> None:
    """§14.2: a server MAY ignore Range; for several it is the whole file, once."""
    check_whole(await ask(path, value), path)


@pytest.mark.parametrize(
    "value", ["bytes=2-5,", "bytes=,2-5", "bytes=2-5,,", "bytes=2-5,junk", "bytes=,", "bytes=,,,"]
)
async def test_lists_with_holes(path: Path, value: str) -> None:
    check_consistent(await ask(path, value), path)


@pytest.mark.parametrize("second", ["bytes=5-6", "bytes=0-1", "junk", ""])
async def test_range_in_several_lines(path: Path, second: str) -> None:
    """§5.3 of it: several lines are one list, so these are several ranges."""
    check_whole(await fetch(path, "Range: bytes=0-1", f"Range: {second}"), path)


@pytest.mark.parametrize(
    ("spans", "size"),
    [
        (["0-"] + [f"5-{end}" for end in range(6, 1300)], 1_000),  # the published exploit
        (["0-"] * 2000, 100_000),
        (["-1"] * 2000, 100_000),
        ([f"{start}-" for start in range(1500)], 100_000),
        ([f"{start}-{start}" for start in range(0, 1600, 2)], 100_000),
    ],
)
async def test_cve_2011_3192_many_ranges(tmp_path: Path, spans: list[str], size: int) -> None:
    """CVE-2011-3192 (Apache), CVE-2024-26141 (Rack), CVE-2025-62727 (Starlette): overlapping ranges.

    There they cost memory, traffic or time many times over. Here an answer is never longer than the file.
    """
    path = write(tmp_path / "file.bin", noise(size))
    value = ",".join(spans)[:8000].rpartition(",")[0]
    check_whole(await ask(path, f"bytes={value}"), path)


@pytest.mark.parametrize(
    "value",
    [
        "bytes=-17208,-9223372036854758792",  # the published exploit
        "bytes=-9223372036854775808,-1",
        "bytes=0-,-18446744073709551615",
    ],
)
async def test_cve_2017_7529_suffixes_that_overflow(path: Path, value: str) -> None:
    """CVE-2017-7529 (nginx): the sum of two suffixes overflowed, and memory before the content was sent."""
    check_whole(await ask(path, value), path)


# --- 14.3 Accept-Ranges -------------------------------------------------------------------


async def test_accept_ranges(path: Path) -> None:
    for method in ("GET", "HEAD"):
        assert (await fetch(path, method=method)).headers["accept-ranges"] == ["bytes"]


# --- 14.4 Content-Range, 15.3.7 206 -------------------------------------------------------


async def test_partial_content_has_the_fields_of_the_whole(path: Path) -> None:
    """§15.3.7: a part says of the file what the whole file says."""
    given = {
        "Cache-Control": "max-age=60",
        "Expires": AT,
        "Content-Location": "/x",
        "Vary": "Cookie",
    }
    whole = await fetch(path, headers=given)
    part = await fetch(path, "Range: bytes=2-5", headers=given)
    check_part(part, path, 2, 6)
    for answer in (whole, part):
        del answer.headers["content-length"]
        assert answer.headers.pop("date")
    assert part.headers.pop("content-range") == ["bytes 2-5/10"]
    assert part.headers == whole.headers
    assert (part.header("etag"), part.header("last-modified")) == (etag(path), AT)


async def test_a_given_content_range_does_not_lie(path: Path) -> None:
    given = {"Content-Range": "bytes 0-0/1", "Content-Length": "3"}
    check_part(await fetch(path, "Range: bytes=2-5", headers=given), path, 2, 6)
    answer = await fetch(path, "Range: bytes=50-", headers=given)
    check_unsatisfiable(answer)


async def test_parts_make_up_the_whole(path: Path) -> None:
    """A download in many parts over one connection, the requests pipelined."""
    data = noise(100_000)
    write(path, data)
    starts = range(0, len(data), 9_999)
    async with serving(serves(path)) as site, Peer.connect(site.port) as peer:
        requests = [
            request("GET", "/", f"Range: bytes={start}-{start + 9_998}", f"If-Range: {etag(path)}")
            for start in starts
        ]
        await peer.send(b"".join(requests))
        answers = [await peer.answer() for _ in starts]
    assert {answer.status for answer in answers} == {206}
    assert b"".join(answer.body for answer in answers) == data


async def test_a_part_behind_4_gib(tmp_path: Path) -> None:
    """Positions and lengths that do not fit into 32 bits, nor into 31."""
    path = tmp_path / "sparse"
    start = 2**32 + 12345
    with path.open("wb") as file:
        file.seek(start)
        file.write(b"0123456789")
        file.truncate(5 * 2**30)
    async with serving(serves(path)) as site, Peer.connect(site.port) as peer:
        head = await peer.ask(request("HEAD"))
        assert head.header("content-length") == str(5 * 2**30)
        answer = await peer.ask(request("GET", "/", f"Range: bytes={start + 2}-{start + 5}"))
        assert answer.header("content-range") == f"bytes {start + 2}-{start + 5}/{5 * 2**30}"
        assert answer.body == b"2345"
        answer = await peer.ask(request("GET", "/", "Range: bytes=-3"))
        assert (answer.status, answer.body) == (206, b"\0\0\0")
        answer = await peer.ask(request("GET", "/", f"Range: bytes={5 * 2**30}-"))
        check_unsatisfiable(answer, 5 * 2**30)


async def test_ranges_of_a_compressed_sibling(path: Path) -> None:
    """§14.1.2: they count the bytes of what is sent, which is the sibling."""
    packed = write(path.with_name("file.txt.gz"), noise(7))
    answer = await fetch(path, "Range: bytes=-3", "Accept-Encoding: gzip")
    check_part(answer, packed, 4, 7)
    assert answer.header("content-encoding") == "gzip"
    assert answer.header("vary") == "Accept-Encoding"
    assert answer.header("etag") == etag(packed)
    answer = await fetch(path, "Range: bytes=8-", "Accept-Encoding: gzip")
    check_unsatisfiable(answer, 7)
    check_part(await fetch(path, "Range: bytes=8-"), path, 8, 10)


# --- 14.2, 15.5.17 What has no ranges -----------------------------------------------------


async def test_range_of_what_is_not_there(tmp_path: Path) -> None:
    for target, status in ((tmp_path / "missing", 404), (tmp_path, 403)):
        answer = await fetch(target, "Range: bytes=0-1")
        check_refused(answer, status)
        assert answer.header("content-range") is None


@pytest.mark.parametrize("status", [201, 404, 503])
@pytest.mark.parametrize("value", ["bytes=2-5", "bytes=50-"])
async def test_range_of_another_status(path: Path, value: str, status: int) -> None:
    """§14.2: only what would be 200 is asked for in parts."""
    answer = await fetch(path, f"Range: {value}", status=status)
    assert (answer.status, answer.body) == (status, path.read_bytes())
    assert answer.header("content-range") is None


async def test_not_satisfiable_goes_on(path: Path) -> None:
    """§15.5.17: 416 is complete, and no reason to end the connection."""
    async with serving(serves(path)) as site, Peer.connect(site.port) as peer:
        await peer.send(request("GET", "/", "Range: bytes=50-") * 2 + request())
        check_unsatisfiable(await peer.answer())
        check_unsatisfiable(await peer.answer())
        check_whole(await peer.answer(), path)


# --- 13.1.5 If-Range ----------------------------------------------------------------------


async def test_resuming_a_download_of_what_has_changed(path: Path) -> None:
    """Parts of two files never come together: the second answer is the whole new file."""
    before = etag(path)
    modified = (await fetch(path)).header("last-modified")
    write(path, b"something new", 1_800_000_000)
    for validator in (before, modified, BEFORE):
        check_whole(await fetch(path, "Range: bytes=5-", f"If-Range: {validator}"), path)
    answer = await fetch(path, "Range: bytes=5-", f"If-Range: {etag(path)}")
    check_part(answer, path, 5, 13)


# --- Over HTTP/1.0 ------------------------------------------------------------------------


async def test_ranges_for_http_1_0(path: Path) -> None:
    """§14 knows no version; clients of 1.0 send Range too."""
    ask_part = request("GET", "/", "Range: bytes=2-5", version="1.0")
    async with serving(serves(path)) as site, Peer.connect(site.port) as peer:
        check_part(await peer.ask(ask_part), path, 2, 6)
        assert await peer.read_eof() == b""


async def test_http_range_of_the_request_is_untouched(path: Path) -> None:
    """A handler may still read the field itself."""
    seen: list[slice] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.http_range)
        return web.FileResponse(path)

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        check_part(await peer.ask(request("GET", "/", "Range: bytes=2-5")), path, 2, 6)
    assert seen == [slice(2, 6, 1)]
