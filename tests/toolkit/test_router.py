"""Router: which handler a request goes to, and what there is when there is none.

The grammar of paths has tests of its own.
"""

import functools
import itertools
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import lowlevel as web
from lowlevel.body import EMPTY_PAYLOAD
from lowlevel.protocol.head import RequestHead
from lowlevel.toolkit.patterns import Pattern
from tests.support import Answer, Peer, request, serving
from tests.wsframes import WSPeer, close, handshake, text

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


def saying(name: str) -> Any:
    """A handler that answers with its name and what a router told it."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        told = {
            "name": name,
            "info": dict(request.match_info),
            "method": request.method,
            "path": request.path,
            "raw_path": request.raw_path,
            "path_qs": request.path_qs,
            "rel_url": str(request.rel_url),
            "prefix": request.prefix,
            "url": str(request.url),
        }
        return web.json_response(told, headers={"X-Name": name})

    return handler


@asynccontextmanager
async def asking(router: Any) -> AsyncIterator[Callable[..., Any]]:
    """Serve a router; ``await ask("GET", "/path")`` returns an Answer."""
    async with serving(router) as site, Peer.connect(site.port) as peer:

        async def ask(method: str, target: str, *fields: str, **options: Any) -> Answer:
            return await peer.ask(request(method, target, *fields, **options))

        yield ask


def told(answer: Answer) -> Any:
    assert answer.status == 200, answer.head
    return json.loads(answer.body)


def name_of(router: web.Router, method: str, path: str, **options: Any) -> str:
    """What ``saying()`` called the handler that resolve() finds, or the status."""
    try:
        handler = router.resolve(method, path, **options).handler
    except web.HTTPException as exc:
        return str(exc.status)
    return str(_NAMES[handler])


_NAMES: dict[Any, str] = {}


def named(name: str) -> Any:
    handler = saying(name)
    _NAMES[handler] = name
    return handler


def made(
    method: str, target: str, host: str = "a.test", offer: bytes | None = None
) -> web.BaseRequest:
    """A request without a connection; ``offer`` is the value of Upgrade."""
    head = RequestHead(method, target.encode(), web.HttpVersion11, [(b"Host", host.encode())], True)
    if offer is not None:
        head.offer = offer
    channel: Any = None
    return web.BaseRequest.make(head, EMPTY_PAYLOAD, channel, None)


def resolved(
    router: web.Router, method: str, path: str, host: str = "a.test", websocket: bool = False
) -> tuple[Any, ...]:
    """What resolve() finds, in the same form."""
    try:
        handler, values = router.resolve(method, path, host, websocket)
    except web.HTTPException as exc:
        return exc.status, exc.headers.get("Allow") if exc.status == 405 else None
    return int(_NAMES[handler]), dict(values)


def requested(
    router: web.Router,
    method: str,
    target: str,
    host: str = "a.test",
    offer: bytes | None = None,
) -> tuple[Any, ...]:
    """What a request finds: number and values, or status and what is allowed."""
    seen = made(method, target, host, offer)
    found = router.look_up(seen)
    if isinstance(found, web.HTTPException):
        return found.status, found.headers.get("Allow") if found.status == 405 else None
    return int(_NAMES[found.route.handler]), dict(seen.match_info)


# --- Finding ------------------------------------------------------------------------------


async def test_the_first_steps() -> None:
    router = web.Router()

    @router.get("/hello/{name}")
    async def hello(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=f"Hello, {request.match_info['name']}!")

    @router.post("/")
    async def post(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=await request.text())

    async with asking(router) as ask:
        assert (await ask("GET", "/hello/bob?x=1")).body == b"Hello, bob!"
        assert (await ask("POST", "/", body=b"data")).body == b"data"
        assert (await ask("GET", "/nope")).status == 404
        answer = await ask("GET", "/")
        assert answer.status == 405
        assert answer.headers["allow"] == ["POST"]


async def test_an_empty_router() -> None:
    async with asking(web.Router()) as ask:
        for target in ("/", "/a", "http://a.test"):
            answer = await ask("GET", target)
            assert answer.status == 404
            assert answer.body == b"404: Not Found"


async def test_odd_targets() -> None:
    router = web.Router()
    router.add_route("*", "/{rest:path}", saying("all"))
    router.add_get("/plain", saying("plain"))
    async with asking(router) as ask:
        assert (await ask("OPTIONS", "*")).status in (200, 404)
        assert told(await ask("GET", "http://a.test"))["info"] == {"rest": ""}
        assert told(await ask("GET", "http://a.test/b?c"))["info"] == {"rest": "b"}
        assert told(await ask("GET", "http://b.test/plain?c"))["name"] == "plain"
        assert told(await ask("GET", "//a/b"))["info"] == {"rest": "/a/b"}
        assert told(await ask("GET", "/a?b=/c#d"))["info"] == {"rest": "a"}
        assert told(await ask("GET", "/plain?"))["name"] == "plain"
        assert told(await ask("GET", "/plain#x"))["name"] == "plain"
        assert told(await ask("GET", "/plai%6E#x?y"))["name"] == "plain"
        assert told(await ask("GET", "/%FF%"))["info"] == {"rest": "%FF%"}


async def test_connect_to_a_router() -> None:
    router = web.Router()
    router.add_get("/{x}", saying("x"))
    async with asking(router) as ask:
        assert (await ask("CONNECT", "a.test:80")).status == 404


async def test_match_info() -> None:
    router = web.Router()
    router.add_get("/", saying("root"))
    router.add_get("/{a}/{b:int}", saying("values"))
    async with asking(router) as ask:
        assert told(await ask("GET", "/"))["info"] == {}
        assert told(await ask("GET", "/a%2Fb/7"))["info"] == {"a": "a/b", "b": 7}
        # Nothing is left over on the connection.
        assert told(await ask("GET", "/"))["info"] == {}


async def test_static_paths_come_first() -> None:
    router = web.Router()
    router.add_get("/{x}", named("variable"))
    router.add_get(re.compile("/.*"), named("regex"))
    router.add_get("/a", named("a"))
    router.mount("/m", named("mount"))
    router.add_get("/m/x", named("static in a mount"))
    router.add_get("/m", named("static at a mount"))
    assert name_of(router, "GET", "/a") == "a"
    assert name_of(router, "GET", "/%61") == "a"
    assert name_of(router, "GET", "/b") == "variable"
    assert name_of(router, "GET", "/b/c") == "regex"
    assert name_of(router, "GET", "/m/x") == "static in a mount"
    assert name_of(router, "GET", "/m") == "static at a mount"
    assert name_of(router, "GET", "/m/y") == "regex"
    async with asking(router) as ask:
        assert told(await ask("GET", "/a"))["name"] == "a"
        assert told(await ask("GET", "/%61"))["name"] == "a"
        assert told(await ask("GET", "/m/x?y"))["name"] == "static in a mount"


async def test_then_the_order_of_registration() -> None:
    router = web.Router()
    router.add_get("/{x:int}", named("int"))
    router.add_get("/{x}", named("str"))
    router.add_get("/{x:float}", named("float"))
    router.mount("/m", named("mount"))
    router.add_get("/m/{x}", named("below"))
    router.add_get("/n/{x}", named("above"))
    router.mount("/n", named("mount n"))
    for path, name in (
        ("/1", "int"),
        ("/1.5", "str"),
        ("/m", "str"),
        ("/m/x", "mount"),
        ("/n/x", "above"),
        ("/n/x/y", "mount n"),
    ):
        assert name_of(router, "GET", path) == name
        async with asking(router) as ask:
            assert told(await ask("GET", path))["name"] == name


def test_any_method_keeps_its_place_before_one() -> None:
    router = web.Router()
    router.route("/{a}")(named("0"))
    router.get("/{b:int}")(named("1"))
    assert requested(router, "GET", "/5") == resolved(router, "GET", "/5") == (0, {"a": "5"})


async def test_a_method_that_does_not_fit_goes_on() -> None:
    router = web.Router()
    router.add_post("/a", named("post"))
    router.add_get("/{x}", named("get"))
    router.add_put("/{x:str}", named("put"))
    router.add_route("*", "/{x:path}", named("any"))
    for method, path, name in (
        ("POST", "/a", "post"),
        ("GET", "/a", "get"),
        ("PUT", "/a", "put"),
        ("DELETE", "/a", "any"),
        ("POST", "/b", "any"),
    ):
        assert name_of(router, method, path) == name
        async with asking(router) as ask:
            assert told(await ask(method, path))["name"] == name


async def test_one_handler_for_several_paths() -> None:
    router = web.Router()

    @router.route("/stat", "/status", "/users/{x}", methods="GET")
    async def status(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=str(dict(request.match_info)))

    async with asking(router) as ask:
        assert (await ask("GET", "/stat")).body == b"{}"
        assert (await ask("GET", "/status")).body == b"{}"
        assert (await ask("GET", "/users/1")).body == b"{'x': '1'}"
    assert [route.path for route in router.routes()] == ["/stat", "/status", "/users/{x}"]


async def test_trim_last_slash() -> None:
    router = web.Router(trim_last_slash=True)
    router.add_get("/", saying("root"))
    router.add_get("/a/", saying("a"))
    router.add_get("/b/{x}", saying("b"))
    router.mount("/m/", saying("m"))
    async with asking(router) as ask:
        for target, name in (
            ("/", "root"),
            ("//", "root"),
            ("/a", "a"),
            ("/a/", "a"),
            ("/a//?x", "a"),
            ("/b/1/", "b"),
            ("/m", "m"),
            ("/m/", "m"),
            ("/m/x/", "m"),
        ):
            assert told(await ask("GET", target))["name"] == name, target
        # The path of the request is what it was.
        assert told(await ask("GET", "/a//"))["path"] == "/a//"
        assert told(await ask("GET", "/m/x/"))["path"] == "/x/"


async def test_the_table_grows_while_it_is_used() -> None:
    router = web.Router()
    async with asking(router) as ask:
        for path, target in (
            ("/a", "/a"),
            ("/{x:int}", "/1"),
            ("/caf\xe9", "/caf%C3%A9"),
            ("/b/{x}", "/b/1"),
        ):
            assert (await ask("GET", target)).status == 404
            router.add_post(path, saying("post"))
            assert (await ask("GET", target)).headers["allow"] == ["POST"]
            router.add_get(path, saying("get"))
            assert told(await ask("GET", target))["name"] == "get"
            assert told(await ask("POST", target))["name"] == "post"
        assert (await ask("GET", "/m/x")).status == 404
        router.mount("/m", saying("m"))
        assert told(await ask("GET", "/m/x"))["name"] == "m"
        assert told(await ask("GET", "/m"))["name"] == "m"


# --- Methods ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
async def test_add_and_decorators(method: str) -> None:
    router = web.Router()
    handler = saying("added")
    name = method.lower()
    assert getattr(router, f"add_{name}")("/a", handler) is handler
    assert getattr(router, name)("/b", "/c")(handler) is handler
    assert router.add_route(method, "/d", handler) is handler
    assert router.route("/e", methods=[method])(handler) is handler
    for route in router.routes():
        assert route.methods == (method,)
        assert route.handler is handler
    allowed = "GET, HEAD" if method == "GET" else method
    async with asking(router) as ask:
        for path in ("/a", "/b", "/c", "/d", "/e"):
            assert (await ask(method, path)).status == 200
            other = await ask("PUT" if method != "PUT" else "POST", path)
            assert other.status == 405
            assert other.headers["allow"] == [allowed]


@pytest.mark.parametrize(
    ("methods", "listed"),
    [
        ("get", ("GET",)),
        ("Get", ("GET",)),
        (["post", "get", "GET"], ("GET", "POST")),
        ({"PUT"}, ("PUT",)),
        (iter(("b", "A")), ("A", "B")),
        ("PROPFIND", ("PROPFIND",)),
        ("*", ("*",)),
        (None, ("*",)),
        (["*"], ("*",)),
    ],
)
def test_methods(methods: Any, listed: tuple[str, ...]) -> None:
    router = web.Router()
    router.add_route(methods, "/a", saying("a"))
    (route,) = router.routes()
    assert route.methods == listed


def test_methods_and_hosts_that_are_read_once() -> None:
    """A decorator registers all its paths, and may be used again."""
    router = web.Router()
    decorator = router.route("/a", "/b", methods=iter(["GET", "POST"]), hosts=iter(["a", "b"]))
    decorator(saying("a"))
    assert [route.methods for route in router.routes()] == [("GET", "POST")] * 2
    router.websocket("/c", "/d", hosts=iter(["a", "b"]))(echo)
    assert [route.hosts for route in router.routes()] == [("a", "b")] * 4


@pytest.mark.parametrize("methods", [[], (), "", "G ET", "GET,POST", ["GET", ""]])
def test_no_methods(methods: Any) -> None:
    with pytest.raises(ValueError, match="'/a'"):
        web.Router().add_route(methods, "/a", saying("a"))


@pytest.mark.parametrize("methods", [1, b"GET", [b"GET"], [None]])
def test_methods_of_a_wrong_type(methods: Any) -> None:
    with pytest.raises(TypeError, match="'/a'"):
        web.Router().add_route(methods, "/a", saying("a"))


async def test_any_method() -> None:
    router = web.Router()
    router.add_route("*", "/any", saying("any"))
    router.route("/also", "/{x}/too")(saying("also"))
    async with asking(router) as ask:
        for method in [*METHODS, "PROPFIND", "QUERY"]:
            assert (await ask(method, "/any")).status == 200
            assert (await ask(method, "/also")).status == 200
            assert (await ask(method, "/a/too")).status == 200


async def test_the_list_of_what_would_do() -> None:
    """Of all routes whose path fits, sorted (RFC 9110 §10.2.1)."""
    router = web.Router()
    router.add_route(["PUT", "POST"], "/a", saying("a"))
    router.add_get("/{x}", saying("x"))
    router.add_delete("/{x:int}", saying("int"))
    async with asking(router) as ask:
        answer = await ask("PATCH", "/a")
        assert answer.status == 405
        assert answer.headers["allow"] == ["GET, HEAD, POST, PUT"]
        assert answer.body == b"405: Method Not Allowed"
        assert (await ask("PATCH", "/1")).headers["allow"] == ["DELETE, GET, HEAD"]
        # As before, and on the same connection.
        assert (await ask("PATCH", "/a")).headers["allow"] == ["GET, HEAD, POST, PUT"]


# --- HEAD ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/a", "/{x}", "/caf\xe9"])
@pytest.mark.parametrize("first", ["get", "head"])
async def test_head(path: str, first: str) -> None:
    target = {"/a": "/a", "/{x}": "/1", "/caf\xe9": "/caf%C3%A9"}[path]
    router = web.Router()
    if first == "get":
        router.add_get(path, saying("get"))
        async with asking(router) as ask:
            answer = await ask("HEAD", target)
            assert answer.headers["x-name"] == ["get"]
            assert int(answer.headers["content-length"][0]) > 0
        router.add_head(path, saying("head"))
    else:
        router.add_head(path, saying("head"))
        router.add_get(path, saying("get"))
    async with asking(router) as ask:
        assert (await ask("HEAD", target)).headers["x-name"] == ["head"]
        assert (await ask("GET", target)).headers["x-name"] == ["get"]
        assert (await ask("POST", target)).headers["allow"] == ["GET, HEAD"]


@pytest.mark.parametrize("path", ["/a", "/{x}"])
async def test_head_that_is_refused(path: str) -> None:
    router = web.Router()
    router.add_get(path, saying("a"), allow_head=False)
    router.get("/b", allow_head=False)(saying("b"))
    router.route("/c", methods=["GET", "PUT"], allow_head=False)(saying("c"))
    router.add_route("GET", "/d", saying("d"), allow_head=False)
    async with asking(router) as ask:
        for target, allowed in (("/a", "GET"), ("/b", "GET"), ("/c", "GET, PUT"), ("/d", "GET")):
            assert (await ask("GET", target)).status == 200
            answer = await ask("HEAD", target)
            assert answer.status == 405
            assert answer.headers["allow"][0].startswith(allowed)


def test_head_falls_through() -> None:
    router = web.Router()
    router.add_get("/a", named("static"), allow_head=False)
    router.add_get("/{x}", named("dynamic"))
    assert name_of(router, "GET", "/a") == "static"
    assert name_of(router, "HEAD", "/a") == "dynamic"


# --- Hosts --------------------------------------------------------------------------------


async def test_hosts() -> None:
    router = web.Router()
    router.add_get("/", named("a"), hosts="A.test")
    router.add_get("/", named("b"), hosts=["b.test", "bb.test:8080"])
    router.get("/only", hosts="a.test")(named("only"))
    router.add_get("/{x}", named("x of a"), hosts=("a.test",))
    router.add_get("/{x}", named("x"))
    router.add_get("/six", named("six"), hosts="[::1]")
    for host, path, name in (
        ("a.test", "/", "a"),
        ("A.TEST:8000", "/", "a"),
        ("b.test", "/", "b"),
        ("bb.test", "/", "b"),
        ("bb.test:9000", "/", "b"),
        ("c.test", "/", "404"),
        ("a.test.b", "/", "404"),
        ("a.test", "/only", "only"),
        ("b.test", "/only", "x"),
        ("a.test", "/1", "x of a"),
        ("b.test", "/1", "x"),
        ("[::1]", "/six", "six"),
        ("[::1]:80", "/six", "six"),
        ("::1", "/six", "six"),
    ):
        assert name_of(router, "GET", path, host=host) == name, (host, path)
        if host != "::1":
            async with asking(router) as ask:
                answer = await ask("GET", path, host=host)
                assert (answer.header("x-name") or str(answer.status)) == name, (host, path)
    assert name_of(router, "GET", "/") == "404"
    assert name_of(router, "GET", "/1") == "x"


async def test_the_host_of_an_absolute_target() -> None:
    router = web.Router()
    router.add_get("/", saying("b"), hosts="b.test")
    async with asking(router) as ask:
        assert (await ask("GET", "http://b.test/")).status == 200
        assert (await ask("GET", "http://a.test/")).status == 404


async def test_methods_of_another_host_are_not_told() -> None:
    router = web.Router()
    router.add_get("/", saying("a"), hosts="a.test")
    router.add_post("/", saying("b"), hosts="b.test")
    async with asking(router) as ask:
        assert (await ask("POST", "/", host="a.test")).headers["allow"] == ["GET, HEAD"]
        assert (await ask("GET", "/", host="b.test")).headers["allow"] == ["POST"]
        assert (await ask("GET", "/", host="c.test")).status == 404


@pytest.mark.parametrize(
    ("hosts", "kind"),
    [
        ([], ValueError),
        ("", ValueError),
        ([""], ValueError),
        ("a b/c", ValueError),
        ("http://a.test", ValueError),
        ("a.test:80/b", ValueError),
        ("\xfc" * 70, ValueError),
        (5, TypeError),
        ([5], TypeError),
        (b"a", TypeError),
    ],
)
def test_bad_hosts(hosts: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="route '/a': hosts"):
        web.Router().add_get("/a", saying("a"), hosts=hosts)


def test_a_host_with_other_letters() -> None:
    """Clients send it in ASCII (RFC 5890 §2.3.2.1)."""
    router = web.Router()
    router.add_get("/", named("0"), hosts="B\xfccher.example")
    assert router.routes()[0].hosts == ("xn--bcher-kva.example",)
    assert requested(router, "GET", "/", "xn--bcher-kva.example:80") == (0, {})


# --- Fallback -----------------------------------------------------------------------------


async def test_fallback() -> None:
    fallback = saying("fallback")
    router = web.Router(fallback=fallback)
    router.add_post("/a", saying("a"))
    router.add_get("/{x:int}/b", saying("b"))
    router.add_get("/h", saying("h"), hosts="h.test")
    async with asking(router) as ask:
        for method, target in (
            ("GET", "/"),
            ("GET", "/a"),
            ("PUT", "/1/b"),
            ("GET", "/x/b"),
            ("GET", "/h"),
        ):
            answer = told(await ask(method, target))
            assert answer["name"] == "fallback"
            assert answer["info"] == {}
            assert answer["path"] == target
            assert answer["prefix"] == ""
        assert told(await ask("POST", "/a"))["name"] == "a"
    assert router.resolve("GET", "/a") == (fallback, {})


async def test_another_fallback() -> None:
    one, two = saying("one"), saying("two")
    router = web.Router()
    assert router.fallback is None
    async with asking(router) as ask:
        assert (await ask("GET", "/")).status == 404
        for handler, name in ((one, "one"), (two, "two")):
            router.fallback = handler
            assert router.fallback is handler
            assert told(await ask("GET", "/"))["name"] == name
        router.fallback = None
        assert (await ask("GET", "/")).status == 404
    with pytest.raises(TypeError, match="fallback must be callable"):
        router.fallback = 5
    with pytest.raises(TypeError, match="fallback must take a request: .*<lambda>"):
        router.fallback = lambda: 1


async def test_a_fallback_that_is_no_coroutine_function() -> None:
    threads = []

    def fallback(request: web.BaseRequest) -> web.StreamResponse:
        threads.append(threading.current_thread())
        return web.Response(text="fallback")

    async with asking(web.Router(fallback=fallback)) as ask:
        assert (await ask("GET", "/")).body == b"fallback"
    assert threads != [threading.current_thread()]


async def test_a_router_as_fallback() -> None:
    inner = web.Router()
    inner.add_get("/inner/{x}", saying("inner"))
    router = web.Router(fallback=inner)
    router.add_get("/outer", saying("outer"))
    async with asking(router) as ask:
        assert told(await ask("GET", "/inner/1"))["info"] == {"x": "1"}
        assert told(await ask("GET", "/outer"))["name"] == "outer"
        assert (await ask("POST", "/inner/1")).headers["allow"] == ["GET, HEAD"]
        assert (await ask("GET", "/")).status == 404


def test_a_fallback_that_is_none() -> None:
    with pytest.raises(TypeError, match="fallback"):
        web.Router(fallback=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="trim_last_slash"):
        web.Router(trim_last_slash=1)  # type: ignore[arg-type]


# --- WebSockets ---------------------------------------------------------------------------


async def echo(request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
    async for message in ws:
        await ws.send_str(f"{dict(request.match_info)} {message.data}")


async def own_handshake(request: web.BaseRequest) -> web.StreamResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    await echo(request, ws)
    return ws


class Echo(web.WebSocketEndpoint):
    async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
        await ws.send_str(f"{dict(self.request.match_info)} {data}")


class Holder:
    async def method(self, request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
        await echo(request, ws)

    async def __call__(self, request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
        await echo(request, ws)


async def with_a_default(
    request: web.BaseRequest, ws: web.WebSocketResponse, more: int = 0
) -> None:
    await echo(request, ws)


async def with_more(more: int, request: web.BaseRequest, ws: web.WebSocketResponse) -> None:
    await echo(request, ws)


@pytest.mark.parametrize(
    "handler",
    [
        echo,
        own_handshake,
        Echo,
        Holder().method,
        Holder(),
        with_a_default,
        functools.partial(with_more, 1),
        web.websocket(echo),
    ],
    ids=["two", "one", "class", "method", "callable", "default", "partial", "wrapped"],
)
@pytest.mark.parametrize("way", ["add", "decorator"])
async def test_websocket_handlers(handler: Any, way: str) -> None:
    router = web.Router()
    if way == "add":
        assert router.add_websocket("/ws/{x}", handler) is handler
    else:
        assert router.websocket("/also", "/ws/{x}")(handler) is handler
    assert router.resolve("GET", "/ws/1", websocket=True) == (handler, {"x": "1"})
    async with serving(router) as site, WSPeer.connect(site.port, path="/ws/1") as peer:
        await peer.send(text("hi") + close())
        assert await peer.read_text() == "{'x': '1'} hi"
        assert await peer.read_close() == (1000, "")


@pytest.mark.parametrize("path", ["/ws", "/{x}"])
async def test_a_path_that_only_has_websockets(path: str) -> None:
    router = web.Router()
    router.add_websocket(path, echo)
    async with asking(router) as ask:
        for method in ("GET", "HEAD"):
            answer = await ask(method, "/ws")
            assert answer.status == 426
            assert answer.headers["upgrade"] == ["websocket"]
        # Another protocol is none.
        other = await ask("GET", "/ws", "Connection: Upgrade", "Upgrade: h2c")
        assert other.status == 426
        answer = await ask("POST", "/ws")
        assert answer.status == 405
        assert answer.headers["allow"] == ["GET"]
    for method in ("GET", "HEAD"):
        with pytest.raises(web.HTTPUpgradeRequired):
            router.resolve(method, "/ws")


@pytest.mark.parametrize("first", ["ws", "get"])
@pytest.mark.parametrize("path", ["/both", "/{x}"])
async def test_a_path_with_both(path: str, first: str) -> None:
    router = web.Router()
    for kind in (first, "get" if first == "ws" else "ws"):
        if kind == "ws":
            router.add_websocket(path, echo)
        else:
            router.add_get(path, saying("get"))
    async with serving(router) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(request("GET", "/both"))).headers["x-name"] == ["get"]
        assert (await peer.ask(request("HEAD", "/both"))).headers["x-name"] == ["get"]
        refused = await peer.ask(request("POST", "/both"))
        assert refused.headers["allow"] == ["GET, HEAD"]
        async with WSPeer.connect(site.port, path="/both") as ws:
            await ws.send(text("hi"))
            assert (await ws.read_text()).endswith("hi")


async def test_websockets_come_first_for_handshakes() -> None:
    """Even behind a path without variables."""
    router = web.Router()
    router.add_get("/a", named("get"))
    router.add_route("*", "/{x:str}", named("any"))
    router.add_websocket("/{x}", named("ws"))
    assert name_of(router, "GET", "/a", websocket=True) == "ws"
    assert name_of(router, "GET", "/a") == "get"
    assert name_of(router, "GET", "/b") == "any"


async def test_other_offers_are_for_get() -> None:
    """Beside a path without variables, where handshakes are for the route behind it."""
    router = web.Router()
    router.get("/chat")(saying("page"))
    router.websocket("/{room}")(echo)
    async with serving(router) as site, Peer.connect(site.port) as peer:
        h2c = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
        assert told(await peer.ask(request("GET", "/chat", *h2c)))["name"] == "page"
        assert (await peer.ask(request("GET", "/other", *h2c))).status == 426
        async with WSPeer.connect(site.port, path="/chat") as ws:
            await ws.send(text("hi"))
            assert await ws.read_text() == "{'room': 'chat'} hi"


async def test_a_handshake_for_a_get_route() -> None:
    router = web.Router()
    router.add_get("/ws", own_handshake)
    router.add_get("/plain", saying("plain"))
    router.add_post("/post", saying("post"))
    async with serving(router) as site:
        async with WSPeer.connect(site.port, path="/ws") as ws:
            await ws.send(text("hi"))
            assert await ws.read_text() == "{} hi"
        async with Peer.connect(site.port) as peer:
            assert (await peer.ask(handshake("/plain"))).headers["x-name"] == ["plain"]
            assert (await peer.ask(handshake("/post"))).status == 405
            assert (await peer.ask(handshake("/nope"))).status == 404
            # The connection speaks HTTP as before.
            assert (await peer.ask(request("GET", "/plain"))).status == 200


async def test_a_websocket_beside_other_methods() -> None:
    router = web.Router()
    router.add_websocket("/a", echo)
    router.add_post("/a", saying("post"))
    async with asking(router) as ask:
        assert (await ask("GET", "/a")).status == 426
        assert told(await ask("POST", "/a"))["name"] == "post"
        assert (await ask("PUT", "/a")).headers["allow"] == ["GET, POST"]


async def test_a_websocket_of_a_host() -> None:
    router = web.Router()
    router.add_websocket("/", named("a"), hosts="a.test")
    router.websocket("/", hosts=["b.test"])(named("b"))
    assert name_of(router, "GET", "/", host="a.test", websocket=True) == "a"
    assert name_of(router, "GET", "/", host="b.test:80", websocket=True) == "b"
    assert name_of(router, "GET", "/", host="c.test", websocket=True) == "404"
    assert name_of(router, "GET", "/", host="c.test") == "404"


async def test_a_handshake_without_a_route_and_a_fallback() -> None:
    router = web.Router(fallback=saying("fallback"))
    async with serving(router) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(handshake("/nope"))).headers["x-name"] == ["fallback"]


async def test_a_websocket_in_a_thread() -> None:
    """A function that only decides."""

    def refuse(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=403)

    router = web.Router()
    router.add_websocket("/", refuse)
    async with serving(router) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(handshake("/"))).status == 403


# --- Handlers -----------------------------------------------------------------------------


async def test_kinds_of_handlers() -> None:
    class Endpoint(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(text="endpoint")

    class Callable_:
        async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(text="callable")

    threads = []

    def function(request: web.BaseRequest) -> web.StreamResponse:
        threads.append(threading.current_thread())
        return web.Response(text="function")

    router = web.Router()
    assert router.route("/endpoint")(Endpoint) is Endpoint
    router.add_get("/callable", Callable_())
    router.add_get("/function", function)
    router.add_get("/partial", functools.partial(function))
    router.add_get("/lambda", lambda request: Endpoint(request))
    async with asking(router) as ask:
        assert (await ask("GET", "/endpoint")).body == b"endpoint"
        assert (await ask("POST", "/endpoint")).headers["allow"] == ["GET, HEAD"]
        assert (await ask("GET", "/callable")).body == b"callable"
        assert (await ask("GET", "/function")).body == b"function"
        assert (await ask("GET", "/partial")).body == b"function"
        assert (await ask("GET", "/lambda")).body == b"endpoint"
    assert threading.current_thread() not in threads


@pytest.mark.parametrize("handler", [None, 5, "handler", web.Response()])
def test_what_is_no_handler(handler: Any) -> None:
    router = web.Router()
    for add in (
        router.add_get,
        router.add_websocket,
        router.mount,
        functools.partial(router.add_route, "*"),
    ):
        with pytest.raises(TypeError, match="'/a'"):
            add("/a", handler)
    for decorator in (router.route("/a"), router.get("/a"), router.websocket("/a")):
        with pytest.raises(TypeError, match="'/a'"):
            decorator(handler)
    assert router.routes() == ()


async def three(request: web.BaseRequest, ws: web.WebSocketResponse, more: int) -> None:
    """One too many."""


@pytest.mark.parametrize("handler", [lambda: 1, three, functools.partial(echo, ws=1, request=1)])
def test_handlers_that_take_no_request(handler: Any) -> None:
    router = web.Router()
    for add in (router.add_get, router.add_websocket, router.mount):
        with pytest.raises(TypeError, match="route '/a': the handler must take a request: "):
            add("/a", handler)
    with pytest.raises(TypeError, match="route '/a': the handler must take a request: .*echo"):
        router.add_get("/a", echo)
    assert router.routes() == ()


async def test_a_function_that_raises_stop_iteration(caplog: pytest.LogCaptureFixture) -> None:
    """No future takes that from a thread."""
    router = web.Router()

    @router.get("/")
    def empty(request: web.BaseRequest) -> web.StreamResponse:
        return next(iter(()))

    async with asking(router) as ask:
        assert (await ask("GET", "/")).status == 500
    assert "empty raised StopIteration" in caplog.text


@pytest.mark.parametrize("name", ["route", "websocket", *[method.lower() for method in METHODS]])
def test_decorators_without_a_path(name: str) -> None:
    decorator = getattr(web.Router(), name)
    with pytest.raises(TypeError):
        decorator()
    with pytest.raises(TypeError):
        decorator(saying("used without its parentheses"))


@pytest.mark.parametrize("path", ["/a", "/{x}"])
async def test_a_wrong_result(path: str, caplog: pytest.LogCaptureFixture) -> None:
    """A plain 500 on a connection that lasts, and a line that names the handler and the type."""
    router = web.Router()

    @router.get(path)
    async def forgetful(request: web.BaseRequest) -> Any:
        return "text"

    outer = web.Router()
    outer.mount("/m", router)
    async with asking(router) as ask:
        assert (await ask("GET", "/a")).body == b"500: Internal Server Error"
        assert (await ask("GET", "/a")).status == 500
    async with asking(outer) as ask:
        assert (await ask("GET", "/m/a")).status == 500
    assert len(caplog.records) == 3
    for record in caplog.records:
        assert "forgetful" in record.getMessage()
        assert "str" in record.getMessage()


async def test_exceptions_pass() -> None:
    router = web.Router()

    @router.get("/")
    async def conflict(request: web.BaseRequest) -> web.StreamResponse:
        raise web.HTTPConflict(text="no")

    async with asking(router) as ask:
        assert (await ask("GET", "/")).body == b"no"


# --- Mounts -------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["/static", "/static/", "/static///"])
async def test_mount(prefix: str) -> None:
    router = web.Router()
    handler = saying("mounted")
    assert router.mount(prefix, handler) is handler
    router.add_get("/staticfoo", saying("beside"))
    async with asking(router) as ask:
        answer = told(await ask("GET", "/static/a%20b/c%2Fd?x=1"))
        assert answer["path"] == "/a b/c/d"
        assert answer["raw_path"] == "/a%20b/c%2Fd?x=1" or answer["raw_path"] == "/a%20b/c%2Fd"
        assert answer["path_qs"] == "/a%20b/c%2Fd?x=1"
        assert answer["rel_url"] == "/a%20b/c%2Fd?x=1"
        assert answer["prefix"] == "/static"
        assert answer["url"] == "http://a.test/static/a%20b/c%2Fd?x=1"
        assert answer["info"] == {}
        for target, path in (
            ("/static", "/"),
            ("/static/", "/"),
            ("/static//", "//"),
            ("/static//a", "//a"),
            ("/static?x=1", "/"),
            ("/static/a/", "/a/"),
            ("/st%61tic/a", "/a"),
        ):
            assert told(await ask("GET", target))["path"] == path, target
        assert told(await ask("GET", "/static?x=1"))["path_qs"] == "/?x=1"
        for target in ("/staticfo", "/stati", "/", "/Static", "/static%2Fa", "/a/static"):
            assert (await ask("GET", target)).status == 404, target
        assert told(await ask("GET", "/staticfoo"))["name"] == "beside"
        for method in [*METHODS, "PROPFIND"]:
            assert (await ask(method, "/static/x")).status == 200


async def test_the_prefix_is_as_it_came() -> None:
    router = web.Router()
    router.mount("/caf\xe9", saying("mounted"))
    async with asking(router) as ask:
        answer = told(await ask("GET", "/caf%c3%a9/x"))
        assert answer["prefix"] == "/caf%c3%a9"
        assert answer["path"] == "/x"


async def test_a_mount_of_several_segments() -> None:
    router = web.Router()
    router.mount("/a/b", saying("ab"))
    router.mount("/a/c/d", saying("acd"))
    async with asking(router) as ask:
        assert told(await ask("GET", "/a/b/x"))["name"] == "ab"
        assert told(await ask("GET", "/a/c/d/x"))["path"] == "/x"
        for target in ("/a", "/a/", "/a/x", "/a/bc", "/a/c", "/a/c/x", "/a/c/dx", "/a%2Fb/x"):
            assert (await ask("GET", target)).status == 404, target


async def test_a_mount_of_the_root() -> None:
    router = web.Router()
    router.mount("/", saying("all"))
    router.add_get("/a", saying("a"))
    async with asking(router) as ask:
        for target in ("/", "/x", "/x/y", "//"):
            answer = told(await ask("GET", target))
            assert (answer["name"], answer["path"], answer["prefix"]) == ("all", target, "")
        assert told(await ask("GET", "/a"))["name"] == "a"


async def test_mounts_in_mounts() -> None:
    inner = web.Router()
    inner.add_get("/{x}", saying("inner"))
    middle = web.Router()
    middle.mount("/two", inner)
    outer = web.Router()
    outer.mount("/one%20", middle)
    async with asking(outer) as ask:
        answer = told(await ask("GET", "/one%20/two/a%2Fb?q"))
        assert answer["info"] == {"x": "a/b"}
        assert answer["path"] == "/a/b"
        assert answer["prefix"] == "/one%20/two"
        assert answer["url"] == "http://a.test/one%20/two/a%2Fb?q"
        assert (await ask("POST", "/one%20/two/x")).headers["allow"] == ["GET, HEAD"]


FRAGMENTS = ["/api#/admin/x", "http://a.test/api#/admin/x", "http://a.test/api?#/admin/x"]


@pytest.mark.parametrize("target", FRAGMENTS)
async def test_a_fragment_is_no_path_below_a_mount(target: str) -> None:
    """What looks at the path outside is not passed by."""
    inner = web.Router(fallback=saying("rest"))
    inner.add_get("/admin/x", saying("secret"))
    router = web.Router()
    router.mount("/api", inner)

    async def guard(request: web.BaseRequest, handler: Any) -> web.StreamResponse:
        if request.path.startswith("/api/admin"):
            raise web.HTTPForbidden
        return await handler(request)  # type: ignore[no-any-return]

    async with asking(web.compose(router, guard)) as ask:
        answer = told(await ask("GET", target))
        assert (answer["name"], answer["path"], answer["prefix"]) == ("rest", "/", "/api")
        assert (await ask("GET", "/api/admin/x")).status == 403


PARTS = ["/", "//", "api", "admin", "%61", "%2F", "#", "?", ".", "..", "%2e", "%", "%ff", "%C3%A9"]
PARTS += [";", "%5C", ":", "@", "%23", "%3F", "http://h", "=", "[", "%0A", "a%20b", "%2541"]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["/api", "/%61pi", "http://h/api", "/a%20b/c", "http://h/a%20b/c/api/", "//"]),
    st.lists(st.sampled_from(PARTS), max_size=6).map("".join),
    st.booleans(),
)
def test_prefix_and_path_are_the_path_outside(start: str, rest: str, trim: bool) -> None:
    """Whatever the target."""
    seen: list[Any] = []

    async def leaf(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request)
        return web.Response()

    inner = web.Router(fallback=leaf)
    inner.mount("/api", leaf)
    outer = web.Router(fallback=leaf, trim_last_slash=trim)
    outer.mount("/api", inner)
    outer.mount("/a b/c", inner)
    request = made("GET", start + rest)
    try:
        path = request.path
    except ValueError:  # a target that no handler gets
        return
    with pytest.raises(StopIteration):
        outer(request).send(None)
    (below,) = seen
    # Of what is mounted exactly there, the path is a slash.
    nothing_left = below.prefix and below.path == "/" and not path.endswith("/")
    assert unquote(below.prefix) + below.path == path + "/" * bool(nothing_left)


async def test_a_clone_below_mounts_has_the_whole_url() -> None:
    async def child(request: web.BaseRequest) -> web.StreamResponse:
        clone = request.clone(scheme="https", host="public.test:444")
        urls = [clone.url, clone.clone(method="PUT").url, request.clone(host="b.test").url]
        assert (clone.path, clone.prefix) == ("/x", "/one/two")
        return web.json_response([str(url) for url in [*urls, request.url]])

    inner = web.Router()
    inner.mount("/two", child)
    router = web.Router()
    router.mount("/one", inner)
    async with asking(router) as ask:
        assert json.loads((await ask("GET", "/one/two/x?y")).body) == [
            "https://public.test:444/one/two/x?y",
            "https://public.test:444/one/two/x?y",
            "http://b.test/one/two/x?y",
            "http://a.test/one/two/x?y",
        ]


async def test_no_way_back_from_a_mount() -> None:
    """What the child has not is 404, whatever the parent may have behind it."""
    child = web.Router()
    child.add_post("/a", saying("child"))
    router = web.Router(fallback=saying("fallback"))
    router.mount("/m", child)
    router.add_get("/{rest:path}", saying("rest"))
    async with asking(router) as ask:
        assert (await ask("GET", "/m/x")).status == 404
        assert (await ask("GET", "/m/a")).headers["allow"] == ["POST"]
        assert told(await ask("GET", "/n"))["name"] == "rest"
        assert told(await ask("POST", "/n"))["name"] == "fallback"


KEY = web.RequestKey("key", int)
OTHER = web.RequestKey("other", int)


async def test_everything_but_the_path_is_shared() -> None:
    seen: dict[str, Any] = {}

    async def child(request: web.BaseRequest) -> web.StreamResponse:
        request[OTHER] = request[KEY] + 1
        body = await request.text()
        return web.json_response([body, dict(request.cookies), dict(request.query), request.host])

    inner = web.Router()
    inner.add_post("/x/{y}", child)
    router = web.Router()
    router.mount("/m", inner)

    async def outer(request: web.BaseRequest) -> web.StreamResponse:
        request[KEY] = 1
        response = await router(request)
        seen.update(path=request.path, prefix=request.prefix, info=dict(request.match_info))
        seen.update(state=request[OTHER], body=await request.text())
        return response

    async with asking(outer) as ask:
        answer = await ask("POST", "/m/x/y?q=1", "Cookie: a=b", body=b"body")
        assert json.loads(answer.body) == ["body", {"a": "b"}, {"q": "1"}, "a.test"]
    assert seen == {"path": "/m/x/y", "prefix": "", "info": {}, "state": 2, "body": "body"}


async def test_state_goes_both_ways_even_if_there_was_none() -> None:
    async def child(request: web.BaseRequest) -> web.StreamResponse:
        request[KEY] = 1
        return web.Response()

    router = web.Router()
    router.mount("/m", child)

    async def outer(request: web.BaseRequest) -> web.StreamResponse:
        response = await router(request)
        response.headers["X-Key"] = str(request[KEY])
        return response

    async with asking(outer) as ask:
        assert (await ask("GET", "/m")).headers["x-key"] == ["1"]


async def test_websockets_of_a_mount() -> None:
    inner = web.Router()
    inner.add_websocket("/ws/{x}", echo)
    router = web.Router()
    router.mount("/m", inner)
    router.mount("/direct", Echo)
    async with serving(router) as site:
        async with WSPeer.connect(site.port, path="/m/ws/1") as peer:
            await peer.send(text("hi"))
            assert await peer.read_text() == "{'x': '1'} hi"
        async with WSPeer.connect(site.port, path="/direct/any") as peer:
            await peer.send(text("hi"))
            assert await peer.read_text() == "{} hi"
        async with Peer.connect(site.port) as plain:
            assert (await plain.ask(request("GET", "/m/ws/1"))).status == 426
            assert (await plain.ask(handshake("/m/nope"))).status == 404
            assert (await plain.ask(handshake("/nope"))).status == 404


@pytest.fixture
def files(tmp_path: Path) -> web.StaticFiles:
    (tmp_path / "a.txt").write_text("a file")
    return web.StaticFiles(tmp_path)


async def test_any_handler_can_be_mounted(files: web.StaticFiles) -> None:

    class Endpoint(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(text=f"endpoint {request.path}")

    router = web.Router()
    router.mount("/static", files)
    router.mount("/endpoint", Endpoint)
    router.mount("/function", lambda request: web.Response(text=f"function {request.path}"))
    router.add_get("/{rest:path}", saying("rest"))
    async with asking(router) as ask:
        assert (await ask("GET", "/static/a.txt")).body == b"a file"
        assert (await ask("GET", "/static/../a.txt")).status == 404
        assert (await ask("GET", "/static/%2e%2e/a.txt")).status == 404
        assert (await ask("GET", "/static")).status == 404
        assert (await ask("POST", "/static/a.txt")).headers["allow"] == ["GET, HEAD"]
        assert told(await ask("GET", "/staticfoo"))["name"] == "rest"
        assert (await ask("GET", "/endpoint/x")).body == b"endpoint /x"
        assert (await ask("GET", "/function/x")).body == b"function /x"


@pytest.mark.parametrize(
    ("prefix", "kind"),
    [
        ("", ValueError),
        ("static", ValueError),
        ("/{x}", ValueError),
        ("/a{x:int}/b", ValueError),
        ("/{", ValueError),
        ("/a?b", ValueError),
        ("/a#b", ValueError),
        (None, TypeError),
        (re.compile("/a"), TypeError),
    ],
)
def test_bad_prefixes(prefix: Any, kind: type[Exception]) -> None:
    router = web.Router()
    with pytest.raises(kind) as caught:
        router.mount(prefix, saying("a"))
    if isinstance(prefix, str):
        assert repr(prefix) in str(caught.value)
    assert router.routes() == ()


# --- resolve(), routes() ------------------------------------------------------------------


def test_resolve() -> None:
    router = web.Router()
    one, two = saying("one"), saying("two")
    router.add_get("/a", one)
    router.add_post("/{x:int}", two)
    router.mount("/m", two)
    match = router.resolve("GET", "/a")
    assert match == (one, {})
    assert match.handler is one
    assert match.match_info == {}
    assert router.resolve("get", "/%61?x=1") == (one, {})
    assert router.resolve("HEAD", "/a").handler is one
    assert router.resolve("POST", "/7") == (two, {"x": 7})
    assert router.resolve("DELETE", "/m/x/y") == (two, {})
    with pytest.raises(web.HTTPNotFound):
        router.resolve("GET", "/b")
    with pytest.raises(web.HTTPMethodNotAllowed) as caught:
        router.resolve("put", "/a")
    assert caught.value.headers["Allow"] == "GET, HEAD"
    assert caught.value.method == "PUT"


def test_resolve_names_what_was_registered() -> None:
    """Not what it was made into."""

    def function(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response()

    router = web.Router()
    router.add_get("/f", function)
    router.add_websocket("/w", echo)
    router.route("/c")(web.HTTPEndpoint)
    assert router.resolve("GET", "/f").handler is function
    assert router.resolve("GET", "/w", websocket=True).handler is echo
    assert router.resolve("GET", "/c").handler is web.HTTPEndpoint


def test_routes() -> None:
    router = web.Router(fallback=saying("fallback"))
    one, two = saying("one"), saying("two")
    regex = re.compile("/r")
    assert router.routes() == ()
    router.add_route(["post", "get"], "/{x}", one, hosts=["B.test", "a.test"])
    router.add_get("/a", two)
    router.mount("/m/", one)
    router.add_websocket("/a", echo)
    router.route(regex)(two)
    routes = router.routes()
    assert [tuple(route) for route in routes] == [
        ("/{x}", one, ("GET", "POST"), ("a.test", "b.test"), False, False),
        ("/a", two, ("GET",), None, False, False),
        ("/m/", one, ("*",), None, False, True),
        ("/a", echo, ("GET",), None, True, False),
        (regex, two, ("*",), None, False, False),
    ]
    first = routes[0]
    assert first.path == "/{x}"
    assert first.handler is one
    assert first.methods == ("GET", "POST")
    assert first.hosts == ("a.test", "b.test")
    assert first.websocket is False
    assert first.mount is False


# --- Routes that nothing is left for ------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("GET", "/a"), ("GET", "/a")),
        (("GET", "/a"), ("get", "/%61")),
        (("*", "/a"), ("*", "/a")),
        (("*", "/a"), ("GET", "/a")),
        ((["GET", "POST"], "/a"), (["POST", "PUT"], "/a")),
        (("GET", "/{x}"), ("GET", "/{y}")),
        (("GET", "/{x}"), ("GET", "/{x:str}")),
        (("GET", "/{x:int}/{y}"), ("GET", "/{a:int}/{b}")),
        (("GET", r"/{x:\d+}"), ("GET", r"/{y:\d+}")),
        (("GET", re.compile("/a")), ("GET", re.compile("/a"))),
    ],
)
def test_routes_that_hide_each_other(one: Any, other: Any) -> None:
    router = web.Router()
    router.add_route(*one, saying("one"))
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the name of the route is all they have in common
        router.add_route(*other, saying("other"))
    path = other[1].pattern if isinstance(other[1], re.Pattern) else other[1]
    assert repr(path) in str(caught.value)
    assert len(router.routes()) == 1


def test_more_routes_that_hide_each_other() -> None:
    router = web.Router(trim_last_slash=True)
    router.add_get("/a", saying("one"))
    router.add_get("/h", saying("one"), hosts=["a.test", "b.test"])
    router.add_websocket("/w", saying("one"))
    router.mount("/m", saying("one"))
    for add in (
        lambda: router.add_get("/a/", saying("other")),
        lambda: router.add_get("/h", saying("other"), hosts=["B.test:80", "A.test"]),
        lambda: router.add_websocket("/w", saying("other")),
        lambda: router.mount("/m/", saying("other")),
    ):
        with pytest.raises(ValueError, match="route '/"):
            add()
    assert len(router.routes()) == 4


def test_routes_that_do_not() -> None:
    router = web.Router()
    for method, path in (
        ("GET", "/a"),
        ("POST", "/a"),
        ("HEAD", "/a"),
        ("GET", "/a/"),
        ("GET", "/A"),
        ("GET", "/a%2Fb"),
        ("GET", "/a/b"),
        ("GET", "/{x}"),
        ("GET", "/{x:int}"),
        ("GET", "/{x:path}"),
        ("POST", "/{y}"),
        ("GET", re.compile("/a")),
        ("GET", re.compile("/a", re.IGNORECASE)),
    ):
        router.add_route(method, path, saying("any"))
    router.add_get("/a", saying("host"), hosts="a.test")
    router.add_get("/a", saying("host"), hosts="b.test")
    router.add_websocket("/a", echo)
    router.mount("/a", saying("mount"))
    assert len(router.routes()) == 17


def test_a_decorator_that_fails() -> None:
    """It names the path that is wrong."""
    router = web.Router()
    with pytest.raises(ValueError, match=r"'/\{x:nope\}'"):
        router.get("/ok", "/{x:nope}")(saying("a"))


# --- A thousand routes --------------------------------------------------------------------


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were tried on a pattern."""
    seen: list[str] = []
    original = Pattern.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        match = self.match

        def counted(path: str) -> dict[str, Any] | None:
            seen.append(path)
            return match(path)  # type: ignore[no-any-return]

        self.match = counted

    monkeypatch.setattr(Pattern, "__init__", init)
    return seen


