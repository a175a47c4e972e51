"""Content codings: their names, which of them work here, and which of them a client gets (RFC 9110 §8.4, §12.5.3)."""

from __future__ import annotations

import enum
import importlib
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any, Final

from .headers import parse_qvalues

__all__ = (
    "ContentCoding",
    "ContentCodingError",
    "available",
    "choose",
    "load_brotli",
    "load_zstd",
    "read_codings",
)


class ContentCoding(enum.Enum):
    """How the content of a message is compressed; the value is the name in Content-Encoding."""

    deflate = "deflate"
    """The format of zlib, which is what RFC 9110 §8.4.1.2 means by the name."""
    gzip = "gzip"
    br = "br"
    """Brotli (RFC 7932); needs the extra ``compress``."""
    zstd = "zstd"
    """Zstandard (RFC 8878, RFC 9659); needs the extra ``compress`` before Python 3.14."""
    identity = "identity"
    """Not at all."""


class ContentCodingError(Exception):
    """Data is not what its content coding says, or ends too early."""


_BY_NAME: Final = {coding.value: coding for coding in ContentCoding} | {
    "x-gzip": ContentCoding.gzip  # RFC 9110 §8.4.1.3
}

# Each can be nested in another; two are in use, more serve to amplify.
_MAX_CODINGS: Final = 2


# --- What works here -----------------------------------------------------------------------------


@cache
def load_brotli() -> Any:
    """Return the module for Brotli, None where none is installed."""
    return _load("brotli", "brotlicffi")


@cache
def load_zstd() -> Any:
    """Return the module for Zstandard, None where none is installed."""
    return _load("compression.zstd", "backports.zstd")


def _load(*names: str) -> Any:
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def available() -> tuple[ContentCoding, ...]:
    """Return the codings that work here, without identity. The first call loads what is installed."""
    codings = [ContentCoding.deflate, ContentCoding.gzip]
    if load_brotli() is not None:
        codings.append(ContentCoding.br)
    if load_zstd() is not None:
        codings.append(ContentCoding.zstd)
    return tuple(codings)


# --- Fields --------------------------------------------------------------------------------------


def read_codings(value: str) -> tuple[ContentCoding, ...] | None:
    """Read the value of Content-Encoding (RFC 9110 §8.4).

    Returns:
        The codings in the order they were applied, without identity; None for an unknown one, or more than two.
    """
    codings = []
    for item in value.split(","):
        name = item.strip(" \t").lower()
        if not name:
            continue
        coding = _BY_NAME.get(name)
        if coding is None:
            return None
        if coding is not ContentCoding.identity:
            codings.append(coding)
    return tuple(codings) if len(codings) <= _MAX_CODINGS else None


def choose(
    accept_encoding: Iterable[str], offered: Sequence[ContentCoding]
) -> ContentCoding | None:
    """Choose the coding of a response (RFC 9110 §12.5.3).

    Args:
        accept_encoding: The values of all Accept-Encoding fields of the request.
        offered: The codings that could be used, best first; identity is always one more.

    Returns:
        The coding with the highest weight, of equals the first, identity last; identity without a field. None if
        nothing is acceptable, not even identity.
    """
    value = ",".join(accept_encoding)
    weights = _read_weights(value)
    if not weights:
        # No field accepts everything, an empty one nothing but identity.
        return ContentCoding.identity
    others = weights.get("*")
    best: ContentCoding | None = None
    best_weight = 0.0
    for coding in offered:
        weight = weights.get(coding.value, others) or 0.0
        if weight > best_weight:
            best, best_weight = coding, weight
    plain = weights.get(ContentCoding.identity.value, others)
    if plain is None:
        # Not mentioned, it is acceptable all the same, but not preferred to what is.
        return best or ContentCoding.identity
    return ContentCoding.identity if plain > best_weight else best


@lru_cache(maxsize=64)
def _read_weights(value: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for name, weight in parse_qvalues(value):
        coding = _BY_NAME.get(name)
        weights.setdefault(name if coding is None else coding.value, weight)
    return weights
