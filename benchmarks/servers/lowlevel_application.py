"""lowlevel with an Application, which also has error handlers and coerces what handlers return."""

import lowlevel as web

from . import launch
from .lowlevel_routes import add_routes


def make_factory() -> launch.ProtocolFactory:
    application = web.Application()
    add_routes(application.router)
    return web.Server(application, access_log=None)


if __name__ == "__main__":
    launch.main(make_factory)
