"""The load on a websocket echo: one thread that keeps frames in flight on a few connections.

Every frame is the same and was masked beforehand; of the answers only the bytes are counted, since
the size of one is known. Sockets and epoll alone: even uvloop does more for an answer than this.
"""

import select
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack

from . import websocket_client
from .cores import pinned
from .load import Load, LoadFailed

ANSWER_SECONDS = 5.0
READ_BYTES = 256 * 1024


def run(
    port: int,
    path: str,
    payload: bytes,
    *,
    in_flight: int,
    connections: int,
    seconds: float,
    core: int,
) -> Load:
    """Load the server for so long from `core`, `in_flight` frames on each connection.

    Raises LoadFailed, and OSError where a connection fails.
    """
    with pinned(core), ExitStack() as opened:
        clients = [
            opened.enter_context(websocket_client.connect(port, path)) for _ in range(connections)
        ]
        echoes = _Echoes(clients, payload, in_flight)
        used, began = time.process_time(), time.perf_counter()
        answers = echoes.keep_going(seconds)
        took, used = time.perf_counter() - began, time.process_time() - used
        echoes.finish()
    if not answers:
        raise LoadFailed("no answer at all")
    return Load(answers / took, used)


class _Echoes:
    def __init__(self, clients: Sequence[socket.socket], payload: bytes, in_flight: int) -> None:
        frame = websocket_client.frame(payload)
        frames = memoryview(frame * in_flight)
        # What to send for so many answers.
        self._frames = [frames[: count * len(frame)] for count in range(in_flight + 1)]
        self._answer = websocket_client.answer(payload)
        self._clients = {client.fileno(): client for client in clients}
        # How much is here of an answer that has not arrived as a whole.
        self._partial = dict.fromkeys(self._clients, 0)

    def keep_going(self, seconds: float) -> int:
        """Send a frame for each answer, for so long; how many answers came."""
        clients, partial, frames = self._clients, self._partial, self._frames
        size, buffer = len(self._answer), bytearray(READ_BYTES)
        answers = 0
        with select.epoll() as poll:
            for number, client in clients.items():
                client.settimeout(None)  # Spares a system call each time: epoll knows better.
                poll.register(number, select.EPOLLIN)
                client.sendall(frames[-1])
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                ready = poll.poll(ANSWER_SECONDS)
                if not ready:
                    raise LoadFailed(f"no answer within {ANSWER_SECONDS:g} seconds")
                for number, _ in ready:
                    received = clients[number].recv_into(buffer)
                    if not received:
                        raise LoadFailed("the server closed a connection")
                    whole, partial[number] = divmod(partial[number] + received, size)
                    if whole >= len(frames):
                        raise LoadFailed("more answers than messages")
                    if whole:
                        clients[number].sendall(frames[whole])
                        answers += whole
        return answers

    def finish(self) -> None:
        """Read what is still in flight: it must be echoes of the payload, to the last byte."""
        expected = self._answer * (len(self._frames) - 1)
        for number, client in self._clients.items():
            client.settimeout(ANSWER_SECONDS)
            rest = expected[self._partial[number] :]
            if websocket_client.read(client, len(rest)) != rest:
                raise LoadFailed("the answers are no echoes of what was sent")
            websocket_client.send_close(client)
