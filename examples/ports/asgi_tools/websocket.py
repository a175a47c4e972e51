"""A WebSocket that answers ping with pong once, and a page to try it."""

import argparse

import lowlevel as web

PAGE = """<!doctype html>
<title>Ping</title>
<button>ping</button>
<ul></ul>
<script>
  const list = document.querySelector("ul");
  const add = text => list.append(Object.assign(document.createElement("li"), {textContent: text}));
  document.querySelector("button").onclick = () => {
    const socket = new WebSocket(`ws${location.protocol.slice(4)}//${location.host}/websocket`);
    socket.onopen = () => socket.send("ping");
    socket.onmessage = event => add(event.data);
    socket.onclose = event => add(`closed, ${event.code}`);
  };
</script>
"""
app = web.Application()


@app.route("/")
async def index(request: web.BaseRequest) -> str:
    return PAGE


@app.websocket("/websocket")
async def socket(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
    if await ws.receive_str() == "ping":
        await ws.send_str("pong")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(app, **vars(parser.parse_args()))
