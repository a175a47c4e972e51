"""lowlevel.protocol.websocket: bytes in, messages out; and the frames that are sent.

Two lanes lead from bytes to messages, and must not be told apart: every stream runs through both, whole and cut
anywhere, and where sizes do not matter through a plain wsproto connection too.
"""

import gc
import random
import re
import sys
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol

from lowlevel.protocol import websocket
from lowlevel.protocol.deflate import Inflater
from lowlevel.protocol.websocket import (
    Receiver,
    Stall,
    close_payload,
    frame_head,
    may_be_sent,
)
from lowlevel.protocol.websocket_message import WebSocketError, WSMessage, WSMsgType
from tests.wsframes import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close,
    frame,
    text,
)

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

RSV1 = 4
TAIL = b"\x00\x00\xff\xff"

Lane = type[Receiver]
Seen = tuple[Any, ...]


class OneLane(Receiver):
    """A receiver without its fast lanes: wsproto reads everything."""

    __slots__ = ()

    def __init__(self, max_size: int, inflater: Inflater | None, decode_text: bool = True) -> None:
        super().__init__(max_size, inflater, decode_text)
        self._short = 0

    def _read_plain(self, data: bytes, start: int, messages: list[WSMessage]) -> int:
        return start

    def _begin_frame(self, data: bytes, start: int) -> int | None:
        return -1


LANES: tuple[Lane, ...] = (Receiver, OneLane)
both_lanes = pytest.mark.parametrize("lane", LANES)


@dataclass(frozen=True)
class Setting:
    """How to make a receiver.

    Attributes:
        window: Bits of the window of compressed messages; 0 for no compression.
        keeps_context: Whether these may refer to earlier ones.
    """

    max_size: int = 0
    window: int = 0
    keeps_context: bool = True
    decode: bool = True

    def make(self, lane: Lane = Receiver) -> Receiver:
        inflater = Inflater(self.window, self.keeps_context) if self.window else None
        return lane(self.max_size, inflater, self.decode)


def seen(message: WSMessage) -> Seen:
    """What of a message is the same in every lane."""
    assert type(message) is WSMessage
    assert type(message.type) is WSMsgType
    if message.type is WSMsgType.ERROR:
        assert type(message.data) is WebSocketError
        assert message.extra is None
        assert str(message.data)
        return ("ERROR", int(message.data.code))
    if message.type is WSMsgType.CLOSE:
        return ("CLOSE", int(message.data), message.extra)
    assert message.extra == ""
    return (message.type.name, type(message.data), message.data)


def serve(receiver: Receiver) -> list[WSMessage]:
    """Give a receiver what it waits for, until it has read everything."""
    messages = []
    while receiver.stall is not None:
        if receiver.stall is Stall.WORK:
            receiver.work()
        messages += receiver.proceed()
    return messages


class Fed:
    """A receiver and what came out of it.

    Args:
        patient: After how many reads a stall is served.
    """

    def __init__(self, receiver: Receiver, pieces: Iterable[bytes], patient: int = 1) -> None:
        self.receiver = receiver
        self.seen: list[Seen] = []
        for number, piece in enumerate(pieces, 1):
            stalled = receiver.stall is not None
            messages = receiver.receive_data(piece)
            assert not (stalled and messages), "messages during a stall"
            self._note(messages)
            if number % patient == 0:
                self._note(serve(receiver))
        self._note(serve(receiver))

    def _note(self, messages: list[WSMessage]) -> None:
        for message in messages:
            assert not self.seen or self.seen[-1][0] not in ("CLOSE", "ERROR"), "behind the end"
            self.seen.append(seen(message))

    def more(self, data: bytes) -> None:
        self._note(self.receiver.receive_data(data))
        self._note(serve(self.receiver))

    @property
    def outcome(self) -> tuple[list[Seen], bool]:
        return self.seen, self.receiver._ended


def receive(
    *pieces: bytes, lane: Lane = Receiver, max_size: int = 0, window: int = 0, decode: bool = True
) -> list[Seen]:
    return Fed(Setting(max_size, window, decode=decode).make(lane), pieces).seen


def a_text(data: str) -> Seen:
    return ("TEXT", str, data)


def a_binary(data: bytes) -> Seen:
    return ("BINARY", bytes, data)


def error(code: int) -> Seen:
    return ("ERROR", code)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    ends = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:end] for start, end in zip(ends, ends[1:], strict=False) if start < end]


