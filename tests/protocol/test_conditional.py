"""Conditions and ranges as functions: fields in, what becomes of the answer out."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from lowlevel.protocol.conditional import Outcome, RangeNotSatisfiable, evaluate, select_range
from lowlevel.protocol.headers import ETag

TIME = 1_700_000_000
TAG = ETag("abc")
PROCEED, NOT_MODIFIED, FAILED = Outcome.PROCEED, Outcome.NOT_MODIFIED, Outcome.FAILED


def fields(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


def date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def judge(*pairs: tuple[str, str], method: str = "GET", etag: ETag | None = TAG) -> Outcome:
    return evaluate(method, fields(*pairs), etag, TIME)


def part(
    value: str, size: int = 10, *pairs: tuple[str, str], method: str = "GET"
) -> tuple[int, int] | None:
    return select_range(method, fields(("Range", value), *pairs), size, TAG, TIME)


# --- Conditions (RFC 9110 §13) ------------------------------------------------------------


def test_no_condition() -> None:
    assert judge() is PROCEED
    assert judge(method="POST") is PROCEED
    assert judge(etag=None) is PROCEED


def test_a_weak_tag_of_ours() -> None:
    """What is compressed on its way has one: it never matches strongly (§8.8.3.2)."""
    weak = ETag("abc", is_weak=True)
    for value in ('"abc"', 'W/"abc"'):
        assert judge(("If-Match", value), etag=weak) is FAILED
        assert judge(("If-None-Match", value), etag=weak) is NOT_MODIFIED
        assert judge(("If-None-Match", value), etag=weak, method="PUT") is FAILED
    assert judge(("If-Match", "*"), etag=weak) is PROCEED


def test_without_a_tag_of_ours() -> None:
    assert judge(("If-Match", '"abc"'), etag=None) is FAILED
    assert judge(("If-None-Match", '"abc"'), etag=None) is PROCEED
    # There is something, if without a tag.
    assert judge(("If-Match", "*"), etag=None) is PROCEED
    assert judge(("If-None-Match", "*"), etag=None) is NOT_MODIFIED


def test_a_tag_that_looks_like_any() -> None:
    star = ETag("*")
    assert judge(("If-None-Match", '"*"'), etag=star) is NOT_MODIFIED
    assert judge(("If-None-Match", '"*"')) is PROCEED
    assert judge(("If-None-Match", 'W/"*"')) is PROCEED
    assert judge(("If-None-Match", '"x", *')) is PROCEED


opaque = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"'))
tags = st.builds(ETag, opaque, st.booleans())


def written(tag: ETag) -> str:
    return f'{"W/" if tag.is_weak else ""}"{tag.value}"'


@given(tags, st.lists(tags, min_size=1), st.sampled_from(["GET", "HEAD", "POST"]))
def test_lists_of_tags(ours: ETag, theirs: list[ETag], method: str) -> None:
    """§13.1.1, §13.1.2 as they are defined: any of the list, strongly or weakly compared."""
    value = ", ".join(map(written, theirs))
    strongly = not ours.is_weak and ours in theirs
    weakly = ours.value in [tag.value for tag in theirs]
    expected = PROCEED if strongly else FAILED
    assert judge(("If-Match", value), etag=ours, method=method) is expected
    expected = (NOT_MODIFIED if method != "POST" else FAILED) if weakly else PROCEED
    assert judge(("If-None-Match", value), etag=ours, method=method) is expected
    # Each tag in a line of its own is the same list (§5.3).
    lines = [("If-None-Match", written(tag)) for tag in theirs]
    assert judge(*lines, etag=ours, method=method) is expected


@given(st.integers(min_value=-2, max_value=2), st.sampled_from(["GET", "HEAD", "POST"]))
def test_dates(offset: int, method: str) -> None:
    value = date(TIME + offset)
    expected = FAILED if offset < 0 else PROCEED
    assert judge(("If-Unmodified-Since", value), method=method) is expected
    expected = NOT_MODIFIED if offset >= 0 and method != "POST" else PROCEED
    assert judge(("If-Modified-Since", value), method=method) is expected


NAMES = ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"]
values = st.one_of(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=30),
    st.sampled_from(['"abc"', 'W/"abc"', "*", '"x"', date(TIME), date(TIME - 1), '"abc", "x"']),
)
pairs = st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=5)


@given(pairs, st.sampled_from(["GET", "HEAD", "POST", "PUT"]))
def test_whatever_the_fields_say(given_fields: list[tuple[str, str]], method: str) -> None:
    """Nothing raises, and what an answer must not be it is not."""
    outcome = judge(*given_fields, method=method)
    names = {name for name, _ in given_fields}
    if outcome is NOT_MODIFIED:
        assert method in ("GET", "HEAD")
        assert names & {"If-None-Match", "If-Modified-Since"}
    if outcome is FAILED:
        assert names & {"If-Match", "If-Unmodified-Since", "If-None-Match"}
    if not names - {"If-Range"}:
        assert outcome is PROCEED


@given(values, values, pairs)
def test_dates_do_not_count_beside_tags(
    if_match: str, if_none_match: str, others: list[tuple[str, str]]
) -> None:
    """§13.2.2: the tag, where there is one, says all that the date could, and better."""
    both = [("If-Match", if_match), ("If-None-Match", if_none_match)]
    dates = [(name, value) for name, value in others if name.endswith("Since")]
    assert judge(*dates, *both) is judge(*both)


# --- Ranges (RFC 9110 §14) ----------------------------------------------------------------


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_from_here_to_there(size: int, first: int, last: int) -> None:
    data = bytes(range(size))
    value = f"bytes={first}-{last}"
    wanted = data[first : last + 1]
    if not wanted:
        with pytest.raises(RangeNotSatisfiable):
            part(value, size)
    else:
        selected = part(value, size)
        assert selected is not None
        assert data[slice(*selected)] == wanted
        assert 0 <= selected[0] < selected[1] <= size


@given(st.integers(0, 30), st.integers(0, 30))
def test_from_here_on_and_the_last_ones(size: int, number: int) -> None:
    data = bytes(range(size))
    for value, wanted in (
        (f"bytes={number}-", data[number:]),
        (f"bytes=-{number}", data[max(0, size - number) :]),
    ):
        if not wanted:
            with pytest.raises(RangeNotSatisfiable):
                part(value, size)
        else:
            selected = part(value, size)
            assert selected is not None
            assert data[slice(*selected)] == wanted


@given(
    st.one_of(
        st.text(),
        st.text("0123456789-, =bytes").map("bytes={}".format),
        st.from_regex(r"bytes=[0-9]{0,25}-[0-9]{0,25}", fullmatch=True),
    ),
    st.one_of(st.integers(0, 20), st.integers(0, 2**70)),
)
@example("bytes=-0", 0)
@example("bytes=0-0", 0)
@example("bytes=-" + "9" * 4400, 10)
@example("bytes=0-" + "9" * 4400, 10)
@example("bytes=" + "9" * 4400 + "-", 10)
def test_whatever_the_range_says(value: str, size: int) -> None:
    """It is the whole, or not satisfiable, or a part that exists and is not empty."""
    try:
        selected = part(value, size)
    except RangeNotSatisfiable:
        assert value[:6].lower() == "bytes="
        return
    if selected is not None:
        start, stop = selected
        assert 0 <= start < stop <= size


def test_no_range() -> None:
    assert select_range("GET", fields(), 10, TAG, TIME) is None
    assert select_range("GET", fields(("If-Range", '"abc"')), 10, TAG, TIME) is None


@pytest.mark.parametrize("value", ["bytes=2-5", "bytes=50-", "bytes=x", "bytes=1-2,3-4"])
def test_ranges_of_other_methods(value: str) -> None:
    for method in ("HEAD", "POST", "get"):
        assert part(value, method=method) is None


@given(values)
@example('"abc", "x"')
@example('"x", "abc"')
@example(', "abc"')
@example('"abc" junk')
def test_if_range(value: str) -> None:
    """§13.1.5: one strong tag that is ours, or one date, or the range does not count."""
    holds = value in ('"abc"', date(TIME))
    assert part("bytes=2-5", 10, ("If-Range", value)) == ((2, 6) if holds else None)
    if not holds:
        assert part("bytes=50-", 10, ("If-Range", value)) is None


def test_if_range_of_a_weak_tag_or_none() -> None:
    headers = fields(("Range", "bytes=2-5"), ("If-Range", '"abc"'))
    for etag in (None, ETag("abc", is_weak=True)):
        assert select_range("GET", headers, 10, etag, TIME) is None
    headers = fields(("Range", "bytes=2-5"), ("If-Range", 'W/"abc"'))
    for etag in (TAG, ETag("abc", is_weak=True)):
        assert select_range("GET", headers, 10, etag, TIME) is None


@pytest.mark.parametrize(("offset", "holds"), [(-1, False), (0, True), (1, True), (10**8, True)])
def test_if_range_dates(offset: int, holds: bool) -> None:
    """A date behind the last modification is as good as that date itself."""
    selected = part("bytes=2-5", 10, ("If-Range", date(TIME + offset)))
    assert selected == ((2, 6) if holds else None)


def test_if_range_dates_that_several_codings_share() -> None:
    """The date of one tells nothing of the other: only a tag does."""
    headers = fields(("Range", "bytes=2-5"), ("If-Range", date(TIME)))
    assert select_range("GET", headers, 10, TAG, None) is None
    headers = fields(("Range", "bytes=2-5"), ("If-Range", '"abc"'))
    assert select_range("GET", headers, 10, TAG, None) == (2, 6)


def test_not_satisfiable_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="10 bytes"):
        part("bytes=10-")
