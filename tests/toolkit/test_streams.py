"""Bytes and text as streams, and back: what comes out is what went in, in pieces as they were asked for."""

import asyncio
import codecs
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lowlevel as web
from lowlevel.toolkit.streams import bytes_reader, bytes_writer, text_reader, text_writer
from tests.support import Peer, request, serving

MEBIBYTE = 1024**2


async def pieces(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def collected(stream: AsyncIterator[bytes]) -> list[bytes]:
    return [piece async for piece in stream]


def body_of(*parts: bytes) -> web.StreamReader:
    reader = web.StreamReader(None, 2 * MEBIBYTE)
    for part in parts:
        reader.feed_data(part)
    reader.feed_eof()
    return reader


# Reading.


async def test_bytes_reader_joins() -> None:
    assert await bytes_reader(pieces(b"one, ", b"", b"two")) == b"one, two"


async def test_bytes_reader_reads_nothing() -> None:
    assert await bytes_reader(pieces()) == b""
    assert await bytes_reader(pieces(b"")) == b""


async def test_bytes_reader_reads_bodies_without_minding_lines() -> None:
    """Iterated over, a StreamReader gives lines, and refuses long ones."""
    reader = web.StreamReader(None, 8)
    for part in (b"x" * 100, b"\n", b"end"):
        reader.feed_data(part)
    reader.feed_eof()
    assert await bytes_reader(reader) == b"x" * 100 + b"\nend"


async def test_bytes_reader_leaves_errors_of_the_source_alone() -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"some"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await bytes_reader(breaking())


async def test_bytes_reader_takes_nothing_but_bytes() -> None:
    with pytest.raises(TypeError, match="str"):
        await bytes_reader(pieces("text"))


@pytest.mark.parametrize("size", [MEBIBYTE - 1, MEBIBYTE])
async def test_a_body_of_a_mebibyte_is_read(size: int) -> None:
    assert len(await bytes_reader(body_of(b"x" * size))) == size


@pytest.mark.parametrize("read", [bytes_reader, text_reader])
async def test_a_body_of_more_than_a_mebibyte_is_not(read: Any) -> None:
    with pytest.raises(web.HTTPRequestEntityTooLarge, match="Too Large") as caught:
        await read(body_of(b"x" * MEBIBYTE, b"x"))
    assert str(MEBIBYTE) in (caught.value.text or "")


@pytest.mark.parametrize("read", [bytes_reader, text_reader])
async def test_a_body_may_be_longer_if_told_so(read: Any) -> None:
    long = b"x" * (2 * MEBIBYTE)
    assert len(await read(body_of(long), max_size=2 * MEBIBYTE)) == 2 * MEBIBYTE
    assert len(await read(body_of(long), max_size=0)) == 2 * MEBIBYTE
    with pytest.raises(web.HTTPRequestEntityTooLarge):
        await read(body_of(long), max_size=2 * MEBIBYTE - 1)


async def test_other_sources_have_no_limit_unless_told_so() -> None:
    long = b"x" * (MEBIBYTE + 1)
    assert await bytes_reader(pieces(long)) == long
    with pytest.raises(web.HTTPRequestEntityTooLarge):
        await bytes_reader(pieces(b"four", b"five!"), max_size=8)
    assert await bytes_reader(pieces(b"four", b"five"), max_size=8) == b"fourfive"


async def test_reading_stops_at_the_limit() -> None:
    asked: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            asked.append(1)
            yield b"x" * 10

    with pytest.raises(web.HTTPRequestEntityTooLarge):
        await bytes_reader(endless(), max_size=25)
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("max_size", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError)]
)
@pytest.mark.parametrize("read", [bytes_reader, text_reader])
async def test_max_size_is_checked(read: Any, max_size: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="max_size"):
        await read(pieces(b""), max_size=max_size)


async def test_text_reader_joins_characters() -> None:
    euro = "€".encode()
    assert await text_reader(pieces(b"10 ", euro[:1], euro[1:2], euro[2:])) == "10 €"


async def test_text_reader_knows_other_encodings() -> None:
    assert await text_reader(pieces(b"caf\xe9"), "latin-1") == "café"
    assert await text_reader(pieces(b"caf\xe9"), encoding="latin-1") == "café"
    assert await text_reader(pieces(b"\xff", b"\xfea", b"\0"), "utf-16") == "a"


