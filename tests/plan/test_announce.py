"""What one node prepares, claims and releases."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from types import MappingProxyType

import pytest

from lbctl.model.address import IPAddress
from lbctl.model.advertisement import L2Advertisement
from lbctl.model.member import Liveness
from lbctl.model.node import Node
from lbctl.model.snapshot import Pin, Snapshot, View, World
from lbctl.plan.announce import PATIENCE, Decision, Unowned, announce, decide
from lbctl.plan.claims import rendezvous
from lbctl.plan.eligible import OwnInterfaces
from lbctl.plan.planned import Plan
from lbctl.plan.reason import Cause
from tests.support.worlds import (
    address,
    allocation,
    claim,
    labels,
    member,
    selector,
    view,
    vip_world,
    world,
)

VIP = "192.0.2.1"
D = 0.15
NODES = [Node(name=name, labels=labels(host=name)) for name in "abc"]
ONE = vip_world([VIP], nodes=NODES)
FIRST, SECOND, LAST = sorted("abc", key=lambda node: -rendezvous(node, address(VIP)))


def planned(node: str, found: World, seen: View, *, usable: Mapping[str, bool] | None = None) -> Plan:
    own = OwnInterfaces(node=node, usable=usable if usable is not None else {"eth0": True})
    return announce(Snapshot(world=found, view=seen), own=own)[0]


def decided(
    node: str,
    found: World,
    seen: View,
    *,
    unowned: Mapping[str, Unowned] | None = None,
    probing: Set[IPAddress] = frozenset(),
    probing_time: float = 0.0,
    now: float = 100.0,
) -> Decision:
    waiting: dict[IPAddress, Unowned] = {address(text): each for text, each in (unowned or {}).items()}
    return decide(
        planned(node, found, seen),
        seen,
        node,
        unowned=MappingProxyType(waiting),
        detection_time=D,
        probing=probing,
        probing_time=probing_time,
        now=now,
    )


def new(since: float = 100.0) -> dict[str, Unowned]:
    return {VIP: Unowned(since=since, cause=Cause.FIRST_ANNOUNCED)}


def test_every_address_i_may_announce_is_prepared_with_heirs_that_are_not_me() -> None:
    for node, heirs in ((FIRST, (SECOND, LAST)), (SECOND, (FIRST, LAST)), (LAST, (FIRST, SECOND))):
        (entry,) = planned(node, ONE, view("a", "b", "c")).prepared.values()
        assert (entry.heirs, entry.allocation_id, entry.interfaces) == (heirs, 1, None)


def test_heirs_are_alive() -> None:
    (entry,) = planned(FIRST, ONE, view(FIRST, LAST, member(SECOND, Liveness.GONE))).prepared.values()
    assert entry.heirs == (LAST,)


def test_what_i_may_not_announce_is_not_prepared() -> None:
    assert not planned("a", ONE, view("a", "b", "c"), usable={}).prepared
    ad = L2Advertisement(name="l2", node_selectors=(selector(host="b"),))
    assert not planned("a", vip_world([VIP], nodes=NODES, advertisements=[ad]), view("a", "b")).prepared


def test_the_elected_claims_at_once_what_is_new() -> None:
    assert decided(FIRST, ONE, view("a", "b", "c"), unowned=new()) == Decision(
        claim={address(VIP): Cause.FIRST_ANNOUNCED}
    )


@pytest.mark.parametrize(("node", "turn"), [(SECOND, 1), (LAST, 2)])
def test_the_others_wait_their_turn(node: str, turn: int) -> None:
    """Two speakers whose worlds differ may each take the other for the owner; in the end one of them claims."""
    seen = view("a", "b", "c")
    waiting = decided(node, ONE, seen, unowned=new(), now=100.0)
    assert (waiting.claim, waiting.look_again_at) == ({}, 100.0 + turn * PATIENCE)
    assert decided(node, ONE, seen, unowned=new(), now=100.0 + turn * PATIENCE).claim == {
        address(VIP): Cause.FIRST_ANNOUNCED
    }


@pytest.mark.parametrize("cause", [Cause.OWNER_GONE, Cause.OWNER_LEFT])
def test_heirs_get_a_detection_time_before_the_plan_helps(cause: Cause) -> None:
    unowned = {VIP: Unowned(since=100.0, cause=cause)}
    early = decided(FIRST, ONE, view("a", "b", "c"), unowned=unowned, now=100.0)
    assert (early.claim, early.look_again_at) == ({}, 100.0 + D)
    assert decided(FIRST, ONE, view("a", "b", "c"), unowned=unowned, now=100.0 + D).claim == {address(VIP): cause}


def test_nothing_is_claimed_on_claims_that_are_not_synced() -> None:
    assert decided(FIRST, ONE, view("a", "b", "c", synced=False), unowned=new()) == Decision()


def test_nothing_is_claimed_that_somebody_holds_or_i_have() -> None:
    for holder in (FIRST, SECOND):
        seen = view("a", "b", "c", claims=[claim(holder, VIP)])
        assert decided(FIRST, ONE, seen) == Decision()


RELEASES = [
    pytest.param(vip_world([]), Cause.NO_LONGER_ALLOCATED, id="freed"),
    pytest.param(
        vip_world([VIP], nodes=[Node(name="a", network_unavailable=True)]), Cause.NOT_ELIGIBLE, id="no network"
    ),
]


@pytest.mark.parametrize(("found", "cause"), RELEASES)
def test_what_i_hold_and_may_not_is_released(found: World, cause: Cause) -> None:
    assert decided("a", found, view("a", "b", claims=[claim("a", VIP)])).release == {address(VIP): cause}


def test_the_next_in_line_waits_as_long_as_the_owner_probes() -> None:
    found, seen = vip_world([VIP], nodes=NODES), view("a", "b")
    owner = planned("a", found, seen).prepared[address(VIP)].owner
    other = "b" if owner == "a" else "a"
    unowned = {VIP: Unowned(since=100.0, cause=Cause.FIRST_ANNOUNCED)}

    def at(node: str, now: float, probing: Set[IPAddress] = frozenset()) -> Decision:
        return decided(node, found, seen, unowned=unowned, now=now, probing=probing, probing_time=3.0)

    assert at(other, 100.0 + PATIENCE).claim
    waiting = at(other, 100.0 + PATIENCE, probing={address(VIP)})
    assert not waiting.claim
    assert waiting.look_again_at == 103.0 + PATIENCE
    assert at(other, 103.0 + PATIENCE, probing={address(VIP)}).claim
    assert at(str(owner), 100.0, probing={address(VIP)}).claim


def test_a_joined_group_ends_at_one_node() -> None:
    joined = world([allocation("x", VIP, "2001:db8::1")], nodes=NODES)
    seen = view("a", "b", claims=[claim("a", VIP, 2), claim("b", "2001:db8::1", 7)])
    assert decided("a", joined, seen).release == {address(VIP): Cause.LOST_TO_BETTER_CLAIM}
    assert decided("b", joined, seen) == Decision()
    freed = view("a", "b", claims=[claim("b", "2001:db8::1", 7)])
    unowned = {VIP: Unowned(since=100.0, cause=Cause.RELEASED)}
    assert decided("b", joined, freed, unowned=unowned).claim == {address(VIP): Cause.RELEASED}
    assert decided("a", joined, freed, unowned=unowned).claim == {}


def test_unsynced_claims_take_nothing_from_me() -> None:
    joined = world([allocation("x", VIP, "2001:db8::1")], nodes=NODES)
    seen = view("a", "b", claims=[claim("a", VIP, 2), claim("b", "2001:db8::1", 7)], synced=False)
    assert decided("a", joined, seen).release == {}


def test_allowed_interfaces_come_with_the_address() -> None:
    ad = L2Advertisement(name="l2", interfaces=("eth0", "eth1"))
    (entry,) = planned("a", vip_world([VIP], nodes=NODES, advertisements=[ad]), view("a")).prepared.values()
    assert entry.interfaces == frozenset({"eth0", "eth1"})


def test_one_change_touches_one_address() -> None:
    two = vip_world([VIP, "192.0.2.2"], nodes=NODES)
    own = OwnInterfaces(node="a", usable={"eth0": True})
    other = claim("c", "192.0.2.2")
    first, memo = announce(Snapshot(world=two, view=view("a", "b", "c", claims=[other])), own=own)
    assert first.touched is None
    claimed = view("a", "b", "c", claims=[claim("b", VIP), other])
    second, memo = announce(Snapshot(world=two, view=claimed), memo, own=own)
    assert second.touched == frozenset({address(VIP)})
    assert second.prepared[address("192.0.2.2")] is first.prepared[address("192.0.2.2")]
    third, _ = announce(Snapshot(world=two, view=claimed), memo, own=own)
    assert third.touched == frozenset()
    assert third.prepared is second.prepared


def test_what_another_is_to_take_by_a_planned_move_is_kept_until_it_has_it() -> None:
    """Given up before, it would be nobody's in between."""
    pin = Pin(address=address(VIP), node="b", version=1, by="t", since_unix=0.0)
    seen = replace(view("a", "b", "c", claims=[claim("a", VIP)]), pins=MappingProxyType({pin.address: pin}))
    assert decided("a", ONE, seen).release == {}
    assert set(decided("b", ONE, seen).over) == {address(VIP)}
    assert decided("a", ONE, replace(seen, claims=view("a", "b", claims=[claim("b", VIP, 2)]).claims)).release == {}
