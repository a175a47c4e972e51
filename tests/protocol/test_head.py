"""lowlevel.protocol.head: what is worked out of a raw head, and when."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from lowlevel.protocol.head import (
    _COMMON_NAMES,
    HttpVersion,
    HttpVersion10,
    HttpVersion11,
    RequestHead,
    decode_fields,
    parse_target,
)

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def head(
    method: str = "GET",
    target: bytes = b"/",
    *fields: tuple[bytes, bytes],
    keep_alive: bool = True,
) -> RequestHead:
    return RequestHead(method, target, HttpVersion11, list(fields), keep_alive)


# --- Versions -------------------------------------------------------------------------------------


def test_versions() -> None:
    """RFC 9112 §2.3."""
    assert HttpVersion11 == (1, 1) == HttpVersion(1, 1)
    assert HttpVersion10 < HttpVersion11 < HttpVersion(2, 0)
    assert (HttpVersion10.major, HttpVersion10.minor) == (1, 0)


# --- Fields ---------------------------------------------------------------------------------------


def test_fields_are_decoded() -> None:
    """RFC 9110 §5.5; bytes that are no UTF-8 can be had back."""
    headers = decode_fields(
        [
            (b"Host", b"a.test"),
            (b"X", b"\xc3\xa4"),
            (b"x", b"\xff \t"),
            (b"Empty", b""),
            (b"In", b"a \t b"),
        ]
    )
    assert isinstance(headers, CIMultiDictProxy)
    assert list(headers.items()) == [
        ("Host", "a.test"),
        ("X", "ä"),
        ("x", "\udcff"),
        ("Empty", ""),
        ("In", "a \t b"),
    ]
    assert headers.getall("X") == ["ä", "\udcff"]
    assert headers["x"].join("") == ""
    assert headers.getall("x")[1].encode("utf-8", "surrogateescape") == b"\xff"


@pytest.mark.parametrize("name", _COMMON_NAMES)
def test_names_come_as_they_were_spelled(name: str) -> None:
    for spelling in (name, name.lower(), name.upper(), name.title(), name.swapcase()):
        headers = decode_fields([(spelling.encode(), b"y")])
        assert [str(key) for key in headers] == [spelling]
        assert headers[name] == headers[name.lower()] == headers[name.upper()] == "y"


tokens = st.text("!#$%&'*+-.^_`|~09AZaz", min_size=1)


@given(st.lists(st.tuples(tokens, st.binary())))
def test_every_field_is_decoded_and_can_be_had_back(fields: list[tuple[str, bytes]]) -> None:
    headers = decode_fields([(name.encode(), value) for name, value in fields])
    assert [
        (name, value.encode("utf-8", "surrogateescape")) for name, value in headers.items()
    ] == [(name, value.rstrip()) for name, value in fields]


def test_headers_are_made_once_and_only_when_asked() -> None:
    found = head("GET", b"/", (b"X", b"y"))
    assert found._headers is None
    assert found.headers is found.headers
    assert found.headers["x"] == "y"


def test_raw_headers() -> None:
    """As aiohttp's: pairs of bytes, in order, without the white space around values."""
    found = head("GET", b"/", (b"X", b" \ty z\t "), (b"x", b"\xff"))
    assert found.raw_headers == ((b"X", b"y z"), (b"x", b"\xff"))
    assert head().raw_headers == ()


# --- What aiohttp's users read off a message ---------------------------------------------------


def test_defaults() -> None:
    found = head()
    assert (found.content_length, found.chunked, found.has_body) == (None, False, False)
    assert (found.offer, found.expect, found.upgrade, found.compression) == (
        None,
        None,
        False,
        None,
    )
    assert not found.should_close
    assert not found.offers_websocket
    assert found.path == "/"


def test_should_close() -> None:
    assert head(keep_alive=False).should_close


@pytest.mark.parametrize(
    ("offer", "found"),
    [
        (None, False),
        (b"websocket", True),
        (b"WebSocket", True),
        (b" websocket\t", True),
        (b"h2c,websocket", True),
        (b"h2c , websocket , x/1", True),
        (b"websockets", False),
        (b"websocket/13", False),
        (b"h2c", False),
        (b"", False),
        (b"\xff", False),
    ],
)
def test_offers_websocket(offer: bytes | None, found: bool) -> None:
    """RFC 6455 §4.1, RFC 9110 §7.8: a list, in any case of letters."""
    request = head()
    request.offer = offer
    assert request.offers_websocket is found
    assert request.upgrade is (offer is not None)


def test_a_handshake_has_no_body() -> None:
    request = head()
    request.offer = b"websocket"
    request.has_body = True
    assert not request.offers_websocket


