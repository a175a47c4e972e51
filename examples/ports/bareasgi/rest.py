"""A resource by REST: the application's own mapping is read with GET and updated with POST."""

import argparse

import lowlevel as web

app = web.Application(info={"name": "Michael Caine"})


@app.router.get("/info")
async def get_info(request: web.BaseRequest) -> web.StreamResponse:
    return web.json_response(dict(request.app))


@app.router.post("/info")
async def set_info(request: web.BaseRequest) -> web.StreamResponse:
    request.app.update(await request.json())
    return web.Response(status=204)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(app, **vars(parser.parse_args()))
