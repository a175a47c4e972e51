"""The cookies of a response: ``http.cookies.SimpleCookie``, with ``Partitioned`` on every Python."""

from __future__ import annotations

import sys
from http.cookies import Morsel, SimpleCookie
from typing import TYPE_CHECKING, Any

__all__ = ("CookieJar",)

if TYPE_CHECKING or sys.version_info >= (3, 14):
    _Morsel = Morsel
else:

    class _Morsel(Morsel):
        """The Morsel of Python 3.14. What attributes there are is not public, but Pythons this old do not change."""

        _reserved = {**Morsel._reserved, "partitioned": "Partitioned"}
        _flags = {*Morsel._flags, "partitioned"}


class CookieJar(SimpleCookie):
    """Cookies by name; ``jar["name"] = "value"``, then ``jar["name"]["partitioned"] = True`` and the like."""

    def __setitem__(self, name: str, value: str | Morsel[Any]) -> None:
        """Set a cookie, or a new value of one, which keeps its attributes.

        Raises:
            http.cookies.CookieError: The name cannot be one.
        """
        if not isinstance(value, Morsel):
            morsel = self.get(name) or _Morsel()
            morsel.set(name, *self.value_encode(value))
            value = morsel
        super().__setitem__(name, value)
