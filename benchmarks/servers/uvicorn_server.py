"""uvicorn with a bare ASGI application: no compression, no pings, no access log.

Of its websocket implementations "websockets-sansio" is the fastest: 1.3 to 2 times the others.
"""

from uvicorn import Config

from . import asgi, launch
from .asgi_app import application


def make_factory() -> launch.ProtocolFactory:
    config = Config(
        application,
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        access_log=False,
        log_level="error",
        proxy_headers=False,
        lifespan="off",
        timeout_keep_alive=launch.KEEP_ALIVE_SECONDS,
    )
    return asgi.protocol_factory(config)


if __name__ == "__main__":
    launch.main(make_factory)
