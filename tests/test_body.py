"""The body as a stream: every read, whatever comes in which pieces, and what the connection is told."""

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lowlevel as web
from lowlevel.body import EMPTY_PAYLOAD, StreamReader

DEADLINE = 5.0


class Source:
    """Notes what the body asks of its connection."""

    def __init__(self) -> None:
        self.paused = False
        self.calls: list[str] = []
        self.wanted = 0

    def body_wanted(self) -> None:
        self.wanted += 1

    def pause_body(self) -> None:
        self.calls.append("pause")
        self.paused = True

    def resume_body(self) -> None:
        self.calls.append("resume")
        self.paused = False


def made_of(*pieces: bytes, eof: bool = True, limit: int = 2**16) -> StreamReader:
    stream = StreamReader(Source(), limit)
    for piece in pieces:
        stream.feed_data(piece)
    if eof:
        stream.feed_eof()
    return stream


async def soon(read: Awaitable[Any]) -> Any:
    async with asyncio.timeout(DEADLINE):
        return await read


async def waiting(read: Any) -> asyncio.Task[Any]:
    """Start a read, and see that it waits."""
    task = asyncio.ensure_future(read)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not task.done(), f"did not wait: {task!r}"
    return task


# --- Every read --------------------------------------------------------------------------------


async def test_read_everything() -> None:
    stream = made_of(b"one", b"two")
    assert await stream.read() == b"onetwo"
    assert await stream.read() == b""
    assert await stream.read(-1) == b""


async def test_read_everything_waits_for_the_end() -> None:
    stream = made_of(b"one", eof=False)
    task = await waiting(stream.read())
    stream.feed_data(b"two")
    await asyncio.sleep(0)
    assert not task.done()
    stream.feed_eof()
    assert await soon(task) == b"onetwo"


async def test_read_some() -> None:
    stream = made_of(b"abcdef", b"gh", eof=False)
    assert await stream.read(2) == b"ab"
    assert await stream.read(5) == b"cdefg"
    assert await stream.read(5) == b"h"
    task = await waiting(stream.read(5))
    stream.feed_data(b"i")
    assert await soon(task) == b"i"
    stream.feed_eof()
    assert await stream.read(5) == b""


async def test_read_nothing() -> None:
    stream = made_of(eof=False)
    assert await soon(stream.read(0)) == b""


async def test_readany() -> None:
    stream = made_of(b"ab", b"cd", eof=False)
    assert await stream.readany() == b"abcd"
    task = await waiting(stream.readany())
    stream.feed_data(b"e")
    stream.feed_data(b"f")
    assert await soon(task) == b"ef"
    stream.feed_eof()
    assert await stream.readany() == b""


async def test_readexactly() -> None:
    stream = made_of(b"abc", eof=False)
    assert await stream.readexactly(2) == b"ab"
    assert await stream.readexactly(0) == b""
    task = await waiting(stream.readexactly(3))
    stream.feed_data(b"d")
    await asyncio.sleep(0)
    stream.feed_data(b"ef")
    assert await soon(task) == b"cde"
    task = await waiting(stream.readexactly(3))
    stream.feed_eof()
    with pytest.raises(asyncio.IncompleteReadError) as caught:
        await soon(task)
    assert caught.value.partial == b"f" and caught.value.expected == 3
    assert stream.at_eof()


async def test_readexactly_of_less_than_nothing() -> None:
    with pytest.raises(ValueError, match="less than zero"):
        await made_of(b"abc").readexactly(-1)


async def test_readline() -> None:
    stream = made_of(b"one\ntw", b"o\n", b"\nrest")
    assert [await stream.readline() for _ in range(5)] == [b"one\n", b"two\n", b"\n", b"rest", b""]


