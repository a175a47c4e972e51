"""lowlevel.protocol.headers: each group of header values against its section of the RFC."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowlevel.protocol import headers
from lowlevel.protocol.headers import (
    ETAG_ANY,
    ETag,
    check_field,
    contains_token,
    content_disposition,
    format_http_date,
    parse_content_type,
    parse_etags,
    parse_extensions,
    parse_forwarded,
    parse_host,
    parse_http_date,
    parse_qvalues,
    parse_range,
)
from tests.linear import BAITS, backtracking_repeats, patterns_of, rounds

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
tokens = st.text(TOKEN_CHARACTERS, min_size=1, max_size=8)
# Text as the parser of the head lets it through: no control characters but the tab.
field_text = st.text(
    st.characters(codec=None, exclude_characters=[chr(c) for c in (*range(9), *range(10, 32), 127)])
)
# Text made of what has a meaning somewhere, so that it often nearly is a value.
field_noise = st.text(st.sampled_from(' \t,;:="\\/*-.[]()qW01269agst%\u212aé\udce9'), max_size=40)
anything = st.one_of(st.text(), field_text, field_noise)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# --- RFC 9110 §5: fields -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["A", "content-type", "x_y.z", "1", "!#$%&'*+-.^_`|~"])
@pytest.mark.parametrize("value", ["", "a", "a\tb", "é", "\udce9", "\x01"])
def test_check_field_takes_tokens_and_any_one_line(name: str, value: str) -> None:
    check_field(name, value)


@pytest.mark.parametrize("name", ["", " ", "a b", "a:", "é", "a\n", "a\r\nb", "\x00", "(", "a,b"])
def test_check_field_refuses_names_that_are_no_token(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"header name {name!r} is not a token")):
        check_field(name, "value")


@pytest.mark.parametrize("bad", "\r\n\0")
@pytest.mark.parametrize("where", ["{}", "a{}", "{}a", "a{}b"])
def test_check_field_refuses_what_splits_a_response(where: str, bad: str) -> None:
    with pytest.raises(ValueError, match="value of header X-Name has CR, LF or NUL"):
        check_field("X-Name", where.format(bad))


@pytest.mark.parametrize(("name", "value"), [("X-Name", 1), ("X-Name", b"a"), (b"X-Name", "a")])
def test_check_field_names_the_field_that_is_no_str(name: Any, value: Any) -> None:
    with pytest.raises(TypeError, match="X-Name.*must be str"):
        check_field(name, value)


# --- RFC 9110 §5.6.1, §7.6.1: lists of tokens ----------------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["close", "Close", "keep-alive, close", "close,x", "x ,\tclose ", ",,close,", "x,CLOSE"],
)
def test_contains_token_finds_it_in_any_place_and_case(value: str) -> None:
    assert contains_token(value, "close")
    assert contains_token(value, "CLOSE")


@pytest.mark.parametrize(
    "value", ["", "closed", "xclose", "close x", "close;q=1", '"close"', "c,l,o,s,e", "close\x0b"]
)
def test_contains_token_wants_the_whole_token(value: str) -> None:
    assert not contains_token(value, "close")


def test_contains_token_knows_no_letters_beyond_ascii() -> None:
    assert "\u212aEEP-ALIVE".lower() == "keep-alive"
    assert not contains_token("\u212aEEP-ALIVE", "keep-alive")
    assert contains_token("é, keep-alive", "keep-alive")


# --- RFC 9110 §5.6.7: dates ----------------------------------------------------------------------

EXAMPLE = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        # Not in the RFC, but met:
        "Sun Nov 06 08:49:37 1994",
        "Sun Nov 6 08:49:37 1994",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37 UTC",
    ],
)
def test_dates_in_all_three_forms(value: str) -> None:
    date = parse_http_date(value)
    assert date == EXAMPLE
    assert date.tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "0",
        "xxyyzz",
        "1994-11-06",
        "1994-11-06T08:49:37Z",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun, 06 Nov 1994 08:49:37 GMT; length=5",
        "Sun, 06 Nov 1994 08:49:37 GMT\n",
        "Sun, 06 Nov 1994 08:49 GMT",
        "Sun, 06 Xyz 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Tue, 08 Oct 4446413 00:56:40 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "Sun Nov ٠٦ 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
    ],
)
def test_what_is_no_date_is_none(value: str | None) -> None:
    assert parse_http_date(value) is None


def test_a_leap_second_is_a_date() -> None:
    last = datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT") == last


@pytest.mark.parametrize(
    ("two_digits", "this_year", "year"),
    [
        (26, 2026, 2026),
        (76, 2026, 2076),  # exactly 50 years ahead
        (77, 2026, 1977),  # more than 50 years ahead
        (99, 2026, 1999),
        (0, 2026, 2000),
        (49, 1999, 1949),
        (99, 1950, 1999),
    ],
)
def test_two_digits_of_a_year_are_never_far_ahead(
    two_digits: int, this_year: int, year: int
) -> None:
    assert headers._full_year(two_digits, this_year) == year


datetimes = st.datetimes(
    min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)
).map(lambda moment: moment.replace(microsecond=0))


@given(datetimes)
def test_a_written_date_reads_back(moment: datetime) -> None:
    text = format_http_date(moment)
    assert len(text) == 29
    assert parse_http_date(text) == moment


@given(datetimes)
def test_a_date_in_asctime_form_reads_back(moment: datetime) -> None:
    assert parse_http_date(moment.ctime()) == moment


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784111777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (784111777.999, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (EXAMPLE, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (EXAMPLE.replace(tzinfo=None), "Sun, 06 Nov 1994 08:49:37 GMT"),
        (EXAMPLE.astimezone(timezone(timedelta(hours=9))), "Sun, 06 Nov 1994 08:49:37 GMT"),
        (datetime(33, 4, 3), "Sun, 03 Apr 0033 00:00:00 GMT"),
    ],
)
def test_dates_are_written_in_the_one_form_to_send(when: float | datetime, text: str) -> None:
    assert format_http_date(when) == text


def test_a_number_beyond_the_calendar_is_no_date() -> None:
    with pytest.raises((OverflowError, OSError, ValueError)):
        format_http_date(1e30)


# --- RFC 9110 §7.2: Host -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "host", "port"),
    [
        ("", "", None),
        ("example.org", "example.org", None),
        ("EXAMPLE.org", "example.org", None),
        ("example.org:8080", "example.org", 8080),
        ("example.org:", "example.org", None),
        ("example.org:0", "example.org", 0),
        ("example.org:00080", "example.org", 80),
        ("example.org:65535", "example.org", 65535),
        ("example.org.", "example.org.", None),
        ("127.0.0.1:80", "127.0.0.1", 80),
        ("[::1]", "::1", None),
        ("[::1]:80", "::1", 80),
        ("[2001:DB8::1]:80", "2001:db8::1", 80),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1", None),
        ("my_host", "my_host", None),
        ("b%C3%BCro", "b%c3%bcro", None),
    ],
)
def test_hosts(value: str, host: str, port: int | None) -> None:
    assert parse_host(value) == (host, port)


@pytest.mark.parametrize(
    "value",
    [
        ":80",
        "a b",
        "a, b",
        " a",
        "a:b",
        "a:-1",
        "a:+1",
        "a: 80",
        "a:65536",
        "a:123456",
        "a:80:80",
        "::1",
        "[::1",
        "::1]",
        "[]",
        "[::1]a",
        "[1::2::3]",
        "[127.0.0.1]",
        "[fe80::1%25eth0]",
        "user@a",
        "a/b",
        "a\\b",
        "a?b",
        "a#b",
        "a%",
        "a%zz",
        "a\n",
        "bücher.example",
        "\udce9",
    ],
)
def test_malformed_hosts(value: str) -> None:
    assert parse_host(value) is None


@given(st.ip_addresses(v=6), st.integers(0, 65535))
def test_any_ip6_address_is_a_host(address: Any, port: int) -> None:
    assert parse_host(f"[{address}]:{port}") == (str(address), port)


# --- RFC 9110 §8.3: Content-Type -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "media_type", "parameters"),
    [
        ("application/json", "application/json", {}),
        ("text/html; charset=utf-8", "text/html", {"charset": "utf-8"}),
        ("TEXT/HTML;Charset=UTF-8", "text/html", {"charset": "UTF-8"}),
        ('text/html; charset="utf-8"', "text/html", {"charset": "utf-8"}),
        ("application/problem+json", "application/problem+json", {}),
        ("*/*", "*/*", {}),
        ("  a/b  ;  c  =  d  ", "a/b", {"c": "d"}),
        ('a/b; c="x;y, z"; d=e', "a/b", {"c": "x;y, z", "d": "e"}),
        (r'a/b; c="x\"y\\z\q"', "a/b", {"c": r'x"y\zq'}),
        ('a/b; c=""', "a/b", {"c": ""}),
        ("a/b; c=1; C=2", "a/b", {"c": "1"}),
        ("multipart/form-data; boundary=--=_a/b:c?d", "multipart/form-data", None),
        # Bad parameters do not take the others with them.
        ("a/b;", "a/b", {}),
        ("a/b;;;c=d;;", "a/b", {"c": "d"}),
        ("a/b; c", "a/b", {}),
        ("a/b; c=; d=e", "a/b", {"d": "e"}),
        ("a/b; =c; d=e", "a/b", {"d": "e"}),
        ("a/b; é=c; d=e", "a/b", {"d": "e"}),
        ("a/b; c d; e=f", "a/b", {"e": "f"}),
        ("a/b; c=d e; f=g", "a/b", {"c": "d", "f": "g"}),
        ('a/b; c="d" e; f=g', "a/b", {"c": "d", "f": "g"}),
        ("a/b; charset=utf-8, a/b", "a/b", {"charset": "utf-8"}),
        ('a/b; c="d', "a/b", {"c": "d"}),
        ('a/b; c="d\\', "a/b", {"c": "d"}),
        ("a/b; c=é", "a/b", {"c": "é"}),
    ],
)
def test_content_types(value: str, media_type: str, parameters: dict[str, str] | None) -> None:
    if parameters is None:
        parameters = {"boundary": value.partition("boundary=")[2]}
    assert parse_content_type(value) == (media_type, parameters)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        ";",
        "text",
        "text/",
        "/html",
        "/",
        "a/b/c",
        "a /b",
        "a/ b",
        "a/b c",
        "a/b, c/d",
        "a/é",
    ]
    + ["; charset=utf-8", "text; charset=utf-8", '"a/b"', "a/b\n", "\u212a/b"],
)
def test_an_unreadable_media_type_is_a_stream_of_octets(value: str) -> None:
    assert parse_content_type(value) == ("application/octet-stream", {})


def test_parameters_are_read_only_because_they_are_shared() -> None:
    for value in ("text/html; charset=utf-8", "unreadable"):
        parameters = parse_content_type(value)[1]
        assert isinstance(parameters, MappingProxyType)
        assert parse_content_type(value)[1] is parameters


def test_caches_of_what_peers_send_are_bounded() -> None:
    for function in (parse_content_type, parse_host):
        most = function.cache_info().maxsize
        assert most is not None
        for number in range(most + 10):
            function(f"a/b{number}")
        assert function.cache_info().currsize == most


@given(tokens, tokens, st.dictionaries(tokens.map(str.lower), field_text, max_size=4))
def test_a_written_content_type_reads_back(main: str, sub: str, parameters: dict[str, str]) -> None:
    value = "; ".join([f"{main}/{sub}", *(f"{k}={quoted(v)}" for k, v in parameters.items())])
    assert parse_content_type(value) == (f"{main}/{sub}".lower(), parameters)


# --- RFC 9110 §8.8.3, §13.1: entity tags ---------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        ("*", [ETag(ETAG_ANY)]),
        (" * ", [ETag(ETAG_ANY)]),
        ('"a"', [ETag("a")]),
        ('W/"a"', [ETag("a", is_weak=True)]),
        ('"a", W/"b","c"', [ETag("a"), ETag("b", True), ETag("c")]),
        ('""', [ETag("")]),
        ('"a,b", "c"', [ETag("a,b"), ETag("c")]),
        ('"é"', [ETag("é")]),
        # RFC 9110 §5.6.1.2: empty elements count for nothing.
        (',, "a"  ,\t, "b" ,', [ETag("a"), ETag("b")]),
        # Up to the first that is none.
        ("", []),
        (",", []),
        ("a", []),
        ("'a'", []),
        ('w/"a"', []),
        ('W/ "a"', []),
        ('"a" "b"', []),
        ('"a"b', []),
        ('"a b"', []),
        ('"a"\n', []),
        ('"a', []),
        ('"a", b, "c"', [ETag("a")]),
        ('"a", "b', [ETag("a")]),
        ('"a", *', [ETag("a")]),
        ('*, "a"', []),
    ],
)
def test_entity_tags(value: str, tags: list[ETag]) -> None:
    assert parse_etags(value) == tuple(tags)


def test_an_etag_is_a_value() -> None:
    assert ETag("a") == ETag(value="a", is_weak=False)
    assert ETag("a") != ETag("a", is_weak=True)
    assert len({ETag("a"), ETag("a"), ETag("b")}) == 2
    with pytest.raises(AttributeError):
        ETag("a").value = "b"  # type: ignore[misc]


opaque = st.text(st.characters(min_codepoint=0x21, exclude_characters='"\x7f'))


@given(st.lists(st.builds(ETag, opaque, st.booleans()), min_size=1))
def test_written_entity_tags_read_back(tags: list[ETag]) -> None:
    value = ", ".join(f'{"W/" if tag.is_weak else ""}"{tag.value}"' for tag in tags)
    assert parse_etags(value) == tuple(tags)


# --- RFC 9110 §12.5: Accept and its kin ----------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "preferences"),
    [
        ("", []),
        ("gzip", [("gzip", 1.0)]),
        ("gzip, br", [("gzip", 1.0), ("br", 1.0)]),
        ("GZip;Q=0.5,br;q=1", [("gzip", 0.5), ("br", 1.0)]),
        ("identity;q=0, *;q=0.0", [("identity", 0.0), ("*", 0.0)]),
        ("gzip ; q = 0.123 , br", [("gzip", 0.123), ("br", 1.0)]),
        ("en-GB, en;q=0.8", [("en-gb", 1.0), ("en", 0.8)]),
        ("text/*;q=0.3, */*", [("text/*", 0.3), ("*/*", 1.0)]),
        ("text/html;level=1;q=0.4", [("text/html;level=1", 0.4)]),
        ('Text/HTML; a="B, c; q=0" ;q=0.4', [('text/html;a="B, c; q=0"', 0.4)]),
        ("text/html;q=0.5;ext=1", [("text/html", 0.5)]),
        (",, gzip ,,", [("gzip", 1.0)]),
        ("gzip;", [("gzip", 1.0)]),
        # Not in the RFC, but sent.
        ("*; q=.2", [("*", 0.2)]),
        ("gzip;q=0.33333", [("gzip", 0.33333)]),
        ("gzip;q=1.", [("gzip", 1.0)]),
        # Left out, the others stay.
        ("gzip;q=1.1, br", [("br", 1.0)]),
        ("gzip;q=2, gzip;q=-1, gzip;q=+1, gzip;q=1e-1, gzip;q=nan, gzip;q=, gzip;q", []),
        ('gzip;q="1", br', [("br", 1.0)]),
        ("a b, ;q=1, =, é, a/b/c, /, \u212a, ;, br", [("br", 1.0)]),
        ('"gzip, br", zstd', [("zstd", 1.0)]),
        ('gzip, "br, zstd', [("gzip", 1.0)]),
    ],
)
def test_preferences(value: str, preferences: list[tuple[str, float]]) -> None:
    assert parse_qvalues(value) == preferences


@given(st.lists(st.tuples(tokens.map(str.lower), st.integers(0, 1000))))
def test_written_preferences_read_back(items: list[tuple[str, int]]) -> None:
    value = ",".join(f"{name};q={weight / 1000:.3f}" for name, weight in items)
    assert parse_qvalues(value) == [(name, weight / 1000) for name, weight in items]


# --- RFC 9110 §14.2: Range -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, slice(None, None, 1)),
        ("bytes=0-0", slice(0, 1, 1)),
        ("bytes=2-5", slice(2, 6, 1)),
        ("bytes=5-", slice(5, None, 1)),
        ("bytes=-5", slice(-5, None, 1)),
        ("BYTES=0-9", slice(0, 10, 1)),
        ("bytes=007-008", slice(7, 9, 1)),
        ("bytes=0-" + "9" * 640, slice(0, 10**640, 1)),
        ("bytes=" + "9" * 640 + "-", slice(10**640 - 1, None, 1)),
    ],
)
def test_ranges(value: str | None, expected: slice) -> None:
    assert parse_range(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("bytes=-", "No start or end of range specified"),
        ("bytes=5-4", "start cannot be after end"),
        ("bytes=-0", "the last 0 bytes"),
        ("bytes=-000", "the last 0 bytes"),
        ("", "range not in acceptable format"),
        ("bytes", "range not in acceptable format"),
        ("bytes=", "range not in acceptable format"),
        ("bytes=1", "range not in acceptable format"),
        ("bytes=a-b", "range not in acceptable format"),
        ("bytes=+1-2", "range not in acceptable format"),
        ("bytes=1_0-20", "range not in acceptable format"),
        ("bytes=1-2-", "range not in acceptable format"),
        ("bytes=0-1,3-4", "range not in acceptable format"),
        ("bytes= 0-1", "range not in acceptable format"),
        ("bytes=0-1\n", "range not in acceptable format"),
        ("bits=0-1", "range not in acceptable format"),
        ("byte\u017f=0-1", "range not in acceptable format"),
        ("bytes=\u0661-\u0662", "range not in acceptable format"),
        ("bytes=0-" + "9" * 641, "range not in acceptable format"),
        ("bytes=0-" + "9" * 100_000, "range not in acceptable format"),
    ],
)
def test_bad_ranges(value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_range(value)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 40))
def test_a_range_cuts_what_the_rfc_says(first: int, length: int, size: int) -> None:
    whole = range(size)
    last = first + length
    assert list(whole[parse_range(f"bytes={first}-{last}")]) == [
        n for n in whole if first <= n <= last
    ]
    assert list(whole[parse_range(f"bytes={first}-")]) == [n for n in whole if n >= first]
    if first:
        assert list(whole[parse_range(f"bytes=-{first}")]) == [
            n for n in whole if n >= size - first
        ]


@given(anything)
def test_a_bad_range_is_a_value_error_and_nothing_else(value: str) -> None:
    try:
        assert isinstance(parse_range(value), slice)
    except ValueError as exc:
        assert "range" in str(exc) or "start" in str(exc)


# --- RFC 7239 §4: Forwarded ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "elements"),
    [
        ([], []),
        (["for=a"], [{"for": "a"}]),
        (
            ["For=a;PROTO=https;By=b;host=c"],
            [{"for": "a", "proto": "https", "by": "b", "host": "c"}],
        ),
        (["for=a, for=b;by=c", "for=d"], [{"for": "a"}, {"for": "b", "by": "c"}, {"for": "d"}]),
        (['for="[2001:db8:cafe::17]:4711"'], [{"for": "[2001:db8:cafe::17]:4711"}]),
        (["for=192.0.2.43:4711"], [{"for": "192.0.2.43:4711"}]),
        (["for=192.0.2.43:65535;by=a"], [{"for": "192.0.2.43:65535", "by": "a"}]),
        (['for="[::1]":80'], [{"for": "[::1]:80"}]),
        (['host="a:80"'], [{"host": "a:80"}]),
        ([r'by="\"a\" \\ \b;c,d"'], [{"by": r'"a" \ b;c,d'}]),
        (['by=""'], [{"by": ""}]),
        ([" for=a ; by=b\t,\tfor=c "], [{"for": "a", "by": "b"}, {"for": "c"}]),
        (["for=a;  by=b  ,  for=c"], [{"for": "a", "by": "b"}, {"for": "c"}]),
        (["for=a\n"], [{"for": "a"}]),
        (["for=a;;by=b"], [{"for": "a", "by": "b"}]),
        (["for=a;for=b"], [{"for": "b"}]),
        # Elements that say nothing still are elements.
        ([""], [{}]),
        (["", "for=a"], [{}, {"for": "a"}]),
        (["for=a,,for=b,"], [{"for": "a"}, {}, {"for": "b"}, {}]),
        # Bad syntax costs the rest of its element.
        (["nonsense"], [{}]),
        (["for=a;!?;by=b, for=c"], [{"for": "a"}, {"for": "c"}]),
        (["for=a by=b, for=c"], [{"for": "a"}, {"for": "c"}]),
        (["for=a b, for=c"], [{"for": "a"}, {"for": "c"}]),
        (["for = a, for=c"], [{}, {"for": "c"}]),
        (["for=[::1], for=c"], [{}, {"for": "c"}]),
        (["for=192.0.2.43:123456, for=c"], [{"for": "192.0.2.43:12345"}, {"for": "c"}]),
        (["for=é, for=c"], [{}, {"for": "c"}]),
        # What a client sent cannot swallow what the proxy behind it adds.
        (['for=a;by="', "for=b;by=c"], [{"for": "a"}, {"for": "b", "by": "c"}]),
    ],
)
def test_forwarded(values: list[str], elements: list[dict[str, str]]) -> None:
    assert parse_forwarded(values) == tuple(elements)


def test_elements_of_forwarded_are_read_only() -> None:
    (element,) = parse_forwarded(["for=a"])
    assert isinstance(element, MappingProxyType)


forwarded_elements = st.lists(
    st.dictionaries(tokens.map(str.lower), st.one_of(tokens, field_text), min_size=1, max_size=4),
    min_size=1,
    max_size=4,
)


@given(forwarded_elements)
def test_written_forwarded_elements_read_back(elements: list[dict[str, str]]) -> None:
    value = ", ".join(
        ";".join(f"{name}={quoted(text)}" for name, text in element.items()) for element in elements
    )
    assert parse_forwarded([value]) == tuple(elements)


# --- RFC 6266: Content-Disposition ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        ("report.pdf", 'attachment; filename="report.pdf"'),
        ("two words, 100% (1).txt", 'attachment; filename="two words, 100% (1).txt"'),
        ("", 'attachment; filename=""'),
        ("€.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%E2%82%AC.txt"),
        ('a"b', "attachment; filename=\"a_b\"; filename*=UTF-8''a%22b"),
        ("a\\b", "attachment; filename=\"a_b\"; filename*=UTF-8''a%5Cb"),
        ("a%20b", "attachment; filename=\"a_20b\"; filename*=UTF-8''a%2520b"),
        ("é *'()#&", "attachment; filename=\"_ *'()#&\"; filename*=UTF-8''%C3%A9%20%2A%27%28%29#&"),
        ("a\r\nSet-Cookie: b", 'attachment; filename="a__Set-Cookie: b"'),
        ("a\udce9", "attachment; filename=\"a_\"; filename*=UTF-8''a%3F"),
    ],
)
def test_content_disposition(filename: str, header: str) -> None:
    assert content_disposition(filename) == header


def test_content_disposition_of_another_kind() -> None:
    assert content_disposition("a", kind="inline") == 'inline; filename="a"'
    with pytest.raises(ValueError, match="kind must be a token"):
        content_disposition("a", kind="inline; filename=b")


@given(st.text(st.characters(codec="utf-8")))
def test_any_filename_makes_a_field_of_the_right_grammar(filename: str) -> None:
    header = content_disposition(filename)
    match = re.fullmatch(
        r'attachment; filename="([ !#-\[\]-~]*)"'
        r"(?:; filename\*=UTF-8''((?:[\w!#$&+.^`|~-]|%[0-9A-F]{2})*))?",
        header,
        re.ASCII,
    )
    assert match
    fallback, exact = match.groups()
    assert len(fallback) == len(filename)
    told = fallback if exact is None else unquote(exact, errors="strict")
    assert told == re.sub(r"[\x00-\x1f\x7f]", "_", filename)


# --- Total, and linear in what a peer sends ------------------------------------------------------

Reader = Callable[[str], object]
READERS: dict[str, Reader] = {
    "contains_token": lambda value: contains_token(value, "close"),
    "parse_content_type": parse_content_type.__wrapped__,
    "parse_etags": parse_etags,
    "parse_forwarded": lambda value: parse_forwarded([value]),
    "parse_host": parse_host.__wrapped__,
    "parse_http_date": parse_http_date,
    "parse_qvalues": parse_qvalues,
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@given(value=anything)
def test_readers_take_anything(reader: Reader, value: str) -> None:
    reader(value)


# Where a reader may be led first, and what, repeated, is bait for one that tries again from every
# place.
LEADS = {
    "contains_token": [""],
    "parse_content_type": ["", "a/", "a/b;", 'a/b; c="'],
    "parse_etags": ["", '"', 'W/"a", "'],
    "parse_forwarded": ["", "for=", 'for="', "for=a"],
    "parse_host": ["", "[", "a:"],
    "parse_http_date": ["", "Sun, "],
    "parse_qvalues": ["", "a;q=", 'a;b="'],
}


def hostile(reader_name: str, size: int, ends: str = "!") -> Iterator[str]:
    for lead in LEADS[reader_name]:
        for bait in BAITS:
            for end in ends:
                yield lead + bait * (size // len(bait)) + end


@pytest.mark.parametrize("name", READERS)
@pytest.mark.usefixtures("untraced")
def test_large_hostile_values_are_read_to_the_end(name: str) -> None:
    """100,000 characters: a reader that is not linear does not come back within a test's limit."""
    for value in hostile(name, 100_000):
        READERS[name](value)


