"""Three questions to the kernel's routing netlink, for short commands that cannot wait for a netlink library's import.

Which way does a packet to this address leave (`route_to`), which addresses stand on an interface
(`interface_addresses`), and which MAC the kernel last saw an address at (`neighbors`). Daemons, which need events too,
use pyroute2 instead.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from lbctl.model.address import IPAddress

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ROUTE = struct.Struct("=8BI")
_ADDRESS = struct.Struct("=4Bi")
_NEIGHBOR = struct.Struct("=BxxxiHBB")
_ERROR = struct.Struct("=i")

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_NEWADDR, _RTM_GETADDR = 20, 22
_RTM_NEWROUTE, _RTM_GETROUTE = 24, 26
_RTM_NEWNEIGH, _RTM_GETNEIGH = 28, 30
_REQUEST, _DUMP = 0x1, 0x300
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_VIA = 1, 4, 5, 7, 18
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFA_F_TENTATIVE, _IFA_F_DADFAILED = 0x40, 0x08
_NDA_DST, _NDA_LLADDR = 1, 2
_NUD_KNOWN = 0x02 | 0x04 | 0x08 | 0x10 | 0x80  # reachable, stale, delay, probe, permanent
_ANSWER_SIZE = 256 * 1024


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
    body = _ROUTE.pack(family, address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0) + _attribute(_RTA_DST, address.packed)
    if ifindex:
        body += _attribute(_RTA_OIF, struct.pack("=i", ifindex))
    try:
        answers = list(_ask(_RTM_GETROUTE, body, dump=False))
    except OSError as error:
        # ENETUNREACH, EHOSTUNREACH, EACCES (prohibit), EINVAL (blackhole): there is no way out.
        if error.errno in (101, 113, 13, 22):
            return None
        raise
    for kind, payload in answers:
        if kind == _RTM_NEWROUTE:
            return _route(payload)
    return None


def _route(payload: bytes) -> Route:
    rtm_type = _ROUTE.unpack_from(payload)[7]
    found = dict(_attributes(payload[_ROUTE.size :]))
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
    for kind, payload in _ask(_RTM_GETADDR, _ADDRESS.pack(family, 0, 0, 0, 0), dump=True):
        if kind != _RTM_NEWADDR:
            continue
        of_family, _, flags, _, index = _ADDRESS.unpack_from(payload)
        if index != ifindex or of_family != family or flags & (_IFA_F_TENTATIVE | _IFA_F_DADFAILED):
            continue
        attributes = dict(_attributes(payload[_ADDRESS.size :]))
        packed = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
        if packed:
            found.append(ipaddress.ip_address(packed))
    return tuple(found)


def neighbors() -> tuple[Neighbor, ...]:
    """What the kernel remembers of its neighbors, both families, without entries that failed or are being asked."""
    found: list[Neighbor] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for kind, payload in _ask(_RTM_GETNEIGH, _NEIGHBOR.pack(family, 0, 0, 0, 0), dump=True):
            if kind != _RTM_NEWNEIGH:
                continue
            _, ifindex, state, _, _ = _NEIGHBOR.unpack_from(payload)
            attributes = dict(_attributes(payload[_NEIGHBOR.size :]))
            destination, mac = attributes.get(_NDA_DST), attributes.get(_NDA_LLADDR)
            if destination and mac and len(mac) == 6 and state & _NUD_KNOWN:
                address = ipaddress.ip_address(destination)
                found.append(Neighbor(ifindex=ifindex, address=address, mac=mac.hex(":")))
    return tuple(found)


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(payload: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _ATTRIBUTE.size <= len(payload):
        length, kind = _ATTRIBUTE.unpack_from(payload, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, payload[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


def _ask(message: int, body: bytes, *, dump: bool) -> Iterator[tuple[int, bytes]]:
    """Sends one request; yields (type, payload) of its answers. Raises OSError with the kernel's errno."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(1.0)
        sock.bind((0, 0))
        flags = _REQUEST | (_DUMP if dump else 0)
        sock.send(_HEADER.pack(_HEADER.size + len(body), message, flags, 1, 0) + body)
        while True:
            answer = sock.recv(_ANSWER_SIZE)
            offset = 0
            while offset + _HEADER.size <= len(answer):
                length, kind, _, _, _ = _HEADER.unpack_from(answer, offset)
                payload = answer[offset + _HEADER.size : offset + length]
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    (number,) = _ERROR.unpack_from(payload)
                    if number:
                        raise OSError(-number, os.strerror(-number))
                    return
                yield kind, payload
                if length < _HEADER.size:
                    return
                offset += (length + 3) & ~3
            if not dump:
                return
