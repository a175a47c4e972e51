"""request.background(): what is done when the response is out, beside everything else."""

import asyncio
import gc
import inspect
import io
import logging
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from yarl import URL

import lowlevel as web
from lowlevel.background import Background
from tests.support import Peer, request, serving, turns, until, within

REQUEST = request()


class Work:
    """Coroutines that write down what they do."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.finish = asyncio.Event()

    async def note(self, line: str = "done") -> None:
        self.lines.append(line)

    async def wait(self) -> None:
        """Until ``finish`` is set."""
        self.lines.append("begun")
        try:
            await self.finish.wait()
        except asyncio.CancelledError:
            self.lines.append("cancelled")
            raise
        self.lines.append("done")

    async def fail(self, error: BaseException) -> None:
        self.lines.append("failed")
        raise error

    async def seen(self, *lines: str) -> None:
        """Wait until exactly this was written down."""
        await until(lambda: len(self.lines) >= len(lines), f"{lines}, not {self.lines}")
        assert self.lines == list(lines)


@pytest.fixture
def work() -> Iterator[Work]:
    """What it made and nobody awaited makes the test fail."""
    yield Work()
    gc.collect()


async def test_it_is_done_beside_the_connection(work: Work) -> None:
    """After the response, in order; the next request on the connection is answered meanwhile."""

    async def handler(request: web.BaseRequest) -> web.Response:
        if request.path == "/work":
            request.background(work.wait())
            request.background(work.note("second"))
            work.lines.append("handler")
        return web.Response(text=request.path)

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        assert (await peer.ask(request(target="/work"))).body == b"/work"
        assert (await peer.ask(request(target="/next"))).body == b"/next"
        await work.seen("handler", "begun")
        work.finish.set()
        await work.seen("handler", "begun", "done", "second")
        assert not it.server._background


async def test_each_request_has_an_order_of_its_own(work: Work) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        request.background(work.wait() if request.path == "/1" else work.note(request.path))
        return web.Response()

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        await peer.send(request(target="/1") + request(target="/2"))
        await peer.answer()
        await peer.answer()
        await work.seen("begun", "/2")
        work.finish.set()
        await work.seen("begun", "/2", "done")


@pytest.mark.parametrize("close", [False, True])
async def test_the_last_byte_is_out_first(work: Work, close: bool) -> None:
    """What blocks the event loop keeps nobody waiting for the response."""
    written: list[bytes] = []

    async def look(transport: Any) -> None:
        written.append(b"".join(transport.data))

    class Transport(asyncio.Transport):
        def __init__(self) -> None:
            super().__init__()
            self.data: list[bytes] = []

        def write(self, data: Any) -> None:
            self.data.append(bytes(data))

        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return default

        def is_closing(self) -> bool:
            return False

        def can_write_eof(self) -> bool:
            return False

        def close(self) -> None: ...

        def pause_reading(self) -> None: ...

        def resume_reading(self) -> None: ...

    transport = Transport()

    async def handler(request: web.BaseRequest) -> web.Response:
        request.background(look(transport))
        response = web.Response(text="here")
        response.enable_chunked_encoding()
        if close:
            response.force_close()
        return response

    connection = web.Server(handler, access_log=None)()
    connection.connection_made(transport)
    # Behind it there are others, for which the first answer would be kept back.
    connection.data_received(request() * 3)
    await until(lambda: written, "the work")
    assert written[0].endswith(b"here\r\n0\r\n\r\n")
    connection.connection_lost(None)


# Errors.


async def test_errors_are_logged_alone(work: Work, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        request.background(work.fail(LookupError("of the work")))
        request.background(work.fail(asyncio.CancelledError()))
        request.background(work.fail(Unusual("of the work")))
        request.background(work.note())
        return web.Response()

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        await peer.ask(request("POST", "/a%20b?c=d"))
        await work.seen("failed", "failed", "failed", "done")
        assert (await peer.ask(REQUEST)).status == 200
    first, second, third = caplog.records[:3]
    assert first.name == "lowlevel.server" and first.levelno == logging.ERROR
    assert first.getMessage() == "Error in the background work of POST /a%20b"
    assert "LookupError: of the work" in (first.exc_text or "")
    assert "in fail" in (first.exc_text or "")
    assert second.getMessage() == "The background work of POST /a%20b was cancelled"
    assert "Unusual: of the work" in (third.exc_text or "")


class Unusual(BaseException):
    pass


async def test_no_client_writes_lines_of_its_own_into_the_log(
    work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: web.BaseRequest) -> Any:
        request.background(work.fail(LookupError("of the work")))
        request.background(work.wait())

    router = web.Router()
    router.route("/{x}")(handler)
    async with serving(router) as it, Peer.connect(it.port) as peer:
        assert (await peer.ask(request("GET", "/a%0AERROR%1b%5b0m?b"))).status == 500
        await work.seen("failed", "begun")
        await within(it.server.shutdown(0))
    nonsense, error, warning = [record.getMessage() for record in caplog.records]
    assert nonsense.startswith("For GET /a%0AERROR%1b%5b0m, the handler ")
    assert error == "Error in the background work of GET /a%0AERROR%1b%5b0m"
    assert warning == "Shutdown: the background work of GET /a%0AERROR%1b%5b0m still runs"


async def test_the_logger_is_that_of_the_server(work: Work) -> None:
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger = logging.Logger("mine")
    logger.addHandler(Handler())

    async def handler(request: web.BaseRequest) -> web.Response:
        request.background(work.fail(LookupError()))
        return web.Response()

    async with serving(handler, logger=logger) as it, Peer.connect(it.port) as peer:
        await peer.ask(REQUEST)
        await until(lambda: lines, "a line in the log")
    assert lines == ["Error in the background work of GET /"]


@pytest.mark.parametrize("wrong", [None, 5, "x", Work.note, print])
async def test_what_cannot_be_awaited(wrong: Any) -> None:
    errors: list[TypeError] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        try:
            request.background(wrong)
        except TypeError as exc:
            errors.append(exc)
        return web.Response()

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        assert (await peer.ask(REQUEST)).status == 200
    assert str(errors[0]) == f"background() needs something to await, not {wrong!r}"


class Awaitable_:
    def __init__(self, work: Work) -> None:
        self.work = work

    def __await__(self) -> Generator[Any, None, None]:
        return self.work.note("object").__await__()


async def test_all_that_can_be_awaited(work: Work) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        request.background(Awaitable_(work))
        request.background(asyncio.create_task(work.note("task")))
        request.background(asyncio.gather(work.note("one"), work.note("two")))
        request.background(work.note("last"))
        return web.Response()

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        await peer.ask(REQUEST)
        await until(lambda: len(work.lines) == 5, "all of them")
    assert sorted(work.lines) == ["last", "object", "one", "task", "two"]
    assert work.lines[-1] == "last"


# Contexts.

NAME = ContextVar("NAME", default="nobody")


async def test_it_has_the_context_of_the_call(work: Work) -> None:
    """What a middleware sets for the handler, and takes back, is there for the work."""

    async def whose() -> None:
        work.lines.append(NAME.get())
        NAME.set("the work")

    async def handler(request: web.BaseRequest) -> web.Response:
        token = NAME.set(request.path)
        request.background(whose())
        request.background(whose())
        NAME.reset(token)
        return web.Response()

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        await peer.ask(request(target="/1"))
        await work.seen("/1", "/1")
        await peer.ask(request(target="/2"))
        await work.seen("/1", "/1", "/2", "/2")


async def test_from_a_thread(work: Work) -> None:
    def sync(request: web.BaseRequest) -> None:
        request.background(work.note(NAME.get()))

    async def handler(request: web.BaseRequest) -> web.Response:
        NAME.set("a thread")
        await asyncio.to_thread(sync, request)
        return web.Response()

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        await peer.ask(REQUEST)
        await work.seen("a thread")


async def test_a_task_factory_that_begins_at_once_changes_nothing(work: Work) -> None:
    loop = asyncio.get_running_loop()

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        work.lines.append("factory")
        return asyncio.Task(coro, loop=loop, **options)

    async def handler(request: web.BaseRequest) -> web.Response:
        loop.set_task_factory(factory)
        request.background(work.note())
        return web.Response()

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        await peer.send(REQUEST)
        await work.seen("done")
        loop.set_task_factory(None)
        await peer.answer()


# What a complete response is.


async def plain(request: web.BaseRequest) -> web.Response:
    return web.Response(text="x")


async def empty(request: web.BaseRequest) -> web.Response:
    return web.Response(status=204)


async def large(request: web.BaseRequest) -> web.Response:
    return web.Response(body=bytes(3_000_000))


async def compressed(request: web.BaseRequest) -> web.Response:
    response = web.Response(body=bytes(1000))
    response.enable_compression(web.ContentCoding.gzip)
    return response


async def streamed(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"x")
    return response


async def ended(request: web.BaseRequest) -> web.StreamResponse:
    response = await streamed(request)
    await response.write_eof()
    return response


async def until_close(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    response.force_close()
    await response.prepare(request)
    return response


async def from_a_stream(request: web.BaseRequest) -> web.Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"

    return web.Response(body=pieces())


async def from_an_open_file(request: web.BaseRequest) -> web.Response:
    return web.Response(body=io.BytesIO(b"x"))


async def file(request: web.BaseRequest) -> web.StreamResponse:
    return web.FileResponse(Path(__file__))


async def raised(request: web.BaseRequest) -> web.Response:
    raise web.HTTPFound("/elsewhere")


async def returned(request: web.BaseRequest) -> web.Response:
    return web.HTTPNotFound()


async def broken(request: web.BaseRequest) -> web.Response:
    raise ValueError("of the handler")


async def nonsense(request: web.BaseRequest) -> Any:
    return "no response"


COMPLETE: list[Callable[[web.BaseRequest], Awaitable[Any]]] = [
    *(plain, empty, large, compressed, streamed, ended, until_close, from_a_stream),
    *(from_an_open_file, file, raised, returned, broken, nonsense),
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("answer", COMPLETE)
async def test_behind_a_complete_response(
    work: Work, answer: Callable[[web.BaseRequest], Awaitable[Any]], method: str, version: str
) -> None:
    async def handler(request: web.BaseRequest) -> Any:
        request.background(work.note())
        return await answer(request)

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        body = b"x" if method == "POST" else b""
        await peer.send(request(method, body=body, version=version))
        await peer.answer(method)
        await work.seen("done")


async def test_a_response_for_which_a_middleware_has_touched_the_writer(work: Work) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        request.writer  # noqa: B018
        request.background(work.note())
        return web.Response()

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        await peer.ask(REQUEST)
        await work.seen("done")


async def short(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "5"})
    await response.prepare(request)
    await response.write(b"x")
    return response


async def broken_later(request: web.BaseRequest) -> web.StreamResponse:
    await streamed(request)
    raise ValueError("of the handler")


async def stream_that_breaks(request: web.BaseRequest) -> web.Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"
        raise ValueError("of the stream")

    return web.Response(body=pieces())


async def cancelled(request: web.BaseRequest) -> web.Response:
    raise asyncio.CancelledError


async def unusual(request: web.BaseRequest) -> web.Response:
    raise Unusual


async def aborted(request: web.BaseRequest) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


INCOMPLETE: list[Callable[[web.BaseRequest], Awaitable[Any]]] = [
    *(short, broken_later, stream_that_breaks, cancelled, unusual, aborted),
]


@pytest.mark.parametrize("answer", INCOMPLETE)
async def test_not_without_a_complete_response(
    work: Work,
    answer: Callable[[web.BaseRequest], Awaitable[Any]],
    recwarn: pytest.WarningsRecorder,
) -> None:
    """Coroutines are closed; a task that runs by itself goes on."""
    tasks: list[asyncio.Task[None]] = []

    async def handler(request: web.BaseRequest) -> Any:
        tasks.append(asyncio.create_task(work.wait()))
        request.background(work.note())
        request.background(Awaitable_(work))
        request.background(tasks[0])
        return await answer(request)

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        await peer.send(REQUEST)
        with suppress(ConnectionResetError):
            await peer.read_eof()
        await it.idle()
        assert not it.server._background
        await work.seen("begun")
        work.finish.set()
        await tasks[0]
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("error", [None, ValueError("of the handler"), web.HTTPNotFound()])
async def test_not_for_a_client_that_left_before(work: Work, error: Exception | None) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        request.background(work.note())
        begun.set()
        await go_on.wait()
        if error is not None:
            raise error
        return web.Response()

    async with serving(handler) as it:
        async with Peer.connect(it.port) as peer:
            await peer.send(REQUEST)
            await within(begun.wait())
            peer.reset()
            await it.idle()
        go_on.set()
        await until(lambda: not it.server._orphans, "the end of the handler")
        await turns()
    assert work.lines == []


async def test_not_for_a_client_that_does_not_read_it_all(work: Work) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        request.background(work.note())
        return web.Response(body=bytes(50_000_000))

    async with serving(handler, write_timeout=0.1) as it, Peer.connect(it.port) as peer:
        await peer.send(REQUEST)
        await it.idle()
        await turns()
    assert work.lines == []


async def test_a_client_that_leaves_behind_the_response(work: Work) -> None:
    """It is nobody's business any more."""

    async def handler(request: web.BaseRequest) -> web.Response:
        request.background(work.wait())
        return web.Response()

    async with serving(handler, handler_cancellation=True) as it:
        async with Peer.connect(it.port) as peer:
            await peer.ask(REQUEST)
            await work.seen("begun")
        await it.idle()
        work.finish.set()
        await work.seen("begun", "done")


