"""Registry: a list of callables, whatever way they come in, and a decorator."""

from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest

from lowlevel.toolkit.registry import Registry


def one() -> None: ...


def two() -> None: ...


def three() -> None: ...


Items = Registry[Callable[[], None]]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ((), []),
        (one, [one]),
        ([one, two], [one, two]),
        (iter((one, two)), [one, two]),
        (Registry("a step", [one, two]), [one, two]),
        (print, [print]),
    ],
    ids=["none", "one", "several", "iterator", "another", "builtin"],
)
def test_from_the_beginning(items: Any, expected: list[Any]) -> None:
    assert list(Items("a step", items)) == expected


def test_a_mock_is_one_callable() -> None:
    """Although it can be iterated over."""
    mock = MagicMock()
    assert list(Items("a step", mock)) == [mock]


def test_it_copies_what_it_is_given() -> None:
    items = [one]
    registry = Items("a step", items)
    items.append(two)
    assert registry == [one]


def test_like_a_list() -> None:
    registry = Items("a step", [one, two])
    registry.append(three)
    assert len(registry) == 3 and registry[0] is one and registry[-1] is three
    assert registry[1:] == [two, three]
    registry.insert(0, three)
    assert registry.pop() is three
    registry.remove(one)
    registry += [one]
    registry.extend(item for item in (two,))
    assert registry == [three, two, one, two]
    registry.reverse()
    del registry[0]
    registry[0] = three
    registry[1:] = [one, two]
    assert registry == Items("another", [three, one, two])
    assert registry.index(one) == 1 and two in registry and registry.count(two) == 1
    registry.clear()
    assert registry == [] and not registry
    assert registry != () and registry != [one]
    registry.extend(registry)
    assert registry == []


def test_a_decorator() -> None:
    registry = Items("a step")

    @registry
    def step() -> None: ...

    assert registry == [step]
    assert registry(one) is one
    assert registry == [step, one]


BAD_WAYS: dict[str, Callable[[Items], object]] = {
    "call": lambda registry: registry(5),  # type: ignore[type-var]
    "append": lambda registry: registry.append(5),  # type: ignore[arg-type]
    "insert": lambda registry: registry.insert(0, 5),  # type: ignore[arg-type]
    "extend": lambda registry: registry.extend([two, 5]),  # type: ignore[list-item]
    "add": lambda registry: registry.__iadd__([two, 5]),  # type: ignore[list-item]
    "item": lambda registry: registry.__setitem__(0, 5),  # type: ignore[call-overload]
    "slice": lambda registry: registry.__setitem__(slice(0, 1), [5]),  # type: ignore[list-item]
    "init": lambda registry: Items("a step", [two, 5]),  # type: ignore[list-item]
    "single": lambda registry: Items("a step", 5),  # type: ignore[arg-type]
    "none": lambda registry: Items("a step", None),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("way", BAD_WAYS)
def test_what_cannot_be_called_does_not_come_in(way: str) -> None:
    registry = Items("a step", [one])
    with pytest.raises(TypeError, match="^a step must be callable, not (5|None)$"):
        BAD_WAYS[way](registry)
    assert registry == [one]


def test_it_tells_of_changes() -> None:
    seen: list[list[Any]] = []
    registry = Items("a step", [one], lambda: seen.append(list(registry)))
    assert seen == []
    registry(two)
    registry[0] = three
    del registry[1]
    registry.extend([one, two])
    registry.insert(0, one)
    assert seen == [
        [one, two],
        [three, two],
        [three],
        [three, one, two],
        [one, three, one, two],
    ]


def test_repr() -> None:
    assert repr(Items("a step", [print])) == "<Registry a step [<built-in function print>]>"
