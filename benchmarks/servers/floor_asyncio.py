"""The floor of everything: asyncio reads, nobody looks, the constant answer goes back.

It takes each piece that arrives for one request, which holds for small requests, not pipelined.
"""

import asyncio
from typing import cast

from . import launch
from .floor import ANSWER


class ConstantAnswer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER)


if __name__ == "__main__":
    launch.main(lambda: ConstantAnswer)
