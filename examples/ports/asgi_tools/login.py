"""Redirections: returned, or raised where somebody has to log in first."""

import argparse

import lowlevel as web

router = web.Router()


@router.route("/")
async def index(request: web.BaseRequest) -> object:
    return web.HTTPTemporaryRedirect("/login")


@router.route("/private")
async def private(request: web.BaseRequest) -> object:
    if "Authorization" not in request.headers:
        raise web.HTTPTemporaryRedirect("/login")
    return "OK"


@router.route("/login")
async def login(request: web.BaseRequest) -> object:
    return f"{request.method}: who are you?"


@router.route("/post")
async def post(request: web.BaseRequest) -> object:
    if request.method != "POST":
        raise web.HTTPBadRequest(text="Invalid request data")
    return "OK"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(web.compose(router, web.coerce), **vars(parser.parse_args()))
