"""Who is announced by nobody, why, and which of it is a trouble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from lbctl.model.advertisement import L2Advertisement
from lbctl.model.member import Liveness
from lbctl.model.node import Node
from lbctl.model.service import ServiceType
from lbctl.model.snapshot import Drain, Snapshot, View, World
from lbctl.plan.elect import elect
from lbctl.plan.reason import Reason, Refusal, waiting
from lbctl.plan.unowned import GRACE, Unowned, claimed, grouped, settled, troubles, unowned
from tests.support.worlds import address, by_key, claim, endpoint, endpoints, key, member, quarantine, view, vip_world

VIP, SECOND = "192.0.2.1", "192.0.2.2"
THREE = tuple(Node(name=name) for name in ("n1", "n2", "n3"))
ALIVE = view(*(member(node.name, interfaces=["eth0"]) for node in THREE))
TYPO = [L2Advertisement(name="l2", interfaces=("eth9",))]


def found(world: World, seen: View = ALIVE) -> tuple[Unowned, ...]:
    _, memo = elect(Snapshot(world=world, view=seen))
    return unowned(world, memo, claimed(seen))


def made(vips: Sequence[Any] = (VIP,), **more: Any) -> World:
    return vip_world(vips, nodes=THREE, **more)


def said(world: World, seen: View = ALIVE) -> tuple[str, ...]:
    return troubles(found(world, seen))


def test_what_somebody_announces_is_none() -> None:
    assert found(made(), replace(ALIVE, claims={"n2": {address(VIP): claim("n2", VIP)}})) == ()


def test_the_word_of_the_dead_does_not_count() -> None:
    seen = view(member("n1", interfaces=["eth0"]), member("n2", Liveness.GONE), claims=[claim("n2", VIP)])
    (one,) = found(made(), seen)
    assert (one.planned, one.address) == ("n1", address(VIP))


def test_a_drained_node_is_not_called_dead() -> None:
    drains = {name: Drain(node=name, version=1, by="n2", since_unix=0.0) for name in ("n1", "n3")}
    seen = view(member("n1", interfaces=["eth0"]), member("n2", Liveness.GONE), member("n3", Liveness.GONE))
    (one,) = found(made(), replace(seen, drains=drains))
    why = [(refusal.subject, refusal.reason) for refusal in one.refusals]
    assert sorted(why) == [
        ("n1", Reason.NODE_DRAINED),
        ("n2", Reason.NODE_NOT_ALIVE),
        ("n3", Reason.NODE_DRAINED),
        ("n3", Reason.NODE_NOT_ALIVE),
    ]
    assert one.mendable


@pytest.mark.parametrize(
    ("world", "why"),
    [
        (made(advertisements=TYPO), "no_interface (eth9): n1, n2, n3"),
        (made(advertisements=[]), "no_advertisement (pool pool)"),
        (made(advertisements=[L2Advertisement(name="l2", pools=("pol",))]), "no_advertisement (pool pool)"),
    ],
)
def test_a_mistake_in_an_advertisement_is_a_trouble_with_its_reason(world: World, why: str) -> None:
    assert said(world) == (f"default/s0: {VIP} is announced by nobody: {why}",)


def test_where_no_speaker_lives_each_is_named() -> None:
    assert said(made(), view()) == (f"default/s0: {VIP} is announced by nobody: node_not_alive: n1, n2, n3",)


def test_a_node_that_should_and_does_not_is_named() -> None:
    (one,) = found(made())
    assert one.planned is not None
    assert [(each.subject, each.reason) for each in one.refusals] == [(one.planned, Reason.NOT_CLAIMED)]


def test_no_endpoints_and_a_quarantine_are_reasons_and_no_troubles() -> None:
    without = made(slices=[])
    assert [each.refusals[0].reason for each in found(without)] == [Reason.NO_ENDPOINTS]
    taken = replace(made(), quarantined=by_key([quarantine(VIP)]))
    assert [each.refusals[0].reason for each in found(taken)] == [Reason.QUARANTINED]
    assert said(without) == said(taken) == ()


def test_one_address_of_a_service_may_be_silent() -> None:
    six = "2001:db8::1"
    world = made([(VIP, six)], slices=[endpoints("s0", endpoint("n1"))])
    seen = replace(ALIVE, claims={"n1": {address(VIP): claim("n1", VIP)}})
    assert [(each.address, each.refusals[0].reason) for each in found(world, seen)] == [
        (address(six), Reason.NO_ENDPOINTS)
    ]


def test_two_addresses_for_one_reason_are_one_line() -> None:
    world = made([(VIP, SECOND)], advertisements=[])
    assert said(world) == (f"default/s0: {VIP} and {SECOND} are announced by nobody: no_advertisement (pool pool)",)


def test_others_are_not_looked_at() -> None:
    world = made(advertisements=[])
    (service,) = world.services.values()
    assert found(replace(world, services=by_key([replace(service, type=ServiceType.CLUSTER_IP)]))) == ()
    assert found(replace(world, services={})) == ()


def test_of_many_three_are_named_and_the_others_counted() -> None:
    lines = said(made([f"192.0.2.{n}" for n in range(10)], advertisements=TYPO))
    assert [line.split(":")[0] for line in lines[:3]] == ["default/s0", "default/s1", "default/s2"]
    assert lines[3:] == ("7 more services are announced by nobody; `lbctl services --pending` says why",)


def test_what_may_be_in_progress_is_no_trouble_yet() -> None:
    typo = found(made(advertisements=TYPO, since_unix=100.0))
    assert settled(typo, now_unix=100.0 + GRACE - 0.1, noticed={}) == []
    assert settled(typo, now_unix=100.0 + GRACE, noticed={}) == list(typo)
    to_claim = found(made(since_unix=100.0))
    assert settled(to_claim, now_unix=200.0, noticed={}) == []
    assert settled(to_claim, now_unix=200.0, noticed={address(VIP): 199.0}) == []
    assert settled(to_claim, now_unix=200.0, noticed={address(VIP): 197.0}) == list(to_claim)


def test_refusals_that_differ_in_their_subject_are_told_together() -> None:
    same = [Refusal(name, Reason.NO_INTERFACE, "eth9") for name in ("b", "a", "b")]
    other = Refusal("a", Reason.NODE_NOT_SELECTED)
    assert [(refusal.reason, names) for refusal, names in grouped([*same, other])] == [
        (Reason.NO_INTERFACE, ("b", "a")),
        (Reason.NODE_NOT_SELECTED, ("a",)),
    ]


def test_services_of_another_class_do_not_wait() -> None:
    other = (Refusal("default/a", Reason.OTHER_CLASS, "acme.io/lb"),)
    assert waiting({key("a"): other, key("b"): (Refusal("pool", Reason.POOL_EXHAUSTED),)}) == 1


def test_of_many_nodes_some_are_named() -> None:
    nodes = tuple(Node(name=f"n{n}") for n in range(9))
    (line,) = said(vip_world([VIP], nodes=nodes), view())
    assert line.endswith("node_not_alive: n0, n1, n2, n3, n4 and 4 more")
