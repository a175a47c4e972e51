"""What all conformance tests have in common."""

import pytest


@pytest.fixture(autouse=True)
def _for_the_rules_alone(untraced: None) -> None:
    """Coverage is what the tests of each module reach: these are for the rules, and many."""
