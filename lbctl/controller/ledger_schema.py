"""The ledger's tables, and the way from an older schema to this one.

Schema 1 had neither `batch` nor second pools, and of addresses without holder it knew nothing. Everything in it becomes
batch 0: what happened before batches were numbered, whose order only the clock tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

SCHEMA_VERSION = 2


class Connection(Protocol):
    """What is asked of a database connection: autocommit, and SQLite's own words for transactions."""

    def execute(self, sql: str, bindings: Sequence[Any] = (), /) -> Iterable[Any]: ...

    def executemany(self, sql: str, bindings: Iterable[Sequence[Any]], /) -> Iterable[Any]: ...

    def close(self) -> None: ...


_OF_ADDRESSES = (
    """CREATE TABLE reservations (
        id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, addresses TEXT NOT NULL,
        pool TEXT NOT NULL, second_pool TEXT NOT NULL, by_whom TEXT NOT NULL, at_unix REAL NOT NULL,
        batch INTEGER NOT NULL)""",
    """CREATE TABLE reservation_ends (
        reservation_id INTEGER PRIMARY KEY REFERENCES reservations, by_whom TEXT NOT NULL, at_unix REAL NOT NULL,
        batch INTEGER NOT NULL)""",
    """CREATE TABLE quarantines (
        id INTEGER PRIMARY KEY, address TEXT NOT NULL, mac TEXT NOT NULL, node TEXT NOT NULL, interface TEXT NOT NULL,
        at_unix REAL NOT NULL, batch INTEGER NOT NULL)""",
    """CREATE TABLE quarantine_ends (
        quarantine_id INTEGER PRIMARY KEY REFERENCES quarantines, cause TEXT NOT NULL, by_whom TEXT NOT NULL,
        at_unix REAL NOT NULL, batch INTEGER NOT NULL)""",
    # What the releases say as well; so that nobody has to read them all.
    """CREATE TABLE freed (
        id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE, namespace TEXT NOT NULL, name TEXT NOT NULL,
        at_unix REAL NOT NULL)""",
)
TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    """CREATE TABLE grants (
        id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, addresses TEXT NOT NULL,
        pool TEXT NOT NULL, terms TEXT NOT NULL, cause TEXT NOT NULL, at_unix REAL NOT NULL,
        second_pool TEXT NOT NULL DEFAULT '', batch INTEGER NOT NULL DEFAULT 0)""",
    """CREATE TABLE releases (
        grant_id INTEGER PRIMARY KEY REFERENCES grants, cause TEXT NOT NULL, detail TEXT NOT NULL,
        at_unix REAL NOT NULL, batch INTEGER NOT NULL DEFAULT 0)""",
    """CREATE TABLE amendments (
        id INTEGER PRIMARY KEY, grant_id INTEGER NOT NULL REFERENCES grants, pool TEXT NOT NULL, terms TEXT NOT NULL,
        at_unix REAL NOT NULL, second_pool TEXT NOT NULL DEFAULT '', batch INTEGER NOT NULL DEFAULT 0)""",
    *_OF_ADDRESSES,
    """CREATE TABLE first_seen (
        namespace TEXT NOT NULL, name TEXT NOT NULL, at_unix REAL NOT NULL, PRIMARY KEY (namespace, name)
        ) WITHOUT ROWID""",
    "CREATE TABLE nodes (name TEXT PRIMARY KEY, addresses TEXT NOT NULL) WITHOUT ROWID",
)
_FROM_1 = (
    "ALTER TABLE grants ADD COLUMN second_pool TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE grants ADD COLUMN batch INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE releases ADD COLUMN batch INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE amendments ADD COLUMN second_pool TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE amendments ADD COLUMN batch INTEGER NOT NULL DEFAULT 0",
    "DROP TABLE addresses",
    *_OF_ADDRESSES,
    "INSERT INTO meta VALUES ('batch', 0)",
    "UPDATE meta SET value = 2 WHERE key = 'schema'",
)


def run(connection: Connection, sql: str, bindings: Sequence[Any] = ()) -> None:
    for _ in connection.execute(sql, bindings):
        pass


def version(connection: Connection) -> int:
    """The schema of the file; 0 where it has none yet."""
    if not list(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'")):
        return 0
    return next((int(row[0]) for row in connection.execute("SELECT value FROM meta WHERE key = 'schema'")), 0)


def create(connection: Connection, name: str) -> None:
    """Makes the tables of a new ledger, within the caller's transaction."""
    for table in TABLES:
        run(connection, table)
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?)",
        [("schema", SCHEMA_VERSION), ("ledger", name), ("generation", 0), ("batch", 0)],
    )


def migrate(connection: Connection) -> None:
    """Brings schema 1 to this one, within the caller's transaction: all of it or nothing."""
    for step in _FROM_1:
        run(connection, step)
    _freed_from_releases(connection)


def _freed_from_releases(connection: Connection) -> None:
    """Fills `freed` with what the releases of schema 1 say: who gave each unused address back last."""
    used = {
        address
        for (addresses,) in connection.execute(
            "SELECT g.addresses FROM grants AS g LEFT JOIN releases AS r ON r.grant_id = g.id WHERE r.grant_id IS NULL"
        )
        for address in addresses.split()
    }
    freed: dict[str, tuple[str, str, float]] = {}
    for addresses, namespace, name, at_unix in connection.execute(FREED_BEFORE_BATCHES):
        for address in addresses.split():
            if address not in used:
                freed.pop(address, None)
                freed[address] = (namespace, name, at_unix)
    connection.executemany(
        "INSERT INTO freed (address, namespace, name, at_unix) VALUES (?, ?, ?, ?)",
        [(address, *row) for address, row in freed.items()],
    )


FREED_BEFORE_BATCHES = """
    SELECT g.addresses, g.namespace, g.name, r.at_unix
    FROM releases AS r JOIN grants AS g ON g.id = r.grant_id WHERE r.batch = 0 ORDER BY r.at_unix, r.grant_id"""
