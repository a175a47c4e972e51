"""Errors are raised, with or without a body of one's own."""

import argparse

import lowlevel as web

router = web.Router()
LOGIN = {"WWW-Authenticate": "Bearer"}


@router.get("/raise_none_exception")
async def without_body(request: web.BaseRequest) -> web.StreamResponse:
    raise web.HTTPUnauthorized(headers=LOGIN)


@router.get("/raise_text_exception")
async def with_text(request: web.BaseRequest) -> web.StreamResponse:
    raise web.HTTPUnauthorized(headers=LOGIN, text="Unauthorized - text")


@router.get("/raise_status")
async def with_status(request: web.BaseRequest) -> web.StreamResponse:
    raise web.http_error(401, "Unauthorized - by its number", headers=LOGIN)


@router.get("/return_response")
async def return_response(request: web.BaseRequest) -> web.StreamResponse:
    body = web.text_writer("Unauthorized - in pieces", chunk_size=4)
    return web.Response(status=401, body=body, content_type="text/plain", headers=LOGIN)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(router, **vars(parser.parse_args()))
