"""Lines of JSON, one after another, for a page that reads a response while it comes."""

import argparse
import asyncio
import itertools
import json
from collections.abc import AsyncIterator

import lowlevel as web

router = web.Router()


@router.post("/events")
async def events(request: web.BaseRequest) -> web.StreamResponse:
    message = (await request.json())["message"]
    return web.Response(body=ticks(message), content_type="application/x-ndjson")


async def ticks(message: str) -> AsyncIterator[bytes]:
    for number in itertools.count(1):
        yield json.dumps({"type": "tick", "number": number, "message": message}).encode() + b"\n"
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(router, **vars(parser.parse_args()))
