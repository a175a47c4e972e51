"""The programs of the README that show what the toolkit is, run as they stand there."""

import pytest

from tests.docpages import Page, asking

HEADING = "Routes, endpoints, middlewares"


@pytest.mark.parametrize(
    ("number", "path", "expected"),
    [
        (0, "/", "Hello, Anonymous"),
        (0, "/bob", "Hello, bob"),
        (1, "/test", "This is not a test"),
        (2, "/", "Hello World!"),
        (3, "/bob", "Hello, bob"),
    ],
)
async def test_the_first_programs(number: int, path: str, expected: str) -> None:
    program = Page("README.rst").run(HEADING, number)
    [served] = program["served"].args
    async with asking(served) as client, client.get(path) as response:
        assert (response.status, await response.text()) == (200, expected)


async def test_the_websocket() -> None:
    [router] = Page("README.rst").run(HEADING, 3)["served"].args
    async with asking(router) as client, client.ws_connect("/ws") as ws:
        await ws.send_str("hi")
        assert await ws.receive_str() == "Message text was: hi"


def test_no_program_is_left_out() -> None:
    assert Page("README.rst").counts[HEADING] == 4