def deflated(data: bytes, window: int = 15, level: int = 9) -> bytes:
    """A compressed message that refers to no other."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -window)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]


def compressed(opcode: int, data: bytes, *cuts: int) -> bytes:
    """A compressed message, in one frame or cut at bytes of the compressed payload."""
    pieces = cut(deflated(data), cuts)
    return fragments(opcode, pieces, rsv=RSV1)


def fragments(opcode: int, pieces: Sequence[bytes], rsv: int = 0, between: bytes = b"") -> bytes:
    """A message in as many frames as there are pieces."""
    frames = []
    for number, piece in enumerate(pieces):
        first, last = not number, number == len(pieces) - 1
        frames.append(
            frame(opcode if first else CONTINUATION, piece, fin=last, rsv=rsv if first else 0)
        )
    return between.join(frames)


# --- One truth: streams ---------------------------------------------------------------------------

SIZES = (0, 1, 2, 124, 125, 126, 127, 128, 300, 65535, 65536)
MASKS = (b"\x01\x02\x03\x04", b"\x00\x00\x00\x00", b"\xff\x80\x7f\x01")
BAD_TEXTS = (
    b"\xff",
    b"ab\x80",
    b"\xc3",
    b"\xc0\xaf",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xed\xa0",
    b"\xf4\x90\x80\x80",
    b"\xf0\x9f\x98",
    b"a" * 70 + b"\xfe" + b"a" * 70,
)

sizes = st.one_of(st.integers(0, 20), st.sampled_from(SIZES))
texts = st.one_of(
    st.text(max_size=12).map(str.encode),
    st.builds(lambda char, size: (char * size).encode(), st.sampled_from("aé€😀"), sizes),
)
bad_texts = st.builds(
    lambda before, bad, after: before.encode() + bad + after.encode(),
    st.text(max_size=3),
    st.sampled_from(BAD_TEXTS),
    st.sampled_from(["", "", "€"]),
)
binaries = st.one_of(
    st.binary(max_size=12),
    st.builds(lambda size, seed: random.Random(seed).randbytes(size), sizes, st.integers(0, 3)),
    st.builds(bytes, st.sampled_from([1000, 65535, 65536, 65537, 70000, 300000])),
)
small = st.binary(max_size=8)


@dataclass(frozen=True)
class Message:
    """A message of a client, before it is compressed and cut."""

    opcode: int
    payload: bytes
    compress: bool
    cuts: tuple[int, ...]
    between: bytes
    mask: bytes

    def render(self, deflate: Callable[[bytes], bytes] | None) -> bytes:
        compress = self.compress and deflate is not None
        payload = deflate(self.payload) if compress and deflate else self.payload
        ends = [0, *sorted(place % (len(payload) + 1) for place in self.cuts), len(payload)]
        frames = []
        for number, (start, end) in enumerate(zip(ends, ends[1:], strict=False)):
            frames.append(
                frame(
                    CONTINUATION if number else self.opcode,
                    payload[start:end],
                    fin=number == len(self.cuts),
                    rsv=RSV1 if compress and not number else 0,
                    mask=self.mask,
                )
            )
        return self.between.join(frames)


controls = st.builds(
    frame,
    st.sampled_from([PING, PONG]),
    st.one_of(small, st.just(bytes(125))),
    mask=st.sampled_from(MASKS),
)
few_cuts = st.one_of(
    st.just(()), st.lists(st.integers(0, 2**17), max_size=4).map(lambda cuts: tuple(cuts))
)


def messages(
    between: st.SearchStrategy[bytes], bad: st.SearchStrategy[bytes] = bad_texts
) -> st.SearchStrategy[Message]:
    kinds = st.one_of(
        st.tuples(st.just(TEXT), texts),
        st.tuples(st.just(BINARY), binaries),
        st.tuples(st.just(TEXT), st.one_of(texts, texts, bad)),
    )
    return st.builds(
        lambda kind, compress, cuts, between, mask: Message(*kind, compress, cuts, between, mask),
        kinds,
        st.booleans(),
        few_cuts,
        between,
        st.sampled_from(MASKS),
    )


any_message = messages(st.one_of(st.just(b""), st.just(b""), controls))

closes = st.one_of(
    st.builds(
        close,
        st.sampled_from(
            [1000, 1001, 1011, 1012, 1013, 1014, 3000, 4999]
            + [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535, None]
        ),
        st.sampled_from(["", "bye", "é" * 61]),
    ),
    st.just(close(1000, b"\xff")),
    st.just(close(1014, b"\xff")),
    st.just(frame(CLOSE, b"\x03")),
)

wrong_frames = st.one_of(
    # Any opcode, any reserved bits, masked or not, any length in any width, whatever it says.
    st.builds(
        frame,
        st.integers(0, 15),
        st.one_of(small, st.just(bytes(126)), st.just(bytes(200))),
        fin=st.booleans(),
        rsv=st.one_of(st.just(0), st.integers(0, 7)),
        mask=st.one_of(st.none(), st.sampled_from(MASKS)),
        length_bytes=st.sampled_from([None, None, 2, 8]),
    ),
    st.builds(
        frame,
        st.sampled_from([CONTINUATION, TEXT, BINARY]),
        small,
        fin=st.booleans(),
        rsv=st.sampled_from([0, 0, RSV1]),
        length=st.sampled_from([2**63, 2**64 - 1, 2**63 - 1, 2**40, 101, 1001, 65536]),
        length_bytes=st.just(8),
    ),
    st.builds(frame, st.sampled_from([TEXT, BINARY]), small, rsv=st.just(RSV1)),
)

items = st.one_of(any_message, any_message, controls, controls, closes, wrong_frames)

mutations = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "insert", "drop"]), st.integers(0, 2**18), small),
    max_size=2,
)


def mutate(data: bytes, changes: Iterable[tuple[str, int, bytes]]) -> bytes:
    for kind, place, new in changes:
        at = place % (len(data) + 1)
        if kind == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ (1 << place % 8)]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at]
        elif kind == "insert":
            data = data[:at] + new + data[at:]
        elif kind == "drop":
            data = data[:at] + data[at + len(new) :]
    return data


def render(items: Iterable[Message | bytes], setting: Setting) -> bytes:
    """Write a stream the way a client with these settings would."""
    compressor: Any = None

    def deflate(data: bytes) -> bytes:
        nonlocal compressor
        if compressor is None or not setting.keeps_context:
            compressor = zlib.compressobj(6, zlib.DEFLATED, -setting.window)
        return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]

    return b"".join(
        item if isinstance(item, bytes) else item.render(deflate if setting.window else None)
        for item in items
    )


all_settings = st.builds(
    Setting,
    st.sampled_from([0, 0, 0, 1, 100, 125, 1000, 65536, 100000]),
    st.sampled_from([0, 15, 9]),
    st.booleans(),
    st.booleans(),
)
places = st.one_of(
    st.lists(st.integers(0, 2**18), max_size=6),
    # All in the first bytes: heads.
    st.lists(st.integers(0, 40), max_size=12),
)


def tolerant(outcome: tuple[list[Seen], bool]) -> tuple[list[Seen], bool]:
    """Take 1007 and 1009 for the same: bytes that zlib refuses may inflate to too much before, or not.

    It depends on how much of them it gets at a time.
    """
    return [error(1009) if one == error(1007) else one for one in outcome[0]], outcome[1]


def judged(feds: Sequence[Any], setting: Setting) -> list[tuple[list[Seen], bool]]:
    both_faults = setting.window and setting.max_size
    return [tolerant(fed.outcome) if both_faults else fed.outcome for fed in feds]


def agree(feds: Sequence[Any], setting: Setting) -> bool:
    first, *others = judged(feds, setting)
    return all(other == first for other in others)


def check_agreement(feds: Sequence[Any], setting: Setting) -> None:
    """All the same; or, where the stream ends in the head of a frame, all the same once its key is there.

    A fault in a head may be told before the rest of the head has come.
    """
    if not agree(feds, setting):
        for fed in feds:
            fed.more(bytes(4))
    first, *others = judged(feds, setting)
    for other in others:
        assert other == first


def check_one_truth(data: bytes, setting: Setting, cuts: Iterable[int], patient: int = 1) -> None:
    pieces = cut(data, cuts)
    feds = [Fed(setting.make(lane), parts) for lane in LANES for parts in ([data], pieces)]
    feds.append(Fed(setting.make(), pieces, patient))
    check_agreement(feds, setting)


@pytest.mark.usefixtures("untraced")
@settings(max_examples=1000)
@given(st.lists(items, max_size=6), all_settings, mutations, places, st.integers(1, 4))
# A head that ends within each of its parts, behind a frame for wsproto, too.
@example([frame(PING), text("a" * 126)], Setting(), [], [1, 2, 6, 7, 8, 9, 10], 1)
@example([frame(PING, b"x"), text("a")], Setting(), [], [], 1)
@example([fragments(TEXT, [b"\xe2\x82", b"", b"\xac"]), text("a")], Setting(), [], [3, 9, 17], 1)
@example([fragments(TEXT, [b"\xed\xa0", b"\x80"], between=frame(PING))], Setting(), [], [], 1)
@example([fragments(TEXT, [b"", b""]), text("")], Setting(), [], [], 1)
@example([frame(TEXT, b"\xff", fin=False), text("a")], Setting(), [], [], 1)
# A plain frame where a continuation has to be.
@example([frame(TEXT, b"a", fin=False), text("b")], Setting(), [], [7], 1)
@example([text("a", length_bytes=2)], Setting(), [], [3], 1)
@example([frame(BINARY, bytes(126), length_bytes=8)], Setting(), [], [5], 1)
@example([frame(BINARY, length=2**63, length_bytes=8)], Setting(max_size=9), [], [], 1)
@example([text("a", mask=None)], Setting(), [], [1], 1)
@example([text("a" * 101, mask=None)], Setting(max_size=100), [], [1], 1)
@example([text("a", rsv=RSV1)], Setting(), [], [], 1)
@example([frame(TEXT, b"a" * 101, rsv=RSV1)], Setting(max_size=100), [], [], 1)
@example([frame(CONTINUATION, b"a", rsv=RSV1)], Setting(window=15), [], [], 1)
@example([frame(PING, b"a", rsv=RSV1)], Setting(window=15), [], [], 1)
@example([frame(TEXT, b"", rsv=RSV1), text("a")], Setting(window=15), [], [6], 1)
@example([compressed(TEXT, b"a", 1), compressed(TEXT, b"b")], Setting(window=15), [], [], 1)
@example([compressed(BINARY, bytes(65536))], Setting(window=15), [], [], 1)
@example([compressed(BINARY, bytes(300000), 9)] * 3, Setting(window=15), [], [], 1)
@example([compressed(BINARY, bytes(101))], Setting(max_size=100, window=15), [], [], 1)
@example([frame(BINARY, bytes(99)), frame(BINARY, bytes(101))], Setting(max_size=100), [], [], 1)
@example([fragments(BINARY, [bytes(60)] * 2)], Setting(max_size=100), [], [], 1)
@example([frame(PING)] * 1001 + [text("a")], Setting(), [], [3000], 2)
@example([text("a"), close(1014, "é"), text("b")], Setting(), [], [12], 1)
@example([text("a"), frame(PING)[:3]], Setting(), [], [7, 8], 1)
def test_both_lanes_tell_the_same(
    items: list[Message | bytes],
    setting: Setting,
    changes: list[tuple[str, int, bytes]],
    cuts: list[int],
    patient: int,
) -> None:
    data = mutate(render(items, setting), changes)
    check_one_truth(data, setting, cuts, patient)


heads = st.builds(
    lambda first, second, rest: bytes([first, second]) + rest,
    st.one_of(st.integers(0, 255), st.sampled_from([0x81, 0x82, 0xC1, 0x01, 0x80, 0x88, 0x89])),
    st.one_of(st.integers(0, 255), st.integers(0x80, 0x88), st.sampled_from([0xFE, 0xFF])),
    st.one_of(st.binary(max_size=20), st.binary(max_size=6).map(lambda rest: bytes(9) + rest)),
)


@pytest.mark.usefixtures("untraced")
@settings(max_examples=300)
@given(st.lists(heads, min_size=1, max_size=4).map(b"".join), all_settings, places)
def test_both_lanes_tell_the_same_of_garbage(
    data: bytes, setting: Setting, cuts: list[int]
) -> None:
    check_one_truth(data, setting, cuts)


@settings(max_examples=25)
@given(st.lists(items, max_size=3), all_settings)
@example([fragments(TEXT, ["é".encode()[:1], "é€".encode()[1:]], between=frame(PING))], Setting())
@example([text("é" * 80), close(1000, "é")], Setting())
@example([compressed(TEXT, "é".encode() * 20, 3)], Setting(window=15))
def test_where_a_read_ends_makes_no_difference(
    items: list[Message | bytes], setting: Setting
) -> None:
    """Cut in two at every place, and byte by byte."""
    data = render(items, setting)[:700]
    feds = [Fed(setting.make(), cut(data, [place])) for place in range(len(data) + 1)]
    feds.append(Fed(setting.make(), cut(data, range(len(data)))))
    feds.append(Fed(setting.make(OneLane), cut(data, range(len(data)))))
    check_agreement(feds, setting)


# --- A third opinion ------------------------------------------------------------------------------


class Wsproto:
    """What a plain wsproto connection with its own permessage-deflate makes of a stream."""

    def __init__(self, setting: Setting, data: bytes) -> None:
        deflate = PerMessageDeflate()
        extensions: list[Any] = []
        if setting.window:
            offer = f"permessage-deflate; client_max_window_bits={setting.window}"
            if not setting.keeps_context:
                offer += "; client_no_context_takeover"
            deflate.accept(offer)
            extensions.append(deflate)
        self.connection = Connection(ConnectionType.SERVER, extensions)
        self.seen: list[Seen] = []
        self.parts: list[Any] = []
        self.ended = False
        self.more(data)

    def more(self, data: bytes) -> None:
        if self.ended:
            return
        self.connection.receive_data(data)
        for event in self.connection.events():
            if isinstance(event, TextMessage | BytesMessage):
                self.parts.append(event.data)
                if event.message_finished:
                    data = self.parts[0][:0].join(self.parts)
                    self.parts = []
                    is_text = isinstance(event, TextMessage)
                    self.seen.append(a_text(str(data)) if is_text else a_binary(bytes(data)))
            elif isinstance(event, Ping):
                self.seen.append(("PING", bytes, bytes(event.payload)))
            elif isinstance(event, Pong):
                self.seen.append(("PONG", bytes, bytes(event.payload)))
            elif isinstance(event, CloseConnection):
                self.ended = True
                if self.connection.state is ConnectionState.REMOTE_CLOSING:
                    code = 0 if event.code == 1005 else int(event.code)
                    self.seen.append(("CLOSE", code, event.reason or ""))
                else:
                    self.seen.append(error(int(event.code)))

    @property
    def outcome(self) -> tuple[list[Seen], bool]:
        return self.seen, self.ended


# wsproto tells a first half of a surrogate from a character only when more comes, has not heard of 1014, and forgets
# that a message is compressed when a ping comes in the middle of it.
known_to_wsproto = st.one_of(
    messages(st.just(b""), bad_texts.filter(lambda bad: b"\xed" not in bad)),
    controls,
    closes.filter(lambda data: close(1014)[-1:] != data[7:8] or close(1014)[6:] != data[6:8]),
)
simple_settings = st.builds(Setting, st.just(0), st.sampled_from([0, 9, 15]), st.booleans())


@pytest.mark.usefixtures("untraced")
@settings(max_examples=300)
@given(st.lists(known_to_wsproto, max_size=6), simple_settings, places, st.integers(0, 30))
def test_wsproto_tells_the_same(
    items: list[Message | bytes], setting: Setting, cuts: list[int], missing: int
) -> None:
    data = render(items, setting)
    data = data[: len(data) - missing]
    check_agreement([Wsproto(setting, data), Fed(setting.make(), cut(data, cuts))], setting)


@pytest.mark.usefixtures("untraced")
@settings(max_examples=300)
@given(
    st.lists(st.one_of(known_to_wsproto, controls, wrong_frames), max_size=5),
    mutations,
    places,
)
def test_wsproto_tells_the_same_of_what_is_wrong(
    items: list[Message | bytes], changes: list[tuple[str, int, bytes]], cuts: list[int]
) -> None:
    setting = Setting()
    data = mutate(render(items, setting), changes)
    theirs, ours = Wsproto(setting, data), Fed(setting.make(), cut(data, cuts))
    if ours.seen[-1:] == [error(1007)] and theirs.seen[-1:] != [error(1007)] and b"\xed" in data:
        return  # It may have been the half of a surrogate.
    if any(one[0] == "CLOSE" and one[1] == 1014 for one in ours.seen):
        return
    check_agreement([theirs, ours], setting)


def test_what_the_third_opinion_leaves_out() -> None:
    """The filters above are still needed; if not, they may go."""
    assert Wsproto(Setting(), close(1014)).seen == [error(1002)]
    assert Wsproto(Setting(), frame(TEXT, b"\xed\xa0", fin=False)).seen == []
    halves = cut(deflated(b"hello hello"), [4])
    data = fragments(TEXT, halves, rsv=RSV1, between=frame(PING))
    assert a_text("hello hello") not in Wsproto(Setting(window=15), data).seen
    assert receive(data, window=15)[-1] == a_text("hello hello")


def test_the_lane_of_wsproto_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests above take for the truth has nothing of the fast lanes in it."""
    monkeypatch.setattr(websocket, "unmask", None)
    data = text("a") + compressed(BINARY, b"b") + frame(BINARY, bytes(70_000))
    for pieces in ([data], cut(data, [3, 7, 9, 40]), [text("a")]):
        Fed(Setting(window=15).make(OneLane), pieces)
        with pytest.raises(TypeError):
            Fed(Setting(window=15).make(), pieces)


