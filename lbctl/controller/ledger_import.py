"""Puts an export of a ledger in the place of the one in a state folder: all of it, or nothing and a reason."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import BinaryIO

from lbctl.controller.errors import StateError, StateTrouble
from lbctl.controller.ledger import FILE_NAME, PART, Ledger, connect, keep_copy, raise_named
from lbctl.controller.ledger_replay import check
from lbctl.controller.ledger_rows import read
from lbctl.controller.ledger_schema import Connection, run
from lbctl.controller.ledger_text import COLUMNS, LONGEST_LINE, TextError, load


class ImportRefused(Exception):
    """The text, or the ledger that is there, is not fit for it; one line that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """`copy`: where the ledger that was replaced is kept."""

    rows: int
    allocations: int
    copy: Path | None


def import_ledger(folder: Path, text: BinaryIO, *, replace: bool) -> Imported:
    """The caller holds the folder's lock. Raises ImportRefused and StateError; the ledger is then as it was."""
    path = folder / FILE_NAME
    was_there = path.exists()
    ledger = Ledger(folder, new_name=lambda: secrets.token_hex(8))
    tidy(folder)
    # It makes the tables, or brings them to this schema.
    try:
        ledger.open()
    except StateError as error:
        # A ledger that no controller can use is what one may want to replace.
        if not (replace and error.trouble is StateTrouble.IMPOSSIBLE):
            raise
    ledger.close()
    try:
        return _replace(path, text, replace=replace)
    except BaseException:
        if not was_there:
            for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
                path.with_name(name).unlink(missing_ok=True)
        raise


def _replace(path: Path, text: BinaryIO, *, replace: bool) -> Imported:
    folder = path.parent
    connection = connect(path)
    try:
        run(connection, "PRAGMA synchronous = FULL")
        run(connection, "PRAGMA foreign_keys = OFF")
        copy = None
        if not _is_empty(connection):
            if not replace:
                raise ImportRefused(f"the ledger in {folder} is not empty; --replace replaces it, and keeps a copy")
            copy = _new_name(folder)
            keep_copy(connection, copy)
        run(connection, "BEGIN IMMEDIATE")
        try:
            rows = load(connection, _lines(text))
            findings = check(connection)
            if findings:
                more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
                raise ImportRefused(f"it makes no sense: {findings[0]}{more}")
            allocations = len(read(connection).allocations)
            run(connection, "COMMIT")
        except BaseException:
            with contextlib.suppress(Exception):
                run(connection, "ROLLBACK")
            if copy is not None:
                with contextlib.suppress(OSError):
                    copy.unlink(missing_ok=True)
            raise
    except TextError as error:
        raise ImportRefused(str(error)) from None
    except (ImportRefused, StateError):
        raise
    except Exception as error:
        raise_named(error, path)
    finally:
        connection.close()
    return Imported(rows=rows, allocations=allocations, copy=copy)


def tidy(folder: Path) -> None:
    """Removes what imports that were killed left of their copies. The caller holds the folder's lock."""
    for part in folder.glob(f"ledger-*.sqlite{PART}*"):
        with contextlib.suppress(OSError):
            part.unlink()


def _new_name(folder: Path) -> Path:
    """For a copy of what is replaced; it takes the place of no other."""
    stem = time.strftime("ledger-%Y%m%d-%H%M%S")
    suffixes = chain([""], (f"-{number}" for number in count(2)))
    return next(name for suffix in suffixes if not (name := folder / f"{stem}{suffix}.sqlite").exists())


def _is_empty(connection: Connection) -> bool:
    return not any(
        list(connection.execute(f"SELECT 1 FROM {table} LIMIT 1"))
        for table in COLUMNS
        if table not in ("first_seen", "nodes")
    )


def _lines(text: BinaryIO) -> Iterable[bytes]:
    """Its lines; none is read further than what is too long in any case."""
    try:
        while line := text.readline(LONGEST_LINE + 1):
            yield line
    except OSError as error:
        # Else the ledger would be blamed for it.
        raise ImportRefused(f"the text cannot be read: {error.strerror or error}") from None
