"""Middlewares for one handler: a chain of them is a handler again."""

import argparse

import lowlevel as web

MESSAGE = web.RequestKey("message", str)


async def first(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
    request[MESSAGE] = "This is the first middleware. "
    return await handler(request)


async def second(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
    request[MESSAGE] += "This is the second middleware."
    return await handler(request)


async def show(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=request.get(MESSAGE, "There was no middleware."))


router = web.Router()
router.add_get("/with", web.compose(show, first, second))
router.add_get("/without", show)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(router, **vars(parser.parse_args()))
