"""core/v1 Service, with the annotations by which it asks for addresses (MetalLB section 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from lbctl.config import extension
from lbctl.config.block import Value
from lbctl.config.kind import Kind, Object, kind
from lbctl.config.metadata import OLD_PREFIX, OWN_PREFIX, PREFIX, Metadata
from lbctl.config.schema import Fields, JsonSchema, Many, Problem, Record, Refer, TextMap, Walk, Wrong, kind_of
from lbctl.config.spelling import did_you_mean
from lbctl.config.value_types import Address, AnyValue, Boolean, Cidr, Integer, OrNothing, Text, parse_address
from lbctl.model.address import Family, IPAddress
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

_REQUESTED = "loadBalancerIPs"


class TargetPort:
    """A port's number or its name."""

    def read(self, value: Value, walk: Walk) -> int | str:
        match value:
            case int() if not isinstance(value, bool):
                if not 1 <= value <= 65535:
                    raise Wrong("LB0108", f"{value} is out of range", "it must be from 1 to 65535")
                return value
            case str() if value.isdecimal():
                raise Wrong("LB0107", f'"{value}" in quotes is the name of a port', "write the number without quotes")
            case str() if value:
                return value
        raise Wrong("LB0107", f"a port's number or name is wanted here, not {kind_of(value)}")

    def schema(self, refer: Refer) -> JsonSchema:
        number = {"type": "integer", "minimum": 1, "maximum": 65535}
        return {"anyOf": [number, {"type": "string", "pattern": "[^0-9]"}]}


@lru_cache(maxsize=1024)
def _port(name: str, protocol: Transport, port: int, target: int | str | None, node_port: int | None) -> Port:
    return Port(name=name, protocol=protocol, port=port, target_port=target, node_port=node_port)


_PORT = Record(
    "a port of a Service",
    {
        "name": Text(),
        "protocol": Text(Transport),
        "port": Integer(1, 65535),
        "targetPort": TargetPort(),
        "nodePort": Integer(0, 65535),
        "appProtocol": AnyValue(),
    },
    required=("port",),
    build=lambda fields: _port(
        fields.get("name", ""),
        fields.get("protocol", Transport.TCP),
        fields["port"],
        fields.get("targetPort"),
        fields.get("nodePort") or None,
    ),
)


def _ports_differ(fields: Fields) -> Iterator[Problem]:
    ports: tuple[tuple[int, Port], ...] = fields.get("ports", ())
    if len(ports) < 2:
        return
    numbers: dict[tuple[int, Transport], int] = {}
    names: dict[str, int] = {}
    for place, port in ports:
        first = numbers.setdefault((port.port, port.protocol), place)
        if first != place:
            what = f"port {port.port}/{port.protocol} is given twice"
            other = (("ports", first, "port"), "first given here")
            yield Problem("LB0501", ("ports", place, "port"), what, other=other)
        if not port.name:
            help = "name each of them, for example name: http"
            yield Problem("LB0502", ("ports", place), "a service with several ports needs a name for each", help)
            continue
        first = names.setdefault(port.name, place)
        if first != place:
            what = f'two ports have the name "{port.name}"'
            other = (("ports", first, "name"), "first given here")
            yield Problem("LB0501", ("ports", place, "name"), what, other=other)


def _load_balancer_has_ports(fields: Fields) -> Iterator[Problem]:
    if fields.get("type") is ServiceType.LOAD_BALANCER and not fields.get("ports", ((0, None),)):
        yield Problem("LB0503", ("ports",), "the service has no ports", "add the port clients will use", at_key=True)


def _load_balancer_names_ports(fields: Fields) -> Iterator[Problem]:
    if fields.get("type") is ServiceType.LOAD_BALANCER and not fields.given("ports"):
        yield Problem("LB0503", (), "the service has no ports", "add ports:, with the port clients will use")


def _load_balancer_has_cluster_ip(fields: Fields) -> Iterator[Problem]:
    if fields.get("type") is not ServiceType.LOAD_BALANCER:
        return
    for name in ("clusterIP", "clusterIPs"):
        if (given := fields.get(name)) and "None" in ((given,) if isinstance(given, str) else given):
            help = f"remove {name}, or the type if nobody outside is to reach the service"
            yield Problem("LB0516", (name,), "a headless service gets no address of a load balancer", help)
            return


_AFFINITY = Record("sessionAffinityConfig", {"clientIP": Record("clientIP", {"timeoutSeconds": Integer(1, 86400)})})

