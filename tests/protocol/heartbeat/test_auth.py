"""Signed packets: from a member, for this cluster, from this address, unchanged."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.protocol.heartbeat.auth import Keyring, Unverified
from lbctl.protocol.heartbeat.identity import packed_address
from tests.support.lan import PORT, VIA, Lan, vips

OLD, NEW = (1, b"the old secret, long enough"), (2, b"the new secret, long enough")
SOURCE = packed_address("192.0.2.1")


def check(ring: Keyring, packet: bytes, source: str = "192.0.2.1") -> Unverified | None:
    return ring.verify(packet, True, source)


def test_a_signed_packet_is_believed_by_who_has_the_key() -> None:
    packet = Keyring("test", (OLD,)).sign(b"content" * 20, SOURCE)
    assert check(Keyring("test", (OLD,)), packet) is None


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_anywhere_is_noticed(where: int, change: int) -> None:
    packet = bytearray(Keyring("test", (OLD,)).sign(b"content" * 20, SOURCE))
    packet[where % len(packet)] ^= change
    assert check(Keyring("test", (OLD,)), bytes(packet)) in (Unverified.FORGED, Unverified.UNKNOWN_KEY)


@pytest.mark.parametrize("length", [16, 64, 65, 200])
def test_what_is_signed_is_hmac_sha256_over_cluster_source_and_content(length: int) -> None:
    key, content = bytes(range(7, 7 + 16)) * 20, b"content" * 30
    ring = Keyring("test", ((5, key[:length]),))
    cluster = hashlib.sha256(b"lbctl heartbeat 1\0test").digest()
    for _ in range(2):
        packet = ring.sign(content, SOURCE)
        assert packet[-32:] == hmac.digest(key[:length], cluster + b"\x04" + SOURCE + packet[:-32], "sha256")
        assert check(ring, packet) is None


def test_it_counts_for_one_cluster_and_one_source() -> None:
    packet = Keyring("test", (OLD,)).sign(b"content" * 20, SOURCE)
    assert check(Keyring("other", (OLD,)), packet) is Unverified.FORGED
    assert check(Keyring("test", (OLD,)), packet, "192.0.2.2") is Unverified.FORGED


def test_an_unsigned_packet_does_not_count_where_there_is_a_key() -> None:
    assert Keyring("test", (OLD,)).verify(b"content" * 20, False, "192.0.2.1") is Unverified.UNSIGNED
    assert Keyring("test").verify(b"content" * 20, False, "192.0.2.1") is None


def test_every_key_of_the_ring_is_accepted_and_the_first_one_signs() -> None:
    both = Keyring("test", (NEW, OLD))
    assert check(both, Keyring("test", (OLD,)).sign(b"x" * 60, SOURCE)) is None
    assert check(Keyring("test", (NEW,)), both.sign(b"x" * 60, SOURCE)) is None
    assert check(Keyring("test", (OLD,)), both.sign(b"x" * 60, SOURCE)) is Unverified.UNKNOWN_KEY


STEPS = [
    ((OLD,), (OLD,), (OLD,)),
    ((OLD, NEW), (OLD,), (OLD,)),
    ((OLD, NEW), (OLD, NEW), (OLD, NEW)),
    ((NEW, OLD), (OLD, NEW), (OLD, NEW)),
    ((NEW, OLD), (NEW, OLD), (NEW, OLD)),
    ((NEW,), (NEW, OLD), (NEW, OLD)),
    ((NEW,), (NEW,), (NEW,)),
]


@pytest.mark.parametrize("rings", STEPS)
def test_a_key_is_replaced_without_a_gap(rings: tuple[tuple[tuple[int, bytes], ...], ...]) -> None:
    """At each step of the rotation, node by node, everybody hears everybody."""
    lan = Lan([])
    lan.names = ["a", "b", "c"]
    for name, keys in zip(lan.names, rings, strict=True):
        lan.start(name, keys=keys)
    lan.run(0.5)
    assert all(lan[name].states == dict.fromkeys(set("abc") - {name}, "alive") for name in "abc")


def test_a_node_without_the_key_is_no_member() -> None:
    lan = Lan(["a", "b"], keys=(OLD,))
    lan.names.append("c")
    lan.start("c", keys=(NEW,))
    lan.run(0.5)
    assert lan["a"].states == {"b": "alive"}
    assert lan["c"].states == {}
    assert lan["a"].machine.counters["rx_unknown_key"] > 5


def test_a_signed_packet_cannot_be_replayed_from_another_address_or_at_another_segment() -> None:
    lan = Lan(["a", "b"], keys=(OLD,))
    beats: list[bytes] = []
    lan.tap = lambda node, send: beats.append(send.payload) if node.name == "b" else None
    lan.run(0.5)
    lan.kill("b")
    lan.run(0.5)
    forged = lan["a"].machine.counters["rx_forged"]
    lan["a"].machine.received(beats[-1], VIA, ("10.0.0.77", PORT), lan.now)
    assert lan["a"].machine.counters["rx_replayed"] >= 1
    lan.start("a", keys=(OLD,))
    lan.run(0.3)
    lan["a"].machine.received(beats[-1], VIA, ("10.0.0.77", PORT), lan.now)
    assert lan["a"].machine.counters["rx_forged"] == 1
    assert forged == 0
    assert vips(1) == ["192.0.2.1"]
