"""The indexes that make the next plan cheap, and how they follow the world and the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from lbctl.model.allocation import Allocation
from lbctl.model.frozen_map import FrozenMap, changed_keys
from lbctl.model.service import Service, ServiceKey
from lbctl.model.snapshot import World
from lbctl.plan.allocation import ALL_READ, Remembered, Unread
from lbctl.plan.families import FamilyWish, family_wish
from lbctl.plan.pools import PoolMatcher
from lbctl.plan.positions import address_of_code, code_of
from lbctl.plan.reason import Reason, Refusal
from lbctl.plan.sharing import Terms, terms_of
from lbctl.plan.space import AddressSpace
from lbctl.plan.waiting import Line, Rank

Codes = tuple[int, ...]
Names = tuple[str, ...]


@dataclass(slots=True)
class Wish:
    """A LoadBalancer service, as far as allocation looks at it."""

    key: ServiceKey
    rank: Rank
    service: Service
    family: FamilyWish
    terms: Terms
    requested: Codes
    refusal: Refusal | None


@dataclass(slots=True)
class Held:
    """`pools`: that of each address."""

    codes: Codes
    pools: Names


class AllocationMemo:
    """The indexes of the last call, so that the next one looks only at what changed. Worth nothing but time."""

    def __init__(self) -> None:
        self.world = World()
        self.remembered = Remembered()
        self.now_unix = 0.0
        self.load_balancer_class: str | None = None
        self.unread = ALL_READ
        self.matcher = PoolMatcher({}, {})
        self.space = AddressSpace({})
        self.wishes: dict[ServiceKey, Wish] = {}
        self.held: dict[ServiceKey, Held] = {}
        self.half = Line()
        """Services that hold one family and want two."""
        self.moving: dict[ServiceKey, Rank] = {}
        """Services that are to leave an address in quarantine."""
        self.stuck: dict[ServiceKey, tuple[Refusal, ...]] = {}
        """Services that would leave one, if the machine there did not answer for several; and what is said of that."""
        self.waiting = Line()
        """Services that hold nothing, but for those that can have nothing whatever happens."""
        self.expected: dict[ServiceKey, str] = {}
        """The terms that the ledger will have, once the plan is committed, of those of whom it is to say something
        else; the addresses will be those of `held`."""
        self.freed: set[int] = set()
        """Addresses that the last plan freed, whatever the ledger says of that now."""
        self.pending: FrozenMap[ServiceKey, tuple[Refusal, ...]] = FrozenMap()
        self.settled = False
        """Whether the last plan left the ledger as it was: as long as nothing changes, the next one does too."""


_KEPT = ("reserved", "quarantined", "freed")


def catch_up(
    memo: AllocationMemo, world: World, remembered: Remembered, now_unix: float, options: tuple[str | None, Unread]
) -> set[ServiceKey]:
    """Takes over the new world; returns the services that have to be looked at again."""
    before, before_remembered = memo.world, memo.remembered
    afresh = (
        bool(changed_keys(before.pools, world.pools))
        or (memo.matcher.reads_namespaces and bool(changed_keys(before.namespaces, world.namespaces)))
        or options != (memo.load_balancer_class, memo.unread)
    )
    memo.world, memo.remembered, memo.now_unix = world, remembered, now_unix
    memo.load_balancer_class, memo.unread = options
    if afresh:
        memo.matcher = PoolMatcher(world.pools, world.namespaces)
        memo.half, memo.waiting = Line(), Line()
        memo.space = AddressSpace(world.pools, (memo.half, memo.waiting))
        for index in (memo.wishes, memo.held, memo.moving, memo.stuck, memo.expected):
            index.clear()
        memo.freed.clear()
        memo.settled = False
        read_kept(memo, Remembered())
        return {*world.services, *world.allocations, *memo.pending}
    dirty = read_kept(memo, before_remembered) | changed_keys(before.services, world.services)
    dirty |= changed_keys(before_remembered.first_seen, remembered.first_seen)
    dirty |= {
        key
        for key in changed_keys(before.allocations, world.allocations)
        | changed_keys(before_remembered.terms, remembered.terms)
        | memo.expected.keys()
        if not _as_expected(memo, key)
    }
    memo.expected.clear()
    if dirty or any(getattr(before_remembered, name) is not getattr(remembered, name) for name in _KEPT):
        memo.settled = False
    return _with_neighbours(memo, dirty)


def read_kept(memo: AllocationMemo, before: Remembered) -> set[ServiceKey]:
    """Takes over what is kept of addresses; returns the holders of those that came into quarantine or out of it, and
    the services for which something else is reserved now."""
    space, after = memo.space, memo.remembered
    space.at(memo.now_unix)
    changed = changed_keys(before.quarantined, after.quarantined)
    quarantine = {code_of(address) for address in changed}
    macs = {found.mac for each in (before, after) for address in changed if (found := each.quarantined.get(address))}
    several = set(filter(space.answers_for_several, macs))
    closed = set(quarantine)
    reserved_for = changed_keys(before.reserved, after.reserved)
    for key in reserved_for:
        for reservation in (before.reserved.get(key), after.reserved.get(key)):
            closed.update(map(code_of, reservation.addresses) if reservation is not None else ())
    if closed:
        reserved = {
            code_of(address): key
            for key, reservation in sorted(after.reserved.items(), reverse=True)
            for address in reservation.addresses
        }
        for code in closed:
            found = after.quarantined.get(address_of_code(code))
            space.close(code, reserved=reserved.get(code), quarantined=found)
    for mac in macs:
        if space.answers_for_several(mac) is not (mac in several):
            quarantine |= space.answered_by(mac)
    freed = {code_of(address) for address in changed_keys(before.freed, after.freed)} | memo.freed
    memo.freed.clear()
    for code in freed:
        last = after.freed.get(address_of_code(code))
        if last is None:
            space.never_freed(code)
        else:
            space.freed(code, last.at_unix, last.service)
    return {*reserved_for, *(user for code in quarantine for user in space.users(code))}


def _as_expected(memo: AllocationMemo, key: ServiceKey) -> bool:
    """Whether the ledger says of this service what the last plan was to make it say."""
    if key not in memo.expected:
        return False
    allocation, held = memo.world.allocations.get(key), memo.held.get(key)
    if allocation is None or held is None:
        return allocation is None and held is None
    return (
        codes_of(allocation) == held.codes
        and pools_of(allocation) == held.pools
        and memo.remembered.terms.get(key, "") == memo.expected[key]
    )


def _with_neighbours(memo: AllocationMemo, dirty: set[ServiceKey]) -> set[ServiceKey]:
    """Those who share an address with one to be looked at are looked at with it, and so on."""
    todo = list(dirty)
    while todo:
        key = todo.pop()
        held, allocation = memo.held.get(key), memo.world.allocations.get(key)
        codes = (*(held.codes if held else ()), *(codes_of(allocation) if allocation else ()))
        for code in codes:
            for user in memo.space.users(code):
                if user not in dirty:
                    dirty.add(user)
                    todo.append(user)
    return dirty


def codes_of(allocation: Allocation) -> Codes:
    return tuple(map(code_of, allocation.addresses))


def pools_of(allocation: Allocation) -> Names:
    """The pool of each address."""
    return tuple(map(allocation.pool_of, allocation.addresses))


def wish_of(memo: AllocationMemo, service: Service) -> Wish:
    key = service.key
    asked = service.load_balancer
    created = service.created_unix
    if created is None:
        created = memo.remembered.first_seen.get(key, float("inf"))
    family = family_wish(service.family)
    refusal: Refusal | None = None
    if asked.load_balancer_class != memo.load_balancer_class:
        refusal = Refusal(str(key), Reason.OTHER_CLASS, asked.load_balancer_class or "it has no class")
    if not isinstance(family, FamilyWish):
        refusal = refusal or Refusal(str(key), *family)
        family = FamilyWish(())
    return Wish(
        key=key,
        rank=(created, key.namespace, key.name),
        service=service,
        family=family,
        terms=terms_of(service),
        requested=tuple(sorted(map(code_of, asked.requested))) if asked.requested else (),
        refusal=refusal,
    )
