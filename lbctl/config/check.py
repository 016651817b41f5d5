"""Rules over all objects together: each one small function in a table.

A finding that is an error refuses the object that it is about: that object is left out of the world, and the one that
was there first stays. Files come in the order of their names, documents in the order of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lbctl.config.cluster import BASIC_AUTH, Password
from lbctl.config.endpoint import SERVICE_LABEL
from lbctl.config.ranges import ranges_overlap
from lbctl.config.schema import Path
from lbctl.config.spelling import did_you_mean
from lbctl.model.address import AddressRange
from lbctl.model.advertisement import BGPAdvertisement, L2Advertisement
from lbctl.model.pool import Pool
from lbctl.model.service import Service
from lbctl.model.snapshot import World

_FEW = 20


class Place(NamedTuple):
    """Something within an object: the map and key of the object, and the path of the value."""

    map: str
    key: Hashable
    path: Path = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a rule found about `subject`; `other` is a second object that belongs to it."""

    code: str
    subject: Place
    message: str
    help: str = ""
    other: Place | None = None
    other_message: str = ""


Secrets = Mapping[tuple[str, str], Password]
"""Secrets by namespace and name."""

Rule = Callable[[World, Secrets], Iterator[Finding]]
"""Looks at everything that was read; maps are in the order of the text."""


def pools_do_not_overlap(world: World, secrets: Secrets) -> Iterator[Finding]:
    """P7 between pools; of two that overlap the later one is refused."""
    pools: dict[str, Pool] = dict(world.pools)
    while True:
        rows = [(pool, place) for pool in pools.values() for place in range(len(pool.ranges))]
        ranges: list[tuple[AddressRange, int]] = [
            (pool.ranges[place], number) for number, (pool, place) in enumerate(rows)
        ]
        refused: set[str] = set()
        for later, earlier in sorted(ranges_overlap(ranges)):
            pool, place = rows[later]
            first, first_place = rows[earlier]
            if pool.name in refused or first.name in refused:
                continue
            refused.add(pool.name)
            yield Finding(
                code="LB0205",
                subject=Place("pools", pool.name, ("spec", "addresses", place)),
                message=f"{pool.ranges[place].text} overlaps {first.ranges[first_place].text} of the pool {first.name}",
                help="an address may be in one pool only",
                other=Place("pools", first.name, ("spec", "addresses", first_place)),
                other_message="overlaps this",
            )
        if not refused:
            return
        for name in refused:
            del pools[name]


def pools_are_announced(world: World, secrets: Secrets) -> Iterator[Finding]:
    advertisements: list[L2Advertisement | BGPAdvertisement] = [
        *world.l2_advertisements.values(),
        *world.bgp_advertisements.values(),
    ]
    for pool in world.pools.values():
        if not any(_covers(advertisement, pool) for advertisement in advertisements):
            yield Finding(
                code="LB0207",
                subject=Place("pools", pool.name, ("metadata", "name")),
                message=f"no advertisement covers the pool {pool.name}, so nothing announces its addresses",
                help=f"add an L2Advertisement or BGPAdvertisement with ipAddressPools: [{pool.name}]",
            )


def _covers(advertisement: L2Advertisement | BGPAdvertisement, pool: Pool) -> bool:
    if not advertisement.pools and not advertisement.pool_selectors:
        return True
    labels = dict(pool.labels)
    return pool.name in advertisement.pools or any(
        selector.matches(labels) for selector in advertisement.pool_selectors
    )


def advertised_pools_exist(world: World, secrets: Secrets) -> Iterator[Finding]:
    for map, names in (
        ("l2_advertisements", world.l2_advertisements),
        ("bgp_advertisements", world.bgp_advertisements),
    ):
        for name, advertisement in names.items():
            yield from _missing("LB0301", world.pools, Place(map, name), "ipAddressPools", advertisement.pools, "pool")


def advertised_peers_exist(world: World, secrets: Secrets) -> Iterator[Finding]:
    for advertisement in world.bgp_advertisements.values():
        yield from _missing(
            "LB0302",
            world.bgp_peers,
            Place("bgp_advertisements", advertisement.name),
            "peers",
            advertisement.peers,
            "peer",
        )


