"""examples/chat.py as a process of its own: its sockets, then its page in a real browser."""

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.browser import chromium
from tests.program import LOOP, ROOT, Program, running
from tests.support import DEADLINE

if TYPE_CHECKING:
    from selenium.webdriver import Remote

SCRIPT = ("examples/chat.py", "--port=0")
MODULE = (
    "-m",
    "lowlevel",
    "examples.chat:handler",
    "--port=0",
    "--no-access-log",
    f"--loop={LOOP}",
)
PROGRAM = SCRIPT if LOOP == "asyncio" else MODULE


# ---- Sockets -----------------------------------------------------------------------------------

Socket = aiohttp.ClientWebSocketResponse


@asynccontextmanager
async def guests(chat: Program, count: int) -> AsyncIterator[list[Socket]]:
    """Join so many times; all have heard of all who came after them."""
    async with aiohttp.ClientSession(chat.url) as session, AsyncExitStack() as stack:
        sockets: list[Socket] = []
        for number in range(1, count + 1):
            sockets.append(await stack.enter_async_context(session.ws_connect("/ws")))
            await all_hear(sockets, f"guest {number}", "joined")
        yield sockets


async def all_hear(sockets: list[Socket], who: str, event: str, text: str = "") -> None:
    for ws in sockets:
        assert await ws.receive_json(timeout=DEADLINE) == {"who": who, "event": event, "text": text}


@pytest.mark.parametrize("program", [SCRIPT, MODULE], ids=["script", "command line"])
async def test_what_one_says_all_hear(program: tuple[str, ...]) -> None:
    with running(*program) as chat:
        async with guests(chat, 2) as [one, two]:
            await one.send_str("Good morning")
            await all_hear([one, two], "guest 1", "said", "Good morning")
            await two.send_str("Grüße 👋 <b>")
            await all_hear([one, two], "guest 2", "said", "Grüße 👋 <b>")
            await two.close()
            await all_hear([one], "guest 2", "left")


async def test_requests_that_are_no_chat() -> None:
    """The page is one path, and a socket is only where it is asked for with a handshake."""
    with running(*PROGRAM) as chat:
        async with aiohttp.ClientSession(chat.url) as session:
            async with session.get("/") as response:
                assert response.status == 200
                assert response.headers["Content-Type"] == "text/html; charset=utf-8"
                assert await response.text() == (ROOT / "examples/chat.html").read_text("utf-8")
            for path in ("/ws", "/favicon.ico"):
                async with session.get(path) as response:
                    assert response.status == 404
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect("/")
            assert caught.value.status == 200


@pytest.mark.parametrize("fault", ["too long", "not UTF-8"])
async def test_a_tab_that_errs_leaves(fault: str) -> None:
    with running(*PROGRAM) as chat:
        async with guests(chat, 2) as [one, two]:
            data = b"x" * 5000 if fault == "too long" else b"\xff"
            await two.send_frame(data, aiohttp.WSMsgType.TEXT)
            await all_hear([one], "guest 2", "left")
            await one.send_str("still here")
            await all_hear([one], "guest 1", "said", "still here")


def join(sock: socket.socket, port: int) -> None:
    """Join with a socket that nobody reads from."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # soon full
    sock.settimeout(DEADLINE)
    sock.connect(("127.0.0.1", port))
    fields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    sock.sendall(f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}{key}\r\n".encode())


async def test_a_tab_that_vanishes_leaves() -> None:
    with running(*PROGRAM) as chat, socket.socket() as lost:
        async with guests(chat, 1) as [one]:
            join(lost, chat.port)
            await all_hear([one], "guest 2", "joined")
            lost.close()
            await all_hear([one], "guest 2", "left")


async def test_a_tab_that_does_not_read_holds_up_nobody() -> None:
    """Every line reaches who reads, in order, and who does not read is made to leave."""
    with running(*PROGRAM) as chat, socket.socket() as lazy:
        async with guests(chat, 2) as [one, two]:
            join(lazy, chat.port)
            await all_hear([one, two], "guest 3", "joined")
            async with asyncio.timeout(DEADLINE):
                for number in itertools.count():
                    text = f"{number} ".ljust(4000, "x")
                    await one.send_str(text)
                    line = await one.receive_json()
                    await all_hear([two], **line)
                    if line["event"] == "left":
                        break
                    assert (line["who"], line["text"]) == ("guest 1", text)
            assert line["who"] == "guest 3"
            await all_hear([one, two], "guest 1", "said", text)


async def test_the_end_of_the_program_closes_its_sockets() -> None:
    with running(*PROGRAM) as chat:
        async with guests(chat, 2) as sockets:
            chat.stop()
            for ws in sockets:
                message = await ws.receive(timeout=DEADLINE)
                while (
                    message.type is aiohttp.WSMsgType.TEXT
                ):  # the other may be told to leave first
                    message = await ws.receive(timeout=DEADLINE)
                assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)


# ---- The page in a browser ---------------------------------------------------------------------


@pytest.mark.timeout(120)  # a browser takes its time to start on a machine that is busy
def test_two_tabs_of_a_browser(tmp_path: Path) -> None:
    script = '<script>document.title = "mine"</script><img src=x onerror="document.title = `mine`">'
    with chromium(tmp_path) as browser, running(*PROGRAM) as chat:
        browser.get(chat.url)
        first = browser.current_window_handle
        shows(browser, ["guest 1 joined"])
        browser.switch_to.new_window("tab")
        browser.get(chat.url)
        second = browser.current_window_handle
        lines = ["guest 2 joined"]
        shows(browser, lines)

        for tab, guest, text in (
            (second, "guest 2", "Is anybody there?"),
            (first, "guest 1", "Only me."),
            (second, "guest 2", script),
            (first, "guest 1", "Grüße"),
        ):
            browser.switch_to.window(tab)
            say(browser, text)
            lines.append(f"{guest} {text}")
            shows(browser, lines if tab == second else ["guest 1 joined", *lines])
        browser.switch_to.window(second)
        shows(browser, lines)
        assert browser.title == "Chat"
        assert browser.find_elements("css selector", "ul script, ul img") == []

        browser.close()
        browser.switch_to.window(first)
        lines.append("guest 2 left")
        shows(browser, ["guest 1 joined", *lines])

        chat.stop()
        lines.append("The connection is lost: reload the page to come back")
        shows(browser, ["guest 1 joined", *lines])
        assert not browser.find_element("tag name", "input").is_enabled()


def say(browser: "Remote", text: str) -> None:
    browser.find_element("tag name", "input").send_keys(text)
    browser.find_element("tag name", "button").click()


def shows(browser: "Remote", expected: list[str]) -> None:
    """Wait until the list of the tab reads so."""
    deadline = time.monotonic() + DEADLINE
    lines: list[str] = []
    while time.monotonic() < deadline:
        lines = [line.text for line in browser.find_elements("css selector", "ul li")]
        if lines == expected:
            return
        time.sleep(0.01)
    assert lines == expected
