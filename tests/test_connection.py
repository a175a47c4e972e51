"""One connection: deadlines, flow control, clients that leave, faults of handlers, contexts, what is left behind."""

import asyncio
import contextvars
import gc
import logging
import sys
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import pytest

import lowlevel as web
from lowlevel.connection import Connection
from lowlevel.request import BaseRequest
from tests.support import DEADLINE, Peer, Serving, request, serving, turns, until

GET = request()
LONG = 10_000_000


async def hello(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="hello")


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=await request.read())


def connection(site: Serving) -> Connection:
    (only,) = site.server.connections
    return only


# --- Deadlines ----------------------------------------------------------------------------


async def test_head_timeout_of_a_trickling_client() -> None:
    """Bytes of a head win no time."""
    async with serving(hello, head_timeout=0.2) as site, Peer.connect(site.port) as peer:
        await peer.send(b"GET / HTTP/1.1\r\n")
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while not peer.reader._buffer:  # type: ignore[attr-defined]
            await peer.send(b"X: y\r\n")
            await asyncio.sleep(0.01)
            assert loop.time() < begin + DEADLINE, "the head may take for ever"
        assert (await peer.answer()).status == 408


async def test_head_timeout_of_a_later_request() -> None:
    async with serving(hello, head_timeout=0.1) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            assert (await peer.ask(GET)).status == 200
        await peer.send(b"G")
        assert (await peer.answer()).status == 408
        assert await peer.read_eof() == b""


async def test_head_timeout_of_a_pipelined_request() -> None:
    """It begins when the server waits for the head."""

    async def handler(request: web.BaseRequest) -> web.Response:
        await asyncio.sleep(0.3)
        return web.Response()

    async with serving(handler, head_timeout=0.1) as site, Peer.connect(site.port) as peer:
        await peer.send(GET + GET + b"GET / HT")
        for _ in range(2):
            assert (await peer.answer()).status == 200
        assert (await peer.answer()).status == 408


async def test_no_head_timeout() -> None:
    async with (
        serving(hello, head_timeout=0, lingering_time=0.05) as site,
        Peer.connect(site.port) as peer,
    ):
        await peer.send(GET[:10])
        await asyncio.sleep(0.3)
        await peer.send(GET[10:])
        assert (await peer.answer()).status == 200


async def test_deadlines_do_not_come_early() -> None:
    """The clock is coarse; rounding is in favour of the client."""
    async with serving(hello, keepalive_timeout=0.4) as site, Peer.connect(site.port) as peer:
        await asyncio.sleep(0.27)  # somewhere between two ticks
        begin = asyncio.get_running_loop().time()
        assert (await peer.ask(GET)).status == 200
        assert await peer.read_eof() == b""
        assert asyncio.get_running_loop().time() - begin >= 0.4


async def test_keepalive_timeout_closes_idle_connections() -> None:
    async with serving(hello, keepalive_timeout=0.1) as site:
        async with Peer.connect(site.port) as peer:
            assert await peer.read_eof() == b""  # never used
        async with Peer.connect(site.port) as peer:
            assert (await peer.ask(GET)).header("connection") is None
            assert await peer.read_eof() == b""


async def test_keepalive_timeout_bounds_the_first_head() -> None:
    async with serving(hello, keepalive_timeout=0.2) as site, Peer.connect(site.port) as peer:
        await asyncio.sleep(0.05)
        await peer.send(GET[:10])
        assert (await peer.answer()).status == 408


async def test_the_first_bytes_do_not_put_the_first_deadline_off() -> None:
    async with (
        serving(hello, keepalive_timeout=1, head_timeout=0.8) as site,
        Peer.connect(site.port) as peer,
    ):
        await until(lambda: site.server.connections, "the connection")
        one = connection(site)
        begin = one._deadline
        await asyncio.sleep(0.4)
        await peer.send(b"G")
        await until(lambda: one._phase.name == "HEAD", "the head")
        assert one._deadline <= begin


async def test_keepalive_timeout_does_not_bound_a_handler() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        await asyncio.sleep(0.4)
        return web.Response(text="late")

    async with serving(handler, keepalive_timeout=0.1) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).body == b"late"


async def test_keepalive_timeout_0() -> None:
    """No such deadline, but every answer closes."""
    async with (
        serving(hello, keepalive_timeout=0, lingering_time=0.1) as site,
        Peer.connect(site.port) as peer,
    ):
        await asyncio.sleep(0.3)
        answer = await peer.ask(GET)
        assert (answer.body, answer.header("connection")) == (b"hello", "close")
        assert await peer.read_eof() == b""


async def test_keepalive_timeout_0_and_http_1_0() -> None:
    async with serving(hello, keepalive_timeout=0) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("GET", "/", "Connection: keep-alive", version="1.0"))
        assert (answer.body, answer.header("connection")) == (b"hello", None)
        assert await peer.read_eof() == b""


async def test_body_timeout_is_raised_by_reads() -> None:
    errors: list[BaseException] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        try:
            await request.read()
        except Exception as exc:
            errors.append(exc)
        return web.Response(text="mine")

    async with serving(handler, body_timeout=0.1) as site, Peer.connect(site.port) as peer:
        await peer.send(request("POST", "/", "Content-Length: 10") + b"12345")
        answer = await peer.answer()
        assert (answer.body, answer.header("connection")) == (b"mine", "close")
        assert isinstance(errors[0], web.HTTPRequestTimeout)
        assert await peer.read_eof() == b""


async def test_progress_puts_the_body_timeout_off() -> None:
    async with serving(echo, body_timeout=0.3) as site, Peer.connect(site.port) as peer:
        await peer.send(request("POST", "/", "Content-Length: 20"))
        for _ in range(20):
            await peer.send(b"x")
            await asyncio.sleep(0.03)
        assert (await peer.answer()).body == b"x" * 20


