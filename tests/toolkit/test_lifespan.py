"""Lifespan: order of callbacks and of what is chained, what they are called with, and what goes wrong."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Self
from unittest.mock import AsyncMock, MagicMock

import pytest

import lowlevel as web


class Diary:
    """Callbacks and context managers that write down when they are called."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def sync(self, line: str) -> Callable[[], None]:
        return lambda: self.lines.append(line)

    def coroutine(self, line: str) -> Any:
        async def callback() -> None:
            await asyncio.sleep(0)
            self.lines.append(line)

        return callback

    def failing(self, line: str, error: BaseException) -> Any:
        async def callback() -> None:
            self.lines.append(line)
            raise error

        return callback

    @asynccontextmanager
    async def manager(self, line: str, *, end: BaseException | None = None) -> AsyncIterator[None]:
        self.lines.append(f"enter {line}")
        try:
            yield
        finally:
            self.lines.append(f"leave {line}")
            if end is not None:
                raise end


async def test_order() -> None:
    """Registration order at both ends; what is chained lies between, the last one innermost."""
    diary = Diary()
    lifespan = web.Lifespan(
        [diary.sync("start 1"), diary.coroutine("start 2")],
        [diary.coroutine("end 1"), diary.sync("end 2")],
    )
    lifespan.chain(diary.manager("a"))
    lifespan.chain(diary.manager("b"))
    lifespan.on_startup(diary.sync("start 3"))
    lifespan.on_shutdown.append(diary.sync("end 3"))
    async with lifespan as entered:
        assert entered is lifespan
        diary.lines.append("body")
    assert diary.lines == [
        *("start 1", "start 2", "start 3", "enter a", "enter b", "body"),
        *("leave b", "leave a", "end 1", "end 2", "end 3"),
    ]


async def test_one_callback_need_not_be_a_list() -> None:
    diary = Diary()
    async with web.Lifespan(on_startup=diary.sync("start"), on_shutdown=diary.sync("end")):
        assert diary.lines == ["start"]
    assert diary.lines == ["start", "end"]


async def test_decorators_return_what_they_decorate() -> None:
    lifespan = web.Lifespan()
    calls = []

    @lifespan.on_startup
    async def begin(owner: web.Lifespan) -> None:
        calls.append(owner)

    @lifespan.on_shutdown
    def end(owner: web.Lifespan) -> None:
        calls.append(owner)

    assert list(lifespan.on_startup) == [begin] and list(lifespan.on_shutdown) == [end]
    async with lifespan:
        assert calls == [lifespan]
    assert calls == [lifespan, lifespan]


class Method:
    def __init__(self) -> None:
        self.seen: list[object] = []

    def none(self) -> None:
        self.seen.append("nothing")

    def one(self, owner: object) -> None:
        self.seen.append(owner)

    def optional(self, size: int = 1) -> None:
        self.seen.append(size)

    def any_number(self, *owners: object) -> None:
        self.seen.extend(owners)

    def two(self, line: object, owner: object) -> None:
        self.seen.append((line, owner))

    async def __call__(self, owner: object) -> None:
        self.seen.append(owner)


@pytest.mark.parametrize(
    ("get", "expected"),
    [
        (lambda it: it.none, ["nothing"]),
        (lambda it: it.one, ["app"]),
        (lambda it: it.optional, [1]),
        (lambda it: it.any_number, ["app"]),
        (lambda it: it, ["app"]),
        (lambda it: partial(it.two, 7), [(7, "app")]),
        (lambda it: partial(it.one, 7), [7]),
        (lambda it: lambda owner: it.one(owner), ["app"]),
        (lambda it: lambda item=8: it.one(item), [8]),
        (lambda it: MagicMock(side_effect=it.one), ["app"]),
        (lambda it: AsyncMock(side_effect=it.one), ["app"]),
        (lambda it: it.seen.append, ["app"]),
    ],
)
async def test_arguments(get: Callable[[Method], Any], expected: list[object]) -> None:
    """The application, if a callback cannot be called without."""
    method = Method()
    lifespan = web.Lifespan(on_startup=get(method))
    lifespan.app = "app"
    async with lifespan:
        assert method.seen == expected


async def test_a_callback_that_does_not_tell_its_parameters() -> None:
    lifespan = web.Lifespan(on_startup=iter)
    with pytest.raises(TypeError, match="'Lifespan' object is not iterable"):
        await lifespan.__aenter__()


async def test_what_a_callback_returns_is_awaited() -> None:
    diary = Diary()
    callback = diary.coroutine("start")
    async with web.Lifespan(lambda: callback()):
        assert diary.lines == ["start"]


