"""Decoders: everything that was encoded comes out, no more at once than was asked for, and garbage is refused."""

import contextlib
import gzip
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowlevel.protocol import content_coding
from lowlevel.protocol.content_coding import ContentCoding, ContentCodingError, load_zstd
from lowlevel.protocol.content_decoder import Decoder, decodable, make_decoder

DEFLATE, GZIP, BR, ZSTD, IDENTITY = ContentCoding
CODINGS = [GZIP, DEFLATE, BR, ZSTD]
zstd: Any = load_zstd()

PORTION = 16384


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


def gzip_members(data: bytes) -> bytes:
    half = len(data) // 2
    return gzip.compress(data[:half]) + gzip.compress(b"") + gzip.compress(data[half:])


def zstd_frames(data: bytes) -> bytes:
    half = len(data) // 2
    skippable = b"\x50\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    return bytes(zstd.compress(data[:half]) + skippable + zstd.compress(data[half:]))


ENCODE: dict[str, tuple[list[ContentCoding], Callable[[bytes], bytes]]] = {
    "gzip": ([GZIP], gzip.compress),
    "gzip members": ([GZIP], gzip_members),
    "deflate": ([DEFLATE], zlib.compress),
    "raw deflate": ([DEFLATE], raw_deflate),
    "br": ([BR], brotli.compress),
    "zstd": ([ZSTD], zstd.compress),
    "zstd frames": ([ZSTD], zstd_frames),
    "gzip in br": ([GZIP, BR], lambda data: brotli.compress(gzip.compress(data))),
    "zstd in gzip": ([ZSTD, GZIP], lambda data: gzip.compress(zstd.compress(data))),
    "gzip in gzip": ([GZIP, GZIP], lambda data: gzip.compress(gzip.compress(data))),
    "raw deflate in zstd": ([DEFLATE, ZSTD], lambda data: zstd.compress(raw_deflate(data))),
}


# Of deflate, and of zstd.
EMPTY_BLOCK = b"\0\0\0\xff\xff"
EMPTY_FRAME = b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00"
SKIPPED_FRAME = b"\x50\x2a\x4d\x18" + bytes(4)


def decoder_of(*codings: ContentCoding) -> Decoder:
    decoder = make_decoder(codings)
    assert decoder is not None
    return decoder


def take_all(decoder: Decoder, limit: int) -> bytes:
    parts = []
    while not decoder.empty:
        part = decoder.take(limit)
        assert len(part) <= limit
        parts.append(part)
    assert decoder.take(limit) == b""
    return b"".join(parts)


def decode(decoder: Decoder, data: bytes, portion: int = PORTION, limit: int = 65536) -> bytes:
    decoded = b""
    for start in range(0, len(data), portion):
        decoder.put(data[start : start + portion])
        decoded += take_all(decoder, limit)
    decoder.finish()
    return decoded


def contents() -> st.SearchStrategy[bytes]:
    return st.one_of(
        st.binary(max_size=300),
        st.builds(lambda piece, times: piece * times, st.binary(max_size=20), st.integers(0, 3000)),
    )


