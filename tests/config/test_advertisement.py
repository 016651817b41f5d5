"""L2Advertisement, BGPAdvertisement and Community: MetalLB rules B1 to B4."""

from __future__ import annotations

import pytest

from lbctl.config.advertisement import is_community
from lbctl.model.advertisement import BGPAdvertisement, L2Advertisement, PreferredNodes
from lbctl.model.selector import LabelSelector
from tests.config.manifests import Found, findings, obj, read


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        ("L2Advertisement", "  ipAddressPools: [p, p]", [("LB0301", "p"), ("LB0114", "p")]),
        ("L2Advertisement", "  ipAddressPools: p", [("LB0107", "p")]),
        ("L2Advertisement", "  interfaces: [eth0, 5]", [("LB0107", "5")]),
        ("L2Advertisement", "  nodeSelectors: [{matchLabel: {}}]", [("LB0105", "matchLabel")]),
        ("L2Advertisement", "  preferredNodeSelectors: [{weight: 0, preference: {}}]", [("LB0108", "0")]),
        ("L2Advertisement", "  preferredNodeSelectors: [{weight: 101, preference: {}}]", [("LB0108", "101")]),
        ("L2Advertisement", "  preferredNodeSelectors: [{preference: {}}]", [("LB0110", "preference")]),
        ("BGPAdvertisement", "  communities: ['1:2', '1:2']", [("LB0114", "'1:2'")]),
        ("BGPAdvertisement", "  peers: [a, a]", [("LB0302", "a"), ("LB0114", "a")]),
        ("BGPAdvertisement", "  aggregationLength: 33", [("LB0108", "33")]),
        ("BGPAdvertisement", "  aggregationLength: 0", [("LB0108", "0")]),
        ("BGPAdvertisement", "  aggregationLengthV6: 129", [("LB0108", "129")]),
        ("BGPAdvertisement", "  localPref: 4294967296", [("LB0108", "4294967296")]),
        ("BGPAdvertisement", "  localPref: -1", [("LB0108", "-1")]),
        ("BGPAdvertisement", "  communities: [65536:1]", [("LB0304", "65536:1")]),
        ("BGPAdvertisement", "  communities: ['1:2:3']", [("LB0304", "'1:2:3'")]),
        ("BGPAdvertisement", "  communities: ['large:1:2']", [("LB0304", "'large:1:2'")]),
        ("BGPAdvertisement", "  communities: ['large:1:2:4294967296']", [("LB0304", "'large:1:2:4294967296'")]),
        (
            "BGPAdvertisement",
            "  aggregationLength: 24\n  serviceSelectors: [{matchLabels: {a: b}}]",
            [("LB0303", "24")],
        ),
        (
            "BGPAdvertisement",
            "  aggregationLengthV6: 64\n  aggregationLength: 32\n  serviceSelectors: [{}]",
            [("LB0303", "64")],
        ),
        ("Community", "  communities: [{name: a}]", [("LB0110", "name")]),
        ("Community", "  communities: [{name: a, value: b}]", [("LB0304", "b")]),
        ("Community", "  communities: [{name: a, value: 64512}]", [("LB0107", "64512")]),
    ],
)
def test_rule(kind: str, spec: str, expected: list[Found]) -> None:
    assert findings(obj(kind, spec)) == expected
    assert read(obj(kind, spec)).count == 0


@pytest.mark.parametrize("text", ["0:0", "64512:10", "65535:65535", "large:0:0:0", "large:4294967295:1:1"])
def test_community(text: str) -> None:
    assert is_community(text)


@pytest.mark.parametrize("text", ["", ":", "1:", "1", "1:65536", "-1:1", "+1:1", "１:1", "Large:1:1:1", "1:1:1:1"])
def test_no_community(text: str) -> None:
    assert not is_community(text)


def test_community_is_no_sexagesimal_number() -> None:
    """YAML 1.1 reads 64512:10 as the number 3870730."""
    found = read(obj("BGPAdvertisement", "  communities:\n  - 64512:10\n  - large:64512:1:10"))
    assert found.world.bgp_advertisements["x"].communities == ("64512:10", "large:64512:1:10")
    assert not found.diagnostics


def test_everything_an_l2_advertisement_can_say() -> None:
    made = read(
        obj(
            "L2Advertisement",
            """  ipAddressPools: [a]
  ipAddressPoolSelectors: [{matchLabels: {p: q}}]
  nodeSelectors: [{matchLabels: {n: o}}]
  interfaces: [eth0, eth1]
  serviceSelectors: [{matchLabels: {s: t}}]
  preferredNodeSelectors: [{weight: 10, preference: {}}]""",
        )
    ).world.l2_advertisements["x"]
    assert made == L2Advertisement(
        name="x",
        pools=("a",),
        pool_selectors=(LabelSelector(match_labels=(("p", "q"),)),),
        node_selectors=(LabelSelector(match_labels=(("n", "o"),)),),
        interfaces=("eth0", "eth1"),
        service_selectors=(LabelSelector(match_labels=(("s", "t"),)),),
        preferred_nodes=(PreferredNodes(weight=10, preference=LabelSelector()),),
    )


def test_everything_a_bgp_advertisement_can_say() -> None:
    made = read(
        obj(
            "BGPAdvertisement",
            """  aggregationLength: 24
  aggregationLengthV6: 64
  localPref: 100
  communities: ["1:2", name]
  ipAddressPools: [a]
  peers: [r1, r2]""",
        )
    ).world.bgp_advertisements["x"]
    assert made == BGPAdvertisement(
        name="x",
        pools=("a",),
        peers=("r1", "r2"),
        communities=("1:2", "name"),
        local_pref=100,
        aggregation_length=24,
        aggregation_length_v6=64,
    )


@pytest.mark.parametrize("spec", ["spec:\n", "spec: {}\n", ""])
def test_an_advertisement_without_spec_covers_everything(spec: str) -> None:
    head = "apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata: {name: x}\n"
    found = read(head + spec)
    assert not found.diagnostics
    assert found.world.l2_advertisements["x"] == L2Advertisement(name="x")


def test_communities() -> None:
    found = read(obj("Community", "  communities:\n  - {name: a, value: '1:2'}\n  - {name: b, value: 'large:1:2:3'}"))
    assert found.world.communities["x"].aliases == (("a", "1:2"), ("b", "large:1:2:3"))
