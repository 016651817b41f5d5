"""The ledger: who was given which address, when and why. Append-only, on local disk, and read before any new grant.

SQLite in WAL mode with synchronous=FULL: a batch is there as a whole once `commit` returned, whatever happens to the
process or to the power; before, it may be there or not, and `open` says which. Grants and releases are only ever added.
An allocation is a grant without release, with its latest amendment.

Any connection with SQLite's Python shape serves (sqlite3 in autocommit mode, apsw); docs/state.md has the tables.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn, Protocol

from lbctl.controller.errors import StateError, StateTrouble, state_error
from lbctl.controller.records import Batch, LedgerState, users_of
from lbctl.model.address import IPAddress
from lbctl.model.allocation import Allocation
from lbctl.model.node import Node
from lbctl.model.service import ServiceKey
from lbctl.plan.allocate import Remembered
from lbctl.sources.published_schema import address_of

SCHEMA_VERSION = 1
FILE_NAME = "ledger.sqlite"

_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    """CREATE TABLE grants (
        id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, addresses TEXT NOT NULL,
        pool TEXT NOT NULL, terms TEXT NOT NULL, cause TEXT NOT NULL, at_unix REAL NOT NULL)""",
    """CREATE TABLE releases (
        grant_id INTEGER PRIMARY KEY REFERENCES grants, cause TEXT NOT NULL, detail TEXT NOT NULL,
        at_unix REAL NOT NULL)""",
    """CREATE TABLE amendments (
        id INTEGER PRIMARY KEY, grant_id INTEGER NOT NULL REFERENCES grants, pool TEXT NOT NULL, terms TEXT NOT NULL,
        at_unix REAL NOT NULL)""",
    # What will be said of an address that nobody holds, or that must not be announced.
    """CREATE TABLE addresses (
        address TEXT PRIMARY KEY, cooled_until REAL, reserved_for TEXT, quarantined TEXT, at_unix REAL NOT NULL
        ) WITHOUT ROWID""",
    """CREATE TABLE first_seen (
        namespace TEXT NOT NULL, name TEXT NOT NULL, at_unix REAL NOT NULL, PRIMARY KEY (namespace, name)
        ) WITHOUT ROWID""",
    "CREATE TABLE nodes (name TEXT PRIMARY KEY, addresses TEXT NOT NULL) WITHOUT ROWID",
)
_LIVE = """
    SELECT g.id, g.namespace, g.name, g.addresses, coalesce(a.pool, g.pool), coalesce(a.terms, g.terms), g.at_unix
    FROM grants AS g
    LEFT JOIN releases AS r ON r.grant_id = g.id
    LEFT JOIN (SELECT grant_id, pool, terms, max(id) FROM amendments GROUP BY grant_id) AS a ON a.grant_id = g.id
    WHERE r.grant_id IS NULL
    ORDER BY g.id"""


class Connection(Protocol):
    """What is asked of a database connection: autocommit, and SQLite's own words for transactions."""

    def execute(self, sql: str, bindings: Sequence[Any] = (), /) -> Iterable[Any]: ...

    def executemany(self, sql: str, bindings: Iterable[Sequence[Any]], /) -> Iterable[Any]: ...

    def close(self) -> None: ...


