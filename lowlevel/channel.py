"""What a message may ask of the connection it belongs to.

Requests and responses know this interface and nothing else of the floors above: no transport, no parser, no deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .request import BaseRequest

__all__ = ("Channel", "Clock")


class Clock(Protocol):
    """Values that change once a second, shared by all responses of a server."""

    date: str
    """The value of the Date field."""

    closing: bytes
    """Ready-made end of a head: Date, Server, ``Connection: close``, the empty line."""

    lasting: bytes
    """The same without Connection."""


class Channel(Protocol):
    """One client connection, seen from a request or a response."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport, None once the connection is lost."""

    @property
    def peername(self) -> Any:
        """The peer's address: a tuple, a path, or None."""

    @property
    def sockname(self) -> Any:
        """Our own address: a tuple, a path, or None."""

    @property
    def ssl_context(self) -> SSLContext | None:
        """The TLS context, None on a plain connection."""

    @property
    def clock(self) -> Clock:
        """Date and the like."""

    @property
    def server_header(self) -> str:
        """The value of the Server field."""

    def lets_persist(self, request: BaseRequest) -> bool:
        """Whether the connection may carry another request after this one."""

    def send(self, data: bytes) -> bool:
        """Send bytes, soon; they may leave together with others of the same turn of the loop.

        Returns whether to drain before sending more.

        Raises:
            ConnectionResetError: The client has gone.
        """

    def send_whole(self, data: bytes) -> None:
        """Send a whole small response, at once if it can be.

        Raises:
            ConnectionResetError: The client has gone.
        """

    def send_parts(self, parts: Sequence[bytes | memoryview]) -> bool:
        """Send large parts in order, without joining them. Returns and raises like send()."""

    def drain_needed(self) -> bool:
        """Whether more is buffered than should be."""

    async def drain(self) -> None:
        """Wait until the client has taken most of what was sent.

        Raises:
            ConnectionResetError: The client has gone, or took nothing for ``write_timeout`` seconds.
        """

    def note_interim(self) -> None:
        """Note that somebody else sent ``100 Continue``."""

    async def wait_disconnected(self, request: BaseRequest) -> bool:
        """Wait for the client to leave (True) or the request to end (False)."""
