"""A resource that pages of other origins may use: the answers say so, also to the question that browsers ask first."""

import argparse

import lowlevel as web

ALLOWED = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Content-Type",
}


async def cors(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return web.Response(status=204, headers=ALLOWED)
    response = await handler(request)
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


app = web.Application(info={"name": "Michael Caine"}, middlewares=[cors])


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
