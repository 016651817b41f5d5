"""What another configuration would change: one edit, one answer, with its reason."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from lbctl.model.service import ServiceKey
from lbctl.plan.allocate import Remembered
from lbctl.plan.diff import Diff, diff
from tests.plan.diff_worlds import NOW, bgp, l2, manifest, nodes, peer, pool, service, told, world

POOL = pool("p", "192.0.2.0/29")
NODES = nodes("n1", "n2", "n3")
ROUTER = peer("r", "203.0.113.1")
LAYER2 = POOL + l2() + NODES
BGP = POOL + ROUTER + bgp() + NODES


def services(found: Diff) -> list[str]:
    """Lines like "web loses: 192.0.2.0 -> : address_in_no_pool"."""
    return [
        f"{c.service.name} {c.event}: {' '.join(map(str, c.before))} -> {' '.join(map(str, c.after))}: "
        f"{c.reason or c.cause or (c.pending[0].reason if c.pending else 'kept')}"
        for c in found.services
    ]


def vips(found: Diff) -> list[str]:
    return [f"{c.address} {c.event}: {c.before} -> {c.after}: {c.reason}" for c in found.vips]


def sessions(found: Diff) -> list[str]:
    return [
        f"{c.peer} {c.event} {' '.join(c.nodes)}: {c.reason}" + "".join(f" {part.field}" for part in c.fields)
        for c in found.sessions
    ]


def routes(found: Diff) -> list[str]:
    return [
        f"{c.prefix} {c.event} {c.peer} {' '.join(c.nodes)}: {c.reason}"
        + (f" {c.refusal.reason}" if c.refusal is not None else "")
        for c in found.routes
    ]


def objects(found: Diff) -> list[str]:
    """Lines like "BGPPeer r changed: bfdProfile x -> y: session_stays"."""
    return [
        f"{c.kind} {c.name} {c.event}:"
        + "".join(f" {edit.field} {edit.before} -> {edit.after}" for edit in c.edits)
        + "".join(f": {each}" for each in c.consequences)
        for c in found.objects
    ]


def effects(found: Diff) -> list[str]:
    """All that is told but the edits themselves."""
    assert not found.refused
    assert not found.stranded
    return [*services(found), *vips(found), *sessions(found), *routes(found)]


def test_nothing() -> None:
    text = LAYER2 + service("a") + service("b", "loadBalancerClass: example.com/x")
    found = told(text, text)
    assert not found
    assert [item.service.name for item in found.pending] == ["b"]


# Services ------------------------------------------------------------------------------------------------------------

ONE = LAYER2 + service("a")
SERVICES = [
    ("new", LAYER2, ONE, ["a gets:  -> 192.0.2.0: automatic"]),
    ("deleted", ONE + service("b"), ONE, ["b loses: 192.0.2.1 -> : service_deleted"]),
    ("no pool left", ONE, l2() + NODES + service("a"), ["a loses: 192.0.2.0 -> : address_in_no_pool"]),
    (
        "pool moved",
        ONE,
        ONE.replace("192.0.2.0/29", "198.51.100.0/29"),
        ["a changes: 192.0.2.0 -> 198.51.100.0: address_in_no_pool"],
    ),
    ("pool renamed", ONE, ONE.replace("{name: p}", "{name: q}"), ["a pool: 192.0.2.0 -> 192.0.2.0: kept"]),
    (
        "asks for another address",
        ONE,
        LAYER2 + service("a", "loadBalancerIP: 192.0.2.5"),
        ["a changes: 192.0.2.0 -> 192.0.2.5: requested_address_changed"],
    ),
    (
        "no load balancer any more",
        ONE,
        ONE.replace("LoadBalancer", "ClusterIP"),
        ["a loses: 192.0.2.0 -> : not_load_balancer"],
    ),
    (
        "the class of somebody else",
        ONE,
        LAYER2 + service("a", "loadBalancerClass: example.com/x"),
        ["a loses: 192.0.2.0 -> : other_load_balancer_class"],
    ),
    (
        "new, and the pool is full",
        ONE.replace("/29", "/32"),
        (ONE + service("b")).replace("/29", "/32"),
        ["b waits:  -> : pool_exhausted"],
    ),
    (
        "a second family",
        ONE.replace("192.0.2.0/29", "192.0.2.0/29, 2001:db8::/64"),
        LAYER2.replace("192.0.2.0/29", "192.0.2.0/29, 2001:db8::/64")
        + service("a", "ipFamilyPolicy: PreferDualStack", families="46"),
        ["a changes: 192.0.2.0 -> 192.0.2.0 2001:db8::: superseded"],
    ),
]


@pytest.mark.parametrize(("old", "new", "lines"), [row[1:] for row in SERVICES], ids=[row[0] for row in SERVICES])
def test_services(old: str, new: str, lines: list[str]) -> None:
    assert services(told(old, new)) == lines


def test_a_service_that_waited_and_gets_an_address() -> None:
    small = pool("p", "192.0.2.0/32") + l2() + NODES + service("a") + service("b")
    found = told(small, small.replace("/32", "/31"))
    assert services(found) == ["b gets:  -> 192.0.2.1: automatic"]
    assert not found.pending


def test_the_class_that_is_ours() -> None:
    classed = LAYER2 + service("a", "loadBalancerClass: example.com/x") + service("b")
    found = told(classed, LAYER2 + service("b"), load_balancer_class="example.com/x")
    assert services(found) == ["a loses: 192.0.2.0 -> : service_deleted"]
    assert services(told(classed, LAYER2 + service("b"))) == []


def test_the_ledger_counts_and_not_what_a_new_one_would_give() -> None:
    current = world(LAYER2 + service("a"), ("a", "192.0.2.6"))
    shrunk = world(LAYER2.replace("192.0.2.0/29", "192.0.2.0/31") + service("a"))
    assert not diff(current, current, Remembered(), now_unix=NOW)
    found = diff(current, shrunk, Remembered(), now_unix=NOW)
    assert services(found) == ["a changes: 192.0.2.6 -> 192.0.2.0: address_in_no_pool"]


# Stranded addresses --------------------------------------------------------------------------------------------------


def strandings(found: Diff) -> list[tuple[str, str, str]]:
    return [(str(item.address), item.pool, item.reason.value) for item in found.stranded]


def test_a_pool_that_shrinks_under_its_holders() -> None:
    text = ONE + service("b")
    found = told(text, text.replace("192.0.2.0/29", "192.0.2.1-192.0.2.7"))
    assert strandings(found) == [("192.0.2.0", "p", "address_in_no_pool")]
    assert found.stranded[0].services == (ServiceKey("default", "a"),)


def test_an_edit_of_a_protected_pool_is_held_back() -> None:
    old = pool("p", "192.0.2.0/29", protect="in-use") + l2() + NODES + service("a")
    found = told(old, old.replace("192.0.2.0/29", "192.0.2.4/30"))
    assert [(item.subject, item.reason) for item in found.refused] == [("p", "pool_protected")]
    assert "192.0.2.0 from default/a" in found.refused[0].detail
    assert bool(found), "NEW would not come into force"
    assert not found.services
    assert not found.stranded
    assert found.after.world.pools == found.before.world.pools


def test_an_edit_of_a_protected_pool_that_takes_nothing() -> None:
    old = pool("p", "192.0.2.0/29", protect="in-use") + l2() + NODES + service("a")
    assert effects(told(old, old.replace("192.0.2.0/29", "192.0.2.0/30"))) == []
    gone = told(old, old.replace(service("a"), ""))
    assert not gone.refused
    assert effects(told(old, ONE)) == [], "to give the protection up changes nothing yet"


def test_a_pool_that_is_no_longer_for_its_holder() -> None:
    new = ONE.replace("192.0.2.0/29]", "192.0.2.0/29], serviceAllocation: {namespaces: [other]}")
    assert strandings(told(ONE, new)) == [("192.0.2.0", "p", "pool_not_compatible")]


def test_a_service_that_goes_strands_nothing() -> None:
    assert not told(ONE, l2() + NODES).stranded


def test_a_shared_address_is_told_once() -> None:
    share = "annotations: {metallb.io/allow-shared-ip: k, metallb.io/loadBalancerIPs: 192.0.2.1}"
    one = service("a", metadata=share)
    other = service("b", metadata=share).replace("port: 80", "port: 81")
    (found,) = told(LAYER2 + one + other, l2() + NODES + one + other).stranded
    assert [key.name for key in found.services] == ["a", "b"]


# VIPs ----------------------------------------------------------------------------------------------------------------


def owner(text: str, address: str = "192.0.2.0") -> str:
    """The planned owner, found by asking for the diff to a world where no node may."""
    (change,) = told(
        text, text.replace("metadata: {name: l2}\nspec: {", "metadata: {name: l2}\nspec: {ipAddressPools: [x]")
    ).vips
    assert str(change.address) == address
    assert change.before is not None
    return change.before


def test_a_vip_moves_off_a_node_that_is_not_selected_any_more() -> None:
    here = owner(ONE)
    other = next(name for name in ("n1", "n2", "n3") if name != here)
    selecting = f"nodeSelectors: [{{matchLabels: {{host: {other}}}}}]"
    found = told(ONE, POOL + l2("l2", selecting) + NODES + service("a"))
    assert vips(found) == [f"192.0.2.0 moves: {here} -> {other}: node_not_selected"]
    assert found.vips[0].services == (ServiceKey("default", "a"),)


def test_a_vip_stays_where_it_is_though_another_node_would_be_chosen_today() -> None:
    here = owner(ONE)
    others = [name for name in ("n1", "n2", "n3") if name != here]
    current = POOL + l2() + nodes(*others) + service("a")
    assert vips(told(current, ONE)) == [], "a node that comes back takes nothing"


def test_the_owner_that_speakers_name_is_the_incumbent() -> None:
    here = owner(ONE)
    other = next(name for name in ("n1", "n2", "n3") if name != here)
    gone = POOL + l2() + nodes(*(name for name in ("n1", "n2", "n3") if name != other)) + service("a")
    owners = {ip_address("192.0.2.0"): other}
    assert vips(told(ONE, gone)) == []
    assert vips(told(ONE, gone, owners=owners)) == [f"192.0.2.0 moves: {other} -> {here}: node_unknown"]


def test_a_node_goes() -> None:
    here = owner(ONE)
    left = [name for name in ("n1", "n2", "n3") if name != here]
    (change,) = told(ONE, POOL + l2() + nodes(*left) + service("a")).vips
    assert (change.before, change.after in left, change.reason) == (here, True, "node_unknown")


def test_an_excluded_node() -> None:
    here = owner(ONE)
    label = "node.kubernetes.io/exclude-from-external-load-balancers: ''"
    (change,) = told(ONE, ONE.replace(f"host: {here}}}", f"host: {here}, {label}}}")).vips
    assert (change.before, change.reason) == (here, "node_excluded")


def test_a_vip_that_nobody_announces_any_more() -> None:
    no_ads = told(ONE, POOL + NODES + service("a"))
    assert [(c.event, c.reason) for c in no_ads.vips] == [("stops", "no_advertisement")]
    no_endpoints = told(ONE, LAYER2 + service("a", on=()))
    assert [(c.event, c.reason) for c in no_endpoints.vips] == [("stops", "no_endpoints")]
    no_node = told(ONE, POOL + l2("l2", "nodeSelectors: [{matchLabels: {host: n9}}]") + NODES + service("a"))
    assert [(c.event, c.reason) for c in no_node.vips] == [("stops", "node_not_selected")]
    assert {refusal.subject for refusal in no_node.vips[0].refusals} == {"n1", "n2", "n3"}


def test_a_vip_that_somebody_announces_from_now_on() -> None:
    (change,) = told(POOL + NODES + service("a"), ONE).vips
    assert (change.event, change.before, change.after is not None) == ("starts", None, True)


def test_a_new_address_that_nobody_would_announce() -> None:
    (change,) = told(POOL + NODES, POOL + NODES + service("a")).vips
    assert (change.event, change.reason) == ("silent", "no_advertisement")
    assert vips(told(BGP, BGP + service("a"))) == [], "BGP announces it"


def test_two_groups_that_become_one_meet_at_the_better_of_their_owners() -> None:
    """A dual-stack service that joins a shared address to another one: one node for both, so one of them moves."""
    dual = POOL.replace("/29]", "/29, '2001:db8::/125']") + l2() + NODES
    ask = "annotations: {{metallb.io/allow-shared-ip: k, metallb.io/loadBalancerIPs: '{}'}}"
    both = "192.0.2.1,2001:db8::1"
    for number in range(1, 7):
        v4, v6 = f"192.0.2.{number}", f"2001:db8::{number}"
        one = service("a", metadata=ask.format(v4))
        other = service("b", "ipFamilies: [IPv6]", families="6", metadata=ask.format(v6))
        joining = service(
            "c",
            "ipFamilyPolicy: RequireDualStack",
            families="46",
            metadata=ask.format(both.replace("::1", f"::{number}").replace("2.1", f"2.{number}")),
        ).replace("port: 80", "port: 81")
        found = told(dual + one + other, dual + one + other + joining)
        if found.vips:
            (change,) = found.vips
            assert (change.event, change.reason) == ("moves", "not_incumbent")
            return
    raise AssertionError("no two of six addresses had different owners")


# Sessions ------------------------------------------------------------------------------------------------------------


def at(spec: str = "", name: str = "r", address: str = "203.0.113.1") -> str:
    return POOL + peer(name, address, spec) + NODES


ON_N1 = "nodeSelectors: [{matchLabels: {host: n1}}]"
SESSIONS = [
    ("nothing", at(), at("connectTime: 3s"), []),
    ("hold time", at(), at("holdTime: 30s"), ["r resets n1 n2 n3: session_key_changed holdTime"]),
    (
        "two fields",
        at(),
        at("peerPort: 1179, enableGracefulRestart: true"),
        ["r resets n1 n2 n3: session_key_changed peerPort enableGracefulRestart"],
    ),
    ("added", POOL + NODES, at(), ["r opens n1 n2 n3: peer_added"]),
    ("removed", at(), POOL + NODES, ["r closes n1 n2 n3: peer_removed"]),
    ("renamed", at(), at(name="q"), []),
    (
        "renamed and moved",
        at(),
        at(name="q", address="203.0.113.9"),
        ["q opens n1 n2 n3: peer_added", "r closes n1 n2 n3: peer_removed"],
    ),
    ("fewer nodes", at(), at(ON_N1), ["r closes n2 n3: node_not_selected"]),
    ("more nodes", at(ON_N1), at(), ["r opens n2 n3: node_selected"]),
    (
        "fewer nodes, and a reset on the one that is left",
        at(),
        at(ON_N1 + ", holdTime: 9s"),
        ["r closes n2 n3: node_not_selected", "r resets n1: session_key_changed holdTime"],
    ),
    ("a node more", POOL + ROUTER + nodes("n1"), POOL + ROUTER + nodes("n1", "n2"), ["r opens n2: node_added"]),
    ("a node less", POOL + ROUTER + nodes("n1", "n2"), POOL + ROUTER + nodes("n1"), ["r closes n2: node_removed"]),
    (
        "a label less",
        at(ON_N1),
        at(ON_N1).replace("labels: {host: n1}", "labels: {x: y}"),
        ["r closes n1: node_not_selected"],
    ),
    ("no nodes known", POOL + ROUTER, POOL, ["r closes : peer_removed"]),
]


@pytest.mark.parametrize(("old", "new", "lines"), [row[1:] for row in SESSIONS], ids=[row[0] for row in SESSIONS])
def test_sessions(old: str, new: str, lines: list[str]) -> None:
    assert sessions(told(old, new)) == lines


def test_a_password_within_its_secret() -> None:
    text = at("passwordSecret: {name: s}")
    text += (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: kubernetes.io/basic-auth\nstringData: {password: x}\n"
    )
    same = told(text, text, secrets=({"r": "x"}, {"r": "x"}))
    other = told(text, text, secrets=({"r": "x"}, {"r": "y"}))
    assert not same
    assert sessions(other) == ["r resets n1 n2 n3: session_key_changed password"]
    assert [(part.before, part.after) for part in other.sessions[0].fields] == [("given", "given")]


# Prefixes ------------------------------------------------------------------------------------------------------------

A = service("a")
ROUTES = [
    ("nothing", BGP + A, BGP + A, []),
    ("a session reset moves no prefix", BGP + A, BGP.replace("peerPort", "x") + A, []),
    ("a service more", BGP, BGP + A, ["192.0.2.0/32 announced r n1 n2 n3: address_granted"]),
    ("a service less", BGP + A, BGP, ["192.0.2.0/32 withdrawn r n1 n2 n3: address_released"]),
    (
        "aggregation",
        BGP + A,
        POOL + ROUTER + bgp("bgp", "aggregationLength: 29") + NODES + A,
        [
            "192.0.2.0/29 announced r n1 n2 n3: aggregation_changed",
            "192.0.2.0/32 withdrawn r n1 n2 n3: aggregation_changed",
        ],
    ),
    (
        "communities",
        BGP + A,
        POOL + ROUTER + bgp("bgp", "communities: ['1:1']") + NODES + A,
        ["192.0.2.0/32 changed r n1 n2 n3: attributes_changed"],
    ),
    (
        "no advertisement",
        BGP + A,
        POOL + ROUTER + NODES + A,
        ["192.0.2.0/32 withdrawn r n1 n2 n3: unfit no_advertisement"],
    ),
    (
        "an advertisement",
        POOL + ROUTER + NODES + A,
        BGP + A,
        ["192.0.2.0/32 announced r n1 n2 n3: fit no_advertisement"],
    ),
    ("a peer less", BGP + A, POOL + bgp() + NODES + A, ["192.0.2.0/32 withdrawn r n1 n2 n3: peer_removed"]),
    ("a peer more", POOL + bgp() + NODES + A, BGP + A, ["192.0.2.0/32 announced r n1 n2 n3: peer_added"]),
    ("a peer renamed", BGP + A, BGP.replace("{name: r}", "{name: q}") + A, []),
    (
        "a node less",
        BGP + A,
        POOL + ROUTER + bgp() + nodes("n1", "n2") + A,
        ["192.0.2.0/32 withdrawn r n3: node_removed"],
    ),
    (
        "fewer nodes with the session",
        BGP + A,
        POOL + peer("r", "203.0.113.1", ON_N1) + bgp() + NODES + A,
        ["192.0.2.0/32 withdrawn r n2 n3: session_closes"],
    ),
    (
        "fewer nodes advertised",
        BGP + A,
        POOL + ROUTER + bgp("bgp", ON_N1) + NODES + A,
        ["192.0.2.0/32 withdrawn r n2 n3: unfit node_not_selected"],
    ),
    (
        "another traffic policy",
        BGP + A,
        BGP + service("a", "externalTrafficPolicy: Local"),
        ["192.0.2.0/32 withdrawn r n2 n3: unfit no_local_endpoints"],
    ),
    ("endpoints gone", BGP + A, BGP + service("a", on=()), ["192.0.2.0/32 withdrawn r n1 n2 n3: unfit no_endpoints"]),
    (
        "named peers",
        BGP + peer("s", "203.0.113.2") + A,
        POOL + ROUTER + peer("s", "203.0.113.2") + bgp("bgp", "peers: [s]") + NODES + A,
        ["192.0.2.0/32 withdrawn r n1 n2 n3: peers_changed"],
    ),
    (
        "no node is known",
        POOL + ROUTER + bgp(),
        POOL + ROUTER + bgp() + A,
        ["192.0.2.0/32 announced r : address_granted"],
    ),
]


@pytest.mark.parametrize(("old", "new", "lines"), [row[1:] for row in ROUTES], ids=[row[0] for row in ROUTES])
def test_routes(old: str, new: str, lines: list[str]) -> None:
    assert routes(told(old, new)) == lines


def test_an_aggregate_stays_while_one_of_its_services_does() -> None:
    text = POOL + ROUTER + bgp("bgp", "aggregationLength: 29") + NODES
    assert routes(told(text + A + service("b"), text + service("b"))) == []
    assert routes(told(text + A, text)) == ["192.0.2.0/29 withdrawn r n1 n2 n3: address_released"]


def test_before_and_after_of_attributes() -> None:
    names = manifest("Community", "c", "communities: [{name: blue, value: '64512:5'}]")
    old = names + POOL + ROUTER + bgp("bgp", "communities: [blue]") + NODES + A
    (change,) = told(old, old.replace("64512:5", "64512:6")).routes
    assert change.before is not None
    assert change.after is not None
    assert (change.before.communities, change.after.communities) == (("64512:5",), ("64512:6",))


def test_the_world_is_left_as_it_is() -> None:
    old, new = world(ONE), world(BGP + service("a"))
    held = replace(old)
    diff(old, new, None, now_unix=NOW)
    assert old == held
    assert not old.allocations
