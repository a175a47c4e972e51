"""Sites: where they listen, what they are called, what they leave behind."""

import asyncio
import errno
import os
import socket
import ssl
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import lowlevel as web

needs_unix_sockets = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="the system has no Unix sockets"
)
needs_abstract_sockets = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has abstract Unix sockets"
)


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="the system has no IPv6")


async def handler(request: web.BaseRequest) -> web.Response:
    return web.Response(text="here")


@asynccontextmanager
async def a_runner() -> AsyncIterator[web.ServerRunner]:
    async with web.ServerRunner(web.Server(handler), shutdown_timeout=5) as runner:
        yield runner


REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def get_from(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Send one request and return the whole answer."""
    try:
        async with asyncio.timeout(20):
            writer.write(REQUEST)
            return await reader.read()
    finally:
        writer.close()


async def get(host: str, port: int, **tls: Any) -> bytes:
    return await get_from(*await asyncio.open_connection(host, port, **tls))


async def get_unix(path: str, **tls: Any) -> bytes:
    return await get_from(*await asyncio.open_unix_connection(path, **tls))


def is_the_answer(answer: bytes) -> bool:
    return answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\nhere")


# --- all sites ----------------------------------------------------------------------------


async def test_a_site_needs_a_runner_that_is_set_up() -> None:
    runner = web.ServerRunner(web.Server(handler))
    with pytest.raises(RuntimeError, match=r"setup\(\)"):
        web.TCPSite(runner)
    async with runner:
        site = web.TCPSite(runner, "127.0.0.1", 0)
    with pytest.raises(RuntimeError, match="not set up"):
        await site.start()
    assert runner.sites == set()


async def test_start_and_stop() -> None:
    async with a_runner() as runner:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        assert repr(site) == "<TCPSite http://127.0.0.1:0 stopped>"
        assert (runner.sites, runner.addresses, site.addresses) == (set(), [], [])
        with pytest.raises(RuntimeError, match="not started"):
            await site.stop()

        await site.start()
        port = site.port
        assert repr(site) == f"<TCPSite http://127.0.0.1:{port} listening>"
        assert runner.sites == {site}
        assert runner.addresses == site.addresses == [("127.0.0.1", port)]
        with pytest.raises(RuntimeError, match="already started"):
            await site.start()
        assert is_the_answer(await get("127.0.0.1", port))

        await site.stop()
        assert (runner.sites, runner.addresses) == (set(), [])
        with pytest.raises(ConnectionRefusedError):
            await get("127.0.0.1", port)
        with pytest.raises(RuntimeError, match="not started"):
            await site.stop()

        await site.start()
        assert is_the_answer(await get("127.0.0.1", site.port))


async def test_stop_leaves_connections_alone_and_does_not_wait_for_them() -> None:
    async with a_runner() as runner:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"here")
        async with asyncio.timeout(20):
            await site.stop()
        assert is_the_answer(await get_from(reader, writer))


async def test_two_starts_at_once_are_one_too_many() -> None:
    async with a_runner() as runner:
        site = web.TCPSite(runner, "localhost", 0)
        results = await asyncio.gather(site.start(), site.start(), return_exceptions=True)
        assert [type(result) for result in results] == [type(None), RuntimeError]
        assert runner.sites == {site}


async def test_a_site_that_starts_during_cleanup_does_not_stay() -> None:
    """Looking up a name takes time, in which the runner may be cleaned up."""
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    site = web.TCPSite(runner, "localhost", 0)
    starting = asyncio.create_task(site.start())
    await asyncio.sleep(0)
    await runner.cleanup()
    with pytest.raises(RuntimeError, match="cleaned up|not set up"):
        await starting
    assert site.addresses == []
    with pytest.raises(ConnectionRefusedError):
        await get("127.0.0.1", site.port)


@pytest.mark.parametrize("kind", ["TCPSite", "SockSite"])
async def test_a_cancelled_start_leaves_nothing_that_listens(
    unused_tcp_port: int, kind: str
) -> None:
    def make(runner: web.ServerRunner) -> web.BaseSite:
        if kind == "TCPSite":
            return web.TCPSite(runner, "127.0.0.1", unused_tcp_port)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", unused_tcp_port))
        socks.append(sock)
        return web.SockSite(runner, sock)

    socks: list[socket.socket] = []
    async with a_runner() as runner:
        turns = 0
        while True:  # cancel at each point where start() waits
            starting = asyncio.create_task(make(runner).start())
            for _ in range(turns):
                await asyncio.sleep(0)
            starting.cancel()
            try:
                await starting
            except asyncio.CancelledError:
                assert runner.sites == set()
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", unused_tcp_port)
                for sock in socks:
                    sock.close()  # a site that was not begun has not taken it over
                turns += 1
            else:
                break
        assert turns > 0
        assert is_the_answer(await get("127.0.0.1", unused_tcp_port))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"backlog": 0}, ValueError),
        ({"backlog": "9"}, TypeError),
        ({"port": -1}, ValueError),
        ({"port": 65536}, ValueError),
        ({"port": "80"}, TypeError),
        ({"port": True}, TypeError),
        ({"host": ()}, ValueError),
        ({"ssl_context": True}, TypeError),
    ],
)
async def test_a_wrong_option_is_named(options: dict[str, Any], error: type[Exception]) -> None:
    async with a_runner() as runner:
        with pytest.raises(error, match=next(iter(options))):
            web.TCPSite(runner, **options)


async def test_shutdown_timeout_of_a_site_is_deprecated() -> None:
    async with a_runner() as runner:
        with pytest.warns(DeprecationWarning, match="belongs to the runner") as caught:
            web.TCPSite(runner, shutdown_timeout=3.0)
        assert caught[0].filename == __file__
        with pytest.warns(DeprecationWarning), pytest.raises(ValueError, match="shutdown_timeout"):
            web.TCPSite(runner, shutdown_timeout=-3.0)
        web.TCPSite(runner, shutdown_timeout=60.0)


# --- TCPSite ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "http://0.0.0.0:8080"),
        ({"host": ""}, "http://0.0.0.0:8080"),
        ({"port": 0}, "http://0.0.0.0:0"),
        ({"host": "localhost", "port": 80}, "http://localhost"),
        ({"host": "::1"}, "http://[::1]:8080"),
        ({"host": ("a", "::1")}, "http://a:8080, http://[::1]:8080"),
        ({"tls": True}, "https://0.0.0.0:8443"),
        ({"tls": True, "port": 443}, "https://0.0.0.0"),
        ({"tls": True, "port": 80}, "https://0.0.0.0:80"),
    ],
)
async def test_tcp_name(options: dict[str, Any], name: str) -> None:
    if options.pop("tls", False):
        options["ssl_context"] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    async with a_runner() as runner:
        assert web.TCPSite(runner, **options).name == name


async def test_port_zero_becomes_real() -> None:
    async with a_runner() as runner:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        assert (site.port, site.name) == (0, "http://127.0.0.1:0")
        await site.start()
        assert site.port > 0
        assert site.name == f"http://127.0.0.1:{site.port}"
        assert runner.addresses == [("127.0.0.1", site.port)]


@needs_ipv6
@pytest.mark.parametrize("host", [None, ("127.0.0.1", "::1")])
async def test_port_zero_is_one_port_at_every_address(host: Any) -> None:
    async with a_runner() as runner:
        site = web.TCPSite(runner, host, 0)
        await site.start()
        assert len(runner.addresses) == 2
        assert {address[1] for address in runner.addresses} == {site.port}
        assert is_the_answer(await get("127.0.0.1", site.port))
        assert is_the_answer(await get("::1", site.port))


@needs_ipv6
async def test_port_zero_that_is_taken_at_the_other_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The free port of the first address need not be free at the second: then another is tried."""
    bind = web.TCPSite._bind
    asked: list[int] = []

    async def taken_at_first(site: web.TCPSite, server: web.Server, port: int) -> Any:
        asked.append(port)
        if len(asked) == 2:
            raise OSError(errno.EADDRINUSE, "taken")
        return await bind(site, server, port)

    monkeypatch.setattr(web.TCPSite, "_bind", taken_at_first)
    async with a_runner() as runner:
        site = web.TCPSite(runner, None, 0)
        await site.start()
        assert asked[0] == asked[2] == 0
        assert asked[3] == site.port
        await site.stop()

        async def always_taken(site: web.TCPSite, server: web.Server, port: int) -> Any:
            if port:
                raise OSError(errno.EADDRINUSE, "taken")
            return await bind(site, server, port)

        monkeypatch.setattr(web.TCPSite, "_bind", always_taken)
        with pytest.raises(OSError, match="no port is free") as caught:
            await site.start()
        assert caught.value.errno == errno.EADDRINUSE

        async def broken(site: web.TCPSite, server: web.Server, port: int) -> Any:
            if port:
                raise PermissionError(errno.EACCES, "forbidden")
            return await bind(site, server, port)

        monkeypatch.setattr(web.TCPSite, "_bind", broken)
        with pytest.raises(PermissionError):
            await site.start()


async def test_port_in_use() -> None:
    async with a_runner() as runner:
        first = web.TCPSite(runner, "127.0.0.1", 0)
        await first.start()
        second = web.TCPSite(runner, "127.0.0.1", first.port)
        with pytest.raises(OSError) as caught:
            await second.start()
        assert caught.value.errno == errno.EADDRINUSE
        assert runner.sites == {first}
        await first.stop()
        await second.start()  # a failed start is none
        assert is_the_answer(await get("127.0.0.1", second.port))


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="the system has no SO_REUSEPORT")
async def test_reuse_port() -> None:
    async with a_runner() as runner:
        first = web.TCPSite(runner, "127.0.0.1", 0, reuse_port=True)
        await first.start()
        second = web.TCPSite(runner, "127.0.0.1", first.port, reuse_port=True)
        await second.start()
        assert runner.addresses == [("127.0.0.1", first.port)] * 2


