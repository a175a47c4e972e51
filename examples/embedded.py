"""Beside another service: lines come in by TCP, and HTTP shows the last of them. Run it, then:

echo hello | nc -N 127.0.0.1 8081; curl http://127.0.0.1:8080/
"""

import argparse
import asyncio
import contextlib
import signal
from collections import deque

import lowlevel as web


class Lines:
    """What both services share, and the one that takes lines."""

    def __init__(self) -> None:
        self.last: deque[str] = deque(maxlen=100)
        self.writers: set[asyncio.StreamWriter] = set()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        with contextlib.suppress(ConnectionError, ValueError):  # it left; its line is too long
            while line := await reader.readline():
                self.last.append(line.decode(errors="replace").rstrip())
        self.writers.remove(writer)
        writer.close()

    async def show(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(list(self.last))


async def main(host: str, port: int, line_port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    lines = Lines()
    async with web.ServerRunner(web.Server(lines.show), shutdown_timeout=10) as runner:
        site = web.TCPSite(runner, host, port)
        await site.start()
        service = await asyncio.start_server(lines.take, host, line_port)
        print(f"======= Serving on {site.name} ======", flush=True)
        print(f"Lines are taken at port {service.sockets[0].getsockname()[1]}", flush=True)
        await stop.wait()
        service.close()
        for writer in lines.writers:
            writer.close()
        await service.wait_closed()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--line-port", type=int, default=8081)
    asyncio.run(main(**vars(parser.parse_args())))
