"""WebSockets, as a handler sees them (RFC 6455)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import wraps
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Literal,
    NamedTuple,
    Self,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from multidict import CIMultiDict

from . import hdrs
from .exceptions import HTTPBadRequest, HTTPMethodNotAllowed, HTTPUpgradeRequired
from .options import check_count, check_flag, check_seconds
from .protocol.deflate import Deflater, Inflater
from .protocol.handshake import Handshake, HandshakeError, shake_hands
from .protocol.headers import is_token
from .protocol.serializer import serialize_head
from .protocol.websocket import Receiver, may_be_sent
from .protocol.websocket_message import WSCloseCode, WSMessage, WSMessageTypeError, WSMsgType
from .response import StreamResponse
from .response_fields import Headers
from .upgrade_required import upgrade_required
from .websocket_session import WebSocketSession
from .writer import Data, ResponseWriter

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    from .handlers import Handler
    from .request import BaseRequest

    DecodeText = TypeVarWithDefault("DecodeText", bound=bool, covariant=True, default=Literal[True])
else:
    DecodeText = TypeVar("DecodeText", bound=bool, covariant=True)

__all__ = ("WebSocketOptions", "WebSocketReady", "WebSocketResponse", "websocket")

_logger: Final = logging.getLogger("lowlevel.websocket")

_TEXT: Final = WSMsgType.TEXT
_BINARY: Final = WSMsgType.BINARY
_ENDS: Final = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED)

# A handler that goes on receiving after the end, in a loop that does not look at the type, is stopped at this try.
_MAX_TRIES: Final = 5

# A compressor that we need not tell of may use a smaller window than was agreed on: 4 KiB, which is 32 KiB of memory
# for a connection instead of 144.
_UNASKED_BITS: Final = 12


class WebSocketReady(NamedTuple):
    """Whether a request can become a WebSocket. True if it can.

    Attributes:
        ok: Whether it can.
        protocol: The subprotocol it would have, None without one.
    """

    ok: bool
    protocol: str | None

    def __bool__(self) -> bool:
        return self.ok


class WebSocketOptions(TypedDict, total=False):
    """The options of WebSocketResponse; defaults and meaning are told there."""

    timeout: float
    receive_timeout: float | None
    autoclose: bool
    autoping: bool
    heartbeat: float | None
    protocols: Iterable[str]
    compress: bool | int
    max_msg_size: int
    writer_limit: int
    headers: Headers | None


class WebSocketResponse(StreamResponse, Generic[DecodeText]):
    """A response that makes a WebSocket of its connection::

        ws = WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data)
        return ws

    Pings are answered, and the peer's silence noticed, whether or not somebody receives. A handler that returns closes
    with 1000, one that raises with 1011, a server that shuts down with 1001.

    Args:
        timeout: Seconds for the closing handshake in total.
        receive_timeout: Seconds a receive may wait; then TimeoutError. None or 0: for ever.
        autoclose: Answer the peer's Close when it is received. Without it, the handler calls ``close()``.
        autoping: Answer pings. Without it, PING and PONG are received as messages.
        heartbeat: Seconds of silence after which the peer is pinged; half of that later it is gone. None or 0: never.
        protocols: Known subprotocols; the first of the client's that is among them is chosen.
        compress: Agree to permessage-deflate (RFC 7692) if the client offers it: True or False, or 9 to 15 for the
            largest window, log2 of bytes.
        max_msg_size: Most bytes of a message, inflated; beyond it the peer gets 1009. 0: no limit.
        writer_limit: Unsent bytes above which ``send_...()`` waits for the peer to read.
        decode_text: Whether texts are received as str; else as bytes.
        headers: More header fields for the response, a mapping or pairs; copied.

    Raises:
        TypeError, ValueError: An option of a wrong type or value; the message names it.
    """

    _session: WebSocketSession | None = None
    _handshake: Handshake | None = None
    _direct = False
    _tries = 0

    def __init__(
        self,
        *,
        timeout: float = 10.0,
        receive_timeout: float | None = None,
        autoclose: bool = True,
        autoping: bool = True,
        heartbeat: float | None = None,
        protocols: Iterable[str] = (),
        compress: bool | int = True,
        max_msg_size: int = 4 * 1024 * 1024,
        writer_limit: int = 2**18,
        decode_text: bool = True,
        headers: Headers | None = None,
    ) -> None:
        super().__init__(status=101, headers=headers)
        self._timeout = check_seconds("timeout", timeout)
        self._receive_timeout = check_seconds("receive_timeout", receive_timeout or 0)
        self._autoclose = check_flag("autoclose", autoclose)
        self._autoping = check_flag("autoping", autoping)
        self._heartbeat = check_seconds("heartbeat", heartbeat or 0)
        self._protocols = _names("protocols", protocols)
        self._bits = _window("compress", compress)
        self._max_msg_size = check_count("max_msg_size", max_msg_size, 0)
        self._writer_limit = check_count("writer_limit", writer_limit, 0)
        self._decode_text = check_flag("decode_text", decode_text)
        self._asked = compress is not True

    # State.

    @property
    def prepared(self) -> bool:
        """Whether the handshake has been answered."""
        return self._session is not None

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more, since we have closed or it is at an end."""
        return self._session is not None and self._session.ending

    @property
    def close_code(self) -> int | None:
        """The code of the end, None before it (RFC 6455 §7.1.5).

        That of the peer's Close, of ours if the peer broke the protocol, 1005 for a Close without code, 1006 for an end
        without Close.
        """
        return None if self._session is None else self._session.close_code

    @property
    def close_reason(self) -> str | None:
        """The reason that the peer's Close gives, ``""`` if none; None before it, and for an end without Close."""
        return None if self._session is None else self._session.close_reason

    @property
    def ws_protocol(self) -> str | None:
        """The subprotocol (RFC 6455 §1.9), None without one or before ``prepare()``."""
        return None if self._handshake is None else self._handshake.protocol

    @property
    def compress(self) -> bool | int:
        """The window that was agreed on for messages that we send, log2 of bytes; 0 for no compression.

        Before ``prepare()``, what may be agreed on.
        """
        if self._handshake is None:
            return self._bits
        return 0 if self._handshake.deflate is None else self._handshake.deflate.server_bits

    def exception(self) -> BaseException | None:
        """Return what ended the WebSocket, None if it was a Close.

        A WebSocketError for a fault of the peer, a ConnectionError if it left, a TimeoutError if it fell silent.
        """
        return None if self._session is None else self._session.exception

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows under a name.

        Args:
            name: For example ``"peername"`` or ``"ssl_object"``.
            default: What is returned without it, before ``prepare()`` and after the end.
        """
        if self._request is None:
            return default
        return self._request.get_extra_info(name, default)

    # The handshake.

    def can_prepare(self, request: BaseRequest) -> WebSocketReady:
        """Tell whether ``prepare()`` would succeed.

        Args:
            request: The request.

        Raises:
            RuntimeError: It did already.
        """
        if self._session is not None:
            raise RuntimeError("Already started")
        try:
            handshake = shake_hands(request._message, self._protocols, self._bits)
        except HandshakeError:
            return WebSocketReady(False, None)
        return WebSocketReady(True, handshake.protocol)

    async def prepare(self, request: BaseRequest) -> ResponseWriter | None:
        """Answer the handshake (RFC 6455 §4.2.2). A second call does nothing.

        It does not wait, so there is nothing to cancel.

        Raises:
            HTTPBadRequest: The request is no acceptable handshake. Like any other exception, it may be answered.
            HTTPMethodNotAllowed: It is not GET.
            HTTPUpgradeRequired: It is of another version of the protocol.
            ConnectionResetError: The client has gone.
            RuntimeError: The request is answered already.
        """
        if self._session is not None:
            return None if self._ended else self._writer
        try:
            handshake = shake_hands(request._message, self._protocols, self._bits)
        except HandshakeError as exc:
            raise _refusal(exc) from None
        if handshake.offered and handshake.protocol is None:
            _logger.warning(
                "%s: none of the subprotocols %.200r is known", request.remote, handshake.offered
            )
        self._status, self._reason = 101, None
        self._keep_alive = False
        fields = self._fields(handshake)
        if self._headers is not None:
            self._headers = fields
        head = serialize_head(request.version, 101, None, fields, _tail(request, fields))
        session = self._make_session(request, handshake)
        writer = request.writer
        writer.upgrade(head, session, self._writer_limit)
        writer.response = self
        self._request = request
        self._writer = writer
        self._handshake = handshake
        self._session = session
        # Whether `async for` may take the short way past receive().
        self._direct = not self._receive_timeout and type(self).receive is WebSocketResponse.receive
        return writer

    @property
    def headers(self) -> CIMultiDict[str]:
        """The header fields; change them until the response is prepared."""
        if self._headers is None and self._handshake is not None:
            # Most sockets live long, and nobody looks.
            self._headers = self._fields(self._handshake)
        return super().headers

    def _fields(self, handshake: Handshake) -> CIMultiDict[str]:
        """Return the fields of the head: those that were set, and what the handshake asks for."""
        fields = CIMultiDict(self._headers or ())
        for name in (hdrs.CONTENT_LENGTH, hdrs.TRANSFER_ENCODING, hdrs.SEC_WEBSOCKET_EXTENSIONS):
            fields.popall(name, None)
        fields[hdrs.UPGRADE] = "websocket"
        fields[hdrs.CONNECTION] = "upgrade"
        fields[hdrs.SEC_WEBSOCKET_ACCEPT] = handshake.accept
        if handshake.protocol is not None:
            fields[hdrs.SEC_WEBSOCKET_PROTOCOL] = handshake.protocol
        if handshake.extensions is not None:
            fields[hdrs.SEC_WEBSOCKET_EXTENSIONS] = handshake.extensions
        for morsel in () if self._cookies is None else self._cookies.values():
            fields.add(hdrs.SET_COOKIE, morsel.OutputString())
        return fields

    def _make_session(self, request: BaseRequest, handshake: Handshake) -> WebSocketSession:
        inflater = deflater = None
        deflate = handshake.deflate
        if deflate is not None:
            bits = deflate.server_bits if self._asked else min(deflate.server_bits, _UNASKED_BITS)
            deflater = Deflater(bits, deflate.server_keeps_context)
            inflater = Inflater(deflate.client_bits, deflate.client_keeps_context)
        return WebSocketSession(
            request.protocol,
            Receiver(self._max_msg_size, inflater, self._decode_text),
            deflater,
            timeout=self._timeout,
            autoclose=self._autoclose,
            autoping=self._autoping,
            heartbeat=self._heartbeat,
        )

    def _open_session(self) -> WebSocketSession:
        if self._session is None:
            raise RuntimeError("Call .prepare() first")
        return self._session

    # Receiving.

    async def receive(self, timeout: float | None = None) -> WSMessage:
        """Wait for a message.

        TEXT and BINARY in the order they came, then what the peer did last: CLOSE; ERROR with a WebSocketError as its
        data if the peer broke the protocol, with a TimeoutError if it fell silent; CLOSED if it left. CLOSING if
        somebody else closes meanwhile; CLOSED when all is over. Safe to cancel.

        Args:
            timeout: Seconds to wait instead of ``receive_timeout``.

        Raises:
            TimeoutError: Nothing came in time. Like cancelling, this loses nothing.
            RuntimeError: Before ``prepare()``; while another task receives; or the fifth time after the end.
        """
        session = self._open_session()
        limit = timeout or self._receive_timeout
        if limit and not session.unread:
            async with asyncio.timeout(limit):
                return await self._receive(session)
        return await self._receive(session)

    async def _receive(self, session: WebSocketSession) -> WSMessage:
        waited = False
        while not session.unread:
            arrival = session.arrival()
            if arrival is None:
                over = session.ending and not waited
                message = session.last_message(waited=waited)
                if over and message.type is WSMsgType.CLOSED:
                    self._count_try()
                elif message.type is WSMsgType.CLOSING and not waited:
                    # The peer closed, and autoclose is off: who waits for the end by receiving must not block the loop.
                    await asyncio.sleep(0)
                return message
            await arrival
            waited = True
        return session.take()

    def _count_try(self) -> None:
        self._tries += 1
        if self._tries >= _MAX_TRIES:
            raise RuntimeError("WebSocket connection is closed.")

    @overload
    async def receive_str(
        self: WebSocketResponse[Literal[True]], *, timeout: float | None = None
    ) -> str: ...

    @overload
    async def receive_str(
        self: WebSocketResponse[Literal[False]], *, timeout: float | None = None
    ) -> bytes: ...

    @overload
    async def receive_str(
        self: WebSocketResponse[bool], *, timeout: float | None = None
    ) -> str | bytes: ...

    async def receive_str(self, *, timeout: float | None = None) -> str | bytes:
        """Wait for a TEXT message; return its data, bytes if texts are not decoded. Safe to cancel.

        Besides what it names, it raises what ``receive()`` raises.

        Args:
            timeout: Seconds to wait instead of ``receive_timeout``.

        Raises:
            WSMessageTypeError: Another message came; it is lost. A TypeError.
        """
        message = await self.receive(timeout)
        return self._expect(message, _TEXT)  # type: ignore[no-any-return]

    async def receive_bytes(self, *, timeout: float | None = None) -> bytes:
        """Wait for a BINARY message; return its data. Safe to cancel; it raises what ``receive_str()`` raises.

        Args:
            timeout: Seconds to wait instead of ``receive_timeout``.
        """
        message = await self.receive(timeout)
        return self._expect(message, _BINARY)  # type: ignore[no-any-return]

    async def receive_json(
        self, *, loads: Callable[[Any], Any] = json.loads, timeout: float | None = None
    ) -> Any:
        """Wait for a TEXT message; return ``loads(data)``. Safe to cancel.

        It raises what ``receive_str()`` and ``loads`` raise.

        Args:
            loads: Makes a value of the data.
            timeout: Seconds to wait instead of ``receive_timeout``.
        """
        message = await self.receive(timeout)
        return loads(self._expect(message, _TEXT))

    @staticmethod
    def _expect(message: WSMessage, kind: WSMsgType) -> Any:
        if message.type is not kind:
            raise WSMessageTypeError(
                f"Received message {message.type}:{message.data!r} is not WSMsgType.{kind.name}"
            )
        return message.data

    def __aiter__(self) -> Self:
        """Iterate over messages up to the end."""
        return self

    async def __anext__(self) -> WSMessage:
        session = self._session
        if session is None or not self._direct:
            message = await self.receive()
        else:
            # _receive() in short.
            unread = session.unread
            while not unread:
                arrival = session.arrival()
                if arrival is None:
                    break
                await arrival
                unread = session.unread
            else:
                return session.take() if session.paused else unread.pop()
            message = await self._receive(session)
        if message.type in _ENDS:
            raise StopAsyncIteration
        return message

    # Sending.

    async def send_str(self, data: str, compress: bool | int | None = None) -> None:
        """Send a text; wait while more than ``writer_limit`` bytes are unsent.

        May be called by several tasks at once. Cancelled while it waits, it has taken the message all the same, unless
        that is still being compressed: then it may be sent or not.

        Args:
            data: The text.
            compress: None or True as agreed on, False or 0 for no compression, 9 to 15 for a window of its own, log2 of
                bytes. No effect if compression was not agreed on.

        Raises:
            TypeError: ``data`` is not a str.
            ValueError: ``compress`` is no window that was agreed on.
            RuntimeError: Before ``prepare()``.
            ConnectionResetError: Closed already, or the peer has gone.
        """
        session = self._session or self._open_session()
        if not isinstance(data, str):
            raise TypeError(f"data argument must be str ({type(data)!r})")
        if compress is not None or session.deflates:
            await self._send(session, _TEXT, data.encode(), compress)
        elif session.send(0x1, data.encode()):
            await session.drain()

    async def send_bytes(self, data: Data, compress: bool | int | None = None) -> None:
        """Send a binary message. It raises, and may be cancelled, like ``send_str()``.

        Args:
            data: bytes, bytearray or memoryview.
            compress: As for ``send_str()``.
        """
        session = self._session or self._open_session()
        if type(data) is not bytes:
            if not isinstance(data, bytes | bytearray | memoryview):
                raise TypeError(f"data argument must be byte-ish ({type(data)!r})")
            data = bytes(data)
        if compress is not None or session.deflates:
            await self._send(session, _BINARY, data, compress)
        elif session.send(0x2, data):
            await session.drain()

    async def send_json(
        self,
        data: Any,
        compress: bool | int | None = None,
        *,
        dumps: Callable[[Any], str] = json.dumps,
    ) -> None:
        """Send ``dumps(data)`` as a text, compressed as ``send_str()`` does it.

        It raises what ``send_str()`` and ``dumps`` raise, and may be cancelled like the former.
        """
        await self.send_str(dumps(data), compress)

    async def send_json_bytes(
        self, data: Any, compress: bool | int | None = None, *, dumps: Callable[[Any], bytes]
    ) -> None:
        """Send ``dumps(data)`` as a binary message, compressed as ``send_bytes()`` does it.

        It raises what ``send_bytes()`` and ``dumps`` raise, and may be cancelled like the former.
        """
        await self.send_bytes(dumps(data), compress)

    async def send_frame(
        self, message: Data, opcode: WSMsgType, compress: bool | int | None = None
    ) -> None:
        """Send a message of any kind but CLOSE by its opcode.

        Besides what it names, it raises what ``send_bytes()`` raises, and may be cancelled like that.

        Args:
            message: The bytes of its payload.
            opcode: TEXT, BINARY, PING or PONG.
            compress: As for ``send_str()``; no effect on PING and PONG.

        Raises:
            ValueError: Another opcode, or more than 125 bytes for PING or PONG (RFC 6455 §5.5).
        """
        session = self._open_session()
        if not isinstance(message, bytes | bytearray | memoryview):
            raise TypeError(f"message argument must be byte-ish ({type(message)!r})")
        if opcode in (_TEXT, _BINARY):
            await self._send(session, opcode, bytes(message), compress)
        elif opcode in (WSMsgType.PING, WSMsgType.PONG):
            await self._send_control(session, opcode, bytes(message))
        else:
            raise ValueError(f"{opcode!r} is no opcode that can be sent by itself")

    async def ping(self, message: Data = b"") -> None:
        """Send a ping (RFC 6455 §5.5.2). It raises, and may be cancelled, as ``send_frame()``.

        Args:
            message: Up to 125 bytes.
        """
        await self.send_frame(message, WSMsgType.PING)

    async def pong(self, message: Data = b"") -> None:
        """Send a pong that nobody asked for (RFC 6455 §5.5.3). It raises, and may be cancelled, as ``send_frame()``.

        Args:
            message: Up to 125 bytes.
        """
        await self.send_frame(message, WSMsgType.PONG)

    async def _send(
        self, session: WebSocketSession, opcode: int, payload: bytes, compress: bool | int | None
    ) -> None:
        bits = None if compress is None or compress is True else _window("compress", compress)
        if not session.deflates or bits == 0:
            wait = session.send(opcode, payload)
        elif bits is not None and bits > self.compress:
            raise ValueError(f"compress must be at most {self.compress}, as was agreed on")
        else:
            wait = await session.send_compressed(opcode, payload, bits)
        if wait:
            await session.drain()

    async def _send_control(self, session: WebSocketSession, opcode: int, payload: bytes) -> None:
        if len(payload) > 125:
            raise ValueError("a ping or pong has at most 125 bytes (RFC 6455 §5.5)")
        if session.send(opcode, payload):
            await session.drain()

    # The end.

    async def close(
        self, *, code: int = WSCloseCode.OK, message: bytes | str = b"", drain: bool = True
    ) -> bool:
        """Send a Close and wait up to ``timeout`` seconds for the peer's; then the connection is closed (RFC 6455 §7).

        What is not received by then is dropped. If cancelled, the connection is cut.

        Args:
            code: 1000 to 1003, 1007 to 1014, or 3000 to 4999.
            message: The reason; what is beyond 123 bytes is cut off.
            drain: Taken for aiohttp's callers; waiting for the peer implies it.

        Returns:
            Whether it was this call that closed, and not another, or the peer.

        Raises:
            RuntimeError: Before ``prepare()``.
            TypeError: The code is not an int, or the message neither bytes nor str.
            ValueError: The code may not be sent, or the message is not UTF-8.
        """
        session = self._open_session()
        if not isinstance(code, int):
            raise TypeError(f"code must be an int, not {type(code).__name__}")
        if not may_be_sent(code):
            raise ValueError(f"{code!r} is no code for a Close frame (RFC 6455 §7.4)")
        if not isinstance(message, bytes | bytearray | str):
            raise TypeError(f"message must be bytes or str, not {type(message).__name__}")
        reason = message.encode() if isinstance(message, str) else bytes(message)
        try:
            reason.decode()
        except UnicodeDecodeError:
            raise ValueError("message must be UTF-8 (RFC 6455 §5.5.1)") from None
        return await session.close(code, reason)

    async def write(self, data: Data) -> None:
        """Raise RuntimeError: a WebSocket has no body. Nothing to cancel."""
        raise RuntimeError("Cannot call .write() for websocket")

    async def write_eof(self, data: Data = b"") -> None:
        """Do the same as ``close()``, also if cancelled. A second call does nothing."""
        if self._ended:
            return
        await self.close()
        if self._writer is not None:
            self._end(self._writer.output_size)


def _tail(request: BaseRequest, fields: CIMultiDict[str]) -> bytes:
    """Return the end of the head: Date and Server, unless they are among the fields, and the empty line."""
    channel = request.protocol
    if hdrs.DATE not in fields and hdrs.SERVER not in fields:
        return channel.clock.lasting[2:]
    fields.setdefault(hdrs.DATE, channel.clock.date)
    fields.setdefault(hdrs.SERVER, channel.server_header)
    return b"\r\n"


if TYPE_CHECKING:
    WebSocketHandler = Callable[[BaseRequest, WebSocketResponse], Awaitable[object]]


@overload
def websocket(fn: WebSocketHandler, /, **options: Unpack[WebSocketOptions]) -> Handler: ...


@overload
def websocket(
    **options: Unpack[WebSocketOptions],
) -> Callable[[WebSocketHandler], Handler]: ...


def websocket(
    fn: WebSocketHandler | None = None, /, **options: Unpack[WebSocketOptions]
) -> Handler | Callable[[WebSocketHandler], Handler]:
    """Make a handler of ``async (request, ws)``, or a decorator that does.

    The handler prepares a WebSocketResponse with these options, runs the function and closes with 1000; 1011 if it
    raised. A request that asks for no WebSocket is answered with 426.

    Args:
        fn: The function; without it, a decorator is returned.
        options: Those of WebSocketResponse.

    Raises:
        TypeError, ValueError: As WebSocketResponse raises them; or ``fn`` cannot be called.
    """
    # Checked once, here; what can be iterated over only once is read once.
    first: WebSocketResponse = WebSocketResponse(**options)
    if "protocols" in options:
        options["protocols"] = first._protocols
    if "headers" in options:
        options["headers"] = first._headers

    def decorate(fn: WebSocketHandler) -> Handler:
        if not callable(fn):
            raise TypeError(f"a WebSocket handler must be callable, not {type(fn).__name__}")

        @wraps(fn)
        async def handler(request: BaseRequest) -> StreamResponse:
            if not request.is_websocket:
                raise upgrade_required()
            ws: WebSocketResponse = WebSocketResponse(**options)
            await ws.prepare(request)
            await fn(request, ws)
            await ws.close()
            return ws

        # Its signature is not that of the function.
        del handler.__wrapped__
        return handler

    return decorate if fn is None else decorate(fn)


def _refusal(error: HandshakeError) -> HTTPBadRequest | HTTPMethodNotAllowed | HTTPUpgradeRequired:
    if error.status == 405:
        return HTTPMethodNotAllowed("", ["GET"], text=error.reason)
    if error.status == 426:
        return upgrade_required(error.reason)
    return HTTPBadRequest(text=error.reason)


def _window(name: str, value: bool | int) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{name} must be a bool or an int, not {type(value).__name__}")
    if value is True:
        return 15
    if value and not 9 <= value <= 15:
        raise ValueError(f"{name} must be 0 or from 9 to 15: {value!r}")
    return int(value)


def _names(name: str, value: Iterable[str]) -> tuple[str, ...]:
    """Return subprotocols: each a token (RFC 6455 §4.1)."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be several names, not {type(value).__name__}")
    names = tuple(value)
    for item in names:
        if not isinstance(item, str):
            raise TypeError(f"{name} must be names, not {type(item).__name__}")
        if not is_token(item):
            raise ValueError(f"{name}: {item!r} is no token (RFC 6455 §4.1)")
    return names
