"""What is done before the first request and after the last one."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, Self

from ..handlers import describe
from ..options import check_flag
from .registry import Registry

__all__ = ("Callback", "Lifespan")

_LOGGER: Final = logging.getLogger("lowlevel.server")

Callback = Callable[[Any], object] | Callable[[], object]

_Manager = AbstractAsyncContextManager[Any, Any]


class Lifespan:
    """Callbacks around the life of a server, as an async context manager::

        lifespan = web.Lifespan()

        @lifespan.on_startup
        async def connect(lifespan): ...

        @lifespan.on_shutdown
        async def disconnect(lifespan): ...

        runner = web.ServerRunner(server, lifespan=lifespan)

    A callback is called with the application that the lifespan belongs to, or else the lifespan; with nothing if it
    can be called without. It may be a coroutine function; another is called on the event loop, and what it returns
    is awaited if it can be.

    ``async with lifespan:`` calls ``on_startup``, in order, and then enters what ``chain()`` was given. The first error
    is raised; what was entered is left again, and ``on_shutdown`` is not called. The end leaves what was chained, the
    last one first, and then calls ``on_shutdown``, in order. All of that is done whatever goes wrong; then one error
    is raised as it is, several as an ExceptionGroup. When it is cancelled, what is left to do is not done.

    Args:
        on_startup: One callback, or several.
        on_shutdown: One callback, or several.
        ignore_errors: Log errors instead of raising them, and go on.

    Attributes:
        on_startup: The callbacks of the beginning: a list that can be changed, and a decorator.
        on_shutdown: The callbacks of the end, likewise.

    Raises:
        TypeError: A callback that is none, or that needs more than one argument; an ``ignore_errors`` that is no bool.
        RuntimeError: Entered while it is entered.
    """

    def __init__(
        self,
        on_startup: Callback | Iterable[Callback] = (),
        on_shutdown: Callback | Iterable[Callback] = (),
        *,
        ignore_errors: bool = False,
    ) -> None:
        self.on_startup: Registry[Callback] = _Callbacks("an on_startup callback", on_startup)
        self.on_shutdown: Registry[Callback] = _Callbacks("an on_shutdown callback", on_shutdown)
        self._ignore_errors = check_flag("ignore_errors", ignore_errors)
        self._chained: list[_Manager] = []
        self._entered: list[_Manager] | None = None
        self._started = False
        self._app: Any = None

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {'entered' if self._entered is not None else 'not entered'}>"
        )

    @property
    def started(self) -> bool:
        """Whether the start-up is over, and the end has not come."""
        return self._started

    @property
    def app(self) -> Any:
        """The application it belongs to, None without one.

        Raises:
            ValueError: Set to another than before.
        """
        return self._app

    @app.setter
    def app(self, app: Any) -> None:
        if self._app is not None and self._app is not app:
            raise ValueError(f"this lifespan belongs to an application already: {self._app!r}")
        self._app = app

    def chain(self, manager: AbstractAsyncContextManager[Any, Any]) -> None:
        """Enter another async context manager behind the ``on_startup`` callbacks and what was chained before.

        One that is chained already - of an application that is mounted twice - is entered once.

        Raises:
            TypeError: It is none.
            RuntimeError: It comes too late: the start-up is over.
        """
        if not isinstance(manager, AbstractAsyncContextManager):
            raise TypeError(f"chain() needs an async context manager, not {manager!r}")
        if self._started:
            raise RuntimeError("chain() comes too late: the start-up is over")
        if not any(manager is other for other in self._chained):
            self._chained.append(manager)

    async def __aenter__(self) -> Self:
        if self._entered is not None:
            raise RuntimeError("the lifespan is entered already")
        self._entered = []
        try:
            for callback in self.on_startup:
                self._note(await _failure(self._call(callback)))
            for manager in self._chained:
                if isinstance(manager, Lifespan) and manager._entered is not None:
                    continue  # of an application that is mounted in two others
                failure = await _failure(manager.__aenter__())
                if failure is None:
                    self._entered.append(manager)
                self._note(failure)
        except BaseException as exc:
            try:
                _log_errors(await self._leave(self._entered, exc))
            finally:
                self._entered = None
            raise
        self._started = True
        return self

    def _note(self, failure: BaseException | None) -> None:
        """Raise it, or log it."""
        if failure is not None:
            if not self._ignore_errors:
                raise failure
            _log_errors([failure])

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._entered is None:
            raise RuntimeError("the lifespan is not entered")
        try:
            errors = await self._leave(self._entered, exc)
            for callback in self.on_shutdown:
                failure = await _failure(self._call(callback))
                if failure is not None:
                    errors.append(failure)
        finally:
            self._entered = None
            self._started = False
        if self._ignore_errors:
            _log_errors(errors)
        elif len(errors) == 1:
            raise errors[0]
        elif errors:
            raise BaseExceptionGroup("the end of the lifespan", errors)

    async def _leave(
        self, entered: list[_Manager], exc: BaseException | None
    ) -> list[BaseException]:
        """Leave what was chained, the last one first; return what they raised of their own."""
        errors = []
        kind, traceback = (None, None) if exc is None else (type(exc), exc.__traceback__)
        while entered:
            failure = await _failure(entered.pop().__aexit__(kind, exc, traceback))
            if failure is not None and failure is not exc:
                errors.append(failure)
        return errors

    async def _call(self, callback: Callback) -> None:
        arguments = () if not _needed(callback) else (self if self._app is None else self._app,)
        result = callback(*arguments)
        if inspect.isawaitable(result):
            await result


class _Callbacks(Registry[Callback]):
    """Callbacks that can be called with one argument or none."""

    def _check(self, item: object) -> None:
        super()._check(item)
        if callable(item) and _needed(item) > 1:
            raise TypeError(f"{self.kind} must take one argument or none: {describe(item)}")


def _needed(callback: Callable[..., object]) -> int:
    """Return how many arguments a callback needs; 1 if it takes any number, or does not tell."""
    try:
        parameters = inspect.signature(callback).parameters.values()
    except ValueError:
        return 1
    count = 0
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            return max(count, 1)
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            count += 1
    return count


async def _failure(awaitable: Awaitable[object]) -> BaseException | None:
    """Await it; return what it raised. That another wants us to end is raised on."""
    task = asyncio.current_task()
    cancelling = 0 if task is None else task.cancelling()
    try:
        await awaitable
    except Exception as exc:
        return exc
    except asyncio.CancelledError as exc:
        # Awaiting a task that was cancelled does that too, which is a mistake like others.
        if task is None or task.cancelling() > cancelling:
            raise
        return exc
    return None


def _log_errors(errors: list[BaseException]) -> None:
    for error in errors:
        _LOGGER.error("Error in the lifespan", exc_info=error)