async def test_a_slow_reader_is_no_slow_client() -> None:
    """While the handler does not take what has come, the client cannot go on, and has no deadline."""

    async def handler(request: web.BaseRequest) -> web.Response:
        await request.content.readexactly(1)
        await asyncio.sleep(0.5)
        body = await request.content.read()
        return web.Response(text=str(len(body)))

    async with (
        serving(handler, body_timeout=0.1, read_bufsize=1000) as site,
        Peer.connect(site.port) as peer,
    ):
        await peer.send(request("POST", "/", f"Content-Length: {LONG}"))
        sending = asyncio.create_task(peer.send(b"x" * LONG))
        answer = await peer.answer()
        await sending
        assert (answer.status, answer.body) == (200, str(LONG - 1).encode())


async def test_no_body_timeout_while_100_is_not_sent() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        await asyncio.sleep(0.3)
        return web.Response(body=await request.read())

    async with serving(handler, body_timeout=0.1) as site, Peer.connect(site.port) as peer:
        await peer.send(request("POST", "/", "Expect: 100-continue", "Content-Length: 4"))
        assert (await peer.answer()).status == 100
        await peer.send(b"body")
        assert (await peer.answer()).body == b"body"


async def test_no_body_timeout_for_a_complete_body() -> None:
    """Not even when the body of a pipelined request behind it stalls."""

    async def handler(request: web.BaseRequest) -> web.Response:
        if request.path == "/slow":
            await asyncio.sleep(0.3)
        return web.Response(body=await request.read())

    async with serving(handler, body_timeout=0.1) as site, Peer.connect(site.port) as peer:
        await peer.send(
            GET
            + request("POST", "/slow", body=b"complete")
            + request("POST", "/", "Content-Length: 10")
            + b"stalls"
        )
        assert (await peer.answer()).status == 200
        answer = await peer.answer()
        assert (answer.body, answer.header("connection")) == (b"complete", None)
        await peer.send(b"done")  # its own time has only begun
        assert (await peer.answer()).body == b"stallsdone"


async def test_write_timeout_of_a_whole_answer() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=b"x" * 30_000_000)

    async with (
        serving(handler, write_timeout=0.2) as site,
        Peer.connect(site.port, limit=1) as peer,
    ):
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await peer.send(GET)
        await until(lambda: site.server.requests_count, "the request")
        await site.idle()


async def test_write_timeout_spares_who_reads_slowly() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=b"x" * LONG)

    async with (
        serving(handler, write_timeout=0.2) as site,
        Peer.connect(site.port, limit=1000) as peer,
    ):
        await peer.send(GET)
        await peer.read_head()
        size = 0
        while size < LONG:
            size += len(await peer.reader.readexactly(min(500_000, LONG - size)))
            await asyncio.sleep(0.04)
        assert (await peer.ask(request("HEAD"))).status == 200


async def test_write_timeout_of_the_last_answer() -> None:
    """What is left in the buffer when the connection ends has a deadline too."""

    async def handler(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        request.transport.set_write_buffer_limits(high=100_000_000)
        response = web.Response(body=b"x" * 30_000_000)
        response.force_close()
        return response

    async with (
        serving(handler, write_timeout=0.2) as site,
        Peer.connect(site.port, limit=1) as peer,
    ):
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await peer.send(GET)
        await until(lambda: site.server.requests_count, "the request")
        await site.idle()


async def test_lingering_ends() -> None:
    """A client that goes on sending what nobody wants is given up after lingering_time."""

    async def handler(request: web.BaseRequest) -> web.Response:
        response = web.Response(status=403)
        response.force_close()
        return response

    async with serving(handler, lingering_time=0.2) as site, Peer.connect(site.port) as peer:
        await peer.send(request("POST", "/", "Content-Length: 1000000") + b"x" * 1000)
        assert (await peer.answer()).status == 403
        await site.idle()


async def test_draining_ends() -> None:
    """A client that stops in the middle of a body nobody wants is given up after lingering_time."""
    async with serving(hello, lingering_time=0.2) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("POST", "/", "Content-Length: 1000") + b"x" * 999)
        assert (answer.status, answer.header("connection")) == (200, None)
        assert await peer.read_eof() == b""
        await site.idle()


async def test_draining_has_a_bound_in_bytes() -> None:
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("POST", "/", "Transfer-Encoding: chunked"))
        assert answer.status == 200
        with pytest.raises(ConnectionError):
            for _ in range(100):
                await peer.send(b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n")
        await site.idle()


async def test_a_large_declared_body_is_not_drained() -> None:
    async with serving(hello) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("POST", "/", "Content-Length: 100000000"))
        assert answer.header("connection") == "close"


async def test_lingering_time_0() -> None:
    async with serving(hello, lingering_time=0) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("POST", "/", "Content-Length: 1000"))
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert await peer.read_eof() == b""
        await site.idle()


