"""The plans of some nodes carried out in virtual time: each sees the others' claims late, heirs take over at once.

Stands in for pulse: a claim is made where no living node is known to hold the address, `over` with a higher epoch, and
of two claims the better one stays. Everything else is the real plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.claim import Claim
from lbctl.model.member import Liveness, Member
from lbctl.model.snapshot import Drain, Pin, Rebalance, Snapshot, View, World
from lbctl.plan.announce import AnnounceMemo, Unowned, announce, decide
from lbctl.plan.claims import claim_rank
from lbctl.plan.eligible import OwnInterfaces
from lbctl.plan.holddown import held_until, remember
from lbctl.plan.moves import Agenda
from lbctl.plan.reason import Cause
from lbctl.speaker.owners import Owners, follow
from tests.support.worlds import member

TICK = 0.1
IDLE = 0.5
EPOCH = 1_000_000.0


@dataclass
class Speaker:
    """One node: its own claims, what it saw of the others', and what its plan remembers."""

    world: World
    started: float
    claims: dict[IPAddress, Claim] = field(default_factory=dict)
    memo: AnnounceMemo = field(default_factory=AnnounceMemo)
    agenda: Agenda = field(default_factory=Agenda)
    owners: Owners = field(default_factory=Owners)


class Cluster:
    """Nodes by name. `moves` are all changes of owner: (seconds, address, from, to, cause)."""

    def __init__(self, world: World, *, lag: int = 1) -> None:
        self.world = world
        self.lag = lag
        self.now = 0.0
        self.speakers: dict[str, Speaker] = {}
        self.gone: dict[str, Liveness] = {}
        self.comings: dict[str, tuple[float, ...]] = {}
        self.drains: dict[str, Drain] = {}
        self.pins: dict[IPAddress, Pin] = {}
        self.rebalance: Rebalance | None = None
        self.moves: list[tuple[float, str, str | None, str, str]] = []
        self._past: list[dict[str, dict[IPAddress, Claim]]] = []
        self._last: dict[IPAddress, str] = {}

    def start(self, *names: str) -> None:
        for name in names:
            self.gone.pop(name, None)
            self.comings[name] = remember(self.comings.get(name, ()), EPOCH + self.now)
            self.speakers[name] = Speaker(self.world, self.now)

    def stop(self, name: str, how: Liveness = Liveness.LEFT) -> None:
        """The node ends; its heirs take over what it held, as pulse does without asking any plan."""
        ended = self.speakers.pop(name)
        self.gone[name] = how
        cause = Cause.OWNER_LEFT if how is Liveness.LEFT else Cause.OWNER_GONE
        for address, claim in ended.claims.items():
            heir = next((heir for heir in claim.heirs if heir in self.speakers), None)
            if heir is not None and address in self.speakers[heir].memo.prepared:
                self._claim(heir, address, claim.epoch + 1, cause)

    def become(self, world: World, *names: str) -> None:
        self.world = world
        for name in names or tuple(self.speakers):
            self.speakers[name].world = world

    def run(self, seconds: float, check: Callable[[], None] | None = None) -> None:
        """Looks often while something happens, and now and then while nothing does."""
        until = round(self.now + seconds, 3)
        quiet = 0
        while self.now < until:
            before = [dict(speaker.claims) for speaker in self.speakers.values()]
            self.tick(min(IDLE if quiet > 2 + self.lag else TICK, until - self.now))
            quiet = quiet + 1 if before == [speaker.claims for speaker in self.speakers.values()] else 0
            if check is not None:
                check()

    def tick(self, seconds: float = TICK) -> None:
        self.now = round(self.now + seconds, 3)
        self._past.append({name: dict(speaker.claims) for name, speaker in self.speakers.items()})
        del self._past[: -1 - self.lag]
        for name in sorted(self.speakers):
            self._step(name)
        self._compare()
        best: dict[IPAddress, Claim] = {}
        for speaker in self.speakers.values():
            for address, claim in speaker.claims.items():
                if address not in best or claim_rank(claim) > claim_rank(best[address]):
                    best[address] = claim
        for address, claim in best.items():
            before = self._last.get(address)
            if before != claim.node:
                self.moves.append((self.now, str(address), before, claim.node, claim.cause))
                self._last[address] = claim.node

    def view(self, name: str) -> View:
        """As `name` sees it: its own claims now, the others' as they were a while ago."""
        past = self._past[0] if self._past else {}
        seen = {other: past.get(other, {}) for other in self.speakers} | {name: self.speakers[name].claims}
        members: dict[str, Member] = {
            other: replace(member(other), held_until_unix=held_until(self.comings[other])) for other in self.speakers
        } | {other: member(other, how) for other, how in self.gone.items()}
        old = self.speakers[name].memo.elect.claims.claims
        return View(
            source=name,
            seen_unix=EPOCH + self.now,
            members=MappingProxyType(members),
            claims=MappingProxyType(
                {n: old[n] if old.get(n) == found else MappingProxyType(dict(found)) for n, found in seen.items()}
            ),
            drains=MappingProxyType(dict(self.drains)),
            pins=MappingProxyType(dict(self.pins)),
            rebalance=self.rebalance,
        )

    def _step(self, name: str) -> None:
        speaker = self.speakers[name]
        seen = self.view(name)
        own = OwnInterfaces(node=name, usable={"eth0": True})
        plan, speaker.memo = announce(Snapshot(world=speaker.world, view=seen), speaker.memo, own=own)
        speaker.owners, _ = follow(
            speaker.owners,
            seen,
            speaker.memo.elect.claims,
            plan.by_address,
            now=self.now,
            now_unix=EPOCH + self.now,
            started_unix=0.0,
        )
        unowned: dict[IPAddress, Unowned] = dict(speaker.owners.unowned)
        made = decide(plan, seen, name, unowned=unowned, detection_time=0.3, agenda=speaker.agenda, now=self.now)
        speaker.agenda = made.agenda
        for address in made.release:
            speaker.claims.pop(address, None)
        for address, claim in list(speaker.claims.items()):
            entry = plan.prepared.get(address)
            if entry is not None and (claim.heirs, claim.generation) != (entry.heirs, speaker.world.generation):
                speaker.claims[address] = replace(claim, heirs=entry.heirs, generation=speaker.world.generation)
        held = {a: c for n, found in seen.claims.items() if n in self.speakers and n != name for a, c in found.items()}
        for address, cause in made.claim.items():
            if address not in held:
                self._claim(name, address, 1, cause)
        for address, cause in made.over.items():
            self._claim(name, address, held[address].epoch + 1, cause)

    def _claim(self, name: str, address: IPAddress, epoch: int, cause: str) -> None:
        speaker = self.speakers[name]
        entry = speaker.memo.prepared[address]
        speaker.claims[address] = Claim(
            address=address,
            node=name,
            incarnation=1,
            epoch=epoch,
            quorate=True,
            since_unix=EPOCH + self.now,
            cause=cause,
            generation=speaker.world.generation,
            heirs=entry.heirs,
        )

    def _compare(self) -> None:
        """Who hears a better claim gives up its own."""
        past = self._past[0]
        for name, speaker in self.speakers.items():
            for address, claim in list(speaker.claims.items()):
                others = [
                    found[address] for n, found in past.items() if n != name and n in self.speakers and address in found
                ]
                others = [c for c in others if self.speakers[c.node].claims.get(address, c).epoch >= c.epoch]
                if any(claim_rank(other) > claim_rank(claim) for other in others):
                    del speaker.claims[address]

    def loads(self) -> Counter[str]:
        """How many addresses each living node holds."""
        found: Counter[str] = Counter(dict.fromkeys(self.speakers, 0))
        for name, speaker in self.speakers.items():
            found[name] += len(speaker.claims)
        return found

    def owner(self, address: IPAddress) -> list[str]:
        return sorted(name for name, speaker in self.speakers.items() if address in speaker.claims)

    def moved_since(self, at: float) -> list[Any]:
        return [move for move in self.moves if move[0] > at]

    def everything_is_owned_once(self) -> None:
        allocated = {a for held in self.world.allocations.values() for a in held.addresses}
        owners = Counter(a for speaker in self.speakers.values() for a in speaker.claims)
        assert owners == Counter(dict.fromkeys(allocated, 1))


def spread(loads: Iterable[int]) -> int:
    found = list(loads)
    return max(found) - min(found)
