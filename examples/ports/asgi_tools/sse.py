"""Server-sent events, as text and as mappings, and a page that shows them."""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator

import lowlevel as web

PAGE = """<!doctype html>
<title>Server-sent events</title>
<button>Disconnect</button>
<ul></ul>
<script>
  const source = new EventSource("/sse"), list = document.querySelector("ul");
  const add = text => list.append(Object.assign(document.createElement("li"), {textContent: text}));
  source.onmessage = event => add(`message: ${event.data}`);
  source.addEventListener("ping", event => add(`ping: ${event.data}`));
  document.querySelector("button").onclick = () => {
    source.close();
    add("Disconnected");
  };
</script>
"""
app = web.Application()


@app.route("/")
async def index(request: web.BaseRequest) -> str:
    return PAGE


@app.route("/sse")
async def events(request: web.BaseRequest) -> web.StreamResponse:
    return web.EventSourceResponse(stream)


async def stream() -> AsyncIterator[str | dict[str, object]]:
    yield "data: start stream"
    for _ in range(20):
        yield {"event": "ping", "data": time.time()}
        await asyncio.sleep(0.05)
    yield "data: stream is over"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(app, **vars(parser.parse_args()))
