"""Responses of 1 KiB and more are compressed, in what coding the client likes best."""

import argparse
from pathlib import Path

import lowlevel as web

app = web.Application(middlewares=[web.compression(minimum_size=1024)])
TEXT = Path(__file__).read_text("utf-8")


@app.route("/small", methods="GET")
async def small(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=TEXT[:100])


@app.route("/{rest:path}", methods="GET")
async def large(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=TEXT * 10)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(app, **vars(parser.parse_args()))
