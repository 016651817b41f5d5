"""Pools: named ranges that VIPs come from (metallb.io IPAddressPool)."""

from __future__ import annotations

from dataclasses import dataclass

from lbctl.model.address import AddressRange
from lbctl.model.selector import Labels, LabelSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAllocation:
    """Who may use a pool and how early it is tried (MetalLB rules P8-P10). Priority 0 comes last."""

    priority: int = 0
    namespaces: tuple[str, ...] = ()
    namespace_selectors: tuple[LabelSelector, ...] = ()
    service_selectors: tuple[LabelSelector, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Ranges in the order they are written, which is the order they are used in."""

    name: str
    ranges: tuple[AddressRange, ...]
    auto_assign: bool = True
    avoid_buggy_ips: bool = False
    service_allocation: ServiceAllocation | None = None
    labels: Labels = ()
    annotations: Labels = ()
