"""Pools against the addresses that others have: nodes, routers, pods, cluster IPs, and those of a segment itself.

MetalLB checks none of this, and an operator's MetalLB configuration is to be read as it is; besides, a node that joins
must not be able to take a pool away. So all of it is warnings. What a pool excludes or never gives is not spoken of.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from lbctl.config.checks.finding import Finding, Place, Secrets, some
from lbctl.config.metadata import OWN_PREFIX
from lbctl.config.ranges import NO_UNICAST
from lbctl.config.schema import Path
from lbctl.model.address import IPAddress
from lbctl.model.node import Node
from lbctl.model.pool import Pool
from lbctl.model.snapshot import World

_MOST_SHOWN = 8
_ELSEWHERE = "choose addresses that nothing inside the cluster uses"
_EXCLUDE = OWN_PREFIX + "exclude"
_NETWORKS: Path = ("metadata", "annotations", OWN_PREFIX + "networks")
_GATEWAYS: Path = ("metadata", "annotations", OWN_PREFIX + "gateways")


class Hit(NamedTuple):
    """An item of a pool: the pool's name and the place of the item in it."""

    pool: str
    place: int


class RangeIndex:
    """Finds the item of a pool that an address lies in, by bisection. The pools do not overlap."""

    def __init__(self, pools: Mapping[str, Pool]) -> None:
        rows = [
            ((item.first.version, int(item.first)), int(item.last), Hit(pool.name, place))
            for pool in pools.values()
            for place, item in enumerate(pool.ranges)
        ]
        rows.sort(key=lambda row: row[0])
        self._starts = [start for start, _, _ in rows]
        self._rows = rows

    def find(self, address: IPAddress) -> Hit | None:
        return self.at(address.version, int(address))

    def at(self, version: int, number: int) -> Hit | None:
        place = bisect_right(self._starts, (version, number)) - 1
        if place < 0:
            return None
        start, last, hit = self._rows[place]
        return hit if start[0] == version and number <= last else None

    def overlapping(self, network: IPv4Network | IPv6Network) -> Iterator[Hit]:
        """The items that have an address in common with a network."""
        first, last = int(network.network_address), int(network.broadcast_address)
        hit = self.at(network.version, first)
        if hit is not None:
            yield hit
        place = bisect_right(self._starts, (network.version, first))
        while place < len(self._rows) and self._starts[place] <= (network.version, last):
            yield self._rows[place][2]
            place += 1

    def touches(self, version: int, first: int, last: int) -> bool:
        """Whether some item has an address from `first` to `last`."""
        if self.at(version, first) is not None:
            return True
        place = bisect_right(self._starts, (version, first))
        return place < len(self._starts) and self._starts[place] <= (version, last)


def withheld(pool: Pool, address: IPAddress) -> str:
    """Why a pool never gives one of its addresses; empty when it does."""
    excluded = pool.options.excluded
    if excluded:
        wanted = (address.version, int(address))
        place = bisect_right(excluded, wanted, key=lambda item: (item.first.version, int(item.first))) - 1
        if place >= 0 and address in excluded[place]:
            useless = any(address in each for each in NO_UNICAST)
            return "no host can have it" if useless else "it is excluded (lbctl.io/exclude)"
    if pool.avoid_buggy_ips and isinstance(address, IPv4Address) and int(address) & 0xFF in (0, 255):
        return "it ends in .0 or .255 (avoidBuggyIPs)"
    return ""


def node_addresses_in_pools(pools: Mapping[str, Pool], nodes: Iterable[Node]) -> tuple[tuple[str, IPAddress, str], ...]:
    """(pool, address, node) for each address of a node that a pool may give to a service."""
    index = RangeIndex(pools)
    return tuple(
        (hit.pool, address, node.name)
        for node in nodes
        for address in node.addresses
        if (hit := index.find(address)) is not None and not withheld(pools[hit.pool], address)
    )


def pools_keep_off_hosts(world: World, secrets: Secrets) -> Iterator[Finding]:
    """Off nodes, routers, and what belongs to a segment or to nobody."""
    if not world.pools:
        return
    index = RangeIndex(world.pools)
    yield from _nodes(world, index)
    yield from _routers(world, index)
    yield from _segments(world, index)
    yield from _not_for_hosts(world, index)


def pools_keep_off_pods(world: World, secrets: Secrets) -> Iterator[Finding]:
    if not world.pools:
        return
    index = RangeIndex(world.pools)
    said = set()
    for finding in _pod_cidrs(world, index):
        said.add(finding.subject.key)
        yield finding
    for finding in _inside(world, index, "of an endpoint", _endpoints(world, index)):
        if finding.subject.key not in said:
            yield finding


