"""HTTPEndpoint: classes that are handlers, over real sockets."""

import asyncio
import contextvars
import threading
from typing import Any

import pytest

import lowlevel as web
from tests.support import Answer, Peer, request, serving, within

VERBS = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"]


async def ask(handler: Any, method: str = "GET", target: str = "/", **values: Any) -> Answer:
    """One request; ``values`` are those of the path."""

    async def routed(request: web.BaseRequest) -> web.StreamResponse:
        request.match_info = values
        response: web.StreamResponse = await handler(request)
        return response

    async with serving(routed) as site, Peer.connect(site.port) as peer:
        return await peer.ask(request(method, target))


class Hello(web.HTTPEndpoint):
    async def get(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="Hello, world!", headers={"X-Method": request.method})


class Form(Hello):
    async def post(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="posted")


# --- Methods ------------------------------------------------------------------------------


async def test_a_class_is_a_handler() -> None:
    async with serving(Form) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(request("GET", "/any/path"))).body == b"Hello, world!"
        assert (await peer.ask(request("POST"))).body == b"posted"


async def test_every_verb() -> None:
    async def answer(self: Any, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=f"{request.method} here", headers={"X-Method": request.method})

    cls = type("All", (web.HTTPEndpoint,), {verb.lower(): answer for verb in VERBS})
    for verb in VERBS:
        target = "a.test:80" if verb == "CONNECT" else "/"
        assert (await ask(cls, verb, target)).headers["x-method"] == [verb]


