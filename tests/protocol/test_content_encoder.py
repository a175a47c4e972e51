"""Encoders, read back by the libraries' own decoders."""

import gzip
import sys
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowlevel.protocol import content_coding
from lowlevel.protocol.content_coding import ContentCoding, load_zstd
from lowlevel.protocol.content_encoder import make_encoder

CODINGS = [coding for coding in ContentCoding if coding is not ContentCoding.identity]
zstd: Any = load_zstd()

DECODE: dict[ContentCoding, Callable[[bytes], bytes]] = {
    ContentCoding.deflate: zlib.decompress,
    ContentCoding.gzip: gzip.decompress,
    ContentCoding.br: brotli.decompress,
    ContentCoding.zstd: zstd.decompress,
}


def incremental(coding: ContentCoding) -> Callable[[bytes], bytes]:
    """A decoder that gives out what it can."""
    if coding is ContentCoding.gzip:
        return zlib.decompressobj(31).decompress
    if coding is ContentCoding.deflate:
        return zlib.decompressobj().decompress
    if coding is ContentCoding.br:
        return brotli.Decompressor().process  # type: ignore[no-any-return]
    return zstd.ZstdDecompressor().decompress  # type: ignore[no-any-return]


@pytest.mark.parametrize("coding", CODINGS)
@given(pieces=st.lists(st.tuples(st.binary(max_size=200), st.booleans())), last=st.binary())
def test_round_trip(coding: ContentCoding, pieces: list[tuple[bytes, bool]], last: bytes) -> None:
    encoder = make_encoder(coding)
    encoded = b""
    for piece, flush in pieces:
        encoded += encoder.encode(piece)
        if flush:
            encoded += encoder.flush()
    encoded += encoder.finish(last)
    assert DECODE[coding](encoded) == b"".join(piece for piece, _ in pieces) + last


@pytest.mark.parametrize("coding", CODINGS)
def test_flush_shows_everything(coding: ContentCoding) -> None:
    encoder, decode = make_encoder(coding), incremental(coding)
    for text in (b"first", b"second" * 100, b"3"):
        assert decode(encoder.encode(text) + encoder.flush()) == text


@pytest.mark.parametrize("coding", CODINGS)
def test_it_compresses(coding: ContentCoding) -> None:
    text = b"all work and no play makes jack a dull boy\n" * 1000
    assert len(make_encoder(coding).finish(text)) < len(text) / 50


@pytest.mark.parametrize("coding", [ContentCoding.gzip, ContentCoding.deflate])
def test_strategy(coding: ContentCoding) -> None:
    text = b"all work and no play makes jack a dull boy\n" * 1000
    huffman = make_encoder(coding, zlib.Z_HUFFMAN_ONLY).finish(text)
    assert len(huffman) > 10 * len(make_encoder(coding).finish(text))
    assert DECODE[coding](huffman) == text


def test_zstd_window_is_one_that_all_clients_take() -> None:
    """A client need not provide more than 8 MiB (RFC 9659 §3)."""
    encoder = make_encoder(ContentCoding.zstd)
    data = bytes(range(256)) * 65536
    encoded = encoder.encode(data) + encoder.encode(data) + encoder.finish()
    largest = zstd.DecompressionParameter.window_log_max
    assert zstd.ZstdDecompressor(options={largest: 23}).decompress(encoded) == data * 2


def test_identity_has_no_encoder() -> None:
    with pytest.raises(ValueError, match="identity"):
        make_encoder(ContentCoding.identity)


@pytest.mark.parametrize("coding", [ContentCoding.br, ContentCoding.zstd])
def test_without_the_extra(coding: ContentCoding, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("brotli", "brotlicffi", "backports.zstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    for load in (content_coding.load_brotli, content_coding.load_zstd):
        monkeypatch.setattr(
            f"lowlevel.protocol.content_encoder.{load.__name__}",
            load.__wrapped__,
        )
    with pytest.raises(RuntimeError, match="install lowlevel"):
        make_encoder(coding)
