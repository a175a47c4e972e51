"""What is done before the first request and after the last one, registered by decorators."""

import argparse

import lowlevel as web

app = web.Application()


@app.on_startup
async def start(app: web.Application) -> None:
    print("Starting up", flush=True)


@app.on_shutdown
async def stop(app: web.Application) -> None:
    print("Shutting down", flush=True)


@app.route("/{rest:path}", methods="GET")
async def test(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="This is not a test")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(app, **vars(parser.parse_args()))
