"""docs/inside.rst: what it names is there, and its pictures fit on a phone."""

from __future__ import annotations

import ast
import asyncio
import builtins
import enum
import importlib
import pkgutil
import re
from types import ModuleType

import pytest

import lowlevel
from lowlevel.connection import Phase
from lowlevel.protocol.http1 import _Mode
from lowlevel.protocol.serializer import Framing
from lowlevel.websocket_session import SessionState
from tests.program import ROOT

PAGE = (ROOT / "docs/inside.rst").read_text("utf-8")
PACKAGE = ROOT / "lowlevel"
LITERALS = sorted(set(re.findall(r"``([^`]+)``", PAGE)))

_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?:\(\))?$")
_TESTS = "tests/"
_WORDS = {"None", "chunked"}
_INSTANCES = {"request": "BaseRequest", "response": "Response"}


def _modules() -> dict[str, list[ModuleType]]:
    """All modules, by the last part of their names."""
    found: dict[str, list[ModuleType]] = {}
    for info in pkgutil.walk_packages(lowlevel.__path__, "lowlevel."):
        if not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            found.setdefault(info.name.rpartition(".")[2], []).append(module)
    return found


MODULES = _modules()
CLASSES = {
    name: value
    for modules in MODULES.values()
    for module in modules
    for name, value in vars(module).items()
    if isinstance(value, type) and value.__module__.startswith("lowlevel")
}


def _names() -> set[str]:
    """Whatever has a name in the package: functions, classes, arguments, attributes, variables."""
    names: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.arg):
                names.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                names.add(node.attr)
    return names


NAMES = _names()


def is_known(literal: str) -> bool:
    """Whether a file, folder, module, class or function is there, or what has a dot in front is an attribute."""
    if literal.endswith(".py"):
        return (ROOT / literal if literal.startswith(_TESTS) else PACKAGE / literal).is_file()
    if literal.endswith("/"):
        return (PACKAGE / literal).is_dir()
    owner, _, name = literal.removesuffix("()").rpartition(".")
    if owner == "asyncio":
        return hasattr(asyncio, name)
    owner = _INSTANCES.get(owner, owner)
    if owner in CLASSES:
        return hasattr(CLASSES[owner], name)
    if owner in MODULES:
        return any(hasattr(module, name) for module in MODULES[owner])
    return name in NAMES or hasattr(asyncio, name) or hasattr(builtins, name)


def test_what_is_named_is_there() -> None:
    checked = [
        literal
        for literal in LITERALS
        if (_NAME.match(literal) or literal.endswith((".py", "/"))) and literal not in _WORDS
    ]
    assert len(checked) > 80
    assert [literal for literal in checked if not is_known(literal)] == []


def test_what_is_not_there_is_noticed() -> None:
    wrong = ["no_such.py", "nothing/", "Connection._begin", "routes.nothing", "serve_all()"]
    assert not any(map(is_known, wrong))


@pytest.mark.parametrize("states", [Phase, SessionState, Framing, _Mode], ids=lambda s: s.__name__)
def test_no_state_is_left_out(states: type[enum.Enum]) -> None:
    """Neither of the pictures, nor of the table of phases."""
    section = PAGE.split("\nStates\n------\n")[1]
    missing = [state.name for state in states if not re.search(rf"\b{state.name}\b", section)]
    assert missing == []


def test_pictures_fit_on_a_phone() -> None:
    """What is wider than that has to be scrolled too far to be seen as a whole."""
    pictures = re.findall(r"\.\. code-block:: text\n\n((?:(?: .*)?\n)+)", PAGE)
    assert len(pictures) >= 10
    lines = [line[4:] for picture in pictures for line in picture.splitlines()]
    assert [line for line in lines if len(line) > 60] == []
