"""All that a request says, as JSON: coerce makes a response of a dict."""

import argparse

import lowlevel as web


async def report(request: web.BaseRequest) -> object:
    return {
        "url": str(request.url),
        "method": request.method,
        "charset": request.charset,
        "content_type": request.content_type,
        "headers": dict(request.headers),
        "query": list(request.query.items()),
        "cookies": dict(request.cookies),
        "content": await request.text(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(web.compose(report, web.coerce), **vars(parser.parse_args()))
