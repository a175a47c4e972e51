"""Cookies as text: the fields ``Cookie`` and ``Set-Cookie``, read and written.

Handlers seldom need this: ``request.cookies``, ``response.set_cookie`` and ``response.cookies`` are built on it.
"""

from __future__ import annotations

from .protocol.cookies import cookie_values as parse_cookie
from .protocol.set_cookie import SameSite, SetCookie, format_set_cookie, parse_set_cookie

__all__ = ("SameSite", "SetCookie", "format_set_cookie", "parse_cookie", "parse_set_cookie")
