"""Who inherits what this node holds: its groups spread over the other nodes, so that none gets all of them at once.

An heir that a claim names stays the heir, as an owner stays the owner: the claims are the memory, and one change among
thousands of groups is one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from lbctl.model.snapshot import thawed
from lbctl.plan.claims import rendezvous
from lbctl.plan.elect import Assignment, foremost
from lbctl.plan.fleet import Fleet
from lbctl.plan.groups import GroupKey
from lbctl.plan.spread import distribute, shares

_EMPTY: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class HeirsMemo:
    """What the last answer was made of: of each own group who may inherit it, and whom its claim names.

    `lacking` are those whose claim names nobody who may. `chosen` is the answer, where it is not what the claim says.
    """

    wanted: Mapping[GroupKey, tuple[str, ...]] = field(default_factory=lambda: _EMPTY)
    named: Mapping[GroupKey, str] = field(default_factory=lambda: _EMPTY)
    counts: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    lacking: frozenset[GroupKey] = frozenset()
    loads: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    resting: bool = True
    chosen: Mapping[GroupKey, str] = field(default_factory=lambda: _EMPTY)

    def first(self, key: GroupKey) -> str | None:
        """The first heir of a group; None where it is no own group, or nobody may inherit it."""
        return self.chosen.get(key) or self.named.get(key)


def first_heirs(
    assignments: Mapping[GroupKey, Assignment],
    touched: Iterable[GroupKey] | None,
    fleet: Fleet,
    loads: Mapping[str, int],
    me: str,
    old: HeirsMemo,
    *,
    resting: bool,
) -> tuple[HeirsMemo, frozenset[GroupKey]]:
    """The first heirs of the groups that `me` holds, and the groups of which they are others than before.

    Args:
        touched: the groups that may differ from those of `old`; None when that may be any.
        loads: the groups that each node holds.
        resting: whether every group has an owner. Only then are heirs changed that would do.
    """
    if touched is None:
        old_first, touched, old = old, assignments.keys(), HeirsMemo()
    else:
        old_first, touched = old, set(touched)
        if not touched and loads is old.loads and resting == old.resting:
            return old, frozenset()
    wanted, named, counts = thawed(old.wanted), thawed(old.named), thawed(old.counts)
    lacking = set(old.lacking)
    for key in touched:
        wanted.pop(key, None)
        lacking.discard(key)
        if (before := named.pop(key, None)) is not None:
            counts[before] -= 1
        assignment = assignments.get(key)
        if assignment is None or assignment.owner != me or assignment.held is None or assignment.held.node != me:
            continue
        others = fleet.choices(tuple(node for node in assignment.order if node != me))
        may = foremost(assignment.eligibility, others)
        if not may:
            continue
        wanted[key] = may
        if assignment.held.heirs and assignment.held.heirs[0] in may:
            named[key] = assignment.held.heirs[0]
            counts[named[key]] = counts.get(named[key], 0) + 1
        else:
            lacking.add(key)
    counts = {node: count for node, count in counts.items() if count}
    full = {node: loads.get(node, 0) + counts.get(node, 0) for node in {*loads, *counts}}
    chosen: Mapping[GroupKey, str] = distribute({key: wanted[key] for key in lacking}, full) if lacking else _EMPTY
    if resting and not lacking and _is_crooked(wanted, counts, full):
        chosen = _evened(wanted, named, loads)
    made = HeirsMemo(
        wanted=MappingProxyType(wanted),
        named=MappingProxyType(named),
        counts=MappingProxyType(counts),
        lacking=frozenset(lacking),
        loads=loads,
        resting=resting,
        chosen=MappingProxyType(chosen) if chosen else _EMPTY,
    )
    changed = {key for key in {*made.chosen, *old_first.chosen} if made.first(key) != old_first.first(key)}
    return made, frozenset(changed)


def _is_crooked(wanted: Mapping[GroupKey, tuple[str, ...]], counts: Mapping[str, int], full: Mapping[str, int]) -> bool:
    """Whether some heir would end up with two groups more than another node that could have been chosen."""
    if not counts:
        return False
    # With restrictions on nodes every group may have its own circle of heirs; the first will do to see whether to look.
    some = next(iter(wanted.values()))
    nodes = {*counts, *some}
    return len(nodes) > 1 and max(full.get(n, 0) for n in counts) > min(full.get(n, 0) for n in nodes) + 1


def _evened(
    wanted: Mapping[GroupKey, tuple[str, ...]], named: Mapping[GroupKey, str], loads: Mapping[str, int]
) -> dict[GroupKey, str]:
    """The heirs that are to change: as many as are above their share."""
    circles: dict[frozenset[str], list[GroupKey]] = {}
    for key, nodes in wanted.items():
        circles.setdefault(frozenset(nodes), []).append(key)
    full = dict(loads)
    moving: dict[GroupKey, tuple[str, ...]] = {}
    for circle, keys in sorted(circles.items(), key=lambda each: (len(each[0]), sorted(each[0]))):
        room = shares(circle, full, len(keys))
        by_heir: dict[str, list[GroupKey]] = {}
        for key in keys:
            by_heir.setdefault(named[key], []).append(key)
        for heir, found in by_heir.items():
            if len(found) > room[heir]:
                # Those that are wanted least where they are.
                found.sort(key=partial(_wanted_by, heir))
                moving.update((key, wanted[key]) for key in found[: len(found) - room[heir]])
            full[heir] = full.get(heir, 0) + min(len(found), room[heir])
    return {key: heir for key, heir in distribute(moving, full).items() if named[key] != heir}


def _wanted_by(heir: str, key: GroupKey) -> int:
    return rendezvous(heir, key[0])
