"""run_app, in a process of its own: it owns signals, the event loop and the end of the process."""

import asyncio
import errno
import inspect
import os
import signal
import socket
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import lowlevel as web
from lowlevel.run import ServerOptions

posix_signals = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows cannot send these signals to a process"
)


async def handler(request: web.BaseRequest) -> web.Response:
    return web.Response(text="here")


class Program:
    """A program that is running, with a deadline on all that is awaited of it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def announced(self) -> str:
        """The addresses that it prints when it serves."""
        line = await self.line()
        head, tail = "======= Serving on ", " ======"
        if not (line.startswith(head) and line.endswith(tail)):
            pytest.fail(f"it said {line!r} and then {await self.end()}")
        assert await self.line() == "(Press CTRL+C to quit)"
        return line.removeprefix(head).removesuffix(tail)

    async def port(self) -> int:
        return int((await self.announced()).rpartition(":")[2])

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def end(self) -> tuple[int | None, str, str]:
        """Exit status, the rest of stdout, and stderr."""
        async with asyncio.timeout(20):
            stdout, stderr = await self.process.communicate()
        return self.process.returncode, stdout.decode(), stderr.decode()


@asynccontextmanager
async def running(source: str, *arguments: str) -> AsyncIterator[Program]:
    source = "import asyncio, logging, sys\nimport lowlevel as web\n" + textwrap.dedent(source)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        source,
        *arguments,
        env=os.environ | {"PYTHONUNBUFFERED": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[Any, Any]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.close()


def request(path: str = "/", connection: str = "close") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n".encode()


async def get(port: int) -> bytes:
    async with connected(port) as (reader, writer):
        writer.write(request())
        answer: bytes = await reader.read()
        return answer


LOOP_FACTORY = """
if sys.argv[1] == "uvloop":
    from uvloop import new_event_loop
else:
    from asyncio import new_event_loop
