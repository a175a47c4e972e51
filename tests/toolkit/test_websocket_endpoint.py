"""WebSocketEndpoint: classes that are handlers of WebSockets, over real sockets, with frames by hand."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

import lowlevel as web
from tests.support import Peer, Serving, request, serving, until, within
from tests.wsframes import BINARY, CLOSE, TEXT, WSPeer, close, frame, handshake, text


class Recorder(web.WebSocketEndpoint):
    """Writes down what happens; ``endings`` has the codes."""

    endings: list[int]
    received: list[Any]

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls.endings = []
        cls.received = []

    async def on_receive(self, ws: web.WebSocketResponse, data: Any) -> None:
        self.received.append(data)
        await ws.send_str(f"got {data!r}")

    async def on_disconnect(self, ws: web.WebSocketResponse, close_code: int) -> None:
        self.endings.append(close_code)


@asynccontextmanager
async def talking(
    handler: Any, *fields: str, **options: Any
) -> AsyncIterator[tuple[Serving, WSPeer]]:
    async with (
        serving(handler, **options) as site,
        WSPeer.connect(site.port, *fields) as peer,
    ):
        yield site, peer


async def ended(cls: type[Recorder]) -> int:
    """Wait for the end; return its code, the only one."""
    await until(lambda: cls.endings, "on_disconnect")
    await asyncio.sleep(0)
    (code,) = cls.endings
    return code


# --- Messages -----------------------------------------------------------------------------


async def test_the_documented_example() -> None:
    """An echo of bytes, as the first examples of such classes go."""
    endings = []

    class App(web.WebSocketEndpoint):
        encoding = "bytes"

        async def on_connect(self, ws: web.WebSocketResponse) -> None:
            await ws.prepare(self.request)

        async def on_receive(self, ws: web.WebSocketResponse, data: bytes) -> None:
            await ws.send_bytes(b"Message: " + data)

        async def on_disconnect(self, ws: web.WebSocketResponse, close_code: int) -> None:
            endings.append(close_code)

    async with (
        serving(App) as site,
        aiohttp.ClientSession() as session,
        session.ws_connect(site.url("/ws")) as ws,
    ):
        await ws.send_bytes(b"x")
        assert await ws.receive_bytes() == b"Message: x"
        await ws.send_bytes(b"")
        assert await ws.receive_bytes() == b"Message: "
        await ws.close(code=4000)
        await until(lambda: endings, "on_disconnect")
    assert endings == [4000]


async def test_an_endpoint_without_methods() -> None:
    """It accepts, takes whatever comes, and ends when the client does."""

    class Silent(web.WebSocketEndpoint):
        pass

    for cls in (Silent, web.WebSocketEndpoint):
        async with talking(cls) as (site, peer):
            await peer.send(text("hello") + frame(BINARY, b"\0") + close(1001))
            assert await peer.read_close() == (1001, "")
            await peer.eof()
            await site.idle()


@pytest.mark.parametrize(
    ("encoding", "sent", "received"),
    [
        (None, text("é"), "é"),
        (None, frame(BINARY, b"\xff"), b"\xff"),
        ("text", text("é"), "é"),
        ("text", text(""), ""),
        ("bytes", frame(BINARY, b"\xff"), b"\xff"),
        ("bytes", frame(BINARY), b""),
        ("json", text('{"a": [1, null]}'), {"a": [1, None]}),
        ("json", frame(BINARY, b'{"a": "\xc3\xa9"}'), {"a": "é"}),
        ("json", text("null"), None),
    ],
)
async def test_encodings(encoding: Any, sent: bytes, received: object) -> None:
    cls: Any = type("Endpoint", (Recorder,), {"encoding": encoding})
    async with talking(cls) as (_, peer):
        await peer.send(sent)
        assert await peer.read_text() == f"got {received!r}"
        await peer.send(close(1000))
        assert await peer.read_close() == (1000, "")
        assert await ended(cls) == 1000
    assert cls.received == [received]


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("text", frame(BINARY, b"text")),
        ("bytes", text("bytes")),
        ("json", text("{")),
        ("json", text("")),
        ("json", frame(BINARY, b"\xff\xfe\xfd")),
        pytest.param("json", text("[" * 100_000), id="json-deep"),
        pytest.param("json", text("1" * 10_000), id="json-digits"),
    ],
)
async def test_what_is_of_another_kind(
    encoding: Any, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """1003 on the wire and in on_disconnect; it is the client's fault, and nothing is received any more."""
    cls: Any = type("Endpoint", (Recorder,), {"encoding": encoding})
    async with talking(cls) as (site, peer):
        await peer.send(sent + sent)
        assert await peer.read_close() == (1003, "")
        assert await ended(cls) == 1003
        await peer.send(close(1003))
        await peer.eof()
        await site.idle()
    assert cls.received == []
    assert cls.endings == [1003]
    assert not caplog.records


