"""What one request takes, in numbers that are the same on every run.

Two programs, which ``benchmarks.guard`` starts; each prints its numbers as JSON:

``python -m benchmarks.counting LOOP`` counts one loop, in a process of its own:

- ``bytecode``: instructions of Python, in all code but that of the benchmarks;
- ``calls``: of functions in Python, and resumptions of coroutines;
- ``C calls``: of functions in C, by code in Python;
- ``transport calls``: how often one arrival makes a transport write, pause, close...;
- ``cyclic garbage``: objects that one arrival leaves to Python's collector of cycles;
- ``peak bytes``: the memory that one arrival takes on top of what was there before it.

``valgrind --tool=cachegrind ... python -m benchmarks.counting --machine LOOP...`` leaves counting to
valgrind: for each loop the process forks twice, and one child makes more exchanges than the other.
What valgrind counted more for it, by the number of exchanges more, is what one of them takes;
starting Python, importing and warming up are in both. It prints the ids of the children, which
valgrind's files have in their names.
"""

import argparse
import gc
import json
import os
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from .inprocess import Client
from .loops import LOOPS

# Until then, all that is made once is made, and what remembers the last 128 of something is full.
WARM_UP = 150
EXCHANGES = 20
# Exchanges of the two children that valgrind counts.
SHORT, LONG = 10, 60

_HERE = str(Path(__file__).parent)


def count(name: str) -> dict[str, float]:
    """What one request of a loop takes."""
    client = Client(LOOPS[name])
    for _ in range(WARM_UP):
        client.exchange()
    gc.collect()
    gc.disable()
    counted = count_bytecode(client.exchange, EXCHANGES)
    counted["C calls"] = count_c_calls(client.exchange, EXCHANGES)
    requests = LOOPS[name].requests
    per_request = {what: number / requests for what, number in counted.items()}
    # The rest is of all that arrives together, which may be answered, and be there, at once.
    before = client.transport_calls
    garbage = cyclic_garbage(client.exchange, EXCHANGES)
    per_request["transport calls"] = (client.transport_calls - before) / EXCHANGES
    per_request["cyclic garbage"] = garbage
    per_request["peak bytes"] = peak_bytes(client.exchange, EXCHANGES)
    client.close()
    return {what: _short(number) for what, number in per_request.items()}


def _short(number: float) -> float:
    return int(number) if number == int(number) else round(number, 2)


if sys.version_info >= (3, 12):

    def count_bytecode(exchange: Callable[[], None], times: int) -> dict[str, float]:
        """Instructions and calls of one exchange: the mean of so many."""
        calls = instructions = 0

        def enter(code: CodeType, *details: Any) -> None:
            nonlocal calls
            calls += not _is_ours(code)

        def step(code: CodeType, offset: int) -> None:
            nonlocal instructions
            instructions += not _is_ours(code)

        # Tracing of opcodes loses frames in 3.12.1 and 3.13.0.
        monitoring, on = sys.monitoring, sys.monitoring.events
        tool = monitoring.PROFILER_ID
        monitoring.use_tool_id(tool, "benchmarks.counting")
        try:
            monitoring.register_callback(tool, on.INSTRUCTION, step)
            for event in (on.PY_START, on.PY_RESUME, on.PY_THROW):
                monitoring.register_callback(tool, event, enter)
            monitoring.set_events(tool, on.INSTRUCTION | on.PY_START | on.PY_RESUME | on.PY_THROW)
            for _ in range(times):
                exchange()
            monitoring.set_events(tool, on.NO_EVENTS)
        finally:
            monitoring.free_tool_id(tool)
        return {"bytecode": instructions / times, "calls": calls / times}

else:

    def count_bytecode(exchange: Callable[[], None], times: int) -> dict[str, float]:
        """Instructions and calls of one exchange: the mean of so many."""
        calls = instructions = 0

        def enter(frame: FrameType, event: str, arg: Any) -> Callable[..., Any] | None:
            nonlocal calls
            if _is_ours(frame.f_code):
                return None
            calls += 1
            frame.f_trace_lines = False
            frame.f_trace_opcodes = True
            return step

        def step(frame: FrameType, event: str, arg: Any) -> Callable[..., Any]:
            nonlocal instructions
            instructions += event == "opcode"
            return step

        former = sys.gettrace()
        sys.settrace(enter)
        try:
            for _ in range(times):
                exchange()
        finally:
            sys.settrace(former)
        return {"bytecode": instructions / times, "calls": calls / times}


def count_c_calls(exchange: Callable[[], None], times: int) -> float:
    """Calls of functions in C that one exchange makes: the mean of so many."""
    calls = 0

    def note(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal calls
        calls += event == "c_call" and not _is_ours(frame.f_code)

    former = sys.getprofile()
    sys.setprofile(note)
    try:
        for _ in range(times):
            exchange()
    finally:
        sys.setprofile(former)
    return calls / times


def cyclic_garbage(exchange: Callable[[], None], times: int) -> float:
    """Objects of one exchange that are freed by the collector of cycles alone: the mean of so many.

    It must be disabled.
    """
    while gc.collect():
        pass  # what ends may leave more
    for _ in range(times):
        exchange()
    return gc.collect() / times


def peak_bytes(exchange: Callable[[], None], times: int) -> int:
    """The most memory that an exchange has more than there was before it.

    The smallest of so many: a table that has to grow does so every few exchanges.
    """
    peaks = []
    tracemalloc.start()
    try:
        for _ in range(times):
            # Python keeps some of what was freed for the next object of its kind, unless it tidies
            # up: what it has left of earlier work must not look like memory that takes none.
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            exchange()
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return min(peaks)


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(_HERE)


def fork_for(names: list[str]) -> dict[str, tuple[int, int]]:
    """The process ids of the two children of each loop, the shorter one first, when they are done."""
    gc.disable()
    children = {}
    for name in names:
        pair = _fork(name, SHORT), _fork(name, LONG)
        for child in pair:
            if os.waitpid(child, 0)[1]:
                raise ChildProcessError(f"{name}: process {child} failed")
        children[name] = pair
    return children


def _fork(name: str, times: int) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        client = Client(LOOPS[name])
        for _ in range(WARM_UP + times):
            client.exchange()
        status = 0
    finally:
        os._exit(status)


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.counting")
    options.add_argument("--machine", action="store_true", help="run loops for valgrind to count")
    options.add_argument("loops", nargs="+", choices=LOOPS, metavar="LOOP")
    chosen = options.parse_args()
    if chosen.machine:
        print(json.dumps(fork_for(chosen.loops)))
    else:
        print(json.dumps({name: count(name) for name in chosen.loops}))


if __name__ == "__main__":
    main()
