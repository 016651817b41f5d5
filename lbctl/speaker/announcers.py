"""Deltas for the processes that announce: what pulse may claim (`prepare`) and where wire may answer (`table`).

Lists are cut into pieces, so that the reader, which has heartbeats or answers to send, gets to breathe between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from lbctl.model.address import IPAddress, address_key
from lbctl.model.interface import Interface
from lbctl.model.member import Conflict
from lbctl.model.snapshot import thawed
from lbctl.plan.eligible import InterfaceSet
from lbctl.plan.planned import Prepared
from lbctl.plan.reason import Cause

Message = dict[str, Any]
Table = Mapping[IPAddress, tuple[int, ...]]
PIECE = 256
"""Addresses in one message."""
CONFLICTS_SAID = 16
"""Conflicts handed to the heartbeats at once, which say as many of them as fit."""
_T = TypeVar("_T")


def where_allowed(allowed: InterfaceSet, interfaces: Sequence[Interface]) -> tuple[int, ...]:
    """Interface indexes; interfaces without carrier included, which wire leaves alone by itself."""
    return tuple(sorted(i.index for i in interfaces if allowed is None or i.name in allowed))


def table_of(
    prepared: Mapping[IPAddress, Prepared],
    interfaces: Sequence[Interface],
    old: Table,
    touched: frozenset[IPAddress] | None,
) -> Table:
    """Where each prepared address may be answered. `touched`: what may differ from `old`; None, anything."""
    known: dict[InterfaceSet, tuple[int, ...]] = {}
    table: dict[IPAddress, tuple[int, ...]] = {} if touched is None else thawed(old)
    for address in prepared if touched is None else touched:
        entry = prepared.get(address)
        if entry is None:
            table.pop(address, None)
            continue
        where = known.get(entry.interfaces)
        if where is None:
            where = known[entry.interfaces] = where_allowed(entry.interfaces, interfaces)
        table[address] = where
    return table


def table_messages(old: Table, new: Table, touched: frozenset[IPAddress] | None) -> tuple[list[Message], list[Message]]:
    """For wire: the messages that add or change, and those that take away."""
    changed = [a for a in (new if touched is None else touched) if a in new and old.get(a) != new[a]]
    return (
        [
            {"op": "table", "set": piece, "drop": [], "complete": False}
            for piece in pieces([[str(address), list(new[address])] for address in _sorted(changed)])
        ],
        [{"op": "table", "set": [], "drop": piece, "complete": False} for piece in pieces(_gone(old, new, touched))],
    )


def pace_messages(
    old: Mapping[IPAddress, Prepared], new: Mapping[IPAddress, Prepared], touched: frozenset[IPAddress] | None
) -> list[Message]:
    """For wire: how fast which addresses may be announced, where that is another pace than before."""
    by_pace: dict[float | None, list[IPAddress]] = {}
    for address in {*old, *new} if touched is None else touched:
        was, entry = old.get(address), new.get(address)
        before, pace = was.pace if was is not None else None, entry.pace if entry is not None else None
        if pace != before:
            by_pace.setdefault(pace, []).append(address)
    return [
        {"op": "pace", "rate": pace, "addresses": [str(address) for address in piece]}
        for pace, addresses in by_pace.items()
        for piece in pieces(_sorted(addresses))
    ]


def prepare_messages(
    old: Mapping[IPAddress, Prepared],
    new: Mapping[IPAddress, Prepared],
    generation: int,
    touched: frozenset[IPAddress] | None,
) -> tuple[list[Message], list[Message]]:
    """For pulse: the messages that add or change, and those that take away."""
    changed = [a for a in (new if touched is None else touched) if a in new and not _told_alike(old.get(a), new[a])]
    entries = [[str(address), new[address].allocation_id, list(new[address].heirs)] for address in _sorted(changed)]
    return (
        [
            {"op": "prepare", "generation": generation, "set": piece, "drop": [], "complete": False}
            for piece in pieces(entries)
        ],
        [
            {"op": "prepare", "generation": generation, "set": [], "drop": piece, "complete": False}
            for piece in pieces(_gone(old, new, touched))
        ],
    )


def _told_alike(was: Prepared | None, entry: Prepared) -> bool:
    """Whether pulse would hear nothing new; interfaces are wire's."""
    return was is entry or (was is not None and (was.allocation_id, was.heirs) == (entry.allocation_id, entry.heirs))


def _gone(
    old: Mapping[IPAddress, object], new: Mapping[IPAddress, object], touched: frozenset[IPAddress] | None
) -> list[str]:
    return [str(a) for a in _sorted(a for a in (old if touched is None else touched) if a in old and a not in new)]


def decision_messages(op: str, decided: Mapping[IPAddress, Cause]) -> list[Message]:
    """For pulse: `claim` or `release`, one message a cause and piece."""
    by_cause: dict[Cause, list[str]] = {}
    for address in _sorted(decided):
        by_cause.setdefault(decided[address], []).append(str(address))
    return [
        {"op": op, "addresses": piece, "cause": cause.value}
        for cause, addresses in sorted(by_cause.items())
        for piece in pieces(addresses)
    ]


def pieces(items: Sequence[_T]) -> Iterator[list[_T]]:
    """The items in lists of at most PIECE."""
    for start in range(0, len(items), PIECE):
        yield list(items[start : start + PIECE])


def segments_message(interfaces: Iterable[Interface], unheard: frozenset[str] = frozenset()) -> Message:
    """For pulse: where to speak heartbeats. An interface without any address cannot carry one.

    On those `unheard` the others would not hear what it could say there.
    """
    return {
        "op": "segments",
        "segments": [
            {
                "ifindex": interface.index,
                "name": interface.name,
                "address": str(interface.speaking_address),
                "mac": interface.mac,
                "usable": interface.usable and interface.name not in unheard,
            }
            for interface in interfaces
            if interface.speaking_address is not None
        ],
    }


def say_message(interfaces: Iterable[Interface], conflicts: Sequence[Conflict]) -> Message:
    """For pulse: what the heartbeats say of MACs. Those of segments they carry by themselves."""
    return {
        "op": "say",
        "stations": [[each.mac, each.name] for each in interfaces if each.speaking_address is None],
        "conflicts": [[str(each.address), each.mac, each.interface] for each in conflicts[:CONFLICTS_SAID]],
    }


def interfaces_message(interfaces: Iterable[Interface]) -> Message:
    """For wire: the interfaces that it may use."""
    return {
        "op": "interfaces",
        "interfaces": [
            {
                "ifindex": interface.index,
                "name": interface.name,
                "mac": interface.mac,
                "link_local": str(interface.link_local) if interface.link_local is not None else None,
                "addresses": [str(address) for address in interface.addresses],
                "gateways": [str(address) for address in interface.gateways],
                "link": interface.link,
                "usable": interface.usable,
            }
            for interface in interfaces
        ],
    }


def _sorted(addresses: Iterable[IPAddress]) -> list[IPAddress]:
    return sorted(addresses, key=address_key)
