"""lowlevel.protocol.serializer: framing as RFC 9112 §6.3 has it, and heads that carry nothing but what they should."""

import itertools
import re
from http import HTTPStatus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from lowlevel.protocol.head import HttpVersion, HttpVersion10, HttpVersion11
from lowlevel.protocol.serializer import (
    CHUNKED,
    LENGTH,
    NONE,
    SILENT,
    UNTIL_CLOSE,
    Framing,
    default_reason,
    frame,
    plain_prefix,
    serialize_fields,
    serialize_head,
    status_line,
)

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

METHODS = "GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH QUERY UNKNOWN".split()
STATUSES = range(100, 1000)
VERSIONS = (HttpVersion10, HttpVersion11)
LENGTHS = (None, 0, 1, 2**70)

# --- frame: every method, status, version, length and wish ------------------------------------


def frames(methods: list[str], statuses: list[int]) -> set[Framing]:
    return {
        frame(method, status, version, length, chunked)
        for method, status, version, length, chunked in itertools.product(
            methods, statuses, VERSIONS, LENGTHS, (False, True)
        )
    }


def test_interim_answers_and_204_have_no_body_and_no_word_of_one() -> None:
    """RFC 9112 §6.3 rule 1; RFC 9110 §8.6: neither Content-Length (§6.1: nor Transfer-Encoding) in 1xx and 204."""
    assert frames(METHODS, [*range(100, 200), 204]) == {NONE}


def test_304_has_no_body() -> None:
    """§6.3 rule 1; RFC 9110 §8.6: it may say how long the body of a 200 would be."""
    assert frames(METHODS, [304]) == {SILENT}


def test_head_has_no_body() -> None:
    """§6.3 rule 1; RFC 9110 §9.3.2: the fields may be those of a GET."""
    assert frames(["HEAD"], [status for status in STATUSES if status > 199 and status != 204]) == {
        SILENT
    }


def test_a_tunnel_has_no_body() -> None:
    """§6.3 rule 2; RFC 9110 §9.3.6: no Content-Length or Transfer-Encoding in a 2xx answer to CONNECT."""
    assert frames(["CONNECT"], list(range(200, 300))) == {NONE}


def usual_cases() -> list[tuple[str, int]]:
    """Method and status of every answer that has a body."""
    return [
        (method, status)
        for method, status in itertools.product(METHODS, STATUSES)
        if method != "HEAD"
        and status >= 200
        and status not in (204, 304)
        and not (method == "CONNECT" and status < 300)
    ]


def test_a_known_length_is_told() -> None:
    """§6.3 rule 6; 205 as any other: its length is 0 when there is nothing (RFC 9110 §15.3.6)."""
    for method, status in usual_cases():
        for version, length in itertools.product(VERSIONS, (0, 1, 2**70)):
            assert frame(method, status, version, length, False) is LENGTH


def test_an_unknown_length_is_chunked() -> None:
    """§6.3 rule 4, §7.1."""
    for method, status in usual_cases():
        assert frame(method, status, HttpVersion11, None, False) is CHUNKED


def test_chunks_may_be_wanted() -> None:
    for method, status in usual_cases():
        for length in LENGTHS:
            assert frame(method, status, HttpVersion11, length, True) is CHUNKED


def test_http_1_0_knows_no_chunks() -> None:
    """§6.1: no Transfer-Encoding unless the request was HTTP/1.1; §6.3 rule 8."""
    for method, status in usual_cases():
        assert frame(method, status, HttpVersion10, None, False) is UNTIL_CLOSE
        for length in LENGTHS:
            assert frame(method, status, HttpVersion10, length, True) is UNTIL_CLOSE


def test_versions_are_compared_as_numbers() -> None:
    assert frame("GET", 200, HttpVersion(1, 1), None, False) is CHUNKED
    assert frame("GET", 200, HttpVersion(0, 9), None, False) is UNTIL_CLOSE


# --- Status lines ---------------------------------------------------------------------------------


def test_status_line() -> None:
    """RFC 9112 §4: the space before the reason is there even without a reason."""
    assert status_line(HttpVersion11, 200, None) == b"HTTP/1.1 200 OK\r\n"
    assert status_line(HttpVersion10, 404, None) == b"HTTP/1.0 404 Not Found\r\n"
    assert status_line(HttpVersion11, 200, "Fine") == b"HTTP/1.1 200 Fine\r\n"
    assert status_line(HttpVersion11, 200, "") == b"HTTP/1.1 200 \r\n"
    assert status_line(HttpVersion11, 299, None) == b"HTTP/1.1 299 \r\n"
    assert status_line(HttpVersion10, 999, "Odd") == b"HTTP/1.0 999 Odd\r\n"


def test_a_reason_beyond_ascii() -> None:
    """§4: obs-text is allowed."""
    assert status_line(HttpVersion11, 200, "Schön") == "HTTP/1.1 200 Schön\r\n".encode()
    assert status_line(HttpVersion11, 200, "\udcff") == b"HTTP/1.1 200 \xff\r\n"


