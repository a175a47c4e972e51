"""A server that answers anything and keeps what it was asked."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True)
class Asked:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@contextmanager
def recording_server(*, batch: int = 1) -> Iterator[tuple[int, list[Asked]]]:
    """The port of a server that takes one load of one connection, and what it is asked for.

    batch: it answers when so many requests are here, all of them together.
    """
    requests: list[Asked] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            while not requests:  # wrk connects before, to see whether somebody is there.
                connection, _ = listener.accept()
                connection.settimeout(10)
                with connection, connection.makefile("rb") as stream, suppress(ConnectionError):
                    while request := _read(stream):
                        requests.append(request)
                        if len(requests) % batch == 0:
                            connection.sendall(ANSWER * batch)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], requests
        finally:
            thread.join()


def _read(stream: BinaryIO) -> Asked | None:
    line = stream.readline().split()
    if not line:
        return None
    headers = {}
    while field := stream.readline().decode().strip():
        name, _, value = field.partition(": ")
        headers[name] = value
    body = stream.read(int(headers.get("Content-Length", 0)))
    return Asked(line[0].decode(), line[1].decode(), headers, body)
