"""Nodes with an address in the subnet of a VIP are preferred, or required."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from lbctl.model.advertisement import L2Advertisement
from lbctl.model.node import Node
from lbctl.model.snapshot import Snapshot, World
from lbctl.plan.candidate import candidates
from lbctl.plan.elect import Assignment, elect
from lbctl.plan.eligible import OwnInterfaces
from lbctl.plan.reason import Reason
from lbctl.plan.subnet import outside
from tests.support.worlds import addresses, labels, member, preferred, view, vip_world

VIP = "192.0.2.200"
HERE, ELSEWHERE = "192.0.2.0/24", "198.51.100.0/24"


def node(name: str, address: str | None = None, *networks: str) -> Node:
    return Node(
        name=name,
        labels=labels(host=name),
        addresses=addresses(*([address] if address else [])),
        networks=tuple(map(ip_network, networks)),
    )


def assigned(found: World, *names: str, own: str = "a", networks: tuple[str, ...] = (), **more: Any) -> Assignment:
    mine = OwnInterfaces(node=own, usable={"eth0": True}, networks=frozenset(map(ip_network, networks)))
    (only,) = elect(Snapshot(world=found, view=view(*(member(n, **more) for n in names))), own=mine)[0].values()
    return only


def vips(*nodes: Node, vip: str = VIP, **ad: Any) -> World:
    return vip_world([vip], nodes=nodes, advertisements=[L2Advertisement(name="l2", **ad)])


@pytest.mark.parametrize("vip", [f"192.0.2.{n}" for n in range(200, 208)])
def test_who_stands_in_the_subnet_comes_first_whatever_the_hash(vip: str) -> None:
    found = vips(node("a", "192.0.2.1"), node("b", "198.51.100.2"), node("c", "198.51.100.3"), vip=vip)
    for networks in ((HERE,), (HERE, ELSEWHERE)):
        assert assigned(found, "a", "b", "c", networks=networks).owner == "a"
    seen_by_b = assigned(
        vips(node("a", "192.0.2.1", HERE), node("b"), vip=vip), "a", "b", own="b", networks=(ELSEWHERE,)
    )
    assert seen_by_b.owner == "a"
    (b,) = [each for each in candidates(seen_by_b, view("a", "b")) if each.node == "b"]
    assert [refusal.reason for refusal in b.refusals] == [Reason.NO_SUBNET_ADDRESS]


def test_a_preference_that_somebody_wrote_goes_first() -> None:
    found = vips(node("a", "192.0.2.1"), node("b", "198.51.100.2"), preferred_nodes=(preferred(1, host="b"),))
    assert assigned(found, "a", "b", networks=(HERE,)).owner == "b"


def test_where_nothing_is_known_nobody_is_better() -> None:
    outside_of_all = vips(node("a", "10.0.0.1"), node("b", "10.0.0.2"))
    plain = assigned(outside_of_all, "a", "b")
    assert assigned(outside_of_all, "a", "b", networks=("10.0.0.0/24",)) == plain
    assert not any(verdict.outside for verdict in plain.eligibility.verdicts.values())


def test_a_node_without_a_known_address_is_not_called_outside() -> None:
    found = assigned(vips(node("a", "192.0.2.1"), node("b")), "a", "b", networks=(HERE,))
    assert not found.eligibility.verdicts["b"].outside


def test_addresses_come_from_heartbeats_too() -> None:
    found = assigned(vips(node("a"), node("b")), "b", networks=(HERE,), addresses=addresses("198.51.100.7"))
    assert found.eligibility.verdicts["b"].outside
    inside = assigned(vips(node("a"), node("b")), "b", networks=(HERE,), addresses=addresses("192.0.2.7"))
    assert not inside.eligibility.verdicts["b"].outside


def test_required_is_required() -> None:
    found = vips(node("a", "192.0.2.1"), node("b", "198.51.100.2"), require_subnet=True)
    kept = assigned(found, "a", "b", networks=(HERE,))
    assert kept.order == ("a",)
    assert [r.reason for r in kept.eligibility.verdicts["b"].refusals] == [Reason.NO_SUBNET_ADDRESS]
    nobody = assigned(found, "a", "b", networks=("10.0.0.0/8",))
    assert (nobody.owner, nobody.why_none) == (None, Reason.NO_SUBNET_ADDRESS)


def test_a_second_advertisement_without_the_rule_lets_everybody() -> None:
    both = [L2Advertisement(name="l2", require_subnet=True), L2Advertisement(name="other")]
    found = vip_world([VIP], nodes=[node("a", "192.0.2.1"), node("b", "198.51.100.2")], advertisements=both)
    assert set(assigned(found, "a", "b", networks=(HERE,)).order) == {"a", "b"}


def test_both_families_count() -> None:
    dual = vip_world([[VIP, "2001:db8::1"]], nodes=[node("a", "192.0.2.1"), node("b", "192.0.2.2")])
    found = assigned(dual, "a", "b", networks=(HERE, "2001:db8::/64"))
    assert found.owner == "a", "b is not known to have an address of the other family"


def test_what_lies_outside_of_all_networks_is_told() -> None:
    found = outside(addresses("192.0.2.1", "10.0.0.1", "2001:db8::1"), [ip_network(HERE)])
    assert found == list(addresses("10.0.0.1", "2001:db8::1"))