async def test_messages_one_after_another() -> None:
    events = []

    class Endpoint(web.WebSocketEndpoint):
        async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
            events.append(f"begin {data}")
            await asyncio.sleep(0.002)
            events.append(f"end {data}")
            await ws.send_str(data)

    async with talking(Endpoint) as (_, peer):
        await peer.send(b"".join(text(str(number)) for number in range(3)))
        assert [await peer.read_text() for _ in range(3)] == ["0", "1", "2"]
    assert events == ["begin 0", "end 0", "begin 1", "end 1", "begin 2", "end 2"]


async def test_control_frames_are_no_messages() -> None:
    class Endpoint(Recorder):
        options = {"autoping": False}

    async with talking(Endpoint) as (_, peer):
        await peer.send(frame(0x9, b"ping") + frame(0xA, b"pong") + text("text"))
        assert await peer.read_text() == "got 'text'"
    assert Endpoint.received == ["text"]


# --- Options, values, instances -----------------------------------------------------------


async def test_options() -> None:
    class Endpoint(Recorder):
        options = {
            "protocols": (name for name in ["chat"]),
            "headers": iter([("X-Hello", "there")]),
            "max_msg_size": 10,
        }

    # What can be iterated over only once serves every client.
    for _ in range(2):
        async with talking(Endpoint, "Sec-WebSocket-Protocol: chat") as (_, peer):
            assert peer.handshake.headers["sec-websocket-protocol"] == ["chat"]
            assert peer.handshake.headers["x-hello"] == ["there"]
            await peer.send(text("0123456789a"))
            code, _ = await peer.read_close()
            assert code == 1009
            assert await ended(Endpoint) == 1009
            Endpoint.endings.clear()


async def test_values_of_the_path() -> None:
    events: list[Any] = []
    router = web.Router()

    @router.websocket("/{room}/{number:int}")
    class Room(web.WebSocketEndpoint):
        async def on_connect(self, ws: web.WebSocketResponse, room: str) -> None:
            events.append(room)

        async def on_receive(self, ws: web.WebSocketResponse, data: str, *, number: int) -> None:
            events.append((data, number))

        async def on_disconnect(
            self, ws: web.WebSocketResponse, close_code: int, **values: Any
        ) -> None:
            events.append(values)

    async with serving(router) as site:
        async with WSPeer.connect(site.port, path="/a%20b/7") as peer:
            await peer.send(text("hi") + close())
            await peer.read_close()
        await site.idle()
        async with Peer.connect(site.port) as plain:
            assert (await plain.ask(request("GET", "/a/7"))).status == 426
            assert (await plain.ask(handshake("/a/b"))).status == 404
    assert events == ["a b", ("hi", 7), {"room": "a b", "number": 7}]


async def test_an_instance_for_each_socket() -> None:
    class Endpoint(web.WebSocketEndpoint):
        async def on_connect(self, ws: web.WebSocketResponse) -> None:
            self.count = 0

        async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
            self.count += 1
            await ws.send_str(f"{self.request.path} {self.count}")

    async with (
        serving(Endpoint) as site,
        WSPeer.connect(site.port, path="/a") as one,
        WSPeer.connect(site.port, path="/b") as other,
    ):
        await one.send(text("x") + text("x"))
        assert [await one.read_text(), await one.read_text()] == ["/a 1", "/a 2"]
        await other.send(text("x"))
        assert await other.read_text() == "/b 1"


