"""Functions that answer for exceptions, found by the type of the exception."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from ..errors import ClientGone, RequestPayloadError
from ..exceptions import HTTPException
from ..handlers import Handler
from ..request import BaseRequest
from ..response import Response, StreamResponse
from .coercion import respond
from .invoke import as_async, check_callable

__all__ = ("ErrorHandler", "ErrorHandlers")

ErrorHandler = Callable[[BaseRequest, Any], object]
"""``(request, exception) -> response``, a coroutine function or not; whatever ``to_response`` takes will do."""

_F = TypeVar("_F", bound=ErrorHandler)


class ErrorHandlers:
    """A middleware that lets functions answer for exceptions of the handler inside::

        errors = web.ErrorHandlers()

        @errors.on(LookupError)
        async def missing(request, exc):
            return web.Response(status=404, text=f"There is no {exc}")

        handler = web.compose(handler, errors)

    The function for the nearest class in the MRO of the exception answers, with whatever ``to_response`` takes; it
    may raise instead. A function that is no coroutine function runs in a thread. Without a function for it, an
    exception passes, and always when the head of a response has been sent.

    - An HTTPException, raised or returned, is an answer already. Only functions for HTTPException or classes derived
      from it get it: one for ValueError never sees a RequestDecodeError, which is both.
    - That the client left, or sent a malformed body, is nobody's fault here. Only functions for ConnectionError and
      classes derived from it, or for RequestPayloadError, are told: those for OSError or Exception are not.
    - What is no Exception - CancelledError, KeyboardInterrupt, SystemExit - is for nobody.

    Args:
        handlers: Functions to begin with, by class.

    Raises:
        TypeError: A key that is not derived from Exception, or a function that cannot be called.
    """

    def __init__(self, handlers: Mapping[type[Exception], ErrorHandler] | None = None) -> None:
        self._handlers: dict[type[Exception], ErrorHandler] = {}
        if handlers is not None and not isinstance(handlers, Mapping):
            raise TypeError(f"handlers must be a mapping, not {type(handlers).__name__}")
        for kind, function in (handlers or {}).items():
            self.on(kind)(function)

    def __repr__(self) -> str:
        names = (kind.__name__ for kind in self._handlers)
        return f"<{type(self).__name__} {' '.join(names)}>"

    def on(self, *types: type[Exception]) -> Callable[[_F], _F]:
        """Return a decorator that registers a function for these classes, instead of any before, and returns it.

        Args:
            types: Classes of exceptions, one or several.

        Raises:
            TypeError: There is no class, one that is not derived from Exception, or what is decorated cannot be called.
        """
        if not types:
            raise TypeError("on() needs at least one class of exceptions")
        for kind in types:
            if not (isinstance(kind, type) and issubclass(kind, Exception)):
                raise TypeError(f"on() takes classes derived from Exception, not {kind!r}")

        def register(function: _F) -> _F:
            names = ", ".join(kind.__name__ for kind in types)
            check_callable(f"the error handler for {names}", function)
            self._handlers.update(dict.fromkeys(types, function))
            return function

        return register

    async def __call__(self, request: BaseRequest, handler: Handler) -> StreamResponse:
        """Answer with what the handler answers, or with what a function makes of its exception.

        It raises what no function is for, and what a function raises. Cancelling it cancels what runs inside.

        Raises:
            NotAResponse: A function returned what no response can be made of. A TypeError.
        """
        try:
            response = await handler(request)
        except Exception as exc:
            function = self._find(request, exc)
            if function is None:
                raise
            return await _answer(function, request, exc)
        # What it mostly is, faster than the question to an abstract class.
        if type(response) is not Response and isinstance(response, HTTPException):
            function = self._find(request, response)
            if function is not None:
                return await _answer(function, request, response)
        return response

    def _find(self, request: BaseRequest, exc: Exception) -> ErrorHandler | None:
        least = _least_class(exc)
        for kind in type(exc).__mro__:
            function = self._handlers.get(kind)
            if function is not None and issubclass(kind, least):
                return None if request.response_begun else function
        return None


def _least_class(exc: Exception) -> type[Exception]:
    """Return the class that a function has to name, or one derived from it, to get such an exception."""
    if isinstance(exc, HTTPException):
        return HTTPException
    if isinstance(exc, ClientGone):
        return ConnectionError
    if isinstance(exc, RequestPayloadError):
        return RequestPayloadError
    return Exception


async def _answer(function: ErrorHandler, request: BaseRequest, exc: Exception) -> StreamResponse:
    call: Callable[[BaseRequest, Exception], Awaitable[object]] = as_async(function)
    return respond(await call(request, exc), function)
