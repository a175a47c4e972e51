"""bareASGI's first example as it was: coerce makes a response of status, header fields and a writer."""

import argparse
from collections.abc import AsyncIterable

import lowlevel as web

Reply = tuple[int, list[tuple[bytes, bytes]], AsyncIterable[bytes]]
router = web.Router()


@router.get("/test")
async def test(request: web.BaseRequest) -> Reply:
    return 200, [(b"content-type", b"text/plain")], web.text_writer("This is not a test")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(web.compose(router, web.coerce), **vars(parser.parse_args()))
