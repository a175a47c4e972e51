"""The grammar of paths: what a pattern matches, which values it gives, and which patterns are none.

Everything goes through ``Router.resolve()``, for a router with one route.
"""

import re
import string
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, unquote
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lowlevel as web


async def handler(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response()


def match(pattern: str | re.Pattern[str], path: str, **options: Any) -> dict[str, Any] | None:
    """The values that a path, as it is on the wire, has for a pattern; None if it does not match."""
    router = web.Router(**options)
    router.add_get(pattern, handler)
    try:
        return dict(router.resolve("GET", path).match_info)
    except web.HTTPNotFound:
        return None


def misses(pattern: str | re.Pattern[str], *paths: str) -> None:
    for path in paths:
        assert match(pattern, path) is None, path


# --- Text ---------------------------------------------------------------------------------


def test_text() -> None:
    assert match("/a/b", "/a/b") == {}
    misses("/a/b", "/a/b/", "/a", "/A/b", "/a//b", "//a/b", "/a/b/c", "/", "/a%2Fb")


def test_the_root() -> None:
    assert match("/", "/") == {}
    misses("/", "//", "/a", "/%2F")


@pytest.mark.parametrize("pattern", ["/a.c", "/a+", "/(a)", "/[a]", "/a|b", "/^a$", "/a\\d", "/a*"])
def test_text_is_no_regular_expression(pattern: str) -> None:
    assert match(pattern, quote(pattern)) == {}
    assert match(pattern + "/{x}", quote(pattern) + "/1") == {"x": "1"}
    misses(pattern, "/abc", "/aa", "/a", "/a1", "/b")


@pytest.mark.parametrize("pattern", ["/caf\xe9/a b", "/caf%C3%A9/a%20b", "/caf%c3%a9/%61%20b"])
def test_text_in_any_spelling(pattern: str) -> None:
    """Text in a pattern and in a path are compared decoded."""
    for path in ("/caf%C3%A9/a%20b", "/%63af%c3%a9/%61%20b"):
        assert match(pattern, path) == {}
        assert match(pattern + "/{x}", path + "/y") == {"x": "y"}


def test_plain_text_in_another_spelling() -> None:
    assert match("/about", "/%61bout") == {}
    assert match("/users/{x}", "/user%73/%61") == {"x": "a"}


def test_an_encoded_slash_does_not_end_a_segment() -> None:
    assert match("/a%2Fb", "/a%2fb") == {}
    assert match("/a%2Fb/{x}", "/a%2Fb/c") == {"x": "c"}
    misses("/a%2Fb", "/a/b")
    misses("/a/b", "/a%2Fb")
    misses("/a%2Fb/{x}", "/a/b/c")


def test_decoding_happens_once() -> None:
    assert match("/{x}", "/%2541") == {"x": "%41"}
    assert match("/{x}", "/%252F") == {"x": "%2F"}
    assert match("/{x}", "/%25252F") == {"x": "%252F"}
    assert match("/{x}", "/%2520") == {"x": "%20"}
    assert match("/{x:path}", "/%2541/%252F") == {"x": "%41/%2F"}
    assert match("/%2541", "/%2541") == {}
    misses("/%2541", "/%41", "/A")
    misses("/A", "/%2541")


def test_dots_are_text() -> None:
    """As request.path has them."""
    misses("/b", "/a/../b", "/./b", "/a/%2E%2E/b")
    assert match("/{x}/{y}", "/a/..") == {"x": "a", "y": ".."}


# --- {name} -------------------------------------------------------------------------------


def test_a_variable() -> None:
    assert match("/{name}", "/bob") == {"name": "bob"}
    assert match("/{name}", "/a%20b") == {"name": "a b"}
    assert match("/{name}", "/%C3%A9") == {"name": "\xe9"}
    assert match("/{name}", "/a+b") == {"name": "a+b"}
    assert match("/{name}", "/a%2Fb") == {"name": "a/b"}
    assert match("/{name}", "/%2F") == {"name": "/"}
    assert match("/{name}", "/%25") == {"name": "%"}
    assert match("/{name}", "/%0A") == {"name": "\n"}
    assert match("/{name}", "/a%0A") == {"name": "a\n"}
    assert match("/{name}", "/%00") == {"name": "\0"}


def test_it_is_never_empty() -> None:
    misses("/{name}", "/", "//", "/a/", "/a/b", "//a")
    misses("/a/{name}", "/a/", "/a")
    misses("/{name}/b", "//b")


def test_several_variables() -> None:
    assert match("/{a}/x/{b}", "/1/x/2") == {"a": "1", "b": "2"}
    misses("/{a}/x/{b}", "/1/y/2", "/1/x/", "/1/x/2/3")


def test_variables_and_text_in_a_segment() -> None:
    assert match("/{name}.{ext}", "/a.b.c") == {"name": "a.b", "ext": "c"}
    assert match("/v{major:int}.{minor:int}/x", "/v1.20/x") == {"major": 1, "minor": 20}
    assert match("/pre{x}post", "/prexpost") == {"x": "x"}
    assert match("/@{user}", "/@bob") == {"user": "bob"}
    assert match("/@{user}", "/%40bob") == {"user": "bob"}
    misses("/{name}.{ext}", "/ab", "/.b", "/a.", "/a/b.c")
    misses("/pre{x}post", "/prepost", "/prexpos", "/re/x/post")
    assert match("/{a}-{b}", "/x-y-z") == {"a": "x-y", "b": "z"}


@pytest.mark.parametrize("name", ["a", "_", "a1", "A_b", "self", "class"])
def test_names(name: str) -> None:
    assert match(f"/{{{name}}}", "/x") == {name: "x"}


def test_bytes_that_are_no_text() -> None:
    """They stay as they came, as in request.path."""
    assert match("/{x}", "/%FF") == {"x": "%FF"}
    assert match("/a/{x}/b", "/a/%ff%41/b") == {"x": "%ff%41"}
    assert match("/{x}", "/%") == {"x": "%"}
    assert match("/{x}", "/%zz") == {"x": "%zz"}
    assert match("/{x}", "/%2") == {"x": "%2"}


# --- Converters ---------------------------------------------------------------------------


def test_str() -> None:
    assert match("/{x:str}", "/a%20b") == {"x": "a b"}
    misses("/{x:str}", "/", "/a/b")


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("42", 42), ("-1", -1), ("007", 7), ("-0", 0), ("%34%32", 42)]
)
def test_int(text: str, value: int) -> None:
    values = match("/{x:int}", f"/{text}")
    assert values == {"x": value}
    assert type(values["x"]) is int


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "+1",
        "1.0",
        "1e5",
        "1_000",
        "%201",
        "1%20",
        "1%0A",
        "%D9%A1",
        "0x1",
        "--1",
        "a",
        "1a",
    ]
    + ["9" * 5000],
)
def test_no_int(text: str) -> None:
    misses("/{x:int}", f"/{text}")
    misses("/a/{x:int}/b", f"/a/{text}/b")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("-1.5", -1.5),
        ("+1.5", 1.5),
        ("1e5", 1e5),
        ("1.5E-3", 0.0015),
        ("1e+2", 100.0),
        ("%2B1", 1.0),
        ("1e-999", 0.0),
    ],
)
def test_float(text: str, value: float) -> None:
    values = match("/{x:float}", f"/{text}")
    assert values == {"x": value}
    assert type(values["x"]) is float


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nan",
        "inf",
        "-inf",
        "Infinity",
        "1_0.0",
        "%201.0",
        "1e",
        "e5",
        ".",
        "-",
        "1.0.0",
        "0x1p3",
    ]
    + ["%D9%A1", "1,5", "1.5%0A"],
)
def test_no_float(text: str) -> None:
    misses("/{x:float}", f"/{text}")


