"""lowlevel.protocol.http1: bytes in, events out, in the order of RFC 9112.

Every stream runs whole, byte by byte, cut in two anywhere, cut at random, and with the peer gone at every byte: what
comes out does not depend on how the bytes came in.
"""

import gc
import tracemalloc
import weakref
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lowlevel.body import EMPTY_PAYLOAD
from lowlevel.protocol.head import RequestHead
from lowlevel.protocol.http1 import (
    CHUNK_END,
    EndOfMessage,
    Event,
    ParserLimits,
    ProtocolError,
    RequestParser,
)
from lowlevel.request import BaseRequest
from tests.support import request

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

GET = request()
CHUNKED = "Transfer-Encoding: chunked"
UPGRADE = "Connection: upgrade"
WEBSOCKET = (UPGRADE, "Upgrade: websocket")
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")


class Message:
    """A request as far as it came."""

    def __init__(self, head: RequestHead) -> None:
        self.head = head
        self.body = b""
        self.complete = not head.has_body
        self.trailers: list[tuple[bytes, bytes]] = []

    def __str__(self) -> str:
        head = self.head
        words = [head.method, head.target.decode()]
        if head.version != (1, 1):
            words.append("HTTP/{}.{}".format(*head.version))
        if not head.keep_alive:
            words.append("close")
        if head.offer is not None:
            words.append(f"offer={head.offer.decode('latin-1')}")
        if head.has_body:
            words.append(repr(self.body)[1:])
        if not self.complete:
            words.append("...")
        words += [f"{name.decode()}={value.decode('latin-1')}" for name, value in self.trailers]
        return " ".join(words)

    def is_start_of(self, other: "Message") -> bool:
        same = (self.head.method, self.head.target, self.head.fields, self.head.offer) == (
            other.head.method,
            other.head.target,
            other.head.fields,
            other.head.offer,
        )
        return same and other.body.startswith(self.body)


class Receiver:
    """A parser, what came out of it, and a watch on its contract. Declines offers: at once, or at the end."""

    def __init__(self, limits: ParserLimits | None = None, *, hold: bool = False) -> None:
        self.parser = RequestParser(limits or ParserLimits())
        self.hold = hold
        self.messages: list[Message] = []
        self.error: ProtocolError | None = None

    def feed(self, *pieces: bytes) -> "Receiver":
        for data in pieces:
            was_closed = self.parser.closed
            events = self.parser.receive_data(data)
            assert not (was_closed and events), "events from a closed parser"
            self._note(events)
            if not self.hold:
                self.decline()
        return self

    def eof(self) -> "Receiver":
        self._note(self.parser.receive_eof())
        self.decline()
        self._note(self.parser.receive_eof())
        assert self.parser.closed
        assert self.parser.receive_data(GET) == []
        return self

    def decline(self) -> None:
        while self.parser.held_size is not None:
            self._note(self.parser.decline_upgrade())

    def _note(self, events: list[Event]) -> None:
        for event in events:
            assert self.error is None, "events behind an error"
            message = self.messages[-1] if self.messages else None
            if isinstance(event, RequestHead):
                assert message is None or message.complete, "a head in the middle of a body"
                self.messages.append(Message(event))
            elif isinstance(event, ProtocolError):
                self.error = event
                assert self.parser.closed, "open after an error"
            else:
                assert message is not None and not message.complete, "a body where none can be"
                if isinstance(event, EndOfMessage):
                    message.complete = True
                    message.trailers = event.trailers
                elif event is CHUNK_END:
                    assert message.head.chunked
                else:
                    assert type(event) is bytes and event
                    message.body += event

    @property
    def seen(self) -> list[str]:
        errors = [] if self.error is None else [str(self.error.status)]
        return [*map(str, self.messages), *errors]


def receive(*pieces: bytes, **options: Any) -> list[str]:
    receiver = Receiver(**options).feed(*pieces)
    receiver.decline()
    return receiver.seen


def refusal(*pieces: bytes, limits: ParserLimits | None = None) -> ProtocolError:
    """Feed bytes; return the only thing that comes out, a refusal."""
    receiver = Receiver(limits).feed(*pieces)
    assert receiver.messages == []
    assert receiver.error is not None
    return receiver.error


def only_head(data: bytes) -> RequestHead:
    (message,) = Receiver().feed(data).messages
    return message.head


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    ends = [0, *sorted(set(places)), len(data)]
    return [data[start:end] for start, end in zip(ends, ends[1:], strict=False) if start < end]


