"""What a WebSocket carries: kinds of messages, codes for its end, and the message a receiver gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

__all__ = ("WSCloseCode", "WSMessage", "WSMessageTypeError", "WSMsgType", "WebSocketError")


class WSMsgType(IntEnum):
    """The kind of a message: an opcode (RFC 6455 §5.2), or from 256 on news about the connection itself."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA

    CLOSING = 0x100
    CLOSED = 0x101
    ERROR = 0x102

    text = TEXT
    binary = BINARY
    close = CLOSE
    ping = PING
    pong = PONG
    closing = CLOSING
    closed = CLOSED
    error = ERROR


class WSCloseCode(IntEnum):
    """Why a WebSocket ends (RFC 6455 §7.4.1 and the registry it founded)."""

    OK = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    ABNORMAL_CLOSURE = 1006
    INVALID_TEXT = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014


class WSMessage(NamedTuple):
    """One message.

    Attributes:
        type: What it is.
        data: str for TEXT (bytes if texts are not decoded); bytes for BINARY, PING and PONG; the code as an int for
            CLOSE, 0 if the frame had none; the exception for ERROR; else None.
        extra: The reason as a str for CLOSE; ``""`` or None otherwise.
    """

    type: WSMsgType
    data: Any
    extra: str | None

    def json(self, *, loads: Callable[[Any], Any] = json.loads) -> Any:
        """Return ``loads(data)``. Raises what ``loads`` raises: ValueError if it is no JSON."""
        return loads(self.data)


class WebSocketError(Exception):
    """The peer broke the protocol or went over a limit.

    Args:
        code: The code to close with (RFC 6455 §7.4.1).
        message: What it did.

    Attributes:
        code: As given.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code

    def __str__(self) -> str:
        return str(self.args[1])


class WSMessageTypeError(TypeError):
    """A message came that is not of the type that was asked for."""
