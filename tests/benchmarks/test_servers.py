"""Every measured program answers as the shared handler does, over TLS too, where it is installed."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

import pytest

from benchmarks import websocket_client
from benchmarks.cores import choose
from benchmarks.process import PROGRAMS, ServerProcess, missing
from benchmarks.servers import answers
from tests.benchmarks.running import on_linux

pytestmark = on_linux

HTTP_PEERS = (
    "uvicorn",
    "granian-rsgi",
    "granian-asgi",
    "hypercorn",
    "sanic",
    "blacksheep",
    "tornado",
    "socketify",
)
BROADCASTERS = (
    "lowlevel",
    "aiohttp",
    "uvicorn",
    "granian-rsgi",
    "websockets",
    "picows",
    "socketify",
)
FLOORS = ("floor_asyncio", "floor_httptools")
# Those that are compared on asyncio's own loop, too.
ON_BOTH_LOOPS = ("lowlevel", "aiohttp", *FLOORS, "floor_websocket")
TEXT = 0x81

MIB = 1024 * 1024
# Path, body of a POST, type and body of the answer. The larger bodies come in many pieces.
EXCHANGES: list[tuple[str, bytes | None, str, bytes]] = [
    ("/", None, answers.TEXT_TYPE, b"Hello, world!"),
    (
        "/json?page=7&sort=name",
        None,
        answers.JSON_TYPE,
        b'{"agent": "prove/1.0", "language": "en", "page": "7"}',
    ),
    ("/json", None, answers.JSON_TYPE, b'{"agent": "prove/1.0", "language": "en", "page": null}'),
    ("/echo", b"x" * 1024, answers.BYTES_TYPE, b"x" * 1024),
    ("/echo", b"xy" * 300_000, answers.BYTES_TYPE, b"xy" * 300_000),
    ("/upload", b"", answers.TEXT_TYPE, b"0"),
    ("/upload", b"x" * 16 * MIB, answers.TEXT_TYPE, b"16777216"),
    ("/bytes/0", None, answers.BYTES_TYPE, b""),
    ("/bytes/1024", None, answers.BYTES_TYPE, bytes(1024)),
    ("/bytes/16777216", None, answers.BYTES_TYPE, bytes(16 * MIB)),
]


@contextmanager
def started(name: str, loop: str = "uvloop", **options: object) -> Iterator[ServerProcess]:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    if name in (reasons := missing([name])):
        pytest.skip(f"{name}: {reasons[name]}")
    with ServerProcess(name, loop, choose().server, **options) as server:  # type: ignore[arg-type]
        yield server


def exchange(
    client: HTTPConnection, path: str, body: bytes | None
) -> tuple[int, str | None, bytes]:
    method = "GET" if body is None else "POST"
    headers = {"User-Agent": "prove/1.0", "Accept-Language": "en"}
    if body is not None:
        headers["Content-Type"] = answers.BYTES_TYPE
    client.request(method, path, body=body, headers=headers)
    response = client.getresponse()
    return response.status, response.headers["Content-Type"], response.read()


@pytest.mark.parametrize("name", ["lowlevel", "aiohttp", *HTTP_PEERS])
def test_each_path_has_its_answer(name: str) -> None:
    with (
        started(name) as server,
        # One connection: none of the servers closes it in between.
        closing(HTTPConnection("127.0.0.1", server.port, timeout=10)) as client,
    ):
        client.auto_open = 0
        client.connect()
        for path, body, content_type, answer in EXCHANGES:
            given = exchange(client, path, body)
            assert given[:2] == (200, content_type), path
            assert given[2] == answer, path


@pytest.mark.parametrize("name", ["lowlevel", "aiohttp", *HTTP_PEERS, *FLOORS])
def test_https_is_served(name: str, certificate: Path, trusting: ssl.SSLContext) -> None:
    tls = (certificate, certificate)
    with (
        started(name, tls=tls) as server,
        closing(HTTPSConnection("127.0.0.1", server.port, timeout=10, context=trusting)) as client,
    ):
        assert exchange(client, "/", None) == (200, answers.TEXT_TYPE, answers.HELLO)
        # All of them the same: what is compared is not the ciphers.
        assert client.sock.version() == "TLSv1.3"
        assert client.sock.cipher()[0] == "TLS_AES_256_GCM_SHA384"


@pytest.fixture(scope="module")
def authority() -> object:
    trustme = pytest.importorskip("trustme")
    return trustme.CA()


@pytest.fixture
def certificate(authority: object, tmp_path: Path) -> Path:
    """One file with both, as it may be."""
    file = tmp_path / "certificate.pem"
    issued = authority.issue_cert("127.0.0.1")  # type: ignore[attr-defined]
    issued.private_key_and_cert_chain_pem.write_to_path(str(file))
    return file


@pytest.fixture
def trusting(authority: object) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)  # type: ignore[attr-defined]
    return context


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("name", ON_BOTH_LOOPS)
def test_those_that_are_compared_on_both_loops_start_on_both(name: str, loop: str) -> None:
    with started(name, loop) as server:
        socket.create_connection(("127.0.0.1", server.port), timeout=10).close()


@pytest.mark.parametrize("name", BROADCASTERS)
def test_a_message_goes_to_all_that_are_still_there(name: str) -> None:
    with started(name) as server, ExitStack() as opened:

        def connect() -> socket.socket:
            client = websocket_client.connect(server.port, answers.BROADCAST)
            return opened.enter_context(client)

        members = [connect() for _ in range(5)]
        say_go(members[0])
        assert [websocket_client.read_frame(each) for each in members] == [message()] * 5
        leave(members.pop())
        say_go(members[3])
        assert [websocket_client.read_frame(each) for each in members] == [message()] * 4


def say_go(client: socket.socket) -> None:
    client.sendall(websocket_client.frame(answers.GO.encode(), first=TEXT))


def message() -> tuple[int, bytes]:
    return websocket_client.BINARY, answers.MESSAGE


def leave(client: socket.socket) -> None:
    websocket_client.send_close(client)
    first, _ = websocket_client.read_frame(client)
    assert first == websocket_client.CLOSE
    assert client.recv(1) == b""


def test_a_path_that_nobody_knows_is_an_error() -> None:
    assert answers.size_in("/bytes/1024") == 1024
    for path in ("/none", "/bytes", "/"):
        with pytest.raises(LookupError):
            answers.size_in(path)


def test_all_programs_are_tried_here_or_elsewhere() -> None:
    # The variants of lowlevel and the applications of the toolkit have tests of their own.
    here = {"lowlevel", "aiohttp", *HTTP_PEERS, *BROADCASTERS, *ON_BOTH_LOOPS}
    toolkit = {"bareASGI", "asgi-tools", "Starlette"}
    assert {name for name in PROGRAMS if not name.startswith("lowlevel_")} - here == toolkit
