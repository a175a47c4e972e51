"""Middlewares as they were got status, headers, body and pushes; now they get a response, whatever was returned."""

import argparse
from collections.abc import AsyncIterable

import lowlevel as web

Reply = tuple[int, list[tuple[bytes, bytes]], AsyncIterable[bytes], None]
MESSAGE = web.RequestKey("message", str)


async def first(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
    request[MESSAGE] = "This is the first middleware. "
    response = await handler(request)
    response.headers["X-Status"] = str(response.status)
    return response


async def second(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
    request[MESSAGE] += "This is the second middleware."
    return await handler(request)


app = web.Application(middlewares=[first, second])


@app.route("/{path}")
async def show(request: web.BaseRequest) -> Reply:
    return 200, [(b"content-type", b"text/plain")], web.text_writer(request[MESSAGE]), None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(app, **vars(parser.parse_args()))
