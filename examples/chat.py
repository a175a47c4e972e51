"""A chat: what one tab says, all tabs show. Run it, then open http://127.0.0.1:8080/ twice."""

import argparse
import asyncio
import itertools
import json
from pathlib import Path

import lowlevel as web

PAGE = Path(__file__).with_suffix(".html").read_text("utf-8")
numbers = itertools.count(1)
tabs: set[web.WebSocketResponse] = set()


async def handler(request: web.BaseRequest) -> web.StreamResponse:
    if request.path == "/":
        return web.Response(text=PAGE, content_type="text/html")
    if request.path == "/ws" and request.is_websocket:
        return await chat(request)
    raise web.HTTPNotFound()


async def chat(request: web.BaseRequest) -> web.StreamResponse:
    ws = web.WebSocketResponse(timeout=2, heartbeat=30, max_msg_size=4096)
    await ws.prepare(request)
    guest = f"guest {next(numbers)}"
    tabs.add(ws)
    try:
        await tell(guest, "joined")
        async for msg in ws:
            if msg.type is web.WSMsgType.TEXT:
                await tell(guest, "said", msg.data)
    finally:
        tabs.discard(ws)
        await tell(guest, "left")
    return ws


async def tell(who: str, event: str, text: str = "") -> None:
    line = json.dumps({"who": who, "event": event, "text": text})
    await asyncio.gather(*(show(ws, line) for ws in tabs))


async def show(ws: web.WebSocketResponse, line: str) -> None:
    try:
        async with asyncio.timeout(2):
            await ws.send_str(line)
    except ConnectionResetError:
        pass  # it has left: its own handler tells
    except TimeoutError:  # it reads too slowly: the others shall not wait for it again and again
        await ws.close(code=web.WSCloseCode.TRY_AGAIN_LATER)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    web.run_app(handler, **vars(parser.parse_args()))