"""


# --- serving and ending -------------------------------------------------------------------


@posix_signals
@pytest.mark.parametrize("loop_name", ["asyncio", "uvloop"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_lets_requests_finish(loop_name: str, number: int) -> None:
    """After the signal: nobody new, idle clients go, the request under way is answered."""
    pytest.importorskip(loop_name)
    program = f"""
    {LOOP_FACTORY.replace(chr(10), chr(10) + "    ")}
    async def handler(request):
        if request.method == "POST":
            print("reading", flush=True)
            return web.Response(text=await request.text())
        return web.Response(text="here")

    web.run_app(handler, host="127.0.0.1", port=0, loop_factory=new_event_loop)
    print("returned", flush=True)
    """
    async with running(program, loop_name) as server:
        port = await server.port()
        async with connected(port) as (busy, to_busy), connected(port) as (idle, to_idle):
            to_idle.write(request("/", "keep-alive"))
            await idle.readuntil(b"here")
            to_busy.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nto")
            assert await server.line() == "reading"
            server.signal(number)
            assert await idle.read() == b""
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            to_busy.write(b"go")
            answer = await busy.read()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\ntogo")
        assert b"\r\nConnection: close\r\n" in answer
        assert await server.end() == (0, "returned\n", "")


@posix_signals
async def test_a_second_signal_does_not_wait() -> None:
    program = """
    async def handler(request):
        print("slow", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            print("cancelled", flush=True)

    class Server(web.Server):
        def pre_shutdown(self):
            super().pre_shutdown()
            print("ending", flush=True)

    web.run_app(Server(handler), host="127.0.0.1", port=0, shutdown_timeout=3600)
    print("returned", flush=True)
    """
    async with running(program) as server:
        async with connected(await server.port()) as (_, writer):
            writer.write(request())
            assert await server.line() == "slow"
            server.signal(signal.SIGTERM)
            assert await server.line() == "ending"
            server.signal(signal.SIGTERM)
            status, stdout, stderr = await server.end()
        assert "cancelled\n" in stdout and "returned" not in stdout
        assert (status, stderr) == (web.GracefulExit.code, "")


@posix_signals
async def test_without_handle_signals_keyboard_interrupt_ends_it() -> None:
    program = """
    import signal

    # Python leaves SIGINT ignored where it was when it started, as in a background job.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    async def handler(request):
        # Between two callbacks: in the midst of one, it could leave a connection half closed.
        asyncio.get_running_loop().call_later(0.1, signal.raise_signal, signal.SIGINT)
        return web.Response(text="here")

    web.run_app(handler, host="127.0.0.1", port=0, handle_signals=False)
    print("returned", flush=True)
    """
    async with running(program) as server:
        assert (await get(await server.port())).endswith(b"here")
        assert await server.end() == (0, "returned\n", "")


async def test_graceful_exit_raised_in_the_loop_ends_it() -> None:
    program = """
    async def handler(request):
        def leave():
            raise web.GracefulExit
        asyncio.get_running_loop().call_soon(leave)
        return web.Response(text="here")

    web.run_app(handler, host="127.0.0.1", port=0)
    print("returned", flush=True)
    """
    async with running(program) as server:
        assert (await get(await server.port())).endswith(b"here")
        assert await server.end() == (0, "returned\n", "")


@pytest.mark.parametrize(
    ("exit", "status", "said"),
    [
        ("web.GracefulExit", 0, "returned\n"),
        ("KeyboardInterrupt", 0, "returned\n"),
        ("SystemExit(7)", 7, ""),
    ],
)
async def test_a_handler_that_ends_it(exit: str, status: int, said: str) -> None:
    """Its client is cut off, and nothing is said of an exception that was taken care of."""
    program = f"""
    async def handler(request):
        raise {exit}

    web.run_app(handler, host="127.0.0.1", port=0)
    print("returned", flush=True)
    """
    async with running(program) as server:
        assert await get(await server.port()) == b""
        assert await server.end() == (status, said, "")


async def test_another_exit_cleans_up_and_goes_on() -> None:
    program = """
    async def handler(request):
        asyncio.get_running_loop().call_soon(sys.exit, 7)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return web.Response(text="here")

    web.run_app(handler, host="127.0.0.1", port=0)
    """
    async with running(program) as server:
        assert (await get(await server.port())).endswith(b"here")
        assert await server.end() == (7, "", "")


async def test_in_a_thread() -> None:
    """Not the main thread: then without signals, and told so otherwise."""
    program = """
    import threading

    async def handler(request):
        def leave():
            raise web.GracefulExit
        asyncio.get_running_loop().call_soon(leave)
        return web.Response(text="here")

    def serve():
        try:
            web.run_app(handler, host="127.0.0.1", port=0)
        except RuntimeError as exc:
            print(exc, flush=True)
        web.run_app(handler, host="127.0.0.1", port=0, handle_signals=False)
        print("returned", flush=True)

    threading.Thread(target=serve).start()
    """
    async with running(program) as server:
        assert "handle_signals" in await server.line()
        assert (await get(await server.port())).endswith(b"here")
        assert await server.end() == (0, "returned\n", "")


# --- where it listens ---------------------------------------------------------------------


def places(**options: Any) -> list[str]:
    """The names of the sites that run_app would start, found out by not letting it."""

    def stop(text: str) -> None:
        said.append(text)
        raise web.GracefulExit

    said: list[str] = []
    web.run_app(handler, print=stop, **options)
    (text,) = said
    line, _, hint = text.partition("\n")
    assert hint == "(Press CTRL+C to quit)"
    return line.removeprefix("======= Serving on ").removesuffix(" ======").split(", ")


def test_default_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(site: web.TCPSite) -> None:
        pass  # port 8080 may be taken here

    monkeypatch.setattr(web.TCPSite, "start", start)
    assert places() == ["http://0.0.0.0:8080"]


def test_many_places(tmp_path: Path, unused_tcp_port: int) -> None:
    port = unused_tcp_port
    assert places(host="127.0.0.1", port=port) == [f"http://127.0.0.1:{port}"]
    assert places(port=port) == [f"http://0.0.0.0:{port}"]
    names = places(host=["127.0.0.1", "127.0.0.2"], port=port)
    assert names == [f"http://127.0.0.1:{port}", f"http://127.0.0.2:{port}"]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="the system has no Unix sockets")
def test_unix_places(tmp_path: Path, unused_tcp_port: int) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert places(path=one) == [f"http://unix:{one}:"]
    assert places(path=[str(one), two]) == [f"http://unix:{one}:", f"http://unix:{two}:"]
    both = places(path=one, port=unused_tcp_port)
    assert both == [f"http://0.0.0.0:{unused_tcp_port}", f"http://unix:{one}:"]
    assert list(tmp_path.iterdir()) == []


def test_sock_places() -> None:
    first, second = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    names = [f"http://127.0.0.1:{sock.getsockname()[1]}" for sock in (first, second)]
    assert places(sock=[first, second]) == names
    assert first.fileno() == second.fileno() == -1
    third = socket.create_server(("127.0.0.1", 0))
    assert len(places(sock=third)) == 1


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="the system has no Unix sockets")
def test_path_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "chmod", lambda path, mode: modes.append((path, mode)))
    places(path=tmp_path / "sock", path_mode=0o606)
    assert modes == [(str(tmp_path / "sock"), 0o606)]


@pytest.mark.parametrize("option", ["host", "path", "sock"])
def test_an_empty_list_of_places_is_an_error(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} is empty"):
        web.run_app(handler, **{option: []})  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["host", "path", "sock"])
@pytest.mark.parametrize("value", [3, [None], b"here"])
def test_places_of_a_wrong_type(option: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{option} cannot be "):
        web.run_app(handler, **{option: value})


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError) as caught:
        web.run_app(handler, host="127.0.0.1", port=taken.getsockname()[1])
    assert caught.value.errno == errno.EADDRINUSE


# --- options ------------------------------------------------------------------------------


def test_every_option_of_server_is_here() -> None:
    """The two lists must not drift apart; only `loop` is run_app's own."""
    parameters = inspect.signature(web.Server).parameters
    assert set(ServerOptions.__annotations__) == set(parameters) - {"handler", "loop"}


def test_options_reach_the_server() -> None:
    with pytest.raises(ValueError, match="keepalive_timeout"):
        web.run_app(handler, keepalive_timeout=-1)
    with pytest.raises(TypeError, match="keep_alive_timeout"):
        web.run_app(handler, keep_alive_timeout=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="handler must be callable"):
        web.run_app("handler")  # type: ignore[arg-type]


def test_a_server_has_its_options_already() -> None:
    with pytest.raises(ValueError, match="debug, max_headers: give that to the Server"):
        web.run_app(web.Server(handler), debug=True, max_headers=5)


async def test_not_inside_an_event_loop() -> None:
    with pytest.raises(RuntimeError, match="inside an event loop"):
        web.run_app(handler)


def test_one_loop_only() -> None:
    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(ValueError, match="loop and loop_factory"):
            web.run_app(handler, loop=loop, loop_factory=asyncio.new_event_loop)
    finally:
        loop.close()


def test_the_loop_that_was_given_is_used_and_closed() -> None:
    loop = asyncio.new_event_loop()
    used: list[asyncio.AbstractEventLoop] = []

    def stop(text: str) -> None:
        used.append(asyncio.get_running_loop())
        raise web.GracefulExit

    web.run_app(handler, host="127.0.0.1", port=0, loop=loop, print=stop)
    assert used == [loop]
    assert loop.is_closed()


def test_print_none_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    loop = asyncio.new_event_loop()

    def leave() -> None:
        raise web.GracefulExit

    loop.call_later(0.05, leave)
    web.run_app(handler, host="127.0.0.1", port=0, loop=loop, print=None)
    assert capfd.readouterr() == ("", "")


# --- logging ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "options", "expected"),
    [
        ("", "", []),
        ("", "debug=True", ["GET / HTTP/1.1"]),
        ("", "loop=DEBUG_LOOP", ["GET / HTTP/1.1"]),
        ("", "debug=True, access_log=None", []),
        ("", "debug=True, access_log=logging.getLogger('own')", []),
        ("logging.basicConfig(format='root %(message)s')", "debug=True", ["root GET / HTTP/1.1"]),
        ("logging.getLogger('lowlevel.access').setLevel(logging.ERROR)", "debug=True", []),
    ],
)
async def test_access_log_on_the_console(before: str, options: str, expected: list[str]) -> None:
    """Only in debug mode, and only where nobody has configured it."""
    program = f"""
    DEBUG_LOOP = asyncio.new_event_loop()
    DEBUG_LOOP.set_debug(True)
    {before}

    async def handler(request):
        return web.Response(text="here")

    web.run_app(handler, host="127.0.0.1", port=0, access_log_format="%r", {options})
    """
    async with running(program) as server:
        assert (await get(await server.port())).endswith(b"here")
        server.signal(signal.SIGTERM)
        status, stdout, stderr = await server.end()
    assert (status, stdout) == (0, "")
    assert stderr.splitlines() == expected


