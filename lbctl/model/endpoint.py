"""Where the traffic of a service ends (discovery.k8s.io/v1 EndpointSlice)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lbctl.model.address import Family, IPAddress
from lbctl.model.service import ServiceKey, Transport


class SliceKey(NamedTuple):
    """Namespace and name of an EndpointSlice."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPort:
    """A port of every endpoint in a slice; joined with a service's port by `name`."""

    name: str = ""
    protocol: Transport = Transport.TCP
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One backend. The three conditions are None where the manifest does not say."""

    addresses: tuple[IPAddress, ...]
    node: str | None = None
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None

    @property
    def is_ready(self) -> bool:
        """Ready, or nothing said, which Kubernetes defines as ready."""
        return self.ready is None or self.ready

    @property
    def is_usable(self) -> bool:
        """Whether traffic may go there: ready, or terminating but still serving (MetalLB section 2.2)."""
        return self.is_ready or bool(self.serving)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSlice:
    """Endpoints of one family of one service (`kubernetes.io/service-name` label; None when it has none)."""

    key: SliceKey
    service: ServiceKey | None
    family: Family
    ports: tuple[EndpointPort, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
