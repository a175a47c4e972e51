"""Middlewares: they see every response, also of errors; what they raise themselves is nobody's to handle."""

import argparse

import lowlevel as web

app = web.Application()


@app.middleware
async def sign(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
    response = await handler(request)
    response.headers["X-Agent"] = "SimpleX"
    return response


@app.middleware
async def break_down(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
    if request.path == "/broken":
        raise ValueError("a middleware is outside of the error handlers")
    return await handler(request)


@app.on_error(ValueError)
async def value_error(request: web.BaseRequest, error: ValueError) -> object:
    return 400, f"Wrong: {error}"


@app.route("/", methods="GET")
async def index(request: web.BaseRequest) -> object:
    return "OK"


@app.route("/wrong")
async def wrong(request: web.BaseRequest) -> object:
    raise ValueError("a handler is inside")


@app.route("/forbidden")
async def forbidden(request: web.BaseRequest) -> object:
    raise web.HTTPForbidden()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(app, **vars(parser.parse_args()))
