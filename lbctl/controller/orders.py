"""What an operator asks to be written into the ledger: reservations, their end, the end of a quarantine. Pure.

Each takes what the ledger says and returns an `Outcome`: what to commit, and the answer. Asked twice, the second time
changes nothing and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from lbctl.controller.kept import NO_CHANGES, AddressChanges, ClearCause, Cleared, Unreserved
from lbctl.controller.records import LedgerState
from lbctl.model.address import Family, IPAddress, address_key, family_of
from lbctl.model.reservation import Quarantine, Reservation
from lbctl.model.service import ServiceKey
from lbctl.model.snapshot import World
from lbctl.plan.reason import Refusal
from lbctl.plan.reserve import choose_reservation


class Result(StrEnum):
    """What became of an order. The first four are good."""

    RESERVED = "reserved"
    REMOVED = "removed"
    CLEARED = "cleared"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`changes` are to be committed before the rest is said."""

    result: Result
    changes: AddressChanges = NO_CHANGES
    reservation: Reservation | None = None
    before: Reservation | None = None
    quarantine: Quarantine | None = None
    refusals: tuple[Refusal, ...] = ()
    message: str = ""

    @property
    def document(self) -> dict[str, object]:
        """`lbctl.io/order/v1`."""
        return {
            "schema": "lbctl.io/order/v1",
            "result": self.result.value,
            "message": self.message,
            "reservation": None if self.reservation is None else reservation_document(self.reservation),
            "before": None if self.before is None else reservation_document(self.before),
            "quarantine": None if self.quarantine is None else quarantine_document(self.quarantine, ()),
            "refusals": [
                {"subject": item.subject, "reason": item.reason.value, "detail": item.detail} for item in self.refusals
            ],
        }


Decide = Callable[[World, LedgerState, float], Outcome]
"""An order with its arguments: what to do about it, given the World, the ledger and the time."""


def reserve(
    world: World,
    state: LedgerState,
    service: ServiceKey,
    *,
    addresses: tuple[IPAddress, ...] = (),
    pool: str | None = None,
    families: tuple[Family, ...] = (),
    by: str,
    now_unix: float,
) -> Outcome:
    """Keeps addresses for the service: those named, those it holds, or the ones it would be given now.

    What is reserved for it already stays if it is what is asked for; else the new reservation takes its place.
    """
    before = state.remembered.reserved.get(service)
    if before is not None and _is_that(before, addresses, pool, families):
        return _unchanged(before)
    found = choose_reservation(
        replace(world, allocations=state.allocations),
        state.remembered,
        service,
        pool=pool,
        addresses=addresses,
        families=families,
        now_unix=now_unix,
        by=by,
    )
    if not isinstance(found, Reservation):
        return Outcome(
            result=Result.REFUSED, before=before, refusals=found, message=f"nothing was reserved for {service}"
        )
    if before is not None and (before.addresses, before.pools) == (found.addresses, found.pools):
        return _unchanged(before)
    ended = () if before is None else (Unreserved(reservation=before, by=by),)
    instead = "" if before is None else f", instead of {_texts(before)}"
    return Outcome(
        result=Result.RESERVED,
        reservation=found,
        before=before,
        changes=AddressChanges(unreserved=ended, reserved=(found,)),
        message=f"{_texts(found)} reserved for {service}, from {_pools(found)}{instead}",
    )


def _is_that(
    found: Reservation, addresses: tuple[IPAddress, ...], pool: str | None, families: tuple[Family, ...]
) -> bool:
    return (
        (not addresses or set(addresses) == set(found.addresses))
        and pool in (None, *found.pools)
        and (not families or set(families) == {family_of(address) for address in found.addresses})
    )


def _unchanged(found: Reservation) -> Outcome:
    return Outcome(
        result=Result.UNCHANGED,
        reservation=found,
        before=found,
        message=f"{_texts(found)} was reserved for {found.service} already, from {_pools(found)}",
    )


def unreserve(state: LedgerState, service: ServiceKey, *, by: str) -> Outcome:
    """The service's addresses are no longer kept for it. If it holds them, it goes on holding them."""
    found = state.remembered.reserved.get(service)
    if found is None:
        return Outcome(result=Result.UNCHANGED, message=f"nothing is reserved for {service}")
    return Outcome(
        result=Result.REMOVED,
        before=found,
        changes=AddressChanges(unreserved=(Unreserved(reservation=found, by=by),)),
        message=f"{_texts(found)} of {service} no longer reserved",
    )


def clear(state: LedgerState, address: IPAddress, *, by: str) -> Outcome:
    """The address may be announced again; if a probe then finds the other machine again, it is quarantined again."""
    found = state.remembered.quarantined.get(address)
    if found is None:
        return Outcome(result=Result.UNCHANGED, message=f"{address} is not in quarantine")
    return Outcome(
        result=Result.CLEARED,
        quarantine=found,
        changes=AddressChanges(cleared=(Cleared(quarantine=found, cause=ClearCause.OPERATOR, by=by),)),
        message=f"{address} is out of quarantine",
    )


def _pools(reservation: Reservation) -> str:
    return f"pool{'s' if reservation.second_pool else ''} {' and '.join(reservation.pools)}"


def _texts(reservation: Reservation) -> str:
    return " and ".join(map(str, reservation.addresses))


def reservations(state: LedgerState) -> dict[str, Any]:
    """`lbctl.io/reservations/v1`: by namespace and name; `held`: whether the service holds them now."""
    rows = []
    for key, item in sorted(state.remembered.reserved.items()):
        held = state.allocations.get(key)
        rows.append(
            {
                **reservation_document(item),
                "held": held is not None and set(item.addresses) <= set(held.addresses),
                "holders": {
                    str(address): [str(user) for user in state.users.get(address, ())] for address in item.addresses
                },
            }
        )
    return {"schema": "lbctl.io/reservations/v1", "reservations": rows}


def quarantines(state: LedgerState) -> dict[str, Any]:
    """`lbctl.io/quarantines/v1`, by address."""
    found = sorted(state.remembered.quarantined.values(), key=lambda item: address_key(item.address))
    return {
        "schema": "lbctl.io/quarantines/v1",
        "quarantines": [quarantine_document(item, state.users.get(item.address, ())) for item in found],
    }


def reservation_document(item: Reservation) -> dict[str, object]:
    return {
        "namespace": item.service.namespace,
        "name": item.service.name,
        "addresses": [str(address) for address in item.addresses],
        "pool": item.pool,
        "second_pool": item.second_pool or None,
        "since_unix": item.since_unix,
        "by": item.by,
    }


def quarantine_document(item: Quarantine, users: tuple[ServiceKey, ...]) -> dict[str, object]:
    return {
        "address": str(item.address),
        "mac": item.mac,
        "node": item.node,
        "interface": item.interface,
        "since_unix": item.since_unix,
        "services": [str(user) for user in users],
    }