def test_bad_arguments() -> None:
    lifespan = web.Lifespan()
    with pytest.raises(TypeError, match="an on_startup callback must be callable, not 5"):
        web.Lifespan(on_startup=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="an on_shutdown callback must be callable, not 'x'"):
        web.Lifespan(on_shutdown=["x"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"an on_startup callback must take one .*Method\.two"):
        lifespan.on_startup.append(Method().two)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="an on_shutdown callback must take one argument or none"):
        lifespan.on_shutdown(lambda scope, info, event: None)
    with pytest.raises(TypeError, match="an on_startup callback must take one argument or none"):
        web.Lifespan(on_startup=[lambda app, *, port: None])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="ignore_errors"):
        web.Lifespan(ignore_errors=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="chain.. needs an async context manager, not <function"):
        lifespan.chain(Diary.manager)  # type: ignore[arg-type]
    assert not lifespan.on_startup and not lifespan.on_shutdown


def test_it_belongs_to_one_application() -> None:
    lifespan = web.Lifespan()
    assert lifespan.app is None
    lifespan.app = first = object()
    lifespan.app = first
    with pytest.raises(ValueError, match="belongs to an application already"):
        lifespan.app = object()
    assert lifespan.app is first


# The start.


async def test_a_failing_start() -> None:
    """The error comes out; what follows is not begun, what was entered is left, on_shutdown is not called."""
    diary = Diary()
    lifespan = web.Lifespan(
        [diary.sync("1"), diary.failing("2", LookupError("no database")), diary.sync("3")],
        diary.sync("end"),
    )
    lifespan.chain(diary.manager("a"))
    with pytest.raises(LookupError, match="no database"):
        async with lifespan:
            pytest.fail("it was entered")
    assert diary.lines == ["1", "2"]
    del lifespan.on_startup[1]
    async with lifespan:
        assert diary.lines == ["1", "2", "1", "3", "enter a"]


class Refusing(AbstractAsyncContextManager[None]):
    async def __aenter__(self) -> None:
        raise LookupError("cannot be entered")

    async def __aexit__(self, *exc_info: object) -> None:
        pytest.fail("it was never entered")


async def test_a_failing_start_of_what_is_chained(caplog: pytest.LogCaptureFixture) -> None:
    diary = Diary()
    lifespan = web.Lifespan(diary.sync("start"), diary.sync("end"))
    lifespan.chain(diary.manager("a"))
    lifespan.chain(diary.manager("b", end=ValueError("of b")))
    lifespan.chain(Refusing())
    lifespan.chain(diary.manager("c"))
    with caplog.at_level(logging.ERROR), pytest.raises(LookupError, match="cannot be entered"):
        await lifespan.__aenter__()
    assert diary.lines == ["start", "enter a", "enter b", "leave b", "leave a"]
    # One error comes out; the other is not lost either.
    (record,) = caplog.records
    assert record.name == "lowlevel.server" and "of b" in (record.exc_text or "")


async def test_what_is_chained_sees_the_error() -> None:
    seen: list[type[BaseException] | None] = []

    class Watching(AbstractAsyncContextManager[None]):
        async def __aenter__(self) -> None: ...

        async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> bool:
            seen.append(kind)
            return True

    lifespan = web.Lifespan()
    lifespan.chain(Watching())
    with pytest.raises(KeyError):
        async with lifespan:
            raise KeyError
    async with lifespan:
        pass
    assert seen == [KeyError, None]


async def test_a_cancelled_start() -> None:
    diary, waiting = Diary(), asyncio.Event()
    lifespan = web.Lifespan(on_shutdown=diary.sync("end"))

    @asynccontextmanager
    async def slow() -> AsyncIterator[None]:
        waiting.set()
        await asyncio.Event().wait()
        yield

    lifespan.chain(diary.manager("a"))
    lifespan.chain(slow())
    task = asyncio.create_task(lifespan.__aenter__())
    await waiting.wait()
    with pytest.raises(RuntimeError, match="entered already"):
        await lifespan.__aenter__()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert diary.lines == ["enter a", "leave a"]


# The end.


async def test_one_error_of_the_end() -> None:
    diary = Diary()
    error = LookupError("of 1")
    lifespan = web.Lifespan(on_shutdown=[diary.failing("1", error), diary.sync("2")])
    lifespan.chain(diary.manager("a"))
    with pytest.raises(LookupError) as caught:
        async with lifespan:
            pass
    assert caught.value is error
    assert diary.lines == ["enter a", "leave a", "1", "2"]


async def test_several_errors_of_the_end() -> None:
    diary = Diary()
    lifespan = web.Lifespan(
        on_shutdown=[
            diary.failing("1", LookupError("of 1")),
            diary.sync("2"),
            diary.failing("3", OSError("of 3")),
        ]
    )
    lifespan.chain(diary.manager("a", end=ValueError("of a")))
    lifespan.chain(diary.manager("b"))
    with pytest.raises(ExceptionGroup) as caught:
        async with lifespan:
            pass
    assert [str(error) for error in caught.value.exceptions] == ["of a", "of 1", "of 3"]
    assert diary.lines == ["enter a", "enter b", "leave b", "leave a", "1", "2", "3"]


