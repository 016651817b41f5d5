"""Ethernet framing (no 802.1Q tag: the kernel takes tags off before a socket of the VLAN's interface sees a frame)."""

from __future__ import annotations

HEADER_SIZE = 14
TYPE_ARP = b"\x08\x06"
TYPE_IPV6 = b"\x86\xdd"
BROADCAST = b"\xff" * 6
NO_MAC = bytes(6)
ALL_NODES_MAC = bytes.fromhex("333300000001")


def header(destination: bytes, source: bytes, ethertype: bytes) -> bytes:
    return destination + source + ethertype


def is_station(mac: bytes) -> bool:
    """Whether `mac` can belong to one interface: six bytes, not all zero, not a group address."""
    return len(mac) == 6 and not mac[0] & 1 and mac != NO_MAC


def multicast_mac(group: bytes) -> bytes:
    """Where frames to an IPv6 multicast group go (RFC 2464 section 7)."""
    return b"\x33\x33" + group[12:16]


def mac_from_text(text: str) -> bytes:
    """`aa:bb:cc:dd:ee:ff` as six bytes. Raises ValueError."""
    mac = bytes.fromhex(text.replace(":", ""))
    if len(mac) != 6:
        raise ValueError(f"{text!r} is not a MAC address")
    return mac


def mac_to_text(mac: bytes) -> str:
    return mac.hex(":")
