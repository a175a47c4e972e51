"""Responses. A StreamResponse is prepared, written and ended; a Response is all there and leaves in one write.

What a response goes through: ``not prepared`` - prepare() -> ``prepared`` - write()... - write_eof() -> ``eof``.
A response that is not ended by its handler is ended by the server.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Callable
from concurrent.futures import Executor
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from multidict import CIMultiDict

from .encoded_body import LARGE, encode_whole
from .keys import State
from .options import check_count
from .payload import Payload, as_payload
from .protocol.content_coding import ContentCoding, available, choose
from .protocol.content_encoder import Encoder, make_encoder
from .protocol.head import HttpVersion11
from .protocol.headers import contains_token
from .protocol.serializer import (
    CHUNKED,
    NONE,
    UNTIL_CLOSE,
    Framing,
    default_reason,
    frame,
    plain_prefix,
    serialize_head,
)
from .response_fields import Headers, ResponseFields
from .writer import Data, ResponseWriter

if TYPE_CHECKING:
    from .request import BaseRequest

__all__ = ("Response", "StreamResponse", "json_bytes_response", "json_response")

# Above this many bytes, copying a body to put it behind its head costs more than a second part of a write.
_JOIN_LIMIT: Final = 65536


# Up to the digits of Content-Length, the digits, what follows.
_HEAD: Final = b"%b%d%b"
_UNTYPED_HEAD: Final = b"%b%d\r\nContent-Type: application/octet-stream%b"

# zlib.Z_FIXED; the strategies are numbers from 0 on.
_LAST_STRATEGY: Final = 4

# Their content is not there, empty, or part of what was not compressed.
_NEVER_COMPRESSED: Final = frozenset((204, 205, 206, 304))

# Their responses have no body, and what Content-Length says of it is another matter.
_BODILESS_METHODS: Final = frozenset(("HEAD", "CONNECT"))


@lru_cache(maxsize=64)
def _text_type(content_type: str | None) -> str:
    """Return the Content-Type of text in UTF-8."""
    if content_type is not None and "charset" in content_type:
        raise ValueError("charset must not be in content_type argument")
    return f"{content_type or 'text/plain'}; charset=utf-8"


class _Missing:
    def __repr__(self) -> str:
        return "<missing>"


_MISSING: Final = _Missing()


class StreamResponse(State, ResponseFields):
    """A response whose body is written piece by piece.

    It is a mutable mapping of per-response state, hashable, always true, equal only to itself. A handler prepares it,
    writes, and returns it; the server ends it. What is not complete when the handler raises, or is cancelled, is cut
    off.

    Args:
        status: The status code.
        reason: The reason phrase; the usual one by default.
        headers: Header fields, a mapping or pairs; copied.

    Raises:
        ValueError: CR, LF or NUL in the reason.
    """

    _status = 200
    _reason: str | None = None
    _keep_alive: bool | None = None
    _request: BaseRequest | None = None
    _writer: ResponseWriter | None = None
    _ended = False
    _body_length = 0
    # What was asked for - None is whatever the client likes best - and zlib's strategy.
    _compression: tuple[ContentCoding | None, int | None] | None = None
    # What was chosen, when that has been done.
    _coding: ContentCoding | None = None
    _executor: Executor | None = None

    def __init__(
        self, *, status: int = 200, reason: str | None = None, headers: Headers | None = None
    ) -> None:
        if headers is not None:
            self._headers = CIMultiDict(headers)
            self._plain = False
        if status != 200 or reason is not None:
            self._set_status(status, reason)

    def __repr__(self) -> str:
        if self._ended:
            state = "eof"
        elif self._request is not None:
            state = f"{self._request.method} {self._request.path} "
        else:
            state = "not prepared"
        return f"<{type(self).__name__} {self.reason} {state}>"

    # State.

    @property
    def prepared(self) -> bool:
        """Whether the head has been sent."""
        return self._ended or self._writer is not None

    @property
    def ended(self) -> bool:
        """Whether the whole response has been sent."""
        return self._ended

    @property
    def task(self) -> asyncio.Task[Any] | None:
        """The task of the request that is being answered, None before prepare() and after the end."""
        return None if self._request is None else self._request.task

    @property
    def status(self) -> int:
        """The status code."""
        return self._status

    @property
    def reason(self) -> str:
        """The reason phrase."""
        return default_reason(self._status) if self._reason is None else self._reason

    def set_status(self, status: int, reason: str | None = None) -> None:
        """Change status and reason phrase.

        Args:
            status: The status code.
            reason: The reason phrase; the usual one by default.

        Raises:
            AssertionError: The head has been sent.
            ValueError: CR, LF or NUL in the reason.
        """
        if self.prepared:
            raise AssertionError(
                "Cannot change the response status code after the headers have been sent"
            )
        self._set_status(status, reason)

    def _set_status(self, status: int, reason: str | None) -> None:
        if reason is not None and ("\r" in reason or "\n" in reason or "\0" in reason):
            raise ValueError("Reason cannot contain \\r, \\n or \\0")
        code = int(status)
        if not 100 <= code <= 999:
            raise ValueError(f"status must be a number of three digits, not {status!r}")
        self._status = code
        self._reason = reason
        if reason is not None:
            self._plain = False

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection persists after this response; None until that is decided."""
        return self._keep_alive

    def force_close(self) -> None:
        """Close the connection after this response."""
        self._keep_alive = False

    @property
    def body_length(self) -> int:
        """How many bytes were sent, head included; 0 until the response has ended."""
        return self._body_length

    @property
    def output_length(self) -> int:
        """How many bytes were written so far. Deprecated."""
        warnings.warn("output_length is deprecated", DeprecationWarning, stacklevel=2)
        return self._body_length if self._writer is None else self._writer.output_size

    @property
    def chunked(self) -> bool:
        """Whether chunked encoding was asked for."""
        return self._chunked

    def enable_chunked_encoding(self, chunk_size: int | None = None) -> None:
        """Send the body in chunks even where its length is known (RFC 9112 §7.1).

        Args:
            chunk_size: Taken for aiohttp's callers; chunks are as long as what is written.

        Raises:
            RuntimeError: Content-Length is set.
        """
        if self._field("Content-Length") is not None:
            raise RuntimeError("You can't enable chunked encoding when a content length is set")
        if chunk_size is not None:
            warnings.warn("Chunk size is deprecated", DeprecationWarning, stacklevel=2)
        self._chunked = True
        self._plain = False

    @property
    def compression(self) -> bool:
        """Whether compression was asked for."""
        return self._compression is not None

    def enable_compression(
        self, force: ContentCoding | bool | None = None, strategy: int | None = None
    ) -> None:
        """Compress the body, if there is one, and say so in Content-Encoding (RFC 9110 §8.4).

        Without ``force``, the client gets what it weighs highest in Accept-Encoding, and of equals the first of
        deflate, gzip, br and zstd (the last two if the extra ``compress`` is installed); nothing is compressed if it
        accepts none or does not say. Caches are told by ``Vary: Accept-Encoding``.

        A body that is all there keeps a Content-Length, the one of what is sent; any other is sent in chunks, and the
        client gets what was written in a turn of the loop after that turn. A strong ETag becomes a weak one. Nothing
        happens to a response with status 204, 205, 206 or 304, with an empty body, or with a Content-Encoding of its
        own. Large bodies are compressed in a thread.

        Args:
            force: What to use whatever the client accepts. A bool is deprecated: True is deflate, False identity.
            strategy: A ``zlib.Z_...`` constant for gzip and deflate; zlib's default strategy if None.

        Raises:
            RuntimeError: ``force`` is a coding for which nothing is installed.
            TypeError: ``force`` is not a ContentCoding, or ``strategy`` not an int.
            ValueError: ``strategy`` is no strategy of zlib.
        """
        if isinstance(force, bool):
            warnings.warn(
                "Using boolean for force is deprecated, pass a ContentCoding",
                DeprecationWarning,
                stacklevel=2,
            )
            force = ContentCoding.deflate if force else ContentCoding.identity
        if force is not None and not isinstance(force, ContentCoding):
            raise TypeError(f"force must be a ContentCoding, not {type(force).__name__}")
        if strategy is not None and check_count("strategy", strategy, 0) > _LAST_STRATEGY:
            raise ValueError(f"strategy must be a strategy of zlib: {strategy!r}")
        if force in (ContentCoding.br, ContentCoding.zstd) and force not in available():
            raise RuntimeError(
                f"nothing installed here encodes {force.value}: install lowlevel[compress]"
            )
        self._compression = force, strategy
        self._plain = False

    # Sending.

    async def prepare(self, request: BaseRequest) -> ResponseWriter | None:
        """Send the head as the answer to ``request``. A second call does nothing.

        Cancelled - it waits only for a large body that is compressed - it has sent nothing, and the body is let go.

        Returns:
            The writer of the request, None when the response has ended.

        Raises:
            ConnectionResetError: The client has gone.
            RuntimeError: Chunked encoding was asked for and the client speaks HTTP/1.0, or the request is
                answered already.
            ValueError: CR, LF or NUL in a header field.
        """
        if self._ended:
            return None
        if self._writer is not None:
            return self._writer
        writer = request.writer
        try:
            encoder = None
            if self._compression is not None or writer.before_head is not None:
                encoder = await self._start_coding(request)
                if self._ended or self._writer is not None:
                    return self._writer  # another task was faster
            framing, length = self._complete_head(request)
            tail = self._declare_persistence(request, framing)
            head = serialize_head(request.version, self._status, self._reason, self.headers, tail)
            writer.send_head(head, framing, length)
            if encoder is not None and (framing is CHUNKED or framing is UNTIL_CLOSE):
                writer.encode_with(encoder, self._executor)
        except BaseException:
            await self._release()
            raise
        writer.response = self
        self._request = request
        self._writer = writer
        return writer

    async def _release(self) -> None:
        """Let go of what the body holds, since it will not be sent."""

    # Compression.

    def _choose_coding(self, request: BaseRequest) -> ContentCoding | None:
        """Decide how the body is compressed, None for not at all; say what caches and validators have to know.

        Asked again, it says the same, unless status, body or Content-Encoding have changed.
        """
        before_head = request.writer.before_head
        if before_head is not None:
            before_head(self)
        if self._compression is None or not self._may_be_coded(request):
            return None
        if self._compression[0] is None:
            self._vary_by("Accept-Encoding")
        chosen = self._wanted_coding(request)
        if chosen is None:
            return None
        etag = self.headers.get("ETag")
        if etag is not None and etag.startswith('"'):
            # It is not the same bytes any more (RFC 9110 §8.8.3.3).
            self.headers["ETag"] = f"W/{etag}"
        return chosen

    def _wanted_coding(self, request: BaseRequest) -> ContentCoding | None:
        """Return what was asked for, or what the client likes best; None for no coding."""
        if self._compression is None:
            return None
        wanted = self._compression[0]
        if wanted is None:
            wanted = choose(request.headers.getall("Accept-Encoding", ()), available())
        return None if wanted is ContentCoding.identity else wanted

    def _may_be_coded(self, request: BaseRequest) -> bool:
        status = self._status
        return (
            status >= 200
            and status not in _NEVER_COMPRESSED
            and not (request.method == "CONNECT" and status < 300)
            and "Content-Encoding" not in self.headers
        )

    async def _start_coding(self, request: BaseRequest) -> Encoder | None:
        """Declare a coding, if there is to be one; return what the body has to go through."""
        coding = self._choose_coding(request)
        if coding is None or self._compression is None:
            return None
        encoder = make_encoder(coding, self._compression[1])
        self.headers.popall("Content-Length", None)
        self._coding = coding
        return encoder

    async def write(self, data: Data) -> None:
        """Send a piece of the body; wait while the client does not read. Empty data has no effect.

        More than Content-Length is cut off; without a body (HEAD, 204, 304) everything is dropped. Cancelled while it
        waits, it has taken the piece all the same: do not send it again.

        Args:
            data: bytes, bytearray or memoryview; copied if it can change.

        Raises:
            AssertionError: ``data`` is not bytes-like.
            RuntimeError: Before ``prepare()`` or after ``write_eof()``.
            ConnectionResetError: The client has gone, or took nothing for ``write_timeout`` seconds.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise AssertionError(f"data argument must be byte-ish ({type(data)!r})")
        if self._ended:
            raise RuntimeError("Cannot call write() after write_eof()")
        writer = self._writer
        if writer is None:
            raise RuntimeError("Cannot call write() before prepare()")
        if writer.put(data):
            await writer.pause()

    async def drain(self) -> None:
        """Wait until the client has taken most of what was sent. Deprecated, since ``write()`` waits. Safe to cancel.

        Raises:
            AssertionError: Before ``prepare()`` or after ``write_eof()``.
            ConnectionResetError: The client has gone, or took nothing for ``write_timeout`` seconds.
        """
        if self._writer is None:
            raise AssertionError(
                "EOF has already been sent" if self._ended else "Response has not been started"
            )
        warnings.warn(
            "drain method is deprecated, use await resp.write()", DeprecationWarning, stacklevel=2
        )
        await self._writer.drain()

    async def write_eof(self, data: Data = b"") -> None:
        """Send a last piece and end the response. A second call does nothing.

        The server calls it when the handler has returned. Cancelled while it waits for the client, it has taken the
        piece all the same; call it again without one.

        Args:
            data: The last piece.

        Raises:
            AssertionError: Before ``prepare()``, or ``data`` is not bytes-like.
            ConnectionResetError: The client has gone.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise AssertionError(f"data argument must be byte-ish ({type(data)!r})")
        if self._ended:
            return
        writer = self._writer
        if writer is None:
            raise AssertionError("Response has not been started")
        await writer.write_eof(data)
        self._end(writer.output_size)

    def _end(self, size: int) -> None:
        self._ended = True
        self._body_length = size
        # The request leads to the connection; a response may outlive both.
        self._request = self._writer = None

    def go_away(self) -> None:
        """The server ends. For responses that would go on for ever; others take no notice."""

    # The head.

    def _complete_head(self, request: BaseRequest) -> tuple[Framing, int | None]:
        """Add the fields that framing and persistence ask for; return the framing and the length of the body."""
        headers = self.headers
        if self._chunked and request.version < HttpVersion11:
            raise RuntimeError(
                f"Using chunked encoding is forbidden for HTTP/{request.version[0]}.{request.version[1]}"
            )
        length = self._declared_length(request)
        if self._cookies:
            for morsel in self._cookies.values():
                headers.add("Set-Cookie", morsel.OutputString())
        if self._coding is not None:
            headers["Content-Encoding"] = self._coding.value
        framing = frame(
            request.method, self._status, request.version, length, self._in_chunks(request)
        )
        self._declare_framing(framing)
        # HEAD is told what GET would be told (RFC 9110 §9.3.2).
        if framing is not NONE and self._status != 304 and length != 0:
            headers.setdefault("Content-Type", "application/octet-stream")
        return framing, length

    def _declared_length(self, request: BaseRequest) -> int | None:
        values = self.headers.getall("Content-Length", None)
        if values is None:
            return None
        value = values[0] if len(values) == 1 else ", ".join(values)
        if not (value.isascii() and value.isdigit()):
            raise ValueError(f"Content-Length {value!r} is not a number of bytes")
        return int(value)

    def _in_chunks(self, request: BaseRequest) -> bool:
        """Whether chunks were asked for, by method or by a field - copied from elsewhere, say - that may be sent."""
        if self._chunked:
            return True
        value = self.headers.get("Transfer-Encoding")
        return (
            value is not None
            and request.version >= HttpVersion11
            and contains_token(value, "chunked")
        )

    def _declare_framing(self, framing: Framing) -> None:
        """Make Content-Length and Transfer-Encoding say what the framing is, and no more (RFC 9112 §6)."""
        headers = self.headers
        if framing is CHUNKED:
            headers.popall("Content-Length", None)
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers.popall("Transfer-Encoding", None)
            if framing is NONE or self._status == 304:
                headers.popall("Content-Length", None)

    def _declare_persistence(self, request: BaseRequest, framing: Framing) -> bytes:
        """Decide whether the connection goes on, and say so where the version does not imply it (RFC 9112 §9.3).

        Returns the rest of the head: the last fields, if they need not be written one by one, and the empty line.
        """
        headers = self.headers
        channel = request.protocol
        keep_alive = self._keep_alive
        if keep_alive is None:
            keep_alive = channel.lets_persist(request)
        if framing is UNTIL_CLOSE or self._status < 200:
            keep_alive = False
        connection = headers.getall("Connection", None)
        if connection is not None and any(contains_token(value, "close") for value in connection):
            keep_alive = False
        self._keep_alive = keep_alive
        clock = channel.clock
        http11 = request.version == HttpVersion11
        if http11 and connection is None and "Date" not in headers and "Server" not in headers:
            # Without the CRLF that ends a Content-Length.
            return (clock.lasting if keep_alive else clock.closing)[2:]
        headers.setdefault("Date", clock.date)
        headers.setdefault("Server", channel.server_header)
        if keep_alive is not http11:
            headers.setdefault("Connection", "keep-alive" if keep_alive else "close")
        return b"\r\n"


