"""The answers to what went wrong."""

from types import SimpleNamespace
from typing import Any

import pytest

from lowlevel.failure import failure_response


def answer(
    accept: str | None = None, message: str | None = None, debug: bool = False, status: int = 500
) -> Any:
    request: Any = SimpleNamespace(headers={} if accept is None else {"Accept": accept})
    try:
        raise ValueError("<b>secret</b> \udcff")
    except ValueError as exc:
        return failure_response(request, status, exc, message, debug)


@pytest.mark.parametrize("accept", [None, "", "*/*", "text/plain", "application/json"])
def test_plain_text(accept: str | None) -> None:
    response = answer(accept)
    assert (response.status, response.content_type, response.charset) == (
        500,
        "text/plain",
        "utf-8",
    )
    assert response.text == "500 Internal Server Error\n\nServer got itself in trouble"
    assert response.keep_alive is False


@pytest.mark.parametrize("accept", ["text/html", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"])
def test_html(accept: str) -> None:
    response = answer(accept)
    assert (response.status, response.content_type, response.charset) == (500, "text/html", "utf-8")
    assert "<h1>500 Internal Server Error</h1>\nServer got itself in trouble" in response.text
    assert "<title>500 Internal Server Error</title>" in response.text
    assert "secret" not in response.text


def test_traceback() -> None:
    response = answer(debug=True)
    assert response.text.startswith(
        "500 Internal Server Error\n\nTraceback (most recent call last):\n"
    )
    assert "ValueError: <b>secret</b>" in response.text
    assert "Server got itself" not in response.text


def test_traceback_in_html_is_escaped() -> None:
    response = answer("text/html", debug=True)
    assert "<h2>Traceback:</h2>\n<pre>Traceback (most recent call last):\n" in response.text
    assert "&lt;b&gt;secret&lt;/b&gt;" in response.text
    assert "<b>" not in response.text


def test_debug_without_an_exception() -> None:
    request: Any = SimpleNamespace(headers={})
    response = failure_response(request, 503, None, None, True)
    assert response.status == 503
    assert response.text is not None and response.text.startswith("503 Service Unavailable\n\n")


@pytest.mark.parametrize("accept", [None, "text/html"])
def test_a_message_replaces_the_text(accept: str | None) -> None:
    response = answer(accept, message="words", debug=True)
    assert (response.status, response.text, response.content_type) == (500, "words", "text/plain")
