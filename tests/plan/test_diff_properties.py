"""What holds for every two worlds: nothing differs from itself, and what is told is what the controller then does."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.model.address import Family
from lbctl.model.advertisement import BGPAdvertisement, L2Advertisement
from lbctl.model.endpoint import Endpoint, EndpointSlice, SliceKey
from lbctl.model.node import EXCLUDE_LABEL, Node
from lbctl.model.peer import BGPPeer, PeerAddress, PeerTimers
from lbctl.model.selector import LabelSelector
from lbctl.model.snapshot import World
from lbctl.plan.allocate import AllocationPlan
from lbctl.plan.diff import diff
from lbctl.plan.diff_routes import RouteEvent
from lbctl.plan.diff_sessions import SessionEvent
from lbctl.plan.diff_suppose import NOTHING_SUPPOSED, suppose_endpoints
from lbctl.plan.routes import RoutePlanner, Routes, peer_nodes
from lbctl.plan.settle import settle
from tests.plan import random_worlds
from tests.plan.allocation_worlds import Cluster
from tests.support.worlds import by_key

_NODES = ("n1", "n2", "n3")
_ON = st.sampled_from([(), (), (LabelSelector(match_labels=(("rack", "a"),)),)])


@st.composite
def surroundings(draw: st.DrawFn) -> dict[str, Any]:
    """Nodes, advertisements and peers."""
    made = []
    for name in draw(st.lists(st.sampled_from(_NODES), unique=True, max_size=3)):
        labels = [("rack", draw(st.sampled_from("ab")))]
        if draw(st.integers(0, 7)) == 0:
            labels.append((EXCLUDE_LABEL, ""))
        made.append(Node(name=name, labels=tuple(sorted(labels))))
    peers = [
        BGPPeer(
            name=name,
            my_asn=65001,
            peer_asn=draw(st.sampled_from([65000, 65001])),
            address=PeerAddress(address=draw(st.ip_addresses(network="203.0.113.0/30"))),
            timers=PeerTimers(hold_time=draw(st.sampled_from([None, 30.0]))),
            node_selectors=draw(_ON),
        )
        for name in draw(st.lists(st.sampled_from("rst"), unique=True, max_size=2))
    ]
    layer2 = [
        L2Advertisement(name=name, node_selectors=draw(_ON), pools=draw(_SOME_POOLS))
        for name in draw(st.lists(st.sampled_from("xy"), unique=True, max_size=2))
    ]
    rules = [
        BGPAdvertisement(
            name=name,
            pools=draw(_SOME_POOLS),
            node_selectors=draw(_ON),
            peers=draw(st.sampled_from([(), (), ("r",)])),
            communities=draw(st.sampled_from([(), ("1:1",), ("1:1", "2:2")])),
            local_pref=draw(st.sampled_from([0, 0, 100])),
            aggregation_length=draw(st.sampled_from([32, 32, 24])),
        )
        for name in draw(st.lists(st.sampled_from("uv"), unique=True, max_size=2))
    ]
    return {
        "nodes": by_key(made),
        "bgp_peers": by_key(peers),
        "l2_advertisements": by_key(layer2),
        "bgp_advertisements": by_key(rules),
    }


_SOME_POOLS = st.sampled_from([(), (), ("p0",), ("p1", "p2")])


@st.composite
def slices(draw: st.DrawFn, world: World) -> MappingProxyType[SliceKey, EndpointSlice]:
    made: dict[SliceKey, EndpointSlice] = {}
    for key in world.services:
        for family in draw(st.sampled_from([(), (Family.IPV4,), (Family.IPV4, Family.IPV6)])):
            on = draw(st.sampled_from([("n1",), ("n2", "n3"), _NODES]))
            name = SliceKey(key.namespace, f"{key.name}-{family}")
            made[name] = EndpointSlice(
                key=name,
                service=key,
                family=family,
                endpoints=tuple(Endpoint(addresses=(), node=node) for node in on),
            )
    return MappingProxyType(made)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Cluster, World]:
    """A cluster that has come some way and rests, and the world to be."""
    cluster = Cluster(*draw(random_worlds.pools()))
    cluster.world = replace(cluster.world, **draw(surroundings()))
    for change in draw(st.lists(random_worlds.changes(), max_size=4)):
        change(cluster)
        cluster.world = replace(cluster.world, slices=draw(slices(cluster.world)))
        cluster.settle(rounds=8)
    cluster.settle(rounds=8)
    new = Cluster()
    new.world = cluster.world
    for change in draw(st.lists(random_worlds.changes(), max_size=3)):
        change(new)
    if draw(st.booleans()):
        new.world = replace(new.world, **draw(surroundings()))
    if draw(st.booleans()):
        new.world = replace(new.world, slices=draw(slices(new.world)))
    return cluster, new.world


def _told(plan: AllocationPlan) -> dict[str, list[object]]:
    return {
        "releases": [(r.allocation.service, r.allocation.addresses, r.reason, r.detail) for r in plan.releases],
        "grants": [(g.service, g.addresses, g.pool, g.second_pool, g.cause, g.terms) for g in plan.grants],
        "amendments": [(a.allocation.service, a.pool, a.second_pool, a.terms) for a in plan.amendments],
    }


@settings(max_examples=100, deadline=None)
@given(histories())
def test_a_world_does_not_differ_from_itself(history: tuple[Cluster, World]) -> None:
    cluster, _ = history
    world = replace(cluster.world, allocations=cluster.state.allocations)
    assert not diff(world, world, cluster.state.remembered, now_unix=cluster.now)
    assert not diff(world, cluster.world, None, now_unix=cluster.now)


@settings(max_examples=100, deadline=None)
@given(histories())
def test_what_is_told_is_what_the_controller_does(history: tuple[Cluster, World]) -> None:
    """The same plans in the same order as with the real ledger, and the same addresses in the end."""
    cluster, new = history
    current = replace(cluster.world, allocations=cluster.state.allocations)
    cluster.now += 1
    found = diff(current, new, cluster.state.remembered, now_unix=cluster.now)
    assert found.after.finished
    cluster.world = new
    cluster.memo = None
    plans = []
    while not (plan := cluster.look(memo=False)).settled:
        plans.append(_told(plan))
        cluster.commit(plan)
    assert [_told(plan) for plan in found.after.plans] == plans
    assert dict(found.after.pending) == dict(plan.pending)
    held = cluster.state.allocations
    assert {key: (item.addresses, item.pool) for key, item in found.after.world.allocations.items()} == {
        key: (item.addresses, item.pool) for key, item in held.items()
    }
    assert dict(found.after.remembered.terms) == dict(cluster.state.remembered.terms)
    assert found.after.remembered.freed.keys() == cluster.state.remembered.freed.keys()
    changed = {
        key
        for key in current.allocations.keys() | held.keys()
        if (key in current.allocations) != (key in held) or current.allocations[key].addresses != held[key].addresses
    }
    assert {item.service for item in found.services if item.event not in ("pool", "waits")} == changed


@settings(max_examples=60, deadline=None)
@given(histories())
def test_routes_and_sessions_add_up(history: tuple[Cluster, World]) -> None:
    """What was there, without what goes, with what comes, is what will be there."""
    cluster, new = history
    current = replace(cluster.world, allocations=cluster.state.allocations)
    found = diff(current, new, cluster.state.remembered, now_unix=cluster.now)
    before, after, supposed = suppose_endpoints(found.before.world, found.after.world)
    assert found.supposed in (supposed, NOTHING_SUPPOSED)
    if not before.nodes or not after.nodes or before.bgp_peers.keys() != after.bgp_peers.keys():
        return
    was, shall = _all_routes(before), _all_routes(after)
    for change in found.routes:
        for node in change.nodes:
            key = (node, change.peer, change.prefix)
            assert was.get(key) == change.before
            assert shall.get(key) == change.after
            if change.event is RouteEvent.WITHDRAWN:
                del was[key]
            else:
                assert change.after is not None
                was[key] = change.after
    assert was == shall
    sessions, sessions_after = _sessions(before), _sessions(after)
    for event in found.sessions:
        pairs = {(event.peer, node) for node in event.nodes}
        match event.event:
            case SessionEvent.OPENS:
                sessions |= pairs
            case SessionEvent.CLOSES:
                sessions -= pairs
            case SessionEvent.RESETS:
                assert pairs <= sessions
    assert sessions == sessions_after


def _all_routes(world: World) -> dict[tuple[str, str, Any], Any]:
    planner = RoutePlanner(world)
    return {
        (node, peer, route.prefix): route.attributes
        for node in world.nodes
        for routes in planner.of(node).values()
        for route in routes
        for peer in route.peers
    }


def _sessions(world: World) -> set[tuple[str, str | None]]:
    return {(peer, node) for peer, nodes in peer_nodes(world).items() for node in nodes}


def _shuffled(items: Iterable[tuple[Any, Any]], seed: int) -> dict[Any, Any]:
    pairs = list(items)
    random.Random(seed).shuffle(pairs)
    return dict(pairs)


@settings(max_examples=40, deadline=None)
@given(histories(), st.integers(0, 100))
def test_the_order_of_the_text_changes_nothing(history: tuple[Cluster, World], seed: int) -> None:
    cluster, new = history
    current = replace(cluster.world, allocations=cluster.state.allocations)
    maps = ("services", "slices", "nodes", "pools", "l2_advertisements", "bgp_advertisements", "bgp_peers")
    shuffled: dict[str, Any] = {name: _shuffled(getattr(new, name).items(), seed) for name in maps}
    mixed = replace(new, **shuffled)
    one = diff(current, new, cluster.state.remembered, now_unix=cluster.now)
    other = diff(current, mixed, cluster.state.remembered, now_unix=cluster.now)
    assert (one.services, one.stranded, one.sessions, one.routes, one.pending) == (
        other.services,
        other.stranded,
        other.sessions,
        other.routes,
        other.pending,
    )
    assert one.vips == other.vips


@settings(max_examples=60, deadline=None)
@given(histories())
def test_routes_are_well_formed(history: tuple[Cluster, World]) -> None:
    cluster, _ = history
    world = replace(cluster.world, allocations=cluster.state.allocations)
    planner = RoutePlanner(world)
    for node in world.nodes:
        routes: Routes = planner.of(node)
        for prefix, found in routes.items():
            peers = [peer for route in found for peer in route.peers]
            assert len(peers) == len(set(peers)), "one route a peer"
            for route in found:
                assert route.prefix == prefix
                assert route.services
                assert list(route.services) == sorted(set(route.services))
                assert set(route.peers) <= planner.peers_of(node)
        for key, allocation in world.allocations.items():
            for address in allocation.addresses:
                refusal = planner.why_not(node, key, address)
                said = any(
                    address in prefix and any(key in route.services for route in found)
                    for prefix, found in routes.items()
                )
                assert said == (refusal is None), refusal


def test_from_nothing_twice_is_the_same() -> None:
    """An empty ledger comes to rest, and at rest stays so."""

    @settings(max_examples=40, deadline=None)
    @given(histories())
    def check(history: tuple[Cluster, World]) -> None:
        _, world = history
        first = settle(replace(world, allocations={}), history[0].state.remembered, now_unix=5.0)
        again = settle(first.world, first.remembered, now_unix=5.0)
        assert first.finished
        assert not again.plans

    check()
