"""Responses that can be raised, one class for each status code, and errors that are none.

Raising one from a handler, or from anything it calls, ends the request with that answer::

    raise HTTPNotFound(text="no such page")
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Set
from typing import TYPE_CHECKING, Any, ClassVar, Final

from yarl import URL

from .errors import NotAppKeyWarning, PayloadAccessError, RequestPayloadError
from .protocol.headers import check_field
from .protocol.serializer import default_reason
from .response import Response
from .response_fields import Headers

if TYPE_CHECKING:
    from .request import BaseRequest
    from .writer import ResponseWriter

__all__ = (
    "HTTPAccepted",
    "HTTPBadGateway",
    "HTTPBadRequest",
    "HTTPClientError",
    "HTTPConflict",
    "HTTPCreated",
    "HTTPError",
    "HTTPException",
    "HTTPExpectationFailed",
    "HTTPFailedDependency",
    "HTTPForbidden",
    "HTTPFound",
    "HTTPGatewayTimeout",
    "HTTPGone",
    "HTTPImATeapot",
    "HTTPInsufficientStorage",
    "HTTPInternalServerError",
    "HTTPLengthRequired",
    "HTTPLocked",
    "HTTPLoopDetected",
    "HTTPMethodNotAllowed",
    "HTTPMisdirectedRequest",
    "HTTPMove",
    "HTTPMovedPermanently",
    "HTTPMultipleChoices",
    "HTTPNetworkAuthenticationRequired",
    "HTTPNoContent",
    "HTTPNonAuthoritativeInformation",
    "HTTPNotAcceptable",
    "HTTPNotExtended",
    "HTTPNotFound",
    "HTTPNotImplemented",
    "HTTPNotModified",
    "HTTPOk",
    "HTTPPartialContent",
    "HTTPPaymentRequired",
    "HTTPPermanentRedirect",
    "HTTPPreconditionFailed",
    "HTTPPreconditionRequired",
    "HTTPProxyAuthenticationRequired",
    "HTTPRedirection",
    "HTTPRequestEntityTooLarge",
    "HTTPRequestHeaderFieldsTooLarge",
    "HTTPRequestRangeNotSatisfiable",
    "HTTPRequestTimeout",
    "HTTPRequestURITooLong",
    "HTTPResetContent",
    "HTTPSeeOther",
    "HTTPServerError",
    "HTTPServiceUnavailable",
    "HTTPSuccessful",
    "HTTPTemporaryRedirect",
    "HTTPTooEarly",
    "HTTPTooManyRequests",
    "HTTPUnauthorized",
    "HTTPUnavailableForLegalReasons",
    "HTTPUnprocessableEntity",
    "HTTPUnsupportedMediaType",
    "HTTPUpgradeRequired",
    "HTTPUseProxy",
    "HTTPVariantAlsoNegotiates",
    "HTTPVersionNotSupported",
    "NotAppKeyWarning",
    "PayloadAccessError",
    "RequestDecodeError",
    "RequestPayloadError",
    "http_error",
)


class HTTPException(Response, Exception):
    """A response to raise; ``str()`` of it is its reason. It can be copied and pickled.

    Cookies and header fields set on it are sent like those of any response. To make a new kind,
    derive from the class of its kind and set ``status_code``.

    Args:
        headers: Header fields, a mapping or pairs; copied.
        reason: The reason phrase; the usual one by default.
        body: The body, as Response takes it. Deprecated: return a Response instead.
        text: The body as text; ``"404: Not Found"``, that is status and reason, by default.
        content_type: The media type, without charset; ``text/plain`` for text by default.

    Raises:
        TypeError, ValueError: An argument of a wrong type or value, as Response raises them.
    """

    status_code: ClassVar[int] = -1
    """The status code of every answer of this class; -1 for bases like HTTPError, which are no answer."""
    empty_body: ClassVar[bool] = False
    """Whether there is no default text, because the status does not go with a body."""

    def __init__(
        self,
        *,
        headers: Headers | None = None,
        reason: str | None = None,
        body: object = None,
        text: str | None = None,
        content_type: str | None = None,
    ) -> None:
        if body is not None:
            # A subclass with an __init__ of its own stands between us and who is to blame.
            direct = type(self).__init__ is HTTPException.__init__
            warnings.warn(
                "body argument is deprecated for HTTP exceptions, return a Response instead",
                DeprecationWarning,
                stacklevel=2 if direct else 3,
            )
        elif text is None and not self.empty_body:
            phrase = default_reason(self.status_code) if reason is None else reason
            text = f"{self.status_code}: {phrase}"
        numbered = self.status_code >= 0
        super().__init__(
            status=self.status_code if numbered else 200,
            headers=headers,
            reason=reason,
            body=body,
            text=text,
            content_type=content_type,
        )
        if not numbered:
            self._status = self.status_code
            self._plain = False
        Exception.__init__(self, self.reason)

    async def prepare(self, request: BaseRequest) -> ResponseWriter | None:
        """Send the head, as ``StreamResponse.prepare()`` does; it raises, and may be cancelled, like that.

        Raises:
            TypeError: The class has no status code, being a base like HTTPError.
        """
        if self._status < 0:
            raise TypeError(f"{type(self).__name__} has no status_code, only its subclasses have")
        return await super().prepare(request)

    def __reduce__(self) -> tuple[Callable[..., HTTPException], tuple[Any, ...], dict[str, Any]]:
        # Exception's own would call the class with the reason, and no class here takes that.
        cls = type(self)
        kind = self.status_code if _made.get(self.status_code) is cls else cls
        return _restore, (kind, self.args), self.__dict__


class HTTPError(HTTPException):
    """Base of the errors 400 to 599. ``http_error()`` makes any of them by its number."""


# --- 2xx: rarely raised, but handy to leave nested calls with an answer --------------------------


class HTTPSuccessful(HTTPException):
    """Base of the answers 200 to 206: something was done (RFC 9110 §15.3)."""


class HTTPOk(HTTPSuccessful):
    """The request has succeeded (RFC 9110 §15.3.1)."""

    status_code = 200


class HTTPCreated(HTTPSuccessful):
    """Something new is there; ``Location`` may say where (RFC 9110 §15.3.2)."""

    status_code = 201


class HTTPAccepted(HTTPSuccessful):
    """It will be done, or not: nobody knows yet (RFC 9110 §15.3.3)."""

    status_code = 202


class HTTPNonAuthoritativeInformation(HTTPSuccessful):
    """A proxy has changed what the server said (RFC 9110 §15.3.4)."""

    status_code = 203


class HTTPNoContent(HTTPSuccessful):
    """It is done, and there is nothing to say about it (RFC 9110 §15.3.5)."""

    status_code = 204
    empty_body = True


class HTTPResetContent(HTTPSuccessful):
    """It is done; the client shall clear its form (RFC 9110 §15.3.6)."""

    status_code = 205
    empty_body = True


class HTTPPartialContent(HTTPSuccessful):
    """The part that was asked for (RFC 9110 §15.3.7); FileResponse makes such answers by itself."""

    status_code = 206


# --- 3xx -----------------------------------------------------------------------------------------


class HTTPRedirection(HTTPException):
    """Base of the answers 300 to 308: more is to be done (RFC 9110 §15.4)."""


class HTTPMove(HTTPRedirection):
    """Go elsewhere: the base of redirections that name a place.

    Args:
        location: Where to; kept as it is in ``location``, sent percent-encoded in ``Location``.

    The others are those of HTTPException.

    Raises:
        ValueError: no location, one that is not a URL, or one with CR, LF or NUL.
    """

    def __init__(
        self,
        location: str | URL,
        *,
        headers: Headers | None = None,
        reason: str | None = None,
        body: object = None,
        text: str | None = None,
        content_type: str | None = None,
    ) -> None:
        target = str(URL(location)) if location else ""
        if not target:
            raise ValueError("location must not be empty: a redirect needs a place to go to")
        # URL() would leave out what makes two lines of one, but what that is for is no place to go to; and a URL built
        # with encoded=True may hold anything.
        check_field("Location", location if isinstance(location, str) else target)
        super().__init__(
            headers=headers, reason=reason, body=body, text=text, content_type=content_type
        )
        self.headers["Location"] = target
        self.location = location


class HTTPMultipleChoices(HTTPMove):
    """There are several, and this one is preferred (RFC 9110 §15.4.1)."""

    status_code = 300


class HTTPMovedPermanently(HTTPMove):
    """It is there from now on; a POST may become a GET on the way (RFC 9110 §15.4.2)."""

    status_code = 301


class HTTPFound(HTTPMove):
    """It is there for now; a POST may become a GET on the way (RFC 9110 §15.4.3)."""

    status_code = 302


class HTTPSeeOther(HTTPMove):
    """The answer is there, to be asked for with GET (RFC 9110 §15.4.4)."""

    status_code = 303


class HTTPNotModified(HTTPRedirection):
    """The client has it already (RFC 9110 §15.4.5); FileResponse makes such answers by itself."""

    status_code = 304
    empty_body = True


class HTTPUseProxy(HTTPMove):
    """Deprecated, and no client does it (RFC 9110 §15.4.6)."""

    status_code = 305


class HTTPTemporaryRedirect(HTTPMove):
    """It is there for now; the method stays (RFC 9110 §15.4.8)."""

    status_code = 307


class HTTPPermanentRedirect(HTTPMove):
    """It is there from now on; the method stays (RFC 9110 §15.4.9)."""

    status_code = 308


# --- 4xx: the client's fault ---------------------------------------------------------------------


class HTTPClientError(HTTPError):
    """Base of the errors 400 to 499: the client has to do something else (RFC 9110 §15.5)."""


class HTTPBadRequest(HTTPClientError):
    """What came cannot be understood (RFC 9110 §15.5.1)."""

    status_code = 400


class RequestDecodeError(HTTPBadRequest, ValueError):
    """The body is not what its type says: no JSON, no form, or no text in its charset. Also a ValueError."""


class HTTPUnauthorized(HTTPClientError):
    """Say who you are; ``WWW-Authenticate`` has to say how (RFC 9110 §15.5.2)."""

    status_code = 401


class HTTPPaymentRequired(HTTPClientError):
    """Reserved for the future (RFC 9110 §15.5.3)."""

    status_code = 402


class HTTPForbidden(HTTPClientError):
    """Understood, and refused (RFC 9110 §15.5.4)."""

    status_code = 403


class HTTPNotFound(HTTPClientError):
    """There is nothing here, or nothing that you may know of (RFC 9110 §15.5.5)."""

    status_code = 404


class HTTPMethodNotAllowed(HTTPClientError):
    """The method is not one of those the resource has (RFC 9110 §15.5.6).

    Args:
        method: The method of the request; kept in upper case as ``method``.
        allowed_methods: The methods that work, sent in ``Allow``; kept as the set ``allowed_methods``.

    The others are those of HTTPException.
    """

    status_code = 405
    method = ""
    allowed_methods: Set[str] = frozenset()

    def __init__(
        self,
        method: str,
        allowed_methods: Iterable[str],
        *,
        headers: Headers | None = None,
        reason: str | None = None,
        body: object = None,
        text: str | None = None,
        content_type: str | None = None,
    ) -> None:
        super().__init__(
            headers=headers, reason=reason, body=body, text=text, content_type=content_type
        )
        self.method = method.upper()
        self.allowed_methods = set(allowed_methods)
        self.headers["Allow"] = ",".join(sorted(self.allowed_methods))


class HTTPNotAcceptable(HTTPClientError):
    """Nothing here is of a kind that the client accepts (RFC 9110 §15.5.7)."""

    status_code = 406


class HTTPProxyAuthenticationRequired(HTTPClientError):
    """Say to the proxy who you are; ``Proxy-Authenticate`` has to say how (RFC 9110 §15.5.8)."""

    status_code = 407


class HTTPRequestTimeout(HTTPClientError):
    """The request did not come in time (RFC 9110 §15.5.9); raised to whoever reads its body."""

    status_code = 408


class HTTPConflict(HTTPClientError):
    """It does not go with the present state of things (RFC 9110 §15.5.10)."""

    status_code = 409


class HTTPGone(HTTPClientError):
    """It was here, and will not come back (RFC 9110 §15.5.11)."""

    status_code = 410


class HTTPLengthRequired(HTTPClientError):
    """Not without Content-Length (RFC 9110 §15.5.12)."""

    status_code = 411


class HTTPPreconditionFailed(HTTPClientError):
    """A condition of the request, If-Match for example, does not hold (RFC 9110 §15.5.13)."""

    status_code = 412


class HTTPRequestEntityTooLarge(HTTPClientError):
    """The body is larger than the server takes (RFC 9110 §15.5.14).

    Args:
        max_size: The limit in bytes, told in the default text.
        actual_size: Taken for aiohttp's callers; not told.

    The others are those of HTTPException.
    """

    status_code = 413

    def __init__(
        self,
        max_size: float,
        actual_size: float = 0,
        *,
        headers: Headers | None = None,
        reason: str | None = None,
        body: object = None,
        text: str | None = None,
        content_type: str | None = None,
    ) -> None:
        if text is None and body is None:
            text = f"Maximum request body size {max_size} exceeded."
        super().__init__(
            headers=headers, reason=reason, body=body, text=text, content_type=content_type
        )


class HTTPRequestURITooLong(HTTPClientError):
    """The target of the request is longer than the server reads (RFC 9110 §15.5.15)."""

    status_code = 414


class HTTPUnsupportedMediaType(HTTPClientError):
    """The body is of a type, or compressed in a way, that is not understood here (RFC 9110 §15.5.16)."""

    status_code = 415


class HTTPRequestRangeNotSatisfiable(HTTPClientError):
    """There is nothing in the range that was asked for (RFC 9110 §15.5.17)."""

    status_code = 416


class HTTPExpectationFailed(HTTPClientError):
    """What ``Expect`` asks for cannot be had (RFC 9110 §15.5.18)."""

    status_code = 417


class HTTPImATeapot(HTTPClientError):
    """Coffee cannot be brewed in a teapot (RFC 2324 §2.3.2)."""

    status_code = 418


class HTTPMisdirectedRequest(HTTPClientError):
    """This server does not answer for that host (RFC 9110 §15.5.20)."""

    status_code = 421


class HTTPUnprocessableEntity(HTTPClientError):
    """Well formed, and yet it makes no sense (RFC 9110 §15.5.21)."""

    status_code = 422


class HTTPLocked(HTTPClientError):
    """Somebody else has locked it (RFC 4918 §11.3)."""

    status_code = 423


class HTTPFailedDependency(HTTPClientError):
    """Something else that it needs has failed (RFC 4918 §11.4)."""

    status_code = 424


class HTTPTooEarly(HTTPClientError):
    """It could be a replay: send it again when the handshake is over (RFC 8470 §5.2)."""

    status_code = 425


class HTTPUpgradeRequired(HTTPClientError):
    """Not in this protocol; ``Upgrade`` has to say in which (RFC 9110 §15.5.22)."""

    status_code = 426


class HTTPPreconditionRequired(HTTPClientError):
    """Not without a condition, lest an update of somebody else be lost (RFC 6585 §3)."""

    status_code = 428


class HTTPTooManyRequests(HTTPClientError):
    """Slow down; ``Retry-After`` may say for how long (RFC 6585 §4)."""

    status_code = 429


class HTTPRequestHeaderFieldsTooLarge(HTTPClientError):
    """The header fields are too large, or too many (RFC 6585 §5)."""

    status_code = 431


class HTTPUnavailableForLegalReasons(HTTPClientError):
    """The resource is withheld because somebody demanded it (RFC 7725 §3).

    Args:
        link: Where to learn who demanded it, sent as ``Link: <...>; rel="blocked-by"``; None or
            empty if that is not told.

    The others are those of HTTPException.

    Raises:
        ValueError: a link that is not a URL.
    """

    status_code = 451
    _link: URL | None = None

    def __init__(
        self,
        link: str | URL | None,
        *,
        headers: Headers | None = None,
        reason: str | None = None,
        body: object = None,
        text: str | None = None,
        content_type: str | None = None,
    ) -> None:
        super().__init__(
            headers=headers, reason=reason, body=body, text=text, content_type=content_type
        )
        if link:
            self._link = URL(link)
            self.headers["Link"] = f'<{self._link}>; rel="blocked-by"'
            check_field("Link", self.headers["Link"])

    @property
    def link(self) -> URL | None:
        """Who demanded it, None if that is not told."""
        return self._link


# --- 5xx: the server's fault ---------------------------------------------------------------------


class HTTPServerError(HTTPError):
    """Base of the errors 500 to 599: the server could not do it (RFC 9110 §15.6)."""


class HTTPInternalServerError(HTTPServerError):
    """Something went wrong (RFC 9110 §15.6.1); the answer to an exception that nobody handles."""

    status_code = 500


class HTTPNotImplemented(HTTPServerError):
    """No resource here has this method (RFC 9110 §15.6.2)."""

    status_code = 501


class HTTPBadGateway(HTTPServerError):
    """Another server, which was asked, gave no good answer (RFC 9110 §15.6.3)."""

    status_code = 502


class HTTPServiceUnavailable(HTTPServerError):
    """Not now; ``Retry-After`` may say when (RFC 9110 §15.6.4)."""

    status_code = 503


class HTTPGatewayTimeout(HTTPServerError):
    """Another server, which was asked, did not answer in time (RFC 9110 §15.6.5)."""

    status_code = 504


class HTTPVersionNotSupported(HTTPServerError):
    """Not in this version of HTTP (RFC 9110 §15.6.6)."""

    status_code = 505


class HTTPVariantAlsoNegotiates(HTTPServerError):
    """A variant that was chosen wants to choose again (RFC 2295 §8.1)."""

    status_code = 506


class HTTPInsufficientStorage(HTTPServerError):
    """There is no room for it (RFC 4918 §11.5)."""

    status_code = 507


class HTTPLoopDetected(HTTPServerError):
    """What was asked for contains itself (RFC 5842 §7.2)."""

    status_code = 508


class HTTPNotExtended(HTTPServerError):
    """Not without an extension that the request lacks (RFC 2774 §7)."""

    status_code = 510


class HTTPNetworkAuthenticationRequired(HTTPServerError):
    """The network wants to know who you are (RFC 6585 §6)."""

    status_code = 511


# --- Any error by its number ---------------------------------------------------------------------


_ERRORS: Final[dict[int, type[HTTPError]]] = {
    cls.status_code: cls
    for base in (HTTPClientError, HTTPServerError)
    for cls in base.__subclasses__()
}
# Classes made for codes that have no name, by code.
_made: Final[dict[int, type[HTTPError]]] = {}


def _error_class(status: int) -> type[HTTPError]:
    if not isinstance(status, int) or not 400 <= status <= 599:
        raise ValueError(f"status of an error must be from 400 to 599, not {status!r}")
    cls = _ERRORS.get(status) or _made.get(status)
    if cls is None:
        base = HTTPClientError if status < 500 else HTTPServerError
        cls = type(f"HTTPError{status}", (base,), {"status_code": status, "__module__": __name__})
        cls = _made.setdefault(status, cls)
    return cls


def http_error(
    status: int,
    text: str | None = None,
    *,
    headers: Headers | None = None,
    reason: str | None = None,
    content_type: str | None = None,
) -> HTTPError:
    """Return an error to raise (or to return) for any status from 400 to 599.

    It is of the class of that status; for a number without one a class is made, the same each time.
    A 405 made here says what is allowed only if ``headers`` do.

    Args:
        status: The status code, from 400 to 599.
        text: The body as text; status and reason by default.
        headers: Header fields, a mapping or pairs; copied.
        reason: The reason phrase; the usual one by default.
        content_type: The media type, without charset; ``text/plain`` by default.

    Raises:
        ValueError: the status is no error, or as Response raises it.
    """
    cls = _error_class(status)
    error = cls.__new__(cls)
    # Past the __init__ of classes that want more than an error knows by its number.
    HTTPException.__init__(
        error, headers=headers, reason=reason, text=text, content_type=content_type
    )
    return error


def _restore(kind: int | type[HTTPException], args: tuple[Any, ...]) -> HTTPException:
    """Unpickle or copy: the rest is in the state."""
    cls = _error_class(kind) if isinstance(kind, int) else kind
    return cls.__new__(cls, *args)