def pools_keep_off_cluster_ips(world: World, secrets: Secrets) -> Iterator[Finding]:
    if world.pools:
        index = RangeIndex(world.pools)
        yield from _inside(world, index, "a cluster IP", _cluster_ips(world, index))


class _Taken(NamedTuple):
    """An address that somebody has, who that is, where it says so, and what to write there."""

    address: IPAddress
    who: str
    place: Place
    label: str = ""


def _grouped(world: World, index: RangeIndex, taken: Iterable[_Taken]) -> dict[Hit, list[_Taken]]:
    """What is taken out of each item of a pool, in the order of addresses; each address once."""
    found: dict[Hit, dict[IPAddress, _Taken]] = {}
    for each in taken:
        hit = index.find(each.address)
        if hit is not None and not withheld(world.pools[hit.pool], each.address):
            found.setdefault(hit, {}).setdefault(each.address, each)
    return {hit: sorted(there.values(), key=lambda each: int(each.address)) for hit, there in found.items()}


def _warn(code: str, world: World, hit: Hit, what: str, taken: list[_Taken], because: str) -> Finding:
    pool = world.pools[hit.pool]
    texts = [f"{each.address} ({each.who})" for each in taken]
    addresses = ", ".join(str(each.address) for each in taken)
    if len(taken) > _MOST_SHOWN:
        help = "write the pool as ranges around them"
    elif pool.options.excluded:
        help = f"add {addresses} to {_EXCLUDE} of the pool"
    else:
        help = f'give the pool the annotation {_EXCLUDE}: "{addresses}"'
    return Finding(
        code=code,
        subject=Place("pools", hit.pool, ("spec", "addresses", hit.place)),
        message=f"{pool.ranges[hit.place].text} holds {what}{some(texts, 3)}: {because}",
        help=help,
        other=taken[0].place,
        other_message=taken[0].label or f"has {taken[0].address}",
    )


def _nodes(world: World, index: RangeIndex) -> Iterator[Finding]:
    taken = (
        _Taken(address, f"node {node.name}", Place("nodes", node.name, ("metadata", "name")))
        for node in world.nodes.values()
        for address in node.addresses
    )
    for hit, there in _grouped(world, index, taken).items():
        item = world.pools[hit.pool].ranges[hit.place]
        if item.size == 1 and len(world.nodes) == 1:
            continue  # the one machine's own address, written as such: that is how a single node is used
        because = "a service there would take the node off the network"
        yield _warn("LB0210", world, hit, "", there, because)


def _routers(world: World, index: RangeIndex) -> Iterator[Finding]:
    taken = (
        *(
            _Taken(address, f"gateway of node {node.name}", Place("nodes", node.name, _GATEWAYS))
            for node in world.nodes.values()
            for address in node.gateways
        ),
        *(
            _Taken(
                peer.address.address, f"BGP peer {peer.name}", Place("bgp_peers", peer.name, ("spec", "peerAddress"))
            )
            for peer in world.bgp_peers.values()
            if peer.address.address is not None
        ),
    )
    for hit, there in _grouped(world, index, taken).items():
        noun = "the router " if len(there) == 1 else "the routers "
        yield _warn("LB0211", world, hit, noun, there, "a service there would cut off all behind it")


def _pod_cidrs(world: World, index: RangeIndex) -> Iterator[Finding]:
    """One finding a pool is enough."""
    said: set[str] = set()
    for network, node in _pod_networks(world.nodes).items():
        for hit in index.overlapping(network):
            if hit.pool not in said:
                said.add(hit.pool)
                yield Finding(
                    code="LB0212",
                    subject=Place("pools", hit.pool, ("spec", "addresses", hit.place)),
                    message=f"{world.pools[hit.pool].ranges[hit.place].text} overlaps {network}, which the pods of the "
                    f"node {node} get their addresses from",
                    help=_ELSEWHERE,
                    other=Place("nodes", node, ("spec", "podCIDR")),
                    other_message="the pods' addresses",
                )


def _inside(world: World, index: RangeIndex, noun: str, taken: Iterable[_Taken]) -> Iterator[Finding]:
    said: set[str] = set()
    for hit, there in _grouped(world, index, taken).items():
        if hit.pool not in said:
            said.add(hit.pool)
            item = world.pools[hit.pool].ranges[hit.place]
            more = f", and {len(there) - 1} more" if len(there) > 1 else ""
            yield Finding(
                code="LB0212",
                subject=Place("pools", hit.pool, ("spec", "addresses", hit.place)),
                message=f"{item.text} holds {there[0].address}, {noun} ({there[0].who}){more}",
                help=_ELSEWHERE,
                other=there[0].place,
                other_message=f"has {there[0].address}",
            )


