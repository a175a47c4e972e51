"""A file, to be shown or to be saved by a name of its own."""

import argparse
from pathlib import Path

import lowlevel as web

PICTURE = Path(__file__).parent / "files" / "selfie.svg"
router = web.Router()


@router.get("/selfie")
async def selfie(request: web.BaseRequest) -> web.StreamResponse:
    return web.FileResponse(PICTURE)


@router.get("/download")
async def download(request: web.BaseRequest) -> web.StreamResponse:
    return web.FileResponse(PICTURE, filename="Grüße.svg")


@router.get("/missing")
async def missing(request: web.BaseRequest) -> web.StreamResponse:
    return web.FileResponse(PICTURE.with_suffix(".mp4"), filename="movie.mp4")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(router, **vars(parser.parse_args()))
