"""Read-only maps that know what makes them another than the map they were made from.

    after = before.having({key: value}, dropped=[gone])
    changed_keys(before, after)  # {key, gone}, at the price of the two and not of the 50,000 others

A map keeps no other map alive: it remembers its forebears by a token each, and the keys between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from lbctl.model.split_map import SplitMap

_K = TypeVar("_K")
_V = TypeVar("_V")
_MISSING: Any = object()
_Steps = tuple[tuple[object, frozenset[Any]], ...]

MOST_STEPS = 16
"""So many forebears are remembered. Who looks less often than every so many changes pays for a look at every key."""
_FEW = 64


class FrozenMap(dict[_K, _V]):
    """A dict that refuses to change; reading it costs what reading a dict costs. `copy` gives a dict to change."""

    __slots__ = ("_steps", "_token")
    _steps: _Steps
    _token: object

    def __init__(self, items: Mapping[_K, _V] | Iterable[tuple[_K, _V]] = ()) -> None:
        super().__init__(items)
        self._token = object()
        self._steps = ()

    def having(self, changed: Mapping[_K, _V], dropped: Iterable[_K] = ()) -> FrozenMap[_K, _V]:
        """This map with what changed and without what is dropped otherwise; itself where that makes no difference."""
        gone = [key for key in dropped if key in self and key not in changed]
        new = {key: value for key, value in changed.items() if self.get(key, _MISSING) is not value}
        if not gone and not new:
            return self
        made = FrozenMap(self)
        for key in gone:
            dict.pop(made, key, None)
        dict.update(made, new)
        made._steps = self._next_steps(frozenset((*gone, *new)))
        return made

    def become(self, content: Mapping[_K, _V]) -> FrozenMap[_K, _V]:
        """The map with just this content, as a descendant of this one: what is equal stays the very same object.

        Looks at every key, so that nobody after it must.
        """
        changed = {
            key: value
            for key, value in content.items()
            if (before := self.get(key, _MISSING)) is not value and before != value
        }
        dropped = [key for key in self if key not in content] if changed or len(content) != len(self) else ()
        return self.having(changed, dropped)

    def _next_steps(self, changed: frozenset[_K]) -> _Steps:
        steps = [(self._token, changed)]
        left = max(_FEW, len(self) // 8) - len(changed)
        if left < 0:
            return ()  # not worth remembering: to look at every key costs no more
        for step in self._steps[: MOST_STEPS - 1]:
            left -= len(step[1])
            if left < 0:
                break
            steps.append(step)
        return tuple(steps)

    def _touched_since(self, old: object) -> set[_K] | None:
        """Keys that may differ from those of an older map; None where it is not known what became of it."""
        if not isinstance(old, FrozenMap):
            return None
        touched: set[_K] = set()
        for token, keys in self._steps:
            touched |= keys
            if token is old._token:
                return touched
        return None

    def copy(self) -> dict[_K, _V]:
        return dict(self)

    def __hash__(self) -> int:  # type: ignore[override]
        raise TypeError("a FrozenMap has no hash: its values may have none")

    def _refuse(self, *_args: object, **_named: object) -> NoReturn:
        raise TypeError("a FrozenMap does not change; `having` makes another one")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


def changed_keys(old: Mapping[_K, object], new: Mapping[_K, object]) -> frozenset[_K]:
    """The keys whose value is not the very same one in both maps, or that only one of them has."""
    if old is new:
        return frozenset()
    if isinstance(new, SplitMap) and isinstance(old, SplitMap):
        return new.changed_since(old)
    if isinstance(new, FrozenMap) and (touched := new._touched_since(old)) is not None:
        return frozenset(key for key in touched if old.get(key, _MISSING) is not new.get(key, _MISSING))
    if isinstance(old, FrozenMap) and (touched := old._touched_since(new)) is not None:
        return frozenset(key for key in touched if old.get(key, _MISSING) is not new.get(key, _MISSING))
    changed = {key for key, value in new.items() if old.get(key, _MISSING) is not value}
    if len(old) + len(changed) > len(new):
        changed.update(key for key in old if key not in new)
    return frozenset(changed)


def frozen(content: Mapping[_K, _V]) -> FrozenMap[_K, _V]:
    """The content as a map that never changes; the very same map if it is one already."""
    return content if isinstance(content, FrozenMap) else FrozenMap(content)
