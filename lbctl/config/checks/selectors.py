"""Selectors of advertisements and peers that match nothing, as far as there is something to match.

Where all selectors of a list match nothing, nothing is announced: a warning. One of several, or one of services (which
come and go), is worth a note.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from lbctl.config.checks.finding import Finding, Place, Secrets
from lbctl.config.checks.scope import Advertisement, NodeScope, PoolScope, Selectors
from lbctl.model.selector import LabelSelector
from lbctl.model.service import ServiceType
from lbctl.model.snapshot import World

_LOOK = "compare it with the labels as they are"
_LATER = "compare it with the labels as they are, or leave it if they are still to come"


def selectors_match_something(world: World, secrets: Secrets) -> Iterator[Finding]:
    pools, nodes = PoolScope(world.pools), NodeScope(world.nodes)
    services = _ServiceScope(world)
    places: list[tuple[Place, Advertisement]] = [
        *((Place("l2_advertisements", name), found) for name, found in world.l2_advertisements.items()),
        *((Place("bgp_advertisements", name), found) for name, found in world.bgp_advertisements.items()),
    ]
    for place, advertisement in places:
        if world.pools:
            unmatched = _Unmatched(place, "ipAddressPoolSelectors", "pool", "" if advertisement.pools else "LB0307")
            yield from unmatched.among(advertisement.pool_selectors, lambda selector: bool(pools.selected(selector)))
        yield from _of_nodes(_Unmatched(place, "nodeSelectors", "node", "LB0308"), advertisement.node_selectors, nodes)
        if advertisement.service_selectors and services.known:
            unmatched = _Unmatched(place, "serviceSelectors", "service of type LoadBalancer", "")
            yield from unmatched.among(advertisement.service_selectors, services.matches)
    for name, preferring in world.l2_advertisements.items():
        place = Place("l2_advertisements", name)
        for index, term in enumerate(preferring.preferred_nodes):
            if nodes.known and not nodes.matched((term.preference,)):
                path = ("spec", "preferredNodeSelectors", index, "preference")
                message = "this preference matches no node here"
                yield Finding(code="LB0309", subject=place._replace(path=path), message=message, help=_LATER)
    for name, peer in world.bgp_peers.items():
        unmatched = _Unmatched(Place("bgp_peers", name), "nodeSelectors", "node", "LB0411")
        yield from _of_nodes(unmatched, peer.node_selectors, nodes)


class _Unmatched(NamedTuple):
    """A list of selectors. `all_code` is for when none of them matches anything; without it that too is a note."""

    place: Place
    field: str
    noun: str
    all_code: str

    def among(self, selectors: Selectors, matches: Callable[[LabelSelector], bool]) -> Iterator[Finding]:
        indexes = [index for index, selector in enumerate(selectors) if not matches(selector)]
        if self.all_code and indexes and len(indexes) == len(selectors):
            subject = "this selector matches" if len(indexes) == 1 else "these selectors match"
            yield self._finding(self.all_code, (0,) if len(indexes) == 1 else (), subject, _LOOK)
            return
        for index in indexes:
            yield self._finding("LB0309", (index,), "this selector matches", _LATER)

    def _finding(self, code: str, path: tuple[int, ...], subject: str, help: str) -> Finding:
        place = self.place._replace(path=("spec", self.field, *path))
        return Finding(code=code, subject=place, message=f"{subject} no {self.noun} here", help=help)


def _of_nodes(unmatched: _Unmatched, selectors: Selectors, nodes: NodeScope) -> Iterator[Finding]:
    if selectors and nodes.known:
        yield from unmatched.among(selectors, lambda selector: bool(nodes.matched((selector,))))


class _ServiceScope:
    """Services of type LoadBalancer, by their labels; looked at only once a selector asks."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._labels: list[dict[str, str]] | None = None
        self._matched: dict[LabelSelector, bool] = {}

    @property
    def known(self) -> bool:
        return bool(self._all())

    def matches(self, selector: LabelSelector) -> bool:
        if selector not in self._matched:
            self._matched[selector] = any(selector.matches(labels) for labels in self._all())
        return self._matched[selector]

    def _all(self) -> list[dict[str, str]]:
        if self._labels is None:
            services = self._world.services.values()
            distinct = {service.labels for service in services if service.type is ServiceType.LOAD_BALANCER}
            self._labels = [dict(labels) for labels in distinct]
        return self._labels
