"""A folder as a site, compressed for who can take it. Run it: python examples/static_site.py public"""

import argparse
from pathlib import Path

import lowlevel as web


def site(folder: Path) -> web.Handler:
    async def keep_for_a_minute(
        request: web.BaseRequest, handler: web.Handler
    ) -> web.StreamResponse:
        response = await handler(request)
        if response.status in (200, 206, 304):
            response.headers["Cache-Control"] = "max-age=60"
        return response

    async def own_404(request: web.BaseRequest, error: Exception) -> web.StreamResponse:
        return web.Response(text=page, status=404, content_type="text/html")

    page = "<!doctype html><title>Not found</title><p>There is no such page. <a href=/>Home</a>"
    return web.compose(
        web.StaticFiles(folder, index="index.html"),
        web.compression(),
        keep_for_a_minute,
        web.ErrorHandlers({web.HTTPNotFound: own_404}),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    options = vars(parser.parse_args())
    web.run_app(site(options.pop("folder")), **options)
