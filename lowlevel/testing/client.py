"""A client for tests: aiohttp's, with paths of one server for URLs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from ssl import SSLContext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, TypeVar, Unpack

from yarl import URL

from ..handlers import Handler
from ..server import Server, ServerOptions
from .peer import Peer, PeerOptions
from .server import TestServer

try:
    import aiohttp
except ImportError as exc:
    raise ImportError(
        "lowlevel.testing.TestClient needs aiohttp, which the extra 'testing' installs: "
        "pip install '.[testing]' where the sources are, or pip install aiohttp"
    ) from exc

if TYPE_CHECKING:
    from aiohttp.abc import AbstractCookieJar
    from aiohttp.typedefs import LooseCookies, LooseHeaders, Query

__all__ = ("ClientOptions", "RequestOptions", "TestClient", "WebSocketConnectOptions")

_Opened = TypeVar("_Opened", bound=AbstractAsyncContextManager[Any])

# How long a server may take for the end of a WebSocket that a test has left open, in seconds.
_CLOSE_SECONDS = 2.0


class RequestOptions(TypedDict, total=False):
    """The options of a request; they mean what they mean to aiohttp's client.

    ``data`` may also be an asynchronous generator function, which is called. ``timeout`` may also be a number of
    seconds for the whole request.
    """

    params: Query
    data: Any
    json: Any
    headers: LooseHeaders | None
    cookies: LooseCookies | None
    auth: aiohttp.BasicAuth | None
    allow_redirects: bool
    max_redirects: int
    timeout: float | aiohttp.ClientTimeout | None
    skip_auto_headers: Iterable[str] | None
    compress: str | bool | None
    chunked: bool | None
    expect100: bool
    raise_for_status: bool | Callable[[aiohttp.ClientResponse], Awaitable[None]] | None
    auto_decompress: bool | None
    read_until_eof: bool
    read_bufsize: int | None
    max_line_size: int | None
    max_field_size: int | None
    ssl: SSLContext | bool
    server_hostname: str | None


class WebSocketConnectOptions(TypedDict, total=False):
    """The options of ``ws_connect``; they mean what they mean to aiohttp's client."""

    method: str
    protocols: Iterable[str]
    origin: str | None
    params: Query
    headers: LooseHeaders | None
    auth: aiohttp.BasicAuth | None
    timeout: aiohttp.ClientWSTimeout
    heartbeat: float | None
    autoclose: bool
    autoping: bool
    compress: int
    max_msg_size: int
    ssl: SSLContext | bool
    server_hostname: str | None


class ClientOptions(ServerOptions, total=False):
    """The options of TestClient; defaults and meaning are told there."""

    cookie_jar: AbstractCookieJar | None
    cookies: LooseCookies | None
    headers: LooseHeaders | None
    timeout: float | aiohttp.ClientTimeout | None
    ssl: SSLContext | bool
    lifespan: AbstractAsyncContextManager[Any, Any] | None


