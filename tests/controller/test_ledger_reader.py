"""Reading the ledger: while it is written, after its writer was killed, and without the right to write anything."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lbctl.controller import ledger_reader
from lbctl.controller.errors import StateError, StateTrouble
from lbctl.controller.ledger import FILE_NAME, Ledger
from lbctl.controller.ledger_reader import reading
from lbctl.controller.ledger_rows import read
from lbctl.controller.ledger_schema import SCHEMA_VERSION
from lbctl.controller.records import Batch
from tests.controller.ledger_schema1 import write_schema1
from tests.controller.test_ledger import grant

_READER = """
import os, sys
from pathlib import Path
from lbctl.controller.ledger_reader import reading
from lbctl.controller.ledger_rows import read
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with reading(Path(sys.argv[1])) as connection:
    print(len(read(connection).allocations))
"""


@contextmanager
def ledger_in(folder: Path) -> Iterator[Ledger]:
    ledger = Ledger(folder, new_name=lambda: "name")
    ledger.open()
    yield ledger
    ledger.close()


def commit(ledger: Ledger, name: str, address: str) -> None:
    ledger.commit(Batch(at_unix=1.0, first_grant=ledger.state.next_grant, grants=(grant(name, address),)))


def count(folder: Path) -> int:
    with reading(folder) as connection:
        return len(read(connection).allocations)


def as_nobody(folder: Path) -> str:
    """What somebody without any right but to read finds."""
    done = subprocess.run(
        [sys.executable, "-c", _READER, str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def folder(memory_folder: Path) -> Path:
    """One that others may look into and not write to."""
    memory_folder.chmod(0o755)
    made = memory_folder / "controller"
    made.mkdir(mode=0o755)
    return made


def test_everybody_reads_it_while_it_is_written(folder: Path) -> None:
    with ledger_in(folder) as ledger:
        commit(ledger, "a", "192.0.2.1")
        with reading(folder) as connection:
            commit(ledger, "b", "192.0.2.2")
            assert len(read(connection).allocations) == 1, "one state of it, from the first question on"
        assert (count(folder), as_nobody(folder)) == (2, "2")


def test_everybody_reads_it_when_no_controller_runs(folder: Path) -> None:
    with ledger_in(folder) as ledger:
        commit(ledger, "a", "192.0.2.1")
    assert [item.name for item in folder.iterdir()] == [FILE_NAME]
    assert as_nobody(folder) == "1"
    assert count(folder) == 1


def test_everybody_reads_what_a_killed_writer_left(folder: Path, memory_folder: Path) -> None:
    with ledger_in(folder) as ledger:
        commit(ledger, "a", "192.0.2.1")
        left = memory_folder / "left"
        for names in ((FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"), (FILE_NAME, f"{FILE_NAME}-wal")):
            left.mkdir(mode=0o755)
            for name in names:
                (left / name).write_bytes((folder / name).read_bytes())
            assert as_nobody(left) == "1", names
            assert count(left) == 1
            for item in left.iterdir():
                item.unlink()
            left.rmdir()


def test_a_copy_is_made_again_until_nothing_was_written_meanwhile(
    folder: Path, memory_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger_in(folder) as ledger:
        commit(ledger, "a", "192.0.2.1")
        copy, left = shutil.copyfile, iter("bcde")

        def copy_while_written(source: Path, target: Path) -> None:
            copy(source, target)
            name = next(left, None)
            if name is not None:
                commit(ledger, name, f"192.0.2.{ord(name)}")

        monkeypatch.setattr(shutil, "copyfile", copy_while_written)
        monkeypatch.setattr(ledger_reader, "_opened", lambda _: None)
        assert count(folder) == 5
        left = iter("fghijklmnopqrstuvwxyz")
        with pytest.raises(StateError, match="changes too often"):
            count(folder)


def refused(folder: Path) -> StateError:
    with pytest.raises(StateError) as caught, reading(folder):
        pass
    assert "\n" not in str(caught.value)
    return caught.value


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    assert refused(tmp_path).trouble is StateTrouble.MISSING
    (tmp_path / FILE_NAME).write_bytes(b"no ledger at all" * 100)
    assert refused(tmp_path).trouble is StateTrouble.DAMAGED
    (tmp_path / FILE_NAME).unlink()
    write_schema1(tmp_path)
    assert refused(tmp_path).trouble is StateTrouble.OLDER_SCHEMA
    with sqlite3.connect(tmp_path / FILE_NAME) as writer:
        writer.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (SCHEMA_VERSION + 1,))
    writer.close()
    assert refused(tmp_path).trouble is StateTrouble.NEWER_SCHEMA


def test_who_may_not_read_it_is_told_so(folder: Path) -> None:
    ledger = Ledger(folder, new_name=lambda: "name")
    ledger.open()
    ledger.close()
    (folder / FILE_NAME).chmod(0o600)
    script = _READER.replace(
        "with reading", "from lbctl.controller.errors import StateError\ntry:\n  x = reading"
    ).replace(
        " as connection:\n    print(len(read(connection).allocations))",
        ".__enter__()\nexcept StateError as error: print(error.trouble.value)",
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "ledger_forbidden", done.stderr
    assert os.geteuid() == 0
