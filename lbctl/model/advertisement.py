"""Advertisements: the operator's rules for what is announced where (metallb.io)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lbctl.model.selector import Labels, LabelSelector


class Failback(StrEnum):
    """When a group leaves an owner that is well for a node that is wanted more (lbctl.io/failback).

    Never; for one of strictly greater preference; or always, for whichever comes first by preference and hash.
    """

    NEVER = "never"
    PREFERRED = "preferred"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferredNodes:
    """One `preferredNodeSelectors` term; the weights of all matching terms add up."""

    weight: int
    preference: LabelSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class L2Advertisement:
    """Announce by ARP/NDP. Empty pools and selectors mean all pools; empty node selectors all nodes.

    `require_subnet`: only from nodes with an address in the subnet of the VIP. `announce_rate`: at most so many
    addresses a second are announced by one node, None for as fast as it can.
    """

    name: str
    pools: tuple[str, ...] = ()
    pool_selectors: tuple[LabelSelector, ...] = ()
    node_selectors: tuple[LabelSelector, ...] = ()
    interfaces: tuple[str, ...] = ()
    service_selectors: tuple[LabelSelector, ...] = ()
    preferred_nodes: tuple[PreferredNodes, ...] = ()
    failback: Failback | None = None
    require_subnet: bool = False
    announce_rate: float | None = None
    annotations: Labels = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BGPAdvertisement:
    """Announce by BGP: which prefixes, with which attributes, to which peers."""

    name: str
    pools: tuple[str, ...] = ()
    pool_selectors: tuple[LabelSelector, ...] = ()
    node_selectors: tuple[LabelSelector, ...] = ()
    service_selectors: tuple[LabelSelector, ...] = ()
    peers: tuple[str, ...] = ()
    communities: tuple[str, ...] = ()
    local_pref: int = 0
    aggregation_length: int = 32
    aggregation_length_v6: int = 128
    annotations: Labels = ()
