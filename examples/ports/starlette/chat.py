"""A page and the WebSocket it talks to, two classes behind one router."""

import argparse

import lowlevel as web

PAGE = """<!doctype html>
<title>Chat</title>
<h1>WebSocket chat</h1>
<form><input autocomplete="off" autofocus> <button>Send</button></form>
<ul></ul>
<script>
  const socket = new WebSocket(`ws${location.protocol.slice(4)}//${location.host}/ws`);
  const form = document.querySelector("form"), list = document.querySelector("ul");
  socket.onmessage = event => {
    list.append(Object.assign(document.createElement("li"), {textContent: event.data}));
  };
  form.onsubmit = event => {
    event.preventDefault();
    socket.send(form[0].value);
    form.reset();
  };
</script>
"""
router = web.Router()


@router.route("/")
class Homepage(web.HTTPEndpoint):
    async def get(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=PAGE, content_type="text/html")


@router.websocket("/ws")
class Echo(web.WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
        await ws.send_str(f"Message text was: {data}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(router, **vars(parser.parse_args()))
