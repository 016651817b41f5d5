"""Who is foreign, how often that is said, and how often an address is defended."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.conflict import (
    DEFEND_INTERVAL,
    DEFENDED,
    FOREIGN,
    MACS_REPORTED,
    MAX_REMEMBERED,
    YIELD_TIME,
    YIELDED,
    Conflict,
)
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
    ip,
    reports,
)

FOREIGN_ARP = arp.gratuitous_request(mac=STRANGER, address=VIP4)
FOREIGN_NA = ndp.unsolicited(mac=STRANGER, address=VIP6)


def named(name: str, outputs: list[Send | Report]) -> list[Report]:
    return [report for report in reports(outputs) if report.name == name]


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
    fields = {"address": address, "mac": STRANGER, "ifindex": ETH0}
    assert _hear(Conflict(answering(VIP4, VIP6)), frame) == [Report(FOREIGN, fields), Report(DEFENDED, fields)]


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
    said = [now for now in range(0, 3000, 100) if named(FOREIGN, _hear(conflict, FOREIGN_ARP, now / 1000))]
    assert said == [0, 1000, 2000]
    assert conflict.suppressed == 27
    other = arp.gratuitous_request(mac=CLIENT, address=VIP4)
    assert named(FOREIGN, _hear(conflict, other, 2.95))


def test_one_defence_in_ten_seconds_for_an_address_whoever_attacks() -> None:
    conflict = Conflict(answering(VIP4, VIP6))
    attackers = [arp.gratuitous_request(mac=mac, address=VIP4) for mac in (STRANGER, CLIENT)]
    defended = [now for now in range(25) if named(DEFENDED, _hear(conflict, attackers[now % 2], float(now)))]
    assert defended == [0, 10, 20]
    assert named(DEFENDED, _hear(conflict, FOREIGN_NA, 24.0))
    assert conflict.defences == 4


def test_a_second_claim_within_ten_seconds_is_defended_when_they_are_over() -> None:
    """RFC 5227 section 2.4 (c) forbids more before; but until then the stranger's word would be the last one."""
    conflict = Conflict(answering(VIP4))
    assert named(DEFENDED, _hear(conflict, FOREIGN_ARP, 0.0))
    assert conflict.next_timeout() is None, "defended, and nothing said since"
    for now in (0.01, 3.0, 9.9):
        assert not named(DEFENDED, _hear(conflict, FOREIGN_ARP, now))
    assert conflict.next_timeout() == 10.0
    conflict.handle_timeout(9.99)
    assert conflict.outputs() == []
    conflict.handle_timeout(10.0)
    assert named(DEFENDED, conflict.outputs())
    assert conflict.next_timeout() is None
    # The next ten seconds count from there.
    assert not named(DEFENDED, _hear(conflict, FOREIGN_ARP, 19.9))
    assert conflict.next_timeout() == 20.0


@pytest.mark.parametrize("end", ["released", "no lease", "defended meanwhile"])
def test_a_defence_that_is_owed_is_forgotten_when_it_is_no_longer_true(end: str) -> None:
    table = answering(VIP4)
    conflict = Conflict(table)
    for now in (0.0, 1.0):
        _hear(conflict, FOREIGN_ARP, now)
    match end:
        case "released":
            conflict.stop(table.release(VIP4).stopped, 2.0)
        case "no lease":
            table.lease_at = 5.0
        case "defended meanwhile":
            assert named(DEFENDED, _hear(conflict, FOREIGN_ARP, 10.0))
    conflict.handle_timeout(10.0)
    assert conflict.outputs() == []
    assert conflict.next_timeout() is None


FRIEND_ARP = arp.gratuitous_request(mac=CLIENT, address=VIP4)
FRIEND_NA = ndp.unsolicited(mac=CLIENT, address=VIP6)
BOTH = pytest.mark.parametrize(("frame", "address"), [(FRIEND_ARP, VIP4), (FRIEND_NA, VIP6)], ids=["arp", "ndp"])


@BOTH
@pytest.mark.parametrize("heard", ["before", "after"])
def test_what_is_given_up_to_another_speaker_is_yielded(frame: bytes, address: bytes, heard: str) -> None:
    """Its claim may come by heartbeat before its announcement or after it."""
    table = answering(VIP4, VIP6)
    conflict = Conflict(table)
    conflict.set_friends([CLIENT])
    if heard == "before":
        assert _hear(conflict, frame, 1.0) == []
        conflict.stop(table.release(address).stopped, 1.1)
    else:
        conflict.stop(table.release(address).stopped, 1.0)
        assert conflict.outputs() == []
        conflict.received(frame, ETH0, 1.1)
    assert conflict.outputs() == [Report(YIELDED, {"address": address, "mac": CLIENT, "ifindex": ETH0})]
    assert _hear(conflict, frame, 1.2) == [], "once"
    assert (conflict.foreign, conflict.defences) == (0, 0)


