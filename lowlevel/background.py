"""What a request leaves to be done when its response is out: ``request.background()``.

The work of one request is done piece by piece, each in a task and a context of its own. The server keeps it, and waits
for it when it ends; the connection has gone on by then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from .handlers import describe_request

if TYPE_CHECKING:
    from .request import BaseRequest

__all__ = ("Background", "close_unawaited")


class Background:
    """The work of one request.

    Attributes:
        request_task: The task that ran the handler.
        title: Method and path of the request, for the log.
    """

    __slots__ = ("_at_end", "_logger", "_task", "_work", "request_task", "title")

    def __init__(self, request: BaseRequest) -> None:
        self.request_task = request.task
        self.title = describe_request(request)
        self._task: asyncio.Task[Any] | None = None
        self._work: deque[tuple[Awaitable[Any], Context]] = deque()

    def add(self, awaitable: Awaitable[Any]) -> None:
        """Put a piece behind the others. May be called in a thread, where handlers that are no coroutines run."""
        # Not the context at the end: by then, what a middleware had set for the handler is taken back.
        self._work.append((awaitable, copy_context()))

    def start(self, logger: logging.Logger, at_end: Callable[[], object]) -> None:
        """Begin; each error gets a line in the log, and ``at_end()`` is called when all is done."""
        self._logger = logger
        self._at_end = at_end
        self._begin_next()

    def discard(self) -> None:
        """Let nothing more begin."""
        while self._work:
            close_unawaited(self._work.popleft()[0])

    def cancel(self) -> asyncio.Task[Any] | None:
        """Let nothing more begin, and what runs end soon; return its task."""
        self.discard()
        if self._task is not None:
            self._task.cancel()
        return self._task

    def _begin_next(self) -> None:
        if not self._work:
            self._at_end()
            del self._at_end  # which leads here: no cycle
            return
        awaitable, context = self._work.popleft()
        work = awaitable if isinstance(awaitable, Coroutine) else _wait_for(awaitable)
        loop = asyncio.get_running_loop()
        # Not loop.create_task(): an eager task factory would let it run in the middle of what goes on now.
        self._task = asyncio.Task(work, loop=loop, context=context)
        self._task.add_done_callback(self._conclude)

    def _conclude(self, task: asyncio.Task[Any]) -> None:
        self._task = None
        if task.cancelling():
            # Whoever cancelled it from outside, as the end of the event loop does, wants no more of it.
            self.discard()
        elif task.cancelled():
            self._logger.error("The background work of %s was cancelled", self.title)
        elif (exc := task.exception()) is not None and not _ends_program(exc):
            self._logger.error("Error in the background work of %s", self.title, exc_info=exc)
        self._begin_next()


def close_unawaited(awaitable: Awaitable[Any]) -> None:
    """Close a coroutine that nobody will await; anything else needs no farewell."""
    if isinstance(awaitable, Coroutine):
        awaitable.close()


async def _wait_for(awaitable: Awaitable[Any]) -> None:
    await awaitable


def _ends_program(exc: BaseException) -> bool:
    """Whether it left through the event loop, to whoever runs that."""
    return isinstance(exc, (KeyboardInterrupt, SystemExit))
