"""What a transport talks to once a connection speaks another protocol than HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .channel import Upgraded

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ("Tunnel",)


class Tunnel(asyncio.BaseProtocol):
    """Stands between a transport, the connection that owned it, and who took it over.

    Bytes go straight to the latter: taking the place of the connection at its transport costs less than a look at every
    read whether it was taken.
    """

    __slots__ = ("_connection", "_upgraded", "data_received")

    def __init__(self, connection: Connection, upgraded: Upgraded) -> None:
        self._connection = connection
        self._upgraded = upgraded
        self.data_received = upgraded.data_received

    def eof_received(self) -> bool:
        """Take the end of the stream; return whether there may still be something to send."""
        self._upgraded.eof_received()
        return self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, for whatever reason."""
        self._upgraded.connection_lost(exc)
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """The transport holds more than it should."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """The transport has sent enough."""
        self._connection.resume_writing()
        self._upgraded.writing_resumed()
