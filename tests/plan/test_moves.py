"""What moves by plan, when, and that it comes to rest: the plans of whole clusters in virtual time."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import MappingProxyType

import pytest

from lbctl.model.advertisement import Failback, L2Advertisement
from lbctl.model.member import Liveness
from lbctl.model.node import Node
from lbctl.model.snapshot import Drain, Pin, Rebalance, Snapshot, World
from lbctl.plan.announce import DRAIN_TIME, ENDPOINT_TIME
from lbctl.plan.drain import stranded_by_drain
from lbctl.plan.moves import QUIET, STABLE
from tests.plan.cluster import EPOCH, Cluster, spread
from tests.support.worlds import (
    address,
    allocation,
    endpoint,
    endpoints,
    labels,
    preferred,
    selector,
    service,
    view,
    vip_world,
    world,
)

NAMES = ("a", "b", "c", "d", "e")
NODES = [Node(name=name, labels=labels(host=name)) for name in NAMES]
VIPS = [f"192.0.2.{n}" for n in range(1, 11)]
TEN = vip_world(VIPS, nodes=NODES)


def preferring(host: str, vips: list[str] = VIPS, **more: object) -> World:
    ad = L2Advertisement(name="l2", preferred_nodes=(preferred(5, host=host),))
    return vip_world(vips, nodes=NODES, advertisements=[replace(ad, **more)])  # type: ignore[arg-type]


def running(found: World, *names: str, lag: int = 1) -> Cluster:
    cluster = Cluster(found, lag=lag)
    cluster.start(*names)
    cluster.run(5)
    cluster.everything_is_owned_once()
    return cluster


@pytest.mark.parametrize("lag", [1, 5])
def test_ten_addresses_on_five_nodes_are_two_on_each_and_nothing_moves(lag: int) -> None:
    cluster = running(TEN, *NAMES, lag=lag)
    assert set(cluster.loads().values()) == {2}
    assert len(cluster.moves) == 10, "nobody took what another was given"
    cluster.run(120)
    assert len(cluster.moves) == 10


def test_a_node_that_dies_leaves_its_groups_to_all_the_others() -> None:
    cluster = running(vip_world([f"192.0.2.{n}" for n in range(1, 41)], nodes=NODES), *NAMES)
    for name in NAMES[:3]:
        cluster.stop(name, Liveness.GONE)
        cluster.everything_is_owned_once()
        assert spread(cluster.loads().values()) <= 1, cluster.loads()
        cluster.run(2)
        assert spread(cluster.loads().values()) <= 1


def test_a9_a_cold_start_one_by_one_then_a_rolling_restart() -> None:
    cluster = Cluster(TEN)
    for name in NAMES:
        cluster.start(name)
        cluster.run(2)
    cluster.run(60)
    assert max(cluster.loads().values()) <= 2, cluster.loads()
    for name in NAMES:
        cluster.stop(name)
        cluster.run(5)
        cluster.start(name)
        cluster.run(5)
    cluster.run(60)
    assert max(cluster.loads().values()) <= 2, cluster.loads()
    cluster.everything_is_owned_once()
    rest = cluster.now
    cluster.run(600)
    assert not cluster.moved_since(rest)


def test_balancing_is_for_a_spread_above_two_and_takes_its_time() -> None:
    cluster = running(TEN, "a", "b")
    assert set(cluster.loads().values()) == {5}
    before = cluster.now
    cluster.start("c")
    cluster.run(QUIET - 1)
    assert not cluster.moved_since(before)
    cluster.run(20)
    moves = cluster.moved_since(before)
    assert {move[4] for move in moves} == {"rebalanced"}
    assert {move[3] for move in moves} == {"c"}
    assert sorted(cluster.loads().values()) == [3, 3, 4]
    assert all(later[0] - earlier[0] >= 1.0 - 1e-6 for earlier, later in itertools.pairwise(moves))


def pinned(cluster: Cluster, targets: str) -> None:
    """Every address where it is wanted, and free to leave again."""
    for vip, target in zip(VIPS, targets, strict=True):
        cluster.pins[address(vip)] = Pin(address=address(vip), node=target, version=1, by="t", since_unix=0.0)
    cluster.run(2)
    cluster.pins.clear()


def test_a_spread_of_two_is_left_alone_until_somebody_orders() -> None:
    cluster = running(TEN, "a", "b", "c")
    pinned(cluster, "aaaabbbbcc")
    before = cluster.now
    cluster.run(120)
    assert not cluster.moved_since(before)
    cluster.rebalance = Rebalance(version=1, by="t", since_unix=EPOCH + cluster.now)
    cluster.run(10)
    assert sorted(cluster.loads().values()) == [3, 3, 4]
    assert len(cluster.moved_since(before)) == 1
    pinned(cluster, "aaaabbbbcc")
    rest = cluster.now
    cluster.run(120)
    assert not cluster.moved_since(rest), "an order is for once"


def test_a_higher_preference_takes_over_when_it_has_been_well_for_a_minute() -> None:
    cluster = running(preferring("a"), "b", "c")
    before = cluster.now
    cluster.start("a")
    cluster.run(STABLE - 1)
    assert not cluster.moved_since(before)
    cluster.run(12)
    assert cluster.loads() == {"a": 10, "b": 0, "c": 0}
    moves = cluster.moved_since(before)
    assert [move[4] for move in moves] == ["failback"] * 10
    assert all(later[0] - earlier[0] >= 1.0 - 1e-6 for earlier, later in itertools.pairwise(moves))


def test_who_was_away_begins_its_minute_anew() -> None:
    cluster = running(preferring("a"), "b", "c")
    cluster.start("a")
    cluster.run(STABLE - 5)
    cluster.stop("a", Liveness.GONE)
    cluster.run(1)
    before = cluster.now
    cluster.start("a")
    cluster.run(STABLE - 1)
    assert not cluster.moved_since(before)


@pytest.mark.parametrize(
    ("policy", "back"), [(Failback.NEVER, False), (Failback.PREFERRED, True), (Failback.ALWAYS, True), (None, True)]
)
def test_failback_is_as_it_is_asked_for(policy: Failback | None, back: bool) -> None:
    cluster = running(preferring("a", VIPS[:1], failback=policy), "b", "c")
    cluster.start("a")
    cluster.run(STABLE + 10)
    assert cluster.owner(address(VIPS[0])) == (["a"] if back else cluster.owner(address(VIPS[0])))
    assert (cluster.owner(address(VIPS[0])) == ["a"]) is back


@pytest.mark.parametrize("policy", [None, Failback.ALWAYS])
def test_equal_nodes_take_nothing_back_but_where_it_is_always(policy: Failback | None) -> None:
    ad = L2Advertisement(name="l2", failback=policy)
    cluster = running(vip_world(VIPS[:1], nodes=NODES, advertisements=[ad]), "a", "b", "c")
    (first,) = cluster.owner(address(VIPS[0]))
    cluster.stop(first, Liveness.GONE)
    cluster.run(2)
    cluster.start(first)
    cluster.run(STABLE + 10)
    assert (cluster.owner(address(VIPS[0])) == [first]) is (policy is Failback.ALWAYS)


def test_a_service_has_its_own_word() -> None:
    found = preferring("a", VIPS[:2])
    (one, two) = found.services.values()
    stays = replace(one, load_balancer=replace(one.load_balancer, failback=Failback.NEVER))
    cluster = running(replace(found, services=MappingProxyType({one.key: stays, two.key: two})), "b", "c")
    cluster.start("a")
    cluster.run(STABLE + 10)
    assert cluster.owner(address(VIPS[1])) == ["a"]
    assert cluster.owner(address(VIPS[0])) != ["a"]


def test_a_pin_moves_at_once_and_stays_until_it_is_released() -> None:
    cluster = running(TEN, *NAMES)
    vip = address(VIPS[0])
    (owner,) = cluster.owner(vip)
    target = next(name for name in NAMES if name != owner)
    cluster.pins[vip] = Pin(address=vip, node=target, version=1, by="t", since_unix=0.0)
    before = cluster.now
    cluster.run(0.5, cluster_is_whole(cluster))
    assert cluster.owner(vip) == [target]
    assert [(move[2], move[3], move[4]) for move in cluster.moved_since(before)] == [(owner, target, "moved")]
    cluster.stop(target, Liveness.GONE)
    cluster.run(5)
    assert cluster.owner(vip) not in ([], [target])
    cluster.start(target)
    cluster.run(1)
    assert cluster.owner(vip) == [target]


def test_of_two_pins_on_one_group_the_later_one_counts() -> None:
    dual = vip_world([["192.0.2.1", "2001:db8::1"]], nodes=NODES)
    cluster = running(dual, *NAMES)
    four, six = address("192.0.2.1"), address("2001:db8::1")
    cluster.pins[four] = Pin(address=four, node="b", version=4, by="t", since_unix=0.0)
    cluster.pins[six] = Pin(address=six, node="c", version=5, by="t", since_unix=0.0)
    cluster.run(2)
    assert (cluster.owner(four), cluster.owner(six)) == (["c"], ["c"])
    rest = cluster.now
    cluster.run(60)
    assert not cluster.moved_since(rest)


def cluster_is_whole(cluster: Cluster):  # type: ignore[no-untyped-def]
    """Every address has somebody who answers, at every moment."""

    def check() -> None:
        assert all(cluster.owner(address(vip)) for vip in VIPS)

    return check


def test_a_drain_takes_everything_away_and_leaves_no_gap() -> None:
    cluster = running(TEN, *NAMES)
    cluster.drains["a"] = Drain(node="a", version=1, by="t", since_unix=EPOCH + cluster.now)
    before = cluster.now
    cluster.run(1, cluster_is_whole(cluster))
    assert cluster.loads()["a"] == 0
    assert spread([cluster.loads()[name] for name in NAMES[1:]]) <= 1
    assert {move[4] for move in cluster.moved_since(before)} == {"drained"}
    cluster.everything_is_owned_once()
    cluster.run(120)
    assert cluster.loads()["a"] == 0
    del cluster.drains["a"]
    rest = cluster.now
    cluster.run(QUIET + 10)
    assert spread(cluster.loads().values()) <= 1, "who is back is given its part"
    assert cluster.moved_since(rest)


def test_a_forced_drain_of_the_only_node_ends_after_three_seconds() -> None:
    ad = L2Advertisement(name="l2", node_selectors=(selector(host="a"),))
    cluster = running(vip_world(VIPS[:1], nodes=NODES, advertisements=[ad]), *NAMES)
    cluster.drains["a"] = Drain(node="a", version=1, by="t", since_unix=0.0)
    cluster.run(DRAIN_TIME - 0.2)
    assert cluster.owner(address(VIPS[0])) == ["a"]
    cluster.run(0.5)
    assert cluster.owner(address(VIPS[0])) == []


def test_a_drain_that_strands_groups_is_known_before() -> None:
    held = [allocation("x", VIPS[0]), allocation("y", VIPS[1])]
    local = world(
        held,
        nodes=NODES,
        services=[service("x", local=True), service("y")],
        slices=[endpoints("x", endpoint("a")), endpoints("y", endpoint("a"))],
    )
    cluster = running(local, "a", "b")
    seen = cluster.view("b")
    found = stranded_by_drain(Snapshot(world=local, view=seen), "a")
    assert [group.key for group in found] == [(address(VIPS[0]),)]
    assert stranded_by_drain(Snapshot(world=local, view=seen), "b") == ()
    assert [g.key for g in stranded_by_drain(Snapshot(world=local), "a")] == [(address(VIPS[0]),)]
    alone = stranded_by_drain(Snapshot(world=TEN, view=view("a")), "a")
    assert len(alone) == 10


def local_world(*nodes: str, generation: int) -> World:
    found = [endpoint(node) for node in nodes]
    return world(
        [allocation("x", VIPS[0])],
        nodes=NODES,
        services=[service("x", local=True)],
        slices=[endpoints("x", *found)],
        generation=generation,
    )


def test_a17_the_last_endpoint_flaps_and_nothing_moves() -> None:
    cluster = running(local_world("a", generation=1), "a", "b", "c")
    before = cluster.now
    for generation in range(2, 12, 2):
        cluster.become(local_world(generation=generation))
        cluster.run(ENDPOINT_TIME - 0.5)
        assert cluster.owner(address(VIPS[0])) == ["a"]
        cluster.become(local_world("a", generation=generation + 1))
        cluster.run(1)
    assert not cluster.moved_since(before)
    cluster.become(local_world(generation=20))
    cluster.run(ENDPOINT_TIME + 0.5)
    assert cluster.owner(address(VIPS[0])) == []


def test_a17_where_another_has_an_endpoint_it_takes_over_without_a_gap() -> None:
    cluster = running(local_world("a", generation=1), "a", "b", "c")
    before = cluster.now
    newer = local_world("b", generation=2)

    def owned() -> None:
        assert cluster.owner(address(VIPS[0]))

    cluster.become(newer, "b")
    cluster.run(0.3, owned)
    cluster.become(newer)
    cluster.run(3, owned)
    assert cluster.owner(address(VIPS[0])) == ["b"]
    assert [move[3:] for move in cluster.moved_since(before)] == [("b", "owner_not_eligible")]
    back = local_world("a", "b", generation=3)
    cluster.become(back)
    cluster.run(90, owned)
    assert cluster.owner(address(VIPS[0])) == ["b"], "its endpoint is back, and that moves nothing"


def test_who_comes_and_goes_is_given_nothing_for_longer_each_time() -> None:
    cluster = running(TEN, *NAMES)
    for _ in range(4):
        cluster.stop("e", Liveness.GONE)
        cluster.run(1)
        cluster.start("e")
        cluster.run(1)
    more = vip_world([*VIPS, *(f"192.0.2.{n}" for n in range(11, 13))], nodes=NODES)
    cluster.become(more)
    cluster.run(2)
    assert cluster.loads()["e"] == 0, "new groups go to others"
    cluster.run(100)
    assert cluster.loads()["e"] >= 2, "and later it has its part again"
