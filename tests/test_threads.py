"""lowlevel.threads: calls in a thread, their results, and what becomes of them when nobody waits any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from lowlevel.threads import in_thread
from tests.support import DEADLINE, turns, until, within


class Call:
    """A function that has begun (``begun``), and ends when it may (``may_end``)."""

    def __init__(self, result: object = "result") -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.ended = False
        self.result = result

    def __call__(self) -> object:
        self.begun.set()
        if not self.may_end.wait(DEADLINE):
            raise TimeoutError("nobody let the call end")
        self.ended = True
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


@contextmanager
def calling(result: object = "result") -> Iterator[Call]:
    """A call that ends at the latest when the test does."""
    call = Call(result)
    try:
        yield call
    finally:
        call.may_end.set()


async def started(call: Call, undo: Callable[[Any], None] | None = None) -> asyncio.Task[object]:
    """A task that waits for a call that has begun."""
    task = asyncio.create_task(in_thread(call, undo))
    await until(call.begun.is_set, "the call to begin")
    return task


# --- Results ------------------------------------------------------------------------------


async def test_a_result_from_another_thread() -> None:
    undone: list[int] = []
    thread = await within(in_thread(threading.get_ident, undone.append))
    assert thread != threading.get_ident()
    assert undone == []


async def test_an_exception() -> None:
    error = OSError("no such disk")
    undone: list[object] = []
    with calling(error) as call:
        call.may_end.set()
        with pytest.raises(OSError, match="no such disk") as caught:
            await within(in_thread(call, undone.append))
    assert caught.value is error
    assert undone == []


async def test_the_loop_goes_on() -> None:
    with calling() as call:
        task = await started(call)
        await turns()
        assert not task.done()
        call.may_end.set()
        assert await within(task) == "result"


# --- Cancellation -------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2, 5])
async def test_a_cancellation_waits_for_the_end(times: int) -> None:
    with calling() as call:
        task = await started(call)
        for _ in range(times):
            assert task.cancel()
            await turns()
            assert not task.done()
        call.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await within(task)
    assert call.ended
    assert task.cancelled()


async def test_cancellations_in_one_turn() -> None:
    with calling() as call:
        task = await started(call)
        for _ in range(3):
            task.cancel()
        await turns()
        assert not task.done()
        call.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await within(task)


async def test_cancelled_before_it_began() -> None:
    """It has to wait for a thread: it is called all the same, and that is waited for."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    undone: list[object] = []
    with calling() as first, calling() as second:
        busy = await started(first)
        task = asyncio.create_task(in_thread(second, undone.append))
        await turns()
        task.cancel()
        await turns()
        assert not task.done()
        assert not second.begun.is_set()
        first.may_end.set()
        await within(busy)
        await until(second.begun.is_set, "the second call to begin")
        assert not task.done()
        second.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await within(task)
    assert undone == ["result"]


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("result", ["result", None, 0])
async def test_the_result_that_nobody_wants(result: object, times: int) -> None:
    undone: list[object] = []
    with calling(result) as call:
        task = await started(call, undone.append)
        for _ in range(times):
            task.cancel()
            await turns()
        assert undone == []
        call.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await within(task)
    assert undone == [result]


async def test_the_exception_that_nobody_wants() -> None:
    """Nobody hears of it, and there is nothing to undo. (That the loop is not told, each test checks.)"""
    undone: list[object] = []
    with calling(OSError("no such disk")) as call:
        task = await started(call, undone.append)
        task.cancel()
        await turns()
        call.may_end.set()
        with pytest.raises(asyncio.CancelledError) as caught:
            await within(task)
    assert caught.value.__cause__ is None
    assert undone == []


async def test_a_timeout_waits_for_the_end() -> None:
    with calling() as call:

        async def limited() -> None:
            async with asyncio.timeout(0.01):
                await in_thread(call)

        task = asyncio.create_task(limited())
        await until(call.begun.is_set, "the call to begin")
        await until(task.cancelling, "the timeout")
        await turns()
        assert not task.done()
        call.may_end.set()
        with pytest.raises(TimeoutError):
            await within(task)


async def test_a_thread_that_never_comes() -> None:
    """Whoever ends the executor drops what waits there."""
    executor = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(executor)
    undone: list[object] = []
    with calling() as first, calling() as second:
        busy = await started(first)
        task = asyncio.create_task(in_thread(second, undone.append))
        await turns()
        executor.shutdown(wait=False, cancel_futures=True)
        with pytest.raises(asyncio.CancelledError):
            await within(task)
        first.may_end.set()
        assert await within(busy) == "result"
    assert not second.begun.is_set()
    assert undone == []


# --- The moment of the end ----------------------------------------------------------------


class _Immediately(ThreadPoolExecutor):
    """Calls at once: what follows takes the same turns of the loop each time."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


async def test_a_result_has_one_owner() -> None:
    """Whenever a cancellation comes, the result is either returned or undone."""
    asyncio.get_running_loop().set_default_executor(_Immediately())
    returned: list[object] = []
    undone: list[object] = []
    for wait in range(1, 10):
        result = object()
        task = asyncio.create_task(in_thread(lambda result=result: result, undone.append))  # type: ignore[misc]
        for _ in range(wait):
            await asyncio.sleep(0)
        task.cancel()
        try:
            returned.append(await within(task))
        except asyncio.CancelledError:
            assert undone[-1] is result
        else:
            assert returned[-1] is result
    assert len(returned) + len(undone) == 9
    assert returned
    assert undone
