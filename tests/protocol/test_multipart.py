"""lowlevel.protocol.multipart: the bytes of a multipart body, cut anywhere, make the same events (RFC 2046 §5.1)."""

import logging
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from lowlevel.protocol.multipart import (
    PART_END,
    Event,
    MultipartError,
    MultipartParser,
    PartHead,
    boundary_of,
)

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

Part = tuple[list[tuple[str, str]], bytes]

BODY = (
    b"preamble\r\n"
    b"--b\r\n"
    b"A: 1\r\n"
    b"a:2 \t\r\n"
    b"\r\n"
    b"one\r\n--\r\n"
    b"\r\n--b\r\n"
    b"\r\n"
    b"\r\n--b\r\n"
    b"C: \r\n"
    b"\r\n"
    b"\r\n"
    b"\r\n--b--\r\n"
    b"epilogue\r\n--b\r\n"
)
PARTS: list[Part] = [
    ([("A", "1"), ("a", "2")], b"one\r\n--\r\n"),
    ([], b""),
    ([("C", "")], b"\r\n"),
]


def parsed(pieces: Iterable[bytes], boundary: bytes = b"b", **limits: int) -> list[Part]:
    """The parts that the pieces make, which must be a whole body."""
    pieces = list(pieces)
    parser, shortcut = MultipartParser(boundary, **limits), MultipartParser(boundary, **limits)
    events: list[Event] = []
    quick: list[Event] = []
    for piece in pieces:
        # What is nothing but content may go past the parser.
        quick += [piece] if shortcut.is_content(piece) else quick_data(shortcut, piece)
        events += parser.receive_data(piece)
    parser.receive_eof()
    assert parser.complete
    assert shortcut.complete
    assert parts_of([event for event in quick if event != b""]) == parts_of(events)
    return parts_of(events)


def quick_data(parser: MultipartParser, piece: bytes) -> list[Event]:
    """Take bytes; what is wrong with them is told by another parser."""
    try:
        return parser.receive_data(piece)
    except MultipartError:
        return []


def parts_of(events: list[Event]) -> list[Part]:
    """Parts put together; each must begin with its head and end with its end, with no empty data between."""
    parts: list[Part] = []
    inside = False
    for event in events:
        if isinstance(event, PartHead):
            assert not inside
            assert isinstance(event.headers, CIMultiDict)
            parts.append(([(str(name), value) for name, value in event.headers.items()], b""))
            inside = True
        elif event is PART_END:
            assert inside
            inside = False
        else:
            assert inside
            assert type(event) is bytes and event
            parts[-1] = parts[-1][0], parts[-1][1] + event
    assert not inside
    return parts


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


# --- Events -------------------------------------------------------------------------------


def test_events() -> None:
    parser = MultipartParser(b"b")
    events = parser.receive_data(b"--b\r\nA: 1\r\n\r\ndata\r\n--b--")
    assert events == [PartHead(CIMultiDict({"A": "1"})), b"data", PART_END]
    assert parser.complete
    parser.receive_eof()


def test_parts() -> None:
    assert parsed([BODY]) == PARTS
    assert parsed(bytewise(BODY)) == PARTS


def test_split_at_every_byte() -> None:
    for at in range(len(BODY) + 1):
        assert parsed([BODY[:at], BODY[at:]]) == PARTS


def test_split_at_every_two_bytes() -> None:
    for first in range(0, len(BODY), 3):
        for second in range(first, len(BODY), 2):
            assert parsed([BODY[:first], BODY[first:second], BODY[second:]]) == PARTS


def test_data_comes_as_it_is_complete() -> None:
    parser = MultipartParser(b"b")
    assert parser.receive_data(b"--b\r\nA: 1\r\n\r") == []
    assert parser.receive_data(b"\n") == [PartHead(CIMultiDict({"A": "1"}))]
    assert parser.receive_data(b"x") == [b"x"]
    assert parser.receive_data(b"y\r\n--") == [b"y"]
    assert b"".join(map(bytes, parser.receive_data(b"c"))) == b"\r\n--c"  # type: ignore[arg-type]
    assert parser.receive_data(b"\r\n--b") == []
    assert parser.receive_data(b"\r\n") == [PART_END]


@pytest.mark.parametrize("start", [b"\r", b"\n", b"\r\n", b"\r\n--boun", b"-"])
def test_nothing_is_held_back(start: bytes) -> None:
    """But what could be the start of a boundary: a long part takes no memory, and no second look."""
    parser = MultipartParser(b"boundary")
    parser.receive_data(b"--boundary\r\n\r\n")
    fed = got = 0
    for piece in [start, *[b"x" * 1000] * 50, *[b"\r" * 1000] * 50, *[b"\r\n--bound"] * 100]:
        fed += len(piece)
        got += sum(len(event) for event in parser.receive_data(piece))  # type: ignore[arg-type]
        assert fed - got <= len(b"\r\n--boundary\r\n")


