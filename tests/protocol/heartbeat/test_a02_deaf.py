"""A2: a node whose ears or voice are dead claims nothing and answers nothing, and nobody yields to it."""

from __future__ import annotations

import pytest

from tests.support.lan import GATEWAY, Lan, vips

INTERVAL, D = 0.05, 0.15


def cluster(names: str, count: int = 9) -> tuple[Lan, list[str]]:
    lan = Lan(names)
    lan.frames = True
    lan.run(0.4)
    addresses = vips(count)
    for name in names:
        lan.prepare(name, addresses)
    for n, name in enumerate(names):
        lan.claim(name, addresses[n :: len(names)], "started")
    lan.run(0.2)
    return lan, addresses


def troubles(lan: Lan, name: str) -> list[tuple[str, bool]]:
    return [(fields["name"], fields["on"]) for fields in lan[name].told("trouble")]


def test_one_of_three_that_receives_nothing_claims_and_answers_nothing_and_moves_nothing() -> None:
    lan, addresses = cluster("abc")
    held = {node.name: set(node.mine) for node in lan.living()}
    lan.deafen("c")
    lan.until(lambda: lan["c"].machine.lease == 0.0, within=D + INTERVAL)
    lan.run(2)
    assert set(lan["c"].mine) == held["c"]
    assert not lan["c"].told("contested")
    assert all(len(lan.answerers(address)) == 1 for address in addresses)
    assert held["a"] <= set(lan["a"].mine)
    assert held["b"] <= set(lan["b"].mine)
    assert troubles(lan, "c") == [("deaf", True)]
    lan.claim("c", [addresses[0]])
    assert lan["c"].told("refused") == [{"addresses": [[addresses[0], "deaf", None]]}]
    lan.heal()
    lan.run(1)
    assert troubles(lan, "c") == [("deaf", True), ("deaf", False)]
    assert all(lan.answerers(address) == lan.owners(address) for address in addresses)
    assert all(len(lan.owners(address)) == 1 for address in addresses)


def test_two_nodes_one_of_them_deaf_the_other_has_everything_and_goes_on_answering() -> None:
    """The deaf one says so: else the one it does not hear would think its own voice dead."""
    lan, addresses = cluster("ab")
    lan.deafen("b")
    held = set(lan["a"].mine)
    seen: list[bool] = []
    lan.run(1, lambda: seen.append(all("a" in lan.answerers(address) for address in held)))
    assert all(seen)
    assert all(lan.answerers(address) == {"a"} for address in addresses)
    assert lan["b"].machine.lease == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_the_last_of_two_is_not_deaf_because_the_gateway_answers_what_it_asks(seed: int) -> None:
    lan, addresses = cluster("ab")
    lan.run(seed * 0.013)
    held = set(lan["a"].mine)
    lan.kill("b")
    seen: list[bool] = []
    lan.run(0.2, lambda: seen.append(all(lan.answerers(address) == {"a"} for address in held)))
    assert all(seen)
    assert lan["a"].told("solicit")
    took = 0.2 + lan.until(lambda: all(lan.answerers(address) == {"a"} for address in addresses), within=1)
    assert took <= 2 * D + 0.1
    # With nobody left it goes on asking, to notice if its ears die: never more than five times a second.
    asked = len(lan["a"].told("solicit"))
    lan.run(2)
    assert 6 <= len(lan["a"].told("solicit")) - asked <= 10


def test_one_that_was_alone_for_long_and_goes_deaf_says_so_and_silences_nobody() -> None:
    """B hears A, which does not hear B; were A believed to hear, B would take its own voice for dead, for ever."""
    lan, addresses = cluster("ab")
    lan.cut("a")
    lan.run(3)
    assert lan.answerers(addresses[0]) == {"a", "b"}
    lan.deafen("a")
    lan.blocked.discard(("a", "b"))
    lan.until(lambda: lan["b"].two_way == {"a": False} and lan["b"].machine.lease == 0.0, within=2)
    took = lan.until(lambda: "b" in lan.answerers(addresses[1]), within=1)
    assert took <= 0.9
    lan.run(2)
    assert all(lan.answerers(address) >= {"b"} for address in addresses)
    lan.heal()
    lan.run(2)
    assert all(len(lan.answerers(address)) == 1 for address in addresses)


def test_who_is_alone_on_a_quiet_network_goes_on_answering() -> None:
    lan, addresses = cluster("ab")
    lan.kill("b")
    lan.until(lambda: all(lan.answerers(address) == {"a"} for address in addresses), within=1)
    lan.blocked.add((GATEWAY, "a"))
    seen: list[bool] = []
    lan.run(3, lambda: seen.append(all(lan.answerers(address) == {"a"} for address in addresses)))
    assert all(seen)
    assert not any(name == "deaf" for name, _ in troubles(lan, "a"))


def test_a_quiet_lan_is_asked_five_times_a_second_and_the_first_frame_ends_it() -> None:
    lan, addresses = cluster("ab")
    lan.blocked.add((GATEWAY, "a"))
    lan.kill("b")
    lan.run(2)
    assert lan["a"].machine.lease == 0.0
    assert 8 <= len(lan["a"].told("solicit")) <= 11
    assert set(lan["a"].mine) < set(addresses)
    lan["a"].frame_at = lan.now
    lan.run(0.4)
    assert lan["a"].machine.lease > lan.now
    lan.claim("a", addresses)
    lan.run(0.3)
    assert set(lan["a"].mine) == set(addresses)


def test_whom_nobody_hears_claims_nothing_and_answers_nothing() -> None:
    """It hears the others, and they do not list it."""
    lan, addresses = cluster("abc")
    lan.blocked.update({("c", "a"), ("c", "b")})
    lan.run(2 * D + 2 * INTERVAL)
    assert lan["c"].machine.lease == 0.0
    lan.run(1)
    assert all(len(lan.answerers(address)) == 1 for address in addresses)
    assert not any("c" in lan.answerers(address) for address in addresses)


def test_without_word_of_frames_nobody_is_called_deaf() -> None:
    lan, _ = cluster("abc")
    lan.frames = False
    quiet = Lan("ab")
    quiet.run(0.4)
    quiet.kill("b")
    quiet.run(1)
    assert quiet["a"].machine.lease > quiet.now
    assert not quiet["a"].told("solicit")
