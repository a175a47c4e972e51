"""granian with one worker, which it runs as a process of its own below the first.

One thread of its runtime (mode "st") takes a little less time per request than more (mode "mt"), on
the one core that the servers have here. Nothing else that it offers changed anything.
"""

from pathlib import Path

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes

from . import launch


def main(application: str, interface: Interfaces) -> None:
    """Serve `MODULE:NAME` as `launch.main` does."""
    options = launch.parse()
    port = launch.free_port(options)
    certificate, key = map(Path, options.tls) if options.tls else (None, None)
    server = Granian(
        application,
        address=launch.HOST,
        port=port,
        interface=interface,
        workers=1,
        runtime_mode=RuntimeModes.st,
        loop=Loops(options.loop),
        http=HTTPModes.http1,
        backlog=launch.BACKLOG,
        # By default it serves no more connections at once than the backlog has room for.
        backpressure=launch.CONNECTIONS,
        log_enabled=False,
        ssl_cert=certificate,
        ssl_key=key,
    )
    launch.announce_when_it_answers(port, tls=options.tls is not None)
    server.serve()
