"""Allocations: which service holds which addresses. Written by the controller alone."""

from __future__ import annotations

from dataclasses import dataclass

from lbctl.model.address import IPAddress
from lbctl.model.service import ServiceKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """A service's addresses, IPv4 first where it has both.

    `id` grows by one with every grant the ledger ever made, so that of two who say they hold an address the newer
    grant is known without a clock. `second_pool`: the pool of the second address where it is not that of the first.
    """

    service: ServiceKey
    addresses: tuple[IPAddress, ...]
    pool: str
    id: int
    since_unix: float
    second_pool: str = ""

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools that the addresses come from, each once."""
        return (self.pool, self.second_pool) if self.second_pool else (self.pool,)

    def pool_of(self, address: IPAddress) -> str:
        """The pool that one of the addresses comes from."""
        return self.second_pool if self.second_pool and address != self.addresses[0] else self.pool
