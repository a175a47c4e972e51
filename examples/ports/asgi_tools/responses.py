"""The kinds of responses: text, HTML, JSON, with a cookie, and errors by their number."""

import argparse

import lowlevel as web

router = web.Router()


@router.get("/text")
async def text(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="Hello, Wörld!", content_type="text/plain")


@router.get("/html")
async def html(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="<h1>Hello, Wörld!</h1>", content_type="text/html")


@router.get("/json")
async def json(request: web.BaseRequest) -> web.StreamResponse:
    return web.json_response({"Hello": "Wörld!"})


@router.get("/cookie")
async def cookie(request: web.BaseRequest) -> web.StreamResponse:
    response = web.Response(text="OK")
    response.cookies["rocky"] = "road"
    response.cookies["rocky"]["path"] = "/cookie"
    return response


@router.get("/error")
async def error(request: web.BaseRequest) -> web.StreamResponse:
    return web.http_error(502, "Timeout")


@router.get("/error/{status:int}")
async def any_error(request: web.BaseRequest) -> web.StreamResponse:
    try:
        raise web.http_error(request.match_info["status"])
    except ValueError as unknown:
        raise web.HTTPBadRequest(text=str(unknown)) from unknown


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(router, **vars(parser.parse_args()))