def _missing(
    code: str, known: Mapping[str, object], subject: Place, field: str, names: Iterable[str], noun: str
) -> Iterator[Finding]:
    for index, name in enumerate(names):
        if name not in known:
            yield Finding(
                code=code,
                subject=subject._replace(path=("spec", field, index)),
                message=f'there is no {noun} "{name}" here',
                help=did_you_mean(name, known),
            )


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
                )


def peer_profiles_exist(world: World, secrets: Secrets) -> Iterator[Finding]:
    """R11."""
    for peer in world.bgp_peers.values():
        name = peer.session.bfd_profile
        if name and name not in world.bfd_profiles:
            yield Finding(
                code="LB0407",
                subject=Place("bgp_peers", peer.name, ("spec", "bfdProfile")),
                message=f'there is no BFDProfile "{name}" here',
                help=did_you_mean(name, world.bfd_profiles),
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
            yield Finding(
                code="LB0408",
                subject=subject,
                message=f'there is no Secret "{reference.name}" here',
                help=did_you_mean(reference.name, by_name),
            )
        elif secret.type != BASIC_AUTH or not secret.value:
            lacks = f"is of type {secret.type}" if secret.type != BASIC_AUTH else "has no key password"
            yield Finding(
                code="LB0409",
                subject=subject,
                message=f'the Secret "{reference.name}" {lacks}',
                help=f"it must be of type {BASIC_AUTH} with the key password",
            )


def requested_pools_exist(world: World, secrets: Secrets) -> Iterator[Finding]:
    pools = world.pools
    if not pools:
        return  # services alone may be checked before there is any pool
    asking = [(service, name) for service in world.services.values() if (name := service.load_balancer.requested_pool)]
    missing = [(service, name) for service, name in asking if name not in pools]
    for service, name in missing:
        yield Finding(
            code="LB0506",
            subject=_annotation(service, "address-pool"),
            message=f'there is no pool "{name}" here',
            help=_near(name, pools, missing) or "the pools are " + ", ".join(sorted(pools)[:8]),
        )


def _near(name: str, known: Iterable[str], missing: Sequence[object]) -> str:
    """A suggestion, as long as it is for some only: looking for one costs more than anything else here."""
    return did_you_mean(name, known) if len(missing) <= _FEW else ""


def requested_addresses_are_in_pools(world: World, secrets: Secrets) -> Iterator[Finding]:
    pools = world.pools
    if not pools:
        return
    for service in world.services.values():
        for address in service.load_balancer.requested:
            if any(address in item for pool in pools.values() for item in pool.ranges):
                continue
            place = _annotation(service, "loadBalancerIPs")
            yield Finding(
                code="LB0507",
                subject=place if place.path else Place("services", service.key, ("spec", "loadBalancerIP")),
                message=f"no pool here holds {address}",
                help="ask for an address of a pool, or add it to one",
            )


def _annotation(service: Service, name: str) -> Place:
    """Where a service has an annotation of MetalLB's, under whichever prefix; without path where it has none."""
    key = next((key for key, _ in service.annotations if key.endswith("/" + name)), None)
    return Place("services", service.key, ("metadata", "annotations", key) if key else ())


def slices_belong_to_services(world: World, secrets: Secrets) -> Iterator[Finding]:
    services = world.services
    if not services:
        return
    missing = [made for made in world.slices.values() if made.service is not None and made.service not in services]
    for made in missing:
        assert made.service is not None
        names = (name for space, name in services if space == made.key.namespace)
        yield Finding(
            code="LB0605",
            subject=Place("slices", made.key, ("metadata", "labels", SERVICE_LABEL)),
            message=f"there is no service {made.service} here",
            help=_near(made.service.name, names, missing),
        )


RULES: tuple[Rule, ...] = (
    pools_do_not_overlap,
    pools_are_announced,
    advertised_pools_exist,
    advertised_peers_exist,
    community_names_are_unique,
    community_names_are_known,
    peer_profiles_exist,
    peer_secrets_hold_passwords,
    requested_pools_exist,
    requested_addresses_are_in_pools,
    slices_belong_to_services,
)
"""In the order they run; what one refuses, the next do not see."""
