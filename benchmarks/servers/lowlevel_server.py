"""lowlevel, without an access log."""

import lowlevel as web

from . import launch
from .handlers import make_handler


def make_factory() -> launch.ProtocolFactory:
    return web.Server(make_handler(web), access_log=None)


if __name__ == "__main__":
    launch.main(make_factory)
