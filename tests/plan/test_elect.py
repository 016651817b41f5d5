"""Who shall announce each group, and who comes next."""

from __future__ import annotations

from collections import Counter

import pytest

from lbctl.model.advertisement import L2Advertisement
from lbctl.model.claim import Claim
from lbctl.model.member import Liveness
from lbctl.model.node import Node
from lbctl.model.snapshot import Snapshot, View, World
from lbctl.plan.candidate import candidates
from lbctl.plan.claims import best, is_living, rendezvous
from lbctl.plan.elect import Assignment, elect
from lbctl.plan.reason import Reason
from tests.support.worlds import (
    addresses,
    allocation,
    claim,
    labels,
    member,
    preferred,
    selector,
    view,
    vip_world,
    world,
)

VIP = "192.0.2.1"
NODES = [Node(name=name, labels=labels(host=name)) for name in "abc"]
ONE = vip_world([VIP], nodes=NODES)
(BY_HASH,) = [sorted("abc", key=lambda node: -rendezvous(node, *addresses(VIP)))]


def assigned(found: World, seen: View | None) -> Assignment:
    result, _ = elect(Snapshot(world=found, view=seen))
    (only,) = result.values()
    return only


def test_without_a_view_the_eligible_are_known_and_the_owner_is_not() -> None:
    found = assigned(ONE, None)
    assert found.owner is None
    assert set(found.order) == {"a", "b", "c"}
    assert found.why_none is None
    assert all(candidate.refusals == () for candidate in candidates(found, None))


def test_nobody_held_it_so_hashing_decides() -> None:
    found = assigned(ONE, view("a", "b", "c"))
    assert found.order == tuple(BY_HASH)
    assert (found.owner, found.heirs) == (BY_HASH[0], tuple(BY_HASH[1:]))
    assert found.held is None


def test_the_dead_are_passed_over() -> None:
    seen = view(*BY_HASH[1:], member(BY_HASH[0], Liveness.GONE))
    found = assigned(ONE, seen)
    assert (found.owner, found.heirs) == (BY_HASH[1], (BY_HASH[2],))


INCUMBENTS = [
    pytest.param([claim(BY_HASH[2], VIP)], BY_HASH[2], id="who holds it keeps it"),
    pytest.param([claim("a", VIP, 3), claim("b", VIP, 5)], "b", id="the higher epoch"),
    pytest.param([claim("a", VIP, 3), claim("b", VIP, 5, quorate=False)], "a", id="a majority before an epoch"),
    pytest.param([claim(BY_HASH[1], VIP, 3), claim(BY_HASH[2], VIP, 3)], BY_HASH[1], id="else by hash"),
    pytest.param([claim("stranger", VIP, 9), claim("a", VIP, 1)], "a", id="a claim of nobody we know"),
]


@pytest.mark.parametrize(("claims", "owner"), INCUMBENTS)
def test_the_best_living_claim_decides(claims: list[Claim], owner: str) -> None:
    found = assigned(ONE, view("a", "b", "c", claims=claims))
    assert found.owner == owner
    assert found.held is not None
    assert owner not in found.heirs


@pytest.mark.parametrize("state", [Liveness.GONE, Liveness.LEFT])
def test_a_claim_of_the_dead_holds_nothing(state: Liveness) -> None:
    last = BY_HASH[2]
    found = assigned(ONE, view(*BY_HASH[:2], member(last, state), claims=[claim(last, VIP)]))
    assert found.owner == BY_HASH[0]


def test_a_suspect_keeps_what_it_holds() -> None:
    last = BY_HASH[2]
    found = assigned(ONE, view(*BY_HASH[:2], member(last, Liveness.SUSPECT), claims=[claim(last, VIP)]))
    assert found.owner == last


def test_who_does_not_hear_us_is_no_candidate() -> None:
    first = BY_HASH[0]
    found = assigned(ONE, view(*BY_HASH[1:], member(first, two_way=False)))
    assert found.owner == BY_HASH[1]
    assert not is_living(member(first, two_way=False))


def preferring(node: str) -> World:
    return vip_world(
        [VIP], nodes=NODES, advertisements=[L2Advertisement(name="l2", preferred_nodes=(preferred(5, host=node),))]
    )


def test_preference_decides_before_the_hash_but_not_before_the_incumbent() -> None:
    last = BY_HASH[2]
    rule = preferring(last)
    assert assigned(rule, view("a", "b", "c")).owner == last
    kept = assigned(rule, view("a", "b", "c", claims=[claim(BY_HASH[0], VIP)]))
    assert (kept.owner, kept.heirs) == (BY_HASH[0], (last, BY_HASH[1]))


