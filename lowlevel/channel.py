"""What a message may ask of the connection it belongs to.

Requests and responses know this interface and nothing else of the floors above: no transport, no parser, no deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .request import BaseRequest

__all__ = ("Channel", "Clock", "Upgraded")


class Clock(Protocol):
    """Values that change once a second, shared by all responses of a server."""

    date: str
    """The value of the Date field."""

    closing: bytes
    """Ready-made end of a head: Date, Server, ``Connection: close``, the empty line."""

    lasting: bytes
    """The same without Connection."""

    now: float
    """Seconds, with no meaning but their differences."""

    def refine(self, seconds: float) -> None:
        """Tick often enough for a deadline that is so far away."""


class Upgraded(Protocol):
    """What takes the place of HTTP on a connection (RFC 9110 §7.8)."""

    def data_received(self, data: bytes) -> None:
        """Take bytes."""

    def eof_received(self) -> None:
        """The peer will send no more."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""

    def writing_resumed(self) -> None:
        """The client reads again."""

    def check_deadline(self, now: float) -> None:
        """Look whether something is due."""

    def handler_ended(self, *, failed: bool) -> None:
        """The handler is gone: end, if that has not begun."""

    def go_away(self) -> None:
        """The server ends: say so, and end."""


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
        """Our own address: a tuple, a path; None once the connection is lost."""

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

    def send_whole(self, data: bytes) -> bool:
        """Send what is small and all there, at once if it can be. Returns and raises like send()."""

    def send_parts(self, parts: Sequence[bytes | memoryview]) -> bool:
        """Send large parts in order, without joining them. Returns and raises like send()."""

    def drain_needed(self) -> bool:
        """Whether more is buffered than should be."""

    async def drain(self) -> None:
        """Wait until the client has taken most of what was sent.

        Raises:
            ConnectionResetError: The client has gone, or took nothing for ``write_timeout`` seconds.
        """

    async def send_file(self, fd: int, offset: int, count: int) -> int:
        """Send part of an open file straight from the system's cache, behind what was sent before.

        Returns how many bytes were sent: fewer than ``count`` if the file has no more, 0 also where this is not
        possible (TLS, some systems). A cancellation leaves some sent.

        Raises:
            ConnectionResetError: The client has gone, or took nothing for ``write_timeout`` seconds.
        """

    def note_interim(self) -> None:
        """Note that somebody else sent ``100 Continue``."""

    async def wait_disconnected(self, request: BaseRequest) -> bool:
        """Wait for the client to leave (True) or the request to end (False)."""

    def at_end(self, request: BaseRequest, callback: Callable[[], None]) -> None:
        """Call ``callback()`` once the request has its response, or will never have one; now, if that is so."""

    def background(self, request: BaseRequest, awaitable: Awaitable[Any]) -> None:
        """Await what the request leaves to be done, when its response is out.

        Raises:
            RuntimeError: It is over, and what it left is done.
        """

    # For another protocol.

    @property
    def read_bufsize(self) -> int:
        """How many bytes may be buffered before the client is not read from."""

    @property
    def congested(self) -> bool:
        """Whether the client does not read fast enough for what waits already."""

    def upgrade(self, head: bytes, upgraded: Upgraded, write_limit: int) -> None:
        """Send the head of a 101 and give the connection away; bytes that came behind the request are handed over.

        Args:
            head: The whole head.
            upgraded: Who gets it.
            write_limit: How many unsent bytes let ``drain()`` wait.

        Raises:
            ConnectionResetError: The client has gone.
            RuntimeError: The request did not offer it, or is no more the present one.
        """

    def end_upgrade(self, *, surplus: bool) -> None:
        """Take the connection back, and close it when all is sent.

        Args:
            surplus: Whether the client may still be sending: it is given time to read the last bytes.
        """

    def pause_reading(self) -> None:
        """Let the client wait."""

    def resume_reading(self) -> None:
        """Take bytes again."""

    def abort(self) -> None:
        """Drop the connection, with everything that is not sent."""
