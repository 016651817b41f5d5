"""Which prefixes a node advertises, to which peers, with which attributes, and for the sake of which services.

    prefixes_of(world, "node1") -> {192.0.2.0/24: (Route(peers=("router",), attributes=..., services=(...,)),)}

MetalLB section 5.4, and where it is silent: services count by family (a VIP of a family without endpoints is not
advertised), and of several advertisements of one prefix to one peer the communities add up and the greatest local
preference counts. A prefix goes when the last of its services goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from types import MappingProxyType
from typing import Any

from lbctl.model.address import Family, IPAddress, family_of
from lbctl.model.advertisement import BGPAdvertisement
from lbctl.model.allocation import Allocation
from lbctl.model.node import EXCLUDE_LABEL
from lbctl.model.selector import LabelSelector
from lbctl.model.service import Service, ServiceKey, TrafficPolicy
from lbctl.model.snapshot import World
from lbctl.plan.backing import NONE, Backing, BackingMemo, back
from lbctl.plan.reason import Reason, Refusal
from lbctl.plan.session_key import families_carried, is_internal

Prefix = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAttributes:
    """What an UPDATE says of a prefix. `communities` as numbers (`64512:10`, `large:1:2:3`), sorted, each once.

    A local preference of 0 is not sent.
    """

    local_pref: int = 0
    communities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One prefix as these peers get it. `services` is what keeps it; all tuples are sorted."""

    prefix: Prefix
    peers: tuple[str, ...]
    attributes: RouteAttributes
    services: tuple[ServiceKey, ...]


Routes = Mapping[Prefix, tuple[Route, ...]]
"""Of each prefix one route for each set of attributes; no peer is in two of them."""

_EMPTY: Mapping[Any, Any] = MappingProxyType({})
_Audience = tuple[tuple[RouteAttributes, tuple[str, ...]], ...]
"""Attributes, and the peers that get them."""
_Offer = tuple[tuple[int, _Audience], ...]
"""What is made of one address of a kind of service: prefix lengths, and to whom each goes."""


def prefixes_of(world: World, node: str | None) -> Routes:
    """What `node` advertises. None: some node that every selector matches and where every service has its endpoints."""
    return RoutePlanner(world).of(node)


def peer_nodes(world: World) -> Mapping[str, frozenset[str | None]]:
    """By peer the nodes that have a session with it; where the world lists no node, None stands for them."""
    if not world.nodes:
        return {name: frozenset((None,)) for name in world.bgp_peers}
    labels = {name: dict(node.labels) for name, node in world.nodes.items()}
    return {
        name: frozenset(node for node in labels if _any(peer.node_selectors, labels[node]))
        for name, peer in world.bgp_peers.items()
    }


@dataclass(frozen=True, slots=True)
class _Sight:
    """What BGP there is on a node: nodes of one sight differ only in their endpoints."""

    advertisements: frozenset[str]
    peers: frozenset[str]
    any_node: bool = False


