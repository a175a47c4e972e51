"""``import lowlevel as web``: the names that programs find there."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing

import pytest

import lowlevel as web

NAMES = """
    AbstractAccessLogger AccessLogger BaseRequest BaseRunner BaseSite ETag GracefulExit HTTPException HttpVersion
    HttpVersion10 HttpVersion11 NamedPipeSite NotAppKeyWarning PayloadAccessError Request RequestHandler RequestKey
    RequestPayloadError Response ResponseKey Server ServerRunner SockSite StreamReader StreamResponse TCPSite UnixSite
    hdrs http_error json_bytes_response json_response run_app
""".split()

# One class per status, under aiohttp's names and four more.
STATUSES = {
    "Ok": 200,
    "Created": 201,
    "Accepted": 202,
    "NonAuthoritativeInformation": 203,
    "NoContent": 204,
    "ResetContent": 205,
    "PartialContent": 206,
    "MultipleChoices": 300,
    "MovedPermanently": 301,
    "Found": 302,
    "SeeOther": 303,
    "NotModified": 304,
    "UseProxy": 305,
    "TemporaryRedirect": 307,
    "PermanentRedirect": 308,
    "BadRequest": 400,
    "Unauthorized": 401,
    "PaymentRequired": 402,
    "Forbidden": 403,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "NotAcceptable": 406,
    "ProxyAuthenticationRequired": 407,
    "RequestTimeout": 408,
    "Conflict": 409,
    "Gone": 410,
    "LengthRequired": 411,
    "PreconditionFailed": 412,
    "RequestEntityTooLarge": 413,
    "RequestURITooLong": 414,
    "UnsupportedMediaType": 415,
    "RequestRangeNotSatisfiable": 416,
    "ExpectationFailed": 417,
    "ImATeapot": 418,
    "MisdirectedRequest": 421,
    "UnprocessableEntity": 422,
    "Locked": 423,
    "FailedDependency": 424,
    "TooEarly": 425,
    "UpgradeRequired": 426,
    "PreconditionRequired": 428,
    "TooManyRequests": 429,
    "RequestHeaderFieldsTooLarge": 431,
    "UnavailableForLegalReasons": 451,
    "InternalServerError": 500,
    "NotImplemented": 501,
    "BadGateway": 502,
    "ServiceUnavailable": 503,
    "GatewayTimeout": 504,
    "VersionNotSupported": 505,
    "VariantAlsoNegotiates": 506,
    "InsufficientStorage": 507,
    "LoopDetected": 508,
    "NotExtended": 510,
    "NetworkAuthenticationRequired": 511,
}
BASES = ["Successful", "Redirection", "Move", "Error", "ClientError", "ServerError"]


@pytest.mark.parametrize("name", NAMES)
def test_names(name: str) -> None:
    assert getattr(web, name) is not None
    assert name in web.__all__


def test_all_names_are_there_once() -> None:
    assert len(set(web.__all__)) == len(web.__all__)
    for name in web.__all__:
        assert hasattr(web, name), name


def test_star_import_gives_all_names() -> None:
    namespace: dict[str, object] = {}
    exec("from lowlevel import *", namespace)
    assert set(web.__all__) <= set(namespace)


def test_no_name_of_the_inside_shows() -> None:
    shown = {name for name in dir(web) if not name.startswith("_")}
    modules = {name for name in shown if inspect.ismodule(getattr(web, name))}
    assert shown - modules - {"annotations"} <= set(web.__all__)


@pytest.mark.parametrize(("name", "status"), STATUSES.items())
def test_one_class_per_status(name: str, status: int) -> None:
    cls = getattr(web, f"HTTP{name}")
    assert cls.status_code == status
    assert issubclass(cls, web.HTTPException)
    assert issubclass(cls, web.Response)
    assert issubclass(cls, Exception)


@pytest.mark.parametrize("name", BASES)
def test_bases_of_the_exceptions(name: str) -> None:
    assert issubclass(getattr(web, f"HTTP{name}"), web.HTTPException)


def test_every_exception_of_the_module_is_in_all() -> None:
    """As aiohttp's own users check it: by walking ``dir()``."""
    found = {
        name
        for name in dir(web)
        if inspect.isclass(getattr(web, name)) and issubclass(getattr(web, name), web.HTTPException)
    }
    assert found <= set(web.__all__)
    assert {f"HTTP{name}" for name in [*STATUSES, *BASES]} <= found


def test_one_exception_per_status() -> None:
    classes = [getattr(web, f"HTTP{name}") for name in STATUSES]
    assert len({cls.status_code for cls in classes}) == len(classes) == len(STATUSES)


def test_names_may_stand_in_annotations() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response()

    async def other(request: web.BaseRequest) -> web.Response | web.StreamResponse:
        return web.Response()

    key: web.RequestKey[int] = web.RequestKey("key", int)
    kept: web.ResponseKey[list[str]] = web.ResponseKey("kept", list[str])
    assert typing.get_type_hints(handler)["return"] is web.StreamResponse
    assert typing.get_type_hints(other)["request"] is web.BaseRequest
    assert key is not kept


def test_relations_of_classes() -> None:
    assert issubclass(web.Response, web.StreamResponse)
    assert issubclass(web.ServerRunner, web.BaseRunner)
    for site in (web.TCPSite, web.UnixSite, web.SockSite, web.NamedPipeSite):
        assert issubclass(site, web.BaseSite)
    assert issubclass(web.GracefulExit, SystemExit)
    assert issubclass(web.NotAppKeyWarning, UserWarning)
    assert issubclass(web.AccessLogger, web.AbstractAccessLogger)
    assert (web.HttpVersion10, web.HttpVersion11) == ((1, 0), (1, 1))
    assert web.hdrs.CONTENT_TYPE == "Content-Type"


def test_importing_is_light() -> None:
    """None of these is needed to serve a request, and each takes its time."""
    heavy = "argparse unittest aiohttp uvloop http.client http.server pydoc xml multiprocessing tempfile pathlib"
    program = f"""if True:
        import asyncio, sys
        import multidict, yarl, httptools
        before = set(sys.modules)
        import lowlevel
        print(*(set({heavy.split()!r}) & (set(sys.modules) - before)))
    """
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == []


def test_the_toolkit_has_its_names_too() -> None:
    # In a process of its own: whatever is imported first, a name must not turn into the module of its function.
    program = """
import lowlevel.toolkit as toolkit
from lowlevel.toolkit import *
import lowlevel as web
print([name for name in toolkit.__all__ if getattr(web, name, None) is not getattr(toolkit, name)])
"""
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "['Match', 'Route']"


def test_a_name_that_the_toolkit_has_not() -> None:
    import lowlevel.toolkit as toolkit

    with pytest.raises(AttributeError, match="toolkit.*nothing_like_that"):
        _ = toolkit.nothing_like_that
    assert "Router" in dir(toolkit)