# WebSockets.


async def websocket_with_work(work: Work, *, close: bool = True) -> Any:
    async def handler(request: web.BaseRequest) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        request.background(work.note())
        async for message in ws:
            if message.data == "end":
                break
            if message.data == "fail":
                raise ValueError("of the handler")
        if close:
            await ws.close()
        work.lines.append(f"code {ws.close_code}")
        return ws

    return handler


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("by", ["server", "client", "shutdown"])
async def test_behind_a_websocket_that_was_closed(work: Work, by: str, close: bool) -> None:
    import aiohttp

    handler = await websocket_with_work(work, close=close)
    async with (
        serving(handler) as it,
        aiohttp.ClientSession() as session,
        session.ws_connect(it.url()) as ws,
    ):
        assert work.lines == []
        shutdown = None
        if by == "server":
            await ws.send_str("end")
        elif by == "client":
            await ws.close()
        else:
            shutdown = asyncio.create_task(it.server.shutdown(5))
        await within(ws.receive())
        await until(lambda: len(work.lines) == 2, "the work")
        assert work.lines[1] == "done"
        if shutdown is not None:
            await within(shutdown)


@pytest.mark.parametrize("how", ["reset", "finish", "fail"])
async def test_not_behind_a_websocket_that_was_lost(work: Work, how: str) -> None:
    async with serving(await websocket_with_work(work)) as it, Peer.connect(it.port) as peer:
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        fields = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", key)
        await peer.send(request("GET", "/", *fields))
        await peer.read_head()
        if how == "reset":
            peer.reset()
        elif how == "finish":
            peer.finish()
        else:
            await peer.send(b"\x81\x84\0\0\0\0fail")
            await peer.reader.readexactly(4)
            await peer.send(b"\x88\x80\0\0\0\0")
        await it.idle()
        await until(lambda: not it.server._orphans, "the end of the handler")
        await turns()
    assert work.lines == ([] if how == "fail" else ["code 1006"])


