"""Which objects of the configuration differ, field by field, whether or not it can be said here what that does.

The other parts of a diff say what an edit does as far as it can be worked out. What it does to an interface of a node,
to a BFD session, or to a service that comes tomorrow cannot; so every edit that can have an effect is listed as such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import summarize_address_range
from typing import Any

from lbctl.model.address import AddressRange
from lbctl.model.advertisement import Failback
from lbctl.model.peer import BGPPeer
from lbctl.model.pool import Pool
from lbctl.model.selector import Labels, LabelSelector, Operator, Requirement
from lbctl.model.snapshot import World
from lbctl.plan.diff_sessions import SessionChange
from lbctl.plan.session_key import HOLD_TIME, SessionField, session_key

Value = str | tuple[str, ...]
"""A field as people read it, with its unit; a tuple where the field is a list."""

DEFAULT = "default"


class ObjectEvent(StrEnum):
    REMOVED = "removed"
    CHANGED = "changed"
    ADDED = "added"


class Consequence(StrEnum):
    """What is to be said of an edit beside it."""

    SESSION_STAYS = "session_stays"
    """It is applied to standing BGP sessions."""
    INTERFACES_UNKNOWN = "interfaces_unknown"
    """It decides on interfaces of nodes, which are not known here."""
    LABELS_UNKNOWN = "labels_unknown"
    """It decides on labels of nodes, and no node is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One field, spelled as in the manifest. `ordered`: a list whose order counts."""

    field: str
    before: Value
    after: Value
    ordered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectChange:
    """One object. What a reset of its sessions is told for already is not among the edits. `used_by`: of a changed
    BFDProfile, the peers that name it."""

    kind: str
    name: str
    event: ObjectEvent
    edits: tuple[Edit, ...] = ()
    consequences: tuple[Consequence, ...] = ()
    used_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    value: Callable[[Any], Value]
    ordered: bool = False


def changed_objects(
    before: World,
    after: World,
    sessions: Sequence[SessionChange],
    pairs: Mapping[str, str],
    secrets: tuple[Mapping[str, str], Mapping[str, str]],
) -> tuple[ObjectChange, ...]:
    """In the order of kinds and names.

    Args:
        sessions: what is told of sessions, so that it is not told twice.
        pairs: peers of `after` and what they were called before.
        secrets: as for `session_key`, before and after.
    """
    selected = _selected_labels(before, after)
    fields = {
        **_FIELDS,
        "pools": (*_FIELDS["pools"], _Field("labels", lambda pool: _labels(_only(pool.labels, selected)))),
    }
    found: list[ObjectChange] = []
    for map, kind in KINDS.items():
        if map == "bgp_peers":
            found += _peers(before, after, sessions, pairs, secrets)
        else:
            found += _of_kind(kind, getattr(before, map), getattr(after, map), fields[map])
    nodes = bool(before.nodes or after.nodes)
    return tuple(_finished(item, after.bgp_peers, nodes=nodes) if item.edits else item for item in found)


KINDS = {
    "pools": "IPAddressPool",
    "l2_advertisements": "L2Advertisement",
    "bgp_advertisements": "BGPAdvertisement",
    "bgp_peers": "BGPPeer",
    "bfd_profiles": "BFDProfile",
    "communities": "Community",
}
"""The maps of a World that an operator's configuration is in."""


def _of_kind(
    kind: str, before: Mapping[str, Any], after: Mapping[str, Any], fields: Iterable[_Field]
) -> Iterator[ObjectChange]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is new:
            continue
        if old is None or new is None:
            event = ObjectEvent.ADDED if old is None else ObjectEvent.REMOVED
            yield ObjectChange(kind=kind, name=name, event=event)
        elif edits := tuple(_edits(old, new, fields)):
            yield ObjectChange(kind=kind, name=name, event=ObjectEvent.CHANGED, edits=edits)


def _finished(item: ObjectChange, peers: Mapping[str, BGPPeer], *, nodes: bool) -> ObjectChange:
    """With what is to be said beside its edits."""
    edited = {edit.field for edit in item.edits}
    consequences = item.consequences
    if not nodes and edited & {"nodeSelectors", "preferredNodeSelectors"}:
        consequences = (Consequence.LABELS_UNKNOWN,)
    if "interfaces" in edited:
        consequences += (Consequence.INTERFACES_UNKNOWN,)
    if item.kind != KINDS["bfd_profiles"]:
        return replace(item, consequences=consequences)
    used_by = tuple(sorted(name for name, peer in peers.items() if peer.session.bfd_profile == item.name))
    return replace(item, consequences=(Consequence.SESSION_STAYS,) if used_by else (), used_by=used_by)


