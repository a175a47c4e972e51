"""What is asked of the servers, and what lowlevel should reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .servers import routes
from .stats import Target

SCRIPTS = Path(__file__).with_name("wrk")

# The peers that serve HTTP.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of load.

    name: what `--case` takes.
    script, arguments: the file in wrk/ that makes the requests, and what it is told; plain GETs
        without one.
    headers: fields of the requests besides Host and the script's.
    connections: how many wrk keeps open.
    beside: the servers measured in the same rounds, each with the ratio lowlevel should reach.
    peers: when HTTP_PEERS are measured, too.
    quick: whether the case belongs to the quick table.
    tls: whether the servers are asked by HTTPS.
    sample: a body, for the one request that proves that all servers answer alike.
    content_type: of that body.
    family, at: the line that this is a point of, and its place there.
    stretch: how many times as long as usual a turn is.
    settle: seconds until all connections are open, before the turn begins.
    """

    name: str
    title: str
    path: str
    script: str | None = None
    arguments: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    connections: int = 64
    beside: Mapping[str, Target | None] = field(default_factory=dict)
    peers: Literal["never", "full", "always"] = "never"
    quick: bool = False
    tls: bool = False
    sample: bytes | None = None
    content_type: str = "application/octet-stream"
    family: str = ""
    at: float | None = None
    stretch: float = 1.0
    settle: float = 0.0

    @property
    def script_file(self) -> Path | None:
        return SCRIPTS / self.script if self.script else None

    def compared(self, *, full: bool) -> Mapping[str, Target | None]:
        """The servers beside lowlevel, in the order of the report."""
        wanted = self.peers == "always" or (full and self.peers == "full")
        return {**self.beside, **(dict.fromkeys(HTTP_PEERS) if wanted else {})}


def _aiohttp(ratio: float) -> Mapping[str, Target | None]:
    return {"aiohttp": Target("at least", ratio)}


FORM = (
    b"name=Ada+Lovelace&email=ada%40example.org&street=12+St.+James%27s+Square&city=London"
    b"&postcode=SW1Y+4JH&country=GB&phone=%2B44+20+7930+0000&newsletter=on&amount=3"
    b"&comment=Please+ring+at+the+second+door%2C+thank+you%21"
)

