"""Allocation: IPv4, IPv6 and both (MetalLB sections 2.2 and 3.5; the tests say where we do better)."""

from __future__ import annotations

import pytest

from lbctl.plan.allocate import AllocationMemo, allocate
from lbctl.plan.reason import Reason
from tests.plan.allocation_worlds import (
    DUAL,
    PREFER,
    REQUIRE,
    SINGLE,
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


# Families ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asks", "gets"),
    [
        (service("x"), "192.0.2.8"),
        (service("x", families=(V6,)), "2001:db8:1::"),
        (service("x", families=(V4, V6)), "192.0.2.8 2001:db8:1::"),
        (service("x", families=(V6, V4), stack=SINGLE), "2001:db8:1::"),
        (service("x", stack=REQUIRE), "192.0.2.8 2001:db8:1::"),
        (service("x", stack=PREFER), "192.0.2.8 2001:db8:1::"),
        (service("x", families=(V6,), stack=PREFER), "192.0.2.8 2001:db8:1::"),
        (service("x", cluster_ips=("10.96.0.1",)), "192.0.2.8"),
        (service("x", cluster_ips=("fd96::1",)), "2001:db8:1::"),
        (service("x", cluster_ips=("fd96::1",), families=(V4,)), "2001:db8:1::"),
        (service("x", cluster_ips=("10.96.0.1",), stack=PREFER), "192.0.2.8"),
        (service("x", cluster_ips=DUAL, stack=PREFER), "192.0.2.8 2001:db8:1::"),
        (service("x", cluster_ips=DUAL, stack=REQUIRE), "192.0.2.8 2001:db8:1::"),
        (service("x", cluster_ips=DUAL), "192.0.2.8 2001:db8:1::"),
        (service("x", cluster_ips=DUAL, stack=SINGLE), "192.0.2.8"),
        (service("x", cluster_ips=DUAL, stack=SINGLE, families=(V6, V4)), "2001:db8:1::"),
    ],
)
def test_families_follow_cluster_ips_then_ip_families_then_ipv4(asks: object, gets: str) -> None:
    assert Cluster(BOTH).put(asks).addresses("x") == gets  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asks", "why"),
    [
        (service("x", cluster_ips=("None",)), Reason.NO_CLUSTER_IP),
        (service("x", cluster_ips=("10.96.0.1",), stack=REQUIRE), Reason.NOT_ENOUGH_FAMILIES),
        (service("x", lb_class="example.com/other"), Reason.OTHER_CLASS),
    ],
)
def test_services_that_cannot_be_served_say_why(asks: object, why: Reason) -> None:
    cluster = Cluster(BOTH).put(asks)  # type: ignore[arg-type]
    assert cluster.why("x") == {"default/x": why}


def test_only_services_of_the_class_that_is_ours_are_served() -> None:
    cluster = Cluster(A).become(services=[service("x"), service("y", lb_class="example.com/mine")])
    plan, _ = allocate(cluster.world, cluster.state.remembered, load_balancer_class="example.com/mine")
    assert [grant.service for grant in plan.grants] == [key("y")]
    memo = AllocationMemo()
    for wanted, served in ((None, "x"), ("example.com/mine", "y"), (None, "x")):
        plan, memo = allocate(cluster.world, cluster.state.remembered, memo, load_balancer_class=wanted)
        assert [grant.service for grant in plan.grants] == [key(served)]


def test_both_families_come_from_one_pool() -> None:
    cluster = Cluster(A, SIX).put(service("x", families=(V4, V6)))
    assert cluster.addresses("x") == ""
    assert cluster.why("x") == {"a": Reason.POOL_LACKS_FAMILY, "six": Reason.POOL_LACKS_FAMILY}


def test_require_takes_both_or_nothing() -> None:
    cluster = Cluster(pool("p", "192.0.2.0/30", "2001:db8::/128")).put(service("x", families=(V6,)))
    cluster.put(service("y", stack=REQUIRE))
    assert cluster.addresses("y") == ""
    assert cluster.delete("x").addresses("y") == "192.0.2.0 2001:db8::"


