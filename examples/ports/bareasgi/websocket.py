"""A WebSocket that repeats what it is told, and a page to talk to it."""

import argparse

import lowlevel as web

PAGE = """<!doctype html>
<title>WebSocket</title>
<form><input autofocus> <button>Send</button></form>
<ul></ul>
<script>
  const socket = new WebSocket(`ws${location.protocol.slice(4)}//${location.host}/test`);
  const form = document.querySelector("form"), list = document.querySelector("ul");
  const add = text => list.append(Object.assign(document.createElement("li"), {textContent: text}));
  socket.onmessage = event => add(event.data);
  socket.onclose = () => add("Disconnected");
  form.onsubmit = event => {
    event.preventDefault();
    socket.send(form[0].value);
    form.reset();
  };
</script>
"""
router = web.Router()


@router.get("/")
async def page(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=PAGE, content_type="text/html")


@router.websocket("/test")
async def test(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
    async for message in ws:
        try:
            await ws.send_str("You said: " + message.data)
        except TypeError as error:  # it was no text
            print(error, flush=True)
            break


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(router, **vars(parser.parse_args()))
