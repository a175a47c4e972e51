"""An application with its own test, by a client that asks it on a real socket. Run it, or give it to pytest."""

import argparse
import asyncio

import lowlevel as web
from lowlevel.testing import TestClient

app = web.Application(info={"running": False})


@app.on_startup
async def start(app: web.Application) -> None:
    app["running"] = True


@app.on_shutdown
async def finish(app: web.Application) -> None:
    app["running"] = False


@app.route("/")
async def index(request: web.BaseRequest) -> object:
    return "OK"


@app.route("/size")
async def size(request: web.BaseRequest) -> object:
    return {"size": len(await request.read())}


@app.websocket("/websocket")
async def socket(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
    if await ws.receive_str() == "ping":
        await ws.send_str("pong")


def test_app() -> None:
    asyncio.run(check())


async def check() -> None:
    async with TestClient(app) as client:
        assert app["running"]
        response = await client.get("/")
        assert (response.status, await response.text()) == (200, "OK")
        response = await client.post("/size", data=b"chunk" * 10)
        assert await response.json() == {"size": 50}
        async with client.ws_connect("/websocket") as ws:
            await ws.send_str("ping")
            assert await ws.receive_str() == "pong"
    assert not app["running"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(app, **vars(parser.parse_args()))