async def test_a_slow_reader_gets_its_answer_although_it_does_not_send_its_body() -> None:
    """Giving up on the rest of a body must not destroy the answer that is still on its way."""

    async def handler(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        request.transport.set_write_buffer_limits(high=100_000_000)
        response = web.Response(body=b"x" * LONG)
        if request.path == "/close":
            response.force_close()
        return response

    for path in ("/keep", "/close"):
        async with (
            serving(handler, lingering_time=0.1) as site,
            Peer.connect(site.port, limit=1000) as peer,
        ):
            await peer.send(request("POST", path, "Content-Length: 1000"))
            head = await peer.read_head()
            assert head.startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(0.4)
            assert len(await peer.read_eof()) == LONG


# --- Flow control -------------------------------------------------------------------------


async def test_a_large_upload_to_a_slow_reader_costs_bounded_memory() -> None:
    go = asyncio.Event()
    seen = 0

    async def handler(request: web.BaseRequest) -> web.Response:
        nonlocal seen
        await go.wait()
        async for data in request.content.iter_any():
            seen += len(data)
            assert request.content._size < 2_000_000
            await asyncio.sleep(0)
        return web.Response(text=str(seen))

    total = 40_000_000
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(request("POST", "/", f"Content-Length: {total}"))
        sending = asyncio.create_task(peer.send(b"x" * total))
        await until(lambda: site.server.connections and connection(site)._request, "the request")
        one = connection(site)
        content = one._request.content  # type: ignore[union-attr]
        await until(lambda: not one.transport.is_reading(), "a pause")  # type: ignore[union-attr]
        await turns()
        assert content._size < 2_000_000
        assert not sending.done()
        go.set()
        assert (await peer.answer()).body == str(total).encode()
        await sending
        assert (await peer.ask(request("POST", "/", body=b"x" * 5))).status == 200


async def test_an_upload_read_whole_beyond_the_mark() -> None:
    async with (
        serving(echo, client_max_size=0, read_bufsize=100) as site,
        Peer.connect(site.port) as peer,
    ):
        sending = asyncio.create_task(peer.send(request("POST", "/", body=b"x" * LONG)))
        assert len((await peer.answer()).body) == LONG
        await sending


@pytest.mark.usefixtures("untraced")
async def test_tiny_chunks_cost_bounded_memory() -> None:
    go = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        await go.wait()
        return web.Response(text=str(len(await request.read())))

    async with serving(handler, client_max_size=0) as site, Peer.connect(site.port) as peer:
        await peer.send(request("POST", "/", "Transfer-Encoding: chunked"))
        sending = asyncio.create_task(peer.send(b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n"))
        await until(lambda: site.server.connections and connection(site)._request, "the request")
        one = connection(site)
        content = one._request.content  # type: ignore[union-attr]
        await until(lambda: not one.transport.is_reading(), "a pause")  # type: ignore[union-attr]
        assert len(content._chunks) < 30_000
        go.set()
        assert (await peer.answer()).body == b"100000"
        await sending


@pytest.mark.parametrize("way", ["read", "stream", "ignore", "queued"])
async def test_a_body_above_the_high_mark_at_its_end(way: str) -> None:
    """Nobody has to read a complete body for the next request to be heard."""

    async def handler(request: web.BaseRequest) -> web.Response:
        await asyncio.sleep(0)
        if way == "read":
            await request.read()
        elif way == "stream":
            async for _ in request.content.iter_chunked(100):
                await asyncio.sleep(0)
        return web.Response(text=request.path)

    large = request("POST", "/large", body=b"x" * 30_000)
    async with serving(handler, read_bufsize=1024) as site, Peer.connect(site.port) as peer:
        if way == "queued":
            await peer.send(request(target="/before") + large)
            assert (await peer.answer()).body == b"/before"
        else:
            await peer.send(large)
        assert (await peer.answer()).body == b"/large"
        assert (await peer.ask(request(target="/next"))).body == b"/next"


@pytest.mark.usefixtures("untraced")
async def test_a_pipelining_client_is_bounded() -> None:
    """Beyond max_pipelined waiting requests the connection is not read from; all are answered in the end."""
    go = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        await go.wait()
        return web.Response(text=request.path)

    count = 10_000
    padding = "X: " + "y" * 2000
    async with serving(handler, max_pipelined=4) as site, Peer.connect(site.port) as peer:
        sending = asyncio.create_task(
            peer.send(b"".join(request("GET", f"/{n}", padding) for n in range(count)))
        )
        await until(lambda: site.server.requests_count, "the first request")
        one = connection(site)
        await until(lambda: not one.transport.is_reading(), "a pause")  # type: ignore[union-attr]
        await turns()
        assert not sending.done()
        assert site.server.requests_count == 1
        waiting = len(one._queue or ())
        assert 4 <= waiting < 1000
        await turns()
        assert len(one._queue or ()) == waiting
        go.set()
        for number in range(count):
            async with asyncio.timeout(DEADLINE):
                head = await peer.reader.readuntil(b"\r\n\r\n")
                size = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                assert await peer.reader.readexactly(size) == f"/{number}".encode()
        await sending


@pytest.mark.usefixtures("untraced")
async def test_a_pipelining_client_is_bounded_while_it_is_answered() -> None:
    """Each answer must not let in another read full of requests."""
    waiting: list[int] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        waiting.append(len(connection(site)._queue or ()))
        return web.Response()

    count = 60_000
    one = request()
    async with serving(handler, max_pipelined=4) as site, Peer.connect(site.port) as peer:
        sending = asyncio.create_task(peer.send(one * count))
        async with asyncio.timeout(DEADLINE):
            for _ in range(count):
                await peer.reader.readuntil(b"\r\n\r\n")
        await sending
    one_read = 262_144 // len(one)
    assert max(waiting) <= one_read + 4


async def test_bytes_behind_an_offer_are_bounded() -> None:
    """They may belong to another protocol, so they wait for the handler's decision."""
    go = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        if request.is_websocket:
            await go.wait()
        return web.Response(text=str(len(await request.read())))

    offer = request("GET", "/", "Connection: Upgrade", "Upgrade: websocket")
    total = 20_000_000
    async with serving(handler, client_max_size=0) as site, Peer.connect(site.port) as peer:
        await peer.send(offer)
        await until(lambda: site.server.requests_count, "the request")
        sending = asyncio.create_task(peer.send(request("POST", "/", body=b"x" * total)))
        one = connection(site)
        await until(lambda: not one.transport.is_reading(), "a pause")  # type: ignore[union-attr]
        assert one._parser.held_size is not None and one._parser.held_size < 2_000_000
        go.set()
        assert (await peer.answer()).status == 200
        assert (await peer.answer()).body == str(total).encode()
        await sending


async def test_what_follows_the_last_request_is_bounded() -> None:
    """Behind Connection: close nothing is kept, and in the end not even read."""
    go = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        await go.wait()
        return web.Response(text="last")

    async with serving(handler, lingering_time=0.2) as site, Peer.connect(site.port) as peer:
        await peer.send(request("GET", "/", "Connection: close"))
        await until(lambda: site.server.requests_count, "the request")
        sending = asyncio.create_task(peer.send(b"x" * 60_000_000))
        one = connection(site)
        await until(lambda: not one.transport.is_reading(), "a pause")  # type: ignore[union-attr]
        go.set()
        assert (await peer.answer()).body == b"last"
        with pytest.raises(ConnectionError):
            await sending
        await site.idle()


async def test_a_download_waits_for_its_client() -> None:
    written = 0

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(250):
            await response.write(b"x" * 100_000)
            written += 100_000
        return response

    async with serving(handler) as site, Peer.connect(site.port, limit=100_000) as peer:
        await peer.send(GET)
        await until(lambda: written, "the first write")
        before = -1
        while before != written:
            before = written
            await turns(100)
        assert written < 20_000_000
        answer = await peer.answer()
        assert len(answer.body) == 25_000_000


async def test_pipelined_answers_wait_for_their_client() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=b"x" * 1_000_000)

    async with serving(handler) as site, Peer.connect(site.port, limit=1000) as peer:
        await peer.send(GET * 100)
        before = -1
        while before != site.server.requests_count:
            before = site.server.requests_count
            await turns(100)
        assert before < 50
        for _ in range(100):
            assert len((await peer.answer()).body) == 1_000_000


async def test_a_fast_client_does_not_starve_others() -> None:
    """A handler that writes without end to a client that reads as fast leaves room for others."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/short":
            return web.Response()
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 1000)

    async def read(peer: Peer) -> None:
        while await peer.reader.read(1_000_000):
            pass

    async with (
        serving(handler) as site,
        Peer.connect(site.port) as peer,
        Peer.connect(site.port) as beside,
    ):
        await peer.send(request(target="/endless"))
        reading = asyncio.create_task(read(peer))
        for _ in range(20):
            assert (await beside.ask(request(target="/short"))).status == 200
        peer.reset()
        reading.cancel()
        await asyncio.wait([reading])


async def test_a_writer_that_never_has_to_wait_leaves_turns_to_others() -> None:
    turns_of_others = 0

    async def others() -> None:
        nonlocal turns_of_others
        while True:
            turns_of_others += 1
            await asyncio.sleep(0)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.set_write_buffer_limits(high=100_000_000)
        response = web.StreamResponse()
        await response.prepare(request)
        beside = asyncio.create_task(others())
        for _ in range(1000):
            await response.write(b"x" * 10_000)
        beside.cancel()
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert len((await peer.ask(GET)).body) == 10_000_000
    assert turns_of_others > 100


# --- Clients that leave -------------------------------------------------------------------


@pytest.mark.parametrize("way", ["fin", "rst"])
@pytest.mark.parametrize("cancels", [False, True], ids=["", "handler_cancellation"])
@pytest.mark.parametrize("stage", ["waiting", "reading", "streaming", "writing"])
async def test_what_a_handler_sees(
    stage: str, cancels: bool, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "lowlevel")
    began, ended = asyncio.Event(), asyncio.Event()
    seen: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        began.set()
        try:
            if stage == "waiting":
                await asyncio.sleep(0.2)
            elif stage == "reading":
                await request.read()
            else:
                response = web.StreamResponse()
                await response.prepare(request)
                while stage == "streaming":
                    await response.write(b"x")
                    await asyncio.sleep(0.001)
                while True:
                    await response.write(b"x" * 100_000)
            seen.append("end")
            return web.Response()
        except BaseException as exc:
            gone = isinstance(exc, ConnectionResetError)
            seen.append(ConnectionResetError if gone else type(exc))
            raise
        finally:
            ended.set()

    async with serving(handler, handler_cancellation=cancels) as site:
        async with Peer.connect(site.port, limit=1000) as peer:
            body = b"x" if stage == "reading" else b""
            await peer.send(request("POST", "/", "Content-Length: 1000" if body else "X: y") + body)
            await asyncio.wait_for(began.wait(), DEADLINE)
            await turns()
            if way == "rst":
                peer.reset()
        await asyncio.wait_for(ended.wait(), DEADLINE)
        await site.idle()
        await turns(2)
    if cancels:
        # Reads and writes fail at the same moment; either will do.
        assert seen in ([asyncio.CancelledError], [ConnectionResetError])
        if stage == "waiting":
            assert seen == [asyncio.CancelledError]
    else:
        assert seen == (["end"] if stage == "waiting" else [ConnectionResetError])
    assert not [
        record
        for record in caplog.records
        if record.name.startswith("lowlevel")
        and (record.levelno > logging.DEBUG or record.exc_info)
    ]


async def test_a_client_that_leaves_before_its_handler_began() -> None:
    async with serving(hello, handler_cancellation=True) as site:
        for _ in range(20):
            async with Peer.connect(site.port) as peer:
                peer.writer.write(GET)
                peer.finish()
                await peer.read_eof()
        await site.idle()


async def test_the_end_of_the_stream_in_the_turn_of_the_request() -> None:
    """uvloop may report both at once: the task is cancelled before its first step."""
    transport = mock.create_autospec(asyncio.Transport, instance=True)
    transport.is_closing.return_value = False
    transport.get_extra_info.return_value = None
    one = web.Server(hello, handler_cancellation=True, access_log=None)()
    one.connection_made(transport)
    one.data_received(GET)
    assert one.eof_received()
    await turns(3)
    transport.close.assert_called_once()
    one.connection_lost(None)


async def test_handlers_run_to_their_end() -> None:
    """By default, also those of streams; the transport is None then."""
    ended: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        await request.wait_disconnected()
        while request.transport is not None:
            await asyncio.sleep(0.001)
        ended.append(request.get_extra_info("peername", "gone"))
        return web.Response()

    async with serving(handler) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(GET)
            await until(lambda: site.server.requests_count, "the request")
            peer.reset()
        await until(lambda: ended, "the end of the handler")
    assert ended == ["gone"]


@pytest.mark.parametrize("way", ["fin", "rst"])
async def test_an_iterable_body_is_closed_when_the_client_leaves(way: str) -> None:
    closed = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0.001)
        finally:
            closed.set()

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=body())

    async with serving(handler) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(GET)
            await peer.read_head()
            if way == "rst":
                peer.reset()
        await asyncio.wait_for(closed.wait(), DEADLINE)
        await site.idle()


async def test_an_iterable_body_that_waits_is_closed_when_the_client_is_gone() -> None:
    closed = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"x"
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=body())

    async with serving(handler) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(GET)
            await peer.read_head()
            peer.reset()
        await asyncio.wait_for(closed.wait(), DEADLINE)


async def test_a_client_that_leaves_a_drain_makes_no_noise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "lowlevel")

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=b"x" * 30_000_000)

    async with serving(handler) as site:
        for _ in range(3):
            async with Peer.connect(site.port, limit=1000) as peer:
                await peer.send(GET)
                await peer.read_head()
                peer.reset()
            await site.idle()
    assert not [
        record
        for record in caplog.records
        if record.name.startswith("lowlevel")
        and (record.levelno > logging.DEBUG or record.exc_info)
    ]


async def test_a_fault_after_the_client_left_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        await request.wait_disconnected()
        raise ValueError("mine")

    async with serving(handler) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(GET)
            await until(lambda: site.server.requests_count, "the request")
        await until(lambda: caplog.records, "a line in the log")
    (record,) = caplog.records
    assert record.exc_info and record.exc_info[0] is ValueError


@pytest.mark.parametrize("way", ["handler", "application"])
async def test_no_response_to_a_client_that_left(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged like any other, and nothing is left for the event loop to tell."""
    tasks: list[asyncio.Task[Any] | None] = []
    proceed = asyncio.Event()

    async def forgetful(request: web.BaseRequest) -> Any:
        tasks.append(asyncio.current_task())
        await proceed.wait()

    app = web.Application()
    app.route("/")(forgetful)
    async with serving(app if way == "application" else forgetful) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(GET)
            await until(lambda: tasks, "the request")
            peer.reset()
            await site.idle()
        (task,) = tasks
        assert task is not None
        proceed.set()
        await asyncio.wait([task], timeout=DEADLINE)
    assert task.exception() is None
    (record,) = caplog.records
    assert "forgetful returned NoneType, not a response" in record.getMessage()
    assert record.exc_info is None


async def test_a_handler_that_shutdown_finds_is_told_by_its_path_as_it_came(
    caplog: pytest.LogCaptureFixture,
) -> None:
    called = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        called.set()
        await asyncio.Event().wait()
        return web.Response()

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(request("GET", "/a%0Ab?c"))
        await called.wait()
        await site.server.shutdown(0)
    (record,) = caplog.records
    assert record.getMessage().endswith(" waits for the answer to GET /a%0Ab")


async def test_client_that_closed_with_a_body_under_way_is_answered_into_the_void() -> None:
    """It closes while we do not read; the answer is taken by its system, and answered with a reset."""
    called, proceed = asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        called.set()
        await proceed.wait()
        response = web.Response(text="enough")
        response.force_close()
        return response

    async with serving(handler) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(request("POST", "/", f"Content-Length: {LONG}"))
            peer.writer.write(bytes(LONG))
            await called.wait()
            await until(lambda: connection(site)._pauses, "a pause of reading")
            peer.writer.transport.abort()
        await turns()
        proceed.set()
        await site.idle()


# --- wait_disconnected --------------------------------------------------------------------


@pytest.mark.parametrize("way", ["fin", "rst", "half"])
async def test_wait_disconnected_when_the_client_leaves(way: str) -> None:
    outcome: list[bool] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        waits = (request.wait_disconnected(), request.clone(method="PUT").wait_disconnected())
        outcome.extend(await asyncio.gather(*waits))
        outcome.append(await request.wait_disconnected())
        return web.Response(text="bye")

    async with serving(handler) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(GET)
            await until(lambda: site.server.requests_count, "the request")
            if way == "rst":
                peer.reset()
            elif way == "half":
                peer.finish()
                assert (await peer.answer()).body == b"bye"
        await until(lambda: len(outcome) == 3, "the end of the handler")
    assert outcome == [True] * 3


@pytest.mark.parametrize("fails", [False, True])
async def test_wait_disconnected_when_the_request_ends(fails: bool) -> None:
    tasks: list[asyncio.Task[bool]] = []
    requests: list[web.BaseRequest] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        requests.append(request)
        tasks.extend(
            asyncio.create_task(r.wait_disconnected()) for r in (request, request, request.clone())
        )
        await asyncio.sleep(0)
        if fails:
            raise web.HTTPNotFound
        return web.Response()

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            await peer.ask(GET)
            async with asyncio.timeout(DEADLINE):
                assert [await task for task in tasks] == [False] * 3
            assert await requests[-1].wait_disconnected() is False
            tasks.clear()


async def test_wait_disconnected_may_be_cancelled() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        task = asyncio.create_task(request.wait_disconnected())
        await asyncio.sleep(0)
        task.cancel()
        try:
            async with asyncio.timeout(0.01):
                await request.wait_disconnected()
        except TimeoutError:
            return web.Response(text="timeout")
        return web.Response()

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            assert (await peer.ask(GET)).body == b"timeout"


# --- Contexts and tasks -------------------------------------------------------------------

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


async def test_context_variables_do_not_leak_into_the_next_request() -> None:
    """Neither over keep-alive, nor pipelining, nor when the handler resumed reading."""

    async def handler(request: web.BaseRequest) -> web.Response:
        before = VARIABLE.get()
        VARIABLE.set(request.path)
        await request.read()
        return web.Response(text=before)

    async with (
        serving(handler, client_max_size=0, read_bufsize=1000) as site,
        Peer.connect(site.port) as peer,
    ):
        for _ in range(3):
            assert (await peer.ask(GET)).body == b"unset"
        await peer.send(GET * 3)
        for _ in range(3):
            assert (await peer.answer()).body == b"unset"
        for _ in range(3):
            sending = asyncio.create_task(peer.send(request("POST", "/big", body=b"x" * 3_000_000)))
            assert (await peer.answer()).body == b"unset"
            await sending
            assert (await peer.ask(GET)).body == b"unset"


async def test_the_context_of_the_listener_is_seen() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(text=VARIABLE.get())

    VARIABLE.set("outer")
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).body == b"outer"


async def test_the_access_logger_sees_context_variables() -> None:
    lines: list[Any] = []

    class Logger(web.AbstractAccessLogger):
        def log(self, request: Any, response: Any, time: float) -> None:
            lines.append((request.path, response.status, VARIABLE.get()))
            assert 0 <= time < DEADLINE

    async def handler(request: web.BaseRequest) -> web.Response:
        VARIABLE.set(request.path)
        if request.path == "/raise":
            raise web.HTTPNotFound
        if request.path == "/fail":
            raise ValueError
        return web.Response()

    options: dict[str, Any] = {"access_log": logging.getLogger("test"), "access_log_class": Logger}
    async with serving(handler, **options) as site, Peer.connect(site.port) as peer:
        for path in ("/a", "/raise", "/fail"):
            await peer.ask(request(target=path))
    assert lines == [("/a", 200, "/a"), ("/raise", 404, "/raise"), ("/fail", 500, "/fail")]


async def test_a_broken_access_logger_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Logger(web.AbstractAccessLogger):
        def log(self, request: Any, response: Any, time: float) -> None:
            raise ValueError("broken logger")

    options: dict[str, Any] = {"access_log": logging.getLogger("test"), "access_log_class": Logger}
    async with serving(hello, **options) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            assert (await peer.ask(GET)).status == 200
    assert len(caplog.records) == 2


async def test_each_request_has_a_task_of_its_own() -> None:
    tasks: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        tasks.append(asyncio.current_task())
        assert request.task is asyncio.current_task()
        assert request.protocol.task is request.task  # type: ignore[attr-defined]
        response = web.StreamResponse()
        await response.prepare(request)
        assert response.task is request.task
        return response  # type: ignore[return-value]

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for _ in range(3):
            await peer.ask(GET)
        assert connection(site).task is None
    assert len(set(tasks)) == 3


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager tasks before Python 3.12")
async def test_eager_task_factory() -> None:
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    async with serving(echo) as site, Peer.connect(site.port) as peer:
        await peer.send(GET * 3 + request("POST", "/", body=b"body"))
        for _ in range(3):
            assert (await peer.answer()).status == 200
        assert (await peer.answer()).body == b"body"


# --- What handlers raise and return -------------------------------------------------------


@pytest.mark.parametrize("accept", ["", "Accept: text/html", "Accept: text/plain"])
@pytest.mark.parametrize("debug", [False, True])
async def test_an_exception_before_the_head(
    accept: str, debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        raise ValueError("<secret>")

    async with serving(handler, debug=debug) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("GET", "/", *([accept] if accept else [])))
        assert (answer.status, answer.header("connection")) == (500, "close")
        assert await peer.read_eof() == b""
    html = "html" in accept
    assert answer.header("content-type") == f"text/{'html' if html else 'plain'}; charset=utf-8"
    assert (b"<h1>500 Internal Server Error</h1>" in answer.body) is html
    assert answer.body.startswith(b"500 Internal Server Error\n\n") is not html
    assert (b"Traceback" in answer.body) is debug
    assert (b"secret" in answer.body) is debug
    assert (b"Server got itself in trouble" in answer.body) is not debug
    assert b"<secret>" not in answer.body or not html
    (record,) = caplog.records
    assert record.getMessage() == "Error handling request from 127.0.0.1"
    assert record.exc_info and record.exc_info[0] is ValueError


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError,
        asyncio.TimeoutError,
        ConnectionResetError,
        OSError,
        KeyError,
        StopAsyncIteration,
    ],
)
async def test_exceptions_that_mean_nothing_special(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """A handler's own timeouts and broken connections are its own."""

    async def handler(request: web.BaseRequest) -> web.Response:
        raise error("mine")

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(GET)
        assert answer.status == 500
        assert answer.body.startswith(b"500 Internal Server Error")
        assert await peer.read_eof() == b""
    assert len(caplog.records) == 1


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    "error", [ValueError, TimeoutError, web.HTTPNotFound, asyncio.CancelledError]
)
async def test_an_exception_after_the_head(
    error: Any, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection is cut so that the client can tell: no final chunk, and a reset where the end is the framing."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"part")
        await asyncio.sleep(0.01)
        raise error

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(request(version=version))
        head = await peer.read_head()
        assert b" 200 OK" in head
        if version == "1.1":
            assert await peer.read_eof() == b"4\r\npart\r\n"
        else:
            with pytest.raises(ConnectionResetError):
                await peer.read_eof()
    assert len(caplog.records) == (error is not asyncio.CancelledError)


async def test_an_exception_in_a_stream(caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"part"
        raise ValueError("in the stream")

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=body())

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        await peer.read_head()
        assert await peer.read_eof() == b"4\r\npart\r\n"
    (record,) = caplog.records
    assert record.exc_info and record.exc_info[0] is ValueError


@pytest.mark.parametrize("result", [None, "text", b"bytes", 404, web.Response, {"a": 1}])
async def test_what_is_no_response(result: Any, caplog: pytest.LogCaptureFixture) -> None:
    """500, logged, and the connection goes on."""

    async def handler(request: web.BaseRequest) -> Any:
        return result

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            answer = await peer.ask(GET)
            assert (answer.status, answer.body) == (500, b"500: Internal Server Error")
            assert answer.header("connection") is None
    assert len(caplog.records) == 2
    assert all(record.levelno == logging.ERROR for record in caplog.records)


async def test_no_response_after_the_head(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: web.BaseRequest) -> Any:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"part")

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        await peer.read_head()
        assert await peer.read_eof() == b"4\r\npart\r\n"
    assert len(caplog.records) == 1