@pytest.mark.parametrize("data", [b"10 \xe2\x82", b"\xe2", b"a\xffb"])
async def test_text_reader_reports_what_is_no_text(data: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        await text_reader(pieces(data))


@pytest.mark.parametrize("encoding", ["klingon", "hex", "rot13"])
async def test_text_reader_looks_for_the_encoding_first(encoding: str) -> None:
    source = pieces(b"left alone")
    with pytest.raises(LookupError):
        await text_reader(source, encoding)
    assert await anext(source) == b"left alone"


async def test_bodies_of_requests_are_read_from_the_wire() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/text":
            return web.Response(text=await text_reader(request.content, max_size=8))
        return web.Response(body=await bytes_reader(request.content))

    async with serving(handler) as served, Peer.connect(served.port) as peer:
        answer = await peer.ask(request("POST", "/", body=b"one\ntwo\n\xff"))
        assert (answer.status, answer.body) == (200, b"one\ntwo\n\xff")
        answer = await peer.ask(request("POST", "/text", body="café".encode()))
        assert (answer.status, answer.body) == (200, "café".encode())
        chunked = b"4\r\nabcd\r\n4\r\nefgh\r\n1\r\ni\r\n0\r\n\r\n"
        await peer.send(request("POST", "/text", "Transfer-Encoding: chunked") + chunked)
        assert (await peer.answer()).status == 413


# Writing.


@pytest.mark.parametrize(
    ("chunk_size", "expected"),
    [
        (-1, [b"abcdefg"]),
        (1, [b"a", b"b", b"c", b"d", b"e", b"f", b"g"]),
        (3, [b"abc", b"def", b"g"]),
        (7, [b"abcdefg"]),
        (100, [b"abcdefg"]),
    ],
)
async def test_writers_cut_slices(chunk_size: int, expected: list[bytes]) -> None:
    assert await collected(bytes_writer(b"abcdefg", chunk_size)) == expected
    assert await collected(bytes_writer(b"abcdefg", chunk_size=chunk_size)) == expected
    assert await collected(text_writer("abcdefg", chunk_size=chunk_size)) == expected
    assert await collected(text_writer("abcdefg", "ascii", chunk_size)) == expected


async def test_writers_have_one_chunk_by_default() -> None:
    assert await collected(bytes_writer(b"abc")) == [b"abc"]
    assert await collected(text_writer("äöü")) == ["äöü".encode()]


async def test_of_nothing_there_are_no_slices() -> None:
    assert await collected(bytes_writer(b"", 4)) == []
    assert await collected(text_writer("", chunk_size=4)) == []
    assert await collected(bytes_writer(b"")) == [b""]
    assert await collected(text_writer("")) == [b""]


async def test_bytes_writer_keeps_what_it_was_given() -> None:
    data = bytearray(b"abcd")
    stream = bytes_writer(data, 2)
    data[:] = b"wxyz"
    assert await collected(stream) == [b"ab", b"cd"]
    assert await collected(bytes_writer(memoryview(b"abcd")[1:], 2)) == [b"bc", b"d"]


async def test_text_is_cut_by_characters() -> None:
    assert await collected(text_writer("aä€😀", chunk_size=2)) == ["aä".encode(), "€😀".encode()]


async def test_a_byte_order_mark_comes_once() -> None:
    chunks = await collected(text_writer("abc", "utf-16", 1))
    assert len(chunks) == 3
    assert b"".join(chunks) == "abc".encode("utf-16")
    assert await collected(text_writer("ab", "utf-8-sig", 1)) == [codecs.BOM_UTF8 + b"a", b"b"]


@pytest.mark.parametrize("chunk_size", [-1, 1, 2, 3])
async def test_what_ends_an_encoding_is_sent(chunk_size: int) -> None:
    """ISO-2022-JP leaves its double-byte mode in the end, and UTF-7 keeps bits back."""
    for encoding in ("iso2022-jp", "utf-7"):
        chunks = await collected(text_writer("日本", encoding, chunk_size))
        assert b"".join(chunks).decode(encoding) == "日本"
    assert (
        b"".join(await collected(text_writer("日本", "iso2022-jp", chunk_size)))[-3:] == b"\x1b(B"
    )


@pytest.mark.parametrize(
    ("chunk_size", "error"),
    [(0, ValueError), (-2, ValueError), (2.0, TypeError), (True, TypeError), (None, TypeError)],
)
def test_writers_check_the_size_when_called(chunk_size: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="chunk_size"):
        bytes_writer(b"abc", chunk_size)
    with pytest.raises(error, match="chunk_size"):
        text_writer("abc", "utf-8", chunk_size)


def test_writers_check_what_they_send_when_called() -> None:
    text: Any = "text"
    with pytest.raises(TypeError, match="data must be bytes-like, not str"):
        bytes_writer(text)
    data: Any = b"data"
    with pytest.raises(TypeError, match="text must be a str, not bytes"):
        text_writer(data)
    with pytest.raises(LookupError):
        text_writer("abc", "klingon")
    with pytest.raises(LookupError):
        text_writer("abc", "hex")


async def test_text_that_the_encoding_does_not_know() -> None:
    with pytest.raises(UnicodeEncodeError):
        await collected(text_writer("€", "latin-1"))


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_writers_are_bodies(version: str) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=text_writer("This is not a test", chunk_size=4))

    async with serving(handler) as served, Peer.connect(served.port) as peer:
        await peer.send(request(version=version))
        head = await peer.read_head()
        if version == "1.0":
            assert b"Transfer-Encoding" not in head
            assert await peer.read_eof() == b"This is not a test"
            return
        assert b"Transfer-Encoding: chunked" in head
        wire = await peer.reader.readuntil(b"0\r\n\r\n")
        assert wire.count(b"4\r\n") == 4
        assert b"".join(wire.split(b"\r\n")[1::2]) == b"This is not a test"


# There and back again.


@given(st.binary(), st.integers(1, 20) | st.just(-1))
def test_bytes_come_back(data: bytes, chunk_size: int) -> None:
    async def check() -> None:
        assert await bytes_reader(bytes_writer(data, chunk_size)) == data
        sizes = [len(piece) async for piece in bytes_writer(data, chunk_size)]
        if chunk_size > 0:
            assert all(size == chunk_size for size in sizes[:-1])
            assert all(0 < size <= chunk_size for size in sizes[-1:])

    asyncio.run(check())


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(1, 20) | st.just(-1),
    st.sampled_from(["utf-8", "utf-16", "utf-32-be", "utf-7"]),
    st.integers(1, 5),
)
def test_text_comes_back(text: str, chunk_size: int, encoding: str, cut: int) -> None:
    async def check() -> None:
        encoded = await bytes_reader(text_writer(text, encoding, chunk_size))
        if text and encoding != "utf-7":  # which may end a sequence early
            assert encoded == text.encode(encoding)
        assert await text_reader(bytes_writer(encoded, cut), encoding) == text

    asyncio.run(check())
