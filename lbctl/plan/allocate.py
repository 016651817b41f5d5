"""Which service gets which addresses: the whole of it, decided anew each time from the world and the ledger.

    plan, memo = allocate(world, remembered, memo, now_unix=now)

`world.allocations` is what the ledger holds. First those who hold addresses are looked at: they keep them while their
service, the pools and their neighbours on a shared address allow it. Then a service that holds one family and wants two
is given the second from the same pool; and one that does not want to stay on an address in quarantine, another. Then
those who have none, in order: creationTimestamp, or when first seen, then namespace and name. The plan says what to
change in the ledger, and why every service that waits does so.

The rules are those of MetalLB section 3, and docs/allocation.md has them in order. Where they take an address from a
running service without need (a policy change, a pool that lost one of two families or was split), what still fits is
kept. What would only keep an address from being given (that it is excluded, reserved for another, or in quarantine)
takes it from nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lbctl.model.allocation import Allocation
from lbctl.model.pool import OnConflict
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
from lbctl.plan.allocation_memo import (
    AllocationMemo,
    Codes,
    Expected,
    Held,
    Names,
    Rank,
    Wish,
    catch_up,
    codes_of,
    pools_of,
    wish_of,
)
from lbctl.plan.pools import PoolChoice
from lbctl.plan.positions import address_of_code, code_of, family_of_code, is_buggy
from lbctl.plan.reason import GrantCause, Reason, Refusal
from lbctl.plan.search import (
    Found,
    fits,
    from_asked_pools,
    from_choice,
    from_reservation,
    requested,
    second_address,
    texts_of,
    whole,
)
from lbctl.plan.sharing import terms_from
from lbctl.plan.space import told_of

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

_NOTHING = Expected((), (), "")


@dataclass(slots=True)
class _Draft:
    """A plan in the making. `lost`: addresses that a service held and may be given again. `hopeless`: kinds of service
    for which there is nothing. `asking`: holders who ask for other addresses than they have. `cut`: the addresses in no
    pool any more, of holders of which half is left."""

    grants: list[Grant] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    amendments: list[Amendment] = field(default_factory=list)
    pending: dict[ServiceKey, tuple[Refusal, ...]] = field(default_factory=dict)
    asking: list[Wish] = field(default_factory=list)
    cut: dict[ServiceKey, Codes] = field(default_factory=dict)
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
    dirty = catch_up(memo, world, remembered, now_unix, (load_balancer_class, unread or ALL_READ))
    if memo.settled:
        return AllocationPlan(pending=memo.pending), memo
    draft = _Draft()
    _keep_holders(memo, dirty, draft)
    _follow_requests(memo, draft)
    _add_second_families(memo, draft)
    _leave_quarantine(memo, draft)
    _serve_waiting(memo, draft)
    _remember_expected(memo, draft)
    memo.pending = memo.pending.become(draft.pending)
    plan = AllocationPlan(
        grants=tuple(draft.grants),
        releases=tuple(draft.releases),
        amendments=tuple(draft.amendments),
        pending=memo.pending,
    )
    memo.settled = plan.settled
    return plan, memo


# Those who hold addresses --------------------------------------------------------------------------------------------


def _keep_holders(memo: AllocationMemo, dirty: set[ServiceKey], draft: _Draft) -> None:
    services, allocations = memo.world.services, memo.world.allocations
    for key in dirty:
        held = memo.held.pop(key, None)
        for code in held.codes if held else ():
            memo.space.give_back(code, key)
        memo.half.pop(key, None)
        memo.moving.pop(key, None)
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
    _free(memo, allocation.service, codes_of(allocation))


def _free(memo: AllocationMemo, key: ServiceKey, codes: Codes) -> None:
    """Those of the addresses that nobody else uses cool from now on, as the ledger will say."""
    for code in codes:
        if not memo.space.users(code):
            memo.space.freed(code, memo.now_unix, key)
            memo.freed.add(code)


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
    pools = _homes(memo, allocation, codes)
    homeless = tuple(code for code, name in zip(codes, pools, strict=True) if not name)
    if homeless:
        unread = memo.unread.pools
        if allocation.pool in unread or (allocation.second_pool and allocation.second_pool in unread):
            return _keep_unseen(memo, allocation)
        if wish.requested or len(homeless) == len(codes):
            return _in_no_pool(homeless)
        # What is left of two is not given away before it is known whether half will do.
        codes, pools = tuple(code for code in codes if code not in homeless), tuple(filter(None, pools))
    refused = _pools_refuse(memo, wish, codes, pools)
    if refused is not None:
        return refused
    if wish.requested and set(wish.requested) != set(codes):
        return _keep_requested(memo, wish, codes, pools, draft)
    kept = tuple(code for code in codes if family_of_code(code) in wish.family.families)
    if not kept or (wish.requested and not fits(wish, codes)):
        return Reason.FAMILIES_CHANGED, f"it wants {' and '.join(wish.family.families)}"
    for code in kept:
        refused = memo.space.conflict(code, wish.terms)
        if refused is not None:
            return refused
    kept_pools = tuple(pools[codes.index(code)] for code in kept)
    _hold(memo, wish, kept, kept_pools)
    if _in_quarantine(memo, wish, kept, kept_pools):
        memo.moving[key] = wish.rank
    if homeless and key in memo.half:
        draft.cut[key] = homeless
    elif len(kept) < len(allocation.addresses):
        draft.releases.append(Release(allocation=allocation, reason=Reason.SUPERSEDED, detail=Reason.FAMILIES_CHANGED))
        _grant(wish, kept, kept_pools, GrantCause.FAMILY_DROPPED, draft)
        _free(memo, key, tuple(code for code in codes_of(allocation) if code not in kept))
    elif pools != pools_of(allocation) or wish.terms.text != memo.remembered.terms.get(key, ""):
        pool, second_pool = _written(pools)
        draft.amendments.append(
            Amendment(allocation=allocation, pool=pool, second_pool=second_pool, terms=wish.terms.text)
        )
    return None


def _keep_requested(
    memo: AllocationMemo, wish: Wish, codes: Codes, pools: Names, draft: _Draft
) -> tuple[Reason, str] | None:
    """It asks for other addresses now. Those that it has and asks for still are not given away meanwhile."""
    kept = {code: name for code, name in zip(codes, pools, strict=True) if code in wish.requested}
    if not kept:
        return _requests_changed(codes, wish)
    for code in kept:
        refused = memo.space.conflict(code, wish.terms)
        if refused is not None:
            return refused
    _hold(memo, wish, tuple(kept), tuple(kept.values()))
    draft.asking.append(wish)
    return None


def _requests_changed(codes: Codes, wish: Wish) -> tuple[Reason, str]:
    return Reason.REQUESTED_ADDRESS_CHANGED, f"from {texts_of(codes)} to {texts_of(wish.requested)}"


def _in_no_pool(codes: Codes) -> tuple[Reason, str]:
    return Reason.ADDRESS_IN_NO_POOL, f"no pool has {texts_of(codes)}"


def _homes(memo: AllocationMemo, allocation: Allocation, codes: Codes) -> Names:
    """The pool of each address: as the ledger has it, else one that has them all, else one each; "" where it is in
    none."""
    recorded = pools_of(allocation)
    homes = [memo.space.homes(code) for code in codes]
    if all(name in names for name, names in zip(recorded, homes, strict=True)):
        return recorded
    common = memo.space.pools_of(codes)
    if common:
        return (allocation.pool if allocation.pool in common else common[0],) * len(codes)
    return tuple(name if name in names else next(iter(names), "") for name, names in zip(recorded, homes, strict=True))


def _pools_refuse(memo: AllocationMemo, wish: Wish, codes: Codes, pools: Names) -> tuple[Reason, str] | None:
    """Why the pools, or what the service says of pools, do not let it keep the addresses."""
    asked = wish.service.load_balancer
    for name in dict.fromkeys(pools):
        if not memo.matcher.compatible(memo.world.pools[name], wish.service):
            return Reason.POOL_NOT_COMPATIBLE, name
    avoided = [
        (code, name)
        for code, name in zip(codes, pools, strict=True)
        if is_buggy(code) and memo.world.pools[name].avoid_buggy_ips
    ]
    if avoided:
        return Reason.ADDRESS_BUGGY, f"pool {avoided[0][1]} avoids {texts_of(tuple(code for code, _ in avoided))}"
    wanted = asked.pools_by_family or ((asked.requested_pool,) if asked.requested_pool is not None else ())
    if wanted and any(name not in wanted for name in pools):
        return Reason.REQUESTED_POOL_CHANGED, f"from {' and '.join(dict.fromkeys(pools))} to {' and '.join(wanted)}"
    return None


def _in_quarantine(memo: AllocationMemo, wish: Wish, codes: Codes, pools: Names) -> bool:
    """Whether it holds an address in quarantine and would rather have another. Who asked for this very address, or has
    it reserved, keeps it."""
    asked = wish.service.load_balancer
    if wish.requested or wish.key in memo.remembered.reserved:
        return False
    return any(
        memo.space.quarantine(code) is not None
        and (asked.on_conflict or memo.world.pools[name].options.on_conflict) is OnConflict.REALLOCATE
        for code, name in zip(codes, pools, strict=True)
    )


def _keep_unseen(memo: AllocationMemo, allocation: Allocation) -> tuple[Reason, str] | None:
    """Keeps an allocation whose service or pool may be in what could not be read, on the terms it was made."""
    key, codes = allocation.service, codes_of(allocation)
    terms = terms_from(memo.remembered.terms.get(key, ""))
    for code in codes:
        refused = memo.space.conflict(code, terms)
        if refused is not None:
            return refused
    for code in codes:
        memo.space.take(code, key, terms)
    memo.held[key] = Held(codes, pools_of(allocation))
    return None


def _hold(memo: AllocationMemo, wish: Wish, codes: Codes, pools: Names) -> None:
    for code in codes:
        memo.space.take(code, wish.key, wish.terms)
    memo.held[wish.key] = Held(codes, pools)
    if len(codes) < len(wish.family.families) and not wish.requested:
        memo.half[wish.key] = wish.rank


def _let_go(memo: AllocationMemo, key: ServiceKey) -> Held:
    held = memo.held.pop(key)
    memo.half.pop(key, None)
    for code in held.codes:
        memo.space.give_back(code, key)
    return held


def _grant(wish: Wish, codes: Codes, pools: Names, cause: GrantCause, draft: _Draft) -> None:
    pool, second_pool = _written(pools)
    draft.grants.append(
        Grant(
            service=wish.key,
            addresses=tuple(map(address_of_code, codes)),
            pool=pool,
            cause=cause,
            terms=wish.terms.text,
            second_pool=second_pool,
        )
    )


def _written(pools: Names) -> tuple[str, str]:
    """(pool, second pool), as a ledger has them."""
    return pools[0], pools[1] if len(pools) > 1 and pools[1] != pools[0] else ""


# A second family for those with one ----------------------------------------------------------------------------------


def _add_second_families(memo: AllocationMemo, draft: _Draft) -> None:
    for key in sorted(memo.half, key=memo.half.__getitem__):
        wish, held = memo.wishes[key], memo.held[key]
        found = second_address(memo, wish, held)
        allocation = memo.world.allocations[key]
        homeless = draft.cut.get(key, ())
        if isinstance(found, Found):
            _let_go(memo, key)
            _hold(memo, wish, found.codes, found.pools)
            _supersede(allocation, _in_no_pool(homeless) if homeless else (Reason.SUPERSEDED, ""), draft)
            _grant(wish, found.codes, found.pools, found.cause, draft)
            _free(memo, key, homeless)
        elif wish.family.partial and homeless:
            _settle_for_half(memo, wish, found, homeless, draft)
        elif wish.family.partial:
            draft.pending[key] = found
        else:
            # Both or nothing (RequireDualStack): another pool may have both.
            _let_go(memo, key)
            memo.moving.pop(key, None)
            draft.amendments[:] = [item for item in draft.amendments if item.allocation is not allocation]
            changed = (Reason.FAMILIES_CHANGED, "; ".join(map(str, found)))
            _release(memo, allocation, _in_no_pool(homeless) if homeless else changed, draft)
            _wait(memo, wish)


def _settle_for_half(
    memo: AllocationMemo, wish: Wish, lacking: tuple[Refusal, ...], homeless: Codes, draft: _Draft
) -> None:
    """Half of what it had is in no pool any more: another pool that has both families, or else what is left."""
    allocation, held = memo.world.allocations[wish.key], _let_go(memo, wish.key)
    found = whole(memo, wish, memo.matcher.choice(wish.service))
    if found is None:
        found = Found(held.codes, held.pools, GrantCause.FAMILY_DROPPED)
        draft.pending[wish.key] = lacking
    _hold(memo, wish, found.codes, found.pools)
    _supersede(allocation, _in_no_pool(homeless), draft)
    _grant(wish, found.codes, found.pools, found.cause, draft)
    _free(memo, wish.key, tuple(code for code in codes_of(allocation) if code not in found.codes))


def _supersede(allocation: Allocation, why: tuple[Reason, str], draft: _Draft) -> None:
    """A grant in this plan takes the place of the allocation, whatever else was to become of it."""
    draft.amendments[:] = [item for item in draft.amendments if item.allocation is not allocation]
    draft.releases.append(Release(allocation=allocation, reason=why[0], detail=why[1]))


# Other addresses for those who ask for others -------------------------------------------------------------------------


def _follow_requests(memo: AllocationMemo, draft: _Draft) -> None:
    for wish in sorted(draft.asking, key=lambda wish: wish.rank):
        allocation = memo.world.allocations[wish.key]
        codes = codes_of(allocation)
        _let_go(memo, wish.key)
        found = requested(memo, wish)
        if isinstance(found, Found):
            _hold(memo, wish, found.codes, found.pools)
            _supersede(allocation, _requests_changed(codes, wish), draft)
            _grant(wish, found.codes, found.pools, found.cause, draft)
            _free(memo, wish.key, tuple(code for code in codes if code not in found.codes))
        else:
            _release(memo, allocation, _requests_changed(codes, wish), draft)
            _wait(memo, wish)


# Other addresses for those whose own some other machine answers for --------------------------------------------------


def _leave_quarantine(memo: AllocationMemo, draft: _Draft) -> None:
    """They keep what they have until there is something else."""
    changed = {release.allocation.service for release in draft.releases}
    for key in sorted(memo.moving.keys() - changed, key=memo.moving.__getitem__):
        wish, allocation = memo.wishes[key], memo.world.allocations[key]
        held = _let_go(memo, key)
        draft.lost[key] = held.codes
        found = _serve(memo, wish, draft)
        del draft.lost[key]
        named = [(code, where) for code in held.codes if (where := memo.space.quarantine(code)) is not None]
        if isinstance(found, Found) and len(found.codes) >= len(held.codes):
            del memo.moving[key]
            _hold(memo, wish, found.codes, found.pools)
            told = "; ".join(f"{texts_of((code,))}: {told_of(where)}" for code, where in named)
            _supersede(allocation, (Reason.ADDRESS_CONFLICT, told), draft)
            _grant(wish, found.codes, found.pools, found.cause, draft)
            _free(memo, key, tuple(code for code in held.codes if code not in found.codes))
            draft.pending.pop(key, None)
            _tell_half(memo, wish, draft)
        else:
            _hold(memo, wish, held.codes, held.pools)
            draft.pending[key] = (
                *(Refusal(texts_of((code,)), Reason.QUARANTINED, told_of(where)) for code, where in named),
                *(() if isinstance(found, Found) else found),
            )


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
            _hold(memo, wish, found.codes, found.pools)
            _grant(wish, found.codes, found.pools, found.cause, draft)
            _tell_half(memo, wish, draft)
        else:
            draft.pending[key] = found
            left.append(entry)
    memo.queue = left


def _tell_half(memo: AllocationMemo, wish: Wish, draft: _Draft) -> None:
    """Who was just given one family and wants two is told why there is no second."""
    if wish.key in memo.half:
        lacking = second_address(memo, wish, memo.held[wish.key])
        if not isinstance(lacking, Found):
            draft.pending[wish.key] = lacking


def _serve(memo: AllocationMemo, wish: Wish, draft: _Draft) -> Found | tuple[Refusal, ...]:
    if wish.refusal is not None:
        return (wish.refusal,)
    if not memo.world.pools:
        return (Refusal(str(wish.key), Reason.NO_POOLS),)
    if wish.requested:
        return requested(memo, wish)
    reservation = memo.remembered.reserved.get(wish.key)
    if reservation is not None:
        kept = from_reservation(memo, wish, reservation)
        if kept is not None:
            return kept
    choice = memo.matcher.choice(wish.service)
    # Nothing is freed from here on, so where one service found nothing the next of its kind finds nothing either;
    # unless it may share, or may return to what it had.
    alike = wish.terms.sharing is None and wish.key not in draft.lost
    if alike and draft.hopeless:
        known = draft.hopeless.get(_kind(wish, choice))
        if known is not None:
            return known
    lost = draft.lost.get(wish.key, ())
    found = from_asked_pools(memo, wish, lost)
    if found is None:
        found = from_choice(memo, wish, choice, lost)
    if alike and not isinstance(found, Found):
        before = memo.pending.get(wish.key)
        if before == found:
            found = before  # the very same, so that nobody has to compare it for each of the others
        draft.hopeless[_kind(wish, choice)] = found
    return found


def _kind(wish: Wish, choice: PoolChoice) -> object:
    """Services of one kind may have the same addresses."""
    asked = wish.service.load_balancer
    return (asked.pools_by_family, asked.requested_pool, id(choice), wish.family)


def _remember_expected(memo: AllocationMemo, draft: _Draft) -> None:
    for release in draft.releases:
        memo.expected[release.allocation.service] = _NOTHING
    for amendment in draft.amendments:
        codes = codes_of(amendment.allocation)
        pools = _each(len(codes), amendment.pool, amendment.second_pool)
        memo.expected[amendment.allocation.service] = Expected(codes, pools, amendment.terms)
    for grant in draft.grants:
        codes = tuple(map(code_of, grant.addresses))
        pools = _each(len(codes), grant.pool, grant.second_pool)
        memo.expected[grant.service] = Expected(codes, pools, grant.terms)


def _each(count: int, pool: str, second_pool: str) -> Names:
    return (pool, second_pool or pool)[:count]
