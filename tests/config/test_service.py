"""Service, and the annotations by which it asks for addresses (MetalLB section 2)."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from lbctl.model.address import Family
from lbctl.model.service import (
    FamilyPolicy,
    FamilySpec,
    LoadBalancerSpec,
    Port,
    Service,
    ServiceKey,
    ServiceType,
    TrafficPolicy,
    TrafficSpec,
    Transport,
)
from tests.config.manifests import Found, findings, read, service

LB = "  type: LoadBalancer\n  ports: [{port: 80}]\n"


def annotated(*pairs: str, spec: str = LB) -> str:
    return service(spec, metadata="  annotations:\n" + "".join(f"    {pair}\n" for pair in pairs))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("  type: LoadBalancr\n", [("LB0109", "LoadBalancr")]),
        ("  type: LoadBalancer\n", [("LB0503", "spec")]),
        ("  type: LoadBalancer\n  ports: []\n", [("LB0503", "ports")]),
        ("  ports: [{port: 0}]\n", [("LB0108", "0")]),
        ("  ports: [{port: 65536}]\n", [("LB0108", "65536")]),
        ("  ports: [{port: '80'}]\n", [("LB0107", "'80'")]),
        ("  ports: [{name: a}]\n", [("LB0110", "name")]),
        ("  ports: [{port: 80, protocol: tcp}]\n", [("LB0109", "tcp")]),
        ("  ports: [{port: 80, targetPort: 70000}]\n", [("LB0108", "70000")]),
        ("  ports: [{port: 80, targetPort: '80'}]\n", [("LB0107", "'80'")]),
        ("  ports: [{port: 80, targetPort: [80]}]\n", [("LB0107", "targetPort")]),
        ("  ports: [{port: 80, nodePort: 70000}]\n", [("LB0108", "70000")]),
        ("  ports: [{port: 80, name: a}, {port: 80, name: b}]\n", [("LB0501", "80")]),
        ("  ports: [{port: 80, name: a}, {port: 81, name: a}]\n", [("LB0501", "a")]),
        ("  ports: [{port: 80}, {port: 81, name: a}]\n", [("LB0502", "port")]),
        ("  ports: [{port: 80, prot: TCP}]\n", [("LB0106", "prot")]),
        ("  ports: {port: 80}\n", [("LB0107", "ports")]),
        ("  externalTrafficPolicy: local\n", [("LB0109", "local")]),
        ("  sessionAffinity: clientip\n", [("LB0109", "clientip")]),
        ("  sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}\n", [("LB0108", "0")]),
        ("  sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}\n", [("LB0108", "86401")]),
        ("  loadBalancerSourceRanges: [10.0.0.1]\n", [("LB0117", "10.0.0.1")]),
        ("  loadBalancerSourceRanges: [10.0.0.0/33]\n", [("LB0117", "10.0.0.0/33")]),
        ("  loadBalancerIP: 10.0.0.1/32\n", [("LB0116", "10.0.0.1/32")]),
        ("  loadBalancerIP: 10\n", [("LB0107", "10")]),
        ("  ipFamilies: [ipv4]\n", [("LB0109", "ipv4")]),
        ("  ipFamilyPolicy: Dual\n", [("LB0109", "Dual")]),
        ("  allocateLoadBalancerNodePorts: 'false'\n", [("LB0107", "'false'")]),
        ("  selector: [a]\n", [("LB0107", "selector")]),
        ("  selector: {a: 1}\n", [("LB0107", "1")]),
        ("  loadBalancerIp: 10.0.0.1\n", [("LB0106", "loadBalancerIp")]),
        ("  replicas: 3\n", [("LB0106", "replicas")]),
    ],
)
def test_field(spec: str, expected: list[Found]) -> None:
    assert findings(service(spec)) == expected


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (["metallb.io/adress-pool: a"], [("LB0509", "metallb.io/adress-pool")]),
        (["metallb.universe.tf/address-pool: a"], [("LB0508", "metallb.universe.tf/address-pool")]),
        (["metallb.universe.tf/foo: a"], [("LB0509", "metallb.universe.tf/foo")]),
        (["metallb.io/ip-allocated-from-pool: a", "other.io/x: y"], []),
        (["metallb.io/loadBalancerIPs: 10.0.0.300"], [("LB0505", "10.0.0.300")]),
        (["metallb.io/loadBalancerIPs: '10.0.0.1, x'"], [("LB0505", "x")]),
        (["metallb.io/loadBalancerIPs: '10.0.0.1,10.0.0.2'"], [("LB0505", "10.0.0.2")]),
        (["metallb.io/loadBalancerIPs: '10.0.0.1,'"], [("LB0505", "'")]),
        (["metallb.io/loadBalancerIPs: 10.0.0.1,fd00::1"], [("LB0515", "10.0.0.1,fd00::1")]),
        (["metallb.io/allow-shared-ip: true"], [("LB0107", "true")]),
    ],
)
def test_annotation(pairs: list[str], expected: list[Found]) -> None:
    assert findings(annotated(*pairs)) == expected


def test_a_source_range_that_is_no_cidr_is_told_how_to_be_one() -> None:
    """Whatever it is instead, there is help."""
    for text, help in (("office", "write an address"), ("10.0.0.1", "write 10.0.0.1/32"), ("10.0.0.0/33", "write an")):
        (found,) = read(service(f"  loadBalancerSourceRanges: ['{text}']")).diagnostics
        assert (found.code, found.help[: len(help)]) == ("LB0117", help)


def test_field_and_annotation_both_ask() -> None:
    text = annotated("metallb.io/loadBalancerIPs: 10.0.0.1", spec=LB + "  loadBalancerIP: 10.0.0.1\n")
    (found,) = read(text).diagnostics
    assert found.code == "LB0504"
    assert len(found.labels) == 1


@pytest.mark.parametrize(
    ("pairs", "spec", "wanted"),
    [
        ([], "  loadBalancerIP: 10.0.0.1\n", LoadBalancerSpec(requested=(ip_address("10.0.0.1"),))),
        ([], "  loadBalancerIP: ''\n", LoadBalancerSpec()),
        (
            ["metallb.io/loadBalancerIPs: 'fd00::1, 10.0.0.1'"],
            "",
            LoadBalancerSpec(requested=(ip_address("10.0.0.1"), ip_address("fd00::1"))),
        ),
        (["metallb.io/address-pool: a"], "", LoadBalancerSpec(requested_pool="a")),
        (["metallb.universe.tf/address-pool: a"], "", LoadBalancerSpec(requested_pool="a")),
        (
            ["metallb.universe.tf/address-pool: old", "metallb.io/address-pool: new"],
            "",
            LoadBalancerSpec(requested_pool="new"),
        ),
        (["metallb.io/allow-shared-ip: key"], "", LoadBalancerSpec(sharing_key="key")),
        (["metallb.io/allow-shared-ip: ''"], "", LoadBalancerSpec()),
        ([], "  loadBalancerClass: x.y/z\n", LoadBalancerSpec(load_balancer_class="x.y/z")),
        ([], "  allocateLoadBalancerNodePorts: false\n", LoadBalancerSpec(allocate_node_ports=False)),
    ],
)
def test_what_is_asked_of_the_load_balancer(pairs: list[str], spec: str, wanted: LoadBalancerSpec) -> None:
    found = read(annotated(*(pairs or ["x: y"]), spec=LB + spec))
    assert found.world.services[ServiceKey("default", "s")].load_balancer == wanted


def test_everything_a_service_can_say() -> None:
    found = read(
        """apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  uid: 1234-5678
  creationTimestamp: "1970-01-02T00:00:00Z"
  labels: {app: web}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.5
  clusterIPs: [10.96.0.5, fd00::5]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: PreferDualStack
  externalTrafficPolicy: Local
  internalTrafficPolicy: Cluster
  healthCheckNodePort: 30000
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}
  loadBalancerSourceRanges: [10.1.0.0/16, " fd00::/8 "]
  publishNotReadyAddresses: true
  selector: {app: web}
  externalIPs: []
  trafficDistribution: PreferClose
  ports:
  - {name: http, port: 80, targetPort: web, nodePort: 30080, appProtocol: http}
  - {name: dns, port: 53, protocol: UDP}
