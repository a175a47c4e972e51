"""Typed keys, and the state of a message as a mapping."""

import gc
import warnings
import weakref
from collections.abc import Iterable, MutableMapping
from typing import Any

import pytest

import lowlevel as web
from lowlevel.keys import State

MODULE_KEY = web.RequestKey("module_key", str)


class RequestState(State):
    _key_class = "RequestKey"
    _warned = set[str]()


@pytest.fixture
def state() -> State:
    RequestState._warned.clear()
    return RequestState()


@pytest.mark.parametrize("cls", [web.RequestKey, web.ResponseKey])
def test_keys_are_equal_only_to_themselves(cls: Any) -> None:
    one, other = cls("name", int), cls("name", int)
    assert one == one and one != other
    assert {one: 1, other: 2}[other] == 2


def test_a_request_key_is_no_response_key() -> None:
    assert not isinstance(web.RequestKey("name", int), web.ResponseKey)


def test_repr_names_module_and_type() -> None:
    assert repr(MODULE_KEY) == f"<RequestKey({__name__}.module_key, type=str)>"


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (web.RequestKey("k", int), "int"),
        (web.RequestKey("k", web.Response), "lowlevel.response.Response"),
        (web.RequestKey("k", Iterable), "collections.abc.Iterable"),
        (web.RequestKey("k"), "<<Unknown>>"),
        (web.RequestKey[int]("k"), "int"),
        (web.RequestKey[list[int]]("k"), "list[int]"),
        (web.RequestKey[int | None]("k"), "int | None"),
        (web.RequestKey("k", list[int]), "list[int]"),
    ],
)
def test_repr_of_types(key: Any, kind: str) -> None:
    assert repr(key).endswith(f".k, type={kind})>")


def test_a_subscripted_key_is_named_after_the_module_too() -> None:
    assert repr(web.RequestKey[int]("k")).split(".k")[0] == repr(web.RequestKey("k")).split(".k")[0]


def test_keys_sort_by_name_and_behind_strings() -> None:
    a, b = web.RequestKey("a", int), web.ResponseKey("b", int)
    assert sorted([b, a], key=lambda key: key) == [a, b]
    assert a < b
    assert not b < a
    assert a < "a"


def test_a_key_has_no_attributes_of_its_own() -> None:
    with pytest.raises(AttributeError):
        MODULE_KEY.colour = "blue"  # type: ignore[attr-defined]


def test_mapping(state: State) -> None:
    key = web.RequestKey("key", int)
    assert isinstance(state, MutableMapping)
    assert len(state) == 0 and list(state) == [] and key not in state
    state[key] = 1
    assert state[key] == 1 and key in state and len(state) == 1 and list(state) == [key]
    state.update({key: 2})
    assert dict(state) == {key: 2}
    assert state.setdefault(key, 3) == 2
    assert state.pop(key) == 2
    assert state.get(key) is None
    assert not list(state)


@pytest.mark.parametrize("fill", [False, True])
def test_missing_keys(state: State, fill: bool) -> None:
    if fill:
        state[MODULE_KEY] = "x"
    other = web.RequestKey("other", int)
    with pytest.raises(KeyError):
        state[other]
    with pytest.raises(KeyError):
        del state[other]
    assert state.get(other, 5) == 5


def test_two_states_share_nothing(state: State) -> None:
    state[MODULE_KEY] = "x"
    assert MODULE_KEY not in RequestState()


def test_always_true_equal_to_itself_and_hashable(state: State) -> None:
    other = RequestState()
    assert state and len(state) == 0
    assert state == state and state != other and state != {}
    assert len({state, other}) == 2


def test_a_string_warns_once_and_names_who_did_it(state: State) -> None:
    with pytest.warns(web.NotAppKeyWarning, match="RequestKey") as caught:
        state["plain"] = 1
    assert caught[0].filename == __file__
    assert issubclass(web.NotAppKeyWarning, UserWarning)
    state["plain"] = 2
    RequestState()["plain"] = 3
    assert state["plain"] == 2
    del state["plain"]
    assert "plain" not in state


def test_each_string_warns_by_itself(state: State) -> None:
    for name in ("one", "two"):
        with pytest.warns(web.NotAppKeyWarning):
            state[name] = 1


def test_the_warning_of_a_request_does_not_silence_that_of_a_response(state: State) -> None:
    with pytest.warns(web.NotAppKeyWarning, match="RequestKey"):
        state["shared name"] = 1
    with pytest.warns(web.NotAppKeyWarning, match="ResponseKey"):
        web.Response()["shared name"] = 1


def test_typed_keys_do_not_warn(state: State) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state[MODULE_KEY] = "x"


def test_keys_made_from_data_are_not_kept_for_ever(state: State) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(3000):
            state[f"name {number}"] = number
            del state[f"name {number}"]
    assert len(RequestState._warned) <= 1000


def test_state_can_be_referred_to_weakly(state: State) -> None:
    other = RequestState()
    reference = weakref.ref(other)
    gc.disable()
    try:
        del other
        assert reference() is None
    finally:
        gc.enable()
