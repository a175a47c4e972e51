"""The test suite's own rules, seen at work in a small suite made for the purpose."""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from blockbuster import BlockingError

import lowlevel

if TYPE_CHECKING:
    from tests.conftest import TLS

CONFTEST = Path(__file__).with_name("conftest.py")


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makeconftest(CONFTEST.read_text())
    return pytester


# What conftest.py does, others do too; and some take their time to load.
ALONE = [f"-pno:{name}" for name in ("aiohttp", "anyio", "asyncio", "hypothesispytest")]


def run(suite: pytest.Pytester, source: str, **outcomes: int) -> pytest.RunResult:
    suite.makepyfile("import asyncio, gc, pytest, warnings\n\n" + source)
    result = suite.runpytest_inprocess(*ALONE)
    result.assert_outcomes(**outcomes)
    return result


def test_coroutine_runs_to_its_end(suite: pytest.Pytester) -> None:
    source = """
@pytest.mark.parametrize("expected", [1, 2])
async def test_it(expected, tmp_path):
    await asyncio.sleep(0)
    assert tmp_path.is_dir()
    assert expected == 1
"""
    run(suite, source, passed=1, failed=1).stdout.fnmatch_lines(["*assert 2 == 1*"])


def test_methods_and_plain_functions(suite: pytest.Pytester) -> None:
    source = """
class TestIt:
    async def test_coroutine(self):
        raise LookupError
    def test_plain(self):
        raise LookupError
"""
    run(suite, source, failed=2)


def test_limit(suite: pytest.Pytester) -> None:
    suite.makeconftest(CONFTEST.read_text().replace("LIMIT_SECONDS = 30", "LIMIT_SECONDS = 0.01"))
    source = """
async def test_it():
    await asyncio.Event().wait()
"""
    lines = ["*await asyncio.Event().wait()*", "*still ran after 0.01 seconds*"]
    run(suite, source, failed=1).stdout.fnmatch_lines(lines)


def test_timeout_of_the_test_itself(suite: pytest.Pytester) -> None:
    source = """
async def test_it():
    async with asyncio.timeout(0):
        await asyncio.Event().wait()
"""
    run(suite, source, failed=1).stdout.no_fnmatch_line("*still ran*")


UNRETRIEVED = """
    asyncio.get_running_loop().create_future().set_exception(LookupError("nobody looked"))
"""
IN_A_CYCLE = """
    future = asyncio.get_running_loop().create_future()
    future.set_exception(LookupError("nobody looked"))
    future.itself = [future]
    del future
"""
IN_A_CALLBACK = """
    def fail():
        raise LookupError("nobody looked")
    asyncio.get_running_loop().call_soon(fail)
    await asyncio.sleep(0)
"""
LOOP_ERRORS = [UNRETRIEVED, IN_A_CYCLE, IN_A_CALLBACK]


@pytest.mark.parametrize("body", LOOP_ERRORS)
def test_loop_errors_fail_the_test(suite: pytest.Pytester, body: str) -> None:
    result = run(suite, f"async def test_it():{body}", failed=1)
    result.stdout.fnmatch_lines(["*only the event loop saw*", "*nobody looked*"])


@pytest.mark.parametrize("body", LOOP_ERRORS)
def test_loop_errors_can_be_allowed(suite: pytest.Pytester, body: str) -> None:
    source = f"""
async def test_it(allow_loop_errors):{body}
    gc.collect()
    assert [str(context["exception"]) for context in allow_loop_errors] == ["nobody looked"]
"""
    run(suite, source, passed=1)


def test_loop_errors_are_named_beside_the_failure(suite: pytest.Pytester) -> None:
    source = f"async def test_it():{IN_A_CALLBACK}    raise ValueError('of the test')\n"
    lines = ["*ValueError: of the test*", "*Event loop error: *nobody looked*"]
    run(suite, source, failed=1).stdout.fnmatch_lines(lines)


def test_warnings_fail_the_test(suite: pytest.Pytester) -> None:
    source = """
async def test_warning():
    warnings.warn("watch out")
async def test_never_awaited():
    asyncio.sleep(0)
    gc.collect()
"""
    run(suite, source, failed=2)


def test_untraced(suite: pytest.Pytester) -> None:
    def trace(frame: object, event: str, argument: object) -> None: ...

    source = """
import sys
async def test_it(untraced):
    assert sys.gettrace() is None
"""
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run(suite, source, passed=1)
        assert sys.gettrace() is trace
    finally:
        sys.settrace(before)


def test_unused_ports_are_not_those_of_connections(unused_tcp_port: int) -> None:
    """The system gives these from 32768 on, many a second while tests run in other processes."""
    assert 20_000 <= unused_tcp_port < 32_000


async def test_blocking_calls_of_the_package_fail_the_test() -> None:
    # Beside the package, where coverage does not look for the source, yet under the same prefix.
    inside = f"{lowlevel.__path__[0]}_not_there.py"
    time.sleep(0)
    with pytest.raises(BlockingError, match=r"time\.sleep"):
        exec(compile("import time; time.sleep(0)", inside, "exec"))


async def test_tls_contexts_fit(tls: TLS) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls.server)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls.client)
    async with asyncio.timeout(20):
        assert await reader.read() == b"hello"
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


def test_tls_files_fit(tls: TLS) -> None:
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certfile, tls.keyfile)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("debug", [True, False])
def test_loop_of_the_environment(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, loop: str, debug: bool
) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    monkeypatch.setenv("LOWLEVEL_LOOP", loop)
    monkeypatch.setenv("LOWLEVEL_DEBUG", "1" if debug else "0")
    source = f"""
async def test_it():
    loop = asyncio.get_running_loop()
    assert type(loop).__module__.split(".")[0] == {loop!r}
    assert loop.get_debug() is {debug}
"""
    run(suite, source, passed=1)


def test_unknown_loop(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWLEVEL_LOOP", "trio")
    result = suite.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*LOWLEVEL_LOOP must be one of asyncio, uvloop, not 'trio'*"])
