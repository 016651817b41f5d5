"""What MetalLB or Kubernetes would refuse, or take and do nothing with, does not pass without a word."""

from __future__ import annotations

import pytest

from tests.config.manifests import Found, findings, read, service
from tests.config.rules import old_peer, peer

PORTS = "  ports: [{port: 80}]\n"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("  holdTime: 65535s\n", []),
        ("  holdTime: 65536s\n", [("LB0405", "65536s")]),
        ("  holdTime: 20h\n", [("LB0405", "20h")]),
        ("  keepaliveTime: 10h\n", [("LB0405", "10h")]),
        ("  holdTime: 0s\n", []),
        ("  holdTime: 0s\n  keepaliveTime: 0s\n", []),
        ("  holdTime: 0s\n  keepaliveTime: 30s\n", [("LB0405", "30s")]),
        ("  sourceAddress: 10.9.9.1\n", [("LB0420", "10.9.9.1")]),
        ("  sourceAddress: 10.9.9.2\n", []),
    ],
)
def test_of_a_peer(more: str, expected: list[Found]) -> None:
    assert findings(peer(more)) == expected


def test_a_time_of_zero_was_not_given_in_the_old_version() -> None:
    assert findings(old_peer("  holdTime: 0s\n  keepaliveTime: 30s\n")) == [("LB0410", "metallb.io/v1beta1")]


def asking(spec: str, *annotations: str) -> str:
    lines = "".join(f"    {line}\n" for line in annotations)
    return service(spec + PORTS, metadata=f"  annotations:\n{lines}" if lines else "")


LB = "  type: LoadBalancer\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (asking(LB, "metallb.io/loadBalancerIPs: fd00::1"), [("LB0515", "fd00::1")]),
        (asking(LB + "  loadBalancerIP: fd00::1\n"), [("LB0515", "fd00::1")]),
        (asking(LB + "  ipFamilies: [IPv6]\n", "metallb.io/loadBalancerIPs: fd00::1"), []),
        (asking(LB + "  ipFamilies: [IPv6]\n", "metallb.io/loadBalancerIPs: 10.0.0.1"), [("LB0515", "10.0.0.1")]),
        (asking(LB + "  ipFamilyPolicy: PreferDualStack\n", "metallb.io/loadBalancerIPs: fd00::1"), []),
        (asking(LB + "  clusterIPs: ['fd00:1::1']\n", "metallb.io/loadBalancerIPs: fd00::1"), []),
        (asking(LB + "  clusterIP: None\n"), [("LB0516", "None")]),
        (asking(LB + "  clusterIPs: [None]\n"), [("LB0516", "clusterIPs")]),
        (asking("  clusterIP: None\n"), []),
        (asking("", "metallb.io/address-pool: p"), [("LB0517", "metallb.io/address-pool")]),
        (asking("  type: NodePort\n", "lbctl.io/address-pools: p"), [("LB0517", "lbctl.io/address-pools")]),
        (
            asking("", "metallb.io/allow-shared-ip: x", "metallb.io/address-pool: p"),
            [("LB0517", "metallb.io/address-pool")],
        ),
        (asking("", 'metallb.io/address-pool: ""'), []),
        (asking("", "metallb.io/ip-allocated-from-pool: p"), []),
        (asking("  type: Balancer\n", "metallb.io/address-pool: p"), [("LB0109", "Balancer")]),
    ],
)
def test_of_a_service(text: str, expected: list[Found]) -> None:
    assert findings(text) == expected


def test_all_annotations_without_effect_are_named() -> None:
    text = asking("", "metallb.io/allow-shared-ip: x", "metallb.io/address-pool: p")
    (found,) = read(text).diagnostics
    assert "metallb.io/address-pool (and metallb.io/allow-shared-ip)" in found.message
