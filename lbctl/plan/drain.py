"""What a drain would leave without an owner: asked before it is ordered."""

from __future__ import annotations

from lbctl.model.snapshot import Snapshot
from lbctl.plan.elect import ElectMemo, elect
from lbctl.plan.groups import Group


def stranded_by_drain(snapshot: Snapshot, node: str, memo: ElectMemo | None = None) -> tuple[Group, ...]:
    """The groups that `node` holds, or is to hold, and no other living node could have.

    In the order of their addresses. Without a view nobody is known to live, and the nodes that may are asked alone.
    `memo`: of an election over the same snapshot, to save one.
    """
    assignments, made = elect(snapshot, memo)
    fleet = made.fleet
    found: list[Group] = []
    for assignment in assignments.values():
        if node not in assignment.order or (fleet is not None and assignment.owner != node):
            continue
        others = [other for other in assignment.order if other != node]
        if not (others if fleet is None else [other for other in others if other in fleet.fit]):
            found.append(assignment.eligibility.group)
    return tuple(sorted(found, key=lambda group: [(a.version, int(a)) for a in group.key]))