@pytest.mark.parametrize("name", READERS)
def test_twice_the_input_is_at_most_twice_the_rounds(name: str) -> None:
    for once, twice in zip(hostile(name, 200, '!";'), hostile(name, 400, '!";'), strict=True):
        assert rounds(READERS[name], twice) <= 2 * rounds(READERS[name], once) + 10, twice


def test_no_pattern_gives_back_what_it_has_read() -> None:
    assert backtracking_repeats("(?:a|[b]+)?")
    assert backtracking_repeats("(?:ab)*?c")
    assert not backtracking_repeats("(?:a|[b]++)*+c{0,5}")
    patterns = patterns_of(headers)
    assert len(patterns) > 10
    for pattern in patterns:
        assert not backtracking_repeats(pattern.pattern, pattern.flags), pattern.pattern


# --- RFC 6455 §9.1: extensions of WebSocket ----------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "offers"),
    [
        ("", []),
        (" \t", []),
        ("a", [("a", [])]),
        ("a, b,c\t,\td", [("a", []), ("b", []), ("c", []), ("d", [])]),
        ("a, a", [("a", []), ("a", [])]),
        ("A; B=C", [("A", [("B", "C")])]),
        ("a; b", [("a", [("b", None)])]),
        ("a;b;c=1 ;\td = 2", [("a", [("b", None), ("c", "1"), ("d", "2")])]),
        ("a; b; b=1; b", [("a", [("b", None), ("b", "1"), ("b", None)])]),
        ('a; b="c"', [("a", [("b", "c")])]),
        # RFC 9110 §5.6.1.2: empty elements count for nothing.
        (",, a ,, b ,", [("a", []), ("b", [])]),
        # What cannot be read takes no other with it.
        ("a;, b", [("b", [])]),
        ("a; , b", [("b", [])]),
        ("a;;b, c", [("c", [])]),
        ("; a, b", [("b", [])]),
        ("a b, c", [("c", [])]),
        ("a=1, b", [("b", [])]),
        ('"a", b', [("b", [])]),
        ("a; b c, d", [("d", [])]),
        ("a; b=, c", [("c", [])]),
        ("a; =b, c", [("c", [])]),
        ("a; b=c=d, e", [("e", [])]),
        ("a; b=c d, e", [("e", [])]),
        ('a; b="", c', [("c", [])]),
        ('a; b="c d", e', [("e", [])]),
        ('a; b="c, d; e", f', [("f", [])]),
        ('a; b="c\\d", e', [("e", [])]),
        ('a; b="c"d, e', [("e", [])]),
        ('a; b=c", d', []),
        ('a; b="c, d', []),
        ('a, b; c="d', [("a", [])]),
        ("é, a; é, b; c=é, d", [("d", [])]),
        ("a\n, b", [("b", [])]),
        ("\udcff, a", [("a", [])]),
    ],
)
def test_extensions(value: str, offers: list[Any]) -> None:
    assert parse_extensions(value) == offers


@pytest.mark.parametrize("value", [";", ";;", "a,;,b"])
def test_an_offer_of_nothing_but_semicolons(value: str) -> None:
    assert parse_extensions(value) == [(name, []) for name in "ab" if name in value]


@given(
    st.lists(
        st.tuples(tokens, st.lists(st.tuples(tokens, st.one_of(st.none(), tokens)), max_size=3)),
        max_size=4,
    ),
    st.booleans(),
)
def test_written_extensions_read_back(offers: list[Any], quote: bool) -> None:
    def parameter(name: str, value: str | None) -> str:
        if value is None:
            return name
        return f"{name}={quoted(value)}" if quote else f"{name}={value}"

    value = ", ".join(
        "; ".join([name, *[parameter(*one) for one in parameters]]) for name, parameters in offers
    )
    assert parse_extensions(value) == offers
