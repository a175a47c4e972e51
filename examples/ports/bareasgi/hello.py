"""bareASGI's first example: a message from what the application shares."""

import argparse

import lowlevel as web

app = web.Application(info={"message": "This is not a test"})


@app.router.get("/test")
async def test(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=request.app["message"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(app, **vars(parser.parse_args()))
