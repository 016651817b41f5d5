"""A1: who was alone and comes back takes nothing from who never failed, whoever is heard first when a cut heals."""

from __future__ import annotations

import pytest

from tests.support.lan import GATEWAY, Lan, vips

INTERVAL, D = 0.05, 0.15


def isolate(lan: Lan, name: str) -> None:
    """Not one frame passes to or from a node."""
    for other in (*lan.names, GATEWAY):
        if other != name:
            lan.blocked |= {(name, other), (other, name)}


def join(lan: Lan, *names: str) -> None:
    """Frames pass among these again, and between them and the gateway."""
    lan.blocked -= {(a, b) for a in (*names, GATEWAY) for b in (*names, GATEWAY)}


def cluster(names: str, *, seed: int = 0, count: int = 24) -> tuple[Lan, list[str]]:
    lan = Lan(names, seed=seed)
    lan.frames = True
    lan.run(0.4)
    addresses = vips(count)
    for name in names:
        lan.prepare(name, addresses, plan=True)
    lan.until(lambda: all(len(lan.owners(address)) == 1 for address in addresses), within=0.7)
    lan.run(1.0)
    return lan, addresses


def last_of_three(lan: Lan, addresses: list[str], *, apart: float) -> list[str]:
    """Two are cut off, one after the other; what the third has held from the start."""
    isolate(lan, "a")
    lan.until(lambda: all(lan.owners(address) - {"a"} for address in addresses), within=1)
    lan.run(apart)
    isolate(lan, "b")
    lan.until(lambda: all("c" in lan.owners(address) for address in addresses), within=1)
    lan.run(apart)
    return [address for address, row in lan["c"].mine.items() if row[4] == "first_announced"]


@pytest.mark.parametrize("later", [0.0, 0.01, 0.04, 0.09])
@pytest.mark.parametrize("apart", [0.3, 1.5, 4.0, 14.0])
def test_two_that_were_cut_off_take_nothing_from_the_third_when_they_hear_each_other_first(
    later: float, apart: float
) -> None:
    lan, addresses = cluster("abc")
    kept = last_of_three(lan, addresses, apart=apart)
    assert kept

    def nothing_moves() -> None:
        moved = {address: lan.answerers(address) for address in kept if lan.answerers(address) != {"c"}}
        assert not moved, (lan.now, moved)

    join(lan, "a", "b")
    lan.until(lambda: lan["a"].two_way["b"] and lan["b"].two_way["a"], within=1.2)
    lan.run(later, nothing_moves)
    lan.heal()
    lan.run(2.0, nothing_moves)
    assert all(len(lan.answerers(address)) == 1 for address in addresses)
    assert all(lan.owners(address) == lan.answerers(address) for address in addresses)


def test_what_was_allocated_meanwhile_is_not_taken_by_a_majority_of_two_that_have_just_met() -> None:
    """The third took it as one of a majority; the second, which knew, forgot it by a restart."""
    lan, addresses = cluster("abc")
    isolate(lan, "a")
    lan.run(0.5)
    (new,) = vips(len(addresses) + 1)[-1:]
    for name in "abc":
        lan.change(name, [(new, 1, [other for other in "abc" if other != name])])
    lan.claim("c", [new])
    lan.run(0.3)
    assert lan["c"].mine[new][2] is True
    isolate(lan, "b")
    lan.start("b")
    lan.run(1)
    join(lan, "a", "b")
    lan.until(lambda: lan["a"].two_way["b"], within=1.2)
    lan.claim("a", [new])
    lan.run(0.04)
    lan.heal()
    lan.run(1.0)
    assert [lan.owners(new), lan.answerers(new)] == [{"c"}, {"c"}]
    assert not any(new in fields["set"] for fields in lan["a"].told("answer"))


@pytest.mark.parametrize("names", ["abc", "abcde"])
def test_a_true_death_in_a_standing_cluster_is_dealt_with_at_once_also_right_after_a_restart(names: str) -> None:
    lan, addresses = cluster(names)
    lan.start("b")
    lan.prepare("b", addresses, plan=True)
    lan.until(lambda: lan["a"].states.get("b") == "alive" and lan["a"].two_way["b"], within=0.5)
    lan.run(0.01)
    lan.kill("c")
    took = lan.until(lambda: all(lan.owners(address) - {"c"} for address in addresses), within=1)
    assert took <= D + INTERVAL + 0.01


def test_a_link_that_breaks_again_and_again_does_not_keep_a_majority_from_taking_over() -> None:
    """Two of three: each time they meet they have a detection time to wait; between, one takes it provisionally."""
    lan, addresses = cluster("abc")
    lan.kill("c")
    for _ in range(8):
        lan.blocked |= {("a", "b"), ("b", "a")}
        lan.run(D + 0.06)
        lan.heal()
        lan.run(0.1)
    lan.heal()
    assert all(lan.owners(address) - {"c"} for address in addresses)
    lan.run(3 * D)
    assert all(len(lan.owners(address) - {"c"}) == 1 for address in addresses)
    assert all(row[2] for name in "ab" for row in lan[name].mine.values())
