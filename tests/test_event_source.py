"""EventSourceResponse over real sockets: each way of use, heartbeats, and every way in which a stream ends."""

import asyncio
import logging
import re
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

import lowlevel as web
from lowlevel.errors import ClientGone
from tests.conftest import TLS
from tests.support import DEADLINE, Answer, Peer, request, serving, turns, until, within

GET = request()
NO_HEARTBEAT: dict[str, Any] = {"heartbeat": None}


class Reader(Peer):
    """A client that reads a stream piece by piece."""

    async def begin(self, data: bytes = GET) -> Answer:
        await self.send(data)
        return Answer(await self.read_head(), b"")

    async def chunk(self) -> bytes:
        """The next chunk, b"" for the last."""
        async with asyncio.timeout(DEADLINE):
            size = int(await self.reader.readline(), 16)
            return (await self.reader.readexactly(size + 2))[:-2]


class Diary:
    """What happened in a handler, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    async def has(self, *lines: str) -> None:
        await until(lambda: len(self.lines) >= len(lines), f"{lines} in {self.lines}")
        assert self.lines == list(lines)


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "lowlevel")
    return caplog


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def leave(peer: Peer, way: str) -> None:
    getattr(peer, way)()


LEAVE = pytest.mark.parametrize("way", ["finish", "reset"])


# --- Ways of use --------------------------------------------------------------------------


async def from_request(request: web.BaseRequest) -> web.StreamResponse:
    async with web.EventSourceResponse(request) as events:
        await events.send("one")
        await events.send("two", event="second", id="2", retry=100)
    return events


async def prepared_before(request: web.BaseRequest) -> web.StreamResponse:
    events = web.EventSourceResponse()
    await events.prepare(request)
    async with events as same:
        assert same is events
        await events.send("one")
        await events.send("two", event="second", id="2", retry=100)
    return events


async def without_a_block(request: web.BaseRequest) -> web.StreamResponse:
    events = web.EventSourceResponse()
    await events.prepare(request)
    await events.send("one")
    await events.send("two", event="second", id="2", retry=100)
    return events


async def two_items() -> AsyncIterator[Any]:
    yield "data: one"
    yield {"id": 2, "event": "second", "retry": 100, "data": "two"}


async def from_a_generator(request: web.BaseRequest) -> web.StreamResponse:
    return web.EventSourceResponse(two_items())


async def from_a_function(request: web.BaseRequest) -> web.StreamResponse:
    return web.EventSourceResponse(two_items)


async def from_a_generator_prepared_before(request: web.BaseRequest) -> web.StreamResponse:
    events = web.EventSourceResponse(two_items())
    await events.prepare(request)
    return events


async def from_a_generator_in_a_block(request: web.BaseRequest) -> web.StreamResponse:
    events = web.EventSourceResponse(two_items())
    await events.prepare(request)
    async with events:
        pass
    return events


WAYS = pytest.mark.parametrize(
    "handler",
    [
        from_request,
        prepared_before,
        without_a_block,
        from_a_generator,
        from_a_function,
        from_a_generator_prepared_before,
        from_a_generator_in_a_block,
    ],
)
TWO_EVENTS = b"data: one\n\n", b"id: 2\nevent: second\nretry: 100\ndata: two\n\n"


@WAYS
async def test_ways_of_use(handler: Any) -> None:
    async with serving(handler) as site, Reader.connect(site.port) as peer:
        answer = await peer.begin()
        assert answer.status == 200
        assert answer.header("Content-Type") == "text/event-stream; charset=utf-8"
        assert answer.header("Cache-Control") == "no-cache"
        assert answer.header("X-Accel-Buffering") == "no"
        assert answer.header("Transfer-Encoding") == "chunked"
        assert b"".join([await peer.chunk() for _ in TWO_EVENTS]) == b"".join(TWO_EVENTS)
        assert await peer.chunk() == b""
        # The connection goes on.
        assert (await peer.ask(GET)).body == b"".join(TWO_EVENTS)


@WAYS
async def test_http10_ends_with_the_connection(handler: Any) -> None:
    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.send(request(version="1.0"))
        head, _, body = (await peer.read_eof()).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body == b"".join(TWO_EVENTS)


@WAYS
async def test_head_has_no_events(handler: Any) -> None:
    async with serving(handler) as site, Reader.connect(site.port) as peer:
        answer = await peer.begin(request("HEAD"))
        assert answer.header("Content-Type") == "text/event-stream; charset=utf-8"
        assert (await peer.ask(GET)).body == b"".join(TWO_EVENTS)


async def test_events_arrive_when_they_are_sent() -> None:
    """What features.md calls E17, to the byte."""
    go_on = asyncio.Event()

    async def items() -> AsyncIterator[Any]:
        yield "data: message text"
        await go_on.wait()
        yield {"event": "ping", "data": 5}
        await for_ever()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.EventSourceResponse(items())

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        assert await peer.chunk() == b"data: message text\n\n"
        go_on.set()
        assert await peer.chunk() == b"event: ping\ndata: 5\n\n"


async def test_send_arrives_when_it_is_sent() -> None:
    go_on = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request) as events:
            await events.send("a\nb")
            await go_on.wait()
            await events.send(b"c")
            await events.send(retry=5)
            await for_ever()
        return events

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        assert await peer.chunk() == b"data: a\ndata: b\n\n"
        go_on.set()
        assert await peer.chunk() == b"data: c\n\n"
        assert await peer.chunk() == b"retry: 5\n\n"


async def test_a_block_ends_the_stream() -> None:
    """Also where the handler has more to do."""
    go_on = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request) as events:
            timer = events._timer
        assert events.closed and events.ended
        # Nothing is left of it, nor does it keep the request.
        assert timer is not None and timer.cancelled()
        assert events._timer is None and events._watcher is None and events._opener is None
        await go_on.wait()
        return events

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        assert await peer.chunk() == b""
        go_on.set()
        assert (await peer.ask(GET)).status == 200


async def test_several_tasks_may_send() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request) as events, asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(events.send(f"{number}\n" * 5000, id=number))
        return events

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        body = (await peer.ask(GET)).body.decode()
    ids = [int(number) for number in re.findall("^id: (.*)$", body, re.MULTILINE)]
    assert sorted(ids) == list(range(20))
    for number, event in zip(ids, body.split("\n\n"), strict=False):
        assert event == f"id: {number}\n" + f"data: {number}\n" * 5000 + "data: "


async def test_raw_writes_go_out_as_they_are() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request) as events:
            await events.write(b": raw\n\n")
        return events

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).body == b": raw\n\n"


async def test_aiohttp_s_client_reads_events() -> None:
    async with (
        serving(from_request) as site,
        aiohttp.ClientSession() as session,
        session.get(site.url()) as response,
    ):
        assert response.content_type == "text/event-stream"
        assert await response.read() == b"".join(TWO_EVENTS)


async def test_over_tls(tls: TLS, diary: Diary) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request) as events:
            await events.send("secret")
            await for_ever()
        diary("left")
        return events

    loop = asyncio.get_running_loop()
    server = web.Server(handler, access_log=None)
    listener = await loop.create_server(server, "127.0.0.1", 0, ssl=tls.server)
    port = listener.sockets[0].getsockname()[1]
    async with Reader.connect(port, ssl=tls.client, server_hostname="localhost") as peer:
        await peer.begin()
        assert await peer.chunk() == b"data: secret\n\n"
    await diary.has("left")
    listener.close()
    await server.shutdown(DEADLINE)


# --- The head -----------------------------------------------------------------------------


async def head_of(**options: Any) -> Answer:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.EventSourceResponse(**options)

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        return await peer.ask(GET)


async def test_given_fields_stay() -> None:
    fields = {
        "cache-control": "no-store",
        "content-type": "text/event-stream",
        "x-accel-buffering": "yes",
        "X-More": "1",
    }
    answer = await head_of(headers=fields)
    assert {name: answer.headers[name.lower()] for name in fields} == {
        name: [value] for name, value in fields.items()
    }


async def test_status() -> None:
    answer = await head_of(status=204)
    assert (answer.status, answer.header("Content-Length")) == (204, None)
    assert (await head_of(status=503)).status == 503


async def test_cookies_and_fields_may_be_added() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        events = web.EventSourceResponse(request)
        events.headers["Access-Control-Allow-Origin"] = "*"
        events.set_cookie("a", "b")
        async with events:
            pass
        return events

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(GET)
    assert answer.header("Access-Control-Allow-Origin") == "*"
    assert answer.header("Set-Cookie") == "a=b; Path=/"


# --- Mistakes -----------------------------------------------------------------------------


@pytest.mark.parametrize("source", [5, "data: x", [b"data: x"], object(), list, iter("")])
def test_what_is_no_source(source: Any) -> None:
    with pytest.raises(TypeError, match="source must be"):
        web.EventSourceResponse(source)


@pytest.mark.parametrize(
    ("heartbeat", "error"),
    [(-1, ValueError), (float("inf"), ValueError), ("5", TypeError), (True, TypeError)],
)
def test_what_is_no_heartbeat(heartbeat: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="heartbeat"):
        web.EventSourceResponse(heartbeat=heartbeat)


async def test_without_a_request() -> None:
    events = web.EventSourceResponse()
    assert not events.closed
    with pytest.raises(RuntimeError, match="prepare"):
        async with events:
            pass
    with pytest.raises(RuntimeError, match="prepare"):
        await events.send("x")
    with pytest.raises(AssertionError):
        await events.write_eof()


async def test_after_the_end() -> None:
    failures: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request) as events:
            pass
        try:
            await events.send("x")
        except RuntimeError as exc:
            failures.append(str(exc))
        assert await events.prepare(request) is None
        await events.write_eof()
        return events

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).body == b""
    assert failures == ["Cannot call write() after write_eof()"]


async def test_a_mistake_in_send_spoils_nothing() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request) as events:
            with pytest.raises(ValueError, match="event"):
                await events.send("x", event="a\nb")
            with pytest.raises(TypeError, match="data"):
                await events.send(5)  # type: ignore[arg-type]
            await events.send("good")
        return events

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).body == b"data: good\n\n"


async def failing(request: web.BaseRequest) -> web.StreamResponse:
    async with web.EventSourceResponse(request) as events:
        await events.send("one")
        raise LookupError("of the handler")
    return events


async def failing_items(request: web.BaseRequest) -> web.StreamResponse:
    async def items() -> AsyncIterator[str]:
        yield "data: one"
        raise LookupError("of the iterable")

    return web.EventSourceResponse(items())


async def wrong_items(request: web.BaseRequest) -> web.StreamResponse:
    async def items() -> AsyncIterator[Any]:
        yield "data: one"
        yield 5

    return web.EventSourceResponse(items())


async def no_items(request: web.BaseRequest) -> web.StreamResponse:
    return web.EventSourceResponse(lambda: 5)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("handler", "error", "body"),
    [
        (failing, LookupError, b"b\r\ndata: one\n\n\r\n"),
        (failing_items, LookupError, b"b\r\ndata: one\n\n\r\n"),
        (wrong_items, TypeError, b"b\r\ndata: one\n\n\r\n"),
        (no_items, TypeError, b""),
    ],
)
async def test_a_fault_cuts_the_stream(
    handler: Any, error: type[Exception], body: bytes, log: pytest.LogCaptureFixture
) -> None:
    """No last chunk: the client can tell."""
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        assert (await peer.read_eof()).partition(b"\r\n\r\n")[2] == body
    (record,) = log.records
    assert record.exc_info is not None
    assert record.exc_info[0] is error


# --- The client leaves --------------------------------------------------------------------


@LEAVE
async def test_the_client_leaves_a_block(
    way: str, diary: Diary, log: pytest.LogCaptureFixture
) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        async with web.EventSourceResponse(request) as events:
            assert not events.closed
            await events.send("one")
            try:
                await for_ever()
            finally:
                await asyncio.sleep(0)
                diary("cleaned up")
        assert events.closed
        assert task.cancelling() == 0
        await asyncio.sleep(0)
        diary("went on")
        return events

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        assert await peer.chunk() == b"data: one\n\n"
        leave(peer, way)
        await diary.has("cleaned up", "went on")
        await site.idle()
    assert not log.records


@LEAVE
@pytest.mark.parametrize("function", [False, True])
async def test_the_client_leaves_an_iterable(
    function: bool, way: str, diary: Diary, log: pytest.LogCaptureFixture
) -> None:
    async def items() -> AsyncIterator[str]:
        try:
            yield "data: one"
            await for_ever()
        except asyncio.CancelledError:
            diary("cancelled")
            raise
        finally:
            await asyncio.sleep(0)
            diary("cleaned up")

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.EventSourceResponse(items if function else items())

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        assert await peer.chunk() == b"data: one\n\n"
        leave(peer, way)
        await diary.has("cancelled", "cleaned up")
        await site.idle()
    assert not log.records


@LEAVE
async def test_the_client_leaves_while_an_item_is_sent(
    way: str, diary: Diary, log: pytest.LogCaptureFixture
) -> None:
    """The generator stands at its yield: it is closed."""

    async def items() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: " + b"x" * 100_000
        finally:
            await asyncio.sleep(0)
            diary("cleaned up")

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.EventSourceResponse(items())

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        leave(peer, way)
        peer.reset()
        await diary.has("cleaned up")
        await site.idle()
    assert not log.records


async def test_an_iterator_that_cannot_be_closed(diary: Diary) -> None:
    class Items:
        def __aiter__(self) -> "Items":
            return self

        async def __anext__(self) -> str:
            try:
                await for_ever()
            finally:
                diary("cleaned up")
            return ""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.EventSourceResponse(Items())

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        peer.reset()
        await diary.has("cleaned up")
        await site.idle()


async def test_a_generator_that_does_not_heed(diary: Diary, log: pytest.LogCaptureFixture) -> None:
    """It goes on after its cancellation, until it is closed."""

    async def items() -> AsyncIterator[str]:
        try:
            while True:
                with suppress(asyncio.CancelledError):
                    yield "data: x"
                    await for_ever()
        finally:
            diary("closed")

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.EventSourceResponse(items())

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        await peer.chunk()
        peer.reset()
        await diary.has("closed")
        await site.idle()
    assert not log.records


async def test_a_send_tells_that_the_client_left(
    diary: Diary, log: pytest.LogCaptureFixture
) -> None:
    """In a block the handler need not care: it is left, and nothing escapes."""
    go_on = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request) as events:
            assert request.transport is not None
            request.transport.abort()
            try:
                await events.send("x")
            finally:
                # What the server hears of the connection meanwhile does not disturb this.
                await turns()
                diary("cleaned up")
        diary(f"went on, {events.closed=}")
        go_on.set()
        return events

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.send(GET)
        await within(go_on.wait())
        await diary.has("cleaned up", "went on, events.closed=True")
        await site.idle()
    assert not log.records


async def test_a_send_of_another_task_tells_that_the_client_left(diary: Diary) -> None:
    started: asyncio.Queue[web.EventSourceResponse] = asyncio.Queue()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request) as events:
            started.put_nowait(events)
            await for_ever()
        diary("left")
        return events

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        events = await within(started.get())
        assert events._request is not None and events._request.transport is not None
        events._request.transport.abort()
        with pytest.raises(ConnectionResetError):
            await events.send("x")
        await diary.has("left")
        await site.idle()


async def test_the_client_leaves_a_group_of_tasks(
    diary: Diary, log: pytest.LogCaptureFixture
) -> None:
    """Its senders fail together, in an ExceptionGroup; that says no more than one of them."""

    async def produce(events: web.EventSourceResponse) -> None:
        while True:
            await events.send("x" * 10_000)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request) as events, asyncio.TaskGroup() as group:
            group.create_task(produce(events))
            group.create_task(produce(events))
        diary("went on")
        return events

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        peer.reset()
        await diary.has("went on")
        await site.idle()
    assert not log.records


async def test_a_group_with_another_fault_escapes(log: pytest.LogCaptureFixture) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request) as events:
            assert request.transport is not None
            request.transport.abort()
            try:
                await events.send("x")
            except ConnectionResetError as exc:
                raise ExceptionGroup("both", [exc, LookupError("mine")]) from None
        return events

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.send(GET)
        await until(lambda: log.records, "a line in the log")
        await site.idle()
    (record,) = log.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ExceptionGroup


async def test_another_client_that_left_is_another_matter(diary: Diary) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        events = web.EventSourceResponse(request)
        try:
            async with events:
                raise ClientGone("not ours")
        except ClientGone:
            diary("escaped")
        assert events._timer is None and events._watcher is None
        return events

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).body == b""
    assert diary.lines == ["escaped"]


async def test_a_client_that_left_before_the_block(diary: Diary) -> None:
    """The block is entered, and left where it first waits."""
    left = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        events = web.EventSourceResponse()
        await events.prepare(request)
        left.set()
        await until(lambda: events.closed, "the end")
        async with events:
            diary("entered")
            await for_ever()
        diary("left")
        return events

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        await within(left.wait())
        peer.finish()
        await diary.has("entered", "left")
        await site.idle()


async def test_a_client_that_left_before_the_head(diary: Diary) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        try:
            async with web.EventSourceResponse(request):
                diary("entered")
        except ConnectionResetError:
            diary("refused")
            raise
        raise AssertionError("nobody was there")

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.send(GET)
        await diary.has("refused")
        await site.idle()


async def test_an_iterable_for_a_client_that_left_before_the_head(diary: Diary) -> None:
    class Items:
        def __aiter__(self) -> "Items":
            return self

        async def __anext__(self) -> str:
            raise AssertionError("nobody was there")

        async def aclose(self) -> None:
            diary("closed")

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.EventSourceResponse(Items())

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.send(GET)
        await diary.has("closed")
        await site.idle()


async def test_closed_tells_where_there_is_no_block(diary: Diary) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        events = web.EventSourceResponse()
        await events.prepare(request)
        await events.send("one")
        assert events._timer is not None
        await until(lambda: events.closed, "the end")
        assert events._timer is None
        diary("closed")
        return events

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        await peer.chunk()
        assert not diary.lines
        peer.finish()
        await diary.has("closed")
        await site.idle()


@LEAVE
async def test_with_handler_cancellation_the_handler_is_cancelled_once(
    way: str, diary: Diary
) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        try:
            async with web.EventSourceResponse(request):
                try:
                    await for_ever()
                finally:
                    await turns()
                    diary("cleaned up")
        finally:
            diary("cancelled")
        raise AssertionError("it went on")

    async with (
        serving(handler, handler_cancellation=True) as site,
        Reader.connect(site.port) as peer,
    ):
        await peer.begin()
        leave(peer, way)
        await diary.has("cleaned up", "cancelled")
        await site.idle()


# --- Cancellation -------------------------------------------------------------------------


async def test_cancellation_from_outside_escapes(diary: Diary) -> None:
    async def streaming(request: web.BaseRequest, events: web.EventSourceResponse) -> None:
        async with events:
            await for_ever()
        diary("went on")

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        events = web.EventSourceResponse(request)
        task = asyncio.create_task(streaming(request, events))
        await until(lambda: events.prepared, "the head")
        await turns()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        diary(f"{task.cancelled()=}")
        await events.send("from outside")
        return events

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).body == b"data: from outside\n\n"
    assert diary.lines == ["task.cancelled()=True"]


async def test_a_timeout_outside_the_block_is_a_timeout(diary: Diary) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        events = web.EventSourceResponse(request)
        try:
            async with asyncio.timeout(0.01), events:
                await for_ever()
        except TimeoutError:
            diary("timeout")
        await events.send("late")
        return events

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).body == b"data: late\n\n"
    assert diary.lines == ["timeout"]


async def test_the_end_is_not_lost_behind_another_cancellation(diary: Diary) -> None:
    """The client leaves while somebody's cancellation is under way, which the handler survives."""
    cancelled = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request) as events:
            try:
                async with asyncio.timeout(0.01):
                    try:
                        await for_ever()
                    finally:
                        cancelled.set()
                        await until(lambda: events.closed, "the end")
                        diary("cleaned up")
            except TimeoutError:
                diary("timeout")
            await for_ever()
        diary("left")
        return events

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        await within(cancelled.wait())
        peer.reset()
        await diary.has("cleaned up", "timeout", "left")
        await site.idle()


