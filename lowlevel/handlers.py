"""What everything here is made of: handlers, and middlewares around them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from .request import BaseRequest
from .response import StreamResponse

__all__ = ("AnyHandler", "Handler", "Middleware", "describe")

Handler = Callable[[BaseRequest], Awaitable[StreamResponse]]
"""``async (request) -> response``: a coroutine function, or anything that is called like one."""

AnyHandler = Callable[[BaseRequest], object]
"""A handler where more will do: a plain function too, and one that returns what ``coerce`` makes a response of."""

Middleware = Callable[[BaseRequest, Handler], Awaitable[StreamResponse]]
"""``async (request, handler) -> response``: it calls the handler, or not, and returns a response."""


def describe(function: object) -> str:
    """Return what a log line calls a handler: module and name, or what ``repr()`` makes of it."""
    while isinstance(function, partial) or hasattr(function, "__wrapped__"):
        function = function.func if isinstance(function, partial) else function.__wrapped__
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str):
        return repr(function)
    return f"{getattr(function, '__module__', None) or '?'}.{name}"
