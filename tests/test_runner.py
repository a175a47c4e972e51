"""Runners: setup, the order and the one deadline of cleanup, signals."""

import asyncio
import logging
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from aiohttp import test_utils
from aiohttp.web import SockSite as OtherSockSite

import lowlevel as web

Hook = Callable[[], Awaitable[None]]


async def handler(request: web.BaseRequest) -> web.Response:
    return web.Response(text="here")


class Recorder(web.Server):
    """A server that tells when it was asked to end."""

    def __init__(self, handler: Any = handler) -> None:
        super().__init__(handler)
        self.calls: list[str] = []
        self.timeout: float | None = None

    def pre_shutdown(self) -> None:
        self.calls.append("pre_shutdown")
        super().pre_shutdown()

    async def shutdown(self, timeout: float | None = None) -> None:
        self.calls.append("shutdown")
        self.timeout = timeout
        await super().shutdown(timeout)


class HookedRunner(web.ServerRunner):
    """A runner whose shutdown hook is given to it."""

    hook: Hook | None = None

    async def shutdown(self) -> None:
        await super().shutdown()
        if self.hook is not None:
            await self.hook()


@asynccontextmanager
async def connected(runner: web.BaseRunner) -> AsyncIterator[tuple[Any, Any]]:
    """A client of the runner's first site."""
    reader, writer = await asyncio.open_connection(*runner.addresses[0])
    try:
        yield reader, writer
    finally:
        writer.close()


async def listen(runner: web.BaseRunner) -> web.TCPSite:
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return site


GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


# --- setup --------------------------------------------------------------------------------


async def test_life() -> None:
    server = web.Server(handler)
    runner = web.ServerRunner(server)
    await runner.cleanup()  # nothing to do, no harm
    assert (runner.server, runner.sites, runner.addresses) == (None, set(), [])

    await runner.setup()
    await runner.setup()
    assert runner.server is server
    first, second = await listen(runner), await listen(runner)
    assert runner.sites == {first, second}
    assert runner.addresses == [("127.0.0.1", first.port), ("127.0.0.1", second.port)]

    await runner.cleanup()
    assert (runner.server, runner.sites, runner.addresses) == (None, set(), [])
    await runner.cleanup()

    async with runner as entered:
        assert entered is runner
        assert runner.server is server
        await listen(runner)
        async with connected(runner) as (reader, writer):
            writer.write(GET)
            await reader.readuntil(b"here")
    assert runner.server is None


async def test_async_with_cleans_up_after_an_error() -> None:
    runner = web.ServerRunner(web.Server(handler))
    with pytest.raises(LookupError, match="the body's"):
        async with runner:
            await listen(runner)
            raise LookupError("the body's")
    assert (runner.server, runner.sites) == (None, set())


async def test_wrong_options_are_named() -> None:
    server = web.Server(handler)
    with pytest.raises(TypeError, match="web_server must be a Server"):
        web.ServerRunner(handler)  # type: ignore[arg-type]
    for value in (-1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="shutdown_timeout"):
            web.ServerRunner(server, shutdown_timeout=value)
    for other in ("1", None, True):
        with pytest.raises(TypeError, match="shutdown_timeout"):
            web.ServerRunner(server, shutdown_timeout=other)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="shutdown_timout"):
        web.ServerRunner(server, shutdown_timout=1.0)  # type: ignore[call-arg]


class RawServer(test_utils.BaseTestServer):
    """aiohttp's server for tests, which gives the same options to the server and to the runner."""

    async def _make_runner(self, debug: bool = True, **options: Any) -> Any:
        server = web.Server(handler, debug=debug, **options)
        return web.ServerRunner(server, debug=debug, **options)


