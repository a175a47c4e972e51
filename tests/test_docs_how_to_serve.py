"""Every block of code of the how-to pages about serving, run as it stands there."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

import lowlevel as web
from tests.docpages import Page
from tests.support import DEADLINE, Peer, Serving, request, serving, until, within
from tests.wsframes import CLOSE, WSPeer, close, text

UPLOADS = Page("docs/how-to/uploads.rst")
EVENTS = Page("docs/how-to/server-sent-events.rst")
WEBSOCKETS = Page("docs/how-to/websockets.rst")
TESTING = Page("docs/how-to/testing.rst")


class Program:
    """A block that is being served: ``names``, what it defines, ``site`` and ``client``."""

    def __init__(self, names: dict[str, Any], site: Serving, client: aiohttp.ClientSession) -> None:
        self.names = names
        self.site = site
        self.client = client


@asynccontextmanager
async def program(
    page: Page, heading: str, number: int = 0, **names: Any
) -> AsyncIterator[Program]:
    """Serve what a block gives to ``run_app``, with its options; ``names`` replace some of the block's."""
    found = await asyncio.to_thread(page.run, heading, number)
    for name, value in names.items():
        assert name in found
        found[name] = value
    [handler], options = found["served"]
    assert (options.pop("host"), options.pop("port")) == ("127.0.0.1", 8080)
    async with (
        serving(handler, **options) as site,
        aiohttp.ClientSession(site.url(), timeout=aiohttp.ClientTimeout(DEADLINE)) as client,
    ):
        yield Program(found, site, client)


# --- Uploads ------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of uploads, in the working directory: the program makes it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "uploads"


async def test_a_form_with_a_file(folder: Path) -> None:
    async with program(UPLOADS, "A form with a file") as served:
        async with served.client.get("/") as response:
            assert response.content_type == "text/html"
            assert 'enctype="multipart/form-data"' in await response.text()
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("file", io.BytesIO(b"x" * 2**21), filename="../a.txt")
        async with served.client.post("/", data=form) as response:
            assert await response.text() == "a.txt: 2097152 bytes\n"
        [path] = folder.iterdir()
        assert path.read_bytes() == b"x" * 2**21
        async with served.client.post("/", data={"file": ""}) as response:
            assert response.status == 400
        form = aiohttp.FormData()
        form.add_field("file", b"one", filename="a")
        form.add_field("other", b"two", filename="b")
        async with served.client.post("/", data=form) as response:
            assert response.status == 400
        assert list(folder.iterdir()) == [path]  # nothing of those


DISK = "A body of any size, to disk"


async def test_a_body_to_disk(folder: Path) -> None:
    data = secrets.token_bytes(3 * 2**20 + 5)
    async with program(UPLOADS, DISK) as served:
        async with served.client.put("/", data=io.BytesIO(data)) as response:
            answer = await response.json()
            assert response.status == 201
        assert answer["size"] == len(data)
        [path] = folder.iterdir()
        assert (path.name, path.read_bytes()) == (answer["name"], data)


async def test_a_part_is_no_whole(folder: Path) -> None:
    fields = {"Content-Range": "bytes 0-4/10"}
    async with (
        program(UPLOADS, DISK) as served,
        served.client.put("/", data=b"01234", headers=fields) as response,
    ):
        assert response.status == 400
    assert not list(folder.iterdir())


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_large(folder: Path, declared: bool) -> None:
    async with (
        program(UPLOADS, DISK, LARGEST=100_000) as served,
        Peer.connect(served.site.port) as peer,
    ):
        if declared:
            await peer.send(request("PUT", "/", "Content-Length: 100001"))
        else:
            await peer.send(request("PUT", "/", "Transfer-Encoding: chunked"))
            await peer.send(b"186a1\r\n" + bytes(100_001) + b"\r\n")
        assert (await peer.answer()).status == 413
    assert not list(folder.iterdir())


async def test_a_client_that_leaves_within_a_body(folder: Path) -> None:
    async with program(UPLOADS, DISK) as served:
        async with Peer.connect(served.site.port) as peer:
            await peer.send(request("PUT", "/", "Content-Length: 1000000") + bytes(1000))
            await until(lambda: list(folder.iterdir()), "the file")
            peer.reset()
        await until(lambda: not list(folder.iterdir()), "the file to go")


