"""Pages: a redirection to the first, two of them, and an answer without content."""

import argparse

import lowlevel as web

PAGE = "<!doctype html><title>Example {0}</title><h1>Example {0}</h1><p>This is simple</p>"
router = web.Router()


@router.get("/")
async def index(request: web.BaseRequest) -> web.StreamResponse:
    raise web.HTTPSeeOther("/example1")


@router.get("/example{number:int}")
async def example(request: web.BaseRequest) -> web.StreamResponse:
    number = request.match_info["number"]
    if number not in (1, 2):
        raise web.HTTPNotFound()
    return web.Response(text=PAGE.format(number), content_type="text/html")


@router.get("/empty")
async def empty(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=204)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(router, **vars(parser.parse_args()))
