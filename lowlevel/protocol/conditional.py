"""Conditional requests and ranges: whether a request gets all, a part, or only word that nothing has changed.

RFC 9110 §13 and §14, for one representation with an entity tag and a time of modification in whole seconds. A field
that cannot be read is no condition, unless said otherwise.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Final

from multidict import CIMultiDictProxy

from .headers import ETAG_ANY, ETag, parse_etags, parse_http_date, parse_range

__all__ = ("Outcome", "RangeNotSatisfiable", "evaluate", "select_range")

_SAFE: Final = frozenset(("GET", "HEAD"))


class Outcome(enum.Enum):
    """What the conditions of a request come to."""

    PROCEED = 200
    NOT_MODIFIED = 304
    FAILED = 412


class _Any(enum.Enum):
    """``*``: whatever there is, unlike the tag ``"*"``."""

    ANY = ETAG_ANY


_ANY: Final = _Any.ANY


class RangeNotSatisfiable(ValueError):
    """No byte of what there is was asked for, or nothing that can be understood (RFC 9110 §15.5.17)."""


def evaluate(
    method: str, headers: CIMultiDictProxy[str], etag: ETag | None, last_modified: int
) -> Outcome:
    """Evaluate If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since in the order of RFC 9110 §13.2.2.

    Args:
        method: The method of the request.
        headers: Its header fields.
        etag: The entity tag of what would be sent, None if it has none.
        last_modified: When it was last modified, in seconds since 1970.
    """
    if_match = _tags(headers, "If-Match")
    if if_match is not None:
        if not _matches(etag, if_match, strongly=True):
            return Outcome.FAILED
    elif _is_later(last_modified, _date(headers, "If-Unmodified-Since")):
        return Outcome.FAILED
    if_none_match = _tags(headers, "If-None-Match")
    if if_none_match is not None:
        if _matches(etag, if_none_match, strongly=False):
            return Outcome.NOT_MODIFIED if method in _SAFE else Outcome.FAILED
    elif method in _SAFE:
        since = _date(headers, "If-Modified-Since")
        if since is not None and not _is_later(last_modified, since):
            return Outcome.NOT_MODIFIED
    return Outcome.PROCEED


def select_range(
    method: str,
    headers: CIMultiDictProxy[str],
    size: int,
    etag: ETag | None,
    last_modified: int | None,
) -> tuple[int, int] | None:
    """Return the part that is asked for, ``(start, stop)`` with ``start < stop <= size``; None for the whole.

    With ``last_modified`` None, no date in If-Range holds: it would not tell which of several codings is meant.

    Several ranges, and other units than bytes, give the whole: a server may ignore what would cost it more than the
    whole does (RFC 9110 §14.2, CVE-2011-3192). So does an If-Range that does not hold, or cannot be read.

    Raises:
        RangeNotSatisfiable: The range is beyond the end, or malformed.
    """
    value = ", ".join(headers.getall("Range", ()))
    if method != "GET" or value[:6].lower() != "bytes=" or "," in value:
        return None
    if not _if_range_holds(headers.get("If-Range"), etag, last_modified):
        return None
    try:
        wanted = parse_range(value)
    except ValueError as exc:
        raise RangeNotSatisfiable(str(exc)) from None
    start, stop = wanted.start, wanted.stop
    if start < 0:
        start, stop = max(size + start, 0), size
    elif stop is None or stop > size:
        stop = size
    if start >= stop:
        raise RangeNotSatisfiable(f"there are only {size} bytes")
    return start, stop


def _tags(headers: CIMultiDictProxy[str], name: str) -> tuple[ETag, ...] | _Any | None:
    values = headers.getall(name, None)
    if values is None:
        return None
    value = ", ".join(values)
    return _ANY if value.strip(" \t") == ETAG_ANY else parse_etags(value)


def _date(headers: CIMultiDictProxy[str], name: str) -> datetime | None:
    """Return the date of a field, None if there is none, or several, of which none can be believed."""
    values = headers.getall(name, ())
    return parse_http_date(values[0]) if len(values) == 1 else None


def _is_later(last_modified: int, date: datetime | None) -> bool:
    return date is not None and last_modified > date.timestamp()


def _matches(etag: ETag | None, tags: tuple[ETag, ...] | _Any, *, strongly: bool) -> bool:
    """Compare as RFC 9110 §8.8.3.2 tells."""
    if isinstance(tags, _Any):
        return True
    if etag is None or (strongly and etag.is_weak):
        return False
    return any(tag.value == etag.value and not (strongly and tag.is_weak) for tag in tags)


def _if_range_holds(value: str | None, etag: ETag | None, last_modified: int | None) -> bool:
    """Whether a part may be sent (RFC 9110 §13.1.5). A date after the last modification is as good as that date."""
    if value is None:
        return True
    # One tag, not a list, and a weak one does not do.
    if etag is not None and not etag.is_weak and value.strip(" \t") == f'"{etag.value}"':
        return True
    date = parse_http_date(value)
    return date is not None and last_modified is not None and not _is_later(last_modified, date)
