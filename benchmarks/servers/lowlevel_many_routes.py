"""lowlevel with a Router of 1,000 routes with a variable; the ten that are asked for come last."""

import lowlevel as web

from . import launch
from .lowlevel_routes import add_routes, named
from .routes import VARIABLE

ROUTES = 1000


def make_router() -> web.Router:
    router = web.Router()
    for number in range(ROUTES - len(VARIABLE)):
        router.add_get(f"/resource-{number}/{{name}}", named)
    add_routes(router)
    return router


def make_factory() -> launch.ProtocolFactory:
    return web.Server(make_router(), access_log=None)


if __name__ == "__main__":
    launch.main(make_factory)