# Copies of a request, and calls that come later.


async def test_copies_share_one_order(work: Work, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        clone = request.clone(rel_url="/elsewhere")
        clone.background(work.note("1"))
        request.background(work.fail(LookupError()))
        clone.background(work.note("3"))
        return web.Response()

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        await peer.ask(request(target="/here"))
        await work.seen("1", "failed", "3")
    assert caplog.records[0].getMessage() == "Error in the background work of GET /here"


async def test_a_request_factory(work: Work) -> None:
    class MyRequest(web.BaseRequest):
        pass

    async def handler(request: web.BaseRequest) -> web.Response:
        request.background(work.note(type(request).__name__))
        return web.Response()

    async with (
        serving(handler, request_factory=MyRequest) as it,
        Peer.connect(it.port) as peer,
    ):
        await peer.ask(REQUEST)
        await work.seen("MyRequest")


async def test_work_may_leave_more_work(work: Work) -> None:
    requests: list[web.BaseRequest] = []

    async def more(request: web.BaseRequest) -> None:
        request.background(work.note("third"))
        work.lines.append("first")

    async def handler(request: web.BaseRequest) -> web.Response:
        requests.append(request)
        request.background(more(request))
        request.background(work.note("second"))
        return web.Response()

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        await peer.ask(REQUEST)
        await work.seen("first", "second", "third")
        await until(lambda: not it.server._background, "the end")
        with pytest.raises(RuntimeError, match="this request is over"):
            requests[0].background(work.note("too late"))
        assert len(work.lines) == 3


async def test_files_of_a_form_stay_open(work: Work) -> None:
    files: list[web.FileField] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        form = await request.post()
        field = form["file"]
        assert isinstance(field, web.FileField)
        files.append(field)
        if request.path == "/work":
            request.background(work.wait())
            request.background(read(field))
        return web.Response()

    async def read(field: web.FileField) -> None:
        work.lines.append(field.file.read().decode())

    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\ncontent\r\n--b--\r\n"
    )
    fields = ("Content-Type: multipart/form-data; boundary=b",)
    async with serving(handler) as it, Peer.connect(it.port) as peer:
        await peer.ask(request("POST", "/work", *fields, body=body))
        await peer.ask(request("POST", "/", *fields, body=body))
        assert (files[0].file.closed, files[1].file.closed) == (False, True)
        work.finish.set()
        await work.seen("begun", "done", "content")
        await until(lambda: files[0].file.closed, "the end of the file")