# --- RFC 6455 §5.2: heads -------------------------------------------------------------------------


@both_lanes
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", SIZES)
def test_frames_of_every_size(size: int, opcode: int, lane: Lane) -> None:
    data = frame(opcode, b"a" * size)
    whole = a_text("a" * size) if opcode == TEXT else a_binary(b"a" * size)
    assert receive(data, lane=lane) == [whole]
    assert receive(data[:9], data[9:], lane=lane) == [whole]


@both_lanes
@pytest.mark.parametrize(
    "data",
    [
        *[frame(opcode) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
        *[frame(opcode, rsv=rsv) for opcode in (TEXT, PING) for rsv in (1, 2, 3, 4, 5, 6, 7)],
        frame(CONTINUATION, b"a"),
        text("a", mask=None),
        frame(PING, mask=None),
        frame(PING, b"a", fin=False),
        frame(PING, bytes(126)),
        frame(CLOSE, b"a"),
        text("a" * 125, length_bytes=2),
        text("a", length_bytes=8),
        text("a" * 65535, length_bytes=8),
        frame(BINARY, length=1 << 63, length_bytes=8),
        frame(TEXT, fin=False) + text("a"),
        frame(TEXT, fin=False) + frame(BINARY),
        *[close(code) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)],
    ],
)
def test_broken_rules_are_1002(data: bytes, lane: Lane) -> None:
    """What came before is told, what comes behind is not."""
    before, behind = text("before"), text("behind")
    assert receive(before, data + behind, behind, lane=lane) == [a_text("before"), error(1002)]
    assert receive(before + data + behind, lane=lane) == [a_text("before"), error(1002)]


