"""The journal: bounded, readable after a crash, and never in anybody's way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from lbctl.telemetry.journal import Journal
from tests.support.disk import fill, small_disk
from tests.support.netns import eventually


def numbers(journal: Journal) -> list[int]:
    return [record["n"] for record in journal.read()]


def _holds(journal: Journal, number: int) -> bool:
    return number in numbers(journal)


def test_what_is_appended_can_be_read_after_a_restart(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "speakers" / "a" / "journal.jsonl")
    for n in range(3):
        journal.append({"n": n})
    journal.close()
    again = Journal(tmp_path / "speakers" / "a" / "journal.jsonl")
    again.append({"n": 3})
    again.close()
    assert numbers(again) == [0, 1, 2, 3]
    assert again.trouble is None


def test_it_is_bounded(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", size_limit=1000)
    for n in range(500):
        journal.append({"n": n})
        if n % 20 == 0:
            eventually(partial(_holds, journal, n), every=0.001)
    journal.close()
    found = numbers(journal)
    assert found == list(range(found[0], 500)), "the newest, without a hole"
    assert 0 < sum(path.stat().st_size for path in tmp_path.iterdir()) < 4000
    assert len(list(tmp_path.iterdir())) <= 2


def test_a_torn_line_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"n":1}\n{"n":2')
    journal = Journal(path)
    journal.append({"n": 3})
    journal.close()
    assert numbers(journal) == [1, 3]


def test_a_folder_that_cannot_be_written_is_a_trouble_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "journal.jsonl")
    journal.append({"n": 1})
    journal.close()
    assert journal.trouble is not None
    assert "cannot be written" in journal.trouble


@pytest.mark.netns
def test_a_full_disk_is_a_trouble_until_there_is_room_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        ballast = fill(disk)
        journal = Journal(disk / "journal.jsonl", retry=0.05)
        for n in range(3):
            journal.append({"n": n, "more": "x" * 2000})
        eventually(lambda: journal.trouble)
        assert "No space left" in str(journal.trouble)
        ballast.unlink()
        eventually(lambda: journal.trouble is None, what="nothing new needs to happen for it to go away")
        journal.append({"n": 3})
        journal.close()
        assert numbers(journal) == [0, 1, 2, 3], "what waited was written, and once"


def test_nobody_waits_for_a_stuck_disk(tmp_path: Path) -> None:
    """A named pipe that nobody reads is the slowest disk there is."""
    path = tmp_path / "journal.jsonl"
    os.mkfifo(path)
    journal = Journal(path, backlog=100)
    start = time.monotonic()
    for n in range(1000):
        journal.append({"n": n})
    assert time.monotonic() - start < 5
    assert journal.trouble is not None
    assert "too slow" in journal.trouble
    start = time.monotonic()
    journal.close(patience=0.1)
    assert time.monotonic() - start < 5
    # Somebody reads at last, so that the thread can end.
    with path.open("rb") as reader:
        reader.read()
    eventually(lambda: not any(thread.name == "journal" for thread in threading.enumerate()))


def test_a_killed_writer_leaves_a_readable_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    program = (
        "import sys, pathlib, itertools\n"
        "from lbctl.telemetry.journal import Journal\n"
        "journal = Journal(pathlib.Path(sys.argv[1]), size_limit=20_000)\n"
        "for n in itertools.count(): journal.append({'n': n, 'more': 'x' * 50})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(path)])
    try:
        eventually(lambda: path.with_name("journal.jsonl.1").exists())
    finally:
        process.kill()
        process.wait()
    journal = Journal(path)
    journal.append({"n": -1})
    journal.close()
    assert numbers(journal)[-1] == -1


def test_nothing_is_missed_by_who_reads_while_it_is_turned_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", size_limit=4000)
    for n in range(3000):
        journal.append({"n": n})
        if n % 50 == 0:
            eventually(partial(_holds, journal, n), every=0.001)
            found = numbers(journal)
            assert found == list(range(found[0], found[0] + len(found)))
    journal.close()
