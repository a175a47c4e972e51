"""RFC 9110 §13 (conditional requests), section by section: a file, asked for over real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

import lowlevel as web
from lowlevel.protocol.headers import parse_http_date
from tests.filesite import (
    AFTER,
    AT,
    BEFORE,
    MTIME,
    check_not_modified,
    check_part,
    check_refused,
    check_whole,
    date,
    etag,
    fetch,
    serves,
    write,
)
from tests.support import Answer, Peer, request, serving


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of ten bytes that was last changed at AT."""
    return write(tmp_path / "file.txt")


async def ask(path: Path, *fields: str, method: str = "GET") -> Answer:
    """Ask for the file; ``{etag}`` in a field stands for its entity tag."""
    tag = etag(path)
    return await fetch(path, *[field.replace("{etag}", tag) for field in fields], method=method)


NO_DATES = [
    "",
    "yesterday",
    "0",
    "-1",
    "Tue, 99 Nov 2023 22:13:20 GMT",
    "Tue, 14 Nov 2023 25:13:20 GMT",
    "Tue, 14 Nov 2023 22:13:20",
    "Tue, 14 Nov 2023 22:13:20 +0000",
    "Tue, 14 Nov 0000 22:13:20 GMT",
    "2023-11-14T22:13:20Z",
    f"{AT}, {AT}",
    "{etag}",
    "9" * 5000,
]


# --- 8.8 Validator Fields -----------------------------------------------------------------


async def test_validators(path: Path) -> None:
    """§8.8: they go out with 200, and the entity tag is quoted and strong."""
    answer = await ask(path)
    check_whole(answer, path)
    assert answer.headers["etag"] == [f'"{MTIME * 10**9:x}-a"']
    assert answer.headers["last-modified"] == ["Tue, 14 Nov 2023 22:13:20 GMT"]


async def test_last_modified_is_never_before_the_change(path: Path) -> None:
    """§8.8.2.1: rounded down, the date would stand for what the file was earlier in that second."""
    write(path, mtime=MTIME + 0.25)
    answer = await ask(path)
    assert answer.header("last-modified") == AFTER
    check_not_modified(await ask(path, f"If-Modified-Since: {AFTER}"), path)
    check_whole(await ask(path, f"If-Modified-Since: {AT}"), path)
    check_whole(await ask(path, f"If-Unmodified-Since: {AFTER}"), path)
    check_refused(await ask(path, f"If-Unmodified-Since: {AT}"), 412)


async def test_the_entity_tag_tells_changes_within_a_second(path: Path) -> None:
    """§8.8.3: another content, another tag, although Last-Modified is the same."""
    tags = set()
    for mtime, data in [(0.1, b"one"), (0.2, b"two"), (0.2, b"three")]:
        write(path, data, MTIME + mtime)
        answer = await ask(path)
        assert answer.header("last-modified") == AFTER
        tags.add(answer.header("etag"))
    assert len(tags) == 3


@pytest.mark.parametrize("mtime", [0, 1, -1, -2_000_000_000.5])
async def test_unusual_times(path: Path, mtime: float) -> None:
    """Archives unpack files as of 1970 and before; the date is still one."""
    write(path, mtime=mtime)
    answer = await ask(path)
    check_whole(answer, path)
    assert answer.header("etag") == etag(path)
    modified = answer.header("last-modified")
    check_not_modified(await ask(path, f"If-Modified-Since: {modified}"), path)
    check_not_modified(await ask(path, "If-None-Match: {etag}"), path)


