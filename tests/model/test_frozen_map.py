"""Maps that know what changed: the short answer is the one that a look at every key gives."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.model.frozen_map import MOST_STEPS, FrozenMap, changed_keys, frozen


class Thing:
    """An object known by its identity."""


KEYS = st.integers(0, 11)
EDITS = st.lists(
    st.tuples(st.dictionaries(KEYS, st.integers(0, 2), max_size=4), st.lists(KEYS, max_size=3), st.booleans()),
    max_size=2 * MOST_STEPS,
)


def walked(old: FrozenMap[int, Thing], new: FrozenMap[int, Thing]) -> frozenset[int]:
    return frozenset(key for key in {*old, *new} if old.get(key) is not new.get(key))


@given(edits=EDITS, data=st.data())
def test_the_short_answer_is_the_long_one(edits: list[tuple[dict[int, int], list[int], bool]], data: Any) -> None:
    things = [Thing() for _ in range(3)]
    maps: list[FrozenMap[int, Thing]] = [FrozenMap(dict.fromkeys(range(6), things[0]))]
    plain = dict(maps[0])
    for changed, dropped, whole in edits:
        new = {key: things[number] for key, number in changed.items()}
        plain = {key: value for key, value in plain.items() if key not in dropped or key in new} | new
        parent = maps[data.draw(st.integers(max(0, len(maps) - 3), len(maps) - 1))] if whole else maps[-1]
        maps.append(parent.become(plain) if whole else parent.having(new, dropped))
        assert maps[-1] == plain
    for old in maps:
        for newer in (maps[-1], maps[len(maps) // 2]):
            assert changed_keys(old, newer) == changed_keys(newer, old) == walked(old, newer)
            assert changed_keys(dict(old), newer) == walked(old, newer)


def big() -> FrozenMap[int, str]:
    return FrozenMap(dict.fromkeys(range(1000), "before"))


def _fail(*_: object) -> Any:
    raise AssertionError("looked at every key")


def test_what_changed_is_known_without_a_look_at_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = big()
    after = before
    for number in range(MOST_STEPS):
        after = after.having({number: "after"}, [999 - number])
    for name in ("items", "keys", "values", "__iter__"):
        monkeypatch.setattr(FrozenMap, name, _fail, raising=False)
    assert changed_keys(before, after) == {*range(MOST_STEPS), *range(1000 - MOST_STEPS, 1000)}


def test_after_many_changes_at_once_every_key_is_looked_at() -> None:
    before = big()
    after = before.having(dict.fromkeys(range(500), "after"))
    assert not after._steps
    assert changed_keys(before, after) == frozenset(range(500))


def test_nothing_is_remembered_for_longer_than_it_is_worth() -> None:
    before = after = big()
    for number in range(5 * MOST_STEPS):
        after = after.having({number: "after"})
    assert len(after._steps) == MOST_STEPS
    assert changed_keys(before, after) == frozenset(range(5 * MOST_STEPS))
    for number in range(5 * MOST_STEPS):
        after = after.having(dict.fromkeys(range(number, number + 60), f"{number}"))
    assert sum(len(keys) for _, keys in after._steps) <= len(after) // 8


def test_a_map_keeps_no_older_one_alive() -> None:
    class Kept(FrozenMap[int, Thing]):
        __slots__ = ("__weakref__",)

    thing = Thing()
    oldest = Kept({number: Thing() for number in range(100)} | {100: thing})
    gone = weakref.ref(oldest[0])
    watched = weakref.ref(oldest)
    newest = oldest.having({0: thing}).having({1: thing})
    del oldest
    gc.collect()
    assert watched() is None
    assert gone() is None
    assert newest[100] is thing


def test_what_makes_no_difference_makes_no_other_map() -> None:
    before = big()
    assert before.having({}) is before
    assert before.having({1: before[1]}, [5000]) is before
    assert before.become(dict(before)) is before
    assert frozen(before) is before


def test_what_is_equal_stays_the_very_same_object() -> None:
    before = FrozenMap({"a": (1, 2), "b": (3,)})
    after = before.become({"b": (4,), "a": tuple(number for number in (1, 2))})
    assert after == {"a": (1, 2), "b": (4,)}
    assert after["a"] is before["a"]
    assert changed_keys(before, after) == {"b"}


def test_what_is_dropped_and_there_again_is_there() -> None:
    assert FrozenMap({1: "a"}).having({1: "b"}, [1]) == {1: "b"}


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.__setitem__(1, "x"),
        lambda it: it.__delitem__(1),
        lambda it: it.__ior__({1: "x"}),
        lambda it: it.clear(),
        lambda it: it.pop(1),
        lambda it: it.popitem(),
        lambda it: it.setdefault(5000, "x"),
        lambda it: it.update({1: "x"}),
        hash,
    ],
)
def test_it_does_not_change(change: Callable[[Any], object]) -> None:
    made = big()
    with pytest.raises(TypeError, match="FrozenMap"):
        change(made)
    assert made == big()


def test_a_copy_is_a_dict_to_change() -> None:
    copied = big().copy()
    assert type(copied) is dict
    copied[1] = "after"
