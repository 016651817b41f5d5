"""Where a ledger comes to rest: plans made and taken as committed, until the next one changes nothing.

What the controller does step by step on its disk, in memory alone: for asking what a configuration would lead to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from lbctl.model.address import IPAddress
from lbctl.model.allocation import Allocation
from lbctl.model.reservation import Freed
from lbctl.model.service import ServiceKey, ServiceType
from lbctl.model.snapshot import World, thawed
from lbctl.plan.allocate import AllocationMemo, AllocationPlan, Grant, Release, Remembered, allocate
from lbctl.plan.reason import Refusal

MOST_ROUNDS = 10
"""So many plans are made at most. One does nearly always, and a second one to find that nothing is left to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The world with its allocations at rest, and how it came to that.

    `lost` is the first release of each service, `granted` its last grant. `finished` is False when plans went on
    changing things.
    """

    world: World
    remembered: Remembered
    lost: Mapping[ServiceKey, Release] = field(default_factory=dict)
    granted: Mapping[ServiceKey, Grant] = field(default_factory=dict)
    pending: Mapping[ServiceKey, tuple[Refusal, ...]] = field(default_factory=dict)
    plans: tuple[AllocationPlan, ...] = ()
    finished: bool = True
    memo: AllocationMemo | None = field(default=None, compare=False, repr=False)
    """For the next call, which uses it up."""


def settle(
    world: World,
    remembered: Remembered,
    *,
    now_unix: float,
    memo: AllocationMemo | None = None,
    load_balancer_class: str | None = None,
) -> Settled:
    """Lets the controller's plans take effect on a ledger; `world.allocations` is what it holds."""
    remembered = _noticed(world, remembered, now_unix)
    lost: dict[ServiceKey, Release] = {}
    granted: dict[ServiceKey, Grant] = {}
    plans: list[AllocationPlan] = []
    while True:
        plan, memo = allocate(world, remembered, memo, now_unix=now_unix, load_balancer_class=load_balancer_class)
        if plan.settled or len(plans) == MOST_ROUNDS:
            break
        plans.append(plan)
        for release in plan.releases:
            lost.setdefault(release.allocation.service, release)
        granted.update((grant.service, grant) for grant in plan.grants)
        world, remembered = applied(world, remembered, plan, now_unix=now_unix)
    return Settled(
        world=world,
        remembered=remembered,
        lost=lost,
        granted=granted,
        pending=plan.pending,
        plans=tuple(plans),
        finished=plan.settled,
        memo=memo,
    )


def applied(world: World, remembered: Remembered, plan: AllocationPlan, *, now_unix: float) -> tuple[World, Remembered]:
    """What the ledger says once the plan is committed."""
    allocations = thawed(world.allocations)
    terms, freed = thawed(remembered.terms), thawed(remembered.freed)
    number = max((allocation.id for allocation in allocations.values()), default=0)
    given_up: dict[IPAddress, ServiceKey] = {}
    for release in plan.releases:
        key = release.allocation.service
        del allocations[key]
        terms.pop(key, None)
        given_up.update(dict.fromkeys(release.allocation.addresses, key))
    for item in plan.amendments:
        key = item.allocation.service
        allocations[key] = replace(item.allocation, pool=item.pool, second_pool=item.second_pool)
        terms[key] = item.terms
    for grant in plan.grants:
        number += 1
        allocations[grant.service] = Allocation(
            service=grant.service,
            addresses=grant.addresses,
            pool=grant.pool,
            id=number,
            since_unix=now_unix,
            second_pool=grant.second_pool,
        )
        terms[grant.service] = grant.terms
        for address in grant.addresses:
            freed.pop(address, None)
    if given_up:
        used = {address for allocation in allocations.values() for address in allocation.addresses}
        freed.update(
            (address, Freed(address=address, at_unix=now_unix, service=key))
            for address, key in given_up.items()
            if address not in used
        )
    after = replace(
        remembered,
        terms=MappingProxyType({key: text for key, text in terms.items() if text}),
        freed=MappingProxyType(freed),
    )
    return replace(world, allocations=MappingProxyType(allocations)), after


def _noticed(world: World, remembered: Remembered, now_unix: float) -> Remembered:
    """Services that do not say when they were created count from when they were seen first, which may be now."""
    new = {
        key: now_unix
        for key, service in world.services.items()
        if service.created_unix is None
        and service.type is ServiceType.LOAD_BALANCER
        and key not in remembered.first_seen
    }
    return replace(remembered, first_seen={**remembered.first_seen, **new}) if new else remembered
