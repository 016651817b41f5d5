"""Who shall announce each group: the whole assignment, over all groups at once.

The living node that holds a group keeps it; else the greatest sum of preferences; else rendezvous hashing, which
every node computes alike and which moves nothing but what a vanished node held. The runners-up are the heirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.claim import Claim
from lbctl.model.member import Liveness, Member
from lbctl.model.snapshot import Snapshot, View, thawed
from lbctl.plan.claims import ClaimsMemo, best, index_claims, is_living, living
from lbctl.plan.eligible import Eligibility, EligibleMemo, OwnInterfaces, Verdict, eligible
from lbctl.plan.groups import GroupKey
from lbctl.plan.reason import Cause, Reason, Refusal
from lbctl.protocol.heartbeat import identity

_EMPTY: Mapping[Any, Any] = MappingProxyType({})
HEIRS = 2
"""How many successors an owner names: the second stands in for a first that died with the owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One group, its planned owner and its heirs. `owner` None: `why_none` names the reason.

    `take`: the planned owner is to take the group from the living node that holds it (`held`), now, for this cause.

    `order` are the eligible nodes, the most wanted first, alive or not. `held` is the claim by which the owner keeps
    the group, None when it is newly elected.
    """

    eligibility: Eligibility
    owner: str | None = None
    why_none: Reason | None = None
    held: Claim | None = None
    order: tuple[str, ...] = ()
    heirs: tuple[str, ...] = ()
    take: Cause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectMemo:
    """What the last answer was made of."""

    eligible: EligibleMemo = field(default_factory=EligibleMemo)
    claims: ClaimsMemo = field(default_factory=ClaimsMemo)
    alive: frozenset[str] | None = None
    result: Mapping[GroupKey, Assignment] = field(default_factory=lambda: _EMPTY)
    touched: frozenset[GroupKey] | None = frozenset()
    """The groups whose entry differs from that of the memo before this one; None when that may be any."""


def elect(
    snapshot: Snapshot, memo: ElectMemo | None = None, *, own: OwnInterfaces | None = None
) -> tuple[Mapping[GroupKey, Assignment], ElectMemo]:
    """The assignment of every group. Without a view nobody is known to live, and no owner is named."""
    old = memo or ElectMemo()
    eligibilities, eligible_memo = eligible(snapshot, old.eligible, own=own)
    view = snapshot.view
    alive = living(view) if view is not None else None
    if view is not None:
        claims, claims_memo = index_claims(view, old.claims)
    else:
        claims, claims_memo = _EMPTY, ClaimsMemo()
    touched = eligible_memo.touched
    result: Mapping[GroupKey, Assignment]
    if alive == old.alive:
        alive = old.alive
        if touched is not None and claims_memo is not old.claims:
            by_address = eligible_memo.groups.groups.by_address
            claimed = {group.key for a in claims_memo.touched if (group := by_address.get(a)) is not None}
            touched |= claimed
    else:
        touched = None
    if touched is None:
        result = MappingProxyType(
            {key: _assign(found, claims, alive, old.result.get(key)) for key, found in eligibilities.items()}
        )
    elif touched:
        made = thawed(old.result)
        for key in touched:
            if key in eligibilities:
                made[key] = _assign(eligibilities[key], claims, alive, old.result.get(key))
            else:
                made.pop(key, None)
        result = MappingProxyType(made)
    else:
        result = old.result
    return result, ElectMemo(eligible=eligible_memo, claims=claims_memo, alive=alive, result=result, touched=touched)


def heirs_of(order: tuple[str, ...], owner: str | None, alive: frozenset[str]) -> tuple[str, ...]:
    """Who takes a group when `owner` dies: the next living ones in order."""
    found: list[str] = []
    for node in order:
        if node != owner and node in alive:
            found.append(node)
            if len(found) == HEIRS:
                break
    return tuple(found)


def _assign(
    found: Eligibility,
    claims: Mapping[IPAddress, tuple[Claim, ...]],
    alive: frozenset[str] | None,
    before: Assignment | None,
) -> Assignment:
    # Hashing is the costly part, and the order depends on eligibility alone.
    order = before.order if before is not None and before.eligibility is found else _order(found)
    owner: str | None = None
    held: Claim | None = None
    why_none: Reason | None = None
    heirs: tuple[str, ...] = ()
    if not order:
        why_none = _why_nobody(found)
    elif alive is not None:
        held = best(
            claim
            for address in found.group.key
            for claim in claims.get(address, ())
            if claim.node in alive and claim.node in order
        )
        owner = held.node if held is not None else next((node for node in order if node in alive), None)
        if owner is None:
            why_none = Reason.NODE_NOT_ALIVE
        else:
            heirs = heirs_of(order, owner, alive)
    if (
        before is not None
        and before.eligibility is found
        and before.held is held
        and (before.owner, before.why_none, before.heirs) == (owner, why_none, heirs)
    ):
        return before
    return Assignment(eligibility=found, owner=owner, why_none=why_none, held=held, order=order, heirs=heirs)


def warden(assignment: Assignment, alive: frozenset[str]) -> str | None:
    """Who looks whether the quarantined addresses of a group are free again: its owner, or who would be."""
    if assignment.owner is not None:
        return assignment.owner
    found = assignment.eligibility
    kept_back = [v for v in found.verdicts.values() if all(r.reason is Reason.QUARANTINED for r in v.refusals)]
    return next((node for node in _ranked(kept_back, found) if node in alive), None)


def _order(found: Eligibility) -> tuple[str, ...]:
    return _ranked(found.nodes, found)


def _ranked(wanted: Sequence[Verdict], found: Eligibility) -> tuple[str, ...]:
    if len(wanted) < 2:
        return tuple(verdict.node for verdict in wanted)
    first = str(found.group.key[0])
    ranked = sorted((-v.weight, -identity.rendezvous(identity.node_hash(v.node), first), v.node) for v in wanted)
    return tuple(node for _, _, node in ranked)


def _why_nobody(found: Eligibility) -> Reason | None:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A node, whether it may announce a group, whether it lives, and every reason why it is not the owner."""

    node: str
    eligible: bool
    alive: bool
    refusals: tuple[Refusal, ...] = ()


