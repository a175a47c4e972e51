"""lowlevel with the handler of one route, and no router: what the others are measured against."""

import lowlevel as web

from . import launch
from .lowlevel_routes import answering
from .routes import ANSWER


def make_factory() -> launch.ProtocolFactory:
    return web.Server(answering(ANSWER), access_log=None)


if __name__ == "__main__":
    launch.main(make_factory)
