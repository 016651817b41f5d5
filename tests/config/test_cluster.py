"""Node, Namespace and Secret."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

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
        labels=(("kubernetes.io/hostname", "n1"), ("zone", "a")),
        addresses=(ip_address("192.168.3.103"), ip_address("fd00::103")),
        network_unavailable=True,
        pod_cidrs=(ip_network("10.0.0.0/24"),),
    )


def test_a_node_has_its_name_as_a_label_unless_it_has_another() -> None:
    assert read(NODE).world.nodes["n1"].labels == (("kubernetes.io/hostname", "n1"), ("zone", "a"))
    named = NODE.replace("zone: a", "kubernetes.io/hostname: machine-7")
    assert read(named).world.nodes["n1"].labels == (("kubernetes.io/hostname", "machine-7"),)


@pytest.mark.parametrize(
    ("annotation", "networks", "gateways"),
    [
        ("lbctl.io/networks: 192.0.2.10/24", ["192.0.2.0/24"], []),
        ("lbctl.io/networks: '192.0.2.0/24, 2001:db8::10/64'", ["192.0.2.0/24", "2001:db8::/64"], []),
        ("lbctl.io/gateways: '192.0.2.1,fe80::1'", [], ["192.0.2.1", "fe80::1"]),
        ("projectcalico.org/IPv4Address: 192.0.2.10/24", ["192.0.2.0/24"], []),
        ("projectcalico.org/IPv6Address: '2001:db8::10/64'", ["2001:db8::/64"], []),
        ("projectcalico.org/IPv4Address: none", [], []),
        ("projectcalico.org/ASNumber: '64512'", [], []),
    ],
)
def test_what_is_known_of_the_networks_of_a_node(annotation: str, networks: list[str], gateways: list[str]) -> None:
    found = read(NODE.replace("{name: n1,", f"{{name: n1, annotations: {{{annotation}}},"))
    assert not found.diagnostics
    node = found.world.nodes["n1"]
    assert [str(network) for network in node.networks] == networks
    assert [str(gateway) for gateway in node.gateways] == gateways


@pytest.mark.parametrize(
    ("annotation", "part"),
    [
        ("lbctl.io/networks: 192.0.2.10", "192.0.2.10"),
        ("lbctl.io/networks: '192.0.2.10/24,'", "'192.0.2.10/24,'"),
        ("lbctl.io/networks: 192.0.2.10/33", "192.0.2.10/33"),
        ("lbctl.io/networks: 192.0.2.10/x", "192.0.2.10/x"),
        ("lbctl.io/gateways: 192.0.2.0/24", "192.0.2.0/24"),
        ("lbctl.io/gateways: router", "router"),
    ],
)
def test_wrong_network_of_a_node(annotation: str, part: str) -> None:
    text = NODE.replace("{name: n1,", f"{{name: n1, annotations: {{{annotation}}},")
    ((code, said),) = findings(text)
    assert code == "LB0120"
    assert said == part or part.endswith(",'")


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
