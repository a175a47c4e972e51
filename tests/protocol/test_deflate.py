"""lowlevel.protocol.deflate: messages through zlib and back, in the order of RFC 7692 §7.2."""

import random
import zlib
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lowlevel.protocol import deflate as module
from lowlevel.protocol.deflate import Deflater, Inflater
from lowlevel.protocol.websocket_message import WebSocketError

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

TAIL = b"\x00\x00\xff\xff"
WINDOWS = range(9, 16)
EVERYTHING = 1 << 62

each_window = pytest.mark.parametrize("bits", WINDOWS)
with_and_without_context = pytest.mark.parametrize("keeps", [True, False])


class Strict:
    """A peer that inflates with one window of so many bits, and remembers no more than that."""

    def __init__(self, bits: int, keeps: bool = True) -> None:
        self.bits = bits
        self.keeps = keeps
        self.zlib = zlib.decompressobj(-bits)

    def __call__(self, message: bytes) -> bytes:
        if not self.keeps:
            self.zlib = zlib.decompressobj(-self.bits)
        # Within one call, zlib follows a reference further than its window reaches: so, little at a time.
        data, rest = b"", message + TAIL
        while piece := self.zlib.decompress(rest, 64):
            data += piece
            rest = self.zlib.unconsumed_tail
        assert not self.zlib.unconsumed_tail
        return data


class Client:
    """A peer that deflates with zlib."""

    def __init__(self, bits: int, keeps: bool = True, **options: int) -> None:
        self.options: dict[str, Any] = {"wbits": -bits, **options}
        self.keeps = keeps
        self.zlib = zlib.compressobj(**self.options)

    def __call__(self, data: bytes, flush: int = zlib.Z_SYNC_FLUSH) -> bytes:
        if not self.keeps:
            self.zlib = zlib.compressobj(**self.options)
        message = self.zlib.compress(data) + self.zlib.flush(flush)
        assert message.endswith(TAIL)
        return message[: -len(TAIL)]


