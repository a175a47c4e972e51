"""A request, as the handler sees it. Raw facts are kept; everything else is worked out when asked, and then kept."""

from __future__ import annotations

import asyncio
import inspect
import json
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, overload

from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, MultiDictProxy, MultiMapping
from yarl import URL

from .body import EMPTY_PAYLOAD, StreamReader
from .exceptions import HTTPRequestEntityTooLarge, RequestDecodeError
from .json_error import InvalidJSON
from .keys import AppState, State
from .options import check_count
from .protocol import headers as fields
from .protocol.charset import decode_text
from .protocol.content_decoder import SURPLUS
from .protocol.cookies import parse_cookie
from .protocol.head import HttpVersion, RequestHead
from .protocol.headers import ETag
from .writer import ResponseWriter

if TYPE_CHECKING:
    from .channel import Channel
    from .forms import FormValue, UploadTo
    from .multipart import BodySource, MultipartReader

__all__ = ("BaseRequest", "Request")

_T = TypeVar("_T")

_URLENCODED: Final = "application/x-www-form-urlencoded"

# What a request remembers of its path, and what is mounted below it has to find out for itself.
_OF_ONE_PATH: Final = frozenset(("_answered_by", "_routed", "match_info", "path_qs", "url"))

_Headers = Mapping[str, str] | Iterable[tuple[str, str]]