@pytest.mark.parametrize("name", ENCODE)
@given(data=contents(), portion=st.integers(1, 400), limit=st.integers(1, 70000))
def test_round_trip(name: str, data: bytes, portion: int, limit: int) -> None:
    codings, encode = ENCODE[name]
    limit = max(limit, len(data) // 200)
    assert decode(decoder_of(*codings), encode(data), portion, limit) == data


@pytest.mark.parametrize("name", ENCODE)
@pytest.mark.parametrize("limit", [1, 100, 1000, 65536])
def test_limits_around_buffers_of_the_libraries(name: str, limit: int) -> None:
    codings, encode = ENCODE[name]
    data = b"some text " * 200 if limit == 1 else (b"some text " * 20000 + os.urandom(40000))
    assert decode(decoder_of(*codings), encode(data), limit=limit) == data


@pytest.mark.parametrize("name", ENCODE)
def test_split_at_every_byte(name: str) -> None:
    codings, encode = ENCODE[name]
    data = b"content that is not too short " + bytes(range(64))
    encoded = encode(data)
    for cut in range(len(encoded) + 1):
        decoder = decoder_of(*codings)
        decoded = b""
        for part in (encoded[:cut], encoded[cut:]):
            decoder.put(part)
            decoded += take_all(decoder, 65536)
        decoder.finish()
        assert decoded == data, cut


@pytest.mark.parametrize("name", ENCODE)
def test_cut_short(name: str) -> None:
    codings, encode = ENCODE[name]
    whole = encode(b"content that is not too short " + bytes(range(64)))
    complete = [end for end in range(1, len(whole)) if _is_complete(codings, whole[:end])]
    # Behind each of three streams, the last of which is the end.
    assert len(complete) == (2 if name in ("gzip members", "zstd frames") else 0)


def _is_complete(codings: list[ContentCoding], data: bytes) -> bool:
    try:
        decode(decoder_of(*codings), data)
    except ContentCodingError:
        return False
    return True


@pytest.mark.parametrize("name", ENCODE)
def test_nothing_at_all_is_an_empty_body(name: str) -> None:
    assert decode(decoder_of(*ENCODE[name][0]), b"") == b""


@pytest.mark.parametrize("name", ENCODE)
@pytest.mark.parametrize("tail", [b"x", b"\0", b"trailing garbage", b"\0" * 512])
def test_trailing_garbage(name: str, tail: bytes) -> None:
    codings, encode = ENCODE[name]
    encoded = encode(b"content")
    with pytest.raises(ContentCodingError):
        decode(decoder_of(*codings), encoded + tail)
    with pytest.raises(ContentCodingError):
        decode(decoder_of(*codings), encoded + tail, portion=len(encoded))


@pytest.mark.parametrize("name", ENCODE)
@given(garbage=st.binary())
def test_garbage_raises_the_one_error(name: str, garbage: bytes) -> None:
    try:
        decode(decoder_of(*ENCODE[name][0]), garbage)
    except ContentCodingError as exc:
        assert str(exc)


@pytest.mark.parametrize("name", ENCODE)
@given(data=st.data())
def test_a_changed_byte(name: str, data: st.DataObject) -> None:
    codings, encode = ENCODE[name]
    encoded = bytearray(encode(b"content that is not too short " + bytes(range(64))))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(ContentCodingError):
        decode(decoder_of(*codings), bytes(encoded))


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress])
def test_checksum(encode: Callable[[bytes], bytes]) -> None:
    encoded = bytearray(encode(b"content"))
    encoded[-5 if encode is gzip.compress else -1] ^= 1
    with pytest.raises(ContentCodingError):
        decode(decoder_of(GZIP if encode is gzip.compress else DEFLATE), bytes(encoded))


BOMBS = {
    "gzip": ([GZIP], lambda: gzip.compress(bytes(1 << 24))),
    "br": ([BR], lambda: brotli.compress(bytes(1 << 24), quality=5)),
    "zstd": ([ZSTD], lambda: zstd.compress(bytes(1 << 24))),
    "gzip in gzip": ([GZIP, GZIP], lambda: gzip.compress(gzip.compress(bytes(1 << 24)))),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_goes_off_in_steps(name: str) -> None:
    codings, make = BOMBS[name]
    decoder = decoder_of(*codings)
    bomb = make()
    assert len(bomb) < 20000
    decoder.put(bomb[:PORTION])
    sizes = [len(decoder.take(65536)) for _ in range(40)]
    assert max(sizes) <= 65536
    assert sum(sizes) < 40 * 65536 + 1
    assert not decoder.empty


def test_a_bomb_of_nothing_between_two_codings() -> None:
    """What inflates to empty members costs work in proportion to what never comes out."""
    inner = gzip.compress(b"") * 400_000
    bomb = gzip.compress(inner)
    decoder = decoder_of(GZIP, GZIP)
    with pytest.raises(ContentCodingError, match="very many streams"):
        decode(decoder, bomb)


def test_a_bomb_of_nothing_in_one_stream_between_two_codings() -> None:
    inner = b"\x78\x9c" + EMPTY_BLOCK * (1 << 20)
    with pytest.raises(ContentCodingError, match="much shorter than its coding"):
        decode(decoder_of(DEFLATE, GZIP), gzip.compress(inner))


@pytest.mark.parametrize(
    ("coding", "member"),
    [(GZIP, gzip.compress(b"", mtime=0)), (ZSTD, SKIPPED_FRAME)],
)
def test_many_empty_members_are_taken_in_steps(coding: ContentCoding, member: bytes) -> None:
    decoder = decoder_of(coding)
    decoder.put(member * 64)
    calls = 0
    while not decoder.empty:
        assert decoder.take(65536) == b""
        calls += 1
    decoder.finish()
    assert calls >= 2


def test_zstd_window_is_bounded() -> None:
    """A frame that asks for more than 8 MiB is refused (RFC 9659 §3)."""
    for log, accepted in ((23, True), (24, False)):
        compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: log})
        encoded = compressor.compress(b"a" * 100) + compressor.compress(b"b") + compressor.flush()
        assert _is_complete([ZSTD], encoded) is accepted


def test_deflate_tells_zlib_from_raw() -> None:
    # A stored block, as raw deflate without compression begins.
    assert decode(decoder_of(DEFLATE), zlib.compress(b"abc", 0, wbits=-15), portion=1) == b"abc"
    for bits in range(9, 16):
        assert decode(decoder_of(DEFLATE), zlib.compress(b"abc", wbits=bits)) == b"abc"


def test_decodable() -> None:
    assert decodable() == (GZIP, DEFLATE, BR, ZSTD)