def test_the_preamble_is_not_kept() -> None:
    parser = MultipartParser(b"boundary")
    for _ in range(1000):
        assert parser.receive_data(b"\r\n--boundar" * 10) == []
        assert len(parser._preamble or b"") < 100
    assert parser.receive_data(b"\r\n--boundary--") == []
    assert parser.complete


def test_what_comes_behind_the_end_is_ignored() -> None:
    parser = MultipartParser(b"b")
    parser.receive_data(b"--b--")
    for piece in (b"\r\n", b"--b\r\n\r\nno part", b"\r\n--b--", b"", b"\xff" * 100):
        assert parser.receive_data(piece) == []
    parser.receive_eof()


def test_no_data_makes_no_events() -> None:
    parser = MultipartParser(b"b")
    assert parser.receive_data(b"") == []
    parser.receive_data(b"--b\r\n")
    assert parser.receive_data(b"") == []


def test_header_fields() -> None:
    lines = {
        b"A: b": ("A", "b"),
        b"a-B_c:  b c \t": ("a-B_c", "b c"),
        b"A:": ("A", ""),
        b"A:b:c": ("A", "b:c"),
        b"A: \xc3\xa4": ("A", "\xe4"),
        b"A: \xff": ("A", "\ufffd"),
        b"A:\tb": ("A", "b"),
    }
    for line, field in lines.items():
        body = b"--b\r\n" + line + b"\r\n\r\n\r\n--b--"
        assert parsed([body]) == [([field], b"")]
        assert parsed(bytewise(body)) == [([field], b"")]


# --- Errors -------------------------------------------------------------------------------


@pytest.mark.parametrize("end", range(BODY.index(b"--b--") + 5))
def test_a_body_that_was_cut(end: int) -> None:
    parser = MultipartParser(b"b")
    parser.receive_data(BODY[:end])
    with pytest.raises(MultipartError, match="last boundary"):
        parser.receive_eof()


@pytest.mark.parametrize(
    "head",
    [
        b"no colon\r\n",
        b": 1\r\n",
        b"A : 1\r\n",
        b" A: 1\r\n",
        b"A: 1\r\n folded\r\n",
        b"A\0: 1\r\n",
        b"\xc3\xa4: 1\r\n",
        b"A: 1\rB: 2\r\n",
        b"A: 1\nB: 2\r\n",
        b"A: 1\0\r\n",
        b"\n",
        b"A: 1\r\n\n",
        b"A\r\n",
    ],
)
def test_bad_header_fields(head: bytes) -> None:
    body = b"--b\r\n" + head + b"\r\n\r\n--b--"
    for pieces in ([body], bytewise(body)):
        with pytest.raises(MultipartError):
            parsed(pieces)


