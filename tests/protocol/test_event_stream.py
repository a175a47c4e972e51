"""lowlevel.protocol.event_stream, held against a parser after the rules for clients (WHATWG HTML §9.2.5, §9.2.6)."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lowlevel.protocol.event_stream import COMMENT, format_event, format_fields, format_item


class Event(NamedTuple):
    type: str
    data: str
    last_id: str


class Client:
    """What an EventSource makes of a stream."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.retry: int | None = None
        self.last_id = ""
        self._forget()
        self._id = ""

    def _forget(self) -> None:
        self._data = ""
        self._type = ""

    def read(self, stream: bytes) -> "Client":
        """Take a whole stream; what is not ended by an empty line is no event."""
        lines = re.split("\r\n|\r|\n", stream.decode("utf-8", "replace").removeprefix("\ufeff"))
        for line in lines[:-1]:
            if not line:
                self._dispatch()
            elif not line.startswith(":"):
                name, _, value = line.partition(":")
                self._field(name, value.removeprefix(" "))
        return self

    def _field(self, name: str, value: str) -> None:
        if name == "event":
            self._type = value
        elif name == "data":
            self._data += value + "\n"
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            self.retry = int(value)

    def _dispatch(self) -> None:
        self.last_id = self._id
        if self._data:
            event = Event(self._type or "message", self._data.removesuffix("\n"), self.last_id)
            self.events.append(event)
        self._forget()


def read(stream: bytes) -> list[Event]:
    return Client().read(stream).events


def as_received(text: str) -> str:
    return re.sub("\r\n|\r", "\n", text)


ANY_TEXT = st.text() | st.text("a \r\n:\0\ufeff\u2028\x0b\x85")
ONE_LINE = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"])) | st.text(
    "a :\ufeff\u2028"
)


# --- The bytes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"data": "hello"}, b"data: hello\n\n"),
        ({"data": b"hello"}, b"data: hello\n\n"),
        ({"data": bytearray(b"hello")}, b"data: hello\n\n"),
        ({"data": memoryview(b"hello")}, b"data: hello\n\n"),
        ({"data": ""}, b"data: \n\n"),
        ({"data": "\n"}, b"data: \ndata: \n\n"),
        ({"data": " two\n\nlines: "}, b"data:  two\ndata: \ndata: lines: \n\n"),
        ({"data": "a\r\nb\rc\nd\n\re"}, b"data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\n\n"),
        # Line ends elsewhere, not here.
        ({"data": "a\x0bb\x0c\x85\u2028c"}, "data: a\x0bb\x0c\x85\u2028c\n\n".encode()),
        ({"data": "snow ☃"}, "data: snow ☃\n\n".encode()),
        ({"data": "x", "event": "ping"}, b"event: ping\ndata: x\n\n"),
        ({"data": "x", "id": "7"}, b"id: 7\ndata: x\n\n"),
        ({"data": "x", "id": 7}, b"id: 7\ndata: x\n\n"),
        ({"data": "x", "id": ""}, b"id: \ndata: x\n\n"),
        ({"data": "x", "retry": 0}, b"retry: 0\ndata: x\n\n"),
        (
            {"data": "x", "event": "e", "id": "i", "retry": 1500},
            b"id: i\nevent: e\nretry: 1500\ndata: x\n\n",
        ),
        ({"retry": 3000}, b"retry: 3000\n\n"),
        ({"id": "9"}, b"id: 9\n\n"),
        ({"event": "e"}, b"event: e\n\n"),
    ],
)
def test_an_event(arguments: dict[str, Any], expected: bytes) -> None:
    assert format_event(**arguments) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"event": "ping", "data": "1"}, b"event: ping\ndata: 1\n\n"),
        ({"data": "1", "event": "ping"}, b"data: 1\nevent: ping\n\n"),
        ({"data": 1.5}, b"data: 1.5\n\n"),
        ({"data": None}, b"data: None\n\n"),
        ({"data": b"by\ntes"}, b"data: by\ndata: tes\n\n"),
        ({"data": "a\r\nb\rc\nd"}, b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
        ({"id": 3, "retry": 10}, b"id: 3\nretry: 10\n\n"),
        ({"more": "a\nb"}, b"more: a\nmore: b\n\n"),
        ({}, b"\n"),
    ],
)
def test_fields(fields: Mapping[str, object], expected: bytes) -> None:
    assert format_fields(fields) == expected
    assert format_item(fields) == expected


