"""A class with a method for each verb; others are answered with 405."""

import argparse

import lowlevel as web

router = web.Router()


@router.route("/custom")
class Custom(web.HTTPEndpoint):
    async def get(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="Hello from GET")

    async def post(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=f"Hello from POST, {await request.text()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(router, **vars(parser.parse_args()))
