"""What this node does about the addresses: which it is ready to announce, which it claims, which it gives up.

A takeover does not pass through here. The pulse process decides it alone, out of what was prepared before; this plan
claims what nobody inherits: new addresses, addresses whose heirs died too, and those that an heir failed to take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.claim import Claim
from lbctl.model.snapshot import Snapshot, View, thawed
from lbctl.plan.elect import Assignment, ElectMemo, elect, heirs_of
from lbctl.plan.eligible import OwnInterfaces
from lbctl.plan.fleet import Fleet
from lbctl.plan.groups import GroupKey
from lbctl.plan.heirs import HeirsMemo, first_heirs
from lbctl.plan.moves import Agenda, planned_moves
from lbctl.plan.planned import Plan, Prepared
from lbctl.plan.reason import Cause, Reason

_EMPTY: Mapping[Any, Any] = MappingProxyType({})
DRAIN_TIME = 3.0
"""Seconds for which a drained node answers for what nobody has taken yet."""
ENDPOINT_TIME = 2.0
"""Seconds for which an owner that lost its last endpoint stays the owner when no other node has one."""
PATIENCE = 1.0
"""Seconds that a candidate gives the one before it to claim an address that nobody holds. Two speakers whose worlds
differ in age may each take the other for the owner; this ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unowned:
    """An allocated address that no living speaker claims: since when (monotonic seconds) and how it came to that."""

    since: float
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What this node does now, with causes; `look_again_at` is when waiting may end, if it waits for something.

    `claim` is what nobody holds; `over` what this node takes from a living holder, as planned. `keep`: what it holds
    though it may not, until another has taken it or time is up. `agenda` is for the next decision.
    """

    claim: Mapping[IPAddress, Cause] = field(default_factory=lambda: _EMPTY)
    over: Mapping[IPAddress, Cause] = field(default_factory=lambda: _EMPTY)
    release: Mapping[IPAddress, Cause] = field(default_factory=lambda: _EMPTY)
    keep: frozenset[IPAddress] = frozenset()
    look_again_at: float | None = None
    agenda: Agenda = field(default_factory=Agenda, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceMemo:
    """What the last plan was made of."""

    elect: ElectMemo = field(default_factory=ElectMemo)
    node: str = ""
    heirs: HeirsMemo = field(default_factory=HeirsMemo)
    plan: Plan | None = None
    prepared: Mapping[IPAddress, Prepared] = field(default_factory=lambda: _EMPTY)


def announce(snapshot: Snapshot, memo: AnnounceMemo | None = None, *, own: OwnInterfaces) -> tuple[Plan, AnnounceMemo]:
    """The plan of `own.node`, which has these interfaces."""
    old, me = memo or AnnounceMemo(), own.node
    assignments, elect_memo = elect(snapshot, old.elect, own=own)
    fleet = elect_memo.fleet or Fleet()
    keys = elect_memo.touched if old.node == me and old.plan is not None else None
    resting = not elect_memo.open
    heirs, reheired = first_heirs(assignments, keys, fleet, elect_memo.loads, me, old.heirs, resting=resting)
    prepared, touched = _prepare(assignments, fleet, me, old, heirs, keys if keys is None else keys | reheired)
    mine = snapshot.view.claims.get(me, _EMPTY) if snapshot.view is not None else _EMPTY
    before = old.plan if keys is not None else None
    plan = Plan(
        prepared=prepared,
        assignments=assignments,
        by_address=elect_memo.eligible.groups.groups.by_address,
        fleet=fleet,
        touched=touched,
        strays=_strays(mine, prepared, me, before, touched, elect_memo, old.elect),
        taking=_those(
            assignments, keys, before.taking if before else None, lambda a: a.take is not None and a.owner == me
        ),
        returning=_those(assignments, keys, before.returning if before else None, lambda a: a.returns_to == me),
        loads=elect_memo.loads,
        resting=resting,
    )
    return plan, AnnounceMemo(elect=elect_memo, node=me, heirs=heirs, plan=plan, prepared=prepared)


def _those(
    assignments: Mapping[GroupKey, Assignment],
    touched: frozenset[GroupKey] | None,
    before: frozenset[GroupKey] | None,
    wanted: Callable[[Assignment], bool],
) -> frozenset[GroupKey]:
    if touched is None or before is None:
        return frozenset(key for key, assignment in assignments.items() if wanted(assignment))
    found = frozenset(key for key in touched if (a := assignments.get(key)) is not None and wanted(a))
    return before if not touched else before - touched | found


def _strays(
    mine: Mapping[IPAddress, Claim],
    prepared: Mapping[IPAddress, Prepared],
    me: str,
    before: Plan | None,
    touched: frozenset[IPAddress] | None,
    memo: ElectMemo,
    old: ElectMemo,
) -> frozenset[IPAddress]:
    looked: Iterable[IPAddress] = mine
    if before is not None and touched is not None:
        looked = touched | memo.claims.touched if memo.claims is not old.claims else touched
        if not looked:
            return before.strays
    found = frozenset(
        address
        for address in looked
        if address in mine and ((entry := prepared.get(address)) is None or entry.owner not in (me, None))
    )
    return found if before is None or touched is None else before.strays - frozenset(looked) | found


def decide(
    plan: Plan,
    view: View,
    node: str,
    *,
    unowned: Mapping[IPAddress, Unowned],
    detection_time: float,
    probing: Set[IPAddress] = frozenset(),
    probing_time: float = 0.0,
    agenda: Agenda | None = None,
    now: float,
) -> Decision:
    """What `node` claims and releases.

    Args:
        plan: of `node`, on the same view.
        unowned: the addresses that no living speaker claims.
        detection_time: seconds of silence after which a speaker is dead; heirs of a dead owner get as long.
        probing: of `unowned`, those that their owner probes first, and
        probing_time: the seconds that this may take: the next in line wait as much longer.
        agenda: of the decision before.
        now: monotonic seconds, as in `unowned` and `agenda`.
    """
    old = agenda or Agenda()
    mine: Mapping[IPAddress, Claim] = view.claims.get(node, _EMPTY)
    release: dict[IPAddress, Cause] = {}
    keeping: dict[IPAddress, float] = {}
    times: list[float] = []
    for address in plan.strays:
        entry = plan.prepared.get(address)
        if entry is not None:
            # Who is to have it by a planned move takes it from us; given up before, nobody would answer meanwhile.
            if view.synced and plan.assignments[plan.by_address[address].key].take is None:
                # The group was joined from two; the one who holds the better claim of the two takes all of it.
                release[address] = Cause.LOST_TO_BETTER_CLAIM
            continue
        if address not in plan.by_address:
            release[address] = Cause.NO_LONGER_ALLOCATED
            continue
        cause, patience = _lenience(plan.assignments[plan.by_address[address].key], node)
        since = old.keeping.get(address, now)
        if now < since + patience:
            keeping[address] = since
            times.append(since + patience)
        else:
            release[address] = cause
    claim: dict[IPAddress, Cause] = {}
    over: Mapping[IPAddress, Cause] = _EMPTY
    if view.synced:
        for address, waiting in unowned.items():
            if address in mine or address not in plan.prepared:
                continue
            assignment = plan.assignments[plan.by_address[address].key]
            turn = _turn(assignment, plan.fleet, node, waiting.cause, detection_time)
            if turn is None:
                continue
            if address in probing and assignment.owner != node:
                turn += probing_time
            if now >= waiting.since + turn:
                claim[address] = waiting.cause
            else:
                times.append(waiting.since + turn)
        over, old, at = planned_moves(plan, view, node, old, now=now)
        times += [at] if at is not None else []
    return Decision(
        claim=claim,
        over=over,
        release=release,
        keep=frozenset(keeping),
        look_again_at=min(times, default=None),
        agenda=old if old.keeping == keeping else replace(old, keeping=MappingProxyType(keeping)),
    )


def _lenience(assignment: Assignment, me: str) -> tuple[Cause, float]:
    """The cause for which `me` gives up what it may not announce, and the seconds that it holds it all the same.

    Within them another takes it over, and nothing is lost; or an endpoint that was away for a moment is back.
    """
    verdict = assignment.eligibility.verdicts.get(me)
    if verdict is not None and not verdict.refusals and me not in assignment.order:
        return Cause.DRAINED, DRAIN_TIME
    refusals = verdict.refusals if verdict is not None else assignment.eligibility.refusals
    without = all(refusal.reason in (Reason.NO_ENDPOINTS, Reason.NO_LOCAL_ENDPOINTS) for refusal in refusals)
    return Cause.NOT_ELIGIBLE, ENDPOINT_TIME if refusals and without else 0.0


def _turn(assignment: Assignment, fleet: Fleet, me: str, cause: Cause, detection_time: float) -> float | None:
    """Seconds after which it is this node's turn to claim an address of the group; None while it never is."""
    inherited = detection_time if cause in (Cause.OWNER_GONE, Cause.OWNER_LEFT) else 0.0
    if assignment.owner == me:
        return inherited
    in_line = [node for node in assignment.order if node in fleet.fit and node != assignment.owner]
    if me not in in_line:
        return None
    return inherited + max(PATIENCE, 2 * detection_time) * (1 + in_line.index(me))


