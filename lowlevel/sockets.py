"""What the socket below a transport is asked for directly, and what is kept from it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

__all__ = ("WatchedTransport", "probe", "reset", "set_keepalive")

# A peer that has sent FIN may only have closed its sending half, or may be gone altogether. Probes tell: a socket
# that is really closed answers them with RST, at the latest when its own system has forgotten it. Seconds until the
# first probe, seconds between probes, how many may stay without an answer.
_PROBE_AFTER, _PROBE_EVERY, _PROBES = 15, 15, 4

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def _tcp_socket(transport: asyncio.Transport) -> Any:
    """Return the socket if it is one of TCP, else None."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    return sock


def set_keepalive(transport: asyncio.Transport) -> None:
    """Let the system notice, in hours, that a peer is gone for good."""
    sock = _tcp_socket(transport)
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def probe(transport: asyncio.Transport) -> None:
    """Let the system find out, in a minute or two, whether a peer that sent FIN still exists."""
    sock = _tcp_socket(transport)
    if sock is None or not hasattr(socket, "TCP_KEEPIDLE"):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_AFTER)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_EVERY)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)


def reset(transport: asyncio.Transport) -> None:
    """Drop a connection so that the peer learns of it as an error."""
    sock = _tcp_socket(transport)
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


class WatchedTransport(asyncio.Transport):
    """A transport that tells when ``100 Continue`` is written to it, and is the real one in all other respects."""

    def __init__(self, transport: asyncio.Transport, note_interim: Callable[[], None]) -> None:
        super().__init__()
        self._transport = transport
        self._note_interim = note_interim

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if bytes(data[:13]) == b"HTTP/1.1 100 ":
            self._note_interim()
        self._transport.write(data)

    def __getattribute__(self, name: str) -> Any:
        # Not __getattr__: asyncio.Transport has all the methods already, and they raise NotImplementedError.
        if name in ("write", "_transport", "_note_interim", "__class__"):
            return object.__getattribute__(self, name)
        return getattr(self._transport, name)
