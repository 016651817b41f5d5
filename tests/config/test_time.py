"""No text takes time out of proportion to its length."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from lbctl.config.reader import Reader

POOL = "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: office, namespace: m}\nspec:\n"
LIST = (
    "apiVersion: v1\nkind: List\nitems:\n"
    "- {apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: office, namespace: m}, "
    "spec: {addresses: [10.0.0.0/16]}}\n"
)
SERVICE = (
    "- {{apiVersion: v1, kind: Service, metadata: {{name: x{}, namespace: d, "
    "annotations: {{metallb.io/address-pool: offices}}}}, spec: {{type: LoadBalancer, ports: [{{port: 80}}]}}}}\n"
)
SELECTING = """apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {{name: a{0}, namespace: m}}
spec:
  interfaces: [eth{0}]
  nodeSelectors:
  - matchExpressions:
    - {{key: zone, operator: NotIn, values: [z{0}]}}
    - {{key: rack, operator: In, values: [r{0}, x{0}]}}
---
apiVersion: v1
kind: Node
metadata:
  name: n{0}
  labels: {{rack: r{0}, host: n{0}}}
"""
TEXTS: dict[str, Callable[[int], str]] = {
    "findings between the items of a List": lambda n: LIST + "".join(map(SERVICE.format, range(n))),
    "findings on one line": lambda n: POOL + f"  addresses: [{', '.join(['10.0.0.0/8'] * n)}]\n",
    "codes in a comment": lambda n: f"# lbctl: allow {', '.join(['LB0207'] * n)}\n{POOL}  addresses: [10.0.0.0/24]\n",
    "unknown fields": lambda n: POOL + "  addresses: [10.0.0.0/24]\n" + "".join(f"  zz{i}: y\n" for i in range(n)),
    "expressions of selectors, each with a node to match": lambda n: "---\n".join(map(SELECTING.format, range(n))),
}


def seconds(text: str) -> float:
    """Of processor time, the best of three."""
    took = []
    for _ in range(3):
        began = time.process_time()
        Reader().read({"a.yaml": text.encode()})
        took.append(time.process_time() - began)
    return min(took)


@pytest.mark.parametrize("name", TEXTS)
def test_time_grows_as_the_text_does(name: str) -> None:
    text = TEXTS[name]
    assert seconds(text(1600)) < 10 * seconds(text(400)) + 0.05
