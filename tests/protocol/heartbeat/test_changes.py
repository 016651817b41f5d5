"""Claims on the way: entries, spans, requests."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.plan.reason import Cause
from lbctl.protocol.heartbeat.changes import (
    CAUSES,
    Changes,
    Claim,
    Request,
    decode_claim,
    encode_claim,
    pack_changes,
    pack_request,
    parse_changes,
    parse_request,
)
from lbctl.protocol.heartbeat.packet import AUTH_SIZE, HEADER_SIZE, MAX_PACKET, Refused

u64 = st.integers(0, 2**64 - 1)
claims = st.builds(
    Claim,
    address=st.ip_addresses().map(str),
    epoch=u64,
    quorate=st.booleans(),
    since_ms=u64,
    cause=st.sampled_from(CAUSES),
    allocation=u64,
    generation=u64,
    heirs=st.lists(st.integers(1, 2**64 - 1), max_size=2).map(tuple),
)


def parse(body: bytes) -> Changes:
    payload = bytes(HEADER_SIZE) + body
    assert len(payload) + AUTH_SIZE <= MAX_PACKET
    changes = parse_changes(payload, len(payload))
    assert not isinstance(changes, Refused)
    return changes


def test_every_cause_of_the_plan_has_a_code() -> None:
    assert {cause.value for cause in Cause} <= set(CAUSES)
    assert len(set(CAUSES)) == len(CAUSES) <= 256


def test_codes_of_causes_keep_their_meaning() -> None:
    assert CAUSES[:5] == ("other", "started", "first_announced", "owner_gone", "owner_left")


@settings(deadline=None)
@given(claims)
def test_a_claim_arrives_as_it_was_sent(claim: Claim) -> None:
    assert decode_claim(encode_claim(claim)) == claim


@settings(deadline=None)
@given(claims, st.binary(max_size=40))
def test_fields_of_a_later_version_are_not_understood_and_do_no_harm(claim: Claim, more: bytes) -> None:
    assert decode_claim(encode_claim(claim) + more) == claim


@settings(deadline=None)
@given(st.binary(max_size=120))
def test_any_bytes_are_a_claim_or_none(content: bytes) -> None:
    decode_claim(content)


@settings(deadline=None)
@given(st.lists(claims | st.ip_addresses().map(str), max_size=120), st.integers(0, 1000), st.integers(1, 50))
def test_spans_cover_everything_in_packets_that_fit(entries: list[Claim | str], after: int, gap: int) -> None:
    numbered = [(after + gap * (n + 1), entry) for n, entry in enumerate(entries)]
    upto = after + gap * (len(entries) + 1)
    packed = [(number, e if isinstance(e, str) else encode_claim(e)) for number, e in numbered]
    found = [parse(b) for b in pack_changes((after, upto), packed, floor=3, version=upto + 1, final=True)]
    assert found[0].after == after
    assert found[-1].upto == upto
    assert [part.upto for part in found[:-1]] == [part.after for part in found[1:]]
    assert [part.final for part in found] == [False] * (len(found) - 1) + [True]
    assert {(part.floor, part.version) for part in found} == {(3, upto + 1)}
    put = [(number, decode_claim(content)) for part in found for number, content in part.claims]
    assert put == [entry for entry in numbered if not isinstance(entry[1], str)]
    dropped = [entry for part in found for entry in part.drops]
    assert dropped == [entry for entry in numbered if isinstance(entry[1], str)]


@settings(deadline=None)
@given(st.binary(max_size=1200))
def test_any_bytes_are_changes_or_refused(body: bytes) -> None:
    payload = bytes(HEADER_SIZE) + body
    parse_changes(payload, len(payload))
    parse_request(payload, len(payload))


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from([17, 18]))
def test_any_entries_are_changes_or_refused(value: bytes, kind: int) -> None:
    (good,) = pack_changes((0, 9), [], floor=0, version=9)
    payload = bytes(HEADER_SIZE) + good + kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
    parse_changes(payload, len(payload))


@settings(deadline=None)
@given(u64, st.lists(st.tuples(u64, u64), max_size=100))
def test_a_request_arrives_as_it_was_sent(incarnation: int, spans: list[tuple[int, int]]) -> None:
    payload = bytes(HEADER_SIZE) + pack_request(Request(incarnation=incarnation, spans=tuple(spans)))
    assert len(payload) + AUTH_SIZE <= MAX_PACKET
    request = parse_request(payload, len(payload))
    assert not isinstance(request, Refused)
    assert request.spans == tuple(span for span in spans[:64] if span[0] < span[1])
