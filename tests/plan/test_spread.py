"""Groups given out evenly: over all at once, piece by piece, and moved until they are even."""

from __future__ import annotations

import time
from collections import Counter
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from lbctl.plan.claims import rendezvous
from lbctl.plan.groups import GroupKey
from lbctl.plan.holddown import FIRST, LONGEST, WINDOW, held_until, remember
from lbctl.plan.spread import distribute, is_uneven, next_move, shares
from tests.support.bars import least

NODES = tuple("abcdefg")
LOADS = st.dictionaries(st.sampled_from(NODES), st.integers(0, 12))
CIRCLES = st.sets(st.sampled_from(NODES), min_size=1).map(lambda found: tuple(sorted(found)))


def keys(count: int) -> list[GroupKey]:
    return [(ip_address(f"10.0.{n // 250}.{n % 250}"),) for n in range(count)]


def ranked(key: GroupKey, nodes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(nodes, key=lambda node: -rendezvous(node, key[0])))


def lowest_peak(nodes: tuple[str, ...], loads: dict[str, int], count: int) -> list[int]:
    """One by one to the emptiest: slow, and hard to get wrong."""
    full = {node: loads.get(node, 0) for node in nodes}
    for _ in range(count):
        full[min(full, key=lambda node: full[node])] += 1
    return sorted(full.values())


@given(CIRCLES, LOADS, st.integers(0, 60))
def test_shares_fill_from_below(nodes: tuple[str, ...], loads: dict[str, int], count: int) -> None:
    found = shares(nodes, loads, count)
    assert sum(found.values()) == count
    assert min(found.values()) >= 0
    assert sorted(loads.get(node, 0) + found[node] for node in nodes) == lowest_peak(nodes, loads, count)


@given(CIRCLES, LOADS, st.integers(1, 40))
def test_what_is_given_out_is_as_even_as_can_be(nodes: tuple[str, ...], loads: dict[str, int], count: int) -> None:
    given_out = distribute({key: ranked(key, nodes) for key in keys(count)}, loads)
    assert given_out.keys() == set(keys(count))
    full = Counter(loads) + Counter(given_out.values())
    assert sorted(full[node] for node in nodes) == lowest_peak(nodes, loads, count)


@given(st.lists(CIRCLES, min_size=1, max_size=25), LOADS, st.randoms(use_true_random=False))
def test_the_order_does_not_matter_and_nobody_gets_what_it_may_not(
    circles: list[tuple[str, ...]], loads: dict[str, int], random: object
) -> None:
    wanting = {key: ranked(key, nodes) for key, nodes in zip(keys(len(circles)), circles, strict=True)}
    found = distribute(wanting, loads)
    assert all(found[key] in nodes for key, nodes in wanting.items())
    items = list(wanting.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert distribute(dict(items), loads) == found


@given(CIRCLES, LOADS, st.integers(2, 40), st.data())
def test_what_is_left_goes_to_whom_it_went_before(
    nodes: tuple[str, ...], loads: dict[str, int], count: int, data: st.DataObject
) -> None:
    """Nodes see each other's claims late, and must not take what another was given meanwhile."""
    wanting = {key: ranked(key, nodes) for key in keys(count)}
    plan = distribute(wanting, loads)
    done = set(data.draw(st.lists(st.sampled_from(keys(count)), max_size=count - 2, unique=True)))
    left = {key: nodes for key, nodes in wanting.items() if key not in done}
    full = Counter(loads) + Counter(plan[key] for key in done)
    assert distribute(left, full) == {key: plan[key] for key in left}


@given(st.lists(st.tuples(st.sampled_from(NODES), CIRCLES), min_size=1, max_size=40))
def test_balancing_comes_to_an_end_and_no_two_take_the_same(groups: list[tuple[str, tuple[str, ...]]]) -> None:
    """All nodes move at once, each one group a turn."""
    held = {key: holder for key, (holder, _) in zip(keys(len(groups)), groups, strict=True)}
    may = {key: ranked(key, nodes) for key, (_, nodes) in zip(held, groups, strict=True)}
    for _ in range(len(groups) + 1):
        movable = {key: (holder, tuple(n for n in may[key] if n != holder)) for key, holder in held.items()}
        turns = {me: next_move(movable, Counter(held.values()), NODES, me) for me in NODES}
        assert len({any_left for _, any_left in turns.values()} - {True}) <= 1
        taken = {key: me for me, (key, _) in turns.items() if key is not None}
        assert len(taken) == sum(key is not None for key, _ in turns.values()), "two would take the same"
        if not taken:
            break
        held |= taken
    else:
        raise AssertionError("it does not end")
    loads = Counter(held.values())
    assert all(loads[held[key]] - loads[other] <= 1 for key in held for other in may[key])


def test_uneven_is_more_than_twice() -> None:
    for loads, expected in (
        ({"a": 2, "b": 1}, False),
        ({"a": 1, "b": 0}, False),
        ({"a": 2, "b": 0}, True),
        ({"a": 4, "b": 2}, False),
        ({"a": 5, "b": 2}, True),
        ({"a": 5}, False),
    ):
        assert is_uneven(loads, loads) is expected, loads


def test_ten_thousand_groups_are_given_out_in_a_second() -> None:
    wanting = {key: ranked(key, NODES) for key in keys(10_000)}

    def whole() -> float:
        start = time.process_time()
        found = distribute(wanting, {"a": 5000})  # and so has more than its part already
        assert sorted(Counter(found.values()).values()) == [1666, 1666, 1667, 1667, 1667, 1667]
        return time.process_time() - start

    least(whole, enough=lambda whole: whole < 1.0)


def test_hold_downs_double_and_are_forgotten() -> None:
    comings: tuple[float, ...] = ()
    held = []
    for n in range(12):
        comings = remember(comings, 10.0 * n)
        held.append(held_until(comings) - 10.0 * n if held_until(comings) else 0.0)
    assert held[:6] == [0, 0, FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]
    assert held[-1] == LONGEST
    assert remember(comings, 110.0 + WINDOW) == (110.0 + WINDOW,)
