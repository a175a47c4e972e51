"""Middlewares: their order, what they are given, and what is said of those that return nonsense."""

import asyncio
import functools
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import lowlevel as web
from lowlevel.toolkit.composition import compose
from tests.support import Answer, Peer, request, serving
from tests.wsframes import WSPeer, text

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


async def ok(request: web.BaseRequest) -> web.Response:
    return web.Response(text="OK")


async def forbidding(request: web.BaseRequest) -> web.Response:
    raise web.HTTPForbidden(text="keep out")


async def failing(request: web.BaseRequest) -> web.Response:
    raise ValueError("out of order")


async def through(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
    return await handler(request)


async def marking(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    response.headers["X-Agent"] = "SimpleX"
    return response


async def ask(handler: Any, sent: bytes = b"") -> Answer:
    """The answer; the connection has to live on."""
    async with serving(handler) as served, Peer.connect(served.port) as peer:
        answer = await peer.ask(sent or request())
        assert (await peer.ask(request("GET", "/again"))).status == answer.status
        return answer


def noting(notes: list[str], name: str) -> Any:
    async def note(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        notes.append(f"{name} in")
        response = await handler(request)
        notes.append(f"{name} out")
        return response

    return note


# Order.


async def test_the_first_is_outermost() -> None:
    notes: list[str] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        notes.append("handler")
        return web.Response()

    composed = compose(handler, *(noting(notes, name) for name in "abc"))
    async with serving(composed) as served, Peer.connect(served.port) as peer:
        assert (await peer.ask(request())).status == 200
    assert notes == ["a in", "b in", "c in", "handler", "c out", "b out", "a out"]


async def test_wrappers_keep_the_order() -> None:
    notes: list[str] = []

    def wrapper(handler: Handler) -> Handler:
        async def inner(request: web.BaseRequest) -> web.StreamResponse:
            notes.append("wrapper in")
            response = await handler(request)
            notes.append("wrapper out")
            return response

        return inner

    composed = compose(ok, noting(notes, "a"), wrapper, noting(notes, "c"))
    async with serving(composed) as served, Peer.connect(served.port) as peer:
        assert (await peer.ask(request())).body == b"OK"
    assert notes == ["a in", "wrapper in", "c in", "c out", "wrapper out", "a out"]


async def test_what_is_composed_is_a_handler() -> None:
    inner = compose(ok, marking)
    notes: list[str] = []
    router = web.Router()
    router.add_get("/one", compose(inner, noting(notes, "one")))
    router.add_get("/two", inner)
    async with (
        serving(compose(router, noting(notes, "all"))) as served,
        Peer.connect(served.port) as peer,
    ):
        assert (await peer.ask(request("GET", "/one"))).headers["x-agent"] == ["SimpleX"]
        assert notes == ["all in", "one in", "one out", "all out"]
        assert (await peer.ask(request("GET", "/two"))).headers["x-agent"] == ["SimpleX"]
        assert notes[4:] == ["all in", "all out"]


async def test_without_middlewares_nothing_changes() -> None:
    answer = await ask(compose(ok))
    assert (answer.status, answer.body) == (200, b"OK")
    assert (await ask(compose(forbidding))).status == 403


# What a middleware is given.


@pytest.mark.parametrize("outer", [(), (through,), (through, through)], ids=len)
async def test_a_raised_answer_comes_back_as_a_response(outer: tuple[Any, ...]) -> None:
    seen: list[web.StreamResponse] = []

    async def looking(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        seen.append(response)
        return response

    async def raising(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        raise web.HTTPForbidden(text="keep out")

    for composed in (
        compose(forbidding, *outer, looking),
        compose(forbidding, looking, *outer),
        compose(ok, *outer, looking, raising),
    ):
        answer = await ask(composed)
        assert (answer.status, answer.body) == (403, b"keep out")
    assert len(seen) == 6
    assert all(isinstance(response, web.HTTPForbidden) for response in seen)


async def test_what_is_composed_returns_what_is_raised() -> None:
    composed = compose(ok, raising_middleware)
    seen: list[web.StreamResponse] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(await composed(request))
        return seen[-1]

    assert (await ask(handler)).status == 410
    assert isinstance(seen[0], web.HTTPGone)


async def raising_middleware(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
    raise web.HTTPGone


@pytest.mark.parametrize(
    ("target", "status"), [("/", 200), ("/forbidden", 403), ("/nope", 404), ("/get", 405)]
)
async def test_a_header_for_every_answer(target: str, status: int) -> None:
    router = web.Router()
    router.add_route("*", "/", ok)
    router.add_route("*", "/forbidden", forbidding)
    router.add_get("/get", ok)
    async with (
        serving(compose(router, marking)) as served,
        Peer.connect(served.port) as peer,
    ):
        answer = await peer.ask(request("POST", target))
        assert (answer.status, answer.headers["x-agent"]) == (status, ["SimpleX"])
        if status == 405:
            assert answer.headers["allow"] == ["GET, HEAD"]


async def test_a_header_breaks_no_websocket() -> None:
    async def chat(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(f"You said: {message.data}")
        return ws

    async with (
        serving(compose(chat, marking)) as served,
        WSPeer.connect(served.port) as peer,
    ):
        await peer.send(text("hi"))
        assert (await peer.read_frame()).payload == b"You said: hi"


async def test_other_exceptions_pass() -> None:
    caught: list[Exception] = []

    async def catching(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ValueError as exc:
            caught.append(exc)
            return web.Response(text="caught")

    assert (await ask(compose(failing, catching, through))).body == b"caught"
    assert [str(exc) for exc in caught] == ["out of order"] * 2


async def test_a_cancellation_passes() -> None:
    async def cancelled(request: web.BaseRequest) -> web.Response:
        raise asyncio.CancelledError

    caught: list[str] = []

    async def catching(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except asyncio.CancelledError:
            caught.append("cancelled")
            return web.Response(text="caught")

    assert (await ask(compose(cancelled, catching, through))).body == b"caught"
    assert len(caught) == 2


async def test_state_is_shared_and_gone_with_the_request() -> None:
    key = web.RequestKey("count", int)

    async def counting(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        request[key] = request.get(key, 0) + 1
        return await handler(request)

    async def telling(request: web.BaseRequest) -> web.Response:
        return web.Response(text=str(request[key]))

    async with (
        serving(compose(telling, counting, counting)) as served,
        Peer.connect(served.port) as peer,
    ):
        assert (await peer.ask(request())).body == b"2"
        assert (await peer.ask(request())).body == b"2"


async def test_a_middleware_may_answer_by_itself_or_ask_twice() -> None:
    calls: list[str] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        calls.append(request.path)
        return web.Response(text=str(len(calls)))

    async def guarding(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        if "Authorization" not in request.headers:
            return web.Response(status=401)
        await handler(request)
        return await handler(request)

    async with (
        serving(compose(handler, guarding)) as served,
        Peer.connect(served.port) as peer,
    ):
        assert (await peer.ask(request())).status == 401
        assert calls == []
        assert (await peer.ask(request("GET", "/", "Authorization: Basic eA=="))).body == b"2"


async def test_a_response_that_is_under_way_passes() -> None:
    async def streaming(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"piece")
        return response

    assert (await ask(compose(streaming, through))).body == b"piece"


@pytest.mark.parametrize("inside", [(), (web.coerce,)], ids=len)
async def test_an_answer_that_comes_too_late_is_an_exception(
    inside: tuple[Any, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """When the head of another is out, it cannot be returned like one."""
    seen: list[Exception] = []

    async def streaming(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"piece")
        raise web.HTTPForbidden(text="too late")

    async def spying(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as exc:
            seen.append(exc)
            raise

    composed = compose(streaming, spying, spying, *inside)
    async with serving(composed) as served, Peer.connect(served.port) as peer:
        await peer.send(request())
        wire = await peer.read_eof()
    assert wire.endswith(b"5\r\npiece\r\n"), "cut off, not ended"
    assert [type(exc) for exc in seen] == [web.HTTPForbidden] * 2
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "HTTPForbidden" in (record.exc_text or "")


# What a middleware may be.


def by_hand(handler: Handler) -> Handler:
    async def inner(request: web.BaseRequest) -> web.StreamResponse:
        if "Authorization" not in request.headers:
            return web.Response(status=401, text="who are you?")
        return await handler(request)

    return inner


def with_option(handler: Handler, realm: str = "here") -> Handler:
    return by_hand(handler)


def with_realm(realm: str, handler: Handler) -> Handler:
    return by_hand(handler)


def polite(handler: Handler) -> Handler:
    return functools.wraps(handler)(by_hand(handler))


class Guard:
    """A class of handlers around handlers."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        return await by_hand(self.handler)(request)


class Keeper:
    """An object whose methods are middlewares, and which is one itself."""

    async def __call__(self, request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        return await by_hand(handler)(request)

    async def guard(self, request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        return await by_hand(handler)(request)

    def wrap(self, handler: Handler) -> Handler:
        return by_hand(handler)

    @staticmethod
    async def keep(
        request: web.BaseRequest, handler: Handler, realm: str = "here"
    ) -> web.StreamResponse:
        return await by_hand(handler)(request)


async def with_two(realm: str, request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
    return await by_hand(handler)(request)


@pytest.mark.parametrize(
    "guard",
    [
        by_hand,
        with_option,
        functools.partial(with_realm, "there"),
        polite,
        Guard,
        Keeper(),
        Keeper().guard,
        Keeper().wrap,
        Keeper.keep,
        functools.partial(with_two, "there"),
        lambda request, handler: by_hand(handler)(request),
    ],
    ids=[
        "wrapper",
        "wrapper with an option",
        "partial wrapper",
        "wraps",
        "class",
        "object",
        "method",
        "wrapping method",
        "static method with an option",
        "partial",
        "lambda",
    ],
)
async def test_middlewares_of_all_kinds(guard: Any) -> None:
    for composed in (
        compose(ok, guard),
        compose(ok, through, guard),
        compose(ok, guard, through),
    ):
        answer = await ask(composed)
        assert (answer.status, answer.body) == (401, b"who are you?")
        answer = await once(composed, "Authorization: Basic eA==")
        assert (answer.status, answer.body) == (200, b"OK")


async def once(handler: Any, *fields: str) -> Answer:
    async with serving(handler) as served, Peer.connect(served.port) as peer:
        return await peer.ask(request("GET", "/", *fields))


async def test_a_wrapper_is_called_once_and_given_a_handler_that_always_answers() -> None:
    given: list[Handler] = []

    def wrapper(handler: Handler) -> Handler:
        given.append(handler)

        async def inner(request: web.BaseRequest) -> web.StreamResponse:
            response = await handler(request)
            response.headers["X-Agent"] = type(response).__name__
            return response

        return inner

    answer = await ask(compose(forbidding, wrapper))
    assert (answer.status, answer.headers["x-agent"]) == (403, ["HTTPForbidden"])
    assert len(given) == 1


async def test_a_wrapper_by_hand_is_a_plain_decorator() -> None:
    assert (await once(by_hand(ok))).status == 401
    assert (await once(by_hand(ok), "Authorization: x")).body == b"OK"


async def test_a_blocking_handler_runs_in_a_thread() -> None:
    threads: list[int] = []

    def blocking(request: web.BaseRequest) -> web.Response:
        threads.append(threading.get_ident())
        if request.path == "/forbidden":
            raise web.HTTPForbidden
        return web.Response(text="blocking")

    for composed in (compose(blocking), compose(blocking, marking)):
        async with serving(composed) as served, Peer.connect(served.port) as peer:
            assert (await peer.ask(request())).body == b"blocking"
            assert (await peer.ask(request("GET", "/forbidden"))).status == 403
    assert threading.get_ident() not in threads


async def test_a_class_of_endpoints() -> None:
    class Home(web.HTTPEndpoint):
        async def get(self, request: web.BaseRequest) -> web.Response:
            return web.Response(text="home")

    async with serving(compose(Home, marking)) as served, Peer.connect(served.port) as peer:
        answer = await peer.ask(request())
        assert (answer.body, answer.headers["x-agent"]) == (b"home", ["SimpleX"])
        answer = await peer.ask(request("POST"))
        assert (answer.status, answer.headers["x-agent"]) == (405, ["SimpleX"])


# Other middlewares of the house.


async def test_coerce_takes_what_others_would_not() -> None:
    async def words(request: web.BaseRequest) -> str:
        if request.path == "/login":
            raise web.HTTPTemporaryRedirect("/login")
        return "OK"

    async with (
        serving(compose(words, marking, web.coerce)) as served,
        Peer.connect(served.port) as peer,
    ):
        answer = await peer.ask(request())
        assert (answer.status, answer.body) == (200, b"OK")
        assert answer.headers["content-type"] == ["text/html; charset=utf-8"]
        assert answer.headers["x-agent"] == ["SimpleX"]
        answer = await peer.ask(request("GET", "/login"))
        assert (answer.status, answer.headers["location"]) == (307, ["/login"])


async def test_coerce_takes_what_a_middleware_behind_it_returns() -> None:
    async def chatty(request: web.BaseRequest, handler: Any) -> Any:
        await handler(request)
        return 201, "from the middleware"

    answer = await ask(compose(ok, web.coerce, chatty))
    assert (answer.status, answer.body) == (201, b"from the middleware")


async def test_coerce_takes_what_a_wrapper_behind_it_returns() -> None:
    def chatty(handler: Any) -> Any:
        async def inner(request: web.BaseRequest) -> Any:
            await handler(request)
            return 201, "from the wrapper"

        return inner

    answer = await ask(compose(ok, web.coerce, chatty))
    assert (answer.status, answer.body) == (201, b"from the wrapper")


async def test_coerce_calls_blocking_handlers_in_a_thread() -> None:
    def blocking(request: web.BaseRequest) -> dict[str, bool]:
        return {"here": threading.get_ident() == main}

    main = threading.get_ident()
    assert (await ask(compose(blocking, web.coerce))).body == b'{"here":false}'


async def test_error_handlers_see_what_is_inside_them() -> None:
    errors = web.ErrorHandlers()

    @errors.on(ValueError)
    async def mended(request: web.BaseRequest, exc: ValueError) -> str:
        return f"mended: {exc}"

    @errors.on(web.HTTPNotFound)
    async def missing(request: web.BaseRequest, exc: web.HTTPNotFound) -> web.Response:
        return web.Response(text="a nicer page", status=404)

    async def wrong(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        await handler(request)
        raise ValueError("in the middleware")

    assert (await once(compose(failing, errors))).body == b"mended: out of order"
    assert (await once(compose(ok, errors, wrong))).body == b"mended: in the middleware"
    answer = await once(compose(ok, wrong, errors))
    assert (answer.status, b"mended" in answer.body) == (500, False)
    answer = await once(compose(web.Router(), errors))
    assert (answer.status, answer.body) == (404, b"a nicer page")


async def test_compression_is_a_middleware_like_others() -> None:
    async def long(request: web.BaseRequest) -> web.Response:
        return web.Response(text="long " * 1000)

    answer = await once(compose(long, marking, web.compression()), "Accept-Encoding: gzip")
    assert answer.headers["content-encoding"] == ["gzip"]
    assert answer.headers["x-agent"] == ["SimpleX"]


# Nonsense.


async def forgetful(request: web.BaseRequest) -> Any:
    """Return nothing."""


async def talkative(request: web.BaseRequest) -> Any:
    return "text"


async def forgetful_middleware(request: web.BaseRequest, handler: Handler) -> Any:
    await handler(request)


def blocking_forgetful(request: web.BaseRequest) -> None:
    """Return nothing, in a thread."""


def forgetful_wrapper(handler: Handler) -> Any:
    async def forgetful_inner(request: web.BaseRequest) -> None:
        await handler(request)

    return forgetful_inner


def routed(handler: Any) -> web.Router:
    router = web.Router()
    router.add_route("*", "/{rest:path}", handler)
    return router


@pytest.mark.parametrize(
    ("composed", "blamed", "kind"),
    [
        (compose(forgetful), "forgetful", "NoneType"),
        (compose(forgetful, through), "forgetful", "NoneType"),
        (compose(talkative, through, through), "talkative", "str"),
        (compose(talkative, web.coerce, through), "talkative", "str"),
        (compose(forgetful, web.coerce), "forgetful", "NoneType"),
        (compose(forgetful, through, web.coerce), "forgetful", "NoneType"),
        (compose(blocking_forgetful), "blocking_forgetful", "NoneType"),
        (compose(blocking_forgetful, through), "blocking_forgetful", "NoneType"),
        (compose(blocking_forgetful, web.coerce), "blocking_forgetful", "NoneType"),
        (compose(functools.partial(forgetful), through), "forgetful", "NoneType"),
        (compose(ok, forgetful_middleware), "forgetful_middleware", "NoneType"),
        (compose(ok, through, forgetful_middleware), "forgetful_middleware", "NoneType"),
        (compose(ok, forgetful_middleware, through), "forgetful_middleware", "NoneType"),
        (compose(ok, web.coerce, forgetful_middleware), "forgetful_middleware", "NoneType"),
        (compose(ok, forgetful_wrapper), "forgetful_inner", "NoneType"),
        (compose(ok, through, forgetful_wrapper, through), "forgetful_inner", "NoneType"),
        (compose(routed(forgetful), through), "forgetful", "NoneType"),
        (compose(routed(blocking_forgetful), through), "blocking_forgetful", "NoneType"),
        (compose(routed(forgetful), web.coerce), "forgetful", "NoneType"),
        (compose(routed(routed(talkative)), through), "talkative", "str"),
        (compose(routed(compose(forgetful, through)), through), "forgetful", "NoneType"),
        (compose(routed(ok), forgetful_middleware, through), "forgetful_middleware", "NoneType"),
    ],
)
async def test_nonsense_is_told_by_name_and_type(
    composed: Any, blamed: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await ask(composed)
    assert (answer.status, answer.body) == (500, b"500: Internal Server Error")
    assert len(caplog.records) == 2, "one line for each request"
    for record in caplog.records:
        message = record.getMessage()
        assert f".{blamed} returned {kind}, not a response" in message
        assert record.exc_info is None


async def test_a_middleware_that_replaces_nonsense_is_blamed_for_its_own() -> None:
    """What a handler returned is not held against who comes later."""

    async def replacing(request: web.BaseRequest, handler: Handler) -> Any:
        try:
            return await handler(request)
        except TypeError as exc:
            return web.Response(text=str(exc))

    answer = await once(compose(routed(talkative), replacing))
    assert answer.body.endswith(b"talkative returned str, not a response")


async def test_a_middleware_that_is_no_coroutine_function(caplog: pytest.LogCaptureFixture) -> None:
    """It may answer by itself, or return what the handler returns, to be awaited."""

    def guarding(request: web.BaseRequest, handler: Handler) -> Any:
        if request.path == "/nothing":
            return None
        return web.Response(status=401) if request.path == "/guarded" else handler(request)

    with caplog.at_level(logging.ERROR):
        async with serving(compose(ok, guarding)) as served, Peer.connect(served.port) as peer:
            assert (await peer.ask(request())).body == b"OK"
            assert (await peer.ask(request("GET", "/guarded"))).status == 401
            assert (await peer.ask(request("GET", "/nothing"))).status == 500
    (record,) = caplog.records
    assert ".guarding returned NoneType, not a response" in record.getMessage()


# When it is composed.


@pytest.mark.parametrize("nonsense", [None, "name", 7], ids=repr)
def test_what_cannot_be_called(nonsense: Any) -> None:
    with pytest.raises(TypeError, match="handler must be callable"):
        compose(nonsense)
    with pytest.raises(TypeError, match="handler must be callable"):
        compose(nonsense, through)
    with pytest.raises(TypeError, match="middleware must be callable"):
        compose(ok, through, nonsense)
    with pytest.raises(TypeError, match="must be callable"):
        compose(ok, lambda handler: nonsense)


async def test_the_lifespan_of_what_is_inside() -> None:
    app = web.Application()
    assert compose(app).lifespan is app.lifespan  # type: ignore[attr-defined]
    composed = compose(app, through, by_hand)
    assert composed.lifespan is app.lifespan  # type: ignore[attr-defined]
    assert compose(composed, marking).lifespan is app.lifespan  # type: ignore[attr-defined]
    assert not hasattr(compose(ok, through), "lifespan")


def test_the_name_is_in_the_house() -> None:
    assert web.compose is compose
