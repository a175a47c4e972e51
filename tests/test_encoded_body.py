"""What is written to a response that is compressed: together in a turn, in a thread if large, in order always."""

import asyncio
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from lowlevel.encoded_body import LARGE, BodyEncoder, encode_whole
from lowlevel.protocol.content_coding import ContentCoding
from lowlevel.protocol.content_encoder import Encoder, make_encoder

DEADLINE = 10


class Slow:
    """An encoder that compresses large pieces when it is told to, and notes which thread did what."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.began = threading.Event()
        self.threads: list[tuple[bytes, bool]] = []

    def encode(self, data: bytes) -> bytes:
        in_main = threading.current_thread() is threading.main_thread()
        self.threads.append((data[:1], in_main))
        if not in_main:
            self.began.set()
            if not self.go.wait(DEADLINE):
                raise TimeoutError("nobody let the thread go on")
        return b"<%b%d>" % (data[:1], len(data))

    def flush(self) -> bytes:
        return b"|"

    def finish(self, data: bytes = b"") -> bytes:
        return b"."


class Sink:
    def __init__(self) -> None:
        self.data = b""
        self.gone = False
        self.congested = False

    def send(self, data: bytes) -> bool:
        if self.gone:
            raise ConnectionResetError("gone")
        self.data += data
        return self.congested


async def began(encoder: Slow) -> None:
    async with asyncio.timeout(DEADLINE):
        while not encoder.began.is_set():
            await asyncio.sleep(0.001)


def gzip() -> Encoder:
    return make_encoder(ContentCoding.gzip)


async def test_pieces_of_one_turn_are_flushed_together() -> None:
    sink = Sink()
    body = BodyEncoder(Slow(), None, sink.send)
    assert body.put(b"a") is False
    assert body.put(b"bb") is False
    assert sink.data == b"<a1><b2>"
    await asyncio.sleep(0)
    assert sink.data == b"<a1><b2>|"
    body.put(b"c")
    await asyncio.sleep(0)
    assert sink.data == b"<a1><b2>|<c1>|"
    await body.finish()
    assert sink.data == b"<a1><b2>|<c1>|."
    await asyncio.sleep(0)
    assert sink.data.endswith(b"|.")


async def test_no_flush_behind_the_end() -> None:
    sink = Sink()
    body = BodyEncoder(Slow(), None, sink.send)
    await body.finish(b"a")
    await asyncio.sleep(0)
    assert sink.data == b"<a1>."


async def test_empty_pieces_do_nothing() -> None:
    sink = Sink()
    body = BodyEncoder(Slow(), None, sink.send)
    assert body.put(b"") is False
    await asyncio.sleep(0)
    assert sink.data == b""


async def test_congestion_is_passed_on() -> None:
    sink = Sink()
    sink.congested = True
    body = BodyEncoder(Slow(), None, sink.send)
    assert body.put(b"a") is True


async def test_many_small_pieces_give_others_a_turn() -> None:
    body = BodyEncoder(gzip(), None, Sink().send)
    asked = 0
    turns: list[int] = []
    for _ in range(4):
        for _ in range(LARGE // 1000 + 1):
            asked += body.put(bytes(1000))
        asyncio.get_running_loop().call_soon(turns.append, 1)
        await body.pause()
    assert asked == 4
    assert len(turns) == 4


async def test_large_pieces_go_to_a_thread_and_others_wait_behind_them() -> None:
    sink, encoder = Sink(), Slow()
    body = BodyEncoder(encoder, None, sink.send)
    assert body.put(b"a") is False
    assert body.put(b"b" * (LARGE + 1)) is True
    assert body.put(b"c") is True
    assert body.put(b"d") is True
    await began(encoder)
    assert sink.data == b"<a1>"
    encoder.go.set()
    await body.pause()
    assert sink.data == b"<a1><b%d>|<c2>|" % (LARGE + 1)
    assert encoder.threads == [(b"a", True), (b"b", False), (b"c", False)]
    await body.finish(b"e")
    assert sink.data.endswith(b"<c2>|<e1>.")


async def test_the_given_executor_is_used() -> None:
    sink = Sink()
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        names = []

        class Named(Slow):
            def encode(self, data: bytes) -> bytes:
                names.append(threading.current_thread().name)
                return b""

        body = BodyEncoder(Named(), executor, sink.send)
        body.put(bytes(LARGE + 1))
        await body.pause()
    assert len(names) == 1
    assert names[0].startswith("mine")


async def test_a_cancelled_wait_loses_nothing() -> None:
    sink, encoder = Sink(), Slow()
    body = BodyEncoder(encoder, None, sink.send)
    body.put(b"a" * (LARGE + 1))
    waiting = asyncio.ensure_future(body.pause())
    await began(encoder)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    encoder.go.set()
    await body.finish(b"b")
    assert sink.data == b"<a%d>|<b1>|." % (LARGE + 1)


async def test_a_cancelled_finish_goes_on_where_it_was() -> None:
    sink, encoder = Sink(), Slow()
    body = BodyEncoder(encoder, None, sink.send)
    ending = asyncio.ensure_future(body.finish(b"a" * (LARGE + 1)))
    await began(encoder)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    encoder.go.set()
    await body.finish(b"a" * (LARGE + 1))
    assert sink.data == b"<a%d>|." % (LARGE + 1)


@pytest.mark.parametrize("size", [10, LARGE + 1])
async def test_nothing_behind_the_last_piece(size: int) -> None:
    """Not even while the last one is still being compressed."""
    sink, encoder = Sink(), Slow()
    body = BodyEncoder(encoder, None, sink.send)
    ending = asyncio.ensure_future(body.finish(b"a" * (LARGE + 1)))
    await began(encoder)
    with pytest.raises(RuntimeError, match=r"write\(\) after write_eof\(\)"):
        body.put(b"b" * size)
    encoder.go.set()
    await ending
    assert sink.data == b"<a%d>|." % (LARGE + 1)


async def test_nothing_behind_the_last_piece_while_others_have_their_turn() -> None:
    sink, encoder = Sink(), Slow()
    body = BodyEncoder(encoder, None, sink.send)
    body.put(b"a" * LARGE)
    ending = asyncio.ensure_future(body.finish(b"b"))
    await asyncio.sleep(0)
    assert not ending.done()
    with pytest.raises(RuntimeError, match="after write_eof"):
        body.put(b"c" * (LARGE + 1))
    await ending
    assert sink.data == b"<a%d>|<b1>|." % LARGE


async def test_two_ends_are_one() -> None:
    sink, encoder = Sink(), Slow()
    body = BodyEncoder(encoder, None, sink.send)
    endings = [asyncio.ensure_future(body.finish(b"a" * (LARGE + 1))) for _ in range(2)]
    await began(encoder)
    encoder.go.set()
    await asyncio.gather(*endings)
    assert sink.data == b"<a%d>|." % (LARGE + 1)


async def test_never_in_two_threads_at_once() -> None:
    """Whatever others put while one waits: what compresses is no lock."""
    sink, encoder = Sink(), Slow()
    body = BodyEncoder(encoder, None, sink.send)
    body.put(b"a" * LARGE)
    body.put(b"b")
    pausing = asyncio.ensure_future(body.pause())
    await asyncio.sleep(0)
    body.put(b"c" * (LARGE + 1))
    ending = asyncio.ensure_future(body.finish(b"d"))
    await began(encoder)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not ending.done()
    assert [piece for piece, _ in encoder.threads] == [b"a", b"b", b"c"]
    encoder.go.set()
    await ending
    await pausing
    assert sink.data.endswith(b"<c%d>|<d1>|." % (LARGE + 1))


async def test_an_executor_that_takes_nothing() -> None:
    sink = Sink()
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    body = BodyEncoder(Slow(), executor, sink.send)
    body.put(b"a")
    assert body.put(bytes(LARGE + 1)) is True
    assert body.put(b"b") is True
    for _ in range(2):
        with pytest.raises(RuntimeError, match="cannot schedule"):
            await body.pause()
    with pytest.raises(RuntimeError, match="cannot schedule"):
        await body.finish()
    assert sink.data == b"<a1>"


async def test_an_executor_that_takes_no_more() -> None:
    """What waited for a thread is not dropped without a word."""
    sink, encoder = Sink(), Slow()
    with ThreadPoolExecutor(1) as executor:
        body = BodyEncoder(encoder, executor, sink.send)
        body.put(b"a" * (LARGE + 1))
        body.put(b"b")
        await began(encoder)
        executor.shutdown(wait=False)
        encoder.go.set()
        with pytest.raises(RuntimeError, match="cannot schedule"):
            await body.finish()
    assert sink.data == b"<a%d>|" % (LARGE + 1)


async def test_a_client_that_leaves_is_no_noise() -> None:
    sink, encoder = Sink(), Slow()
    body = BodyEncoder(encoder, None, sink.send)
    body.put(b"a" * (LARGE + 1))
    await began(encoder)
    sink.gone = True
    encoder.go.set()
    await body.pause()
    assert body.put(b"b") is True
    await body.finish()
    assert sink.data == b""


async def test_a_client_that_leaves_before_a_flush_is_no_noise() -> None:
    sink = Sink()
    body = BodyEncoder(Slow(), None, sink.send)
    body.put(b"a")
    sink.gone = True
    await asyncio.sleep(0)
    assert sink.data == b"<a1>"
    assert body.put(b"b") is True


async def test_closing_drops_what_a_thread_is_at() -> None:
    sink, encoder = Sink(), Slow()
    body = BodyEncoder(encoder, None, sink.send)
    body.put(b"a" * (LARGE + 1))
    await began(encoder)
    body.close()
    encoder.go.set()
    await body.pause()
    assert sink.data == b""


async def test_a_failure_in_the_thread_is_told_whoever_comes_next() -> None:
    class Broken(Slow):
        def encode(self, data: bytes) -> bytes:
            raise MemoryError("not today")

    sink = Sink()
    body = BodyEncoder(Broken(), None, sink.send)
    body.put(bytes(LARGE + 1))
    for _ in range(2):
        with pytest.raises(MemoryError):
            await body.pause()
    with pytest.raises(MemoryError):
        await body.finish()
    assert sink.data == b""


async def test_an_executor_that_gives_up() -> None:
    sink, encoder = Sink(), Slow()
    executor = ThreadPoolExecutor(1)
    blocker = executor.submit(encoder.encode, b"x")
    body = BodyEncoder(encoder, executor, sink.send)
    body.put(bytes(LARGE + 1))
    executor.shutdown(wait=False, cancel_futures=True)
    encoder.go.set()
    with pytest.raises(RuntimeError, match="gave up"):
        await body.pause()
    blocker.result(DEADLINE)


@pytest.mark.parametrize("size", [0, 10, LARGE, LARGE + 1, 1_000_000])
async def test_whole(size: int) -> None:
    data = bytes(size)
    encoded = await encode_whole(gzip(), data, LARGE, None)
    assert zlib.decompress(encoded, 31) == data


async def test_whole_in_a_thread_above_the_limit() -> None:
    threads = []

    class Noted(Slow):
        def finish(self, data: bytes = b"") -> bytes:
            threads.append(threading.current_thread() is threading.main_thread())
            return b""

    await encode_whole(Noted(), bytes(100), 100, None)
    await encode_whole(Noted(), bytes(101), 100, None)
    assert threads == [True, False]
