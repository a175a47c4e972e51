"""The blocks of code of docs/testing.rst, run as the one test module that they are."""

import pytest

from tests.docpages import Page
from tests.program import ROOT

PAGE = Page("docs/testing.rst")

RUN_COROUTINES = """
import asyncio
import inspect

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
"""


def test_the_page_is_a_test_module(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = [block for found in PAGE.blocks.values() for block in found]
    pytester.makepyfile("\n\n".join(blocks))
    pytester.makeconftest(RUN_COROUTINES)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # With or without the entry point: the fixtures are these.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    result = pytester.runpytest_subprocess("-p", "lowlevel.testing.plugin", "-W", "error")
    result.assert_outcomes(passed=8)


def test_no_block_is_left_out() -> None:
    """A block that is new wants a test in it."""
    assert PAGE.counts == {
        "A client": 2,
        "Streams and WebSockets": 2,
        "A server alone": 1,
        "pytest": 1,
        "Bad clients": 1,
    }
