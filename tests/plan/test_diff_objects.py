"""Edits of the configuration: every field that has any effect is told, whatever else can be said of it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.model.address import AddressRange
from lbctl.model.advertisement import BGPAdvertisement, Failback, L2Advertisement, PreferredNodes
from lbctl.model.peer import (
    BFDProfile,
    BGPPeer,
    CommunityAliases,
    PeerAddress,
    PeerSession,
    PeerTimers,
    SecretReference,
)
from lbctl.model.pool import Choice, OnConflict, Pool, PoolOptions, ServiceAllocation
from lbctl.model.selector import LabelSelector, Operator, Requirement
from lbctl.model.snapshot import SOURCE_MAPS, World
from lbctl.plan.allocate import Remembered
from lbctl.plan.diff import Diff, diff
from lbctl.plan.diff_objects import KINDS, selector_text
from tests.plan import diff_worlds as text
from tests.plan.test_diff import objects

RACK_A = LabelSelector(match_labels=(("rack", "a"),))
RACK_B = LabelSelector(expressions=(Requirement(key="rack", operator=Operator.IN, values=("b", "c")),))
SELECTORS = ((RACK_A,), (RACK_B,), (RACK_A, RACK_B))


def span(first: str, last: str) -> AddressRange:
    return AddressRange(ip_address(first), ip_address(last), f"{first}-{last}")


# For each field values that mean something else than one another and than that of `CONFIG`.
OTHER: dict[tuple[type, str], tuple[Any, ...]] = {
    (Pool, "ranges"): (
        (span("192.0.2.0", "192.0.2.9"),),
        (span("198.51.100.0", "198.51.100.7"), span("192.0.2.0", "192.0.2.7")),
        (span("192.0.2.0", "192.0.2.7"), span("2001:db8::1", "2001:db8::9")),
    ),
    (Pool, "auto_assign"): (False,),
    (Pool, "avoid_buggy_ips"): (True,),
    (ServiceAllocation, "priority"): (5,),
    (ServiceAllocation, "namespaces"): (("a",), ("a", "b")),
    (ServiceAllocation, "namespace_selectors"): SELECTORS,
    (ServiceAllocation, "service_selectors"): SELECTORS,
    (PoolOptions, "excluded"): ((span("192.0.2.6", "192.0.2.6"),), (span("192.0.2.5", "192.0.2.6"),)),
    (PoolOptions, "cooling_time"): (0.0, 90.0),
    (PoolOptions, "choice"): (Choice.LEAST_RECENTLY_USED,),
    (PoolOptions, "protected"): (True,),
    (PoolOptions, "on_conflict"): (OnConflict.REALLOCATE,),
    (PoolOptions, "probe"): (False,),
    (PreferredNodes, "weight"): (7,),
    (PreferredNodes, "preference"): (RACK_B,),
    (L2Advertisement, "interfaces"): (("eth9",), ("eth8", "eth9")),
    (L2Advertisement, "preferred_nodes"): ((), (PreferredNodes(weight=3, preference=RACK_A),)),
    (L2Advertisement, "failback"): (Failback.NEVER, Failback.ALWAYS),
    (L2Advertisement, "require_subnet"): (True,),
    (L2Advertisement, "announce_rate"): (15.0,),
    (BGPAdvertisement, "peers"): (("r",), ("s",)),
    (BGPAdvertisement, "communities"): (("1:1",), ("1:1", "blue")),
    (BGPAdvertisement, "local_pref"): (100,),
    (BGPAdvertisement, "aggregation_length"): (24,),
    (BGPAdvertisement, "aggregation_length_v6"): (64,),
    (PeerAddress, "address"): (ip_address("203.0.113.9"), ip_address("2001:db8::9"), None),
    (PeerAddress, "interface"): ("eth1",),
    (PeerAddress, "port"): (1179,),
    (PeerAddress, "source"): (ip_address("203.0.113.8"),),
    (PeerAddress, "vrf"): ("red",),
    (PeerAddress, "multihop"): (True,),
    (PeerTimers, "hold_time"): (30.0, 0.0),
    (PeerTimers, "keepalive_time"): (7.0,),
    (PeerTimers, "connect_time"): (3.0,),
    (PeerSession, "graceful_restart"): (True,),
    (PeerSession, "dual_stack"): (True,),
    (PeerSession, "bfd_profile"): (None, "other", "missing"),
    (PeerSession, "password"): ("hunter2",),
    (PeerSession, "password_secret"): (SecretReference(name="s"),),
    (BGPPeer, "my_asn"): (65009,),
    (BGPPeer, "peer_asn"): (65008,),
    (BGPPeer, "dynamic_asn"): ("external",),
    (BGPPeer, "local_asn"): (65007,),
    (BGPPeer, "router_id"): ("203.0.113.3",),
    (BGPPeer, "annotations"): ((("lbctl.io/ttl-security", "1"),),),
    (BFDProfile, "receive_interval"): (100,),
    (BFDProfile, "transmit_interval"): (100,),
    (BFDProfile, "detect_multiplier"): (9,),
    (BFDProfile, "echo_interval"): (100,),
    (BFDProfile, "echo_mode"): (True,),
    (BFDProfile, "passive_mode"): (True,),
    (BFDProfile, "minimum_ttl"): (250,),
    (CommunityAliases, "aliases"): ((), (("blue", "64512:6"),), (("blue", "64512:5"), ("red", "64512:7"))),
    **{
        (kind, name): values
        for kind in (L2Advertisement, BGPAdvertisement)
        for name, values in (
            ("pools", (("p",), ("p", "q"))),
            ("pool_selectors", SELECTORS),
            ("node_selectors", SELECTORS),
            ("service_selectors", SELECTORS),
        )
    },
    (BGPPeer, "node_selectors"): SELECTORS,
}
MEANINGLESS = {
    *((kind, "name") for kind in (Pool, L2Advertisement, BGPAdvertisement, BGPPeer, BFDProfile, CommunityAliases)),
    *((kind, "annotations") for kind in (Pool, L2Advertisement, BGPAdvertisement)),
    (Pool, "labels"),
    (PeerSession, "disable_mp"),
}
"""The name is the object. Annotations that mean something are in `options`. Labels of pools have their own test."""

CONFIG = text.world(
    text.pool("p", "192.0.2.0/29").replace("spec: {", "spec: {serviceAllocation: {namespaces: [default]}, ")
    + text.l2("l2", "preferredNodeSelectors: [{weight: 1, preference: {matchLabels: {rack: a}}}]")
    + text.bgp()
    + text.peer("r", "203.0.113.1", "bfdProfile: fast")
    + text.manifest("BFDProfile", "fast")
    + text.manifest("BFDProfile", "other")
    + text.manifest("Community", "c", "communities: [{name: blue, value: '64512:5'}]")
)
CLUSTER = text.world(text.nodes("n1", "n2") + text.service("a"))
SERVICE = replace(CLUSTER, nodes=MappingProxyType({}), slices=MappingProxyType({}))
NOTHING = World()


def over(config: World, surroundings: World) -> World:
    return replace(
        config, services=surroundings.services, slices=surroundings.slices, nodes=surroundings.nodes, allocations={}
    )


def edits(value: Any) -> list[Any]:
    """The value with one field, at any depth, changed to each of its others."""
    found = []
    for field in fields(value):
        inner = getattr(value, field.name)
        if (type(value), field.name) in MEANINGLESS:
            continue
        if is_dataclass(inner) and (type(value), field.name) not in OTHER:
            found += [replace(value, **{field.name: each}) for each in edits(inner)]
            continue
        if isinstance(inner, tuple) and len(inner) == 1 and isinstance(inner[0], PreferredNodes):
            found += [replace(value, **{field.name: (each,)}) for each in edits(inner[0])]
        # A KeyError here: a field is new, and nobody said what a change of it is like.
        found += [replace(value, **{field.name: each}) for each in OTHER[type(value), field.name]]
    return found


EDITS = [(map, key, edited) for map in KINDS for key, value in getattr(CONFIG, map).items() for edited in edits(value)]


def edited(world: World, *chosen: tuple[str, str, Any]) -> World:
    for map, key, value in chosen:
        world = replace(world, **{map: MappingProxyType({**getattr(world, map), key: value})})  # type: ignore[arg-type]
    return world


def compared(old: World, new: World) -> Diff:
    return diff(old, new, None, now_unix=text.NOW)


def test_there_are_edits_of_all_kinds() -> None:
    assert {map for map, _, _ in EDITS} == KINDS.keys()
    assert KINDS.keys() == set(SOURCE_MAPS) - {"services", "slices", "nodes", "namespaces"}
    assert len(EDITS) > 80


@pytest.mark.parametrize("surroundings", [CLUSTER, SERVICE, NOTHING], ids=["cluster", "service", "nothing"])
def test_no_edit_goes_untold(surroundings: World) -> None:
    old = over(CONFIG, surroundings)
    for edit in EDITS:
        new = edited(old, edit)
        assert compared(old, new), edit
        assert compared(new, old), edit
        assert not compared(new, new), edit


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(EDITS), max_size=6),
    st.lists(st.sampled_from(EDITS), max_size=6),
    st.sampled_from([CLUSTER, SERVICE, NOTHING]),
)
def test_configurations_that_differ_have_a_diff(
    some: list[tuple[str, str, Any]], others: list[tuple[str, str, Any]], surroundings: World
) -> None:
    old, new = edited(over(CONFIG, surroundings), *some), edited(over(CONFIG, surroundings), *others)
    alike = all(dict(getattr(old, map)) == dict(getattr(new, map)) for map in KINDS)
    assert bool(compared(old, new)) == (not alike)


@pytest.mark.parametrize("map", KINDS)
@pytest.mark.parametrize("surroundings", [CLUSTER, SERVICE, NOTHING], ids=["cluster", "service", "nothing"])
def test_an_object_that_goes_or_comes_is_told(map: str, surroundings: World) -> None:
    with_it = over(CONFIG, surroundings)
    without = replace(with_it, **{map: MappingProxyType({})})  # type: ignore[arg-type]
    names = sorted(getattr(with_it, map))
    assert [(item.name, item.event.value) for item in compared(with_it, without).objects] == [
        (name, "removed") for name in names
    ]
    assert [(item.name, item.event.value) for item in compared(without, with_it).objects] == [
        (name, "added") for name in names
    ]


def test_what_has_no_effect_is_not_told() -> None:
    """Labels that nobody selects by, annotations that nobody reads, disableMP, the order of names, a default written
    out, and a range written as a CIDR."""
    old = text.pool("p", "192.0.2.0/29") + text.bgp("b", "ipAddressPools: [p, q], communities: ['1:1', '2:2']")
    old += text.pool("q", "198.51.100.0/30") + text.peer("r", "203.0.113.1")
    new = text.pool("p", "192.0.2.0-192.0.2.7") + text.bgp("b", "ipAddressPools: [q, p], communities: ['2:2', '1:1']")
    new += text.manifest(
        "IPAddressPool", "q", "addresses: [198.51.100.0/30]", metadata="labels: {a: b}, annotations: {c: d}"
    )
    new += text.peer("r", "203.0.113.1", "disableMP: true, holdTime: 90s, keepaliveTime: 30s")
    assert not text.told(old, new)
    assert not text.told(new, old)


def test_labels_of_pools_count_where_an_advertisement_asks_for_them() -> None:
    asks = text.l2("l2", "ipAddressPoolSelectors: [{matchLabels: {tier: gold}}]")
    metadata = "labels: {{tier: {}, colour: {}}}"
    old, other, painted = (
        asks + text.manifest("IPAddressPool", "p", "addresses: [192.0.2.0/29]", metadata=metadata.format(*labels))
        for labels in (("gold", "red"), ("lead", "red"), ("gold", "blue"))
    )
    assert objects(text.told(old, other)) == ["IPAddressPool p changed: labels ('tier=gold',) -> ('tier=lead',)"]
    assert not text.told(old, painted)


PEER = text.peer("r", "203.0.113.1", "bfdProfile: fast") + text.manifest("BFDProfile", "fast")
NODES = text.nodes("n1", "n2")
TOLD = [
    (
        "interfaces",
        text.l2() + NODES,
        text.l2("l2", "interfaces: [eth9]") + NODES,
        ["L2Advertisement l2 changed: interfaces () -> ('eth9',): interfaces_unknown"],
    ),
    (
        "node selectors and no node",
        text.l2(),
        text.l2("l2", "nodeSelectors: [{matchLabels: {rack: a}}]"),
        ["L2Advertisement l2 changed: nodeSelectors () -> ('rack=a',): labels_unknown"],
    ),
    (
        "detectMultiplier",
        PEER + NODES,
        PEER.replace("name: fast}\nspec: {", "name: fast}\nspec: {detectMultiplier: 9") + NODES,
        ["BFDProfile fast changed: detectMultiplier 3 -> 9: session_stays"],
    ),
    (
        "bfdProfile",
        PEER + NODES,
        PEER.replace("fast", "slow") + NODES,
        [
            "BGPPeer r changed: bfdProfile fast -> slow: session_stays",
            "BFDProfile fast removed:",
            "BFDProfile slow added:",
        ],
    ),
    (
        "keepaliveTime beside holdTime",
        text.peer("r", "203.0.113.1", "holdTime: 90s") + NODES,
        text.peer("r", "203.0.113.1", "holdTime: 90s, keepaliveTime: 5s, connectTime: 7s") + NODES,
        ["BGPPeer r changed: keepaliveTime 30s -> 5s connectTime default -> 7s: session_stays"],
    ),
    (
        "node selectors that select the same nodes",
        text.peer("r", "203.0.113.1") + NODES,
        text.peer("r", "203.0.113.1", "nodeSelectors: [{matchExpressions: [{key: host, operator: Exists}]}]") + NODES,
        ["BGPPeer r changed: nodeSelectors () -> ('host',): session_stays"],
    ),
    (
        "a hold time, which the sessions are told for, with the keepalive time that follows",
        text.peer("r", "203.0.113.1", "holdTime: 180s") + NODES,
        text.peer("r", "203.0.113.1", "holdTime: 30s") + NODES,
        [],
    ),
    (
        "a hold time where no node has a session",
        text.peer("r", "203.0.113.1", "nodeSelectors: [{matchLabels: {rack: z}}]") + NODES,
        text.peer("r", "203.0.113.1", "nodeSelectors: [{matchLabels: {rack: z}}], holdTime: 30s") + NODES,
        ["BGPPeer r changed: holdTime 90s -> 30s"],
    ),
    (
        "renamed",
        text.peer("r", "203.0.113.1") + NODES,
        text.peer("q", "203.0.113.1") + NODES,
        ["BGPPeer q changed: name r -> q: session_stays"],
    ),
]


@pytest.mark.parametrize(("old", "new", "lines"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
def test_what_is_told(old: str, new: str, lines: list[str]) -> None:
    assert objects(text.told(old, new)) == lines


def test_a_missing_profile_is_called_so() -> None:
    old = over(CONFIG, CLUSTER)
    peer = old.bgp_peers["r"]
    new = edited(old, ("bgp_peers", "r", replace(peer, session=replace(peer.session, bfd_profile="none"))))
    (change,) = compared(old, new).objects
    assert change.edits[0].after == "none (no such BFDProfile)"


def test_who_uses_a_profile() -> None:
    old = over(CONFIG, CLUSTER)
    for name, peers in (("fast", ("r",)), ("other", ())):
        new = edited(old, ("bfd_profiles", name, replace(old.bfd_profiles[name], detect_multiplier=9)))
        (change,) = compared(old, new).objects
        assert change.used_by == peers


def test_selectors_as_text() -> None:
    def asking(operator: Operator, *values: str) -> LabelSelector:
        return LabelSelector(expressions=(Requirement(key="a", operator=operator, values=values),))

    assert selector_text(LabelSelector()) == "{}"
    assert selector_text(asking(Operator.NOT_IN, "y", "x")) == "a notin (x y)"
    assert selector_text(asking(Operator.DOES_NOT_EXIST)) == "!a"
    assert selector_text(LabelSelector(match_labels=(("b", "c"),), expressions=RACK_B.expressions)) == (
        "b=c,rack in (b c)"
    )


def test_an_edit_that_is_held_back_is_no_edit() -> None:
    old = text.pool("p", "192.0.2.0/29", protect="in-use") + text.l2() + NODES + text.service("a")
    found = text.told(old, old.replace("192.0.2.0/29", "192.0.2.4/30"))
    assert found.refused
    assert not found.objects


def test_nothing_is_supposed_of_a_ledger() -> None:
    """Endpoints that are supposed are no matter of who gets an address."""
    old, new = over(CONFIG, SERVICE), edited(over(CONFIG, SERVICE), EDITS[0])
    found = diff(old, new, Remembered(), now_unix=text.NOW)
    assert not found.before.world.slices
    assert not found.after.world.slices
