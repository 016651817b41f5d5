"""What is not known is supposed, alike on both sides: that all is withdrawn is never "nothing"."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from lbctl.model.address import Family
from lbctl.model.service import ServiceKey
from lbctl.plan.diff_suppose import ANYWHERE, Supposed, anywhere, suppose_endpoints
from tests.plan.diff_worlds import bgp, internal, l2, manifest, nodes, peer, pool, service, told, world
from tests.plan.test_diff import routes, vips

POOL = pool("p", "192.0.2.0/29")
NODES = nodes("n1", "n2")
DUAL = pool("p", "192.0.2.0/29, '2001:db8::/125'")


def bare(name: str, spec: str = "", metadata: str = "") -> str:
    """A service of which no EndpointSlice is known."""
    rest = f", {spec}" if spec else ""
    return manifest(
        "Service", name, f"type: LoadBalancer, ports: [{{port: 80}}]{rest}", version="v1", metadata=metadata
    )


LOCAL = "externalTrafficPolicy: Local"
ROUTER = internal("r", "203.0.113.1")
WHERE = pytest.mark.parametrize("where", [NODES, ""], ids=["nodes", "no nodes"])


@WHERE
@pytest.mark.parametrize("policy", ["", LOCAL])
def test_the_last_l2_advertisement_goes(where: str, policy: str) -> None:
    config = POOL + where + bare("a", policy)
    (change,) = told(config + l2(), config).vips
    assert (change.event, change.reason, change.after) == ("stops", "no_advertisement", None)
    assert (change.before in ("n1", "n2")) == bool(where)
    (back,) = told(config, config + l2()).vips
    assert (back.event, back.before) == ("starts", None)
    assert (back.after in ("n1", "n2")) == bool(where)


@WHERE
@pytest.mark.parametrize("policy", ["", LOCAL])
def test_the_last_bgp_advertisement_goes(where: str, policy: str) -> None:
    config = POOL + ROUTER + where + bare("a", policy)
    on = "n1 n2" if where else ""
    assert routes(told(config + bgp(), config)) == [f"192.0.2.0/32 withdrawn r {on}: unfit no_advertisement"]
    assert routes(told(config, config + bgp())) == [f"192.0.2.0/32 announced r {on}: fit no_advertisement"]


@WHERE
def test_attributes_and_lengths(where: str) -> None:
    config = POOL + ROUTER + where + bare("a")
    on = "n1 n2" if where else ""
    assert routes(told(config + bgp(), config + bgp("bgp", "localPref: 100"))) == [
        f"192.0.2.0/32 changed r {on}: attributes_changed"
    ]
    assert routes(told(config + bgp(), config + bgp("bgp", "aggregationLength: 29"))) == [
        f"192.0.2.0/29 announced r {on}: aggregation_changed",
        f"192.0.2.0/32 withdrawn r {on}: aggregation_changed",
    ]


@WHERE
def test_both_families(where: str) -> None:
    config = DUAL + where + bare("a", "ipFamilyPolicy: RequireDualStack")
    assert [str(change.address) for change in told(config + l2(), config).vips] == ["192.0.2.0", "2001:db8::"]


def test_an_advertisement_for_other_pools() -> None:
    config = POOL + pool("q", "198.51.100.0/29") + bare("a")
    assert vips(told(config + l2("l2", "ipAddressPools: [p]"), config + l2("l2", "ipAddressPools: [q]"))) == [
        "192.0.2.0 stops: None -> None: no_advertisement"
    ]


def test_labels_of_nodes_that_nobody_knows_keep_nothing_back() -> None:
    config = POOL + bare("a")
    selecting = l2("l2", "nodeSelectors: [{matchLabels: {rack: a}}]")
    assert vips(told(config + selecting, config)) == ["192.0.2.0 stops: None -> None: no_advertisement"]
    assert vips(told(config + selecting, config + l2())) == []


def test_what_is_known_on_one_side_is_not_supposed() -> None:
    """A service that loses its last endpoint is announced no more, and that is told."""
    config = POOL + l2() + NODES
    known, none = config + service("a"), config + service("a", on=())
    assert [item.reason for item in told(known, none).vips] == ["no_endpoints"]
    assert not told(known, none).supposed.services
    assert vips(told(none, POOL + NODES + service("a", on=()))) == [], "nobody announces it as it is"


def test_only_services_of_which_nothing_is_known() -> None:
    config = POOL + NODES + bare("a") + service("b") + bare("waits", "loadBalancerClass: example.com/x")
    found = told(config + l2(), config)
    assert [str(change.address) for change in found.vips] == ["192.0.2.0", "192.0.2.1"]
    assert found.supposed == Supposed(services=(ServiceKey("default", "a"),))


def test_a_new_service_without_endpoints_is_announced_where_an_advertisement_covers_it() -> None:
    assert vips(told(POOL + l2(), POOL + l2() + bare("a"))) == []
    assert vips(told(POOL, POOL + bare("a"))) == ["192.0.2.0 silent: None -> None: no_advertisement"]
    by_bgp = POOL + peer("r", "203.0.113.1") + bgp()
    assert vips(told(by_bgp, by_bgp + bare("a"))) == []
    selecting = by_bgp.replace(bgp(), bgp("bgp", "nodeSelectors: [{matchLabels: {rack: a}}]"))
    assert vips(told(selecting, selecting + bare("a"))) == []


def test_owners_that_speakers_name_are_nothing_without_nodes() -> None:
    config = POOL + bare("a")
    owners = {ip_address("192.0.2.0"): "n7"}
    assert vips(told(config + l2(), config, owners=owners)) == ["192.0.2.0 stops: None -> None: no_advertisement"]


def test_both_sides_are_given_the_same() -> None:
    one = world(POOL + NODES + bare("a"), ("a", "192.0.2.0"))
    other = world(POOL + nodes("n3") + bare("b"), ("b", "192.0.2.0"))
    before, after, supposed = suppose_endpoints(one, other)
    assert [key.name for key in supposed.services] == ["a", "b"]
    assert not supposed.node
    assert dict(before.slices) == dict(after.slices)
    assert {(item.service, item.family) for item in before.slices.values()} == {
        (key, family) for key in supposed.services for family in Family
    }


def test_a_service_that_is_local_on_one_side_has_endpoints_on_every_node() -> None:
    for policies in (("", LOCAL), (LOCAL, "")):
        one, other = (world(POOL + NODES + bare("a", policy), ("a", "192.0.2.0")) for policy in policies)
        for side in suppose_endpoints(one, other)[:2]:
            assert {endpoint.node for item in side.slices.values() for endpoint in item.endpoints} == {"n1", "n2"}


def test_a_node_that_stands_for_any() -> None:
    made = anywhere(world(l2("l2", "nodeSelectors: [{matchLabels: {rack: a}}], interfaces: [eth9]")))
    assert list(made.nodes) == [ANYWHERE]
    assert not made.l2_advertisements["l2"].node_selectors
    assert made.l2_advertisements["l2"].interfaces == ("eth9",)