async def test_the_library_itself_leaves_logging_and_signals_alone() -> None:
    """What run_app sets up for its process, nothing below it touches."""
    program = """
    import signal

    def state():
        loggers = [logging.getLogger(name) for name in ("lowlevel.access", "lowlevel.server", None)]
        return [
            [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
            [(logger.level, logger.propagate, *logger.handlers) for logger in loggers],
        ]

    async def handler(request):
        return web.Response(text="here")

    async def main():
        before = state()
        async with web.ServerRunner(web.Server(handler, debug=True)) as runner:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            print(state() == before, before[1], flush=True)

    asyncio.run(main())
    """
    async with running(program) as server:
        assert await server.line() == "True [(0, True), (0, True), (30, True)]"
        assert await server.end() == (0, "", "")


# --- lifespan -----------------------------------------------------------------------------

LIFE = """
    class Life:
        def __init__(self, name):
            self.name = name

        async def __aenter__(self):
            print("start", self.name, flush=True)
            if self.name == sys.argv[1]:
                raise ValueError("no database")

        async def __aexit__(self, *exc_info):
            print("end", self.name, flush=True)
            if self.name == sys.argv[2]:
                raise ValueError("no database")

    class Handler:
        lifespan = Life("own")

        async def __call__(self, request):
            return web.Response(text="here")

    web.run_app(Handler(), host="127.0.0.1", port=0, lifespan=Life("given"))
    print("returned", flush=True)
"""


