"""The frames of one WebSocket, seen from the server: bytes in, messages out (RFC 6455 §5). And frames to send.

Two lanes lead from bytes to messages. Whole messages in one frame are read here, straight from the bytes that came:
nearly all frames are of this kind. Everything else goes to wsproto: fragments, control frames, whatever is wrong. A
plain frame changes nothing in a wsproto connection that stands between messages with nothing buffered; so one is made
when it is needed, gets all bytes from there on, and is dropped as soon as it stands between messages again.

wsproto finds the structure, but payloads of data frames are taken from it before it looks into them, the way an
extension such as permessage-deflate takes them (``_Slow``). Both lanes end in the same place, a ``_Payload``, which
inflates, counts and checks UTF-8 as the bytes come.

    data ──┬── plain frame, all there ──────────────────────────────┐
           ├── plain frame, not all there, or compressed ─► _Payload ┼──► WSMessage
           └── anything else ─► wsproto ─► _Slow ────────► _Payload ┘

Three things make a receiver stop with bytes unread (``stall``): too much came out of few bytes, too many small frames,
or a message that takes long to inflate. Its owner makes room, or lets others have a turn, or runs ``work()`` in a
thread, and then calls ``proceed()``.
"""

from __future__ import annotations

import codecs
import enum
from typing import Final

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.extensions import Extension
from wsproto.frame_protocol import (
    CloseReason,
    FrameDecoder,
    FrameProtocol,
    Opcode,
    RsvBits,
)

from .deflate import Inflater
from .masking import rotate, unmask
from .websocket_message import WebSocketError, WSCloseCode, WSMessage, WSMsgType

__all__ = ("Receiver", "Stall", "close_payload", "frame", "frame_head", "may_be_sent")

_TEXT: Final = WSMsgType.TEXT
_BINARY: Final = WSMsgType.BINARY

# First bytes of plain frames: FIN, and with RSV1 if compressed.
_PLAIN_TEXT: Final = 0x81
_PLAIN_BINARY: Final = 0x82
_RSV1: Final = 0x40
_MASKED: Final = 0x80

_SMALLEST_HEAD: Final = 6

# Calling WSMessage does the same by way of a function in Python.
_new: Final = tuple.__new__

# What is inflated on the spot; the rest of a larger message is work for a thread. About 0.2 milliseconds.
_INFLATED_AT_ONCE: Final = 65536

# Bytes that may come out of one read where messages are compressed.
_ASSEMBLED_PER_READ: Final = 262144

# Messages, and frames for wsproto, that are read before others get a turn. About 5 milliseconds of the latter.
_MESSAGES_PER_TURN: Final = 500
_FRAMES_PER_TURN: Final = 200


class Stall(enum.Enum):
    """Why a receiver stopped."""

    ROOM = "go on when what came out has been used"
    TURN = "go on when others had their turn"
    WORK = "go on when work() was run"


# ---- Sending -------------------------------------------------------------------------------------

# By opcode, with RSV1 if compressed; then by size.
_SHORT_HEADS: Final = {
    opcode | rsv: [bytes((0x80 | opcode | rsv, size)) for size in range(126)]
    for opcode in (0x1, 0x2, 0x8, 0x9, 0xA)
    for rsv in (0, _RSV1)
}


def frame_head(opcode: int, size: int, compressed: bool = False) -> bytes:
    """Return the head of an unfragmented frame with ``size`` bytes of payload (RFC 6455 §5.2)."""
    if compressed:
        opcode |= _RSV1
    if size < 126:
        return _SHORT_HEADS[opcode][size]
    if size < 65536:
        return b"%c\x7e%b" % (0x80 | opcode, size.to_bytes(2, "big"))
    return b"%c\x7f%b" % (0x80 | opcode, size.to_bytes(8, "big"))


def frame(opcode: int, payload: bytes = b"", compressed: bool = False) -> bytes:
    """Return an unfragmented frame."""
    return frame_head(opcode, len(payload), compressed) + payload


