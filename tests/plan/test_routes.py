"""Which prefixes a node advertises: MetalLB section 5.4 as tables, and what must hold for any world."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from lbctl.model.reservation import Quarantine
from lbctl.model.service import ServiceKey
from lbctl.model.snapshot import World
from lbctl.plan.reason import Reason
from lbctl.plan.routes import Route, RouteAttributes, RoutePlanner, prefixes_of
from tests.plan.diff_worlds import bgp, internal, manifest, node, nodes, peer, pool, service, world

POOL = pool("p", "192.0.2.0/24, 2001:db8::/64")
PEER = internal("r", "203.0.113.1")
BASE = POOL + PEER + nodes("n1", "n2")
Found = dict[str, list[tuple[str, str]]]


def found(made: World, on: str | None = "n1") -> Found:
    """Prefix -> (peers, attributes) as text."""
    return {
        str(prefix): [(" ".join(route.peers), shown(route.attributes)) for route in routes]
        for prefix, routes in prefixes_of(made, on).items()
    }


def shown(attributes: RouteAttributes) -> str:
    return " ".join([str(attributes.local_pref or ""), *attributes.communities]).strip()


def why(made: World, name: str, address: str, on: str | None = "n1") -> tuple[Reason, str] | None:
    refusal = RoutePlanner(made).why_not(on, ServiceKey("default", name), ip_address(address))
    return (refusal.reason, refusal.subject) if refusal is not None else None


def test_every_address_is_a_route_of_its_own() -> None:
    made = world(BASE + bgp() + service("a") + service("b"), ("a", "192.0.2.1"), ("b", "192.0.2.2"))
    assert prefixes_of(made, "n1") == {
        ip_network(f"192.0.2.{number}/32"): (
            Route(
                prefix=ip_network(f"192.0.2.{number}/32"),
                peers=("r",),
                attributes=RouteAttributes(),
                services=(ServiceKey("default", name),),
            ),
        )
        for number, name in ((1, "a"), (2, "b"))
    }


AGGREGATION = [
    ("", ["192.0.2.1/32"]),
    ("aggregationLength: 24", ["192.0.2.0/24"]),
    ("aggregationLength: 30", ["192.0.2.0/30"]),
    ("aggregationLengthV6: 64", ["192.0.2.1/32"]),
]


@pytest.mark.parametrize(("spec", "prefixes"), AGGREGATION)
def test_aggregation(spec: str, prefixes: list[str]) -> None:
    made = world(BASE + bgp("x", spec) + service("a"), ("a", "192.0.2.1"))
    assert list(found(made)) == prefixes


def test_two_lengths_of_one_address() -> None:
    """The docs' own example: /32 for the routers near, /24 for those behind them."""
    more = bgp("near", "localPref: 100, communities: ['65535:65282']") + bgp(
        "far", "aggregationLength: 24, aggregationLengthV6: 64"
    )
    made = world(BASE + more + service("a") + service("b"), ("a", "192.0.2.1"), ("b", "192.0.2.2"))
    assert found(made) == {
        "192.0.2.1/32": [("r", "100 65535:65282")],
        "192.0.2.2/32": [("r", "100 65535:65282")],
        "192.0.2.0/24": [("r", "")],
    }
    (aggregate,) = prefixes_of(made, "n1")[ip_network("192.0.2.0/24")]
    assert aggregate.services == (ServiceKey("default", "a"), ServiceKey("default", "b"))


def test_families_go_over_the_sessions_that_carry_them() -> None:
    peers = peer("v6", "2001:db8:1::1") + peer("both", "203.0.113.2", "dualStackAddressFamily: true")
    made = world(BASE + peers + bgp() + service("a", families="46"), ("a", "192.0.2.1 2001:db8::1"))
    assert found(made) == {"192.0.2.1/32": [("both r", "")], "2001:db8::1/128": [("both v6", "")]}