def test_a_release_that_no_speaker_asked_for_is_not_yielded() -> None:
    table = answering(VIP4)
    conflict = Conflict(table)
    conflict.set_friends([CLIENT])
    _hear(conflict, FRIEND_ARP, 0.0)
    conflict.stop(table.release(VIP4).stopped, YIELD_TIME + 0.1)
    assert conflict.outputs() == []
    assert _hear(conflict, FOREIGN_ARP, YIELD_TIME + 0.2) == [], "nobody's conflict any more"
    assert _hear(conflict, FRIEND_ARP, 2 * YIELD_TIME + 0.2) == [], "somebody's next move"
    conflict.stop([], 100.0)
    assert not conflict._given_up


def test_a_flood_of_invented_macs_costs_no_memory() -> None:
    conflict = Conflict(answering(VIP4))
    count = 0
    for n in range(100_000):
        mac = b"\x06\x00" + n.to_bytes(4, "big")
        count += len(named(FOREIGN, _hear(conflict, arp.gratuitous_request(mac=mac, address=VIP4), n / 100_000)))
    assert count == MACS_REPORTED
    assert conflict.foreign == 100_000
    assert conflict.suppressed == 100_000 - count
    assert conflict.defences == 1
    assert len(conflict._notes[VIP4, ETH0].reported) == MACS_REPORTED
    # A second later the old ones are forgotten and new ones are heard of again.
    assert named(FOREIGN, _hear(conflict, arp.gratuitous_request(mac=CLIENT, address=VIP4), 1.5))
    assert len(conflict._notes[VIP4, ETH0].reported) == MACS_REPORTED


def test_notes_of_addresses_that_nobody_forges_any_more_are_forgotten() -> None:
    addresses = [ip(f"10.0.{n >> 8}.{n & 255}") for n in range(MAX_REMEMBERED + 10)]
    conflict = Conflict(answering(*addresses))
    for address in addresses:
        _hear(conflict, arp.gratuitous_request(mac=STRANGER, address=address), 0.0)
    assert len(conflict._notes) == len(addresses), "each is answered: what they cost is bounded by what we serve"
    conflict.stop([(addresses[0], ETH0)], 19.0)
    _hear(conflict, arp.gratuitous_request(mac=STRANGER, address=addresses[0]), 20.0)
    assert len(conflict._notes) == 1
    for n in range(3 * MAX_REMEMBERED):
        conflict.stop([(n.to_bytes(4, "big"), ETH0)], 30.0)
    assert len(conflict._given_up) == MAX_REMEMBERED


@given(
    st.lists(
        st.tuples(st.floats(0, 6), st.sampled_from([FOREIGN_ARP, FRIEND_ARP, FOREIGN_NA, None]), st.booleans()),
        max_size=40,
    )
)
def test_whatever_is_heard_two_defences_of_an_address_are_ten_seconds_apart(
    steps: list[tuple[float, bytes | None, bool]],
) -> None:
    conflict = Conflict(answering(VIP4, VIP6))
    conflict.set_friends([CLIENT])
    defended: dict[bytes, list[float]] = {VIP4: [], VIP6: []}
    heard: dict[bytes, float] = {}
    now = 0.0

    def collect() -> None:
        for report in named(DEFENDED, conflict.outputs()):
            defended[report.fields["address"]].append(now)

    for gap, frame, wake in steps:
        until = now + gap
        while wake and (at := conflict.next_timeout()) is not None and at <= until:
            now = max(now, at)
            conflict.handle_timeout(now)
            collect()
        now = until
        if frame is not None:
            conflict.received(frame, ETH0, now)
            if frame is not FRIEND_ARP:
                heard[VIP4 if frame is FOREIGN_ARP else VIP6] = now
            collect()
    while (at := conflict.next_timeout()) is not None:
        now = max(now, at)
        conflict.handle_timeout(now)
        collect()
    for address, times in defended.items():
        assert all(b >= a + DEFEND_INTERVAL for a, b in itertools.pairwise(times))
        if address in heard:
            assert times[-1] >= heard[address], "ours is the last word"


@given(st.binary(max_size=100), st.sampled_from([FOREIGN_ARP[:28], FOREIGN_NA[:60], b""]))
def test_no_bytes_raise(tail: bytes, head: bytes) -> None:
    conflict = Conflict(answering(VIP4, VIP6))
    _hear(conflict, head + tail)
    conflict.handle_timeout(0.0)
    assert conflict.next_timeout() is None
