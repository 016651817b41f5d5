"""All splits of two to five nodes: each side has one owner for every address, and after healing there is one in all."""

from __future__ import annotations

import itertools

import pytest

from tests.support.lan import Lan, vips

INTERVAL, D = 0.05, 0.15
SPLITS = [
    (names, side)
    for names in ("ab", "abc", "abcd", "abcde")
    for size in range(1, len(names) // 2 + 1)
    for side in itertools.combinations(names, size)
    if 2 * size < len(names) or side[0] == "a"
]


@pytest.mark.parametrize(("names", "side"), SPLITS)
def test_every_address_has_one_owner_on_each_side_and_one_after_healing(names: str, side: tuple[str, ...]) -> None:
    lan = Lan(names)
    lan.run(0.4)
    addresses = vips(10)
    for name in names:
        lan.prepare(name, addresses, plan=True)
    lan.until(lambda: all(len(lan.owners(address)) == 1 for address in addresses), within=0.6)
    lan.run(0.3)
    before = {address: lan.owners(address) for address in addresses}
    sides = [set(side), set(names) - set(side)]

    lan.cut(*side)
    # Heirs act at D or an interval later; what has no heir on a side waits for that side's plan.
    lan.until(
        lambda: all(len(lan.owners(address) & half) == 1 for address in addresses for half in sides),
        within=D + INTERVAL + 0.3 + D,
    )
    lan.run(1)
    held = {address: lan.owners(address) for address in addresses}
    assert all(len(owners & half) == 1 for owners in held.values() for half in sides)
    # Who never was cut off from what it owned still owns it.
    assert all(before[address] <= held[address] for address in addresses)

    healed_at = lan.now
    lan.heal()
    lan.until(lambda: all(set(n.states.values()) == {"alive"} for n in lan.living()), within=1.2)
    lan.until(lambda: all(len(lan.owners(address)) == 1 for address in addresses), within=2 * INTERVAL)
    lan.run(1)
    after = {address: lan.owners(address) for address in addresses}
    assert all(len(owners) == 1 for owners in after.values())
    majority = next((half for half in sides if 2 * len(half) > len(names)), None)
    if majority is not None:
        assert all(after[a] == held[a] & majority for a in addresses if before[a] <= majority)
        assert all(after[a] <= majority for a in addresses)
    assert lan.now - healed_at < 2.4
    assert all(node.answering == set(node.mine) for node in lan.living())


def test_there_are_as_many_splits_as_there_can_be() -> None:
    assert len(SPLITS) == sum(2 ** (n - 1) - 1 for n in (2, 3, 4, 5))
