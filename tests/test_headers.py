"""lowlevel.headers: parse and collect, and the fields of a request over a socket."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy, MultiDict

import lowlevel as web
from lowlevel import headers
from lowlevel.cookies import SetCookie
from lowlevel.headers import collect, parse
from tests.support import Peer, request, serving

MOMENT = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


def test_all_is_there() -> None:
    for name in headers.__all__:
        assert hasattr(headers, name)
    assert web.headers is headers


# --- parse ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Content-Length", "content-length", "CONTENT-LENGTH"])
@pytest.mark.parametrize("value", ["5", " 5", "\t5 \t"])
def test_names_in_any_case_and_space_around_values(name: str, value: str) -> None:
    assert parse(name, value) == 5


def test_unknown_fields_stay_as_they_are() -> None:
    assert parse("X-Unknown", ' a, "b ') == ' a, "b '


@pytest.mark.parametrize(
    ("name", "value"),
    [("Host", "a b"), ("date", "soon"), ("Set-Cookie", ""), ("RANGE", "bytes=b-a"), ("Age", "-1")],
)
def test_malformed_values_name_the_field(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"malformed {name} {value!r}: ")):
        parse(name, value)


def test_quoted_strings_hold_separators() -> None:
    assert parse("Cache-Control", 'no-cache="a, b", max-age=1') == {
        "no-cache": "a, b",
        "max-age": 1,
    }
    assert parse("Accept", 'a/b;c="d, e;q=0", f/g;q=0.5') == {
        'a/b;c="d, e;q=0"': {"c": "d, e;q=0", "q": 1.0},
        "f/g": {"q": 0.5},
    }
    assert parse("Content-Disposition", 'attachment; filename="a;b\\"c"') == (
        "attachment",
        {"filename": 'a;b"c'},
    )
    assert parse("If-None-Match", '"a,b", "c"') == [headers.ETag("a,b"), headers.ETag("c")]


def test_hosts_of_ip_version_6() -> None:
    assert parse("Host", "[::1]:8080") == ("::1", 8080)
    assert parse("Host", "[::1]") == ("::1", None)


@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_dates_are_aware_in_every_field_and_form(text: str) -> None:
    for name in ("Date", "Expires", "If-Modified-Since", "If-Unmodified-Since", "Last-Modified"):
        date = parse(name, text)
        assert date == MOMENT
        assert date.tzinfo is UTC
    assert headers.parse_http_date(text) == MOMENT
    assert headers.format_http_date(MOMENT) == "Sun, 06 Nov 1994 08:49:37 GMT"


# --- collect -------------------------------------------------------------------------------------

PAIRS = [
    ("Host", "a.test"),
    ("Accept", "text/html;q=0.5"),
    ("ACCEPT", "text/html;q=0.1, */*"),
    ("Cookie", "a=1; b=2"),
    ("cookie", "a=3; c"),
    ("Vary", "Accept"),
    ("Vary", "Cookie, Origin"),
    ("Set-Cookie", "a=1"),
    ("Set-Cookie", "a=2; Secure"),
    ("Set-Cookie", "malformed"),
    ("Cache-Control", "max-age=1"),
    ("Cache-Control", "max-age=2, no-store"),
    ("Forwarded", "for=a"),
    ("Forwarded", 'for="b'),
    ("Forwarded", "for=c"),
    ("If-None-Match", '"a"'),
    ("If-None-Match", '"b"'),
    ("Content-Security-Policy", "a b"),
    ("Content-Security-Policy", "a c"),
    ("Server", "first"),
    ("Server", "last"),
    ("Age", "1"),
    ("Age", "2"),
    ("Age", "malformed"),
    ("Date", "malformed"),
    ("X-Unknown", "1"),
    ("x-unknown", "2, 3"),
]
COLLECTED = {
    "host": ("a.test", None),
    "accept": {"text/html": {"q": 0.5}, "*/*": {"q": 1.0}},
    "cookie": {"a": ["1", "3"], "b": ["2"], "c": [""]},
    "vary": ["accept", "cookie", "origin"],
    "set-cookie": [SetCookie("a", "1"), SetCookie("a", "2", secure=True)],
    "cache-control": {"max-age": 1, "no-store": None},
    "forwarded": [{"for": "a"}, {}, {"for": "c"}],
    "if-none-match": [headers.ETag("a"), headers.ETag("b")],
    "content-security-policy": [{"a": ["b"]}, {"a": ["c"]}],
    "server": "last",
    "age": 2,
    "x-unknown": "1, 2, 3",
}


@pytest.mark.parametrize(
    "fields",
    [
        PAIRS,
        tuple(PAIRS),
        iter(PAIRS),
        MultiDict(PAIRS),
        CIMultiDict(PAIRS),
        CIMultiDictProxy(CIMultiDict(PAIRS)),
        [(name.encode(), value.encode()) for name, value in PAIRS],
    ],
    ids=["list", "tuple", "iterator", "MultiDict", "CIMultiDict", "proxy", "bytes"],
)
def test_fields_with_one_name_become_one_value(fields: Any) -> None:
    collected = collect(fields)
    assert collected == COLLECTED
    assert list(collected) == list(COLLECTED)


def test_any_mapping_and_none_at_all() -> None:
    assert collect({"Content-Length": "5", "Date": "soon"}) == {"content-length": 5}
    assert collect({}) == collect([]) == {}


def test_one_set_cookie_is_a_list_too() -> None:
    assert collect([("Set-Cookie", "a=1")]) == {"set-cookie": [SetCookie("a", "1")]}


def test_bytes_are_read_as_those_of_requests() -> None:
    assert collect([(b"X", "é".encode() + b"\xe9")]) == {"x": "é\udce9"}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted({name for name, _ in PAIRS})),
            st.text(st.sampled_from('a1,;="/ *:\\é'), max_size=12),
        )
    )
)
def test_collect_takes_anything(pairs: list[tuple[str, str]]) -> None:
    collected = collect(pairs)
    assert set(collected) <= {name.lower() for name, _ in pairs}


# --- Over a socket -------------------------------------------------------------------------------


async def test_a_request_tells_what_it_was_asked() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        assert request.headers["x-MiXeD"] == request.headers["X-Mixed"] == "1"
        assert dict(request.cookies) == {"a": "1", "b": "2"}
        assert list(request.query.items()) == [("k", "2"), ("j", "x y"), ("k", "1")]
        assert request.charset == "utf-8"
        assert request.content_type == "text/plain"
        collected = collect(request.headers)
        assert collected == collect(request.raw_headers)
        assert collected["content-type"] == ("text/plain", {"charset": "utf-8"})
        assert collected["cookie"] == {"a": ["1"], "b": ["2"]}
        assert collected["host"] == ("::1", 8080)
        assert collected["accept-encoding"] == {"gzip": 1.0, "br": 0.5}
        assert collected["content-length"] == 3
        return web.Response(text=str(request.url))

    fields = (
        "X-Mixed: 1",
        "Cookie: a=1; b=2",
        "Content-Type: text/plain; charset=utf-8",
        "Accept-Encoding: gzip",
        "accept-encoding: br;q=0.5",
    )
    async with serving(handler) as server, Peer.connect(server.port) as peer:
        answer = await peer.ask(
            request("POST", "/p%20q?k=2&j=x+y&k=1", *fields, body=b"abc", host="[::1]:8080")
        )
    assert (answer.status, answer.body) == (200, b"http://[::1]:8080/p%20q?k=2&j=x+y&k=1")