def raw(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunks(*parts: bytes, trailers: bytes = b"") -> bytes:
    return (
        b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n%b\r\n" % trailers
    )


def post(body: bytes, *fields: str, target: str = "/") -> bytes:
    """A POST with a chunked body that is given as it is on the wire."""
    return request("POST", target, CHUNKED, *fields) + body


# --- Streams: the messages of each must be the same however it is cut -----------------------------

STREAMS: dict[str, tuple[bytes, list[str]]] = {
    # RFC 9112 §2.2
    "nothing": (b"", []),
    "one": (GET, ["GET /"]),
    "empty lines before a request": (b"\r\n" * 8 + GET + b"\r\n\r\n" + GET, ["GET /"] * 2),
    "empty lines alone": (b"\r\n\r\n", []),
    "head without its end": (GET[:-2], []),
    # §3
    "every usual method": (
        b"".join(
            request(method, "/x")
            for method in "GET HEAD POST PUT DELETE OPTIONS TRACE PATCH".split()
        ),
        [f"{method} /x" for method in "GET HEAD POST PUT DELETE OPTIONS TRACE PATCH".split()],
    ),
    "methods less usual": (
        b"".join(
            request(method) for method in "QUERY PROPFIND MKCOL REPORT PURGE M-SEARCH".split()
        ),
        [f"{method} /" for method in "QUERY PROPFIND MKCOL REPORT PURGE M-SEARCH".split()],
    ),
    "origin form": (
        request("GET", "/where?q=now#part") + request("GET", "//a//b?/?"),
        ["GET /where?q=now#part", "GET //a//b?/?"],
    ),
    "absolute form": (
        request("GET", "http://b.test:81/x?y") + request("OPTIONS", "https://[::1]?y"),
        ["GET http://b.test:81/x?y", "OPTIONS https://[::1]?y"],
    ),
    "asterisk form": (request("OPTIONS", "*"), ["OPTIONS *"]),
    # §5
    "fields": (
        raw(
            "GET / HTTP/1.1", "hOsT:a", "Empty:", "Blank: \t ", "!#$%&'*+-.^_`|~09Az: \t v\t w \t "
        ),
        ["GET /"],
    ),
    "beyond ASCII": (raw("GET / HTTP/1.1", "Host: a", "X: \xe4\xff", "X: \x80"), ["GET /"]),
    # §6.2
    "body": (request("POST", "/x", body=b"hello"), ["POST /x 'hello'"]),
    "body of nothing": (request("POST", "/", "Content-Length: 0") + GET, ["POST /", "GET /"]),
    "body of a GET": (request(body=b"\r\n\r\n") + GET, [r"GET / '\r\n\r\n'", "GET /"]),
    "body of a HEAD": (request("HEAD", body=b"a") + GET, ["HEAD / 'a'", "GET /"]),
    "length with zeros": (
        request("PUT", "/", "Content-Length: 0005") + b"hello",
        ["PUT / 'hello'"],
    ),
    "length with white space": (
        raw("PUT / HTTP/1.1", "Host: a", "Content-Length:\t 5 \t") + b"hello" + GET,
        ["PUT / 'hello'", "GET /"],
    ),
    "body that looks like a request": (
        request("POST", body=GET) + GET,
        [f"POST / {GET!r}".replace("b'", "'"), "GET /"],
    ),
    "body without its end": (
        request("POST", "/", "Content-Length: 9") + b"hello",
        ["POST / 'hello' ..."],
    ),
    # §7
    "chunks": (post(chunks(b"hello", b" ", b"world")) + GET, ["POST / 'hello world'", "GET /"]),
    "no chunk but the last": (post(chunks()) + GET, ["POST / ''", "GET /"]),
    "chunked in any case": (
        raw("POST / HTTP/1.1", "Host: a", "TRANSFER-encoding:  ChunkeD  ") + chunks(b"a"),
        ["POST / 'a'"],
    ),
    "chunk sizes": (
        post(b"A\r\n0123456789\r\na\r\n0123456789\r\n000001\r\nx\r\n000\r\n\r\n"),
        ["POST / '01234567890123456789x'"],
    ),
    "chunk extensions": (
        post(b'5;a\r\nhello\r\n1;a=b;c="d;\\" e"\r\n!\r\n0;z\r\n\r\n') + GET,
        ["POST / 'hello!'", "GET /"],
    ),
    "chunk of line ends": (
        post(chunks(b"\r\n0\r\n\r\n")) + GET,
        [r"POST / '\r\n0\r\n\r\n'", "GET /"],
    ),
    "chunks without an end": (post(b"5\r\nhello\r\n"), ["POST / 'hello' ..."]),
    "trailers": (
        post(chunks(b"a", trailers=b"X: y\r\nx:\r\n")) + GET,
        ["POST / 'a' X=y x=", "GET /"],
    ),
    "trailers that mean nothing there": (
        post(chunks(trailers=b"Host: b\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n")) + GET,
        ["POST / '' Host=b Upgrade=websocket Expect=100-continue", "GET /"],
    ),
    # §9.3
    "close": (request("GET", "/", "Connection: close") + GET, ["GET / close"]),
    "close among others": (
        request("GET", "/", "Connection: x ,\tCLOSE ,") + b"\x00junk",
        ["GET / close"],
    ),
    "close in a second field": (
        request("GET", "/", "Connection: keep-alive", "Connection: close") + GET,
        ["GET / close"],
    ),
    "no close": (
        request("GET", "/", "Connection: closed, x-close") + request("GET", "/", "X: close"),
        ["GET /"] * 2,
    ),
    "close with a body": (
        request("POST", "/", "Connection: close", body=b"a") + GET,
        ["POST / close 'a'"],
    ),
    "close with chunks": (
        post(chunks(b"a", trailers=b"X: y\r\n"), "Connection: close") + GET,
        ["POST / close 'a' X=y"],
    ),
    "close in a trailer": (
        post(chunks(b"a", trailers=b"Connection: close\r\n")) + GET,
        ["POST / close 'a' Connection=close"],
    ),
    "proxy connection": (request("GET", "/", "Proxy-Connection: close") + GET, ["GET / close"]),
    "1.0": (request(version="1.0") + GET, ["GET / HTTP/1.0 close"]),
    "1.0 without Host": (request(version="1.0", host=""), ["GET / HTTP/1.0 close"]),
    "1.0 kept alive": (
        request("GET", "/", "connection: Keep-Alive", version="1.0") + GET,
        ["GET / HTTP/1.0", "GET /"],
    ),
    "1.0 with a body": (
        request("POST", "/", "Connection: keep-alive", body=b"a", version="1.0") + GET,
        ["POST / HTTP/1.0 'a'", "GET /"],
    ),
    "1.0 kept alive by another name": (
        request("GET", "/", "proxy-connection: keep-alive", version="1.0") + GET,
        ["GET / HTTP/1.0", "GET /"],
    ),
    "1.0 that says both": (
        request("GET", "/", "Connection: close, keep-alive", version="1.0") + GET,
        ["GET / HTTP/1.0 close"],
    ),
    "1.0 that says both with a body": (
        request(
            "POST", "/", "Connection: keep-alive", "Connection: close", body=b"a", version="1.0"
        )
        + GET,
        ["POST / HTTP/1.0 close 'a'"],
    ),
    # §9.3.2
    "pipeline": (
        GET + request("POST", "/a", body=b"one") + post(chunks(b"two", b"three")) + GET,
        ["GET /", "POST /a 'one'", "POST / 'twothree'", "GET /"],
    ),
    # RFC 9110 §7.8
    "websocket": (request("GET", "/", *WEBSOCKET), ["GET / offer=websocket"]),
    "websocket and more": (
        request("GET", "/1", *WEBSOCKET) + GET + request("GET", "/2", *WEBSOCKET) + GET,
        ["GET /1 offer=websocket", "GET /", "GET /2 offer=websocket", "GET /"],
    ),
    "websocket and a part": (request("GET", "/", *WEBSOCKET) + GET[:-3], ["GET / offer=websocket"]),
    "websocket and a body": (
        request("GET", "/", *WEBSOCKET, body=b"body") + GET,
        ["GET / offer=websocket 'body'", "GET /"],
    ),
    "websocket and a close": (
        request("GET", "/", "Connection: upgrade, close", "Upgrade: websocket") + GET,
        ["GET / close offer=websocket"],
    ),
    "websocket among others": (
        request(
            "GET", "/", "connection: UPGRADE", "upgrade: h2c", "Upgrade: WebSocket/13, WebSocket"
        )
        + GET,
        ["GET / offer=h2c,WebSocket/13, WebSocket", "GET /"],
    ),
    "h2c": (request("GET", "/", *H2C) + GET, ["GET / offer=h2c", "GET /"]),
    "h2c with a body": (
        request("POST", "/", *H2C, body=b"hello") + GET,
        ["POST / offer=h2c 'hello'", "GET /"],
    ),
    "h2c with chunks": (
        post(chunks(b"hello", b"!", trailers=b"X: y\r\n"), *H2C) + GET,
        ["POST / offer=h2c 'hello!' X=y", "GET /"],
    ),
    "h2c with half a body": (
        request("POST", "/", *H2C, "Content-Length: 9") + b"hello",
        ["POST / offer=h2c 'hello' ..."],
    ),
    "h2c with a body and a close": (
        request("POST", "/", "Connection: upgrade, close", "Upgrade: h2c", body=b"hello") + GET,
        ["POST / close offer=h2c 'hello'"],
    ),
    "offers in a row": (
        request("GET", "/", *H2C) * 3 + request("POST", "/", *H2C, body=b"a") * 2,
        ["GET / offer=h2c"] * 3 + ["POST / offer=h2c 'a'"] * 2,
    ),
    "unknown offer": (
        request("GET", "/", "Connection: upgrade", "Upgrade: x/1") + GET,
        ["GET / offer=x/1", "GET /"],
    ),
    "Upgrade without Connection": (
        request("GET", "/", "Upgrade: websocket") + request("POST", "/", "Upgrade: h2c", body=b"a"),
        ["GET /", "POST / 'a'"],
    ),
    "Connection without Upgrade": (
        request("GET", "/", UPGRADE) + request("POST", "/", UPGRADE, body=b"a"),
        ["GET /", "POST / 'a'"],
    ),
    "1.0 offers nothing": (
        request("GET", "/", "Connection: upgrade, keep-alive", "Upgrade: websocket", version="1.0")
        + request("POST", "/", *WEBSOCKET, body=b"a", version="1.0")
        + GET,
        ["GET / HTTP/1.0", "POST / HTTP/1.0 close 'a'"],
    ),
    # RFC 9110 §9.3.6
    "CONNECT": (request("CONNECT", "a.test:443"), ["CONNECT a.test:443 '' ..."]),
    "CONNECT and more": (
        GET + request("CONNECT", "[::1]:1") + b"\x16\x03" + GET,
        ["GET /", f"CONNECT [::1]:1 {bytes([22, 3]) + GET!r} ...".replace("b'", "'")],
    ),
    "CONNECT with framing": (
        request("CONNECT", "a.test:443", CHUNKED) + chunks(b"a"),
        [r"CONNECT a.test:443 '1\r\na\r\n0\r\n\r\n' ..."],
    ),
    "CONNECT with an offer": (
        request("CONNECT", "a.test:443", *WEBSOCKET) + b"abc",
        ["CONNECT a.test:443 offer=websocket 'abc' ..."],
    ),
    "CONNECT behind an offer": (
        request("GET", "/", *WEBSOCKET) + request("CONNECT", "a.test:443") + b"abc",
        ["GET / offer=websocket", "CONNECT a.test:443 'abc' ..."],
    ),
    # All of it.
    "everything": (
        GET
        + b"\r\n"
        + request("POST", "/1", "Expect: 100-continue", body=b"one")
        + request("POST", "/2", *H2C, body=b"two")
        + post(chunks(b"th", b"ree", trailers=b"X: 3\r\n"), *H2C, target="/3")
        + request("GET", "/4", *WEBSOCKET)
        + request("HEAD", "/5", "Connection: keep-alive", version="1.0")
        + post(chunks(b"six"), target="/6")
        + request("DELETE", "/7", "Connection: close")
        + GET,
        [
            "GET /",
            "POST /1 'one'",
            "POST /2 offer=h2c 'two'",
            "POST /3 offer=h2c 'three' X=3",
            "GET /4 offer=websocket",
            "HEAD /5 HTTP/1.0",
            "POST /6 'six'",
            "DELETE /7 close",
        ],
    ),
}

# --- Refusals: the status, and a word of the reason -----------------------------------------------

REFUSED: dict[str, tuple[bytes, list[str], str]] = {
    # RFC 9112 §2.2
    "bare LF behind the request line": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", ["400"], "head"),
    "bare LF behind a field": (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", ["400"], "head"),
    "bare LF at the end": (b"GET / HTTP/1.1\r\nHost: a\r\n\n", ["400"], "head"),
    "bare CR in a value": (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n", ["400"], "head"),
    "bare CR in the request line": (b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", ["400"], "target"),
    "white space before the first field": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", ["400"], "head"),
    "NUL first": (b"\x00" + GET, ["400"], "method"),
    # §2.3
    "0.9": (b"GET /\r\n\r\n", ["505"], "HTTP/0.9"),
    "0.9 by name": (request(version="0.9"), ["505"], "HTTP/0.9"),
    "2.0": (request(version="2.0"), ["505"], "HTTP/2.0"),
    "2.0 kept alive": (
        request("GET", "/", "Connection: keep-alive", version="2.0"),
        ["505"],
        "2.0",
    ),
    "1.2": (request(version="1.2"), ["400"], "version"),
    "3.0": (request(version="3.0"), ["400"], "version"),
    "1.10": (request(version="1.10"), ["400"], "version"),
    "1.": (request(version="1."), ["400"], "version"),
    "1": (request(version="1"), ["400"], "dot"),
    "01.1": (request(version="01.1"), ["400"], "head"),
    "version and a space": (request(version="1.1 "), ["400"], "version"),
    "lower-case http": (b"GET / http/1.1\r\nHost: a\r\n\r\n", ["400"], "HTTP/"),
    "https": (b"GET / HTTPS/1.1\r\nHost: a\r\n\r\n", ["400"], "head"),
    "no version": (b"GET / \r\nHost: a\r\n\r\n", ["400"], "HTTP/"),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00", ["505"], "HTTP/2"),
    # §3.1
    "unknown method": (request("FOO"), ["400"], "method"),
    "longer method": (request("GETS"), ["400"], "method"),
    "shorter method": (request("GE"), ["400"], "method"),
    "lower-case method": (request("get"), ["400"], "method"),
    "method of no token": (request("GE(T"), ["400"], "method"),
    "no method": (request(""), ["400"], "method"),
    "tab behind the method": (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", ["400"], "method"),
    "method of another protocol": (request("DESCRIBE"), ["400"], "method"),
    "no target": (b"GET HTTP/1.1\r\nHost: a\r\n\r\n", ["400"], "target"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01", ["None"], "TLS"),
    "TLS behind a request": (GET + b"\x16\x03\x01", ["GET /", "400"], "method"),
    "TLS behind a request of 1.0": (
        request("GET", "/", "Connection: keep-alive", host="", version="1.0") + b"\x16\x03\x01",
        ["GET / HTTP/1.0", "400"],
        "method",
    ),
    "JSON": (b'{"a": 1}\r\n\r\n', ["400"], "method"),
    # §3.2
    "no Host": (request(host=""), ["400"], "no Host"),
    "two Hosts": (request("GET", "/", "Host: b.test"), ["400"], "more than one Host"),
    "the same Host twice": (request("GET", "/", "host: a.test"), ["400"], "more than one Host"),
    "two Hosts in 1.0": (request("GET", "/", "Host: b.test", version="1.0"), ["400"], "Host"),
    "malformed Host in 1.0": (request(host="a/b", version="1.0"), ["400"], "malformed Host"),
    "space in a target": (request("GET", "/a b"), ["400"], "head"),
    "control character in a target": (request("GET", "/\x01"), ["400"], "target"),
    "DEL in a target": (request("GET", "/\x7f"), ["400"], "target"),
    "target beyond ASCII": (request("GET", "/\xe4"), ["400"], "target"),
    "authority for GET": (request("GET", "a.test:80"), ["400"], "target"),
    "relative path": (request("GET", "a"), ["400"], "target"),
    "query alone": (request("GET", "?a"), ["400"], "target"),
    "* for GET": (request("GET", "*"), ["400"], "*"),
    "* for M-SEARCH": (request("M-SEARCH", "*"), ["400"], "*"),
    "* and more": (request("OPTIONS", "*/"), ["400"], "target"),
    "absolute form without host": (request("GET", "http:///a"), ["400"], "target"),
    "absolute form with a port alone": (request("GET", "http://:80/a"), ["400"], "authority"),
    "absolute form with a user": (request("GET", "http://u:p@a.test/"), ["400"], "authority"),
    "absolute form with two users": (request("GET", "http://[::1]@"), ["400"], "authority"),
    "absolute form with a bad port": (request("GET", "http://a:65536/"), ["400"], "authority"),
    "absolute form with no IPv6": (request("GET", "http://[::g]/"), ["400"], "target"),
    "absolute form with no IDN": (request("GET", "http://xn--a/"), ["400"], "authority"),
    "CONNECT to a path": (request("CONNECT", "/"), ["400"], "host:port"),
    "CONNECT to *": (request("CONNECT", "*"), ["400"], "host:port"),
    "CONNECT to a URL": (request("CONNECT", "http://a.test:80/"), ["400"], "host:port"),
    "CONNECT without port": (request("CONNECT", "a.test"), ["400"], "host:port"),
    "CONNECT with an empty port": (request("CONNECT", "a.test:"), ["400"], "host:port"),
    "CONNECT to port 0": (request("CONNECT", "a.test:0"), ["400"], "host:port"),
    "CONNECT to port 65536": (request("CONNECT", "a.test:65536"), ["400"], "host:port"),
    "CONNECT without host": (request("CONNECT", ":80"), ["400"], "host:port"),
    "CONNECT with a user": (request("CONNECT", "u@a.test:80"), ["400"], "host:port"),
    # §5.1, §5.2, RFC 9110 §5.5
    "space before the colon": (request("GET", "/", "X : y"), ["400"], "header"),
    "tab before the colon": (request("GET", "/", "X\t: y"), ["400"], "header"),
    "no colon": (request("GET", "/", "X"), ["400"], "header"),
    "no name": (request("GET", "/", ": y"), ["400"], "header"),
    "name of no token": (request("GET", "/", "X(: y"), ["400"], "header"),
    "name beyond ASCII": (request("GET", "/", "\xe4: y"), ["400"], "header"),
    "NUL in a name": (request("GET", "/", "X\x00: y"), ["400"], "header"),
    "folded line": (request("GET", "/", "X: y", " z"), ["400"], "whitespace"),
    "folded line with a tab": (request("GET", "/", "X: y", "\tz"), ["400"], "whitespace"),
    "NUL in a value": (request("GET", "/", "X: \x00"), ["400"], "header"),
    "control character in a value": (request("GET", "/", "X: y\x0bz"), ["400"], "header"),
    "DEL in a value": (request("GET", "/", "X: \x7f"), ["400"], "header"),
    # §6.1
    "coding and length": (request("POST", "/", CHUNKED, body=b"a"), ["400"], "Transfer-Encoding"),
    "length and coding": (
        request("POST", "/", "Content-Length: 5", CHUNKED) + chunks(),
        ["400"],
        "Transfer-Encoding",
    ),
    "chunked in 1.0": (
        request("POST", "/", CHUNKED, "Connection: keep-alive", version="1.0") + chunks(),
        ["400"],
        "HTTP/1.0",
    ),
    **{
        f"coding {coding!r}": (
            request("POST", "/", f"Transfer-Encoding: {coding}") + chunks(),
            ["400"],
            "Transfer-Encoding",
        )
        for coding in (
            "xchunked",
            "chunkedx",
            "identity",
            "gzip",
            "chunked, gzip",
            "chunked,chunked",
            "chunked;q=1",
            '"chunked"',
            "chun ked",
            "chunked\t",
            "chunked,",
            "",
            ",",
            "\xe4",
        )
    },
    "two fields with chunked": (post(chunks(), CHUNKED), ["400"], "Transfer-Encoding"),
    "chunked, then gzip": (post(chunks(), "Transfer-Encoding: gzip"), ["400"], "Transfer-Encoding"),
    "gzip, then chunked": (
        request("POST", "/", "Transfer-Encoding: gzip", CHUNKED) + chunks(),
        ["501"],
        "not implemented",
    ),
    "gzip and chunked": (
        request("POST", "/", "Transfer-Encoding: gzip, chunked") + chunks(),
        ["501"],
        "not implemented",
    ),
    # §6.2, §6.3
    **{
        f"length {length!r}": (
            request("POST", "/", f"Content-Length: {length}") + b"hello",
            ["400"],
            "Content-Length",
        )
        for length in (
            "+5",
            "-5",
            "5.0",
            "0x5",
            "5 5",
            "5,5",
            "5, 5",
            "five",
            "",
            "1_0",
            "\xb2",
            "18446744073709551616",
        )
    },
    "two lengths": (
        request("POST", "/", "Content-Length: 6", body=b"hello"),
        ["400"],
        "Content-Length",
    ),
    "the same length twice": (
        request("POST", "/", "content-length: 5", body=b"hello"),
        ["400"],
        "Content-Length",
    ),
    # §7.1
    **{
        f"chunk size {size!r}": (
            post(b"%b\r\nhello\r\n0\r\n\r\n" % size),
            ["POST / '' ...", "400"],
            "chunk",
        )
        for size in (
            b"",
            b"g",
            b"+5",
            b"-5",
            b"0x5",
            b" 5",
            b"5 ",
            b"5\t",
            b"5,",
            b"5\n",
            b"10000000000000000",
        )
    },
    **{
        f"chunk extension {text!r}": (
            post(b"5%b\r\nhello\r\n0\r\n\r\n" % text),
            ["POST / '' ...", "400"],
            "chunk",
        )
        for text in (
            b";",
            b" ;a",
            b"; a",
            b";a\x00",
            b";a\nb",
            b";a\rb",
            b';a="b',
            b';a="\r\n"',
            b";\xff",
        )
    },
    "chunk longer than its size": (
        post(b"5\r\nhello!\r\n0\r\n\r\n"),
        ["POST / 'hello' ...", "400"],
        "chunk",
    ),
    "chunk with a bare LF": (
        post(b"5\r\nhello\n0\r\n\r\n"),
        ["POST / 'hello' ...", "400"],
        "chunk",
    ),
    "size with a bare LF": (post(b"5\nhello\r\n0\r\n\r\n"), ["POST / '' ...", "400"], "chunk"),
    "last chunk with a bare LF": (post(b"0\r\n\n"), ["POST / '' ...", "400"], "body"),
    # §7.1.2
    "trailer with a space before its colon": (
        post(b"0\r\nX : y\r\n\r\n"),
        ["POST / '' ...", "400"],
        "body",
    ),
    "trailer that is folded": (post(b"0\r\nX: y\r\n z\r\n\r\n"), ["POST / '' ...", "400"], "body"),
    "trailer with a bare LF": (post(b"0\r\nX: y\nY: z\r\n\r\n"), ["POST / '' ...", "400"], "body"),
    "length in a trailer": (
        post(b"0\r\nContent-Length: 5\r\n\r\nhello"),
        ["POST / '' ...", "400"],
        "Content-Length",
    ),
    "coding in a trailer": (
        post(b"0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ["POST / '' ...", "400"],
        "Transfer-Encoding",
    ),
    # Behind what was good.
    "junk behind a request": (GET + b"\x00", ["GET /", "400"], "method"),
    "junk behind a body": (request("POST", body=b"a") + b"\x00", ["POST / 'a'", "400"], "method"),
    "junk behind chunks": (post(chunks(b"a")) + b"\x00", ["POST / 'a'", "400"], "method"),
    "bad head behind a request": (GET + request(host=""), ["GET /", "400"], "no Host"),
    "junk behind websocket": (
        request("GET", "/", *WEBSOCKET) + b"\x81\x85",
        ["GET / offer=websocket", "400"],
        "method",
    ),
    "junk behind h2c": (
        request("GET", "/", *H2C) + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ["GET / offer=h2c", "505"],
        "HTTP/2",
    ),
    "bad chunk behind h2c": (post(b"x\r\n", *H2C), ["POST / offer=h2c '' ...", "400"], "chunk"),
    "junk behind a body with h2c": (
        request("POST", "/", *H2C, body=b"a") + b"\x00",
        ["POST / offer=h2c 'a'", "400"],
        "method",
    ),
}

ALL = {name: (data, seen) for name, (data, seen, *_) in (STREAMS | REFUSED).items()}

streams = pytest.mark.parametrize(("data", "seen"), ALL.values(), ids=ALL)
holding = pytest.mark.parametrize("hold", [False, True], ids=["declined at once", "held"])


@streams
@holding
def test_whole(data: bytes, seen: list[str], hold: bool) -> None:
    assert receive(data, hold=hold) == seen


@pytest.mark.parametrize(("data", "seen", "word"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_names_its_reason(data: bytes, seen: list[str], word: str) -> None:
    error = Receiver().feed(data).error
    assert error is not None
    assert word in error.reason
    assert error.reason.isprintable()
    assert str(error) == error.reason


@streams
@holding
def test_byte_by_byte(data: bytes, seen: list[str], hold: bool) -> None:
    assert receive(*[bytes([byte]) for byte in data], hold=hold) == seen


@pytest.mark.usefixtures("untraced")
@streams
@holding
def test_cut_in_two(data: bytes, seen: list[str], hold: bool) -> None:
    for place in range(1, len(data)):
        assert receive(data[:place], data[place:], hold=hold) == seen, place


@given(st.data(), st.booleans())
def test_cut_at_random(choice: st.DataObject, hold: bool) -> None:
    data, seen = choice.draw(st.sampled_from(list(ALL.values())))
    places = choice.draw(st.lists(st.integers(0, len(data))))
    assert receive(*cut(data, places), hold=hold) == seen


@pytest.mark.usefixtures("untraced")
@streams
@holding
def test_the_peer_is_gone_at_every_byte(data: bytes, seen: list[str], hold: bool) -> None:
    """RFC 9112 §8: what is complete stays so, and a body that is not is an error."""
    whole = Receiver().feed(data)
    for place in range(len(data) + 1):
        found = Receiver(hold=hold).feed(data[:place])
        refused = found.error is not None
        found.eof()
        for message, other in zip(found.messages, whole.messages, strict=False):
            assert message.is_start_of(other)
        assert len(found.messages) <= len(whole.messages)
        assert all(message.complete for message in found.messages[:-1])
        if found.messages and not found.messages[-1].complete:
            assert found.error is not None and found.error.status == 400
        elif not refused and not hold:
            assert found.error is None


def test_a_message_cut_off_says_so() -> None:
    """§8."""
    error = Receiver().feed(request("POST", "/", "Content-Length: 9") + b"hello").eof().error
    assert error is not None and "ended before the body" in error.reason


def test_the_end_of_a_tunnel_is_no_error() -> None:
    assert Receiver().feed(request("CONNECT", "a:1") + b"abc").eof().seen == ["CONNECT a:1 'abc'"]


# --- What a head says ---------------------------------------------------------------------


def test_fields_are_raw_and_in_order() -> None:
    """RFC 9112 §5: white space behind a value stays; whoever decodes a value cuts it."""
    head = only_head(raw("GET / HTTP/1.1", "hOsT:a", "X:", "x: \t y\tz \t", "X: \xff"))
    assert head.fields == [(b"hOsT", b"a"), (b"X", b""), (b"x", b"y\tz \t"), (b"X", b"\xff")]


def test_expectation() -> None:
    """RFC 9110 §10.1.1."""
    assert only_head(GET).expect is None
    assert (
        only_head(request("POST", "/", "expect: 100-Continue", body=b"a")).expect == b"100-Continue"
    )


def test_lengths() -> None:
    """§6.2: None is not 0."""
    assert only_head(GET).content_length is None
    assert only_head(post(chunks())).content_length is None
    assert only_head(request("POST", "/", "Content-Length: 0")).content_length == 0
    largest = 2**64 - 1
    head = only_head(request("POST", "/", f"Content-Length: {largest}"))
    assert (head.content_length, head.has_body) == (largest, True)


def test_a_length_of_endless_zeros() -> None:
    """CVE-2020-10735: Python converts no more than 4300 digits."""
    length = "0" * 5000 + "5"
    assert refusal(request("POST", "/", f"Content-Length: {length}")).status == 400


def test_names_of_fields_that_matter_are_found_in_any_spelling() -> None:
    data = raw(
        "POST / HTTP/1.1",
        "HOST: a",
        "eXPECT: 100-continue",
        "CONNECTION: upgrade",
        "uPGRADE: x",
        "content-LENGTH: 1",
    )
    head = only_head(data + b"a")
    assert (head.expect, head.offer, head.content_length) == (b"100-continue", b"x", 1)


def test_methods_are_plain_strings() -> None:
    for method in ("GET", "MKCALENDAR"):
        assert type(only_head(request(method)).method) is str


def test_version() -> None:
    """RFC 9112 §2.3."""
    assert only_head(GET).version == (1, 1)
    assert only_head(GET).version.major == 1
    assert only_head(request(version="1.0")).version.minor == 0


# --- RFC 9112 §3.2, RFC 9110 §7.2: Host ---------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a",
        "A.test",
        "a.test:80",
        "a.test:",
        ":80",
        "127.0.0.1:8080",
        "a_b",
        "a-b.c.",
        "%41",
        "a!$&'()*+,;=~",
        "[::1]",
        "[::1]:80",
        "[2001:DB8::1]",
        "[::ffff:1.2.3.4]:0",
        "a:65535",
        "a:00080",
        "xn--bcher-kva.example",
        "\ta \t",
    ],
)
def test_valid_hosts(host: str) -> None:
    head = only_head(raw("GET / HTTP/1.1", f"Host: {host}"))
    assert head.fields[0][1].strip() == host.strip().encode()


@pytest.mark.parametrize(
    "host",
    [
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "u@a",
        "a:b",
        "a:80:80",
        "a:-1",
        "a:+1",
        "a:65536",
        "a:100000",
        "a:" + "0" * 5000,
        "::1",
        "[::1",
        "::1]",
        "[]",
        "[::g]",
        "[1]",
        "[1.2.3.4]",
        "[:::]",
        "[::1]a",
        "a[::1]",
        "[fe80::1%25eth0]",
        "[v1.a]",
        "<a>",
        "a\\b",
        '"a"',
        "a|b",
        "a^b",
        "\xe4",
        "xn--",
        "xn--a",
        "XN--A",
        "a.xn--99999.b",
        "xn--" + "a" * 5000,
        "xn--" + "9" * 250,
    ],
)
def test_malformed_hosts(host: str) -> None:
    """§3.2: a server MUST answer 400 to a Host with an invalid field value."""
    error = refusal(raw("GET / HTTP/1.1", f"Host: {host}"))
    assert error.status == 400
    assert "Host" in error.reason


def test_every_host_of_a_connection_is_checked() -> None:
    good, bad = request(host="a.test"), request(host="b/c")
    assert receive(good + good + bad) == ["GET /", "GET /", "400"]
    assert receive(good, request(host="b.test"), good, bad) == ["GET /"] * 3 + ["400"]


# --- RFC 9110 §7.8: what becomes of bytes behind an offer ---------------------------------------

OFFER = request("GET", "/", *WEBSOCKET)


def test_bytes_behind_websocket_are_held() -> None:
    parser = RequestParser(ParserLimits())
    assert parser.held_size is None
    assert len(parser.receive_data(OFFER + b"ab")) == 1
    assert (parser.held_size, parser.idle, parser.closed) == (2, False, False)
    assert parser.receive_data(b"cd") == []
    assert parser.held_size == 4
    taken = parser.take_over()
    assert (taken, type(taken)) == (b"abcd", bytes)
    assert (parser.held_size, parser.closed) == (None, True)
    assert parser.receive_data(GET) == []


def test_nothing_is_held_behind_an_offer_that_came_alone() -> None:
    parser = RequestParser(ParserLimits())
    parser.receive_data(OFFER)
    assert parser.held_size == 0
    assert parser.decline_upgrade() == []
    assert (parser.held_size, parser.idle) == (None, True)
    assert len(parser.receive_data(GET)) == 1


def test_what_is_held_stays_when_the_peer_has_said_all() -> None:
    """A client may send its requests and FIN: they are answered all the same."""
    parser = RequestParser(ParserLimits())
    parser.receive_data(OFFER + GET)
    assert parser.receive_eof() == []
    assert (parser.held_size, parser.closed) == (len(GET), False)
    (head,) = parser.decline_upgrade()
    assert isinstance(head, RequestHead)
    assert parser.receive_eof() == []
    assert parser.closed


def test_what_is_held_and_not_whole_when_the_peer_has_said_all() -> None:
    found = Receiver(hold=True).feed(OFFER + request("POST", "/", "Content-Length: 2") + b"a").eof()
    assert found.seen == ["GET / offer=websocket", "POST / 'a' ...", "400"]


def test_what_is_held_can_be_taken_when_the_peer_has_said_all() -> None:
    parser = RequestParser(ParserLimits())
    parser.receive_data(OFFER + b"ab")
    parser.receive_eof()
    assert parser.take_over() == b"ab"
    assert parser.closed


def test_an_offer_with_close_ends_when_declined() -> None:
    parser = RequestParser(ParserLimits())
    parser.receive_data(
        request("GET", "/", "Connection: close, upgrade", "Upgrade: websocket") + GET
    )
    assert parser.held_size == len(GET)
    assert parser.decline_upgrade() == []
    assert parser.closed


def test_only_websocket_without_a_body_is_held() -> None:
    for data in (
        request("GET", "/", *H2C),
        request("GET", "/", UPGRADE, "Upgrade: websockets"),
        request("GET", "/", UPGRADE, "Upgrade: websocket/13"),
        request("GET", "/", *WEBSOCKET, "Content-Length: 1"),
        request("GET", "/", *WEBSOCKET, CHUNKED),
        request("GET", "/", *WEBSOCKET, version="1.0"),
        request("CONNECT", "a:1", *WEBSOCKET),
    ):
        parser = RequestParser(ParserLimits())
        parser.receive_data(data)
        assert parser.held_size is None
    for offer in ("websocket", "WebSocket", "h2c , websocket", "a,websocket,b"):
        parser = RequestParser(ParserLimits())
        parser.receive_data(request("GET", "/", UPGRADE, f"Upgrade: {offer}", "Content-Length: 0"))
        assert parser.held_size == 0


# --- Idle and closed ----------------------------------------------------------------------------


def test_idle_is_between_messages_only() -> None:
    parser = RequestParser(ParserLimits())
    assert parser.idle
    for piece, idle in (
        (GET, True),
        (b"\r\n", False),
        (GET, True),
        (b"G", False),
        (GET[1:-2], False),
        (b"\r\n", True),
        (GET + GET[:20], False),
        (GET[20:], True),
        (request("POST", "/", "Content-Length: 3"), False),
        (b"ab", False),
        (b"c", True),
        (post(b"1\r\na\r\n"), False),
        (b"0\r\n\r\n", True),
        (request("POST", "/", *H2C, "Content-Length: 2") + b"a", False),
        (b"b", True),
        (request("GET", "/", *H2C) + GET[:20], False),
        (GET[20:], True),
    ):
        parser.receive_data(piece)
        assert parser.idle is idle, piece
        assert not parser.closed


def test_closed_forgets_everything() -> None:
    parser = RequestParser(ParserLimits())
    parser.receive_data(OFFER + b"abc")
    parser.close()
    assert parser.closed
    assert parser.held_size is None
    assert parser.receive_data(GET) == parser.receive_eof() == []


@pytest.mark.parametrize(
    "data", [GET, GET[:9], b"\x00", OFFER, request("POST", "/", "Content-Length: 9") + b"a"]
)
def test_a_closed_parser_is_no_cycle(data: bytes) -> None:
    """It leaves at once, without the collector."""

    class Watched(RequestParser):
        __slots__ = ("__weakref__",)

    parser = Watched(ParserLimits())
    parser.receive_data(data)
    parser.close()
    gone = weakref.ref(parser)
    gc.disable()
    try:
        del parser
        assert gone() is None
    finally:
        gc.enable()


def test_long_bodies_are_passed_on_uncopied() -> None:
    parser = RequestParser(ParserLimits())
    parser.receive_data(request("POST", "/", "Content-Length: 2000000") + b"a")
    piece = b"x" * 1_000_000
    assert parser.receive_data(piece)[0] is piece


def test_our_own_faults_are_loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception in a callback is no fault of the peer."""
    monkeypatch.setattr(RequestParser, "_read_fields", lambda self, head: 1 / 0)
    with pytest.raises(httptools.HttpParserCallbackError) as caught:
        RequestParser(ParserLimits()).receive_data(GET)
    assert isinstance(caught.value.__context__, ZeroDivisionError)


# --- Limits -------------------------------------------------------------------------------------

SMALL = ParserLimits(max_line_size=50, max_field_size=100, max_headers=5)
READ = 65536


def ways(data: bytes) -> list[list[bytes]]:
    """Whole, byte by byte, behind another request, and behind it with the end in another read."""
    return [
        [data],
        [bytes([byte]) for byte in data],
        [GET + data],
        [GET + data[:-2], data[-2:]],
        [request("GET", "/", *H2C) + data[:-2], data[-2:]],
        [GET + data[:30], data[30:]],
    ]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("GET", "/" * 50), None),
        (request("GET", "/" * 51), 414),
        (request("OPTIONS", "http://a.test/" + "x" * 37), 414),
        (request("GET", "/", "X: " + "y" * 100), None),
        (request("GET", "/", "X: " + "y" * 101), 431),
        (request("GET", "/", "X" * 101 + ":"), 431),
        (request("GET", "/", *["X: y"] * 4), None),
        (request("GET", "/", *["X: y"] * 5), 431),
    ],
)
def test_limits_of_one_head(data: bytes, status: int | None) -> None:
    for pieces in ways(data):
        error = Receiver(SMALL).feed(*pieces).error
        assert (error and error.status) == status, pieces


def test_limits_of_the_defaults() -> None:
    """As aiohttp's: 8190 bytes of target or field, 128 fields."""
    field = "X: " + "y" * 8190
    assert receive(request("GET", "/" * 8190, field, *["X: y"] * 126)) == ["GET " + "/" * 8190]
    for data, status in (
        (request("GET", "/" * 8191), 414),
        (request("GET", "/", field + "y"), 431),
        (request("GET", "/", *["X: y"] * 128), 431),
    ):
        for pieces in ways(data):
            error = Receiver().feed(*pieces).error
            assert error is not None and error.status == status


def test_the_whole_head_is_bounded() -> None:
    """Eight fields of the longest size fit; a hundred do not."""
    limits = ParserLimits(max_field_size=10_000)
    assert limits.max_head_size == 88_190
    field = "X: " + "y" * 9999
    for count, status in ((8, None), (9, 431), (100, 431)):
        data = request("GET", "/", *[field] * count)
        for pieces in (
            [data],
            cut(data, range(0, len(data), 1000)),
            [GET + data],
            [GET + data[:-2], data[-2:]],
        ):
            error = Receiver(limits).feed(*pieces).error
            assert (error and error.status) == status
    assert ParserLimits(max_field_size=10).max_head_size == 65536


def flood(
    start: bytes, piece: bytes, total: int, limits: ParserLimits | None = None
) -> tuple[int, int, Receiver]:
    """Feed a piece again and again; return how many bytes were taken, the most memory used, and the receiver."""
    receiver = Receiver(limits).feed(start)
    taken = 0
    tracemalloc.start()
    try:
        while taken < total and not receiver.parser.closed:
            receiver.feed(piece)
            taken += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return taken, peak, receiver


MIB = 1024 * 1024
FIELDS = b"X: y\r\n" * (READ // 6)


@pytest.mark.parametrize(
    "before", [b"", GET, request("POST", body=b"a"), request("GET", "/", *H2C), OFFER]
)
@pytest.mark.parametrize(
    ("start", "piece", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"y" * READ, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"y" * READ, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX:", b" " * READ, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", FIELDS, 431),
        (b"GET /", b"y" * READ, 414),
        (b"", b"\r\n" * (READ // 2), 431),
        (b"GET", b" " * READ, 431),
    ],
    ids=["value", "name", "white space", "fields", "target", "empty lines", "spaces"],
)
def test_heads_without_end_cost_little(
    before: bytes, start: bytes, piece: bytes, status: int
) -> None:
    """20 MiB of one header, or 300,000 headers, in reads of 64 KiB."""
    taken, peak, receiver = flood(before + start, piece, 20 * MIB)
    assert receiver.error is not None and receiver.error.status == status
    assert taken <= 3 * READ
    assert peak < 4 * MIB


def test_heads_without_end_in_small_pieces() -> None:
    taken, peak, receiver = flood(b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n", MIB)
    assert receiver.error is not None and receiver.error.status == 431
    assert taken <= 2 * READ
    assert peak < MIB


@pytest.mark.usefixtures("untraced")
def test_heads_in_huge_reads() -> None:
    """A read may be larger than any head."""
    for data in (
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * (20 * MIB) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 300_000 + b"\r\n",
    ):
        for pieces in ([data], [data[:-2], data[-2:]], [GET + data], [GET + data[:-2], data[-2:]]):
            error = Receiver().feed(*pieces).error
            assert error is not None and error.status == 431


@pytest.mark.usefixtures("untraced")
def test_a_pipeline_is_no_long_head() -> None:
    """What other messages of the same read take does not count."""
    parts = [GET * 10_000, request("POST", body=b"x" * 500_000), post(chunks(b"x" * 300_000))]
    for part in parts:
        for last in (GET, post(chunks(b"a"))):
            data = (part + last) * 2
            whole = receive(data)
            assert "400" not in whole and "431" not in whole
            for place in (1, len(last) - 1, len(last) - 8, len(last) - 20, len(last) + 1):
                assert receive(data[:-place], data[-place:]) == whole


@pytest.mark.parametrize("before", [b"", GET, request("POST", "/", *H2C, body=b"a"), OFFER])
@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"1;", b"a" * READ),
        (b'1;a="', b"a" * READ),
        (b"", b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n" * 1000),
        (b"", b"0" * READ),
        (b"", b"0000000000000000000000000000000000000000000000001\r\nx\r\n" * 1000),
        (b"0\r\n", b"X: y\r\n" * 10_000),
        (b"0\r\nX: ", b"y" * READ),
        (b"1\r\nx\r\n" * 10_000 + b"0\r\nX: ", b"y" * READ),
        (chunks(b"x" * (2 * MIB))[:-2] + b"X: ", b"y" * READ),
    ],
    ids=[
        "extension",
        "quoted extension",
        "extensions",
        "zeros",
        "sizes",
        "trailers",
        "trailer",
        "trailer behind chunks",
        "trailer behind a large chunk",
    ],
)
def test_framing_without_end_costs_little(before: bytes, start: bytes, piece: bytes) -> None:
    """RFC 9112 §7.1.1: a recipient MUST limit the total length of chunk extensions."""
    taken, peak, receiver = flood(before + post(start), piece, 20 * MIB)
    assert receiver.error is not None and receiver.error.status == 400
    assert taken <= 8 * READ
    assert peak < 4 * MIB


@pytest.mark.usefixtures("untraced")
def test_small_chunks_are_no_flood() -> None:
    body = b"x" * 100_000
    data = post(chunks(*[b"x"] * len(body)))
    for pieces in (
        [data],
        cut(data, range(0, len(data), READ)),
        cut(data, range(0, len(data), 1000)),
    ):
        (message,) = Receiver().feed(*pieces).messages
        assert message.body == body and message.complete


def test_large_chunks_may_have_long_extensions() -> None:
    line = b"%x;" + b"a" * 380 + b"\r\n"
    data = post(b"".join(line % 400 + b"x" * 400 + b"\r\n" for _ in range(2000)) + b"0\r\n\r\n")
    for size in (READ, 1000, len(data)):
        (message,) = Receiver().feed(*cut(data, range(0, len(data), size))).messages
        assert len(message.body) == 800_000 and message.complete


def test_chunks_pay_for_their_own_message_only() -> None:
    found = Receiver().feed(post(chunks(*[b"x"] * 50_000)), post(b"1;" + b"a" * 200_000))
    assert found.error is not None and found.error.status == 400


@pytest.mark.parametrize("fields", [(), H2C])
def test_limits_of_trailers(fields: tuple[str, ...]) -> None:
    """§7.1.2: the limits of header fields hold for them too, and they are refused before the message ends."""
    longest = b"X: " + b"y" * 100 + b"\r\n"
    for trailers, status in (
        (longest, None),
        (b"X: " + b"y" * 101 + b"\r\n", 431),
        (b"X: y\r\n" * 5, None),
        (b"X: y\r\n" * 6, 431),
    ):
        data = post(chunks(b"a", trailers=trailers), *fields)
        for pieces in ([data], [bytes([byte]) for byte in data]):
            found = Receiver(SMALL).feed(*pieces)
            assert (found.error and found.error.status) == status
            assert [message.complete for message in found.messages] == [status is None]


def test_trailers_are_no_headers() -> None:
    """§7.1.2: they are kept apart."""
    (message,) = Receiver().feed(post(chunks(trailers=b"X: y\r\n"))).messages
    assert (b"X", b"y") not in message.head.fields
    assert "X" not in message.head.headers
    assert message.trailers == [(b"X", b"y")]


def test_what_is_held_is_not_bounded_here() -> None:
    """The connection pauses reading; held bytes are kept without copying them over and over."""
    taken, peak, receiver = flood(b"", b"x", 1)
    parser = RequestParser(ParserLimits())
    parser.receive_data(OFFER)
    for _ in range(1000):
        parser.receive_data(b"x" * 1000)
    assert parser.held_size == 1_000_000


# --- Anything at all ----------------------------------------------------------------------------

MESSAGES = [data for data, _ in ALL.values() if data]
WORDS = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b",", b"0", b"1", b"5", b"\x00", b"\xff", b"\x16", b"/", b"*",
    b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"Host: a\r\n",
    b"Connection: upgrade\r\n", b"Connection: close\r\n", b"Upgrade: h2c\r\n",
    b"Upgrade: websocket\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"Content-Length: ",
    b"close", b"keep-alive", b"GET ", b"CONNECT ", b"OPTIONS ", b"PRI ", b"http://", b"[::1]", b"xn--", b"@", b"%", GET,
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Good and bad streams, joined, with bytes dropped, doubled and put in."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=4))))
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 5))
        replacement = draw(st.sampled_from(WORDS) | st.binary(max_size=3))
        data[place : place + length] = replacement
    return bytes(data)


anything = mutated() | st.binary() | st.lists(st.sampled_from(WORDS)).map(b"".join)


@pytest.mark.usefixtures("untraced")
@settings(max_examples=500)
@given(anything, st.lists(st.integers(0, 400)), st.booleans())
@example(b"GET http://[::1]@ HTTP/1.1\r\nHost: a\r\n\r\n", [], False)
def test_anything_gives_events_however_it_is_cut(
    data: bytes, places: list[int], hold: bool
) -> None:
    """No exception but in our own assertions above, and nothing behind an error."""
    whole = receive(data)
    pieces = cut(data, [place for place in places if place < len(data)])
    assert receive(*pieces, hold=hold) == whole
    assert receive(*[bytes([byte]) for byte in data]) == whole


@pytest.mark.usefixtures("untraced")
@settings(max_examples=500)
@given(anything, st.booleans())
def test_anything_may_end_anywhere(data: bytes, hold: bool) -> None:
    found = Receiver(hold=hold).feed(data).eof()
    if found.error is None:
        assert all(message.complete for message in found.messages)


# --- A head that was accepted is one that a request can be made of ------------------------------


def look_at(head: RequestHead) -> None:
    """Ask for everything that is worked out of the target and Host."""
    for ssl_context in (None, object()):
        channel: Any = SimpleNamespace(
            ssl_context=ssl_context, sockname=("127.0.0.1", 80), peername=None, transport=None
        )
        seen = BaseRequest(head, EMPTY_PAYLOAD, channel, None, None)
        for url in (seen.url, seen.rel_url):
            assert isinstance(str(url), str)
            _ = url.host, url.port, url.path, url.authority, url.human_repr()
        assert isinstance(repr(seen), str)
        assert isinstance(
            seen.path + seen.path_qs + seen.raw_path + seen.host + seen.query_string, str
        )
        # A tunnel has no scheme.
        assert seen.url.scheme == ("" if head.method == "CONNECT" else seen.scheme)
        _ = list(seen.query.items()), seen.headers, seen.cookies, head.compression, repr(head)


def accepted(data: bytes) -> bool:
    heads = [message.head for message in Receiver().feed(data).messages]
    for head in heads:
        look_at(head)
    return bool(heads)


@pytest.mark.parametrize("data", [data for data, _ in ALL.values()], ids=ALL)
def test_requests_of_every_stream(data: bytes) -> None:
    accepted(data)


AUTHORITIES = [
    *"ab01:@[]%.-_~!$'()*+,;=",
    "::", "[::1]", "[v1.a]", "xn--", "xn--a", "XN--", "bcher-kva", "%41", "%zz", "%2f", "80", "65535", "65536",
    "1.2.3.4", "..",
]  # fmt: skip
TARGETS = [
    *AUTHORITIES,
    *'/?#&\\|^`{}<>"',
    "//",
    "http://",
    "https://",
    "ftp://",
    "://",
    "*",
    "%00",
    "%ff",
    "%c3%a4",
    "&a=b",
]


def texts(parts: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(parts), max_size=8).map("".join)


@settings(max_examples=1000)
@given(
    st.sampled_from(["GET", "OPTIONS", "CONNECT"]),
    texts(TARGETS) | texts(TARGETS).map("/{}".format) | texts(TARGETS).map("http://{}".format),
    texts(AUTHORITIES),
)
@example("GET", "/", "xn--")
@example("GET", "/", "a.XN--99999.b")
@example("GET", "http://xn--a/", "")
@example("GET", "http://[v1.a]:@", "")
@example("GET", "//[", "")
@example("GET", "/:0", "[::1]")
@example("CONNECT", "xn--0:80", "")
@example("OPTIONS", "*", "")
def test_every_accepted_head_makes_a_request(method: str, target: str, host: str) -> None:
    accepted(raw(f"{method} {target} HTTP/1.1", f"Host: {host}"))
    accepted(raw(f"{method} {target} HTTP/1.0"))


def test_every_byte_in_targets_and_hosts() -> None:
    count = 0
    for byte in range(256):
        for before in ("/", "//", "/?", "/#", "http://a/", "http://a", "http://", ""):
            count += accepted(raw(f"GET {before}{chr(byte)} HTTP/1.1", "Host: a"))
        for before in ("", "a", "a:", "[", "[::1]"):
            count += accepted(raw("GET / HTTP/1.1", f"Host: {before}{chr(byte)}"))
            count += accepted(raw(f"CONNECT {before}{chr(byte)}:80 HTTP/1.1", "Host: a"))
    assert count > 500


def test_a_read_full_of_offers_is_declined_one_by_one() -> None:
    """What is behind an offer is read in portions; none of it is lost or read twice, wherever the portions end."""
    offers = b"".join(request("GET", f"/{number}", *WEBSOCKET) for number in range(300))
    parser = RequestParser(ParserLimits())
    events = parser.receive_data(offers + post(b"x" * 9000))
    while parser.held_size is not None:
        events += parser.decline_upgrade()
    heads = [event.target for event in events if isinstance(event, RequestHead)]
    assert heads[:-1] == [b"/%d" % number for number in range(300)]
    assert len(heads) == 301


def test_content_encoding_is_noted() -> None:
    (plain,) = RequestParser(ParserLimits()).receive_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert isinstance(plain, RequestHead)
    assert plain.content_encoding is None
    data = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nCONTENT-encoding: Br \r\n\r\n"
    (head,) = RequestParser(ParserLimits()).receive_data(data)
    assert isinstance(head, RequestHead)
    assert (head.content_encoding or b"").replace(b" ", b"") == b"gzip,Br"
    assert head.replace(method="POST").content_encoding == head.content_encoding
    assert head.expect is None
    assert head.offer is None
