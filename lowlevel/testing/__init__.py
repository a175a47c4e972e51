"""For the tests of programs: a server on a free port, a client that keeps cookies, a peer that sends any bytes.

TestServer serves a handler on a real socket, TestClient asks it through aiohttp's client, Peer sends and reads
bytes. The fixtures ``lowlevel_server`` and ``lowlevel_client`` of the pytest plugin open the first two for a test.
"""

from __future__ import annotations

import importlib
import typing

if typing.TYPE_CHECKING:
    from .client import ClientOptions, RequestOptions, TestClient, WebSocketConnectOptions
    from .peer import Answer, Peer, PeerOptions, request_bytes
    from .plugin import ClientFactory, ServerFactory
    from .server import ServingOptions, TestServer

__all__ = (
    "Answer",
    "ClientFactory",
    "ClientOptions",
    "Peer",
    "PeerOptions",
    "RequestOptions",
    "ServerFactory",
    "ServingOptions",
    "TestClient",
    "TestServer",
    "WebSocketConnectOptions",
    "request_bytes",
)

# Who sends bytes needs no aiohttp, and only the plugin needs pytest.
_LATER = {
    "Answer": ".peer",
    "ClientFactory": ".plugin",
    "ClientOptions": ".client",
    "Peer": ".peer",
    "PeerOptions": ".peer",
    "RequestOptions": ".client",
    "ServerFactory": ".plugin",
    "ServingOptions": ".server",
    "TestClient": ".client",
    "TestServer": ".server",
    "WebSocketConnectOptions": ".client",
    "request_bytes": ".peer",
}


def __getattr__(name: str) -> typing.Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_LATER[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
