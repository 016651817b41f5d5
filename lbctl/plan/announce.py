"""What this node does about the addresses: which it is ready to announce, which it claims, which it gives up.

A takeover does not pass through here. The pulse process decides it alone, out of what was prepared before; this plan
claims what nobody inherits: new addresses, addresses whose heirs died too, and those that an heir failed to take.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.claim import Claim
from lbctl.model.snapshot import Snapshot, View, thawed
from lbctl.plan.elect import Assignment, ElectMemo, elect, heirs_of
from lbctl.plan.eligible import InterfaceSet, OwnInterfaces
from lbctl.plan.groups import Group, GroupKey
from lbctl.plan.reason import Cause

_EMPTY: Mapping[Any, Any] = MappingProxyType({})
PATIENCE = 1.0
"""Seconds that a candidate gives the one before it to claim an address that nobody holds. Two speakers whose worlds
differ in age may each take the other for the owner; this ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An address this node may announce: where, and who inherits it while this node owns it.

    `owner` is whom the plan wants to announce it.
    """

    allocation_id: int
    heirs: tuple[str, ...] = ()
    interfaces: InterfaceSet = None
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unowned:
    """An allocated address that no living speaker claims: since when (monotonic seconds) and how it came to that."""

    since: float
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What this node may announce, and who shall announce what."""

    prepared: Mapping[IPAddress, Prepared]
    assignments: Mapping[GroupKey, Assignment]
    by_address: Mapping[IPAddress, Group]
    alive: frozenset[str]
    touched: frozenset[IPAddress] | None = None
    """The addresses that may be prepared differently from the memo before; None when that may be any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What this node does now, with causes; `look_again_at` is when waiting may end, if it waits for something.

    `claim` is what nobody holds; `over` what this node takes from a living holder, as planned.
    """

    claim: Mapping[IPAddress, Cause] = field(default_factory=lambda: _EMPTY)
    over: Mapping[IPAddress, Cause] = field(default_factory=lambda: _EMPTY)
    release: Mapping[IPAddress, Cause] = field(default_factory=lambda: _EMPTY)
    look_again_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceMemo:
    """What the last plan was made of."""

    elect: ElectMemo = field(default_factory=ElectMemo)
    node: str = ""
    prepared: Mapping[IPAddress, Prepared] = field(default_factory=lambda: _EMPTY)


def announce(snapshot: Snapshot, memo: AnnounceMemo | None = None, *, own: OwnInterfaces) -> tuple[Plan, AnnounceMemo]:
    """The plan of `own.node`, which has these interfaces."""
    old = memo or AnnounceMemo()
    assignments, elect_memo = elect(snapshot, old.elect, own=own)
    alive = elect_memo.alive if elect_memo.alive is not None else frozenset()
    prepared, touched = _prepare(assignments, alive, own.node, old, elect_memo)
    plan = Plan(
        prepared=prepared,
        assignments=assignments,
        by_address=elect_memo.eligible.groups.groups.by_address,
        alive=alive,
        touched=touched,
    )
    return plan, AnnounceMemo(elect=elect_memo, node=own.node, prepared=prepared)


def decide(
    plan: Plan,
    view: View,
    node: str,
    *,
    unowned: Mapping[IPAddress, Unowned],
    detection_time: float,
    probing: Set[IPAddress] = frozenset(),
    probing_time: float = 0.0,
    now: float,
) -> Decision:
    """What `node` claims and releases.

    Args:
        plan: of `node`, on the same view.
        unowned: the addresses that no living speaker claims.
        detection_time: seconds of silence after which a speaker is dead; heirs of a dead owner get as long.
        probing: of `unowned`, those that their owner probes first, and
        probing_time: the seconds that this may take: the next in line wait as much longer.
        now: monotonic seconds, as in `unowned`.
    """
    mine: Mapping[IPAddress, Claim] = view.claims.get(node, _EMPTY)
    release: dict[IPAddress, Cause] = {}
    for address in mine:
        entry = plan.prepared.get(address)
        if entry is None:
            known = address in plan.by_address
            release[address] = Cause.NOT_ELIGIBLE if known else Cause.NO_LONGER_ALLOCATED
        elif view.synced and entry.owner not in (node, None):
            # The group was joined from two; the one who holds the better claim of the two takes all of it.
            release[address] = Cause.LOST_TO_BETTER_CLAIM
    claim: dict[IPAddress, Cause] = {}
    look_again_at: float | None = None
    if view.synced:
        for address, waiting in unowned.items():
            if address in mine or address not in plan.prepared:
                continue
            assignment = plan.assignments[plan.by_address[address].key]
            turn = _turn(assignment, plan.alive, node, waiting.cause, detection_time)
            if turn is None:
                continue
            if address in probing and assignment.owner != node:
                turn += probing_time
            if now >= waiting.since + turn:
                claim[address] = waiting.cause
            elif look_again_at is None or waiting.since + turn < look_again_at:
                look_again_at = waiting.since + turn
    return Decision(claim=claim, release=release, look_again_at=look_again_at)


def _turn(assignment: Assignment, alive: frozenset[str], me: str, cause: Cause, detection_time: float) -> float | None:
    """Seconds after which it is this node's turn to claim an address of the group; None while it never is."""
    inherited = detection_time if cause in (Cause.OWNER_GONE, Cause.OWNER_LEFT) else 0.0
    if assignment.owner == me:
        return inherited
    in_line = [node for node in assignment.order if node in alive]
    if me not in in_line:
        return None
    return inherited + max(PATIENCE, 2 * detection_time) * max(1, in_line.index(me))


def _prepare(
    assignments: Mapping[GroupKey, Assignment],
    alive: frozenset[str],
    me: str,
    old: AnnounceMemo,
    elect_memo: ElectMemo,
) -> tuple[Mapping[IPAddress, Prepared], frozenset[IPAddress] | None]:
    """Every address of every group that this node may announce. Equal entries keep their identity."""
    touched = elect_memo.touched if old.node == me else None
    if touched is not None and not touched:
        return old.prepared, frozenset()
    prepared: dict[IPAddress, Prepared]
    if touched is None:
        prepared, keys = {}, iter(assignments)
    else:
        prepared, keys = thawed(old.prepared), iter(touched)
        # All of them first: an address may have gone from one group to another.
        for key in touched:
            for address in key:
                prepared.pop(address, None)
    for key in keys:
        assignment = assignments.get(key)
        if assignment is None or me not in assignment.order:
            continue
        group = assignment.eligibility.group
        heirs = heirs_of(assignment.order, me, alive)
        was = old.elect.result.get(key)
        judged_alike = was is not None and was.eligibility is assignment.eligibility and old.node == me
        for address in assignment.eligibility.announced:
            kept = old.prepared.get(address)
            if kept is not None and judged_alike:
                allocation_id, interfaces = kept.allocation_id, kept.interfaces
            else:
                allocation_id = group.allocation_id(address)
                interfaces = assignment.eligibility.interfaces(address, me)
            entry = Prepared(allocation_id=allocation_id, heirs=heirs, interfaces=interfaces, owner=assignment.owner)
            prepared[address] = kept if kept == entry else entry
    changed = None if touched is None else frozenset(address for key in touched for address in key)
    return MappingProxyType(prepared), changed
