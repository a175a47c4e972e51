"""WebSocket frames by hand: what a client may send, also wrongly, and what a server answers (RFC 6455).

And conversations: ``async with talk(script) as peer`` serves one websocket with a script and is its client.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import lowlevel as web
from tests.support import DEADLINE, Answer, Peer, Serving, serving

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""The key of the example in RFC 6455 §1.3."""

MASK = b"\x01\x02\x03\x04"


def accept(key: str = KEY) -> str:
    """The value of Sec-WebSocket-Accept that answers ``key`` (RFC 6455 §4.2.2)."""
    digest = hashlib.sha1(key.encode("latin-1") + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
    return base64.b64encode(digest.digest()).decode()


def handshake(
    path: str = "/",
    *fields: str,
    key: str | None = KEY,
    version: str | None = "13",
    method: str = "GET",
    http: str = "1.1",
    upgrade: str | None = "websocket",
    connection: str | None = "Upgrade",
) -> bytes:
    """The bytes of an opening handshake; ``fields`` are further lines, and what is None is left out."""
    lines = [f"{method} {path} HTTP/{http}", "Host: a.test"]
    for name, value in (
        ("Upgrade", upgrade),
        ("Connection", connection),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", version),
    ):
        if value is not None:
            lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, *fields, "", ""]).encode("latin-1")


