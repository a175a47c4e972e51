"""The blocks of code of docs/testing.rst, run as the one test module that they are."""

import pytest

from tests.docpages import Page

PAGE = Page("docs/testing.rst")


def test_the_page_is_a_test_module(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = PAGE.run_as_tests(pytester, monkeypatch)
    result.assert_outcomes(passed=8)


def test_no_block_is_left_out() -> None:
    """A block that is new wants a test in it."""
    assert PAGE.counts == {
        "A client": 2,
        "Streams and WebSockets": 2,
        "A server alone": 1,
        "pytest": 1,
        "Bad clients": 1,
    }