@pytest.fixture
def no_extra(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    def forget() -> None:
        content_coding.load_brotli.cache_clear()
        content_coding.load_zstd.cache_clear()

    forget()
    for name in ("brotli", "brotlicffi", "backports.zstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    yield monkeypatch
    forget()


@pytest.mark.usefixtures("no_extra")
def test_without_the_extra() -> None:
    assert make_decoder([BR]) is None
    assert make_decoder([GZIP, ZSTD]) is None
    assert make_decoder([GZIP]) is not None
    assert decodable() == (GZIP, DEFLATE)


def test_a_brotli_that_cannot_be_stopped_is_not_used(no_extra: pytest.MonkeyPatch) -> None:
    class Old:
        class Decompressor:
            process = None

    no_extra.setitem(sys.modules, "brotli", Old)
    assert content_coding.load_brotli() is Old
    assert make_decoder([BR]) is None


# --- What would cost far more than it is worth ---------------------------------------------------


def brotli_of(window_bits: int, data: bytes) -> bytes:
    return brotli.compress(data, quality=5, lgwin=window_bits)


@pytest.mark.parametrize("bits", range(10, 25))
def test_br_window_is_bounded(bits: int) -> None:
    """The library would provide 16 MiB for 50 bytes (RFC 7932 §9.1)."""
    encoded = brotli_of(bits, bytes(1 << 25))
    decoder = decoder_of(BR)
    for byte in (encoded[:1], encoded[1:]):
        decoder.put(byte)
        if bits > 22:
            with pytest.raises(ContentCodingError, match="window"):
                decoder.take(65536)
            return
        taken = decoder.take(65536)
    assert taken == bytes(65536)


def test_br_windows_that_do_not_exist() -> None:
    # The code that RFC 7932 §9.1 calls invalid, which is an extension of the library.
    with pytest.raises(ContentCodingError, match="bad br data"):
        decode(decoder_of(BR), b"\x11" + bytes(20))


def test_what_is_slow() -> None:
    assert decoder_of(BR).slow
    assert decoder_of(BR, GZIP).slow
    assert decoder_of(GZIP, BR).slow
    for codings in ((GZIP,), (DEFLATE,), (ZSTD,), (ZSTD, GZIP)):
        assert not decoder_of(*codings).slow


@pytest.mark.parametrize(
    ("coding", "stream"),
    [
        (GZIP, gzip.compress(b"", mtime=0)),
        (GZIP, gzip.compress(b"a", mtime=0)),
        (ZSTD, EMPTY_FRAME),
        (ZSTD, SKIPPED_FRAME),
        # One byte, in a window of 8 MiB.
        (ZSTD, b"\x28\xb5\x2f\xfd\x00\x68\x0b\x00\x00a"),
    ],
    ids=["empty member", "short member", "empty frame", "skipped frame", "short frame"],
)
def test_streams_of_nothing(coding: ContentCoding, stream: bytes) -> None:
    decode(decoder_of(coding), stream * 64)
    with pytest.raises(ContentCodingError, match="very many streams"):
        decode(decoder_of(coding), stream * 65)


@pytest.mark.parametrize("coding", [GZIP, ZSTD])
def test_streams_of_something(coding: ContentCoding) -> None:
    """Some write every record of a log as a stream."""
    stream = gzip.compress(b"x" * 256) if coding is GZIP else zstd.compress(b"x" * 256)
    assert decode(decoder_of(coding), stream * 5000) == b"x" * 256 * 5000


@pytest.mark.parametrize(
    ("coding", "nothing", "begin"),
    [
        (DEFLATE, EMPTY_BLOCK, b"\x78\x9c"),
        (GZIP, EMPTY_BLOCK, b"\x1f\x8b\x08" + bytes(7)),
        (ZSTD, b"\x50\x2a\x4d\x18\0\0\4\0" + bytes(1 << 18), b""),
        # Metadata, which is skipped (RFC 7932 §9.2).
        (BR, b"\xe6\xff\x3f" + bytes(1 << 16), b"\x0c"),
    ],
    ids=["deflate", "gzip", "zstd", "br"],
)
def test_nothing_at_length(coding: ContentCoding, nothing: bytes, begin: bytes) -> None:
    """What never comes to anything ends, whatever the limit of what comes out."""
    decoder = decoder_of(coding)
    data = begin + nothing * ((1 << 22) // len(nothing))
    with pytest.raises(ContentCodingError, match="much shorter than its coding"):
        decode(decoder, data)
    assert (1 << 20) <= decoder._put <= (1 << 20) + PORTION  # type: ignore[attr-defined]


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("name", ENCODE)
def test_what_cannot_be_compressed_is_not_too_long(name: str) -> None:
    codings, encode = ENCODE[name]
    data = os.urandom(3 << 20)
    assert decode(decoder_of(*codings), encode(data)) == data
