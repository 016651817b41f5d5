"""The objects of the published file, member by member: the schema `lbctl.io/published/v1` (docs/published.md).

A struct for each kind, and how it becomes the model's value and back. Members at their default are left out; members
that are not known are passed over, so that a newer controller may say more to an older speaker. Secrets have no member:
a peer's password is published as a reference.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import msgspec

from lbctl.model.address import Family, IPAddress
from lbctl.model.advertisement import Failback
from lbctl.model.endpoint import Endpoint, EndpointPort, EndpointSlice, SliceKey
from lbctl.model.node import Namespace, Node
from lbctl.model.pool import OnConflict
from lbctl.model.selector import Labels, LabelSelector, Operator, Requirement
from lbctl.model.service import (
    FamilyPolicy,
    FamilySpec,
    LoadBalancerSpec,
    Port,
    Service,
    ServiceKey,
    ServiceType,
    TrafficPolicy,
    TrafficSpec,
    Transport,
)
from lbctl.plan.reason import Reason, Refusal

SCHEMA = "lbctl.io/published/v1"
_AFFINITY_TIME = TrafficSpec().affinity_time


class Wire(msgspec.Struct, omit_defaults=True, rename="camel"):
    """What every struct of the file shares."""


def address_of(text: str) -> IPAddress:
    """Raises ValueError."""
    return IPv6Address(text) if ":" in text else IPv4Address(text)


def addresses_of(texts: list[str]) -> tuple[IPAddress, ...]:
    return tuple(map(address_of, texts))


def texts_of(addresses: tuple[IPAddress, ...]) -> list[str]:
    return [str(address) for address in addresses]


def labels_of(labels: dict[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


class RequirementWire(Wire):
    key: str
    operator: Operator
    values: list[str] = []


class SelectorWire(Wire):
    match_labels: dict[str, str] = {}
    match_expressions: list[RequirementWire] = []


def selectors_of(wires: list[SelectorWire]) -> tuple[LabelSelector, ...]:
    return tuple(
        LabelSelector(
            match_labels=labels_of(wire.match_labels),
            expressions=tuple(
                Requirement(key=item.key, operator=item.operator, values=tuple(item.values))
                for item in wire.match_expressions
            ),
        )
        for wire in wires
    )


def selector_wires(selectors: tuple[LabelSelector, ...]) -> list[SelectorWire]:
    return [
        SelectorWire(
            match_labels=dict(selector.match_labels),
            match_expressions=[
                RequirementWire(key=item.key, operator=item.operator, values=list(item.values))
                for item in selector.expressions
            ],
        )
        for selector in selectors
    ]


class PortWire(Wire):
    port: int
    name: str = ""
    protocol: Transport = Transport.TCP
    target_port: int | str | None = None
    node_port: int | None = None


class ServiceWire(Wire):
    namespace: str
    name: str
    type: ServiceType = ServiceType.CLUSTER_IP
    ports: list[PortWire] = []
    load_balancer_class: str | None = None
    requested: list[str] = []
    requested_pool: str | None = None
    pools_by_family: list[str] = []
    on_conflict: OnConflict | None = None
    failback: Failback | None = None
    sharing_key: str | None = None
    allocate_node_ports: bool = True
    cluster_ips: list[str] = []
    ip_families: list[Family] = []
    family_policy: FamilyPolicy | None = None
    external_traffic_policy: TrafficPolicy = TrafficPolicy.CLUSTER
    client_ip_affinity: bool = False
    affinity_time: int | None = None
    source_ranges: list[str] = []
    publish_not_ready: bool = False
    health_check_node_port: int | None = None
    selector: dict[str, str] = {}
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    uid: str = ""
    created_unix: float | None = None


def service_wire(service: Service) -> ServiceWire:
    asked, family, traffic = service.load_balancer, service.family, service.traffic
    return ServiceWire(
        namespace=service.key.namespace,
        name=service.key.name,
        type=service.type,
        ports=[
            PortWire(
                port=port.port,
                name=port.name,
                protocol=port.protocol,
                target_port=port.target_port,
                node_port=port.node_port,
            )
            for port in service.ports
        ],
        load_balancer_class=asked.load_balancer_class,
        requested=texts_of(asked.requested),
        requested_pool=asked.requested_pool,
        pools_by_family=list(asked.pools_by_family),
        on_conflict=asked.on_conflict,
        failback=asked.failback,
        sharing_key=asked.sharing_key,
        allocate_node_ports=asked.allocate_node_ports,
        cluster_ips=list(family.cluster_ips),
        ip_families=list(family.ip_families),
        family_policy=family.policy,
        external_traffic_policy=traffic.external_policy,
        client_ip_affinity=traffic.client_ip_affinity,
        affinity_time=None if traffic.affinity_time == _AFFINITY_TIME else traffic.affinity_time,
        source_ranges=[str(network) for network in traffic.source_ranges],
        publish_not_ready=traffic.publish_not_ready,
        health_check_node_port=traffic.health_check_node_port,
        selector=dict(service.selector),
        labels=dict(service.labels),
        annotations=dict(service.annotations),
        uid=service.uid,
        created_unix=service.created_unix,
    )


def service_of(wire: ServiceWire) -> Service:
    return Service(
        key=ServiceKey(wire.namespace, wire.name),
        type=wire.type,
        ports=tuple(
            Port(
                name=port.name,
                protocol=port.protocol,
                port=port.port,
                target_port=port.target_port,
                node_port=port.node_port,
            )
            for port in wire.ports
        ),
        load_balancer=LoadBalancerSpec(
            load_balancer_class=wire.load_balancer_class,
            requested=addresses_of(wire.requested),
            requested_pool=wire.requested_pool,
            pools_by_family=tuple(wire.pools_by_family),
            on_conflict=wire.on_conflict,
            failback=wire.failback,
            sharing_key=wire.sharing_key,
            allocate_node_ports=wire.allocate_node_ports,
        ),
        family=FamilySpec(
            cluster_ips=tuple(wire.cluster_ips), ip_families=tuple(wire.ip_families), policy=wire.family_policy
        ),
        traffic=TrafficSpec(
            external_policy=wire.external_traffic_policy,
            client_ip_affinity=wire.client_ip_affinity,
            affinity_time=_AFFINITY_TIME if wire.affinity_time is None else wire.affinity_time,
            source_ranges=tuple(map(_network_of, wire.source_ranges)),
            publish_not_ready=wire.publish_not_ready,
            health_check_node_port=wire.health_check_node_port,
        ),
        selector=labels_of(wire.selector),
        labels=labels_of(wire.labels),
        annotations=labels_of(wire.annotations),
        uid=wire.uid,
        created_unix=wire.created_unix,
    )


def _network_of(text: str) -> IPv4Network | IPv6Network:
    return IPv6Network(text) if ":" in text else IPv4Network(text)


class EndpointPortWire(Wire):
    port: int
    name: str = ""
    protocol: Transport = Transport.TCP


class EndpointWire(Wire):
    addresses: list[str]
    node: str | None = None
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class SliceWire(Wire):
    namespace: str
    name: str
    family: Family
    service: str | None = None
    ports: list[EndpointPortWire] = []
    endpoints: list[EndpointWire] = []


def slice_wire(item: EndpointSlice) -> SliceWire:
    return SliceWire(
        namespace=item.key.namespace,
        name=item.key.name,
        family=item.family,
        service=item.service.name if item.service else None,
        ports=[EndpointPortWire(port=port.port, name=port.name, protocol=port.protocol) for port in item.ports],
        endpoints=[
            EndpointWire(
                addresses=texts_of(endpoint.addresses),
                node=endpoint.node,
                ready=endpoint.ready,
                serving=endpoint.serving,
                terminating=endpoint.terminating,
            )
            for endpoint in item.endpoints
        ],
    )


def slice_of(wire: SliceWire) -> EndpointSlice:
    return EndpointSlice(
        key=SliceKey(wire.namespace, wire.name),
        # A slice belongs to a service of its own namespace; the label names it without one.
        service=ServiceKey(wire.namespace, wire.service) if wire.service is not None else None,
        family=wire.family,
        ports=tuple(EndpointPort(name=port.name, protocol=port.protocol, port=port.port) for port in wire.ports),
        endpoints=tuple(
            Endpoint(
                addresses=addresses_of(endpoint.addresses),
                node=endpoint.node,
                ready=endpoint.ready,
                serving=endpoint.serving,
                terminating=endpoint.terminating,
            )
            for endpoint in wire.endpoints
        ),
    )


class NodeWire(Wire):
    name: str
    labels: dict[str, str] = {}
    addresses: list[str] = []
    network_unavailable: bool = False
    registered: bool = False


def node_wire(node: Node) -> NodeWire:
    return NodeWire(
        name=node.name,
        labels=dict(node.labels),
        addresses=texts_of(node.addresses),
        network_unavailable=node.network_unavailable,
        registered=node.registered,
    )


def node_of(wire: NodeWire) -> Node:
    return Node(
        name=wire.name,
        labels=labels_of(wire.labels),
        addresses=addresses_of(wire.addresses),
        network_unavailable=wire.network_unavailable,
        registered=wire.registered,
    )


class NamespaceWire(Wire):
    name: str
    labels: dict[str, str] = {}


def namespace_wire(namespace: Namespace) -> NamespaceWire:
    return NamespaceWire(name=namespace.name, labels=dict(namespace.labels))


def namespace_of(wire: NamespaceWire) -> Namespace:
    return Namespace(name=wire.name, labels=labels_of(wire.labels))


class RefusalWire(Wire):
    subject: str
    reason: str
    detail: str = ""


class PendingWire(Wire):
    """Why a service has no address, or not all it would like: every pool that was tried."""

    namespace: str
    name: str
    refusals: list[RefusalWire]


Pending = tuple[ServiceKey, tuple[Refusal, ...]]


def pending_wire(pending: Pending) -> PendingWire:
    (namespace, name), refusals = pending
    return PendingWire(
        namespace=namespace,
        name=name,
        refusals=[RefusalWire(subject=item.subject, reason=item.reason, detail=item.detail) for item in refusals],
    )


def pending_of(wire: PendingWire) -> Pending:
    known = Reason.__members__.values()
    return ServiceKey(wire.namespace, wire.name), tuple(
        # A reason that only a newer controller has is passed on in words.
        Refusal(item.subject, Reason(item.reason), item.detail)
        if item.reason in known
        else Refusal(item.subject, Reason.OTHER, item.reason)
        for item in wire.refusals
    )