def may_be_sent(code: int) -> bool:
    """Whether a Close frame may carry the code (RFC 6455 §7.4)."""
    return code in (1000, 1001, 1002, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999


def close_payload(code: int, reason: bytes) -> bytes:
    """Return the payload of a Close frame: the code, and of the reason what fits in (RFC 6455 §5.5.1)."""
    if len(reason) > 123:
        # Not into the middle of a character: the peer would have to refuse it.
        reason = reason[:123].decode("utf-8", "ignore").encode()
    return code.to_bytes(2, "big") + reason


# ---- Receiving -----------------------------------------------------------------------------------


class _Payload:
    """The payload of the message under way: inflated, counted and checked piece by piece."""

    __slots__ = (
        "_checked",
        "_data",
        "_decode",
        "_error",
        "_inflater",
        "_kind",
        "_last",
        "_max_size",
    )

    def __init__(
        self, kind: WSMsgType, max_size: int, inflater: Inflater | None, decode: bool
    ) -> None:
        self._kind = kind
        self._max_size = max_size
        self._inflater = inflater
        self._decode = decode
        self._data = bytearray()
        self._checked = 0
        self._last = False
        self._error: WebSocketError | None = None

    def add(self, piece: bytes, last: bool) -> bool:
        """Add bytes as they came; ``last`` if they are the end. Returns False if there is work to do first."""
        self._last = last
        if self._inflater is None:
            self._append(piece)
            return True
        self._inflater.put(piece, last=last)
        self._append(self._inflater.take(_INFLATED_AT_ONCE))
        return self._inflater.empty

    def work(self) -> None:
        """Inflate the rest of what was added. It may run in another thread; an error is kept for ``result()``."""
        inflater = self._inflater
        try:
            while inflater is not None and not inflater.empty:
                self._append(inflater.take(_ASSEMBLED_PER_READ))
        except WebSocketError as exc:
            self._error = exc

    def result(self) -> WSMessage | None:
        """Return the message if it is complete."""
        if self._error is not None:
            raise self._error
        if not self._last:
            return None
        is_text = self._kind is _TEXT
        if is_text and self._checked < len(self._data):
            raise _bad_text()
        data = self._data.decode() if is_text and self._decode else bytes(self._data)
        return WSMessage(self._kind, data, "")

    @property
    def compressed(self) -> bool:
        """Whether it comes compressed."""
        return self._inflater is not None

    @property
    def size(self) -> int:
        """How many bytes there are so far."""
        return len(self._data)

    def _append(self, piece: bytes) -> None:
        room = self._max_size - len(self._data) if self._max_size else len(piece)
        # The first fault counts, however the bytes were cut.
        self._data += piece[:room]
        if self._kind is _TEXT:
            self._check()
        if len(piece) > room:
            raise _too_big(self._max_size)

    def _check(self) -> None:
        """Refuse a text at its first wrong byte."""
        data = self._data
        try:
            with memoryview(data) as view:
                self._checked += codecs.utf_8_decode(view[self._checked :], "strict", False)[1]
        except UnicodeDecodeError:
            raise _bad_text() from None
        # For the codec, this could still become what only a surrogate can: no character.
        if (
            data[self._checked : self._checked + 1] == b"\xed"
            and data[self._checked + 1 :] > b"\x9f"
        ):
            raise _bad_text()


def _bad_text() -> WebSocketError:
    return WebSocketError(WSCloseCode.INVALID_TEXT, "a text is not UTF-8 (RFC 6455 §8.1)")


def _fault(error: WebSocketError) -> WSMessage:
    """Return the message about an error, which must not lead back to where it was met."""
    error.__traceback__ = error.__context__ = None
    return WSMessage(WSMsgType.ERROR, error, None)


def _too_big(limit: int) -> WebSocketError:
    return WebSocketError(
        WSCloseCode.MESSAGE_TOO_BIG, f"a message is larger than max_msg_size, {limit} bytes"
    )


class Receiver:
    """The receiving half of one WebSocket; see the module for its contract.

    Args:
        max_size: Most bytes of a message, inflated; 0 is no limit.
        inflater: For compressed messages, None if no compression was agreed on.
        decode_text: Whether texts become str; else they stay bytes, checked all the same.

    Attributes:
        plain: Whether all that came was whole plain frames: the rest of these attributes have nothing to tell.
        stall: Why bytes are left unread, None if they are not.
        controls: How many of the messages that were returned last are no data: PING, PONG, CLOSE, ERROR.
        surplus: Whether bytes came behind the end.
        assembled: How many bytes of the messages that were returned last came earlier, or compressed.
    """

    __slots__ = (
        "_decode",
        "_ended",
        "_inflater",
        "_key",
        "_left",
        "_limit",
        "_max_size",
        "_payload",
        "_short",
        "_slow",
        "_unread",
        "assembled",
        "controls",
        "plain",
        "stall",
        "surplus",
    )

    def __init__(self, max_size: int, inflater: Inflater | None, decode_text: bool = True) -> None:
        self._max_size = max_size
        self._limit = max_size or 1 << 63
        # Reads of fewer bytes may be one frame with a short head.
        self._short = _SMALLEST_HEAD + min(126, self._limit + 1)
        self._inflater = inflater
        self._decode = decode_text
        # The message under way. In the first lane, with what is left of its frame and the key for that.
        self._payload: _Payload | None = None
        self._left = 0
        self._key = b""
        # The other lane, while it is in use.
        self._slow: _Slow | None = None
        # The beginning of a head, or what is left by a stall.
        self._unread = b""
        self._ended = False
        self.surplus = False
        self.plain = True
        self.stall: Stall | None = None
        self.controls = 0
        self.assembled = 0

    def receive_data(self, data: bytes) -> list[WSMessage]:
        """Take the next bytes; return what they complete.

        A CLOSE of the peer, or an ERROR with a WebSocketError, is the last message: what follows is ignored. PING and
        PONG are in their places among the others.
        """
        size = len(data)
        if (
            self.plain
            and _SMALLEST_HEAD <= size < self._short
            and data[1] == size - _SMALLEST_HEAD + _MASKED
        ):
            # One short frame is what most reads bring: no need to look for more.
            first = data[0]
            if first == _PLAIN_BINARY:
                return [_new(WSMessage, (_BINARY, unmask(data[6:], data[2:6]), ""))]
            if first == _PLAIN_TEXT and self._decode:
                # What is no text is found below once more.
                try:
                    return [_new(WSMessage, (_TEXT, unmask(data[6:], data[2:6]).decode(), ""))]
                except UnicodeDecodeError:
                    pass
        messages: list[WSMessage] = []
        if self.plain:
            # The way of nearly all messages: nothing is known of another one before, and nothing is after.
            try:
                start = self._read_plain(data, 0, messages)
            except WebSocketError as exc:
                self._end(_fault(exc), messages)
                return messages
            if start == size:
                return messages
            data = data[start:]
        self.controls = self.assembled = 0
        if self._unread:
            data = self._unread + data
            self._unread = b""
        if self.stall is None:
            self._read(data, messages)
        else:
            self._unread = data
        self._judge()
        return messages

    def proceed(self) -> list[WSMessage]:
        """Go on after a stall; return like receive_data()."""
        messages: list[WSMessage] = []
        self.controls = self.assembled = 0
        self.stall = None
        data, self._unread = self._unread, b""
        self._read(data, messages, resumed=True)
        self._judge()
        return messages

    def _judge(self) -> None:
        """See whether there was or will be anything but whole plain frames."""
        self.plain = not (
            self._unread
            or self.controls
            or self.assembled
            or self._ended
            or self.stall is not None
            or self._payload is not None
            or self._slow is not None
        )

    def work(self) -> None:
        """Do what takes long. May run in any thread, while nothing but ``receive_data()`` is asked of this object."""
        if self._payload is not None:
            self._payload.work()

    def _read(self, data: bytes, messages: list[WSMessage], *, resumed: bool = False) -> None:
        if self._ended:
            self.surplus = self.surplus or bool(data)
            return
        start, size = 0, len(data)
        try:
            if resumed:
                self._complete(messages)
                if self.stall is None:
                    self._read_slow(messages)
            while start < size and self.stall is None and not self._ended:
                if self._payload is None and self._slow is None:
                    start = self._read_plain(data, start, messages)
                    if start == size:
                        return
                if len(messages) < _MESSAGES_PER_TURN:
                    start = self._read_other(data, start, messages)
                else:
                    self.stall = Stall.TURN
        except WebSocketError as exc:
            self._end(_fault(exc), messages)
        if self._ended:
            self.surplus = self.surplus or start < size
        elif start < size:
            self._unread = data[start:]

    # Whole plain frames.

    def _read_plain(self, data: bytes, start: int, messages: list[WSMessage]) -> int:
        """Read messages up to the first frame that is not plain or not all there; return its beginning."""
        size = len(data)
        limit = self._limit
        while size - start >= _SMALLEST_HEAD and len(messages) < _MESSAGES_PER_TURN:
            first = data[start]
            length = data[start + 1] - _MASKED
            if length < 126:
                begin = start + 6
            elif length == 126:
                length = data[start + 2] << 8 | data[start + 3]
                begin = start + 8
                if length < 126:
                    break
            else:
                length = int.from_bytes(data[start + 2 : start + 10], "big")
                begin = start + 14
                if length < 65536:
                    break
            end = begin + length
            if length < 0 or end > size or length > limit:
                break
            if first == _PLAIN_BINARY:
                payload = unmask(data[begin:end], data[begin - 4 : begin])
                messages.append(_new(WSMessage, (_BINARY, payload, "")))
            elif first == _PLAIN_TEXT:
                payload = unmask(data[begin:end], data[begin - 4 : begin])
                try:
                    text = payload.decode()
                except UnicodeDecodeError:
                    raise _bad_text() from None
                messages.append(_new(WSMessage, (_TEXT, text if self._decode else payload, "")))
            else:
                break
            start = end
        return start

    # Everything else.

    def _read_other(self, data: bytes, start: int, messages: list[WSMessage]) -> int:
        """Read on with a message under way, or begin one; return how far it was read."""
        if self._slow is None and self._payload is None:
            begin = self._begin_frame(data, start)
            if begin is None:
                self._unread = data[start:]
                return len(data)
            if begin < 0:
                self._slow = _Slow(self)
            else:
                start = begin
        if self._slow is not None:
            end = _end_of_controls(data, start) if self._payload is None else len(data)
            self._slow.feed(data[start:end])
            self._read_slow(messages)
            return end
        piece = data[start : start + self._left]
        self._left -= len(piece)
        self._add(unmask(piece, self._key), not self._left, messages)
        self._key = rotate(self._key, len(piece))
        return start + len(piece)

    def _begin_frame(self, data: bytes, start: int) -> int | None:
        """Begin a plain or compressed whole message; return where its payload begins.

        None if that cannot be said yet, -1 if this is a frame for wsproto.
        """
        first = data[start]
        compressed = bool(first & _RSV1)
        kind = {_PLAIN_TEXT: _TEXT, _PLAIN_BINARY: _BINARY}.get(first & ~_RSV1)
        if kind is None or (compressed and self._inflater is None):
            return -1
        available = len(data) - start
        if available < 2:
            return None
        length = data[start + 1] - _MASKED
        if length < 0:
            return -1
        extended, least = {126: (2, 126), 127: (8, 65536)}.get(length, (0, 0))
        begin = start + _SMALLEST_HEAD + extended
        if begin > len(data):
            return None
        if extended:
            length = int.from_bytes(data[start + 2 : start + 2 + extended], "big")
            if not least <= length < 1 << 63:
                return -1
        if length > self._limit and not compressed:
            raise _too_big(self._limit)
        self._left = length
        self._key = data[begin - 4 : begin]
        self._begin_payload(kind, compressed)
        return begin

    def _begin_payload(self, kind: WSMsgType, compressed: bool) -> None:
        self._payload = _Payload(
            kind, self._max_size, self._inflater if compressed else None, self._decode
        )

    def _add(self, piece: bytes, last: bool, messages: list[WSMessage]) -> None:
        if self._payload is not None:
            if self._payload.add(piece, last):
                self._complete(messages)
            else:
                self.stall = Stall.WORK

    def _complete(self, messages: list[WSMessage]) -> None:
        """Hand over the message under way, if it is complete."""
        payload = self._payload
        message = None if payload is None else payload.result()
        if payload is not None and message is not None:
            self._payload = None
            messages.append(message)
            self.assembled += payload.size
            if payload.compressed and self.assembled > _ASSEMBLED_PER_READ:
                self.stall = Stall.ROOM

    def _read_slow(self, messages: list[WSMessage]) -> None:
        """Take from wsproto what it can make of the bytes it got."""
        slow = self._slow
        if slow is None:
            return
        for frames, event in enumerate(slow.connection.events(), 1):
            self._take(event, slow, messages)
            if self.stall is not None or self._ended:
                return
            if frames == _FRAMES_PER_TURN:
                self.stall = Stall.TURN
                return
        if self._payload is None and not slow.buffered:
            self._drop_slow()

    def _drop_slow(self) -> None:
        slow, self._slow = self._slow, None
        if slow is not None:
            slow.dismiss()

    def _take(self, event: Event, slow: _Slow, messages: list[WSMessage]) -> None:
        if isinstance(event, TextMessage | BytesMessage):
            if self._payload is None:
                kind = _TEXT if isinstance(event, TextMessage) else _BINARY
                self._begin_payload(kind, slow.compressed)
            self._add(slow.piece, event.message_finished, messages)
        elif isinstance(event, Ping):
            self.controls += 1
            messages.append(WSMessage(WSMsgType.PING, bytes(event.payload), ""))
        elif isinstance(event, Pong):
            self.controls += 1
            messages.append(WSMessage(WSMsgType.PONG, bytes(event.payload), ""))
        elif isinstance(event, CloseConnection):
            self._end(slow.explain(event), messages)

    def _end(self, message: WSMessage, messages: list[WSMessage]) -> None:
        if self._slow is not None and self._slow.buffered:
            self.surplus = True
        self.controls += 1
        messages.append(message)
        self.close()

    def close(self) -> None:
        """Let go of all that is under way."""
        self._ended = True
        self.plain = False
        self._payload = None
        self._unread = b""
        self._drop_slow()

    @property
    def payload_size(self) -> int:
        """How many bytes there are of the message under way."""
        return 0 if self._payload is None else self._payload.size


def _end_of_controls(data: bytes, start: int) -> int:
    """Return the end of the control frames that are all there; of all data, if not even one is.

    wsproto need not see what is behind them: a large message that it begins, it also ends.
    """
    size = len(data)
    end = start
    while size - end >= _SMALLEST_HEAD and data[end] & 0x08 and data[end + 1] >= _MASKED:
        behind = end + _SMALLEST_HEAD + data[end + 1] - _MASKED
        if behind > size:
            break
        end = behind
    return size if end == start else end


class _Slow(Extension):
    """A wsproto connection, and the extension by which payloads are taken from it.

    Attributes:
        connection: The connection.
        compressed: Whether the message under way is compressed.
        piece: What came of the payload of a data frame with the last event.
        buffered: How many of the bytes that were fed belong to no complete frame yet.
    """

    name = "payload"

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._opcode = Opcode.CONTINUATION
        self._frame_size = 0
        self._error: WebSocketError | None = None
        self._close_code: int | None = None
        self._dismissed = False
        self.compressed = False
        self.piece = b""
        self.buffered = 0
        self.connection = Connection(ConnectionType.SERVER, [self])

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool:
        return False

    def feed(self, data: bytes) -> None:
        self.buffered += len(data)
        self.connection.receive_data(data)

    def dismiss(self) -> None:
        """Let go of wsproto, which refers to us, and to itself: it reads in a generator that must come to its end.

        So the next frame is refused; there is one, or the rest of one, in bytes that nobody sent.
        """
        connection = self.connection
        del self.connection
        self._dismissed = True
        if connection.state is ConnectionState.OPEN:
            connection.receive_data(_MORE_THAN_A_FRAME)
        for _ in connection.events():
            pass

    def explain(self, event: CloseConnection) -> WSMessage:
        """Tell the peer's Close from a fault that wsproto found."""
        if self.connection.state is ConnectionState.REMOTE_CLOSING:
            code = self._close_code or int(event.code)
            no_code = code == CloseReason.NO_STATUS_RCVD
            return WSMessage(WSMsgType.CLOSE, 0 if no_code else code, event.reason or "")
        error = self._error or WebSocketError(int(event.code), _explain(event.reason or ""))
        return WSMessage(WSMsgType.ERROR, error, None)

    # What wsproto calls, in its order.

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,
    ) -> CloseReason | RsvBits:
        if self._dismissed:
            return CloseReason.PROTOCOL_ERROR
        # It is asked again for a head that was not all there.
        extended = 0 if payload_length < 126 else 2 if payload_length < 65536 else 8
        self._frame_size = _SMALLEST_HEAD + extended + payload_length
        self._opcode = opcode
        begins = opcode is Opcode.TEXT or opcode is Opcode.BINARY
        may_be_compressed = begins and self._receiver._inflater is not None
        if begins or self._receiver._payload is None:
            # A continuation of nothing does not belong to the message before.
            self.compressed = may_be_compressed and rsv.rsv1
        if not opcode.iscontrol() and not self.compressed:
            limit = self._receiver._limit
            if self._receiver.payload_size + payload_length > limit:
                self._error = _too_big(limit)
                return CloseReason.MESSAGE_TOO_BIG
        return RsvBits(may_be_compressed, False, False)

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        if self._dismissed:
            return CloseReason.PROTOCOL_ERROR
        if not self._opcode.iscontrol():
            self.piece = data
            return b""
        if self._opcode is Opcode.CLOSE and data[:2] == _BAD_GATEWAY:
            # It was registered after wsproto's list was made.
            self._close_code = WSCloseCode.BAD_GATEWAY
            return _TRY_AGAIN_LATER + data[2:]
        return data

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> None:
        self.buffered -= self._frame_size