def final(data: bytes) -> bytes:
    """A whole stream, with BFINAL."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush(zlib.Z_FINISH)


def inflate(inflater: Inflater, *pieces: bytes, limit: int = EVERYTHING) -> bytes:
    """Put a message in, in pieces, and take it out."""
    data = b""
    for number, piece in enumerate(pieces, 1):
        inflater.put(piece, last=number == len(pieces))
        part = inflater.take(limit)
        assert len(part) <= limit
        data += part
        while not inflater.empty:
            part = inflater.take(limit)
            assert len(part) <= limit
            data += part
    return data


def code_of(inflater: Inflater, *pieces: bytes) -> int:
    with pytest.raises(WebSocketError) as info:
        inflate(inflater, *pieces)
    return info.value.code


texts = st.builds(
    lambda block, times, rest: block * times + rest,
    st.binary(max_size=30),
    st.sampled_from([0, 1, 2, 50, 2000]),
    st.binary(max_size=5),
)
MESSAGES = [
    b"",
    b"a",
    b"",
    b"",
    random.Random(1).randbytes(700),
    random.Random(1).randbytes(700) * 3,
    b"a" * 100_000,
    b"",
    random.Random(2).randbytes(40_000) * 2,
]


# --- Sending --------------------------------------------------------------------------------------


@each_window
@with_and_without_context
def test_what_is_sent_stays_within_what_was_agreed_on(bits: int, keeps: bool) -> None:
    deflater, peer = Deflater(bits, keeps), Strict(bits, keeps)
    assert deflater.bits == bits
    for data in MESSAGES * 2:
        message = deflater.deflate(data)
        assert message, "an empty payload is no deflate (§7.2.3.6)"
        assert peer(message) == data


def test_context_makes_repeated_messages_small() -> None:
    data = random.Random(1).randbytes(1000)
    keeps, forgets = Deflater(15, True), Deflater(15, False)
    assert len(keeps.deflate(data)) > 900 > 50 > len(keeps.deflate(data))
    assert len(forgets.deflate(data)) == len(forgets.deflate(data)) > 900


@settings(max_examples=100)
@given(
    st.integers(9, 15),
    st.booleans(),
    st.lists(st.tuples(texts, st.one_of(st.none(), st.none(), st.integers(9, 15))), max_size=6),
)
@example(15, True, [(b"abc" * 300, None), (b"abc" * 300, 9), (b"abc" * 300, None)])
def test_a_window_for_one_message_does_no_harm_to_others(
    bits: int, keeps: bool, messages: list[tuple[bytes, int | None]]
) -> None:
    deflater, peer = Deflater(bits, keeps), Strict(bits, keeps)
    for data, own in messages:
        assert peer(deflater.deflate(data, own and min(own, bits))) == data


def test_a_window_for_one_message_is_used() -> None:
    far = random.Random(1).randbytes(2000)
    deflater = Deflater(15, True)
    deflater.deflate(far)
    message = deflater.deflate(far * 2, 9)
    assert len(message) > 3900
    assert Strict(9)(message) == far * 2
    assert len(deflater.deflate(far * 2)) < 2200


@with_and_without_context
def test_a_successor_knows_nothing(keeps: bool) -> None:
    data = random.Random(1).randbytes(400)
    deflater = Deflater(10, keeps)
    first = deflater.deflate(data)
    successor = deflater.successor()
    assert successor.bits == 10
    assert successor.deflate(data) == first
    assert (len(successor.deflate(data)) < 100) is keeps
    # A peer with one window reads on.
    peer = Strict(10)
    assert peer(first) + peer(deflater.successor().deflate(data)) == data * 2


def test_a_deflater_costs_nothing_between_messages_without_context() -> None:
    deflater = Deflater(15, False)
    deflater.deflate(b"abc")
    assert deflater._zlib is None
    deflater = Deflater(15, True)
    deflater.deflate(b"abc", 9)
    assert deflater._zlib is None


# --- Receiving ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", range(8, 16))
@with_and_without_context
def test_what_comes_is_inflated(bits: int, keeps: bool) -> None:
    inflater, client = Inflater(bits, keeps), Client(max(bits, 9), keeps)
    for data in [b"a" * 200] * 3 if bits == 8 else MESSAGES * 2:
        assert inflate(inflater, client(data)) == data
        assert inflater.empty


@settings(max_examples=100)
@given(
    st.lists(texts, max_size=5),
    st.integers(9, 15),
    st.booleans(),
    st.lists(st.integers(0, 2000), max_size=4),
    st.sampled_from([1, 2, 7, 100, 65536]),
)
@example([b"a" * 100, b"a" * 100], 15, True, [0], 100)
@example([b"a" * 101], 15, True, [1, 1, 2], 100)
def test_pieces_and_limits_make_no_difference(
    messages: list[bytes], bits: int, keeps: bool, cuts: list[int], limit: int
) -> None:
    inflater, client = Inflater(bits, keeps), Client(bits, keeps)
    for data in messages:
        if limit < 100:
            data = data[:500]
        message = client(data)
        ends = [0, *sorted(cut % (len(message) + 1) for cut in cuts), len(message)]
        pieces = [message[a:b] for a, b in zip(ends, ends[1:], strict=False)]
        assert inflate(inflater, *pieces, limit=limit) == data


def test_little_is_taken_of_much() -> None:
    inflater = Inflater(15, True)
    inflater.put(Client(15, level=9)(bytes(1 << 24)), last=True)
    assert inflater.take(1000) == bytes(1000)
    assert not inflater.empty


@pytest.mark.parametrize("flush", [zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_every_way_to_deflate(flush: int, level: int) -> None:
    inflater, client = Inflater(15, True), Client(15, level=level)
    for data in MESSAGES:
        assert inflate(inflater, client(data, flush)) == data


@with_and_without_context
def test_the_context_is_kept_or_not(keeps: bool) -> None:
    client = Client(15)
    first, second = client(b"hello hello"), client(b"hello hello")
    inflater = Inflater(15, keeps)
    assert inflate(inflater, first) == b"hello hello"
    if keeps:
        assert inflate(inflater, second) == b"hello hello"
    else:
        assert code_of(inflater, second) == 1007
        assert Inflater(15, keeps)._zlib is None


@pytest.mark.parametrize(
    "example",
    [
        "f248cdc9c90700",  # §7.2.3.1: one block
        "f200 1100 00",  # §7.2.3.2, with what it refers to before
        "00 0500 faff 48656c6c6f 00",  # §7.2.3.3: not compressed
        "f348cdc9c90700 00",  # §7.2.3.4: BFINAL
        "f24805000000ffffcac9c90700",  # §7.2.3.5: two blocks
    ],
)
def test_the_examples_of_the_rfc(example: str) -> None:
    message = bytes.fromhex(example)
    inflater = Inflater(15, True)
    if example.startswith("f200"):
        assert inflate(inflater, bytes.fromhex("f248cdc9c90700")) == b"Hello"
    assert inflate(inflater, message) == b"Hello"
    assert inflate(inflater, bytes.fromhex("f248cdc9c90700")) == b"Hello"


@pytest.mark.parametrize("nothing", [b"", b"\x00", b"\x02\x00"])
@with_and_without_context
def test_empty_messages(nothing: bytes, keeps: bool) -> None:
    """§7.2.3.6; no bytes at all are not in it, but met."""
    inflater, client = Inflater(15, keeps), Client(15, keeps)
    for _ in range(3):
        assert inflate(inflater, nothing) == b""
        assert inflate(inflater, client(b"hello hello")) == b"hello hello"
        assert inflate(inflater, b"", nothing, b"") == b""


@pytest.mark.parametrize(
    "bad",
    [
        b"\xff",
        b"\x07",
        b"\x00\x01\x02\x03\x04\x05",
        # Not all there.
        b"\x00\x05\x00\xfa\xffHel",
        b"\x00\x05",
        Client(15)(b"hello hello")[:-3],
        # A reference to what never was.
        bytes.fromhex("f20011000000"),
    ],
)
def test_what_is_not_deflate_is_1007(bad: bytes) -> None:
    assert code_of(Inflater(15, True), bad) == 1007
    assert code_of(Inflater(15, False), *[bad[at : at + 1] for at in range(len(bad))]) == 1007


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=30), min_size=1, max_size=4), st.booleans())
def test_garbage_is_data_or_a_fault(pieces: list[bytes], keeps: bool) -> None:
    inflater = Inflater(15, keeps)
    try:
        inflate(inflater, *pieces, limit=1000)
    except WebSocketError as exc:
        assert exc.code in (1002, 1007)


def test_chains_of_streams_are_short() -> None:
    stream = final(b"a")
    most = module._MAX_STREAMS
    inflater = Inflater(15, True)
    for _ in range(3):  # counted for each message
        assert inflate(inflater, stream * most, b"\x00") == b"a" * most
    assert code_of(inflater, stream * (most + 1)) == 1002
    assert code_of(Inflater(15, True), *[stream] * (most + 1)) == 1002


@with_and_without_context
@pytest.mark.parametrize("behind", [b"", b"\x00"])
def test_messages_go_on_behind_a_final_block(behind: bytes, keeps: bool) -> None:
    inflater = Inflater(15, keeps)
    for _ in range(3):
        assert inflate(inflater, final(b"hello"), behind) == b"hello"
        assert inflate(inflater, Client(15)(b"hello hello")) == b"hello hello"


@with_and_without_context
def test_messages_go_on_behind_a_final_block_that_ends_with_the_tail(keeps: bool) -> None:
    inflater = Inflater(15, keeps)
    assert inflate(inflater, b"\x01") == b""
    for _ in range(3):
        assert inflate(inflater, Client(15)(b"hello hello")) == b"hello hello"