async def test_a_file_from_the_future(path: Path) -> None:
    """§8.8.2.1: Last-Modified is not later than Date.

    It then says nothing of when the file was changed, so no condition holds by it: the file may have changed since, and
    have the same date again. By the entity tag nothing is different.
    """
    write(path, mtime=2**33)
    answer = await ask(path)
    check_whole(answer, path)
    assert answer.header("etag") == etag(path)
    now = answer.header("last-modified")
    sent, told = (parse_http_date(answer.header(name)) for name in ("date", "last-modified"))
    assert sent is not None
    assert told is not None
    # The date of the answer comes from a clock that ticks four times a second.
    assert 0 <= told.timestamp() <= sent.timestamp() + 1
    check_whole(await ask(path, f"If-Modified-Since: {now}"), path)
    check_refused(await ask(path, f"If-Unmodified-Since: {now}"), 412)
    check_whole(await ask(path, "Range: bytes=2-5", f"If-Range: {now}"), path)
    check_not_modified(await ask(path, "If-None-Match: {etag}"), path)
    check_not_modified(await ask(path, "If-None-Match: {etag}", f"If-Modified-Since: {now}"), path)
    check_part(await ask(path, "Range: bytes=2-5", "If-Range: {etag}"), path, 2, 6)


@pytest.mark.parametrize("given", [MTIME - 1000, MTIME + 1000, 2**33], ids=["old", "new", "future"])
async def test_a_given_last_modified_is_what_counts(path: Path, given: int) -> None:
    """§13.2.1: conditions are about what is sent, and that is what the handler says it is."""
    headers = {"Last-Modified": date(given)}
    before, at, after = date(given - 1), date(given), date(given + 1)

    async def get(*fields: str) -> Answer:
        answer = await fetch(path, *fields, headers=headers)
        if answer.status != 412:
            assert answer.headers["last-modified"] == [date(given)]
        return answer

    check_whole(await get(), path)
    check_whole(await get(f"If-Modified-Since: {before}"), path)
    check_not_modified(await get(f"If-Modified-Since: {at}"), path)
    check_not_modified(await get(f"If-Modified-Since: {after}"), path)
    check_refused(await get(f"If-Unmodified-Since: {before}"), 412)
    check_whole(await get(f"If-Unmodified-Since: {at}"), path)
    check_whole(await get("Range: bytes=2-5", f"If-Range: {before}"), path)
    check_part(await get("Range: bytes=2-5", f"If-Range: {at}"), path, 2, 6)


@pytest.mark.parametrize("given", ["yesterday", "", "0"])
async def test_a_given_last_modified_that_is_no_date(path: Path, given: str) -> None:
    """It is sent as it is given; what the file says counts."""
    headers = {"Last-Modified": given}
    answer = await fetch(path, f"If-Modified-Since: {AT}", headers=headers)
    check_not_modified(answer, path)
    check_whole(await fetch(path, f"If-Modified-Since: {BEFORE}", headers=headers), path)


# --- 13.1.1 If-Match ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["*", " * ", "{etag}", '"other", {etag}', '"a,b",{etag} , "c"', ", ,{etag}"]
)
async def test_if_match_holds(path: Path, value: str) -> None:
    for method in ("GET", "HEAD", "POST"):
        check_whole(await ask(path, f"If-Match: {value}", method=method), path, method)


@pytest.mark.parametrize(
    "value",
    [
        '"other"',
        '"a", "b"',
        "W/{etag}",  # §8.8.3.2: strong comparison, which no weak tag passes
        '"*"',  # a tag like any other
        '""',
        "none of this is a tag",
    ],
)
async def test_if_match_fails(path: Path, value: str) -> None:
    for method in ("GET", "HEAD", "POST"):
        check_refused(await ask(path, f"If-Match: {value}", method=method), 412, method)


async def test_if_match_in_several_lines(path: Path) -> None:
    """§5.3: a list may be spread over lines."""
    check_whole(await ask(path, 'If-Match: "other"', "If-Match: {etag}"), path)
    check_refused(await ask(path, 'If-Match: "other"', 'If-Match: "more"'), 412)


async def test_if_match_of_what_is_not_there(tmp_path: Path) -> None:
    """§13.2.1: without a 2xx to hold back there is nothing to test."""
    for value in ("*", '"x"'):
        check_refused(await fetch(tmp_path / "missing", f"If-Match: {value}"), 404)


# --- 13.1.2 If-None-Match -----------------------------------------------------------------

