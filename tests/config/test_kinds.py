"""The kinds: every field that Kubernetes 1.36 and MetalLB 0.16 have is known; status kinds are passed over."""

from __future__ import annotations

import pytest

from lbctl.config.kinds import KINDS, unread
from lbctl.config.schema import Many, Record, Type
from tests.config.manifests import Found, findings, read

# Field names of the API servers' own OpenAPI schemas.
KUBERNETES = {
    ("v1", "Service", "spec"): """allocateLoadBalancerNodePorts clusterIP clusterIPs externalIPs externalName
        externalTrafficPolicy healthCheckNodePort internalTrafficPolicy ipFamilies ipFamilyPolicy loadBalancerClass
        loadBalancerIP loadBalancerSourceRanges ports publishNotReadyAddresses selector sessionAffinity
        sessionAffinityConfig trafficDistribution type""",
    ("v1", "Service", "spec.ports"): "appProtocol name nodePort port protocol targetPort",
    ("v1", "Service", "spec.sessionAffinityConfig"): "clientIP",
    ("v1", "Service", "spec.sessionAffinityConfig.clientIP"): "timeoutSeconds",
    ("v1", "Service", "metadata"): """annotations creationTimestamp deletionGracePeriodSeconds deletionTimestamp
        finalizers generateName generation labels managedFields name namespace ownerReferences resourceVersion selfLink
        uid""",
    ("v1", "Service", ""): "apiVersion kind metadata spec status",
    ("v1", "Node", "spec"): "configSource externalID podCIDR podCIDRs providerID taints unschedulable",
    ("v1", "Node", "status"): """addresses allocatable capacity conditions config daemonEndpoints declaredFeatures
        features images nodeInfo phase runtimeHandlers volumesAttached volumesInUse""",
    ("v1", "Node", "status.addresses"): "address type",
    ("v1", "Node", "status.conditions"): "lastHeartbeatTime lastTransitionTime message reason status type",
    ("v1", "Namespace", "spec"): "finalizers",
    ("v1", "Secret", ""): "apiVersion data immutable kind metadata stringData type",
    ("discovery.k8s.io/v1", "EndpointSlice", ""): "addressType apiVersion endpoints kind metadata ports",
    ("discovery.k8s.io/v1", "EndpointSlice", "endpoints"): """addresses conditions deprecatedTopology hints hostname
        nodeName targetRef zone""",
    ("discovery.k8s.io/v1", "EndpointSlice", "endpoints.conditions"): "ready serving terminating",
    ("discovery.k8s.io/v1", "EndpointSlice", "ports"): "appProtocol name port protocol",
}
METALLB = {
    ("metallb.io/v1beta1", "IPAddressPool", "spec"): "addresses autoAssign avoidBuggyIPs serviceAllocation",
    (
        "metallb.io/v1beta1",
        "IPAddressPool",
        "spec.serviceAllocation",
    ): "priority namespaces namespaceSelectors serviceSelectors",
    ("metallb.io/v1beta1", "L2Advertisement", "spec"): """ipAddressPools ipAddressPoolSelectors nodeSelectors interfaces
        serviceSelectors preferredNodeSelectors""",
    ("metallb.io/v1beta1", "L2Advertisement", "spec.preferredNodeSelectors"): "weight preference",
    ("metallb.io/v1beta1", "L2Advertisement", "spec.nodeSelectors"): "matchLabels matchExpressions",
    ("metallb.io/v1beta1", "L2Advertisement", "spec.nodeSelectors.matchExpressions"): "key operator values",
    ("metallb.io/v1beta1", "BGPAdvertisement", "spec"): """aggregationLength aggregationLengthV6 localPref communities
        ipAddressPools ipAddressPoolSelectors nodeSelectors peers serviceSelectors""",
    ("metallb.io/v1beta2", "BGPPeer", "spec"): """myASN peerASN dynamicASN localASN peerAddress interface sourceAddress
        peerPort holdTime keepaliveTime connectTime routerID nodeSelectors password passwordSecret bfdProfile
        enableGracefulRestart ebgpMultiHop vrf disableMP dualStackAddressFamily""",
    ("metallb.io/v1beta1", "BGPPeer", "spec"): """myASN peerASN peerAddress sourceAddress peerPort holdTime
        keepaliveTime routerID nodeSelectors password bfdProfile ebgpMultiHop""",
    ("metallb.io/v1beta1", "BFDProfile", "spec"): """receiveInterval transmitInterval detectMultiplier echoInterval
        echoMode passiveMode minimumTtl""",
    ("metallb.io/v1beta1", "Community", "spec"): "communities",
    ("metallb.io/v1beta1", "Community", "spec.communities"): "name value",
}
GONE = {"topologyKeys", "ipFamily"}
"""Fields that older versions of Kubernetes had; still to be found in manifests."""


