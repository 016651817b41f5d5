"""Pools: named ranges that VIPs come from (metallb.io IPAddressPool)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from lbctl.model.address import AddressRange
from lbctl.model.selector import Labels, LabelSelector

COOLING_TIME = 60.0
"""Seconds for which an address that was freed is the last choice of its pool, unless the pool says otherwise."""


class Choice(StrEnum):
    """Which of the usable addresses of a pool is given: the lowest, or the one unused for the longest time."""

    LOWEST = "lowest"
    LEAST_RECENTLY_USED = "least-recently-used"


class OnConflict(StrEnum):
    """What becomes of a service whose address some other machine answers for at its first use."""

    QUARANTINE = "quarantine"
    """It keeps the address, which is not announced until nobody else answers."""
    REALLOCATE = "reallocate"
    """It is given another address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAllocation:
    """Who may use a pool and how early it is tried (MetalLB rules P8-P10). Priority 0 comes last."""

    priority: int = 0
    namespaces: tuple[str, ...] = ()
    namespace_selectors: tuple[LabelSelector, ...] = ()
    service_selectors: tuple[LabelSelector, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """What MetalLB's schema has no field for: annotations of a pool under `lbctl.io/`.

    `excluded` (lbctl.io/exclude): addresses of the pool that are given to nobody. `cooling_time`
    (lbctl.io/cooling-time): seconds. `choice` (lbctl.io/choice). `protected` (lbctl.io/protect): the pool may not be
    taken away from addresses in use. `on_conflict` (lbctl.io/on-conflict). `probe` (lbctl.io/probe): whether an address
    is probed at its first use.
    """

    excluded: tuple[AddressRange, ...] = ()
    cooling_time: float = COOLING_TIME
    choice: Choice = Choice.LOWEST
    protected: bool = False
    on_conflict: OnConflict = OnConflict.QUARANTINE
    probe: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Ranges in the order they are written, which is the order they are used in."""

    name: str
    ranges: tuple[AddressRange, ...]
    auto_assign: bool = True
    avoid_buggy_ips: bool = False
    service_allocation: ServiceAllocation | None = None
    options: PoolOptions = field(default_factory=PoolOptions)
    labels: Labels = ()
    annotations: Labels = ()
