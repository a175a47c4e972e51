"""A class is the whole server: a method for each verb, an instance for each request."""

import argparse

import lowlevel as web


class App(web.HTTPEndpoint):
    async def get(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="Hello, world!")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(App, **vars(parser.parse_args()))
