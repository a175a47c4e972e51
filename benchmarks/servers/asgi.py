"""ASGI applications under uvicorn, with what makes it fastest.

Its parser is httptools. It has no access log, no look at proxies' headers, no lifespan. The loop is
that of all servers here.
"""

from functools import partial
from typing import Any

from uvicorn import Config
from uvicorn.server import ServerState

from . import launch


def serve(application: Any) -> None:
    """Serve the application, HTTP alone, as `launch.main` does."""
    launch.main(lambda: protocol_factory(_config(application)))


def protocol_factory(config: Config) -> launch.ProtocolFactory:
    config.load()
    # As uvicorn's own server makes them; it declares them as any protocol.
    protocol_class: Any = config.http_protocol_class
    return partial(protocol_class, config=config, server_state=ServerState(), app_state={})


def _config(application: Any) -> Config:
    return Config(
        application,
        http="httptools",
        ws="none",
        access_log=False,
        log_level="error",
        proxy_headers=False,
        lifespan="off",
    )
