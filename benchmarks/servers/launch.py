"""What every measured program does alike: options, event loop, TLS, the port on stdout."""

import argparse
import asyncio
import ctypes
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

HOST = "127.0.0.1"
# As large as Linux takes by default, for thousands of connections at once.
BACKLOG = 4096
# For servers that want to know how many there may be at once.
CONNECTIONS = 1 << 15
# Some close idle connections much sooner by default than others.
KEEP_ALIVE_SECONDS = 3600
START_SECONDS = 15.0
PR_SET_PDEATHSIG = 1  # prctl(2)

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


@dataclass(frozen=True, slots=True)
class Options:
    """port: 0 for any that is free; tls: the files of a certificate and of its key."""

    port: int
    loop: str
    tls: tuple[str, str] | None

    def context(self) -> ssl.SSLContext | None:
        """Of the system's defaults, for the servers that take one."""
        if self.tls is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self.tls)
        return context


class Listening(Protocol):
    """What `asyncio.Server` has, and the servers that wrap one."""

    @property
    def sockets(self) -> Iterable[socket.socket]: ...

    def close(self) -> object: ...


Listen = Callable[[Options], Awaitable[Listening]]


def main(make_factory: Callable[[], ProtocolFactory]) -> None:
    """Serve until SIGTERM or SIGINT.

    `make_factory` is called inside the running loop and gives what `loop.create_server` wants.
    The port is printed as one line as soon as connections are accepted.
    """

    async def listen(options: Options) -> Listening:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            make_factory(), HOST, options.port, backlog=BACKLOG, ssl=options.context()
        )

    run(listen)


def run(listen: Listen) -> None:
    """As `main`, for servers that open their socket themselves."""
    options = parse()
    with asyncio.Runner(loop_factory=loop_factory(options.loop)) as runner:
        runner.run(_serve(listen, options))


def parse() -> Options:
    """The options of this program's command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0, help="0 (default): any free port")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"), help="files in PEM: serve HTTPS")
    parser.add_argument("--parent", type=int, metavar="PID", help="end when it does")
    chosen = parser.parse_args()
    if chosen.parent is not None:
        _end_with(chosen.parent)
    return Options(chosen.port, chosen.loop, tuple(chosen.tls) if chosen.tls else None)


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    return asyncio.new_event_loop


def bound(options: Options) -> socket.socket:
    """A socket that listens, for servers that take one."""
    return socket.create_server((HOST, options.port), backlog=BACKLOG)


def free_port(options: Options) -> int:
    """For servers that open their socket themselves and cannot say which port they got.

    Nobody else takes a port so soon again that was free: the system gives others first.
    """
    if options.port:
        return options.port
    with socket.create_server((HOST, 0)) as found:
        port: int = found.getsockname()[1]
        return port


def announce(port: int) -> None:
    print(port, flush=True)


def announce_when_it_answers(port: int, *, tls: bool) -> None:
    """For servers that do not return until they end: a thread looks, and is gone before the load."""
    threading.Thread(target=_announce_when_it_answers, args=(port, tls), daemon=True).start()


async def told_to_stop() -> None:
    """Wait for SIGTERM or SIGINT."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()


def _announce_when_it_answers(port: int, tls: bool) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError):
            _ask(port, tls)
            announce(port)
            return
        time.sleep(0.05)


def _ask(port: int, tls: bool) -> None:
    with socket.create_connection((HOST, port), timeout=START_SECONDS) as plain:
        # Of its certificate nothing is known here, nor does it matter.
        context = ssl._create_unverified_context() if tls else None
        with context.wrap_socket(plain) if context else plain as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            if not client.recv(1024):
                raise ConnectionError("no answer")


async def _serve(listen: Listen, options: Options) -> None:
    stop = asyncio.ensure_future(told_to_stop())
    listener = await listen(options)
    (listening,) = listener.sockets
    announce(listening.getsockname()[1])
    await stop
    # Open connections are left to the end of the process: nobody is waiting for them any more.
    listener.close()


def _end_with(parent: int) -> None:
    """Be killed when the parent ends, however it does; so are the processes forked from here.

    SIGTERM would not do: a server may be stopped at that moment (ServerProcess.pause).
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the parent has ended")
    os.register_at_fork(after_in_child=partial(_end_with, os.getpid()))
