"""What everything here is made of: handlers, and middlewares around them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from .errors import NotAResponse
from .request import BaseRequest
from .response import StreamResponse

__all__ = (
    "AnyHandler",
    "Handler",
    "Middleware",
    "describe",
    "describe_request",
    "not_a_response",
)

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


def not_a_response(source: object, value: object, reason: str = "") -> NotAResponse:
    """Return the error to raise for what ``source`` returned: it names its type, or which class it is."""
    kind = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
    return NotAResponse(describe(source), kind, reason)


def describe_request(request: BaseRequest) -> str:
    """Return method and path for a log line: encoded as they came, so that no client writes lines of its own."""
    return f"{request.method} {request.rel_url.raw_path}"
