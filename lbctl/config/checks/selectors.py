"""Selectors of advertisements and peers that match nothing, as far as there is something to match.

Where all selectors of a list match nothing, nothing is announced: a warning. One of several, or one of services (which
come and go), is worth a note.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from lbctl.config.checks.finding import Finding, Place, Secrets, some
from lbctl.config.checks.scope import Advertisement, Selectors, demands
from lbctl.config.spelling import nearest
from lbctl.model.selector import Labels, LabelSelector, Operator, Requirement
from lbctl.model.service import ServiceType
from lbctl.model.snapshot import World


def selectors_match_something(world: World, secrets: Secrets) -> Iterator[Finding]:
    places: list[tuple[Place, Advertisement]] = [
        *((Place("l2_advertisements", name), found) for name, found in world.l2_advertisements.items()),
        *((Place("bgp_advertisements", name), found) for name, found in world.bgp_advertisements.items()),
    ]
    nodes = LabelScope("node", [node.labels for node in world.nodes.values()])
    pools = LabelScope("pool", [pool.labels for pool in world.pools.values()])
    for place, advertisement in places:
        unmatched = _Unmatched(place, "ipAddressPoolSelectors", "" if advertisement.pools else "LB0307")
        yield from unmatched.among(advertisement.pool_selectors, pools)
        yield from _Unmatched(place, "nodeSelectors", "LB0308").among(advertisement.node_selectors, nodes)
    for name, preferring in world.l2_advertisements.items():
        place = Place("l2_advertisements", name)
        for index, term in enumerate(preferring.preferred_nodes):
            if nodes.known and not nodes.matches(term.preference):
                yield Finding(
                    code="LB0309",
                    subject=place._replace(path=("spec", "preferredNodeSelectors", index, "preference")),
                    message="this preference matches no node here",
                    help=nodes.lack(term.preference),
                )
    for name, peer in world.bgp_peers.items():
        unmatched = _Unmatched(Place("bgp_peers", name), "nodeSelectors", "LB0411")
        yield from unmatched.among(peer.node_selectors, nodes)
    selecting = [(place, found.service_selectors) for place, found in places if found.service_selectors]
    if selecting:  # services are many, and looked at only if somebody asks
        asking = [service.labels for service in world.services.values() if service.type is ServiceType.LOAD_BALANCER]
        services = LabelScope("service of type LoadBalancer", asking)
        for place, selectors in selecting:
            yield from _Unmatched(place, "serviceSelectors", "").among(selectors, services)


class LabelScope:
    """The labels of all objects of a kind, to be matched by selectors."""

    def __init__(self, noun: str, labels: Sequence[Labels]) -> None:
        self.noun = noun
        self.known = bool(labels)
        self._labels = labels
        self._distinct: list[Mapping[str, str]] | None = None
        self._matched: dict[LabelSelector, bool] = {}
        self._having_key: dict[str, dict[str, list[Mapping[str, str]]]] = {}
        self._values: dict[str, list[str]] = {}

    def matches(self, selector: LabelSelector) -> bool:
        if selector not in self._matched:
            self._matched[selector] = any(selector.matches(labels) for labels in self._having(selector))
        return self._matched[selector]

    def lack(self, selector: LabelSelector) -> str:
        """What of a selector that matches nothing is not there: a label, or its value."""
        for demand in demands(selector):
            if demand.operator not in (Operator.IN, Operator.EXISTS):
                continue
            values = self._values_of(demand.key)
            if not values:
                meant = nearest(demand.key, {each for labels in self._all() for each in labels})
                help = f'no {self.noun} has the label "{demand.key}"'
                return help + (f'; did you mean "{meant}"?' if meant else "")
            if demand.operator is Operator.IN and not set(demand.values) & set(values):
                return f"{demand.key} is {some(values)} here"
        return "no object has all of it at once; compare it with the labels as they are"

    def _having(self, selector: LabelSelector) -> Sequence[Mapping[str, str]]:
        """Those that meet the demand which the fewest meet: many selectors must not look at many objects each."""
        return min((self._meeting(demand) for demand in demands(selector)), key=len, default=self._all())

    def _meeting(self, demand: Requirement) -> Sequence[Mapping[str, str]]:
        if demand.operator not in (Operator.IN, Operator.EXISTS):
            return self._all()
        by_value = self._by_value(demand.key)
        if demand.operator is Operator.IN and len(demand.values) == 1:
            return by_value.get(demand.values[0], ())
        wanted = dict.fromkeys(demand.values) if demand.operator is Operator.IN else by_value
        return [labels for value in wanted for labels in by_value.get(value, ())]

    def _by_value(self, key: str) -> Mapping[str, Sequence[Mapping[str, str]]]:
        """The labels of those that have one of this key, by its value."""
        if key not in self._having_key:
            found = self._having_key[key] = {}
            for labels in self._all():
                if key in labels:
                    found.setdefault(labels[key], []).append(labels)
        return self._having_key[key]

    def _values_of(self, key: str) -> list[str]:
        if key not in self._values:
            self._values[key] = sorted(self._by_value(key))
        return self._values[key]

    def _all(self) -> list[Mapping[str, str]]:
        if self._distinct is None:
            self._distinct = [dict(labels) for labels in dict.fromkeys(self._labels)]
        return self._distinct


class _Unmatched(NamedTuple):
    """A list of selectors. `all_code` is for when none of them matches anything; without it that too is a note."""

    place: Place
    field: str
    all_code: str

    def among(self, selectors: Selectors, scope: LabelScope) -> Iterator[Finding]:
        if not selectors or not scope.known:
            return
        indexes = [index for index, selector in enumerate(selectors) if not scope.matches(selector)]
        if self.all_code and len(indexes) == len(selectors) > 1:
            message = f"these selectors match no {scope.noun} here"
            yield self._finding(self.all_code, (), message, scope.lack(selectors[0]))
            return
        code = self.all_code if self.all_code and len(indexes) == len(selectors) else "LB0309"
        for index in indexes:
            message = f"this selector matches no {scope.noun} here"
            yield self._finding(code, (index,), message, scope.lack(selectors[index]))

    def _finding(self, code: str, path: tuple[int, ...], message: str, help: str) -> Finding:
        place = self.place._replace(path=("spec", self.field, *path))
        return Finding(code=code, subject=place, message=message, help=help)
