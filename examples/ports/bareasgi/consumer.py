"""A body is taken piece by piece as it comes, however large it is."""

import argparse

import lowlevel as web

router = web.Router()


@router.post("/consume")
async def consume(request: web.BaseRequest) -> web.StreamResponse:
    size = 0
    async for piece in request.content.iter_any():
        size += len(piece)
    return web.Response(text=f"{size} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(router, **vars(parser.parse_args()))
