"""lowlevel.protocol.masking: exclusive or (RFC 6455 §5.3), in C and in Python, and the choice between them."""

import importlib.util
import random
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowlevel.protocol import masking
from lowlevel.protocol.masking import rotate, unmask, unmask_in_python

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

Masker = Callable[[bytes, bytes], bytes]
keys = st.binary(min_size=4, max_size=4)


def by_the_rule(data: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[number % 4] for number, byte in enumerate(data))


both = pytest.mark.parametrize("masker", [unmask, unmask_in_python])


def test_the_one_in_c_is_used_where_it_is() -> None:
    speedups = pytest.importorskip("websockets.speedups")
    assert unmask is speedups.apply_mask


@both
@pytest.mark.parametrize("key", [b"\x00\x00\x00\x00", b"\x01\x82\x04\x88", b"\xff\xfe\xfd\xfc"])
def test_every_size(masker: Masker, key: bytes) -> None:
    large = masking._LARGE
    near = (*range(70), *range(120, 130), *range(large - 5, large + 6), 65535, 65536, 65537)
    for size in near:
        data = random.Random(size).randbytes(size)
        result = masker(data, key)
        assert type(result) is bytes
        assert result == by_the_rule(data, key)


@both
@given(st.one_of(st.binary(max_size=50), st.binary(min_size=1000, max_size=1100)), keys)
def test_any_data(masker: Masker, data: bytes, key: bytes) -> None:
    assert masker(data, key) == by_the_rule(data, key)
    assert masker(masker(data, key), key) == data


@both
@given(st.binary(max_size=60), keys, st.lists(st.integers(0, 60), max_size=5))
def test_pieces_with_a_rotated_key(
    masker: Masker, data: bytes, key: bytes, cuts: list[int]
) -> None:
    ends = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    result, present = b"", key
    for start, end in zip(ends, ends[1:], strict=False):
        result += masker(data[start:end], present)
        present = rotate(present, end - start)
    assert result == by_the_rule(data, key)


def test_rotate() -> None:
    assert [rotate(b"abcd", size) for size in (0, 1, 2, 3, 4, 65537)] == [
        b"abcd",
        b"bcda",
        b"cdab",
        b"dabc",
        b"abcd",
        b"bcda",
    ]


# --- The choice -----------------------------------------------------------------------------------


def fresh(monkeypatch: pytest.MonkeyPatch, speedups: ModuleType | None) -> Any:
    """The module, made anew where ``websockets.speedups`` is this, or cannot be imported."""
    monkeypatch.setitem(sys.modules, "websockets", ModuleType("websockets"))
    monkeypatch.setitem(sys.modules, "websockets.speedups", speedups)  # type: ignore[arg-type]
    spec = importlib.util.spec_from_file_location("fresh_masking", masking.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fake(masker: Masker) -> ModuleType:
    module = ModuleType("websockets.speedups")
    module.apply_mask = masker  # type: ignore[attr-defined]
    return module


def test_without_the_one_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    module = fresh(monkeypatch, None)
    assert module.unmask is module.unmask_in_python


def test_without_its_function(monkeypatch: pytest.MonkeyPatch) -> None:
    module = fresh(monkeypatch, ModuleType("websockets.speedups"))
    assert module.unmask is module.unmask_in_python


def test_with_one_that_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fresh(monkeypatch, fake(by_the_rule)).unmask is by_the_rule


@pytest.mark.parametrize(
    "wrong",
    [
        lambda data, key: data,
        lambda data, key: by_the_rule(data, key[::-1]),
        lambda data, key: by_the_rule(data[:4], key),
        lambda data, key: by_the_rule(data, key[:1] * 4),
        lambda data, key: None,
    ],
)
def test_with_one_that_does_something_else(monkeypatch: pytest.MonkeyPatch, wrong: Masker) -> None:
    module = fresh(monkeypatch, fake(wrong))
    assert module.unmask is module.unmask_in_python


def test_with_one_that_is_called_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(data: bytes) -> bytes:
        return data

    with pytest.raises(TypeError):
        fresh(monkeypatch, fake(other))  # type: ignore[arg-type]
