"""A ledger as lbctl wrote it before reservations and quarantines: schema 1."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lbctl.controller.ledger import FILE_NAME

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE grants (
    id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, addresses TEXT NOT NULL,
    pool TEXT NOT NULL, terms TEXT NOT NULL, cause TEXT NOT NULL, at_unix REAL NOT NULL);
CREATE TABLE releases (
    grant_id INTEGER PRIMARY KEY REFERENCES grants, cause TEXT NOT NULL, detail TEXT NOT NULL, at_unix REAL NOT NULL);
CREATE TABLE amendments (
    id INTEGER PRIMARY KEY, grant_id INTEGER NOT NULL REFERENCES grants, pool TEXT NOT NULL, terms TEXT NOT NULL,
    at_unix REAL NOT NULL);
CREATE TABLE addresses (
    address TEXT PRIMARY KEY, cooled_until REAL, reserved_for TEXT, quarantined TEXT, at_unix REAL NOT NULL
    ) WITHOUT ROWID;
CREATE TABLE first_seen (
    namespace TEXT NOT NULL, name TEXT NOT NULL, at_unix REAL NOT NULL, PRIMARY KEY (namespace, name)
    ) WITHOUT ROWID;
CREATE TABLE nodes (name TEXT PRIMARY KEY, addresses TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('schema', 1), ('ledger', 'old'), ('generation', 2000);
INSERT INTO nodes VALUES ('n1', '198.51.100.1');
INSERT INTO first_seen VALUES ('default', 'a', 5.0);
INSERT INTO grants VALUES
    (1, 'default', 'a', '192.0.2.0', 'p', '', 'automatic', 10.0),
    (2, 'default', 'b', '192.0.2.1 2001:db8::', 'p', '', 'automatic', 10.0),
    (3, 'default', 'c', '192.0.2.2', 'p', 'k' || char(10) || char(10) || 'TCP/80', 'requested_address', 11.0),
    (4, 'default', 'b', '192.0.2.1', 'p', '', 'family_dropped', 12.0),
    (5, 'default', 'd', '192.0.2.3', 'p', '', 'automatic', 12.0),
    (6, 'default', 'e', '192.0.2.3', 'p', '', 'automatic', 14.0);
INSERT INTO releases VALUES
    (2, 'superseded', 'families_changed', 12.0), (5, 'service_deleted', '', 13.0), (6, 'service_deleted', '', 15.0),
    (3, 'service_deleted', '', 12.5);
INSERT INTO amendments VALUES (1, 1, 'q', '', 12.0), (2, 1, 'r', 't' || char(10) || char(10) || 'TCP/80', 13.0);
"""


def write_schema1(folder: Path) -> None:
    """Makes `folder` and the ledger in it, complete without its -wal."""
    folder.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(folder / FILE_NAME, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(_TABLES)
    connection.close()
