"""A page with all that a request says; one handler, and nothing else."""

import argparse
from collections.abc import Iterable
from html import escape

import lowlevel as web

SEEN = web.RequestKey("seen", int)


async def report(request: web.BaseRequest) -> web.StreamResponse:
    request[SEEN] = request.get(SEEN, 0) + 1  # of this request alone
    tables = {
        "Request": {
            "version": f"{request.version.major}.{request.version.minor}",
            "method": request.method,
            "scheme": request.scheme,
            "path": request.path,
            "url": request.url,
            "content type": request.content_type,
            "charset": request.charset,
            "seen": request[SEEN],
            "body": await request.text(),
        }.items(),
        "Query": request.query.items(),
        "Cookies": request.cookies.items(),
        "Headers": request.headers.items(),
    }
    text = "".join(table(title, rows) for title, rows in tables.items())
    return web.Response(
        text=f"<!doctype html><title>Request</title>{text}", content_type="text/html"
    )


def table(title: str, rows: Iterable[tuple[str, object]]) -> str:
    lines = "".join(f"<tr><th>{escape(name)}<td>{escape(str(value))}" for name, value in rows)
    return f"<h2>{title}</h2><table>{lines}</table>"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(report, **vars(parser.parse_args()))
