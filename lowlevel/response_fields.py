"""The header fields of a response, as a multidict and as typed properties over it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any, Final

from multidict import CIMultiDict

from .protocol import headers as fields
from .protocol.cookie_jar import CookieJar
from .protocol.headers import ETAG_ANY, ETag, check_field
from .protocol.set_cookie import check_attribute, check_name, has_prefix, samesite_of

__all__ = ("Headers", "ResponseFields")

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

_EPOCH: Final = "Thu, 01 Jan 1970 00:00:00 GMT"
_HTTP_DATE: Final = "%a, %d %b %Y %H:%M:%S GMT"


class ResponseFields:
    """Header fields and cookies. Both are made when first touched."""

    _headers: CIMultiDict[str] | None = None
    _cookies: SimpleCookie | None = None
    # The Content-Type of a response whose multidict nobody has needed yet.
    _type: str | None = None
    _chunked = False
    # Whether the head is no more than status, Content-Type and Content-Length, as most heads are.
    _plain = True

    @property
    def headers(self) -> CIMultiDict[str]:
        """The header fields; change them until the response is prepared."""
        headers = self._headers
        if headers is None:
            self._plain = False
            headers = self._headers = CIMultiDict()
            if self._type is not None:
                headers["Content-Type"] = self._type
                self._type = None
        return headers

    def _field(self, name: str) -> str | None:
        return None if self._headers is None else self._headers.get(name)

    def _set_field(self, name: str, value: str | None) -> None:
        if value is None:
            self.headers.pop(name, None)
        else:
            self.headers[name] = value

    def _vary_by(self, name: str) -> None:
        """Tell caches that the response depends on a field of the request (RFC 9110 §12.5.5)."""
        values = self.headers.getall("Vary", [])
        if not any(
            fields.contains_token(value, token) for value in values for token in (name, "*")
        ):
            self.headers["Vary"] = ", ".join([*values, name])

    # Content-Type.

    def _media_type(self) -> tuple[str, Mapping[str, str]]:
        value = self._type if self._headers is None else self._headers.get("Content-Type")
        return fields.parse_content_type(value or "")

    def _set_media_type(self, media_type: str, parameters: Mapping[str, str]) -> None:
        parts = [media_type, *(f"{name}={value}" for name, value in parameters.items())]
        self.headers["Content-Type"] = "; ".join(parts)

    @property
    def content_type(self) -> str:
        """The media type of the body; ``application/octet-stream`` while there is none."""
        return self._media_type()[0]

    @content_type.setter
    def content_type(self, value: str) -> None:
        self._set_media_type(str(value), self._media_type()[1])

    @property
    def charset(self) -> str | None:
        """The charset parameter of Content-Type; None removes it.

        Raises:
            RuntimeError: Set on ``application/octet-stream``, which has none.
        """
        return self._media_type()[1].get("charset")

    @charset.setter
    def charset(self, value: str | None) -> None:
        media_type, parameters = self._media_type()
        if media_type == "application/octet-stream":
            raise RuntimeError("application/octet-stream has no charset, set content_type first")
        changed = {name: text for name, text in parameters.items() if name != "charset"}
        if value is not None:
            changed["charset"] = str(value).lower()
        self._set_media_type(media_type, changed)

    @property
    def content_length(self) -> int | None:
        """The value of Content-Length; None removes it.

        Raises:
            RuntimeError: Set while chunked encoding is enabled.
        """
        value = self._field("Content-Length")
        return None if value is None else int(value)

    @content_length.setter
    def content_length(self, value: int | None) -> None:
        if value is not None and self._chunked:
            raise RuntimeError("You can't set content length when chunked encoding is enable")
        self._set_field("Content-Length", None if value is None else str(int(value)))

    # Validators.

    @property
    def last_modified(self) -> datetime | None:
        """The time of Last-Modified in UTC. Set a time in seconds, a datetime, the text itself, or None.

        Fractions of a second are rounded up (RFC 9110 §8.8.2).

        Raises:
            TypeError: Set to anything else.
        """
        return fields.parse_http_date(self._field("Last-Modified"))

    @last_modified.setter
    def last_modified(self, value: int | float | datetime | str | None) -> None:
        if value is None or isinstance(value, str):
            self._set_field("Last-Modified", value)
        elif isinstance(value, (int, float)):
            self._set_field("Last-Modified", fields.format_http_date(math.ceil(value)))
        elif isinstance(value, datetime):
            if value.microsecond:
                value = value.replace(microsecond=0) + timedelta(seconds=1)
            self._set_field("Last-Modified", time.strftime(_HTTP_DATE, value.utctimetuple()))
        else:
            raise TypeError(f"Unsupported type for last_modified: {type(value).__name__}")

    @property
    def etag(self) -> ETag | None:
        """The entity tag (RFC 9110 §8.8.3). Set a string without quotes, an ETag, ``"*"`` or None.

        Raises:
            ValueError: Set to a value with a quote or a character that is not ASCII, or to another type.
        """
        value = self._field("ETag")
        if not value:
            return None
        tags = fields.parse_etags(value)
        return tags[0] if len(tags) == 1 else None

    @etag.setter
    def etag(self, value: ETag | str | None) -> None:
        if value is None:
            self._set_field("ETag", None)
            return
        if isinstance(value, str):
            value = ETag(value)
        if not isinstance(value, ETag) or not isinstance(value.value, str):
            raise ValueError(
                f"Unsupported etag type: {type(value)}. etag must be str, ETag or None"
            )
        if value.value == ETAG_ANY:
            self._set_field("ETag", ETAG_ANY)
            return
        if not all(c == "\x21" or "\x23" <= c <= "\x7e" for c in value.value):
            raise ValueError(f"Value {value.value!r} is not a valid etag. Maybe it contains '\"'?")
        self._set_field("ETag", f'{"W/" if value.is_weak else ""}"{value.value}"')

    # Cookies.

    @property
    def cookies(self) -> SimpleCookie:
        """The cookies to set, one Set-Cookie field each (RFC 6265 §4.1)."""
        if self._cookies is None:
            self._plain = False
            self._cookies = CookieJar()
        return self._cookies

    def set_cookie(
        self,
        name: str,
        value: str,
        *,
        expires: datetime | str | None = None,
        domain: str | None = None,
        max_age: timedelta | int | str | None = None,
        path: str = "/",
        secure: bool | None = None,
        httponly: bool | None = None,
        version: str | None = None,
        samesite: str | None = None,
        partitioned: bool | None = None,
    ) -> None:
        """Set a cookie (RFC 6265 §4.1), or a new value of one: attributes not given stay, but for its lifetime.

        Args:
            name: A token; with the prefix ``__Secure-`` the cookie must be secure, with ``__Host-`` also
                have the path ``/`` and no domain, or browsers would refuse it (6265bis §4.1.3).
            value: Any text without CR, LF and NUL.
            expires: The end of its life: a datetime, taken for UTC without a time zone, or an HTTP date.
            domain: Hosts that get it.
            max_age: Seconds it lives, or a timedelta.
            path: Paths that get it.
            secure: Only over TLS.
            httponly: Not for scripts.
            version: A decimal number, for old clients.
            samesite: ``"Strict"``, ``"Lax"`` or ``"None"``, in any case. Browsers want ``"None"`` to be secure.
            partitioned: Kept apart by top-level site. Browsers want it to be secure.

        Raises:
            ValueError: CR, LF or NUL in the value; a control character or a semicolon in an attribute; another
                ``samesite``; a prefix of the name that the attributes do not keep. Nothing is set then.
            http.cookies.CookieError: The name cannot be one.
        """
        lasting = dict(self.cookies.get(name, ()))
        lasting["max-age"] = ""
        if lasting.get("expires") == _EPOCH:
            lasting["expires"] = ""
        given = {
            "expires": expires,
            "domain": domain,
            "max-age": max_age,
            "path": path,
            "secure": secure,
            "httponly": httponly,
            "version": version,
            "samesite": samesite,
            "partitioned": partitioned,
        }
        self._put_cookie(name, value, lasting, given)

    def del_cookie(
        self,
        name: str,
        *,
        domain: str | None = None,
        path: str = "/",
        secure: bool | None = None,
        httponly: bool | None = None,
        samesite: str | None = None,
        partitioned: bool | None = None,
    ) -> None:
        """Tell the client to drop a cookie; domain, path and partitioned must be those it was set with.

        One whose name starts with ``__Secure-`` or ``__Host-`` is secure by itself: browsers want that of its end, too.

        Args:
            name: Its name; the others are as for ``set_cookie()``.
            domain: Hosts that get it.
            path: Paths that get it.
            secure: Only over TLS.
            httponly: Not for scripts.
            samesite: ``"Strict"``, ``"Lax"`` or ``"None"``.
            partitioned: Kept apart by top-level site.

        Raises:
            ValueError: As ``set_cookie()`` raises it.
        """
        if secure is None and has_prefix(name):
            secure = True
        given = {
            "expires": _EPOCH,
            "domain": domain,
            "max-age": 0,
            "path": path,
            "secure": secure,
            "httponly": httponly,
            "samesite": samesite,
            "partitioned": partitioned,
        }
        self._put_cookie(name, "", {}, given)

    def _put_cookie(
        self, name: str, value: str, lasting: dict[str, Any], given: dict[str, Any]
    ) -> None:
        """Set a cookie with the attributes ``given``, unless None, over those that last; or raise, and set nothing."""
        if isinstance(value, str):
            check_field("Set-Cookie", value)
        attributes = dict(lasting)
        for key, setting in given.items():
            if setting is not None:
                attributes[key] = _attribute(key, setting)
        check_name(
            name,
            secure=bool(attributes.get("secure")),
            path=attributes.get("path"),
            domain=attributes.get("domain"),
        )
        fresh = CookieJar()
        fresh[name] = value
        fresh[name].update(attributes)
        self.cookies[name] = fresh[name]


def _attribute(key: str, setting: Any) -> Any:
    """Return the value of an attribute of a cookie as Morsel keeps it."""
    if isinstance(setting, datetime):
        setting = fields.format_http_date(setting)
    elif isinstance(setting, timedelta):
        setting = int(setting.total_seconds())
    if isinstance(setting, bool):
        return setting
    text = str(setting)
    check_attribute(key, text)
    return samesite_of(text) if key == "samesite" and text else text
