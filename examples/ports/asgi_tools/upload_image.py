"""A page with a picture, and a form to send another one. Run it: python ... folder-for-the-picture"""

import argparse
import secrets
from pathlib import Path

import lowlevel as web

PAGE = """<!doctype html>
<title>Picture</title>
<form method="post" enctype="multipart/form-data">
  <input type="file" name="image" accept="image/png"> <button>Send</button>
</form>
<img src="/image?{salt}" alt="">
"""


def make_app(folder: Path) -> web.Application:
    app = web.Application()
    image = folder / "image.png"

    @app.route("/", methods="GET")
    async def page(request: web.BaseRequest) -> str:
        return PAGE.format(salt=secrets.token_hex(4))  # so that no browser shows the one before

    @app.route("/", methods="POST")
    async def upload(request: web.BaseRequest) -> object:
        form = await request.post(upload_to=lambda _: folder / secrets.token_hex(8))
        files = [field for field in form.values() if isinstance(field, web.FileField)]
        for field in files:
            Path(field.file.name).replace(image)
        return web.HTTPFound("/") if files else web.HTTPBadRequest(text="There is no picture")

    @app.route("/image", methods="GET")
    async def show(request: web.BaseRequest) -> web.StreamResponse:
        return web.FileResponse(image, headers={"X-Content-Type-Options": "nosniff"})

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = vars(parser.parse_args())
    web.run_app(make_app(options.pop("folder")), **options)
