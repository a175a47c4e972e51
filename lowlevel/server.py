"""A server: the factory of its connections, their options, and the end of them all."""

from __future__ import annotations

import asyncio
import logging
import platform
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypedDict

from ._version import __version__
from .access_log import AbstractAccessLogger, AccessLogger
from .background import Background, close_unawaited
from .body import StreamReader
from .clock import NEVER, SHORTEST_INTERVAL, ServerClock
from .connection import Connection
from .handlers import Handler
from .options import check_count, check_flag, check_seconds
from .protocol.http1 import ParserLimits, ProtocolError
from .request import BaseRequest
from .writer import ResponseWriter

__all__ = ("RequestFactory", "Server", "ServerOptions")

RequestFactory = Callable[
    [Any, StreamReader, Any, ResponseWriter, "asyncio.Task[Any]"], BaseRequest
]

server_logger: Final = logging.getLogger("lowlevel.server")
access_logger: Final = logging.getLogger("lowlevel.access")

SERVER_SOFTWARE: Final = "Python/{}.{} lowlevel/{}".format(
    *platform.python_version_tuple()[:2], __version__
)

# Lines about refused requests per second: a scanner must not fill a disk.
_REFUSALS_PER_SECOND: Final = 10

# How long a handler that was cancelled at the end may take for its clean-up, in seconds.
_CANCEL_GRACE: Final = 5.0

# How long answers that are still in buffers may take then, and how long what was aborted.
_LAST_SECONDS: Final = 1.0

# The clock ticks at least so often, in seconds, and often enough for the shortest deadline.
_LONGEST_INTERVAL: Final = 1.0


class ServerOptions(TypedDict, total=False):
    """The options of Server, as ``run_app`` passes them on; defaults and meaning are told there."""

    access_log: logging.Logger | None
    access_log_class: type[AbstractAccessLogger]
    access_log_format: str
    auto_decompress: bool
    body_timeout: float
    client_max_size: int
    debug: bool
    handler_cancellation: bool
    head_timeout: float
    keepalive_timeout: float
    lingering_time: float
    logger: logging.Logger
    max_field_size: int
    max_headers: int
    max_line_size: int
    max_pipelined: int
    read_bufsize: int
    request_factory: RequestFactory | None
    tcp_keepalive: bool
    timeout_ceil_threshold: float
    write_timeout: float


