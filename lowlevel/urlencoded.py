"""Forms that are ``application/x-www-form-urlencoded``."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final
from urllib.parse import unquote_plus, unquote_to_bytes

from multidict import MultiDict, MultiDictProxy
from yarl import URL

from .exceptions import HTTPRequestEntityTooLarge, RequestDecodeError
from .protocol.charset import codec_name
from .threads import in_thread

__all__ = ("FIELDS_LIMIT", "parse_urlencoded", "read_urlencoded", "too_many_fields")

FIELDS_LIMIT: Final = 10 * 1024 * 1024
"""Fields of a form that are no files are in memory: they get no more bytes together, whatever a body may have."""

# yarl reads queries, which have the same syntax, in C; but it may remember what it read.
_YARL_LIMIT: Final = 16384

# Longer values are decoded in slices of so many characters.
_SLICE: Final = 65536

# More bytes are parsed in a thread: a third of a microsecond each, at worst.
_LARGE: Final = 32768


def read_urlencoded(data: bytes, charset: str, max_fields: int) -> MultiDictProxy[Any]:
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
        return URL.build(query_string=text.rstrip(), encoded=True).query
    form: MultiDict[Any] = MultiDict()
    for pair in filter(None, text.rstrip().split("&")):
        name, _, value = pair.partition("=")
        form.add(_unquote(name, codec), _unquote(value, codec))
    return MultiDictProxy(form)


def _unquote(text: str, codec: str) -> str:
    """Undo escapes as ``urllib.parse.unquote_plus()`` does, which for long texts takes eighty times their memory."""
    if len(text) <= _SLICE:
        return unquote_plus(text, codec)
    return "".join(
        piece
        for run in _runs(text)
        for piece in (_unquote_slices(run[0], codec) if run[0].isascii() else (run[0],))
    )


_runs: Final = re.compile(r"[\x00-\x7f]+|[^\x00-\x7f]+").finditer


def _unquote_slices(text: str, codec: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(codec)("replace")
    start = 0
    while start < len(text):
        end = start + _SLICE
        if end < len(text):
            escape = text.rfind("%", end - 2, end)  # not to be cut
            end = end if escape < 0 else escape
        yield decoder.decode(unquote_to_bytes(text[start:end].replace("+", " ")))
        start = end
    yield decoder.decode(b"", True)


async def parse_urlencoded(data: bytes, charset: str, max_fields: int) -> MultiDictProxy[Any]:
    """Do the same, in a thread if it takes long."""
    if len(data) <= _LARGE:
        return read_urlencoded(data, charset, max_fields)
    return await in_thread(partial(read_urlencoded, data, charset, max_fields))


def too_many_fields(max_fields: int) -> HTTPRequestEntityTooLarge:
    """Return the answer to a form with more than ``max_fields`` fields."""
    text = f"Maximum number of form fields {max_fields} exceeded."
    return HTTPRequestEntityTooLarge(max_size=max_fields, text=text)
