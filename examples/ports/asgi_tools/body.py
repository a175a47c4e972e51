"""The ways to read a body: as bytes, text, JSON or a form, or as what its type says."""

import argparse

import lowlevel as web

router = web.Router()


@router.post("/read")
async def read(request: web.BaseRequest) -> object:
    return {"size": len(await request.read())}


@router.post("/text")
async def text(request: web.BaseRequest) -> object:
    return {"text": await request.text()}


@router.post("/json")
async def json(request: web.BaseRequest) -> object:
    return {"json": await request.json()}


@router.post("/form")
async def form(request: web.BaseRequest) -> object:
    fields = await request.post(max_size=1000)
    return [[name, shown(value)] for name, value in fields.items()]


@router.post("/data")
async def data(request: web.BaseRequest) -> object:
    content = await request.data(raise_errors="strict" in request.query)
    return {"kind": type(content).__name__}


def shown(value: object) -> object:
    if isinstance(value, web.FileField):
        return [value.filename, value.content_type, value.file.read().decode()]
    return value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(web.compose(router, web.coerce), **vars(parser.parse_args()))
