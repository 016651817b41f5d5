"""Random faults on a LAN in memory: whatever happened, when it is over every address has exactly one owner.

A seed that fails is replayed by its number. What must hold at every moment is checked after every event.
"""

from __future__ import annotations

import random

import pytest

from tests.support.lan import Lan, vips

INTERVAL, D = 0.05, 0.15
ADDRESSES = vips(12)


class Story:
    """A few seconds of faults, then peace."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        names = "abcde"[: self.chance.randint(2, 5)]
        self.lan = Lan(names, seed=seed)
        self.lan.run(0.4)
        for name in names:
            self.lan.prepare(name, ADDRESSES, plan=True)
        self.lan.run(1)
        self.assert_settled()

    def fault(self) -> None:
        lan, chance = self.lan, self.chance
        name = chance.choice(lan.names)
        node = lan[name]
        match chance.choice(
            ["cut", "cut", "one_way", "deaf", "kill", "leave", "pause", "start", "start", "loss", "heal"]
        ):
            case "cut":
                lan.cut(*chance.sample(lan.names, chance.randint(1, len(lan.names) - 1)))
            case "one_way":
                lan.blocked.add((name, chance.choice(lan.names)))
            case "deaf":
                lan.deafen(name)
            case "kill" if node.paused is None:
                lan.kill(name)
            case "leave" if node.paused is None and node.alive:
                lan.leave(name)
            case "pause" if node.alive:
                if node.paused is None:
                    lan.pause(name)
                else:
                    lan.resume(name)
            case "start" if not node.alive or node.machine.left:
                self.start(name)
            case "loss":
                lan.loss = chance.choice([0.0, 0.05, 0.2, 0.5])
            case "heal":
                lan.heal()
            case _:
                pass

    def start(self, name: str) -> None:
        self.lan.kill(name)
        self.lan.start(name)
        self.lan.at(self.lan.now + 0.3, lambda: self.lan.prepare(name, ADDRESSES, plan=True))

    def peace(self) -> None:
        lan = self.lan
        lan.loss = 0.0
        lan.heal()
        for name in lan.names:
            if lan[name].paused is not None:
                lan.resume(name)
        lan.run(0.05, self.check)  # who is leaving has left
        for name in lan.names:
            node = lan[name]
            if not node.alive or node.machine.left:
                self.start(name)

    def check(self) -> None:
        """Of every node at every moment: it answers only what it claims."""
        for node in self.lan.living():
            assert node.answering == set(node.mine)

    def assert_settled(self) -> None:
        lan = self.lan
        assert {address: len(lan.owners(address)) for address in ADDRESSES} == dict.fromkeys(ADDRESSES, 1)
        assert all(lan.answerers(address) == lan.owners(address) for address in ADDRESSES)
        for node in lan.living():
            assert set(node.states.values()) == {"alive"}
            for other in lan.living():
                assert other is node or node.claims.get(other.name, {}) == other.mine


@pytest.mark.parametrize("seed", range(25))
def test_after_any_faults_every_address_has_one_owner(seed: int) -> None:
    story = Story(seed)
    for _ in range(story.chance.randint(3, 15)):
        story.fault()
        story.lan.run(story.chance.choice([0.01, 0.1, 0.2, 0.5, 1.5]), story.check)
    story.peace()
    story.lan.run(3.0, story.check)
    story.assert_settled()
