"""Which service gets which addresses: the whole of it, decided anew each time from the world and the ledger.

    plan, memo = allocate(world, remembered, memo, now_unix=now)

`world.allocations` is what the ledger holds. First those who hold addresses are looked at: they keep them while their
service, the pools and their neighbours on a shared address allow it. Then a service that holds one family and wants two
is given the second from the same pool. Then the others in order: creationTimestamp, or when first seen, then namespace
and name. The plan says what to change in the ledger, and why every service that waits does so.

The rules are those of MetalLB section 3. Where they take an address from a running service without need (a policy
change, a pool that lost one of two families), the address that still fits is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lbctl.model.allocation import Allocation
from lbctl.model.service import ServiceKey, ServiceType
from lbctl.model.snapshot import World
from lbctl.plan.allocation import (
    ALL_READ,
    AllocationPlan,
    Amendment,
    Grant,
    Release,
    Remembered,
    Unread,
)
from lbctl.plan.allocation_memo import AllocationMemo, Codes, Expected, Held, Rank, Wish, catch_up, codes_of, wish_of
from lbctl.plan.reason import GrantCause, Reason, Refusal
from lbctl.plan.search import (
    Found,
    fits,
    from_asked_pool,
    from_choice,
    missing_family,
    no_address,
    requested,
    texts_of,
)
from lbctl.plan.sharing import terms_from
from lbctl.plan.space import address_of_code, code_of, family_of_code, is_buggy

__all__ = [
    "ALL_READ",
    "AllocationMemo",
    "AllocationPlan",
    "Amendment",
    "Grant",
    "Release",
    "Remembered",
    "Unread",
    "allocate",
]

_NOTHING = Expected((), "", "")


@dataclass(slots=True)
class _Draft:
    """A plan in the making. `lost`: addresses that a service held and may be given again."""

    grants: list[Grant] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    amendments: list[Amendment] = field(default_factory=list)
    pending: dict[ServiceKey, tuple[Refusal, ...]] = field(default_factory=dict)
    lost: dict[ServiceKey, Codes] = field(default_factory=dict)
    hopeless: dict[object, tuple[Refusal, ...]] = field(default_factory=dict)


def allocate(
    world: World,
    remembered: Remembered,
    memo: AllocationMemo | None = None,
    *,
    now_unix: float = 0.0,
    load_balancer_class: str | None = None,
    unread: Unread | None = None,
) -> tuple[AllocationPlan, AllocationMemo]:
    """The plan for this world and ledger.

    `now_unix`: seconds since 1970, by which a freed address still cools or does not. `load_balancer_class`: the one
    class that is ours; None: services without. `unread` names what may exist though it is not in the world, because
    something could not be read yet: nobody loses anything by that.

    The memo is that of an earlier call, for whatever world; it is used up. It changes the time this takes and nothing
    else.
    """
    memo = memo or AllocationMemo()
    dirty = catch_up(memo, world, remembered, (load_balancer_class, unread or ALL_READ))
    draft = _Draft()
    _keep_holders(memo, dirty, draft)
    _add_second_families(memo, draft)
    _serve_waiting(memo, draft)
    _remember_expected(memo, draft)
    memo.pending = memo.pending.become(draft.pending)
    return AllocationPlan(
        grants=tuple(draft.grants),
        releases=tuple(draft.releases),
        amendments=tuple(draft.amendments),
        pending=memo.pending,
    ), memo


# Those who hold addresses --------------------------------------------------------------------------------------------


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
            memo.wishes[key] = wish_of(memo, service)
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
        return (False, (0.0, *key))
    return (wish.terms.text != memo.remembered.terms.get(key, ""), wish.rank)


def _wait(memo: AllocationMemo, wish: Wish) -> None:
    memo.waiting[wish.key] = wish.rank
    memo.queue.append((wish.rank, wish.key))


def _release(memo: AllocationMemo, allocation: Allocation, why: tuple[Reason, str], draft: _Draft) -> None:
    reason, detail = why
    draft.releases.append(Release(allocation=allocation, reason=reason, detail=detail))
    draft.lost[allocation.service] = codes_of(allocation)


def _keep(memo: AllocationMemo, allocation: Allocation, draft: _Draft) -> tuple[Reason, str] | None:
    """Lets the holder keep its addresses, or says why it cannot. The order of the questions is MetalLB's (3.1)."""
    key = allocation.service
    wish = memo.wishes.get(key)
    if wish is None:
        there = memo.world.services.get(key)
        if there is None and key in memo.unread.services:
            return _keep_unseen(memo, allocation)
        return (Reason.SERVICE_DELETED, "") if there is None else (Reason.NOT_LOAD_BALANCER, f"type {there.type.value}")
    if wish.refusal is not None:
        return wish.refusal.reason, wish.refusal.detail
    codes = codes_of(allocation)
    asked_pool = wish.service.load_balancer.requested_pool
    pools = memo.space.pools_of(codes)
    if not pools and allocation.pool in memo.unread.pools:
        return _keep_unseen(memo, allocation)
    if not pools:
        return Reason.ADDRESS_IN_NO_POOL, f"no pool has {texts_of(codes)}"
    name = allocation.pool if allocation.pool in pools else pools[0]
    pool = memo.world.pools[name]
    if not memo.matcher.compatible(pool, wish.service):
        return Reason.POOL_NOT_COMPATIBLE, name
    if pool.avoid_buggy_ips and any(map(is_buggy, codes)):
        return Reason.ADDRESS_BUGGY, f"pool {name} avoids {texts_of(codes)}"
    if asked_pool is not None and asked_pool != name:
        return Reason.REQUESTED_POOL_CHANGED, f"from {name} to {asked_pool}"
    if wish.requested and set(wish.requested) != set(codes):
        return Reason.REQUESTED_ADDRESS_CHANGED, f"from {texts_of(codes)} to {texts_of(wish.requested)}"
    kept = tuple(code for code in codes if family_of_code(code) in wish.family.families)
    if not kept or (wish.requested and not fits(wish, codes)):
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