async def test_no_reference_cycles() -> None:
    """What is done is freed, without the garbage collector."""
    quiet = logging.Logger("quiet")
    quiet.addHandler(logging.NullHandler())
    ended: list[weakref.ref[Any]] = []

    async def job(request: web.BaseRequest) -> None:
        ended.append(weakref.ref(request))
        raise LookupError

    async def handler(request: web.BaseRequest) -> web.Response:
        request.background(job(request))
        return web.Response()

    gc.collect()
    gc.disable()
    try:
        async with serving(handler, logger=quiet) as it, Peer.connect(it.port) as peer:
            await peer.ask(REQUEST)
            await until(lambda: ended, "the work")
            await until(lambda: not it.server._background, "the end of the work")
            await turns()
            left = [thing for thing in gc.get_objects() if type(thing) is Background]
            assert (left, ended[0]()) == ([], None)
    finally:
        gc.enable()


# The end of the server.


@pytest.mark.parametrize("leave", [False, True])
async def test_shutdown_waits(work: Work, leave: bool) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        request.background(work.wait())
        request.background(work.note("second"))
        return web.Response()

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        await peer.ask(REQUEST)
        if leave:
            peer.reset()
            await it.idle()
        await work.seen("begun")
        shutdown = asyncio.create_task(it.server.shutdown())
        await it.idle()
        await turns()
        assert not shutdown.done()
        work.finish.set()
        await within(shutdown)
        assert work.lines == ["begun", "done", "second"]