def test_a_family_without_endpoints_is_not_advertised() -> None:
    """D23 does not exist here."""
    peers = peer("both", "203.0.113.2", "dualStackAddressFamily: true")
    made = world(BASE + peers + bgp() + service("a", families="4"), ("a", "192.0.2.1 2001:db8::1"))
    assert list(found(made)) == ["192.0.2.1/32"]
    assert why(made, "a", "2001:db8::1") == (Reason.NO_ENDPOINTS, "default/a")


def test_named_peers_and_different_attributes_for_each() -> None:
    two = BASE + internal("s", "203.0.113.2")
    ads = bgp("x", "peers: [r], communities: ['1:1']") + bgp("y", "peers: [s], communities: ['2:2'], localPref: 7")
    made = world(two + ads + service("a"), ("a", "192.0.2.1"))
    assert found(made) == {"192.0.2.1/32": [("r", "1:1"), ("s", "7 2:2")]}


def test_a_local_preference_stays_within_the_as() -> None:
    peers = peer("external", "203.0.113.2") + internal("by-local-as", "203.0.113.3", "localASN: 65009")
    made = world(BASE + peers + bgp("x", "localPref: 5") + service("a"), ("a", "192.0.2.1"))
    assert found(made) == {"192.0.2.1/32": [("by-local-as external", ""), ("r", "5")]}


def test_communities_add_up_and_aliases_are_resolved() -> None:
    names = manifest("Community", "c", "communities: [{name: blue, value: '64512:5'}]")
    ads = bgp("x", "communities: [blue, 'large:1:2:3']") + bgp("y", "communities: ['64512:5', '64512:4']")
    made = world(BASE + names + ads + service("a"), ("a", "192.0.2.1"))
    assert found(made) == {"192.0.2.1/32": [("r", "64512:4 64512:5 large:1:2:3")]}


def test_two_pools_under_one_aggregate_share_it() -> None:
    """Their services keep it together; the greatest local preference counts."""
    text = PEER + nodes("n1") + pool("p", "192.0.2.0-192.0.2.127") + pool("q", "192.0.2.128-192.0.2.255")
    text += bgp("x", "ipAddressPools: [p], aggregationLength: 25, communities: ['1:1'], localPref: 5")
    text += bgp("y", "ipAddressPools: [q], aggregationLength: 25, communities: ['2:2']")
    made = world(text + service("a") + service("b"), ("a", "192.0.2.1"))
    assert found(made) == {"192.0.2.0/25": [("r", "5 1:1")]}


CONFLICT = bgp("x", "localPref: 100, serviceSelectors: [{matchLabels: {app: web}}]") + bgp("y", "localPref: 200")


def test_local_preferences_that_contradict_each_other_keep_a_service_back() -> None:
    """B6, per service where selectors decide."""
    made = world(
        BASE + CONFLICT + service("a", metadata="labels: {app: web}") + service("b"),
        ("a", "192.0.2.1"),
        ("b", "192.0.2.2"),
    )
    assert found(made) == {"192.0.2.2/32": [("r", "200")]}
    assert why(made, "a", "192.0.2.1") == (Reason.CONFLICTING_ADVERTISEMENTS, "default/a")
    assert why(made, "b", "192.0.2.2") is None


NODES = [
    (node("n1", "node.kubernetes.io/exclude-from-external-load-balancers: ''"), Reason.NODE_EXCLUDED),
    (node("n1", status="conditions: [{type: NetworkUnavailable, status: 'True'}]"), Reason.NETWORK_UNAVAILABLE),
]


@pytest.mark.parametrize(("text", "reason"), NODES)
def test_a_node_that_may_not(text: str, reason: Reason) -> None:
    made = world(POOL + PEER + text + node("n2") + bgp() + service("a"), ("a", "192.0.2.1"))
    assert found(made) == {}
    assert why(made, "a", "192.0.2.1") == (reason, "n1")
    assert list(found(made, "n2")) == ["192.0.2.1/32"]


