"""A plan of allocation in the making, and what may happen to one service in it: hold, let go, grant, release."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from lbctl.model.allocation import Allocation
from lbctl.model.pool import OnConflict
from lbctl.model.service import ServiceKey
from lbctl.plan.allocation import Amendment, Grant, Release
from lbctl.plan.allocation_memo import AllocationMemo, Codes, Held, Names, Wish, codes_of
from lbctl.plan.positions import address_of_code, family_of_code
from lbctl.plan.reason import GrantCause, Reason, Refusal
from lbctl.plan.search import asked_pools, texts_of
from lbctl.plan.space import told_of
from lbctl.plan.waiting import Kind, Line, Sharer, Thing, opened

_PROXY_ARP = 'so the service stays; lbctl.io/probe: "false" on the pool turns probing off'


@dataclass(slots=True)
class Draft:
    """A plan in the making. `told` and `silent`: those of whom something else is pending than before, or nothing any
    more. `lost`: addresses that a service held and may be given again. `asking`: holders who ask for other addresses
    than they have. `cut`: the addresses in no pool any more, of holders of which half is left."""

    grants: list[Grant] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    amendments: list[Amendment] = field(default_factory=list)
    told: dict[ServiceKey, tuple[Refusal, ...]] = field(default_factory=dict)
    silent: set[ServiceKey] = field(default_factory=set)
    asking: list[Wish] = field(default_factory=list)
    cut: dict[ServiceKey, Codes] = field(default_factory=dict)
    lost: dict[ServiceKey, Codes] = field(default_factory=dict)


def hold(memo: AllocationMemo, wish: Wish, codes: Codes, pools: Names) -> None:
    for code in codes:
        memo.space.take(code, wish.key, wish.terms)
    memo.held[wish.key] = Held(codes, pools)
    if memo.remembered.quarantined or memo.stuck:
        see_stuck(memo, wish)
    if len(codes) < len(wish.family.families) and not wish.requested:
        _want_second(memo, wish, codes, pools)


def would_leave(memo: AllocationMemo, wish: Wish, code: int, pool: str) -> bool:
    """Whether the address is in quarantine and the service would rather have another, if another is any better. Who
    asked for this very address, or has it reserved, keeps it."""
    if memo.space.quarantine(code) is None or wish.requested:
        return False
    reservation = memo.remembered.reserved.get(wish.key)
    if reservation is not None and address_of_code(code) in reservation.addresses:
        return False
    asked = wish.service.load_balancer
    return (asked.on_conflict or memo.world.pools[pool].options.on_conflict) is OnConflict.REALLOCATE


def see_stuck(memo: AllocationMemo, wish: Wish) -> None:
    """Notes whether it stays on an address in quarantine because the next one would be no better."""
    held = memo.held[wish.key]
    refusals = tuple(
        Refusal(texts_of((code,)), Reason.PROXY_ARP, f"{told_of(found)}, and for several more; {_PROXY_ARP}")
        for code, name in zip(held.codes, held.pools, strict=True)
        if (found := memo.space.quarantine(code)) is not None
        and memo.space.answers_for_several(found.mac)
        and would_leave(memo, wish, code, name)
    )
    if refusals:
        memo.stuck[wish.key] = refusals
    else:
        memo.stuck.pop(wish.key, None)


def _want_second(memo: AllocationMemo, wish: Wish, codes: Codes, pools: Names) -> None:
    """One who needs both is asked in any case, since it has either both or nothing afterwards."""
    if not wish.family.partial or wish.key in memo.remembered.reserved:
        memo.half.join_alone(wish.key, wish.rank)
        return
    asked = wish.service.load_balancer.pools_by_family
    names = asked or pools[:1]
    lacking = [family for family in wish.family.families if family not in map(family_of_code, codes)]
    _join(memo, memo.half, wish, (names, _open_to(memo, wish, asked), *lacking), names)


def _join(memo: AllocationMemo, line: Line, wish: Wish, what: object, names: Names) -> None:
    (things, again), sharing = _looked_at(names), wish.terms.sharing
    if sharing is None:
        line.join(wish.key, wish.rank, what, things, again)
    else:
        sharer = Sharer(what, things, again, sharing, wish.terms)
        line.join_sharing(wish.key, wish.rank, sharer, joins=memo.space.shared(sharing))


@lru_cache(maxsize=2048)
def _looked_at(names: Names) -> tuple[frozenset[Thing], frozenset[Thing]]:
    return frozenset(names), frozenset(map(opened, names))


def _open_to(memo: AllocationMemo, wish: Wish, names: Names) -> tuple[bool, ...]:
    pools = memo.world.pools
    return tuple(name in pools and memo.matcher.compatible(pools[name], wish.service) for name in names)


def let_go(memo: AllocationMemo, key: ServiceKey) -> Held:
    held = memo.held.pop(key)
    memo.half.leave(key)
    memo.stuck.pop(key, None)
    for code in held.codes:
        memo.space.give_back(code, key)
    return held


def wait(memo: AllocationMemo, wish: Wish, draft: Draft) -> None:
    """It takes its place among those of its kind; or is told for good why it can have nothing."""
    key = wish.key
    if wish.refusal is not None:
        draft.told[key] = (wish.refusal,)
    elif not memo.world.pools:
        draft.told[key] = (Refusal(str(key), Reason.NO_POOLS),)
    elif wish.requested:
        memo.waiting.join(key, wish.rank, key, frozenset(wish.requested))
    elif key in memo.remembered.reserved:
        memo.waiting.join_alone(key, wish.rank)
    else:
        names = asked_pools(wish)
        what: object
        if names:
            what = bool(wish.service.load_balancer.pools_by_family), names, _open_to(memo, wish, names)
        else:
            choice = memo.matcher.choice(wish.service)
            what, names = id(choice), choice.names
        _join(memo, memo.waiting, wish, (what, wish.family), names)


def tell(memo: AllocationMemo, key: ServiceKey, found: tuple[Refusal, ...], draft: Draft) -> None:
    """Something is pending. What was before stays the very same, so that nobody has to compare it again."""
    found = (*memo.stuck.get(key, ()), *found)
    before = memo.pending.get(key)
    draft.told[key] = before if before is not None and before == found else found


def refuse(memo: AllocationMemo, key: ServiceKey, kind: Kind | None, found: tuple[Refusal, ...], draft: Draft) -> None:
    """There is nothing for the service whose turn it is, nor for the others of its kind."""
    for one in kind.refuse(found) if kind is not None else (key,):
        tell(memo, one, found, draft)


def grant(memo: AllocationMemo, wish: Wish, codes: Codes, pools: Names, cause: GrantCause, draft: Draft) -> None:
    pool, second_pool = written(pools)
    draft.told.pop(wish.key, None)
    draft.silent.add(wish.key)
    if wish.key in memo.stuck:
        tell(memo, wish.key, (), draft)
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


def written(pools: Names) -> tuple[str, str]:
    """(pool, second pool), as a ledger has them."""
    return pools[0], pools[1] if len(pools) > 1 and pools[1] != pools[0] else ""


def release(memo: AllocationMemo, allocation: Allocation, why: tuple[Reason, str], draft: Draft) -> None:
    reason, detail = why
    draft.releases.append(Release(allocation=allocation, reason=reason, detail=detail))
    draft.lost[allocation.service] = codes_of(allocation)
    free(memo, allocation.service, codes_of(allocation))


def free(memo: AllocationMemo, key: ServiceKey, codes: Codes) -> None:
    """Those of the addresses that nobody else uses cool from now on, as the ledger will say."""
    for code in codes:
        if not memo.space.users(code):
            memo.space.freed(code, memo.now_unix, key)
            memo.freed.add(code)


def supersede(allocation: Allocation, why: tuple[Reason, str], draft: Draft) -> None:
    """A grant in this plan takes the place of the allocation, whatever else was to become of it."""
    draft.amendments[:] = [item for item in draft.amendments if item.allocation is not allocation]
    draft.releases.append(Release(allocation=allocation, reason=why[0], detail=why[1]))


def requests_changed(codes: Codes, wish: Wish) -> tuple[Reason, str]:
    return Reason.REQUESTED_ADDRESS_CHANGED, f"from {texts_of(codes)} to {texts_of(wish.requested)}"


def in_no_pool(codes: Codes) -> tuple[Reason, str]:
    return Reason.ADDRESS_IN_NO_POOL, f"no pool has {texts_of(codes)}"
