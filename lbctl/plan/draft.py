"""A plan of allocation in the making, and what may happen to one service in it: hold, let go, grant, release."""

from __future__ import annotations

from dataclasses import dataclass, field

from lbctl.model.allocation import Allocation
from lbctl.model.service import ServiceKey
from lbctl.plan.allocation import Amendment, Grant, Release
from lbctl.plan.allocation_memo import AllocationMemo, Codes, Held, Names, Wish, codes_of
from lbctl.plan.positions import address_of_code
from lbctl.plan.reason import GrantCause, Reason, Refusal
from lbctl.plan.search import texts_of


@dataclass(slots=True)
class Draft:
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


def hold(memo: AllocationMemo, wish: Wish, codes: Codes, pools: Names) -> None:
    for code in codes:
        memo.space.take(code, wish.key, wish.terms)
    memo.held[wish.key] = Held(codes, pools)
    if len(codes) < len(wish.family.families) and not wish.requested:
        memo.half[wish.key] = wish.rank


def let_go(memo: AllocationMemo, key: ServiceKey) -> Held:
    held = memo.held.pop(key)
    memo.half.pop(key, None)
    for code in held.codes:
        memo.space.give_back(code, key)
    return held


def wait(memo: AllocationMemo, wish: Wish) -> None:
    memo.waiting[wish.key] = wish.rank
    memo.queue.append((wish.rank, wish.key))


def grant(wish: Wish, codes: Codes, pools: Names, cause: GrantCause, draft: Draft) -> None:
    pool, second_pool = written(pools)
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
