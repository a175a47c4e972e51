"""Forms that are ``application/x-www-form-urlencoded``."""

from __future__ import annotations

from functools import partial
from typing import Any, Final
from urllib.parse import unquote_plus

from multidict import MultiDict
from yarl import URL

from .exceptions import HTTPRequestEntityTooLarge, RequestDecodeError
from .protocol.charset import codec_name
from .threads import in_thread

__all__ = ("FIELDS_LIMIT", "parse_urlencoded", "read_urlencoded", "too_many_fields")

FIELDS_LIMIT: Final = 10 * 1024 * 1024
"""Fields of a form that are no files are in memory: they get no more bytes together, whatever a body may have."""

# yarl reads queries, which have the same syntax, in C; but it may remember what it read.
_YARL_LIMIT: Final = 16384

# More bytes are parsed in a thread: a third of a microsecond each, at worst.
_LARGE: Final = 32768


def read_urlencoded(data: bytes, charset: str, max_fields: int) -> MultiDict[Any]:
    """Return the fields of an ``application/x-www-form-urlencoded`` body (WHATWG URL §5.1).

    Bad escapes are kept as they are; escaped bytes that are no text in the charset become U+FFFD.

    Raises:
        RequestDecodeError: The charset is unknown, or the body is not text in it.
        HTTPRequestEntityTooLarge: There are more than ``max_fields`` fields; 0 is no limit.
    """
    if 0 < max_fields <= data.count(b"&"):
        raise too_many_fields(max_fields)
    try:
        codec = codec_name(charset)
        text = data.decode(codec)
    except (LookupError, ValueError) as exc:
        raise RequestDecodeError(text=f"The form is not text in {charset[:40]!r}") from exc
    if codec == "utf_8" and len(text) <= _YARL_LIMIT:
        return MultiDict(URL.build(query_string=text.rstrip(), encoded=True).query)
    form: MultiDict[Any] = MultiDict()
    for pair in filter(None, text.rstrip().split("&")):
        name, _, value = pair.partition("=")
        form.add(unquote_plus(name, codec), unquote_plus(value, codec))
    return form


async def parse_urlencoded(data: bytes, charset: str, max_fields: int) -> MultiDict[Any]:
    """Do the same, in a thread if it takes long."""
    if len(data) <= _LARGE:
        return read_urlencoded(data, charset, max_fields)
    return await in_thread(partial(read_urlencoded, data, charset, max_fields))


def too_many_fields(max_fields: int) -> HTTPRequestEntityTooLarge:
    """Return the answer to a form with more than ``max_fields`` fields."""
    text = f"Maximum number of form fields {max_fields} exceeded."
    return HTTPRequestEntityTooLarge(max_size=max_fields, text=text)
