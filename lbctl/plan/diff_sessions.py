"""Which BGP sessions would reset, open and close: the keys and the nodes of every peer, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from lbctl.model.snapshot import World
from lbctl.plan.routes import peer_nodes
from lbctl.plan.session_key import SessionField, session_key


class SessionEvent(StrEnum):
    RESETS = "resets"
    OPENS = "opens"
    CLOSES = "closes"


class SessionReason(StrEnum):
    KEY_CHANGED = "session_key_changed"
    PEER_ADDED = "peer_added"
    PEER_REMOVED = "peer_removed"
    NODE_ADDED = "node_added"
    NODE_REMOVED = "node_removed"
    NODE_SELECTED = "node_selected"
    NODE_NOT_SELECTED = "node_not_selected"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """A part of a session key and what it was and would be; of a password, only where it comes from."""

    field: SessionField
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionChange:
    """The sessions of some nodes with one peer. Without nodes in the world `nodes` is empty: those that it selects."""

    peer: str
    event: SessionEvent
    reason: SessionReason
    nodes: tuple[str, ...] = ()
    fields: tuple[FieldChange, ...] = ()


def changed_sessions(
    before: World, after: World, pairs: Mapping[str, str], secrets: tuple[Mapping[str, str], Mapping[str, str]]
) -> tuple[SessionChange, ...]:
    """In the order of the peers' names. `pairs`: peers of `after` and what they were called before."""
    nodes_before, nodes_after = peer_nodes(before), peer_nodes(after)
    found: list[SessionChange] = []
    for name, old in pairs.items():
        was, shall = nodes_before[old], nodes_after[name]
        one = session_key(before.bgp_peers[old], secret=secrets[0].get(old))
        other = session_key(after.bgp_peers[name], secret=secrets[1].get(name))
        fields = tuple(
            FieldChange(field=field, before=one.part(field), after=other.part(field)) for field in one.differs(other)
        )
        if fields and was & shall:
            found.append(
                SessionChange(
                    peer=name,
                    event=SessionEvent.RESETS,
                    reason=SessionReason.KEY_CHANGED,
                    nodes=_named(was & shall),
                    fields=fields,
                )
            )
        found += _by_reason(
            name, SessionEvent.OPENS, shall - was, before, SessionReason.NODE_ADDED, SessionReason.NODE_SELECTED
        )
        found += _by_reason(
            name, SessionEvent.CLOSES, was - shall, after, SessionReason.NODE_REMOVED, SessionReason.NODE_NOT_SELECTED
        )
    for name in after.bgp_peers.keys() - pairs.keys():
        found += _whole(name, SessionEvent.OPENS, SessionReason.PEER_ADDED, nodes_after[name])
    for name in before.bgp_peers.keys() - set(pairs.values()):
        found += _whole(name, SessionEvent.CLOSES, SessionReason.PEER_REMOVED, nodes_before[name])
    return tuple(sorted(found, key=lambda change: (change.peer, change.event, change.reason, change.nodes)))


def _whole(peer: str, event: SessionEvent, reason: SessionReason, nodes: frozenset[str | None]) -> list[SessionChange]:
    return [SessionChange(peer=peer, event=event, reason=reason, nodes=_named(nodes))] if nodes else []


def _by_reason(
    peer: str,
    event: SessionEvent,
    nodes: frozenset[str | None],
    other: World,
    if_unknown: SessionReason,
    if_known: SessionReason,
) -> list[SessionChange]:
    """One change for the nodes that the other side does not have, one for those that it has."""
    unknown = frozenset(node for node in nodes if node is not None and node not in other.nodes)
    return [
        SessionChange(peer=peer, event=event, reason=reason, nodes=_named(part))
        for reason, part in ((if_unknown, unknown), (if_known, nodes - unknown))
        if part
    ]


def _named(nodes: frozenset[str | None]) -> tuple[str, ...]:
    return tuple(sorted(node for node in nodes if node is not None))
