"""The published file's advertisements, peers, BFD profiles and communities (docs/published.md)."""

from __future__ import annotations

from dataclasses import replace

from lbctl.model.advertisement import BGPAdvertisement, Failback, L2Advertisement, PreferredNodes
from lbctl.model.peer import (
    BFDProfile,
    BGPPeer,
    CommunityAliases,
    PeerAddress,
    PeerSession,
    PeerTimers,
    SecretReference,
)
from lbctl.sources.published_schema import (
    SelectorWire,
    Wire,
    address_of,
    labels_of,
    selector_wires,
    selectors_of,
)

INLINE = "inline:"
"""Before a peer's name: the secret is the password written in that peer's own manifest."""


class PreferredWire(Wire):
    weight: int
    preference: SelectorWire


class L2Wire(Wire):
    name: str
    pools: list[str] = []
    pool_selectors: list[SelectorWire] = []
    node_selectors: list[SelectorWire] = []
    interfaces: list[str] = []
    service_selectors: list[SelectorWire] = []
    preferred_nodes: list[PreferredWire] = []
    failback: Failback | None = None
    require_subnet: bool = False
    announce_rate: float | None = None
    annotations: dict[str, str] = {}


def l2_wire(item: L2Advertisement) -> L2Wire:
    return L2Wire(
        name=item.name,
        pools=list(item.pools),
        pool_selectors=selector_wires(item.pool_selectors),
        node_selectors=selector_wires(item.node_selectors),
        interfaces=list(item.interfaces),
        service_selectors=selector_wires(item.service_selectors),
        preferred_nodes=[
            PreferredWire(weight=term.weight, preference=selector_wires((term.preference,))[0])
            for term in item.preferred_nodes
        ],
        failback=item.failback,
        require_subnet=item.require_subnet,
        announce_rate=item.announce_rate,
        annotations=dict(item.annotations),
    )


def l2_of(wire: L2Wire) -> L2Advertisement:
    return L2Advertisement(
        name=wire.name,
        pools=tuple(wire.pools),
        pool_selectors=selectors_of(wire.pool_selectors),
        node_selectors=selectors_of(wire.node_selectors),
        interfaces=tuple(wire.interfaces),
        service_selectors=selectors_of(wire.service_selectors),
        preferred_nodes=tuple(
            PreferredNodes(weight=term.weight, preference=selectors_of([term.preference])[0])
            for term in wire.preferred_nodes
        ),
        failback=wire.failback,
        require_subnet=wire.require_subnet,
        announce_rate=wire.announce_rate,
        annotations=labels_of(wire.annotations),
    )


class BGPWire(Wire):
    name: str
    pools: list[str] = []
    pool_selectors: list[SelectorWire] = []
    node_selectors: list[SelectorWire] = []
    service_selectors: list[SelectorWire] = []
    peers: list[str] = []
    communities: list[str] = []
    local_pref: int = 0
    aggregation_length: int = 32
    aggregation_length_v6: int = 128
    annotations: dict[str, str] = {}


def bgp_wire(item: BGPAdvertisement) -> BGPWire:
    return BGPWire(
        name=item.name,
        pools=list(item.pools),
        pool_selectors=selector_wires(item.pool_selectors),
        node_selectors=selector_wires(item.node_selectors),
        service_selectors=selector_wires(item.service_selectors),
        peers=list(item.peers),
        communities=list(item.communities),
        local_pref=item.local_pref,
        aggregation_length=item.aggregation_length,
        aggregation_length_v6=item.aggregation_length_v6,
        annotations=dict(item.annotations),
    )


def bgp_of(wire: BGPWire) -> BGPAdvertisement:
    return BGPAdvertisement(
        name=wire.name,
        pools=tuple(wire.pools),
        pool_selectors=selectors_of(wire.pool_selectors),
        node_selectors=selectors_of(wire.node_selectors),
        service_selectors=selectors_of(wire.service_selectors),
        peers=tuple(wire.peers),
        communities=tuple(wire.communities),
        local_pref=wire.local_pref,
        aggregation_length=wire.aggregation_length,
        aggregation_length_v6=wire.aggregation_length_v6,
        annotations=labels_of(wire.annotations),
    )


