"""A wrapper of a handler that lets nobody in without Authorization: for one handler, or for all."""

import argparse

import lowlevel as web


def authorised(handler: web.Handler) -> web.Handler:
    async def inner(request: web.BaseRequest) -> web.StreamResponse:
        if "Authorization" not in request.headers:
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return inner


app, private = web.Application(), web.Application()
private.middleware(authorised)


@app.route("/")
async def index(request: web.BaseRequest) -> object:
    return "For everybody"


@app.route("/one")
@authorised
async def one(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="Welcome")


@private.route("/")
async def all_of_it(request: web.BaseRequest) -> object:
    return "Welcome to all of it"


app.mount("/private", private)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(app, **vars(parser.parse_args()))
