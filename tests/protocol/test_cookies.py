"""lowlevel.protocol.cookies: the Cookie field (RFC 6265 §4.2, §5.4), as many pens write it."""

from http.cookies import Morsel, SimpleCookie

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowlevel.protocol import cookies as cookies_module
from lowlevel.protocol.cookies import (
    cookie_pairs,
    cookie_values,
    is_cookie_name,
    parse_cookie,
    unquote_value,
)
from tests.linear import backtracking_repeats, patterns_of, rounds

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.mark.parametrize(
    ("value", "cookies"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1; b=2", {"a": "1", "b": "2"}),
        ("a=1;b=2 ;\tc=3", {"a": "1", "b": "2", "c": "3"}),
        ("a = 1 ;  b\t=\t2", {"a": "1", "b": "2"}),
        (";; a=1 ;; ", {"a": "1"}),
        ("a=1=2; b==", {"a": "1=2", "b": "="}),
        ("A=1; a=2", {"A": "1", "a": "2"}),
    ],
)
def test_pairs(value: str, cookies: dict[str, str]) -> None:
    assert parse_cookie(value) == cookies


def test_the_last_of_several_wins() -> None:
    assert parse_cookie("a=1; b=2; a=3") == {"a": "3", "b": "2"}
    assert list(cookie_pairs("a=1; b=2; a=3")) == [("a", "1"), ("b", "2"), ("a", "3")]


def test_all_values_of_a_name() -> None:
    assert cookie_values("a=1; b=2; a=3; ;=4;a") == {"a": ["1", "3", ""], "b": ["2"]}
    assert cookie_values("") == {}


@pytest.mark.parametrize("value", ["k=", "k", "k= ", "k ;", "k=;", 'k=""', 'k=1; k=""'])
def test_no_value_is_an_empty_value(value: str) -> None:
    assert parse_cookie(value) == {"k": ""}


@pytest.mark.parametrize(
    "name",
    ["path", "Expires", "domain", "Max-Age", "secure", "HttpOnly", "SameSite", "Version"]
    + ["$Path", "__Host-a", "partitioned", "comment"],
)
def test_names_of_attributes_are_names_like_any_other(name: str) -> None:
    assert parse_cookie(f"a=1; {name}=x; b=2") == {"a": "1", name: "x", "b": "2"}
    assert parse_cookie(f"a=1; {name}") == {"a": "1", name: ""}


@pytest.mark.parametrize(
    "name", ["{x}", "a/b", "a[3]", "(a)", "<a>", "a:b", "@", "a?b", "!#$%&'*+-.^_`|~"]
)
def test_odd_names(name: str) -> None:
    assert parse_cookie(f"{name}=1; b=2") == {name: "1", "b": "2"}


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a\tb", "a,b", 'a"b', '"a"', "a\\b", "é", "a\x01", "a\n"]
)
def test_impossible_names_are_left_out(name: str) -> None:
    assert parse_cookie(f"{name}=1; b=2") == {"b": "2"}
    assert parse_cookie(f"b=2; {name}") == {"b": "2"}


@pytest.mark.parametrize(
    "value",
    [
        "hello world",
        "1,2, 3",
        "Wed, 09 Jun 2021 10:18:14 GMT",
        '{"x": 1, "y": "2"}',
        "é€",
        "\udce9",
        "%20",
        "a\tb",
        "\\",
        r"\"x\"",
        "'1'",
        'x"y',
        '"',
        '"x',
        'x"',
        '"x" y',
        '"x"y',
    ],
)
def test_values_stay_as_they_are(value: str) -> None:
    assert parse_cookie(f"a={value}; b=1") == {"a": value, "b": "1"}
    assert parse_cookie(f"a={value}") == {"a": value}


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ('"x"', "x"),
        ('" x "', " x "),
        (r'"\"q\" \\ \a"', '"q" \\ a'),
        (r'"\054\073\012\377"', ",;\n\xff"),
        (r'"\400 \08 \54"', "400 08 54"),
        ('"x;y=1"', "x;y=1"),
        (r'"\";\""', '";"'),
        ('"x"y"', 'x"y'),
        ('"x" "y"', 'x" "y'),
    ],
)
def test_values_in_quotes(value: str, plain: str) -> None:
    assert parse_cookie(f"a={value}; b=1") == {"a": plain, "b": "1"}
    assert parse_cookie(f"b=1; a  =  {value}  ") == {"a": plain, "b": "1"}
    assert parse_cookie(f"a  =  {value}  ; b=1") == {"a": plain, "b": "1"}


