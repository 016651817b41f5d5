"""Neighbor solicitation and advertisement over Ethernet: parse, check and build (RFC 4861 sections 4.3, 4.4, 7)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lbctl.protocol.l2.drop import Drop
from lbctl.protocol.l2.ethernet import ALL_NODES_MAC, HEADER_SIZE, TYPE_IPV6, is_station, multicast_mac

SOLICITATION = 135
ADVERTISEMENT = 136
HOP_LIMIT = 255
NO_ADDRESS = bytes(16)
ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")

_ICMPV6 = 58
_IPV6_SIZE = 40
_BODY = HEADER_SIZE + _IPV6_SIZE
_FIXED = 24  # type, code, checksum, flags, target
_SOURCE_LINK_LAYER = 1
_TARGET_LINK_LAYER = 2
_SOLICITED_NODE = bytes.fromhex("ff0200000000000000000001ff")
_OVERRIDE = 0x20
_SOLICITED = 0x40
_ROUTER = 0x80
_WORDS = struct.Struct("!8H")
_WITH_OPTION = _FIXED + 8

SOURCE = slice(22, 38)
TARGET = slice(_BODY + 8, _BODY + 24)
"""Where the addresses of a frame stand; they are looked up before the rest is parsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NdpMessage:
    """A valid NS or NA. `link_layer` is its source (NS) or target (NA) link-layer address option, if it has one."""

    type: int
    target: bytes
    link_layer: bytes | None
    source_ip: bytes
    destination_ip: bytes
    router: bool
    solicited: bool
    override: bool
    destination: bytes
    source: bytes


def solicited_node(address: bytes) -> bytes:
    """The multicast group that solicitations for `address` go to (RFC 4291 section 2.7.1)."""
    return _SOLICITED_NODE + address[13:16]


def parse(frame: bytes) -> NdpMessage | Drop:
    """The NS or NA in an Ethernet frame, or why it has to be discarded (RFC 4861 sections 7.1.1 and 7.1.2)."""
    if frame[12:14] != TYPE_IPV6:
        return Drop.NOT_L2
    if len(frame) < _BODY:
        return Drop.TRUNCATED
    if frame[14] >> 4 != 6:
        return Drop.MALFORMED
    if frame[20] != _ICMPV6:
        return Drop.NOT_L2
    length = int.from_bytes(frame[18:20], "big")
    end = _BODY + length
    if length < _FIXED or len(frame) < end:
        return Drop.TRUNCATED
    kind = frame[_BODY]
    if kind not in (SOLICITATION, ADVERTISEMENT):
        return Drop.NOT_L2
    if frame[21] != HOP_LIMIT:
        return Drop.HOP_LIMIT
    body = frame[_BODY:end]
    source_ip, destination_ip = frame[22:38], frame[38:54]
    if _fold(_pseudo_sum(source_ip, destination_ip, length) + _sum(body)) != 0xFFFF:
        return Drop.CHECKSUM
    target = body[8:24]
    link_layer = _option(body, _SOURCE_LINK_LAYER if kind == SOLICITATION else _TARGET_LINK_LAYER)
    if body[1] != 0 or target[0] == 0xFF or target == NO_ADDRESS or isinstance(link_layer, Drop):
        return Drop.MALFORMED
    flags = body[4] if kind == ADVERTISEMENT else 0
    if kind == SOLICITATION and source_ip == NO_ADDRESS:
        if link_layer is not None or destination_ip[:13] != _SOLICITED_NODE:
            return Drop.MALFORMED
    elif source_ip[0] == 0xFF or (flags & _SOLICITED and destination_ip[0] == 0xFF):
        return Drop.MALFORMED
    return NdpMessage(
        type=kind,
        target=target,
        link_layer=link_layer,
        source_ip=source_ip,
        destination_ip=destination_ip,
        router=bool(flags & _ROUTER),
        solicited=bool(flags & _SOLICITED),
        override=bool(flags & _OVERRIDE),
        destination=frame[0:6],
        source=frame[6:12],
    )


def solicitation(*, mac: bytes, source_ip: bytes, target: bytes, to_mac: bytes | None = None) -> bytes:
    """Who has `target`? To its solicited-node group, or, with `to_mac`, to that station alone (NUD).

    `source_ip` NO_ADDRESS makes it a duplicate address detection, which carries no link-layer option.
    """
    option = b"" if source_ip == NO_ADDRESS else bytes((_SOURCE_LINK_LAYER, 1)) + mac
    destination_ip = solicited_node(target) if to_mac is None else target
    destination = multicast_mac(destination_ip) if to_mac is None else to_mac
    return _frame(destination, mac, source_ip, destination_ip, SOLICITATION, 0, target + option)


