"""lowlevel.exceptions: the classes, what each sends, and what raising one keeps."""

import copy
import http
import pickle
import warnings
from typing import Any

import pytest
from multidict import CIMultiDict
from yarl import URL

import lowlevel as web
from lowlevel import errors, exceptions
from lowlevel.exceptions import (
    HTTPBadRequest,
    HTTPClientError,
    HTTPCreated,
    HTTPError,
    HTTPException,
    HTTPForbidden,
    HTTPFound,
    HTTPMethodNotAllowed,
    HTTPMove,
    HTTPNoContent,
    HTTPNotFound,
    HTTPNotModified,
    HTTPPermanentRedirect,
    HTTPRedirection,
    HTTPRequestEntityTooLarge,
    HTTPResetContent,
    HTTPServerError,
    HTTPSuccessful,
    HTTPUnavailableForLegalReasons,
    RequestDecodeError,
    http_error,
)
from lowlevel.response import Response
from tests.support import Peer, request, serving

# --- The tree ------------------------------------------------------------------------------------

BASES = {
    HTTPException,
    HTTPError,
    HTTPSuccessful,
    HTTPRedirection,
    HTTPMove,
    HTTPClientError,
    HTTPServerError,
}
CODES = {
    200: "Ok",
    201: "Created",
    202: "Accepted",
    203: "NonAuthoritativeInformation",
    204: "NoContent",
    205: "ResetContent",
    206: "PartialContent",
    300: "MultipleChoices",
    301: "MovedPermanently",
    302: "Found",
    303: "SeeOther",
    304: "NotModified",
    305: "UseProxy",
    307: "TemporaryRedirect",
    308: "PermanentRedirect",
    400: "BadRequest",
    401: "Unauthorized",
    402: "PaymentRequired",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    407: "ProxyAuthenticationRequired",
    408: "RequestTimeout",
    409: "Conflict",
    410: "Gone",
    411: "LengthRequired",
    412: "PreconditionFailed",
    413: "RequestEntityTooLarge",
    414: "RequestURITooLong",
    415: "UnsupportedMediaType",
    416: "RequestRangeNotSatisfiable",
    417: "ExpectationFailed",
    418: "ImATeapot",
    421: "MisdirectedRequest",
    422: "UnprocessableEntity",
    423: "Locked",
    424: "FailedDependency",
    425: "TooEarly",
    426: "UpgradeRequired",
    428: "PreconditionRequired",
    429: "TooManyRequests",
    431: "RequestHeaderFieldsTooLarge",
    451: "UnavailableForLegalReasons",
    500: "InternalServerError",
    501: "NotImplemented",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "GatewayTimeout",
    505: "VersionNotSupported",
    506: "VariantAlsoNegotiates",
    507: "InsufficientStorage",
    508: "LoopDetected",
    510: "NotExtended",
    511: "NetworkAuthenticationRequired",
}
NAMED = {code: getattr(exceptions, f"HTTP{name}") for code, name in CODES.items()}
SILENT = {204, 205, 304}


def make(cls: Any, **arguments: Any) -> Any:
    """Make one of any class, with what some of them want first."""
    if issubclass(cls, HTTPMove):
        return cls("/there", **arguments)
    if cls is HTTPMethodNotAllowed:
        return cls("PUT", ["GET"], **arguments)
    if cls is HTTPRequestEntityTooLarge:
        return cls(10, **arguments)
    if cls is HTTPUnavailableForLegalReasons:
        return cls(None, **arguments)
    return cls(**arguments)