SHAPES = {
    "the first segment differs": ("/r{}/{{id}}", "/r{}/7"),
    "a later segment differs": ("/api/v1/r{}/{{id:int}}", "/api/v1/r{}/7"),
    "a segment behind a variable differs": ("/api/{{version}}/r{}", "/api/v1/r{}"),
    "the beginning of a segment differs": ("/r{}-{{id}}", "/r{}-7"),
    "the same in a deeper segment": ("/{{a}}/r{}-{{id}}/x", "/z/r{}-7/x"),
    "there is a path behind": ("/r{}/{{rest:path}}", "/r{}/a/b"),
}


@pytest.mark.parametrize("shape", list(SHAPES))
@pytest.mark.parametrize("way", ["resolve", "request"])
def test_a_thousand_routes(shape: str, way: str, tries: list[str]) -> None:
    """Few patterns are tried, however many there are, and also for what none is for."""
    pattern, path = SHAPES[shape]
    router = web.Router()
    for number in range(1000):
        router.add_post(pattern.format(f"{number:04}"), named(str(number)))
    worst = 0
    for number in (0, 1, 500, 998, 999):
        for method in ("POST", "PUT"):
            target = path.format(f"{number:04}")
            tries.clear()
            if way == "resolve":
                assert name_of(router, method, target) == (
                    str(number) if method == "POST" else "405"
                )
            else:
                assert requested(router, method, target)[0] == (number if method == "POST" else 405)
            worst = max(worst, len(tries))
    tries.clear()
    assert name_of(router, "POST", path.format("nope")) == "404"
    worst = max(worst, len(tries))
    assert 1 <= worst <= 16