async def test_the_error_of_the_body_is_not_reported_twice() -> None:
    """What is chained may raise on what it is told of."""
    diary = Diary()
    error = LookupError("of the body")
    lifespan = web.Lifespan(on_shutdown=diary.sync("end"))

    class Raising(AbstractAsyncContextManager[None]):
        async def __aenter__(self) -> None: ...

        async def __aexit__(self, kind: object, exc: BaseException | None, _: object) -> None:
            if exc is not None:
                raise exc

    lifespan.chain(Raising())
    with pytest.raises(LookupError) as caught:
        async with lifespan:
            raise error
    assert caught.value is error
    assert diary.lines == ["end"]
    lifespan.on_shutdown(diary.failing("end", OSError("of the end")))
    with pytest.raises(OSError, match="of the end"):
        async with lifespan:
            raise error


async def careless() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    task.cancel()
    await task


async def test_a_callback_that_awaits_what_was_cancelled() -> None:
    """The CancelledError is a mistake of its own: the others have their turn."""
    diary = Diary()
    lifespan = web.Lifespan(on_shutdown=[careless, diary.sync("2")])
    with pytest.raises(asyncio.CancelledError):
        async with lifespan:
            pass
    assert diary.lines == ["2"]


async def test_a_cancelled_end() -> None:
    """Who cancels it does not want to wait for the rest."""
    diary, waiting = Diary(), asyncio.Event()

    async def slow() -> None:
        waiting.set()
        await asyncio.Event().wait()

    lifespan = web.Lifespan(on_shutdown=[slow, diary.sync("2")])
    await lifespan.__aenter__()
    task = asyncio.create_task(lifespan.__aexit__(None, None, None))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert diary.lines == []
    lifespan.on_shutdown.clear()
    async with lifespan:
        pass


async def test_the_end_in_a_task_that_was_cancelled_before() -> None:
    """As when a signal ends a program: the end is done all the same."""
    diary, waiting = Diary(), asyncio.Event()
    lifespan = web.Lifespan(on_shutdown=[diary.coroutine("1"), careless, diary.coroutine("2")])

    async def serve() -> None:
        async with lifespan:
            waiting.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(serve())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert diary.lines == ["1", "2"]


# ignore_errors.


async def test_ignored_errors(caplog: pytest.LogCaptureFixture) -> None:
    diary = Diary()
    lifespan = web.Lifespan(
        [diary.failing("start 1", LookupError("of start 1")), diary.sync("start 2")],
        [diary.failing("end 1", LookupError("of end 1")), diary.sync("end 2")],
        ignore_errors=True,
    )
    lifespan.chain(Refusing())
    lifespan.chain(diary.manager("a", end=ValueError("of a")))
    with caplog.at_level(logging.ERROR):
        async with lifespan:
            diary.lines.append("body")
    assert diary.lines == ["start 1", "start 2", "enter a", "body", "leave a", "end 1", "end 2"]
    told = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [str(error) for error in told] == ["of start 1", "cannot be entered", "of a", "of end 1"]


async def test_errors_of_the_body_are_not_ignored() -> None:
    with pytest.raises(LookupError):
        async with web.Lifespan(ignore_errors=True):
            raise LookupError


# Again.


async def test_not_twice_at_once() -> None:
    lifespan = web.Lifespan()
    async with lifespan:
        assert repr(lifespan) == "<Lifespan entered>"
        with pytest.raises(RuntimeError, match="entered already"):
            await lifespan.__aenter__()
    assert repr(lifespan) == "<Lifespan not entered>"
    with pytest.raises(RuntimeError, match="not entered"):
        await lifespan.__aexit__(None, None, None)


class Counting(AbstractAsyncContextManager["Counting"]):
    def __init__(self) -> None:
        self.calls: list[str] = []

    async def __aenter__(self) -> Self:
        self.calls.append("enter")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.calls.append("leave")


async def test_again_after_the_end() -> None:
    diary, counting = Diary(), Counting()
    lifespan = web.Lifespan(diary.sync("start"), diary.sync("end"))
    lifespan.chain(counting)
    for _ in range(2):
        async with lifespan:
            pass
    assert diary.lines == ["start", "end"] * 2
    assert counting.calls == ["enter", "leave"] * 2


async def test_what_is_chained_twice_is_entered_once() -> None:
    outer, inner = web.Lifespan(), web.Lifespan()
    diary = Diary()
    inner.on_startup(diary.sync("start"))
    outer.chain(inner)
    outer.chain(inner)
    async with outer:
        assert diary.lines == ["start"]


async def test_chaining_is_possible_until_the_start_is_over() -> None:
    counting, late = Counting(), Counting()
    lifespan = web.Lifespan()
    lifespan.on_startup(lambda: lifespan.chain(counting))
    async with lifespan:
        assert counting.calls == ["enter"]
        with pytest.raises(RuntimeError, match="too late"):
            lifespan.chain(late)
    lifespan.chain(late)
