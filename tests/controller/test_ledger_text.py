"""The ledger as text: the same bytes on the way back, and nothing that is not whole is taken."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.controller import ledger, ledger_text
from lbctl.controller.errors import StateError, StateTrouble
from lbctl.controller.ledger import FILE_NAME, Ledger
from lbctl.controller.ledger_import import Imported, ImportRefused, import_ledger
from lbctl.controller.ledger_reader import reading
from lbctl.controller.ledger_rows import read
from lbctl.controller.ledger_schema import Connection
from lbctl.controller.ledger_schema import run as run_as_it_is
from lbctl.controller.ledger_text import COLUMNS, LONGEST_LINE, exported
from lbctl.controller.records import LedgerState
from tests.controller.ledger_schema1 import write_schema1
from tests.controller.test_ledger_replay import _MEMORY, write


def text_of(folder: Path) -> bytes:
    with reading(folder) as connection:
        return b"".join(exported(connection))


def state_of(folder: Path) -> LedgerState:
    with reading(folder) as connection:
        return read(connection)


def put(folder: Path, text: bytes, *, replace: bool = False) -> Imported:
    return import_ledger(folder, io.BytesIO(text), replace=replace)


@pytest.fixture
def past(memory_folder: Path) -> bytes:
    """An export with something in most tables."""
    write_schema1(memory_folder / "past")
    Ledger(memory_folder / "past", new_name=lambda: "x").open()
    return text_of(memory_folder / "past")


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_it_comes_back_byte_for_byte(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory(dir=_MEMORY) as name:
        one, two = Path(name) / "one", Path(name) / "two"
        after = write(one, data)
        text = text_of(one)
        put(two, text)
        assert text_of(two) == text
        ledger = Ledger(two, new_name=lambda: "x")
        assert ledger.open() == after
        ledger.close()


def test_every_table_and_column_is_in_it(memory_folder: Path) -> None:
    Ledger(memory_folder, new_name=lambda: "x").open()
    with sqlite3.connect(memory_folder / FILE_NAME) as reader:
        tables = {row[0] for row in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert tables == {"meta", *COLUMNS}
        for table, columns in COLUMNS.items():
            found = {row[1] for row in reader.execute(f"PRAGMA table_info({table})")}
            assert found == {name for name, _ in columns}
        assert {row[0] for row in reader.execute("SELECT key FROM meta")} == {"schema", "ledger", "generation", "batch"}
    reader.close()


def test_text_that_was_cut_off_anywhere_is_refused_and_leaves_what_there_was(memory_folder: Path, past: bytes) -> None:
    folder = memory_folder / "other"
    put(folder, past)
    before = text_of(folder)
    for length in range(0, len(past) - 1, 53):
        with pytest.raises(ImportRefused) as caught:
            put(folder, past[:length], replace=True)
        assert "\n" not in str(caught.value)
    assert text_of(folder) == before
    assert [item.name for item in folder.iterdir() if item.name.startswith("ledger-")] == [], "no copy of nothing"


def test_what_cannot_be_taken_makes_no_ledger(memory_folder: Path, past: bytes) -> None:
    folder = memory_folder / "new"
    with pytest.raises(ImportRefused):
        put(folder, past[:-40])
    assert list(folder.iterdir()) == []


def sealed(*lines: Any) -> bytes:
    """An export with these lines, as somebody with another program would make it."""
    import hashlib

    body = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    end = {"end": len(lines) - 1, "checksum": f"sha256:{hashlib.sha256(body).hexdigest()}"}
    return body + json.dumps(end).encode() + b"\n"


HEAD = {"schema": "lbctl.io/ledger/v1", "ledger": "l", "generation": 1, "batch": 1}
GRANT = {"grants": [1, "a", "b", "192.0.2.1", "p", "", "", "automatic", 1.0, 1]}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "there is nothing in it"),
        (b"\n", "line 1: it is no JSON"),
        (b"\xff\xfe{}", "line 1: it is no text in UTF-8"),
        (b"[1]\n", "line 1: it is no JSON object"),
        (b'{"schema": "lbctl.io/published/v1"}\n', "it is no export of a ledger"),
        (sealed({**HEAD, "schema": "lbctl.io/ledger/v2"}), "its schema is lbctl.io/ledger/v2, of a newer lbctl"),
        (sealed({**HEAD, "generation": -1}), "generation is missing or wrong"),
        (sealed({**HEAD, "batch": True}), "batch is missing or wrong"),
        (sealed(HEAD, {"nonsense": []}), "'nonsense' is no table"),
        (sealed(HEAD, {"grants": [1]}), "a row of grants has 10 columns"),
        (sealed(HEAD, {"grants": [1, "a", "b", "192.0.2.1", "p", "", "", "x", float("inf"), 1]}), "at_unix of grants"),
        (sealed(HEAD, {"nodes": ["\x1b[2J", ""]}), "name of nodes is wrong"),
        (sealed(HEAD, {"nodes": ["\ud800", ""]}), "name of nodes is wrong"),
        (sealed(HEAD, {"nodes": ["a" * LONGEST_LINE, ""]}), "longer than"),
        (sealed(HEAD, b"[" * 100000 + b"\n"), "it is no JSON"),
        (sealed(HEAD, GRANT, GRANT), "this row does not fit"),
        (sealed(HEAD, {"nodes": ["a", ""]}, GRANT), "a row of grants after one of nodes"),
        (sealed(HEAD, GRANT).replace(b"192.0.2.1", b"192.0.2.2"), "its checksum does not match"),
        (sealed(HEAD, GRANT).replace(b'"end": 1', b'"end": 2'), "it ends after 2 rows, and here are 1"),
        (sealed(HEAD, GRANT) + b"{}\n", "there is more after the end"),
        (sealed(HEAD, {"grants": [1, "a", "b", "nowhere", "p", "", "", "x", 1.0, 1]}), "'nowhere' for addresses"),
        (sealed(HEAD, {"releases": [7, "x", "", 1.0, 1]}), "belongs to a row of grants that is missing"),
        (
            sealed(HEAD, GRANT, {"grants": [2, "a", "c", "192.0.2.1", "p", "", "", "automatic", 1.0, 1]}),
            "gives a/c the 192.0.2.1 of a/b",
        ),
    ],
)
def test_hostile_text_is_refused_in_one_line(memory_folder: Path, text: bytes, complaint: str) -> None:
    with pytest.raises(ImportRefused) as caught:
        put(memory_folder / "new", text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_text_is_taken_or_refused(data: st.DataObject) -> None:
    row = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*COLUMNS, "end"]), inner, max_size=2)
        ),
        max_leaves=8,
    )
    with tempfile.TemporaryDirectory(dir=_MEMORY) as name, contextlib.suppress(ImportRefused):
        put(Path(name), sealed(HEAD, *data.draw(st.lists(row, max_size=3))))


def test_a_ledger_that_is_not_empty_is_replaced_only_when_told_and_a_copy_is_kept(
    memory_folder: Path, past: bytes
) -> None:
    folder = memory_folder / "other"
    put(folder, sealed(HEAD, GRANT))
    with pytest.raises(ImportRefused, match="not empty; --replace"):
        put(folder, past)
    before = state_of(folder)
    imported = put(folder, past, replace=True)
    assert text_of(folder) == past
    assert imported.copy is not None
    imported.copy.rename(memory_folder / FILE_NAME)
    assert state_of(memory_folder) == before


def granted(
    number: int = 1,
    *,
    name: str = "b",
    addresses: str = "192.0.2.1",
    terms: str = "",
    pool: str = "p",
    second: str = "",
    at: float = 1.0,
    batch: int = 1,
) -> dict[str, list[Any]]:
    return {"grants": [number, "a", name, addresses, pool, second, terms, "automatic", at, batch]}


def found_quarantined(mac: str) -> dict[str, list[Any]]:
    return {"quarantines": [1, "192.0.2.3", mac, "n", "eth0", 1.0, 1]}


@pytest.mark.parametrize(
    "lines",
    [
        *(
            [granted(terms=text)]
            for text in ("x", "k\nL\nTCP/80/9 a b", "k\n\nTCP/081", "k\n\nUDP/1 TCP/1", "k\n\nTCP/x")
        ),
        *([granted(name=text)] for text in ("", "b\n2026-01-01 evil", "a/b c", "..", "-b", "B", "b" * 254)),
        *([granted(pool=text)] for text in ("", "two words")),
        *(
            [granted(addresses=text)]
            for text in ("192.0.2.1 192.0.2.2", "192.0.2.1 192.0.2.1", "192.0.2.1 2001:db8::1 192.0.2.2")
        ),
        *([granted(addresses=text)] for text in ("", "fe80::1%eth0", "192.0.2.01", "2001:DB8::1", "192.0.2.1 ")),
        *(
            [granted(addresses=addresses, second=second)]
            for addresses, second in (
                ("192.0.2.1", "q"),
                ("192.0.2.1 2001:db8::1", "p"),
                ("192.0.2.1 2001:db8::1", "-q"),
            )
        ),
        [granted(), {"amendments": [1, 1, "p", "", 1.0, "q", 1]}],
        [{"reservations": [1, "a", "b", "192.0.2.1", "p", "q", "ada", 1.0, 1]}],
        *([granted(number)] for number in (0, 1 << 53, (1 << 63) - 1)),
        *([granted(at=at)] for at in (-1.0, -1e14, 9e14)),
        [granted(batch=2)],
        [granted(), granted(2, addresses="192.0.2.7")],
        *(
            [found_quarantined(mac)]
            for mac in ("", "zz\nzz", "02:00:00:00:00:0G", "02-00-00-00-00-01", "02:00:00:00:00:AA")
        ),
        [{"reservations": [1, "a", "b", "192.0.2.1", "p", "", "ada\nbob", 1.0, 1]}],
        [{"nodes": ["n\nx", "192.0.2.1"]}],
        [{"nodes": ["n", "x"]}],
        [{"nodes": ["", "192.0.2.1"]}],
    ],
)
def test_rows_that_cannot_be_are_refused(memory_folder: Path, lines: list[dict[str, list[Any]]]) -> None:
    with pytest.raises(ImportRefused) as caught:
        put(memory_folder / "new", sealed(HEAD, *lines))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert list((memory_folder / "new").iterdir()) == []


@pytest.mark.parametrize("head", [{"generation": 1 << 53}, {"batch": (1 << 63) - 1}])
def test_numbers_that_nothing_can_be_added_to_are_refused(memory_folder: Path, head: dict[str, int]) -> None:
    with pytest.raises(ImportRefused, match="missing or wrong"):
        put(memory_folder / "new", sealed({**HEAD, **head}))


def test_whatever_a_controller_can_have_written_is_taken(memory_folder: Path) -> None:
    rows = [
        granted(name="a.b-c.9", addresses="192.0.2.1 2001:db8::1", terms="key\twith\nlines\nLocal a=b\nTCP/80 UDP/9"),
        granted(2, name="multicast", addresses="224.0.0.1"),
        granted((1 << 53) - 1, addresses="192.0.2.9"),
        granted(4, name="two", addresses="192.0.2.4 2001:db8::4", second="q"),
        {"quarantines": [1, "192.0.2.3", "02:00:00:00:00:01", "Some_Node", "", 1.0, 1]},
        {"nodes": ["Some_Node", "192.0.2.1 192.0.2.2 2001:db8::1"]},
    ]
    assert put(memory_folder, sealed(HEAD, *rows)).allocations == 4
    text = text_of(memory_folder)
    put(memory_folder / "other", text)
    assert text_of(memory_folder / "other") == text


class FullDisk(sqlite3.OperationalError):
    sqlite_errorcode = sqlite3.SQLITE_FULL


def test_a_full_disk_is_named_and_nothing_is_left_of_the_copy(
    memory_folder: Path, past: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = memory_folder / "other"
    put(folder, past)
    before = {item.name for item in folder.iterdir()}

    def run(connection: Connection, sql: str, bindings: Sequence[Any] = ()) -> None:
        if sql.startswith("VACUUM"):
            Path(bindings[0]).touch()
            raise FullDisk("database or disk is full")
        run_as_it_is(connection, sql, bindings)

    monkeypatch.setattr(ledger, "run", run)
    with pytest.raises(StateError) as caught:
        put(folder, past, replace=True)
    assert caught.value.trouble is StateTrouble.DISK_FULL
    assert "no space left for" in str(caught.value)
    assert {item.name for item in folder.iterdir()} == before
    assert text_of(folder) == past


def test_a_full_disk_is_not_blamed_on_the_text(
    memory_folder: Path, past: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(connection: Connection, sql: str, bindings: Sequence[Any] = ()) -> None:
        if sql.startswith("INSERT"):
            raise FullDisk("database or disk is full")
        run_as_it_is(connection, sql, bindings)

    monkeypatch.setattr(ledger_text, "run", run)
    with pytest.raises(StateError, match="no space left"):
        put(memory_folder / "new", past)


def test_the_next_import_removes_what_one_that_was_killed_left(memory_folder: Path, past: bytes) -> None:
    folder = memory_folder / "other"
    put(folder, past)
    left = folder / "ledger-20260101-000000.sqlite.part"
    left.touch()
    left.with_name(left.name + "-journal").touch()
    kept = folder / "ledger-20250101-000000.sqlite"
    kept.touch()
    put(folder, past, replace=True)
    assert not [item for item in folder.iterdir() if ".part" in item.name]
    assert kept.exists()


def test_a_ledger_that_no_controller_can_use_may_be_replaced(memory_folder: Path, past: bytes) -> None:
    folder = memory_folder / "other"
    put(folder, past)
    with sqlite3.connect(folder / FILE_NAME) as writer:
        writer.execute("UPDATE grants SET terms = 'x' WHERE name = 'b'")
        writer.execute("UPDATE amendments SET terms = 'x'")
    writer.close()
    with pytest.raises(StateError, match="no terms of sharing"):
        put(folder, past)
    put(folder, past, replace=True)
    assert text_of(folder) == past
