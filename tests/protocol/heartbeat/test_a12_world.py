"""A12: a newer grant beats an older one, and who decides by an old World takes nothing new."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lbctl.protocol.heartbeat.changes import Claim
from lbctl.protocol.heartbeat.claims import better
from tests.support.lan import Lan, vips

VIP = "192.0.2.1"


def claim(epoch: int, allocation: int, quorate: bool = True) -> Claim:
    return Claim(address=VIP, epoch=epoch, quorate=quorate, since_ms=0, cause="started", allocation=allocation)


def test_a_newer_grant_beats_an_older_one_whatever_the_epochs_but_not_a_majority() -> None:
    assert better(claim(1, 8), 1, claim(40, 7), 2)
    assert not better(claim(1, 8, quorate=False), 1, claim(40, 7), 2)
    assert better(claim(2, 7), 1, claim(1, 7), 2)


claims = st.builds(claim, st.integers(1, 4), st.integers(0, 3), st.booleans())


@given(claims, claims, claims)
def test_of_any_three_claims_one_beats_both_others(a: Claim, b: Claim, c: Claim) -> None:
    """Were it not so, three owners could each yield to another."""
    named = list(enumerate((a, b, c), 1))
    wins = [all(better(x, n, y, m) for m, y in named if m != n) for n, x in named]
    assert sum(wins) == 1


def test_a_reused_address_stays_with_who_has_the_newer_grant() -> None:
    """B still announces it for a service that lost it; A for the one that has it now."""
    lan = Lan("ab")
    lan.run(0.4)
    lan.cut("a")
    lan.run(1)
    lan["b"].machine.restore([(VIP, 30)])
    lan.change("a", [(VIP, 9, ["b"])])
    lan.change("b", [(VIP, 4, ["a"])])
    lan.claim("a", [VIP])
    lan.claim("b", [VIP])
    lan.run(0.5)
    assert lan.owners(VIP) == {"a", "b"}
    lan.heal()
    lan.until(lambda: lan.owners(VIP) == {"a"}, within=1.2)


def test_five_seconds_behind_the_newest_world_nothing_new_is_taken() -> None:
    lan = Lan("abc")
    lan.run(0.4)
    for name in "abc":
        lan.prepare(name, vips(3))
        lan[name].machine.set_world(7, lan.now)
        lan._pump(lan[name])
    lan.claim("a", vips(1))
    lan["b"].machine.set_world(8, lan.now)
    lan._pump(lan["b"])
    lan.run(4.9)
    lan.claim("a", vips(2))
    assert set(lan["a"].mine) == set(vips(2))
    lan.run(0.2)
    lan.claim("a", vips(3))
    assert lan["a"].told("refused") == [{"addresses": [[vips(3)[2], "stale_world", None]]}]
    assert set(lan["a"].mine) == set(vips(2))
    # What it wanted is taken as soon as it has caught up.
    lan["a"].machine.set_world(8, lan.now)
    lan._pump(lan["a"])
    lan.run(0.01)
    assert set(lan["a"].mine) == set(vips(3))


def test_a_newer_world_that_died_with_its_node_binds_nobody() -> None:
    lan = Lan("abc")
    lan.run(0.4)
    for name, generation in (("a", 7), ("b", 7), ("c", 9)):
        lan[name].machine.set_world(generation, lan.now)
        lan._pump(lan[name])
        lan.prepare(name, vips(2))
    lan.claim("c", vips(2))
    lan.run(6)
    lan.kill("c")
    lan.until(lambda: all(lan.owners(address) & {"a", "b"} for address in vips(2)), within=0.5)
