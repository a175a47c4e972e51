"""Make responses of what is shorter to write: text, JSON, a status, tuples, streams."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator, Mapping
from functools import partial
from types import ModuleType
from typing import Final

from ..handlers import describe, not_a_response
from ..protocol.headers import parse_content_type
from ..request import BaseRequest
from ..response import Response, StreamResponse, json_response

__all__ = ("coerce", "respond", "to_response")

_Fields = list[tuple[str, str]]

_dumps: Final = partial(json.dumps, ensure_ascii=False, separators=(",", ":"))

# Their text is about the program, not about what it has to say.
_SPEECHLESS: Final = (Awaitable, BaseException, Iterator, ModuleType, type)


class _Unfit(TypeError):
    """What nothing can be made of, in contrast to a TypeError that was raised on the way."""


async def coerce(
    request: BaseRequest, handler: Callable[[BaseRequest], Awaitable[object]]
) -> StreamResponse:
    """A middleware: let the handler inside return whatever ``to_response`` takes::

        handler = web.compose(handler, web.coerce)

    It raises what the handler raises, and what turning its result into bytes does: JSON of what is no JSON, say.
    Cancelling it cancels the handler.

    Args:
        request: The request.
        handler: The handler inside.

    Raises:
        NotAResponse: It returned something else, None for example. A TypeError.
        ValueError: It returned a number that is no status.
    """
    value = await handler(request)
    # What it mostly is, faster than the question to an abstract class.
    if type(value) is Response or isinstance(value, StreamResponse):
        return value
    return respond(value, request._answered_by or handler)


def respond(value: object, source: object) -> StreamResponse:
    """Do what ``to_response`` does, and name ``source``, which returned the value, where that cannot be done.

    Raises:
        NotAResponse: Nothing can be made of the value. A TypeError.
        As to_response() does otherwise.
    """
    try:
        return to_response(value)
    except _Unfit as exc:
        raise not_a_response(source, value, str(exc)) from None
    except Exception as exc:
        exc.add_note(f"The handler {describe(source)} returned this {type(value).__name__}")
        raise


def to_response(value: object) -> StreamResponse:
    """Return the response that a value stands for. Subclasses are taken for what they are derived from.

    ============================  ===================================================================
    a response                    itself
    str, bytes                    ``text/html`` in UTF-8
    dict, list, bool              JSON, compact, in UTF-8
    int, ``http.HTTPStatus``      that status, 200 to 599, without a body
    (status,)                     likewise
    (status, content)             that status for what the content stands for
    (status, headers, content)    with these header fields, which win over those that belong to the content
    async iterable of bytes       sent piece by piece, ``application/octet-stream``
    function without arguments    likewise, if it returns an async iterable
    anything else with a text     ``str()`` of it, ``text/plain``: float, Decimal, UUID, datetime, dataclasses
    ============================  ===================================================================

    In a tuple, an int is content like a float or a list, JSON; what is false - None, ``""``, ``[]``, 0 - is no body;
    and a response gets status and fields. Headers are a mapping, or a list or tuple of pairs, each name and value str
    or bytes, or None. In a tuple of two they can only be a list of pairs of bytes: ``(200, [(b"x-a", b"1")])``. A
    fourth item, for the pushes of HTTP/2, may be there if it is empty.

    Raises:
        TypeError: Nothing of that: None, what should have been awaited, a class, a function with arguments, an
            iterator, a plain object without a text. Or JSON of what is no JSON.
        ValueError: A status that is not within 200 to 599, or content that contains itself.
    """
    if isinstance(value, StreamResponse):
        return value
    if isinstance(value, tuple):
        return _from_tuple(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Response(status=_status(value))
    return _from_content(value)


def _from_tuple(value: tuple[object, ...]) -> StreamResponse:
    if not 1 <= len(value) <= 4:
        raise _Unfit(f"a tuple has 1 to 4 items, not {len(value)}")
    status = _status(value[0])
    fields: _Fields = []
    content: object = None
    if len(value) == 2:
        if _is_list_of_bytes_pairs(value[1]):
            fields = _fields(value[1])
        else:
            content = value[1]
    elif len(value) > 2:
        fields = _fields(value[1])
        content = value[2]
        if len(value) == 4 and value[3]:
            raise _Unfit("HTTP/1.1 has no pushes, which a fourth item stands for")
    if isinstance(content, tuple):
        raise _Unfit("a tuple in a tuple")
    response = _from_content(content, fields) if content else Response()
    if status != response.status:
        response.set_status(status)
    _put(response, fields)
    return response


def _from_content(content: object, fields: _Fields | None = None) -> StreamResponse:
    """Return the response to anything but a tuple, or a status alone.

    Args:
        fields: They win in the end; the charset of text has to be theirs before.
    """
    if isinstance(content, StreamResponse):
        return content
    if isinstance(content, str):
        charset = _charset(fields or [])
        return Response(text=content, content_type="text/html", charset=charset)
    if isinstance(content, (bytes, bytearray, memoryview)):
        return Response(body=bytes(content), content_type="text/html", charset="utf-8")
    if isinstance(content, (dict, list, int)):
        return json_response(content, dumps=_dumps)
    if isinstance(content, AsyncIterable):
        return Response(body=content)
    if callable(content) and not isinstance(content, type):
        return Response(body=_stream_of(content))
    if _has_text(content):
        return Response(text=str(content), charset=_charset(fields or []))
    raise _Unfit


def _stream_of(function: Callable[..., object]) -> AsyncIterable[object]:
    """Call what may be a function that makes a stream."""
    if inspect.iscoroutinefunction(function):
        raise _Unfit("a coroutine function")
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        raise _Unfit(f"{describe(function)} cannot be called without arguments") from None
    stream = function()
    if isinstance(stream, AsyncIterable):
        return stream
    if inspect.iscoroutine(stream):
        stream.close()  # or Python would complain that nobody awaited it
    raise _Unfit(f"{describe(function)}() is {type(stream).__name__}, not an async iterable")


def _has_text(value: object) -> bool:
    """Whether somebody thought about what ``str()`` of it should be."""
    if value is None or isinstance(value, _SPEECHLESS):
        return False
    kind = type(value)
    return kind.__str__ is not object.__str__ or kind.__repr__ is not object.__repr__


def _status(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Unfit(f"the first item of a tuple is its status, not {type(value).__name__}")
    if not 200 <= value <= 599:
        raise ValueError(f"the status of a response is within 200 to 599: {int(value)}")
    return value


# Header fields.


def _is_list_of_bytes_pairs(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, tuple)
        and len(pair) == 2
        and isinstance(pair[0], bytes)
        and isinstance(pair[1], bytes)
        for pair in value
    )


def _fields(headers: object) -> _Fields:
    if headers is None:
        return []
    pairs: object = list(headers.items()) if isinstance(headers, Mapping) else headers
    if not isinstance(pairs, (list, tuple)):
        raise _Unfit(f"headers are a mapping or a list of pairs, not {type(headers).__name__}")
    fields: _Fields = []
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise _Unfit(f"headers must hold pairs, not {pair!r}")
        fields.append((_text(pair[0]), _text(pair[1])))
    return fields


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")  # the way back to bytes is the same
    if isinstance(value, str):
        return value
    raise _Unfit(f"names and values of headers are str or bytes, not {type(value).__name__}")


def _charset(fields: _Fields) -> str:
    """Return what text has to be encoded in, by its Content-Type."""
    for name, value in fields:
        if name.lower() == "content-type":
            return parse_content_type(value)[1].get("charset") or "utf-8"
    return "utf-8"


def _put(response: StreamResponse, fields: _Fields) -> None:
    """Set fields, of which some may be there more than once, instead of those of the same names."""
    if not fields:
        return
    headers = response.headers
    for name, _ in fields:
        headers.popall(name, None)
    headers.extend(fields)
