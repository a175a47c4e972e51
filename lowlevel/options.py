"""Checks of options: what is wrong is told at once, by the name of the option."""

from __future__ import annotations

import math

__all__ = ("check_count", "check_flag", "check_seconds")


def check_seconds(name: str, value: float) -> float:
    """Return a finite number of seconds that is not negative. Raises TypeError or ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not value >= 0 or math.isinf(value):
        raise ValueError(f"{name} must be finite and not negative: {value!r}")
    return value


def check_count(name: str, value: int, least: int) -> int:
    """Return an int that is at least ``least``. Raises TypeError or ValueError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}: {value!r}")
    return value


def check_flag(name: str, value: bool) -> bool:
    """Return a bool. Raises TypeError."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be a bool, not {type(value).__name__}")
    return value
