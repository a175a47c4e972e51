"""Sites: the places where a runner's server listens. One class per kind of socket."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ssl import SSLContext

    from .runner import BaseRunner
    from .server import Server

__all__ = ("BaseSite", "NamedPipeSite", "SockSite", "TCPSite", "UnixSite")

_DEFAULT_SHUTDOWN_TIMEOUT = 60.0
_SHARED_PORT_ATTEMPTS = 10


class _Listener(Protocol):
    """What a site needs of an ``asyncio.Server``."""

    @property
    def sockets(self) -> Sequence[Any]: ...

    async def start_serving(self) -> None: ...

    def close(self) -> None: ...


class BaseSite(ABC):
    """A place to listen: made for a runner that is set up, then started, at the end stopped.

    ``runner.cleanup()`` stops the sites that are still started. A site that was stopped may be
    started again, except a SockSite, whose socket is closed. Nothing is bound before ``start()``.

    Args:
        runner: The runner; its ``setup()`` comes first.
        shutdown_timeout: Seconds. Deprecated: give it to the runner.
        ssl_context: Serve TLS with it. It is used as it is: certificates loaded into it later are
            served to new connections, and protocols to be offered by ALPN are yours to set -
            ``ssl_context.set_alpn_protocols(["http/1.1"])``; this server speaks nothing else.
        backlog: Connections that the system keeps waiting until they are accepted.

    Raises:
        RuntimeError: Before ``runner.setup()``.
        TypeError, ValueError: An option of a wrong type or value; the message names it.
    """

    def __init__(
        self,
        runner: BaseRunner,
        *,
        shutdown_timeout: float = _DEFAULT_SHUTDOWN_TIMEOUT,
        ssl_context: SSLContext | None = None,
        backlog: int = 128,
    ) -> None:
        if runner.server is None:
            raise RuntimeError("runner.setup() comes before making a site")
        if shutdown_timeout != _DEFAULT_SHUTDOWN_TIMEOUT:
            # One frame up is a subclass's __init__, two up the caller.
            warnings.warn(
                "shutdown_timeout belongs to the runner", DeprecationWarning, stacklevel=3
            )
            runner._set_shutdown_timeout(shutdown_timeout)
        if ssl_context is not None:
            _check_ssl_context(ssl_context)
        _check_int("backlog", backlog, minimum=1)
        self._runner = runner
        self._ssl_context = ssl_context
        self._backlog = backlog
        self._server: _Listener | None = None
        self._started = False

    @property
    @abstractmethod
    def name(self) -> str:
        """The site's URL, for people."""

    @property
    def addresses(self) -> list[Any]:
        """``getsockname()`` of each listening socket; empty while the site does not listen."""
        if self._server is None:
            return []
        return [sock.getsockname() for sock in self._server.sockets]

    async def start(self) -> None:
        """Bind and listen: on return, connections are accepted.

        After any failure, or when cancelled, nothing listens and the site may be started again.

        Raises:
            RuntimeError: Started already, or the runner is not set up any more.
            OSError: The address is in use, not permitted, not known.
        """
        server = self._runner.server
        if server is None:
            raise RuntimeError(f"{self.name} cannot start: its runner is not set up")
        if self._started:
            raise RuntimeError(f"{self.name} is already started")
        self._started = True
        try:
            # Not listening yet: a cancelled create_server() may leave a socket behind that accepts.
            self._server = await self._open(server)
            await self._server.start_serving()
            self._runner._reg_site(self)
        except BaseException:
            await self._close()
            raise

    async def stop(self) -> None:
        """Stop listening: new connections are refused, open ones stay.

        When cancelled, the site has stopped listening all the same.

        Raises:
            RuntimeError: Not started.
        """
        self._runner._unreg_site(self)
        await self._close()

    async def _close(self) -> None:
        # Not wait_closed(): since Python 3.12 it waits for the connections, which are the server's.
        listener, self._server = self._server, None
        self._started = False
        if listener is None:
            return
        try:
            await _let_accepted_in(listener)
        finally:
            listener.close()

    @abstractmethod
    async def _open(self, server: Server) -> _Listener:
        """Bind; accept nothing yet."""

    async def _open_socket(self, server: Server, sock: socket.socket) -> _Listener:
        return await asyncio.get_running_loop().create_server(
            server, sock=sock, ssl=self._ssl_context, backlog=self._backlog, start_serving=False
        )

    @property
    def _scheme(self) -> str:
        return "http" if self._ssl_context is None else "https"

    def __repr__(self) -> str:
        state = "stopped" if self._server is None else "listening"
        return f"<{type(self).__name__} {self.name} {state}>"


