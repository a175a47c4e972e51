"""Handlers of errors, by class: the nearest one answers, and what it returns becomes a response."""

import argparse

import lowlevel as web

app = web.Application()
ERRORS: dict[str, type[Exception]] = {
    "key": KeyError,
    "value": ValueError,
    "forbidden": web.HTTPForbidden,
    "teapot": web.HTTPImATeapot,
}


@app.on_error(LookupError)
def not_known(request: web.BaseRequest, error: LookupError) -> object:  # called in a thread
    return 404, f"Not known: {error}"


@app.on_error(Exception)
async def anything_else(request: web.BaseRequest, error: Exception) -> object:
    return 500, {"error": type(error).__name__}


@app.on_error(web.HTTPImATeapot, web.HTTPNotFound)
async def of_http(request: web.BaseRequest, error: web.HTTPException) -> object:
    return error.status, f"Our own page for {error.status}"


@app.route("/{kind:key|value|forbidden|teapot}")
async def fail(request: web.BaseRequest) -> object:
    raise ERRORS[request.match_info["kind"]]()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(app, **vars(parser.parse_args()))