def masked(payload: bytes, mask: bytes) -> bytes:
    """The payload masked, or unmasked."""
    size = len(payload)
    pattern = (mask * (size // 4 + 1))[:size]
    number = int.from_bytes(payload, "little") ^ int.from_bytes(pattern, "little")
    return number.to_bytes(size, "little")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    length_bytes: int | None = None,
    length: int | None = None,
) -> bytes:
    """The bytes of one frame (RFC 6455 §5.2).

    Args:
        rsv: The three reserved bits as a number: 4 is RSV1, 2 is RSV2, 1 is RSV3.
        mask: Four bytes; None for a frame that is not masked.
        length_bytes: Size of the extended length: 0, 2 or 8. None for the least that is enough.
        length: What the header says in place of the length of ``payload``.
    """
    size = len(payload) if length is None else length
    if length_bytes is None:
        length_bytes = 0 if size < 126 else 2 if size < 65536 else 8
    flag = 0 if mask is None else 0x80
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if length_bytes:
        head += bytes([flag | (126 if length_bytes == 2 else 127)])
        head += size.to_bytes(length_bytes, "big")
    else:
        head += bytes([flag | size])
    return head + payload if mask is None else head + mask + masked(payload, mask)


def text(data: str, **options: Any) -> bytes:
    """A TEXT frame."""
    return frame(TEXT, data.encode(), **options)


def close(code: int | None = 1000, reason: bytes | str = b"", **options: Any) -> bytes:
    """A CLOSE frame; without code the empty one."""
    if isinstance(reason, str):
        reason = reason.encode()
    payload = b"" if code is None else code.to_bytes(2, "big") + reason
    return frame(CLOSE, payload, **options)


class Frame(NamedTuple):
    """A frame of the server."""

    fin: bool
    rsv: int
    opcode: int
    payload: bytes


class WSPeer(Peer):
    """A client behind its handshake; every read has a deadline.

    Attributes:
        handshake: The server's answer to the handshake.
    """

    handshake: Answer

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        port: int,
        *fields: str,
        path: str = "/",
        key: str = KEY,
        behind: bytes = b"",
        **options: Any,
    ) -> AsyncIterator[WSPeer]:
        """Connect and shake hands; ``fields`` are further lines of the request.

        Args:
            behind: Bytes sent together with the handshake.
            options: What ``asyncio.open_connection`` takes: ``limit``, ``ssl``...
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
        peer = cls(reader, writer)
        try:
            await peer.shake_hands(handshake(path, *fields, key=key) + behind, key)
            yield peer
        finally:
            writer.close()

    async def shake_hands(self, data: bytes, key: str = KEY) -> None:
        """Send a handshake and check the answer (RFC 6455 §4.1)."""
        await self.send(data)
        self.handshake = Answer(await self.read_head(), b"")
        assert self.handshake.status == 101, self.handshake.head
        assert (self.handshake.header("upgrade") or "").lower() == "websocket"
        assert (self.handshake.header("connection") or "").lower() == "upgrade"
        assert self.handshake.headers["sec-websocket-accept"] == [accept(key)]

    async def read_frame(self) -> Frame:
        """Read one frame, which must not be masked, and not longer than it has to be."""
        async with asyncio.timeout(DEADLINE):
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            assert not second & 0x80, "frames of a server are not masked (RFC 6455 §5.1)"
            if size >= 126:
                least, width = (126, 2) if size == 126 else (65536, 8)
                size = int.from_bytes(await self.reader.readexactly(width), "big")
                assert least <= size < 2**63, "not the least number of bytes (RFC 6455 §5.2)"
            payload = await self.reader.readexactly(size)
        opcode = first & 0xF
        fin, rsv = bool(first & 0x80), first >> 4 & 0x7
        assert opcode < CLOSE or (fin and size <= 125), "a control frame (RFC 6455 §5.5)"
        return Frame(fin, rsv, opcode, payload)

    async def read_message(self) -> tuple[int, bytes]:
        """Read one message that is not compressed, in however many frames: its opcode and its payload."""
        fin, rsv, opcode, payload = await self.read_frame()
        assert rsv == 0
        while not fin:
            fin, rsv, continuation, more = await self.read_frame()
            assert (rsv, continuation) == (0, CONTINUATION)
            payload += more
        return opcode, payload

    async def read_text(self) -> str:
        """Read one TEXT message."""
        opcode, payload = await self.read_message()
        assert opcode == TEXT, (opcode, payload)
        return payload.decode()

    async def read_close(self) -> tuple[int | None, str]:
        """Read one frame, which must be CLOSE: its code, None if it has none, and its reason."""
        fin, rsv, opcode, payload = await self.read_frame()
        assert (opcode, rsv) == (CLOSE, 0), (opcode, rsv, payload)
        if not payload:
            return None, ""
        assert len(payload) >= 2
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    async def eof(self) -> None:
        """Wait for the server's FIN; nothing may come before it."""
        assert await self.read_eof() == b""

    def narrow(self) -> None:
        """Let little fit on the way, here and in the kernel; ``send()`` then waits for the server to take it."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        self.writer.transport.set_write_buffer_limits(high=0)

    def pause(self) -> None:
        """Read nothing from the socket, in which little fits, until ``resume()``."""
        self.narrow()
        transport: Any = self.writer.transport
        transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        transport: Any = self.writer.transport
        transport.resume_reading()

    async def ended(self) -> bytes:
        """Read until the connection ends, with FIN or RST; what came until then."""
        data = b""
        async with asyncio.timeout(DEADLINE):
            try:
                while chunk := await self.reader.read(2**18):
                    data += chunk
            except ConnectionError:
                pass
        return data


# --- Conversations ------------------------------------------------------------------------


class Talk(WSPeer):
    """The client of a server that runs a script.

    Attributes:
        site: The server.
        outcome: What the script returned or raised.
    """

    site: Serving
    outcome: asyncio.Future[Any]

    async def end(self) -> Any:
        """Wait for the script; return what it returned."""
        async with asyncio.timeout(DEADLINE):
            return await asyncio.shield(self.outcome)


@asynccontextmanager
async def talk(
    script: Callable[[Any], Awaitable[Any]],
    *fields: str,
    behind: bytes = b"",
    server: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Talk]:
    """Serve one websocket with ``script(ws)``, be its client, and wait for the script in the end.

    Args:
        fields: Further lines of the handshake.
        behind: Bytes sent together with the handshake.
        server: Options of the server.
        options: Options of the WebSocketResponse.
    """
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse(**options)
        await ws.prepare(request)
        try:
            result = await script(ws)
        except BaseException as exc:
            outcome.set_exception(exc)
        else:
            outcome.set_result(result)
        return ws

    async with serving(handler, **(server or {})) as site:
        try:
            async with Talk.connect(site.port, *fields, behind=behind) as peer:
                assert isinstance(peer, Talk)
                peer.site, peer.outcome = site, outcome
                yield peer
        except BaseException as exc:
            if outcome.done() and (reason := outcome.exception()):
                exc.add_note(f"The script raised {reason!r}")
            raise
        await peer.end()
