"""A server for tests: one handler on a free port of this machine."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from ssl import SSLContext
from types import TracebackType
from typing import Any, Final, Self, Unpack

from yarl import URL

from ..handlers import Handler
from ..options import check_count, check_seconds
from ..runner import ServerRunner
from ..server import Server, ServerOptions
from ..sites import TCPSite
from .peer import Peer, PeerOptions

__all__ = ("ServingOptions", "TestServer")

# An address to listen at every interface is none to connect to.
_REACHED_AT: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


class ServingOptions(ServerOptions, total=False):
    """The options of TestServer; defaults and meaning are told there."""

    host: str
    port: int
    ssl_context: SSLContext | None
    lifespan: AbstractAsyncContextManager[Any, Any] | None
    shutdown_timeout: float


class TestServer:
    """Serves a handler on a real socket from ``start_server()`` to ``close()``, or within ``async with``.

    Nothing listens before that.

    Args:
        handler: ``async (request) -> response``, an Application for example; or a Server, then without options.
        host: An address or a name to listen at.
        port: The port; 0 is a free one.
        ssl_context: Serve TLS with it.
        lifespan: Entered before the server listens, left when its last connection is gone; ServerRunner tells
            more. Default: the attribute ``lifespan`` of the handler, if it has one.
        shutdown_timeout: Seconds that handlers have to end in ``close()``; then they are cancelled.
        options: Those of Server. There is no access log unless ``access_log`` gives one.

    Attributes:
        host: The address it listens at.
        scheme: ``"http"`` or ``"https"``.
        server: The Server.
        runner: The ServerRunner, which enters and leaves the lifespan.

    Raises:
        TypeError, ValueError: An option of a wrong type or value; the message names it.
    """

    __test__ = False  # pytest collects what is called Test...

    def __init__(
        self,
        handler: Handler | Server,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: SSLContext | None = None,
        lifespan: AbstractAsyncContextManager[Any, Any] | None = None,
        shutdown_timeout: float = 2.0,
        **options: Unpack[ServerOptions],
    ) -> None:
        if isinstance(handler, Server):
            if options:
                names = ", ".join(options)
                raise ValueError(f"{names}: give that to the Server, which is already made")
            self.server = handler
        else:
            options.setdefault("access_log", None)
            self.server = Server(handler, **options)
        self.host = host
        self.scheme = "http" if ssl_context is None else "https"
        self.runner = ServerRunner(
            self.server,
            lifespan=lifespan,
            shutdown_timeout=check_seconds("shutdown_timeout", shutdown_timeout),
        )
        self._port = check_count("port", port, 0)
        self._ssl_context = ssl_context
        self._site: TCPSite | None = None

    @property
    def started(self) -> bool:
        """Whether it has been started and not been closed."""
        return self.runner.server is not None

    @property
    def port(self) -> int:
        """The port that is bound, also after the end.

        Raises:
            RuntimeError: Before the first start.
        """
        if self._site is None:
            raise RuntimeError("the server has no port before it is started")
        return self._site.port

    async def start_server(self) -> None:
        """Enter the lifespan, then listen; does nothing if that is done. After ``close()`` it may start again.

        When it fails or is cancelled, what was begun is undone.

        Raises:
            OSError: The address cannot be listened at.
            Exception: What the lifespan raises.
        """
        if self.started:
            return
        await self.runner.setup()
        try:
            site = TCPSite(self.runner, self.host, self._port, ssl_context=self._ssl_context)
            await site.start()
        except BaseException:
            await self.runner.cleanup()
            raise
        self._site = site

    async def close(self) -> None:
        """Stop listening, end the connections, leave the lifespan; does nothing if that is done.

        Handlers have ``shutdown_timeout`` seconds to end. When cancelled it stops waiting; call it again to go on.

        Raises:
            Exception: What the lifespan raises, when the server is down all the same.
        """
        await self.runner.cleanup()

    def make_url(self, path: str | URL = "/") -> URL:
        """Return the URL of a path on this server, with its query.

        A string is percent-encoded where it has to be; ``URL(path, encoded=True)`` is taken as it is.

        Raises:
            ValueError: The URL of another server.
            RuntimeError: Before the first start.
        """
        host = _REACHED_AT.get(self.host, self.host)
        root = URL.build(scheme=self.scheme, host=host, port=self.port, path="/")
        url = URL(path)
        if not url.absolute:
            return root.join(url)
        if url.scheme and url.origin() == root.origin():
            return url
        raise ValueError(f"{str(path)!r} is not on this server, {root.origin()}")

    def peer(self, **options: Unpack[PeerOptions]) -> AbstractAsyncContextManager[Peer]:
        """Return the context manager of a Peer that is connected to this server; options of ``Peer.connect``."""
        options.setdefault("host", _REACHED_AT.get(self.host, self.host))
        return Peer.connect(self.port, **options)

    def __repr__(self) -> str:
        where = f"{self.scheme}://{self.host}:{self.port}" if self.started else "not started"
        return f"<{type(self).__name__} {where}>"

    async def __aenter__(self) -> Self:
        await self.start_server()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