def test_an_incumbent_that_may_no_longer_is_replaced() -> None:
    rule = vip_world(
        [VIP], nodes=NODES, advertisements=[L2Advertisement(name="l2", node_selectors=(selector(host="a"),))]
    )
    found = assigned(rule, view("a", "b", "c", claims=[claim("b", VIP)]))
    assert found.owner == "a"
    assert found.heirs == ()


def test_every_loss_has_a_name() -> None:
    first, second, last = BY_HASH
    by_hash = {c.node: c for c in candidates(assigned(ONE, view("a", "b", "c")), view("a", "b", "c"))}
    assert by_hash[first].refusals == ()
    assert [r.reason for r in by_hash[last].refusals] == [Reason.LOWER_RENDEZVOUS]
    seen = view("a", "b", "c")
    weighed = {c.node: c for c in candidates(assigned(preferring(last), seen), seen)}
    assert [r.reason for r in weighed[first].refusals] == [Reason.LOWER_PREFERENCE]
    seen = view(first, second, claims=[claim(second, VIP)])
    held = {c.node: c for c in candidates(assigned(ONE, seen), seen)}
    assert [r.reason for r in held[first].refusals] == [Reason.NOT_INCUMBENT]
    assert [r.reason for r in held[last].refusals] == [Reason.NODE_NOT_ALIVE]
    assert (held[last].eligible, held[last].alive) == (True, False)


WHY_NONE = [
    pytest.param(vip_world([VIP], nodes=NODES), view(), Reason.NODE_NOT_ALIVE, id="all dead"),
    pytest.param(vip_world([VIP], nodes=NODES, slices=[]), view("a"), Reason.NO_ENDPOINTS, id="no endpoints"),
    pytest.param(
        vip_world([VIP], nodes=NODES, advertisements=[]), view("a"), Reason.NO_ADVERTISEMENT, id="not advertised"
    ),
    pytest.param(vip_world([VIP]), view(), Reason.NODE_UNKNOWN, id="no node at all"),
    pytest.param(
        vip_world([VIP], nodes=[Node(name="a", network_unavailable=True)]),
        view("a"),
        Reason.NETWORK_UNAVAILABLE,
        id="no node may",
    ),
]


@pytest.mark.parametrize(("found", "seen", "reason"), WHY_NONE)
def test_nobody_has_a_reason(found: World, seen: View, reason: Reason) -> None:
    assert (assigned(found, seen).owner, assigned(found, seen).why_none) == (None, reason)


def test_a_group_joined_from_two_goes_to_the_better_claim() -> None:
    joined = world([allocation("x", VIP, "2001:db8::1")], nodes=NODES)
    found = assigned(joined, view("a", "b", claims=[claim("a", VIP, 2), claim("b", "2001:db8::1", 7)]))
    assert found.owner == "b"


def test_a_vanished_node_moves_nothing_but_its_own() -> None:
    many = vip_world([f"198.51.100.{n}" for n in range(200)], nodes=NODES)
    before, memo = elect(Snapshot(world=many, view=view("a", "b", "c")))
    held = [claim(str(each.owner), str(key[0])) for key, each in before.items()]
    before, memo = elect(Snapshot(world=many, view=view("a", "b", "c", claims=held)), memo)
    after, _ = elect(Snapshot(world=many, view=view("a", "b", claims=held)), memo)
    assert all(after[key].owner == each.owner for key, each in before.items() if each.owner != "c")
    assert Counter(each.owner for each in after.values()) == {"a": 100, "b": 100}


def test_what_nobody_holds_is_spread_evenly() -> None:
    many = vip_world([f"198.51.100.{n}" for n in range(250)], nodes=NODES)
    result, _ = elect(Snapshot(world=many, view=view("a", "b", "c")))
    shares = sorted(sum(each.owner == node for each in result.values()) for node in "abc")
    assert shares == [83, 83, 84]


def test_what_did_not_change_keeps_its_identity() -> None:
    two = vip_world([VIP, "192.0.2.2"], nodes=NODES)
    first, memo = elect(Snapshot(world=two, view=view("a", "b", "c")))
    second, memo = elect(Snapshot(world=two, view=view("a", "b", "c", claims=[claim("a", VIP)])), memo)
    other = addresses("192.0.2.2")
    assert second[other] is first[other]
    assert second[addresses(VIP)].owner == "a"
    assert memo.touched == frozenset({addresses(VIP)})


def test_of_no_claims_none_is_best() -> None:
    assert best([]) is None
