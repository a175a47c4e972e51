"""What every measured program does alike: options, event loop, the port on stdout."""

import argparse
import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

HOST = "127.0.0.1"
BACKLOG = 1024

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class Listening(Protocol):
    """What `asyncio.Server` has, and the servers that wrap one."""

    @property
    def sockets(self) -> Iterable[socket.socket]: ...

    def close(self) -> object: ...


def main(make_factory: Callable[[], ProtocolFactory]) -> None:
    """Serve until SIGTERM or SIGINT.

    `make_factory` is called inside the running loop and gives what `loop.create_server` wants.
    The port is printed as one line as soon as connections are accepted.
    """

    async def listen(port: int) -> Listening:
        loop = asyncio.get_running_loop()
        return await loop.create_server(make_factory(), HOST, port, backlog=BACKLOG)

    run(listen)


def run(listen: Callable[[int], Awaitable[Listening]]) -> None:
    """As `main`, for servers that open their socket themselves: `listen` is given the port."""
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=0, help="0 (default): any free port")
    options.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    chosen = options.parse_args()
    with asyncio.Runner(loop_factory=_loop_factory(chosen.loop)) as runner:
        runner.run(_serve(listen, chosen.port))


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    return asyncio.new_event_loop


async def _serve(listen: Callable[[int], Awaitable[Listening]], port: int) -> None:
    loop = asyncio.get_running_loop()
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    listener = await listen(port)
    (listening,) = listener.sockets
    print(listening.getsockname()[1], flush=True)
    await told_to_stop.wait()
    # Open connections are left to the end of the process: nobody is waiting for them any more.
    listener.close()