class PeerWire(Wire):
    name: str
    my_asn: int
    peer_asn: int | None = None
    dynamic_asn: str | None = None
    local_asn: int | None = None
    router_id: str | None = None
    address: str | None = None
    interface: str | None = None
    port: int = 179
    source: str | None = None
    vrf: str = ""
    multihop: bool = False
    hold_time: float | None = None
    keepalive_time: float | None = None
    connect_time: float | None = None
    graceful_restart: bool = False
    dual_stack: bool = False
    disable_mp: bool = False
    bfd_profile: str | None = None
    password_secret: str | None = None
    password_secret_namespace: str = ""
    node_selectors: list[SelectorWire] = []
    annotations: dict[str, str] = {}


def without_password(peer: BGPPeer) -> BGPPeer:
    """The peer with a password in its manifest turned into a reference to that manifest."""
    session = peer.session
    if session.password is None:
        return peer
    reference = session.password_secret or SecretReference(name=INLINE + peer.name)
    return replace(peer, session=replace(session, password=None, password_secret=reference))


def peer_wire(peer: BGPPeer) -> PeerWire:
    at, timers, session = peer.address, peer.timers, without_password(peer).session
    secret = session.password_secret
    return PeerWire(
        name=peer.name,
        my_asn=peer.my_asn,
        peer_asn=peer.peer_asn,
        dynamic_asn=peer.dynamic_asn,
        local_asn=peer.local_asn,
        router_id=peer.router_id,
        address=None if at.address is None else str(at.address),
        interface=at.interface,
        port=at.port,
        source=None if at.source is None else str(at.source),
        vrf=at.vrf,
        multihop=at.multihop,
        hold_time=timers.hold_time,
        keepalive_time=timers.keepalive_time,
        connect_time=timers.connect_time,
        graceful_restart=session.graceful_restart,
        dual_stack=session.dual_stack,
        disable_mp=session.disable_mp,
        bfd_profile=session.bfd_profile,
        password_secret=secret.name if secret else None,
        password_secret_namespace=secret.namespace if secret else "",
        node_selectors=selector_wires(peer.node_selectors),
        annotations=dict(peer.annotations),
    )


def peer_of(wire: PeerWire) -> BGPPeer:
    return BGPPeer(
        name=wire.name,
        my_asn=wire.my_asn,
        peer_asn=wire.peer_asn,
        dynamic_asn=wire.dynamic_asn,
        local_asn=wire.local_asn,
        router_id=wire.router_id,
        address=PeerAddress(
            address=None if wire.address is None else address_of(wire.address),
            interface=wire.interface,
            port=wire.port,
            source=None if wire.source is None else address_of(wire.source),
            vrf=wire.vrf,
            multihop=wire.multihop,
        ),
        timers=PeerTimers(hold_time=wire.hold_time, keepalive_time=wire.keepalive_time, connect_time=wire.connect_time),
        session=PeerSession(
            graceful_restart=wire.graceful_restart,
            dual_stack=wire.dual_stack,
            disable_mp=wire.disable_mp,
            bfd_profile=wire.bfd_profile,
            password_secret=None
            if wire.password_secret is None
            else SecretReference(name=wire.password_secret, namespace=wire.password_secret_namespace),
        ),
        node_selectors=selectors_of(wire.node_selectors),
        annotations=labels_of(wire.annotations),
    )


class BFDWire(Wire):
    name: str
    receive_interval: int = 300
    transmit_interval: int = 300
    detect_multiplier: int = 3
    echo_interval: int = 50
    echo_mode: bool = False
    passive_mode: bool = False
    minimum_ttl: int | None = None


def bfd_wire(item: BFDProfile) -> BFDWire:
    return BFDWire(
        name=item.name,
        receive_interval=item.receive_interval,
        transmit_interval=item.transmit_interval,
        detect_multiplier=item.detect_multiplier,
        echo_interval=item.echo_interval,
        echo_mode=item.echo_mode,
        passive_mode=item.passive_mode,
        minimum_ttl=item.minimum_ttl,
    )


def bfd_of(wire: BFDWire) -> BFDProfile:
    return BFDProfile(
        name=wire.name,
        receive_interval=wire.receive_interval,
        transmit_interval=wire.transmit_interval,
        detect_multiplier=wire.detect_multiplier,
        echo_interval=wire.echo_interval,
        echo_mode=wire.echo_mode,
        passive_mode=wire.passive_mode,
        minimum_ttl=wire.minimum_ttl,
    )


class CommunityWire(Wire):
    name: str
    aliases: dict[str, str] = {}


def community_wire(item: CommunityAliases) -> CommunityWire:
    return CommunityWire(name=item.name, aliases=dict(item.aliases))


def community_of(wire: CommunityWire) -> CommunityAliases:
    return CommunityAliases(name=wire.name, aliases=tuple(wire.aliases.items()))
