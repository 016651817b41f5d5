"""Who is foreign, how often that is said, and how often an address is defended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.conflict import FOREIGN, MAX_REMEMBERED, Conflict
from lbctl.protocol.machine import Report, Send
from tests.protocol.l2.frames import (
    CLIENT,
    CLIENT4,
    CLIENT6,
    ETH0,
    ETH1,
    NODE,
    STRANGER,
    VIP4,
    VIP6,
    answering,
    reports,
    sends,
)

FOREIGN_ARP = arp.gratuitous_request(mac=STRANGER, address=VIP4)
FOREIGN_NA = ndp.unsolicited(mac=STRANGER, address=VIP6)


def _hear(conflict: Conflict, frame: bytes, now: float = 0.0, ifindex: int = ETH0) -> list[Send | Report]:
    conflict.received(frame, ifindex, now)
    return conflict.outputs()


@pytest.mark.parametrize(
    ("frame", "address"),
    [
        (FOREIGN_ARP, VIP4),
        (arp.gratuitous_reply(mac=STRANGER, address=VIP4), VIP4),
        (arp.reply(mac=STRANGER, sender_ip=VIP4, target_mac=NODE, target_ip=CLIENT4), VIP4),
        (arp.request(mac=STRANGER, sender_ip=VIP4, target_ip=CLIENT4), VIP4),
        (FOREIGN_NA, VIP6),
        (ndp.advertisement(mac=STRANGER, target=VIP6, to_mac=NODE, to_ip=CLIENT6, solicited=True), VIP6),
        (ndp.solicitation(mac=STRANGER, source_ip=VIP6, target=CLIENT6), VIP6),
        (ndp._frame(NODE, STRANGER, CLIENT6, CLIENT6, ndp.ADVERTISEMENT, 0x20, VIP6), VIP6),
    ],
    ids=["garp", "garp reply", "reply", "request", "unsolicited na", "na", "ns from it", "na without option"],
)
def test_a_stranger_that_says_our_address_is_reported_and_answered(frame: bytes, address: bytes) -> None:
    outputs = _hear(Conflict(answering(VIP4, VIP6)), frame)
    (report,) = reports(outputs)
    assert report == Report(FOREIGN, {"address": address, "mac": STRANGER, "ifindex": ETH0})
    (defence,) = sends(outputs)
    assert defence.via == ETH0
    assert defence.payload == (
        arp.gratuitous_request(mac=NODE, address=VIP4) if address == VIP4 else ndp.unsolicited(mac=NODE, address=VIP6)
    )


@pytest.mark.parametrize(
    "frame",
    [
        arp.request(mac=CLIENT, sender_ip=CLIENT4, target_ip=VIP4),
        arp.probe(mac=STRANGER, target_ip=VIP4),
        arp.gratuitous_request(mac=NODE, address=VIP4),
        arp.gratuitous_request(mac=CLIENT, address=VIP4),
        ndp.solicitation(mac=STRANGER, source_ip=CLIENT6, target=VIP6),
        ndp.solicitation(mac=STRANGER, source_ip=ndp.NO_ADDRESS, target=VIP6),
        ndp.unsolicited(mac=NODE, address=VIP6),
        ndp.unsolicited(mac=CLIENT, address=VIP6),
        FOREIGN_NA[:-1] + b"\x00",
        FOREIGN_ARP[:12] + b"\x08\x00" + FOREIGN_ARP[14:],
    ],
    ids=["question", "probe", "own", "friend", "ns", "dad", "own na", "friend na", "bad checksum", "not arp"],
)
def test_questions_probes_ourselves_and_friends_are_not_foreign(frame: bytes) -> None:
    conflict = Conflict(answering(VIP4, VIP6))
    conflict.set_friends([CLIENT])
    assert _hear(conflict, frame) == []
    assert conflict.foreign == 0


def test_what_we_do_not_answer_is_nobodys_conflict() -> None:
    table = answering(VIP4)
    assert _hear(Conflict(table), FOREIGN_ARP, ifindex=ETH1) == []
    table.release(VIP4)
    assert _hear(Conflict(table), FOREIGN_ARP) == []
    assert _hear(Conflict(answering(VIP4, lease_at=5.0)), FOREIGN_ARP, now=5.0) == []


def test_one_report_a_second_for_an_address_and_mac() -> None:
    conflict = Conflict(answering(VIP4))
    said = [now for now in range(0, 3000, 100) if reports(_hear(conflict, FOREIGN_ARP, now / 1000))]
    assert said == [0, 1000, 2000]
    assert conflict.suppressed == 27
    other = arp.gratuitous_request(mac=CLIENT, address=VIP4)
    assert reports(_hear(conflict, other, 2.95))


def test_one_defence_in_ten_seconds_for_an_address_whoever_attacks() -> None:
    conflict = Conflict(answering(VIP4, VIP6))
    attackers = [arp.gratuitous_request(mac=mac, address=VIP4) for mac in (STRANGER, CLIENT)]
    defended = [now for now in range(25) if sends(_hear(conflict, attackers[now % 2], float(now)))]
    assert defended == [0, 10, 20]
    assert sends(_hear(conflict, FOREIGN_NA, 24.0))
    assert conflict.defences == 4


def test_a_flood_of_invented_macs_costs_no_memory() -> None:
    conflict = Conflict(answering(VIP4))
    count = 0
    for n in range(3 * MAX_REMEMBERED):
        mac = b"\x02\x00" + n.to_bytes(4, "big")
        count += len(reports(_hear(conflict, arp.gratuitous_request(mac=mac, address=VIP4), 0.0)))
    assert count == MAX_REMEMBERED
    assert len(conflict._reported) == MAX_REMEMBERED
    # A second later the old ones are forgotten and new ones are heard of again.
    assert reports(_hear(conflict, arp.gratuitous_request(mac=b"\x06" + CLIENT[1:], address=VIP4), 1.5))
    assert len(conflict._reported) == 1


@given(st.binary(max_size=100), st.sampled_from([FOREIGN_ARP[:28], FOREIGN_NA[:60], b""]))
def test_no_bytes_raise(tail: bytes, head: bytes) -> None:
    conflict = Conflict(answering(VIP4, VIP6))
    _hear(conflict, head + tail)
    conflict.handle_timeout(0.0)
    assert conflict.next_timeout() is None