_SPEC = Record(
    "the spec of a Service",
    {
        "type": Text(ServiceType),
        "ports": Many(_PORT, placed=True),
        "selector": TextMap(),
        "clusterIP": Text(),
        "clusterIPs": Many(Text()),
        "ipFamilies": Many(Text(Family)),
        "ipFamilyPolicy": Text(FamilyPolicy),
        "loadBalancerIP": OrNothing(Address()),
        "loadBalancerClass": Text(),
        "loadBalancerSourceRanges": Many(Cidr()),
        "allocateLoadBalancerNodePorts": Boolean(),
        "externalTrafficPolicy": Text(TrafficPolicy),
        "healthCheckNodePort": Integer(0, 65535),
        "sessionAffinity": Text(("None", "ClientIP")),
        "sessionAffinityConfig": _AFFINITY,
        "publishNotReadyAddresses": Boolean(),
        "externalIPs": AnyValue(),
        "externalName": AnyValue(),
        "internalTrafficPolicy": AnyValue(),
        "trafficDistribution": AnyValue(),
        "topologyKeys": AnyValue(),
        "ipFamily": AnyValue(),
    },
    rules=(_ports_differ, _load_balancer_has_ports, _load_balancer_names_ports, _load_balancer_has_cluster_ip),
)


def _annotations_known(fields: Fields) -> Iterator[Problem]:
    metadata: Metadata | None = fields.get("metadata")
    for key, _ in metadata.annotations if metadata else ():
        for prefix in (PREFIX, OLD_PREFIX):
            if not key.startswith(prefix):
                continue
            name = key.removeprefix(prefix)
            path = ("metadata", "annotations", key)
            if name not in extension.METALLB_ANNOTATIONS:
                yield Problem("LB0509", path, f'the annotation "{key}" is not known', _meant(name), at_key=True)
            elif prefix == OLD_PREFIX and PREFIX + name in dict(metadata.annotations if metadata else ()):
                new = ("metadata", "annotations", PREFIX + name)
                message = f"{key} is the old name, and {PREFIX}{name} is given too"
                other = (new, "this one counts")
                yield Problem("LB0508", path, message, "remove the old one", at_key=True, other=other)
            elif prefix == OLD_PREFIX:
                yield Problem("LB0508", path, f"{key} is the old name", f"write {PREFIX}{name}", at_key=True)


_ASKING = (*(f"{prefix}{n}" for prefix in (PREFIX, OLD_PREFIX) for n in extension.METALLB_ANNOTATIONS[:3]),)
"""Not the one that MetalLB writes itself."""


def _asks_as_load_balancer(fields: Fields) -> Iterator[Problem]:
    """Annotations count for services of type LoadBalancer only."""
    metadata: Metadata | None = fields.get("metadata")
    if metadata is None or not metadata.annotations or fields.given("spec") is False:
        return
    spec = fields.get("spec")
    if spec is None or "type" in spec.wrong or spec.get("type") is ServiceType.LOAD_BALANCER:
        return
    asking = [
        key
        for key, text in metadata.annotations
        if text
        and (key in _ASKING or (key.startswith(OWN_PREFIX) and key.removeprefix(OWN_PREFIX) in extension.SERVICE))
    ]
    for key in asking[:1]:
        more = f" (and {', '.join(asking[1:])})" if asking[1:] else ""
        message = (
            f"{key}{more} counts for services of type LoadBalancer only, and this is {spec.get('type', 'ClusterIP')}"
        )
        help = "write type: LoadBalancer, or remove the annotation" + ("s" if more else "")
        path = ("metadata", "annotations", key)
        other = (("spec", "type"), "the type") if "type" in spec else None
        yield Problem("LB0517", path, message, help, at_key=True, other=other)


def _meant(name: str) -> str:
    if name in extension.SERVICE:
        return f"write {OWN_PREFIX}{name}"
    return did_you_mean(name, extension.METALLB_ANNOTATIONS)


def _one_way_to_name_pools(fields: Fields) -> Iterator[Problem]:
    metadata: Metadata | None = fields.get("metadata")
    if metadata is None or not metadata.annotations:
        return
    key = OWN_PREFIX + "address-pools"
    one = metadata.annotation("address-pool")
    if one is not None and one[1] and key in dict(metadata.annotations):
        yield Problem(
            "LB0510",
            ("metadata", "annotations", key),
            f"{key} and {one[0]} both name pools",
            f"keep {key} if each family is to have a pool of its own, else the other",
            at_key=True,
            other=(("metadata", "annotations", one[0]), "a pool is named here"),
        )


