"""Cookies that a server sets (RFC 6265 §4.1, §5.2): the ``Set-Cookie`` field, read and written.

"6265bis" is draft-ietf-httpbis-rfc6265bis, which describes what browsers do: ``SameSite`` and prefixes of names.
``Partitioned`` comes from draft-cutler-httpbis-partitioned-cookies (CHIPS).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from .cookies import is_cookie_name, unquote_value
from .headers import check_field, format_http_date, is_token

__all__ = (
    "SameSite",
    "SetCookie",
    "check_attribute",
    "check_name",
    "format_set_cookie",
    "has_prefix",
    "parse_cookie_date",
    "parse_set_cookie",
    "samesite_of",
)

SameSite = Literal["Strict", "Lax", "None"]


@dataclass(frozen=True, slots=True)
class SetCookie:
    """What a ``Set-Cookie`` field says (RFC 6265 §5.2).

    Attributes:
        name: The name of the cookie.
        value: Its value, unquoted as ``parse_cookie`` does it.
        expires: When it ends, in UTC; None if not told. ``max_age`` outranks it.
        max_age: How long it lives, nothing or less to drop it; None if not told.
        path: The paths that get it, starting with a slash; None for that of the request.
        domain: The host that gets it, and those below it, in lower case without a leading dot; None for only the host
            that set it.
        secure: Whether it is for TLS only.
        httponly: Whether scripts do not see it.
        samesite: Which requests from other sites carry it; None for what the client does by default.
        partitioned: Whether it is kept apart by top-level site.
    """

    name: str
    value: str
    expires: datetime | None = None
    max_age: timedelta | None = None
    path: str | None = None
    domain: str | None = None
    secure: bool = False
    httponly: bool = False
    samesite: SameSite | None = None
    partitioned: bool = False


# --- Reading -------------------------------------------------------------------------------------

_control: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
_is_seconds: Final = re.compile(r"-?[0-9]++").fullmatch
_SAMESITE: Final[dict[str, SameSite]] = {"strict": "Strict", "lax": "Lax", "none": "None"}


def parse_set_cookie(value: str) -> SetCookie:
    """Read the value of one ``Set-Cookie`` field, as a browser does (RFC 6265 §5.2, 6265bis §5.6).

    Names of attributes may be in any case; the last of several counts. An attribute that is not known, or a date or
    number that cannot be read, is left out. Whether a browser would keep the cookie is another question.

    Raises:
        ValueError: A control character but the tab in it, which makes browsers drop the cookie; or no equals sign,
            or a name that ``parse_cookie`` would leave out.
    """
    if _control(value):
        raise ValueError("a control character in Set-Cookie (6265bis §5.6)")
    pair, *attributes = value.split(";")
    name, equals, text = pair.partition("=")
    name = name.strip(" \t")
    if not equals or not is_cookie_name(name):
        raise ValueError("no usable name of a cookie in Set-Cookie (RFC 6265 §5.2)")
    told: dict[str, Any] = {}
    for attribute in attributes:
        key, _, setting = attribute.partition("=")
        told |= _read_attribute(key.strip(" \t").lower(), setting.strip(" \t"))
    return SetCookie(name, unquote_value(text.strip(" \t")), **told)


def _read_attribute(key: str, setting: str) -> dict[str, object]:
    """Return the fields of SetCookie that an attribute changes."""
    match key:
        case "expires":
            date = parse_cookie_date(setting)
            return {} if date is None else {"expires": date}
        case "max-age":
            return {"max_age": _lifetime(setting)} if _is_seconds(setting) else {}
        case "path":
            return {"path": setting if setting.startswith("/") else None}
        case "domain":
            return {"domain": setting.removeprefix(".").lower() or None}
        case "samesite":
            return {"samesite": _SAMESITE.get(setting.lower())}
        case "secure" | "httponly" | "partitioned":
            return {key: True}
    return {}


def _lifetime(digits: str) -> timedelta:
    try:
        return timedelta(seconds=int(digits))
    # ValueError: more digits than Python converts. Both mean "for ever" (RFC 6265 §5.2.2).
    except (OverflowError, ValueError):
        return timedelta.min if digits[0] == "-" else timedelta.max


# RFC 6265 §5.1.1: what stands between the parts of a date, and the parts, each known by its look.
_date_parts: Final = re.compile(r"[^\t -/;-@\[-`{-~]++").findall
_clock: Final = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])").match
_day: Final = re.compile(r"([0-9]{1,2})(?![0-9])").match
_year: Final = re.compile(r"([0-9]{2,4})(?![0-9])").match
_MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec".split()


def parse_cookie_date(value: str) -> datetime | None:
    """Read a date as browsers read that of ``Expires`` (RFC 6265 §5.1.1): any order, any separators.

    Two digits of a year are of 1970 to 2069. A time zone is not looked at.

    Returns:
        An aware datetime in UTC, or None for what is no date.
    """
    clock = day = year = None
    month: int | None = None
    for part in _date_parts(value):
        if clock is None and (clock := _clock(part)):
            continue
        if day is None and (day := _day(part)):
            continue
        if month is None and (short := part[:3].lower()) in _MONTHS:
            month = _MONTHS.index(short) + 1
            continue
        if year is None:
            year = _year(part)
    if clock is None or day is None or month is None or year is None:
        return None
    number = int(year[1])
    if number < 100:
        number += 1900 if number >= 70 else 2000
    if number < 1601:
        return None
    hour, minute, second = map(int, clock.groups())
    try:
        return datetime(number, month, int(day[1]), hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


# --- Rules ---------------------------------------------------------------------------------------

_breaks_attribute: Final = re.compile(r"[\x00-\x1f\x7f;]").search


def check_attribute(name: str, value: str) -> None:
    """Refuse a value of an attribute that would end it, and start another or another field (RFC 6265 §4.1.1).

    Raises:
        ValueError: It has a control character or a semicolon in it.
        TypeError: It is no str.
    """
    check_field("Set-Cookie", value)
    if _breaks_attribute(value):
        raise ValueError(
            f"{name} of a cookie has a control character or a semicolon in it: {value!r}"
        )


def has_prefix(name: str) -> bool:
    """Tell whether a name starts with ``__Secure-`` or ``__Host-``, in any case of letters (6265bis §5.4)."""
    return name.lower().startswith(("__secure-", "__host-"))


def check_name(name: str, *, secure: bool, path: str | None, domain: str | None) -> None:
    """Refuse what browsers refuse: a prefix of the name that promises what the attributes do not keep (6265bis §4.1.3).

    Raises:
        ValueError: ``__Secure-`` or ``__Host-`` without ``secure``; ``__Host-`` with a domain, or with a path other
            than ``/``.
    """
    if not has_prefix(name):
        return
    if not secure:
        raise ValueError(f"cookie {name!r} needs secure=True (6265bis §4.1.3)")
    if name.lower().startswith("__host-"):
        if domain:
            raise ValueError(f"cookie {name!r} must have no domain (6265bis §4.1.3.2)")
        if path != "/":
            raise ValueError(f"cookie {name!r} needs path='/' (6265bis §4.1.3.2)")


def samesite_of(value: str) -> SameSite:
    """Return a value of ``SameSite`` in its usual spelling, given in any.

    Raises:
        ValueError: It is none.
    """
    known = _SAMESITE.get(value.lower())
    if known is None:
        raise ValueError(f"samesite must be 'Strict', 'Lax' or 'None', not {value!r}")
    return known


# --- Writing -------------------------------------------------------------------------------------

# RFC 6265 §4.1.1, cookie-octet.
_is_plain: Final = re.compile(r"[!#-+\--:<-\[\]-~]*+").fullmatch
_special: Final = re.compile(r'[\x00-\x1f\x7f-\xff",;\\]')


def format_set_cookie(
    name: str,
    value: str,
    *,
    expires: datetime | str | None = None,
    max_age: timedelta | int | None = None,
    path: str | None = None,
    domain: str | None = None,
    secure: bool = False,
    httponly: bool = False,
    samesite: str | None = None,
    partitioned: bool = False,
) -> str:
    """Write the value of one ``Set-Cookie`` field (RFC 6265 §4.1, 6265bis §4.1).

    Args:
        name: A token.
        value: Any text without CR, LF and NUL. Where RFC 6265 has no room for a character, the value is put in quotes
            and escaped as ``http.cookies`` does it; ``parse_cookie`` undoes that.
        expires: When the cookie ends: a datetime, taken for UTC if it has no time zone, or an HTTP date.
        max_age: How long it lives, in seconds or as a timedelta of which fractions are dropped; 0 or less drops it.
        path: The paths that get it; None for that of the request.
        domain: The host that gets it, and those below it; None for only the host that sets it.
        secure: Over TLS only.
        httponly: Not for scripts.
        samesite: Which requests from other sites carry it: ``"Strict"``, ``"Lax"`` or ``"None"``, in any case.
        partitioned: Kept apart by top-level site.

    Raises:
        ValueError: The name is no token; CR, LF or NUL in the value; a control character or a semicolon in an
            attribute; another ``samesite``; or what browsers refuse: a prefix of the name that promises more than the
            attributes keep (6265bis §4.1.3), ``samesite="None"`` or ``partitioned`` without ``secure``.
        TypeError: The value or an attribute is no str where it must be one.
    """
    if not is_token(name):
        raise ValueError(f"name of a cookie must be a token (RFC 6265 §4.1.1), not {name!r}")
    check_field("Set-Cookie", value)
    check_name(name, secure=secure, path=path, domain=domain)
    if samesite is not None:
        samesite = samesite_of(samesite)
    if not secure and (partitioned or samesite == "None"):
        raise ValueError(
            f"cookie {name!r} needs secure=True to be partitioned or have samesite='None' "
            "(6265bis §5.7, CHIPS)"
        )
    if isinstance(expires, datetime):
        expires = format_http_date(expires)
    if isinstance(max_age, timedelta):
        max_age = int(max_age.total_seconds())
    texts = {
        "Expires": expires,
        "Max-Age": None if max_age is None else str(int(max_age)),
        "Domain": domain,
        "Path": path,
        "SameSite": samesite,
    }
    parts = [f"{name}={_quote(value)}"]
    for attribute, text in texts.items():
        if text is not None:
            check_attribute(attribute, text)
            parts.append(f"{attribute}={text}")
    flags = {"Secure": secure, "HttpOnly": httponly, "Partitioned": partitioned}
    parts += [flag for flag, wanted in flags.items() if wanted]
    return "; ".join(parts)


def _quote(value: str) -> str:
    return value if _is_plain(value) else f'"{_special.sub(_escape, value)}"'


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return f"\\{character}" if character in '"\\' else f"\\{ord(character):03o}"
