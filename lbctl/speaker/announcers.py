"""Deltas for the processes that announce: what pulse may claim (`prepare`) and where wire may answer (`table`).

Lists are cut into pieces, so that the reader, which has heartbeats or answers to send, gets to breathe between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from lbctl.model.address import IPAddress, address_key
from lbctl.model.interface import Interface
from lbctl.plan.announce import Prepared
from lbctl.plan.eligible import InterfaceSet
from lbctl.plan.reason import Cause

Message = dict[str, Any]
Table = Mapping[IPAddress, tuple[int, ...]]
PIECE = 256
"""Addresses in one message."""
_T = TypeVar("_T")


def table_of(
    prepared: Mapping[IPAddress, Prepared], interfaces: Sequence[Interface]
) -> dict[IPAddress, tuple[int, ...]]:
    """Where each prepared address may be answered, as interface indexes; interfaces without carrier included."""
    known: dict[InterfaceSet, tuple[int, ...]] = {}
    table: dict[IPAddress, tuple[int, ...]] = {}
    for address, entry in prepared.items():
        allowed = entry.interfaces
        where = known.get(allowed)
        if where is None:
            where = tuple(sorted(i.index for i in interfaces if allowed is None or i.name in allowed))
            known[allowed] = where
        table[address] = where
    return table


def table_messages(old: Table, new: Table) -> tuple[list[Message], list[Message]]:
    """For wire: the messages that add or change, and those that take away."""
    changed = [address for address, where in new.items() if old.get(address) != where]
    return (
        [
            {"op": "table", "set": piece, "drop": [], "complete": False}
            for piece in pieces([[str(address), list(new[address])] for address in _sorted(changed)])
        ],
        [{"op": "table", "set": [], "drop": piece, "complete": False} for piece in pieces(_gone(old, new))],
    )


def prepare_messages(
    old: Mapping[IPAddress, Prepared], new: Mapping[IPAddress, Prepared], generation: int
) -> tuple[list[Message], list[Message]]:
    """For pulse: the messages that add or change, and those that take away."""
    if old is new:
        return [], []
    changed = [address for address, entry in new.items() if not _told_alike(old.get(address), entry)]
    entries = [[str(address), new[address].allocation_id, list(new[address].heirs)] for address in _sorted(changed)]
    return (
        [
            {"op": "prepare", "generation": generation, "set": piece, "drop": [], "complete": False}
            for piece in pieces(entries)
        ],
        [
            {"op": "prepare", "generation": generation, "set": [], "drop": piece, "complete": False}
            for piece in pieces(_gone(old, new))
        ],
    )


def _told_alike(was: Prepared | None, entry: Prepared) -> bool:
    """Whether pulse would hear nothing new; interfaces are wire's."""
    return was is entry or (was is not None and (was.allocation_id, was.heirs) == (entry.allocation_id, entry.heirs))


def _gone(old: Mapping[IPAddress, object], new: Mapping[IPAddress, object]) -> list[str]:
    return [str(address) for address in _sorted(address for address in old if address not in new)]


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


def segments_message(interfaces: Iterable[Interface]) -> Message:
    """For pulse: where to speak heartbeats. An interface without any address cannot carry one."""
    return {
        "op": "segments",
        "segments": [
            {
                "ifindex": interface.index,
                "name": interface.name,
                "address": str(interface.speaking_address),
                "mac": interface.mac,
                "usable": interface.usable,
            }
            for interface in interfaces
            if interface.speaking_address is not None
        ],
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
                "usable": interface.usable,
            }
            for interface in interfaces
        ],
    }


def _sorted(addresses: Iterable[IPAddress]) -> list[IPAddress]:
    return sorted(addresses, key=address_key)
