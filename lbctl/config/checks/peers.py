"""BGP peers: that what they name exists, and that no two contradict each other on one node (R10, R11, F1-F3, B8)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

from lbctl.config.checks.finding import Finding, Place, Secrets
from lbctl.config.checks.scope import NodeScope, PoolScope
from lbctl.config.cluster import BASIC_AUTH, Password
from lbctl.config.spelling import did_you_mean
from lbctl.model.peer import BGPPeer
from lbctl.model.snapshot import World


def peer_profiles_exist(world: World, secrets: Secrets) -> Iterator[Finding]:
    """R11."""
    for peer in world.bgp_peers.values():
        name = peer.session.bfd_profile
        if name and name not in world.bfd_profiles:
            yield Finding(
                code="LB0407",
                subject=Place("bgp_peers", peer.name, ("spec", "bfdProfile")),
                message=f'there is no BFDProfile "{name}" here',
                help=did_you_mean(name, world.bfd_profiles) or "add a BFDProfile of this name, or remove bfdProfile",
                missing=(Place("bfd_profiles", name),),
            )


def peer_secrets_hold_passwords(world: World, secrets: Secrets) -> Iterator[Finding]:
    """R10. A reference without namespace means any namespace: there is one set of peers."""
    by_name: dict[str, Password] = {}
    for (_, name), password in sorted(secrets.items(), key=lambda item: item[0]):
        by_name.setdefault(name, password)
    for peer in world.bgp_peers.values():
        reference = peer.session.password_secret
        if reference is None:
            continue
        subject = Place("bgp_peers", peer.name, ("spec", "passwordSecret", "name"))
        if reference.namespace:
            secret = secrets.get((reference.namespace, reference.name))
        else:
            secret = by_name.get(reference.name)
        if secret is None:
            elsewhere = sorted(space for space, name in secrets if name == reference.name)
            yield Finding(
                code="LB0408",
                subject=subject,
                message=f'there is no Secret "{reference.name}" {_where(reference.namespace)}',
                help=f'there is one in the namespace "{elsewhere[0]}"'
                if elsewhere
                else did_you_mean(reference.name, by_name) or f"add one of type {BASIC_AUTH} with the key password",
                missing=(Place("secrets", None),),
            )
        elif secret.type != BASIC_AUTH or not secret.value:
            lacks = f"is of type {secret.type}" if secret.type != BASIC_AUTH else "has no key password"
            yield Finding(
                code="LB0409",
                subject=subject,
                message=f'the Secret "{reference.name}" {lacks}',
                help=f"it must be of type {BASIC_AUTH} with the key password",
            )


def _where(namespace: str) -> str:
    return f'in the namespace "{namespace}"' if namespace else "here"


def sessions_differ(world: World, secrets: Secrets) -> Iterator[Finding]:
    """F2: one node has one session with one address (from one source, to one port, in one VRF)."""
    rivals = _Rivals(world, _target)
    for peer in world.bgp_peers.values():
        first = rivals.same(peer)
        if first is None:
            continue
        field = "interface" if peer.address.interface else "peerAddress"
        yield Finding(
            code="LB0412",
            subject=Place("bgp_peers", peer.name, ("spec", field)),
            message=f"{peer.name} and {first.name} are two sessions of one node with one router ({_shown(peer)})",
            help="remove one of them, or let their nodeSelectors exclude each other",
            other=Place("bgp_peers", first.name, ("spec", field)),
            other_message="the other session",
        )


def _target(peer: BGPPeer) -> Hashable:
    address = peer.address
    return (address.address or address.interface, address.vrf, address.port, address.source)


def _shown(peer: BGPPeer) -> str:
    vrf = f" in the VRF {peer.address.vrf}" if peer.address.vrf else ""
    return f"{peer.address.address or peer.address.interface}{vrf}"


def router_ids_agree(world: World, secrets: Secrets) -> Iterator[Finding]:
    """F1. RFC 4271 section 4.2 knows one identifier of a speaker; lbctl's sessions work with several all the same."""
    rivals = _Rivals(world, lambda peer: peer.router_id)
    for peer in world.bgp_peers.values():
        first = rivals.other(peer)
        if first is None:
            continue
        ours, theirs = (f"routerID {p.router_id}" if p.router_id else "no routerID" for p in (peer, first))
        yield Finding(
            code="LB0413",
            subject=Place("bgp_peers", peer.name, ("spec", "routerID") if peer.router_id else ("metadata", "name")),
            message=f"a node that speaks to {peer.name} ({ours}) speaks to {first.name} ({theirs}) too",
            help="give both the same routerID, or leave it out of both",
            other=Place("bgp_peers", first.name, ("spec", "routerID") if first.router_id else ("metadata", "name")),
            other_message=theirs,
        )


def own_as_numbers_agree(world: World, secrets: Secrets) -> Iterator[Finding]:
    """F3, within a VRF."""
    rivals = _Rivals(world, lambda peer: peer.my_asn, within=lambda peer: peer.address.vrf)
    for peer in world.bgp_peers.values():
        first = rivals.other(peer)
        if first is not None:
            yield Finding(
                code="LB0414",
                subject=Place("bgp_peers", peer.name, ("spec", "myASN")),
                message=f"a node is AS {peer.my_asn} to {peer.name} and AS {first.my_asn} to {first.name}",
                help="nothing has to be done if it is meant",
                other=Place("bgp_peers", first.name, ("spec", "myASN")),
                other_message=f"AS {first.my_asn}",
            )


