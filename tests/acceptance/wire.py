"""What the acceptance programs are asked with: a keep-alive connection that checks every answer, and processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support import DEADLINE, Answer, Peer, request

ROOT = Path(__file__).parents[2]


class Wire:
    """One keep-alive connection, on which every answer must have what all rows have in common."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    async def ask(
        self, method: str = "GET", target: str = "/", *fields: str, body: bytes = b""
    ) -> Answer:
        """Send a request and return the answer to it."""
        answer = await self.peer.ask(request(method, target, *fields, body=body))
        check(answer, method)
        return answer


def check(answer: Answer, method: str = "GET") -> None:
    """HTTP/1.1, one framing at most, none where there is no body, and a connection that stays."""
    assert answer.version == "HTTP/1.1"
    framing = {"transfer-encoding", "content-length"} & set(answer.headers)
    assert len(framing) <= 1, answer.head
    if answer.status == 204:
        assert not framing, answer.head
    elif method != "HEAD" and answer.status != 304:
        assert framing, answer.head
    assert (answer.header("connection") or "").lower() != "close", answer.head


@asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    """Connect; at the end nothing may have come that nobody asked for, such as a body behind HEAD."""
    async with Peer.connect(port) as peer:
        yield Wire(peer)
        peer.finish()
        assert await peer.read_eof() == b""


async def check_common(port: int, target: str = "/", *fields: str) -> Answer:
    """GET, HEAD and GET again on one connection: the same answer each time, without its body for HEAD.

    HEAD may leave out how a body of unknown length would be framed (RFC 9110 §9.3.2).
    """
    async with wire(port) as client:
        first = await client.ask("GET", target, *fields)
        head = await client.ask("HEAD", target, *fields)
        again = await client.ask("GET", target, *fields)
    assert head.status == first.status
    varying = ("date", "transfer-encoding")
    assert [{n: v for n, v in a.headers.items() if n not in varying} for a in (head, again)] == [
        {n: v for n, v in first.headers.items() if n not in varying}
    ] * 2
    assert (again.status, again.body) == (first.status, first.body)
    return first


async def refused(port: int) -> bool:
    """Whether nothing listens at the port any more."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as a warning or worse, traceback included, each with the level in front."""
    return [
        f"{record.levelname} {caplog.handler.format(record)}"
        for record in caplog.records
        if record.levelno >= 30
    ]


class Process:
    """A program that runs on its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._stopped = False

    async def line(self) -> str:
        """Read one line of its output; fail with its complaint if it ended."""
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            line = await self._process.stdout.readline()
        if not line:
            _, _, stderr = await self.end()
            pytest.fail(f"the program ended:\n{stderr}")
        return line.decode().rstrip("\n")

    async def port(self) -> int:
        """The port in the line that says where it serves."""
        while "Serving on" not in (line := await self.line()):
            pass
        return int(line.split("Serving on")[1].strip(" =/").rpartition(":")[2])

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        self._stopped = True

    async def end(self) -> tuple[int | None, str, str]:
        """Wait for its end: exit status, the rest of its output, its complaints."""
        async with asyncio.timeout(DEADLINE):
            stdout, stderr = await self._process.communicate()
        return self._process.returncode, stdout.decode(), stderr.decode()


@asynccontextmanager
async def program(source: str, arguments: Sequence[object] = ()) -> AsyncIterator[Process]:
    """Run a program's text as a process of its own; it is killed if it still runs at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(source),
        *map(str, arguments),
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