@pytest.mark.parametrize("way", ["raise", "return"])
async def test_http_exceptions(way: str, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.HTTPNotFound(text="nothing here", headers={"X": "y"})
        answer.set_cookie("a", "b")
        if way == "raise":
            raise answer
        return answer

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            answer = await peer.ask(GET)
            assert (answer.status, answer.body) == (404, b"nothing here")
            assert answer.header("x") == "y"
            assert answer.header("set-cookie") == "a=b; Path=/"
            assert answer.header("connection") is None
    assert not caplog.records


async def test_cancelled_error_drops_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        raise asyncio.CancelledError

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET + GET)
        assert await peer.read_eof() == b""
        assert site.server.requests_count == 1
    assert not caplog.records


async def test_cancelling_a_request() -> None:
    """request.task may be cancelled by anybody, and may clean up."""
    cleaned: list[bool] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        request.task.cancel()
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            cleaned.append(True)
            raise
        return web.Response()

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        assert await peer.read_eof() == b""
    assert cleaned == [True]


async def test_other_base_exceptions(caplog: pytest.LogCaptureFixture) -> None:
    """Dropped, logged once, and not told to the event loop as if nobody had seen it."""

    class Strange(BaseException):
        pass

    async def handler(request: web.BaseRequest) -> web.Response:
        raise Strange

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        assert await peer.read_eof() == b""
    gc.collect()
    (record,) = caplog.records
    assert record.exc_info and record.exc_info[0] is Strange


