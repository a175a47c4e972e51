"""What type checkers know of the toolkit. Nothing here runs: ``make types`` reads it.

A line with ``type: ignore[...]`` must be an error, or the ignoring is one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, assert_type

import lowlevel as web

# Handlers.


async def home(request: web.BaseRequest) -> web.Response:
    return web.Response(text="home")


async def page(request: web.BaseRequest) -> web.StreamResponse:
    raise web.HTTPNotFound


def blocking(request: web.BaseRequest) -> web.Response:
    return web.Response()


async def words(request: web.BaseRequest) -> str:
    return "words"


def numbers(request: web.BaseRequest) -> list[int]:
    return [1]


async def chat(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
    await ws.send_str("hi")


async def of_nothing() -> web.Response:
    return web.Response()


class Home(web.HTTPEndpoint):
    async def get(self, request: web.BaseRequest, name: str) -> web.Response:
        return web.Response(text=name)


class Chat(web.WebSocketEndpoint):
    encoding = "text"


class Callable:
    async def __call__(self, request: web.BaseRequest) -> web.Response:
        return web.Response()


a_handler: web.Handler = home
a_handler = page
a_handler = Callable()
a_handler = Home
a_handler = Chat
a_handler = web.Router()
a_handler = web.Application()
a_handler = web.StaticFiles(".")
a_handler = web.websocket(chat)
a_handler = web.compose(home)
a_handler = blocking  # type: ignore[assignment]
a_handler = words  # type: ignore[assignment]
a_handler = of_nothing  # type: ignore[assignment]
a_handler = chat  # type: ignore[assignment]

web.Server(home)
web.Server(Home)
web.Server(web.Router())
web.Server(web.Application())
web.Server(web.compose(words, web.coerce))
web.Server(blocking)  # type: ignore[arg-type]
web.Server(words)  # type: ignore[arg-type]


async def calls(request: web.BaseRequest) -> None:
    assert_type(await web.Router()(request), web.StreamResponse)
    assert_type(await web.Application()(request), web.StreamResponse)
    assert_type(await Home(request), web.StreamResponse)
    assert_type(await Chat(request), web.StreamResponse)
    assert_type(await web.compose(words, web.coerce)(request), web.StreamResponse)


# Routes: decorators leave what they decorate as it is.

router = web.Router(fallback=home, trim_last_slash=True)


@router.get("/", "/index", hosts="a.test")
async def index(request: web.BaseRequest) -> web.Response:
    return web.Response()


@router.route("/blocking", methods=["GET", "POST"])
def in_thread(request: web.BaseRequest) -> dict[str, int]:
    return {"a": 1}


@router.websocket("/ws")
async def socket(request: web.BaseRequest, ws: web.WebSocketResponse) -> None: ...


@router.route("/users/{name}")
class User(web.HTTPEndpoint):
    def greet(self) -> int:
        return 1


async def decorated(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
    assert_type(await index(request), web.Response)
    assert_type(in_thread(request), dict[str, int])
    await socket(request, ws)
    assert_type(User(request).greet(), int)
    await index()  # type: ignore[call-arg]
    await socket(request)  # type: ignore[call-arg]


router.add_get("/home", home)
router.add_route({"GET", "PUT"}, "/words", words)
router.add_route("*", "/numbers", numbers)
router.add_websocket("/chat", chat)
router.mount("/static", web.StaticFiles("."))
router.add_get("/nothing", of_nothing)  # type: ignore[arg-type]
router.add_get("/number", 7)  # type: ignore[arg-type]
router.add_get(7, home)  # type: ignore[arg-type]
router.route("/", method="GET")  # type: ignore[call-arg]
web.Router(home)  # type: ignore[call-arg]

found, values = router.resolve("GET", "/", host="a.test", websocket=False)
assert_type(router.routes()[0].methods, tuple[str, ...])
assert_type(values["id"], Any)

# Middlewares.


async def through(request: web.BaseRequest, handler: web.Handler) -> web.StreamResponse:
    response = await handler(request)
    assert_type(response, web.StreamResponse)
    response.headers["X-Agent"] = "SimpleX"
    return response


def wrapper(handler: web.Handler) -> web.Handler:
    return handler


async def narrow(request: web.BaseRequest, handler: web.Handler) -> web.Response:
    return web.Response()


async def swapped(handler: web.Handler, request: web.BaseRequest) -> web.StreamResponse:
    return await handler(request)


async def with_realm(
    realm: str, request: web.BaseRequest, handler: web.Handler
) -> web.StreamResponse:
    return await handler(request)


a_middleware: web.Middleware = through
a_middleware = narrow
a_middleware = partial(with_realm, "there")
a_middleware = web.coerce
a_middleware = web.ErrorHandlers()
a_middleware = web.compression()
a_middleware = wrapper  # type: ignore[assignment]
a_middleware = swapped  # type: ignore[assignment]
a_middleware = home  # type: ignore[assignment]

assert_type(web.compose(home), web.Handler)
assert_type(web.compose(home, through, wrapper, web.ErrorHandlers()), web.Handler)
assert_type(web.compose(words, web.compression(), web.coerce), web.Handler)
assert_type(web.compose(blocking, partial(with_realm, "there")), web.Handler)
assert_type(web.compose(Home, through), web.Handler)
web.compose(of_nothing)  # type: ignore[arg-type]
web.compose(home, 7)  # type: ignore[arg-type]
web.compose(home, swapped)  # type: ignore[arg-type]
web.compose(home, web.compression)  # type: ignore[arg-type]  # what it returns is one

# Conversions.

assert_type(web.to_response("text"), web.StreamResponse)
assert_type(web.to_response((201, {"x-a": "b"}, "text")), web.StreamResponse)

# Errors.

errors = web.ErrorHandlers({KeyError: lambda request, exc: "missing"})


@errors.on(ValueError, LookupError)
def mended(request: web.BaseRequest, exc: ValueError | LookupError) -> tuple[int, str]:
    return 422, str(exc)


@errors.on(web.HTTPNotFound)
async def missing(request: web.BaseRequest, exc: web.HTTPNotFound) -> web.Response:
    return web.Response(text=exc.reason)


async def answers(request: web.BaseRequest) -> None:
    assert_type(mended(request, ValueError()), tuple[int, str])
    assert_type(await missing(request, web.HTTPNotFound()), web.Response)
    assert_type(await errors(request, home), web.StreamResponse)


errors.on(BaseException)  # type: ignore[arg-type]
errors.on("ValueError")  # type: ignore[arg-type]
errors.on(ValueError)(home)  # type: ignore[type-var]
errors.on(ValueError)(7)  # type: ignore[type-var]
web.ErrorHandlers({int: mended})  # type: ignore[dict-item]

# Streams.


async def pieces() -> AsyncIterator[bytes]:
    yield b"piece"


async def texts() -> AsyncIterator[str]:
    yield "text"


async def streams(request: web.BaseRequest) -> None:
    assert_type(await web.bytes_reader(request.content), bytes)
    assert_type(await web.text_reader(pieces(), "latin-1", max_size=10), str)
    await web.bytes_reader(texts())  # type: ignore[arg-type]
    async for piece in web.text_writer("text", chunk_size=4):
        assert_type(piece, bytes)
    async for piece in web.bytes_writer(b"data", 4):
        assert_type(piece, bytes)
    web.bytes_writer("text")  # type: ignore[arg-type]
    web.text_writer(b"data")  # type: ignore[arg-type]
    web.Response(body=web.text_writer("text"))


# Applications.

count = web.AppKey("count", int)
app = web.Application(
    info={"name": "app"},
    router=router,
    middlewares=[through, wrapper, web.compression()],
    lifespan=web.Lifespan(),
    debug=True,
)


@app.route("/count")
async def counting(request: web.BaseRequest) -> dict[str, int]:
    assert_type(request.app[count], int)
    request.app[count] += 1
    return {"count": request.app[count]}


@app.middleware
async def marking(request: web.BaseRequest, handler: web.Handler) -> web.Response:
    return web.Response()


@app.middleware
def guard(handler: web.Handler) -> web.Handler:
    return handler


@app.on_error(ValueError)
async def handled(request: web.BaseRequest, exc: ValueError) -> int:
    return 422


@app.on_startup
async def start(app: web.Application) -> None:
    app[count] = 0
    app[count] = "none"  # type: ignore[misc]


@app.on_shutdown
def stop() -> None: ...


async def applications(request: web.BaseRequest) -> None:
    assert_type(await counting(request), dict[str, int])
    assert_type(await marking(request, home), web.Response)
    assert_type(guard(home), web.Handler)
    assert_type(await handled(request, ValueError()), int)
    assert_type(app.router, web.Router)
    assert_type(app.errors, web.ErrorHandlers)
    assert_type(app.lifespan, web.Lifespan)
    await start(app)
    stop()
    async with app.lifespan:
        pass


app.mount("/sub", web.Application())
app.middlewares.append(through)
app.middlewares.append(wrapper)
app.middlewares.append(home)  # type: ignore[arg-type]
app.middlewares.append(7)  # type: ignore[arg-type]
app.middleware(7)  # type: ignore[type-var]
app.on_error(KeyboardInterrupt)  # type: ignore[arg-type]
web.Application({})  # type: ignore[call-arg]
web.Application(info=[])  # type: ignore[arg-type]
web.Application(debug="yes")  # type: ignore[arg-type]
