"""Services: that the pools and addresses they ask for are there, and to be had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lbctl.config.checks.finding import Finding, Place, Secrets, near, some
from lbctl.config.checks.network import RangeIndex, withheld
from lbctl.config.metadata import OLD_PREFIX, OWN_PREFIX, PREFIX
from lbctl.model.address import IPAddress, family_of
from lbctl.model.pool import Pool
from lbctl.model.service import Service, ServiceType
from lbctl.model.snapshot import World

if TYPE_CHECKING:
    from lbctl.plan.pools import PoolMatcher
    from lbctl.plan.reason import Reason

# The parts of plan are imported where something is asked of them: most manifests that a person checks ask nothing.

_MOST_COMPARED = 16


def requests_can_be_met(world: World, secrets: Secrets) -> Iterator[Finding]:
    """All about what services ask for, in one look at the services, which may be very many."""
    asking = [
        service
        for service in world.services.values()
        if (wish := service.load_balancer).requested or wish.requested_pool or wish.pools_by_family
    ]
    if not asking:
        return
    yield from _addresses_are_asked_for_once(asking)
    yield from _addresses_are_of_the_family(asking)
    if world.pools:  # services alone may be checked before there is any pool
        yield from _pools_exist(asking, world.pools)
        yield from _pools_are_open(asking, world)
        yield from _addresses_are_in_pools(asking, world.pools)


def _pools_exist(asking: Sequence[Service], pools: Mapping[str, Pool]) -> Iterator[Finding]:
    missing: list[tuple[Service, str, str]] = []
    for service in asking:
        wish = service.load_balancer
        if wish.requested_pool and wish.requested_pool not in pools:
            missing.append((service, "address-pool", wish.requested_pool))
        missing += [(service, "address-pools", name) for name in wish.pools_by_family if name not in pools]
    for service, annotation, name in missing:
        yield Finding(
            code="LB0506",
            subject=_annotation(service, annotation),
            message=f'there is no pool "{name}" here',
            help=near(name, pools, missing) or f"the pools are {some(sorted(pools))}",
            missing=(Place("pools", name),),
        )


def _pools_are_open(asking: Sequence[Service], world: World) -> Iterator[Finding]:
    """Whether pools asked for by name let the service in, and have addresses of its families."""
    from lbctl.plan.pools import PoolMatcher

    matcher: PoolMatcher | None = None
    for service in asking:
        wish = service.load_balancer
        if service.type is not ServiceType.LOAD_BALANCER or not (wish.requested_pool or wish.pools_by_family):
            continue
        matcher = matcher or PoolMatcher(world.pools, world.namespaces)
        annotation = "address-pool" if wish.requested_pool else "address-pools"
        names = (wish.requested_pool,) if wish.requested_pool else wish.pools_by_family
        pools = [pool for name in names if name and (pool := world.pools.get(name)) is not None]
        for pool in pools:
            if not matcher.compatible(pool, service):
                yield Finding(
                    code="LB0514",
                    subject=_annotation(service, annotation),
                    message=f"the pool {pool.name} is not for this service: its serviceAllocation does not match",
                    help="ask for another pool, or add the namespace or the labels of the service to the pool",
                    other=Place("pools", pool.name, ("spec", "serviceAllocation")),
                    other_message="whom the pool is for",
                )
        if len(pools) == len(names):
            yield from _families_are_there(service, annotation, pools)


def _families_are_there(service: Service, annotation: str, pools: list[Pool]) -> Iterator[Finding]:
    from lbctl.plan.families import FamilyWish, family_wish

    families = family_wish(service.family)
    if not isinstance(families, FamilyWish):
        return
    there = {item.family for pool in pools for item in pool.ranges}
    lacking = [family for family in families.families if family not in there]
    if not lacking or (families.partial and len(lacking) < len(families.families)):
        return
    one = len(pools) == 1
    yield Finding(
        code="LB0512",
        subject=_annotation(service, annotation),
        message=f"the service wants {' and '.join(lacking)}, and {'the pool' if one else 'the pools'} "
        f"{some([pool.name for pool in pools])} {'has' if one else 'have'} none",
        help="ask for another pool; lbctl.io/address-pools takes one for each family",
        other=Place("pools", pools[0].name, ("spec", "addresses")),
        other_message="the addresses there are",
    )


def _addresses_are_of_the_family(asking: Sequence[Service]) -> Iterator[Finding]:
    """Whether the addresses asked for are of a family that the service has."""
    from lbctl.plan.families import FamilyWish, family_wish

    for service in asking:
        if service.type is not ServiceType.LOAD_BALANCER or not service.load_balancer.requested:
            continue
        wish = family_wish(service.family)
        for address in service.load_balancer.requested:
            family = family_of(address)
            if isinstance(wish, FamilyWish) and family not in wish.families:
                only = " and ".join(wish.families)
                yield Finding(
                    code="LB0515",
                    subject=_request(service, address),
                    message=f"{address} is {family}, and the service has {only} only",
                    help=f"ask for an address of {only}, or give the service ipFamilies: [{family}] "
                    "or ipFamilyPolicy: RequireDualStack",
                )


def _addresses_are_in_pools(asking: Sequence[Service], pools: Mapping[str, Pool]) -> Iterator[Finding]:
    """Whether the addresses asked for lie in a pool, in the pool asked for, and are not withheld."""
    index: RangeIndex | None = None
    for service in asking:
        wish = service.load_balancer
        for address in wish.requested:
            index = index or RangeIndex(pools)
            hit = index.find(address)
            if hit is None:
                yield Finding(
                    code="LB0507",
                    subject=_request(service, address),
                    message=f"no pool here holds {address}",
                    help="ask for an address of a pool, or add it to one",
                    missing=(Place("pools", None),),
                )
                continue
            name, place = hit
            named = (wish.requested_pool,) if wish.requested_pool else wish.pools_by_family
            why = withheld(pools[name], address)
            if why:
                field = (
                    ("metadata", "annotations", OWN_PREFIX + "exclude")
                    if "exclude" in why
                    else ("spec", "avoidBuggyIPs")
                )
                yield Finding(
                    code="LB0513",
                    subject=_request(service, address),
                    message=f"the pool {name} gives {address} to nobody: {why}",
                    help="ask for another address",
                    other=Place("pools", name, field),
                    other_message="withheld here",
                )
            elif named and name not in named and all(each in pools for each in named):
                yield Finding(
                    code="LB0513",
                    subject=_request(service, address),
                    message=f"{address} is of the pool {name}, and the service asks for the pool {some(list(named))}",
                    help=f"ask for the pool {name}, or for an address of {named[0]}",
                    other=Place("pools", name, ("spec", "addresses", place)),
                    other_message="the address lies here",
                )


def _addresses_are_asked_for_once(asking: Sequence[Service]) -> Iterator[Finding]:
    """Two services that fix one address and do not share it: one of them will wait for ever."""
    by_address: dict[IPAddress, list[Service]] = {}
    for service in asking:
        if service.type is ServiceType.LOAD_BALANCER:
            for address in service.load_balancer.requested:
                by_address.setdefault(address, []).append(service)
    for address, services in by_address.items():
        for place, service in enumerate(services[1:], 1):
            yield from _rival(service, services[: min(place, _MOST_COMPARED)], address)


def _rival(service: Service, earlier: list[Service], address: IPAddress) -> Iterator[Finding]:
    from lbctl.plan.sharing import refusal_between, terms_of

    for other in earlier:
        if other.load_balancer.load_balancer_class != service.load_balancer.load_balancer_class:
            continue
        refusal = refusal_between(terms_of(other), terms_of(service))
        if refusal is not None:
            yield Finding(
                code="LB0511",
                subject=_request(service, address),
                message=f"{other.key} asks for {address} too, and the two do not share it: "
                + _not_shared(refusal, other, service),
                help="ask for another address, or give both the same metallb.io/allow-shared-ip and different ports",
                other=_request(other, address),
                other_message="asked for here too",
            )
            return


def _not_shared(refusal: tuple[Reason, str], one: Service, other: Service) -> str:
    from lbctl.plan.reason import Reason

    reason, detail = refusal
    match reason:
        case Reason.SHARING_PORT_IN_USE:
            return f"both use {detail}"
        case Reason.SHARING_KEY_DIFFERS:
            return "their allow-shared-ip differs"
        case Reason.SHARING_BACKENDS_DIFFER:
            return "with externalTrafficPolicy Local both must have it, and the same selector"
        case _:
            lacking = [str(service.key) for service in (one, other) if not service.load_balancer.sharing_key]
            return f"{' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no allow-shared-ip"


def _request(service: Service, address: IPAddress) -> Place:
    place = _annotation(service, "loadBalancerIPs")
    return place if place.path else Place("services", service.key, ("spec", "loadBalancerIP"))


def _annotation(service: Service, name: str) -> Place:
    """Where a service has an annotation, under whichever prefix; without path where it has none."""
    annotations: Mapping[str, str] = dict(service.annotations)
    for prefix in (PREFIX, OLD_PREFIX, OWN_PREFIX):
        if prefix + name in annotations:
            return Place("services", service.key, ("metadata", "annotations", prefix + name))
    return Place("services", service.key)
