"""The tables, the lists and the examples of ``docs/reference``."""

from __future__ import annotations

import argparse
import asyncio
import inspect
import logging
import re
import signal
from http import HTTPStatus
from typing import Any

import aiohttp
import pytest

import lowlevel as web
from lowlevel import cli, hdrs
from tests.docpages import Page, asking
from tests.program import ROOT

# ---- Tables and lists --------------------------------------------------------------------------

# Python 3.13 has them as RFC 9110 has.
OLDER_REASONS = {
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    416: "Requested Range Not Satisfiable",
    422: "Unprocessable Entity",
}


def test_the_table_of_the_exceptions() -> None:
    text = (ROOT / "docs/reference/exceptions.rst").read_text("utf-8")
    rows = re.findall(r"^(\d{3}) +:exc:`~lowlevel\.(\w+)` +(.+)$", text, re.MULTILINE)
    expected = sorted(
        (
            str(value.status_code),
            name,
            OLDER_REASONS.get(value.status_code) or HTTPStatus(value.status_code).phrase,
        )
        for name in web.__all__
        if inspect.isclass(value := getattr(web, name))
        and issubclass(value, web.HTTPException)
        and value.status_code > 0
    )
    assert sorted(rows) == expected
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_the_table_of_the_options() -> None:
    text = (ROOT / "docs/reference/server.rst").read_text("utf-8")
    rows = re.findall(r"^``(\w+)`` +(.+?)(?:  .*)?$", text, re.MULTILINE)
    options = {
        parameter.name: parameter.default
        for parameter in inspect.signature(web.Server).parameters.values()
        if parameter.name != "handler"
    }
    for name, shown in rows:
        default = options.pop(name)
        if type(default) in (int, float):
            number, unit = shown.split()
            assert (float(number), unit in UNITS) == (default, True), name
        else:
            assert shown == _written(default), name
    assert not options


UNITS = ("seconds", "bytes", "fields", "requests")


def _written(default: object) -> str:
    if isinstance(default, logging.Logger):
        return f"the logger ``{default.name}``"
    if default is web.AccessLogger:
        return "``AccessLogger``"
    if default == web.AccessLogger.LOG_FORMAT:
        return "``AccessLogger.LOG_FORMAT``"
    return str(default)


def test_the_names_of_hdrs() -> None:
    page = Page("docs/reference/headers.rst").text
    listed = [
        word
        for block in re.findall(r"\.\. code-block:: text\n\n((?:    .*\n)+)", page)
        for word in block.split()
    ]
    assert sorted(listed) == sorted(name for name in vars(hdrs) if name.isupper())
    for name in listed:
        if not name.startswith("METH_"):
            assert getattr(hdrs, name).upper() == name.replace("_", "-")


# ---- The command line --------------------------------------------------------------------------


def options_of_the_page() -> dict[str, str]:
    text = (ROOT / "docs/reference/command-line.rst").read_text("utf-8")
    found = re.findall(r"^\.\. option:: (.+)\n\n((?:   .*\n)+)", text, re.MULTILINE)
    return {title: " ".join(body.split()) for title, body in found}


def title_of(action: argparse.Action) -> str:
    if not action.option_strings:
        return str(action.metavar)
    title = ", ".join(action.option_strings)
    if action.nargs == 0:
        return title
    if action.choices:
        return f"{title} {{{','.join(action.choices)}}}"
    return f"{title} {action.metavar or action.dest.upper()}"


def test_the_options_of_the_command_line() -> None:
    actions = {title_of(action): action for action in cli._parser("lowlevel")._actions}
    page = options_of_the_page()
    assert page.keys() == actions.keys()
    for title, action in actions.items():
        for default in re.findall(r"\(default: ([^)]+)\)", action.help or ""):
            assert f"(default: {default})" in page[title].replace("``", ""), title


def test_the_example_of_the_command_line_is_a_handler() -> None:
    definitions = Page("docs/reference/command-line.rst").run()
    cli._check_handler("hello", definitions["handler"])


# ---- The examples ------------------------------------------------------------------------------


