"""Uploads: the folder uploads/ takes files and gives them back. Run it, then open http://127.0.0.1:8080/"""

import argparse
import asyncio
import contextlib
import hashlib
import itertools
import os
import tempfile
from pathlib import Path

import lowlevel as web

FOLDER = Path("uploads")
FOLDER.mkdir(exist_ok=True)
router = web.Router()
router.add_get("/", lambda request: web.FileResponse(Path(__file__).with_suffix(".html")))


@router.get("/files/")
def names(request: web.BaseRequest) -> web.StreamResponse:  # not async: called in a thread
    return web.json_response(sorted(path.stem for path in FOLDER.glob("*.upload")))


@router.get("/files/{name}")
async def send(request: web.BaseRequest) -> web.StreamResponse:
    if "/" in (name := request.match_info["name"]):
        raise web.HTTPNotFound()
    # To be saved, not shown: what is uploaded must not run its scripts as ours. And a.gz is no a.
    return web.FileResponse(FOLDER / f"{name}.upload", filename=name, precompressed=False)


@router.post("/")
async def receive(request: web.BaseRequest) -> web.StreamResponse:
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        form = await request.post(upload_to=lambda _: Path(folder, os.urandom(8).hex()))
        files = [field for field in form.values() if isinstance(field, web.FileField)]
        kept = await asyncio.to_thread(list, map(keep, files))
    return web.json_response({"note": str(form.get("note", "")), "files": kept})


def keep(field: web.FileField) -> dict[str, str | int]:
    """Give the file the name it came with, or one like it if that is taken."""
    wanted = Path(field.filename[-50:] or "unnamed")
    others = (f"{wanted.stem} ({number}){wanted.suffix}" for number in itertools.count(2))
    for name in itertools.chain([wanted.name], others):
        with contextlib.suppress(FileExistsError):
            os.link(field.file.name, FOLDER / f"{name}.upload")
            break
    digest = hashlib.file_digest(field.file, "sha256").hexdigest()
    return {"name": name, "size": field.file.tell(), "type": field.content_type, "sha256": digest}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--client-max-size", type=int, default=100 * 2**20, help="bytes")
    web.run_app(router, **vars(parser.parse_args()))
