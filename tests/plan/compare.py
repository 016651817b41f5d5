"""Whether the allocator and the dumb one agree about one plan."""

from __future__ import annotations

from collections import Counter
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any

from lbctl.model.address import Family
from lbctl.model.pool import Pool
from lbctl.model.service import ServiceKey
from lbctl.model.snapshot import World
from lbctl.plan.allocation import AllocationPlan, Remembered
from lbctl.plan.counters import PoolCount, count
from tests.plan.allocation_worlds import Cluster
from tests.plan.dumb import Held, Why, dumb_plan
from tests.plan.dumb_rules import buggy, every_address, excluded


def outcome(cluster: Cluster, plan: AllocationPlan) -> dict[ServiceKey, Held]:
    """Who has what once the plan is committed."""
    before = cluster.state.allocations
    has = {key: Held(each.addresses, tuple(map(each.pool_of, each.addresses))) for key, each in before.items()}
    for release in plan.releases:
        del has[release.allocation.service]
    for each in plan.amendments:
        key, count = each.allocation.service, len(each.allocation.addresses)
        has[key] = Held(each.allocation.addresses, (each.pool, each.second_pool or each.pool)[:count])
    for grant in plan.grants:
        assert grant.service not in has, "what it had is released first"
        pools = (grant.pool, grant.second_pool or grant.pool)[: len(grant.addresses)]
        has[grant.service] = Held(grant.addresses, pools)
    return has


def reasons(plan: AllocationPlan) -> dict[ServiceKey, Why]:
    return {key: {(each.subject, each.reason) for each in why} for key, why in plan.pending.items()}


def describe(cluster: Cluster) -> str:
    """The world and what is held, a line for each, for whoever has to find out why the two disagree."""
    had = cluster.state.allocations
    kept = cluster.state.remembered
    lines = [f"reserved {each.addresses} for {key}" for key, each in kept.reserved.items()]
    lines += [f"freed {address} at {each.at_unix} by {each.service}" for address, each in kept.freed.items()]
    lines += [f"quarantined {list(map(str, kept.quarantined))}, it is {cluster.now}"]
    lines += [f"pool {_short(each)}" for each in cluster.world.pools.values()]
    for key, each in cluster.world.services.items():
        lines.append(f"{key} holds {had[key].addresses if key in had else None}: {_short(each)}")
    return "\n".join(lines)


def _short(value: object) -> str:
    """Only what is not as it is by default."""
    if not is_dataclass(value) or isinstance(value, type):
        return repr(value)
    shown = []
    for each in fields(value):
        held = getattr(value, each.name)
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        if held != default:
            shown.append(f"{each.name}={_short(held)}")
    return f"{type(value).__name__}({', '.join(shown)})"


def compare(cluster: Cluster, plan: AllocationPlan, ours: str | None = None) -> None:
    """The plan for the cluster as it is, and what the dumb one makes of it: the same, or this fails."""
    now = replace(cluster.world, allocations=cluster.state.allocations)
    dumb = dumb_plan(now, cluster.state.remembered, cluster.now, ours)
    has, why = outcome(cluster, plan), reasons(plan)
    assert has == dumb.held, f"who has what: {_apart(has, dumb.held)}\n{describe(cluster)}"
    assert why == dumb.pending, f"who waits and why: {_apart(why, dumb.pending)}\n{describe(cluster)}"


def _apart(found: dict[ServiceKey, Any], dumb: dict[ServiceKey, Any]) -> str:
    """Of each service on which they disagree what the allocator says, and what the dumb one does."""
    keys = sorted(key for key in found.keys() | dumb.keys() if found.get(key) != dumb.get(key))
    return "; ".join(f"{key}: {found.get(key)} against {dumb.get(key)}" for key in keys)


_COUNTED = 1 << 12
"""Larger pools would take too long to count address by address."""


def compare_counts(cluster: Cluster) -> None:
    """What is counted of every pool, and what comes out when each of its addresses is looked at."""
    now = replace(cluster.world, allocations=cluster.state.allocations)
    for found in count(now, cluster.state.remembered, now_unix=cluster.now):
        pool = cluster.world.pools[found.pool]
        if sum(part.size for part in pool.ranges if part.family is found.family) <= _COUNTED:
            assert found == dumb_count(now, cluster.state.remembered, pool, found.family, cluster.now), describe(
                cluster
            )


def dumb_count(world: World, remembered: Remembered, pool: Pool, family: Family, now: float) -> PoolCount:
    """One by one."""
    tally = Counter[str]()
    services = set()
    for address in every_address(pool, family):
        users = {key for key, each in world.allocations.items() if address in each.addresses}
        reserved = any(address in each.addresses for each in remembered.reserved.values())
        given = not excluded(pool, address) and not buggy(pool, address)
        free = given and not users and not reserved and address not in remembered.quarantined
        freed = remembered.freed.get(address)
        services |= users
        tally["size"] += given
        tally["assigned"] += bool(users)
        tally["outside"] += bool(users) and not given
        tally["available"] += free
        tally["cooling"] += free and freed is not None and freed.at_unix + pool.options.cooling_time > now
        tally["reserved"] += reserved and not users
        tally["quarantined"] += address in remembered.quarantined
    return PoolCount(
        pool=pool.name,
        family=family,
        size=tally["size"],
        assigned=tally["assigned"],
        outside=tally["outside"],
        available=tally["available"],
        cooling=tally["cooling"],
        reserved=tally["reserved"],
        quarantined=tally["quarantined"],
        services=len(services),
    )
