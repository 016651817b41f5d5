"""World + View = Snapshot: all that a decision may look at.

World is what is wanted and granted (config, objects, allocations); it comes from one source. View is what is known of
the speakers (members, claims, drains, pins); it comes from heartbeats. Maps are read-only; unchanged objects keep their
identity from one generation to the next, and maps remember what they were made from (`frozen_map`), so that "what
changed" costs what changed, and a walk over identities at worst.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from lbctl.model.frozen_map import FrozenMap, changed_keys

if TYPE_CHECKING:
    # Who reads configuration alone need not wait for what only a cluster that runs has.
    from lbctl.model.address import IPAddress
    from lbctl.model.advertisement import BGPAdvertisement, L2Advertisement
    from lbctl.model.allocation import Allocation
    from lbctl.model.claim import Claim
    from lbctl.model.endpoint import EndpointSlice, SliceKey
    from lbctl.model.member import Member
    from lbctl.model.node import Namespace, Node
    from lbctl.model.peer import BFDProfile, BGPPeer, CommunityAliases
    from lbctl.model.pool import Pool
    from lbctl.model.reservation import Quarantine
    from lbctl.model.service import Service, ServiceKey

_K = TypeVar("_K")
_V = TypeVar("_V")
_EMPTY: Mapping[Any, Any] = FrozenMap()


def _empty() -> Mapping[Any, Any]:
    return _EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Config, objects and allocations at one generation. Generations grow by one with every change."""

    generation: int = 0
    made_unix: float = 0.0
    services: Mapping[ServiceKey, Service] = field(default_factory=_empty)
    slices: Mapping[SliceKey, EndpointSlice] = field(default_factory=_empty)
    nodes: Mapping[str, Node] = field(default_factory=_empty)
    namespaces: Mapping[str, Namespace] = field(default_factory=_empty)
    pools: Mapping[str, Pool] = field(default_factory=_empty)
    l2_advertisements: Mapping[str, L2Advertisement] = field(default_factory=_empty)
    bgp_advertisements: Mapping[str, BGPAdvertisement] = field(default_factory=_empty)
    bgp_peers: Mapping[str, BGPPeer] = field(default_factory=_empty)
    bfd_profiles: Mapping[str, BFDProfile] = field(default_factory=_empty)
    communities: Mapping[str, CommunityAliases] = field(default_factory=_empty)
    allocations: Mapping[ServiceKey, Allocation] = field(default_factory=_empty)
    quarantined: Mapping[IPAddress, Quarantine] = field(default_factory=_empty)

    def changes_since(self, old: World) -> Changes:
        """The keys, map by map, whose object is not the very same one as in `old`."""
        return Changes(
            maps=tuple(
                (name, changed) for name in MAPS if (changed := changed_keys(getattr(old, name), getattr(self, name)))
            )
        )


MAPS: tuple[str, ...] = tuple(f.name for f in fields(World) if f.name not in ("generation", "made_unix"))
"""The names of World's maps, in the order they are declared."""
SOURCE_MAPS: tuple[str, ...] = tuple(name for name in MAPS if name not in ("allocations", "quarantined"))
"""Those that a source brings; the controller writes the others."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Keys whose object was added, removed or replaced, by the name of the map."""

    maps: tuple[tuple[str, frozenset[Any]], ...] = ()

    def of(self, name: str) -> frozenset[Any]:
        return next((keys for key, keys in self.maps if key == name), frozenset())

    def __bool__(self) -> bool:
        return bool(self.maps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """A node from which everything is to move away. The higher (version, by) wins everywhere."""

    node: str
    version: int
    by: str
    since_unix: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """An address that an operator sent to one node, until released."""

    address: IPAddress
    node: str
    version: int
    by: str
    since_unix: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalance:
    """An order to spread the groups evenly over the nodes, once. The higher (version, by) wins everywhere."""

    version: int
    by: str
    since_unix: float


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is known of the speakers, by whom (`source`: a node's name) and as of when.

    `seen_unix` is the moment this describes: what depends on time alone (a hold-down that ends) is told by it.
    `claims` holds each node's own word; two nodes may claim one address, and that is a finding, not an error.
    """

    source: str = ""
    seen_unix: float = 0.0
    synced: bool = True
    members: Mapping[str, Member] = field(default_factory=_empty)
    claims: Mapping[str, Mapping[IPAddress, Claim]] = field(default_factory=_empty)
    drains: Mapping[str, Drain] = field(default_factory=_empty)
    pins: Mapping[IPAddress, Pin] = field(default_factory=_empty)
    rebalance: Rebalance | None = None

    def claims_of(self, address: IPAddress) -> tuple[Claim, ...]:
        """Every claim to one address, in the order of node names."""
        return tuple(claims[address] for _, claims in sorted(self.claims.items()) if address in claims)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The input of every decision. Without a view (no speaker could be asked) owners are not known."""

    world: World
    view: View | None = None


def evolve(world: World, *, made_unix: float, **maps: Mapping[Any, Any]) -> World:
    """The next generation, with some maps replaced. The maps not named keep their identity."""
    made: dict[str, Any] = {name: _next(getattr(world, name), value) for name, value in maps.items()}
    return replace(world, generation=world.generation + 1, made_unix=made_unix, **made)


def _next(before: Mapping[Any, Any], content: Mapping[Any, Any]) -> FrozenMap[Any, Any]:
    if isinstance(content, FrozenMap):
        return content
    return before.become(content) if isinstance(before, FrozenMap) and before else FrozenMap(content)


def thawed(mapping: Mapping[_K, _V]) -> dict[_K, _V]:
    """A copy to change. `dict(proxy)` would hash every key anew, which for addresses takes most of a plan's time."""
    return mapping.copy() if isinstance(mapping, MappingProxyType) else dict(mapping)
