"""Errors and warnings that are not responses; they live below everything so that any module may raise them."""

from __future__ import annotations

__all__ = (
    "ClientGone",
    "NotAResponse",
    "NotAppKeyWarning",
    "PayloadAccessError",
    "RequestPayloadError",
)


class RequestPayloadError(Exception):
    """The body of the request is malformed: bad framing, or bytes that its content coding does not allow.

    Raised to whoever reads the body; nobody need catch it, for the client gets a 400.
    """


class PayloadAccessError(Exception):
    """The body of the request was read after the response was sent: what was left of it is gone."""


class NotAppKeyWarning(UserWarning):
    """A plain str was used as a key of a request or response; a RequestKey or ResponseKey carries a type."""


class ClientGone(ConnectionResetError):
    """What is raised to whoever writes to a client that has gone, or reads from it: the fault of nobody.

    Any other ConnectionError that a handler raises is about another connection, and worth a line in the log.
    """


class NotAResponse(TypeError):
    """A handler or a middleware answered something else than a response.

    ``str()`` of it is, for example, ``"the handler myapp.views.home returned NoneType, not a response"``.

    Args:
        handler: What it is called: module and name.
        kind: The name of the type of what it returned.
        reason: What is wrong with that, where the type alone does not tell.
    """

    def __init__(self, handler: str, kind: str, reason: str = "") -> None:
        super().__init__(handler, kind, reason)
        self.handler = handler
        self.kind = kind
        self.reason = reason

    def __str__(self) -> str:
        text = f"the handler {self.handler} returned {self.kind}, not a response"
        return f"{text}: {self.reason}" if self.reason else text