async def test_functions_run_in_a_thread() -> None:
    threads = []

    class Endpoint(web.WebSocketEndpoint):
        def on_connect(self, ws: web.WebSocketResponse) -> None:
            threads.append(threading.current_thread())

        def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
            threads.append(threading.current_thread())

        def on_disconnect(self, ws: web.WebSocketResponse, close_code: int) -> None:
            threads.append(threading.current_thread())

    async with talking(Endpoint) as (_, peer):
        await peer.send(text("x") + close())
        await peer.read_close()
        await until(lambda: len(threads) == 3, "three calls")
    assert threading.current_thread() not in threads


async def test_calling_up() -> None:
    """The methods of the base are there to be called."""
    endings = []

    class Endpoint(web.WebSocketEndpoint):
        async def on_connect(self, ws: web.WebSocketResponse) -> None:
            assert not ws.prepared
            await super().on_connect(ws)
            assert ws.prepared

        async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
            assert await super().on_receive(ws, data) is None
            await ws.send_str(data)

        async def on_disconnect(self, ws: web.WebSocketResponse, close_code: int) -> None:
            assert await super().on_disconnect(ws, close_code) is None
            endings.append(close_code)

    async with talking(Endpoint) as (_, peer):
        await peer.send(text("x") + close())
        assert await peer.read_text() == "x"
        await peer.read_close()
        await until(lambda: endings, "on_disconnect")


async def test_inheritance() -> None:
    class Base(Recorder):
        encoding = "json"
        options = {"headers": {"X-Base": "1"}}

    class Sub(Base):
        encoding = "text"  # type: ignore[assignment]

    async with talking(Sub) as (_, peer):
        assert peer.handshake.headers["x-base"] == ["1"]
        await peer.send(text("{"))
        assert await peer.read_text() == "got '{'"


# --- The beginning ------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_no_handshake(method: str) -> None:
    class Endpoint(Recorder):
        async def on_connect(self, ws: web.WebSocketResponse) -> None:
            self.endings.append(0)

    async with serving(Endpoint) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            answer = await peer.ask(request(method))
            assert answer.status == 426
            assert answer.headers["upgrade"] == ["websocket"]
            assert answer.headers["sec-websocket-version"] == ["13"]
    assert Endpoint.endings == []


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (handshake(version="8"), 426),
        (handshake(key="short"), 400),
        (handshake(method="POST"), 405),
    ],
)
async def test_a_bad_handshake(data: bytes, status: int) -> None:
    """It is refused before on_connect could do anything about it."""

    class Endpoint(Recorder):
        async def on_connect(self, ws: web.WebSocketResponse) -> None:
            self.endings.append(0)

    async with serving(Endpoint) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(data)).status == status
    assert Endpoint.endings == []


def _raising(self: Any) -> Any:
    raise web.HTTPForbidden(text="not you")


def _returning(self: Any) -> Any:
    return web.Response(status=403, text="not you")