ID = "12345678-1234-5678-1234-56789abcdef0"


def test_uuid() -> None:
    assert match("/{x:uuid}", f"/{ID}") == {"x": UUID(ID)}
    assert match("/{x:uuid}", f"/{ID.upper()}") == {"x": UUID(ID)}
    misses("/{x:uuid}", "/", f"/{ID}0", f"/{ID[:-1]}", f"/{ID[:-1]}g", "/{" + ID + "}")
    misses("/{x:uuid}", f"/urn:uuid:{ID}")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/f/", ""),
        ("/f/a", "a"),
        ("/f/a/b", "a/b"),
        ("/f/a//b/", "a//b/"),
        ("/f//", "/"),
        ("/f/a%2Fb", "a/b"),
        ("/f/a%20b/%C3%A9", "a b/\xe9"),
        ("/f/%0A/x", "\n/x"),
    ],
)
def test_path(path: str, value: str) -> None:
    assert match("/f/{rest:path}", path) == {"rest": value}


def test_path_needs_what_is_before_it() -> None:
    misses("/f/{rest:path}", "/f", "/", "/fa/b")
    assert match("/{rest:path}", "/") == {"rest": ""}


def test_path_in_any_position() -> None:
    assert match("/{a:path}/edit", "/x/y/edit") == {"a": "x/y"}
    assert match("/{a:path}/edit", "//edit") == {"a": ""}
    assert match("/{a:path}/edit/{b:int}", "/x/edit/edit/7") == {"a": "x/edit", "b": 7}
    assert match("/f/{a:path}.txt", "/f/x/y.txt") == {"a": "x/y"}
    misses("/{a:path}/edit", "/edit", "/x/y/edit/", "/x/y")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-02-29", datetime(2024, 2, 29)),
        ("2024-02-29T12:30:15", datetime(2024, 2, 29, 12, 30, 15)),
        ("2024-02-29T12%3A30%3A15.250000", datetime(2024, 2, 29, 12, 30, 15, 250000)),
        ("2024-02-29T12:30:15Z", datetime(2024, 2, 29, 12, 30, 15, tzinfo=UTC)),
        (
            "2024-02-29T12:30:15%2B02:00",
            datetime(2024, 2, 29, 12, 30, 15, tzinfo=timezone(timedelta(hours=2))),
        ),
    ],
)
def test_datetime(text: str, value: datetime) -> None:
    assert match("/{x:datetime}", f"/{text}") == {"x": value}


