"""What a comparison takes for granted where manifests do not say it: ready endpoints, and a node to announce on.

Without them nothing is announced on either side, and a configuration that withdraws everything would look like one that
changes nothing. Both sides are given the same, so that it makes no difference of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

from lbctl.model.address import Family
from lbctl.model.endpoint import Endpoint, EndpointSlice, SliceKey
from lbctl.model.node import Node
from lbctl.model.service import ServiceKey, TrafficPolicy
from lbctl.model.snapshot import World

ANYWHERE = ""
"""The name of the node that stands for any, where none is known. Every nodeSelector matches it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supposed:
    """What was supposed: endpoints of `services`, which hold an address and have no EndpointSlice on either side; a
    `node`, where none is known."""

    services: tuple[ServiceKey, ...] = ()
    node: bool = False


NOTHING_SUPPOSED = Supposed()


def suppose_endpoints(before: World, after: World) -> tuple[World, World, Supposed]:
    """Both worlds with ready endpoints in both families for services of which nobody knows any: wherever it counts."""
    known = {item.service for world in (before, after) for item in world.slices.values()}
    unknown = tuple(sorted((before.allocations.keys() | after.allocations.keys()) - known))
    nodes = sorted(before.nodes.keys() | after.nodes.keys())
    supposed = Supposed(services=unknown, node=not nodes)
    if not unknown:
        return before, after, supposed
    everywhere = tuple(Endpoint(addresses=(), node=name) for name in nodes or [ANYWHERE])
    # With traffic policy Cluster one is as good as many, and much less to look through.
    somewhere = everywhere[:1]
    local = {
        key
        for world in (before, after)
        for key in unknown
        if (found := world.services.get(key)) is not None and found.traffic.external_policy is TrafficPolicy.LOCAL
    }
    made: dict[SliceKey, EndpointSlice] = {}
    for service in unknown:
        for family in Family:
            # No object can be called so: there is a slash in it.
            key = SliceKey(service.namespace, f"{service.name}/{family.value}")
            on = everywhere if service in local else somewhere
            made[key] = EndpointSlice(key=key, service=service, family=family, endpoints=on)
    return (
        replace(before, slices=MappingProxyType({**before.slices, **made})),
        replace(after, slices=MappingProxyType({**after.slices, **made})),
        supposed,
    )


def anywhere(world: World) -> World:
    """A world without nodes with one that may announce all that any node may: rules are compared, and no labels."""
    rules = {name: replace(ad, node_selectors=(), preferred_nodes=()) for name, ad in world.l2_advertisements.items()}
    return replace(
        world,
        nodes=MappingProxyType({ANYWHERE: Node(name=ANYWHERE)}),
        l2_advertisements=MappingProxyType(rules),
    )
