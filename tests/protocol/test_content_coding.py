"""Content codings: what their fields say, and which one a client gets (RFC 9110 §8.4, §12.5.3)."""

import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowlevel.protocol import content_coding
from lowlevel.protocol.content_coding import ContentCoding, available, choose, read_codings

DEFLATE, GZIP, BR, ZSTD, IDENTITY = ContentCoding
ALL = (DEFLATE, GZIP, BR, ZSTD)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        # No preference among those that are listed: the first that is offered.
        ("gzip", GZIP),
        ("gzip, deflate", DEFLATE),
        ("gzip,deflate,br,zstd", DEFLATE),
        ("br, zstd", BR),
        ("GZIP", GZIP),
        ("x-gzip", GZIP),
        (" gzip ; q=1 ", GZIP),
        # Weights.
        ("deflate;q=0.5, gzip;q=0.8", GZIP),
        ("deflate;q=0.5, gzip;q=0.8, br;q=0.9", BR),
        ("deflate;q=0.001, gzip;q=0.002", GZIP),
        ("gzip;q=0.1", GZIP),
        ("gzip;q=0", IDENTITY),
        ("gzip;q=0.000", IDENTITY),
        ("deflate;q=0, gzip", GZIP),
        ("gzip; Q=0.2, br;q=.3", BR),
        # Of two that contradict each other, the first.
        ("gzip;q=0, gzip", IDENTITY),
        # Everything else.
        ("*", DEFLATE),
        ("*;q=0.5", DEFLATE),
        ("gzip;q=0.5, *", DEFLATE),
        ("deflate;q=0, *", GZIP),
        ("zstd, *;q=0.1", ZSTD),
        # Identity: last unless it says otherwise.
        ("identity", IDENTITY),
        ("identity, gzip", GZIP),
        ("identity, gzip;q=0.9", IDENTITY),
        ("identity;q=0.5, gzip;q=0.5", GZIP),
        ("identity;q=0.5, *;q=0.4", IDENTITY),
        ("gzip;q=0.2, *;q=0.5", DEFLATE),
        ("identity;q=0, gzip;q=0.1", GZIP),
        ("*;q=0, gzip;q=0.1", GZIP),
        ("*;q=0, identity", IDENTITY),
        # Nothing is left.
        ("identity;q=0", None),
        ("*;q=0", None),
        ("gzip;q=0, deflate;q=0, *;q=0", None),
        ("identity;q=0, compress", None),
        # Nothing that we know, or nothing that can be read.
        ("", IDENTITY),
        (",", IDENTITY),
        ("compress, sdch", IDENTITY),
        ("gzip;q=2", IDENTITY),
        ("gzip;q=nan", IDENTITY),
        ("gzip;q=-1", IDENTITY),
        ("gzip;q", IDENTITY),
        ("gz ip", IDENTITY),
    ],
)
def test_choose(field: str, expected: ContentCoding | None) -> None:
    assert choose([field], ALL) is expected


def test_choose_without_a_field() -> None:
    assert choose([], ALL) is IDENTITY


def test_choose_of_several_fields() -> None:
    assert choose(["gzip;q=0.5", "br"], ALL) is BR


def test_choose_from_nothing() -> None:
    assert choose(["gzip"], ()) is IDENTITY
    assert choose(["gzip, identity;q=0"], ()) is None
    assert choose(["gzip;q=0.2, *;q=0.5"], (GZIP,)) is IDENTITY


@given(
    st.dictionaries(
        st.sampled_from(["gzip", "deflate", "br", "zstd", "identity", "*", "compress"]),
        st.integers(0, 1000),
    ),
    st.permutations(ALL),
)
def test_choice_is_never_worse_than_another(
    weights: dict[str, int], offered: list[ContentCoding]
) -> None:
    field = ", ".join(f"{name};q={weight / 1000:.3f}" for name, weight in weights.items())
    others = weights.get("*", 0)
    chosen = choose([field], offered)
    listed = {coding: weights.get(coding.value, others) for coding in offered}
    refused = weights.get("identity", weights.get("*", 1)) == 0
    if chosen is None:
        assert refused and not any(listed.values())
    elif chosen is IDENTITY:
        assert not refused
        assert max(listed.values()) <= weights.get("identity", others)
    else:
        assert listed[chosen] == max(listed.values()) > 0


@given(st.lists(st.text(max_size=40), max_size=3))
def test_choose_takes_anything(values: list[str]) -> None:
    assert choose(values, ALL) in (*ContentCoding, None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("gzip", (GZIP,)),
        ("X-GZip", (GZIP,)),
        ("deflate", (DEFLATE,)),
        ("gzip, br", (GZIP, BR)),
        ("identity", ()),
        ("identity, zstd, identity", (ZSTD,)),
        ("", ()),
        (" , ", ()),
        ("gzip,", (GZIP,)),
        ("gzip, gzip", (GZIP, GZIP)),
        ("gzip, gzip, gzip", None),
        ("compress", None),
        ("gzip, what", None),
        ("gzip;q=1", None),
        ("g\u017aip", None),
    ],
)
def test_read_codings(value: str, expected: tuple[ContentCoding, ...] | None) -> None:
    assert read_codings(value) == expected


@given(st.text())
def test_read_codings_takes_anything(value: str) -> None:
    codings = read_codings(value)
    assert codings is None or (len(codings) <= 2 and IDENTITY not in codings)


@pytest.fixture
def fresh_libraries() -> Iterator[None]:
    def forget() -> None:
        content_coding.load_brotli.cache_clear()
        content_coding.load_zstd.cache_clear()

    forget()
    yield
    forget()


def test_available() -> None:
    assert available() == ALL


@pytest.mark.usefixtures("fresh_libraries")
def test_available_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("brotli", "brotlicffi", "backports.zstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    assert available() == (DEFLATE, GZIP)


@pytest.mark.usefixtures("fresh_libraries")
def test_another_library_for_brotli(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brotli", None)
    monkeypatch.setitem(sys.modules, "brotlicffi", pytest)
    assert content_coding.load_brotli() is pytest
    assert BR in available()
