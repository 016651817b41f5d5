"""The whole ledger as text, `lbctl.io/ledger/v1`: JSON lines, the same bytes for the same ledger.

    {"schema": "lbctl.io/ledger/v1", "ledger": "318d5560c53fa1c5", "generation": 2000, "batch": 17}
    {"grants": [1, "default", "web", "192.0.2.1", ...]}
    {"end": 1, "checksum": "sha256:..."}

A head, a line for each row (its columns in the order of docs/state.md), and an end with the number of rows and the
SHA-256 of all bytes before its own line, so that text that was cut off or edited by accident is found out.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from lbctl.controller.ledger_schema import Connection, run

SCHEMA = "lbctl.io/ledger/v1"
LONGEST_LINE = 1 << 20
LARGEST = (1 << 53) - 1
"""No number in the text is larger: up to here every reader of JSON keeps them as they are."""
LATEST = 253402300799.0
"""The last second of the year 9999, which is as far as calendars go."""
_HASH = "sha256"

COLUMNS: dict[str, tuple[tuple[str, type], ...]] = {
    "grants": (
        ("id", int),
        ("namespace", str),
        ("name", str),
        ("addresses", str),
        ("pool", str),
        ("second_pool", str),
        ("terms", str),
        ("cause", str),
        ("at_unix", float),
        ("batch", int),
    ),
    "releases": (("grant_id", int), ("cause", str), ("detail", str), ("at_unix", float), ("batch", int)),
    "amendments": (
        ("id", int),
        ("grant_id", int),
        ("pool", str),
        ("second_pool", str),
        ("terms", str),
        ("at_unix", float),
        ("batch", int),
    ),
    "reservations": (
        ("id", int),
        ("namespace", str),
        ("name", str),
        ("addresses", str),
        ("pool", str),
        ("second_pool", str),
        ("by_whom", str),
        ("at_unix", float),
        ("batch", int),
    ),
    "reservation_ends": (("reservation_id", int), ("by_whom", str), ("at_unix", float), ("batch", int)),
    "quarantines": (
        ("id", int),
        ("address", str),
        ("mac", str),
        ("node", str),
        ("interface", str),
        ("at_unix", float),
        ("batch", int),
    ),
    "quarantine_ends": (
        ("quarantine_id", int),
        ("cause", str),
        ("by_whom", str),
        ("at_unix", float),
        ("batch", int),
    ),
    "freed": (("id", int), ("address", str), ("namespace", str), ("name", str), ("at_unix", float)),
    "first_seen": (("namespace", str), ("name", str), ("at_unix", float)),
    "nodes": (("name", str), ("addresses", str)),
}
"""The tables in the order in which they are written, which is one that their references allow; their columns."""
_HEAD: dict[str, type] = {"ledger": str, "generation": int, "batch": int}


class TextError(Exception):
    """Text that is no ledger; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}" if line else message)


def exported(connection: Connection) -> Iterator[bytes]:
    """The ledger's lines, each with its end of line."""
    digest = hashlib.new(_HASH)
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    head = {"schema": SCHEMA, **{name: kind(meta[name]) for name, kind in _HEAD.items()}}
    count = 0
    for item in (head, *_rows(connection)):
        line = _line(item)
        digest.update(line)
        yield line
        count += 1
    yield _line({"end": count - 1, "checksum": f"{_HASH}:{digest.hexdigest()}"})


def _rows(connection: Connection) -> Iterator[dict[str, list[Any]]]:
    for table, columns in COLUMNS.items():
        names = ", ".join(name for name, _ in columns)
        order = "namespace, name" if table == "first_seen" else columns[0][0]
        for row in connection.execute(f"SELECT {names} FROM {table} ORDER BY {order}"):
            yield {table: list(row)}


