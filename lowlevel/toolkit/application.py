"""An application: routes, middlewares, error handlers and a lifespan under one roof. It is a handler, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from ..handlers import AnyHandler, Handler, Middleware
from ..keys import AppState
from ..options import check_flag
from ..request import BaseRequest
from ..response import StreamResponse
from .coercion import coerce
from .composition import Wrapper, compose
from .error_handlers import ErrorHandlers
from .invoke import check_callable
from .lifespan import Callback, Lifespan
from .registration import Hosts, Methods, Path
from .registry import Registry
from .router import Router

__all__ = ("Application",)

_F = TypeVar("_F", bound=Callable[..., Any])


class Application(AppState):
    """A handler with all that a service is made of::

        app = web.Application(info={"greeting": "Hello"})

        @app.route("/")
        async def hello(request):
            return request.app["greeting"]

        web.run_app(app)

    It is a mapping of what its requests share (``request.app``), and the handler
    ``compose(router, *middlewares, errors, coerce)``: handlers may return what ``to_response`` takes, error handlers
    answer for their exceptions, and middlewares get a response whatever happened, unless an exception is nobody's. The
    route is looked up before the middlewares run, so they know ``request.match_info``; one that passes on a clone of
    the request has it looked up again.

    Args:
        info: What is in the mapping; kept as it is, not copied.
        router: Where the requests go. What is no Router becomes the fallback of one.
        middlewares: The first is outermost; as ``compose`` takes them.
        lifespan: What happens before the first request and after the last; ServerRunner and ``run_app`` see to it.
        debug: Show tracebacks in answers to exceptions that nobody handles.

    Raises:
        TypeError: Something is of a wrong type.
        ValueError: The lifespan belongs to another application.
    """

    def __init__(
        self,
        *,
        info: dict[Any, Any] | None = None,
        router: AnyHandler | None = None,
        middlewares: Iterable[Middleware | Wrapper] = (),
        lifespan: Lifespan | None = None,
        debug: bool = False,
    ) -> None:
        if info is not None:
            if not isinstance(info, dict):
                raise TypeError(f"info must be a dict, not {type(info).__name__}")
            self._state = info
        if router is not None:
            check_callable("router", router)
        self._router = router if isinstance(router, Router) else Router(fallback=router)
        self._middlewares: Registry[Middleware | Wrapper] = Registry(
            "a middleware", middlewares, self._forget_handler
        )
        self._errors = ErrorHandlers()
        if lifespan is None:
            lifespan = Lifespan()
        elif not isinstance(lifespan, Lifespan):
            raise TypeError(f"lifespan must be a Lifespan, not {type(lifespan).__name__}")
        lifespan.app = self
        self._lifespan = lifespan
        if not isinstance(router, Router):
            self._chain(router)
        self.debug = check_flag("debug", debug)
        self._handler: Handler | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._router.routes())} routes>"

    @property
    def router(self) -> Router:
        """Where the requests go."""
        return self._router

    @property
    def errors(self) -> ErrorHandlers:
        """What answers for exceptions."""
        return self._errors

    @property
    def lifespan(self) -> Lifespan:
        """The start and the end."""
        return self._lifespan

    @property
    def middlewares(self) -> Registry[Middleware | Wrapper]:
        """The middlewares, in a list that may be changed, or set, at any time."""
        return self._middlewares

    @middlewares.setter
    def middlewares(self, middlewares: Iterable[Middleware | Wrapper]) -> None:
        self._middlewares[:] = middlewares

    @property
    def on_startup(self) -> Registry[Callback]:
        """What is called before the first request, in a list that is a decorator too."""
        return self._lifespan.on_startup

    @on_startup.setter
    def on_startup(self, callbacks: Iterable[Callback]) -> None:
        self._lifespan.on_startup[:] = callbacks

    @property
    def on_shutdown(self) -> Registry[Callback]:
        """What is called after the last request, in a list that is a decorator too."""
        return self._lifespan.on_shutdown

    @on_shutdown.setter
    def on_shutdown(self, callbacks: Iterable[Callback]) -> None:
        self._lifespan.on_shutdown[:] = callbacks

    # Registration.

    def get(self, key: Any, default: Any = None) -> Any:
        """Return what is in the mapping, or the default.

        Raises:
            TypeError: The key looks like a path, for which ``router.get()`` makes a decorator.
        """
        if default is None and isinstance(key, str) and key.startswith("/") and key not in self:
            raise TypeError(
                "an application is a mapping: the decorator for GET is app.router.get()"
            )
        return super().get(key, default)

    def route(
        self, *paths: Path, methods: Methods = None, hosts: Hosts = None, allow_head: bool = True
    ) -> Callable[[_F], _F]:
        """Return the decorator of ``router.route()``, which registers a handler. ``get()`` is that of a mapping."""
        return self._router.route(*paths, methods=methods, hosts=hosts, allow_head=allow_head)

    def websocket(self, *paths: Path, hosts: Hosts = None) -> Callable[[_F], _F]:
        """Return the decorator of ``router.websocket()``, which registers a WebSocket handler for paths."""
        return self._router.websocket(*paths, hosts=hosts)

    def mount(self, prefix: str, handler: AnyHandler) -> AnyHandler:
        """Let a handler have all requests whose path is ``prefix`` or below it; return it.

        If it has a ``lifespan``, as an Application has, that begins and ends with the one of this application. Besides
        what it names, it raises what ``Router.mount()`` raises.

        Args:
            prefix: A path without variables; slashes at its end do not matter.
            handler: The handler.

        Raises:
            RuntimeError: This application has started, too late for the lifespan.
        """
        if self._lifespan.started and _lifespan_of(handler) is not None:
            raise RuntimeError(f"mount({prefix!r}) comes too late for the lifespan of {handler!r}")
        self._router.mount(prefix, handler)
        self._chain(handler)
        return handler

    def _chain(self, handler: object) -> None:
        lifespan = _lifespan_of(handler)
        if lifespan is not None:
            self._lifespan.chain(lifespan)

    def middleware(self, middleware: _F) -> _F:
        """Add a middleware, innermost of those there are; return it. A decorator.

        It is ``async (request, handler) -> response``, or a function that takes a handler and returns one.

        Raises:
            TypeError: It cannot be called.
        """
        return self._middlewares(middleware)

    def on_error(self, *types: type[Exception]) -> Callable[[_F], _F]:
        """Return the decorator of ``errors.on()``, which registers a function to answer for exceptions."""
        return self._errors.on(*types)

    # Requests.

    async def __call__(self, request: BaseRequest) -> StreamResponse:
        """Answer a request. What is raised or returned is what ``compose`` says. Cancelling it cancels the handler."""
        request._app = self
        if self.debug:
            request.writer.debug = True
        request._routed = (self._router, self._router.look_up(request))
        handler = self._handler
        if handler is None:
            handler = self._handler = compose(
                self._router, *self._middlewares, self._errors, coerce
            )
        return await handler(request)

    def _forget_handler(self) -> None:
        self._handler = None


def _lifespan_of(handler: object) -> AbstractAsyncContextManager[Any, Any] | None:
    lifespan = getattr(handler, "lifespan", None)
    return lifespan if isinstance(lifespan, AbstractAsyncContextManager) else None
