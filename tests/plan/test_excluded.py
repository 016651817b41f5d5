"""Ranges of a pool that are given to nobody."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from lbctl.model.address import AddressRange
from lbctl.plan.positions import Positions
from lbctl.plan.reason import Reason
from tests.plan.allocation_worlds import V6, Cluster, address_range, pool, service


def test_they_are_left_out() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/29", exclude="192.0.2.0-192.0.2.1 192.0.2.3/32 192.0.2.6-198.51.100.0"))
    given = [cluster.put(service(name)).addresses(name) for name in "abcd"]
    assert given == ["192.0.2.2", "192.0.2.4", "192.0.2.5", ""]
    assert cluster.text("d") == "a: pool_exhausted (all 3 IPv4 addresses in use)"


def test_in_ipv6_too() -> None:
    cluster = Cluster(pool("a", "2001:db8::/64", exclude="2001:db8::/120")).put(service("x", families=(V6,)))
    assert cluster.addresses("x") == "2001:db8::100"


def test_who_asks_for_one_is_refused_by_name() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/29", exclude="192.0.2.1/32")).put(service("x", ip="192.0.2.1"))
    assert cluster.text("x") == "192.0.2.1: excluded (pool a excludes it)"


def test_who_holds_one_that_becomes_excluded_keeps_it() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/29")).put(
        service("x"), service("y", share="k"), service("z", ip="192.0.2.2")
    )
    cluster.become(pools=[pool("a", "192.0.2.0/29", exclude="192.0.2.0/30")]).settle()
    assert [cluster.addresses(name) for name in "xyz"] == ["192.0.2.0", "192.0.2.1", "192.0.2.2"]
    cluster.put(service("w", share="k", ports="81"))
    assert cluster.addresses("w") == "192.0.2.4", "nobody is led to it by sharing"
    assert cluster.delete("x").put(service("x")).addresses("x") == "192.0.2.5", "it does not come back to it"


def test_a_pool_of_which_nothing_is_left() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/31", exclude="192.0.2.0/24")).put(service("x"))
    assert cluster.text("x") == "a: pool_exhausted (none of its IPv4 addresses may be given)"
    assert cluster.why("x") == {"a": Reason.POOL_EXHAUSTED}


_spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=6)


def _ranges(spans: list[tuple[int, int]]) -> list[AddressRange]:
    return [address_range(f"10.0.0.{first}-10.0.0.{first + size}") for first, size in spans]


@given(st.lists(st.integers(1, 9), max_size=5), _spans, st.booleans(), st.randoms(use_true_random=False))
def test_positions_are_those_of_a_list(
    sizes: list[int], excluded: list[tuple[int, int]], skip: bool, random: Random
) -> None:
    """Ranges that do not overlap, in any order; exclusions that do as they like."""
    spans, at = [], 0
    for size in sizes:
        spans.append((at, size))
        at += size + 2
    random.shuffle(spans)
    ranges, holes = _ranges(spans), _ranges(excluded)
    positions = Positions(ranges, holes)
    listed = [
        code
        for part in ranges
        for code in range(int(part.first), int(part.last) + 1)
        if not any(int(hole.first) <= code <= int(hole.last) for hole in holes)
    ]
    assert [positions.code(place) for place in range(len(listed))] == listed
    assert [positions.position(code) for code in listed] == list(range(len(listed)))
    assert all(positions.position(int(hole.first)) is None for hole in holes)
    assert positions.count(skip_buggy=skip) == sum(not skip or code & 255 not in (0, 255) for code in listed)
