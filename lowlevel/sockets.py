"""What the system is asked for directly, about sockets and files, and what is kept from a transport."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, Final

try:
    from fcntl import ioctl as _ioctl
    from termios import TIOCOUTQ as _OUTPUT_QUEUE
except ImportError:  # not on Windows
    _ioctl = None  # type: ignore[assignment]

__all__ = ("WatchedTransport", "is_cached", "probe", "reset", "set_keepalive", "unsent_size")

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


def unsent_size(transport: asyncio.Transport) -> int:
    """Return how many bytes the peer has not confirmed, as far as the system tells: those of the transport at least.

    The transport alone would not do: a socket takes no more until about a third of its buffer, which may have
    megabytes, has gone, and to a slow client that takes minutes.
    """
    size = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    if sock is not None and _ioctl is not None:
        with contextlib.suppress(OSError):
            size += int.from_bytes(_ioctl(sock.fileno(), _OUTPUT_QUEUE, bytes(4)), sys.byteorder)
    return size


def is_cached(fd: int, offset: int) -> bool:
    """Whether a byte of a file is in memory, and those shortly before it are likely to be."""
    try:
        os.preadv(fd, [bytearray(1)], offset, os.RWF_NOWAIT)
    except (AttributeError, OSError):  # not on every system, nor every file system
        return False
    return True


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