def test_a_thousand_static_routes(tries: list[str]) -> None:
    router = web.Router()
    for number in range(1000):
        router.add_get(f"/static/{number}", named(str(number)))
    assert name_of(router, "GET", "/static/999") == "999"
    assert name_of(router, "GET", "/static/1000") == "404"
    assert tries == []


def test_a_thousand_mounts(tries: list[str]) -> None:
    router = web.Router()
    for number in range(1000):
        router.mount(f"/a/{number}", named(str(number)))
    assert name_of(router, "GET", "/a/999/x") == "999"
    assert name_of(router, "GET", "/a/9990/x") == "404"
    assert name_of(router, "GET", "/a") == "404"
    assert len(tries) <= 16


def test_every_route_is_found_once() -> None:
    """Though empty segments begin like all that is shorter than the text of a pattern."""
    router = web.Router()
    for parts in itertools.product(["{}", "a{}", "ab{}"], repeat=5):
        names = (part.format(f"{{{name}}}") for part, name in zip(parts, "vwxyz", strict=True))
        router.add_get("/" + "/".join(names) + "/k", saying("any"))
    found = router._table.dynamic("//////k")
    assert len(found) <= 1
    found = router._table.dynamic("/a/ab/abc/b/k/k")
    assert len(found) == len(set(found)) == 2 * 3 * 3