def test_no_datetime() -> None:
    misses(
        "/{x:datetime}", "/", "/2023-02-29", "/today", "/2024-13-01", "/2024-02-29%00", "/1", "/%FF"
    )


@pytest.mark.parametrize(
    ("pattern", "path", "value"),
    [
        ("/{x:datetime:%Y-%m-%d}", "/2024-02-29", datetime(2024, 2, 29)),
        ("/{x:datetime:%Y%m%d}", "/20240229", datetime(2024, 2, 29)),
        # What is behind the second colon is the format, with the colons in it.
        ("/{x:datetime:%H:%M:%S}/x", "/12:30:15/x", datetime(1900, 1, 1, 12, 30, 15)),
        ("/{x:datetime:%H:%M}", "/12%3A30", datetime(1900, 1, 1, 12, 30)),
        ("/{x:datetime:%d %b %Y}", "/29%20Feb%202024", datetime(2024, 2, 29)),
        ("/{x:datetime:%d.%m.%Y}.txt", "/29.02.2024.txt", datetime(2024, 2, 29)),
        ("/{x:datetime:{%Y}}", "/%7B2024%7D", datetime(2024, 1, 1)),
        ("/{x:datetime:%Y%%}", "/2024%25", datetime(2024, 1, 1)),
        ("/{x:datetime:%Y/%m}/x", "/2024/02/x", datetime(2024, 2, 1)),
        ("/{x:datetime:%Y%z}", "/2024%2B0000", datetime(2024, 1, 1, tzinfo=UTC)),
        ("/{x:datetime:%Y %Z}", "/2024%20UTC", datetime(2024, 1, 1)),
        ("/{x:datetime:%G-W%V-%u}", "/2024-W09-4", datetime(2024, 2, 29)),
    ],
)
def test_datetime_with_a_format(pattern: str, path: str, value: datetime) -> None:
    assert match(pattern, path) == {"x": value}


def test_no_datetime_of_that_format() -> None:
    misses(
        "/{x:datetime:%Y-%m-%d}", "/2023-02-29", "/2024-2", "/", "/x", "/2024-02-29x", "/2024%2F02"
    )