class _Rivals:
    """Peers in the order they come, each compared by a value with those before it that share a node with it.

    `within` divides them into groups that have nothing to do with each other.
    """

    def __init__(
        self,
        world: World,
        value: Callable[[BGPPeer], Hashable],
        within: Callable[[BGPPeer], Hashable] = lambda peer: None,
    ) -> None:
        self._nodes = NodeScope(world.nodes)
        self._value = value
        self._within = within
        peers = world.bgp_peers.values()
        self._alike = len({(within(peer), value(peer)) for peer in peers}) == len({within(peer) for peer in peers})
        self._on: dict[Hashable, dict[Hashable, list[BGPPeer]]] = {}
        """By group and node (or group alone where no node is known): peers by value."""

    def same(self, peer: BGPPeer) -> BGPPeer | None:
        """The first one before it with the same value."""
        return self._first(peer, same=True)

    def other(self, peer: BGPPeer) -> BGPPeer | None:
        """The first one before it with another value."""
        return None if self._alike else self._first(peer, same=False)

    def _first(self, peer: BGPPeer, *, same: bool) -> BGPPeer | None:
        value, group = self._value(peer), self._within(peer)
        found: BGPPeer | None = None
        known = self._nodes.known
        for spot in sorted(self._nodes.matched(peer.node_selectors)) if known else (None,):
            there = self._on.setdefault((group, spot), {})
            if found is None:
                found = next((other for other in _others(there, value, same) if known or self._meet(peer, other)), None)
            # One of each value will do on a node; where nodes are not known, each may meet another one.
            if not known or value not in there:
                there.setdefault(value, []).append(peer)
        return found

    def _meet(self, one: BGPPeer, other: BGPPeer) -> bool:
        return self._nodes.meet(one.node_selectors, other.node_selectors)


def _others(there: Mapping[Hashable, Sequence[BGPPeer]], value: Hashable, same: bool) -> Iterator[BGPPeer]:
    if same:
        return iter(there.get(value, ()))
    return (other for theirs, others in there.items() if theirs != value for other in others)


def echo_is_possible(world: World, secrets: Secrets) -> Iterator[Finding]:
    """B8, and RFC 5883 section 4: no echo over several hops."""
    echoing = [
        peer
        for peer in world.bgp_peers.values()
        if (profile := world.bfd_profiles.get(peer.session.bfd_profile or "")) is not None and profile.echo_mode
    ]
    if not echoing:
        return
    scope = PoolScope(world.pools)
    six = {
        pool.name: place
        for pool in world.pools.values()
        for place, item in enumerate(pool.ranges)
        if item.first.version == 6
    }
    for peer in echoing:
        subject = Place("bgp_peers", peer.name, ("spec", "bfdProfile"))
        name = peer.session.bfd_profile
        other = Place("bfd_profiles", name, ("spec", "echoMode"))
        sent = (
            (advertisement.name, pool)
            for advertisement in world.bgp_advertisements.values()
            if not advertisement.peers or peer.name in advertisement.peers
            for pool in scope.covered(advertisement)
            if pool in six
        )
        found = next(sent, None)
        if found is not None:
            advertisement, pool = found
            yield Finding(
                code="LB0415",
                subject=subject,
                message=f"{peer.name} watches by BFD with echoMode, and {advertisement} sends it the IPv6 addresses "
                f"of the pool {pool}",
                help="use a BFDProfile without echoMode, or send IPv6 to another peer",
                other=Place("pools", pool, ("spec", "addresses", six[pool])),
                other_message="IPv6 addresses",
            )
        elif peer.address.multihop:
            yield Finding(
                code="LB0416",
                subject=subject,
                message=f"the BFDProfile {name} has echoMode, which does not go over several hops (ebgpMultiHop)",
                help="use a BFDProfile without echoMode; BFD then runs without echo, as it would anyway",
                other=other,
                other_message="echoMode",
            )


def minimum_ttl_is_for_many_hops(world: World, secrets: Secrets) -> Iterator[Finding]:
    """A single hop always demands 255 (RFC 5881 section 5)."""
    for peer in world.bgp_peers.values():
        found = world.bfd_profiles.get(peer.session.bfd_profile or "")
        if found is not None and found.minimum_ttl is not None and not peer.address.multihop:
            if peer.peer_asn == peer.my_asn:
                continue  # a session within one AS may cross routers without saying so
            yield Finding(
                code="LB0417",
                subject=Place("bgp_peers", peer.name, ("spec", "bfdProfile")),
                message=f"the BFDProfile {found.name} has a minimumTtl, which counts with ebgpMultiHop only",
                help="leave it out: a packet from a direct neighbor must come with TTL 255 in any case",
                other=Place("bfd_profiles", found.name, ("spec", "minimumTtl")),
                other_message="without effect for this peer",
            )
