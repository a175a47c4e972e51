"""Imports point down: the floors of the package, held by reading its import statements.

Every import counts, also those inside a function or under TYPE_CHECKING: to know a name is to
depend on it.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lowlevel"

FLOORS: dict[str, tuple[str, ...]] = {
    "protocol": ("protocol",),
    "messages": (
        "_version",
        "body",
        "cached_files",
        "channel",
        "cookies",
        "decoded_body",
        "encoded_body",
        "errors",
        "event_source",
        "exceptions",
        "file_response",
        "forms",
        "handlers",
        "hdrs",
        "headers",
        "json_error",
        "keys",
        "multipart",
        "options",
        "payload",
        "request",
        "response",
        "response_fields",
        "threads",
        "upgrade_required",
        "urlencoded",
        "websocket_response",
        "websocket_session",
        "writer",
    ),
    "core": (
        "access_log",
        "background",
        "clock",
        "connection",
        "failure",
        "outlet",
        "server",
        "sockets",
        "tunnel",
    ),
    "lifecycle": ("__main__", "cli", "run", "runner", "sites"),
    "toolkit": ("toolkit",),
    "testing": ("testing",),
    "door": ("__init__",),
}
"""Each module or subpackage of lowlevel stands on one floor. A name that is not there yet is no error."""

STANDS_ON: dict[str, tuple[str, ...]] = {
    "protocol": (),
    "messages": ("protocol",),
    "core": ("protocol", "messages"),
    "lifecycle": ("protocol", "messages", "core"),
    "toolkit": ("protocol", "messages"),
    "testing": ("protocol", "messages", "core", "lifecycle", "toolkit", "door"),
    "door": ("protocol", "messages", "core", "lifecycle", "toolkit", "testing"),
}
"""The floors that a floor may import from, besides itself."""

NOT_OF_THIS_WORLD: dict[str, tuple[str, ...]] = {
    "protocol": (
        "asyncio",
        "select",
        "selectors",
        "signal",
        "socket",
        "ssl",
        "threading",
        "uvloop",
    ),
    "messages": ("selectors", "signal", "socket", "uvloop"),
    "core": ("argparse", "signal", "uvloop"),
    "toolkit": ("argparse", "selectors", "signal", "socket", "uvloop"),
}
"""Modules from outside the package that a floor has no business with."""

NOT_AT_IMPORT = (
    "aiohttp",
    "argparse",
    "backports.zstd",
    "brotli",
    "compression",
    "gunicorn",
    "h11",
    "lowlevel.__main__",
    "lowlevel.cli",
    "lowlevel.testing",
    "lowlevel.toolkit",
    "pytest",
    "python_multipart",
    "unittest",
    "uvloop",
    "wsproto",
    "zstandard",
)
"""What ``import lowlevel`` leaves for the moment when somebody asks for it."""

FILES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = (PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def floor_of(module: str) -> str | None:
    """The floor of a module of lowlevel, by the first name behind the dot; None if it has none."""
    _, _, inside = module.partition(".")
    entry = inside.split(".")[0] or "__init__"
    return next((floor for floor, entries in FLOORS.items() if entry in entries), None)


def imports_of(module: str, source: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Every import in *source*: its line and the absolute name of the module it asks for."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [base])])
            # `from .protocol import headers` asks for a module, `from .errors import Oops` does not.
            names = (f"{base}.{alias.name}" for alias in node.names)
            yield from ((node.lineno, name if name in MODULES else base) for name in names)


def broken_rule(importer: str, imported: str) -> str | None:
    """Why *importer* must not import *imported*, or None if it may."""
    floor = floor_of(importer)
    assert floor is not None, importer
    if imported.split(".")[0] != PACKAGE.name:
        if imported.split(".")[0] in NOT_OF_THIS_WORLD.get(floor, ()):
            return f"{floor} has nothing to do with {imported}"
        return None
    below = floor_of(imported)
    if below != floor and below not in STANDS_ON[floor]:
        return f"{floor} does not stand on {below} ({imported})"
    return None


def test_every_module_has_a_floor() -> None:
    homeless = [module for module in MODULES if floor_of(module) is None]
    assert not homeless, "give these a place in FLOORS"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    path = MODULES[module]
    if floor_of(module) is None:
        pytest.skip("has no floor, as test_every_module_has_a_floor says")
    imports = imports_of(module, path.read_text(), is_package=path.name == "__init__.py")
    broken = [
        f"{path.relative_to(PACKAGE.parent)}:{line}: {reason}"
        for line, imported in imports
        if (reason := broken_rule(module, imported))
    ]
    assert not broken


@pytest.mark.parametrize(
    ("importer", "statement", "allowed"),
    [
        ("lowlevel.protocol.http1", "import httptools", True),
        ("lowlevel.protocol.http1", "from .head import RequestHead", True),
        ("lowlevel.protocol.http1", "import asyncio.events", False),
        ("lowlevel.protocol.http1", "from socket import AF_INET", False),
        ("lowlevel.protocol.http1", "from ..errors import PayloadAccessError", False),
        ("lowlevel.protocol.http1", "from .. import errors", False),
        ("lowlevel.protocol.http1", "import lowlevel", False),
        ("lowlevel.protocol.http1", "def late():\n    import asyncio", False),
        ("lowlevel.request", "import asyncio", True),
        ("lowlevel.request", "from .protocol import head", True),
        ("lowlevel.request", "from . import connection", False),
        ("lowlevel.request", "from .server import Server", False),
        ("lowlevel.request", "import lowlevel.runner", False),
        ("lowlevel.request", "if TYPE_CHECKING:\n    from .connection import Connection", False),
        ("lowlevel.connection", "from .request import BaseRequest", True),
        ("lowlevel.connection", "from .server import Server", True),
        ("lowlevel.connection", "from .sites import TCPSite", False),
        ("lowlevel.server", "from lowlevel.toolkit import Router", False),
        ("lowlevel.server", "from .testing.server import TestServer", False),
        ("lowlevel.server", "from . import Response", False),
        ("lowlevel.cli", "from .runner import ServerRunner", True),
        ("lowlevel.cli", "from .toolkit.router import Router", False),
        ("lowlevel.toolkit.router", "from ..response import Response", True),
        ("lowlevel.toolkit.router", "from .sse import EventSource", True),
        ("lowlevel.toolkit.router", "from ..connection import Connection", False),
        ("lowlevel.testing.server", "import lowlevel as web", True),
        ("lowlevel.testing.server", "from ..runner import ServerRunner", True),
    ],
)
def test_the_rules_themselves(importer: str, statement: str, allowed: bool) -> None:
    (imported,) = {name for _, name in imports_of(importer, statement, is_package=False)}
    assert (broken_rule(importer, imported) is None) == allowed


def test_import_is_light() -> None:
    """A fresh interpreter without site (whose .pth files import things too) tells what is loaded."""
    program = (
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]); before = set(sys.modules); "
        "import lowlevel; print(json.dumps([lowlevel.__file__, *set(sys.modules) - before]))"
    )
    path = json.dumps([str(PACKAGE.parent), *sys.path])
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, path],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert result.returncode == 0, result.stderr
    file, *loaded = json.loads(result.stdout)
    assert Path(file) == PACKAGE / "__init__.py"
    heavy = [
        module
        for module in loaded
        if any(module == name or module.startswith(f"{name}.") for name in NOT_AT_IMPORT)
    ]
    assert not heavy, "import lowlevel loads these at once"
