"""Did you mean: what is misspelt is known again, and what is somebody else's is left alone."""

from __future__ import annotations

import pytest

from lbctl.config.spelling import did_you_mean, nearest
from tests.config.manifests import obj, pool, read, service


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("adresses", ("addresses", "autoAssign"), "addresses"),
        ("ADDRESSES", ("addresses",), "addresses"),
        ("loadbalancer", ("LoadBalancer", "ClusterIP"), "LoadBalancer"),
        ("pool-1", ("pool-2", "other"), "pool-2"),
        ("x", ("addresses",), None),
        ("", ("a",), None),
        ("frist", [f"svc-{n}" for n in range(5000)] + ["first"], "first"),
    ],
)
def test_nearest(word: str, known: list[str], meant: str | None) -> None:
    assert nearest(word, known) == meant
    assert did_you_mean(word, known) == (f'did you mean "{meant}"?' if meant else "")


PORTS = "  type: LoadBalancer\n  ports: [{port: 80}]"


def annotated(text: str) -> str:
    return service(PORTS, metadata=f"  annotations: {{{text}: a}}\n")


@pytest.mark.parametrize(
    ("text", "help"),
    [
        (pool("  adresses: [10.0.0.0/24]"), 'did you mean "addresses"?'),
        (pool("  addresses: [10.0.0.0/24]\nautoAssign: true"), "it belongs under spec:, indented"),
        (service("  type: Loadbalancer"), 'did you mean "LoadBalancer"?'),
        (service(PORTS + "\n  externalTrafficPolicy: local"), 'did you mean "Local"?'),
        (obj("L2Advertisment", "  {}"), 'did you mean "L2Advertisement"?'),
        (pool().replace("metallb.io", "metalb.io"), 'did you mean "metallb.io/v1beta1"?'),
        (obj("L2Advertisement", "  ipAddressPools: [frist]") + "---\n" + pool(name="first"), 'did you mean "first"?'),
        (annotated("metallb.io/address-pol"), 'did you mean "address-pool"?'),
        (annotated("metalb.io/address-pool"), 'did you mean "metallb.io/address-pool"?'),
        (annotated("metallb.univers.tf/address-pool"), 'did you mean "metallb.universe.tf/address-pool"?'),
        (annotated("lbctrl.io/on-conflict"), 'did you mean "lbctl.io/on-conflict"?'),
    ],
)
def test_suggestions(text: str, help: str) -> None:
    assert any(help in found.help for found in read(text).diagnostics), [each.help for each in read(text).diagnostics]


@pytest.mark.parametrize("key", ["example.com/address-pool", "io.cilium/lb-ipam-ips", "address-pool", "kubectl.io/x"])
def test_annotations_of_others_are_left_alone(key: str) -> None:
    assert read(annotated(key)).diagnostics == ()