@both_lanes
@pytest.mark.parametrize("bad", BAD_TEXTS)
def test_text_that_is_not_utf8_is_1007(bad: bytes, lane: Lane) -> None:
    for data in (
        frame(TEXT, bad),
        fragments(TEXT, [bad, b""]),
        fragments(TEXT, [bad[:1], bad[1:]]),
        frame(TEXT, deflated(bad), rsv=RSV1),
    ):
        assert receive(data, text("behind"), lane=lane, window=15) == [error(1007)]
        assert receive(data, lane=lane, window=15, decode=False) == [error(1007)]


@both_lanes
@pytest.mark.parametrize(
    "bad", [b"\xff", b"\x80", b"\xc0", b"\xe0\x80", b"\xed\xa0", b"\xf0\x80", b"\xf4\x90", b"\xf5"]
)
def test_text_fails_at_its_first_bad_byte(bad: bytes, lane: Lane) -> None:
    """The rest of the frame, or of the message, need not come."""
    long = frame(TEXT, b"ab" + bad + b"c" * 100)
    upto = 6 + 2 + len(bad)
    assert receive(long[:upto], lane=lane) == [error(1007)]
    assert receive(long[: upto - 1], lane=lane) == []
    assert receive(frame(TEXT, b"ab" + bad, fin=False), lane=lane) == [error(1007)]


