"""Rules over all objects together."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.config.codes import CODES
from lbctl.config.ranges import ranges_overlap
from lbctl.config.reader import Reader
from lbctl.model.address import AddressRange
from lbctl.model.service import ServiceKey
from tests.config.manifests import COVER, Found, at, findings, obj, pool, read, service
from tests.config.rules import node, peer

PEER = obj(
    "BGPPeer",
    "  myASN: 1\n  peerASN: 2\n  peerAddress: 10.9.9.9\n"
    "  bfdProfile: fast\n  passwordSecret: {name: pw, namespace: n}\n",
    name="router",
    version="metallb.io/v1beta2",
)
FAST = obj("BFDProfile", "  echoMode: false", name="fast")
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: pw, namespace: n}\ntype: kubernetes.io/basic-auth\n"
SLICE = """apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: s-1, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
"""


def ad(kind: str, spec: str, name: str = "ad") -> str:
    return obj(kind, spec, name=name)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        # a pool and its advertisements
        ([pool()], [("LB0207", "p")]),
        ([pool(), COVER], []),
        ([pool(), ad("L2Advertisement", "  ipAddressPools: [p]")], []),
        ([pool(), ad("BGPAdvertisement", "  ipAddressPools: [p]")], []),
        ([pool(), ad("L2Advertisement", "  ipAddressPools: [pp]")], [("LB0207", "p"), ("LB0301", "pp")]),
        (
            [
                pool(metadata="  labels: {a: b}\n"),
                ad("L2Advertisement", "  ipAddressPoolSelectors: [{matchLabels: {a: b}}]"),
            ],
            [],
        ),
        (
            [
                pool(metadata="  labels: {a: c}\n"),
                ad("L2Advertisement", "  ipAddressPoolSelectors: [{matchLabels: {a: b}}]"),
            ],
            [("LB0207", "p"), ("LB0307", "matchLabels")],
        ),
        ([ad("BGPAdvertisement", "  ipAddressPools: [q]\n  peers: [r]")], [("LB0301", "q"), ("LB0302", "r")]),
        ([ad("BGPAdvertisement", "  peers: [router]"), PEER, FAST, SECRET + "stringData: {password: x}"], []),
        # communities
        ([ad("BGPAdvertisement", "  communities: [gold]")], [("LB0305", "gold")]),
        (
            [
                ad("BGPAdvertisement", "  communities: [gold]"),
                obj("Community", "  communities: [{name: gold, value: '1:2'}]"),
            ],
            [],
        ),
        (
            [
                obj("Community", "  communities: [{name: gold, value: '1:2'}]"),
                obj("Community", "  communities: [{name: gold, value: '1:3'}]", name="y"),
            ],
            [("LB0306", "gold")],
        ),
        # peers
        ([PEER], [("LB0407", "fast"), ("LB0408", "pw")]),
        ([PEER, FAST, SECRET + "stringData: {password: x}"], []),
        ([PEER, FAST, SECRET + "stringData: {token: x}"], [("LB0409", "pw")]),
        ([PEER, FAST, SECRET.replace("basic-auth", "tls") + "stringData: {password: x}"], [("LB0409", "pw")]),
        ([PEER, FAST, SECRET.replace(": n}", ": m}") + "stringData: {password: x}"], [("LB0408", "pw")]),
        # services
        ([service("  loadBalancerIP: 10.0.0.1")], []),
        ([service("  loadBalancerIP: 10.0.0.1"), pool(), COVER], []),
        ([service("  loadBalancerIP: 10.0.1.1"), pool(), COVER], [("LB0507", "10.0.1.1")]),
        (
            [service("  {}", metadata="  annotations: {metallb.io/loadBalancerIPs: 10.0.1.1}\n"), pool(), COVER],
            [("LB0517", "metallb.io/loadBalancerIPs"), ("LB0507", "10.0.1.1")],
        ),
        (
            [service("  type: NodePort", metadata="  annotations: {metallb.io/address-pool: q}\n"), pool(), COVER],
            [("LB0517", "metallb.io/address-pool"), ("LB0506", "q")],
        ),
        (
            [service("  type: NodePort", metadata="  annotations: {metallb.io/address-pool: q}\n")],
            [("LB0517", "metallb.io/address-pool")],
        ),
        # slices
        ([SLICE], []),
        ([SLICE, service("  type: NodePort")], []),
        ([SLICE, service("  type: NodePort", name="t")], [("LB0605", "s")]),
    ],
)
def test_rule(texts: list[str], expected: list[Found]) -> None:
    assert findings(*texts) == expected


def test_pools_that_overlap() -> None:
    texts = (pool(name="first"), pool("  addresses: [10.9.0.0/24, 10.0.0.128-10.0.1.5]", name="second"), COVER)
    found = read(*texts)
    (conflict,) = found.conflicts
    assert (conflict.code, at(conflict.span, *texts)) == ("LB0205", "10.0.0.128-10.0.1.5")
    assert "first" in conflict.message
    assert [(label.span.file, at(label.span, *texts)) for label in conflict.labels] == [("a.yaml", "10.0.0.0/24")]
    assert list(found.world.pools) == ["first"]


def test_an_object_defined_twice() -> None:
    texts = (service("  type: NodePort"), service("  type: LoadBalancer\n  ports: [{port: 80}]"))
    found = read(*texts)
    (conflict,) = found.conflicts
    assert (conflict.code, str(conflict.span)) == ("LB0113", "b.yaml:4:9")
    assert "default/s" in conflict.message
    assert [str(label.span) for label in conflict.labels] == ["a.yaml:4:9"]
    assert found.world.services[ServiceKey("default", "s")].type == "NodePort"


def test_the_same_name_in_another_namespace_is_another_service() -> None:
    assert findings(service("  type: NodePort"), service("  type: NodePort", metadata="  namespace: other\n")) == []


def test_what_is_refused_is_not_called_missing() -> None:
    texts = (pool(name="a"), pool(name="b"), ad("L2Advertisement", "  ipAddressPools: [a, b]"))
    assert [code for code, _ in findings(*texts)] == ["LB0205"]


def span(first: int, last: int) -> AddressRange:
    from ipaddress import IPv4Address

    return AddressRange(IPv4Address(first), IPv4Address(last), f"{first}-{last}")


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=12))
def test_overlaps_are_found_as_a_dumb_comparison_finds_them(pairs: list[tuple[int, int]]) -> None:
    ranges = [(span(first, first + size), place) for place, (first, size) in enumerate(pairs)]
    overlapping = {(max(a, b), min(a, b)) for x, a in ranges for y, b in ranges if a < b and x.overlaps(y)}
    found = set(ranges_overlap(ranges))
    assert found <= overlapping
    assert bool(found) == bool(overlapping)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=8))
def test_what_is_left_of_overlapping_pools_does_not_overlap(pairs: list[tuple[int, int]]) -> None:
    texts = [
        pool(f"  addresses: [10.0.0.{first}-10.0.0.{first + size}]", name=f"p{place}")
        for place, (first, size) in enumerate(pairs)
    ]
    left = list(read(*texts).world.pools.values())
    for one in left:
        assert not any(one is not other and one.ranges[0].overlaps(other.ranges[0]) for other in left)
    assert bool(left) == bool(pairs)


def test_a_thousand_pools_of_ten_ranges_cost_little() -> None:
    import time

    text = "---\n".join(
        pool("  addresses:\n" + "".join(f"  - 10.{n >> 4}.{(n & 15) * 16 + k}.0/24\n" for k in range(10)), name=f"p{n}")
        for n in range(1000)
    )
    more = [
        *(
            obj("BGPAdvertisement", f"  ipAddressPools: [p{n}]\n  aggregationLength: {25 + n % 7}", name=f"a{n}")
            for n in range(1000)
        ),
        *(
            obj("BGPAdvertisement", f"  peers: [r{n}]\n  aggregationLength: 24\n  localPref: {n}", name=f"w{n}")
            for n in range(60)
        ),
        *(node(f"n{n}", f"192.168.0.{n}", spec=f"podCIDR: 172.16.{n}.0/24") for n in range(200)),
        *(peer(name=f"r{n}", spec=f"  myASN: 1\n  peerASN: 1\n  peerAddress: 192.168.1.{n}\n") for n in range(60)),
    ]
    began = time.process_time()
    found = read(text, COVER, "---\n".join(more))
    assert time.process_time() - began < 8
    assert len(found.world.pools) == 1000
    assert not found.diagnostics


_DOCUMENTS = sorted({text for code in CODES.values() for text in (code.example, code.mended) if text})


@given(st.lists(st.tuples(st.sampled_from("abcdefg"), st.sampled_from(["", *_DOCUMENTS])), min_size=8, max_size=16))
@settings(max_examples=60, deadline=None)
def test_one_change_after_the_other_finds_what_a_fresh_start_finds(changes: list[tuple[str, str]]) -> None:
    """Rules that look at nothing changed are not run again; nobody may see a difference."""
    reader, files = Reader(), {}
    for name, text in changes:
        files[name] = text.encode("utf-8", "surrogateescape")
        found, fresh = reader.read(files), Reader().read(files)
        assert found.diagnostics == fresh.diagnostics
        assert found.world == fresh.world
