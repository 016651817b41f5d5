"""A11: in safety mode no two nodes answer at once, whatever the links do; a lease is as old as its newest echo."""

from __future__ import annotations

import itertools
import random
from functools import partial

import pytest

from lbctl.protocol.heartbeat.echo import Echo, echo_of, pack_echoes
from lbctl.protocol.heartbeat.packet import HEADER_SIZE, Refused
from tests.support.lan import Lan, vips

INTERVAL = 0.05
BAR = 0.32


def cluster(names: str, count: int = 9, **settings: object) -> tuple[Lan, list[str]]:
    lan = Lan(names, safety=True, **settings)  # type: ignore[arg-type]
    lan.run(1.0)
    addresses = vips(count)
    for name in names:
        lan.prepare(name, addresses)
    for n, name in enumerate(names):
        lan.claim(name, addresses[n :: len(names)], "started")
    lan.run(0.3)
    assert all(lan.answerers(address) == lan.owners(address) for address in addresses)
    assert all(len(lan.owners(address)) == 1 for address in addresses)
    return lan, addresses


class OneAtMost:
    """Checked after every event: whoever could answer a client now."""

    def __init__(self, lan: Lan, addresses: list[str]) -> None:
        self.lan, self.addresses = lan, addresses

    def __call__(self) -> None:
        for address in self.addresses:
            assert len(self.lan.answerers(address)) <= 1, (address, self.lan.answerers(address), self.lan.now)


@pytest.mark.parametrize("seed", range(4))
def test_a_dead_owner_is_followed_within_the_bar(seed: int) -> None:
    lan, addresses = cluster("abc", seed=seed)
    lan.run(seed * 0.013)
    lan.kill("a")
    took = lan.until(lambda: all(lan.answerers(address) for address in addresses), within=1)
    assert 4 * INTERVAL <= took <= BAR


@pytest.mark.parametrize("side", [s for size in (1, 2) for s in itertools.combinations("abcde", size)])
def test_only_the_majority_answers_after_a_split_and_never_two(side: tuple[str, ...]) -> None:
    lan, addresses = cluster("abcde", 10)
    lan.cut(*side)
    lan.run(2, OneAtMost(lan, addresses))
    majority = set("abcde") - set(side)
    assert all(lan.answerers(address) <= majority for address in addresses)
    assert all(len(lan.answerers(address)) == 1 for address in addresses)
    assert not any(row[2] is False for node in lan.living() for row in node.mine.values())
    lan.heal()
    lan.run(2, OneAtMost(lan, addresses))
    assert all(len(lan.answerers(address)) == 1 for address in addresses)


def test_a_node_whose_voice_is_dead_answers_no_longer_though_it_hears_a_majority() -> None:
    """The fence of silence would not see it: it hears everybody."""
    lan, addresses = cluster("abc")
    lan.blocked.update({("a", "b"), ("a", "c")})
    lan.run(4 * INTERVAL + INTERVAL, OneAtMost(lan, addresses))
    assert not any("a" in lan.answerers(address) for address in addresses)
    lan.until(lambda: all(lan.answerers(address) for address in addresses), within=BAR)
    lan.run(1, OneAtMost(lan, addresses))


def test_the_last_of_three_and_the_half_of_two_own_nothing_new_and_answer_nothing() -> None:
    for names in ("abc", "ab"):
        lan, addresses = cluster(names)
        for name in names[1:]:
            lan.kill(name)
        lan.run(1)
        lan.claim("a", addresses)
        lan.run(0.3)
        assert not any(lan.answerers(address) for address in addresses)
        assert {r for f in lan["a"].told("refused") for _, r, _ in f["addresses"]} == {"no_majority"}


def test_an_even_split_goes_to_the_lowest_name_while_its_witness_is_there() -> None:
    lan, addresses = cluster("ab", witness=True)
    for name in "ab":
        lan[name].machine.witness(True, lan.now)
    lan.cut("a")
    lan.run(1, OneAtMost(lan, addresses))
    assert all(lan.answerers(address) == {"a"} for address in addresses)
    lan["a"].machine.witness(False, lan.now)
    lan.run(0.5, OneAtMost(lan, addresses))
    assert not any(lan.answerers(address) for address in addresses)


@pytest.mark.parametrize("seed", range(30))
def test_random_links_never_make_two_answer(seed: int) -> None:
    chance = random.Random(seed)
    names = "abcde"[: chance.randint(3, 5)]
    lan, addresses = cluster(names, 6, seed=seed)
    check = OneAtMost(lan, addresses)
    for _ in range(12):
        match chance.choice(["cut", "one_way", "one_way", "deaf", "loss", "heal", "pause", "restart"]):
            case "cut":
                lan.cut(*chance.sample(names, chance.randint(1, len(names) - 1)))
            case "one_way":
                lan.blocked.add(tuple(chance.sample(names, 2)))  # type: ignore[arg-type]
            case "deaf":
                lan.deafen(chance.choice(names))
            case "loss":
                lan.loss = chance.choice([0.0, 0.1, 0.3])
            case "pause":
                name = chance.choice(names)
                if lan[name].paused is None:
                    lan.pause(name)
                    lan.run(chance.choice([0.06, 0.2, 0.5]), check)
                    lan.resume(name)
            case "restart":
                name = chance.choice(names)
                lan.start(name)
                lan.at(lan.now + 0.6, partial(lan.prepare, name, addresses, plan=True))
            case _:
                lan.heal()
        for name in names:
            lan.claim(name, addresses)
        lan.run(chance.choice([0.05, 0.2, 0.4, 1.0]), check)
    lan.loss = 0.0
    lan.heal()
    for name in names:
        if name not in {node.name for node in lan.living()}:
            lan.start(name)
    lan.run(1.5, check)
    for name in names:
        lan.prepare(name, addresses)
        lan.claim(name, addresses)
    lan.run(1, check)
    assert all(len(lan.answerers(address)) == 1 for address in addresses)


def test_echoes_of_many_go_in_packets_and_bad_ones_are_refused() -> None:
    echoes = [Echo(n, n + 1, n + 2) for n in range(120)]
    bodies = pack_echoes(echoes)
    assert len(bodies) > 1
    packets = [bytes(HEADER_SIZE) + body for body in bodies]
    found = [echo_of(packet, len(packet), (100, 101)) for packet in packets]
    assert sorted(str(sent) for sent in found) == sorted(["0"] * (len(packets) - 1) + ["102"])
    assert echo_of(packets[0][:-1], len(packets[0]) - 1, (1, 2)) is Refused.MALFORMED
    assert pack_echoes([]) == []
