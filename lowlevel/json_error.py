"""What is raised for a body that is not JSON."""

from __future__ import annotations

import json

from .exceptions import RequestDecodeError

__all__ = ("InvalidJSON",)


class InvalidJSON(RequestDecodeError, json.JSONDecodeError):
    """Also what ``json.loads()`` raises, since handlers written for aiohttp catch that."""

    def __init__(self, exc: Exception) -> None:
        RequestDecodeError.__init__(self, text="The request body is not valid JSON")
        self.args = (str(exc),)
        self.msg = getattr(exc, "msg", str(exc))
        self.doc = getattr(exc, "doc", "")
        self.pos = getattr(exc, "pos", 0)
        self.lineno = getattr(exc, "lineno", 1)
        self.colno = getattr(exc, "colno", 1)
