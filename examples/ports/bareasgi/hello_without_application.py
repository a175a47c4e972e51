"""bareASGI's first example without an application: a router is a handler, and can be served."""

import argparse

import lowlevel as web


def make_router(message: str) -> web.Router:
    router = web.Router()

    @router.get("/test")
    async def test(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=message)

    return router


router = make_router("This is not a test")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(router, **vars(parser.parse_args()))