async def test_readuntil_a_separator_in_pieces() -> None:
    stream = made_of(b"a-", eof=False)
    task = await waiting(stream.readuntil(b"--=="))
    for piece in (b"-", b"-", b"=", b"=", b"b"):
        stream.feed_data(piece)
        await asyncio.sleep(0)
    assert await soon(task) == b"a---=="
    stream.feed_data(b"--=")
    task = await waiting(stream.readuntil(b"--=="))
    stream.feed_eof()
    assert await soon(task) == b"b--="
    assert await stream.readuntil(b"x") == b""


@pytest.mark.parametrize("cut", range(1, 4))
async def test_readuntil_a_separator_between_large_pieces(cut: int) -> None:
    one, two = b"x" * 100 + b"--=="[:cut], b"--=="[cut:] + b"y" * 100
    stream = made_of(b"first", one, two)
    assert await stream.readexactly(5) == b"first"
    assert await stream.readuntil(b"--==") == b"x" * 100 + b"--=="
    assert await stream.read() == b"y" * 100


async def test_readuntil_nothing() -> None:
    with pytest.raises(ValueError, match="at least one-byte"):
        await made_of(b"abc").readuntil(b"")


async def test_a_line_that_is_too_long_is_not_lost() -> None:
    stream = made_of(b"x" * 30, b"\n", limit=10)
    with pytest.raises(ValueError, match="too big"):
        await stream.readline()
    assert await stream.read() == b"x" * 30 + b"\n"


async def test_a_line_without_end_is_given_up_at_the_high_mark() -> None:
    stream = made_of(eof=False, limit=10)
    task = await waiting(stream.readline())
    stream.feed_data(b"x" * 20)
    await asyncio.sleep(0)
    assert not task.done()
    stream.feed_data(b"x")
    with pytest.raises(ValueError, match="too big"):
        await soon(task)


async def test_limits_of_one_line() -> None:
    stream = made_of(b"12345\n12345\nabc", limit=10)
    assert await stream.readline(max_line_length=6) == b"12345\n"
    with pytest.raises(ValueError, match="too big"):
        await stream.readline(max_line_length=5)
    assert await stream.readuntil(b"3", max_size=3) == b"123"
    wide = made_of(b"x" * 100 + b"\n", limit=10)
    assert len(await wide.readuntil(max_size=200)) == 101


async def test_read_nowait() -> None:
    stream = made_of(b"abc", b"def", eof=False)
    assert stream.read_nowait(2) == b"ab"
    assert stream.read_nowait() == b"cdef"
    assert stream.read_nowait() == b""
    task = await waiting(stream.readany())
    with pytest.raises(RuntimeError, match="waiting"):
        stream.read_nowait()
    stream.feed_data(b"g")
    assert await soon(task) == b"g"


async def test_iteration() -> None:
    assert [line async for line in made_of(b"a\nb", b"\nc")] == [b"a\n", b"b\n", b"c"]
    assert [part async for part in made_of(b"abcdefg").iter_chunked(3)] == [b"abc", b"def", b"g"]
    assert [part async for part in made_of(b"ab", b"cd").iter_any()] == [b"abcd"]
    assert [part async for part in made_of(b"ab", b"cd").iter_chunks()] == [(b"abcd", False)]
    for nothing in (made_of(), EMPTY_PAYLOAD):
        assert [line async for line in nothing] == []
        assert [part async for part in nothing.iter_chunked(3)] == []
        assert [part async for part in nothing.iter_any()] == []
        assert [part async for part in nothing.iter_chunks()] == []


