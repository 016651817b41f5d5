"""Our NS and NA bytes against scapy's, in both directions, and against any bytes at all."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    in6_getnsma,
    in6_getnsmac,
)
from scapy.layers.l2 import Ether

from lbctl.protocol.l2 import ndp
from lbctl.protocol.l2.drop import Drop
from lbctl.protocol.l2.ethernet import ALL_NODES_MAC, mac_to_text, multicast_mac
from tests.protocol.l2.frames import CLIENT, CLIENT6, NODE, VIP6, ip

addresses = st.binary(min_size=16, max_size=16).map(lambda raw: b"\x20" + raw[1:])


def _text(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6, address)


def _solicitation(
    *, source: bytes = CLIENT6, target: bytes = VIP6, option: bool = True, mac: bytes = CLIENT, **ipv6: Any
) -> bytes:
    """An NS as scapy builds it."""
    ipv6 = {"dst": _text(ndp.solicited_node(target)), "hlim": 255, **ipv6}
    packet = (
        Ether(src=mac_to_text(mac), dst=mac_to_text(multicast_mac(ndp.solicited_node(target))))
        / IPv6(src=_text(source), **ipv6)
        / ICMPv6ND_NS(tgt=_text(target))
    )
    return bytes(packet / ICMPv6NDOptSrcLLAddr(lladdr=mac_to_text(mac)) if option else packet)


def _rewritten(frame: bytes, *, body: bytes | None = None, payload_length: int | None = None) -> bytes:
    """The frame with another ICMPv6 body, its length and checksum right again."""
    new = bytearray(frame[54:] if body is None else body)
    new[2:4] = b"\x00\x00"
    head = bytearray(frame[:54])
    head[18:20] = (len(new) if payload_length is None else payload_length).to_bytes(2, "big")
    total = ndp._pseudo_sum(bytes(head[22:38]), bytes(head[38:54]), len(new)) + ndp._sum(bytes(new))
    new[2:4] = (~ndp._fold(total) & 0xFFFF).to_bytes(2, "big")
    return bytes(head + new)


@given(addresses, addresses, st.booleans(), st.binary(max_size=20))
def test_scapy_solicitations_are_parsed(source: bytes, target: bytes, option: bool, padding: bytes) -> None:
    message = ndp.parse(_solicitation(source=source, target=target, option=option) + padding)
    assert message == ndp.NdpMessage(
        type=ndp.SOLICITATION,
        target=target,
        link_layer=CLIENT if option else None,
        source_ip=source,
        destination_ip=ndp.solicited_node(target),
        router=False,
        solicited=False,
        override=False,
        destination=multicast_mac(ndp.solicited_node(target)),
        source=CLIENT,
    )


@given(addresses, addresses, *(st.booleans(),) * 4)
def test_scapy_advertisements_are_parsed(
    target: bytes, to: bytes, router: bool, solicited: bool, override: bool, option: bool
) -> None:
    packet = (
        Ether(src=mac_to_text(NODE), dst=mac_to_text(CLIENT))
        / IPv6(src=_text(target), dst=_text(to), hlim=255)
        / ICMPv6ND_NA(tgt=_text(target), R=router, S=solicited, O=override)
    )
    if option:
        packet /= ICMPv6NDOptDstLLAddr(lladdr=mac_to_text(NODE))
    message = ndp.parse(bytes(packet))
    assert isinstance(message, ndp.NdpMessage)
    assert message.type == ndp.ADVERTISEMENT
    assert (message.target, message.destination_ip) == (target, to)
    assert (message.router, message.solicited, message.override) == (router, solicited, override)
    assert message.link_layer == (NODE if option else None)


@given(addresses)
def test_the_group_and_its_mac_are_scapys(target: bytes) -> None:
    group = ndp.solicited_node(target)
    assert group == in6_getnsma(target)
    assert mac_to_text(multicast_mac(group)) == in6_getnsmac(in6_getnsma(target))


@given(addresses, addresses, st.booleans())
def test_scapy_builds_the_same_solicitation(source: bytes, target: bytes, dad: bool) -> None:
    source = ndp.NO_ADDRESS if dad else source
    ours = ndp.solicitation(mac=CLIENT, source_ip=source, target=target)
    assert ours == _solicitation(source=source, target=target, option=not dad)


def test_a_solicitation_may_go_to_one_station() -> None:
    frame = ndp.solicitation(mac=CLIENT, source_ip=CLIENT6, target=VIP6, to_mac=NODE)
    assert frame[:6] == NODE
    message = ndp.parse(frame)
    assert isinstance(message, ndp.NdpMessage)
    assert message.destination_ip == VIP6


@given(addresses)
def test_scapy_builds_the_same_announcement(target: bytes) -> None:
    assert ndp.unsolicited(mac=NODE, address=target) == bytes(
        Ether(src=mac_to_text(NODE), dst=mac_to_text(ALL_NODES_MAC))
        / IPv6(src=_text(target), dst="ff02::1", hlim=255)
        / ICMPv6ND_NA(tgt=_text(target), R=0, S=0, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=mac_to_text(NODE))
    )


@given(addresses, addresses, st.booleans())
def test_scapy_builds_the_same_answer(source: bytes, target: bytes, option: bool) -> None:
    question = ndp.parse(_solicitation(source=source, target=target, option=option))
    assert isinstance(question, ndp.NdpMessage)
    answer = ndp.Advertiser(NODE).answer(question)
    assert answer == bytes(
        Ether(src=mac_to_text(NODE), dst=mac_to_text(CLIENT))
        / IPv6(src=_text(target), dst=_text(source), hlim=255)
        / ICMPv6ND_NA(tgt=_text(target), R=0, S=1, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=mac_to_text(NODE))
    )
    assert isinstance(ndp.parse(answer), ndp.NdpMessage)
    assert answer == ndp.advertisement(mac=NODE, target=target, to_mac=CLIENT, to_ip=source, solicited=True)


@given(addresses)
def test_duplicate_address_detection_is_answered_to_all_nodes(target: bytes) -> None:
    question = ndp.parse(_solicitation(source=ndp.NO_ADDRESS, target=target, option=False))
    assert isinstance(question, ndp.NdpMessage)
    assert ndp.Advertiser(NODE).answer(question) == ndp.unsolicited(mac=NODE, address=target)


@given(st.binary(max_size=120))
def test_no_bytes_raise(frame: bytes) -> None:
    ndp.parse(frame)


@given(st.data())
def test_no_damaged_frame_raises(data: st.DataObject) -> None:
    frame = bytearray(_solicitation())
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(12, len(frame) - 1))] = data.draw(st.integers(0, 255))
    ndp.parse(_rewritten(bytes(frame), payload_length=int.from_bytes(frame[18:20], "big")))
    ndp.parse(bytes(frame[: data.draw(st.integers(0, len(frame)))]))


@given(st.integers(54, 85), st.integers(1, 255))
def test_every_flipped_byte_of_the_body_is_noticed(at: int, change: int) -> None:
    frame = bytearray(_solicitation())
    frame[at] ^= change
    assert ndp.parse(bytes(frame)) is not None
    assert isinstance(ndp.parse(bytes(frame)), Drop)


def _body(**changes: bytes) -> bytes:
    """The body of an NS with parts replaced: code, target, options."""
    body = _solicitation()[54:]
    parts = {"kind": body[:1], "code": body[1:2], "rest": body[2:8], "target": body[8:24], "options": body[24:]}
    return b"".join({**parts, **changes}.values())


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (_solicitation(hlim=254), Drop.HOP_LIMIT),
        (_solicitation()[:50], Drop.TRUNCATED),
        (_solicitation()[:80], Drop.TRUNCATED),
        (_rewritten(_solicitation(), body=_solicitation()[54:70]), Drop.TRUNCATED),
        (b"\x00" * 12 + b"\x08\x00" + b"\x00" * 80, Drop.NOT_L2),
        (_solicitation()[:14] + b"\x45" + _solicitation()[15:], Drop.MALFORMED),
        (_solicitation()[:20] + b"\x11" + _solicitation()[21:], Drop.NOT_L2),
        (_rewritten(_solicitation(), body=_body(kind=b"\x85")), Drop.NOT_L2),
        (_rewritten(_solicitation(), body=_body(code=b"\x01")), Drop.MALFORMED),
        (_rewritten(_solicitation(), body=_body(target=ndp.ALL_NODES)), Drop.MALFORMED),
        (_rewritten(_solicitation(), body=_body(target=bytes(16))), Drop.MALFORMED),
        (_rewritten(_solicitation(), body=_body(options=b"\x01\x00" + CLIENT)), Drop.MALFORMED),
        (_rewritten(_solicitation(), body=_body(options=b"\x01\x02" + CLIENT)), Drop.MALFORMED),
        (_rewritten(_solicitation(), body=_body(options=b"\x01")), Drop.MALFORMED),
        (_rewritten(_solicitation(), body=_body(options=b"\x01\x01" + b"\xff" * 6)), Drop.MALFORMED),
        (_rewritten(_solicitation(), body=_body(options=b"\x01\x02" + bytes(14))), Drop.MALFORMED),
        # A duplicate address detection that carries an option, or goes to one station (RFC 4861 section 7.1.1).
        (_solicitation(source=ndp.NO_ADDRESS, option=True), Drop.MALFORMED),
        (_solicitation(source=ndp.NO_ADDRESS, option=False, dst=_text(VIP6)), Drop.MALFORMED),
        (_solicitation(source=ndp.ALL_NODES), Drop.MALFORMED),
        (
            bytes(
                Ether(dst=mac_to_text(ALL_NODES_MAC), src=mac_to_text(CLIENT))
                / IPv6(src=_text(VIP6), dst="ff02::1", hlim=255)
                / ICMPv6ND_NA(tgt=_text(VIP6), S=1)
            ),
            Drop.MALFORMED,
        ),
    ],
)
def test_what_must_be_discarded_has_a_name(frame: bytes, reason: Drop) -> None:
    assert ndp.parse(frame) is reason


def test_unknown_options_are_skipped() -> None:
    nonce = b"\x0e\x01" + b"\x07" * 6  # RFC 3971, in every DAD of a modern Linux
    frame = _rewritten(_solicitation(), body=_body(options=nonce + b"\x01\x01" + CLIENT))
    message = ndp.parse(frame)
    assert isinstance(message, ndp.NdpMessage)
    assert message.link_layer == CLIENT


def test_the_group_is_made_of_the_last_three_bytes() -> None:
    assert ndp.solicited_node(ip("2001:db8::1234:5678")) == ip("ff02::1:ff34:5678")
