"""The answer 405 of routers, endpoints and folders."""

import lowlevel as web
from lowlevel.toolkit.method_not_allowed import method_not_allowed


def test_the_list() -> None:
    error = method_not_allowed("patch", ["POST", "GET", "GET", "HEAD"])
    assert type(error) is web.HTTPMethodNotAllowed
    assert error.status == 405
    assert error.method == "PATCH"
    assert error.allowed_methods == {"GET", "HEAD", "POST"}
    assert error.headers.getall("Allow") == ["GET, HEAD, POST"]


def test_an_empty_list() -> None:
    """It is a list all the same (RFC 9110 §10.2.1)."""
    assert method_not_allowed("GET", ()).headers["Allow"] == ""
