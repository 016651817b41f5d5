"""Announcement groups: what must move together."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.model.allocation import Allocation
from lbctl.model.snapshot import World
from lbctl.plan.groups import GroupsMemo, group
from tests.support.worlds import addresses, allocation, by_key, world

TABLE = [
    pytest.param([], [], id="nothing"),
    pytest.param([("x", ["192.0.2.1"])], [["x"]], id="one"),
    pytest.param([("x", ["192.0.2.1"]), ("y", ["192.0.2.2"])], [["x"], ["y"]], id="two apart"),
    pytest.param([("x", ["192.0.2.1"]), ("y", ["192.0.2.1"])], [["x", "y"]], id="a shared VIP"),
    pytest.param([("x", ["192.0.2.1", "2001:db8::1"])], [["x"]], id="dual stack"),
    pytest.param(
        [("x", ["192.0.2.1", "2001:db8::1"]), ("y", ["2001:db8::1"]), ("z", ["192.0.2.1"])],
        [["x", "y", "z"]],
        id="joined by a dual-stack service",
    ),
    pytest.param(
        [("a", ["192.0.2.1", "2001:db8::1"]), ("b", ["192.0.2.2", "2001:db8::1"]), ("c", ["192.0.2.2"])],
        [["a", "b", "c"]],
        id="a chain",
    ),
    pytest.param([("x", []), ("y", ["192.0.2.1"])], [["y"]], id="no address, no group"),
]


@pytest.mark.parametrize(("held", "expected"), TABLE)
def test_what_belongs_together(held: list[tuple[str, list[str]]], expected: list[list[str]]) -> None:
    groups, _ = group(world([allocation(name, *texts) for name, texts in held]))
    found = sorted(sorted(service.name for service in each.services) for each in groups.by_key.values())
    assert found == expected
    for each in groups.by_key.values():
        assert all(groups.by_address[address] is each for address in each.key)
        assert each.key == tuple(sorted(each.key, key=lambda a: (a.version, int(a))))


def test_the_key_is_sorted_with_ipv4_first() -> None:
    groups, _ = group(
        world([allocation("x", "2001:db8::9", "192.0.2.9"), allocation("y", "192.0.2.10", "2001:db8::9")])
    )
    assert list(groups.by_key) == [addresses("192.0.2.9", "192.0.2.10", "2001:db8::9")]


def test_the_newest_grant_of_an_address_counts() -> None:
    shared = [allocation("x", "192.0.2.1", "2001:db8::1", id=4), allocation("y", "192.0.2.1", id=7)]
    groups, _ = group(world(shared))
    (found,) = groups.by_key.values()
    v4, v6, other = addresses("192.0.2.1", "2001:db8::1", "192.0.2.2")
    assert [found.allocation_id(address) for address in (v4, v6, other)] == [7, 4, 0]


def test_what_did_not_change_keeps_its_identity() -> None:
    kept, changed = allocation("kept", "192.0.2.1"), allocation("changed", "192.0.2.2")
    before, memo = group(world([kept, changed]))
    after, _ = group(world([kept, allocation("changed", "192.0.2.3")]), memo)
    v1, v2, v3 = addresses("192.0.2.1", "192.0.2.2", "192.0.2.3")
    assert after.by_address[v1] is before.by_address[v1]
    assert v2 not in after.by_address
    assert after.by_address[v3].key == (v3,)


def test_the_very_same_allocations_cost_nothing() -> None:
    same = world([allocation("x", "192.0.2.1")])
    before, memo = group(same)
    after, again = group(same, memo)
    assert after is before
    assert again is memo


POOL = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]
STATES = st.lists(
    st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from(POOL), max_size=3, unique=True), max_size=6),
    min_size=1,
    max_size=6,
)


@given(STATES)
def test_any_memo_gives_what_an_empty_one_gives(states: list[dict[str, list[str]]]) -> None:
    known: dict[tuple[str, tuple[str, ...]], Allocation] = {}
    memo = GroupsMemo()
    for state in states:
        held = [known.setdefault((name, tuple(found)), allocation(name, *found)) for name, found in state.items()]
        now = World(allocations=by_key(held))
        groups, memo = group(now, memo)
        fresh, _ = group(now)
        assert dict(groups.by_key) == dict(fresh.by_key)
        assert dict(groups.by_address) == dict(fresh.by_address)


@given(STATES, st.randoms(use_true_random=False))
def test_the_order_of_allocations_does_not_matter(states: list[dict[str, list[str]]], random: object) -> None:
    held = [allocation(name, *found) for name, found in states[0].items()]
    items = [(a.service, a) for a in held]
    random.shuffle(items)  # type: ignore[attr-defined]
    other, _ = group(World(allocations=MappingProxyType(dict(items))))
    straight, _ = group(World(allocations=by_key(held)))
    assert dict(other.by_key) == dict(straight.by_key)
