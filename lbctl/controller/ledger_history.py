"""What the ledger tells of the past: every grant and its end, every reservation and quarantine, in order.

entries, more = history(connection, target=ServiceKey("default", "web"), since_unix=None, limit=100)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from lbctl.controller.ledger_rows import LATEST_AMENDMENTS, split
from lbctl.controller.ledger_schema import Connection
from lbctl.model.address import IPAddress
from lbctl.model.service import ServiceKey

Target = ServiceKey | IPAddress | None


class Happening(StrEnum):
    """What happened, in the order of one batch: ends come before beginnings."""

    RELEASED = "released"
    UNRESERVED = "unreserved"
    CLEARED = "quarantine_cleared"
    AMENDED = "amended"
    ALLOCATED = "allocated"
    RESERVED = "reserved"
    QUARANTINED = "quarantined"


_ORDER = {each: number for number, each in enumerate(Happening)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of history. `id` is that of the grant, reservation or quarantine that it is about.

    `until_unix` and `ended_by`: when and why what begins here ended, None while it lasts.
    """

    happening: Happening
    at_unix: float
    id: int
    batch: int
    service: ServiceKey | None
    addresses: tuple[IPAddress, ...]
    pools: tuple[str, ...] = ()
    cause: str = ""
    detail: str = ""
    by: str = ""
    until_unix: float | None = None
    ended_by: str = ""

    @property
    def begins(self) -> bool:
        """Whether this is the beginning of something that lasts until it is ended."""
        return self.happening in (Happening.ALLOCATED, Happening.RESERVED, Happening.QUARANTINED)