async def test_a_response_that_was_sent_before(caplog: pytest.LogCaptureFixture) -> None:
    """A response answers one request; sent again it is an error that says so."""
    kept: list[Any] = [web.Response(text="once"), web.StreamResponse(), web.HTTPNotFound()]

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response: web.StreamResponse = kept[int(request.path[1:])]
        if isinstance(response, web.HTTPException):
            raise response
        return response

    async with serving(handler) as site:
        for number in range(3):
            async with Peer.connect(site.port) as peer:
                assert (await peer.ask(request(target=f"/{number}"))).status in (200, 404)
                assert (await peer.ask(request(target=f"/{number}"))).status == 500
    assert len(caplog.records) == 3
    assert "sent before" in caplog.text


async def test_two_responses_to_one_request(caplog: pytest.LogCaptureFixture) -> None:
    """The second never goes out in the middle of the first."""
    other = {"/whole": web.Response, "/stream": web.StreamResponse, "/raise": web.HTTPNotFound}

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        first = web.StreamResponse()
        await first.prepare(request)
        await first.write(b"first")
        second = other[request.path]()
        if isinstance(second, web.HTTPException):
            raise second
        return second

    async with serving(handler) as site:
        for path in other:
            async with Peer.connect(site.port) as peer:
                await peer.send(request(target=path) + GET)
                await peer.read_head()
                assert await peer.read_eof() == b"5\r\nfirst\r\n"
    assert len(caplog.records) == 3


