"""The published file's pools, allocations and quarantines (docs/published.md)."""

from __future__ import annotations

from collections.abc import Iterable

from lbctl.model.address import AddressRange
from lbctl.model.allocation import Allocation
from lbctl.model.pool import COOLING_TIME, Choice, OnConflict, Pool, PoolOptions, ServiceAllocation
from lbctl.model.reservation import Quarantine
from lbctl.model.service import ServiceKey
from lbctl.sources.published_schema import (
    SelectorWire,
    Wire,
    address_of,
    addresses_of,
    labels_of,
    selector_wires,
    selectors_of,
    texts_of,
)


class RangeWire(Wire):
    first: str
    last: str
    text: str


def _range_wires(ranges: Iterable[AddressRange]) -> list[RangeWire]:
    return [RangeWire(first=str(item.first), last=str(item.last), text=item.text) for item in ranges]


def _ranges_of(wires: Iterable[RangeWire]) -> tuple[AddressRange, ...]:
    return tuple(AddressRange(address_of(item.first), address_of(item.last), item.text) for item in wires)


class ServiceAllocationWire(Wire):
    priority: int = 0
    namespaces: list[str] = []
    namespace_selectors: list[SelectorWire] = []
    service_selectors: list[SelectorWire] = []


class PoolWire(Wire):
    name: str
    ranges: list[RangeWire]
    auto_assign: bool = True
    avoid_buggy_ips: bool = False
    service_allocation: ServiceAllocationWire | None = None
    excluded: list[RangeWire] = []
    cooling_time: float = COOLING_TIME
    choice: Choice = Choice.LOWEST
    protected: bool = False
    on_conflict: OnConflict = OnConflict.QUARANTINE
    probe: bool = True
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


def pool_wire(pool: Pool) -> PoolWire:
    pinned, options = pool.service_allocation, pool.options
    return PoolWire(
        name=pool.name,
        ranges=_range_wires(pool.ranges),
        auto_assign=pool.auto_assign,
        avoid_buggy_ips=pool.avoid_buggy_ips,
        service_allocation=None
        if pinned is None
        else ServiceAllocationWire(
            priority=pinned.priority,
            namespaces=list(pinned.namespaces),
            namespace_selectors=selector_wires(pinned.namespace_selectors),
            service_selectors=selector_wires(pinned.service_selectors),
        ),
        excluded=_range_wires(options.excluded),
        cooling_time=options.cooling_time,
        choice=options.choice,
        protected=options.protected,
        on_conflict=options.on_conflict,
        probe=options.probe,
        labels=dict(pool.labels),
        annotations=dict(pool.annotations),
    )


def pool_of(wire: PoolWire) -> Pool:
    pinned = wire.service_allocation
    return Pool(
        name=wire.name,
        ranges=_ranges_of(wire.ranges),
        auto_assign=wire.auto_assign,
        avoid_buggy_ips=wire.avoid_buggy_ips,
        service_allocation=None
        if pinned is None
        else ServiceAllocation(
            priority=pinned.priority,
            namespaces=tuple(pinned.namespaces),
            namespace_selectors=selectors_of(pinned.namespace_selectors),
            service_selectors=selectors_of(pinned.service_selectors),
        ),
        options=PoolOptions(
            excluded=_ranges_of(wire.excluded),
            cooling_time=wire.cooling_time,
            choice=wire.choice,
            protected=wire.protected,
            on_conflict=wire.on_conflict,
            probe=wire.probe,
        ),
        labels=labels_of(wire.labels),
        annotations=labels_of(wire.annotations),
    )


class AllocationWire(Wire):
    namespace: str
    name: str
    addresses: list[str]
    pool: str
    id: int
    since_unix: float
    second_pool: str = ""


def allocation_wire(allocation: Allocation) -> AllocationWire:
    return AllocationWire(
        namespace=allocation.service.namespace,
        name=allocation.service.name,
        addresses=texts_of(allocation.addresses),
        pool=allocation.pool,
        id=allocation.id,
        since_unix=allocation.since_unix,
        second_pool=allocation.second_pool,
    )


def allocation_of(wire: AllocationWire) -> Allocation:
    return Allocation(
        service=ServiceKey(wire.namespace, wire.name),
        addresses=addresses_of(wire.addresses),
        pool=wire.pool,
        id=wire.id,
        since_unix=wire.since_unix,
        second_pool=wire.second_pool,
    )


class QuarantineWire(Wire):
    address: str
    mac: str
    node: str
    interface: str
    since_unix: float


def quarantine_wire(item: Quarantine) -> QuarantineWire:
    return QuarantineWire(
        address=str(item.address), mac=item.mac, node=item.node, interface=item.interface, since_unix=item.since_unix
    )


def quarantine_of(wire: QuarantineWire) -> Quarantine:
    return Quarantine(
        address=address_of(wire.address),
        mac=wire.mac,
        node=wire.node,
        interface=wire.interface,
        since_unix=wire.since_unix,
    )
