"""Allocation: requested pools and pinned pools (MetalLB sections 1.1 and 3.2)."""

from __future__ import annotations

import pytest

from lbctl.model.node import Namespace
from lbctl.plan.reason import Reason
from tests.plan.allocation_worlds import (
    Cluster,
    pool,
    selector,
    service,
)

A = pool("a", "192.0.2.0/30")
TINY = pool("tiny", "192.0.2.7/32")
SIX = pool("six", "2001:db8::/126")
BOTH = pool("both", "192.0.2.8/30", "2001:db8:1::/126")


# Requested pools -----------------------------------------------------------------------------------------------------


def test_a_requested_pool_is_used_though_it_is_not_automatic() -> None:
    cluster = Cluster(A, pool("b", "198.51.100.0/30", auto=False)).put(service("x", from_pool="b"))
    assert cluster.addresses("x") == "198.51.100.0"


@pytest.mark.parametrize(
    ("name", "why"),
    [("nowhere", Reason.UNKNOWN_POOL), ("pinned", Reason.POOL_NOT_COMPATIBLE), ("six", Reason.POOL_LACKS_FAMILY)],
)
def test_a_requested_pool_is_refused_by_name(name: str, why: Reason) -> None:
    cluster = Cluster(A, SIX, pool("pinned", "198.51.100.0/30", namespaces=["other"]))
    cluster.put(service("x", from_pool=name))
    assert cluster.why("x") == {name: why}


def test_another_requested_pool_moves_the_service() -> None:
    cluster = Cluster(A, pool("b", "198.51.100.0/30")).put(service("x", from_pool="a"))
    plan = cluster.put(service("x", from_pool="b")).addresses("x")
    assert plan == "198.51.100.0"


def test_asking_for_the_pool_it_is_in_moves_nothing() -> None:
    cluster = Cluster(A).put(service("x"), service("y")).put(service("y", from_pool="a"))
    assert cluster.addresses("y") == "192.0.2.1"


# Pinned pools --------------------------------------------------------------------------------------------------------


def test_pinned_pools_are_tried_by_priority_and_the_open_ones_after_them() -> None:
    cluster = Cluster(
        pool("a-open", "192.0.2.0/32"),
        pool("b-unset", "192.0.2.1/32", namespaces=["default"]),
        pool("c-second", "192.0.2.2/32", namespaces=["default"], priority=20),
        pool("d-first", "192.0.2.3/32", namespaces=["default"], priority=10),
    )
    for name in "wxyz":
        cluster.put(service(name))
    assert [cluster.pool_of(name) for name in "wxyz"] == ["d-first", "c-second", "b-unset", "a-open"]


def test_equal_priorities_are_tried_by_name() -> None:
    pools = [pool(name, f"192.0.2.{number}/32", priority=5) for number, name in enumerate("cab")]
    cluster = Cluster(*pools).put(service("x"))
    assert cluster.pool_of("x") == "a"


def test_a_pool_with_priority_alone_is_for_everybody() -> None:
    assert Cluster(A, pool("z", "198.51.100.0/30", priority=1)).put(service("x")).pool_of("x") == "z"


def test_a_full_pinned_pool_does_not_end_the_search() -> None:
    cluster = Cluster(A, pool("pinned", "198.51.100.0/32", namespaces=["default"])).put(service("x")).put(service("y"))
    assert (cluster.pool_of("x"), cluster.pool_of("y")) == ("pinned", "a")


def test_a_pinned_pool_is_closed_to_others() -> None:
    cluster = Cluster(pool("p", "192.0.2.0/30", namespaces=["tenant"])).put(service("x"), service("tenant/y"))
    assert (cluster.addresses("x"), cluster.addresses("tenant/y")) == ("", "192.0.2.0")
    assert cluster.why("x") == {"p": Reason.POOL_NOT_COMPATIBLE}


def test_a_pinned_pool_is_closed_to_others_who_ask_for_its_address() -> None:
    cluster = Cluster(pool("p", "192.0.2.0/30", namespaces=["tenant"])).put(service("x", ip="192.0.2.1"))
    assert cluster.why("x") == {"p": Reason.POOL_NOT_COMPATIBLE}


def test_namespace_selectors_look_at_labels_and_at_the_name() -> None:
    gold = pool("gold", "192.0.2.0/30", namespace_selectors=[selector(tier="gold")])
    named = pool(
        "named",
        "198.51.100.0/30",
        namespace_selectors=[selector(**{"kubernetes.io/metadata.name": "other"})],
    )
    rich = Namespace(name="rich", labels=(("tier", "gold"),))
    cluster = Cluster(gold, named, namespaces=[rich]).put(service("rich/x"), service("other/y"), service("z"))
    assert (cluster.pool_of("rich/x"), cluster.pool_of("other/y")) == ("gold", "named")
    assert cluster.addresses("z") == ""


def test_namespaces_and_their_selectors_add_up() -> None:
    both = pool("p", "192.0.2.0/30", namespaces=["a"], namespace_selectors=[selector(tier="gold")])
    cluster = Cluster(both, namespaces=[Namespace(name="b", labels=(("tier", "gold"),))])
    cluster.put(service("a/x"), service("b/x"), service("c/x"))
    assert [bool(cluster.addresses(f"{name}/x")) for name in "abc"] == [True, True, False]


def test_a_selector_that_matches_no_namespace_lets_nobody_in() -> None:
    """Isolation does not fail open (MetalLB D10), on request neither."""
    cluster = Cluster(pool("p", "192.0.2.0/30", namespace_selectors=[selector(tier="none")]))
    cluster.put(service("x"), service("y", ip="192.0.2.1"), service("z", from_pool="p"))
    assert [cluster.addresses(name) for name in "xyz"] == ["", "", ""]


def test_labels_of_a_namespace_take_effect_when_they_change() -> None:
    cluster = Cluster(pool("p", "192.0.2.0/30", namespace_selectors=[selector(tier="gold")])).put(service("x"))
    assert cluster.addresses("x") == ""
    cluster.become(namespaces=[Namespace(name="default", labels=(("tier", "gold"),))]).settle()
    assert cluster.addresses("x") == "192.0.2.0"
    cluster.become(namespaces=[Namespace(name="default")]).settle()
    assert cluster.addresses("x") == ""


def test_service_selectors_are_alternatives_and_come_on_top_of_the_namespace() -> None:
    picky = pool("p", "192.0.2.0/30", namespaces=["a"], service_selectors=[selector(app="web"), selector(app="dns")])
    cluster = Cluster(picky).put(
        service("a/x", labels={"app": "web"}),
        service("a/y", labels={"app": "dns"}),
        service("a/z", labels={"app": "mail"}),
        service("b/x", labels={"app": "web"}),
    )
    assert [bool(cluster.addresses(name)) for name in ("a/x", "a/y", "a/z", "b/x")] == [True, True, False, False]


def test_every_pool_that_was_tried_is_named_with_its_reason() -> None:
    cluster = Cluster(
        pool("full", "192.0.2.0/32"),
        pool("manual", "192.0.2.1/32", auto=False),
        pool("pinned", "192.0.2.2/32", namespaces=["other"]),
        SIX,
    ).put(service("holder"))
    cluster.put(service("x"))
    assert cluster.why("x") == {
        "full": Reason.POOL_EXHAUSTED,
        "six": Reason.POOL_LACKS_FAMILY,
        "manual": Reason.POOL_NOT_AUTO,
        "pinned": Reason.POOL_NOT_COMPATIBLE,
    }


def test_without_pools_that_is_the_reason() -> None:
    assert Cluster().put(service("x")).text("x") == "default/x: no_pools"