def _line(item: Any) -> bytes:
    return json.dumps(item, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def load(connection: Connection, lines: Iterable[bytes]) -> int:
    """Replaces all rows by those of the text, within the caller's transaction; returns how many there are.

    Raises TextError, after which the transaction must be taken back. That the rows make sense together is for
    `ledger_replay.check` to say.
    """
    for table in reversed(COLUMNS):
        run(connection, f"DELETE FROM {table}")
    digest = hashlib.new(_HASH)
    tables = list(COLUMNS)
    reached = count = 0
    ended = False
    number = 0
    for number, line in enumerate(lines, 1):
        if ended:
            raise TextError(number, "there is more after the end")
        item = _parsed(number, line)
        if number == 1:
            _load_head(connection, item)
        elif "end" in item:
            _check_end(number, item, count, f"{_HASH}:{digest.hexdigest()}")
            ended = True
        else:
            table, row = _row(number, item)
            if tables.index(table) < reached:
                raise TextError(number, f"a row of {table} after one of {tables[reached]}")
            reached = tables.index(table)
            names = ", ".join(name for name, _ in COLUMNS[table])
            marks = ", ".join("?" * len(row))
            try:
                run(connection, f"INSERT INTO {table} ({names}) VALUES ({marks})", row)
            except sqlite3.IntegrityError as error:
                raise TextError(number, f"this row does not fit those before it: {error}") from error
            count += 1
        digest.update(line)
    if not number:
        raise TextError(0, "there is nothing in it")
    if not ended:
        raise TextError(number, "it was cut off: there is no end after this line")
    return count


def _parsed(number: int, line: bytes) -> dict[str, Any]:
    if len(line) > LONGEST_LINE:
        raise TextError(number, f"it is longer than {LONGEST_LINE} bytes")
    try:
        item = json.loads(line.decode())
    except UnicodeDecodeError:
        raise TextError(number, "it is no text in UTF-8") from None
    except (ValueError, RecursionError):
        what = "it was cut off here, or is no JSON" if not line.endswith(b"\n") else "it is no JSON"
        raise TextError(number, what) from None
    if not isinstance(item, dict) or not item:
        raise TextError(number, "it is no JSON object")
    return item


def _load_head(connection: Connection, item: dict[str, Any]) -> None:
    schema = item.get("schema")
    if schema != SCHEMA:
        if isinstance(schema, str) and schema.startswith("lbctl.io/ledger/"):
            raise TextError(1, f"its schema is {schema}, of a newer lbctl; this one reads {SCHEMA}")
        raise TextError(1, f'it is no export of a ledger (those begin with {{"schema":"{SCHEMA}"}})')
    for name, kind in _HEAD.items():
        value = item.get(name)
        if not _fits(value, kind):
            raise TextError(1, f"{name} is missing or wrong")
        run(connection, "UPDATE meta SET value = ? WHERE key = ?", (value, name))


def _row(number: int, item: dict[str, Any]) -> tuple[str, list[Any]]:
    ((table, row), *more) = item.items()
    columns = COLUMNS.get(table)
    if columns is None or more:
        raise TextError(number, f"{', '.join(map(repr, item))} is no table of this version")
    if not isinstance(row, list) or len(row) != len(columns):
        raise TextError(number, f"a row of {table} has {len(columns)} columns")
    for (name, kind), value in zip(columns, row, strict=True):
        if not (_is_text(value) if name == "terms" else _fits(value, kind)):
            raise TextError(number, f"{name} of {table} is wrong")
    return table, row


def _fits(value: Any, kind: type) -> bool:
    if kind is str:
        return isinstance(value, str) and value.isprintable()
    if kind is int:
        return type(value) is int and 0 <= value <= LARGEST
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value <= LATEST


def _is_text(value: Any) -> bool:
    """Terms have lines, and in them whatever an annotation has."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _check_end(number: int, item: dict[str, Any], count: int, checksum: str) -> None:
    if item.get("end") != count:
        raise TextError(number, f"it ends after {item.get('end')} rows, and here are {count}")
    if item.get("checksum") != checksum:
        raise TextError(number, "its checksum does not match: it was changed or damaged")
