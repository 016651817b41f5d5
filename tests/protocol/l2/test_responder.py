"""Which questions get which answer, and the name of every reason why one gets none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.drop import Drop
from lbctl.protocol.l2.ethernet import BROADCAST
from lbctl.protocol.l2.responder import Responder
from lbctl.protocol.l2.table import Table
from lbctl.protocol.machine import Send
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
    sends,
)

REQUEST = arp.request(mac=CLIENT, sender_ip=CLIENT4, target_ip=VIP4)
SOLICITATION = ndp.solicitation(mac=CLIENT, source_ip=CLIENT6, target=VIP6)


def _ask(table: Table, frame: bytes, ifindex: int = ETH0, now: float = 0.0) -> tuple[list[Send], list[Drop]]:
    responder = Responder(table)
    responder.received(frame, ifindex, now)
    return sends(responder.outputs()), [reason for reason, count in responder.dropped.items() if count]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (REQUEST, arp.reply(mac=NODE, sender_ip=VIP4, target_mac=CLIENT, target_ip=CLIENT4)),
        (
            arp.request(mac=CLIENT, sender_ip=CLIENT4, target_ip=VIP4, to=NODE),
            arp.reply(mac=NODE, sender_ip=VIP4, target_mac=CLIENT, target_ip=CLIENT4),
        ),
        # A probe is answered: that is how the prober learns that the address is taken (RFC 5227 section 2.1.1).
        (
            arp.probe(mac=CLIENT, target_ip=VIP4),
            arp.reply(mac=NODE, sender_ip=VIP4, target_mac=CLIENT, target_ip=bytes(4)),
        ),
        (REQUEST + bytes(18), arp.reply(mac=NODE, sender_ip=VIP4, target_mac=CLIENT, target_ip=CLIENT4)),
        (SOLICITATION, ndp.advertisement(mac=NODE, target=VIP6, to_mac=CLIENT, to_ip=CLIENT6, solicited=True)),
        (
            ndp.solicitation(mac=CLIENT, source_ip=CLIENT6, target=VIP6, to_mac=NODE),
            ndp.advertisement(mac=NODE, target=VIP6, to_mac=CLIENT, to_ip=CLIENT6, solicited=True),
        ),
        # Reachability check of one station, without an option: to the station that asked.
        (
            ndp._frame(NODE, CLIENT, CLIENT6, VIP6, ndp.SOLICITATION, 0, VIP6),
            ndp.advertisement(mac=NODE, target=VIP6, to_mac=CLIENT, to_ip=CLIENT6, solicited=True),
        ),
        (
            ndp.solicitation(mac=CLIENT, source_ip=ndp.NO_ADDRESS, target=VIP6),
            ndp.unsolicited(mac=NODE, address=VIP6),
        ),
    ],
    ids=["arp", "arp unicast", "arp probe", "arp padded", "ns", "ns unicast", "ns without option", "dad"],
)
def test_questions_are_answered(question: bytes, answer: bytes) -> None:
    assert _ask(answering(VIP4, VIP6), question) == ([Send(answer, ETH0)], [])


def _claimed_nowhere() -> Table:
    table = answering(VIP4, VIP6)
    table.release(VIP4)
    table.release(VIP6)
    return table


@pytest.mark.parametrize(
    ("table", "frame", "ifindex", "reason"),
    [
        (answering(VIP4), REQUEST, 9, Drop.UNKNOWN_INTERFACE),
        (answering(VIP4), REQUEST[:12] + b"\x08\x00" + REQUEST[14:], ETH0, Drop.NOT_L2),
        (answering(VIP4), b"", ETH0, Drop.NOT_L2),
        (answering(VIP4), REQUEST[:41], ETH0, Drop.TRUNCATED),
        (answering(VIP4), REQUEST, ETH1, Drop.OTHER_INTERFACE),
        (answering(), REQUEST, ETH0, Drop.UNKNOWN_ADDRESS),
        (_claimed_nowhere(), REQUEST, ETH0, Drop.NOT_OWNER),
        (answering(VIP4, lease_at=0.0), REQUEST, ETH0, Drop.NO_LEASE),
        (answering(VIP4), STRANGER + REQUEST[6:], ETH0, Drop.OTHER_DESTINATION),
        (answering(VIP4), arp.gratuitous_request(mac=CLIENT, address=VIP4), ETH0, Drop.NOT_A_QUESTION),
        (answering(VIP4), arp.gratuitous_reply(mac=CLIENT, address=VIP4), ETH0, Drop.NOT_A_QUESTION),
        (
            answering(CLIENT4),
            arp.reply(mac=CLIENT, sender_ip=VIP4, target_mac=NODE, target_ip=CLIENT4),
            ETH0,
            Drop.NOT_A_QUESTION,
        ),
        (answering(VIP4), arp.request(mac=BROADCAST, sender_ip=CLIENT4, target_ip=VIP4), ETH0, Drop.MALFORMED),
        (answering(VIP6), SOLICITATION, ETH1, Drop.OTHER_INTERFACE),
        (answering(), SOLICITATION, ETH0, Drop.UNKNOWN_ADDRESS),
        (_claimed_nowhere(), SOLICITATION, ETH0, Drop.NOT_OWNER),
        (answering(VIP6, lease_at=0.0), SOLICITATION, ETH0, Drop.NO_LEASE),
        (answering(VIP6), ndp.unsolicited(mac=CLIENT, address=VIP6), ETH0, Drop.NOT_A_QUESTION),
        (
            answering(VIP6),
            ndp.solicitation(mac=CLIENT, source_ip=CLIENT6, target=VIP6, to_mac=STRANGER),
            ETH0,
            Drop.OTHER_DESTINATION,
        ),
        (answering(VIP6), SOLICITATION[:21] + b"\x40" + SOLICITATION[22:], ETH0, Drop.HOP_LIMIT),
        (answering(VIP6), SOLICITATION[:-1] + b"\x00", ETH0, Drop.CHECKSUM),
        (
            answering(VIP6),
            ndp._frame(NODE, BROADCAST, CLIENT6, VIP6, ndp.SOLICITATION, 0, VIP6),
            ETH0,
            Drop.MALFORMED,
        ),
    ],
)
def test_a_refused_question_has_its_reason(table: Table, frame: bytes, ifindex: int, reason: Drop) -> None:
    assert _ask(table, frame, ifindex) == ([], [reason])


def test_every_reason_is_tested_above() -> None:
    cases = test_a_refused_question_has_its_reason.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {case[3] for case in cases} == set(Drop)


def test_the_lease_ends_at_its_moment() -> None:
    table = answering(VIP4, lease_at=10.0)
    assert _ask(table, REQUEST, now=9.999)[0]
    assert _ask(table, REQUEST, now=10.0) == ([], [Drop.NO_LEASE])


def test_the_interface_that_was_asked_answers_with_its_own_mac() -> None:
    table = answering(VIP4, where=frozenset({ETH0, ETH1}))
    table.set_ports({ETH0: NODE, ETH1: STRANGER})
    (sent,), _ = _ask(table, REQUEST, ETH1)
    assert sent == Send(arp.reply(mac=STRANGER, sender_ip=VIP4, target_mac=CLIENT, target_ip=CLIENT4), ETH1)


@given(
    st.binary(max_size=100)
    | st.binary(max_size=80).map(lambda tail: BROADCAST + CLIENT + b"\x08\x06" + tail)
    | st.binary(max_size=100).map(lambda tail: NODE + CLIENT + b"\x86\xdd" + tail)
    | st.builds(
        lambda at, value: SOLICITATION[:at] + bytes([value]) + SOLICITATION[at + 1 :],
        st.integers(0, 85),
        st.integers(0, 255),
    )
    | st.builds(
        lambda at, value: REQUEST[:at] + bytes([value]) + REQUEST[at + 1 :], st.integers(0, 41), st.integers(0, 255)
    )
)
def test_any_bytes_cost_an_answer_or_one_counter(frame: bytes) -> None:
    responder = Responder(answering(VIP4, VIP6))
    responder.received(frame, ETH0, 0.0)
    answers = sends(responder.outputs())
    assert len(answers) + sum(responder.dropped.values()) == 1
    assert responder.arp_answers + responder.ndp_answers == len(answers)
    assert all(answer.via == ETH0 and answer.payload[6:12] == NODE for answer in answers)


def test_it_never_wants_to_be_woken() -> None:
    responder = Responder(answering(VIP4))
    responder.handle_timeout(1.0)
    assert responder.next_timeout() is None
    assert responder.outputs() == []


def test_ten_thousand_addresses_are_one_lookup_each() -> None:
    addresses = [ip(f"10.{n >> 8}.{n & 255}.1") for n in range(10_000)]
    responder = Responder(answering(*addresses))
    for address in addresses:
        responder.received(arp.request(mac=CLIENT, sender_ip=CLIENT4, target_ip=address), ETH0, 0.0)
    answers = sends(responder.outputs())
    assert [answer.payload[arp.SENDER_IP] for answer in answers] == addresses
