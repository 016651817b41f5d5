"""No text takes time out of proportion to its length."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from lbctl.config.reader import Reader
from tests.support.bars import least

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
    """Of processor time."""
    began = time.process_time()
    Reader().read({"a.yaml": text.encode()})
    return time.process_time() - began


@pytest.mark.parametrize("name", TEXTS)
def test_time_grows_as_the_text_does(name: str) -> None:
    long, short = TEXTS[name](1600), TEXTS[name](400)
    least(lambda: seconds(long), lambda: seconds(short), enough=lambda much, little: much < 10 * little + 0.05)
