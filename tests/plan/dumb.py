"""A second allocator, deliberately dumb: the rules again, in loops over every address and every service.

Written from MetalLB's rules (sections 2.2 and 3), docs/allocation.md and docs/extensions.md; it shares nothing with
the allocator but the values that go in, the names of reasons, and the form in which the ledger keeps terms. No memo, no
index, no care for time: what it says is slow and easy to believe.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lbctl.model.address import Family, IPAddress, family_of
from lbctl.model.allocation import Allocation
from lbctl.model.pool import Choice, OnConflict, Pool
from lbctl.model.service import Service, ServiceKey, ServiceType
from lbctl.model.snapshot import World
from lbctl.plan.allocation import Remembered
from lbctl.plan.reason import Reason
from tests.plan.dumb_rules import (
    V4,
    V6,
    Families,
    allows,
    buggy,
    cannot,
    contains,
    disagreement,
    every_address,
    excluded,
    terms,
    wishes,
)

Why = set[tuple[str, Reason]]
"""What was tried, and why it would not do."""


@dataclass
class Held:
    """What one service has."""

    addresses: tuple[IPAddress, ...]
    pools: tuple[str, ...]


@dataclass
class Outcome:
    """Who has what after the plan, and why the others (or those with half of what they like) do not."""

    held: dict[ServiceKey, Held] = field(default_factory=dict)
    lost: dict[ServiceKey, Reason] = field(default_factory=dict)
    pending: dict[ServiceKey, Why] = field(default_factory=dict)


class Dumb:
    """One plan, of one world and one ledger."""

    def __init__(self, world: World, remembered: Remembered, now: float, ours: str | None = None) -> None:
        self.services = dict(world.services)
        self.pools = dict(world.pools)
        self.namespaces = dict(world.namespaces)
        self.before = dict(world.allocations)
        self.remembered = remembered
        self.freed = {address: (each.at_unix, each.service) for address, each in remembered.freed.items()}
        self.now = now
        self.ours = ours
        self.cut: set[ServiceKey] = set()
        self.out = Outcome()

    def age(self, key: ServiceKey) -> tuple[float, ServiceKey]:
        created = self.services[key].created_unix
        return (self.remembered.first_seen.get(key, 0.0) if created is None else created, key)

    def plan(self) -> Outcome:
        """Who has something comes first: to keep it, to change it, to add to it. Then those who have nothing."""
        for key in self.holders():
            self.keep(key)
        for key in sorted(set(self.before) - set(self.out.held)):
            self.give_back(key, self.before[key].addresses)
        for step in (self.follow_request, self.narrow, self.add_family, self.leave_quarantine):
            for key in sorted(self.out.held, key=self.age):
                step(self.services[key])
        for key in sorted(self.services, key=self.age):
            service = self.services[key]
            if service.type is ServiceType.LOAD_BALANCER and key not in self.out.held:
                self.serve(service)
        return self.out

    def give_back(self, key: ServiceKey, addresses: Iterable[IPAddress]) -> None:
        """It is freed now, unless somebody else still has it."""
        for address in addresses:
            if not any(address in each.addresses for each in self.out.held.values()):
                self.freed[address] = (self.now, key)

    # Who has something ...

    def holders(self) -> list[ServiceKey]:
        """Those who changed nothing about how they share go first, for they lose nothing; then the older."""

        def changed(key: ServiceKey) -> bool:
            return self.remembered.terms.get(key, "") != terms(self.services[key])

        alive = [key for key in self.before if key in self.services]
        return sorted(alive, key=lambda key: (changed(key), self.age(key)))

    def keep(self, key: ServiceKey) -> None:
        """It keeps what it has, all of it or what is left of it; or loses it, and this says why."""
        service, had = self.services[key], self.before[key]
        no = cannot(service, self.ours)
        if no is not None:
            self.out.lost[key] = no
            return
        asked = service.load_balancer
        homes = self.homes(had)
        left = [address for address in had.addresses if address in homes]
        wanted = [address for address in left if family_of(address) in wishes(service)[0]]
        if asked.requested:
            left = left if len(left) == len(had.addresses) else []
        elif len(left) < len(had.addresses):
            left = wanted
            if left:
                self.cut.add(key)
        if not left:
            self.out.lost[key] = Reason.ADDRESS_IN_NO_POOL
            return
        for address in left:
            if not allows(homes[address], service, self.namespaces):
                self.out.lost[key] = Reason.POOL_NOT_COMPATIBLE
                return
        for address in left:
            if buggy(homes[address], address):
                self.out.lost[key] = Reason.ADDRESS_BUGGY
                return
        names = self.named_pools(service)
        for address in left:
            if names and homes[address].name not in names:
                self.out.lost[key] = Reason.REQUESTED_POOL_CHANGED
                return
        if asked.requested and set(asked.requested) != set(left):
            left = [address for address in left if address in asked.requested]
            if not left:
                self.out.lost[key] = Reason.REQUESTED_ADDRESS_CHANGED
                return
        elif asked.requested:
            if tuple(map(family_of, left)) not in wishes(service):
                self.out.lost[key] = Reason.FAMILIES_CHANGED
                return
        else:
            left = wanted
            if not left:
                self.out.lost[key] = Reason.FAMILIES_CHANGED
                return
        for address in left:
            no = self.shared_badly(service, address)
            if no is not None:
                self.out.lost[key] = no
                return
        self.out.held[key] = Held(tuple(left), tuple(homes[address].name for address in left))

    def homes(self, had: Allocation) -> dict[IPAddress, Pool]:
        """The pool of each address that is in one: the recorded one; or one that has them all; or the first by name."""
        found: dict[IPAddress, Pool] = {}
        for address in had.addresses:
            recorded = self.pools.get(had.pool_of(address))
            if recorded is not None and contains(recorded, address):
                found[address] = recorded
        if len(found) == len(had.addresses):
            return found
        for name in sorted(self.pools, key=lambda name: (name != had.pool, name)):
            if all(contains(self.pools[name], address) for address in had.addresses):
                return dict.fromkeys(had.addresses, self.pools[name])
        for address in had.addresses:
            for name in sorted(self.pools):
                if address not in found and contains(self.pools[name], address):
                    found[address] = self.pools[name]
        return found

    def named_pools(self, service: Service) -> tuple[str, ...]:
        asked = service.load_balancer
        if asked.pools_by_family:
            return asked.pools_by_family
        return () if asked.requested_pool is None else (asked.requested_pool,)

    # ... to change it ...

    def follow_request(self, service: Service) -> None:
        asked = service.load_balancer.requested
        if not asked or set(asked) == set(self.before[service.key].addresses):
            return
        del self.out.held[service.key]
        self.give_requested(service)
        now = self.out.held.get(service.key)
        if now is None:
            self.out.lost[service.key] = Reason.REQUESTED_ADDRESS_CHANGED
        had = self.before[service.key].addresses
        self.give_back(service.key, [each for each in had if now is None or each not in now.addresses])

    def narrow(self, service: Service) -> None:
        """What it has and does not want any more is free from here on."""
        key = service.key
        if not service.load_balancer.requested:
            had, has = self.before[key].addresses, self.out.held[key].addresses
            self.give_back(key, [address for address in had if address not in has])

    def add_family(self, service: Service) -> None:
        key, best = service.key, wishes(service)[0]
        held = self.out.held[key]
        if service.load_balancer.requested or len(held.addresses) == len(best):
            return
        why: Why = set()
        names = service.load_balancer.pools_by_family
        pools = self.usable(service, names, why) if names else [self.pools[held.pools[0]]]
        have = {family_of(address): (address, name) for address, name in zip(held.addresses, held.pools, strict=True)}
        missing = next(family for family in best if family not in have)
        reserved = self.remembered.reserved.get(key)
        mine = reserved.addresses if reserved else ()
        found = self.pick(service, pools, missing, mine, why)
        if found is None and key in self.cut and not names and len(wishes(service)) == 3:
            # it had both, and half of it is gone: another pool that has both is better than to stay with half
            del self.out.held[key]
            if self.from_pools_whole(service):
                self.give_back(key, held.addresses)
                return
            self.out.held[key] = held
        if found is not None:
            have[missing] = found
            self.hold(key, have)
        elif len(wishes(service)) == 3:
            self.out.pending[key] = why
        else:
            del self.out.held[key]
            self.out.lost[key] = Reason.FAMILIES_CHANGED
            self.give_back(key, held.addresses)

    def unwelcome(self, service: Service, held: Held) -> tuple[list[IPAddress], list[IPAddress]]:
        """Of what it has, what is in quarantine and it would rather leave; and what it would leave if the machine there
        did not answer for several addresses."""
        away: list[IPAddress] = []
        stuck: list[IPAddress] = []
        if service.load_balancer.requested:
            return away, stuck
        reservation = self.remembered.reserved.get(service.key)
        mine = reservation.addresses if reservation is not None else ()
        macs = [each.mac for each in self.remembered.quarantined.values()]
        for address, name in zip(held.addresses, held.pools, strict=True):
            rule = service.load_balancer.on_conflict or self.pools[name].options.on_conflict
            if address in mine:
                continue
            if address in self.remembered.quarantined and rule is OnConflict.REALLOCATE:
                several = macs.count(self.remembered.quarantined[address].mac) >= 3
                (stuck if several else away).append(address)
        return away, stuck

    def leave_quarantine(self, service: Service) -> None:
        self.move_away(service)
        held = self.out.held.get(service.key)
        for address in self.unwelcome(service, held)[1] if held is not None else ():
            self.out.pending.setdefault(service.key, set()).add((str(address), Reason.PROXY_ARP))

    def move_away(self, service: Service) -> None:
        """Who would rather have another address than one that some other machine answers for gets one, if there is."""
        key, held = service.key, self.out.held.get(service.key)
        if held is None:
            return
        if held.addresses != self.before[key].addresses:
            return  # it changed in this very plan; the next one looks again
        away, stuck = self.unwelcome(service, held)
        if not away:
            return
        bad = [each for each in held.addresses if each in self.remembered.quarantined and each not in stuck]
        del self.out.held[key]
        self.out.pending.pop(key, None)
        self.serve(service, held.addresses)
        now = self.out.held.get(key)
        if now is not None and len(now.addresses) >= len(held.addresses):
            self.give_back(key, [address for address in held.addresses if address not in now.addresses])
            return
        more = self.out.pending.pop(key, set()) if now is None else set()
        self.out.held[key] = held
        self.out.pending[key] = {(str(address), Reason.QUARANTINED) for address in bad} | more

    # ... and who needs something

    def serve(self, service: Service, had: tuple[IPAddress, ...] | None = None) -> None:
        """Gives it addresses, or says why not."""
        key, no = service.key, cannot(service, self.ours)
        self.cut.discard(key)
        if no is not None:
            self.out.pending[key] = {(str(key), no)}
        elif not self.pools:
            self.out.pending[key] = {(str(key), Reason.NO_POOLS)}
        elif service.load_balancer.requested:
            self.give_requested(service)
        elif not self.give_reserved(service):
            why: Why = set()
            self.give_any(service, self.own(service, had), why)
            if key not in self.out.held:
                self.out.pending[key] = why
        if key in self.out.held and not service.load_balancer.requested:
            self.say_what_lacks(service)

    def say_what_lacks(self, service: Service) -> None:
        held = self.out.held[service.key]
        if len(held.addresses) < len(wishes(service)[0]):
            self.add_family(service)

    def own(self, service: Service, had: tuple[IPAddress, ...] | None) -> list[IPAddress]:
        """What it had until now, and what it freed itself a while ago as long as that cools: it is the first to have it
        again."""
        found = list(had if had is not None else ())
        if had is None and service.key in self.before:
            found = list(self.before[service.key].addresses)
        for address in sorted(self.freed, key=lambda address: (address.version, int(address))):
            if self.freed[address][1] == service.key and address not in found:
                cools = any(
                    self.gives(pool, address) and self.freed[address][0] + pool.options.cooling_time > self.now
                    for pool in self.pools.values()
                )
                used = any(address in each.addresses for each in self.out.held.values())
                if cools and not used:
                    found.append(address)
        return found

    def give_any(self, service: Service, own: list[IPAddress], why: Why) -> None:
        key, choices = service.key, wishes(service)
        names = self.named_pools(service)
        if names:
            pools = self.usable(service, names, why)
            if service.load_balancer.pools_by_family:
                have: dict[Family, tuple[IPAddress, str]] = {}
                for family in self.liked(service):
                    found = self.pick(service, pools, family, own, why)
                    if found is not None:
                        have[family] = found
                if have and (len(have) == len(choices[0]) or len(choices) == 3):
                    self.hold(key, have)
            elif pools:
                self.from_list(service, pools, own, why)
            return
        pinned, open_to_all = self.order(service, why)
        homes = [pool for pool in pinned + open_to_all if any(contains(pool, address) for address in own)]
        for pool in homes:
            found_both = self.both(service, pool, own, set())
            if found_both is not None and any(address in own for address, _ in found_both.values()):
                self.hold(key, found_both)
                return
        for pools in (pinned, open_to_all):
            if self.from_list(service, pools, own, why):
                return

    def from_list(self, service: Service, pools: list[Pool], own: list[IPAddress], why: Why) -> bool:
        """From one list of pools: the first that has all; else, where half will do, the half it likes best."""
        tried: Why = set()
        for pool in pools:
            have = self.both(service, pool, own, tried)
            if have is not None:
                self.hold(service.key, have)
                return True
        if len(wishes(service)) < 3:
            why |= tried
            return False
        for address in own:
            for pool in pools:
                if self.may_return(service, pool, address):
                    self.hold(service.key, {family_of(address): (address, pool.name)})
                    return True
        for family in self.liked(service):
            for pool in pools:
                found = self.pick(service, [pool], family, [], why)
                if found is not None:
                    self.hold(service.key, {family: found})
                    return True
        return False

    def from_pools_whole(self, service: Service) -> bool:
        names = self.named_pools(service)
        lists = (self.usable(service, names, set()),) if names else self.order(service, set())
        for pools in lists:
            for pool in pools:
                have = self.both(service, pool, [], set())
                if have is not None:
                    self.hold(service.key, have)
                    return True
        return False

    def both(
        self, service: Service, pool: Pool, own: list[IPAddress], why: Why
    ) -> dict[Family, tuple[IPAddress, str]] | None:
        """An address of every family it wants, from one pool."""
        have: dict[Family, tuple[IPAddress, str]] = {}
        for family in wishes(service)[0]:
            if not any(True for _ in every_address(pool, family)):
                why.add((pool.name, Reason.POOL_LACKS_FAMILY))
                return None
        for family in self.liked(service):
            found = self.pick(service, [pool], family, own, why)
            if found is None:
                return None
            have[family] = found
        return have

    def liked(self, service: Service) -> Families:
        """The families it wants, the one it likes best first."""
        best = wishes(service)
        return best[1] + best[2] if len(best) == 3 else best[0]

    def pick(
        self, service: Service, pools: list[Pool], family: Family, own: Iterable[IPAddress], why: Why
    ) -> tuple[IPAddress, str] | None:
        """One address of the family from the first of the pools that has one."""
        for address in own:
            for pool in pools:
                if family_of(address) is family and self.may_return(service, pool, address):
                    return address, pool.name
        for pool in pools:
            some = False
            cooling: list[tuple[float, int, IPAddress]] = []
            for place, address in enumerate(every_address(pool, family)):
                some = True
                if not self.gives(pool, address) or self.refusal(service, address, by_chance=True) is not None:
                    continue
                used = any(address in each.addresses for each in self.out.held.values())
                if not used and self.cools(pool, address):
                    cooling.append((self.freed[address][0], place, address))
                    continue
                return address, pool.name
            if cooling:
                return min(cooling)[2], pool.name
            why.add((pool.name, Reason.POOL_EXHAUSTED if some else Reason.POOL_LACKS_FAMILY))
        return None

    def cools(self, pool: Pool, address: IPAddress) -> bool:
        """It was freed a short while ago; for a pool that gives the least recently used one, any while is short."""
        if address not in self.freed:
            return False
        if pool.options.choice is Choice.LEAST_RECENTLY_USED:
            return True
        return self.freed[address][0] + pool.options.cooling_time > self.now

    def gives(self, pool: Pool, address: IPAddress) -> bool:
        return contains(pool, address) and not excluded(pool, address) and not buggy(pool, address)

    def may_return(self, service: Service, pool: Pool, address: IPAddress) -> bool:
        return self.gives(pool, address) and self.refusal(service, address) is None

    def usable(self, service: Service, names: Iterable[str], why: Why) -> list[Pool]:
        found: list[Pool] = []
        for name in dict.fromkeys(names):
            if name not in self.pools:
                why.add((name, Reason.UNKNOWN_POOL))
            elif not allows(self.pools[name], service, self.namespaces):
                why.add((name, Reason.POOL_NOT_COMPATIBLE))
            else:
                found.append(self.pools[name])
        return found

    def order(self, service: Service, why: Why) -> tuple[list[Pool], list[Pool]]:
        """The pools to try: those pinned to it by priority, then those open to all."""
        pinned: list[Pool] = []
        open_to_all: list[Pool] = []
        for name in sorted(self.pools):
            pool = self.pools[name]
            if not pool.auto_assign:
                why.add((name, Reason.POOL_NOT_AUTO))
            elif not allows(pool, service, self.namespaces):
                why.add((name, Reason.POOL_NOT_COMPATIBLE))
            elif pool.service_allocation is None:
                open_to_all.append(pool)
            else:
                pinned.append(pool)

        def priority(pool: Pool) -> float:
            rule = pool.service_allocation
            return float("inf") if rule is None or rule.priority == 0 else rule.priority

        return sorted(pinned, key=priority), open_to_all

    def hold(self, key: ServiceKey, have: dict[Family, tuple[IPAddress, str]]) -> None:
        found = [have[family] for family in (V4, V6) if family in have]
        self.out.held[key] = Held(tuple(address for address, _ in found), tuple(name for _, name in found))

    def give_requested(self, service: Service) -> None:
        """Those and no others: of the families it has, of one pool (or of those it lists), and free for it."""
        key, asked = service.key, sorted(service.load_balancer.requested, key=lambda each: (each.version, int(each)))
        text = " and ".join(map(str, asked))
        if tuple(map(family_of, asked)) not in wishes(service):
            self.out.pending[key] = {(text, Reason.ADDRESS_WRONG_FAMILY)}
            return
        nowhere = [each for each in asked if not any(contains(pool, each) for pool in self.pools.values())]
        if nowhere:
            self.out.pending[key] = {(str(each), Reason.ADDRESS_IN_NO_POOL) for each in nowhere}
            return
        listed = service.load_balancer.pools_by_family
        homes: list[Pool] = []
        if listed:
            why: Why = set()
            for each in asked:
                there = [self.pools[name] for name in listed if name in self.pools and contains(self.pools[name], each)]
                homes += there[:1]
                if not there:
                    why.add((str(each), Reason.ADDRESS_NOT_IN_REQUESTED_POOL))
            if why:
                self.out.pending[key] = why
                return
        else:
            common = [self.pools[name] for name in sorted(self.pools)]
            common = [pool for pool in common if all(contains(pool, each) for each in asked)]
            wanted = service.load_balancer.requested_pool
            if not common:
                self.out.pending[key] = {(text, Reason.ADDRESSES_IN_DIFFERENT_POOLS)}
                return
            if wanted is not None and wanted not in [pool.name for pool in common]:
                self.out.pending[key] = {(text, Reason.ADDRESS_NOT_IN_REQUESTED_POOL)}
                return
            homes = [self.pools[wanted] if wanted is not None else common[0]] * len(asked)
        self.give_these(service, asked, homes)

    def give_these(self, service: Service, addresses: list[IPAddress], homes: list[Pool]) -> bool:
        """These very addresses, all of them or none."""
        why: Why = {
            (pool.name, Reason.POOL_NOT_COMPATIBLE) for pool in homes if not allows(pool, service, self.namespaces)
        }
        if not why:
            for address, pool in zip(addresses, homes, strict=True):
                no = self.refusal(service, address)
                if excluded(pool, address):
                    why.add((str(address), Reason.EXCLUDED))
                elif buggy(pool, address):
                    why.add((str(address), Reason.ADDRESS_BUGGY))
                elif no is not None:
                    why.add((str(address), no))
        if why:
            self.out.pending[service.key] = why
            return False
        self.hold(service.key, {family_of(a): (a, pool.name) for a, pool in zip(addresses, homes, strict=True)})
        return True

    def give_reserved(self, service: Service) -> bool:
        """What is reserved for it and of its families, the rest from the same pools. Whether that settles it."""
        key, reserved = service.key, self.remembered.reserved.get(service.key)
        if reserved is None:
            return False
        mine = [address for address in reserved.addresses if family_of(address) in wishes(service)[0]]
        if not mine:
            return False
        homes: list[Pool] = []
        for address in mine:
            for name in sorted(self.pools, key=lambda name: (name != reserved.pool, name)):
                if contains(self.pools[name], address):
                    homes.append(self.pools[name])
                    break
            else:
                self.out.pending.setdefault(key, set()).add((str(address), Reason.ADDRESS_IN_NO_POOL))
        if key in self.out.pending:
            return True
        names = self.named_pools(service)
        mine = [address for address, pool in zip(mine, homes, strict=True) if not names or pool.name in names]
        homes = [pool for pool in homes if not names or pool.name in names]
        if not mine:
            return False
        if not self.give_these(service, mine, homes):
            return True
        have = {family_of(a): (a, pool.name) for a, pool in zip(mine, homes, strict=True)}
        why: Why = set()
        pools = self.usable(service, names, why) if names else homes
        for family in self.liked(service):
            if family not in have:
                found = self.pick(service, pools, family, [], why)
                if found is not None:
                    have[family] = found
                elif len(wishes(service)) < 3:
                    del self.out.held[key]
                    self.out.pending[key] = why
                    return True
        self.hold(key, have)
        return True

    def refusal(self, service: Service, address: IPAddress, *, by_chance: bool = False) -> Reason | None:
        """Why this one service may not be given this address now. `by_chance`: it did not ask for it, so it is not
        given what is reserved, be it for itself (it has asked for other families or pools then)."""
        if address in self.remembered.quarantined:
            return Reason.QUARANTINED
        for key, each in self.remembered.reserved.items():
            if address in each.addresses and (key != service.key or by_chance):
                return Reason.RESERVED
        return self.shared_badly(service, address)

    def shared_badly(self, service: Service, address: IPAddress) -> Reason | None:
        """Why it may not be on this address with those who are on it now."""
        for key in sorted(self.out.held):
            if key != service.key and address in self.out.held[key].addresses:
                no = disagreement(service, self.services[key])
                if no is not None:
                    return no
        return None


def dumb_plan(world: World, remembered: Remembered, now: float, ours: str | None = None) -> Outcome:
    """What should be."""
    return Dumb(world, remembered, now, ours).plan()