def candidates(assignment: Assignment, view: View | None) -> tuple[Candidate, ...]:
    """Every node with what speaks against it; the eligible ones first, the most wanted of them first."""
    verdicts = assignment.eligibility.verdicts
    ranked = [verdicts[node] for node in assignment.order]
    refused = [verdict for verdict in verdicts.values() if verdict.refusals]
    return tuple(_candidate(assignment, verdict, view) for verdict in (*ranked, *refused))


def _candidate(assignment: Assignment, verdict: Verdict, view: View | None) -> Candidate:
    node = verdict.node
    member = view.members.get(node) if view is not None else None
    alive = member is not None and is_living(member)
    refusals = list(verdict.refusals)
    if view is not None and not alive:
        refusals.append(Refusal(node, Reason.NODE_NOT_ALIVE, _how_not_alive(member)))
    if not refusals and assignment.owner is not None and assignment.owner != node:
        refusals.append(_lost(assignment, verdict))
    return Candidate(node=node, eligible=not verdict.refusals, alive=alive, refusals=tuple(refusals))


def _how_not_alive(member: Member | None) -> str:
    if member is None:
        return "no speaker heard"
    return f"{member.state.value}, does not hear us" if member.state is Liveness.ALIVE else member.state.value


def _lost(assignment: Assignment, verdict: Verdict) -> Refusal:
    owner = assignment.owner
    assert owner is not None
    if assignment.held is not None:
        return Refusal(verdict.node, Reason.NOT_INCUMBENT, f"{owner} holds it")
    weight = assignment.eligibility.verdicts[owner].weight
    if verdict.weight < weight:
        return Refusal(verdict.node, Reason.LOWER_PREFERENCE, f"{verdict.weight} against {weight} of {owner}")
    return Refusal(verdict.node, Reason.LOWER_RENDEZVOUS, f"{owner} comes first by hash")
