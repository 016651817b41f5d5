"""Which prefixes would come, go or be sent again with other attributes, peer by peer and node by node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from lbctl.model.service import ServiceKey
from lbctl.model.snapshot import World
from lbctl.plan.reason import Reason, Refusal
from lbctl.plan.routes import Prefix, Route, RouteAttributes, RoutePlanner, Routes


class RouteEvent(StrEnum):
    ANNOUNCED = "announced"
    WITHDRAWN = "withdrawn"
    CHANGED = "changed"
    """Announced again with other attributes; the session stays."""


class RouteReason(StrEnum):
    PEER_ADDED = "peer_added"
    PEER_REMOVED = "peer_removed"
    NODE_ADDED = "node_added"
    NODE_REMOVED = "node_removed"
    SESSION_OPENS = "session_opens"
    SESSION_CLOSES = "session_closes"
    ADDRESS_GRANTED = "address_granted"
    ADDRESS_RELEASED = "address_released"
    AGGREGATION_CHANGED = "aggregation_changed"
    PEERS_CHANGED = "peers_changed"
    """The advertisements name other peers, or the session carries other families."""
    ATTRIBUTES_CHANGED = "attributes_changed"
    FIT = "fit"
    """What kept it from being advertised is gone: `refusal`."""
    UNFIT = "unfit"
    """Something keeps it from being advertised: `refusal`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteChange:
    """One prefix and one peer. Without nodes in the world `nodes` is empty: those that are selected."""

    peer: str
    prefix: Prefix
    event: RouteEvent
    reason: RouteReason
    services: tuple[ServiceKey, ...]
    nodes: tuple[str, ...] = ()
    before: RouteAttributes | None = None
    after: RouteAttributes | None = None
    refusal: Refusal | None = None


_ByPeer = dict[tuple[str, Prefix], tuple[Route | None, Route | None]]


def changed_routes(
    before: World, after: World, planners: tuple[RoutePlanner, RoutePlanner], pairs: Mapping[str, str]
) -> tuple[RouteChange, ...]:
    """In the order of peers and prefixes. `pairs`: peers of `after` and what they were called before."""
    renamed = {old: new for new, old in pairs.items() if new != old}
    nodes: list[str | None] = [*sorted(before.nodes.keys() | after.nodes.keys())] or [None]
    alike: dict[tuple[object, ...], tuple[str | None, list[str]]] = {}
    sides: dict[tuple[object, ...], tuple[Routes, Routes]] = {}
    for node in nodes:
        there = (node is None or node in before.nodes, node is None or node in after.nodes)
        was: Routes = planners[0].of(node) if there[0] else {}
        shall: Routes = planners[1].of(node) if there[1] else {}
        sessions = (planners[0].peers_of(node), planners[1].peers_of(node))
        key: tuple[object, ...] = (there, sessions, id(was) if was else 0, id(shall) if shall else 0)
        sides[key] = (was, shall)
        alike.setdefault(key, (node, []))[1].extend([node] if node is not None else [])
    merged: dict[tuple[object, ...], tuple[RouteChange, list[str]]] = {}
    for key, (node, together) in alike.items():
        for change in _changes(*sides[key], _Explainer(before, after, planners, node, renamed)):
            same = (change.peer, change.prefix, change.event, change.reason, change.before, change.after)
            merged.setdefault(same, (change, []))[1].extend(together)
    found = [_on(change, tuple(sorted(on))) for change, on in merged.values()]
    return tuple(sorted(found, key=_order))


def _on(change: RouteChange, nodes: tuple[str, ...]) -> RouteChange:
    return RouteChange(
        peer=change.peer,
        prefix=change.prefix,
        event=change.event,
        reason=change.reason,
        services=change.services,
        nodes=nodes,
        before=change.before,
        after=change.after,
        refusal=change.refusal,
    )


def _order(change: RouteChange) -> tuple[object, ...]:
    prefix = change.prefix
    return (change.peer, prefix.version, int(prefix.network_address), prefix.prefixlen, change.event, change.nodes)


