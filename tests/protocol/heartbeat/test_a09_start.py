"""A9: a start waits for all, and a port that has just come up takes nothing of what others had."""

from __future__ import annotations

from lbctl.protocol.heartbeat.segments import LOOPBACK, Segment
from lbctl.protocol.heartbeat.start import FIRST_CONTACT
from tests.support.lan import VIA, Lan, vips


def refusals(lan: Lan, name: str) -> set[str]:
    return {reason for fields in lan[name].told("refused") for _, reason, _ in fields["addresses"]}


def ask(lan: Lan, name: str, addresses: list[str], seconds: float) -> None:
    """As work does: once a second, as long as it is wanted."""
    for _ in range(round(seconds)):
        lan.claim(name, addresses)
        lan.run(1)


def test_all_started_together_wait_for_nothing() -> None:
    lan = Lan("abc")
    lan.run(0.4)
    lan.prepare("a", vips(3))
    lan.claim("a", vips(3))
    assert set(lan["a"].mine) == set(vips(3))


def test_who_comes_first_waits_for_the_others_or_ten_seconds() -> None:
    lan = Lan("ab")
    lan.kill("b")
    lan.run(0.4)
    lan.prepare("a", vips(3))
    ask(lan, "a", vips(3), 9)
    assert lan["a"].mine == {}
    assert refusals(lan, "a") == {"waiting_for_start"}
    ask(lan, "a", vips(3), 2)
    assert set(lan["a"].mine) == set(vips(3))
    assert {row[2] for row in lan["a"].mine.values()} == {False}


def test_the_wait_ends_when_the_last_one_is_heard() -> None:
    lan = Lan("abc")
    lan.kill("c")
    lan.run(0.4)
    lan.prepare("a", vips(3))
    ask(lan, "a", vips(3), 3)
    assert lan["a"].mine == {}
    lan.claim("a", vips(3))
    lan.start("c")
    lan.run(0.2)
    # What was wanted when c was not heard is not what is wanted now: it has to be asked for anew.
    assert lan["a"].mine == {}
    lan.claim("a", vips(2))
    assert set(lan["a"].mine) == set(vips(2))
    # It is over for good: a new address does not wait for the dead.
    lan.kill("c")
    lan.run(1)
    lan.prepare("a", vips(4))
    lan.claim("a", vips(4))
    assert set(lan["a"].mine) == set(vips(4))


def test_one_known_by_its_address_only_is_met_by_its_address() -> None:
    lan = Lan("ab")
    lan["a"].machine.set_peers([("10.0.0.2", ["10.0.0.2"])], lan.now)
    lan.run(0.4)
    lan["a"].machine.set_peers([("10.0.0.2", ["10.0.0.2"])], lan.now)
    lan.prepare("a", vips(1))
    lan.claim("a", vips(1))
    lan.run(0.1)
    assert set(lan["a"].mine) == set(vips(1))


def test_after_carrier_up_what_another_had_is_not_taken_before_somebody_is_heard() -> None:
    """STP: the port is up and passes nothing for 30 s."""
    lan = Lan("abc")
    lan.run(0.4)
    addresses = vips(9)
    for name in "abc":
        lan.prepare(name, addresses)
    for n, name in enumerate("abc"):
        lan.claim(name, addresses[n::3])
    lan.run(0.2)
    held = set(lan["a"].mine)
    lan.cut("a")
    node = lan["a"]
    node.machine.set_segments([LOOPBACK], lan.now)
    lan._pump(node)
    lan.run(1)
    node.machine.set_segments([Segment(ifindex=VIA, name="eth0", address=node.address)], lan.now)
    lan._pump(node)
    lan.run(1)
    ask(lan, "a", addresses, FIRST_CONTACT - 3)
    assert set(node.mine) == held
    ask(lan, "a", addresses, 4)
    assert set(node.mine) == set(addresses)


def test_after_carrier_up_with_contact_nothing_waits() -> None:
    lan = Lan("abc")
    lan.run(0.4)
    for name in "abc":
        lan.prepare(name, vips(3))
    node = lan["a"]
    node.machine.set_segments([LOOPBACK], lan.now)
    lan._pump(node)
    lan.run(1)
    node.machine.set_segments([Segment(ifindex=VIA, name="eth0", address=node.address)], lan.now)
    lan._pump(node)
    lan.run(0.4)
    lan.claim("a", vips(3))
    lan.run(0.01)
    assert set(node.mine) == set(vips(3))
