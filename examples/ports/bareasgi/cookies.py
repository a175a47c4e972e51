"""Cookies: a form is filled in, its fields are kept in cookies, and the form shows them."""

import argparse
from html import escape

import lowlevel as web

PAGE = """<!doctype html>
<title>Cookies</title>
<form action="/post_form" method="post">
  <input name="first_name" value="{first_name}">
  <input name="last_name" value="{last_name}">
  <button>Submit</button>
</form>
<dl>{cookies}</dl>
"""
DEFAULTS = {"first_name": "Mickey", "last_name": "Mouse"}

router = web.Router()


@router.get("/")
async def index(request: web.BaseRequest) -> web.StreamResponse:
    raise web.HTTPSeeOther("/get_form")


@router.get("/get_form")
async def get_form(request: web.BaseRequest) -> web.StreamResponse:
    cookies = {name: escape(value) for name, value in request.cookies.items()}
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{cookies[name]}</dd>" for name in cookies)
    text = PAGE.format(
        cookies=listed, **{name: cookies.get(name, DEFAULTS[name]) for name in DEFAULTS}
    )
    return web.Response(text=text, content_type="text/html")


@router.post("/post_form")
async def post_form(request: web.BaseRequest) -> web.StreamResponse:
    form = await request.post()
    response = web.HTTPSeeOther("/get_form")
    for name in DEFAULTS:
        response.set_cookie(name, str(form.get(name, "")), httponly=True, samesite="Lax")
    return response


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(router, **vars(parser.parse_args()))