def _prepare(
    assignments: Mapping[GroupKey, Assignment],
    fleet: Fleet,
    me: str,
    old: AnnounceMemo,
    heirs: HeirsMemo,
    touched: frozenset[GroupKey] | None,
) -> tuple[Mapping[IPAddress, Prepared], frozenset[IPAddress] | None]:
    """Every address of every group that this node may announce. Equal entries keep their identity."""
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
        first = heirs.first(key)
        named = (first,) if first is not None else ()
        if first is not None and assignment.held is not None:
            named = (*named, *(heir for heir in assignment.held.heirs if heir != first))
        successors = heirs_of(assignment.order, me, fleet, named)
        was = old.elect.result.get(key)
        judged_alike = was is not None and was.eligibility is assignment.eligibility and old.node == me
        for address in assignment.eligibility.announced:
            kept = old.prepared.get(address)
            if kept is not None and judged_alike:
                allocation_id, interfaces, pace = kept.allocation_id, kept.interfaces, kept.pace
            else:
                allocation_id = group.allocation_id(address)
                interfaces = assignment.eligibility.interfaces(address, me)
                pace = assignment.eligibility.pace(address, me)
            entry = Prepared(
                allocation_id=allocation_id,
                heirs=successors,
                interfaces=interfaces,
                owner=assignment.owner,
                pace=pace,
            )
            prepared[address] = kept if kept == entry else entry
    changed = None if touched is None else frozenset(address for key in touched for address in key)
    return MappingProxyType(prepared), changed
