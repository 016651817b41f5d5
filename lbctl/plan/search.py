"""Which addresses one service may have now: those it asks for, those kept for it, or the first usable ones of its
pools (section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lbctl.model.address import Family
from lbctl.model.reservation import Reservation
from lbctl.plan.allocation_memo import AllocationMemo, Codes, Held, Names, Wish
from lbctl.plan.pools import PoolChoice, not_compatible
from lbctl.plan.positions import address_of_code, code_of, family_of_code
from lbctl.plan.reason import GrantCause, Reason, Refusal


@dataclass(slots=True)
class Found:
    """Addresses, IPv4 first, and the pool of each."""

    codes: Codes
    pools: Names
    cause: GrantCause


Picked = dict[Family, tuple[int, str]]
"""An address and its pool for each family."""


def _found(picked: Picked, cause: GrantCause) -> Found:
    if len(picked) == 1:
        ((code, name),) = picked.values()
        return Found((code,), (name,), cause)
    codes, pools = zip(*sorted(picked.values()), strict=True)
    return Found(codes, pools, cause)


# Addresses that are named --------------------------------------------------------------------------------------------


def requested(memo: AllocationMemo, wish: Wish) -> Found | tuple[Refusal, ...]:
    """The very addresses asked for; autoAssign does not matter. From whichever pool has them all, or each from one of
    the pools that are listed."""
    codes, text, space = wish.requested, texts_of(wish.requested), memo.space
    if not fits(wish, codes):
        return (Refusal(text, Reason.ADDRESS_WRONG_FAMILY, f"the service wants {' and '.join(wish.family.families)}"),)
    homeless = [code for code in codes if not space.homes(code)]
    if homeless:
        return tuple(Refusal(texts_of((code,)), Reason.ADDRESS_IN_NO_POOL) for code in homeless)
    asked = wish.service.load_balancer
    pools: Names
    if asked.pools_by_family:
        listed = [next((name for name in asked.pools_by_family if name in space.homes(code)), "") for code in codes]
        if not all(listed):
            return tuple(
                Refusal(
                    texts_of((code,)),
                    Reason.ADDRESS_NOT_IN_REQUESTED_POOL,
                    f"{space.homes(code)[0]} has it, {' and '.join(asked.pools_by_family)} were asked for",
                )
                for code, name in zip(codes, listed, strict=True)
                if not name
            )
        pools = tuple(listed)
    else:
        common = space.pools_of(codes)
        if not common:
            return (Refusal(text, Reason.ADDRESSES_IN_DIFFERENT_POOLS),)
        name = asked.requested_pool or common[0]
        if name not in common:
            return (Refusal(text, Reason.ADDRESS_NOT_IN_REQUESTED_POOL, f"{common[0]} has it, {name} was asked for"),)
        pools = (name,) * len(codes)
    return refused(memo, wish, codes, pools) or Found(codes, pools, GrantCause.REQUESTED_ADDRESS)


def refused(memo: AllocationMemo, wish: Wish, codes: Codes, pools: Names) -> tuple[Refusal, ...]:
    """Why the service cannot have these addresses of these pools now; empty where it can."""
    closed_to_it = [
        name for name in dict.fromkeys(pools) if not memo.matcher.compatible(memo.world.pools[name], wish.service)
    ]
    if closed_to_it:
        return tuple(not_compatible(memo.world.pools[name]) for name in closed_to_it)
    refusals = (
        Refusal(texts_of((code,)), *why)
        for code, name in zip(codes, pools, strict=True)
        if (why := _withheld(memo, name, code) or memo.space.refusal(code, wish.key, wish.terms)) is not None
    )
    return tuple(refusals)


def _withheld(memo: AllocationMemo, pool: str, code: int) -> tuple[Reason, str] | None:
    """Why the pool gives the address to nobody."""
    if memo.space.gives(pool, code):
        return None
    if memo.space.excludes(pool, code):
        return Reason.EXCLUDED, f"pool {pool} excludes it"
    return Reason.ADDRESS_BUGGY, f"pool {pool} avoids it"


def fits(wish: Wish, codes: Codes) -> bool:
    """Whether addresses asked for are of the families wanted. Who prefers both may ask for one, and gets that one."""
    families = sorted(family_of_code(code) for code in codes)
    if wish.family.partial and len(families) == 1:
        return True
    return families == sorted(wish.family.families)


def from_reservation(memo: AllocationMemo, wish: Wish, reservation: Reservation) -> Found | tuple[Refusal, ...] | None:
    """What is reserved for the service, as far as it is of its families and of the pools it asks for; the rest from the
    same pools. None where nothing of it concerns the service."""
    codes = tuple(code for code in map(code_of, reservation.addresses) if family_of_code(code) in wish.family.families)
    if not codes:
        return None
    homeless = [code for code in codes if not memo.space.homes(code)]
    if homeless:
        return tuple(Refusal(texts_of((code,)), Reason.ADDRESS_IN_NO_POOL, "reserved for it") for code in homeless)
    asked = asked_pools(wish)
    homes = [(code, _home(memo, code, reservation.pool_of(address_of_code(code)))) for code in codes]
    homes = [(code, name) for code, name in homes if not asked or name in asked]
    if not homes:
        return None
    codes, pools = tuple(code for code, _ in homes), tuple(name for _, name in homes)
    why = refused(memo, wish, codes, pools)
    if why:
        # Who asked for nothing would wonder why this very address, or pool, is spoken of.
        return tuple(map(_for_a_reservation, why))
    picked: Picked = {family_of_code(code): (code, name) for code, name in zip(codes, pools, strict=True)}
    names, refusals = _usable(memo, wish, asked) if asked else (pools, [])
    for family in wish.family.families:
        if family not in picked:
            _pick_first(memo, wish, family, names, (), picked, refusals)
    if len(picked) < len(wish.family.families) and not wish.family.partial:
        return tuple(refusals)
    return _found(picked, GrantCause.RESERVED)


def _for_a_reservation(refusal: Refusal) -> Refusal:
    whose = "its reservation is there" if refusal.reason is Reason.POOL_NOT_COMPATIBLE else "reserved for it"
    return replace(refusal, detail="; ".join(filter(None, (whose, refusal.detail))))


def _home(memo: AllocationMemo, code: int, recorded: str) -> str:
    homes = memo.space.homes(code)
    return recorded if recorded in homes else homes[0]


def asked_pools(wish: Wish) -> Names:
    """The pools that the service names."""
    asked = wish.service.load_balancer
    if asked.pools_by_family:
        return asked.pools_by_family
    return (asked.requested_pool,) if asked.requested_pool is not None else ()


# Pools that are named ------------------------------------------------------------------------------------------------


def from_asked_pools(memo: AllocationMemo, wish: Wish, lost: Codes) -> Found | tuple[Refusal, ...] | None:
    """From the pool, or the pools family by family, that the service names; None where it names none."""
    names = asked_pools(wish)
    if not names:
        return None
    usable, refusals = _usable(memo, wish, names)
    own = _own(memo, wish, lost)
    if not wish.service.load_balancer.pools_by_family:
        return (*refusals,) if refusals else _from_pools(memo, wish, usable, GrantCause.REQUESTED_POOL, own)
    picked: Picked = {}
    for family in wish.family.families:
        _pick_first(memo, wish, family, usable, own, picked, refusals)
    if not picked or (len(picked) < len(wish.family.families) and not wish.family.partial):
        return tuple(dict.fromkeys(refusals))
    return _as_returned(_found(picked, GrantCause.REQUESTED_POOL), own)


def _usable(memo: AllocationMemo, wish: Wish, names: Names) -> tuple[Names, list[Refusal]]:
    refusals: list[Refusal] = []
    usable: list[str] = []
    for name in dict.fromkeys(names):
        pool = memo.world.pools.get(name)
        if pool is None:
            refusals.append(Refusal(name, Reason.UNKNOWN_POOL))
        elif not memo.matcher.compatible(pool, wish.service):
            refusals.append(not_compatible(pool))
        else:
            usable.append(name)
    return tuple(usable), refusals


def _pick_first(
    memo: AllocationMemo,
    wish: Wish,
    family: Family,
    names: Iterable[str],
    own: Codes,
    picked: Picked,
    refusals: list[Refusal],
) -> None:
    """An address of the family from the first of the pools that has one; one of its own comes before all others."""
    names = tuple(dict.fromkeys(names))
    for name in names if own else ():
        mine = _returning_to(memo, wish, name, family, own)
        if mine is not None:
            picked[family] = (mine, name)
            return
    for name in names:
        code_found = memo.space.first(name, family, wish.terms)
        if code_found is not None:
            picked[family] = (code_found, name)
            return
        refusals.append(no_address(memo, name, family))


# Pools that are chosen -----------------------------------------------------------------------------------------------


def from_choice(memo: AllocationMemo, wish: Wish, choice: PoolChoice, lost: Codes) -> Found | tuple[Refusal, ...]:
    own = _own(memo, wish, lost)
    if own:
        homes = {name for code in own for name in memo.space.homes(code)}
        for cause, name in ((cause, name) for cause, names in choice.tiers for name in names if name in homes):
            found = _whole(memo, wish, (name,), cause, own, [])
            if found is not None and not set(own).isdisjoint(found.codes):
                return found
    refusals: list[Refusal] = []
    for cause, names in choice.tiers:
        tried = _from_pools(memo, wish, names, cause, own)
        if isinstance(tried, Found):
            return tried
        refusals.extend(tried)
    return (*refusals, *choice.refusals)


def whole(memo: AllocationMemo, wish: Wish, choice: PoolChoice) -> Found | None:
    """Every family, from one of the pools that the service may have them from."""
    if wish.service.load_balancer.pools_by_family:
        return None
    asked = asked_pools(wish)
    tiers = ((GrantCause.REQUESTED_POOL, _usable(memo, wish, asked)[0]),) if asked else choice.tiers
    tried = (_whole(memo, wish, names, cause, (), []) for cause, names in tiers)
    return next((found for found in tried if found is not None), None)


def _from_pools(
    memo: AllocationMemo, wish: Wish, names: Names, cause: GrantCause, own: Codes
) -> Found | tuple[Refusal, ...]:
    """The first pool of the list that has what is wanted: all families, or one of them where that will do."""
    families, space = wish.family.families, memo.space
    lacking: list[tuple[str, Family]] = []
    found = _whole(memo, wish, names, cause, own, lacking)
    if found is not None:
        return found
    if not wish.family.partial:
        return tuple(no_address(memo, name, family) for name, family in lacking)
    for code in own:
        home = next((name for name in names if _may_return(memo, wish, name, code)), None)
        if home is not None and family_of_code(code) in families:
            return _as_returned(Found((code,), (home,), cause), own)
    refusals: list[Refusal] = []
    for family in families:
        for name in names:
            code_found = space.first(name, family, wish.terms)
            if code_found is not None:
                return Found((code_found,), (name,), cause)
            refusals.append(no_address(memo, name, family))
    return tuple(refusals)


def _whole(
    memo: AllocationMemo, wish: Wish, names: Names, cause: GrantCause, own: Codes, lacking: list[tuple[str, Family]]
) -> Found | None:
    """The first pool of the list that has an address of every family; what the others lack."""
    families, space = wish.family.families, memo.space
    for name in names:
        codes: Codes = ()
        for family in families:
            code = _returning_to(memo, wish, name, family, own) if own else None
            if code is None:
                code = space.first(name, family, wish.terms)
            if code is None:
                there = space.families(name)
                lacking.append((name, next((family for family in families if family not in there), family)))
                break
            codes += (code,)
        else:
            return _as_returned(Found(tuple(sorted(codes)), (name,) * len(codes), cause), own)
    return None


def _own(memo: AllocationMemo, wish: Wish, lost: Codes) -> Codes:
    """Addresses the service had until a moment ago, which it had better have again."""
    returning = memo.space.returning(wish.key)
    return tuple(dict.fromkeys((*lost, *returning))) if lost or returning else ()


def _as_returned(found: Found, own: Codes) -> Found:
    if own and not set(own).isdisjoint(found.codes):
        found.cause = GrantCause.RETURNED
    return found


def _returning_to(memo: AllocationMemo, wish: Wish, pool: str, family: Family, own: Codes) -> int | None:
    """The first of its own addresses that it may have from the pool again."""
    mine = (code for code in own if family_of_code(code) is family and _may_return(memo, wish, pool, code))
    return next(mine, None)


def _may_return(memo: AllocationMemo, wish: Wish, pool: str, code: int) -> bool:
    space = memo.space
    return pool in space.homes(code) and space.gives(pool, code) and space.refusal(code, wish.key, wish.terms) is None


# A second family -----------------------------------------------------------------------------------------------------


def second_address(memo: AllocationMemo, wish: Wish, held: Held) -> Found | tuple[Refusal, ...]:
    """What the service holds and an address of the family it lacks: from the same pool, or from those it lists."""
    missing = next(family for family in wish.family.families if family not in map(family_of_code, held.codes))
    asked = wish.service.load_balancer.pools_by_family
    names, refusals = _usable(memo, wish, asked) if asked else (held.pools[:1], [])
    picked: Picked = {}
    reservation = memo.remembered.reserved.get(wish.key)
    kept_for_it = tuple(map(code_of, reservation.addresses)) if reservation is not None else ()
    _pick_first(memo, wish, missing, names, kept_for_it, picked, refusals)
    if not picked:
        return tuple(refusals)
    have: Picked = {family_of_code(code): (code, name) for code, name in zip(held.codes, held.pools, strict=True)}
    return _found(have | picked, GrantCause.SECOND_FAMILY)


def no_address(memo: AllocationMemo, pool: str, family: Family) -> Refusal:
    if family not in memo.space.families(pool):
        return Refusal(pool, Reason.POOL_LACKS_FAMILY, f"it has no {family.value} addresses")
    size = memo.space.size(pool, family)
    if not size:
        return Refusal(pool, Reason.POOL_EXHAUSTED, f"none of its {family.value} addresses may be given")
    reserved, quarantined = memo.space.kept_back(pool, family)
    if not reserved and not quarantined:
        return Refusal(pool, Reason.POOL_EXHAUSTED, f"all {size} {family.value} addresses in use")
    counts = [(size - reserved - quarantined, "in use"), (reserved, "reserved"), (quarantined, "quarantined")]
    text = ", ".join(f"{count} {what}" for count, what in counts if count)
    return Refusal(pool, Reason.POOL_EXHAUSTED, f"of {size} {family.value} addresses {text}")


def texts_of(codes: Codes) -> str:
    return " and ".join(str(address_of_code(code)) for code in codes)