@pytest.mark.parametrize("refuse", [_raising, _returning])
@pytest.mark.parametrize("in_thread", [False, True])
async def test_refusing(refuse: Any, in_thread: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def on_connect(self: Any, ws: web.WebSocketResponse) -> Any:
        return refuse(self)

    def on_connect_in_thread(self: Any, ws: web.WebSocketResponse) -> Any:
        return refuse(self)

    methods = {"on_connect": on_connect_in_thread if in_thread else on_connect}
    cls: Any = type("Endpoint", (Recorder,), methods)
    async with serving(cls) as site, Peer.connect(site.port) as peer:
        for _ in range(2):
            answer = await peer.ask(handshake())
            assert answer.status == 403
            assert answer.body == b"not you"
    assert cls.endings == []
    assert not caplog.records


async def test_what_on_connect_returns_behind_the_handshake_does_not_matter() -> None:
    class Endpoint(Recorder):
        async def on_connect(self, ws: web.WebSocketResponse) -> Any:
            return await ws.prepare(self.request)

    class Another(Recorder):
        async def on_connect(self, ws: web.WebSocketResponse) -> Any:
            return ws

    for cls in (Endpoint, Another):
        async with talking(cls) as (_, peer):
            await peer.send(text("x") + close())
            assert await peer.read_text() == "got 'x'"
            assert await ended(cls) == 1000


async def test_on_connect_raises(caplog: pytest.LogCaptureFixture) -> None:
    class Endpoint(Recorder):
        async def on_connect(self, ws: web.WebSocketResponse) -> None:
            raise ValueError("a fault")

    async with serving(Endpoint) as site, Peer.connect(site.port) as peer:
        assert (await peer.ask(handshake())).status == 500
    assert Endpoint.endings == []
    assert "a fault" in caplog.text


async def test_on_connect_raises_behind_the_handshake(caplog: pytest.LogCaptureFixture) -> None:
    class Endpoint(Recorder):
        async def on_connect(self, ws: web.WebSocketResponse) -> None:
            await ws.prepare(self.request)
            raise ValueError("a fault")

    async with talking(Endpoint) as (site, peer):
        assert await peer.read_close() == (1011, "")
        await peer.send(close(1011))
        await site.idle()
    assert Endpoint.endings == []
    assert "a fault" in caplog.text


async def test_messages_of_our_own_before_the_first_of_the_client() -> None:
    class Endpoint(Recorder):
        async def on_connect(self, ws: web.WebSocketResponse) -> None:
            await ws.prepare(self.request)
            await ws.send_str("welcome")
            assert await ws.receive_str() == "first"

    async with talking(Endpoint) as (_, peer):
        assert await peer.read_text() == "welcome"
        await peer.send(text("first") + text("second"))
        assert await peer.read_text() == "got 'second'"


async def test_the_client_leaves_while_on_connect_waits() -> None:
    """on_connect succeeded, so there is an on_disconnect."""
    connecting = asyncio.Event()

    class Endpoint(Recorder):
        async def on_connect(self, ws: web.WebSocketResponse) -> None:
            connecting.set()
            await self.request.wait_disconnected()

    async with serving(Endpoint) as site:
        async with Peer.connect(site.port) as peer:
            await peer.send(handshake())
            await within(connecting.wait())
            peer.reset()
        assert await ended(Endpoint) == 1006


# --- The end ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "answered", "code"),
    [
        (close(1000), 1000, 1000),
        (close(1001, "bye"), 1001, 1001),
        (close(4000), 4000, 4000),
        (close(None), 1000, 1005),
        # Faults of the client, in its protocol and its text.
        (frame(0x3), 1002, 1002),
        (frame(TEXT, b"\xff"), 1007, 1007),
    ],
)
async def test_the_peer_closes(
    sent: bytes, answered: int, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    class Endpoint(Recorder):
        pass

    async with talking(Endpoint) as (site, peer):
        await peer.send(text("x") + sent)
        assert await peer.read_text() == "got 'x'"
        assert (await peer.read_close())[0] == answered
        assert await ended(Endpoint) == code
        # Behind a fault, the server would wait for what the client may still be sending.
        peer.reset()
        await site.idle()
    assert Endpoint.endings == [code]
    assert not caplog.records


@pytest.mark.parametrize("way", ["fin", "reset"])
async def test_the_peer_vanishes(way: str, caplog: pytest.LogCaptureFixture) -> None:
    class Endpoint(Recorder):
        pass

    async with talking(Endpoint) as (site, peer):
        await peer.send(text("x"))
        assert await peer.read_text() == "got 'x'"
        if way == "fin":
            peer.finish()
        else:
            peer.reset()
        assert await ended(Endpoint) == 1006
        await site.idle()
    assert not caplog.records


async def test_the_peer_vanishes_while_a_message_is_dealt_with(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Sending to it fails, which is nobody's fault."""
    receiving = asyncio.Event()

    class Endpoint(Recorder):
        async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
            receiving.set()
            await self.request.wait_disconnected()
            await until(lambda: ws.closed, "the end")
            await ws.send_str(data)

    async with talking(Endpoint) as (site, peer):
        await peer.send(text("x"))
        await within(receiving.wait())
        peer.reset()
        assert await ended(Endpoint) == 1006
        await site.idle()
    assert not caplog.records


async def test_an_exception_when_the_peer_has_vanished(caplog: pytest.LogCaptureFixture) -> None:
    """There was nobody to send 1011 to."""
    receiving = asyncio.Event()

    class Endpoint(Recorder):
        async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
            receiving.set()
            await self.request.wait_disconnected()
            raise ValueError("a fault")

    async with talking(Endpoint) as (site, peer):
        await peer.send(text("x"))
        await within(receiving.wait())
        peer.finish()
        assert await ended(Endpoint) == 1006
        await site.idle()
    assert "a fault" in caplog.text


async def test_silence() -> None:
    class Endpoint(Recorder):
        options = {"heartbeat": 0.05}

    async with talking(Endpoint) as (_, _):
        assert await ended(Endpoint) == 1006


@pytest.mark.parametrize("place", ["on_connect", "on_receive"])
async def test_we_close(place: str) -> None:
    class Endpoint(Recorder):
        async def on_connect(self, ws: web.WebSocketResponse) -> None:
            await ws.prepare(self.request)
            if place == "on_connect":
                assert await ws.close(code=4001, message="enough")

        async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
            assert await ws.close(code=4001, message="enough")
            # The first one counts.
            assert not await ws.close(code=4002)

    async with talking(Endpoint) as (site, peer):
        if place == "on_receive":
            await peer.send(text("x"))
        assert await peer.read_close() == (4001, "enough")
        # Whatever it answers.
        await peer.send(close(1000))
        await peer.eof()
        assert await ended(Endpoint) == 4001
        await site.idle()


async def test_another_task_closes() -> None:
    tasks = []

    class Endpoint(Recorder):
        async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
            tasks.append(asyncio.create_task(ws.close(code=4001)))

    async with talking(Endpoint) as (_, peer):
        await peer.send(text("x"))
        assert await peer.read_close() == (4001, "")
        # on_disconnect does not wait for the client.
        assert await ended(Endpoint) == 4001
        await peer.send(close(4001))
        await peer.eof()
        assert await within(tasks[0])


async def test_a_close_that_is_refused_is_none() -> None:
    class Endpoint(Recorder):
        async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
            with pytest.raises(ValueError, match="1005"):
                await ws.close(code=1005)
            with pytest.raises(TypeError, match="message"):
                await ws.close(code=4001, message=1)  # type: ignore[arg-type]

    async with talking(Endpoint) as (_, peer):
        await peer.send(text("x") + close(4000))
        assert await peer.read_close() == (4000, "")
        assert await ended(Endpoint) == 4000


async def test_on_receive_raises(caplog: pytest.LogCaptureFixture) -> None:
    class Endpoint(Recorder):
        async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
            self.received.append(data)
            raise ValueError("a fault")

    async with talking(Endpoint) as (site, peer):
        await peer.send(text("x") + text("y"))
        assert await peer.read_close() == (1011, "")
        # Neither this nor the log waits for the client.
        assert await ended(Endpoint) == 1011
        await until(lambda: "a fault" in caplog.text, "a line in the log")
        await peer.send(close(1011))
        await peer.eof()
        await site.idle()
    assert Endpoint.received == ["x"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_the_exception_goes_to_who_called() -> None:
    """A middleware may take it; the client has got its 1011 all the same."""
    caught = []

    class Endpoint(Recorder):
        async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
            raise KeyError(data)

    async def outer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await Endpoint(request)
        except KeyError as exc:
            caught.append(exc)
            raise web.HTTPBadRequest from exc

    async with talking(outer) as (site, peer):
        await peer.send(text("x"))
        assert await peer.read_close() == (1011, "")
        await peer.send(close(1011))
        await peer.eof()
        await site.idle()
    assert [exc.args for exc in caught] == [("x",)]


async def test_an_http_exception_behind_the_handshake() -> None:
    class Endpoint(Recorder):
        async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
            raise web.HTTPForbidden

    async with talking(Endpoint) as (_, peer):
        await peer.send(text("x"))
        assert await peer.read_close() == (1011, "")
        assert await ended(Endpoint) == 1011
        await peer.send(close(1011))
        await peer.eof()


async def test_an_exception_behind_our_close(caplog: pytest.LogCaptureFixture) -> None:
    """What was on the wire counts."""

    class Endpoint(Recorder):
        async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
            await ws.close(code=4001)
            raise ValueError("a fault")

    async with talking(Endpoint) as (site, peer):
        await peer.send(text("x"))
        assert await peer.read_close() == (4001, "")
        await peer.send(close(4001))
        await peer.eof()
        assert await ended(Endpoint) == 4001
        await site.idle()
    assert "a fault" in caplog.text


@pytest.mark.parametrize("also", [False, True])
async def test_on_disconnect_raises(also: bool, caplog: pytest.LogCaptureFixture) -> None:
    class Endpoint(Recorder):
        async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
            raise ValueError("the first fault")

        async def on_disconnect(self, ws: web.WebSocketResponse, close_code: int) -> None:
            await super().on_disconnect(ws, close_code)
            raise ValueError("the second fault")

    async with talking(Endpoint) as (site, peer):
        await peer.send(text("x") if also else close(4000))
        assert await peer.read_close() == (1011 if also else 4000, "")
        await peer.send(close(1011) if also else b"")
        await peer.eof()
        await site.idle()
    assert Endpoint.endings == [1011 if also else 4000]
    assert "the second fault" in caplog.text
    assert ("the first fault" in caplog.text) is also


async def test_shutdown(caplog: pytest.LogCaptureFixture) -> None:
    class Endpoint(Recorder):
        pass

    async with talking(Endpoint) as (site, peer):
        await peer.send(text("x"))
        assert await peer.read_text() == "got 'x'"
        shutdown = asyncio.ensure_future(site.server.shutdown(20))
        assert await peer.read_close() == (1001, "")
        assert await ended(Endpoint) == 1001
        await peer.send(close(1001))
        await peer.eof()
        await within(shutdown)
    assert not caplog.records


async def test_shutdown_while_a_message_is_dealt_with() -> None:
    """The handler is cancelled in the end."""
    receiving = asyncio.Event()

    class Endpoint(Recorder):
        async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
            receiving.set()
            await asyncio.sleep(1000)

        async def on_disconnect(self, ws: web.WebSocketResponse, close_code: int) -> None:
            await asyncio.sleep(0)  # it may wait, even now
            await super().on_disconnect(ws, close_code)

    async with talking(Endpoint) as (site, peer):
        await peer.send(text("x"))
        await within(receiving.wait())
        await within(site.server.shutdown(0.05))
        assert (await peer.ended())[:4] == bytes([0x80 | CLOSE, 2]) + (1001).to_bytes(2, "big")
        assert Endpoint.endings == [1001]


async def test_cancellation_by_the_program() -> None:
    tasks = []

    class Endpoint(Recorder):
        async def on_connect(self, ws: web.WebSocketResponse) -> None:
            tasks.append(asyncio.current_task())

    async with talking(Endpoint) as (_, peer):
        (task,) = tasks
        assert task is not None
        task.cancel()
        assert await peer.read_close() == (1011, "")
        assert await ended(Endpoint) == 1011
        await peer.send(close(1011))
        await peer.eof()


async def test_handler_cancellation() -> None:
    receiving = asyncio.Event()

    class Endpoint(Recorder):
        async def on_receive(self, ws: web.WebSocketResponse, data: str) -> None:
            receiving.set()
            await asyncio.sleep(1000)

    async with talking(Endpoint, handler_cancellation=True) as (site, peer):
        await peer.send(text("x"))
        await within(receiving.wait())
        peer.reset()
        assert await ended(Endpoint) == 1006
        await site.idle()


async def test_closing_late() -> None:
    """With autoclose=False, on_disconnect may answer the peer's Close."""

    class Endpoint(Recorder):
        options = {"autoclose": False}

        async def on_disconnect(self, ws: web.WebSocketResponse, close_code: int) -> None:
            await super().on_disconnect(ws, close_code)
            await ws.close(code=4001)

    async with talking(Endpoint) as (_, peer):
        await peer.send(close(4000))
        assert await peer.read_close() == (4001, "")
        await peer.eof()
        assert Endpoint.endings == [4000]


async def test_the_answer_is_the_websocket() -> None:
    answers = []

    async def outer(request: web.BaseRequest) -> web.StreamResponse:
        answers.append(response := await web.WebSocketEndpoint(request))
        return response

    async with talking(outer) as (site, peer):
        await peer.send(close(4000))
        await peer.read_close()
        await site.idle()
    (ws,) = answers
    assert isinstance(ws, web.WebSocketResponse)
    assert ws.close_code == 4000


# --- Registration -------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["xml", "TEXT", b"text", "", 0, False, ["text"], str])
def test_a_bad_encoding(encoding: object) -> None:
    with pytest.raises(TypeError, match=r"Wrong\.encoding must be .* not ") as caught:
        type("Wrong", (web.WebSocketEndpoint,), {"encoding": encoding})
    assert repr(encoding) in str(caught.value)


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"heartbeet": 1}, TypeError, "heartbeet"),
        ({"heartbeat": "1"}, TypeError, "heartbeat"),
        ({"protocols": ["a b"]}, ValueError, "protocols"),
        ({"max_msg_size": -1}, ValueError, "max_msg_size"),
        (5, TypeError, "mapping"),
    ],
)
def test_bad_options(options: object, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=r"Wrong\.options: ") as caught:
        type("Wrong", (web.WebSocketEndpoint,), {"options": options})
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("name", "function", "told"),
    [
        ("on_connect", lambda self: None, "must take the WebSocket"),
        ("on_receive", lambda self, ws: None, "must take the WebSocket and the data"),
        ("on_disconnect", lambda self, ws: None, "must take the WebSocket and the close code"),
        ("on_receive", None, "must be callable"),
    ],
)
def test_bad_methods(name: str, function: Any, told: str) -> None:
    with pytest.raises(TypeError, match=rf"Wrong\.{name}(\(\))? {told}"):
        type("Wrong", (web.WebSocketEndpoint,), {name: function})


