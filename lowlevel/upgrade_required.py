"""The answer to a plain request for what is only there as a WebSocket."""

from __future__ import annotations

from multidict import CIMultiDict

from .exceptions import HTTPUpgradeRequired

__all__ = ("upgrade_required",)


def upgrade_required(text: str = "This is a WebSocket (RFC 6455)") -> HTTPUpgradeRequired:
    """Return a 426 to raise: it says how to ask for a WebSocket (RFC 9110 §15.5.22, RFC 6455 §4.4)."""
    fields = CIMultiDict({"Upgrade": "websocket", "Connection": "upgrade"})
    fields["Sec-WebSocket-Version"] = "13"
    return HTTPUpgradeRequired(headers=fields, text=text)
