"""The server: its options, its counts, the ways to listen with it, and its end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import lowlevel as web
from tests.conftest import TLS
from tests.support import DEADLINE, Peer, request, serving

GET = request()


async def hello(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="hello")


async def until(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await asyncio.sleep(0.001)
    except TimeoutError:
        pytest.fail(f"waited in vain for {what}")


async def within(awaitable: Awaitable[Any]) -> Any:
    async with asyncio.timeout(DEADLINE):
        return await awaitable


# --- Options ------------------------------------------------------------------------------

SECONDS = "keepalive_timeout head_timeout body_timeout write_timeout lingering_time timeout_ceil_threshold".split()
COUNTS = (
    "max_line_size max_field_size max_headers max_pipelined read_bufsize client_max_size".split()
)
FLAGS = "handler_cancellation auto_decompress tcp_keepalive debug".split()


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("value", [-1, -0.5, float("inf"), float("nan")])
def test_seconds_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        web.Server(hello, **{name: value})


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("value", ["1", None, True, [1]])
def test_seconds_of_a_wrong_type(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=name):
        web.Server(hello, **{name: value})


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("value", [0, 1, 0.25])
def test_seconds(name: str, value: float) -> None:
    server = web.Server(hello, **{name: value})
    assert getattr(server, name, value) == value


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [1.5, "1", None, True])
def test_counts_of_a_wrong_type(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=name):
        web.Server(hello, **{name: value})


@pytest.mark.parametrize("name", COUNTS)
def test_counts_out_of_range(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        web.Server(hello, **{name: -1})
    if name == "client_max_size":
        web.Server(hello, client_max_size=0)  # no limit
    else:
        with pytest.raises(ValueError, match=name):
            web.Server(hello, **{name: 0})


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("value", [0, "yes", None])
def test_flags_of_a_wrong_type(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=name):
        web.Server(hello, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("handler", 1),
        ("handler", None),
        ("request_factory", 1),
        ("logger", "log"),
        ("logger", None),
        ("access_log", "log"),
        ("access_log", True),
        ("access_log_class", str),
        ("access_log_class", None),
        ("access_log_format", None),
    ],
)
def test_objects_of_a_wrong_type(name: str, value: Any) -> None:
    options = {"handler": hello, name: value}
    handler = options.pop("handler")
    with pytest.raises(TypeError, match=name):
        web.Server(handler, **options)


def test_unknown_options() -> None:
    with pytest.raises(TypeError, match="keepalive_timeot"):
        web.Server(hello, keepalive_timeot=1)  # type: ignore[call-arg]


def test_options_are_keywords() -> None:
    with pytest.raises(TypeError):
        web.Server(hello, None)  # type: ignore[misc]


async def test_defaults_and_attributes() -> None:
    server = web.Server(hello, loop=asyncio.get_running_loop())
    assert server.request_handler is hello
    assert server.request_factory is None
    assert server.handler_cancellation is False
    assert server.keepalive_timeout == 3630
    assert server.requests_count == 0
    assert server.connections == []
    assert repr(server) == "<Server 0 connections>"


@pytest.mark.parametrize("off", [None, False])
async def test_no_access_log(off: Any) -> None:
    assert web.Server(hello, access_log=off).access_logger is None


async def test_a_disabled_access_logger_is_never_called() -> None:
    """``enabled`` is asked once for each connection."""
    asked: list[int] = []

    class Logger(web.AbstractAccessLogger):
        @property
        def enabled(self) -> bool:
            asked.append(1)
            return False

        def log(self, request: Any, response: Any, time: float) -> None:
            raise AssertionError("called")

    options: dict[str, Any] = {"access_log": logging.getLogger("test"), "access_log_class": Logger}
    async with serving(hello, **options) as site:
        for _ in range(2):
            async with Peer.connect(site.port) as peer:
                for _ in range(3):
                    assert (await peer.ask(GET)).status == 200
    assert len(asked) == 2


async def test_a_logger_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        raise ValueError

    async with (
        serving(handler, logger=logging.getLogger("mine")) as site,
        Peer.connect(site.port) as peer,
    ):
        assert (await peer.ask(GET)).status == 500
    assert [record.name for record in caplog.records] == ["mine"]


async def test_a_logger_that_only_looks_like_one() -> None:
    """From another library, or the mock of a test: what aiohttp calls is called."""
    fault = ValueError("fault")

    async def handler(request: web.BaseRequest) -> web.Response:
        raise fault

    logger = mock.Mock()
    async with serving(handler, logger=logger) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).status == 500
    logger.exception.assert_called_once_with(
        "Error handling request from %s", "127.0.0.1", exc_info=fault
    )


# --- Counts -------------------------------------------------------------------------------


async def test_requests_count_and_connections() -> None:
    async with serving(hello) as site:
        async with Peer.connect(site.port) as one, Peer.connect(site.port) as two:
            await until(lambda: len(site.server.connections) == 2, "two connections")
            assert site.server.requests_count == 0
            for _ in range(3):
                await one.ask(GET)
            await two.send(GET * 2)
            await two.answer()
            await two.answer()
            assert site.server.requests_count == 5
            assert len(site.server.connections) == 2
            assert all(isinstance(one, web.RequestHandler) for one in site.server.connections)
        await site.idle()
        assert site.server.requests_count == 5


# --- Ways to listen -----------------------------------------------------------------------


async def test_create_unix_server(tmp_path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(text=f"{request.scheme} {request.remote!r} {request.host}")

    path = str(tmp_path / "socket")
    server = web.Server(handler, access_log=None)
    listener = await asyncio.get_running_loop().create_unix_server(server, path)
    try:
        peer = Peer(*await asyncio.open_unix_connection(path))
        assert (await peer.ask(GET)).body.startswith(b"http ")
        answer = await peer.ask(request("POST", "/", "Connection: close", body=b"x"))
        assert answer.header("connection") == "close"
        assert await peer.read_eof() == b""
        peer.writer.close()
        peer = Peer(*await asyncio.open_unix_connection(path))
        await peer.send(b"junk\r\n\r\n")
        assert (await peer.answer()).status == 400
        peer.writer.close()
    finally:
        listener.close()
        await within(server.shutdown(1))


async def test_tls(tls: TLS) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        assert request.get_extra_info("ssl_object") is not None
        body = await request.read()
        return web.Response(body=body * 10, headers={"X-Scheme": request.scheme})

    server = web.Server(handler, access_log=None, client_max_size=0)
    listener = await asyncio.get_running_loop().create_server(
        server, "127.0.0.1", 0, ssl=tls.server
    )
    port = listener.sockets[0].getsockname()[1]
    try:
        async with Peer.connect(port, ssl=tls.client, server_hostname="localhost") as peer:
            for size in (0, 10, 500_000):
                answer = await peer.ask(request("POST", "/", body=b"x" * size))
                assert (answer.status, len(answer.body)) == (200, size * 10)
                assert answer.header("x-scheme") == "https"
            (one,) = server.connections
            assert one.ssl_context is tls.server
        await until(lambda: not server.connections, "the end of the connection")
        async with Peer.connect(port, ssl=tls.client, server_hostname="localhost") as peer:
            answer = await peer.ask(request("POST", "/", "Connection: close", body=b"x"))
            assert answer.body == b"x" * 10
            assert await peer.read_eof() == b""
        async with Peer.connect(port, ssl=tls.client, server_hostname="localhost") as peer:
            await peer.send(b"junk\r\n\r\n" + b"x" * 100_000)
            assert (await peer.answer()).status == 400
            assert await peer.read_eof() == b""
    finally:
        listener.close()
        await within(server.shutdown(1))


async def test_tls_client_that_leaves(tls: TLS, caplog: pytest.LogCaptureFixture) -> None:
    began = asyncio.Event()
    seen: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        began.set()
        try:
            await request.read()
        except Exception as exc:
            seen.append(exc)
            raise
        return web.Response()

    server = web.Server(handler, access_log=None)
    listener = await asyncio.get_running_loop().create_server(
        server, "127.0.0.1", 0, ssl=tls.server
    )
    port = listener.sockets[0].getsockname()[1]
    try:
        async with Peer.connect(port, ssl=tls.client, server_hostname="localhost") as peer:
            await peer.send(request("POST", "/", "Content-Length: 10") + b"12345")
            await within(began.wait())
        await until(lambda: not server.connections, "the end of the connection")
        await until(lambda: seen, "the end of the handler")
    finally:
        listener.close()
        await within(server.shutdown(1))
    (error,) = seen
    assert isinstance(error, ConnectionResetError)
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


# --- The end ------------------------------------------------------------------------------


async def test_pre_shutdown_closes_idle_and_never_used_connections_at_once() -> None:
    async with (
        serving(hello) as site,
        Peer.connect(site.port) as used,
        Peer.connect(site.port) as unused,
    ):
        assert (await used.ask(GET)).status == 200
        await until(lambda: len(site.server.connections) == 2, "two connections")
        site.server.pre_shutdown()
        assert await used.read_eof() == b""
        assert await unused.read_eof() == b""
        await site.idle()


async def test_running_requests_are_answered_with_connection_close() -> None:
    began, go = asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        began.set()
        await go.wait()
        if request.path == "/stream":
            return web.StreamResponse()
        return web.Response(text="last")

    for path in ("/", "/stream"):
        began.clear()
        go.clear()
        async with serving(handler) as site, Peer.connect(site.port) as peer:
            await peer.send(request(target=path))
            await within(began.wait())
            shutdown = asyncio.create_task(site.server.shutdown(DEADLINE))
            await asyncio.sleep(0.01)
            assert not shutdown.done()
            go.set()
            answer = await peer.answer()
            assert (answer.status, answer.header("connection")) == (200, "close")
            assert await peer.read_eof() == b""
            await within(shutdown)


async def test_the_rest_of_a_pipeline_is_not_begun() -> None:
    began, go = asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        began.set()
        await go.wait()
        return web.Response(text="last")

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET * 3)
        await within(began.wait())
        site.server.pre_shutdown()
        go.set()
        assert (await peer.answer()).header("connection") == "close"
        assert await peer.read_eof() == b""
        assert site.server.requests_count == 1


async def test_a_request_whose_head_has_begun_is_answered() -> None:
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        await peer.send(GET[:10])
        await until(lambda: site.server.connections, "the connection")
        await asyncio.sleep(0.01)
        shutdown = asyncio.create_task(site.server.shutdown(DEADLINE))
        await asyncio.sleep(0.01)
        await peer.send(GET[10:])
        answer = await peer.answer()
        assert (answer.body, answer.header("connection")) == (b"hello", "close")
        await within(shutdown)


async def test_uploads_under_way_are_finished() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=await request.read())

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(request("POST", "/", "Content-Length: 4") + b"bo")
        await until(lambda: site.server.requests_count, "the request")
        shutdown = asyncio.create_task(site.server.shutdown(DEADLINE))
        await asyncio.sleep(0.01)
        await peer.send(b"dy")
        answer = await peer.answer()
        assert (answer.body, answer.header("connection")) == (b"body", "close")
        await within(shutdown)


async def test_the_deadline_cancels_and_says_who_was_left(caplog: pytest.LogCaptureFixture) -> None:
    ends: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        try:
            await asyncio.sleep(60)
        except BaseException as exc:
            ends.append(type(exc))
            raise
        return web.Response()

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(request("PUT", "/slow"))
        await until(lambda: site.server.requests_count, "the request")
        await within(site.server.shutdown(0.05))
        assert ends == [asyncio.CancelledError]
        assert site.server.connections == []
        assert await peer.read_eof() == b""
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "127.0.0.1" in record.getMessage()
    assert "PUT /slow" in record.getMessage()


async def test_a_handler_that_swallows_its_cancellation_is_waited_for() -> None:
    done: list[bool] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.2)
        done.append(True)
        return web.Response(text="saved")

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        await until(lambda: site.server.requests_count, "the request")
        shutdown = asyncio.create_task(site.server.shutdown(0.05))
        answer = await peer.answer()
        assert (answer.body, answer.header("connection")) == (b"saved", "close")
        await within(shutdown)
        assert done == [True]


async def test_handlers_whose_clients_left_are_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    ends: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        await request.wait_disconnected()
        try:
            await asyncio.sleep(0.1 if request.path == "/short" else 60)
            ends.append("end")
        except BaseException as exc:
            ends.append(type(exc))
            raise
        return web.Response()

    async with serving(handler) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(request(target="/short"))
            await until(lambda: site.server.requests_count == 1, "the request")
            peer.reset()
        await site.idle()
        await within(site.server.shutdown(DEADLINE))
        assert ends == ["end"]
        assert not caplog.records
        async with Peer.connect(site.port) as peer:
            await peer.send(request(target="/long"))
            await until(lambda: site.server.requests_count == 2, "the request")
            peer.reset()
        await site.idle()
        await within(site.server.shutdown(0.05))
        assert ends == ["end", asyncio.CancelledError]
    assert len(caplog.records) == 1


async def test_shutdown_without_a_deadline_waits() -> None:
    go = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        await go.wait()
        return web.Response()

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        await until(lambda: site.server.requests_count, "the request")
        shutdown = asyncio.create_task(site.server.shutdown())
        await asyncio.sleep(0.1)
        assert not shutdown.done()
        go.set()
        assert (await peer.answer()).status == 200
        peer.writer.close()
        await within(shutdown)


async def test_shutdown_without_connections() -> None:
    server = web.Server(hello)
    for _ in range(2):
        server.pre_shutdown()
        await within(server.shutdown())
        await within(server.shutdown(0))


async def test_shutdown_twice_at_once() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        await asyncio.sleep(0.1)
        return web.Response()

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        await until(lambda: site.server.requests_count, "the request")
        await within(
            asyncio.gather(site.server.shutdown(), site.server.shutdown(), site.server.shutdown(4))
        )
        assert (await peer.answer()).status == 200


async def test_clients_that_connect_during_shutdown_are_turned_away() -> None:
    go = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        await go.wait()
        return web.Response()

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        await until(lambda: site.server.requests_count, "the request")
        shutdown = asyncio.create_task(site.server.shutdown(DEADLINE))
        await asyncio.sleep(0)
        async with Peer.connect(site.port) as late:
            assert await late.read_eof() == b""
        go.set()
        await within(shutdown)


async def test_a_client_that_does_not_read_cannot_hold_the_shutdown_up() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=b"x" * 30_000_000)

    async with serving(handler) as site, Peer.connect(site.port, limit=1) as peer:
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await peer.send(GET)
        await until(lambda: site.server.requests_count, "the request")
        await within(site.server.shutdown(0.1))
        assert site.server.connections == []


async def test_a_client_in_the_middle_of_a_head_cannot_hold_the_shutdown_up() -> None:
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        await peer.send(GET[:10])
        await until(lambda: site.server.connections, "the connection")
        await asyncio.sleep(0.01)
        await within(site.server.shutdown(0.1))
        assert site.server.connections == []
        await peer.read_eof()


async def test_nothing_of_the_server_stays_in_the_loop() -> None:
    """After the last connection no timer ticks on."""
    async with serving(hello) as site:
        async with Peer.connect(site.port) as peer:
            assert (await peer.ask(GET)).status == 200
        await site.idle()
        assert site.server.clock._handle is None
        async with Peer.connect(site.port) as peer:
            assert (await peer.ask(GET)).status == 200
            assert site.server.clock._handle is not None
