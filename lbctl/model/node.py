"""Nodes and namespaces (core/v1)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from lbctl.model.address import IPAddress
from lbctl.model.selector import Labels

EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
"""A node that carries this label, with any value, announces nothing."""
HOSTNAME_LABEL = "kubernetes.io/hostname"
"""The label that Kubernetes gives every node; here its value is the node's name where nobody gave another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine that may run a speaker. Outside Kubernetes a speaker registers itself (`registered`).

    Every node has the label kubernetes.io/hostname, so that selectors on it work without Kubernetes too. `networks`
    are the segments it stands in, `gateways` the routers there, `pod_cidrs` what its pods get their addresses from;
    all three as far as they are known, for checks alone.
    """

    name: str
    labels: Labels = ()
    addresses: tuple[IPAddress, ...] = ()
    network_unavailable: bool = False
    registered: bool = False
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    gateways: tuple[IPAddress, ...] = ()
    pod_cidrs: tuple[IPv4Network | IPv6Network, ...] = ()

    def __post_init__(self) -> None:
        if not any(key == HOSTNAME_LABEL for key, _ in self.labels):
            labels = tuple(sorted((*self.labels, (HOSTNAME_LABEL, self.name))))
            object.__setattr__(self, "labels", labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    name: str
    labels: Labels = ()
