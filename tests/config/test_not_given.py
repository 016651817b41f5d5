"""Objects as they come out of a cluster: Go writes empty what is not given."""

from __future__ import annotations

import pytest

from tests.config.manifests import COVER, Found, findings, obj, pool, read, service
from tests.config.rules import PEER_SPEC, peer

EMPTY_OF_A_PEER = (
    "passwordSecret: {}",
    'passwordSecret: {name: ""}',
    'passwordSecret: {name: "", namespace: ""}',
    'routerID: ""',
    'sourceAddress: ""',
    'bfdProfile: ""',
    'interface: ""',
    'vrf: ""',
    'password: ""',
    "nodeSelectors: null",
    "nodeSelectors: []",
)


@pytest.mark.parametrize("field", EMPTY_OF_A_PEER)
def test_of_a_peer(field: str) -> None:
    assert findings(peer(f"  {field}\n")) == []
    assert read(peer(f"  {field}\n")).world.bgp_peers == read(peer()).world.bgp_peers


def test_an_interface_instead_of_an_empty_address() -> None:
    spec = PEER_SPEC.replace("10.9.9.1", '""')
    made = read(peer("  interface: eth0\n", spec=spec)).world.bgp_peers["router"]
    assert (made.address.address, made.address.interface) == (None, "eth0")
    assert findings(peer('  interface: ""\n', spec=spec)) == [("LB0404", '""')]


@pytest.mark.parametrize(
    "annotation", ["loadBalancerIPs", "address-pool", "allow-shared-ip"], ids=["ips", "pool", "sharing"]
)
def test_of_a_service(annotation: str) -> None:
    spec = '  type: LoadBalancer\n  loadBalancerIP: ""\n  ports: [{port: 80}]'
    text = service(spec, metadata=f'  annotations: {{metallb.io/{annotation}: ""}}\n')
    assert findings(text, pool(), COVER) == []
    (made,) = read(text).world.services.values()
    assert made.load_balancer == type(made.load_balancer)()


def test_an_empty_annotation_beside_an_address() -> None:
    spec = "  type: LoadBalancer\n  loadBalancerIP: 10.0.0.7\n  ports: [{port: 80}]"
    text = service(spec, metadata='  annotations: {metallb.io/loadBalancerIPs: ""}\n')
    assert findings(text, pool(), COVER) == []


def test_of_a_pool() -> None:
    spec = "  addresses: [10.0.0.0/24]\n  serviceAllocation: "
    for empty in ("{}", "{namespaces: null, serviceSelectors: []}", "null"):
        assert findings(pool(spec + empty), COVER) == []
    expected: list[Found] = []
    assert findings(obj("L2Advertisement", "  ipAddressPools: null\n  interfaces: []"), pool()) == expected
