"""An application: one handler with routes, middlewares, error handlers, shared data and a lifespan."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest

import lowlevel as web
from lowlevel.toolkit.application import Application
from tests.support import Answer, Peer, request, serving
from tests.wsframes import WSPeer, handshake, text

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


async def ok(request: web.BaseRequest) -> web.Response:
    return web.Response(text="OK")


async def once(handler: Any, sent: bytes = b"") -> Answer:
    async with serving(handler) as served, Peer.connect(served.port) as peer:
        return await peer.ask(sent or request())


# A mapping.


def test_it_is_a_mapping() -> None:
    app = Application()
    assert isinstance(app, MutableMapping)
    app["name"] = "Michael Caine"
    app.update({"age": 90}, job="actor")
    assert dict(app) == {"name": "Michael Caine", "age": 90, "job": "actor"}
    assert (app["age"], app.get("age"), app.get("size"), app.get("size", 0)) == (90, 90, None, 0)
    assert ("age" in app, "size" in app, len(app), list(app)) == (
        True,
        False,
        3,
        ["name", "age", "job"],
    )
    del app["age"]
    assert app.pop("job") == "actor"
    assert app.setdefault("size", 1) == 1
    with pytest.raises(KeyError):
        app["age"]


def test_it_is_itself_whatever_is_in_it() -> None:
    one, other = Application(), Application()
    assert one == one
    assert one != other
    assert len({one, other}) == 2
    assert bool(one)
    one["key"] = 1
    assert "key" not in other


def test_typed_keys() -> None:
    key = web.AppKey("pool", list)
    app = Application()
    app[key] = [1]
    assert app[key] == [1]
    assert key in app
    assert "pool" not in app


def test_info_is_kept_as_it_is() -> None:
    info: dict[Any, Any] = {"message": "This is not a test"}
    app = Application(info=info)
    assert app["message"] == "This is not a test"
    app["one"] = 1
    info["two"] = 2
    assert info == {"message": "This is not a test", "one": 1, "two": 2}
    assert app["two"] == 2
    empty: dict[Any, Any] = {}
    Application(info=empty)["one"] = 1
    assert empty == {"one": 1}


async def test_requests_share_it() -> None:
    app = Application(info={"name": "Michael Caine"})

    @app.route("/info", methods="GET")
    async def get_info(request: web.BaseRequest) -> web.Response:
        return web.json_response(dict(request.app))

    @app.route("/info", methods={"POST"})
    async def set_info(request: web.BaseRequest) -> web.Response:
        assert request.app is app
        request.app.update(await request.json())
        return web.Response(status=204)

    async with serving(app) as served, Peer.connect(served.port) as peer:
        answer = await peer.ask(request("GET", "/info"))
        assert (answer.status, answer.body) == (200, b'{"name": "Michael Caine"}')
        assert (await peer.ask(request("POST", "/info", body=b'{"name": "Bob"}'))).status == 204
        assert (await peer.ask(request("POST", "/info", body=b"{"))).status == 400
        assert (await peer.ask(request("GET", "/info"))).body == b'{"name": "Bob"}'
        answer = await peer.ask(request("PUT", "/info"))
        assert (answer.status, answer.headers["allow"]) == (405, ["GET, HEAD, POST"])


async def test_without_an_application_there_is_no_app() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        with pytest.raises(AttributeError):
            request.app  # noqa: B018
        return web.Response(text=str(hasattr(request, "app")))

    router = web.Router()
    router.add_get("/", handler)
    assert (await once(router)).body == b"False"


# Routes.


async def test_the_first_program() -> None:
    app = Application(info={"message": "This is not a test"})
    matches: list[object] = []

    @app.route("/test", methods="GET")
    async def test(request: web.BaseRequest) -> web.Response:
        matches.append(request.match_info)
        return web.Response(text=request.app["message"])

    async with serving(app) as served, Peer.connect(served.port) as peer:
        answer = await peer.ask(request("GET", "/test"))
        assert (answer.status, answer.body) == (200, b"This is not a test")
        assert answer.headers["content-length"] == ["18"]
        assert answer.headers["content-type"] == ["text/plain; charset=utf-8"]
        head = await peer.ask(request("HEAD", "/test"))
        del head.headers["date"], answer.headers["date"]
        assert (head.status, head.headers, head.body) == (200, answer.headers, b"")
        answer = await peer.ask(request("POST", "/test"))
        assert (answer.status, answer.headers["allow"]) == (405, ["GET, HEAD"])
        for _ in range(2):
            answer = await peer.ask(request("GET", "/nope"))
            assert (answer.status, answer.body) == (404, b"404: Not Found")
    assert matches == [{}, {}]


async def test_decorators_return_the_handler_unchanged() -> None:
    app = Application()

    def handler(request: web.BaseRequest) -> str:
        return request.path

    assert app.route("/a", "/b")(app.route("/c")(handler)) is handler
    async with serving(app) as served, Peer.connect(served.port) as peer:
        for path in ("/a", "/b", "/c"):
            assert (await peer.ask(request("PATCH", path))).body.decode() == path


async def test_values_of_all_kinds_are_answers() -> None:
    app = Application()
    main = threading.get_ident()

    @app.route("/text")
    def text_(request: web.BaseRequest) -> str:
        return "in a thread" if threading.get_ident() != main else "on the loop"

    @app.route("/json")
    async def json_(request: web.BaseRequest) -> dict[str, int]:
        return {"a": 1}

    @app.route("/status")
    async def status(request: web.BaseRequest) -> int:
        return 204

    @app.route("/tuple/{name}")
    async def tuple_(request: web.BaseRequest) -> tuple[int, str]:
        return 201, str(request.match_info["name"])

    @app.route("/home")
    class Home(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest) -> Any:
            return web.Response(text="home")

    async with serving(app) as served, Peer.connect(served.port) as peer:
        assert (await peer.ask(request("GET", "/text"))).body == b"in a thread"
        assert (await peer.ask(request("GET", "/json"))).body == b'{"a":1}'
        assert (await peer.ask(request("GET", "/status"))).status == 204
        answer = await peer.ask(request("GET", "/tuple/a%20b"))
        assert (answer.status, answer.body) == (201, b"a b")
        assert (await peer.ask(request("GET", "/home"))).body == b"home"
        answer = await peer.ask(request("PUT", "/home"))
        assert (answer.status, answer.headers["allow"]) == (405, ["GET, HEAD"])


async def test_routes_may_be_added_while_it_serves() -> None:
    app = Application()
    async with serving(app) as served, Peer.connect(served.port) as peer:
        assert (await peer.ask(request("GET", "/late"))).status == 404
        app.router.add_get("/late", ok)
        assert (await peer.ask(request("GET", "/late"))).status == 200


async def test_websockets() -> None:
    app = Application(info={"greeting": "You said: "})

    @app.websocket("/test")
    async def echo(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
        async for message in ws:
            await ws.send_str(request.app["greeting"] + message.data)

    @app.middleware
    async def marking(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        response.headers["X-Agent"] = "SimpleX"
        return response

    async with serving(app) as served:
        async with WSPeer.connect(served.port, path="/test") as client:
            await client.send(text("hi"))
            assert (await client.read_frame()).payload == b"You said: hi"
        async with Peer.connect(served.port) as peer:
            answer = await peer.ask(request("GET", "/test"))
            assert (answer.status, answer.headers["x-agent"]) == (426, ["SimpleX"])
            assert (await peer.ask(handshake("/nope"))).status == 404


async def test_a_router_of_ones_own() -> None:
    router = web.Router()
    router.add_get("/", ok)
    app = Application(router=router)
    assert app.router is router
    assert (await once(app)).body == b"OK"


async def test_what_is_no_router_gets_everything_without_a_route() -> None:
    async def rest(request: web.BaseRequest) -> str:
        return f"{request.method} {request.path} {dict(request.match_info)}"

    app = Application(router=rest)
    app.route("/here", methods="GET")(ok)
    async with serving(app) as served, Peer.connect(served.port) as peer:
        assert (await peer.ask(request("GET", "/here"))).body == b"OK"
        assert (await peer.ask(request("PUT", "/here"))).body == b"PUT /here {}"
        assert (await peer.ask(request("GET", "/there"))).body == b"GET /there {}"


# Middlewares.


def noting(notes: list[str], name: str) -> Any:
    async def note(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        notes.append(f"{name} in")
        response = await handler(request)
        notes.append(f"{name} out {response.status}")
        return response

    return note


async def test_the_first_is_outermost_however_they_came() -> None:
    notes: list[str] = []
    app = Application(middlewares=[noting(notes, "a"), noting(notes, "b")])
    c = noting(notes, "c")
    assert app.middleware(c) is c

    @app.middleware
    def wrapper(handler: Handler) -> Handler:
        async def inner(request: web.BaseRequest) -> web.StreamResponse:
            notes.append("d in")
            response = await handler(request)
            notes.append(f"d out {response.status}")
            return response

        return inner

    assert app.middlewares[2:] == [c, wrapper]
    assert (await once(app)).status == 404
    assert notes == [
        *(f"{name} in" for name in "abcd"),
        *(f"{name} out 404" for name in "dcba"),
    ]


async def test_the_list_may_change_at_any_time() -> None:
    notes: list[str] = []
    app = Application()
    app.route("/")(ok)
    a, b, c = (noting(notes, name) for name in "abc")

    async with serving(app) as served, Peer.connect(served.port) as peer:

        async def entered() -> str:
            notes.clear()
            assert (await peer.ask(request())).status == 200
            return "".join(note[0] for note in notes if note.endswith("in"))

        assert await entered() == ""
        app.middlewares.append(a)
        assert await entered() == "a"
        app.middlewares.insert(0, b)
        assert await entered() == "ba"
        app.middlewares.extend([c, c])
        assert await entered() == "bacc"
        app.middlewares[0] = c
        assert await entered() == "cacc"
        app.middlewares.remove(c)
        assert await entered() == "acc"
        del app.middlewares[1:]
        assert await entered() == "a"
        app.middlewares[:] = [b, c]
        assert await entered() == "bc"
        app.middlewares.reverse()
        assert await entered() == "cb"
        app.middlewares += [a]
        assert await entered() == "cba"
        app.middlewares = [a, b]
        assert await entered() == "ab"
        with pytest.raises(TypeError, match="a middleware must be callable"):
            app.middlewares = [a, 7]
        app.middlewares += (c, a)
        assert await entered() == "abca"
        assert app.middlewares.pop() is a
        assert len(app.middlewares) == 3
        app.middlewares.clear()
        assert await entered() == ""


async def test_a_header_for_every_answer() -> None:
    app = Application()

    @app.middleware
    async def marking(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        response.headers["X-Agent"] = "SimpleX"
        return response

    @app.route("/get", methods="GET")
    async def get(request: web.BaseRequest) -> str:
        return "OK"

    @app.route("/forbidden")
    async def forbidden(request: web.BaseRequest) -> None:
        raise web.HTTPForbidden

    async with serving(app) as served, Peer.connect(served.port) as peer:
        for target, method, status in (
            ("/get", "GET", 200),
            ("/get", "POST", 405),
            ("/nope", "GET", 404),
            ("/forbidden", "GET", 403),
        ):
            answer = await peer.ask(request(method, target))
            assert (answer.status, answer.headers["x-agent"]) == (status, ["SimpleX"])


async def test_authorisation_by_a_wrapper() -> None:
    app = Application()

    @app.middleware
    def auth(handler: Handler) -> Handler:
        async def inner(request: web.BaseRequest) -> web.StreamResponse:
            if "Authorization" not in request.headers:
                return web.Response(status=401, text="who are you?")
            return await handler(request)

        return inner

    app.route("/")(ok)
    async with serving(app) as served, Peer.connect(served.port) as peer:
        assert (await peer.ask(request())).status == 401
        assert (await peer.ask(request("GET", "/", "Authorization: Basic eA=="))).body == b"OK"


async def test_middlewares_know_the_route_before_the_handler_runs() -> None:
    app = Application()
    seen: list[tuple[str, dict[str, Any], bool]] = []

    @app.middleware
    async def looking(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        seen.append((request.path, dict(request.match_info), request.app is app))
        return await handler(request)

    @app.route("/users/{id:int}", methods="GET")
    async def user(request: web.BaseRequest) -> str:
        return str(request.match_info["id"] + 1)

    async with serving(app) as served, Peer.connect(served.port) as peer:
        assert (await peer.ask(request("GET", "/users/41"))).body == b"42"
        assert (await peer.ask(request("PUT", "/users/41"))).status == 405
        assert (await peer.ask(request("GET", "/users/x"))).status == 404
    assert seen == [
        ("/users/41", {"id": 41}, True),
        ("/users/41", {}, True),
        ("/users/x", {}, True),
    ]


async def test_a_clone_is_routed_again() -> None:
    app = Application()

    @app.middleware
    async def rewriting(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        if request.path == "/old":
            request = request.clone(rel_url="/new/7")
        elif "X-Method" in request.headers:
            request = request.clone(method=request.headers["X-Method"])
        return await handler(request)

    @app.route("/old")
    async def old(request: web.BaseRequest) -> str:
        return "old"

    @app.route("/new/{id:int}", methods="GET")
    async def new(request: web.BaseRequest) -> str:
        return f"new {request.match_info['id']} {request.app is app}"

    async with serving(app) as served, Peer.connect(served.port) as peer:
        assert (await peer.ask(request("GET", "/old"))).body == b"new 7 True"
        assert (await peer.ask(request("GET", "/new/8"))).body == b"new 8 True"
        assert (await peer.ask(request("GET", "/new/8", "X-Method: DELETE"))).status == 405


async def test_state_of_a_request_is_its_own() -> None:
    app = Application()
    user = web.RequestKey("user", str)

    @app.middleware
    async def knowing(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        assert user not in request
        request[user] = "Zoë"
        return await handler(request)

    @app.route("/")
    async def tell(request: web.BaseRequest) -> str:
        return request[user]

    async with serving(app) as served, Peer.connect(served.port) as peer:
        for _ in range(2):
            assert (await peer.ask(request())).body.decode() == "Zoë"


# Errors.


async def test_errors_of_handlers_but_not_of_middlewares(caplog: pytest.LogCaptureFixture) -> None:
    app = Application()
    notes: list[str] = []

    @app.on_error(ValueError)
    async def mended(request: web.BaseRequest, exc: ValueError) -> tuple[int, str]:
        assert request.app is app
        return 422, f"mended: {exc}"

    @app.middleware
    async def outer(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        notes.append("outer in")
        response = await handler(request)
        notes.append(f"outer out {response.status}")
        if request.path == "/after":
            raise ValueError("in the middleware, after")
        return response

    @app.middleware
    async def inner(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        notes.append("inner in")
        if request.path == "/before":
            raise ValueError("in the middleware, before")
        response = await handler(request)
        notes.append(f"inner out {response.status}")
        return response

    @app.route("/{rest:path}")
    async def failing(request: web.BaseRequest) -> str:
        raise ValueError("in the handler")

    answer = await once(app)
    assert (answer.status, answer.body) == (422, b"mended: in the handler")
    assert notes == ["outer in", "inner in", "inner out 422", "outer out 422"]
    assert not caplog.records
    assert (await once(app, request("GET", "/before"))).status == 500
    assert (await once(app, request("GET", "/after"))).status == 500
    assert "in the middleware, before" in caplog.text
    assert "in the middleware, after" in caplog.text


async def test_error_handlers_of_all_kinds() -> None:
    app = Application()

    @app.on_error(LookupError)
    def lookup(request: web.BaseRequest, exc: LookupError) -> dict[str, str]:
        return {"handled by": "LookupError"}

    @app.on_error(Exception)
    async def everything(request: web.BaseRequest, exc: Exception) -> str:
        return "handled by Exception"

    errors: dict[str, Callable[[], BaseException]] = {
        "/key": lambda: KeyError("x"),
        "/value": lambda: ValueError("x"),
        "/http": lambda: web.HTTPForbidden(text="keep out"),
        "/decode": lambda: web.RequestDecodeError(text="no JSON"),
    }

    @app.route("/{name}")
    async def failing(request: web.BaseRequest) -> None:
        raise errors[request.path]()

    async with serving(app) as served, Peer.connect(served.port) as peer:
        answer = await peer.ask(request("GET", "/key"))
        assert (answer.status, answer.body) == (200, b'{"handled by":"LookupError"}')
        answer = await peer.ask(request("GET", "/value"))
        assert (answer.status, answer.body) == (200, b"handled by Exception")
        answer = await peer.ask(request("GET", "/http"))
        assert (answer.status, answer.body) == (403, b"keep out")
        assert (await peer.ask(request("GET", "/decode"))).status == 400

        @app.on_error(LookupError)
        async def later(request: web.BaseRequest, exc: LookupError) -> int:
            return 410

        assert (await peer.ask(request("GET", "/key"))).status == 410


async def test_pages_for_misses() -> None:
    app = Application()

    @app.on_error(web.HTTPNotFound, web.HTTPMethodNotAllowed)
    async def missing(request: web.BaseRequest, exc: web.HTTPException) -> tuple[int, str]:
        return exc.status, f"no {request.path} for {request.method}"

    app.route("/get", methods="GET")(ok)
    async with serving(app) as served, Peer.connect(served.port) as peer:
        answer = await peer.ask(request("GET", "/nope"))
        assert (answer.status, answer.body) == (404, b"no /nope for GET")
        answer = await peer.ask(request("POST", "/get"))
        assert (answer.status, answer.body) == (405, b"no /get for POST")


def test_on_error_returns_the_function_and_is_the_one_of_errors() -> None:
    app = Application()

    async def function(request: web.BaseRequest, exc: Exception) -> str:
        return ""

    assert app.on_error(ValueError)(function) is function
    assert isinstance(app.errors, web.ErrorHandlers)
    assert "ValueError" in repr(app.errors)
    with pytest.raises(TypeError):
        app.on_error(BaseException)  # type: ignore[arg-type]


@pytest.mark.parametrize("debug", [False, True])
async def test_debug_shows_the_traceback(debug: bool, caplog: pytest.LogCaptureFixture) -> None:
    app = Application(debug=debug)

    @app.route("/")
    async def failing(request: web.BaseRequest) -> str:
        raise ValueError("a secret")

    answer = await once(app)
    assert answer.status == 500
    assert (b"a secret" in answer.body) is debug
    assert (b"Traceback" in answer.body) is debug
    assert answer.headers["connection"] == ["close"]
    assert "a secret" in caplog.text


async def test_nonsense_is_told_by_the_name_of_the_handler(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()

    @app.route("/async")
    async def forgetful(request: web.BaseRequest) -> None:
        """Return nothing."""

    @app.route("/sync")
    def blocking(request: web.BaseRequest) -> None:
        """Return nothing, in a thread."""

    @app.middleware
    async def careless(request: web.BaseRequest, handler: Handler) -> Any:
        response = await handler(request)
        return None if request.path == "/middleware" else response

    with caplog.at_level(logging.ERROR):
        async with serving(app) as served, Peer.connect(served.port) as peer:
            for path in ("/async", "/sync", "/middleware"):
                assert (await peer.ask(request("GET", path))).status == 500
    messages = [record.getMessage() for record in caplog.records]
    for name, message in zip(("forgetful", "blocking", "careless"), messages, strict=True):
        assert f".{name} returned NoneType, not a response" in message


# Mounting.


async def test_an_application_in_an_application() -> None:
    notes: list[str] = []
    outer = Application(info={"name": "outer"}, middlewares=[noting(notes, "outer")])
    inner = Application(info={"name": "inner"}, middlewares=[noting(notes, "inner")])

    @inner.on_error(ValueError)
    async def mended(request: web.BaseRequest, exc: ValueError) -> tuple[int, str]:
        return 422, f"mended by {request.app['name']}"

    @inner.route("/page/{id:int}")
    async def page(request: web.BaseRequest) -> str:
        facts = (
            request.app["name"],
            request.prefix,
            request.path,
            dict(request.match_info),
            str(request.url),
        )
        return repr(facts)

    @inner.route("/failing")
    async def failing(request: web.BaseRequest) -> str:
        raise ValueError

    @outer.on_error(KeyError)
    async def outer_mended(request: web.BaseRequest, exc: KeyError) -> str:
        return f"mended by {request.app['name']}"

    @inner.route("/key")
    async def key(request: web.BaseRequest) -> str:
        raise KeyError

    @outer.middleware
    async def still_outer(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        assert request.app is outer
        assert request.prefix == ""
        return response

    assert outer.mount("/sub", inner) is inner
    async with serving(outer) as served, Peer.connect(served.port) as peer:
        answer = await peer.ask(request("GET", "/sub/page/7?x=1"))
        assert answer.body.decode() == repr(
            ("inner", "/sub", "/page/7", {"id": 7}, "http://a.test/sub/page/7?x=1")
        )
        assert notes == ["outer in", "inner in", "inner out 200", "outer out 200"]
        answer = await peer.ask(request("GET", "/sub/failing"))
        assert (answer.status, answer.body) == (422, b"mended by inner")
        answer = await peer.ask(request("GET", "/sub/key"))
        assert (answer.status, answer.body) == (200, b"mended by outer")
        notes.clear()
        assert (await peer.ask(request("GET", "/sub/nope"))).status == 404
        assert notes == ["outer in", "inner in", "inner out 404", "outer out 404"]
        notes.clear()
        assert (await peer.ask(request("GET", "/subway"))).status == 404
        assert notes == ["outer in", "outer out 404"]


async def test_three_floors() -> None:
    outer, middle, inner = Application(), Application(), Application()

    @inner.route("/")
    async def home(request: web.BaseRequest) -> str:
        return f"{request.prefix} {request.path} {request.app is inner}"

    middle.mount("/c", inner)
    outer.mount("/a/b", middle)
    async with serving(outer) as served, Peer.connect(served.port) as peer:
        assert (await peer.ask(request("GET", "/a/b/c"))).body == b"/a/b/c / True"


async def test_any_handler_may_be_mounted() -> None:
    app = Application(info={"name": "app"})

    async def handler(request: web.BaseRequest) -> str:
        return f"{request.app['name']} {request.path}"

    app.mount("/any", handler)
    async with serving(app) as served, Peer.connect(served.port) as peer:
        assert (await peer.ask(request("DELETE", "/any/where"))).body == b"app /where"


async def test_an_application_behind_routes_of_a_router() -> None:
    router = web.Router()
    app = Application()
    app.route("/home")(ok)
    router.mount("/app", app)
    async with serving(router) as served, Peer.connect(served.port) as peer:
        assert (await peer.ask(request("GET", "/app/home"))).body == b"OK"
        assert (await peer.ask(request("GET", "/app/nope"))).status == 404


# The lifespan.


def recording(notes: list[str], app: Application, name: str) -> None:
    @app.on_startup
    async def start(given: Application) -> None:
        assert given is app
        notes.append(f"{name} starts")

    @app.on_shutdown
    def stop(given: Application) -> None:
        assert given is app
        notes.append(f"{name} stops")


async def test_it_begins_and_ends_with_the_runner() -> None:
    notes: list[str] = []
    app = Application()
    recording(notes, app, "one")
    recording(notes, app, "two")

    @app.route("/")
    async def home(request: web.BaseRequest) -> str:
        notes.append("request")
        return "OK"

    runner = web.ServerRunner(web.Server(app, access_log=None))
    await runner.setup()
    try:
        assert notes == ["one starts", "two starts"]
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with Peer.connect(site.port) as peer:
            assert (await peer.ask(request())).body == b"OK"
    finally:
        await runner.cleanup()
    assert notes == ["one starts", "two starts", "request", "one stops", "two stops"]


async def test_a_failing_start_is_told() -> None:
    app = Application()
    notes: list[str] = []
    recording(notes, app, "one")

    @app.on_startup
    async def fail(app: Application) -> None:
        raise OSError("no database")

    runner = web.ServerRunner(web.Server(app, access_log=None))
    with pytest.raises(OSError, match="no database"):
        await runner.setup()
    await runner.cleanup()
    assert notes == ["one starts"], "what was not up is not taken down"


async def test_mounted_applications_begin_and_end_with_it() -> None:
    notes: list[str] = []
    outer, inner = Application(), Application()
    recording(notes, outer, "outer")
    recording(notes, inner, "inner")
    outer.mount("/sub", inner)
    outer.mount("/again", inner)
    outer.mount("/other", ok)
    async with outer.lifespan:
        notes.append("serving")
    assert notes == ["outer starts", "inner starts", "serving", "inner stops", "outer stops"]


async def test_a_composed_application_is_mounted_with_its_lifespan() -> None:
    notes: list[str] = []
    outer, inner = Application(), Application()
    recording(notes, inner, "inner")
    outer.mount("/sub", web.compose(inner, web.compression()))
    async with outer.lifespan:
        pass
    assert notes == ["inner starts", "inner stops"]


async def test_a_lifespan_of_ones_own() -> None:
    given: list[object] = []
    lifespan = web.Lifespan(on_startup=given.append)
    app = Application(lifespan=lifespan)
    assert app.lifespan is lifespan
    assert app.on_startup is lifespan.on_startup
    assert app.on_shutdown is lifespan.on_shutdown
    async with lifespan:
        pass
    assert given == [app]
    with pytest.raises(ValueError, match="belongs to an application"):
        Application(lifespan=lifespan)


def test_the_decorators_of_the_lifespan_return_the_callback() -> None:
    app = Application()

    async def callback(app: Application) -> None:
        """Nothing."""

    assert app.on_startup(callback) is callback
    assert app.on_shutdown(callback) is callback
    assert list(app.on_startup) == list(app.on_shutdown) == [callback]


async def test_the_lists_of_the_lifespan_can_be_set() -> None:
    notes: list[str] = []
    app = Application()
    on_startup = app.on_startup
    app.on_startup = [lambda: notes.append("first")]
    app.on_startup += [lambda: notes.append("second")]
    app.on_shutdown = (lambda: notes.append("end"),)
    app.on_shutdown += [lambda: notes.append("very end")]
    assert app.on_startup is on_startup is app.lifespan.on_startup
    with pytest.raises(TypeError, match="on_startup callback must be callable"):
        app.on_startup = [7]
    async with app.lifespan:
        assert notes == ["first", "second"]
    assert notes == ["first", "second", "end", "very end"]


async def test_an_application_below_two_siblings_begins_and_ends_once() -> None:
    """It is there as long as either of them is."""
    notes: list[str] = []
    apps = {name: Application() for name in ("outer", "one", "two", "shared")}
    for name, app in apps.items():
        recording(notes, app, name)
    apps["one"].mount("/shared", apps["shared"])
    apps["two"].mount("/shared", apps["shared"])
    apps["outer"].mount("/one", apps["one"])
    apps["outer"].mount("/two", apps["two"])
    for _ in range(2):
        async with apps["outer"].lifespan:
            assert notes == [f"{name} starts" for name in ("outer", "one", "shared", "two")]
            notes.clear()
        assert notes == [f"{name} stops" for name in ("two", "shared", "one", "outer")]
        notes.clear()


async def test_an_application_below_itself_begins_and_ends_once() -> None:
    notes: list[str] = []
    app, other = Application(), Application()
    recording(notes, app, "it")
    recording(notes, other, "other")
    app.mount("/self", app)
    app.mount("/other", other)
    other.mount("/back", app)
    app.route("/")(ok)
    async with app.lifespan:
        assert notes == ["it starts", "other starts"]
        answer = await once(app, request("GET", "/self/other/back/self"))
        assert answer.body == b"OK"
    assert notes[2:] == ["other stops", "it stops"]


async def test_nothing_with_a_lifespan_is_mounted_too_late() -> None:
    app, late = Application(), Application()
    late.route("/")(ok)
    async with app.lifespan:
        for handler in (late, web.compose(late, web.compression())):
            with pytest.raises(RuntimeError, match=r"mount\('/late'\) comes too late"):
                app.mount("/late", handler)
        assert app.router.routes() == ()
        app.mount("/any", ok)
        assert (await once(app, request("GET", "/any"))).body == b"OK"
    app.mount("/late", late)
    assert (await once(app, request("GET", "/late"))).body == b"OK"


async def test_an_application_as_router_begins_and_ends_with_it() -> None:
    notes: list[str] = []
    inner = Application()
    recording(notes, inner, "inner")
    outer = Application(router=inner)
    recording(notes, outer, "outer")
    async with outer.lifespan:
        pass
    assert notes == ["outer starts", "inner starts", "inner stops", "outer stops"]


async def test_what_the_start_puts_in_is_there_for_requests() -> None:
    app = Application()
    pool = web.AppKey("pool", str)

    @app.on_startup
    async def connect(app: Application) -> None:
        app[pool] = "connected"

    @app.route("/")
    async def home(request: web.BaseRequest) -> str:
        return request.app[pool]

    async with app.lifespan:
        assert (await once(app)).body == b"connected"


# Many at once.


async def test_requests_at_the_same_time_know_their_own_application() -> None:
    outer, inner = Application(info={"name": "outer"}), Application(info={"name": "inner"})
    arrived = asyncio.Barrier(2)

    async def tell(request: web.BaseRequest) -> str:
        await arrived.wait()
        return f"{request.app['name']} {request.prefix}"

    outer.route("/")(tell)
    inner.route("/")(tell)
    outer.mount("/sub", inner)
    async with (
        serving(outer) as served,
        Peer.connect(served.port) as one,
        Peer.connect(served.port) as two,
    ):
        first, second = await asyncio.gather(one.ask(request()), two.ask(request("GET", "/sub")))
    assert (first.body, second.body) == (b"outer ", b"inner /sub")


# When it is made.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"info": [("a", 1)]}, "info"),
        ({"info": "text"}, "info"),
        ({"router": "text"}, "router must be callable"),
        ({"router": 3}, "router must be callable"),
        ({"middlewares": ["text"]}, "middleware"),
        ({"middlewares": 7}, "middleware"),
        ({"lifespan": "text"}, "lifespan"),
        ({"debug": 1}, "debug"),
        ({"debug": "yes"}, "debug"),
        ({"unknown": 1}, "unknown"),
    ],
    ids=str,
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Application(**options)


@pytest.mark.parametrize("name", ["router", "errors", "lifespan"])
def test_what_cannot_be_replaced(name: str) -> None:
    app = Application()
    with pytest.raises(AttributeError):
        setattr(app, name, getattr(Application(), name))


def test_get_is_that_of_a_mapping() -> None:
    """And tells who takes it for a decorator."""
    app = Application(info={"/here": 7, "name": "x"})
    with pytest.raises(TypeError, match=r"app\.router\.get\(\)"):
        app.get("/x")
    assert app.get("x") is None
    assert app.get("/x", 1) == 1
    assert app.get("/here") == 7
    assert app.get("name", 1) == "x"
    assert app.get(web.AppKey("/x", str)) is None


def test_options_have_names() -> None:
    with pytest.raises(TypeError):
        Application({})  # type: ignore[misc]


@pytest.mark.parametrize("nonsense", [None, "text", 7], ids=repr)
def test_what_is_registered_is_checked(nonsense: Any) -> None:
    app = Application()
    with pytest.raises(TypeError, match="callable"):
        app.route("/")(nonsense)
    with pytest.raises(TypeError, match="callable"):
        app.websocket("/")(nonsense)
    with pytest.raises(TypeError, match="callable"):
        app.middleware(nonsense)
    with pytest.raises(TypeError, match="callable"):
        app.middlewares.append(nonsense)
    with pytest.raises(TypeError, match="callable"):
        app.on_error(ValueError)(nonsense)
    with pytest.raises(TypeError, match="callable"):
        app.on_startup(nonsense)
    with pytest.raises(TypeError, match="callable"):
        app.mount("/sub", nonsense)
    assert app.router.routes() == ()
    assert len(app.middlewares) == 0


def test_routes_are_checked_when_they_are_registered() -> None:
    app = Application()
    with pytest.raises(ValueError, match="/{a}/{a}"):
        app.route("/{a}/{a}")(ok)
    with pytest.raises(ValueError, match="no-slash"):
        app.route("no-slash")(ok)
    app.route("/same", methods="GET")(ok)
    with pytest.raises(ValueError, match="/same"):
        app.route("/same", methods="GET")(ok)


def test_the_name_is_in_the_house() -> None:
    assert web.Application is Application