# --- Beside a router that is easy to understand -------------------------------------------


class Var(NamedTuple):
    name: str
    kind: str


class Spec(NamedTuple):
    """A route: segments of a path, each of texts and variables."""

    segments: tuple[tuple[str | Var, ...], ...]
    methods: tuple[str, ...] = ("GET",)
    host: str | None = None
    kind: str = "route"

    @property
    def pattern(self) -> str:
        return "".join(
            "/" + "".join(str(p) if isinstance(p, str) else f"{{{p.name}:{p.kind}}}" for p in parts)
            for parts in self.segments
        )

    @property
    def static(self) -> bool:
        return all(isinstance(part, str) for parts in self.segments for part in parts)


KINDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "str": (r"[^\0]+", str),
    "int": (r"-?[0-9]+", int),
    "float": (r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", float),
    r"[a-b]+": (r"[a-b]+", str),
    r"\d{1,2}": (r"[0-9]{1,2}", str),
    "path": (r"(?s:.*)", str),
}


def simple_match(spec: Spec, path: str) -> dict[str, Any] | None:
    """Match the slow way: with NUL between the segments of a path, each decoded for itself."""
    decoded = "\0".join(map(unquote, path.split("/")))
    regex = ""
    for parts in spec.segments:
        regex += "\0"
        for part in parts:
            if isinstance(part, str):
                regex += re.escape(unquote(part))
            else:
                regex += f"(?P<{part.name}>{KINDS[part.kind][0]})"
    if spec.kind == "mount":
        regex += "(?s:\0.*)?"
    found = re.fullmatch(regex, decoded)
    if found is None or spec.kind == "mount":
        return None if found is None else {}
    return {
        part.name: KINDS[part.kind][1](found[part.name].replace("\0", "/"))
        for parts in spec.segments
        for part in parts
        if isinstance(part, Var)
    }