MATCHING = [
    "*",
    "{etag}",
    "W/{etag}",  # §8.8.3.2: weak comparison
    '"other", {etag}',
    '"a,b", W/"c" ,W/{etag}',
    '"a\\", {etag}',  # a backslash escapes nothing
    ",{etag},",
]
NOT_MATCHING = ['"other"', 'W/"other", "b"', '"*"', '""', "w/{etag}", '"', "unquoted"]


@pytest.mark.parametrize("value", MATCHING)
async def test_if_none_match_fails(path: Path, value: str) -> None:
    for method in ("GET", "HEAD"):
        check_not_modified(await ask(path, f"If-None-Match: {value}", method=method), path)


@pytest.mark.parametrize("value", NOT_MATCHING)
async def test_if_none_match_holds(path: Path, value: str) -> None:
    for method in ("GET", "HEAD", "POST"):
        check_whole(await ask(path, f"If-None-Match: {value}", method=method), path, method)


@pytest.mark.parametrize("value", ["*", "{etag}", "W/{etag}"])
async def test_if_none_match_of_other_methods(path: Path, value: str) -> None:
    """§13.1.2: 304 is for GET and HEAD; others MUST get 412."""
    for method in ("POST", "PUT", "DELETE"):
        check_refused(await ask(path, f"If-None-Match: {value}", method=method), 412)


async def test_if_none_match_in_several_lines(path: Path) -> None:
    answer = await ask(path, 'If-None-Match: "other"', "If-None-Match: {etag}")
    check_not_modified(answer, path)


async def test_if_none_match_of_the_unquoted_tag(path: Path) -> None:
    """What clients of other servers send back; it is no tag of ours."""
    check_whole(await ask(path, f"If-None-Match: {etag(path)[1:-1]}"), path)


# --- 13.1.3 If-Modified-Since -------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        AT,
        AFTER,
        date(MTIME + 100 * 365 * 86400),
        "Tuesday, 14-Nov-23 22:13:20 GMT",
        "Tue Nov 14 22:13:20 2023",
    ],
)
async def test_not_modified_since(path: Path, value: str) -> None:
    for method in ("GET", "HEAD"):
        check_not_modified(await ask(path, f"If-Modified-Since: {value}", method=method), path)


@pytest.mark.parametrize("value", [BEFORE, date(0), "Tue Nov 14 22:13:19 2023"])
async def test_modified_since(path: Path, value: str) -> None:
    for method in ("GET", "HEAD"):
        check_whole(await ask(path, f"If-Modified-Since: {value}", method=method), path, method)


@pytest.mark.parametrize("value", NO_DATES)
async def test_if_modified_since_no_date(path: Path, value: str) -> None:
    """§13.1.3: what is no date MUST be ignored."""
    check_whole(await ask(path, f"If-Modified-Since: {value}"), path)


async def test_if_modified_since_of_other_methods(path: Path) -> None:
    """§13.1.3: ignored but for GET and HEAD."""
    check_whole(await ask(path, f"If-Modified-Since: {AT}", method="POST"), path)


async def test_if_modified_since_in_several_lines(path: Path) -> None:
    """§13.1.3: ignored when it has more than one member."""
    check_whole(await ask(path, f"If-Modified-Since: {AT}", f"If-Modified-Since: {BEFORE}"), path)


# --- 13.1.4 If-Unmodified-Since -----------------------------------------------------------


@pytest.mark.parametrize("value", [AT, AFTER, "Tuesday, 14-Nov-23 22:13:20 GMT", *NO_DATES])
async def test_unmodified_since(path: Path, value: str) -> None:
    for method in ("GET", "HEAD", "POST"):
        check_whole(await ask(path, f"If-Unmodified-Since: {value}", method=method), path, method)


@pytest.mark.parametrize("value", [BEFORE, date(0)])
async def test_not_unmodified_since(path: Path, value: str) -> None:
    for method in ("GET", "HEAD", "POST"):
        answer = await ask(path, f"If-Unmodified-Since: {value}", method=method)
        check_refused(answer, 412, method)


# --- 13.1.5 If-Range ----------------------------------------------------------------------


