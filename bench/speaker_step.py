"""What one change costs a speaker that has N services: its pure step, and its proxy's rules, on a World like the last.

    python -m bench.speaker_step [--services N ...] [--rounds R]

The node owns every address. Each row is one kind of change: milliseconds of processor time, the worst and the median of
some. The World is as it comes out of a published file that was read again (`read`: what reading it anew costs).
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address

from bench.step import Running, changes
from lbctl.model.address import IPAddress
from lbctl.model.advertisement import L2Advertisement
from lbctl.model.claim import Claim
from lbctl.model.frozen_map import FrozenMap
from lbctl.model.interface import Interface, InterfaceFlag
from lbctl.model.snapshot import Snapshot, View, World, evolve
from lbctl.plan.proxy import ProxyMemo, ruleset
from lbctl.plan.reason import Cause
from lbctl.sources.published_document import DocumentDecoder, DocumentEncoder
from lbctl.speaker.step import Situation, Told, own_member, step

_UP = InterfaceFlag.UP | InterfaceFlag.BROADCAST | InterfaceFlag.LOWER_UP
_HERE = (Interface(index=2, name="eth0", mac="02:00:00:00:00:01", flags=_UP, addresses=(IPv4Address("192.0.2.1"),)),)


class Speaker:
    """The work process of one node without its shell."""

    def __init__(self, world: World) -> None:
        self.told = Told()
        self.proxy: ProxyMemo | None = None
        self.claims: FrozenMap[IPAddress, Claim] = FrozenMap()
        self.view = View()
        self.now = 0.0
        self.hear(world)
        self.look(world)

    def hear(self, world: World) -> None:
        """Every address is claimed by this node, as pulse would say."""
        said = {
            address: Claim(
                address=address,
                node="n1",
                incarnation=1,
                epoch=1,
                quorate=True,
                since_unix=0.0,
                cause=Cause.STARTED,
            )
            for allocation in world.allocations.values()
            for address in allocation.addresses
            if address not in self.claims
        }
        # As the view of a speaker is made: claim by claim from the one before.
        self.claims = self.claims.having(said)
        me = own_member("n1", 1, _HERE, since_unix=0.0, interval=0.1, multiplier=3)
        self.view = View(source="n1", members={"n1": me}, claims={"n1": self.claims})

    def look(self, world: World) -> None:
        self.now += 1.0
        situation = Situation(
            node="n1",
            snapshot=Snapshot(world=world, view=self.view),
            interfaces=_HERE,
            detection_time=0.3,
            listened=True,
        )
        self.told = step(situation, self.told, now=self.now, now_unix=self.now).told

    def rules(self, world: World) -> None:
        _, self.proxy = ruleset(world, "n1", self.proxy)


def took(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


def measure(count: int, rounds: int) -> dict[str, list[float]]:
    running = Running(count)
    running.world = evolve(running.world, made_unix=0.0, l2_advertisements={"all": L2Advertisement(name="all")})
    running.settle()
    encoder, decoder = DocumentEncoder(cluster="bench", ledger="bench"), DocumentDecoder()

    def read() -> World:
        published = running.published
        assert published is not None
        return decoder.decode(b"".join(encoder.encode(published, running.pending))).world

    world = read()
    began = time.process_time()
    speaker = Speaker(world)
    speaker.rules(world)
    print(f"{count:,} services: first step and rules in {time.process_time() - began:.2f} s of processor time")
    gc.collect()
    gc.freeze()
    found: dict[str, list[float]] = {}
    for name, change in changes(running, count).items():
        for number in range(rounds):
            change(number)
            running.settle()
            began = time.process_time()
            world = read()
            found.setdefault("read", []).append(time.process_time() - began)
            found.setdefault(f"{name}: step", []).append(took(lambda now=world: speaker.look(now)))  # type: ignore[misc]
            found.setdefault(f"{name}: rules", []).append(took(lambda now=world: speaker.rules(now)))  # type: ignore[misc]
            if name == "service added":
                speaker.hear(world)
                found.setdefault("and its claim: step", []).append(took(lambda now=world: speaker.look(now)))  # type: ignore[misc]
    gc.unfreeze()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, nargs="+", default=[1_000, 10_000, 50_000])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for count in options.services:
        found = measure(count, options.rounds)
        print(f"  {'one change':36}{'worst ms':>10}{'median ms':>11}")
        for name, times in found.items():
            print(f"  {name:36}{max(times) * 1000:>10.2f}{statistics.median(times) * 1000:>11.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
