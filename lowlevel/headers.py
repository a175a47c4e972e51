"""Header fields by name: text in, typed values out.

For the usual ones a request has properties (``request.content_type``, ``request.if_none_match``, ...), which fall back
to something sensible where ``parse`` raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .protocol.field_values import READERS
from .protocol.headers import ETag, format_http_date, parse_http_date
from .protocol.set_cookie import SetCookie

__all__ = ("ETag", "SetCookie", "collect", "format_http_date", "parse", "parse_http_date")


def parse(name: str, value: str) -> Any:
    """Read the value of one header field.

    Args:
        name: The name of the field, in any case of letters.
        value: Its value; white space around it does not count.

    Returns:
        What the field says, in a value of its own, free to be changed; dates are aware and in UTC, names that are
        compared without regard to case are in lower case, and of several items with one name the first counts:

        =============================================================  ==========================================
        Accept                                                         ``{media range: {parameter: text, "q": float}}``
        Accept-Charset, Accept-Encoding, Accept-Language               ``{name: q}``
        Accept-CH, Accept-Ranges, Content-Encoding, Content-Language   list of names in lower case
        Vary, Access-Control-Allow-Headers                             the same
        Access-Control-Expose-Headers, Access-Control-Request-Headers  the same
        Allow, Access-Control-Allow-Methods                            list of names as they came
        Accept-Patch                                                   list of ``(media type, {parameter: text})``
        Content-Type                                                   ``(media type, {parameter: text})``
        Content-Disposition                                            ``(type, {parameter: text})``
        Access-Control-Allow-Credentials, DNT                          bool
        Access-Control-Max-Age, Age                                    seconds, an int of at most 2**31
        Content-Length                                                 int
        Device-Memory, DPR                                             float
        Authorization, Proxy-Authorization                             ``(scheme in lower case, credentials)``
        Cache-Control, Strict-Transport-Security                       ``{directive: int, str or None}``
        Clear-Site-Data                                                list of str without their quotes
        Content-Range                                                  ``(unit, (first, last) or None, size or None)``
        Range                                                          ``(unit, [(first or None, last or None)])``
        Content-Security-Policy, also with -Report-Only                list of ``{directive: [words]}``, one a policy
        Cookie                                                         ``{name: [values]}``
        Set-Cookie                                                     SetCookie
        Date, Expires, Last-Modified                                   datetime
        If-Modified-Since, If-Unmodified-Since                         the same
        ETag                                                           ETag
        If-Match, If-None-Match                                        list of ETag; ``[ETag("*")]`` for any
        If-Range                                                       ETag or datetime
        Retry-After                                                    seconds or datetime
        Forwarded                                                      list of ``{parameter: text}``, one a proxy
        Host                                                           ``(host, port or None)``, no brackets
        Expect                                                         str in lower case
        Access-Control-Allow-Origin, Access-Control-Request-Method     str as it came
        Content-Location, Cross-Origin-Resource-Policy, Location       the same
        Origin, Referer, Server                                        the same
        any other                                                      ``value`` itself
        =============================================================  ==========================================

        Where senders are many and receivers forgiving, what cannot be read is left out: items of Accept and its kin,
        Cache-Control, Cookie and Forwarded, and in If-Match and If-None-Match all from there on. ``Expires`` that is no
        date is the start of 1970 (RFC 9111 §5.3).

    Raises:
        ValueError: The value is malformed; the message names the field.
    """
    reader = READERS.get(name.lower())
    if reader is None:
        return value
    try:
        return reader(value.strip(" \t"))
    except ValueError as exc:
        raise ValueError(f"malformed {name} {value!r}: {exc}") from exc


def collect(
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]],
) -> dict[str, Any]:
    """Read all fields of a message.

    Args:
        headers: A multidict, a mapping or pairs, as ``request.headers`` and ``request.raw_headers`` are.

    Returns:
        What ``parse`` returns, by the names of the fields in lower case. Fields with one name become one value. Lists
        and mappings are joined; in a mapping the first of several items with one name counts, while a cookie keeps
        all its values. Fields that ``parse`` does not know are joined with ``", "`` (RFC 9110 §5.3). Of others, the
        last counts. ``set-cookie`` is a list of SetCookie. A malformed field is left out.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    collected: dict[str, Any] = {}
    for raw_name, raw_value in pairs:
        name, value = _text(raw_name).lower(), _text(raw_value)
        try:
            parsed = parse(name, value)
        except ValueError:
            continue
        if name == "set-cookie":
            parsed = [parsed]
        if name in collected:
            parsed = _merge(name, collected[name], parsed)
        collected[name] = parsed
    return collected


def _text(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "surrogateescape")


def _merge(name: str, former: Any, latter: Any) -> Any:
    """Add to a value what another field with the same name says."""
    if isinstance(former, list):
        former += latter
        return former
    if isinstance(former, dict):
        for key, value in latter.items():
            if name == "cookie":
                former.setdefault(key, []).extend(value)
            else:
                former.setdefault(key, value)
        return former
    return latter if name in READERS else f"{former}, {latter}"
