"""lowlevel with a Router."""

import lowlevel as web

from . import launch
from .lowlevel_routes import add_routes


def make_factory() -> launch.ProtocolFactory:
    router = web.Router()
    add_routes(router)
    return web.Server(router, access_log=None)


if __name__ == "__main__":
    launch.main(make_factory)