def _edits(old: object, new: object, fields: Iterable[_Field]) -> Iterator[Edit]:
    for field in fields:
        before, after = field.value(old), field.value(new)
        if before != after:
            yield Edit(field=field.name, before=before, after=after, ordered=field.ordered)


def _peers(
    before: World,
    after: World,
    sessions: Sequence[SessionChange],
    pairs: Mapping[str, str],
    secrets: tuple[Mapping[str, str], Mapping[str, str]],
) -> Iterator[ObjectChange]:
    kind = KINDS["bgp_peers"]
    resets = {change.peer for change in sessions if change.fields}
    told = {change.peer for change in sessions}
    gone_over = set(pairs.values())
    missing = _missing_profile(after)
    for name in sorted(before.bgp_peers.keys() | after.bgp_peers.keys()):
        if name not in after.bgp_peers:
            if name not in gone_over:
                yield ObjectChange(kind=kind, name=name, event=ObjectEvent.REMOVED)
            continue
        if name not in pairs:
            yield ObjectChange(kind=kind, name=name, event=ObjectEvent.ADDED)
            continue
        old, new = before.bgp_peers[pairs[name]], after.bgp_peers[name]
        edits = [] if old.name == name else [Edit(field="name", before=old.name, after=name)]
        keyed = [] if name in resets else list(_key_edits(old, new, secrets))
        edits += keyed
        edits += _edits(old, new, _PEER if _own_keepalive(old) or _own_keepalive(new) else _PEER[1:])
        if edits:
            yield ObjectChange(
                kind=kind,
                name=name,
                event=ObjectEvent.CHANGED,
                edits=tuple(map(missing, edits)),
                consequences=() if keyed or name in told else (Consequence.SESSION_STAYS,),
            )


def _missing_profile(world: World) -> Callable[[Edit], Edit]:
    """Says so where an edit names a BFDProfile that the world to be does not have."""

    def marked(edit: Edit) -> Edit:
        if edit.field != "bfdProfile" or not edit.after or edit.after in world.bfd_profiles:
            return edit
        return replace(edit, after=f"{edit.after} (no such BFDProfile)")

    return marked


def _own_keepalive(peer: BGPPeer) -> bool:
    """Whether its keepaliveTime is any other than what follows from the hold time (RFC 4271 section 10)."""
    hold, keepalive = peer.timers.hold_time, peer.timers.keepalive_time
    return keepalive is not None and keepalive != (HOLD_TIME if hold is None else hold) / 3


def _key_edits(old: BGPPeer, new: BGPPeer, secrets: tuple[Mapping[str, str], Mapping[str, str]]) -> Iterator[Edit]:
    """What would reset sessions if there were any: the peer has none on any node that is known."""
    one = session_key(old, secret=secrets[0].get(old.name))
    other = session_key(new, secret=secrets[1].get(new.name))
    for field in one.differs(other):
        yield Edit(
            field=field.value, before=shown_part(field, one.part(field)), after=shown_part(field, other.part(field))
        )


def shown_part(field: SessionField, text: str) -> str:
    """A part of a session key with its unit."""
    return f"{text}s" if field is SessionField.HOLD_TIME else text


def _selected_labels(*worlds: World) -> frozenset[str]:
    """The labels of pools that some advertisement asks for; no other one does anything."""
    selectors = [
        *(selector for world in worlds for ad in world.l2_advertisements.values() for selector in ad.pool_selectors),
        *(selector for world in worlds for ad in world.bgp_advertisements.values() for selector in ad.pool_selectors),
    ]
    return frozenset(
        key
        for selector in selectors
        for key in (*(name for name, _ in selector.match_labels), *(item.key for item in selector.expressions))
    )


def _only(labels: Labels, keys: frozenset[str]) -> Labels:
    return tuple((key, value) for key, value in labels if key in keys)


def _labels(labels: Labels) -> tuple[str, ...]:
    return tuple(sorted(f"{key}={value}" for key, value in labels))


def _range(item: AddressRange) -> str:
    networks = summarize_address_range(item.first, item.last)
    first = next(networks)
    return str(first) if next(networks, None) is None else f"{item.first}-{item.last}"


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _selectors(selectors: Iterable[LabelSelector]) -> tuple[str, ...]:
    return _names(map(selector_text, selectors))


def selector_text(selector: LabelSelector) -> str:
    """A selector as `kubectl -l` takes it; one that matches everything as `{}`."""
    parts = [f"{key}={value}" for key, value in selector.match_labels]
    parts += [_requirement(item) for item in selector.expressions]
    return ",".join(sorted(parts)) or "{}"


def _requirement(item: Requirement) -> str:
    values = " ".join(sorted(item.values))
    match item.operator:
        case Operator.IN:
            return f"{item.key} in ({values})"
        case Operator.NOT_IN:
            return f"{item.key} notin ({values})"
        case Operator.EXISTS:
            return item.key
        case Operator.DOES_NOT_EXIST:
            return f"!{item.key}"


