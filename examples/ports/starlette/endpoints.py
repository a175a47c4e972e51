"""Classes behind a router: what they name of the path, their methods get."""

import argparse

import lowlevel as web

router = web.Router()


@router.route("/")
class Homepage(web.HTTPEndpoint):
    async def get(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="Hello, world!")


@router.route("/{username}")
class User(web.HTTPEndpoint):
    async def get(self, request: web.BaseRequest, username: str) -> web.StreamResponse:
        return web.Response(text=f"Hello, {username}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(router, **vars(parser.parse_args()))