def simple_route(
    specs: list[Spec], method: str, path: str, host: str, upgrade: bool
) -> tuple[Any, ...]:
    """Find a route the slow way: (number, values), or (status, what is allowed)."""
    static = [n for n, spec in enumerate(specs) if spec.static and spec.kind != "mount"]
    order = static + [n for n in range(len(specs)) if n not in static]
    found = []
    for number in order:
        spec = specs[number]
        if spec.host is None or spec.host == host:
            values = simple_match(spec, path)
            if values is not None:
                found.append((number, spec, values))
    allowed: set[str] = set()
    plain = None
    for number, spec, values in found:
        same = [other for other in specs if other.segments == spec.segments]
        answers = set(spec.methods)
        if "GET" in answers and not any(
            "HEAD" in other.methods and other.kind == "route" and other.host == spec.host
            for other in same
        ):
            answers.add("HEAD")
        if spec.kind == "websocket":
            if upgrade and method == "GET":
                return number, values
            allowed.add("GET")
        elif spec.kind == "mount":
            return plain or (number, values)
        elif "*" in answers or method in answers:
            if not (upgrade and method == "GET"):
                return number, values
            plain = plain or (number, values)
        else:
            allowed |= answers
    if plain is not None:
        return plain
    if method in ("GET", "HEAD") and any(spec.kind == "websocket" for _, spec, _ in found):
        return 426, None
    return (405, ", ".join(sorted(allowed))) if allowed else (404, None)


