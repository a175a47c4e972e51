"""A body that is made while it is sent, by a generator; also by one that is not called yet."""

import argparse
import asyncio
from collections.abc import AsyncIterator

import lowlevel as web

router = web.Router()


async def numbers() -> AsyncIterator[bytes]:
    try:
        for number in range(10):
            yield b"%d" % number
            await asyncio.sleep(0.05)
    finally:
        print("The stream is over", flush=True)


@router.get("/generator")
async def generator(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=numbers(), content_type="plain/text")


@router.get("/function")
async def function(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=numbers, content_type="plain/text")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(router, **vars(parser.parse_args()))
