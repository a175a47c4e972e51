"""The many ways to register a route, all made of three."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from ..handlers import AnyHandler

__all__ = ("Hosts", "Methods", "Path", "Registration")

_F = TypeVar("_F", bound=Callable[..., Any])

Methods = str | Iterable[str] | None
Hosts = str | Iterable[str] | None
Path = str | re.Pattern[str]


class Registration(ABC):
    """Something with routes."""

    @abstractmethod
    def add_route(
        self,
        methods: Methods,
        path: Path,
        handler: AnyHandler,
        *,
        hosts: Hosts = None,
        allow_head: bool = True,
    ) -> AnyHandler:
        """Let a handler answer requests for a path; return it.

        Args:
            methods: One method, or several; ``"*"`` or None for any.
            path: A pattern: text, ``{name}``, ``{name:converter}``, ``{name:regular expression}``; or a compiled
                regular expression that the whole path has to match.
            handler: ``async (request) -> response``, also a class of HTTPEndpoint, or a function to call in a thread.
            hosts: The names of the hosts it is for, without ports; None for all.
            allow_head: Whether GET stands for HEAD too.

        Raises:
            TypeError: The handler is not callable, or something is of a wrong type.
            ValueError: The pattern is wrong, or there is a route already that leaves nothing for this one.
        """

    @abstractmethod
    def add_websocket(
        self, path: Path, handler: Callable[..., object], *, hosts: Hosts = None
    ) -> Callable[..., object]:
        """Let a handler answer handshakes of WebSockets for a path; return it. It raises what ``add_route()`` raises.

        Args:
            path: A pattern, as for ``add_route()``.
            handler: ``async (request) -> response``, also a class of WebSocketEndpoint; or ``async (request, ws)``,
                of which ``websocket()`` makes a handler.
            hosts: The names of the hosts it is for, without ports; None for all.
        """

    @abstractmethod
    def mount(self, prefix: str, handler: AnyHandler) -> AnyHandler:
        """Let a handler have all requests whose path is ``prefix`` or below it; return it.

        Its requests have a path without the prefix, ``/`` if nothing is left, and the prefix as ``request.prefix``.
        It raises what ``add_route()`` raises.

        Args:
            prefix: A path without variables; slashes at its end do not matter.
            handler: The handler.
        """

    # By method.

    def add_get(
        self, path: Path, handler: AnyHandler, *, hosts: Hosts = None, allow_head: bool = True
    ) -> AnyHandler:
        """Do what ``add_route("GET", ...)`` does."""
        return self.add_route("GET", path, handler, hosts=hosts, allow_head=allow_head)

    def add_post(self, path: Path, handler: AnyHandler, *, hosts: Hosts = None) -> AnyHandler:
        """Do what ``add_route("POST", ...)`` does."""
        return self.add_route("POST", path, handler, hosts=hosts)

    def add_put(self, path: Path, handler: AnyHandler, *, hosts: Hosts = None) -> AnyHandler:
        """Do what ``add_route("PUT", ...)`` does."""
        return self.add_route("PUT", path, handler, hosts=hosts)

    def add_patch(self, path: Path, handler: AnyHandler, *, hosts: Hosts = None) -> AnyHandler:
        """Do what ``add_route("PATCH", ...)`` does."""
        return self.add_route("PATCH", path, handler, hosts=hosts)

    def add_delete(self, path: Path, handler: AnyHandler, *, hosts: Hosts = None) -> AnyHandler:
        """Do what ``add_route("DELETE", ...)`` does."""
        return self.add_route("DELETE", path, handler, hosts=hosts)

    def add_head(self, path: Path, handler: AnyHandler, *, hosts: Hosts = None) -> AnyHandler:
        """Do what ``add_route("HEAD", ...)`` does; it goes before what GET routes for the same pattern say to HEAD."""
        return self.add_route("HEAD", path, handler, hosts=hosts)

    def add_options(self, path: Path, handler: AnyHandler, *, hosts: Hosts = None) -> AnyHandler:
        """Do what ``add_route("OPTIONS", ...)`` does."""
        return self.add_route("OPTIONS", path, handler, hosts=hosts)

    # As decorators.

    def route(
        self, *paths: Path, methods: Methods = None, hosts: Hosts = None, allow_head: bool = True
    ) -> Callable[[_F], _F]:
        """Return a decorator that registers a handler for one path or several, for any method unless told which.

        The decorator returns the handler unchanged, and raises what ``add_route()`` raises.

        Args:
            paths: Patterns, as for ``add_route()``.
            methods: One method, or several; ``"*"`` or None for any.
            hosts: The names of the hosts it is for, without ports; None for all.
            allow_head: Whether GET stands for HEAD too.

        Raises:
            TypeError: There is no path.
        """
        _check_paths(paths)
        # Several paths, but what is given may be there to be read only once.
        listed = tuple(methods) if isinstance(methods, Iterator) else methods
        named = tuple(hosts) if isinstance(hosts, Iterator) else hosts

        def register(handler: _F) -> _F:
            for path in paths:
                self.add_route(listed, path, handler, hosts=named, allow_head=allow_head)
            return handler

        return register

    def get(self, *paths: Path, hosts: Hosts = None, allow_head: bool = True) -> Callable[[_F], _F]:
        """Return the decorator of ``route(..., methods="GET")``."""
        return self.route(*paths, methods="GET", hosts=hosts, allow_head=allow_head)

    def post(self, *paths: Path, hosts: Hosts = None) -> Callable[[_F], _F]:
        """Return the decorator of ``route(..., methods="POST")``."""
        return self.route(*paths, methods="POST", hosts=hosts)

    def put(self, *paths: Path, hosts: Hosts = None) -> Callable[[_F], _F]:
        """Return the decorator of ``route(..., methods="PUT")``."""
        return self.route(*paths, methods="PUT", hosts=hosts)

    def patch(self, *paths: Path, hosts: Hosts = None) -> Callable[[_F], _F]:
        """Return the decorator of ``route(..., methods="PATCH")``."""
        return self.route(*paths, methods="PATCH", hosts=hosts)

    def delete(self, *paths: Path, hosts: Hosts = None) -> Callable[[_F], _F]:
        """Return the decorator of ``route(..., methods="DELETE")``."""
        return self.route(*paths, methods="DELETE", hosts=hosts)

    def head(self, *paths: Path, hosts: Hosts = None) -> Callable[[_F], _F]:
        """Return the decorator of ``route(..., methods="HEAD")``."""
        return self.route(*paths, methods="HEAD", hosts=hosts)

    def options(self, *paths: Path, hosts: Hosts = None) -> Callable[[_F], _F]:
        """Return the decorator of ``route(..., methods="OPTIONS")``."""
        return self.route(*paths, methods="OPTIONS", hosts=hosts)

    def websocket(self, *paths: Path, hosts: Hosts = None) -> Callable[[_F], _F]:
        """Return a decorator that registers a WebSocket handler for one path or several, as add_websocket() does."""
        _check_paths(paths)
        named = tuple(hosts) if isinstance(hosts, Iterator) else hosts

        def register(handler: _F) -> _F:
            for path in paths:
                self.add_websocket(path, handler, hosts=named)
            return handler

        return register


def _check_paths(paths: tuple[Path, ...]) -> None:
    """A decorator without a path would register nothing, or take the handler for a path."""
    if not paths:
        raise TypeError("a path is needed")
    for path in paths:
        if not isinstance(path, str | re.Pattern):
            raise TypeError(f"a path must be a str or a compiled regular expression, not {path!r}")
