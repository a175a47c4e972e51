"""Starlette with functions as endpoints."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from . import asgi
from .routes import STATIC, VARIABLE


def answering(text: str) -> Callable[[Request], Awaitable[PlainTextResponse]]:
    async def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse(text)

    return endpoint


async def named(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.path_params["name"])


if __name__ == "__main__":
    routes = [Route(path, answering(text)) for path, text in STATIC.items()]
    routes += [Route(path, named) for path in VARIABLE]
    asgi.serve(Starlette(routes=routes))