@pytest.mark.parametrize("value", ["{etag}", AT, AFTER])
async def test_if_range_holds(path: Path, value: str) -> None:
    check_part(await ask(path, "Range: bytes=2-5", f"If-Range: {value}"), path, 2, 6)


@pytest.mark.parametrize(
    "value",
    [
        '"other"',
        "W/{etag}",  # strong comparison
        '"other", {etag}',  # one validator, not a list
        '{etag}, "other"',
        "*",
        '"*"',
        BEFORE,
        *NO_DATES[1:-2],
        "9" * 5000,
    ],
)
async def test_if_range_fails(path: Path, value: str) -> None:
    """Then Range is ignored, whether it could be satisfied or not."""
    for span in ("2-5", "50-", "junk"):
        check_whole(await ask(path, f"Range: bytes={span}", f"If-Range: {value}"), path)


async def test_if_range_without_range(path: Path) -> None:
    """§13.1.5: MUST be ignored."""
    for value in ("{etag}", '"other"', AT, BEFORE):
        check_whole(await ask(path, f"If-Range: {value}"), path)


async def test_if_range_and_a_range_that_cannot_be(path: Path) -> None:
    answer = await ask(path, "Range: bytes=10-", "If-Range: {etag}")
    check_refused(answer, 416)
    assert answer.header("content-range") == "bytes */10"


# --- 13.2.1 When to Evaluate --------------------------------------------------------------

CONDITIONS = ['If-Match: "x"', "If-None-Match: *", f"If-Modified-Since: {AFTER}"]


@pytest.mark.parametrize("field", [*CONDITIONS, f"If-Unmodified-Since: {BEFORE}"])
async def test_errors_are_not_conditional(tmp_path: Path, field: str) -> None:
    for method in ("GET", "HEAD"):
        check_refused(await fetch(tmp_path / "missing", field, method=method), 404, method)
        check_refused(await fetch(tmp_path, field, method=method), 403, method)


@pytest.mark.parametrize("status", [201, 404, 500])
@pytest.mark.parametrize("field", [*CONDITIONS, f"If-Unmodified-Since: {BEFORE}"])
async def test_other_statuses_are_not_conditional(path: Path, field: str, status: int) -> None:
    """A page that explains an error is always shown."""
    answer = await fetch(path, field, status=status)
    assert (answer.status, answer.body) == (status, path.read_bytes())


# --- 13.2.2 Precedence --------------------------------------------------------------------