# What wsproto finds wrong, by the beginning of what it says of it.
_FAULTS: Final = {
    "Invalid opcode": "unknown opcode (RFC 6455 §5.2)",
    "Reserved bit": "reserved bit set (RFC 6455 §5.2)",
    "Payload length": "length not in its shortest form (RFC 6455 §5.2)",
    "8-byte payload": "length of more than 63 bits (RFC 6455 §5.2)",
    "server received unexpected unmasked": "frame not masked (RFC 6455 §5.1)",
    "Invalid attempt to fragment": "fragmented control frame (RFC 6455 §5.5)",
    "Control frame with payload": "control frame of more than 125 bytes (RFC 6455 §5.5)",
    "unexpected CONTINUATION": "continuation of no message (RFC 6455 §5.4)",
    "expected CONTINUATION": "new message inside of a fragmented one (RFC 6455 §5.4)",
    "CLOSE with 1 byte": "Close with half a code (RFC 6455 §5.5.1)",
    "CLOSE with": "Close with a code that may not be sent (RFC 6455 §7.4)",
    "remote CLOSE": "Close with a code that may not be sent (RFC 6455 §7.4)",
    "Error decoding CLOSE": "reason of a Close is not UTF-8 (RFC 6455 §5.5.1)",
}


def _explain(text: str) -> str:
    """Say in our words what wsproto found."""
    found = (ours for theirs, ours in _FAULTS.items() if text.startswith(theirs))
    return next(found, "malformed frame (RFC 6455 §5)")


# Two dozen empty Closes: enough for the rest of a control frame, and for a head.
_MORE_THAN_A_FRAME: Final = b"\x88\x80\x00\x00\x00\x00" * 24
_BAD_GATEWAY: Final = WSCloseCode.BAD_GATEWAY.to_bytes(2, "big")
_TRY_AGAIN_LATER: Final = WSCloseCode.TRY_AGAIN_LATER.to_bytes(2, "big")
