"""The one handler that lowlevel and aiohttp both serve."""

import os
from collections.abc import Awaitable, Callable
from functools import partial
from types import ModuleType
from typing import Any

from . import answers
from .files import sized_file

Handler = Callable[[Any], Awaitable[Any]]

DOWNLOAD = bytes(1024 * 1024)
PIECE = bytes(1024)
PIECES = 16


def make_handler(web: ModuleType) -> Handler:
    """The handler over `web`, which is `lowlevel` or `aiohttp.web`: what it uses, both have."""

    async def plaintext(request: Any) -> Any:
        return web.Response(text="Hello, world!")

    async def json(request: Any) -> Any:
        return web.json_response(
            {
                "agent": request.headers.get("user-agent"),
                "language": request.headers.get("accept-language"),
                "page": request.query.get("page"),
            }
        )

    async def echo(request: Any) -> Any:
        return web.Response(body=await request.read())

    async def upload(request: Any) -> Any:
        size = 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
        return web.Response(text=str(size))

    async def download(request: Any) -> Any:
        return web.Response(body=DOWNLOAD)

    async def stream(request: Any) -> Any:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(PIECES):
            await response.write(PIECE)
        await response.write_eof()
        return response

    async def file(request: Any, *, size: int) -> Any:
        return web.FileResponse(sized_file(size))

    async def form(request: Any) -> Any:
        fields = await request.post()
        return web.Response(text="\n".join(fields.values()))

    async def multipart(request: Any) -> Any:
        unlimited = request.clone(client_max_size=0)
        upload = (await unlimited.post())["file"]
        return web.Response(text=f"{upload.filename}: {upload.file.seek(0, os.SEEK_END)}")

    async def echo_messages(request: Any, *, compress: bool) -> Any:
        websocket = web.WebSocketResponse(compress=compress)
        await websocket.prepare(request)
        async for message in websocket:
            await websocket.send_bytes(message.data)
        return websocket

    members: set[Any] = set()

    async def broadcast(request: Any) -> Any:
        websocket = web.WebSocketResponse(compress=False)
        await websocket.prepare(request)
        members.add(websocket)
        try:
            async for message in websocket:
                if message.data == answers.GO:
                    for each in tuple(members):
                        await each.send_bytes(answers.MESSAGE)
        finally:
            members.remove(websocket)
        return websocket

    async def sized(request: Any) -> Any:
        body = answers.zeros(answers.size_in(request.path))
        return web.Response(body=body, content_type=answers.BYTES_TYPE)

    routes: dict[str, Handler] = {
        "/": plaintext,
        "/json": json,
        "/echo": echo,
        "/upload": upload,
        "/download": download,
        "/stream": stream,
        "/file-64k": partial(file, size=64 * 1024),
        "/file-10m": partial(file, size=10 * 1024 * 1024),
        "/form": form,
        "/multipart": multipart,
        "/websocket": partial(echo_messages, compress=False),
        "/websocket/deflate": partial(echo_messages, compress=True),
        answers.BROADCAST: broadcast,
    }

    async def handler(request: Any) -> Any:
        return await routes.get(request.path, sized)(request)

    return handler
