"""Which services would have other addresses: two ledgers at rest, compared, with the reasons that the plans gave."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from lbctl.model.address import IPAddress
from lbctl.model.allocation import Allocation
from lbctl.model.service import ServiceKey
from lbctl.plan.allocate import Grant, Release
from lbctl.plan.reason import GrantCause, Reason, Refusal
from lbctl.plan.settle import Settled

POOL_REASONS = frozenset({Reason.ADDRESS_IN_NO_POOL, Reason.ADDRESS_BUGGY, Reason.POOL_NOT_COMPATIBLE, Reason.EXCLUDED})
"""Losses that an edit of a pool brings about, not one of the service."""


class ServiceEvent(StrEnum):
    LOSES = "loses"
    CHANGES = "changes"
    GETS = "gets"
    POOL = "pool"
    """It keeps its addresses, and another pool has them."""
    WAITS = "waits"
    """It is new, and would not get any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceChange:
    """One service. `reason`: why it lost what it had; `cause`: why it got what it gets; `pending`: why it gets none."""

    service: ServiceKey
    event: ServiceEvent
    before: tuple[IPAddress, ...] = ()
    after: tuple[IPAddress, ...] = ()
    pools_before: tuple[str, ...] = ()
    pools_after: tuple[str, ...] = ()
    reason: Reason | None = None
    detail: str = ""
    cause: GrantCause | None = None
    pending: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingService:
    """A service that waits and would go on waiting; `holds`: it has one address and would like another."""

    service: ServiceKey
    refusals: tuple[Refusal, ...]
    holds: tuple[IPAddress, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranded:
    """An address in use that an edit of its pool takes from its holders."""

    address: IPAddress
    pool: str
    services: tuple[ServiceKey, ...]
    reason: Reason
    detail: str = ""


def changed_services(before: Settled, after: Settled) -> tuple[ServiceChange, ...]:
    """In the order of the services' names."""
    return tuple(sorted(_changes(before, after), key=lambda change: change.service))


def _changes(before: Settled, after: Settled) -> Iterator[ServiceChange]:
    held, holds = before.world.allocations, after.world.allocations
    for key, old in held.items():
        new = holds.get(key)
        if new is None or old.addresses != new.addresses:
            yield _change(key, old, new, after)
        elif (old.pool, old.second_pool) != (new.pool, new.second_pool):
            yield ServiceChange(
                service=key,
                event=ServiceEvent.POOL,
                before=old.addresses,
                after=new.addresses,
                pools_before=pools_of(old),
                pools_after=pools_of(new),
            )
    for key, new in holds.items():
        if key not in held:
            yield _change(key, None, new, after)
    for key, refusals in after.pending.items():
        if key not in held and key not in holds and key not in before.pending:
            yield ServiceChange(service=key, event=ServiceEvent.WAITS, pending=refusals)


def _change(key: ServiceKey, old: Allocation | None, new: Allocation | None, after: Settled) -> ServiceChange:
    release: Release | None = after.lost.get(key) if old is not None else None
    grant: Grant | None = after.granted.get(key) if new is not None else None
    event = ServiceEvent.GETS if old is None else ServiceEvent.LOSES if new is None else ServiceEvent.CHANGES
    return ServiceChange(
        service=key,
        event=event,
        before=old.addresses if old is not None else (),
        after=new.addresses if new is not None else (),
        pools_before=pools_of(old),
        pools_after=pools_of(new),
        reason=release.reason if release is not None else None,
        detail=release.detail if release is not None else "",
        cause=grant.cause if grant is not None else None,
        pending=after.pending.get(key, ()),
    )


def pools_of(allocation: Allocation | None) -> tuple[str, ...]:
    """The pools of an allocation's addresses, each once."""
    if allocation is None:
        return ()
    return (allocation.pool, allocation.second_pool) if allocation.second_pool else (allocation.pool,)


def still_pending(before: Settled, after: Settled) -> tuple[PendingService, ...]:
    """Who waits now and would go on waiting."""
    holds = after.world.allocations
    return tuple(
        PendingService(
            service=key, refusals=refusals, holds=allocation.addresses if (allocation := holds.get(key)) else ()
        )
        for key, refusals in sorted(after.pending.items())
        if key in before.pending and key not in before.world.allocations.keys() - holds.keys()
    )


def stranded(before: Settled, after: Settled) -> tuple[Stranded, ...]:
    """Addresses in use that would be in no pool any more, or that their pool would not leave to their holder."""
    ranges = _Ranges(after)
    found: dict[tuple[IPAddress, Reason], Stranded] = {}
    for key, release in sorted(after.lost.items()):
        old, new = before.world.allocations.get(key), after.world.allocations.get(key)
        if old is None or key not in after.world.services:
            continue
        for address in old.addresses:
            if new is not None and address in new.addresses:
                continue
            homeless = address not in ranges
            if not homeless and release.reason not in POOL_REASONS:
                continue
            reason = Reason.ADDRESS_IN_NO_POOL if homeless else release.reason
            known = found.get((address, reason))
            found[address, reason] = Stranded(
                address=address,
                pool=old.pool_of(address),
                services=(*known.services, key) if known is not None else (key,),
                reason=reason,
                detail=release.detail,
            )
    return tuple(sorted(found.values(), key=lambda item: (item.pool, item.address.version, int(item.address))))


class _Ranges:
    """All ranges of all pools, for asking whether an address is in any."""

    def __init__(self, side: Settled) -> None:
        self._ranges = sorted(
            (part.first.version, int(part.first), int(part.last))
            for pool in side.world.pools.values()
            for part in pool.ranges
        )

    def __contains__(self, address: IPAddress) -> bool:
        number = int(address)
        at = bisect_right(self._ranges, (address.version, number, 1 << 128)) - 1
        if at < 0:
            return False
        version, first, last = self._ranges[at]
        return version == address.version and first <= number <= last
