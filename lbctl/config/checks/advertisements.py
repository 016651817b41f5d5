"""Advertisements: that what they name and select exists, and that none contradicts another (B5-B7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lbctl.config.checks.finding import Finding, Place, Secrets, missing_names
from lbctl.config.checks.scope import NodeScope, PoolScope
from lbctl.config.spelling import did_you_mean
from lbctl.model.address import AddressRange, Family
from lbctl.model.advertisement import BGPAdvertisement
from lbctl.model.peer import BGPPeer
from lbctl.model.pool import Pool
from lbctl.model.snapshot import World


def advertised_pools_exist(world: World, secrets: Secrets) -> Iterator[Finding]:
    for map, names in (
        ("l2_advertisements", world.l2_advertisements),
        ("bgp_advertisements", world.bgp_advertisements),
    ):
        for name, advertisement in names.items():
            place = Place(map, name)
            yield from missing_names(
                "LB0301", "pools", world.pools, place, "ipAddressPools", advertisement.pools, "pool"
            )


def advertised_peers_exist(world: World, secrets: Secrets) -> Iterator[Finding]:
    for advertisement in world.bgp_advertisements.values():
        place = Place("bgp_advertisements", advertisement.name)
        yield from missing_names("LB0302", "bgp_peers", world.bgp_peers, place, "peers", advertisement.peers, "peer")


def community_names_are_unique(world: World, secrets: Secrets) -> Iterator[Finding]:
    seen: dict[str, Place] = {}
    for community in world.communities.values():
        for index, (name, _) in enumerate(community.aliases):
            place = Place("communities", community.name, ("spec", "communities", index, "name"))
            first = seen.setdefault(name, place)
            if first != place:
                yield Finding(
                    code="LB0306",
                    subject=place,
                    message=f'the community name "{name}" is given twice',
                    help="give one of them another name",
                    other=first,
                    other_message="first given here",
                )


def community_names_are_known(world: World, secrets: Secrets) -> Iterator[Finding]:
    known = {name: value for community in world.communities.values() for name, value in community.aliases}
    for advertisement in world.bgp_advertisements.values():
        for index, name in enumerate(advertisement.communities):
            if ":" not in name and name not in known:
                yield Finding(
                    code="LB0305",
                    subject=Place("bgp_advertisements", advertisement.name, ("spec", "communities", index)),
                    message=f'no Community object gives the name "{name}"',
                    help=did_you_mean(name, known) or "add it to a Community, or write the numbers: 64512:10",
                    missing=(Place("communities", None),),
                )


def aggregates_lie_in_pools(world: World, secrets: Secrets) -> Iterator[Finding]:
    """B5: of every item of every selected pool, the whole of some prefix of the aggregation length belongs to it."""
    narrow = [
        advertisement
        for advertisement in world.bgp_advertisements.values()
        if advertisement.aggregation_length < 32 or advertisement.aggregation_length_v6 < 128
    ]
    if not narrow:
        return
    scope = PoolScope(world.pools)
    longest = {pool.name: _longest(pool) for pool in world.pools.values()}
    for advertisement in narrow:
        four, six = advertisement.aggregation_length, advertisement.aggregation_length_v6
        for name in scope.covered(advertisement):
            if four < longest[name][0] or six < longest[name][1]:
                yield _too_wide(advertisement, world.pools[name])
                break


def _longest(pool: Pool) -> tuple[int, int]:
    """Over the items of a pool the longest of their shortest prefixes, of IPv4 and of IPv6."""
    found = {4: 0, 6: 0}
    for item in pool.ranges:
        version = item.first.version
        found[version] = max(found[version], shortest_prefix(item))
    return found[4], found[6]


def _too_wide(advertisement: BGPAdvertisement, pool: Pool) -> Finding:
    """About the first item of the pool that is too small for the aggregate."""

    def wanted_of(item: AddressRange) -> int:
        return advertisement.aggregation_length if item.family is Family.IPV4 else advertisement.aggregation_length_v6

    place, item = next((p, i) for p, i in enumerate(pool.ranges) if wanted_of(i) < shortest_prefix(i))
    wanted, length = wanted_of(item), shortest_prefix(item)
    field = "aggregationLength" if item.family is Family.IPV4 else "aggregationLengthV6"
    return Finding(
        code="LB0310",
        subject=Place("bgp_advertisements", advertisement.name, ("spec", field)),
        message=f"{field} {wanted} is wider than {item.text} of the pool {pool.name}, of which no more than a "
        f"/{length} belongs to it",
        help=f"make it {length} or more, or give the pool the whole of a /{wanted}",
        other=Place("pools", pool.name, ("spec", "addresses", place)),
        other_message=f"the longest run of addresses here is a /{length}",
    )


def shortest_prefix(item: AddressRange) -> int:
    """The length of the widest prefix all of whose addresses are in the range."""
    bits = item.first.max_prefixlen
    first, behind = int(item.first), int(item.last) + 1
    for host_bits in range((behind - first).bit_length() - 1, -1, -1):
        size = 1 << host_bits
        if -(-first // size) * size + size <= behind:
            return bits - host_bits
    return bits


def local_preferences_agree(world: World, secrets: Secrets) -> Iterator[Finding]:
    """B6: one prefix is announced to one peer by one node with one local preference.

    Where serviceSelectors decide, it depends on the services, and the speaker decides for each of them.
    """
    whole = [a for a in world.bgp_advertisements.values() if not a.service_selectors]
    if len({a.local_pref for a in whole}) < 2:
        return
    nodes = NodeScope(world.nodes)
    routes: dict[tuple[str, int, int], dict[int, list[BGPAdvertisement]]] = {}
    compared: dict[tuple[str, str], bool] = {}
    for later, pools in _with_pools(whole, world.pools):
        clash: tuple[BGPAdvertisement, str] | None = None
        keys = []
        for pool in pools:
            for version in sorted({item.first.version for item in pool.ranges}):
                length = later.aggregation_length if version == 4 else later.aggregation_length_v6
                keys.append((pool.name, version, length))
                if clash is None:
                    found = _first_clash(later, routes.get((pool.name, version, length), {}), nodes, compared)
                    clash = None if found is None else (found, pool.name)
        if clash is None:
            # What is refused does not stand in the way of those behind it.
            for key in keys:
                routes.setdefault(key, {}).setdefault(later.local_pref, []).append(later)
            continue
        earlier, name = clash
        yield Finding(
            code="LB0311",
            subject=Place("bgp_advertisements", later.name, ("spec", "localPref")),
            message=f"addresses of the pool {name} are announced with localPref {later.local_pref} here and "
            f"{earlier.local_pref} by {earlier.name}",
            help="give both the same localPref, or let them differ in peers, nodes or aggregation length",
            other=Place("bgp_advertisements", earlier.name, ("spec", "localPref")),
            other_message=f"localPref {earlier.local_pref} for the same routes",
        )


def _with_pools(
    advertisements: Sequence[BGPAdvertisement], pools: Mapping[str, Pool]
) -> Iterator[tuple[BGPAdvertisement, list[Pool]]]:
    """Each with pools that it covers: of those that the same ones cover, and that have the same families, one."""
    scope = PoolScope(pools)
    covering: dict[str, list[int]] = {name: [] for name in pools}
    for number, advertisement in enumerate(advertisements):
        for name in dict.fromkeys(scope.covered(advertisement)):
            covering[name].append(number)
    alike: dict[tuple[object, ...], Pool] = {}
    for name, numbers in covering.items():
        versions = frozenset(item.first.version for item in pools[name].ranges)
        alike.setdefault((versions, *numbers), pools[name])
    kept: list[list[Pool]] = [[] for _ in advertisements]
    for pool in alike.values():
        for number in covering[pool.name]:
            kept[number].append(pool)
    return zip(advertisements, kept, strict=True)


def _first_clash(
    later: BGPAdvertisement,
    there: Mapping[int, list[BGPAdvertisement]],
    nodes: NodeScope,
    compared: dict[tuple[str, str], bool],
) -> BGPAdvertisement | None:
    for local_pref, others in there.items():
        if local_pref == later.local_pref:
            continue
        for other in others:
            key = (later.name, other.name)
            if key not in compared:
                peers_meet = not later.peers or not other.peers or not set(later.peers).isdisjoint(other.peers)
                compared[key] = peers_meet and nodes.meet(later.node_selectors, other.node_selectors)
            if compared[key]:
                return other
    return None


def advertisements_say_something_new(world: World, secrets: Secrets) -> Iterator[Finding]:
    """B7, but for the name: two objects of one name are defined twice, which is found when they are put together."""
    seen: dict[tuple[object, ...], str] = {}
    for advertisement in world.bgp_advertisements.values():
        said = (
            tuple(sorted(advertisement.pools)),
            advertisement.pool_selectors,
            advertisement.node_selectors,
            advertisement.service_selectors,
            tuple(sorted(advertisement.peers)),
            tuple(sorted(advertisement.communities)),
            advertisement.local_pref,
            advertisement.aggregation_length,
            advertisement.aggregation_length_v6,
        )
        first = seen.setdefault(said, advertisement.name)
        if first != advertisement.name:
            yield Finding(
                code="LB0312",
                subject=Place("bgp_advertisements", advertisement.name, ("metadata", "name")),
                message=f"{advertisement.name} says the same as {first}",
                help="remove one of them",
                other=Place("bgp_advertisements", first, ("metadata", "name")),
                other_message="said here already",
            )


def local_preferences_are_heard(world: World, secrets: Secrets) -> Iterator[Finding]:
    """LOCAL_PREF goes to peers within the own AS only (RFC 4271 section 5.1.5)."""
    peers = world.bgp_peers
    hearing = {peer.name for peer in peers.values() if not _is_external(peer)}
    for advertisement in world.bgp_advertisements.values():
        if not advertisement.local_pref:
            continue
        names = [name for name in advertisement.peers if name in peers] if advertisement.peers else list(peers)[:1]
        if not names or (any(name in hearing for name in names) if advertisement.peers else hearing):
            continue
        first = peers[names[0]]
        yield Finding(
            code="LB0313",
            subject=Place("bgp_advertisements", advertisement.name, ("spec", "localPref")),
            message="localPref goes to peers of the own AS only, and every peer here is of another one",
            help="leave it out; routers of another AS listen to communities, if to anything",
            other=Place("bgp_peers", first.name, ("spec", "dynamicASN" if first.dynamic_asn else "peerASN")),
            other_message=f"not {first.my_asn}",
        )


def _is_external(peer: BGPPeer) -> bool:
    return peer.dynamic_asn == "external" or peer.peer_asn not in (None, peer.my_asn)
