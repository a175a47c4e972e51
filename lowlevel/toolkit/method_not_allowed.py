"""The answer to a method that a resource does not have."""

from __future__ import annotations

from collections.abc import Iterable

from ..exceptions import HTTPMethodNotAllowed

__all__ = ("method_not_allowed",)


def method_not_allowed(method: str, allowed: Iterable[str]) -> HTTPMethodNotAllowed:
    """Return a 405 to raise, its ``Allow`` as a sorted list with a space behind each comma (RFC 9110 §10.2.1)."""
    error = HTTPMethodNotAllowed(method, allowed)
    error.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
    return error
