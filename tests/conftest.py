"""How coroutine tests run, and the fixtures that every test may use.

``async def test_...`` runs under ``asyncio.Runner`` with a limit. The environment chooses how:
``LOWLEVEL_LOOP=asyncio`` (default) or ``uvloop``, and ``LOWLEVEL_DEBUG=1`` for asyncio's debug mode.

What a program would only see in its log fails a test here: what reaches the event loop's exception
handler (exceptions nobody retrieved, tasks destroyed while pending, errors in callbacks) and calls
of ``lowlevel`` that block the event loop.
"""

import asyncio
import gc
import inspect
import os
import random
import shutil
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from blockbuster import BlockBuster

LIMIT_SECONDS = 30
DEBUG = os.environ.get("LOWLEVEL_DEBUG", "") not in ("", "0")

Context = dict[str, Any]
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def _uvloop_factory() -> LoopFactory:
    import uvloop

    return uvloop.new_event_loop


LOOP_FACTORIES = {"asyncio": lambda: asyncio.new_event_loop, "uvloop": _uvloop_factory}
LOOP_NAME = os.environ.get("LOWLEVEL_LOOP") or "asyncio"


def pytest_configure() -> None:
    if LOOP_NAME not in LOOP_FACTORIES:
        names = ", ".join(LOOP_FACTORIES)
        raise pytest.UsageError(f"LOWLEVEL_LOOP must be one of {names}, not {LOOP_NAME!r}")


def pytest_report_header() -> str:
    return f"event loop: {LOOP_NAME}, debug mode {'on' if DEBUG else 'off'}"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect the tests without looking for garbage: nearly all that is made stays until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    errors: list[Context] = pyfuncitem.funcargs.get("allow_loop_errors", [])
    try:
        run_coroutine(pyfuncitem.obj(**arguments), errors)
    except BaseException as exc:
        for context in errors:
            exc.add_note(f"Event loop error: {context['message']} {context.get('exception')!r}")
        raise
    if errors and "allow_loop_errors" not in pyfuncitem.funcargs:
        fail_for(errors)
    return True


def run_coroutine(coroutine: Coroutine[Any, Any, None], errors: list[Context]) -> None:
    """Run *coroutine* to its end and collect in *errors* what the event loop was told on the way."""

    def record(loop: asyncio.AbstractEventLoop, context: Context) -> None:
        errors.append(context)
        loop.default_exception_handler(context)  # into the log that pytest shows

    async def limited() -> None:
        try:
            async with asyncio.timeout(LIMIT_SECONDS) as limit:
                await coroutine
        except TimeoutError as exc:
            if not limit.expired():
                raise
            raise TimeoutError(f"the test still ran after {LIMIT_SECONDS} seconds") from exc

    # Leave out of the collection below what was there before: the whole suite, and what it reported.
    gc.collect()
    gc.freeze()
    with asyncio.Runner(debug=DEBUG, loop_factory=LOOP_FACTORIES[LOOP_NAME]()) as runner:
        runner.get_loop().set_exception_handler(record)
        runner.run(limited())
    # Futures complain about an exception that nobody retrieved when they are collected.
    gc.collect()


def fail_for(errors: list[Context]) -> None:
    lines = [f"{context['message']}: {context.get('exception')!r}" for context in errors]
    cause = next((context["exception"] for context in errors if "exception" in context), None)
    message = "\n".join(["errors that only the event loop saw:", *lines])
    raise AssertionError(message) from cause


@pytest.fixture
def allow_loop_errors() -> list[Context]:
    """The test expects errors in the event loop's exception handler: here they are."""
    return []


@pytest.fixture(autouse=True, scope="session")
def _no_blocking_calls() -> Iterator[None]:
    blockbuster = BlockBuster("lowlevel")
    # The socket does not block, and the file is in memory: it was asked before.
    blockbuster.functions["os.sendfile"].can_block_in("lowlevel/outlet.py", "_send_from")
    blockbuster.activate()
    yield
    blockbuster.deactivate()


@pytest.fixture
def untraced() -> Iterator[None]:
    """Coverage does not see the test, which runs as fast as without: for very many rounds of what others cover."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


@pytest.fixture
def unused_tcp_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago. Prefer port 0 where it can be asked back.

    It is below those that the system gives to other connections, of which there are many at once.
    """
    while True:
        # Not the seeded generator: Hypothesis resets it, in each of the processes that run tests.
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="session")
def curl() -> str:
    """The path of the curl program; the test is skipped where there is none."""
    path = shutil.which("curl")
    if path is None:
        pytest.skip("curl is not installed")
    return path


class TLS(NamedTuple):
    """Both ends of TLS for localhost, 127.0.0.1 and ::1, and the server's files for a command line."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    certfile: Path
    keyfile: Path


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TLS:
    import trustme  # takes a quarter of a second, which most runs need not spend

    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1", "::1")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)

    folder = tmp_path_factory.mktemp("tls")
    certfile, keyfile = folder / "cert.pem", folder / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(str(certfile))
    certificate.private_key_pem.write_to_path(str(keyfile))
    return TLS(server, client, certfile, keyfile)
