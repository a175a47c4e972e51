"""Messages per second: websocket echoes, the servers of all kinds in turn."""

from functools import partial

from . import websocket_client, websocket_load
from .cases import WEBSOCKET_CASES, WEBSOCKET_PEERS, WebSocketCase
from .contest import AnswersDiffer
from .load import Load
from .process import ServerProcess
from .stats import Row, Target
from .suite import Run, Suite, estimate_turns
from .throughput import Answers, compare

PATH = "/websocket"


def suites() -> list[Suite]:
    return [
        Suite(
            name=case.name,
            measure=partial(measure, case),
            estimate=_estimate,
            quick=case.quick,
            loops="first",  # Nine servers a case: they are compared on one loop.
        )
        for case in WEBSOCKET_CASES
    ]


def _estimate(run: Run) -> float:
    # lowlevel twice, and aiohttp.
    return estimate_turns(run, 3 + len(run.present(WEBSOCKET_PEERS)))


def measure(case: WebSocketCase, run: Run) -> list[Row]:
    """Rows beside aiohttp, without and with the C masker, and one for each peer that is here."""
    compared = rows(case, run)

    def load(server: ServerProcess, seconds: float) -> Load:
        return websocket_load.run(
            server.port,
            PATH,
            case.payload,
            in_flight=case.in_flight,
            connections=case.connections,
            seconds=seconds,
            core=run.cores.load,
        )

    compare(compared, partial(prove, case), load, run)
    return compared


def prove(case: WebSocketCase, server: ServerProcess) -> Answers:
    """Raises AnswersDiffer unless the server echoes the case's message in one frame."""
    try:
        with websocket_client.connect(server.port, PATH) as client:
            websocket_client.echo(client, case.payload)
            websocket_client.send_close(client)
    except OSError as error:
        raise AnswersDiffer(f"{server.name}: {error}") from error
    return {}


def rows(case: WebSocketCase, run: Run) -> list[Row]:
    def row(title: str, server: str, other: str, target: Target | None = None) -> Row:
        return Row(case.name, title, run.loop, other, "messages/s", target, server)

    return [
        row(case.title, "lowlevel_masker", "aiohttp", case.target),
        row(f"{case.title}, no masker", "lowlevel_no_masker", "aiohttp", case.target_no_masker),
        *(
            row(f"{case.title}, beside {peer}", "lowlevel_masker", peer)
            for peer in run.present(WEBSOCKET_PEERS)
        ),
    ]
