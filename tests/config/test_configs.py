"""The examples: each is clean, and says what the tutorial says."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from lbctl.config.reader import Reader, Reading
from lbctl.model.endpoint import SliceKey
from lbctl.model.service import ServiceKey, ServiceType

CONFIGS = Path(__file__).parents[2] / "configs"
FILES = sorted(path.name for path in CONFIGS.glob("*.yaml"))


def read(*names: str) -> Reading:
    return Reader().read({name: (CONFIGS / name).read_bytes() for name in names})


def test_there_are_examples() -> None:
    assert {"layer2.yaml", "nginx.yaml", "nodes.yaml", "bgp.yaml", "nginx-no-nodeport.yaml"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_each_alone_is_clean(name: str) -> None:
    assert read(name).diagnostics == ()
    assert read(name).count


@pytest.mark.parametrize(
    "names",
    [("layer2.yaml", "nginx.yaml", "nodes.yaml"), ("bgp.yaml", "nginx-no-nodeport.yaml"), tuple(FILES)],
    ids=["layer2", "bgp", "all"],
)
def test_together_they_are_clean(names: tuple[str, ...]) -> None:
    assert read(*names).diagnostics == ()


def test_layer2() -> None:
    world = read("layer2.yaml", "nginx.yaml", "nodes.yaml").world
    (pool,) = world.pools.values()
    assert [item.text for item in pool.ranges] == ["192.168.3.170-192.168.3.179"]
    (advertisement,) = world.l2_advertisements.values()
    assert advertisement.pools == (pool.name,)
    service = world.services[ServiceKey("default", "nginx-svc")]
    (port,) = service.ports
    assert (service.type, port.port, port.target_port) == (ServiceType.LOAD_BALANCER, 8080, 80)
    assert service.family.cluster_ips == ()
    slice_ = world.slices[SliceKey("default", "nginx-svc-1")]
    assert slice_.service == service.key
    assert [(str(e.addresses[0]), e.node) for e in slice_.endpoints] == [
        ("10.244.1.10", "n1"),
        ("10.244.2.10", "n2"),
        ("10.244.3.10", "n3"),
    ]
    assert slice_.ports[0].port == 80
    assert slice_.ports[0].name == port.name
    assert {node.name: str(node.addresses[0]) for node in world.nodes.values()} == {
        "n1": "192.168.3.103",
        "n2": "192.168.3.104",
        "n3": "192.168.3.105",
    }


def test_bgp() -> None:
    world = read("bgp.yaml", "nginx-no-nodeport.yaml").world
    (peer,) = world.bgp_peers.values()
    assert (peer.my_asn, peer.peer_asn, peer.address.address) == (65001, 65000, ip_address("192.168.3.180"))
    (pool,) = world.pools.values()
    assert [item.text for item in pool.ranges] == ["192.168.0.10-192.168.0.99"]
    (advertisement,) = world.bgp_advertisements.values()
    assert advertisement.pools == (pool.name,)
    (service,) = world.services.values()
    assert not service.load_balancer.allocate_node_ports
    assert service.load_balancer.requested == (ip_address("192.168.0.20"),)