@pytest.mark.parametrize("kind", [str, str.encode, lambda text: bytearray(text.encode())])
@pytest.mark.parametrize("text", ["data: message text", ": comment", "", "data: a\ndata: ☃", "x\n"])
def test_text_in_the_format_goes_out_as_it_is(text: str, kind: Any) -> None:
    assert format_item(kind(text)) == text.encode() + b"\n\n"


# --- What is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "data, event, id or retry"),
        ({"data": 5}, TypeError, "data must be str or bytes, not int"),
        ({"data": {"a": 1}}, TypeError, "data must be str or bytes, not dict"),
        ({"data": "\ud800"}, UnicodeEncodeError, "surrogates"),
        ({"event": b"e"}, TypeError, "event must be str, not bytes"),
        ({"event": "a\nb"}, ValueError, "event"),
        ({"event": "a\rb"}, ValueError, "event"),
        ({"event": "\n"}, ValueError, "event"),
        ({"id": b"1"}, TypeError, "id must be str or int, not bytes"),
        ({"id": True}, TypeError, "id must be str or int, not bool"),
        ({"id": "1\n"}, ValueError, "id of"),
        ({"id": "\r1"}, ValueError, "id of"),
        ({"id": "1\0"}, ValueError, "id of"),
        ({"retry": -1}, ValueError, "retry must be a number of milliseconds: -1"),
        ({"retry": "5"}, TypeError, "retry must be an int, not str"),
        ({"retry": 1.5}, TypeError, "retry must be an int, not float"),
        ({"retry": True}, TypeError, "retry must be an int, not bool"),
    ],
)
def test_what_cannot_be_sent(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        format_event(**arguments)


@pytest.mark.parametrize(
    ("item", "error"),
    [
        ({"a:b": 1}, ValueError),
        ({"a\nb": 1}, ValueError),
        ({"a\rb": 1}, ValueError),
        ({"": 1}, ValueError),
        ({b"data": 1}, TypeError),
        ({1: 1}, TypeError),
        ({"event": "a\nb"}, ValueError),
        ({"id": "a\rb"}, ValueError),
        ({"id": b"a\0b"}, ValueError),
        (5, TypeError),
        (None, TypeError),
        (["data: x"], TypeError),
    ],
)
def test_what_is_no_event(item: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        format_item(item)


# --- What the client makes of it ---------------------------------------------------------


@given(
    data=ANY_TEXT,
    event=st.none() | ONE_LINE,
    id=st.none() | ONE_LINE,
    retry=st.none() | st.integers(0, 10**9),
)
@example(data="", event=None, id=None, retry=None)
@example(data=" :", event=" :", id=" :", retry=0)
def test_the_client_gets_what_was_sent(
    data: str, event: str | None, id: str | None, retry: int | None
) -> None:
    client = Client().read(format_event(data, event, id, retry))
    assert client.events == [Event(event or "message", as_received(data), id or "")]
    assert client.retry == retry


@given(st.lists(ANY_TEXT, min_size=1))
def test_events_stay_apart(texts: list[str]) -> None:
    stream = COMMENT.join(format_event(text) for text in texts)
    assert [event.data for event in read(COMMENT + stream)] == [as_received(t) for t in texts]


@given(ANY_TEXT)
def test_bytes_are_text_in_utf8(text: str) -> None:
    assert format_event(text.encode()) == format_event(text)
    assert format_fields({"data": text.encode()}) == format_fields({"data": text})


@given(st.dictionaries(st.sampled_from(["data", "extra", "retry"]), ANY_TEXT | st.integers()))
def test_a_value_adds_no_field(fields: dict[str, object]) -> None:
    stream = format_fields({"id": "mine", **fields, "event": "mine"})
    client = Client().read(stream)
    assert client.last_id == "mine"
    expected = [Event("mine", as_received(str(fields["data"])), "mine")] if "data" in fields else []
    assert client.events == expected


def test_an_id_or_a_type_alone_is_no_event_to_the_script() -> None:
    client = Client().read(format_event(id="5", retry=20) + format_event(event="e"))
    assert (client.events, client.last_id, client.retry) == ([], "5", 20)
    assert read(format_event("after")) == [Event("message", "after", "")]


def test_an_empty_id_forgets() -> None:
    stream = format_event("a", id="5") + format_event("b") + format_event("c", id="")
    assert [event.last_id for event in read(stream)] == ["5", "5", ""]
