"""Pools that may not be taken away from addresses in use: what is held back, what is not, and who is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lbctl.model.pool import Pool
from lbctl.model.service import ServiceType
from lbctl.plan.protect import pools_in_force
from lbctl.plan.reason import Reason, Refusal
from tests.plan.allocation_worlds import PREFER, Cluster, pool, service


def kept(name: str, *ranges: str, **more: Any) -> Pool:
    return pool(name, *ranges, protected=True, **more)


A = kept("a", "192.0.2.0/30")
B = pool("b", "198.51.100.0/30")


def edit(cluster: Cluster, *wanted: Pool) -> tuple[dict[str, Pool], tuple[Refusal, ...]]:
    before = cluster.world.pools
    after = replace(cluster.world, pools={item.name: item for item in wanted})
    found, refusals = pools_in_force(before, after, cluster.state.allocations)
    if not refusals:
        assert found is after.pools
    return dict(found), refusals


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(A, B).put(service("x"), service("y", from_pool="b"))


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ([B], "its removal would take 192.0.2.0 from default/x"),
        ([kept("a", "192.0.2.2/31"), B], "the edit would take 192.0.2.0 from default/x"),
        ([pool("a", "192.0.2.2/31"), B], "the edit would take 192.0.2.0 from default/x"),
        ([kept("a", "192.0.2.0/30", namespaces=["red"]), B], "the edit would take 192.0.2.0 from default/x"),
        ([kept("a", "192.0.2.0/30", buggy=True), B], "the edit would take 192.0.2.0 from default/x"),
    ],
    ids=["removed", "shrunk", "shrunk and no longer protected", "pinned to others", "avoids it now"],
)
def test_what_would_take_an_address_in_use_is_held_back(cluster: Cluster, wanted: list[Pool], why: str) -> None:
    found, refusals = edit(cluster, *wanted)
    assert found == {"a": A, "b": B}
    assert refusals == (Refusal("a", Reason.POOL_PROTECTED, f"{why}; the pool stays in force as it was"),)


@pytest.mark.parametrize(
    "wanted",
    [
        [A, B],
        [kept("a", "192.0.2.0/31"), B],
        [kept("a", "192.0.2.0/24"), B],
        [pool("a", "192.0.2.0/30"), B],
        [kept("a", "192.0.2.0/30", auto=False), B],
        [kept("a", "192.0.2.0/30", exclude="192.0.2.0/30"), B],
        [kept("a", "192.0.2.0/30", namespaces=["default"]), B],
        [pool("new", "192.0.2.0/30"), B],
        [pool("low", "192.0.2.0/31"), pool("high", "192.0.2.2/31"), B],
        [A],
    ],
    ids=[
        "nothing",
        "shrunk beside it",
        "grown",
        "no longer protected",
        "not automatic",
        "excluded",
        "pinned to its own",
        "renamed",
        "split",
        "an open pool goes",
    ],
)
def test_what_takes_nothing_from_anybody_is_not(cluster: Cluster, wanted: list[Pool]) -> None:
    found, refusals = edit(cluster, *wanted)
    assert (found, refusals) == ({item.name: item for item in wanted}, ())


def test_a_pool_that_was_not_protected_before_is_not() -> None:
    found, refusals = edit(Cluster(B).put(service("x")), kept("b", "198.51.100.2/31"))
    assert (list(found), refusals) == (["b"], ())


def test_a_rename_of_a_pool_that_is_asked_for_by_name() -> None:
    cluster = Cluster(A).put(service("x", from_pool="a"))
    assert [item.subject for item in edit(cluster, pool("new", "192.0.2.0/30"))[1]] == ["a", "new"]


def test_who_loses_it_anyway_is_not_in_the_way(cluster: Cluster) -> None:
    gone = cluster.become(services=[service("x", kind=ServiceType.CLUSTER_IP)])
    assert edit(gone, B)[1] == ()
    elsewhere = cluster.become(services=[service("x", from_pool="b")])
    assert edit(elsewhere, B)[1] == ()


def test_a_service_that_was_not_read_yet_is(cluster: Cluster) -> None:
    assert len(edit(cluster.become(services=[]), B)[1]) == 1


def test_a_pool_that_wants_the_same_addresses_waits_too(cluster: Cluster) -> None:
    other, third = pool("b", "198.51.100.0/30", "192.0.2.0/31", namespaces=["red"]), pool("c", "203.0.113.0/24")
    found, refusals = edit(cluster, other, third)
    assert found == {"a": A, "b": B, "c": third}
    assert [str(item) for item in refusals] == [
        "a: pool_protected (its removal would take 192.0.2.0 from default/x; the pool stays in force as it was)",
        "b: pool_protected (stays as it was, because it would have addresses of a)",
    ]


def test_a_new_pool_that_wants_the_same_addresses_is_left_out(cluster: Cluster) -> None:
    found, refusals = edit(cluster, B, pool("c", "192.0.2.0/24", namespaces=["red"]))
    assert found == {"a": A, "b": B}
    assert refusals[1].detail == "is left out, because it would have addresses of a"


def test_one_of_two_families_is_enough() -> None:
    both = kept("p", "192.0.2.0/30", "2001:db8::/126")
    cluster = Cluster(both).put(service("x", stack=PREFER))
    assert [item.subject for item in edit(cluster, kept("p", "192.0.2.0/30"))[1]] == ["p"]


def test_the_second_pool_counts() -> None:
    cluster = Cluster(pool("four", "192.0.2.0/30"), kept("six", "2001:db8::/126"))
    cluster.put(service("x", stack=PREFER, from_pools="four six"))
    assert [item.subject for item in edit(cluster, pool("four", "192.0.2.0/30"))[1]] == ["six"]


def test_of_many_some_are_named() -> None:
    cluster = Cluster(kept("a", "192.0.2.0/24")).put(*(service(f"s{number}") for number in range(8)))
    (refusal,) = edit(cluster)[1]
    assert refusal.detail == (
        "its removal would take 192.0.2.0 from default/s0, 192.0.2.1 from default/s1, 192.0.2.2 from default/s2, "
        "192.0.2.3 from default/s3, 192.0.2.4 from default/s4 and 3 more; the pool stays in force as it was"
    )