def test_default_reasons() -> None:
    for status in HTTPStatus:
        assert default_reason(status.value) == status.phrase
        for version in VERSIONS:
            expected = f"HTTP/{version.major}.{version.minor} {status.value} {status.phrase}\r\n"
            assert status_line(version, status.value, None) == expected.encode()
    assert default_reason(299) == ""


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\r\nX: y", "\0", "\n", "a\r", "é\n"])
def test_no_line_gets_in(text: str) -> None:
    """CWE-113: in a reason, a value, a content type."""
    with pytest.raises(ValueError, match="header injection refused"):
        status_line(HttpVersion11, 200, text)
    with pytest.raises(ValueError, match="header injection refused"):
        serialize_fields(CIMultiDict({"X": text}))
    with pytest.raises(ValueError, match="header injection refused"):
        serialize_fields(CIMultiDict([("A", "b"), ("X", text), ("C", "d")]))
    with pytest.raises(ValueError, match="header injection refused"):
        serialize_head(HttpVersion11, 200, None, CIMultiDict({"X": text}))
    with pytest.raises(ValueError, match="header injection refused"):
        serialize_head(HttpVersion11, 200, text, CIMultiDict())
    with pytest.raises(ValueError, match="header injection refused"):
        plain_prefix(200, text)


# --- Fields ---------------------------------------------------------------------------------------


def test_fields() -> None:
    """In order, repeated ones too, as they are spelled."""
    headers = CIMultiDict([("B", "1"), ("a", "2"), ("b", "3"), ("Empty", ""), ("X", "é\udcff\t ")])
    assert serialize_fields(headers) == b"B: 1\r\na: 2\r\nb: 3\r\nEmpty: \r\nX: \xc3\xa9\xff\t \r\n"
    assert serialize_fields(CIMultiDict()) == b""


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "a:",
        "a\r\nb",
        "a\n",
        "\na",
        "a\0",
        "é",
        "(a)",
        "a/b",
        '"a"',
        "a,b",
        "[a]",
        "a=b",
        "{a}",
        "\udcff",
        "ａ",
    ],
)
def test_names_are_tokens(name: str) -> None:
    """RFC 9110 §5.1. Asked twice: the answer is remembered."""
    for _ in range(2):
        with pytest.raises(ValueError, match="no name of a header field"):
            serialize_fields(CIMultiDict({name: "y"}))


def test_every_token_is_a_name() -> None:
    name = "!#$%&'*+-.^_`|~09AZaz"
    assert serialize_fields(CIMultiDict({name: "y"})) == name.encode() + b": y\r\n"


def test_what_cannot_be_encoded() -> None:
    with pytest.raises(ValueError):
        serialize_fields(CIMultiDict({"X": "\ud800"}))


def test_head() -> None:
    headers = CIMultiDict({"A": "b"})
    assert serialize_head(HttpVersion11, 200, None, headers) == b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
    assert serialize_head(HttpVersion10, 200, "", CIMultiDict()) == b"HTTP/1.0 200 \r\n\r\n"


@given(st.text(), st.lists(st.tuples(st.from_regex(r"[a-z]{1,9}", fullmatch=True), st.text())))
def test_a_head_has_the_lines_it_should(reason: str, fields: list[tuple[str, str]]) -> None:
    """Whatever a program puts into it, or it is refused."""
    try:
        head = serialize_head(HttpVersion11, 200, reason, CIMultiDict(fields))
    except ValueError:
        return
    first, *lines = head.split(b"\r\n")
    assert first == b"HTTP/1.1 200 " + reason.encode("utf-8", "surrogateescape")
    assert lines[-2:] == [b"", b""] or not fields
    values = [value.encode("utf-8", "surrogateescape") for _, value in fields]
    assert [line.partition(b": ")[2] for line in lines[:-2]] == values
    assert not re.search(rb"[\r\n\0]", b"".join([first, *lines]))


# --- The head of most answers ---------------------------------------------------------------------


def test_plain_prefix() -> None:
    for status in (200, 404, 299):
        for content_type in ("text/plain; charset=utf-8", "x/é", "\udcff"):
            prefix = plain_prefix(status, content_type)
            headers = CIMultiDict({"Content-Type": content_type, "Content-Length": "12"})
            assert prefix is not None
            assert prefix + b"12\r\n\r\n" == serialize_head(HttpVersion11, status, None, headers)
        prefix = plain_prefix(status, None)
        headers = CIMultiDict({"Content-Length": "12"})
        assert prefix is not None
        assert prefix + b"12\r\n\r\n" == serialize_head(HttpVersion11, status, None, headers)


def test_there_is_a_plain_prefix_where_the_length_is_told() -> None:
    for status in STATUSES:
        plain = frame("GET", status, HttpVersion11, 0, False) is LENGTH
        assert (plain_prefix(status, None) is not None) is plain
        assert (plain_prefix(status, "text/plain") is not None) is plain
