"""What the ledger remembers of services, and what a plan wants to change in it: the values of `allocate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lbctl.model.address import IPAddress
from lbctl.model.allocation import Allocation
from lbctl.model.reservation import Freed, Quarantine, Reservation
from lbctl.model.service import ServiceKey
from lbctl.plan.reason import GrantCause, Reason, Refusal

_EMPTY: Mapping[ServiceKey, tuple[Refusal, ...]] = MappingProxyType({})


def _nobody() -> Mapping[ServiceKey, tuple[Refusal, ...]]:
    return _EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What the ledger knows beside the allocations.

    `terms`: on which terms each holder was let in (`Terms.text`), so that of two who stopped agreeing on a shared
    address the one who changed goes. `first_seen`: seconds since 1970, for services without creationTimestamp.
    `reserved`, `quarantined` and `freed` are kept of addresses that may have no holder at all. `freed`: when an address
    lost its last user; what it has of one in use counts once that one is gone without a word.
    """

    terms: Mapping[ServiceKey, str] = field(default_factory=dict)
    first_seen: Mapping[ServiceKey, float] = field(default_factory=dict)
    reserved: Mapping[ServiceKey, Reservation] = field(default_factory=dict)
    quarantined: Mapping[IPAddress, Quarantine] = field(default_factory=dict)
    freed: Mapping[IPAddress, Freed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """Services and pools that the ledger knows and that nobody has read since the start, while something is unreadable.

    They keep what they have: that they are not in the world does not mean that they do not exist.
    """

    services: frozenset[ServiceKey] = frozenset()
    pools: frozenset[str] = frozenset()


ALL_READ = Unread()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """These addresses, IPv4 first, are the service's from now on; what it held before is released in the same plan.

    `second_pool`: the pool of the second address where it is not that of the first.
    """

    service: ServiceKey
    addresses: tuple[IPAddress, ...]
    pool: str
    cause: GrantCause
    terms: str
    second_pool: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The allocation ends. SUPERSEDED: a grant in the same plan goes on with some of its addresses."""

    allocation: Allocation
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """The allocation stands, and its pools (renamed, split) or its terms are these now."""

    allocation: Allocation
    pool: str
    terms: str
    second_pool: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationPlan:
    """What to write into the ledger, releases first; and who waits and why.

    `pending` names each thing tried. It has the services without address, those that hold one family and would like
    two, and those that would leave an address in quarantine and find no other. At `next_at_unix` another plan may be
    different though nothing else changed; None: time alone changes nothing.
    """

    grants: tuple[Grant, ...] = ()
    releases: tuple[Release, ...] = ()
    amendments: tuple[Amendment, ...] = ()
    pending: Mapping[ServiceKey, tuple[Refusal, ...]] = field(default_factory=_nobody)
    next_at_unix: float | None = None

    @property
    def settled(self) -> bool:
        """Whether the ledger is already as it should be."""
        return not (self.grants or self.releases or self.amendments)
