"""Those who hold addresses: whether they keep them, or why they cannot (MetalLB sections 3.1 and 3.6)."""

from __future__ import annotations

from lbctl.model.allocation import Allocation
from lbctl.model.service import ServiceKey, ServiceType
from lbctl.plan.allocation import Amendment, Release
from lbctl.plan.allocation_memo import AllocationMemo, Codes, Held, Names, Wish, codes_of, pools_of, wish_of
from lbctl.plan.draft import (
    Draft,
    free,
    grant,
    hold,
    in_no_pool,
    let_go,
    release,
    requests_changed,
    tell,
    wait,
    would_leave,
    written,
)
from lbctl.plan.positions import family_of_code, is_buggy
from lbctl.plan.reason import GrantCause, Reason
from lbctl.plan.search import fits, texts_of
from lbctl.plan.sharing import terms_from
from lbctl.plan.waiting import Rank


def keep_holders(memo: AllocationMemo, dirty: set[ServiceKey], draft: Draft) -> None:
    services, allocations = memo.world.services, memo.world.allocations
    for key in dirty:
        if key in memo.held:
            let_go(memo, key)
        if memo.wishes.pop(key, None) is not None:
            memo.moving.pop(key, None)
            memo.waiting.leave(key)
        service = services.get(key)
        if service is not None and service.type is ServiceType.LOAD_BALANCER:
            memo.wishes[key] = wish_of(memo, service)
    for key in sorted(dirty & allocations.keys(), key=lambda key: _holder_order(memo, key)):
        refusal = _keep(memo, allocations[key], draft)
        if refusal is not None:
            release(memo, allocations[key], refusal, draft)
    for key in dirty:
        if key in memo.wishes and key not in memo.held:
            wait(memo, memo.wishes[key], draft)


def _holder_order(memo: AllocationMemo, key: ServiceKey) -> tuple[bool, Rank]:
    wish = memo.wishes.get(key)
    if wish is None:
        return (False, (0.0, *key))
    return (wish.terms.text != memo.remembered.terms.get(key, ""), wish.rank)


def _keep(memo: AllocationMemo, allocation: Allocation, draft: Draft) -> tuple[Reason, str] | None:
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
            return in_no_pool(homeless)
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
    hold(memo, wish, kept, kept_pools)
    stuck = {refusal.subject for refusal in memo.stuck.get(key, ())}
    if stuck:
        tell(memo, key, (), draft)
    for code, name in zip(kept, kept_pools, strict=True):
        if would_leave(memo, wish, code, name) and texts_of((code,)) not in stuck:
            memo.moving[key] = wish.rank
    if homeless and key in memo.half:
        memo.half.join_alone(key, wish.rank)
        draft.cut[key] = homeless
    elif len(kept) < len(allocation.addresses):
        draft.releases.append(Release(allocation=allocation, reason=Reason.SUPERSEDED, detail=Reason.FAMILIES_CHANGED))
        grant(memo, wish, kept, kept_pools, GrantCause.FAMILY_DROPPED, draft)
        free(memo, key, tuple(code for code in codes_of(allocation) if code not in kept))
    elif pools != pools_of(allocation) or wish.terms.text != memo.remembered.terms.get(key, ""):
        pool, second_pool = written(pools)
        draft.amendments.append(
            Amendment(allocation=allocation, pool=pool, second_pool=second_pool, terms=wish.terms.text)
        )
    return None


def _keep_requested(
    memo: AllocationMemo, wish: Wish, codes: Codes, pools: Names, draft: Draft
) -> tuple[Reason, str] | None:
    """It asks for other addresses now. Those that it has and asks for still are not given away meanwhile."""
    kept = {code: name for code, name in zip(codes, pools, strict=True) if code in wish.requested}
    if not kept:
        return requests_changed(codes, wish)
    for code in kept:
        refused = memo.space.conflict(code, wish.terms)
        if refused is not None:
            return refused
    hold(memo, wish, tuple(kept), tuple(kept.values()))
    draft.asking.append(wish)
    return None


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
