"""What stands in the header fields that programs ask for by name: one reader for each.

A reader takes the text of a field, without white space around it, and returns a value of its own, which the caller
may change. It raises ValueError, saying what the text is not, where nothing in it can be used. Names that are compared
without regard to case come in lower case; of several items with one name the first counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, TypeVar

from .cookies import cookie_values
from .disposition import parse_content_disposition
from .headers import (
    QUOTED,
    TOKEN,
    ETag,
    comma_separated,
    is_token,
    parse_content_type,
    parse_etags,
    parse_forwarded,
    parse_host,
    parse_http_date,
    parse_qvalues,
    semicolon_separated,
    unquote,
)
from .set_cookie import parse_set_cookie

__all__ = ("READERS",)

_T = TypeVar("_T")


def _firsts(pairs: Iterable[tuple[str, _T]]) -> dict[str, _T]:
    found: dict[str, _T] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


# --- One value -----------------------------------------------------------------------------------

# 640 digits: Python always converts that many.
_is_number: Final = re.compile(r"[0-9]{1,640}").fullmatch
_is_decimal: Final = re.compile(r"[0-9]{1,100}(?:\.[0-9]{1,100})?").fullmatch
_LONGEST_SECONDS: Final = 2**31  # what stands for longer times, RFC 9111 §1.2.2
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


def _text(value: str) -> str:
    return value


def _word(value: str) -> str:
    return value.lower()


def _token(value: str) -> str:
    if not is_token(value):
        raise ValueError("not a token")
    return value


def _number(value: str) -> int:
    if not _is_number(value):
        raise ValueError("not a whole number")
    return int(value)


def _seconds(value: str) -> int:
    return min(_number(value), _LONGEST_SECONDS)


def _decimal(value: str) -> float:
    if not _is_decimal(value):
        raise ValueError("not a number")
    return float(value)


def _do_not_track(value: str) -> bool:
    if value not in ("0", "1"):
        raise ValueError("neither 0 nor 1")
    return value == "1"


def _true(value: str) -> bool:
    # Fetch §3.3.4: there is no other value, and it is compared with regard to case.
    if value != "true":
        raise ValueError("not true")
    return True


def _date(value: str) -> datetime:
    date = parse_http_date(value)
    if date is None:
        raise ValueError("not a date")
    return date


def _expires(value: str) -> datetime:
    # RFC 9111 §5.3: what is no date, "0" above all, means a time in the past.
    return parse_http_date(value) or _EPOCH


def _seconds_or_date(value: str) -> int | datetime:
    return _seconds(value) if _is_number(value) else _date(value)


_is_entity_tag: Final = re.compile(r'(W/)?"([^\x00-\x20"\x7f]*+)"').fullmatch


def _entity_tag(value: str) -> ETag:
    match = _is_entity_tag(value)
    if match is None:
        raise ValueError("not an entity tag")
    return ETag(match[2], is_weak=match[1] is not None)


def _entity_tag_or_date(value: str) -> ETag | datetime:
    return parse_http_date(value) or _entity_tag(value)


def _host(value: str) -> tuple[str, int | None]:
    host = parse_host(value)
    if host is None:
        raise ValueError("not a host")
    return host


_is_credentials: Final = re.compile(rf"({TOKEN})(?: ++(.*+))?", re.DOTALL).fullmatch


def _credentials(value: str) -> tuple[str, str]:
    match = _is_credentials(value)
    if match is None:
        raise ValueError("no authentication scheme")
    return match[1].lower(), match[2] or ""


# --- Ranges --------------------------------------------------------------------------------------

_DIGITS: Final = "[0-9]{1,640}"
_is_content_range: Final = re.compile(
    rf"({TOKEN}) ++(?:({_DIGITS})-({_DIGITS})|\*)/(?:({_DIGITS})|\*)"
).fullmatch
_is_ranges: Final = re.compile(rf"({TOKEN})=(.*+)", re.DOTALL).fullmatch
_is_range: Final = re.compile(rf"({_DIGITS})?-({_DIGITS})?").fullmatch


def _content_range(value: str) -> tuple[str, tuple[int, int] | None, int | None]:
    match = _is_content_range(value)
    if match is None:
        raise ValueError("not a range and a size")
    unit, first, last, size = match.groups()
    length = None if size is None else int(size)
    if first is None:
        if length is None:
            raise ValueError("neither a range nor a size")
        return unit.lower(), None, length
    start, end = int(first), int(last)
    if start > end or (length is not None and end >= length):
        raise ValueError("not a range inside of the size")  # RFC 9110 §14.4
    return unit.lower(), (start, end), length


def _ranges(value: str) -> tuple[str, list[tuple[int | None, int | None]]]:
    match = _is_ranges(value)
    if match is None:
        raise ValueError("no unit of ranges")
    ranges = []
    for item in _items(match[2]):
        bounds = _is_range(item)
        if bounds is None or item == "-":
            raise ValueError("not a range")
        first, last = (None if bound is None else int(bound) for bound in bounds.groups())
        if first is not None and last is not None and first > last:
            raise ValueError("not a range, its start is after its end")
        ranges.append((first, last))
    if not ranges:
        raise ValueError("no range")
    return match[1].lower(), ranges


# --- Lists ---------------------------------------------------------------------------------------


def _items(value: str) -> list[str]:
    """Return what stands between the commas and is not empty (RFC 9110 §5.6.1.2)."""
    return [text for item in comma_separated(value) if (text := item.strip(" \t"))]


def _tokens(value: str) -> list[str]:
    items = _items(value)
    if not all(map(is_token, items)):
        raise ValueError("not a list of tokens")
    return items


def _names(value: str) -> list[str]:
    return [item.lower() for item in _tokens(value)]


_is_quoted: Final = re.compile(rf'"({QUOTED})"', re.DOTALL).fullmatch


def _quoted_strings(value: str) -> list[str]:
    matches = [_is_quoted(item) for item in _items(value)]
    if None in matches:
        raise ValueError("not a list of quoted strings")
    return [unquote(match[1]) for match in matches if match]


def _entity_tags(value: str) -> list[ETag]:
    tags = list(parse_etags(value))
    if not tags:
        raise ValueError("no entity tag")
    return tags


def _preferences(value: str) -> dict[str, float]:
    return _firsts(parse_qvalues(value))


def _media_ranges(value: str) -> dict[str, dict[str, str | float]]:
    return _firsts(
        (name, {**parse_content_type(name)[1], "q": weight})
        for name, weight in parse_qvalues(value)
        if "/" in name
    )


def _media_types(value: str) -> list[tuple[str, dict[str, str]]]:
    return [_media_type(item) for item in _items(value)]


# --- Names with arguments ------------------------------------------------------------------------


def _media_type(value: str) -> tuple[str, dict[str, str]]:
    media_type, parameters = parse_content_type(value)
    if value.partition(";")[0].strip(" \t").lower() != media_type:
        raise ValueError("not a media type")
    # RFC 2231: a value in a character set, or in sections.
    if "*" in value:
        return media_type, parse_content_disposition(value)[1]
    return media_type, dict(parameters)


def _disposition(value: str) -> tuple[str, dict[str, str]]:
    kind, parameters = parse_content_disposition(value)
    if not kind:
        raise ValueError("no disposition type")
    return kind, parameters


_is_directive: Final = re.compile(
    rf'({TOKEN})(?:[ \t]*+=[ \t]*+(?:({TOKEN})|"({QUOTED})"))?', re.DOTALL
).fullmatch


def _directives(items: Iterable[str]) -> dict[str, int | str | None]:
    # What a receiver does not understand, it ignores (RFC 9111 §5.2.3, RFC 6797 §6.1).
    matches = [_is_directive(item.strip(" \t")) for item in items]
    return _firsts((match[1].lower(), _argument(match)) for match in matches if match)


def _argument(match: re.Match[str]) -> int | str | None:
    # Both forms of an argument mean the same (RFC 9111 §5.2).
    text = match[2] if match[3] is None else unquote(match[3])
    return _seconds(text) if text is not None and _is_number(text) else text


def _cache_control(value: str) -> dict[str, int | str | None]:
    return _directives(comma_separated(value))


def _transport_security(value: str) -> dict[str, int | str | None]:
    directives = _directives(semicolon_separated(value))
    if not isinstance(directives.get("max-age"), int):
        raise ValueError("no max-age")  # RFC 6797 §6.1.1
    return directives


def _policies(value: str) -> list[dict[str, list[str]]]:
    """Read a list of policies (CSP §2.2.2): no comma and no semicolon is part of a directive."""
    policies = []
    for policy in value.split(","):
        directives = [words for text in policy.split(";") if (words := text.split())]
        if directives:
            policies.append(_firsts((name.lower(), sources) for name, *sources in directives))
    return policies


def _forwarded(value: str) -> list[dict[str, str]]:
    return [dict(element) for element in parse_forwarded([value])]


# --- The registry --------------------------------------------------------------------------------

READERS: Final[Mapping[str, Callable[[str], Any]]] = MappingProxyType(
    {
        "accept": _media_ranges,
        "accept-ch": _names,
        "accept-charset": _preferences,
        "accept-encoding": _preferences,
        "accept-language": _preferences,
        "accept-patch": _media_types,
        "accept-ranges": _names,
        "access-control-allow-credentials": _true,
        "access-control-allow-headers": _names,
        "access-control-allow-methods": _tokens,
        "access-control-allow-origin": _text,
        "access-control-expose-headers": _names,
        "access-control-max-age": _seconds,
        "access-control-request-headers": _names,
        "access-control-request-method": _token,
        "age": _seconds,
        "allow": _tokens,
        "authorization": _credentials,
        "cache-control": _cache_control,
        "clear-site-data": _quoted_strings,
        "content-disposition": _disposition,
        "content-encoding": _names,
        "content-language": _names,
        "content-length": _number,
        "content-location": _text,
        "content-range": _content_range,
        "content-security-policy": _policies,
        "content-security-policy-report-only": _policies,
        "content-type": _media_type,
        "cookie": cookie_values,
        "cross-origin-resource-policy": _text,
        "date": _date,
        "device-memory": _decimal,
        "dnt": _do_not_track,
        "dpr": _decimal,
        "etag": _entity_tag,
        "expect": _word,
        "expires": _expires,
        "forwarded": _forwarded,
        "host": _host,
        "if-match": _entity_tags,
        "if-modified-since": _date,
        "if-none-match": _entity_tags,
        "if-range": _entity_tag_or_date,
        "if-unmodified-since": _date,
        "last-modified": _date,
        "location": _text,
        "origin": _text,
        "proxy-authorization": _credentials,
        "range": _ranges,
        "referer": _text,
        "retry-after": _seconds_or_date,
        "server": _text,
        "set-cookie": parse_set_cookie,
        "strict-transport-security": _transport_security,
        "vary": _names,
    }
)
"""The readers by the names of their fields, in lower case."""