async def _let_accepted_in(listener: _Listener) -> None:
    """Accept what waits in the queue of the system, which dies with the socket; then no more.

    asyncio takes a turn of the loop to see it, and one to accept it. In a third, it becomes a connection: asyncio's
    server, once it is closed, drops what has not come so far (``Server._attach``).
    """
    loop = asyncio.get_running_loop()
    for _ in range(2):
        await asyncio.sleep(0)
    for sock in listener.sockets:
        # Other loops have no such reader, and no such gap.
        with suppress(NotImplementedError, RuntimeError):
            loop.remove_reader(sock.fileno())
    await asyncio.sleep(0)


class TCPSite(BaseSite):
    """Listen on a TCP port.

    Args:
        runner: As for BaseSite, like ``shutdown_timeout``, ``ssl_context`` and ``backlog``.
        host: Address or name to bind, or several; a name is bound at each of its addresses. None
            or empty: every interface, IPv4 and IPv6.
        port: Default 8080, with ``ssl_context`` 8443. 0: a free one, the same at each address.
        shutdown_timeout: Seconds. Deprecated: give it to the runner.
        ssl_context: As for BaseSite.
        backlog: Connections that wait to be accepted, as for BaseSite.
        reuse_address: Bind although connections of an earlier server linger. Default: true, on
            systems where that is safe.
        reuse_port: Share the port with other sockets that say so too. Default: false.

    Raises:
        RuntimeError, TypeError, ValueError: As BaseSite raises them.
    """

    def __init__(
        self,
        runner: BaseRunner,
        host: str | Sequence[str] | None = None,
        port: int | None = None,
        *,
        shutdown_timeout: float = _DEFAULT_SHUTDOWN_TIMEOUT,
        ssl_context: SSLContext | None = None,
        backlog: int = 128,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
    ) -> None:
        super().__init__(
            runner, shutdown_timeout=shutdown_timeout, ssl_context=ssl_context, backlog=backlog
        )
        if port is None:
            port = 8080 if ssl_context is None else 8443
        _check_int("port", port, minimum=0, maximum=65535)
        if host is not None and not isinstance(host, str) and not host:
            raise ValueError("host must name at least one address")
        self._host = host
        self._port = port
        self._bound_port = port
        self._reuse_address = reuse_address
        self._reuse_port = reuse_port

    @property
    def port(self) -> int:
        """The port asked for; from ``start()`` on the one that is bound."""
        return self._bound_port

    @property
    def name(self) -> str:
        hosts = [self._host] if isinstance(self._host, str) else self._host or [""]
        return ", ".join(_url(self._scheme, host or "0.0.0.0", self.port) for host in hosts)

    async def _open(self, server: Server) -> _Listener:
        if self._port == 0:
            listener = await self._bind_shared_port(server)
        else:
            listener = await self._bind(server, self._port)
        self._bound_port = _ports(listener)[0]
        return listener

    async def _bind_shared_port(self, server: Server) -> _Listener:
        """Bind every address to one free port.

        Asked for port 0, the system gives each address a port of its own, so `port` would be true
        of one of them only. Take the first one's for all, and another if that is not free.
        """
        for _ in range(_SHARED_PORT_ATTEMPTS):
            listener = await self._bind(server, 0)
            port = _ports(listener)[0]
            if set(_ports(listener)) == {port}:
                return listener
            listener.close()
            try:
                return await self._bind(server, port)
            except OSError as exc:
                if exc.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, f"no port is free at each address of {self._host!r}")

    async def _bind(self, server: Server, port: int) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(
            server,
            self._host or None,
            port,
            ssl=self._ssl_context,
            backlog=self._backlog,
            reuse_address=self._reuse_address,
            reuse_port=self._reuse_port,
            start_serving=False,
        )


