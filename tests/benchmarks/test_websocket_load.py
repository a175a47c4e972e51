"""The load of websockets counts answers, and nothing else."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks import load, websocket_client, websocket_load
from benchmarks.cores import choose
from tests.benchmarks.running import on_linux

PAYLOAD = b"a message of 25 bytes ..."


@contextmanager
def scripted_server(script: bytes, *, then_close: bool) -> Iterator[int]:
    """The port of a server that accepts the handshake and then sends `script`, whatever comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                head = connection.recv(4096).decode()
                key = head.partition("Sec-WebSocket-Key: ")[2].split()[0]
                accept = websocket_client.accept_value(key.encode()).decode()
                connection.sendall(
                    f"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode()
                )
                connection.recv(4096)
                connection.sendall(script)
                if not then_close:
                    done.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            thread.join()


@on_linux
@pytest.mark.parametrize(
    ("script", "then_close", "complaint"),
    [
        (websocket_client.answer(PAYLOAD) * 3, False, "more answers than messages"),
        (websocket_client.answer(PAYLOAD.upper()), False, "no answer within"),
        (websocket_client.answer(PAYLOAD), True, "closed a connection"),
        (b"", True, "closed a connection"),
        (b"", False, "no answer within"),
    ],
)
def test_the_load_counts_nothing_that_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, script: bytes, then_close: bool, complaint: str
) -> None:
    monkeypatch.setattr(websocket_load, "ANSWER_SECONDS", 0.1)
    with (
        scripted_server(script, then_close=then_close) as port,
        pytest.raises(load.LoadFailed, match=complaint),
    ):
        websocket_load.run(
            port, "/", PAYLOAD, in_flight=2, connections=1, seconds=20, core=choose().load
        )


@on_linux
def test_answers_with_other_bytes_fail_the_load() -> None:
    # As long as the echo, so counting bytes does not notice it.
    with (
        scripted_server(websocket_client.answer(PAYLOAD.upper()) * 2, then_close=False) as port,
        pytest.raises(load.LoadFailed, match="no echoes"),
    ):
        websocket_load.run(
            port, "/", PAYLOAD, in_flight=2, connections=1, seconds=1e-9, core=choose().load
        )