LITERALS = ["a", "b", "ab", "1", "-", ".", "%20", "%2F", "%C3%A9", "+", "a.b", "v"]


@st.composite
def segments(draw: st.DrawFn) -> tuple[tuple[str | Var, ...], ...]:
    names = iter("uvwxyz" * 9)
    used = 0
    result = []
    for _ in range(draw(st.integers(1, 3))):
        parts: list[str | Var] = []
        for _ in range(draw(st.integers(0, 2))):
            if used < 3 and draw(st.booleans()):
                # Beside each other, it would not be clear which of two takes what.
                if not parts or isinstance(parts[-1], str):
                    parts.append(Var(next(names), draw(st.sampled_from(list(KINDS)))))
                    used += 1
            else:
                parts.append(draw(st.sampled_from(LITERALS)))
        result.append(tuple(parts))
    return tuple(result)


@st.composite
def specs(draw: st.DrawFn, shapes: list[Any] | None = None, least: int = 1) -> list[Spec]:
    if shapes is None:
        shapes = draw(st.lists(segments(), min_size=1, max_size=4))
    found: list[Spec] = []
    for _ in range(draw(st.integers(least, least + 7))):
        shape = draw(st.sampled_from(shapes))
        host = draw(st.sampled_from([None, None, "a.test", "b.test"]))
        spec = Spec(shape, host=host)
        kind = draw(st.sampled_from(["route", "route", "route", "websocket", "mount"]))
        if kind == "mount" and spec.static and shape[-1]:
            spec = Spec(shape, ("*",), None, "mount")
        elif kind == "websocket":
            spec = spec._replace(kind="websocket")
        else:
            methods = draw(
                st.sampled_from([("GET",), ("POST",), ("HEAD",), ("GET", "POST"), ("*",)])
            )
            spec = spec._replace(methods=methods)
        found.append(spec)
    return found


