"""The address space of the pools: who uses which address, what is kept of addresses, and who has to hear of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from lbctl.model.address import Family
from lbctl.model.pool import Pool
from lbctl.model.reservation import Quarantine
from lbctl.model.service import ServiceKey
from lbctl.plan.family_space import FamilySpace, spaces_of
from lbctl.plan.positions import PoolFinder, family_of_code
from lbctl.plan.reason import Reason
from lbctl.plan.sharing import ALONE, SharingClass, SharingIndex, Terms, refusal_between
from lbctl.plan.waiting import Line

SEVERAL = 3
"""A machine that answers for so many addresses in quarantine is taken for one that answers for every address (a router
with proxy ARP), and no service moves out of its way: it would find the same machine at the next address, and the next,
until the pool is used up. Two are a coincidence, or one machine with two addresses; the third one is kept."""

_NO_TERMS: Mapping[ServiceKey, Terms] = {}


class AddressSpace:
    """All pools' addresses and all their uses. An address has users, whichever pool they have it from.

    `closed` addresses (reserved or quarantined) are given to nobody by itself.
    """

    def __init__(self, pools: Mapping[str, Pool], lines: Iterable[Line] = ()) -> None:
        """`lines` are told of everything that may change what an address space says to those who wait."""
        self._pools = pools
        self._lines = tuple(lines)
        self._families: dict[str, dict[Family, FamilySpace]] = {name: spaces_of(pool) for name, pool in pools.items()}
        self._users: dict[int, ServiceKey | dict[ServiceKey, Terms]] = {}
        """Of each address in use. Most have one user, who shares with nobody: then it is that one, and no map."""
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

    def homes(self, code: int) -> tuple[str, ...]:
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
        users = self._users.get(code, _NO_TERMS)
        return {users: ALONE} if isinstance(users, ServiceKey) else users

    def quarantine(self, code: int) -> Quarantine | None:
        return self._quarantined.get(code)

    def answered_by(self, mac: str) -> frozenset[int]:
        """The addresses in quarantine that this machine answers for."""
        return frozenset(self._answered_by.get(mac, ()))

    def answers_for_several(self, mac: str) -> bool:
        return len(self._answered_by.get(mac, ())) >= SEVERAL

    def conflict(self, code: int, terms: Terms) -> tuple[Reason, str] | None:
        """Who among its users keeps these terms from the address, and why."""
        if code not in self._users or self._sharing.admits(code, terms):
            return None
        for key, holder in sorted(self.users(code).items()):
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
        if space is None or (space.full and terms.sharing is None):
            return None
        users, closed = self._users, self._closed
        space.grow_old(users, closed, self._now)
        best = space.first_free(users, closed)
        if terms.sharing is not None:
            shared = self._sharing.first(terms, space.positions)
            if shared is not None:
                best = space.positions.earlier(best, space.positions.code(shared))
        if best is None:
            best = space.longest_freed(users, closed)
            space.full = space.full or (best is None and terms.sharing is None)
        return best

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
        users = self._users.get(code)
        if users is None and terms.sharing is None:
            self._users[code] = key
        elif isinstance(users, dict):
            users[key] = terms
        else:
            self._users[code] = {**self.users(code), key: terms}
        self._sharing.add(code, terms)
        self._touch(code, terms.sharing)

    def give_back(self, code: int, key: ServiceKey) -> None:
        users = self._users[code]
        terms, left = (users.pop(key), users) if isinstance(users, dict) else (ALONE, None)
        self._sharing.remove(code, terms, last=not left)
        if not left:
            del self._users[code]
            self._returned(code)
        self._touch(code, terms.sharing)
        for line in self._lines:
            line.reopened(self.homes(code))

    def shared(self, sharing: SharingClass) -> bool:
        """Whether there is an address that services of the class might join."""
        return sharing in self._sharing

    def _touch(self, code: int, sharing: SharingClass | None) -> None:
        if self._lines:
            homes = self.homes(code)
            for line in self._lines:
                line.touch(code, homes, sharing)

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


def told_of(quarantine: Quarantine) -> str:
    where = f"{quarantine.node} {quarantine.interface}".strip()
    return f"{quarantine.mac} answers for it" + (f", seen by {where}" if where else "")