class UnixSite(BaseSite):
    """Listen on a Unix socket.

    Args:
        runner: As for BaseSite.
        path: Of the socket file. One left behind by a server that died is replaced; where somebody
            answers, or a file of another kind is, ``start()`` raises OSError (EADDRINUSE). ``stop()``
            removes the file if it is still this site's. With a leading NUL: an abstract socket
            (Linux), without a file.
        mode: Permissions of the file, such as ``0o660``, in force before the first connection can
            come. Default: what the umask leaves. Connecting takes write permission.
        shutdown_timeout: Seconds. Deprecated: give it to the runner.
        ssl_context: As for BaseSite.
        backlog: Connections that wait to be accepted, as for BaseSite.

    Raises:
        RuntimeError: The system has no Unix sockets; or as BaseSite raises it.
        TypeError, ValueError: As BaseSite raises them.
    """

    def __init__(
        self,
        runner: BaseRunner,
        path: str | os.PathLike[str],
        *,
        mode: int | None = None,
        shutdown_timeout: float = _DEFAULT_SHUTDOWN_TIMEOUT,
        ssl_context: SSLContext | None = None,
        backlog: int = 128,
    ) -> None:
        super().__init__(
            runner, shutdown_timeout=shutdown_timeout, ssl_context=ssl_context, backlog=backlog
        )
        if not hasattr(socket, "AF_UNIX"):
            raise RuntimeError("this system has no Unix sockets")
        self._path = os.fspath(path)
        if mode is not None:
            _check_mode(mode)
            if _is_abstract(self._path):
                raise ValueError("mode: an abstract socket has no file, so no permissions")
        self._mode = mode
        self._file: _SocketFile | None = None

    @property
    def name(self) -> str:
        return f"{self._scheme}://unix:{_printable(self._path)}:"

    async def _open(self, server: Server) -> _Listener:
        binding = asyncio.create_task(asyncio.to_thread(_bind_unix, self._path, self._mode))
        try:
            sock, self._file = await asyncio.shield(binding)
        except asyncio.CancelledError:
            # The thread goes on. It does not take long, and what it makes must not be lost.
            with suppress(OSError):
                sock, self._file = await binding
                sock.close()
            raise
        try:
            return await self._open_socket(server, sock)
        except BaseException:
            sock.close()
            raise

    async def _close(self) -> None:
        file, self._file = self._file, None
        try:
            # While the socket is open its inode is in use, so no other file can have its number.
            if file is not None:
                await asyncio.to_thread(file.remove)
        finally:
            await super()._close()


class SockSite(BaseSite):
    """Listen on a socket that somebody else has bound: inherited, from systemd, of any family.

    Args:
        runner: As for BaseSite.
        sock: A bound stream socket. The site owns it from ``start()`` on and closes it at ``stop()``; the
            file of a Unix socket stays.
        shutdown_timeout: Seconds. Deprecated: give it to the runner.
        ssl_context: As for BaseSite.
        backlog: Connections that wait to be accepted, as for BaseSite.

    Raises:
        RuntimeError, TypeError, ValueError: As BaseSite raises them.
    """

    def __init__(
        self,
        runner: BaseRunner,
        sock: socket.socket,
        *,
        shutdown_timeout: float = _DEFAULT_SHUTDOWN_TIMEOUT,
        ssl_context: SSLContext | None = None,
        backlog: int = 128,
    ) -> None:
        super().__init__(
            runner, shutdown_timeout=shutdown_timeout, ssl_context=ssl_context, backlog=backlog
        )
        if not isinstance(sock, socket.socket):
            raise TypeError(f"sock must be a socket, not {sock!r}")
        if sock.type != socket.SOCK_STREAM:
            raise ValueError(f"sock must be a stream socket, not {sock!r}")
        self._sock = sock
        self._address = sock.getsockname()

    @property
    def name(self) -> str:
        [address] = self.addresses or [self._address]
        if isinstance(address, tuple):
            return _url(self._scheme, str(address[0]), address[1])
        return f"{self._scheme}://unix:{_printable(address)}:"

    async def _open(self, server: Server) -> _Listener:
        if self._sock.fileno() < 0:
            raise RuntimeError(f"{self.name} cannot start: its socket is closed")
        return await self._open_socket(server, self._sock)


