"""A14: replays into a cold cluster, lost clocks, and two nodes of one name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.lan import Lan, Node, vips

if TYPE_CHECKING:
    pass

KEYS = ((1, b"secret"),)


def incarnation_of(lan: Lan, name: str, seen_by: str) -> int:
    return int([f["incarnation"] for f in lan[seen_by].told("member") if f["node"] == name][-1])


def test_recorded_beats_of_a_dead_node_in_a_cold_cluster_never_count() -> None:
    """Power came back, X did not; somebody plays what it said before."""
    lan = Lan("abx", keys=KEYS)
    recorded: list[bytes] = []
    lan.tap = lambda node, send: recorded.append(send.payload) if node.name == "x" else None
    lan.run(0.4)
    lan.prepare("x", vips(2))
    lan.claim("x", vips(2))
    lan.run(1)
    cold = Lan("abx", keys=KEYS, start_wait=0.3)
    cold.now = lan.now
    cold.kill("x")
    cold._incarnations = iter(range(500, 600))  # type: ignore[assignment]
    for name in "ab":
        cold.start(name)
    for packet in recorded * 3:
        for name in "ab":
            cold.inject(name, packet, "10.0.0.3")
        cold.run(0.004)
    for name in "ab":
        cold.prepare(name, vips(2))
    cold.claim("a", vips(2))
    cold.run(0.3)
    assert not any(f["two_way"] for name in "ab" for f in cold[name].told("member") if f["node"] == "x")
    assert cold["a"].states["x"] == "gone"
    assert set(cold["a"].mine) == set(vips(2))


def test_a_clock_of_1970_goes_above_what_the_others_remember() -> None:
    """The very number of the run before: every packet looks like a replay."""
    lan = Lan("abc", keys=KEYS)
    lan.run(0.5)
    old = lan["a"].incarnation
    lan.kill("a")
    lan.run(5)
    lan.start("a", incarnation=old)
    lan.until(lambda: lan["b"].two_way["a"] and lan["c"].two_way["a"], within=0.5)
    assert incarnation_of(lan, "a", "b") == old + 1
    assert lan["a"].told("incarnation") == [{"incarnation": old + 1}]
    lan.run(0.5)
    lan.prepare("a", vips(1))
    lan.claim("a", vips(1))
    lan.run(0.1)
    assert lan["b"].claims["a"] == lan["a"].mine


def test_an_incarnation_below_the_one_remembered_comes_back_after_that_is_gone() -> None:
    lan = Lan("abc", keys=KEYS)
    lan.run(0.5)
    lan.start("a", incarnation=3)
    lan.until(lambda: lan["b"].two_way.get("a", False) and incarnation_of(lan, "a", "b") != 100, within=0.6)
    lan.run(0.5)
    assert lan["b"].states["a"] == "alive"


class Twins:
    """A second machine under the name of a, with an address of its own."""

    def __init__(self, lan: Lan, incarnation: int) -> None:
        self.first = lan["a"]
        self.lan = lan
        self.twin = lan.start("a", incarnation=incarnation)
        self.first.alive = True
        self.twin.number = 9
        self.twin.address = "10.0.0.9"
        lan.nodes["twin"] = self.twin
        lan.nodes["a"] = self.first


def both(lan: Lan) -> None:
    """Deliveries go by name: both have one."""
    original = lan._deliver

    def deliver(sender: Node, node: Node, payload: bytes) -> None:
        kept = lan.nodes[node.name]
        lan.nodes[node.name] = node
        original(sender, node, payload)
        lan.nodes[node.name] = kept

    lan._deliver = deliver  # type: ignore[method-assign]


def test_of_two_of_one_name_the_established_one_stays_and_the_other_is_silent() -> None:
    for incarnation in (5, 10_000):
        lan = Lan("abc")
        both(lan)
        lan.run(0.5)
        for name in "abc":
            lan.prepare(name, vips(3))
        lan.claim("a", vips(3))
        lan.run(0.2)
        twins = Twins(lan, incarnation)
        lan.run(1)
        sent = twins.twin.sent
        lan.run(3)
        assert twins.twin.sent == sent
        assert twins.twin.machine.lease == 0.0
        trouble = twins.twin.told("trouble")[-1]
        assert (trouble["name"], trouble["on"]) == ("duplicate_name", True)
        assert set(twins.first.mine) == set(vips(3))
        assert incarnation_of(lan, "a", "b") == twins.first.incarnation
        assert lan["b"].claims["a"] == twins.first.mine
        twins.twin.machine.claim(vips(1), "started", lan.now)
        lan._pump(twins.twin)
        assert twins.twin.told("refused")[-1] == {"addresses": [[vips(1)[0], "duplicate_name", None]]}
        # When the first one ends, the name is free.
        twins.first.alive = False
        lan.run(5)
        assert twins.twin.sent > sent
        assert lan["b"].two_way["a"]


def test_an_old_machine_that_wakes_does_not_silence_its_replacement() -> None:
    lan = Lan("abc")
    both(lan)
    lan.run(0.5)
    lan.pause("a")
    lan.run(5)
    twins = Twins(lan, 10_000)
    lan.run(1)
    old, new = twins.first, twins.twin
    assert incarnation_of(lan, "a", "b") == 10_000
    lan.resume("a")
    lan.run(2)
    assert incarnation_of(lan, "a", "b") == 10_000
    assert lan["b"].two_way["a"]
    assert new.machine.lease > lan.now
    assert old.machine.lease == 0.0
    assert old.told("trouble")[-1]["name"] == "duplicate_name"
