"""What a step says in the log: a constant name and its fields for each thing that happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lbctl.controller.kept import AddressChanges
from lbctl.controller.records import LedgerState
from lbctl.model.address import IPAddress
from lbctl.model.allocation import Allocation
from lbctl.model.node import Node
from lbctl.model.service import ServiceKey
from lbctl.plan.allocation import AllocationPlan, Amendment, Grant
from lbctl.plan.reason import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """For the log: a constant name and its fields. `warns`: somebody has to look after it."""

    name: str
    fields: Mapping[str, object]
    warns: bool = False


def allocation_events(
    plan: AllocationPlan, granted: tuple[Allocation, ...], news_of_pending: Iterable[ServiceKey]
) -> list[Event]:
    events = [
        Event(
            name="released",
            fields={
                "service": str(release.allocation.service),
                "addresses": release.allocation.addresses,
                "pool": _pools(release.allocation),
                "reason": release.reason.value,
                "detail": release.detail,
            },
        )
        for release in plan.releases
    ]
    events += [
        Event(
            name="allocated",
            fields={
                "service": str(grant.service),
                "addresses": grant.addresses,
                "pool": _pools(grant),
                "cause": grant.cause.value,
                "id": allocation.id,
            },
        )
        for grant, allocation in zip(plan.grants, granted, strict=True)
    ]
    events += [
        Event(name="pool_changed", fields={"service": str(item.allocation.service), "pool": _pools(item)})
        for item in plan.amendments
        if _pools(item) != _pools(item.allocation)
    ]
    events += [
        Event(name="pending", fields={"service": str(key), "reasons": "; ".join(map(str, refusals))})
        for key in sorted(news_of_pending)
        if (refusals := plan.pending.get(key)) is not None
    ]
    return events


def _pools(item: Allocation | Grant | Amendment) -> str:
    return f"{item.pool} {item.second_pool}" if item.second_pool else item.pool


def held_back_events(held_back: Iterable[Refusal]) -> list[Event]:
    """Edits of protected pools that would take addresses in use."""
    return [
        Event(name="pool_held_back", fields={"pool": item.subject, "why": item.detail}, warns=True)
        for item in held_back
    ]


def node_events(nodes: tuple[Node, ...], dropped: tuple[str, ...]) -> list[Event]:
    return [
        *(Event(name="node_registered", fields={"node": node.name, "addresses": node.addresses}) for node in nodes),
        *(Event(name="node_forgotten", fields={"node": name}) for name in dropped),
    ]


def overlap_events(overlaps: Iterable[tuple[str, IPAddress, str]]) -> list[Event]:
    """Pools that hold the address of a node that registered itself, so that no check of manifests can see it."""
    return [
        Event(name="pool_holds_node_address", fields={"pool": pool, "address": address, "node": node}, warns=True)
        for pool, address, node in overlaps
    ]


def kept_events(kept: AddressChanges, state: LedgerState) -> list[Event]:
    """Reservations and quarantines that began and ended. `state` says who uses the addresses."""

    def services(address: IPAddress) -> str:
        return " ".join(map(str, state.users.get(address, ()))) or "-"

    return [
        *(
            Event(name="unreserved", fields={"service": str(item.reservation.service), "by": item.by})
            for item in kept.unreserved
        ),
        *(
            Event(
                name="reserved",
                fields={
                    "service": str(item.service),
                    "addresses": item.addresses,
                    "pool": item.pool,
                    "by": item.by,
                },
            )
            for item in kept.reserved
        ),
        *(
            Event(
                name="quarantine_cleared",
                fields={
                    "address": item.quarantine.address,
                    "mac": item.quarantine.mac,
                    "cause": item.cause.value,
                    "by": item.by,
                    "services": services(item.quarantine.address),
                },
            )
            for item in kept.cleared
        ),
        *(
            Event(
                name="quarantined",
                fields={
                    "address": item.address,
                    "mac": item.mac,
                    "node": item.node,
                    "interface": item.interface,
                    "services": services(item.address),
                },
                warns=True,
            )
            for item in kept.quarantined
        ),
    ]
