"""Messages per second: websocket echoes, the servers of all kinds in turn."""

from collections.abc import Callable, Sequence

from . import websocket_client, websocket_load
from .cases import WEBSOCKET_PEERS, WebSocketCase
from .cores import Cores
from .load import Load
from .process import ServerProcess, missing
from .stats import Row, Target
from .throughput import AnswersDiffer, Servers, compare

PATH = "/websocket"


def measure(
    case: WebSocketCase,
    loop: str,
    *,
    rounds: int,
    seconds: float,
    cores: Cores,
    progress: Callable[[str], None],
) -> list[Row]:
    """Rows beside aiohttp, without and with the C masker, and one for each peer installed."""
    compared = rows(case, loop)

    def load(server: ServerProcess, seconds: float) -> Load:
        return websocket_load.run(
            server.port,
            PATH,
            case.payload,
            in_flight=case.in_flight,
            connections=case.connections,
            seconds=seconds,
            core=cores.load,
        )

    def proof(servers: Servers) -> None:
        prove(case, servers)

    compare(compared, proof, load, rounds=rounds, seconds=seconds, cores=cores, progress=progress)
    return compared


def missing_peers() -> Sequence[str]:
    """The peers that are not installed here."""
    return missing(WEBSOCKET_PEERS)


def prove(case: WebSocketCase, servers: Servers) -> None:
    """Raises AnswersDiffer unless every server echoes the case's message in one frame."""
    for server in servers.values():
        try:
            with websocket_client.connect(server.port, PATH) as client:
                websocket_client.echo(client, case.payload)
                websocket_client.send_close(client)
        except OSError as error:
            raise AnswersDiffer(f"{server.name}: {error}\n{server.complaints}") from error


def rows(case: WebSocketCase, loop: str) -> list[Row]:
    def row(title: str, server: str, other: str, target: Target | None = None) -> Row:
        return Row(case.name, title, loop, other, "messages/s", target, server)

    left_out = missing_peers()
    return [
        row(case.title, "lowlevel_masker", "aiohttp", case.target),
        row(f"{case.title}, no masker", "lowlevel_no_masker", "aiohttp", case.target_no_masker),
        *(
            row(f"{case.title}, beside {peer}", "lowlevel_masker", peer)
            for peer in WEBSOCKET_PEERS
            if peer not in left_out
        ),
    ]