@pytest.mark.parametrize("verb", VERBS)
async def test_each_verb_alone(verb: str) -> None:
    async def answer(self: Any, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response()

    cls = type("One", (web.HTTPEndpoint,), {verb.lower(): answer})
    refused = await ask(cls, "DELETE" if verb == "PUT" else "PUT")
    assert refused.status == 405
    assert refused.headers["allow"] == ["GET, HEAD" if verb == "GET" else verb]


async def test_head_is_get_without_a_body() -> None:
    answer = await ask(Hello, "HEAD")
    assert answer.status == 200
    assert answer.headers["x-method"] == ["HEAD"]
    assert answer.headers["content-length"] == ["13"]


async def test_head_of_its_own() -> None:
    class Endpoint(Hello):
        async def head(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(headers={"X-Own": "yes"})

    assert (await ask(Endpoint, "HEAD")).headers["x-own"] == ["yes"]
    assert (await ask(Endpoint)).body == b"Hello, world!"
    assert (await ask(Endpoint, "POST")).headers["allow"] == ["GET, HEAD"]


async def test_head_without_get() -> None:
    class Endpoint(web.HTTPEndpoint):
        async def head(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.Response()

    assert (await ask(Endpoint, "GET")).headers["allow"] == ["HEAD"]


async def test_other_methods() -> None:
    async with serving(Form) as site, Peer.connect(site.port) as peer:
        for method in ("PUT", "OPTIONS", "PROPFIND"):
            answer = await peer.ask(request(method))
            assert answer.status == 405
            assert answer.headers["allow"] == ["GET, HEAD, POST"]
            assert answer.body == b"405: Method Not Allowed"
        # On the same connection.
        assert (await peer.ask(request())).status == 200


async def test_an_empty_endpoint() -> None:
    class Empty(web.HTTPEndpoint):
        pass

    for cls in (Empty, web.HTTPEndpoint):
        answer = await ask(cls)
        assert answer.status == 405
        assert answer.headers["allow"] == [""]


async def test_attributes_are_no_methods() -> None:
    """A client may not call whatever an endpoint has."""

    class Endpoint(Hello):
        async def lock(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(text="locked")

    assert (await ask(Endpoint, "LOCK")).status == 405


# --- Values of the path -------------------------------------------------------------------


async def test_values_of_the_path() -> None:
    class User(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
            return web.Response(text=f"Hello, {name}")

        async def put(self, request: web.BaseRequest, **values: str) -> web.StreamResponse:
            return web.Response(text=str(values))

        async def post(self, request: web.BaseRequest, role: str = "-") -> web.StreamResponse:
            return web.Response(text=role)

        async def delete(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(text=request.match_info["name"])

    assert (await ask(User, name="bob")).body == b"Hello, bob"
    assert (await ask(User, "PUT", name="bob")).body == b"{'name': 'bob'}"
    assert (await ask(User, "POST", name="bob")).body == b"-"
    assert (await ask(User, "DELETE", name="bob")).body == b"bob"


async def test_a_value_that_the_path_has_not(caplog: pytest.LogCaptureFixture) -> None:
    class User(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
            return web.Response(text=name)

    assert (await ask(User)).status == 500
    assert "missing 1 required positional argument: 'name'" in caplog.text


async def test_behind_a_router() -> None:
    router = web.Router()

    @router.route("/")
    class Home(Hello):
        pass

    @router.route("/{name}", "/users/{name:int}")
    class User(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest, name: object) -> web.StreamResponse:
            return web.Response(text=f"Hello, {name!r}")

    async with serving(router) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(request())).body == b"Hello, world!"
        assert (await peer.ask(request("GET", "/a%20b"))).body == b"Hello, 'a b'"
        assert (await peer.ask(request("GET", "/users/7"))).body == b"Hello, 7"
        assert (await peer.ask(request("GET", "/a/b"))).status == 404
        answer = await peer.ask(request("DELETE", "/bob"))
        assert answer.status == 405
        assert answer.headers["allow"] == ["GET, HEAD"]
        assert (await peer.ask(request("HEAD", "/bob"))).status == 200


# --- Instances ----------------------------------------------------------------------------


async def test_an_instance_for_each_request() -> None:
    inside = asyncio.Barrier(2)
    seen = []

    class Endpoint(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest) -> web.StreamResponse:
            assert self.request is request
            self.mine = request.path
            seen.append(self)
            async with inside:
                return web.Response(text=self.mine)

    async with (
        serving(Endpoint) as site,
        Peer.connect(site.port) as one,
        Peer.connect(site.port) as other,
    ):
        await one.send(request("GET", "/one"))
        await other.send(request("GET", "/other"))
        assert (await one.answer()).body == b"/one"
        assert (await other.answer()).body == b"/other"
    assert len(set(map(id, seen))) == 2


async def test_an_init_of_its_own() -> None:
    class Endpoint(web.HTTPEndpoint):
        def __init__(self, request: web.BaseRequest) -> None:
            super().__init__(request)
            self.agent = request.headers.get("User-Agent", "nobody")

        async def get(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(text=self.agent)

    assert (await ask(Endpoint)).body == b"nobody"


async def test_it_is_awaitable() -> None:
    """Wherever a coroutine would do."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return await asyncio.wait_for(asyncio.ensure_future(Hello(request)), 10)

    assert (await ask(handler)).body == b"Hello, world!"


# --- Inheritance --------------------------------------------------------------------------


async def test_inheritance() -> None:
    class Base(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(text=f"get {self.name()}")

        async def put(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(text="put")

        def name(self) -> str:
            return "base"

    class Mixin:
        async def delete(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(text="deleted")

    class Sub(Mixin, Base):
        put = None  # type: ignore[assignment]

        async def post(self, request: web.BaseRequest) -> web.StreamResponse:
            return await super().get(request)

        def name(self) -> str:
            return "sub"

    assert (await ask(Sub)).body == b"get sub"
    assert (await ask(Sub, "POST")).body == b"get sub"
    assert (await ask(Sub, "DELETE")).body == b"deleted"
    assert (await ask(Sub, "PUT")).headers["allow"] == ["DELETE, GET, HEAD, POST"]
    # And the base is what it was.
    assert (await ask(Base, "PUT")).body == b"put"
    assert (await ask(Base, "POST")).headers["allow"] == ["GET, HEAD, PUT"]


async def test_overriding_a_method_with_another_kind() -> None:
    """A coroutine function, a function, one with values: each class is looked at for itself."""

    class Base(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest, **values: Any) -> web.StreamResponse:
            return web.Response(text="base")

    class Sub(Base):
        def get(self, request: web.BaseRequest, *, a: str) -> web.StreamResponse:  # type: ignore[override]
            return web.Response(text=f"sub {a}")

    assert (await ask(Base, a="x")).body == b"base"
    assert (await ask(Sub, a="x")).body == b"sub x"


def test_a_mixin_with_class_arguments() -> None:
    class Mixin:
        def __init_subclass__(cls, *, flag: bool, **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)
            cls.flag = flag

        flag = False

    class Endpoint(Hello, Mixin, flag=True):
        pass

    assert Endpoint.flag
    with pytest.raises(TypeError, match="takes no keyword arguments"):

        class Wrong(web.HTTPEndpoint, nonsense=True):
            pass


# --- Functions and results ----------------------------------------------------------------


async def test_functions_run_in_a_thread_with_the_context() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    threads = []

    class Endpoint(web.HTTPEndpoint):
        def get(self, request: web.BaseRequest) -> web.StreamResponse:
            threads.append(threading.current_thread())
            return web.Response(text=variable.get())

        def post(self, request: web.BaseRequest) -> web.StreamResponse:
            raise web.HTTPForbidden(text="not you")

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        variable.set("set")
        return await Endpoint(request)

    assert (await ask(handler)).body == b"set"
    assert threads != [threading.current_thread()]
    assert (await ask(handler, "POST")).body == b"not you"


async def test_the_loop_goes_on_meanwhile() -> None:
    release = threading.Event()

    class Endpoint(web.HTTPEndpoint):
        def get(self, request: web.BaseRequest) -> web.StreamResponse:
            assert release.wait(20)
            return web.Response(text="slow")

        async def post(self, request: web.BaseRequest) -> web.StreamResponse:
            release.set()
            return web.Response()

    async with (
        serving(Endpoint) as site,
        Peer.connect(site.port) as one,
        Peer.connect(site.port) as other,
    ):
        await one.send(request())
        assert (await other.ask(request("POST"))).status == 200
        assert (await one.answer()).body == b"slow"


@pytest.mark.parametrize("value", [None, "text", {"a": 1}, 204])
async def test_results_are_passed_on_as_they_are(value: object) -> None:
    results = []

    class Endpoint(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest) -> Any:
            return value

        def post(self, request: web.BaseRequest) -> Any:
            return value

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        results.append(await Endpoint(request))
        return web.Response()

    await ask(handler)
    await ask(handler, "POST")
    assert results == [value, value]


async def test_the_server_is_strict(caplog: pytest.LogCaptureFixture) -> None:
    class Endpoint(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest) -> Any:
            return "text"

    async with serving(Endpoint) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request())
        assert answer.status == 500
        assert answer.body == b"500: Internal Server Error"
        assert (await peer.ask(request())).status == 500
    assert "Endpoint" in caplog.text
    assert "str" in caplog.text


async def test_exceptions(caplog: pytest.LogCaptureFixture) -> None:
    class Endpoint(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest) -> web.StreamResponse:
            raise web.HTTPConflict(text="no")

        async def post(self, request: web.BaseRequest) -> web.StreamResponse:
            raise ValueError("a fault")

    assert (await ask(Endpoint)).status == 409
    assert (await ask(Endpoint, "POST")).status == 500
    assert "a fault" in caplog.text


async def test_a_function_that_raises_stop_iteration(caplog: pytest.LogCaptureFixture) -> None:
    """In a thread, from which no future takes that."""

    class Endpoint(web.HTTPEndpoint):
        def get(self, request: web.BaseRequest) -> web.StreamResponse:
            return next(iter(()))

    assert (await ask(Endpoint)).status == 500
    assert "Endpoint.get raised StopIteration" in caplog.text


async def test_cancellation() -> None:
    started = asyncio.Event()
    ended = asyncio.Event()

    class Endpoint(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest) -> web.StreamResponse:
            started.set()
            try:
                await asyncio.sleep(1000)
            finally:
                ended.set()
            return web.Response()

    async with serving(Endpoint, handler_cancellation=True) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(request())
            await within(started.wait())
            peer.reset()
        await within(ended.wait())


# --- 405 ----------------------------------------------------------------------------------


async def test_405_of_its_own() -> None:
    class Polite(Hello):
        async def method_not_allowed(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=405, text=f"no {request.method}")

    class Plain(Hello):
        def method_not_allowed(self, request: web.BaseRequest, name: str) -> web.StreamResponse:  # type: ignore[override]
            assert threading.current_thread() is not threading.main_thread()
            return web.Response(status=405, text=f"not for {name}")

    class Sub(Polite):
        pass

    assert (await ask(Polite, "PUT")).body == b"no PUT"
    assert (await ask(Sub, "PUT")).body == b"no PUT"
    assert (await ask(Plain, "PUT", name="bob")).body == b"not for bob"
    assert (await ask(Polite)).body == b"Hello, world!"


async def test_405_of_its_own_on_top_of_ours() -> None:
    class Endpoint(Hello):
        async def method_not_allowed(self, request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await super().method_not_allowed(request)  # type: ignore[no-any-return]
            except web.HTTPMethodNotAllowed as exc:
                exc.headers["X-More"] = str(sorted(exc.allowed_methods))
                raise

    answer = await ask(Endpoint, "PUT")
    assert answer.headers["allow"] == ["GET, HEAD"]
    assert answer.headers["x-more"] == ["['GET', 'HEAD']"]


# --- Registration -------------------------------------------------------------------------


def test_a_method_that_does_not_take_the_request() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.put\(\) must take the request$"):

        class Wrong(Hello):
            async def put(self) -> web.StreamResponse:
                return web.Response()

    with pytest.raises(TypeError, match=r"Worse\.method_not_allowed\(\) must take the request$"):

        class Worse(Hello):
            async def method_not_allowed(self) -> web.StreamResponse:  # type: ignore[override]
                return web.Response()


def test_a_method_that_is_none() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.options must be callable, not \{\}$"):

        class Wrong(web.HTTPEndpoint):
            options: dict[str, int] = {}
