"""Middlewares for all handlers: the first is the outermost, and what they tell each other is in the request."""

import argparse

import lowlevel as web

MESSAGE = web.RequestKey("message", str)


async def first(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
    request[MESSAGE] = "This is the first middleware. "
    return await handler(request)


async def second(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
    request[MESSAGE] += "This is the second middleware."
    return await handler(request)


app = web.Application(middlewares=[first, second])


@app.route("/{path}")
async def show(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=request[MESSAGE])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(app, **vars(parser.parse_args()))