@pytest.mark.parametrize("behind", [b"x", b"\n", b"\rx", b"-x", b" x", b"\0"])
def test_bad_ends_of_the_first_boundary(behind: bytes) -> None:
    body = b"--b" + behind + b"\r\n\r\n\r\n--b--"
    for pieces in ([body], bytewise(body)):
        with pytest.raises(MultipartError):
            parsed(pieces)


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever sends garbage must not be able to fill a log (CVE-2024-53981)."""
    caplog.set_level(logging.DEBUG)
    for body in (b"\r\n" * 1000, b"--b\r\n\0", b"--bx", b"--b\r\nA\r\n", b"--b--" + b"x" * 1000):
        parser = MultipartParser(b"b")
        for pieces in ([body], bytewise(body)):
            try:
                for piece in pieces:
                    parser.receive_data(piece)
            except MultipartError:
                pass
    assert caplog.records == []


# --- Limits -------------------------------------------------------------------------------


def one_part(*lines: bytes) -> bytes:
    return b"--b\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n\r\n--b--"


def test_max_headers() -> None:
    for limit in (1, 5, 128):
        for make in (lambda data: [data], bytewise):
            fields = [b"A: 1"] * limit
            assert len(parsed(make(one_part(*fields)), max_headers=limit)[0][0]) == limit
            with pytest.raises(MultipartError):
                parsed(make(one_part(*fields, b"A: 1")), max_headers=limit)
    # Each part has its own.
    body = one_part(b"A: 1")[:-5] + one_part(b"A: 1")
    assert len(parsed([body], max_headers=1)) == 2


@pytest.mark.parametrize("name", [b"A", b"A" * 50, b"A" * 99])
def test_max_field_size(name: bytes) -> None:
    """Name and value together."""
    fits = name + b": " + b"x" * (100 - len(name))
    for make in (lambda data: [data], bytewise):
        ((fields, _),) = parsed(make(one_part(fits, fits)), max_field_size=100)
        assert sum(map(len, fields[0])) == 100
        with pytest.raises(MultipartError):
            parsed(make(one_part(fits + b"x")), max_field_size=100)


@pytest.mark.parametrize("start", [b"", b"A:", b"A: ", b"A: 1\r\n"])
@pytest.mark.parametrize("endless", [b"x", b" "])
def test_a_field_without_end_is_not_waited_for(start: bytes, endless: bytes) -> None:
    parser = MultipartParser(b"b", max_field_size=100)
    parser.receive_data(b"--b\r\n" + start)
    with pytest.raises(MultipartError):
        for _ in range(200):
            parser.receive_data(endless)


# --- The boundary of a Content-Type -------------------------------------------------------


@pytest.mark.parametrize("boundary", ["b", "-", "x" * 70, "a b", "'()+_,-./:=?", "{}[]@"])
def test_boundary_of(boundary: str) -> None:
    assert boundary_of("multipart/mixed", {"boundary": boundary}) == boundary.encode()


@pytest.mark.parametrize(
    ("media_type", "parameters"),
    [
        ("text/plain", {"boundary": "b"}),
        ("multipart", {"boundary": "b"}),
        ("application/octet-stream", {}),
        ("multipart/mixed", {}),
        ("multipart/mixed", {"boundary": ""}),
        ("multipart/mixed", {"boundary": "x" * 71}),
        ("multipart/mixed", {"boundary": "b "}),
        ("multipart/mixed", {"boundary": "a\tb"}),
        ("multipart/mixed", {"boundary": "a\r\nb"}),
        ("multipart/mixed", {"boundary": "b\n"}),
        ("multipart/mixed", {"boundary": "\xe4"}),
        ("multipart/mixed", {"boundary": "\udcff"}),
        ("multipart/mixed", {"boundary": "b\0"}),
    ],
)
def test_no_boundary(media_type: str, parameters: dict[str, str]) -> None:
    with pytest.raises(MultipartError):
        boundary_of(media_type, parameters)


# --- Whatever comes -----------------------------------------------------------------------

tokens = st.text("!#$%&'*+-.^_`|~09AZaz", min_size=1, max_size=8)
values = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=12).map(
    lambda text: text.strip(" \t")
)
boundaries = st.text("0123456789'()+_,-./:=? abcXYZ", min_size=1, max_size=70).filter(
    lambda text: not text.endswith(" ")
)
pieces_of_text = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"-", b"--", b"b", b"\r\n--", b"\r\n--c", b"x" * 20, b" ", b"\0"]
)
contents = st.binary(max_size=60) | st.lists(pieces_of_text, max_size=12).map(b"".join)
parts = st.lists(st.tuples(st.lists(st.tuples(tokens, values), max_size=3), contents), max_size=4)
places = st.lists(st.integers(0, 400), max_size=6)


def cut_at(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(data)) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(parts, boundaries, contents, contents, places)
def test_parts_come_back(
    sent: list[Part], boundary: str, preamble: bytes, epilogue: bytes, places: list[int]
) -> None:
    line = b"--" + boundary.encode()
    texts = [preamble, *[content for _, content in sent]]
    if any(b"\r\n" + line in b"\r\n" + text for text in texts):
        return
    # A part must not end with what makes the boundary begin earlier than it does.
    if any((b"\r\n" + text + b"\r\n" + line).find(b"\r\n" + line) <= len(text) for text in texts):
        return
    body = preamble + b"\r\n"
    for fields, content in sent:
        head = "".join(f"{name}: {value}\r\n" for name, value in fields).encode()
        body += line + b"\r\n" + head + b"\r\n" + content + b"\r\n"
    body += line + b"--" + (b"\r\n" + epilogue if epilogue else b"")
    assert parsed(cut_at(body, places), boundary.encode()) == sent


@given(
    st.lists(
        pieces_of_text
        | st.sampled_from(
            [b"--b\r\n", b"\r\n--b\r\n", b"\r\n--b--", b"\r\n--b \r\n", b"A: 1\r\n", b":"]
        ),
        max_size=30,
    ).map(b"".join),
    places,
)
@settings(max_examples=400)
def test_garbage_is_an_error_or_parts_wherever_it_is_cut(data: bytes, places: list[int]) -> None:
    def outcome(pieces: list[bytes]) -> list[Part] | None:
        try:
            return parsed(pieces)
        except MultipartError:
            return None

    whole = outcome([data])
    assert outcome(cut_at(data, places)) == whole
    assert outcome(bytewise(data)) == whole
