"""Planned moves of groups between living nodes, and their pace: what a node takes from another, when, and why.

Pins and drains move at once. Failback and balancing wait until things have been quiet, and then one group a second goes
to each node, so that a mistake costs little before somebody sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.advertisement import Failback
from lbctl.model.snapshot import View
from lbctl.plan.elect import foremost
from lbctl.plan.groups import GroupKey
from lbctl.plan.planned import Plan
from lbctl.plan.reason import Cause
from lbctl.plan.spread import TOO_UNEVEN, is_uneven, next_move

_EMPTY: Mapping[Any, Any] = MappingProxyType({})
STABLE = 60.0
"""Seconds for which a node must have been well, and wanted more than the owner, before a group goes back to it."""
QUIET = 50.0
"""Seconds without a node that came or went, after which uneven loads are evened: done within a minute."""
PACE = 1.0
"""Seconds between two groups that one node takes for failback or balance."""
ASK_AGAIN = 10.0
"""Seconds after which a move that did not happen is tried again."""
ORDER_TIME = 3600.0
"""Seconds for which an order to balance stands: after a restart it is not looked at for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """What a node waits for, in monotonic seconds; kept from decision to decision.

    `returning`: groups that are wanted back here, and since when. `keeping`: addresses held though they may not be.
    `uneven_since`: the loads, with the living nodes as in `alive`. `balanced`: the last order that is carried out.
    """

    returning: Mapping[GroupKey, float] = field(default_factory=lambda: _EMPTY)
    keeping: Mapping[IPAddress, float] = field(default_factory=lambda: _EMPTY)
    alive: frozenset[str] = frozenset()
    uneven_since: float | None = None
    move_at: float = 0.0
    look_at: float = 0.0
    """Before this moment the groups are not gone through for one to move: nothing was found, or one was just moved."""
    balanced: tuple[int, str] | None = None


def planned_moves(
    plan: Plan, view: View, me: str, agenda: Agenda, *, now: float
) -> tuple[Mapping[IPAddress, Cause], Agenda, float | None]:
    """What `me` takes from living holders now, what it waits for, and until when at most."""
    over: dict[IPAddress, Cause] = {}
    for key in plan.taking:
        cause = plan.assignments[key].take
        assert cause is not None
        over.update((address, cause) for address in _held_elsewhere(plan, view, key, me))
    returning = _wanted_back(plan, agenda, now)
    since, alive = _uneven_since(plan, agenda, now), plan.fleet.alive
    changed = (since, alive) != (agenda.uneven_since, agenda.alive)
    if changed or returning is not agenda.returning:
        agenda = replace(agenda, returning=returning, alive=alive, uneven_since=since)
    times: list[float] = []
    if returning:
        due = min(returning.values()) + STABLE
        if now >= max(due, agenda.move_at):
            key = min((key for key, at in returning.items() if now >= at + STABLE), key=_by_place)
            over.update((address, Cause.FAILBACK) for address in _held_elsewhere(plan, view, key, me))
            # Should it be refused, the others go first.
            returning = MappingProxyType({**returning, key: now - STABLE + ASK_AGAIN})
            agenda = replace(agenda, returning=returning, move_at=now + PACE)
        times.append(max(min(returning.values()) + STABLE, agenda.move_at))
    if me in plan.fleet.steady and plan.resting:
        evening, agenda, at = _even(plan, view, me, agenda, now)
        over.update((address, Cause.REBALANCED) for address in evening)
        times += [at] if at is not None else []
    return over, agenda, min(times, default=None)


def _wanted_back(plan: Plan, agenda: Agenda, now: float) -> Mapping[GroupKey, float]:
    if not plan.returning and not agenda.returning:
        return agenda.returning
    if plan.returning == agenda.returning.keys():
        return agenda.returning
    return MappingProxyType({key: agenda.returning.get(key, now) for key in plan.returning})


def _uneven_since(plan: Plan, agenda: Agenda, now: float) -> float | None:
    """A node that comes or goes begins a new quiet time, and so does a group without an owner."""
    if not plan.resting:
        return None
    begun = agenda.uneven_since if agenda.alive == plan.fleet.alive else None
    # What was begun is brought to its end.
    if not is_uneven(plan.loads, plan.fleet.steady, 1 if begun is not None else TOO_UNEVEN):
        return None
    return now if begun is None else begun


def _even(
    plan: Plan, view: View, me: str, agenda: Agenda, now: float
) -> tuple[Iterable[IPAddress], Agenda, float | None]:
    order = view.rebalance
    ordered = order is not None and (order.version, order.by) != agenda.balanced
    ordered = ordered and order is not None and view.seen_unix - order.since_unix < ORDER_TIME
    if not ordered and agenda.uneven_since is None:
        return (), agenda, None
    due = agenda.look_at
    if not ordered and agenda.uneven_since is not None:
        due = max(due, agenda.uneven_since + QUIET)
    if now < max(due, agenda.move_at):
        return (), agenda, max(due, agenda.move_at)
    key, any_left = next_move(_movable(plan, ordered=ordered), plan.loads, plan.fleet.steady, me)
    if key is not None:
        agenda = replace(agenda, move_at=now + PACE, look_at=now + PACE)
        return _held_elsewhere(plan, view, key, me), agenda, now + PACE
    if not any_left and ordered and order is not None:
        return (), replace(agenda, balanced=(order.version, order.by), look_at=now + PACE), now + PACE
    # Others have theirs to move; or restrictions on nodes leave nothing to even.
    wait = PACE if any_left else ASK_AGAIN
    return (), replace(agenda, look_at=now + wait), now + wait


def _movable(plan: Plan, *, ordered: bool) -> dict[GroupKey, tuple[str, tuple[str, ...]]]:
    """Groups that are as well anywhere else: not those with a place of their own, nor with one on their mind."""
    found: dict[GroupKey, tuple[str, tuple[str, ...]]] = {}
    most = max(plan.loads.values(), default=0)
    full = {node for node, load in plan.loads.items() if 2 * load > most}
    for key, assignment in plan.assignments.items():
        held = assignment.held
        if held is None or held.node not in full or assignment.take is not None or assignment.pin is not None:
            continue
        if assignment.returns_to is not None or assignment.failback is Failback.ALWAYS:
            continue
        if assignment.failback is Failback.NEVER and not ordered:
            continue
        verdicts = assignment.eligibility.verdicts
        others = foremost(
            assignment.eligibility,
            [node for node in assignment.order if node in plan.fleet.steady and node != held.node],
        )
        here = verdicts[held.node]
        there = verdicts[others[0]] if others else None
        if there is not None and there.weight >= here.weight and there.outside <= here.outside:
            found[key] = (held.node, others)
    return found


def _held_elsewhere(plan: Plan, view: View, key: GroupKey, me: str) -> list[IPAddress]:
    """The addresses of a group that living nodes other than `me` hold."""
    mine = view.claims.get(me, _EMPTY)
    others = [claims for node, claims in view.claims.items() if node != me and node in plan.fleet.alive]
    return [
        address
        for address in plan.assignments[key].eligibility.announced
        if address not in mine and any(address in claims for claims in others)
    ]


def _by_place(key: GroupKey) -> tuple[int, int]:
    return (key[0].version, int(key[0]))
