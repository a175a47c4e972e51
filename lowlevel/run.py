"""`run_app`: a whole process that serves one handler until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, Unpack, cast

from .runner import GracefulExit, ServerRunner
from .server import Server, ServerOptions
from .sites import BaseSite, SockSite, TCPSite, UnixSite

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from ssl import SSLContext

    from .handlers import Handler

__all__ = ("ServerOptions", "run_app")

_Path = str | os.PathLike[str]
_T = TypeVar("_T")

_ACCESS_LOG = logging.getLogger("lowlevel.access")


def _print_now(text: str) -> None:
    # Whoever waits for the line reads it from a pipe, where print() alone would keep it back.
    print(text, flush=True)


def run_app(
    handler: Handler | Server,
    *,
    host: str | Iterable[str] | None = None,
    port: int | None = None,
    path: _Path | Iterable[_Path] | None = None,
    path_mode: int | None = None,
    sock: socket.socket | Iterable[socket.socket] | None = None,
    ssl_context: SSLContext | None = None,
    backlog: int = 128,
    reuse_address: bool | None = None,
    reuse_port: bool | None = None,
    shutdown_timeout: float = 60.0,
    lifespan: AbstractAsyncContextManager[Any, Any] | None = None,
    handle_signals: bool = True,
    print: Callable[[str], object] | None = _print_now,
    loop: asyncio.AbstractEventLoop | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    **options: Unpack[ServerOptions],
) -> None:
    """Serve a handler until SIGINT or SIGTERM; blocks, and returns when all is cleaned up.

    A second signal does not wait any longer: everything is cancelled and GracefulExit raised,
    which ends the process with status 1. In debug mode (of the loop, or the option ``debug``) the
    access log goes to stderr if nobody has configured it; nothing else of logging is touched.

    Args:
        handler: ``async (request) -> response``, or a Server (then without ``options``).
        host: An address or a name to listen at, or several, all at the same port number. Without
            ``host``, ``path`` and ``sock``: every interface.
        port: As for TCPSite: 8080 by default, 8443 with ``ssl_context``; 0 is a free one.
        path: A path of a Unix socket, or several, as for UnixSite.
        path_mode: Permissions of these, as for UnixSite.
        sock: A bound socket, or several, as for SockSite.
        ssl_context: Serve TLS with it, as for BaseSite.
        backlog: Connections that wait to be accepted, as for BaseSite.
        reuse_address: As for TCPSite.
        reuse_port: As for TCPSite.
        shutdown_timeout: Seconds that ending may take in all before what still runs is cancelled.
        lifespan: An async context manager around it all, as for ServerRunner. That of the handler, as
            an Application has it, need not be given.
        handle_signals: False outside the main thread; then KeyboardInterrupt and GracefulExit raised
            in the loop are what ends it.
        print: Is given the text with the addresses, once they accept connections. Default: to stdout,
            flushed. None: nothing is said.
        loop: A loop that is not running, instead; it is closed at the end.
        loop_factory: Makes the event loop, such as ``uvloop.new_event_loop``. Default: asyncio's.
        options: Those of Server: ``access_log``, ``keepalive_timeout``, ``client_max_size``, ``debug``
            and so on.

    Raises:
        OSError: An address cannot be listened at.
        RuntimeError: Called while an event loop runs, or with ``handle_signals`` outside the main thread.
        TypeError, ValueError: An option of a wrong type or value; the message names it.
        Exception: What a lifespan raises.
    """
    _refuse_running_loop()
    if isinstance(handler, Server) and options:
        raise ValueError(f"{', '.join(options)}: give that to the Server, which is already made")
    if loop is not None and loop_factory is not None:
        raise ValueError("loop and loop_factory: give one of them")
    places = _Places(
        hosts=_listed("host", host, str),
        port=port,
        paths=_listed("path", path, (str, os.PathLike)),
        path_mode=path_mode,
        socks=_listed("sock", sock, socket.socket),
        ssl_context=ssl_context,
        backlog=backlog,
        reuse_address=reuse_address,
        reuse_port=reuse_port,
    )

    async def serve() -> None:
        server = handler if isinstance(handler, Server) else Server(handler, **options)
        async with ServerRunner(
            server,
            lifespan=lifespan,
            handle_signals=handle_signals,
            shutdown_timeout=shutdown_timeout,
        ) as server_runner:
            sites = places.sites(server_runner)
            for site in sites:
                await site.start()
            if print is not None:
                names = ", ".join(site.name for site in sites)
                print(f"======= Serving on {names} ======\n(Press CTRL+C to quit)")
            await asyncio.get_running_loop().create_future()  # until cancelled

    with asyncio.Runner(loop_factory=loop_factory if loop is None else lambda: loop) as runner:
        if runner.get_loop().get_debug() or options.get("debug"):
            _show_access_log(options.get("access_log", _ACCESS_LOG))
        _run_until_exit(runner.get_loop(), serve())


def _run_until_exit(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, None]) -> None:
    """Run `coro`; when that is broken off, cancel it and run it to its end.

    Not ``asyncio.Runner.run``: it would cancel all tasks at once, running handlers among them.
    """
    main = loop.create_task(coro)
    try:
        loop.run_until_complete(main)
    except (GracefulExit, KeyboardInterrupt):
        pass
    finally:
        if not main.done():
            main.cancel()
            with suppress(asyncio.CancelledError):
                loop.run_until_complete(main)


class _Places(NamedTuple):
    """Where to listen, in the terms of `run_app`."""

    hosts: list[str]
    port: int | None
    paths: list[_Path]
    path_mode: int | None
    socks: list[socket.socket]
    ssl_context: SSLContext | None
    backlog: int
    reuse_address: bool | None
    reuse_port: bool | None

    def sites(self, runner: ServerRunner) -> list[BaseSite]:
        common: dict[str, Any] = {"ssl_context": self.ssl_context, "backlog": self.backlog}
        sites: list[BaseSite] = [
            TCPSite(
                runner,
                host,
                self.port,
                reuse_address=self.reuse_address,
                reuse_port=self.reuse_port,
                **common,
            )
            for host in self._tcp_hosts()
        ]
        sites += [UnixSite(runner, path, mode=self.path_mode, **common) for path in self.paths]
        sites += [SockSite(runner, sock, **common) for sock in self.socks]
        return sites

    def _tcp_hosts(self) -> list[str] | list[None]:
        if self.hosts:
            return self.hosts
        # A port alone means TCP, also beside other sockets; nothing at all does too.
        return [None] if self.port is not None or not (self.paths or self.socks) else []


def _listed(
    name: str, value: _T | Iterable[_T] | None, one: type[_T] | tuple[type[_T], ...]
) -> list[_T]:
    if value is None:
        return []
    if isinstance(value, one):
        return [value]
    values = list(cast("Iterable[_T]", value)) if isinstance(value, Iterable) else [value]
    if not all(isinstance(item, one) for item in values):
        raise TypeError(f"{name} cannot be {value!r}")
    if not values:
        # Taken as "not given" it would mean every interface, the last thing an empty list says.
        raise ValueError(f"{name} is empty: name one, or leave it out")
    return values


def _refuse_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("run_app() cannot run inside an event loop: use ServerRunner there")


def _show_access_log(access_log: logging.Logger | None) -> None:
    # A logger that the program has chosen is the program's to configure.
    if access_log is None or access_log.name != _ACCESS_LOG.name:
        return
    if access_log.level == logging.NOTSET:
        access_log.setLevel(logging.INFO)
    if not access_log.hasHandlers():
        access_log.addHandler(logging.StreamHandler())
