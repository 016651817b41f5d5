"""Announcement groups: the allocations that must be announced from one node, and so move together.

Two services belong together when they share a VIP, and the two VIPs of a dual-stack service belong together, because
a client of either must meet the same proxy. A group is a connected component of that relation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lbctl.model.address import IPAddress, address_key
from lbctl.model.allocation import Allocation
from lbctl.model.frozen_map import FrozenMap, changed_keys, frozen
from lbctl.model.service import ServiceKey
from lbctl.model.snapshot import World

GroupKey = tuple[IPAddress, ...]
"""All addresses of a group, IPv4 before IPv6, each family ascending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Allocations (in the order of their services) joined by addresses. `key` holds every one of the addresses."""

    key: GroupKey
    allocations: tuple[Allocation, ...]

    @property
    def services(self) -> tuple[ServiceKey, ...]:
        return tuple(allocation.service for allocation in self.allocations)

    def allocation_id(self, address: IPAddress) -> int:
        """The newest grant of `address`, 0 when it is not of this group."""
        return max((a.id for a in self.allocations if address in a.addresses), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """All groups, by key and by each of their addresses."""

    by_key: Mapping[GroupKey, Group] = field(default_factory=FrozenMap)
    by_address: Mapping[IPAddress, Group] = field(default_factory=FrozenMap)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsMemo:
    """What the last answer was made of."""

    allocations: Mapping[ServiceKey, Allocation] = field(default_factory=FrozenMap)
    groups: Groups = field(default_factory=Groups)


def group(world: World, memo: GroupsMemo | None = None) -> tuple[Groups, GroupsMemo]:
    """The groups of a world. A group whose allocations are the very same as in `memo` is the very same group."""
    old = memo or GroupsMemo()
    if world.allocations is old.allocations:
        return old.groups, old
    touched: set[IPAddress] = set()
    seeds: set[ServiceKey] = set()
    for key in changed_keys(old.allocations, world.allocations):
        before, after = old.allocations.get(key), world.allocations.get(key)
        if after is not None:
            seeds.add(key)
            touched.update(after.addresses)
        if before is not None:
            touched.update(before.addresses)

    known = old.groups.by_address
    broken = {id(found): found for address in touched if (found := known.get(address)) is not None}
    for found in broken.values():
        seeds.update(key for key in found.services if key in world.allocations)
    by_key: dict[GroupKey, Group] = {}
    by_address: dict[IPAddress, Group] = {}
    for made in _components(world.allocations[key] for key in sorted(seeds)):
        kept = old.groups.by_key.get(made.key)
        if kept is not None and _same(kept, made):
            made = kept
        by_key[made.key] = made
        for address in made.key:
            by_address[address] = made
    groups = Groups(
        by_key=frozen(old.groups.by_key).having(by_key, [found.key for found in broken.values()]),
        by_address=frozen(known).having(by_address, [address for found in broken.values() for address in found.key]),
    )
    return groups, GroupsMemo(allocations=world.allocations, groups=groups)


def _same(old: Group, new: Group) -> bool:
    return len(old.allocations) == len(new.allocations) and all(
        mine is theirs for mine, theirs in zip(old.allocations, new.allocations, strict=True)
    )


def _components(allocations: Iterable[Allocation]) -> list[Group]:
    """Union-find over addresses. An allocation without addresses belongs to no group."""
    parent: dict[IPAddress, IPAddress] = {}

    def root(address: IPAddress) -> IPAddress:
        while (above := parent[address]) is not address:
            parent[address] = parent[above]
            address = above
        return address

    members = [allocation for allocation in allocations if allocation.addresses]
    for allocation in members:
        first = parent.setdefault(allocation.addresses[0], allocation.addresses[0])
        for address in allocation.addresses[1:]:
            parent[root(parent.setdefault(address, address))] = root(first)
    joined: dict[IPAddress, list[Allocation]] = {}
    for allocation in members:
        joined.setdefault(root(parent[allocation.addresses[0]]), []).append(allocation)
    return [
        Group(
            key=tuple(sorted({address for a in together for address in a.addresses}, key=address_key)),
            allocations=tuple(sorted(together, key=lambda a: a.service)),
        )
        for together in joined.values()
    ]