@pytest.mark.parametrize("value", ['"x;y', '"x;y"z', '"x;y" z', '"x;y\\"', '"x;y"\n'])
def test_quotes_that_hold_no_value_hide_no_cookie(value: str) -> None:
    cookies = parse_cookie(f"a={value}; b=1")
    assert cookies["a"] == '"x'
    assert cookies["b"] == "1"
    assert parse_cookie(f"a={value}")["a"] == '"x'


@pytest.mark.parametrize("value", ["", '"', "x", "'x'", '"x', 'x"', "\\x"])
def test_only_a_pair_of_quotes_is_taken_off(value: str) -> None:
    assert unquote_value(value) == value
    assert unquote_value(f'"{value}"') == value.replace("\\", "")


def test_a_name_is_printable_ascii_without_separators() -> None:
    allowed = {chr(code) for code in range(256) if is_cookie_name(chr(code))}
    assert allowed == {chr(code) for code in range(0x21, 0x7F)} - set('",;=\\')


names = st.from_regex(r"[a-zA-Z0-9!#$%&'*+.^_`|~-]+", fullmatch=True)
values = st.text(st.characters(exclude_categories=["Cc", "Cs"]))


@given(st.dictionaries(names.filter(lambda name: name.lower() not in Morsel()), values))
def test_what_the_standard_library_writes_reads_back(cookies: dict[str, str]) -> None:
    jar: SimpleCookie = SimpleCookie(cookies)
    assert parse_cookie(jar.output(attrs=[], header="", sep=";")) == cookies


@given(st.text(), st.text(st.sampled_from('ab=;" \\,\t0é{')))
def test_any_value_gives_strings_or_nothing(text: str, noise: str) -> None:
    for value in (text, noise):
        last = {name: values[-1] for name, values in cookie_values(value).items()}
        assert last == parse_cookie(value)
        for name, cookie in last.items():
            assert name.isascii()
            assert name.isprintable()
            assert not set(name) & set(' ",;=\\')
            assert isinstance(cookie, str)


BAITS = [
    ";",
    "=",
    "a",
    " ",
    '"',
    "\\",
    ",",
    "a;",
    "a=;",
    "=;",
    "a=b",
    'a="',
    'a="x;',
    'a="";',
    '"\\"',
    'a="x" ',
]
BAITS += ['a="\\";', 'a="b"c;', 'a="b" c;', "\t;", 'a= "', "é", "\\073"]


@pytest.mark.usefixtures("untraced")
def test_large_hostile_values_are_read_to_the_end() -> None:
    """100,000 characters: a reader that is not linear does not come back within a test's limit."""
    for lead in ("", "a=", 'a="'):
        for bait in BAITS:
            parse_cookie(lead + bait * (100_000 // len(bait)) + '"')


def test_twice_the_input_is_at_most_twice_the_rounds() -> None:
    for lead in ("", "a=", 'a="'):
        for bait in BAITS:
            once, twice = (lead + bait * (size // len(bait)) + '"' for size in (200, 400))
            assert rounds(cookie_values, twice) <= 2 * rounds(cookie_values, once) + 10


def test_no_pattern_gives_back_what_it_has_read() -> None:
    patterns = patterns_of(cookies_module)
    assert len(patterns) > 2
    for pattern in patterns:
        assert not backtracking_repeats(pattern.pattern, pattern.flags), pattern.pattern