async def test_another_response_behind_a_finished_one(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        first = web.StreamResponse()
        await first.prepare(request)
        await first.write_eof(b"first")
        return web.Response(text="second")

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        assert (await peer.answer()).body == b"first"
        assert await peer.read_eof() == b""
    assert len(caplog.records) == 1


async def test_an_old_response_behind_a_finished_one(caplog: pytest.LogCaptureFixture) -> None:
    kept: list[web.StreamResponse] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write_eof(b"new")
        kept.append(response)
        return kept[0]

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).body == b"new"
        assert not caplog.records
        assert (await peer.ask(GET)).body == b"new"
        assert await peer.read_eof() == b""
    assert len(caplog.records) == 1


async def test_a_response_to_another_request(caplog: pytest.LogCaptureFixture) -> None:
    shared: list[web.StreamResponse] = []
    ready, done = asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/first":
            response = web.StreamResponse()
            await response.prepare(request)
            shared.append(response)
            ready.set()
            await done.wait()
            return response
        return shared[0]

    async with (
        serving(handler) as site,
        Peer.connect(site.port) as one,
        Peer.connect(site.port) as two,
    ):
        await one.send(request(target="/first"))
        await asyncio.wait_for(ready.wait(), DEADLINE)
        assert (await two.ask(GET)).status == 500
        done.set()
        assert (await one.answer()).status == 200