class TestClient:
    """Asks one server, from ``start_server()`` to ``close()``, or within ``async with``.

    It keeps cookies, follows redirects, and returns aiohttp's ClientResponse and ClientWebSocketResponse. Entering it
    starts the server too, and with it the lifespan. Cancelling a request or a wait for a message closes the connection
    to the server, as a client does that leaves.

    Args:
        handler: What to ask: a handler or a Server, for which a TestServer is made, or a TestServer.
        cookie_jar: Default: one that takes cookies from IP addresses, too.
        cookies: Sent with every request.
        headers: Sent with every request.
        timeout: Seconds that a whole request may take, or any wait for a message of a WebSocket; None: no limit.
        ssl: What a server with TLS is checked with; False: not at all.
        lifespan: That of TestServer.
        options: Those of Server, of which the client's server is made.

    Raises:
        TypeError, ValueError: An option of a wrong type or value, or one that belongs to the TestServer or
            Server that was given; the message names it.
    """

    __test__ = False  # pytest collects what is called Test...

    def __init__(
        self,
        handler: Handler | Server | TestServer,
        *,
        cookie_jar: AbstractCookieJar | None = None,
        cookies: LooseCookies | None = None,
        headers: LooseHeaders | None = None,
        timeout: float | aiohttp.ClientTimeout | None = 30.0,
        ssl: SSLContext | bool = True,
        lifespan: AbstractAsyncContextManager[Any, Any] | None = None,
        **options: Unpack[ServerOptions],
    ) -> None:
        if isinstance(handler, TestServer):
            given = [*options, *(["lifespan"] if lifespan is not None else [])]
            if given:
                raise ValueError(f"{', '.join(given)}: give that to the TestServer")
            self._server = handler
        else:
            self._server = TestServer(handler, lifespan=lifespan, **options)
        self._cookie_jar = cookie_jar
        self._cookies = cookies
        self._headers = headers
        self._timeout = _client_timeout(timeout)
        self._ssl = ssl
        self._session: aiohttp.ClientSession | None = None
        self._started_server = False
        self._responses: list[aiohttp.ClientResponse] = []
        self._websockets: list[aiohttp.ClientWebSocketResponse] = []

    @property
    def server(self) -> TestServer:
        """The server it asks."""
        return self._server

    @property
    def host(self) -> str:
        """The server's host."""
        return self._server.host

    @property
    def port(self) -> int:
        """The server's port.

        Raises:
            RuntimeError: Before the start.
        """
        return self._server.port

    @property
    def session(self) -> aiohttp.ClientSession:
        """aiohttp's session, for what is not offered here.

        Raises:
            RuntimeError: It is not started.
        """
        if self._session is None:
            raise RuntimeError("the client is not started: use 'async with', or start_server()")
        return self._session

    def make_url(self, path: str | URL = "/") -> URL:
        """Return the URL of a path, as ``TestServer.make_url`` does."""
        return self._server.make_url(path)

    def peer(self, **options: Unpack[PeerOptions]) -> AbstractAsyncContextManager[Peer]:
        """Return the context manager of a Peer that is connected to the server; options of ``Peer.connect``."""
        return self._server.peer(**options)

    async def start_server(self) -> None:
        """Start the server unless it is started, and make the session; does nothing if that is done.

        When it fails or is cancelled, what was begun is undone.

        Raises:
            OSError: The address cannot be listened at.
            Exception: What the lifespan raises.
        """
        if self._session is not None:
            return
        # First of all: bad options are told when nothing has to be undone.
        session = self._make_session()
        try:
            if not self._server.started:
                await self._server.start_server()
                self._started_server = True
        except BaseException:
            await session.close()
            raise
        self._session = session

    def _make_session(self) -> aiohttp.ClientSession:
        # A jar without cookies is false.
        jar = aiohttp.CookieJar(unsafe=True) if self._cookie_jar is None else self._cookie_jar
        # A test may open any number of streams and WebSockets: another would wait for one to end.
        connector = aiohttp.TCPConnector(ssl=self._ssl, limit=0)
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=jar,
            cookies=self._cookies,
            headers=self._headers,
            timeout=self._timeout,
        )
        # A test asks once: what the server drops is an error, and no GET goes out again behind our back, least of all
        # to a server that is being closed. aiohttp's own test client has no other way.
        session._retry_connection = False
        return session

    async def close(self) -> None:
        """Close what is open: responses, WebSockets, the session, then the server if this client has started it.

        Does nothing if that is done. Everything is closed also when some of it fails or this call is cancelled.

        Raises:
            Exception: What the lifespan raises.
        """
        async with AsyncExitStack() as stack:
            if self._started_server:
                stack.push_async_callback(self._close_server)
            if self._session is not None:
                stack.push_async_callback(self._session.close)
                self._session = None
            for response in self._responses:
                response.close()
            stack.push_async_callback(_close_websockets, self._websockets)
            self._responses, self._websockets = [], []

    async def _close_server(self) -> None:
        try:
            await self._server.close()
        finally:
            # Still up if that was cancelled: close() may be called again.
            self._started_server = self._server.started

    # --- Requests

    def request(
        self, method: str, path: str | URL, **options: Unpack[RequestOptions]
    ) -> _Opening[aiohttp.ClientResponse]:
        """Send a request: ``await`` it for the response, or ``async with`` it to have that closed at the end.

        Args:
            method: Any method.
            path: A path on the server with its query, as ``make_url`` takes it.
            options: See RequestOptions.

        Raises:
            RuntimeError: The client is not started.
            ValueError: The URL of another server.
            aiohttp.ClientError, TimeoutError: As aiohttp's client.
        """
        return _Opening(self._request(method, path, options))

    def get(
        self, path: str | URL, **options: Unpack[RequestOptions]
    ) -> _Opening[aiohttp.ClientResponse]:
        """Send a GET request; see ``request``."""
        return self.request("GET", path, **options)

    def post(
        self, path: str | URL, **options: Unpack[RequestOptions]
    ) -> _Opening[aiohttp.ClientResponse]:
        """Send a POST request; see ``request``."""
        return self.request("POST", path, **options)

    def put(
        self, path: str | URL, **options: Unpack[RequestOptions]
    ) -> _Opening[aiohttp.ClientResponse]:
        """Send a PUT request; see ``request``."""
        return self.request("PUT", path, **options)

    def patch(
        self, path: str | URL, **options: Unpack[RequestOptions]
    ) -> _Opening[aiohttp.ClientResponse]:
        """Send a PATCH request; see ``request``."""
        return self.request("PATCH", path, **options)

    def delete(
        self, path: str | URL, **options: Unpack[RequestOptions]
    ) -> _Opening[aiohttp.ClientResponse]:
        """Send a DELETE request; see ``request``."""
        return self.request("DELETE", path, **options)

    def head(
        self, path: str | URL, **options: Unpack[RequestOptions]
    ) -> _Opening[aiohttp.ClientResponse]:
        """Send a HEAD request; see ``request``. Redirects are not followed unless ``allow_redirects`` says so."""
        options.setdefault("allow_redirects", False)
        return self.request("HEAD", path, **options)

    def options(
        self, path: str | URL, **options: Unpack[RequestOptions]
    ) -> _Opening[aiohttp.ClientResponse]:
        """Send an OPTIONS request; see ``request``."""
        return self.request("OPTIONS", path, **options)

    def ws_connect(
        self, path: str | URL, **options: Unpack[WebSocketConnectOptions]
    ) -> _Opening[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket: ``await`` it, or ``async with`` it to have it closed at the end.

        Args:
            path: A path on the server with its query, as ``make_url`` takes it.
            options: See WebSocketConnectOptions.

        Raises:
            RuntimeError: The client is not started.
            ValueError: The URL of another server.
            aiohttp.WSServerHandshakeError: The server answered something else; its ``status`` is there.
            aiohttp.ClientError, TimeoutError: As aiohttp's client.
        """
        return _Opening(self._ws_connect(path, options))

    async def _request(
        self, method: str, path: str | URL, options: RequestOptions
    ) -> aiohttp.ClientResponse:
        taken: dict[str, Any] = dict(options)
        if "timeout" in taken:
            taken["timeout"] = _client_timeout(taken["timeout"])
        if inspect.isasyncgenfunction(taken.get("data")):
            taken["data"] = taken["data"]()
        response = await self.session.request(method, self.make_url(path), **taken)
        self._responses = [one for one in self._responses if not one.closed]
        self._responses.append(response)
        return response

    async def _ws_connect(
        self, path: str | URL, options: WebSocketConnectOptions
    ) -> aiohttp.ClientWebSocketResponse:
        options.setdefault("timeout", aiohttp.ClientWSTimeout(self._timeout.total, _CLOSE_SECONDS))
        taken: dict[str, Any] = dict(options)
        websocket: aiohttp.ClientWebSocketResponse
        websocket = await self.session.ws_connect(self.make_url(path), **taken)
        self._websockets = [one for one in self._websockets if not one.closed]
        self._websockets.append(websocket)
        return websocket

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._server!r}>"

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


class _Opening(Coroutine[Any, Any, _Opened]):
    """What a request returns: a coroutine, which tasks can be made of, and an asynchronous context manager."""

    def __init__(self, opening: Coroutine[Any, Any, _Opened]) -> None:
        self._opening = opening
        self._opened: _Opened | None = None

    def send(self, value: Any) -> Any:
        return self._opening.send(value)

    def throw(self, *args: Any) -> Any:
        return self._opening.throw(*args)

    def close(self) -> None:
        self._opening.close()

    def __await__(self) -> Generator[Any, Any, _Opened]:
        return self._opening.__await__()

    async def __aenter__(self) -> _Opened:
        self._opened = opened = await self._opening
        return opened

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            await self._opened.__aexit__(exc_type, exc, traceback)


def _client_timeout(timeout: float | aiohttp.ClientTimeout | None) -> aiohttp.ClientTimeout:
    if isinstance(timeout, aiohttp.ClientTimeout):
        return timeout
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float)):
        raise TypeError(f"timeout must be a number of seconds or a ClientTimeout, not {timeout!r}")
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout must be positive: {timeout!r}")
    return aiohttp.ClientTimeout(total=timeout)


async def _close_websockets(websockets: list[aiohttp.ClientWebSocketResponse]) -> None:
    # A handler that does not hear of it must not hold up the end of a test.
    try:
        async with asyncio.timeout(_CLOSE_SECONDS) as limit:
            await asyncio.gather(*(websocket.close() for websocket in websockets))
    except TimeoutError:
        if not limit.expired():
            raise
