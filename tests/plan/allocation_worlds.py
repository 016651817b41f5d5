"""Small worlds for the tests of allocation: a line for a pool, a line for a service, and a ledger that goes along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import cycle
from typing import Any

from lbctl.controller.records import Batch, LedgerState
from lbctl.model.address import AddressRange, Family
from lbctl.model.node import Namespace
from lbctl.model.pool import OnConflict, Pool, PoolOptions, ServiceAllocation
from lbctl.model.reservation import Quarantine, Reservation
from lbctl.model.selector import LabelSelector
from lbctl.model.service import (
    FamilyPolicy,
    FamilySpec,
    LoadBalancerSpec,
    Port,
    Service,
    ServiceKey,
    ServiceType,
    TrafficPolicy,
    TrafficSpec,
    Transport,
)
from lbctl.model.snapshot import World
from lbctl.plan.allocate import AllocationMemo, AllocationPlan, allocate
from lbctl.plan.reason import Reason

V4, V6 = Family.IPV4, Family.IPV6
LOCAL = TrafficPolicy.LOCAL
PREFER, REQUIRE, SINGLE = FamilyPolicy.PREFER, FamilyPolicy.REQUIRE, FamilyPolicy.SINGLE
DUAL = ("10.96.0.1", "fd96::1")


def key(text: str) -> ServiceKey:
    namespace, _, name = text.rpartition("/")
    return ServiceKey(namespace or "default", name)


def address_range(text: str) -> AddressRange:
    first, dash, last = text.partition("-")
    if dash:
        return AddressRange(ip_address(first), ip_address(last), text)
    network = ip_network(text)
    return AddressRange(network[0], network[-1], text)


def selector(**labels: str) -> LabelSelector:
    return LabelSelector(match_labels=tuple(sorted(labels.items())))


def pool(
    name: str,
    *ranges: str,
    auto: bool = True,
    buggy: bool = False,
    priority: int | None = None,
    namespaces: Iterable[str] = (),
    namespace_selectors: Iterable[LabelSelector] = (),
    service_selectors: Iterable[LabelSelector] = (),
    exclude: str = "",
    **options: Any,
) -> Pool:
    """`buggy`: avoidBuggyIPs. Pinned where a priority, namespaces or selectors are given. `options`: of PoolOptions."""
    pinned = ServiceAllocation(
        priority=priority or 0,
        namespaces=tuple(namespaces),
        namespace_selectors=tuple(namespace_selectors),
        service_selectors=tuple(service_selectors),
    )
    return Pool(
        name=name,
        ranges=tuple(map(address_range, ranges)),
        auto_assign=auto,
        avoid_buggy_ips=buggy,
        service_allocation=None if pinned == ServiceAllocation() and priority is None else pinned,
        options=PoolOptions(excluded=tuple(map(address_range, exclude.split())), **options),
    )


def service(
    name: str,
    *,
    ports: str = "80",
    ip: str = "",
    from_pool: str | None = None,
    from_pools: str = "",
    on_conflict: OnConflict | None = None,
    share: str | None = None,
    policy: TrafficPolicy = TrafficPolicy.CLUSTER,
    select: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    families: tuple[Family, ...] = (),
    stack: FamilyPolicy | None = None,
    cluster_ips: tuple[str, ...] = (),
    kind: ServiceType = ServiceType.LOAD_BALANCER,
    lb_class: str | None = None,
    created: float | None = None,
) -> Service:
    """`ports`: "80 53/UDP"; `ip`: requested addresses; `from_pools`: pools by family; `select`: the pod selector."""
    return Service(
        key=key(name),
        type=kind,
        ports=tuple(_port(text) for text in ports.split()),
        load_balancer=LoadBalancerSpec(
            load_balancer_class=lb_class,
            requested=tuple(map(ip_address, ip.split())),
            requested_pool=from_pool,
            pools_by_family=tuple(from_pools.split()),
            on_conflict=on_conflict,
            sharing_key=share,
        ),
        family=FamilySpec(cluster_ips=cluster_ips, ip_families=families, policy=stack),
        traffic=TrafficSpec(external_policy=policy),
        selector=tuple(sorted((select or {}).items())),
        labels=tuple(sorted((labels or {}).items())),
        created_unix=created,
    )


def _port(text: str) -> Port:
    number, _, protocol = text.partition("/")
    return Port(name=text, port=int(number), protocol=Transport(protocol or "TCP"))


def world(pools: Iterable[Pool] = (), services: Iterable[Service] = (), namespaces: Iterable[Namespace] = ()) -> World:
    return World(
        pools={item.name: item for item in pools},
        services={item.key: item for item in services},
        namespaces={item.name: item for item in namespaces},
    )


class Cluster:
    """A ledger, and the worlds it goes through. `memo` is used unless told otherwise."""

    def __init__(self, *pools: Pool, namespaces: Iterable[Namespace] = ()) -> None:
        self.world = world(pools, (), namespaces)
        self.state = LedgerState(ledger="test")
        self.memo: AllocationMemo | None = None
        self.now = 0.0
        self.plan = AllocationPlan()

    def become(self, **maps: Any) -> Cluster:
        """Replaces maps of the world (`services`, `pools`, `namespaces`), given as iterables of objects."""
        by_name: dict[str, Any] = {
            name: {getattr(item, "key", None) or item.name: item for item in items} for name, items in maps.items()
        }
        self.world = replace(self.world, **by_name)
        return self

    def put(self, *services: Service) -> Cluster:
        """Adds or replaces services, and settles."""
        self.world = replace(self.world, services={**self.world.services, **{item.key: item for item in services}})
        return self.settle()

    def delete(self, *names: str) -> Cluster:
        gone = {key(name) for name in names}
        self.world = replace(
            self.world, services={name: item for name, item in self.world.services.items() if name not in gone}
        )
        return self.settle()

    def look(self, *, memo: bool = True) -> AllocationPlan:
        """One plan, not committed."""
        seen = {name: self.now for name in self.world.services if name not in self.state.remembered.first_seen}
        self.state = self.state.after(Batch(at_unix=self.now, first_grant=self.state.next_grant, seen=seen))
        now = replace(self.world, allocations=self.state.allocations)
        plan, after = allocate(now, self.state.remembered, self.memo if memo else None, now_unix=self.now)
        if memo:
            self.memo = after
        return plan

    def commit(self, plan: AllocationPlan) -> None:
        self.state = self.state.after(
            Batch(
                at_unix=self.now,
                first_grant=self.state.next_grant,
                releases=plan.releases,
                amendments=plan.amendments,
                grants=plan.grants,
            )
        )

    def wait(self, seconds: float) -> Cluster:
        """Lets time pass."""
        self.now += seconds
        return self

    def settle(self, *, rounds: int = 6) -> Cluster:
        """Plans and commits until there is nothing to do."""
        self.now += 1
        for _ in range(rounds):
            self.plan = self.look()
            if self.plan.settled:
                return self
            self.commit(self.plan)
        raise AssertionError(f"not settled after {rounds} rounds: {self.plan}")

    def addresses(self, name: str) -> str:
        """The service's addresses, "" where it has none."""
        allocation = self.state.allocations.get(key(name))
        return " ".join(map(str, allocation.addresses)) if allocation else ""

    def pool_of(self, name: str) -> str:
        return self.state.allocations[key(name)].pool

    def why(self, name: str) -> dict[str, Reason]:
        """What was tried for a service that waits, and the reason of each."""
        return {refusal.subject: refusal.reason for refusal in self.plan.pending.get(key(name), ())}

    def text(self, name: str) -> str:
        return "; ".join(map(str, self.plan.pending.get(key(name), ())))


def reserve(cluster: Cluster, name: str, *addresses: str, home: str = "a") -> Cluster:
    """Makes the ledger say that these addresses are for that service alone."""
    kept = Reservation(service=key(name), addresses=tuple(map(ip_address, addresses)), pool=home, since_unix=0.0)
    before = cluster.state.remembered
    remembered = replace(before, reserved={**before.reserved, kept.service: kept})
    cluster.state = replace(cluster.state, remembered=remembered)
    return cluster


def quarantine(cluster: Cluster, *addresses: str, macs: tuple[str, ...] = ("02:00:00:00:00:66",)) -> Cluster:
    """Makes the ledger say that foreign machines answer for just these addresses, one `macs` after the other."""
    found = {
        address: Quarantine(address=address, mac=mac, node="n1", interface="eth1", since_unix=0.0)
        for address, mac in zip(map(ip_address, addresses), cycle(macs), strict=False)
    }
    cluster.state = replace(cluster.state, remembered=replace(cluster.state.remembered, quarantined=found))
    return cluster
