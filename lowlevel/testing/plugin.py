"""The pytest plugin: fixtures that open servers and clients for a test, and close them when it ends.

They need no event loop of their own, so they work with whatever runs coroutine tests on asyncio: they close on the
loop on which they opened, behind the last line of the test.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Unpack

import pytest

if TYPE_CHECKING:
    from ..handlers import Handler
    from ..server import Server
    from .client import ClientOptions, TestClient
    from .server import ServingOptions, TestServer

__all__ = ("ClientFactory", "ServerFactory", "lowlevel_client", "lowlevel_server")

_T = TypeVar("_T")


class ServerFactory(Protocol):
    """The type of ``lowlevel_server``: awaited with the arguments of TestServer, it starts one.

    Raises:
        RuntimeError: The test is no coroutine function, or asyncio does not run it.
    """

    def __call__(
        self, handler: Handler | Server, /, **options: Unpack[ServingOptions]
    ) -> Coroutine[Any, Any, TestServer]: ...


class ClientFactory(Protocol):
    """The type of ``lowlevel_client``: awaited with the arguments of TestClient, it starts one.

    Raises:
        RuntimeError: The test is no coroutine function, or asyncio does not run it.
    """

    def __call__(
        self, handler: Handler | Server | TestServer, /, **options: Unpack[ClientOptions]
    ) -> Coroutine[Any, Any, TestClient]: ...


class _Opened:
    """What a test has opened."""

    def __init__(self, refusal: str | None = None) -> None:
        self._refusal = refusal
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stack = AsyncExitStack()

    def enter(self, context: AbstractAsyncContextManager[_T]) -> Coroutine[Any, Any, _T]:
        # Told when it is called: in a plain function nobody awaits it.
        if self._refusal is not None:
            raise RuntimeError(self._refusal)
        return self._enter(context)

    async def _enter(self, context: AbstractAsyncContextManager[_T]) -> _T:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError("the fixtures of lowlevel are for tests that asyncio runs") from None
        return await self._stack.enter_async_context(context)

    async def close(self) -> None:
        self._loop = None
        await self._stack.aclose()

    def close_late(self) -> None:
        """Close what a fixture has opened for a test that did not begin, if the loop is still there."""
        if self._loop is not None and not self._loop.is_closed() and not self._loop.is_running():
            self._loop.run_until_complete(self.close())


@pytest.fixture
def _lowlevel_opened(request: pytest.FixtureRequest) -> Iterator[_Opened]:
    """Let the test's coroutine close what is opened: only there is its loop sure to run."""
    function = getattr(request.node, "obj", None)
    if not inspect.iscoroutinefunction(function):
        yield _Opened(
            f"{request.node.name} is no coroutine function: at its end nothing could be closed. "
            "Make it 'async def', or use 'async with TestClient(...)' where you have an event loop."
        )
        return

    opened = _Opened()

    @functools.wraps(function)
    async def closing(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        finally:
            await opened.close()

    request.node.obj = closing
    try:
        yield opened
    finally:
        request.node.obj = function
        opened.close_late()


@pytest.fixture
def lowlevel_server(_lowlevel_opened: _Opened) -> ServerFactory:
    """``server = await lowlevel_server(handler)`` starts a TestServer, which is closed when the test ends."""
    from .server import TestServer

    def open_server(
        handler: Handler | Server, /, **options: Unpack[ServingOptions]
    ) -> Coroutine[Any, Any, TestServer]:
        return _lowlevel_opened.enter(TestServer(handler, **options))

    return open_server


@pytest.fixture
def lowlevel_client(_lowlevel_opened: _Opened) -> ClientFactory:
    """``client = await lowlevel_client(handler)`` starts a TestClient, which is closed when the test ends."""
    from .client import TestClient

    def open_client(
        handler: Handler | Server | TestServer, /, **options: Unpack[ClientOptions]
    ) -> Coroutine[Any, Any, TestClient]:
        return _lowlevel_opened.enter(TestClient(handler, **options))

    return open_client
