"""Lists of callables that are decorators too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableSequence
from typing import Any, TypeVar, cast, overload

from .invoke import check_callable

__all__ = ("Registry",)

_F = TypeVar("_F", bound=Callable[..., Any])
_G = TypeVar("_G", bound=Callable[..., Any])


class Registry(MutableSequence[_F]):
    """A list of callables. Calling it with one appends that and returns it unchanged, so it is a decorator too.

    Args:
        kind: What an error message calls the items: ``"middleware"``.
        items: What is in it from the beginning: one callable, or several.
        changed: Called after each change.

    Attributes:
        kind: As given.

    Raises:
        TypeError: What comes in, by whatever way, cannot be called.
    """

    def __init__(
        self,
        kind: str,
        items: _F | Iterable[_F] = (),
        changed: Callable[[], object] | None = None,
    ) -> None:
        self.kind = kind
        self._changed = changed
        # A mock can be iterated over, and a Registry be called.
        several = isinstance(items, Iterable) and (
            isinstance(items, Registry) or not callable(items)
        )
        self._items = self._checked_all(cast("Iterable[_F]", items if several else (items,)))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.kind} {self._items!r}>"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Registry):
            return self._items == other._items
        return self._items == other if isinstance(other, list) else NotImplemented

    def __call__(self, item: _G) -> _G:
        """Append one, and return it."""
        self.append(cast(_F, item))
        return item

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> _F: ...

    @overload
    def __getitem__(self, index: slice) -> list[_F]: ...

    def __getitem__(self, index: int | slice) -> _F | list[_F]:
        return self._items[index]

    @overload
    def __setitem__(self, index: int, value: _F) -> None: ...

    @overload
    def __setitem__(self, index: slice, value: Iterable[_F]) -> None: ...

    def __setitem__(self, index: int | slice, value: _F | Iterable[_F]) -> None:
        if isinstance(index, slice):
            self._items[index] = self._checked_all(cast("Iterable[_F]", value))
        else:
            self._check(value)
            self._items[index] = cast(_F, value)
        self._tell()

    def __delitem__(self, index: int | slice) -> None:
        del self._items[index]
        self._tell()

    def insert(self, index: int, value: _F) -> None:
        """Put one before the one at ``index``."""
        self._check(value)
        self._items.insert(index, value)
        self._tell()

    def extend(self, values: Iterable[_F]) -> None:
        """Append all of them, or none if one is no callable."""
        self._items += self._checked_all(values)
        self._tell()

    def _checked_all(self, values: Iterable[_F]) -> list[_F]:
        items = list(values)
        for item in items:
            self._check(item)
        return items

    def _check(self, item: object) -> None:
        """Raise TypeError for what may not come in."""
        check_callable(self.kind, item)

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed()
