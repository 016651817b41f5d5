"""EndpointSlice."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from lbctl.model.address import Family
from lbctl.model.endpoint import Endpoint, EndpointPort, EndpointSlice, SliceKey
from lbctl.model.service import ServiceKey, Transport
from tests.config.manifests import Found, findings, read

HEAD = """apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-1
  namespace: shop
  labels: {kubernetes.io/service-name: web}
"""
KEY = SliceKey("shop", "web-1")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("endpoints: []\n", [("LB0110", "apiVersion")]),
        ("addressType: ipv4\n", [("LB0109", "ipv4")]),
        ("addressType: FQDN\nendpoints: [{addresses: [a.example]}]\n", [("LB0602", "FQDN")]),
        ("addressType: IPv4\nendpoints: [{addresses: [fd00::1]}]\n", [("LB0601", "fd00::1")]),
        ("addressType: IPv6\nendpoints: [{addresses: [10.0.0.1]}]\n", [("LB0601", "10.0.0.1")]),
        ("addressType: IPv4\nendpoints: [{addresses: [web-0]}]\n", [("LB0116", "web-0")]),
        ("addressType: IPv4\nendpoints: [{addresses: []}]\n", [("LB0110", "addresses")]),
        ("addressType: IPv4\nendpoints: [{nodeName: n1}]\n", [("LB0110", "nodeName")]),
        ("addressType: IPv4\nendpoints: [{addresses: [10.0.0.1], ready: true}]\n", [("LB0106", "ready")]),
        ("addressType: IPv4\nendpoints: [{addresses: [10.0.0.1], conditions: {ready: 1}}]\n", [("LB0107", "1")]),
        ("addressType: IPv4\nports: [{port: 0}]\n", [("LB0108", "0")]),
        ("addressType: IPv4\nports: [{name: http}]\n", [("LB0604", "name")]),
        ("addressType: IPv4\nsubsets: []\n", [("LB0106", "subsets")]),
    ],
)
def test_rule(body: str, expected: list[Found]) -> None:
    assert findings(HEAD + body) == expected


def test_a_slice_without_service() -> None:
    text = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: x}\naddressType: IPv4\n"
    assert findings(text) == [("LB0603", "metadata")]
    assert read(text).world.slices[SliceKey("default", "x")].service is None


def test_host_names_are_passed_over() -> None:
    assert not read(HEAD + "addressType: FQDN\nendpoints: [{addresses: [a.example]}]\n").world.slices


def test_everything_a_slice_can_say() -> None:
    found = read(
        HEAD
        + """addressType: IPv4
ports:
- {name: http, port: 8080, protocol: TCP, appProtocol: http}
- {port: 53, protocol: UDP}
endpoints:
- addresses: [10.0.0.1]
  nodeName: n1
  conditions: {ready: true, serving: true, terminating: false}
  hostname: a
  targetRef: {kind: Pod, name: x}
  zone: z
  hints: {forZones: [{name: z}]}
- addresses: [10.0.0.2]
  conditions: {ready: false}
- addresses: [10.0.0.3]
"""
    )
    assert not found.diagnostics
    assert found.world.slices[KEY] == EndpointSlice(
        key=KEY,
        service=ServiceKey("shop", "web"),
        family=Family.IPV4,
        ports=(EndpointPort(name="http", port=8080), EndpointPort(port=53, protocol=Transport.UDP)),
        endpoints=(
            Endpoint(addresses=(ip_address("10.0.0.1"),), node="n1", ready=True, serving=True, terminating=False),
            Endpoint(addresses=(ip_address("10.0.0.2"),), ready=False),
            Endpoint(addresses=(ip_address("10.0.0.3"),)),
        ),
    )


def test_a_new_slice_of_kubernetes_has_neither_ports_nor_endpoints() -> None:
    made = read(HEAD + "addressType: IPv6\nports: null\nendpoints: null\n")
    assert not made.diagnostics
    assert made.world.slices[KEY].endpoints == ()