async def test_shutdown_cancels_at_its_deadline(
    work: Work, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        request.background(work.wait())
        request.background(work.note("second"))
        return web.Response()

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        await peer.ask(request(target="/slow"))
        await work.seen("begun")
        await within(it.server.shutdown(0))
        assert not it.server._background
    gc.collect()
    assert work.lines == ["begun", "cancelled"]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "Shutdown: the background work of GET /slow still runs")
    ]
    assert [str(warning.message) for warning in recwarn] == []


async def test_what_is_cancelled_has_time_to_clean_up(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lowlevel.server._LAST_SECONDS", 0.001)

    async def job() -> None:
        try:
            await work.wait()
        finally:
            await asyncio.sleep(0.05)
            work.lines.append("clean")

    async def handler(request: web.BaseRequest) -> web.Response:
        request.background(job())
        return web.Response()

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        await peer.ask(REQUEST)
        await work.seen("begun")
        await within(it.server.shutdown(0))
        assert work.lines == ["begun", "cancelled", "clean"]


async def test_shutdown_cancels_what_begins_behind_its_deadline(work: Work) -> None:
    """A handler that is cancelled may still answer."""
    begun = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        request.background(work.wait())
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return web.Response()

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        await peer.send(REQUEST)
        await within(begun.wait())
        await within(it.server.shutdown(0))
        assert not it.server._background
    assert work.lines == ["begun", "cancelled"]


async def test_shutdown_does_not_wait_for_what_will_not_be_cancelled(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lowlevel.server._CANCEL_GRACE", 0.05)
    monkeypatch.setattr("lowlevel.server._LAST_SECONDS", 0.05)

    async def stubborn() -> None:
        while not work.finish.is_set():
            with suppress(asyncio.CancelledError):
                await work.wait()

    second = work.note("second")

    async def handler(request: web.BaseRequest) -> web.Response:
        request.background(stubborn())
        request.background(second)
        return web.Response()

    async with serving(handler) as it, Peer.connect(it.port) as peer:
        await peer.ask(REQUEST)
        await work.seen("begun")
        await within(it.server.shutdown(0))
        assert inspect.getcoroutinestate(second) == inspect.CORO_CLOSED
        work.finish.set()
        await until(lambda: not it.server._background, "the end of the work")
    assert "second" not in work.lines


async def test_what_is_cancelled_before_it_begins(
    work: Work, recwarn: pytest.WarningsRecorder
) -> None:
    """A coroutine that was never awaited would complain."""
    task = asyncio.current_task()
    background = Background(SimpleNamespace(task=task, method="GET", rel_url=URL("/")))  # type: ignore[arg-type]
    ended = asyncio.Event()
    background.add(work.note())
    background.start(logging.getLogger("test"), ended.set)
    assert background.cancel() is not None
    await within(ended.wait())
    gc.collect()
    assert work.lines == []
    assert [str(warning.message) for warning in recwarn] == []


def test_the_end_of_the_loop_is_the_end_of_the_work(recwarn: pytest.WarningsRecorder) -> None:
    """Without a shutdown: what runs is cancelled, and nothing begins in its place."""
    lines: list[str] = []

    async def main() -> None:
        work = Work()
        work.lines = lines

        async def handler(request: web.BaseRequest) -> web.Response:
            request.background(work.wait())
            request.background(work.note("second"))
            return web.Response()

        loop = asyncio.get_running_loop()
        server = await loop.create_server(web.Server(handler), "127.0.0.1", 0)
        async with Peer.connect(server.sockets[0].getsockname()[1]) as peer:
            await peer.ask(REQUEST)
            await work.seen("begun")
        server.close()

    asyncio.run(main())
    gc.collect()
    assert lines == ["begun", "cancelled"]
    assert [str(warning.message) for warning in recwarn] == []


def test_an_exit_leaves_through_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        work = Work()

        async def handler(request: web.BaseRequest) -> web.Response:
            request.background(work.fail(web.GracefulExit()))
            return web.Response()

        async with serving(handler) as it, Peer.connect(it.port) as peer:
            await peer.ask(REQUEST)
            await asyncio.Event().wait()

    with pytest.raises(web.GracefulExit):
        asyncio.run(main())
    gc.collect()
    assert caplog.records == []
