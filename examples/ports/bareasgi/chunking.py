"""Ways to send a body: in chunks, in one chunk, or with its length. See Transfer-Encoding and Content-Length."""

import argparse
from pathlib import Path

import lowlevel as web

TEXT = Path(__file__).read_text("utf-8")
SIZE = str(len(TEXT.encode()))
INDEX = "<ul>" + "".join(
    f"<li><a href='/{name}'>{name}</a></li>"
    for name in ("in_chunks", "in_one_chunk", "with_length", "in_pieces_with_length")
)

router = web.Router()


@router.get("/")
async def index(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=INDEX, content_type="text/html")


@router.get("/in_chunks")
async def in_chunks(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=web.text_writer(TEXT, chunk_size=64), content_type="text/plain")


@router.get("/in_one_chunk")
async def in_one_chunk(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=web.text_writer(TEXT), content_type="text/plain")


@router.get("/with_length")
async def with_length(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=TEXT)


@router.get("/in_pieces_with_length")
async def in_pieces_with_length(request: web.BaseRequest) -> web.StreamResponse:
    pieces = web.text_writer(TEXT, chunk_size=512)
    return web.Response(body=pieces, headers={"Content-Length": SIZE}, content_type="text/plain")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(router, **vars(parser.parse_args()))
