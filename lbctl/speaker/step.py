"""One step of the work process, pure: what is known now and what was told before, into what is to be told.

Level, not edge: a step looks at where things are, never at what just happened. Called twice it says nothing twice; a
missed call costs time and nothing else. `Told` is what the other processes know from us.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.interface import Interface
from lbctl.model.member import Conflict, Liveness, Member, Role
from lbctl.model.snapshot import Snapshot, View, thawed
from lbctl.plan.announce import AnnounceMemo, announce, decide
from lbctl.plan.eligible import OwnInterfaces
from lbctl.plan.moves import Agenda
from lbctl.plan.planned import Plan, Prepared
from lbctl.plan.reason import Cause
from lbctl.speaker.announcers import (
    Message,
    Table,
    decision_messages,
    interfaces_message,
    pace_messages,
    prepare_messages,
    say_message,
    segments_message,
    table_messages,
    table_of,
)
from lbctl.speaker.first_use import RECHECK_TIME, Finding, FirstUse, Probed, first_uses, look, probing_time
from lbctl.speaker.owners import Move, Owners, follow
from lbctl.speaker.start_wait import StartWait

_EMPTY: Mapping[Any, Any] = MappingProxyType({})
ASK_AGAIN = 1.0
"""Seconds after which a decision that pulse did not carry out is told again."""
MOVES_LOGGED = 20
"""Changes of owner that are logged one by one; a failover of 10,000 addresses must not wait for its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that a step looks at. `listened`: pulse has heard everybody there is, claims may be made.

    `peers` are the addresses the operator named, `remembered` the speakers met before, by name. `given_up` says why
    this node gave up what it held. `probed` is what wire found since the last step, `used` the allocation for which an
    address was announced by anybody, as far as this node remembers. `start_wait`: for how many seconds at most a start
    waits for all the nodes there should be, before it claims what nobody is known to have had.
    """

    node: str
    snapshot: Snapshot
    interfaces: tuple[Interface, ...] = ()
    probed: tuple[Probed, ...] = ()
    used: Mapping[IPAddress, int] = field(default_factory=lambda: _EMPTY)
    recheck_time: float = RECHECK_TIME
    peers: tuple[IPAddress, ...] = ()
    remembered: Mapping[str, tuple[IPAddress, ...]] = field(default_factory=lambda: _EMPTY)
    detection_time: float
    started_unix: float = 0.0
    start_wait: float = 0.0
    listened: bool = False
    given_up: Mapping[IPAddress, str] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What pulse and wire know from us, and what this node saw of owners; kept from step to step."""

    segments: Message | None = None
    interfaces: Message | None = None
    peers: Message | None = None
    friends: Message | None = None
    said: Message | None = None
    prepared: Mapping[IPAddress, Prepared] = field(default_factory=lambda: _EMPTY)
    table: Table = field(default_factory=lambda: _EMPTY)
    used: tuple[Interface, ...] | None = None
    """The interfaces that `table` was made for."""
    claims_asked: Mapping[IPAddress, float] = field(default_factory=lambda: _EMPTY)
    over_asked: Mapping[IPAddress, float] = field(default_factory=lambda: _EMPTY)
    releases_asked: Mapping[IPAddress, float] = field(default_factory=lambda: _EMPTY)
    owners: Owners = field(default_factory=Owners)
    first_use: FirstUse = field(default_factory=FirstUse)
    memo: AnnounceMemo = field(default_factory=AnnounceMemo)
    start: StartWait = field(default_factory=StartWait)
    agenda: Agenda = field(default_factory=Agenda)
    kept: frozenset[IPAddress] = frozenset()
    """What stays prepared though the plan has it no longer, until another has taken it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line for the log."""

    name: str
    fields: Mapping[str, Any]
    level: int = logging.INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do: send to wire and pulse, in this order, write the moves down, log, and look again at a time if any."""

    told: Told
    to_wire: tuple[Message, ...] = ()
    to_pulse: tuple[Message, ...] = ()
    to_wire_after: tuple[Message, ...] = ()
    """For wire, once pulse knows: what may no longer be answered."""
    moves: tuple[Move, ...] = ()
    findings: tuple[Finding, ...] = ()
    events: tuple[Event, ...] = ()
    look_again_at: float | None = None


def own_interfaces(node: str, interfaces: Sequence[Interface]) -> OwnInterfaces:
    """The interfaces of this node as the plan wants to know them."""
    return OwnInterfaces(
        node=node,
        usable=MappingProxyType({interface.name: interface.usable for interface in interfaces}),
        lacking=MappingProxyType({i.name: i.lacking for i in interfaces if i.lacking is not None}),
        networks=frozenset(network for i in interfaces if i.usable for network in i.networks),
    )


def step(situation: Situation, told: Told, *, now: float, now_unix: float) -> Step:
    """Compares what should be with what was told. `now` is monotonic, `now_unix` for the record."""
    view = situation.snapshot.view
    assert view is not None, "a speaker always has a view of its own"
    segments = segments_message(situation.interfaces, unheard_interfaces(situation))
    interfaces = interfaces_message(situation.interfaces)
    peers = peers_message(situation)
    friends = friends_message(view, situation.node)

    plan, memo = announce(situation.snapshot, told.memo, own=own_interfaces(situation.node, situation.interfaces))
    owners, moves = follow(
        told.owners,
        view,
        memo.elect.claims,
        plan.by_address,
        now=now,
        now_unix=now_unix,
        started_unix=situation.started_unix,
        given_up=situation.given_up,
    )
    owners = _from_now(owners, told.prepared, plan.prepared, now)
    probing = first_uses(owners.unowned, plan, situation.snapshot.world, situation.used)
    decision = decide(
        plan,
        view,
        situation.node,
        unowned=owners.unowned,
        detection_time=situation.detection_time,
        probing=probing,
        probing_time=probing_time(len(probing)),
        agenda=told.agenda,
        now=now,
    )
    prepared, changed = _with_kept(plan, told, decision.keep)
    touched = changed if situation.interfaces is told.used else None
    table = table_of(prepared, situation.interfaces, told.table, touched) if touched != frozenset() else told.table
    wire_set, wire_drop = table_messages(told.table, table, touched)
    pulse_set, pulse_drop = prepare_messages(told.prepared, prepared, situation.snapshot.world.generation, changed)
    start = told.start.after(
        {peer["name"] for peer in peers["peers"]}, plan.alive, listened=situation.listened, now=now
    )
    looked = look(
        told.first_use,
        node=situation.node,
        snapshot=situation.snapshot,
        plan=plan,
        wanted=start.allowed(decision.claim, situation.start_wait, now) if situation.listened else {},
        probing=probing,
        table=table,
        interfaces=situation.interfaces,
        probed=situation.probed,
        recheck_time=situation.recheck_time,
        now=now,
        now_unix=now_unix,
    )
    said = say_message(situation.interfaces, looked.state.conflicts)
    releases, releases_asked = _due(decision.release, told.releases_asked, now)
    # Pulse refuses what is asked for while others are not heard: whoever comes or goes makes it a new question.
    asked = told.claims_asked if plan.alive == told.memo.elect.alive else _EMPTY
    claims, claims_asked = _due(looked.claim, asked, now)
    over, over_asked = _due(decision.over if situation.listened else {}, told.over_asked, now)

    to_wire = [interfaces] if interfaces != told.interfaces else []
    to_wire += [friends] if friends != told.friends else []
    to_pulse = [segments] if segments != told.segments else []
    to_pulse += [peers] if peers != told.peers else []
    to_pulse += [said] if said != told.said else []
    return Step(
        told=Told(
            segments=segments,
            interfaces=interfaces,
            peers=peers,
            friends=friends,
            said=said,
            prepared=prepared,
            table=table,
            used=situation.interfaces,
            claims_asked=claims_asked,
            over_asked=over_asked,
            releases_asked=releases_asked,
            owners=owners,
            first_use=looked.state,
            memo=memo,
            start=start,
            agenda=decision.agenda,
            kept=decision.keep,
        ),
        to_wire=(*to_wire, *pace_messages(told.prepared, prepared, changed), *wire_set, *looked.to_wire),
        # A release names its cause; the drop after it would only say "not eligible".
        to_pulse=(
            *to_pulse,
            *decision_messages("release", releases),
            *pulse_set,
            *pulse_drop,
            *decision_messages("claim", claims),
            *({**message, "over": True} for message in decision_messages("claim", over)),
        ),
        to_wire_after=tuple(wire_drop),
        moves=moves,
        findings=looked.findings,
        events=(*_events(moves), *_finding_events(looked.findings)),
        look_again_at=_earliest(
            decision.look_again_at,
            looked.look_again_at,
            _hold_down_ends(view, now, now_unix),
            start.over_at(situation.start_wait, now),
            claims_asked,
            releases_asked,
            over_asked,
        ),
    )


def unheard_interfaces(situation: Situation) -> frozenset[str]:
    """Interfaces with no IPv4 address left, while a speaker is known that speaks IPv4 and nothing else.

    Over IPv6 it would not hear us and take what we hold; we must fall silent then, and answer nothing.
    """
    view = situation.snapshot.view
    known = [*situation.remembered.values(), *((address,) for address in situation.peers)]
    known += [
        member.addresses
        for name, member in (view.members.items() if view is not None else ())
        if name != situation.node and member.role is Role.SPEAKER
    ]
    if not any(addresses and all(address.version == 4 for address in addresses) for addresses in known):
        return frozenset()
    return frozenset(
        interface.name
        for interface in situation.interfaces
        if (address := interface.speaking_address) is not None and address.version == 6
    )


def peers_message(situation: Situation) -> Message:
    """For pulse: every node but me that a speaker may run on, and where it can be reached.

    An address that the operator named goes by the name of whoever has it, and by itself until somebody does.
    """
    view = situation.snapshot.view
    addresses: dict[str, dict[str, None]] = {}
    name_of: dict[IPAddress, str] = {}

    def add(name: str, known: Sequence[IPAddress]) -> None:
        if name != situation.node:
            addresses.setdefault(name, {}).update((str(address), None) for address in known)
            for address in known:
                name_of.setdefault(address, name)

    for name, node in sorted(situation.snapshot.world.nodes.items()):
        add(name, node.addresses)
    for name, known in sorted(situation.remembered.items()):
        add(name, known)
    own = {address for interface in situation.interfaces for address in interface.addresses}
    if view is not None:
        for name, member in sorted(view.members.items()):
            if member.role is Role.SPEAKER and name != situation.node:
                for address in member.addresses:
                    name_of.setdefault(address, name)
    for address in situation.peers:
        if address not in own:
            add(name_of.get(address, str(address)), (address,))
    return {
        "op": "peers",
        "peers": [{"name": name, "addresses": list(known)} for name, known in sorted(addresses.items())],
    }


def friends_message(view: View, node: str) -> Message:
    """For wire: the hardware addresses of the other speakers, which are never strangers."""
    macs = {mac for name, member in view.members.items() if name != node for mac, _ in member.macs}
    return {"op": "friends", "macs": sorted(macs)}


def own_member(
    node: str,
    incarnation: int,
    interfaces: Sequence[Interface],
    *,
    since_unix: float,
    interval: float,
    multiplier: int,
    conflicts: tuple[Conflict, ...] = (),
) -> Member:
    """This node as a member of its own view."""
    return Member(
        node=node,
        incarnation=incarnation,
        state=Liveness.ALIVE,
        two_way=True,
        addresses=tuple(a for interface in interfaces if (a := interface.speaking_address) is not None),
        macs=tuple((interface.mac, interface.name) for interface in interfaces),
        since_unix=since_unix,
        detection_time=interval * multiplier,
        conflicts=conflicts,
    )


def _from_now(
    owners: Owners, before: Mapping[IPAddress, Prepared], prepared: Mapping[IPAddress, Prepared], now: float
) -> Owners:
    """Who stands in line for an address waits from the moment at which it may be announced at all.

    Where that was not so for a while (no endpoints, quarantine), everybody's turn would have come at once.
    """
    fresh = [a for a in owners.unowned if a in prepared and a not in before] if prepared is not before else []
    if not fresh:
        return owners
    unowned = thawed(owners.unowned)
    unowned.update((a, replace(unowned[a], since=now)) for a in fresh)
    return replace(owners, unowned=MappingProxyType(unowned))


def _with_kept(
    plan: Plan, told: Told, keep: frozenset[IPAddress]
) -> tuple[Mapping[IPAddress, Prepared], frozenset[IPAddress] | None]:
    """What is prepared, with what is kept as it was told, and what may differ from what was told."""
    if not keep and not told.kept:
        return plan.prepared, plan.touched
    changed = plan.touched | keep | told.kept if plan.touched is not None else None
    kept = {a: was for a in keep if a not in plan.prepared and (was := told.prepared.get(a)) is not None}
    if not kept:
        return plan.prepared, changed
    prepared = thawed(plan.prepared)
    prepared.update(kept)
    return MappingProxyType(prepared), changed


def _hold_down_ends(view: View, now: float, now_unix: float) -> float | None:
    """When the next node that came and went too often is one like any other, in monotonic seconds."""
    ends = [m.held_until_unix for m in view.members.values() if m.held_until_unix > view.seen_unix]
    return now + max(0.0, min(ends) - now_unix) + 0.001 if ends else None


def _due(
    wanted: Mapping[IPAddress, Cause], asked: Mapping[IPAddress, float], now: float
) -> tuple[dict[IPAddress, Cause], Mapping[IPAddress, float]]:
    """What to tell now, and when each thing that is wanted was told last."""
    if not wanted:
        return {}, _EMPTY
    due = {a: cause for a, cause in wanted.items() if (at := asked.get(a)) is None or now >= at + ASK_AGAIN}
    return due, MappingProxyType({a: now if a in due else asked[a] for a in wanted})


def _earliest(*times: float | Mapping[IPAddress, float] | None) -> float | None:
    """The earliest of moments, and of those at which something was asked for that is to be asked again."""
    found: list[float] = []
    for each in times:
        if isinstance(each, Mapping):
            found += [told + ASK_AGAIN for told in each.values()]
        elif each is not None:
            found.append(each)
    return min(found, default=None)


def _finding_events(findings: Sequence[Finding]) -> tuple[Event, ...]:
    events = []
    for finding in findings[:MOVES_LOGGED]:
        fields: dict[str, object] = {"address": str(finding.address), "interface": finding.interface}
        if finding.mac:
            fields |= {"mac": finding.mac, "hint": "another machine has this address; it is not announced"}
            events.append(Event("address_conflict", fields, logging.WARNING))
        else:
            events.append(Event("address_free", fields))
    if len(findings) > MOVES_LOGGED:
        events.append(Event("more_address_conflicts", {"count": len(findings) - MOVES_LOGGED}, logging.WARNING))
    return tuple(events)


def _events(moves: Sequence[Move]) -> tuple[Event, ...]:
    events = []
    for move in moves[:MOVES_LOGGED]:
        fields: dict[str, object] = {"address": str(move.address), "cause": move.cause}
        fields |= {"previous": move.previous} if move.previous not in (None, move.owner) else {}
        if move.owner is None:
            events.append(Event("owner_lost", fields))
        else:
            fields |= {"owner": move.owner} | ({"gap": move.gap} if move.gap is not None else {})
            events.append(Event("owner_returned" if move.previous == move.owner else "owner_changed", fields))
    if len(moves) > MOVES_LOGGED:
        events.append(Event("more_owners_changed", {"count": len(moves) - MOVES_LOGGED}))
    return tuple(events)
