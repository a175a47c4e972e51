"""The REST example as it was: a body is read by text_reader, and a status alone is an answer."""

import argparse
import json
from collections.abc import AsyncIterable

import lowlevel as web

Reply = tuple[int, list[tuple[bytes, bytes]], AsyncIterable[bytes]]
app = web.Application(info={"name": "Michael Caine"})


@app.router.get("/info")
async def get_info(request: web.BaseRequest) -> Reply:
    text = json.dumps(dict(request.app))
    return 200, [(b"content-type", b"application/json")], web.text_writer(text)


@app.router.post("/info")
async def set_info(request: web.BaseRequest) -> int:
    try:
        data = json.loads(await web.text_reader(request.content))
    except ValueError:  # no JSON, or no UTF-8
        return 400
    request.app.update(data)
    return 204


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(app, **vars(parser.parse_args()))
