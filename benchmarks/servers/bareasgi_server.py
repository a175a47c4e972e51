"""bareASGI. It derives no Content-Length, but for it uvicorn would have to send chunks."""

from collections.abc import Awaitable, Callable

from bareasgi import Application, HttpRequest, HttpResponse, bytes_writer

from . import asgi
from .routes import CONTENT_TYPE, STATIC, VARIABLE


def respond(text: str) -> HttpResponse:
    body = text.encode()
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
    ]
    return HttpResponse(200, headers, bytes_writer(body))


def answering(text: str) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
    async def handler(request: HttpRequest) -> HttpResponse:
        return respond(text)

    return handler


async def named(request: HttpRequest) -> HttpResponse:
    return respond(request.matches["name"])


if __name__ == "__main__":
    application = Application()
    for path, text in STATIC.items():
        application.http_router.add({"GET"}, path, answering(text))
    for path in VARIABLE:
        application.http_router.add({"GET"}, path, named)
    asgi.serve(application)
