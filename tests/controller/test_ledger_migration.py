"""A ledger of schema 1 becomes one of schema 2, keeps a copy of itself, and survives a crash at every write."""

from __future__ import annotations

import sqlite3
from ipaddress import ip_address
from pathlib import Path

import apsw

from lbctl.controller.ledger import FILE_NAME, Ledger
from lbctl.controller.ledger_schema import SCHEMA_VERSION, Connection
from lbctl.controller.records import Batch, LedgerState
from lbctl.model.reservation import Freed
from tests.controller.ledger_schema1 import write_schema1
from tests.controller.recording_vfs import Recorder
from tests.plan.allocation_worlds import key

_COPY = "ledger-schema1.sqlite"


def opened(folder: Path) -> LedgerState:
    ledger = Ledger(folder, new_name=lambda: "new")
    state = ledger.open()
    ledger.close()
    return state


def test_everything_is_as_it_was_and_what_was_freed_is_known(tmp_path: Path) -> None:
    write_schema1(tmp_path)
    state = opened(tmp_path)
    assert (state.ledger, state.generation, state.next_grant) == ("old", 2000, 7)
    held = {str(name): " ".join(map(str, item.addresses)) for name, item in state.allocations.items()}
    assert held == {"default/a": "192.0.2.0", "default/b": "192.0.2.1"}
    assert (state.allocations[key("a")].pool, state.remembered.terms) == ("r", {key("a"): "t\n\nTCP/80"})
    assert list(state.remembered.freed.values()) == [
        Freed(address=ip_address("2001:db8::"), at_unix=12.0, service=key("b")),
        Freed(address=ip_address("192.0.2.2"), at_unix=12.5, service=key("c")),
        Freed(address=ip_address("192.0.2.3"), at_unix=15.0, service=key("e")),
    ]
    assert state.remembered.first_seen == {key("a"): 5.0}
    assert set(state.nodes) == {"n1"}


def test_it_stays_migrated_and_goes_on(tmp_path: Path) -> None:
    write_schema1(tmp_path)
    ledger = Ledger(tmp_path, new_name=lambda: "new")
    before = ledger.open()
    after = ledger.commit(Batch(at_unix=20.0, first_grant=7, generation=3000))
    ledger.close()
    assert opened(tmp_path) == after
    assert after.allocations == before.allocations


def test_the_copy_is_what_it_was(tmp_path: Path) -> None:
    write_schema1(tmp_path)
    opened(tmp_path)
    with sqlite3.connect(tmp_path / _COPY) as reader:
        assert reader.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone() == (1,)
        assert reader.execute("SELECT count(*) FROM grants").fetchone() == (6,)
    reader.close()


def test_every_crash_leaves_the_old_ledger_or_the_new_one(memory_folder: Path) -> None:
    original = memory_folder / "original"
    write_schema1(original)
    content = (original / FILE_NAME).read_bytes()
    recorder = Recorder()

    def connect(path: Path) -> Connection:
        return apsw.Connection(str(path), vfs=recorder.name)

    ledger = Ledger(original, new_name=lambda: "new", connector=connect)
    expected = ledger.open()
    recorder.mark(1)
    ledger.close()
    schemas = set()
    tried = 0
    for crash in recorder.crashes(seed=3, already={FILE_NAME: content}):
        folder = memory_folder / str(tried)
        folder.mkdir()
        crash.put(folder)
        reader = sqlite3.connect(folder / FILE_NAME)
        (schema,) = reader.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
        reader.close()
        assert schema == SCHEMA_VERSION or not crash.acknowledged, crash.what
        schemas.add(schema)
        assert opened(folder) == expected, crash.what
        tried += 1
    assert schemas == {1, SCHEMA_VERSION}
    assert tried > 30