def _request_is_clear(fields: Fields) -> Iterator[Problem]:
    metadata: Metadata | None = fields.get("metadata")
    found = metadata.annotation(_REQUESTED) if metadata and metadata.annotations else None
    if found is None or not found[1]:
        return
    key, text = found
    path = ("metadata", "annotations", key)
    spec: Mapping[str, Any] = fields.get("spec") or {}
    if spec.get("loadBalancerIP") is not None:
        yield Problem(
            "LB0504",
            path,
            f"{key} and spec.loadBalancerIP both ask for addresses",
            "keep one of them",
            at_key=True,
            other=(("spec", "loadBalancerIP"), "asked for here"),
        )
    families: dict[int, str] = {}
    at = 0
    for part in text.split(","):
        word = part.strip()
        where = (at + part.find(word), at + part.find(word) + max(len(word), 1))
        at += len(part) + 1
        address = parse_address(word)
        if address is None:
            help = "write 192.0.2.1 or 192.0.2.1,2001:db8::1"
            yield Problem("LB0505", path, f'"{word}" is not an IP address', help, part=where)
        elif address.version in families:
            message = f"{families[address.version]} and {word} are of one family"
            yield Problem("LB0505", path, message, "ask for one address of each family at most", part=where)
        else:
            families[address.version] = word


_NO_REQUEST = LoadBalancerSpec()
_NO_FAMILIES = FamilySpec()
_PLAIN_TRAFFIC = TrafficSpec()


def _load_balancer(metadata: Metadata, spec: Mapping[str, Any]) -> LoadBalancerSpec:
    requested: tuple[IPAddress, ...] = ()
    if (address := spec.get("loadBalancerIP")) is not None:
        requested = (address,)
    elif metadata.annotations and (found := metadata.annotation(_REQUESTED)):
        addresses = (parse_address(part.strip()) for part in found[1].split(","))
        requested = tuple(sorted((a for a in addresses if a is not None), key=lambda a: a.version))
    pool = metadata.annotation("address-pool") if metadata.annotations else None
    sharing = metadata.annotation("allow-shared-ip") if metadata.annotations else None
    own = extension.read_extensions(extension.SERVICE, metadata.annotations) if metadata.annotations else {}
    made = LoadBalancerSpec(
        load_balancer_class=spec.get("loadBalancerClass") or None,
        requested=requested,
        requested_pool=pool[1] or None if pool else None,
        pools_by_family=own.get("address-pools", ()),
        on_conflict=own.get("on-conflict"),
        failback=own.get("failback"),
        sharing_key=sharing[1] or None if sharing else None,
        allocate_node_ports=spec.get("allocateLoadBalancerNodePorts", True),
    )
    return _NO_REQUEST if made == _NO_REQUEST else made


def _families(spec: Mapping[str, Any]) -> FamilySpec:
    cluster_ips: tuple[str, ...] = tuple(filter(None, spec.get("clusterIPs", ())))
    if not cluster_ips and spec.get("clusterIP"):
        cluster_ips = (spec["clusterIP"],)
    made = FamilySpec(
        cluster_ips=cluster_ips, ip_families=spec.get("ipFamilies", ()), policy=spec.get("ipFamilyPolicy")
    )
    return _NO_FAMILIES if made == _NO_FAMILIES else made


def _traffic(spec: Mapping[str, Any]) -> TrafficSpec:
    affinity = spec.get("sessionAffinityConfig", {}).get("clientIP", {})
    made = TrafficSpec(
        external_policy=spec.get("externalTrafficPolicy", TrafficPolicy.CLUSTER),
        client_ip_affinity=spec.get("sessionAffinity") == "ClientIP",
        affinity_time=affinity.get("timeoutSeconds", _PLAIN_TRAFFIC.affinity_time),
        source_ranges=spec.get("loadBalancerSourceRanges", ()),
        publish_not_ready=spec.get("publishNotReadyAddresses", False),
        health_check_node_port=spec.get("healthCheckNodePort") or None,
    )
    return _PLAIN_TRAFFIC if made == _PLAIN_TRAFFIC else made


def _build(fields: Fields) -> Object:
    metadata: Metadata = fields["metadata"]
    spec: Mapping[str, Any] = fields.get("spec", {})
    key = ServiceKey(metadata.namespace or "default", metadata.name)
    service = Service(
        key=key,
        type=spec.get("type", ServiceType.CLUSTER_IP),
        ports=tuple(port for _, port in spec.get("ports", ())),
        load_balancer=_load_balancer(metadata, spec),
        family=_families(spec),
        traffic=_traffic(spec),
        selector=spec.get("selector", ()),
        labels=metadata.labels,
        annotations=metadata.annotations,
        uid=metadata.uid,
        created_unix=metadata.created_unix,
    )
    return Object("services", key, service)


SERVICE: Kind = kind(
    "v1",
    "Service",
    {"spec": _SPEC},
    _build,
    rules=(_annotations_known, _request_is_clear, _one_way_to_name_pools, _asks_as_load_balancer),
    extensions=extension.SERVICE,
)
