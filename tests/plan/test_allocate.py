"""Allocation, rule by rule: choice, order, requested addresses, changes of pools (MetalLB section 3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbctl.controller.records import users_of
from lbctl.model.service import ServiceType
from lbctl.plan.reason import GrantCause, Reason
from tests.plan.allocation_worlds import (
    V4,
    V6,
    Cluster,
    key,
    pool,
    service,
)

A = pool("a", "192.0.2.0/30")
TINY = pool("tiny", "192.0.2.7/32")
SIX = pool("six", "2001:db8::/126")
BOTH = pool("both", "192.0.2.8/30", "2001:db8:1::/126")


# Choice of the address -----------------------------------------------------------------------------------------------


def test_addresses_are_given_in_order_from_the_first() -> None:
    cluster = Cluster(A).put(service("x"), service("y"))
    assert (cluster.addresses("x"), cluster.addresses("y")) == ("192.0.2.0", "192.0.2.1")


def test_ranges_are_used_in_the_order_they_are_written() -> None:
    cluster = Cluster(pool("p", "192.0.2.100-192.0.2.100", "192.0.2.5-192.0.2.6"))
    cluster.put(service("a")).put(service("b")).put(service("c"))
    assert [cluster.addresses(name) for name in "abc"] == ["192.0.2.100", "192.0.2.5", "192.0.2.6"]


def test_a_freed_address_below_is_used_before_a_new_one() -> None:
    cluster = Cluster(A).put(service("a"), service("b"), service("c")).delete("b").wait(60)
    assert cluster.put(service("d")).addresses("d") == "192.0.2.1"


def test_buggy_addresses_are_left_out_where_the_pool_says_so() -> None:
    cluster = Cluster(pool("p", "192.0.2.254-192.0.3.1", buggy=True))
    cluster.put(*(service(name) for name in "abc"))
    assert [cluster.addresses(name) for name in "abc"] == ["192.0.2.254", "192.0.3.1", ""]
    assert cluster.text("c") == "p: pool_exhausted (all 2 IPv4 addresses in use)"


def test_ipv6_has_no_buggy_addresses() -> None:
    cluster = Cluster(pool("p", "2001:db8::/128", buggy=True)).put(service("x", families=(V6,)))
    assert cluster.addresses("x") == "2001:db8::"


def test_a_buggy_address_is_refused_to_who_asks_for_it() -> None:
    cluster = Cluster(pool("p", "192.0.2.0/24", buggy=True)).put(service("x", ip="192.0.2.255"))
    assert cluster.why("x") == {"192.0.2.255": Reason.ADDRESS_BUGGY}


def test_a_large_ipv6_pool_costs_nothing() -> None:
    cluster = Cluster(pool("p", "2001:db8::/64")).put(service("x", families=(V6,)), service("y", families=(V6,)))
    assert cluster.addresses("y") == "2001:db8::1"


# Who comes first -----------------------------------------------------------------------------------------------------


def test_holders_come_before_older_ones_who_wait() -> None:
    cluster = Cluster(TINY).put(service("young", created=100.0))
    cluster.put(service("old", created=1.0))
    assert (cluster.addresses("young"), cluster.addresses("old")) == ("192.0.2.7", "")


def test_the_older_one_is_served_first() -> None:
    cluster = Cluster(TINY).put(service("a", created=100.0), service("b", created=99.0))
    assert (cluster.addresses("a"), cluster.addresses("b")) == ("", "192.0.2.7")


def test_first_seen_stands_in_for_a_missing_timestamp() -> None:
    cluster = Cluster().put(service("z")).put(service("a")).become(pools=[TINY]).settle()
    assert (cluster.addresses("z"), cluster.addresses("a")) == ("192.0.2.7", "")


def test_namespace_and_name_decide_between_equals() -> None:
    cluster = Cluster(TINY).put(service("b/x", created=1.0), service("a/y", created=1.0), service("a/x", created=1.0))
    assert cluster.addresses("a/x") == "192.0.2.7"


def test_a_freed_address_goes_to_one_who_waits() -> None:
    cluster = Cluster(TINY).put(service("a")).put(service("b")).put(service("c")).delete("a")
    assert (cluster.addresses("b"), cluster.addresses("c")) == ("192.0.2.7", "")


def test_it_goes_there_in_the_same_plan() -> None:
    cluster = Cluster(TINY).put(service("a")).put(service("b"))
    cluster.world = type(cluster.world)(
        pools=cluster.world.pools, services={key("b"): cluster.world.services[key("b")]}
    )
    plan = cluster.look()
    assert [item.reason for item in plan.releases] == [Reason.SERVICE_DELETED]
    assert [item.service for item in plan.grants] == [key("b")]


@pytest.mark.parametrize("kind", [ServiceType.CLUSTER_IP, ServiceType.NODE_PORT, ServiceType.EXTERNAL_NAME])
def test_a_change_of_type_releases(kind: ServiceType) -> None:
    cluster = Cluster(TINY).put(service("a")).put(service("b")).put(service("a", kind=kind))
    assert (cluster.addresses("a"), cluster.addresses("b")) == ("", "192.0.2.7")
    assert key("a") not in cluster.plan.pending


# Requested addresses -------------------------------------------------------------------------------------------------


def test_a_requested_address_is_given() -> None:
    cluster = Cluster(A).put(service("x", ip="192.0.2.3"))
    assert cluster.addresses("x") == "192.0.2.3"


def test_a_requested_address_may_come_from_a_pool_that_is_not_automatic() -> None:
    cluster = Cluster(pool("p", "192.0.2.0/30", auto=False)).put(service("x", ip="192.0.2.3"), service("y"))
    assert cluster.addresses("x") == "192.0.2.3"
    assert cluster.why("y") == {"p": Reason.POOL_NOT_AUTO}


@pytest.mark.parametrize(
    ("asks", "why"),
    [
        (service("x", ip="198.51.100.1"), {"198.51.100.1": Reason.ADDRESS_IN_NO_POOL}),
        (service("x", ip="192.0.2.1"), {"192.0.2.1": Reason.ADDRESS_TAKEN}),
        (service("x", ip="2001:db8::1"), {"2001:db8::1": Reason.ADDRESS_WRONG_FAMILY}),
        (service("x", ip="192.0.2.2", families=(V6,)), {"192.0.2.2": Reason.ADDRESS_WRONG_FAMILY}),
        (service("x", ip="192.0.2.2", from_pool="six"), {"192.0.2.2": Reason.ADDRESS_NOT_IN_REQUESTED_POOL}),
        (service("x", ip="192.0.2.2 192.0.2.3"), {"192.0.2.2 and 192.0.2.3": Reason.ADDRESS_WRONG_FAMILY}),
        (service("x", ip="192.0.2.2", families=(V4, V6)), {"192.0.2.2": Reason.ADDRESS_WRONG_FAMILY}),
        (
            service("x", ip="192.0.2.2 2001:db8::1", families=(V4, V6)),
            {"192.0.2.2 and 2001:db8::1": Reason.ADDRESSES_IN_DIFFERENT_POOLS},
        ),
        (
            service("x", ip="198.51.100.1 2001:db8:9::1", families=(V4, V6)),
            {"198.51.100.1": Reason.ADDRESS_IN_NO_POOL, "2001:db8:9::1": Reason.ADDRESS_IN_NO_POOL},
        ),
    ],
)
def test_a_requested_address_is_refused_by_name(asks: object, why: dict[str, Reason]) -> None:
    cluster = Cluster(A, SIX).put(service("holder", ip="192.0.2.1"))
    cluster.put(asks)  # type: ignore[arg-type]
    assert cluster.addresses("x") == ""
    assert cluster.why("x") == why


def test_who_holds_a_requested_address_is_named() -> None:
    cluster = Cluster(A).put(service("ns/holder", ip="192.0.2.1")).put(service("x", ip="192.0.2.1"))
    assert cluster.text("x") == "192.0.2.1: address_taken (held by ns/holder)"


def test_two_families_are_requested_together() -> None:
    cluster = Cluster(BOTH).put(service("x", ip="2001:db8:1::2 192.0.2.9", families=(V4, V6)))
    assert cluster.addresses("x") == "192.0.2.9 2001:db8:1::2"


def test_another_requested_address_moves_the_service() -> None:
    cluster = Cluster(A).put(service("x", ip="192.0.2.1")).put(service("x", ip="192.0.2.2"))
    assert cluster.addresses("x") == "192.0.2.2"


def test_who_no_longer_asks_keeps_what_it_has() -> None:
    cluster = Cluster(A).put(service("x", ip="192.0.2.2")).put(service("x"))
    assert cluster.addresses("x") == "192.0.2.2"


def test_who_asks_for_what_it_has_keeps_it() -> None:
    cluster = Cluster(A).put(service("x"), service("y"))
    before = cluster.state.allocations[key("y")]
    cluster.put(service("y", ip=cluster.addresses("y")))
    assert cluster.state.allocations[key("y")] is before


# Changes of pools ----------------------------------------------------------------------------------------------------


def test_a_renamed_pool_changes_no_address_and_no_id() -> None:
    cluster = Cluster(A).put(service("x"))
    before = cluster.state.allocations[key("x")]
    cluster.become(pools=[pool("renamed", "192.0.2.0/30")]).settle()
    after = cluster.state.allocations[key("x")]
    assert (after.addresses, after.id, after.pool) == (before.addresses, before.id, "renamed")


def test_a_split_pool_changes_no_address() -> None:
    cluster = Cluster(A).put(*(service(name) for name in "wxyz"))
    before = {name: cluster.addresses(name) for name in "wxyz"}
    cluster.become(pools=[pool("a", "192.0.2.0/31"), pool("b", "192.0.2.2/31")]).settle()
    assert {name: cluster.addresses(name) for name in "wxyz"} == before
    assert [cluster.pool_of(name) for name in "wxyz"] == ["a", "a", "b", "b"]


def test_a_grown_pool_serves_those_who_wait() -> None:
    cluster = Cluster(TINY).put(service("x")).put(service("y"))
    cluster.become(pools=[pool("tiny", "192.0.2.7-192.0.2.8")]).settle()
    assert (cluster.addresses("x"), cluster.addresses("y")) == ("192.0.2.7", "192.0.2.8")


def test_a_shrunk_pool_moves_only_those_outside() -> None:
    cluster = Cluster(A).put(service("x")).put(service("y")).delete("x")
    cluster.become(pools=[pool("a", "192.0.2.0/32")]).settle()
    assert cluster.addresses("y") == "192.0.2.0"


def test_a_removed_pool_sends_its_services_to_another() -> None:
    cluster = Cluster(A).put(service("x")).become(pools=[TINY]).settle()
    assert cluster.addresses("x") == "192.0.2.7"


def test_without_any_pool_nobody_keeps_anything() -> None:
    cluster = Cluster(A).put(service("x")).become(pools=[]).settle()
    assert (cluster.addresses("x"), cluster.text("x")) == ("", "default/x: no_pools")


def test_a_pool_that_becomes_pinned_to_others_is_left() -> None:
    cluster = Cluster(A).put(service("x")).become(pools=[pool("a", "192.0.2.0/30", namespaces=["other"]), TINY])
    assert cluster.settle().addresses("x") == "192.0.2.7"


def test_a_pool_that_stops_being_automatic_is_kept() -> None:
    cluster = Cluster(A).put(service("x")).become(pools=[pool("a", "192.0.2.0/30", auto=False)]).settle()
    assert cluster.addresses("x") == "192.0.2.0"


def test_a_pool_that_starts_to_avoid_buggy_addresses_gives_others() -> None:
    cluster = Cluster(A).put(service("x")).become(pools=[pool("a", "192.0.2.0/30", buggy=True)]).settle()
    assert cluster.addresses("x") == "192.0.2.1"


def test_overlapping_pools_give_no_address_twice() -> None:
    """The config refuses them (rule P7); here they are only not a disaster."""
    cluster = Cluster(pool("a", "192.0.2.0/31"), pool("b", "192.0.2.0/30"))
    cluster.put(*(service(name) for name in "vwxyz"))
    assert sorted(cluster.addresses(name) for name in "vwxyz") == [
        "",
        "192.0.2.0",
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
    ]
    assert cluster.delete("v").addresses("z") == "192.0.2.0"


# Causes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asks", "cause"),
    [
        (service("x"), GrantCause.AUTOMATIC),
        (service("x", ip="192.0.2.1"), GrantCause.REQUESTED_ADDRESS),
        (service("x", from_pool="a"), GrantCause.REQUESTED_POOL),
        (service("tenant/x"), GrantCause.PINNED_POOL),
    ],
)
def test_a_grant_says_its_cause(asks: object, cause: GrantCause) -> None:
    cluster = Cluster(A, pool("pinned", "198.51.100.0/30", namespaces=["tenant"]))
    plan = cluster.become(services=[asks]).look()
    assert [grant.cause for grant in plan.grants] == [cause]


def test_what_is_not_committed_is_planned_again() -> None:
    """The commit failed: the next plan is the same one, with the memo that already counted on it."""
    cluster = Cluster(A).become(services=[service("x"), service("y")])
    first = cluster.look()
    assert cluster.look() == first
    cluster.commit(first)
    assert cluster.look().settled


def test_a_ledger_that_says_one_address_twice_is_mended() -> None:
    """No plan makes it so; a copy put back might. The older service keeps it, with a memo as without."""
    cluster = Cluster(A).put(service("young", created=2.0), service("old", created=1.0, ip="192.0.2.3"))
    ledger = dict(cluster.state.allocations)
    ledger[key("old")] = replace(ledger[key("old")], addresses=ledger[key("young")].addresses)
    cluster.state = replace(cluster.state, allocations=ledger, users=users_of(ledger))
    cluster.put(service("old", created=1.0))
    assert (cluster.addresses("old"), cluster.addresses("young")) == ("192.0.2.0", "192.0.2.1")
