"""hypercorn with a bare ASGI application: no access log, nor the fields Date and Server."""

import asyncio

from hypercorn.asyncio import serve
from hypercorn.config import Config

from . import launch
from .asgi_app import application


async def main(options: launch.Options) -> None:
    listening = launch.bound(options)
    config = Config()
    config.bind = [f"fd://{listening.fileno()}"]
    config.backlog = launch.BACKLOG
    config.include_date_header = False
    config.include_server_header = False
    # It would close every connection after a thousand requests.
    config.keep_alive_max_requests = 1 << 62
    config.keep_alive_timeout = launch.KEEP_ALIVE_SECONDS
    config.graceful_timeout = 0
    config.loglevel = "ERROR"
    if options.tls is not None:
        config.certfile, config.keyfile = options.tls
    launch.announce(listening.getsockname()[1])
    await serve(application, config, shutdown_trigger=launch.told_to_stop)


if __name__ == "__main__":
    options = launch.parse()
    with asyncio.Runner(loop_factory=launch.loop_factory(options.loop)) as runner:
        runner.run(main(options))