async def test_a_response_finished_by_its_handler() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse() if request.path == "/stream" else web.Response(text="body")
        await response.prepare(request.clone(method=request.method))
        if request.path == "/stream":
            await response.write(b"body")
        await response.write_eof()
        await asyncio.sleep(0)
        return response

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for path in ("/stream", "/whole"):
            for _ in range(2):
                assert (await peer.ask(request(target=path))).body == b"body"


async def test_an_answer_before_the_body_came() -> None:
    """And reads afterwards raise PayloadAccessError."""
    kept: list[web.BaseRequest] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        kept.append(request)
        return web.Response(text="early")

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request("POST", "/", "Content-Length: 10") + b"12345")
        assert (answer.body, answer.header("connection")) == (b"early", None)
        with pytest.raises(web.PayloadAccessError):
            await kept[0].content.read()
        with pytest.raises(web.PayloadAccessError):
            await kept[0].read()
        await peer.send(b"67890")
        assert (await peer.ask(GET)).body == b"early"


async def test_request_factory() -> None:
    class Request(web.BaseRequest):
        pass

    def factory(
        message: Any, payload: Any, protocol: Any, writer: Any, task: Any
    ) -> web.BaseRequest:
        assert task is asyncio.current_task()
        assert message.method == "POST"
        return Request(message, payload, protocol, writer, task, None, client_max_size=5)

    async def handler(request: web.BaseRequest) -> web.Response:
        assert type(request) is Request
        return web.Response(body=await request.read())

    async with serving(handler, request_factory=factory) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            assert (await peer.ask(request("POST", "/", body=b"12345"))).body == b"12345"
        assert (await peer.ask(request("POST", "/", body=b"123456"))).status == 413


async def test_a_broken_request_factory(caplog: pytest.LogCaptureFixture) -> None:
    def factory(*arguments: Any) -> web.BaseRequest:
        raise ValueError("broken factory")

    async with serving(hello, request_factory=factory) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).status == 500
    assert len(caplog.records) == 1


# --- What is called at the end of a request -----------------------------------------------


