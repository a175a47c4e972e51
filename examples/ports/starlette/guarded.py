"""A WebSocket that not everybody gets: who may not is answered before there is one."""

import argparse

import lowlevel as web

router = web.Router()


@router.websocket("/rooms/{room}")
class Room(web.WebSocketEndpoint):
    encoding = "text"

    async def on_connect(self, ws: web.WebSocketResponse, room: str) -> None:
        if self.request.query.get("token") != room[::-1]:
            raise web.HTTPForbidden(text=f"{room} is closed")

    async def on_receive(self, ws: web.WebSocketResponse, data: str, room: str) -> None:
        await ws.send_str(f"{room}: {data}")

    async def on_disconnect(self, ws: web.WebSocketResponse, close_code: int) -> None:
        print(f"Left with {close_code}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(router, **vars(parser.parse_args()))
