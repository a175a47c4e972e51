"""asgi-tools with its App, whose router is compiled."""

from collections.abc import Awaitable, Callable

from asgi_tools import App, Request, ResponseText

from . import asgi
from .routes import STATIC, VARIABLE


def answering(text: str) -> Callable[[Request], Awaitable[ResponseText]]:
    async def handler(request: Request) -> ResponseText:
        return ResponseText(text)

    return handler


async def named(request: Request) -> ResponseText:
    return ResponseText(request.path_params["name"])


if __name__ == "__main__":
    application = App()
    for path, text in STATIC.items():
        application.route(path, methods="GET")(answering(text))
    application.route(*VARIABLE, methods="GET")(named)
    asgi.serve(application)
