"""A form: the page that has it, and what becomes of its fields."""

import argparse

import lowlevel as web

PAGE = """<!doctype html>
<title>Form</title>
<form action="/post_form" method="post">
  <input name="first_name" value="Mickey">
  <input name="last_name" value="Mouse">
  <button>Submit</button>
</form>
"""
router = web.Router()


@router.get("/get_form")
async def get_form(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=PAGE, content_type="text/html")


@router.post("/post_form")
async def post_form(request: web.BaseRequest) -> web.StreamResponse:
    form = await request.post()
    return web.Response(text=f"{form.get('first_name')} {form.get('last_name')}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(router, **vars(parser.parse_args()))
