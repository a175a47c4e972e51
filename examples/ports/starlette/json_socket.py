"""A WebSocket of JSON: what is sent is decoded, and what is no JSON ends it."""

import argparse
from typing import Any

import lowlevel as web


class Add(web.WebSocketEndpoint):
    encoding = "json"

    async def on_receive(self, ws: web.WebSocketResponse, data: Any) -> None:
        await ws.send_json({"sum": sum(data)})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(Add, **vars(parser.parse_args()))
