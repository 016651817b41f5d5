"""Services, as far as a load balancer looks at them (core/v1 Service)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from lbctl.model.address import Family, IPAddress
from lbctl.model.advertisement import Failback
from lbctl.model.pool import OnConflict
from lbctl.model.selector import Labels


class ServiceKey(NamedTuple):
    """Namespace and name: how a service is named everywhere."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ServiceType(StrEnum):
    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"
    EXTERNAL_NAME = "ExternalName"


class Transport(StrEnum):
    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class TrafficPolicy(StrEnum):
    CLUSTER = "Cluster"
    LOCAL = "Local"


class FamilyPolicy(StrEnum):
    SINGLE = "SingleStack"
    PREFER = "PreferDualStack"
    REQUIRE = "RequireDualStack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One service port. `target_port` is a number, a port's name, or None for the same number as `port`."""

    name: str = ""
    protocol: Transport = Transport.TCP
    port: int
    target_port: int | str | None = None
    node_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancerSpec:
    """What a service asks of the load balancer, from its spec and its annotations (MetalLB section 2.1).

    `pools_by_family` (annotation lbctl.io/address-pools): the pools its families may come from, in order, each from
    another if need be; MetalLB's `requested_pool` takes one pool for both. `on_conflict` (lbctl.io/on-conflict)
    overrides the pool's, `failback` (lbctl.io/failback) the advertisement's.
    """

    load_balancer_class: str | None = None
    requested: tuple[IPAddress, ...] = ()
    requested_pool: str | None = None
    pools_by_family: tuple[str, ...] = ()
    on_conflict: OnConflict | None = None
    failback: Failback | None = None
    sharing_key: str | None = None
    allocate_node_ports: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilySpec:
    """Which families a service has: from clusterIPs where present, else ipFamilies, else IPv4."""

    cluster_ips: tuple[str, ...] = ()
    ip_families: tuple[Family, ...] = ()
    policy: FamilyPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSpec:
    """How traffic to a service is to be treated by whoever forwards it."""

    external_policy: TrafficPolicy = TrafficPolicy.CLUSTER
    client_ip_affinity: bool = False
    affinity_time: int = 10800
    """Seconds a client sticks to its endpoint (`sessionAffinityConfig.clientIP.timeoutSeconds`)."""
    source_ranges: tuple[IPv4Network | IPv6Network, ...] = ()
    publish_not_ready: bool = False
    health_check_node_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A core/v1 Service. `created_unix` is its creationTimestamp in seconds since 1970, None where it has none."""

    key: ServiceKey
    type: ServiceType = ServiceType.CLUSTER_IP
    ports: tuple[Port, ...] = ()
    load_balancer: LoadBalancerSpec = field(default_factory=LoadBalancerSpec)
    family: FamilySpec = field(default_factory=FamilySpec)
    traffic: TrafficSpec = field(default_factory=TrafficSpec)
    selector: Labels = ()
    labels: Labels = ()
    annotations: Labels = ()
    uid: str = ""
    created_unix: float | None = None
