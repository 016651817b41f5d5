"""Node, Namespace and Secret."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from lbctl.config.cluster import Password
from lbctl.model.node import Namespace, Node
from tests.config.manifests import Found, findings, read

NODE = "apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {zone: a}}\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: n}\ntype: kubernetes.io/basic-auth\n"


def test_node() -> None:
    found = read(
        NODE
        + """spec: {podCIDR: 10.0.0.0/24, taints: [], unschedulable: true}
status:
  addresses:
  - {type: InternalIP, address: 192.168.3.103}
  - {type: ExternalIP, address: "fd00::103"}
  - {type: Hostname, address: n1}
  conditions:
  - {type: Ready, status: "True", reason: x, message: y}
  - {type: NetworkUnavailable, status: "True"}
  capacity: {cpu: 4}
  nodeInfo: {}
"""
    )
    assert not found.diagnostics
    assert found.world.nodes["n1"] == Node(
        name="n1",
        labels=(("zone", "a"),),
        addresses=(ip_address("192.168.3.103"), ip_address("fd00::103")),
        network_unavailable=True,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NODE + "status: {addresses: [{type: InternalIP, address: n1}]}\n", [("LB0116", "n1")]),
        (NODE + "status: {addresses: [{type: Internal, address: n1}]}\n", [("LB0109", "Internal")]),
        (NODE + "status: {addresses: [{address: n1}]}\n", [("LB0110", "address")]),
        (NODE + "status: {conditions: [{type: Ready, status: true}]}\n", [("LB0107", "true")]),
        (NODE + "spec: {taint: []}\n", [("LB0106", "taint")]),
        (NODE + "status: {adresses: []}\n", [("LB0106", "adresses")]),
    ],
)
def test_wrong_node(text: str, expected: list[Found]) -> None:
    assert findings(text) == expected


def test_a_namespace_has_its_name_as_a_label() -> None:
    found = read("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\nspec: {finalizers: []}\n")
    assert not found.diagnostics
    assert found.world.namespaces["shop"] == Namespace(
        name="shop", labels=(("kubernetes.io/metadata.name", "shop"), ("team", "a"))
    )


@pytest.mark.parametrize("body", ["stringData: {password: geheim}\n", "data: {password: Z2VoZWlt, username: eA==}\n"])
def test_secret(body: str) -> None:
    found = read(SECRET + body)
    assert not found.diagnostics
    password = found.secrets["n", "s"]
    assert password == Password("kubernetes.io/basic-auth", "geheim")
    assert "geheim" not in repr(found)


@pytest.mark.parametrize(
    "body",
    [
        "stringData: {password: 4711}\n",
        "stringData: {password: [geheim]}\n",
        "data: {password: geheim}\n",
        "data: geheim\n",
        "immutable: geheim\n",
        "stringData:\n  password: geheim\n  password: geheim2\n",
        "stringData:\n  password: 'geheim\n",
        "stringDat:\n  password: geheim\n",
        "stringData:\n\tpassword: geheim\n",
        "stringData: {password: geheim: 1}\n",
    ],
)
def test_what_is_wrong_with_a_secret_is_said_without_showing_it(body: str) -> None:
    found = read(SECRET + body)
    assert found.diagnostics
    for diagnostic in found.diagnostics:
        assert diagnostic.sensitive
        assert "4711" not in str(diagnostic)
        if body != "immutable: geheim\n":
            assert "geheim" not in str(diagnostic) + diagnostic.help


def test_a_secret_without_password_is_no_error_by_itself() -> None:
    found = read("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: Opaque\ndata: {token: eA==}\n")
    assert not found.diagnostics
    assert found.secrets["default", "s"] == Password("Opaque", None)