async def test_under_the_test_server_of_aiohttp() -> None:
    """It makes a site of its own for our runner."""
    async with RawServer() as server, test_utils.TestClient(server) as client:
        async with client.get("/") as response:
            assert await response.text() == "here"
        runner: Any = server.runner
        [site] = runner.sites
        assert isinstance(site, OtherSockSite)
        assert runner.addresses == [("127.0.0.1", server.port)]
        with pytest.raises(RuntimeError, match="started already"):
            runner._reg_site(site)
        await site.stop()
        assert (runner.sites, runner.addresses) == (set(), [])
        with pytest.raises(RuntimeError, match="is not started"):
            await site.stop()
    assert runner.server is None


async def test_options_of_the_server_are_no_options_of_the_runner() -> None:
    """But they are taken, and leave the server as it is."""
    server = web.Server(handler)
    web.ServerRunner(server, debug=True, keepalive_timeout=1)
    assert (server.debug, server.keepalive_timeout) == (False, 3630)
    with pytest.raises(TypeError, match="ServerRunner.* unexpected keyword argument 'bogus'"):
        web.ServerRunner(server, bogus=1)  # type: ignore[call-arg]


async def test_a_runner_of_ones_own() -> None:
    """BaseRunner leaves to a subclass where the server comes from, and where it goes."""
    calls: list[str] = []

    class Own(web.BaseRunner):
        async def _make_server(self) -> web.Server:
            calls.append("make")
            return web.Server(handler)

        async def _cleanup_server(self) -> None:
            calls.append("clean up")

    async with Own() as runner:
        await runner.setup()
        await listen(runner)
    assert calls == ["make", "clean up"]
    with pytest.raises(TypeError, match="abstract"):
        web.BaseRunner()  # type: ignore[abstract]


# --- cleanup ------------------------------------------------------------------------------


