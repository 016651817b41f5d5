"""Advertisements: the operator's rules for what is announced where (metallb.io)."""

from __future__ import annotations

from dataclasses import dataclass

from lbctl.model.selector import Labels, LabelSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferredNodes:
    """One `preferredNodeSelectors` term; the weights of all matching terms add up."""

    weight: int
    preference: LabelSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class L2Advertisement:
    """Announce by ARP/NDP. Empty pools and selectors mean all pools; empty node selectors all nodes."""

    name: str
    pools: tuple[str, ...] = ()
    pool_selectors: tuple[LabelSelector, ...] = ()
    node_selectors: tuple[LabelSelector, ...] = ()
    interfaces: tuple[str, ...] = ()
    service_selectors: tuple[LabelSelector, ...] = ()
    preferred_nodes: tuple[PreferredNodes, ...] = ()
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
