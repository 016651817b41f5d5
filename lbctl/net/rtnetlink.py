"""Three questions to the kernel's routing netlink, for short commands that cannot wait for a netlink library's import.

Which way does a packet to this address leave (`route_to`), which addresses stand on an interface
(`interface_addresses`), and which MAC the kernel last saw an address at (`neighbors`). Daemons, which need events too,
use pyroute2 instead.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
from dataclasses import dataclass
from enum import IntEnum

from lbctl.model.address import IPAddress
from lbctl.net.netlink import ROUTE, Netlink, attribute, attributes

_ROUTE = struct.Struct("=8BI")
_ADDRESS = struct.Struct("=4Bi")
_NEIGHBOR = struct.Struct("=BxxxiHBB")

_RTM_GETADDR, _RTM_GETROUTE, _RTM_GETNEIGH = 22, 26, 30
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_VIA = 1, 4, 5, 7, 18
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFA_F_TENTATIVE, _IFA_F_DADFAILED = 0x40, 0x08
_NDA_DST, _NDA_LLADDR = 1, 2
_NUD_KNOWN = 0x02 | 0x04 | 0x08 | 0x10 | 0x80  # reachable, stale, delay, probe, permanent
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)
"""No route, and the answers of unreachable, prohibit and blackhole routes."""


class RouteKind(IntEnum):
    """rtm_type, as far as it matters here (rtnetlink(7))."""

    UNICAST = 1
    LOCAL = 2
    OTHER = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way the kernel would send a packet now. `gateway` None = the destination is on the interface's own link."""

    kind: RouteKind
    ifindex: int
    gateway: IPAddress | None
    source: IPAddress | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbor:
    """One entry of the kernel's ARP or NDP cache."""

    ifindex: int
    address: IPAddress
    mac: str


def route_to(address: IPAddress, *, ifindex: int = 0) -> Route | None:
    """The route to `address` (out of `ifindex`, where given); None when the kernel has none. Raises OSError."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    body = _ROUTE.pack(family, address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0) + attribute(_RTA_DST, address.packed)
    if ifindex:
        body += attribute(_RTA_OIF, struct.pack("=i", ifindex))
    try:
        with Netlink(ROUTE) as kernel:
            for answer in kernel.request(_RTM_GETROUTE, body):
                return _route(answer)
    except OSError as error:
        if error.errno not in _NO_WAY:
            raise
    return None


def _route(answer: memoryview) -> Route:
    rtm_type = _ROUTE.unpack_from(answer)[7]
    found = {kind: bytes(value) for kind, value in attributes(answer[_ROUTE.size :])}
    via = found.get(_RTA_VIA)
    gateway = found.get(_RTA_GATEWAY) or (via[2:] if via else None)
    source = found.get(_RTA_PREFSRC)
    return Route(
        kind=RouteKind(rtm_type) if rtm_type in (1, 2) else RouteKind.OTHER,
        ifindex=int.from_bytes(found.get(_RTA_OIF, b""), sys.byteorder),
        gateway=ipaddress.ip_address(gateway) if gateway else None,
        source=ipaddress.ip_address(source) if source else None,
    )


def interface_addresses(ifindex: int, family: int) -> tuple[IPAddress, ...]:
    """The addresses of a family on an interface in the kernel's order, without those that are still tentative."""
    found: list[IPAddress] = []
    with Netlink(ROUTE) as kernel:
        for answer in kernel.request(_RTM_GETADDR, _ADDRESS.pack(family, 0, 0, 0, 0), dump=True):
            of_family, _, flags, _, index = _ADDRESS.unpack_from(answer)
            if index != ifindex or of_family != family or flags & (_IFA_F_TENTATIVE | _IFA_F_DADFAILED):
                continue
            told = {kind: bytes(value) for kind, value in attributes(answer[_ADDRESS.size :])}
            if packed := told.get(_IFA_LOCAL) or told.get(_IFA_ADDRESS):
                found.append(ipaddress.ip_address(packed))
    return tuple(found)


def neighbors() -> tuple[Neighbor, ...]:
    """What the kernel remembers of its neighbors, both families, without entries that failed or are being asked."""
    found: list[Neighbor] = []
    with Netlink(ROUTE) as kernel:
        for family in (socket.AF_INET, socket.AF_INET6):
            for answer in kernel.request(_RTM_GETNEIGH, _NEIGHBOR.pack(family, 0, 0, 0, 0), dump=True):
                _, ifindex, state, _, _ = _NEIGHBOR.unpack_from(answer)
                told = {kind: bytes(value) for kind, value in attributes(answer[_NEIGHBOR.size :])}
                destination, mac = told.get(_NDA_DST), told.get(_NDA_LLADDR)
                if destination and mac and len(mac) == 6 and state & _NUD_KNOWN:
                    address = ipaddress.ip_address(destination)
                    found.append(Neighbor(ifindex=ifindex, address=address, mac=mac.hex(":")))
    return tuple(found)