async def test_tls(tls: Any) -> None:
    async with a_runner() as runner:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.server)
        await site.start()
        assert site.name == f"https://127.0.0.1:{site.port}"
        assert is_the_answer(await get("127.0.0.1", site.port, ssl=tls.client))


# --- UnixSite -----------------------------------------------------------------------------


@needs_unix_sockets
async def test_unix_site(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    async with a_runner() as runner:
        site = web.UnixSite(runner, path)
        assert site.name == f"http://unix:{path}:"
        assert not path.exists()
        await site.start()
        assert runner.addresses == [str(path)]
        assert is_the_answer(await get_unix(str(path)))
        await site.stop()
        assert not path.exists()
        await site.start()
        assert is_the_answer(await get_unix(str(path)))
    assert not path.exists()


@needs_unix_sockets
async def test_unix_site_with_tls(tmp_path: Path, tls: Any) -> None:
    path = str(tmp_path / "sock")
    async with a_runner() as runner:
        site = web.UnixSite(runner, path, ssl_context=tls.server)
        assert site.name == f"https://unix:{path}:"
        await site.start()
        answer = await get_unix(path, ssl=tls.client, server_hostname="localhost")
        assert is_the_answer(answer)


@needs_unix_sockets
@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
async def test_mode_is_set_before_anybody_can_connect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    path = tmp_path / "sock"
    refused: list[bool] = []
    chmod = os.chmod

    def chmod_and_try(name: str, bits: int) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            refused.append(sock.connect_ex(str(path)) == errno.ECONNREFUSED)
        chmod(name, bits)

    monkeypatch.setattr(os, "chmod", chmod_and_try)
    async with a_runner() as runner:
        await web.UnixSite(runner, path, mode=mode).start()
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert refused == [True]
        assert is_the_answer(await get_unix(str(path)))


@needs_unix_sockets
async def test_a_mode_that_cannot_be_set_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, mode: int) -> None:
        raise PermissionError(errno.EPERM, "not yours", path)

    monkeypatch.setattr(os, "chmod", refuse)
    async with a_runner() as runner:
        with pytest.raises(PermissionError):
            await web.UnixSite(runner, tmp_path / "sock", mode=0o600).start()
    assert list(tmp_path.iterdir()) == []