def test_a_conversion_that_fails_is_no_match() -> None:
    """And the search goes on."""
    router = web.Router()
    router.add_get("/{day:datetime}", handler)
    router.add_get("/{number:int}", handler)
    router.add_get("/{text}", handler)
    infos = [
        dict(router.resolve("GET", f"/{text}").match_info)
        for text in ("2024-02-29", "2023-02-29", "7", "9" * 5000)
    ]
    assert infos == [
        {"day": datetime(2024, 2, 29)},
        {"text": "2023-02-29"},
        {"number": 7},
        {"text": "9" * 5000},
    ]


# --- Regular expressions ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        (r"/{x:\d+}", "/42", {"x": "42"}),
        (r"/{first:\d+}/{second:\d+}", "/6/7", {"first": "6", "second": "7"}),
        (r"/{x:\d{2}}", "/42", {"x": "42"}),
        (r"/{x:[a-z]{1,3}}-{y}", "/abc-d", {"x": "abc", "y": "d"}),
        (r"/{x:a|bc}", "/bc", {"x": "bc"}),
        (r"/{x:a|bc}d", "/ad", {"x": "a"}),
        (r"/{x:(?:ab)+}", "/abab", {"x": "abab"}),
        (r"/{x:(a)(b)}", "/ab", {"x": "ab"}),
        (r"/{t:\d\d:\d\d}", "/12:30", {"t": "12:30"}),
        (r"/{x:[^/]+}", "/a%2Fb", {"x": "a/b"}),
        (r"/{x:.*}", "/", {"x": ""}),
        (r"/{x:.*}", "/a/b", {"x": "a/b"}),
        (r"/{x:.+}/z", "/a/b/z", {"x": "a/b"}),
        (r"/{x:a/b}", "/a/b", {"x": "a/b"}),
        (r"/a{x:(/b)?}", "/a", {"x": ""}),
        (r"/a{x:(/b)?}", "/a/b", {"x": "/b"}),
        (r"/{x:[A-Z]\w*}", "/Bob", {"x": "Bob"}),
        (r"/{x:\w+}", "/%C3%A9", {"x": "\xe9"}),
        (r"/{x:(?i:abc)}", "/aBc", {"x": "aBc"}),
        (r"/{x:\s}", "/%20", {"x": " "}),
        (r"/{x:str|int}", "/int", {"x": "int"}),
    ],
)
def test_regular_expressions(pattern: str, path: str, values: dict[str, str]) -> None:
    assert match(pattern, path) == values


def test_a_regular_expression_matches_the_whole() -> None:
    misses(r"/{x:\d+}", "/", "/4a", "/a4", "/4/", "/4/5", "/4%0A", "/-4")
    misses(r"/{x:a|bc}d", "/a", "/bc", "/abcd")
    misses(r"/{x:\d{2}}", "/1", "/123")


@pytest.mark.parametrize(
    ("pattern", "path", "value"),
    [
        (r"/{x:\d+%}", "/50%25", "50%"),
        (r"/{x:.}", "/%25", "%"),
        (r"/{x:[^%]+}", "/a", "a"),
        (r"/{x:.{3}}", "/%252", None),
        (r"/{x:.{2}}", "/%252", "%2"),
        (r"/{x:\d+}", "/%2525", None),
    ],
)
def test_a_regular_expression_sees_what_was_decoded(
    pattern: str, path: str, value: str | None
) -> None:
    assert match(pattern, path) == (None if value is None else {"x": value})


def test_names_of_converters_win() -> None:
    """``{x:int}`` is the converter, not the text "int"."""
    misses("/{x:int}", "/int")
    assert match("/{x:(?:int)}", "/int") == {"x": "int"}


def test_compiled_patterns() -> None:
    assert match(re.compile(r"/\d+/?"), "/42") == {}
    assert match(re.compile(r"/\d+/?"), "/42/") == {}
    misses(re.compile(r"/\d+/?"), "/42x", "/x42", "/42//", "/42/%0A", "/")
    named = re.compile(r"/(?P<a>\d+)/(?P<b>[^/]+)")
    assert match(named, "/1/b%20c") == {"a": "1", "b": "b c"}
    assert match(named, "/1/b%2Fc") == {"a": "1", "b": "b/c"}
    assert match(re.compile("/abc", re.IGNORECASE), "/aBC") == {}
    assert match(re.compile("/caf\xe9"), "/caf%C3%A9") == {}
    assert match(re.compile("/(a)(?P<b>b)"), "/ab") == {"b": "b"}
    # It decides about everything, also about how a path begins.
    assert match(re.compile(".*"), "/a/b") == {}
    assert match(re.compile(r"/(?P<p>\d+%)"), "/50%25") == {"p": "50%"}