@both_lanes
def test_the_key_goes_on_where_a_read_ended(lane: Lane) -> None:
    payload = bytes(range(40))
    data = frame(BINARY, payload, mask=b"\x11\x22\x33\x44")
    for size in (1, 2, 3, 5, 7):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert receive(*pieces, lane=lane) == [a_binary(payload)]


@both_lanes
def test_texts_stay_bytes_if_so_wished(lane: Lane) -> None:
    data = text("é") + fragments(TEXT, [b"a", b"b"]) + compressed(TEXT, b"c")
    assert [one[1:] for one in receive(data, lane=lane, window=15, decode=False)] == [
        (bytes, "é".encode()),
        (bytes, b"ab"),
        (bytes, b"c"),
    ]


# --- RFC 6455 §5.5, §7.4: control frames ------------------------------------------------------------


@both_lanes
def test_controls_stand_in_their_places(lane: Lane) -> None:
    data = text("1") + frame(TEXT, b"2", fin=False) + frame(PING, b"x") + frame(PONG)
    data += frame(CONTINUATION, b"3") + frame(PING, bytes(125)) + text("4") + close(None)
    assert receive(data, lane=lane) == [
        a_text("1"),
        ("PING", bytes, b"x"),
        ("PONG", bytes, b""),
        a_text("23"),
        ("PING", bytes, bytes(125)),
        a_text("4"),
        ("CLOSE", 0, ""),
    ]


@both_lanes
@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]
)
def test_closes(code: int, lane: Lane) -> None:
    assert receive(close(code, "é" * 61), lane=lane) == [("CLOSE", code, "é" * 61)]
    assert receive(close(code), lane=lane) == [("CLOSE", code, "")]
    assert receive(close(code, b"a\xff"), lane=lane) == [error(1007)]


@both_lanes
def test_a_close_in_the_middle_of_a_message(lane: Lane) -> None:
    assert receive(frame(TEXT, b"a", fin=False) + close(), lane=lane) == [("CLOSE", 1000, "")]


def test_errors_say_what_is_wrong() -> None:
    def reason(data: bytes, max_size: int = 0) -> str:
        (message,) = Receiver(max_size, None).receive_data(data)
        return str(message.data)

    assert reason(frame(TEXT, b"\xff")) == "a text is not UTF-8 (RFC 6455 §8.1)"
    assert reason(frame(BINARY, bytes(9)), 8) == "a message is larger than max_msg_size, 8 bytes"
    fragment = frame(BINARY, bytes(9), fin=False)
    assert reason(fragment, 8) == "a message is larger than max_msg_size, 8 bytes"
    for data in (frame(3), frame(PING, mask=None), text("a", length_bytes=8), close(1005)):
        assert re.fullmatch(r".{8,} \(RFC 6455 §[0-9.]+\)", reason(data))
    assert "reason of a Close is not UTF-8" in reason(close(1000, b"\xff"))


# --- Sizes ----------------------------------------------------------------------------------------


@both_lanes
@pytest.mark.parametrize(
    ("data", "fits"),
    [
        (frame(BINARY, bytes(100)), True),
        (frame(BINARY, bytes(101)), False),
        (frame(BINARY, bytes(101), fin=False), False),
        (fragments(BINARY, [bytes(50), bytes(50)]), True),
        (fragments(BINARY, [bytes(50), bytes(51)]), False),
        (fragments(BINARY, [bytes(50), bytes(50), b""]), True),
        (frame(BINARY, length=101, length_bytes=0), False),
        (frame(BINARY, length=2**40, length_bytes=8), False),
        (compressed(BINARY, bytes(100)), True),
        (compressed(BINARY, bytes(101)), False),
        (compressed(BINARY, bytes(100), 2), True),
        (compressed(BINARY, bytes(101), 2), False),
        # Compression may make it longer.
        (frame(BINARY, deflated(random.Random(1).randbytes(99), level=0), rsv=RSV1), True),
        (frame(PING, bytes(125)), True),
    ],
)
def test_the_size_of_a_message_is_limited(data: bytes, fits: bool, lane: Lane) -> None:
    outcome = receive(data, lane=lane, max_size=100, window=15)
    assert (outcome != [error(1009)]) is fits
    assert len(outcome) == 1


def test_a_message_too_big_is_refused_by_its_head() -> None:
    head = frame(BINARY, length=101, length_bytes=0)
    assert len(head) == 6
    assert receive(head, max_size=100) == [error(1009)]
    # By that of a fragment too.
    first = frame(BINARY, bytes(60), fin=False)
    second = frame(CONTINUATION, length=41, length_bytes=0)
    assert receive(first, second, max_size=100) == [error(1009)]


@both_lanes
@pytest.mark.parametrize("bad", [b"\xff\xff", b"\x01\x02\x03\x04\x05\x06", b"\x07"])
def test_what_is_not_deflate_is_1007(bad: bytes, lane: Lane) -> None:
    assert receive(frame(BINARY, bad, rsv=RSV1), lane=lane, window=15) == [error(1007)]


def test_of_two_faults_in_a_compressed_message_the_first_counts() -> None:
    data = compressed(TEXT, b"ab\xff" + b"x" * 200)
    outcomes = [receive(*parts, max_size=100, window=15) for parts in ([data], cut(data, [8, 9]))]
    outcomes.append(receive(*cut(data, range(len(data))), max_size=100, window=15))
    assert outcomes == [[error(1007)]] * 3


def test_a_large_continuation_of_nothing_is_the_same_behind_every_message() -> None:
    large = frame(CONTINUATION, bytes(101))
    outcomes = [
        receive(*pieces, large, max_size=100, window=15)[-1]
        for message in (compressed(TEXT, b"abc", 1), fragments(TEXT, [b"a", b"b"]))
        for pieces in ([message, b""], [frame(PING) + message + large])
    ]
    assert len(set(outcomes)) == 1


# --- Stalls ---------------------------------------------------------------------------------------

LARGE = 200_000
"""Bytes of a message that is not inflated on the spot."""


@both_lanes
def test_room_is_made_for_what_comes_out_of_few_bytes(lane: Lane) -> None:
    one = compressed(BINARY, bytes(60_000))
    receiver = Setting(window=15).make(lane)
    out = receiver.receive_data(one * 8 + text("a"))
    assert receiver.stall is Stall.ROOM
    assert (len(out), receiver.assembled) == (5, 300_000)
    assert receiver.receive_data(text("b")) == []
    assert receiver.stall is Stall.ROOM
    out = receiver.proceed()
    assert receiver.stall is None
    assert [message.data for message in out] == [bytes(60_000)] * 3 + ["a", "b"]


