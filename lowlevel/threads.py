"""Work that may block, done in a thread of the loop's default executor."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

__all__ = ("in_thread",)

_T = TypeVar("_T")


async def in_thread(function: Callable[[], _T], undo: Callable[[_T], None] | None = None) -> _T:
    """Call ``function()`` in a thread, and return its result or raise its exception.

    A cancellation waits for the end of the call, so that what it works with may be closed then.

    Args:
        undo: Gets the result when nobody else will.
    """
    future = asyncio.get_running_loop().run_in_executor(None, function)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        if not future.cancelled() and future.exception() is None and undo is not None:
            undo(future.result())
        raise
