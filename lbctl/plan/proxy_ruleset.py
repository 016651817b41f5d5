"""What a node forwards, as a value: the ports of every VIP, in the words of the model.

`plan.proxy` finds it in a World; `plan.proxy_rules` turns it into the words of nftables and tells two of them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType
from typing import NamedTuple

from lbctl.model.address import Family, IPAddress, family_of
from lbctl.model.service import ServiceKey, Transport

Network = IPv4Network | IPv6Network


class Frontend(NamedTuple):
    """What a client connects to."""

    address: IPAddress
    transport: Transport
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}/{self.transport}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """Where a connection ends. `local`: behind this node (or on it), so that its answers come back through us."""

    address: IPAddress
    port: int
    local: bool = False


class Reach(StrEnum):
    """Who is served: everyone, or only clients on this node (traffic policy Local without an endpoint here)."""

    EVERYONE = "everyone"
    OWN = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualPort:
    """One port of one VIP. Without backends it is refused like a closed port.

    `serving` are the backends that may keep the flows they have: the backends, and those that terminate but serve.
    `source_ranges` is None where anybody may connect; an empty tuple lets nobody in.
    """

    frontend: Frontend
    service: ServiceKey
    backends: tuple[Backend, ...] = ()
    serving: tuple[Backend, ...] = ()
    reach: Reach = Reach.EVERYONE
    affinity_time: int | None = None
    source_ranges: tuple[Network, ...] | None = None


class Unserved(StrEnum):
    """Why a port or an endpoint is left out."""

    SCTP = "sctp_not_supported"
    PORT_TAKEN = "port_taken_by_other_service"
    ENDPOINT_ADDRESS = "endpoint_address_unusable"
    ENDPOINT_PORT = "endpoint_port_out_of_range"


class Note(NamedTuple):
    """One thing of a service that the proxy leaves out, and why. `subject` is a port or an endpoint."""

    service: ServiceKey
    subject: str
    reason: Unserved

    def __str__(self) -> str:
        return f"{self.service} {self.subject}: {self.reason.value}"


NO_PORTS: Mapping[Frontend, VirtualPort] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """All that this node forwards. Unchanged ports keep their identity from one Ruleset to the next.

    `vips` are all allocated addresses, also those no port of which is served: what is sent to them is refused, not
    routed back into the network. `local` are the addresses of endpoints of this node. `onlink` is filled in by the
    shell, which knows the interfaces: (name, subnet) pairs where hosts talk to each other without passing this node.
    """

    ports: Mapping[Frontend, VirtualPort] = field(default_factory=lambda: NO_PORTS)
    vips: frozenset[IPAddress] = frozenset()
    local: frozenset[IPAddress] = frozenset()
    onlink: frozenset[tuple[str, Network]] = frozenset()
    notes: tuple[Note, ...] = ()

    def families(self) -> frozenset[Family]:
        """The families in which something is forwarded."""
        found: set[Family] = set()
        for frontend, port in self.ports.items():
            if port.backends:
                found.add(family_of(frontend.address))
                if len(found) == len(Family):
                    break
        return frozenset(found)
