"""``python -m lowlevel``: as a process of its own where it serves, in this one where it refuses."""

import asyncio
import importlib.util
import inspect
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import lowlevel as web
from lowlevel import cli
from tests.wsframes import WSPeer, close

ROOT = Path(__file__).parent.parent
needs_unix_sockets = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="the system has no Unix sockets"
)

HANDLER = """
import lowlevel as web

async def handler(request):
    return web.Response(text="here")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory, with a module ``hello`` in it; what is imported is forgotten after."""
    (tmp_path / "hello.py").write_text(HANDLER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


# --- serving ------------------------------------------------------------------------------


class Command:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def announced(self) -> str:
        """The address that it prints when it serves."""
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            first = (await self.process.stdout.readline()).decode()
            second = (await self.process.stdout.readline()).decode()
        head, tail = "======= Serving on ", " ======\n"
        if not first.startswith(head) or second != "(Press CTRL+C to quit)\n":
            pytest.fail(f"it said {first + second!r} and then {await self.end()}")
        return first.removeprefix(head).removesuffix(tail)

    async def port(self) -> int:
        return int((await self.announced()).rpartition(":")[2])

    async def end(self, number: int = 0) -> tuple[int | None, str, str]:
        """Send a signal; exit status, the rest of stdout, and stderr."""
        if number:
            self.process.send_signal(number)
        async with asyncio.timeout(20):
            stdout, stderr = await self.process.communicate()
        return self.process.returncode, stdout.decode(), stderr.decode()


@asynccontextmanager
async def command(*arguments: str, folder: Path) -> AsyncIterator[Command]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "lowlevel",
        *arguments,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Command(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def get_from(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    try:
        async with asyncio.timeout(10):
            writer.write(b"GET /?q=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return await reader.read()
    finally:
        writer.close()


async def get(port: int, **tls: Any) -> bytes:
    return await get_from(*await asyncio.open_connection("127.0.0.1", port, **tls))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send these signals")
@pytest.mark.parametrize("loop_name", ["auto", "asyncio", "uvloop"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_serve_and_end(folder: Path, loop_name: str, number: int) -> None:
    if loop_name == "uvloop":
        pytest.importorskip("uvloop")
    (folder / "tell.py").write_text(
        "import asyncio, lowlevel as web\n"
        "async def handler(request):\n"
        "    return web.Response(text=type(asyncio.get_running_loop()).__module__)\n"
    )
    options = ("--host", "127.0.0.1", "--port", "0", "--no-access-log", "--loop", loop_name)
    async with command("tell:handler", *options, folder=folder) as server:
        address = await server.announced()
        assert address.startswith("http://127.0.0.1:")
        module = (await get(int(address.rpartition(":")[2]))).rpartition(b"\r\n")[2].decode()
        assert await server.end(number) == (0, "", "")
    if loop_name == "auto":
        loop_name = "asyncio" if importlib.util.find_spec("uvloop") is None else "uvloop"
    assert module.partition(".")[0] == loop_name


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ((), ["GET /?q=1 HTTP/1.1", "200"]),
        (("--access-log",), ["GET /?q=1 HTTP/1.1", "200"]),
        (("--no-access-log",), None),
    ],
)
async def test_access_log(folder: Path, options: tuple[str, ...], lines: Any) -> None:
    async with command("hello", "--port", "0", *options, folder=folder) as server:
        assert (await get(await server.port())).endswith(b"here")
        status, stdout, stderr = await server.end(signal.SIGTERM)
    assert (status, stdout) == (0, "")
    if lines is None:
        assert stderr == ""
    else:
        assert stderr.startswith("127.0.0.1 [") and stderr.count("\n") == 1
        assert all(part in stderr for part in lines)


async def test_logging_that_the_module_configures_is_kept(folder: Path) -> None:
    on_root = "logging.basicConfig(format='own %(name)s')"
    on_access = "logging.getLogger('lowlevel.access').addHandler(logging.StreamHandler())"
    too_high = "logging.getLogger('lowlevel.access').setLevel(logging.ERROR)"
    cases = [(on_root, "own lowlevel.access\n"), (on_access, "127.0.0.1 ["), (too_high, "")]
    for number, (configuring, line) in enumerate(cases):
        (folder / f"own{number}.py").write_text(f"import logging\n{configuring}\n{HANDLER}")
        async with command(f"own{number}", "--port", "0", folder=folder) as server:
            assert (await get(await server.port())).endswith(b"here")
            status, _, stderr = await server.end(signal.SIGTERM)
        assert status == 0
        assert stderr.startswith(line) and stderr.count("\n") == bool(line)


async def test_faults_are_logged_and_debug_shows_them(folder: Path) -> None:
    (folder / "bad.py").write_text("async def handler(request):\n    raise LookupError('oops')\n")
    for options in ((), ("--debug",)):
        arguments = ("bad", "--port", "0", "--no-access-log", *options)
        async with command(*arguments, folder=folder) as server:
            answer = await get(await server.port())
            status, _, stderr = await server.end(signal.SIGTERM)
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert (b"oops" in answer) == bool(options)
        assert status == 0
        assert "ERROR lowlevel.server: " in stderr and "LookupError: oops" in stderr


@needs_unix_sockets
async def test_unix_socket(folder: Path) -> None:
    options = ("--path", "sock", "--path-mode", "600")
    async with command("hello", *options, "--no-access-log", folder=folder) as server:
        assert await server.announced() == "http://unix:sock:"
        path = folder / "sock"
        assert path.stat().st_mode & 0o777 == 0o600
        answer = await get_from(*await asyncio.open_unix_connection(str(path)))
        assert answer.endswith(b"here")
        assert await server.end(signal.SIGTERM) == (0, "", "")
        assert not path.exists()


@needs_unix_sockets
@pytest.mark.parametrize("tcp", [("--port", "0"), ("--host", "127.0.0.1", "--port", "0")])
async def test_unix_socket_and_tcp(folder: Path, tcp: tuple[str, ...]) -> None:
    async with command("hello", "--path", "sock", *tcp, folder=folder) as server:
        first, second = (await server.announced()).split(", ")
    assert first.startswith("http://127.0.0.1:")
    assert second == "http://unix:sock:"


async def test_many_hosts(folder: Path) -> None:
    hosts = ("--host", "127.0.0.1", "--host", "127.0.0.2")
    async with command("hello", "--port", "0", *hosts, folder=folder) as server:
        first, second = (await server.announced()).split(", ")
    assert first.startswith("http://127.0.0.1:")
    assert second.startswith("http://127.0.0.2:")


async def test_tls(folder: Path, tls: Any) -> None:
    files = ("--certfile", str(tls.certfile), "--keyfile", str(tls.keyfile))
    async with command("hello", "--port", "0", *files, folder=folder) as server:
        address = await server.announced()
        assert address.startswith("https://127.0.0.1:")
        tls.client.set_alpn_protocols(["h2", "http/1.1"])
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(address.rpartition(":")[2]), ssl=tls.client
        )
        protocol = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        assert (await get_from(reader, writer)).endswith(b"here")
        assert protocol == "http/1.1"
        status, _, _ = await server.end(signal.SIGTERM)
        assert status == 0


async def test_shutdown_timeout_and_options_of_the_server(folder: Path) -> None:
    (folder / "slow.py").write_text(
        "import asyncio, lowlevel as web\n"
        "async def handler(request):\n"
        "    if request.path == '/size':\n"
        "        return web.Response(text=str(request.client_max_size))\n"
        "    print('slow', flush=True)\n"
        "    await asyncio.Event().wait()\n"
    )
    options = ("--shutdown-timeout", "0.01", "--keepalive-timeout", "9", "--client-max-size", "77")
    async with command("slow", "--port", "0", *options, folder=folder) as server:
        port = await server.port()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /size HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(10):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(2) == b"77"
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert server.process.stdout is not None
        async with asyncio.timeout(10):
            assert await server.process.stdout.readline() == b"slow\n"
        status, _, stderr = await server.end(signal.SIGTERM)
        writer.close()
    assert status == 0
    assert "WARNING lowlevel.server: Shutdown: " in stderr


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="the system has no SO_REUSEPORT")
async def test_reuse_port(folder: Path, unused_tcp_port: int) -> None:
    arguments = ("hello", "--port", str(unused_tcp_port), "--reuse-port")
    async with (
        command(*arguments, folder=folder) as first,
        command(*arguments, folder=folder) as second,
    ):
        assert await first.port() == await second.port() == unused_tcp_port


# --- what can be served -------------------------------------------------------------------

TARGETS = """
import functools
import lowlevel as web

async def handler(request):
    return web.Response(text="here")

class Callable:
    async def __call__(self, request):
        return web.Response(text="here")

class Endpoint:
    def __init__(self, request):
        self.request = request

    def __await__(self):
        return handler(self.request).__await__()

async def greet(text, request):
    return web.Response(text=text)

class site:
    app = Callable()
    class inner:
        app = functools.partial(greet, "here")

server = web.Server(handler, access_log=None)

async def ends_early():
    pass

number = 7
none = None
"""


@pytest.mark.parametrize(
    "target",
    [
        "targets",
        "targets:",
        "targets:handler",
        "targets:Endpoint",
        "targets:site.app",
        "targets:site.inner.app",
        "targets:server",
        "inside.package.module:handler",
    ],
)
async def test_target(folder: Path, target: str) -> None:
    (folder / "targets.py").write_text(TARGETS)
    package = folder / "inside" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "module.py").write_text(HANDLER)
    async with command(target, "--port", "0", "--no-access-log", folder=folder) as server:
        assert (await get(await server.port())).endswith(b"here")
        assert await server.end(signal.SIGTERM) == (0, "", "")


# --- what is refused ----------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit status and the one line on stderr, of a command that serves nothing."""
    try:
        status = cli.main(arguments)
    except SystemExit as exc:
        assert isinstance(exc.code, int)
        status = exc.code
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert stderr.startswith("lowlevel: ") and stderr.endswith("\n")
    assert stderr.count("\n") == 1
    return status, stderr


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("missing", "there is no module missing"),
        ("missing.module:handler", "there is no module missing "),
        ("targets.inside:handler", "there is no module targets.inside"),
        ("targets:nothing", "module targets has no nothing"),
        ("targets:site.nothing", "module targets has no site.nothing"),
        ("targets:number", "targets:number is not a handler but of type int"),
        ("targets:none", "of type NoneType"),
        ("targets:Callable", "targets:Callable is a class whose instances cannot be awaited"),
        ("targets:ends_early", "targets:ends_early cannot be called with one argument"),
        (":handler", "':handler' does not begin with a module name"),
        (".targets:handler", "does not begin with a module name"),
        ("targets.py", "'targets.py' names a file: give the module, without .py"),
        ("./targets.py:handler", "names a file: give the module, without .py"),
        ("./targets:handler", "does not begin with a module name"),
        ("", "does not begin with a module name"),
    ],
)
def test_bad_target(
    folder: Path, capsys: pytest.CaptureFixture[str], target: str, sentence: str
) -> None:
    (folder / "targets.py").write_text(TARGETS)
    status, line = refused(capsys, target)
    assert status == 1
    assert sentence in line


