"""One source of events for all who listen: a task makes them, a queue for each listener keeps them."""

import argparse
import asyncio
import contextlib
import itertools

import lowlevel as web

app = web.Application()
listeners: set[asyncio.Queue[int]] = set()


async def tick() -> None:
    for number in itertools.count(1):
        for listener in listeners:
            with contextlib.suppress(asyncio.QueueFull):  # who does not keep up misses some
                listener.put_nowait(number)
        await asyncio.sleep(0.05)


@app.on_startup
async def start(app: web.Application) -> None:
    app["ticker"] = asyncio.create_task(tick())


@app.on_shutdown
async def stop(app: web.Application) -> None:
    app["ticker"].cancel()


@app.route("/events", methods="GET")
async def events(request: web.BaseRequest) -> web.StreamResponse:
    listener: asyncio.Queue[int] = asyncio.Queue(100)
    listeners.add(listener)
    try:
        async with web.EventSourceResponse(request) as response:
            while True:
                await response.send(f"tick {await listener.get()}")
    finally:
        listeners.remove(listener)
    return response


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(app, **vars(parser.parse_args()))
