"""What a batch changes of addresses beside allocations: reservations, quarantines, and when one was freed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from lbctl.model.address import IPAddress
from lbctl.model.reservation import Freed, Quarantine, Reservation
from lbctl.model.service import ServiceKey
from lbctl.plan.allocation import Release

FREED_KEPT = 65536
"""So many freed addresses are remembered, the newest: enough for every cooling time, and to tell what was used least
recently in a pool of a /16. One that is forgotten counts as never used, which is what comes before the oldest."""


class ClearCause(StrEnum):
    """Why a quarantine ended."""

    CLEAN = "clean"
    """A speaker probed again, and no machine answered."""
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreserved:
    """The reservation ends. `by`: who took it back, a user's name."""

    reservation: Reservation
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """The quarantine ends. `by`: the node that found nobody, or the user who said so."""

    quarantine: Quarantine
    cause: ClearCause
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressChanges:
    """Ends count before beginnings: a reservation is changed by taking it back and making it again."""

    unreserved: tuple[Unreserved, ...] = ()
    reserved: tuple[Reservation, ...] = ()
    cleared: tuple[Cleared, ...] = ()
    quarantined: tuple[Quarantine, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.unreserved or self.reserved or self.cleared or self.quarantined)


NO_CHANGES = AddressChanges()


def freed_after(
    before: Mapping[IPAddress, Freed],
    releases: Iterable[Release],
    granted: Iterable[IPAddress],
    users: Mapping[IPAddress, tuple[ServiceKey, ...]],
    at_unix: float,
) -> tuple[dict[IPAddress, Freed], list[IPAddress]]:
    """(freed, no longer remembered as free): what the releases and the grants change. `users` are those afterwards.

    `before` has to be in the order in which the addresses were freed, as these changes leave it.
    """
    freed: dict[IPAddress, Freed] = {}
    # In the order of the grants, which is the one that the ledger keeps.
    for allocation in sorted((release.allocation for release in releases), key=lambda item: item.id):
        for address in allocation.addresses:
            if address not in users:
                freed.pop(address, None)
                freed[address] = Freed(address=address, at_unix=at_unix, service=allocation.service)
    used_again = [address for address in granted if address in before]
    too_many = len(before) - len(used_again) + len(freed) - FREED_KEPT
    if too_many <= 0:
        return freed, used_again
    leaving = set(used_again)
    oldest = list(islice((address for address in before if address not in leaving), too_many))
    for address in list(freed)[: too_many - len(oldest)]:
        del freed[address]
    return freed, used_again + oldest
