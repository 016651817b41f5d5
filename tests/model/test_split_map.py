"""A map in parts is the dict of the same content, and knows what makes it another than an older one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lbctl.model.frozen_map import FrozenMap, changed_keys
from lbctl.model.split_map import PARTS, SplitMap, split

KEYS = st.integers(-3, 3 * PARTS) | st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"))
EDITS = st.lists(st.tuples(st.dictionaries(KEYS, st.integers(), max_size=6), st.lists(KEYS, max_size=6)), max_size=5)


@given(st.dictionaries(KEYS, st.integers()), EDITS)
def test_it_is_what_a_frozen_map_is(
    content: dict[object, int], edits: list[tuple[dict[object, int], list[object]]]
) -> None:
    one, other = SplitMap(content), FrozenMap(content)
    for changed, dropped in edits:
        before, before_other = one, other
        one, other = one.having(changed, dropped), other.having(changed, dropped)
        assert dict(one) == dict(other)
        assert one == other
        assert len(one) == len(other)
        assert all(one.get(key, None) == other.get(key) for key in (*before, *changed, *dropped))
        assert all((key in one) is (key in other) for key in (*before, *changed, *dropped))
        assert changed_keys(before, one) == changed_keys(before_other, other)
        assert changed_keys(one, before) == changed_keys(other, before_other)


def test_the_map_before_stays_what_it_was() -> None:
    before = SplitMap({number: str(number) for number in range(1000)})
    after = before.having({5: "five", 1000: "new"}, [7, 1001])
    assert before[5] == "5"
    assert 7 in before
    assert 1000 not in before
    assert len(before) == 1000
    assert after[5] == "five"
    assert 7 not in after
    assert after[1000] == "new"
    assert len(after) == 1000


def test_no_change_is_the_very_same_map() -> None:
    word = "one"
    before = SplitMap({1: word})
    assert before.having({1: word}, [2]) is before
    assert split(before) is before
    assert split({1: word}) == before


def test_most_parts_are_the_very_same_ones() -> None:
    before = SplitMap(dict.fromkeys(range(10000), ""))
    after = before.having({5: "five"})
    assert sum(one is not other for one, other in zip(before._parts, after._parts, strict=True)) == 1