async def test_order_of_cleanup() -> None:
    """Refuse new connections; close idle ones; call the hook; let handlers finish."""
    started, finish = asyncio.Event(), asyncio.Event()

    async def slow(request: web.BaseRequest) -> web.Response:
        if request.path == "/slow":
            started.set()
            await finish.wait()
        return web.Response(text="here")

    server = Recorder(slow)
    runner = HookedRunner(server, shutdown_timeout=20)
    await runner.setup()
    site = await listen(runner)

    async with (
        connected(runner) as (idle, to_idle),
        connected(runner) as (unused, _),
        connected(runner) as (busy, to_busy),
    ):
        to_idle.write(GET)
        await idle.readuntil(b"here")
        to_busy.write(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await started.wait()

        async def hook() -> None:
            server.calls.append("hook")
            assert runner.sites == set()
            assert runner.server is server
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", site.port)
            assert await idle.read() == b""
            assert await unused.read() == b""
            finish.set()

        runner.hook = hook
        async with asyncio.timeout(10):
            await runner.cleanup()
            answer = await busy.read()
    assert server.calls[:3] == ["pre_shutdown", "hook", "shutdown"]
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\nhere")


async def test_what_was_accepted_reaches_its_connection_before_idle_ones_close() -> None:
    server = Recorder()
    async with web.ServerRunner(server):
        asyncio.get_running_loop().call_soon(server.calls.append, "accepted")
    assert server.calls[:2] == ["accepted", "pre_shutdown"]


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("ending", ["stop", "cleanup"])
async def test_a_client_that_came_in_time_is_answered(turns: int, ending: str) -> None:
    """Its connection and request wait in the system, or got any number of turns of the loop further."""

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(text="in time")

    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            for _ in range(turns):
                await asyncio.sleep(0)
            await (site.stop() if ending == "stop" else runner.cleanup())
            answer = await asyncio.to_thread(client.recv, 1000)
    finally:
        await runner.cleanup()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_request_on_an_open_connection_that_came_in_time_is_answered() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(text="in time")

    server = web.Server(handler)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as client:
        async with asyncio.timeout(10):
            while not server.connections:
                await asyncio.sleep(0)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await runner.cleanup()
        answer = await asyncio.to_thread(client.recv, 1000)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_cleanup_returns_early_when_nothing_runs() -> None:
    server = Recorder()
    runner = web.ServerRunner(server, shutdown_timeout=3600)
    await runner.setup()
    await listen(runner)
    async with connected(runner), asyncio.timeout(10):
        await runner.cleanup()
    assert server.timeout == pytest.approx(3600, abs=60)


async def test_handlers_are_cancelled_at_the_deadline() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def forever(request: web.BaseRequest) -> web.Response:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError("not reached")

    runner = web.ServerRunner(web.Server(forever), shutdown_timeout=0.05)
    await runner.setup()
    await listen(runner)
    async with connected(runner) as (_, writer), asyncio.timeout(10):
        writer.write(GET)
        await started.wait()
        await runner.cleanup()
    assert cancelled.is_set()


async def test_the_hook_shares_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    """A hook that hangs is cut off, and nothing is left for the handlers then."""
    server = Recorder()
    runner = HookedRunner(server, shutdown_timeout=0.05)
    runner.hook = asyncio.Event().wait  # type: ignore[assignment]
    await runner.setup()
    await listen(runner)
    async with asyncio.timeout(10):
        await runner.cleanup()
    assert server.timeout == pytest.approx(0.0, abs=1e-6)
    assert runner.server is None
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "did not end within 0.05 s" in record.getMessage()


async def test_what_the_hook_takes_is_not_given_again() -> None:
    server = Recorder()
    runner = HookedRunner(server, shutdown_timeout=1000)
    loop = asyncio.get_running_loop()

    async def hook() -> None:
        started = loop.time()
        while loop.time() < started + 0.01:
            await asyncio.sleep(0)

    runner.hook = hook
    async with runner:
        pass
    assert server.timeout is not None and server.timeout < 1000 - 0.009


@pytest.mark.parametrize("error", [LookupError, TimeoutError])
async def test_an_error_of_the_hook_comes_out_at_the_end(error: type[Exception]) -> None:
    server = Recorder()
    runner = HookedRunner(server)
    await runner.setup()
    await listen(runner)

    async def hook() -> None:
        raise error("of the hook")

    runner.hook = hook
    with pytest.raises(error, match="of the hook"):
        await runner.cleanup()
    assert "shutdown" in server.calls
    assert runner.server is None


async def test_a_cancelled_cleanup_can_go_on() -> None:
    in_hook = asyncio.Event()
    server = Recorder()
    runner = HookedRunner(server)
    await runner.setup()
    site = await listen(runner)

    async def hook() -> None:
        in_hook.set()
        await asyncio.Event().wait()

    runner.hook = hook
    first = asyncio.create_task(runner.cleanup())
    await in_hook.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert runner.server is server
    assert "shutdown" not in server.calls
    with pytest.raises(RuntimeError, match="cleaned up"):
        await site.start()

    runner.hook = None
    await runner.cleanup()
    assert runner.server is None
    assert "shutdown" in server.calls


async def test_two_cleanups_at_once_are_one() -> None:
    calls = 0

    async def hook() -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)

    runner = HookedRunner(web.Server(handler))
    runner.hook = hook
    await runner.setup()
    await listen(runner)
    await asyncio.gather(runner.cleanup(), runner.cleanup())
    assert calls == 1


# --- signals ------------------------------------------------------------------------------


def test_graceful_exit_is_a_system_exit() -> None:
    assert issubclass(web.GracefulExit, SystemExit)
    assert web.GracefulExit.code == web.GracefulExit().code == 1


async def test_signals_are_not_touched_unasked() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with web.ServerRunner(web.Server(handler)):
        during = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert during == before


@pytest.mark.skipif(sys.platform == "win32", reason="its loops have no signal handlers")
async def test_signal_handlers_last_from_setup_to_cleanup() -> None:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    async with web.ServerRunner(web.Server(handler), handle_signals=True):
        assert all(loop.remove_signal_handler(number) for number in numbers)
    async with web.ServerRunner(web.Server(handler), handle_signals=True):
        pass
    assert not any(loop.remove_signal_handler(number) for number in numbers)