def _keep_unseen(memo: AllocationMemo, allocation: Allocation) -> tuple[Reason, str] | None:
    """Keeps an allocation whose service or pool may be in what could not be read, on the terms it was made."""
    key, codes = allocation.service, codes_of(allocation)
    terms = terms_from(memo.remembered.terms.get(key, ""))
    for code in codes:
        refused = memo.space.refusal(code, terms)
        if refused is not None:
            return refused
    for code in codes:
        memo.space.take(code, key, terms)
    memo.held[key] = Held(codes, allocation.pool)
    return None


def _hold(memo: AllocationMemo, wish: Wish, codes: Codes, pool: str) -> None:
    for code in codes:
        memo.space.take(code, wish.key, wish.terms)
    memo.held[wish.key] = Held(codes, pool)
    if len(codes) < len(wish.family.families) and not wish.requested:
        memo.half[wish.key] = wish.rank


def _grant(wish: Wish, codes: Codes, pool: str, cause: GrantCause, draft: _Draft) -> None:
    draft.grants.append(
        Grant(
            service=wish.key,
            addresses=tuple(map(address_of_code, codes)),
            pool=pool,
            cause=cause,
            terms=wish.terms.text,
        )
    )


# A second family for those with one ----------------------------------------------------------------------------------


def _add_second_families(memo: AllocationMemo, draft: _Draft) -> None:
    for key in sorted(memo.half, key=memo.half.__getitem__):
        wish, held = memo.wishes[key], memo.held[key]
        missing = missing_family(wish, held.codes)
        code = memo.space.lowest(held.pool, missing, wish.terms)
        allocation = memo.world.allocations[key]
        if code is not None:
            memo.space.take(code, key, wish.terms)
            codes = tuple(sorted((*held.codes, code)))
            memo.held[key] = Held(codes, held.pool)
            del memo.half[key]
            draft.amendments[:] = [item for item in draft.amendments if item.allocation is not allocation]
            draft.releases.append(Release(allocation=allocation, reason=Reason.SUPERSEDED))
            _grant(wish, codes, held.pool, GrantCause.SECOND_FAMILY, draft)
        elif wish.family.partial:
            draft.pending[key] = (no_address(memo, held.pool, missing),)
        else:
            # Both or nothing (RequireDualStack): another pool may have both.
            for old in held.codes:
                memo.space.give_back(old, key)
            del memo.held[key], memo.half[key]
            draft.amendments[:] = [item for item in draft.amendments if item.allocation is not allocation]
            refusal = no_address(memo, held.pool, missing)
            _release(memo, allocation, (Reason.FAMILIES_CHANGED, str(refusal)), draft)
            _wait(memo, wish)


# Those who wait ------------------------------------------------------------------------------------------------------


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
        if isinstance(found, Found):
            del memo.waiting[key]
            _hold(memo, wish, found.codes, found.pool)
            _grant(wish, found.codes, found.pool, found.cause, draft)
            if key in memo.half:
                draft.pending[key] = (no_address(memo, found.pool, missing_family(wish, found.codes)),)
        else:
            draft.pending[key] = found
            left.append(entry)
    memo.queue = left


def _serve(memo: AllocationMemo, wish: Wish, draft: _Draft) -> Found | tuple[Refusal, ...]:
    if wish.refusal is not None:
        return (wish.refusal,)
    if not memo.world.pools:
        return (Refusal(str(wish.key), Reason.NO_POOLS),)
    if wish.requested:
        return requested(memo, wish)
    choice = memo.matcher.choice(wish.service)
    asked_pool = wish.service.load_balancer.requested_pool
    # Nothing is freed from here on, so where one service found nothing the next of its kind finds nothing either;
    # unless it may share, or may return to what it had.
    kind = (asked_pool, id(choice), wish.family)
    alike = wish.terms.sharing is None and wish.key not in draft.lost
    if alike and kind in draft.hopeless:
        return draft.hopeless[kind]
    if asked_pool is not None:
        found = from_asked_pool(memo, wish, asked_pool)
    else:
        found = from_choice(memo, wish, choice, draft.lost.get(wish.key, ()))
    if alike and not isinstance(found, Found):
        draft.hopeless[kind] = found
    return found


def _remember_expected(memo: AllocationMemo, draft: _Draft) -> None:
    for release in draft.releases:
        memo.expected[release.allocation.service] = _NOTHING
    for amendment in draft.amendments:
        codes = codes_of(amendment.allocation)
        memo.expected[amendment.allocation.service] = Expected(codes, amendment.pool, amendment.terms)
    for grant in draft.grants:
        codes = tuple(map(code_of, grant.addresses))
        memo.expected[grant.service] = Expected(codes, grant.pool, grant.terms)
