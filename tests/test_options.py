"""lowlevel.options: what passes, what does not, and that the option is named."""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from lowlevel.options import check_count, check_flag, check_seconds

INFINITE = float("inf")


class Odd(int):
    """An int of a class of its own."""


# --- Seconds --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 0.0, -0.0, 1, 1e-9, 10.5, 10**9, 1e300])
def test_seconds_pass_as_they_are(value: float) -> None:
    assert check_seconds("limit", value) is value


@pytest.mark.parametrize("value", [-1, -0.001, INFINITE, -INFINITE, float("nan")])
def test_seconds_that_are_out_of_range(value: float) -> None:
    words = re.escape(f"limit must be finite and not negative: {value!r}")
    with pytest.raises(ValueError, match=f"^{words}$"):
        check_seconds("limit", value)


# --- Counts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "least"), [(0, 0), (1, 0), (1, 1), (10**30, 1), (-1, -1), (Odd(5), 5)]
)
def test_counts_pass_as_they_are(value: int, least: int) -> None:
    assert check_count("size", value, least) is value


@pytest.mark.parametrize(("value", "least"), [(-1, 0), (0, 1), (8, 9), (-(10**30), 0)])
def test_counts_that_are_too_small(value: int, least: int) -> None:
    words = re.escape(f"size must be at least {least}: {value!r}")
    with pytest.raises(ValueError, match=f"^{words}$"):
        check_count("size", value, least)


# --- Flags ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [True, False])
def test_flags_pass_as_they_are(value: bool) -> None:
    assert check_flag("fast", value) is value


# --- Types ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "kind", "wrong"),
    [
        (check_seconds, "a number of seconds", [None, True, "1", b"1", [1], 1j, Fraction(1)]),
        (lambda name, value: check_count(name, value, 0), "an int", [None, True, "1", 1.0, [1]]),
        (check_flag, "a bool", [None, 0, 1, "", "true", 1.0, []]),
    ],
)
def test_the_wrong_types(check: Callable[[str, Any], Any], kind: str, wrong: list[Any]) -> None:
    for value in wrong:
        words = re.escape(f"option must be {kind}, not {type(value).__name__}")
        with pytest.raises(TypeError, match=f"^{words}$"):
            check("option", value)
