"""The loops that are counted. A change of one of them is a reason to record the figures again."""

import lowlevel as web

from .inprocess import Handler, Loop
from .websocket_client import BINARY, MASKED, answer

_OK = b"HTTP/1.1 200 OK\r\n"
_GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

# What a browser sends when somebody follows a link.
BROWSER_GET = b"""\
GET /json?page=7&sort=name HTTP/1.1
Host: 127.0.0.1
Connection: keep-alive
Cache-Control: max-age=0
Upgrade-Insecure-Requests: 1
User-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8
Sec-Fetch-Site: same-origin
Sec-Fetch-Mode: navigate
Referer: http://127.0.0.1/list?page=6
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-GB,en;q=0.9,de;q=0.8
Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark

""".replace(b"\n", b"\r\n")

HANDSHAKE = b"""\
GET /websocket HTTP/1.1
Host: 127.0.0.1
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==

""".replace(b"\n", b"\r\n")

# Each a little different: yarl, which reads them, remembers the last 128.
FORMS = [
    b"name=Ada+Lovelace&email=ada%%40example.org&street=12+St.+James%%27s+Square&city=London"
    b"&postcode=SW1Y+4JH&country=GB&phone=%%2B44+20+7930+0000&newsletter=on&amount=%03d"
    b"&comment=Please+ring+at+the+second+door%%2C+thank+you%%21" % number
    for number in range(300)
]
PIECE = bytes(1024)
PIECES = 16
BLOCK = bytes(range(256)) * 4
UPLOAD = bytes(256 * 1024)
ROUTES = 1000


def _post(path: bytes, content_type: bytes, body: bytes) -> bytes:
    return (
        b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
        % (
            path,
            content_type,
            len(body),
            body,
        )
    )


def masked_frame(payload: bytes, key: bytes = b"\x37\xfa\x21\x3d") -> bytes:
    """A frame as a client sends it, always with the same key."""
    size = len(payload)
    masked = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
    if size < 126:
        return bytes((BINARY, MASKED | size)) + key + masked
    return bytes((BINARY, MASKED | 126)) + size.to_bytes(2) + key + masked


async def _plaintext(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="Hello, world!")


async def _json(request: web.BaseRequest) -> web.StreamResponse:
    return web.json_response(
        {
            "agent": request.headers.get("user-agent"),
            "language": request.headers.get("accept-language"),
            "page": request.query.get("page"),
        }
    )


async def _echo(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=await request.read())


async def _stream(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(PIECES):
        await response.write(PIECE)
    await response.write_eof()
    return response


async def _form(request: web.BaseRequest) -> web.StreamResponse:
    fields = await request.post()
    return web.Response(text=str(fields["comment"]))


async def _echo_messages(request: web.BaseRequest) -> web.StreamResponse:
    websocket = web.WebSocketResponse(compress=False)
    await websocket.prepare(request)
    async for message in websocket:
        await websocket.send_bytes(message.data)
    return websocket


async def _user(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=request.match_info["name"])


async def _size(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=str(len(await request.read())))


async def _missing(request: web.BaseRequest) -> web.StreamResponse:
    raise web.HTTPNotFound(text="There is no such page.")


async def _middleware(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
    return await handler(request)


async def _greet(request: web.BaseRequest) -> str:
    return "Hello, world!"


def _make_application() -> Handler:
    application = web.Application(middlewares=[_middleware] * 3)
    application.route("/")(_greet)
    return application


def _make_large_router() -> Handler:
    router = web.Router()
    for number in range(ROUTES):
        router.add_get(f"/group{number}/{{name}}", _user)
    return router


def _make_router() -> Handler:
    router = web.Router()
    router.add_get("/", _plaintext)
    router.add_get("/users/{name}", _user)
    router.add_get("/users/{name}/posts", _user)
    return router


LOOPS = {
    "plaintext": Loop(
        make_handler=lambda: _plaintext, arrivals=[_GET], begins=_OK, ends=b"\r\n\r\nHello, world!"
    ),
    "browser, JSON": Loop(
        make_handler=lambda: _json, arrivals=[BROWSER_GET], begins=_OK, ends=b', "page": "7"}'
    ),
    "new connection": Loop(
        make_handler=lambda: _plaintext,
        arrivals=[_GET],
        begins=_OK,
        ends=b"\r\n\r\nHello, world!",
        reconnects=True,
    ),
    "echo of 1 KiB": Loop(
        make_handler=lambda: _echo,
        arrivals=[_post(b"/echo", b"application/octet-stream", BLOCK)],
        begins=_OK,
        ends=b"\r\n\r\n" + BLOCK,
    ),
    "256 KiB in 16 pieces": Loop(
        make_handler=lambda: _size,
        arrivals=[_post(b"/size", b"application/octet-stream", UPLOAD)],
        begins=_OK,
        ends=b"\r\n\r\n262144",
        pieces=16,
    ),
    "16 pipelined": Loop(
        make_handler=lambda: _plaintext,
        arrivals=[_GET * 16],
        begins=_OK,
        ends=b"\r\n\r\nHello, world!",
        requests=16,
    ),
    "stream of 16 pieces": Loop(
        make_handler=lambda: _stream, arrivals=[_GET], begins=_OK, ends=b"\r\n0\r\n\r\n"
    ),
    "raised 404": Loop(
        make_handler=lambda: _missing,
        arrivals=[_GET],
        begins=b"HTTP/1.1 404 Not Found\r\n",
        ends=b"\r\n\r\nThere is no such page.",
    ),
    "Router, variable": Loop(
        make_handler=_make_router,
        arrivals=[b"GET /users/ada HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"],
        begins=_OK,
        ends=b"\r\n\r\nada",
    ),
    "Router, 1,000 routes": Loop(
        make_handler=_make_large_router,
        arrivals=[b"GET /group%d/ada HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % (ROUTES // 2)],
        begins=_OK,
        ends=b"\r\n\r\nada",
    ),
    "3 middlewares": Loop(
        make_handler=_make_application,
        arrivals=[_GET],
        begins=_OK,
        ends=b"\r\n\r\nHello, world!",
    ),
    "websocket echo of 64 B": Loop(
        make_handler=lambda: _echo_messages,
        arrivals=[masked_frame(bytes(64))],
        begins=answer(bytes(64)),
        ends=b"",
        opening=HANDSHAKE,
    ),
    "form": Loop(
        make_handler=lambda: _form,
        arrivals=[_post(b"/form", b"application/x-www-form-urlencoded", form) for form in FORMS],
        begins=_OK,
        ends=b"\r\n\r\nPlease ring at the second door, thank you!",
    ),
}
"""By name, in the order of the report."""
