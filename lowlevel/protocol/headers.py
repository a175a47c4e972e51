"""Values of header fields: text in, typed values out, and the few that go the other way.

Reading is total: whatever a peer sends, the answer is a value that says "nothing usable", unless a
function names the error it raises. Each pattern reads a character a bounded number of times: its
repetitions are possessive (``*+``, ``++``), so no input makes it back up and try again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv6Address
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

__all__ = (
    "ETAG_ANY",
    "QUOTED",
    "TOKEN",
    "ETag",
    "check_field",
    "comma_separated",
    "contains_token",
    "content_disposition",
    "format_http_date",
    "is_token",
    "parse_content_type",
    "parse_etags",
    "parse_extensions",
    "parse_forwarded",
    "parse_host",
    "parse_http_date",
    "parse_qvalues",
    "parse_range",
    "semicolon_separated",
    "unquote",
)

# RFC 9110 §5.6.2 and §5.6.4, the latter without its quotes. Control characters, which §5.6.4 keeps
# out of a quoted string, do not get past the parser of the head.
TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
QUOTED: Final = r'(?:[^"\\]++|\\.)*+'

is_token: Final = re.compile(TOKEN).fullmatch
"""Match a whole token (RFC 9110 §5.6.2)."""
_unescape: Final = re.compile(r"\\(.)", re.DOTALL).sub


def unquote(text: str) -> str:
    """Undo the escapes of what stood between the quotes of a quoted string."""
    return _unescape(r"\1", text) if "\\" in text else text


# --- Lists ---------------------------------------------------------------------------------------


def contains_token(value: str, token: str) -> bool:
    """Tell whether a comma-separated list has a token, in any case of letters.

    Part of a token is no match. For ``Connection`` and ``Upgrade`` (RFC 9110 §7.6.1, §7.8).
    """
    if not value.isascii():
        # lower() turns U+212A KELVIN SIGN into "k": no such thing may pass for "keep-alive".
        value = value.encode("ascii", "replace").decode("ascii")
    wanted = token.lower()
    value = value.lower()
    return value == wanted or wanted in [item.strip(" \t") for item in value.split(",")]


comma_separated: Final = re.compile(rf'(?:[^",]++|"{QUOTED}"?)++', re.DOTALL).findall
"""The items of a list, with the white space around them; what is in quotes separates nothing."""
semicolon_separated: Final = re.compile(rf'(?:[^";]++|"{QUOTED}"?)++', re.DOTALL).findall
"""The parameters of an item, likewise."""
_is_preference: Final = re.compile(rf"{TOKEN}(?:/{TOKEN})?").fullmatch
# More than three decimals and ".2" for "0.2" break RFC 9110 §12.4.2; clients in use send both.
_is_weight: Final = re.compile(r"0(?:\.[0-9]*+)?|\.[0-9]++|1(?:\.0*+)?").fullmatch


def parse_qvalues(value: str) -> list[tuple[str, float]]:
    """Read a list of preferences with weights: ``Accept`` and its kin (RFC 9110 §12.4.2, §12.5).

    Returns:
        (name, weight) in the order they came. The name is lower-case; parameters of a media type
        that stand before the weight follow it as they came: ``text/html;level=1``. A weight of 0
        ("not this one") is kept. An item that cannot be read, or whose weight is no number from 0
        to 1, is left out.
    """
    preferences = []
    for item in comma_separated(value):
        name, _, rest = item.partition(";")
        name = name.strip(" \t")
        if not _is_preference(name):
            continue
        kept = [name.lower()]
        weight = "1"
        for parameter in semicolon_separated(rest):
            key, _, text = parameter.partition("=")
            if key.strip(" \t") in ("q", "Q"):
                weight = text.strip(" \t")
                break
            kept.append(parameter.strip(" \t"))
        if _is_weight(weight):
            preferences.append((";".join(kept), float(weight)))
    return preferences


# --- Entity tags ---------------------------------------------------------------------------------

ETAG_ANY: Final = "*"
"""The value of an ``If-Match`` or ``If-None-Match`` that any entity tag meets."""


@dataclass(frozen=True, slots=True)
class ETag:
    """An entity tag (RFC 9110 §8.8.3); equal when value and weakness are.

    Attributes:
        value: The opaque tag without its quotes.
        is_weak: Whether it was marked ``W/``.
    """

    value: str
    is_weak: bool = False


_entity_tag: Final = re.compile(r'[ \t,]*+(W/)?"([^\x00-\x20"\x7f]*+)"[ \t]*+(?:,|\Z)').match


def parse_etags(value: str) -> tuple[ETag, ...]:
    """Read the value of ``If-Match`` or ``If-None-Match`` (RFC 9110 §13.1.1, §13.1.2).

    Returns:
        The tags up to the first thing that is none; ``ETag("*")`` alone for ``*``.
    """
    if value.strip(" \t") == ETAG_ANY:
        return (ETag(ETAG_ANY),)
    tags = []
    match = _entity_tag(value)
    while match:
        tags.append(ETag(match[2], is_weak=match[1] is not None))
        match = _entity_tag(value, match.end())
    return tuple(tags)


# --- Dates (RFC 9110 §5.6.7) ---------------------------------------------------------------------

# Not strftime: names of days and months must not follow the locale.
_DAYS: Final = "Mon Tue Wed Thu Fri Sat Sun".split()
_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_MONTH_NUMBERS: Final = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}

_CLOCK: Final = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
# The day of the week is redundant and often wrong: any word does.
_date_gmt: Final = re.compile(  # IMF-fixdate and RFC 850
    r"[a-z]++, (?P<day>\d{1,2})[ -](?P<month>[a-z]{3})[ -](?P<year>\d{4}|\d\d) "
    rf"{_CLOCK} (?:GMT|UTC)",
    re.ASCII | re.IGNORECASE,
).fullmatch
_date_asctime: Final = re.compile(
    rf"[a-z]++ (?P<month>[a-z]{{3}}) (?P<day>[ \d]?\d) {_CLOCK} (?P<year>\d{{4}})",
    re.ASCII | re.IGNORECASE,
).fullmatch


def parse_http_date(value: str | None) -> datetime | None:
    """Read a date in any of the three forms of RFC 9110 §5.6.7.

    Returns:
        An aware datetime in UTC, or None for None and for what is no such date.
    """
    if value is None:
        return None
    match = _date_gmt(value) or _date_asctime(value)
    if match is None:
        return None
    year = int(match["year"])
    if len(match["year"]) == 2:
        year = _full_year(year, datetime.now(UTC).year)
    second = int(match["second"])
    if second == 60:  # a leap second is a legal date, but datetime has no room for it
        second = 59
    try:
        return datetime(
            year,
            _MONTH_NUMBERS[match["month"].lower()],
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            second,
            tzinfo=UTC,
        )
    except (KeyError, ValueError):
        return None


def _full_year(two_digits: int, this_year: int) -> int:
    """RFC 9110 §5.6.7: over 50 years ahead means the latest past year that ends in these digits."""
    year = this_year - this_year % 100 + two_digits
    return year - 100 if year > this_year + 50 else year


def format_http_date(when: float | datetime) -> str:
    """Write a date as ``Sun, 06 Nov 1994 08:49:37 GMT``: the one form to send (RFC 9110 §5.6.7).

    Args:
        when: Seconds since 1970 UTC, or a datetime; one without a time zone is taken for UTC.
            Fractions of a second are dropped.

    Raises:
        OverflowError, OSError, ValueError: a number that is no date of this calendar.
    """
    t = when.utctimetuple() if isinstance(when, datetime) else time.gmtime(when)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04} "
        f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"
    )


# --- Range ---------------------------------------------------------------------------------------

# 640 digits: Python always converts that many, and no file has such a length.
_byte_range: Final = re.compile(
    r"bytes=([0-9]{0,640})-([0-9]{0,640})", re.ASCII | re.IGNORECASE
).fullmatch


def parse_range(value: str | None) -> slice:
    """Read a ``Range`` of bytes (RFC 9110 §14.1.2, §14.2).

    Returns:
        ``slice(start, stop, 1)``: ``bytes=2-5`` is ``slice(2, 6, 1)``, ``bytes=2-`` is
        ``slice(2, None, 1)``, ``bytes=-5`` is ``slice(-5, None, 1)``. Without a header, None, it is
        ``slice(None, None, 1)``.

    Raises:
        ValueError: not one range of bytes, a start after the end, or the last 0 bytes.
    """
    if value is None:
        return slice(None, None, 1)
    match = _byte_range(value)
    if match is None:
        raise ValueError("range not in acceptable format")
    first, last = match.groups()
    if not first and not last:
        raise ValueError("No start or end of range specified")
    if not last:
        return slice(int(first), None, 1)
    if first:
        if int(first) > int(last):
            raise ValueError("start cannot be after end")
        return slice(int(first), int(last) + 1, 1)
    if not int(last):
        # slice(-0, None) would be everything.
        raise ValueError("the last 0 bytes are no range that can be satisfied")
    return slice(-int(last), None, 1)


# --- Content-Type --------------------------------------------------------------------------------

_media_type: Final = re.compile(rf"[ \t]*+({TOKEN}/{TOKEN})[ \t]*+(?:;|\Z)").match
# An unquoted value may be more than a token: boundaries with "=" in them are common. A missing last
# quote is forgiven, and whatever stands between a value and the next semicolon is skipped.
_parameter: Final = re.compile(
    rf'[ \t]*+({TOKEN})[ \t]*+=[ \t]*+(?:"({QUOTED})"?|([^ \t;,"]++))[^;]*+(?:;|\Z)',
    re.DOTALL,
).match

_UNKNOWN_TYPE: Final[tuple[str, Mapping[str, str]]] = (
    "application/octet-stream",
    MappingProxyType({}),
)


@lru_cache(maxsize=128)
def parse_content_type(value: str) -> tuple[str, Mapping[str, str]]:
    """Read a ``Content-Type`` (RFC 9110 §8.3.1, §5.6.6). Cached: the same few values come all day.

    Returns:
        The media type in lower case and a read-only mapping of its parameters: names in lower case,
        values as they came but unquoted, the first of several with one name. Parameters that cannot
        be read are left out. A media type that cannot be read gives
        ``("application/octet-stream", {})``.
    """
    match = _media_type(value)
    if match is None:
        return _UNKNOWN_TYPE
    media_type = match[1].lower()
    parameters: dict[str, str] = {}
    position = match.end()
    while position < len(value):
        match = _parameter(value, position)
        if match is None:
            position = value.find(";", position) + 1 or len(value)
            continue
        name, quoted, plain = match.groups()
        parameters.setdefault(name.lower(), unquote(quoted) if plain is None else plain)
        position = match.end()
    return media_type, MappingProxyType(parameters)


# --- Extensions of WebSocket -------------------------------------------------------------------------

# A quoted value has to be a token once it is unquoted (RFC 6455 §9.1), and tokens need no escapes.
_extension_parameter: Final = re.compile(rf'({TOKEN})(?:[ \t]*+=[ \t]*+("?)({TOKEN})\2)?').fullmatch


def parse_extensions(value: str) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """Read a ``Sec-WebSocket-Extensions`` (RFC 6455 §9.1).

    Returns:
        (name, parameters) of every offer in order; a parameter is (name, value), its value None if it has none.
        Names as they came. An offer that cannot be read is left out.
    """
    offers = []
    for item in comma_separated(value):
        parts = semicolon_separated(item) or [""]
        name, *rest = [part.strip(" \t") for part in parts]
        parameters = [_extension_parameter(part) for part in rest]
        # What is empty is not among the parts.
        complete = ";".join(parts) == item and None not in parameters
        if complete and is_token(name):
            offers.append((name, [(match[1], match[3]) for match in parameters if match]))
    return offers


# --- Host ----------------------------------------------------------------------------------------

_host: Final = re.compile(
    r"(?:\[(?P<ip6>[0-9A-Fa-f:.]++)\]|(?P<name>(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*+))"
    r"(?P<port>:[0-9]{0,5})?"
).fullmatch


@lru_cache(maxsize=128)
def parse_host(value: str) -> tuple[str, int | None] | None:
    """Read the value of ``Host`` (RFC 9110 §7.2, RFC 3986 §3.2.2). Cached.

    Returns:
        (host, port): the host in lower case, an IPv6 address without its brackets; the port None if
        there is none. ``("", None)`` for the empty value, which a client sends when its target has
        no authority. None if the value is malformed.
    """
    match = _host(value)
    if match is None:
        return None
    ip6, name, port = match.groups()
    if ip6 is not None:
        try:
            IPv6Address(ip6)
        except ValueError:
            return None
    elif not name and port is not None:
        return None
    number = int(port[1:]) if port and len(port) > 1 else None
    if number is not None and number > 65535:
        return None
    return (ip6 or name).lower(), number


# --- Forwarded -----------------------------------------------------------------------------------

# A port behind a value, and spaces around a pair, are not in RFC 7239 §4, but in use.
_forwarded: Final = re.compile(
    rf'[ \t]*+(?:(?P<name>{TOKEN})=(?:(?P<plain>{TOKEN})|"({QUOTED})")'
    r"(?P<port>:[0-9]{1,5})?|(?P<mark>[,;])|\Z)",
    re.DOTALL,
).match


def parse_forwarded(values: Iterable[str]) -> tuple[Mapping[str, str], ...]:
    """Read all ``Forwarded`` fields of a request (RFC 7239 §4).

    Returns:
        One read-only mapping for each element, the one added by the first proxy first: names in
        lower case, values unquoted and unescaped. A field has at least one element, empty if it has
        nothing to say, so that a proxy cannot be hidden by what a client sent before. What follows
        bad syntax, up to the next comma, is left out. Addresses and host names are not checked.
    """
    elements: list[dict[str, str]] = []
    for value in values:
        elements.extend(_forwarded_elements(value))
    return tuple([MappingProxyType(element) for element in elements])


def _forwarded_elements(value: str) -> list[dict[str, str]]:
    element: dict[str, str] = {}
    elements = [element]
    pair_may_follow = True
    position = 0
    while position < len(value):
        match = _forwarded(value, position)
        if match is None or (match["name"] and not pair_may_follow):
            position = value.find(",", position)
            if position < 0:
                break
            continue
        position = match.end()
        name, plain, quoted, port, mark = match.groups()
        if name:
            element[name.lower()] = (unquote(quoted) if plain is None else plain) + (port or "")
        elif mark == ",":
            element = {}
            elements.append(element)
        pair_may_follow = not name
    return elements


# --- What a response sends -----------------------------------------------------------------------

_splits_lines: Final = re.compile(r"[\r\n\x00]").search


def check_field(name: str, value: str) -> None:
    """Refuse a header field that cannot be sent, or would become two (RFC 9110 §5.1, §5.5).

    Raises:
        ValueError: the name is no token, or the value has CR, LF or NUL in it.
        TypeError: the name or the value is no str.
    """
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(f"header {name!r}: name and value must be str, not {value!r}")
    if not is_token(name):
        raise ValueError(f"header name {name!r} is not a token (RFC 9110 §5.1)")
    if _splits_lines(value):
        raise ValueError(
            f"value of header {name} has CR, LF or NUL in it (RFC 9110 §5.5): {value!r}"
        )


_control: Final = re.compile(r"[\x00-\x1f\x7f]")
_unsafe_in_filename: Final = re.compile(r'[^ -~]|["\\]|%(?=[0-9A-Fa-f]{2})')


def content_disposition(filename: str, kind: str = "attachment") -> str:
    """Write a ``Content-Disposition`` that suggests a file name (RFC 6266 §4).

    A name that is safe in any receiver stands as ``filename="report.pdf"``. Any other is sent
    twice: exactly, as ``filename*=UTF-8''...`` (RFC 8187 §3.2), and for old receivers with ``_``
    for each doubtful character - what is not ASCII, quotes, backslashes, and percent signs that
    look like an escape (RFC 6266 appendix D). Control characters are ``_`` in both. Slashes are
    sent: receivers must not take a path from a peer (RFC 6266 §4.3).

    Args:
        filename: The name; lone surrogates, as file systems give them, are replaced.
        kind: The disposition type, usually ``attachment`` or ``inline``.

    Raises:
        ValueError: the kind is no token.
    """
    if not is_token(kind):
        raise ValueError(f"kind must be a token, like 'attachment', not {kind!r}")
    exact = _control.sub("_", filename)
    fallback = _unsafe_in_filename.sub("_", exact)
    header = f'{kind}; filename="{fallback}"'
    if fallback == exact:
        return header
    # The characters of RFC 8187's attr-char that quote() would escape.
    return f"{header}; filename*=UTF-8''{quote(exact, safe='!#$&+^`|', errors='replace')}"
