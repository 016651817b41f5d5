"""The nodes that could announce a group, and every reason why one is not its owner."""

from __future__ import annotations

from dataclasses import dataclass

from lbctl.model.member import Liveness, Member
from lbctl.model.snapshot import View
from lbctl.plan.claims import is_living
from lbctl.plan.elect import Assignment
from lbctl.plan.eligible import Verdict
from lbctl.plan.reason import Reason, Refusal


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
    refused = [verdict for node, verdict in verdicts.items() if node not in assignment.order]
    return tuple(_candidate(assignment, verdict, view) for verdict in (*ranked, *refused))


def _candidate(assignment: Assignment, verdict: Verdict, view: View | None) -> Candidate:
    node = verdict.node
    member = view.members.get(node) if view is not None else None
    alive = member is not None and is_living(member)
    refusals = list(verdict.refusals)
    if view is not None:
        if (drain := view.drains.get(node)) is not None:
            refusals.append(Refusal(node, Reason.NODE_DRAINED, f"by {drain.by}" if drain.by else ""))
        if not alive:
            refusals.append(Refusal(node, Reason.NODE_NOT_ALIVE, _how_not_alive(member)))
    if not refusals and assignment.owner is not None and assignment.owner != node:
        refusals += _lost(assignment, verdict, member, view)
    eligible = not verdict.refusals and node in assignment.order
    return Candidate(node=node, eligible=eligible, alive=alive, refusals=tuple(refusals))


def _how_not_alive(member: Member | None) -> str:
    if member is None:
        return "no speaker heard"
    return f"{member.state.value}, does not hear us" if member.state is Liveness.ALIVE else member.state.value


def _lost(assignment: Assignment, verdict: Verdict, member: Member | None, view: View | None) -> list[Refusal]:
    """What keeps a node back for itself, and what the owner is ahead in."""
    node, owner = verdict.node, assignment.owner
    assert owner is not None
    found: list[Refusal] = []
    if member is not None and member.state is Liveness.DRAINING:
        found.append(Refusal(node, Reason.NODE_DRAINING, "its speaker is about to end"))
    if member is not None and view is not None and member.held_until_unix > view.seen_unix:
        left = member.held_until_unix - view.seen_unix
        found.append(Refusal(node, Reason.HELD_DOWN, f"it came and went too often; for {left:.0f} s more"))
    if (pin := assignment.pin) is not None and pin.node == owner:
        return [*found, Refusal(node, Reason.PINNED_ELSEWHERE, f"to {owner}" + (f" by {pin.by}" if pin.by else ""))]
    if assignment.held is not None and assignment.take is None:
        waits = ", which takes it back once it has been well for a while" if assignment.returns_to == node else ""
        return [*found, Refusal(node, Reason.NOT_INCUMBENT, f"{owner} holds it{waits}")]
    verdicts = assignment.eligibility.verdicts
    weight = verdicts[owner].weight
    if verdict.weight < weight:
        return [*found, Refusal(node, Reason.LOWER_PREFERENCE, f"{verdict.weight} against {weight} of {owner}")]
    if verdict.outside and not verdicts[owner].outside:
        return [*found, Refusal(node, Reason.NO_SUBNET_ADDRESS, f"{owner} has an address in the subnet of the VIP")]
    order = assignment.order
    if found:
        return found
    if order.index(node) < order.index(owner):
        return [Refusal(node, Reason.MORE_LOADED, f"{owner} has fewer")]
    return [Refusal(node, Reason.LOWER_RENDEZVOUS, f"{owner} comes first by hash")]
