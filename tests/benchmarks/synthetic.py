"""Results of runs that never were, with every kind of row: for tests of what is made of them."""

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.stats import Row, Target

FACTS = {
    "date": "2001-02-03 04:05 UTC",
    "processor": "A processor, 2 cores",
    "kernel": "Linux 1.2.3_4",
    "python": "CPython 3.11.0",
    "packages": "lowlevel 0.1.0, aiohttp 1.2.3, uvicorn 4.5, granian 6.7, no-such (missing)",
    "left out": "tornado (not installed)",
    "method": "median of 5 rounds of 2 s, servers in turn on one core",
}

# How fast each is beside lowlevel.
HTTP = {
    "aiohttp": 0.45,
    "floor_httptools": 1.6,
    "floor_asyncio": 2.4,
    "uvicorn": 0.6,
    "granian-rsgi": 0.55,
    "granian-asgi": 0.5,
    "hypercorn": 0.12,
    "sanic": 0.4,
    "blacksheep": 0.5,
    "tornado": 0.1,
    "socketify": 1.1,
}
WEBSOCKET = {
    "aiohttp": 0.8,
    "websockets": 0.4,
    "picows": 1.9,
    "uvicorn": 0.45,
    "granian-rsgi": 0.9,
    "socketify": 1.2,
    "floor_websocket": 2.5,
}
GROWN = ("aiohttp", "uvicorn", "granian-rsgi", "socketify", "floor_httptools")
TARGET = Target("at least", 2.0)


def full() -> list[Row]:
    chance = random.Random(1)
    return [
        *_loads(chance, ("plaintext", "json", "echo", "tls-plaintext"), HTTP),
        *_on_asyncio(chance),
        *_growth(chance),
        *_latency(chance),
        *_websocket(chance),
        *_toolkit(chance),
        *_memory(chance),
        _row(chance, "import", "import, wall time", "aiohttp", 41.0, 90.0, unit="ms", loop="-"),
    ]


def quick() -> list[Row]:
    chance = random.Random(2)
    return [
        *_loads(chance, ("plaintext",), HTTP),
        *_loads(chance, ("json", "echo", "tls-plaintext"), {"aiohttp": 0.7}),
        *_toolkit(chance),
        _row(chance, "close", "new connections", "aiohttp", 9000, 5000, load_busy=0.95),
    ]


def write(path: Path, rows: Sequence[Row]) -> None:
    """As the command writes it."""
    results: dict[str, Any] = report.as_json(rows, FACTS, {"rounds": 5})
    path.write_text(json.dumps(results), "utf-8")


def _loads(chance: random.Random, cases: Sequence[str], others: dict[str, float]) -> Iterator[Row]:
    for case in cases:
        ours = _samples(chance, 47_000)
        for other, speed in others.items():
            title = case if other == "aiohttp" else f"{case}, beside {other}"
            target = TARGET if other == "aiohttp" else None
            row = _row(chance, case, title, other, 0, 47_000 * speed, target=target)
            row.ours = ours
            if other == "tornado":
                row.failure = "ServerFailed: tornado on uvloop did not start: `no` *such* module_"
            yield row


def _on_asyncio(chance: random.Random) -> Iterator[Row]:
    for case, title in (("plaintext", "plaintext"), ("upload", "1 MiB upload streamed")):
        yield _row(
            chance,
            case,
            title,
            "aiohttp",
            900,
            1000,
            loop="asyncio",
            target=TARGET,
            server_busy=0.5,
        )


def _growth(chance: random.Random) -> Iterator[Row]:
    families = {
        "connections": (1, 10, 100, 1000, 10_000),
        "headers": (1, 10, 25, 50, 100),
        "response body": (0, 2**10, 2**14, 2**18, 2**20, 2**24),
        "request body": (0, 2**10, 2**14, 2**18, 2**20, 2**24),
        "pipelining": (1, 4, 16, 64),
    }
    for family, points in families.items():
        for at in points:
            rate = 60_000 / (1 + at / 20_000)
            ours = _samples(chance, rate)
            for other in GROWN:
                row = _row(chance, family, f"{at} {family}", other, 0, rate * HTTP[other])
                row.ours, row.family, row.at = ours, family, float(at)
                row.load_busy = [(0.99, 0.99)] * 5 if at >= 2**20 else [(0.5, 0.5)] * 5
                if (family, at, other) == ("headers", 100, "aiohttp"):
                    row.failure = "LoadFailed: wrk: Non-2xx or 3xx responses: 7"
                yield row