class Response(StreamResponse):
    """A response that is complete, or whose body is a file or a stream that the server sends.

    Args:
        body: bytes, bytearray, memoryview, str, an open file, an async iterable of bytes, a function without
            arguments that returns one, or None. Streams are sent in chunks, and closed when the client leaves.
        status: The status code.
        reason: The reason phrase; the usual one by default.
        text: The body as text, encoded in ``charset`` or UTF-8; instead of ``body``.
        headers: Header fields, a mapping or pairs; copied.
        content_type: The media type, without charset; ``text/plain`` for text by default.
        charset: The charset of the body.
        zlib_executor_size: A body of more bytes is compressed in a thread, if it is compressed.
        zlib_executor: Where that thread is; the default executor of the loop if None.

    Raises:
        ValueError: Both body and text; a charset in content_type; a Content-Type field beside content_type or
            charset; a body of no known type; CR, LF or NUL in the reason.
        TypeError: ``text`` is not a str, or ``zlib_executor_size`` not an int.
    """

    _body: bytes | bytearray | Payload | None = None
    # What it became, if it was all there when it was compressed.
    _encoded: bytes | None = None
    # Whether the pieces of the body were asked for: what is left of them after a failure is no body.
    _begun = False
    _zlib_executor_size = LARGE

    def __init__(
        self,
        *,
        body: Any = None,
        status: int = 200,
        reason: str | None = None,
        text: str | None = None,
        headers: Headers | None = None,
        content_type: str | None = None,
        charset: str | None = None,
        zlib_executor_size: int | None = None,
        zlib_executor: Executor | None = None,
    ) -> None:
        if status != 200 or reason is not None:
            self._set_status(status, reason)
        if zlib_executor_size is not None:
            self._zlib_executor_size = check_count("zlib_executor_size", zlib_executor_size, 0)
        if zlib_executor is not None:
            self._executor = zlib_executor
        if type(text) is str and body is None and headers is None and charset is None:
            self._type = _text_type(content_type)
            self._body = text.encode()
            return
        if content_type is not None and "charset" in content_type:
            raise ValueError("charset must not be in content_type argument")
        if text is not None and body is not None:
            raise ValueError("body and text are not allowed together")
        if text is not None and not isinstance(text, str):
            raise TypeError(f"text argument must be str ({type(text)!r})")
        if headers is not None:
            self._headers = CIMultiDict(headers)
            self._plain = False
            if "Content-Type" in self._headers:
                if content_type is not None or charset is not None:
                    raise ValueError(
                        "passing both Content-Type header and content_type or charset params is forbidden"
                    )
                if text is not None:
                    self.text = text
                    return
        if text is not None:
            charset = charset or "utf-8"
            self._body = text.encode(charset)
            self._set_type(f"{content_type or 'text/plain'}; charset={charset}")
            return
        if content_type is not None:
            self._set_type(
                content_type if charset is None else f"{content_type}; charset={charset}"
            )
        if type(body) is bytes:
            self._body = body
        elif body is not None:
            self.body = body

    def _set_type(self, value: str) -> None:
        if self._headers is None:
            self._type = value
        else:
            self._headers["Content-Type"] = value

    @property
    def body(self) -> bytes | bytearray | Payload | None:
        """The body; anything the constructor takes may be set.

        Raises:
            ValueError: Set to something of no known type; the old body stays.
        """
        return self._body

    @body.setter
    def body(self, body: Any) -> None:
        if body is None or isinstance(body, (bytes, bytearray)):
            self._body = body
        elif isinstance(body, memoryview):
            self.headers.setdefault("Content-Type", "application/octet-stream")
            self._body = body.tobytes()
        elif isinstance(body, str):
            self.headers.setdefault("Content-Type", "text/plain; charset=utf-8")
            self._body = body.encode(self.charset or "utf-8")
        else:
            payload = as_payload(body, self.charset)
            self._body = payload
            self.headers.setdefault("Content-Type", payload.content_type)
            for name, value in payload.headers.items():
                self.headers.setdefault(name, value)

    @property
    def text(self) -> str | None:
        """The body as text in the charset of the response, or UTF-8.

        Raises:
            TypeError: The body is a stream.
            AssertionError: Set to something that is not a str.
        """
        body = self._body
        return None if body is None else body.decode(self.charset or "utf-8")

    @text.setter
    def text(self, text: str) -> None:
        if not isinstance(text, str):
            raise AssertionError(f"text argument must be str ({type(text)!r})")
        if self.content_type == "application/octet-stream":
            self.content_type = "text/plain"
        if self.charset is None:
            self.charset = "utf-8"
        self._body = text.encode(self.charset or "utf-8")

    @property
    def content_length(self) -> int | None:
        """The length of the body, or the Content-Length field if given; None when chunked or not known.

        Raises:
            RuntimeError: When set: it follows from the body.
        """
        if self._chunked:
            return None
        given = self._field("Content-Length")
        if given is not None:
            return int(given)
        body = self._body
        if isinstance(body, Payload):
            return body.size
        return 0 if body is None else len(body)

    @content_length.setter
    def content_length(self, value: int | None) -> None:
        raise RuntimeError("Content length is set automatically")

    # Sending.

    @property
    def streamed(self) -> bool:
        """Whether the body is a file or a stream."""
        return isinstance(self._body, Payload)

    def send_whole(self, request: BaseRequest) -> bool:
        """Send head and body in one write, without ever making a multidict. False if this response needs more.

        Raises:
            ConnectionResetError: The client has gone.
            ValueError: CR, LF or NUL in the content type.
        """
        body = self._body
        message = request._message
        if (
            not self._plain
            or request._writer is not None
            or message.version is not HttpVersion11
            or message.method in _BODILESS_METHODS
        ):
            return False
        content_type = self._type
        if body is None:
            body = b""
        elif type(body) is not bytes:
            return False
        prefix = plain_prefix(self._status, content_type)
        if prefix is None:
            return False
        channel = request._protocol
        if self._keep_alive is None:
            self._keep_alive = channel.lets_persist(request)
        clock = channel.clock
        size = len(body)
        layout = _UNTYPED_HEAD if content_type is None and body else _HEAD
        head = layout % (prefix, size, clock.lasting if self._keep_alive else clock.closing)
        if size < _JOIN_LIMIT:
            channel.send_whole(head + body)
        else:
            channel.send_parts([head, body])
        self._ended = True
        self._plain = False
        self._body_length = len(head) + size
        return True

    def _declared_length(self, request: BaseRequest) -> int | None:
        """The given length, else the one of the body, which is then declared."""
        given = super()._declared_length(request)
        if given is not None or self._chunked:
            return given
        length = self.content_length if self._coding is None else self._encoded_length
        # A missing body says nothing of the length that GET would have told (RFC 9110 §8.6).
        if self._body is not None or (self._status != 304 and request.method != "HEAD"):
            self._set_field("Content-Length", None if length is None else str(length))
        return length

    def _may_be_coded(self, request: BaseRequest) -> bool:
        # An empty body would only become longer.
        return bool(self._body) and super()._may_be_coded(request)

    async def _start_coding(self, request: BaseRequest) -> Encoder | None:
        encoder = await super()._start_coding(request)
        body = self._body
        if encoder is None or body is None or isinstance(body, Payload) or self._chunked:
            return encoder
        self._encoded = await encode_whole(
            encoder, bytes(body), self._zlib_executor_size, self._executor
        )
        return None

    @property
    def _encoded_length(self) -> int | None:
        return None if self._encoded is None else len(self._encoded)

    async def write_eof(self, data: Data = b"") -> None:
        """Send the body and end the response. A second call does nothing.

        The server calls it when the handler has returned. Cancelled while a file or a stream is sent, it closes that,
        and the answer can never be complete: let the cancellation pass, and the server cuts the connection off.

        Args:
            data: Nothing: the body is all there is.

        Raises:
            AssertionError: Before ``prepare()``, or there is data beside the body.
            ConnectionResetError: The client has gone.
            RuntimeError: A body that is shorter than its Content-Length, or one that was given up half-way before.
            Exception: What a stream raises that is the body.
        """
        if self._ended:
            return
        if data:
            raise AssertionError(f"data arg is not supported, got {data!r}")
        body, writer = self._body, self._writer
        if not isinstance(body, Payload):
            await super().write_eof((body if self._encoded is None else self._encoded) or b"")
            return
        if self._begun:
            raise RuntimeError("the body was given up when it was sent half")
        self._begun = writer is not None
        try:
            if writer is not None and not writer.full:
                async for piece in body.pieces():
                    await self.write(piece)
                    if writer.full:
                        break
        finally:
            await body.close()
        await super().write_eof()

    async def _release(self) -> None:
        if isinstance(self._body, Payload):
            await self._body.close()