def _yes(value: bool) -> str:
    return "true" if value else "false"


def _seconds(value: float | None) -> str:
    return DEFAULT if value is None else f"{value:g}s"


def _for_services(part: str) -> Callable[[Pool], Value]:
    """A field of serviceAllocation, where an absent one allows everybody and has the lowest priority."""

    def value(pool: Pool) -> Value:
        allocation = pool.service_allocation
        match part:
            case "priority":
                return str(allocation.priority) if allocation is not None else "0"
            case "namespaces":
                return _names(allocation.namespaces) if allocation is not None else ()
            case "namespaceSelectors":
                return _selectors(allocation.namespace_selectors) if allocation is not None else ()
            case _:
                return _selectors(allocation.service_selectors) if allocation is not None else ()

    return value


_COVERAGE = (
    _Field("ipAddressPools", lambda ad: _names(ad.pools)),
    _Field("ipAddressPoolSelectors", lambda ad: _selectors(ad.pool_selectors)),
    _Field("nodeSelectors", lambda ad: _selectors(ad.node_selectors)),
    _Field("serviceSelectors", lambda ad: _selectors(ad.service_selectors)),
)
_FIELDS: Mapping[str, tuple[_Field, ...]] = {
    "pools": (
        _Field("addresses", lambda pool: tuple(map(_range, pool.ranges)), ordered=True),
        _Field("autoAssign", lambda pool: _yes(pool.auto_assign)),
        _Field("avoidBuggyIPs", lambda pool: _yes(pool.avoid_buggy_ips)),
        *(
            _Field(f"serviceAllocation.{part}", _for_services(part))
            for part in ("priority", "namespaces", "namespaceSelectors", "serviceSelectors")
        ),
        _Field("lbctl.io/exclude", lambda pool: _names(map(_range, pool.options.excluded))),
        _Field("lbctl.io/cooling-time", lambda pool: _seconds(pool.options.cooling_time)),
        _Field("lbctl.io/choice", lambda pool: pool.options.choice.value),
        _Field("lbctl.io/protect", lambda pool: "in-use" if pool.options.protected else ""),
        _Field("lbctl.io/on-conflict", lambda pool: pool.options.on_conflict.value),
        _Field("lbctl.io/probe", lambda pool: _yes(pool.options.probe)),
    ),
    "l2_advertisements": (
        *_COVERAGE,
        _Field("interfaces", lambda ad: _names(ad.interfaces)),
        _Field(
            "preferredNodeSelectors",
            lambda ad: tuple(sorted(f"{selector_text(t.preference)} weight {t.weight}" for t in ad.preferred_nodes)),
        ),
        _Field("lbctl.io/failback", lambda ad: (ad.failback or Failback.PREFERRED).value),
        _Field("lbctl.io/require-subnet", lambda ad: _yes(ad.require_subnet)),
        _Field("lbctl.io/announce-rate", lambda ad: "" if ad.announce_rate is None else f"{ad.announce_rate:g}/s"),
    ),
    "bgp_advertisements": (
        *_COVERAGE,
        _Field("peers", lambda ad: _names(ad.peers)),
        _Field("communities", lambda ad: _names(ad.communities)),
        _Field("localPref", lambda ad: str(ad.local_pref)),
        _Field("aggregationLength", lambda ad: str(ad.aggregation_length)),
        _Field("aggregationLengthV6", lambda ad: str(ad.aggregation_length_v6)),
    ),
    "bfd_profiles": (
        _Field("receiveInterval", lambda bfd: f"{bfd.receive_interval}ms"),
        _Field("transmitInterval", lambda bfd: f"{bfd.transmit_interval}ms"),
        _Field("detectMultiplier", lambda bfd: str(bfd.detect_multiplier)),
        _Field("echoInterval", lambda bfd: f"{bfd.echo_interval}ms"),
        _Field("echoMode", lambda bfd: _yes(bfd.echo_mode)),
        _Field("passiveMode", lambda bfd: _yes(bfd.passive_mode)),
        _Field("minimumTtl", lambda bfd: DEFAULT if bfd.minimum_ttl is None else str(bfd.minimum_ttl)),
    ),
    "communities": (_Field("communities", lambda c: tuple(f"{name}={value}" for name, value in sorted(c.aliases))),),
}
_PEER = (
    _Field("keepaliveTime", lambda peer: _seconds(peer.timers.keepalive_time)),
    _Field("connectTime", lambda peer: _seconds(peer.timers.connect_time)),
    _Field("bfdProfile", lambda peer: peer.session.bfd_profile or ""),
    _Field("nodeSelectors", lambda peer: _selectors(peer.node_selectors)),
)
"""What of a peer is not in its session's key. disableMP does nothing."""
