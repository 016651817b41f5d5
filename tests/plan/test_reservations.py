"""Addresses kept for one service: who gets them, who does not, and which are chosen to be kept."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from lbctl.model.address import Family
from lbctl.model.reservation import Reservation
from lbctl.plan.reason import GrantCause, Reason, Refusal
from lbctl.plan.reserve import choose_reservation
from tests.plan.allocation_worlds import (
    PREFER,
    REQUIRE,
    V4,
    V6,
    Cluster,
    key,
    pool,
    quarantine,
    reserve,
    selector,
    service,
)

A = pool("a", "192.0.2.0/30")
BOTH = pool("both", "192.0.2.0/30", "2001:db8::/126")


# Who gets them -------------------------------------------------------------------------------------------------------


def test_it_waits_for_its_service() -> None:
    cluster = reserve(Cluster(A), "x", "192.0.2.0").put(service("y"))
    assert cluster.addresses("y") == "192.0.2.1"
    cluster.become(services=[*cluster.world.services.values(), service("x")])
    (grant,) = cluster.look().grants
    assert (str(grant.addresses[0]), grant.cause) == ("192.0.2.0", GrantCause.RESERVED)


def test_nobody_else_is_given_it_by_name() -> None:
    cluster = reserve(Cluster(A), "x", "192.0.2.0").put(service("y", ip="192.0.2.0"))
    assert cluster.text("y") == "192.0.2.0: reserved_for_another (for default/x)"


def test_nobody_is_let_onto_it_by_sharing() -> None:
    cluster = reserve(Cluster(pool("a", "192.0.2.0/32")), "x", "192.0.2.0").put(service("x", share="k"))
    cluster.put(service("y", share="k", ports="81"))
    assert cluster.text("y") == "a: pool_exhausted (all 1 IPv4 addresses in use)"
    cluster.put(service("y", share="k", ports="81", ip="192.0.2.0"))
    assert cluster.why("y") == {"192.0.2.0": Reason.RESERVED}


def test_a_full_pool_says_what_is_reserved() -> None:
    cluster = reserve(Cluster(pool("a", "192.0.2.0/31")), "x", "192.0.2.0").put(service("y")).put(service("z"))
    assert cluster.text("z") == "a: pool_exhausted (of 2 IPv4 addresses 1 in use, 1 reserved)"


def test_it_is_kept_after_the_service_has_gone() -> None:
    cluster = reserve(Cluster(A), "x", "192.0.2.2").put(service("x")).delete("x").wait(1000)
    cluster.put(*(service(name) for name in "abcd"))
    assert [cluster.addresses(name) for name in "abcd"] == ["192.0.2.0", "192.0.2.1", "192.0.2.3", ""]
    assert cluster.put(service("x")).addresses("x") == "192.0.2.2"


def test_once_taken_back_it_is_anybodys() -> None:
    cluster = reserve(Cluster(A), "x", "192.0.2.0").put(service("y"))
    cluster.state = replace(cluster.state, remembered=replace(cluster.state.remembered, reserved={}))
    assert cluster.put(service("z")).addresses("z") == "192.0.2.0"


def test_who_holds_it_keeps_it_and_who_holds_another_keeps_that() -> None:
    cluster = Cluster(A).put(service("y")).put(service("x"))
    reserve(cluster, "x", "192.0.2.0").settle()
    assert (cluster.addresses("y"), cluster.addresses("x")) == ("192.0.2.0", "192.0.2.1")
    cluster.delete("x").put(service("x"))
    why = "192.0.2.0: address_taken (reserved for it; held by default/y)"
    assert cluster.text("x") == why, "it waits rather than be elsewhere"
    assert cluster.delete("y").addresses("x") == "192.0.2.0"


def test_a_pool_that_does_not_assign_by_itself_gives_it() -> None:
    cluster = reserve(Cluster(pool("a", "192.0.2.0/30", auto=False)), "x", "192.0.2.3").put(service("x"))
    assert cluster.addresses("x") == "192.0.2.3"


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        (service("x"), "192.0.2.2"),
        (service("x", families=(V6,)), "2001:db8::"),
        (service("x", stack=REQUIRE), "192.0.2.2 2001:db8::"),
        (service("x", stack=PREFER), "192.0.2.2 2001:db8::"),
        (service("x", ip="192.0.2.1"), "192.0.2.1"),
        (service("x", from_pool="other"), "198.51.100.0"),
    ],
)
def test_as_far_as_it_is_of_the_services_families_and_of_what_it_asks(wanted: Any, given: str) -> None:
    cluster = reserve(Cluster(BOTH, pool("other", "198.51.100.0/30")), "x", "192.0.2.2", home="both")
    assert cluster.put(wanted).addresses("x") == given


def test_the_second_family_is_taken_from_the_reservation_too() -> None:
    cluster = reserve(Cluster(BOTH), "x", "192.0.2.2", "2001:db8::3", home="both").put(service("x", families=(V6,)))
    assert cluster.addresses("x") == "2001:db8::3"
    assert cluster.put(service("x", stack=PREFER)).addresses("x") == "192.0.2.2 2001:db8::3"


@pytest.mark.parametrize(
    ("pools", "text"),
    [
        ([pool("b", "198.51.100.0/30")], "192.0.2.1: address_in_no_pool (reserved for it)"),
        (
            [pool("a", "192.0.2.0/30", exclude="192.0.2.1/32")],
            "192.0.2.1: excluded (reserved for it; pool a excludes it)",
        ),
        (
            [pool("a", "192.0.2.0/30", namespaces=["red"])],
            "a: pool_not_compatible (its reservation is there; it is for namespace red)",
        ),
    ],
)
def test_a_reservation_that_cannot_be_kept_is_named(pools: list[Any], text: str) -> None:
    assert reserve(Cluster(*pools), "x", "192.0.2.1").put(service("x")).text("x") == text


def test_an_address_in_quarantine_is_not_given_even_so() -> None:
    cluster = quarantine(reserve(Cluster(A), "x", "192.0.2.1"), "192.0.2.1").put(service("x"))
    assert cluster.why("x") == {"192.0.2.1": Reason.QUARANTINED}


# Which to reserve ----------------------------------------------------------------------------------------------------


def choose(cluster: Cluster, name: str = "x", **asked: Any) -> str:
    asked["addresses"] = tuple(map(ip_address, asked.pop("ip", "").split()))
    now = replace(cluster.world, allocations=cluster.state.allocations)
    found = choose_reservation(now, cluster.state.remembered, key(name), now_unix=5.0, by="me", **asked)
    if isinstance(found, Reservation):
        assert (found.service, found.since_unix, found.by) == (key(name), 5.0, "me")
        return f"{' '.join(map(str, found.addresses))} of {found.pool}"
    assert all(isinstance(item, Refusal) for item in found)
    return "; ".join(map(str, found))


def test_the_one_it_would_be_given() -> None:
    assert choose(Cluster(A).put(service("y"))) == "192.0.2.1 of a"


def test_the_one_it_has() -> None:
    assert choose(Cluster(A).put(service("y"), service("x"), service("z"))) == "192.0.2.0 of a"


@pytest.mark.parametrize(
    ("families", "chosen"),
    [((), "192.0.2.0 of both"), ((V6,), "2001:db8:: of both"), ((V4, V6), "192.0.2.0 2001:db8:: of both")],
)
def test_of_the_families_that_are_named(families: tuple[Family, ...], chosen: str) -> None:
    assert choose(Cluster(BOTH), families=families) == chosen


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"ip": "192.0.2.3"}, "192.0.2.3 of a"),
        ({"ip": "192.0.2.0"}, "192.0.2.0: address_taken (held by default/y)"),
        ({"ip": "192.0.2.1"}, "192.0.2.1: reserved_for_another (for default/z)"),
        ({"ip": "192.0.2.2"}, "192.0.2.2: quarantined (02:00:00:00:00:66 answers for it, seen by n1 eth1)"),
        ({"ip": "203.0.113.1"}, "203.0.113.1: address_in_no_pool"),
        ({"ip": "192.0.2.3", "pool": "b"}, "192.0.2.3: address_not_in_requested_pool (a has it, b was asked for)"),
        ({"ip": "198.51.100.1"}, "198.51.100.1: excluded (pool b excludes it)"),
        (
            {"ip": "192.0.2.3 192.0.2.2"},
            "192.0.2.2 and 192.0.2.3: address_wrong_family (one address, or one of each family)",
        ),
        ({"pool": "b"}, "198.51.100.0 of b"),
        ({"pool": "c"}, "c: unknown_pool"),
        ({"pool": "b", "families": (V6,)}, "b: pool_lacks_family (it has no IPv6 addresses)"),
        ({}, "192.0.2.3 of a"),
    ],
)
def test_or_why_there_can_be_none(asked: dict[str, Any], said: str) -> None:
    cluster = Cluster(A, pool("b", "198.51.100.0/30", auto=False, exclude="198.51.100.1-198.51.100.2"))
    cluster.put(service("y"))
    assert choose(quarantine(reserve(cluster, "z", "192.0.2.1"), "192.0.2.2"), **asked) == said


def test_another_one_in_place_of_the_old() -> None:
    assert choose(reserve(Cluster(A), "x", "192.0.2.3")) == "192.0.2.0 of a"


def test_a_pool_that_goes_by_labels_can_be_named_before_there_are_any() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/30", service_selectors=[selector(app="web")]))
    assert choose(cluster) == "a: pool_not_compatible (it is for services with labels app=web)"
    assert choose(cluster, pool="a") == "192.0.2.0 of a"
    assert choose(cluster, ip="192.0.2.1") == "192.0.2.1 of a"


def test_without_pools_there_is_none() -> None:
    assert choose(Cluster()) == "default/x: no_pools"
