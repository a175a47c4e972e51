"""Runners: a server's life from setup to cleanup. They own the sites, which own the sockets."""

from __future__ import annotations

import asyncio
import math
import signal
import sys
import threading
from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from .server import Server, ServerOptions

if TYPE_CHECKING:
    from .sites import BaseSite

__all__ = ("BaseRunner", "GracefulExit", "ServerRunner")

# Seconds that a lifespan may take for its end, however late it is.
_LIFESPAN_SECONDS = 10.0

# Turns of the loop that a connection just accepted needs to read the request it has: asyncio takes four.
_LAST_TURNS = 5

_EXIT_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class GracefulExit(SystemExit):
    """Raised in the event loop by SIGINT and SIGTERM: stop serving, then clean up.

    ``run_app`` catches it. Under ``asyncio.run`` it ends the process with status 1, and ``asyncio.run``
    cancels every task first, running handlers too: to end gracefully, wait for an event that a
    signal handler of yours sets.
    """

    code = 1


def _raise_graceful_exit() -> None:
    raise GracefulExit


class BaseRunner(ABC):
    """The life of one server: ``setup()``, then sites, then ``cleanup()``.

    A subclass says how the server is made and may override the hook ``shutdown()``. As a context
    manager (``async with runner:``) it calls ``setup()`` on entry and ``cleanup()`` on exit.

    Args:
        handle_signals: From ``setup()`` to ``cleanup()``, SIGINT and SIGTERM raise GracefulExit in the
            loop. Needs the main thread. Where the loop has no signal handlers (Windows) it does
            nothing: Ctrl-C is a KeyboardInterrupt there. False touches no signal. Not graceful under
            ``asyncio.run``, see GracefulExit.
        shutdown_timeout: Seconds that the whole of ``cleanup()`` may take before what still runs is
            cancelled.
        options: Those of Server, which aiohttp's callers give to both; no effect.

    Raises:
        TypeError: An option that is none, or of a wrong type; the message names it.
        ValueError: A ``shutdown_timeout`` that is negative or not finite.
    """

    def __init__(
        self,
        *,
        handle_signals: bool = False,
        shutdown_timeout: float = 60.0,
        **options: Unpack[ServerOptions],
    ) -> None:
        for name in options.keys() - ServerOptions.__annotations__.keys():
            raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {name!r}")
        self._handle_signals = handle_signals
        self._shutdown_timeout = _checked_timeout(shutdown_timeout)
        self._server: Server | None = None
        self._sites: list[BaseSite] = []
        self._closing = False
        self._deadline = 0.0
        self._cleanup_lock = asyncio.Lock()

    @property
    def server(self) -> Server | None:
        """The server; None before ``setup()`` and after ``cleanup()``."""
        return self._server

    @property
    def sites(self) -> set[BaseSite]:
        """The sites that are started now."""
        return set(self._sites)

    @property
    def addresses(self) -> list[Any]:
        """``getsockname()`` of each listening socket, in the order in which the sites started."""
        listeners = [site._server for site in self._sites if site._server is not None]
        return [sock.getsockname() for listener in listeners for sock in listener.sockets]

    async def setup(self) -> None:
        """Make the server; a second call does nothing. Cancelled, it undoes what it has begun.

        Raises:
            RuntimeError: ``handle_signals`` outside the main thread.
            Exception: What making the server raises, such as the start of a lifespan.
        """
        if self._server is not None:
            return
        if self._handle_signals:
            self._add_signal_handlers()
        try:
            self._server = await self._make_server()
        except BaseException:
            self._remove_signal_handlers()
            raise
        self._closing = False

    async def shutdown(self) -> None:  # noqa: B027 - a hook, empty on purpose
        """Do what a subclass has to do when nobody new can come in. A hook, called by ``cleanup()``.

        Handlers still run and may finish: here streams of your own are told to end; WebSockets and
        event streams are told by the server. It shares the one deadline of ``cleanup()``; when that
        has passed, this call is cancelled.
        """

    async def cleanup(self) -> None:
        """Stop serving, gracefully.

        Handlers have ``shutdown_timeout`` seconds in all; clean-up of what was cancelled and the end of
        lifespans may take up to 17 more (10 for each further lifespan).

        In this order: the sites stop listening; idle connections close; the hook ``shutdown()`` runs;
        handlers get what is left of the time to finish and are then cancelled. It returns as
        soon as nothing runs any more.

        Safe to call without ``setup()``, and again. When cancelled it stops waiting at once; call it
        again to go on.

        Raises:
            Exception: What the hook or the end of a lifespan raises, when the server is down all the same.
        """
        async with self._cleanup_lock:
            if self._server is None:
                return
            deadline = asyncio.get_running_loop().time() + self._shutdown_timeout
            self._deadline = deadline
            self._closing = True
            for site in list(self._sites):
                await site.stop()
            for _ in range(_LAST_TURNS):
                await asyncio.sleep(0)
            self._server.pre_shutdown()
            try:
                await self._run_shutdown_hook(self._server, deadline)
            except Exception as error:
                try:
                    await self._end_server(self._server, deadline)
                except Exception as other:
                    raise ExceptionGroup("cleanup", [error, other]) from None
                raise
            await self._end_server(self._server, deadline)

    @abstractmethod
    async def _make_server(self) -> Server:
        """Return the server that the sites will serve."""

    async def _cleanup_server(self) -> None:  # noqa: B027 - a hook, empty on purpose
        """Undo `_make_server`, when the last connection is gone."""

    async def _run_shutdown_hook(self, server: Server, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline) as limit:
                await self.shutdown()
        except TimeoutError:
            if not limit.expired():
                raise
            server.logger.warning(
                "Shutdown: %s.shutdown() did not end within %g s",
                type(self).__name__,
                self._shutdown_timeout,
            )

    async def _end_server(self, server: Server, deadline: float) -> None:
        await server.shutdown(max(0.0, deadline - asyncio.get_running_loop().time()))
        try:
            await self._cleanup_server()
        except Exception:
            self._forget_server()
            raise
        self._forget_server()

    def _forget_server(self) -> None:
        self._server = None
        self._remove_signal_handlers()

    # --- signals ---

    def _add_signal_handlers(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("handle_signals=True works in the main thread only")
        loop = asyncio.get_running_loop()
        try:
            for number in _EXIT_SIGNALS:
                loop.add_signal_handler(number, _raise_graceful_exit)
        except NotImplementedError:  # pragma: no cover - the loops of Windows
            pass

    def _remove_signal_handlers(self) -> None:
        if not self._handle_signals:
            return
        loop = asyncio.get_running_loop()
        try:
            for number in _EXIT_SIGNALS:
                loop.remove_signal_handler(number)
        except NotImplementedError:  # pragma: no cover - the loops of Windows
            pass

    # --- for the sites: aiohttp's names, since its test server brings a site of its own ---

    def _reg_site(self, site: BaseSite) -> None:
        """Take over a site. RuntimeError when it is here already, or cleanup began meanwhile."""
        if self._server is None or self._closing:
            raise RuntimeError(f"{site.name} cannot start: its runner is being cleaned up")
        if site in self._sites:
            raise RuntimeError(f"{site.name} is started already")
        self._sites.append(site)

    def _check_site(self, site: BaseSite) -> None:
        if site not in self._sites:
            raise RuntimeError(f"{site.name} is not started")

    def _unreg_site(self, site: BaseSite) -> None:
        self._check_site(site)
        self._sites.remove(site)

    def _set_shutdown_timeout(self, seconds: float) -> None:
        self._shutdown_timeout = _checked_timeout(seconds)

    async def __aenter__(self) -> Self:
        await self.setup()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.cleanup()


class ServerRunner(BaseRunner):
    """Runs one Server, inside of what is to be there as long as it is.

    Args:
        web_server: The server.
        lifespan: An async context manager, such as a Lifespan. ``setup()`` enters it, and raises what
            it raises: nothing can listen then. ``cleanup()`` leaves it when the last connection and
            the background work are gone; it has what is left of ``shutdown_timeout``, but at least
            10 seconds, until it is cancelled. Its error is raised when all is down. The attribute
            ``lifespan`` of the server's handler, as an Application has it, is entered and left
            likewise, within this one.
        handle_signals: As for BaseRunner.
        shutdown_timeout: Seconds, as for BaseRunner.
        options: As for BaseRunner; no effect.

    Raises:
        TypeError: ``web_server`` is not a Server, ``lifespan`` no async context manager. Others as for
            BaseRunner.
        ValueError: As for BaseRunner.
    """

    def __init__(
        self,
        web_server: Server,
        *,
        lifespan: AbstractAsyncContextManager[Any, Any] | None = None,
        handle_signals: bool = False,
        shutdown_timeout: float = 60.0,
        **options: Unpack[ServerOptions],
    ) -> None:
        if not isinstance(web_server, Server):
            raise TypeError(f"web_server must be a Server, not {web_server!r}")
        if lifespan is not None and not isinstance(lifespan, AbstractAsyncContextManager):
            raise TypeError(f"lifespan must be an async context manager, not {lifespan!r}")
        super().__init__(
            handle_signals=handle_signals, shutdown_timeout=shutdown_timeout, **options
        )
        self._web_server = web_server
        self._lifespan = lifespan
        self._entered: list[AbstractAsyncContextManager[Any, Any]] = []

    async def _make_server(self) -> Server:
        stack = AsyncExitStack()
        lifespans = self._lifespans()
        try:
            for lifespan in lifespans:
                await stack.enter_async_context(lifespan)
        except BaseException:
            await stack.__aexit__(*sys.exc_info())
            raise
        self._entered = lifespans
        return self._web_server

    def _lifespans(self) -> list[AbstractAsyncContextManager[Any, Any]]:
        """What to enter, the outer one first."""
        given, own = self._lifespan, getattr(self._web_server.request_handler, "lifespan", None)
        lifespans = [] if given is None or given is own else [given]
        if isinstance(own, AbstractAsyncContextManager):
            lifespans.append(own)
        return lifespans

    async def _cleanup_server(self) -> None:
        """Leave the lifespans like nested ``async with``, but each with time of its own."""
        error: BaseException | None = None
        while self._entered:
            lifespan = self._entered.pop()
            try:
                if await self._leave(lifespan, error):
                    error = None
            except Exception as exc:
                if exc is not error and exc.__context__ is None:
                    exc.__context__ = error
                error = exc
        if error is not None:
            raise error

    async def _leave(
        self, lifespan: AbstractAsyncContextManager[Any, Any], error: BaseException | None
    ) -> bool:
        """Leave one of them, with the error of those within; return whether it dealt with that."""
        now = asyncio.get_running_loop().time()
        details = (None, None, None) if error is None else (type(error), error, error.__traceback__)
        try:
            async with asyncio.timeout_at(max(self._deadline, now + _LIFESPAN_SECONDS)) as limit:
                return bool(await lifespan.__aexit__(*details))
        except TimeoutError:
            if not limit.expired():
                raise
            self._web_server.logger.warning("Shutdown: the lifespan did not end in time")
            return False


def _checked_timeout(seconds: float) -> float:
    # A bound that is no number would show only at shutdown, the worst moment to fail.
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise TypeError(f"shutdown_timeout must be a number of seconds, not {seconds!r}")
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"shutdown_timeout must be finite and not negative, not {seconds!r}")
    return seconds
