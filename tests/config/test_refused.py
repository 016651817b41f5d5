"""An object that stands there with an error is not called missing by those that name it."""

from __future__ import annotations

import pytest

from lbctl.config.kinds import KINDS, place_of
from lbctl.config.reader import Reader
from tests.config.manifests import COVER, Found, findings, obj, pool, service
from tests.config.rules import bfd, bgp, cases, check, community, l2, peer, secret

BAD = ("LB0105", "bad")
LB = "  type: LoadBalancer\n  ports: [{port: 80}]"


@cases(
    ("profile", [peer("  bfdProfile: fast\n"), bfd("  bad: 1")], [BAD]),
    ("pool", [pool(name="q"), COVER, pool("  bad: 1\n  addresses: [10.1.0.0/24]"), l2("  ipAddressPools: [p]")], [BAD]),
    (
        "another-pool",
        [pool(name="q"), COVER, pool("  bad: 1\n  addresses: [10.1.0.0/24]"), l2("  ipAddressPools: [r]")],
        [BAD, ("LB0301", "r")],
    ),
    ("peer", [peer("  bad: 1\n"), bgp("  peers: [router]")], [BAD]),
    ("advertisement", [pool(), l2("  bad: 1")], [BAD]),
    ("bgp-advertisement", [pool(), bgp("  bad: 1")], [BAD]),
    (
        "community",
        [bgp("  communities: [gold]"), community("  communities: [{name: gold, value: '1:2', bad: 1}]")],
        [BAD],
    ),
    ("secret", [peer("  passwordSecret: {name: pw}\n"), secret("data: {password: '='}")], [("LB0409", "data")]),
    (
        "named-pool",
        [
            pool(name="q"),
            COVER,
            pool("  bad: 1\n  addresses: [10.1.0.0/24]"),
            service(LB, metadata="  annotations: {metallb.io/address-pool: p}\n"),
        ],
        [BAD],
    ),
    (
        "address",
        [
            pool(name="q"),
            COVER,
            pool("  bad: 1\n  addresses: [10.1.0.0/24]"),
            service(LB, metadata="  annotations: {metallb.io/loadBalancerIPs: 10.1.0.1}\n"),
        ],
        [BAD],
    ),
    (
        "broken-yaml",
        [peer("  bfdProfile: fast\n"), bfd("  echoMode: true\n  echoMode: false")],
        [("LB0005", "echoMode")],
    ),
)
def test_what_has_an_error_is_not_called_missing(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


def test_a_service_of_the_same_name_elsewhere_is_another_one() -> None:
    made = (
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n"
        "metadata: {name: s-1, labels: {kubernetes.io/service-name: s}}\n"
    )
    there = service(LB, name="other")
    broken = service("  type: Balancer", name="s")
    assert [code for code, _ in findings(made, there, broken)] == ["LB0109"]
    elsewhere = service("  type: Balancer", name="s", metadata="  namespace: b\n")
    assert [code for code, _ in findings(made, there, elsewhere)] == ["LB0605", "LB0109"]


def test_once_it_is_gone_it_is_missing() -> None:
    reader = Reader()
    files = {"a": peer("  bfdProfile: fast\n").encode(), "b": bfd("  bad: 1").encode()}
    assert [found.code for found in reader.read(files).diagnostics] == ["LB0105"]
    del files["b"]
    assert [found.code for found in reader.read(files).diagnostics] == ["LB0407"]
    files["b"] = bfd().encode()
    assert reader.read(files).diagnostics == ()


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: f"{kind.api_version}-{kind.name}")
def test_every_kind_has_its_place(kind: object) -> None:
    name = getattr(kind, "name", "")
    found = place_of(name, {"metadata": {"name": "x"}})
    assert found is not None
    assert found[1] in ("x", ("default", "x"))
    assert place_of(name, {"metadata": {"name": 7}}) is None
    assert place_of(name, {"metadata": []}) is None
    assert place_of(name, {}) is None


def test_places_are_those_of_good_objects() -> None:
    for text in (
        pool(),
        l2(),
        bgp(),
        peer(),
        bfd(),
        community("  communities: []"),
        service(LB),
        secret("data: {}"),
        obj("Node", "  {}", version="v1"),
        obj("Namespace", "  {}", version="v1"),
    ):
        (made,) = Reader().read_file("a", text.encode()).objects
        (broken,) = (
            Reader()
            .read_file("a", text.replace("metadata:", "metadata: &a", 1).encode() + b"apiVersion: v1\n")
            .documents
        )
        assert broken[1].refused == ((made.map, made.key),)