@posix_signals
async def test_lifespans() -> None:
    """What is given, around that of the handler, around all that is served."""
    async with running(LIFE, "", "") as server:
        assert [await server.line(), await server.line()] == ["start given", "start own"]
        assert (await get(await server.port())).endswith(b"here")
        server.signal(signal.SIGTERM)
        assert await server.end() == (0, "end own\nend given\nreturned\n", "")


async def test_a_start_that_fails_ends_it() -> None:
    async with running(LIFE, "own", "") as server:
        status, stdout, stderr = await server.end()
    assert (status, stdout) == (1, "start given\nstart own\nend given\n")
    assert "ValueError: no database" in stderr


@posix_signals
async def test_an_error_at_the_end_comes_out() -> None:
    async with running(LIFE, "", "own") as server:
        assert [await server.line(), await server.line()] == ["start given", "start own"]
        await server.port()
        server.signal(signal.SIGTERM)
        status, stdout, stderr = await server.end()
    assert (status, stdout) == (1, "end own\nend given\n")
    assert "ValueError: no database" in stderr


@posix_signals
async def test_a_signal_while_it_starts() -> None:
    """What was begun is ended; nothing was ever served."""
    program = """
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def slow():
        print("start", flush=True)
        try:
            await asyncio.Event().wait()
            yield
        finally:
            print("end", flush=True)

    async def handler(request):
        return web.Response()

    web.run_app(handler, host="127.0.0.1", port=0, lifespan=slow())
    print("returned", flush=True)
    """
    async with running(program) as server:
        assert await server.line() == "start"
        server.signal(signal.SIGTERM)
        assert await server.end() == (0, "end\nreturned\n", "")
