"""Routes: several paths, methods, variables, regular expressions; and a handler for all the rest."""

import argparse
import re

import lowlevel as web


async def default(request: web.BaseRequest) -> object:
    return f"Default page {dict(request.match_info)}"


router = web.Router(fallback=default)


@router.route("/status", "/stat")
async def status(request: web.BaseRequest) -> object:
    return "Everything is fine"


@router.route("/only-post", methods="POST")
async def only_post(request: web.BaseRequest) -> object:
    return request.method


@router.route(re.compile(r"/\d+/?"))
async def number(request: web.BaseRequest) -> object:
    return f"Number {request.path.strip('/')}"


@router.route("/hello/{name}")
async def hello(request: web.BaseRequest) -> object:
    return f"Hello {request.match_info['name'].title()}"


@router.route(r"/multiply/{first:\d+}/{second:\d+}")
async def multiply(request: web.BaseRequest) -> object:
    first, second = request.match_info["first"], request.match_info["second"]
    return str(int(first) * int(second))


@router.route("/post/{number:int}")
async def post(request: web.BaseRequest) -> object:
    return f"Post #{request.match_info['number']}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(web.compose(router, web.coerce), **vars(parser.parse_args()))
