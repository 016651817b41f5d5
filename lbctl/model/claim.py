"""Claims: a speaker says that it is the one who announces an address."""

from __future__ import annotations

from dataclasses import dataclass

from lbctl.model.address import IPAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One address, one node's word. Of two, the one with (quorate, allocation_id, epoch, rendezvous) greater is better.

    `since_unix` is when this node became owner; `cause` why (a `plan.reason.Cause`); `heirs` who takes it when this
    node dies, in order. `generation` is the World this was decided on.
    """

    address: IPAddress
    node: str
    incarnation: int
    epoch: int
    quorate: bool
    since_unix: float
    cause: str
    allocation_id: int = 0
    generation: int = 0
    heirs: tuple[str, ...] = ()