def connect(path: Path) -> Connection:
    """The standard library's SQLite. Used by one thread at a time, whichever that is."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


class Ledger:
    """One ledger file. `new_name` names a ledger that is made anew; nothing is touched before `open`."""

    def __init__(
        self, folder: Path, *, new_name: Callable[[], str], connector: Callable[[Path], Connection] = connect
    ) -> None:
        self._path = folder / FILE_NAME
        self._new_name = new_name
        self._connector = connector
        self._connection: Connection | None = None
        self._state: LedgerState | None = None

    @property
    def state(self) -> LedgerState:
        """What is committed, as of the last `open` or `commit`."""
        assert self._state is not None, "open the ledger first"
        return self._state

    def open(self) -> LedgerState:
        """Opens the file, makes it where there is none, and reads it back. Raises StateError."""
        self.close()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._connector(self._path)
            self._prepare(self._connection)
            self._state = _read(self._connection)
        except Exception as error:
            self.close()
            self._raise(error)
        return self._state

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # Closing tidies up (a checkpoint); what is committed stands without it.
            with contextlib.suppress(Exception):
                connection.close()

    def commit(self, batch: Batch, after: LedgerState | None = None) -> LedgerState:
        """Writes the batch; on return it is on the disk. Raises StateError, and then `open` tells what is committed.

        `after` is `state.after(batch)`, from a caller who has it already and wants to find its own objects again.
        """
        after = after or self.state.after(batch)
        connection = self._connection
        assert connection is not None, "open the ledger first"
        try:
            _run(connection, "BEGIN IMMEDIATE")
            _write(connection, batch)
            _run(connection, "COMMIT")
        except Exception as error:
            with contextlib.suppress(Exception):
                _run(connection, "ROLLBACK")
            # The commit may have reached the disk before it failed; only reading it back tells.
            self.close()
            self._raise(error)
        self._state = after
        return after

    def _prepare(self, connection: Connection) -> None:
        _run(connection, "PRAGMA busy_timeout = 2000")
        version = _version(connection)
        if version > SCHEMA_VERSION:
            raise StateError(
                StateTrouble.NEWER_SCHEMA,
                f"{self._path} was written by a newer lbctl: its schema is {version}, and this lbctl knows "
                f"{SCHEMA_VERSION}; use the newer one, or give another --state DIR",
            )
        _run(connection, "PRAGMA journal_mode = WAL")
        _run(connection, "PRAGMA synchronous = FULL")
        _run(connection, "PRAGMA foreign_keys = ON")
        if version == 0:
            _run(connection, "BEGIN IMMEDIATE")
            for table in _TABLES:
                _run(connection, table)
            connection.executemany(
                "INSERT INTO meta VALUES (?, ?)",
                [("schema", SCHEMA_VERSION), ("ledger", self._new_name()), ("generation", 0)],
            )
            _run(connection, "COMMIT")
            _sync_folder(self._path.parent)
        found = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
        if found != ["ok"]:
            raise StateError(StateTrouble.DAMAGED, self._damaged(str(found[0])))

    def _damaged(self, what: str) -> str:
        return (
            f"{self._path} is damaged ({' '.join(what.split())}); put a copy back, or move it away and the allocations "
            "are taken from what was last published"
        )

    def _raise(self, error: Exception) -> NoReturn:
        """The error by its name, where the disk is to blame; as it is, where we are."""
        if isinstance(error, OSError):
            raise state_error(error, self._path) from error
        # sqlite3 and apsw call it differently.
        code = getattr(error, "sqlite_errorcode", None) or getattr(error, "extendedresult", None)
        if isinstance(error, StateError) or code is None:
            raise error
        folder = self._path.parent
        kind = code & 0xFF
        if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise StateError(StateTrouble.DAMAGED, self._damaged(str(error))) from error
        if kind == sqlite3.SQLITE_FULL or _is_full(folder):
            raise StateError(StateTrouble.DISK_FULL, f"no space left for {self._path}; free some there") from error
        if kind == sqlite3.SQLITE_READONLY or not os.access(folder, os.W_OK):
            advice = "make it writable, or give another --state DIR"
            raise StateError(StateTrouble.READ_ONLY, f"{self._path} cannot be written; {advice}") from error
        raise StateError(StateTrouble.BROKEN, f"cannot use {self._path}: {error}") from error


def _run(connection: Connection, sql: str) -> None:
    for _ in connection.execute(sql):
        pass


def _version(connection: Connection) -> int:
    if not list(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'")):
        return 0
    return next((int(row[0]) for row in connection.execute("SELECT value FROM meta WHERE key = 'schema'")), 0)


def _is_full(folder: Path) -> bool:
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < 65536


def _sync_folder(folder: Path) -> None:
    """Makes the names in a folder last, and its own name in the folder above."""
    for path in (folder, folder.parent):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _joined(addresses: Iterable[IPAddress]) -> str:
    return " ".join(map(str, addresses))


def _split(text: str) -> tuple[IPAddress, ...]:
    return tuple(map(address_of, text.split()))


def _write(connection: Connection, batch: Batch) -> None:
    at = batch.at_unix
    many = connection.executemany
    if batch.releases:
        rows = [(item.allocation.id, item.reason.value, item.detail, at) for item in batch.releases]
        many("INSERT INTO releases VALUES (?, ?, ?, ?)", rows)
    if batch.amendments:
        changed = [(item.allocation.id, item.pool, item.terms, at) for item in batch.amendments]
        many("INSERT INTO amendments (grant_id, pool, terms, at_unix) VALUES (?, ?, ?, ?)", changed)
    if batch.grants:
        granted = [
            (number, *grant.service, _joined(grant.addresses), grant.pool, grant.terms, grant.cause.value, at)
            for number, grant in enumerate(batch.grants, batch.first_grant)
        ]
        many("INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?, ?, ?)", granted)
    if batch.forgotten:
        many("DELETE FROM first_seen WHERE namespace = ? AND name = ?", batch.forgotten)
    if batch.seen:
        many("INSERT OR REPLACE INTO first_seen VALUES (?, ?, ?)", [(*key, when) for key, when in batch.seen.items()])
    if batch.nodes_dropped:
        many("DELETE FROM nodes WHERE name = ?", [(name,) for name in batch.nodes_dropped])
    if batch.nodes:
        known = [(node.name, _joined(node.addresses)) for node in batch.nodes]
        many("INSERT OR REPLACE INTO nodes VALUES (?, ?)", known)
    if batch.generation is not None:
        many("UPDATE meta SET value = ? WHERE key = 'generation'", [(batch.generation,)])


def _read(connection: Connection) -> LedgerState:
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    allocations: dict[ServiceKey, Allocation] = {}
    terms: dict[ServiceKey, str] = {}
    for number, namespace, name, addresses, pool, agreed, at_unix in connection.execute(_LIVE):
        key = ServiceKey(namespace, name)
        allocations[key] = Allocation(
            service=key, addresses=_split(addresses), pool=pool, id=number, since_unix=at_unix
        )
        if agreed:
            terms[key] = agreed
    seen = {
        ServiceKey(namespace, name): at_unix
        for namespace, name, at_unix in connection.execute("SELECT namespace, name, at_unix FROM first_seen")
    }
    nodes = {
        name: Node(name=name, addresses=_split(addresses), registered=True)
        for name, addresses in connection.execute("SELECT name, addresses FROM nodes")
    }
    ((last,),) = connection.execute("SELECT coalesce(max(id), 0) FROM grants")
    return LedgerState(
        ledger=meta["ledger"],
        allocations=MappingProxyType(allocations),
        users=users_of(allocations),
        remembered=Remembered(terms=MappingProxyType(terms), first_seen=MappingProxyType(seen)),
        nodes=MappingProxyType(nodes),
        next_grant=last + 1,
        generation=int(meta["generation"]),
    )
