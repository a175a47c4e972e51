"""A low-level asyncio HTTP/1.1 and WebSocket server: one handler answers every request.

``import lowlevel as web`` stands in for ``from aiohttp import web`` wherever its low-level server is used.
"""

from __future__ import annotations

import importlib
import typing

from . import hdrs
from ._version import __version__
from .access_log import AbstractAccessLogger, AccessLogger
from .body import StreamReader
from .connection import RequestHandler
from .exceptions import *  # noqa: F403
from .exceptions import __all__ as _exceptions
from .handlers import Handler, Middleware
from .keys import AppKey, RequestKey, ResponseKey
from .protocol.head import HttpVersion, HttpVersion10, HttpVersion11
from .protocol.headers import ETag
from .protocol.websocket_message import (
    WebSocketError,
    WSCloseCode,
    WSMessage,
    WSMessageTypeError,
    WSMsgType,
)
from .request import BaseRequest, Request
from .response import Response, StreamResponse, json_bytes_response, json_response
from .run import run_app
from .runner import BaseRunner, GracefulExit, ServerRunner
from .server import Server
from .sites import BaseSite, NamedPipeSite, SockSite, TCPSite, UnixSite

if typing.TYPE_CHECKING:
    import lowlevel.cookies as cookies
    import lowlevel.headers as headers

    from .event_source import EventSourceResponse
    from .file_response import FileResponse
    from .forms import FileField
    from .multipart import BodyPartReader, MultipartReader
    from .protocol.content_coding import ContentCoding
    from .toolkit import (
        Application,
        ErrorHandlers,
        HTTPEndpoint,
        Lifespan,
        Router,
        StaticFiles,
        WebSocketEndpoint,
        bytes_reader,
        bytes_writer,
        coerce,
        compose,
        compression,
        text_reader,
        text_writer,
        to_response,
    )
    from .websocket_response import WebSocketReady, WebSocketResponse, websocket

__all__ = (
    "AbstractAccessLogger",
    "AccessLogger",
    "AppKey",
    "Application",
    "BaseRequest",
    "BaseRunner",
    "BaseSite",
    "BodyPartReader",
    "ContentCoding",
    "ETag",
    "ErrorHandlers",
    "EventSourceResponse",
    "FileField",
    "FileResponse",
    "GracefulExit",
    "HTTPEndpoint",
    "Handler",
    "HttpVersion",
    "HttpVersion10",
    "HttpVersion11",
    "Lifespan",
    "Middleware",
    "MultipartReader",
    "NamedPipeSite",
    "Request",
    "RequestHandler",
    "RequestKey",
    "Response",
    "ResponseKey",
    "Router",
    "Server",
    "ServerRunner",
    "SockSite",
    "StaticFiles",
    "StreamReader",
    "StreamResponse",
    "TCPSite",
    "UnixSite",
    "WSCloseCode",
    "WSMessage",
    "WSMessageTypeError",
    "WSMsgType",
    "WebSocketEndpoint",
    "WebSocketError",
    "WebSocketReady",
    "WebSocketResponse",
    "__version__",
    "bytes_reader",
    "bytes_writer",
    "coerce",
    "compose",
    "compression",
    "cookies",
    "hdrs",
    "headers",
    "json_bytes_response",
    "json_response",
    "run_app",
    "text_reader",
    "text_writer",
    "to_response",
    "websocket",
    *_exceptions,
)

# What loads more than most programs need: the module is loaded when one of its names is asked for.
_LATER = {
    "Application": ".toolkit",
    "BodyPartReader": ".multipart",
    "ContentCoding": ".protocol.content_coding",
    "EventSourceResponse": ".event_source",
    "ErrorHandlers": ".toolkit",
    "FileField": ".forms",
    "FileResponse": ".file_response",
    "HTTPEndpoint": ".toolkit",
    "Lifespan": ".toolkit",
    "MultipartReader": ".multipart",
    "Router": ".toolkit",
    "StaticFiles": ".toolkit",
    "WebSocketEndpoint": ".toolkit",
    "WebSocketReady": ".websocket_response",
    "WebSocketResponse": ".websocket_response",
    "bytes_reader": ".toolkit",
    "bytes_writer": ".toolkit",
    "coerce": ".toolkit",
    "compose": ".toolkit",
    "compression": ".toolkit",
    "text_reader": ".toolkit",
    "text_writer": ".toolkit",
    "to_response": ".toolkit",
    "websocket": ".websocket_response",
}
_MODULES_LATER = ("cookies", "headers")


def __getattr__(name: str) -> typing.Any:
    if name in _MODULES_LATER:
        return importlib.import_module(f".{name}", __name__)
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_LATER[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_MODULES_LATER})
