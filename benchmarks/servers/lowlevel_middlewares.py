"""The handler of `lowlevel_bare` inside ten middlewares that only pass on."""

import lowlevel as web

from . import launch
from .lowlevel_routes import answering
from .routes import ANSWER

MIDDLEWARES = 10


def pass_through() -> web.Middleware:
    async def middleware(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
        return await handler(request)

    return middleware


def make_factory() -> launch.ProtocolFactory:
    middlewares = [pass_through() for _ in range(MIDDLEWARES)]
    return web.Server(web.compose(answering(ANSWER), *middlewares), access_log=None)


if __name__ == "__main__":
    launch.main(make_factory)