@needs_unix_sockets
async def test_a_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    async with a_runner() as runner:
        await web.UnixSite(runner, path).start()
        assert is_the_answer(await get_unix(str(path)))


@needs_unix_sockets
async def test_a_socket_file_that_is_answered_is_not(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    async with a_runner() as runner:
        first, second = web.UnixSite(runner, path), web.UnixSite(runner, path)
        await first.start()
        with pytest.raises(OSError, match="sock") as caught:
            await second.start()
        assert caught.value.errno == errno.EADDRINUSE
        assert runner.sites == {first}
        assert is_the_answer(await get_unix(str(path)))


@needs_unix_sockets
async def test_a_socket_whose_backlog_is_full_is_not_stale(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    async with a_runner() as runner:
        with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as client:
            busy.bind(str(path))
            busy.listen(0)
            client.connect(str(path))  # waits to be accepted, and no other may
            with pytest.raises(OSError) as caught:
                await web.UnixSite(runner, path).start()
        assert caught.value.errno == errno.EADDRINUSE
        assert path.is_socket()


@needs_unix_sockets
async def test_a_file_of_another_kind_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    path.write_text("precious")
    async with a_runner() as runner:
        with pytest.raises(OSError) as caught:
            await web.UnixSite(runner, path).start()
        assert caught.value.errno == errno.EADDRINUSE
        assert caught.value.filename == str(path)
    assert path.read_text() == "precious"


@needs_unix_sockets
async def test_unix_path_that_cannot_be(tmp_path: Path) -> None:
    async with a_runner() as runner:
        with pytest.raises(FileNotFoundError, match="missing/sock"):
            await web.UnixSite(runner, tmp_path / "missing" / "sock").start()
        with pytest.raises(OSError, match="too long"):
            await web.UnixSite(runner, tmp_path / ("long" * 50)).start()


@needs_unix_sockets
async def test_stop_removes_only_its_own_file(tmp_path: Path) -> None:
    """Somebody replaced the file: a new server's socket must not vanish with the old server."""
    path = tmp_path / "sock"
    async with a_runner() as runner:
        old, new = web.UnixSite(runner, path), web.UnixSite(runner, path)
        await old.start()
        path.unlink()
        await new.start()
        await old.stop()
        assert is_the_answer(await get_unix(str(path)))
        await new.stop()
        assert not path.exists()


@needs_unix_sockets
async def test_stop_without_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    async with a_runner() as runner:
        site = web.UnixSite(runner, path)
        await site.start()
        path.unlink()
        await site.stop()
    assert list(tmp_path.iterdir()) == []


@needs_unix_sockets
async def test_a_file_that_may_not_be_removed_does_not_spoil_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that gave up the rights with which it has bound."""

    def refuse(path: str) -> None:
        raise PermissionError(errno.EPERM, "not yours", path)

    path = tmp_path / "sock"
    async with a_runner() as runner:
        await web.UnixSite(runner, path).start()
        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", refuse)
            await runner.cleanup()
    assert runner.server is None
    with pytest.raises(ConnectionRefusedError):
        await get_unix(str(path))


@needs_unix_sockets
async def test_a_relative_path_is_that_of_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    async with a_runner() as runner:
        site = web.UnixSite(runner, "sock")
        await site.start()
        monkeypatch.chdir(tmp_path / "elsewhere")
        await site.stop()
    assert not (tmp_path / "sock").exists()


@needs_unix_sockets
async def test_a_failed_listen_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(site: web.UnixSite, server: web.Server, sock: socket.socket) -> Any:
        raise OSError(errno.ENFILE, "too many")

    monkeypatch.setattr(web.UnixSite, "_open_socket", fail)
    async with a_runner() as runner:
        with pytest.raises(OSError, match="too many"):
            await web.UnixSite(runner, tmp_path / "sock").start()
    assert list(tmp_path.iterdir()) == []


@needs_unix_sockets
async def test_a_cancelled_start_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is made in a thread, which cancelling does not stop."""
    loop = asyncio.get_running_loop()
    chmod, going_on = os.chmod, asyncio.Event()

    def chmod_and_tell(path: str, mode: int) -> None:
        chmod(path, mode)
        loop.call_soon_threadsafe(going_on.set)

    monkeypatch.setattr(os, "chmod", chmod_and_tell)
    path = tmp_path / "sock"
    async with a_runner() as runner:
        site = web.UnixSite(runner, path, mode=0o600)
        starting = asyncio.create_task(site.start())
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await going_on.wait()
        assert list(tmp_path.iterdir()) == []
        await site.start()
        assert is_the_answer(await get_unix(str(path)))


@needs_unix_sockets
async def test_a_cancelled_start_that_could_not_bind(tmp_path: Path) -> None:
    async with a_runner() as runner:
        starting = asyncio.create_task(web.UnixSite(runner, tmp_path / "gone" / "sock").start())
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting


@needs_abstract_sockets
async def test_abstract_socket() -> None:
    path = f"\0lowlevel-test-{os.getpid()}"
    async with a_runner() as runner:
        site = web.UnixSite(runner, path)
        assert site.name == f"http://unix:@{path[1:]}:"
        await site.start()
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)  # uvloop's clients do not know such names
        client.setblocking(False)
        assert is_the_answer(await get_from(*await asyncio.open_unix_connection(sock=client)))
        with pytest.raises(ValueError, match="mode"):
            web.UnixSite(runner, path, mode=0o600)


@needs_unix_sockets
@pytest.mark.parametrize(("mode", "error"), [("660", TypeError), (0o1777, ValueError)])
async def test_wrong_mode(mode: Any, error: type[Exception]) -> None:
    async with a_runner() as runner:
        with pytest.raises(error, match="mode"):
            web.UnixSite(runner, "sock", mode=mode)


async def test_no_unix_sockets_here(monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_runner() as runner:
        with monkeypatch.context() as patch:
            patch.delattr(socket, "AF_UNIX", raising=False)
            with pytest.raises(RuntimeError, match="Unix sockets"):
                web.UnixSite(runner, "sock")


# --- SockSite -----------------------------------------------------------------------------


async def test_sock_site() -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    async with a_runner() as runner:
        site = web.SockSite(runner, sock)
        assert site.name == f"http://127.0.0.1:{port}"
        await site.start()
        assert runner.addresses == [("127.0.0.1", port)]
        assert is_the_answer(await get("127.0.0.1", port))
        await site.stop()
        assert sock.fileno() == -1
        assert site.name == f"http://127.0.0.1:{port}"
        with pytest.raises(RuntimeError, match="closed"):
            await site.start()


async def test_sock_site_that_nobody_bound() -> None:
    """The system binds it when it listens: the name follows."""
    async with a_runner() as runner:
        site = web.SockSite(runner, socket.socket())
        assert site.name == "http://0.0.0.0:0"
        await site.start()
        port = runner.addresses[0][1]
        assert site.name == f"http://0.0.0.0:{port}"
        assert is_the_answer(await get("127.0.0.1", port))


@needs_ipv6
async def test_sock_site_of_ipv6_with_tls(tls: Any) -> None:
    sock = socket.create_server(("::1", 0), family=socket.AF_INET6)
    port = sock.getsockname()[1]
    async with a_runner() as runner:
        site = web.SockSite(runner, sock, ssl_context=tls.server)
        assert site.name == f"https://[::1]:{port}"
        await site.start()
        assert is_the_answer(await get("::1", port, ssl=tls.client))


@needs_unix_sockets
async def test_sock_site_of_a_unix_socket_keeps_its_file(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    async with a_runner() as runner:
        site = web.SockSite(runner, sock)
        assert site.name == f"http://unix:{path}:"
        await site.start()
        assert is_the_answer(await get_unix(str(path)))
    assert path.is_socket()


async def test_sock_must_be_a_stream_socket() -> None:
    async with a_runner() as runner:
        with pytest.raises(TypeError, match="sock"):
            web.SockSite(runner, 7)  # type: ignore[arg-type]
        with (
            socket.socket(type=socket.SOCK_DGRAM) as datagrams,
            pytest.raises(ValueError, match="stream socket"),
        ):
            web.SockSite(runner, datagrams)


# --- NamedPipeSite ------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="there it works")
async def test_named_pipes_are_of_windows() -> None:
    async with a_runner() as runner:
        with pytest.raises(RuntimeError, match="Windows"):
            web.NamedPipeSite(runner, r"\\.\pipe\lowlevel")
