"""The blocks of code of a page of documentation, run as they stand there."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from unittest import mock

import aiohttp
import pytest

import lowlevel as web
from tests.program import ROOT
from tests.support import serving

_BORDER = re.compile(r"^=+(?: +=+)+$", re.MULTILINE)

# What else stands there in double backquotes is a header field, a value, a part of a line.
_CODE = re.compile(
    r"(?:@|await |async def |class |raise |(?:app|request|response|router|ws)[.\[])|.*web\."
)


# A conftest.py, since pytest runs no coroutines by itself.
_RUN_COROUTINES = """
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


class Page:
    """One page: ``blocks``, the code under each heading, and ``text``.

    Blocks above the first heading stand under ``""``.
    """

    def __init__(self, path: str) -> None:
        self.text = (ROOT / path).read_text("utf-8")
        top, *parts = re.split(r"^(.+)\n-+\n", self.text, flags=re.MULTILINE)
        self.blocks: dict[str, list[str]] = {}
        for heading, text in zip(["", *parts[::2]], [top, *parts[1::2]], strict=True):
            indented = re.findall(r"::(?: python)?\n\n((?:(?: .*)?\n)+)", text)
            if indented:
                self.blocks[heading] = [textwrap.dedent(block) for block in indented]

    @property
    def counts(self) -> dict[str, int]:
        """How many blocks there are under each heading."""
        return {heading: len(found) for heading, found in self.blocks.items()}

    def run(self, heading: str = "", number: int = 0) -> dict[str, Any]:
        """Run a block, which knows ``web``; return what it defines.

        It serves nothing: what it gives to ``run_app`` is in ``served``, as a ``mock.call``.
        """
        namespace: dict[str, Any] = {"__name__": "page", "web": web}
        code = compile(self.blocks[heading][number], f"{heading} {number}", "exec")
        with mock.patch.object(web, "run_app") as run_app:
            exec(code, namespace)
        namespace["served"] = run_app.call_args
        return namespace

    def run_as_tests(
        self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
    ) -> pytest.RunResult:
        """Run all blocks as the one test module that they are."""
        blocks = [block for found in self.blocks.values() for block in found]
        pytester.makepyfile("\n\n".join(blocks))
        pytester.makeconftest(_RUN_COROUTINES)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        # With or without the entry point: the fixtures are these.
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        return pytester.runpytest_subprocess("-p", "lowlevel.testing.plugin", "-W", "error")

    @asynccontextmanager
    async def session(
        self, heading: str = "", number: int = 0, name: str = "handler"
    ) -> AsyncIterator[aiohttp.ClientSession]:
        """Serve what a block calls ``name``."""
        definitions = await asyncio.to_thread(self.run, heading, number)  # as a program starts
        async with asking(definitions[name]) as client:
            yield client

    def literals(self) -> Iterator[str]:
        """The lines of code in the last columns of its tables."""
        for table in re.split(r"\n\n", self.text):
            borders = list(_BORDER.finditer(table))
            if len(borders) != 3:
                continue
            column = borders[0][0].rindex(" ") + 1
            cells = [line[column:] for line in table[borders[1].end() :].splitlines()]
            for literal in re.findall(r"``(.+?)``", " ".join(cells)):
                if _CODE.match(literal):
                    yield literal


@asynccontextmanager
async def asking(handler: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve a handler, and ask it."""
    async with (
        serving(handler) as site,
        aiohttp.ClientSession(site.url(), auto_decompress=False) as client,
    ):
        yield client


def check_code(literal: str) -> None:
    """Fail for a line that cannot run: its syntax, its names of ``web``, and the arguments of these."""
    line = literal
    if line.startswith("@"):
        line += "\nasync def decorated(request): ..."
    elif re.match(r"(?:async )?(?:def|for|with|class) ", line):
        line += ": ..."
    tree = compile(line, literal, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(tree, ast.AST)
    nodes = list(ast.walk(tree))
    for name in filter(None, map(_of_web, nodes)):
        assert hasattr(web, name), f"{literal}: there is no web.{name}"
    for node in nodes:
        if isinstance(node, ast.Call) and (name := _of_web(node.func)) is not None:
            _check_call(getattr(web, name), node, literal)


def _of_web(node: ast.AST) -> str | None:
    if (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "web"
    ):
        return node.attr
    return None


def _check_call(function: Any, call: ast.Call, literal: str) -> None:
    keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg is not None}
    try:
        inspect.signature(function).bind_partial(*call.args, **keywords)
    except TypeError as exc:
        raise AssertionError(f"{literal}: {exc}") from None
