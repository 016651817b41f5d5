"""The ledger: who was given which address, when and why. Append-only, on local disk, and read before any new grant.

SQLite in WAL mode with synchronous=FULL: a batch is there as a whole once `commit` returned, whatever happens to the
process or to the power; before, it may be there or not, and `open` says which. What happened is only ever added to:
an allocation is a grant without release, with its latest amendment; reservations and quarantines go the same way.

Any connection with SQLite's Python shape serves (sqlite3 in autocommit mode, apsw); docs/state.md has the tables.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from lbctl.controller.errors import StateError, StateTrouble, state_error
from lbctl.controller.ledger_rows import read, write
from lbctl.controller.ledger_rules import RowError
from lbctl.controller.ledger_schema import SCHEMA_VERSION, Connection, create, migrate, run, version
from lbctl.controller.records import Batch, LedgerState

FILE_NAME = "ledger.sqlite"
PART = ".part"
"""Behind the name of a copy that is not whole yet."""


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
            self._state = read(self._connection)
        except RowError as error:
            self.close()
            raise StateError(StateTrouble.IMPOSSIBLE, impossible(self._path, error)) from error
        except Exception as error:
            self.close()
            raise_named(error, self._path)
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
            run(connection, "BEGIN IMMEDIATE")
            write(connection, batch, self.state.freed_by(batch, after.users))
            run(connection, "COMMIT")
        except Exception as error:
            with contextlib.suppress(Exception):
                run(connection, "ROLLBACK")
            # The commit may have reached the disk before it failed; only reading it back tells.
            self.close()
            raise_named(error, self._path)
        self._state = after
        return after

    def _prepare(self, connection: Connection) -> None:
        run(connection, "PRAGMA busy_timeout = 2000")
        found = version(connection)
        if found > SCHEMA_VERSION:
            raise StateError(
                StateTrouble.NEWER_SCHEMA,
                f"{self._path} was written by a newer lbctl: its schema is {found}, and this lbctl knows "
                f"{SCHEMA_VERSION}; use the newer one, or give another --state DIR",
            )
        run(connection, "PRAGMA journal_mode = WAL")
        run(connection, "PRAGMA synchronous = FULL")
        run(connection, "PRAGMA foreign_keys = ON")
        if found == 0:
            _in_one(connection, lambda: create(connection, self._new_name()))
            sync_folder(self._path.parent)
        complaint = next(str(row[0]) for row in connection.execute("PRAGMA quick_check(1)"))
        if complaint != "ok":
            raise StateError(StateTrouble.DAMAGED, _damaged(self._path, complaint))
        if 0 < found < SCHEMA_VERSION:
            self._keep_copy(connection, found)
            _in_one(connection, lambda: migrate(connection))

    def _keep_copy(self, connection: Connection, schema: int) -> None:
        """A copy of an older ledger, for the lbctl that wrote it."""
        keep_copy(connection, self._path.with_name(f"ledger-schema{schema}.sqlite"))


def keep_copy(connection: Connection, copy: Path) -> None:
    """A whole ledger under that name, on the disk, or nothing. Raises what SQLite and the kernel say."""
    part = copy.with_name(copy.name + PART)
    part.unlink(missing_ok=True)
    try:
        run(connection, "VACUUM INTO ?", (str(part),))
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(copy)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    sync_folder(copy.parent)


def impossible(path: Path, error: RowError) -> str:
    """What to do about a ledger whose rows make no sense."""
    return (
        f"{path} makes no sense: {error}; put a copy back, or move it away and the allocations are taken from what was "
        "last published; `lbctl ledger check` tells what else is wrong"
    )


def _damaged(path: Path, what: str) -> str:
    return (
        f"{path} is damaged ({' '.join(what.split())}); put a copy back, or move it away and the allocations "
        "are taken from what was last published"
    )


def raise_named(error: Exception, path: Path) -> NoReturn:
    """The error by its name, where the disk of the ledger at `path` is to blame; as it is, where we are."""
    if isinstance(error, OSError):
        raise state_error(error, path) from error
    # sqlite3 and apsw call it differently.
    code = getattr(error, "sqlite_errorcode", None) or getattr(error, "extendedresult", None)
    if isinstance(error, StateError) or code is None:
        raise error
    folder = path.parent
    kind = code & 0xFF
    if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        raise StateError(StateTrouble.DAMAGED, _damaged(path, str(error))) from error
    if kind == sqlite3.SQLITE_FULL or _is_full(folder):
        raise StateError(StateTrouble.DISK_FULL, f"no space left for {path}; free some there") from error
    if kind == sqlite3.SQLITE_READONLY or not os.access(folder, os.W_OK):
        advice = "make it writable, or give another --state DIR"
        raise StateError(StateTrouble.READ_ONLY, f"{path} cannot be written; {advice}") from error
    raise StateError(StateTrouble.BROKEN, f"cannot use {path}: {error}") from error


def _in_one(connection: Connection, change: Callable[[], None]) -> None:
    """All of the change or nothing of it: to close the connection takes back what failed half way."""
    run(connection, "BEGIN IMMEDIATE")
    change()
    run(connection, "COMMIT")


def _is_full(folder: Path) -> bool:
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < 65536


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last, and its own name in the folder above."""
    for path in (folder, folder.parent):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
