"""lowlevel.hdrs: every constant is what its name says."""

import pytest
from multidict import CIMultiDict, istr

from lowlevel import hdrs

METHODS = {name: value for name, value in vars(hdrs).items() if name.startswith("METH_")}
FIELDS = {
    name: value for name, value in vars(hdrs).items() if name.isupper() and name not in METHODS
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_constant_is_the_name_of_the_field(name: str) -> None:
    value = FIELDS[name]
    assert type(value) is istr
    assert value.upper().replace("-", "_") == name
    assert CIMultiDict([(value.lower(), "x")])[value] == "x"


def test_the_fields_every_server_meets_are_there() -> None:
    assert hdrs.CONTENT_TYPE == "Content-Type"
    assert hdrs.ETAG == "ETag"
    assert hdrs.SEC_WEBSOCKET_ACCEPT == "Sec-WebSocket-Accept"
    assert hdrs.WWW_AUTHENTICATE == "WWW-Authenticate"
    assert len(FIELDS) > 100


@pytest.mark.parametrize("name", sorted(METHODS.keys() - {"METH_ALL", "METH_ANY"}))
def test_a_method_constant_is_the_method(name: str) -> None:
    assert name == f"METH_{METHODS[name]}"
    assert METHODS[name] in hdrs.METH_ALL


def test_all_methods_and_any_method() -> None:
    assert len(hdrs.METH_ALL) == len(METHODS) - 2
    assert hdrs.METH_ANY == "*"
    assert hdrs.METH_ANY not in hdrs.METH_ALL
