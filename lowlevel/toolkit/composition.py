"""Middlewares around a handler: the result is a handler again."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ..exceptions import HTTPException
from ..handlers import AnyHandler, Handler, Middleware, describe, not_a_response
from ..request import BaseRequest
from ..response import Response, StreamResponse
from .coercion import coerce, respond
from .invoke import as_async, check_callable, is_async, required_parameters

__all__ = ("CoercingMiddleware", "Wrapper", "compose")

Wrapper = Callable[[Handler], Handler]
"""A function that puts something around a handler by itself."""

_Finish = Callable[[object, object], StreamResponse]

CoercingMiddleware = Callable[[BaseRequest, Callable[[BaseRequest], Awaitable[object]]], Any]
"""A middleware that wants to know what the handler really returned."""


def compose(
    handler: AnyHandler, *middlewares: Middleware | Wrapper | CoercingMiddleware
) -> Handler:
    """Put middlewares around a handler, the first outermost; return the handler that they make together.

    A middleware is ``async (request, handler) -> response``, or a plain function that takes a handler and returns one.
    The handler that it is given always returns a response: a raised HTTPException is returned, which is one; other
    exceptions pass. What is no response is an error for all but ``coerce``, which belongs behind the others.

    If the handler has an attribute ``lifespan``, as an Application has, so has what is returned.

    Args:
        handler: What answers in the end; called in a thread if it is no coroutine function.
        middlewares: What stands around it.

    Raises:
        TypeError: Something is not callable.
    """
    check_callable("handler", handler)
    for middleware in middlewares:
        check_callable("a middleware", middleware)
    composed = as_async(handler)
    if middlewares:
        if middlewares[-1] is not coerce:
            composed = _link(composed, handler, _refuse)
        outside = (None, *middlewares[:-1])
        for middleware, next_one in zip(reversed(middlewares), reversed(outside), strict=True):
            composed = _around(composed, middleware, respond if next_one is coerce else _refuse)
        if hasattr(handler, "lifespan"):
            composed.lifespan = handler.lifespan  # type: ignore[attr-defined]
    return composed


def _around(handler: Handler, middleware: Any, finish: _Finish) -> Handler:
    """Return a handler with one middleware around it; what is no response is for ``finish``."""
    if required_parameters(middleware) == 1:
        wrapped = middleware(handler)
        check_callable(f"what {describe(middleware)} returns", wrapped)
        return _link(as_async(wrapped), wrapped, finish)
    call = middleware if is_async(middleware) else _awaiting(middleware)

    # Like _link(), but without one more function in between: there is one of these for each middleware.
    async def link(request: BaseRequest) -> StreamResponse:
        try:
            response = await call(request, handler)
        except HTTPException as exc:
            return _caught(request, exc)
        if type(response) is not Response and not isinstance(response, StreamResponse):
            return finish(response, middleware)
        return response

    return link


def _awaiting(middleware: Any) -> Any:
    """Return a coroutine function that awaits what a plain one returns, if it can be awaited."""

    async def call(request: BaseRequest, handler: Handler) -> Any:
        result = middleware(request, handler)
        return await result if inspect.isawaitable(result) else result

    return call


def _link(handler: Handler, source: object, finish: _Finish) -> Handler:
    """Return a handler that always returns a response, as far as HTTP is concerned; ``source`` is what to blame."""

    async def link(request: BaseRequest) -> StreamResponse:
        try:
            response = await handler(request)
        except HTTPException as exc:
            return _caught(request, exc)
        if type(response) is not Response and not isinstance(response, StreamResponse):
            return finish(response, request._answered_by or source)
        return response

    return link


def _refuse(value: object, source: object) -> StreamResponse:
    raise not_a_response(source, value)


def _caught(request: BaseRequest, exc: HTTPException) -> HTTPException:
    if request.response_begun:
        raise exc  # it is no answer any more
    # Its traceback leads to frames that lead to it: no cycle.
    exc.__traceback__ = None
    return exc