class RoutePlanner:
    """Answers for the nodes of one world; what nodes have in common is worked out once."""

    def __init__(self, world: World, before: RoutePlanner | None = None) -> None:
        """`before`: of an earlier world, which saves making anew what is the same in both."""
        self._world = world
        self._backings: Mapping[ServiceKey, Backing]
        self._backing: BackingMemo
        self._backings, self._backing = back(world, before._backing if before is not None else None)
        self._prefixes: dict[tuple[IPAddress, int], Prefix] = before._prefixes if before is not None else {}
        self._aliases = {name: value for item in world.communities.values() for name, value in item.aliases}
        self._attributes = {name: self._attributes_of(ad) for name, ad in world.bgp_advertisements.items()}
        self._labels_count = any(ad.service_selectors for ad in world.bgp_advertisements.values())
        self._covering: dict[object, frozenset[str]] = {}
        self._offers: dict[object, _Offer | Refusal] = {}
        self._known: dict[object, Routes] = {}
        self._local = self._local_services()

    def of(self, node: str | None) -> Routes:
        """The routes of one node. Nodes with the same routes are given the very same mapping."""
        sight = self._sight(node)
        if isinstance(sight, Refusal):
            return _EMPTY
        here = self._local.get(node or "", frozenset())
        if (known := self._known.get((sight, here))) is not None:
            return known
        raw: dict[Prefix, list[tuple[_Audience, ServiceKey]]] = {}
        services = self._world.services
        for key, allocation in self._world.allocations.items():
            service = services.get(key)
            if service is None:
                continue
            for address in allocation.addresses:
                if self._unfit(service, address, node) is not None:
                    continue
                offer = self._offer(service, allocation, address, sight)
                if isinstance(offer, Refusal):
                    continue
                for length, audience in offer:
                    raw.setdefault(self._prefix(address, length), []).append((audience, key))
        routes = MappingProxyType({prefix: _routes(prefix, raw[prefix]) for prefix in raw})
        self._known[sight, here] = routes
        return routes

    def why_not(self, node: str | None, service: ServiceKey, address: IPAddress) -> Refusal | None:
        """Why a node does not advertise an address for the sake of this service; None when it does."""
        sight = self._sight(node)
        if isinstance(sight, Refusal):
            return sight
        found, allocation = self._world.services.get(service), self._world.allocations.get(service)
        if allocation is None or address not in allocation.addresses:
            return Refusal(str(service), Reason.NOT_ALLOCATED, f"it does not hold {address}")
        if found is None:
            return Refusal(str(service), Reason.SERVICE_DELETED)
        if (unfit := self._unfit(found, address, node)) is not None:
            return unfit
        offer = self._offer(found, allocation, address, sight)
        return Refusal(str(service), offer.reason, offer.detail) if isinstance(offer, Refusal) else None

    def containing(self, node: str | None, address: IPAddress) -> Iterator[Route]:
        """The routes of a node that an address is in."""
        routes = self.of(node)
        for length in sorted(
            {
                ad.aggregation_length if address.version == 4 else ad.aggregation_length_v6
                for ad in self._world.bgp_advertisements.values()
            }
        ):
            yield from routes.get(self._prefix(address, length), ())

    def peers_of(self, node: str | None) -> frozenset[str]:
        """The peers that a node has sessions with, whether it has something to tell them or not."""
        labels = None if node is None else self._labels(node)
        return frozenset(
            name
            for name, peer in self._world.bgp_peers.items()
            if labels is None or not peer.node_selectors or _any(peer.node_selectors, labels)
        )

    def _labels(self, node: str) -> Mapping[str, str]:
        found = self._world.nodes.get(node)
        return dict(found.labels) if found is not None else {}

    def _prefix(self, address: IPAddress, length: int) -> Prefix:
        found = self._prefixes.get((address, length))
        if found is None:
            number, free = int(address), address.max_prefixlen - length
            number = number >> free << free
            network = IPv4Network if isinstance(address, IPv4Address) else IPv6Network
            found = self._prefixes[address, length] = network((number, length))
        return found

    def _sight(self, node: str | None) -> _Sight | Refusal:
        if node is None:
            return _Sight(frozenset(self._world.bgp_advertisements), frozenset(self._world.bgp_peers), any_node=True)
        found = self._world.nodes.get(node)
        labels = self._labels(node)
        if EXCLUDE_LABEL in labels:
            return Refusal(node, Reason.NODE_EXCLUDED, f"label {EXCLUDE_LABEL}")
        if found is not None and found.network_unavailable:
            return Refusal(node, Reason.NETWORK_UNAVAILABLE)
        advertisements = frozenset(
            name for name, ad in self._world.bgp_advertisements.items() if _any(ad.node_selectors, labels)
        )
        return _Sight(advertisements, self.peers_of(node))

    def _attributes_of(self, ad: BGPAdvertisement) -> RouteAttributes:
        communities = {self._aliases.get(name, name) for name in ad.communities}
        return RouteAttributes(local_pref=ad.local_pref, communities=tuple(sorted(communities)))

    def _local_services(self) -> Mapping[str, frozenset[tuple[ServiceKey, Family]]]:
        """By node the services with traffic policy Local that have an endpoint there, and of which family."""
        found: dict[str, set[tuple[ServiceKey, Family]]] = {}
        for key in self._world.allocations:
            service = self._world.services.get(key)
            if service is not None and service.traffic.external_policy is TrafficPolicy.LOCAL:
                for family, nodes in self._backings.get(key, NONE).nodes.items():
                    for node in nodes:
                        found.setdefault(node, set()).add((key, family))
        return {node: frozenset(services) for node, services in found.items()}

    def _unfit(self, service: Service, address: IPAddress, node: str | None) -> Refusal | None:
        """What of the address itself or of its service's endpoints keeps this node from advertising it."""
        if address in self._world.quarantined:
            return Refusal(str(address), Reason.QUARANTINED)
        family = family_of(address)
        backing = self._backings.get(service.key, NONE)
        if family not in backing.nodes:
            return Refusal(str(service.key), Reason.NO_ENDPOINTS, f"no usable {family.value} endpoint")
        local = service.traffic.external_policy is TrafficPolicy.LOCAL
        if local and node is not None and node not in backing.nodes[family]:
            return Refusal(node, Reason.NO_LOCAL_ENDPOINTS, str(service.key))
        return None

    def _offer(self, service: Service, allocation: Allocation, address: IPAddress, sight: _Sight) -> _Offer | Refusal:
        covering = self._covering_pool(allocation.pool_of(address), service)
        key = (covering, family_of(address), sight)
        found = self._offers.get(key)
        if found is None:
            found = self._offers[key] = self._make_offer(covering, family_of(address), sight)
        return found

    def _covering_pool(self, pool_name: str, service: Service) -> frozenset[str]:
        """The advertisements of a pool that the service's labels are right for."""
        key = (pool_name, service.labels if self._labels_count else None)
        found = self._covering.get(key)
        if found is None:
            pool = self._world.pools.get(pool_name)
            pool_labels = dict(pool.labels) if pool is not None else {}
            labels = dict(service.labels)
            found = self._covering[key] = frozenset(
                name
                for name, ad in self._world.bgp_advertisements.items()
                if (
                    (not ad.pools and not ad.pool_selectors)
                    or pool_name in ad.pools
                    or any(selector.matches(pool_labels) for selector in ad.pool_selectors if pool is not None)
                )
                and _any(ad.service_selectors, labels)
            )
        return found

    def _make_offer(self, covering: frozenset[str], family: Family, sight: _Sight) -> _Offer | Refusal:
        if not covering:
            return Refusal("", Reason.NO_ADVERTISEMENT, "no BGPAdvertisement covers it")
        here = sorted(covering & sight.advertisements)
        if not here:
            return Refusal("", Reason.NODE_NOT_SELECTED, ", ".join(sorted(covering)))
        by_length: dict[int, dict[str, list[str]]] = {}
        for name in here:
            ad = self._world.bgp_advertisements[name]
            length = ad.aggregation_length if family is Family.IPV4 else ad.aggregation_length_v6
            peers = by_length.setdefault(length, {})
            for peer in self._audience(ad, sight, family):
                peers.setdefault(peer, []).append(name)
        for by_peer in by_length.values():
            for peer, names in by_peer.items():
                if len({self._attributes[name].local_pref for name in names}) > 1:
                    detail = f"{' and '.join(names)} want different local preferences for {peer}"
                    return Refusal("", Reason.CONFLICTING_ADVERTISEMENTS, detail)
        offer = tuple(
            (length, _by_attributes({peer: self._told(peer, names) for peer, names in to.items()}))
            for length, to in sorted(by_length.items())
            if to
        )
        return offer or Refusal("", Reason.NO_PEER, f"no session here carries {family.value} for {', '.join(here)}")

    def _told(self, peer: str, names: Iterable[str]) -> RouteAttributes:
        """What these advertisements say to a peer. A local preference stays within the AS (RFC 4271 section 5.1.5)."""
        attributes = merged(map(self._attributes.__getitem__, names))
        if attributes.local_pref and not is_internal(self._world.bgp_peers[peer]):
            return RouteAttributes(communities=attributes.communities)
        return attributes

    def _audience(self, ad: BGPAdvertisement, sight: _Sight, family: Family) -> Iterable[str]:
        for name in sorted(sight.peers):
            if (not ad.peers or name in ad.peers) and family in families_carried(self._world.bgp_peers[name]):
                yield name


