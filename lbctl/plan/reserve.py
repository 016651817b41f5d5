"""Which addresses to reserve for a service: the search of allocation, asked before the service is there."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from lbctl.model.address import Family, IPAddress
from lbctl.model.reservation import Reservation
from lbctl.model.service import FamilyPolicy, FamilySpec, LoadBalancerSpec, Service, ServiceKey, ServiceType
from lbctl.model.snapshot import World
from lbctl.plan.allocation import Remembered
from lbctl.plan.allocation_memo import AllocationMemo, Codes, Names, Wish, read_kept, wish_of
from lbctl.plan.draft import written
from lbctl.plan.pools import PoolMatcher
from lbctl.plan.positions import address_of_code, code_of, family_of_code
from lbctl.plan.reason import GrantCause, Reason, Refusal
from lbctl.plan.search import Found, from_asked_pools, from_choice, refused, texts_of
from lbctl.plan.sharing import terms_from
from lbctl.plan.space import AddressSpace


def choose_reservation(
    world: World,
    remembered: Remembered,
    service: ServiceKey,
    *,
    pool: str | None = None,
    addresses: tuple[IPAddress, ...] = (),
    families: tuple[Family, ...] = (),
    now_unix: float,
    by: str = "",
) -> Reservation | tuple[Refusal, ...]:
    """The reservation to write into the ledger, or why there can be none.

    Without `addresses` they are those that the service holds, else the ones it would be given now, from `pool` where
    that is named. `families`: of a service that does not exist yet, one or two; IPv4 where nothing is said. What was
    reserved for the service before counts for nothing: the new reservation takes its place.

    `world.allocations` is what the ledger holds, and counts as held whatever the world shows: what the next plan may
    change of it is left to that. Costs a look at each allocation.
    """
    before = MappingProxyType({key: item for key, item in remembered.reserved.items() if key != service})
    if not world.pools:
        return (Refusal(str(service), Reason.NO_POOLS),)
    if pool is not None and pool not in world.pools:
        return (Refusal(pool, Reason.UNKNOWN_POOL),)
    memo = _as_it_is(world, replace(remembered, reserved=before), now_unix)
    if service not in world.services and (pool is not None or addresses):
        _pass_over_labels(memo)
    wish = _wish(memo, service, families, pool)
    if wish.refusal is not None:
        return (wish.refusal,)
    codes: Codes = tuple(sorted(map(code_of, addresses)))
    held = world.allocations.get(service)
    if not codes and held is not None and (pool is None or pool in (held.pool, held.second_pool)):
        return Reservation(
            service=service,
            addresses=held.addresses,
            pool=held.pool,
            second_pool=held.second_pool,
            since_unix=now_unix,
            by=by,
        )
    if codes:
        found = _named(memo, wish, codes, pool)
    else:
        found = from_asked_pools(memo, wish, ()) or from_choice(memo, wish, memo.matcher.choice(wish.service), ())
    if not isinstance(found, Found):
        return found
    chosen = tuple(map(address_of_code, found.codes))
    first, second = written(found.pools)
    return Reservation(service=service, addresses=chosen, pool=first, second_pool=second, since_unix=now_unix, by=by)


def _as_it_is(world: World, remembered: Remembered, now_unix: float) -> AllocationMemo:
    """The indexes of allocation with everybody on what the ledger says, and nobody served meanwhile."""
    memo = AllocationMemo()
    memo.world, memo.remembered, memo.now_unix = world, remembered, now_unix
    memo.matcher, memo.space = PoolMatcher(world.pools, world.namespaces), AddressSpace(world.pools)
    read_kept(memo, Remembered())
    take = memo.space.take
    for key, allocation in world.allocations.items():
        terms = terms_from(remembered.terms.get(key, ""))
        for address in allocation.addresses:
            take(code_of(address), key, terms)
    return memo


def _wish(memo: AllocationMemo, key: ServiceKey, families: tuple[Family, ...], pool: str | None) -> Wish:
    """What the service wants, and it shares with nobody; of one that is not there, what is said of it."""
    service = memo.world.services.get(key)
    if service is None or service.type is not ServiceType.LOAD_BALANCER:
        policy = FamilyPolicy.REQUIRE if len(families) == 2 else None
        service = Service(
            key=key,
            type=ServiceType.LOAD_BALANCER,
            family=FamilySpec(ip_families=families, policy=policy),
            load_balancer=LoadBalancerSpec(load_balancer_class=memo.load_balancer_class),
            labels=service.labels if service is not None else (),
        )
    asked = replace(service.load_balancer, sharing_key=None, load_balancer_class=memo.load_balancer_class)
    if pool is not None:
        asked = replace(asked, requested_pool=pool, pools_by_family=())
    return wish_of(memo, replace(service, load_balancer=asked))


def _named(memo: AllocationMemo, wish: Wish, codes: Codes, pool: str | None) -> Found | tuple[Refusal, ...]:
    """The very addresses, whatever families the service has now; held by nobody but itself."""
    space = memo.space
    if len(codes) > 2 or len(set(map(family_of_code, codes))) < len(codes):
        return (Refusal(texts_of(codes), Reason.ADDRESS_WRONG_FAMILY, "one address, or one of each family"),)
    pools: list[str] = []
    refusals: list[Refusal] = []
    for code in codes:
        homes = space.homes(code)
        if not homes:
            refusals.append(Refusal(texts_of((code,)), Reason.ADDRESS_IN_NO_POOL))
        elif pool is not None and pool not in homes:
            why = f"{homes[0]} has it, {pool} was asked for"
            refusals.append(Refusal(texts_of((code,)), Reason.ADDRESS_NOT_IN_REQUESTED_POOL, why))
        else:
            pools.append(pool or homes[0])
    if refusals:
        return tuple(refusals)
    own = {code for code in codes if wish.key in space.users(code)}
    for code in own:
        # For the question alone: this memo is used for nothing else.
        for user in tuple(space.users(code)):
            space.give_back(code, user)
    names: Names = tuple(pools)
    return refused(memo, wish, codes, names) or Found(codes, names, GrantCause.RESERVED)


def _pass_over_labels(memo: AllocationMemo) -> None:
    """A service that does not exist has no labels yet: a pool that is named is not closed to it for that."""
    pools = {
        name: pool
        if pool.service_allocation is None
        else replace(pool, service_allocation=replace(pool.service_allocation, service_selectors=()))
        for name, pool in memo.world.pools.items()
    }
    memo.world = replace(memo.world, pools=pools)
    memo.matcher = PoolMatcher(pools, memo.world.namespaces)
