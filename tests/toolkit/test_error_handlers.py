"""Which function answers for which exception, and which exceptions are for none."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import lowlevel as web
from lowlevel.errors import ClientGone, NotAResponse, RequestPayloadError
from lowlevel.toolkit.error_handlers import ErrorHandlers
from tests.support import Answer, Peer, request, serving, until

Raising = Callable[[], BaseException]


class ShopError(Exception):
    """One of the program's own."""


class SoldOut(ShopError):
    """A kind of it."""


class BadCoin(web.HTTPPaymentRequired, ValueError):
    """An answer, and a ValueError too."""


def wrapped(errors: ErrorHandlers, handler: Any) -> Callable[[web.BaseRequest], Awaitable[Any]]:
    async def outer(request: web.BaseRequest) -> web.StreamResponse:
        return await errors(request, handler)

    return outer


def raising(make: Raising) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        raise make()

    return handler


def returning(
    make: Callable[[], Any],
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response: web.StreamResponse = make()
        return response

    return handler


async def ask(errors: ErrorHandlers, handler: Any, sent: bytes = b"") -> Answer:
    async with serving(wrapped(errors, handler)) as served, Peer.connect(served.port) as peer:
        return await peer.ask(sent or request())


def named(*types: type[Exception]) -> ErrorHandlers:
    """Handlers that answer with the class they are registered for, and the class they got."""

    def naming(kind: type[Exception]) -> Callable[[web.BaseRequest, Exception], Any]:
        async def tell(request: web.BaseRequest, exc: Exception) -> str:
            return f"{kind.__name__} {type(exc).__name__}"

        return tell

    return ErrorHandlers({kind: naming(kind) for kind in types})


# Who answers.


@pytest.mark.parametrize(
    ("registered", "make", "taken"),
    [
        ([ValueError], lambda: ValueError("x"), ValueError),
        ([Exception], lambda: ValueError("x"), Exception),
        ([Exception, LookupError], lambda: KeyError("x"), LookupError),
        ([LookupError, Exception], lambda: KeyError("x"), LookupError),
        ([LookupError, KeyError], lambda: KeyError("x"), KeyError),
        ([LookupError, Exception], lambda: ValueError("x"), Exception),
        ([ShopError], SoldOut, ShopError),
        ([ShopError, SoldOut], SoldOut, SoldOut),
        ([SoldOut], ShopError, None),
        ([ValueError], lambda: UnicodeDecodeError("ascii", b"", 0, 1, "x"), ValueError),
        ([OSError], lambda: FileNotFoundError("x"), OSError),
        ([OSError], lambda: ConnectionResetError("to the database"), OSError),
        ([Exception], lambda: ConnectionRefusedError("by the database"), Exception),
        ([TimeoutError], lambda: TimeoutError("x"), TimeoutError),
        ([TypeError], lambda: NotAResponse("app.home", "NoneType"), TypeError),
        ([Exception], lambda: ExceptionGroup("x", [ValueError("x")]), Exception),
        ([], lambda: ValueError("x"), None),
    ],
)
async def test_the_nearest_class_answers(
    registered: list[type[Exception]], make: Raising, taken: type[Exception] | None
) -> None:
    answer = await ask(named(*registered), raising(make))
    if taken is None:
        assert answer.status == 500
        return
    assert answer.status == 200
    assert answer.body.decode() == f"{taken.__name__} {type(make()).__name__}"


HTTP_CASES: list[tuple[list[type[Exception]], Callable[[], web.HTTPException], Any]] = [
    ([web.HTTPNotFound], web.HTTPNotFound, web.HTTPNotFound),
    ([web.HTTPException], web.HTTPNotFound, web.HTTPException),
    ([web.HTTPException, web.HTTPError], web.HTTPNotFound, web.HTTPError),
    ([web.HTTPClientError], lambda: web.HTTPMethodNotAllowed("GET", ["PUT"]), web.HTTPClientError),
    ([web.HTTPServerError], web.HTTPNotFound, None),
    ([web.HTTPNotFound], web.HTTPForbidden, None),
    ([Exception], web.HTTPForbidden, None),
    ([Exception, web.HTTPException], web.HTTPForbidden, web.HTTPException),
    ([ValueError], lambda: web.RequestDecodeError(text="no JSON"), None),
    ([ValueError, Exception], lambda: BadCoin(text="no coin"), None),
    ([ValueError, web.HTTPBadRequest], web.RequestDecodeError, web.HTTPBadRequest),
    ([ValueError, web.RequestDecodeError], web.RequestDecodeError, web.RequestDecodeError),
    ([BadCoin], BadCoin, BadCoin),
    ([web.HTTPRedirection], lambda: web.HTTPFound("/"), web.HTTPRedirection),
    ([web.HTTPOk], web.HTTPOk, web.HTTPOk),
]


@pytest.mark.parametrize("way", [raising, returning])
@pytest.mark.parametrize(("registered", "make", "taken"), HTTP_CASES)
async def test_an_answer_is_only_for_who_wants_answers(
    registered: list[type[Exception]],
    make: Callable[[], web.HTTPException],
    taken: type[Exception] | None,
    way: Callable[[Callable[[], Any]], Any],
) -> None:
    answer = await ask(named(*registered), way(make))
    if taken is None:
        expected = make()
        assert (answer.status, answer.body.decode()) == (expected.status, expected.text)
        return
    assert (answer.status, answer.body.decode()) == (
        200,
        f"{taken.__name__} {type(make()).__name__}",
    )


@pytest.mark.parametrize(
    ("registered", "make", "taken"),
    [
        ([Exception, OSError], lambda: ClientGone("left"), None),
        ([ConnectionError], lambda: ClientGone("left"), ConnectionError),
        ([ConnectionResetError], lambda: ClientGone("left"), ConnectionResetError),
        ([ClientGone], lambda: ClientGone("left"), ClientGone),
        ([Exception, ConnectionError], lambda: ClientGone("left"), ConnectionError),
        ([Exception], lambda: RequestPayloadError("bad chunk"), None),
        ([RequestPayloadError], lambda: RequestPayloadError("bad chunk"), RequestPayloadError),
    ],
)
async def test_the_fault_of_the_client_is_only_for_who_names_it(
    registered: list[type[Exception]], make: Raising, taken: type[Exception] | None
) -> None:
    errors = named(*registered)

    async def outer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await errors(request, raising(make))
        except (ClientGone, RequestPayloadError):
            return web.Response(text="passed")

    async with serving(outer) as served, Peer.connect(served.port) as peer:
        answer = await peer.ask(request())
    expected = "passed" if taken is None else f"{taken.__name__} {type(make()).__name__}"
    assert answer.body.decode() == expected


async def test_the_body_that_is_really_malformed() -> None:
    """Still answered 400 as it is without error handlers."""

    async def reading(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=await request.read())

    bad = request("POST", "/", "Transfer-Encoding: chunked") + b"zz\r\n"
    assert (await ask(named(Exception, ValueError), reading, bad)).status == 400
    answer = await ask(named(RequestPayloadError), reading, bad)
    assert answer.body == b"RequestPayloadError RequestPayloadError"


async def test_the_client_that_really_leaves(caplog: pytest.LogCaptureFixture) -> None:
    errors = ErrorHandlers()
    told: list[str] = []

    @errors.on(Exception)
    async def anything(request: web.BaseRequest, exc: Exception) -> str:
        told.append("Exception")
        return ""

    async def reading(request: web.BaseRequest) -> web.StreamResponse:
        try:
            await request.read()
        except ConnectionResetError:
            told.append("handler")
            raise
        return web.Response()

    async with serving(wrapped(errors, reading)) as served:
        async with Peer.connect(served.port) as peer:
            await peer.send(request("POST", "/", "Content-Length: 10") + b"half")
            await until(lambda: served.server.requests_count, "the request")
            peer.reset()
        await until(lambda: told, "the handler")
        await served.idle()
    assert told == ["handler"]
    assert not caplog.records


@pytest.mark.parametrize("status", [200, 404])
async def test_a_response_that_is_no_exception_passes(status: int) -> None:
    handler = returning(lambda: web.Response(status=status, text="as it was"))
    answer = await ask(named(Exception, web.HTTPException), handler)
    assert (answer.status, answer.body) == (status, b"as it was")


class Stop(BaseException):
    """No Exception."""


@pytest.mark.parametrize("kind", [asyncio.CancelledError, Stop])
async def test_what_is_no_exception_is_for_nobody(kind: type[BaseException]) -> None:
    errors = named(Exception)

    async def outer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await errors(request, raising(kind))
        except kind:
            return web.Response(text="passed")

    async with serving(outer) as served, Peer.connect(served.port) as peer:
        assert (await peer.ask(request())).body == b"passed"


# When the head is out.


async def test_nobody_answers_a_second_time(caplog: pytest.LogCaptureFixture) -> None:
    errors = named(Exception, web.HTTPException)

    async def half(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise web.HTTPNotFound if request.path == "/http" else ValueError("the rest is missing")

    async with serving(wrapped(errors, half)) as served:
        for path in ("/", "/http"):
            async with Peer.connect(served.port) as peer:
                await peer.send(request("GET", path))
                wire = await peer.read_eof()
            assert wire.count(b"HTTP/1.1") == 1
            assert wire.endswith(b"4\r\nhalf\r\n"), "cut off, not ended"
    assert "the rest is missing" in caplog.text


async def test_an_answer_that_was_sent_already_stays_the_answer() -> None:
    async def early(request: web.BaseRequest) -> web.StreamResponse:
        response = web.HTTPNotFound(text="not here")
        await response.prepare(request)
        return response

    answer = await ask(named(web.HTTPException), early)
    assert (answer.status, answer.body) == (404, b"not here")


# What functions may be and do.


async def test_functions_of_all_kinds(caplog: pytest.LogCaptureFixture) -> None:
    errors = ErrorHandlers()
    threads: list[int] = []

    @errors.on(KeyError)
    def blocking(request: web.BaseRequest, exc: KeyError) -> dict[str, str]:
        threads.append(threading.get_ident())
        return {"missing": exc.args[0]}

    @errors.on(IndexError)
    async def awaiting(request: web.BaseRequest, exc: IndexError) -> tuple[int, str]:
        threads.append(threading.get_ident())
        return 404, f"{request.path}: {exc}"

    class Answering:
        async def __call__(self, request: web.BaseRequest, exc: Exception) -> web.Response:
            return web.Response(text=str(exc), status=410)

    errors.on(ValueError)(Answering())
    answer = await ask(errors, raising(lambda: KeyError("name")))
    assert (answer.status, answer.body) == (200, b'{"missing":"name"}')
    answer = await ask(errors, raising(lambda: IndexError("7")), request("GET", "/a"))
    assert (answer.status, answer.body) == (404, b"/a: 7")
    answer = await ask(errors, raising(lambda: ValueError("words")))
    assert (answer.status, answer.body) == (410, b"words")
    here = threading.get_ident()
    assert [thread == here for thread in threads] == [False, True]
    assert not caplog.records


async def test_a_function_may_raise(caplog: pytest.LogCaptureFixture) -> None:
    errors = ErrorHandlers()

    @errors.on(ShopError)
    async def forbid(request: web.BaseRequest, exc: ShopError) -> web.Response:
        raise web.HTTPForbidden(text="closed")

    @errors.on(KeyError)
    async def again(request: web.BaseRequest, exc: KeyError) -> web.Response:
        raise exc

    @errors.on(IndexError)
    def fail(request: web.BaseRequest, exc: IndexError) -> web.Response:
        raise ShopError("of its own")

    answer = await ask(errors, raising(SoldOut))
    assert (answer.status, answer.body) == (403, b"closed")
    assert not caplog.records
    assert (await ask(errors, raising(lambda: KeyError("the first")))).status == 500
    assert "the first" in caplog.text
    assert (await ask(errors, raising(lambda: IndexError("x")))).status == 500
    assert "of its own" in caplog.text, "its own errors are not for its neighbours"


async def test_a_function_that_returns_nothing(caplog: pytest.LogCaptureFixture) -> None:
    errors = ErrorHandlers()

    @errors.on(ValueError)
    async def silent(request: web.BaseRequest, exc: ValueError) -> None:
        """Nothing to say."""

    with caplog.at_level(logging.ERROR):
        answer = await ask(errors, raising(lambda: ValueError("x")))
    assert answer.status == 500
    assert "silent returned NoneType, not a response" in caplog.text


async def test_a_function_that_raises_stop_iteration(caplog: pytest.LogCaptureFixture) -> None:
    """In a thread, from which no future takes that."""

    def empty(request: web.BaseRequest, exc: ValueError) -> web.Response:
        return next(iter(()))

    errors = ErrorHandlers({ValueError: empty})
    assert (await ask(errors, raising(lambda: ValueError("x")))).status == 500
    assert "empty raised StopIteration" in caplog.text


# Registration.


async def test_the_last_one_for_a_class_answers() -> None:
    errors = ErrorHandlers({ValueError: lambda request, exc: "first"})
    errors.on(ValueError)(lambda request, exc: "second")
    assert (await ask(errors, raising(lambda: ValueError("x")))).body == b"second"


async def test_one_function_for_several_classes() -> None:
    errors = ErrorHandlers()

    @errors.on(KeyError, ValueError)
    @errors.on(web.HTTPNotFound)
    async def same(request: web.BaseRequest, exc: Exception) -> str:
        return type(exc).__name__

    for make in (lambda: KeyError("x"), lambda: ValueError("x"), web.HTTPNotFound):
        assert (await ask(errors, raising(make))).body.decode() == type(make()).__name__


def test_on_returns_the_function() -> None:
    def function(request: web.BaseRequest, exc: Exception) -> str:
        return ""

    errors = ErrorHandlers()
    assert errors.on(ValueError)(function) is function
    assert errors.on(KeyError, LookupError)(function) is function
    assert repr(errors) == "<ErrorHandlers ValueError KeyError LookupError>"


def test_a_mapping_is_copied() -> None:
    given: dict[type[Exception], Any] = {ValueError: lambda request, exc: ""}
    errors = ErrorHandlers(given)
    given[KeyError] = given[ValueError]
    assert repr(errors) == "<ErrorHandlers ValueError>"


@pytest.mark.parametrize(
    "kind",
    [BaseException, asyncio.CancelledError, KeyboardInterrupt, int, "ValueError", ValueError("x")],
    ids=repr,
)
def test_only_exceptions_are_handled(kind: Any) -> None:
    with pytest.raises(TypeError, match="classes derived from Exception"):
        ErrorHandlers().on(kind)
    with pytest.raises(TypeError, match="classes derived from Exception"):
        ErrorHandlers().on(ValueError, kind)
    with pytest.raises(TypeError, match="classes derived from Exception"):
        ErrorHandlers({kind: lambda request, exc: ""})


@pytest.mark.parametrize("handlers", [[ValueError], ValueError, ()], ids=repr)
def test_handlers_are_a_mapping(handlers: Any) -> None:
    with pytest.raises(TypeError, match="handlers must be a mapping"):
        ErrorHandlers(handlers)


def test_on_wants_parentheses_and_classes() -> None:
    errors = ErrorHandlers()
    with pytest.raises(TypeError, match="at least one class"):
        errors.on()
    function: Any = lambda request, exc: ""  # noqa: E731
    with pytest.raises(TypeError, match="classes derived from Exception"):
        errors.on(function)


@pytest.mark.parametrize("function", [None, "name", 7], ids=repr)
def test_functions_can_be_called(function: Any) -> None:
    with pytest.raises(TypeError, match="the error handler for ValueError must be callable"):
        ErrorHandlers({ValueError: function})
    with pytest.raises(TypeError, match="the error handler for KeyError, IndexError must be"):
        ErrorHandlers().on(KeyError, IndexError)(function)


def test_the_name_is_in_the_house() -> None:
    assert web.ErrorHandlers is ErrorHandlers
