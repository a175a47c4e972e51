"""Compressed bodies of requests: read like any other body, and never further than a read asks for."""

import asyncio
import gzip
import threading
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowlevel.body import StreamReader
from lowlevel.decoded_body import DecodedReader, make_reader
from lowlevel.errors import PayloadAccessError, RequestPayloadError
from lowlevel.exceptions import HTTPUnsupportedMediaType
from lowlevel.protocol import content_coding, content_decoder
from lowlevel.protocol.content_coding import ContentCoding, ContentCodingError, load_zstd

LIMIT = 2**16
CODINGS: dict[str, Any] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": load_zstd().compress,
}
TEXT = b"first line\nsecond line\n" + b"x" * 5000 + b"\nlast"


class Source:
    """Notes what a body asks of its connection."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def body_wanted(self) -> None:
        self.calls.append("wanted")

    def pause_body(self) -> None:
        self.calls.append("pause")

    def resume_body(self) -> None:
        self.calls.append("resume")


def reader_of(
    data: bytes = b"", coding: bytes = b"gzip", *, eof: bool = True, source: Source | None = None
) -> StreamReader:
    reader = make_reader(source, LIMIT, coding)
    reader.feed_data(data)
    if eof:
        reader.feed_eof()
    return reader


async def count_turns(turns: list[int]) -> None:
    while True:
        turns.append(1)
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        (b"gzip", gzip.compress),
        (b"X-Gzip", gzip.compress),
        (b"deflate", zlib.compress),
        (b"br", brotli.compress),
        (b"identity, gzip", gzip.compress),
        (b"deflate, br", lambda data: brotli.compress(zlib.compress(data))),
    ],
)
async def test_read(coding: bytes, encode: Callable[[bytes], bytes]) -> None:
    reader = reader_of(encode(TEXT), coding)
    assert isinstance(reader, DecodedReader)
    assert await reader.read() == TEXT
    assert reader.at_eof()
    assert await reader.read() == b""
    assert reader.total_bytes == len(TEXT)
    assert reader.received_bytes == len(encode(TEXT))


@pytest.mark.parametrize("coding", [b"identity", b"", b"identity, identity"])
async def test_identity_is_a_plain_body(coding: bytes) -> None:
    reader = reader_of(b"data", coding)
    assert type(reader) is StreamReader
    assert not reader.decodes


async def test_every_way_to_read() -> None:
    data = gzip.compress(TEXT)
    assert await reader_of(data).readany() == TEXT
    reader = reader_of(data)
    assert await reader.readexactly(5) == b"first"
    assert reader.streamed
    assert await reader.readline() == b" line\n"
    assert await reader.readuntil(b"d l") == b"second l"
    assert await reader.read(4) == b"ine\n"
    assert await reader.readchunk() == (TEXT[23:], False)
    assert await reader.readchunk() == (b"", False)
    assert reader.at_eof()
    assert [line async for line in reader_of(data)] == TEXT.splitlines(keepends=True)
    assert b"".join([part async for part in reader_of(data).iter_any()]) == TEXT
    parts = [part async for part in reader_of(data).iter_chunked(1000)]
    assert [len(part) for part in parts] == [1000] * 5 + [28]
    assert b"".join([part async for part, _ in reader_of(data).iter_chunks()]) == TEXT
    with pytest.raises(asyncio.IncompleteReadError) as caught:
        await reader_of(data).readexactly(len(TEXT) + 1)
    assert caught.value.partial == TEXT
    assert await reader_of(data).read_whole(len(TEXT)) == TEXT
    assert await reader_of(data).read_whole(len(TEXT) - 1) is None
    assert await reader_of(data).read_whole(0) == TEXT
    assert await reader_of(data).read(0) == b""


@settings(deadline=None)
@given(
    data=st.binary(max_size=500),
    cuts=st.lists(st.integers(0, 500)),
    sizes=st.lists(st.integers(1, 100), min_size=1),
)
def test_any_split_and_any_reads(data: bytes, cuts: list[int], sizes: list[int]) -> None:
    async def scenario() -> bytes:
        encoded = gzip.compress(data)
        reader = reader_of(eof=False)

        async def feed() -> None:
            places = [0, *sorted(min(cut, len(encoded)) for cut in cuts), len(encoded)]
            for start, end in zip(places, places[1:], strict=False):
                reader.feed_data(encoded[start:end])
                await asyncio.sleep(0)
            reader.feed_eof()

        feeding = asyncio.ensure_future(feed())
        parts = []
        for turn in range(2000):
            part = await reader.read(sizes[turn % len(sizes)])
            if not part:
                break
            parts.append(part)
        await feeding
        return b"".join(parts)

    assert asyncio.run(scenario()) == data


async def test_read_nowait() -> None:
    data = gzip.compress(TEXT)
    reader = reader_of(data[:5], eof=False)
    assert reader.read_nowait() == b""
    reader.feed_data(data[5:])
    assert reader.read_nowait(5) == b"first"
    assert reader.read_nowait() == TEXT[5:]
    assert reader.read_nowait() == b""
    reader.feed_eof()
    assert reader.at_eof()


async def test_read_nowait_of_bad_data() -> None:
    reader = reader_of(b"this is not gzip")
    with pytest.raises(RequestPayloadError):
        reader.read_nowait()


async def test_at_eof_as_soon_as_all_is_read() -> None:
    reader = reader_of(gzip.compress(b"12345"))
    assert not reader.at_eof()
    assert await reader.readexactly(5) == b"12345"
    assert reader.at_eof()
    # A whole buffer, behind which only the checksum is left.
    reader = reader_of(gzip.compress(bytes(65536)))
    assert len(await reader.readexactly(65536)) == 65536
    assert reader.at_eof()


async def test_the_end_is_known_only_when_it_came() -> None:
    reader = reader_of(gzip.compress(b"12345"), eof=False)
    assert await reader.readexactly(5) == b"12345"
    assert not reader.at_eof()
    assert not reader.is_eof()
    reader.feed_eof([(b"x-trailer", b"1")])
    assert reader.is_eof()
    assert reader.at_eof()
    assert reader.trailers == [(b"x-trailer", b"1")]


async def test_nothing_at_all_is_an_empty_body() -> None:
    reader = reader_of(b"")
    assert reader.at_eof()
    assert await reader.read() == b""


async def test_callbacks_at_the_end() -> None:
    reader = reader_of(gzip.compress(b"1"), eof=False)
    called: list[int] = []
    reader.on_eof(lambda: called.append(1))
    waiting = asyncio.ensure_future(reader.wait_eof())
    await asyncio.sleep(0)
    assert not called
    reader.feed_eof()
    await waiting
    reader.on_eof(lambda: called.append(2))
    assert called == [1, 2]


# --- What is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"this is not gzip", "bad gzip data"),
        (gzip.compress(TEXT)[:-1], "cut short"),
        (gzip.compress(TEXT)[:20], "cut short"),
        (gzip.compress(TEXT) + b"junk", "bad gzip data"),
    ],
    ids=["no gzip", "without its end", "cut in two", "junk behind"],
)
async def test_bad_data(data: bytes, reason: str) -> None:
    reader = reader_of(data)
    with pytest.raises(RequestPayloadError, match=reason) as caught:
        await reader.read()
    assert reader.exception() is caught.value
    assert not reader.at_eof()
    for read in (reader.readany, reader.readline, reader.readchunk, reader.wait_eof):
        with pytest.raises(RequestPayloadError):
            await read()


async def test_bad_data_behind_what_was_read() -> None:
    reader = reader_of(gzip.compress(b"12345") + b"junk")
    assert await reader.readexactly(5) == b"12345"
    assert not reader.at_eof()
    with pytest.raises(RequestPayloadError):
        await reader.readany()


async def test_nothing_is_kept_behind_bad_data() -> None:
    source = Source()
    reader = reader_of(b"this is not gzip", eof=False, source=source)
    with pytest.raises(RequestPayloadError):
        await reader.readany()
    for _ in range(100):
        reader.feed_data(bytes(65536))
    assert reader.received_bytes == 16 + 100 * 65536
    assert not reader._raw._chunks  # type: ignore[attr-defined]
    assert source.calls.count("pause") == 0


@pytest.mark.parametrize("coding", [b"compress", b"gzip, gzip, gzip", b"gzip;q=1", b"\xff"])
async def test_unknown_coding(coding: bytes) -> None:
    source = Source()
    reader = reader_of(b"data", coding, source=source, eof=False)
    assert reader.exception() is None
    assert not reader.at_eof()
    with pytest.raises(HTTPUnsupportedMediaType) as caught:
        await reader.read()
    assert caught.value.status == 415
    assert caught.value.headers["Accept-Encoding"] == "gzip, deflate, br, zstd"
    assert source.calls == []  # the client need not send what nobody can read
    with pytest.raises(HTTPUnsupportedMediaType):
        await reader.readany()


async def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_decoder, "load_brotli", lambda: None)
    monkeypatch.setattr(content_decoder, "load_zstd", lambda: None)
    with pytest.raises(HTTPUnsupportedMediaType) as caught:
        await reader_of(brotli.compress(b"1"), b"br").read()
    assert caught.value.headers["Accept-Encoding"] == "gzip, deflate"
    assert content_coding.load_brotli() is not None


@pytest.mark.parametrize("coding", [b"gzip", b"compress"])
async def test_what_comes_behind_an_error_still_comes(coding: bytes) -> None:
    """Paused, nobody would see the client leave."""
    source = Source()
    reader = reader_of(b"this is neither gzip nor anything", coding, eof=False, source=source)
    while "pause" not in source.calls:
        reader.feed_data(bytes(65536))
    with pytest.raises((RequestPayloadError, HTTPUnsupportedMediaType)):
        reader.read_nowait(1)
    assert source.calls[-1] == "resume"
    reader.feed_data(bytes(1 << 20))
    assert source.calls[-1] == "resume"


async def test_too_much_for_what_comes_out() -> None:
    data = b"\x78\x9c" + b"\0\0\0\xff\xff" * 300_000
    reader = reader_of(data, b"deflate")
    with pytest.raises(RequestPayloadError, match="much shorter than its coding"):
        await reader.read()


# --- The connection ------------------------------------------------------------------------------


async def test_the_body_is_asked_for_when_a_read_waits() -> None:
    source = Source()
    reader = reader_of(eof=False, source=source)
    reading = asyncio.ensure_future(reader.read())
    await asyncio.sleep(0)
    assert source.calls == ["wanted"]
    reader.feed_data(gzip.compress(b"1"))
    reader.feed_eof()
    assert await reading == b"1"


async def test_what_came_is_bounded_by_the_mark() -> None:
    source = Source()
    reader = reader_of(eof=False, source=source)
    data = gzip.compress(bytes(range(256)) * 4096, compresslevel=0)
    fed = 0
    while "pause" not in source.calls:
        reader.feed_data(data[fed : fed + 10000])
        fed += 10000
    assert fed <= 2 * LIMIT + 10000
    assert await reader.readexactly(100000) == (bytes(range(256)) * 400)[:100000]
    assert source.calls == ["pause", "resume"]


async def test_one_read_at_a_time() -> None:
    reader = reader_of(eof=False)
    reading = asyncio.ensure_future(reader.read())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="already waiting"):
        await reader.readany()
    with pytest.raises(RuntimeError, match="waiting"):
        reader.read_nowait()
    assert not reader.at_eof()
    reader.feed_data(gzip.compress(b"1"))
    reader.feed_eof()
    assert await reading == b"1"


async def test_one_read_at_a_time_while_it_gives_others_a_turn() -> None:
    reader = reader_of(gzip.compress(bytes(2**22)))
    reading = asyncio.ensure_future(reader.read())
    await asyncio.sleep(0)
    assert not reading.done()
    with pytest.raises(RuntimeError, match="already waiting"):
        await reader.readany()
    assert await reading == bytes(2**22)


async def test_cancelled_reads_lose_nothing() -> None:
    encoded = gzip.compress(TEXT)
    reader = reader_of(eof=False)
    for start in range(0, len(encoded), 3):
        reading = asyncio.ensure_future(reader.read())
        await asyncio.sleep(0)
        reader.feed_data(encoded[start : start + 3])
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    reader.feed_eof()
    assert await reader.read() == TEXT


async def test_a_read_that_is_cancelled_between_steps_loses_nothing() -> None:
    content = bytes(range(256)) * 2**14
    reader = reader_of(gzip.compress(content, 1))
    for _ in range(5):
        reading = asyncio.ensure_future(reader.read())
        for _ in range(3):
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert await reader.read() == content


async def test_others_get_their_turn() -> None:
    reader = reader_of(gzip.compress(bytes(2**24)))
    turns: list[int] = []
    counting = asyncio.ensure_future(count_turns(turns))
    assert len(await reader.read()) == 2**24
    counting.cancel()
    assert len(turns) >= 2**24 / 65536 / 4 - 1


@pytest.mark.parametrize("exc", [ConnectionResetError("gone"), PayloadAccessError("late")])
async def test_the_connection_ends_it(exc: Exception) -> None:
    reader = reader_of(gzip.compress(TEXT)[:30], eof=False)
    reading = asyncio.ensure_future(reader.read())
    ending = asyncio.ensure_future(reader.wait_eof())
    await asyncio.sleep(0)
    reader.set_exception(exc)
    for future in (reading, ending):
        with pytest.raises(type(exc)) as caught:
            await future
        assert caught.value is exc
    assert reader.exception() is exc
    with pytest.raises(type(exc)):
        reader.read_nowait()


async def test_the_connection_ends_it_between_steps() -> None:
    reader = reader_of(gzip.compress(bytes(2**24)))
    reading = asyncio.ensure_future(reader.read())
    await asyncio.sleep(0)
    reader.set_exception(PayloadAccessError("late"))
    with pytest.raises(PayloadAccessError):
        await reading


async def test_discard_does_not_decompress(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        pytest.fail("decompressed")

    reader = reader_of(gzip.compress(bytes(2**24)), eof=False)
    monkeypatch.setattr("lowlevel.decoded_body.make_decoder", refuse)
    discarding = asyncio.ensure_future(reader.discard())
    await asyncio.sleep(0)
    assert not discarding.done()
    reader.feed_eof()
    await discarding
    assert reader.at_eof()
    assert await reader.read() == b""


async def test_no_read_beside_discard() -> None:
    reader = reader_of(gzip.compress(TEXT)[:30], eof=False)
    discarding = asyncio.ensure_future(reader.discard())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="already waiting"):
        await reader.readany()
    reader.feed_eof()
    await discarding
    assert reader.at_eof()


async def test_no_discard_beside_a_read() -> None:
    reader = reader_of(gzip.compress(bytes(2**22)))
    reading = asyncio.ensure_future(reader.read())
    await asyncio.sleep(0)
    assert not reading.done()
    with pytest.raises(RuntimeError, match="already waiting"):
        await reader.discard()
    assert await reading == bytes(2**22)


async def test_discard_of_what_is_left() -> None:
    reader = reader_of(gzip.compress(TEXT))
    await reader.readline()
    await reader.discard()
    assert reader.at_eof()
    assert await reader.readany() == b""


async def test_only_what_is_asked_for_is_decompressed() -> None:
    """A bomb goes off in the hands of who asks for all of it."""
    reader = reader_of(gzip.compress(bytes(2**26)))
    assert len(await reader.readany()) <= 65536
    assert await reader.readexactly(10) == bytes(10)
    assert reader.total_bytes <= 3 * 65536
    assert await reader.read_whole(300_000) is None
    assert reader.total_bytes <= 600_000
    # To ask whether it is the end is no reason to go on.
    assert not reader.at_eof()


async def test_many_reads_of_one_step_give_others_a_turn() -> None:
    reader = reader_of(gzip.compress(b"a\n" * 4000))
    turns: list[int] = []
    counting = asyncio.ensure_future(count_turns(turns))
    assert len([line async for line in reader]) == 4000
    counting.cancel()
    assert len(turns) >= 4000 // 256 - 1


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [7, 65536])
async def test_many_reads_give_others_a_turn(coding: str, size: int) -> None:
    """None of them has to wait: all that is needed has come."""
    length = 2**22 if size > 7 else 30_000
    reader = reader_of(CODINGS[coding](bytes(length)), coding.encode())
    turns: list[int] = []
    counting = asyncio.ensure_future(count_turns(turns))
    got = 0
    while data := await reader.read(size):
        got += len(data)
    counting.cancel()
    assert got == length
    assert len(turns) >= length // (size * 256 if size == 7 else size * 4) - 1


async def test_one_read_at_a_time_while_reads_give_others_a_turn() -> None:
    reader = reader_of(gzip.compress(b"a\n" * 4000))
    assert isinstance(reader, DecodedReader)
    while reader._work < 256:
        await reader.readline()
    reading = asyncio.ensure_future(reader.readline())
    await asyncio.sleep(0)
    assert not reading.done()
    with pytest.raises(RuntimeError, match="already waiting"):
        await reader.readline()
    assert await reading == b"a\n"


# --- What is slow is done in a thread ------------------------------------------------------------


class Stopped:
    """A decoder that stops in the middle of a step until it is told to go on."""

    slow = True
    empty = True

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go = threading.Event()
        self.in_main: list[bool] = []
        self.error: ContentCodingError | None = None

    def put(self, data: bytes) -> None:
        self.data = data
        self.empty = not data

    def take(self, limit: int) -> bytes:
        self.in_main.append(threading.current_thread() is threading.main_thread())
        self.began.set()
        if not self.go.wait(10):
            raise TimeoutError("nobody let the thread go on")
        self.empty = True
        if self.error is not None:
            raise self.error
        return self.data

    def finish(self) -> None:
        pass

    async def wait_until_it_began(self) -> None:
        async with asyncio.timeout(10):
            while not self.began.is_set():
                await asyncio.sleep(0.001)


def stopped_reader(monkeypatch: pytest.MonkeyPatch) -> tuple[DecodedReader, Stopped]:
    decoder = Stopped()
    monkeypatch.setattr("lowlevel.decoded_body.make_decoder", lambda _: decoder)
    reader = DecodedReader(None, LIMIT, (ContentCoding.br,))
    reader.feed_data(b"first")
    reader.feed_eof()
    return reader, decoder


async def test_a_slow_decoder_runs_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, decoder = stopped_reader(monkeypatch)
    reading = asyncio.ensure_future(reader.read())
    await decoder.wait_until_it_began()
    assert not reader.at_eof()
    with pytest.raises(RuntimeError, match="waiting"):
        reader.read_nowait()
    with pytest.raises(RuntimeError, match="already waiting"):
        await reader.readany()
    with pytest.raises(RuntimeError, match="already waiting"):
        await reader.discard()
    decoder.go.set()
    assert await reading == b"first"
    assert reader.at_eof()
    assert decoder.in_main == [False]


async def test_a_read_that_is_cancelled_while_a_thread_works_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, decoder = stopped_reader(monkeypatch)
    reading = asyncio.ensure_future(reader.read())
    await decoder.wait_until_it_began()
    reading.cancel()
    decoder.go.set()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await reader.read() == b"first"


async def test_an_error_of_a_read_that_is_cancelled_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, decoder = stopped_reader(monkeypatch)
    decoder.error = ContentCodingError("bad in some way")
    reading = asyncio.ensure_future(reader.read())
    await decoder.wait_until_it_began()
    reading.cancel()
    decoder.go.set()
    with pytest.raises(asyncio.CancelledError):
        await reading
    with pytest.raises(RequestPayloadError, match="bad in some way"):
        await reader.read()


async def test_the_connection_ends_it_while_a_thread_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, decoder = stopped_reader(monkeypatch)
    reading = asyncio.ensure_future(reader.read())
    await decoder.wait_until_it_began()
    gone = ConnectionResetError("gone")
    reader.set_exception(gone)
    decoder.go.set()
    with pytest.raises(ConnectionResetError):
        await reading
    assert reader.exception() is gone
    assert not reader._chunks


async def test_to_ask_for_the_end_does_nothing_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, decoder = stopped_reader(monkeypatch)
    reader._raw._eof = False
    decoder.go.set()
    assert await reader.readany() == b"first"
    reader._raw.feed_data(b"second")
    reader._raw.feed_eof()
    assert not reader.at_eof()
    assert decoder.in_main == [False]
    # Who asks for what there is gets it all the same.
    assert reader.read_nowait() == b"second"
    assert reader.at_eof()


async def test_a_br_window_costs_the_loop_nothing() -> None:
    """A first step fills the window: 4 MiB here, for 15 bytes that came."""
    reader = reader_of(brotli.compress(bytes(2**24), quality=5, lgwin=22), b"br")
    turns: list[int] = []
    counting = asyncio.ensure_future(count_turns(turns))
    assert await reader.readexactly(1) == b"\0"
    counting.cancel()
    assert len(turns) > 1


async def test_a_br_window_that_is_too_large() -> None:
    reader = reader_of(brotli.compress(bytes(2**25), quality=5, lgwin=24), b"br")
    with pytest.raises(RequestPayloadError, match="window is larger than 4 MiB"):
        await reader.read()


async def test_repr() -> None:
    reader = reader_of(eof=False)
    assert repr(reader) == "<DecodedReader 0 bytes>"


def test_codings_in_order() -> None:
    reader = make_reader(None, LIMIT, b"gzip, br")
    assert isinstance(reader, DecodedReader)
    assert reader._codings == (ContentCoding.gzip, ContentCoding.br)