@pytest.mark.skipif(sys.platform == "win32", reason="its loops have no signal handlers")
async def test_a_failed_setup_leaves_no_signal_handlers() -> None:
    class Failing(web.BaseRunner):
        async def _make_server(self) -> web.Server:
            raise LookupError("no server")

    runner = Failing(handle_signals=True)
    with pytest.raises(LookupError):
        await runner.setup()
    assert runner.server is None
    assert not asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)


def test_signals_need_the_main_thread() -> None:
    errors: list[BaseException] = []

    async def main() -> None:
        async with web.ServerRunner(web.Server(handler), handle_signals=True):
            raise AssertionError("not reached")

    def run() -> None:
        try:
            asyncio.run(main())
        except RuntimeError as exc:
            errors.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    (error,) = errors
    assert "handle_signals" in str(error) and "main thread" in str(error)


PROGRAM = """
import asyncio, sys
import lowlevel as web

async def handler(request):
    return web.Response(text="here")

async def main():
    async with web.ServerRunner(web.Server(handler), handle_signals=True) as runner:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print("serving", flush=True)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            print("ending", flush=True)
    print("cleaned up", runner.server, flush=True)

if sys.argv[1] == "uvloop":
    from uvloop import new_event_loop
else:
    from asyncio import new_event_loop
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="its loops have no signal handlers")
@pytest.mark.parametrize("loop_name", ["asyncio", "uvloop"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_a_program_that_cleans_up(loop_name: str, number: int) -> None:
    """Without run_app: the main task is cancelled, and its ``async with`` does the rest."""
    pytest.importorskip(loop_name)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        loop_name,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            assert await process.stdout.readline() == b"serving\n"
            process.send_signal(number)
            stdout, stderr = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    # The task was cancelled, so what follows the block is not reached.
    assert (stdout, stderr, process.returncode) == (b"ending\n", b"", web.GracefulExit.code)


# --- lifespan -----------------------------------------------------------------------------


class Life(AbstractAsyncContextManager[None]):
    """A lifespan that writes down what it is told, and may fail."""

    def __init__(self, diary: list[str], name: str = "it") -> None:
        self.diary = diary
        self.name = name
        self.at_start: Hook | None = None
        self.at_end: Hook | None = None

    async def __aenter__(self) -> None:
        self.diary.append(f"start {self.name}")
        if self.at_start is not None:
            await self.at_start()

    async def __aexit__(self, *exc_info: object) -> None:
        self.diary.append(f"end {self.name}")
        if self.at_end is not None:
            await self.at_end()


class Living:
    """A handler with a lifespan."""

    def __init__(self, lifespan: object) -> None:
        self.lifespan = lifespan

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        return web.Response(text="here")


async def fail() -> None:
    raise LookupError("of the lifespan")


async def test_the_lifespan_is_around_everything() -> None:
    """From before the first request to the end of the last connection and of what runs in the background."""
    diary: list[str] = []
    started, finish = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        diary.append("work done")

    async def slow(request: web.BaseRequest) -> web.Response:
        request.background(work())
        started.set()
        await finish.wait()
        return web.Response(text="here")

    life = Life(diary)
    server = web.Server(slow)
    runner = web.ServerRunner(server, lifespan=life, shutdown_timeout=20)
    assert diary == []
    await runner.setup()
    await runner.setup()
    assert diary == ["start it"]
    await listen(runner)

    async def at_end() -> None:
        assert (server.connections, server._background) == ([], {})

    life.at_end = at_end
    async with connected(runner) as (reader, writer):
        writer.write(GET)
        await started.wait()
        cleanup = asyncio.create_task(runner.cleanup())
        while not runner._closing:
            await asyncio.sleep(0)
        assert diary == ["start it"]
        finish.set()
        assert (await reader.read()).endswith(b"here")
        await cleanup
    assert diary == ["start it", "work done", "end it"]
    await runner.cleanup()
    assert len(diary) == 3


async def test_a_lifespan_begins_again() -> None:
    diary: list[str] = []
    runner = web.ServerRunner(web.Server(handler), lifespan=Life(diary))
    for _ in range(2):
        async with runner:
            await listen(runner)
    assert diary == ["start it", "end it"] * 2


async def test_the_lifespan_of_the_handler() -> None:
    diary: list[str] = []
    own = Life(diary, "own")
    async with web.ServerRunner(web.Server(Living(own))):
        assert diary == ["start own"]
    assert diary == ["start own", "end own"]
    diary.clear()
    async with web.ServerRunner(web.Server(Living(own)), lifespan=own):
        pass
    assert diary == ["start own", "end own"]
    diary.clear()
    async with web.ServerRunner(web.Server(Living(own)), lifespan=Life(diary, "given")):
        pass
    assert diary == ["start given", "start own", "end own", "end given"]


@pytest.mark.parametrize("value", [None, 5, Life])
async def test_an_attribute_of_the_handler_that_is_no_lifespan(value: object) -> None:
    async with web.ServerRunner(web.Server(Living(value))) as runner:
        await listen(runner)


async def test_a_lifespan_that_is_none() -> None:
    for value in (5, Life, fail):
        with pytest.raises(TypeError, match="lifespan must be an async context manager"):
            web.ServerRunner(web.Server(handler), lifespan=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("failing", ["given", "own"])
async def test_a_start_that_fails(failing: str) -> None:
    """Its error comes out of setup(), what was begun is ended, nothing can listen; later it may work."""
    diary: list[str] = []
    lives = {name: Life(diary, name) for name in ("given", "own")}
    lives[failing].at_start = fail
    server = web.Server(Living(lives["own"]))
    runner = web.ServerRunner(server, lifespan=lives["given"], handle_signals=True)
    with pytest.raises(LookupError, match="of the lifespan"):
        await runner.setup()
    begun = ["start given"]
    assert diary == (begun if failing == "given" else [*begun, "start own", "end given"])
    assert runner.server is None
    with pytest.raises(RuntimeError):
        await listen(runner)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    await runner.cleanup()

    lives[failing].at_start = None
    diary.clear()
    async with runner:
        assert diary == ["start given", "start own"]


async def test_an_outer_lifespan_cannot_make_a_failed_start_a_success() -> None:
    class Swallowing(Life):
        async def __aexit__(self, *exc_info: object) -> bool:  # type: ignore[override]
            return True

    own = Life([])
    own.at_start = fail
    runner = web.ServerRunner(web.Server(Living(own)), lifespan=Swallowing([]))
    with pytest.raises(LookupError, match="of the lifespan"):
        await runner.setup()
    assert runner.server is None


@pytest.mark.parametrize("error", [LookupError, TimeoutError])
async def test_an_error_at_the_end_of_the_lifespan(error: type[Exception]) -> None:
    """It comes out of cleanup(), when all is down."""

    async def at_end() -> None:
        raise error("of the lifespan")

    diary: list[str] = []
    life = Life(diary, "own")
    life.at_end = at_end
    runner = web.ServerRunner(
        web.Server(Living(life)), lifespan=Life(diary, "given"), handle_signals=True
    )
    await runner.setup()
    await listen(runner)
    with pytest.raises(error, match="of the lifespan"):
        await runner.cleanup()
    assert (runner.server, runner.addresses) == (None, [])
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert diary == ["start given", "start own", "end own", "end given"]
    await runner.cleanup()
    assert len(diary) == 4


async def test_an_error_of_the_hook_and_one_of_the_lifespan() -> None:
    """Neither is lost, and all is down."""
    life = Life([])
    life.at_end = fail
    runner = HookedRunner(web.Server(handler), lifespan=life)

    async def hook() -> None:
        raise ValueError("of the hook")

    runner.hook = hook
    await runner.setup()
    with pytest.raises(ExceptionGroup) as caught:
        await runner.cleanup()
    assert [type(error) for error in caught.value.exceptions] == [ValueError, LookupError]
    assert runner.server is None


async def test_the_lifespan_has_some_time_whatever_happened_before() -> None:
    """Though the deadline has passed long since."""
    ends: list[float] = []

    async def at_end() -> None:
        task = asyncio.current_task()
        assert task is not None
        for _ in range(5):
            await asyncio.sleep(0.01)
        ends.append(task.cancelling())

    life = Life([])
    life.at_end = at_end
    async with web.ServerRunner(web.Server(handler), lifespan=life, shutdown_timeout=0):
        pass
    assert ends == [0]


async def test_a_lifespan_that_does_not_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lowlevel.runner._LIFESPAN_SECONDS", 0.01)
    diary: list[str] = []

    async def at_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            diary.append("cancelled")

    life = Life(diary)
    life.at_end = at_end
    runner = web.ServerRunner(web.Server(handler), lifespan=life, shutdown_timeout=0)
    await runner.setup()
    await runner.cleanup()
    assert runner.server is None
    assert diary == ["start it", "end it", "cancelled"]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "Shutdown: the lifespan did not end in time")
    ]


async def test_two_lifespans_that_do_not_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each has its time."""
    monkeypatch.setattr("lowlevel.runner._LIFESPAN_SECONDS", 0.01)
    diary: list[str] = []

    async def at_end() -> None:
        diary.append("at work")
        try:
            await asyncio.Event().wait()
        finally:
            diary.append("cancelled")

    lives = [Life(diary, "given"), Life(diary, "own")]
    for life in lives:
        life.at_end = at_end
    server = web.Server(Living(lives[1]))
    runner = web.ServerRunner(server, lifespan=lives[0], shutdown_timeout=0)
    await runner.setup()
    diary.clear()
    async with asyncio.timeout(20):
        await runner.cleanup()
    assert runner.server is None
    assert diary == ["end own", "at work", "cancelled", "end given", "at work", "cancelled"]
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["Shutdown: the lifespan did not end in time"] * 2