class Server:
    """A protocol factory for ``loop.create_server``: every connection it makes asks one handler for answers.

    Usable directly (``await loop.create_server(server, host, port)``, ``create_unix_server``) or through a
    ServerRunner and its sites. A server belongs to one event loop.

    Args:
        handler: ``async (request) -> response``.
        request_factory: Makes requests: ``(message, payload, protocol, writer, task) -> BaseRequest``.
        handler_cancellation: Cancel a handler when its client leaves. By default it runs to its end. A client that
            only closes its sending half counts as one that leaves.
        keepalive_timeout: Seconds an idle connection is kept, and seconds to the first request. It should exceed
            what a proxy in front keeps idle connections for. 0: every response closes, and
            ``head_timeout`` bounds the wait for the first request.
        head_timeout: Seconds from the first byte of a head to its end; then 408 (RFC 9110 §15.5.9). 0: no limit.
        body_timeout: Seconds a body may make no progress; then 408. 0: no limit.
        write_timeout: Seconds a client may take nothing of what is sent to it; then it is cut off. 0: no limit.
        lingering_time: Seconds an unread body is read and dropped behind an answer (RFC 9112 §9.6). 0: not at all.
        client_max_size: Most bytes of a body for ``request.read()`` and what stands on it; then 413. 0: no limit.
        max_line_size: Longest request target in bytes; then 414.
        max_field_size: Longest value, and longest name, of a header field in bytes; then 431.
        max_headers: Most header fields; then 431.
        max_pipelined: Most requests of a connection that wait for their turn (RFC 9112 §9.3.2); then it is not read
            from.
        read_bufsize: Half the bytes of a body that are buffered before its client is not read from.
        auto_decompress: Take content codings off bodies of requests while they are read: gzip, deflate, and with the
            extra ``compress`` br and zstd. An unknown one is a 415 when the body is read, bad data a 400.
            ``client_max_size`` then counts what is read, not what came. False hands bodies out as they come.
        tcp_keepalive: Set SO_KEEPALIVE.
        debug: Show tracebacks to clients, and log disconnects.
        access_log: The logger of requests; None for no access log.
        access_log_class: Makes the access logger from ``access_log`` and ``access_log_format``.
        access_log_format: See AccessLogger.
        logger: The logger of faults.
        timeout_ceil_threshold: Taken for aiohttp's callers; no effect.
        loop: Taken for aiohttp's callers; no effect.

    Raises:
        TypeError, ValueError: An option of a wrong type or value; the message names it.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        request_factory: RequestFactory | None = None,
        handler_cancellation: bool = False,
        keepalive_timeout: float = 3630.0,
        head_timeout: float = 30.0,
        body_timeout: float = 60.0,
        write_timeout: float = 60.0,
        lingering_time: float = 10.0,
        client_max_size: int = 1024**2,
        max_line_size: int = 8190,
        max_field_size: int = 8190,
        max_headers: int = 128,
        max_pipelined: int = 32,
        read_bufsize: int = 2**18,
        auto_decompress: bool = True,
        tcp_keepalive: bool = True,
        debug: bool = False,
        access_log: logging.Logger | None = access_logger,
        access_log_class: type[AbstractAccessLogger] = AccessLogger,
        access_log_format: str = AccessLogger.LOG_FORMAT,
        logger: logging.Logger = server_logger,
        timeout_ceil_threshold: float = 5,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not callable(handler):
            raise TypeError(f"handler must be callable, not {type(handler).__name__}")
        if request_factory is not None and not callable(request_factory):
            raise TypeError(
                f"request_factory must be callable, not {type(request_factory).__name__}"
            )
        self.request_handler: Handler = handler
        self.request_factory = request_factory
        self.handler_cancellation = check_flag("handler_cancellation", handler_cancellation)
        self.keepalive_timeout = check_seconds("keepalive_timeout", keepalive_timeout)
        self.idle_time = self.keepalive_timeout or NEVER
        self.head_timeout = check_seconds("head_timeout", head_timeout)
        self.body_timeout = check_seconds("body_timeout", body_timeout)
        self.write_timeout = check_seconds("write_timeout", write_timeout)
        self.lingering_time = check_seconds("lingering_time", lingering_time)
        self.client_max_size = check_count("client_max_size", client_max_size, 0)
        self.max_pipelined = check_count("max_pipelined", max_pipelined, 1)
        self.read_bufsize = check_count("read_bufsize", read_bufsize, 1)
        self.auto_decompress = check_flag("auto_decompress", auto_decompress)
        self.tcp_keepalive = check_flag("tcp_keepalive", tcp_keepalive)
        self.debug = check_flag("debug", debug)
        check_seconds("timeout_ceil_threshold", timeout_ceil_threshold)
        self.limits = ParserLimits(
            check_count("max_line_size", max_line_size, 1),
            check_count("max_field_size", max_field_size, 1),
            check_count("max_headers", max_headers, 1),
        )
        if not callable(getattr(logger, "exception", None)):  # other libraries have loggers too
            raise TypeError(f"logger must be a logging.Logger, not {type(logger).__name__}")
        self.logger = logger
        self.server_header = SERVER_SOFTWARE
        self.access_log = access_log
        if not callable(access_log_class) or not hasattr(access_log_class, "log"):
            raise TypeError(f"access_log_class must be an AccessLogger, not {access_log_class!r}")
        self.access_logger = access_log_class(access_log, access_log_format) if access_log else None
        self.requests_count = 0
        """Requests begun since birth."""
        self.closing = False
        """Whether the server is shutting down: every response closes its connection."""
        timeouts = (keepalive_timeout, head_timeout, body_timeout, write_timeout, lingering_time)
        shortest = min((timeout for timeout in timeouts if timeout), default=NEVER)
        interval = max(SHORTEST_INTERVAL, min(_LONGEST_INTERVAL, shortest / 4))
        self.clock = ServerClock(interval, SERVER_SOFTWARE, self._tick)
        self._connections: dict[Connection, None] = {}
        # Handlers that run on although their clients have left.
        self._orphans: set[asyncio.Task[None]] = set()
        # What requests have left to be done, by their tasks.
        self._background: dict[asyncio.Task[Any], Background] = {}
        self._change: asyncio.Future[None] | None = None
        self._refusals = 0

    def __call__(self) -> Connection:
        """Make the protocol of one connection."""
        return Connection(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._connections)} connections>"

    @property
    def connections(self) -> list[Connection]:
        """The open connections."""
        return list(self._connections)

    # What connections call.

    def connection_made(self, connection: Connection, transport: asyncio.Transport) -> None:
        """Count a connection in."""
        self._connections[connection] = None
        self.clock.start(asyncio.get_running_loop())

    def connection_lost(self, connection: Connection, exc: BaseException | None = None) -> None:
        """Count a connection out."""
        self._connections.pop(connection, None)
        if connection.task is not None:
            self._orphans.add(connection.task)
            connection.task.add_done_callback(self._forget_orphan)
        if not self._connections and not self._refusals:
            self.clock.stop()
        self._notify()

    def run_background(self, work: Background, at_end: Callable[[], object]) -> None:
        """Do what a request has left to be done, beside everything else; then call ``at_end()``."""

        def end() -> None:
            self._background.pop(work.request_task, None)
            self._notify()
            at_end()

        self._background[work.request_task] = work
        work.start(self.logger, end)

    def add_background(self, task: asyncio.Task[Any], awaitable: Awaitable[Any]) -> None:
        """Put a piece behind what a request has left to be done; a RuntimeError when all that is done."""
        work = self._background.get(task)
        if work is None:
            close_unawaited(awaitable)
            raise RuntimeError("this request is over, and so is what it left to be done")
        work.add(awaitable)

    def current_access_logger(self) -> AbstractAccessLogger | None:
        """The access logger if it wants to hear of requests at all."""
        logger = self.access_logger
        return logger if logger is not None and logger.enabled else None

    def log_refusal(self, peer: object, error: ProtocolError) -> None:
        """Log one line about a peer that does not speak HTTP as it should; not more than some a second."""
        self._refusals += 1
        if self._refusals <= _REFUSALS_PER_SECOND:
            self.logger.info("Refused what %s sent: %s", peer, error.reason)

    def _tick(self, now: float) -> None:
        if self._refusals > _REFUSALS_PER_SECOND:
            self.logger.info("Refused %d more", self._refusals - _REFUSALS_PER_SECOND)
        self._refusals = 0
        if not self._connections:
            self.clock.stop()
        for connection in list(self._connections):
            connection.check_deadline(now)

    # The end.

    def pre_shutdown(self) -> None:
        """Close idle connections; let those with a request under way close after its response."""
        self.closing = True
        for connection in self.connections:
            connection.close()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Close every connection, within ``timeout`` seconds as far as handlers allow.

        Requests under way are answered, WebSockets are closed with 1001, what requests have left to be done in the
        background is done. At the deadline handlers and that work are cancelled, and have a few seconds for their
        clean-up. What is left then is aborted. What did not end by itself is logged.

        When this call is cancelled it stops waiting: connections go on to close by themselves, nothing is aborted, and
        it may be called again.

        Args:
            timeout: Seconds; None waits for ever.
        """
        self.pre_shutdown()
        for connection in self.connections:
            connection.go_away()
        if not await self._wait_empty(timeout):
            tasks = self._cancel_handlers() | self._cancel_background()
            if tasks:
                await asyncio.wait(tasks, timeout=_CANCEL_GRACE)
            await self._wait_empty(_LAST_SECONDS)
            for connection in self.connections:
                connection.abort()
            self._cancel_background()
            await self._wait_empty(_LAST_SECONDS)
        self.closing = False

    async def _wait_empty(self, timeout: float | None) -> bool:
        """Wait until no connection is left and nothing runs; False if that took too long."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while self._connections or self._orphans or self._background:
            left = None if deadline is None else max(0.0, deadline - loop.time())
            if self._change is None or self._change.done():
                self._change = loop.create_future()
            done, _ = await asyncio.wait([self._change], timeout=left)
            if not done:
                return False
        return True

    def _notify(self) -> None:
        if self._change is not None and not self._change.done():
            self._change.set_result(None)

    def _forget_orphan(self, task: asyncio.Task[None]) -> None:
        self._orphans.discard(task)
        self._notify()

    def _cancel_handlers(self) -> set[asyncio.Task[None]]:
        """Cancel what runs, and abort what does not; return the tasks that were cancelled."""
        tasks = self._orphans.copy()
        for connection in self.connections:
            self.logger.warning("Shutdown: %s", connection.describe())
            if connection.task is None:
                connection.abort()
            else:
                tasks.add(connection.task)
                connection.cancel_handler()
        for task in self._orphans:
            self.logger.warning("Shutdown: a handler whose client has left still runs")
            task.cancel()
        return tasks

    def _cancel_background(self) -> set[asyncio.Task[Any]]:
        """Cancel what requests have left to be done; return the tasks that were cancelled."""
        tasks = set()
        for work in list(self._background.values()):
            self.logger.warning("Shutdown: the background work of %s still runs", work.title)
            task = work.cancel()
            if task is not None:
                tasks.add(task)
        return tasks
