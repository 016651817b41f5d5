"""Pools against the addresses of others (what MetalLB does not check), with as many guards against false alarms."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.config.checks.network import RangeIndex, withheld
from lbctl.config.ranges import merged, read_item
from lbctl.model.pool import Pool, PoolOptions
from tests.config.manifests import COVER, Found, pool, read, service
from tests.config.rules import GOOD, cases, check, node, peer


def of(*items: str, name: str = "p", exclude: str = "", more: str = "") -> str:
    listed = ", ".join(f"'{item}'" for item in items)
    metadata = f"  annotations: {{lbctl.io/exclude: '{exclude}'}}\n" if exclude else ""
    return pool(f"  addresses: [{listed}]\n{more}", name=name, metadata=metadata)


def ips(name: str, *cluster: str) -> str:
    return service(f"  ports: [{{port: 80}}]\n  clusterIPs: [{', '.join(cluster)}]", name=name)


def endpoints(*addresses: str) -> str:
    family = "IPv6" if ":" in addresses[0] else "IPv4"
    listed = "".join(f"- {{addresses: ['{address}']}}\n" for address in addresses)
    return (
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
        "metadata: {name: s-1, labels: {kubernetes.io/service-name: s}}\n"
        f"addressType: {family}\nports: [{{port: 80}}]\nendpoints:\n{listed}"
    )


N1 = node("n1", "192.168.3.103")
TWO = [N1, node("n2", "192.168.3.104")]


@cases(
    ("beside", [of("192.168.3.170-192.168.3.179"), COVER, *TWO], GOOD),
    (
        "cidr",
        [of("192.168.3.0/24"), COVER, N1],
        [("LB0210", "'192.168.3.0/24'")],
    ),
    ("range", [of("192.168.3.100-192.168.3.110"), COVER, N1], [("LB0210", "'192.168.3.100-192.168.3.110'")]),
    ("range-around", [of("192.168.3.100-192.168.3.102", "192.168.3.104-192.168.3.110"), COVER, N1], GOOD),
    ("range-whose-cidrs-would-hold-it", [of("192.168.3.97-192.168.3.102"), COVER, N1], GOOD),
    ("range-that-ends-before", [of("192.168.3.90-192.168.3.102"), COVER, N1], GOOD),
    (
        "range-that-ends-with-it",
        [of("192.168.3.90-192.168.3.103"), COVER, N1],
        [("LB0210", "'192.168.3.90-192.168.3.103'")],
    ),
    ("both-nodes-are-one-finding", [of("192.168.3.0/24"), COVER, *TWO], [("LB0210", "'192.168.3.0/24'")]),
    (
        "two-items",
        [of("192.168.3.103/32", "192.168.3.104/32"), COVER, *TWO],
        [("LB0210", "'192.168.3.103/32'"), ("LB0210", "'192.168.3.104/32'")],
    ),
    ("v6", [of("2001:db8::/64"), COVER, node("n1", "2001:db8::103")], [("LB0210", "'2001:db8::/64'")]),
    ("v6-is-not-v4", [of("::c0a8:0367/128"), COVER, N1], GOOD),
    ("excluded", [of("192.168.3.0/24", exclude="192.168.3.100-192.168.3.110"), COVER, *TWO], GOOD),
    ("one-excluded", [of("192.168.3.0/24", exclude="192.168.3.103"), COVER, *TWO], [("LB0210", "'192.168.3.0/24'")]),
    ("never-given", [of("192.168.3.0/24", more="  avoidBuggyIPs: true"), COVER, node("n1", "192.168.3.255")], GOOD),
    ("single-node", [of("192.168.3.103/32"), COVER, N1], GOOD),
    ("single-address-of-one-of-two", [of("192.168.3.103/32"), COVER, *TWO], [("LB0210", "'192.168.3.103/32'")]),
    (
        "hostname",
        [
            of("192.168.3.0/24"),
            COVER,
            "apiVersion: v1\nkind: Node\nmetadata: {name: n}\n"
            "status: {addresses: [{type: Hostname, address: 192.168.3.5}]}\n",
        ],
        GOOD,
    ),
)
def test_pool_and_nodes(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


def test_the_help_can_be_pasted() -> None:
    (found,) = read(of("192.168.3.0/24"), COVER, *TWO).diagnostics
    assert found.message == (
        "192.168.3.0/24 holds 192.168.3.103 (node n1), 192.168.3.104 (node n2): "
        "a service there would take the node off the network"
    )
    _, _, advice = found.help.partition("lbctl.io/exclude: ")
    assert not read(of("192.168.3.0/24", exclude=advice.strip('"')), COVER, *TWO).diagnostics
    assert [label.span.file for label in found.labels] == ["c.yaml"]


def test_the_help_knows_what_is_excluded_already() -> None:
    (found,) = read(of("192.168.3.0/24", exclude="192.168.3.1"), COVER, N1).diagnostics
    assert found.help == "add 192.168.3.103 to lbctl.io/exclude of the pool"


def test_of_many_addresses_a_few_are_shown() -> None:
    nodes = [node(f"n{n:02}", f"192.168.3.{n}") for n in range(10, 40)]
    (found,) = read(of("192.168.3.0/24"), COVER, "---\n".join(nodes)).diagnostics
    assert "192.168.3.10 (node n10), 192.168.3.11 (node n11), 192.168.3.12 (node n12) and 27 more" in found.message
    assert found.help == "write the pool as ranges around them"


def at_router(address: str) -> str:
    return peer(spec=f"  myASN: 1\n  peerASN: 2\n  peerAddress: {address}\n")


@cases(
    ("peer-outside", [of("10.0.0.0/24"), COVER, at_router("10.0.1.1")], GOOD),
    ("peer", [of("10.0.0.0/24"), COVER, at_router("10.0.0.1")], [("LB0211", "'10.0.0.0/24'")]),
    ("peer-excluded", [of("10.0.0.0/24", exclude="10.0.0.1"), COVER, at_router("10.0.0.1")], GOOD),
    ("peer-by-interface", [of("10.0.0.0/24"), COVER, peer(spec="  myASN: 1\n  peerASN: 2\n  interface: eth0\n")], GOOD),
    (
        "gateway",
        [of("10.0.0.0/24"), COVER, node("n1", annotations="lbctl.io/gateways: 10.0.0.254")],
        [("LB0211", "'10.0.0.0/24'")],
    ),
    ("gateway-outside", [of("10.0.0.0/24"), COVER, node("n1", annotations="lbctl.io/gateways: 10.0.1.254")], GOOD),
    (
        "gateway-v6",
        [of("fd00::/64"), COVER, node("n1", annotations="lbctl.io/gateways: 'fd00::1'")],
        [("LB0211", "'fd00::/64'")],
    ),
    (
        "gateway-of-two-nodes",
        [
            of("10.0.0.0/24"),
            COVER,
            node("n1", annotations="lbctl.io/gateways: 10.0.0.254"),
            node("n2", annotations="lbctl.io/gateways: 10.0.0.254"),
        ],
        [("LB0211", "'10.0.0.0/24'")],
    ),
)
def test_pool_and_routers(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("pods-elsewhere", [of("10.0.0.0/24"), COVER, node("n1", spec="podCIDR: 10.244.0.0/24")], GOOD),
    (
        "pods",
        [of("10.244.0.128/25"), COVER, node("n1", spec="podCIDR: 10.244.0.0/24")],
        [("LB0212", "'10.244.0.128/25'")],
    ),
    (
        "pods-within",
        [of("10.244.0.0/16"), COVER, node("n1", spec="podCIDRs: [10.244.3.0/24, 'fd00::/64']")],
        [("LB0212", "'10.244.0.0/16'")],
    ),
    (
        "pods-v6",
        [of("fd00::/80"), COVER, node("n1", spec="podCIDRs: [10.244.3.0/24, 'fd00::/64']")],
        [("LB0212", "'fd00::/80'")],
    ),
    (
        "pods-beside",
        [
            of("10.244.1.0/24"),
            COVER,
            node("n1", spec="podCIDR: 10.244.0.0/24"),
            node("n2", spec="podCIDR: 10.244.2.0/24"),
        ],
        GOOD,
    ),
    (
        "pods-of-many-nodes-are-one-finding",
        [
            of("10.244.0.0/16"),
            COVER,
            node("n1", spec="podCIDR: 10.244.0.0/24"),
            node("n2", spec="podCIDR: 10.244.1.0/24"),
        ],
        [("LB0212", "'10.244.0.0/16'")],
    ),
    ("cluster-ip", [of("10.96.0.0/24"), COVER, ips("a", "10.96.0.10")], [("LB0212", "'10.96.0.0/24'")]),
    ("cluster-ip-beside", [of("10.96.0.0/28"), COVER, ips("a", "10.96.0.100")], GOOD),
    ("cluster-ip-elsewhere", [of("10.0.0.0/24"), COVER, ips("a", "10.96.0.10", "'fd00::1'")], GOOD),
    ("cluster-ip-v6", [of("fd00::/120"), COVER, ips("a", "10.96.0.10", "'fd00::1'")], [("LB0212", "'fd00::/120'")]),
    (
        "one-of-a-neighborhood",
        [of("10.96.0.0/28"), COVER, ips("a", "10.96.0.9"), ips("b", "10.96.0.100")],
        [("LB0212", "'10.96.0.0/28'")],
    ),
    (
        "one-of-a-neighborhood-v6",
        [of("fd00::/124"), COVER, ips("a", "'fd00::9'"), ips("b", "'fd00::ffff'")],
        [("LB0212", "'fd00::/124'")],
    ),
    (
        "dotted-v6",
        [of("64:ff9b::a60:0/124"), COVER, ips("a", "'64:ff9b::10.96.0.9'"), ips("b", "'64:ff9b::10.97.0.9'")],
        [("LB0212", "'64:ff9b::a60:0/124'")],
    ),
    ("headless", [of("10.96.0.0/24"), COVER, ips("a", "None")], GOOD),
    (
        "many-cluster-ips-are-one-finding",
        [of("10.96.0.0/24"), COVER, ips("a", "10.96.0.9"), ips("b", "10.96.0.10")],
        [("LB0212", "'10.96.0.0/24'")],
    ),
    ("endpoint", [of("10.244.0.0/24"), COVER, endpoints("10.244.0.7", "10.244.1.7")], [("LB0212", "'10.244.0.0/24'")]),
    ("endpoint-elsewhere", [of("10.244.0.0/28"), COVER, endpoints("10.244.0.77", "10.244.1.7")], GOOD),
    ("endpoint-v6", [of("fd00::/64"), COVER, endpoints("fd00::7")], [("LB0212", "'fd00::/64'")]),
    (
        "pods-and-services-are-two",
        [of("10.96.0.0/24", "10.244.0.0/24"), COVER, endpoints("10.244.0.7"), ips("s", "10.96.0.1")],
        [("LB0212", "'10.96.0.0/24'"), ("LB0212", "'10.244.0.0/24'")],
    ),
)
def test_pool_and_cluster(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


ON_24 = node("n1", "192.168.3.103", annotations="lbctl.io/networks: 192.168.3.103/24")


@cases(
    ("in-the-middle", [of("192.168.3.170-192.168.3.179"), COVER, ON_24], GOOD),
    ("broadcast", [of("192.168.3.170-192.168.3.255"), COVER, ON_24], [("LB0213", "'192.168.3.170-192.168.3.255'")]),
    ("network", [of("192.168.3.0-192.168.3.9"), COVER, ON_24], [("LB0213", "'192.168.3.0-192.168.3.9'")]),
    ("cidr-at-the-end", [of("192.168.3.128/25"), COVER, ON_24], [("LB0213", "'192.168.3.128/25'")]),
    ("end-of-a-cidr-within-the-segment", [of("192.168.3.16/28"), COVER, ON_24], GOOD),
    (
        "zero-within-a-wider-segment",
        [of("192.168.4.0/24"), COVER, node("n1", annotations="lbctl.io/networks: 192.168.0.0/16")],
        GOOD,
    ),
    ("elsewhere", [of("10.0.0.0/24"), COVER, ON_24], GOOD),
    ("segment-unknown", [of("192.168.3.128/25"), COVER, N1], GOOD),
    ("buggy-ones-avoided", [of("192.168.3.128/25", more="  avoidBuggyIPs: true"), COVER, ON_24], GOOD),
    ("excluded", [of("192.168.3.128/25", exclude="192.168.3.255"), COVER, ON_24], GOOD),
    (
        "point-to-point",
        [of("192.168.3.2/31"), COVER, node("n1", annotations="lbctl.io/networks: 192.168.3.2/31")],
        GOOD,
    ),
    (
        "v6-router-anycast",
        [of("fd00::/120"), COVER, node("n1", annotations="lbctl.io/networks: 'fd00::7/64'")],
        [("LB0213", "'fd00::/120'")],
    ),
    (
        "v6-has-no-broadcast",
        [of("fd00::ffff:ffff:ffff:ff00/120"), COVER, node("n1", annotations="lbctl.io/networks: 'fd00::7/64'")],
        GOOD,
    ),
    (
        "calico",
        [of("192.168.3.128/25"), COVER, node("n1", annotations="projectcalico.org/IPv4Address: 192.168.3.103/24")],
        [("LB0213", "'192.168.3.128/25'")],
    ),
)
def test_pool_and_segment(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("private", [of("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"), COVER], GOOD),
    ("shared-and-documentation", [of("100.64.0.0/10", "192.0.2.0/24", "2001:db8::/32"), COVER], GOOD),
    ("multicast", [of("239.0.0.1-239.0.0.9"), COVER], [("LB0214", "'239.0.0.1-239.0.0.9'")]),
    ("loopback", [of("127.0.0.2/32"), COVER], [("LB0214", "'127.0.0.2/32'")]),
    ("v6-multicast", [of("ff02::/16"), COVER], [("LB0214", "'ff02::/16'")]),
    ("broadcast", [of("255.255.255.255/32"), COVER], [("LB0214", "'255.255.255.255/32'")]),
    ("reserved", [of("240.0.0.0/8"), COVER], [("LB0214", "'240.0.0.0/8'")]),
    ("link-local", [of("fe80::/64"), COVER], [("LB0214", "'fe80::/64'")]),
)
def test_pool_and_what_no_host_can_have(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


DUAL = "\n  ipFamilyPolicy: RequireDualStack"


def lb(name: str, address: str, *lines: str, port: int = 80, more: str = "") -> str:
    annotations = "".join(
        f"    {line}\n" for line in (f"metallb.io/loadBalancerIPs: {address}", *lines) if address or line
    )
    body = f"  type: LoadBalancer\n  ports: [{{port: {port}}}]\n{more}"
    return service(body, name=name, metadata=f"  annotations:\n{annotations}")


SHARED = "metallb.io/allow-shared-ip: k"
LOCAL = "  externalTrafficPolicy: Local\n  selector: {a: b}\n"


@cases(
    ("two-addresses", [lb("a", "10.0.0.1"), lb("b", "10.0.0.2")], GOOD),
    ("one-address", [lb("a", "10.0.0.1"), lb("b", "10.0.0.1")], [("LB0511", "10.0.0.1")]),
    ("one-key-missing", [lb("a", "10.0.0.1", SHARED), lb("b", "10.0.0.1", port=81)], [("LB0511", "10.0.0.1")]),
    ("shared", [lb("a", "10.0.0.1", SHARED), lb("b", "10.0.0.1", SHARED, port=81)], GOOD),
    ("shared-port", [lb("a", "10.0.0.1", SHARED), lb("b", "10.0.0.1", SHARED)], [("LB0511", "10.0.0.1")]),
    ("other-key", [lb("a", "10.0.0.1", SHARED), lb("b", "10.0.0.1", SHARED + "2", port=81)], [("LB0511", "10.0.0.1")]),
    ("local-alike", [lb("a", "10.0.0.1", SHARED, more=LOCAL), lb("b", "10.0.0.1", SHARED, port=81, more=LOCAL)], GOOD),
    (
        "local-and-cluster",
        [lb("a", "10.0.0.1", SHARED, more=LOCAL), lb("b", "10.0.0.1", SHARED, port=81)],
        [("LB0511", "10.0.0.1")],
    ),
    ("other-class", [lb("a", "10.0.0.1"), lb("b", "10.0.0.1", more="  loadBalancerClass: example.com/x\n")], GOOD),
    (
        "not-a-load-balancer",
        [lb("a", "10.0.0.1"), lb("b", "10.0.0.1").replace("LoadBalancer", "NodePort")],
        [("LB0517", "metallb.io/loadBalancerIPs")],
    ),
    (
        "in-the-field",
        [
            service("  type: LoadBalancer\n  loadBalancerIP: 10.0.0.1\n  ports: [{port: 80}]", name="a"),
            service("  type: LoadBalancer\n  loadBalancerIP: 10.0.0.1\n  ports: [{port: 80}]", name="b"),
        ],
        [("LB0511", "10.0.0.1")],
    ),
    (
        "one-of-two-families",
        [lb(name, f"'10.0.0.{n},fd00::1'", more=DUAL) for n, name in ((1, "a"), (2, "b"))],
        [("LB0511", "'10.0.0.2,fd00::1'")],
    ),
)
def test_services_ask_for_different_addresses(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


def wants(*lines: str, more: str = "") -> str:
    return service(
        f"  type: LoadBalancer\n  ports: [{{port: 80}}]\n{more}",
        metadata="  annotations:\n" + "".join(f"    {line}\n" for line in lines),
    )


FOUR, SIX = of("10.0.0.0/24", name="four"), of("fd00::/64", name="six")
BOTH = [FOUR, SIX, COVER]


@cases(
    ("there", [*BOTH, wants("metallb.io/address-pool: four")], GOOD),
    ("missing", [*BOTH, wants("metallb.io/address-pool: for")], [("LB0506", "for")]),
    (
        "by-family",
        [*BOTH, wants("lbctl.io/address-pools: four,six", more="  ipFamilyPolicy: RequireDualStack\n")],
        GOOD,
    ),
    ("one-of-several-missing", [*BOTH, wants("lbctl.io/address-pools: four,sax")], [("LB0506", "four,sax")]),
    ("of-the-other-family", [*BOTH, wants("metallb.io/address-pool: six")], [("LB0512", "six")]),
    ("of-the-family", [*BOTH, wants("metallb.io/address-pool: six", more="  ipFamilies: [IPv6]\n")], GOOD),
    ("by-cluster-ip", [*BOTH, wants("metallb.io/address-pool: six", more="  clusterIPs: ['fd96::1']\n")], GOOD),
    (
        "half-of-what-is-required",
        [*BOTH, wants("metallb.io/address-pool: four", more="  ipFamilyPolicy: RequireDualStack\n")],
        [("LB0512", "four")],
    ),
    (
        "half-of-what-is-preferred",
        [*BOTH, wants("metallb.io/address-pool: four", more="  ipFamilyPolicy: PreferDualStack\n")],
        GOOD,
    ),
    ("address-there", [*BOTH, wants("metallb.io/loadBalancerIPs: 10.0.0.7")], GOOD),
    ("address-nowhere", [*BOTH, wants("metallb.io/loadBalancerIPs: 10.0.1.7")], [("LB0507", "10.0.1.7")]),
    (
        "address-excluded",
        [of("10.0.0.0/24", exclude="10.0.0.7"), COVER, wants("metallb.io/loadBalancerIPs: 10.0.0.7")],
        [("LB0513", "10.0.0.7")],
    ),
    (
        "address-avoided",
        [of("10.0.0.0/24", more="  avoidBuggyIPs: true"), COVER, wants("metallb.io/loadBalancerIPs: 10.0.0.255")],
        [("LB0513", "10.0.0.255")],
    ),
    ("address-not-avoided", [of("10.0.0.0/24"), COVER, wants("metallb.io/loadBalancerIPs: 10.0.0.255")], GOOD),
    (
        "address-of-the-pool",
        [*BOTH, wants("metallb.io/address-pool: four", "metallb.io/loadBalancerIPs: 10.0.0.7")],
        GOOD,
    ),
    (
        "address-of-another-pool",
        [
            *BOTH,
            of("10.0.1.0/24", name="more"),
            wants("metallb.io/address-pool: four", "metallb.io/loadBalancerIPs: 10.0.1.7"),
        ],
        [("LB0513", "10.0.1.7")],
    ),
    (
        "pool-for-others",
        [
            of("10.0.0.0/24", more="  serviceAllocation: {namespaces: [shop]}"),
            COVER,
            wants("metallb.io/address-pool: p"),
        ],
        [("LB0514", "p")],
    ),
    (
        "pool-for-us",
        [
            of("10.0.0.0/24", more="  serviceAllocation: {namespaces: [default]}"),
            COVER,
            wants("metallb.io/address-pool: p"),
        ],
        GOOD,
    ),
    (
        "pool-by-labels",
        [
            of("10.0.0.0/24", more="  serviceAllocation: {serviceSelectors: [{matchLabels: {a: b}}]}"),
            COVER,
            wants("metallb.io/address-pool: p").replace("metadata:\n", "metadata:\n  labels: {a: b}\n"),
        ],
        GOOD,
    ),
)
def test_what_services_ask_for_is_to_be_had(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


def made(*items: str, exclude: tuple[str, ...] = (), avoid: bool = False) -> Pool:
    options = PoolOptions(excluded=merged(read_item(item) for item in exclude))
    return Pool(name="p", ranges=tuple(map(read_item, items)), avoid_buggy_ips=avoid, options=options)


@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 6)), max_size=8),
    st.integers(0, 100),
    st.integers(24, 32),
)
def test_the_index_finds_what_a_walk_finds(pairs: list[tuple[int, int]], number: int, length: int) -> None:
    items = merged(read_item(f"10.0.0.{first}-10.0.0.{first + size}") for first, size in pairs)
    pool = Pool(name="p", ranges=items)
    index = RangeIndex({"p": pool})
    address = ip_address(f"10.0.0.{number}")
    assert [hit.place for hit in [index.find(address)] if hit] == [
        place for place, item in enumerate(items) if address in item
    ]
    network = ip_network(f"10.0.0.{number}/{length}", strict=False)
    whole = read_item(str(network))
    touching = [place for place, item in enumerate(items) if item.overlaps(whole)]
    assert [hit.place for hit in index.overlapping(network)] == touching
    assert index.touches(4, int(network.network_address), int(network.broadcast_address)) == bool(touching)
    assert index.find(ip_address(number)) is None
    assert not index.touches(6, 0, 1 << 128)


@pytest.mark.parametrize(
    ("pool", "address", "withheld_"),
    [
        (made("10.0.0.0/24"), "10.0.0.0", False),
        (made("10.0.0.0/24", avoid=True), "10.0.0.0", True),
        (made("10.0.0.0/24", avoid=True), "10.0.0.255", True),
        (made("10.0.0.0/24", avoid=True), "10.0.0.1", False),
        (made("fd00::/64", avoid=True), "fd00::ff", False),
        (made("10.0.0.0/24", exclude=("10.0.0.5-10.0.0.9", "10.0.0.20")), "10.0.0.9", True),
        (made("10.0.0.0/24", exclude=("10.0.0.5-10.0.0.9", "10.0.0.20")), "10.0.0.10", False),
        (made("10.0.0.0/24", exclude=("10.0.0.5-10.0.0.9", "10.0.0.20")), "10.0.0.20", True),
        (made("10.0.0.0/24", exclude=("fd00::/64",)), "10.0.0.20", False),
    ],
)
def test_what_a_pool_withholds(pool: Pool, address: str, withheld_: bool) -> None:
    assert bool(withheld(pool, ip_address(address))) is withheld_
