"""MetalLB's rules B1 to B8 and what else advertisements must keep to, each accepted and refused."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.config.checks.advertisements import local_preferences_agree, shortest_prefix
from lbctl.config.checks.scope import may_both_match
from lbctl.model.address import AddressRange
from lbctl.model.advertisement import BGPAdvertisement
from lbctl.model.node import HOSTNAME_LABEL, Node
from lbctl.model.pool import Pool
from lbctl.model.selector import LabelSelector, Operator, Requirement
from lbctl.model.snapshot import World
from tests.config.manifests import Found, pool, read
from tests.config.rules import GOOD, Case, bfd, bgp, cases, check, community, l2, node, peer

ON_N1 = "\n  nodeSelectors: [{matchLabels: {kubernetes.io/hostname: n1}}]"
ON_N2 = "\n  nodeSelectors: [{matchLabels: {kubernetes.io/hostname: n2}}]"
NODES = [node("n1", "172.16.0.1"), node("n2", "172.16.0.2")]


@cases(
    ("pools", [pool(), bgp("  ipAddressPools: [p]")], GOOD),
    ("pool-twice", [pool(), bgp("  ipAddressPools: [p, p]")], [("LB0114", "p")]),
    ("pool-twice-l2", [pool(), l2("  ipAddressPools: [p, p]")], [("LB0114", "p")]),
    ("community-twice", [bgp("  communities: ['1:2', '1:2']")], [("LB0114", "'1:2'")]),
    ("peer-twice", [peer(), bgp("  peers: [router, router]")], [("LB0114", "router")]),
    ("pool-selector-twice", [bgp("  ipAddressPoolSelectors: [{}, {}]")], [("LB0114", "{}")]),
    ("node-selector-twice", [bgp("  nodeSelectors: [{}, {}]")], [("LB0114", "{}")]),
    ("node-selector-twice-l2", [l2("  nodeSelectors: [{}, {}]")], [("LB0114", "{}")]),
    ("service-selector-twice", [bgp("  serviceSelectors: [{}, {}]")], [("LB0114", "{}")]),
    ("service-selector-twice-l2", [l2("  serviceSelectors: [{}, {}]")], [("LB0114", "{}")]),
    ("expression", [l2("  nodeSelectors: [{matchExpressions: [{key: a, operator: In}]}]")], [("LB0115", "In")]),
    ("empty-name", [bgp("  peers: ['']")], [("LB0110", "''")]),
)
def test_b1_lists_are_sets(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


SOME = "  serviceSelectors: [{matchLabels: {a: b}}]\n"


@cases(
    ("no-length", [bgp(SOME)], GOOD),
    ("whole-lengths", [bgp(SOME + "  aggregationLength: 32\n  aggregationLengthV6: 128")], GOOD),
    ("v4", [bgp(SOME + "  aggregationLength: 24")], [("LB0303", "24")]),
    ("v6", [bgp(SOME + "  aggregationLengthV6: 64")], [("LB0303", "64")]),
    ("both", [bgp(SOME + "  aggregationLength: 24\n  aggregationLengthV6: 64")], [("LB0303", "24"), ("LB0303", "64")]),
    ("empty-selectors", [bgp("  serviceSelectors: []\n  aggregationLength: 24")], GOOD),
)
def test_b2_no_aggregate_of_some_services(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("longest", [bgp("  aggregationLength: 32\n  aggregationLengthV6: 128")], GOOD),
    ("shortest", [bgp("  aggregationLength: 1\n  aggregationLengthV6: 0")], GOOD),
    ("v4-33", [bgp("  aggregationLength: 33")], [("LB0108", "33")]),
    ("v4-0", [bgp("  aggregationLength: 0")], [("LB0108", "0")]),
    ("v4-negative", [bgp("  aggregationLength: -1")], [("LB0108", "-1")]),
    ("v6-129", [bgp("  aggregationLengthV6: 129")], [("LB0108", "129")]),
    ("v6-negative", [bgp("  aggregationLengthV6: -1")], [("LB0108", "-1")]),
    ("text", [bgp("  aggregationLength: '24'")], [("LB0107", "'24'")]),
    ("local-pref", [bgp("  localPref: 4294967295")], GOOD),
    ("local-pref-too-high", [bgp("  localPref: 4294967296")], [("LB0108", "4294967296")]),
    ("local-pref-negative", [bgp("  localPref: -1")], [("LB0108", "-1")]),
)
def test_b3_lengths_and_numbers(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


def said(text: str, *codes: Found) -> Case:
    return (text, [bgp(f"  communities: ['{text}']")], list(codes))


@cases(
    said("0:0"),
    said("65535:65535"),
    said("64512:10"),
    said("large:4294967295:4294967295:4294967295"),
    said("large:1:2:3"),
    said("65536:1", ("LB0304", "'65536:1'")),
    said("1:65536", ("LB0304", "'1:65536'")),
    said("-1:1", ("LB0304", "'-1:1'")),
    said("1:", ("LB0304", "'1:'")),
    said("1:2:3", ("LB0304", "'1:2:3'")),
    said("1:2:3:4", ("LB0304", "'1:2:3:4'")),
    said("big:1:2:3", ("LB0304", "'big:1:2:3'")),
    said("large:1:2", ("LB0304", "'large:1:2'")),
    said("large:1:2:4294967296", ("LB0304", "'large:1:2:4294967296'")),
    said("large:1:2:x", ("LB0304", "'large:1:2:x'")),
    said("gold", ("LB0305", "'gold'")),
    ("unquoted", [bgp("  communities: [64512:10]")], GOOD),
    ("alias", [bgp("  communities: [gold]"), community("  communities: [{name: gold, value: 64512:10}]")], GOOD),
    ("empty", [bgp("  communities: ['']")], [("LB0304", "''")]),
    ("number", [bgp("  communities: [7]")], [("LB0107", "7")]),
)
def test_b4_communities_are_communities(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


def aggregated(item: str, *, four: int = 32, six: int = 128) -> list[str]:
    return [
        pool(f"  addresses: ['{item}']"),
        bgp(f"  aggregationLength: {four}\n  aggregationLengthV6: {six}"),
    ]


@cases(
    ("equal", aggregated("10.0.0.0/24", four=24), GOOD),
    ("longer", aggregated("10.0.0.0/24", four=26), GOOD),
    ("shorter", aggregated("10.0.0.0/26", four=24), [("LB0310", "24")]),
    ("default", aggregated("10.0.0.7/32"), GOOD),
    ("v6-equal", aggregated("fd00::/64", six=64), GOOD),
    ("v6-shorter", aggregated("fd00::/120", six=64), [("LB0310", "64")]),
    ("v6-alone-does-not-count-for-v4", aggregated("10.0.0.7/32", six=64), GOOD),
    ("range-with-one-that-fits", aggregated("10.0.0.1-10.0.2.5", four=24), GOOD),
    ("range-with-none", aggregated("10.0.0.1-10.0.1.254", four=24), [("LB0310", "24")]),
    ("range-of-few", aggregated("10.0.0.10-10.0.0.20", four=30), GOOD),
    ("range-of-few-none", aggregated("10.0.0.10-10.0.0.20", four=28), [("LB0310", "28")]),
    ("v6-range", aggregated("fd00::1-fd00::1:0", six=112), [("LB0310", "112")]),
    (
        "second-item",
        [pool("  addresses: [10.0.0.0/24, 10.0.1.0/28]"), bgp("  aggregationLength: 24")],
        [("LB0310", "24")],
    ),
    (
        "other-pool",
        [
            pool("  addresses: [10.0.0.0/28]"),
            l2("  ipAddressPools: [p]"),
            bgp(
                "  ipAddressPools: []\n"
                "  ipAddressPoolSelectors: [{matchExpressions: [{key: a, operator: Exists}]}]\n  aggregationLength: 24"
            ),
            pool("  addresses: [10.1.0.0/24]", name="q", metadata="  labels: {a: b}\n"),
        ],
        GOOD,
    ),
    (
        "selected-pool",
        [
            pool("  addresses: [10.0.0.0/28]", metadata="  labels: {a: b}\n"),
            bgp("  ipAddressPoolSelectors: [{matchLabels: {a: b}}]\n  aggregationLength: 24"),
        ],
        [("LB0310", "24")],
    ),
)
def test_b5_an_aggregate_lies_in_the_pool(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


def test_b5_says_which_item_of_which_pool() -> None:
    texts = aggregated("10.0.0.1-10.0.1.254", four=24)
    (found,) = read(*texts).diagnostics
    assert "10.0.0.1-10.0.1.254 of the pool p" in found.message
    assert "/25" in found.message
    assert [label.span.file for label in found.labels] == ["a.yaml"]


@given(st.integers(0, 63), st.integers(0, 63))
def test_b5_the_shortest_prefix_is_found_as_a_dumb_search_finds_it(one: int, other: int) -> None:
    first, last = sorted((one, other))
    fitting = [
        length
        for length in range(24, 33)
        for begin in range(0, 64, 1 << (32 - length))
        if begin >= first and begin + (1 << (32 - length)) - 1 <= last
    ]
    item = AddressRange(ip_address(f"10.0.0.{first}"), ip_address(f"10.0.0.{last}"), "")
    assert shortest_prefix(item) == min(fitting)


def prefs(first: str, second: str, *more: str) -> list[str]:
    return [
        pool(),
        bgp("  localPref: 100\n" + first, name="a"),
        bgp("  localPref: 200\n" + second, name="b"),
        peer(name="left", spec="  myASN: 1\n  peerASN: 1\n  peerAddress: 10.9.9.1\n"),
        peer(name="right", spec="  myASN: 1\n  peerASN: 1\n  peerAddress: 10.9.9.2\n"),
        *more,
    ]


CLASH: list[Found] = [("LB0311", "200")]


@cases(
    ("clash", prefs("", ""), CLASH),
    (
        "unset-is-another",
        [pool(), bgp("  ipAddressPools: [p]", name="a"), bgp("  localPref: 5", name="b")],
        [("LB0311", "5")],
    ),
    ("equal", [pool(), bgp("  localPref: 5\n  ipAddressPools: [p]", name="a"), bgp("  localPref: 5", name="b")], GOOD),
    ("other-length", prefs("", "  aggregationLength: 28"), GOOD),
    ("other-length-of-a-family-that-is-not-there", prefs("", "  aggregationLengthV6: 64"), CLASH),
    ("other-peers", prefs("  peers: [left]", "  peers: [right]"), GOOD),
    ("a-peer-in-common", prefs("  peers: [left]", "  peers: [right, left]"), CLASH),
    ("all-peers", prefs("  peers: [left]", ""), CLASH),
    ("other-nodes", prefs(ON_N1, ON_N2, *NODES), GOOD),
    ("a-node-in-common", prefs(ON_N1, "", *NODES), CLASH),
    (
        "other-nodes-by-label",
        prefs(
            "  nodeSelectors: [{matchLabels: {rack: a}}]",
            "  nodeSelectors: [{matchExpressions: [{key: rack, operator: DoesNotExist}]}]",
            node("n1", labels="rack: a"),
            node("n2"),
        ),
        GOOD,
    ),
    (
        "nodes-that-nobody-knows",
        prefs("  nodeSelectors: [{matchLabels: {rack: a}}]", "  nodeSelectors: [{matchLabels: {disk: ssd}}]"),
        CLASH,
    ),
    ("nodes-that-nobody-knows-and-cannot-meet", prefs(ON_N1, ON_N2), GOOD),
    ("service-selectors", prefs(SOME, ""), GOOD),
    ("service-selectors-of-the-second", prefs("", SOME), GOOD),
    (
        "other-pools",
        [
            pool(),
            pool("  addresses: [10.1.0.0/24]", name="q"),
            bgp("  localPref: 1\n  ipAddressPools: [p]", name="a"),
            bgp("  localPref: 2\n  ipAddressPools: [q]", name="b"),
        ],
        GOOD,
    ),
    (
        "third-is-no-clash-with-the-refused",
        [
            pool(),
            pool("  addresses: [10.1.0.0/24]", name="q"),
            bgp("  localPref: 1\n  ipAddressPools: [p]", name="a"),
            bgp("  localPref: 2", name="b"),
            bgp("  localPref: 3\n  ipAddressPools: [q]", name="c"),
        ],
        [("LB0311", "2")],
    ),
)
def test_b6_one_route_has_one_local_preference(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


_NAMES = st.lists(st.sampled_from("abc"), max_size=2, unique=True).map(sorted).map(tuple)


@given(
    st.lists(
        st.tuples(_NAMES, _NAMES, _NAMES, st.integers(0, 2), st.sampled_from([24, 32]), st.booleans()), max_size=6
    ),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.booleans(),
)
def test_b6_finds_what_a_comparison_of_all_with_all_finds(
    rows: list[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], int, int, bool]], six: list[bool], known: bool
) -> None:
    ranges = {
        version: AddressRange(first, first, "")
        for version, first in ((4, ip_address("10.0.0.0")), (6, ip_address("fd00::")))
    }
    pools = {
        name: Pool(name=name, ranges=(ranges[4], *((ranges[6],) if both else ())))
        for name, both in zip("abc", six, strict=True)
    }
    advertisements = {
        str(number): BGPAdvertisement(
            name=str(number),
            pools=covered,
            peers=peers,
            node_selectors=tuple(LabelSelector(match_labels=((HOSTNAME_LABEL, node),)) for node in nodes),
            local_pref=local_pref,
            aggregation_length=length,
            service_selectors=(LabelSelector(),) if some else (),
        )
        for number, (covered, peers, nodes, local_pref, length, some) in enumerate(rows)
    }
    hosts = {name: Node(name=name) for name in "abc"} if known else {}
    world = World(pools=pools, bgp_advertisements=advertisements, nodes=hosts)

    def whole(names: tuple[str, ...]) -> set[str]:
        return set(names or "abc")

    kept: list[BGPAdvertisement] = []
    refused = []
    for (covered, peers, nodes, _, _, some), new in zip(rows, advertisements.values(), strict=True):
        clash = not some and any(
            old.local_pref != new.local_pref
            and not old.service_selectors
            and whole(old.peers) & whole(peers)
            and whole(tuple(dict(selector.match_labels)[HOSTNAME_LABEL] for selector in old.node_selectors))
            & whole(nodes)
            and any(
                old.aggregation_length == new.aggregation_length or len(pools[name].ranges) == 2
                for name in whole(old.pools) & whole(covered)
            )
            for old in kept
        )
        if clash:
            refused.append(new.name)
        else:
            kept.append(new)
    assert [finding.subject.key for finding in local_preferences_agree(world, {})] == refused


@cases(
    ("different", [pool(), bgp("  communities: ['1:2']", name="a"), bgp("  communities: ['1:3']", name="b")], GOOD),
    ("same-object-twice", [pool(), bgp(), bgp()], [("LB0113", "bgp")]),
    ("same-but-for-the-name", [pool(), bgp(name="a"), bgp(name="b")], [("LB0312", "b")]),
    (
        "same-but-for-order",
        [pool(), bgp("  communities: ['1:2', '1:3']", name="a"), bgp("  communities: ['1:3', '1:2']", name="b")],
        [("LB0312", "b")],
    ),
    ("l2-may-add-up", [pool(), l2(name="a"), l2(name="b")], GOOD),
)
def test_b7_an_advertisement_is_given_once(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


SIX = pool("  addresses: ['fd00::/64']")
ECHO = "  bfdProfile: fast\n"


@cases(
    ("v4-only", [pool(), bgp(), peer(ECHO), bfd("  echoMode: true")], GOOD),
    ("v6", [SIX, bgp(), peer(ECHO), bfd("  echoMode: true")], [("LB0415", "fast")]),
    (
        "v6-beside-v4",
        [pool("  addresses: [10.0.0.0/24, 'fd00::/64']"), bgp(), peer(ECHO), bfd("  echoMode: true")],
        [("LB0415", "fast")],
    ),
    ("no-echo", [SIX, bgp(), peer(ECHO), bfd("  echoMode: false")], GOOD),
    (
        "other-peer",
        [
            SIX,
            bgp("  peers: [router]"),
            peer(),
            peer(ECHO, name="b", spec="  myASN: 64512\n  peerASN: 64513\n  peerAddress: 10.9.9.2\n"),
            bfd("  echoMode: true"),
        ],
        GOOD,
    ),
    ("this-peer", [SIX, bgp("  peers: [router]"), peer(ECHO), bfd("  echoMode: true")], [("LB0415", "fast")]),
    ("layer-2-only", [SIX, l2(), peer(ECHO), bfd("  echoMode: true")], GOOD),
    (
        "other-pool",
        [
            SIX,
            pool(name="q"),
            l2("  ipAddressPools: [p]"),
            bgp("  ipAddressPools: [q]"),
            peer(ECHO),
            bfd("  echoMode: true"),
        ],
        GOOD,
    ),
)
def test_b8_no_echo_with_ipv6(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("pools", [pool(metadata="  labels: {a: b}\n"), bgp("  ipAddressPoolSelectors: [{matchLabels: {a: b}}]")], GOOD),
    ("no-pools-to-compare", [bgp("  ipAddressPoolSelectors: [{matchLabels: {a: b}}]")], GOOD),
    ("no-pool", [pool(), l2(), bgp("  ipAddressPoolSelectors: [{matchLabels: {a: b}}]")], [("LB0307", "matchLabels")]),
    (
        "one-of-two",
        [
            pool(metadata="  labels: {a: b}\n"),
            bgp("  ipAddressPoolSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: c}}]"),
        ],
        [("LB0309", "matchLabels")],
    ),
    (
        "none-of-two",
        [pool(), l2(), bgp("  ipAddressPoolSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: c}}]")],
        [("LB0307", "ipAddressPoolSelectors")],
    ),
    (
        "beside-a-name",
        [pool(), bgp("  ipAddressPools: [p]\n  ipAddressPoolSelectors: [{matchLabels: {a: b}}]")],
        [("LB0309", "matchLabels")],
    ),
    ("node", [l2(ON_N1.strip("\n")), *NODES], GOOD),
    ("no-nodes-to-compare", [l2("  nodeSelectors: [{matchLabels: {rack: a}}]")], GOOD),
    ("no-node", [l2("  nodeSelectors: [{matchLabels: {rack: a}}]"), *NODES], [("LB0308", "matchLabels")]),
    ("no-node-bgp", [bgp("  nodeSelectors: [{matchLabels: {rack: a}}]"), *NODES], [("LB0308", "matchLabels")]),
    (
        "no-node-of-a-second-list",
        [l2("  nodeSelectors: [{matchLabels: {kubernetes.io/hostname: n1}}, {matchLabels: {rack: a}}]"), *NODES],
        [("LB0309", "matchLabels")],
    ),
    (
        "preference",
        [l2("  preferredNodeSelectors: [{weight: 1, preference: {matchLabels: {rack: a}}}]"), *NODES],
        [("LB0309", "preference")],
    ),
    ("empty-preference", [l2("  preferredNodeSelectors: [{weight: 100, preference: {}}]"), *NODES], GOOD),
    (
        "service",
        [
            l2(SOME),
            "apiVersion: v1\nkind: Service\nmetadata: {name: s, labels: {a: c}}\n"
            "spec: {type: LoadBalancer, ports: [{port: 80}]}\n",
        ],
        [("LB0309", "matchLabels")],
    ),
    (
        "no-services-to-compare",
        [l2(SOME), "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: NodePort}\n"],
        GOOD,
    ),
)
def test_selectors_match_something(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@pytest.mark.parametrize(
    ("selector", "help"),
    [
        ("matchLabels: {rack: c}", "rack is a, b here"),
        ("matchLabels: {rakc: a}", 'no node has the label "rakc"; did you mean "rack"?'),
        ("matchLabels: {zebra: a}", 'no node has the label "zebra"'),
        ("matchExpressions: [{key: rack, operator: In, values: [c, d]}]", "rack is a, b here"),
        ("matchExpressions: [{key: zebra, operator: Exists}]", 'no node has the label "zebra"'),
        (
            "matchExpressions: [{key: rack, operator: In, values: [a, c]}, {key: disk, operator: Exists}]",
            "no object has",
        ),
        ("matchLabels: {rack: a, disk: ssd}", "no object has all of it at once"),
        ("matchExpressions: [{key: rack, operator: DoesNotExist}]", "no object has all of it at once"),
    ],
)
def test_what_is_said_of_a_selector_that_matches_nothing(selector: str, help: str) -> None:
    nodes = [node("n1", labels="rack: a"), node("n2", labels="rack: b, disk: ssd")]
    (found,) = read(l2(f"  nodeSelectors: [{{{selector}}}]"), *nodes).diagnostics
    assert found.code == "LB0308"
    assert found.help.startswith(help)


@cases(
    ("usual", [l2("  interfaces: [eth0, eno1np0, bond0.100, br-lan, 'Ethernet 0']")], [("LB0314", "'Ethernet 0'")]),
    ("exact", [l2("  interfaces: [eth0, enp216s0f0np0, vlan.4094]")], GOOD),
    ("pattern", [l2("  interfaces: ['eth*']")], [("LB0314", "'eth*'")]),
    ("regular-expression", [l2("  interfaces: ['eth[0-9]']")], [("LB0314", "'eth[0-9]'")]),
    ("fifteen", [l2("  interfaces: [abcdefghijklmno]")], GOOD),
    ("sixteen", [l2("  interfaces: [abcdefghijklmnop]")], [("LB0314", "abcdefghijklmnop")]),
    ("slash", [l2("  interfaces: [eth0/1]")], [("LB0314", "eth0/1")]),
    ("twice", [l2("  interfaces: [eth0, eth1, eth0]")], [("LB0314", "eth0")]),
    ("empty", [l2("  interfaces: ['']")], [("LB0110", "''")]),
)
def test_interfaces_can_exist(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("lowest", [l2("  preferredNodeSelectors: [{weight: 1, preference: {}}]")], GOOD),
    ("highest", [l2("  preferredNodeSelectors: [{weight: 100, preference: {}}]")], GOOD),
    ("zero", [l2("  preferredNodeSelectors: [{weight: 0, preference: {}}]")], [("LB0108", "0")]),
    ("above", [l2("  preferredNodeSelectors: [{weight: 101, preference: {}}]")], [("LB0108", "101")]),
    ("no-weight", [l2("  preferredNodeSelectors: [{preference: {}}]")], [("LB0110", "preference")]),
    ("no-preference", [l2("  preferredNodeSelectors: [{weight: 5}]")], [("LB0110", "weight")]),
    (
        "twice-adds-up",
        [l2("  preferredNodeSelectors: [{weight: 5, preference: {}}, {weight: 5, preference: {}}]")],
        GOOD,
    ),
)
def test_preferences_have_weights(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


EXTERNAL = "  myASN: 1\n  peerASN: 2\n  peerAddress: 10.9.9.1\n"


@cases(
    ("internal", [bgp("  localPref: 5"), peer(spec=EXTERNAL.replace("2", "1", 1))], GOOD),
    ("external", [bgp("  localPref: 5"), peer(spec=EXTERNAL)], [("LB0313", "5")]),
    ("unset", [bgp(), peer(spec=EXTERNAL)], GOOD),
    (
        "one-internal",
        [
            bgp("  localPref: 5"),
            peer(spec=EXTERNAL),
            peer(spec="  myASN: 1\n  peerASN: 1\n  peerAddress: 10.9.9.2\n", name="b"),
        ],
        GOOD,
    ),
    ("dynamic", [bgp("  localPref: 5"), peer(spec=EXTERNAL.replace("peerASN: 2", "dynamicASN: internal"))], GOOD),
    (
        "dynamic-external",
        [bgp("  localPref: 5"), peer(spec=EXTERNAL.replace("peerASN: 2", "dynamicASN: external"))],
        [("LB0313", "5")],
    ),
    ("no-peers-to-compare", [bgp("  localPref: 5")], GOOD),
)
def test_local_preference_is_heard_by_somebody(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


def demand(key: str, operator: Operator, *values: str) -> Requirement:
    return Requirement(key=key, operator=operator, values=values)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([], [], True),
        ([demand("a", Operator.IN, "x")], [demand("a", Operator.IN, "y")], False),
        ([demand("a", Operator.IN, "x", "y")], [demand("a", Operator.IN, "y")], True),
        ([demand("a", Operator.IN, "x")], [demand("b", Operator.IN, "y")], True),
        ([demand("a", Operator.IN, "x")], [demand("a", Operator.NOT_IN, "x")], False),
        ([demand("a", Operator.IN, "x", "y")], [demand("a", Operator.NOT_IN, "x")], True),
        ([demand("a", Operator.EXISTS)], [demand("a", Operator.DOES_NOT_EXIST)], False),
        ([demand("a", Operator.IN, "x")], [demand("a", Operator.DOES_NOT_EXIST)], False),
        ([demand("a", Operator.NOT_IN, "x")], [demand("a", Operator.DOES_NOT_EXIST)], True),
        ([demand("a", Operator.NOT_IN, "x")], [demand("a", Operator.EXISTS)], True),
    ],
)
def test_selectors_that_exclude_each_other(one: list[Requirement], other: list[Requirement], expected: bool) -> None:
    a, b = LabelSelector(expressions=tuple(one)), LabelSelector(expressions=tuple(other))
    assert may_both_match(a, b) is may_both_match(b, a) is expected


_REQUIREMENTS = st.builds(
    lambda key, operator, values: demand(
        key, operator, *(values if operator in (Operator.IN, Operator.NOT_IN) else ())
    ),
    st.sampled_from("ab"),
    st.sampled_from(Operator),
    st.lists(st.sampled_from("xyz"), min_size=1, max_size=2, unique=True),
)


@given(st.lists(_REQUIREMENTS, max_size=3), st.lists(_REQUIREMENTS, max_size=3))
def test_selectors_meet_where_some_labels_satisfy_both(one: list[Requirement], other: list[Requirement]) -> None:
    a, b = LabelSelector(expressions=tuple(one)), LabelSelector(expressions=tuple(other))
    values = (None, "x", "y", "z", "something else")
    worlds = [{k: v for k, v in (("a", left), ("b", right)) if v is not None} for left in values for right in values]
    assert may_both_match(a, b) == any(a.matches(labels) and b.matches(labels) for labels in worlds)
