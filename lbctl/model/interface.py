"""Network interfaces of the own node, as the kernel describes them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from lbctl.model.address import IPAddress


class InterfaceFlag(IntFlag):
    """The flags of net_device that decide whether an interface can announce (linux/if.h)."""

    UP = 0x1
    BROADCAST = 0x2
    LOOPBACK = 0x8
    NOARP = 0x80
    LOWER_UP = 0x10000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One interface. `master` is the index of the bond or bridge it belongs to; `addresses` are in kernel order.

    `lacking` names the lower devices for want of whose carrier nothing gets out of it (a bridge without its uplink).
    `link` tells one way to the switch from another: a text that differs means that caches and switch tables may point
    elsewhere. `gateways` are the routers by which packets leave it for everywhere, `networks` those of its addresses.
    """

    index: int
    name: str
    mac: str
    flags: InterfaceFlag
    master: int | None = None
    addresses: tuple[IPAddress, ...] = ()
    lacking: str | None = None
    link: str = ""
    gateways: tuple[IPAddress, ...] = ()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @property
    def usable(self) -> bool:
        """Up, and something is plugged in, down to the port."""
        return self.lacking is None and InterfaceFlag.UP in self.flags and InterfaceFlag.LOWER_UP in self.flags

    @property
    def link_local(self) -> IPAddress | None:
        """The IPv6 link-local address, if it has one."""
        return next((a for a in self.addresses if a.version == 6 and a.is_link_local), None)

    @property
    def speaking_address(self) -> IPAddress | None:
        """The address to speak to other speakers from: the first IPv4 one, else IPv6 link-local."""
        return next((a for a in self.addresses if isinstance(a, IPv4Address)), self.link_local)
