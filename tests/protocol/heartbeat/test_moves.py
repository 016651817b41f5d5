"""Planned moves between living members: taken over, handed over, and never nobody who answers."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.lan import Lan

VIPS = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def settled(names: list[str]) -> Lan:
    """`a` owns everything, and everybody may."""
    lan = Lan(names)
    for name in names:
        lan.prepare(name, VIPS)
    lan.run(1.0)
    lan.claim("a", VIPS)
    lan.until(lambda: all(lan.owners(vip) == {"a"} for vip in VIPS), within=15.0)
    lan.run(1.0)
    return lan


def answered(lan: Lan) -> Callable[[], None]:
    """To be called after everything that happens: somebody answers for each."""

    def check() -> None:
        assert all(lan.answerers(vip) for vip in VIPS)

    return check


def test_what_a_living_member_holds_is_taken_over_at_once_when_that_is_wanted() -> None:
    lan = settled(["a", "b", "c"])
    lan["b"].machine.claim(VIPS[:2], "moved", lan.now, over=True)
    lan._pump(lan["b"])
    lan.run(0.01, answered(lan))
    assert [lan.answerers(vip) for vip in VIPS] == [{"b"}, {"b"}, {"a"}]
    lan.run(2.0, answered(lan))
    assert [lan.owners(vip) for vip in VIPS] == [{"b"}, {"b"}, {"a"}]
    assert {row[4] for row in lan["b"].mine.values()} == {"moved"}


def test_what_is_held_is_not_taken_over_by_a_claim_of_the_common_kind() -> None:
    lan = settled(["a", "b", "c"])
    lan.claim("b", VIPS)
    lan.run(2.0, answered(lan))
    assert [lan.owners(vip) for vip in VIPS] == [{"a"}] * 3


def test_one_who_ends_hands_over_while_it_still_answers() -> None:
    lan = settled(["a", "b", "c"])
    lan["a"].machine.hand_over(lan.now)
    lan._pump(lan["a"])
    lan.until(lambda: bool(lan["a"].told("left")), within=0.5)
    answered(lan)()
    lan.kill("a")
    assert all(lan.answerers(vip) and "a" not in lan.answerers(vip) for vip in VIPS)
    lan.run(2.0, answered(lan))
    assert all(len(lan.owners(vip)) == 1 for vip in VIPS)
    assert {row[4] for name in "bc" for row in lan[name].mine.values()} == {"stopping"}


def test_one_who_ends_alone_does_not_wait_for_long() -> None:
    lan = settled(["a", "b"])
    lan.kill("b")
    lan.run(3.0)
    lan["a"].machine.hand_over(lan.now)
    lan._pump(lan["a"])
    lan.until(lambda: bool(lan["a"].told("left")), within=1.2)


def test_two_nodes_hand_over_to_each_other() -> None:
    lan = settled(["a", "b"])
    lan["a"].machine.hand_over(lan.now)
    lan._pump(lan["a"])
    lan.until(lambda: bool(lan["a"].told("left")), within=0.5)
    lan.kill("a")
    lan.run(1.0, answered(lan))
    assert [lan.answerers(vip) for vip in VIPS] == [{"b"}] * 3
