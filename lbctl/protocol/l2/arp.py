"""ARP for IPv4 over Ethernet: parse and build (RFC 826, RFC 5227)."""

from __future__ import annotations

from dataclasses import dataclass

from lbctl.protocol.l2.ethernet import BROADCAST, NO_MAC, TYPE_ARP, is_station

REQUEST = 1
REPLY = 2
FRAME_SIZE = 42

_FORMAT = bytes.fromhex("000108000604")  # Ethernet, IPv4, 6-byte and 4-byte addresses
_REQUEST = _FORMAT + b"\x00\x01"
_REPLY = _FORMAT + b"\x00\x02"
_NO_IP = bytes(4)

# Where the fields of a frame stand; the responder reads two of them without parsing the rest.
ETHERTYPE = slice(12, 14)
OPERATION = slice(14, 22)
SENDER_MAC = slice(22, 28)
SENDER_IP = slice(28, 32)
SENDER = slice(22, 32)
TARGET_MAC = slice(32, 38)
TARGET_IP = slice(38, 42)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArpPacket:
    """What an ARP frame says. `destination` and `source` are the Ethernet header's."""

    operation: int
    sender_mac: bytes
    sender_ip: bytes
    target_mac: bytes
    target_ip: bytes
    destination: bytes
    source: bytes

    @property
    def is_probe(self) -> bool:
        """Asking whether an address is free, claiming nothing (RFC 5227 section 1.1)."""
        return self.operation == REQUEST and self.sender_ip == _NO_IP

    @property
    def is_announcement(self) -> bool:
        """The sender speaks about itself (gratuitous), as request or as reply."""
        return self.sender_ip == self.target_ip and self.sender_ip != _NO_IP


def parse(frame: bytes) -> ArpPacket | None:
    """The ARP packet in an Ethernet frame, or None when there is no well-formed IPv4-over-Ethernet ARP in it."""
    if len(frame) < FRAME_SIZE or frame[ETHERTYPE] != TYPE_ARP:
        return None
    operation = frame[OPERATION]
    if operation not in (_REQUEST, _REPLY) or not is_station(frame[SENDER_MAC]):
        return None
    return ArpPacket(
        operation=operation[7],
        sender_mac=frame[SENDER_MAC],
        sender_ip=frame[SENDER_IP],
        target_mac=frame[TARGET_MAC],
        target_ip=frame[TARGET_IP],
        destination=frame[0:6],
        source=frame[6:12],
    )


def sender(frame: bytes) -> bytes | None:
    """Who speaks for the frame's sender address; None where `parse` finds no packet. In the fewest steps."""
    if len(frame) < FRAME_SIZE or frame[OPERATION] not in (_REQUEST, _REPLY):
        return None
    mac = frame[SENDER_MAC]
    return mac if is_station(mac) else None


def is_question(frame: bytes) -> bool:
    """Whether an ARP frame asks (a request that is no announcement), in the fewest steps: the responder's hot path."""
    return frame[OPERATION] == _REQUEST and frame[SENDER_IP] != frame[TARGET_IP]


def request(*, mac: bytes, sender_ip: bytes, target_ip: bytes, to: bytes = BROADCAST) -> bytes:
    """Who has `target_ip`? Tell `sender_ip`. `to` a station = ask only that one (RFC 1122 section 2.3.2.1)."""
    return to + mac + TYPE_ARP + _REQUEST + mac + sender_ip + NO_MAC + target_ip


def probe(*, mac: bytes, target_ip: bytes) -> bytes:
    """Is anybody `target_ip`? Without a sender address, so that no cache learns from it (RFC 5227 section 2.1.1)."""
    return request(mac=mac, sender_ip=_NO_IP, target_ip=target_ip)


def reply(*, mac: bytes, sender_ip: bytes, target_mac: bytes, target_ip: bytes) -> bytes:
    """`sender_ip` is at `mac`, told to one asker."""
    return target_mac + reply_head(mac) + sender_ip + target_mac + target_ip


def reply_head(mac: bytes) -> bytes:
    """What every reply from `mac` has between the destination and the sender's IP: made once an interface."""
    return mac + TYPE_ARP + _REPLY + mac


def gratuitous_request(*, mac: bytes, address: bytes) -> bytes:
    """An announcement in the form of RFC 5227 section 2.3."""
    return BROADCAST + mac + TYPE_ARP + _REQUEST + mac + address + mac + address


def gratuitous_reply(*, mac: bytes, address: bytes) -> bytes:
    """The same as a reply, for the equipment that learns from replies only.

    Its target MAC is the sender's: Linux takes a reply with any other for no announcement, and ignores it for a second
    after it last updated the entry (its locktime), which is just when a takeover matters.
    """
    return BROADCAST + mac + TYPE_ARP + _REPLY + mac + address + mac + address