@pytest.mark.parametrize(
    ("coding", "found"),
    [(b"gzip", "gzip"), (b"GZip ", "gzip"), (b"deflate", "deflate"), (b"br", "br"), (b"zstd", "zstd"),
     (b"identity", None), (b"gzip, br", None), (b"", None), (b"\xff", None)],
)  # fmt: skip
def test_compression(coding: bytes, found: str | None) -> None:
    assert head("POST", b"/", (b"content-encoding", coding)).compression == found


def test_repr() -> None:
    assert repr(head("GET", b"/a?b")) == "<RequestHead GET /a?b>"


# --- Targets: RFC 9112 §3.2 ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "path", "query", "fragment"),
    [
        ("/", "/", "", ""),
        ("/a/b?c=d#e", "/a/b", "c=d", "e"),
        ("/a%20b?c%20d", "/a%20b", "c%20d", ""),
        ("/%", "/%", "", ""),
        ("/%ff?%ff", "/%ff", "%ff", ""),
        ("//", "//", "", ""),
        ("//a.test/b?c#d?e", "//a.test/b", "c", "d?e"),
        ("//a:99999", "//a:99999", "", ""),
        ("//[", "//[", "", ""),
        ("///a", "///a", "", ""),
        ("/a:b@c", "/a:b@c", "", ""),
        ("/..//.", "/..//.", "", ""),
        ("/?", "/", "", ""),
        ("/?a?b", "/", "a?b", ""),
    ],
)
def test_origin_form(target: str, path: str, query: str, fragment: str) -> None:
    """§3.2.1: nothing in it is a host."""
    url = parse_target("GET", target)
    assert (url.raw_path, url.raw_query_string, url.raw_fragment) == (path, query, fragment)
    assert not url.absolute
    assert url.host is None


@pytest.mark.parametrize(
    ("target", "scheme", "host", "port", "path"),
    [
        ("http://a.test", "http", "a.test", 80, "/"),
        ("http://a.test:81/x?y", "http", "a.test", 81, "/x"),
        ("https://[::1]:444/", "https", "::1", 444, "/"),
        ("ftp://a.test/", "ftp", "a.test", 21, "/"),
    ],
)
def test_absolute_form(target: str, scheme: str, host: str, port: int, path: str) -> None:
    """§3.2.2."""
    url = parse_target("GET", target)
    assert (url.scheme, url.host, url.port, url.raw_path) == (scheme, host, port, path)
    assert str(url) == target


def test_authority_form() -> None:
    """§3.2.3."""
    for target, host, port in (("a.test:443", "a.test", 443), ("[::1]:1", "::1", 1)):
        url = parse_target("CONNECT", target)
        assert (url.scheme, url.host, url.port) == ("", host, port)


def test_asterisk_form() -> None:
    """§3.2.4."""
    assert parse_target("OPTIONS", "*").path == "*"


def test_the_url_is_made_once() -> None:
    found = head("GET", b"/a%20b?c=d")
    assert found.url is found.url
    assert found.url == URL("/a%20b?c=d", encoded=True)


# --- Copies ---------------------------------------------------------------------------------------


def posted() -> RequestHead:
    found = head("POST", b"/a", (b"Host", b"a"), (b"Content-Length", b"5"), keep_alive=False)
    found.content_length = 5
    found.has_body = True
    found.chunked = True
    found.offer = b"h2c"
    found.expect = b"100-continue"
    return found


def test_a_copy_is_alike() -> None:
    found = posted()
    copy = found.replace()
    head_names = "method target path url version fields headers keep_alive offer expect".split()
    for name in [*head_names, "content_length", "chunked", "has_body"]:
        assert getattr(copy, name) == getattr(found, name), name


def test_a_copy_with_another_method_or_target() -> None:
    found = posted()
    assert found.url == URL("/a")
    copy = found.replace(method="PUT", url=URL("/b?c=d e"))
    assert (copy.method, copy.target, copy.path) == ("PUT", b"/b?c=d+e", "/b?c=d+e")
    assert copy.url == URL("/b?c=d e")
    assert copy.fields == found.fields
    assert (found.method, found.target) == ("POST", b"/a")


def test_a_copy_with_other_fields() -> None:
    """The raw ones follow; the framing of the body stays what it is."""
    found = posted()
    copy = found.replace(headers=CIMultiDict([("X", "ä"), ("x", "\udcff")]))
    assert copy.raw_headers == ((b"X", b"\xc3\xa4"), (b"x", b"\xff"))
    assert copy.headers.getall("x") == ["ä", "\udcff"]
    assert (copy.content_length, copy.has_body, copy.chunked) == (None, True, True)
    assert found.headers["Host"] == "a"


@pytest.mark.parametrize(
    ("length", "found"),
    [
        ("7", 7),
        ("0", 0),
        ("", None),
        ("x", None),
        ("-1", None),
        ("²", None),
        ("٣", None),
        ("9" * 5000, None),
    ],
)
def test_the_length_of_a_copy_is_what_its_fields_say(length: str, found: int | None) -> None:
    assert posted().replace(headers=CIMultiDict({"Content-Length": length})).content_length == found
