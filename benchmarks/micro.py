"""python -m benchmarks.micro: what the parts of a request take, each alone, under pyperf.

Without an event loop, a connection or a socket: the functions are called as a connection calls them,
a few at a time. All options are pyperf's::

    python -m benchmarks.micro --fast
    python -m benchmarks.micro -o micro.json     # an older file of that name is replaced
    python -m pyperf compare_to before.json after.json

The file is pyperf's, without what tells one machine of many: names of hosts, paths of programs.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import lowlevel as web
from lowlevel.body import EMPTY_PAYLOAD
from lowlevel.channel import Channel
from lowlevel.clock import ServerClock
from lowlevel.protocol.head import RequestHead, decode_fields
from lowlevel.protocol.http1 import ParserLimits, RequestParser
from lowlevel.protocol.websocket import Receiver, frame
from lowlevel.urlencoded import read_urlencoded

from .inprocess import StillLoop
from .loops import BROWSER_GET, FORMS, masked_frame

Part = Callable[[], object]

SMALL_GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
ROUTES = 1000
MESSAGES = {"64 B": bytes(64), "4 KiB": bytes(4096)}

_PRIVATE = ("command", "hostname", "python_config_args", "python_executable")


class _Sink:
    """The side of a connection that responses see, with a client that takes everything."""

    def __init__(self) -> None:
        self.clock = ServerClock(1.0, "lowlevel", lambda now: None)
        self.sent = 0

    def lets_persist(self, request: web.BaseRequest) -> bool:
        return True

    def send(self, data: bytes) -> bool:
        self.sent += len(data)
        return False

    send_whole = send

    def drain_needed(self) -> bool:
        return False


# ---- The parts -------------------------------------------------------------------------------


def _head(data: bytes) -> RequestHead:
    (head,) = RequestParser(ParserLimits()).receive_data(data)
    if not isinstance(head, RequestHead):
        raise TypeError(f"{data!r} is no head, but {head!r}")
    return head


def _request(data: bytes, sink: _Sink) -> web.BaseRequest:
    return web.BaseRequest.make(_head(data), EMPTY_PAYLOAD, cast(Channel, sink), None)


def _started_sink() -> _Sink:
    sink = _Sink()
    loop = StillLoop()
    sink.clock.start(loop)  # it knows the fields that hold the time from here on
    sink.clock.stop()
    loop.close()
    return sink


def parse_head(data: bytes) -> Part:
    """From the bytes to a head whose fields are still raw."""
    receive_data = RequestParser(ParserLimits()).receive_data
    return lambda: receive_data(data)


def make_headers() -> Part:
    """From the raw fields to the multidict that is ``request.headers``."""
    fields = _head(BROWSER_GET).fields
    return lambda: decode_fields(fields)


def send_text() -> Part:
    """Make a response, and its bytes in one."""
    sink = _started_sink()
    request = _request(SMALL_GET, sink)
    return lambda: web.Response(text="Hello, world!").send_whole(request)


def send_json() -> Part:
    """Make a response with fields of its own, and its bytes. The writer of its request is part of it."""
    sink = _started_sink()
    head = _head(SMALL_GET)
    make = web.BaseRequest.make
    data = {"name": "Ada", "amount": 3, "tags": ["engines", "notes"]}
    fields = {"Cache-Control": "no-store", "X-Request-ID": "8f14e45fceea167a"}

    def part() -> None:
        request = make(head, EMPTY_PAYLOAD, cast(Channel, sink), None)
        response = web.json_response(data, headers=fields)
        _run(response.prepare(request))
        _run(response.write_eof())

    return part


def _run(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run what never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError(f"{coroutine!r} waits")


def receive_frame(payload: bytes) -> Part:
    """From a masked frame to a message."""
    receive_data = Receiver(0, None).receive_data
    data = masked_frame(payload)
    return lambda: receive_data(data)


def make_frame(payload: bytes) -> Part:
    """From a message to a frame."""
    return lambda: frame(web.WSMsgType.BINARY, payload)


def match_route(target: bytes, *, others: int = 0) -> Part:
    """Find the route of a request, and the value of its variable."""
    router = web.Router()
    router.add_get("/about", _handler)
    for number in range(others):
        router.add_get(f"/resource-{number}/{{name}}", _handler)
    router.add_get("/users/{name}", _handler)
    request = _request(b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % target, _started_sink())
    return lambda: router.look_up(request)


def read_form() -> Part:
    """From the body to its fields."""
    forms = itertools.cycle(FORMS)
    return lambda: read_urlencoded(next(forms), "utf-8", 0)


async def _handler(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response()


PARTS: dict[str, Callable[[], Part]] = {
    "parse a head: 1 field": lambda: parse_head(SMALL_GET),
    "parse a head: 12 fields of a browser": lambda: parse_head(BROWSER_GET),
    "headers: 12 fields of a browser": make_headers,
    "response: text": send_text,
    "response: JSON, two fields of its own": send_json,
    **{
        f"websocket: a frame of {size} in": lambda payload=payload: receive_frame(payload)  # type: ignore[misc]
        for size, payload in MESSAGES.items()
    },
    **{
        f"websocket: a frame of {size} out": lambda payload=payload: make_frame(payload)  # type: ignore[misc]
        for size, payload in MESSAGES.items()
    },
    "route: static": lambda: match_route(b"/about"),
    "route: one variable": lambda: match_route(b"/users/ada"),
    "route: one variable, behind 1,000 others": lambda: match_route(b"/users/ada", others=ROUTES),
    "form: 10 fields": read_form,
}
"""What makes each part ready to be called again and again."""


# ---- Results ---------------------------------------------------------------------------------


def figures(path: Path) -> dict[str, tuple[float, float]]:
    """The median of each part in a file of results, and the standard deviation, both in seconds."""
    suite = json.loads(path.read_text(encoding="utf-8"))
    results = {}
    for benchmark in suite["benchmarks"]:
        # What all benchmarks of a file have in common is written once.
        metadata = {**suite.get("metadata", {}), **benchmark.get("metadata", {})}
        values = [value for run in benchmark["runs"] for value in run.get("values", ())]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        results[metadata["name"]] = statistics.median(values), spread
    return results


def _publish(source: Path, path: Path) -> None:
    """Move a file of results to where it was asked for, without what nobody else needs to know."""
    suite = json.loads(source.read_text(encoding="utf-8"))
    runs = [run for benchmark in suite["benchmarks"] for run in benchmark["runs"]]
    for part in [suite, *suite["benchmarks"], *runs]:
        for name in _PRIVATE:
            part.get("metadata", {}).pop(name, None)
    source.write_text(json.dumps(suite, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    source.replace(path)


def main() -> None:
    try:
        import pyperf  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        sys.exit("python -m benchmarks.micro needs pyperf: make bench-micro installs it")
    ours = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    ours.add_argument("-o", "--output", type=Path)
    known, others = ours.parse_known_args()
    partial = None
    if known.output is not None:
        partial = known.output.with_name(f"{known.output.name}.{os.getpid()}")
        others += ["--output", str(partial)]
    # pyperf starts this program again, for each part several times.
    runner = pyperf.Runner(program_args=("-m", "benchmarks.micro"))
    runner.parse_args(others)
    try:
        for name, make in PARTS.items():
            runner.bench_func(name, make())
        if partial is not None and partial.exists():
            _publish(partial, known.output)
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
