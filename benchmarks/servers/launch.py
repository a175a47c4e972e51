"""What every measured program does alike: options, event loop, socket, the port on stdout."""

import argparse
import asyncio
import signal
from collections.abc import Callable

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


def main(make_factory: Callable[[], ProtocolFactory]) -> None:
    """Serve until SIGTERM or SIGINT.

    `make_factory` is called inside the running loop and gives what `loop.create_server` wants.
    The port is printed as one line as soon as connections are accepted.
    """
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=0, help="0 (default): any free port")
    options.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    chosen = options.parse_args()
    with asyncio.Runner(loop_factory=_loop_factory(chosen.loop)) as runner:
        runner.run(_serve(make_factory, chosen.port))


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    return asyncio.new_event_loop


async def _serve(make_factory: Callable[[], ProtocolFactory], port: int) -> None:
    loop = asyncio.get_running_loop()
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    listener = await loop.create_server(make_factory(), "127.0.0.1", port, backlog=1024)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await told_to_stop.wait()
    # Open connections are left to the end of the process: nobody is waiting for them any more.
    listener.close()