MATCH, NO_MATCH = "If-Match: {etag}", 'If-Match: "other"'
UNMODIFIED, WAS_MODIFIED = f"If-Unmodified-Since: {AT}", f"If-Unmodified-Since: {BEFORE}"
SAME, OTHER = "If-None-Match: {etag}", 'If-None-Match: "other"'
NOT_SINCE, SINCE = f"If-Modified-Since: {AT}", f"If-Modified-Since: {BEFORE}"
RANGE, BAD_RANGE = "Range: bytes=2-5", "Range: bytes=50-"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        # If-Match goes before If-Unmodified-Since, whatever that says.
        ([MATCH, WAS_MODIFIED], 200),
        ([NO_MATCH, UNMODIFIED], 412),
        # Both go before If-None-Match.
        ([MATCH, SAME], 304),
        ([NO_MATCH, SAME], 412),
        ([UNMODIFIED, SAME], 304),
        ([WAS_MODIFIED, SAME], 412),
        ([MATCH, OTHER], 200),
        # And before If-Modified-Since.
        ([MATCH, NOT_SINCE], 304),
        ([NO_MATCH, NOT_SINCE], 412),
        ([UNMODIFIED, NOT_SINCE], 304),
        ([WAS_MODIFIED, NOT_SINCE], 412),
        # If-None-Match goes before If-Modified-Since, whatever that says.
        ([SAME, SINCE], 304),
        ([OTHER, NOT_SINCE], 200),
        # Then come If-Range and Range.
        ([MATCH, RANGE], 206),
        ([UNMODIFIED, RANGE], 206),
        ([OTHER, RANGE], 206),
        ([SINCE, RANGE], 206),
        ([NO_MATCH, RANGE], 412),
        ([WAS_MODIFIED, RANGE], 412),
        ([SAME, RANGE], 304),
        ([NOT_SINCE, RANGE], 304),
        ([SAME, RANGE, 'If-Range: "other"'], 304),
        ([NO_MATCH, RANGE, "If-Range: {etag}"], 412),
        ([MATCH, OTHER, RANGE, "If-Range: {etag}"], 206),
        ([MATCH, OTHER, RANGE, 'If-Range: "other"'], 200),
        # A range that cannot be is found last.
        ([SAME, BAD_RANGE], 304),
        ([NOT_SINCE, BAD_RANGE], 304),
        ([NO_MATCH, BAD_RANGE], 412),
        ([MATCH, BAD_RANGE], 416),
        # Everything at once.
        ([MATCH, WAS_MODIFIED, OTHER, NOT_SINCE, RANGE, f"If-Range: {AT}"], 206),
    ],
)
async def test_precedence(path: Path, fields: list[str], status: int) -> None:
    for order in (fields, fields[::-1]):
        answer = await ask(path, *order)
        assert answer.status == status
        if status == 200:
            check_whole(answer, path)
        elif status == 206:
            check_part(answer, path, 2, 6)
        elif status == 304:
            check_not_modified(answer, path)
        else:
            check_refused(answer, status)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([MATCH, WAS_MODIFIED], 200),
        ([NO_MATCH, UNMODIFIED], 412),
        ([MATCH, SAME], 412),
        ([OTHER, NOT_SINCE], 200),
        ([NOT_SINCE], 200),
        ([SAME, SINCE], 412),
        ([RANGE], 200),
        ([BAD_RANGE], 200),
    ],
)
async def test_precedence_for_post(path: Path, fields: list[str], status: int) -> None:
    answer = await ask(path, *fields, method="POST")
    if status == 200:
        check_whole(answer, path)
    else:
        check_refused(answer, status)


# --- 15.4.5 304 Not Modified --------------------------------------------------------------


async def test_not_modified_carries_what_caches_need(path: Path) -> None:
    """§15.4.5: Cache-Control, Content-Location, Date, ETag, Expires and Vary, as 200 would have them."""
    given = {
        "Cache-Control": "max-age=60",
        "Content-Location": "/file.txt",
        "Expires": AFTER,
        "Vary": "Cookie",
    }
    whole = await fetch(path, headers=given)
    answer = await fetch(path, f"If-None-Match: {etag(path)}", headers=given)
    check_not_modified(answer, path)
    for name in [*given, "ETag", "Last-Modified"]:
        assert answer.header(name) == whole.header(name)
    assert answer.header("date") is not None


async def test_not_modified_says_what_it_varies_by(path: Path) -> None:
    """§15.4.5: of a pre-compressed sibling too, whose tag it is."""
    packed = write(path.with_name("file.txt.gz"), b"packed", MTIME + 5)
    answer = await fetch(path, "Accept-Encoding: gzip", f"If-None-Match: {etag(packed)}")
    check_not_modified(answer, packed)
    assert answer.header("vary") == "Accept-Encoding"
    # The tag of the plain file is not that of the sibling.
    answer = await fetch(path, "Accept-Encoding: gzip", f"If-None-Match: {etag(path)}")
    assert (answer.status, answer.body) == (200, b"packed")


async def test_not_modified_keeps_cookies(path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.FileResponse(path)
        response.set_cookie("a", "b")
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("GET", "/", "If-None-Match: *"))
    assert (answer.status, answer.headers["set-cookie"]) == (304, ["a=b; Path=/"])


async def test_not_modified_answers_in_a_pipeline(path: Path) -> None:
    """It has no body: what comes next is the next head."""
    ask_again = request("GET", "/", f"If-None-Match: {etag(path)}")
    async with serving(serves(path)) as site, Peer.connect(site.port) as peer:
        await peer.send((ask_again + request()) * 3)
        for _ in range(3):
            check_not_modified(await peer.answer(), path)
            check_whole(await peer.answer(), path)