def test_a_group_that_takes_no_part() -> None:
    assert match(re.compile(r"/a(?:/(?P<b>\d+))?"), "/a") == {"b": None}
    assert match(re.compile(r"/a(?:/(?P<b>\d+))?"), "/a/%31") == {"b": "1"}


# --- Slashes at the end -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("/a", "/a/", {}),
        ("/a", "/a///", {}),
        ("/a/", "/a", {}),
        ("/a//", "/a/", {}),
        ("/", "/", {}),
        ("/", "//", {}),
        ("/{x}", "/a/", {"x": "a"}),
        ("/{x}/", "/a", {"x": "a"}),
        ("/f/{x:path}", "/f/a/b/", {"x": "a/b"}),
        (re.compile("/a"), "/a/", {}),
    ],
)
def test_trim_last_slash(pattern: Any, path: str, values: dict[str, str]) -> None:
    assert match(pattern, path, trim_last_slash=True) == values


def test_trim_last_slash_and_no_other() -> None:
    for pattern, path in (
        ("/a", "//a"),
        ("/a/b", "/a//b"),
        ("/a", "/a%2F"),
        ("/{x}", "/"),
        ("/a", "/"),
    ):
        assert match(pattern, path, trim_last_slash=True) is None, pattern


# --- What is no pattern -------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a",
        "a/b",
        "{x}",
        "http://a.test/",
        "/{",
        "/}",
        "/{x",
        "/x}",
        "/{x}}",
        "/{{x}",
        "/{{x}}",
        "/{}",
        "/{:int}",
        "/{1}",
        "/{a b}",
        "/{ a}",
        "/{a-b}",
        "/{a.b}",
        "/{\xe9}",
        "/{x}/{x}",
        "/{x}{x:int}",
        "/{x:integer}",
        "/{x:Int}",
        "/{x:abc}",
        "/{x:foo_1}",
        "/{x:int:5}",
        "/{x:foo:%Y}",
        "/{x:(}",
        "/{x:[a}",
        "/{x:*}",
        r"/{x:\d{2}",
        r"/{x:(?P<y>a)}",
        "/{x:datetime:%}",
        "/{x:datetime:%Q}",
        "/{x:datetime:%Y%Y}",
        "/a?b",
        "/a#b",
        "/{x}?y={y}",
    ],
)
def test_bad_patterns(pattern: str) -> None:
    for add in (web.Router().add_get, web.Router().add_websocket):
        with pytest.raises(ValueError) as caught:  # noqa: PT011  # the name of the route is all they have in common
            add(pattern, handler)
        assert type(caught.value) is ValueError
        assert repr(pattern) in str(caught.value)


@pytest.mark.parametrize("pattern", [None, b"/a", 1, ["/a"], re.compile(b"/a")])
def test_no_patterns_at_all(pattern: Any) -> None:
    router = web.Router()
    with pytest.raises(TypeError):
        router.add_get(pattern, handler)
    assert router.routes() == ()


# --- How long it takes --------------------------------------------------------------------

