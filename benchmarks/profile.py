"""python -m benchmarks.profile: where a request's time goes, without sockets.

Bytes go into the server's protocol, answers come out into a transport that only counts them. First
it says how many requests a second that makes, then it runs the same again under cProfile.
"""

import argparse
import asyncio
import cProfile
import importlib
import pstats
import time
from collections.abc import Iterable

from .inprocess import FakeTransport, NoAnswer
from .loops import BROWSER_GET, FORMS
from .servers.handlers import make_handler

# What arrives at once, and how many answers it asks for.
REQUESTS = {
    "plaintext": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 1),
    "pipelined": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 16, 16),
    "json": (BROWSER_GET, 1),
    "form": (
        b"POST /form HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(FORMS[0]), FORMS[0]),
        1,
    ),
    "echo": (
        b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1024\r\n\r\n" + bytes(1024),
        1,
    ),
}
SHUTDOWN_SECONDS = 1.0
MODULES = {"lowlevel": "lowlevel", "aiohttp": "aiohttp.web"}


class CountingTransport(FakeTransport):
    """`answers` counts the status lines that came."""

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        super().__init__(protocol)
        self.answers = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.answers += bytes(data).count(b"HTTP/1.1 200 OK\r\n")

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))


async def drive(server: str, request: bytes, answers: int, times: int) -> float:
    """Seconds that `times` arrivals of `request` took, one after the other, on one connection."""
    web = importlib.import_module(MODULES[server])
    web_server = web.Server(make_handler(web), access_log=None)
    protocol = web_server()
    transport = CountingTransport(protocol)
    protocol.connection_made(transport)
    await asyncio.sleep(0)
    began = time.perf_counter()
    for number in range(1, times + 1):
        protocol.data_received(request)
        await _until_answered(transport, number * answers)
    took = time.perf_counter() - began
    protocol.connection_lost(None)
    await web_server.shutdown(SHUTDOWN_SECONDS)
    return took


async def _until_answered(transport: CountingTransport, answers: int) -> None:
    # A request needs a handful of turns of the loop. The bound turns a hang into an error.
    for _ in range(1000):
        if transport.answers >= answers:
            return
        await asyncio.sleep(0)
    raise NoAnswer(f"{transport.answers} answers of 200 OK, expected {answers}")


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.profile")
    options.add_argument("--case", choices=REQUESTS, default="plaintext")
    options.add_argument("--server", choices=MODULES, default="lowlevel")
    options.add_argument("--times", type=int, default=20_000, help="how often the bytes arrive")
    options.add_argument("--sort", choices=("tottime", "cumtime"), default="tottime")
    options.add_argument("--lines", type=int, default=30)
    chosen = options.parse_args()
    request, answers = REQUESTS[chosen.case]
    took = asyncio.run(drive(chosen.server, request, answers, chosen.times))
    count = chosen.times * answers
    print(f"{chosen.server}, {chosen.case}: {count / took:,.0f} requests/s without sockets\n")
    profile = cProfile.Profile()
    profile.runcall(asyncio.run, drive(chosen.server, request, answers, chosen.times))
    pstats.Stats(profile).sort_stats(chosen.sort).print_stats(chosen.lines)


if __name__ == "__main__":
    main()
