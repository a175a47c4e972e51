"""Classes as handlers: a method for each method of HTTP."""

from __future__ import annotations

import inspect
from collections.abc import Generator
from typing import Any, ClassVar, Final

from ..request import BaseRequest
from ..response import StreamResponse
from .endpoint_method import EndpointMethod
from .method_not_allowed import method_not_allowed

__all__ = ("HTTPEndpoint",)

# A list of its own, lest a request call whatever else a class has.
_VERBS: Final = (
    "CONNECT",
    "DELETE",
    "GET",
    "HEAD",
    "OPTIONS",
    "PATCH",
    "POST",
    "PUT",
    "QUERY",
    "TRACE",
)


class HTTPEndpoint:
    """A handler whose methods are those of HTTP::

        @router.route("/users/{name}")
        class User(web.HTTPEndpoint):
            async def get(self, request, name):
                return web.Response(text=f"Hello, {name}")

    The class is the handler, with a router or without: it makes an instance for each request, which is awaited for the
    response.

    Methods are called ``get``, ``head``, ``post``, ``put``, ``patch``, ``delete``, ``options``, ``query``, ``trace``
    and ``connect``. Each takes the request, and from ``request.match_info`` what its further parameters name;
    ``**values`` takes all. One that is no coroutine function is called in a thread. What it returns is passed on as it
    is. ``get`` answers HEAD unless there is ``head``. A subclass says with ``put = None`` that it has no such method.

    Args:
        request: The request.

    Attributes:
        request: The request.

    Raises:
        TypeError: When the class is made: such a method is not callable, or does not take the request.
    """

    _methods: ClassVar[dict[str, EndpointMethod]] = {}
    _allowed: ClassVar[tuple[str, ...]] = ()
    _refusal: ClassVar[EndpointMethod | None] = None

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        methods = {
            verb: EndpointMethod(cls, verb.lower(), "the request")
            for verb in _VERBS
            if inspect.getattr_static(cls, verb.lower(), None) is not None
        }
        if "GET" in methods:
            methods.setdefault("HEAD", methods["GET"])
        cls._methods = methods
        cls._allowed = tuple(sorted(methods))
        if cls.method_not_allowed is not HTTPEndpoint.method_not_allowed:
            cls._refusal = EndpointMethod(cls, "method_not_allowed", "the request")

    def __init__(self, request: BaseRequest) -> None:
        self.request = request

    def __await__(self) -> Generator[Any, Any, StreamResponse]:
        """Answer the request."""
        request = self.request
        method = self._methods.get(request.method, self._refusal)
        if method is None:
            return self.method_not_allowed(request)  # type: ignore[no-any-return]  # it raises
        return method(self, request.match_info, request).__await__()

    def method_not_allowed(self, request: BaseRequest) -> Any:
        """Answer a method that is not there; to be overridden, with a coroutine function or not.

        Raises:
            HTTPMethodNotAllowed: Always; ``Allow`` says what is there (RFC 9110 §15.5.6).
        """
        raise method_not_allowed(request.method, self._allowed)