def history(
    connection: Connection, *, target: Target = None, since_unix: float | None = None, limit: int = 0
) -> tuple[tuple[Entry, ...], int]:
    """The entries about a service, an address or everything, oldest first; and how many older ones were left out.

    A service's history has the quarantines of its addresses while it held them. `limit` 0 is no limit.
    """
    asked = _Asked(target=target, since_unix=since_unix, limit=limit if target is None else 0)
    entries = [*_grants(connection, asked), *_releases(connection, asked), *_amendments(connection, asked)]
    entries += _reservations(connection, asked)
    entries += _quarantines(connection, asked)
    entries.sort(key=lambda entry: (entry.batch, entry.at_unix, _ORDER[entry.happening], entry.id))
    total = _total(connection, since_unix) if asked.limit else len(entries)
    chosen = entries[-limit:] if limit else entries
    return tuple(chosen), total - len(chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What rows are wanted. With `limit`, of each table only so many, the newest: of everything there is much."""

    target: Target
    since_unix: float | None
    limit: int

    def rows(
        self, connection: Connection, select: str, happened: str, named: str, column: str = "addresses"
    ) -> Iterable[Any]:
        """The rows of a query whose events are those of table `happened`, about what is in table `named`."""
        where, bindings = _where(self.target, named, column)
        conditions = [where] if where else []
        if self.since_unix is not None:
            conditions.append(f"{happened}.at_unix >= ?")
            bindings = (*bindings, self.since_unix)
        sql = f"{select} {'WHERE' if conditions else ''} {' AND '.join(conditions)}"
        if self.limit:
            sql += f" ORDER BY {happened}.batch DESC, {happened}.at_unix DESC, {happened}.rowid DESC LIMIT ?"
            bindings = (*bindings, self.limit)
        return connection.execute(sql, bindings)


_TABLES = (
    "grants",
    "releases",
    "amendments",
    "reservations",
    "reservation_ends",
    "quarantines",
    "quarantine_ends",
)


def _total(connection: Connection, since_unix: float | None) -> int:
    since = "" if since_unix is None else "WHERE at_unix >= ?"
    bindings = () if since_unix is None else (since_unix,)
    return sum(
        int(row[0])
        for table in _TABLES
        for row in connection.execute(f"SELECT count(*) FROM {table} {since}", bindings)
    )


def _where(target: Target, table: str, column: str) -> tuple[str, tuple[Any, ...]]:
    match target:
        case None:
            return "", ()
        case ServiceKey():
            return f"{table}.namespace = ? AND {table}.name = ?", tuple(target)
        case _:
            return f"' ' || {table}.{column} || ' ' LIKE ?", (f"% {target} %",)


def _grants(connection: Connection, asked: _Asked) -> Iterator[Entry]:
    select = """SELECT g.id, g.namespace, g.name, g.addresses, g.pool, g.second_pool, g.cause, g.at_unix, g.batch,
            r.cause, r.at_unix
        FROM grants AS g LEFT JOIN releases AS r ON r.grant_id = g.id"""
    rows = asked.rows(connection, select, "g", "g")
    for identity, namespace, name, addresses, pool, second, cause, at, batch, end, until in rows:
        yield Entry(
            happening=Happening.ALLOCATED,
            at_unix=at,
            id=identity,
            batch=batch,
            service=ServiceKey(namespace, name),
            addresses=split(addresses),
            pools=_pools(pool, second),
            cause=cause,
            until_unix=until,
            ended_by=end or "",
        )


def _releases(connection: Connection, asked: _Asked) -> Iterator[Entry]:
    select = f"""SELECT g.id, g.namespace, g.name, g.addresses, coalesce(a.pool, g.pool),
            coalesce(a.second_pool, g.second_pool), r.cause, r.detail, r.at_unix, r.batch
        FROM releases AS r JOIN grants AS g ON g.id = r.grant_id
        LEFT JOIN {LATEST_AMENDMENTS} AS a ON a.grant_id = g.id"""
    rows = asked.rows(connection, select, "r", "g")
    for identity, namespace, name, addresses, pool, second, cause, detail, at, batch in rows:
        yield Entry(
            happening=Happening.RELEASED,
            at_unix=at,
            id=identity,
            batch=batch,
            service=ServiceKey(namespace, name),
            addresses=split(addresses),
            pools=_pools(pool, second),
            cause=cause,
            detail=detail,
        )


def _pools(pool: str, second: str) -> tuple[str, ...]:
    return (pool, second) if second else (pool,)


def _amendments(connection: Connection, asked: _Asked) -> Iterator[Entry]:
    select = """SELECT g.id, g.namespace, g.name, g.addresses, a.pool, a.second_pool, a.at_unix, a.batch,
            coalesce(b.pool, g.pool), coalesce(b.second_pool, g.second_pool)
        FROM amendments AS a JOIN grants AS g ON g.id = a.grant_id
        JOIN (SELECT id, lag(pool) OVER past AS pool, lag(second_pool) OVER past AS second_pool FROM amendments
            WINDOW past AS (PARTITION BY grant_id ORDER BY id)) AS b ON b.id = a.id"""
    rows = asked.rows(connection, select, "a", "g")
    for identity, namespace, name, addresses, pool, second, at, batch, pool_before, second_before in rows:
        pools, before = _pools(pool, second), _pools(pool_before, second_before)
        yield Entry(
            happening=Happening.AMENDED,
            at_unix=at,
            id=identity,
            batch=batch,
            service=ServiceKey(namespace, name),
            addresses=split(addresses),
            pools=pools,
            cause="terms_changed" if pools == before else "pool_changed",
            detail="" if pools == before else f"from {', '.join(before)}",
        )


def _reservations(connection: Connection, asked: _Asked) -> Iterator[Entry]:
    columns = "b.id, b.namespace, b.name, b.addresses, b.pool, b.second_pool"
    joined = "FROM reservations AS b LEFT JOIN reservation_ends AS e ON e.reservation_id = b.id"
    select = f"SELECT {columns}, b.by_whom, b.at_unix, b.batch, e.at_unix {joined}"
    for identity, namespace, name, addresses, pool, second, by, at, batch, until in asked.rows(
        connection, select, "b", "b"
    ):
        yield Entry(
            happening=Happening.RESERVED,
            at_unix=at,
            id=identity,
            batch=batch,
            service=ServiceKey(namespace, name),
            addresses=split(addresses),
            pools=_pools(pool, second),
            by=by,
            until_unix=until,
            ended_by="" if until is None else "operator",
        )
    select = f"SELECT {columns}, e.by_whom, e.at_unix, e.batch {joined.replace('LEFT JOIN', 'JOIN')}"
    for identity, namespace, name, addresses, pool, second, by, at, batch in asked.rows(connection, select, "e", "b"):
        yield Entry(
            happening=Happening.UNRESERVED,
            at_unix=at,
            id=identity,
            batch=batch,
            service=ServiceKey(namespace, name),
            addresses=split(addresses),
            pools=_pools(pool, second),
            by=by,
        )


def _quarantines(connection: Connection, asked: _Asked) -> Iterator[Entry]:
    """Of a service, those that its addresses met while it held them."""
    target = asked.target
    ours = replace(asked, target=None) if isinstance(target, ServiceKey) else asked
    held = list(_grants(connection, replace(asked, since_unix=None))) if isinstance(target, ServiceKey) else None
    columns = "b.id, b.address, b.mac, b.interface, b.at_unix, e.at_unix"
    joined = "FROM quarantines AS b LEFT JOIN quarantine_ends AS e ON e.quarantine_id = b.id"
    select = f"SELECT {columns}, b.batch, b.node, e.cause {joined}"
    rows = ours.rows(connection, select, "b", "b", "address")
    for identity, address, mac, interface, at, until, batch, node, cause in rows:
        if held is None or _met(address, at, until, held):
            yield Entry(
                happening=Happening.QUARANTINED,
                at_unix=at,
                id=identity,
                batch=batch,
                service=None,
                addresses=split(address),
                cause=mac,
                detail=f"{mac} answers on {interface}",
                by=node,
                until_unix=until,
                ended_by=cause or "",
            )
    select = f"SELECT {columns}, e.batch, e.by_whom, e.cause {joined.replace('LEFT JOIN', 'JOIN')}"
    rows = ours.rows(connection, select, "e", "b", "address")
    for identity, address, mac, _, at, until, batch, by, cause in rows:
        if held is None or _met(address, at, until, held):
            yield Entry(
                happening=Happening.CLEARED,
                at_unix=until,
                id=identity,
                batch=batch,
                service=None,
                addresses=split(address),
                cause=cause,
                detail=f"of {mac}",
                by=by,
            )


def _met(address: str, at: float, until: float | None, held: Iterable[Entry]) -> bool:
    """Whether an address was quarantined while it was held."""
    return any(
        address in map(str, entry.addresses)
        and (until is None or until >= entry.at_unix)
        and (entry.until_unix is None or entry.until_unix >= at)
        for entry in held
    )
