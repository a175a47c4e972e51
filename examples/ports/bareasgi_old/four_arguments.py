"""Old handlers as they are: they take four arguments, and a wrapper gives them what these were."""

import argparse
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from typing import Any

import lowlevel as web

Scope = dict[str, Any]
Info = Any
Matches = Mapping[str, Any]
Content = AsyncIterable[bytes]
OldHandler = Callable[[Scope, Info, Matches, Content], Awaitable[object]]


def old(handler: OldHandler) -> Callable[[web.BaseRequest], Awaitable[object]]:
    async def wrapper(request: web.BaseRequest) -> object:
        scope = {
            "type": "http",
            "http_version": f"{request.version.major}.{request.version.minor}",
            "method": request.method,
            "scheme": request.scheme,
            "path": request.path,
            "query_string": request.rel_url.raw_query_string.encode(),
            "headers": [(name.lower(), value) for name, value in request.raw_headers],
        }
        return await handler(scope, request.app, request.match_info, request.content.iter_any())

    return wrapper


async def greet(scope: Scope, info: Info, matches: Matches, content: Content) -> object:
    headers = [(b"content-type", b"text/plain")]
    if scope["method"] == "POST":
        info["greeting"] = await web.text_reader(content)
        return 204
    return 200, headers, web.text_writer(f"{info['greeting']}, {matches['name']}")


app = web.Application(info={"greeting": "Hello"})
app.router.add_route({"GET", "POST"}, "/greet/{name}", old(greet))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(app, **vars(parser.parse_args()))
