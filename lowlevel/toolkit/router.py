"""Routes: a handler that hands requests to others, by path, method and host.

Paths without variables come first, then the other routes and the mounts, in the order in which they were registered. A
route whose path fits but whose method does not is remembered and the search goes on: another may still fit. What is
left over is 404, or 405 with the methods that would do; or it is for the fallback.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ..exceptions import HTTPException, HTTPNotFound
from ..handlers import AnyHandler, describe
from ..options import check_flag
from ..protocol.head import RequestHead
from ..protocol.headers import is_token
from ..request import BaseRequest
from ..response import Response, StreamResponse
from ..upgrade_required import upgrade_required
from .invoke import check_callable, takes
from .method_not_allowed import method_not_allowed
from .patterns import Pattern, normalise, parse_mount, parse_pattern
from .registration import Hosts, Methods, Path, Registration
from .routes import Entry, Route, Table, is_plain

__all__ = ("Match", "Route", "Router")

# Numbers, since looking for bytes in bytes takes ten times as long.
_PERCENT, _QUERY, _FRAGMENT = b"%?#"

_HOST: Final = re.compile(r"[a-z0-9._:-]+")

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Match(NamedTuple):
    """Where a request goes."""

    handler: Callable[..., object]
    """The handler as it was registered."""

    match_info: Mapping[str, Any]
    """The values of the variables of its path."""


_Found = tuple[Entry, Mapping[str, Any]]


class Router(Registration):
    """A handler made of handlers::

        router = web.Router()

        @router.get("/users/{id:int}")
        async def user(request):
            return web.json_response({"id": request.match_info["id"]})

        server = web.Server(router)

    The table may grow while it is in use. Handlers that are no coroutine functions are called in a thread. What a
    handler returns is passed on as it is.

    Args:
        fallback: The handler for requests that no route is for, be it for their path or their method. By default they
            are answered with 404 or 405.
        trim_last_slash: Take no account of slashes at the end of paths.

    Raises:
        TypeError: The fallback is not callable.
    """

    def __init__(
        self, *, fallback: AnyHandler | None = None, trim_last_slash: bool = False
    ) -> None:
        self._table = Table(plain=not trim_last_slash)
        self._by_key: dict[tuple[object, ...], list[Entry]] = {}
        # What most requests are for: a path that is all text, by the bytes of the target and the method ("*": any).
        self._plain: dict[bytes, dict[str, Entry]] = {}
        self._trim = check_flag("trim_last_slash", trim_last_slash)
        self._fallback: Entry | None = None
        self.fallback = fallback

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._table.entries)} routes>"

    @property
    def fallback(self) -> Callable[..., object] | None:
        """The handler for requests that no route is for, None without one. It can be set."""
        return None if self._fallback is None else self._fallback.route.handler

    @fallback.setter
    def fallback(self, handler: AnyHandler | None) -> None:
        entry = None
        if handler is not None:
            check_callable("fallback", handler)
            if not takes(handler, 1):
                raise TypeError(f"fallback must take a request: {describe(handler)}")
            entry = Entry(Route("", handler, ("*",)), parse_mount("/"), 0)
        self._fallback = entry

    # Registration.

    def add_route(
        self,
        methods: Methods,
        path: Path,
        handler: AnyHandler,
        *,
        hosts: Hosts = None,
        allow_head: bool = True,
    ) -> AnyHandler:
        with _naming(path):
            listed = _check_methods(methods)
            route = Route(path, handler, listed, _check_hosts(hosts))
            pattern = parse_pattern(path, trim=self._trim)
            heads = check_flag("allow_head", allow_head) and "GET" in listed
            self._add(route, pattern, heads)
        return handler

    def add_websocket(
        self, path: Path, handler: Callable[..., object], *, hosts: Hosts = None
    ) -> Callable[..., object]:
        with _naming(path):
            route = Route(path, handler, ("GET",), _check_hosts(hosts), websocket=True)
            self._add(route, parse_pattern(path, trim=self._trim))
        return handler

    def mount(self, prefix: str, handler: AnyHandler) -> AnyHandler:
        with _naming(prefix):
            self._add(Route(prefix, handler, ("*",), mount=True), parse_mount(prefix))
        return handler

    def _add(self, route: Route, pattern: Pattern, heads: bool = False) -> None:
        check_callable("the handler", route.handler)
        if not takes(route.handler, 1) and not (route.websocket and takes(route.handler, 2)):
            raise TypeError(f"the handler must take a request: {describe(route.handler)}")
        entry = Entry(route, pattern, len(self._table.entries), heads)
        rivals = self._by_key.setdefault(entry.key, [])
        for rival in rivals:
            if rival.hides(entry):
                raise ValueError(f"{describe(rival.route.handler)} answers these requests already")
        for rival in rivals:
            rival.yield_head(entry)
            entry.yield_head(rival)
        rivals.append(entry)
        self._table.add(entry)
        if pattern.literal is not None:
            self._add_plain(pattern.literal)

    def _add_plain(self, path: str) -> None:
        """See that a path is found at once, if nothing but the method matters there."""
        if not is_plain(path):
            self._table.plain = False
            return
        entries = self._table.static(path)
        methods: dict[str, Entry] = {}
        if not any(entry.hosts is not None or entry.route.websocket for entry in entries):
            for entry in entries:
                methods.update((method, entry) for method in entry.answers)
        self._plain[path.encode()] = methods

    def routes(self) -> tuple[Route, ...]:
        """Return the routes in the order of registration."""
        return tuple(entry.route for entry in self._table.entries)

    # Requests.

    async def __call__(self, request: BaseRequest) -> StreamResponse:
        """Hand a request to the handler it is for, and return what that returns. Cancelling it cancels the handler.

        Raises:
            HTTPNotFound: There is none for its path.
            HTTPMethodNotAllowed: There is none for its method; ``Allow`` says which would do (RFC 9110 §15.5.6).
            HTTPUpgradeRequired: The path is one of WebSockets.
        """
        routed = request._routed
        found = self.look_up(request) if routed is None or routed[0] is not self else routed[1]
        if type(found) is not Entry:
            raise found
        response: StreamResponse = await found.call(request)
        if type(response) is not Response and not isinstance(response, StreamResponse):
            # Somebody further out can use it, or will want to know whose it is.
            request._answered_by = request._answered_by or found.route.handler
        return response

    def resolve(
        self, method: str, path: str, host: str | None = None, websocket: bool = False
    ) -> Match:
        """Return the handler that a request would go to, and the values of the variables in its path.

        Args:
            method: The method, in any case.
            path: The path, percent-encoded as in a request; a query behind it does not matter.
            host: The host, with or without its port.
            websocket: Whether it is the handshake of a WebSocket.

        Raises:
            HTTPNotFound, HTTPMethodNotAllowed, HTTPUpgradeRequired: As for a request.
        """
        found = self._find(
            method.upper(),
            self._normal(path.partition("?")[0]),
            lambda: _host_name(host or ""),
            websocket,
        )
        if isinstance(found, HTTPException):
            raise found
        entry, values = found
        return Match(entry.route.handler, values)

    def look_up(self, request: BaseRequest) -> Entry | HTTPException:
        """Find what a request is for, set its ``match_info``, and return the entry, or the answer if there is none."""
        message = request._message
        target = message.target
        if _QUERY in target:
            target = target[: target.index(_QUERY)]
        # A handshake is for the routes of WebSockets first, wherever they are.
        plain = message.offer is None
        methods = self._plain.get(target) if plain else None
        if methods is not None:
            entry = methods.get(message.method) or methods.get("*")
            if entry is not None:
                if request.match_info:
                    request.match_info = _NOTHING
                return entry
        elif plain and _PERCENT not in target and self._table.plain:
            entry = self._look_further(request, message.method, target)
            if entry is not None:
                return entry
        found = self._find(
            message.method,
            self._normal(_path_of(message)),
            lambda: _host_name(request.host),
            message.offers_websocket,
        )
        if isinstance(found, HTTPException):
            request.match_info = _NOTHING
            return found
        entry, request.match_info = found
        return entry

    def _look_further(self, request: BaseRequest, method: str, target: bytes) -> Entry | None:
        """Find an entry with variables if that is simple: if nothing but its path and its method matters."""
        if _FRAGMENT in target:
            return None
        parent, slash, last = target.rpartition(b"/")
        entries = self._table.parents.get(parent) if slash else None
        known = entries is not None
        if entries is None:
            if not target.startswith(b"/"):
                return None
            entries = self._table.dynamic(target.decode())
        for entry in entries:
            if not entry.simple:
                break
            answers = entry.answers
            if method in answers or "*" in answers:
                pattern = entry.pattern
                if known and pattern.parent is not None:
                    # Text, and a variable behind it: no regular expression is needed for what most patterns are.
                    values = {pattern.name: last.decode()} if last else None
                else:
                    values = pattern.match(target.decode())
                if values is not None:
                    request.match_info = values
                    return entry
        return None

    def _normal(self, path: str) -> str:
        if self._trim:
            path = path.rstrip("/")
        return normalise(path)

    def _find(
        self, method: str, path: str, host: Callable[[], str], websocket: bool
    ) -> _Found | HTTPException:
        """Find the entry for a path in normal form; what it is not found for tells how to answer."""
        handshake = websocket and method == "GET"
        second: _Found | None = None
        allowed: set[str] = set()
        upgrades = False
        for entry in self._candidates(path):
            if entry.hosts is not None and host() not in entry.hosts:
                continue
            values = _NOTHING if entry.certain else entry.pattern.match(path)
            if values is None:
                continue
            if entry.route.websocket and not handshake:
                upgrades = True
                allowed.add("GET")
            elif not entry.takes(method):
                allowed |= entry.answers
            elif entry.route.mount:
                return second or (entry, values)
            elif handshake and not entry.route.websocket:
                second = second or (entry, values)
            else:
                return entry, values
        if second is not None:
            return second
        if upgrades and method in ("GET", "HEAD"):
            return upgrade_required()
        if self._fallback is not None:
            return self._fallback, _NOTHING
        return method_not_allowed(method, allowed) if allowed else HTTPNotFound()

    def _candidates(self, path: str) -> Iterator[Entry]:
        yield from self._table.static(path)
        yield from self._table.dynamic(path)


@contextmanager
def _naming(path: object) -> Iterator[None]:
    """Let errors name the route they are about."""
    try:
        yield
    except (TypeError, ValueError) as exc:
        shown = path.pattern if isinstance(path, re.Pattern) else path
        kind = TypeError if isinstance(exc, TypeError) else ValueError
        raise kind(f"route {shown!r}: {exc}") from exc


def _check_methods(methods: Methods) -> tuple[str, ...]:
    if methods is None or methods == "*":
        return ("*",)
    names = _listed("methods", methods)
    for name in names:
        if not is_token(name):
            raise ValueError(f"methods: {name!r} is none")
    upper = {name.upper() for name in names}
    return ("*",) if "*" in upper else tuple(sorted(upper))


def _check_hosts(hosts: Hosts) -> tuple[str, ...] | None:
    if hosts is None:
        return None
    names: set[str] = set()
    for host in _listed("hosts", hosts):
        try:
            # As clients send it.
            name = _host_name(host if host.isascii() else host.encode("idna").decode())
        except UnicodeError:
            name = ""
        if "/" in host or not _HOST.fullmatch(name):
            raise ValueError(f"hosts: {host!r} is no name of a host")
        names.add(name)
    return tuple(sorted(names))


def _listed(name: str, values: str | Iterable[str]) -> list[str]:
    if not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a str or several, not {values!r}")
    listed = [values] if isinstance(values, str) else list(values)
    for value in listed:
        if not isinstance(value, str):
            raise TypeError(f"{name} must be str, not {value!r}")
    if not listed:
        raise ValueError(f"{name}: none are given")
    return listed


def _host_name(host: str) -> str:
    """Return a host in lower case, without its port."""
    name = host.lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    if name.count(":") == 1:
        name = name.partition(":")[0]
    return name.rstrip(".")


def _path_of(message: RequestHead) -> str:
    """Return the path of a target, as it came."""
    target = message.target
    if target[:1] == b"/" and b"#" not in target:
        return target.partition(b"?")[0].decode()
    return message.url.raw_path
