"""Static files of two folders below /static, and a handler for the rest."""

import argparse
from pathlib import Path

import lowlevel as web

HERE = Path(__file__).parent


async def default(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=f"There is {request.path} too")


router = web.Router(fallback=default)
router.mount("/static", web.StaticFiles(HERE / "files", HERE / "more_files"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(router, **vars(parser.parse_args()))
