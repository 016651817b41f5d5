"""Our ARP bytes against scapy's, in both directions, and against any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.l2 import ARP, Ether

from lbctl.protocol.l2 import arp
from lbctl.protocol.l2.ethernet import BROADCAST, NO_MAC, mac_from_text, mac_to_text
from tests.protocol.l2.frames import CLIENT, CLIENT4, NODE, VIP4

macs = st.binary(min_size=6, max_size=6).map(lambda mac: bytes((mac[0] & 0xFE, *mac[1:5], mac[5] | 1)))
addresses = st.binary(min_size=4, max_size=4)


def _text(address: bytes) -> str:
    return ".".join(map(str, address))


@given(macs, addresses, macs, addresses, st.sampled_from((arp.REQUEST, arp.REPLY)), st.binary(max_size=30))
def test_scapy_frames_are_parsed(
    sender: bytes, sender_ip: bytes, target: bytes, target_ip: bytes, operation: int, padding: bytes
) -> None:
    frame = bytes(
        Ether(src=mac_to_text(sender), dst="ff:ff:ff:ff:ff:ff")
        / ARP(
            op=operation,
            hwsrc=mac_to_text(sender),
            psrc=_text(sender_ip),
            hwdst=mac_to_text(target),
            pdst=_text(target_ip),
        )
    )
    assert arp.parse(frame + padding) == arp.ArpPacket(
        operation=operation,
        sender_mac=sender,
        sender_ip=sender_ip,
        target_mac=target,
        target_ip=target_ip,
        destination=BROADCAST,
        source=sender,
    )


@pytest.mark.parametrize(
    ("frame", "destination", "operation", "sender_ip", "target_mac", "target_ip"),
    [
        (arp.request(mac=NODE, sender_ip=CLIENT4, target_ip=VIP4), BROADCAST, 1, CLIENT4, NO_MAC, VIP4),
        (arp.request(mac=NODE, sender_ip=CLIENT4, target_ip=VIP4, to=CLIENT), CLIENT, 1, CLIENT4, NO_MAC, VIP4),
        (arp.probe(mac=NODE, target_ip=VIP4), BROADCAST, 1, bytes(4), NO_MAC, VIP4),
        (arp.reply(mac=NODE, sender_ip=VIP4, target_mac=CLIENT, target_ip=CLIENT4), CLIENT, 2, VIP4, CLIENT, CLIENT4),
        # Target MAC = sender MAC: Linux ignores a reply with any other for a second after the entry's last update.
        (arp.gratuitous_request(mac=NODE, address=VIP4), BROADCAST, 1, VIP4, NODE, VIP4),
        (arp.gratuitous_reply(mac=NODE, address=VIP4), BROADCAST, 2, VIP4, NODE, VIP4),
    ],
    ids=["request", "unicast request", "probe", "reply", "gratuitous request", "gratuitous reply"],
)
def test_scapy_reads_what_we_build(
    frame: bytes, destination: bytes, operation: int, sender_ip: bytes, target_mac: bytes, target_ip: bytes
) -> None:
    packet = Ether(frame)
    assert bytes(packet) == frame
    assert packet.dst == mac_to_text(destination)
    assert packet.src == packet[ARP].hwsrc == mac_to_text(NODE)
    assert packet[ARP].hwtype == 1
    assert packet[ARP].ptype == 0x0800
    assert (packet[ARP].hwlen, packet[ARP].plen) == (6, 4)
    assert packet[ARP].op == operation
    assert packet[ARP].psrc == _text(sender_ip)
    assert packet[ARP].hwdst == mac_to_text(target_mac)
    assert packet[ARP].pdst == _text(target_ip)


@given(st.binary(max_size=64))
def test_no_bytes_raise(frame: bytes) -> None:
    arp.parse(frame)
    arp.is_question(frame)


@given(st.binary(max_size=41))
def test_a_short_frame_is_no_arp(frame: bytes) -> None:
    assert arp.parse(frame) is None


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (slice(12, 14), b"\x08\x00"),
        (slice(14, 16), b"\x00\x06"),
        (slice(16, 18), b"\x86\xdd"),
        (slice(18, 19), b"\x08"),
        (slice(20, 22), b"\x00\x03"),
        (arp.SENDER_MAC, BROADCAST),
        (arp.SENDER_MAC, NO_MAC),
        (arp.SENDER_MAC, bytes.fromhex("01005e000001")),
    ],
    ids=["ethertype", "hardware", "protocol", "size", "operation", "broadcast sender", "zero sender", "group sender"],
)
def test_what_is_not_arp_for_ipv4_is_refused(at: slice, value: bytes) -> None:
    frame = bytearray(arp.request(mac=CLIENT, sender_ip=CLIENT4, target_ip=VIP4))
    assert arp.parse(bytes(frame)) is not None
    frame[at] = value
    assert arp.parse(bytes(frame)) is None


def test_probes_and_announcements_are_told_apart() -> None:
    probe = arp.parse(arp.probe(mac=CLIENT, target_ip=VIP4))
    announcement = arp.parse(arp.gratuitous_reply(mac=CLIENT, address=VIP4))
    request = arp.parse(arp.request(mac=CLIENT, sender_ip=CLIENT4, target_ip=VIP4))
    assert probe
    assert announcement
    assert request
    assert [packet.is_probe for packet in (probe, announcement, request)] == [True, False, False]
    assert [packet.is_announcement for packet in (probe, announcement, request)] == [False, True, False]


def test_macs_as_text() -> None:
    assert mac_from_text("02:00:00:00:00:0a") == NODE
    assert mac_to_text(NODE) == "02:00:00:00:00:0a"
    for wrong in ("02:00:00:00:00", "02:00:00:00:00:0a:0b", "eth0"):
        with pytest.raises(ValueError):
            mac_from_text(wrong)
