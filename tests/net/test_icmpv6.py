"""Solicited-node groups are really joined: in the kernel's list, and as MLD reports that another station receives."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl.net.icmpv6 import SolicitedNodeGroups
from lbctl.protocol.l2.ndp import solicited_node
from tests.support.mld import MldListener
from tests.support.netns import Host, Segment, eventually

pytestmark = pytest.mark.netns


@pytest.fixture
def lan() -> Iterator[Segment]:
    with Segment({"node": [], "client": []}) as segment:
        yield segment


def _addresses(count: int) -> list[bytes]:
    first = int(ipaddress.IPv6Address("2001:db8::a0:0"))
    return [(first + n).to_bytes(16, "big") for n in range(count)]


def _joined(host: Host, interface: str = "eth0") -> set[bytes]:
    """The groups the kernel has on an interface."""
    with host.entered():
        lines = Path("/proc/thread-self/net/igmp6").read_text()
    words = (line.split() for line in lines.splitlines())
    return {bytes.fromhex(group) for _, name, group, *_ in words if name == interface}


def _finish(groups: SolicitedNodeGroups, host: Host) -> None:
    with host.entered():
        while groups.pending:
            groups.step()


def test_a_thousand_groups_are_reported_to_the_segment(lan: Segment) -> None:
    node, client = lan["node"], lan["client"]
    addresses = _addresses(1000)
    wanted = {solicited_node(address) for address in addresses}
    groups = SolicitedNodeGroups()
    with MldListener(client) as listener:
        for address in addresses:
            groups.want(address, [node.ifindex])
        _finish(groups, node)
        assert groups.joined == 1000
        assert not groups.refused
        assert wanted <= _joined(node)
        listener.wait_joined(wanted)
        groups.close()
        listener.wait_left(wanted)
    assert not wanted & _joined(node)


def test_a_step_does_no_more_than_it_was_asked(lan: Segment) -> None:
    node = lan["node"]
    groups = SolicitedNodeGroups()
    for address in _addresses(50):
        groups.want(address, [node.ifindex])
    with node.entered():
        groups.step(20)
        assert (groups.joined, groups.pending) == (20, 30)
        groups.step(100)
        assert (groups.joined, groups.pending) == (50, 0)
    groups.close()


def test_addresses_that_share_a_group_share_a_membership(lan: Segment) -> None:
    node = lan["node"]
    one, other = (ipaddress.IPv6Address(text).packed for text in ("2001:db8:1::aa:bbcc", "2001:db8:2::aa:bbcc"))
    group = solicited_node(one)
    assert group == solicited_node(other)
    groups = SolicitedNodeGroups()
    groups.want(one, [node.ifindex])
    groups.want(other, [node.ifindex])
    _finish(groups, node)
    assert groups.joined == 1
    groups.want(one, [])
    _finish(groups, node)
    assert group in _joined(node)
    groups.want(other, [])
    _finish(groups, node)
    assert group not in _joined(node)
    assert groups.joined == 0
    groups.close()


def test_wanting_and_not_wanting_before_the_step_is_nothing_to_do(lan: Segment) -> None:
    groups = SolicitedNodeGroups()
    groups.want(_addresses(1)[0], [lan["node"].ifindex])
    groups.want(_addresses(1)[0], [])
    assert groups.pending == 0


def test_the_pool_grows_when_the_kernel_has_no_room_in_a_socket(lan: Segment) -> None:
    node = lan["node"]
    node.sysctl("net/core/optmem_max", "20480")
    groups = SolicitedNodeGroups(per_socket=1_000_000)
    for address in _addresses(1000):
        groups.want(address, [node.ifindex])
    _finish(groups, node)
    assert (groups.joined, groups.refused) == (1000, {})
    assert len(groups._load) > 1
    groups.close()


def test_an_interface_without_ipv6_is_refused_until_it_has_it(lan: Segment) -> None:
    node = lan["node"]
    address = _addresses(1)[0]
    node.run(["ip", "link", "set", "eth0", "mtu", "1000"])  # below 1280 the kernel takes IPv6 off the interface
    groups = SolicitedNodeGroups()
    groups.want(address, [node.ifindex])
    _finish(groups, node)
    assert groups.refused.keys() == {node.ifindex}
    assert groups.joined == 0
    _finish(groups, node)
    node.run(["ip", "link", "set", "eth0", "mtu", "1500"])
    groups.retry()
    _finish(groups, node)
    assert (groups.joined, groups.refused) == (1, {})
    assert solicited_node(address) in _joined(node)
    groups.close()


def test_an_interface_that_is_made_again_is_joined_again(lan: Segment) -> None:
    node = lan["node"]
    address = _addresses(1)[0]
    groups = SolicitedNodeGroups()

    def add() -> int:
        node.run(["ip", "link", "add", "extra0", "up", "type", "veth", "peer", "name", "extra1"])
        return node.call(lambda: socket.if_nametoindex("extra0"))

    index = add()
    groups.want(address, [index])
    _finish(groups, node)
    node.run(["ip", "link", "del", "extra0"])
    groups.want(address, [])
    _finish(groups, node)
    again = add()
    assert again != index
    groups.want(address, [again])
    _finish(groups, node)
    assert solicited_node(address) in _joined(node, "extra0")
    groups.close()


def test_the_kernel_reports_again_when_the_cable_is_back(lan: Segment) -> None:
    node, client = lan["node"], lan["client"]
    address = _addresses(1)[0]
    groups = SolicitedNodeGroups()
    groups.want(address, [node.ifindex])
    _finish(groups, node)
    with MldListener(client) as listener:
        listener.wait_joined({solicited_node(address)})
        listener.forget()
        node.pull()
        eventually(lambda: "NO-CARRIER" in node.run(["ip", "link", "show", "eth0"]).stdout)
        node.plug()
        listener.wait_joined({solicited_node(address)})
    groups.close()


def test_the_request_is_laid_out_as_the_kernel_reads_it() -> None:
    assert struct.calcsize("@16sI") == 20