MANY = 100_000


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/{v:float}", "1" * MANY + "x"),
        ("/{v:float}", "1." + "1" * MANY + "x"),
        ("/{v:float},{w:float}", "1" * MANY + "x"),
        ("/{v:float}{w:float}", "1" * 1399 + "x"),
        ("/{name}-{version}-{arch}.rpm", "-" * MANY),
        ("/{a}-{b}.html", "-" * MANY),
        ("/{a}-{b}-{c}-{d}-{e}-{f}-{g}", "-" * MANY + "/"),
        ("/{a}{b:int}", "1" * MANY + "x"),
        ("/{a}{b:int}", "1" * 1399 + "x"),
        ("/{a}{b:int}{c:int}", "1" * 179 + "x"),
        ("/{a}{b:int}{c:int}{d:int}", "1" * 69 + "x"),
        ("/{a}{b:int}{c:int}{d:int}{e:int}", "1" * 41 + "x"),
        ("/{a}{b:int}{c:int}{d:int}{e:int}{f:int}{g:int}", "1" * 23 + "x"),
        # Not the ways of one segment times those of the next.
        ("/{a}{b:int}/{c}{d:int}", f"{'1' * 1400}/{'1' * 1399}x"),
        ("/{a}{b:int}{c:int}/{d}{e:int}{f:int}", f"{'1' * 180}/{'1' * 179}x"),
        ("/{a:path}/{b:path}.txt", "/" * MANY),
        ("/{a:path}/{b:path}.txt", "/" * 1399),
        ("/{a:path}/{b:path}/{c:path}.txt", "/" * MANY),
        ("/{a:path}/{b:path}/{c:path}.txt", "/" * 179),
        ("/{a:path}/{b:path}/{c:path}/{d:path}.txt", "/" * 69),
        ("/{a:path}/{b:path}/{c:path}/{d:path}/{e:path}/{f:path}/{g:path}.txt", "/" * 70),
        ("/{a:path}/{b}-{c}/x", "-/" * MANY),
        ("/{a:path}.txt", ".txt" * MANY + "x"),
    ],
)
@pytest.mark.usefixtures("untraced")
def test_no_path_takes_long(pattern: str, path: str) -> None:
    """What takes steps like a power of the length does not come back within a test's limit."""
    misses(pattern, "/" + path)


@pytest.mark.parametrize(
    ("pattern", "longest"),
    [
        ("/{a}{b:int}", 1400),
        ("/{a}{b:int}{c:int}", 180),
        ("/{a}{b:int}{c:int}{d:int}", 70),
        ("/{a}{b:int}{c:int}{d:int}{e:int}", 42),
        ("/{a}{b:int}{c:int}{d:int}{e:int}{f:int}", 24),
    ],
)
def test_a_segment_of_several_variables_has_a_limit(pattern: str, longest: int) -> None:
    """And no path of many segments."""
    long = "-" * longest
    for length, matches in ((longest, True), (longest + 1, False)):
        path = "/" + "1" * length
        assert (match(pattern, path) is not None) is matches
        assert (match(f"/{{x}}{pattern}", f"/{long}{path}") is not None) is matches
        assert (match(f"{pattern}/{{y}}-{{z}}", f"{path}/{long}") is not None) is matches


@pytest.mark.parametrize(
    ("pattern", "longest"),
    [
        ("/{a:path}/{b:path}", 1400),
        ("/{a:path}/{b:path}/{c:path}", 180),
        ("/{a:path}/{b:path}/{c:path}/{d:path}", 70),
        ("/{a:path}/x/{b}{c:int}", 1400),
    ],
)
def test_a_path_of_several_paths_has_a_limit(pattern: str, longest: int) -> None:
    end = "/x/11"
    for length in (longest, longest + 1):
        path = "/a" + "/" * (length - 2 - len(end)) + end
        assert len(path) == length
        assert (match(pattern, path) is not None) is (length == longest)


def test_one_variable_and_text_have_no_limit() -> None:
    long = "x" * 5000
    assert match("/{a}", f"/{long}") == {"a": long}
    assert match("/{a}-{b}.{c}/{d}", f"/{long}-{long}.c/{long}") == {
        "a": long,
        "b": long,
        "c": "c",
        "d": long,
    }
    assert match("/{a:path}.txt", f"/{long}/{long}.txt") == {"a": f"{long}/{long}"}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["", "", "-", ".", "a", "--", "-a"]), min_size=3, max_size=5),
    st.lists(st.sampled_from([*"-.ab", "--", "%2F", "%2d"]), max_size=9),
    st.sampled_from([("", ""), ("/x{y}", ""), ("", "/{z:int}"), ("/{y}", "/end")]),
)
def test_several_variables_are_as_greedy_as_a_regular_expression(
    texts: list[str], pieces: list[str], around: tuple[str, str]
) -> None:
    names = "pqrs"[: len(texts) - 1]
    before, after = around
    pattern = f"{before}/{texts[0]}"
    regex = re.escape(texts[0])
    for name, behind in zip(names, texts[1:], strict=True):
        pattern += f"{{{name}}}{behind}"
        regex += f"(?P<{name}>[^/]+){re.escape(behind)}"
    path = before.replace("{y}", "y") + "/" + "".join(pieces) + after.replace("{z:int}", "7")
    # A slash within the segment is none that ends it.
    segment = unquote("".join(pieces).replace("%2F", "|"))
    found = re.fullmatch(regex, segment)
    expected = None
    if found is not None:
        expected = {name: value.replace("|", "/") for name, value in found.groupdict().items()}
    values = match(pattern + after, path)
    assert (None if values is None else {name: values[name] for name in names}) == expected


