"""A WebSocket that says everything again. Run it, then: python -m websockets ws://127.0.0.1:8080/"""

import argparse

import lowlevel as web


@web.websocket(heartbeat=30)
async def echo(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
    async for message in ws:
        if message.type is web.WSMsgType.TEXT:
            await ws.send_str(message.data)
        elif message.type is web.WSMsgType.BINARY:
            await ws.send_bytes(message.data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    web.run_app(echo, **vars(parser.parse_args()))