def test_selectors_of_nodes() -> None:
    ads = bgp("x", "nodeSelectors: [{matchLabels: {host: n2}}]")
    made = world(BASE + ads + service("a"), ("a", "192.0.2.1"))
    assert found(made) == {}
    assert why(made, "a", "192.0.2.1") == (Reason.NODE_NOT_SELECTED, "default/a")
    assert list(found(made, "n2")) == ["192.0.2.1/32"]
    only = peer("r", "203.0.113.1", "nodeSelectors: [{matchLabels: {host: n2}}]")
    made = world(POOL + only + nodes("n1", "n2") + bgp() + service("a"), ("a", "192.0.2.1"))
    assert found(made) == {}
    assert why(made, "a", "192.0.2.1") == (Reason.NO_PEER, "default/a")
    assert RoutePlanner(made).peers_of("n1") == frozenset()
    assert list(found(made, "n2")) == ["192.0.2.1/32"]


def test_traffic_policy_local_wants_an_endpoint_here() -> None:
    local = service("a", "externalTrafficPolicy: Local", on=("n2",))
    made = world(BASE + bgp() + local + service("b", on=("n2",)), ("a", "192.0.2.1"), ("b", "192.0.2.2"))
    assert list(found(made)) == ["192.0.2.2/32"]
    assert why(made, "a", "192.0.2.1") == (Reason.NO_LOCAL_ENDPOINTS, "n1")
    assert list(found(made, "n2")) == ["192.0.2.1/32", "192.0.2.2/32"]
    assert list(found(made, None)) == ["192.0.2.1/32", "192.0.2.2/32"], "some node has the endpoint"


def test_why_not() -> None:
    made = world(BASE + bgp("x", "ipAddressPools: [p]") + service("a") + service("b", on=()), ("b", "192.0.2.2"))
    assert why(made, "a", "192.0.2.1") == (Reason.NOT_ALLOCATED, "default/a")
    assert why(made, "b", "192.0.2.2") == (Reason.NO_ENDPOINTS, "default/b")
    none = world(BASE + service("a"), ("a", "192.0.2.1"))
    assert why(none, "a", "192.0.2.1") == (Reason.NO_ADVERTISEMENT, "default/a")


def test_a_quarantined_address_is_not_advertised() -> None:
    from dataclasses import replace

    made = world(BASE + bgp() + service("a"), ("a", "192.0.2.1"))
    bad = Quarantine(address=ip_address("192.0.2.1"), mac="02:00:00:00:00:01", node="n1", interface="e", since_unix=0.0)
    made = replace(made, quarantined={bad.address: bad})
    assert found(made) == {}
    assert why(made, "a", "192.0.2.1") == (Reason.QUARANTINED, "192.0.2.1")


def test_a_shared_address_goes_with_the_last_of_its_services() -> None:
    both = service("a") + service("b")
    made = world(BASE + bgp() + both, ("a", "192.0.2.1"), ("b", "192.0.2.1"))
    ((route,),) = prefixes_of(made, "n1").values()
    assert [key.name for key in route.services] == ["a", "b"]
    one = world(BASE + bgp() + both, ("b", "192.0.2.1"))
    ((route,),) = prefixes_of(one, "n1").values()
    assert [key.name for key in route.services] == ["b"]


def test_nodes_that_are_alike_share_one_answer() -> None:
    made = world(BASE + bgp() + service("a"), ("a", "192.0.2.1"))
    planner = RoutePlanner(made)
    assert planner.of("n1") is planner.of("n2")
    assert planner.of("n1") == prefixes_of(made, "n1")


def test_pools_are_chosen_by_name_and_by_label() -> None:
    text = PEER + nodes("n1") + pool("p", "192.0.2.0/24") + bgp("x", "ipAddressPools: [q]") + service("a")
    assert found(world(text + pool("q", "198.51.100.0/24"), ("a", "192.0.2.1"))) == {}
    labelled = manifest("IPAddressPool", "p", "addresses: [192.0.2.0/24]", metadata="labels: {tier: gold}")
    for tier, prefixes in (("gold", ["192.0.2.1/32"]), ("iron", [])):
        ads = bgp("x", f"ipAddressPoolSelectors: [{{matchLabels: {{tier: {tier}}}}}]")
        made = world(PEER + nodes("n1") + labelled + ads + service("a"), ("a", "192.0.2.1"))
        assert list(found(made)) == prefixes
