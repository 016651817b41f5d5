"""core/v1 Node, Namespace and Secret."""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from lbctl.config import extension
from lbctl.config.block import Value
from lbctl.config.kind import Kind, Object, kind
from lbctl.config.metadata import CALICO_ANNOTATIONS, Metadata
from lbctl.config.schema import Fields, JsonSchema, Many, Problem, Record, Refer, Walk, Wrong
from lbctl.config.value_types import AnyValue, Boolean, Cidr, Text, parse_address
from lbctl.model.node import Namespace, Node

BASIC_AUTH = "kubernetes.io/basic-auth"
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
_ADDRESS_TYPES = ("InternalIP", "ExternalIP", "Hostname", "InternalDNS", "ExternalDNS")


@dataclass(frozen=True, slots=True)
class Password:
    """A Secret, as far as BGP sessions need it: its type and its key `password`. The value never shows in a repr."""

    type: str
    value: str | None

    def __repr__(self) -> str:
        return f"Password(type={self.type!r})"


_NODE_ADDRESS = Record(
    "an address of a Node", {"type": Text(_ADDRESS_TYPES), "address": Text(empty=False)}, required=("type", "address")
)
_NODE_CONDITION = Record(
    "a condition of a Node",
    {
        "type": Text(),
        "status": Text(),
        "reason": AnyValue(),
        "message": AnyValue(),
        "lastHeartbeatTime": AnyValue(),
        "lastTransitionTime": AnyValue(),
    },
    required=("type", "status"),
)
_NODE_STATUS = Record(
    "the status of a Node",
    {
        "addresses": Many(_NODE_ADDRESS, placed=True),
        "conditions": Many(_NODE_CONDITION),
        **dict.fromkeys(
            (
                "allocatable",
                "capacity",
                "config",
                "daemonEndpoints",
                "declaredFeatures",
                "features",
                "images",
                "nodeInfo",
                "phase",
                "runtimeHandlers",
                "volumesAttached",
                "volumesInUse",
            ),
            AnyValue(),
        ),
    },
)
_NODE_SPEC = Record(
    "the spec of a Node",
    {
        "podCIDR": Cidr(),
        "podCIDRs": Many(Cidr()),
        **dict.fromkeys(("configSource", "externalID", "providerID", "taints", "unschedulable"), AnyValue()),
    },
)


def _node_addresses(fields: Fields) -> Iterator[Problem]:
    for place, address in fields.get("status", {}).get("addresses", ()):
        text = address.get("address")
        if text and address.get("type") in ("InternalIP", "ExternalIP") and parse_address(text) is None:
            yield Problem("LB0116", ("status", "addresses", place, "address"), f'"{text}" is not an IP address')


def _build_node(fields: Fields) -> Object:
    metadata: Metadata = fields["metadata"]
    status: Mapping[str, Any] = fields.get("status", {})
    addresses = (
        parse_address(address["address"])
        for _, address in status.get("addresses", ())
        if address["type"] in ("InternalIP", "ExternalIP")
    )
    unavailable = any(
        condition["type"] == "NetworkUnavailable" and condition["status"] == "True"
        for condition in status.get("conditions", ())
    )
    spec: Mapping[str, Any] = fields.get("spec", {})
    own = extension.read_extensions(extension.NODE, metadata.annotations) if metadata.annotations else {}
    pods = (*((spec["podCIDR"],) if "podCIDR" in spec else ()), *spec.get("podCIDRs", ()))
    node = Node(
        name=metadata.name,
        labels=metadata.labels,
        addresses=tuple(address for address in addresses if address is not None),
        network_unavailable=unavailable,
        networks=(*own.get("networks", ()), *_calico_networks(metadata)),
        gateways=own.get("gateways", ()),
        pod_cidrs=tuple(dict.fromkeys(pods)),
    )
    return Object("nodes", node.name, node)


def _calico_networks(metadata: Metadata) -> tuple[IPv4Network | IPv6Network, ...]:
    """Calico notes each node's address with its prefix length; what it writes is not the operator's to mend."""
    found: list[IPv4Network | IPv6Network] = []
    for key, text in metadata.annotations:
        if key in CALICO_ANNOTATIONS:
            try:
                found.append(extension.read_network(text))
            except Wrong:
                continue
    return tuple(found)


def _build_namespace(fields: Fields) -> Object:
    """With the label that Kubernetes itself gives every namespace, so that selectors on it work without Kubernetes."""
    metadata: Metadata = fields["metadata"]
    labels = dict(metadata.labels)
    labels.setdefault(NAMESPACE_LABEL, metadata.name)
    return Object("namespaces", metadata.name, Namespace(name=metadata.name, labels=tuple(sorted(labels.items()))))


class SecretData:
    """A Secret's `data` (base64) or `stringData`: the key `password` alone is looked at."""

    def __init__(self, *, encoded: bool) -> None:
        self._encoded = encoded

    def read(self, value: Value, walk: Walk) -> str | None:
        if type(value) is not dict:
            raise Wrong("LB0107", "a mapping is wanted here")
        text = value.get("password")
        if text is None:
            return None
        if type(text) is not str:
            raise Wrong("LB0107", "the password is not text", "put it in quotes")
        if not self._encoded:
            return text
        try:
            return binascii.a2b_base64(text.encode(), strict_mode=True).decode()
        except ValueError:
            raise Wrong("LB0409", "the password is not base64", "or write it plainly under stringData") from None

    def schema(self, refer: Refer) -> JsonSchema:
        return {"type": "object", "properties": {"password": {"type": ["string", "null"]}}}


def _build_secret(fields: Fields) -> Object:
    metadata: Metadata = fields["metadata"]
    value = fields.get("stringData") or fields.get("data")
    key = (metadata.namespace or "default", metadata.name)
    return Object("secrets", key, Password(fields.get("type", "Opaque"), value))


NODE: Kind = kind(
    "v1",
    "Node",
    {"spec": _NODE_SPEC, "status": _NODE_STATUS},
    _build_node,
    rules=(_node_addresses,),
    extensions=extension.NODE,
)
NAMESPACE: Kind = kind(
    "v1", "Namespace", {"spec": Record("the spec of a Namespace", {"finalizers": AnyValue()})}, _build_namespace
)
SECRET: Kind = kind(
    "v1",
    "Secret",
    {
        "type": Text(),
        "data": SecretData(encoded=True),
        "stringData": SecretData(encoded=False),
        "immutable": Boolean(),
    },
    _build_secret,
)