@pytest.mark.parametrize("code", CODES)
def test_one_class_for_each_status(code: int) -> None:
    cls = NAMED[code]
    assert cls.status_code == code
    assert make(cls).status == code
    base = {
        2: HTTPSuccessful,
        3: HTTPMove if code != 304 else HTTPRedirection,
        4: HTTPClientError,
        5: HTTPServerError,
    }[code // 100]
    assert cls.__bases__ == (base,)


def test_every_error_of_the_standard_library_has_a_class() -> None:
    errors = {status.value for status in http.HTTPStatus if status >= 400}
    assert errors <= CODES.keys()


def test_the_bases() -> None:
    assert HTTPException.__bases__ == (Response, Exception)
    for cls in (HTTPError, HTTPSuccessful, HTTPRedirection):
        assert cls.__bases__ == (HTTPException,)
    assert HTTPClientError.__bases__ == HTTPServerError.__bases__ == (HTTPError,)


def test_all_names_are_exported() -> None:
    public = {name for name, value in vars(exceptions).items() if isinstance(value, type)}
    ours = {name for name in public if issubclass(getattr(exceptions, name), BaseException)}
    ours |= {"http_error"}
    assert set(exceptions.__all__) == ours
    assert len(exceptions.__all__) == len(CODES) + len(BASES) + 5


def test_the_plain_errors_are_those_of_the_floor_below() -> None:
    assert exceptions.PayloadAccessError is errors.PayloadAccessError
    assert exceptions.RequestPayloadError is errors.RequestPayloadError
    assert exceptions.NotAppKeyWarning is errors.NotAppKeyWarning
    assert issubclass(errors.NotAppKeyWarning, UserWarning)


@pytest.mark.parametrize("cls", sorted(BASES - {HTTPMove}, key=lambda cls: cls.__name__))
def test_a_base_is_no_answer(cls: type[HTTPException]) -> None:
    """It may be raised and caught like any exception."""
    cause = LookupError("why")
    with pytest.raises(HTTPException) as caught:
        raise cls() from cause
    assert type(caught.value) is cls
    assert caught.value.__cause__ is cause
    assert (caught.value.status, caught.value.reason) == (-1, "")
    assert copy.copy(caught.value).status == -1


@pytest.mark.parametrize("raised", [True, False])
async def test_a_base_is_not_sent(raised: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        error = HTTPClientError(text="no number")
        if raised:
            raise error
        return error

    async with serving(handler) as site, Peer.connect(site.port) as peer:
        answer = await peer.ask(request())
    assert answer.status == 500
    assert b"no number" not in answer.body
    assert "HTTPClientError has no status_code" in caplog.text


# --- What is sent --------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(CODES.keys() - SILENT - {413}))
def test_the_default_text_is_status_and_reason(code: int) -> None:
    error = make(NAMED[code])
    assert error.reason == http.HTTPStatus(code).phrase
    assert error.text == f"{code}: {error.reason}"
    assert error.body == error.text.encode()
    assert error.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_the_best_known_text() -> None:
    assert HTTPNotFound().body == b"404: Not Found"


@pytest.mark.parametrize("cls", [HTTPNoContent, HTTPResetContent, HTTPNotModified])
def test_no_text_where_no_body_goes(cls: Any) -> None:
    error = cls()
    assert error.empty_body
    assert error.body is None
    assert "Content-Type" not in error.headers


def test_a_reason_of_ones_own_is_in_the_text() -> None:
    error = HTTPNotFound(reason="Gone Fishing")
    assert error.reason == "Gone Fishing"
    assert error.text == "404: Gone Fishing"


@pytest.mark.parametrize("reason", ["a\r\nb", "a\nb", "a\rb"])
def test_a_reason_stays_on_its_line(reason: str) -> None:
    with pytest.raises(ValueError, match="Reason cannot contain"):
        HTTPNotFound(reason=reason)


@pytest.mark.parametrize("text", ["no such thing", "", "é"])
def test_text_replaces_the_default(text: str) -> None:
    error = HTTPNotFound(text=text)
    assert error.text == text
    assert error.body == text.encode()
    assert error.content_type == "text/plain"


def test_content_type_goes_with_text_given_or_not() -> None:
    assert HTTPNotFound(content_type="text/html").headers["Content-Type"] == (
        "text/html; charset=utf-8"
    )
    error = HTTPNotFound(text="{}", content_type="application/json")
    assert error.content_type == "application/json"


def test_headers_are_copied() -> None:
    headers = CIMultiDict({"X-Name": "a"})
    error = HTTPNotFound(headers=headers)
    error.headers["X-Name"] = "b"
    assert headers == {"X-Name": "a"}
    assert HTTPNotFound(headers=[("X-Name", "a")]).headers["x-name"] == "a"


def test_a_content_type_among_the_headers_stays() -> None:
    error = HTTPNotFound(headers={"Content-Type": "text/html"})
    assert error.content_type == "text/html"
    assert error.text == "404: Not Found"


@pytest.mark.parametrize("cls", [HTTPNotFound, HTTPFound])
def test_body_works_but_is_deprecated_where_it_is_used(cls: Any) -> None:
    with pytest.warns(DeprecationWarning, match="body argument is deprecated") as record:
        error = make(cls, body=b"bytes")
    assert error.body == b"bytes"
    # make() is the caller.
    assert record[0].filename == __file__


def test_an_empty_body_is_a_body() -> None:
    with pytest.warns(DeprecationWarning):
        assert HTTPNotFound(body=b"").body == b""


def test_text_and_body_are_one_too_many() -> None:
    with pytest.warns(DeprecationWarning), pytest.raises(ValueError, match="body and text"):
        HTTPNotFound(text="a", body=b"a")


def test_nothing_else_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cls in NAMED.values():
            make(cls, text="a", reason="b", headers={"X-Name": "a"})


def test_cookies_can_be_set() -> None:
    error = HTTPForbidden()
    error.set_cookie("session", "x")
    assert error.cookies["session"].value == "x"


# --- What Python makes of it ---------------------------------------------------------------------


def test_str_is_the_reason() -> None:
    assert str(HTTPNotFound()) == "Not Found"
    assert str(HTTPNotFound(reason="Gone Fishing")) == "Gone Fishing"
    assert str(HTTPFound("/there")) == "Found"
    assert HTTPFound("/there").args == ("Found",)


def test_it_is_true_and_equal_only_to_itself() -> None:
    error = HTTPNotFound()
    assert error
    assert len(error) == 0
    assert error == error
    assert error != HTTPNotFound()
    assert len({error, error, HTTPNotFound()}) == 2
    assert repr(error) == "<HTTPNotFound Not Found not prepared>"


def test_raise_from_keeps_the_cause() -> None:
    with pytest.raises(HTTPNotFound) as caught:
        try:
            raise KeyError("a")
        except KeyError as exc:
            raise HTTPNotFound from exc
    assert isinstance(caught.value.__cause__, KeyError)


def test_it_carries_notes_and_tracebacks() -> None:
    error = HTTPNotFound()
    error.add_note("a note")
    assert error.__notes__ == ["a note"]
    assert error.with_traceback(None) is error


def test_a_kind_of_ones_own() -> None:
    class Storm(HTTPServerError):
        status_code = 530

        def __init__(self, name: str) -> None:
            super().__init__(reason="Storm", text=f"{name} passes")

    error = Storm("Ada")
    assert (error.status, str(error), error.text) == (530, "Storm", "Ada passes")
    assert http_error(530).__class__ is not Storm


@pytest.mark.parametrize("kind", [*CODES, "decode", "made"])
@pytest.mark.parametrize("how", ["pickle", "copy", "deepcopy"])
def test_copies_are_the_same_answer(kind: Any, how: str) -> None:
    error: Any
    if kind == "decode":
        error = RequestDecodeError(text="no JSON")
    elif kind == "made":
        error = http_error(499, "client left")
    else:
        error = make(NAMED[kind], reason="Because", headers={"X-Name": "a"})
        error.set_cookie("b", "c")
    twin = {
        "pickle": lambda: pickle.loads(pickle.dumps(error)),
        "copy": lambda: copy.copy(error),
        "deepcopy": lambda: copy.deepcopy(error),
    }[how]()
    assert type(twin) is type(error)
    assert twin is not error
    assert twin.args == error.args
    assert twin.status == error.status
    assert twin.reason == error.reason
    assert twin.body == error.body
    assert twin.headers == error.headers
    assert twin.cookies == error.cookies
    for name in ("location", "method", "allowed_methods", "link"):
        assert getattr(twin, name, None) == getattr(error, name, None)


class Picky(HTTPBadRequest):
    """A user's class, importable as pickle needs it."""

    def __init__(self, field: str) -> None:
        super().__init__(text=f"{field} is missing")
        self.field = field


def test_a_kind_with_arguments_of_its_own_can_be_copied() -> None:
    twin = copy.copy(Picky("name"))
    assert (type(twin), twin.field, twin.text) == (Picky, "name", "name is missing")


# --- The ones with more to say -------------------------------------------------------------------

MOVES = [cls for cls in NAMED.values() if issubclass(cls, HTTPMove)]


@pytest.mark.parametrize("cls", MOVES)
def test_a_move_says_where_to(cls: type[HTTPMove]) -> None:
    error = cls("/there?a=b c#d")
    assert error.location == "/there?a=b c#d"
    assert error.headers["Location"] == "/there?a=b+c#d"


@pytest.mark.parametrize(
    ("location", "header"),
    [
        ("http://example.org/", "http://example.org/"),
        ("/é", "/%C3%A9"),
        ("/a%2Fb%20c", "/a%2Fb%20c"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        (URL("/a") / "b c", "/a/b%20c"),
        ("?page=2", "?page=2"),
    ],
)
def test_a_location_is_encoded(location: str | URL, header: str) -> None:
    error = HTTPPermanentRedirect(location)
    assert error.location is location
    assert error.headers["Location"] == header


@pytest.mark.parametrize("location", ["", None, URL(""), " ", "\n"])
def test_a_move_needs_a_location(location: Any) -> None:
    with pytest.raises(ValueError, match="location must not be empty"):
        HTTPFound(location)


def test_a_location_cannot_split_the_response() -> None:
    with pytest.raises(ValueError, match="value of header Location has CR, LF or NUL"):
        HTTPFound(URL.build(path="/a\r\nSet-Cookie: b=c", encoded=True))
    for split in ("/a\r\nSet-Cookie: b=c", "/a\nb", "/a\0"):
        with pytest.raises(ValueError, match="value of header Location has CR, LF or NUL"):
            HTTPFound(split)
    with pytest.raises(ValueError, match="Invalid IPv6"):
        HTTPFound("http://[::1")


def test_location_given_twice_is_one() -> None:
    error = HTTPFound("/a", headers={"location": "/b"})
    assert error.headers.getall("Location") == ["/a"]


@pytest.mark.parametrize(
    "allowed", [["POST", "GET", "GET"], ("GET", "POST"), iter(["POST", "GET"])]
)
def test_method_not_allowed_says_what_is(allowed: Any) -> None:
    error = HTTPMethodNotAllowed("put", allowed)
    assert error.headers["Allow"] == "GET,POST"
    assert error.allowed_methods == {"GET", "POST"}
    assert isinstance(error.allowed_methods, set)
    assert error.method == "PUT"


def test_no_method_allowed() -> None:
    assert HTTPMethodNotAllowed("GET", []).headers["Allow"] == ""


def test_too_large_says_the_limit() -> None:
    text = "Maximum request body size 10 exceeded."
    assert HTTPRequestEntityTooLarge(10).text == text
    assert HTTPRequestEntityTooLarge(max_size=10, actual_size=20).text == text
    error = HTTPRequestEntityTooLarge(10, 20, text="too much", reason="No", headers={"A": "b"})
    assert (error.text, error.reason, error.headers["A"]) == ("too much", "No", "b")
    with pytest.warns(DeprecationWarning):
        assert HTTPRequestEntityTooLarge(10, body=b"x").body == b"x"


@pytest.mark.parametrize("link", ["http://example.org/é", URL("http://example.org/é")])
def test_legal_reasons_say_who_demanded(link: str | URL) -> None:
    error = HTTPUnavailableForLegalReasons(link)
    assert error.link == URL("http://example.org/é")
    assert error.headers["Link"] == '<http://example.org/%C3%A9>; rel="blocked-by"'


@pytest.mark.parametrize("link", [None, ""])
def test_legal_reasons_may_be_silent(link: str | None) -> None:
    error = HTTPUnavailableForLegalReasons(link)
    assert error.link is None
    assert "Link" not in error.headers
    with pytest.raises(TypeError):
        HTTPUnavailableForLegalReasons()  # type: ignore[call-arg]


def test_a_link_cannot_split_the_response() -> None:
    with pytest.raises(ValueError, match="value of header Link has CR, LF or NUL"):
        HTTPUnavailableForLegalReasons(URL.build(path="/a\nb", encoded=True))


def test_a_decode_error_is_a_bad_request_and_a_value_error() -> None:
    error = RequestDecodeError(text="no JSON")
    assert isinstance(error, HTTPBadRequest)
    assert isinstance(error, ValueError)
    assert (error.status, error.text) == (400, "no JSON")


# --- http_error ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [code for code in CODES if code >= 400])
def test_http_error_gives_the_class_of_the_status(code: int) -> None:
    error = http_error(code)
    assert type(error) is NAMED[code]
    assert error.status == code
    assert error.text == f"{code}: {error.reason}"
    assert str(error) == error.reason == http.HTTPStatus(code).phrase
    assert type(http_error(http.HTTPStatus(code))) is NAMED[code]


@pytest.mark.parametrize(("code", "base"), [(499, HTTPClientError), (599, HTTPServerError)])
def test_http_error_makes_a_class_where_there_is_none(code: int, base: type[HTTPError]) -> None:
    error = http_error(code, reason="Odd")
    assert type(error).__bases__ == (base,)
    assert type(error).__name__ == f"HTTPError{code}"
    assert type(error) is type(http_error(code))
    assert (error.status, error.text) == (code, f"{code}: Odd")


@pytest.mark.parametrize("code", [-1, 0, 1, 200, 304, 399, 600, 1000, "404", None, 404.0])
def test_http_error_is_for_errors(code: Any) -> None:
    with pytest.raises(ValueError, match="must be from 400 to 599"):
        http_error(code)


def test_http_error_passes_everything_on() -> None:
    error = http_error(
        502, "<p>Timeout", headers={"X-Name": "a"}, reason="Odd", content_type="text/html"
    )
    assert error.text == "<p>Timeout"
    assert error.reason == "Odd"
    assert error.headers["X-Name"] == "a"
    assert error.content_type == "text/html"


def test_http_error_without_what_the_class_wants() -> None:
    error = http_error(405, headers={"Allow": "GET"})
    assert isinstance(error, HTTPMethodNotAllowed)
    assert error.headers["Allow"] == "GET"
    assert error.method == ""
    assert error.allowed_methods == set()
    legal = http_error(451)
    assert isinstance(legal, HTTPUnavailableForLegalReasons)
    assert legal.link is None


def test_subclasses_made_by_programs_do_not_become_the_class_of_a_status() -> None:
    class Missing(HTTPClientError):
        status_code = 404

    assert type(http_error(404)) is HTTPNotFound
    assert isinstance(HTTPCreated(), HTTPSuccessful)
    assert Missing().status == 404
