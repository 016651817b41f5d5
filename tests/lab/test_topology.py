"""The plan of the network: addresses as the examples expect them, nothing twice."""

from __future__ import annotations

import ipaddress

import pytest

from lbctl.lab import topology
from lbctl.lab.topology import MAX_NODES, Role, Topology


def test_the_example_network() -> None:
    plan = Topology()
    where = {host.name: (host.ipv4, host.ipv6) for host in plan.hosts if host.ipv4}
    assert where == {
        "client": ("192.168.3.50", "fd00:3::50"),
        "controller": ("192.168.3.102", "fd00:3::102"),
        "n1": ("192.168.3.103", "fd00:3::103"),
        "n2": ("192.168.3.104", "fd00:3::104"),
        "n3": ("192.168.3.105", "fd00:3::105"),
        "web1": ("10.244.1.10", "fd00:10:244:1::10"),
        "web2": ("10.244.2.10", "fd00:10:244:2::10"),
        "web3": ("10.244.3.10", "fd00:10:244:3::10"),
    }


@pytest.mark.parametrize("nodes", [1, 3, MAX_NODES])
def test_nothing_is_given_twice_and_nothing_lies_in_the_example_pool(nodes: int) -> None:
    hosts = Topology(nodes=nodes).hosts
    for values in ([host.name for host in hosts], [host.mac for host in hosts if host.mac]):
        assert len(set(values)) == len(values)
    addresses = [ipaddress.ip_address(text) for host in hosts for text in (host.ipv4, host.ipv6) if text]
    assert len(set(addresses)) == len(addresses) == 2 * (2 + 2 * nodes)
    assert not [address for address in addresses if str(address).startswith("192.168.3.17")]


@pytest.mark.parametrize("nodes", [0, -1, MAX_NODES + 1])
def test_a_lab_of_impossible_size_is_refused(nodes: int) -> None:
    with pytest.raises(ValueError, match="1 to 60"):
        Topology(nodes=nodes)


def test_every_node_routes_to_every_other_nodes_pods_and_nobody_else_does() -> None:
    plan = Topology(nodes=4)
    for host in plan.hosts:
        routes = {line.split()[2] for line in topology.addresses(plan, host, {}) if line.startswith("route add 10.")}
        others = {f"10.244.{node.number}.0/24" for node in plan.node_hosts if node != host}
        assert routes == (others if host.role is Role.NODE else set())


def test_host_names_hold_no_dash() -> None:
    # namespaces.existing tells the labs `a` and `a-b` apart by this.
    assert not [host.name for host in Topology(nodes=MAX_NODES).hosts if "-" in host.name]
