"""What is wrong in MetalLB (its defects D8-D10, D20, D21 of allocation) and is not here; D23 is in test_eligible."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from lbctl.controller.records import LedgerState
from lbctl.controller.status import Facts, status_document
from lbctl.model.node import Namespace
from lbctl.plan.allocate import allocate
from lbctl.plan.counters import count
from lbctl.plan.reason import Reason
from tests.plan.allocation_worlds import PREFER, V4, V6, Cluster, key, pool, selector, service, world


def test_d8_a_pool_without_the_family_is_named_for_that_and_no_address_is_made_up() -> None:
    """MetalLB assigns nil, and then says that nil is not allowed in the config."""
    mixed = pool("mixed", "192.0.2.0/32", "2001:db8::/64")
    cluster = Cluster(mixed).put(service("first")).put(service("x", from_pool="mixed", families=(V4,)))
    assert cluster.text("x") == "mixed: pool_exhausted (all 1 IPv4 addresses in use)"
    only_six = Cluster(pool("six", "2001:db8::/64")).put(service("x", from_pool="six", families=(V4,)))
    assert only_six.text("x") == "six: pool_lacks_family (it has no IPv4 addresses)"


def test_d9_every_candidate_pool_is_tried_and_equals_are_in_the_order_of_their_names() -> None:
    """MetalLB tries to assign from the first candidate alone, and which that is changes from run to run."""
    full, other, last = (
        pool("b", "192.0.2.0/32", priority=5),
        pool("a", "192.0.2.1/32", priority=5),
        pool("c", "192.0.2.2/32"),
    )
    for order in permutations((full, other, last)):
        cluster = Cluster(*order)
        given = [cluster.put(service(name)).addresses(name) for name in "wxy"]
        assert given == ["192.0.2.1", "192.0.2.0", "192.0.2.2"]
        assert cluster.put(service("z")).why("z") == dict.fromkeys("abc", Reason.POOL_EXHAUSTED)


@pytest.mark.parametrize("asked", [{}, {"from_pool": "tenant"}, {"ip": "192.0.2.1"}, {"from_pools": "tenant"}])
def test_d10_a_pool_whose_selectors_match_no_namespace_is_nobodys(asked: dict[str, str]) -> None:
    """In MetalLB it becomes everybody's who asks for it."""
    tenant = pool("tenant", "192.0.2.0/24", namespace_selectors=[selector(tier="gold")])
    cluster = Cluster(tenant, namespaces=[Namespace(name="default", labels=(("tier", "iron"),))])
    assert cluster.put(service("x", **asked)).why("x") == {"tenant": Reason.POOL_NOT_COMPATIBLE}  # type: ignore[arg-type]


def test_d20_services_with_addresses_are_counted_and_readiness_is_not_a_ping() -> None:
    """MetalLB registers a counter that nobody sets, and is "ready" whatever it has not done yet."""
    cluster = Cluster(pool("a", "192.0.2.0/30", "2001:db8::/64"))
    cluster.put(service("x", share="k"), service("y", share="k", ports="81"), service("z", stack=PREFER))
    now = replace(cluster.world, allocations=cluster.state.allocations)
    assert [(item.family, item.services) for item in count(now, None, now_unix=0.0)] == [(V4, 3), (V6, 1)]
    document = status_document(Facts(host="c", since_unix=0.0, world=now), 1.0)
    assert document["ready"] is False, "nothing is published yet"


@pytest.mark.parametrize("lb_class", ["example.com/other", None])
def test_d21_without_pools_nothing_is_done_to_services_that_are_not_ours(lb_class: str | None) -> None:
    """MetalLB clears the status that another implementation wrote."""
    found = world([], [service("x", lb_class=lb_class)])
    plan, _ = allocate(found, LedgerState(ledger="l").remembered, load_balancer_class="example.com/mine")
    assert (plan.grants, plan.releases, plan.amendments) == ((), (), ())
    assert [item.reason for item in plan.pending[key("x")]] == [Reason.OTHER_CLASS]
