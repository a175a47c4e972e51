"""Classes as handlers of WebSockets: a method for the beginning, for each message and for the end."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any, ClassVar, Final, Literal

from ..protocol.websocket_message import WSCloseCode, WSMessage, WSMsgType
from ..request import BaseRequest
from ..response import StreamResponse
from ..upgrade_required import upgrade_required
from ..websocket_response import WebSocketOptions, WebSocketResponse
from .endpoint_method import EndpointMethod

__all__ = ("WebSocketEndpoint",)

Encoding = Literal["text", "bytes", "json"]

_HOOKS: Final = {
    "on_connect": ("the WebSocket",),
    "on_receive": ("the WebSocket", "the data"),
    "on_disconnect": ("the WebSocket", "the close code"),
}

# What each encoding takes.
_KINDS: Final = {
    None: (WSMsgType.TEXT, WSMsgType.BINARY),
    "text": (WSMsgType.TEXT,),
    "bytes": (WSMsgType.BINARY,),
    "json": (WSMsgType.TEXT, WSMsgType.BINARY),
}


class WebSocketEndpoint:
    """A handler of WebSockets with a method for each thing that happens to one::

        @router.websocket("/rooms/{room}")
        class Room(web.WebSocketEndpoint):
            encoding = "text"

            async def on_receive(self, ws, data, room):
                await ws.send_str(f"{room}: {data}")

    The class is the handler, with a router or without: it makes an instance for each request, which is awaited while
    the WebSocket lasts. A request for anything else is answered with 426.

    What is not overridden does nothing. Each method may have further parameters: they get what they name from
    ``request.match_info``, and ``**values`` all of it. One that is no coroutine function is called in a thread.

    Args:
        request: The request.

    Attributes:
        encoding: What ``on_receive`` gets, set in the class: ``"text"`` for str, ``"bytes"`` for bytes, ``"json"`` for
            what the JSON in a text or binary message says. The peer gets 1003 for a message of another kind, or one
            that is no JSON. None: str or bytes, as they come.
        options: Options of the WebSocketResponse, set in the class.
        request: The request.

    Raises:
        TypeError, ValueError: When the class is made: another encoding, options that WebSocketResponse does not take, a
            method that is not callable or does not take what it is given.
    """

    encoding: ClassVar[Encoding | None] = None
    options: ClassVar[WebSocketOptions] = {}

    _hooks: ClassVar[dict[str, EndpointMethod]] = {}
    _options: ClassVar[WebSocketOptions] = {}

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if cls.encoding not in tuple(_KINDS):  # compared, since it may be anything
            raise TypeError(
                f"{cls.__module__}.{cls.__qualname__}.encoding must be 'text', 'bytes', 'json' or None,"
                f" not {cls.encoding!r}"
            )
        cls._options = _checked(cls)
        cls._hooks = {
            name: EndpointMethod(cls, name, *leading)
            for name, leading in _HOOKS.items()
            if getattr(cls, name) is not getattr(WebSocketEndpoint, name)
        }

    def __init__(self, request: BaseRequest) -> None:
        self.request = request

    def __await__(self) -> Generator[Any, Any, StreamResponse]:
        """Answer the request, and stay until the WebSocket ends."""
        return self._serve().__await__()

    # To be overridden, with coroutine functions or not, hence Any; and with any further parameters, which is what type
    # checkers take these for. They are only called by who calls super().

    def on_connect(self, ws: WebSocketResponse, *args: Any, **values: Any) -> Any:
        """Decide about the handshake. ``await ws.prepare(self.request)`` accepts it; returning nothing accepts it, too.

        To refuse it, raise an HTTPException, or return any response, before that: the client gets it, and
        ``on_disconnect`` is not called. Neither is it if this raises whatever else.

        Args:
            ws: The WebSocket, not yet prepared.
        """
        return ws.prepare(self.request)

    def on_receive(self, ws: WebSocketResponse, data: Any, *args: Any, **values: Any) -> Any:
        """Take a message. The next one is not looked at before this one is done with.

        An exception closes with 1011, and is raised on when ``on_disconnect`` has been called.

        Args:
            ws: The WebSocket.
            data: What the message says, as ``encoding`` has it.
        """
        return _nothing()

    def on_disconnect(
        self, ws: WebSocketResponse, close_code: int, *args: Any, **values: Any
    ) -> Any:
        """Know that it is over. Called exactly once, also if this task is cancelled; nothing can be sent any more.

        Args:
            ws: The WebSocket.
            close_code: The code of the peer's Close, 1005 if it had none, 1006 if the peer vanished; or the code we
                closed with: that of ``ws.close()``, 1001 when the server shuts down, 1003 for a message that was no
                good, 1011 for an exception or a cancellation.
        """
        return _nothing()

    # How it goes.

    async def _serve(self) -> StreamResponse:
        request = self.request
        if not request.is_websocket:
            raise upgrade_required()
        ws = _Socket(**self._options)
        if not ws.can_prepare(request):
            await ws.prepare(request)  # which says why
        answer = await self._call("on_connect", ws)
        if answer is not None and answer is not ws and not ws.prepared:
            return answer  # type: ignore[no-any-return]  # what is no response is somebody else's trouble
        try:
            await ws.prepare(request)
            await self._converse(ws)
        except BaseException:
            ws.fail(WSCloseCode.INTERNAL_ERROR)
            raise
        finally:
            await self._call("on_disconnect", ws, ws.end_code)
        return ws

    async def _converse(self, ws: _Socket) -> None:
        async for message in ws:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                continue  # a ping, or the fault that is the end
            try:
                data = self._decode(message)
            except (ValueError, RecursionError):
                ws.fail(WSCloseCode.UNSUPPORTED_DATA)
                return
            await self._call("on_receive", ws, data)

    def _decode(self, message: WSMessage) -> Any:
        """Return what on_receive gets.

        Raises:
            ValueError, RecursionError: The message is of another kind than it should be, or no JSON.
        """
        if message.type not in _KINDS[self.encoding]:
            raise ValueError(f"a message of type {message.type.name}")
        return json.loads(message.data) if self.encoding == "json" else message.data

    async def _call(self, name: str, ws: _Socket, *args: object) -> Any:
        hook = self._hooks.get(name)
        if hook is not None:
            return await hook(self, self.request.match_info, ws, *args)
        return None


class _Socket(WebSocketResponse):
    """A WebSocketResponse that remembers which end it was brought to."""

    _sent_code: int | None = None

    @property
    def end_code(self) -> int:
        """How it ended, or will."""
        if self._sent_code is not None:
            return self._sent_code
        if not self.prepared:
            return WSCloseCode.ABNORMAL_CLOSURE
        # Nobody but the server closes without one of the two methods below.
        return WSCloseCode.GOING_AWAY if self.close_code is None else self.close_code

    async def close(
        self, *, code: int = WSCloseCode.OK, message: bytes | str = b"", drain: bool = True
    ) -> bool:
        first = self.prepared and not self.closed
        if first:
            self._sent_code = code
        try:
            return await super().close(code=code, message=message, drain=drain)
        except (TypeError, ValueError):
            if first:
                self._sent_code = None
            raise

    def fail(self, code: int) -> None:
        """Close, unless it is closed already, and wait for nobody."""
        session = self._session
        if session is not None and not session.ending:
            session.begin_close(code)
            if session.close_code != WSCloseCode.ABNORMAL_CLOSURE:
                self._sent_code = code


async def _nothing() -> None:
    pass


def _checked(cls: type[WebSocketEndpoint]) -> WebSocketOptions:
    """Return the options of a class, each of which can be used again and again."""
    try:
        first = _Socket(**cls.options)
    except (TypeError, ValueError) as exc:
        raise type(exc)(f"{cls.__module__}.{cls.__qualname__}.options: {exc}") from None
    options = cls.options.copy()
    if "protocols" in options:
        options["protocols"] = first._protocols
    if "headers" in options:
        options["headers"] = first._headers
    return options
