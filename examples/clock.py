"""A clock by server-sent events. Run it, then open http://127.0.0.1:8080/"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import lowlevel as web

PAGE = Path(__file__).with_suffix(".html")
router = web.Router()


@router.get("/")
async def page(request: web.BaseRequest) -> web.StreamResponse:
    return web.FileResponse(PAGE)


@router.get("/time")
async def now(request: web.BaseRequest) -> web.StreamResponse:
    return web.EventSourceResponse(ticks())


async def ticks() -> AsyncIterator[dict[str, object]]:
    """Tell the seconds since 1970 as each of them begins; whoever has left is told no more."""
    while True:
        yield {"event": "tick", "data": round(time.time())}
        await asyncio.sleep(1 - time.time() % 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    web.run_app(router, **vars(parser.parse_args()))