@pytest.mark.parametrize("piece", [b"\n", b"a\n" * 100], ids=len)
async def test_many_lines_leave_turns_to_others(piece: bytes) -> None:
    """Though all of them are there."""
    lines = longest = turns = 0

    async def other() -> None:
        nonlocal lines, longest, turns
        while True:
            longest, lines, turns = max(longest, lines), 0, turns + 1
            await asyncio.sleep(0)

    stream = made_of(*[piece] * (20_000 // len(piece)))
    task = asyncio.create_task(other())
    async for _ in stream:
        lines += 1
    task.cancel()
    assert turns >= 5
    assert longest <= 1000


def model_of_readuntil(text: bytes, separator: bytes, limit: int) -> bytes | None:
    """What is read, slowly; None if it is too long."""
    place = text.find(separator)
    found = text[: place + len(separator)] if place >= 0 else text
    return found if len(found) <= limit else None


@given(
    st.lists(st.text("ab-", max_size=6).map(str.encode), max_size=8),
    st.sampled_from([b"-", b"--", b"-a", b"aba", b"a-a-"]),
    st.lists(st.integers(0, 4), max_size=8),
    st.integers(1, 20),
)
def test_readuntil_wherever_the_separator_is(
    pieces: list[bytes], separator: bytes, skips: list[int], limit: int
) -> None:
    async def run() -> None:
        stream = made_of(eof=False)
        # As they are, where feed_data() would join what is small.
        for piece in filter(None, pieces):
            stream._chunks.append(piece)
            stream._size += len(piece)
            stream.total_bytes += len(piece)
        stream.feed_eof()
        rest = b"".join(pieces)
        for skip in [0, *skips]:
            assert await stream.read(skip) == rest[:skip]
            rest = rest[skip:]
            expected = model_of_readuntil(rest, separator, limit)
            if expected is None:
                with pytest.raises(ValueError, match="too big"):
                    await stream.readuntil(separator, max_size=limit)
            else:
                assert await stream.readuntil(separator, max_size=limit) == expected
                rest = rest[len(expected) :]
        assert await stream.read() == rest

    asyncio.run(run())


async def test_state() -> None:
    stream = made_of(b"abc", eof=False)
    assert (stream.is_eof(), stream.at_eof(), stream.total_bytes) == (False, False, 3)
    stream.feed_eof()
    assert (stream.is_eof(), stream.at_eof()) == (True, False)
    await stream.read(2)
    assert not stream.at_eof()
    await stream.read(2)
    assert (stream.is_eof(), stream.at_eof(), stream.total_bytes) == (True, True, 3)
    assert stream.exception() is None
    assert made_of().at_eof()


async def test_an_empty_piece_changes_nothing() -> None:
    stream = made_of(b"", b"", eof=False)
    await waiting(stream.readany())
    stream = made_of(b"")
    assert stream.at_eof()


async def test_repr() -> None:
    stream = made_of(b"abc", eof=False)
    assert repr(stream) == "<StreamReader 3 bytes>"
    stream.set_exception(ValueError("x"))
    assert repr(stream) == "<StreamReader 0 bytes e=ValueError('x')>"
    assert repr(made_of()) == "<StreamReader eof>"


async def test_trailers() -> None:
    stream = made_of(b"abc", eof=False)
    assert stream.trailers == []
    stream.feed_eof([(b"X-Sum", b"1")])
    assert stream.trailers == [(b"X-Sum", b"1")]


# --- Chunks of a chunked body (RFC 9112 §7.1) ----------------------------------------------------


def chunked(*chunks: bytes) -> StreamReader:
    stream = StreamReader(Source(), 2**16)
    for chunk in chunks:
        stream.feed_data(chunk)
        stream.end_chunk()
    stream.end_chunk()  # of the last chunk, which is empty
    stream.feed_eof()
    return stream


async def test_chunks_come_one_by_one() -> None:
    chunks = [part async for part in chunked(b"one", b"two", b"three").iter_chunks()]
    assert chunks == [(b"one", True), (b"two", True), (b"three", True)]


async def test_readchunk_at_the_end() -> None:
    stream = chunked(b"one")
    assert [await stream.readchunk() for _ in range(3)] == [
        (b"one", True),
        (b"", False),
        (b"", False),
    ]


async def test_a_chunk_in_pieces() -> None:
    stream = made_of(b"on", eof=False)
    assert await stream.readchunk() == (b"on", False)
    stream.feed_data(b"e")
    stream.end_chunk()
    assert await stream.readchunk() == (b"e", True)


async def test_the_end_of_a_chunk_comes_alone() -> None:
    stream = made_of(b"one", eof=False)
    assert await stream.readchunk() == (b"one", False)
    stream.end_chunk()
    assert await soon(stream.readchunk()) == (b"", True)
    stream.feed_data(b"two")
    stream.end_chunk()
    assert await stream.readchunk() == (b"two", True)


async def test_the_end_of_a_chunk_wakes_who_waits_for_it() -> None:
    stream = made_of(b"one", eof=False)
    assert await stream.readchunk() == (b"one", False)
    task = await waiting(stream.readchunk())
    stream.end_chunk()
    assert await soon(task) == (b"", True)


async def test_the_end_of_a_chunk_wakes_nobody_else() -> None:
    stream = made_of(b"one", eof=False)
    assert await stream.readany() == b"one"
    task = await waiting(stream.readany())
    stream.end_chunk()
    await asyncio.sleep(0)
    assert not task.done()
    stream.feed_data(b"two")
    assert await soon(task) == b"two"


async def test_ends_that_were_read_past_are_forgotten() -> None:
    stream = chunked(b"one", b"two", b"three")
    assert await stream.readexactly(4) == b"onet"
    assert await stream.readchunk() == (b"wo", True)
    assert await stream.readchunk() == (b"three", True)


async def test_an_end_that_was_read_up_to_is_still_told() -> None:
    stream = chunked(b"one", b"two")
    assert await stream.readexactly(3) == b"one"
    assert [part async for part in stream.iter_chunks()] == [(b"", True), (b"two", True)]


async def test_ends_after_a_read_of_everything_was_cancelled() -> None:
    stream = made_of(eof=False)
    task = await waiting(stream.read())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for chunk in (b"one", b"two"):
        stream.feed_data(chunk)
        stream.end_chunk()
    stream.feed_eof()
    assert [part async for part in stream.iter_chunks()] == [(b"one", True), (b"two", True)]


async def test_ends_do_not_pile_up() -> None:
    """A reader that always leaves a byte must not make the server remember every chunk there was."""
    stream = made_of(b"x", eof=False)
    for _ in range(1000):
        stream.feed_data(b"y" * 100)
        stream.end_chunk()
        await stream.readexactly(100)
    assert len(stream._ends) <= 2


async def test_a_read_of_everything_keeps_no_ends() -> None:
    stream = made_of(eof=False)
    task = await waiting(stream.read())
    for _ in range(1000):
        stream.feed_data(b"y")
        stream.end_chunk()
    assert not stream._ends
    stream.feed_eof()
    assert await soon(task) == b"y" * 1000


async def test_ends_after_a_long_read_are_kept() -> None:
    stream = made_of(eof=False)
    task = await waiting(stream.readexactly(5))
    for _ in range(4):
        stream.feed_data(b"yy")
        stream.end_chunk()
    stream.feed_eof()
    assert await soon(task) == b"yyyyy"
    assert [part async for part in stream.iter_chunks()] == [(b"y", True), (b"yy", True)]


# --- Anything in any order -----------------------------------------------------------------------

READS: dict[str, Callable[[StreamReader, int], Awaitable[Any]]] = {
    "read": lambda stream, n: stream.read(n),
    "readany": lambda stream, n: stream.readany(),
    "readexactly": lambda stream, n: stream.readexactly(n),
    "readline": lambda stream, n: stream.readline(),
    "readuntil": lambda stream, n: stream.readuntil(b"ab"),
    "readchunk": lambda stream, n: stream.readchunk(),
    "read_nowait": lambda stream, n: asyncio.sleep(0, stream.read_nowait(n)),
    "unread": lambda stream, n: unread(stream, n),
    "cancelled": lambda stream, n: cancelled(stream, n),
}


async def unread(stream: StreamReader, n: int) -> bytes:
    data = stream.read_nowait(n)
    with pytest.warns(DeprecationWarning):
        stream.unread_data(data)
    return b""


async def cancelled(stream: StreamReader, n: int) -> bytes:
    task = asyncio.ensure_future(stream.readexactly(stream.total_bytes + n))
    await asyncio.sleep(0)
    task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return b""
    except asyncio.IncompleteReadError as exc:
        return exc.partial


@settings(max_examples=300, deadline=None)
@given(
    pieces=st.lists(
        st.one_of(
            st.none(),
            st.text("ab\nc", min_size=1, max_size=12).map(str.encode),
            st.integers(60, 9000).map(lambda size: b"abc\n" * (size // 4)),
        ),
        max_size=20,
    ),
    reads=st.lists(st.tuples(st.sampled_from(sorted(READS)), st.integers(0, 200)), max_size=40),
    limit=st.sampled_from([1, 10, 100, 2**16]),
    together=st.integers(1, 5),
)
def test_any_feeding_and_any_reading_gives_the_same_bytes(
    pieces: list[bytes | None], reads: list[tuple[str, int]], limit: int, together: int
) -> None:
    """None ends a chunk. The client sends ``together`` pieces a turn, as long as it may."""
    whole = b"".join(piece for piece in pieces if piece)
    got: list[bytes] = []

    async def feed(stream: StreamReader, source: Source) -> None:
        for number, piece in enumerate(pieces):
            if piece is None:
                stream.end_chunk()
            else:
                stream.feed_data(piece)
            while number % together == 0 and source.paused:
                await asyncio.sleep(0)
        stream.feed_eof()

    async def main() -> None:
        source = Source()
        stream = StreamReader(source, limit)
        feeder = asyncio.ensure_future(feed(stream, source))
        async with asyncio.timeout(DEADLINE):
            for name, n in reads:
                try:
                    data = await READS[name](stream, n)
                except asyncio.IncompleteReadError as exc:
                    assert stream.at_eof()
                    data = exc.partial
                except ValueError:
                    assert name in ("readline", "readuntil")
                    continue
                got.append(data[0] if isinstance(data, tuple) else data)
            got.append(await stream.read())
            await feeder
        assert b"".join(got) == whole
        assert stream.at_eof() and stream.total_bytes == len(whole)
        assert not stream._ends or stream._ends == type(stream._ends)([len(whole)])

    asyncio.run(main())


@settings(max_examples=150, deadline=None)
@given(
    chunks=st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=12),
    cuts=st.lists(st.integers(1, 50), min_size=1, max_size=10),
)
def test_readchunk_finds_every_chunk_however_it_was_cut(
    chunks: list[bytes], cuts: list[int]
) -> None:
    async def feed(stream: StreamReader) -> None:
        step = 0
        for chunk in chunks:
            while chunk:
                size = cuts[step % len(cuts)]
                step += 1
                stream.feed_data(chunk[:size])
                chunk = chunk[size:]
                if size % 2:
                    await asyncio.sleep(0)
            stream.end_chunk()
            if step % 3 == 0:
                await asyncio.sleep(0)
        stream.end_chunk()
        stream.feed_eof()

    async def main() -> None:
        stream = StreamReader(Source(), 2**16)
        feeder = asyncio.ensure_future(feed(stream))
        found, part = [], b""
        async with asyncio.timeout(DEADLINE):
            async for data, end in stream.iter_chunks():
                part += data
                if end:
                    found.append(part)
                    part = b""
            await feeder
        assert (found, part) == (chunks, b"")

    asyncio.run(main())


# --- One reader, cancellation ---------------------------------------------------------------------

WAITING_READS = {
    "read": lambda stream: stream.read(),
    "read(n)": lambda stream: stream.read(3),
    "readany": lambda stream: stream.readany(),
    "readexactly": lambda stream: stream.readexactly(50),
    "readline": lambda stream: stream.readline(),
    "readuntil": lambda stream: stream.readuntil(b"=="),
    "readchunk": lambda stream: stream.readchunk(),
    "read_whole": lambda stream: stream.read_whole(100),
    "async for": lambda stream: anext(aiter(stream)),
    "iter_any": lambda stream: anext(stream.iter_any()),
    "iter_chunked": lambda stream: anext(stream.iter_chunked(3)),
    "iter_chunks": lambda stream: anext(stream.iter_chunks()),
}
every_read = pytest.mark.parametrize("read", WAITING_READS.values(), ids=WAITING_READS)


@every_read
async def test_a_second_read_at_once_is_refused(read: Any) -> None:
    stream = made_of(eof=False)
    first = await waiting(stream.readexactly(5))
    stream.feed_data(b"abc")
    with pytest.raises(RuntimeError, match="already waiting"):
        await read(stream)
    stream.feed_data(b"de")
    assert await soon(first) == b"abcde"


@every_read
async def test_a_cancelled_read_loses_nothing(read: Any) -> None:
    stream = made_of(eof=False)
    task = await waiting(read(stream))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    stream.feed_data(b"abc")
    stream.feed_eof()
    assert await soon(stream.read()) == b"abc"


@pytest.mark.parametrize("name", ["read", "readexactly", "readline", "readuntil", "read_whole"])
async def test_a_read_cancelled_in_the_middle_loses_nothing(name: str) -> None:
    stream = made_of(b"ab", eof=False)
    task = await waiting(WAITING_READS[name](stream))
    stream.feed_data(b"cd")
    await asyncio.sleep(0)
    stream.feed_data(b"ef")
    task.cancel()  # after it was woken, before it ran
    with pytest.raises(asyncio.CancelledError):
        await task
    stream.feed_eof()
    assert await soon(stream.read()) == b"abcdef"


@every_read
async def test_a_timeout_leaves_the_stream_usable(read: Any) -> None:
    stream = made_of(eof=False)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await read(stream)
    stream.feed_data(b"abc")
    assert await soon(stream.readany()) == b"abc"


# --- Errors ---------------------------------------------------------------------------------------


@every_read
async def test_an_error_wakes_who_waits_and_stays(read: Any) -> None:
    stream = made_of(eof=False)
    task = await waiting(read(stream))
    error = ConnectionResetError("gone")
    stream.set_exception(error)
    with pytest.raises(ConnectionResetError) as caught:
        await soon(task)
    assert caught.value is error and stream.exception() is error
    with pytest.raises(ConnectionResetError):
        await read(stream)
    with pytest.raises(ConnectionResetError):
        stream.read_nowait()
    with pytest.raises(ConnectionResetError):
        await stream.read(0)


@every_read
async def test_an_error_drops_what_nobody_read(read: Any) -> None:
    stream = chunked(b"abc", b"def\n")
    stream.set_exception(web.PayloadAccessError("late"))
    with pytest.raises(web.PayloadAccessError):
        await read(stream)


# --- The end of the body ---------------------------------------------------------------------------


async def test_wait_eof_reads_nothing() -> None:
    stream = made_of(b"ab", eof=False, limit=10)
    task = await waiting(stream.wait_eof())
    stream.feed_data(b"c" * 100)
    source = stream._source
    assert isinstance(source, Source) and source.paused, "unlimited data would be buffered"
    assert await stream.readany() == b"ab" + b"c" * 100, "somebody else may read meanwhile"
    stream.feed_eof()
    await soon(task)
    await soon(stream.wait_eof())


async def test_two_may_wait_for_the_end_and_one_may_leave() -> None:
    stream = made_of(eof=False)
    one, other = await waiting(stream.wait_eof()), await waiting(stream.wait_eof())
    one.cancel()
    with pytest.raises(asyncio.CancelledError):
        await one
    stream.feed_eof()
    await soon(other)


async def test_wait_eof_learns_of_errors() -> None:
    stream = made_of(eof=False)
    task = await waiting(stream.wait_eof())
    stream.set_exception(ConnectionResetError("gone"))
    with pytest.raises(ConnectionResetError):
        await soon(task)
    with pytest.raises(ConnectionResetError):
        await stream.wait_eof()


async def test_on_eof() -> None:
    stream, calls = made_of(eof=False), []
    stream.on_eof(lambda: calls.append(1))
    assert not calls
    stream.feed_eof()
    stream.on_eof(lambda: calls.append(2))
    assert calls == [1, 2]
    failed = made_of(eof=False)
    failed.on_eof(lambda: calls.append(3))
    failed.set_exception(ValueError())
    failed.feed_eof()
    assert calls == [1, 2]


# --- Back pressure --------------------------------------------------------------------------------


async def test_marks() -> None:
    source = Source()
    stream = StreamReader(source, 1000)
    stream.feed_data(b"x" * 1900)
    assert not source.paused
    stream.feed_data(b"x" * 100)
    assert source.paused and source.calls == ["pause"]
    stream.feed_data(b"x" * 500)  # was under way
    assert source.calls == ["pause"]
    await stream.readexactly(1400)
    assert source.paused
    await stream.readexactly(400)
    assert source.calls == ["pause", "resume"]
    stream.feed_data(b"x" * 2000)
    assert source.calls == ["pause", "resume", "pause"]


@pytest.mark.parametrize("limit", [1, 2, 10, 1000])
async def test_a_read_of_more_than_the_high_mark_gets_it(limit: int) -> None:
    source = Source()
    stream = StreamReader(source, limit)

    async def feed() -> None:
        for _ in range(10 * limit):
            while source.paused:
                await asyncio.sleep(0)
            stream.feed_data(b"xx")
        stream.feed_eof()

    feeder = asyncio.ensure_future(feed())
    assert len(await soon(stream.readexactly(15 * limit))) == 15 * limit
    assert len(await soon(stream.read())) == 5 * limit
    await soon(feeder)


async def test_after_a_long_read_the_marks_are_as_before() -> None:
    source = Source()
    stream = StreamReader(source, 1000)
    task = await waiting(stream.read())
    stream.feed_data(b"x" * 5000)
    assert not source.paused
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    stream.feed_data(b"x" * 1000)
    assert source.paused


async def test_who_waits_is_never_paused() -> None:
    source = Source()
    stream = StreamReader(source, 10)
    stream.feed_data(b"x" * 100)
    assert source.paused
    task = await waiting(stream.readexactly(200))
    assert not source.paused
    stream.feed_data(b"x" * 100)
    assert len(await soon(task)) == 200


async def test_the_end_leaves_the_connection_alone() -> None:
    source = Source()
    stream = StreamReader(source, 10)
    stream.feed_data(b"x" * 100)
    stream.feed_eof()
    calls = source.calls[:]
    assert len(await stream.read()) == 100
    assert source.calls == calls


async def test_a_read_that_waits_asks_for_the_body_and_another_does_not() -> None:
    source = Source()
    stream = StreamReader(source, 10)
    await stream.read(0)
    stream.read_nowait()
    assert not source.wanted
    task = await waiting(stream.readany())
    assert source.wanted == 1
    stream.feed_data(b"x")
    await soon(task)
    stream.feed_data(b"x")
    await stream.readany()
    assert source.wanted == 1


@pytest.mark.usefixtures("untraced")
async def test_tiny_pieces_cost_little() -> None:
    """A hundred thousand one-byte chunks, read at once: no more than a few times their size."""
    count = 100_000
    stream = StreamReader(Source(), 2**18)
    task = await waiting(stream.read())
    tracemalloc.start()
    try:
        for _ in range(count):
            stream.feed_data(b"x")
            stream.end_chunk()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * count
    stream.feed_eof()
    assert await soon(task) == b"x" * count


async def test_tiny_chunks_pause_the_client_early() -> None:
    source = Source()
    stream = StreamReader(source, 2**16)
    fed = 0
    while not source.paused:
        stream.feed_data(b"x")
        stream.end_chunk()
        fed += 1
    assert fed < 2**17 // 32
    assert await stream.readany() == b"x" * fed
    assert not source.paused


async def test_a_line_in_tiny_pieces_is_searched_once() -> None:
    """What was searched is not searched again: the work is counted, not timed."""
    searched = 0

    class Counted(bytes):
        def find(self, *args: Any) -> int:
            nonlocal searched
            searched += len(self)
            return super().find(*args)

    stream = made_of(eof=False)
    for _ in range(100):
        stream._chunks.append(Counted(b"x" * 5000))
        stream._size += 5000
        stream.total_bytes += 5000
    stream._high = 2**20
    task = await waiting(stream.readline())
    for _ in range(50):
        stream._chunks.append(Counted(b"x" * 5000))
        stream._size += 5000
        stream.total_bytes += 5000
        stream._wake()
        await asyncio.sleep(0)
    stream.feed_data(b"\n" * 100)
    assert len(await soon(task)) == 750_001
    assert searched <= 2 * 750_000


# --- unread_data ------------------------------------------------------------------------------------


async def test_unread_data() -> None:
    stream = made_of(b"abcdef", b"gh", eof=False)
    assert await stream.readexactly(3) == b"abc"
    with pytest.warns(DeprecationWarning, match="unread_data"):
        stream.unread_data(b"bc")
    assert await stream.read(4) == b"bcde"
    with pytest.warns(DeprecationWarning):
        stream.unread_data(b"")
    assert await stream.readany() == b"fgh"
    stream.feed_eof()
    with pytest.warns(DeprecationWarning):
        stream.unread_data(b"x")
    assert not stream.at_eof()
    assert await stream.read() == b"x"


async def test_unread_data_wakes_who_waits() -> None:
    stream = made_of(eof=False)
    task = await waiting(stream.readany())
    with pytest.warns(DeprecationWarning):
        stream.unread_data(b"x")
    assert await soon(task) == b"x"


# --- The body that is not there ---------------------------------------------------------------------


def frozen() -> list[Any]:
    return [
        repr(getattr(EMPTY_PAYLOAD, name))
        for cls in type(EMPTY_PAYLOAD).__mro__
        for name in getattr(cls, "__slots__", ())
    ]


async def test_empty_payload() -> None:
    before = frozen()
    empty = EMPTY_PAYLOAD
    assert isinstance(empty, web.StreamReader)
    assert await empty.read() == await empty.read(5) == await empty.readany() == b""
    assert await empty.readline() == await empty.readuntil(b"x") == empty.read_nowait() == b""
    assert await empty.readchunk() == (b"", False)
    assert await empty.read_whole(1) == b""
    assert await empty.readexactly(0) == b""
    with pytest.raises(asyncio.IncompleteReadError) as caught:
        await empty.readexactly(3)
    assert (caught.value.partial, caught.value.expected) == (b"", 3)
    assert (empty.is_eof(), empty.at_eof(), empty.total_bytes) == (True, True, 0)
    await empty.wait_eof()
    calls: list[int] = []
    empty.on_eof(lambda: calls.append(1))
    assert calls == [1]
    assert frozen() == before


async def test_empty_payload_cannot_be_changed() -> None:
    before = frozen()
    EMPTY_PAYLOAD.set_exception(ConnectionResetError("of one request only"))
    EMPTY_PAYLOAD.feed_eof([(b"X-Trailer", b"of one request only")])
    EMPTY_PAYLOAD.end_chunk()
    with pytest.raises(web.PayloadAccessError):
        EMPTY_PAYLOAD.feed_data(b"x")
    with pytest.raises(web.PayloadAccessError):
        EMPTY_PAYLOAD.unread_data(b"x")
    EMPTY_PAYLOAD.unread_data(b"")
    assert await EMPTY_PAYLOAD.read() == b""
    assert EMPTY_PAYLOAD.exception() is None
    assert EMPTY_PAYLOAD.trailers == []
    assert frozen() == before
