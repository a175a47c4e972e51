"""A class whose methods are the handlers: it registers them itself, and keeps what they share."""

import argparse

import lowlevel as web


class Info:
    def __init__(self, name: str) -> None:
        self.info = {"name": name}
        self.router = web.Router()
        self.router.add_get("/info", self.get_info)
        self.router.add_post("/info", self.set_info)

    async def get_info(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(self.info)

    async def set_info(self, request: web.BaseRequest) -> web.StreamResponse:
        self.info.update(await request.json())
        return web.Response(status=204)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(Info("Michael Caine").router, **vars(parser.parse_args()))
