"""Which service gets which addresses: the whole of it, decided anew each time from the world and the ledger.

    plan, memo = allocate(world, remembered, memo)

`world.allocations` is what the ledger holds. First those who hold addresses are looked at: they keep them while their
service, the pools and their neighbours on a shared address allow it. Then a service that holds one family and wants two
is given the second from the same pool. Then the others in order: creationTimestamp, or when first seen, then namespace
and name. The plan says what to change in the ledger, and why every service that waits does so.

The rules are those of MetalLB section 3. Where they take an address from a running service without need (a policy
change, a pool that lost one of two families), the address that still fits is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lbctl.model.address import Family, IPAddress
from lbctl.model.allocation import Allocation
from lbctl.model.pool import Pool
from lbctl.model.service import Service, ServiceKey, ServiceType
from lbctl.model.snapshot import World
from lbctl.plan.families import FamilyWish, family_wish
from lbctl.plan.pools import PoolChoice, PoolMatcher
from lbctl.plan.reason import GrantCause, Reason, Refusal
from lbctl.plan.sharing import Terms, terms_of
from lbctl.plan.space import AddressSpace, address_of_code, code_of, family_of_code, is_buggy

Rank = tuple[float, str, str]
Codes = tuple[int, ...]
_EMPTY: Mapping[ServiceKey, tuple[Refusal, ...]] = MappingProxyType({})


def _nobody() -> Mapping[ServiceKey, tuple[Refusal, ...]]:
    return _EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What the ledger knows beside the allocations.

    `terms`: on which terms each holder was let in (`Terms.text`), so that of two who stopped agreeing on a shared
    address the one who changed goes. `first_seen`: seconds since 1970, for services without creationTimestamp.
    """

    terms: Mapping[ServiceKey, str] = field(default_factory=dict)
    first_seen: Mapping[ServiceKey, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """These addresses, IPv4 first, are the service's from now on; what it held before is released in the same plan."""

    service: ServiceKey
    addresses: tuple[IPAddress, ...]
    pool: str
    cause: GrantCause
    terms: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The allocation ends. SUPERSEDED: a grant in the same plan goes on with some of its addresses."""

    allocation: Allocation
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """The allocation stands, and its pool (renamed, split) or its terms are these now."""

    allocation: Allocation
    pool: str
    terms: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationPlan:
    """What to write into the ledger, releases first; and who waits and why.

    `pending` names each thing tried. It has the services without address, and those that hold one family and would
    like two.
    """

    grants: tuple[Grant, ...] = ()
    releases: tuple[Release, ...] = ()
    amendments: tuple[Amendment, ...] = ()
    pending: Mapping[ServiceKey, tuple[Refusal, ...]] = field(default_factory=_nobody)

    @property
    def settled(self) -> bool:
        """Whether the ledger is already as it should be."""
        return not (self.grants or self.releases or self.amendments)


@dataclass(slots=True)
class _Wish:
    """A LoadBalancer service, as far as allocation looks at it."""

    key: ServiceKey
    rank: Rank
    service: Service
    family: FamilyWish
    terms: Terms
    requested: Codes
    refusal: Refusal | None


@dataclass(slots=True)
class _Expected:
    """What the ledger will say of a service once the plan is committed."""

    codes: Codes
    pool: str
    terms: str


@dataclass(slots=True)
class _Draft:
    """A plan in the making. `lost`: addresses that a service held and may be given again."""

    grants: list[Grant] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    amendments: list[Amendment] = field(default_factory=list)
    pending: dict[ServiceKey, tuple[Refusal, ...]] = field(default_factory=dict)
    lost: dict[ServiceKey, Codes] = field(default_factory=dict)
    hopeless: dict[object, tuple[Refusal, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class _Held:
    codes: Codes
    pool: str


_NOTHING = _Expected((), "", "")


class AllocationMemo:
    """The indexes of the last call, so that the next one looks only at what changed. Worth nothing but time."""

    def __init__(self) -> None:
        self.world = World()
        self.remembered = Remembered()
        self.load_balancer_class: str | None = None
        self.matcher = PoolMatcher({}, {})
        self.space = AddressSpace({})
        self.wishes: dict[ServiceKey, _Wish] = {}
        self.held: dict[ServiceKey, _Held] = {}
        self.half: dict[ServiceKey, Rank] = {}
        """Services that hold one family and want two."""
        self.waiting: dict[ServiceKey, Rank] = {}
        self.queue: list[tuple[Rank, ServiceKey]] = []
        """Those of `waiting` in order, and some that no longer wait."""
        self.expected: dict[ServiceKey, _Expected] = {}
        self.pending: Mapping[ServiceKey, tuple[Refusal, ...]] = _EMPTY


def allocate(
    world: World,
    remembered: Remembered,
    memo: AllocationMemo | None = None,
    *,
    load_balancer_class: str | None = None,
) -> tuple[AllocationPlan, AllocationMemo]:
    """The plan for this world and ledger. `load_balancer_class`: the one class that is ours; None: services without.

    The memo is that of an earlier call, for whatever world; it is used up. It changes the time this takes and nothing
    else.
    """
    memo = memo or AllocationMemo()
    dirty = _catch_up(memo, world, remembered, load_balancer_class)
    draft = _Draft()
    _keep_holders(memo, dirty, draft)
    _add_second_families(memo, draft)
    _serve_waiting(memo, draft)
    _remember_expected(memo, draft)
    if draft.pending != memo.pending:
        memo.pending = MappingProxyType(draft.pending)
    return AllocationPlan(
        grants=tuple(draft.grants),
        releases=tuple(draft.releases),
        amendments=tuple(draft.amendments),
        pending=memo.pending,
    ), memo


# What changed since the last call ------------------------------------------------------------------------------------


def _changed(old: Mapping[ServiceKey, object], new: Mapping[ServiceKey, object]) -> set[ServiceKey]:
    if old is new:
        return set()
    changed = {key for key, value in new.items() if old.get(key) is not value}
    changed.update(key for key in old if key not in new)
    return changed


def _catch_up(
    memo: AllocationMemo, world: World, remembered: Remembered, load_balancer_class: str | None
) -> set[ServiceKey]:
    """Takes over the new world; returns the services that have to be looked at again."""
    before, before_remembered = memo.world, memo.remembered
    afresh = (
        _differ(before.pools, world.pools)
        or (memo.matcher.reads_namespaces and _differ(before.namespaces, world.namespaces))
        or load_balancer_class != memo.load_balancer_class
    )
    memo.world, memo.remembered, memo.load_balancer_class = world, remembered, load_balancer_class
    if afresh:
        memo.matcher = PoolMatcher(world.pools, world.namespaces)
        memo.space = AddressSpace(world.pools)
        for index in (memo.wishes, memo.held, memo.half, memo.waiting, memo.expected):
            index.clear()
        memo.queue.clear()
        return {*world.services, *world.allocations}
    dirty = _changed(before.services, world.services)
    dirty |= _changed(before_remembered.first_seen, remembered.first_seen)
    dirty |= {
        key
        for key in _changed(before.allocations, world.allocations)
        | _changed(before_remembered.terms, remembered.terms)
        | memo.expected.keys()
        if not _as_expected(memo, key)
    }
    memo.expected.clear()
    return _with_neighbours(memo, dirty)


def _differ(old: Mapping[str, object], new: Mapping[str, object]) -> bool:
    return old is not new and (old.keys() != new.keys() or any(old[key] is not value for key, value in new.items()))


def _as_expected(memo: AllocationMemo, key: ServiceKey) -> bool:
    """Whether the ledger says of this service what the last plan was to make it say."""
    expected = memo.expected.get(key)
    if expected is None:
        return False
    allocation = memo.world.allocations.get(key)
    if allocation is None:
        return not expected.codes
    return (
        _codes(allocation) == expected.codes
        and allocation.pool == expected.pool
        and memo.remembered.terms.get(key, "") == expected.terms
    )


def _with_neighbours(memo: AllocationMemo, dirty: set[ServiceKey]) -> set[ServiceKey]:
    """Those who share an address with one to be looked at are looked at with it, and so on."""
    todo = list(dirty)
    while todo:
        key = todo.pop()
        held, allocation = memo.held.get(key), memo.world.allocations.get(key)
        codes = (*(held.codes if held else ()), *(_codes(allocation) if allocation else ()))
        for code in codes:
            for user in memo.space.users(code):
                if user not in dirty:
                    dirty.add(user)
                    todo.append(user)
    return dirty


def _codes(allocation: Allocation) -> Codes:
    return tuple(map(code_of, allocation.addresses))


def _wish(memo: AllocationMemo, service: Service) -> _Wish:
    key = service.key
    asked = service.load_balancer
    created = service.created_unix
    if created is None:
        created = memo.remembered.first_seen.get(key, float("inf"))
    found = family_wish(service.family)
    refusal: Refusal | None = None
    if asked.load_balancer_class != memo.load_balancer_class:
        refusal = Refusal(str(key), Reason.OTHER_CLASS, asked.load_balancer_class or "it has no class")
    elif not isinstance(found, FamilyWish):
        refusal = Refusal(str(key), *found)
    return _Wish(
        key=key,
        rank=(created, key.namespace, key.name),
        service=service,
        family=found if isinstance(found, FamilyWish) else FamilyWish(()),
        terms=terms_of(service),
        requested=tuple(sorted(map(code_of, asked.requested))) if asked.requested else (),
        refusal=refusal,
    )


# Those who hold addresses ---------------------------------------------------------------------------------------------


def _keep_holders(memo: AllocationMemo, dirty: set[ServiceKey], draft: _Draft) -> None:
    services, allocations = memo.world.services, memo.world.allocations
    for key in dirty:
        held = memo.held.pop(key, None)
        for code in held.codes if held else ():
            memo.space.give_back(code, key)
        memo.half.pop(key, None)
        memo.waiting.pop(key, None)
        memo.wishes.pop(key, None)
        service = services.get(key)
        if service is not None and service.type is ServiceType.LOAD_BALANCER:
            memo.wishes[key] = _wish(memo, service)
    for key in sorted((key for key in dirty if key in allocations), key=lambda key: _holder_order(memo, key)):
        refusal = _keep(memo, allocations[key], draft)
        if refusal is not None:
            _release(memo, allocations[key], refusal, draft)
    for key in dirty:
        if key in memo.wishes and key not in memo.held:
            _wait(memo, memo.wishes[key])


def _holder_order(memo: AllocationMemo, key: ServiceKey) -> tuple[bool, Rank]:
    wish = memo.wishes.get(key)
    if wish is None:
        return (True, (0.0, *key))
    return (wish.terms.text != memo.remembered.terms.get(key, ""), wish.rank)


def _wait(memo: AllocationMemo, wish: _Wish) -> None:
    memo.waiting[wish.key] = wish.rank
    memo.queue.append((wish.rank, wish.key))


def _release(memo: AllocationMemo, allocation: Allocation, why: tuple[Reason, str], draft: _Draft) -> None:
    reason, detail = why
    draft.releases.append(Release(allocation=allocation, reason=reason, detail=detail))
    draft.lost[allocation.service] = _codes(allocation)


def _keep(memo: AllocationMemo, allocation: Allocation, draft: _Draft) -> tuple[Reason, str] | None:
    """Lets the holder keep its addresses, or says why it cannot. The order of the questions is MetalLB's (3.1)."""
    key = allocation.service
    wish = memo.wishes.get(key)
    if wish is None:
        there = memo.world.services.get(key)
        return (Reason.SERVICE_DELETED, "") if there is None else (Reason.NOT_LOAD_BALANCER, f"type {there.type.value}")
    if wish.refusal is not None:
        return wish.refusal.reason, wish.refusal.detail
    codes = _codes(allocation)
    asked_pool = wish.service.load_balancer.requested_pool
    pools = memo.space.pools_of(codes)
    if not pools:
        return Reason.ADDRESS_IN_NO_POOL, f"no pool has {_texts(codes)}"
    name = allocation.pool if allocation.pool in pools else pools[0]
    pool = memo.world.pools[name]
    if not memo.matcher.compatible(pool, wish.service):
        return Reason.POOL_NOT_COMPATIBLE, name
    if pool.avoid_buggy_ips and any(map(is_buggy, codes)):
        return Reason.ADDRESS_BUGGY, f"pool {name} avoids {_texts(codes)}"
    if asked_pool is not None and asked_pool != name:
        return Reason.REQUESTED_POOL_CHANGED, f"from {name} to {asked_pool}"
    if wish.requested and set(wish.requested) != set(codes):
        return Reason.REQUESTED_ADDRESS_CHANGED, f"from {_texts(codes)} to {_texts(wish.requested)}"
    kept = tuple(code for code in codes if family_of_code(code) in wish.family.families)
    if not kept or (wish.requested and not _fits(wish, codes)):
        return Reason.FAMILIES_CHANGED, f"it wants {' and '.join(wish.family.families)}"
    for code in kept:
        refused = memo.space.refusal(code, wish.terms)
        if refused is not None:
            return refused
    _hold(memo, wish, kept, name)
    if len(kept) < len(codes):
        draft.releases.append(Release(allocation=allocation, reason=Reason.SUPERSEDED, detail=Reason.FAMILIES_CHANGED))
        _grant(wish, kept, name, GrantCause.FAMILY_DROPPED, draft)
    elif name != allocation.pool or wish.terms.text != memo.remembered.terms.get(key, ""):
        draft.amendments.append(Amendment(allocation=allocation, pool=name, terms=wish.terms.text))
    return None


def _hold(memo: AllocationMemo, wish: _Wish, codes: Codes, pool: str) -> None:
    for code in codes:
        memo.space.take(code, wish.key, wish.terms)
    memo.held[wish.key] = _Held(codes, pool)
    if len(codes) < len(wish.family.families) and not wish.requested:
        memo.half[wish.key] = wish.rank


def _grant(wish: _Wish, codes: Codes, pool: str, cause: GrantCause, draft: _Draft) -> None:
    draft.grants.append(
        Grant(
            service=wish.key,
            addresses=tuple(map(address_of_code, codes)),
            pool=pool,
            cause=cause,
            terms=wish.terms.text,
        )
    )


def _texts(codes: Codes) -> str:
    return " and ".join(str(address_of_code(code)) for code in codes)


# A second family for those with one -----------------------------------------------------------------------------------


def _add_second_families(memo: AllocationMemo, draft: _Draft) -> None:
    for key in sorted(memo.half, key=memo.half.__getitem__):
        wish, held = memo.wishes[key], memo.held[key]
        missing = _missing_family(wish, held.codes)
        code = memo.space.lowest(held.pool, missing, wish.terms)
        allocation = memo.world.allocations[key]
        if code is not None:
            memo.space.take(code, key, wish.terms)
            codes = tuple(sorted((*held.codes, code)))
            memo.held[key] = _Held(codes, held.pool)
            del memo.half[key]
            draft.amendments[:] = [item for item in draft.amendments if item.allocation is not allocation]
            draft.releases.append(Release(allocation=allocation, reason=Reason.SUPERSEDED))
            _grant(wish, codes, held.pool, GrantCause.SECOND_FAMILY, draft)
        elif wish.family.partial:
            draft.pending[key] = (_no_address(memo, held.pool, missing),)
        else:
            # Both or nothing (RequireDualStack): another pool may have both.
            for old in held.codes:
                memo.space.give_back(old, key)
            del memo.held[key], memo.half[key]
            draft.amendments[:] = [item for item in draft.amendments if item.allocation is not allocation]
            refusal = _no_address(memo, held.pool, missing)
            _release(memo, allocation, (Reason.FAMILIES_CHANGED, str(refusal)), draft)
            _wait(memo, wish)


def _missing_family(wish: _Wish, codes: Codes) -> Family:
    have = {family_of_code(code) for code in codes}
    return next(family for family in wish.family.families if family not in have)


def _no_address(memo: AllocationMemo, pool: str, family: Family) -> Refusal:
    if family not in memo.space.families(pool):
        return Refusal(pool, Reason.POOL_LACKS_FAMILY, f"it has no {family.value} addresses")
    return Refusal(pool, Reason.POOL_EXHAUSTED, f"all {memo.space.size(pool, family)} {family.value} addresses in use")


# Those who wait -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Found:
    codes: Codes
    pool: str
    cause: GrantCause


def _serve_waiting(memo: AllocationMemo, draft: _Draft) -> None:
    # Mostly in order already, which sorting makes use of.
    memo.queue.sort()
    left: list[tuple[Rank, ServiceKey]] = []
    for entry in memo.queue:
        rank, key = entry
        if memo.waiting.get(key) is not rank:
            continue
        wish = memo.wishes[key]
        found = _serve(memo, wish, draft)
        if isinstance(found, _Found):
            del memo.waiting[key]
            _hold(memo, wish, found.codes, found.pool)
            _grant(wish, found.codes, found.pool, found.cause, draft)
            if key in memo.half:
                draft.pending[key] = (_no_address(memo, found.pool, _missing_family(wish, found.codes)),)
        else:
            draft.pending[key] = found
            left.append(entry)
    memo.queue = left


def _serve(memo: AllocationMemo, wish: _Wish, draft: _Draft) -> _Found | tuple[Refusal, ...]:
    if wish.refusal is not None:
        return (wish.refusal,)
    if not memo.world.pools:
        return (Refusal(str(wish.key), Reason.NO_POOLS),)
    if wish.requested:
        return _requested(memo, wish)
    choice = memo.matcher.choice(wish.service)
    asked_pool = wish.service.load_balancer.requested_pool
    # Nothing is freed from here on, so where one service found nothing the next of its kind finds nothing either;
    # unless it may share, or may return to what it had.
    kind = (asked_pool, id(choice), wish.family)
    alike = wish.terms.sharing is None and wish.key not in draft.lost
    if alike and kind in draft.hopeless:
        return draft.hopeless[kind]
    if asked_pool is not None:
        found = _from_asked_pool(memo, wish, asked_pool)
    else:
        found = _from_choice(memo, wish, choice, draft.lost.get(wish.key, ()))
    if alike and not isinstance(found, _Found):
        draft.hopeless[kind] = found
    return found


def _requested(memo: AllocationMemo, wish: _Wish) -> _Found | tuple[Refusal, ...]:
    """The very addresses asked for, from whichever pool has them all; autoAssign does not matter."""
    codes, text = wish.requested, _texts(wish.requested)
    if not _fits(wish, codes):
        return (Refusal(text, Reason.ADDRESS_WRONG_FAMILY, f"the service wants {' and '.join(wish.family.families)}"),)
    pools = memo.space.pools_of(codes)
    if not pools:
        homeless = [code for code in codes if not memo.space.pools_of((code,))]
        if homeless:
            return tuple(Refusal(_texts((code,)), Reason.ADDRESS_IN_NO_POOL) for code in homeless)
        return (Refusal(text, Reason.ADDRESSES_IN_DIFFERENT_POOLS),)
    asked_pool = wish.service.load_balancer.requested_pool
    if asked_pool is not None and asked_pool not in pools:
        return (Refusal(text, Reason.ADDRESS_NOT_IN_REQUESTED_POOL, f"{pools[0]} has it, {asked_pool} was asked for"),)
    pool = memo.world.pools[asked_pool or pools[0]]
    if not memo.matcher.compatible(pool, wish.service):
        return (Refusal(pool.name, Reason.POOL_NOT_COMPATIBLE),)
    refusals: list[Refusal] = []
    for code in codes:
        if pool.avoid_buggy_ips and is_buggy(code):
            refusals.append(Refusal(_texts((code,)), Reason.ADDRESS_BUGGY, f"pool {pool.name} avoids it"))
        elif (refused := memo.space.refusal(code, wish.terms)) is not None:
            refusals.append(Refusal(_texts((code,)), *refused))
    return tuple(refusals) or _Found(codes, pool.name, GrantCause.REQUESTED_ADDRESS)


def _fits(wish: _Wish, codes: Codes) -> bool:
    """Whether addresses asked for are of the families wanted. Who prefers both may ask for one, and gets that one."""
    families = sorted(family_of_code(code) for code in codes)
    if wish.family.partial and len(families) == 1:
        return True
    return families == sorted(wish.family.families)


def _from_asked_pool(memo: AllocationMemo, wish: _Wish, name: str) -> _Found | tuple[Refusal, ...]:
    pool = memo.world.pools.get(name)
    if pool is None:
        return (Refusal(name, Reason.UNKNOWN_POOL),)
    if not memo.matcher.compatible(pool, wish.service):
        return (Refusal(name, Reason.POOL_NOT_COMPATIBLE),)
    return _from_pools(memo, wish, (name,), GrantCause.REQUESTED_POOL, ())


def _from_choice(memo: AllocationMemo, wish: _Wish, choice: PoolChoice, lost: Codes) -> _Found | tuple[Refusal, ...]:
    refusals: list[Refusal] = []
    for cause, names in choice.tiers:
        found = _from_pools(memo, wish, names, cause, lost)
        if isinstance(found, _Found):
            return found
        refusals.extend(found)
    return (*refusals, *choice.refusals)


def _from_pools(
    memo: AllocationMemo, wish: _Wish, names: tuple[str, ...], cause: GrantCause, lost: Codes
) -> _Found | tuple[Refusal, ...]:
    """The first pool of the list that has what is wanted: all families, or one of them where that will do."""
    families, space, terms = wish.family.families, memo.space, wish.terms
    refusals: list[Refusal] = []
    for name in names:
        codes: list[int] = []
        for family in families:
            code = space.lowest(name, family, terms)
            if code is None:
                refusals.append(_no_address(memo, name, family))
                break
            codes.append(code)
        else:
            return _Found(tuple(sorted(codes)), name, cause)
    if not wish.family.partial:
        return tuple(refusals)
    for code in lost:
        home = next((name for name in space.pools_of((code,)) if name in names), None)
        if home is not None and family_of_code(code) in families and _may_have(memo, home, code, terms):
            return _Found((code,), home, cause)
    refusals.clear()
    for family in families:
        for name in names:
            code = space.lowest(name, family, terms)
            if code is not None:
                return _Found((code,), name, cause)
            refusals.append(_no_address(memo, name, family))
    return tuple(refusals)


def _may_have(memo: AllocationMemo, pool: str, code: int, terms: Terms) -> bool:
    avoided: Pool = memo.world.pools[pool]
    return not (avoided.avoid_buggy_ips and is_buggy(code)) and memo.space.refusal(code, terms) is None


def _remember_expected(memo: AllocationMemo, draft: _Draft) -> None:
    for release in draft.releases:
        memo.expected[release.allocation.service] = _NOTHING
    for amendment in draft.amendments:
        codes = _codes(amendment.allocation)
        memo.expected[amendment.allocation.service] = _Expected(codes, amendment.pool, amendment.terms)
    for grant in draft.grants:
        codes = tuple(map(code_of, grant.addresses))
        memo.expected[grant.service] = _Expected(codes, grant.pool, grant.terms)
