"""TestServer: a handler on a real socket, from its start to its end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from yarl import URL

import lowlevel as web
from lowlevel.testing import Peer, TestServer, request_bytes

GET = request_bytes()


async def hello(request: web.BaseRequest) -> web.Response:
    return web.Response(text=f"Hello, {request.path_qs}")


async def ask(server: TestServer, data: bytes = GET) -> bytes:
    async with server.peer() as peer:
        return (await peer.ask(data)).body


def life(events: list[str], name: str = "life") -> AbstractAsyncContextManager[None]:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        events.append(f"{name} begins")
        yield
        events.append(f"{name} ends")

    return lifespan()


# --- Its life -----------------------------------------------------------------------------


async def test_it_serves_within_the_context() -> None:
    server = TestServer(hello)
    assert not server.started
    async with server as entered:
        assert entered is server
        assert server.started
        assert await ask(server) == b"Hello, /"
    assert not server.started
    with pytest.raises(ConnectionRefusedError):
        await ask(server)


async def test_start_and_close_by_hand() -> None:
    server = TestServer(hello)
    await server.close()
    await server.start_server()
    port = server.port
    await server.start_server()
    assert server.port == port
    assert await ask(server) == b"Hello, /"
    await server.close()
    await server.close()
    assert server.port == port


async def test_it_may_start_again() -> None:
    server = TestServer(hello)
    for _ in range(2):
        async with server:
            assert await ask(server) == b"Hello, /"


async def test_two_at_once() -> None:
    async with TestServer(hello) as one, TestServer(hello) as two:
        assert one.port != two.port
        assert await ask(one) == await ask(two)


async def test_it_has_the_names_of_others_test_servers() -> None:
    server = TestServer(hello)
    with pytest.raises(RuntimeError, match="no port before it is started"):
        server.port  # noqa: B018
    assert repr(server) == "<TestServer not started>"
    async with server:
        assert (server.host, server.scheme) == ("127.0.0.1", "http")
        assert isinstance(server.server, web.Server)
        assert isinstance(server.runner, web.ServerRunner)
        assert server.runner.addresses == [("127.0.0.1", server.port)]
        assert repr(server) == f"<TestServer http://127.0.0.1:{server.port}>"


async def test_a_server_that_is_made() -> None:
    server = web.Server(hello, access_log=None)
    async with TestServer(server) as testing:
        assert testing.server is server
        assert await ask(testing) == b"Hello, /"
        assert server.requests_count == 1


async def test_a_port_of_ones_own(unused_tcp_port: int) -> None:
    async with TestServer(hello, port=unused_tcp_port) as server:
        assert server.port == unused_tcp_port
        other = TestServer(hello, port=unused_tcp_port)
        with pytest.raises(OSError):
            await other.start_server()
        assert not other.started


async def test_handlers_are_cancelled_in_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        try:
            begun.set()
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return web.Response()

    begun, cancelled = asyncio.Event(), asyncio.Event()
    async with TestServer(handler, shutdown_timeout=0.01) as server, server.peer() as peer:
        await peer.send(GET)
        await begun.wait()
        await server.close()
    assert cancelled.is_set()
    assert "Shutdown:" in caplog.text


# --- Lifespans ----------------------------------------------------------------------------


async def test_lifespan() -> None:
    events: list[str] = []
    async with TestServer(hello, lifespan=life(events)) as server:
        assert events == ["life begins"]
        await ask(server)
    assert events == ["life begins", "life ends"]


async def test_the_lifespan_of_an_application() -> None:
    app = web.Application()
    events: list[object] = []
    app.on_startup.append(lambda app: events.append("startup"))
    app.on_shutdown.append(lambda app: events.append("shutdown"))
    async with TestServer(app):
        assert events == ["startup"]
    assert events == ["startup", "shutdown"]


async def test_a_lifespan_that_cannot_begin() -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        raise OSError("no database")
        yield

    server = TestServer(hello, lifespan=broken())
    with pytest.raises(OSError, match="no database"):
        await server.start_server()
    assert not server.started


async def test_a_lifespan_that_cannot_end() -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        yield
        raise OSError("no database")

    server = TestServer(hello, lifespan=broken())
    await server.start_server()
    with pytest.raises(OSError, match="no database"):
        await server.close()
    assert not server.started
    with pytest.raises(ConnectionRefusedError):
        await ask(server)


async def test_the_lifespan_ends_when_nothing_can_listen(unused_tcp_port: int) -> None:
    events: list[str] = []
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", unused_tcp_port))
        sock.listen()
        with pytest.raises(OSError):
            await TestServer(hello, port=unused_tcp_port, lifespan=life(events)).start_server()
    assert events == ["life begins", "life ends"]


# --- Addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("/", "/"),
        ("", "/"),
        ("/a/b?c=d&e", "/a/b?c=d&e"),
        ("a", "/a"),
        ("/a b/\xe9?\xe9", "/a%20b/%C3%A9?%C3%A9"),
        ("/a%2Fb%20c", "/a%2Fb%20c"),
        (URL("/a%7Eb", encoded=True), "/a%7Eb"),
    ],
)
async def test_make_url(path: str | URL, end: str) -> None:
    async with TestServer(hello) as server:
        url = server.make_url(path)
        assert str(url) == f"http://127.0.0.1:{server.port}{end}"
        assert server.make_url(url) == url
    assert server.make_url(path) == url


@pytest.mark.parametrize("path", ["http://127.0.0.1:1/", "//127.0.0.1/x", "https://a.test"])
async def test_the_url_of_another_server(path: str) -> None:
    async with TestServer(hello) as server:
        with pytest.raises(ValueError, match="is not on this server"):
            server.make_url(path)


@pytest.mark.parametrize(
    ("host", "shown"),
    [("0.0.0.0", "127.0.0.1"), ("localhost", "localhost"), ("::1", "[::1]"), ("::", "[::1]")],
)
async def test_hosts(host: str, shown: str) -> None:
    if ":" in host:
        if not socket.has_ipv6:
            pytest.skip("no IPv6")
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("no IPv6")
    async with TestServer(hello, host=host) as server:
        assert server.host == host
        assert str(server.make_url("/")) == f"http://{shown}:{server.port}/"
        assert await ask(server) == b"Hello, /"


async def test_tls(tls: Any) -> None:
    async with TestServer(hello, ssl_context=tls.server) as server:
        assert str(server.make_url("/x")) == f"https://127.0.0.1:{server.port}/x"
        async with server.peer(ssl=tls.client) as peer:
            assert (await peer.ask(GET)).body == b"Hello, /"


async def test_peers_have_options() -> None:
    async with TestServer(hello) as server, server.peer(deadline=1, reading=False) as peer:
        assert isinstance(peer, Peer)
        assert peer.deadline == 1
        await peer.send(GET)
        peer.start_reading()
        assert (await peer.answer()).status == 200


# --- Options ------------------------------------------------------------------------------


async def test_options_of_the_server() -> None:
    async def echo(request: web.BaseRequest) -> web.Response:
        return web.Response(body=await request.read())

    async with TestServer(echo, client_max_size=2) as server, server.peer() as peer:
        assert (await peer.ask(request_bytes("POST", body=b"abc"))).status == 413


async def test_there_is_no_access_log_but_on_demand(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with TestServer(hello) as server:
        await ask(server)
    assert caplog.records == []
    async with TestServer(hello, access_log=logging.getLogger("requests")) as server:
        await ask(server)
    assert [record.name for record in caplog.records] == ["requests"]


@pytest.mark.parametrize(
    ("options", "error", "name"),
    [
        ({"client_max_size": -1}, ValueError, "client_max_size"),
        ({"port": -1}, ValueError, "port"),
        ({"port": "1"}, TypeError, "port"),
        ({"shutdown_timeout": None}, TypeError, "shutdown_timeout"),
        ({"lifespan": 1}, TypeError, "lifespan"),
        ({"no_option": 1}, TypeError, "no_option"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], name: str) -> None:
    with pytest.raises(error, match=name):
        TestServer(hello, **options)


def test_options_of_a_server_that_is_made() -> None:
    with pytest.raises(ValueError, match="debug, client_max_size"):
        TestServer(web.Server(hello), debug=True, client_max_size=1)


def test_no_handler() -> None:
    with pytest.raises(TypeError, match="handler"):
        TestServer(None)  # type: ignore[arg-type]


def test_pytest_does_not_collect_it() -> None:
    assert TestServer.__test__ is False
