"""Read-only maps in many small parts, so that one that differs in a few keys copies few of the others.

A `FrozenMap` is read at the price of a dict and copied whole for each change. Where a map is large, changes with every
step and is read for a few keys at a time, this one is the cheaper: of 50,000 keys a change copies some hundreds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")
_MISSING: Any = object()

PARTS = 256


class SplitMap(Mapping[_K, _V]):
    """Its keys are in no order."""

    __slots__ = ("_parts",)

    def __init__(self, items: Mapping[_K, _V] | None = None) -> None:
        parts: list[dict[_K, _V]] = [{} for _ in range(PARTS)]
        for key, value in items.items() if items else ():
            parts[hash(key) % PARTS][key] = value
        self._parts = tuple(parts)

    def __getitem__(self, key: _K) -> _V:
        return self._parts[hash(key) % PARTS][key]

    def get(self, key: _K, default: Any = None) -> Any:
        return self._parts[hash(key) % PARTS].get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._parts[hash(key) % PARTS]

    def __iter__(self) -> Iterator[_K]:
        return chain.from_iterable(self._parts)

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def having(self, changed: Mapping[_K, _V], dropped: Iterable[_K] = ()) -> SplitMap[_K, _V]:
        """This map with what changed and without what is dropped otherwise; itself where that makes no difference."""
        copies: dict[int, dict[_K, _V]] = {}
        for key in dropped:
            if key in self and key not in changed:
                at = hash(key) % PARTS
                self._copy(at, copies).pop(key, None)
        for key, value in changed.items():
            at = hash(key) % PARTS
            if self._parts[at].get(key, _MISSING) is not value:
                self._copy(at, copies)[key] = value
        if not copies:
            return self
        parts = list(self._parts)
        for at, part in copies.items():
            parts[at] = part
        made: SplitMap[_K, _V] = SplitMap.__new__(SplitMap)
        made._parts = tuple(parts)
        return made

    def _copy(self, at: int, copies: dict[int, dict[_K, _V]]) -> dict[_K, _V]:
        found = copies.get(at)
        if found is None:
            found = copies[at] = self._parts[at].copy()
        return found

    def changed_since(self, old: SplitMap[_K, _V]) -> frozenset[_K]:
        """The keys whose value is not the very same one in both, or that only one of them has."""
        return frozenset(
            key
            for before, after in zip(old._parts, self._parts, strict=True)
            if before is not after
            for key in before.keys() | after.keys()
            if before.get(key, _MISSING) is not after.get(key, _MISSING)
        )


def split(content: Mapping[_K, _V]) -> SplitMap[_K, _V]:
    """The content as such a map; the very same one if it is one already."""
    return content if isinstance(content, SplitMap) else SplitMap(content)
