"""Start and finish around a handler that is served without an application."""

import argparse

import lowlevel as web

lifespan = web.Lifespan()
state = {"started": False}


@lifespan.on_startup
async def start() -> None:
    state["started"] = True
    print("Started", flush=True)


@lifespan.on_shutdown
def finish() -> None:
    print("Finished", flush=True)


async def handler(request: web.BaseRequest) -> web.StreamResponse:
    return web.json_response(state)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(handler, lifespan=lifespan, **vars(parser.parse_args()))