status:
  loadBalancer: {ingress: [{ip: 1.2.3.4}]}
"""
    )
    assert not found.diagnostics
    assert found.world.services[ServiceKey("shop", "web")] == Service(
        key=ServiceKey("shop", "web"),
        type=ServiceType.LOAD_BALANCER,
        ports=(
            Port(name="http", port=80, target_port="web", node_port=30080),
            Port(name="dns", port=53, protocol=Transport.UDP),
        ),
        family=FamilySpec(
            cluster_ips=("10.96.0.5", "fd00::5"), ip_families=(Family.IPV4, Family.IPV6), policy=FamilyPolicy.PREFER
        ),
        traffic=TrafficSpec(
            external_policy=TrafficPolicy.LOCAL,
            client_ip_affinity=True,
            affinity_time=60,
            source_ranges=(ip_network("10.1.0.0/16"), ip_network("fd00::/8")),
            publish_not_ready=True,
            health_check_node_port=30000,
        ),
        selector=(("app", "web"),),
        labels=(("app", "web"),),
        uid="1234-5678",
        created_unix=86400.0,
    )


def test_null_counts_as_absent_and_a_bad_time_is_a_warning() -> None:
    assert findings(service("  type: null\n  ports:\n", metadata="  creationTimestamp: null\n")) == []
    text = service("  ports: [{port: 80}]\n", metadata="  creationTimestamp: yesterday\n")
    assert findings(text) == [("LB0119", "yesterday")]
    assert read(text).world.services[ServiceKey("default", "s")].created_unix is None


def test_headless_and_old_cluster_ip() -> None:
    made = read(service("  clusterIP: None\n")).world.services[ServiceKey("default", "s")]
    assert made.family.cluster_ips == ("None",)
