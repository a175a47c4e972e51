"""Per-request and per-response state: a mapping that prefers typed keys."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, MutableMapping
from types import FrameType
from typing import Any, ClassVar, Final, Generic, TypeVar, get_args, overload

from .errors import NotAppKeyWarning

__all__ = ("AppKey", "AppState", "RequestKey", "ResponseKey", "State")

_T = TypeVar("_T")

# Keys made from data would be an endless set.
_MOST_WARNINGS: Final = 1000


class _Key(Generic[_T]):
    """A key compared by identity, with the type of its value for type checkers and for repr.

    Args:
        name: Shown behind the name of the module that is being run: ``myapp.user``.
        t: The type of the value. A type that is no class stands in brackets: ``RequestKey[list[int]]("ids")``.
    """

    __slots__ = ("__orig_class__", "_name", "_type")

    __orig_class__: type[object]

    def __init__(self, name: str, t: type[_T] | None = None) -> None:
        self._name = f"{_running_module()}.{name}"
        self._type = t

    def __lt__(self, other: object) -> bool:
        if isinstance(other, _Key):
            return self._name < other._name
        return True

    def __repr__(self) -> str:
        t = self._type or next(iter(get_args(getattr(self, "__orig_class__", None))), None)
        if t is None:
            kind = "<<Unknown>>"
        elif not isinstance(t, type):
            kind = repr(t)
        elif t.__module__ == "builtins":
            kind = t.__qualname__
        else:
            kind = f"{t.__module__}.{t.__qualname__}"
        return f"<{type(self).__name__}({self._name}, type={kind})>"


def _running_module() -> str:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return "<unknown>" if frame is None else str(frame.f_globals.get("__name__", "<unknown>"))


class RequestKey(_Key[_T]):
    """Key of a value kept in a request: ``RequestKey("user", User)``. Equal only to itself.

    Args:
        name: What its text shows, behind the name of the module that makes it.
        t: The type of the value, for type checkers. A type that is no class stands in brackets:
            ``RequestKey[list[int]]("ids")``.
    """

    __slots__ = ()


class ResponseKey(_Key[_T]):
    """Key of a value kept in a response; made like a RequestKey.

    Args:
        name: What its text shows, behind the name of the module that makes it.
        t: The type of the value, for type checkers.
    """

    __slots__ = ()


class AppKey(_Key[_T]):
    """Key of a value kept in an Application; made like a RequestKey.

    Args:
        name: What its text shows, behind the name of the module that makes it.
        t: The type of the value, for type checkers.
    """

    __slots__ = ()


class State(MutableMapping[Any, Any]):
    """A mutable mapping that is always true and equal only to itself, made when first used.

    Keys are RequestKey or ResponseKey objects, or strings, which warn once per key of requests and of responses.
    """

    _state: dict[Any, Any] | None = None
    _key_class: ClassVar[str] = "ResponseKey"
    _warned: ClassVar[set[str]] = set()

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __bool__(self) -> bool:
        return True

    @overload
    def __getitem__(self, key: _Key[_T]) -> _T: ...

    @overload
    def __getitem__(self, key: str) -> Any: ...

    def __getitem__(self, key: str | _Key[_T]) -> Any:
        if self._state is None:
            raise KeyError(key)
        return self._state[key]

    @overload
    def __setitem__(self, key: _Key[_T], value: _T) -> None: ...

    @overload
    def __setitem__(self, key: str, value: Any) -> None: ...

    def __setitem__(self, key: str | _Key[_T], value: Any) -> None:
        if isinstance(key, str) and key not in self._warned and len(self._warned) < _MOST_WARNINGS:
            self._warned.add(key)
            warnings.warn(
                f"{key!r} is a plain string: {self._key_class} objects cannot clash and are checked by types",
                category=NotAppKeyWarning,
                stacklevel=2,
            )
        if self._state is None:
            self._state = {}
        self._state[key] = value

    def __delitem__(self, key: str | _Key[_T]) -> None:
        if self._state is None:
            raise KeyError(key)
        del self._state[key]

    def __len__(self) -> int:
        return 0 if self._state is None else len(self._state)

    def __iter__(self) -> Iterator[Any]:
        return iter(() if self._state is None else self._state)


class AppState(State):
    """What all requests of an application share: ``request.app``. Strings are keys like others here."""

    @overload
    def __setitem__(self, key: _Key[_T], value: _T) -> None: ...

    @overload
    def __setitem__(self, key: str, value: Any) -> None: ...

    def __setitem__(self, key: str | _Key[_T], value: Any) -> None:
        if self._state is None:
            self._state = {}
        self._state[key] = value
