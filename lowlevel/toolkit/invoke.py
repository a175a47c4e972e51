"""Call what a program gave us, be it a coroutine function or not."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, ParamSpec

from ..handlers import describe

__all__ = ("as_async", "check_callable", "is_async", "required_parameters", "takes")

_P = ParamSpec("_P")


def is_async(function: Callable[..., object]) -> bool:
    """Whether calling it returns at once, with something to await: then it can be called on the event loop.

    It is a coroutine function, an object with such a ``__call__``, a class of awaitable objects, or a partial of these.
    """
    while isinstance(function, partial):
        function = function.func
    if inspect.iscoroutinefunction(function):
        return True
    if isinstance(function, type):
        return hasattr(function, "__await__")
    return inspect.iscoroutinefunction(getattr(type(function), "__call__", None))  # noqa: B004


def as_async(function: Callable[_P, Any]) -> Callable[_P, Awaitable[Any]]:
    """Return what can be awaited when called: the function itself, or one that calls it in a thread.

    What it returns there is awaited here if it can be. The thread is one of the loop's default executor, and has a
    copy of the context; a cancellation does not wait for it.
    """
    if is_async(function):
        return function

    @wraps(function)
    async def call(*args: _P.args, **kwargs: _P.kwargs) -> Any:
        result = await asyncio.to_thread(_run, function, *args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    return call


def _run(function: Callable[_P, Any], /, *args: _P.args, **kwargs: _P.kwargs) -> Any:
    try:
        return function(*args, **kwargs)
    except StopIteration as exc:
        # Before Python 3.12 no future takes it, and who awaits the thread would wait for ever.
        raise RuntimeError(f"{describe(function)} raised StopIteration") from exc


def takes(function: Callable[..., object], count: int) -> bool:
    """Whether it can be called with so many positional arguments; True if it does not tell."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # some that are written in C
        return True
    return True


def check_callable(what: str, function: object) -> None:
    """Raise TypeError for what cannot be called; ``what`` says what it was to be."""
    if not callable(function):
        raise TypeError(f"{what} must be callable, not {function!r}")


def required_parameters(function: Callable[..., object]) -> int:
    """Return how many positional arguments it needs to be called; 1 if it does not tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # some that are written in C
        return 1
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in kinds and each.default is each.empty for each in parameters)
