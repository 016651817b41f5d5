"""Who may announce, and every reason why not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbctl.model.address import Family
from lbctl.model.advertisement import L2Advertisement
from lbctl.model.member import Liveness
from lbctl.model.node import EXCLUDE_LABEL, Node
from lbctl.model.pool import Pool
from lbctl.model.snapshot import Snapshot, View, World, evolve
from lbctl.plan.eligible import Eligibility, OwnInterfaces, eligible
from lbctl.plan.reason import Reason
from tests.support.worlds import (
    address,
    addresses,
    allocation,
    by_key,
    claim,
    conflict,
    endpoint,
    endpoints,
    key,
    labels,
    member,
    observer,
    preferred,
    quarantine,
    selector,
    service,
    view,
    world,
)

VIP = "192.0.2.1"
A, B, C = (Node(name=name, labels=labels(host=name)) for name in "abc")
X = allocation("x", VIP)


def judged(found: World, seen: View | None = None, own: OwnInterfaces | None = None) -> Eligibility:
    result, _ = eligible(Snapshot(world=found, view=seen), own=own)
    (only,) = result.values()
    return only


def may(found: Eligibility) -> list[str]:
    return [verdict.node for verdict in found.nodes]


def reasons(found: Eligibility, node: str) -> list[Reason]:
    return [refusal.reason for refusal in found.verdicts[node].refusals]


def test_every_node_may_when_nothing_speaks_against_it() -> None:
    found = judged(world([X], nodes=[A, B]))
    assert may(found) == ["a", "b"]
    assert found.refusals == ()
    assert found.announced == addresses(VIP)


def test_a_speaker_registers_itself() -> None:
    found = judged(world([X], nodes=[A]), view("a", "b", observer("controller"), member("c", Liveness.GONE)))
    assert may(found) == ["a", "b", "c"], "observers never, the dead may (and shall not)"


def ad(**more: object) -> L2Advertisement:
    return L2Advertisement(name="l2", **more)  # type: ignore[arg-type]


NODE_TABLE = [
    pytest.param([A, B], ad(node_selectors=(selector(host="a"),)), "b", Reason.NODE_NOT_SELECTED, id="node selector"),
    pytest.param([A, replace(B, labels=labels(**{EXCLUDE_LABEL: ""}))], ad(), "b", Reason.NODE_EXCLUDED, id="excluded"),
    pytest.param([A, replace(B, network_unavailable=True)], ad(), "b", Reason.NETWORK_UNAVAILABLE, id="no network"),
]


@pytest.mark.parametrize(("nodes", "rule", "refused", "reason"), NODE_TABLE)
def test_a_node_is_refused_by_name(nodes: list[Node], rule: L2Advertisement, refused: str, reason: Reason) -> None:
    found = judged(world([X], nodes=nodes, advertisements=[rule]))
    assert may(found) == ["a"]
    assert reasons(found, refused) == [reason]


def test_all_reasons_are_told_at_once() -> None:
    bad = Node(name="b", labels=labels(**{EXCLUDE_LABEL: "true"}), network_unavailable=True)
    found = judged(world([X], nodes=[bad], advertisements=[ad(node_selectors=(selector(host="a"),))]))
    assert reasons(found, "b") == [Reason.NODE_EXCLUDED, Reason.NETWORK_UNAVAILABLE, Reason.NODE_NOT_SELECTED]


SELECTED = Pool(name="pool", ranges=(), labels=labels(tier="gold"))
AD_TABLE = [
    pytest.param([], Reason.NO_ADVERTISEMENT, id="none at all"),
    pytest.param([ad(pools=("other",))], Reason.NO_ADVERTISEMENT, id="another pool"),
    pytest.param([ad(pools=("pool",))], None, id="this pool"),
    pytest.param([ad(pool_selectors=(selector(tier="gold"),))], None, id="the pool's labels"),
    pytest.param([ad(pool_selectors=(selector(tier="iron"),))], Reason.NO_ADVERTISEMENT, id="other labels"),
    pytest.param([ad(pools=("other",), pool_selectors=(selector(tier="gold"),))], None, id="either will do"),
    pytest.param([ad(service_selectors=(selector(app="web"),))], None, id="the service's labels"),
    pytest.param([ad(service_selectors=(selector(app="db"),))], Reason.NO_ADVERTISEMENT, id="another service's"),
    pytest.param([ad(service_selectors=(selector(app="db"), selector(app="web")))], None, id="one of two"),
]


@pytest.mark.parametrize(("rules", "reason"), AD_TABLE)
def test_an_advertisement_must_match(rules: list[L2Advertisement], reason: Reason | None) -> None:
    web = service("x", service_labels=labels(app="web"))
    found = judged(world([X], nodes=[A], advertisements=rules, pools=[SELECTED], services=[web]))
    assert [refusal.reason for refusal in found.refusals] == ([reason] if reason else [])
    assert may(found) == ([] if reason else ["a"])


ENDPOINT_TABLE = [
    pytest.param([], [], Reason.NO_ENDPOINTS, id="no slice"),
    pytest.param([endpoint("a", ready=False)], [], Reason.NO_ENDPOINTS, id="not ready"),
    pytest.param([endpoint("a", ready=True)], ["a", "b"], None, id="ready"),
    pytest.param([endpoint("a")], ["a", "b"], None, id="nothing said means ready"),
    pytest.param([endpoint("a", ready=False, serving=True)], ["a", "b"], None, id="terminating but serving"),
    pytest.param([endpoint("c")], ["a", "b"], None, id="on another node"),
]


@pytest.mark.parametrize(("there", "expected", "reason"), ENDPOINT_TABLE)
def test_some_endpoint_must_be_usable(there: list[object], expected: list[str], reason: Reason | None) -> None:
    slices = [endpoints("x", *there)]  # type: ignore[arg-type]
    found = judged(world([X], nodes=[A, B], slices=slices if there else []))
    assert may(found) == expected
    assert [refusal.reason for refusal in found.refusals] == ([reason] if reason else [])


def test_policy_local_needs_an_endpoint_on_the_node() -> None:
    found = judged(
        world(
            [X],
            nodes=[A, B, C],
            services=[service("x", local=True)],
            slices=[
                endpoints("x", endpoint("a"), endpoint("b", ready=False)),
                endpoints("x", endpoint(None), part="2"),
            ],
        )
    )
    assert may(found) == ["a"]
    assert reasons(found, "b") == [Reason.NO_LOCAL_ENDPOINTS]


def test_policy_local_looks_at_every_family_that_has_endpoints() -> None:
    dual = allocation("x", VIP, "2001:db8::1")
    local = service("x", local=True)
    v4, v6 = endpoints("x", endpoint("a"), endpoint("b")), endpoints("x", endpoint("b"), family=Family.IPV6)
    assert may(judged(world([dual], nodes=[A, B], services=[local], slices=[v4, v6]))) == ["b"]
    assert may(judged(world([dual], nodes=[A, B], services=[local], slices=[v4]))) == ["a", "b"], "no IPv6 anywhere"
    assert may(judged(world([X], nodes=[A, B], services=[local], slices=[v4, v6]))) == ["a", "b"], "IPv6 is not its own"


def test_services_of_a_shared_vip_must_all_allow_a_node() -> None:
    shared = [allocation("x", VIP), allocation("y", VIP)]
    services = [
        service("x", service_labels=labels(app="x"), local=True),
        service("y", service_labels=labels(app="y"), local=True),
    ]
    slices = [endpoints("x", endpoint("a"), endpoint("b")), endpoints("y", endpoint("b"), endpoint("c"))]
    assert may(judged(world(shared, nodes=[A, B, C], services=services, slices=slices))) == ["b"]


def test_a_service_without_endpoints_does_not_take_a_shared_vip_down() -> None:
    dual = allocation("x", VIP, "2001:db8::1")
    found = judged(world([dual, allocation("y", VIP)], nodes=[A], slices=[endpoints("y", endpoint("a"))]))
    assert may(found) == ["a"]
    assert [(refusal.subject, refusal.reason) for refusal in found.refusals] == [("default/x", Reason.NO_ENDPOINTS)]
    assert found.announced == addresses(VIP), "its own second address has nobody behind it"


def test_a_sharing_service_and_a_service_selector_do_not_go_together() -> None:
    found = judged(
        world(
            [X],
            nodes=[A],
            services=[service("x", sharing_key="k", service_labels=labels(app="x"))],
            advertisements=[ad(service_selectors=(selector(app="x"),))],
        )
    )
    assert may(found) == []
    assert [refusal.reason for refusal in found.refusals] == [Reason.SHARED_WITH_SERVICE_SELECTOR]


OWN_TABLE = [
    pytest.param({"eth0": True}, (), None, None, id="any"),
    pytest.param({"eth0": True}, ("eth0",), None, frozenset({"eth0"}), id="the named one"),
    pytest.param({"eth0": True}, ("eth9",), Reason.NO_INTERFACE, frozenset({"eth9"}), id="no such"),
    pytest.param({"eth0": False}, ("eth0",), Reason.NO_CARRIER, frozenset({"eth0"}), id="unplugged"),
    pytest.param({"eth0": False, "eth1": True}, ("eth0",), Reason.NO_CARRIER, frozenset({"eth0"}), id="only the other"),
    pytest.param({"eth0": False, "eth1": True}, (), None, None, id="one of two"),
    pytest.param({"eth0": False}, (), Reason.NO_CARRIER, None, id="all unplugged"),
    pytest.param({}, (), Reason.NO_INTERFACE, None, id="none"),
]


@pytest.mark.parametrize(("usable", "named", "reason", "allowed"), OWN_TABLE)
def test_my_own_interfaces_must_be_there_with_carrier(
    usable: dict[str, bool], named: tuple[str, ...], reason: Reason | None, allowed: frozenset[str] | None
) -> None:
    found = judged(
        world([X], advertisements=[ad(interfaces=named)]), view("me"), OwnInterfaces(node="me", usable=usable)
    )
    assert reasons(found, "me") == ([reason] if reason else [])
    assert found.interfaces(address(VIP), "me") == allowed


@pytest.mark.parametrize(
    ("named", "detail"),
    [((), "eth0, eth1"), (("br0",), "eth0"), (("eth1",), "eth1"), (("eth9",), "eth9")],
)
def test_the_port_whose_carrier_is_missing_is_named(named: tuple[str, ...], detail: str) -> None:
    own = OwnInterfaces(node="me", usable={"br0": False, "eth1": False}, lacking={"br0": "eth0"})
    found = judged(world([X], advertisements=[ad(interfaces=named)]), view("me"), own)
    (refusal,) = found.verdicts["me"].refusals
    reason = Reason.NO_INTERFACE if detail == "eth9" else Reason.NO_CARRIER
    assert (refusal.reason, refusal.detail) == (reason, detail)


PACE_TABLE = [
    pytest.param([ad()], None, id="none asked for"),
    pytest.param([ad(announce_rate=5.0)], 5.0, id="asked for"),
    pytest.param([ad(announce_rate=5.0), replace(ad(announce_rate=3.0), name="b")], 3.0, id="the stricter"),
    pytest.param([ad(announce_rate=5.0), replace(ad(), name="b")], 5.0, id="one of two asks"),
    pytest.param(
        [ad(announce_rate=5.0), replace(ad(announce_rate=3.0, node_selectors=(selector(host="b"),)), name="b")],
        5.0,
        id="the other is for another node",
    ),
]


@pytest.mark.parametrize(("rules", "pace"), PACE_TABLE)
def test_the_strictest_pace_of_the_advertisements_that_cover_a_node_counts(
    rules: list[L2Advertisement], pace: float | None
) -> None:
    found = judged(world([X], nodes=[A, B], advertisements=rules))
    assert found.pace(address(VIP), "a") == pace
    assert found.pace(address(VIP), "nobody") is None


def test_other_nodes_interfaces_are_known_from_their_heartbeats() -> None:
    rule = ad(interfaces=("eth1",))
    seen = view(member("a", interfaces=["eth0"]), member("b", interfaces=["eth0", "eth1"]), member("c"))
    found = judged(world([X], advertisements=[rule]), seen)
    assert may(found) == ["b", "c"], "of c nothing is known, so nothing speaks against it"
    assert reasons(found, "a") == [Reason.NO_INTERFACE]


def test_interfaces_of_several_advertisements_add_up() -> None:
    rules = [L2Advertisement(name="one", interfaces=("eth0",)), L2Advertisement(name="two", interfaces=("eth1",))]
    found = judged(world([X], nodes=[A], advertisements=rules))
    assert found.interfaces(address(VIP), "a") == frozenset({"eth0", "eth1"})
    assert found.interfaces(address(VIP), "nobody") == frozenset()


def test_preferences_add_up_over_the_advertisements_that_cover_the_node() -> None:
    rules = [
        L2Advertisement(name="one", preferred_nodes=(preferred(10, host="a"), preferred(5, host="b"), preferred(1))),
        L2Advertisement(name="two", preferred_nodes=(preferred(7, host="b"),)),
        L2Advertisement(name="three", node_selectors=(selector(host="c"),), preferred_nodes=(preferred(50, host="a"),)),
    ]
    found = judged(world([X], nodes=[A, B, C], advertisements=rules))
    assert {node: verdict.weight for node, verdict in found.verdicts.items()} == {"a": 11, "b": 13, "c": 1}


def test_one_changed_slice_leaves_everything_else_as_it_was() -> None:
    before = world([X, allocation("y", "192.0.2.2")], nodes=[A])
    first, memo = eligible(Snapshot(world=before))
    empty = endpoints("x")
    after = evolve(before, made_unix=1.0, slices={**before.slices, empty.key: empty})
    second, memo = eligible(Snapshot(world=after), memo)
    x, y = (addresses(VIP), addresses("192.0.2.2"))
    assert second[y] is first[y]
    assert [refusal.reason for refusal in second[x].refusals] == [Reason.NO_ENDPOINTS]
    assert memo.touched == frozenset({x})
    third, _ = eligible(Snapshot(world=after), memo)
    assert third is second


def test_a_slice_that_goes_to_another_service_takes_its_endpoints_along() -> None:
    before = world([X, allocation("y", "192.0.2.2")], nodes=[A], slices=[endpoints("x", endpoint("a"))])
    first, memo = eligible(Snapshot(world=before))
    assert (may(first[addresses(VIP)]), may(first[addresses("192.0.2.2")])) == (["a"], [])
    (moved,) = (replace(found, service=key("y")) for found in before.slices.values())
    after, _ = eligible(Snapshot(world=evolve(before, made_unix=1.0, slices={moved.key: moved})), memo)
    assert (may(after[addresses(VIP)]), may(after[addresses("192.0.2.2")])) == ([], ["a"])


# Two addresses that are not in the same position ---------------------------------------------------------------------

DUAL = allocation("x", VIP, "2001:db8::1")
V4_ENDPOINTS, V6_ENDPOINTS = endpoints("x", endpoint("a")), endpoints("x", endpoint("b"), family=Family.IPV6)


def test_d23_an_address_without_endpoints_of_its_family_is_not_announced() -> None:
    found = judged(world([DUAL], nodes=[A, B], slices=[V4_ENDPOINTS]))
    assert found.announced == addresses(VIP)
    assert may(found) == ["a", "b"]
    assert [str(refusal) for refusal in found.refusals] == ["default/x: no_endpoints (none of family IPv6)"]
    assert judged(world([DUAL], nodes=[A, B], slices=[V4_ENDPOINTS, V6_ENDPOINTS])).announced == DUAL.addresses


def test_d23_an_address_of_a_single_family_neither() -> None:
    found = judged(world([X], nodes=[A, B], slices=[V6_ENDPOINTS]))
    assert (found.announced, may(found)) == ((), [])


def test_d23_a_sharer_with_endpoints_keeps_the_address_alive() -> None:
    both = [allocation("x", VIP, "2001:db8::1"), allocation("y", "2001:db8::1")]
    other = endpoints("y", endpoint("a"), family=Family.IPV6)
    found = judged(world(both, nodes=[A, B], slices=[V4_ENDPOINTS, other]))
    assert found.announced == addresses(VIP, "2001:db8::1")


def test_policy_local_does_not_ask_for_a_family_that_has_no_endpoints() -> None:
    found = judged(world([DUAL], nodes=[A, B], services=[service("x", local=True)], slices=[V4_ENDPOINTS]))
    assert may(found) == ["a"]


TWO_POOLS = replace(DUAL, pool="p", second_pool="q")


def test_each_address_is_announced_as_its_own_pool_says() -> None:
    rules = [
        L2Advertisement(name="four", pools=("p",), interfaces=("eth0",)),
        L2Advertisement(name="six", pools=("q",), interfaces=("eth1",), node_selectors=(selector(host="b"),)),
    ]
    found = judged(world([TWO_POOLS], nodes=[A, B], advertisements=rules))
    assert found.announced == TWO_POOLS.addresses
    assert may(found) == ["b"], "one node announces both, so both must allow it"
    assert found.interfaces(address(VIP), "b") == frozenset({"eth0"})
    assert found.interfaces(address("2001:db8::1"), "b") == frozenset({"eth1"})


def test_an_address_whose_pool_nobody_advertises_is_left_out() -> None:
    found = judged(world([TWO_POOLS], nodes=[A, B], advertisements=[ad(pools=("q",))]))
    assert found.announced == addresses("2001:db8::1")
    assert [str(refusal) for refusal in found.refusals] == ["default/x: no_advertisement (pool p)"]
    assert found.interfaces(address(VIP), "a") == frozenset()
    assert found.interfaces(address("2001:db8::1"), "a") is None


HELD = world([allocation("x", VIP, "2001:db8::1")], nodes=[A, B])


def kept_back(*texts: str, found: World = HELD) -> World:
    return replace(found, quarantined=by_key([quarantine(text) for text in texts]))


def test_a_quarantined_address_is_left_out_and_the_others_are_announced() -> None:
    found = judged(kept_back(VIP))
    assert found.announced == addresses("2001:db8::1")
    assert may(found) == ["a", "b"]
    assert found.quarantine(address(VIP)) is not None
    assert found.quarantine(address("2001:db8::1")) is None


def test_with_every_address_quarantined_nobody_may_and_each_is_named() -> None:
    found = judged(kept_back(VIP, "2001:db8::1"))
    assert found.announced == ()
    assert reasons(found, "a") == reasons(found, "b") == [Reason.QUARANTINED, Reason.QUARANTINED]
    assert [refusal.detail for refusal in found.verdicts["a"].refusals] == [
        f"{VIP}: 02:00:00:00:00:ee answered on eth0, seen by a",
        "2001:db8::1: 02:00:00:00:00:ee answered on eth0, seen by a",
    ]


def test_a_quarantine_of_an_address_that_is_not_held_is_nobodys_reason() -> None:
    assert may(judged(kept_back("192.0.2.9"))) == ["a", "b"]


@pytest.mark.parametrize(
    ("seen", "kept"),
    [
        (view("a", claims=[claim("a", VIP)]), False),
        (view(member("a", Liveness.GONE), "b", claims=[claim("a", VIP)]), False),
        (view("a", claims=[claim("a", "192.0.2.9")]), True),
        (view("a"), True),
        (None, True),
    ],
    ids=["claimed", "claimed by one that died", "another is claimed", "claimed by nobody", "no view"],
)
def test_what_is_in_use_stays_where_it_is(seen: View | None, kept: bool) -> None:
    found = judged(kept_back(VIP), seen)
    assert (address(VIP) not in found.announced) is kept


@pytest.mark.parametrize(
    ("state", "mac", "kept"),
    [(Liveness.ALIVE, "02:ee", True), (Liveness.GONE, "02:ee", False), (Liveness.ALIVE, "", False)],
)
def test_the_word_of_a_living_speaker_is_enough(state: Liveness, mac: str, kept: bool) -> None:
    found = judged(HELD, view("a", member("b", state, conflicts=(conflict(VIP, mac=mac),))))
    assert (address(VIP) not in found.announced) is kept


def test_an_edit_of_a_pool_is_looked_at_by_its_labels_alone() -> None:
    rule = ad(pool_selectors=(selector(tier="gold"),))
    gold = world([X], nodes=[A, B], advertisements=[rule], pools=[SELECTED])
    first, memo = eligible(Snapshot(world=gold))
    (before,) = first.values()
    wider = evolve(gold, made_unix=1.0, pools={"pool": replace(SELECTED, avoid_buggy_ips=True)})
    answer, after = eligible(Snapshot(world=wider), memo)
    assert next(iter(answer.values())) is before, "nothing of it matters here"
    iron = evolve(wider, made_unix=2.0, pools={"pool": replace(SELECTED, labels=labels(tier="iron"))})
    assert eligible(Snapshot(world=iron), after)[0] == eligible(Snapshot(world=iron))[0]
    assert judged(iron).serving == ()
