"""Addresses that were freed: the last choice for a while, or for as long as others were not used more recently."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbctl.model.pool import Choice
from lbctl.plan.allocate import AllocationMemo, allocate
from lbctl.plan.reason import GrantCause
from tests.plan.allocation_worlds import PREFER, REQUIRE, V4, V6, Cluster, key, pool, service

A = pool("a", "192.0.2.0/30")
LRU = Choice.LEAST_RECENTLY_USED


def filled(*pools_: object, names: str = "abc") -> Cluster:
    cluster = Cluster(*pools_)  # type: ignore[arg-type]
    for name in names:
        cluster.put(service(name))
    return cluster


def test_a_freed_address_is_not_given_while_another_is_free() -> None:
    cluster = filled(A).delete("a").put(service("x"))
    assert cluster.addresses("x") == "192.0.2.3"


def test_it_is_given_rather_than_none() -> None:
    cluster = filled(A, names="abcd").delete("b").put(service("x"))
    assert cluster.addresses("x") == "192.0.2.1"


def test_of_several_that_cool_the_one_freed_first_is_given() -> None:
    cluster = filled(A, names="abcd").delete("c").delete("a").put(service("x"), service("y"))
    assert (cluster.addresses("x"), cluster.addresses("y")) == ("192.0.2.2", "192.0.2.0")


def test_of_those_freed_at_once_the_lowest() -> None:
    cluster = filled(A, names="abcd").delete("c", "b").put(service("x"))
    assert cluster.addresses("x") == "192.0.2.1"


@pytest.mark.parametrize(("cooling", "waited", "given"), [(60.0, 58, 3), (60.0, 59, 0), (5.0, 4, 0), (0.0, 0, 0)])
def test_it_cools_as_long_as_the_pool_says(cooling: float, waited: float, given: int) -> None:
    cluster = filled(pool("a", "192.0.2.0/30", cooling_time=cooling)).delete("a").wait(waited).put(service("x"))
    assert cluster.addresses("x") == f"192.0.2.{given}"


def test_it_is_the_last_choice_of_its_pool_and_not_of_all() -> None:
    """The order of the pools is the operator's word, and a cooling address is a usable one."""
    cluster = filled(pool("a", "192.0.2.0/32", priority=1), pool("b", "198.51.100.0/24"), names="a")
    assert cluster.delete("a").put(service("x")).addresses("x") == "192.0.2.0"


def test_a_shared_address_is_preferred_to_one_that_cools() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/31")).put(service("a")).put(service("b", share="k")).delete("a")
    assert cluster.put(service("x", share="k", ports="81")).addresses("x") == "192.0.2.1"


def test_who_asks_for_it_gets_it() -> None:
    assert filled(A).delete("b").put(service("x", ip="192.0.2.1")).addresses("x") == "192.0.2.1"


def test_who_freed_it_gets_it_back() -> None:
    cluster = filled(A).delete("b").put(service("b"))
    assert cluster.addresses("b") == "192.0.2.1"
    assert [grant.cause for grant in cluster.look().grants] == []
    assert cluster.state.allocations[key("b")].id == 4


def test_that_has_a_cause_of_its_own() -> None:
    cluster = filled(A).delete("b")
    cluster.become(services=[*cluster.world.services.values(), service("b")])
    assert [grant.cause for grant in cluster.look().grants] == [GrantCause.RETURNED]


def test_who_freed_it_gets_it_back_from_a_later_pool() -> None:
    first, second = pool("a", "192.0.2.0/32"), pool("b", "198.51.100.0/24")
    cluster = filled(first, second, names="ab").delete("b").delete("a").put(service("b"))
    assert cluster.addresses("b") == "198.51.100.0"


def test_not_after_it_has_cooled() -> None:
    cluster = filled(A).delete("c").delete("a").wait(60).put(service("c"))
    assert cluster.addresses("c") == "192.0.2.0"


def test_not_when_another_has_it_meanwhile() -> None:
    cluster = filled(A, names="abcd").delete("b").put(service("x")).put(service("b"))
    assert cluster.addresses("x") == "192.0.2.1"
    assert cluster.addresses("b") == ""


def test_not_from_a_pool_that_is_closed_to_it_now() -> None:
    cluster = filled(pool("a", "192.0.2.0/31"), pool("b", "198.51.100.0/31"), names="a").delete("a")
    cluster.become(pools=[pool("a", "192.0.2.0/31", auto=False), cluster.world.pools["b"]])
    assert cluster.put(service("a")).addresses("a") == "198.51.100.0"


def test_both_families_come_back() -> None:
    both = pool("p", "192.0.2.0/29", "2001:db8::/64")
    cluster = Cluster(both).put(service("x", stack=PREFER)).put(service("y", stack=PREFER)).delete("x", "y")
    assert cluster.put(service("y", stack=PREFER)).addresses("y") == "192.0.2.1 2001:db8::1"


def test_an_address_that_a_dual_stack_service_dropped_cools() -> None:
    both = pool("p", "192.0.2.0/29", "2001:db8::/64")
    cluster = Cluster(both).put(service("x", stack=PREFER)).put(service("x", families=(V4,)))
    assert cluster.put(service("y", families=(V6,))).addresses("y") == "2001:db8::1"


