"""The first example: what a handler returns becomes a response."""

import argparse

import lowlevel as web

app = web.Application()


@app.route("/")
async def hello(request: web.BaseRequest) -> str:
    return "<p>Hello, World!</p>"


@app.route("/{path:path}")
async def seen(request: web.BaseRequest) -> str:
    return f"{request.method} {request.path}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(app, **vars(parser.parse_args()))
