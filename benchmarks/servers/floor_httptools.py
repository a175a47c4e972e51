"""The floor of a server on httptools: each request is parsed and kept, then answered constantly.

No task, no request object, no limits, no order of answers to keep: what lowlevel adds to this is
what its handler, its objects and its care cost.
"""

import asyncio
from typing import cast

import httptools

from . import launch
from .floor import ANSWER


class ParsedAnswer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.method = self.parser.get_method()
        self.keep_alive = self.parser.should_keep_alive()

    def on_message_complete(self) -> None:
        self.transport.write(ANSWER)
        if not self.keep_alive:
            self.transport.close()
        self.url = b""
        self.headers = []


if __name__ == "__main__":
    launch.main(lambda: ParsedAnswer)
