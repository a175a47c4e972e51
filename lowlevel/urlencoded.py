"""Forms that are ``application/x-www-form-urlencoded``."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote_plus

from multidict import MultiDict
from yarl import URL

from .exceptions import HTTPRequestEntityTooLarge, RequestDecodeError
from .protocol.charset import codec_name

__all__ = ("read_urlencoded", "too_many_fields")

# yarl reads queries, which have the same syntax, in C; but it may remember what it read.
_YARL_LIMIT: Final = 16384


def read_urlencoded(data: bytes, charset: str, max_fields: int) -> MultiDict[Any]:
    """Return the fields of an ``application/x-www-form-urlencoded`` body (WHATWG URL §5.1).

    Bad escapes are kept as they are; escaped bytes that are no text in the charset become U+FFFD.

    Raises:
        RequestDecodeError: The charset is unknown, or the body is not text in it.
        HTTPRequestEntityTooLarge: There are more than ``max_fields`` fields; 0 is no limit.
    """
    try:
        codec = codec_name(charset)
        text = data.decode(codec)
    except (LookupError, ValueError) as exc:
        raise RequestDecodeError(text=f"The form is not text in {charset[:40]!r}") from exc
    pairs = text.rstrip().split("&")
    if 0 < max_fields < len(pairs):
        raise too_many_fields(max_fields)
    if codec == "utf_8" and len(text) <= _YARL_LIMIT:
        return MultiDict(URL.build(query_string=text.rstrip(), encoded=True).query)
    form: MultiDict[Any] = MultiDict()
    for pair in filter(None, pairs):
        name, _, value = pair.partition("=")
        form.add(unquote_plus(name, codec), unquote_plus(value, codec))
    return form


def too_many_fields(max_fields: int) -> HTTPRequestEntityTooLarge:
    """Return the answer to a form with more than ``max_fields`` fields."""
    text = f"Maximum number of form fields {max_fields} exceeded."
    return HTTPRequestEntityTooLarge(max_size=max_fields, text=text)
