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

from .cases import FORM
from .servers.handlers import make_handler

_BROWSER = b"""\
GET /json?page=7&sort=name HTTP/1.1
Host: 127.0.0.1
Connection: keep-alive
Cache-Control: max-age=0
Upgrade-Insecure-Requests: 1
User-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8
Sec-Fetch-Site: same-origin
Sec-Fetch-Mode: navigate
Referer: http://127.0.0.1/list?page=6
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-GB,en;q=0.9,de;q=0.8
Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark

"""

# What arrives at once, and how many answers it asks for.
REQUESTS = {
    "plaintext": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 1),
    "pipelined": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 16, 16),
    "json": (_BROWSER.replace(b"\n", b"\r\n"), 1),
    "form": (
        b"POST /form HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(FORM), FORM),
        1,
    ),
    "echo": (
        b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1024\r\n\r\n" + bytes(1024),
        1,
    ),
}
SHUTDOWN_SECONDS = 1.0
MODULES = {"lowlevel": "lowlevel", "aiohttp": "aiohttp.web"}


class CountingTransport(asyncio.Transport):
    """A peer that takes everything at once; `answers` counts the status lines it was sent."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8080)})
        self.answers = 0
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.answers += bytes(data).count(b"HTTP/1.1 200 OK\r\n")

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    def abort(self) -> None:
        self._closing = True

    def is_reading(self) -> bool:
        return True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class NoAnswer(Exception):
    """The server closed the connection, or did not answer in time."""


async def drive(server: str, request: bytes, answers: int, times: int) -> float:
    """Seconds that `times` arrivals of `request` took, one after the other, on one connection."""
    web = importlib.import_module(MODULES[server])
    web_server = web.Server(make_handler(web), access_log=None)
    protocol = web_server()
    transport = CountingTransport()
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
