"""lowlevel.protocol.set_cookie: the Set-Cookie field (RFC 6265 §4.1, §5.1.1, §5.2; 6265bis)."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone
from http.cookies import SimpleCookie
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowlevel.protocol import cookies, set_cookie
from lowlevel.protocol.headers import format_http_date
from lowlevel.protocol.set_cookie import (
    SetCookie,
    check_attribute,
    check_name,
    format_set_cookie,
    has_prefix,
    parse_cookie_date,
    parse_set_cookie,
    samesite_of,
)
from tests.linear import BAITS, backtracking_repeats, patterns_of, rounds

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

MOMENT = datetime(2021, 6, 9, 10, 18, 14, tzinfo=UTC)

# --- RFC 6265 §5.2: reading ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        ("a=b", "a", "b"),
        ("a=", "a", ""),
        ("a==b=", "a", "=b="),
        (" a\t= b ", "a", "b"),
        ("a=b c", "a", "b c"),
        ('a="b c"', "a", "b c"),
        (r'a="\"\073\351"', "a", '";é'),
        ('a="', "a", '"'),
        # Browsers end a value at the first semicolon, quotes or not.
        ('a="b;c"', "a", '"b'),
        ("a=é€", "a", "é€"),
        ("a=1,b=2", "a", "1,b=2"),
        ("a[0]=b", "a[0]", "b"),
        ("path=b", "path", "b"),
    ],
)
def test_name_and_value(value: str, name: str, text: str) -> None:
    assert parse_set_cookie(value) == SetCookie(name, text)
    assert parse_set_cookie(f"{value}; Secure") == SetCookie(name, text, secure=True)


@pytest.mark.parametrize(
    "value", ["", ";", "a", "=b", " =b", "a; b=c", "; a=b", "a b=c", "a,b=c", 'a"=b', "é=b"]
)
def test_no_usable_name(value: str) -> None:
    with pytest.raises(ValueError, match="no usable name"):
        parse_set_cookie(value)


@pytest.mark.parametrize("bad", ["\r", "\n", "\0", "\x01", "\x1f", "\x7f"])
@pytest.mark.parametrize("value", ["{}a=b", "a{}=b", "a=b{}c", "a=b; Path=/{}", "a=b; x{}"])
def test_control_characters_spoil_the_whole(value: str, bad: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        parse_set_cookie(value.format(bad))


def test_a_tab_is_no_such_control_character() -> None:
    assert parse_set_cookie("a=b\tc;\tSecure") == SetCookie("a", "b\tc", secure=True)


@pytest.mark.parametrize(
    ("attribute", "told"),
    [
        ("Expires=Wed, 09 Jun 2021 10:18:14 GMT", {"expires": MOMENT}),
        ("expires=Wed, 09-Jun-21 10:18:14 GMT", {"expires": MOMENT}),
        ("expires=", {}),
        ("expires=0", {}),
        ("Expires=tomorrow", {}),
        ("Max-Age=10", {"max_age": timedelta(seconds=10)}),
        ("MAX-AGE = 010", {"max_age": timedelta(seconds=10)}),
        ("max-age=0", {"max_age": timedelta(0)}),
        ("max-age=-1", {"max_age": timedelta(seconds=-1)}),
        ("max-age=" + "9" * 20, {"max_age": timedelta.max}),
        ("max-age=-" + "9" * 20, {"max_age": timedelta.min}),
        ("max-age=" + "9" * 9999, {"max_age": timedelta.max}),
        ("max-age=-" + "9" * 9999, {"max_age": timedelta.min}),
        ("max-age", {}),
        ("max-age=", {}),
        ("max-age=-", {}),
        ("max-age=+1", {}),
        ("max-age=1.5", {}),
        ("max-age=1 0", {}),
        ("max-age=\u0661", {}),
        ('max-age="10"', {}),
        ("Path=/a b", {"path": "/a b"}),
        ("path=a", {}),
        ("path=", {}),
        ("path", {}),
        ("Domain=.Example.ORG", {"domain": "example.org"}),
        ("Domain=..e", {"domain": ".e"}),
        ("domain=", {}),
        ("domain=.", {}),
        ("Secure", {"secure": True}),
        ("secure=no", {"secure": True}),
        ("HTTPonly=", {"httponly": True}),
        ("SameSite=lAX", {"samesite": "Lax"}),
        ("samesite=STRICT", {"samesite": "Strict"}),
        ("samesite = none", {"samesite": "None"}),
        ("samesite=other", {}),
        ("samesite", {}),
        ("Partitioned", {"partitioned": True}),
        ("Priority=High", {}),
        ("name=x", {}),
        ("value=x", {}),
        ("max_age=1", {}),
        ("", {}),
        ("=", {}),
    ],
)
def test_attributes(attribute: str, told: dict[str, Any]) -> None:
    expected = SetCookie("a", "b", **told)
    assert parse_set_cookie(f"a=b; {attribute}") == expected
    assert parse_set_cookie(f"a=b;\t {attribute}\t;;") == expected


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ("path=/a; Path=/b", {"path": "/b"}),
        ("path=/a; path=b", {}),
        ("domain=a; domain=", {}),
        ("samesite=lax; samesite=x", {}),
        ("max-age=1; max-age=2", {"max_age": timedelta(seconds=2)}),
        # What is no number or date, is not there at all.
        ("max-age=1; max-age=x", {"max_age": timedelta(seconds=1)}),
        ("expires=Wed, 09 Jun 2021 10:18:14 GMT; expires=x", {"expires": MOMENT}),
    ],
)
def test_the_last_of_several_attributes_counts(attributes: str, told: dict[str, Any]) -> None:
    assert parse_set_cookie(f"a=b; {attributes}") == SetCookie("a", "b", **told)


def test_a_set_cookie_is_a_value() -> None:
    cookie = SetCookie("a", "b")
    assert cookie == SetCookie(name="a", value="b")
    assert len({cookie, SetCookie("a", "b"), SetCookie("a", "c")}) == 2
    with pytest.raises(FrozenInstanceError):
        cookie.value = "c"  # type: ignore[misc]


# --- RFC 6265 §5.1.1: dates ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "Wed, 09 Jun 2021 10:18:14 GMT",
        "Wednesday, 09-Jun-21 10:18:14 GMT",
        "Wed Jun  9 10:18:14 2021",
        "Wed Jun 09 2021 10:18:14 GMT+0000 (Coordinated Universal Time)",
        "10:18:14 9 June 2021",
        "2021 9th JUNE 10:18:14Z",
        "9;jun/2021,10:18:14.5",
        "09 Jun 21 10:18:14",
    ],
)
def test_dates_in_any_order(value: str) -> None:
    date = parse_cookie_date(value)
    assert date == MOMENT
    assert date.tzinfo is UTC


@pytest.mark.parametrize(
    ("digits", "year"),
    [("69", 2069), ("70", 1970), ("99", 1999), ("00", 2000), ("1601", 1601), ("9999", 9999)],
)
def test_years(digits: str, year: int) -> None:
    assert parse_cookie_date(f"1 jan {digits} 0:0:0") == datetime(year, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0",
        "09 Jun 2021",
        "Jun 2021 10:18:14",
        "09 2021 10:18:14",
        "09 Jun 10:18:14",
        "09 Jun 1600 10:18:14",
        "09 Jun 100 10:18:14",
        "09 Jun 20210 10:18:14",
        "00 Jun 2021 10:18:14",
        "31 Jun 2021 10:18:14",
        "32 Jun 2021 10:18:14",
        "09 Jun 2021 24:18:14",
        "09 Jun 2021 10:60:14",
        "09 Jun 2021 10:18:60",
        "09 Jun 2021 10:18",
        "09 Jun 2021 10:18:140",
        "2021-06-09T10:18:14Z",
        "\u0660\u0669 Jun 2021 10:18:14",
    ],
)
def test_what_is_no_date(value: str) -> None:
    assert parse_cookie_date(value) is None


moments = st.datetimes(datetime(1601, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=0)
)


@given(moments)
def test_a_date_of_http_is_a_date_of_cookies(moment: datetime) -> None:
    assert parse_cookie_date(format_http_date(moment)) == moment


# --- RFC 6265 §4.1, 6265bis §4.1: writing --------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "n=v"),
        ({"expires": MOMENT}, "n=v; Expires=Wed, 09 Jun 2021 10:18:14 GMT"),
        (
            {"expires": MOMENT.astimezone(timezone(timedelta(hours=9)))},
            "n=v; Expires=Wed, 09 Jun 2021 10:18:14 GMT",
        ),
        ({"expires": MOMENT.replace(tzinfo=None)}, "n=v; Expires=Wed, 09 Jun 2021 10:18:14 GMT"),
        ({"expires": "soon"}, "n=v; Expires=soon"),
        ({"max_age": 10}, "n=v; Max-Age=10"),
        ({"max_age": 0}, "n=v; Max-Age=0"),
        ({"max_age": -1}, "n=v; Max-Age=-1"),
        ({"max_age": timedelta(days=1, milliseconds=999)}, "n=v; Max-Age=86400"),
        ({"max_age": timedelta(0)}, "n=v; Max-Age=0"),
        ({"path": "/"}, "n=v; Path=/"),
        ({"domain": "e.org"}, "n=v; Domain=e.org"),
        ({"secure": True}, "n=v; Secure"),
        ({"httponly": True}, "n=v; HttpOnly"),
        ({"samesite": "lax"}, "n=v; SameSite=Lax"),
        ({"samesite": "Strict"}, "n=v; SameSite=Strict"),
        ({"samesite": "NONE", "secure": True}, "n=v; SameSite=None; Secure"),
        ({"partitioned": True, "secure": True}, "n=v; Secure; Partitioned"),
    ],
)
def test_written_attributes(options: dict[str, Any], text: str) -> None:
    assert format_set_cookie("n", "v", **options) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", ""),
        ("abc", "abc"),
        ("YWJj/+==", "YWJj/+=="),
        ("!#$%&'()*+-./:<=>?@[]^_`{|}~", "!#$%&'()*+-./:<=>?@[]^_`{|}~"),
        ("a b", '"a b"'),
        ('a"b', r'"a\"b"'),
        ('"ab"', r'"\"ab\""'),
        ("a\\b", r'"a\\b"'),
        ("a;b,c", r'"a\073b\054c"'),
        ("a\tb\x7f", r'"a\011b\177"'),
        ("é", r'"\351"'),
        ("€", '"€"'),
    ],
)
def test_values_are_quoted_where_needed(value: str, text: str) -> None:
    assert format_set_cookie("n", value) == f"n={text}"


@pytest.mark.parametrize("name", ["", "a b", "a;b", "a=b", "a,b", 'a"', "é", "a\r\nb", "a[0]"])
def test_names_that_are_no_token(name: str) -> None:
    with pytest.raises(ValueError, match="must be a token"):
        format_set_cookie(name, "v")


@pytest.mark.parametrize("bad", ["\r", "\n", "\0", "a\r\nSet-Cookie: x=y"])
def test_values_that_would_split_the_field(bad: str) -> None:
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        format_set_cookie("n", bad)


@pytest.mark.parametrize("bad", ["\r\n", "\0", "\x01", "\t", "\x7f", ";", "/; Domain=evil"])
@pytest.mark.parametrize("attribute", ["path", "domain", "expires"])
def test_attributes_that_would_become_two(attribute: str, bad: str) -> None:
    options: dict[str, Any] = {attribute: bad}
    with pytest.raises(ValueError, match=r"CR, LF or NUL|control character or a semicolon"):
        format_set_cookie("n", "v", **options)
    with pytest.raises(ValueError, match=f"CR, LF or NUL|{attribute} of a cookie has a control"):
        check_attribute(attribute, bad)


@pytest.mark.parametrize("value", ["", "lax ", "Laxest", "no", "Lax;Secure"])
def test_values_that_samesite_does_not_have(value: str) -> None:
    with pytest.raises(ValueError, match="samesite must be"):
        samesite_of(value)
    with pytest.raises(ValueError, match="samesite must be"):
        format_set_cookie("n", "v", samesite=value, secure=True)


@pytest.mark.parametrize(
    "options",
    [{"value": 5}, {"value": b"v"}, {"path": 5}, {"domain": b"e.org"}, {"expires": 5.0}],
)
def test_types_that_are_no_text(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="must be str"):
        format_set_cookie("n", **{"value": "v", **options})


# --- 6265bis §4.1.3, §5.7, CHIPS: what browsers refuse ------------------------------------------


@pytest.mark.parametrize("name", ["__Secure-a", "__Host-a", "__SECURE-a", "__host-a", "__Host-"])
def test_names_with_a_prefix(name: str) -> None:
    assert has_prefix(name)
    with pytest.raises(ValueError, match=re.escape(f"{name!r} needs secure=True")):
        format_set_cookie(name, "v", path="/")
    assert format_set_cookie(name, "v", path="/", secure=True) == f"{name}=v; Path=/; Secure"


@pytest.mark.parametrize(
    "name", ["a__Host-", "_Host-a", "__Host", "__Hosta", "__Secure", "secure-"]
)
def test_names_without_a_prefix(name: str) -> None:
    assert not has_prefix(name)
    check_name(name, secure=False, path=None, domain="e.org")
    assert format_set_cookie(name, "v") == f"{name}=v"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs path='/'"),
        ({"path": "/a"}, "needs path='/'"),
        ({"path": "/", "domain": "e.org"}, "must have no domain"),
    ],
)
def test_the_prefix_of_one_host(options: dict[str, Any], message: str) -> None:
    for name in ("__Host-a", "__hOST-a"):
        with pytest.raises(ValueError, match=message):
            format_set_cookie(name, "v", secure=True, **options)
    assert format_set_cookie("__Secure-a", "v", secure=True, **options)


@pytest.mark.parametrize("options", [{"samesite": "none"}, {"partitioned": True}])
def test_what_must_be_secure(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs secure=True"):
        format_set_cookie("n", "v", **options)


# --- There and back ------------------------------------------------------------------------------

TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~019azAZ"
names = st.text(TOKEN_CHARACTERS, min_size=1, max_size=8).filter(lambda name: not has_prefix(name))
values = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))


@given(names, values)
def test_a_written_value_reads_back(name: str, value: str) -> None:
    text = format_set_cookie(name, value)
    assert parse_set_cookie(text) == SetCookie(name, value)
    # What a browser keeps of it, and sends, with other cookies around it.
    pairs = list(cookies.cookie_pairs(f"before=1; {text}; after=2"))
    assert pairs == [("before", "1"), (name, value), ("after", "2")]


@given(names, values.filter(lambda value: value.isprintable()))
def test_the_standard_library_reads_the_same(name: str, value: str) -> None:
    text = format_set_cookie(name, value)
    assert SimpleCookie().value_decode(text.partition("=")[2])[0] == value


set_cookies = st.builds(
    SetCookie,
    names,
    values,
    expires=st.none() | moments,
    max_age=st.none() | st.integers(-(10**9), 10**9).map(lambda n: timedelta(seconds=n)),
    path=st.none() | st.from_regex(r"/[!-:<-~]*", fullmatch=True),
    domain=st.none() | st.from_regex(r"[a-z][a-z.]*", fullmatch=True),
    secure=st.booleans(),
    httponly=st.booleans(),
    samesite=st.sampled_from([None, "Lax", "Strict"]),
)


@given(set_cookies)
def test_a_written_cookie_reads_back(cookie: SetCookie) -> None:
    options = {field: getattr(cookie, field) for field in SetCookie.__slots__[2:]}
    assert parse_set_cookie(format_set_cookie(cookie.name, cookie.value, **options)) == cookie


# --- Total, and linear ---------------------------------------------------------------------------

noise = st.text(st.sampled_from('ab=;," \\\t0123-:/é{}[]\r\x00JunMax-AgePathSecure'))


@given(st.one_of(st.text(), noise))
def test_any_text_is_a_cookie_or_a_value_error(text: str) -> None:
    parse_cookie_date(text)
    try:
        cookie = parse_set_cookie(text)
    except ValueError as exc:
        assert "Set-Cookie" in str(exc)  # not one that int() or datetime() raised
    else:
        assert cookies.is_cookie_name(cookie.name)


LEADS = ["", "a=", 'a="', "a=b; ", "a=b; max-age=", "a=b; expires=", "a=b; expires=1 jun 2021 1:1:"]


@pytest.mark.usefixtures("untraced")
def test_large_hostile_values_are_read_to_the_end() -> None:
    """20,000 characters, 300 times: what is not linear does not come back within a test's limit."""
    for lead in LEADS:
        for bait in [*BAITS, "9", "jun ", "1:1:"]:
            value = lead + bait * (20_000 // len(bait)) + "!"
            parse_cookie_date(value)
            try:
                parse_set_cookie(value)
            except ValueError as exc:
                assert "no usable name" in str(exc)


@pytest.mark.parametrize("lead", [lead for lead in LEADS if lead])
def test_twice_the_input_is_at_most_twice_the_rounds(lead: str) -> None:
    for bait in BAITS:
        once, twice = (lead + bait * (size // len(bait)) for size in (200, 400))
        assert rounds(parse_set_cookie, twice) <= 2 * rounds(parse_set_cookie, once) + 10


def test_no_pattern_gives_back_what_it_has_read() -> None:
    patterns = patterns_of(set_cookie)
    assert len(patterns) > 8
    for pattern in patterns:
        assert not backtracking_repeats(pattern.pattern, pattern.flags), pattern.pattern