def test_a_service_that_comes_back_elsewhere_gets_what_it_asks_for() -> None:
    cluster = filled(A, pool("b", "198.51.100.0/31", auto=False)).delete("b").put(service("b", from_pool="b"))
    assert cluster.addresses("b") == "198.51.100.0"


# Least recently used -------------------------------------------------------------------------------------------------


def test_never_used_ones_come_first_in_order_then_the_longest_unused() -> None:
    cluster = filled(pool("a", "192.0.2.0/30", choice=LRU), names="ab").delete("b").delete("a").wait(1000)
    given = [cluster.put(service(name)).addresses(name) for name in "wxyz"]
    assert given == ["192.0.2.2", "192.0.2.3", "192.0.2.1", "192.0.2.0"]


def test_a_long_freed_one_is_not_its_owners_for_ever() -> None:
    cluster = filled(pool("a", "192.0.2.0/30", choice=LRU), names="ab").delete("a").wait(1000).put(service("a"))
    assert cluster.addresses("a") == "192.0.2.2"
    assert cluster.delete("a").put(service("a")).addresses("a") == "192.0.2.2", "but for a while it is"


def test_in_an_ipv6_64_too() -> None:
    cluster = Cluster(pool("a", "2001:db8::/64", choice=LRU))
    for number in range(100):
        cluster.put(service("x" if number % 2 else "y", families=(V6,), created=float(number))).delete("x", "y").wait(
            61
        )
    assert cluster.put(service("z", families=(V6,))).addresses("z") == "2001:db8::64"


def test_a_ledger_that_forgot_counts_them_as_never_used() -> None:
    cluster = filled(pool("a", "192.0.2.0/30", choice=LRU), names="ab").delete("a", "b").wait(100)
    cluster.state = replace(cluster.state, remembered=replace(cluster.state.remembered, freed={}))
    assert cluster.put(service("x")).addresses("x") == "192.0.2.0"


# Time and memory -----------------------------------------------------------------------------------------------------


def test_a_clock_that_goes_backwards_takes_nothing_from_anybody() -> None:
    cluster = filled(A).delete("b").wait(-1000)
    assert cluster.settle().addresses("c") == "192.0.2.2"
    plan, memo = cluster.look(memo=False), cluster.look()
    assert plan == memo
    assert cluster.put(service("x")).addresses("x") == "192.0.2.3"


def test_coming_and_going_leaves_nothing_behind() -> None:
    """The indexes do not grow with what happened, only with what is."""
    cluster = filled(pool("a", "192.0.2.0/30", cooling_time=1000.0), names="ab")
    memo = cluster.memo
    assert isinstance(memo, AllocationMemo)
    for number in range(300):
        cluster.put(service("x", ip="192.0.2.2", labels={"n": str(number)})).delete("x")
    space = memo.space._families["a"][V4]
    assert len(space._ages) < 80
    assert len(space._holes) <= 4
    allocate(cluster.world, cluster.state.remembered, memo, now_unix=cluster.now)


def test_it_cools_from_the_very_plan_that_frees_it() -> None:
    cluster = filled(A)
    cluster.become(services=[service("a"), service("c"), service("x")])
    assert cluster.settle().addresses("x") == "192.0.2.3"


# What the memo knows, and the ledger knows otherwise -----------------------------------------------------------------


def granted(cluster: Cluster) -> list[str]:
    """What the next plan gives, with the memo and without: the same."""
    with_memo, without = cluster.look(), cluster.look(memo=False)
    assert with_memo == without
    return [str(address) for grant in with_memo.grants for address in grant.addresses]


def test_an_allocation_that_is_gone_without_a_word_is_free() -> None:
    cluster = filled(A)
    kept = {name: item for name, item in cluster.state.allocations.items() if name != key("a")}
    cluster.state = replace(cluster.state, allocations=kept)
    cluster.become(services=[service("b"), service("c"), service("x")])
    assert granted(cluster) == ["192.0.2.0"]


def test_a_release_that_was_not_committed_freed_nothing() -> None:
    cluster = filled(A)
    before = cluster.world.services
    cluster.become(services=[service("b"), service("c")]).look()
    cluster.world = replace(cluster.world, services=before)
    cluster.look()
    kept = {name: item for name, item in cluster.state.allocations.items() if name != key("a")}
    cluster.state = replace(cluster.state, allocations=kept)
    cluster.become(services=[service("b"), service("c"), service("x")])
    assert granted(cluster) == ["192.0.2.0"], "it was not freed, so it does not cool"


def test_what_had_cooled_cools_again_when_the_clock_is_put_back() -> None:
    cluster = Cluster(pool("p", "192.0.2.0/30", "2001:db8::/128")).put(service("six", families=(V6,)))
    cluster.put(service("a")).put(service("b")).delete("a").wait(61)
    cluster.put(service("looks", stack=REQUIRE))
    assert cluster.addresses("looks") == "", "it found the address that had cooled, and no second one"
    cluster.wait(-30).become(services=[*cluster.world.services.values(), service("x")])
    assert granted(cluster) == ["192.0.2.2"]
