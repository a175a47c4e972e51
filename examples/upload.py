"""Uploads: the folder uploads/ takes files and gives them back. Run it, then open http://127.0.0.1:8080/"""

import argparse
import asyncio
import hashlib
import itertools
import os
import secrets
from pathlib import Path

import lowlevel as web

PAGE = Path(__file__).with_suffix(".html")
FOLDER = Path("uploads")
FOLDER.mkdir(exist_ok=True)


async def handler(request: web.BaseRequest) -> web.StreamResponse:
    if (request.method, request.path) == ("POST", "/"):
        return await receive(request)
    if request.method not in ("GET", "HEAD"):
        raise web.HTTPMethodNotAllowed(request.method, ["GET", "HEAD"])
    if request.path == "/":
        return web.FileResponse(PAGE)
    if request.path == "/files/":
        paths = await asyncio.to_thread(list, FOLDER.glob("*.upload"))
        return web.json_response(sorted(path.stem for path in paths))
    path = Path(request.path)
    if path.parent == Path("/files"):
        # To be saved, not shown: a page that somebody uploads must not run its scripts as ours.
        # And a.gz is not a, compressed, but whatever somebody uploaded.
        return web.FileResponse(stored(path.name), filename=path.name, precompressed=False)
    raise web.HTTPNotFound()


def stored(name: str) -> Path:
    """Return where a whole file is; one that is still coming has no suffix."""
    return FOLDER / f"{name}.upload"


async def receive(request: web.BaseRequest) -> web.StreamResponse:
    form = await request.post(upload_to=lambda _: FOLDER / secrets.token_hex(8))
    files = [field for field in form.values() if isinstance(field, web.FileField)]
    kept = await asyncio.to_thread(keep_all, files)
    return web.json_response({"note": str(form.get("note", "")), "files": kept})


def keep_all(fields: list[web.FileField]) -> list[dict[str, str | int]]:
    try:
        return [keep(field) for field in fields]
    finally:
        for field in fields:
            os.unlink(field.file.name)


def keep(field: web.FileField) -> dict[str, str | int]:
    """Give the file the name it came with, or one like it if that is taken."""
    wanted = Path(field.filename[-50:] or "unnamed")
    name = wanted.name
    for number in itertools.count(2):
        try:
            os.link(field.file.name, stored(name))
            break
        except FileExistsError:
            name = f"{wanted.stem} ({number}){wanted.suffix}"
    digest = hashlib.file_digest(field.file, "sha256").hexdigest()
    size = field.file.tell()
    return {"name": name, "size": size, "type": field.content_type, "sha256": digest}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--client-max-size", type=int, default=100 * 2**20, help="bytes")
    web.run_app(handler, **vars(parser.parse_args()))
