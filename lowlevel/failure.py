"""Answers to what went wrong, when no handler gives one."""

from __future__ import annotations

import html
import traceback
from http import HTTPStatus
from typing import TYPE_CHECKING

from .response import Response

if TYPE_CHECKING:
    from .request import BaseRequest

__all__ = ("failure_response",)


def failure_response(
    request: BaseRequest, status: int, exc: BaseException | None, message: str | None, debug: bool
) -> Response:
    """Return the answer to a request that failed: plain text, or HTML for a client that accepts it.

    Args:
        status: An error status.
        exc: The reason; its traceback is shown if ``debug``.
        message: The whole text to send instead.
        debug: Whether the client may see the inside.
    """
    phrase = HTTPStatus(status)
    title = f"{status} {phrase.phrase}"
    trace = _format(exc) if debug and exc is not None else None
    if message is not None:
        response = Response(status=status, text=message)
    elif "text/html" in request.headers.get("Accept", ""):
        detail = (
            phrase.description
            if trace is None
            else f"<h2>Traceback:</h2>\n<pre>{html.escape(trace)}</pre>"
        )
        page = f"<html><head><title>{title}</title></head><body>\n<h1>{title}</h1>\n{detail}\n</body></html>\n"
        response = Response(status=status, text=page, content_type="text/html")
    else:
        response = Response(status=status, text=f"{title}\n\n{trace or phrase.description}")
    response.force_close()
    return response


def _format(exc: BaseException) -> str:
    # What a client sent may be in it, and be no valid UTF-8.
    trace = "".join(traceback.format_exception(exc))
    return trace.encode("utf-8", "backslashreplace").decode("utf-8")