def _pod_networks(nodes: Mapping[str, Node]) -> dict[IPv4Network | IPv6Network, str]:
    found: dict[IPv4Network | IPv6Network, str] = {}
    for node in nodes.values():
        for network in node.pod_cidrs:
            found.setdefault(network, node.name)
    return found


def _endpoints(world: World, index: RangeIndex) -> Iterator[_Taken]:
    """Those whose neighborhood a pool touches. There are very many, and few neighborhoods."""
    near: dict[tuple[int, int], bool] = {}
    for made in world.slices.values():
        for endpoint in made.endpoints:
            for address in endpoint.addresses:
                if _is_near(near, index, address):
                    place = Place("slices", made.key, ("metadata", "name"))
                    yield _Taken(address, f"endpoint of {made.service or made.key}", place)


def _cluster_ips(world: World, index: RangeIndex) -> Iterator[_Taken]:
    """As above. Text that is alike up to its last dot or colon means one neighborhood."""
    blocks = {
        (text.rpartition(":")[0] if ":" in text else text.rpartition(".")[0]) or text: text
        for service in world.services.values()
        for text in service.family.cluster_ips
    }
    near: dict[tuple[int, int], bool] = {}
    parsed = ((block, _parsed(text)) for block, text in blocks.items())
    close = tuple(block for block, address in parsed if address is not None and _is_near(near, index, address))
    if not close:
        return
    for service in world.services.values():
        for text in service.family.cluster_ips:
            if text.startswith(close) and (address := _parsed(text)) is not None:
                yield _Taken(address, f"service {service.key}", Place("services", service.key, ("metadata", "name")))


def _is_near(near: dict[tuple[int, int], bool], index: RangeIndex, address: IPAddress) -> bool:
    """Whether a pool has an address in the same /24 (IPv6: /96)."""
    host_bits = 8 if address.version == 4 else 32
    block = (address.version, int(address) >> host_bits)
    found = near.get(block)
    if found is None:
        first = block[1] << host_bits
        found = near[block] = index.touches(address.version, first, first | ((1 << host_bits) - 1))
    return found


def _parsed(text: str) -> IPAddress | None:
    try:
        return IPv6Address(text) if ":" in text else IPv4Address(text)
    except ValueError:
        return None  # None, which Kubernetes writes for headless services


def _segments(world: World, index: RangeIndex) -> Iterator[Finding]:
    """The addresses that belong to a segment as such, where its prefix is known."""
    segments: dict[IPv4Network | IPv6Network, str] = {}
    for node in world.nodes.values():
        for network in node.networks:
            segments.setdefault(network, node.name)
    taken: list[_Taken] = []
    for network, node_name in segments.items():
        place, label = Place("nodes", node_name, _NETWORKS), f"the segment {network}"
        if isinstance(network, IPv6Network):
            if network.prefixlen < 127:
                taken.append(_Taken(network.network_address, "subnet-router anycast", place, label))
        elif network.prefixlen < 31:
            taken.append(_Taken(network.network_address, "network address", place, label))
            taken.append(_Taken(network.broadcast_address, "broadcast", place, label))
    for hit, there in _grouped(world, index, taken).items():
        yield _warn("LB0213", world, hit, "", there, "hosts on the segment cannot reach a service at it")


_NOT_FOR_HOSTS: tuple[tuple[IPv4Network | IPv6Network, str], ...] = (
    (IPv4Network("0.0.0.0/8"), '"this network"'),
    (IPv4Network("127.0.0.0/8"), "loopback"),
    (IPv4Network("224.0.0.0/4"), "multicast"),
    (IPv4Network("240.0.0.0/4"), "reserved, and broadcast"),
    (IPv6Network("::/128"), "no address"),
    (IPv6Network("::1/128"), "loopback"),
    (IPv6Network("::ffff:0:0/96"), "IPv4 within IPv6"),
    (IPv6Network("fe80::/10"), "link-local"),
    (IPv6Network("ff00::/8"), "multicast"),
)


def _not_for_hosts(world: World, index: RangeIndex) -> Iterator[Finding]:
    """RFC 6890: addresses that no host can have."""
    for special, what in _NOT_FOR_HOSTS:
        for hit in index.overlapping(special):
            item = world.pools[hit.pool].ranges[hit.place]
            yield Finding(
                code="LB0214",
                subject=Place("pools", hit.pool, ("spec", "addresses", hit.place)),
                message=f"{item.text} reaches into {special} ({what}), where no service can have an address",
                help="give the pool addresses of your own network",
            )