async def test_errors_at_the_end_of_both_lifespans() -> None:
    """Neither is lost."""
    lives = [Life([]), Life([])]
    for life in lives:
        life.at_end = fail
    runner = web.ServerRunner(web.Server(Living(lives[1])), lifespan=lives[0])
    await runner.setup()
    with pytest.raises(LookupError) as caught:
        await runner.cleanup()
    assert isinstance(caught.value.__context__, LookupError)
    assert runner.server is None


async def test_the_outer_lifespan_sees_the_error_of_the_inner_one() -> None:
    """And may deal with it, as in nested ``async with``."""
    seen: list[BaseException | None] = []

    class Outer(Life):
        async def __aexit__(self, *details: Any) -> Any:
            seen.append(details[1])
            return True

    inner = Life([])
    inner.at_end = fail
    runner = web.ServerRunner(web.Server(Living(inner)), lifespan=Outer([]))
    await runner.setup()
    await runner.cleanup()
    assert [type(error) for error in seen] == [LookupError]


@pytest.mark.parametrize("where", ["hook", "lifespan"])
async def test_a_lifespan_ends_once_though_cleanup_was_cancelled(where: str) -> None:
    diary: list[str] = []
    waiting = asyncio.Event()

    async def wait() -> None:
        waiting.set()
        await asyncio.Event().wait()

    life = Life(diary)
    runner = HookedRunner(web.Server(handler), lifespan=life)
    if where == "hook":
        runner.hook = wait
    else:
        life.at_end = wait
    await runner.setup()
    first = asyncio.create_task(runner.cleanup())
    await waiting.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    runner.hook = life.at_end = None
    await runner.cleanup()
    assert runner.server is None
    assert diary == ["start it", "end it"]