CASES = (
    Case(
        name="plaintext",
        title="plaintext",
        path="/",
        beside={
            **_aiohttp(2.0),
            "floor_httptools": Target("at least", 0.75),
            "floor_asyncio": None,
        },
        peers="always",
        quick=True,
    ),
    Case(
        name="json",
        title="12 browser headers, JSON",
        path="/json?page=7&sort=name",
        script="browser.lua",
        beside=_aiohttp(1.8),
        peers="full",
        quick=True,
    ),
    Case(
        name="echo",
        title="POST 1 KiB echo",
        path="/echo",
        script="post.lua",
        arguments=("1024",),
        beside=_aiohttp(1.8),
        peers="full",
        quick=True,
        sample=b"x" * 1024,
    ),
    Case(
        name="pipelined",
        title="16 pipelined",
        path="/",
        script="pipelined.lua",
        arguments=("16",),
        beside=_aiohttp(2.5),
        quick=True,
    ),
    Case(
        name="close",
        title="new connection per request",
        path="/",
        script="close.lua",
        beside=_aiohttp(1.3),
        quick=True,
    ),
    Case(
        name="tls-plaintext",
        title="plaintext over TLS",
        path="/",
        beside={"aiohttp": None},
        peers="full",
        quick=True,
        tls=True,
    ),
    Case(
        name="tls-close",
        title="new TLS connection per request",
        path="/",
        script="close.lua",
        beside={"aiohttp": None},
        tls=True,
    ),
    Case(
        name="upload",
        title="1 MiB upload streamed",
        path="/upload",
        script="post.lua",
        arguments=(str(1024 * 1024),),
        connections=16,
        beside=_aiohttp(1.2),
        sample=b"x" * 1024 * 1024,
    ),
    Case(
        name="download",
        title="1 MiB download",
        path="/download",
        connections=16,
        beside=_aiohttp(1.2),
        quick=True,
    ),
    Case(
        name="stream",
        title="16 x 1 KiB streamed response",
        path="/stream",
        beside=_aiohttp(1.2),
    ),
    Case(
        name="file-64k",
        title="64 KiB file",
        path="/file-64k",
        beside=_aiohttp(1.3),
    ),
    Case(
        name="file-10m",
        title="10 MiB file",
        path="/file-10m",
        connections=8,
        beside=_aiohttp(1.0),
    ),
    Case(
        name="form",
        title="POST form, 10 fields",
        path="/form",
        script="form.lua",
        beside=_aiohttp(1.5),
        quick=True,
        sample=FORM,
        content_type="application/x-www-form-urlencoded",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketCase:
    """Binary messages that come back as they are, not compressed.

    size: of a message, in bytes.
    in_flight: messages on their way on each of the connections.
    target: the ratio to aiohttp with the C masker; target_no_masker: without.
    quick: whether the case belongs to the quick table.
    """

    name: str
    title: str
    size: int
    in_flight: int = 1
    connections: int = 16
    target: Target | None = None
    target_no_masker: Target | None = None
    quick: bool = False

    @property
    def payload(self) -> bytes:
        return bytes(range(256)) * (self.size // 256) + bytes(range(self.size % 256))


WEBSOCKET_CASES = (
    WebSocketCase(
        name="websocket-64",
        title="websocket 64 B",
        size=64,
        quick=True,
        target=Target("at least", 1.05),
        target_no_masker=Target("at least", 1.05),
    ),
    WebSocketCase(
        name="websocket-64x16",
        title="websocket 64 B, 16 in flight",
        size=64,
        in_flight=16,
        target=Target("at least", 1.25),
        target_no_masker=Target("at least", 1.25),
    ),
    WebSocketCase(
        name="websocket-4k",
        title="websocket 4 KiB",
        size=4 * 1024,
        target=Target("at least", 1.0),
        target_no_masker=Target("at least", 0.9),
    ),
    WebSocketCase(
        name="websocket-64k",
        title="websocket 64 KiB",
        size=64 * 1024,
        target=Target("at least", 1.0),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MultipartCase:
    """One file in a form, uploaded again and again over one connection.

    size: of the file, in bytes; a multiple of 1 MiB.
    target: the ratio to aiohttp.
    memory_name, memory_target: of the row that weighs what one upload takes meanwhile.
    """

    name: str
    title: str
    size: int
    target: Target
    memory_name: str
    memory_target: Target


MULTIPART = MultipartCase(
    name="multipart-64m",
    title="64 MiB file in a form",
    size=64 * 1024 * 1024,
    target=Target("at least", 1.2),
    memory_name="multipart-memory",
    memory_target=Target("at most", 4.0, on="value", unit="MiB"),
)

# The servers beside lowlevel and aiohttp.
WEBSOCKET_PEERS = (
    "websockets",
    "picows",
    "uvicorn",
    "granian-rsgi",
    "socketify",
    "floor_websocket",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two servers of one case, and the ratio the first should reach.

    parts: how many like parts it has more than the other, where it is their cost that counts.
    """

    title: str
    server: str
    other: str
    target: Target | None = None
    parts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolkitCase:
    """GETs of the paths in turn, and which servers are compared by them.

    quick: whether the case belongs to the quick table.
    """

    name: str
    paths: Sequence[str]
    compared: Sequence[Comparison]
    connections: int = 64
    quick: bool = False


# The applications that lowlevel's toolkit is measured beside.
TOOLKIT_PEERS = ("bareASGI", "asgi-tools", "Starlette")


def _router_cost(name: str, title: str, path: str) -> ToolkitCase:
    """What routing adds to a request, of which it may be 15 %."""
    return ToolkitCase(
        name=name,
        paths=(path,),
        compared=(
            Comparison(
                title=title,
                server="lowlevel_router",
                other="lowlevel_bare",
                target=Target("at least", 0.87),
                parts=1,
            ),
        ),
    )


TOOLKIT_CASES = (
    ToolkitCase(
        name="toolkit-routes",
        quick=True,
        paths=routes.PATHS,
        compared=[
            Comparison(
                title=f"20 routes, {what}, beside {peer}",
                server=server,
                other=peer,
                target=Target("at least", 1.6),
            )
            for what, server in (
                ("Router", "lowlevel_router"),
                ("Application", "lowlevel_application"),
            )
            for peer in TOOLKIT_PEERS
        ],
    ),
    _router_cost("toolkit-static", "Router, static path", routes.STATIC_PATH),
    _router_cost("toolkit-variable", "Router, path with a variable", routes.VARIABLE_PATH),
    ToolkitCase(
        name="toolkit-middlewares",
        paths=(routes.STATIC_PATH,),
        compared=(
            Comparison(
                title="10 middlewares",
                server="lowlevel_middlewares",
                other="lowlevel_bare",
                # Each may add 3 % to the request: 1 / 1.3.
                target=Target("at least", 0.77),
                parts=10,
            ),
        ),
    ),
    ToolkitCase(
        name="toolkit-many-routes",
        paths=(routes.VARIABLE_PATH,),
        compared=(
            Comparison(
                title="1,000 routes beside 10",
                server="lowlevel_many_routes",
                other="lowlevel_router",
                target=Target("at least", 0.95),
            ),
        ),
    ),
)

MEMORY_TARGET = Target("at most", 5.0, on="value", unit="KiB")
WEBSOCKET_MEMORY_TARGET = Target("at most", 6.0, on="value", unit="KiB")
IMPORT_TARGET = Target("at most", 0.5)
