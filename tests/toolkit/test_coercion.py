"""What values become responses, and what the log says of those that do not."""

import asyncio
import dataclasses
import datetime
import decimal
import enum
import http
import json
import logging
import pickle
import re
import types
import uuid
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy, MultiDict

import lowlevel as web
from lowlevel.errors import NotAResponse
from lowlevel.toolkit.coercion import coerce, respond, to_response
from lowlevel.toolkit.streams import text_reader, text_writer
from tests.support import Answer, Peer, request, serving

HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"


class Markup(str):
    """A text that is marked as something."""


class Colour(enum.StrEnum):
    RED = "red"


class Code(enum.IntEnum):
    GONE = 410


Pair = namedtuple("Pair", ["status", "content"])


class Spoken:
    def __str__(self) -> str:
        return "my own words, été"


@dataclasses.dataclass
class Point:
    x: int
    y: int


async def numbers() -> AsyncIterator[bytes]:
    for number in range(3):
        yield b"%d" % number


async def numbered(last: int) -> AsyncIterator[bytes]:
    for number in range(last):
        yield b"%d" % number


class Stream:
    """Async iterable, and no iterator."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return numbers()

    def give(self) -> AsyncIterator[bytes]:
        return numbers()


def label(value: object) -> str:
    """A name for a test, without addresses: all processes that run tests have to agree on it."""
    return re.sub(r" at 0x\w+| from '.*'", "", repr(value))


def made(value: object) -> web.Response:
    response = to_response(value)
    assert isinstance(response, web.Response)
    return response


def facts(value: object) -> tuple[int, str | None, object]:
    """Status, Content-Type and body of what becomes of a value."""
    response = made(value)
    return response.status, response.headers.get("Content-Type"), response.body


def wrapped(handler: Any) -> Callable[[web.BaseRequest], Any]:
    """The handler under coerce, by hand."""

    async def outer(request: web.BaseRequest) -> web.StreamResponse:
        return await coerce(request, handler)

    return outer


async def answer_to(value: object, sent: bytes = b"") -> Answer:
    """What a client gets when a handler returns the value; the connection has to live on."""

    async def handler(request: web.BaseRequest) -> object:
        return value

    sent = sent or request()
    async with serving(wrapped(handler)) as served, Peer.connect(served.port) as peer:
        answer = await peer.ask(sent)
        again = await peer.ask(request("HEAD"))
        assert (again.status, again.body) == (answer.status, b"")
        return answer


# Values by themselves.


@pytest.mark.parametrize(
    ("value", "content_type", "body"),
    [
        ("Hello, wörld", HTML, "Hello, wörld".encode()),
        ("", HTML, b""),
        (Markup("<b>"), HTML, b"<b>"),
        (Colour.RED, HTML, b"red"),
        (b"\xff\0", HTML, b"\xff\0"),
        (b"", HTML, b""),
        (bytearray(b"abc"), HTML, b"abc"),
        (memoryview(b"abcdef")[::2], HTML, b"ace"),
        ({"name": "Zoë", "tags": [1, None]}, JSON, '{"name":"Zoë","tags":[1,null]}'.encode()),
        ({}, JSON, b"{}"),
        (OrderedDict(b=1, a=2), JSON, b'{"b":1,"a":2}'),
        (defaultdict(int, a=1), JSON, b'{"a":1}'),
        ([1, 2.5, "ü"], JSON, '[1,2.5,"ü"]'.encode()),
        ([], JSON, b"[]"),
        (True, JSON, b"true"),
        (False, JSON, b"false"),
        (2.5, TEXT, b"2.5"),
        (decimal.Decimal("1.10"), TEXT, b"1.10"),
        (uuid.UUID(int=1), TEXT, b"00000000-0000-0000-0000-000000000001"),
        (datetime.date(2024, 2, 29), TEXT, b"2024-02-29"),
        (frozenset({1}), TEXT, b"frozenset({1})"),
        (Spoken(), TEXT, "my own words, été".encode()),
        (Point(1, 2), TEXT, b"Point(x=1, y=2)"),
    ],
    ids=label,
)
def test_values_with_a_body(value: object, content_type: str, body: bytes) -> None:
    assert facts(value) == (200, content_type, body)
    assert facts((201, value) if value else 201) == (
        (201, content_type, body) if value else (201, None, None)
    )


@pytest.mark.parametrize(
    "response",
    [
        web.Response(text="x", status=202),
        web.StreamResponse(),
        web.HTTPNotFound(),
        web.json_response([]),
    ],
    ids=label,
)
def test_a_response_stays_what_it_is(response: web.StreamResponse) -> None:
    assert to_response(response) is response


@pytest.mark.parametrize("status", [200, 204, 304, 404, 599, http.HTTPStatus.NO_CONTENT, Code.GONE])
def test_an_int_is_a_status(status: int) -> None:
    assert facts(status) == (status, None, None)
    assert facts((status,)) == (status, None, None)
    assert type(made(status).status) is int


@pytest.mark.parametrize("status", [-1, 0, 5, 100, 101, 199, 600, 999, 1000, 2**70])
def test_not_every_int_is_a_status(status: int) -> None:
    with pytest.raises(ValueError, match=f"within 200 to 599: {status}"):
        to_response(status)
    with pytest.raises(ValueError, match=f"within 200 to 599: {status}"):
        to_response((status, "text"))


@given(st.integers(200, 599))
def test_every_final_status_may_be_returned(status: int) -> None:
    assert made(status).status == made((status, "text")).status == status


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).filter(lambda value: isinstance(value, (list, dict)))
)
def test_json_comes_back(value: Any) -> None:
    surrogates = any("\ud800" <= char <= "\udfff" for char in json.dumps(value, ensure_ascii=False))
    if surrogates:
        with pytest.raises(UnicodeEncodeError):
            to_response(value)
    else:
        assert json.loads(facts(value)[2]) == value  # type: ignore[arg-type]


# Tuples.


@pytest.mark.parametrize("nothing", [None, "", b"", [], {}, 0, 0.0, False], ids=label)
def test_false_content_of_a_tuple_is_no_body(nothing: object) -> None:
    assert facts((202, nothing)) == (202, None, None)
    assert facts((202, None, nothing)) == (202, None, None)
    assert facts((202, {"Content-Type": "a/b"}, nothing)) == (202, "a/b", None)


@pytest.mark.parametrize(
    ("content", "content_type", "body"),
    [
        (5, JSON, b"5"),
        (404, JSON, b"404"),
        (True, JSON, b"true"),
        (1.5, TEXT, b"1.5"),
        ([["a", "b"]], JSON, b'[["a","b"]]'),
        ([("a", "b")], JSON, b'[["a","b"]]'),
    ],
    ids=label,
)
def test_content_of_a_tuple(content: object, content_type: str, body: bytes) -> None:
    assert facts((201, content)) == (201, content_type, body)
    assert facts((201, None, content)) == (201, content_type, body)
    assert facts((201, None, content, None)) == (201, content_type, body)
    assert facts(Pair(201, content)) == (201, content_type, body)


@pytest.mark.parametrize("pushes", [None, [], ()], ids=label)
def test_pushes_may_be_there_if_there_are_none(pushes: object) -> None:
    assert facts((200, [], "text", pushes)) == (200, HTML, b"text")


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-one", b"1"), (b"X-Two", b"2"), (b"x-one", b"3")],
        [("x-one", "1"), ("X-Two", "2"), ("x-one", "3")],
        ((b"x-one", "1"), ["X-Two", b"2"], ("x-one", "3")),
        CIMultiDict([("x-one", "1"), ("X-Two", "2"), ("x-one", "3")]),
        CIMultiDictProxy(CIMultiDict([("x-one", "1"), ("X-Two", "2"), ("x-one", "3")])),
        MultiDict([("x-one", b"1"), ("X-Two", "2"), ("x-one", b"3")]),
    ],
    ids=label,
)
def test_headers_in_all_their_forms(headers: object) -> None:
    response = made((200, headers, "text"))
    assert response.headers.getall("X-One") == ["1", "3"]
    assert response.headers.getall("X-Two") == ["2"]
    assert (response.text, response.content_type) == ("text", "text/html")


@pytest.mark.parametrize("headers", [None, [], (), {}], ids=label)
def test_no_headers(headers: object) -> None:
    assert facts((200, headers, "text")) == (200, HTML, b"text")


def test_two_items_may_be_status_and_headers() -> None:
    response = made((200, [(b"content-type", b"a/b"), (b"x", b"1")]))
    assert (response.body, response.headers["X"]) == (None, "1")
    assert facts((200, [(b"content-type", b"a/b")])) == (200, "a/b", None)


@pytest.mark.parametrize("pair", [("x", b"1"), (b"x", "1")], ids=label)
def test_two_items_are_no_headers_if_not_all_is_bytes(pair: object) -> None:
    with pytest.raises(TypeError, match="JSON"):
        to_response((200, [(b"x-a", b"1"), pair]))


def test_bytes_in_headers_leave_as_they_came() -> None:
    response = made((200, [(b"x-a", "ü".encode() + b"\xff")]))
    assert response.headers["X-A"].encode("utf-8", "surrogateescape") == "ü".encode() + b"\xff"


@pytest.mark.parametrize(
    "content", ["text", b"bytes", [1], numbers, 1.5, web.Response(text="x")], ids=label
)
@pytest.mark.parametrize("name", ["Content-Type", b"content-type"], ids=label)
def test_the_given_type_wins(content: object, name: object) -> None:
    response = to_response((200, [(name, "text/plain")], content))
    assert response.headers.getall("Content-Type") == ["text/plain"]


def test_text_is_encoded_as_its_type_says() -> None:
    fields = {"content-type": "text/plain; charset=latin-1"}
    assert facts((200, fields, "é")) == (200, "text/plain; charset=latin-1", b"\xe9")
    capital = {"X-A": "b", "Content-Type": "text/plain; charset=latin-1"}
    assert facts((200, capital, "é"))[2] == b"\xe9"
    assert facts((200, fields, Spoken()))[2] == "my own words, été".encode("latin-1")
    assert facts((200, fields, ["é"]))[2] == '["é"]'.encode()
    with pytest.raises(LookupError):
        to_response((200, {"content-type": "text/plain; charset=klingon"}, "é"))


def test_a_response_in_a_tuple_gets_status_and_fields() -> None:
    inside = web.json_response([1], headers={"X-A": "old", "X-B": "kept"})
    response = to_response((203, {"x-a": "new"}, inside))
    assert response is inside
    assert (response.status, response.reason) == (203, "Non-Authoritative Information")
    assert response.headers.getall("X-A") == ["new"]
    assert response.headers["X-B"] == "kept"
    named = web.Response(status=200, reason="Fine")
    assert to_response((200, named)).reason == "Fine"


# Streams.


@pytest.mark.parametrize(
    "stream",
    [
        numbers(),
        numbers,
        Stream(),
        Stream().give,
        partial(numbered, 3),
        lambda: numbered(3),
        lambda last=3: numbered(last),
    ],
    ids=label,
)
async def test_streams_are_sent_in_pieces(stream: Any) -> None:
    async def handler(request: web.BaseRequest) -> object:
        return stream

    async with serving(wrapped(handler)) as served, Peer.connect(served.port) as peer:
        answer = await peer.ask(request())
    assert (answer.status, answer.body) == (200, b"012")
    assert answer.headers["content-type"] == ["application/octet-stream"]
    assert answer.headers["transfer-encoding"] == ["chunked"]
    assert "content-length" not in answer.headers


async def test_the_body_of_the_request_is_a_stream() -> None:
    async def handler(request: web.BaseRequest) -> object:
        return 200, {"content-type": request.content_type}, request.content

    async with serving(wrapped(handler)) as served, Peer.connect(served.port) as peer:
        answer = await peer.ask(request("POST", "/", "Content-Type: a/b", body=b"one\ntwo"))
    assert (answer.body, answer.headers["content-type"]) == (b"one\ntwo", ["a/b"])


# What is nothing.


async def coroutine() -> str:
    return "text"


async def with_request(request: web.BaseRequest) -> AsyncIterator[bytes]:
    yield b""


def plain_function() -> str:
    return "text"


def generator() -> Iterator[bytes]:
    yield b""


class Silent:
    """No words of its own."""


class SilentCall:
    def __call__(self, one: object) -> AsyncIterator[bytes]:
        return numbers()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, ""),
        (object(), ""),
        (Silent(), ""),
        (Silent, ""),
        (web.Response, ""),
        (web.HTTPNotFound, ""),
        (ValueError("text"), ""),
        (ValueError, ""),
        ((400, ValueError("text")), ""),
        (types, ""),
        (generator(), ""),
        (iter([b""]), ""),
        (coroutine, "a coroutine function"),
        (plain_function, r"plain_function\(\) is str, not an async iterable"),
        (lambda: coroutine(), r"lambda>\(\) is coroutine, not an async iterable"),
        (with_request, "with_request cannot be called without arguments"),
        (SilentCall(), "cannot be called without arguments"),
        ((), "1 to 4 items, not 0"),
        ((200, None, "", None, None), "1 to 4 items, not 5"),
        (("text", 200), "is its status, not str"),
        ((True, "text"), "is its status, not bool"),
        ((None,), "is its status, not NoneType"),
        ((200.0, "text"), "is its status, not float"),
        ((200, (201, "text")), "a tuple in a tuple"),
        ((200, None, (201,)), "a tuple in a tuple"),
        ((200, ()), "a tuple in a tuple"),
        ((200, "text", "x-a: b"), "a mapping or a list of pairs, not str"),
        ((200, 0, "text"), "a mapping or a list of pairs, not int"),
        ((200, {b"x-a"}, "text"), "a mapping or a list of pairs, not set"),
        ((200, ["ab"], "text"), "must hold pairs, not 'ab'"),
        ((200, [("a", "b", "c")], "text"), "must hold pairs, not"),
        ((200, {"x-a": 1}, "text"), "are str or bytes, not int"),
        ((200, {"x-a": None}, "text"), "are str or bytes, not NoneType"),
        ((200, None, "text", [("/style.css", [])]), "no pushes"),
        ((200, object()), ""),
        ((200, None, Silent()), ""),
    ],
    ids=label,
)
def test_the_rest_is_a_type_error(value: object, reason: str) -> None:
    with pytest.raises(TypeError, match=reason or "^$"):
        to_response(value)
    with pytest.raises(NotAResponse) as caught:
        respond(value, test_the_rest_is_a_type_error)
    text = str(caught.value)
    assert text.startswith(f"the handler {__name__}.test_the_rest_is_a_type_error returned ")
    kind = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
    assert f"returned {kind}, not a response" in text
    assert text.endswith("not a response") or ": " in text


def test_what_should_have_been_awaited() -> None:
    forgotten = coroutine()
    with pytest.raises(TypeError):
        to_response(forgotten)
    assert asyncio.run(forgotten) == "text", "it is left to whoever made it"


def test_json_of_what_is_no_json() -> None:
    with pytest.raises(TypeError, match="JSON") as caught:
        respond({"a": object()}, plain_function)
    assert not isinstance(caught.value, NotAResponse), "it is worth a traceback"
    assert any("plain_function returned this dict" in note for note in caught.value.__notes__)
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="Circular"):
        to_response(loop)


def test_not_a_response_can_be_pickled() -> None:
    error = NotAResponse("app.home", "tuple", "a tuple in a tuple")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == "the handler app.home returned tuple, not a response: a tuple in a tuple"
    assert (again.handler, again.kind, again.reason) == ("app.home", "tuple", "a tuple in a tuple")
    assert isinstance(again, TypeError)


# Over the wire.


@pytest.mark.parametrize(
    ("value", "status", "content_type", "body"),
    [
        ("OK", 200, HTML, b"OK"),
        ({"a": 1}, 200, JSON, b'{"a":1}'),
        ((404, "gone"), 404, HTML, b"gone"),
        ((500, [(b"content-type", b"text/x")], b"\0"), 500, "text/x", b"\0"),
        ((201, {"a": []}), 201, JSON, b'{"a":[]}'),
        (404, 404, None, b""),
    ],
    ids=label,
)
async def test_a_client_gets(
    value: object, status: int, content_type: str | None, body: bytes
) -> None:
    answer = await answer_to(value)
    assert (answer.status, answer.header("content-type"), answer.body) == (
        status,
        content_type,
        body,
    )
    assert answer.headers["content-length"] == [str(len(body))]


async def test_no_content_has_no_length() -> None:
    answer = await answer_to(204)
    assert answer.status == 204
    assert "content-length" not in answer.headers
    assert "transfer-encoding" not in answer.headers


async def test_fields_given_twice_are_sent_twice() -> None:
    answer = await answer_to((200, [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")], "text"))
    assert answer.headers["set-cookie"] == ["a=1", "b=2"]


async def test_an_old_handler() -> None:
    async def handler(request: web.BaseRequest) -> object:
        if request.method == "POST":
            await text_reader(request.content)
            return 204
        writer = text_writer("This is not a test")
        return 200, [(b"content-type", b"text/plain")], writer

    async with serving(wrapped(handler)) as served, Peer.connect(served.port) as peer:
        answer = await peer.ask(request())
        assert (answer.status, answer.body) == (200, b"This is not a test")
        assert answer.headers["content-type"] == ["text/plain"]
        answer = await peer.ask(request("POST", body=b"{}"))
        assert (answer.status, answer.body) == (204, b"")
        assert (await peer.ask(request())).status == 200


async def test_what_is_raised_passes() -> None:
    async def handler(request: web.BaseRequest) -> object:
        raise web.HTTPTemporaryRedirect("/login")

    async with serving(wrapped(handler)) as served, Peer.connect(served.port) as peer:
        answer = await peer.ask(request())
    assert (answer.status, answer.headers["location"]) == (307, ["/login"])


async def test_a_handler_that_forgets_to_return(caplog: pytest.LogCaptureFixture) -> None:
    async def forgetful(request: web.BaseRequest) -> None:
        """Do all the work."""

    async with serving(wrapped(forgetful)) as served, Peer.connect(served.port) as peer:
        with caplog.at_level(logging.ERROR):
            answer = await peer.ask(request())
        assert answer.status == 500
        assert b"forgetful" not in answer.body
        assert (await peer.ask(request())).status == 500, "the connection is kept"
    text = "forgetful returned NoneType, not a response"
    assert any(text in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("around", [(), (web.coerce,), (web.ErrorHandlers(),)], ids=len)
async def test_a_class_is_named(around: tuple[Any, ...], caplog: pytest.LogCaptureFixture) -> None:
    """Who forgot its parentheses, or to raise it, is not told that a type is none."""

    async def handler(request: web.BaseRequest) -> object:
        return web.HTTPNotFound

    async with serving(web.compose(handler, *around)) as served, Peer.connect(served.port) as peer:
        assert (await peer.ask(request())).status == 500
    (record,) = caplog.records
    assert "returned the class HTTPNotFound, not a response" in record.getMessage()


async def test_a_status_that_is_none(caplog: pytest.LogCaptureFixture) -> None:
    async def careless(request: web.BaseRequest) -> int:
        return 42

    async with serving(wrapped(careless)) as served, Peer.connect(served.port) as peer:
        with caplog.at_level(logging.ERROR):
            assert (await peer.ask(request())).status == 500
    assert "within 200 to 599: 42" in caplog.text
    assert "careless returned this int" in caplog.text


def test_the_names_are_in_the_house() -> None:
    assert web.coerce is coerce
    assert web.to_response is to_response
