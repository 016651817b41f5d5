"""docs/state.md says what the ledger has: every table, every column, every trouble and every cause."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from lbctl.controller.errors import StateTrouble
from lbctl.controller.kept import ClearCause
from lbctl.controller.ledger import FILE_NAME, Ledger
from lbctl.controller.ledger_text import COLUMNS
from lbctl.plan.reason import GrantCause

_PAGE = (Path(__file__).parents[2] / "docs" / "state.md").read_text()


def test_every_table_and_column_is_named(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, new_name=lambda: "name")
    ledger.open()
    ledger.close()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", _PAGE, re.MULTILINE))
    reader = sqlite3.connect(tmp_path / FILE_NAME)
    tables = [name for (name,) in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        columns = {row[1] for row in reader.execute(f"PRAGMA table_info({table})")}
        named = set(re.findall(r"`(\w+)`", rows[table]))
        assert columns - named <= {"key", "value"}, table
    reader.close()


def test_the_query_runs(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, new_name=lambda: "name")
    ledger.open()
    ledger.close()
    (query,) = re.findall(r"ledger\.sqlite \"\n(.*?)\"", _PAGE, re.DOTALL)
    reader = sqlite3.connect(tmp_path / FILE_NAME)
    assert reader.execute(query).fetchall() == []
    reader.close()


def test_every_cause_of_a_grant_is_named() -> None:
    assert all(f"`{cause.value}`" in _PAGE for cause in GrantCause)
    assert all(f"`{trouble.value}`" in _PAGE for trouble in (StateTrouble.DISK_FULL, StateTrouble.READ_ONLY))


def test_the_columns_of_an_export_are_in_the_order_of_the_page() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", _PAGE, re.MULTILINE))
    for table, columns in COLUMNS.items():
        named = [name for name in re.findall(r"`(\w+)`", rows[table]) if name in dict(columns)]
        assert list(dict.fromkeys(named)) == [name for name, _ in columns], table
    listed = re.search(r"the tables in the order (.*?), their columns", _PAGE, re.DOTALL)
    assert listed is not None
    assert re.findall(r"`(\w+)`", listed[1]) == list(COLUMNS)


def test_every_cause_of_an_end_is_named() -> None:
    assert all(f"`{cause.value}`" in _PAGE for cause in ClearCause)
