"""The body of a request is sent back, with its type."""

import argparse

import lowlevel as web


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    body = b""
    async for piece in request.content.iter_any():
        body += piece
    return web.Response(body=body, content_type=request.content_type)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(echo, **vars(parser.parse_args()))