class NamedPipeSite(BaseSite):
    r"""Listen on a named pipe of Windows.

    Args:
        runner: As for BaseSite.
        path: The pipe's name, such as ``\\.\pipe\name``.
        shutdown_timeout: Seconds. Deprecated: give it to the runner.

    Raises:
        RuntimeError: Not on Windows, or the loop is not a ProactorEventLoop; or as BaseSite raises it.
        TypeError, ValueError: As BaseSite raises them.
    """

    def __init__(
        self,
        runner: BaseRunner,
        path: str,
        *,
        shutdown_timeout: float = _DEFAULT_SHUTDOWN_TIMEOUT,
    ) -> None:
        proactor: type | None = getattr(asyncio, "ProactorEventLoop", None)
        if proactor is None or not isinstance(asyncio.get_running_loop(), proactor):
            raise RuntimeError("named pipes need Windows and its ProactorEventLoop")
        super().__init__(runner, shutdown_timeout=shutdown_timeout)  # pragma: no cover
        self._path = path  # pragma: no cover

    @property
    def name(self) -> str:  # pragma: no cover
        return self._path

    async def _open(self, server: Server) -> _Listener:  # pragma: no cover
        loop: Any = asyncio.get_running_loop()
        [pipe] = await loop.start_serving_pipe(server, self._path)
        return _PipeListener(pipe)


class _PipeListener:  # pragma: no cover
    """The pipe server of the ProactorEventLoop, which listens from birth and has no sockets."""

    sockets = ()

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe

    async def start_serving(self) -> None:
        pass

    def close(self) -> None:
        self._pipe.close()


# --- socket files. These functions block, so they run in a thread ---------------------------


class _SocketFile:
    """The file of a socket that is bound: remembered by what it is, not by its name alone."""

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)  # the current directory may change
        status = os.stat(path)
        self._identity = (status.st_dev, status.st_ino)

    def remove(self) -> None:
        try:
            status = os.stat(self._path)
            if (status.st_dev, status.st_ino) == self._identity:
                os.unlink(self._path)
        except OSError:
            pass  # gone, or no longer ours to remove (rights were dropped): it is stale then


def _bind_unix(path: str, mode: int | None) -> tuple[socket.socket, _SocketFile | None]:
    """Bind a Unix socket, not listening yet, and set the permissions of its file."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_abstract(path):
            sock.bind(path)
            return sock, None
        _bind_over_stale(sock, path)
        file = _SocketFile(path)
        try:
            if mode is not None:
                os.chmod(path, mode)
        except BaseException:
            file.remove()
            raise
        return sock, file
    except BaseException:
        sock.close()
        raise


def _bind_over_stale(sock: socket.socket, path: str) -> None:
    try:
        sock.bind(path)
    except OSError as exc:
        if exc.errno != errno.EADDRINUSE:
            if exc.errno is not None:  # None: the path is too long, and the message says so
                exc.filename = path
            raise
        if not _is_stale(path):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path) from None
        os.unlink(path)
        sock.bind(path)


def _is_stale(path: str) -> bool:
    """Whether a path is a socket that nobody listens on."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # Not to wait where somebody listens whose backlog is full.
        probe.setblocking(False)
        return probe.connect_ex(path) == errno.ECONNREFUSED


def _is_abstract(path: str) -> bool:
    return path.startswith("\0")


# --- small things ---------------------------------------------------------------------------


def _ports(listener: _Listener) -> list[int]:
    return [sock.getsockname()[1] for sock in listener.sockets]


_DEFAULT_PORTS = {"http": 80, "https": 443}


def _url(scheme: str, host: str, port: int) -> str:
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}" if port == _DEFAULT_PORTS[scheme] else f"{scheme}://{host}:{port}"


def _printable(path: str | bytes) -> str:
    """The path of a Unix socket, with the usual ``@`` for the NUL of an abstract one."""
    return os.fsdecode(path).replace("\0", "@")


def _check_int(name: str, value: int, *, minimum: int, maximum: int = sys.maxsize) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if not minimum <= value <= maximum:
        raise ValueError(f"{name} must be from {minimum} to {maximum}, not {value!r}")


def _check_mode(mode: int) -> None:
    if not isinstance(mode, int):
        raise TypeError(f"mode must be an int such as 0o660, not {mode!r}")
    if not 0 <= mode <= 0o777:
        raise ValueError(f"mode must be permission bits such as 0o660, not {mode:#o}")


def _check_ssl_context(ssl_context: object) -> None:
    import ssl  # slow to import, and whoever has a context has it already

    if not isinstance(ssl_context, ssl.SSLContext):
        raise TypeError(f"ssl_context must be an ssl.SSLContext, not {ssl_context!r}")
