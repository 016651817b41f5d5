"""A4: heartbeats fail and the LAN works: by a filter, by a wrong key, by another version. Nothing moves."""

from __future__ import annotations

import pytest

from lbctl.protocol.heartbeat.probing import HOLD, LONGEST_HOLD, Moves
from tests.support.lan import PORT, VIA, Lan, vips

KEYS = ((1, b"right"),)


def test_one_of_three_whose_port_is_filtered_takes_nothing_of_the_others() -> None:
    lan = Lan("abc")
    lan.frames = True
    lan.run(0.4)
    addresses = vips(9)
    for name in "abc":
        lan.prepare(name, addresses, plan=True)
    lan.until(lambda: all(len(lan.owners(address)) == 1 for address in addresses), within=1)
    lan.run(0.3)
    held = {node.name: set(node.mine) for node in lan.living()}
    lan.filter("c")
    lan.run(10)
    assert set(lan["c"].mine) == held["c"]
    assert held["a"] <= set(lan["a"].mine)
    assert held["b"] <= set(lan["b"].mine)


def test_with_a_wrong_key_a_node_alone_claims_nothing_and_says_whom_it_cannot_read() -> None:
    lan = Lan("abc", keys=KEYS, start_wait=0.3)
    lan.start("c", keys=((1, b"wrong"),), start_wait=0.3)
    lan.run(0.4)
    addresses = vips(6)
    for name in "abc":
        lan.prepare(name, addresses)
        lan.claim(name, addresses)
    lan.run(1)
    for name in "ab":
        lan.claim(name, addresses)
    lan.claim("c", addresses)
    lan.run(0.5)
    # The majority asks the wire first, the one alone takes nothing at all.
    assert all(len(lan.owners(address)) == 1 for address in addresses)
    assert lan["c"].mine == {}
    assert {r for f in lan["c"].told("refused") for _, r, _ in f["addresses"]} == {"unreadable_member"}
    assert lan["a"].told("probe")
    trouble = lan["c"].told("trouble")[-1]
    assert (trouble["name"], trouble["on"]) == ("unreadable_member", True)
    assert "a, b" in trouble["text"]
    lan.kill("c")
    lan.run(3.1)
    assert lan["a"].told("trouble")[-1] == {"name": "unreadable_member", "text": "", "on": False}


@pytest.mark.parametrize("what", ["version", "cluster"])
def test_another_version_or_cluster_from_a_configured_address_is_unreadable(what: str) -> None:
    lan = Lan("ab", start_wait=0.0)
    lan.kill("b")
    lan.run(0.5)
    packet = bytearray(b"LB\x01\x01" + bytes(60))
    packet[2] = 9 if what == "version" else 1
    lan["a"].machine.received(bytes(packet), VIA, ("10.0.0.2", PORT), lan.now)
    lan.prepare("a", vips(1))
    lan.claim("a", vips(1))
    lan.run(0.5)
    assert lan["a"].mine == {}
    # From an address that nobody is expected at, it is nobody's.
    other = Lan("ab", start_wait=0.0)
    other.kill("b")
    other.run(0.5)
    other["a"].machine.received(bytes(packet), VIA, ("10.0.0.77", PORT), other.now)
    other.prepare("a", vips(1))
    other.claim("a", vips(1))
    other.run(0.5)
    assert set(other["a"].mine) == set(vips(1))


def test_three_contested_moves_in_three_minutes_hold_an_address_longer_each_time() -> None:
    moves = Moves()
    assert [moves.note("v", at) for at in (0.0, 10.0, 20.0)] == [None, None, HOLD]
    assert moves.is_held("v", 79.0)
    assert not moves.is_held("v", 81.0)
    assert [moves.note("v", at) for at in (90.0, 91.0, 92.0)] == [None, None, 2 * HOLD]
    now = 92.0
    for expected in (240.0, 480.0, LONGEST_HOLD, LONGEST_HOLD):
        now += 620.0 if expected == LONGEST_HOLD and moves.pace("v", now) == LONGEST_HOLD else moves.pace("v", now) + 1
        assert [moves.note("v", now + n) for n in range(3)][-1] == expected
        now += 2
    assert [moves.note("w", at) for at in (0.0, 100.0, 200.0, 300.0)] == [None] * 4


def test_what_moved_too_often_is_asked_about_first_and_moved_by_nobody() -> None:
    lan = Lan("abc")
    lan.run(0.4)
    (address,) = vips(1)
    for name in "abc":
        lan.prepare(name, [address])
    lan.claim("a", [address])
    lan.run(0.1)
    ownership = lan["b"].machine.ownership
    for _ in range(3):
        ownership._contested_move(address, lan.now)
    lan["b"].machine.claim([address], "moved", lan.now, over=True)
    lan._pump(lan["b"])
    assert lan["b"].told("refused") == [{"addresses": [[address, "held_down", "a"]]}]
    assert lan["b"].told("held_down") == [{"address": address, "seconds": HOLD}]
    lan.change("c", [], [address])
    lan.kill("a")
    lan.until(lambda: lan.owners(address) == {"b"}, within=0.5)
    assert lan["b"].told("probe")
    lan.run(HOLD + 1)
    assert [fields["on"] for fields in lan["b"].told("trouble")] == [True, False]