@dataclass(frozen=True, slots=True)
class _Explainer:
    """Why a prefix is sent on one side only, asked of the planner of the other side."""

    before: World
    after: World
    planners: tuple[RoutePlanner, RoutePlanner]
    node: str | None
    renamed: Mapping[str, str]

    def withdrawn(self, peer: str, old: Route) -> tuple[RouteReason, Refusal | None]:
        if peer not in self.after.bgp_peers:
            return RouteReason.PEER_REMOVED, None
        if self.node is not None and self.node not in self.after.nodes:
            return RouteReason.NODE_REMOVED, None
        if peer not in self.planners[1].peers_of(self.node):
            return RouteReason.SESSION_CLOSES, None
        refusal, otherwise = self._elsewhere(old, self.before, self.planners[1], peer)
        if refusal is None:
            return otherwise, None
        if refusal.reason is Reason.NOT_ALLOCATED:
            return RouteReason.ADDRESS_RELEASED, None
        return RouteReason.UNFIT, refusal

    def announced(self, peer: str, new: Route) -> tuple[RouteReason, Refusal | None]:
        former = next((old for old, name in self.renamed.items() if name == peer), peer)
        if former not in self.before.bgp_peers:
            return RouteReason.PEER_ADDED, None
        if self.node is not None and self.node not in self.before.nodes:
            return RouteReason.NODE_ADDED, None
        if former not in self.planners[0].peers_of(self.node):
            return RouteReason.SESSION_OPENS, None
        refusal, otherwise = self._elsewhere(new, self.after, self.planners[0], former)
        if refusal is None:
            return otherwise, None
        if refusal.reason is Reason.NOT_ALLOCATED:
            return RouteReason.ADDRESS_GRANTED, None
        return RouteReason.FIT, refusal

    def _elsewhere(
        self, route: Route, here: World, there: RoutePlanner, peer: str
    ) -> tuple[Refusal | None, RouteReason]:
        """Why the other side does not advertise any address behind the prefix; or how else it does."""
        refusal: Refusal | None = None
        for service in route.services:
            for address in here.allocations[service].addresses:
                if address not in route.prefix:
                    continue
                found = there.why_not(self.node, service, address)
                if found is None:
                    elsewhere = any(peer in other.peers for other in there.containing(self.node, address))
                    return None, RouteReason.AGGREGATION_CHANGED if elsewhere else RouteReason.PEERS_CHANGED
                refusal = refusal or found
        return refusal, RouteReason.PEERS_CHANGED


def _changes(was: Routes, shall: Routes, explain: _Explainer) -> Iterator[RouteChange]:
    for (peer, prefix), (old, new) in _differing(was, shall, explain.renamed).items():
        if old is None:
            assert new is not None
            reason, refusal = explain.announced(peer, new)
            event = RouteEvent.ANNOUNCED
        elif new is None:
            reason, refusal = explain.withdrawn(peer, old)
            event = RouteEvent.WITHDRAWN
        else:
            event, reason, refusal = RouteEvent.CHANGED, RouteReason.ATTRIBUTES_CHANGED, None
        chosen = new or old
        assert chosen is not None
        yield RouteChange(
            peer=peer,
            prefix=prefix,
            event=event,
            reason=reason,
            services=chosen.services,
            before=old.attributes if old is not None else None,
            after=new.attributes if new is not None else None,
            refusal=refusal,
        )


def _differing(was: Routes, shall: Routes, renamed: Mapping[str, str]) -> _ByPeer:
    """By peer (as it is called afterwards) and prefix: the routes of both sides, where they are not the same."""
    found: _ByPeer = {}
    for prefix in was.keys() | shall.keys():
        old = {renamed.get(peer, peer): route for route in was.get(prefix, ()) for peer in route.peers}
        new = {peer: route for route in shall.get(prefix, ()) for peer in route.peers}
        for peer in old.keys() | new.keys():
            one, other = old.get(peer), new.get(peer)
            if one is None or other is None or one.attributes != other.attributes:
                found[peer, prefix] = (one, other)
    return found
