"""Plans that take effect in memory leave what the ledger would be left with."""

from __future__ import annotations

from dataclasses import replace

from lbctl.plan.settle import settle
from tests.plan.allocation_worlds import Cluster, key, pool, service


def test_an_address_that_is_given_again_cools_no_longer() -> None:
    cluster = Cluster(pool("p", "192.0.2.0/32")).put(service("a"))
    cluster.delete("a")
    (address,) = cluster.state.remembered.freed
    world = replace(cluster.world, services={key("b"): service("b")}, allocations=cluster.state.allocations)
    found = settle(world, cluster.state.remembered, now_unix=cluster.now)
    assert found.world.allocations[key("b")].addresses == (address,)
    assert not found.remembered.freed


def test_an_address_that_is_given_back_cools() -> None:
    cluster = Cluster(pool("p", "192.0.2.0/32")).put(service("a"))
    world = replace(cluster.world, services={}, allocations=cluster.state.allocations)
    found = settle(world, cluster.state.remembered, now_unix=50.0)
    ((address, freed),) = found.remembered.freed.items()
    assert (str(address), freed.at_unix, freed.service) == ("192.0.2.0", 50.0, key("a"))


def test_what_it_leaves_is_at_rest_and_says_how_it_came_to_that() -> None:
    cluster = Cluster(pool("p", "192.0.2.0/31")).put(service("a"), service("b"))
    moved = replace(cluster.world, pools={"q": pool("q", "198.51.100.0/32")}, allocations=cluster.state.allocations)
    found = settle(moved, cluster.state.remembered, now_unix=9.0)
    assert found.finished
    assert found.lost.keys() == {key("a"), key("b")}
    assert found.granted.keys() == {key("a")}
    assert found.pending.keys() == {key("b")}
    again = settle(found.world, found.remembered, now_unix=9.0, memo=found.memo)
    assert not again.plans
    assert again.world.allocations == found.world.allocations
