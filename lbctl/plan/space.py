"""The address space of the pools: who uses which address, and the first usable one without a search.

Where a pool gives the lowest address, one that was freed a short while ago (it cools) comes after all others; where it
gives the least recently used one, every address that was ever freed does, for as long as the ledger remembers it. So
the two are one rule: addresses that were freed age, and are the last choice until their time is over, which for the
second kind is never.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from heapq import heapify, heappop, heappush
from itertools import pairwise
from math import inf

from lbctl.model.address import Family
from lbctl.model.pool import Choice, Pool
from lbctl.model.reservation import Quarantine
from lbctl.model.service import ServiceKey
from lbctl.plan.positions import Positions, code_of, family_of_code, is_buggy
from lbctl.plan.reason import Reason
from lbctl.plan.sharing import SharingClass, SharingIndex, Terms, refusal_between
from lbctl.plan.waiting import Line, opened

SEVERAL = 3
"""A machine that answers for so many addresses in quarantine is taken for one that answers for every address (a router
with proxy ARP), and no service moves out of its way: it would find the same machine at the next address, and the next,
until the pool is used up. Two are a coincidence, or one machine with two addresses; the third one is kept."""

_NO_TERMS: Mapping[ServiceKey, Terms] = {}


class FamilySpace:
    """The addresses of one family in one pool, and the first usable one.

    Every address before the cursor that is free and not ageing is in the heap of holes, so the first free one is the
    least valid hole, or the cursor moved up to the first free address. Each address is passed once, however many there
    are: filling a pool is linear, and an IPv6 /64 costs no more than its used addresses. Ageing ones wait in a heap by
    the time they were freed. Entries of both heaps that no longer hold are dropped when they come to the top.
    """

    __slots__ = (
        "_age",
        "_ages",
        "_at",
        "_code",
        "_holes",
        "_in_holes",
        "_skip_buggy",
        "ageing_time",
        "full",
        "positions",
    )

    def __init__(self, positions: Positions, *, skip_buggy: bool, ageing_time: float) -> None:
        self.positions = positions
        self.ageing_time = ageing_time
        self._skip_buggy = skip_buggy
        self._at = 0
        self._code = positions.segments[0][1] if positions.segments else 0
        self._holes: list[int] = []
        self._in_holes: set[int] = set()
        self._age: dict[int, float] = {}
        """When those that age were freed, by code."""
        self._ages: list[tuple[float, int]] = []
        self.full = False
        """Whether it was found to have no address for a service that shares with nobody, and none returned since."""

    def has(self, code: int) -> bool:
        """Whether the pool may give the address at all."""
        return self.positions.position(code) is not None and not (self._skip_buggy and is_buggy(code))

    def size(self) -> int:
        return self.positions.count(skip_buggy=self._skip_buggy)

    def first_free(self, taken: Collection[int], closed: Collection[int]) -> int | None:
        """The position of the first address that nobody has and that does not age."""
        holes, age = self._holes, self._age
        while holes:
            code = self.positions.code(holes[0])
            if code not in taken and code not in closed and code not in age:
                return holes[0]
            self._in_holes.discard(heappop(holes))
        segments, at, code = self.positions.segments, self._at, self._code
        while at < len(segments):
            offset, first, last = segments[at]
            while code <= last and (
                code in taken or code in closed or code in age or (self._skip_buggy and is_buggy(code))
            ):
                code += 1
            if code <= last:
                self._at, self._code = at, code
                return offset + code - first
            at += 1
            if at < len(segments):
                code = segments[at][1]
        self._at, self._code = at, code
        return None

    def longest_freed(self, taken: Collection[int], closed: Collection[int]) -> int | None:
        """Of those that age the one freed the longest ago."""
        ages = self._ages
        while ages:
            at_unix, position = ages[0]
            code = self.positions.code(position)
            if self._age.get(code) == at_unix and code not in taken and code not in closed:
                return position
            heappop(ages)
        return None

    def returned(self, code: int) -> None:
        """Nothing is in the way of this address any more that was."""
        position = self.positions.position(code)
        if position is None or (self._skip_buggy and is_buggy(code)):
            return
        self.full = False
        at_unix = self._age.get(code)
        if at_unix is not None:
            self._wait(at_unix, position)
        elif self._passed(code, position) and position not in self._in_holes:
            heappush(self._holes, position)
            self._in_holes.add(position)

    def _passed(self, code: int, position: int) -> bool:
        if self._at >= len(self.positions.segments):
            return True
        offset, first, _ = self.positions.segments[self._at]
        return position < offset + self._code - first

    def _wait(self, at_unix: float, position: int) -> None:
        heappush(self._ages, (at_unix, position))
        if len(self._ages) > 2 * len(self._age) + 64:
            self._ages = [
                (at, place) for code, at in self._age.items() if (place := self.positions.position(code)) is not None
            ]
            heapify(self._ages)

    def freed(self, code: int, at_unix: float | None, now: float) -> None:
        """The address was freed then; None: not that anybody knew."""
        if not self.has(code):
            return
        if at_unix is not None and at_unix + self.ageing_time > now:
            self._age[code] = at_unix
        else:
            self._age.pop(code, None)
        self.returned(code)

    def grow_old(self, taken: Collection[int], closed: Collection[int], now: float) -> None:
        """Those whose time is over are like the others from now on."""
        ages = self._ages
        while ages and ages[0][0] + self.ageing_time <= now:
            at_unix, position = heappop(ages)
            code = self.positions.code(position)
            if self._age.get(code) == at_unix:
                del self._age[code]
                if code not in taken and code not in closed:
                    self.returned(code)

    def ages(self, code: int) -> bool:
        return code in self._age


class PoolFinder:
    """Finds the pools that contain an address."""

    __slots__ = ("_firsts", "_overlapping", "_sorted")

    def __init__(self, pools: Mapping[str, Pool]) -> None:
        self._sorted = sorted(
            (code_of(item.first), code_of(item.last), name) for name, pool in pools.items() for item in pool.ranges
        )
        self._firsts = [first for first, *_ in self._sorted]
        # Overlapping pools are refused in the config (rule P7); if they come nevertheless, all are looked at.
        self._overlapping = any(after[0] <= before[1] for before, after in pairwise(self._sorted))

    def homes(self, code: int) -> list[str]:
        """The pools, by name, whose ranges have the address, excluded or not."""
        at = bisect_right(self._firsts, code)
        if self._overlapping:
            return sorted({name for first, last, name in self._sorted[:at] if first <= code <= last})
        if not at:
            return []
        _, last, name = self._sorted[at - 1]
        return [name] if code <= last else []


class AddressSpace:
    """All pools' addresses and all their uses. An address has users, whichever pool they have it from.

    `closed` addresses (reserved or quarantined) are given to nobody by itself.
    """

    def __init__(self, pools: Mapping[str, Pool], lines: Iterable[Line] = ()) -> None:
        """`lines` are told of everything that may change what an address space says to those who wait."""
        self._pools = pools
        self._lines = tuple(lines)
        self._families: dict[str, dict[Family, FamilySpace]] = {name: spaces_of(pool) for name, pool in pools.items()}
        self._users: dict[int, dict[ServiceKey, Terms]] = {}
        self._sharing = SharingIndex()
        self._reserved: dict[int, ServiceKey] = {}
        self._quarantined: dict[int, Quarantine] = {}
        self._answered_by: dict[str, set[int]] = {}
        self._closed: set[int] = set()
        self._freed: dict[int, tuple[float, ServiceKey]] = {}
        self._freed_by: dict[ServiceKey, set[int]] = {}
        self._longest_cooling = max((pool.options.cooling_time for pool in pools.values()), default=0.0)
        self._now = 0.0
        self._finder = PoolFinder(pools)

    # Which pools ...

    def homes(self, code: int) -> list[str]:
        """The pools, by name, whose ranges have the address, excluded or not."""
        return self._finder.homes(code)

    def pools_of(self, codes: Iterable[int]) -> list[str]:
        """The pools, by name, that contain all of these addresses."""
        found: set[str] | None = None
        for code in codes:
            names = set(self.homes(code))
            found = names if found is None else found & names
        return sorted(found or ())

    def families(self, pool: str) -> Collection[Family]:
        return self._families[pool].keys()

    def full(self, pool: str, family: Family) -> bool:
        """Whether it is known that no service has an address of the pool to itself. False says nothing."""
        space = self._families[pool].get(family)
        return space is not None and space.full

    def size(self, pool: str, family: Family) -> int:
        """How many addresses the pool can give."""
        space = self._families[pool].get(family)
        return space.size() if space is not None else 0

    def excludes(self, pool: str, code: int) -> bool:
        """Whether the address is in the pool and excluded there."""
        space = self._families[pool].get(family_of_code(code))
        return space is not None and space.positions.position(code) is None

    def _around(self, code: int) -> Iterable[FamilySpace]:
        family = family_of_code(code)
        return (self._families[name][family] for name in self.homes(code))

    # ... and which addresses

    def users(self, code: int) -> Mapping[ServiceKey, Terms]:
        return self._users.get(code, _NO_TERMS)

    def quarantine(self, code: int) -> Quarantine | None:
        return self._quarantined.get(code)

    def answered_by(self, mac: str) -> frozenset[int]:
        """The addresses in quarantine that this machine answers for."""
        return frozenset(self._answered_by.get(mac, ()))

    def answers_for_several(self, mac: str) -> bool:
        return len(self._answered_by.get(mac, ())) >= SEVERAL

    def conflict(self, code: int, terms: Terms) -> tuple[Reason, str] | None:
        """Who among its users keeps these terms from the address, and why."""
        users = self._users.get(code)
        if not users or self._sharing.admits(code, terms):
            return None
        for key, holder in sorted(users.items()):
            refused = refusal_between(holder, terms)
            if refused is not None:
                reason, port = refused
                return reason, f"{port} of {key}" if port else f"held by {key}"
        return None

    def refusal(self, code: int, key: ServiceKey, terms: Terms) -> tuple[Reason, str] | None:
        """Why this service cannot be given the address now; the detail names who stands in the way."""
        quarantine = self._quarantined.get(code)
        if quarantine is not None:
            return Reason.QUARANTINED, told_of(quarantine)
        holder = self._reserved.get(code, key)
        if holder != key:
            return Reason.RESERVED, f"for {holder}"
        return self.conflict(code, terms)

    def first(self, pool: str, family: Family, terms: Terms) -> int | None:
        """The first usable address of the pool (section 3.2), free or to be shared; else one that ages."""
        space = self._families[pool].get(family)
        if space is None:
            return None
        space.grow_old(self._users, self._closed, self._now)
        free = space.first_free(self._users, self._closed)
        shared = self._sharing.first(terms, space.positions)
        best = free if shared is None or (free is not None and free < shared) else shared
        if best is None:
            best = space.longest_freed(self._users, self._closed)
            space.full = space.full or (best is None and terms.sharing is None)
        return None if best is None else space.positions.code(best)

    def gives(self, pool: str, code: int) -> bool:
        """Whether the pool may give the address at all: it is in a range, not excluded, and not avoided."""
        space = self._families[pool].get(family_of_code(code))
        return space is not None and space.has(code)

    def kept_back(self, pool: str, family: Family) -> tuple[int, int]:
        """How many of the addresses that the pool may give are (reserved, quarantined) and not in use."""
        space = self._families[pool][family]
        idle = [code for code in self._closed if code not in self._users and space.has(code)]
        quarantined = sum(code in self._quarantined for code in idle)
        return len(idle) - quarantined, quarantined

    def returning(self, key: ServiceKey) -> tuple[int, ...]:
        """The addresses that the service freed itself, that still cool, and that it may have again."""
        mine = self._freed_by.get(key)
        if mine is None:
            return ()
        return tuple(
            sorted(
                code
                for code in mine
                if code not in self._users and any(self._cools(name, code) for name in self.homes(code))
            )
        )

    def _cools(self, pool: str, code: int) -> bool:
        return self._freed[code][0] + self._pools[pool].options.cooling_time > self._now and self.gives(pool, code)

    def take(self, code: int, key: ServiceKey, terms: Terms) -> None:
        self._users.setdefault(code, {})[key] = terms
        self._sharing.add(code, terms)
        self._touch(code, terms.sharing)

    def give_back(self, code: int, key: ServiceKey) -> None:
        users = self._users[code]
        terms = users.pop(key)
        self._sharing.remove(code, terms, last=not users)
        if not users:
            del self._users[code]
            self._returned(code)
        self._touch(code, terms.sharing)
        for line in self._lines:
            line.touched.update(map(opened, self.homes(code)))

    def shared(self, sharing: SharingClass) -> bool:
        """Whether there is an address that services of the class might join."""
        return sharing in self._sharing

    def _touch(self, code: int, sharing: SharingClass | None) -> None:
        homes = self.homes(code)
        for line in self._lines:
            line.touched.add(code)
            line.touched.update(homes)
            if sharing is not None:
                line.touched.add(sharing)

    def _returned(self, code: int) -> None:
        if code not in self._closed and code not in self._users:
            for space in self._around(code):
                space.returned(code)

    # What the ledger says beside

    def at(self, now_unix: float) -> None:
        """It is later now; or earlier, where the clock was put back."""
        if now_unix < self._now:
            self._grow_young(now_unix)
        self._now = now_unix

    def _grow_young(self, now: float) -> None:
        """Addresses whose time was over may have some of it before them again."""
        for code, (at_unix, _) in self._freed.items():
            if at_unix + self._longest_cooling > now:
                for space in self._around(code):
                    if not space.ages(code):
                        space.freed(code, at_unix, now)

    def close(self, code: int, *, reserved: ServiceKey | None, quarantined: Quarantine | None) -> None:
        """Keeps the address back for that service, or for all; or for nobody any more."""
        self._reserved.pop(code, None)
        before = self._quarantined.pop(code, None)
        if before is not None:
            self._answered_by[before.mac].discard(code)
            if not self._answered_by[before.mac]:
                del self._answered_by[before.mac]
        if reserved is not None:
            self._reserved[code] = reserved
        if quarantined is not None:
            self._quarantined[code] = quarantined
            self._answered_by.setdefault(quarantined.mac, set()).add(code)
        if reserved is not None or quarantined is not None:
            self._closed.add(code)
            self._sharing.close(code)
        elif code in self._closed:
            self._closed.discard(code)
            self._sharing.open(code)
            self._returned(code)
        self._touch(code, self._sharing.class_on(code))

    def freed(self, code: int, at_unix: float, key: ServiceKey) -> None:
        """The address lost its last user."""
        self._forget_freed(code)
        self._freed[code] = (at_unix, key)
        self._freed_by.setdefault(key, set()).add(code)
        for space in self._around(code):
            space.freed(code, at_unix, self._now)

    def never_freed(self, code: int) -> None:
        """Nothing is known of a time when the address was freed."""
        if code in self._freed:
            self._forget_freed(code)
            for space in self._around(code):
                space.freed(code, None, self._now)

    def _forget_freed(self, code: int) -> None:
        found = self._freed.pop(code, None)
        if found is not None:
            codes = self._freed_by[found[1]]
            codes.discard(code)
            if not codes:
                del self._freed_by[found[1]]


def spaces_of(pool: Pool) -> dict[Family, FamilySpace]:
    """The addresses of a pool by family, none of them in use."""
    options = pool.options
    ageing_time = inf if options.choice is Choice.LEAST_RECENTLY_USED else options.cooling_time
    return {
        family: FamilySpace(
            Positions(
                (item for item in pool.ranges if item.family is family),
                (item for item in options.excluded if item.family is family),
            ),
            skip_buggy=pool.avoid_buggy_ips,
            ageing_time=ageing_time,
        )
        for family in sorted({item.family for item in pool.ranges})
    }


def told_of(quarantine: Quarantine) -> str:
    where = f"{quarantine.node} {quarantine.interface}".strip()
    return f"{quarantine.mac} answers for it" + (f", seen by {where}" if where else "")