def _latency(chance: random.Random) -> Iterator[Row]:
    for at, ours in ((50.0, 0.2), (99.0, 0.9), (99.9, 3.0)):
        for other, times in (("aiohttp", 1.5), ("uvicorn", 1.4), ("granian-rsgi", 1.2)):
            row = _row(
                chance,
                "latency",
                f"latency at 9,000/s, p{at:g}",
                other,
                ours,
                ours * times,
                unit="ms",
            )
            row.note = "The load was busy with 31 % of its core."
            row.family, row.at = "latency", at
            yield row


def _websocket(chance: random.Random) -> Iterator[Row]:
    for case, title, rate in (
        ("websocket-64", "websocket 64 B", 35_000),
        ("websocket-64k", "websocket 64 KiB", 11_000),
    ):
        for other, speed in WEBSOCKET.items():
            beside = title if other == "aiohttp" else f"{title}, beside {other}"
            row = _row(chance, case, beside, other, rate, rate * speed, unit="messages/s")
            row.server = "lowlevel_masker"
            yield row
        row = _row(chance, case, f"{title}, no masker", "aiohttp", rate, rate, unit="messages/s")
        row.server = "lowlevel_no_masker"
        yield row
    for other, speed in (("aiohttp", 0.5), ("picows", 1.3)):
        yield _row(
            chance,
            "fanout-1000",
            f"fan-out, beside {other}",
            other,
            1e5,
            1e5 * speed,
            unit="messages/s",
        )


def _toolkit(chance: random.Random) -> Iterator[Row]:
    row = _row(chance, "toolkit-routes", "20 routes, Router, beside Starlette", "Starlette", 30, 10)
    row.server = "lowlevel_router"
    yield row
    row = _row(chance, "toolkit-middlewares", "10 middlewares", "lowlevel_bare", 75, 100)
    row.server, row.target, row.parts = "lowlevel_middlewares", Target("at least", 0.77), 10
    yield row


def _memory(chance: random.Random) -> Iterator[Row]:
    limit = Target("at most", 3.0, on="value", unit="KiB")
    title = "memory per idle connection"
    for other, kib in (("aiohttp", 8.6), ("uvicorn", 9.0), ("socketify", 1.4)):
        beside = title if other == "aiohttp" else f"{title}, beside {other}"
        row = _row(chance, "memory", beside, other, 4.0, kib, unit="KiB")
        row.target = limit if other == "aiohttp" else None
        yield row
    case = "websocket-memory-deflate"
    yield _row(chance, case, "the same, compressed", "aiohttp", 56.0, 115.0, unit="KiB")
    yield _row(chance, "memory", title, "aiohttp", 4.1, 8.8, unit="KiB", loop="asyncio")
    yield _row(chance, "multipart-memory", "upload, peak memory", "aiohttp", 2.3, 3.5, unit="MiB")


def _row(
    chance: random.Random,
    case: str,
    title: str,
    other: str,
    ours: float,
    theirs: float,
    *,
    unit: str = "requests/s",
    loop: str = "uvloop",
    target: Target | None = None,
    server_busy: float = 1.0,
    load_busy: float = 0.5,
) -> Row:
    row = Row(case, title, loop, other, unit, target)
    row.ours, row.theirs = _samples(chance, ours), _samples(chance, theirs)
    if unit.endswith("/s"):
        row.server_busy = [(server_busy, server_busy)] * 5
        row.load_busy = [(load_busy, load_busy)] * 5
    return row


def _samples(chance: random.Random, about: float) -> list[float]:
    return [about * chance.uniform(0.95, 1.08) for _ in range(5)]
