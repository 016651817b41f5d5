"""A service whose families come from different pools, because it asks for that or because its pool was split."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lbctl.model.reservation import Reservation
from lbctl.plan.reason import GrantCause, Reason
from lbctl.plan.reserve import choose_reservation
from tests.plan.allocation_worlds import PREFER, REQUIRE, SINGLE, V4, V6, Cluster, key, pool, reserve, service

FOUR = pool("four", "192.0.2.0/30")
SIX = pool("six", "2001:db8::/126")
BOTH = pool("both", "198.51.100.0/31", "2001:db8:1::/127")


def pools_of(cluster: Cluster, name: str) -> str:
    allocation = cluster.state.allocations[key(name)]
    return " ".join(allocation.pool_of(address) for address in allocation.addresses)


@pytest.mark.parametrize(
    ("asked", "has", "pools"),
    [
        ({"stack": PREFER, "from_pools": "four six"}, "192.0.2.0 2001:db8::", "four six"),
        ({"stack": REQUIRE, "from_pools": "six four"}, "192.0.2.0 2001:db8::", "four six"),
        ({"stack": REQUIRE, "from_pools": "both six"}, "198.51.100.0 2001:db8:1::", "both both"),
        ({"stack": REQUIRE, "from_pools": "four both"}, "192.0.2.0 2001:db8:1::", "four both"),
        ({"stack": SINGLE, "from_pools": "six four"}, "192.0.2.0", "four"),
        ({"families": (V6,), "from_pools": "four six"}, "2001:db8::", "six"),
        ({"stack": PREFER, "from_pools": "four"}, "192.0.2.0", "four"),
        ({"stack": PREFER, "families": (V6,), "from_pools": "four"}, "192.0.2.0", "four"),
        (
            {"ip": "192.0.2.3 2001:db8::2", "stack": REQUIRE, "from_pools": "six four"},
            "192.0.2.3 2001:db8::2",
            "four six",
        ),
    ],
)
def test_each_family_from_the_first_listed_pool_that_has_one(asked: dict[str, Any], has: str, pools: str) -> None:
    cluster = Cluster(FOUR, SIX, BOTH).put(service("x", **asked))
    assert (cluster.addresses("x"), pools_of(cluster, "x")) == (has, pools)
    assert cluster.look(memo=False).settled


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"stack": REQUIRE, "from_pools": "four"}, "four: pool_lacks_family (it has no IPv6 addresses)"),
        ({"from_pools": "six none"}, "none: unknown_pool; six: pool_lacks_family (it has no IPv4 addresses)"),
        (
            {"ip": "192.0.2.3 2001:db8::2", "stack": REQUIRE},
            "192.0.2.3 and 2001:db8::2: addresses_in_different_pools",
        ),
        (
            {"ip": "192.0.2.3 2001:db8::2", "stack": REQUIRE, "from_pools": "four both"},
            "2001:db8::2: address_not_in_requested_pool (six has it, four and both were asked for)",
        ),
    ],
)
def test_every_pool_that_was_tried_is_named(asked: dict[str, Any], text: str) -> None:
    assert Cluster(FOUR, SIX, BOTH).put(service("x", **asked)).text("x") == text


def test_a_full_pool_is_passed_over() -> None:
    cluster = Cluster(pool("tiny", "203.0.113.0/32"), FOUR, SIX).put(service("y", from_pool="tiny"))
    cluster.put(service("x", stack=PREFER, from_pools="tiny four six"))
    assert cluster.addresses("x") == "192.0.2.0 2001:db8::"


def test_pools_that_do_not_assign_by_themselves_may_be_listed_and_closed_ones_may_not() -> None:
    manual, closed = pool("m", "203.0.113.0/30", auto=False), pool("c", "203.0.113.4/30", namespaces=["red"])
    cluster = Cluster(manual, closed).put(service("x", from_pools="c m"))
    assert cluster.addresses("x") == "203.0.113.0"


def test_the_second_family_comes_from_a_listed_pool_later() -> None:
    cluster = Cluster(FOUR).put(service("x", stack=PREFER, from_pools="four six"))
    assert cluster.text("x") == "six: unknown_pool; four: pool_lacks_family (it has no IPv6 addresses)"
    cluster.become(pools=[FOUR, SIX])
    assert [grant.cause for grant in cluster.look(memo=False).grants] == [GrantCause.SECOND_FAMILY]
    assert cluster.settle().addresses("x") == "192.0.2.0 2001:db8::"


@pytest.mark.parametrize("listed", ["six four", "six four both", "", "four six none"])
def test_another_list_that_allows_what_it_has_changes_nothing(listed: str) -> None:
    cluster = Cluster(FOUR, SIX, BOTH).put(service("x", stack=PREFER, from_pools="four six"))
    cluster.put(service("x", stack=PREFER, from_pools=listed))
    assert cluster.addresses("x") == "192.0.2.0 2001:db8::"
    assert cluster.state.next_grant == 2


def test_another_list_that_does_not_takes_it_away_but_what_may_stay_stays() -> None:
    cluster = Cluster(FOUR, SIX, BOTH).put(service("y", stack=PREFER, from_pools="four six"))
    cluster.put(service("x", stack=PREFER, from_pools="four six"))
    cluster.become(services=[cluster.world.services[key("y")], service("x", stack=PREFER, from_pools="both six")])
    assert [item.reason for item in cluster.look().releases] == [Reason.REQUESTED_POOL_CHANGED]
    assert cluster.settle().addresses("x") == "198.51.100.0 2001:db8::1"


@pytest.mark.parametrize(
    ("pools", "has", "homes"),
    [
        ([pool("v4", "192.0.2.0/30"), pool("v6", "2001:db8::/126")], "192.0.2.0 2001:db8::", "v4 v6"),
        ([pool("four", "192.0.2.0/30"), pool("new", "2001:db8::/126")], "192.0.2.0 2001:db8::", "four new"),
        ([pool("one", "192.0.2.0/30", "2001:db8::/126")], "192.0.2.0 2001:db8::", "one one"),
        ([SIX, FOUR], "192.0.2.0 2001:db8::", "four six"),
        ([SIX], "2001:db8::", "six"),
        ([BOTH, SIX], "198.51.100.0 2001:db8:1::", "both both"),
    ],
)
def test_pools_that_are_renamed_split_joined_or_gone(pools: list[Any], has: str, homes: str) -> None:
    """The list is taken back first, so that only the pools decide."""
    cluster = Cluster(FOUR, SIX).put(service("x", stack=PREFER, from_pools="four six")).put(service("x", stack=PREFER))
    cluster.become(pools=pools).settle()
    assert (cluster.addresses("x"), pools_of(cluster, "x")) == (has, homes)


def test_a_pool_that_is_split_by_family_keeps_its_services_where_they_are() -> None:
    cluster = Cluster(BOTH).put(service("x", stack=REQUIRE))
    cluster.become(pools=[pool("a", "198.51.100.0/31"), pool("b", "2001:db8:1::/127")]).settle()
    assert (cluster.addresses("x"), pools_of(cluster, "x")) == ("198.51.100.0 2001:db8:1::", "a b")
    assert cluster.state.allocations[key("x")].id == 1, "the grant stands"


def test_one_family_dropped_is_of_the_pool_it_was_of() -> None:
    cluster = Cluster(FOUR, SIX).put(service("x", stack=PREFER, from_pools="four six"))
    cluster.put(service("x", families=(V6,), from_pools="four six"))
    assert (cluster.addresses("x"), pools_of(cluster, "x")) == ("2001:db8::", "six")


def test_a_reservation_and_a_second_listed_pool() -> None:
    cluster = reserve(Cluster(FOUR, SIX), "x", "192.0.2.3", home="four")
    cluster.put(service("x", stack=REQUIRE, from_pools="four six"))
    assert (cluster.addresses("x"), pools_of(cluster, "x")) == ("192.0.2.3 2001:db8::", "four six")


def test_what_is_held_from_two_pools_is_reserved_from_two_pools() -> None:
    """Also where a pool that comes first by name has the second address by now: it is gone by the pool recorded."""
    cluster = Cluster(FOUR, SIX).put(service("x", stack=REQUIRE, from_pools="four six"))
    made = choose_reservation(
        replace(cluster.world, allocations=cluster.state.allocations),
        cluster.state.remembered,
        key("x"),
        now_unix=cluster.now,
    )
    assert isinstance(made, Reservation)
    assert (made.pool, made.second_pool, made.pools) == ("four", "six", ("four", "six"))
    assert [made.pool_of(address) for address in made.addresses] == ["four", "six"]
    cluster.delete("x")
    cluster.state = replace(cluster.state, remembered=replace(cluster.state.remembered, reserved={key("x"): made}))
    cluster.become(pools=[FOUR, SIX, pool("also", "2001:db8::/126", auto=False)])
    cluster.put(service("x", stack=REQUIRE, from_pools="also four six"))
    assert (cluster.addresses("x"), pools_of(cluster, "x")) == ("192.0.2.0 2001:db8::", "four six")


def test_what_is_found_in_two_pools_is_reserved_from_two_pools() -> None:
    cluster = Cluster(FOUR, SIX, pool("five", "198.51.100.0/32")).put(service("y", from_pool="five"))
    wanted = service("x", stack=REQUIRE, from_pools="five four six")
    cluster.become(services=[*cluster.world.services.values(), wanted])
    world = replace(cluster.world, allocations=cluster.state.allocations)
    made = choose_reservation(world, cluster.state.remembered, key("x"), now_unix=cluster.now)
    assert isinstance(made, Reservation)
    assert (made.pool, made.second_pool) == ("four", "six")


def test_it_comes_back_to_both_of_its_addresses() -> None:
    cluster = Cluster(FOUR, SIX).put(service("y", families=(V4,)))
    cluster.put(service("x", stack=PREFER, from_pools="four six")).delete("y").delete("x")
    assert cluster.put(service("x", stack=PREFER, from_pools="six four")).addresses("x") == "192.0.2.1 2001:db8::"
