"""Pools: that they do not overlap, that something announces them, and that those they are for exist (P7, P8-P10)."""

from __future__ import annotations

from collections.abc import Iterator

from lbctl.config.checks.finding import Finding, Place, Secrets
from lbctl.config.checks.scope import Advertisement, PoolScope
from lbctl.config.cluster import NAMESPACE_LABEL
from lbctl.config.ranges import ranges_overlap
from lbctl.config.schema import Path
from lbctl.config.spelling import did_you_mean
from lbctl.model.address import AddressRange
from lbctl.model.pool import Pool, ServiceAllocation
from lbctl.model.service import ServiceType
from lbctl.model.snapshot import World


def pools_do_not_overlap(world: World, secrets: Secrets) -> Iterator[Finding]:
    """P7 between pools; of two that overlap the later one is refused."""
    pools: dict[str, Pool] = dict(world.pools)
    while True:
        rows = [(pool, place) for pool in pools.values() for place in range(len(pool.ranges))]
        ranges: list[tuple[AddressRange, int]] = [
            (pool.ranges[place], number) for number, (pool, place) in enumerate(rows)
        ]
        refused: set[str] = set()
        for later, earlier in sorted(ranges_overlap(ranges)):
            pool, place = rows[later]
            first, first_place = rows[earlier]
            if pool.name in refused or first.name in refused:
                continue
            refused.add(pool.name)
            yield Finding(
                code="LB0205",
                subject=Place("pools", pool.name, ("spec", "addresses", place)),
                message=f"{pool.ranges[place].text} overlaps {first.ranges[first_place].text} of the pool {first.name}",
                help="an address may be in one pool only",
                other=Place("pools", first.name, ("spec", "addresses", first_place)),
                other_message="overlaps this",
            )
        if not refused:
            return
        for name in refused:
            del pools[name]


def pools_are_announced(world: World, secrets: Secrets) -> Iterator[Finding]:
    scope = PoolScope(world.pools)
    advertisements: list[Advertisement] = [*world.l2_advertisements.values(), *world.bgp_advertisements.values()]
    covered: set[str] = set()
    for advertisement in advertisements:
        if len(covered) == len(world.pools):
            return
        covered.update(scope.covered(advertisement))
    for pool in world.pools.values():
        if pool.name not in covered:
            yield Finding(
                code="LB0207",
                subject=Place("pools", pool.name, ("metadata", "name")),
                message=f"no advertisement covers the pool {pool.name}, so nothing announces its addresses",
                help=f"add an L2Advertisement or BGPAdvertisement with ipAddressPools: [{pool.name}]",
                missing=(Place("l2_advertisements", None), Place("bgp_advertisements", None)),
            )


def pools_are_for_somebody(world: World, secrets: Secrets) -> Iterator[Finding]:
    """Of `serviceAllocation` what matches nobody, as far as there are namespaces and services to look at."""
    pinned = [(pool, pool.service_allocation) for pool in world.pools.values() if pool.service_allocation is not None]
    if not pinned:
        return
    used = {service.key.namespace for service in world.services.values()}
    spaces = {name: dict(found.labels) for name, found in world.namespaces.items()}
    for name in used:
        spaces.setdefault(name, {NAMESPACE_LABEL: name})
    labels = {s.labels for s in world.services.values() if s.type is ServiceType.LOAD_BALANCER}
    asking = [dict(each) for each in labels]
    for pool, allocation in pinned:
        if world.namespaces:
            yield from _namespaces_there(pool, allocation, spaces)
        if asking:
            for place, selector in enumerate(allocation.service_selectors):
                if not any(selector.matches(each) for each in asking):
                    what = "this selector matches no service of type LoadBalancer here"
                    yield _nobody(pool, ("serviceSelectors", place), what, "")


def _namespaces_there(
    pool: Pool, allocation: ServiceAllocation, spaces: dict[str, dict[str, str]]
) -> Iterator[Finding]:
    for place, name in enumerate(allocation.namespaces):
        if name not in spaces:
            what = f'there is no namespace "{name}" here'
            yield _nobody(pool, ("namespaces", place), what, did_you_mean(name, spaces))
    for place, selector in enumerate(allocation.namespace_selectors):
        if not any(selector.matches(each) for each in spaces.values()):
            what = f"this selector matches none of the {len(spaces)} namespaces here"
            yield _nobody(pool, ("namespaceSelectors", place), what, "")


def _nobody(pool: Pool, path: Path, what: str, help: str) -> Finding:
    return Finding(
        code="LB0215",
        subject=Place("pools", pool.name, ("spec", "serviceAllocation", *path)),
        message=f"{what}, so it opens the pool {pool.name} to nobody",
        help=help or "compare it with the labels as they are, or leave it if they are still to come",
    )
