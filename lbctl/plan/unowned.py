"""Addresses that services hold and nobody announces: which, and why, in the words of the plan.

`unowned` finds them; `troubles` says in a few lines what an operator has to know of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from lbctl.model.address import IPAddress
from lbctl.model.service import ServiceKey, ServiceType
from lbctl.model.snapshot import View, World
from lbctl.plan.claims import living
from lbctl.plan.elect import Assignment, ElectMemo
from lbctl.plan.fleet import Fleet
from lbctl.plan.quarantine import refusal_of
from lbctl.plan.reason import Reason, Refusal

GRACE = 3.0
"""Seconds that speakers have to begin with a new address before it counts as announced by nobody."""
SHOWN = 3
"""Services named in troubles; of the others there is the number."""

_NODES_SHOWN = 5
_NO_TROUBLE = frozenset({Reason.NO_ENDPOINTS, Reason.NO_LOCAL_ENDPOINTS, Reason.QUARANTINED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Unowned:
    """One address of one service that nobody announces. `since_unix`: when it was allocated.

    `planned`: the node that should, where there is one and it does not say that it does.
    """

    service: ServiceKey
    address: IPAddress
    since_unix: float
    refusals: tuple[Refusal, ...]
    planned: str | None = None

    @property
    def mendable(self) -> bool:
        """Whether the load balancer is what keeps it: not a service without endpoints, nor a quarantine."""
        return any(refusal.reason not in _NO_TROUBLE for refusal in self.refusals)


def claimed(view: View) -> frozenset[IPAddress]:
    """What living speakers say that they announce."""
    return frozenset(address for node in living(view) for address in view.claims.get(node, ()))


def unowned(world: World, memo: ElectMemo, announced: Container[IPAddress]) -> tuple[Unowned, ...]:
    """Those of `world`, in the order of its allocations. `memo` is that of an election over `world`."""
    by_address, assignments = memo.eligible.groups.groups.by_address, memo.result
    of_nodes: dict[int, tuple[Refusal, ...]] = {}
    found: list[Unowned] = []
    for key, allocation in world.allocations.items():
        silent = [address for address in allocation.addresses if address not in announced]
        service = world.services.get(key) if silent else None
        if service is None or service.type is not ServiceType.LOAD_BALANCER:
            continue
        for address in silent:
            group = by_address.get(address)
            assignment = assignments.get(group.key) if group is not None else None
            if assignment is None:
                continue
            refusals = _why(key, address, assignment, memo.fleet, of_nodes)
            planned = assignment.owner if refusals[0].reason is Reason.NOT_CLAIMED else None
            found.append(
                Unowned(
                    service=key, address=address, since_unix=allocation.since_unix, refusals=refusals, planned=planned
                )
            )
    return tuple(found)


def _why(
    key: ServiceKey,
    address: IPAddress,
    assignment: Assignment,
    fleet: Fleet | None,
    of_nodes: dict[int, tuple[Refusal, ...]],
) -> tuple[Refusal, ...]:
    eligibility = assignment.eligibility
    if (quarantine := eligibility.quarantine(address)) is not None:
        return (refusal_of(str(address), quarantine),)
    if key not in (service for service, _ in eligibility.serving) or eligibility.left_out(address):
        own = tuple(refusal for refusal in eligibility.refusals if refusal.subject == str(key))
        return own or eligibility.refusals or (Refusal(str(key), Reason.NODE_UNKNOWN),)
    if assignment.owner is not None:
        return (Refusal(assignment.owner, Reason.NOT_CLAIMED, "it should announce it, and does not say that it does"),)
    # Groups of one demand share their verdicts, and there may be ten thousand of them.
    found = of_nodes.get(id(eligibility.verdicts))
    if found is None:
        found = tuple(
            refusal
            for name, verdict in eligibility.verdicts.items()
            for refusal in verdict.refusals or _away(name, fleet)
        )
        found = of_nodes[id(eligibility.verdicts)] = found or (Refusal(str(key), Reason.NODE_UNKNOWN, "no speaker"),)
    return found


def _away(node: str, fleet: Fleet | None) -> tuple[Refusal, ...]:
    """Why a node that might announce it is given nothing: it is drained, or dead, or both."""
    dead = Refusal(node, Reason.NODE_NOT_ALIVE)
    if fleet is None or node not in fleet.drained:
        return (dead,)
    drained = Refusal(node, Reason.NODE_DRAINED)
    return (drained,) if node in fleet.alive else (drained, dead)


def grouped(refusals: Iterable[Refusal]) -> tuple[tuple[Refusal, tuple[str, ...]], ...]:
    """Those that differ in their subject alone together: one of them, and the subjects."""
    subjects: dict[tuple[Reason, str], list[str]] = {}
    first: dict[tuple[Reason, str], Refusal] = {}
    for refusal in refusals:
        kind = (refusal.reason, refusal.detail)
        first.setdefault(kind, refusal)
        subjects.setdefault(kind, []).append(refusal.subject)
    return tuple((first[kind], tuple(dict.fromkeys(names))) for kind, names in subjects.items())


def settled(found: Iterable[Unowned], *, now_unix: float, noticed: Mapping[IPAddress, float]) -> list[Unowned]:
    """Without what may only be in progress: allocated a moment ago, or about to be claimed by the node that should.

    `noticed`: since when each address was seen to be announced by nobody.
    """
    return [
        each
        for each in found
        if now_unix - each.since_unix >= GRACE
        and (each.planned is None or now_unix - noticed.get(each.address, now_unix) >= GRACE)
    ]


def troubles(found: Iterable[Unowned]) -> tuple[str, ...]:
    """A line for each of the first services, and one that counts the others."""
    of_service: dict[ServiceKey, list[Unowned]] = {}
    for each in found:
        if each.mendable:
            of_service.setdefault(each.service, []).append(each)
    shown = heapq.nsmallest(SHOWN, of_service)
    lines = [_trouble(key, of_service[key]) for key in shown]
    if more := len(of_service) - len(shown):
        are = "services are" if more > 1 else "service is"
        lines.append(f"{more} more {are} announced by nobody; `lbctl services --pending` says why")
    return tuple(lines)


def _trouble(key: ServiceKey, found: list[Unowned]) -> str:
    addresses = " and ".join(str(each.address) for each in found)
    why = []
    for refusal, subjects in grouped(dict.fromkeys(r for each in found for r in each.refusals)):
        words = refusal.reason.value + (f" ({refusal.detail})" if refusal.detail else "")
        others = [subject for subject in subjects if subject != str(key)]
        more = f" and {len(others) - _NODES_SHOWN} more" if len(others) > _NODES_SHOWN else ""
        names = ", ".join(others[:_NODES_SHOWN]) + more
        why.append(f"{words}: {names}" if names else words)
    return f"{key}: {addresses} {'are' if len(found) > 1 else 'is'} announced by nobody: {'; '.join(why)}"
