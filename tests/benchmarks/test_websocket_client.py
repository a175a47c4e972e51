"""The websocket client of the loads: its frames, and what it refuses."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks import websocket_client
from benchmarks.cores import choose
from benchmarks.process import ServerProcess
from tests.benchmarks.running import on_linux

PAYLOAD = b"a message of 25 bytes ..."


@contextmanager
def answering(*pieces: bytes) -> Iterator[socket.socket]:
    """A connection whose server has sent these bytes, all it will ever send, and is gone."""
    client, server = socket.socketpair()
    with client:
        client.settimeout(5)
        with server:
            for piece in pieces:
                server.sendall(piece)
            server.shutdown(socket.SHUT_WR)
            yield client


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_frames_are_what_rfc_6455_5_2_says(size: int) -> None:
    payload = os.urandom(size)
    answer, frame = websocket_client.answer(payload), websocket_client.frame(payload)
    with answering(answer) as client:
        websocket_client.echo(client, payload)
    header = len(answer) - size
    key = frame[header : header + 4]
    masked = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
    assert header == (2 if size < 126 else 4 if size < 65536 else 10)
    assert frame == bytes((answer[0], answer[1] | 0x80)) + answer[2:header] + key + masked


@pytest.mark.parametrize(
    "sent",
    [
        b"\x82\x19A message of 25 bytes ...",
        b"\x81\x19a message of 25 bytes ...",
        b"\xc2\x19a message of 25 bytes ...",
        b"\x82\x19a message of 25 bytes ..",
        b"",
    ],
)
def test_anything_else_is_no_echo(sent: bytes) -> None:
    with answering(sent) as client, pytest.raises(websocket_client.Refused):
        websocket_client.echo(client, PAYLOAD)


@on_linux
@pytest.mark.parametrize("path", ["/", "/websocket"])
def test_a_server_without_websockets_is_refused(path: str) -> None:
    with (
        ServerProcess("floor_asyncio", "asyncio", choose().server) as server,
        pytest.raises(websocket_client.Refused, match="no websocket: b'HTTP/1.1 200 OK"),
    ):
        websocket_client.connect(server.port, path)


@on_linux
def test_an_offer_that_is_declined_is_refused() -> None:
    with (
        ServerProcess("lowlevel", "asyncio", choose().server) as server,
        pytest.raises(websocket_client.Refused, match="offered 'permessage-deflate"),
    ):
        websocket_client.connect(server.port, "/websocket", extensions=websocket_client.OFFER)
