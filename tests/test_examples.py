"""The programs in examples/, each run as a process of its own."""

import asyncio
import signal
import sys
from pathlib import Path

from tests.support import Peer

EXAMPLES = Path(__file__).parent.parent / "examples"


async def test_hello(unused_tcp_port: int) -> None:
    """It announces where it serves, answers there, and SIGINT ends it without a word."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / "hello.py"),
        f"--port={unused_tcp_port}",
        cwd=EXAMPLES.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(10):
            line = await process.stdout.readline()
            trouble = b"" if line else await process.stderr.read()
        announced = f"======= Serving on http://127.0.0.1:{unused_tcp_port}/ ======\n"
        assert line.decode() == announced, trouble.decode()

        async with Peer.connect(unused_tcp_port) as peer:
            answer = await peer.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (answer.status, answer.body) == (200, b"OK")
        assert answer.header("content-type") == "text/plain; charset=utf-8"

        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            stdout, stderr = await process.communicate()
        assert (process.returncode, stdout, stderr) == (0, b"", b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
