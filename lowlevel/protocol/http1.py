"""Requests of one HTTP/1.x connection: bytes in, events out (RFC 9112).

httptools finds the structure; everything it leaves open is decided here: sizes and counts, which versions, Host,
Transfer-Encoding and targets are acceptable, and what becomes of bytes behind a ``Connection: close`` or an
``Upgrade``. A parser lives as long as its connection::

    events = parser.receive_data(data)
    events = parser.receive_eof()

Each call returns what the bytes amounted to, in order: a RequestHead, then, if ``head.has_body``, any number of
``bytes`` and CHUNK_END, then an EndOfMessage; or, last of all, one ProtocolError. A head without a body is a whole
message. What a parser is doing:

    MESSAGES ──── offer of websocket ────► HELD ── decline_upgrade() ──► MESSAGES
        │                                   └───── take_over() ────────► CLOSED
        ├── rest of a long body ──────────► BODY ── its last byte ──────► MESSAGES
        ├── CONNECT ──────────────────────► TUNNEL
        └── end of the last message, error ► CLOSED      (everything later is counted and dropped)

The traps, all checked against httptools 0.9:

- It reports the end of the message *before* it raises on an offer to upgrade, and drops the body that came with it.
  A fresh parser then reads on, primed with a head of the same framing, unless the offer is one that a handler may
  take: then bytes are held until it has decided.
- A request target arrives in pieces when it is split over reads; names and values do not.
- Anything behind a message that closes the connection raises. That is no fault of the message.
- ``Transfer-Encoding: xchunked`` raises only after the head was reported.
- ``Connection: keep-alive`` outweighs ``close`` for it when the version is 1.0, and it heeds ``close`` in a trailer.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final, NoReturn

import httptools
from yarl import URL

from .head import Fields, HttpVersion, HttpVersion10, HttpVersion11, RequestHead

__all__ = ("CHUNK_END", "EndOfMessage", "Event", "ParserLimits", "ProtocolError", "RequestParser")

# Bytes of chunk framing that may come unpaid: every chunk pays for 16, every byte of body for one. Chunk
# extensions and trailers live on the rest, so that they cannot be an endless stream of their own.
_CHUNK_ALLOWANCE: Final = 16 * 1024
_FRAMING_PER_CHUNK: Final = 16

# Bytes behind a declined offer that are read at once.
_HELD_PORTION: Final = 4096


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """Sizes in bytes, and one count.

    Attributes:
        max_line_size: Longest request target; beyond it 414.
        max_field_size: Longest value, and longest name, of a header field; beyond it 431.
        max_headers: Most header fields of one head, and most trailer fields; beyond it 431.
        max_head_size: Longest head; beyond it 431.
    """

    max_line_size: int = 8190
    max_field_size: int = 8190
    max_headers: int = 128

    @property
    def max_head_size(self) -> int:
        return max(65536, self.max_line_size + 8 * self.max_field_size)


class ProtocolError(Exception):
    """What the peer sent is not acceptable HTTP.

    Attributes:
        status: The status to answer with, None where no answer would be understood.
        reason: What came and which rule it broke; safe to log and to send.
    """

    def __init__(self, status: int | None, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class EndOfMessage:
    """The end of a body, with the trailer fields that came behind it (RFC 9112 §7.1.2)."""

    __slots__ = ("trailers",)

    def __init__(self, trailers: Fields) -> None:
        self.trailers = trailers


class _Mark(enum.Enum):
    CHUNK_END = "the end of a chunk of a body"


CHUNK_END: Final = _Mark.CHUNK_END

Event = RequestHead | bytes | EndOfMessage | _Mark | ProtocolError

_END: Final = EndOfMessage([])


# How httptools stops: HttpParserUpgrade is no HttpParserError.
_STOPS: Final = (httptools.HttpParserError, httptools.HttpParserUpgrade)


class _Finished(Exception):
    """Raised in a callback to stop httptools behind the last message."""


class _Mode(enum.Enum):
    MESSAGES = enum.auto()
    BODY = enum.auto()
    HELD = enum.auto()
    TUNNEL = enum.auto()
    CLOSED = enum.auto()


_MESSAGES: Final = _Mode.MESSAGES
_BODY: Final = _Mode.BODY
_HELD: Final = _Mode.HELD
_TUNNEL: Final = _Mode.TUNNEL
_CLOSED: Final = _Mode.CLOSED

_NOTHING: Final = 0
_HOST: Final = 1
_CONTENT_LENGTH: Final = 2
_TRANSFER_ENCODING: Final = 3
_EXPECT: Final = 4
_UPGRADE: Final = 5
_CONNECTION: Final = 6
_CONTENT_ENCODING: Final = 7

# Which fields matter to the connection, in the spellings people send; others are lower-cased first.
_LOWER_KINDS: Final = {
    b"host": _HOST,
    b"content-length": _CONTENT_LENGTH,
    b"transfer-encoding": _TRANSFER_ENCODING,
    b"expect": _EXPECT,
    b"upgrade": _UPGRADE,
    b"connection": _CONNECTION,
    b"content-encoding": _CONTENT_ENCODING,
    # Not a field of any standard, but httptools takes it for Connection.
    b"proxy-connection": _CONNECTION,
}
_KINDS: Final = {
    spelling: _LOWER_KINDS.get(name.lower(), _NOTHING)
    for name in (
        b"Host Content-Length Transfer-Encoding Expect Upgrade Accept Accept-Encoding Accept-Language "
        b"Authorization Cache-Control Connection Content-Encoding Content-Type Cookie DNT If-Modified-Since "
        b"If-None-Match Origin Pragma Range Referer Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User "
        b"Upgrade-Insecure-Requests User-Agent X-Forwarded-For X-Forwarded-Proto"
    ).split()
    for spelling in (name, name.lower())
}

_METHODS: Final = {
    name.encode(): name
    for name in "GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH QUERY".split()
}

# Takes the place of a parser that is done with, so that its references back to us end.
_NO_PARSER: Final = httptools.HttpRequestParser(None)

# RFC 9110 §7.2 and RFC 3986 §3.2.2: a registered name, an IPv4 address or an IP literal, and a port.
_authority: Final = re.compile(
    rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::([0-9]*))?"
).fullmatch
_absolute_form: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]+)").match

# The longest name there is in the DNS (RFC 1035 §2.3.4), as text.
_MAX_NAME_SIZE: Final = 253
_token: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ ").match


class RequestParser:
    """The receiving half of one connection; see the module for its contract."""

    __slots__ = (
        "_body_size",
        "_chunks",
        "_error",
        "_events",
        "_fields",
        "_framing_size",
        "_head",
        "_head_size",
        "_held",
        "_host",
        "_left",
        "_limits",
        "_max_head_size",
        "_mode",
        "_parser",
        "_primed",
        "_received",
        "_target",
        "_upgrading",
        "idle",
    )

    def __init__(self, limits: ParserLimits) -> None:
        self._limits = limits
        # For bytes not yet told apart; what is in a complete head is measured exactly.
        self._max_head_size = limits.max_head_size + 2 * limits.max_field_size
        self._parser = httptools.HttpRequestParser(self)
        self._mode = _MESSAGES
        self.idle = True
        """Whether nothing is known of another message behind those that were complete."""
        self._events: list[Event] = []
        self._error: ProtocolError | None = None
        # The head under way.
        self._target = b""
        self._fields: Fields = []
        self._head_size = 0
        self._received = 0
        # The message under way: its head, once that is complete.
        self._head: RequestHead | None = None
        self._upgrading = False
        self._primed = False
        self._body_size = 0
        self._chunks = 0
        self._framing_size = 0
        # What is still to come of a body that httptools need not see.
        self._left = 0
        # Bytes that may belong to another protocol.
        self._held: bytes | bytearray = b""
        # The last Host that was found valid: clients repeat it. None before the first head.
        self._host: bytes | None = None

    # What the connection calls.

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes of the connection; return the events they complete."""
        events: list[Event] = []
        self._events = events
        if self._mode is _BODY:
            data = self._receive_body(data)
            if not data:
                return events
        if self._mode is _MESSAGES:
            self._received = len(data)
            try:
                self._parser.feed_data(data)
            except _STOPS as exc:
                self._stumble(exc, data)
            else:
                if self._head is not None or self._target or not events:
                    self._count_unfinished()
                else:
                    self.idle = True
        elif self._mode is _TUNNEL:
            events.append(data)
        elif self._mode is _HELD:
            self._held += data
        return events

    def receive_eof(self) -> list[Event]:
        """Take the end of the stream: it ends a tunnel, and it is an error in the middle of a body.

        What is held stays so, until it is decided what it is: call again when the offer was declined.
        """
        head, mode = self._head, self._mode
        if mode is _HELD:
            return []
        self.close()
        if mode is _TUNNEL:
            return [_END]
        if mode in (_MESSAGES, _BODY) and head is not None:
            return [ProtocolError(400, "the connection ended before the body did (RFC 9112 §8)")]
        return []

    @property
    def closed(self) -> bool:
        """Whether no further request can come."""
        return self._mode is _CLOSED

    @property
    def held_size(self) -> int | None:
        """How many bytes wait for the decision on an upgrade; None when none is awaited."""
        return len(self._held) if self._mode is _HELD else None

    def take_over(self) -> bytes:
        """Accept the offer: return the bytes that came behind the handshake. HTTP ends here."""
        held = bytes(self._held)
        self.close()
        return held

    def decline_upgrade(self) -> list[Event]:
        """Ignore the offer (RFC 9110 §7.8): read what was held as HTTP."""
        held = self._held
        self._held = b""
        self._mode = _MESSAGES
        if self._head is not None:
            self._end_message(self._head)
        self.idle = True
        events: list[Event] = []
        # In portions, since what is held may be full of offers: each holds back what is behind it once more.
        start = 0
        while start < len(held) and self._mode not in (_HELD, _CLOSED):
            portion = bytes(held[start : start + _HELD_PORTION])
            start += len(portion)
            events += self.receive_data(portion)
        if self._mode is _HELD and isinstance(held, bytearray):
            # A bytearray gives up its beginning without moving the rest.
            del held[: start - len(self._held)]
            self._held = held
        return events

    def close(self) -> None:
        """Read no more. Drops the inner parser, which refers back to this object."""
        self._mode = _CLOSED
        self._parser = _NO_PARSER
        self._head = None
        self._held = b""

    # From here to the callbacks: one read.

    def _receive_body(self, data: bytes) -> bytes:
        """Take bytes of a body whose end is known; return what is behind it."""
        left = self._left
        if len(data) < left:
            self._left = left - len(data)
            self._events.append(data)
            return b""
        rest = data[left:]
        self._events.append(data[:left] if rest else data)
        self._events.append(_END)
        self._left = 0
        self._mode = _MESSAGES
        self._parser = httptools.HttpRequestParser(self)
        if self._head is not None:
            self._end_message(self._head)
        self.idle = True
        return rest

    def _stumble(self, exc: Exception, data: bytes) -> None:
        """httptools stopped: for an offer of another protocol, for a fault, or behind the last message."""
        self.idle = False
        # A loop, since a read may be full of offers.
        while isinstance(exc, httptools.HttpParserUpgrade):
            data = data[exc.args[0] :]
            self._upgrade(data)
            if self._mode is not _MESSAGES:
                return
            self._received = len(data)
            try:
                self._parser.feed_data(data)
            except _STOPS as another:
                exc = another
            else:
                self.idle = self._head is None and not self._target
                if not self.idle:
                    self._count_unfinished()
                return
        if self._mode is _MESSAGES:
            if self._error is None and isinstance(exc, httptools.HttpParserCallbackError):
                raise exc
            self._fail(self._error or self._explain(exc, data))

    def _count_unfinished(self) -> None:
        """Bound a message that this read began or went on with, and did not end."""
        self.idle = False
        if self._head is not None:
            if self._head.chunked:
                self._count_framing()
            elif self._head.content_length:
                # httptools has no more to say of this message, and would copy every byte of it.
                self._left = self._head.content_length - self._body_size
                self._mode = _BODY
                self._parser = _NO_PARSER
        elif self._mode is _MESSAGES:
            # Behind the end of another message, nobody knows how much of the read was of this head: enough to measure
            # it when it is complete.
            self._head_size += self._limits.max_field_size if self._events else self._received
            if self._head_size > self._max_head_size:
                self._fail(ProtocolError(431, "request head too large"))

    def _count_framing(self) -> None:
        """Bound chunk extensions, one-byte chunks with long size lines, and trailers under way."""
        size = (
            self._framing_size
            + self._received
            - self._body_size * 2
            - self._chunks * _FRAMING_PER_CHUNK
        )
        self._body_size = self._chunks = 0
        self._framing_size = max(0, size)
        if self._framing_size > self._max_head_size + _CHUNK_ALLOWANCE:
            self._fail(ProtocolError(400, "too much chunk framing for so little body"))

    def _upgrade(self, tail: bytes) -> None:
        """Decide what the bytes behind an offer are: held, a tunnel, or HTTP for a fresh parser."""
        head = self._head
        self._upgrading = False
        if head is None:  # pragma: no cover - the callbacks always come first
            raise RuntimeError("upgrade without a head")
        if head.method == "CONNECT":
            self._mode = _TUNNEL
            self._parser = _NO_PARSER
            if tail:
                self._events.append(tail)
            return
        self._parser = httptools.HttpRequestParser(self)
        if head.offers_websocket:
            self._mode = _HELD
            self._held = bytearray(tail)
        elif head.has_body:
            self._prime(head)
        else:
            self._end_message(head)

    def _prime(self, head: RequestHead) -> None:
        """Tell a fresh parser the framing of a body that the last one would not read."""
        framing = (
            b"Transfer-Encoding: chunked"
            if head.chunked
            else b"Content-Length: %d" % (head.content_length or 0)
        )
        self._primed = True
        self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)

    def _fail(self, error: ProtocolError) -> None:
        self._events.append(error)
        self.close()

    def _explain(self, exc: Exception, data: bytes) -> ProtocolError:
        """Say in our words what httptools stumbled over."""
        if self._head is not None:
            return ProtocolError(400, f"bad request body: {_sentence(exc)}")
        if isinstance(exc, httptools.HttpParserInvalidMethodError):
            if not self._head_size and not self._events:
                if data[:1] == b"\x16" and self._host is None:
                    return ProtocolError(None, "TLS handshake on a plain-text port")
                if _token(data) and data[:1].isupper():
                    return ProtocolError(400, "unknown method")
            return ProtocolError(400, "bad request method")
        if isinstance(exc, httptools.HttpParserInvalidURLError):
            return ProtocolError(400, "bad request target")
        if self._parser.get_method() == b"PRI":
            return ProtocolError(505, "HTTP/2 preface: this server speaks HTTP/1.1 only")
        return ProtocolError(400, f"bad request head: {_sentence(exc)}")

    # What httptools calls, in its order.

    def on_url(self, target: bytes) -> None:
        if self._target:
            target = self._target + target
        self._target = target
        if len(target) > self._limits.max_line_size:
            self._refuse(414, "request target too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        fields, target = self._fields, self._target
        self._fields = []
        self._target = b""
        if self._primed:
            self._primed = False
            return
        parser, limits = self._parser, self._limits
        if len(fields) > limits.max_headers:
            self._refuse(431, "too many header fields")
        if self._head_size + self._received > limits.max_field_size:
            self._audit(target, fields, "header")
        self._head_size = 0
        method = parser.get_method()
        head = RequestHead(
            _METHODS.get(method) or method.decode("ascii"),
            target,
            HttpVersion11,
            fields,
            parser.should_keep_alive(),
        )
        self._read_fields(head)
        if target[:1] != b"/" or method == b"CONNECT":
            self._check_target(head)
        self._events.append(head)
        if head.has_body or head.offer is not None or not head.keep_alive:
            # Its end will need attention; that of any other message is no news.
            self._head = head
            self._body_size = self._chunks = 0
            # Other messages may have come before in this read, which are no framing of this body.
            self._framing_size = -self._received if len(self._events) > 1 else 0
            self._upgrading = (
                head.offer is not None or method == b"CONNECT"
            ) and parser.should_upgrade()
            if not self._upgrading or head.version is HttpVersion10:
                # Without Connection: upgrade there is no offer, and HTTP/1.0 knows none (RFC 9110 §7.8).
                head.offer = None

    def on_body(self, data: bytes) -> None:
        self._body_size += len(data)
        self._events.append(data)

    def on_chunk_header(self) -> None:
        self._chunks += 1

    def on_chunk_complete(self) -> None:
        self._events.append(CHUNK_END)

    def on_message_complete(self) -> None:
        head = self._head
        if head is not None and not self._upgrading:
            if head.has_body:
                self._events.append(self._read_trailers(head) if self._fields else _END)
            lasting = head.keep_alive or not self._parser.should_keep_alive()
            self._end_message(head)
            if not lasting:
                raise _Finished

    def _read_trailers(self, head: RequestHead) -> EndOfMessage:
        trailers = self._fields
        self._fields = []
        if not self._parser.should_keep_alive():
            head.keep_alive = False
        if len(trailers) > self._limits.max_headers:
            self._refuse(431, "too many trailer fields")
        self._audit(b"", trailers, "trailer")
        return EndOfMessage(trailers)

    def _end_message(self, head: RequestHead) -> None:
        self._head = None
        if not head.keep_alive:
            self._mode = _CLOSED
            self._parser = _NO_PARSER

    # The rules that httptools leaves to us.

    def _refuse(self, status: int, reason: str) -> NoReturn:
        """Stop httptools in the middle of a callback."""
        self._error = ProtocolError(status, reason)
        raise self._error

    def _read_fields(self, head: RequestHead) -> None:
        """Read what the fields say of the connection and the body (RFC 9112 §3.2, §6)."""
        kinds = _KINDS
        hosts = 0
        codings: bytes | None = None
        # Without Connection, persistence is the sign of HTTP/1.1; asking httptools for the version costs more
        # than all the rest of this.
        version_known = head.keep_alive
        for name, value in head.fields:
            kind = kinds.get(name)
            if kind == _NOTHING:
                continue
            if kind is None:
                kind = _LOWER_KINDS.get(name.lower())
                if kind is None:
                    continue
            if kind == _HOST:
                hosts += 1
                if value != self._host:
                    self._check_host(value)
            elif kind == _CONNECTION:
                version_known = False
            elif kind == _CONTENT_LENGTH:
                try:
                    head.content_length = length = int(value)
                except ValueError:
                    # Zeros without end: httptools lets nothing but digits pass, Python not that many.
                    self._refuse(400, "too many digits in Content-Length")
                if length:
                    head.has_body = True
            elif kind == _TRANSFER_ENCODING:
                codings = value if codings is None else codings + b"," + value
            elif kind == _EXPECT:
                head.expect = value
            elif kind == _CONTENT_ENCODING:
                codings_before = head.content_encoding
                head.content_encoding = (
                    value if codings_before is None else codings_before + b"," + value
                )
            else:
                head.offer = value if head.offer is None else head.offer + b"," + value
        if not version_known:
            head.version = self._read_version()
            if head.keep_alive and head.version is HttpVersion10:
                head.keep_alive = not _says_close(head.fields)
        if codings is not None:
            self._check_transfer_encoding(head, codings)
        if hosts != 1:
            if hosts or head.version is HttpVersion11:
                what = "more than one" if hosts else "no"
                self._refuse(400, f"{what} Host header field (RFC 9112 §3.2)")
            self._host = b""

    def _read_version(self) -> HttpVersion:
        version = self._parser.get_http_version()
        if version == "1.1":
            return HttpVersion11
        if version == "1.0":
            return HttpVersion10
        self._refuse(505, f"HTTP/{version} is not spoken here, HTTP/1.1 is")

    def _check_host(self, value: bytes) -> None:
        if _split_authority(value.strip(b" \t")) is None:
            self._refuse(400, "malformed Host header field (RFC 9112 §3.2)")
        self._host = value

    def _check_transfer_encoding(self, head: RequestHead, value: bytes) -> None:
        """Accept ``chunked`` alone: no other transfer coding is implemented (RFC 9112 §6.1)."""
        if head.version is HttpVersion10:
            self._refuse(400, "Transfer-Encoding in an HTTP/1.0 request (RFC 9112 §6.1)")
        codings = value.lower().split(b",")
        # White space behind it may be spaces only: httptools takes a tab for a part of the name.
        if codings[-1].lstrip(b" \t").rstrip(b" ") != b"chunked":
            self._refuse(400, "Transfer-Encoding does not end in chunked (RFC 9112 §6.3)")
        if len(codings) > 1:
            self._refuse(501, "transfer coding not implemented (RFC 9112 §6.1)")
        head.chunked = head.has_body = True

    def _check_target(self, head: RequestHead) -> None:
        """Accept asterisk-form for OPTIONS, authority-form for CONNECT, else absolute-form (RFC 9112 §3.2)."""
        target = head.target
        if head.method == "CONNECT":
            head.has_body = True
            host, port = _split_authority(target) or (b"", b"")
            if not host or not int(port or b"0"):
                self._refuse(400, "CONNECT wants host:port as its target (RFC 9112 §3.2.3)")
        elif target == b"*":
            if head.method != "OPTIONS":
                self._refuse(400, "the target * is for OPTIONS alone (RFC 9112 §3.2.4)")
        else:
            absolute = _absolute_form(target)
            if absolute is None:
                self._refuse(400, "bad request target (RFC 9112 §3.2)")
            # User names and passwords have no place there, but serve to deceive (RFC 9110 §4.2.4).
            host, _ = _split_authority(absolute[1]) or (b"", b"")
            if not host:
                self._refuse(400, "bad authority in the request target (RFC 9110 §4.2.1)")

    def _audit(self, target: bytes, fields: Fields, what: str) -> None:
        """Measure every field, when the bytes are so many that one of them may be too long."""
        limits = self._limits
        total = len(target)
        for name, value in fields:
            total += len(name) + len(value) + 4
            if len(value) > limits.max_field_size or len(name) > limits.max_field_size:
                self._refuse(431, f"{what} field too large")
        if total > limits.max_head_size:
            self._refuse(431, f"{what} fields too large in all")


def _split_authority(value: bytes) -> tuple[bytes, bytes] | None:
    """Return host and port of ``host:port``, either maybe empty; None if one of them cannot be (RFC 3986 §3.2)."""
    match = _authority(value)
    if match is None:
        return None
    host, port = match[1], match[2] or b""
    if port and (len(port) > 5 or int(port) > 65535):
        return None
    try:
        if host[:1] == b"[":
            IPv6Address(host[1:-1].decode())
        elif b"xn--" in host.lower():
            if len(host) > _MAX_NAME_SIZE:
                return None
            # yarl decodes such names when they are asked for, and not all can be.
            URL.build(scheme="http", host=host.decode()).host  # noqa: B018
    except ValueError:
        return None
    return host, port


def _says_close(fields: Fields) -> bool:
    """Whether one of the Connection fields has ``close`` (RFC 9112 §9.3)."""
    return any(
        b"close" in [option.strip(b" \t") for option in value.lower().split(b",")]
        for name, value in fields
        if name.lower() == b"connection"
    )


def _sentence(exc: Exception) -> str:
    text = str(exc.args[0]) if exc.args else "syntax error"
    # Names of fields keep their capitals.
    return text if "-" in text.partition(" ")[0] else text[:1].lower() + text[1:]
