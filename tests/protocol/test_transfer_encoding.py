"""lowlevel.protocol.transfer_encoding: Content-Transfer-Encoding (RFC 2045 §6), whole and in pieces."""

from __future__ import annotations

import base64
import binascii
import quopri
from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lowlevel.protocol import transfer_encoding
from lowlevel.protocol.transfer_encoding import transfer_decoder

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def decoded(encoding: str, *pieces: bytes) -> bytes:
    """What comes of the pieces, the last of which may be as empty as any other."""
    decoder = transfer_decoder(encoding)
    return b"".join(decoder.decode(piece) for piece in pieces) + decoder.decode(b"", last=True)


def outcome(encoding: str, pieces: Iterable[bytes]) -> bytes | None:
    """What comes of the pieces; None is that they are not in this encoding."""
    try:
        return decoded(encoding, *pieces)
    except ValueError:
        return None


def splits(data: bytes) -> Iterable[list[bytes]]:
    """The data in two pieces, in every way, and byte by byte."""
    for at in range(len(data) + 1):
        yield [data[:at], data[at:]]
    yield [data[at : at + 1] for at in range(len(data))]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data, cut at places of which some may be beyond its end."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in zip(edges, edges[1:], strict=False)]


PLACES = st.lists(st.integers(0, 2**16), max_size=6)

# --- Names (§6.1) -------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "binary", "7BIT", " Binary\t"])
def test_identity(encoding: str) -> None:
    data = bytes(range(256))
    assert decoded(encoding, data[:100], b"", data[100:]) == data


@pytest.mark.parametrize("encoding", ["BASE64", "Base64", " base64", "base64 \t"])
def test_spelling(encoding: str) -> None:
    assert decoded(encoding, b"YWJj") == b"abc"


@pytest.mark.parametrize(
    "encoding",
    [
        "",
        " ",
        "base-64",
        "base64;x",
        "base64, base64",
        "x-uuencode",
        "gzip",
        "quotedprintable",
        "\0",
    ],
)
def test_unknown(encoding: str) -> None:
    with pytest.raises(ValueError, match="unknown Content-Transfer-Encoding"):
        transfer_decoder(encoding)


# --- Base64 (§6.8) ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"YQ==",
        b"YWI=",
        b"YWJj",
        b"YWJjZA==",
        b"YWJj\r\nZA==\r\n",
        b" Y W\tJ\rj\nZ A = = ",
        b"\r\n\r\n",
        b"+/+/",
    ],
)
def test_base64(data: bytes) -> None:
    expected = base64.b64decode(data)
    for pieces in splits(data):
        assert decoded("base64", *pieces) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"Y",
        b"YQ",
        b"YQ=",
        b"YWJ",
        b"YWJjZ",
        b"YWJj=",
        b"=",
        b"====",
        b"=YQ=",
        b"Y===",
        b"YQ===",
        b"YQ==YQ==",
        b"YQ==\r\nYQ==",
        b"YQ==Y",
        b"Y=Q=",
        b"YWJj====",
        b"YW-_",
        b"YWJj!",
        b"YWJj\0",
        b"YW\x0bJj",
        b"YW\xe4Jj",
        b"!!!!",
        b"YWJj\0\0\0\0",
        b"YW!!Jj\xe4\xe4",
    ],
)
def test_what_is_no_base64(data: bytes) -> None:
    for pieces in splits(data):
        with pytest.raises(ValueError, match=r"."):
            decoded("base64", *pieces)


@given(st.binary(max_size=500), st.integers(1, 100), st.sampled_from([b"\r\n", b"\n"]), PLACES)
def test_base64_of_anything(data: bytes, width: int, end: bytes, places: list[int]) -> None:
    text = base64.b64encode(data)
    lines = end.join(text[at : at + width] for at in range(0, len(text), width))
    assert decoded("base64", *cut(lines, places)) == data


ALMOST_BASE64 = st.lists(
    st.sampled_from([b"YWJj", b"YQ==", b"YWI=", b"Y", b"=", b"\r\n", b" ", b"!"]), max_size=8
).map(b"".join)


@given(ALMOST_BASE64 | st.binary(max_size=50), PLACES)
@example(b"YQ==YQ==", [4])
@example(b"YWJj====", [4])
@example(b"YQ=\r\n=", [3])
def test_base64_as_python_knows_it(data: bytes, places: list[int]) -> None:
    """However it is cut, the outcome is that of the whole without its blanks."""
    text = data.translate(None, b" \t\r\n")
    try:
        expected = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        expected = None
    if len(text) % 4 or b"=" in text[:-2]:  # Python is that strict only from 3.13 on
        expected = None
    assert outcome("base64", [data]) == expected
    assert outcome("base64", cut(data, places)) == expected