paths = st.lists(
    st.lists(st.sampled_from([*LITERALS, "%61", "%2f", "12", "1.5", "-3", "%FF"]), max_size=3).map(
        "".join
    ),
    min_size=1,
    max_size=4,
).map(lambda names: "".join("/" + name for name in names))


def fill(spec: Spec, draw: st.DrawFn) -> str:
    """A path that is likely to match."""
    values = ["a", "b", "ab", "1", "-1", "1.5", "%2F", "%25", "", "a/b"]
    return "".join(
        "/" + "".join(p if isinstance(p, str) else draw(st.sampled_from(values)) for p in parts)
        for parts in spec.segments
    )


def register(found: list[Spec], router: web.Router | None = None) -> tuple[web.Router, list[Spec]]:
    """A router with those of the routes that it takes."""
    if router is None:
        router = web.Router()
    taken: list[Spec] = []
    for spec in found:
        handler = named(str(len(router.routes())))
        try:
            if spec.kind == "mount":
                router.mount(spec.pattern, handler)
            elif spec.kind == "websocket":
                router.add_websocket(spec.pattern, handler, hosts=spec.host)
            else:
                router.add_route(spec.methods, spec.pattern, handler, hosts=spec.host)
        except ValueError as exc:
            assert "already" in str(exc)
            continue
        taken.append(spec)
    return router, taken