@both_lanes
def test_many_frames_of_a_message_give_others_a_turn(lane: Lane) -> None:
    turn = websocket._FRAMES_PER_TURN
    receiver = Setting().make(lane)
    data = frame(TEXT, b"a", fin=False) + frame(PING) * (2 * turn + 8)
    counts = [len(receiver.receive_data(data))]
    assert receiver.stall is Stall.TURN
    assert receiver.receive_data(frame(CONTINUATION, b"b") + frame(PING)[:3]) == []
    while receiver.stall is Stall.TURN:
        out = receiver.proceed()
        counts.append(len(out))
    assert counts == [turn - 1, turn, 10]
    assert out[-1].data == "ab"
    (last,) = receiver.receive_data(frame(PING)[3:])
    assert last.type is WSMsgType.PING


@pytest.mark.parametrize("before", [b"", frame(PING)])
@pytest.mark.parametrize("one", [text("a"), frame(PING), compressed(TEXT, b"a")])
def test_many_small_messages_give_others_a_turn(one: bytes, before: bytes) -> None:
    turn = websocket._MESSAGES_PER_TURN
    receiver = Setting(window=15).make()
    receiver.receive_data(before)
    counts = [len(receiver.receive_data(one * (2 * turn + 9)))]
    while receiver.stall is Stall.TURN:
        assert not receiver.plain
        counts.append(len(receiver.proceed()))
    assert sum(counts) == 2 * turn + 9
    assert len(counts) >= 3
    assert max(counts) <= turn
    receiver.receive_data(text("b"))
    assert receiver.plain


@both_lanes
def test_what_takes_long_is_done_in_a_thread(lane: Lane) -> None:
    receiver = Setting(window=15).make(lane)
    data = text("before") + compressed(BINARY, bytes(LARGE)) + text("in the same read")
    (before,) = receiver.receive_data(data)
    assert before.data == "before"
    assert receiver.stall is Stall.WORK
    assert 0 < receiver.payload_size < LARGE
    worker = threading.Thread(target=receiver.work)
    worker.start()
    for letter in "abc":
        for piece in cut(text(letter), [3]):
            assert receiver.receive_data(piece) == []
    worker.join()
    assert receiver.stall is Stall.WORK
    out = receiver.proceed()
    assert receiver.stall is None
    assert [one.data for one in out] == [bytes(LARGE), "in the same read", "a", "b", "c"]
    assert receiver.payload_size == 0