async def test_a_disk_that_is_slow_keeps_the_client_waiting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is buffered has the bound that the page tells: half a megabyte, and one read."""
    gate = asyncio.Event()
    to_thread = asyncio.to_thread

    async def slow(function: Any, *args: Any, **options: Any) -> Any:
        await gate.wait()
        return await to_thread(function, *args, **options)

    async with program(UPLOADS, DISK) as served:
        monkeypatch.setattr(asyncio, "to_thread", slow)
        async with Peer.connect(served.site.port) as peer:
            size = 64 * 2**20
            await peer.send(request("PUT", "/", f"Content-Length: {size}"))
            sending = asyncio.create_task(peer.send(bytes(size)))
            await until(lambda: served.site.server.connections, "the connection")
            [connection] = served.site.server.connections
            await until(lambda: connection._pauses, "the client to be kept waiting")
            buffered = connection._body._size
            assert 2**19 <= buffered <= 2**19 + 2**18
            gate.set()
            await sending
            assert json.loads((await peer.answer()).body)["size"] == size


async def test_on_to_another_service() -> None:
    got: list[tuple[str, str, int, int]] = []

    async def store(request: web.BaseRequest) -> web.StreamResponse:
        size = 0
        async for piece in request.content.iter_any():
            size += len(piece)
        declared = request.content_length or 0
        got.append((request.path_qs, request.headers.get("Content-Encoding", ""), declared, size))
        return web.Response(text="stored", status=201)

    async with serving(store, auto_decompress=False) as behind:
        names: dict[str, Any] = {"STORE": f"http://127.0.0.1:{behind.port}"}
        async with program(UPLOADS, "On to another service", **names) as served:
            fields = {"Content-Encoding": "gzip"}
            async with served.client.put(
                URL("/a%3Fb%23?c=%26", encoded=True), data=io.BytesIO(bytes(2**21)), headers=fields
            ) as response:
                assert (response.status, await response.text()) == (201, "stored")
            assert got == [("/a%3Fb%23?c=%26", "gzip", 2**21, 2**21)]


async def test_no_other_service(unused_tcp_port: int) -> None:
    names: dict[str, Any] = {"STORE": f"http://127.0.0.1:{unused_tcp_port}"}
    async with (
        program(UPLOADS, "On to another service", **names) as served,
        served.client.put("/a", data=b"data") as response,
    ):
        assert response.status == 502


async def test_refuse_early() -> None:
    fields = ["Expect: 100-continue", "Content-Length: 10", "Content-Type: image/png"]
    async with program(UPLOADS, "Refuse early") as served:
        async with Peer.connect(served.site.port) as peer:
            await peer.send(request("POST", "/", *fields))
            assert await peer.read_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            await peer.send(b"\x89PNG\r\n\x1a\n..")
            assert (await peer.answer()).body == b"10 bytes\n"
            answer = await peer.ask(request("POST", "/", *fields[1:]) + b"GIF89a....")
            assert (answer.status, answer.body) == (415, b"This is no image/png.\n")
        for sent, status in (
            ([*fields[:2], "Content-Type: image/gif"], 415),
            ([fields[0], fields[2], "Transfer-Encoding: chunked"], 411),
            ([fields[0], fields[2], "Content-Length: 10485761"], 413),
        ):
            async with Peer.connect(served.site.port) as peer:
                answer = await peer.ask(request("POST", "/", *sent))
                assert answer.status == status, sent  # and no 100 before it


async def test_progress() -> None:
    async with program(UPLOADS, "Progress") as served, Peer.connect(served.site.port) as peer:
        async with served.client.get("/files/a/progress") as response:
            assert response.status == 204  # which ends an EventSource for good
        await peer.send(request("PUT", "/files/a", "Content-Length: 10") + b"01234")
        await until(lambda: served.names["progress"] == {"a": 5}, "the first half")
        async with served.client.put("/files/a", data=b"") as response:
            assert response.status == 409
        async with served.client.get("/files/a/progress") as response:
            assert response.content_type == "text/event-stream"
            assert await response.content.readuntil(b"\n\n") == b"event: progress\ndata: 5\n\n"
            await peer.send(b"56789")
            assert (await peer.answer()).status == 204
            await response.read()  # it ends
        assert served.names["progress"] == {}


# --- Server-sent events -------------------------------------------------------------------

FEED = "A feed for many"


async def test_an_event_of_the_feed_has_a_largest_size() -> None:
    async with program(EVENTS, FEED) as served:
        async with served.client.post("/events", data="x" * 10_001) as answer:
            assert answer.status == 413
        assert not served.names["feed"].kept


async def test_a_feed() -> None:
    async with program(EVENTS, FEED) as served:
        queues = served.names["feed"].queues
        async with served.client.get("/events") as response:
            stream = response.content
            assert await stream.readuntil(b"\n\n") == b"retry: 2000\n\n"
            async with served.client.post("/events", data="one\nline more") as answer:
                assert answer.status == 202
            expected = b"id: 1\ndata: one\ndata: line more\n\n"
            assert await stream.readuntil(b"\n\n") == expected
        await until(lambda: not queues, "the listener to be forgotten")
        served.names["feed"].publish("two")
        fields = {"Last-Event-ID": "1"}
        async with served.client.get("/events", headers=fields) as response:
            assert await response.content.readuntil(b"\n\n") == b"retry: 2000\n\n"
            assert await response.content.readuntil(b"\n\n") == b"id: 2\ndata: two\n\n"


@pytest.mark.parametrize("last", ["x", "9" * 5000, "-1", ""])
async def test_an_id_that_is_none_of_ours(last: str) -> None:
    async with program(EVENTS, FEED) as served:
        served.names["feed"].publish("one")
        async with served.client.get("/events", headers={"Last-Event-ID": last}) as response:
            await response.content.readuntil(b"\n\n")
            served.names["feed"].publish("two")
            assert await response.content.readuntil(b"\n\n") == b"id: 2\ndata: two\n\n"


async def test_a_listener_that_is_too_slow_ends_and_misses_nothing() -> None:
    async with program(EVENTS, FEED) as served:
        feed = served.names["feed"]
        async with served.client.get("/events") as response:
            await response.content.readuntil(b"\n\n")
            for number in range(150):  # in one turn of the loop: nobody can keep up with that
                feed.publish(str(number))
            assert not feed.queues
            events = (await response.read()).split(b"\n\n")
            assert events[:1] + events[-2:] == [b"id: 1\ndata: 0", b"id: 100\ndata: 99", b""]
        fields = {"Last-Event-ID": "100"}
        async with served.client.get("/events", headers=fields) as response:
            for number in range(100, 150):
                while b"data" not in (event := await response.content.readuntil(b"\n\n")):
                    pass
                assert event == f"id: {number + 1}\ndata: {number}\n\n".encode()


async def test_the_feed_ends_with_the_server() -> None:
    async with program(EVENTS, FEED) as served, served.client.get("/events") as response:
        await response.content.readuntil(b"\n\n")
        async with asyncio.timeout(DEADLINE):
            await served.site.server.shutdown(None)  # waits as long as a handler runs
        assert await response.read() == b""
        assert not served.names["feed"].queues


async def test_an_end_for_good() -> None:
    async with program(EVENTS, "An end for good") as served:
        async with served.client.get("/") as response:
            last = (await response.text()).split("\n\n")[-2]
        assert sorted(last.split("\n")) == ["data: deployed", "event: step", "id: 3"]
        async with served.client.get("/", headers={"Last-Event-ID": "3"}) as response:
            assert response.status == 204


# --- WebSockets ---------------------------------------------------------------------------


async def test_an_echo() -> None:
    async with program(WEBSOCKETS, "An echo") as served:
        async with served.client.ws_connect("/") as ws:
            await ws.send_str("hi")
            assert await ws.receive_str() == "hi"
            await ws.send_bytes(b"hi")
            assert await ws.receive_bytes() == b"hi"
            await ws.send_bytes(bytes(64 * 1024 + 1))
            await ws.receive()
            assert ws.close_code == web.WSCloseCode.MESSAGE_TOO_BIG
        async with served.client.get("/") as response:
            assert response.status == 426


async def test_who_may_open_one() -> None:
    async with program(WEBSOCKETS, "Who may open one") as served:
        ours = {"Origin": "https://chat.example"}
        for fields in (
            {},
            ours,
            ours | {"Cookie": "session=made-up"},
            {"Origin": "https://evil.example", "Cookie": "session=c0ffee"},
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await served.client.ws_connect("/", headers=fields)
            assert caught.value.status == 403
        fields = ours | {"Cookie": "session=c0ffee"}
        async with served.client.ws_connect("/", headers=fields) as ws:
            assert await ws.receive_str() == "Hello Ada"


CHAT = "A chat with slow readers"


async def test_the_chat() -> None:
    async with program(WEBSOCKETS, CHAT) as served:
        async with served.client.ws_connect("/") as one, served.client.ws_connect("/") as other:
            await until(lambda: len(served.names["queues"]) == 2, "both")
            await one.send_str("hi")
            assert [await one.receive_str(), await other.receive_str()] == ["hi", "hi"]
        await until(lambda: not served.names["queues"], "nobody")


def let_little_fit(site: Serving) -> None:
    """The system shall hold little of what is sent to the one client there is."""
    [connection] = site.server.connections
    assert connection.transport is not None
    sock = connection.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)


async def test_the_chat_with_a_slow_reader() -> None:
    async with program(WEBSOCKETS, CHAT, PATIENCE=0.3) as served:
        queues = served.names["queues"]
        async with WSPeer.connect(served.site.port) as slow:
            slow.stop_reading()
            let_little_fit(served.site)
            [slow_queue] = queues.values()
            async with WSPeer.connect(served.site.port) as quick:
                line = "x" * 4000
                count = 0
                while len(queues) == 2:
                    # Until the kernel and the server hold what they may for the slow one, and its time is over.
                    await quick.send(text(line))
                    assert await quick.read_text() == line
                    count += 1
                    assert slow_queue.qsize() <= 100
                assert count > 100
                await quick.send(text("done"))
                assert await quick.read_text() == "done"
            slow.start_reading()
            while (message := await slow.read_message())[0] != CLOSE:
                pass
            assert message[1] == (1013).to_bytes(2, "big") + b"too slow"
        await until(lambda: not queues, "nobody")


TO_ALL = "One message to all"


async def test_one_message_to_all() -> None:
    async with program(WEBSOCKETS, TO_ALL) as served:
        async with (
            served.client.ws_connect("/news", compress=15) as one,
            served.client.ws_connect("/news") as other,
        ):
            assert one.compress == 0
            await until(lambda: len(served.names["sockets"]) == 2, "both")
            async with served.client.post("/news", data="news") as response:
                assert response.status == 204
            assert [await one.receive_str(), await other.receive_str()] == ["news", "news"]
        await until(lambda: not served.names["sockets"], "nobody")
        async with served.client.post("/news", data="news") as response:
            assert response.status == 204


async def test_one_message_to_all_with_a_slow_reader() -> None:
    async with (
        program(WEBSOCKETS, TO_ALL, PATIENCE=0.3) as served,
        WSPeer.connect(served.site.port, path="/news") as slow,
    ):
        sockets = served.names["sockets"]

        async def publish() -> None:
            while sockets:
                async with served.client.post("/news", data="x" * 1_000_000) as response:
                    assert response.status == 204

        slow.stop_reading()
        let_little_fit(served.site)
        publishing = asyncio.create_task(publish())
        await until(lambda: not sockets, "the end of who is slow")
        slow.start_reading()
        while (message := await slow.read_message())[0] != CLOSE:
            pass
        assert message[1] == (1013).to_bytes(2, "big") + b"too slow"
        await slow.send(close(1013))
        await within(publishing)


async def test_a_code_of_our_own() -> None:
    async with program(WEBSOCKETS, "Codes") as served, WSPeer.connect(served.site.port) as peer:
        await peer.send(text("sign out"))
        opcode, payload = await peer.read_message()
        assert (opcode, payload) == (CLOSE, (4001).to_bytes(2, "big") + b"Signed out")


# --- Testing ------------------------------------------------------------------------------


def test_the_page_is_a_test_module(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = TESTING.run_as_tests(pytester, monkeypatch)
    result.assert_outcomes(passed=10)


def test_no_block_is_left_out() -> None:
    """A block that is new wants a test above."""
    assert [UPLOADS.counts, EVENTS.counts, WEBSOCKETS.counts] == [
        dict.fromkeys(
            [
                "A form with a file",
                DISK,
                "On to another service",
                "Refuse early",
                "Progress",
            ],
            1,
        ),
        {FEED: 1, "An end for good": 1},
        dict.fromkeys(["An echo", "Who may open one", CHAT, TO_ALL, "Codes"], 1),
    ]
