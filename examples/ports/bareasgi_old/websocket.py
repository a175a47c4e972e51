"""The WebSocket example as it was: it takes messages until there are no more, and closes."""

import argparse

import lowlevel as web

router = web.Router()


@router.get("/test")
async def test(request: web.BaseRequest) -> web.StreamResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    try:
        while (message := await ws.receive()).type is web.WSMsgType.TEXT:
            await ws.send_str("You said: " + message.data)
    except ConnectionResetError:
        print("The client has gone", flush=True)
    await ws.close()
    return ws


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(router, **vars(parser.parse_args()))