# --- All kinds of text --------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@settings(deadline=None)
@given(TEXT)
def test_round_trip_of_text(text: str) -> None:
    assert match("/{x}", "/" + quote(text, safe="")) == {"x": text}
    assert match("/a/{x}/b", f"/a/{quote(text, safe='')}/b") == {"x": text}
    assert match("/{x:path}", "/" + quote(text)) == {"x": text}
    assert match(re.compile("(?s)/(?P<x>.*)"), "/" + quote(text, safe="")) == {"x": text}


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4))
def test_round_trip_of_segments(texts: list[str]) -> None:
    names = string.ascii_lowercase[: len(texts)]
    pattern = "".join(f"/{{{name}}}" for name in names)
    path = "".join("/" + quote(text, safe="") for text in texts)
    assert match(pattern, path) == dict(zip(names, texts, strict=True))


@settings(deadline=None)
@given(TEXT)
def test_text_matches_itself(text: str) -> None:
    """Percent-encoded in the pattern or not, with every byte encoded or only those that must be."""
    encoded = quote(text, safe="")
    every = "".join(f"%{byte:02x}" for byte in text.encode())
    patterns = [encoded, every]
    if not set("{}%/?#") & set(text):
        patterns.append(text)
    for pattern in patterns:
        for path in (encoded, every):
            assert match(f"/{pattern}", f"/{path}") == {}
            assert match(f"/{pattern}/{{x}}", f"/{path}/x") == {"x": "x"}


@settings(deadline=None)
@given(st.integers())
def test_round_trip_of_ints(value: int) -> None:
    assert match("/{x:int}", f"/{value}") == {"x": value}


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_round_trip_of_floats(value: float) -> None:
    assert match("/{x:float}", f"/{value!r}") == {"x": value}


@settings(deadline=None)
@given(st.uuids())
def test_round_trip_of_uuids(value: UUID) -> None:
    assert match("/{x:uuid}", f"/{value}") == {"x": value}


@settings(deadline=None)
@given(st.datetimes(timezones=st.none() | st.just(UTC)))
def test_round_trip_of_datetimes(value: datetime) -> None:
    assert match("/{x:datetime}", f"/{quote(value.isoformat())}") == {"x": value}
    if value.year >= 1000 and value.tzinfo is None:
        format = "%Y %j %H:%M:%S.%f"
        text = quote(value.strftime(format), safe="")
        assert match(f"/{{x:datetime:{format}}}", f"/{text}") == {"x": value}


@settings(deadline=None)
@given(
    st.sampled_from(
        ["int", "float", "uuid", "datetime", "datetime:%Y-%m-%d", "datetime:%z", r"\d+"]
    ),
    st.text(st.characters(exclude_characters="?#"), max_size=12)
    | st.text("0123456789-+.eE_: T", max_size=12),
)
def test_whatever_comes_is_a_match_or_none(converter: str, text: str) -> None:
    """Nothing that a client sends raises anything else."""
    raw = text.encode("utf-8", "surrogatepass").decode("latin-1")
    path = "/" + quote(raw, safe="", encoding="latin-1")
    values = match(f"/{{x:{converter}}}", path)
    assert values is None or list(values) == ["x"]


@settings(deadline=None)
@given(st.text("%2F2f5Aa/ \xe9", max_size=12))
def test_odd_percent_signs(text: str) -> None:
    """They never keep a path from matching what takes everything."""
    values = match("/{x:path}", "/" + quote(text, safe="/%"))
    assert values is not None
