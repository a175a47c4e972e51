"""A websocket client of blocking sockets: a handshake, frames out, frames in, and no more."""

import base64
import hashlib
import os
import socket
import zlib

ANSWER_SECONDS = 10.0

TEXT = 0x81
BINARY = 0x82
CLOSE = 0x88
COMPRESSED = 0x40  # RSV1, RFC 7692 §7.2.3.1
MASKED = 0x80

OFFER = "permessage-deflate; client_max_window_bits"
# What a message ends with before it is sent and after it was read, RFC 7692 §7.2.1.
_EMPTY_BLOCK = b"\x00\x00\xff\xff"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Refused(ConnectionError):
    """The server did not accept the handshake, closed, or sent something else than an echo."""


def connect(port: int, path: str, *, extensions: str = "") -> socket.socket:
    """A connection on which the handshake is done. `extensions`: what is offered to the server.

    Raises Refused, also where an offer is not accepted, and TimeoutError.
    """
    client = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)
    try:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16))
        client.sendall(_request(path, key, extensions))
        _check(_read_head(client), key, extensions)
    except BaseException:
        client.close()
        raise
    return client


def connect_and_echo(port: int, path: str, payload: bytes, *, compressed: bool) -> socket.socket:
    """A connection that has had one message echoed. Raises as `connect` does."""
    client = connect(port, path, extensions=OFFER if compressed else "")
    try:
        echo(client, payload, compressed=compressed)
    except BaseException:
        client.close()
        raise
    return client


def echo(client: socket.socket, payload: bytes, *, compressed: bool = False) -> None:
    """Send one binary message and read it back, compressed both ways. Raises Refused."""
    first = BINARY | (COMPRESSED if compressed else 0)
    client.sendall(frame(_deflate(payload) if compressed else payload, first=first))
    got_first, got = read_frame(client)
    if got_first != first or (_inflate(got) if compressed else got) != payload:
        raise Refused(f"no echo: first byte {got_first:#x}, {len(got)} bytes, {got[:20]!r}...")


def accept_value(key: bytes) -> bytes:
    """What a server answers to the key, RFC 6455 §4.2.2."""
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())


def send_close(client: socket.socket) -> None:
    """Say that this was all; a server that only loses the connection may log that."""
    client.sendall(frame((1000).to_bytes(2), first=CLOSE))


def frame(payload: bytes, *, first: int = BINARY) -> bytes:
    """A whole frame of a client, masked; `first` is its first byte."""
    size, key = len(payload), os.urandom(4)
    masked = int.from_bytes(payload) ^ int.from_bytes((key * (size // 4 + 1))[:size])
    header = bytearray(_header(size, first))
    header[1] |= MASKED
    return bytes(header) + key + masked.to_bytes(size)


def answer(payload: bytes) -> bytes:
    """The one frame in which a server sends `payload` back."""
    return _header(len(payload), BINARY) + payload


def read(client: socket.socket, size: int) -> bytes:
    """So many bytes. Raises Refused where the stream ends before."""
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        if not more:
            raise Refused(f"the server closed after {len(data)} of {size} bytes")
        data += more
    return data


def read_frame(client: socket.socket) -> tuple[int, bytes]:
    """The first byte and the payload of the next frame."""
    first, size = read(client, 2)
    if size > 125:
        size = int.from_bytes(read(client, 2 if size == 126 else 8))
    return first, read(client, size)


def _header(size: int, first: int) -> bytes:
    if size < 126:
        return bytes((first, size))
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2)
    return bytes((first, 127)) + size.to_bytes(8)


def _request(path: str, key: bytes, extensions: str) -> bytes:
    offer = f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else ""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: echo/1.0\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key.decode()}\r\n{offer}\r\n"
    ).encode()


def _read_head(client: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        more = client.recv(4096)
        if not more:
            raise Refused(f"the server closed after {head!r}")
        head += more
    return head


def _check(head: bytes, key: bytes, extensions: str) -> None:
    if not head.startswith(b"HTTP/1.1 101 ") or accept_value(key) not in head:
        raise Refused(f"no websocket: {head[:200]!r}")
    if (b"permessage-deflate" in head) != bool(extensions):
        raise Refused(f"offered {extensions!r}, answered {head!r}")


def _deflate(payload: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return data.removesuffix(_EMPTY_BLOCK)


def _inflate(data: bytes) -> bytes:
    return zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(data + _EMPTY_BLOCK)
