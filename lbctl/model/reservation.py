"""What is kept of addresses beside allocations: reservations, quarantines, and when an address was freed.

Written by the controller alone, into its ledger; quarantines are published, since speakers have to keep to them.
"""

from __future__ import annotations

from dataclasses import dataclass

from lbctl.model.address import IPAddress
from lbctl.model.service import ServiceKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Addresses that only this service may be given, before it exists and after it is gone, until it is taken back.

    `addresses` holds one, or one of each family, IPv4 first. `second_pool`: the pool of the second address where it is
    not that of the first. `by` says who asked (a user's name, for the history).
    """

    service: ServiceKey
    addresses: tuple[IPAddress, ...]
    pool: str
    since_unix: float
    by: str = ""
    second_pool: str = ""

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools that the addresses come from, each once."""
        return (self.pool, self.second_pool) if self.second_pool else (self.pool,)

    def pool_of(self, address: IPAddress) -> str:
        """The pool that one of the addresses comes from."""
        return self.second_pool if self.second_pool and address != self.addresses[0] else self.pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """An address that some foreign machine answered for when it was about to be used first.

    `mac` is that machine's, as lower-case text with colons; `node` and `interface` say who saw it and where. Nobody
    announces the address until `cleared`, which removes this.
    """

    address: IPAddress
    mac: str
    node: str
    interface: str
    since_unix: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Freed:
    """When an address was given back, and by whom: it cools for a while, and the least recently used one is known."""

    address: IPAddress
    at_unix: float
    service: ServiceKey
