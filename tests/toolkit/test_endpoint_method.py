"""How methods of endpoints get what they ask for."""

import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from lowlevel.toolkit.endpoint_method import EndpointMethod

VALUES = {"a": 1, "b": 2}


async def call(cls: type, values: dict[str, Any] = VALUES) -> Any:
    method = EndpointMethod(cls, "get", "the request")
    return await method(cls(), values, "request")


def made(function: Any) -> type:
    return type("Endpoint", (), {"get": function})


# --- Which values -------------------------------------------------------------------------


async def only_request(self: Any, request: str) -> Any:
    return request


async def one(self: Any, request: str, b: int) -> Any:
    return request, b


async def both(self: Any, request: str, b: int, a: int) -> Any:
    return request, a, b


async def by_name(self: Any, request: str, *, a: int) -> Any:
    return request, a


async def by_position(self: Any, request: str, b: int, /) -> Any:
    return request, b


async def some_of_each(self: Any, request: str, b: int, /, a: int, *, c: int = 3) -> Any:
    return request, a, b, c


async def everything(self: Any, request: str, **values: int) -> Any:
    return request, values


async def one_and_everything(self: Any, request: str, a: int, **values: int) -> Any:
    return request, a, values


async def by_position_and_everything(self: Any, request: str, a: int, /, **values: int) -> Any:
    return request, a, values


async def default(self: Any, request: str, a: int = 10, c: int = 30) -> Any:
    return request, a, c


async def default_by_position(self: Any, request: str, c: int = 30, a: int = 10, /) -> Any:
    return request, a, c


async def variadic(self: Any, *args: str, **values: int) -> Any:
    return args, values


async def variadic_with_names(self: Any, *args: str, b: int) -> Any:
    return args, b


async def of_another_name(self: Any, a: str, b: int) -> Any:
    return a, b


@pytest.mark.parametrize(
    ("function", "result"),
    [
        (only_request, "request"),
        (one, ("request", 2)),
        (both, ("request", 1, 2)),
        (by_name, ("request", 1)),
        (by_position, ("request", 2)),
        (some_of_each, ("request", 1, 2, 3)),
        (everything, ("request", VALUES)),
        (one_and_everything, ("request", 1, {"b": 2})),
        (by_position_and_everything, ("request", 1, VALUES)),
        (default, ("request", 1, 30)),
        (default_by_position, ("request", 1, 30)),
        (variadic, (("request",), VALUES)),
        (variadic_with_names, (("request",), 2)),
        # What is given first is not given again by name.
        (of_another_name, ("request", 2)),
    ],
)
async def test_values(function: Any, result: object) -> None:
    assert await call(made(function)) == result


async def test_everything_but_the_request() -> None:
    assert await call(made(everything), {"request": 1, "a": 2}) == ("request", {"a": 2})


async def test_nothing_to_give() -> None:
    assert await call(made(everything), {}) == ("request", {})
    assert await call(made(default), {}) == ("request", 10, 30)


@pytest.mark.parametrize("function", [one, by_position, variadic_with_names])
async def test_a_value_that_is_not_there(function: Any) -> None:
    with pytest.raises(TypeError, match=r"missing 1 required .* argument: 'b'"):
        await call(made(function), {"a": 1})


async def test_two_leading_arguments() -> None:
    class Endpoint:
        async def get(self, first: str, second: str, /, b: int) -> Any:
            return first, second, b

    method = EndpointMethod(Endpoint, "get", "one", "another")
    assert await method(Endpoint(), VALUES, "x", "y") == ("x", "y", 2)


# --- What may be a method -----------------------------------------------------------------


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapper


class Callable_:
    async def __call__(self, request: str, a: int) -> Any:
        return request, a


@pytest.mark.parametrize(
    ("attribute", "result"),
    [
        (decorated(one), ("request", 2)),
        (staticmethod(functools.partial(one, "self")), ("request", 2)),
        (classmethod(one), ("request", 2)),
        (functools.partialmethod(default, c=5), ("request", 1, 5)),
        (Callable_(), ("request", 1)),
    ],
)
async def test_kinds_of_methods(attribute: Any, result: object) -> None:
    assert await call(made(attribute)) == result


async def test_the_instance() -> None:
    class Endpoint:
        async def get(self, request: str) -> Any:
            return self

    instance = Endpoint()
    assert await EndpointMethod(Endpoint, "get", "the request")(instance, {}, "x") is instance


async def test_functions_run_in_a_thread() -> None:
    def get(self: Any, request: str, a: int) -> Any:
        return threading.current_thread(), request, a

    thread, *rest = await call(made(get))
    assert thread is not threading.current_thread()
    assert rest == ["request", 1]


async def test_coroutine_functions_do_not() -> None:
    async def get(self: Any, request: str) -> Any:
        return threading.current_thread()

    assert await call(made(get)) is threading.current_thread()


async def test_a_function_that_returns_a_coroutine() -> None:
    """As decorators make them that know nothing of coroutines."""

    async def inner() -> Any:
        return threading.current_thread()

    assert await call(made(lambda self, request: inner())) is threading.current_thread()


# --- What may not -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda self: None,
        lambda self, *, request: None,
        lambda self, **values: None,
        staticmethod(lambda: None),
    ],
)
def test_it_must_take_the_request(function: Any) -> None:
    cls = made(function)
    with pytest.raises(
        TypeError, match=r"test_endpoint_method\.Endpoint\.get\(\) must take the request$"
    ):
        EndpointMethod(cls, "get", "the request")


def test_it_must_take_the_instance() -> None:
    with pytest.raises(TypeError, match=r"Endpoint\.get: invalid method signature"):
        EndpointMethod(made(lambda: None), "get", "the request")


def test_both_are_told() -> None:
    cls = made(lambda self, ws: None)
    with pytest.raises(TypeError, match=r"Endpoint\.get\(\) must take the ws and the data$"):
        EndpointMethod(cls, "get", "the ws", "the data")


@pytest.mark.parametrize("attribute", [1, "get"])
def test_it_must_be_callable(attribute: object) -> None:
    with pytest.raises(TypeError, match=r"Endpoint\.get must be callable, not "):
        EndpointMethod(made(attribute), "get", "the request")


def test_signatures_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    method = EndpointMethod(made(one), "get", "the request")
    monkeypatch.setattr("inspect.signature", None)
    coroutine: Any = method(made(one)(), VALUES, "request")
    coroutine.close()
