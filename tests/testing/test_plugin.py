"""The pytest plugin: its fixtures close what they opened, whatever runs the coroutine tests."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent.parent
LIMIT = 35.0
"""Seconds that a run of pytest may take: just less than the limit of a plain test."""

HOOK = """
import asyncio, inspect, pytest

@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        names = pyfuncitem._fixtureinfo.argnames
        asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
        return True
"""


class Runner(NamedTuple):
    """What runs coroutine tests, and how a project asks for it."""

    modules: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    conftest: str = ""
    mark: str = ""
    """The decorator of coroutine tests."""
    fixture: str = ""
    """The decorator of asynchronous fixtures."""


ASYNCIO = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function")
RUNNERS = {
    "hook": Runner(conftest=HOOK),
    "asyncio-strict": Runner(
        ("pytest_asyncio",),
        (*ASYNCIO, "--asyncio-mode=strict"),
        mark="@pytest.mark.asyncio",
        fixture="@__import__('pytest_asyncio').fixture",
    ),
    "asyncio-auto": Runner(
        ("pytest_asyncio",), (*ASYNCIO, "--asyncio-mode=auto"), fixture="@pytest.fixture"
    ),
    "aiohttp": Runner(
        ("pytest_asyncio", "pytest_aiohttp"),
        (*ASYNCIO, "-p", "pytest_aiohttp.plugin", "--asyncio-mode=auto"),
        fixture="@pytest.fixture",
    ),
    "anyio": Runner(
        ("anyio",),
        ("-p", "anyio"),
        "import pytest\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n",
        mark="@pytest.mark.anyio",
        fixture="@pytest.fixture",
    ),
}

HEAD = """
import socket
import pytest
import lowlevel as web
from lowlevel.testing import TestClient, TestServer

opened = []

async def hello(request):
    return web.Response(text="Hello")

@pytest.fixture
def forget():
    opened.clear()

class BadEnd:
    async def __aenter__(self):
        pass
    async def __aexit__(self, *args):
        raise OSError("no database")

def closed():
    assert opened
    for server in opened:
        assert not server.started
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port)).close()
"""


class Project:
    """A folder with tests, which run under one of the runners."""

    def __init__(self, pytester: pytest.Pytester, name: str) -> None:
        self._runner = RUNNERS[name]
        for module in self._runner.modules:
            if importlib.util.find_spec(module) is None:
                pytest.skip(f"{module} is not installed")
        self._pytester = pytester
        pytester.makeini("[pytest]\nfilterwarnings = error\n")
        pytester.makeconftest(self._runner.conftest)

    def run(self, source: str) -> pytest.RunResult:
        mark = self._runner.mark
        source = re.sub("^( *)(async def test_)", rf"\1{mark}\n\1\2", source, flags=re.MULTILINE)
        self._pytester.makepyfile(HEAD + source.replace("@async_fixture", self._runner.fixture))
        options = ["-p", "lowlevel.testing.plugin", "-p", "no:cacheprovider", *self._runner.options]
        return self._pytester.runpytest_subprocess(*options, timeout=LIMIT)

    @property
    def has_fixtures(self) -> bool:
        """Whether there are asynchronous fixtures."""
        return bool(self._runner.fixture)


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    # Also when the project is not installed; and where it is, its entry point is not in the way.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return pytester


@pytest.fixture(params=RUNNERS)
def project(request: pytest.FixtureRequest, pytester: pytest.Pytester) -> Project:
    return Project(pytester, request.param)


@pytest.fixture
def simple(pytester: pytest.Pytester) -> Project:
    return Project(pytester, "hook")


TESTS = """
async def test_client(lowlevel_client, forget):
    client = await lowlevel_client(hello, timeout=5, client_max_size=1)
    assert isinstance(client, TestClient)
    assert await (await client.get("/")).text() == "Hello"
    opened.append(client.server)

def test_client_is_closed():
    closed()

async def test_server(lowlevel_server, lowlevel_client, forget):
    server = await lowlevel_server(hello, port=0, debug=True)
    assert isinstance(server, TestServer)
    opened.append(server)
    one, two = await lowlevel_client(server), await lowlevel_client(server)
    assert (await one.get("/")).status == (await two.get("/")).status == 200
    opened.append(await lowlevel_server(hello))

def test_server_is_closed():
    closed()

class TestMethods:
    async def test_method(self, lowlevel_client, forget):
        client = await lowlevel_client(hello)
        assert (await client.get("/")).status == 200
        opened.append(client.server)

    def test_method_is_closed(self):
        closed()

