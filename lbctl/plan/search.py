"""Which addresses one service may have now: those it asks for, or the first usable ones of its pools (section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

from lbctl.model.address import Family
from lbctl.model.pool import Pool
from lbctl.plan.allocation_memo import AllocationMemo, Codes, Wish
from lbctl.plan.pools import PoolChoice
from lbctl.plan.reason import GrantCause, Reason, Refusal
from lbctl.plan.sharing import Terms
from lbctl.plan.space import address_of_code, family_of_code, is_buggy


@dataclass(slots=True)
class Found:
    codes: Codes
    pool: str
    cause: GrantCause


def requested(memo: AllocationMemo, wish: Wish) -> Found | tuple[Refusal, ...]:
    """The very addresses asked for, from whichever pool has them all; autoAssign does not matter."""
    codes, text = wish.requested, texts_of(wish.requested)
    if not fits(wish, codes):
        return (Refusal(text, Reason.ADDRESS_WRONG_FAMILY, f"the service wants {' and '.join(wish.family.families)}"),)
    pools = memo.space.pools_of(codes)
    if not pools:
        homeless = [code for code in codes if not memo.space.pools_of((code,))]
        if homeless:
            return tuple(Refusal(texts_of((code,)), Reason.ADDRESS_IN_NO_POOL) for code in homeless)
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
            refusals.append(Refusal(texts_of((code,)), Reason.ADDRESS_BUGGY, f"pool {pool.name} avoids it"))
        elif (refused := memo.space.refusal(code, wish.terms)) is not None:
            refusals.append(Refusal(texts_of((code,)), *refused))
    return tuple(refusals) or Found(codes, pool.name, GrantCause.REQUESTED_ADDRESS)


def fits(wish: Wish, codes: Codes) -> bool:
    """Whether addresses asked for are of the families wanted. Who prefers both may ask for one, and gets that one."""
    families = sorted(family_of_code(code) for code in codes)
    if wish.family.partial and len(families) == 1:
        return True
    return families == sorted(wish.family.families)


def from_asked_pool(memo: AllocationMemo, wish: Wish, name: str) -> Found | tuple[Refusal, ...]:
    pool = memo.world.pools.get(name)
    if pool is None:
        return (Refusal(name, Reason.UNKNOWN_POOL),)
    if not memo.matcher.compatible(pool, wish.service):
        return (Refusal(name, Reason.POOL_NOT_COMPATIBLE),)
    return _from_pools(memo, wish, (name,), GrantCause.REQUESTED_POOL, ())


def from_choice(memo: AllocationMemo, wish: Wish, choice: PoolChoice, lost: Codes) -> Found | tuple[Refusal, ...]:
    refusals: list[Refusal] = []
    for cause, names in choice.tiers:
        found = _from_pools(memo, wish, names, cause, lost)
        if isinstance(found, Found):
            return found
        refusals.extend(found)
    return (*refusals, *choice.refusals)


def _from_pools(
    memo: AllocationMemo, wish: Wish, names: tuple[str, ...], cause: GrantCause, lost: Codes
) -> Found | tuple[Refusal, ...]:
    """The first pool of the list that has what is wanted: all families, or one of them where that will do."""
    families, space, terms = wish.family.families, memo.space, wish.terms
    refusals: list[Refusal] = []
    for name in names:
        codes: list[int] = []
        for family in families:
            code = space.lowest(name, family, terms)
            if code is None:
                refusals.append(no_address(memo, name, family))
                break
            codes.append(code)
        else:
            return Found(tuple(sorted(codes)), name, cause)
    if not wish.family.partial:
        return tuple(refusals)
    for code in lost:
        home = next((name for name in space.pools_of((code,)) if name in names), None)
        if home is not None and family_of_code(code) in families and _may_have(memo, home, code, terms):
            return Found((code,), home, cause)
    refusals.clear()
    for family in families:
        for name in names:
            code = space.lowest(name, family, terms)
            if code is not None:
                return Found((code,), name, cause)
            refusals.append(no_address(memo, name, family))
    return tuple(refusals)


def _may_have(memo: AllocationMemo, pool: str, code: int, terms: Terms) -> bool:
    avoided: Pool = memo.world.pools[pool]
    return not (avoided.avoid_buggy_ips and is_buggy(code)) and memo.space.refusal(code, terms) is None


def missing_family(wish: Wish, codes: Codes) -> Family:
    have = {family_of_code(code) for code in codes}
    return next(family for family in wish.family.families if family not in have)


def no_address(memo: AllocationMemo, pool: str, family: Family) -> Refusal:
    if family not in memo.space.families(pool):
        return Refusal(pool, Reason.POOL_LACKS_FAMILY, f"it has no {family.value} addresses")
    return Refusal(pool, Reason.POOL_EXHAUSTED, f"all {memo.space.size(pool, family)} {family.value} addresses in use")


def texts_of(codes: Codes) -> str:
    return " and ".join(str(address_of_code(code)) for code in codes)