# --- A program ----------------------------------------------------------------------------


async def test_a_chat() -> None:
    """What such classes are for: several clients, a list of those who are there."""
    members: dict[str, web.WebSocketResponse] = {}
    router = web.Router()

    @router.websocket("/chat/{name}")
    class Chat(web.WebSocketEndpoint):
        encoding = "json"

        async def on_connect(self, ws: web.WebSocketResponse, name: str) -> None:
            if name in members:
                raise web.HTTPConflict(text="taken")
            members[name] = ws

        async def on_receive(self, ws: web.WebSocketResponse, data: Any, name: str) -> None:
            for member in members.values():
                await member.send_json({"from": name, "said": data["say"]})

        async def on_disconnect(
            self, ws: web.WebSocketResponse, close_code: int, name: str
        ) -> None:
            del members[name]

    async with serving(router) as site:
        async with (
            WSPeer.connect(site.port, path="/chat/ann") as ann,
            WSPeer.connect(site.port, path="/chat/bob") as bob,
            Peer.connect(site.port) as other,
        ):
            assert (await other.ask(handshake("/chat/bob"))).status == 409
            await ann.send(text('{"say": "hi"}'))
            for peer in (ann, bob):
                assert json.loads(await peer.read_text()) == {"from": "ann", "said": "hi"}
        await until(lambda: not members, "everybody to leave")
