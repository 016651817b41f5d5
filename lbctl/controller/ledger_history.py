"""What the ledger tells of the past: every grant and its end, every reservation and quarantine, in order.

entries, more = history(connection, target=ServiceKey("default", "web"), since_unix=None, limit=100)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lbctl.controller.ledger_rows import split
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
    grants = list(_grants(connection, target))
    entries = [entry for row in grants for entry in row]
    entries += _amendments(connection, target)
    entries += _reservations(connection, target)
    entries += _quarantines(connection, target, [entry for entry in entries if entry.happening is Happening.ALLOCATED])
    chosen = sorted(
        (entry for entry in entries if since_unix is None or entry.at_unix >= since_unix),
        key=lambda entry: (entry.batch, entry.at_unix, _ORDER[entry.happening], entry.id),
    )
    older = max(0, len(chosen) - limit) if limit else 0
    return tuple(chosen[older:]), older


def _where(target: Target, table: str, column: str = "addresses") -> tuple[str, Sequence[Any]]:
    match target:
        case None:
            return "", ()
        case ServiceKey():
            return f"WHERE {table}.namespace = ? AND {table}.name = ?", tuple(target)
        case _:
            return f"WHERE ' ' || {table}.{column} || ' ' LIKE ?", (f"% {target} %",)


def _grants(connection: Connection, target: Target) -> Iterator[tuple[Entry, ...]]:
    where, bindings = _where(target, "g")
    rows = connection.execute(
        f"""SELECT g.id, g.namespace, g.name, g.addresses, g.pool, g.second_pool, g.cause, g.at_unix, g.batch,
            r.cause, r.detail, r.at_unix, r.batch
        FROM grants AS g LEFT JOIN releases AS r ON r.grant_id = g.id {where}""",
        bindings,
    )
    for identity, namespace, name, addresses, pool, second, cause, at, batch, end, detail, until, end_batch in rows:
        service, held, pools = ServiceKey(namespace, name), split(addresses), _pools(pool, second)
        began = Entry(
            happening=Happening.ALLOCATED,
            at_unix=at,
            id=identity,
            batch=batch,
            service=service,
            addresses=held,
            pools=pools,
            cause=cause,
            until_unix=until,
            ended_by=end or "",
        )
        if end is None:
            yield (began,)
            continue
        ended = Entry(
            happening=Happening.RELEASED,
            at_unix=until,
            id=identity,
            batch=end_batch,
            service=service,
            addresses=held,
            pools=pools,
            cause=end,
            detail=detail,
        )
        yield began, ended


def _pools(pool: str, second: str) -> tuple[str, ...]:
    return (pool, second) if second else (pool,)


def _amendments(connection: Connection, target: Target) -> Iterator[Entry]:
    where, bindings = _where(target, "g")
    rows = connection.execute(
        f"""SELECT g.id, g.namespace, g.name, g.addresses, g.pool, g.second_pool, a.pool, a.second_pool, a.at_unix,
            a.batch
        FROM amendments AS a JOIN grants AS g ON g.id = a.grant_id {where} ORDER BY a.id""",
        bindings,
    )
    before: dict[int, tuple[str, ...]] = {}
    for identity, namespace, name, addresses, pool, second, pool_now, second_now, at, batch in rows:
        pools, was = _pools(pool_now, second_now), before.get(identity, _pools(pool, second))
        before[identity] = pools
        yield Entry(
            happening=Happening.AMENDED,
            at_unix=at,
            id=identity,
            batch=batch,
            service=ServiceKey(namespace, name),
            addresses=split(addresses),
            pools=pools,
            cause="terms_changed" if pools == was else "pool_changed",
            detail="" if pools == was else f"from {', '.join(was)}",
        )


def _reservations(connection: Connection, target: Target) -> Iterator[Entry]:
    where, bindings = _where(target, "b")
    rows = connection.execute(
        f"""SELECT b.id, b.namespace, b.name, b.addresses, b.pool, b.by_whom, b.at_unix, b.batch,
            e.by_whom, e.at_unix, e.batch
        FROM reservations AS b LEFT JOIN reservation_ends AS e ON e.reservation_id = b.id {where}""",
        bindings,
    )
    for identity, namespace, name, addresses, pool, by, at, batch, end_by, until, end_batch in rows:
        service, held = ServiceKey(namespace, name), split(addresses)
        yield Entry(
            happening=Happening.RESERVED,
            at_unix=at,
            id=identity,
            batch=batch,
            service=service,
            addresses=held,
            pools=(pool,),
            by=by,
            until_unix=until,
            ended_by="" if until is None else "operator",
        )
        if until is not None:
            yield Entry(
                happening=Happening.UNRESERVED,
                at_unix=until,
                id=identity,
                batch=end_batch,
                service=service,
                addresses=held,
                pools=(pool,),
                by=end_by,
            )


def _quarantines(connection: Connection, target: Target, held: Sequence[Entry]) -> Iterator[Entry]:
    where, bindings = ("", ()) if isinstance(target, ServiceKey) else _where(target, "b", "address")
    rows = connection.execute(
        f"""SELECT b.id, b.address, b.mac, b.node, b.interface, b.at_unix, b.batch,
            e.cause, e.by_whom, e.at_unix, e.batch
        FROM quarantines AS b LEFT JOIN quarantine_ends AS e ON e.quarantine_id = b.id {where}""",
        bindings,
    )
    for identity, address, mac, node, interface, at, batch, cause, by, until, end_batch in rows:
        if isinstance(target, ServiceKey) and not _met(address, at, until, held):
            continue
        addresses, answering = split(address), f"{mac} answers on {interface}"
        yield Entry(
            happening=Happening.QUARANTINED,
            at_unix=at,
            id=identity,
            batch=batch,
            service=None,
            addresses=addresses,
            cause=mac,
            detail=answering,
            by=node,
            until_unix=until,
            ended_by=cause or "",
        )
        if until is not None:
            yield Entry(
                happening=Happening.CLEARED,
                at_unix=until,
                id=identity,
                batch=end_batch,
                service=None,
                addresses=addresses,
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
