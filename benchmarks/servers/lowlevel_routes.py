"""The handlers of the routes in lowlevel."""

import lowlevel as web

from .routes import STATIC, VARIABLE


def answering(text: str) -> web.Handler:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=text)

    return handler


async def named(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=request.match_info["name"])


def add_routes(router: web.Router) -> None:
    for path, text in STATIC.items():
        router.add_get(path, answering(text))
    for path in VARIABLE:
        router.add_get(path, named)