def test_every_page_has_an_example() -> None:
    pages = sorted((ROOT / "docs/reference").glob("*.rst"))
    bare = [path.stem for path in pages if not Page(f"docs/reference/{path.name}").blocks]
    assert bare == ["index"]


async def test_the_example_of_server() -> None:
    page = Page("docs/reference/server.rst")
    async with page.session() as client, client.get("/") as response:
        assert await response.text() == "Hello, world!"
    assert page.run("Runners")["main"]


def test_the_first_example_of_server_serves_nothing_when_it_is_imported() -> None:
    assert Page("docs/reference/server.rst").run()["served"] is None


async def test_the_second_example_of_server_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page("docs/reference/server.rst")
    definitions = page.run("Runners")
    started: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    class Site(web.TCPSite):
        def __init__(self, runner: web.BaseRunner, host: str, port: int) -> None:
            assert port == 8080
            super().__init__(runner, host, 0)

        async def start(self) -> None:
            await super().start()
            started.set_result(self.name)

    monkeypatch.setattr(web, "TCPSite", Site)
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(definitions["main"]())
    try:
        async with asyncio.timeout(5):
            assert (await started).startswith("http://127.0.0.1:")
            assert loop.remove_signal_handler(signal.SIGINT)
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
            signal.raise_signal(signal.SIGTERM)
            await task  # it returns, and so ends as it should
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        task.cancel()


async def test_the_example_of_requests() -> None:
    async with (
        Page("docs/reference/requests.rst").session() as client,
        client.post("/a", json={"b": 1}, headers={"X-User": "me"}) as response,
    ):
        assert await response.json() == {"user": "me", "keys": ["b"]}


async def test_the_example_of_responses() -> None:
    async with Page("docs/reference/responses.rst").session() as client:
        async with client.get("/json") as response:
            assert await response.json() == {"hello": "world"}
        async with client.get("/") as response:
            assert await response.text() == "line 0\nline 1\nline 2\n"


async def test_the_example_of_exceptions() -> None:
    async with Page("docs/reference/exceptions.rst").session() as client:
        async with client.get("/?name=x") as response:
            assert await response.text() == "x"
        async with client.get("/") as response:
            assert (response.status, await response.text()) == (400, "Which name?")
        async with client.post("/") as response:
            assert (response.status, response.headers["Allow"]) == (405, "GET")


async def test_the_example_of_websocket() -> None:
    async with (
        Page("docs/reference/websocket.rst").session() as client,
        client.ws_connect("/") as ws,
    ):
        await ws.send_str("again")
        assert await ws.receive_str(timeout=5) == "again"


async def test_the_example_of_forms() -> None:
    form = aiohttp.FormData()
    form.add_field("file", b"x" * 1000, filename="a.bin")
    async with (
        Page("docs/reference/forms.rst").session() as client,
        client.post("/", data=form) as response,
    ):
        assert await response.json() == {"file": 1000}


async def test_the_example_of_toolkit() -> None:
    async with (
        Page("docs/reference/toolkit.rst").session(name="app") as client,
        client.get("/users/me") as response,
    ):
        assert await response.json() == {"name": "me"}


async def test_the_example_of_headers() -> None:
    async with (
        Page("docs/reference/headers.rst").session() as client,
        client.get("/", headers={"Cache-Control": "max-age=5"}) as response,
    ):
        assert await response.json() == {"max-age": 5}


async def test_the_example_of_errors() -> None:
    async with (
        Page("docs/reference/errors.rst").session() as client,
        client.post("/", data=b"body") as response,
    ):
        assert await response.read() == b"body"


async def test_the_example_of_types() -> None:
    timed = Page("docs/reference/types.rst").run()["timed"]

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        [(key, value)] = request.items()
        return web.Response(text=f"{key!r} {value}")

    async with asking(web.compose(handler, timed)) as client, client.get("/") as response:
        assert re.fullmatch(r"<RequestKey\(.*\.started, type=float\)> 0\.0", await response.text())


def test_the_examples_of_testing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = Page("docs/reference/testing.rst").run_as_tests(pytester, monkeypatch)
    result.assert_outcomes(passed=2)