async def test_a_handler_that_ends_its_own_waits(diary: Diary) -> None:
    """A block that swallows the cancellation has left no trace of it behind."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        async with web.EventSourceResponse(request) as events:
            try:
                await for_ever()
            except asyncio.CancelledError:
                diary("swallowed")
        diary(f"{task.cancelling()=}")
        return events

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        peer.reset()
        await diary.has("swallowed", "task.cancelling()=0")
        await site.idle()


# --- HEAD ---------------------------------------------------------------------------------


async def test_head_leaves_an_endless_block(diary: Diary) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request) as events:
            assert events.closed
            while True:
                await events.send("x")
        diary("left")
        return events

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin(request("HEAD"))
        await diary.has("left")
        await peer.send(request("HEAD"))
        await peer.read_head()


async def test_head_cancels_nothing_behind_the_block(diary: Diary) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request) as events:
            diary("entered")
        await turns()
        diary("went on")
        return events

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin(request("HEAD"))
        await diary.has("entered", "went on")


async def test_head_closes_an_iterable_unused(diary: Diary) -> None:
    class Items:
        def __aiter__(self) -> "Items":
            return self

        async def __anext__(self) -> str:
            raise AssertionError("HEAD has no events")

        async def aclose(self) -> None:
            diary("closed")

    def never() -> AsyncIterator[str]:
        raise AssertionError("HEAD has no events")

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.EventSourceResponse(Items() if request.path == "/" else never)

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin(request("HEAD"))
        await diary.has("closed")
        assert (await peer.begin(request("HEAD", "/function"))).status == 200


# --- Heartbeats ---------------------------------------------------------------------------


async def quiet_block(request: web.BaseRequest) -> web.StreamResponse:
    async with web.EventSourceResponse(request, heartbeat=0.01) as events:
        await for_ever()
    return events


async def quiet_prepared(request: web.BaseRequest) -> web.StreamResponse:
    events = web.EventSourceResponse(heartbeat=0.01)
    await events.prepare(request)
    await request.wait_disconnected()
    return events


async def quiet_iterable(request: web.BaseRequest) -> web.StreamResponse:
    async def items() -> AsyncIterator[str]:
        await for_ever()
        yield ""

    return web.EventSourceResponse(items(), heartbeat=0.01)


@pytest.mark.parametrize("handler", [quiet_block, quiet_prepared, quiet_iterable])
async def test_silence_is_filled_with_comments(handler: Any) -> None:
    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        assert [await peer.chunk() for _ in range(3)] == [b":\n"] * 3


async def test_heartbeats_over_http10() -> None:
    async with serving(quiet_block) as site, Reader.connect(site.port) as peer:
        await peer.begin(request(version="1.0"))
        assert await within(peer.reader.readexactly(6)) == b":\n:\n:\n"


class Quiet:
    """A response that waits, its heart under our thumb."""

    def __init__(self) -> None:
        self.heartbeat = 1000.0
        self.prepared: asyncio.Queue[web.EventSourceResponse] = asyncio.Queue()
        self.go_on = asyncio.Event()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request, heartbeat=self.heartbeat) as events:
            self.prepared.put_nowait(events)
            await self.go_on.wait()
        return events

    def pass_(self, events: web.EventSourceResponse, seconds: float) -> None:
        """Let time pass."""
        events._silent_since -= seconds
        assert events._timer is not None
        events._timer.cancel()
        events._beat()


async def test_a_heartbeat_waits_for_silence() -> None:
    quiet = Quiet()
    async with serving(quiet) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        events = await within(quiet.prepared.get())
        quiet.pass_(events, 600)
        await events.send("one")
        quiet.pass_(events, 600)
        await events.write(b": raw\n\n")
        quiet.pass_(events, 600)
        quiet.pass_(events, 600)
        quiet.pass_(events, 600)
        await events.send("two")
        quiet.go_on.set()
        stream = b"".join(iter([await peer.chunk() for _ in range(4)]))
        assert await peer.chunk() == b""
    assert stream == b"data: one\n\n: raw\n\n:\ndata: two\n\n"


async def test_the_next_heartbeat_is_due_when_the_silence_is_long_enough() -> None:
    quiet = Quiet()
    async with serving(quiet) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        events = await within(quiet.prepared.get())
        now = asyncio.get_running_loop().time
        for passed, left in [(0, 1000), (600, 400), (399, 1), (1, 1000), (5000, 1000)]:
            quiet.pass_(events, passed)
            assert events._timer is not None
            assert left - 0.9 < events._timer.when() - now() < left + 0.1


async def test_heartbeats_do_not_pile_up() -> None:
    """Nothing is added to what a client does not read, by send() or by itself."""
    quiet = Quiet()
    async with serving(quiet) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        events = await within(quiet.prepared.get())
        assert events._request is not None
        transport = events._request.transport
        assert transport is not None

        async def fill() -> None:
            while True:
                await events.send("x" * 65536)

        filling = asyncio.create_task(fill())
        await until(lambda: events._request.protocol.congested, "a client that does not read")  # type: ignore[union-attr]
        full = transport.get_write_buffer_size()
        for _ in range(100):
            quiet.pass_(events, 2000)
        assert not filling.done()
        filling.cancel()
        await asyncio.wait([filling])
        for _ in range(100):
            quiet.pass_(events, 2000)
        assert transport.get_write_buffer_size() == full
        quiet.go_on.set()
        while data := await peer.chunk():
            assert data.startswith(b"data: x")


async def test_no_heartbeat_cuts_through_a_write() -> None:
    """What is still on its way into the stream is not to be followed by anything else."""
    quiet = Quiet()
    async with serving(quiet) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        events = await within(quiet.prepared.get())
        events._sending += 1
        quiet.pass_(events, 2000)
        events._sending -= 1
        await events.send("one")
        assert await peer.chunk() == b"data: one\n\n"


@pytest.mark.parametrize("heartbeat", [None, 0, 0.0])
async def test_no_heartbeat(heartbeat: float | None) -> None:
    timers: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request, heartbeat=heartbeat) as events:
            timers.append(events._timer)
        return events

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).body == b""
    assert timers == [None]


async def after_the_end(request: web.BaseRequest) -> web.StreamResponse:
    async with web.EventSourceResponse(request, heartbeat=0.001) as events:
        pass
    await turns()
    return events


async def after_a_fault(request: web.BaseRequest) -> web.StreamResponse:
    async with web.EventSourceResponse(request, heartbeat=0.001):
        raise LookupError("of the handler")


async def after_a_fault_without_a_block(request: web.BaseRequest) -> web.StreamResponse:
    events = web.EventSourceResponse(heartbeat=0.001)
    await events.prepare(request)
    raise LookupError("of the handler")


async def after_the_client(request: web.BaseRequest) -> web.StreamResponse:
    events = web.EventSourceResponse(heartbeat=0.001)
    await events.prepare(request)
    assert request.transport is not None
    request.transport.abort()
    await turns()
    return events


@pytest.mark.parametrize(
    "ending", [after_the_end, after_a_fault, after_a_fault_without_a_block, after_the_client]
)
async def test_heartbeats_stop(ending: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[web.EventSourceResponse] = []
    prepare = web.EventSourceResponse.prepare

    async def noted(self: web.EventSourceResponse, request: web.BaseRequest) -> Any:
        made.append(self)
        return await prepare(self, request)

    monkeypatch.setattr(web.EventSourceResponse, "prepare", noted)
    async with serving(ending) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        await until(lambda: made and made[0]._timer is None, "the end of the heartbeats")
        await turns()
        assert made[0]._timer is None and made[0]._watcher is None


async def test_a_heartbeat_finds_that_the_client_has_gone(diary: Diary) -> None:
    """It writes to a transport that is closing, and makes no noise about it."""
    quiet = Quiet()
    async with serving(quiet) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        events = await within(quiet.prepared.get())
        assert events._request is not None and events._request.transport is not None
        events._request.transport.abort()
        quiet.pass_(events, 2000)
        await until(lambda: events.closed, "the end")
        await site.idle()


# --- Backpressure -------------------------------------------------------------------------


@pytest.mark.parametrize("iterable", [False, True])
async def test_a_client_that_does_not_read_is_waited_for(iterable: bool) -> None:
    sent: list[int] = []

    async def items(request: web.BaseRequest) -> AsyncIterator[bytes]:
        for number in range(300):
            sent.append(number)
            yield b"data: " + b"x" * 65536

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if iterable:
            return web.EventSourceResponse(items(request), **NO_HEARTBEAT)
        async with web.EventSourceResponse(request, **NO_HEARTBEAT) as events:
            async for item in items(request):
                await events.send(item.removeprefix(b"data: "))
        return events

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await peer.send(GET)
        await still(sent)
        assert len(sent) < 300
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await peer.read_head()
        events = 0
        while chunk := await peer.chunk():
            assert chunk == b"data: " + b"x" * 65536 + b"\n\n"
            events += 1
    assert events == 300


async def still(items: list[int]) -> None:
    """Wait until nothing is added any more."""
    async with asyncio.timeout(DEADLINE):
        while True:
            before = len(items)
            await asyncio.sleep(0.3)
            if items and before == len(items):
                return


async def test_a_client_that_never_reads_is_cut_off(diary: Diary) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        async with web.EventSourceResponse(request) as events:
            while True:
                await events.send("x" * 65536)
        diary("left")
        return events

    async with serving(handler, write_timeout=0.1) as site, Reader.connect(site.port) as peer:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await peer.send(GET)
        await diary.has("left")
        await site.idle()


# --- Compression --------------------------------------------------------------------------


@pytest.mark.parametrize("iterable", [False, True])
async def test_compressed_events_arrive_when_they_are_sent(iterable: bool) -> None:
    go_on: asyncio.Queue[str] = asyncio.Queue()

    async def items() -> AsyncIterator[str]:
        while item := await go_on.get():
            yield f"data: {item}"

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        events = web.EventSourceResponse(items() if iterable else request, heartbeat=None)
        events.enable_compression(web.ContentCoding.gzip)
        if not iterable:
            async with events:
                while item := await go_on.get():
                    await events.send(item)
        return events

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        answer = await peer.begin()
        assert answer.header("Content-Encoding") == "gzip"
        inflated = zlib.decompressobj(31)
        # What is large is compressed in a thread.
        for item in ("one", "two", "x" * 100_000, "three"):
            go_on.put_nowait(item)
            text = b""
            while text != f"data: {item}\n\n".encode():
                text += inflated.decompress(await peer.chunk())
        go_on.put_nowait("")
        while chunk := await peer.chunk():
            inflated.decompress(chunk)
        assert inflated.eof


async def test_compressed_heartbeats() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        events = web.EventSourceResponse(request, heartbeat=0.01)
        events.enable_compression(web.ContentCoding.deflate)
        async with events:
            await for_ever()
        return events

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        inflated = zlib.decompressobj()
        text = b""
        while not text.startswith(b":\n:\n:\n"):
            text += inflated.decompress(await peer.chunk())


# --- Shutdown -----------------------------------------------------------------------------


async def stream_for_ever(
    request: web.BaseRequest, items: Callable[[], AsyncIterator[str]], way: str
) -> web.StreamResponse:
    if way == "iterable":
        return web.EventSourceResponse(items())
    async with web.EventSourceResponse(request) as events:
        async for item in items():
            await events.write(f"{item}\n\n".encode())
    return events


@pytest.mark.parametrize("way", ["iterable", "block"])
async def test_a_server_that_shuts_down_ends_it(way: str, diary: Diary) -> None:
    async def items() -> AsyncIterator[str]:
        try:
            yield "data: one"
            await for_ever()
        finally:
            diary("cleaned up")

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return await stream_for_ever(request, items, way)

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        assert await peer.chunk() == b"data: one\n\n"
        await within(site.server.shutdown(0.01))
        await diary.has("cleaned up")
        assert not site.server.connections


@pytest.mark.parametrize("way", ["iterable", "block"])
async def test_a_server_that_shuts_down_does_not_wait_for_it(way: str) -> None:
    async def items() -> AsyncIterator[str]:
        yield "data: one"
        await for_ever()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return await stream_for_ever(request, items, way)

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        assert await peer.chunk() == b"data: one\n\n"
        await within(site.server.shutdown(None))
        assert await peer.chunk() == b""


@pytest.mark.parametrize("way", ["iterable", "block"])
async def test_told_to_go_away_it_ends_well(way: str) -> None:
    """With its last chunk: the client comes back, and finds another server."""

    async def items() -> AsyncIterator[str]:
        yield "data: one"
        await for_ever()

    answers: list[web.StreamResponse] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        asyncio.get_running_loop().call_soon(lambda: answers.append(request.writer.response))
        return await stream_for_ever(request, items, way)

    async with serving(handler) as site, Reader.connect(site.port) as peer:
        await peer.begin()
        assert await peer.chunk() == b"data: one\n\n"
        (events,) = answers
        assert isinstance(events, web.EventSourceResponse)
        events.go_away()
        assert events.closed
        assert await peer.chunk() == b""
