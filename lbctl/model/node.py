"""Nodes and namespaces (core/v1)."""

from __future__ import annotations

from dataclasses import dataclass

from lbctl.model.address import IPAddress
from lbctl.model.selector import Labels

EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
"""A node that carries this label, with any value, announces nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine that may run a speaker. Outside Kubernetes a speaker registers itself (`registered`)."""

    name: str
    labels: Labels = ()
    addresses: tuple[IPAddress, ...] = ()
    network_unavailable: bool = False
    registered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    name: str
    labels: Labels = ()
