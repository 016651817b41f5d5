"""The ledger for those who only read: while a controller writes, after one was killed, and with no right to write.

    with reading(folder) as connection: ...

SQLite needs the files beside the ledger (-wal, -shm) to read it, and makes them where they are not there. Where it may
not, a copy is read; it is made again until no write fell into it.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from lbctl.controller.errors import StateError, StateTrouble
from lbctl.controller.ledger import FILE_NAME
from lbctl.controller.ledger_rules import RowError
from lbctl.controller.ledger_schema import SCHEMA_VERSION, version

_TRIES = 10


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """A connection that sees one state of the ledger from its first question on. Raises StateError."""
    path = folder / FILE_NAME
    opened = False
    with contextlib.ExitStack() as stack:
        try:
            with path.open("rb"):
                pass
            connection = _opened(path)
            if connection is None:
                copies = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lbctl-ledger-")))
                _copy(path, copies)
                connection = sqlite3.connect(copies / FILE_NAME, isolation_level=None)
            stack.callback(connection.close)
            connection.execute("BEGIN")
            _check_version(path, version(connection))
            opened = True
            yield connection
        except RowError as error:
            raise StateError(StateTrouble.IMPOSSIBLE, f"{path} makes no sense: {error}") from None
        except OSError as error:
            # What goes wrong where the rows are taken to is not for the ledger to answer for.
            if opened:
                raise
            raise _not_opened(path, error) from None
        except sqlite3.DatabaseError as error:
            raise StateError(StateTrouble.DAMAGED, f"{path} cannot be read as a ledger: {error}") from None


def _not_opened(path: Path, error: OSError) -> StateError:
    match error:
        case PermissionError():
            return StateError(StateTrouble.FORBIDDEN, f"{path}: permission denied; run it as root")
        case FileNotFoundError():
            return StateError(StateTrouble.MISSING, f"there is no ledger at {path}; name one with --state DIR")
        case _:
            return StateError(StateTrouble.BROKEN, f"cannot read {path}: {error.strerror or error}")


def _opened(path: Path) -> sqlite3.Connection | None:
    """A connection to the file itself; None where SQLite would have to write and may not."""
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None, timeout=2
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        return None
    return connection


def _copy(path: Path, folder: Path) -> None:
    """Copies the file and its -wal, again until neither changed meanwhile."""
    sources = [path, path.with_name(path.name + "-wal")]
    for _ in range(_TRIES):
        before = [_stamp(source) for source in sources]
        for source in sources:
            (folder / source.name).unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(source, folder / source.name)
        if before == [_stamp(source) for source in sources]:
            return
    raise StateError(StateTrouble.BROKEN, f"{path} changes too often to be copied; try again, or run it as root")


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _check_version(path: Path, found: int) -> None:
    if found > SCHEMA_VERSION:
        raise StateError(
            StateTrouble.NEWER_SCHEMA,
            f"{path} was written by a newer lbctl: its schema is {found}, and this lbctl knows {SCHEMA_VERSION}; "
            "use the newer one",
        )
    if found < SCHEMA_VERSION:
        raise StateError(
            StateTrouble.OLDER_SCHEMA,
            f"{path} has schema {found}, of an older lbctl; a controller of this version, once started, brings it up",
        )
