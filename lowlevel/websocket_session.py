"""One WebSocket between its opening and its end: order, flow control, heartbeat, closing handshake (RFC 6455 §7).

A session gets bytes from the connection whose transport it took over; a WebSocketResponse asks it for messages and
gives it frames. What it is doing:

    OPEN ── begin_close() ───────────► CLOSING ── the peer's Close, its silence ──► CLOSED
      └──── what the peer did last was received ──────────────────────────────────────┘

What the peer does last - its Close, a fault, its leaving - waits in ``_last`` behind the messages that came before, so
that these are received and may be answered first. Where nobody receives, it waits ``timeout`` seconds.

Control frames wait for no handler: pings are answered when they come, and any byte is a sign of life.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from .channel import Channel
from .errors import ClientGone
from .protocol.deflate import Deflater
from .protocol.websocket import Receiver, Stall, close_payload, frame, frame_head
from .protocol.websocket_message import WebSocketError, WSCloseCode, WSMessage, WSMsgType

__all__ = ("OPEN", "SessionState", "WebSocketSession")

# What a message costs beside its bytes.
_OVERHEAD: Final = 64

# Above this many bytes, copying a payload to put it behind its head costs more than a second part of a write.
_JOIN_LIMIT: Final = 65536

# Larger messages are deflated in a thread: here it takes 0.2 milliseconds.
_DEFLATED_AT_ONCE: Final = 16384

_NEVER: Final = float("inf")

# Never changed: what is unread is only changed while there is something in it.
_NOTHING: Final[list[WSMessage]] = []

_CLOSED: Final = WSMessage(WSMsgType.CLOSED, None, None)
_CLOSING: Final = WSMessage(WSMsgType.CLOSING, None, None)


class SessionState(enum.Enum):
    """How far the end is."""

    OPEN = "messages may go both ways"
    CLOSING = "our Close is out, the peer's is not in"
    CLOSED = "it is over"


OPEN: Final = SessionState.OPEN
_IS_CLOSING: Final = SessionState.CLOSING
_IS_CLOSED: Final = SessionState.CLOSED


class WebSocketSession:
    """See the module. Bound to one event loop.

    Args:
        channel: The connection.
        receiver: Makes messages of bytes.
        deflater: Compresses messages, None if none was agreed on.
        timeout: Seconds for the closing handshake.
        autoclose: Whether the peer's Close is answered when it is received.
        autoping: Whether pings are answered, and PING and PONG are kept from ``receive()``.
        heartbeat: Seconds of silence after which the peer is pinged; 0 for never.

    Attributes:
        state: How far the end is.
        deflates: Whether compression was agreed on.
        paused: Whether the client is kept waiting.
        unread: Messages nobody has received yet, the first one last.
        close_code: The code of the end, None before it.
        close_reason: What the peer's Close gives as its reason, None without a Close.
        exception: What ended the session, None if it was a Close.
    """

    __slots__ = (
        "_autoclose",
        "_autoping",
        "_backlog",
        "_channel",
        "_closed",
        "_deflater",
        "_deflating",
        "_full",
        "_heard",
        "_heartbeat",
        "_last",
        "_left",
        "_limit",
        "_loop",
        "_peer_closed",
        "_ping_at",
        "_pong",
        "_pong_by",
        "_prompt",
        "_receiver",
        "_stalled",
        "_timeout",
        "_timer",
        "_unread_before",
        "_waiter",
        "close_code",
        "close_reason",
        "deflates",
        "exception",
        "paused",
        "state",
        "unread",
    )

    def __init__(
        self,
        channel: Channel,
        receiver: Receiver,
        deflater: Deflater | None,
        *,
        timeout: float,
        autoclose: bool,
        autoping: bool,
        heartbeat: float,
    ) -> None:
        self._channel = channel
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._autoclose = autoclose
        self._autoping = autoping
        self.state = OPEN
        # Receiving.
        self.unread = _NOTHING
        self._backlog = 0
        self._limit = channel.read_bufsize
        self._full = False
        self._stalled = False
        self.paused = False
        self._waiter: asyncio.Future[None] | None = None
        # Sending.
        self._deflater = deflater
        self.deflates = deflater is not None
        self._deflating: asyncio.Lock | None = None
        # Whether something came since the last frame was sent: nobody will want to add to an answer to it.
        self._prompt = False
        # The ping that could not be answered yet, since the client does not read.
        self._pong: bytes | None = None
        # The end.
        self._timeout = timeout
        self._timer: asyncio.TimerHandle | None = None
        self._last: WSMessage | None = None
        # What to do about the peer's leaving when all that came before has been read.
        self._left: Callable[[], None] | None = None
        self._unread_before = 0
        self._peer_closed = False
        self._closed: asyncio.Future[None] | None = None
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self.exception: BaseException | None = None
        # Heartbeat.
        self._heartbeat = heartbeat
        self._heard = False
        self._ping_at = self._pong_by = _NEVER
        if heartbeat:
            channel.clock.refine(heartbeat / 2)
            self._ping_at = channel.clock.now + heartbeat

    @property
    def ending(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.state is not OPEN

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self.state is _IS_CLOSED

    # What the connection calls. Part of Upgraded.

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        self._heard = True
        receiver = self._receiver
        messages = receiver.receive_data(data)
        if receiver.plain and not self.unread and self.state is OPEN:
            # _receive() and _deliver() in short.
            count = len(messages)
            if count > 1:
                messages.reverse()
            self.unread = messages
            self._backlog = size = len(data) + _OVERHEAD * count
            self._prompt = True
            waiter = self._waiter
            if waiter is not None:
                self._waiter = None
                if not waiter.done():
                    waiter.set_result(None)
            if size > self._limit:
                self._full = True
                self._adjust_reading()
        else:
            self._receive(messages, len(data))

    def eof_received(self) -> None:
        """The peer will send no more."""
        if self.state is _IS_CLOSING:
            self._finish(WSCloseCode.ABNORMAL_CLOSURE, _left())
        elif self.state is OPEN and self._receiver.stall is not None:
            self._left = self.eof_received
        elif self.state is OPEN and self._last is None and not self._peer_closed:
            self.exception = _left()
            self._receive_last(_CLOSED)

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        if self.state is OPEN and self._receiver.stall is not None:
            self._left = lambda: self.connection_lost(exc)
        elif self.state is not _IS_CLOSED:
            last = self._last
            if last is None and not self._peer_closed:
                self._last = _CLOSED
                self.exception = exc or _left()
            elif last is not None and last.type is WSMsgType.CLOSE:
                self._note_close(last)
            elif last is not None and last.type is WSMsgType.ERROR:
                self.exception = last.data
            self._set_closed(WSCloseCode.ABNORMAL_CLOSURE)

    def writing_resumed(self) -> None:
        """The client reads again."""
        pong, self._pong = self._pong, None
        if pong is not None and self.state is OPEN:
            self._try_to_send(frame(WSMsgType.PONG, pong))

    def check_deadline(self, now: float) -> None:
        """Look after the heartbeat. Called on every tick of the server's clock."""
        heartbeat = self._heartbeat
        ended = self._last is not None or self._peer_closed or self._left is not None
        if not heartbeat or self.state is not OPEN or ended:
            return
        if self._heard or self.paused:
            self._heard = False
            self._ping_at = now + heartbeat
            self._pong_by = _NEVER
        elif now >= self._pong_by:
            self._cut(TimeoutError(f"No PONG received after {heartbeat / 2} seconds"))
        elif now >= self._ping_at:
            if self._channel.congested:
                # It could not arrive. Who reads nothing at all is cut off elsewhere.
                self._ping_at = now + heartbeat
            else:
                self._ping_at = _NEVER
                self._pong_by = self._channel.clock.now + heartbeat / 2
                self._try_to_send(frame(WSMsgType.PING))

    def handler_ended(self, *, failed: bool) -> None:
        """Close, if the handler did not: 1000, or 1011 for a fault."""
        self.begin_close(WSCloseCode.INTERNAL_ERROR if failed else WSCloseCode.OK)

    def go_away(self) -> None:
        """Close, since the server ends."""
        self.begin_close(WSCloseCode.GOING_AWAY)

    # Receiving.

    def _receive(self, messages: list[WSMessage], size: int) -> None:
        receiver = self._receiver
        last = None
        if receiver.controls:
            messages, last = self._sort(messages)
        if messages and self.state is OPEN:
            self._deliver(messages, size + receiver.assembled)
        if last is not None:
            self._receive_last(last)
        if receiver.stall is not None and not self._stalled:
            self._wait_for_receiver(receiver.stall)

    def _deliver(self, messages: list[WSMessage], size: int) -> None:
        if self.unread:
            self.unread[:0] = messages[::-1]
        else:
            messages.reverse()
            self.unread = messages
            self._backlog = 0
        self._prompt = True
        self._wake()
        self._backlog += size + _OVERHEAD * len(messages)
        if self._backlog > self._limit:
            self._full = True
            self._adjust_reading()

    def _sort(self, messages: list[WSMessage]) -> tuple[list[WSMessage], WSMessage | None]:
        """Return what is for the handler, and what ends the session; answer the pings."""
        last = None
        data = []
        for message in messages:
            if message.type is WSMsgType.CLOSE or message.type is WSMsgType.ERROR:
                last = message
            elif message.type is WSMsgType.PING and self._autoping:
                self._answer_ping(message.data)
            elif message.type is not WSMsgType.PONG or not self._autoping:
                data.append(message)
        return data, last

    def _answer_ping(self, payload: bytes) -> None:
        if self.state is not OPEN:
            return
        if self._channel.congested:
            # Answering the latest of several is enough (RFC 6455 §5.5.3).
            self._pong = payload
        else:
            self._try_to_send(frame(WSMsgType.PONG, payload))

    def _wait_for_receiver(self, stall: Stall) -> None:
        # Bytes that come all the same start nothing a second time.
        self._stalled = True
        self._adjust_reading()
        if stall is Stall.WORK:
            self._loop.run_in_executor(None, self._receiver.work).add_done_callback(self._worked)
        elif stall is Stall.TURN or not self.unread:
            self._loop.call_soon(self._take_turn)

    def _worked(self, work: asyncio.Future[None]) -> None:
        if work.cancelled():
            self._cut(ConnectionAbortedError("the work on a message was cancelled"))
            return
        error = work.exception()
        if error is not None:
            self._cut(error)
            raise error
        self._proceed()

    def _take_turn(self) -> None:
        # It may have read on since, up to something that a thread works on now.
        if self._stalled and self._receiver.stall is not Stall.WORK:
            self._proceed()

    def _proceed(self) -> None:
        """Let the receiver read on, and then the connection."""
        self._stalled = False
        if self.state is _IS_CLOSED:
            self._receiver.close()
            return
        self._receive(self._receiver.proceed(), 0)
        self._adjust_reading()
        if self._left is not None and self._receiver.stall is None:
            left, self._left = self._left, None
            left()

    def _adjust_reading(self) -> None:
        pause = self._full or self._receiver.stall is not None
        if pause is not self.paused and self.state is not _IS_CLOSED:
            self.paused = pause
            if pause:
                self._channel.pause_reading()
            else:
                self._channel.resume_reading()

    def take(self) -> WSMessage:
        """Return the first of the unread messages."""
        message = self.unread.pop()
        if self.paused and not self.unread:
            self._full = False
            if self._receiver.stall is Stall.ROOM:
                # Not now: a handler that only receives would keep everybody else waiting.
                self._loop.call_soon(self._take_turn)
            else:
                self._adjust_reading()
        return message

    def arrival(self) -> asyncio.Future[None] | None:
        """Return a future that is done when something came, or the session ended; None if it did. Safe to cancel.

        Raises:
            RuntimeError: Another task waits already.
        """
        if self._last is not None or self._peer_closed or self.state is not OPEN:
            return None
        if self._waiter is not None and not self._waiter.done():
            raise RuntimeError("Concurrent call to receive() is not allowed")
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def last_message(self, *, waited: bool) -> WSMessage:
        """Return what is behind all messages when there is no arrival to wait for. The first time, it is answered.

        Args:
            waited: Whether a receive() was waiting when it came.
        """
        last = self._last
        if last is not None:
            self._last = None
            self._answer(last)
            return last
        return _CLOSING if waited or self.state is OPEN else _CLOSED

    # Sending.

    def send(self, opcode: int, payload: bytes, compressed: bool = False) -> bool:
        """Send a frame; return whether to ``drain()``.

        Raises:
            ConnectionResetError: The session is closing or closed.
        """
        if self.state is not OPEN:
            raise ClientGone("Cannot write to closing transport")
        size = len(payload)
        head = frame_head(opcode, size, compressed)
        if size > _JOIN_LIMIT:
            return self._channel.send_parts([head, payload])
        if self._prompt and not self.unread:
            self._prompt = False
            return self._channel.send_whole(head + payload)
        # Others will follow in this turn of the loop, or may: they leave together.
        return self._channel.send(head + payload)

    async def send_compressed(self, opcode: int, payload: bytes, bits: int | None) -> bool:
        """Compress and send a message; return whether to ``drain()``. If cancelled, it may be sent or not.

        Raises like send().
        """
        deflater = self._deflater
        if deflater is None or not payload:
            return self.send(opcode, payload)
        if self._deflating is None:
            if len(payload) <= _DEFLATED_AT_ONCE:
                return self.send(opcode, deflater.deflate(payload, bits), True)
            self._deflating = asyncio.Lock()
        async with self._deflating:
            deflater = self._deflater or deflater
            if len(payload) <= _DEFLATED_AT_ONCE:
                return self.send(opcode, deflater.deflate(payload, bits), True)
            # Cancelled, the thread goes on with a deflater whose context the peer will never have.
            self._deflater = deflater.successor()
            deflated = await self._loop.run_in_executor(None, deflater.deflate, payload, bits)
            self._deflater = deflater
            return self.send(opcode, deflated, True)

    async def drain(self) -> None:
        """Wait until the peer has taken most of what was sent."""
        await self._channel.drain()

    def _try_to_send(self, data: bytes) -> None:
        # Everybody will hear of it when the connection is lost.
        with suppress(ConnectionResetError):
            self._channel.send(data)

    # The end.

    def _receive_last(self, message: WSMessage) -> None:
        """The peer's Close, a fault, or its leaving: nothing follows."""
        if self.state is OPEN:
            self._last = message
            self._wake()
            if self._autoclose or message.type is not WSMsgType.CLOSE:
                self._start_timer()
        elif message.type is WSMsgType.CLOSE:
            self._finish(self._note_close(message))
        else:
            self._finish(WSCloseCode.ABNORMAL_CLOSURE, message.data, surplus=True)

    def _answer(self, last: WSMessage) -> None:
        """Do what the last of the peer asks for, now that all before it was received."""
        if last.type is WSMsgType.CLOSE:
            code = self._note_close(last)
            if self.state is not OPEN:
                return
            if self._autoclose:
                self._try_to_send(_close_frame(last.data or WSCloseCode.OK))
                self._finish(code)
            else:
                self._peer_closed = True
        elif self.state is OPEN:
            error = last.data
            if isinstance(error, WebSocketError):
                self._try_to_send(_close_frame(error.code, str(error).encode()))
                self._finish(error.code, error, surplus=True)
            else:
                self._finish(WSCloseCode.ABNORMAL_CLOSURE, self.exception)

    def _note_close(self, message: WSMessage) -> int:
        self.close_code = code = message.data or _NO_CODE
        self.close_reason = message.extra
        return code

    def begin_close(self, code: int, reason: bytes = b"") -> None:
        """Send a Close; the session ends with that of the peer, or after ``timeout`` seconds.

        What came and was not received is dropped; but a fault of the peer decides the code. No effect on a session
        that is not open.
        """
        if self.state is not OPEN:
            return
        last, self._last = self._last, None
        self.unread = _NOTHING
        self._full = False
        if last is not None and last.type is WSMsgType.ERROR:
            self._answer(last)
            return
        self._try_to_send(_close_frame(code, reason))
        self.state = _IS_CLOSING
        self._wake()
        if self._peer_closed:
            self._finish(self.close_code or _NO_CODE)
        elif last is None:
            self._start_timer()
            if self._receiver.stall is Stall.ROOM:
                self._loop.call_soon(self._take_turn)
            self._adjust_reading()
        elif last is _CLOSED:
            self._finish(WSCloseCode.ABNORMAL_CLOSURE, self.exception)
        else:
            self._finish(self._note_close(last))

    async def close(self, code: int, reason: bytes) -> bool:
        """Close, and wait for the end. Returns False at once if another did or does that already.

        If cancelled, the connection is cut.
        """
        if self.ending:
            return False
        self.begin_close(code, reason)
        if not self.closed:
            self._closed = self._loop.create_future()
            try:
                await self._closed
            except asyncio.CancelledError:
                self._cut(ConnectionAbortedError("close() was cancelled"))
                raise
        return True

    def _start_timer(self) -> None:
        if self._timer is None:
            self._unread_before = len(self.unread)
            self._timer = self._loop.call_later(self._timeout, self._expire)

    def _expire(self) -> None:
        self._timer = None
        if self.state is _IS_CLOSING:
            self._cut(TimeoutError(f"No Close received after {self._timeout} seconds"))
        elif len(self.unread) < self._unread_before:
            # Somebody receives, if slowly.
            self._start_timer()
        elif self._last is not None:
            # Kept, for whoever may still receive it.
            self._answer(self._last)

    def _finish(
        self, code: int, exc: BaseException | None = None, *, surplus: bool = False
    ) -> None:
        """End in order: what was sent still arrives.

        Args:
            code: How it ended.
            exc: Why, if it was no Close.
            surplus: Whether the peer may still be sending.
        """
        if exc is not None:
            self.exception = exc
        self._set_closed(code)
        self._channel.end_upgrade(surplus=surplus or self._receiver.surplus)

    def _cut(self, exc: BaseException) -> None:
        """End at once."""
        if self.state is OPEN:
            self._last = WSMessage(WSMsgType.ERROR, exc, None)
        if self.state is not _IS_CLOSED:
            self.exception = exc
            self._set_closed(WSCloseCode.ABNORMAL_CLOSURE)
            self._channel.abort()

    def _set_closed(self, code: int) -> None:
        self.state = _IS_CLOSED
        if self._receiver.stall is not Stall.WORK:
            self._receiver.close()
        if self.close_code is None:
            self.close_code = code
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake()
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)


# What is reported when a Close has no code (RFC 6455 §7.1.5).
_NO_CODE: Final = 1005


def _close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(WSMsgType.CLOSE, close_payload(code, reason))


def _left() -> ClientGone:
    return ClientGone("the client left without a Close frame (RFC 6455 §7.1.5)")
