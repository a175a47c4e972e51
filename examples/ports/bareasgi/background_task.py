"""A task beside the requests: begun before the first one, ended after the last."""

import argparse
import asyncio
import contextlib

import lowlevel as web

app = web.Application(info={"ticks": 0})


async def tick() -> None:
    while True:
        await asyncio.sleep(0.01)
        app["ticks"] += 1


@app.on_startup
async def start(app: web.Application) -> None:
    app["ticker"] = asyncio.create_task(tick())


@app.on_shutdown
async def stop(app: web.Application) -> None:
    app["ticker"].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await app["ticker"]
    print("The ticker has stopped", flush=True)


@app.route("/{rest:path}", methods="GET")
async def ticks(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=f"{request.app['ticks']} ticks")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(app, **vars(parser.parse_args()))
