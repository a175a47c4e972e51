"""A server without a network: bytes go into its protocol, answers come out into a transport.

Nothing here knows what time it is. The event loop is asyncio's own, but its clock stands still and
it asks no operating system what has happened: it runs what is due until nothing is. So the same
bytes take the same way through the server, whatever else the machine does meanwhile; what can be
counted of that way is the same on every run.

::

    client = Client(loops.LOOPS["plaintext"])
    client.exchange()   # as often as needed
    client.close()
"""

import asyncio
import itertools
import math
import selectors
from asyncio import events
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lowlevel as web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Data = bytes | bytearray | memoryview

# No exchange of ours takes a tenth of that. The bound turns a loop without end into an error.
MOST_TURNS = 1000


class NoAnswer(Exception):
    """The server did not answer as it should."""


class FakeTransport(asyncio.Transport):
    """A peer that takes everything at once, and keeps it in `received` until somebody clears it.

    `calls` counts what a real transport would do something for, often by a call of the kernel.
    """

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        super().__init__({"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8080)})
        self.received = bytearray()
        self.calls = 0
        self._protocol = protocol
        self._closing = False

    def write(self, data: Data) -> None:
        self.calls += 1
        self.received += data

    def writelines(self, list_of_data: Iterable[Data]) -> None:
        self.calls += 1
        for data in list_of_data:
            self.received += data

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self.calls += 1
        self._closing = True

    def abort(self) -> None:
        self.calls += 1
        self._closing = True

    def is_reading(self) -> bool:
        return True

    def pause_reading(self) -> None:
        self.calls += 1

    def resume_reading(self) -> None:
        self.calls += 1

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.calls += 1


class _NoSelector(selectors.BaseSelector):
    """Nothing ever happens on any file."""

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        raise NotImplementedError

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise NotImplementedError

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


class StillLoop(asyncio.BaseEventLoop):
    """asyncio's loop at a moment that does not pass: callbacks run, timers never do."""

    # What every loop over BaseEventLoop has, and no annotation of the standard library tells.
    _ready: deque[asyncio.Handle]
    if TYPE_CHECKING:

        def _run_once(self) -> None: ...

    def __init__(self) -> None:
        super().__init__()
        self._selector = _NoSelector()

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def time(self) -> float:
        return 0.0

    def settle(self) -> None:
        """Take turns until nothing is due."""
        turns = 0
        while self._ready:
            if turns == MOST_TURNS:
                raise NoAnswer(f"something is due after {turns} turns of the event loop")
            self._run_once()
            turns += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """What is done again and again.

    make_handler: makes the handler of the server.
    arrivals: what the client sends, in turn and again from the first.
    begins, ends: how the answer does, which is the same every time.
    requests: how many requests or messages an arrival has.
    pieces: in how many parts of the same size an arrival comes, each for the server to read alone.
    opening: what the client sends once, before.
    reconnects: whether each arrival comes on a new connection, which the client leaves then.
    """

    make_handler: Callable[[], Handler]
    arrivals: Sequence[bytes]
    begins: bytes
    ends: bytes
    requests: int = 1
    pieces: int = 1
    opening: bytes = b""
    reconnects: bool = False


class Client:
    """A client of a server of its own, which has made the first exchange.

    transport_calls: how often the server made its transports do something.

    Raises NoAnswer, as `exchange` does.
    """

    def __init__(self, loop: Loop) -> None:
        self.transport_calls = 0
        self._arrivals = itertools.cycle([_cut(data, loop.pieces) for data in loop.arrivals])
        self._reconnects = loop.reconnects
        self._event_loop = StillLoop()
        events._set_running_loop(self._event_loop)
        self._server = web.Server(loop.make_handler(), access_log=None)
        # One connection stays in any case: with the first, a server looks at what time it is.
        self._transport = self._connect()
        try:
            if loop.opening:
                self._send(self._transport, [loop.opening])
            self._expected = self._ask()
            if not (self._expected.startswith(loop.begins) and self._expected.endswith(loop.ends)):
                raise NoAnswer(f"answered {self._expected[:500]!r}")
        except BaseException:
            self.close()
            raise

    def exchange(self) -> None:
        """Let the bytes arrive and the server answer; the answer must be the same every time."""
        answer = self._ask()
        if answer != self._expected:
            raise NoAnswer(f"answered {self._expected[:500]!r}, and later {answer[:500]!r}")

    def close(self) -> None:
        """The client leaves."""
        try:
            self._leave(self._transport)
        finally:
            events._set_running_loop(None)
            self._event_loop.close()

    def _ask(self) -> bytes:
        pieces = next(self._arrivals)
        if not self._reconnects:
            return self._send(self._transport, pieces)
        transport = self._connect()
        answer = self._send(transport, pieces)
        self._leave(transport)
        return answer

    def _connect(self) -> FakeTransport:
        connection = self._server()
        transport = FakeTransport(connection)
        connection.connection_made(transport)
        return transport

    def _send(self, transport: FakeTransport, pieces: Sequence[bytes]) -> bytes:
        transport.received.clear()
        for piece in pieces:
            _protocol(transport).data_received(piece)
            self._settle(transport)
        return bytes(transport.received)

    def _leave(self, transport: FakeTransport) -> None:
        _protocol(transport).connection_lost(None)
        self._settle(transport)

    def _settle(self, transport: FakeTransport) -> None:
        self._event_loop.settle()
        self.transport_calls += transport.calls
        transport.calls = 0


def _cut(data: bytes, pieces: int) -> list[bytes]:
    size = math.ceil(len(data) / pieces)
    return [data[start : start + size] for start in range(0, len(data), size)]


def _protocol(transport: FakeTransport) -> Any:
    return transport.get_protocol()
