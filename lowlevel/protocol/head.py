"""The head of a request, as the parser hands it over: raw, and decoded only when asked."""

from __future__ import annotations

from typing import Final, NamedTuple

from multidict import CIMultiDict, CIMultiDictProxy, istr
from yarl import URL

Fields = list[tuple[bytes, bytes]]
"""Header or trailer fields in the order they came: (name, value), both raw."""


class HttpVersion(NamedTuple):
    """An HTTP version, comparable as a tuple (RFC 9112 §2.3)."""

    major: int
    minor: int


HttpVersion10: Final = HttpVersion(1, 0)
HttpVersion11: Final = HttpVersion(1, 1)

# Decoding a name is a look-up for the names nearly everybody sends. An istr carries its case-folded form, which
# makes the multidict below cheaper to fill.
_COMMON_NAMES: Final = (
    "Accept Accept-Charset Accept-Encoding Accept-Language Access-Control-Request-Headers "
    "Access-Control-Request-Method Authorization Cache-Control Connection Content-Disposition Content-Encoding "
    "Content-Length Content-Type Cookie DNT Date Expect Forwarded From Host If-Match If-Modified-Since "
    "If-None-Match If-Range If-Unmodified-Since Keep-Alive Origin Pragma Priority Proxy-Authorization Range "
    "Referer Sec-CH-UA Sec-CH-UA-Mobile Sec-CH-UA-Platform Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site "
    "Sec-Fetch-User Sec-GPC Sec-WebSocket-Extensions Sec-WebSocket-Key Sec-WebSocket-Protocol "
    "Sec-WebSocket-Version TE Trailer Transfer-Encoding Upgrade Upgrade-Insecure-Requests User-Agent Via "
    "X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Real-IP X-Request-ID X-Requested-With"
).split()

_NAMES: Final[dict[bytes, str]] = {
    spelling.encode(): istr(spelling)
    for name in _COMMON_NAMES
    for spelling in (name, name.lower(), name.title())
}


def decode_fields(fields: Fields) -> CIMultiDictProxy[str]:
    """Decode raw fields: values as UTF-8, bytes that are not UTF-8 as lone surrogates, outer white space cut."""
    headers: CIMultiDict[str] = CIMultiDict()
    known = _NAMES
    for name, value in fields:
        value = value.rstrip()
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("utf-8", "surrogateescape")
        headers.add(known.get(name) or name.decode("ascii"), text)
    return CIMultiDictProxy(headers)


class RequestHead:
    """Request line and header fields of one request (RFC 9112 §3, §5).

    Also known to aiohttp's users as the *message* that a request factory receives: ``method``, ``path``,
    ``version``, ``headers``, ``raw_headers``, ``should_close``, ``compression``, ``upgrade``, ``chunked`` and
    ``url`` mean the same here.

    Attributes:
        method: The method, upper case as it came.
        target: The request target, raw.
        version: 1.0 or 1.1, nothing else gets this far.
        fields: Raw header fields in order.
        keep_alive: Whether the client lets the connection persist (RFC 9112 §9.3).
        content_length: The declared length in bytes, None without one.
        chunked: Whether the body comes in chunks.
        has_body: Whether bytes of a body follow the head, or may follow (chunks, a CONNECT tunnel).
        offer: The raw value of ``Upgrade`` when the request really offers one, else None.
        expect: The raw value of ``Expect``, or None.
        content_encoding: The raw value of ``Content-Encoding``, or None.
    """

    # Most requests have none of these: a class is a cheaper place for a default than every object.
    content_length: int | None = None
    chunked = False
    has_body = False
    offer: bytes | None = None
    expect: bytes | None = None
    content_encoding: bytes | None = None
    _headers: CIMultiDictProxy[str] | None = None
    _url: URL | None = None

    def __init__(
        self, method: str, target: bytes, version: HttpVersion, fields: Fields, keep_alive: bool
    ) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.fields = fields
        self.keep_alive = keep_alive

    def __repr__(self) -> str:
        return f"<RequestHead {self.method} {self.path}>"

    @property
    def offers_websocket(self) -> bool:
        """Whether the request is a WebSocket handshake as far as HTTP can tell (RFC 6455 §4.1)."""
        if self.offer is None or self.has_body:
            return False
        return b"websocket" in [token.strip() for token in self.offer.lower().split(b",")]

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The header fields, decoded on first use."""
        if self._headers is None:
            self._headers = decode_fields(self.fields)
        return self._headers

    def read_headers(self) -> CIMultiDictProxy[str]:
        """Decode the header fields for a look that need not be remembered, unless they are remembered already."""
        return decode_fields(self.fields) if self._headers is None else self._headers

    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The header fields as bytes, outer white space of values cut."""
        return tuple([(name, value.strip(b" \t")) for name, value in self.fields])

    @property
    def path(self) -> str:
        """The request target as it was sent."""
        return self.target.decode()

    @property
    def url(self) -> URL:
        """The request target as a URL, relative for origin-form, absolute for absolute-form (RFC 9112 §3.2)."""
        if self._url is None:
            self._url = parse_target(self.method, self.path)
        return self._url

    @property
    def should_close(self) -> bool:
        """Whether the client asked for the connection to end after this request."""
        return not self.keep_alive

    @property
    def upgrade(self) -> bool:
        """Whether the client offers another protocol."""
        return self.offer is not None

    @property
    def compression(self) -> str | None:
        """The content coding of the body, lower case, when it is one that servers decode."""
        coding = self.headers.get("Content-Encoding", "").lower()
        return coding if coding in ("gzip", "deflate", "br", "zstd") else None

    def with_target(self, target: bytes) -> RequestHead:
        """Return a copy with another target in origin-form (RFC 9112 §3.2.1); what was decoded already is kept."""
        copy = RequestHead.__new__(RequestHead)
        copy.__dict__.update(self.__dict__)
        copy.target = target
        copy._url = None
        return copy

    def replace(
        self,
        *,
        method: str | None = None,
        url: URL | None = None,
        headers: CIMultiDict[str] | None = None,
    ) -> RequestHead:
        """Return a copy with another method, target or header fields; the framing of the body stays."""
        fields = self.fields
        if headers is not None:
            fields = [
                (name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape"))
                for name, value in headers.items()
            ]
        copy = RequestHead(
            self.method if method is None else method,
            self.target if url is None else str(url).encode(),
            self.version,
            fields,
            self.keep_alive,
        )
        if headers is None:
            copy.content_length = self.content_length
        else:
            copy._headers = CIMultiDictProxy(headers)
            declared = headers.get("Content-Length", "")
            copy.content_length = int(declared) if _is_digits(declared) else None
        copy.chunked = self.chunked
        copy.has_body = self.has_body
        copy.offer = self.offer
        copy.expect = self.expect
        copy.content_encoding = self.content_encoding
        copy._url = self._url if url is None else url
        return copy


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20


def parse_target(method: str, target: str) -> URL:
    """Read a request target in any of its four forms (RFC 9112 §3.2)."""
    if target.startswith("//"):
        # For URL(), this would begin with an authority.
        path, _, fragment = target.partition("#")
        path, _, query = path.partition("?")
        return URL.build(path=path, query_string=query, fragment=fragment, encoded=True)
    if method == "CONNECT":
        return URL.build(authority=target, encoded=True)
    return URL(target, encoded=True)
