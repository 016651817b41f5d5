"""discovery.k8s.io/v1 EndpointSlice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from lbctl.config.block import Value
from lbctl.config.kind import Kind, Object, kind
from lbctl.config.metadata import Metadata
from lbctl.config.schema import Fields, Many, Problem, Record, Spoiled, Walk
from lbctl.config.value_types import AnyValue, Boolean, Integer, Text, parse_address
from lbctl.model.address import Family, IPAddress
from lbctl.model.endpoint import Endpoint, EndpointPort, EndpointSlice, SliceKey
from lbctl.model.service import ServiceKey, Transport

SERVICE_LABEL = "kubernetes.io/service-name"


class EndpointAddress(Text):
    """An address, or the text itself where it is none: a host name, if the addressType says so."""

    def read(self, value: Value, walk: Walk) -> IPAddress | str:  # type: ignore[override]
        text = super().read(value, walk)
        return parse_address(text) or text


_CONDITIONS = Record("conditions", {"ready": Boolean(), "serving": Boolean(), "terminating": Boolean()})

_ENDPOINT = Record(
    "an endpoint",
    {
        "addresses": Many(EndpointAddress(), none=("LB0110", "the endpoint has no address", "add one")),
        "conditions": _CONDITIONS,
        "nodeName": Text(),
        "hostname": AnyValue(),
        "targetRef": AnyValue(),
        "zone": AnyValue(),
        "hints": AnyValue(),
        "deprecatedTopology": AnyValue(),
    },
    required=("addresses",),
)


@lru_cache(maxsize=1024)
def _port(name: str, protocol: Transport, port: int) -> EndpointPort:
    return EndpointPort(name=name, protocol=protocol, port=port)


def _build_port(fields: Fields) -> EndpointPort:
    """With the number 0 where there is none, which `_ports_have_numbers` speaks of."""
    if fields.wrong:
        raise Spoiled
    return _port(fields.get("name", ""), fields.get("protocol", Transport.TCP), fields.get("port", 0))


_PORT = Record(
    "a port of an EndpointSlice",
    {
        "name": Text(),
        "protocol": Text(Transport),
        "port": Integer(1, 65535),
        "appProtocol": AnyValue(),
    },
    build=_build_port,
)


def _addresses_of_one_family(fields: Fields) -> Iterator[Problem]:
    family = fields.get("addressType")
    if family not in ("IPv4", "IPv6"):
        return
    version = 4 if family == "IPv4" else 6
    for place, endpoint in fields.get("endpoints", ()):
        for index, address in enumerate(endpoint.get("addresses", ())):
            path = ("endpoints", place, "addresses", index)
            if isinstance(address, str):
                yield Problem("LB0116", path, f'"{address}" is not an IP address')
            elif address.version != version:
                yield Problem(
                    "LB0601",
                    path,
                    f"{address} is not of the slice's family",
                    "write one EndpointSlice for each family",
                    other=(("addressType",), f"{family} is announced here"),
                )


def _has_addresses(fields: Fields) -> Iterator[Problem]:
    if fields.get("addressType") == "FQDN":
        yield Problem("LB0602", ("addressType",), "endpoints by host name are passed over", "list their addresses")


def _belongs_to_a_service(fields: Fields) -> Iterator[Problem]:
    metadata: Metadata | None = fields.get("metadata")
    if metadata is not None and not any(key == SERVICE_LABEL for key, _ in metadata.labels):
        yield Problem(
            "LB0603", ("metadata",), "these endpoints belong to no service", f"add the label {SERVICE_LABEL}: NAME"
        )


def _ports_have_numbers(fields: Fields) -> Iterator[Problem]:
    for place, port in fields.get("ports", ()):
        if not port.port:
            yield Problem("LB0604", ("ports", place), "a port without number is passed over", "add port:")


@lru_cache(maxsize=1024)
def _ports(ports: tuple[tuple[int, EndpointPort], ...]) -> tuple[EndpointPort, ...]:
    return tuple(port for _, port in ports if port.port)


def _endpoint(fields: Fields) -> Endpoint:
    conditions: Mapping[str, bool] = fields.get("conditions", {})
    return Endpoint(
        addresses=fields["addresses"],
        node=fields.get("nodeName") or None,
        ready=conditions.get("ready"),
        serving=conditions.get("serving"),
        terminating=conditions.get("terminating"),
    )


def _build(fields: Fields) -> Object | None:
    if fields["addressType"] == "FQDN":
        return None
    metadata: Metadata = fields["metadata"]
    namespace = metadata.namespace or "default"
    service = next((value for key, value in metadata.labels if key == SERVICE_LABEL), None)
    key = SliceKey(namespace, metadata.name)
    made = EndpointSlice(
        key=key,
        service=ServiceKey(namespace, service) if service else None,
        family=Family(fields["addressType"]),
        ports=_ports(fields.get("ports", ())),
        endpoints=tuple(_endpoint(endpoint) for _, endpoint in fields.get("endpoints", ())),
    )
    return Object("slices", key, made)


ENDPOINT_SLICE: Kind = kind(
    "discovery.k8s.io/v1",
    "EndpointSlice",
    {
        "addressType": Text(("IPv4", "IPv6", "FQDN")),
        "endpoints": Many(_ENDPOINT, placed=True),
        "ports": Many(_PORT, placed=True),
    },
    _build,
    required=("addressType",),
    rules=(_addresses_of_one_family, _has_addresses, _belongs_to_a_service, _ports_have_numbers),
)
