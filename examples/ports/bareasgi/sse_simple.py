"""Server-sent events, and a page that shows them."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import lowlevel as web

PAGE = """<!doctype html>
<title>Server-sent events</title>
<p>Time: <time></time></p>
<script>
  new EventSource("/events").onmessage = event => {
    document.querySelector("time").textContent = event.data;
  };
</script>
"""
router = web.Router()


@router.get("/")
async def index(request: web.BaseRequest) -> web.StreamResponse:
    raise web.HTTPSeeOther("/test")


@router.get("/test")
async def page(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=PAGE, content_type="text/html")


@router.get("/events")
async def events(request: web.BaseRequest) -> web.StreamResponse:
    return web.EventSourceResponse(times())


async def times() -> AsyncIterator[dict[str, object]]:
    while True:
        yield {"data": datetime.now().astimezone().isoformat()}
        await asyncio.sleep(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(router, **vars(parser.parse_args()))
