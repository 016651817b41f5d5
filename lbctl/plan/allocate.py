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
    Held,
    Wish,
    catch_up,
    codes_of,
)
from lbctl.plan.draft import (
    Draft,
    free,
    grant,
    hold,
    in_no_pool,
    let_go,
    refuse,
    release,
    requests_changed,
    see_stuck,
    supersede,
    tell,
    wait,
)
from lbctl.plan.keep import keep_holders
from lbctl.plan.reason import GrantCause, Reason, Refusal
from lbctl.plan.search import (
    Found,
    from_asked_pools,
    from_choice,
    from_reservation,
    requested,
    second_address,
    texts_of,
    whole,
)
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
    draft = Draft(silent=set(dirty))
    keep_holders(memo, dirty, draft)
    _follow_requests(memo, draft)
    _add_second_families(memo, draft)
    _leave_quarantine(memo, draft)
    _serve_waiting(memo, draft)
    _remember_expected(memo, draft)
    memo.pending = memo.pending.having(draft.told, draft.silent)
    plan = AllocationPlan(
        grants=tuple(draft.grants),
        releases=tuple(draft.releases),
        amendments=tuple(draft.amendments),
        pending=memo.pending,
    )
    memo.settled = plan.settled
    return plan, memo


# A second family for those with one ----------------------------------------------------------------------------------


def _add_second_families(memo: AllocationMemo, draft: Draft) -> None:
    for key, kind in memo.half.round(memo.space.shared):
        wish, held = memo.wishes[key], memo.held[key]
        found = second_address(memo, wish, held)
        allocation = memo.world.allocations[key]
        homeless = draft.cut.get(key, ())
        if isinstance(found, Found):
            _hold_both(memo, wish, held, found)
            supersede(allocation, in_no_pool(homeless) if homeless else (Reason.SUPERSEDED, ""), draft)
            grant(memo, wish, found.codes, found.pools, found.cause, draft)
            free(memo, key, homeless)
        elif wish.family.partial and homeless:
            _settle_for_half(memo, wish, found, homeless, draft)
        elif wish.family.partial:
            refuse(memo, key, kind, found, draft)
        else:
            # Both or nothing (RequireDualStack): another pool may have both.
            let_go(memo, key)
            memo.moving.pop(key, None)
            draft.amendments[:] = [item for item in draft.amendments if item.allocation is not allocation]
            changed = (Reason.FAMILIES_CHANGED, "; ".join(map(str, found)))
            release(memo, allocation, in_no_pool(homeless) if homeless else changed, draft)
            wait(memo, wish, draft)


def _hold_both(memo: AllocationMemo, wish: Wish, held: Held, found: Found) -> None:
    memo.half.leave(wish.key)
    for code in found.codes:
        if code not in held.codes:
            memo.space.take(code, wish.key, wish.terms)
    memo.held[wish.key] = Held(found.codes, found.pools)
    see_stuck(memo, wish)


def _settle_for_half(
    memo: AllocationMemo, wish: Wish, lacking: tuple[Refusal, ...], homeless: Codes, draft: Draft
) -> None:
    """Half of what it had is in no pool any more: another pool that has both families, or else what is left."""
    allocation, held = memo.world.allocations[wish.key], let_go(memo, wish.key)
    found = whole(memo, wish, memo.matcher.choice(wish.service))
    both = found is not None
    if found is None:
        found = Found(held.codes, held.pools, GrantCause.FAMILY_DROPPED)
    hold(memo, wish, found.codes, found.pools)
    supersede(allocation, in_no_pool(homeless), draft)
    grant(memo, wish, found.codes, found.pools, found.cause, draft)
    if not both:
        tell(memo, wish.key, lacking, draft)
    free(memo, wish.key, tuple(code for code in codes_of(allocation) if code not in found.codes))


# Other addresses for those who ask for others -------------------------------------------------------------------------