@pytest.mark.parametrize("status", [200, 404])
async def test_parameters(status, lowlevel_client):
    async def handler(request):
        return web.Response(status=status)

    client = await lowlevel_client(handler)
    assert (await client.get("/")).status == status

async def test_lifespan(lowlevel_client, forget):
    class Life:
        async def __aenter__(self):
            opened.append("begin")
        async def __aexit__(self, *args):
            opened.append("end")

    await lowlevel_client(hello, lifespan=Life())
    assert opened == ["begin"]

def test_lifespan_has_ended():
    assert opened == ["begin", "end"]

async def test_that_fails(lowlevel_client, forget):
    opened.append((await lowlevel_client(hello)).server)
    assert "this" == "that"

def test_that_fails_is_closed():
    closed()

async def test_with_a_bad_end(lowlevel_client, lowlevel_server, forget):
    opened.append(await lowlevel_server(hello))
    await lowlevel_client(hello, lifespan=BadEnd())
    opened.append(await lowlevel_server(hello))

def test_with_a_bad_end_is_closed():
    closed()
"""

TESTS_OF_FIXTURES = """
@async_fixture
async def client(lowlevel_client):
    client = await lowlevel_client(hello)
    opened.append(client.server)
    return client

@async_fixture
async def generated(lowlevel_client):
    yield await lowlevel_client(hello)

async def test_fixtures(forget, client, generated):
    assert (await client.get("/")).status == 200
    assert (await generated.get("/")).status == 200

def test_fixtures_are_closed():
    closed()
"""


def test_everything_is_closed_behind_the_test(project: Project) -> None:
    result = project.run(TESTS + (TESTS_OF_FIXTURES if project.has_fixtures else ""))
    result.assert_outcomes(passed=14 if project.has_fixtures else 12, failed=2)
    # The report shows the test, not what is around it; an error at the end fails the test.
    result.stdout.fnmatch_lines(['>       assert "this" == "that"', "E*OSError: no database"])
    result.stdout.no_fnmatch_line("*await function*")


def test_what_a_fixture_opened_that_fails(pytester: pytest.Pytester) -> None:
    """It can be closed where the event loop lives on."""
    result = Project(pytester, "asyncio-auto").run("""
import pytest_asyncio

@pytest_asyncio.fixture(loop_scope="module")
async def client(lowlevel_client):
    opened.append((await lowlevel_client(hello)).server)
    raise ValueError

@pytest.mark.asyncio(loop_scope="module")
async def test_fixture(client):
    pass

def test_closed():
    closed()
""")
    result.assert_outcomes(errors=1, passed=1)


def test_plain_functions_are_told(simple: Project) -> None:
    result = simple.run("""
def test_server(lowlevel_server):
    with pytest.raises(RuntimeError, match="test_server is no coroutine function"):
        lowlevel_server(hello)

def test_client(lowlevel_client):
    with pytest.raises(RuntimeError, match="test_client is no coroutine function"):
        lowlevel_client(hello)
""")
    result.assert_outcomes(passed=2)


def test_other_event_loops_are_told(pytester: pytest.Pytester) -> None:
    for module in ("anyio", "trio"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef anyio_backend():\n    return 'trio'")
    pytester.makepyfile("""
        import pytest

        @pytest.mark.anyio
        async def test_trio(lowlevel_server):
            with pytest.raises(RuntimeError, match="tests that asyncio runs"):
                await lowlevel_server(print)
    """)
    result = pytester.runpytest_subprocess("-p", "lowlevel.testing.plugin", "-p", "anyio")
    result.assert_outcomes(passed=1)


def test_a_test_that_runs_again(simple: Project) -> None:
    """The test's function is put back behind each run."""
    result = simple.run("""
@pytest.fixture
def function(request):
    yield
    opened.append(request.node.obj)

async def test_again(function, lowlevel_client):
    await lowlevel_client(hello)

def test_function():
    assert opened == [test_again]
""")
    result.assert_outcomes(passed=2)


def test_fixtures_are_listed_with_a_line(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("-p", "lowlevel.testing.plugin", "--fixtures")
    result.stdout.fnmatch_lines(
        ["lowlevel_server -- *", "    *TestServer*", "lowlevel_client -- *", "    *TestClient*"]
    )


def test_loading_it_is_light() -> None:
    """Every run of pytest loads it, in every project beside which lowlevel is installed."""
    program = """if True:
        import sys
        import pytest, lowlevel
        before = set(sys.modules)
        import lowlevel.testing.plugin
        print(*sorted(set(sys.modules) - before))
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT
    )
    assert done.stdout.split() == ["lowlevel.testing", "lowlevel.testing.plugin"], done.stderr