@both_lanes
def test_work_in_the_middle_of_a_message(lane: Lane) -> None:
    payload = random.Random(1).randbytes(1000) * 300
    pieces = cut(deflated(payload), [2000, 2000 + len(deflated(payload)) // 3])
    receiver = Setting(window=15).make(lane)
    out = receiver.receive_data(fragments(BINARY, pieces, rsv=RSV1, between=frame(PING)))
    stalls = []
    while receiver.stall is not None:
        stalls.append(receiver.stall)
        receiver.work()
        out += receiver.proceed()
    assert Stall.WORK in stalls
    assert [message.type.name for message in out] == ["PING", "PING", "BINARY"]
    assert out[-1].data == payload


def flawed(good: int) -> bytes:
    """A compressed message that goes wrong behind some bytes."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return compressor.compress(bytes(good)) + compressor.flush(zlib.Z_SYNC_FLUSH) + b"\xff\xff"


@both_lanes
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (compressed(BINARY, bytes(300_001)), 1009),
        (compressed(TEXT, b"a" * LARGE + b"\xff"), 1007),
        (compressed(TEXT, b"a" * LARGE + b"\xe2\x82"), 1007),
        (frame(BINARY, flawed(LARGE), rsv=RSV1), 1007),
    ],
)
def test_faults_that_work_finds(data: bytes, code: int, lane: Lane) -> None:
    receiver = Setting(300_000, window=15).make(lane)
    out = receiver.receive_data(data + text("behind"))
    assert (out, receiver.stall) == ([], Stall.WORK)
    receiver.work()
    assert receiver.receive_data(text("later")) == []
    (message,) = receiver.proceed()
    assert seen(message) == error(code)
    assert message.data.__traceback__ is None
    assert receiver.stall is None
    assert receiver.surplus
    assert receiver.proceed() == []


@both_lanes
def test_a_chain_of_deflate_streams_is_1002(lane: Lane) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = compressor.compress(b"a") + compressor.flush(zlib.Z_FINISH)
    legal = frame(TEXT, stream * 16 + b"\x00", rsv=RSV1)
    chain = frame(TEXT, stream * 17 + b"\x00", rsv=RSV1)
    assert receive(legal, chain, lane=lane, window=15) == [a_text("a" * 16), error(1002)]


def test_work_and_going_on_where_nothing_is_to_do() -> None:
    receiver = Receiver(0, None)
    receiver.work()
    assert receiver.proceed() == []
    assert receiver.plain


def test_room_is_made_between_fragmented_messages() -> None:
    payload = bytes(1 << 20)
    one = compressed(BINARY, payload, len(deflated(payload)) // 2)
    receiver = Setting(window=15).make()
    out = receiver.receive_data(one * 4)
    while receiver.stall is Stall.WORK:
        receiver.work()
        out += receiver.proceed()
    assert receiver.stall is Stall.ROOM
    assert len(out) == 1


# --- What a receiver tells of itself ------------------------------------------------------------------


def test_plain() -> None:
    """True before a read and after it means: nothing but whole plain frames."""
    receiver = Setting(window=15).make()
    assert receiver.plain
    steps = [
        (text("a"), True),
        (text("a") + text("b"), True),
        (text("a") + text("b")[:3], False),
        (text("b")[3:], True),
        (text("a") + text("bcd")[:8], False),
        (text("bcd")[8:], False),
        (text("c"), True),
        (frame(PING), False),
        (text("c"), True),
        (compressed(TEXT, b"a"), False),
        (text("c"), True),
        (frame(TEXT, b"a", fin=False), False),
        (frame(CONTINUATION, b"b"), False),
        (text("c"), True),
        (b"", True),
        (b"\x81", False),
        (text("c")[1:], True),
        (close(), False),
        (text("d"), False),
    ]
    for data, plain in steps:
        receiver.receive_data(data)
        assert receiver.plain is plain, data


@both_lanes
def test_controls_are_counted(lane: Lane) -> None:
    receiver = Setting().make(lane)
    receiver.receive_data(frame(PING) + text("a") + frame(PONG))
    assert receiver.controls == 2
    receiver.receive_data(text("a"))
    assert receiver.controls == 0
    receiver.receive_data(frame(PING) + frame(3))
    assert receiver.controls == 2
    receiver.receive_data(b"x")
    assert receiver.controls == 0
    plain = Setting().make(lane)
    plain.receive_data(text("a") + frame(TEXT, b"\xff"))
    assert plain.controls == 1
    closed = Setting().make(lane)
    turn = websocket._MESSAGES_PER_TURN
    counts = [len(closed.receive_data(frame(PING) * (turn + 3)))]
    assert closed.controls == counts[0] <= turn
    while closed.stall is Stall.TURN:
        counts.append(len(closed.proceed()))
        assert closed.controls == counts[-1]
    assert sum(counts) == turn + 3


def test_what_came_earlier_or_compressed_is_counted() -> None:
    receiver = Setting(window=15).make()
    receiver.receive_data(text("a" * 50) + text("b" * 50)[:30])
    assert receiver.assembled == 0
    receiver.receive_data(text("b" * 50)[30:] + text("c"))
    assert receiver.assembled == 50
    receiver.receive_data(frame(PING))
    assert receiver.assembled == 0
    receiver.receive_data(compressed(TEXT, b"d" * 1000))
    assert receiver.assembled == 1000
    receiver.receive_data(frame(TEXT, b"e" * 30, fin=False))
    assert receiver.payload_size == 30
    receiver.receive_data(frame(CONTINUATION, b"e" * 30))
    assert receiver.assembled == 60


@both_lanes
@pytest.mark.parametrize("before", [b"", text("a"), frame(PING), frame(TEXT, fin=False)])
def test_bytes_behind_a_close(before: bytes, lane: Lane) -> None:
    for behind, surplus in ((b"", False), (b"\x81", True), (text("a"), True), (close(), True)):
        receiver = Setting().make(lane)
        receiver.receive_data(before + close() + behind)
        assert receiver.surplus is surplus
        receiver = Setting().make(lane)
        receiver.receive_data(before + close())
        assert not receiver.surplus
        assert receiver.receive_data(behind) == []
        assert receiver.surplus is surplus
        receiver.receive_data(b"")
        assert receiver.surplus is surplus


@both_lanes
def test_a_close_behind_a_stall(lane: Lane) -> None:
    for behind, surplus in ((b"", False), (b"x", True)):
        receiver = Setting().make(lane)
        receiver.receive_data(frame(PING) * websocket._MESSAGES_PER_TURN + frame(PING) + close())
        assert receiver.stall is Stall.TURN
        assert receiver.receive_data(behind) == []
        assert serve(receiver)[-1].type is WSMsgType.CLOSE
        assert receiver.surplus is surplus


@both_lanes
@pytest.mark.parametrize(
    "data", [frame(PING)[:3], text("abc")[:8], frame(TEXT, b"a", fin=False), frame(PING), b"\x81"]
)
def test_close_lets_go(data: bytes, lane: Lane) -> None:
    receiver = Setting().make(lane)
    receiver.receive_data(data)
    receiver.close()
    assert receiver.payload_size == 0
    assert receiver.receive_data(text("a")) == []
    assert receiver.surplus
    receiver.close()


def test_close_lets_go_between_plain_messages() -> None:
    receiver = Receiver(0, None)
    receiver.receive_data(text("a"))
    receiver.close()
    assert receiver.receive_data(text("a")) == []
    assert receiver.surplus


# --- What it costs --------------------------------------------------------------------------------


@both_lanes
@pytest.mark.parametrize("cuts", [(), (40_000,)])
def test_a_bomb_costs_no_more_than_the_limit(cuts: tuple[int, ...], lane: Lane) -> None:
    """64 MiB in 64 KiB. Beside the message there are a portion of 256 KiB, and room for the message to grow."""
    limit = 1 << 20
    data = compressed(BINARY, bytes(64 << 20), *cuts)
    receiver = Setting(limit, window=15).make(lane)
    tracemalloc.start()
    try:
        out = receiver.receive_data(data) + serve(receiver)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [seen(message) for message in out] == [error(1009)]
    portion, copies_of_data, window = 262_144, 4 * len(data), 65_536
    assert peak <= limit + limit // 4 + 2 * portion + copies_of_data + window


def calls_for(count: int, lane: Lane, decode: bool) -> int:
    """Functions called for a message in so many fragments."""
    data = fragments(TEXT, [b"a" * 64] * count)
    reads = [data[at : at + 65536] for at in range(0, len(data), 65536)]
    receiver = Setting(decode=decode).make(lane)
    calls = 0

    def count_call(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count_call)
    try:
        for read in reads:
            receiver.receive_data(read)
            serve(receiver)
    finally:
        sys.setprofile(before)
    return calls


def test_many_fragments_take_calls_in_proportion() -> None:
    small, large = (calls_for(count, Receiver, True) for count in (1000, 4000))
    assert 3.5 * small < large < 4.5 * small


@pytest.mark.usefixtures("untraced")
def test_65000_fragments(monkeypatch: pytest.MonkeyPatch) -> None:
    """4 MiB in frames of 64 bytes: every byte is checked once, and others get their turns."""
    checked = 0
    decode = websocket.codecs.utf_8_decode

    def utf_8_decode(data: Any, errors: str, final: bool) -> tuple[str, int]:
        nonlocal checked
        checked += len(data)
        return decode(data, errors, final)

    monkeypatch.setattr(websocket, "codecs", SimpleNamespace(utf_8_decode=utf_8_decode))
    data = fragments(TEXT, [b"a" * 64] * 65_000)
    receiver = Receiver(4 << 20, None)
    out = receiver.receive_data(data)
    turns = 0
    while receiver.stall is Stall.TURN:
        turns += 1
        out += receiver.proceed()
    assert [message.data for message in out] == ["a" * 64 * 65_000]
    assert checked == 64 * 65_000
    assert turns == 65_000 // 200


def headers_read(monkeypatch: pytest.MonkeyPatch, data: bytes, **options: Any) -> int:
    """Frames that wsproto begins until the receiver stops."""
    frames = 0
    original = websocket._Slow.frame_inbound_header

    def header(self: Any, *arguments: Any) -> Any:
        nonlocal frames
        frames += 1
        return original(self, *arguments)

    monkeypatch.setattr(websocket._Slow, "frame_inbound_header", header)
    Setting(**options).make().receive_data(data)
    return frames


def test_nothing_is_read_behind_a_fault_of_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    data = frame(TEXT, b"a", fin=False) + frame(TEXT, b"b") + frame(PING) * 10_000
    assert headers_read(monkeypatch, data) == 2


@pytest.mark.parametrize(
    ("bad", "window"), [(b"\xff", 0), (deflated(b"\xff"), 15), (b"\xff\xff", 15)]
)
def test_nothing_is_read_behind_a_fault_in_a_payload(
    bad: bytes, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = frame(TEXT, bad, fin=False, rsv=RSV1 if window else 0) + frame(PING) * 10_000
    assert headers_read(monkeypatch, data, window=window) <= 500


# --- Nothing is left for the garbage collector --------------------------------------------------------


@contextmanager
def no_cycles() -> Iterator[None]:
    """What is made inside is gone at the end, without the help of the collector."""

    def alive() -> set[int]:
        found = set()
        for thing in gc.get_objects():
            kind = type(thing)
            if (
                kind.__module__.startswith(("wsproto.frame", "wsproto.conn", "lowlevel.protocol"))
                or kind is WebSocketError
                or issubclass(kind, UnicodeDecodeError | zlib.error)
            ):
                found.add(id(thing))
        return found

    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        before = alive()
        yield
        left = alive() - before
        assert not left, sorted(
            type(thing).__name__ for thing in gc.get_objects() if id(thing) in left
        )
    finally:
        if was_enabled:
            gc.enable()
        gc.collect()


def live_and_die(*pieces: bytes, window: int = 0, shut: bool = False, max_size: int = 0) -> None:
    receiver = Setting(max_size, window).make()
    for piece in pieces:
        receiver.receive_data(piece)
        serve(receiver)
    if shut:
        receiver.close()


@pytest.mark.parametrize(
    "pieces",
    [
        (text("a"), frame(PING), text("b")),
        (frame(PING, b"abc")[:7], frame(PING, b"abc")[7:]),
        (fragments(TEXT, [b"a", b"b"], between=frame(PING)), text("c")),
        (frame(PING) * 1200,),
        (close(),),
        (frame(TEXT, b"a", fin=False) + close(1014, "x") + text("b"),),
        (frame(3),),
        (text("a"), text("b", mask=None) + text("c")),
        (frame(BINARY, bytes(101)),),
        (frame(BINARY, bytes(101), fin=False),),
    ],
)
def test_receivers_leave_no_garbage(pieces: tuple[bytes, ...]) -> None:
    with no_cycles():
        live_and_die(*pieces, max_size=100)


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"\xff"),
        frame(TEXT, b"\xff" * 9)[:10],
        frame(TEXT, b"\xff", fin=False),
        compressed(TEXT, b"\xff"),
        frame(TEXT, b"\xff\xff", rsv=RSV1),
    ],
)
def test_faults_of_payloads_leave_no_garbage(data: bytes) -> None:
    with no_cycles():
        live_and_die(data, window=15)


def test_a_fault_does_not_keep_what_was_received() -> None:
    (message,) = Receiver(0, None).receive_data(frame(TEXT, b"a" * 1000 + b"\xff"))
    assert message.data.__context__ is None


@pytest.mark.parametrize(
    "data",
    [
        text("abc")[:7],
        frame(TEXT, b"abc", fin=False),
        frame(PING) * 600,
        compressed(TEXT, b"abc" * 30, 20),
        compressed(TEXT, b"abc" * 30)[:12],
    ],
)
def test_close_leaves_no_garbage(data: bytes) -> None:
    with no_cycles():
        live_and_die(data, window=15, shut=True)


@pytest.mark.parametrize("data", [frame(PING, bytes(99)), frame(TEXT, bytes(99), fin=False)])
def test_close_in_the_middle_of_a_frame_leaves_no_garbage(data: bytes) -> None:
    with no_cycles():
        live_and_die(data[:50], shut=True)


# --- Sending --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_frames_are_what_wsproto_reads(size: int, opcode: int) -> None:
    payload = b"a" * size
    data = websocket.frame(opcode, payload)
    assert data == frame(opcode, payload, mask=None)
    assert frame_head(opcode, size) + payload == data
    client = FrameProtocol(client=True, extensions=[])
    client.receive_bytes(data)
    parts = []
    for one in client.received_frames():
        assert int(one.opcode) == opcode
        assert isinstance(one.payload, bytes | bytearray | str)
        parts.append(one.payload if isinstance(one.payload, str) else one.payload.decode())
    assert "".join(parts).encode() == payload
    assert one.frame_finished and one.message_finished


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
@pytest.mark.parametrize("compress", [False, True])
def test_heads_are_as_short_as_can_be(opcode: int, compress: bool) -> None:
    for size in (*range(126), 126, 65535, 65536, 2**31, 2**63 - 1):
        head = frame_head(opcode, size, compress)
        expected = frame(opcode, length=size, mask=None, rsv=RSV1 if compress else 0)
        assert head == expected
        assert len(head) == 2 + (0 if size < 126 else 2 if size < 65536 else 8)


def test_an_empty_frame() -> None:
    assert websocket.frame(PING) == b"\x89\x00"
    assert websocket.frame(TEXT, b"a", True) == b"\xc1\x01a"


def test_which_codes_may_be_sent() -> None:
    """RFC 6455 §7.4.1, §7.4.2, and the registry."""
    allowed = {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}
    assert {code for code in range(-1, 66000) if may_be_sent(code)} == allowed


@given(st.integers(0, 65535), st.text(max_size=200))
@example(1000, "a" * 123)
@example(1000, "a" * 124)
@example(1000, "a" * 122 + "é")
@example(1000, "a" * 121 + "€")
@example(1000, "a" * 120 + "😀")
def test_payloads_of_closes(code: int, reason: str) -> None:
    payload = close_payload(code, reason.encode())
    assert int.from_bytes(payload[:2], "big") == code
    kept = payload[2:].decode()
    assert reason.startswith(kept)
    if kept != reason:
        assert 120 <= len(payload[2:]) <= 123
        assert len((kept + reason[len(kept)]).encode()) > 123
    assert len(payload) <= 125


def test_a_reason_that_is_not_utf8_but_short_is_left_alone() -> None:
    assert close_payload(1000, b"\xff") == b"\x03\xe8\xff"
