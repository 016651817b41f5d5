"""Answers to neighbor solicitations, rule by rule of RFC 4861 section 7.2.4 and RFC 4862 section 5.4."""

from __future__ import annotations

import pytest

from lbctl.protocol.l2 import ndp
from lbctl.protocol.l2.ethernet import ALL_NODES_MAC
from lbctl.protocol.l2.gratuitous import Gratuitous
from lbctl.protocol.l2.responder import Responder
from tests.protocol.l2.frames import CLIENT, CLIENT6, ETH0, NODE, VIP6, answering, ip, sends

LINK_LOCAL = ip("fe80::c")
GROUP = ndp.solicited_node(VIP6)
BARE = ndp._frame(NODE, CLIENT, CLIENT6, VIP6, ndp.SOLICITATION, 0, VIP6)
BARE_GROUP = ndp._frame(b"\x33\x33" + GROUP[12:], CLIENT, CLIENT6, GROUP, ndp.SOLICITATION, 0, VIP6)
NONCE = bytes((14, 1)) + b"nonce!"
ENHANCED_DAD = ndp._frame(b"\x33\x33" + GROUP[12:], CLIENT, ndp.NO_ADDRESS, GROUP, ndp.SOLICITATION, 0, VIP6 + NONCE)


def answers(frame: bytes) -> list[ndp.NdpMessage]:
    responder = Responder(answering(VIP6))
    responder.received(frame, ETH0, 0.0)
    found = [ndp.parse(send.payload) for send in sends(responder.outputs())]
    assert all(isinstance(message, ndp.NdpMessage) for message in found), "what we say, others may read"
    return [message for message in found if isinstance(message, ndp.NdpMessage)]


ASKED = {
    "address resolution": ndp.solicitation(mac=CLIENT, source_ip=CLIENT6, target=VIP6),
    "from a link-local address": ndp.solicitation(mac=CLIENT, source_ip=LINK_LOCAL, target=VIP6),
    "reachability, unicast": ndp.solicitation(mac=CLIENT, source_ip=CLIENT6, target=VIP6, to_mac=NODE),
    "reachability, without option": BARE,
    "multicast, without option": BARE_GROUP,
}


@pytest.mark.parametrize("frame", ASKED.values(), ids=ASKED.keys())
def test_who_asks_is_told_alone_solicited_with_override_and_no_router(frame: bytes) -> None:
    """Section 7.2.4: S where the source was an address; O, since the address is neither anycast nor proxied; the option
    is always there. R stays 0: a node may forward, but nobody is to take a VIP for a router, and where a cache took it
    for one, R = 0 takes it off the list of default routers (section 7.2.5)."""
    (answer,) = answers(frame)
    asker = LINK_LOCAL if LINK_LOCAL in frame else CLIENT6
    assert (answer.destination, answer.destination_ip) == (CLIENT, asker)
    assert (answer.router, answer.solicited, answer.override) == (False, True, True)
    assert (answer.target, answer.source_ip, answer.link_layer, answer.source) == (VIP6, VIP6, NODE, NODE)


@pytest.mark.parametrize(
    "frame",
    [ndp.solicitation(mac=CLIENT, source_ip=ndp.NO_ADDRESS, target=VIP6), ENHANCED_DAD],
    ids=["dad", "dad with a nonce"],
)
def test_duplicate_address_detection_of_another_is_told_to_all_nodes(frame: bytes) -> None:
    """RFC 4862 section 5.4.3: so the other host learns that the address is taken. S must be 0 (section 7.2.4)."""
    (answer,) = answers(frame)
    assert (answer.destination, answer.destination_ip) == (ALL_NODES_MAC, ndp.ALL_NODES)
    assert (answer.router, answer.solicited, answer.override) == (False, False, True)
    assert answer.link_layer == NODE


def test_an_announcement_overrides_and_is_not_solicited() -> None:
    """Section 7.2.6: to all nodes, S = 0, and O = 1 so that caches that have another MAC take ours."""
    table = answering(VIP6)
    gratuitous = Gratuitous(table, jitter=lambda: 0.5)
    gratuitous.start([(VIP6, ETH0)])
    gratuitous.handle_timeout(0.0)
    (send,) = sends(gratuitous.outputs())
    message = ndp.parse(send.payload)
    assert isinstance(message, ndp.NdpMessage)
    assert (message.destination, message.destination_ip) == (ALL_NODES_MAC, ndp.ALL_NODES)
    assert (message.router, message.solicited, message.override, message.link_layer) == (False, False, True, NODE)


def test_a_takeover_asks_nobody_whether_it_may() -> None:
    """No duplicate address detection: it would cost a second in which nobody answers."""
    table = answering(VIP6)
    gratuitous = Gratuitous(table, jitter=lambda: 0.5)
    gratuitous.start([(VIP6, ETH0)])
    gratuitous.handle_timeout(0.0)
    assert {send.payload[54] for send in sends(gratuitous.outputs())} == {ndp.ADVERTISEMENT}
