"""The floor of a websocket echo: asyncio reads, bytes are counted, a constant answer goes back.

Only the first frame of a connection is read and unmasked. Its echo is the answer to all that are
as long, which is right for a client that repeats one frame. The handshake must come in one piece.
"""

import asyncio
from typing import cast

from ..websocket_client import accept_value
from . import launch

KEY_SIZE = 4


class RepeatedEcho(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.take = self._take_handshake
        self.first = b""
        self.answer = b""
        self.frame_size = self.received = 0

    def data_received(self, data: bytes) -> None:
        self.take(data)

    def _take_handshake(self, data: bytes) -> None:
        fields = dict(line.split(b": ", 1) for line in data.split(b"\r\n") if b": " in line)
        accept = accept_value(fields[b"Sec-WebSocket-Key"])
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
        )
        self.take = self._take_first_frame

    def _take_first_frame(self, data: bytes) -> None:
        self.first += data
        header_size = {126: 4, 127: 10}.get(self.first[1] & 127, 2) if len(self.first) > 1 else 2
        if len(self.first) < header_size:
            return
        header = bytes((self.first[0], self.first[1] & 127)) + self.first[2:header_size]
        size = header[1] if header_size == 2 else int.from_bytes(header[2:])
        frame_size = header_size + KEY_SIZE + size
        if len(self.first) < frame_size:
            return
        key, masked = (
            self.first[header_size:][:KEY_SIZE],
            self.first[frame_size - size : frame_size],
        )
        keys = (key * (size // KEY_SIZE + 1))[:size]
        payload = int.from_bytes(masked) ^ int.from_bytes(keys)
        self.answer = header + payload.to_bytes(size)
        self.frame_size = frame_size
        self.take = self._count
        self._count(self.first)

    def _count(self, data: bytes) -> None:
        frames, self.received = divmod(self.received + len(data), self.frame_size)
        if frames:
            self.transport.write(self.answer * frames)


if __name__ == "__main__":
    launch.main(lambda: RepeatedEcho)