def merged(all_attributes: Iterable[RouteAttributes]) -> RouteAttributes:
    """The attributes of a prefix that is advertised to one peer for several reasons."""
    found = list(all_attributes)
    if len(found) == 1:
        return found[0]
    return RouteAttributes(
        local_pref=max(item.local_pref for item in found),
        communities=tuple(sorted({community for item in found for community in item.communities})),
    )


def _by_attributes(of_peers: Mapping[str, RouteAttributes]) -> _Audience:
    peers: dict[RouteAttributes, list[str]] = {}
    for peer in sorted(of_peers):
        peers.setdefault(of_peers[peer], []).append(peer)
    return tuple((attributes, tuple(names)) for attributes, names in peers.items())


def _routes(prefix: Prefix, found: list[tuple[_Audience, ServiceKey]]) -> tuple[Route, ...]:
    """Puts together what several services want of one prefix; a peer's services are those that bring it there."""
    audience = found[0][0]
    if all(other is audience for other, _ in found):
        services = tuple(sorted({key for _, key in found})) if len(found) > 1 else (found[0][1],)
        return tuple(
            Route(prefix=prefix, peers=peers, attributes=attributes, services=services)
            for attributes, peers in audience
        )
    wanted: dict[str, list[tuple[RouteAttributes, ServiceKey]]] = {}
    for each, key in found:
        for attributes, peers in each:
            for peer in peers:
                wanted.setdefault(peer, []).append((attributes, key))
    alike: dict[tuple[RouteAttributes, tuple[ServiceKey, ...]], list[str]] = {}
    for peer in sorted(wanted):
        attributes = merged(item for item, _ in wanted[peer])
        alike.setdefault((attributes, tuple(sorted({key for _, key in wanted[peer]}))), []).append(peer)
    return tuple(
        Route(prefix=prefix, peers=tuple(peers), attributes=attributes, services=services)
        for (attributes, services), peers in alike.items()
    )


def _any(selectors: tuple[LabelSelector, ...], labels: Mapping[str, str]) -> bool:
    """Selectors are alternatives; none at all match everything."""
    return not selectors or any(selector.matches(labels) for selector in selectors)
