"""The datagram: what is said arrives as it was said, and no bytes whatever do harm."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.protocol.heartbeat.identity import cluster_hash, node_hash, segment_tag
from lbctl.protocol.heartbeat.packet import (
    AUTH_SIZE,
    HEADER_SIZE,
    MAX_PACKET,
    STEADY_AT,
    Digest,
    Header,
    Heard,
    Kind,
    Link,
    Refused,
    Tlv,
    beat_bodies,
    body_end,
    encode_header,
    parse_beat,
    parse_header,
    tlv,
)
from lbctl.protocol.heartbeat.stations import Sighting, Station

CLUSTER = cluster_hash("test")
u64 = st.integers(0, 2**64 - 1)
u32 = st.integers(0, 2**32 - 1)

headers = st.builds(
    Header,
    kind=st.sampled_from([int(kind) for kind in Kind]),
    node=u64,
    incarnation=u64,
    sequence=u64,
    sent_us=u64,
    segment=u32,
    interval_ms=st.integers(5, 10_000),
    multiplier=st.integers(1, 50),
    saying=st.integers(1, 3),
    role=st.integers(1, 2),
    flags=st.just(0),
    part=st.integers(0, 255),
)
heards = st.builds(Heard, u64, u64, st.integers(0, 255))
digests = st.builds(Digest, u64, u64, u64, u32, u64)
names = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=60)
links = st.builds(
    Link,
    st.binary(min_size=6, max_size=6),
    st.from_regex(r"[a-z0-9]{1,15}", fullmatch=True),
    st.ip_addresses().map(str),
)

stations = st.builds(Station, st.binary(min_size=6, max_size=6), st.from_regex(r"[a-z0-9]{1,15}", fullmatch=True))
sightings = st.builds(
    Sighting,
    st.ip_addresses().map(str),
    st.binary(min_size=6, max_size=6),
    st.from_regex(r"[a-z0-9]{1,15}", fullmatch=True),
)


def header(**changed: int) -> Header:
    known = Header(Kind.BEAT, 1, 2, 3, 4, 0, 50, 3, 1, 1, 0, 0)
    return known._replace(**changed)


@settings(deadline=None)
@given(headers)
def test_a_header_arrives_as_it_was_sent(sent: Header) -> None:
    assert parse_header(encode_header(sent, CLUSTER), CLUSTER) == sent


@settings(deadline=None)
@given(names, st.lists(heards, max_size=8), st.lists(digests, max_size=3), st.lists(links, max_size=4))
def test_a_beat_arrives_as_it_was_sent(name: str, hears: list[Heard], digest: list[Digest], link: list[Link]) -> None:
    (body,) = beat_bodies(name=name, hears=hears, digests=digest, links=link)
    payload = encode_header(header(node=node_hash(name)), CLUSTER) + body
    beat = parse_beat(payload, len(payload), node_hash(name))
    assert not isinstance(beat, Refused)
    assert beat.hears is not None
    assert (beat.name, beat.digests, beat.links) == (name, tuple(digest), tuple(link))
    assert sorted(beat.hears.entries) == sorted(hears)
    assert (beat.hears.low, beat.hears.high) == (0, 2**64 - 1)


@settings(deadline=None)
@given(st.lists(stations, max_size=6), st.lists(sightings, max_size=5))
def test_what_a_beat_says_of_macs_arrives(said: list[Station], found: list[Sighting]) -> None:
    (body,) = beat_bodies(name="a", hears=[], digests=[], links=[], stations=said, sightings=found)
    payload = encode_header(header(node=node_hash("a")), CLUSTER) + body
    beat = parse_beat(payload, len(payload), node_hash("a"))
    assert not isinstance(beat, Refused)
    assert (beat.stations, beat.sightings) == (tuple(said), tuple(found))


def test_a_beat_is_one_packet_however_much_a_node_has_and_finds() -> None:
    """Or as many as those heard need: of the rest the first ones are said, in each."""
    longest = "2001:db8:1:2:3:4:5:6"
    bodies = beat_bodies(
        name="n" * 253,
        hears=[Heard(n, 2, 3) for n in range(20)],
        digests=[Digest(1, 2, 3, 4, 5)],
        links=[Link(bytes(6), "interface-name-", longest)] * 40,
        stations=[Station(bytes(6), "interface-name-")] * 40,
        sightings=[Sighting(longest, bytes((0, 0, 0, 0, 0, n)), "interface-name-") for n in range(40)],
    )
    heard = 0
    for body in bodies:
        payload = encode_header(header(node=node_hash("n" * 253)), CLUSTER) + body
        assert len(payload) + AUTH_SIZE <= MAX_PACKET
        beat = parse_beat(payload, len(payload), node_hash("n" * 253))
        assert not isinstance(beat, Refused)
        assert [sighting.mac[5] for sighting in beat.sightings] == list(range(len(beat.sightings)))
        assert len(beat.sightings) >= 4
        assert len(beat.stations) >= 5
        assert beat.hears is not None
        assert beat.hears.entries
        heard += len(beat.hears.entries)
    assert heard == 20


@settings(max_examples=30, deadline=None)
@given(st.lists(heards, min_size=60, max_size=300, unique_by=lambda entry: entry[:2]), names)
def test_a_beat_that_hears_many_is_split_into_ranges_without_gap(hears: list[Heard], name: str) -> None:
    bodies = beat_bodies(name=name, hears=hears, digests=[Digest(1, 2, 3, 4, 5)], links=[])
    found: list[Heard] = []
    expected_low = 0
    for body in bodies:
        payload = encode_header(header(node=node_hash(name)), CLUSTER) + body
        assert len(payload) + AUTH_SIZE <= MAX_PACKET
        beat = parse_beat(payload, len(payload), node_hash(name))
        assert not isinstance(beat, Refused)
        assert beat.hears is not None
        assert beat.hears.low == expected_low
        assert all(beat.hears.low <= entry.node <= beat.hears.high for entry in beat.hears.entries)
        expected_low = beat.hears.high + 1
        found += beat.hears.entries
    assert expected_low == 2**64
    assert sorted(found) == sorted(hears)


def test_ten_nodes_fit_one_packet() -> None:
    hears = [Heard(node_hash(f"node-{n}"), n, 3) for n in range(10)]
    digest = [Digest(1, 2, 3, 4, 5)]
    assert len(beat_bodies(name="a" * 63, hears=hears, digests=digest, links=[Link(bytes(6), "eth0", "fe80::1")])) == 1


@settings(deadline=None)
@given(st.binary(max_size=1600))
def test_any_bytes_are_refused_or_read_and_never_raise(payload: bytes) -> None:
    parsed = parse_header(payload, CLUSTER)
    if not isinstance(parsed, Refused):
        parse_beat(payload, body_end(payload, parsed), parsed.node)


@settings(deadline=None)
@given(st.binary(max_size=1300), names)
def test_any_bytes_after_a_good_header_are_refused_or_read(body: bytes, name: str) -> None:
    payload = encode_header(header(node=node_hash(name)), CLUSTER) + tlv(Tlv.NAME, name.encode()) + body
    parse_beat(payload, len(payload), node_hash(name))


@settings(deadline=None)
@given(st.sampled_from(sorted(set(Tlv) - {Tlv.AUTH})), st.binary(max_size=200))
def test_any_bytes_in_a_tlv_are_refused_or_read(kind: Tlv, value: bytes) -> None:
    payload = encode_header(header(node=node_hash("a")), CLUSTER) + tlv(Tlv.NAME, b"a") + tlv(kind, value)
    beat = parse_beat(payload, len(payload), node_hash("a"))
    assert beat is Refused.MALFORMED or not isinstance(beat, Refused)


def test_unknown_tlvs_are_skipped() -> None:
    (body,) = beat_bodies(name="a", hears=[Heard(7, 8, 1)], digests=[], links=[])
    payload = encode_header(header(), CLUSTER) + tlv(999, b"from the future") + body + tlv(1000, b"")
    beat = parse_beat(payload, len(payload), node_hash("a"))
    assert not isinstance(beat, Refused)
    assert beat.hears is not None
    assert beat.hears.entries == (Heard(7, 8, 1),)


@pytest.mark.parametrize(
    ("payload", "refused"),
    [
        (b"", Refused.TOO_SHORT),
        (b"x" * (HEADER_SIZE - 1), Refused.TOO_SHORT),
        (b"x" * HEADER_SIZE, Refused.NOT_OURS),
        (b"LB\x02" + bytes(60), Refused.VERSION),
        (encode_header(header(), CLUSTER + 1), Refused.CLUSTER),
        (encode_header(header(), CLUSTER) + bytes(MAX_PACKET), Refused.TOO_LONG),
        (encode_header(header(interval_ms=0), CLUSTER), Refused.VALUES),
        (encode_header(header(interval_ms=60_000), CLUSTER), Refused.VALUES),
        (encode_header(header(multiplier=0), CLUSTER), Refused.VALUES),
        (encode_header(header(multiplier=51), CLUSTER), Refused.VALUES),
        (encode_header(header(saying=0), CLUSTER), Refused.VALUES),
        (encode_header(header(saying=4), CLUSTER), Refused.VALUES),
        (encode_header(header(role=3), CLUSTER), Refused.VALUES),
        (encode_header(header(flags=1), CLUSTER), Refused.TOO_SHORT),
    ],
)
def test_what_cannot_be_is_refused_by_name(payload: bytes, refused: Refused) -> None:
    assert parse_header(payload, CLUSTER) is refused


def test_a_name_must_be_the_senders() -> None:
    (body,) = beat_bodies(name="mallory", hears=[], digests=[], links=[])
    payload = encode_header(header(node=node_hash("alice")), CLUSTER) + body
    assert parse_beat(payload, len(payload), node_hash("alice")) is Refused.MALFORMED


def test_the_steady_part_begins_behind_what_changes_from_beat_to_beat() -> None:
    one = encode_header(header(sequence=1, sent_us=1, incarnation=1), CLUSTER)
    two = encode_header(header(sequence=2, sent_us=2, incarnation=1), CLUSTER)
    assert one != two
    assert one[STEADY_AT:] == two[STEADY_AT:]
    assert encode_header(header(saying=3), CLUSTER)[STEADY_AT:] != one[STEADY_AT:]


def test_a_segment_without_a_name_has_no_tag() -> None:
    assert segment_tag("") == 0
    assert segment_tag("vlan 10") != segment_tag("vlan 20") != 0