@pytest.mark.parametrize("error", [BufferError("still in use"), web.HTTPNotFound()])
async def test_a_callback_at_the_end_that_fails(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """That is told to the log; the others are called, and the connection goes on, or ends, as it would."""
    called: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        def fail() -> None:
            called.append(request.path)
            raise error

        protocol: Any = request.protocol
        protocol.at_end(request, fail)
        protocol.at_end(request, lambda: called.append("other"))
        protocol.at_end(request, fail)
        return web.Response(text=request.path)

    targets = ["/kept", "/kept", "/a", "/b", "/c", "/last"]
    async with serving(handler) as site, Peer.connect(site.port) as peer:
        for target in targets[:2]:
            assert (await peer.ask(request("GET", target))).body == target.encode()
        await peer.send(b"".join(request("GET", target) for target in targets[2:5]))
        for target in targets[2:5]:
            assert (await peer.answer()).body == target.encode()
        await peer.send(request("GET", "/last", "Connection: close"))
        assert (await peer.answer()).body == b"/last"
        assert await peer.read_eof() == b""
        await site.idle()
    assert called == [entry for target in targets for entry in (target, "other", target)]
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(logged) == 2 * len(targets)
    for record in logged:
        assert record.name == "lowlevel.server"
        assert record.exc_info is not None
        assert record.exc_info[1] is error


async def test_a_callback_at_the_end_that_fails_behind_a_client_that_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    called = asyncio.Event()
    waiting = asyncio.Event()

    def fail() -> None:
        called.set()
        raise ValueError("no")

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        protocol: Any = request.protocol
        protocol.at_end(request, fail)
        waiting.set()
        await request.wait_disconnected()
        return web.Response()

    async with serving(handler) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(GET)
            await until(waiting.is_set, "the handler")
            peer.reset()
        await until(called.is_set, "the callback")
        await site.idle()
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in logged] == ["Error at the end of a request"]


# --- The protocol's own surface -----------------------------------------------------------


async def test_surface() -> None:
    seen: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        protocol: Any = request.protocol
        seen.append(protocol)
        assert repr(protocol) == "<RequestHandler connected>"
        assert protocol.transport is request.transport
        assert protocol.peername == request.get_extra_info("peername")
        assert protocol.sockname == request.get_extra_info("sockname")
        assert protocol.ssl_context is None
        assert (protocol.access_log, protocol.access_logger) == (None, None)
        assert protocol.logger.name == "lowlevel.server"
        assert (protocol.debug, protocol.keepalive_timeout) == (False, 3630.0)
        assert (protocol.max_line_size, protocol.max_field_size, protocol.max_headers) == (
            8190,
            8190,
            128,
        )
        return web.Response()

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(GET)).status == 200
        assert isinstance(seen[0], web.RequestHandler)
        peer.writer.close()
        await site.idle()
    assert repr(seen[0]) == "<RequestHandler disconnected>"
    assert seen[0].transport is None


@pytest.mark.parametrize(
    "way", ["close", "force_close", "abort", "shutdown", "transport.close", "transport.abort"]
)
async def test_handlers_that_close(way: str) -> None:
    errors: list[Any] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        protocol: Any = request.protocol
        if way == "shutdown":
            await protocol.shutdown(0.1)
        elif way.startswith("transport"):
            getattr(request.transport, way.partition(".")[2])()
        else:
            getattr(protocol, way)()
        return web.Response(text="bye")

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET + GET)
        try:
            received = await peer.read_eof()
        except ConnectionResetError as exc:
            errors.append(exc)
            received = b""
        assert (b"bye" in received) is (way == "close")
        peer.writer.close()
        await site.idle()
        assert site.server.requests_count == 1


async def test_shutdown_of_one_connection() -> None:
    began = asyncio.Event()
    ends: list[type[BaseException]] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        began.set()
        try:
            await asyncio.sleep(10)
        except BaseException as exc:
            ends.append(type(exc))
            raise
        return web.Response()

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        await peer.send(GET)
        await asyncio.wait_for(began.wait(), DEADLINE)
        async with asyncio.timeout(DEADLINE):
            await connection(site).shutdown(0.01)
        assert await peer.read_eof() == b""
        await site.idle()
    assert ends == [asyncio.CancelledError]


# --- What is left behind ------------------------------------------------------------------


async def drop(peer: Peer) -> None:
    peer.writer.close()


@pytest.mark.parametrize(
    "case", ["GET", "POST", "stream", "fail", "refuse", "upload left", "download left", "cancel"]
)
async def test_no_reference_cycles(case: str, caplog: pytest.LogCaptureFixture) -> None:
    """What a request and its connection held is freed at once, without the garbage collector."""
    caplog.set_level(logging.CRITICAL)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        request.headers, request.query, request.writer  # noqa: B018
        if case == "stream":
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"x" * 100)
            return response
        if case == "fail":
            raise ValueError
        if case == "refuse":
            raise web.HTTPNotFound
        if case == "download left":
            return web.Response(body=b"x" * 10_000_000)
        if case == "cancel":
            request.task.cancel()
            await asyncio.sleep(1)
        return web.Response(body=await request.read())

    count = 100 if case in ("GET", "POST", "stream", "refuse") else 1
    gc.collect()
    gc.disable()
    try:
        async with serving(handler) as site:
            for _ in range(5):
                async with Peer.connect(site.port) as peer:
                    for _ in range(count):
                        if case == "upload left":
                            await peer.send(request("POST", "/", "Content-Length: 10") + b"12345")
                            await until(lambda: site.server.requests_count, "the request")
                            await turns()
                        elif case == "download left":
                            await peer.send(GET)
                            await peer.read_head()
                        elif case == "cancel":
                            await peer.send(GET)
                            await peer.read_eof()
                        else:
                            await peer.ask(
                                request("POST", "/", body=b"x") if case == "POST" else GET
                            )
                    if case.endswith("left"):
                        peer.reset()
                await site.idle()
                await turns()
            kinds = (BaseRequest, Connection, web.StreamResponse, web.StreamReader)
            left = [
                thing
                for thing in gc.get_objects()
                if isinstance(thing, kinds) and thing is not web_empty()
            ]
            tasks = [
                thing
                for thing in gc.get_objects()
                if isinstance(thing, asyncio.Task) and thing.done()
            ]
    finally:
        gc.enable()
    assert [type(thing).__name__ for thing in left] == []
    served = [task for task in tasks if "_serve" in repr(task)]
    assert served == []


def web_empty() -> Any:
    from lowlevel.body import EMPTY_PAYLOAD

    return EMPTY_PAYLOAD
