"""Worlds with BGP in them, out of manifests, for the tests of routes and of diff."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from lbctl.config.diagnostic import Severity
from lbctl.config.reader import Reader
from lbctl.model.snapshot import World
from lbctl.plan.diff import Diff, diff
from tests.support.worlds import allocation

NOW = 1_000.0


def world(text: str, *held: tuple[str, str], **more: Any) -> World:
    """The manifests, and allocations as pairs of a service and its addresses ("web", "192.0.2.1 2001:db8::1"), from the
    pool that comes first."""
    reading = Reader().read({"a.yaml": text.encode()})
    assert not [found for found in reading.diagnostics if found.severity is Severity.ERROR], reading.diagnostics
    pool = next(iter(reading.world.pools), "")
    allocations = {
        made.service: made
        for number, (name, addresses) in enumerate(held, 1)
        for made in (allocation(name, *addresses.split(), pool=more.get("pool", pool), id=number),)
    }
    return replace(reading.world, allocations=MappingProxyType(allocations))


def manifest(kind: str, name: str, spec: str = "", *, version: str = "metallb.io/v1beta1", metadata: str = "") -> str:
    """One document; `spec` is a flow mapping without its braces."""
    return (
        f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}{', ' if metadata else ''}{metadata}}}\n"
        f"spec: {{{spec}}}\n---\n"
    )


def pool(name: str, addresses: str, **annotations: str) -> str:
    told = ", ".join(f"lbctl.io/{key}: {value}" for key, value in annotations.items())
    return manifest(
        "IPAddressPool", name, f"addresses: [{addresses}]", metadata=f"annotations: {{{told}}}" if told else ""
    )


def peer(name: str, address: str, spec: str = "", *, metadata: str = "") -> str:
    """A router of AS 65000."""
    rest = f", {spec}" if spec else ""
    return manifest(
        "BGPPeer",
        name,
        f"myASN: 65001, peerASN: 65000, peerAddress: '{address}'{rest}",
        version="metallb.io/v1beta2",
        metadata=metadata,
    )


def internal(name: str, address: str, spec: str = "") -> str:
    """A router of our own AS, which is told local preferences."""
    return peer(name, address, spec).replace("peerASN: 65000", "peerASN: 65001")


def bgp(name: str = "bgp", spec: str = "") -> str:
    return manifest("BGPAdvertisement", name, spec)


def l2(name: str = "l2", spec: str = "") -> str:
    return manifest("L2Advertisement", name, spec)


def node(name: str, labels: str = "", status: str = "") -> str:
    told = f", labels: {{{labels}}}" if labels else ""
    more = f"status: {{{status}}}\n" if status else ""
    return f"apiVersion: v1\nkind: Node\nmetadata: {{name: {name}{told}}}\n{more}---\n"


def nodes(*names: str) -> str:
    """Nodes that carry their names as the label `host`."""
    return "".join(node(name, f"host: {name}") for name in names)


def service(name: str, spec: str = "", *, on: Iterable[str] = ("n1",), families: str = "4", metadata: str = "") -> str:
    """A service of type LoadBalancer with one ready endpoint on each of these nodes, in each of the families."""
    rest = f", {spec}" if spec else ""
    made = manifest(
        "Service", name, f"type: LoadBalancer, ports: [{{port: 80}}]{rest}", version="v1", metadata=metadata
    )
    for family in families:
        address = "10.1.1.1" if family == "4" else "fd00::1"
        endpoints = ", ".join(f"{{addresses: ['{address}'], nodeName: {name}}}" for name in on)
        made += (
            f"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv{family}\n"
            f"metadata: {{name: {name}-{family}, labels: {{kubernetes.io/service-name: {name}}}}}\n"
            f"endpoints: [{endpoints}]\nports: [{{port: 80}}]\n---\n"
        )
    return made


def told(old: str, new: str, **more: Any) -> Diff:
    """What `new` would change where `old` is in force on a new ledger."""
    return diff(world(old), world(new), None, now_unix=NOW, **more)


def texts(found: Mapping[Any, Any]) -> list[str]:
    return sorted(map(str, found))
