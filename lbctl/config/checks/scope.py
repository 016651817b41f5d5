"""What objects select of each other: advertisements pools, and selectors nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lbctl.model.advertisement import BGPAdvertisement, L2Advertisement
from lbctl.model.node import Node
from lbctl.model.pool import Pool
from lbctl.model.selector import LabelSelector, Operator, Requirement

Advertisement = L2Advertisement | BGPAdvertisement
Selectors = tuple[LabelSelector, ...]


class PoolScope:
    """Which pools an advertisement covers: those it names and those its selectors match; all where it has neither."""

    def __init__(self, pools: Mapping[str, Pool]) -> None:
        self._pools = pools
        self._all = tuple(pools)
        self._labels: list[tuple[str, dict[str, str]]] | None = None
        self._selected: dict[LabelSelector, tuple[str, ...]] = {}

    def covered(self, advertisement: Advertisement) -> Sequence[str]:
        """Their names; each may come twice."""
        if not advertisement.pools and not advertisement.pool_selectors:
            return self._all
        named = tuple(name for name in advertisement.pools if name in self._pools)
        return named + tuple(name for selector in advertisement.pool_selectors for name in self.selected(selector))

    def selected(self, selector: LabelSelector) -> tuple[str, ...]:
        found = self._selected.get(selector)
        if found is None:
            if self._labels is None:
                self._labels = [(name, dict(pool.labels)) for name, pool in self._pools.items()]
            found = tuple(name for name, labels in self._labels if selector.matches(labels))
            self._selected[selector] = found
        return found


class NodeScope:
    """Which nodes selectors match. Where no node is known, only what the selectors themselves say is known."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self.known = bool(nodes)
        self._labels = [(name, dict(node.labels)) for name, node in nodes.items()]
        self._all = frozenset(nodes)
        self._matched: dict[Selectors, frozenset[str]] = {}

    def matched(self, selectors: Selectors) -> frozenset[str]:
        """The names of the nodes that one of the selectors matches; all nodes where there is no selector."""
        if not selectors:
            return self._all
        found = self._matched.get(selectors)
        if found is None:
            found = frozenset(
                name for name, labels in self._labels if any(selector.matches(labels) for selector in selectors)
            )
            self._matched[selectors] = found
        return found

    def meet(self, one: Selectors, other: Selectors) -> bool:
        """Whether some node may be selected by both."""
        if self.known:
            return not self.matched(one).isdisjoint(self.matched(other))
        if not one or not other:
            return True
        return any(may_both_match(a, b) for a in one for b in other)


def may_both_match(one: LabelSelector, other: LabelSelector) -> bool:
    """Whether some labels could satisfy both: false where what they demand of one label excludes each other."""
    by_key: dict[str, list[Requirement]] = {}
    for demand in (*demands(one), *demands(other)):
        by_key.setdefault(demand.key, []).append(demand)
    return all(_satisfiable(each) for each in by_key.values())


def demands(selector: LabelSelector) -> Iterator[Requirement]:
    """All that a selector demands, its labels as expressions."""
    for key, value in selector.match_labels:
        yield Requirement(key=key, operator=Operator.IN, values=(value,))
    yield from selector.expressions


def _satisfiable(demands: Iterable[Requirement]) -> bool:
    """Whether one label can be so, be it absent or with some value."""
    allowed: set[str] | None = None
    forbidden: set[str] = set()
    present = absent = False
    for demand in demands:
        match demand.operator:
            case Operator.IN:
                allowed = set(demand.values) if allowed is None else allowed & set(demand.values)
                present = True
            case Operator.NOT_IN:
                forbidden.update(demand.values)
            case Operator.EXISTS:
                present = True
            case Operator.DOES_NOT_EXIST:
                absent = True
    if absent:
        return not present
    return allowed is None or bool(allowed - forbidden)
