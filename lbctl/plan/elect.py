"""Who shall announce each group: the whole assignment, over all groups at once.

A pin decides; else the living node that holds a group keeps it; else the greatest sum of preferences; else whoever has
the fewest groups, ties by rendezvous hashing (`spread`). Every node computes this alike out of the same view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.advertisement import Failback
from lbctl.model.claim import Claim
from lbctl.model.frozen_map import changed_keys
from lbctl.model.snapshot import Pin, Snapshot, World, thawed
from lbctl.plan.claims import ClaimsMemo, best, index_claims
from lbctl.plan.eligible import Eligibility, EligibleMemo, OwnInterfaces, Verdict, eligible
from lbctl.plan.failback import failback_of
from lbctl.plan.fleet import Fleet, fleet_of
from lbctl.plan.groups import GroupKey
from lbctl.plan.reason import Cause, Reason
from lbctl.plan.spread import distribute
from lbctl.protocol.heartbeat import identity

_EMPTY: Mapping[Any, Any] = MappingProxyType({})
HEIRS = 2
"""How many successors an owner names: the second stands in for a first that died with the owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One group, its planned owner and its heirs. `owner` None: `why_none` names the reason.

    `order` are the eligible nodes, the most wanted first, alive or not. `held` is the claim of the living node that
    holds the group, None when nobody does. `take`: the planned owner is another, and takes it over now, for this cause.
    `returns_to` is a node that is wanted more than the owner, and takes it once it has been well for long enough.
    """

    eligibility: Eligibility
    owner: str | None = None
    why_none: Reason | None = None
    held: Claim | None = None
    order: tuple[str, ...] = ()
    heirs: tuple[str, ...] = ()
    take: Cause | None = None
    returns_to: str | None = None
    pin: Pin | None = None
    failback: Failback = Failback.PREFERRED


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectMemo:
    """What the last answer was made of. `open`: the groups that nobody holds, and who may be given each.

    `loads` counts what each node holds, or is to take for a reason of its own. `behind`: groups of which a node that
    decided on a newer World says more than this one can.
    """

    eligible: EligibleMemo = field(default_factory=EligibleMemo)
    claims: ClaimsMemo = field(default_factory=ClaimsMemo)
    fleet: Fleet | None = None
    pins: Mapping[IPAddress, Pin] = field(default_factory=lambda: _EMPTY)
    open: Mapping[GroupKey, tuple[str, ...]] = field(default_factory=lambda: _EMPTY)
    loads: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    behind: frozenset[GroupKey] = frozenset()
    generation: int = 0
    result: Mapping[GroupKey, Assignment] = field(default_factory=lambda: _EMPTY)
    touched: frozenset[GroupKey] | None = frozenset()
    """The groups whose entry differs from that of the memo before this one; None when that may be any."""

    @property
    def alive(self) -> frozenset[str] | None:
        return self.fleet.alive if self.fleet is not None else None


def elect(
    snapshot: Snapshot, memo: ElectMemo | None = None, *, own: OwnInterfaces | None = None
) -> tuple[Mapping[GroupKey, Assignment], ElectMemo]:
    """The assignment of every group. Without a view nobody is known to live, and no owner is named."""
    old = memo or ElectMemo()
    eligibilities, eligible_memo = eligible(snapshot, old.eligible, own=own)
    view = snapshot.view
    fleet = fleet_of(view) if view is not None else None
    fleet = old.fleet if fleet == old.fleet else fleet
    pins = view.pins if view is not None else _EMPTY
    if view is not None:
        claims, claims_memo = index_claims(view, old.claims)
    else:
        claims, claims_memo = _EMPTY, ClaimsMemo()
    touched = eligible_memo.touched if fleet is old.fleet else None
    if touched is not None:
        by_address = eligible_memo.groups.groups.by_address
        said = claims_memo.touched if claims_memo is not old.claims else frozenset()
        said |= changed_keys(old.pins, pins)
        touched |= {group.key for address in said if (group := by_address.get(address)) is not None}
        if old.behind and snapshot.world.generation != old.generation:
            touched |= old.behind
    hall = _Hall(snapshot.world, claims, fleet, pins, old)
    if touched is None:
        hall.empty()
        for key, found in eligibilities.items():
            hall.seat(key, found)
    else:
        for key in touched:
            hall.unseat(key)
            if key in eligibilities:
                hall.seat(key, eligibilities[key])
    result, given = hall.settle()
    if touched is not None:
        touched |= given
    return result, ElectMemo(
        eligible=eligible_memo,
        claims=claims_memo,
        fleet=fleet,
        pins=pins,
        open=hall.open,
        loads=hall.loads,
        behind=frozenset(hall.behind),
        generation=snapshot.world.generation,
        result=result,
        touched=touched,
    )


class _Hall:
    """One election: group by group what stands by itself, then at once what is to be given out."""

    def __init__(
        self,
        world: World,
        claims: Mapping[IPAddress, tuple[Claim, ...]],
        fleet: Fleet | None,
        pins: Mapping[IPAddress, Pin],
        old: ElectMemo,
    ) -> None:
        self._world, self._claims, self._fleet, self._pins, self._old = world, claims, fleet, pins, old
        self._made: dict[GroupKey, Assignment] | None = None
        self.open: Mapping[GroupKey, tuple[str, ...]] = old.open
        self.loads: Mapping[str, int] = old.loads
        self.behind: set[GroupKey] = set(old.behind)
        self._same_drains = (fleet is None and old.fleet is None) or (
            fleet is not None and old.fleet is not None and fleet.drained == old.fleet.drained
        )
        self._speaking = any(ad.failback is not None for ad in world.l2_advertisements.values())

    def empty(self) -> None:
        self._made, self.open, self.loads, self.behind = {}, {}, {}, set()

    def unseat(self, key: GroupKey) -> None:
        made = self._writable()
        self.behind.discard(key)
        before = made.pop(key, None)
        if key in self.open:
            self._opened().pop(key)
        elif before is not None and before.owner is not None:
            self._count(before.owner, -1)

    def seat(self, key: GroupKey, found: Eligibility) -> None:
        before = self._old.result.get(key)
        assignment, wanted = self._judge(found, before)
        if wanted:
            self._opened()[key] = wanted
        elif assignment.owner is not None:
            self._count(assignment.owner, 1)
        self._writable()[key] = before if before is not None and assignment == before else assignment

    def settle(self) -> tuple[Mapping[GroupKey, Assignment], frozenset[GroupKey]]:
        """The whole assignment, and the groups that are given to another than before."""
        given: set[GroupKey] = set()
        if self.open and (self.open is not self._old.open or self.loads is not self._old.loads):
            owners = distribute(self.open, self.loads)
            for key, owner in owners.items():
                made = self._writable()
                before, seated = self._old.result.get(key), made[key]
                assignment = self._given(seated, owner)
                if before is not None and before == assignment:
                    made[key] = before
                else:
                    made[key] = assignment
                    given.add(key)
        for name in ("open", "loads"):
            if (now := getattr(self, name)) is not getattr(self._old, name):
                setattr(self, name, MappingProxyType(now))
        if self._made is None:
            return self._old.result, frozenset()
        return MappingProxyType(self._made), frozenset(given)

    def _given(self, seated: Assignment, owner: str) -> Assignment:
        assert self._fleet is not None
        return Assignment(
            eligibility=seated.eligibility,
            owner=owner,
            held=seated.held,
            order=seated.order,
            heirs=heirs_of(seated.order, owner, self._fleet),
            take=seated.take,
            pin=seated.pin,
            failback=seated.failback,
        )

    def _judge(self, found: Eligibility, before: Assignment | None) -> tuple[Assignment, tuple[str, ...]]:
        """The assignment as far as it stands by itself; nodes of which one is to be given the group, else none."""
        fleet = self._fleet
        kept = before is not None and before.eligibility is found and self._same_drains
        # Hashing is the costly part, and the order depends on eligibility and drains alone.
        order = before.order if before is not None and kept else self._order(found)
        policy = failback_of(found, self._world, self._speaking)
        if not order or fleet is None:
            why = None if order else self._why_nobody(found)
            return Assignment(eligibility=found, why_none=why, order=order, failback=policy), ()
        pin = self._pin(found.group.key)
        held, leaving = self._holder(found, order)
        take: Cause | None = leaving
        if pin is not None and pin.node in order and pin.node in fleet.fit:
            if held is not None and held.node != pin.node:
                take = Cause.MOVED
            owner = pin.node
        elif held is not None and leaving is None:
            owner = held.node
        else:
            wanted = foremost(found, fleet.choices(order))
            if policy is Failback.ALWAYS:
                wanted = wanted[:1]
            if not wanted:
                return Assignment(
                    eligibility=found, why_none=Reason.NODE_NOT_ALIVE, order=order, pin=pin, failback=policy
                ), ()
            return Assignment(eligibility=found, held=held, order=order, take=take, pin=pin, failback=policy), wanted
        returns_to = self._returns_to(found, order, owner, policy) if pin is None and take is None else None
        named = held.heirs if held is not None and take is None else ()
        return Assignment(
            eligibility=found,
            owner=owner,
            held=held,
            order=order,
            heirs=heirs_of(order, owner, fleet, named),
            take=take,
            returns_to=returns_to,
            pin=pin,
            failback=policy,
        ), ()

    def _order(self, found: Eligibility) -> tuple[str, ...]:
        drained = self._fleet.drained if self._fleet is not None else frozenset()
        return _ranked([verdict for verdict in found.nodes if verdict.node not in drained], found)

    def _pin(self, key: GroupKey) -> Pin | None:
        """The latest word on any address of the group: they move together."""
        if not self._pins:
            return None
        pins = [pin for address in key if (pin := self._pins.get(address)) is not None]
        return max(pins, key=lambda pin: (pin.version, pin.by), default=None)

    def _holder(self, found: Eligibility, order: tuple[str, ...]) -> tuple[Claim | None, Cause | None]:
        """The claim of the living node that holds the group; the cause for which it is to be taken from that one.

        Who may not hold it for a while (drained, or its last endpoint went) answers until another has taken it.
        """
        assert self._fleet is not None
        alive = self._fleet.alive
        claims = [c for a in found.group.key for c in self._claims.get(a, ()) if c.node in alive]
        held = best(claim for claim in claims if claim.node in order)
        if held is not None or not claims:
            return held, None
        leaver = best(claims)
        assert leaver is not None
        verdict = found.verdicts.get(leaver.node)
        if verdict is None:
            return None, None
        if not verdict.refusals:
            return leaver, Cause.DRAINED
        softly = all(refusal.reason is Reason.NO_LOCAL_ENDPOINTS for refusal in verdict.refusals)
        if softly and leaver.generation > self._world.generation:
            # Whoever decided on a newer World than ours may know of endpoints that we do not.
            self.behind.add(found.group.key)
            softly = False
        return (leaver, Cause.OWNER_NOT_ELIGIBLE) if softly else (None, None)

    def _returns_to(self, found: Eligibility, order: tuple[str, ...], owner: str, policy: Failback) -> str | None:
        if policy is Failback.NEVER or order[0] == owner:
            return None
        assert self._fleet is not None
        first = next((node for node in order if node in self._fleet.steady), None)
        if first is None or first == owner:
            return None
        if policy is Failback.ALWAYS or found.verdicts[first].weight > found.verdicts[owner].weight:
            return first
        return None

    def _why_nobody(self, found: Eligibility) -> Reason:
        return Reason.NODE_DRAINED if found.nodes else _why_nobody(found)

    def _writable(self) -> dict[GroupKey, Assignment]:
        if self._made is None:
            self._made = thawed(self._old.result)
        return self._made

    def _opened(self) -> dict[GroupKey, tuple[str, ...]]:
        if self.open is self._old.open or not isinstance(self.open, dict):
            self.open = thawed(self.open)
        return self.open

    def _count(self, node: str, by: int) -> None:
        if self.loads is self._old.loads or not isinstance(self.loads, dict):
            self.loads = thawed(self.loads)
        self.loads[node] = self.loads.get(node, 0) + by
        if not self.loads[node]:
            del self.loads[node]


def heirs_of(order: tuple[str, ...], owner: str | None, fleet: Fleet, named: Sequence[str] = ()) -> tuple[str, ...]:
    """Who takes a group when `owner` dies: those that its claim named and that still can, then the next in order."""
    found = [node for node in named if node != owner and node in fleet.fit and node in order]
    if len(found) >= HEIRS:
        return tuple(found[:HEIRS])
    for some in (fleet.steady, fleet.held_down & fleet.fit):
        for node in order:
            if node != owner and node in some and node not in found:
                found.append(node)
                if len(found) == HEIRS:
                    return tuple(found)
    return tuple(found)


def warden(assignment: Assignment, alive: frozenset[str]) -> str | None:
    """Who looks whether the quarantined addresses of a group are free again: its owner, or who would be."""
    if assignment.owner is not None:
        return assignment.owner
    found = assignment.eligibility
    kept_back = [v for v in found.verdicts.values() if all(r.reason is Reason.QUARANTINED for r in v.refusals)]
    return next((node for node in _ranked(kept_back, found) if node in alive), None)


def foremost(found: Eligibility, ranked: Sequence[str]) -> tuple[str, ...]:
    """Of nodes in their order those that nothing but load and hash tell from the first."""
    if len(ranked) < 2:
        return tuple(ranked)
    first = found.verdicts[ranked[0]]
    return tuple(
        node
        for node in ranked
        if (found.verdicts[node].weight, found.verdicts[node].outside) == (first.weight, first.outside)
    )


def _ranked(wanted: Sequence[Verdict], found: Eligibility) -> tuple[str, ...]:
    if len(wanted) < 2:
        return tuple(verdict.node for verdict in wanted)
    first = str(found.group.key[0])
    ranked = sorted(
        (-v.weight, v.outside, -identity.rendezvous(identity.node_hash(v.node), first), v.node) for v in wanted
    )
    return tuple(node for _, _, _, node in ranked)


def _why_nobody(found: Eligibility) -> Reason:
    """The reason to name when no node may: the group's own, or the one that all or most of the nodes share."""
    if not found.serving and found.refusals:
        return found.refusals[0].reason
    counted: dict[Reason, int] = {}
    for verdict in found.verdicts.values():
        for refusal in verdict.refusals:
            counted[refusal.reason] = counted.get(refusal.reason, 0) + 1
    if not counted:
        return Reason.NODE_UNKNOWN
    return min(counted, key=lambda reason: (-counted[reason], reason.value))