def test_base64_is_not_kept() -> None:
    decoder = transfer_decoder("base64")
    size = 0
    for length in range(1, 200):
        size += length
        data = decoder.decode(b"A" * length)
        size -= len(data) // 3 * 4
        assert 0 <= size < 4
    assert decoder.decode(b" \r\n" * 1000) == b""


# --- Quoted-printable (§6.7) --------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", b""),
        (b"abc", b"abc"),
        (b"=E2=82=AC", b"\xe2\x82\xac"),
        (b"=e2=82=ac", b"\xe2\x82\xac"),
        (b"a=3Db", b"a=b"),
        (b"a=\r\nb", b"ab"),
        (b"a=\nb", b"ab"),
        (b"a\r\nb\r\n", b"a\r\nb\r\n"),
        (b"a=20\r\nb", b"a \r\nb"),
        (b"a=\r\n=\r\n=\r\nb", b"ab"),
        (b"a b\tc", b"a b\tc"),
        (b"_", b"_"),
        # What is malformed is kept (§6.7, note 2); an escape that is cut off is dropped.
        (b"a=zz", b"a=zz"),
        (b"a=4", b"a=4"),
        (b"a=", b"a"),
        (b"\xe4\0", b"\xe4\0"),
    ],
)
def test_quoted_printable(data: bytes, expected: bytes) -> None:
    assert quopri.decodestring(data) == expected
    for pieces in splits(data):
        assert decoded("quoted-printable", *pieces) == expected


@pytest.mark.parametrize(
    "data", [b"a \r\nb", b"a\t \r\nb", b"a= \r\nb", b"a=\t\nb", b"a ", b"a =", b" \r\n \r\n"]
)
def test_blanks_at_the_ends_of_lines(data: bytes) -> None:
    """Wherever they are cut, they become what they become in the whole."""
    expected = quopri.decodestring(data)
    for pieces in splits(data):
        assert decoded("quoted-printable", *pieces) == expected


@given(st.binary(max_size=500), st.booleans(), PLACES)
def test_quoted_printable_of_anything(data: bytes, tabs: bool, places: list[int]) -> None:
    text = quopri.encodestring(data, quotetabs=tabs)
    assert decoded("quoted-printable", *cut(text, places)) == data


ALMOST_QUOTED = st.lists(
    st.sampled_from(
        [b"=", b"=41", b"=4", b"\r", b"\n", b"\r\n", b"=\r\n", b" ", b"a", b"zz", b"\xe4"]
    ),
    max_size=12,
).map(b"".join)


@given(ALMOST_QUOTED | st.binary(max_size=50), PLACES)
@example(b"==41", [1])
@example(b"=\rab\nc", [2])
def test_quoted_printable_as_python_knows_it(data: bytes, places: list[int]) -> None:
    """Everything is quoted-printable, and however it is cut, the outcome is that of the whole."""
    expected = binascii.a2b_qp(data)
    assert decoded("quoted-printable", data) == expected
    assert decoded("quoted-printable", *cut(data, places)) == expected


LINE = st.lists(st.sampled_from([b"=41", b"=3D", b"=0A", b"a", b" "]), max_size=60).map(b"".join)


@given(LINE, PLACES)
def test_a_long_line(line: bytes, places: list[int]) -> None:
    """No escape is cut, though the line is not waited for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer_encoding, "_LONGEST_LINE", 10)
        assert decoded("quoted-printable", *cut(line, places)) == binascii.a2b_qp(line)


@pytest.mark.parametrize("pattern", [b"a", b"=41", b"=41" + b"a" * 5000, b"=", b" ", b"=\r"])
@pytest.mark.parametrize("step", [1000, 65536])
def test_long_lines_do_not_pile_up(pattern: bytes, step: int) -> None:
    """Of a line without end, no more than its last 4 KiB wait."""
    line = pattern * (200_000 // len(pattern))
    decoder = transfer_decoder("quoted-printable")
    kept = 0
    for at in range(0, len(line), step):
        decoder.decode(line[at : at + step])
        kept = max(kept, len(decoder._rest))  # type: ignore[attr-defined]
    assert kept <= 4096


@pytest.mark.parametrize("size", [4000, 4094, 4095, 4096, 4097, 9000])
def test_an_escape_at_the_edge_of_what_waits(size: int) -> None:
    text = b"a" * size + b"=41" + b"b" * size
    for at in range(size - 3, size + 6):
        assert decoded("quoted-printable", text[:at], text[at:]) == b"a" * size + b"A" + b"b" * size
