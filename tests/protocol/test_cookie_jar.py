"""lowlevel.protocol.cookie_jar: SimpleCookie, and Partitioned on every Python."""

from __future__ import annotations

import copy
import pickle
from http.cookies import CookieError, Morsel, SimpleCookie

import pytest

from lowlevel.protocol.cookie_jar import CookieJar


def fields(jar: CookieJar) -> list[str]:
    return [morsel.OutputString() for morsel in jar.values()]


def test_it_is_a_simple_cookie() -> None:
    jar = CookieJar()
    assert isinstance(jar, SimpleCookie)
    jar["a"] = "1"
    jar["b"] = 'x "y"'
    jar["a"]["path"] = "/p"
    jar["a"] = "2"
    assert isinstance(jar["a"], Morsel)
    assert (jar["b"].key, jar["b"].value, jar["b"].coded_value) == ("b", 'x "y"', r'"x \"y\""')
    assert fields(jar) == ["a=2; Path=/p", r'b="x \"y\""']
    assert str(jar) == 'Set-Cookie: a=2; Path=/p\r\nSet-Cookie: b="x \\"y\\""'


def test_values_that_are_no_text_become_text() -> None:
    jar = CookieJar()
    jar["a"] = 5  # type: ignore[assignment]
    assert fields(jar) == ["a=5"]


def test_partitioned() -> None:
    jar = CookieJar()
    jar["a"] = "1"
    assert jar["a"]["partitioned"] == ""
    jar["a"]["Partitioned"] = True
    jar["a"]["path"] = "/"
    jar["a"]["secure"] = True
    assert fields(jar) == ["a=1; Partitioned; Path=/; Secure"]
    jar["a"]["partitioned"] = False
    assert fields(jar) == ["a=1; Path=/; Secure"]
    jar["a"].update({"partitioned": True})  # type: ignore[dict-item]
    assert fields(jar) == ["a=1; Partitioned; Path=/; Secure"]


def test_jars_can_be_copied_and_pickled() -> None:
    jar = CookieJar()
    jar["a"] = "1"
    jar["a"]["partitioned"] = True
    for other in (copy.copy(jar), copy.deepcopy(jar), pickle.loads(pickle.dumps(jar))):
        assert type(other) is CookieJar
        assert other == jar
        assert fields(other) == ["a=1; Partitioned"]


def test_a_morsel_is_taken_as_it_is() -> None:
    morsel: Morsel[str] = Morsel()
    morsel.set("a", "1", "1")
    jar = CookieJar()
    jar["a"] = morsel
    assert jar["a"] is morsel


@pytest.mark.parametrize("name", ["", "a b", "a;", "path", "Partitioned", "é"])
def test_names_that_cookies_cannot_have(name: str) -> None:
    jar = CookieJar()
    with pytest.raises(CookieError):
        jar[name] = "1"
    assert not jar


def test_attributes_that_cookies_do_not_have() -> None:
    jar = CookieJar()
    jar["a"] = "1"
    with pytest.raises(CookieError):
        jar["a"]["priority"] = "High"
