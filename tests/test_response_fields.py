"""Header fields and cookies of responses, as properties; nothing here needs a connection."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta, timezone
from http.cookies import CookieError, SimpleCookie

import pytest
from multidict import CIMultiDict, CIMultiDictProxy, MultiDict

import lowlevel as web

BOTH = pytest.mark.parametrize("kind", [web.StreamResponse, web.Response])


def set_cookies(response: web.StreamResponse) -> list[str]:
    return [morsel.OutputString() for morsel in response.cookies.values()]


# Headers.


@BOTH
def test_headers_is_one_live_case_insensitive_multidict(kind: type[web.StreamResponse]) -> None:
    response = kind()
    assert isinstance(response.headers, CIMultiDict)
    assert response.headers is response.headers
    response.headers["X-One"] = "1"
    response.headers.add("x-one", "2")
    assert response.headers.getall("X-ONE") == ["1", "2"]


@BOTH
@pytest.mark.parametrize(
    "given",
    [
        {"X-One": "1"},
        MultiDict({"X-One": "1"}),
        CIMultiDict({"X-One": "1"}),
        CIMultiDictProxy(CIMultiDict({"X-One": "1"})),
        [("X-One", "1")],
        (("X-One", "1"),),
    ],
    ids=["dict", "MultiDict", "CIMultiDict", "proxy", "list", "tuple"],
)
def test_headers_may_be_given_in_any_form(kind: type[web.StreamResponse], given: object) -> None:
    assert list(kind(headers=given).headers.items()) == [("X-One", "1")]


@BOTH
def test_given_headers_are_never_changed(kind: type[web.StreamResponse]) -> None:
    given = CIMultiDict({"X-One": "1"})
    response = kind(headers=given)
    response.headers["X-Two"] = "2"
    response.content_type = "text/html"
    assert given == CIMultiDict({"X-One": "1"})


@BOTH
def test_repeated_pairs_all_stay(kind: type[web.StreamResponse]) -> None:
    response = kind(headers=[("Vary", "a"), ("vary", "b")])
    assert response.headers.getall("Vary") == ["a", "b"]


@BOTH
@pytest.mark.parametrize(
    "attribute", ["headers", "cookies", "status", "reason", "prepared", "task"]
)
def test_what_cannot_be_assigned(kind: type[web.StreamResponse], attribute: str) -> None:
    with pytest.raises(AttributeError):
        setattr(kind(), attribute, None)


# Content-Type.


@BOTH
def test_without_a_type_it_reads_as_octet_stream(kind: type[web.StreamResponse]) -> None:
    response = kind()
    assert response.content_type == "application/octet-stream"
    assert response.charset is None
    assert "Content-Type" not in response.headers


@BOTH
def test_content_type_and_charset_go_over_the_headers(kind: type[web.StreamResponse]) -> None:
    response = kind()
    response.content_type = "text/html"
    assert response.headers["Content-Type"] == "text/html"
    response.charset = "KOI8-R"
    assert response.charset == "koi8-r"
    assert response.headers["Content-Type"] == "text/html; charset=koi8-r"
    response.content_type = "text/css"
    assert response.headers["Content-Type"] == "text/css; charset=koi8-r"
    response.charset = None
    assert response.headers["Content-Type"] == "text/css"
    response.headers["Content-Type"] = "Text/Plain; Charset=Latin-1; x=1"
    assert (response.content_type, response.charset) == ("text/plain", "Latin-1")


@BOTH
@pytest.mark.parametrize("value", ["utf-8", None])
def test_octet_stream_has_no_charset(kind: type[web.StreamResponse], value: str | None) -> None:
    response = kind()
    with pytest.raises(RuntimeError, match="application/octet-stream"):
        response.charset = value
    assert "Content-Type" not in response.headers


def test_other_parameters_stay() -> None:
    response = web.StreamResponse(headers={"Content-Type": "text/html; v=1; charset=a"})
    response.charset = "b"
    assert response.headers["Content-Type"] == "text/html; v=1; charset=b"


@pytest.mark.parametrize("value", ["", "garbage", "/", "text", "; charset=utf-8"])
def test_a_type_that_cannot_be_read_is_octet_stream(value: str) -> None:
    response = web.StreamResponse(headers={"Content-Type": value})
    assert response.content_type == "application/octet-stream"


def test_type_of_a_text_before_anybody_asked_for_headers() -> None:
    response = web.Response(text="x", content_type="text/html")
    assert (response.content_type, response.charset) == ("text/html", "utf-8")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert list(response.headers) == ["Content-Type"]


# Content-Length.


def test_content_length() -> None:
    response = web.StreamResponse()
    assert response.content_length is None
    response.content_length = 5
    assert (response.content_length, response.headers["Content-Length"]) == (5, "5")
    response.content_length = None
    assert response.content_length is None
    assert "Content-Length" not in response.headers
    response.content_length = None


def test_content_length_of_chunks_cannot_be_set() -> None:
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    with pytest.raises(RuntimeError, match="chunked"):
        response.content_length = 5
    response.content_length = None
    assert response.content_length is None


@pytest.mark.parametrize("value", [5, None])
def test_content_length_of_a_whole_response_cannot_be_set(value: int | None) -> None:
    with pytest.raises(RuntimeError, match="automatically"):
        web.Response().content_length = value


@pytest.mark.parametrize("kind", [web.StreamResponse, web.Response])
def test_chunks_with_a_content_length_are_refused(kind: type[web.StreamResponse]) -> None:
    response = kind(headers={"Content-Length": "5"})
    with pytest.raises(RuntimeError, match="content length"):
        response.enable_chunked_encoding()
    assert not response.chunked


def test_chunk_size_is_deprecated() -> None:
    response = web.StreamResponse()
    with pytest.warns(DeprecationWarning, match="Chunk size"):
        response.enable_chunked_encoding(8192)
    assert response.chunked


# Last-Modified.


@BOTH
@pytest.mark.parametrize(
    ("value", "field"),
    [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (638493865, "Mon, 26 Mar 1990 23:24:25 GMT"),
        (638493864.1, "Mon, 26 Mar 1990 23:24:25 GMT"),
        (638493865.0, "Mon, 26 Mar 1990 23:24:25 GMT"),
        (datetime(1990, 3, 26, 23, 24, 25, tzinfo=UTC), "Mon, 26 Mar 1990 23:24:25 GMT"),
        (datetime(1990, 3, 26, 23, 24, 25), "Mon, 26 Mar 1990 23:24:25 GMT"),
        (datetime(1990, 3, 26, 23, 24, 59, 1, tzinfo=UTC), "Mon, 26 Mar 1990 23:25:00 GMT"),
        (
            datetime(1990, 3, 27, 1, 24, 25, tzinfo=timezone(timedelta(hours=2))),
            "Mon, 26 Mar 1990 23:24:25 GMT",
        ),
        ("Mon, 26 Mar 1990 23:24:25 GMT", "Mon, 26 Mar 1990 23:24:25 GMT"),
    ],
)
def test_last_modified(kind: type[web.StreamResponse], value: object, field: str) -> None:
    response = kind()
    assert response.last_modified is None
    response.last_modified = value
    assert response.headers["Last-Modified"] == field
    assert response.last_modified is not None
    assert response.last_modified.tzinfo is UTC
    assert response.last_modified.strftime("%a, %d %b %Y %H:%M:%S GMT") == field
    response.last_modified = None
    assert "Last-Modified" not in response.headers


def test_last_modified_that_is_no_date_reads_as_none() -> None:
    assert web.StreamResponse(headers={"Last-Modified": "yesterday"}).last_modified is None


@pytest.mark.parametrize("value", [b"x", object(), [1]])
def test_last_modified_of_another_type(value: object) -> None:
    with pytest.raises(
        TypeError, match=f"Unsupported type for last_modified: {type(value).__name__}"
    ):
        web.StreamResponse().last_modified = value


# ETag.


@BOTH
@pytest.mark.parametrize(
    ("value", "field", "read"),
    [
        ("abc", '"abc"', web.ETag("abc")),
        ("", '""', web.ETag("")),
        ("*", "*", web.ETag("*")),
        (web.ETag("abc"), '"abc"', web.ETag("abc")),
        (web.ETag("abc", is_weak=True), 'W/"abc"', web.ETag("abc", is_weak=True)),
        (web.ETag("*"), "*", web.ETag("*")),
    ],
)
def test_etag(kind: type[web.StreamResponse], value: object, field: str, read: web.ETag) -> None:
    response = kind()
    assert response.etag is None
    response.etag = value
    assert response.headers["ETag"] == field
    assert response.etag == read
    response.etag = None
    assert response.etag is None
    assert "ETag" not in response.headers


@pytest.mark.parametrize(
    "value",
    [
        'a"b',
        '"abc"',
        "кириллица",
        "a b",
        "a\r\nX: y",
        "a\0",
        "\x7f",
        web.ETag('"'),
        web.ETag('a"', is_weak=True),
    ],
)
def test_values_that_are_no_etags(value: object) -> None:
    response = web.StreamResponse()
    with pytest.raises(ValueError, match="is not a valid etag"):
        response.etag = value
    assert "ETag" not in response.headers


@pytest.mark.parametrize("value", [5, b"x", object(), web.ETag(5)])  # type: ignore[arg-type]
def test_types_that_are_no_etags(value: object) -> None:
    with pytest.raises(ValueError, match="Unsupported etag type"):
        web.StreamResponse().etag = value


@pytest.mark.parametrize("field", ["abc", '"abc', 'abc"', '"a", "b"', '"∀ x ∉ ascii"', ""])
def test_malformed_etags_read_as_none(field: str) -> None:
    assert web.StreamResponse(headers={"ETag": field}).etag is None


# Cookies.


@BOTH
def test_cookies_is_one_simple_cookie(kind: type[web.StreamResponse]) -> None:
    response = kind()
    assert isinstance(response.cookies, SimpleCookie)
    assert response.cookies is response.cookies
    assert not response.cookies


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "n=v; Path=/"),
        ({"path": "/p"}, "n=v; Path=/p"),
        ({"domain": "e.org"}, "n=v; Domain=e.org; Path=/"),
        ({"max_age": 10}, "n=v; Max-Age=10; Path=/"),
        ({"max_age": "10"}, "n=v; Max-Age=10; Path=/"),
        ({"max_age": 0}, "n=v; Max-Age=0; Path=/"),
        ({"expires": "123"}, "n=v; expires=123; Path=/"),
        ({"secure": True}, "n=v; Path=/; Secure"),
        ({"httponly": True}, "n=v; HttpOnly; Path=/"),
        ({"secure": False, "httponly": False}, "n=v; Path=/"),
        ({"samesite": "Lax"}, "n=v; Path=/; SameSite=Lax"),
        ({"version": "2.0"}, "n=v; Path=/; Version=2.0"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_set_cookie(options: dict[str, object], text: str) -> None:
    response = web.Response()
    response.set_cookie("n", "v", **options)
    assert set_cookies(response) == [text]


def test_attributes_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        web.Response().set_cookie("n", "v", "/")  # type: ignore[misc]


@pytest.mark.parametrize(
    ("value", "text"),
    [("", '""'), (5, "5"), ("a b", '"a b"'), ('q"u', '"q\\"u"'), ("a;b", '"a\\073b"')],
)
def test_values_of_cookies_are_quoted_where_needed(value: object, text: str) -> None:
    response = web.Response()
    response.set_cookie("n", value)  # type: ignore[arg-type]
    assert set_cookies(response) == [f"n={text}; Path=/"]


def test_partitioned_needs_a_python_that_knows_it() -> None:
    response = web.Response()
    if sys.version_info >= (3, 14):
        response.set_cookie("n", "v", partitioned=True)
        assert set_cookies(response) == ["n=v; Partitioned; Path=/"]
    else:
        with pytest.raises(CookieError):
            response.set_cookie("n", "v", partitioned=True)


def test_several_cookies_keep_their_order() -> None:
    response = web.Response()
    for name in "zab":
        response.set_cookie(name, "1")
    response.set_cookie("z", "2")
    assert set_cookies(response) == ["z=2; Path=/", "a=1; Path=/", "b=1; Path=/"]


def test_setting_again_drops_the_lifetime_and_keeps_the_rest() -> None:
    response = web.Response()
    response.set_cookie("n", "1", max_age=10, domain="e.org", secure=True, path="/p")
    response.set_cookie("n", "2")
    assert set_cookies(response) == ["n=2; Domain=e.org; Path=/; Secure"]


def test_setting_again_keeps_a_given_expiry() -> None:
    response = web.Response()
    response.set_cookie("n", "1", expires="Mon, 26 Mar 1990 23:24:25 GMT")
    response.set_cookie("n", "2")
    assert set_cookies(response) == ["n=2; expires=Mon, 26 Mar 1990 23:24:25 GMT; Path=/"]


def test_del_cookie() -> None:
    response = web.Response()
    response.del_cookie("n")
    assert set_cookies(response) == [
        'n=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/'
    ]


def test_del_cookie_with_everything() -> None:
    response = web.Response()
    response.del_cookie(
        "n", domain="e.org", path="/p", secure=True, httponly=True, samesite="Strict"
    )
    assert set_cookies(response) == [
        'n=""; Domain=e.org; expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Max-Age=0; Path=/p; '
        "SameSite=Strict; Secure"
    ]


def test_del_cookie_forgets_what_was_set() -> None:
    response = web.Response()
    response.set_cookie("n", "v", domain="e.org", secure=True)
    response.del_cookie("n")
    assert set_cookies(response) == [
        'n=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/'
    ]


def test_a_cookie_set_after_its_deletion_lives() -> None:
    response = web.Response()
    response.del_cookie("n")
    response.set_cookie("n", "v")
    assert set_cookies(response) == ["n=v; Path=/"]


@pytest.mark.parametrize("name", ["a b", "", "a;", "a,b", "path", "a\r\nX", "é"])
def test_names_that_cookies_cannot_have(name: str) -> None:
    with pytest.raises(CookieError):
        web.Response().set_cookie(name, "v")


@pytest.mark.parametrize("bad", ["\r", "\n", "\0", "a\r\nSet-Cookie: x=y"])
@pytest.mark.parametrize(
    "where", ["value", "path", "domain", "expires", "max_age", "samesite", "version"]
)
def test_cookies_that_would_inject_a_header_are_refused(where: str, bad: str) -> None:
    response = web.Response()
    options = {} if where == "value" else {where: bad}
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        response.set_cookie("n", bad if where == "value" else "v", **options)
    assert set_cookies(response) == []


def test_deleting_with_a_path_that_would_inject_a_header_is_refused() -> None:
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        web.Response().del_cookie("n", path="/\r\nX: y")
