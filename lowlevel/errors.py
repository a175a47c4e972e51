"""Errors and warnings that are not responses; they live below everything so that any module may raise them."""

from __future__ import annotations

__all__ = ("ClientGone", "NotAppKeyWarning", "PayloadAccessError", "RequestPayloadError")


class RequestPayloadError(Exception):
    """The body of the request is malformed: bad framing, or bytes that its content coding does not allow."""


class PayloadAccessError(Exception):
    """The body of the request was read after the response was sent: what was left of it is gone."""


class NotAppKeyWarning(UserWarning):
    """A plain str was used as a key of a request or response; a RequestKey or ResponseKey carries a type."""


class ClientGone(ConnectionResetError):
    """What is raised to whoever writes to a client that has gone, or reads from it: the fault of nobody.

    Any other ConnectionError that a handler raises is about another connection, and worth a line in the log.
    """
