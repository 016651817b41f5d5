"""How full the pools are: counts against hand-made worlds, and against a walk over every address."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.model.address import family_of
from lbctl.model.snapshot import World
from lbctl.plan.counters import PoolCount, count, kept_nevertheless, pools_document
from lbctl.plan.reason import Reason, Refusal
from tests.plan.allocation_worlds import PREFER, V4, V6, Cluster, pool, quarantine, reserve, service
from tests.plan.test_allocate_properties import _Change, changes, pools


def now_of(cluster: Cluster) -> World:
    return replace(cluster.world, allocations=cluster.state.allocations)


def counted(cluster: Cluster, name: str = "a", family: object = V4) -> PoolCount:
    found = count(now_of(cluster), cluster.state.remembered, now_unix=cluster.now)
    return next(item for item in found if (item.pool, item.family) == (name, family))


def test_an_empty_pool() -> None:
    assert counted(Cluster(pool("a", "192.0.2.0/24"))) == PoolCount(
        pool="a",
        family=V4,
        size=256,
        assigned=0,
        outside=0,
        available=256,
        cooling=0,
        reserved=0,
        quarantined=0,
        services=0,
    )


def test_avoided_and_excluded_ones_do_not_count() -> None:
    found = counted(Cluster(pool("a", "192.0.2.0/24", buggy=True, exclude="192.0.2.0-192.0.2.9")))
    assert (found.size, found.available) == (245, 245)


def test_a_shared_address_counts_once() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/30")).put(service("x", share="k"), service("y", share="k", ports="81"))
    found = counted(cluster)
    assert (found.assigned, found.services, found.available) == (1, 2, 3)


def test_ipv6_is_exact() -> None:
    cluster = Cluster(pool("a", "2001:db8::/64", "192.0.2.0/31")).put(service("x", stack=PREFER))
    assert counted(cluster, family=V6).available == 2**64 - 1
    assert counted(cluster, family=V4).available == 1
    assert counted(Cluster(pool("a", "::/0")), family=V6).size == 2**128


def test_what_is_kept_back_is_not_available() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/29")).put(service("x")).put(service("y")).put(service("z")).delete("y")
    quarantine(reserve(cluster, "r", "192.0.2.4"), "192.0.2.0", "192.0.2.5")
    assert counted(cluster) == PoolCount(
        pool="a",
        family=V4,
        size=8,
        assigned=2,
        outside=0,
        available=4,
        cooling=1,
        reserved=1,
        quarantined=2,
        services=2,
    )
    assert counted(cluster.wait(60)).cooling == 0


def test_a_reserved_address_in_use_counts_as_in_use() -> None:
    cluster = reserve(Cluster(pool("a", "192.0.2.0/30")), "x", "192.0.2.2").put(service("x"))
    found = counted(cluster)
    assert (found.assigned, found.reserved, found.available) == (1, 0, 3)


def test_an_address_in_use_that_is_excluded_now_is_in_use_and_takes_nothing_from_the_others() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/30")).put(service("x"))
    cluster.become(pools=[pool("a", "192.0.2.0/30", exclude="192.0.2.0/31")]).settle()
    found = counted(cluster)
    assert (found.size, found.assigned, found.available) == (2, 1, 2)


def test_each_of_two_pools_counts_its_own() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/30"), pool("b", "2001:db8::/126"))
    cluster.put(service("x", stack=PREFER, from_pools="a b"))
    assert (counted(cluster).assigned, counted(cluster, "b", V6).assigned) == (1, 1)


def test_who_keeps_what_would_not_be_given_is_named() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/30")).put(service("x"), service("y"), service("z"))
    cluster.become(pools=[pool("a", "192.0.2.0/30", exclude="192.0.2.1/32")]).settle()
    reserve(reserve(cluster, "other", "192.0.2.2"), "x", "192.0.2.0")
    found = kept_nevertheless(now_of(cluster), cluster.state.remembered)
    assert [(str(item.address), str(item.service), item.reason) for item in found] == [
        ("192.0.2.1", "default/y", Reason.EXCLUDED),
        ("192.0.2.2", "default/z", Reason.RESERVED),
    ]


def test_the_document_says_null_where_nothing_is_known() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/30", protected=True)).put(service("x"))
    refusals = (Refusal("a", Reason.POOL_PROTECTED, "no"), Refusal("new", Reason.POOL_PROTECTED, "not yet"))
    document = pools_document(now_of(cluster), None, now_unix=0.0, held_back=refusals)
    assert document == {
        "schema": "lbctl.io/pools/v1",
        "pools": [
            {
                "name": "a",
                "addresses": ["192.0.2.0/30"],
                "excluded": [],
                "auto_assign": True,
                "choice": "lowest",
                "cooling_time": 60.0,
                "protected": True,
                "families": [
                    {
                        "family": "IPv4",
                        "size": 4,
                        "assigned": 1,
                        "outside": 0,
                        "available": 3,
                        "cooling": None,
                        "reserved": None,
                        "quarantined": 0,
                        "services": 1,
                    }
                ],
                "held_back": "no",
            }
        ],
        "left_out": [{"pool": "new", "detail": "not yet"}],
        "kept": [],
    }


@settings(max_examples=60, deadline=None)
@given(pools(), st.lists(changes(), max_size=10))
def test_counts_are_those_of_a_walk(start: list[object], events: list[_Change]) -> None:
    cluster = Cluster(*start)  # type: ignore[arg-type]
    for change in events:
        change(cluster)
        cluster.settle()
    kept = cluster.state.remembered
    used = {address for item in cluster.state.allocations.values() for address in item.addresses}
    reserved = {address for item in kept.reserved.values() for address in item.addresses}
    found = {(item.pool, item.family): item for item in count(now_of(cluster), kept, now_unix=cluster.now)}
    for name, each in cluster.world.pools.items():
        for family in {item.family for item in each.ranges}:
            every = [
                ip_address(number) if family is V4 else ip_address(number.to_bytes(16))
                for part in each.ranges
                if part.family is family
                for number in range(int(part.first), int(part.last) + 1)
            ]
            given_out = [
                address
                for address in every
                if not any(address in hole for hole in each.options.excluded)
                and not (each.avoid_buggy_ips and family is V4 and int(address) & 255 in (0, 255))
            ]
            item = found[name, family]
            free = [a for a in given_out if a not in used and a not in reserved and a not in kept.quarantined]
            assert item.size == len(given_out)
            assert item.available == len(free)
            assert item.assigned == sum(address in used for address in every)
            assert item.quarantined == sum(address in kept.quarantined for address in every)
            assert item.reserved == sum(address in reserved and address not in used for address in every)
            assert item.cooling == sum(
                address in kept.freed and kept.freed[address].at_unix + each.options.cooling_time > cluster.now
                for address in free
            )
            assert all(family_of(address) is family for address in every)
