"""Checks a ledger: what its rows tell from the first to the last must be what it says now, and must be possible.

    for finding in check(connection): print(finding)

Written without the code that keeps the state while a controller runs, so that a fault in one is seen by the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from lbctl.controller.kept import FREED_KEPT
from lbctl.controller.ledger_rows import read
from lbctl.controller.ledger_rules import RowError, faults
from lbctl.controller.ledger_schema import FREED_BEFORE_BATCHES, Connection

_Key = tuple[str, str]


@dataclass(slots=True)
class _Held:
    key: _Key
    addresses: tuple[str, ...]
    pools: tuple[str, str]
    terms: str
    at_unix: float


@dataclass(slots=True)
class Replayed:
    """What the rows tell: who holds what, what is reserved and quarantined, what was freed last."""

    grants: dict[int, _Held] = field(default_factory=dict)
    users: dict[str, set[int]] = field(default_factory=dict)
    grants_of: dict[_Key, set[int]] = field(default_factory=dict)
    reserved: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    quarantined: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    freed: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    _freeing: list[tuple[str, tuple[str, str, float]]] = field(default_factory=list)

    def apply(self, kind: str, row: tuple[Any, ...]) -> None:
        match kind:
            case "release":
                self._release(*row)
            case "amendment":
                self._amend(*row)
            case "grant":
                self._grant(*row)
            case "reservation":
                self.reserved[row[0]] = row[1:]
            case "unreserved":
                if self.reserved.pop(row[0], None) is None:
                    self.findings.append(f"the end of reservation {row[0]}, which is none or ended before")
            case "quarantine":
                self.quarantined[row[0]] = row[1:]
            case "cleared":
                if self.quarantined.pop(row[0], None) is None:
                    self.findings.append(f"the end of quarantine {row[0]}, which is none or ended before")

    def _release(self, identity: int, at_unix: float) -> None:
        held = self.grants.pop(identity, None)
        if held is None:
            self.findings.append(f"a release of grant {identity}, which is none or was released before")
            return
        self.grants_of[held.key].discard(identity)
        for address in held.addresses:
            self.users[address].discard(identity)
            self._freeing.append((address, (*held.key, at_unix)))

    def _amend(self, identity: int, pool: str, second_pool: str, terms: str) -> None:
        held = self.grants.get(identity)
        if held is None:
            self.findings.append(f"an amendment of grant {identity}, which is none or was released before")
            return
        held.pools, held.terms = (pool, second_pool), terms

    def _grant(
        self, identity: int, namespace: str, name: str, addresses: str, pool: str, second: str, terms: str, at: float
    ) -> None:
        key, held = (namespace, name), tuple(addresses.split())
        before = self.grants_of.setdefault(key, set())
        if before:
            others = " and ".join(map(str, sorted(before)))
            self.findings.append(f"grant {identity} gives {namespace}/{name} {addresses} while it holds grant {others}")
        before.add(identity)
        self.grants[identity] = _Held(key, held, (pool, second), terms, at)
        for address in held:
            users = [other for other in self._users_of((address,)) if other.key != key]
            if users and not (terms and all(other.terms for other in users)):
                names = " and ".join("/".join(other.key) for other in users)
                self.findings.append(f"grant {identity} gives {namespace}/{name} the {address} of {names}")
            self.users.setdefault(address, set()).add(identity)

    def _users_of(self, addresses: Iterable[str]) -> Iterator[_Held]:
        return (self.grants[identity] for address in addresses for identity in self.users.get(address, ()))

    def end_of_batch(self, granted: Iterable[str]) -> None:
        """What was given back and is used by nobody now is free; what was granted is not, though it was free before."""
        for address in granted:
            self.freed.pop(address, None)
        for address, freed in self._freeing:
            if not self.users.get(address):
                self.freed.pop(address, None)
                self.freed[address] = freed
        self._freeing.clear()
        while len(self.freed) > FREED_KEPT:
            del self.freed[next(iter(self.freed))]


def replay(connection: Connection) -> Replayed:
    """Everything that ever happened, from the first batch to the last."""
    replayed = Replayed()
    for (batch, *_), events in groupby(_events(connection), key=lambda event: event[0][:1]):
        granted: list[str] = []
        for _, kind, row in events:
            replayed.apply(kind, row)
            if kind == "grant":
                granted += row[3].split()
        if batch == 0:
            _free_before_batches(connection, replayed)
        replayed.end_of_batch(granted)
    return replayed


_Event = tuple[tuple[int, int, int], str, tuple[Any, ...]]
_ENDED_BEFORE_BATCHES = "(SELECT grant_id FROM releases WHERE batch = 0)"
_QUERIES = (
    ("release", "SELECT batch, 0, grant_id, at_unix FROM releases WHERE batch > 0"),
    ("unreserved", "SELECT batch, 0, reservation_id FROM reservation_ends"),
    ("cleared", "SELECT batch, 0, quarantine_id FROM quarantine_ends"),
    # In batch 0 a grant can only come before its amendments.
    (
        "amendment",
        "SELECT batch, CASE batch WHEN 0 THEN 3 ELSE 1 END, grant_id, pool, second_pool, terms FROM amendments "
        f"WHERE batch > 0 OR grant_id NOT IN {_ENDED_BEFORE_BATCHES} ORDER BY id",
    ),
    (
        "grant",
        "SELECT batch, 2, id, namespace, name, addresses, pool, second_pool, terms, at_unix FROM grants "
        f"WHERE batch > 0 OR id NOT IN {_ENDED_BEFORE_BATCHES}",
    ),
    (
        "reservation",
        "SELECT batch, 2, id, namespace, name, addresses, pool, second_pool, by_whom, at_unix FROM reservations",
    ),
    ("quarantine", "SELECT batch, 2, id, address, mac, node, interface, at_unix FROM quarantines"),
)


def _events(connection: Connection) -> list[_Event]:
    """The rows in the order in which they were written: ends, changes, beginnings of each batch.

    In batch 0 only the clock says what came first, and a clock may have been put back; so of it only what was left.
    """
    events: list[_Event] = []
    for kind, query in _QUERIES:
        for batch, rank, *row in connection.execute(query):
            events.append(((batch, rank, row[0]), kind, tuple(row)))
    events.sort(key=lambda event: event[0])
    return events


def _free_before_batches(connection: Connection, replayed: Replayed) -> None:
    for addresses, namespace, name, at_unix in connection.execute(FREED_BEFORE_BATCHES):
        for address in addresses.split():
            if not replayed.users.get(address):
                replayed.freed.pop(address, None)
                replayed.freed[address] = (namespace, name, at_unix)


def check(connection: Connection) -> list[str]:
    """Everything that is wrong with the ledger, a line each."""
    findings = [
        f"the file is damaged: {row[0]}" for row in connection.execute("PRAGMA integrity_check(20)") if row[0] != "ok"
    ]
    if findings:
        return findings
    findings += [
        f"row {row[1]} of {row[0]} belongs to a row of {row[2]} that is missing"
        for row in connection.execute("PRAGMA foreign_key_check")
    ]
    findings += faults(connection)
    if findings:
        return findings
    replayed = replay(connection)
    return findings + replayed.findings + _twice(replayed) + _differences(connection, replayed)


def _twice(replayed: Replayed) -> list[str]:
    """Addresses that are reserved or quarantined twice, services that have two reservations."""
    reserved = [address for row in replayed.reserved.values() for address in row[2].split()]
    services = ["/".join(row[:2]) for row in replayed.reserved.values()]
    quarantined = [row[0] for row in replayed.quarantined.values()]
    return [
        *(f"{address} is reserved for more than one service" for address in _repeated(reserved)),
        *(f"{service} has more than one reservation" for service in _repeated(services)),
        *(f"{address} is quarantined more than once" for address in _repeated(quarantined)),
    ]


def _repeated(names: list[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _differences(connection: Connection, replayed: Replayed) -> list[str]:
    """Where what the ledger says now is not what its rows tell."""
    try:
        state = read(connection)
    except RowError as error:
        return [f"no controller could go on from it: {error}"]
    told: dict[str, dict[Any, Any]] = {
        "allocation": {
            held.key: (identity, held.addresses, *held.pools, held.terms, held.at_unix)
            for identity, held in replayed.grants.items()
        },
        "reservation": {row[:2]: row[2:] for row in replayed.reserved.values()},
        "quarantine": {row[0]: row[1:] for row in replayed.quarantined.values()},
        "freed address": dict(replayed.freed),
    }
    remembered = state.remembered
    says: dict[str, dict[Any, Any]] = {
        "allocation": {
            tuple(key): (
                *(item.id, tuple(map(str, item.addresses)), item.pool, item.second_pool),
                *(remembered.terms.get(key, ""), item.since_unix),
            )
            for key, item in state.allocations.items()
        },
        "reservation": {
            tuple(key): (
                *(" ".join(map(str, item.addresses)), item.pool, item.second_pool),
                *(item.by, item.since_unix),
            )
            for key, item in remembered.reserved.items()
        },
        "quarantine": {
            str(address): (item.mac, item.node, item.interface, item.since_unix)
            for address, item in remembered.quarantined.items()
        },
        "freed address": {str(address): (*item.service, item.at_unix) for address, item in remembered.freed.items()},
    }
    return [
        f"{what} {'/'.join(key) if isinstance(key, tuple) else key}: the ledger says {says[what].get(key)}, "
        f"its rows tell {told[what].get(key)}"
        for what in told
        for key in sorted({*told[what], *says[what]})
        if told[what].get(key) != says[what].get(key)
    ]
