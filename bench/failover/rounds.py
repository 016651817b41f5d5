"""One failure after another, each timed and judged."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from bench.failover.cluster import Cluster
from bench.failover.faults import Fault, Hindrance
from bench.failover.timeline import Takeover, longest_silence, owners, settled_after, takeover
from tests.support.lateness import TOO_LATE

_FAILURES = 2
"""Failures of one node in the life of a cluster: from the third on it would be held down."""
_AFTER = 0.6
"""Seconds of watching after all is taken over."""
_STEP = 0.1
_phase = random.Random()


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    took: float | None
    """Seconds until the last address was said by a new owner; None when one never was."""
    moved: int
    missing: int
    doubled: int
    """Answers by two nodes after the new owner's first frame, while the fault lasted."""
    kept: bool = False
    """The owner went on answering: `took` is then the longest silence of an address."""
    healed: float = 0.0
    """Seconds from mending it to the last answer of anybody but the final owner."""
    doubled_after: int = 0
    """Such answers after mending."""
    moved_after: int = 0
    """Addresses that mending gave to anybody but who had them then, or before the fault where `Plan.returns`."""
    late: float = 0.0

    @property
    def too_late(self) -> bool:
        return self.late > TOO_LATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`before`: so many nodes are dead already, by the same fault. `patience`: seconds until it counts as not taken."""

    fault: Fault
    hindrance: Hindrance | None = None
    hindered: float = 0.0
    """Seconds that the hindrance lasts, at least, from just before the fault."""
    before: int = 0
    patience: float = 3.0
    returns: bool = False
    """Who took over was in the minority: by mending, the owner from before the fault has its addresses again."""
    fresh: bool = False
    """A new cluster for each round."""


def rounds(cluster: Cluster, plan: Plan, count: int) -> Iterator[Round]:
    """So many rounds, and one more for each in which the machine was late, but never more than twice as many."""
    good = done = 0
    most = 2 * count if plan.fault.mendable else 1
    while good < count and done < most:
        spent = sorted(cluster.failures.values())[plan.before] >= _FAILURES
        if not cluster.standing or plan.fresh or spent:
            cluster.start()
        cluster.standing = False
        found = _round(cluster, plan)
        cluster.standing = plan.fault.mendable
        done += 1
        good += not found.too_late
        yield found


def _round(cluster: Cluster, plan: Plan) -> Round:
    cluster.frames.clear()
    held = cluster.settle()
    dead: list[str] = []
    for _ in range(plan.before):
        victim = _fullest(cluster, held, dead)
        plan.fault.aim(cluster, victim)()
        dead.append(victim)
        held = cluster.settle(alive=tuple(name for name in cluster.names if name not in dead))
    victim = _fullest(cluster, held, dead)
    vips = [vip for vip, node in held.items() if node == victim]
    others = tuple(name for name in cluster.names if name not in (*dead, victim))
    cluster.observer.ask(vips)
    strike = plan.fault.aim(cluster, victim)
    time.sleep(0.2 + _phase.uniform(0.0, cluster.interval))  # whatever the phase of the beats
    cluster.forget()
    relieve = plan.hindrance.begin(cluster, others) if plan.hindrance is not None else None
    hampered = time.monotonic()
    fault = time.time_ns()
    strike()
    try:
        judged, until = _watch(cluster, vips, cluster.switch.mac(victim), fault, plan.patience)
        time.sleep(max(0.0, plan.hindered - (time.monotonic() - hampered)))
    finally:
        if relieve is not None:
            relieve()
    late = cluster.late
    dead.append(victim)
    for name in dead:
        cluster.failures[name] += 1
    kept = judged.moved == 0 and bool(owners(cluster.frames, until - 300_000_000))
    took = longest_silence(cluster.frames, vips, since=fault, until=until) if kept else judged.last
    found = Round(
        took=took,
        moved=judged.moved,
        missing=0 if kept else judged.missing,
        doubled=judged.doubled,
        kept=kept,
        late=late,
    )
    return _mended(cluster, plan, dead, found, held if plan.returns else {}) if plan.fault.mendable else found


def _watch(cluster: Cluster, vips: list[str], old: str, fault: int, patience: float) -> tuple[Takeover, int]:
    """What happened until all were taken over, and a while after; and until when that was."""
    deadline = time.monotonic() + patience
    while True:
        cluster.watch(_STEP)
        judged = takeover(cluster.frames, vips, old=old, fault=fault, until=time.time_ns())
        if judged.missing == 0 or time.monotonic() > deadline:
            break
    cluster.watch(_AFTER)
    until = time.time_ns()
    return takeover(cluster.frames, vips, old=old, fault=fault, until=until), until


def _mended(cluster: Cluster, plan: Plan, dead: list[str], found: Round, original: Mapping[str, str]) -> Round:
    """`original`: whom each address may go back to."""
    cluster.observer.ask(cluster.vips)
    before_at = time.time_ns()
    cluster.watch(len(cluster.vips) / 1000 + 0.1)
    before = {vip: macs for vip, macs in owners(cluster.frames, before_at).items() if len(macs) == 1}
    mended = time.time_ns()
    for name in dead:
        plan.fault.mend(cluster, name)
    held = cluster.settle()
    final = {vip: cluster.switch.mac(node) for vip, node in held.items()}
    strays = [
        frame
        for frame in cluster.frames
        if frame.answer and frame.at >= mended and final.get(frame.vip, frame.mac) != frame.mac
    ]
    return replace(
        found,
        healed=settled_after(cluster.frames, final, since=mended),
        doubled_after=len(strays),
        moved_after=sum(
            final[vip] not in macs and original.get(vip) != held[vip] for vip, macs in before.items() if vip in held
        ),
    )


def _fullest(cluster: Cluster, held: Mapping[str, str], dead: list[str]) -> str:
    """Of those that have failed least, the one with the most addresses."""
    counts = Counter(held.values())
    living = [name for name in cluster.names if name not in dead and counts[name]]
    allowed = [name for name in living if cluster.failures[name] < _FAILURES] or living
    return max(allowed, key=lambda name: counts[name])
