"""Handlers and middlewares that stand on requests and responses alone; nothing below knows of them.

Everything here is also in ``lowlevel`` itself, but for the types of what a Router tells of itself: Match and Route.
"""

from __future__ import annotations

import importlib
import typing

if typing.TYPE_CHECKING:
    from .application import Application
    from .coercion import coerce, to_response
    from .composition import compose
    from .compressing import compression
    from .endpoint import HTTPEndpoint
    from .error_handlers import ErrorHandlers
    from .lifespan import Lifespan
    from .router import Match, Route, Router
    from .static import StaticFiles
    from .streams import bytes_reader, bytes_writer, text_reader, text_writer
    from .websocket_endpoint import WebSocketEndpoint

__all__ = (
    "Application",
    "ErrorHandlers",
    "HTTPEndpoint",
    "Lifespan",
    "Match",
    "Route",
    "Router",
    "StaticFiles",
    "WebSocketEndpoint",
    "bytes_reader",
    "bytes_writer",
    "coerce",
    "compose",
    "compression",
    "text_reader",
    "text_writer",
    "to_response",
)

# Where the names are; a module is loaded when one of its names is asked for.
_MODULES = {
    "Application": "application",
    "ErrorHandlers": "error_handlers",
    "HTTPEndpoint": "endpoint",
    "Lifespan": "lifespan",
    "Match": "router",
    "Route": "router",
    "Router": "router",
    "StaticFiles": "static",
    "WebSocketEndpoint": "websocket_endpoint",
    "bytes_reader": "streams",
    "bytes_writer": "streams",
    "coerce": "coercion",
    "compose": "composition",
    "compression": "compressing",
    "text_reader": "streams",
    "text_writer": "streams",
    "to_response": "coercion",
}


def __getattr__(name: str) -> typing.Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
