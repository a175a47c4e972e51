"""The body of a response on its way through an encoder (RFC 9110 §8.4).

What is written in one turn of the loop is compressed together, and the client can see all of it after that turn. What
is large is compressed in a thread, in order: a write that is cancelled meanwhile loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final

from .protocol.content_encoder import Encoder

__all__ = ("LARGE", "BodyEncoder", "encode_whole")

LARGE: Final = 32768
"""More bytes than these are compressed in a thread: they take half a millisecond, many times what a thread costs."""


async def encode_whole(
    encoder: Encoder, body: bytes, limit: int, executor: Executor | None
) -> bytes:
    """Return a whole body compressed; one of more than ``limit`` bytes is given to the executor. Safe to cancel."""
    if len(body) <= limit:
        return encoder.finish(body)
    return await asyncio.get_running_loop().run_in_executor(executor, encoder.finish, body)


class BodyEncoder:
    """Compresses what is written to one response.

    Args:
        encoder: What compresses.
        executor: Has the threads; the default one of the loop if None.
        send: Sends what came out; returns whether to wait before sending more.
    """

    __slots__ = (
        "_closed",
        "_encoder",
        "_executor",
        "_failure",
        "_flush_due",
        "_job",
        "_last_came",
        "_loop",
        "_send",
        "_since_pause",
        "_waiting",
    )

    def __init__(
        self, encoder: Encoder, executor: Executor | None, send: Callable[[bytes], bool]
    ) -> None:
        self._encoder = encoder
        self._executor = executor
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._flush_due = False
        # What a thread is busy with, and what waits for it.
        self._job: asyncio.Future[bytes] | None = None
        self._waiting: list[bytes] = []
        self._since_pause = 0
        self._last_came = False
        self._failure: BaseException | None = None
        self._closed = False

    def put(self, data: bytes) -> bool:
        """Take a piece; return whether to ``await pause()`` before the next.

        Raises:
            RuntimeError: The last piece has come.
        """
        if self._last_came:
            raise RuntimeError("Cannot call write() after write_eof()")
        return self._put(data)

    def _put(self, data: bytes) -> bool:
        if self._closed or not data:
            return self._closed
        if self._job is not None or len(data) > LARGE:
            self._waiting.append(data)
            if self._job is None:
                self._start_job()
            return True
        encoded = self._encoder.encode(data)
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)
        self._since_pause += len(data)
        congested = bool(encoded) and self._send(encoded)
        return congested or self._since_pause > LARGE

    async def pause(self) -> None:
        """Give others a turn; wait for the thread. Safe to cancel."""
        if self._since_pause > LARGE:
            self._since_pause = 0
            await asyncio.sleep(0)
        # Last, so that whoever goes on has the encoder for itself.
        while self._job is not None:
            await asyncio.wait([self._job])
        if self._failure is not None:
            raise self._failure

    async def finish(self, data: bytes = b"") -> None:
        """Take the last piece, and send what is left. Cancelled and called again, it goes on, and takes no more."""
        if not self._last_came:
            self._last_came = True
            self._put(data)
        await self.pause()
        if not self._closed:
            self.close()
            self._send(self._encoder.finish())

    def close(self) -> None:
        """Send no more."""
        self._closed = True
        self._waiting.clear()

    def _flush(self) -> None:
        self._flush_due = False
        if not self._closed and self._job is None:
            self._send_quietly(self._encoder.flush())

    def _start_job(self) -> None:
        data = b"".join(self._waiting)
        self._waiting.clear()
        try:
            self._job = self._loop.run_in_executor(self._executor, self._encode, data)
        except Exception as exc:  # it has been shut down, for one; whoever writes next is told
            self._fail(exc)
            return
        # Not left to whoever waits, who may be cancelled.
        self._job.add_done_callback(self._end_job)

    def _encode(self, data: bytes) -> bytes:
        return self._encoder.encode(data) + self._encoder.flush()

    def _end_job(self, job: asyncio.Future[bytes]) -> None:
        self._job = None
        if job.cancelled():
            self._fail(RuntimeError("the executor gave up compressing"))
        elif (exc := job.exception()) is not None:
            self._fail(exc)
        elif not self._closed:
            self._send_quietly(job.result())
            if self._waiting:
                self._start_job()

    def _fail(self, exc: BaseException) -> None:
        """Let whoever waits, or comes next, know that the body will never be complete."""
        self._failure = exc
        self.close()

    def _send_quietly(self, data: bytes) -> None:
        """Send from where nobody can be told that the client has gone; the next to write will be."""
        try:
            if data:
                self._send(data)
        except ConnectionError:
            self.close()
