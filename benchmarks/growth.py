"""How the rate changes as one thing grows: one case of wrk for each point of each family.

A server that its limits keep from a point (it answers 413 or 431, or closes) has no row there, and is
named among those left out.
"""

import http.client
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from . import throughput
from .cases import Case
from .contest import AnswersDiffer
from .process import ServerFailed, ServerProcess
from .stats import Row, Target
from .suite import Run, Suite

PEERS: Mapping[str, Target | None] = dict.fromkeys(
    ("aiohttp", "uvicorn", "granian-rsgi", "socketify")
)
# The floor knows one answer alone, and no body that it would have to look at.
WITH_FLOOR: Mapping[str, Target | None] = {**PEERS, "floor_httptools": None}
KIB, MIB = 1024, 1024 * 1024

CONNECTIONS = (1, 10, 100, 1000, 10_000)
HEADERS = (1, 10, 25, 50, 100)
BODIES = (0, KIB, 16 * KIB, 256 * KIB, MIB, 16 * MIB)
DEPTHS = (1, 4, 16, 64)

# Of bodies as long as these, what is cut off at the end of a turn must be few.
FEW_CONNECTIONS = 8
# A second is a few dozen bodies of 16 MiB.
LONG = 2.0


def suites() -> list[Suite]:
    return [
        Suite(
            name=case.name,
            measure=partial(measure, case),
            estimate=partial(_estimate, case),
            loops="first",
        )
        for case in CASES
    ]


def fewer(run: Run) -> Run:
    """Three rounds for five of the other cases: a line of many points shows its own noise."""
    return replace(run, rounds=max(1, run.rounds * 3 // 5))


def _estimate(case: Case, run: Run) -> float:
    return throughput.estimate(case, fewer(run))


def measure(case: Case, run: Run) -> list[Row]:
    """One row for each server that takes the point's requests."""
    refused: dict[str, str] = {}

    def proof(server: ServerProcess) -> throughput.Answers:
        try:
            return throughput.answers(case, server)
        except ServerFailed:
            raise
        except (AnswersDiffer, OSError, http.client.HTTPException) as error:
            if server.name != "lowlevel":
                refused[server.name] = _why(error)
            raise

    rows = throughput.measure(case, fewer(run), proof=proof)
    for name, why in refused.items():
        run.left_out[f"{name} at {case.title}"] = why
    return [row for row in rows if row.other not in refused]


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {throughput.ANSWER_SECONDS:g} s"
    return str(error) or type(error).__name__


def _connections(count: int) -> Case:
    return Case(
        name=f"growth-connections-{count}",
        title=f"{count:,} connection{'s' if count > 1 else ''}",
        path="/",
        # All points are counted in the one way that the last of them needs.
        script="steady.lua",
        arguments=(f"{_settle(count):g}",),
        settle=_settle(count),
        connections=count,
        beside=WITH_FLOOR,
        family="connections",
        at=count,
    )


def _settle(connections: int) -> float:
    """Seconds until all connections are open: a burst of SYNs overflows the queue of a listener.

    Those that were dropped are sent again after a second, by some kernels after two more.
    """
    return 0.2 if connections <= 1000 else 4.0


def _headers(count: int) -> Case:
    return Case(
        name=f"growth-headers-{count}",
        title=f"{count} header{'s' if count > 1 else ''}",
        path="/",
        headers=fields(count - 1),
        beside=WITH_FLOOR,
        family="headers",
        at=count,
    )


def fields(count: int) -> Mapping[str, str]:
    """So many fields of a request, of names and sizes like those of a service among others."""
    return {f"X-Service-{number:03}": f"value-{number:03}-of-24-octets" for number in range(count)}


def _response_body(size: int) -> Case:
    return _body("response", size, f"/bytes/{size}")


def _request_body(size: int) -> Case:
    case = _body("request", size, "/upload")
    return replace(case, script="post.lua", arguments=(str(size),), sample=bytes(size))


def _body(direction: str, size: int, path: str) -> Case:
    return Case(
        name=f"growth-{direction}-{size}",
        title=f"{direction} body of {_amount(size)}",
        path=path,
        connections=FEW_CONNECTIONS if size >= MIB else 64,
        beside=PEERS,
        family=f"{direction} body",
        at=size,
        stretch=LONG if size >= MIB else 1,
    )


def _pipelining(depth: int) -> Case:
    return Case(
        name=f"growth-pipelining-{depth}",
        title=f"{depth} pipelined",
        path="/",
        script="pipelined.lua",
        arguments=(str(depth),),
        beside=WITH_FLOOR,
        family="pipelining",
        at=depth,
    )


def _amount(size: int) -> str:
    if size >= MIB:
        return f"{size // MIB} MiB"
    return f"{size // KIB} KiB" if size >= KIB else f"{size} bytes"


CASES: Sequence[Case] = (
    *map(_connections, CONNECTIONS),
    *map(_headers, HEADERS),
    *map(_response_body, BODIES),
    *map(_request_body, BODIES),
    *map(_pipelining, DEPTHS),
)
