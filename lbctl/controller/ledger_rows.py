"""The ledger's rows: a batch written, and everything read back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lbctl.controller.kept import AddressChanges
from lbctl.controller.ledger_rules import (
    LARGEST_USABLE,
    RowError,
    addresses_fault,
    addresses_of,
    is_time,
    terms_fault,
)
from lbctl.controller.ledger_schema import Connection, run
from lbctl.controller.records import Batch, LedgerState, users_of
from lbctl.model.address import IPAddress
from lbctl.model.allocation import Allocation
from lbctl.model.frozen_map import FrozenMap
from lbctl.model.node import Node
from lbctl.model.reservation import Freed, Quarantine, Reservation
from lbctl.model.service import ServiceKey
from lbctl.model.split_map import SplitMap
from lbctl.plan.allocation import Remembered
from lbctl.sources.published_schema import address_of

LATEST_AMENDMENTS = """(SELECT grant_id, pool, second_pool, terms, max(id) FROM amendments GROUP BY grant_id)"""
_LIVE = f"""
    SELECT g.id, g.namespace, g.name, g.addresses, coalesce(a.pool, g.pool), coalesce(a.second_pool, g.second_pool),
        coalesce(a.terms, g.terms), g.at_unix
    FROM grants AS g
    LEFT JOIN releases AS r ON r.grant_id = g.id
    LEFT JOIN {LATEST_AMENDMENTS} AS a ON a.grant_id = g.id
    WHERE r.grant_id IS NULL
    ORDER BY g.id"""
_RESERVED = """
    SELECT b.namespace, b.name, b.addresses, b.pool, b.second_pool, b.by_whom, b.at_unix FROM reservations AS b
    LEFT JOIN reservation_ends AS e ON e.reservation_id = b.id WHERE e.reservation_id IS NULL ORDER BY b.id"""
_QUARANTINED = """
    SELECT b.address, b.mac, b.node, b.interface, b.at_unix FROM quarantines AS b
    LEFT JOIN quarantine_ends AS e ON e.quarantine_id = b.id WHERE e.quarantine_id IS NULL ORDER BY b.id"""

FreedChanges = tuple[Mapping[IPAddress, Freed], Sequence[IPAddress]]


def joined(addresses: Iterable[IPAddress]) -> str:
    return " ".join(map(str, addresses))


def split(text: str) -> tuple[IPAddress, ...]:
    """Raises RowError."""
    return addresses_of(text)


def write(connection: Connection, batch: Batch, freed: FreedChanges) -> None:
    """Writes the batch, within the caller's transaction. `freed`: `LedgerState.freed_by` of it."""
    run(connection, "UPDATE meta SET value = value + 1 WHERE key = 'batch'")
    ((number,),) = connection.execute("SELECT value FROM meta WHERE key = 'batch'")
    _write_allocations(connection, batch, number)
    _write_kept(connection, batch.kept, batch.at_unix, number)
    _write_freed(connection, *freed)
    many = connection.executemany
    if batch.forgotten:
        many("DELETE FROM first_seen WHERE namespace = ? AND name = ?", batch.forgotten)
    if batch.seen:
        many("INSERT OR REPLACE INTO first_seen VALUES (?, ?, ?)", [(*key, when) for key, when in batch.seen.items()])
    if batch.nodes_dropped:
        many("DELETE FROM nodes WHERE name = ?", [(name,) for name in batch.nodes_dropped])
    if batch.nodes:
        known = [(node.name, joined(node.addresses)) for node in batch.nodes]
        many("INSERT OR REPLACE INTO nodes VALUES (?, ?)", known)
    if batch.generation is not None:
        many("UPDATE meta SET value = ? WHERE key = 'generation'", [(batch.generation,)])


def _write_allocations(connection: Connection, batch: Batch, number: int) -> None:
    at, many = batch.at_unix, connection.executemany
    if batch.releases:
        ended = [(item.allocation.id, item.reason.value, item.detail, at, number) for item in batch.releases]
        many("INSERT INTO releases (grant_id, cause, detail, at_unix, batch) VALUES (?, ?, ?, ?, ?)", ended)
    if batch.amendments:
        changed = [
            (item.allocation.id, item.pool, item.terms, at, item.second_pool, number) for item in batch.amendments
        ]
        many(
            "INSERT INTO amendments (grant_id, pool, terms, at_unix, second_pool, batch) VALUES (?, ?, ?, ?, ?, ?)",
            changed,
        )
    if batch.grants:
        granted = [
            (
                *(identity, *grant.service, joined(grant.addresses), grant.pool, grant.terms),
                *(grant.cause.value, at, grant.second_pool, number),
            )
            for identity, grant in enumerate(batch.grants, batch.first_grant)
        ]
        many(
            "INSERT INTO grants (id, namespace, name, addresses, pool, terms, cause, at_unix, second_pool, batch) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            granted,
        )


