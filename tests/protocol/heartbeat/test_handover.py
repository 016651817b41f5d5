"""Planned moves: `over`, and a node that hands over what it holds before it ends."""

from __future__ import annotations

from tests.support.lan import Lan, order, vips


def cluster(names: str, count: int = 9) -> tuple[Lan, list[str]]:
    lan = Lan(names)
    lan.run(0.4)
    addresses = vips(count)
    for name in names:
        lan.prepare(name, addresses)
    for n, name in enumerate(names):
        lan.claim(name, addresses[n :: len(names)], "started")
    lan.run(0.2)
    return lan, addresses


def over(lan: Lan, name: str, addresses: list[str], cause: str = "moved") -> None:
    lan[name].machine.claim(addresses, cause, lan.now, over=True)
    lan._pump(lan[name])


def test_over_takes_from_a_living_holder_who_stops_at_once() -> None:
    lan, addresses = cluster("abc")
    over(lan, "b", [addresses[0]])
    assert lan["b"].mine[addresses[0]][1:3] == [2, True]
    assert lan["b"].mine[addresses[0]][4] == "moved"
    lan.run(0.01)
    assert lan.owners(addresses[0]) == {"b"}
    assert lan.answerers(addresses[0]) == {"b"}
    lan.run(2)
    assert lan.owners(addresses[0]) == {"b"}


def test_over_is_refused_by_name() -> None:
    lan, addresses = cluster("abc")
    over(lan, "b", ["192.0.2.99"])
    assert lan["b"].told("refused")[-1] == {"addresses": [["192.0.2.99", "not_prepared", None]]}
    lan.change("b", [(addresses[0], 0, [])])
    over(lan, "b", [addresses[0]])
    assert lan["b"].told("refused")[-1] == {"addresses": [[addresses[0], "stale_world", "a"]]}
    lan.blocked.add(("b", "a"))
    lan.run(0.2)
    over(lan, "b", [addresses[3]])
    assert lan["b"].told("refused")[-1] == {"addresses": [[addresses[3], "one_way", "a"]]}
    assert lan.owners(addresses[3]) == {"a"}


def test_the_heirs_take_over_at_once_while_the_owner_still_answers() -> None:
    for names in ("ab", "abc", "abcde"):
        lan, addresses = cluster(names, 20)
        gap: list[str] = []

        def no_gap(lan: Lan = lan, addresses: list[str] = addresses, gap: list[str] = gap) -> None:
            gap.extend(address for address in addresses if not lan.answerers(address))

        lan["a"].machine.hand_over(lan.now)
        lan._pump(lan["a"])
        lan.run(0.002, no_gap)
        assert lan["a"].mine == {}
        assert not gap
        for address in addresses[0 :: len(names)]:
            heir = order(set(names) - {"a"}, address)[0]
            assert lan.owners(address) == {heir}
            assert lan[heir].mine[address][2] is True
            assert lan[heir].mine[address][4] == "stopping"
        lan.run(0.2, no_gap)
        assert lan["a"].machine.left
        assert {f["state"] for f in lan["b"].told("member") if f["node"] == "a"} >= {"alive", "draining", "left"}
        lan.run(1, no_gap)
        assert not gap


def test_a_node_with_no_heir_leaves_after_a_second() -> None:
    lan, addresses = cluster("ab", 4)
    lan.change("b", [], addresses)
    lan["a"].machine.hand_over(lan.now)
    lan._pump(lan["a"])
    lan.run(0.9)
    assert lan.answerers(addresses[0]) == {"a"}
    assert lan["a"].told("left") == []
    lan.run(0.2)
    assert lan["a"].told("left") == [{}]
    assert lan["a"].machine.lease == 0.0


def test_a_node_with_nothing_leaves_at_once_and_one_that_hands_over_takes_nothing() -> None:
    lan, addresses = cluster("abc")
    lan["a"].machine.hand_over(lan.now)
    lan.claim("a", addresses[1:2])
    lan.run(0.3)
    assert lan["a"].machine.left
    idle = Lan("ab")
    idle.run(0.4)
    idle["a"].machine.hand_over(idle.now)
    idle._pump(idle["a"])
    idle.run(0.05)
    assert idle["a"].machine.left