# Explaining a failure takes longer than finding it.
@settings(max_examples=150, deadline=None, phases=[Phase.reuse, Phase.generate, Phase.shrink])
@given(st.data())
def test_beside_a_simple_router(data: st.DataObject) -> None:
    router, taken = register(data.draw(specs()))
    for _ in range(3):
        likely = data.draw(st.booleans())
        path = fill(data.draw(st.sampled_from(taken)), data.draw) if likely else data.draw(paths)
        if "%FF" in path or "%25" in path:
            # Bytes that are no text are kept as they are, which the simple one does not know.
            continue
        method = data.draw(st.sampled_from(["GET", "POST", "HEAD", "PUT"]))
        host = data.draw(st.sampled_from(["a.test", "b.test", "c.test"]))
        upgrade = data.draw(st.booleans())
        expected = simple_route(taken, method, path, host, upgrade)
        result = resolved(router, method, path, host, upgrade)
        assert result == expected, (taken, method, path, host, upgrade)
        # What a request finds by shorter ways is the same.
        offer = b"websocket" if upgrade else None
        assert requested(router, method, path, host, offer) == expected


# The same path: alone, with what may stand behind it, and in absolute form.
DRESSES = ["{1}", "{1}?", "{1}", "{1}?q=/a&%2F#/b", "{1}#", "{1}#/b?c", "{1}", "http://{0}{1}?q#/b"]

# Routes that have the same paths, and such paths.
X, Y, Z = Var("x", "str"), Var("y", "int"), Var("z", "path")
RIVALS: list[Any] = [(("a",),), (("1",),), ((X,),), ((Y,),), (("a",), (X,)), (("a",), (Y,))]
RIVALS += [((Z,),), (("a", X),), (("a",), ("",)), (("a",), ("b",)), ((X,), ("b",)), (("a",), (Z,))]
PATHS = ["/", "/a", "/1", "/b", "/a/", "/a/b", "/a/1", "/a//", "/%61", "/a/%31", "/b%20/b", "/a%2F"]
REQUESTS = list(
    itertools.product(
        PATHS, ["GET", "HEAD", "POST"], [None, b"websocket", b"h2c"], ["a.test", "b.test"]
    )
)


@settings(max_examples=60, deadline=None, phases=[Phase.reuse, Phase.generate, Phase.shrink])
@given(st.data())
def test_requests_and_resolve_agree(data: st.DataObject) -> None:
    """Whatever short ways requests take; also while the table grows, with a fallback, with slashes trimmed."""
    fallback = named("99") if data.draw(st.booleans()) else None
    router = web.Router(fallback=fallback, trim_last_slash=data.draw(st.booleans()))
    dresses = itertools.cycle(DRESSES)
    if data.draw(st.integers(0, 3)) == 3:
        router.add_post(re.compile("(?P<all>.*)"), named("0"))
    for _ in range(2):
        register(data.draw(specs(RIVALS, 6)), router)
        for path, method, offer, host in REQUESTS:
            expected = resolved(router, method, path, host, offer == b"websocket")
            target = next(dresses).format(host, path)
            found = requested(router, method, target, host, offer)
            assert found == expected, (router.routes(), method, target, host, offer)


@pytest.fixture(autouse=True)
def _forget_names() -> Iterator[None]:
    yield
    _NAMES.clear()
