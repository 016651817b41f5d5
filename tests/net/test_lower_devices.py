"""Carrier down to the ports, in every arrangement of devices, and when a link is another one than before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from lbctl.model.interface import InterfaceFlag
from lbctl.net.interfaces import InterfaceTable
from lbctl.net.lower_devices import Carrier, Link, carrier

DOWN = InterfaceFlag.BROADCAST
UP = DOWN | InterfaceFlag.UP | InterfaceFlag.LOWER_UP
UNPLUGGED = DOWN | InterfaceFlag.UP


@dataclass(frozen=True)
class Device:
    name: str
    flags: InterfaceFlag = UP
    kind: str | None = None
    on: str | None = None
    master: str | None = None
    active: str | None = None
    ups: int = 1


def of(devices: Sequence[Device], name: str) -> Carrier:
    index = {device.name: number for number, device in enumerate(devices, 1)}
    links = {
        index[each.name]: Link(
            index=index[each.name],
            name=each.name,
            mac="",
            flags=each.flags,
            master=index.get(each.master or ""),
            kind=each.kind,
            lower=index.get(each.on or ""),
            active=index.get(each.active or ""),
            ups=each.ups,
        )
        for each in devices
    }
    return carrier(index[name], links)


ETH0, ETH1 = Device("eth0"), Device("eth1", ups=3)
OUT0, OUT1 = replace(ETH0, flags=UNPLUGGED), replace(ETH1, flags=UNPLUGGED)
VLAN = Device("eth0.5", kind="vlan", on="eth0")
BRIDGE = Device("br0", kind="bridge")
BOND = Device("bond0", kind="bond")
TAP = Device("tap0", kind="tun", master="br0")
POD = Device("veth1", kind="veth", master="br0", on="eth1")
TUNNEL = Device("vxlan1", kind="vxlan", master="br0")


def port(device: Device, of: str) -> Device:
    return replace(device, master=of)


@pytest.mark.parametrize(
    ("devices", "lacking", "link"),
    [
        pytest.param([ETH0], None, "eth0:1", id="a port"),
        pytest.param([OUT0], None, "eth0:1", id="a port says it itself"),
        pytest.param([VLAN, ETH0], None, "eth0:1", id="vlan"),
        pytest.param([VLAN, OUT0], "eth0", "eth0.5:1", id="vlan of an unplugged port"),
        pytest.param([replace(VLAN, flags=UNPLUGGED), OUT0], "eth0", "eth0.5:1", id="the lowest one is named"),
        pytest.param([replace(VLAN, flags=UNPLUGGED), ETH0], None, "eth0:1", id="only its own"),
        pytest.param([replace(VLAN, kind="macvlan"), OUT0], "eth0", "eth0.5:1", id="macvlan"),
        pytest.param([replace(VLAN, on=None)], None, "eth0.5:1", id="a parent in another namespace"),
        pytest.param([replace(POD, master=None), OUT1], None, "veth1:1", id="the peer of a veth is no parent"),
        pytest.param([BRIDGE, TAP, POD, TUNNEL], None, "br0:1", id="a bridge of virtual machines"),
        pytest.param([BRIDGE], None, "br0:1", id="an empty bridge"),
        pytest.param([BRIDGE, port(ETH0, "br0"), TAP], None, "eth0:1", id="a bridge with an uplink"),
        pytest.param([BRIDGE, port(OUT0, "br0"), TAP, POD, TUNNEL], "eth0", "br0:1", id="an uplink without carrier"),
        pytest.param([BRIDGE, port(OUT0, "br0"), port(ETH1, "br0")], None, "eth1:3", id="one of two uplinks"),
        pytest.param([BRIDGE, port(OUT0, "br0"), port(OUT1, "br0")], "eth0, eth1", "br0:1", id="none of two"),
        pytest.param([BRIDGE, port(VLAN, "br0"), OUT0], "eth0", "br0:1", id="bridge, vlan, port"),
        pytest.param([BOND, port(ETH0, "bond0"), port(ETH1, "bond0")], None, "bond0:1", id="a bond of all ports"),
        pytest.param([BOND, port(OUT0, "bond0"), port(OUT1, "bond0")], "eth0, eth1", "bond0:1", id="no miimon"),
        pytest.param(
            [replace(BOND, active="eth1"), port(ETH0, "bond0"), port(ETH1, "bond0")],
            None,
            "eth1:3",
            id="the active port",
        ),
        pytest.param(
            [BRIDGE, replace(BOND, master="br0", active="eth0"), port(ETH0, "bond0"), port(OUT1, "bond0"), TAP],
            None,
            "eth0:1",
            id="bridge, bond, port",
        ),
        pytest.param(
            [replace(VLAN, on="br0"), BRIDGE, port(OUT0, "br0"), POD], "eth0", "eth0.5:1", id="vlan, bridge, port"
        ),
        pytest.param([replace(VLAN, on="eth0.5")], None, "eth0.5:1", id="a circle"),
    ],
)
def test_carrier_is_followed_down_to_the_ports(devices: list[Device], lacking: str | None, link: str) -> None:
    assert of(devices, devices[0].name) == Carrier(lacking, link)


def test_a_port_that_is_switched_off_does_not_carry() -> None:
    assert of([BRIDGE, port(replace(ETH0, flags=DOWN | InterfaceFlag.LOWER_UP), "br0"), TAP], "br0").lacking == "eth0"


def test_a_failover_of_a_bond_is_another_link() -> None:
    ports = [port(ETH0, "bond0"), port(ETH1, "bond0")]
    one, two = (of([replace(BOND, active=name), *ports], "bond0") for name in ("eth0", "eth1"))
    assert one.link != two.link
    # The port in reserve may come and go.
    assert of([replace(BOND, active="eth0"), ports[0], replace(ports[1], ups=9)], "bond0") == one


def test_a_carrier_that_blinked_between_two_looks_is_another_link() -> None:
    assert of([VLAN, ETH0], "eth0.5").link != of([VLAN, replace(ETH0, ups=2)], "eth0.5").link


def test_messages_are_read_into_links() -> None:
    table = InterfaceTable()
    new = {"event": "RTM_NEWLINK", "address": "02:00:00:00:00:05", "flags": int(UP)}
    table.apply({**new, "index": 2, "ifname": "eth0", "flags": int(UNPLUGGED), "master": 3, "carrier_up_count": 4})
    table.apply({**new, "index": 4, "ifname": "eth1", "master": 3, "carrier_up_count": 5})
    table.apply({**new, "index": 3, "ifname": "bond0", "kind": "bond", "active": 4})
    table.apply({**new, "index": 5, "ifname": "bond0.7", "kind": "vlan", "link": 3})
    table.apply({**new, "index": 6, "ifname": "there", "kind": "vlan", "link": 2, "link_netnsid": 0})
    found = {interface.name: interface for interface in table.interfaces()}
    assert found["bond0.7"].link == "eth1:5"
    assert found["bond0.7"].usable
    assert found["there"].usable
    table.apply({**new, "index": 4, "ifname": "eth1", "master": 3, "flags": int(UNPLUGGED)})
    vlan = {interface.name: interface for interface in table.interfaces()}["bond0.7"]
    assert (vlan.usable, vlan.lacking) == (False, "eth0, eth1")
