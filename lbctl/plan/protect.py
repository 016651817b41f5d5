"""Pools that may not be taken away from addresses in use (`lbctl.io/protect: in-use`).

An edit that would take an address from a service that has it from a protected pool is held back as a whole: the pool
stays in force as it was, and the services in the way are named, until they are gone or the edit is another one. The
protection that counts is the one in force, so to give a pool up on purpose takes two edits: first without the
annotation, then the one that was refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from lbctl.model.address import IPAddress
from lbctl.model.allocation import Allocation
from lbctl.model.frozen_map import changed_keys, frozen
from lbctl.model.pool import Pool
from lbctl.model.service import ServiceKey, ServiceType
from lbctl.model.snapshot import World
from lbctl.plan.pools import PoolMatcher
from lbctl.plan.positions import PoolFinder, code_of, is_buggy
from lbctl.plan.reason import Reason, Refusal

_NAMED = 5


def pools_in_force(
    before: Mapping[str, Pool], world: World, allocations: Mapping[ServiceKey, Allocation]
) -> tuple[Mapping[str, Pool], tuple[Refusal, ...]]:
    """The pools to go by, and a refusal for each edit that is held back.

    `before` are the pools in force until now; `world.pools` are those that the operator wants. Where nothing is held
    back the answer is `world.pools` itself. What was renamed, split or moved to another pool that its service may use
    is not taken away.
    """
    wanted = world.pools
    edited = [name for name in sorted(changed_keys(before, wanted)) if before.get(name) != wanted.get(name)]
    suspects = {name for name in edited if name in before and before[name].options.protected}
    if not suspects:
        return wanted, ()
    stranded = _stranded(suspects, before, world, allocations)
    if not stranded:
        return wanted, ()
    # The ranges of a pool that stays as it was are not another's meanwhile.
    held_back = set(stranded)
    todo = list(stranded)
    while todo:
        kept = before[todo.pop()]
        for name in edited:
            new = wanted.get(name)
            if name not in held_back and new is not None and _overlap(kept, new):
                held_back.add(name)
                if name in before:
                    todo.append(name)
    content = {name: pool for name, pool in wanted.items() if name not in held_back}
    content |= {name: before[name] for name in held_back if name in before}
    refusals = (
        Refusal(name, Reason.POOL_PROTECTED, _why(name, stranded, before, wanted)) for name in sorted(held_back)
    )
    return frozen(before).become(content), tuple(refusals)


def _stranded(
    suspects: set[str], before: Mapping[str, Pool], world: World, allocations: Mapping[ServiceKey, Allocation]
) -> dict[str, list[tuple[IPAddress, ServiceKey]]]:
    """Addresses of protected pools that their services could not keep, by pool."""
    finder, matcher = PoolFinder(world.pools), PoolMatcher(world.pools, world.namespaces)
    was = PoolMatcher(before, world.namespaces)
    found: dict[str, list[tuple[IPAddress, ServiceKey]]] = {}
    for key, allocation in allocations.items():
        if allocation.pool not in suspects and allocation.second_pool not in suspects:
            continue
        service = world.services.get(key)
        if service is not None and service.type is not ServiceType.LOAD_BALANCER:
            continue
        for address in allocation.addresses:
            name = allocation.pool_of(address)
            if name not in suspects:
                continue
            homes = [
                world.pools[home]
                for home in finder.homes(code_of(address))
                if not (world.pools[home].avoid_buggy_ips and is_buggy(code_of(address)))
            ]
            if service is not None:
                asked = service.load_balancer
                listed = asked.pools_by_family or ((asked.requested_pool,) if asked.requested_pool is not None else ())
                if (listed and name not in listed) or not was.compatible(before[name], service):
                    continue  # it loses the address whatever becomes of the pool
                homes = [
                    home for home in homes if matcher.compatible(home, service) and (not listed or home.name in listed)
                ]
            if not homes:
                found.setdefault(name, []).append((address, key))
    return found


def _overlap(one: Pool, other: Pool) -> bool:
    return any(mine.overlaps(theirs) for mine in one.ranges for theirs in other.ranges)


def _why(
    name: str,
    stranded: Mapping[str, list[tuple[IPAddress, ServiceKey]]],
    before: Mapping[str, Pool],
    wanted: Mapping[str, Pool],
) -> str:
    if name not in stranded:
        what = "stays as it was" if name in before else "is left out"
        return f"{what}, because it would have addresses of {', '.join(sorted(stranded))}"
    holders = sorted(stranded[name], key=lambda item: item[1])
    named = ", ".join(f"{address} from {key}" for address, key in islice(holders, _NAMED))
    more = f" and {len(holders) - _NAMED} more" if len(holders) > _NAMED else ""
    edit = "its removal" if name not in wanted else "the edit"
    return f"{edit} would take {named}{more}; the pool stays in force as it was"