def test_prefer_looks_for_a_pool_with_both_first() -> None:
    assert Cluster(A, BOTH).put(service("x", stack=PREFER)).pool_of("x") == "both"


@pytest.mark.parametrize(("families", "gets"), [((), "192.0.2.0"), ((V6,), "2001:db8::")])
def test_prefer_settles_for_its_first_family(families: tuple[object, ...], gets: str) -> None:
    cluster = Cluster(A, SIX).put(service("x", stack=PREFER, families=families))  # type: ignore[arg-type]
    assert cluster.addresses("x") == gets
    assert Reason.POOL_LACKS_FAMILY in cluster.why("x").values(), "and it says what it lacks"


def test_prefer_settles_for_the_other_family_where_its_own_is_nowhere() -> None:
    assert Cluster(SIX).put(service("x", stack=PREFER)).addresses("x") == "2001:db8::"


def test_prefer_gains_the_second_family_when_its_pool_does() -> None:
    cluster = Cluster(A).put(service("x"), service("y", stack=PREFER))
    assert cluster.addresses("y") == "192.0.2.1"
    cluster.become(pools=[pool("a", "192.0.2.0/30", "2001:db8::/126")]).settle()
    assert cluster.addresses("y") == "192.0.2.1 2001:db8::"


def test_prefer_does_not_jump_to_another_pool_with_both() -> None:
    cluster = Cluster(A).put(service("x", stack=PREFER)).become(pools=[A, BOTH]).settle()
    assert cluster.addresses("x") == "192.0.2.0"


def test_a_pool_that_lost_a_family_is_left_for_another_with_both() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/30", "2001:db8::/126")).put(service("x", stack=PREFER))
    cluster.become(pools=[A, BOTH]).settle()
    assert cluster.addresses("x") == "192.0.2.8 2001:db8:1::"


def test_a_pool_that_lost_a_family_keeps_the_address_that_is_left_where_no_other_has_both() -> None:
    """MetalLB gives both back and takes any single one; a running service keeps what still fits."""
    cluster = Cluster(pool("a", "192.0.2.0/30", "2001:db8::/126")).put(service("x"), service("y", stack=PREFER))
    assert cluster.addresses("y") == "192.0.2.1 2001:db8::"
    cluster.delete("x").become(pools=[A]).settle()
    assert cluster.addresses("y") == "192.0.2.1"


def test_from_one_family_to_both_keeps_the_first() -> None:
    cluster = Cluster(BOTH).put(service("x"), service("y")).delete("x").put(service("y", stack=REQUIRE))
    assert cluster.addresses("y") == "192.0.2.9 2001:db8:1::"


def test_from_both_families_to_one_keeps_that_one() -> None:
    cluster = Cluster(BOTH).put(service("x"), service("y", stack=REQUIRE)).delete("x").put(service("y"))
    assert cluster.addresses("y") == "192.0.2.9"
    cluster.wait(60).put(service("z", families=(V6,)))
    assert cluster.addresses("z") == "2001:db8:1::", "the other one is free"


def test_require_moves_to_another_pool_rather_than_stay_with_half() -> None:
    cluster = Cluster(A, BOTH).put(service("x")).put(service("x", stack=REQUIRE))
    assert cluster.addresses("x") == "192.0.2.8 2001:db8:1::"


def test_another_family_is_another_address() -> None:
    cluster = Cluster(BOTH).put(service("x")).put(service("x", families=(V6,)))
    assert cluster.addresses("x") == "2001:db8:1::"


def test_who_prefers_both_and_asks_for_one_gets_that_one() -> None:
    """MetalLB refuses it; an address that was asked for by name is given, and no second one that was not."""
    cluster = Cluster(BOTH).put(service("x", stack=PREFER, ip="192.0.2.9"))
    assert (cluster.addresses("x"), cluster.text("x")) == ("192.0.2.9", "")


def test_who_asks_for_one_and_then_requires_both_is_refused() -> None:
    cluster = Cluster(BOTH).put(service("x", ip="192.0.2.9")).put(service("x", ip="192.0.2.9", stack=REQUIRE))
    assert cluster.why("x") == {"192.0.2.9": Reason.ADDRESS_WRONG_FAMILY}
