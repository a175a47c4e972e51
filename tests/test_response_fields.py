"""Header fields and cookies of responses, as properties; nothing here needs a connection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from http.cookies import CookieError, SimpleCookie
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy, MultiDict

import lowlevel as web
from tests.support import Answer, Peer, request, serving

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


def test_partitioned_is_known_to_every_python() -> None:
    response = web.Response()
    response.set_cookie("n", "v", partitioned=True)
    assert set_cookies(response) == ["n=v; Partitioned; Path=/"]
    response.set_cookie("n", "w")
    assert set_cookies(response) == ["n=w; Partitioned; Path=/"]
    response.set_cookie("n", "w", partitioned=False)
    assert set_cookies(response) == ["n=w; Path=/"]


def test_partitioned_of_a_cookie_set_by_hand() -> None:
    response = web.Response()
    response.cookies["n"] = "v"
    response.cookies["n"]["partitioned"] = True
    assert set_cookies(response) == ["n=v; Partitioned"]
    response.set_cookie("n", "w", path="/p")
    assert set_cookies(response) == ["n=w; Partitioned; Path=/p"]


MOMENT = datetime(2021, 6, 9, 10, 18, 14, 999999, tzinfo=UTC)


@pytest.mark.parametrize(
    "expires",
    [MOMENT, MOMENT.replace(tzinfo=None), MOMENT.astimezone(timezone(timedelta(hours=-3)))],
)
def test_expires_of_a_datetime(expires: datetime) -> None:
    response = web.Response()
    response.set_cookie("n", "v", expires=expires)
    assert set_cookies(response) == ["n=v; expires=Wed, 09 Jun 2021 10:18:14 GMT; Path=/"]


@pytest.mark.parametrize(
    ("max_age", "seconds"),
    [(timedelta(days=1), 86400), (timedelta(seconds=1.9), 1), (timedelta(0), 0)],
)
def test_max_age_of_a_timedelta(max_age: timedelta, seconds: int) -> None:
    response = web.Response()
    response.set_cookie("n", "v", max_age=max_age)
    assert set_cookies(response) == [f"n=v; Max-Age={seconds}; Path=/"]


@pytest.mark.parametrize(
    ("given", "written"), [("lax", "Lax"), ("STRICT", "Strict"), ("None", "None"), ("nONE", "None")]
)
def test_samesite_in_any_case(given: str, written: str) -> None:
    response = web.Response()
    response.set_cookie("n", "v", samesite=given)
    assert set_cookies(response) == [f"n=v; Path=/; SameSite={written}"]


@pytest.mark.parametrize("value", ["no", "Laxest", " Lax"])
def test_values_that_samesite_does_not_have(value: str) -> None:
    response = web.Response()
    with pytest.raises(ValueError, match="samesite must be"):
        response.set_cookie("n", "v", samesite=value)
    with pytest.raises(ValueError, match="samesite must be"):
        response.del_cookie("n", samesite=value)
    assert set_cookies(response) == []


def test_an_empty_samesite_takes_it_away() -> None:
    response = web.Response()
    response.set_cookie("n", "v", samesite="Lax")
    response.set_cookie("n", "v", samesite="")
    assert set_cookies(response) == ["n=v; Path=/"]


# 6265bis §4.1.3: prefixes of names.


@pytest.mark.parametrize("name", ["__Secure-n", "__Host-n", "__SECURE-n", "__host-n"])
def test_names_with_a_prefix_must_be_secure(name: str) -> None:
    response = web.Response()
    for secure in (None, False):
        with pytest.raises(ValueError, match="needs secure=True"):
            response.set_cookie(name, "v", secure=secure)
    assert set_cookies(response) == []
    response.set_cookie(name, "v", secure=True)
    # What lasts, counts.
    response.set_cookie(name, "w")
    assert set_cookies(response) == [f"{name}=w; Path=/; Secure"]
    with pytest.raises(ValueError, match="needs secure=True"):
        response.set_cookie(name, "x", secure=False)
    assert set_cookies(response) == [f"{name}=w; Path=/; Secure"]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"path": "/p"}, "needs path='/'"), ({"domain": "e.org"}, "must have no domain")],
)
def test_the_prefix_of_one_host(options: dict[str, str], message: str) -> None:
    response = web.Response()
    with pytest.raises(ValueError, match=message):
        response.set_cookie("__Host-n", "v", secure=True, **options)
    with pytest.raises(ValueError, match=message):
        response.del_cookie("__Host-n", **options)
    assert set_cookies(response) == []
    response.set_cookie("__Secure-n", "v", secure=True, **options)
    assert len(set_cookies(response)) == 1


def test_a_domain_set_by_hand_counts() -> None:
    response = web.Response()
    response.cookies["__Host-n"] = "v"
    response.cookies["__Host-n"]["domain"] = "e.org"
    with pytest.raises(ValueError, match="must have no domain"):
        response.set_cookie("__Host-n", "w", secure=True)


@pytest.mark.parametrize("name", ["__Secure-n", "__Host-n", "__hOST-n"])
def test_deleting_a_name_with_a_prefix_is_secure_by_itself(name: str) -> None:
    response = web.Response()
    response.del_cookie(name)
    assert set_cookies(response) == [
        f'{name}=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; Secure'
    ]
    with pytest.raises(ValueError, match="needs secure=True"):
        response.del_cookie(name, secure=False)


def test_deleting_a_partitioned_cookie() -> None:
    response = web.Response()
    response.del_cookie("n", partitioned=True, secure=True)
    assert set_cookies(response) == [
        'n=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Partitioned; Path=/; Secure'
    ]


def test_what_is_refused_leaves_the_cookie_as_it_was() -> None:
    response = web.Response()
    response.set_cookie("n", "v", max_age=10)
    for options in ({"path": "/\r"}, {"path": "/;"}, {"samesite": "no"}):
        with pytest.raises(ValueError, match=r"CR, LF|semicolon|samesite"):
            response.set_cookie("n", "w", **options)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"CR, LF|semicolon|samesite"):
            response.del_cookie("n", **options)  # type: ignore[arg-type]
    assert set_cookies(response) == ["n=v; Max-Age=10; Path=/"]


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


# Faults of peers.


@pytest.mark.parametrize("evil", [";", "/; Domain=evil", "a; Secure", "\x01", "\t", "\x7f"])
@pytest.mark.parametrize("where", ["path", "domain", "expires", "max_age", "samesite", "version"])
def test_cve_2024_47764_an_attribute_cannot_become_two(where: str, evil: str) -> None:
    """The cookie package of npm wrote names, paths and domains as they were, with attributes in them."""
    response = web.Response()
    options: dict[str, Any] = {where: evil}
    with pytest.raises(ValueError, match="control character or a semicolon"):
        response.set_cookie("n", "v", **options)
    assert set_cookies(response) == []


async def ask(handler: object, target: str = "/") -> Answer:
    async with serving(handler) as server, Peer.connect(server.port) as peer:
        return await peer.ask(request("GET", target))


async def test_cve_2016_9964_a_redirect_injects_no_field() -> None:
    """Bottle sent line breaks in a Location, which is often made of what the client asked for."""

    async def handler(request: web.BaseRequest) -> web.Response:
        raise web.HTTPFound(request.query["to"])

    answer = await ask(handler, "/?to=/%0d%0aX-Evil:%201%0d%0a%0d%0a<script>")
    assert answer.status in (302, 500)
    assert "x-evil" not in answer.headers
    assert b"<script>" not in answer.body


@pytest.mark.parametrize("evil", ["1\r\nX-Evil: 1", "1\nX-Evil: 1", "1\rX-Evil: 1", "1\0"])
@pytest.mark.parametrize("where", ["name", "value", "content type", "etag", "charset"])
async def test_cve_2026_0865_fields_inject_no_field(
    where: str, evil: str, caplog: pytest.LogCaptureFixture
) -> None:
    """wsgiref took line breaks in names and values of header fields."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        match where:
            case "name":
                response.headers[f"X-{evil}"] = "1"
            case "value":
                response.headers["X-Name"] = evil
            case "content type":
                response.content_type = f"text/{evil}"
            case "charset":
                response.content_type = "text/plain"
                response.charset = evil
            case "etag":
                response.headers["ETag"] = f'"{evil}"'
        await response.prepare(request)
        return response

    answer = await ask(handler)
    assert answer.status == 500
    assert b"x-evil" not in answer.head.lower()
    assert "ValueError" in caplog.text


@pytest.mark.parametrize("evil", ["OK\r\nX-Evil: 1", "OK\nX-Evil: 1", "OK\rX-Evil: 1"])
def test_cve_2026_34519_a_reason_injects_no_field(evil: str) -> None:
    """aiohttp let line breaks through in the reason of a Response."""
    with pytest.raises(ValueError, match="Reason cannot contain"):
        web.Response(reason=evil)
    with pytest.raises(ValueError, match="Reason cannot contain"):
        web.Response().set_status(200, evil)
    with pytest.raises(ValueError, match="Reason cannot contain"):
        web.HTTPOk(reason=evil)
