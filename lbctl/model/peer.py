"""BGP peers, BFD profiles and community names (metallb.io), as an operator writes them."""

from __future__ import annotations

from dataclasses import dataclass, field

from lbctl.model.address import IPAddress
from lbctl.model.selector import Labels, LabelSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretReference:
    """Names a Secret; the secret itself is read only by the speaker that needs it."""

    name: str
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAddress:
    """Where the router is and from where we speak to it."""

    address: IPAddress | None = None
    interface: str | None = None
    port: int = 179
    source: IPAddress | None = None
    vrf: str = ""
    multihop: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTimers:
    """Seconds; None leaves the default of the speaker (RFC 4271 section 10)."""

    hold_time: float | None = None
    keepalive_time: float | None = None
    connect_time: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSession:
    """What the session carries and how it ends."""

    graceful_restart: bool = False
    dual_stack: bool = False
    disable_mp: bool = False
    bfd_profile: str | None = None
    password: str | None = field(default=None, repr=False)
    password_secret: SecretReference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BGPPeer:
    """A router to speak BGP to. Exactly one of `peer_asn` and `dynamic_asn` is set (MetalLB rule R2)."""

    name: str
    my_asn: int
    peer_asn: int | None = None
    dynamic_asn: str | None = None
    local_asn: int | None = None
    router_id: str | None = None
    address: PeerAddress
    timers: PeerTimers = field(default_factory=PeerTimers)
    session: PeerSession = field(default_factory=PeerSession)
    node_selectors: tuple[LabelSelector, ...] = ()
    annotations: Labels = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BFDProfile:
    """Intervals in milliseconds (metallb.io BFDProfile)."""

    name: str
    receive_interval: int = 300
    transmit_interval: int = 300
    detect_multiplier: int = 3
    echo_interval: int = 50
    echo_mode: bool = False
    passive_mode: bool = False
    minimum_ttl: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommunityAliases:
    """Names for BGP communities, as pairs (name, value)."""

    name: str
    aliases: tuple[tuple[str, str], ...] = ()