def _follow_requests(memo: AllocationMemo, draft: Draft) -> None:
    for wish in sorted(draft.asking, key=lambda wish: wish.rank):
        allocation = memo.world.allocations[wish.key]
        codes = codes_of(allocation)
        let_go(memo, wish.key)
        found = requested(memo, wish)
        if isinstance(found, Found):
            hold(memo, wish, found.codes, found.pools)
            supersede(allocation, requests_changed(codes, wish), draft)
            grant(memo, wish, found.codes, found.pools, found.cause, draft)
            free(memo, wish.key, tuple(code for code in codes if code not in found.codes))
        else:
            release(memo, allocation, requests_changed(codes, wish), draft)
            wait(memo, wish, draft)


# Other addresses for those whose own some other machine answers for --------------------------------------------------


def _leave_quarantine(memo: AllocationMemo, draft: Draft) -> None:
    """They keep what they have until there is something else."""
    changed = {ended.allocation.service for ended in draft.releases}
    for key in sorted(memo.moving.keys() - changed, key=memo.moving.__getitem__):
        wish, allocation = memo.wishes[key], memo.world.allocations[key]
        held = let_go(memo, key)
        draft.lost[key] = held.codes
        found = _serve(memo, wish, draft)
        del draft.lost[key]
        named = [(code, where) for code in held.codes if (where := memo.space.quarantine(code)) is not None]
        if isinstance(found, Found) and len(found.codes) >= len(held.codes):
            del memo.moving[key]
            hold(memo, wish, found.codes, found.pools)
            told = "; ".join(f"{texts_of((code,))}: {told_of(where)}" for code, where in named)
            supersede(allocation, (Reason.ADDRESS_CONFLICT, told), draft)
            grant(memo, wish, found.codes, found.pools, found.cause, draft)
            free(memo, key, tuple(code for code in held.codes if code not in found.codes))
            _tell_half(memo, wish, draft)
        else:
            hold(memo, wish, held.codes, held.pools)
            why = [Refusal(texts_of((code,)), Reason.QUARANTINED, told_of(where)) for code, where in named]
            said = {refusal.subject for refusal in memo.stuck.get(key, ())}
            why = [refusal for refusal in why if refusal.subject not in said]
            tell(memo, key, (*why, *(() if isinstance(found, Found) else found)), draft)


# Those who wait ------------------------------------------------------------------------------------------------------


def _serve_waiting(memo: AllocationMemo, draft: Draft) -> None:
    for key, kind in memo.waiting.round(memo.space.shared):
        wish = memo.wishes[key]
        found = _serve(memo, wish, draft)
        if isinstance(found, Found):
            memo.waiting.leave(key)
            hold(memo, wish, found.codes, found.pools)
            grant(memo, wish, found.codes, found.pools, found.cause, draft)
            if len(found.codes) < len(wish.family.families):
                _tell_half(memo, wish, draft)
        else:
            refuse(memo, key, kind, found, draft)


def _tell_half(memo: AllocationMemo, wish: Wish, draft: Draft) -> None:
    """Who was just given one family and wants two is told why there is no second."""
    if wish.key in memo.half:
        lacking = second_address(memo, wish, memo.held[wish.key])
        if not isinstance(lacking, Found):
            tell(memo, wish.key, lacking, draft)


def _serve(memo: AllocationMemo, wish: Wish, draft: Draft) -> Found | tuple[Refusal, ...]:
    if wish.requested:
        return requested(memo, wish)
    reservation = memo.remembered.reserved.get(wish.key)
    if reservation is not None:
        kept = from_reservation(memo, wish, reservation)
        if kept is not None:
            return kept
    lost = draft.lost.get(wish.key, ())
    found = from_asked_pools(memo, wish, lost)
    return found if found is not None else from_choice(memo, wish, memo.matcher.choice(wish.service), lost)


def _remember_expected(memo: AllocationMemo, draft: Draft) -> None:
    expected = memo.expected
    expected.update((ended.allocation.service, "") for ended in draft.releases)
    expected.update((item.allocation.service, item.terms) for item in draft.amendments)
    expected.update((made.service, made.terms) for made in draft.grants)