def _write_kept(connection: Connection, kept: AddressChanges, at: float, number: int) -> None:
    many = connection.executemany
    if kept.unreserved:
        many(
            "INSERT INTO reservation_ends SELECT id, ?, ?, ? FROM reservations WHERE namespace = ? AND name = ? "
            "ORDER BY id DESC LIMIT 1",
            [(item.by, at, number, *item.reservation.service) for item in kept.unreserved],
        )
    if kept.reserved:
        reserved = [
            (*item.service, joined(item.addresses), item.pool, item.second_pool, item.by, item.since_unix, number)
            for item in kept.reserved
        ]
        many(
            "INSERT INTO reservations (namespace, name, addresses, pool, second_pool, by_whom, at_unix, batch) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            reserved,
        )
    if kept.cleared:
        many(
            "INSERT INTO quarantine_ends SELECT id, ?, ?, ?, ? FROM quarantines WHERE address = ? "
            "ORDER BY id DESC LIMIT 1",
            [(item.cause.value, item.by, at, number, str(item.quarantine.address)) for item in kept.cleared],
        )
    if kept.quarantined:
        found = [
            (str(item.address), item.mac, item.node, item.interface, item.since_unix, number)
            for item in kept.quarantined
        ]
        many("INSERT INTO quarantines (address, mac, node, interface, at_unix, batch) VALUES (?, ?, ?, ?, ?, ?)", found)


def _write_freed(connection: Connection, freed: Mapping[IPAddress, Freed], dropped: Sequence[IPAddress]) -> None:
    if dropped:
        connection.executemany("DELETE FROM freed WHERE address = ?", [(str(address),) for address in dropped])
    if freed:
        connection.executemany(
            "INSERT OR REPLACE INTO freed (address, namespace, name, at_unix) VALUES (?, ?, ?, ?)",
            [(str(item.address), *item.service, item.at_unix) for item in freed.values()],
        )


def read(connection: Connection) -> LedgerState:
    """What the ledger says now. Raises RowError where that is something that no controller could go on from."""
    try:
        return _read(connection)
    except RowError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RowError(f"a row is none of a ledger ({type(error).__name__}: {error})") from error


def _read(connection: Connection) -> LedgerState:
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    _refuse_large(connection)
    allocations: dict[ServiceKey, Allocation] = {}
    terms: dict[ServiceKey, str] = {}
    for number, namespace, name, addresses, pool, second_pool, agreed, at_unix in connection.execute(_LIVE):
        key = ServiceKey(namespace, name)
        found = split(addresses)
        fault = addresses_fault(found) or (terms_fault(agreed) if agreed else None)
        if key in allocations:
            fault = f"the service has grant {allocations[key].id} already, which was not released"
        if fault is None and not is_time(at_unix):
            fault = f"{at_unix} is no time"
        if fault is not None:
            raise RowError(f"grant {number} of {key.namespace!r}/{key.name!r}: {fault}")
        allocations[key] = Allocation(
            service=key, addresses=found, pool=pool, id=number, since_unix=at_unix, second_pool=second_pool
        )
        if agreed:
            terms[key] = agreed
    nodes = {
        name: Node(name=name, addresses=split(addresses), registered=True)
        for name, addresses in connection.execute("SELECT name, addresses FROM nodes")
    }
    ((last,),) = connection.execute("SELECT coalesce(max(id), 0) FROM grants")
    return LedgerState(
        ledger=meta["ledger"],
        allocations=FrozenMap(allocations),
        users=users_of(allocations),
        remembered=_read_remembered(connection, terms),
        nodes=FrozenMap(nodes),
        next_grant=last + 1,
        generation=int(meta["generation"]),
    )


def _refuse_large(connection: Connection) -> None:
    """Raises RowError for numbers above which there are not enough left to count on."""
    counted = [("generation", "SELECT value FROM meta WHERE key = 'generation'")]
    counted.append(("batch", "SELECT value FROM meta WHERE key = 'batch'"))
    for table in ("grants", "amendments", "reservations", "quarantines", "freed"):
        counted.append((f"id of {table}", f"SELECT coalesce(max(id), 0) FROM {table}"))
    for what, query in counted:
        ((value,),) = connection.execute(query)
        if type(value) is not int or not 0 <= value <= LARGEST_USABLE:
            raise RowError(f"{value} for {what} is out of range")


def _read_remembered(connection: Connection, terms: Mapping[ServiceKey, str]) -> Remembered:
    seen = {
        ServiceKey(namespace, name): at_unix
        for namespace, name, at_unix in connection.execute("SELECT namespace, name, at_unix FROM first_seen")
    }
    reserved = [
        Reservation(
            service=ServiceKey(namespace, name),
            addresses=split(addresses),
            pool=pool,
            second_pool=second_pool,
            since_unix=at_unix,
            by=by,
        )
        for namespace, name, addresses, pool, second_pool, by, at_unix in connection.execute(_RESERVED)
    ]
    quarantined = [
        Quarantine(address=address_of(address), mac=mac, node=node, interface=interface, since_unix=at_unix)
        for address, mac, node, interface, at_unix in connection.execute(_QUARANTINED)
    ]
    freed = [
        Freed(address=address_of(address), at_unix=at_unix, service=ServiceKey(namespace, name))
        for address, namespace, name, at_unix in connection.execute(
            "SELECT address, namespace, name, at_unix FROM freed ORDER BY id"
        )
    ]
    return Remembered(
        terms=FrozenMap(terms),
        first_seen=SplitMap(seen),
        reserved=FrozenMap({item.service: item for item in reserved}),
        quarantined=FrozenMap({item.address: item for item in quarantined}),
        freed=FrozenMap({item.address: item for item in freed}),
    )