class _Derived(Generic[_T]):
    """An attribute worked out on first use, then an ordinary attribute.

    functools.cached_property takes a lock before Python 3.12 and makes a ``__dict__`` of its own use.
    """

    def __init__(self, function: Callable[[Any], _T]) -> None:
        self._function = function
        self.__doc__ = function.__doc__
        self._name = function.__name__

    @overload
    def __get__(self, instance: None, owner: type) -> _Derived[_T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> _T: ...

    def __get__(self, instance: object | None, owner: type) -> _T | _Derived[_T]:
        if instance is None:
            return self
        value = self._function(instance)
        setattr(instance, self._name, value)
        return value


class BaseRequest(State):
    """One request: a mutable mapping of per-request state, always true, equal only to itself.

    Made by the server, or by a ``request_factory`` that is given the first five arguments.

    Args:
        message: The head of the request.
        payload: The body.
        protocol: The connection it came on.
        payload_writer: Writes the response; None makes one when it is first used.
        task: The task that runs the handler.
        loop: Not needed; taken for aiohttp's callers.
        client_max_size: Most bytes that ``read()`` and what stands on it accept; 0 is no limit.
        client_max_fields: Most fields of a form; 0 is no limit.
        state: Initial per-request state.
        scheme: Replaces what the transport says.
        host: Replaces the Host field.
        remote: Replaces the peer's address.
    """

    _read_bytes: bytes | None = None
    _post: MultiDictProxy[FormValue] | None = None
    _key_class = "RequestKey"
    _warned = set[str]()
    _client_max_size = 1024**2
    _client_max_fields = 1000
    _writer: ResponseWriter | None = None
    _replaced: tuple[str | None, str | None, str | None] = (None, None, None)
    # What the toolkit keeps here: the application; what its router found before the middlewares ran; the request as
    # it was outside of a mount; and whose answer was no response.
    _app: AppState | None = None
    _routed: tuple[object, Any] | None = None
    _outer: BaseRequest | None = None
    _answered_by: object = None

    match_info: Mapping[str, Any] = MappingProxyType({})
    """The values of the variables in the path that a router matched, converted; empty without any."""

    prefix: str = ""
    """What mounts cut off the path, percent-encoded as it came; ``path`` is what is left."""

    def __init__(
        self,
        message: RequestHead,
        payload: StreamReader,
        protocol: Channel,
        payload_writer: ResponseWriter | None,
        task: asyncio.Task[Any] | None,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        client_max_size: int = 1024**2,
        client_max_fields: int = 1000,
        state: dict[Any, Any] | None = None,
        scheme: str | None = None,
        host: str | None = None,
        remote: str | None = None,
    ) -> None:
        self._message = message
        self._payload = payload
        self._protocol = protocol
        self._task = task
        if client_max_size != 1024**2:
            self._client_max_size = client_max_size
        if client_max_fields != 1000:
            self._client_max_fields = client_max_fields
        if payload_writer is not None:
            self._writer = payload_writer
        if state is not None:
            self._state = state
        if scheme is not None or host is not None or remote is not None:
            self._replace(scheme, host, remote)

    def _replace(self, scheme: str | None, host: str | None, remote: str | None) -> None:
        self._replaced = scheme, host, remote
        if scheme is not None:
            self.scheme = scheme
        if host is not None:
            self.host = host
        if remote is not None:
            self.remote = remote

    @classmethod
    def make(
        cls,
        message: RequestHead,
        payload: StreamReader,
        protocol: Channel,
        task: asyncio.Task[Any] | None,
        client_max_size: int = 1024**2,
    ) -> Self:
        """Return a request like the constructor does, but for the tuple and the dict that calling a class makes."""
        request = cls.__new__(cls)
        request._message = message
        request._payload = payload
        request._protocol = protocol
        request._task = task
        if client_max_size != 1024**2:
            request._client_max_size = client_max_size
        return request

    def __repr__(self) -> str:
        path = self.path.encode("ascii", "backslashreplace").decode("ascii")
        return f"<{type(self).__name__} {self.method} {path} >"

    def clone(
        self,
        *,
        method: str | None = None,
        rel_url: str | URL | None = None,
        headers: _Headers | None = None,
        scheme: str | None = None,
        host: str | None = None,
        remote: str | None = None,
        client_max_size: int | None = None,
        client_max_fields: int | None = None,
    ) -> BaseRequest:
        """Return a copy with some attributes replaced. It shares the body and has a copy of the state.

        Args:
            method: The method; no argument that is left out changes anything.
            rel_url: The target.
            headers: All header fields, a mapping or pairs.
            scheme: ``"http"`` or ``"https"``.
            host: What ``host`` says.
            remote: What ``remote`` says.
            client_max_size: Bytes; 0 is no limit.
            client_max_fields: Fields of a form; 0 is no limit.

        Raises:
            RuntimeError: The body has already been read.
        """
        if self._read_bytes:
            raise RuntimeError("Cannot clone request after reading its content")
        message = self._message
        if method is not None or rel_url is not None or headers is not None:
            message = message.replace(
                method=method,
                url=None if rel_url is None else URL(rel_url),
                headers=None if headers is None else CIMultiDict(headers),
            )
        old_scheme, old_host, old_remote = self._replaced
        copy = type(self)(
            message,
            self._payload,
            self._protocol,
            self.writer,
            self._task,
            None,
            client_max_size=self._client_max_size if client_max_size is None else client_max_size,
            client_max_fields=self._client_max_fields
            if client_max_fields is None
            else client_max_fields,
            state=None if self._state is None else self._state.copy(),
            scheme=old_scheme if scheme is None else scheme,
            host=old_host if host is None else host,
            remote=old_remote if remote is None else remote,
        )
        copy.match_info, copy.prefix, copy._app = self.match_info, self.prefix, self._app
        if rel_url is None and self._outer is not None:
            # The URL is that of what was outside.
            replaced = scheme is not None or host is not None
            outer = self._outer
            copy._outer = outer.clone(scheme=scheme, host=host) if replaced else outer
        return copy

    def below(self, depth: int) -> BaseRequest:
        """Return the request as what is mounted sees it: without the first ``depth`` segments of its path.

        It shares everything with this one but path and prefix, what routers say of it, and the application.
        """
        target = self._message.target
        if target[:1] != b"/" or b"#" in target:
            self.host  # which the target may tell  # noqa: B018
            # As routers read it: in another form, or with a fragment, the target has other slashes.
            url = self._message.url
            target = b"?".join(
                part.encode() for part in (url.raw_path, url.raw_query_string) if part
            )
        path, mark, query = target.partition(b"?")
        parts = path.split(b"/")
        if self._state is None:
            self._state = {}
        inner = type(self).__new__(type(self))
        inner.__dict__.update(self.__dict__)
        for name in _OF_ONE_PATH.intersection(self.__dict__):
            del inner.__dict__[name]
        rest = b"/" + b"/".join(parts[depth + 1 :])
        inner._message = self._message.with_target(rest + mark + query)
        inner._outer = self
        inner.prefix = self.prefix + b"/".join(parts[: depth + 1]).decode()
        return inner

    @property
    def app(self) -> AppState:
        """The innermost Application that the request came to, a mapping of what its requests share.

        Raises:
            AttributeError: There is none.
        """
        if self._app is None:
            raise AttributeError("this request has not come to an Application")
        return self._app

    # The connection.

    @property
    def task(self) -> asyncio.Task[Any]:
        """The task that runs the handler.

        Raises:
            RuntimeError: It was made without one.
        """
        if self._task is None:
            raise RuntimeError("this request has no task")
        return self._task

    @property
    def protocol(self) -> Channel:
        """The connection the request came on."""
        return self._protocol

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport of the connection, None once it is lost."""
        return self._protocol.transport

    @property
    def writer(self) -> ResponseWriter:
        """The sending side of this request."""
        if self._writer is None:
            outer = self._outer
            self._writer = ResponseWriter(self._protocol) if outer is None else outer.writer
        return self._writer

    @property
    def response_begun(self) -> bool:
        """Whether the head of a response to this request has been sent, so that no other answer can be."""
        if self._writer is None:
            # A writer is only made when it is needed: a response that is all there does without.
            return self._outer is not None and self._outer.response_begun
        return self._writer.framing is not None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows under a name.

        Args:
            name: For example ``"peername"`` or ``"ssl_object"``; ``asyncio.BaseTransport.get_extra_info`` has the list.
            default: What is returned without it, or once the connection is lost.
        """
        transport = self._protocol.transport
        return default if transport is None else transport.get_extra_info(name, default)

    async def wait_disconnected(self) -> bool:
        """Wait until the client leaves, or the request ends, whichever comes first. Safe to cancel.

        Returns:
            True when the client closed its side or the connection was lost; False when the request ended.
        """
        return await self._protocol.wait_disconnected(self)

    def background(self, awaitable: Awaitable[Any]) -> None:
        """Let the server await something once the response is out; the client need not wait for it.

        What is left so is awaited in order, one after another, each in a copy of the context of this call, and does not
        hold up the connection. An error is logged, and the next one has its turn. Files of a form stay open until all
        is done. All copies of a request share one order.

        It needs a complete response, be it a 500, or a WebSocket that was closed: if the client leaves before, or the
        handler is cancelled, nothing is awaited, and coroutines are closed. A server that shuts down waits for what is
        left within its timeout, and cancels it then.

        Args:
            awaitable: A coroutine, a future, or any other object that can be awaited.

        Raises:
            TypeError: It cannot be awaited.
            RuntimeError: The response was sent before, and nothing is left to be done.
        """
        if not inspect.isawaitable(awaitable):
            raise TypeError(f"background() needs something to await, not {awaitable!r}")
        self._protocol.background(self, awaitable)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop. Deprecated."""
        warnings.warn("request.loop property is deprecated", DeprecationWarning, stacklevel=2)
        return asyncio.get_running_loop()

    @property
    def message(self) -> RequestHead:
        """The head of the request. Deprecated."""
        warnings.warn("Request.message is deprecated", DeprecationWarning, stacklevel=2)
        return self._message

    # The request line.

    @property
    def method(self) -> str:
        """The method, upper case (RFC 9110 §9)."""
        return self._message.method

    @property
    def version(self) -> HttpVersion:
        """The version of the request, ``(1, 0)`` or ``(1, 1)`` (RFC 9112 §2.3)."""
        return self._message.version

    @property
    def rel_url(self) -> URL:
        """The target of the request as a relative URL."""
        url = self._message.url
        return url.relative() if url.absolute else url

    @_Derived
    def url(self) -> URL:
        """The whole URL, made of scheme, host and target; mounts do not change it."""
        if self._outer is not None:
            return self._outer.url
        target = self._message.url
        if target.absolute and self._replaced[1] is None:
            return target.with_scheme(self.scheme) if target.scheme else target
        return URL.build(scheme=self.scheme, authority=self.host).join(self.rel_url)

    @property
    def path(self) -> str:
        """The path of the target, percent-decoded; ``/a b`` for ``/a%20b?c=d``."""
        path = self._message.target.decode()
        if "?" in path:
            path = path.partition("?")[0]
        if "%" in path or "#" in path or path[:1] != "/":
            return self.rel_url.path
        return path

    @_Derived
    def path_qs(self) -> str:
        """The path and the query string, as in the URL."""
        return str(self.rel_url)

    @property
    def raw_path(self) -> str:
        """The target as it was sent."""
        return self._message.path

    @property
    def query(self) -> MultiMapping[str]:
        """The variables of the query string."""
        return self.rel_url.query

    @property
    def query_string(self) -> str:
        """The query string, decoded, without its question mark."""
        return self.rel_url.query_string

    @_Derived
    def scheme(self) -> str:
        """``"https"`` on a TLS connection, else ``"http"``. What a client or a proxy claims has no influence."""
        return "http" if self._protocol.ssl_context is None else "https"

    @property
    def secure(self) -> bool:
        """Whether the scheme is ``https``."""
        return self.scheme == "https"

    @_Derived
    def host(self) -> str:
        """The host of an absolute target, else the Host field with its port, else our own address (RFC 9112 §3.3)."""
        if self._message.target[:1] != b"/" and self._message.url.host is not None:
            return self._message.url.host
        host = self.headers.get("Host")
        if host is not None:
            return host
        name = self._protocol.sockname
        if isinstance(name, tuple):
            return f"[{name[0]}]" if len(name) == 4 else str(name[0])
        return "" if name is None else str(name)

    @_Derived
    def remote(self) -> str | None:
        """The address of the peer, a path for a named unix socket, None if unknown."""
        name = self._protocol.peername
        if isinstance(name, (tuple, list)):
            return str(name[0])
        return None if name is None else str(name)

    # The header fields.

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The header fields; names compare without regard to case."""
        return self._message.headers

    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The header fields as bytes, in the order and spelling they came."""
        return self._message.raw_headers

    @property
    def keep_alive(self) -> bool:
        """Whether the client lets the connection persist (RFC 9112 §9.3)."""
        return self._message.keep_alive

    @property
    def is_websocket(self) -> bool:
        """Whether the request asks for a WebSocket (RFC 6455 §4.1)."""
        return self._message.offers_websocket

    @_Derived
    def _media_type(self) -> tuple[str, Mapping[str, str]]:
        return fields.parse_content_type(self.headers.get("Content-Type", ""))

    @property
    def content_type(self) -> str:
        """The media type of the body; ``application/octet-stream`` without one (RFC 9110 §8.3)."""
        return self._media_type[0]

    @property
    def charset(self) -> str | None:
        """The charset parameter of Content-Type, None without one."""
        return self._media_type[1].get("charset")

    @property
    def content_length(self) -> int | None:
        """The declared length of the body in bytes, None without one (RFC 9110 §8.6)."""
        return self._message.content_length

    @_Derived
    def cookies(self) -> Mapping[str, str]:
        """The cookies of all Cookie fields, the last of a name winning (RFC 6265 §5.4)."""
        return MappingProxyType(parse_cookie("; ".join(self.headers.getall("Cookie", ()))))

    @_Derived
    def forwarded(self) -> tuple[Mapping[str, str], ...]:
        """What proxies say in Forwarded fields, one mapping each (RFC 7239 §4). Anybody can send this."""
        return fields.parse_forwarded(self.headers.getall("Forwarded", ()))

    @_Derived
    def if_modified_since(self) -> datetime | None:
        """The time of If-Modified-Since in UTC, None if missing or malformed (RFC 9110 §13.1.3)."""
        return fields.parse_http_date(self.headers.get("If-Modified-Since"))

    @_Derived
    def if_unmodified_since(self) -> datetime | None:
        """The time of If-Unmodified-Since in UTC, None if missing or malformed (RFC 9110 §13.1.4)."""
        return fields.parse_http_date(self.headers.get("If-Unmodified-Since"))

    @_Derived
    def if_range(self) -> datetime | None:
        """The time of If-Range in UTC, None if missing or no date (RFC 9110 §13.1.5)."""
        return fields.parse_http_date(self.headers.get("If-Range"))

    @_Derived
    def if_match(self) -> tuple[ETag, ...] | None:
        """The entity tags of If-Match, None without the field (RFC 9110 §13.1.1)."""
        return self._etags("If-Match")

    @_Derived
    def if_none_match(self) -> tuple[ETag, ...] | None:
        """The entity tags of If-None-Match, None without the field (RFC 9110 §13.1.2)."""
        return self._etags("If-None-Match")

    def _etags(self, name: str) -> tuple[ETag, ...] | None:
        value = self.headers.get(name)
        return fields.parse_etags(value) if value else None

    @property
    def http_range(self) -> slice:
        """The bytes that Range asks for (RFC 9110 §14.2), ``slice(start, stop, 1)``, start negative for the last ones.

        Raises:
            ValueError: The field is malformed.
        """
        return fields.parse_range(self.headers.get("Range"))

    # The body.

    @property
    def client_max_size(self) -> int:
        """Most bytes that ``read()`` and what stands on it accept; 0 is no limit."""
        return self._client_max_size

    @property
    def client_max_fields(self) -> int:
        """Most fields of a form; 0 is no limit."""
        return self._client_max_fields

    @property
    def content(self) -> StreamReader:
        """The body as a stream."""
        return self._payload

    @property
    def body_exists(self) -> bool:
        """Whether the request declares a body."""
        return self._payload is not EMPTY_PAYLOAD

    @property
    def can_read_body(self) -> bool:
        """Whether there is a body that has not been read to its end."""
        return not self._payload.at_eof()

    @property
    def has_body(self) -> bool:
        """The same as ``can_read_body``. Deprecated."""
        warnings.warn("Deprecated, use .can_read_body", DeprecationWarning, stacklevel=2)
        return self.can_read_body

    @property
    def read_bytes(self) -> bytes | None:
        """The whole body if it has been read whole, else None."""
        return self._read_bytes

    async def release(self) -> None:
        """Read and drop the rest of the body. Safe to cancel: the next call goes on.

        Raises:
            ConnectionResetError, RequestPayloadError, HTTPRequestTimeout: As StreamReader raises them.
        """
        await self._payload.discard()

    async def read(self) -> bytes:
        """Read the whole body, and keep it. Safe to cancel and to call again.

        Raises:
            HTTPRequestEntityTooLarge: It is larger than ``client_max_size``; known before it is read if declared so.
            RuntimeError: Part of it was read from ``content`` before.
            ConnectionResetError, RequestPayloadError, HTTPRequestTimeout: As StreamReader raises them.
        """
        if self._read_bytes is None:
            data = await self._read_within(self._client_max_size)
            self._keep("_read_bytes", data)
            return data
        return self._read_bytes

    def _keep(self, name: str, value: object) -> None:
        """Keep what was read, here and for whoever asks outside of a mount."""
        request: BaseRequest | None = self
        while request is not None:
            setattr(request, name, value)
            request = request._outer

    async def _read_within(self, limit: int) -> bytes:
        payload = self._payload
        if payload is EMPTY_PAYLOAD:
            return b""
        self._check_unread(limit)
        data = await payload.read_whole(limit)
        if data is None:
            raise HTTPRequestEntityTooLarge(max_size=limit)
        return data

    def _check_unread(self, limit: int) -> None:
        """See that the body is there to be read, and does not say itself that it is too large."""
        if self._payload.streamed:
            raise RuntimeError("the body has been read as a stream already")
        declared = self._message.content_length
        # What is decoded on the way may become shorter, but not by so much.
        most = 2 * limit + SURPLUS if self._payload.decodes else limit
        if limit and declared is not None and declared > most:
            raise HTTPRequestEntityTooLarge(max_size=limit, actual_size=declared)

    async def text(self) -> str:
        """Read the whole body as text in the declared charset, or UTF-8. Safe to cancel and to call again.

        Besides what it names, it raises what ``read()`` raises.

        Raises:
            RequestDecodeError: The charset is unknown, or the body is not text in it. A 400 and a ValueError.
        """
        data = await self.read()
        charset = self.charset or "utf-8"
        try:
            return decode_text(data, charset)
        except (LookupError, ValueError) as exc:
            raise RequestDecodeError(
                text=f"The request body is not text in {charset[:40]!r}"
            ) from exc

    async def json(self, *, loads: Callable[[str], Any] = json.loads) -> Any:
        """Read the whole body as JSON, whatever Content-Type says. Safe to cancel and to call again.

        Besides what it names, it raises what ``text()`` raises.

        Args:
            loads: Makes a value of the text.

        Raises:
            RequestDecodeError: It is not JSON. A 400 and a ValueError.
        """
        text = await self.text()
        try:
            return loads(text)
        except (ValueError, RecursionError) as exc:
            raise InvalidJSON(exc) from exc

    async def post(
        self, max_size: int | None = None, upload_to: UploadTo | None = None
    ) -> MultiDictProxy[FormValue]:
        """Read the body as a form, and keep it: urlencoded or ``multipart/form-data`` (RFC 7578).

        Fields are str; files are FileField; a part without a file name whose type is not text is bytearray. Without a
        Content-Type the body is taken for urlencoded; with any other there are no fields. Files are kept in memory up
        to 1 MiB each (8 MiB together), else on disk (100 at most), and are closed when the response has been sent, and
        ``background()`` work done. Safe to call again; cancelled, it leaves nothing behind, and the body is lost.

        Args:
            max_size: Most bytes of the body; ``client_max_size`` by default, 0 is no limit.
            upload_to: Gets the name of each file and returns the path to write it to, or None for a temporary file; it
                may be a coroutine function. The name is the last component of what the client sent, and still its
                choice: it may be ``""`` or that of a file that exists, which would be overwritten. What was written is
                removed again if the form turns out to be unusable.

        Raises:
            TypeError, ValueError: ``max_size`` is not an int from 0 on.
            RequestDecodeError: The form is malformed. A 400 and a ValueError.
            HTTPRequestEntityTooLarge: It has more than ``max_size`` bytes, ``client_max_fields`` fields, or 10 MiB that
                are no files.
            RuntimeError: Part of the body was read from ``content`` before.
            OSError: A file cannot be written.
            ConnectionResetError, RequestPayloadError, HTTPRequestTimeout: As StreamReader raises them.
        """
        if self._post is None:
            limit = self._client_max_size
            if max_size is not None:
                limit = check_count("max_size", max_size, 0)
            form = await self._read_form(limit, upload_to)
            self._keep("_post", form)
            return form
        return self._post

    async def _read_form(self, limit: int, upload_to: UploadTo | None) -> MultiDictProxy[FormValue]:
        media_type = self.content_type
        if media_type == _URLENCODED or "Content-Type" not in self.headers:
            return await self._read_urlencoded(limit)
        if media_type == "multipart/form-data":
            from .forms import read_multipart

            body = self._whole_or_stream(limit)
            return MultiDictProxy(await read_multipart(self, body, limit, upload_to))
        return MultiDictProxy(MultiDict())

    async def _read_urlencoded(self, limit: int) -> MultiDictProxy[FormValue]:
        from .urlencoded import FIELDS_LIMIT, parse_urlencoded

        limit = min(limit, FIELDS_LIMIT) if limit else FIELDS_LIMIT
        data = self._read_bytes
        if data is None:
            data = await self._read_within(limit)
            self._keep("_read_bytes", data)
        elif len(data) > limit:
            raise HTTPRequestEntityTooLarge(max_size=limit)
        return await parse_urlencoded(data, self.charset or "utf-8", self._client_max_fields)

    async def multipart(self) -> MultipartReader:
        """Return a reader of the parts of a multipart body (RFC 2046 §5.1), which reads no faster than it is asked to.

        A part that is read whole may have ``client_max_size`` bytes; what is read piece by piece has no limit. This
        call itself reads nothing, so that there is nothing to cancel.

        Raises:
            RequestDecodeError: Content-Type is not multipart, or has no usable boundary. A 400 and a ValueError.
            RuntimeError: Part of the body was read from ``content`` before.
        """
        from .multipart import MultipartReader

        return MultipartReader(
            self.headers,
            self._whole_or_stream(0),
            client_max_size=self._client_max_size,
            client_max_fields=self._client_max_fields,
        )

    def _whole_or_stream(self, limit: int) -> BodySource:
        """Return where to read the body: its stream, or what was read of it already."""
        if self._read_bytes is None:
            self._check_unread(limit)
            return self._payload
        from .multipart import WholeBody

        return WholeBody(self._read_bytes)

    async def data(
        self, raise_errors: bool = False
    ) -> MultiDictProxy[FormValue] | str | bytes | Any:
        """Read the body as what its Content-Type says: a form as ``post()`` does, JSON, text, or else bytes.

        Safe to cancel and to call again. Besides what it names, it raises what ``read()`` raises.

        Args:
            raise_errors: Refuse a body that is not what its type says, instead of returning its bytes.

        Raises:
            RequestDecodeError: With ``raise_errors``, for such a body. A 400 and a ValueError.
        """
        if self._post is not None:
            return self._post
        data = await self.read()
        media_type = self.content_type
        try:
            if media_type in (_URLENCODED, "multipart/form-data"):
                return await self.post()
            if media_type == "application/json" or media_type.endswith("+json"):
                return await self.json()
            if media_type.startswith("text/"):
                return await self.text()
        except RequestDecodeError:
            if raise_errors:
                raise
        return data


Request = BaseRequest
