"""A3: who takes over when, with a majority and without, and what is asked of the wire first."""

from __future__ import annotations

import itertools

import pytest

from tests.support.lan import Lan, vips

INTERVAL, D = 0.05, 0.15
BAR = 2 * D + 0.1
SPLITS = [
    (names, side)
    for names in ("ab", "abc", "abcd", "abcde", "abcdef", "abcdefg")
    for size in range(1, len(names) // 2 + 1)
    for side in itertools.combinations(names, size)
    if 2 * size < len(names) or side[0] == "a"
]


def cluster(names: str, count: int, **settings: object) -> tuple[Lan, list[str]]:
    lan = Lan(names, **settings)  # type: ignore[arg-type]
    lan.run(0.4)
    addresses = vips(count)
    for name in names:
        lan.prepare(name, addresses)
    for n, name in enumerate(names):
        lan.claim(name, addresses[n :: len(names)], "started")
    lan.run(0.2)
    assert all(len(lan.owners(address)) == 1 for address in addresses)
    return lan, addresses


@pytest.mark.parametrize(("names", "side"), SPLITS)
def test_every_address_has_an_owner_on_each_side_within_two_detection_times(names: str, side: tuple[str, ...]) -> None:
    """By the machines alone: there is no plan here that would ask for anything."""
    lan, addresses = cluster(names, 2 * len(names))
    before = {address: lan.owners(address) for address in addresses}
    sides = [set(side), set(names) - set(side)]
    lan.cut(*side)
    took = lan.until(
        lambda: all(len(lan.owners(address) & half) == 1 for address in addresses for half in sides), within=BAR
    )
    assert took <= BAR
    held = {address: lan.owners(address) for address in addresses}
    assert all(before[address] <= held[address] for address in addresses)
    for half in sides:
        quorate = 2 * len(half) > len(names)
        new = [lan[name].mine[a] for name in half for a in lan[name].mine if before[a] != {name}]
        assert all(row[2] is quorate for row in new)
        asked = [address for name in half for fields in lan[name].told("probe") for address in fields["set"]]
        assert quorate or set(asked) == {address for address in addresses if not before[address] & half}
        assert not (quorate and asked)


def test_there_are_as_many_splits_as_there_can_be() -> None:
    assert len(SPLITS) == sum(2 ** (n - 1) - 1 for n in range(2, 8))


@pytest.mark.parametrize("seed", range(4))
def test_the_survivor_of_two_takes_over_within_the_bar(seed: int) -> None:
    lan, addresses = cluster("ab", 10, seed=seed)
    lan.run(seed * 0.011)
    lan.kill("b")
    took = lan.until(lambda: lan.answerers(addresses[1]) == {"a"}, within=1)
    assert 2 * D - INTERVAL <= took <= 0.45
    assert {row[2] for address, row in lan["a"].mine.items() if address in addresses[1::2]} == {False}


def test_what_is_answered_is_not_taken_and_asked_about_each_second() -> None:
    """Heartbeats are lost both ways, the rest of the LAN works: nothing may move."""
    lan, addresses = cluster("ab", 4)
    lan.filter("b")
    for _ in range(5):
        lan.run(1)
        for name in "ab":
            lan.claim(name, addresses)
    assert [sorted(lan[name].mine) for name in "ab"] == [addresses[0::2], addresses[1::2]]
    asked = [fields["set"] for fields in lan["a"].told("probe")]
    assert 4 <= len(asked) <= 7
    assert lan["a"].told("answered_on_the_wire")[0] == {"addresses": addresses[1::2], "count": 2}
    reasons = {reason for fields in lan["a"].told("refused") for _, reason, _ in fields["addresses"]}
    assert reasons == {"answered_on_the_wire"}
    # Once nobody answers, it is taken at the next asking.
    lan.kill("b")
    lan.claim("a", addresses)
    lan.until(lambda: set(lan["a"].mine) == set(addresses), within=1.2)


def test_a_majority_asks_nobody() -> None:
    lan, addresses = cluster("abc", 9)
    lan.kill("a")
    assert lan.until(lambda: all(lan.owners(address) for address in addresses), within=1) <= D + 0.003
    assert not any(node.told("probe") for node in lan.nodes.values())


def test_a_single_configured_node_asks_nobody_and_waits_for_nobody() -> None:
    lan = Lan("a")
    lan.run(0.3)
    lan.prepare("a", vips(3))
    lan.claim("a", vips(3))
    assert set(lan["a"].mine) == set(vips(3))
    assert not lan["a"].told("probe")
