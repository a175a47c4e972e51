"""Methods of endpoint classes, which get what they ask for: the values of variables in the path, by name."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Iterator, Mapping
from inspect import Parameter
from typing import Any, Final

from .invoke import as_async, check_callable, is_async

__all__ = ("EndpointMethod",)

_BY_POSITION: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME: Final = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


class EndpointMethod:
    """How to call a method of a class, in a thread if it is no coroutine function. Its signature is read once, here.

    Args:
        cls: The class.
        name: What the method is called.
        leading: What it is always given, by position: words for an error message.

    Raises:
        TypeError: It is not callable, or does not take what it is given.
    """

    __slots__ = ("_all", "_async", "_name", "_named", "_plain", "_positional", "_taken")

    def __init__(self, cls: type, name: str, *leading: str) -> None:
        shown = f"{cls.__module__}.{cls.__qualname__}.{name}"
        method = inspect.getattr_static(cls, name)
        if hasattr(method, "__get__"):
            # As instances have it, be it a function, a static method or something else. There is no instance yet.
            method = method.__get__(object(), cls)
        check_callable(shown, method)
        try:
            parameters = inspect.signature(method).parameters.values()
        except ValueError as exc:
            raise TypeError(f"{shown}: {exc}") from None
        by_position = [parameter for parameter in parameters if parameter.kind in _BY_POSITION]
        kinds = {parameter.kind for parameter in parameters}
        if len(by_position) < len(leading) and Parameter.VAR_POSITIONAL not in kinds:
            raise TypeError(f"{shown}() must take {' and '.join(leading)}")
        first = by_position[: len(leading)]
        rest = [parameter for parameter in parameters if parameter not in first]
        self._name = name
        self._async = is_async(method)
        self._positional = [p for p in rest if p.kind is Parameter.POSITIONAL_ONLY]
        self._named = tuple(p.name for p in rest if p.kind in _BY_NAME)
        self._all = Parameter.VAR_KEYWORD in kinds
        self._taken = frozenset(p.name for p in first)
        self._plain = not (self._positional or self._named or self._all)

    def __call__(
        self, instance: object, values: Mapping[str, Any], *leading: object
    ) -> Awaitable[Any]:
        """Call the method of an instance.

        Args:
            values: What may be asked for. What has no default and is not there is a TypeError, as in any call.
            leading: What is always given.
        """
        method = getattr(instance, self._name)
        call = method if self._async else as_async(method)
        if self._plain:
            result: Awaitable[Any] = call(*leading)
            return result
        return call(*leading, *self._values_by_position(values), **self._values_by_name(values))

    def _values_by_position(self, values: Mapping[str, Any]) -> Iterator[Any]:
        for parameter in self._positional:
            if parameter.name not in values and parameter.default is Parameter.empty:
                return
            yield values.get(parameter.name, parameter.default)

    def _values_by_name(self, values: Mapping[str, Any]) -> dict[str, Any]:
        if self._all:
            return {name: value for name, value in values.items() if name not in self._taken}
        return {name: values[name] for name in self._named if name in values}
