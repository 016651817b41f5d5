"""A second allocator, deliberately dumb: the rules again, in loops over every address and every service.

Written from MetalLB's rules (sections 2.2 and 3) and from docs/state.md alone; it shares nothing with lbctl.plan.allocate but the
values that go in and the names of reasons. No memo, no index, no care for time: what it says is slow and easy to
believe.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

from lbctl.model.address import Family, IPAddress, family_of
from lbctl.model.node import Namespace
from lbctl.model.pool import Pool
from lbctl.model.service import FamilyPolicy, Service, ServiceKey, ServiceType, TrafficPolicy
from lbctl.model.snapshot import World
from lbctl.plan.allocation import Remembered
from lbctl.plan.reason import Reason

V4, V6 = Family.IPV4, Family.IPV6
Families = tuple[Family, ...]
Why = set[tuple[str, Reason]]
"""What was tried, and why it would not do."""


@dataclass
class Held:
    """What one service has."""

    addresses: tuple[IPAddress, ...]
    pool: str


@dataclass
class Outcome:
    """Who has what after the plan, and why the others (or those with half of what they like) do not."""

    held: dict[ServiceKey, Held] = field(default_factory=dict)
    lost: dict[ServiceKey, Reason] = field(default_factory=dict)
    pending: dict[ServiceKey, Why] = field(default_factory=dict)


# What a service asks for ---------------------------------------------------------------------------------------------


def wishes(service: Service) -> list[Families]:
    """The families it may have, what it likes best first. Nothing: it cannot have any."""
    of_cluster = service.family.cluster_ips
    if "None" in of_cluster or "" in of_cluster:
        return []
    found: list[Family] = []
    for text in of_cluster:
        if family_of(ip_address(text)) not in found:
            found.append(family_of(ip_address(text)))
    listed = list(service.family.ip_families)
    policy = service.family.policy
    first = listed[0] if listed else V4
    if found:
        if len(found) == 1:
            return [] if policy is FamilyPolicy.REQUIRE else [(found[0],)]
    elif policy is None or policy is FamilyPolicy.SINGLE:
        found = listed or [V4]
    else:
        found = [V4, V6]
    if len(found) == 1 or policy is FamilyPolicy.SINGLE:
        return [(first,)]
    if policy is FamilyPolicy.PREFER:
        return [(V4, V6), (first,), (V6 if first is V4 else V4,)]
    return [(V4, V6)]


def cannot(service: Service, ours: str | None) -> Reason | None:
    """Why it can have no address at all."""
    if service.type is not ServiceType.LOAD_BALANCER:
        return Reason.NOT_LOAD_BALANCER
    if service.load_balancer.load_balancer_class != ours:
        return Reason.OTHER_CLASS
    if "None" in service.family.cluster_ips or "" in service.family.cluster_ips:
        return Reason.NO_CLUSTER_IP
    if not wishes(service):
        return Reason.NOT_ENOUGH_FAMILIES
    return None


# Who may share -------------------------------------------------------------------------------------------------------


def backends(service: Service) -> str:
    return str(service.selector) if service.traffic.external_policy is TrafficPolicy.LOCAL else ""


def disagreement(comer: Service, holder: Service) -> Reason | None:
    """Why the two may not be on one address."""
    mine, theirs = comer.load_balancer.sharing_key, holder.load_balancer.sharing_key
    if not mine:
        return Reason.ADDRESS_TAKEN
    if not theirs:
        return Reason.SHARING_NOT_ALLOWED
    if mine != theirs:
        return Reason.SHARING_KEY_DIFFERS
    if backends(comer) != backends(holder):
        return Reason.SHARING_BACKENDS_DIFFER
    for port in comer.ports:
        for other in holder.ports:
            if (port.protocol, port.port) == (other.protocol, other.port):
                return Reason.SHARING_PORT_IN_USE
    return None


# Pools ---------------------------------------------------------------------------------------------------------------


def every_address(pool: Pool, family: Family) -> Iterator[IPAddress]:
    for part in pool.ranges:
        if family_of(part.first) is family:
            for number in range(int(part.first), int(part.last) + 1):
                yield part.first + (number - int(part.first))


def buggy(pool: Pool, address: IPAddress) -> bool:
    return pool.avoid_buggy_ips and address.version == 4 and str(address).rpartition(".")[2] in ("0", "255")


def contains(pool: Pool, address: IPAddress) -> bool:
    return any(part.first <= address <= part.last for part in pool.ranges if part.first.version == address.version)


def allows(pool: Pool, service: Service, namespaces: dict[str, Namespace]) -> bool:
    """Whether the pool may serve it at all (serviceAllocation); autoAssign is another matter."""
    rule = pool.service_allocation
    if rule is None:
        return True
    name = service.key.namespace
    labels = {"kubernetes.io/metadata.name": name}
    if name in namespaces:
        labels |= dict(namespaces[name].labels)
    place = not rule.namespaces and not rule.namespace_selectors
    place = place or name in rule.namespaces
    for selector in rule.namespace_selectors:
        place = place or selector.matches(labels)
    chosen = not rule.service_selectors
    for selector in rule.service_selectors:
        chosen = chosen or selector.matches(dict(service.labels))
    return place and chosen


# The plan ------------------------------------------------------------------------------------------------------------


class Dumb:
    """One plan, of one world and one ledger."""

    def __init__(self, world: World, remembered: Remembered, ours: str | None = None) -> None:
        self.services = dict(world.services)
        self.pools = dict(world.pools)
        self.namespaces = dict(world.namespaces)
        self.before = dict(world.allocations)
        self.remembered = remembered
        self.ours = ours
        self.out = Outcome()

    def age(self, key: ServiceKey) -> tuple[float, ServiceKey]:
        created = self.services[key].created_unix
        return (self.remembered.first_seen.get(key, 0.0) if created is None else created, key)

    def plan(self) -> Outcome:
        for key in self.holders():
            self.keep(key)
        for key in sorted(self.services, key=self.age):
            service = self.services[key]
            if service.type is ServiceType.LOAD_BALANCER:
                self.serve(service)
        return self.out

    # Who has something ...

    def holders(self) -> list[ServiceKey]:
        """Those who changed nothing about how they share go first, for they lose nothing; then the older."""

        def changed(key: ServiceKey) -> bool:
            return self.remembered.terms.get(key, "") != terms(self.services[key])

        alive = [key for key in self.before if key in self.services]
        return sorted(alive, key=lambda key: (changed(key), self.age(key)))

    def keep(self, key: ServiceKey) -> None:
        service, had = self.services[key], self.before[key]
        no = cannot(service, self.ours)
        if no is not None:
            self.out.lost[key] = no
            return
        home = self.home(service, had.addresses, had.pool)
        best = list(had.addresses)
        for wish in wishes(service):
            part = [address for address in had.addresses if family_of(address) in wish]
            if part and (len(part) == len(wish) or wish == (V4, V6)):
                best = part
                break
        else:
            self.out.lost[key] = Reason.FAMILIES_CHANGED
            return
        if home is None and len(best) == 2 and len(wishes(service)) == 3:
            # its pool has lost a family: what is left is kept, the family it likes best first
            for family in wishes(service)[1] + wishes(service)[2]:
                part = [address for address in best if family_of(address) is family]
                home = self.home(service, tuple(part), had.pool)
                if home is not None:
                    best = part
                    break
        elif home is None:
            home = self.home(service, tuple(best), had.pool)
        if home is None:
            self.out.lost[key] = Reason.ADDRESS_IN_NO_POOL
            return
        asked = service.load_balancer.requested
        if asked and set(asked) != set(best):
            self.out.lost[key] = Reason.REQUESTED_ADDRESS_CHANGED
            best = [address for address in best if address in asked]
            if not best:
                return
        for address in best:
            no = self.taken(service, address, home)
            if no is not None:
                self.out.lost[key] = no
                return
        self.out.held[key] = Held(tuple(best), home.name)

    def home(self, service: Service, addresses: tuple[IPAddress, ...], name: str) -> Pool | None:
        """The pool that has them all and may serve it: the one it was, or the first by name."""
        asked = service.load_balancer.requested_pool
        for each in sorted(self.pools, key=lambda each: (each != name, each)):
            pool = self.pools[each]
            if asked is not None and asked != each:
                continue
            if allows(pool, service, self.namespaces) and all(contains(pool, address) for address in addresses):
                return pool
        return None

    # ... and who needs something

    def serve(self, service: Service) -> None:
        key, no = service.key, cannot(service, self.ours)
        if no is not None:
            self.out.pending[key] = {(str(key), no)}
            return
        has = self.out.held.get(key)
        choices = wishes(service)
        if not self.pools:
            self.out.pending[key] = {(str(key), Reason.NO_POOLS)}
            return
        if service.load_balancer.requested:
            self.give_requested(service)
            return
        if has is not None and tuple(map(family_of, has.addresses)) == choices[0]:
            return
        was = self.before.get(key)
        whole = was is not None and has is not None and was.addresses == has.addresses
        why: Why = set()
        if has is not None:  # the other family from the same pool
            self.try_pool(service, self.pools[has.pool], choices[0], why)
            if self.out.held[key] is not has or (whole and len(choices) > 1):
                if why:
                    self.out.pending[key] = why
                return
            if len(choices) == 1:
                del self.out.held[key]
                self.out.lost[key] = Reason.FAMILIES_CHANGED
        for wish in choices:
            if has is not None and wish != (V4, V6):
                break
            for pool in self.order(service, why):
                if self.try_pool(service, pool, wish, why):
                    break
            if key in self.out.held:
                if wish != choices[0]:  # the other family may only come from this pool, so only it has a say
                    why = set()
                    self.try_pool(service, self.pools[self.out.held[key].pool], choices[0], why)
                break
        if key not in self.out.held or self.families(key) != choices[0]:
            self.out.pending[key] = why

    def families(self, key: ServiceKey) -> Families:
        return tuple(map(family_of, self.out.held[key].addresses))

    def order(self, service: Service, why: Why) -> list[Pool]:
        """The pools to try: the one it names, else those pinned to it by priority, else those open to all."""
        asked = service.load_balancer.requested_pool
        if asked is not None:
            if asked not in self.pools:
                why.add((asked, Reason.UNKNOWN_POOL))
                return []
            if not allows(self.pools[asked], service, self.namespaces):
                why.add((asked, Reason.POOL_NOT_COMPATIBLE))
                return []
            return [self.pools[asked]]
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

        return sorted(pinned, key=priority) + open_to_all

    def try_pool(self, service: Service, pool: Pool, wish: Families, why: Why) -> bool:
        """The first usable address of each family, of those it has not already; all or nothing."""
        has = self.out.held.get(service.key)
        found: list[IPAddress] = []
        for family in wish:
            kept = [a for a in has.addresses if family_of(a) is family] if has and has.pool == pool.name else []
            if kept:
                found.append(kept[0])
                continue
            some = False
            for address in every_address(pool, family):
                some = True
                if self.taken(service, address, pool) is None:
                    found.append(address)
                    break
            else:
                why.add((pool.name, Reason.POOL_EXHAUSTED if some else Reason.POOL_LACKS_FAMILY))
                return False
        self.out.held[service.key] = Held(tuple(found), pool.name)
        return True

    def give_requested(self, service: Service) -> None:
        """Those and no others: of the families it has, of one pool, which may serve it, and free."""
        key, asked = service.key, sorted(service.load_balancer.requested, key=lambda a: a.version)
        has = self.out.held.get(key)
        if has is not None and set(has.addresses) == set(asked):
            return
        self.out.held.pop(key, None)
        why: Why = set()
        if tuple(map(family_of, asked)) not in wishes(service):
            why.add((" and ".join(map(str, asked)), Reason.ADDRESS_WRONG_FAMILY))
            self.out.pending[key] = why
            return
        homes = []
        for name in sorted(self.pools):
            if all(contains(self.pools[name], address) for address in asked):
                homes.append(self.pools[name])
        if not homes:
            for address in asked:
                if not any(contains(pool, address) for pool in self.pools.values()):
                    why.add((str(address), Reason.ADDRESS_IN_NO_POOL))
            if not why:
                why.add((" and ".join(map(str, asked)), Reason.ADDRESSES_IN_DIFFERENT_POOLS))
            self.out.pending[key] = why
            return
        wanted = service.load_balancer.requested_pool
        pool = homes[0]
        if wanted is not None and pool.name != wanted:
            self.out.pending[key] = {(" and ".join(map(str, asked)), Reason.ADDRESS_NOT_IN_REQUESTED_POOL)}
            return
        if not allows(pool, service, self.namespaces):
            self.out.pending[key] = {(pool.name, Reason.POOL_NOT_COMPATIBLE)}
            return
        for address in asked:
            no = self.taken(service, address, pool)
            if no is not None:
                why.add((str(address), no))
        if why:
            self.out.pending[key] = why
            return
        self.out.held[key] = Held(tuple(asked), pool.name)

    def taken(self, service: Service, address: IPAddress, pool: Pool) -> Reason | None:
        """Why this one service may not be on this address, as things stand now."""
        if buggy(pool, address):
            return Reason.ADDRESS_BUGGY
        for key in sorted(self.out.held):
            if key != service.key and address in self.out.held[key].addresses:
                no = disagreement(service, self.services[key])
                if no is not None:
                    return no
        return None


def terms(service: Service) -> str:
    """Only to see whether they changed since it was let in; what they look like is the ledger's matter."""
    from lbctl.plan.sharing import terms_of

    return terms_of(service).text


def dumb_plan(world: World, remembered: Remembered, ours: str | None = None) -> Outcome:
    """What should be."""
    return Dumb(world, remembered, ours).plan()