def json_response(
    data: Any = _MISSING,
    *,
    text: str | None = None,
    body: bytes | None = None,
    status: int = 200,
    reason: str | None = None,
    headers: Headers | None = None,
    content_type: str = "application/json",
    dumps: Callable[[Any], str] = json.dumps,
) -> Response:
    """Return a Response with a value as JSON, or with JSON that is text or bytes already.

    Args:
        data: The value.
        text: JSON as text, instead of ``data``.
        body: JSON as bytes, instead of ``data``.
        status: The status code.
        reason: The reason phrase; the usual one by default.
        headers: Header fields, a mapping or pairs; copied.
        content_type: The media type.
        dumps: Makes text of the value.

    Raises:
        ValueError: ``data`` beside text or body.
        TypeError: ``data`` is nothing that ``dumps`` takes.
    """
    if data is not _MISSING:
        if text or body:
            raise ValueError("only one of data, text, or body should be specified")
        text = dumps(data)
    return Response(
        text=text,
        body=body,
        status=status,
        reason=reason,
        headers=headers,
        content_type=content_type,
    )


def json_bytes_response(
    data: Any = _MISSING,
    *,
    dumps: Callable[[Any], bytes],
    body: bytes | None = None,
    status: int = 200,
    reason: str | None = None,
    headers: Headers | None = None,
    content_type: str = "application/json",
) -> Response:
    """Return a Response with a value as JSON, for encoders that make bytes.

    Args:
        data: The value.
        dumps: Makes bytes of the value.
        body: JSON as bytes, instead of ``data``.
        status: The status code.
        reason: The reason phrase; the usual one by default.
        headers: Header fields, a mapping or pairs; copied.
        content_type: The media type.

    Raises:
        ValueError: ``data`` beside body.
        Exception: What ``dumps`` raises.
    """
    if data is not _MISSING:
        if body is not None:
            raise ValueError("only one of data or body should be specified")
        body = dumps(data)
    return Response(
        body=body, status=status, reason=reason, headers=headers, content_type=content_type
    )
