"""The sending side of one request, with a channel that only notes what it is told."""

from __future__ import annotations

import array
import asyncio
from typing import Any

import pytest

from lowlevel.protocol.serializer import CHUNKED, LENGTH, NONE, SILENT, UNTIL_CLOSE, Framing
from lowlevel.writer import ResponseWriter

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Channel:
    """Notes what is sent; slow or gone if told so."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.drained = 0
        self.slow = False
        self.gone = False
        self.interim = 0

    def send(self, data: bytes) -> bool:
        if self.gone:
            raise ConnectionResetError
        assert type(data) is bytes
        self.sent.append(data)
        return self.slow

    def send_parts(self, parts: Any) -> bool:
        for part in parts:
            self.send(part)
        return self.slow

    def drain_needed(self) -> bool:
        return self.slow

    async def drain(self) -> None:
        if self.gone:
            raise ConnectionResetError
        self.drained += 1

    def note_interim(self) -> None:
        self.interim += 1

    @property
    def data(self) -> bytes:
        return b"".join(self.sent)


def begun(framing: Framing, length: int | None = None) -> tuple[Channel, ResponseWriter]:
    channel = Channel()
    writer = ResponseWriter(channel)  # type: ignore[arg-type]
    writer.send_head(HEAD, framing, length)
    channel.sent.clear()
    return channel, writer


@pytest.mark.parametrize(
    ("framing", "length", "expected"),
    [
        (CHUNKED, None, b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"),
        (UNTIL_CLOSE, None, b"onetwo"),
        (LENGTH, 6, b"onetwo"),
        (NONE, None, b""),
        (SILENT, None, b""),
        (SILENT, 6, b""),
    ],
)
async def test_framings(framing: Framing, length: int | None, expected: bytes) -> None:
    channel, writer = begun(framing, length)
    await writer.write(b"one")
    await writer.write(b"")
    await writer.write_eof(b"two")
    assert channel.data == expected
    assert writer.output_size == len(HEAD) + len(expected)
    assert writer.ended


async def test_empty_data_does_not_end_chunks() -> None:
    channel, writer = begun(CHUNKED)
    for data in b"", bytearray(), memoryview(b""):
        await writer.write(data)
    assert channel.data == b""
    await writer.write_eof()
    assert channel.data == b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 15, 16, 65535, 65536, 65537, 1_000_000])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_chunks_of_all_sizes(size: int, kind: Any) -> None:
    channel, writer = begun(CHUNKED)
    await writer.write(kind(b"x" * size))
    assert channel.data == b"%x\r\n%b\r\n" % (size, b"x" * size)
    assert writer.output_size == len(HEAD) + len(channel.data)


@pytest.mark.parametrize("framing", [CHUNKED, UNTIL_CLOSE, LENGTH])
@pytest.mark.parametrize("count", [3, 30_000])
async def test_a_memoryview_of_wider_items_counts_bytes(framing: Framing, count: int) -> None:
    view = memoryview(array.array("I", range(count)))
    channel, writer = begun(framing, view.nbytes)
    await writer.write_eof(view)
    expected = bytes(view)
    if framing is CHUNKED:
        expected = b"%x\r\n%b\r\n0\r\n\r\n" % (view.nbytes, expected)
    assert channel.data == expected


@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize("framing", [CHUNKED, UNTIL_CLOSE])
async def test_data_is_copied_if_its_owner_may_change_it(framing: Framing, size: int) -> None:
    channel, writer = begun(framing)
    data = bytearray(b"a" * size)
    await writer.write(data)
    data[:] = b"b" * size
    assert b"b" not in channel.data.replace(b"%x\r\n" % size, b"")
    data.append(0)  # a buffer that somebody still looks at could not change its size


async def test_more_than_the_length_is_cut_off() -> None:
    channel, writer = begun(LENGTH, 4)
    assert not writer.full
    await writer.write(b"abc")
    assert not writer.full
    await writer.write(memoryview(b"def"))
    assert writer.full
    await writer.write(b"ghi")
    await writer.write_eof(b"jkl")
    assert channel.data == b"abcd"
    assert writer.output_size == len(HEAD) + 4


@pytest.mark.parametrize("given", [b"", b"abc"])
async def test_less_than_the_length_is_an_error(given: bytes) -> None:
    channel, writer = begun(LENGTH, 4)
    await writer.write(given)
    with pytest.raises(RuntimeError, match=f"{4 - len(given)} bytes short of its Content-Length"):
        await writer.write_eof()
    assert writer.ended


async def test_a_length_of_nothing() -> None:
    channel, writer = begun(LENGTH, 0)
    assert writer.full
    await writer.write_eof()
    assert channel.data == b""


@pytest.mark.parametrize(
    ("framing", "full"), [(NONE, True), (SILENT, True), (CHUNKED, False), (UNTIL_CLOSE, False)]
)
def test_full(framing: Framing, full: bool) -> None:
    assert begun(framing)[1].full is full


async def test_nothing_follows_the_end() -> None:
    channel, writer = begun(CHUNKED)
    await writer.write_eof()
    for data in b"x", b"":
        with pytest.raises(RuntimeError, match="after write_eof"):
            await writer.write(data)
    await writer.write_eof(b"x")
    assert channel.data == b"0\r\n\r\n"


async def test_one_head() -> None:
    channel, writer = begun(CHUNKED)
    with pytest.raises(RuntimeError, match="already been sent"):
        writer.send_head(HEAD, CHUNKED, None)
    await writer.write_eof()
    with pytest.raises(RuntimeError, match="already been sent"):
        writer.send_head(HEAD, CHUNKED, None)
    assert channel.data == b"0\r\n\r\n"


async def test_nothing_is_sent_after_it_was_abandoned() -> None:
    channel, writer = begun(CHUNKED)
    writer.abandon()
    assert writer.ended
    with pytest.raises(RuntimeError):
        await writer.write(b"x")
    await writer.write_eof()
    assert channel.data == b""
    fresh = ResponseWriter(channel)  # type: ignore[arg-type]
    fresh.abandon()
    with pytest.raises(RuntimeError):
        fresh.send_head(HEAD, CHUNKED, None)
    assert channel.data == b""


async def test_before_a_head_bytes_go_out_as_they_are() -> None:
    channel = Channel()
    writer = ResponseWriter(channel)  # type: ignore[arg-type]
    await writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    assert channel.interim == 0
    await writer.write(bytearray(b"HTTP/1.1 100 Continue\r\n\r\n"))
    assert channel.interim == 1
    writer.output_size = 0  # as programs do, to say that no answer has begun
    writer.send_head(HEAD, LENGTH, 1)
    await writer.write_eof(b"x")
    assert writer.output_size == len(HEAD) + 1
    assert channel.data == (
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"x"
    )


async def test_a_body_that_looks_like_an_interim_response_is_none() -> None:
    channel, writer = begun(UNTIL_CLOSE)
    await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert channel.interim == 0


async def test_writing_waits_only_if_it_must() -> None:
    channel, writer = begun(CHUNKED)
    await writer.write(b"x")
    assert channel.drained == 0
    channel.slow = True
    await writer.write(b"x")
    assert channel.drained == 1
    await writer.drain()
    assert channel.drained == 2
    await writer.write_eof()
    assert channel.drained == 3


@pytest.mark.parametrize(("framing", "length"), [(SILENT, None), (NONE, None), (LENGTH, 0)])
async def test_dropped_data_lets_others_run(framing: Framing, length: int | None) -> None:
    _, writer = begun(framing, length)
    ran = asyncio.Event()
    asyncio.get_running_loop().call_soon(ran.set)
    await writer.write(b"x")
    assert ran.is_set()


@pytest.mark.parametrize("framing", [SILENT, NONE, CHUNKED, UNTIL_CLOSE])
async def test_writing_to_a_client_that_has_gone(framing: Framing) -> None:
    channel, writer = begun(framing)
    channel.gone = True
    with pytest.raises(ConnectionResetError):
        await writer.write(b"x")
    with pytest.raises(ConnectionResetError):
        await writer.drain()
