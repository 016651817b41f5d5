"""Where the usable endpoints of each service are: all that the choice of an announcing node needs to know of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lbctl.model.address import Family
from lbctl.model.endpoint import EndpointSlice, SliceKey
from lbctl.model.frozen_map import FrozenMap, changed_keys, frozen
from lbctl.model.service import ServiceKey
from lbctl.model.snapshot import World

_EMPTY: Mapping[Any, Any] = FrozenMap()


@dataclass(frozen=True, slots=True)
class Backing:
    """Per family the nodes that hold a usable endpoint; a family without any is not listed.

    A family whose only usable endpoints name no node is listed with no nodes.
    """

    nodes: Mapping[Family, frozenset[str]] = field(default_factory=lambda: _EMPTY)


NONE = Backing()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackingMemo:
    """What the last answer was made of: the slices, and the slices of each service."""

    slices: Mapping[SliceKey, EndpointSlice] = field(default_factory=lambda: _EMPTY)
    of_service: Mapping[ServiceKey, frozenset[SliceKey]] = field(default_factory=lambda: _EMPTY)
    backings: Mapping[ServiceKey, Backing] = field(default_factory=lambda: _EMPTY)


def back(world: World, memo: BackingMemo | None = None) -> tuple[Mapping[ServiceKey, Backing], BackingMemo]:
    """The backing of every service that has slices. A backing that is the same keeps its identity."""
    old = memo or BackingMemo()
    if world.slices is old.slices:
        return old.backings, old
    moved: dict[ServiceKey, tuple[set[SliceKey], set[SliceKey]]] = {}

    def note(service: ServiceKey | None, added: SliceKey | None, removed: SliceKey | None) -> None:
        if service is not None:
            plus, minus = moved.setdefault(service, (set(), set()))
            if added is not None:
                plus.add(added)
            if removed is not None:
                minus.add(removed)

    for key in changed_keys(old.slices, world.slices):
        before, after = old.slices.get(key), world.slices.get(key)
        if before is not None and (after is None or before.service != after.service):
            note(before.service, None, key)
        if after is not None:
            note(after.service, key, None)

    of_service: dict[ServiceKey, frozenset[SliceKey]] = {}
    backings: dict[ServiceKey, Backing] = {}
    unbacked: list[ServiceKey] = []
    for service, (plus, minus) in moved.items():
        keys = (old.of_service.get(service, frozenset()) - minus) | plus
        if not keys:
            unbacked.append(service)
            continue
        of_service[service] = keys
        made = _backing(world.slices[key] for key in keys)
        if old.backings.get(service) != made:
            backings[service] = made
    result = frozen(old.backings).having(backings, unbacked)
    return result, BackingMemo(
        slices=world.slices, of_service=frozen(old.of_service).having(of_service, unbacked), backings=result
    )


def _backing(slices: Iterable[EndpointSlice]) -> Backing:
    nodes: dict[Family, set[str]] = {}
    for part in slices:
        for endpoint in part.endpoints:
            if endpoint.is_usable:
                on = nodes.setdefault(part.family, set())
                if endpoint.node is not None:
                    on.add(endpoint.node)
    return Backing(MappingProxyType({family: frozenset(on) for family, on in nodes.items()}))
