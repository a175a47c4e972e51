"""What HTTP/2 pushes did: HTTP/1.1 tells in a Link field what the page will need (RFC 8288)."""

import argparse

import lowlevel as web

PAGE = """<!doctype html>
<title>Preload</title>
<script src="/click.js" defer></script>
<button>Click me</button> <p></p>
"""
SCRIPT = """document.querySelector("button").onclick = () => {
  document.querySelector("p").textContent = Date();
};
"""
router = web.Router()


@router.get("/")
async def index(request: web.BaseRequest) -> web.StreamResponse:
    raise web.HTTPSeeOther("/index.html")


@router.get("/index.html")
async def page(request: web.BaseRequest) -> web.StreamResponse:
    link = {"Link": "</click.js>; rel=preload; as=script"}
    return web.Response(text=PAGE, content_type="text/html", headers=link)


@router.get("/click.js")
async def script(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=SCRIPT, content_type="text/javascript")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    web.run_app(router, **vars(parser.parse_args()))