def test_a_builtin_that_does_not_tell_its_parameters_passes() -> None:
    with pytest.raises(ValueError):
        inspect.signature(max)
    cli._check_handler("builtins:max", max)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "MODULE[:NAME]"),
        (("hello", "--port", "high"), "'high' is not a port"),
        (("hello", "--port", "65536"), "'65536' is not a port"),
        (("hello", "--port=-1"), "'-1' is not a port"),
        (("hello", "--path", "s", "--path-mode", "rw"), "'rw' is not an octal mode"),
        (("hello", "--path", "s", "--path-mode", "1777"), "'1777' is not an octal mode"),
        (("hello", "--path-mode", "660"), "--path-mode needs --path"),
        (("hello", "--keyfile", "key.pem"), "--keyfile needs --certfile"),
        (("hello", "--loop", "trio"), "'trio'"),
        (("hello", "--shutdown-timeout", "soon"), "'soon' is not a number of seconds"),
        (("hello", "--shutdown-timeout", "inf"), "'inf' is not a number of seconds"),
        (("hello", "--shutdown-timeout", "nan"), "'nan' is not a number of seconds"),
        (("hello", "--keepalive-timeout=-1"), "'-1' is not a number of seconds"),
        (("hello", "--client-max-size", "1M"), "'1M' is not a number of bytes"),
        (("hello", "--nothing"), "--nothing"),
        (("hello", "--access"), "--access"),
    ],
)
def test_bad_usage(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    status, line = refused(capsys, *arguments)
    assert status == 2
    assert sentence in line


def test_a_server_has_its_options_already(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "targets.py").write_text(TARGETS)
    status, line = refused(capsys, "targets:server", "--debug", "--client-max-size", "5")
    assert status == 1
    assert "already made without --client-max-size, --debug" in line


def test_bad_certificates(folder: Path, capsys: pytest.CaptureFixture[str], tls: Any) -> None:
    (folder / "bad.pem").write_text("no certificate")
    cases = [
        (("gone.pem",), "cannot read gone.pem: No such file"),
        ((".",), "cannot read .: Is a directory"),
        ((str(tls.certfile), "gone.pem"), "cannot read gone.pem: No such file"),
        (("bad.pem",), "bad.pem is no PEM certificate with its private key"),
        ((str(tls.certfile), "bad.pem"), "cert.pem with bad.pem is no PEM certificate"),
    ]
    for files, sentence in cases:
        options = dict(zip(("--certfile", "--keyfile"), files, strict=False))
        arguments = [part for option in options.items() for part in option]
        status, line = refused(capsys, "hello", *arguments)
        assert status == 1
        assert sentence in line


def test_uvloop_that_is_not_there(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    status, line = refused(capsys, "hello", "--loop", "uvloop")
    assert status == 1
    assert "uvloop cannot be imported" in line and "pip install" in line
    assert cli._loop_factory("auto") is asyncio.new_event_loop


async def test_places_that_cannot_be_listened_at(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        cases = [
            (("--port", port), f"127.0.0.1:{port}: Address already in use"),
            (("--host", "203.0.113.1", "--port", "0"), "203.0.113.1:0: Cannot assign"),
            (("--host", "203.0.113.1"), "203.0.113.1:8080: Cannot assign"),
            (("--host", "2001:db8::1", "--port", "0"), "[2001:db8::1]:0: "),
            (("--host", "name.invalid", "--port", "0"), "name.invalid:0: "),
            (("--host", "x" * 64 + ".invalid", "--port", "0"), ".invalid:0: "),
            (("--host", "", "--port", port), f"listen at :{port}: Address already in use"),
        ]
        if hasattr(socket, "AF_UNIX"):
            (folder / "file").touch()
            cases += [
                (("--path", "gone/sock"), "at gone/sock: No such file or directory"),
                (("--path", "file"), "at file: Address already in use"),
                (("--path", "x" * 200), "too long"),
            ]
        for arguments, sentence in cases:
            async with command("hello", *arguments, folder=folder) as server:
                status, stdout, stderr = await server.end()
            assert (status, stdout) == (1, ""), stderr
            assert stderr.startswith("python -m lowlevel: cannot listen at ")
            assert sentence in stderr and stderr.count("\n") == 1


# --- the user's own errors ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "shown", "sentence"),
    [
        ("import nowhere_to_be_found\n", "line 1, in <module>", "cannot be imported: No module"),
        ("def f():\n    1 / 0\nf()\n", "ZeroDivisionError: division", "failed while it was"),
        ("def f(:\n", "SyntaxError: ", "failed while it was imported"),
    ],
)
def test_an_error_inside_the_module_shows_its_traceback(
    folder: Path, capsys: pytest.CaptureFixture[str], source: str, shown: str, sentence: str
) -> None:
    (folder / "broken.py").write_text(source)
    assert cli.main(["broken"]) == 1
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert shown in stderr and "broken.py" in stderr
    assert "cli.py" not in stderr and "importlib" not in stderr
    last = stderr.splitlines()[-1]
    assert last.startswith("lowlevel: module broken ") and sentence in last
    assert "traceback above" in last


def test_an_interrupt_while_importing_is_no_traceback(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "slow_to_load.py").write_text("raise KeyboardInterrupt\n")
    assert cli.main(["slow_to_load"]) == 130
    assert capsys.readouterr() == ("", "")


# --- help ---------------------------------------------------------------------------------


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for option in ("--host", "--port", "--path", "--certfile", "--keyfile", "--loop"):
        assert option in text
    for option in ("--access-log", "--no-access-log", "--shutdown-timeout"):
        assert option in text
    assert "async def handler(request):" in text
    assert text.count("lowlevel hello") >= 4
    assert max(map(len, text.splitlines())) <= 100


async def test_the_example_of_the_help_works(folder: Path) -> None:
    async with command("--help", folder=folder) as shown:
        status, text, _ = await shown.end()
    assert status == 0
    assert text.startswith("usage: python -m lowlevel MODULE[:NAME]")
    _, _, rest = text.partition("# hello.py\n")
    program, _, _ = rest.partition("examples:")
    lines = [line.removeprefix("  ") for line in program.splitlines()]
    (folder / "hello.py").write_text("\n".join(lines))
    async with command("hello", "--port", "0", folder=folder) as server:
        assert (await get(await server.port())).endswith(b"\r\n\r\nHello\n")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"lowlevel {web.__version__}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send these signals")
async def test_a_websocket_as_the_target(folder: Path) -> None:
    """What the decorator makes takes one request, whatever the function takes that it was made of."""
    (folder / "chat.py").write_text(
        "import lowlevel as web\n"
        "@web.websocket(heartbeat=30)\n"
        "async def handler(request, ws):\n"
        "    await ws.send_str('here')\n"
    )
    options = ("--host", "127.0.0.1", "--port", "0", "--no-access-log")
    async with command("chat:handler", *options, folder=folder) as server:
        async with WSPeer.connect(await server.port()) as peer:
            assert await peer.read_text() == "here"
            assert await peer.read_close() == (1000, "")
            await peer.send(close())
            await peer.eof()
        assert await server.end(signal.SIGINT) == (0, "", "")


# --- start-up and shutdown ----------------------------------------------------------------

LIVING = """
import lowlevel as web

class Life:
    def __init__(self, start, end):
        self.start, self.end = start, end

    async def __aenter__(self):
        print("start", flush=True)
        if self.start:
            raise self.start

    async def __aexit__(self, *exc_info):
        print("end", flush=True)
        if self.end:
            raise self.end

class Handler:
    def __init__(self, start=None, end=None):
        self.lifespan = Life(start, end)

    async def __call__(self, request):
        return web.Response(text="here")

handler = Handler()
bad_start = Handler(start=ConnectionRefusedError("no database"))
bad_end = Handler(end=ConnectionResetError("no database"))
server = web.Server(handler, access_log=None)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send these signals")
@pytest.mark.parametrize("target", ["living", "living:server"])
async def test_the_lifespan_of_the_handler(folder: Path, target: str) -> None:
    (folder / "living.py").write_text(LIVING)
    async with command(target, "--port", "0", "--no-access-log", folder=folder) as server:
        assert server.process.stdout is not None
        async with asyncio.timeout(20):
            assert await server.process.stdout.readline() == b"start\n"
        assert (await get(await server.port())).endswith(b"here")
        assert await server.end(signal.SIGTERM) == (0, "end\n", "")


async def test_a_start_that_fails(folder: Path) -> None:
    """It is told from a place that cannot be listened at, although both are OSErrors."""
    (folder / "living.py").write_text(LIVING)
    async with command("living:bad_start", "--port", "0", folder=folder) as server:
        status, stdout, stderr = await server.end()
    assert (status, stdout) == (1, "start\n")
    assert stderr.startswith("Traceback") and "living.py" in stderr
    assert stderr.splitlines()[-1] == (
        "python -m lowlevel: the lifespan of living:bad_start failed:"
        " ConnectionRefusedError: no database (traceback above)"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send these signals")
async def test_an_end_that_fails(folder: Path) -> None:
    (folder / "living.py").write_text(LIVING)
    async with command("living:bad_end", "--port", "0", folder=folder) as server:
        assert server.process.stdout is not None
        async with asyncio.timeout(20):
            assert await server.process.stdout.readline() == b"start\n"
        await server.port()
        status, stdout, stderr = await server.end(signal.SIGTERM)
    assert (status, stdout) == (1, "end\n")
    assert stderr.splitlines()[-1] == (
        "python -m lowlevel: the lifespan of living:bad_end failed:"
        " ConnectionResetError: no database (traceback above)"
    )
