"""One of the programs in examples/, run as a process of its own, and aiohttp's client that asks it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from multidict import CIMultiDictProxy

from tests.program import ROOT, Program, running
from tests.support import DEADLINE


class Got(NamedTuple):
    """An answer that has been read."""

    status: int
    text: str
    headers: CIMultiDictProxy[str]


class Example:
    """The running program, and a session with it: ``ask()``, ``fails()``, ``session``."""

    def __init__(self, program: Program, session: aiohttp.ClientSession) -> None:
        self.program = program
        self.session = session

    async def ask(self, path: str, method: str = "GET", **options: Any) -> Got:
        async with self.session.request(method, path, **options) as response:
            return Got(response.status, await response.text(), response.headers)

    async def says(self, path: str, status: int, text: str, **options: Any) -> None:
        """Check an answer."""
        got = await self.ask(path, **options)
        assert (got.status, got.text) == (status, text)

    async def line(self) -> str:
        """The next line that the program prints."""
        return await asyncio.to_thread(self.program.line)

    async def refuses(self, path: str, status: int) -> None:
        """Check the answer to a handshake that makes no WebSocket."""
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await self.session.ws_connect(path)
        assert caught.value.status == status


@asynccontextmanager
async def example(
    path: str, *options: str, cwd: Path = ROOT, log: str = "", **session_options: Any
) -> AsyncIterator[Example]:
    """Run ``examples/<path>``; what it logs has to match the regular expression `log`."""
    with running(str(ROOT / "examples" / path), "--port=0", *options, cwd=cwd, log=log) as program:
        jar = aiohttp.CookieJar(unsafe=True)
        timeout = aiohttp.ClientTimeout(DEADLINE)
        async with aiohttp.ClientSession(
            program.url, timeout=timeout, cookie_jar=jar, **session_options
        ) as session:
            yield Example(program, session)
