"""The programs in examples/, each run as a process of its own; those with more to test have a module of theirs."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import chromium
from tests.example import Example, example
from tests.program import ROOT, running
from tests.support import DEADLINE, Peer, request

if TYPE_CHECKING:
    from selenium.webdriver import Remote

EXAMPLES = ROOT / "examples"
PROGRAMS = sorted(str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*.py"))


# ---- All of them -------------------------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_example_is_short_and_tested_and_told_of(program: str) -> None:
    lines = (EXAMPLES / program).read_text("utf-8").splitlines()
    assert len(lines) < 60
    assert lines[0].startswith('"""')
    tests = [path for path in (ROOT / "tests").glob("test_*.py") if path != Path(__file__)]
    texts = [path.read_text("utf-8") for path in (Path(__file__), *tests)]
    assert any(f'{program}"' in text for text in texts), "no test runs it"
    table = (EXAMPLES / "README.rst").read_text("utf-8")
    assert f"``{program}``" in table, "examples/README.rst does not tell of it"


def test_the_table_tells_of_no_other_examples() -> None:
    table = (EXAMPLES / "README.rst").read_text("utf-8")
    assert sorted(re.findall(r"^``(\S+\.py)``", table, re.MULTILINE)) == PROGRAMS


# ---- One by one --------------------------------------------------------------------------------