def advertisement(
    *, mac: bytes, target: bytes, to_mac: bytes, to_ip: bytes, solicited: bool, override: bool = True
) -> bytes:
    """`target` is at `mac`: R=0 because the node does not route for the asker; the option always there."""
    flags = _SOLICITED * solicited | _OVERRIDE * override
    option = bytes((_TARGET_LINK_LAYER, 1)) + mac
    return _frame(to_mac, mac, target, to_ip, ADVERTISEMENT, flags, target + option)


def unsolicited(*, mac: bytes, address: bytes) -> bytes:
    """The announcement: to all nodes, S=0, O=1, so that every cache that has `address` moves (section 7.2.6)."""
    return advertisement(mac=mac, target=address, to_mac=ALL_NODES_MAC, to_ip=ALL_NODES, solicited=False)


class Advertiser:
    """Advertisements from one MAC with everything that does not depend on the question made beforehand."""

    __slots__ = ("_head", "_option", "_sum")

    def __init__(self, mac: bytes) -> None:
        self._head = mac + TYPE_IPV6 + struct.pack("!IHBB", 0x60000000, _WITH_OPTION, _ICMPV6, HOP_LIMIT)
        self._option = bytes((_TARGET_LINK_LAYER, 1)) + mac
        self._sum = _sum(self._option) + _WITH_OPTION + _ICMPV6 + (ADVERTISEMENT << 8)

    def answer(self, message: NdpMessage) -> bytes:
        """The advertisement that answers a solicitation.

        To the asker, solicited, or to all nodes when it asked from the unspecified address (duplicate address
        detection, section 7.2.4). A solicitation without a link-layer option (unicast NUD) is answered to the
        station that sent it: to demand the option would break every established IPv6 flow after 30 s.
        """
        if message.source_ip == NO_ADDRESS:
            to_mac, to_ip, flags = ALL_NODES_MAC, ALL_NODES, _OVERRIDE
        else:
            to_mac = message.link_layer or message.source
            to_ip, flags = message.source_ip, _SOLICITED | _OVERRIDE
        target = message.target
        total = self._sum + 2 * sum(_WORDS.unpack(target)) + sum(_WORDS.unpack(to_ip)) + (flags << 8)
        checksum = ~_fold(total) & 0xFFFF
        icmp = struct.pack("!BBHI", ADVERTISEMENT, 0, checksum, flags << 24)
        return to_mac + self._head + target + to_ip + icmp + target + self._option


def _frame(
    destination: bytes, mac: bytes, source_ip: bytes, destination_ip: bytes, kind: int, flags: int, rest: bytes
) -> bytes:
    length = 8 + len(rest)
    body = struct.pack("!BBHI", kind, 0, 0, flags << 24) + rest
    checksum = ~_fold(_pseudo_sum(source_ip, destination_ip, length) + _sum(body)) & 0xFFFF
    ip = struct.pack("!IHBB", 0x60000000, length, _ICMPV6, HOP_LIMIT) + source_ip + destination_ip
    return destination + mac + TYPE_IPV6 + ip + body[:2] + checksum.to_bytes(2, "big") + body[4:]


def _option(body: bytes, wanted: int) -> bytes | Drop | None:
    """The link-layer address option of one type; MALFORMED when an option has no length or does not fit."""
    found: bytes | None = None
    at = _FIXED
    while at < len(body):
        size = body[at + 1] * 8 if at + 1 < len(body) else 0
        if size == 0 or at + size > len(body):
            return Drop.MALFORMED
        if body[at] == wanted and found is None:
            found = body[at + 2 : at + 8]
            if size != 8 or not is_station(found):
                return Drop.MALFORMED
        at += size
    return found


def _pseudo_sum(source_ip: bytes, destination_ip: bytes, length: int) -> int:
    total: int = sum(_WORDS.unpack(source_ip)) + sum(_WORDS.unpack(destination_ip))
    return total + length + _ICMPV6


def _sum(body: bytes) -> int:
    if len(body) % 2:
        body += b"\x00"
    words: tuple[int, ...] = struct.unpack(f"!{len(body) // 2}H", body)
    return sum(words)


def _fold(total: int) -> int:
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total