def fields_at(api_version: str, kind: str, path: str) -> set[str]:
    record: Type = KINDS[api_version, kind].record
    for step in filter(None, path.split(".")):
        assert isinstance(record, Record)
        record = record.fields[step]
        if isinstance(record, Many):
            record = record.item
    assert isinstance(record, Record)
    return set(record.fields)


@pytest.mark.parametrize(("where", "names"), [*KUBERNETES.items(), *METALLB.items()])
def test_all_fields_are_known(where: tuple[str, str, str], names: str) -> None:
    known = fields_at(*where) - GONE
    if where[2] == "" and where[1] in ("Secret", "EndpointSlice"):
        known.discard("status")
    assert known == set(names.split())


def test_unknown_fields_are_errors_in_metallb_alone() -> None:
    assert all(kind.strict == kind.api_version.startswith("metallb.io/") for kind in KINDS.values())


@pytest.mark.parametrize("kind", ["ServiceL2Status", "ServiceBGPStatus", "ConfigurationState"])
def test_what_metallb_writes_for_people_is_passed_over(kind: str) -> None:
    assert unread("metallb.io/v1beta1", kind) is None


OLD = """apiVersion: v1
kind: ConfigMap
metadata: {name: config, namespace: metallb-system}
data:
  config: |
    address-pools:
    - name: default
      protocol: layer2
      addresses: [192.0.2.0/24]
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OLD, [("LB0121", "ConfigMap")]),
        (OLD.replace("name: config,", "name: metallb,").replace("address-pools", "peers"), [("LB0121", "ConfigMap")]),
        (OLD.replace("address-pools:", "servers:"), [("LB0104", "ConfigMap")]),
        (OLD.replace("config: |", "other: |"), [("LB0104", "ConfigMap")]),
        (OLD.replace("data:", "binaryData:"), [("LB0104", "ConfigMap")]),
    ],
)
def test_the_old_configuration_is_recognized(text: str, expected: list[Found]) -> None:
    assert findings(text) == expected
    assert all("lbctl convert" in found.help for found in read(text).diagnostics if found.code == "LB0121")


@pytest.mark.parametrize(
    ("api_version", "kind", "code", "help"),
    [
        ("metallb.io/v1beta1", "L2Advertisment", "LB0103", 'did you mean "L2Advertisement"?'),
        ("metallb.io/v1beta1", "Zebra", "LB0103", "the kinds are BFDProfile, "),
        ("metallb.io/v1", "BGPPeer", "LB0103", 'did you mean "metallb.io/v1beta2"?'),
        ("metallb.io/v1beta1", "AddressPool", "LB0103", "write an IPAddressPool"),
        ("v1beta1", "Node", "LB0112", 'did you mean "v1"?'),
        ("v1", "IPAddressPool", "LB0112", 'did you mean "metallb.io/v1beta1"?'),
        ("metalb.io/v1beta1", "IPAddressPool", "LB0112", 'did you mean "metallb.io/v1beta1"?'),
        ("metallb.universe.tf/v1beta1", "BGPPeer", "LB0112", 'did you mean "metallb.io/v1beta2"?'),
        ("lbctl.io/v1", "L2Advertisement", "LB0112", 'did you mean "metallb.io/v1beta1"?'),
        ("projectcalico.org/v3", "BGPPeer", "LB0104", ""),
        ("v1", "ConfigMap", "LB0104", ""),
        ("discovery.k8s.io/v1beta1", "EndpointSlice", "LB0112", 'did you mean "discovery.k8s.io/v1"?'),
        ("serving.knative.dev/v1", "Service", "LB0104", ""),
        ("apps/v1", "Deployment", "LB0104", ""),
    ],
)
def test_what_is_said_of_other_kinds(api_version: str, kind: str, code: str, help: str) -> None:
    problem = unread(api_version, kind)
    assert problem is not None
    assert problem.code == code
    assert problem.help.startswith(help)


@pytest.mark.parametrize(
    ("version", "kind", "meant"),
    [
        ("v1", "service", "Service"),
        ("v1", "Sercive", "Service"),
        ("v1", "namespace", "Namespace"),
        ("v1", "Nodes", "Node"),
        ("v1", "SECRET", "Secret"),
        ("discovery.k8s.io/v1", "Endpointslice", "EndpointSlice"),
    ],
)
def test_a_misspelt_kind_of_kubernetes(version: str, kind: str, meant: str) -> None:
    (found,) = read(f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\n").diagnostics
    assert (found.code, found.severity) == ("LB0122", "warning")
    assert found.help == f'did you mean "{meant}"?'


@pytest.mark.parametrize("kind", ["Pod", "Endpoints", "ServiceAccount", "ServiceList", "ConfigMap", "PodTemplate"])
def test_other_kinds_are_nobodys_misspelling(kind: str) -> None:
    assert findings(f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: x}}\n") == [("LB0104", kind)]


def test_the_object_of_the_operator_is_passed_over() -> None:
    assert findings("apiVersion: metallb.io/v1beta1\nkind: MetalLB\nmetadata: {name: x}\n") == [("LB0104", "MetalLB")]