async def test_hello(unused_tcp_port: int) -> None:
    """It announces where it serves, answers there, and SIGINT ends it without a word."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / "hello.py"),
        f"--port={unused_tcp_port}",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(DEADLINE):
            line = await process.stdout.readline()
            trouble = b"" if line else await process.stderr.read()
        announced = f"======= Serving on http://127.0.0.1:{unused_tcp_port}/ ======\n"
        assert line.decode() == announced, trouble.decode()

        async with Peer.connect(unused_tcp_port) as peer:
            answer = await peer.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (answer.status, answer.body) == (200, b"OK")
        assert answer.header("content-type") == "text/plain; charset=utf-8"

        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(DEADLINE):
            stdout, stderr = await process.communicate()
        assert (process.returncode, stdout, stderr) == (0, b"", b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_rest() -> None:
    async with example("rest.py") as notes:
        await notes.says("/notes", 200, "[]")
        for number, text in ((1, "Buy milk"), (2, "Grüße")):
            got = await notes.ask("/notes", "POST", json={"text": text})
            assert (got.status, got.headers["Location"]) == (201, f"/notes/{number}")
            assert json.loads(got.text) == {"number": number, "text": text}
        got = await notes.ask("/notes/1", "PUT", json={"text": "Buy bread"})
        assert (got.status, json.loads(got.text)["text"]) == (200, "Buy bread")
        assert (await notes.ask("/notes/1", "DELETE")).status == 204
        for method in ("GET", "DELETE", "PUT"):
            got = await notes.ask("/notes/1", method, json={"text": "x"})
            assert (got.status, got.text) == (404, "There is no note 1")
        got = await notes.ask("/notes")
        assert json.loads(got.text) == [{"number": 2, "text": "Grüße"}]
        for data, status in (('{"text": 1}', 422), ("[]", 422), ("{", 400), (b"\xff", 400)):
            assert (await notes.ask("/notes", "POST", data=data)).status == status
            assert (await notes.ask("/notes/2", "PUT", data=data)).status == status
        assert json.loads((await notes.ask("/notes/2")).text)["text"] == "Grüße"
        got = await notes.ask("/notes/2", "PATCH")
        assert (got.status, got.headers["Allow"]) == (405, "DELETE, GET, HEAD, PUT")
        got = await notes.ask("/notes", "PUT")
        assert (got.status, got.headers["Allow"]) == (405, "GET, HEAD, POST")
        for path in ("/", "/notes/", "/notes/x", "/notes/2/x"):
            assert (await notes.ask(path)).status == 404


async def test_websocket_echo() -> None:
    async with example("websocket_echo.py") as echo:
        async with echo.session.ws_connect("/") as ws:
            await ws.send_str("Grüße")
            await ws.send_bytes(b"\xff" * 100_000)
            assert await ws.receive_str() == "Grüße"
            assert await ws.receive_bytes() == b"\xff" * 100_000
            await ws.close()
            assert ws.close_code == 1000
        assert (await echo.ask("/")).status == 426


async def test_clock() -> None:
    async with example("clock.py") as clock:
        got = await clock.ask("/")
        assert (got.status, got.headers["Content-Type"]) == (200, "text/html")
        async with clock.session.get("/time") as response:
            assert response.content_type == "text/event-stream"
            lines = [(await response.content.readline()).decode() for _ in range(6)]
        assert lines[0::3] == ["event: tick\n"] * 2
        assert lines[2::3] == ["\n"] * 2
        seconds = [int(line.removeprefix("data: ")) for line in lines[1::3]]
        assert seconds[1] - seconds[0] in (0, 1, 2)
        assert abs(seconds[0] - time.time()) < 60


@pytest.mark.timeout(120)  # a browser takes its time to start on a machine that is busy
def test_the_clock_in_a_browser(tmp_path: Path) -> None:
    with chromium(tmp_path) as browser, running(str(EXAMPLES / "clock.py"), "--port=0") as clock:
        browser.get(clock.url)
        first = shows(browser, "time", r"\d\d:\d\d:\d\d")
        shows(browser, "time", rf"(?!{first})\d\d:\d\d:\d\d")
        shows(browser, "p", "The server's time")
        clock.stop()
        shows(browser, "p", "The connection is lost")


def shows(browser: "Remote", tag: str, pattern: str) -> str:
    """Wait until the text of an element matches; return it."""
    deadline = time.monotonic() + DEADLINE
    while not re.fullmatch(pattern, text := browser.find_element("tag name", tag).text):
        assert time.monotonic() < deadline, f"{tag} reads {text!r}, not {pattern}"
        time.sleep(0.01)
    return text


async def test_static_site(tmp_path: Path, curl: str) -> None:
    (tmp_path / "index.html").write_text("<h1>Home</h1>" * 100)
    (tmp_path / "about").mkdir()
    (tmp_path / "about" / "index.html").write_text("About")
    async with example("static_site.py", str(tmp_path)) as site:
        got = await site.ask("/")
        assert (got.status, got.text) == (200, "<h1>Home</h1>" * 100)
        assert got.headers["Cache-Control"] == "max-age=60"
        assert got.headers["Content-Encoding"] in ("gzip", "br", "zstd", "deflate")
        await site.says("/about/", 200, "About")
        await site.says("/about", 200, "About")  # sent on, to the one with the slash
        got = await site.ask("/nope")
        assert (got.status, "There is no such page" in got.text) == (404, True)
        assert "Cache-Control" not in got.headers
        assert (await site.ask("/", "POST")).status == 405

        options = (
            curl,
            "-sS",
            "--noproxy",
            "*",
            "-o",
            str(tmp_path / "copy"),
            "-w",
            "%{http_code}",
        )
        etag = str(tmp_path / "etag")
        for more, status in ((["--etag-save", etag], b"200"), (["--etag-compare", etag], b"304")):
            process = await asyncio.create_subprocess_exec(
                *options, *more, site.program.url, stdout=asyncio.subprocess.PIPE
            )
            assert (await process.communicate())[0] == status


# ---- Beside another service --------------------------------------------------------------------


async def lines_port(embedded: Example) -> int:
    return int((await embedded.line()).removeprefix("Lines are taken at port "))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_embedded(number: signal.Signals) -> None:
    """HTTP shows what came as lines; a signal ends both, with clients of both connected."""
    async with example("embedded.py", "--line-port=0") as embedded:
        port = await lines_port(embedded)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await embedded.says("/", 200, "[]")
        writer.write(b"eins\nzwei\r\n")
        async with asyncio.timeout(DEADLINE):
            while (await embedded.ask("/")).text != '["eins", "zwei"]':
                await asyncio.sleep(0.001)
        async with Peer.connect(embedded.program.port) as idle:
            assert (await idle.ask(request())).status == 200
            embedded.program.stop(number)
            assert await idle.read_eof() == b""
            async with asyncio.timeout(DEADLINE):
                assert await reader.read() == b""
        writer.close()


async def test_embedded_lives_on_when_a_client_misbehaves() -> None:
    async with example("embedded.py", "--line-port=0") as embedded:
        port = await lines_port(embedded)
        async with Peer.connect(port) as long, Peer.connect(port) as broken:
            await broken.send(b"begun")
            broken.reset()
            await long.send(b"x" * 100_000)
            long.finish()
            assert await long.read_eof() == b""
        async with Peer.connect(port) as good:
            await good.send(b"gr\xfc\xdfe\n")
            async with asyncio.timeout(DEADLINE):
                while "gr\ufffd\ufffde" not in json.loads((await embedded.ask("/")).text):
                    await asyncio.sleep(0.001)
