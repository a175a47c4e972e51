"""lowlevel.protocol.field_values: every field that is read by name, good and bad."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowlevel.protocol import field_values
from lowlevel.protocol.field_values import READERS
from lowlevel.protocol.headers import ETag
from lowlevel.protocol.set_cookie import SetCookie
from tests.linear import BAITS, backtracking_repeats, patterns_of, rounds

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
MOMENT = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)

Good = list[tuple[str, Any]]
Bad = list[str]

PREFERENCES: tuple[Good, Bad] = (
    [
        ("", {}),
        ("a", {"a": 1.0}),
        ("A;q=0.5, b;Q=0, *", {"a": 0.5, "b": 0.0, "*": 1.0}),
        ("a;q=0.1, a;q=0.2", {"a": 0.1}),
        ("a;q=2, , b", {"b": 1.0}),
    ],
    [],
)
NAMES: tuple[Good, Bad] = (
    [("", []), ("A", ["a"]), ("A,b ,, *", ["a", "b", "*"])],
    ["a b", "a;b", "a, b c", '"a"', "\u212a", "a\n"],
)
TOKENS: tuple[Good, Bad] = ([("", []), ("GET, Post", ["GET", "Post"])], ["G T", '"GET", "POST"'])
TEXT: tuple[Good, Bad] = ([("", ""), ('A "b, c"', 'A "b, c"')], [])
DATES: tuple[Good, Bad] = (
    [(DATE, MOMENT), ("Sunday, 06-Nov-94 08:49:37 GMT", MOMENT)],
    ["", "0", "1994-11-06", f"{DATE}, {DATE}"],
)
SECONDS: tuple[Good, Bad] = (
    [("0", 0), ("0010", 10), ("2147483649", 2**31), ("9" * 640, 2**31)],
    ["", "-1", "+1", "1.0", "1 0", "1, 2", "a", "\u0661", "1_0", "9" * 641],
)
DECIMAL: tuple[Good, Bad] = (
    [("2", 2.0), ("0.25", 0.25)],
    ["", ".5", "2.", "-1", "1e3", "nan", "inf", "1,5", "\u0661", "9" * 101],
)
CREDENTIALS: tuple[Good, Bad] = (
    [
        ("Basic YTpi==", ("basic", "YTpi==")),
        ("BEARER   a b", ("bearer", "a b")),
        ('Digest a="b, c", d=e', ("digest", 'a="b, c", d=e')),
        ("Negotiate", ("negotiate", "")),
    ],
    ["", "=", '"Basic" a', "Basic,a", "Basic\ta"],
)
ENTITY_TAGS: tuple[Good, Bad] = (
    [
        ("*", [ETag("*")]),
        ('"a", W/"b,c"', [ETag("a"), ETag("b,c", is_weak=True)]),
        ('"a", b', [ETag("a")]),
    ],
    ["", "a", "'a'", ","],
)
MEDIA_TYPE: tuple[Good, Bad] = (
    [
        ("Text/HTML", ("text/html", {})),
        ("text/html ; Charset=UTF-8", ("text/html", {"charset": "UTF-8"})),
        ('a/b; c="d;e, \\"f\\""', ("a/b", {"c": 'd;e, "f"'})),
        ("application/octet-stream", ("application/octet-stream", {})),
        ("*/*; a=b", ("*/*", {"a": "b"})),
        # RFC 2231 §3, §4
        ("a/b; c*0=d; c*1=e", ("a/b", {"c": "de"})),
        ("a/b; d=e; c*=utf-8''%e2%82%ac", ("a/b", {"d": "e", "c": "€"})),
    ],
    ["", "text", "text/", "text; charset=utf-8", "a/b/c", "a b/c"],
)
POLICIES: tuple[Good, Bad] = (
    [
        ("", []),
        (";, ;", []),
        ("default-src", [{"default-src": []}]),
        (
            "Default-Src 'self' https://e.org;  img-src *;",
            [{"default-src": ["'self'", "https://e.org"], "img-src": ["*"]}],
        ),
        ("a b; A c", [{"a": ["b"]}]),
        ("a b, c d; e", [{"a": ["b"]}, {"c": ["d"], "e": []}]),
    ],
    [],
)

FIELDS: dict[str, tuple[Good, Bad]] = {
    "accept": (
        [
            ("", {}),
            ("text/html", {"text/html": {"q": 1.0}}),
            ("Text/HTML;q=0.5, */*;q=.1", {"text/html": {"q": 0.5}, "*/*": {"q": 0.1}}),
            (
                'text/html; Level=1; q=0.4, text/html;a="b, c;q=1"',
                {
                    "text/html;Level=1": {"level": "1", "q": 0.4},
                    'text/html;a="b, c;q=1"': {"a": "b, c;q=1", "q": 1.0},
                },
            ),
            ("a/b;q=1;ext=2", {"a/b": {"q": 1.0}}),
            ("a/b;q=0.1, a/b;q=0.2", {"a/b": {"q": 0.1}}),
            ("a/b;q=2, gzip, *, c/d", {"c/d": {"q": 1.0}}),
        ],
        [],
    ),
    "accept-ch": NAMES,
    "accept-charset": PREFERENCES,
    "accept-encoding": PREFERENCES,
    "accept-language": PREFERENCES,
    "accept-patch": (
        [
            ("", []),
            (
                'text/example;charset=utf-8, A/B; c="d,e"',
                [("text/example", {"charset": "utf-8"}), ("a/b", {"c": "d,e"})],
            ),
        ],
        ["text", "a/b, c"],
    ),
    "accept-ranges": NAMES,
    "access-control-allow-credentials": ([("true", True)], ["", "false", "True", "1"]),
    "access-control-allow-headers": NAMES,
    "access-control-allow-methods": TOKENS,
    "access-control-allow-origin": TEXT,
    "access-control-expose-headers": NAMES,
    "access-control-max-age": SECONDS,
    "access-control-request-headers": NAMES,
    "access-control-request-method": ([("PUT", "PUT")], ["", "P T", "PUT, GET", '"PUT"']),
    "age": SECONDS,
    "allow": TOKENS,
    "authorization": CREDENTIALS,
    "cache-control": (
        [
            ("", {}),
            ("No-Store", {"no-store": None}),
            ("max-age=10, S-MaxAge = 020", {"max-age": 10, "s-maxage": 20}),
            ('max-age="10"', {"max-age": 10}),
            ("max-age=99999999999", {"max-age": 2**31}),
            (
                'no-cache="a, b", private="x\\"y", c=d',
                {"no-cache": "a, b", "private": 'x"y', "c": "d"},
            ),
            ("max-stale, max-age=-1, max-age=1", {"max-stale": None, "max-age": "-1"}),
            ("max-age=", {}),
            ("a b, ;, =1, no-store", {"no-store": None}),
            ('private="a, no-store', {}),
            ("max-age=1, max-age=2", {"max-age": 1}),
        ],
        [],
    ),
    "clear-site-data": (
        [("", []), ('"cache", "cookies"', ["cache", "cookies"]), (r'"a,\"b"', ['a,"b'])],
        ["cache", '"cache', '"a" "b"', "*"],
    ),
    "content-disposition": (
        [
            ("inline", ("inline", {})),
            ('Attachment; filename="a;b.txt"', ("attachment", {"filename": "a;b.txt"})),
            (
                "attachment; filename=x; filename*=UTF-8''na%C3%AFve",
                ("attachment", {"filename": "naïve"}),
            ),
            ('form-data; name*0="a"; name*1="b"', ("form-data", {"name": "ab"})),
        ],
        ["", "; filename=a", '"inline"'],
    ),
    "content-encoding": NAMES,
    "content-language": NAMES,
    "content-length": (
        [("0", 0), ("5", 5), ("9" * 640, int("9" * 640))],
        ["", "-1", "+5", "5, 5", "0x5", "5 5", "\u0665", "1_0", "9" * 641],
    ),
    "content-location": TEXT,
    "content-range": (
        [
            ("bytes 0-4/10", ("bytes", (0, 4), 10)),
            ("Bytes  9-9/10", ("bytes", (9, 9), 10)),
            ("bytes 0-4/*", ("bytes", (0, 4), None)),
            ("bytes */10", ("bytes", None, 10)),
            ("bytes */0", ("bytes", None, 0)),
            ("rows 1-2/3", ("rows", (1, 2), 3)),
        ],
        ["", "bytes", "bytes */*", "bytes 5-4/10", "bytes 0-10/10", "bytes 0-/10", "bytes -4/10"]
        + ["0-4/10", "bytes=0-4/10", "bytes 0-4", "bytes 0-4/10, 5-6/10", "bytes 0-4/\u0661"]
        + [f"bytes 0-4/{'9' * 641}"],
    ),
    "content-security-policy": POLICIES,
    "content-security-policy-report-only": POLICIES,
    "content-type": MEDIA_TYPE,
    "cookie": (
        [
            ("", {}),
            ("a=1; b=2; a=3", {"a": ["1", "3"], "b": ["2"]}),
            ("a=1;b;=x; c d=e", {"a": ["1"], "b": [""]}),
        ],
        [],
    ),
    "cross-origin-resource-policy": TEXT,
    "date": DATES,
    "device-memory": DECIMAL,
    "dnt": ([("1", True), ("0", False)], ["", "null", "true", "2"]),
    "dpr": DECIMAL,
    "etag": (
        [('"a"', ETag("a")), ('W/"a,b"', ETag("a,b", is_weak=True)), ('""', ETag(""))],
        ["", "a", "*", '"a', '"a", "b"', '"a", b', 'w/"a"', '"a b"'],
    ),
    "expect": ([("100-Continue", "100-continue")], []),
    "expires": (
        [
            (DATE, MOMENT),
            *((bad, datetime(1970, 1, 1, tzinfo=UTC)) for bad in ("0", "-1", "", "x")),
        ],
        [],
    ),
    "forwarded": (
        [
            (
                'For="[::1]:80";proto=https, for=b',
                [{"for": "[::1]:80", "proto": "https"}, {"for": "b"}],
            ),
            ("", [{}]),
            ("for=a b, for=c", [{"for": "a"}, {"for": "c"}]),
        ],
        [],
    ),
    "host": (
        [
            ("Example.org", ("example.org", None)),
            ("example.org:8080", ("example.org", 8080)),
            ("[2001:DB8::1]:80", ("2001:db8::1", 80)),
            ("[::1]", ("::1", None)),
            ("", ("", None)),
        ],
        ["a b", "a:b", "::1", "[::1", "a:65536", "user@a", "a, b"],
    ),
    "if-match": ENTITY_TAGS,
    "if-modified-since": DATES,
    "if-none-match": ENTITY_TAGS,
    "if-range": (
        [(DATE, MOMENT), ('"a"', ETag("a")), ('W/"a"', ETag("a", is_weak=True))],
        ["", "a", "*", '"a", "b"', "1994-11-06"],
    ),
    "if-unmodified-since": DATES,
    "last-modified": DATES,
    "location": TEXT,
    "origin": TEXT,
    "proxy-authorization": CREDENTIALS,
    "range": (
        [
            ("bytes=0-4", ("bytes", [(0, 4)])),
            ("Bytes=5-", ("bytes", [(5, None)])),
            ("bytes=-5", ("bytes", [(None, 5)])),
            ("bytes=0-0, 2-3 ,,-1", ("bytes", [(0, 0), (2, 3), (None, 1)])),
            ("rows=1-2", ("rows", [(1, 2)])),
        ],
        ["", "bytes", "bytes=", "bytes=,", "bytes=-", "bytes=5-4", "bytes=a-b", "bytes 0-4"]
        + ["bytes=0-4, x", "bytes=0-1-2", "bytes=\u0661-", f"bytes={'9' * 641}-"],
    ),
    "referer": TEXT,
    "retry-after": ([("120", 120), (DATE, MOMENT)], ["", "-1", "1.5", "soon"]),
    "server": TEXT,
    "set-cookie": (
        [("a=b; Path=/; Secure", SetCookie("a", "b", path="/", secure=True))],
        ["", "a", "=b", "a=b\0"],
    ),
    "strict-transport-security": (
        [
            ("max-age=10", {"max-age": 10}),
            (
                'Max-Age="10" ; includeSubDomains; x="a;b"',
                {"max-age": 10, "includesubdomains": None, "x": "a;b"},
            ),
        ],
        ["", "includeSubDomains", "max-age", "max-age=a", "max-age=-1", "max-age=1, max-age=2"],
    ),
    "vary": NAMES,
}


def test_every_field_has_examples_here() -> None:
    assert list(READERS) == sorted(READERS) == list(FIELDS)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [(name, text, value) for name, (good, _) in FIELDS.items() for text, value in good],
)
def test_what_can_be_read(name: str, text: str, value: Any) -> None:
    result = READERS[name](text)
    assert result == value
    assert repr(result) == repr(value)  # mappings inside are dicts, not views of something shared


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, (_, bad) in FIELDS.items() for text in bad]
)
def test_what_cannot_be_read(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"^(?:not? |neither |a control character )"):
        READERS[name](text)


def test_values_may_be_changed_because_nobody_else_has_them() -> None:
    for name, (good, _) in FIELDS.items():
        for text, value in good:
            result = READERS[name](text)
            for part in (result, *result) if isinstance(result, tuple) else (result,):
                if isinstance(part, dict):
                    part["changed"] = "yes"
                elif isinstance(part, list):
                    part.append("changed")
            assert READERS[name](text) == value


tokens = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=8)
texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=8)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(
    st.dictionaries(
        tokens.map(str.lower),
        st.none() | st.integers(0, 2**31) | texts.filter(lambda t: not t.isdigit()),
    )
)
def test_written_directives_of_caches_read_back(directives: dict[str, int | str | None]) -> None:
    value = ", ".join(
        name if argument is None else f"{name}={quoted(str(argument))}"
        for name, argument in directives.items()
    )
    assert READERS["cache-control"](value) == directives


@given(st.lists(tokens))
def test_written_lists_read_back(names: list[str]) -> None:
    assert READERS["allow"](", ".join(names)) == names
    assert READERS["vary"](" ,".join(names)) == [name.lower() for name in names]


@given(st.lists(texts))
def test_written_quoted_strings_read_back(strings: list[str]) -> None:
    assert READERS["clear-site-data"](",".join(map(quoted, strings))) == strings


@given(st.integers(0), st.integers(0), st.none() | st.integers(1))
def test_written_content_ranges_read_back(first: int, length: int, more: int | None) -> None:
    last = first + length
    size = None if more is None else last + more
    text = f"bytes {first}-{last}/{'*' if size is None else size}"
    assert READERS["content-range"](text) == ("bytes", (first, last), size)


noise = st.text(st.sampled_from(' \t,;:="\\/*-.[]()qW01269agst%\u212aé\udce9\x00'), max_size=40)


@pytest.mark.parametrize("name", READERS)
@given(value=st.one_of(st.text(), noise))
@settings(max_examples=30)
def test_any_text_is_a_value_or_a_value_error_of_ours(name: str, value: str) -> None:
    try:
        READERS[name](value)
    except ValueError as exc:
        assert str(exc).startswith(("not ", "no ", "neither ", "a control character "))


LEADS = {
    "accept": ["a/b;", 'a/b;c="'],
    "accept-patch": ["a/b;", 'a/b;c="'],
    "authorization": ["Basic "],
    "cache-control": ["a=", 'a="'],
    "clear-site-data": ['"'],
    "content-disposition": ["a;", 'a; b="', "a; b*0="],
    "content-range": ["bytes ", "bytes 0-"],
    "content-type": ["a/b;", 'a/b;c="', "a/b; c*0="],
    "etag": ['W/"'],
    "forwarded": ["for=", 'for="'],
    "if-match": ['"a", "'],
    "if-range": ['"'],
    "range": ["bytes=", "bytes=0-"],
    "set-cookie": ["a=b; "],
    "strict-transport-security": ["max-age=1;", 'max-age="'],
}


def read(name: str, value: str) -> None:
    with suppress(ValueError):
        READERS[name](value)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.usefixtures("untraced")
def test_large_hostile_values_are_read_to_the_end(name: str) -> None:
    """30,000 characters: a reader that is not linear does not come back within a test's limit."""
    for lead in ["", *LEADS.get(name, [])]:
        for bait in BAITS:
            read(name, lead + bait * (30_000 // len(bait)) + "!")


@pytest.mark.parametrize("name", READERS)
def test_twice_the_input_is_at_most_twice_the_rounds(name: str) -> None:
    for lead in ["", *LEADS.get(name, [])]:
        for bait in BAITS:
            for end in '!";':
                once, twice = (
                    rounds(lambda value: read(name, value), lead + bait * (n // len(bait)) + end)
                    for n in (200, 400)
                )
                assert twice <= 2 * once + 20, (lead, bait, end)


def test_no_pattern_gives_back_what_it_has_read() -> None:
    patterns = patterns_of(field_values)
    assert len(patterns) > 8
    for pattern in patterns:
        assert not backtracking_repeats(pattern.pattern, pattern.flags), pattern.pattern
