"""Servers without sockets, and the loops that are counted."""

import asyncio
import gc
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

import lowlevel as web
from benchmarks import counting
from benchmarks.inprocess import Client, FakeTransport, Handler, Loop, NoAnswer, StillLoop
from benchmarks.loops import LOOPS, masked_frame


@pytest.mark.parametrize("name", LOOPS)
def test_every_loop_gets_its_answer_again_and_again(name: str) -> None:
    client = Client(LOOPS[name])
    for _ in range(3):
        client.exchange()
    client.close()


def test_pipelined_requests_are_all_answered() -> None:
    client = Client(LOOPS["16 pipelined"])
    assert client._expected.count(b"HTTP/1.1 200 OK\r\n") == LOOPS["16 pipelined"].requests == 16
    client.close()


def test_calls_of_the_transport_are_counted() -> None:
    client = Client(LOOPS["plaintext"])
    before = client.transport_calls
    client.exchange()
    client.exchange()
    assert client.transport_calls == before + 2
    client.close()


def test_every_call_of_a_transport_counts() -> None:
    transport = FakeTransport(asyncio.Protocol())
    transport.write(b"one")
    transport.writelines([b"two", b"three"])
    transport.pause_reading()
    transport.resume_reading()
    transport.set_write_buffer_limits(1)
    transport.close()
    transport.abort()
    assert transport.calls == 7
    assert transport.received == b"onetwothree"


def remembering(seen: list[asyncio.Transport | None]) -> Handler:
    async def remember(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.transport)
        return web.Response(text="Hello, world!")

    return remember


def test_a_client_keeps_its_connection_unless_the_loop_says_otherwise() -> None:
    kept: list[asyncio.Transport | None] = []
    new: list[asyncio.Transport | None] = []
    for name, seen in (("plaintext", kept), ("new connection", new)):
        client = Client(replace(LOOPS[name], make_handler=partial(remembering, seen)))
        client.exchange()
        client.exchange()
        client.close()
    assert (len(kept), len({id(transport) for transport in kept})) == (3, 1)
    assert (len(new), len({id(transport) for transport in new})) == (3, 3)


def test_a_body_arrives_in_pieces() -> None:
    sizes: list[int] = []

    async def note(request: web.BaseRequest) -> web.StreamResponse:
        sizes.extend([len(piece) async for piece in request.content.iter_any()])
        return web.Response(text=str(sum(sizes)))

    client = Client(replace(LOOPS["256 KiB in 16 pieces"], make_handler=lambda: note))
    client.close()
    assert len(sizes) == 16
    assert sum(sizes) == 256 * 1024


def test_no_two_forms_in_a_row_are_the_same() -> None:
    assert len(set(LOOPS["form"].arrivals)) > 2 * 128


def test_a_wrong_answer_is_refused() -> None:
    with pytest.raises(NoAnswer, match=r"answered b'HTTP/1\.1 200 OK"):
        Client(replace(LOOPS["plaintext"], ends=b"Good night, world!"))


def plaintext_with(make_handler: Callable[[], Handler]) -> Loop:
    return replace(LOOPS["plaintext"], make_handler=make_handler, ends=b"")


def test_an_answer_that_changes_is_refused() -> None:
    counter = iter(range(10))

    async def count(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=str(next(counter)))

    client = Client(plaintext_with(lambda: count))
    with pytest.raises(NoAnswer, match="and later"):
        client.exchange()
    client.close()


def test_what_never_ends_is_refused() -> None:
    served = []

    async def spin(request: web.BaseRequest) -> web.StreamResponse:
        served.append(request)
        while len(served) < 5000:
            served.append(request)
            await asyncio.sleep(0)
        return web.Response()

    with pytest.raises(NoAnswer, match="after 1000 turns"):
        Client(plaintext_with(lambda: spin))
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_no_time_passes() -> None:
    called: list[str] = []
    loop = StillLoop()
    loop.call_later(0.000001, called.append, "later")
    loop.call_soon(called.append, "soon")
    loop.settle()
    assert called == ["soon"]
    assert loop.time() == loop.time() == 0.0
    loop.close()


def test_a_masked_frame() -> None:
    # The masked "Hello" of RFC 6455 §5.7, as a binary message.
    assert masked_frame(b"Hello") == b"\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
    assert masked_frame(bytes(300))[:8] == b"\x82\xfe\x01\x2c\x37\xfa\x21\x3d"


# ---- Counting, in this process ---------------------------------------------------------------


def add(first: int, second: int) -> int:
    return first + second


def test_calls_and_bytecode_are_counted() -> None:
    once = counting.count_bytecode(lambda: [add(1, 2)], 5)  # type: ignore[arg-type]
    twice = counting.count_bytecode(lambda: [add(1, 2), add(1, 2)], 5)  # type: ignore[arg-type]
    assert (once["calls"], twice["calls"]) == (2, 3)
    assert 5 < once["bytecode"] < twice["bytecode"] < 2 * once["bytecode"]


def test_calls_of_c_are_counted() -> None:
    def exchange() -> None:
        min(1, 2)
        "".join([])

    assert counting.count_c_calls(exchange, 5) == 2


def test_cycles_are_counted_and_nothing_else_is() -> None:
    def cycle() -> None:
        first: list[object] = []
        first.append([first])

    def no_cycle() -> None:
        first: list[object] = []
        first.append([[]])

    gc.disable()
    try:
        assert counting.cyclic_garbage(cycle, 5) == 2
        assert counting.cyclic_garbage(no_cycle, 5) == 0
    finally:
        gc.enable()


def test_the_peak_of_memory_is_seen_although_it_is_freed() -> None:
    def exchange() -> None:
        bytearray(100_000)
        bytearray(50_000)

    assert 100_000 <= counting.peak_bytes(exchange, 3) < 101_000
