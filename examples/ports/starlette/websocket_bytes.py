"""A WebSocket as a class: what happens at its beginning, for each message of bytes, and at its end."""

import argparse

import lowlevel as web


class App(web.WebSocketEndpoint):
    encoding = "bytes"

    async def on_connect(self, ws: web.WebSocketResponse) -> None:
        await ws.prepare(self.request)

    async def on_receive(self, ws: web.WebSocketResponse, data: bytes) -> None:
        await ws.send_bytes(b"Message: " + data)

    async def on_disconnect(self, ws: web.WebSocketResponse, close_code: int) -> None:
        print(f"Closed with {close_code}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(App, **vars(parser.parse_args()))
