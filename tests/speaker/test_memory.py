"""What a speaker remembers over restarts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl.speaker.memory import FORGET_AFTER, AlreadyRunning, Memory
from tests.support.disk import fill, small_disk
from tests.support.netns import eventually
from tests.support.worlds import addresses

NOW = 1_700_000_000.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "speakers" / "a"


@pytest.fixture
def memory(folder: Path) -> Iterator[Memory]:
    memory = Memory(folder)
    yield memory
    memory.close()


def reopened(memory: Memory) -> Memory:
    memory.close()
    return Memory(memory.folder)


def test_incarnations_only_grow_whatever_the_clock_does(folder: Path) -> None:
    last = 0
    for clock in (1000, 2000, 500, 0, 3000):
        memory = Memory(folder)
        incarnation = memory.next_incarnation(clock)
        memory.close()
        assert incarnation > last
        last = incarnation
    assert last == 3000


@pytest.mark.parametrize("content", ["", "{", "[]", '{"incarnation": "x"}', '{"incarnation": -5}'])
def test_a_broken_incarnation_starts_from_the_clock(folder: Path, content: str) -> None:
    folder.mkdir(parents=True)
    (folder / "incarnation.json").write_text(content)
    memory = Memory(folder)
    assert memory.next_incarnation(7) == 7
    memory.close()


def test_epochs_peers_and_used_addresses_come_back(memory: Memory) -> None:
    peers = {"b": (addresses("192.0.2.2", "fe80::2"), NOW), "old": (addresses("192.0.2.3"), NOW - FORGET_AFTER)}
    memory.save(epochs={"192.0.2.1": 7}, peers=peers, used=dict.fromkeys(addresses("192.0.2.1"), 3))
    again = reopened(memory)
    assert again.epochs() == [("192.0.2.1", 7)]
    assert again.used() == dict.fromkeys(addresses("192.0.2.1"), 3)
    assert again.peers(NOW) == {"b": (addresses("192.0.2.2", "fe80::2"), NOW)}, "who is long gone is forgotten"
    assert again.troubles == ()
    again.close()


def test_nonsense_is_not_believed(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "epochs.json").write_text(json.dumps({"192.0.2.1": "7", "nobody": 3, "192.0.2.2": 4}))
    (folder / "used.json").write_text(json.dumps({"192.0.2.1": "7", "nobody": 3, "192.0.2.2": 4}))
    (folder / "peers.json").write_text(
        json.dumps({"b": {"addresses": ["nowhere"], "heard_unix": NOW}, "c": 3, "d": {"addresses": ["192.0.2.4"]}})
    )
    memory = Memory(folder)
    assert memory.epochs() == [("192.0.2.2", 4)]
    assert memory.used() == dict.fromkeys(addresses("192.0.2.2"), 4)
    assert memory.peers(NOW) == {}
    memory.close()


def test_an_unreadable_file_is_a_trouble(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "epochs.json").write_text("{")
    memory = Memory(folder)
    assert memory.epochs() == []
    assert len(memory.troubles) == 1
    assert "epochs.json" in memory.troubles[0]
    memory.close()


@pytest.mark.netns
def test_what_a_full_disk_refuses_is_written_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        memory = Memory(disk / "speakers" / "a")
        ballast = fill(disk)
        assert memory.next_incarnation(7) == 7
        memory.save(epochs={"192.0.2.1": 7}, peers={}, used={})
        eventually(lambda: len(memory.troubles) >= 2)
        assert "incarnation.json cannot be written: No space left" in "\n".join(memory.troubles)
        ballast.unlink()
        eventually(lambda: not memory.troubles, what="nothing new needs to happen for it to go away")
        again = reopened(memory)
        assert again.next_incarnation(5) == 8
        assert again.epochs() == [("192.0.2.1", 7)]
        again.close()


def test_a_second_speaker_of_the_name_is_refused(memory: Memory) -> None:
    with pytest.raises(AlreadyRunning):
        Memory(memory.folder)
    again = reopened(memory)
    again.close()


def test_the_lock_ends_with_its_process(folder: Path) -> None:
    program = (
        "import pathlib, sys; from lbctl.speaker.memory import Memory; Memory(pathlib.Path(sys.argv[1])); print(1)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program + "; import time; time.sleep(60)", str(folder)], stdout=subprocess.PIPE
    )
    try:
        # Python buffers nothing that matters here: the folder is locked before the line could be printed.
        while not (folder / "lock").exists():
            assert process.poll() is None
        locked = False
        while not locked:
            try:
                Memory(folder).close()
            except AlreadyRunning:
                locked = True
    finally:
        process.kill()
        process.communicate()
    Memory(folder).close()


def test_comings_are_remembered_for_ten_minutes(folder: Path) -> None:
    for now, expected in ((100.0, (100.0,)), (200.0, (100.0, 200.0)), (650.0, (100.0, 200.0, 650.0)), (750.0, 3)):
        memory = Memory(folder)
        found = memory.came(now)
        assert (found if isinstance(expected, tuple) else len(found)) == expected
        memory.close()


@pytest.mark.parametrize("content", ["", "[]", '{"comings": 7}', '{"comings": ["x", null]}'])
def test_broken_comings_begin_anew(folder: Path, content: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comings.json").write_text(content)
    memory = Memory(folder)
    assert memory.came(7.0) == (7.0,)
    memory.close()


def test_orders_come_back_as_they_were(memory: Memory) -> None:
    rows = [["drain", "n1", "", 1, "n2", 100, True]]
    memory.save(epochs={}, peers={}, used={}, orders=rows)
    again = reopened(memory)
    assert again.orders() == rows
    again.close()
    (memory.folder / "orders.json").write_text('{"orders": 7}')
    again = reopened(memory)
    assert again.orders() == []
    again.close()
